"""What the list reported, without a recording: Rezki's loop, pages on lists, hold times, wake-up latencies.

Nothing says how fast the list's machines were.  So paces and grace periods are drawn from wide intervals by each
seed, and an interval is what comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from gfpmodel.errors import InputError
from gfpmodel.evidence.measured import Row, read_rows, set_lists, spread
from gfpmodel.evidence.mixes import FAST_TRY, GFP_KERNEL
from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm.state import ZONE_DMA32
from gfpmodel.rcu import KfreeRcu, Timing
from gfpmodel.rcu import state as st
from gfpmodel.sim.costs import HOLD_TIMES
from gfpmodel.sim.experiments import HoldTime, experiment
from gfpmodel.sim.run import Run, one_zone, simulate
from gfpmodel.sim.statistics import interval
from gfpmodel.sim.workloads import MS, SECOND, fork_mix

#: Assumptions of the loop, as intervals: ns of kmalloc() and kvfree_rcu() together, ms of a grace period.
PACE_NS, GRACE_MS = (100, 400), (5, 50)
OBJECTS_IN_A_PAGE = 64  #: an rcu_head and 20 bytes, from the slab of 64
CALLS = 1_000_000


class Figure(NamedTuple):
    """A published figure: least and largest value, what it is, and where it stands."""

    low: float
    high: float
    unit: str
    conditions: str
    source: str


def read_published(path: Path) -> dict[str, Figure]:
    """Return the published figures by name; raises InputError."""
    found = {}
    for number, row in enumerate(read_rows(path), 2):
        try:
            low, high = float(row["low"]), float(row["high"])
        except (KeyError, ValueError, TypeError):
            raise InputError("expected numbers in low and high", str(path), number) from None
        found[row["figure"]] = Figure(low, high, row["unit"], row["conditions"], row["source"])
    return found


def against(what: str, said: Figure, values: Sequence[float], why: str = "", *, circular: bool = False) -> Row:
    """Return the row of a figure and the model's values over seeds; they agree if their intervals meet."""
    found = interval(values)
    apart = found.high < said.low or found.low > said.high
    recorded = f"{spread((said.low, said.high))} {said.unit}"
    return Row(what, said.source, said.conditions, recorded, str(found), 1, int(apart), why, circular)


class Looped(NamedTuple):
    """A run of the loop: the share of calls that found no block, and the most blocks at one time."""

    fallback: float
    peak: int


