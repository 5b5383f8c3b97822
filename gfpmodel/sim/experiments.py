"""The experiments that nobody ran: each a function of typed parameters and a seed, with a record of named figures.

An experiment is a plan, which says from the parameters what is to be run, and a reading, which says what the runs
show; so that what a grid would cost can be told before anything is run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from gfpmodel.errors import InputError, unknown
from gfpmodel.mm import Machine, Rule, Zone
from gfpmodel.mm import state as mm
from gfpmodel.proposals import ROWS, proposal
from gfpmodel.sim import kfree_experiments as kfree
from gfpmodel.sim.plans import Experiment, Record, Results, Runs, ordinary, pick, share
from gfpmodel.sim.run import ZONE_NORMAL_START, Run, one_zone
from gfpmodel.sim.workloads import MS, SECOND, US, Draw, Flow, Workload, co_tenant, every, near_watermark

# hold time: how long is the lock held, how long does a task wait for its wake-up, if the lock is raw or not


@dataclass(frozen=True)
class HoldTime:
    """``batch`` pages move at once, ``high_batches`` of them fill a list; ``gap_us`` between the bursts of a CPU."""

    cpus: int = 4
    batch: int = 63
    high_batches: int = 6
    lock: str = "raw"
    gap_us: int = 100
    task_period_us: int = 200
    duration_ms: int = 50


def plan_hold_time(p: HoldTime) -> Runs:
    """Every CPU takes twice what its list holds and gives it back a little later."""
    burst = 2 * p.high_batches * p.batch
    flow = Flow("burst", period=Draw(p.gap_us * US), burst=burst, hold=Draw(500 * US, "constant"), limit=4 * burst)
    pages = 1 << (p.cpus * 5 * burst).bit_length() + 1  # four bursts, what the lists hold, and as much again
    machine = one_zone(p.cpus, max(pages, 1 << 13), p.batch, p.high_batches * p.batch)
    return {
        "run": Run(
            machine,
            Workload("bursts", plan_hold_time.__doc__ or "", (flow,)),
            lock=p.lock,
            duration=p.duration_ms * MS,
            task_period=p.task_period_us * US,
        )
    }


def read_hold_time(_: HoldTime, results: Results) -> Record:
    """Return hold times, waits and wake-up latencies."""
    return pick(
        results["run"],
        "hold_mean_ns",
        "hold_p99_ns",
        "hold_max_ns",
        "wait_mean_ns",
        "wait_p99_ns",
        "wait_max_ns",
        "latency_mean_ns",
        "latency_p99_ns",
        "latency_max_ns",
        "wakeups",
        "zone_locks",
        "contended_share",
        "busy_share",
    )


# trylock: how much better is a request that may refill if it gets the lock


@dataclass(frozen=True)
class Trylock:
    """CPU 0 asks for ``burst`` pages at a time; the others keep the zone lock busy with blocks of ``noise_order``.

    ``refill_rate`` is that of ordinary requests on CPU 0: only they refill its lists for a request that may not.
    """

    cpus: int = 4
    noise_rate: float = 1_000_000.0
    noise_order: int = 4
    rate: float = 100_000.0
    burst: int = 600
    refill_rate: float = 20_000.0
    duration_ms: int = 50


def plan_trylock(p: Trylock) -> Runs:
    """The same noise, the request once from the lists only, once with a try for the lock."""
    noise = Flow(
        "noise", cpus=tuple(range(1, p.cpus)), order=p.noise_order, period=every(p.noise_rate), hold=Draw(10 * US)
    )
    asker = Flow("asker", cpus=(0,), proposal=True, period=every(p.rate, p.burst), burst=p.burst, hold=Draw(2 * MS))
    both = Workload("trylock", plan_trylock.__doc__ or "", (asker, noise, *ordinary(p.refill_rate)))
    return {
        name: Run(one_zone(p.cpus), both, proposal=name, duration=p.duration_ms * MS)
        for name in ("fast_try", "trylock")
    }


def read_trylock(p: Trylock, results: Results) -> Record:
    """Return the success of both, and what P(list) + (1 - P(list)) * (1 - P(busy)) forecasts for the trylock."""
    served = {name: 1 - result.record["failed_share.asker"] for name, result in results.items()}
    found = results["trylock"].record
    busy = found["zone_locks"] * found["hold_mean_ns"] / (found["seconds"] * SECOND)
    tried = found["refills.asker"] + found["failed_lock.asker"]
    return {
        "served_share.fast_try": served["fast_try"],
        "served_share.trylock": served["trylock"],
        "lock_busy_share": busy,
        "trylock_lost_share": found["failed_lock.asker"] / tried if tried else 0.0,
        "forecast_share": served["fast_try"] + (1 - served["fast_try"]) * (1 - busy),
        "asker_op_ns.fast_try": results["fast_try"].record["mean_op_ns.asker"],
        "asker_op_ns.trylock": found["mean_op_ns.asker"],
        "noise_op_ns.fast_try": results["fast_try"].record["mean_op_ns.noise"],
        "noise_op_ns.trylock": found["mean_op_ns.noise"],
    }


# cross-CPU frees: who refills the lists of a CPU that never frees


@dataclass(frozen=True)
class CrossCpu:
    """CPU 0 asks ``rate`` times a second and has ``in_flight`` blocks; ``frees_on`` same or next.

    ``refill_rate`` is that of ordinary requests on CPU 0, which free where they allocate; ``warm`` pages were
    allocated and freed on every CPU before, so that its lists hold some to begin with.
    """

    proposal: str | Rule = "fast_try"
    frees_on: str = "next"
    rate: float = 100_000.0
    in_flight: int = 300
    refill_rate: float = 0.0
    warm: int = 300
    cpus: int = 2
    duration_ms: int = 50


def plan_cross_cpu(p: CrossCpu) -> Runs:
    """What CPU 0 takes is freed on the same CPU or on another."""
    asker = Flow("asker", cpus=(0,), proposal=True, period=every(p.rate), frees_on=p.frees_on,
                 hold=Draw(round(SECOND * p.in_flight / p.rate)))  # fmt: skip
    warm = Flow("warm", preload=p.warm, holes=1.0)
    workload = Workload("cross_cpu", plan_cross_cpu.__doc__ or "", (asker, *ordinary(p.refill_rate), warm))
    return {"run": Run(one_zone(p.cpus), workload, proposal=p.proposal, duration=p.duration_ms * MS)}


def read_cross_cpu(_: CrossCpu, results: Results) -> Record:
    """Return how often the asker fails, after how many pages first and how often then, and where the pages are."""
    result = results["run"]
    lists = {f"list_pages.cpu{cpu}": float(count) for cpu, count in enumerate(result.lists[:2])}
    return lists | pick(
        result,
        "ops.asker",
        "failed_share.asker",
        "before_null.asker",
        "late_failed_share.asker",
        "live.asker",
        "refills.asker",
        "live_pages",
    )


# scan policy: what taking pages from foreign lists does to the pageblocks

POLICIES: dict[str, tuple[int | None, int | None]] = {
    "own": (None, None),
    "up": (None, mm.MIGRATE_RECLAIMABLE),
    "all": (mm.MIGRATE_UNMOVABLE, mm.MIGRATE_RECLAIMABLE),
}


@dataclass(frozen=True)
class ScanPolicy:
    """``policy``: which lists the raid may take from (own, up, all), or ``ordinary`` requests that may refill.

    It may also be the name of a proposal: then the raid asks the way that proposal does.
    ``migratetype``: what the raid asks for; ``hold_ms``: how long it keeps its pages.  ``full``: the share of memory
    in use when the run begins, movable but for a tenth.
    """

    policy: str | Rule = "up"
    migratetype: Literal["unmovable", "reclaimable"] = "unmovable"
    rate: float = 50_000.0
    hold_ms: int = 20
    full: float = 0.8
    pages: int = 1 << 17
    cpus: int = 2
    duration_ms: int = 100


def scan_rule(policy: str | Rule) -> Rule | None:
    """Return the row of a scan policy: fast_try's, with other lists, or a proposal's own.  Raises InputError."""
    if policy == "ordinary":
        return None
    if isinstance(policy, Rule) or policy in ROWS:
        return proposal(policy)
    if policy not in POLICIES:
        raise unknown("policy", policy, [*POLICIES, "ordinary", *ROWS])
    return replace(proposal("fast_try"), name=policy, scan=POLICIES[policy])


def plan_scan_policy(p: ScanPolicy) -> Runs:
    """Memory was filled and given back at random places; a movable tenant, and requests that take what is listed."""
    rule = scan_rule(p.policy)
    most, holes = p.pages * 97 // 100 // p.cpus, 1 - share(p.full, "full")
    flows = (
        Flow("cache", migratetype="movable", reclaimable=True, preload=most * 9 // 10, holes=holes),
        Flow("slab", preload=most // 10, holes=holes),
        Flow("tenant", migratetype="movable", period=every(100_000.0, 16), burst=16, hold=Draw(2 * MS),
             reclaimable=True),
        Flow("raid", proposal=rule is not None, gfp="none", migratetype=p.migratetype, period=every(p.rate, 8),
             burst=8, hold=Draw(p.hold_ms * MS)),
    )  # fmt: skip
    workload = Workload("scan_policy", plan_scan_policy.__doc__ or "", flows)
    return {"run": Run(one_zone(p.cpus, p.pages), workload, proposal=rule, duration=p.duration_ms * MS)}


def read_scan_policy(_: ScanPolicy, results: Results) -> Record:
    """Return failures of the raid, and fragmentation at the end."""
    return pick(
        results["run"],
        "failed_share.raid",
        "live.raid",
        "stray_share.raid",
        "foreign_pages",
        "polluted_pageblocks",
        "largest_free_order",
        "unusable_free_index",
        "refills_per_1000.tenant",
        "mean_op_ns.tenant",
    )


# reserves: what a raid without watermark check takes from those who have a right to the reserves


@dataclass(frozen=True)
class Reserves:
    """``proposal`` lockless checks no watermark, no_locks and fast_try check the low one; ``none``: nobody raids.

    ``free_share``: how much of the low watermark is free when the run begins (1: just at it).
    """

    proposal: str | Rule = "lockless"
    raid_rate: float = 100_000.0
    raid_hold_ms: int = 20
    free_share: float = 1.0
    kswapd: bool = False
    pages: int = 1 << 17
    cpus: int = 2
    duration_ms: int = 50


def full_machine(cpus: int, pages: int, free_share: float) -> tuple[Machine, int]:
    """Return a machine, and how many pages must be taken so that this share of its low watermark is free."""
    from gfpmodel.mm.mmzone import boot_sizes

    machine = one_zone(cpus, pages)
    low = boot_sizes(machine).zones[mm.ZONE_NORMAL].wmark[1]
    return machine, pages - round(low * free_share)


def plan_reserves(p: Reserves) -> Runs:
    """Memory at the watermark, atomic requests that may use reserves, and a raid of the lists."""
    machine, cache = full_machine(p.cpus, p.pages, p.free_share)
    tight = near_watermark(20_000.0, cache)
    flows = tuple(flow for flow in tight.flows if flow.name != "reader" and (p.kswapd or flow.kind != "kswapd"))
    raids = p.proposal != "none"
    if raids:
        raid = Flow("raid", proposal=True, period=every(p.raid_rate, 8), burst=8, hold=Draw(p.raid_hold_ms * MS))
        flows += (raid,)
    run = Run(
        machine,
        Workload("reserves", plan_reserves.__doc__ or "", flows),
        proposal=p.proposal if raids else None,
        duration=p.duration_ms * MS,
    )
    return {"run": run}


def read_reserves(p: Reserves, results: Results) -> Record:
    """Return what the raid took below the marks, and what is left to atomic requests."""
    record = pick(results["run"], "ops.atomic", "failed_share.atomic", "refills_per_1000.atomic", "min_free_pages")
    if p.proposal != "none":
        record |= pick(results["run"], "failed_share.raid", "below_low.raid", "below_min.raid", "peak.raid")
    return record


# kswapd: what is the difference between a mask that wakes it and one that does not


@dataclass(frozen=True)
class Kswapd:
    """``gfp``: the mask of the asker, none (0) or one that wakes kswapd; ``others``: an ordinary load beside it."""

    gfp: str = "none"
    rate: float = 100_000.0
    hold_ms: int = 50
    others: bool = False
    free_share: float = 2.0
    pages: int = 1 << 17
    cpus: int = 2
    duration_ms: int = 100


def plan_kswapd(p: Kswapd) -> Runs:
    """Page cache fills the memory; the asker wants more, and somebody has to wake kswapd."""
    machine, cache = full_machine(p.cpus, p.pages, p.free_share)
    tight = near_watermark(20_000.0, cache)
    flows = tuple(f for f in tight.flows if f.name != "atomic" and (p.others or f.name != "reader"))
    asker = Flow("asker", gfp=p.gfp, period=every(p.rate, 8), burst=8, hold=Draw(p.hold_ms * MS), limit=1 << 15)
    workload = Workload("kswapd", plan_kswapd.__doc__ or "", (*flows, asker))
    return {"run": Run(machine, workload, duration=p.duration_ms * MS, samples=200)}


def read_kswapd(_: Kswapd, results: Results) -> Record:
    """Return how the asker fares, and for how long memory stood below the marks."""
    result = results["run"]
    marks, free = result.marks, result.series[:, 1]
    return pick(result, "ops.asker", "failed_share.asker", "free_pages", "min_free_pages", "reclaimed.page cache") | {
        "kswapd_woken": result.record["ops.kswapd"],
        "below_low_share": float((free < marks[1]).mean()),
        "below_min_share": float((free < marks[0]).mean()),
    }


# the cost of a miss: two scans of the zonelist that find nothing


@dataclass(frozen=True)
class MissCost:
    """``zones``: 1 (Normal) or 2 (DMA32 below it), whose lists are looked at one after the other, twice."""

    proposal: str | Rule = "fast_try"
    zones: int = 2
    duration_ms: int = 20


def plan_miss_cost(p: MissCost) -> Runs:
    """The same request on lists that are full, and on lists that stay empty."""
    if p.zones not in (1, 2):
        raise InputError(f"zones is {p.zones}; expected 1 or 2")
    pages = 1 << 16
    below = (Zone(mm.ZONE_DMA32, ZONE_NORMAL_START - pages, pages),) if p.zones == 2 else ()
    machine = Machine((*below, Zone(mm.ZONE_NORMAL, ZONE_NORMAL_START, pages)))
    asker = Flow("asker", proposal=True, period=every(100_000.0), hold=Draw(10 * US))
    warm = Flow("warm", preload=8, holes=1.0)
    return {
        name: Run(machine, Workload(name, "", flows), p.proposal, duration=p.duration_ms * MS, task_period=0)
        for name, flows in (("hit", (asker, warm)), ("miss", (asker,)))
    }


def read_miss_cost(_: MissCost, results: Results) -> Record:
    """Return what a hit and a miss cost."""
    hit, miss = (results[name].record["mean_op_ns.asker"] for name in ("hit", "miss"))
    return {
        "hit_ns": hit,
        "miss_ns": miss,
        "miss_per_hit": miss / hit,
        "failed_share.hit": results["hit"].record["failed_share.asker"],
        "failed_share.miss": results["miss"].record["failed_share.asker"],
    }


# the co-tenant: what a raid costs others


@dataclass(frozen=True)
class CoTenant:
    """A tenant of the lists, alone and with a raid of ``raid_rate`` pages a second and CPU in bursts."""

    proposal: str | Rule = "fast_try"
    tenant_rate: float = 200_000.0
    raid_rate: float = 20_000.0
    raid_burst: int = 32
    cpus: int = 2
    duration_ms: int = 50


def plan_co_tenant(p: CoTenant) -> Runs:
    """The tenant alone, and raided."""
    alone, raided = co_tenant(p.tenant_rate), co_tenant(p.tenant_rate, p.raid_rate, p.raid_burst)
    machine, duration = one_zone(p.cpus), p.duration_ms * MS
    return {
        "alone": Run(machine, alone, p.proposal, duration=duration),
        "raided": Run(machine, raided, p.proposal, duration=duration),
    }


def read_co_tenant(p: CoTenant, results: Results) -> Record:
    """Return the tenant's costs without and with the raid, and how the raid fares."""
    record = {
        f"{figure}.{name}": result.record[f"{figure}.tenant"]
        for name, result in results.items()
        for figure in ("mean_op_ns", "refills_per_1000", "zone_locks_per_1000")
    }
    if p.raid_rate:
        record |= pick(results["raided"], "ops.raid", "failed_share.raid")
    return record


