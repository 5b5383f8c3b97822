"""A run that starts from a machine as a kernel showed it: what is free there, and which pages in use can be taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import gcd
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError
from gfpmodel.mm import Machine, PageAllocator, Rule, Snapshot
from gfpmodel.mm import state as mm
from gfpmodel.mm.mmzone import Sizes
from gfpmodel.mm.state import zget
from gfpmodel.sim import state as st
from gfpmodel.sim.workloads import Flow, Workload

MOST_GIVEN = 1 << 18  #: pages (1 GiB): more than kswapd takes in a run


class Start(NamedTuple):
    """Where a run starts: the machine for so many CPUs, its sizes and free blocks; and its page cache (pages).

    ``cache`` None: how much of what is in use is page cache is not known, so that all is taken for it.
    """

    lay_out: Callable[[int], tuple[Machine, Sizes, Snapshot | None]]
    cache: int | None = None

    def checksum(self) -> int:
        """Return a sum over the machine and its state, which another start does not have."""
        return crc32(repr((self.lay_out(1), self.cache)).encode())


def started(start: Start, cpus: int, row: Rule | None, wanted: bool) -> tuple[PageAllocator, NDArray[np.int64]]:
    """Return the allocator in the state of a start, and the rows of its page cache if that is wanted.

    Raises InputError.
    """
    machine, sizes, snapshot = start.lay_out(cpus)
    if snapshot is None:
        raise InputError("no free blocks are counted; expected a report, or buddyinfo or pagetypeinfo beside zoneinfo")
    cache = in_use(machine, sizes, snapshot)[: MOST_GIVEN if start.cache is None else min(start.cache, MOST_GIVEN)]
    cache = cache[: len(cache) if wanted else 0]
    allocator = PageAllocator(machine, row)
    allocator.restore(replace(snapshot, in_use=tuple((pfn, 0) for pfn in cache.tolist())), sizes)
    return allocator, cache - zget(allocator.arrays, mm.MACHINE, mm.PFN_OFFSET)


def in_use(machine: Machine, sizes: Sizes, snapshot: Snapshot) -> NDArray[np.int64]:
    """Return the pfns that are managed and not free, scattered: a reclaimer seldom takes neighbours."""
    found = []
    for zone, state in zip(machine.zones, snapshot.zones, strict=True):
        used = np.ones(zone.spanned, bool)
        for order, lists in enumerate(state.free_lists):
            for pfn in (pfn for pfns in lists for pfn in pfns):
                used[pfn - zone.start : pfn - zone.start + (1 << order)] = False
        pfns = zone.start + np.flatnonzero(used)
        found.append(pfns[: max(sizes.zones[zone.index].managed - state.free, 0)])
    pfns = np.concatenate(found).astype(np.int64)
    step = max(int(len(pfns) * 0.618), 1)
    while gcd(step, len(pfns)) > 1:
        step -= 1
    return pfns[np.arange(len(pfns)) * step % max(len(pfns), 1)]


def takes_over(flow: Flow) -> bool:
    """Return whether a flow is memory that is full when the run begins: a start has that already."""
    return bool(flow.preload and flow.reclaimable and not flow.holes and flow.hold is None and flow.period is None)


def without_preload(workload: Workload) -> Workload:
    """Return a workload whose page cache is what is in use on the machine, not what it would allocate first."""
    flows = tuple(replace(f, preload=0, limit=MOST_GIVEN) if takes_over(f) else f for f in workload.flows)
    return replace(workload, flows=flows)


def hold(arrays: dict[str, NDArray[Any]], allocator: PageAllocator, flow: int, pages: NDArray[np.int64]) -> None:
    """Let a flow hold pages that are in use already, the first ones the oldest; before anything else is held.

    What ``loop.keep`` writes down of a block that was asked for.
    """
    slots, words, flows = arrays["slots"], arrays["words"], arrays["flows"]
    taken = np.arange(1, len(pages) + 1)
    words[st.FREE_SLOT] = slots[len(pages), st.NEXT_SLOT]
    slots[taken, st.PAGE], slots[taken, st.FLOW], slots[taken, st.SLOT_STATE] = pages, flow, st.HELD
    slots[taken, st.PREV_SLOT], slots[taken, st.NEXT_SLOT] = taken - 1, np.append(taken[1:], 0)
    slots[0, st.NEXT_SLOT], slots[0, st.PREV_SLOT] = 1, len(pages)
    words[st.LIVE_PAGES] += len(pages)
    flows[flow, [st.IN_USE, st.LIVE, st.PEAK]] = len(pages)
    allocator.arrays.flags[pages] |= mm.PG_LRU
