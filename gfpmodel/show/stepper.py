"""The allocator, moment by moment: which function ran under which lock, and how the pages move because of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby
from typing import Any

from gfpmodel.mm import Event, PageAllocator, ZoneState
from gfpmodel.mm import events as ev
from gfpmodel.mm.events import NO_PAGE
from gfpmodel.mm.rules import ORDINARY, Rule
from gfpmodel.mm.script import FREE_LISTS, Step, list_of, run_script
from gfpmodel.mm.state import MIGRATE_MOVABLE, MIGRATE_NAMES, MIGRATE_PCPTYPES
from gfpmodel.mm.v6_18.pcp import order_to_pindex
from gfpmodel.show.allocator import Scene, draw, plan_of, words
from gfpmodel.show.drawn import captioned, time_line
from gfpmodel.show.pictures import Picture, table

Lists = tuple[tuple[tuple[int, ...], ...], ...]  #: of each CPU, by number, first pfns from the head


#: By kind of event: the kernel function it comes from, and what that did; the fields are those of ``_words``.
TOLD = {
    ev.LOCK: ("spin_lock(&zone->lock)", "takes the lock; any other CPU that wants it waits"),
    ev.UNLOCK: ("spin_unlock(&zone->lock)", "gives the lock back"),
    ev.REFILL_DONE: (
        "rmqueue_bulk",
        "puts {got} of {batch} pages at the tail of this CPU's {migratetype} list",
    ),
    ev.BULK_FREE: ("free_pcppages_bulk", "chooses {count} pages, from the tails of the lists in turn"),
    ev.EXTFRAG: (
        "__rmqueue_fallback",
        "takes block {pfn} of order {fallback_order} from the {fallback_migratetype} lists for {alloc_migratetype}; "
        "{owner}",
    ),
    ev.WATERMARK_BOOST: ("boost_watermark", "watermark_boost is now {boost} pages"),
    ev.MOVE_BLOCK: ("move_freepages_block", "{moved} free pages move to the {migratetype} lists"),
    ev.HIGHATOMIC: ("reserve_highatomic_pageblock", "the pageblock of pfn {pfn} is reserved"),
    ev.WAKE_KSWAPD: ("wakeup_kswapd", "takes the lock of kswapd's wait queue if kswapd sleeps"),
    ev.MM_PAGE_ALLOC: ("__alloc_pages_nodemask", "returns {page}"),
    ev.MM_PAGE_FREE: ("free_pages_prepare", "is given pfn {pfn}, order {order}"),
    ev.MM_PAGE_ALLOC_ZONE_LOCKED: ("__rmqueue", "takes {page}, order {order}, from the {migratetype} free lists"),
    ev.MM_PAGE_PCPU_DRAIN: ("__free_one_page", "puts pfn {pfn} back as {migratetype}; it merges if its buddy is free"),
    ev.IRQ_SAVE: ("local_irq_save", "turns interrupts off on this CPU"),
    ev.IRQ_RESTORE: ("local_irq_restore", "turns interrupts on again"),
    ev.TRYLOCK: ("spin_trylock(&zone->lock)", "tries the lock and {trylock}"),
    ev.DECLINE: ("zone_lock(zone)", "declines: the request does without &zone->lock"),
    # of later kernels
    ev.PCP_TRYLOCK: ("pcp_spin_trylock", "tries the lock of CPU {cpu}'s lists and {trylock}"),
    ev.PCP_LOCK: ("spin_lock(&pcp->lock)", "takes the lock of CPU {cpu}'s lists"),
    ev.PCP_UNLOCK: ("pcp_spin_unlock", "gives the lock of CPU {cpu}'s lists back"),
    ev.PCP_REFILL: (
        "rmqueue_bulk",
        "puts {got} of {count} blocks of order {order} on this CPU's {migratetype} list",
    ),
    ev.PCP_BULK_FREE: ("free_pcppages_bulk", "chooses {count} pages, from the list number {pindex} on"),
    ev.PREP_MOVE: ("prep_move_freepages_block", "counts {free} free and {movable} movable pages in the block of {pfn}"),
    ev.MOVE_FREEPAGES: ("__move_freepages_block", "{moved} free pages of the block of {pfn} change their lists"),
    ev.RESERVE_HIGHATOMIC: ("reserve_highatomic_pageblock", "the block of pfn {pfn} is reserved"),
    ev.UNRESERVE_HIGHATOMIC: ("unreserve_highatomic_pageblock", "gives back the first reserved pageblock it may"),
}

#: The events of locks and of interrupts.
LOCKING = (ev.LOCK, ev.UNLOCK, ev.IRQ_SAVE, ev.IRQ_RESTORE, ev.TRYLOCK, ev.DECLINE, ev.WAKE_KSWAPD)


def _words(event: Event) -> dict[str, int | str]:
    """Return an event's fields, with names for migratetypes and words for what is a choice."""
    found = event.fields
    named = {name: MIGRATE_NAMES[value] for name, value in found.items() if name.endswith("migratetype")}
    return {
        **found,
        **named,
        "page": "NULL" if found.get("pfn", 0) == ev.NO_PAGE else f"pfn {found.get('pfn')}",
        "owner": "the pageblock changes its type" if found.get("change_ownership") else "the pageblock keeps its type",
        "trylock": "gets it" if found.get("taken") else "fails, without waiting: another CPU holds it",
    }


