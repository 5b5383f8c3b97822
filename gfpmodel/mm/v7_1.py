"""The rules that v7.1 has in another form than v6.18; all others are v6.18's.

Since when each form holds: the fact sheet of the allocator, section 16.
"""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import state as st
from gfpmodel.mm.jit import compiled, i64, inlined
from gfpmodel.mm.page_alloc import GFP_DIRECT_RECLAIM, wakeup_kswapd
from gfpmodel.mm.state import NULL, Mm, zget
from gfpmodel.mm.v6_18.highatomic import reserve_highatomic_pageblock
from gfpmodel.mm.v6_18.locks import pcp_spin_trylock, pcp_spin_unlock, pget
from gfpmodel.mm.v6_18.page_alloc import (
    __gfp_pfmemalloc_flags,
    get_page_from_freelist,
    gfp_to_alloc_flags,
    gives_up,
    order_of_wake,
    retry_without_progress,
)
from gfpmodel.mm.v6_18.pcp import free_pcppages_bulk


@inlined
def pcp_may_refill(order: int, alloc_flags: int) -> Any:
    """Return whether a request may refill an empty list: an atomic one of order > 0 leaves it to others.

    Models: mm/page_alloc.c:__rmqueue_pcplist (v7.1).
    """
    return not (order > 0 and alloc_flags & st.ALLOC_HIGHATOMIC)


@compiled
def free_excess(m: Mm, zone: int, cpu: int, pcp: int, batch: int, count: int, pindex: int) -> Any:
    """Give pages of lists that are too long back, a batch at a time; returns whether their lock is still held.

    Between two batches others may have the lock, and then the rest stays.
    Models: the bulk free in mm/page_alloc.c:free_frozen_page_commit (v7.1; since v6.19).
    """
    while count > 0 and pget(m, pcp, st.PCP_COUNT) > 0:
        piece = min(count, batch)
        free_pcppages_bulk(m, zone, pcp, piece, pindex)
        count -= piece
        if count == 0 or pget(m, pcp, st.PCP_COUNT) == 0:
            break
        pcp_spin_unlock(m, zone, cpu)
        if not pcp_spin_trylock(m, zone, cpu, pcp):
            return False
    return True


@inlined
def reserve_after_buddy(m: Mm, zone: int, page: int, order: int, alloc_flags: int) -> None:
    """Reserve for a block that came from the buddy lists.

    Models: the end of mm/page_alloc.c:rmqueue_buddy (v7.1).
    """
    if alloc_flags & st.ALLOC_HIGHATOMIC:
        reserve_highatomic_pageblock(m, zone, page, order)


@inlined
def reserve_after_scan(m: Mm, zone: int, page: int, order: int, alloc_flags: int) -> None:
    """Reserve nothing for a block from a list.

    Models: the end of mm/page_alloc.c:get_page_from_freelist (v7.1).
    """


@inlined
def flags_without_reclaim(m: Mm, gfp: int, alloc_flags: int) -> Any:
    """Return the flags with which a request that cannot reclaim tries once more, -1 to give up: it does, before v7.2.

    Models: mm/page_alloc.c:__alloc_pages_slowpath (v7.1).
    """
    return -1


@compiled
def alloc_pages_verbatim(m: Mm, cpu: int, gfp: int, order: int, migratetype: int, highest: int, rule: int) -> Any:
    """Go through the whole slow path as the kernel does when reclaim, compaction and OOM make no progress.

    Models: mm/page_alloc.c:__alloc_pages_slowpath (v7.1; since v7.0).
    """
    first = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    alloc_flags = gfp_to_alloc_flags(m, gfp, order, migratetype)
    loops, initial = 0, True
    while alloc_flags >= 0:
        if alloc_flags & st.ALLOC_KSWAPD:
            wakeup_kswapd(m, first, order_of_wake(m, order), highest)
        page = get_page_from_freelist(m, cpu, order, migratetype, highest, alloc_flags, rule)
        if page != NULL:
            return page
        reserve_flags = __gfp_pfmemalloc_flags(m, gfp, migratetype)
        if reserve_flags:
            alloc_flags = reserve_flags
        if initial and (reserve_flags or not alloc_flags & st.ALLOC_CPUSET):
            initial = False
        elif not gfp & GFP_DIRECT_RECLAIM:
            alloc_flags = flags_without_reclaim(m, gfp, alloc_flags)
            if alloc_flags < 0:
                return NULL
        elif gives_up(gfp, order):
            return NULL
        else:
            loops += 1
            alloc_flags = retry_without_progress(m, gfp, order, migratetype, highest, alloc_flags, loops)
    last = i64(st.ALLOC_WMARK_HIGH | st.ALLOC_CPUSET)  # __alloc_pages_may_oom looks once more before it would kill
    return get_page_from_freelist(m, cpu, order, migratetype, highest, last, rule)
