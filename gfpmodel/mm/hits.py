"""What most requests and frees are, hits: a page from this cpu's list, or to it, without a look at anything else."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.events import append, count_irq_off, header_of, next_event, set_next_event
from gfpmodel.mm.free import __free_pages
from gfpmodel.mm.jit import inlined
from gfpmodel.mm.page_alloc import alloc_pages_nodemask, gfp_migratetype, prepare_alloc_pages, scanned_lists
from gfpmodel.mm.pcp import is_nearly_high, put_first, take_first
from gfpmodel.mm.state import (
    Mm,
    get_flags,
    get_pageblock_migratetype,
    list_empty,
    page_to_pfn,
    per_cpu_pages,
    set_flags,
    zget,
    zput,
)
from gfpmodel.mm.watermark import has_plenty

HASH, HASH_SHIFT = 0x9E3779B1, 28  #: spread masks, which differ in few bits, over the table
MASK_BITS = 34  #: those of a gfp_t, and the marks of a proposal beside them


@inlined
def hit_order(order: int) -> Any:
    """Return the order of a hit: this one, if its blocks have lists, else one that differs from it."""
    return 0


@inlined
def hit_zone(m: Mm, gfp: int, order: int) -> Any:
    """Say how nearly all requests with this mask and order are served: by the first zone, if it has plenty.

    Returns that zone, -1 if the request has to go the long way, and the first list it looks at.  Pages that come and
    go on a cpu's lists do not change the answer.
    """
    rule, gfp, migratetype, highest, alloc_flags = prepare_alloc_pages(m, gfp)
    zone = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    first, last = scanned_lists(m, rule, migratetype)
    if zone >= 0:
        mark = zget(m, zone, st.WMARK + (alloc_flags & st.ALLOC_WMARK_MASK)) + zget(m, zone, st.BOOST)
        if zget(m, zone, st.ZONE_FLAGS) or first > last or not has_plenty(m, zone, mark, highest, alloc_flags):
            zone = -1
    return zone, first


@inlined
def begin_run(m: Mm) -> Any:
    """Begin a run of hits, in which hit_zone() always says the same of a mask; returns its number, of 16 bits."""
    run = zget(m, st.MACHINE, st.HIT_RUNS) + 1 & 0xFFFF
    zput(m, st.MACHINE, st.HIT_RUNS, run)
    if run == 0:
        for entry in range(st.JUDGED):
            zput(m, st.JUDGES, entry, 0)
    return run


@inlined
def judged_zone(m: Mm, gfp: int, order: int, run: int) -> Any:
    """Return what hit_zone() says, from the table of the masks that were asked for in this run of hits.

    A word of it is an order, a mask, the run, and the answer.
    """
    entry = (gfp * HASH >> HASH_SHIFT) + (order << 4) & st.JUDGED - 1
    word = zget(m, st.JUDGES, entry)
    asked = (order << MASK_BITS | gfp) << 16 | run
    if word >> 8 != asked:
        zone, first = hit_zone(m, gfp, order)
        word = asked << 8 | zone + 1 << 4 | first
        zput(m, st.JUDGES, entry, word)
    return (word >> 4 & 0xF) - 1, word & 0xF


@inlined
def is_hit(m: Mm, cpu: int, zone: int, first: int) -> Any:
    """Return whether this cpu's list has a page for a request that hit_zone() has judged."""
    return zone >= 0 and not list_empty(m, per_cpu_pages(cpu, zone) + first)


@inlined
def alloc_hit(m: Mm, cpu: int, zone: int, first: int, order: int) -> Any:
    """Take a block for a request that is a hit."""
    return take_first(m, zone, cpu, first)


@inlined
def hits_irq_off() -> Any:
    """Return how many sections with interrupts off a hit has."""
    return 1


