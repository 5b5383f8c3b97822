"""What most requests and frees are in v6.18: a small block from this cpu's list or to it, if nobody holds its lock."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.events import append
from gfpmodel.mm.jit import inlined
from gfpmodel.mm.page_alloc import prepare_alloc_pages, scanned_lists
from gfpmodel.mm.state import Mm, get_flags, list_empty, zget
from gfpmodel.mm.v6_18.locks import pcp_of, per_cpu_pages, pget
from gfpmodel.mm.v6_18.pcp import halve_free_count, order_to_pindex, pcp_migratetype, put_first, take_first
from gfpmodel.mm.v6_18.watermark import has_plenty
from gfpmodel.mm.watermark import has_suitable_block


@inlined
def hit_order(order: int) -> Any:
    """Return the order of a hit: this one, if it is a small one, else one that differs from it."""
    return order & st.PAGE_ALLOC_COSTLY_ORDER


@inlined
def hit_zone(m: Mm, gfp: int, order: int) -> Any:
    """Say how nearly all requests with this mask and order are served: by the first zone, if it has plenty.

    Returns that zone, -1 if the request has to go the long way, and the first list it looks at.
    """
    rule, gfp, migratetype, highest, alloc_flags = prepare_alloc_pages(m, gfp)
    zone = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    first, last = scanned_lists(m, rule, migratetype)
    if zone >= 0:
        flags = zget(m, zone, st.ZONE_FLAGS)
        mark = alloc_flags & st.ALLOC_WMARK_MASK if flags & st.ZONE_BELOW_HIGH else st.ALLOC_WMARK_HIGH
        pages = zget(m, zone, st.WMARK + mark) + zget(m, zone, st.BOOST) + (1 << order) - 1
        odd = first > last or flags & st.ZONE_BOOSTED_WATERMARK or zget(m, st.MACHINE, st.BUSY) != 0
        odd = odd or order > zget(m, st.MACHINE, rule + st.TOP_ORDER)
        odd = odd or (order > 0 and not has_suitable_block(m, zone, order, alloc_flags))
        if odd or not has_plenty(m, zone, pages, highest, alloc_flags):
            zone = -1
    return zone, order_to_pindex(first, order)


@inlined
def may_end_hits(m: Mm, asked: bool, page: int) -> Any:
    """Return whether an operation may have made hits no hits: any may, as which mark is asked depends on a flag."""
    return True


@inlined
def is_hit(m: Mm, head: int) -> Any:
    """Return whether this cpu's list has a page for a request that hit_zone() has judged, and nobody holds its lock."""
    return not list_empty(m, head) and pget(m, pcp_of(head), st.PCP_HELD) == 0


@inlined
def alloc_hit(m: Mm, head: int, flags: int) -> Any:
    """Take a block for a request that is a hit, and give it flags."""
    page = take_first(m, head, flags)
    halve_free_count(m, pcp_of(head))
    return page


@inlined
def hits_irq_off() -> Any:
    """Return how many sections with interrupts off a hit has: none, its lock is only tried."""
    return 0


@inlined
def record_section(m: Mm, at: int, header: Any, zone: int, cpu: int) -> Any:
    """Record what a hit does around its look at the lists: their lock is tried and released."""
    at = append(m.trace, at, header, ev.PCP_TRYLOCK, zone, cpu, 1)
    return append(m.trace, at, header, ev.PCP_UNLOCK, zone, cpu)


@inlined
def hit_kinds() -> Any:
    """Return the kinds of a hit's events, a bit for each."""
    return 1 << ev.PCP_TRYLOCK | 1 << ev.PCP_UNLOCK | 1 << ev.MM_PAGE_ALLOC | 1 << ev.MM_PAGE_FREE


@inlined
def free_hit(m: Mm, cpu: int, page: int, order: int) -> Any:
    """Free a block as most are: to this cpu's list, which stays below ``high``; returns its zone, or -1.

    Before a batch was freed in a row, no free has all blocks of order > 0 given back.
    """
    flags = get_flags(m, page)
    zone = (flags & st.ZONE_MASK) >> st.ZONE_SHIFT
    pcp = per_cpu_pages(cpu, zone)
    high = pget(m, pcp, st.PCP_HIGH)
    if (
        flags & (st.STATE_MASK | st.ORDER_MASK) != st.IN_USE + order
        or pget(m, pcp, st.PCP_COUNT) + (1 << order) >= high
        or (pget(m, pcp, st.PCP_FREE_COUNT) >= pget(m, pcp, st.PCP_BATCH) and order > 0)
        or high < pget(m, pcp, st.PCP_HIGH_MIN)
        or high > pget(m, pcp, st.PCP_HIGH_MAX)
        or pget(m, pcp, st.PCP_HELD) | zget(m, st.MACHINE, st.BUSY)
        or zget(m, zone, st.ZONE_FLAGS) & (st.ZONE_RECLAIM_ACTIVE | st.ZONE_BELOW_HIGH)
    ):
        return -1
    pindex = order_to_pindex(pcp_migratetype(m, page), order)
    put_first(m, zone, pcp, page, pindex, order, pget(m, pcp, st.PCP_FLAGS))
    return zone
