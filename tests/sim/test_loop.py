"""The loop: time, locks, interrupts and pages, each by a case small enough to be worked out by hand."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from gfpmodel.errors import InputError
from gfpmodel.sim import Draw, Flow, Result, Run, Workload, one_zone, simulate
from gfpmodel.sim.costs import COSTS
from gfpmodel.sim.workloads import MS, US, co_tenant, near_watermark, producer_consumer

PAGES, BATCH, HIGH = 1 << 13, 8, 48
FREE = dict.fromkeys((cost.name for cost in COSTS), 0)  #: nothing costs anything, but for what a test sets


def run(*flows: Flow, cpus: int = 1, seed: int = 0, **options: object) -> Result:
    options.setdefault("duration", MS)
    machine = one_zone(cpus, PAGES, BATCH, HIGH)
    return simulate(Run(machine, Workload("test", "", flows), **options), seed)  # type: ignore[arg-type]


def often(name: str, ns: int, **options: object) -> Flow:
    return Flow(name, period=Draw(ns, "constant"), **options)  # type: ignore[arg-type]


def test_a_refill_holds_the_lock_for_its_batch() -> None:
    costs = FREE | {"pcp": 10, "lock": 5, "alloc_page": 100}
    record = run(often("a", US), costs=costs).record
    refills = -(-record["ops.a"] // BATCH)
    assert record["zone_locks"] == record["refills.a"] == refills
    assert record["hold_max_ns"] == record["hold_mean_ns"] == 5 + BATCH * 100
    assert record["under_lock_pages"] == refills * BATCH
    assert record["live.a"] == record["ops.a"]
    assert record["mean_op_ns.a"] == pytest.approx(10 + (5 + BATCH * 100) * refills / record["ops.a"])


def test_a_drain_holds_it_for_what_it_frees() -> None:
    costs = FREE | {"free_page": 40}
    warm = Flow("warm", preload=4 * HIGH, hold=Draw(10 * US, "constant"))
    record = run(warm, costs=costs).record
    assert record["freed.warm"] == 4 * HIGH
    assert record["drains.warm"] == record["zone_locks"] > 0
    assert record["hold_max_ns"] == BATCH * 40
    assert record["pcp_pages"] < HIGH


def test_a_request_that_may_not_refill_takes_no_lock() -> None:
    record = run(often("raid", US, proposal=True), Flow("warm", preload=20, holes=1.0), proposal="fast_try").record
    assert record["zone_locks"] == 0
    assert record["before_null.raid"] == 24  # three refills of 8 for the 20 pages that were there before
    assert record["failed.raid"] == record["ops.raid"] - 24


def test_the_second_cpu_waits_for_the_first() -> None:
    costs = FREE | {"alloc_page": 1000, "transfer": 100}
    flow = Flow("a", order=1, period=Draw(10 * US, "constant"))
    record = run(flow, cpus=2, costs=costs, lock="spin", duration=40 * US).record
    assert record["zone_locks"] >= 6
    assert record["hold_max_ns"] == 1000
    assert record["wait_max_ns"] <= 1000 + 100
    closed = run(Flow("a", order=1, period=Draw(0, "constant")), cpus=2, costs=costs, duration=40 * US).record
    assert closed["contended_share"] > 0.9
    # the other's cache line comes, it holds the lock, then one's own line comes
    assert closed["wait_max_ns"] == 100 + 1000 + 100


@pytest.mark.parametrize(("lock", "late"), [("spin", True), ("raw", True), ("sleeping", False)])
def test_who_delays_the_periodic_task(lock: str, late: bool) -> None:
    costs = FREE | {"alloc_page": 5000, "task": 1000}
    record = run(often("a", US, order=1), costs=costs, lock=lock, task_period=17 * US).record
    assert record["wakeups"] == pytest.approx(1000 / 17, abs=1)
    assert (record["latency_max_ns"] > 0) is late
    assert record["latency_max_ns"] <= 5000
    # who can be preempted holds the lock for longer
    assert record["hold_max_ns"] == (5000 if late else 6000)


def test_a_window_with_interrupts_off_delays_the_task_by_its_length_at_most() -> None:
    window = Flow("window", kind="irq_off", period=Draw(US, "constant"), hold=Draw(30 * US, "constant"))
    record = run(window, costs=FREE, task_period=50 * US, lock="sleeping").record
    assert 20 * US < record["latency_max_ns"] <= 30 * US


def test_a_sleeping_lock_with_interrupts_off_is_counted() -> None:
    flow = often("a", 10 * US, irqs_off=True)
    assert run(flow, lock="sleeping").record["sleeping_lock_with_irqs_off"] > 0
    assert run(flow, lock="raw").record["sleeping_lock_with_irqs_off"] == 0


def test_a_trylock_fails_only_if_another_cpu_has_the_lock() -> None:
    asker = often("a", US, cpus=(0,), proposal=True)
    alone = run(asker, proposal="trylock").record
    assert alone["failed.a"] == 0
    assert alone["refills.a"] > 0
    noise = Flow("noise", cpus=(1,), order=3, period=Draw(0, "constant"), hold=Draw(US, "constant"))
    beside = run(asker, noise, cpus=2, proposal="trylock").record
    assert beside["failed_lock.a"] == beside["failed.a"] > 0


def test_what_one_cpu_takes_and_another_frees_does_not_come_back() -> None:
    flow = producer_consumer(1_000_000.0, 20).flows[0]
    result = run(flow, Flow("warm", preload=24, holes=1.0), cpus=2, proposal="fast_try")
    assert result.lists[0] == 0
    assert result.record["before_null.producer"] == result.record["freed.producer"] + result.record["live.producer"]
    same = run(replace(flow, frees_on="same"), Flow("warm", preload=24, holes=1.0), cpus=2, proposal="fast_try")
    assert same.record["ops.producer"] - same.record["failed.producer"] > 24


def test_a_limit_holds_back() -> None:
    record = run(often("a", US, limit=10)).record
    assert record["ops.a"] == record["peak.a"] == record["live.a"] == 10
    assert record["held_back.a"] > 0


def test_kswapd_gives_back_what_may_be_reclaimed() -> None:
    workload = near_watermark(200_000.0, PAGES - 400)
    machine = one_zone(1, PAGES, BATCH, HIGH)
    with_it = simulate(Run(machine, workload, duration=20 * MS, samples=20), 0)
    flows = tuple(flow for flow in workload.flows if flow.kind != "kswapd")
    without = simulate(Run(machine, replace(workload, flows=flows), duration=20 * MS), 0)
    assert with_it.record["ops.kswapd"] > 0
    assert with_it.record["reclaimed.page cache"] > 0
    assert with_it.record["failed.reader"] < without.record["failed.reader"]
    assert len(with_it.series) == 21
    assert with_it.series[-1].tolist()[1:3] == [with_it.record["free_pages"], with_it.record["live_pages"]]


def test_foreign_pages_are_counted() -> None:
    cache = Flow("cache", migratetype="movable", preload=40, holes=1.0)
    raid = often("raid", US, proposal=True, limit=30)
    record = run(cache, raid, proposal="fast_try").record
    assert record["live.raid"] == record["foreign_pages"] == 30
    assert record["polluted_pageblocks"] == 1
    assert record["stray_share.raid"] == 1


def test_same_seed_same_result_and_costs_are_drawn_from_it() -> None:
    flows = co_tenant(500_000.0, raid=100_000.0).flows
    one, again, other = (run(*flows, cpus=2, seed=s, proposal="fast_try").record for s in (1, 1, 2))
    assert repr(one) == repr(again)
    assert one != other


flow_strategy = some.builds(
    Flow,
    some.sampled_from(["a", "b", "c"]),
    gfp=some.sampled_from(["GFP_KERNEL", "GFP_ATOMIC", "none"]),
    migratetype=some.sampled_from(["unmovable", "movable", "reclaimable"]),
    order=some.sampled_from([0, 0, 0, 1, 3]),
    period=some.builds(Draw, some.integers(0, 20_000), some.sampled_from(["constant", "exponential", "uniform"])),
    burst=some.integers(1, 80),
    hold=some.one_of(some.none(), some.builds(Draw, some.integers(0, 100_000), some.just("exponential"))),
    frees_on=some.sampled_from(["same", "next"]),
    limit=some.integers(0, 300),
    irqs_off=some.booleans(),
    reclaimable=some.booleans(),
    preload=some.integers(0, 3000),
    holes=some.sampled_from([0.0, 0.5]),
)


@settings(deadline=None, max_examples=40)
@given(
    some.lists(flow_strategy, min_size=1, max_size=3),
    some.sampled_from(["spin", "raw", "sleeping"]),
    some.integers(1, 3),
    some.integers(0, 5),
)
def test_nothing_is_lost_whatever_runs(flows: list[Flow], lock: str, cpus: int, seed: int) -> None:
    kswapd = Flow("kswapd", kind="kswapd", cpus=(0,))
    run(*flows, kswapd, cpus=cpus, lock=lock, seed=seed, duration=100 * US, max_events=3000)  # simulate() checks


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Flow("x", period=Draw(-1)), "period is -1 ns"),
        (lambda: Flow("x", hold=Draw(5, "gaussian")), "unknown spread"),
        (lambda: Flow("x", kind="slab"), "unknown kind of flow"),
        (lambda: Flow("x", order=11), "order is 11; expected 0 to 10"),
        (lambda: Flow("x", burst=0), "burst is 0"),
        (lambda: Flow("x", holes=1.5), "holes is 1.5"),
        (lambda: run(Flow("x", migratetype="highatomic")), "unknown migratetype"),  # type: ignore[arg-type]
        (lambda: run(Flow("x", cpus=(3,))), "runs on cpu 3; this machine has 0 to 0"),
        (lambda: run(Flow("x", frees_on=9)), "frees on 9"),
        (lambda: run(Flow("x", proposal=True)), "this run has none"),
        (lambda: run(Flow("x", gfp="GFP_KERNAL")), "GFP_KERNAL"),
        (lambda: run(*[Flow("k", kind="kswapd")] * 2), "more than one kswapd"),
        (lambda: run(Flow("x"), lock="ticket"), "unknown lock"),
        (lambda: run(Flow("x"), duration=0), "duration is 0"),
        (lambda: run(Flow("x"), task_period=5), "task_period is 5 ns"),
        (lambda: run(Flow("x"), costs={"pcp": -1}), "cost pcp is -1 ns"),
        (lambda: run(Flow("x"), costs={"pcb": 1}), "unknown cost 'pcb'; did you mean pcp"),
        (lambda: run(Flow("x"), proposal="fast"), "unknown proposal"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(make: object, says: str) -> None:
    with pytest.raises(InputError) as error:
        make()  # type: ignore[operator]
    assert says in str(error.value)
    assert "\n" not in str(error.value)
