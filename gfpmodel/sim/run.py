"""One run: a machine, a workload and a seed in; a record of named figures out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError, unknown
from gfpmodel.gfp import Layout, encode
from gfpmodel.mm import Machine, PageAllocator, Ring, Rule, Zone, jit
from gfpmodel.mm import state as mm
from gfpmodel.mm.kernels import FIRST, add_forms, on_each, room_on
from gfpmodel.mm.ops import check_mask
from gfpmodel.mm.state import Traced
from gfpmodel.proposals import proposal
from gfpmodel.rcu.kfree_rcu import KfreeRcu
from gfpmodel.sim import later, loop
from gfpmodel.sim import state as st
from gfpmodel.sim.chain import (
    WORK,
    Chain,
    chain_arrays,
    chain_figures,
    check_chain,
    grow,
    make_chain,
    slab_pages,
    slab_words,
)
from gfpmodel.sim.costs import draw_costs
from gfpmodel.sim.cpu import KINDS_SEEN
from gfpmodel.sim.rng import DISTRIBUTIONS, MAX_MEAN, below, seeded
from gfpmodel.sim.start import Start, hold, started, takes_over, without_preload
from gfpmodel.sim.state import World
from gfpmodel.sim.statistics import quantile
from gfpmodel.sim.workloads import MS, SECOND, US, Flow, Workload

add_forms(later)
on_each(loop.preload)
on_each(loop.run)

TYPES = {
    "unmovable": mm.MIGRATE_UNMOVABLE,
    "movable": mm.MIGRATE_MOVABLE,
    "reclaimable": mm.MIGRATE_RECLAIMABLE,
}
TYPE_SHIFT = 3
ZONE_NORMAL_START = 1 << 20
RING_EVENTS = 1 << 13  # of one request: a refill of the largest batch that steals a pageblock for every page
MAX_EVENTS = 1 << 40

#: What the last part of a figure's name says about its unit; other figures are counts.
UNITS = {
    "ns": "ns",
    "pages": "pages of 4 KiB",
    "share": "0 to 1",
    "index": "0 to 1",
    "per_1000": "per 1000 operations",
    "bytes": "bytes",
    "per_second": "per second",
    "per_hit": "ratio",
    "per_forecast": "ratio",
}


def unit(figure: str) -> str:
    """Return the unit of a figure of a record."""
    name = figure.split(".", 1)[0]
    return next((text for suffix, text in UNITS.items() if name.endswith(suffix)), "count")


def one_zone(cpus: int, pages: int = 1 << 18, batch: int | None = None, high: int | None = None) -> Machine:
    """Return a machine of one Normal zone (1 GiB) whose lists have the kernel's sizes, or the given ones."""
    return Machine((Zone(mm.ZONE_NORMAL, ZONE_NORMAL_START, pages),), cpus=cpus, pcp=(batch, high))


@dataclass(frozen=True)
class Run:
    """What is run.

    ``lock`` is how the zone lock behaves: spin, raw (on PREEMPT_RT), or sleeping (PREEMPT_RT as it is).
    ``duration`` and ``task_period`` are in ns; the periodic task of each CPU stands for cyclictest, 0 is none.
    ``samples`` rows are taken for the time series.  ``costs`` fixes costs by name (ns) instead of drawing them.
    ``chain`` is whose kfree_rcu() the flows of that kind call; ``kernel`` whose allocator all run on, to which the
    machine and the proposal must fit (`gfpmodel.sim.kernel`).  With a ``start`` its machine and what is in use there
    take the place of ``machine`` (but for its CPUs) and of a page cache that fills it.  Raises InputError.
    """

    machine: Machine
    workload: Workload
    proposal: str | Rule | None = None
    lock: str = "spin"
    duration: int = 100 * MS
    max_events: int = MAX_EVENTS
    task_period: int = 200 * US
    samples: int = 0
    costs: Mapping[str, int] = field(default_factory=dict)
    chain: Chain = field(default_factory=Chain)
    kernel: str = FIRST
    start: Start | None = None

    def __post_init__(self) -> None:
        if self.lock not in st.LOCKS:
            raise unknown("lock", self.lock, st.LOCKS)
        ranges = {
            "duration": (self.duration, 1, MAX_MEAN),
            "task_period": (self.task_period, 0, MAX_MEAN),
            "max_events": (self.max_events, 1, MAX_EVENTS),
            "samples": (self.samples, 0, 1 << 20),
        }
        for name, (value, low, top) in ranges.items():
            if not low <= value <= top:
                raise InputError(f"{name} is {value}; expected {low} to {top}")
        if 0 < self.task_period < 10 * US:
            raise InputError(f"task_period is {self.task_period} ns; expected 0 (none) or at least {10 * US}")

    def expected_events(self) -> float:
        """Return about how many events the run has: a request and its free, for every burst in time."""
        total = 0.0
        for flow, _ in placed(self.workload, self.machine.cpus):
            if flow.period is not None:
                burst_ns = flow.period.mean + 100 * flow.burst
                events = 2 * flow.burst * self.duration / burst_ns
                total += min(events, 2 * flow.times) if flow.times else events
        return min(total, self.max_events)


