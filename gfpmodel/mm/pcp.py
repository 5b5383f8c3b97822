"""The per-cpu page lists: refill from the buddy lists, take, put, and free in bulk."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.buddy import __free_one_page, __rmqueue
from gfpmodel.mm.events import local_irq_restore, local_irq_save, spin_lock, spin_unlock, trace_event
from gfpmodel.mm.jit import compiled, inlined
from gfpmodel.mm.state import (
    NULL,
    Mm,
    get,
    get_flags,
    list_add,
    list_empty,
    list_pop,
    page_to_pfn,
    per_cpu_pages,
    put,
    set_flags,
    zadd,
    zget,
)


@compiled
def rmqueue_bulk(m: Mm, zone: int, pcp: int, migratetype: int, alloc_flags: int) -> Any:
    """Move up to ``batch`` pages from the buddy lists to the tail of a pcp list; returns how many came.

    Models: mm/page_alloc.c:rmqueue_bulk (v5.8); leaves out the page checks, which never fail here.
    """
    batch = get(m, pcp + st.COUNTS_ROW, st.BATCH)
    spin_lock(m, zone)
    got = 0
    while got < batch:
        page, taken = __rmqueue(m, zone, 0, migratetype, alloc_flags, batch - got)
        if page == NULL:
            trace_event(m, ev.MM_PAGE_ALLOC_ZONE_LOCKED, zone, ev.NO_PAGE, 0, migratetype)
            break
        if get_flags(m, page) & st.TYPE_MASK == st.MIGRATE_CMA << st.TYPE_SHIFT:
            zadd(m, zone, st.NR_FREE_CMA, -taken)
        list_add_run(m, page, taken, pcp + migratetype)
        trace_run(m, zone, page, taken, migratetype)
        got += taken
    zadd(m, zone, st.NR_FREE, -got)
    spin_unlock(m, zone)
    put(m, pcp + st.COUNTS_ROW, st.COUNT, get(m, pcp + st.COUNTS_ROW, st.COUNT) + got)
    trace_event(m, ev.REFILL_DONE, zone, migratetype, batch, got)
    return got


@inlined
def list_add_run(m: Mm, page: int, taken: int, head: int) -> None:
    """Put consecutive pages at the tail of a pcp list; all get the flags of the first one."""
    flags = get_flags(m, page) | st.ON_PCP
    last = get(m, head, st.PREV)
    put(m, last, st.NEXT, page)
    end = page + taken
    while page < end:
        put(m, page, st.NEXT, page + 1)
        put(m, page, st.PREV, last)
        set_flags(m, page, flags)
        last = page
        page += 1
    put(m, last, st.NEXT, head)
    put(m, head, st.PREV, last)


@inlined
def trace_run(m: Mm, zone: int, page: int, taken: int, migratetype: int) -> None:
    """Record that pages of order 0 were taken one after the other."""
    for pfn in range(page_to_pfn(m, page), page_to_pfn(m, page + taken)):
        trace_event(m, ev.MM_PAGE_ALLOC_ZONE_LOCKED, zone, pfn, 0, migratetype)


@inlined
def may_lock(m: Mm, zone: int, rule: int) -> Any:
    """Return whether a refill or split under this rule gets the zone lock.

    A trylock fails while another cpu has it; a rule that declines it never asks.
    """
    if rule == st.REFILL_TRYLOCK:
        taken = zget(m, zone, st.CONTENDED) == 0
        trace_event(m, ev.TRYLOCK, zone, 1 if taken else 0)
        return taken
    if rule == st.REFILL_DECLINE:
        trace_event(m, ev.DECLINE, zone)
    return rule == st.REFILL_YES


@inlined
def take_first(m: Mm, head: int, flags: int) -> Any:
    """Take the first page of a list that is not empty, and give it flags."""
    page = get(m, head, st.NEXT)
    list_pop(m, head, page)
    set_flags(m, page, flags)
    counts = (head & ~(st.PCP_ROWS - 1)) + st.COUNTS_ROW
    put(m, counts, st.COUNT, get(m, counts, st.COUNT) - 1)
    return page


@inlined
def put_first(m: Mm, zone: int, pcp: int, page: int, migratetype: int, count: int) -> None:
    """Put a page at the head of its type's list; ``count`` pages are on the cpu's lists then.

    Types without a pcp list (HIGHATOMIC, CMA) go on the MOVABLE list, the cached type stays theirs.
    """
    put(m, pcp + st.COUNTS_ROW, st.COUNT, count)
    set_flags(m, page, st.ON_PCP | zone << st.ZONE_SHIFT | migratetype << st.TYPE_SHIFT)
    list_add(m, page, pcp + (migratetype if migratetype < st.MIGRATE_PCPTYPES else st.MIGRATE_MOVABLE))


@inlined
def __rmqueue_pcplist(m: Mm, zone: int, cpu: int, migratetype: int, alloc_flags: int, refill: int) -> Any:
    """Take the head of one pcp list, after a refill if it is empty and the rule allows it.

    Models: mm/page_alloc.c:__rmqueue_pcplist (v5.8, and the RFC's hunk for a rule without refill).
    """
    pcp = per_cpu_pages(cpu, zone)
    if list_empty(m, pcp + migratetype):
        if refill == st.REFILL_NO or not may_lock(m, zone, refill):
            return NULL
        if rmqueue_bulk(m, zone, pcp, migratetype, alloc_flags) == 0:
            return NULL
    return take_first(m, pcp + migratetype, st.IN_USE | zone << st.ZONE_SHIFT)


@inlined
def rmqueue_pcplist(m: Mm, zone: int, cpu: int, first: int, last: int, alloc_flags: int, refill: int) -> Any:
    """Take a page from this cpu's lists ``first`` to ``last`` of a zone: the first list that yields one.

    An ordinary request has one list, the RFC's flag scans from the requested type upward.
    Models: mm/page_alloc.c:rmqueue_pcplist (v5.8, and the RFC's hunk).
    """
    local_irq_save(m, zone)
    page = NULL
    migratetype = first
    while migratetype <= last and page == NULL:
        page = __rmqueue_pcplist(m, zone, cpu, migratetype, alloc_flags, refill)
        migratetype += 1
    local_irq_restore(m, zone)
    return page


@compiled
def free_pcppages_bulk(m: Mm, zone: int, pcp: int, count: int) -> None:
    """Give ``count`` pages of a cpu's lists back to the buddy lists, from the tails, the lists in turn.

    ``count`` may not exceed what the lists hold (the kernel would spin).  The kernel first gathers the pages on a
    private list and then frees that list in order; as neither step looks at what the other changes, each page is
    freed here as it is taken.  It goes back by its cached type, not by its list's.
    Models: mm/page_alloc.c:free_pcppages_bulk (v5.8); leaves out prefetching and isolated pageblocks.
    """
    trace_event(m, ev.BULK_FREE, zone, count)
    spin_lock(m, zone)
    put(m, pcp + st.COUNTS_ROW, st.COUNT, get(m, pcp + st.COUNTS_ROW, st.COUNT) - count)
    migratetype, batch_free = 0, 0
    while count > 0:
        head = pcp
        page = head
        while page == head:
            batch_free += 1
            migratetype = migratetype + 1 if migratetype < st.MIGRATE_PCPTYPES - 1 else 0
            head = pcp + migratetype
            page = get(m, head, st.PREV)
        if batch_free == st.MIGRATE_PCPTYPES:
            batch_free = count  # the only list that is not empty
        while True:
            before = get(m, page, st.PREV)
            cached_type = (get_flags(m, page) & st.TYPE_MASK) >> st.TYPE_SHIFT
            set_flags(m, page, 0)
            __free_one_page(m, zone, page, 0, cached_type)
            pfn = page_to_pfn(m, page)
            trace_event(m, ev.MM_PAGE_PCPU_DRAIN, zone, pfn, 0, cached_type)
            page = before
            count -= 1
            if count == 0:
                break
            batch_free -= 1
            if batch_free == 0 or page == head:
                break
        put(m, head, st.PREV, page)
        put(m, page, st.NEXT, head)
    spin_unlock(m, zone)


@inlined
def free_unref_page_commit(m: Mm, zone: int, cpu: int, page: int, migratetype: int) -> None:
    """Put a page at the head of this cpu's list; a batch goes back to the buddy lists when ``high`` is reached.

    Models: mm/page_alloc.c:free_unref_page_commit (v5.8).
    """
    pcp = per_cpu_pages(cpu, zone)
    count = get(m, pcp + st.COUNTS_ROW, st.COUNT) + 1
    put_first(m, zone, pcp, page, migratetype, count)
    if count >= get(m, pcp + st.COUNTS_ROW, st.HIGH):
        free_pcppages_bulk(m, zone, pcp, get(m, pcp + st.COUNTS_ROW, st.BATCH))


@compiled
def drain_pages(m: Mm, cpu: int) -> None:
    """Give all pages of a cpu's lists back, zone by zone.

    Models: mm/page_alloc.c:drain_pages (v5.8).
    """
    for zone in range(st.MAX_NR_ZONES):
        if zget(m, zone, st.ZONE_END) > 0:
            pcp = per_cpu_pages(cpu, zone)
            local_irq_save(m, zone)
            count = get(m, pcp + st.COUNTS_ROW, st.COUNT)
            if count > 0:
                free_pcppages_bulk(m, zone, pcp, count)
            local_irq_restore(m, zone)
