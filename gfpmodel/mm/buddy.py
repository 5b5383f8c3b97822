"""The buddy lists of a zone: take and split, merge and put back, steal from another type."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm.events import (
    EXTFRAG,
    MM_PAGE_ALLOC_ZONE_LOCKED,
    MOVE_BLOCK,
    NO_PAGE,
    WATERMARK_BOOST,
    trace_event,
)
from gfpmodel.mm.jit import compiled, inlined, u64
from gfpmodel.mm.state import (
    BOOST,
    BOOST_FACTOR,
    FLAGS,
    FREE_BUDDY,
    MACHINE,
    MANAGED,
    MAX_NR_ZONES,
    MAX_ORDER,
    MIGRATE_CMA,
    MIGRATE_HIGHATOMIC,
    MIGRATE_MOVABLE,
    MIGRATE_PCPTYPES,
    MIGRATE_RECLAIMABLE,
    MIGRATE_UNMOVABLE,
    NEXT,
    NR_FREE,
    NR_FREE_CMA,
    NR_FREE_ROW,
    NULL,
    ORDER_MASK,
    PAGEBLOCK_ORDER,
    PG_LRU,
    STATE_MASK,
    TYPE_OF_REQUEST,
    TYPE_SHIFT,
    WMARK,
    ZONE_BOOSTED_WATERMARK,
    ZONE_END,
    ZONE_FLAGS,
    ZONE_MASK,
    ZONE_SHIFT,
    ZONE_START,
    Blocks,
    Pages,
    Trace,
    Zones,
    free_area,
    get,
    get_pageblock_migratetype,
    list_add,
    list_add_tail,
    list_del,
    page_to_pfn,
    put,
    zadd,
    zget,
    zput,
)

ALLOC_WMARK_MIN, ALLOC_WMARK_LOW, ALLOC_WMARK_HIGH = 0, 1, 2
ALLOC_WMARK_MASK = 3
ALLOC_NO_WATERMARKS = 0x4
ALLOC_OOM = 0x8
ALLOC_HARDER = 0x10
ALLOC_HIGH = 0x20
ALLOC_CPUSET = 0x40
ALLOC_CMA = 0x80
ALLOC_NOFRAGMENT = 0x100
ALLOC_KSWAPD = 0x800


@inlined
def add_to_free_list(pages: Pages, page: int, zone: int, order: int, migratetype: int) -> None:
    """Mark a block as free and put it at the head of a free list."""
    area = free_area(zone, order)
    put(pages, page, FLAGS, order | FREE_BUDDY | zone << ZONE_SHIFT)
    list_add(pages, page, area + migratetype)
    put(pages, area + NR_FREE_ROW, 0, get(pages, area + NR_FREE_ROW, 0) + 1)


@inlined
def add_to_free_list_tail(pages: Pages, page: int, zone: int, order: int, migratetype: int) -> None:
    """Mark a block as free and put it at the tail of a free list."""
    area = free_area(zone, order)
    put(pages, page, FLAGS, order | FREE_BUDDY | zone << ZONE_SHIFT)
    list_add_tail(pages, page, area + migratetype)
    put(pages, area + NR_FREE_ROW, 0, get(pages, area + NR_FREE_ROW, 0) + 1)


@inlined
def move_to_free_list(pages: Pages, page: int, zone: int, order: int, migratetype: int) -> None:
    """Move a free block to the head of another type's list."""
    list_del(pages, page)
    list_add(pages, page, free_area(zone, order) + migratetype)


@inlined
def del_page_from_free_list(pages: Pages, page: int, zone: int, order: int) -> None:
    """Take a free block off its list; it is no free block then."""
    area = free_area(zone, order)
    list_del(pages, page)
    put(pages, page, FLAGS, 0)
    put(pages, area + NR_FREE_ROW, 0, get(pages, area + NR_FREE_ROW, 0) - 1)


@inlined
def expand(pages: Pages, page: int, zone: int, low: int, high: int, migratetype: int) -> None:
    """Split a block of order ``high`` down to ``low``: the upper halves go back to the free lists.

    Models: mm/page_alloc.c:expand (v5.8); leaves out guard pages.
    """
    while high > low:
        high -= 1
        add_to_free_list(pages, page + (1 << high), zone, high, migratetype)


