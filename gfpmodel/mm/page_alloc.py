"""The request path: mask and order in, page out; zone walk, blocks and lists, and the slow path."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.buddy import __rmqueue, __rmqueue_smallest
from gfpmodel.mm.events import local_irq_restore, local_irq_save, spin_lock, spin_unlock, trace_event
from gfpmodel.mm.highatomic import reserve_highatomic_pageblock, unreserve_highatomic_pageblock
from gfpmodel.mm.jit import compiled, i64, inlined
from gfpmodel.mm.pcp import may_lock, rmqueue_pcplist
from gfpmodel.mm.state import NULL, Mm, get_flags, page_to_pfn, set_flags, zadd, zget, zput
from gfpmodel.mm.watermark import zone_watermark_fast, zone_watermark_ok

# The bits of v5.8 that the request path itself looks at (gfpmodel.gfp has the names and all other kernels).
GFP_ZONEMASK = 0xF
GFP_MOVABLE_SHIFT = 3
GFP_HIGH = 0x20
GFP_ATOMIC_BIT = 0x200
GFP_DIRECT_RECLAIM = 0x400
GFP_KSWAPD_RECLAIM = 0x800
GFP_RETRY_MAYFAIL = 0x4000
GFP_NORETRY = 0x10000
GFP_MEMALLOC = 0x20000
GFP_NOMEMALLOC = 0x80000
MAX_RECLAIM_RETRIES = 16


@compiled
def wakeup_kswapd(m: Mm, zone: int, order: int, highest: int) -> None:
    """Record that kswapd is woken; kswapd itself never runs here.

    Models: mm/vmscan.c:wakeup_kswapd (v5.8), its call only.
    """
    trace_event(m, ev.WAKE_KSWAPD, zone, order, highest)


@compiled
def may_split(m: Mm, zone: int, refill: int) -> Any:
    """Return whether a rule that does not wait gets the zone lock for a block; one that declines it stops inside.

    Models: mm/page_alloc.c:rmqueue_buddy (v6.15) with ALLOC_TRYLOCK; the declined lock is no kernel's.
    """
    if refill == st.REFILL_TRYLOCK:
        return may_lock(m, zone, refill)
    local_irq_save(m, zone)
    may_lock(m, zone, refill)
    local_irq_restore(m, zone)
    return False


@compiled
def rmqueue_buddy(m: Mm, zone: int, order: int, migratetype: int, alloc_flags: int, refill: int) -> Any:
    """Take a block of order > 0 under the zone lock, if the rule has it.

    Models: the second half of mm/page_alloc.c:rmqueue (v5.8; later kernels call it rmqueue_buddy).
    """
    if refill > st.REFILL_YES and not may_split(m, zone, refill):
        return NULL
    local_irq_save(m, zone)
    spin_lock(m, zone)
    page = NULL
    if alloc_flags & st.ALLOC_HARDER:
        page, _ = __rmqueue_smallest(m, zone, order, st.MIGRATE_HIGHATOMIC, 1)
        if page != NULL:
            pfn = page_to_pfn(m, page)
            trace_event(m, ev.MM_PAGE_ALLOC_ZONE_LOCKED, zone, pfn, order, migratetype)
    if page == NULL:
        page, _ = __rmqueue(m, zone, order, migratetype, alloc_flags, 1)
        pfn = page_to_pfn(m, page) if page != NULL else ev.NO_PAGE
        trace_event(m, ev.MM_PAGE_ALLOC_ZONE_LOCKED, zone, pfn, order, migratetype)
    if page != NULL:
        zadd(m, zone, st.NR_FREE, -(1 << order))
        if get_flags(m, page) & st.TYPE_MASK == st.MIGRATE_CMA << st.TYPE_SHIFT:
            zadd(m, zone, st.NR_FREE_CMA, -(1 << order))
        set_flags(m, page, st.IN_USE | order | zone << st.ZONE_SHIFT)
    spin_unlock(m, zone)
    local_irq_restore(m, zone)
    return page


@inlined
def scanned_lists(m: Mm, rule: int, migratetype: int) -> Any:
    """Return the first and the last of a cpu's lists that a rule looks at."""
    first, last = zget(m, st.MACHINE, rule + st.SCAN_FIRST), zget(m, st.MACHINE, rule + st.SCAN_LAST)
    return (migratetype if first < 0 else first), (migratetype if last < 0 else last)


