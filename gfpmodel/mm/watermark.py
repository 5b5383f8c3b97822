"""The watermarks: whether a zone may give a block, and still has what it keeps for others."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import state as st
from gfpmodel.mm.jit import compiled, entry, inlined
from gfpmodel.mm.state import Mm, Silent, zget


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


@inlined
def has_plenty_for_any(m: Mm, zone: int) -> Any:
    """Return whether has_plenty() holds for every request: it is above the highest mark, boost and reserve together."""
    mark, reserve = 0, 0
    for i in range(st.ALLOC_WMARK_HIGH + 1):
        mark = max(mark, zget(m, zone, st.WMARK + i))
    for highest in range(st.MAX_NR_ZONES):
        reserve = max(reserve, zget(m, zone, st.RESERVE + highest))
    free = zget(m, zone, st.NR_FREE) - zget(m, zone, st.NR_FREE_CMA)
    return free > mark + zget(m, zone, st.BOOST) + reserve
