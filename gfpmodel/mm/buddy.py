"""The buddy lists of a zone: take and split, merge and put back, steal from another type."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.events import trace_event
from gfpmodel.mm.jit import compiled, inlined, trailing_zeros, u64
from gfpmodel.mm.state import (
    NULL,
    Mm,
    free_area,
    get,
    get_flags,
    get_pageblock_migratetype,
    list_add,
    list_add_tail,
    list_empty,
    list_pop,
    list_start,
    page_to_pfn,
    put,
    set_flags,
    zadd,
    zget,
    zput,
)


@inlined
def has_block(m: Mm, zone: int, order: int, migratetype: int) -> None:
    """Note that a free list is not empty."""
    zput(m, zone, st.ORDERS + migratetype, zget(m, zone, st.ORDERS + migratetype) | 1 << order)


@inlined
def has_none(m: Mm, zone: int, order: int, migratetype: int) -> None:
    """Note that a free list is empty."""
    zput(m, zone, st.ORDERS + migratetype, zget(m, zone, st.ORDERS + migratetype) & ~(1 << order))


@inlined
def leave_free_list(m: Mm, page: int, zone: int, order: int) -> None:
    """Take a block off the free list it is on, whichever that is, and note it if that list is empty then."""
    after, before = get(m, page, st.NEXT), get(m, page, st.PREV)
    put(m, after, st.PREV, before)
    put(m, before, st.NEXT, after)
    if after == before:  # both are the head
        has_none(m, zone, order, after - free_area(zone, order))


@inlined
def add_to_free_list(m: Mm, page: int, zone: int, order: int, migratetype: int) -> None:
    """Mark a block as free and put it at the head of a free list."""
    set_flags(m, page, order | st.FREE_BUDDY | zone << st.ZONE_SHIFT)
    list_add(m, page, free_area(zone, order) + migratetype)
    has_block(m, zone, order, migratetype)


@inlined
def add_to_free_list_tail(m: Mm, page: int, zone: int, order: int, migratetype: int) -> None:
    """Mark a block as free and put it at the tail of a free list."""
    set_flags(m, page, order | st.FREE_BUDDY | zone << st.ZONE_SHIFT)
    list_add_tail(m, page, free_area(zone, order) + migratetype)
    has_block(m, zone, order, migratetype)


@inlined
def move_to_free_list(m: Mm, page: int, zone: int, order: int, migratetype: int) -> None:
    """Move a free block to the head of another type's list."""
    leave_free_list(m, page, zone, order)
    list_add(m, page, free_area(zone, order) + migratetype)
    has_block(m, zone, order, migratetype)


@inlined
def del_page_from_free_list(m: Mm, page: int, zone: int, order: int) -> None:
    """Take a free block off its list; it is no free block then."""
    leave_free_list(m, page, zone, order)
    set_flags(m, page, 0)


@inlined
def expand(m: Mm, page: int, zone: int, taken: int, high: int, migratetype: int) -> None:
    """Give back what is left of a block of order ``high`` behind the pages that are taken, in the largest blocks.

    The lists of all lower orders are empty, or that block would not have been split; so the orders of what goes on
    them are the bits of its size.
    Models: mm/page_alloc.c:expand (v5.8); leaves out guard pages.
    """
    word = st.ORDERS + migratetype
    zput(m, zone, word, zget(m, zone, word) | (1 << high) - taken)
    while taken < 1 << high:
        order = trailing_zeros(taken)
        set_flags(m, page + taken, order | st.FREE_BUDDY | zone << st.ZONE_SHIFT)
        list_start(m, page + taken, free_area(zone, order) + migratetype)
        taken += 1 << order


@inlined
def taken_from_list(m: Mm, page: int, zone: int, taken: int, migratetype: int) -> None:
    """Let a page that was taken remember its list's type, whatever its pageblock's is.

    Models: mm/page_alloc.c:set_pcppage_migratetype (v5.8).
    """
    set_flags(m, page, zone << st.ZONE_SHIFT | migratetype << st.TYPE_SHIFT)