def tell(event: Event) -> tuple[str, str]:
    """Return the kernel function an event comes from, and what it did, in words."""
    function, words = TOLD[event.kind]
    return function, words.format(**_words(event))


Row = tuple[str, str, str]  #: what is held, kernel function, what it does


@dataclass(frozen=True)
class Told:
    """One thing that happened: the kernel function, what it did, its event if it has one, and what is held after it."""

    function: str
    does: str
    event: Event | None = None
    irqs_off: bool = False
    locked: bool = False
    pcp_locked: bool = False
    elsewhere: bool = False

    @property
    def held(self) -> str:
        """Return what is held, in words."""
        names = {"irqs off": self.irqs_off, "pcp->lock": self.pcp_locked, "zone->lock": self.locked}
        return " + ".join(name for name, on in names.items() if on) or "nothing"


IDLE = Told("", "")  #: nothing is held before an operation
#: Which field of what is held an event changes, and to what.
HOLDS = {
    ev.IRQ_SAVE: ("irqs_off", True),
    ev.IRQ_RESTORE: ("irqs_off", False),
    ev.LOCK: ("locked", True),
    ev.UNLOCK: ("locked", False),
    ev.PCP_LOCK: ("pcp_locked", True),
    ev.PCP_UNLOCK: ("pcp_locked", False),
}


def tell_all(step: Step) -> list[Told]:
    """Return the way of one operation.

    What a per-cpu list does has no tracepoint in the kernel: that is told from the result.
    """
    later = any(event.kind in (ev.PCP_TRYLOCK, ev.PCP_LOCK) for event in step.events)
    begins, ends = ((ev.PCP_TRYLOCK, ev.PCP_LOCK), ev.PCP_UNLOCK) if later else ((ev.IRQ_SAVE,), ev.IRQ_RESTORE)
    listed = later or (step.source != FREE_LISTS if step.op.kind == "free" else not step.op.order)
    sections = step.count(ends)
    told: list[Told] = []
    now = IDLE
    for event in step.events:
        function, does = tell(event)
        function = SINCE.get(function, function) if later else function
        if event.kind == ends and step.op.kind == "alloc":
            sections -= 1
            told += [replace(now, **_named(_taken(step, last=not sections)), event=None)] if listed else []
        seen = now.locked and event.kind == ev.LOCK  # after a trylock the engine records the lock as well
        now = replace(_after(now, event), function=function, does=does, event=event)
        if not seen:
            told.append(now)
        if event.kind in begins and step.op.kind == "free" and listed and (not later or now.pcp_locked):
            put = (PUT[later], f"puts the page at the head of {step.source}")
            told.append(replace(now, **_named(put), event=None))
    if step.op.kind == "alloc" and not step.irq_off and not later:
        told.insert(0, Told("zone_watermark_ok", "every zone is at or below its watermark: skipped"))
    return [_summed(list(run)) for _, run in groupby(told, _same)]


#: What is told once of several pages of a type, one after the other.
EACH = {
    ev.MM_PAGE_ALLOC_ZONE_LOCKED: "takes {pfns}, one after the other, from the {migratetype} free lists",
    ev.MM_PAGE_PCPU_DRAIN: "puts {pfns} back as {migratetype}; each merges if its buddy is free",
}


