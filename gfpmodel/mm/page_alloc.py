"""The request path: mask and order in, page out; watermarks, zone walk, reserves, the slow path, and freeing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.buddy import (
    __free_one_page,
    __rmqueue,
    __rmqueue_smallest,
    move_freepages_block,
    set_pageblock_migratetype,
)
from gfpmodel.mm.events import (
    append,
    count_irq_off,
    header_of,
    local_irq_restore,
    local_irq_save,
    next_event,
    set_next_event,
    spin_lock,
    spin_unlock,
    trace_event,
    trace_op,
    write_irq_off,
)
from gfpmodel.mm.jit import compiled, entry, i64, inlined, u64
from gfpmodel.mm.pcp import (
    drain_pages,
    free_unref_page_commit,
    is_nearly_high,
    may_lock,
    put_first,
    rmqueue_pcplist,
    take_first,
)
from gfpmodel.mm.state import (
    NULL,
    Mm,
    Silent,
    free_area,
    get,
    get_flags,
    get_pageblock_migratetype,
    list_empty,
    page_to_pfn,
    per_cpu_pages,
    set_flags,
    zadd,
    zget,
    zput,
)

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

# An operation is one word: kind, order, cpu, and above them a mask, a page frame number or a handle.
OP_ALLOC, OP_FREE, OP_FREE_HANDLE, OP_DRAIN = 0, 1, 2, 3
OP_ORDER_SHIFT, OP_CPU_SHIFT, OP_ARG_SHIFT = 2, 8, 24
NO_RESULT = 0xFFFFFFFF


@entry
@compiled
def zone_watermark_ok(m: Silent, zone: int, order: int, mark: int, highest: int, alloc_flags: int, free: int) -> Any:
    """Return whether a zone has more than ``mark`` free after this request, and a block that can serve it.

    Models: mm/page_alloc.c:__zone_watermark_ok (v5.8).
    """
    harder = alloc_flags & (st.ALLOC_HARDER | st.ALLOC_OOM)
    free -= (1 << order) - 1
    if alloc_flags & st.ALLOC_HIGH:
        mark -= mark // 2
    if not harder:
        free -= zget(m, zone, st.NR_HIGHATOMIC)
    elif alloc_flags & st.ALLOC_OOM:
        mark -= mark // 2
    else:
        mark -= mark // 4
    if not alloc_flags & st.ALLOC_CMA:
        free -= zget(m, zone, st.NR_FREE_CMA)
    if free <= mark + zget(m, zone, st.RESERVE + highest):
        return False
    return order == 0 or has_suitable_block(m, zone, order, alloc_flags)


@inlined
def may_use_highatomic(alloc_flags: int) -> Any:
    """Return whether the watermark counts a block on a HIGHATOMIC list as one that can serve the request.

    Models: the condition in mm/page_alloc.c:__zone_watermark_ok (v5.8).
    """
    return alloc_flags & (st.ALLOC_HARDER | st.ALLOC_OOM) != 0


@inlined
def has_suitable_block(m: Mm, zone: int, order: int, alloc_flags: int) -> Any:
    """Return whether a free list that these flags may use has a block of at least this order.

    Models: the second half of mm/page_alloc.c:__zone_watermark_ok (v5.8).
    """
    orders = zget(m, zone, st.ORDERS)
    for migratetype in range(1, st.MIGRATE_PCPTYPES):
        orders |= zget(m, zone, st.ORDERS + migratetype)
    if alloc_flags & st.ALLOC_CMA:
        orders |= zget(m, zone, st.ORDERS + st.MIGRATE_CMA)
    if may_use_highatomic(alloc_flags):
        orders |= zget(m, zone, st.ORDERS + st.MIGRATE_HIGHATOMIC)
    return orders >> order != 0


@inlined
def zone_watermark_fast(m: Mm, zone: int, order: int, mark: int, highest: int, alloc_flags: int) -> Any:
    """Return what zone_watermark_ok would, with a quick test for order 0 first.

    Models: mm/page_alloc.c:zone_watermark_fast (v5.8).
    """
    if order == 0 and has_plenty(m, zone, mark, highest, alloc_flags):
        return True
    return zone_watermark_ok(m, zone, order, mark, highest, alloc_flags, zget(m, zone, st.NR_FREE))


@inlined
def has_plenty(m: Mm, zone: int, mark: int, highest: int, alloc_flags: int) -> Any:
    """Return whether a zone is above its mark and reserve whatever else the flags allow.

    Models: mm/page_alloc.c:zone_watermark_fast (v5.8), its quick test.
    """
    free = zget(m, zone, st.NR_FREE)
    if not alloc_flags & st.ALLOC_CMA:
        free -= zget(m, zone, st.NR_FREE_CMA)
    return free > mark + zget(m, zone, st.RESERVE + highest)


@compiled
def wakeup_kswapd(m: Mm, zone: int, order: int, highest: int) -> None:
    """Record that kswapd is woken; kswapd itself never runs here.

    Models: mm/vmscan.c:wakeup_kswapd (v5.8), its call only.
    """
    trace_event(m, ev.WAKE_KSWAPD, zone, order, highest)


@compiled
def reserve_highatomic_pageblock(m: Mm, zone: int, page: int) -> None:
    """Reserve the pageblock of a page just allocated for later atomic requests, up to one percent of the zone.

    Models: mm/page_alloc.c:reserve_highatomic_pageblock (v5.8).
    """
    block = 1 << zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)
    if zget(m, zone, st.NR_HIGHATOMIC) >= zget(m, zone, st.MANAGED) // 100 + block:
        return
    local_irq_save(m, zone)
    spin_lock(m, zone)
    migratetype = get_pageblock_migratetype(m, page)
    reserved = migratetype not in (st.MIGRATE_HIGHATOMIC, st.MIGRATE_CMA)
    if reserved:
        zadd(m, zone, st.NR_HIGHATOMIC, block)
        set_pageblock_migratetype(m, page, st.MIGRATE_HIGHATOMIC)
        moved, _ = move_freepages_block(m, zone, page, st.MIGRATE_HIGHATOMIC)
        trace_event(m, ev.MOVE_BLOCK, zone, page_to_pfn(m, page), st.MIGRATE_HIGHATOMIC, moved, -1)
    spin_unlock(m, zone)
    local_irq_restore(m, zone)
    if reserved:
        pfn = page_to_pfn(m, page)
        trace_event(m, ev.HIGHATOMIC, zone, pfn, zget(m, zone, st.NR_HIGHATOMIC))


@compiled
def unreserve_highatomic_pageblock(m: Mm, first: int, migratetype: int) -> Any:
    """Give one reserved pageblock to a type, as a last resort before OOM; returns whether pages moved.

    Models: mm/page_alloc.c:unreserve_highatomic_pageblock (v5.8), as called with force.
    """
    zone = first
    block = 1 << zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)
    while zone >= 0:
        local_irq_save(m, zone)
        spin_lock(m, zone)
        moved = 0
        for order in range(st.MAX_ORDER):
            head = free_area(zone, order) + st.MIGRATE_HIGHATOMIC
            page = get(m, head, st.NEXT)
            if page == head or moved:
                continue
            if get_pageblock_migratetype(m, page) == st.MIGRATE_HIGHATOMIC:
                zadd(m, zone, st.NR_HIGHATOMIC, -min(block, zget(m, zone, st.NR_HIGHATOMIC)))
            set_pageblock_migratetype(m, page, migratetype)
            moved, _ = move_freepages_block(m, zone, page, migratetype)
            trace_event(m, ev.MOVE_BLOCK, zone, page_to_pfn(m, page), migratetype, moved, -1)
        spin_unlock(m, zone)
        local_irq_restore(m, zone)
        if moved:
            return True
        zone = zget(m, zone, st.NEXT_ZONE)
    return False


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


@inlined
def hit_zone(m: Mm, gfp: int) -> Any:
    """Say how nearly all requests for one page with this mask are served: by the first zone, if it has plenty.

    Returns that zone, -1 if the request has to go the long way, and the first list it looks at.  Pages that come and
    go on a cpu's lists do not change the answer.
    """
    rule, gfp, migratetype, highest, alloc_flags = prepare_alloc_pages(m, gfp)
    zone = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    first, last = scanned_lists(m, rule, migratetype)
    if zone >= 0:
        mark = zget(m, zone, st.WMARK + (alloc_flags & st.ALLOC_WMARK_MASK)) + zget(m, zone, st.BOOST)
        if zget(m, zone, st.ZONE_FLAGS) or first > last or not has_plenty(m, zone, mark, highest, alloc_flags):
            zone = -1
    return zone, first


@inlined
def is_hit(m: Mm, cpu: int, zone: int, first: int) -> Any:
    """Return whether this cpu's list has a page for a request that hit_zone() has judged."""
    return zone >= 0 and not list_empty(m, per_cpu_pages(cpu, zone) + first)