@inlined
def __rmqueue_smallest(m: Mm, zone: int, order: int, migratetype: int, most: int) -> Any:
    """Take the first block of the smallest order that has one on the list of this type; NULL if none has.

    Of order 0, up to ``most`` pages are taken at once, as far as the block has them: it is split only where all lists
    of lower orders are empty, so the next calls would take the pages behind the first one, in turn.  Returns the first
    page, and how many were taken; its flags are left with the list's type.
    Models: mm/page_alloc.c:__rmqueue_smallest (v5.8).
    """
    orders = zget(m, zone, st.ORDERS + migratetype) >> order
    if orders == 0:
        return NULL, 0
    current_order = order + trailing_zeros(orders)
    head = free_area(zone, current_order) + migratetype
    page = get(m, head, st.NEXT)
    list_pop(m, head, page)
    if list_empty(m, head):
        has_none(m, zone, current_order, migratetype)
    taken = max(1 << order, min(most, 1 << current_order))
    expand(m, page, zone, taken, current_order, migratetype)
    taken_from_list(m, page, zone, taken, migratetype)
    return page, taken


@inlined
def page_zonenum(m: Mm, likely: int, page: int) -> Any:
    """Return the zone that a page's flags name: 0 for a page in no zone.  ``likely`` is looked at first."""
    if zget(m, likely, st.ZONE_START) <= page < zget(m, likely, st.ZONE_END):
        return likely
    zone = st.MAX_NR_ZONES - 1
    while zone > 0 and not zget(m, zone, st.ZONE_START) <= page < zget(m, zone, st.ZONE_END):
        zone -= 1
    return zone


@inlined
def buddy_merge_likely(m: Mm, zone: int, page: int, buddy: int, order: int) -> Any:
    """Return whether the next higher block is free, so that this one may soon merge with its buddy.

    Models: mm/page_alloc.c:buddy_merge_likely (v5.8).
    """
    if order >= st.MAX_ORDER - 2:
        return False
    combined = page & buddy
    flags = get_flags(m, combined ^ (2 << order))
    if flags & (st.STATE_MASK | st.ORDER_MASK) != st.FREE_BUDDY | (order + 1):
        return False
    return page_zonenum(m, zone, combined) == (flags & st.ZONE_MASK) >> st.ZONE_SHIFT


@inlined
def account_freepages(m: Mm, zone: int, pages: int, migratetype: int) -> None:
    """Count pages that come to the free lists of a type, or (negative) leave them.

    Models: include/linux/vmstat.h:__mod_zone_freepage_state (v5.8; later kernels call it account_freepages).
    """
    zadd(m, zone, st.NR_FREE, pages)
    if migratetype == st.MIGRATE_CMA:
        zadd(m, zone, st.NR_FREE_CMA, pages)


@inlined
def may_merge(m: Mm, buddy: int, order: int, migratetype: int) -> Any:
    """Return whether a block of a type may merge with its buddy: types stop nothing without isolated pageblocks.

    Models: the second loop of mm/page_alloc.c:__free_one_page (v5.8).
    """
    return True


@inlined
def __free_one_page(m: Mm, zone: int, page: int, order: int, migratetype: int, to_tail: bool = False) -> None:
    """Put a block back, merged with its buddies as far as they are free, on the list of ``migratetype``.

    Its flags are 0 already, as those of a buddy that it merges with are then.  ``to_tail`` is FPI_TO_TAIL, of kernels
    from v5.11 on.
    Models: mm/page_alloc.c:__free_one_page (v5.8); leaves out guard pages, isolation and page reporting.
    """
    account_freepages(m, zone, 1 << order, migratetype)
    free_here = st.FREE_BUDDY | zone << st.ZONE_SHIFT
    buddy = page
    while order < st.MAX_ORDER - 1:
        buddy = page ^ (1 << order)
        if get_flags(m, buddy) != free_here | order:
            break
        if not may_merge(m, buddy, order, migratetype):
            break
        del_page_from_free_list(m, buddy, zone, order)
        page &= buddy
        order += 1
    if to_tail or buddy_merge_likely(m, zone, page, buddy, order):
        add_to_free_list_tail(m, page, zone, order, migratetype)
    else:
        add_to_free_list(m, page, zone, order, migratetype)


@inlined
def fallback_type(migratetype: int, i: int) -> Any:
    """Return the i-th type (0 or 1) from which a request may steal.

    Models: mm/page_alloc.c:fallbacks (v5.8).
    """
    if i == 0:
        return st.MIGRATE_UNMOVABLE if migratetype == st.MIGRATE_RECLAIMABLE else st.MIGRATE_RECLAIMABLE
    return st.MIGRATE_UNMOVABLE if migratetype == st.MIGRATE_MOVABLE else st.MIGRATE_MOVABLE