@inlined
def record_section(m: Mm, at: int, header: Any, zone: int, cpu: int) -> Any:
    """Record what a hit does around its look at the lists: interrupts go off and on."""
    at = append(m.trace, at, header, ev.IRQ_SAVE, zone)
    return append(m.trace, at, header, ev.IRQ_RESTORE, zone)


@inlined
def hit_kinds() -> Any:
    """Return the kinds of a hit's events, a bit for each."""
    return 1 << ev.IRQ_SAVE | 1 << ev.IRQ_RESTORE | 1 << ev.MM_PAGE_ALLOC | 1 << ev.MM_PAGE_FREE


@inlined
def write_hit(m: Mm, at: int, header: Any, cpu: int, zone: int, page: int, order: int, freed: bool, gfp: int) -> Any:
    """Write the events of a hit from number ``at`` on; returns the number of the next event."""
    pfn = page_to_pfn(m, page)
    if freed:
        at = append(m.trace, at, header, ev.MM_PAGE_FREE, zone, pfn, order)
    at = record_section(m, at, header, zone, cpu)
    if not freed:
        gfp &= zget(m, st.MACHINE, st.ALLOWED)
        migratetype = gfp_migratetype(m, gfp)
        at = append(m.trace, at, header, ev.MM_PAGE_ALLOC, ev.NO_PAGE, pfn, order, migratetype, gfp)
    return at


@inlined
def record_hit(
    m: Mm, at: int, header: Any, cpu: int, zone: int, page: int, order: int, freed: bool, gfp: int = 0
) -> Any:
    """Record a hit, a free or a request with this mask; returns the number of the next event.

    Its three events are nearly always all wanted, and lie before the ring's end: what each asks is asked once then.
    """
    op, enabled, last = header
    if enabled & hit_kinds() == hit_kinds() and at & last <= last - 3:
        write_hit(m, at & last, (op, -1, -1), cpu, zone, page, order, freed, gfp)
        return at + 3
    return write_hit(m, at, header, cpu, zone, page, order, freed, gfp)


@inlined
def alloc_pages(m: Mm, cpu: int, gfp: int, order: int) -> Any:
    """Allocate 2**order pages; returns the first, or NULL."""
    zone, first = hit_zone(m, gfp, order)
    if hit_order(order) != order or not is_hit(m, cpu, zone, first):
        return alloc_pages_nodemask(m, cpu, gfp, order)
    page = alloc_hit(m, cpu, zone, first, order)
    count_irq_off(m.trace, hits_irq_off())
    at = record_hit(m, next_event(m.trace), header_of(m.trace), cpu, zone, page, order, False, gfp)
    set_next_event(m.trace, at)
    return page


@inlined
def free_hit(m: Mm, cpu: int, page: int, order: int) -> Any:
    """Free a page as most are: to this cpu's list, which stays below ``high``.

    Returns its zone, or -1 if it has to go the long way.
    """
    flags = get_flags(m, page)
    zone = (flags & st.ZONE_MASK) >> st.ZONE_SHIFT
    if flags & (st.STATE_MASK | st.ORDER_MASK) != st.IN_USE or is_nearly_high(m, cpu, zone):
        return -1
    put_first(m, zone, cpu, page, get_pageblock_migratetype(m, page))
    return zone


@inlined
def free_pages(m: Mm, cpu: int, page: int, order: int) -> None:
    """Free 2**order pages that are in use."""
    zone = free_hit(m, cpu, page, order) if hit_order(order) == order else -1
    if zone < 0:
        __free_pages(m, cpu, page, order)
    else:
        count_irq_off(m.trace, hits_irq_off())
        at = record_hit(m, next_event(m.trace), header_of(m.trace), cpu, zone, page, order, True)
        set_next_event(m.trace, at)


@inlined
def put_on_lru(m: Mm, page: int, gfp: int) -> None:
    """Let stealing count a movable page, as one that is in the page cache, if the run asks for it."""
    if gfp & zget(m, st.MACHINE, st.LRU_MASK):
        set_flags(m, page, get_flags(m, page) | st.PG_LRU)
