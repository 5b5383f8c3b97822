"""The way of a free: to this cpu's lists or to the buddy lists; and what boot frees."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.buddy import __free_one_page
from gfpmodel.mm.events import local_irq_restore, local_irq_save, spin_lock, spin_unlock, trace_event
from gfpmodel.mm.jit import compiled, entry, inlined
from gfpmodel.mm.pcp import free_unref_page_commit
from gfpmodel.mm.state import Mm, Silent, get_flags, get_pageblock_migratetype, page_to_pfn, set_flags, zadd, zget


@compiled
def free_one_page(m: Mm, zone: int, page: int, order: int, migratetype: int) -> None:
    """Give a block back to the buddy lists.

    Models: mm/page_alloc.c:free_one_page (v5.8).
    """
    set_flags(m, page, 0)
    spin_lock(m, zone)
    __free_one_page(m, zone, page, order, migratetype)
    spin_unlock(m, zone)


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
