"""The buddy lists of v6.18: each block on the list of its pageblock's type; claim a pageblock, or steal a block."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.buddy import (
    __free_one_page,
    __rmqueue_smallest,
    boost_watermark,
    can_steal_fallback,
    change_pageblock_range,
    del_page_from_free_list,
    expand,
    find_suitable_fallback,
    has_block,
    leave_free_list,
    set_pageblock_migratetype,
)
from gfpmodel.mm.events import trace_event
from gfpmodel.mm.jit import compiled, inlined
from gfpmodel.mm.state import (
    NULL,
    Mm,
    free_area,
    get,
    get_flags,
    get_pageblock_migratetype,
    list_add_tail,
    page_to_pfn,
    set_flags,
    zadd,
    zget,
    zput,
)

#: Where a refill found its last block: within one hold of the lock what was empty is still empty.
RMQUEUE_NORMAL, RMQUEUE_CMA, RMQUEUE_CLAIM, RMQUEUE_STEAL = range(4)


@inlined
def account_freepages(m: Mm, zone: int, pages: int, migratetype: int) -> None:
    """Count pages that come to the free lists of a type, or (negative) leave them.

    Models: mm/page_alloc.c:account_freepages (v6.18).
    """
    zadd(m, zone, st.NR_FREE, pages)
    if migratetype == st.MIGRATE_CMA:
        zadd(m, zone, st.NR_FREE_CMA, pages)
    elif migratetype == st.MIGRATE_HIGHATOMIC:
        zadd(m, zone, st.NR_FREE_HIGHATOMIC, pages)


@inlined
def taken_from_list(m: Mm, page: int, zone: int, taken: int, migratetype: int) -> None:
    """Count what was taken at once; a page remembers no type.

    Models: the accounting of mm/page_alloc.c:page_del_and_expand (v6.18).
    """
    set_flags(m, page, zone << st.ZONE_SHIFT)
    account_freepages(m, zone, -taken, migratetype)


@inlined
def move_to_free_list(m: Mm, page: int, zone: int, order: int, old_mt: int, new_mt: int) -> None:
    """Move a free block to the tail of another type's list.

    Models: mm/page_alloc.c:move_to_free_list (v6.18).
    """
    leave_free_list(m, page, zone, order)
    list_add_tail(m, page, free_area(zone, order) + new_mt)
    has_block(m, zone, order, new_mt)
    account_freepages(m, zone, -(1 << order), old_mt)
    account_freepages(m, zone, 1 << order, new_mt)


@inlined
def page_zonenum(m: Mm, likely: int, page: int) -> Any:
    """Return the zone that a page's flags name: the zone above for a page in no zone, behind the last the last.

    ``likely`` is looked at first.
    Models: mm/mm_init.c:init_unavailable_range (v6.18).
    """
    if zget(m, likely, st.ZONE_START) <= page < zget(m, likely, st.ZONE_END):
        return likely
    last = 0
    for zone in range(st.MAX_NR_ZONES):
        end = zget(m, zone, st.ZONE_END)
        if end > 0:
            last = zone
            if page < end:
                break
    return last


@inlined
def may_merge(m: Mm, buddy: int, order: int, migratetype: int) -> Any:
    """Return whether a block of a type may merge with its buddy, whose pageblock then gets that type.

    Models: the condition for orders from pageblock_order on in mm/page_alloc.c:__free_one_page (v6.18).
    """
    if order < zget(m, st.MACHINE, st.PAGEBLOCK_ORDER):
        return True
    buddy_mt = get_pageblock_migratetype(m, buddy)
    if buddy_mt != migratetype:
        if buddy_mt >= st.MIGRATE_PCPTYPES or migratetype >= st.MIGRATE_PCPTYPES:
            return False
        change_pageblock_range(m, buddy, order, migratetype)
    return True


@inlined
def split_large_buddy(m: Mm, zone: int, page: int, order: int, to_tail: bool = False) -> None:
    """Put a block back, one of more than a pageblock as pageblocks, each by the type of its own.

    Models: mm/page_alloc.c:split_large_buddy (v6.18).
    """
    end = page + (1 << order)
    part = min(order, zget(m, st.MACHINE, st.PAGEBLOCK_ORDER))
    while page < end:
        __free_one_page(m, zone, page, part, get_pageblock_migratetype(m, page), to_tail)
        page += 1 << part


@inlined
def __free_pages_core(m: Mm, zone: int, page: int, order: int) -> None:
    """Give a block to the buddy lists for the first time: at the tail.

    Models: mm/page_alloc.c:__free_pages_core (v6.18).
    """
    split_large_buddy(m, zone, page, order, True)


@compiled
def prep_move_freepages_block(m: Mm, zone: int, page: int) -> Any:
    """Return whether a page's pageblock lies wholly in the zone, its free pages, and of the others the movable ones.

    Models: mm/page_alloc.c:prep_move_freepages_block (v6.18).
    """
    block = 1 << zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)
    start = page & ~(block - 1)
    end = start + block
    if start < zget(m, zone, st.ZONE_START) or end > zget(m, zone, st.ZONE_END):
        return False, -1, -1
    free, movable = 0, 0
    while start < end:
        flags = get_flags(m, start)
        if flags & st.STATE_MASK == st.FREE_BUDDY:
            free += 1 << (flags & st.ORDER_MASK)
            start += 1 << (flags & st.ORDER_MASK)
        else:
            movable += 1 if flags & st.PG_LRU else 0
            start += 1
    return True, free, movable


@compiled
def __move_freepages_block(m: Mm, zone: int, page: int, old_mt: int, new_mt: int) -> Any:
    """Move the free blocks of a page's pageblock from one type's lists to another's; returns how many pages.

    Models: mm/page_alloc.c:__move_freepages_block (v6.18).
    """
    block = 1 << zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)
    start = page & ~(block - 1)
    at, end, moved = start, start + block, 0
    while at < end:
        flags = get_flags(m, at)
        if flags & st.STATE_MASK != st.FREE_BUDDY:
            at += 1
            continue
        order = flags & st.ORDER_MASK
        move_to_free_list(m, at, zone, order, old_mt, new_mt)
        at += 1 << order
        moved += 1 << order
    trace_event(m, ev.MOVE_FREEPAGES, zone, page_to_pfn(m, start), old_mt, new_mt, moved)
    return moved


@compiled
def move_freepages_block(m: Mm, zone: int, page: int, old_mt: int, new_mt: int) -> Any:
    """Give a pageblock and its free blocks to another type; returns pages moved, -1 for one not wholly in the zone.

    Models: mm/page_alloc.c:move_freepages_block (v6.18).
    """
    whole, _, _ = prep_move_freepages_block(m, zone, page)
    trace_event(m, ev.PREP_MOVE, zone, page_to_pfn(m, page), -1, 1 if whole else 0, -1)
    if not whole:
        return -1
    moved = __move_freepages_block(m, zone, page, old_mt, new_mt)
    set_pageblock_migratetype(m, page, new_mt)
    return moved


@compiled
def try_to_claim_block(
    m: Mm, zone: int, page: int, current_order: int, order: int, start_type: int, block_type: int, alloc_flags: int
) -> Any:
    """Take a block from another type's list if its whole pageblock can have the request's type; NULL if not.

    Models: mm/page_alloc.c:try_to_claim_block (v6.18).
    """
    pageblock_order = zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)
    if current_order >= pageblock_order:
        del_page_from_free_list(m, page, zone, current_order)
        change_pageblock_range(m, page, current_order, start_type)
        expand(m, page, zone, 1 << order, current_order, start_type)
        account_freepages(m, zone, -(1 << order), start_type)
        return page
    if boost_watermark(m, zone) and alloc_flags & st.ALLOC_KSWAPD:
        zput(m, zone, st.ZONE_FLAGS, zget(m, zone, st.ZONE_FLAGS) | st.ZONE_BOOSTED_WATERMARK)
    whole, free, movable = prep_move_freepages_block(m, zone, page)
    trace_event(m, ev.PREP_MOVE, zone, page_to_pfn(m, page), free, 1 if whole else 0, movable)
    if not whole:
        return NULL
    alike = 0
    if start_type == st.MIGRATE_MOVABLE:
        alike = movable
    elif block_type == st.MIGRATE_MOVABLE:
        alike = (1 << pageblock_order) - (free + movable)  # in use and not movable: of some type like this one
    if free + alike < 1 << (pageblock_order - 1) and zget(m, st.MACHINE, st.TYPE_OF_REQUEST) != 0:
        return NULL
    __move_freepages_block(m, zone, page, block_type, start_type)
    set_pageblock_migratetype(m, page, start_type)
    page, _ = __rmqueue_smallest(m, zone, order, start_type, 1)
    return page


@compiled
def trace_extfrag(m: Mm, zone: int, page: int, order: int, current_order: int, start_type: int, fallback: int) -> None:
    """Record that a block of another type was used.

    Models: the tracepoint mm_page_alloc_extfrag (v6.18), which names the page that the caller gets.
    """
    owner = 1 if get_pageblock_migratetype(m, page) == start_type else 0
    trace_event(m, ev.EXTFRAG, zone, page_to_pfn(m, page), order, current_order, start_type, fallback, owner)


@compiled
def __rmqueue_claim(m: Mm, zone: int, order: int, start_type: int, alloc_flags: int) -> Any:
    """Claim a pageblock of another type, from the largest free blocks down; NULL if none can be claimed.

    Models: mm/page_alloc.c:__rmqueue_claim (v6.18).
    """
    min_order = order
    if alloc_flags & st.ALLOC_NOFRAGMENT:
        min_order = max(order, zget(m, st.MACHINE, st.PAGEBLOCK_ORDER))
    current_order = st.MAX_ORDER - 1
    while current_order >= min_order and can_steal_fallback(m, current_order, start_type):
        fallback = find_suitable_fallback(m, zone, current_order, start_type)
        if fallback >= 0:
            page = get(m, free_area(zone, current_order) + fallback, st.NEXT)
            page = try_to_claim_block(m, zone, page, current_order, order, start_type, fallback, alloc_flags)
            if page != NULL:
                trace_extfrag(m, zone, page, order, current_order, start_type, fallback)
                return page
        current_order -= 1
    return NULL


@compiled
def __rmqueue_steal(m: Mm, zone: int, order: int, start_type: int) -> Any:
    """Take a block of another type and leave its pageblock as it is, from the smallest blocks up.

    Models: mm/page_alloc.c:__rmqueue_steal (v6.18).
    """
    for current_order in range(order, st.MAX_ORDER):
        fallback = find_suitable_fallback(m, zone, current_order, start_type)
        if fallback >= 0:
            page = get(m, free_area(zone, current_order) + fallback, st.NEXT)
            del_page_from_free_list(m, page, zone, current_order)
            expand(m, page, zone, 1 << order, current_order, fallback)
            taken_from_list(m, page, zone, 1 << order, fallback)
            trace_extfrag(m, zone, page, order, current_order, start_type, fallback)
            return page
    return NULL


@compiled
def rmqueue_fallback(m: Mm, zone: int, order: int, migratetype: int, alloc_flags: int, mode: int) -> Any:
    """Take a block from where the request's own lists have none; returns (page, pages taken, mode).

    Models: the second half of mm/page_alloc.c:__rmqueue (v6.18).
    """
    if mode <= RMQUEUE_CMA and alloc_flags & st.ALLOC_CMA:
        page, taken = __rmqueue_smallest(m, zone, order, st.MIGRATE_CMA, 1)
        if page != NULL:
            return page, taken, RMQUEUE_CMA
    if mode <= RMQUEUE_CLAIM:
        page = __rmqueue_claim(m, zone, order, migratetype, alloc_flags)
        if page != NULL:
            return page, 1 << order, RMQUEUE_NORMAL
    if not alloc_flags & st.ALLOC_NOFRAGMENT:
        page = __rmqueue_steal(m, zone, order, migratetype)
        if page != NULL:
            return page, 1 << order, RMQUEUE_STEAL
    return NULL, 0, mode


@inlined
def __rmqueue(m: Mm, zone: int, order: int, migratetype: int, alloc_flags: int, mode: int, most: int) -> Any:
    """Take a block from the buddy lists: own type, CMA, by claiming, by stealing; returns (page, pages taken, mode).

    Up to ``most`` pages come at once (see __rmqueue_smallest), but one at a time where what is left of CMA decides.
    Models: mm/page_alloc.c:__rmqueue (v6.18).
    """
    if alloc_flags & st.ALLOC_CMA and zget(m, zone, st.NR_FREE_CMA) > zget(m, zone, st.NR_FREE) // 2:
        page, taken = __rmqueue_smallest(m, zone, order, st.MIGRATE_CMA, 1)
        if page != NULL:
            return page, taken, mode
    if mode == RMQUEUE_NORMAL:
        most = 1 if alloc_flags & st.ALLOC_CMA else most
        page, taken = __rmqueue_smallest(m, zone, order, migratetype, most)
        if page != NULL:
            return page, taken, mode
    return rmqueue_fallback(m, zone, order, migratetype, alloc_flags, mode)