def _same(one: Told) -> tuple[int, ...]:
    """Return what things have in common that are told as one; anything else is only equal to itself."""
    if one.event is None or one.event.kind not in EACH or one.event.fields["pfn"] == ev.NO_PAGE:
        return (id(one),)
    fields = one.event.fields
    return (one.event.kind, one.event.zone, fields["order"], fields["migratetype"])


def _summed(run: list[Told]) -> Told:
    """Return several things as one."""
    first = run[0]
    if len(run) == 1 or first.event is None:
        return first
    pfns = [one.event.fields["pfn"] for one in run if one.event]
    shown = f"pfn {pfns[0]} to {pfns[-1]}" if pfns == list(range(pfns[0], pfns[-1] + 1)) else listed(pfns)
    return replace(first, does=EACH[first.event.kind].format(**{**_words(first.event), "pfns": shown}))


def listed(pfns: Sequence[int], most: int = 8) -> str:
    """Return pages by number, the first few of many."""
    more = f" and {len(pfns) - most} more" if len(pfns) > most else ""
    return f"pfn {', '.join(map(str, pfns[:most]))}{more}"


#: What a function of v5.8 is called, or is part of, in v6.18.
SINCE = {"__alloc_pages_nodemask": "__alloc_frozen_pages_noprof", "__rmqueue_fallback": "__rmqueue"}
PUT = ("free_unref_page_commit", "free_frozen_page_commit")  #: v5.8's, v6.18's


def _after(now: Told, event: Event) -> Told:
    """Return what is held after an event."""
    if event.kind in HOLDS:
        name, on = HOLDS[event.kind]
        return replace(now, **_field(name, on))
    if event.kind in (ev.TRYLOCK, ev.PCP_TRYLOCK) and event.fields["taken"]:
        return replace(now, **_field("locked" if event.kind == ev.TRYLOCK else "pcp_locked", on=True))
    return replace(now, elsewhere=now.elsewhere or event.kind == ev.TRYLOCK)


def _field(name: str, on: bool) -> dict[str, Any]:
    return {name: on}


def _named(told: tuple[str, str]) -> dict[str, Any]:
    return {"function": told[0], "does": told[1]}


def _taken(step: Step, last: bool) -> tuple[str, str]:
    """Return what a request got from the cpu's lists of a zone, the last one it asked or one before."""
    got = last and step.pfn is not None and step.source != FREE_LISTS
    return "__rmqueue_pcplist", f"takes the head of {step.source}" if got else "finds no page on the lists it may see"


def rows(step: Step) -> list[Row]:
    """Return the way of one operation; what is held is what was held when the function was called."""
    told = tell_all(step)
    held = [IDLE, *told]
    # what is given back is not held any more while that is told
    return [(_meanwhile(before, one).held, one.function, one.does) for before, one in zip(held, told, strict=False)]


def _meanwhile(before: Told, one: Told) -> Told:
    """Return what is held while something is told: what was held before it, without what it gives back."""
    return replace(
        before,
        irqs_off=before.irqs_off and one.irqs_off,
        locked=before.locked and one.locked,
        pcp_locked=before.pcp_locked and one.pcp_locked,
    )


def path(step: Step) -> Picture:
    """Draw the way of one operation: kernel function and what it does; bars say how long interrupts are off and
    locks are held.
    """
    shown = zip(rows(step), tell_all(step), strict=True)
    body = "".join(_on_the_way(row, one) for row, one in shown)
    text = table(("held", "function", "does"), rows(step)).text
    html = f'<table class="gfp-way"><caption>{escape(title(step))}</caption><tbody>{body}</tbody></table>{KEY_OF_BARS}'
    return Picture(html, f"{step.op.text}: {step.call}\n{text}")


KEY_OF_BARS = '<p class="gfp-kinds"><i class="q"></i>interrupts off <i class="k"></i>zone->lock held</p>'.replace(
    "->", "-&gt;"
)


def _on_the_way(row: Row, one: Told) -> str:
    """Return a line of the way, with a bar for each thing that is held before or after it."""
    held, function, does = row
    bars = [("q", "irqs off" in held or one.irqs_off), ("k", "zone->lock" in held or one.locked)]
    cells = "".join(f'<td class="{kind}">{"<i></i>" * on}</td>' for kind, on in bars)
    said = f'<span class="gfp-heard">{escape(held)} held</span>'
    return f'<tr>{cells}<th scope="row">{escape(function)}</th><td>{escape(does)}{said}</td></tr>'


