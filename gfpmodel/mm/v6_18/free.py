"""The way of a free in v6.18: to the lists if their lock is free, else to the buddy lists; nolock, and in bulk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.events import trace_event, trace_op
from gfpmodel.mm.jit import compiled, entry, i64, u64
from gfpmodel.mm.state import (
    NULL,
    Mm,
    Silent,
    free_area,
    get,
    get_flags,
    list_add,
    list_del,
    page_to_pfn,
    set_flags,
    zget,
    zput,
)
from gfpmodel.mm.v6_18.buddy import split_large_buddy
from gfpmodel.mm.v6_18.locks import (
    pcp_spin_trylock,
    pcp_spin_unlock,
    per_cpu_pages,
    spin_lock_irqsave,
    spin_trylock_irqsave,
    spin_unlock_irqrestore,
)
from gfpmodel.mm.v6_18.pcp import free_frozen_page_commit, pcp_allowed_order, pcp_migratetype


@compiled
def free_deferred(m: Mm, zone: int) -> None:
    """Free what free_pages_nolock() left behind, the newest first.

    Models: the beginning of mm/page_alloc.c:free_one_page (v6.18).
    """
    head = free_area(zone, 0) + st.DEFERRED_ROW
    page = get(m, head, st.NEXT)
    while page != head:
        list_del(m, page)
        order = get_flags(m, page) & st.ORDER_MASK
        set_flags(m, page, 0)
        split_large_buddy(m, zone, page, order)
        page = get(m, head, st.NEXT)


@compiled
def add_page_to_zone_llist(m: Mm, zone: int, page: int, order: int) -> None:
    """Leave a block for the next who frees under the zone lock.

    Models: mm/page_alloc.c:add_page_to_zone_llist (v6.18).
    """
    set_flags(m, page, st.DEFERRED | order | zone << st.ZONE_SHIFT)
    list_add(m, page, free_area(zone, 0) + st.DEFERRED_ROW)


@compiled
def free_one_page(m: Mm, zone: int, page: int, order: int, trylock: bool) -> None:
    """Put a block on the buddy lists, under the zone lock.

    Models: mm/page_alloc.c:free_one_page (v6.18).
    """
    if trylock:
        if not spin_trylock_irqsave(m, zone):
            add_page_to_zone_llist(m, zone, page, order)
            return
    else:
        spin_lock_irqsave(m, zone)
        free_deferred(m, zone)
    set_flags(m, page, 0)
    split_large_buddy(m, zone, page, order)
    spin_unlock_irqrestore(m, zone)


@compiled
def ___free_pages(m: Mm, cpu: int, page: int, order: int, trylock: bool) -> None:
    """Free 2**order pages: to this cpu's lists if the order has some and their lock is free, else to the buddy lists.

    Models: mm/page_alloc.c:___free_pages and __free_frozen_pages (v6.18).
    """
    zone = (get_flags(m, page) & st.ZONE_MASK) >> st.ZONE_SHIFT
    trace_event(m, ev.MM_PAGE_FREE, zone, page_to_pfn(m, page), order)
    if pcp_allowed_order(m, order):
        migratetype = pcp_migratetype(m, page)
        pcp = per_cpu_pages(cpu, zone)
        if pcp_spin_trylock(m, zone, cpu, pcp):
            if free_frozen_page_commit(m, zone, cpu, pcp, page, migratetype, order, trylock):
                pcp_spin_unlock(m, zone, cpu)
            return
    free_one_page(m, zone, page, order, trylock)


@compiled
def __free_pages(m: Mm, cpu: int, page: int, order: int) -> None:
    """Free 2**order pages.

    Models: mm/page_alloc.c:__free_pages (v6.18).
    """
    ___free_pages(m, cpu, page, order, False)


@compiled
def free_pages_nolock(m: Mm, cpu: int, page: int, order: int) -> None:
    """Free 2**order pages without waiting for any lock.

    Models: mm/page_alloc.c:free_pages_nolock (v6.18).
    """
    ___free_pages(m, cpu, page, order, True)


@compiled
def __free_contig_range(m: Mm, cpu: int, page: int, count: int) -> None:
    """Free so many pages that follow each other: one by one, before v7.2.

    Models: mm/page_alloc.c:free_contig_range (v6.18).
    """
    for single in range(page, page + count):
        __free_pages(m, cpu, single, 0)


@compiled
def block_of(m: Mm, page: int) -> Any:
    """Return the first page of the allocated block that a page lies in, NULL if it lies in none."""
    if page < zget(m, st.MACHINE, st.FIRST_PAGE) or page >= zget(m, st.MACHINE, st.PAGES_END):
        return NULL
    for order in range(st.MAX_ORDER):
        head = page & ~((1 << order) - 1)
        flags = get_flags(m, head)
        if flags & st.STATE_MASK:
            return head if flags & st.STATE_MASK == st.IN_USE and flags & st.ORDER_MASK >= order else NULL
    return NULL


@compiled
def split_page(m: Mm, page: int) -> None:
    """Make single pages of an allocated block.

    Models: mm/page_alloc.c:split_page (v6.18).
    """
    flags = get_flags(m, page)
    for single in range(page + 1, page + (1 << (flags & st.ORDER_MASK))):
        set_flags(m, single, flags & ~(st.ORDER_MASK | st.PG_LRU))
    set_flags(m, page, flags & ~st.ORDER_MASK)


@entry
@compiled
def split_block(m: Silent, page: int) -> Any:
    """Make single pages of the allocated block that a page lies in; returns whether it lies in one."""
    head = block_of(m, page)
    if head != NULL:
        split_page(m, head)
    return head != NULL


@entry
@compiled
def free_pages_bulk(m: Mm, cpu: int, pages: NDArray[np.int64], count: int) -> Any:
    """Free the first ``count`` of single pages (rows) in this order; returns the number of the first that is misuse.

    Without one it returns how many there are.  The pages behind ``count`` stay in use; they and the others are split
    off larger blocks first.  With a misuse none is freed.
    Models: mm/page_alloc.c:free_pages_bulk (v7.3): each stretch of pages that follow each other is a range.
    """
    trace_op(m.trace, 0, cpu)
    for at in range(len(pages)):
        if block_of(m, i64(pages[u64(at)])) == NULL:
            return at
    for at in range(len(pages)):
        split_page(m, block_of(m, i64(pages[u64(at)])))
    start = 0
    while start < count:
        stop = start + 1
        while stop < count and pages[u64(stop)] == pages[u64(stop - 1)] + 1:
            stop += 1
        __free_contig_range(m, cpu, i64(pages[u64(start)]), stop - start)
        start = stop
    zput(m, st.MACHINE, st.BUSY, 0)
    return len(pages)
