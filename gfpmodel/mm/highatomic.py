"""The HIGHATOMIC reserve: pageblocks kept for atomic requests, and given back before OOM."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.buddy import move_freepages_block, set_pageblock_migratetype
from gfpmodel.mm.events import local_irq_restore, local_irq_save, spin_lock, spin_unlock, trace_event
from gfpmodel.mm.jit import compiled
from gfpmodel.mm.state import Mm, free_area, get, get_pageblock_migratetype, page_to_pfn, zadd, zget


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
