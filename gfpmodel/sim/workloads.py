"""Workloads as data: a tuple of flows, each a stream of like requests.

A flow says how often and in what bursts it asks, for what, how long it keeps what it gets, and which CPU frees it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Literal, NamedTuple

from gfpmodel.errors import InputError, unknown
from gfpmodel.mm.state import MAX_ORDER
from gfpmodel.sim.rng import DISTRIBUTIONS, MAX_MEAN
from gfpmodel.sim.state import KINDS

US, MS, SECOND = 1000, 1_000_000, 1_000_000_000  #: in ns

Migratetype = Literal["unmovable", "movable", "reclaimable"]


class Draw(NamedTuple):
    """A time in ns: its mean, and how it spreads (constant, exponential, or uniform up to twice the mean)."""

    mean: int
    spread: str = "exponential"


@dataclass(frozen=True)
class Flow:
    """A stream of like requests.

    ``cpus``: those that ask, None for all; each has the flow to itself.  ``period``: ns from the end of a burst to
    the next one, None if it only has what ``preload`` gives.  ``hold``: ns until a block is freed, None for ever.
    ``frees_on``: the cpu that frees, ``same`` or ``next`` of the asking cpu, or a number.  ``limit``: blocks it has
    at most; a request beyond is held back.  ``proposal``: asks the way the run's proposal does, with ``gfp`` left
    out.  ``irqs_off``: the whole burst runs with interrupts off.  ``reclaimable``: kswapd may take it, and it counts
    as movable when a pageblock is stolen (PG_lru).  ``preload``: blocks that each of its cpus has when the run
    begins; ``holes``: the share of them that is freed again first, at random.
    ``times``: how often it asks in all on each cpu, 0 for no end.
    Kind ``irq_off`` keeps interrupts off for ``hold`` ns; ``kswapd`` frees pages when woken, on the first of its cpus.
    Kind ``kfree_rcu`` makes an object and calls kfree_rcu() on it at once, or after ``hold`` ns on ``frees_on``;
    ``slab`` objects share a page got by ``gfp`` and freed when all of them are, 0 if they come from elsewhere;
    ``limit`` is of objects; ``proposal``: the blocks are asked for the way the run's proposal does, else by the mask
    of the chain's version.
    Raises InputError.
    """

    name: str
    kind: str = "alloc"
    cpus: tuple[int, ...] | None = None
    gfp: str = "GFP_KERNEL"
    proposal: bool = False
    migratetype: Migratetype = "unmovable"
    order: int = 0
    period: Draw | None = None
    burst: int = 1
    hold: Draw | None = None
    frees_on: str | int = "same"
    limit: int = 1 << 12
    irqs_off: bool = False
    reclaimable: bool = False
    preload: int = 0
    holes: float = 0.0
    slab: int = 0
    times: int = 0

    def __post_init__(self) -> None:
        if self.kind not in (*KINDS, "kfree_work"):
            raise unknown("kind of flow", self.kind, KINDS)
        for name, time in (("period", self.period), ("hold", self.hold)):
            if time is not None and not 0 <= time.mean < MAX_MEAN:
                raise InputError(f"flow {self.name}: {name} is {time.mean} ns; expected 0 to {MAX_MEAN - 1}")
            if time is not None and time.spread not in DISTRIBUTIONS:
                raise unknown(f"spread of the {name} of flow {self.name}", time.spread, DISTRIBUTIONS)
        ranges = {
            "order": (self.order, 0, MAX_ORDER - 1),
            "burst": (self.burst, 1, 1 << 20),
            "limit": (self.limit, 0, 1 << 26),
            "preload": (self.preload, 0, 1 << 26),
            "holes": (self.holes, 0, 1),
            "slab": (self.slab, 0, 512),
            "times": (self.times, 0, 1 << 40),
        }
        for name, (value, low, top) in ranges.items():
            if not low <= value <= top:
                raise InputError(f"flow {self.name}: {name} is {value}; expected {low} to {top}")
        if self.preload and self.kind != "alloc":
            raise InputError(f"flow {self.name}: preload is {self.preload}; only flows of kind alloc have any")


@dataclass(frozen=True)
class Workload:
    """Flows that run together, and where their figures come from."""

    name: str
    title: str
    flows: tuple[Flow, ...]
    source: str = "assumption"


def every(rate: float, burst: int = 1) -> Draw:
    """Return the exponential period of a flow that asks ``rate`` times a second on each cpu, in bursts.

    Raises InputError unless the rate is positive.
    """
    if not 0 < rate < inf:
        raise InputError(f"a rate of {rate} a second; expected more than 0, and an end")
    period = SECOND * burst / rate
    if not period < MAX_MEAN:
        raise InputError(f"a rate of {rate} a second; expected one in {MAX_MEAN / SECOND:.0f} seconds at least")
    return Draw(round(period))


# What the recorded kernels did: page allocations a second and CPU, their shares, and mean times to the free, of the
# first 36,000 events of amd64-smp2-512M-file and -fork (v6.1 under emulation, 2 CPUs): 11,665 allocations in 0.291 s,
# and 12,299 in 0.535 s.  Emulated time is slower than a real machine's, so `load` scales the rates.
TRACES = "ftrace of v6.1.192 under QEMU TCG, 2 CPUs, 512 MiB; emulated time"


def file_mix(load: float = 1.0) -> Workload:
    """Return a mix as of writing and reading small files: 20,065 pages a second and CPU, two thirds page cache."""
    return Workload(
        "file_mix",
        "files are written, read and unlinked",
        (
            Flow("page cache", migratetype="movable", gfp="GFP_HIGHUSER_MOVABLE", period=every(13_631 * load, 3),
                 burst=3, hold=Draw(28_090_000), reclaimable=True),
            Flow("kernel", period=every(6_412 * load, 3), burst=3, hold=Draw(1_360_000)),
        ),
        TRACES,
    )  # fmt: skip


def fork_mix(load: float = 1.0) -> Workload:
    """Return a mix as of forking and exiting: 11,492 requests a second and CPU, 2.9 % of them of order 1."""
    return Workload(
        "fork_mix",
        "processes fork, touch pages and exit",
        (
            Flow("anonymous", migratetype="movable", gfp="GFP_HIGHUSER_MOVABLE", period=every(7_871 * load, 3),
                 burst=3, hold=Draw(1_430_000), reclaimable=True),
            Flow("kernel", period=every(3_279 * load, 3), burst=3, hold=Draw(1_740_000)),
            Flow("order 1", period=every(337 * load), order=1, hold=Draw(2_910_000)),
        ),
        TRACES,
    )  # fmt: skip


def producer_consumer(rate: float = 100_000.0, blocks: int = 300) -> Workload:
    """Return one cpu that asks and another that frees: what cpu 0 takes never comes back to its lists."""
    return Workload(
        "producer_consumer",
        "cpu 0 allocates, cpu 1 frees",
        (
            Flow("producer", cpus=(0,), proposal=True, period=every(rate), hold=Draw(round(SECOND * blocks / rate)),
                 frees_on=1, limit=1 << 15),
        ),
    )  # fmt: skip


def near_watermark(rate: float = 20_000.0, cache: int = 40_000) -> Workload:
    """Return memory full of page cache, an ordinary load that needs it back, and kswapd to get it."""
    return Workload(
        "near_watermark",
        "page cache fills the memory, and more is asked for",
        (
            Flow("page cache", cpus=(0,), migratetype="movable", gfp="GFP_HIGHUSER_MOVABLE", reclaimable=True,
                 preload=cache, limit=cache),
            Flow("reader", migratetype="movable", gfp="GFP_HIGHUSER_MOVABLE", period=every(rate, 8), burst=8,
                 reclaimable=True, limit=1 << 16),
            Flow("atomic", gfp="GFP_ATOMIC", period=every(rate / 10, 4), burst=4, hold=Draw(MS)),
            Flow("kswapd", kind="kswapd", cpus=(0,)),
        ),
    )  # fmt: skip


def slab_loop(delay: int = 100 * MS) -> Workload:
    """Return the shape of the list's test loop: kmalloc, and the object is freed a grace period later.

    One page of slab for every 128 objects of 32 bytes, a call each 100 ns.
    """
    return Workload(
        "slab_loop",
        "kmalloc in a tight loop, freed after a delay",
        (Flow("slab", cpus=(0,), period=Draw(128 * 100, "constant"), hold=Draw(delay, "constant"), limit=1 << 15),),
        "the shape of test_vmalloc's slab test; the pace is an assumption",
    )


def kfree_flood(
    rate: float = 1_000_000.0, burst: int = 1, cpus: int = 0, tenant: float = 0.0, slab: int = 0
) -> Workload:
    """Return a flood of kfree_rcu() calls, ``rate`` a second on each of so many cpus, 0 for all.

    Constant for a burst of 1, else in bursts with exponential gaps.  The objects come from elsewhere for a ``slab``
    of 0: nothing but a ``tenant`` of so many ordinary requests a second refills the lists that blocks come from.
    """
    on = tuple(range(cpus)) or None
    pause = every(rate, burst)
    period = pause if burst > 1 else Draw(pause.mean, "constant")
    flood = Flow("flood", kind="kfree_rcu", cpus=on, proposal=True, period=period, burst=burst, slab=slab,
                 limit=1 << 20)  # fmt: skip
    others = Flow("tenant", cpus=on, period=every(tenant, 8), burst=8, hold=Draw(200 * US)) if tenant else None
    return Workload("kfree_flood", "objects are given to kfree_rcu() as fast as told", (flood, *filter(None, [others])))


def rezki_loop(times: int = 1_000_000, slab: int = 64, gap: int = 0) -> Workload:
    """Return the list's loop: kmalloc() and kvfree_rcu(), so many times, ``gap`` ns apart beside what both cost.

    An rcu_head and 20 bytes are an object of kmalloc-64; 64 of them share a page, which is freed when all are.
    """
    loop = Flow("loop", kind="kfree_rcu", cpus=(0,), proposal=True, period=Draw(gap, "constant"), slab=slab,
                times=times, limit=1 << 20)  # fmt: skip
    return Workload(
        "rezki_loop",
        "kmalloc and kvfree_rcu in a tight loop",
        (loop,),
        "test_vmalloc's 2-argument slab test (Rezki, 2020-08-17); the pace is an assumption: that of the model's costs",
    )


def kfree_producer_consumer(rate: float = 500_000.0, delay: int = 100 * US, slab: int = 64) -> Workload:
    """Return one cpu that allocates and another that calls kfree_rcu(), ``delay`` ns later."""
    flow = Flow("object", kind="kfree_rcu", cpus=(0,), proposal=True, period=every(rate), hold=Draw(delay), frees_on=1,
                slab=slab, limit=1 << 20)  # fmt: skip
    return Workload("kfree_producer_consumer", "cpu 0 allocates objects, cpu 1 gives them to kfree_rcu()", (flow,))


def co_tenant(rate: float = 200_000.0, raid: float = 0.0, raid_burst: int = 32) -> Workload:
    """Return a tenant that allocates and frees on every cpu, and a raider of its per-cpu lists if ``raid`` is not 0."""
    tenant = Flow("tenant", period=every(rate, 8), burst=8, hold=Draw(200 * US))
    raider = (
        (Flow("raid", proposal=True, period=every(raid, raid_burst), burst=raid_burst, hold=Draw(20 * MS)),)
        if raid
        else ()
    )
    return Workload("co_tenant", "a tenant of the per-cpu lists, and who raids them", (tenant, *raider))


def contended(rate: float = 500_000.0, order: int = 0) -> Workload:
    """Return CPUs that all refill and drain: bursts longer than a list, so that the zone lock is never left alone."""
    return Workload(
        "contended",
        "every CPU fills and empties its lists in bursts",
        (Flow("burst", period=every(rate, 512), burst=512, order=order, hold=Draw(2 * MS, "uniform"), limit=1 << 14),),
    )


WORKLOADS: dict[str, Callable[..., Workload]] = {
    "file_mix": file_mix,
    "fork_mix": fork_mix,
    "producer_consumer": producer_consumer,
    "near_watermark": near_watermark,
    "slab_loop": slab_loop,
    "co_tenant": co_tenant,
    "contended": contended,
    "kfree_flood": kfree_flood,
    "rezki_loop": rezki_loop,
    "kfree_producer_consumer": kfree_producer_consumer,
}


def workload(name: str, **parameters: float) -> Workload:
    """Return a named workload; raises InputError for an unknown name or parameter."""
    if name not in WORKLOADS:
        raise unknown("workload", name, WORKLOADS)
    try:
        return WORKLOADS[name](**parameters)
    except TypeError as error:
        raise InputError(f"workload {name}: {error}") from None
