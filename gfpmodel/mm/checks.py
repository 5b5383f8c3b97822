"""Walk a machine's lists and check every invariant of its state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm.buddy import add_to_free_list_tail
from gfpmodel.mm.jit import compiled, entry
from gfpmodel.mm.state import (
    BOOST,
    COUNT,
    COUNTS_ROW,
    FLAGS,
    FREE_BUDDY,
    IN_USE,
    MANAGED,
    MAX_ORDER,
    MIGRATE_CMA,
    MIGRATE_MOVABLE,
    MIGRATE_PCPTYPES,
    NEXT,
    NR_FREE,
    NR_FREE_CMA,
    NR_FREE_ROW,
    NR_HIGHATOMIC,
    NULL,
    ON_PCP,
    ORDER_MASK,
    PREV,
    STATE_MASK,
    TYPE_MASK,
    TYPE_SHIFT,
    UNSEEN,
    WMARK,
    ZONE_END,
    ZONE_FLAGS,
    ZONE_MASK,
    ZONE_SHIFT,
    ZONE_START,
    Pages,
    Zones,
    free_area,
    get,
    list_add_tail,
    per_cpu_pages,
    put,
    zget,
)

FAULTS = (
    "",
    "a page on a free list is not marked as free, with the list's order and zone",
    "a free block is not aligned to its size",
    "a block is not within its zone",
    "next and prev of a list disagree",
    "nr_free of an order differs from the lists",
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
)


@entry
@compiled
def count_list(pages: Pages, head: int) -> Any:
    """Return the length of a list."""
    count, page = 0, get(pages, head, NEXT)
    while page != head:
        count += 1
        page = get(pages, page, NEXT)
    return count


@entry
@compiled
def list_pages(pages: Pages, head: int, out: NDArray[np.int64]) -> None:
    """Write the rows of a list, head to tail."""
    at, page = 0, get(pages, head, NEXT)
    while page != head:
        out[at] = page
        at += 1
        page = get(pages, page, NEXT)


@entry
@compiled
def fill_free_list(pages: Pages, zone: int, order: int, migratetype: int, rows: NDArray[np.int64]) -> None:
    """Put blocks on a free list, in this order from head to tail."""
    for i in range(len(rows)):
        add_to_free_list_tail(pages, rows[i], zone, order, migratetype)


@entry
@compiled
def fill_pcp_list(
    pages: Pages, zone: int, cpu: int, migratetype: int, rows: NDArray[np.int64], cached: NDArray[np.int64]
) -> None:
    """Put pages with their cached types on a pcp list, in this order from head to tail."""
    pcp = per_cpu_pages(cpu, zone)
    for i in range(len(rows)):
        put(pages, rows[i], FLAGS, ON_PCP | zone << ZONE_SHIFT | cached[i] << TYPE_SHIFT)
        list_add_tail(pages, rows[i], pcp + migratetype)
    put(pages, pcp + COUNTS_ROW, COUNT, get(pages, pcp + COUNTS_ROW, COUNT) + len(rows))


@compiled
def check_free_list(pages: Pages, zones: Zones, zone: int, order: int, migratetype: int) -> Any:
    """Walk a free list; returns (fault, page, blocks)."""
    head = free_area(zone, order) + migratetype
    blocks, before, page = 0, head, get(pages, head, NEXT)
    while page != head:
        if get(pages, page, PREV) != before:
            return 4, page, blocks
        if get(pages, page, FLAGS) & (STATE_MASK | ORDER_MASK | ZONE_MASK) != FREE_BUDDY | order | zone << ZONE_SHIFT:
            return 1, page, blocks
        if page & ((1 << order) - 1):
            return 2, page, blocks
        if page < zget(zones, zone, ZONE_START) or page + (1 << order) > zget(zones, zone, ZONE_END):
            return 3, page, blocks
        blocks += 1
        before, page = page, get(pages, page, NEXT)
    return (0 if get(pages, head, PREV) == before else 4), head, blocks


@compiled
def check_free_areas(pages: Pages, zones: Zones, zone: int) -> Any:
    """Check the free lists of a zone against its counters; returns (fault, page, blocks)."""
    free, cma, found = 0, 0, 0
    for order in range(MAX_ORDER):
        in_order = 0
        for migratetype in range(MIGRATE_CMA + 1):
            fault, page, blocks = check_free_list(pages, zones, zone, order, migratetype)
            if fault:
                return fault, page, 0
            in_order += blocks
            cma += blocks << order if migratetype == MIGRATE_CMA else 0
        if in_order != get(pages, free_area(zone, order) + NR_FREE_ROW, 0):
            return 5, NULL, 0
        free += in_order << order
        found += in_order
    if free != zget(zones, zone, NR_FREE):
        return 6, NULL, 0
    return (7 if cma != zget(zones, zone, NR_FREE_CMA) else 0), NULL, found


@compiled
def check_pcp(pages: Pages, zones: Zones, zone: int, cpu: int) -> Any:
    """Check one cpu's lists in a zone; returns (fault, page, pages on them)."""
    pcp, count = per_cpu_pages(cpu, zone), 0
    for migratetype in range(MIGRATE_PCPTYPES):
        head = pcp + migratetype
        before, page = head, get(pages, head, NEXT)
        while page != head:
            flags = get(pages, page, FLAGS)
            if get(pages, page, PREV) != before:
                return 4, page, 0
            if flags & (STATE_MASK | ORDER_MASK | ZONE_MASK) != ON_PCP | zone << ZONE_SHIFT:
                return 8, page, 0
            if page < zget(zones, zone, ZONE_START) or page >= zget(zones, zone, ZONE_END):
                return 3, page, 0
            cached = (flags & TYPE_MASK) >> TYPE_SHIFT
            if (cached if cached < MIGRATE_PCPTYPES else MIGRATE_MOVABLE) != migratetype:
                return 9, page, 0
            count += 1
            before, page = page, get(pages, page, NEXT)
        if get(pages, head, PREV) != before:
            return 4, head, 0
    return (10 if count != get(pages, pcp + COUNTS_ROW, COUNT) else 0), NULL, count