@inlined
def alloc_hit(m: Mm, cpu: int, zone: int, first: int) -> Any:
    """Take a page for a request that is a hit."""
    return take_first(m, zone, cpu, first)


@inlined
def hits_irq_off() -> Any:
    """Return how many sections with interrupts off a hit has."""
    return 1


@inlined
def record_section(m: Mm, at: int, header: Any, zone: int, cpu: int) -> Any:
    """Record what a hit does around its look at the lists: interrupts go off and on."""
    at = append(m.trace, at, header, ev.IRQ_SAVE, zone)
    return append(m.trace, at, header, ev.IRQ_RESTORE, zone)


@inlined
def record_alloc_hit(m: Mm, at: int, header: Any, cpu: int, zone: int, page: int, gfp: int) -> Any:
    """Record a request with this mask that was a hit, from number ``at`` on; returns the number of the next event."""
    gfp &= zget(m, st.MACHINE, st.ALLOWED)
    at = record_section(m, at, header, zone, cpu)
    migratetype = gfp_migratetype(m, gfp)
    return append(m.trace, at, header, ev.MM_PAGE_ALLOC, ev.NO_PAGE, page_to_pfn(m, page), 0, migratetype, gfp)


@inlined
def record_free_hit(m: Mm, at: int, header: Any, cpu: int, page: int) -> Any:
    """Record a free that was a hit, from number ``at`` on; returns the number of the next event."""
    zone = (get_flags(m, page) & st.ZONE_MASK) >> st.ZONE_SHIFT
    at = append(m.trace, at, header, ev.MM_PAGE_FREE, zone, page_to_pfn(m, page), 0)
    return record_section(m, at, header, zone, cpu)


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


