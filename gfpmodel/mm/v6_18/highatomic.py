"""The HIGHATOMIC reserve of v6.18: who fills it, and who gives it back."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.buddy import change_pageblock_range
from gfpmodel.mm.events import trace_event
from gfpmodel.mm.jit import compiled, i64, inlined
from gfpmodel.mm.state import Mm, free_area, get, get_pageblock_migratetype, page_to_pfn, zadd, zget
from gfpmodel.mm.v6_18.buddy import move_freepages_block, move_to_free_list
from gfpmodel.mm.v6_18.locks import spin_lock_irqsave, spin_unlock_irqrestore


@compiled
def reserve_highatomic_pageblock(m: Mm, zone: int, page: int, order: int) -> None:
    """Reserve the pageblock of a block just allocated for later atomic requests, up to one percent of the zone.

    Models: mm/page_alloc.c:reserve_highatomic_pageblock (v6.18).
    """
    pageblock_order = zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)
    block, percent = 1 << pageblock_order, zget(m, zone, st.MANAGED) // 100
    reserved = zget(m, zone, st.NR_HIGHATOMIC)
    if percent < block or reserved >= (percent + block - 1 & ~(block - 1)):
        return
    spin_lock_irqsave(m, zone)
    migratetype = get_pageblock_migratetype(m, page)
    if migratetype < st.MIGRATE_PCPTYPES:
        if order >= pageblock_order:
            change_pageblock_range(m, page, order, st.MIGRATE_HIGHATOMIC)
            zadd(m, zone, st.NR_HIGHATOMIC, 1 << order)
        elif move_freepages_block(m, zone, page, migratetype, st.MIGRATE_HIGHATOMIC) >= 0:
            zadd(m, zone, st.NR_HIGHATOMIC, block)
    spin_unlock_irqrestore(m, zone)
    if zget(m, zone, st.NR_HIGHATOMIC) != reserved:
        now = zget(m, zone, st.NR_HIGHATOMIC)
        trace_event(m, ev.RESERVE_HIGHATOMIC, zone, page_to_pfn(m, page), order, now)


@compiled
def unreserve_in_zone(m: Mm, zone: int, migratetype: int) -> Any:
    """Give the first HIGHATOMIC block of a zone to a type, with its pageblock; returns whether pages moved.

    Models: the inside of mm/page_alloc.c:unreserve_highatomic_pageblock (v6.18).
    """
    pageblock_order = zget(m, st.MACHINE, st.PAGEBLOCK_ORDER)
    for order in range(st.MAX_ORDER):
        head = free_area(zone, order) + st.MIGRATE_HIGHATOMIC
        page = get(m, head, st.NEXT)
        if page == head:
            continue
        size = max(1 << pageblock_order, 1 << order)
        zadd(m, zone, st.NR_HIGHATOMIC, -min(size, zget(m, zone, st.NR_HIGHATOMIC)))
        moved = i64(1 << order)
        if order < pageblock_order:
            moved = move_freepages_block(m, zone, page, st.MIGRATE_HIGHATOMIC, migratetype)
        else:
            move_to_free_list(m, page, zone, order, st.MIGRATE_HIGHATOMIC, migratetype)
            change_pageblock_range(m, page, order, migratetype)
        if moved > 0:
            return True
    return False


@compiled
def unreserve_highatomic_pageblock(m: Mm, first: int, migratetype: int, force: int) -> Any:
    """Give one reserved pageblock to a type; without ``force`` a zone keeps its last one; returns 1 if pages moved.

    Models: mm/page_alloc.c:unreserve_highatomic_pageblock (v6.18).
    """
    zone, moved = first, 0
    while zone >= 0 and not moved:
        if force or zget(m, zone, st.NR_HIGHATOMIC) > 1 << zget(m, st.MACHINE, st.PAGEBLOCK_ORDER):
            spin_lock_irqsave(m, zone)
            moved = 1 if unreserve_in_zone(m, zone, migratetype) else 0
            spin_unlock_irqrestore(m, zone)
        zone = zget(m, zone, st.NEXT_ZONE)
    trace_event(m, ev.UNRESERVE_HIGHATOMIC, ev.NO_PAGE, force, moved)
    return moved


@inlined
def reserve_after_buddy(m: Mm, zone: int, page: int, order: int, alloc_flags: int) -> None:
    """Reserve for a block that came from the buddy lists: not here, before v7.1.

    Models: mm/page_alloc.c:rmqueue_buddy (v6.18).
    """


@inlined
def reserve_after_scan(m: Mm, zone: int, page: int, order: int, alloc_flags: int) -> None:
    """Reserve for a block, wherever it came from.

    Models: the end of mm/page_alloc.c:get_page_from_freelist (v6.18).
    """
    if alloc_flags & st.ALLOC_HIGHATOMIC:
        reserve_highatomic_pageblock(m, zone, page, order)
