"""The experiments on kfree_rcu: what its blocks find on the lists, how many it wants, and what a private pool does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from gfpmodel.errors import InputError, unknown
from gfpmodel.mm import Machine, Rule, Zone
from gfpmodel.mm import state as mm
from gfpmodel.rcu.costs import NO_FLOOD, blocks_in_flight, drain_ns
from gfpmodel.rcu.timing import Timing
from gfpmodel.rcu.versions import BY_PROPOSAL, PAGE_SIZE, Version, version
from gfpmodel.sim.chain import Chain
from gfpmodel.sim.plans import Experiment, Record, Results, Runs, pick
from gfpmodel.sim.run import ZONE_NORMAL_START, Run, one_zone
from gfpmodel.sim.workloads import MS, SECOND, US, Flow, kfree_flood

SAMPLES = 500


def timing(gp_ms: int, fill_delay_us: int = 50) -> Timing:
    """Return times with a grace period of so many ms, never expedited, and a delay of the refill in us."""
    return Timing(gp_ns=gp_ms * MS, qhimark=NO_FLOOD, fill_delay_ns=fill_delay_us * US)


def warmed(pages: int) -> Flow:
    """Return a flow that had so many pages on each CPU before the run: its lists are not those of a fresh boot."""
    return Flow("warm", preload=pages, holes=1.0)


# E1: what is on a CPU's lists, and how often does a block find nothing there


@dataclass(frozen=True)
class PcpOccupancy:
    """Every CPU gives ``rate`` objects a second to kfree_rcu(), in bursts; its blocks come from the lists.

    ``slab`` objects share a page that the same CPU allocates for them, which refills the lists; 0: they come from
    elsewhere.  ``tenant_rate``: ordinary requests a second beside it.  ``batch`` and ``high`` 0: the kernel's own;
    ``fraction``: percpu_pagelist_fraction, 0 for none.  ``gp_ms``: a grace period.  ``warm`` pages were allocated
    and freed on every CPU before.
    """

    proposal: str | Rule = "fast_try"
    version: str = "v5.9"
    rate: float = 1_000_000.0
    burst: int = 1
    slab: int = 0
    tenant_rate: float = 0.0
    batch: int = 0
    high: int = 0
    fraction: int = 0
    gp_ms: int = 100
    warm: int = 400
    pages: int = 1 << 18
    cpus: int = 1
    duration_ms: int = 500


def occupancy_machine(p: PcpOccupancy) -> Machine:
    """Return the machine, with the lists as the parameters say."""
    zone = Zone(mm.ZONE_NORMAL, ZONE_NORMAL_START, p.pages)
    return Machine((zone,), p.cpus, pcp=(p.batch or None, p.high or None), percpu_pagelist_fraction=p.fraction)


def plan_pcp_occupancy(p: PcpOccupancy) -> Runs:
    """A flood of kfree_rcu(), and who refills the lists for it."""
    flood = kfree_flood(p.rate, p.burst, 0, p.tenant_rate, p.slab)
    return {
        "run": Run(
            occupancy_machine(p),
            replace(flood, flows=(*flood.flows, warmed(p.warm))),
            p.proposal,
            duration=p.duration_ms * MS,
            samples=SAMPLES,
            chain=Chain(p.version, timing(p.gp_ms), min_cached=0),
        )
    }


def read_pcp_occupancy(p: PcpOccupancy, results: Results) -> Record:
    """Return how often a block found no page, how often an object no block, and what CPU 0's lists held over time."""
    result = results["run"]
    listed = result.series[:, 4]
    low, middle, top = np.quantile(listed, (0.1, 0.5, 0.9))
    return pick(
        result,
        "block_requests",
        "block_failed_share",
        "fallback_share",
        "before_null.flood",
        "blocks_peak",
        "objects_waiting_peak",
    ) | {
        "list_mean_pages": float(listed.mean()),
        "list_p10_pages": float(low),
        "list_median_pages": float(middle),
        "list_p90_pages": float(top),
        "list_empty_share": float((listed == 0).mean()),
        "batch_pages": result.pcp[0],
        "high_pages": result.pcp[1],
    }


# E2: how many blocks are in flight


@dataclass(frozen=True)
class BlockDemand:
    """Every CPU gives ``rate`` objects a second to the kfree_rcu() of a version, whose own mask asks for the blocks."""

    version: str = "v5.9"
    rate: float = 1_000_000.0
    burst: int = 1
    gp_ms: int = 20
    cpus: int = 1
    duration_ms: int = 500


def plan_block_demand(p: BlockDemand) -> Runs:
    """A flood of kfree_rcu() with plenty of memory."""
    flood = kfree_flood(p.rate, p.burst)
    flows = tuple(replace(flow, proposal=False) for flow in flood.flows)
    chain = Chain(p.version, timing(p.gp_ms))
    run = Run(one_zone(p.cpus), replace(flood, flows=flows), None, duration=p.duration_ms * MS, samples=SAMPLES,
              chain=chain)  # fmt: skip
    return {"run": run}