def pages(step: Step) -> Picture:
    """Draw what one operation did with pages, without the locks: those are another kernel's, perhaps."""
    refilled = step.count(ev.REFILL_DONE)
    silent = {TOLD[kind][0] for kind in LOCKING} | ({TOLD[ev.MM_PAGE_ALLOC_ZONE_LOCKED][0]} if refilled else set())
    return table(("function", "does"), [row[1:] for row in rows(step) if row[1] not in silent])


def lists(state: ZoneState, before: ZoneState | None = None) -> Picture:
    """Draw a zone's pcp and free lists, head first; what was not on a list before has a plus."""
    scene, old = Scene(state), Scene(before) if before else None
    drawn = draw(scene, plan_of([scene, old] if old else [scene]), old)
    return Picture(drawn, "\n".join(words(scene, old)))


def title(step: Step) -> str:
    """Return a step in one line: the operation, the call, where the page came from or goes to."""
    if step.source is None:
        return f"{step.op.text}  {step.call}" + (": NULL" if step.op.kind == "alloc" else "")
    way = "from" if step.op.kind == "alloc" else "to"
    return f"{step.op.text}  {step.call}: {way} {step.source}, pageblock {step.block}"


def finding(step: Step) -> str:
    """Return what a step shows, in a sentence."""
    lock = "zone->lock is taken" if step.locks else "no zone->lock"
    listed = step.source != FREE_LISTS
    if step.op.kind == "drain":
        said = "A drain gives every page of these lists back"
    elif step.pfn is None:
        said = "No page: the request returns NULL" if step.op.kind == "alloc" else "There is nothing to free"
    elif step.op.kind == "alloc" and listed:
        said = "The list is empty" if step.locks else "A page is on this CPU's list"
    elif step.op.kind == "alloc":
        said = "The block comes straight from the zone"
    elif listed:
        said = "The list is full" if step.locks else "The page goes on this CPU's list"
    else:
        said = "The block goes straight back to the zone"
    return f"{said}: {lock}" if "NULL" not in said else f"{said}, {lock}"


#: Events that say that blocks leave a list of the zone or come to one.
MOVES = (
    *(ev.MM_PAGE_ALLOC_ZONE_LOCKED, ev.MM_PAGE_PCPU_DRAIN, ev.EXTFRAG, ev.MOVE_BLOCK, ev.HIGHATOMIC),
    *(ev.MOVE_FREEPAGES, ev.RESERVE_HIGHATOMIC, ev.UNRESERVE_HIGHATOMIC),
)
REFILLS = (ev.REFILL_DONE, ev.PCP_REFILL)


@dataclass
class Group:
    """What is told as one moment: what is held, the things that happened, whether it is work under the lock."""

    held: Told
    told: list[Told]
    work: bool = False

    @property
    def moves(self) -> bool:
        """Return whether it says that a block of the zone moved."""
        return any(one.event is not None and _moves(one.event) for one in self.told)

    def said(self) -> list[tuple[str, str]]:
        """Return its functions and what they did; of a refill only the sum is told."""
        kinds = {one.event.kind for one in self.told if one.event}
        silent = ev.MM_PAGE_ALLOC_ZONE_LOCKED if kinds & set(REFILLS) else None
        told = [one for one in self.told if one.event is None or one.event.kind != silent]
        return [(one.function, one.does) for one in told]


def _moves(event: Event) -> bool:
    """Return whether an event says that a block of its zone moved."""
    if event.kind in REFILLS:
        return event.fields["got"] > 0
    return event.kind in MOVES and event.fields.get("pfn") != ev.NO_PAGE


def grouped(step: Step, zone: int) -> list[Group]:
    """Return what an operation told, moment by moment; all that is done under the zone's lock is one moment."""
    groups: list[Group] = []
    work: Group | None = None
    inside = False
    for one in tell_all(step):
        kind = one.event.kind if one.event else None
        here = one.event is None or one.event.zone in (zone, ev.NO_PAGE)
        if groups and (kind == ev.MM_PAGE_ALLOC or _is_begun(groups[-1])):
            groups[-1].told.append(one)
            groups[-1].held = one
        elif work and here and (kind in REFILLS or (inside and kind != ev.UNLOCK)):
            work.told.append(one)
        else:
            groups.append(Group(one, [one]))
            if one.locked and here and not inside:
                work = Group(one, [], work=True)
                groups.append(work)
        inside = one.locked and work is not None
    return groups


