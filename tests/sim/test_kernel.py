"""The simulator on the lists of later kernels: nothing is lost, and what it times is what their engine did."""

import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from gfpmodel.cli import cli
from gfpmodel.errors import InputError
from gfpmodel.mm.kernels import FIRST, ROWS
from gfpmodel.sim import EXPERIMENTS, Sweep
from gfpmodel.sim.kernel import on_kernel
from gfpmodel.sim.run import Run, one_zone, simulate
from gfpmodel.sim.workloads import MS, SECOND, Draw, Flow, Workload, every

LATER = [name for name in ROWS if name != FIRST]
SMALL: dict[str, dict[str, Any]] = {
    "hold_time": {"batch": 7, "duration_ms": 1, "cpus": 2},
    "trylock": {"duration_ms": 1, "rate": 1e6, "burst": 200},
    "cross_cpu": {"duration_ms": 6},
    "scan_policy": {"pages": 1 << 13, "duration_ms": 2},
    "reserves": {"pages": 1 << 13, "duration_ms": 2},
    "kswapd": {"pages": 1 << 13, "duration_ms": 2},
    "miss_cost": {"duration_ms": 1},
    "co_tenant": {"duration_ms": 1},
    "pcp_occupancy": {"pages": 1 << 14, "duration_ms": 12, "slab": 16, "gp_ms": 3},
    "block_demand": {"gp_ms": 3, "duration_ms": 12},
    "pool": {"gp_ms": 3, "duration_ms": 12, "policy": "pool_then_pcp"},
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("kernel", LATER)
def test_pages_in_are_out_or_live(name: str, kernel: str) -> None:
    found = EXPERIMENTS[name]
    parameters = found.parameters(**SMALL[name])
    runs, results = found.runs(parameters, kernel), found.results(parameters, 0, kernel)
    for run, result in zip(runs.values(), results.values(), strict=True):
        managed = sum(map(run.machine.present, run.machine.zones))
        there = sum(result.record.get(name, 0) for name in ("free_pages", "pcp_pages", "live_pages", "block_pages"))
        assert (run.kernel, there) == (kernel, managed)


def test_the_first_kernels_runs_are_left_alone() -> None:
    run = Run(one_zone(2), Workload("none", "", ()))
    assert on_kernel(run, FIRST) is run
    with pytest.raises(InputError, match=r"kernel 'v6\.1' has no allocator here; expected v5\.8-rc3, v6\.18, "):
        Sweep("cross_cpu", {}, kernel="v6.1")


def burst(kernel: str, pages: int) -> dict[str, float]:
    """Take pages and keep them, with lists whose batch and high are the same on each kernel."""
    flow = Flow("asker", cpus=(0,), period=every(1e5), times=pages, hold=Draw(SECOND))
    run = Run(one_zone(1, batch=8, high=96), Workload("burst", "", (flow,)), duration=2 * pages * 10_000)
    return simulate(on_kernel(run, kernel), 0).record


def test_refills_double_on_later_lists_and_hold_the_lock_longer() -> None:
    first, later = burst(FIRST, 240), burst("v6.18", 240)
    assert first["refills.asker"] == first["zone_locks"] == 30
    assert later["refills.asker"] == later["zone_locks"] == 6  # 8, 16, 32, 64 pages, and twice what there is room for
    assert later["hold_max_ns"] > 5 * first["hold_max_ns"]
    assert first["under_lock_pages"] == 240
    assert later["under_lock_pages"] == 240 + later["pcp_pages"]


def test_a_miss_costs_a_try_of_the_lists_for_each_scan() -> None:
    cost = {}
    for kernel in (FIRST, "v6.18"):
        record = EXPERIMENTS["miss_cost"](EXPERIMENTS["miss_cost"].parameters(duration_ms=1), 0, kernel)
        cost[kernel] = record["miss_per_hit"]
    assert cost[FIRST] == cost["v6.18"] > 1.5


def test_a_cpu_keeps_less_on_later_lists_while_kswapd_reclaims() -> None:
    cache = Flow("cache", cpus=(0,), migratetype="movable", gfp="GFP_HIGHUSER_MOVABLE", reclaimable=True,
                 preload=3700, limit=3700)  # fmt: skip
    reader = Flow("reader", cpus=(1,), migratetype="movable", gfp="GFP_HIGHUSER_MOVABLE", period=every(4e5, 8),
                  burst=8, reclaimable=True, limit=1 << 16)  # fmt: skip
    kswapd = Flow("kswapd", kind="kswapd", cpus=(0,))
    pressure = Workload("pressure", "", (cache, reader, kswapd))
    run = Run(one_zone(2, 1 << 12, batch=8, high=512), pressure, duration=4 * MS, samples=100)
    held = {}
    for kernel in (FIRST, "v6.18"):
        result = simulate(on_kernel(run, kernel), 0)
        assert result.record["reclaimed.cache"] > 1000
        held[kernel] = result.series[-20:, 4].max()
    assert held[FIRST] > 500
    assert held["v6.18"] <= 4 * 8  # four batches, whatever high is


def test_the_command_takes_the_kernel() -> None:
    asked = ("experiment", "cross_cpu", "--set", "duration_ms=2", "--seeds", "1", "--workers", "1")
    text = CliRunner().invoke(cli, [*asked, "--kernel", "v7.3"], standalone_mode=False)
    assert text.stdout.startswith("cross_cpu on v7.3's lists: 1 points, 1 seeds")
    facts = json.loads(CliRunner().invoke(cli, [*asked, "--json"], standalone_mode=False).stdout)
    assert facts["kernel"] == FIRST


def test_a_row_of_a_file_is_asked_on_later_lists_too() -> None:
    from gfpmodel.proposals import proposal

    mine = replace(proposal("fast_try"), name="mine")
    flow = Flow("asker", cpus=(0,), proposal=True, period=every(1e5))
    run = Run(one_zone(1), Workload("asks", "", (flow,)), proposal=mine, duration=MS)
    assert simulate(on_kernel(run, "v6.18"), 0).record["failed_share.asker"] == 1.0