@inlined
def __rmqueue_smallest(pages: Pages, zone: int, order: int, migratetype: int) -> Any:
    """Take the first block of the smallest order that has one on the list of this type; NULL if none has.

    Models: mm/page_alloc.c:__rmqueue_smallest (v5.8).
    """
    current_order = order
    while current_order < MAX_ORDER:
        head = free_area(zone, current_order) + migratetype
        page = get(pages, head, NEXT)
        if page != head:
            del_page_from_free_list(pages, page, zone, current_order)
            expand(pages, page, zone, order, current_order, migratetype)
            # set_pcppage_migratetype: the list's type, whatever the pageblock's is
            put(pages, page, FLAGS, zone << ZONE_SHIFT | migratetype << TYPE_SHIFT)
            return page
        current_order += 1
    return NULL


@inlined
def page_zonenum(zones: Zones, likely: int, page: int) -> Any:
    """Return the zone that a page's flags name: 0 for a page in no zone.  ``likely`` is looked at first."""
    if zget(zones, likely, ZONE_START) <= page < zget(zones, likely, ZONE_END):
        return likely
    zone = MAX_NR_ZONES - 1
    while zone > 0 and not zget(zones, zone, ZONE_START) <= page < zget(zones, zone, ZONE_END):
        zone -= 1
    return zone


@inlined
def buddy_merge_likely(pages: Pages, zones: Zones, zone: int, page: int, buddy: int, order: int) -> Any:
    """Return whether the next higher block is free, so that this one may soon merge with its buddy.

    Models: mm/page_alloc.c:buddy_merge_likely (v5.8).
    """
    if order >= MAX_ORDER - 2:
        return False
    combined = page & buddy
    flags = get(pages, combined ^ (2 << order), FLAGS)
    if flags & (STATE_MASK | ORDER_MASK) != FREE_BUDDY | (order + 1):
        return False
    return page_zonenum(zones, zone, combined) == (flags & ZONE_MASK) >> ZONE_SHIFT


@inlined
def __free_one_page(pages: Pages, zones: Zones, zone: int, page: int, order: int, migratetype: int) -> None:
    """Put a block back, merged with its buddies as far as they are free, on the list of ``migratetype``.

    Models: mm/page_alloc.c:__free_one_page (v5.8); leaves out guard pages, isolation and page reporting.
    """
    zadd(zones, zone, NR_FREE, 1 << order)
    if migratetype == MIGRATE_CMA:
        zadd(zones, zone, NR_FREE_CMA, 1 << order)
    free_here = FREE_BUDDY | zone << ZONE_SHIFT
    buddy = page
    while order < MAX_ORDER - 1:
        buddy = page ^ (1 << order)
        if get(pages, buddy, FLAGS) & (STATE_MASK | ORDER_MASK | ZONE_MASK) != free_here | order:
            break
        del_page_from_free_list(pages, buddy, zone, order)
        put(pages, page, FLAGS, 0)
        page &= buddy
        order += 1
    if buddy_merge_likely(pages, zones, zone, page, buddy, order):
        add_to_free_list_tail(pages, page, zone, order, migratetype)
    else:
        add_to_free_list(pages, page, zone, order, migratetype)


@inlined
def fallback_type(migratetype: int, i: int) -> Any:
    """Return the i-th type (0 or 1) from which a request may steal.

    Models: mm/page_alloc.c:fallbacks (v5.8).
    """
    if i == 0:
        return MIGRATE_UNMOVABLE if migratetype == MIGRATE_RECLAIMABLE else MIGRATE_RECLAIMABLE
    return MIGRATE_UNMOVABLE if migratetype == MIGRATE_MOVABLE else MIGRATE_MOVABLE


@compiled
def find_suitable_fallback(pages: Pages, zone: int, order: int, migratetype: int) -> Any:
    """Return the first fallback type that has a free block of this order, or -1.

    Models: mm/page_alloc.c:find_suitable_fallback (v5.8); leaves out only_stealable, which compaction asks for.
    """
    area = free_area(zone, order)
    for i in range(2):
        head = area + fallback_type(migratetype, i)
        if get(pages, head, NEXT) != head:
            return head - area
    return -1