@inlined
def rmqueue(m: Mm, zone: int, cpu: int, order: int, migratetype: int, alloc_flags: int, rule: int) -> Any:
    """Take a block from one zone: order 0 from the cpu's lists, the others from the buddy lists.

    Models: mm/page_alloc.c:rmqueue (v5.8).
    """
    refill = zget(m, st.MACHINE, rule + st.REFILL)
    if order == 0:
        first, last = scanned_lists(m, rule, migratetype)
        page = rmqueue_pcplist(m, zone, cpu, first, last, alloc_flags, refill)
    else:
        page = rmqueue_buddy(m, zone, order, migratetype, alloc_flags, refill)
        if page == NULL:
            return NULL
    if zget(m, zone, st.ZONE_FLAGS) & st.ZONE_BOOSTED_WATERMARK:  # not asked whether the mask allows it
        if zget(m, st.MACHINE, rule + st.OWN_LOOP):
            return page
        zput(m, zone, st.ZONE_FLAGS, zget(m, zone, st.ZONE_FLAGS) & ~st.ZONE_BOOSTED_WATERMARK)
        wakeup_kswapd(m, zone, 0, zone)
    return page


@compiled
def get_page_from_freelist(
    m: Mm, cpu: int, order: int, migratetype: int, highest: int, alloc_flags: int, rule: int
) -> Any:
    """Walk the zonelist: the first zone above its watermark that has a page gives it.

    A proposal's own loop over the zones ends with the last one, and does nothing for the zone it took from; both are
    asked only where the ordinary path does something rare.
    Models: mm/page_alloc.c:get_page_from_freelist (v5.8); leaves out cpusets, dirty limits, node reclaim.
    """
    first = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    zone = first
    while True:
        if zone < 0:
            if not alloc_flags & st.ALLOC_NOFRAGMENT or zget(m, st.MACHINE, rule + st.OWN_LOOP):
                return NULL
            alloc_flags &= ~st.ALLOC_NOFRAGMENT  # fragmenting is better than nothing: once more
            zone = first
            if zone < 0:
                return NULL
        mark = zget(m, zone, st.WMARK + (alloc_flags & st.ALLOC_WMARK_MASK)) + zget(m, zone, st.BOOST)
        if zone_watermark_fast(m, zone, order, mark, highest, alloc_flags) or alloc_flags & st.ALLOC_NO_WATERMARKS:
            page = rmqueue(m, zone, cpu, order, migratetype, alloc_flags, rule)
            if page != NULL:
                if order > 0 and alloc_flags & st.ALLOC_HARDER:
                    reserve_highatomic_pageblock(m, zone, page)
                return page
        zone = zget(m, zone, st.NEXT_ZONE)


@inlined
def gfp_to_alloc_flags_cma(m: Mm, migratetype: int) -> Any:
    """Return ALLOC_CMA for a movable request on a machine with CMA, else 0.

    Models: mm/page_alloc.c:current_alloc_flags (v5.10; v5.8 has it in two places, later gfp_to_alloc_flags_cma).
    """
    return st.ALLOC_CMA if zget(m, st.MACHINE, st.CMA_ON) and migratetype == st.MIGRATE_MOVABLE else 0