class Result(NamedTuple):
    """What a run gives.

    The record; rows of (time in ns, free pages, live pages, failed requests so far, pages on CPU 0's lists, blocks
    of kfree_rcu in flight); the pages on each CPU's lists; the zones' watermarks (min, low, high), in all; batch, and
    high as boot left it (later kernels: high_min), of the highest zone's lists.
    """

    record: dict[str, float]
    series: NDArray[np.int64]
    lists: tuple[int, ...]
    marks: tuple[int, int, int]
    pcp: tuple[int, int]


def placed(workload: Workload, cpus: int) -> list[tuple[Flow, int]]:
    """Return each flow on each of its CPUs, those of a CPU together.  Raises InputError for a CPU there is not."""
    found = []
    for flow in workload.flows:
        on = range(cpus) if flow.cpus is None else flow.cpus
        for cpu in on:
            if not 0 <= cpu < cpus:
                raise InputError(f"flow {flow.name} runs on cpu {cpu}; this machine has 0 to {cpus - 1}")
            found.append((flow, cpu))
    if any(flow.kind == "kfree_rcu" for flow in workload.flows):
        found += [(Flow(WORK, kind="kfree_work"), cpu) for cpu in range(cpus)]
    return sorted(found, key=lambda pair: pair[1])


def simulate(run: Run, seed: int) -> Result:
    """Run a workload on a machine; the same run and seed give the same result everywhere.

    Raises InputError for what cannot be run, AssertionError if pages went missing.
    """
    row = None if run.proposal is None else proposal(run.proposal)
    workload, cpus = run.workload, run.machine.cpus
    cache = next(filter(takes_over, workload.flows), None) if run.start else None
    if run.start:
        allocator, pages = started(run.start, cpus, row, wanted=cache is not None)
        workload = without_preload(workload)
    else:
        allocator, pages = PageAllocator(run.machine, row, kernel=run.kernel), np.zeros(0, np.int64)
    flows = placed(workload, cpus)
    chain = make_chain(run.chain, flows, allocator)
    arrays = make_arrays(run, flows, allocator, seed)
    rcu, arrays["slabs"] = chain_arrays(chain, arrays["flows"], arrays["costs"])
    world = World(Traced(*allocator.arrays[:-1], Ring(RING_EVENTS, KINDS_SEEN).array), rcu, **arrays)
    preload, go_on = (jit.of_kernel(one, run.kernel) for one in (loop.preload, loop.run))
    jit.expect(room_on("sim", run.kernel), int(run.expected_events()))
    if len(pages) and cache:
        hold(arrays, allocator, next(at for at, (flow, _) in enumerate(flows) if flow.name == cache.name), pages)
    held = chain.held_pages() if chain else 0
    beyond = unaccounted(allocator, len(pages) + held)  # in use at a start, by nobody who is in this run
    preload(world)
    start_flows(arrays, flows)
    while go_on(world) and chain:
        world = grow(chain, world)
    check(allocator, chain, arrays, beyond)
    series = arrays["series"][: arrays["words"][st.SAMPLES]]
    record = make_record(run, allocator, arrays, flows)
    if chain:
        record |= chain_figures(chain)
    return Result(record, series, pcp_pages(allocator), marks_of(allocator), pcp_of(allocator))