def _is_begun(group: Group) -> bool:
    """Return whether a free has only been begun: its first function goes with the next one."""
    return [one.event.kind for one in group.told if one.event] == [ev.MM_PAGE_FREE]


def moving(groups: list[Group], changed: bool) -> list[Group]:
    """Return the moments with one in which the blocks of the zone move.

    If several say so, what is between them is one moment: nothing tells what the lists were like within it.
    """
    at = [number for number, group in enumerate(groups) if group.moves]
    if not at and changed:
        at = [number for number, group in enumerate(groups) if group.work][-1:]
    if len(at) > 1:
        first, last = at[0], at[-1]
        whole = Group(groups[first].held, [one for group in groups[first : last + 1] for one in group.told], work=True)
        groups = [*groups[:first], whole, *groups[last + 1 :]]
    return [group for number, group in enumerate(groups) if group.told or number in at]


@dataclass(frozen=True)
class Moment:
    """What is said and seen at one moment: of an operation, or before the first (then there is no step)."""

    scene: Scene
    said: tuple[tuple[str, str], ...]
    step: Step | None = None


def may_see(step: Step, rule: Rule | None) -> tuple[int, ...]:
    """Return the lists of its CPU at which a request of v5.8 may look, in its order.

    Arguments: the step; the row that serves requests which ask its way.
    """
    if step.op.kind != "alloc" or step.op.order:
        return ()
    first, last = (rule if rule and rule.flag and step.op.flagged else ORDINARY).scan
    own = step.op.migratetype
    return tuple(range(own if first is None else first, (own if last is None else last) + 1))


def moments(step: Step, before: Scene, after: Scene, scan: tuple[int, ...] = ()) -> list[Moment]:
    """Return the moments of an operation, in the kernel's order.

    Every list is as the model had it before the operation or after it; which of the two, the events say.
    Arguments: the step; what was seen before it; what is seen after it; the lists at which a request may look.
    """
    zone, cpu = before.state.index, step.op.cpu
    changed = before.state.free_lists != after.state.free_lists
    groups = moving(grouped(step, zone), changed)
    work = next((at for at, group in enumerate(groups) if group.moves or (changed and not group.told)), len(groups))
    hand = _hand(step, groups, work)
    made: list[Moment] = []
    for at, group in enumerate(groups):
        state = after.state if at >= work or not changed else before.state
        lists = _lists(step, before.state, after.state, at >= work and changed, at >= hand)
        held = group.held
        scene = replace(
            after,
            state=replace(state, pcp_lists=lists, pcp_count=_counts(lists)),
            cpu=cpu,
            irqs_off=held.irqs_off,
            locked=held.locked,
            pcp_locked=held.pcp_locked,
            elsewhere=held.elsewhere,
            used=after.used if at >= hand else before.used,
            seen=_seen(step, group, scan, made[-1].scene.state if made else before.state),
        )
        made.append(Moment(scene, tuple(group.said()) or (DIRECT[step.op.kind],), step))
    return made


def _counts(lists: Lists) -> tuple[int, ...]:
    """Return how many pages are on the lists of each CPU."""
    return tuple(sum(len(pfns) << list_of(number)[1] for number, pfns in enumerate(own)) for own in lists)


def _seen(step: Step, group: Group, scan: tuple[int, ...], state: ZoneState) -> tuple[int, ...]:
    """Return the lists at which a request looks at one moment: up to the first that has a page."""
    if not any(one.function == "__rmqueue_pcplist" for one in group.told):
        return ()
    filled = [at for at, number in enumerate(scan) if state.pcp_lists[step.op.cpu][number]]
    return scan[: filled[0] + 1] if filled else scan


#: What is done under the lock without an event of its own.
DIRECT = {
    "alloc": ("__rmqueue", "takes a block off the free lists"),
    "free": ("__free_one_page", "puts the block back, which merges with its buddy as long as that is free"),
    "drain": ("__free_one_page", "puts the pages back"),
}


def _hand(step: Step, groups: list[Group], work: int) -> int:
    """Return at which moment the caller gets the page, or gives it away."""
    functions = ("__rmqueue_pcplist", *PUT)
    at = [n for n, group in enumerate(groups) if any(one.function in functions for one in group.told)]
    return at[-1] if at else min(work, len(groups) - 1)


