"""What most requests and frees are, hits: one page from this cpu's list, or to it, without a look at anything else."""

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
)
from gfpmodel.mm.watermark import has_plenty


@inlined
def hit_zone(m: Mm, gfp: int) -> Any:
    """Say how nearly all requests for one page with this mask are served: by the first zone, if it has plenty.

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
def is_hit(m: Mm, cpu: int, zone: int, first: int) -> Any:
    """Return whether this cpu's list has a page for a request that hit_zone() has judged."""
    return zone >= 0 and not list_empty(m, per_cpu_pages(cpu, zone) + first)


@inlined
def alloc_hit(m: Mm, cpu: int, zone: int, first: int) -> Any:
    """Take a page for a request that is a hit."""
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
def record_alloc_hit(m: Mm, at: int, header: Any, cpu: int, zone: int, page: int, gfp: int) -> Any:
    """Record a request with this mask that was a hit, from number ``at`` on; returns the number of the next event."""
    gfp &= zget(m, st.MACHINE, st.ALLOWED)
    at = record_section(m, at, header, zone, cpu)
    migratetype = gfp_migratetype(m, gfp)
    return append(m.trace, at, header, ev.MM_PAGE_ALLOC, ev.NO_PAGE, page_to_pfn(m, page), 0, migratetype, gfp)


@inlined
def record_free_hit(m: Mm, at: int, header: Any, cpu: int, page: int) -> Any:
    """Record a free that was a hit, from number ``at`` on; returns the number of the next event."""
    zone = (get_flags(m, page) & st.ZONE_MASK) >> st.ZONE_SHIFT
    at = append(m.trace, at, header, ev.MM_PAGE_FREE, zone, page_to_pfn(m, page), 0)
    return record_section(m, at, header, zone, cpu)


@inlined
def alloc_pages(m: Mm, cpu: int, gfp: int, order: int) -> Any:
    """Allocate 2**order pages; returns the first, or NULL."""
    zone, first = hit_zone(m, gfp)
    if order > 0 or not is_hit(m, cpu, zone, first):
        return alloc_pages_nodemask(m, cpu, gfp, order)
    page = alloc_hit(m, cpu, zone, first)
    count_irq_off(m.trace, hits_irq_off())
    at = record_alloc_hit(m, next_event(m.trace), header_of(m.trace), cpu, zone, page, gfp)
    set_next_event(m.trace, at)
    return page


@inlined
def free_hit(m: Mm, cpu: int, page: int) -> Any:
    """Free a page as most are: to this cpu's list, which stays below ``high``; returns whether that was so."""
    flags = get_flags(m, page)
    zone = (flags & st.ZONE_MASK) >> st.ZONE_SHIFT
    if flags & (st.STATE_MASK | st.ORDER_MASK) != st.IN_USE or is_nearly_high(m, cpu, zone):
        return False
    put_first(m, zone, cpu, page, get_pageblock_migratetype(m, page))
    return True


@inlined
def free_pages(m: Mm, cpu: int, page: int, order: int) -> None:
    """Free 2**order pages that are in use."""
    if order == 0 and free_hit(m, cpu, page):
        count_irq_off(m.trace, hits_irq_off())
        set_next_event(m.trace, record_free_hit(m, next_event(m.trace), header_of(m.trace), cpu, page))
    else:
        __free_pages(m, cpu, page, order)


@inlined
def put_on_lru(m: Mm, page: int, gfp: int) -> None:
    """Let stealing count a movable page, as one that is in the page cache, if the run asks for it."""
    if gfp & zget(m, st.MACHINE, st.LRU_MASK):
        set_flags(m, page, get_flags(m, page) | st.PG_LRU)