@inlined
def alloc_pages(m: Mm, cpu: int, gfp: int, order: int) -> Any:
    """Allocate 2**order pages; returns the first, or NULL."""
    zone, first = hit_zone(m, gfp)
    if order > 0 or not is_hit(m, cpu, zone, first):
        return alloc_pages_nodemask(m, cpu, gfp, order)
    page = alloc_hit(m, cpu, zone, first)
    count_irq_off(m.trace, hits_irq_off())
    at = record_alloc_hit(m, next_event(m.trace), header_of(m.trace), cpu, zone, page, gfp)
    set_next_event(m.trace, at)
    return page


@compiled
def free_one_page(m: Mm, zone: int, page: int, order: int, migratetype: int) -> None:
    """Give a block back to the buddy lists.

    Models: mm/page_alloc.c:free_one_page (v5.8).
    """
    set_flags(m, page, 0)
    spin_lock(m, zone)
    __free_one_page(m, zone, page, order, migratetype)
    spin_unlock(m, zone)


@inlined
def free_hit(m: Mm, cpu: int, page: int) -> Any:
    """Free a page as most are: to this cpu's list, which stays below ``high``; returns whether that was so."""
    flags = get_flags(m, page)
    zone = (flags & st.ZONE_MASK) >> st.ZONE_SHIFT
    if flags & (st.STATE_MASK | st.ORDER_MASK) != st.IN_USE or is_nearly_high(m, cpu, zone):
        return False
    put_first(m, zone, cpu, page, get_pageblock_migratetype(m, page))
    return True


