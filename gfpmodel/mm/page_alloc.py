"""The request path: mask and order in, page out; watermarks, zone walk, reserves, the slow path, and freeing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm.buddy import (
    ALLOC_CMA,
    ALLOC_CPUSET,
    ALLOC_HARDER,
    ALLOC_HIGH,
    ALLOC_KSWAPD,
    ALLOC_NO_WATERMARKS,
    ALLOC_NOFRAGMENT,
    ALLOC_OOM,
    ALLOC_WMARK_HIGH,
    ALLOC_WMARK_MASK,
    ALLOC_WMARK_MIN,
    __free_one_page,
    __rmqueue,
    __rmqueue_smallest,
    move_freepages_block,
    set_pageblock_migratetype,
)
from gfpmodel.mm.events import (
    HIGHATOMIC,
    IRQ_OFF,
    MM_PAGE_ALLOC,
    MM_PAGE_ALLOC_ZONE_LOCKED,
    MM_PAGE_FREE,
    MOVE_BLOCK,
    NO_PAGE,
    WAKE_KSWAPD,
    local_irq_restore,
    local_irq_save,
    spin_lock,
    spin_unlock,
    trace_event,
    trace_op,
)
from gfpmodel.mm.jit import compiled, entry, i64, inlined, u64
from gfpmodel.mm.pcp import drain_pages, free_unref_page_commit, may_lock, rmqueue_pcplist
from gfpmodel.mm.state import (
    ALLOWED,
    BOOST,
    CMA_ON,
    FIRST_PAGE,
    FIRST_ZONE,
    FLAGS,
    HIGHEST_ZONE,
    IN_USE,
    LAST_RESULT,
    LRU_MOVABLE,
    MACHINE,
    MANAGED,
    MARK,
    MAX_ORDER,
    MAX_ZONE,
    MIGRATE_CMA,
    MIGRATE_HIGHATOMIC,
    MIGRATE_MOVABLE,
    MIGRATE_PCPTYPES,
    NEXT,
    NEXT_ZONE,
    NR_FREE,
    NR_FREE_CMA,
    NR_FREE_ROW,
    NR_HIGHATOMIC,
    NULL,
    ORDER_MASK,
    OWN_LOOP,
    PAGE_ALLOC_COSTLY_ORDER,
    PAGEBLOCK_ORDER,
    PAGES_END,
    PFN_OFFSET,
    PG_LRU,
    REFILL,
    REFILL_TRYLOCK,
    REFILL_YES,
    RESERVE,
    RULE_BIT,
    RULE_WORDS,
    RULES,
    SCAN_FIRST,
    SCAN_LAST,
    SLOW_PATH,
    STATE_MASK,
    TOP_ORDER,
    TYPE_MASK,
    TYPE_OF_REQUEST,
    TYPE_SHIFT,
    VERBATIM,
    WMARK,
    ZONE_BOOSTED_WATERMARK,
    ZONE_FLAGS,
    ZONE_MASK,
    ZONE_NORMAL,
    ZONE_SHIFT,
    Blocks,
    Pages,
    Trace,
    Zones,
    free_area,
    get,
    get_pageblock_migratetype,
    page_to_pfn,
    put,
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
@inlined
def zone_watermark_ok(
    pages: Pages, zones: Zones, zone: int, order: int, mark: int, highest: int, alloc_flags: int, free: int
) -> Any:
    """Return whether a zone has more than ``mark`` free after this request, and a block that can serve it.

    Models: mm/page_alloc.c:__zone_watermark_ok (v5.8).
    """
    harder = alloc_flags & (ALLOC_HARDER | ALLOC_OOM)
    free -= (1 << order) - 1
    if alloc_flags & ALLOC_HIGH:
        mark -= mark // 2
    if not harder:
        free -= zget(zones, zone, NR_HIGHATOMIC)
    elif alloc_flags & ALLOC_OOM:
        mark -= mark // 2
    else:
        mark -= mark // 4
    if not alloc_flags & ALLOC_CMA:
        free -= zget(zones, zone, NR_FREE_CMA)
    if free <= mark + zget(zones, zone, RESERVE + highest):
        return False
    return order == 0 or has_suitable_block(pages, zone, order, alloc_flags)


@compiled
def has_suitable_block(pages: Pages, zone: int, order: int, alloc_flags: int) -> Any:
    """Return whether a free list that these flags may use has a block of at least this order.

    Models: the second half of mm/page_alloc.c:__zone_watermark_ok (v5.8).
    """
    while order < MAX_ORDER:
        area = free_area(zone, order)
        if get(pages, area + NR_FREE_ROW, 0) > 0:
            for migratetype in range(MIGRATE_PCPTYPES):
                if get(pages, area + migratetype, NEXT) != area + migratetype:
                    return True
            if alloc_flags & ALLOC_CMA and get(pages, area + MIGRATE_CMA, NEXT) != area + MIGRATE_CMA:
                return True
            highatomic = area + MIGRATE_HIGHATOMIC
            if alloc_flags & (ALLOC_HARDER | ALLOC_OOM) and get(pages, highatomic, NEXT) != highatomic:
                return True
        order += 1
    return False


@inlined
def zone_watermark_fast(
    pages: Pages, zones: Zones, zone: int, order: int, mark: int, highest: int, alloc_flags: int
) -> Any:
    """Return what zone_watermark_ok would, with a quick test for order 0 first.

    Models: mm/page_alloc.c:zone_watermark_fast (v5.8).
    """
    free = zget(zones, zone, NR_FREE)
    cma = 0 if alloc_flags & ALLOC_CMA else zget(zones, zone, NR_FREE_CMA)
    if order == 0 and free - cma > mark + zget(zones, zone, RESERVE + highest):
        return True
    return zone_watermark_ok(pages, zones, zone, order, mark, highest, alloc_flags, free)


@compiled
def wakeup_kswapd(trace: Trace, zone: int, order: int, highest: int) -> None:
    """Record that kswapd is woken; kswapd itself never runs here.

    Models: mm/vmscan.c:wakeup_kswapd (v5.8), its call only.
    """
    if trace is not None:
        trace_event(trace, WAKE_KSWAPD, zone, order, highest, 0, 0, 0, 0)


@compiled
def reserve_highatomic_pageblock(
    pages: Pages, zones: Zones, blocks: Blocks, trace: Trace, zone: int, page: int
) -> None:
    """Reserve the pageblock of a page just allocated for later atomic requests, up to one percent of the zone.

    Models: mm/page_alloc.c:reserve_highatomic_pageblock (v5.8).
    """
    block = 1 << zget(zones, MACHINE, PAGEBLOCK_ORDER)
    if zget(zones, zone, NR_HIGHATOMIC) >= zget(zones, zone, MANAGED) // 100 + block:
        return
    local_irq_save(trace, zone)
    spin_lock(trace, zone)
    migratetype = get_pageblock_migratetype(zones, blocks, page)
    reserved = migratetype not in (MIGRATE_HIGHATOMIC, MIGRATE_CMA)
    if reserved:
        zadd(zones, zone, NR_HIGHATOMIC, block)
        set_pageblock_migratetype(zones, blocks, page, MIGRATE_HIGHATOMIC)
        moved, _ = move_freepages_block(pages, zones, zone, page, MIGRATE_HIGHATOMIC)
        if trace is not None:
            trace_event(trace, MOVE_BLOCK, zone, page_to_pfn(zones, page), MIGRATE_HIGHATOMIC, moved, -1, 0, 0)
    spin_unlock(trace, zone)
    local_irq_restore(trace, zone)
    if trace is not None and reserved:
        pfn = page_to_pfn(zones, page)
        trace_event(trace, HIGHATOMIC, zone, pfn, zget(zones, zone, NR_HIGHATOMIC), 0, 0, 0, 0)


@compiled
def unreserve_highatomic_pageblock(
    pages: Pages, zones: Zones, blocks: Blocks, trace: Trace, first: int, migratetype: int
) -> Any:
    """Give one reserved pageblock to a type, as a last resort before OOM; returns whether pages moved.

    Models: mm/page_alloc.c:unreserve_highatomic_pageblock (v5.8), as called with force.
    """
    zone = first
    block = 1 << zget(zones, MACHINE, PAGEBLOCK_ORDER)
    while zone >= 0:
        local_irq_save(trace, zone)
        spin_lock(trace, zone)
        moved = 0
        for order in range(MAX_ORDER):
            head = free_area(zone, order) + MIGRATE_HIGHATOMIC
            page = get(pages, head, NEXT)
            if page == head or moved:
                continue
            if get_pageblock_migratetype(zones, blocks, page) == MIGRATE_HIGHATOMIC:
                zadd(zones, zone, NR_HIGHATOMIC, -min(block, zget(zones, zone, NR_HIGHATOMIC)))
            set_pageblock_migratetype(zones, blocks, page, migratetype)
            moved, _ = move_freepages_block(pages, zones, zone, page, migratetype)
            if trace is not None:
                trace_event(trace, MOVE_BLOCK, zone, page_to_pfn(zones, page), migratetype, moved, -1, 0, 0)
        spin_unlock(trace, zone)
        local_irq_restore(trace, zone)
        if moved:
            return True
        zone = zget(zones, zone, NEXT_ZONE)
    return False


@inlined
def rmqueue_buddy(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    zone: int,
    order: int,
    migratetype: int,
    alloc_flags: int,
) -> Any:
    """Take a block of order > 0 under the zone lock.

    Models: the second half of mm/page_alloc.c:rmqueue (v5.8; later kernels call it rmqueue_buddy).
    """
    local_irq_save(trace, zone)
    spin_lock(trace, zone)
    page = NULL
    if alloc_flags & ALLOC_HARDER:
        page = __rmqueue_smallest(pages, zone, order, MIGRATE_HIGHATOMIC)
        if trace is not None and page != NULL:
            pfn = page_to_pfn(zones, page)
            trace_event(trace, MM_PAGE_ALLOC_ZONE_LOCKED, zone, pfn, order, migratetype, 0, 0, 0)
    if page == NULL:
        page = __rmqueue(pages, zones, blocks, trace, zone, order, migratetype, alloc_flags)
    if page != NULL:
        zadd(zones, zone, NR_FREE, -(1 << order))
        if get(pages, page, FLAGS) & TYPE_MASK == MIGRATE_CMA << TYPE_SHIFT:
            zadd(zones, zone, NR_FREE_CMA, -(1 << order))
        put(pages, page, FLAGS, IN_USE | order | zone << ZONE_SHIFT)
    spin_unlock(trace, zone)
    local_irq_restore(trace, zone)
    return page


@compiled
def may_split(zones: Zones, trace: Trace, zone: int, refill: int) -> Any:
    """Return whether a rule that does not wait gets the zone lock for a block; one that declines it stops inside.

    Models: mm/page_alloc.c:rmqueue_buddy (v6.15) with ALLOC_TRYLOCK; the declined lock is no kernel's.
    """
    if refill == REFILL_TRYLOCK:
        return may_lock(zones, trace, zone, refill)
    local_irq_save(trace, zone)
    may_lock(zones, trace, zone, refill)
    local_irq_restore(trace, zone)
    return False


@inlined
def rmqueue(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    zone: int,
    cpu: int,
    order: int,
    migratetype: int,
    alloc_flags: int,
    rule: int,
) -> Any:
    """Take a block from one zone: order 0 from the cpu's lists, the others from the buddy lists.

    Models: mm/page_alloc.c:rmqueue (v5.8).
    """
    refill = zget(zones, MACHINE, rule + REFILL)
    if order == 0:
        first, last = zget(zones, MACHINE, rule + SCAN_FIRST), zget(zones, MACHINE, rule + SCAN_LAST)
        first, last = (migratetype if first < 0 else first), (migratetype if last < 0 else last)
        page = rmqueue_pcplist(pages, zones, blocks, trace, zone, cpu, first, last, alloc_flags, refill)
    else:
        if refill > REFILL_YES and not may_split(zones, trace, zone, refill):
            return NULL
        page = rmqueue_buddy(pages, zones, blocks, trace, zone, order, migratetype, alloc_flags)
        if page == NULL:
            return NULL
    if zget(zones, zone, ZONE_FLAGS) & ZONE_BOOSTED_WATERMARK:  # not asked whether the mask allows it
        if zget(zones, MACHINE, rule + OWN_LOOP):
            return page
        zput(zones, zone, ZONE_FLAGS, zget(zones, zone, ZONE_FLAGS) & ~ZONE_BOOSTED_WATERMARK)
        wakeup_kswapd(trace, zone, 0, zone)
    return page


@inlined
def get_page_from_freelist(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    cpu: int,
    order: int,
    migratetype: int,
    highest: int,
    alloc_flags: int,
    rule: int,
) -> Any:
    """Walk the zonelist: the first zone above its watermark that has a page gives it.

    A proposal's own loop over the zones ends with the last one, and does nothing for the zone it took from; both are
    asked only where the ordinary path does something rare.
    Models: mm/page_alloc.c:get_page_from_freelist (v5.8); leaves out cpusets, dirty limits, node reclaim.
    """
    first = zget(zones, MACHINE, FIRST_ZONE + highest)
    zone = first
    while True:
        if zone < 0:
            if not alloc_flags & ALLOC_NOFRAGMENT or zget(zones, MACHINE, rule + OWN_LOOP):
                return NULL
            alloc_flags &= ~ALLOC_NOFRAGMENT  # fragmenting is better than nothing: once more
            zone = first
            if zone < 0:
                return NULL
        mark = zget(zones, zone, WMARK + (alloc_flags & ALLOC_WMARK_MASK)) + zget(zones, zone, BOOST)
        if (
            zone_watermark_fast(pages, zones, zone, order, mark, highest, alloc_flags)
            or alloc_flags & ALLOC_NO_WATERMARKS
        ):
            page = rmqueue(pages, zones, blocks, trace, zone, cpu, order, migratetype, alloc_flags, rule)
            if page != NULL:
                if order > 0 and alloc_flags & ALLOC_HARDER:
                    reserve_highatomic_pageblock(pages, zones, blocks, trace, zone, page)
                return page
        zone = zget(zones, zone, NEXT_ZONE)


@inlined
def gfp_to_alloc_flags(zones: Zones, gfp: int, migratetype: int) -> Any:
    """Return the flags of the slow path.

    Models: mm/page_alloc.c:gfp_to_alloc_flags (v5.8); leaves out realtime tasks.
    """
    alloc_flags = ALLOC_WMARK_MIN | ALLOC_CPUSET | (gfp & (GFP_HIGH | GFP_KSWAPD_RECLAIM))
    if gfp & GFP_ATOMIC_BIT:
        if not gfp & GFP_NOMEMALLOC:
            alloc_flags |= ALLOC_HARDER
        alloc_flags &= ~ALLOC_CPUSET
    if migratetype == MIGRATE_MOVABLE and zget(zones, MACHINE, CMA_ON):
        alloc_flags |= ALLOC_CMA
    return alloc_flags


@compiled
def slow_scan(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    cpu: int,
    order: int,
    migratetype: int,
    highest: int,
    alloc_flags: int,
    rule: int,
) -> Any:
    """Call get_page_from_freelist from the slow path, where it need not be inlined."""
    return get_page_from_freelist(pages, zones, blocks, trace, cpu, order, migratetype, highest, alloc_flags, rule)


@compiled
def should_reclaim_retry(pages: Pages, zones: Zones, order: int, highest: int, alloc_flags: int) -> Any:
    """Return whether a zone would pass its min watermark if all it has were free (nothing is reclaimable here).

    Models: mm/page_alloc.c:should_reclaim_retry (v5.8).
    """
    zone = zget(zones, MACHINE, FIRST_ZONE + highest)
    while zone >= 0:
        mark = zget(zones, zone, WMARK) + zget(zones, zone, BOOST)
        free = zget(zones, zone, NR_FREE)
        if zone_watermark_ok(pages, zones, zone, order, mark, highest, alloc_flags, free):
            return True
        zone = zget(zones, zone, NEXT_ZONE)
    return False


@compiled
def retry_without_progress(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    cpu: int,
    gfp: int,
    order: int,
    migratetype: int,
    highest: int,
    alloc_flags: int,
    rule: int,
) -> Any:
    """Go on as the kernel does when reclaim, compaction and OOM make no progress, until it gives up.

    Models: mm/page_alloc.c:__alloc_pages_slowpath (v5.8) from its label `retry` on.
    """
    first = zget(zones, MACHINE, FIRST_ZONE + highest)
    hopeless = gfp & GFP_NORETRY or (order > PAGE_ALLOC_COSTLY_ORDER and not gfp & GFP_RETRY_MAYFAIL)
    if order > PAGE_ALLOC_COSTLY_ORDER and gfp & GFP_NORETRY and gfp & GFP_DIRECT_RECLAIM:
        return NULL  # compaction was skipped
    no_progress_loops = 0
    while True:
        if alloc_flags & ALLOC_KSWAPD:
            wakeup_kswapd(trace, first, order, highest)
        if gfp & GFP_MEMALLOC and not gfp & GFP_NOMEMALLOC:
            alloc_flags = ALLOC_NO_WATERMARKS
        page = slow_scan(pages, zones, blocks, trace, cpu, order, migratetype, highest, alloc_flags, rule)
        if page != NULL or hopeless or not gfp & GFP_DIRECT_RECLAIM:
            return page
        no_progress_loops += 1
        if no_progress_loops > MAX_RECLAIM_RETRIES:
            again = unreserve_highatomic_pageblock(pages, zones, blocks, trace, first, migratetype)
        else:
            again = should_reclaim_retry(pages, zones, order, highest, alloc_flags)
        if not again:  # __alloc_pages_may_oom looks once more before it would kill
            last = ALLOC_WMARK_HIGH | ALLOC_CPUSET
            return slow_scan(pages, zones, blocks, trace, cpu, order, migratetype, highest, last, rule)


@compiled
def alloc_pages_slowpath(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    cpu: int,
    gfp: int,
    order: int,
    migratetype: int,
    highest: int,
    rule: int,
) -> Any:
    """Wake kswapd and scan down to the min watermark.

    Without reclaim that is all but __GFP_MEMALLOC's scan; a machine with slowpath "verbatim" retries like the kernel.
    Models: mm/page_alloc.c:__alloc_pages_slowpath (v5.8); leaves out __GFP_NOFAIL, cpusets and the warning.
    """
    if gfp & GFP_ATOMIC_BIT and gfp & GFP_DIRECT_RECLAIM:
        gfp &= ~GFP_ATOMIC_BIT
    alloc_flags = gfp_to_alloc_flags(zones, gfp, migratetype)
    first = zget(zones, MACHINE, FIRST_ZONE + highest)
    if first < 0:
        return NULL
    if alloc_flags & ALLOC_KSWAPD:
        wakeup_kswapd(trace, first, order, highest)
    page = slow_scan(pages, zones, blocks, trace, cpu, order, migratetype, highest, alloc_flags, rule)
    if page == NULL and zget(zones, MACHINE, VERBATIM):
        page = retry_without_progress(
            pages, zones, blocks, trace, cpu, gfp, order, migratetype, highest, alloc_flags, rule
        )
    elif page == NULL and gfp & GFP_MEMALLOC and not gfp & GFP_NOMEMALLOC:
        alloc_flags = i64(ALLOC_NO_WATERMARKS)  # a literal would have Numba compile the scan once more
        page = slow_scan(pages, zones, blocks, trace, cpu, order, migratetype, highest, alloc_flags, rule)
    return page


@inlined
def alloc_pages_nodemask(
    pages: Pages, zones: Zones, blocks: Blocks, trace: Trace, cpu: int, gfp: int, order: int
) -> Any:
    """Allocate 2**order pages; returns the first, or NULL.

    Which rule holds, the ordinary one or the proposal's, the mask's proposal bit decides.
    Models: mm/page_alloc.c:__alloc_pages_nodemask (v5.8, and the RFC's hunk); leaves out memcg and early boot.
    """
    rule = RULES + (RULE_WORDS if gfp & zget(zones, MACHINE, RULE_BIT) else 0)
    gfp &= zget(zones, MACHINE, ALLOWED)
    migratetype = gfp >> GFP_MOVABLE_SHIFT & zget(zones, MACHINE, TYPE_OF_REQUEST)
    if order > zget(zones, MACHINE, rule + TOP_ORDER):
        return NULL
    highest = min(zget(zones, MACHINE, HIGHEST_ZONE + (gfp & GFP_ZONEMASK)), zget(zones, MACHINE, rule + MAX_ZONE))
    alloc_flags = zget(zones, MACHINE, rule + MARK) | (gfp & GFP_KSWAPD_RECLAIM)
    if zget(zones, MACHINE, FIRST_ZONE + highest) == ZONE_NORMAL:
        alloc_flags |= ALLOC_NOFRAGMENT
    if migratetype == MIGRATE_MOVABLE and zget(zones, MACHINE, CMA_ON):
        alloc_flags |= ALLOC_CMA
    page = get_page_from_freelist(pages, zones, blocks, trace, cpu, order, migratetype, highest, alloc_flags, rule)
    if page == NULL and zget(zones, MACHINE, rule + SLOW_PATH):
        page = alloc_pages_slowpath(pages, zones, blocks, trace, cpu, gfp, order, migratetype, highest, rule)
    if trace is not None:
        pfn = page_to_pfn(zones, page) if page != NULL else NO_PAGE
        trace_event(trace, MM_PAGE_ALLOC, NO_PAGE, pfn, order, migratetype, gfp, 0, 0)
    return page


@inlined
def free_pages(pages: Pages, zones: Zones, blocks: Blocks, trace: Trace, cpu: int, page: int, order: int) -> None:
    """Free 2**order pages: order 0 to this cpu's lists, the others to the buddy lists.

    Models: mm/page_alloc.c:__free_pages, free_unref_page and __free_pages_ok (v5.8).
    """
    zone = (get(pages, page, FLAGS) & ZONE_MASK) >> ZONE_SHIFT
    migratetype = get_pageblock_migratetype(zones, blocks, page)
    if trace is not None:
        trace_event(trace, MM_PAGE_FREE, zone, page_to_pfn(zones, page), order, 0, 0, 0, 0)
    local_irq_save(trace, zone)
    if order == 0:
        free_unref_page_commit(pages, zones, trace, zone, cpu, page, migratetype)
    else:
        put(pages, page, FLAGS, 0)
        spin_lock(trace, zone)
        __free_one_page(pages, zones, zone, page, order, migratetype)
        spin_unlock(trace, zone)
    local_irq_restore(trace, zone)


@inlined
def is_block_in_use(pages: Pages, zones: Zones, page: int, order: int) -> Any:
    """Return whether an allocated block of this order begins here: if not, freeing it is the caller's mistake."""
    if page < zget(zones, MACHINE, FIRST_PAGE) or page >= zget(zones, MACHINE, PAGES_END):
        return False
    return get(pages, page, FLAGS) & (STATE_MASK | ORDER_MASK) == IN_USE + order  # of an order above 15 none has it


@entry
@compiled
def run_ops(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    ops: NDArray[np.int64],
    results: NDArray[np.uint32],
    irq_off: NDArray[np.uint16],
    start: int,
    stop: int,
) -> Any:
    """Run the operations ``start`` to ``stop``; returns the number of the first that is misuse, or ``stop``.

    Arguments: the machine; the operations as words (see pack_ops); where the page frame numbers of the allocations
    go, one after the other (NO_RESULT for NULL), and where each operation's count of irq-off sections goes.
    The operation that is misuse and those after it are not run.
    """
    done = zget(zones, MACHINE, LAST_RESULT)
    offset = zget(zones, MACHINE, PFN_OFFSET)
    lru = PG_LRU if zget(zones, MACHINE, LRU_MOVABLE) else 0
    number = start
    while number < stop:
        op = ops[u64(number)]
        kind = op & 3
        order = op >> OP_ORDER_SHIFT & 0x3F
        cpu = op >> OP_CPU_SHIFT & 0xFFFF
        argument = op >> OP_ARG_SHIFT
        trace_op(trace, number, cpu)
        if kind == OP_ALLOC:
            page = alloc_pages_nodemask(pages, zones, blocks, trace, cpu, argument, order)
            if lru and page != NULL and argument & 1 << GFP_MOVABLE_SHIFT:
                put(pages, page, FLAGS, get(pages, page, FLAGS) | PG_LRU)
            results[u64(done)] = page + offset if page != NULL else NO_RESULT
            done += 1
        elif kind == OP_DRAIN:
            drain_pages(pages, zones, trace, cpu)
        else:
            pfn = i64(results[u64(argument)]) if kind == OP_FREE_HANDLE else argument
            if pfn != NO_RESULT:
                page = pfn - offset
                if not is_block_in_use(pages, zones, page, order):
                    break
                free_pages(pages, zones, blocks, trace, cpu, page, order)
        if trace is not None:
            irq_off[u64(number)] = trace[IRQ_OFF]
        number += 1
    zput(zones, MACHINE, LAST_RESULT, done)
    return number


@entry
@compiled
def free_boot_range(pages: Pages, zones: Zones, blocks: Blocks, zone: int, start: int, end: int) -> None:
    """Give a range of pages to a zone's buddy lists in the largest aligned blocks.

    Models: mm/memblock.c:__free_pages_memory and mm/page_alloc.c:__free_pages_core (v5.8).
    """
    while start < end:
        order = 0
        while order < MAX_ORDER - 1 and start & (1 << order) == 0:
            order += 1
        while start + (1 << order) > end:
            order -= 1
        __free_one_page(pages, zones, zone, start, order, get_pageblock_migratetype(zones, blocks, start))
        zadd(zones, zone, MANAGED, 1 << order)
        start += 1 << order
