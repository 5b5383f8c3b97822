"""The allocator, operation by operation: which function ran under which lock, and what the lists look like after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from gfpmodel.mm import Event, PageAllocator, ZoneState
from gfpmodel.mm import events as ev
from gfpmodel.mm.script import Step, run_script
from gfpmodel.mm.state import MIGRATE_NAMES, MIGRATE_PCPTYPES
from gfpmodel.show.pictures import Picture

SHOWN = 8


def _types(*numbers: int) -> tuple[str, ...]:
    return tuple(MIGRATE_NAMES[number] for number in numbers)


def tell(event: Event) -> tuple[str, str]:
    """Return the kernel function an event comes from, and what it did, in words."""
    v = event.fields
    match event.kind:
        case ev.IRQ_SAVE:
            return "local_irq_save", "interrupts off on this cpu"
        case ev.IRQ_RESTORE:
            return "local_irq_restore", "interrupts on"
        case ev.LOCK:
            return "spin_lock(&zone->lock)", "every other cpu now waits for it"
        case ev.UNLOCK:
            return "spin_unlock(&zone->lock)", "released"
        case ev.TRYLOCK:
            return "spin_trylock(&zone->lock)", "taken" if v["taken"] else "held elsewhere: give up"
        case ev.MM_PAGE_ALLOC_ZONE_LOCKED:
            took = f"takes pfn {v['pfn']}" if v["pfn"] >= 0 else "finds nothing"
            return "__rmqueue_smallest", f"{took}, order {v['order']}, {MIGRATE_NAMES[v['migratetype']]}"
        case ev.REFILL_DONE:
            name = MIGRATE_NAMES[v["migratetype"]]
            return "rmqueue_bulk", f"{v['got']} of {v['batch']} pages to the tail of this cpu's {name} list"
        case ev.BULK_FREE:
            return "free_pcppages_bulk", f"gives {v['count']} pages back, from the tails of the lists in turn"
        case ev.MM_PAGE_PCPU_DRAIN:
            return "__free_one_page", f"pfn {v['pfn']} goes back as {MIGRATE_NAMES[v['migratetype']]} and merges"
        case ev.EXTFRAG:
            start, fallback = _types(v["alloc_migratetype"], v["fallback_migratetype"])
            owner = "the pageblock is now its own" if v["change_ownership"] else "the pageblock keeps its type"
            return "__rmqueue_fallback", f"{start} steals {fallback} block {v['pfn']} of order {v['fallback_order']}: {owner}"
        case ev.WATERMARK_BOOST:
            return "boost_watermark", f"watermark_boost is {v['boost']} pages"
        case ev.MOVE_BLOCK:
            return "move_freepages_block", f"{v['moved']} free pages move to the {MIGRATE_NAMES[v['migratetype']]} lists"
        case ev.HIGHATOMIC:
            return "reserve_highatomic_pageblock", f"the pageblock of {v['pfn']} is reserved"
        case ev.WAKE_KSWAPD:
            return "wakeup_kswapd", "takes kswapd_wait.lock if kswapd sleeps"
        case ev.MM_PAGE_ALLOC:
            return "mm_page_alloc", f"returns pfn {v['pfn']}" if v["pfn"] >= 0 else "returns NULL"
        case _:
            return "mm_page_free", f"pfn {v['pfn']}, order {v['order']}"


def held(events: Iterable[Event]) -> Iterator[tuple[Event, str]]:
    """Yield each event with what is held while it happens: nothing, interrupts off, and zone->lock."""
    irqs, lock = 0, 0
    for event in events:
        irqs -= event.kind == ev.IRQ_RESTORE
        lock -= event.kind == ev.UNLOCK
        yield event, " + ".join(["irqs off"] * bool(irqs) + ["zone->lock"] * bool(lock)) or "nothing"
        irqs += event.kind == ev.IRQ_SAVE
        lock += event.kind == ev.LOCK


def path(step: Step) -> Picture:
    """Draw the way of one operation: held locks, kernel function, what it did."""
    rows = [(what, *tell(event)) for event, what in held(step.events)]
    cells = "".join(f"<tr><td>{escape(h)}</td><td><code>{escape(f)}</code></td><td>{escape(t)}</td></tr>" for h, f, t in rows)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("held", "function", "does"))
    html = f'<div class="gfp-table"><table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table></div>'
    width = max([len(h) for h, _, _ in rows], default=0)
    lines = [f"  {h:<{width}}  {f}: {t}" for h, f, t in rows]
    return Picture(html, "\n".join([f"{step.op.text}: {step.call}", *lines]))


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
    rows, lines = [], []
    for label, pfns in _named_lists(state):
        new = set(pfns) - set(old.get(label, ())) if before else set()
        chips = "".join(
            f'<b class="{"c" if pfn in new else ""}">{"+" if pfn in new else ""}{pfn}</b>' for pfn in pfns[:SHOWN]
        )
        more = f" … {len(pfns) - SHOWN} more" if len(pfns) > SHOWN else ""
        rows.append(f"<dt>{label}</dt><dd>{chips or 'empty'}{more}</dd>")
        text = " ".join(f"{'+' if pfn in new else ''}{pfn}" for pfn in pfns[:SHOWN])
        lines.append(f"  {label:<20}  {text or 'empty'}{more}")
    title = f"free {state.free} pages; on pcp lists {', '.join(str(count) for count in state.pcp_count)}"
    html = f'<p class="gfp-key">{title}</p><dl class="gfp-facts gfp-lists">{"".join(rows)}</dl>'
    return Picture(html, "\n".join([title, *lines]))


def frames(allocator: PageAllocator, text: str, zone: int) -> list[Picture]:
    """Run an operation string and draw each step: the way it took, and one zone's lists after it.

    Arguments: an allocator that records events; an operation string; the index of the zone to show.
    Raises what run_script raises.
    """
    before = allocator.zone_state(zone)
    drawn = [Picture('<p class="gfp-title">before</p>', "before") + lists(before)]
    for number, step in enumerate(run_script(allocator, text), 1):
        after = allocator.zone_state(zone)
        title = f"{number}. {step.op.text}   {step.call}"
        title += f": from {step.origin}, pageblock {step.block}" if step.origin else ""
        drawn.append(Picture(f'<p class="gfp-title">{escape(title)}</p>', title) + path(step) + lists(after, before))
        before = after
    return drawn