@compiled
def __free_pages(m: Mm, cpu: int, page: int, order: int) -> None:
    """Free 2**order pages: order 0 to this cpu's lists, the others to the buddy lists.

    Models: mm/page_alloc.c:__free_pages, free_unref_page and __free_pages_ok (v5.8).
    """
    zone = (get_flags(m, page) & st.ZONE_MASK) >> st.ZONE_SHIFT
    migratetype = get_pageblock_migratetype(m, page)
    trace_event(m, ev.MM_PAGE_FREE, zone, page_to_pfn(m, page), order)
    local_irq_save(m, zone)
    if order == 0:
        free_unref_page_commit(m, zone, cpu, page, migratetype)
    else:
        free_one_page(m, zone, page, order, migratetype)
    local_irq_restore(m, zone)


@inlined
def free_pages(m: Mm, cpu: int, page: int, order: int) -> None:
    """Free 2**order pages that are in use."""
    if order == 0 and free_hit(m, cpu, page):
        count_irq_off(m.trace, hits_irq_off())
        set_next_event(m.trace, record_free_hit(m, next_event(m.trace), header_of(m.trace), cpu, page))
    else:
        __free_pages(m, cpu, page, order)


@inlined
def is_a_page(m: Mm, page: int) -> Any:
    """Return whether a row is that of a page."""
    return zget(m, st.MACHINE, st.FIRST_PAGE) <= page < zget(m, st.MACHINE, st.PAGES_END)


@inlined
def is_a_row(m: Mm, page: int) -> Any:
    """Return whether a number from 0 on is that of a row; a list's head has no flags, as a page that nobody uses."""
    return page < zget(m, st.MACHINE, st.PAGES_END)


@inlined
def is_block_in_use(m: Mm, page: int, order: int) -> Any:
    """Return whether an allocated block of this order begins here: if not, freeing it is the caller's mistake."""
    # an order above 15 is in no page's flags
    return is_a_page(m, page) and get_flags(m, page) & (st.STATE_MASK | st.ORDER_MASK) == st.IN_USE + order


@inlined
def put_on_lru(m: Mm, page: int, gfp: int) -> None:
    """Let stealing count a movable page, as one that is in the page cache, if the run asks for it."""
    if gfp & zget(m, st.MACHINE, st.LRU_MASK):
        set_flags(m, page, get_flags(m, page) | st.PG_LRU)


@compiled
def run_hits(
    m: Mm,
    ops: NDArray[np.int64],
    results: NDArray[np.uint32],
    irq_off: NDArray[np.uint16],
    number: int,
    stop: int,
    done: int,
) -> Any:
    """Run operations as long as each is one page from this cpu's list or to it, as most are.

    Returns the number of the first that is not, and how many allocations were done.  There is no call in this loop,
    so that what it needs stays in the processor's registers, the number of the next event too.
    """
    offset = zget(m, st.MACHINE, st.PFN_OFFSET)
    at, (_, enabled, last) = next_event(m.trace), header_of(m.trace)
    asked, zone, first = -1, -1, 0
    while number < stop:
        op = ops[u64(number)]
        cpu, argument = op >> OP_CPU_SHIFT & 0xFFFF, op >> OP_ARG_SHIFT
        kind = op & (1 << OP_CPU_SHIFT) - 1  # and the order in the bits above it, which is 0 here
        header = trace_op(m.trace, number, cpu, hits_irq_off()), enabled, last
        if kind == OP_ALLOC:
            if argument != asked:  # many ask for the same, and nothing in this loop changes the answer
                asked = argument
                zone, first = hit_zone(m, asked)
            if not is_hit(m, cpu, zone, first):
                break
            page = alloc_hit(m, cpu, zone, first)
            put_on_lru(m, page, argument)
            results[u64(done)] = page + offset
            done += 1
            at = record_alloc_hit(m, at, header, cpu, zone, page, argument)
        elif kind == OP_FREE_HANDLE:
            page = i64(results[u64(argument)]) - offset & st.ANY_ROW
            if not is_a_row(m, page) or not free_hit(m, cpu, page):
                break
            at = record_free_hit(m, at, header, cpu, page)
        else:
            break
        write_irq_off(m.trace, irq_off, number)
        number += 1
    set_next_event(m.trace, at)
    return number, done


