"""The per-cpu page lists: refill from the buddy lists, take, put, and free in bulk."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm.buddy import __free_one_page, __rmqueue
from gfpmodel.mm.events import (
    BULK_FREE,
    DECLINE,
    MM_PAGE_PCPU_DRAIN,
    REFILL_DONE,
    TRYLOCK,
    local_irq_restore,
    local_irq_save,
    spin_lock,
    spin_unlock,
    trace_event,
)
from gfpmodel.mm.jit import compiled, inlined
from gfpmodel.mm.state import (
    BATCH,
    CONTENDED,
    COUNT,
    COUNTS_ROW,
    FLAGS,
    HIGH,
    IN_USE,
    MAX_NR_ZONES,
    MIGRATE_CMA,
    MIGRATE_MOVABLE,
    MIGRATE_PCPTYPES,
    NEXT,
    NR_FREE,
    NR_FREE_CMA,
    NULL,
    ON_PCP,
    PREV,
    REFILL_DECLINE,
    REFILL_NO,
    REFILL_TRYLOCK,
    REFILL_YES,
    TYPE_MASK,
    TYPE_SHIFT,
    ZONE_END,
    ZONE_SHIFT,
    Blocks,
    Pages,
    Trace,
    Zones,
    get,
    list_add,
    list_add_tail,
    list_del,
    page_to_pfn,
    per_cpu_pages,
    put,
    zadd,
    zget,
)


@compiled
def rmqueue_bulk(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    zone: int,
    pcp: int,
    migratetype: int,
    alloc_flags: int,
) -> Any:
    """Move up to ``batch`` pages from the buddy lists to the tail of a pcp list; returns how many came.

    Models: mm/page_alloc.c:rmqueue_bulk (v5.8); leaves out the page checks, which never fail here.
    """
    batch = get(pages, pcp + COUNTS_ROW, BATCH)
    spin_lock(trace, zone)
    got = 0
    while got < batch:
        page = __rmqueue(pages, zones, blocks, trace, zone, 0, migratetype, alloc_flags)
        if page == NULL:
            break
        flags = get(pages, page, FLAGS)
        put(pages, page, FLAGS, flags | ON_PCP)
        list_add_tail(pages, page, pcp + migratetype)
        if flags & TYPE_MASK == MIGRATE_CMA << TYPE_SHIFT:
            zadd(zones, zone, NR_FREE_CMA, -1)
        got += 1
    zadd(zones, zone, NR_FREE, -got)
    spin_unlock(trace, zone)
    put(pages, pcp + COUNTS_ROW, COUNT, get(pages, pcp + COUNTS_ROW, COUNT) + got)
    if trace is not None:
        trace_event(trace, REFILL_DONE, zone, migratetype, batch, got, 0, 0, 0)
    return got


@inlined
def may_lock(zones: Zones, trace: Trace, zone: int, rule: int) -> Any:
    """Return whether a refill or split under this rule gets the zone lock.

    A trylock fails while another cpu has it; a rule that declines it never asks.
    """
    if rule == REFILL_TRYLOCK:
        taken = zget(zones, zone, CONTENDED) == 0
        if trace is not None:
            trace_event(trace, TRYLOCK, zone, 1 if taken else 0, 0, 0, 0, 0, 0)
        return taken
    if trace is not None and rule == REFILL_DECLINE:
        trace_event(trace, DECLINE, zone, 0, 0, 0, 0, 0, 0)
    return rule == REFILL_YES


@inlined
def __rmqueue_pcplist(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    zone: int,
    pcp: int,
    migratetype: int,
    alloc_flags: int,
    refill: int,
) -> Any:
    """Take the head of one pcp list, after a refill if it is empty and the rule allows it.

    Models: mm/page_alloc.c:__rmqueue_pcplist (v5.8, and the RFC's hunk for a rule without refill).
    """
    head = pcp + migratetype
    page = get(pages, head, NEXT)
    if page == head:
        if refill == REFILL_NO or not may_lock(zones, trace, zone, refill):
            return NULL
        if rmqueue_bulk(pages, zones, blocks, trace, zone, pcp, migratetype, alloc_flags) == 0:
            return NULL
        page = get(pages, head, NEXT)
    list_del(pages, page)
    put(pages, page, FLAGS, IN_USE | zone << ZONE_SHIFT)
    put(pages, pcp + COUNTS_ROW, COUNT, get(pages, pcp + COUNTS_ROW, COUNT) - 1)
    return page


@inlined
def rmqueue_pcplist(
    pages: Pages,
    zones: Zones,
    blocks: Blocks,
    trace: Trace,
    zone: int,
    cpu: int,
    first: int,
    last: int,
    alloc_flags: int,
    refill: int,
) -> Any:
    """Take a page from this cpu's lists ``first`` to ``last`` of a zone: the first list that yields one.

    An ordinary request has one list, the RFC's flag scans from the requested type upward.
    Models: mm/page_alloc.c:rmqueue_pcplist (v5.8, and the RFC's hunk).
    """
    pcp = per_cpu_pages(cpu, zone)
    local_irq_save(trace, zone)
    page = NULL
    migratetype = first
    while migratetype <= last and page == NULL:
        page = __rmqueue_pcplist(pages, zones, blocks, trace, zone, pcp, migratetype, alloc_flags, refill)
        migratetype += 1
    local_irq_restore(trace, zone)
    return page


@compiled
def free_pcppages_bulk(pages: Pages, zones: Zones, trace: Trace, zone: int, pcp: int, count: int) -> None:
    """Give ``count`` pages of a cpu's lists back to the buddy lists, from the tails, the lists in turn.

    ``count`` may not exceed what the lists hold (the kernel would spin).  The kernel first gathers the pages on a
    private list and then frees that list in order; as neither step looks at what the other changes, each page is
    freed here as it is taken.  It goes back by its cached type, not by its list's.
    Models: mm/page_alloc.c:free_pcppages_bulk (v5.8); leaves out prefetching and isolated pageblocks.
    """
    if trace is not None:
        trace_event(trace, BULK_FREE, zone, count, 0, 0, 0, 0, 0)
    spin_lock(trace, zone)
    put(pages, pcp + COUNTS_ROW, COUNT, get(pages, pcp + COUNTS_ROW, COUNT) - count)
    migratetype, batch_free = 0, 0
    while count > 0:
        head = pcp
        page = head
        while page == head:
            batch_free += 1
            migratetype = migratetype + 1 if migratetype < MIGRATE_PCPTYPES - 1 else 0
            head = pcp + migratetype
            page = get(pages, head, PREV)
        if batch_free == MIGRATE_PCPTYPES:
            batch_free = count  # the only list that is not empty
        while True:
            before = get(pages, page, PREV)
            cached_type = (get(pages, page, FLAGS) & TYPE_MASK) >> TYPE_SHIFT
            put(pages, page, FLAGS, 0)
            __free_one_page(pages, zones, zone, page, 0, cached_type)
            if trace is not None:
                pfn = page_to_pfn(zones, page)
                trace_event(trace, MM_PAGE_PCPU_DRAIN, zone, pfn, 0, cached_type, 0, 0, 0)
            page = before
            count -= 1
            if count == 0:
                break
            batch_free -= 1
            if batch_free == 0 or page == head:
                break
        put(pages, head, PREV, page)
        put(pages, page, NEXT, head)
    spin_unlock(trace, zone)


@inlined
def free_unref_page_commit(
    pages: Pages, zones: Zones, trace: Trace, zone: int, cpu: int, page: int, migratetype: int
) -> None:
    """Put a page at the head of this cpu's list; a batch goes back to the buddy lists when ``high`` is reached.

    Types without a pcp list (HIGHATOMIC, CMA) go on the MOVABLE list, the cached type stays theirs.
    Models: mm/page_alloc.c:free_unref_page_commit (v5.8).
    """
    pcp = per_cpu_pages(cpu, zone)
    put(pages, page, FLAGS, ON_PCP | zone << ZONE_SHIFT | migratetype << TYPE_SHIFT)
    list_add(pages, page, pcp + (migratetype if migratetype < MIGRATE_PCPTYPES else MIGRATE_MOVABLE))
    count = get(pages, pcp + COUNTS_ROW, COUNT) + 1
    put(pages, pcp + COUNTS_ROW, COUNT, count)
    if count >= get(pages, pcp + COUNTS_ROW, HIGH):
        free_pcppages_bulk(pages, zones, trace, zone, pcp, get(pages, pcp + COUNTS_ROW, BATCH))


@compiled
def drain_pages(pages: Pages, zones: Zones, trace: Trace, cpu: int) -> None:
    """Give all pages of a cpu's lists back, zone by zone.

    Models: mm/page_alloc.c:drain_pages (v5.8).
    """
    for zone in range(MAX_NR_ZONES):
        if zget(zones, zone, ZONE_END) > 0:
            pcp = per_cpu_pages(cpu, zone)
            local_irq_save(trace, zone)
            count = get(pages, pcp + COUNTS_ROW, COUNT)
            if count > 0:
                free_pcppages_bulk(pages, zones, trace, zone, pcp, count)
            local_irq_restore(trace, zone)