def read_block_demand(p: BlockDemand, results: Results) -> Record:
    """Return the blocks in flight of a CPU, and what rate x (grace period + drain) / capacity forecasts of the peak."""
    result = results["run"]
    kernel = version(p.version)
    queued = result.record["objects_queued"] / p.cpus
    wait = timing(p.gp_ms).gp_ns + drain_ns(kernel, Timing())
    forecast = blocks_in_flight(queued / result.record["seconds"], wait / SECOND, kernel.capacity())
    peak = result.record["blocks_peak"] / p.cpus
    half = result.series[len(result.series) // 2 :, 5]
    return pick(result, "fallback_share", "block_requests", "blocks_from_cache", "busy_share", "hand_overs") | {
        "cpu_blocks_peak": peak,
        "cpu_blocks_mean": float(half.mean()) / p.cpus,
        "cpu_blocks_forecast": forecast,
        "peak_per_forecast": peak / forecast if forecast else float("nan"),
        "objects_waiting_peak": result.record["objects_waiting_peak"],
        "cpu_queued_per_second": queued / result.record["seconds"],
    }


# E3: how large would a private pool have to be

Policy = Literal["pool", "deferred", "pcp", "pool_then_pcp"]


@dataclass(frozen=True)
class Pool:
    """Where blocks come from, by ``policy``; ``blocks`` is the size of a CPU's pool or cache.

    pool: full at boot, refilled ``latency_us`` after a block is taken.  deferred: as v5.11, empty at boot, refilled
    after a miss.  pcp: the CPU's lists, by ``proposal``; nothing is kept.  pool_then_pcp: the lists when the pool is
    empty.  ``tenant_rate``: ordinary requests a second and CPU, which refill the lists; ``warm``: see PcpOccupancy.
    """

    policy: Policy = "pool"
    blocks: int = 5
    latency_us: int = 50
    proposal: str | Rule = "fast_try"
    rate: float = 1_000_000.0
    burst: int = 1
    tenant_rate: float = 0.0
    gp_ms: int = 20
    warm: int = 400
    cpus: int = 1
    duration_ms: int = 200


def pool_version(p: Pool) -> Version:
    """Return the row of a policy: v5.11's, with another cache and another mask.  Raises InputError."""
    if p.policy not in get_args(Policy):
        raise unknown("policy", p.policy, get_args(Policy))
    if p.blocks < (p.policy != "pcp"):
        raise InputError(f"blocks is {p.blocks}; expected at least 1")
    deferred = version("v5.11")
    pool = replace(deferred, name=p.policy, cache_limit=p.blocks, preloaded=p.blocks, fill_on_take=True)
    return {
        "pool": pool,
        "deferred": replace(deferred, cache_limit=p.blocks),
        "pcp": replace(version("v5.9"), cache_limit=0, preloaded=0),
        "pool_then_pcp": replace(pool, request=BY_PROPOSAL),
    }[p.policy]


def plan_pool(p: Pool) -> Runs:
    """A flood whose blocks come from a pool, from the lists, or from both."""
    flood = kfree_flood(p.rate, p.burst, 0, p.tenant_rate)
    flows = tuple(replace(flow, proposal=flow.proposal and p.policy == "pcp") for flow in flood.flows)
    workload = replace(flood, flows=(*flows, warmed(p.warm)))
    chain = Chain(pool_version(p), timing(p.gp_ms, p.latency_us))
    return {"run": Run(one_zone(p.cpus), workload, p.proposal, duration=p.duration_ms * MS, chain=chain)}


def read_pool(p: Pool, results: Results) -> Record:
    """Return how many objects found no block, and what the pool costs in memory and in the zone lock."""
    kept = p.blocks if p.policy != "pcp" else 0
    return pick(
        results["run"],
        "fallback_share",
        "before_null.flood",
        "blocks_peak",
        "blocks_from_cache",
        "block_requests",
        "cache_fills",
        "zone_locks",
        "mean_op_ns.flood",
        "p99_op_ns.flood",
    ) | {"cpu_kept_bytes": float(kept * PAGE_SIZE)}


EXPERIMENTS = (
    Experiment(
        "pcp_occupancy",
        "pages on a CPU's lists under a flood of kfree_rcu(), and how often FAST_TRY fails (E1)",
        PcpOccupancy,
        plan_pcp_occupancy,
        read_pcp_occupancy,
    ),
    Experiment(
        "block_demand",
        "blocks of kfree_rcu() in flight, by rate, grace period and version (E2)",
        BlockDemand,
        plan_block_demand,
        read_block_demand,
    ),
    Experiment(
        "pool",
        "a private pool of blocks, the deferred refill of v5.11, and the lists (E3)",
        Pool,
        plan_pool,
        read_pool,
    ),
)