@inlined
def find_suitable_fallback(m: Mm, zone: int, order: int, migratetype: int) -> Any:
    """Return the first fallback type that has a free block of this order, or -1.

    Models: mm/page_alloc.c:find_suitable_fallback (v5.8); leaves out only_stealable, which compaction asks for.
    """
    for i in range(2):
        fallback = fallback_type(migratetype, i)
        if zget(m, zone, st.ORDERS + fallback) >> order & 1:
            return fallback
    return -1


@inlined
def can_steal_fallback(m: Mm, order: int, start_mt: int) -> Any:
    """Return whether a steal may take the whole pageblock.

    Models: mm/page_alloc.c:can_steal_fallback (v5.8).
    """
    return (
        order >= zget(m, st.MACHINE, st.PAGEBLOCK_ORDER) // 2
        or start_mt != st.MIGRATE_MOVABLE
        or zget(m, st.MACHINE, st.TYPE_OF_REQUEST) == 0
    )


@compiled
def boost_watermark(m: Mm, zone: int) -> Any:
    """Raise a zone's watermarks by a pageblock, so that kswapd keeps more free and fewer steals follow.

    Returns whether it applied, which v5.8 does not ask.
    Models: mm/page_alloc.c:boost_watermark (v5.8; from v5.11 on it returns that).
    """
    block = 1 << zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)
    factor = zget(m, st.MACHINE, st.BOOST_FACTOR)
    high = zget(m, zone, st.WMARK + st.ALLOC_WMARK_HIGH)
    max_boost = high // 10000 * factor + high % 10000 * factor // 10000
    applies = factor > 0 and block * 4 <= zget(m, zone, st.MANAGED) and max_boost > 0
    if applies:
        max_boost = max(block, max_boost)
        zput(m, zone, st.BOOST, min(zget(m, zone, st.BOOST) + block, max_boost))
    trace_event(m, ev.WATERMARK_BOOST, zone, zget(m, zone, st.BOOST))
    return applies


@compiled
def set_pageblock_migratetype(m: Mm, page: int, migratetype: int) -> None:
    """Give a pageblock a type; without mobility grouping all pcp types are UNMOVABLE.

    Models: mm/page_alloc.c:set_pageblock_migratetype (v5.8).
    """
    if zget(m, st.MACHINE, st.TYPE_OF_REQUEST) == 0 and migratetype < st.MIGRATE_PCPTYPES:
        migratetype = st.MIGRATE_UNMOVABLE
    m.blocks[u64(page >> zget(m, st.MACHINE, st.PAGEBLOCK_ORDER))] = migratetype


@compiled
def move_freepages_block(m: Mm, zone: int, page: int, migratetype: int) -> Any:
    """Move a pageblock's free blocks to the lists of a type; returns (pages moved, movable pages in use).

    Models: mm/page_alloc.c:move_freepages_block and move_freepages (v5.8).
    """
    block = 1 << zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)
    start = page & ~(block - 1)
    end = start + block
    if start < zget(m, zone, st.ZONE_START):
        start = page
    moved, movable = 0, 0
    if end > zget(m, zone, st.ZONE_END):
        return moved, movable
    while start < end:
        flags = get_flags(m, start)
        if flags & st.STATE_MASK == st.FREE_BUDDY:
            order = flags & st.ORDER_MASK
            move_to_free_list(m, start, zone, order, migratetype)
            start += 1 << order
            moved += 1 << order
        else:
            movable += 1 if flags & st.PG_LRU else 0
            start += 1
    return moved, movable


@compiled
def change_pageblock_range(m: Mm, page: int, order: int, migratetype: int) -> None:
    """Give all pageblocks of a block of at least their size a type.

    Models: mm/page_alloc.c:change_pageblock_range (v5.8).
    """
    end = page + (1 << order)
    while page < end:
        set_pageblock_migratetype(m, page, migratetype)
        page += 1 << zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)