_ALL = (
    Experiment(
        "hold_time",
        "hold time of the zone lock, and how late a task wakes, by batch, CPUs and kind of lock (E5)",
        HoldTime,
        plan_hold_time,
        read_hold_time,
    ),
    Experiment(
        "trylock",
        "a try for the lock against the lists alone, under contention (E9)",
        Trylock,
        plan_trylock,
        read_trylock,
        given=(),
    ),
    Experiment(
        "cross_cpu",
        "one CPU allocates, another frees (Q25)",
        CrossCpu,
        plan_cross_cpu,
        read_cross_cpu,
        given=(),
    ),
    Experiment(
        "scan_policy",
        "own, up or all lists scanned, and what it does to the pageblocks (E4)",
        ScanPolicy,
        plan_scan_policy,
        read_scan_policy,
    ),
    Experiment(
        "reserves",
        "reserves eaten without a watermark check (E10)",
        Reserves,
        plan_reserves,
        read_reserves,
        given=("pages", "free_share"),
    ),
    Experiment(
        "kswapd",
        "gfp = 0 with and without kswapd woken (Q6, Q23)",
        Kswapd,
        plan_kswapd,
        read_kswapd,
        given=("pages", "free_share"),
    ),
    Experiment(
        "miss_cost",
        "the cost of a miss: two scans of the zonelist",
        MissCost,
        plan_miss_cost,
        read_miss_cost,
    ),
    Experiment(
        "co_tenant",
        "what a raid costs a tenant of the lists (Q12)",
        CoTenant,
        plan_co_tenant,
        read_co_tenant,
        given=(),
    ),
    *kfree.EXPERIMENTS,
)
EXPERIMENTS = {experiment.name: experiment for experiment in _ALL}


def experiment(name: str) -> Experiment:
    """Return an experiment; raises InputError with the nearest known names."""
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
