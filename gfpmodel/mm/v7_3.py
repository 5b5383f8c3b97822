"""The rules that v7.3 has in another form than v7.1; all others are v7.1's.

Since when each form holds: the fact sheet from 7.1.5 to 7.3.4.
"""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import state as st
from gfpmodel.mm.jit import compiled, inlined
from gfpmodel.mm.page_alloc import GFP_DIRECT_RECLAIM, GFP_HIGH, GFP_KSWAPD_RECLAIM, GFP_NOMEMALLOC
from gfpmodel.mm.state import Mm, get_flags, set_flags, zget
from gfpmodel.mm.v6_18.free import __free_pages
from gfpmodel.mm.v6_18.highatomic import reserve_highatomic_pageblock


@inlined
def alloc_flags_first_pass(gfp: int, order: int) -> Any:
    """Return what else the first pass may do: an atomic request of order > 0 uses HIGHATOMIC blocks at once.

    Models: mm/page_alloc.c:prepare_alloc_pages (v7.3).
    """
    atomic = gfp & (GFP_HIGH | GFP_DIRECT_RECLAIM | GFP_NOMEMALLOC) == GFP_HIGH
    return st.ALLOC_HIGHATOMIC if order > 0 and atomic else 0


@inlined
def reserve_after_buddy(m: Mm, zone: int, page: int, order: int, alloc_flags: int) -> None:
    """Reserve for a block that came from the buddy lists, in the slow path.

    Models: the end of mm/page_alloc.c:rmqueue_buddy (v7.3).
    """
    slow_path = alloc_flags & st.ALLOC_WMARK_MASK == st.ALLOC_WMARK_MIN
    if alloc_flags & st.ALLOC_HIGHATOMIC and slow_path:
        reserve_highatomic_pageblock(m, zone, page, order)


@inlined
def flags_without_reclaim(m: Mm, gfp: int, alloc_flags: int) -> Any:
    """Return the flags with which a request that cannot reclaim tries once more, -1 to give up.

    Models: mm/page_alloc.c:__alloc_pages_slowpath (v7.3; since v7.2).
    """
    mixes = zget(m, st.MACHINE, st.DEFRAG_MODE) != 0 and alloc_flags & st.ALLOC_NOFRAGMENT != 0
    return alloc_flags & ~st.ALLOC_NOFRAGMENT if mixes and gfp & GFP_KSWAPD_RECLAIM else -1


@compiled
def __free_contig_range(m: Mm, cpu: int, page: int, count: int) -> None:
    """Free so many pages that follow each other in the largest aligned blocks.

    Models: mm/page_alloc.c:__free_contig_range (v7.3; since v7.2).
    """
    end = page + count
    for single in range(page, end):
        set_flags(m, single, get_flags(m, single) & st.ZONE_MASK)
    while page < end:
        order = 0
        while order < st.MAX_ORDER - 1 and page & (1 << order) == 0 and page + (2 << order) <= end:
            order += 1
        __free_pages(m, cpu, page, order)
        page += 1 << order