def marks_of(allocator: PageAllocator) -> tuple[int, int, int]:
    """Return the watermarks of all zones together: min, low and high."""
    low, mid, high = (sum(zone.wmark[at] for zone in allocator.sizes.zones.values()) for at in range(3))
    return low, mid, high


def pcp_of(allocator: PageAllocator) -> tuple[int, int]:
    """Return batch, and high as boot left it, of the highest zone's lists."""
    zone = allocator.sizes.zones[max(allocator.sizes.zones)]
    return zone.batch, zone.high_min if allocator.rules.later else zone.high


# the arrays


def make_arrays(
    run: Run, flows: list[tuple[Flow, int]], allocator: PageAllocator, seed: int
) -> dict[str, NDArray[Any]]:
    """Return the simulator's own arrays by their names in World."""
    cpus = run.machine.cpus
    table = np.array([flow_words(flow, cpu, cpus, allocator) for flow, cpu in flows], np.int64)
    table = table.reshape(len(flows), st.FLOW_WORDS)
    blocks = table[table[:, st.KIND] == st.ALLOC]
    slots = np.zeros((int(blocks[:, st.LIMIT].sum()) + 1, st.SLOT_WORDS), np.int64)
    slots[1:-1, st.NEXT_SLOT] = np.arange(2, len(slots))
    return {
        "rng": seeded(seed),
        "costs": draw_costs(seed, run.costs),
        "words": run_words(run, table, allocator),
        "cpus": cpu_words(run, table),
        "flows": table,
        "locks": np.zeros((mm.MAX_NR_ZONES, st.LOCK_WORDS), np.int64),
        "slots": slots,
        "heap": np.zeros((int(heap_room(table).sum()) + 1, 2), np.int64),
        "hist": np.zeros((st.FLOW_HIST + len(flows), st.BINS), np.int64),
        "series": np.zeros((run.samples + 1, 6), np.int64),
    }


