"""The operations of a run that v5.8 does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm import state as st
from gfpmodel.mm.free import is_block_in_use
from gfpmodel.mm.jit import compiled, i64, inlined, u64
from gfpmodel.mm.page_alloc import GFP_ZONEMASK, gfp_migratetype
from gfpmodel.mm.run import NO_RESULT
from gfpmodel.mm.state import NULL, Mm, page_to_pfn, zget, zput
from gfpmodel.mm.v6_18.free import free_pages_nolock
from gfpmodel.mm.v6_18.highatomic import unreserve_highatomic_pageblock
from gfpmodel.mm.v6_18.page_alloc import alloc_pages_bulk, alloc_pages_nolock
from gfpmodel.mm.v6_18.pcp import decay_pcp_high, drain_pages

# The rarer operations: which one is in the word's room for the order, an order of their own above the argument.
(
    RUN_DRAIN,
    RUN_NOLOCK,
    RUN_FREE_NOLOCK,
    RUN_FREE_NOLOCK_HANDLE,
    RUN_BULK,
    RUN_DECAY,
    RUN_UNRESERVE,
    RUN_ZONE_FLAG,
    RUN_SET_BOOST,
    RUN_BUSY,
    RUN_AMOUNT,
) = range(11)
ARGUMENT_MASK, ARGUMENT_ORDER_SHIFT = 0xFFFFFFFF, 32


@compiled
def run_nolock(m: Mm, cpu: int, argument: int, results: NDArray[np.uint32], done: int) -> Any:
    """Run an alloc_pages_nolock(); returns how many results there are then."""
    page = alloc_pages_nolock(m, cpu, argument >> ARGUMENT_ORDER_SHIFT)
    results[u64(done)] = page_to_pfn(m, page) if page != NULL else NO_RESULT
    return done + 1


@compiled
def run_free_nolock(m: Mm, cpu: int, pfn: int, order: int) -> Any:
    """Run a free_pages_nolock(); returns whether it was no misuse."""
    if pfn == NO_RESULT:
        return True
    page = pfn - zget(m, st.MACHINE, st.PFN_OFFSET)
    if not is_block_in_use(m, page, order):
        return False
    free_pages_nolock(m, cpu, page, order)
    return True


@compiled
def run_bulk(m: Mm, cpu: int, gfp: int, results: NDArray[np.uint32], done: int) -> Any:
    """Run an alloc_pages_bulk() of so many pages as the word before said; returns how many results there are then."""
    amount = zget(m, st.MACHINE, st.AMOUNT)
    alloc_pages_bulk(m, cpu, gfp, amount, results, done)
    zput(m, st.MACHINE, st.AMOUNT, 0)
    return done + amount


@compiled
def run_unreserve(m: Mm, gfp: int, force: int) -> Any:
    """Run an unreserve_highatomic_pageblock() as a request with this mask would; returns whether pages moved."""
    gfp &= zget(m, st.MACHINE, st.ALLOWED)
    migratetype = gfp_migratetype(m, gfp)
    highest = zget(m, st.MACHINE, st.HIGHEST_ZONE + (gfp & GFP_ZONEMASK))
    return unreserve_highatomic_pageblock(m, zget(m, st.MACHINE, st.FIRST_ZONE + highest), migratetype, force)


@compiled
def set_zone_flag(m: Mm, zone: int, bit: int, value: int) -> None:
    """Set or clear a bit of zone->flags, as kswapd or another cpu would."""
    flags = zget(m, zone, st.ZONE_FLAGS) & ~(1 << bit)
    zput(m, zone, st.ZONE_FLAGS, flags | value << bit)


@compiled
def run_other(m: Mm, which: int, cpu: int, argument: int, results: NDArray[np.uint32], done: int) -> Any:
    """Run an operation that is neither alloc_pages() nor a free; returns how many results there are then.

    What is misuse returns -1.  RUN_BUSY and RUN_AMOUNT are about the operation that comes next.
    """
    low, high = argument & ARGUMENT_MASK, argument >> ARGUMENT_ORDER_SHIFT
    if which == RUN_DRAIN:
        drain_pages(m, cpu)
    elif which == RUN_NOLOCK:
        done = run_nolock(m, cpu, argument, results, done)
    elif RUN_FREE_NOLOCK <= which <= RUN_FREE_NOLOCK_HANDLE:
        pfn = i64(results[u64(low)]) if which == RUN_FREE_NOLOCK_HANDLE else low
        if not run_free_nolock(m, cpu, pfn, high):
            return -1
    elif which == RUN_BULK:
        done = run_bulk(m, cpu, argument, results, done)
    elif RUN_DECAY <= which <= RUN_UNRESERVE:
        answer = decay_pcp_high(m, low, cpu) if which == RUN_DECAY else run_unreserve(m, low, high)
        results[u64(done)] = answer
        done += 1
    elif which == RUN_ZONE_FLAG:
        set_zone_flag(m, low & 3, low >> 2, high)
    elif which == RUN_SET_BOOST:
        zput(m, high, st.BOOST, low)
    elif which == RUN_BUSY:
        zput(m, st.MACHINE, st.BUSY, argument)
        zput(m, st.MACHINE, st.TRYLOCKS, 0)
        return done
    else:
        zput(m, st.MACHINE, st.AMOUNT, argument)
        return done
    return done


@inlined
def end_of_op(m: Mm, kind: int, which: int) -> None:
    """Let nothing be busy any more after an operation during which something was."""
    if zget(m, st.MACHINE, st.BUSY) != 0 and not (kind == 3 and which in (RUN_BUSY, RUN_AMOUNT)):
        zput(m, st.MACHINE, st.BUSY, 0)
