"""The allocator, moment by moment: which function ran under which lock, and how the pages move because of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape

from gfpmodel.mm import Event, PageAllocator, ZoneState
from gfpmodel.mm import events as ev
from gfpmodel.mm.events import NO_PAGE
from gfpmodel.mm.rules import ORDINARY, Rule
from gfpmodel.mm.script import FREE_LISTS, Step, list_of, run_script
from gfpmodel.mm.state import MIGRATE_MOVABLE, MIGRATE_NAMES, MIGRATE_PCPTYPES
from gfpmodel.mm.v6_18.pcp import order_to_pindex
from gfpmodel.show.allocator import Scene, draw, plan_of, words
from gfpmodel.show.drawn import captioned, time_line
from gfpmodel.show.path import PUT, Told, tell_all, title
from gfpmodel.show.pictures import Picture

Lists = tuple[tuple[tuple[int, ...], ...], ...]  #: of each CPU, by number, first pfns from the head


def lists(state: ZoneState, before: ZoneState | None = None) -> Picture:
    """Draw a zone's pcp and free lists, head first; what was not on a list before has a plus."""
    scene, old = Scene(state), Scene(before) if before else None
    drawn = draw(scene, plan_of([scene, old] if old else [scene]), old)
    return Picture(drawn, "\n".join(words(scene, old)))


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
        html = captioned(*heads, spoken if step else "", draw(moment.scene, plan, before), line)
        drawn.append(Picture(html, "\n".join([heads[1], heads[0], said, *words(moment.scene, before)])))
    return drawn