@inlined
def run_other(m: Mm, which: int, cpu: int, argument: int, results: NDArray[np.uint32], done: int) -> Any:
    """Run an operation that is neither an allocation nor a free; returns how many results there are then.

    v5.8 has one, drain_pages(); what is misuse returns -1.
    """
    drain_pages(m, cpu)
    return done


@inlined
def end_of_op(m: Mm, kind: int, which: int) -> None:
    """Do what ends with an operation: nothing, where no lock is tried."""


@entry
@compiled
def run_ops(
    m: Mm, ops: NDArray[np.int64], results: NDArray[np.uint32], irq_off: NDArray[np.uint16], start: int, stop: int
) -> Any:
    """Run the operations ``start`` to ``stop``; returns the number of the first that is misuse, or ``stop``.

    Arguments: the machine; the operations as words (see pack_ops); where the page frame numbers of the allocations
    go, one after the other (NO_RESULT for NULL), and where each operation's count of irq-off sections goes.
    The operation that is misuse and those after it are not run.
    """
    number, done = start, zget(m, st.MACHINE, st.LAST_RESULT)
    offset = zget(m, st.MACHINE, st.PFN_OFFSET)
    while True:
        number, done = run_hits(m, ops, results, irq_off, number, stop, done)
        if number == stop:
            break
        op = ops[u64(number)]
        kind = op & 3
        order = op >> OP_ORDER_SHIFT & 0x3F
        cpu = op >> OP_CPU_SHIFT & 0xFFFF
        argument = op >> OP_ARG_SHIFT
        trace_op(m.trace, number, cpu)
        if kind == OP_ALLOC:
            page = alloc_pages_nodemask(m, cpu, argument, order)
            if page != NULL:
                put_on_lru(m, page, argument)
            results[u64(done)] = page + offset if page != NULL else NO_RESULT
            done += 1
        elif kind == OP_DRAIN:
            after = run_other(m, order, cpu, argument, results, done)
            if after < 0:
                break
            done = after
        else:
            pfn = i64(results[u64(argument)]) if kind == OP_FREE_HANDLE else argument
            if pfn != NO_RESULT:
                page = pfn - offset
                if not is_block_in_use(m, page, order):
                    break
                __free_pages(m, cpu, page, order)
        end_of_op(m, kind, order)
        write_irq_off(m.trace, irq_off, number)
        number += 1
    zput(m, st.MACHINE, st.LAST_RESULT, done)
    return number


@inlined
def __free_pages_core(m: Mm, zone: int, page: int, order: int) -> None:
    """Give a block to the buddy lists for the first time.

    Models: mm/page_alloc.c:__free_pages_core (v5.8).
    """
    __free_one_page(m, zone, page, order, get_pageblock_migratetype(m, page))


@entry
@compiled
def free_boot_range(m: Silent, zone: int, start: int, end: int) -> None:
    """Give a range of pages to a zone's buddy lists in the largest aligned blocks.

    Models: mm/memblock.c:__free_pages_memory and mm/page_alloc.c:__free_pages_core (v5.8).
    """
    while start < end:
        order = 0
        while order < st.MAX_ORDER - 1 and start & (1 << order) == 0:
            order += 1
        while start + (1 << order) > end:
            order -= 1
        __free_pages_core(m, zone, start, order)
        zadd(m, zone, st.MANAGED, 1 << order)
        start += 1 << order


@entry
@compiled
def init_cma_reserved_pageblocks(m: Silent, zone: int, start: int, end: int) -> None:
    """Give a CMA area to a zone's buddy lists, pageblock by pageblock.

    Models: mm/page_alloc.c:init_cma_reserved_pageblock (v5.8).
    """
    pageblock_order = zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)
    while start < end:
        __free_one_page(m, zone, start, pageblock_order, st.MIGRATE_CMA)
        zadd(m, zone, st.MANAGED, 1 << pageblock_order)
        start += 1 << pageblock_order