@inlined
def alloc_flags_nofragment(m: Mm, highest: int, gfp: int) -> Any:
    """Return the flags of the first pass that say whether kswapd may be woken and types be mixed.

    Models: mm/page_alloc.c:alloc_flags_nofragment (v5.8).
    """
    alloc_flags = gfp & GFP_KSWAPD_RECLAIM
    if zget(m, st.MACHINE, st.FIRST_ZONE + highest) == st.ZONE_NORMAL:
        alloc_flags |= st.ALLOC_NOFRAGMENT
    return alloc_flags


@inlined
def alloc_flags_first_pass(gfp: int, order: int) -> Any:
    """Return what else the first pass may do: nothing, before v7.3.

    Models: mm/page_alloc.c:__alloc_pages_nodemask (v5.8).
    """
    return 0


@inlined
def gfp_to_alloc_flags(m: Mm, gfp: int, migratetype: int) -> Any:
    """Return the flags of the slow path.

    Models: mm/page_alloc.c:gfp_to_alloc_flags (v5.8); leaves out realtime tasks.
    """
    alloc_flags = st.ALLOC_WMARK_MIN | st.ALLOC_CPUSET | (gfp & (GFP_HIGH | GFP_KSWAPD_RECLAIM))
    if gfp & GFP_ATOMIC_BIT:
        if not gfp & GFP_NOMEMALLOC:
            alloc_flags |= st.ALLOC_HARDER
        alloc_flags &= ~st.ALLOC_CPUSET
    return alloc_flags | gfp_to_alloc_flags_cma(m, migratetype)


@compiled
def should_reclaim_retry(m: Mm, order: int, highest: int, alloc_flags: int) -> Any:
    """Return whether a zone would pass its min watermark if all it has were free (nothing is reclaimable here).

    Models: mm/page_alloc.c:should_reclaim_retry (v5.8).
    """
    zone = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    while zone >= 0:
        mark = zget(m, zone, st.WMARK) + zget(m, zone, st.BOOST)
        free = zget(m, zone, st.NR_FREE)
        if zone_watermark_ok(m, zone, order, mark, highest, alloc_flags, free):
            return True
        zone = zget(m, zone, st.NEXT_ZONE)
    return False


@compiled
def retry_without_progress(
    m: Mm, cpu: int, gfp: int, order: int, migratetype: int, highest: int, alloc_flags: int, rule: int
) -> Any:
    """Go on as the kernel does when reclaim, compaction and OOM make no progress, until it gives up.

    Models: mm/page_alloc.c:__alloc_pages_slowpath (v5.8) from its label `retry` on.
    """
    first = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    hopeless = gfp & GFP_NORETRY or (order > st.PAGE_ALLOC_COSTLY_ORDER and not gfp & GFP_RETRY_MAYFAIL)
    if order > st.PAGE_ALLOC_COSTLY_ORDER and gfp & GFP_NORETRY and gfp & GFP_DIRECT_RECLAIM:
        return NULL  # compaction was skipped
    no_progress_loops = 0
    while True:
        if alloc_flags & st.ALLOC_KSWAPD:
            wakeup_kswapd(m, first, order, highest)
        if gfp & GFP_MEMALLOC and not gfp & GFP_NOMEMALLOC:
            alloc_flags = st.ALLOC_NO_WATERMARKS
        page = get_page_from_freelist(m, cpu, order, migratetype, highest, alloc_flags, rule)
        if page != NULL or hopeless or not gfp & GFP_DIRECT_RECLAIM:
            return page
        no_progress_loops += 1
        if no_progress_loops > MAX_RECLAIM_RETRIES:
            again = unreserve_highatomic_pageblock(m, first, migratetype)
        else:
            again = should_reclaim_retry(m, order, highest, alloc_flags)
        if not again:  # __alloc_pages_may_oom looks once more before it would kill
            last = st.ALLOC_WMARK_HIGH | st.ALLOC_CPUSET
            return get_page_from_freelist(m, cpu, order, migratetype, highest, last, rule)