def rezki_loop(seed: int, fraction: int = 0, calls: int = CALLS) -> Looped:
    """Run kmalloc() and kvfree_rcu() in a loop, the block from the flag; returns what it found.

    A page of slab is asked for with GFP_KERNEL before each 64 objects, and given back when as many were freed, in
    turn.  ``fraction`` is vm.percpu_pagelist_fraction.  Pace, grace period and lists at the start are drawn.
    Models: lib/test_vmalloc.c:kvfree_rcu_2_arg_slab_test (v5.8) on v5.9's kvfree_rcu(); leaves out all other tasks.
    """
    rng = Random(seed)
    every_ns, grace = rng.randint(*PACE_NS), rng.randint(*GRACE_MS)
    allocator = PageAllocator(
        Machine((Zone(ZONE_DMA32, 1 << 20, 1 << 18),), percpu_pagelist_fraction=fraction), FAST_TRY
    )
    set_lists(allocator, (rng.randrange(allocator.sizes.zones[ZONE_DMA32].high), 0, 0))
    rcu = KfreeRcu("v5.9", allocator, proposal=FAST_TRY, timing=Timing(gp_ns=grace * MS), seed=seed)
    slab: list[int] = []
    given_back, left = 0, -(-calls // OBJECTS_IN_A_PAGE)
    while left:
        pages = min(left, max(1, undisturbed(rcu, every_ns) // OBJECTS_IN_A_PAGE))
        left -= pages
        slab += [allocator.alloc_pages(GFP_KERNEL) or 0 for _ in range(pages)]
        rcu.queue(pages * OBJECTS_IN_A_PAGE, every_ns=every_ns)
        dead = rcu.counters.freed // OBJECTS_IN_A_PAGE
        for pfn in slab[given_back:dead]:
            allocator.free_pages(pfn)
        given_back = dead
    return Looped(rcu.counters.fallbacks / calls, rcu.counters.blocks_peak)


def undisturbed(rcu: KfreeRcu, every_ns: int) -> int:
    """Return how many objects cpu 0 can queue, at a pace (ns), before its chain asks for a block or has anything due.

    Meanwhile it takes and gives no page, so that it does not matter when others ask for theirs.
    """
    krc, bulk = rcu.arrays.krc, rcu.arrays.bulk
    newest = int(krc[st.MACHINE_WORDS + st.BHEAD])
    room = rcu.capacity - int(bulk[st.row_of(krc, newest) + st.NR_RECORDS]) if newest != st.NULL else 0
    return min(room, (int(krc[st.NEXT_EVENT]) - rcu.now - 1) // every_ns)


def loops(path: Path, seeds: Iterable[int]) -> list[Row]:
    """Return the failures of the list's test loop and its pages in flight."""
    said, numbered = read_published(path), list(seeds)
    default = [rezki_loop(seed) for seed in numbered]
    eighth = [rezki_loop(seed, 8) for seed in numbered]
    drawn = f"drawn: {spread(PACE_NS)} ns a call, grace period {spread(GRACE_MS)} ms, lists at the start"
    rarely = f"{drawn}; a freed slab's pages go back to the list at once here, and nobody else runs"
    return [
        against("calls that fell back", said["fallback"], [run.fallback for run in default], rarely),
        against("calls that fell back", said["fallback_fraction_8"], [run.fallback for run in eighth], drawn),
        against("pages in flight at most", said["in_flight"], [float(run.peak) for run in default], drawn),
    ]


def list_pages(path: Path, seeds: Iterable[int]) -> Row:
    """Return how many pages a cpu's lists hold on a machine in use."""
    said = read_published(path)["list_pages"]
    runs = [simulate(Run(one_zone(2), fork_mix(), duration=SECOND), seed) for seed in seeds]
    why = "the model runs its fork mix in one zone on two CPUs; the mail does not say what ran on that machine"
    return against("pages on a CPU's lists", said, [float(pages) for run in runs for pages in run.lists], why)


# hold times and wake-ups


def hold_times(seeds: Iterable[int]) -> list[Row]:
    """Return how long the zone lock is held for a batch; the model's cost of a page is from the same table."""
    numbered = list(seeds)
    rows = []
    for batch in sorted({row.batch for row in HOLD_TIMES}):
        said = [us for row in HOLD_TIMES if row.batch == batch for us in (row.free_mean_us, row.alloc_mean_us)]
        parameters = HoldTime(cpus=1, batch=batch, high_batches=2, duration_ms=20)
        found = [experiment("hold_time")(parameters, seed)["hold_mean_ns"] / 1000 for seed in numbered]
        of = f"batch {batch}, processors: {len(said) // 2}"
        figure = Figure(min(said), max(said), "us, mean", of, "Huang Ying 2023-09")
        why = "the model's cost of a page is from this table, over all its processors"
        rows.append(against("zone lock held for a batch", figure, found, why, circular=True))
    return rows


def wake_ups(path: Path, seeds: Iterable[int]) -> list[Row]:
    """Return how late a task of the highest priority wakes with the zone lock sleeping and raw."""
    said, numbered = read_published(path), list(seeds)
    names = {"sleeping": "cyclictest_before", "raw": "cyclictest_raw"}
    late = {
        lock: [
            experiment("hold_time")(HoldTime(lock=lock, duration_ms=20), seed)["latency_max_ns"] / 1000
            for seed in numbered
        ]
        for lock in names
    }
    why = "the model has the zone lock's share alone: no scheduler, no timer and no cache misses"
    return [against("a task wakes late, at most", said[name], late[lock], why) for lock, name in names.items()]
