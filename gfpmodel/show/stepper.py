"""The allocator, operation by operation: which function ran under which lock, and what the lists look like after it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from gfpmodel.mm import Event, PageAllocator, ZoneState
from gfpmodel.mm import events as ev
from gfpmodel.mm.script import FREE_LISTS, Step, run_script
from gfpmodel.mm.state import MIGRATE_NAMES, MIGRATE_PCPTYPES
from gfpmodel.show.pictures import Picture, table

SHOWN = 8


#: By kind of event: the kernel function it comes from, and what that did; the fields are those of ``_words``.
TOLD = {
    ev.LOCK: ("spin_lock(&zone->lock)", "taken: any other cpu that wants it waits"),
    ev.UNLOCK: ("spin_unlock(&zone->lock)", "released"),
    ev.REFILL_DONE: (
        "rmqueue_bulk",
        "returns: {got} of {batch} pages went to the tail of this cpu's {migratetype} list",
    ),
    ev.BULK_FREE: ("free_pcppages_bulk", "chooses {count} pages, from the tails of the lists in turn"),
    ev.EXTFRAG: (
        "__rmqueue_fallback",
        "{alloc_migratetype} steals {fallback_migratetype} block {pfn} of order {fallback_order}: {owner}",
    ),
    ev.WATERMARK_BOOST: ("boost_watermark", "watermark_boost is now {boost} pages"),
    ev.MOVE_BLOCK: ("move_freepages_block", "{moved} free pages move to the {migratetype} lists"),
    ev.HIGHATOMIC: ("reserve_highatomic_pageblock", "the pageblock of pfn {pfn} is reserved"),
    ev.WAKE_KSWAPD: ("wakeup_kswapd", "takes the lock of kswapd's wait queue if kswapd sleeps"),
    ev.MM_PAGE_ALLOC: ("__alloc_pages_nodemask", "returns {page}"),
    ev.MM_PAGE_FREE: ("free_pages_prepare", "pfn {pfn}, order {order}"),
    ev.MM_PAGE_ALLOC_ZONE_LOCKED: ("__rmqueue", "{page}, order {order}, from the {migratetype} free lists"),
    ev.MM_PAGE_PCPU_DRAIN: ("__free_one_page", "pfn {pfn} goes back as {migratetype}, merges if its buddy is free"),
    ev.IRQ_SAVE: ("local_irq_save", "interrupts off on this cpu"),
    ev.IRQ_RESTORE: ("local_irq_restore", "interrupts on"),
    ev.TRYLOCK: ("spin_trylock(&zone->lock)", "{trylock}"),
    ev.DECLINE: ("zone_lock(zone)", "declines: the request does without &zone->lock"),
    # of later kernels
    ev.PCP_TRYLOCK: ("pcp_spin_trylock", "the lock of cpu {cpu}'s lists: {trylock}"),
    ev.PCP_LOCK: ("spin_lock(&pcp->lock)", "takes the lock of cpu {cpu}'s lists"),
    ev.PCP_UNLOCK: ("pcp_spin_unlock", "the lock of cpu {cpu}'s lists is released"),
    ev.PCP_REFILL: ("rmqueue_bulk", "returns: {got} of {count} blocks of order {order} went to a {migratetype} list"),
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
        "trylock": "succeeds" if found.get("taken") else "fails: another cpu holds it, no waiting",
    }


def tell(event: Event) -> tuple[str, str]:
    """Return the kernel function an event comes from, and what it did, in words."""
    function, words = TOLD[event.kind]
    return function, words.format(**_words(event))


Row = tuple[str, str, str]  #: what is held, kernel function, what it does


def rows(step: Step) -> list[Row]:
    """Return the way of one operation; what is held is what was held when the function was called.

    What a per-cpu list does has no tracepoint in the kernel: those rows are told from the result.
    """
    told: list[Row] = []
    irqs = lock = False
    sections = step.irq_off
    for event in step.events:
        if event.kind == ev.IRQ_RESTORE:
            sections -= 1
            told += [(_holding(irqs, lock), *_taken(step, last=not sections))] if _is_pcp(step, "alloc") else []
            irqs = False
        lock &= event.kind != ev.UNLOCK
        if event.kind != ev.LOCK or not lock:  # after a trylock the engine records the lock as well
            told.append((_holding(irqs, lock), *tell(event)))
        lock |= event.kind == ev.LOCK or (event.kind == ev.TRYLOCK and bool(event.fields["taken"]))
        if event.kind == ev.IRQ_SAVE:
            irqs = True
            put = ("free_unref_page_commit", f"puts the page at the head of {step.source}")
            told += [(_holding(irqs, lock), *put)] if _is_pcp(step, "free") else []
    if step.op.kind == "alloc" and not step.irq_off:
        told.insert(0, (_holding(irqs, lock), "zone_watermark_ok", "every zone is at or below its watermark: skipped"))
    return told


def _holding(irqs: bool, lock: bool) -> str:
    return " + ".join(["irqs off"] * irqs + ["zone->lock"] * lock) or "nothing"


def _is_pcp(step: Step, kind: str) -> bool:
    """Return whether a step is of a kind, and goes through the cpu's lists."""
    return step.op.kind == kind and (step.source != FREE_LISTS if kind == "free" else not step.op.order)