@compiled
def alloc_pages_slowpath(m: Mm, cpu: int, gfp: int, order: int, migratetype: int, highest: int, rule: int) -> Any:
    """Wake kswapd and scan down to the min watermark.

    Without reclaim that is all but __GFP_MEMALLOC's scan; a machine with slowpath "verbatim" retries like the kernel.
    Models: mm/page_alloc.c:__alloc_pages_slowpath (v5.8); leaves out __GFP_NOFAIL, cpusets and the warning.
    """
    if gfp & GFP_ATOMIC_BIT and gfp & GFP_DIRECT_RECLAIM:
        gfp &= ~GFP_ATOMIC_BIT
    alloc_flags = gfp_to_alloc_flags(m, gfp, migratetype)
    first = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    if first < 0:
        return NULL
    if alloc_flags & st.ALLOC_KSWAPD:
        wakeup_kswapd(m, first, order, highest)
    page = get_page_from_freelist(m, cpu, order, migratetype, highest, alloc_flags, rule)
    if page == NULL and zget(m, st.MACHINE, st.VERBATIM):
        page = retry_without_progress(m, cpu, gfp, order, migratetype, highest, alloc_flags, rule)
    elif page == NULL and gfp & GFP_MEMALLOC and not gfp & GFP_NOMEMALLOC:
        alloc_flags = i64(st.ALLOC_NO_WATERMARKS)  # a literal would have Numba compile the scan once more
        page = get_page_from_freelist(m, cpu, order, migratetype, highest, alloc_flags, rule)
    return page


@inlined
def gfp_migratetype(m: Mm, gfp: int) -> Any:
    """Return the type that a mask asks for.

    Models: include/linux/gfp.h:gfp_migratetype (v5.8).
    """
    return gfp >> GFP_MOVABLE_SHIFT & zget(m, st.MACHINE, st.TYPE_OF_REQUEST)


@inlined
def prepare_alloc_pages(m: Mm, gfp: int) -> Any:
    """Return what a mask asks for: its rule, its known bits, the migratetype, the highest zone, and the flags.

    Which rule holds, the ordinary one or the proposal's, the mask's proposal bit decides.
    Models: mm/page_alloc.c:prepare_alloc_pages (v5.8); leaves out memcg and early boot.
    """
    rule = st.RULES + (st.RULE_WORDS if gfp & zget(m, st.MACHINE, st.RULE_BIT) else 0)
    gfp &= zget(m, st.MACHINE, st.ALLOWED)
    migratetype = gfp_migratetype(m, gfp)
    highest = zget(m, st.MACHINE, st.HIGHEST_ZONE + (gfp & GFP_ZONEMASK))
    highest = min(highest, zget(m, st.MACHINE, rule + st.MAX_ZONE))
    alloc_flags = zget(m, st.MACHINE, rule + st.MARK) | alloc_flags_nofragment(m, highest, gfp)
    alloc_flags |= gfp_to_alloc_flags_cma(m, migratetype)
    return rule, gfp, migratetype, highest, alloc_flags


@compiled
def alloc_pages_nodemask(m: Mm, cpu: int, gfp: int, order: int) -> Any:
    """Allocate 2**order pages; returns the first, or NULL.

    Models: mm/page_alloc.c:__alloc_pages_nodemask (v5.8, and the RFC's hunk).
    """
    rule, gfp, migratetype, highest, alloc_flags = prepare_alloc_pages(m, gfp)
    if order > zget(m, st.MACHINE, rule + st.TOP_ORDER):
        return NULL
    alloc_flags |= alloc_flags_first_pass(gfp, order)
    page = get_page_from_freelist(m, cpu, order, migratetype, highest, alloc_flags, rule)
    if page == NULL and zget(m, st.MACHINE, rule + st.SLOW_PATH):
        page = alloc_pages_slowpath(m, cpu, gfp, order, migratetype, highest, rule)
    pfn = page_to_pfn(m, page) if page != NULL else ev.NO_PAGE
    trace_event(m, ev.MM_PAGE_ALLOC, ev.NO_PAGE, pfn, order, migratetype, gfp)
    return page