def _lists(step: Step, before: ZoneState, after: ZoneState, worked: bool, handed: bool) -> Lists:
    """Return the lists of the CPUs at one moment.

    Arguments: the step; the zone before and after it; whether the work under its lock is done; whether the page has
    changed hands between the caller and the list.
    """
    if step.op.kind == "alloc" and worked and not handed and step.pfn is not None:
        filled = [event.fields for event in step.events if event.kind in REFILLS and _moves(event)]
        number = _number(after, filled[-1]["migratetype"], filled[-1].get("order", 0)) if filled else None
        return after.pcp_lists if number is None else _with_head(after.pcp_lists, step, number)
    if step.op.kind == "free" and handed and not worked and step.source != FREE_LISTS and step.block:
        kept = [number for number, pfns in enumerate(after.pcp_lists[step.op.cpu]) if step.pfn in pfns]
        number = kept[0] if kept else _number(after, MIGRATE_NAMES.index(step.block), _order(step))
        return _with_head(before.pcp_lists, step, number)
    return after.pcp_lists if worked or (handed and step.op.kind == "alloc") else before.pcp_lists


def _order(step: Step) -> int:
    """Return the order of the block that an operation frees."""
    return next((event.fields["order"] for event in step.events if event.kind == ev.MM_PAGE_FREE), 0)


def _number(state: ZoneState, migratetype: int, order: int) -> int:
    """Return the number of the list of a type and an order; pages of CMA and reserved ones are on the MOVABLE one."""
    kind = migratetype if migratetype < MIGRATE_PCPTYPES else MIGRATE_MOVABLE
    return int(order_to_pindex(kind, order)) if len(state.pcp_lists[0]) > MIGRATE_PCPTYPES else kind


def _with_head(lists: Lists, step: Step, number: int) -> Lists:
    """Return lists with a step's page at the head of one."""
    page = () if step.pfn is None else (step.pfn,)
    return tuple(
        tuple(page + pfns if (cpu, at) == (step.op.cpu, number) else pfns for at, pfns in enumerate(own))
        for cpu, own in enumerate(lists)
    )


def story(allocator: PageAllocator, text: str, zone: int) -> list[Moment]:
    """Run an operation string and return its moments, the first one before it.  Raises what run_script raises."""
    sizes, order = allocator.sizes.zones[zone], allocator.machine.pageblock_order
    limits = f"batch {sizes.batch}, high {sizes.high or sizes.high_min}"
    scene = Scene(allocator.zone_state(zone), first_block=sizes.zone.start >> order, block_order=order, limits=limits)
    told = [Moment(scene, (("", "before the first operation"),))]
    used: dict[int, tuple[int, int]] = {}
    for step in run_script(allocator, text):
        if step.op.kind == "alloc":
            used[len(used) + 1] = (NO_PAGE, 0) if step.pfn is None else (step.pfn, step.op.order)
        elif step.op.kind == "free":
            used[step.op.handle] = (NO_PAGE, 0)
        held = tuple(one for one in used.values() if one[0] != NO_PAGE)
        after = replace(scene, state=allocator.zone_state(zone), cpu=step.op.cpu, used=held)
        scan = () if allocator.rules.later else may_see(step, allocator.proposal)
        told += moments(step, scene, after, scan) or [Moment(after, (("", step.call),), step)]
        scene = after
    return told


def frames(allocator: PageAllocator, text: str, zone: int) -> list[Picture]:
    """Run an operation string and draw it moment by moment: this CPU's lists, the zone, and what is held.

    Arguments: an allocator that records events; an operation string; the index of the zone to show.
    Raises what run_script raises.
    """
    told = story(allocator, text, zone)
    plan = plan_of([moment.scene for moment in told])
    steps = list({id(moment.step): moment.step for moment in told}.values())
    names = [step.op.text if step else "start" for step in steps]
    owners = [next(n for n, step in enumerate(steps) if step is moment.step) for moment in told]
    drawn = []
    for at, moment in enumerate(told):
        step, before = moment.step, told[at - 1].scene if at else None
        heads = (finding(step), title(step)) if step else ("Before the first operation", "before")
        said = "; ".join(f"{function}: {does}" if function else does for function, does in moment.said)
        spoken = "; ".join(f"<code>{escape(f)}</code> {escape(d)}" if f else escape(d) for f, d in moment.said)
        line = time_line(names, owners, at, "the operations in their order")
        html = captioned(*heads, spoken, draw(moment.scene, plan, before), line)
        drawn.append(Picture(html, "\n".join([heads[1], heads[0], said, *words(moment.scene, before)])))
    return drawn