@compiled
def check_pages(pages: Pages, zones: Zones, zone: int, free_blocks: int, on_pcp: int) -> Any:
    """Walk all pages of a zone; returns (fault, page).

    Every page is exactly one of: in a free block, on a pcp list, in an allocated block, never given to the allocator.
    """
    page, end = zget(zones, zone, ZONE_START), zget(zones, zone, ZONE_END)
    unseen = zget(zones, zone, UNSEEN)
    while page < end:
        flags = get(pages, page, FLAGS)
        state, order = flags & STATE_MASK, flags & ORDER_MASK
        if state == FREE_BUDDY:
            free_blocks -= 1
            buddy = page ^ (1 << order)
            same = STATE_MASK | ORDER_MASK | ZONE_MASK
            if order < MAX_ORDER - 1 and get(pages, buddy, FLAGS) & same == flags & same:
                return 11, page
        elif state == ON_PCP:
            on_pcp -= 1
        elif state != IN_USE:
            unseen -= 1
        for inside in range(page + 1, page + (1 << order)):
            if get(pages, inside, FLAGS) & STATE_MASK:
                return 12, inside
        page += 1 << order
    if free_blocks or on_pcp:
        return 13, NULL
    return (14 if unseen or page != end else 0), NULL


@entry
@compiled
def check_zone(pages: Pages, zones: Zones, zone: int, cpus: int, managed: int) -> Any:
    """Check one zone; returns (index into FAULTS, row of a page) or (0, 0)."""
    fault, page, free_blocks = check_free_areas(pages, zones, zone)
    if fault:
        return fault, page
    on_pcp = 0
    for cpu in range(cpus):
        fault, page, count = check_pcp(pages, zones, zone, cpu)
        if fault:
            return fault, page
        on_pcp += count
    if zget(zones, zone, MANAGED) != managed:
        return 15, NULL
    fault, page = check_pages(pages, zones, zone, free_blocks, on_pcp)
    if fault:
        return fault, page
    if zget(zones, zone, ZONE_FLAGS):
        return 16, NULL
    counters = min(zget(zones, zone, BOOST), zget(zones, zone, NR_HIGHATOMIC), zget(zones, zone, WMARK))
    ordered = zget(zones, zone, WMARK) <= zget(zones, zone, WMARK + 1) <= zget(zones, zone, WMARK + 2)
    return (17 if counters < 0 or not ordered else 0), NULL
