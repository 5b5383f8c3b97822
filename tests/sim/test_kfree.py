"""kfree_rcu on the simulator's clock: against the chain's own clock, by cases worked out by hand, and nothing lost."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from gfpmodel.errors import InputError
from gfpmodel.mm import PageAllocator, jit
from gfpmodel.rcu import KfreeRcu, Timing
from gfpmodel.rcu import state as rcu
from gfpmodel.rcu.versions import BY_PROPOSAL, VERSIONS, version
from gfpmodel.sim import Chain, Draw, Flow, Result, Run, Workload, one_zone, simulate, workload
from gfpmodel.sim import experiment as find
from gfpmodel.sim.costs import COSTS
from gfpmodel.sim.workloads import MS, US

PAGES, BATCH, HIGH = 1 << 13, 8, 48
FREE = dict.fromkeys((cost.name for cost in COSTS), 0)  #: nothing costs anything, but for what a test sets
CAPACITY = 510  #: objects in a block of v5.9
FAST = Timing(gp_ns=2 * MS, hz=1000)  #: HZ/50 is 20 ms


def run(*flows: Flow, cpus: int = 1, seed: int = 0, **options: Any) -> Result:
    options.setdefault("duration", 10 * MS)
    options.setdefault("costs", FREE)
    return simulate(Run(one_zone(cpus, PAGES, BATCH, HIGH), Workload("test", "", flows), **options), seed)


def flood(ns: int, **options: Any) -> Flow:
    options.setdefault("limit", 1 << 14)
    return Flow("a", kind="kfree_rcu", period=Draw(ns, "constant"), **options)


@pytest.mark.parametrize("name", VERSIONS)
def test_it_does_what_the_chain_does_on_its_own_clock(name: str) -> None:
    # nothing takes time, so that the simulator's clock adds nothing; and no two things happen at one time
    flow = flood(9973, times=1500)
    record = run(flow, duration=6000 * MS, task_period=0, chain=Chain(name, FAST)).record
    alone = KfreeRcu(name, PageAllocator(one_zone(1, PAGES, BATCH, HIGH)), timing=Timing(2 * MS, hz=1000, free_ns=0))
    alone.queue(1500, every_ns=9973)
    alone.settle()
    c = alone.counters
    assert record["objects_queued"] == record["objects_freed"] == c.freed == 1500
    assert record["block_requests"] == c.pages_alloc + c.alloc_failed
    assert record["failed.a"] == c.fallbacks
    for figure, value in {
        "blocks_peak": c.blocks_peak,
        "blocks_from_cache": c.cache_hits,
        "cache_fills": c.fills,
        "grace_periods": c.grace_periods,
        "hand_overs": c.hand_overs,
        "objects_waiting_peak": c.pending_peak,
    }.items():
        assert record[figure] == value, figure


def test_blocks_by_hand() -> None:
    # 1000 objects before the first drain: two blocks, from the two that boot put into the cache
    record = run(flood(10 * US, times=1000), duration=19 * MS).record
    assert record["blocks_in_flight"] == record["blocks_peak"] == ceil(1000 / CAPACITY)
    assert record["blocks_from_cache"] == 2
    assert record["block_requests"] == 0
    assert record["objects_waiting"] == record["live.a"] == 1000
    asks = run(flood(10 * US, times=1000), duration=19 * MS, chain=Chain(min_cached=0)).record
    assert (asks["block_requests"], asks["block_pages"]) == (2, 2)


def test_more_blocks_than_there_was_room_for() -> None:
    record = run(flood(1, times=400 * CAPACITY, limit=400 * CAPACITY), duration=2 * MS, max_events=1 << 20).record
    assert record["blocks_peak"] > 272


def test_a_slab_s_page_goes_back_when_all_its_objects_are_freed() -> None:
    flow = flood(10 * US, slab=64, times=640)
    early = run(flow, duration=19 * MS, chain=Chain(timing=FAST)).record
    late = run(flow, duration=100 * MS, chain=Chain(timing=FAST)).record
    assert (early["live_pages"], late["live_pages"]) == (10, 0)
    assert (early["freed.a"], late["freed.a"]) == (0, 640)
    part = run(flood(10 * US, slab=64, times=650), duration=100 * MS, chain=Chain(timing=FAST)).record
    assert part["live_pages"] == 1  # the last one is not used up: ten objects of 64
    assert part["live.a"] == 0


def test_nothing_is_lost_when_no_block_is_ever_had() -> None:
    flow = flood(10 * US, proposal=True, times=700)
    record = run(flow, proposal="fast_try", duration=200 * MS, chain=Chain("v5.9", FAST, min_cached=0)).record
    assert record["fallback_share"] == record["block_failed_share"] == record["failed_share.a"] == 1
    assert record["before_null.a"] == record["block_pages"] == 0
    assert record["freed.a"] == 700


def test_the_loop_s_kmalloc_refills_the_lists_for_its_blocks() -> None:
    options: Any = {"proposal": "fast_try", "chain": Chain(min_cached=0), "duration": 15 * MS}
    loop = run(flood(10 * US, proposal=True, slab=16), **options).record
    alone = run(flood(10 * US, proposal=True), **options).record
    assert loop["refills.a"] > 0
    assert loop["fallback_share"] < alone["fallback_share"] == 1


def test_one_cpu_allocates_and_another_calls() -> None:
    flow = workload("kfree_producer_consumer", rate=100_000.0, delay=100 * US, slab=8).flows[0]
    result = run(flow, cpus=2, proposal="nowait", duration=100 * MS, chain=Chain(timing=FAST), costs={})
    record = result.record
    assert record["freed.object"] > 0
    assert result.lists[1] > result.lists[0]  # slabs and blocks are freed where kfree_rcu() was called
    assert record["live.object"] >= record["objects_waiting"]


def test_a_call_takes_the_time_of_its_sections() -> None:
    costs = FREE | {"pcp": 10, "kmalloc": 100}
    calls = run(flood(10 * US, times=3), costs=costs).record
    assert calls["mean_op_ns.a"] == 10  # the block came from the cache
    asks = run(flood(10 * US, times=1), costs=costs | {"alloc_page": 7}, chain=Chain(min_cached=0)).record
    assert asks["mean_op_ns.a"] == 10 + 10 + BATCH * 7  # the call's section, and the allocator's with its refill


def test_freeing_takes_its_cpu_s_time() -> None:
    flow = flood(10 * US, times=500)
    options: Any = {"duration": 100 * MS, "chain": Chain(timing=FAST)}
    assert run(flow, **options).record["busy_share"] == 0
    busy = run(flow, costs=FREE | {"kfree": 10_000}, **options).record
    assert busy["busy_share"] == pytest.approx(500 * 10_000 / (100 * MS))
    callbacks = run(flow, costs=FREE | {"kfree": 10_000}, duration=100 * MS, chain=Chain("call_rcu", FAST)).record
    assert callbacks["busy_share"] == pytest.approx(500 * 10_000 / (100 * MS))


def test_no_work_runs_while_interrupts_are_off() -> None:
    flows = (
        flood(10 * US, times=500),
        Flow("off", kind="irq_off", period=Draw(US, "constant"), burst=50, hold=Draw(2 * US, "constant")),
        Flow("masked", period=Draw(US, "constant"), burst=30, hold=Draw(US, "constant"), irqs_off=True),
    )
    costs = FREE | {"kfree": 1000, "pcp": 10}
    record = run(*flows, costs=costs, duration=200 * MS, task_period=20 * US, chain=Chain(timing=FAST)).record
    assert record["objects_freed"] == 500  # the works came to their turn
    assert record["latency_max_ns"] <= 50 * 2 * US  # the length of the window, and not that of a block's work


def test_a_refused_try_for_the_lock_is_counted() -> None:
    noise = Flow("noise", cpus=(1,), order=3, period=Draw(0, "constant"), hold=Draw(US, "constant"))
    costs = FREE | {"alloc_page": 2000, "free_page": 2000}
    flow = flood(US, cpus=(0,), proposal=True)
    options: Any = {"costs": costs, "duration": MS, "chain": Chain(min_cached=0), "proposal": "trylock"}
    record = run(flow, noise, cpus=2, **options).record
    assert record["failed_lock.a"] == record["block_requests_failed"] > 0
    assert run(flow, **options).record["failed_lock.a"] == 0


flows_of_chain = some.builds(
    Flow,
    some.sampled_from(["a", "b"]),
    kind=some.just("kfree_rcu"),
    period=some.builds(Draw, some.integers(0, 20_000), some.sampled_from(["constant", "exponential", "uniform"])),
    burst=some.integers(1, 700),
    hold=some.one_of(some.none(), some.builds(Draw, some.integers(0, 100_000), some.just("exponential"))),
    frees_on=some.sampled_from(["same", "next"]),
    limit=some.integers(0, 3000),
    irqs_off=some.booleans(),
    slab=some.sampled_from([0, 1, 16, 64]),
    times=some.sampled_from([0, 0, 600]),
    proposal=some.just(True),
)
CHAINS = some.builds(
    Chain,
    some.sampled_from(list(VERSIONS)),
    some.builds(Timing, gp_ns=some.integers(0, 200_000), hz=some.just(10_000), fill_delay_ns=some.integers(0, 100_000)),
    min_cached=some.sampled_from([None, 0, 3]),
)


@settings(deadline=None, max_examples=30)
@given(
    some.lists(flows_of_chain, min_size=1, max_size=3),
    CHAINS,
    some.sampled_from(["fast_try", "nowait", "trylock", "deferred_refill"]),
    some.sampled_from(["spin", "raw", "sleeping"]),
    some.integers(1, 3),
)
def test_nothing_is_lost_whatever_runs(flows: list[Flow], chain: Chain, proposal: str, lock: str, cpus: int) -> None:
    tenant = Flow("tenant", period=Draw(5 * US), hold=Draw(50 * US))
    options: Any = {"lock": lock, "duration": 8 * MS, "max_events": 4000, "costs": {}}
    record = run(*flows, tenant, cpus=cpus, proposal=proposal, chain=chain, **options).record  # simulate() checks
    assert record["objects_freed_early"] == 0 or not version(str(chain.version)).fixed


def test_an_early_free_of_a_kernel_without_the_fix_is_counted() -> None:
    # blocks wait in a batch, and the head list joins them later: its grace period is theirs
    flow = flood(50 * US, slab=64, proposal=True)
    options: Any = {"proposal": "fast_try", "duration": 400 * MS, "costs": {}}
    timing = Timing(gp_ns=50 * MS)
    found = [
        run(flow, chain=Chain("v5.9", timing, min_cached=0, fixed=fixed), **options).record["objects_freed_early"]
        for fixed in (False, True)
    ]
    assert found[0] > 0
    assert found[1] == 0


def test_what_is_missing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from gfpmodel.sim import loop

    honest = loop.run

    def lose(world: Any) -> Any:
        more = honest(world)
        world.rcu.krc[rcu.QUEUED] += 1
        return more

    monkeypatch.setattr(loop, "run", lose)
    with pytest.raises(AssertionError, match="objects wait"):
        run(flood(10 * US, times=10))


# the experiments


def figures(name: str, **parameters: Any) -> dict[str, float]:
    found = find(name)
    return found(found.parameters(**parameters), 0)


@pytest.mark.bulk
def test_more_tenants_fewer_failures() -> None:
    base: Any = {"rate": 2e5, "duration_ms": 30, "pages": 1 << 13, "batch": 8, "high": 48, "warm": 0, "gp_ms": 20}
    none, some_, many = (figures("pcp_occupancy", tenant_rate=rate, **base) for rate in (0.0, 2e3, 2e4))
    assert none["block_failed_share"] == none["list_empty_share"] == 1
    assert none["block_failed_share"] > some_["block_failed_share"] > many["block_failed_share"]
    assert many["list_p10_pages"] <= many["list_median_pages"] <= many["list_p90_pages"] <= many["high_pages"] == 48


def test_the_fraction_sets_the_lists() -> None:
    record = figures("pcp_occupancy", fraction=8, pages=1 << 13, duration_ms=2)
    assert record["high_pages"] == (1 << 13) // 8
    assert figures("pcp_occupancy", pages=1 << 13, duration_ms=2)["high_pages"] < record["high_pages"]


@pytest.mark.bulk
def test_demand_grows_with_the_grace_period_as_forecast() -> None:
    short, long = (figures("block_demand", rate=1e5, gp_ms=gp, duration_ms=150) for gp in (5, 50))
    assert long["cpu_blocks_peak"] > short["cpu_blocks_peak"]
    # 70 ms at 1e5 objects/s, which come a little more slowly because each call takes its time
    assert long["cpu_blocks_forecast"] == ceil(long["cpu_queued_per_second"] * 0.070 / CAPACITY)
    assert short["fallback_share"] == 0


@pytest.mark.bulk
def test_a_larger_pool_and_a_faster_refill_help() -> None:
    base: Any = {"rate": 1e6, "duration_ms": 20, "warm": 0}
    small, large = (figures("pool", blocks=n, latency_us=4000, **base) for n in (2, 20))
    fast = figures("pool", blocks=2, latency_us=50, **base)
    assert small["fallback_share"] > 0.3
    assert large["fallback_share"] == fast["fallback_share"] == 0
    assert (small["cpu_kept_bytes"], large["cpu_kept_bytes"]) == (8192, 81920)
    deferred = figures("pool", policy="deferred", blocks=5, latency_us=50, **base)
    assert deferred["before_null.flood"] == 0  # the first call misses, and so does every sixth block
    assert 0 < deferred["fallback_share"] < small["fallback_share"]
    pcp = figures("pool", policy="pcp", **base)
    both = figures("pool", policy="pool_then_pcp", blocks=2, latency_us=4000, **base | {"warm": 400})
    silent = figures(
        "pool", policy="pool_then_pcp", proposal="lockless", blocks=2, latency_us=4000, **base | {"warm": 400}
    )
    assert pcp["fallback_share"] == 1
    assert silent["fallback_share"] < small["fallback_share"]
    assert both["fallback_share"] < small["fallback_share"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: run(flood(1, proposal=True)), "this run has none"),
        (lambda: run(flood(1), flood(1, proposal=True), proposal="fast_try"), "share one chain"),
        (lambda: run(flood(1), chain=Chain("v4.19")), "unknown kfree_rcu version"),
        (lambda: run(flood(1), chain=Chain(min_cached=-1)), "min_cached is -1"),
        (lambda: flood(1, slab=1000), "slab is 1000; expected 0 to 512"),
        (lambda: flood(1, preload=3), "preload is 3; only flows of kind alloc"),
        (lambda: figures("pool", policy="mempool"), "unknown policy 'mempool'"),
        (lambda: figures("pool", blocks=0), "blocks is 0; expected at least 1"),
        (
            lambda: run(flood(1), chain=Chain(replace(version("v5.11"), request=BY_PROPOSAL))),
            "this machine serves none",
        ),
        (lambda: figures("pcp_occupancy", gp_ms=-1), "gp_ns is -1000000"),
        (lambda: figures("block_demand", rate=-1.0), "a rate of -1.0 a second"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(make: Any, says: str) -> None:
    with pytest.raises(InputError) as error:
        make()
    assert says in str(error.value)
    assert "\n" not in str(error.value)


SAME = """
import json
from gfpmodel.sim import Chain, Run, one_zone, simulate, workload
out = []
for name, given in (("kfree_flood", {"burst": 50, "tenant": 1e4}), ("rezki_loop", {"times": 3000}),
                    ("kfree_producer_consumer", {"rate": 1e5}), ("co_tenant", {"raid": 1e5})):
    for version in ("v5.9", "v6.12"):
        run = Run(one_zone(2, 1 << 13), workload(name, **given), "fast_try", duration=3_000_000, samples=5,
                  chain=Chain(version))
        result = simulate(run, 7)
        out.append([{k: repr(v) for k, v in result.record.items()}, result.series.tolist(), list(result.lists)])
print(json.dumps(out))
"""


@pytest.mark.skipif(jit.way("sim") == "interpreted", reason="the compiled pass of `make test` compares both")
def test_compiled_and_interpreted_give_the_same() -> None:
    def call(**environment: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", SAME], env={**os.environ, **environment}, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    assert call() == call(NUMBA_DISABLE_JIT="1")