@inlined
def can_steal_fallback(zones: Zones, order: int, start_mt: int) -> Any:
    """Return whether a steal may take the whole pageblock.

    Models: mm/page_alloc.c:can_steal_fallback (v5.8).
    """
    return (
        order >= zget(zones, MACHINE, PAGEBLOCK_ORDER) // 2
        or start_mt != MIGRATE_MOVABLE
        or zget(zones, MACHINE, TYPE_OF_REQUEST) == 0
    )


@compiled
def boost_watermark(zones: Zones, trace: Trace, zone: int) -> None:
    """Raise a zone's watermarks by a pageblock, so that kswapd keeps more free and fewer steals follow.

    Models: mm/page_alloc.c:boost_watermark (v5.8).
    """
    block = 1 << zget(zones, MACHINE, PAGEBLOCK_ORDER)
    factor = zget(zones, MACHINE, BOOST_FACTOR)
    high = zget(zones, zone, WMARK + ALLOC_WMARK_HIGH)
    max_boost = high // 10000 * factor + high % 10000 * factor // 10000
    if factor and block * 4 <= zget(zones, zone, MANAGED) and max_boost:
        max_boost = max(block, max_boost)
        zput(zones, zone, BOOST, min(zget(zones, zone, BOOST) + block, max_boost))
    if trace is not None:
        trace_event(trace, WATERMARK_BOOST, zone, zget(zones, zone, BOOST), 0, 0, 0, 0, 0)


@compiled
def set_pageblock_migratetype(zones: Zones, blocks: Blocks, page: int, migratetype: int) -> None:
    """Give a pageblock a type; without mobility grouping all pcp types are UNMOVABLE.

    Models: mm/page_alloc.c:set_pageblock_migratetype (v5.8).
    """
    if zget(zones, MACHINE, TYPE_OF_REQUEST) == 0 and migratetype < MIGRATE_PCPTYPES:
        migratetype = MIGRATE_UNMOVABLE
    blocks[u64(page >> zget(zones, MACHINE, PAGEBLOCK_ORDER))] = migratetype


@compiled
def move_freepages_block(pages: Pages, zones: Zones, zone: int, page: int, migratetype: int) -> Any:
    """Move a pageblock's free blocks to the lists of a type; returns (pages moved, movable pages in use).

    Models: mm/page_alloc.c:move_freepages_block and move_freepages (v5.8).
    """
    block = 1 << zget(zones, MACHINE, PAGEBLOCK_ORDER)
    start = page & ~(block - 1)
    end = start + block
    if start < zget(zones, zone, ZONE_START):
        start = page
    moved, movable = 0, 0
    if end > zget(zones, zone, ZONE_END):
        return moved, movable
    while start < end:
        flags = get(pages, start, FLAGS)
        if flags & STATE_MASK == FREE_BUDDY:
            order = flags & ORDER_MASK
            move_to_free_list(pages, start, zone, order, migratetype)
            start += 1 << order
            moved += 1 << order
        else:
            movable += 1 if flags & PG_LRU else 0
            start += 1
    return moved, movable


@compiled
def change_pageblock_range(zones: Zones, blocks: Blocks, page: int, order: int, migratetype: int) -> None:
    """Give all pageblocks of a block of at least their size a type.

    Models: mm/page_alloc.c:change_pageblock_range (v5.8).
    """
    end = page + (1 << order)
    while page < end:
        set_pageblock_migratetype(zones, blocks, page, migratetype)
        page += 1 << zget(zones, MACHINE, PAGEBLOCK_ORDER)