def run_words(run: Run, table: NDArray[np.int64], allocator: PageAllocator) -> NDArray[np.int64]:
    """Return the words of the run."""
    words = np.zeros(st.RUN_WORDS, np.int64)
    kswapd = np.flatnonzero(table[:, st.KIND] == st.RECLAIMER)
    if len(kswapd) > 1:
        raise InputError("a workload has more than one kswapd; a node has one")
    words[[st.END, st.MAX_EVENTS]] = run.duration, run.max_events
    words[st.LOCK_KIND] = st.LOCKS[run.lock]
    words[st.TASK_PERIOD] = run.task_period
    blocks, objects = (table[table[:, st.KIND] == kind] for kind in (st.ALLOC, st.KFREE_RCU))
    words[st.FREE_SLOT] = 1 if blocks[:, st.LIMIT].sum() else 0
    words[st.FREE_SLAB] = 1 if objects[:, st.LIMIT].sum() else 0
    words[st.SLAB_SIZE] = objects[:, st.IN_SLAB].max(initial=1)
    words[st.KSWAPD] = kswapd[0] if len(kswapd) else -1
    words[st.SAMPLE_EVERY] = max(run.duration // run.samples, 1) if run.samples else st.NEVER
    words[st.NEXT_SAMPLE] = 0 if run.samples else st.NEVER
    words[st.MIN_FREE] = allocator.nr_free(max(allocator.sizes.zones))
    return words


def cpu_words(run: Run, table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the words of the CPUs: which flows they have, and room for the blocks they will free."""
    cpus = np.zeros((run.machine.cpus, st.CPU_WORDS), np.int64)
    number = np.arange(run.machine.cpus)
    cpus[:, st.FIRST_FLOW] = np.searchsorted(table[:, st.CPU], number)
    cpus[:, st.END_FLOW] = np.searchsorted(table[:, st.CPU], number, side="right")
    room = np.bincount(table[:, st.FREE_CPU], heap_room(table), len(cpus)).astype(np.int64)
    work = table[:, st.KIND] == st.KFREE_WORK
    cpus[table[work, st.CPU], st.WORK_FLOW] = np.flatnonzero(work)
    cpus[:, st.HEAP_START] = np.cumsum(room) - room
    # the tasks of the CPUs are spread over the period, as cyclictest's are
    cpus[:, st.WAKE] = run.task_period * (number + 1) // len(cpus) if run.task_period else st.NEVER
    return cpus


def heap_room(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many entries each flow can have in the heap of the cpu that frees: blocks, or objects."""
    objects = np.where(table[:, st.DELAYED], table[:, st.LIMIT] * table[:, st.IN_SLAB], 0)
    blocks = np.where(table[:, st.HOLD] > 0, table[:, st.LIMIT], 0)
    return np.where(table[:, st.KIND] == st.KFREE_RCU, objects, blocks)


def flow_words(flow: Flow, cpu: int, cpus: int, allocator: PageAllocator) -> list[int]:
    """Return a flow on one of its CPUs as the loop reads it."""
    to = {"same": cpu, "next": (cpu + 1) % cpus}.get(str(flow.frees_on), flow.frees_on)
    if not isinstance(to, int) or not 0 <= to < cpus:
        raise InputError(f"flow {flow.name} frees on {flow.frees_on!r}; expected same, next, or 0 to {cpus - 1}")
    words = [0] * st.FLOW_WORDS
    words[st.KIND] = st.KINDS.get(flow.kind, st.KFREE_WORK)
    words[st.CPU], words[st.FREE_CPU] = cpu, to
    words[st.MASK] = request_mask(flow, allocator)
    words[st.MIGRATETYPE], words[st.ORDER] = TYPES[flow.migratetype], flow.order
    if flow.period is not None:
        words[st.ARRIVAL], words[st.PERIOD] = DISTRIBUTIONS[flow.period.spread], flow.period.mean
    if flow.hold is not None:
        words[st.HOLD_BY], words[st.HOLD] = DISTRIBUTIONS[flow.hold.spread], max(flow.hold.mean, 1)
    words[st.BURST] = flow.burst
    words[st.LIMIT] = max(flow.limit, flow.preload) if flow.kind == "alloc" else 0
    words[st.IRQS_OFF] = flow.irqs_off or flow.kind == "irq_off"
    words[st.RECLAIMABLE], words[st.PRELOAD] = flow.reclaimable, flow.preload
    words[st.HOLES] = round(1000 * flow.holes)
    words[st.TIMES] = flow.times or -1
    if flow.kind == "kfree_rcu":
        for word, value in slab_words(flow).items():
            words[word] = value
    words[st.NEXT_AT] = st.NEVER
    return words


def request_mask(flow: Flow, allocator: PageAllocator) -> int:
    """Return the mask of a flow's requests: its own or the proposal's, and the migratetype.  Raises InputError."""
    layout: Layout = allocator.layout
    if flow.migratetype not in TYPES:
        raise unknown("migratetype", flow.migratetype, TYPES)
    if flow.proposal and flow.kind == "alloc":
        if allocator.proposal is None:
            raise InputError(f"flow {flow.name} asks the way a proposal does; this run has none")
        mask = allocator.proposal.mask
    else:
        mask = encode(flow.gfp, layout)
    mask |= TYPES[flow.migratetype] << TYPE_SHIFT
    check_mask(mask, allocator.proposal.flag if allocator.proposal else 0)
    return mask


def start_flows(arrays: dict[str, NDArray[Any]], flows: list[tuple[Flow, int]]) -> None:
    """Forget what was counted before the run, and let the flows begin, spread over their first period."""
    table, rng = arrays["flows"], arrays["rng"]
    table[:, st.PRELOAD] = table[:, st.LIVE]  # what they really got
    table[:, st.OPS : st.FLOW_WORDS] = 0
    table[:, st.PEAK] = table[:, st.LIVE]
    table[:, st.LEFT] = table[:, st.BURST]
    for at, (flow, _) in enumerate(flows):
        if flow.period is not None:
            table[at, st.NEXT_AT] = below(rng, flow.period.mean + 1)


# the record


def check(allocator: PageAllocator, chain: KfreeRcu | None, arrays: dict[str, NDArray[Any]], beyond: int) -> None:
    """Raise AssertionError unless every page is accounted for, in the engine and in the simulator.

    ``beyond``: the pages that the run cannot reach.
    """
    allocator.check()
    table = arrays["flows"]
    alloc = table[table[:, st.KIND] == st.ALLOC]
    came = alloc[:, st.PRELOAD] + alloc[:, st.OPS] - alloc[:, st.FAILED]
    went = alloc[:, st.FREED] + alloc[:, st.RECLAIMED] + alloc[:, st.LIVE]
    assert (came == went).all(), f"blocks in {came.tolist()}, out and live {went.tolist()}"
    live = int((alloc[:, st.LIVE] << alloc[:, st.ORDER]).sum()) + slab_pages(table)
    assert live == arrays["words"][st.LIVE_PAGES], f"{live} live pages, {arrays['words'][st.LIVE_PAGES]} counted"
    held = chain.held_pages() if chain else 0
    lost = unaccounted(allocator, live + held) - beyond
    assert not lost, f"{lost} pages are neither free nor live ({live}) nor the chain's ({held})"
    if chain:
        check_chain(chain, arrays)


def unaccounted(allocator: PageAllocator, held: int) -> int:
    """Return how many managed pages are neither free nor among those that are held."""
    managed = sum(zone.managed for zone in allocator.sizes.zones.values())
    return managed - free_pages(allocator) - sum(pcp_pages(allocator)) - held


def free_pages(allocator: PageAllocator) -> int:
    """Return the pages of all zones that are free in the buddy lists."""
    return sum(allocator.nr_free(zone) for zone in allocator.sizes.zones)


def pcp_pages(allocator: PageAllocator) -> tuple[int, ...]:
    """Return the pages on each CPU's lists, all zones together."""
    zones = allocator.sizes.zones
    return tuple(sum(allocator.pcp_count(cpu, zone) for zone in zones) for cpu in range(allocator.machine.cpus))


def make_record(
    run: Run, allocator: PageAllocator, arrays: dict[str, NDArray[Any]], flows: list[tuple[Flow, int]]
) -> dict[str, float]:
    """Return the record: totals, locks, latency, memory, and for every flow ``figure.flow``."""
    words, hist = arrays["words"], arrays["hist"]
    now = int(words[st.NOW])
    record: dict[str, float] = {"events": int(words[st.EVENTS]), "seconds": now / SECOND}
    record |= lock_figures(arrays["locks"], hist, int(words[st.ILLEGAL]))
    record |= latency_figures(words, hist)
    record |= memory_figures(allocator, arrays)
    record["busy_share"] = per(arrays["cpus"][:, st.BUSY].sum(), now * len(arrays["cpus"]))
    for name in dict.fromkeys(flow.name for flow, _ in flows):
        rows = [at for at, (flow, _) in enumerate(flows) if flow.name == name]
        record |= {f"{figure}.{name}": value for figure, value in flow_figures(arrays, rows).items()}
    return record


def per(part: float, whole: float, scale: float = 1.0) -> float:
    """Return a ratio, nan if there is nothing to divide by."""
    return float(scale * part / whole) if whole else float("nan")


def lock_figures(locks: NDArray[np.int64], hist: NDArray[np.int64], illegal: int) -> dict[str, float]:
    """Return what happened to the zone locks, all zones together."""
    total = locks.sum(axis=0)
    hold_max, wait_max = int(locks[:, st.HOLD_MAX].max()), int(locks[:, st.WAIT_MAX].max())
    return {
        "zone_locks": int(total[st.ACQUIRED]),
        "zone_locks_contended": int(total[st.CONTENTIONS]),
        "contended_share": per(total[st.CONTENTIONS], total[st.ACQUIRED]),
        "under_lock_pages": int(total[st.PAGES_MOVED]),
        "hold_mean_ns": per(total[st.HOLD_SUM], total[st.ACQUIRED]),
        "hold_p99_ns": quantile(hist[st.HOLD_HIST], 0.99, hold_max),
        "hold_max_ns": hold_max,
        "wait_mean_ns": per(total[st.WAIT_SUM], total[st.ACQUIRED]),
        "wait_p99_ns": quantile(hist[st.WAIT_HIST], 0.99, wait_max),
        "wait_max_ns": wait_max,
        "sleeping_lock_with_irqs_off": illegal,
    }


def latency_figures(words: NDArray[np.int64], hist: NDArray[np.int64]) -> dict[str, float]:
    """Return how late the periodic task was woken because interrupts were off: 0 most of the time."""
    wakes, longest = int(words[st.WAKES]), int(words[st.LATENCY_MAX])
    return {
        "wakeups": wakes,
        "latency_mean_ns": per(words[st.LATENCY_SUM], wakes),
        "latency_p99_ns": quantile(hist[st.LATENCY_HIST], 0.99, longest),
        "latency_max_ns": longest if wakes else float("nan"),
    }


def memory_figures(allocator: PageAllocator, arrays: dict[str, NDArray[Any]]) -> dict[str, float]:
    """Return the state of memory at the end, and how fragmented it is."""
    orders = np.zeros(mm.MAX_ORDER, np.int64)
    for zone in allocator.sizes.zones:
        for order in range(mm.MAX_ORDER):
            orders[order] += sum(len(allocator.free_list(zone, order, t)) for t in range(mm.MIGRATE_TYPES_WRITTEN))
    pages = orders << np.arange(mm.MAX_ORDER)
    free, huge = int(pages.sum()), allocator.machine.pageblock_order
    foreign, polluted = foreign_pages(allocator, arrays)
    return {
        "free_pages": free,
        "pcp_pages": sum(pcp_pages(allocator)),
        "live_pages": int(arrays["words"][st.LIVE_PAGES]),
        "min_free_pages": int(arrays["words"][st.MIN_FREE]),
        "largest_free_order": int(np.flatnonzero(orders)[-1]) if free else -1,
        "unusable_free_index": per(free - int(pages[huge:].sum()), free),
        "foreign_pages": foreign,
        "polluted_pageblocks": polluted,
    }


def foreign_pages(allocator: PageAllocator, arrays: dict[str, NDArray[Any]]) -> tuple[int, int]:
    """Return how many live pages that cannot move lie in MOVABLE pageblocks, and how many pageblocks have any."""
    slots, table = arrays["slots"], arrays["flows"]
    held = slots[1:][slots[1:, st.SLOT_STATE] == st.HELD]
    owner = table[held[:, st.FLOW]]
    blocks = held[:, st.PAGE] >> allocator.machine.pageblock_order
    types = allocator.arrays.blocks[blocks]
    foreign = (owner[:, st.MIGRATETYPE] != mm.MIGRATE_MOVABLE) & (types == mm.MIGRATE_MOVABLE)
    return int((1 << owner[foreign, st.ORDER]).sum()), len(np.unique(blocks[foreign]))


def flow_figures(arrays: dict[str, NDArray[Any]], rows: list[int]) -> dict[str, float]:
    """Return the figures of a flow, its CPUs together."""
    total = arrays["flows"][rows].sum(axis=0)
    hist = arrays["hist"][[st.FLOW_HIST + row for row in rows]].sum(axis=0)
    ops, failed = int(total[st.OPS]), int(total[st.FAILED])
    got = ops - failed
    done = int(hist.sum())
    return {
        "ops": ops,
        "failed": failed,
        "failed_share": per(failed, ops),
        "before_null": int(total[st.BEFORE_NULL]),
        "late_failed_share": per(failed, ops - int(total[st.BEFORE_NULL])) if failed else 0.0,  # from the first NULL on
        "failed_lock": int(total[st.FAILED_LOCK]),
        "held_back": int(total[st.HELD_BACK]),
        "freed": int(total[st.FREED]),
        "reclaimed": int(total[st.RECLAIMED]),
        "live": int(total[st.LIVE]),
        "peak": int(total[st.PEAK]),
        "mean_op_ns": per(total[st.NS], done),
        "p99_op_ns": quantile(hist, 0.99),
        "refills": int(total[st.REFILLS]),
        "drains": int(total[st.DRAINS]),
        "refills_per_1000": per(total[st.REFILLS], ops, 1000),
        "zone_locks_per_1000": per(total[st.SECTIONS], done, 1000),
        "below_low": int(total[st.BELOW_LOW]),
        "below_min": int(total[st.BELOW_MIN]),
        "stray_share": per(total[st.STRAY], got),
    }
