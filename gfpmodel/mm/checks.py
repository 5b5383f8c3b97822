"""Walk a machine's lists and check every invariant of its state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm import state as st
from gfpmodel.mm.buddy import add_to_free_list_tail
from gfpmodel.mm.jit import compiled, entry, inlined
from gfpmodel.mm.state import (
    NULL,
    Mm,
    Silent,
    free_area,
    get,
    get_flags,
    list_add_tail,
    per_cpu_pages,
    put,
    set_flags,
    zget,
)

FAULTS = (
    "",
    "a page on a free list is not marked as free, with the list's order and zone",
    "a free block is not aligned to its size",
    "a block is not within its zone",
    "next and prev of a list disagree",
    "the bits of the orders that have blocks differ from the lists",
    "NR_FREE_PAGES differs from the free lists",
    "NR_FREE_CMA_PAGES differs from the CMA lists",
    "a page on a pcp list is not marked so",
    "a page is on another pcp list than its cached migratetype allows",
    "pcp->count differs from the lists",
    "two free buddies of one order have not merged",
    "a block begins inside another block",
    "a page is marked as free but on no list",
    "free, pcp, used and reserved pages do not add up",
    "managed differs from what boot computed",
    "ZONE_BOOSTED_WATERMARK is set between operations",
    "a counter is negative, or a watermark out of order",
    "a free block is on the list of another type than its pageblock's",
    "nr_free_highatomic differs from the HIGHATOMIC lists",
)


@entry
@compiled
def count_list(m: Silent, head: int) -> Any:
    """Return the length of a list."""
    count, page = 0, get(m, head, st.NEXT)
    while page != head:
        count += 1
        page = get(m, page, st.NEXT)
    return count


@entry
@compiled
def list_pages(m: Silent, head: int, out: NDArray[np.int64]) -> None:
    """Write the rows of a list, head to tail."""
    at, page = 0, get(m, head, st.NEXT)
    while page != head:
        out[at] = page
        at += 1
        page = get(m, page, st.NEXT)


@entry
@compiled
def fill_free_list(m: Silent, zone: int, order: int, migratetype: int, rows: NDArray[np.int64]) -> None:
    """Put blocks on a free list, in this order from head to tail."""
    for i in range(len(rows)):
        add_to_free_list_tail(m, rows[i], zone, order, migratetype)


@entry
@compiled
def fill_pcp_list(
    m: Silent, zone: int, cpu: int, migratetype: int, rows: NDArray[np.int64], cached: NDArray[np.int64]
) -> None:
    """Put pages with their cached types on a pcp list, in this order from head to tail."""
    pcp = per_cpu_pages(cpu, zone)
    for i in range(len(rows)):
        set_flags(m, rows[i], st.ON_PCP | zone << st.ZONE_SHIFT | cached[i] << st.TYPE_SHIFT)
        list_add_tail(m, rows[i], pcp + migratetype)
    put(m, pcp + st.COUNTS_ROW, st.COUNT, get(m, pcp + st.COUNTS_ROW, st.COUNT) + len(rows))


@compiled
def check_free_list(m: Mm, zone: int, order: int, migratetype: int) -> Any:
    """Walk a free list; returns (fault, page, blocks)."""
    head = free_area(zone, order) + migratetype
    blocks, before, page = 0, head, get(m, head, st.NEXT)
    while page != head:
        if get(m, page, st.PREV) != before:
            return 4, page, blocks
        if get_flags(m, page) != st.FREE_BUDDY | order | zone << st.ZONE_SHIFT:
            return 1, page, blocks
        if page & ((1 << order) - 1):
            return 2, page, blocks
        if page < zget(m, zone, st.ZONE_START) or page + (1 << order) > zget(m, zone, st.ZONE_END):
            return 3, page, blocks
        blocks += 1
        before, page = page, get(m, page, st.NEXT)
    return (0 if get(m, head, st.PREV) == before else 4), head, blocks


@compiled
def check_free_areas(m: Mm, zone: int) -> Any:
    """Check the free lists of a zone against its counters; returns (fault, page, blocks)."""
    free, cma, found = 0, 0, 0
    for order in range(st.MAX_ORDER):
        for migratetype in range(st.MIGRATE_CMA + 1):
            fault, page, blocks = check_free_list(m, zone, order, migratetype)
            if fault:
                return fault, page, 0
            if (blocks > 0) != (zget(m, zone, st.ORDERS + migratetype) >> order & 1):
                return 5, NULL, 0
            free += blocks << order
            found += blocks
            cma += blocks << order if migratetype == st.MIGRATE_CMA else 0
    if free != zget(m, zone, st.NR_FREE):
        return 6, NULL, 0
    return (7 if cma != zget(m, zone, st.NR_FREE_CMA) else 0), NULL, found


@compiled
def check_pcp(m: Mm, zone: int, cpu: int) -> Any:
    """Check one cpu's lists in a zone; returns (fault, page, pages on them)."""
    pcp, count = per_cpu_pages(cpu, zone), 0
    for migratetype in range(st.MIGRATE_PCPTYPES):
        head = pcp + migratetype
        before, page = head, get(m, head, st.NEXT)
        while page != head:
            flags = get_flags(m, page)
            if get(m, page, st.PREV) != before:
                return 4, page, 0
            if flags & (st.STATE_MASK | st.ORDER_MASK | st.ZONE_MASK) != st.ON_PCP | zone << st.ZONE_SHIFT:
                return 8, page, 0
            if page < zget(m, zone, st.ZONE_START) or page >= zget(m, zone, st.ZONE_END):
                return 3, page, 0
            cached = (flags & st.TYPE_MASK) >> st.TYPE_SHIFT
            if (cached if cached < st.MIGRATE_PCPTYPES else st.MIGRATE_MOVABLE) != migratetype:
                return 9, page, 0
            count += 1
            before, page = page, get(m, page, st.NEXT)
        if get(m, head, st.PREV) != before:
            return 4, head, 0
    return (10 if count != get(m, pcp + st.COUNTS_ROW, st.COUNT) else 0), NULL, count


