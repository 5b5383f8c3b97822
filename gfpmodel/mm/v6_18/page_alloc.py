"""The request path of v6.18: the high mark first, lists for small orders, reserves by free pages, nolock, bulk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.buddy import __rmqueue_smallest
from gfpmodel.mm.events import trace_event
from gfpmodel.mm.jit import compiled, i64, inlined, u64
from gfpmodel.mm.page_alloc import (
    GFP_DIRECT_RECLAIM,
    GFP_HIGH,
    GFP_KSWAPD_RECLAIM,
    GFP_MEMALLOC,
    GFP_NOMEMALLOC,
    GFP_NORETRY,
    GFP_ZONEMASK,
    MAX_RECLAIM_RETRIES,
    alloc_pages_nodemask,
    gfp_migratetype,
    gfp_to_alloc_flags_cma,
    should_reclaim_retry,
    wakeup_kswapd,
)
from gfpmodel.mm.run import NO_RESULT
from gfpmodel.mm.state import NULL, Mm, page_to_pfn, set_flags, zget, zput
from gfpmodel.mm.v6_18.buddy import RMQUEUE_NORMAL, __rmqueue
from gfpmodel.mm.v6_18.highatomic import reserve_after_buddy, reserve_after_scan, unreserve_highatomic_pageblock
from gfpmodel.mm.v6_18.locks import lock_zone, pcp_spin_trylock, pcp_spin_unlock, per_cpu_pages, spin_unlock_irqrestore
from gfpmodel.mm.v6_18.pcp import __rmqueue_pcplist, pcp_allowed_order, rmqueue_pcplist
from gfpmodel.mm.v6_18.watermark import zone_watermark_fast

# a block from a zone


@compiled
def rmqueue_buddy(m: Mm, zone: int, order: int, migratetype: int, alloc_flags: int) -> Any:
    """Take a block under the zone lock, which is only tried with ALLOC_TRYLOCK.

    Models: mm/page_alloc.c:rmqueue_buddy (v6.18).
    """
    if not lock_zone(m, zone, alloc_flags):
        return NULL
    page = i64(NULL)
    if alloc_flags & st.ALLOC_HIGHATOMIC:
        page, _ = __rmqueue_smallest(m, zone, order, st.MIGRATE_HIGHATOMIC, 1)
    if page == NULL:
        page, _, _ = __rmqueue(m, zone, order, migratetype, alloc_flags, RMQUEUE_NORMAL, 1)
        if page == NULL and alloc_flags & (st.ALLOC_OOM | st.ALLOC_NON_BLOCK):
            page, _ = __rmqueue_smallest(m, zone, order, st.MIGRATE_HIGHATOMIC, 1)
    if page != NULL:
        set_flags(m, page, st.IN_USE | order | zone << st.ZONE_SHIFT)
    pfn = page_to_pfn(m, page) if page != NULL else ev.NO_PAGE
    trace_event(m, ev.MM_PAGE_ALLOC_ZONE_LOCKED, zone, pfn, order, migratetype)
    spin_unlock_irqrestore(m, zone)
    if page != NULL:
        reserve_after_buddy(m, zone, page, order, alloc_flags)
    return page


@inlined
def rmqueue(m: Mm, zone: int, cpu: int, order: int, migratetype: int, alloc_flags: int, rule: int) -> Any:
    """Take a block from one zone: from the cpu's lists if its order has some, else, or if they gave none, the buddy's.

    A proposal's row may say which lists are looked at, and that the zone lock is not taken, or only tried.
    Models: mm/page_alloc.c:rmqueue (v6.18).
    """
    refill = zget(m, st.MACHINE, rule + st.REFILL)
    if refill == st.REFILL_TRYLOCK:
        alloc_flags |= st.ALLOC_TRYLOCK
    page = i64(NULL)
    if pcp_allowed_order(m, order):
        first, last = zget(m, st.MACHINE, rule + st.SCAN_FIRST), zget(m, st.MACHINE, rule + st.SCAN_LAST)
        first, last = (migratetype if first < 0 else first), (migratetype if last < 0 else last)
        page = rmqueue_pcplist(m, zone, cpu, order, first, last, alloc_flags, refill)
    if page == NULL and refill != st.REFILL_DECLINE and (refill != st.REFILL_NO or not pcp_allowed_order(m, order)):
        page = rmqueue_buddy(m, zone, order, migratetype, alloc_flags)
    if page == NULL and refill == st.REFILL_DECLINE:
        trace_event(m, ev.DECLINE, zone)
    if alloc_flags & st.ALLOC_KSWAPD and zget(m, zone, st.ZONE_FLAGS) & st.ZONE_BOOSTED_WATERMARK:
        zput(m, zone, st.ZONE_FLAGS, zget(m, zone, st.ZONE_FLAGS) & ~st.ZONE_BOOSTED_WATERMARK)
        wakeup_kswapd(m, zone, 0, zone)
    return page


@inlined
def is_above_high(m: Mm, zone: int, order: int, highest: int, alloc_flags: int) -> Any:
    """Return whether a zone is above its high mark, and note the first time that it is not.

    Models: the beginning of the loop in mm/page_alloc.c:get_page_from_freelist (v6.18).
    """
    if zget(m, zone, st.ZONE_FLAGS) & st.ZONE_BELOW_HIGH:
        return False
    mark = zget(m, zone, st.WMARK + st.ALLOC_WMARK_HIGH) + zget(m, zone, st.BOOST)
    if zone_watermark_fast(m, zone, order, mark, highest, alloc_flags):
        return True
    zput(m, zone, st.ZONE_FLAGS, zget(m, zone, st.ZONE_FLAGS) | st.ZONE_BELOW_HIGH)
    return False


@compiled
def get_page_from_freelist(
    m: Mm, cpu: int, order: int, migratetype: int, highest: int, alloc_flags: int, rule: int
) -> Any:
    """Walk the zonelist: the first zone above its watermark that has a block gives it.

    Models: mm/page_alloc.c:get_page_from_freelist (v6.18); leaves out cpusets, dirty limits, node reclaim.
    """
    first = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    zone = first
    while True:
        if zone < 0:
            mixes = alloc_flags & st.ALLOC_NOFRAGMENT and not zget(m, st.MACHINE, st.DEFRAG_MODE)
            if not mixes or first < 0 or zget(m, st.MACHINE, rule + st.OWN_LOOP):
                return NULL
            alloc_flags &= ~st.ALLOC_NOFRAGMENT  # fragmenting is better than nothing: once more
            zone = first
        mark = zget(m, zone, st.WMARK + (alloc_flags & st.ALLOC_WMARK_MASK)) + zget(m, zone, st.BOOST)
        if (
            is_above_high(m, zone, order, highest, alloc_flags)
            or zone_watermark_fast(m, zone, order, mark, highest, alloc_flags)
            or alloc_flags & st.ALLOC_NO_WATERMARKS
        ):
            page = rmqueue(m, zone, cpu, order, migratetype, alloc_flags, rule)
            if page != NULL:
                reserve_after_scan(m, zone, page, order, alloc_flags)
                return page
        zone = zget(m, zone, st.NEXT_ZONE)


# a request


@inlined
def alloc_flags_nofragment(m: Mm, highest: int, gfp: int) -> Any:
    """Return the flags of the first pass that say whether kswapd may be woken and types be mixed.

    Models: mm/page_alloc.c:alloc_flags_nofragment (v6.18).
    """
    alloc_flags = gfp & GFP_KSWAPD_RECLAIM
    if zget(m, st.MACHINE, st.DEFRAG_MODE) or zget(m, st.MACHINE, st.FIRST_ZONE + highest) == st.ZONE_NORMAL:
        alloc_flags |= st.ALLOC_NOFRAGMENT
    return alloc_flags


@inlined
def gfp_to_alloc_flags(m: Mm, gfp: int, order: int, migratetype: int) -> Any:
    """Return the flags of the slow path.

    Models: mm/page_alloc.c:gfp_to_alloc_flags (v6.18); leaves out realtime tasks.
    """
    alloc_flags = st.ALLOC_WMARK_MIN | st.ALLOC_CPUSET | (gfp & (GFP_HIGH | GFP_KSWAPD_RECLAIM))
    if not gfp & GFP_DIRECT_RECLAIM:
        if not gfp & GFP_NOMEMALLOC:
            alloc_flags |= st.ALLOC_NON_BLOCK
            if order > 0 and gfp & GFP_HIGH:
                alloc_flags |= st.ALLOC_HIGHATOMIC
        if gfp & GFP_HIGH:
            alloc_flags &= ~st.ALLOC_CPUSET
    if zget(m, st.MACHINE, st.DEFRAG_MODE):
        alloc_flags |= st.ALLOC_NOFRAGMENT
    return alloc_flags | gfp_to_alloc_flags_cma(m, migratetype)


@inlined
def __gfp_pfmemalloc_flags(m: Mm, gfp: int, migratetype: int) -> Any:
    """Return the flags of a request that may ignore watermarks, 0 for another.

    Models: mm/page_alloc.c:__gfp_pfmemalloc_flags and the lines that call it (v6.18).
    """
    if not gfp & GFP_MEMALLOC or gfp & GFP_NOMEMALLOC:
        return 0
    return st.ALLOC_NO_WATERMARKS | (gfp & GFP_KSWAPD_RECLAIM) | gfp_to_alloc_flags_cma(m, migratetype)


@inlined
def retry_without_progress(m: Mm, gfp: int, order: int, migratetype: int, highest: int, alloc_flags: int,
                           loops: int) -> Any:  # fmt: skip
    """Return the flags to try again with after ``loops`` tries without progress, -1 to give up.

    Models: the end of the loop of mm/page_alloc.c:__alloc_pages_slowpath (v6.18), without progress of reclaim.
    """
    if loops <= MAX_RECLAIM_RETRIES and should_reclaim_retry(m, order, highest, alloc_flags):
        return alloc_flags
    if unreserve_highatomic_pageblock(m, zget(m, st.MACHINE, st.FIRST_ZONE + highest), migratetype, 1):
        return alloc_flags
    if zget(m, st.MACHINE, st.DEFRAG_MODE) and alloc_flags & st.ALLOC_NOFRAGMENT:
        return alloc_flags & ~st.ALLOC_NOFRAGMENT
    return -1


@inlined
def gives_up(gfp: int, order: int) -> Any:
    """Return whether a request that found nothing may not reclaim, or does not try again after that.

    Models: the middle of the loop of mm/page_alloc.c:__alloc_pages_slowpath (v6.18).
    """
    return not gfp & GFP_DIRECT_RECLAIM or gfp & GFP_NORETRY != 0 or order > st.PAGE_ALLOC_COSTLY_ORDER


@compiled
def alloc_pages_verbatim(m: Mm, cpu: int, gfp: int, order: int, migratetype: int, highest: int, rule: int) -> Any:
    """Go through the whole slow path as the kernel does when reclaim, compaction and OOM make no progress.

    Models: mm/page_alloc.c:__alloc_pages_slowpath (v6.18).
    """
    first = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    alloc_flags = gfp_to_alloc_flags(m, gfp, order, migratetype)
    if alloc_flags & st.ALLOC_KSWAPD:
        wakeup_kswapd(m, first, order_of_wake(m, order), highest)
    page = get_page_from_freelist(m, cpu, order, migratetype, highest, alloc_flags, rule)
    loops = 0
    while page == NULL and alloc_flags >= 0:
        if gfp & GFP_KSWAPD_RECLAIM:
            wakeup_kswapd(m, first, order_of_wake(m, order), highest)
        reserve_flags = __gfp_pfmemalloc_flags(m, gfp, migratetype)
        if reserve_flags:
            alloc_flags = reserve_flags
        page = get_page_from_freelist(m, cpu, order, migratetype, highest, alloc_flags, rule)
        if page != NULL or gives_up(gfp, order):
            return page
        loops += 1
        alloc_flags = retry_without_progress(m, gfp, order, migratetype, highest, alloc_flags, loops)
    if page == NULL:  # __alloc_pages_may_oom looks once more before it would kill
        last = i64(st.ALLOC_WMARK_HIGH | st.ALLOC_CPUSET)
        page = get_page_from_freelist(m, cpu, order, migratetype, highest, last, rule)
    return page


@inlined
def order_of_wake(m: Mm, order: int) -> Any:
    """Return the order for which kswapd is woken: a pageblock's at least where types are never mixed.

    Models: mm/page_alloc.c:wake_all_kswapds (v6.18).
    """
    return max(order, zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)) if zget(m, st.MACHINE, st.DEFRAG_MODE) else order


@compiled
def alloc_pages_slowpath(m: Mm, cpu: int, gfp: int, order: int, migratetype: int, highest: int, rule: int) -> Any:
    """Wake kswapd and scan down to the min watermark.

    Without reclaim that is all but __GFP_MEMALLOC's scan; a machine with slowpath "verbatim" retries like the kernel.
    Models: mm/page_alloc.c:__alloc_pages_slowpath (v6.18); leaves out __GFP_NOFAIL, cpusets and the warning.
    """
    first = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    if first < 0:
        return NULL
    if zget(m, st.MACHINE, st.VERBATIM):
        return alloc_pages_verbatim(m, cpu, gfp, order, migratetype, highest, rule)
    alloc_flags = gfp_to_alloc_flags(m, gfp, order, migratetype)
    if alloc_flags & st.ALLOC_KSWAPD:
        wakeup_kswapd(m, first, order_of_wake(m, order), highest)
    page = get_page_from_freelist(m, cpu, order, migratetype, highest, alloc_flags, rule)
    reserve_flags = __gfp_pfmemalloc_flags(m, gfp, migratetype)
    if page == NULL and reserve_flags:
        page = get_page_from_freelist(m, cpu, order, migratetype, highest, reserve_flags, rule)
    return page


@compiled
def alloc_pages_nolock(m: Mm, cpu: int, order: int) -> Any:
    """Allocate without waiting for any lock; returns the first page, or NULL.

    The caller's mask can only ask for accounting, which is not modelled.
    Models: mm/page_alloc.c:alloc_pages_nolock (v6.18); leaves out the contexts in which PREEMPT_RT refuses.
    """
    if not pcp_allowed_order(m, order):
        return NULL
    flags = i64(st.ALLOC_TRYLOCK)
    page = get_page_from_freelist(m, cpu, order, st.MIGRATE_UNMOVABLE, st.ZONE_NORMAL, flags, st.RULES)
    pfn = page_to_pfn(m, page) if page != NULL else ev.NO_PAGE
    trace_event(m, ev.MM_PAGE_ALLOC, ev.NO_PAGE, pfn, order, st.MIGRATE_UNMOVABLE, 0)
    return page


@compiled
def bulk_zone(m: Mm, gfp: int, migratetype: int, highest: int, amount: int) -> Any:
    """Return the first zone that has so many pages above its low mark, -1 if none has.

    Models: the loop over zones of mm/page_alloc.c:alloc_pages_bulk_noprof (v6.18).
    """
    first = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    alloc_flags = st.ALLOC_WMARK_LOW | gfp_to_alloc_flags_cma(m, migratetype)
    zone = first
    while zone >= 0:
        mark = zget(m, zone, st.WMARK + st.ALLOC_WMARK_LOW) + zget(m, zone, st.BOOST) + amount
        if zone_watermark_fast(m, zone, 0, mark, first, alloc_flags):
            return zone
        zone = zget(m, zone, st.NEXT_ZONE)
    return -1


@compiled
def alloc_pages_bulk_pcp(
    m: Mm, cpu: int, gfp: int, migratetype: int, highest: int, results: NDArray[np.uint32], done: int, stop: int
) -> Any:
    """Take pages from this cpu's lists of one zone for results ``done`` to ``stop``; returns where they end.

    Models: mm/page_alloc.c:alloc_pages_bulk_noprof (v6.18).
    """
    zone = bulk_zone(m, gfp, migratetype, highest, stop - done)
    if zone < 0:
        return done
    pcp = per_cpu_pages(cpu, zone)
    if not pcp_spin_trylock(m, zone, cpu, pcp):
        return done
    alloc_flags = st.ALLOC_WMARK_LOW | gfp_to_alloc_flags_cma(m, migratetype)
    while done < stop:
        page = __rmqueue_pcplist(m, zone, pcp, 0, migratetype, alloc_flags, st.REFILL_YES)
        if page == NULL:
            break
        results[u64(done)] = page_to_pfn(m, page)
        done += 1
    pcp_spin_unlock(m, zone, cpu)
    return done


@compiled
def alloc_pages_bulk(m: Mm, cpu: int, gfp: int, amount: int, results: NDArray[np.uint32], done: int) -> None:
    """Allocate so many single pages, as far as one zone's lists can be filled; else one, as any request would.

    ``results`` from ``done`` on hold them, NO_RESULT behind the last.
    Models: mm/page_alloc.c:alloc_pages_bulk_noprof (v6.18); leaves out an array that has pages already, and memcg.
    """
    stop, at = done + amount, done
    for empty in range(done, stop):
        results[u64(empty)] = NO_RESULT
    if amount > 1:
        masked = gfp & zget(m, st.MACHINE, st.ALLOWED)
        migratetype = gfp_migratetype(m, masked)
        highest = zget(m, st.MACHINE, st.HIGHEST_ZONE + (masked & GFP_ZONEMASK))
        at = alloc_pages_bulk_pcp(m, cpu, masked, migratetype, highest, results, done, stop)
    if at == done and amount > 0:
        page = alloc_pages_nodemask(m, cpu, gfp, 0)
        results[u64(done)] = page_to_pfn(m, page) if page != NULL else NO_RESULT