def _taken(step: Step, last: bool) -> tuple[str, str]:
    """Return what a request got from the cpu's lists of a zone, the last one it asked or one before."""
    got = last and step.pfn is not None
    return "__rmqueue_pcplist", f"takes the head of {step.source}" if got else "finds no page on the lists it may see"


def path(step: Step) -> Picture:
    """Draw the way of one operation: what is held, kernel function, what it does."""
    drawn = table(("held", "function", "does"), rows(step))
    return Picture(drawn.html, f"{step.op.text}: {step.call}\n{drawn.text}")


def pages(step: Step) -> Picture:
    """Draw what one operation did with pages, without the locks: those are another kernel's, perhaps."""
    refilled = step.count(ev.REFILL_DONE)
    silent = {TOLD[kind][0] for kind in LOCKING} | ({TOLD[ev.MM_PAGE_ALLOC_ZONE_LOCKED][0]} if refilled else set())
    return table(("function", "does"), [row[1:] for row in rows(step) if row[1] not in silent])


def _named_lists(state: ZoneState) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the lists of a zone with a label: each cpu's three, then the free lists that hold a block."""
    for cpu, lists in enumerate(state.pcp_lists):
        for migratetype in range(MIGRATE_PCPTYPES):
            yield f"cpu {cpu} {MIGRATE_NAMES[migratetype]}", lists[migratetype]
    for order, areas in enumerate(state.free_lists):
        for migratetype, blocks in enumerate(areas):
            if blocks:
                yield f"order {order} {MIGRATE_NAMES[migratetype]}", blocks


def lists(state: ZoneState, before: ZoneState | None = None) -> Picture:
    """Draw a zone's pcp and free lists, head first; what was not on a list before has a plus."""
    old = dict(_named_lists(before)) if before else {}
    body, lines = [], []
    for label, pfns in _named_lists(state):
        new = set(pfns) - set(old.get(label, ())) if before else set()
        chips = "".join(
            f'<b class="{"c" if pfn in new else ""}">{"+" if pfn in new else ""}{pfn}</b>' for pfn in pfns[:SHOWN]
        )
        more = f" … {len(pfns) - SHOWN} more" if len(pfns) > SHOWN else ""
        body.append(f"<dt>{label}</dt><dd>{chips or 'empty'}{more}</dd>")
        text = " ".join(f"{'+' if pfn in new else ''}{pfn}" for pfn in pfns[:SHOWN])
        lines.append(f"  {label:<20}  {text or 'empty'}{more}")
    title = f"free {state.free} pages; on pcp lists {', '.join(str(count) for count in state.pcp_count)}"
    html = f'<p class="gfp-key">{title}</p><dl class="gfp-facts gfp-lists">{"".join(body)}</dl>'
    return Picture(html, "\n".join([title, *lines]))


def title(step: Step) -> str:
    """Return a step in one line: the operation, the call, where the page came from or goes to."""
    if step.source is None:
        return f"{step.op.text}  {step.call}" + (": NULL" if step.op.kind == "alloc" else "")
    way = "from" if step.op.kind == "alloc" else "to"
    return f"{step.op.text}  {step.call}: {way} {step.source}, pageblock {step.block}"


def frames(allocator: PageAllocator, text: str, zone: int) -> list[Picture]:
    """Run an operation string and draw each step: the way it took, and one zone's lists after it.

    Arguments: an allocator that records events; an operation string; the index of the zone to show.
    Raises what run_script raises.
    """
    steps = run_script(allocator, text)
    before = allocator.zone_state(zone)
    drawn = [Picture('<p class="gfp-title">before</p>', "before") + lists(before)]
    for step in steps:
        after = allocator.zone_state(zone)
        head = Picture(f'<p class="gfp-title">{escape(title(step))}</p>', title(step))
        way = table(("held", "function", "does"), rows(step))
        drawn.append(head + way + lists(after, before))
        before = after
    return drawn