@compiled
def claim_pageblock(m: Mm, zone: int, page: int, start_type: int, old_type: int) -> Any:
    """Move a pageblock's free pages to a type, and the pageblock itself if half of it suits; returns pages moved.

    Models: the second half of mm/page_alloc.c:steal_suitable_fallback (v5.8).
    """
    block = 1 << zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)
    moved, movable = move_freepages_block(m, zone, page, start_type)
    trace_event(m, ev.MOVE_BLOCK, zone, page_to_pfn(m, page), start_type, moved, movable)
    alike = 0
    if start_type == st.MIGRATE_MOVABLE:
        alike = movable
    elif old_type == st.MIGRATE_MOVABLE:
        alike = block - (moved + movable)  # in use and not movable: of some type like this one
    if moved and (moved + alike >= block // 2 or zget(m, st.MACHINE, st.TYPE_OF_REQUEST) == 0):
        set_pageblock_migratetype(m, page, start_type)
    return moved


@compiled
def steal_suitable_fallback(m: Mm, zone: int, page: int, alloc_flags: int, start_type: int, whole_block: bool) -> None:
    """Give a free block, and if possible its whole pageblock, to another type.

    Models: mm/page_alloc.c:steal_suitable_fallback (v5.8).
    """
    order = get_flags(m, page) & st.ORDER_MASK
    old_type = get_pageblock_migratetype(m, page)
    if old_type != st.MIGRATE_HIGHATOMIC:
        if order >= zget(m, st.MACHINE, st.PAGEBLOCK_ORDER):
            change_pageblock_range(m, page, order, start_type)
        else:
            boost_watermark(m, zone)
            if alloc_flags & st.ALLOC_KSWAPD:
                zput(m, zone, st.ZONE_FLAGS, zget(m, zone, st.ZONE_FLAGS) | st.ZONE_BOOSTED_WATERMARK)
            if whole_block and claim_pageblock(m, zone, page, start_type, old_type):
                return
    move_to_free_list(m, page, zone, order, start_type)


@compiled
def __rmqueue_fallback(m: Mm, zone: int, order: int, start_type: int, alloc_flags: int) -> Any:
    """Steal a free block of another type, the largest there is; returns whether there was one.

    Models: mm/page_alloc.c:__rmqueue_fallback (v5.8).
    """
    min_order = zget(m, st.MACHINE, st.PAGEBLOCK_ORDER) if alloc_flags & st.ALLOC_NOFRAGMENT else order
    current_order = st.MAX_ORDER - 1
    fallback = -1
    while current_order >= min_order:
        fallback = find_suitable_fallback(m, zone, current_order, start_type)
        if fallback >= 0:
            break
        current_order -= 1
    if fallback < 0:
        return False
    can_steal = can_steal_fallback(m, current_order, start_type)
    if not can_steal and start_type == st.MIGRATE_MOVABLE and current_order > order:
        # it may take only this block, not its pageblock: then rather the smallest
        current_order = order
        fallback = find_suitable_fallback(m, zone, current_order, start_type)
        while fallback < 0:
            current_order += 1
            fallback = find_suitable_fallback(m, zone, current_order, start_type)
        can_steal = can_steal_fallback(m, current_order, start_type)
    page = get(m, free_area(zone, current_order) + fallback, st.NEXT)
    steal_suitable_fallback(m, zone, page, alloc_flags, start_type, can_steal)
    owner = 1 if get_pageblock_migratetype(m, page) == start_type else 0
    pfn = page_to_pfn(m, page)
    trace_event(m, ev.EXTFRAG, zone, pfn, order, current_order, start_type, fallback, owner)
    return True


@inlined
def __rmqueue(m: Mm, zone: int, order: int, migratetype: int, alloc_flags: int, most: int) -> Any:
    """Take a block from the buddy lists: own type, CMA for movable requests, then by stealing.

    Returns it and how many pages were taken (see __rmqueue_smallest): of CMA one at a time, because whether it is next
    depends on how much is left.
    Models: mm/page_alloc.c:__rmqueue (v5.8).
    """
    page, taken = NULL, 0
    # the type is asked last: it is the one answer here that a processor cannot foresee
    if zget(m, zone, st.NR_FREE_CMA) > zget(m, zone, st.NR_FREE) // 2 and migratetype == st.MIGRATE_MOVABLE:
        page, taken = __rmqueue_smallest(m, zone, order, st.MIGRATE_CMA, 1)
    while page == NULL:
        page, taken = __rmqueue_smallest(m, zone, order, migratetype, most)
        if page == NULL and migratetype == st.MIGRATE_MOVABLE and zget(m, zone, st.NR_FREE_CMA) > 0:
            page, taken = __rmqueue_smallest(m, zone, order, st.MIGRATE_CMA, 1)
        if page == NULL and not __rmqueue_fallback(m, zone, order, migratetype, alloc_flags):
            break
    return page, taken
