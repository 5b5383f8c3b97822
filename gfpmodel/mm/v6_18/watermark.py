"""The watermarks of v6.18: what of the free pages is of no use, and reserves by free pages."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import state as st
from gfpmodel.mm.jit import compiled, inlined
from gfpmodel.mm.state import Mm, zget
from gfpmodel.mm.watermark import has_suitable_block


@inlined
def may_use_highatomic(alloc_flags: int) -> Any:
    """Return whether the watermark counts a block on a HIGHATOMIC list as one that can serve the request.

    Models: the condition in mm/page_alloc.c:__zone_watermark_ok (v6.18).
    """
    return alloc_flags & (st.ALLOC_HIGHATOMIC | st.ALLOC_OOM) != 0


@inlined
def __zone_watermark_unusable_free(m: Mm, zone: int, order: int, alloc_flags: int) -> Any:
    """Return how many free pages are of no use for a request.

    Models: mm/page_alloc.c:__zone_watermark_unusable_free (v6.18).
    """
    unusable = (1 << order) - 1
    if not alloc_flags & st.ALLOC_RESERVES:
        unusable += zget(m, zone, st.NR_FREE_HIGHATOMIC)
    if not alloc_flags & st.ALLOC_CMA:
        unusable += zget(m, zone, st.NR_FREE_CMA)
    return unusable


@compiled
def zone_watermark_ok(m: Mm, zone: int, order: int, mark: int, highest: int, alloc_flags: int, free: int) -> Any:
    """Return whether a zone has more than ``mark`` free after this request, and a block that can serve it.

    Models: mm/page_alloc.c:__zone_watermark_ok (v6.18).
    """
    free -= __zone_watermark_unusable_free(m, zone, order, alloc_flags)
    if alloc_flags & st.ALLOC_MIN_RESERVE:
        mark -= mark // 2
        if alloc_flags & st.ALLOC_NON_BLOCK:
            mark -= mark // 4
    if alloc_flags & st.ALLOC_OOM:
        mark -= mark // 2
    if free <= mark + zget(m, zone, st.RESERVE + highest):
        return False
    return order == 0 or has_suitable_block(m, zone, order, alloc_flags)


@inlined
def has_plenty(m: Mm, zone: int, mark: int, highest: int, alloc_flags: int) -> Any:
    """Return whether a zone is above its mark and reserve whatever else the flags allow.

    Models: mm/page_alloc.c:zone_watermark_fast (v6.18), its quick test.
    """
    free = zget(m, zone, st.NR_FREE)
    unusable = __zone_watermark_unusable_free(m, zone, 0, alloc_flags)
    return free - min(free, unusable) > mark + zget(m, zone, st.RESERVE + highest)


@inlined
def zone_watermark_fast(m: Mm, zone: int, order: int, mark: int, highest: int, alloc_flags: int) -> Any:
    """Return what zone_watermark_ok would, with a quick test for order 0 first, and a last one without the boost.

    Models: mm/page_alloc.c:zone_watermark_fast (v6.18).
    """
    if order == 0 and has_plenty(m, zone, mark, highest, alloc_flags):
        return True
    return zone_watermark_slow(m, zone, order, mark, highest, alloc_flags)


@compiled
def zone_watermark_slow(m: Mm, zone: int, order: int, mark: int, highest: int, alloc_flags: int) -> Any:
    """Return what zone_watermark_fast does where its quick test does not answer.

    Models: the second half of mm/page_alloc.c:zone_watermark_fast (v6.18).
    """
    free = zget(m, zone, st.NR_FREE)
    if zone_watermark_ok(m, zone, order, mark, highest, alloc_flags, free):
        return True
    if order > 0 or not alloc_flags & st.ALLOC_MIN_RESERVE or zget(m, zone, st.BOOST) == 0:
        return False
    if alloc_flags & st.ALLOC_WMARK_MASK != st.ALLOC_WMARK_MIN:
        return False
    return zone_watermark_ok(m, zone, 0, zget(m, zone, st.WMARK), highest, alloc_flags, free)