@compiled
def claim_pageblock(
    pages: Pages, zones: Zones, blocks: Blocks, trace: Trace, zone: int, page: int, start_type: int, old_type: int
) -> Any:
    """Move a pageblock's free pages to a type, and the pageblock itself if half of it suits; returns pages moved.

    Models: the second half of mm/page_alloc.c:steal_suitable_fallback (v5.8).
    """
    block = 1 << zget(zones, MACHINE, PAGEBLOCK_ORDER)
    moved, movable = move_freepages_block(pages, zones, zone, page, start_type)
    if trace is not None:
        trace_event(trace, MOVE_BLOCK, zone, page_to_pfn(zones, page), start_type, moved, movable, 0, 0)
    alike = 0
    if start_type == MIGRATE_MOVABLE:
        alike = movable
    elif old_type == MIGRATE_MOVABLE:
        alike = block - (moved + movable)  # in use and not movable: of some type like this one
    if moved and (moved + alike >= block // 2 or zget(zones, MACHINE, TYPE_OF_REQUEST) == 0):
        set_pageblock_migratetype(zones, blocks, page, start_type)
    return moved


@compiled
def steal_suitable_fallback(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    zone: int,
    page: int,
    alloc_flags: int,
    start_type: int,
    whole_block: bool,
) -> None:
    """Give a free block, and if possible its whole pageblock, to another type.

    Models: mm/page_alloc.c:steal_suitable_fallback (v5.8).
    """
    order = get(pages, page, FLAGS) & ORDER_MASK
    old_type = get_pageblock_migratetype(zones, blocks, page)
    if old_type != MIGRATE_HIGHATOMIC:
        if order >= zget(zones, MACHINE, PAGEBLOCK_ORDER):
            change_pageblock_range(zones, blocks, page, order, start_type)
        else:
            boost_watermark(zones, trace, zone)
            if alloc_flags & ALLOC_KSWAPD:
                zput(zones, zone, ZONE_FLAGS, zget(zones, zone, ZONE_FLAGS) | ZONE_BOOSTED_WATERMARK)
            if whole_block and claim_pageblock(pages, zones, blocks, trace, zone, page, start_type, old_type):
                return
    move_to_free_list(pages, page, zone, order, start_type)


@compiled
def __rmqueue_fallback(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    zone: int,
    order: int,
    start_type: int,
    alloc_flags: int,
) -> Any:
    """Steal a free block of another type, the largest there is; returns whether there was one.

    Models: mm/page_alloc.c:__rmqueue_fallback (v5.8).
    """
    min_order = zget(zones, MACHINE, PAGEBLOCK_ORDER) if alloc_flags & ALLOC_NOFRAGMENT else order
    current_order = MAX_ORDER - 1
    fallback = -1
    while current_order >= min_order:
        fallback = find_suitable_fallback(pages, zone, current_order, start_type)
        if fallback >= 0:
            break
        current_order -= 1
    if fallback < 0:
        return False
    can_steal = can_steal_fallback(zones, current_order, start_type)
    if not can_steal and start_type == MIGRATE_MOVABLE and current_order > order:
        # it may take only this block, not its pageblock: then rather the smallest
        current_order = order
        fallback = find_suitable_fallback(pages, zone, current_order, start_type)
        while fallback < 0:
            current_order += 1
            fallback = find_suitable_fallback(pages, zone, current_order, start_type)
        can_steal = can_steal_fallback(zones, current_order, start_type)
    page = get(pages, free_area(zone, current_order) + fallback, NEXT)
    steal_suitable_fallback(pages, zones, blocks, trace, zone, page, alloc_flags, start_type, can_steal)
    if trace is not None:
        owner = 1 if get_pageblock_migratetype(zones, blocks, page) == start_type else 0
        pfn = page_to_pfn(zones, page)
        trace_event(trace, EXTFRAG, zone, pfn, order, current_order, start_type, fallback, owner)
    return True


@inlined
def __rmqueue(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    zone: int,
    order: int,
    migratetype: int,
    alloc_flags: int,
) -> Any:
    """Take a block from the buddy lists: own type, CMA for movable requests, then by stealing.

    Models: mm/page_alloc.c:__rmqueue (v5.8).
    """
    page = NULL
    if migratetype == MIGRATE_MOVABLE and zget(zones, zone, NR_FREE_CMA) > zget(zones, zone, NR_FREE) // 2:
        page = __rmqueue_smallest(pages, zone, order, MIGRATE_CMA)
    while page == NULL:
        page = __rmqueue_smallest(pages, zone, order, migratetype)
        if page == NULL and migratetype == MIGRATE_MOVABLE and zget(zones, zone, NR_FREE_CMA) > 0:
            page = __rmqueue_smallest(pages, zone, order, MIGRATE_CMA)
        if page == NULL and not __rmqueue_fallback(pages, zones, blocks, trace, zone, order, migratetype, alloc_flags):
            break
    if trace is not None:
        pfn = page_to_pfn(zones, page) if page != NULL else NO_PAGE
        trace_event(trace, MM_PAGE_ALLOC_ZONE_LOCKED, zone, pfn, order, migratetype, 0, 0, 0)
    return page
