"""The invariants that v6.18 has in another form: lists by order, list type is pageblock type, deferred pages."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm import state as st
from gfpmodel.mm.jit import compiled, entry, inlined
from gfpmodel.mm.state import (
    NULL,
    Mm,
    Silent,
    free_area,
    get,
    get_flags,
    get_pageblock_migratetype,
    list_add_tail,
    set_flags,
    zget,
)
from gfpmodel.mm.v6_18.locks import per_cpu_pages, pget, pput
from gfpmodel.mm.v6_18.pcp import pindex_to_order


@entry
@compiled
def read_pcp(m: Silent, cpu: int, zone: int, out: NDArray[np.int64]) -> None:
    """Write the words of a cpu's lists in a zone: count, high, batch, free_count, alloc_factor, flags, and so on."""
    pcp = per_cpu_pages(cpu, zone)
    for number in range(st.PCP_WORDS):
        out[number] = pget(m, pcp, st.PCP_COUNTS + number)


@entry
@compiled
def write_pcp(m: Silent, cpu: int, zone: int, words: NDArray[np.int64]) -> None:
    """Set the words of a cpu's lists in a zone."""
    pcp = per_cpu_pages(cpu, zone)
    for number in range(st.PCP_WORDS):
        pput(m, pcp, st.PCP_COUNTS + number, words[number])


@entry
@compiled
def fill_pcp_list(
    m: Silent, zone: int, cpu: int, pindex: int, rows: NDArray[np.int64], cached: NDArray[np.int64]
) -> None:
    """Put blocks on a pcp list, in this order from head to tail; a page caches no type."""
    pcp, order = per_cpu_pages(cpu, zone), pindex_to_order(pindex)
    for i in range(len(rows)):
        set_flags(m, rows[i], st.ON_PCP | order | zone << st.ZONE_SHIFT)
        list_add_tail(m, rows[i], pcp + pindex)
    pput(m, pcp, st.PCP_COUNT, pget(m, pcp, st.PCP_COUNT) + (len(rows) << order))


@entry
@compiled
def fill_deferred(m: Silent, zone: int, rows: NDArray[np.int64], orders: NDArray[np.int64]) -> None:
    """Put blocks on the list of those that free_pages_nolock() left, the newest first."""
    for i in range(len(rows)):
        set_flags(m, rows[i], st.DEFERRED | orders[i] | zone << st.ZONE_SHIFT)
        list_add_tail(m, rows[i], free_area(zone, 0) + st.DEFERRED_ROW)


@compiled
def check_pcp(m: Mm, zone: int, cpu: int) -> Any:
    """Check one cpu's lists in a zone; returns (fault, page, blocks on them)."""
    pcp, count, blocks = per_cpu_pages(cpu, zone), 0, 0
    for pindex in range(st.NR_PCP_LISTS):
        head, order = pcp + pindex, pindex_to_order(pindex)
        before, page = head, get(m, head, st.NEXT)
        while page != head:
            flags = get_flags(m, page)
            if get(m, page, st.PREV) != before:
                return 4, page, 0
            if flags & ~st.PG_LRU != st.ON_PCP | order | zone << st.ZONE_SHIFT:
                return 8, page, 0
            if page < zget(m, zone, st.ZONE_START) or page + (1 << order) > zget(m, zone, st.ZONE_END):
                return 3, page, 0
            count += 1 << order
            blocks += 1
            before, page = page, get(m, page, st.NEXT)
        if get(m, head, st.PREV) != before:
            return 4, head, 0
    return (10 if count != pget(m, pcp, st.PCP_COUNT) else 0), NULL, blocks


@inlined
def must_merge(m: Mm, page: int, buddy: int, order: int) -> Any:
    """Return whether two free buddies may not stay apart: pageblocks of HIGHATOMIC or CMA and of others do."""
    if order < zget(m, st.MACHINE, st.PAGEBLOCK_ORDER):
        return True
    one, other = get_pageblock_migratetype(m, page), get_pageblock_migratetype(m, buddy)
    return one == other or (one < st.MIGRATE_PCPTYPES and other < st.MIGRATE_PCPTYPES)


@compiled
def check_deferred(m: Mm, zone: int) -> Any:
    """Check the blocks that wait to be freed; returns (fault, page, how many)."""
    head = free_area(zone, 0) + st.DEFERRED_ROW
    blocks, before, page = 0, head, get(m, head, st.NEXT)
    while page != head:
        if get(m, page, st.PREV) != before:
            return 4, page, 0
        if get_flags(m, page) & ~(st.ORDER_MASK | st.ZONE_MASK) != st.DEFERRED:
            return 8, page, 0
        blocks += 1
        before, page = page, get(m, page, st.NEXT)
    return 0, NULL, blocks


@compiled
def check_zone_flags(m: Mm, zone: int) -> Any:
    """Check that each free block is on the list of its pageblock's type, and the count of HIGHATOMIC ones."""
    highatomic = 0
    for order in range(st.MAX_ORDER):
        for migratetype in range(st.MIGRATE_CMA + 1):
            head = free_area(zone, order) + migratetype
            page = get(m, head, st.NEXT)
            while page != head:
                if get_pageblock_migratetype(m, page) != migratetype:
                    return 18, page
                highatomic += 1 << order if migratetype == st.MIGRATE_HIGHATOMIC else 0
                page = get(m, page, st.NEXT)
    return (19 if highatomic != zget(m, zone, st.NR_FREE_HIGHATOMIC) else 0), NULL