@inlined
def must_merge(m: Mm, page: int, buddy: int, order: int) -> Any:
    """Return whether two free buddies may not stay apart: v5.8 merges across types."""
    return True


@compiled
def check_pages(m: Mm, zone: int, free_blocks: int, on_pcp: int) -> Any:
    """Walk all pages of a zone; returns (fault, page).

    Every page is exactly one of: in a free block, on a pcp list, in an allocated block, never given to the allocator.
    """
    page, end = zget(m, zone, st.ZONE_START), zget(m, zone, st.ZONE_END)
    unseen = zget(m, zone, st.UNSEEN)
    while page < end:
        flags = get_flags(m, page)
        state, order = flags & st.STATE_MASK, flags & st.ORDER_MASK
        if state == st.FREE_BUDDY:
            free_blocks -= 1
            buddy = page ^ (1 << order)
            alike = order < st.MAX_ORDER - 1 and get_flags(m, buddy) == flags
            if alike and must_merge(m, page, buddy, order):
                return 11, page
        elif state == st.ON_PCP:
            on_pcp -= 1
        elif state != st.IN_USE:
            unseen -= 1
        for inside in range(page + 1, page + (1 << order)):
            if get_flags(m, inside) & st.STATE_MASK:
                return 12, inside
        page += 1 << order
    if free_blocks or on_pcp:
        return 13, NULL
    return (14 if unseen or page != end else 0), NULL


@compiled
def check_deferred(m: Mm, zone: int) -> Any:
    """Check the blocks that wait to be freed: v5.8 has none; returns (fault, page, how many)."""
    return 0, NULL, 0


@compiled
def check_zone_flags(m: Mm, zone: int) -> Any:
    """Check a zone's flags; returns (fault, page)."""
    return (16 if zget(m, zone, st.ZONE_FLAGS) else 0), NULL


@entry
@compiled
def check_zone(m: Silent, zone: int, cpus: int, managed: int) -> Any:
    """Check one zone; returns (index into FAULTS, row of a page) or (0, 0)."""
    fault, page, free_blocks = check_free_areas(m, zone)
    if fault:
        return fault, page
    on_pcp = 0
    for cpu in range(cpus):
        fault, page, count = check_pcp(m, zone, cpu)
        if fault:
            return fault, page
        on_pcp += count
    fault, page, deferred = check_deferred(m, zone)
    if fault:
        return fault, page
    on_pcp += deferred
    if zget(m, zone, st.MANAGED) != managed:
        return 15, NULL
    fault, page = check_pages(m, zone, free_blocks, on_pcp)
    if not fault:
        fault, page = check_zone_flags(m, zone)
    if fault:
        return fault, page
    counters = min(zget(m, zone, st.BOOST), zget(m, zone, st.NR_HIGHATOMIC), zget(m, zone, st.WMARK))
    ordered = zget(m, zone, st.WMARK) <= zget(m, zone, st.WMARK + 1) <= zget(m, zone, st.WMARK + 2)
    return (17 if counters < 0 or not ordered else 0), NULL
