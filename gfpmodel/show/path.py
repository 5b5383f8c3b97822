"""The path of one operation: which kernel function did what, in order, and what was held meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby
from typing import Any

from gfpmodel.mm import Event
from gfpmodel.mm import events as ev
from gfpmodel.mm.script import FREE_LISTS, Step
from gfpmodel.mm.state import MIGRATE_NAMES
from gfpmodel.show.pictures import Picture, table

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
    for event in _in_order(step.events):
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


def _in_order(events: Iterable[Event]) -> list[Event]:
    """Return events as they happen: a refill is recorded after the lock is given back, and was done before."""
    told: list[Event] = []
    for event in events:
        refilled = event.kind in (ev.REFILL_DONE, ev.PCP_REFILL) and told and told[-1].kind == ev.UNLOCK
        told.insert(len(told) - bool(refilled), event)
    return told


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
    return _rows(tell_all(step))


def _rows(told: Sequence[Told]) -> list[Row]:
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
    told = tell_all(step)
    shown = _rows(told)
    body = "".join(_on_the_way(row, one) for row, one in zip(shown, told, strict=True))
    key = "".join(says for kind, says in KEY_OF_BARS.items() if f'<td class="{kind}"><i>' in body)
    text = table(("held", "function", "does"), shown).text
    html = f'<table class="gfp-way"><caption>{escape(title(step))}</caption><tbody>{body}</tbody></table>'
    html += f'<p class="gfp-kinds">{key}</p>' if key else ""
    return Picture(html, f"{step.op.text}: {step.call}\n{text}")


KEY_OF_BARS = {"q": '<i class="q"></i>interrupts off ', "k": '<i class="k"></i>zone-&gt;lock held'}


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


def title(step: Step) -> str:
    """Return a step in one line: the operation, the call, where the page came from or goes to."""
    if step.source is None:
        return f"{step.op.text}  {step.call}" + (": NULL" if step.op.kind == "alloc" else "")
    way = "from" if step.op.kind == "alloc" else "to"
    return f"{step.op.text}  {step.call}: {way} {step.source}, pageblock {step.block}"
