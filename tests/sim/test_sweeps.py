"""Sweeps: the numbers do not depend on the executor, and a kill costs only what had not completed."""

import json
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from gfpmodel.errors import InputError
from gfpmodel.mm import jit
from gfpmodel.sim import EXPERIMENTS, Sweep, run_sweep, summary
from gfpmodel.sim.sweeps import parse_settings

SMALL: dict[str, dict[str, tuple[Any, ...]]] = {
    "hold_time": {"batch": (7,), "duration_ms": (1,), "cpus": (2,)},
    "trylock": {"duration_ms": (1,)},
    "cross_cpu": {"duration_ms": (2,), "warm": (50,)},
    "scan_policy": {"pages": (1 << 13,), "duration_ms": (2,)},
    "reserves": {"pages": (1 << 13,), "duration_ms": (2,)},
    "kswapd": {"pages": (1 << 13,), "duration_ms": (2,)},
    "miss_cost": {"duration_ms": (1,)},
    "co_tenant": {"duration_ms": (1,)},
    "pcp_occupancy": {"pages": (1 << 13,), "duration_ms": (2,), "slab": (8,), "tenant_rate": (1e5,)},
    "block_demand": {"duration_ms": (3,), "cpus": (2,)},
    "pool": {"duration_ms": (3,), "blocks": (2,)},
}
SWEEP = Sweep("miss_cost", {"duration_ms": (1, 2)}, seeds=2)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_and_repeats(name: str) -> None:
    sweep = Sweep(name, SMALL[name])
    first = run_sweep(sweep, workers=1)
    assert repr(first) == repr(run_sweep(sweep, workers=1))
    assert all(isinstance(value, int | float | str) for value in first[0].values())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_pages_and_objects_in_are_out_or_live(name: str) -> None:
    found = EXPERIMENTS[name]
    parameters = found.parameters(**{key: values[0] for key, values in SMALL[name].items()})
    served = 0.0
    for run, result in zip(found.plan(parameters).values(), found.results(parameters, 0).values(), strict=True):
        r = result.record
        managed = sum(map(run.machine.present, run.machine.zones))
        assert managed == r["free_pages"] + r["pcp_pages"] + r["live_pages"] + r.get("block_pages", 0)
        for flow in run.workload.flows:
            if flow.kind in ("alloc", "kfree_rcu") and not flow.preload:
                failed = r[f"failed.{flow.name}"] if flow.kind == "alloc" else 0  # an object without a block lives on
                came = r[f"ops.{flow.name}"] - failed
                served += came
                assert came == r[f"freed.{flow.name}"] + r[f"reclaimed.{flow.name}"] + r[f"live.{flow.name}"]
        if "objects_queued" in r:
            assert r["objects_queued"] == r["objects_freed"] + r["objects_waiting"]
    assert served > 0


def test_a_loop_processes_and_a_cluster_give_the_same_table() -> None:
    distributed = pytest.importorskip("distributed", reason="gfpmodel[cluster] is not installed")
    loop = run_sweep(SWEEP, workers=1)
    assert repr(run_sweep(SWEEP, workers=2)) == repr(loop)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert repr(run_sweep(SWEEP, client.get_executor())) == repr(loop)


class Killed(Executor):
    """Runs so many points, then dies as a killed process does."""

    def __init__(self, points: int) -> None:
        self.points = points

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.points:
            self.points -= 1
            future.set_result(function(*args, **kwargs))
        else:
            from concurrent.futures import BrokenExecutor

            future.set_exception(BrokenExecutor("killed"))
        return future


def test_a_killed_sweep_goes_on_from_what_it_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "table.csv"
    with pytest.raises(InputError, match=r"a worker died .* points are kept in .*run the same again"):
        run_sweep(SWEEP, Killed(2), out=out)
    points = Path(f"{out}.points")
    saved = [json.loads(line) for line in points.read_text().splitlines() if line]
    assert not out.exists()
    with points.open("a") as file:
        file.write('[["miss_cost", "cut o')
    rest = Killed(4 - len(saved))
    rows = run_sweep(SWEEP, rest, out=out)
    assert rest.points == 0
    assert repr(rows) == repr(run_sweep(SWEEP, workers=1))
    assert out.read_text().count("\n") == 5
    assert not points.exists()


def die(*_: object) -> None:
    import os

    os._exit(1)


def test_what_all_points_need_is_expected_before_the_first_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a library that pays is built at once, and by the process that starts the others."""
    expected: list[tuple[str, int]] = []
    monkeypatch.setattr(jit, "expect", lambda room, operations: expected.append((room, operations)))
    run_sweep(Sweep("kswapd", {}, seeds=3), workers=1)
    (room, whole), *each = expected
    assert (room, len(each)) == ("sim", 3)
    assert whole == pytest.approx(sum(operations for _, operations in each), abs=len(each))  # whole numbers


def test_a_dead_process_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gfpmodel.sim.sweeps.run_point", die)
    with (
        ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool,
        pytest.raises(InputError, match="a worker died"),
    ):
        run_sweep(SWEEP, pool)


def test_parquet_and_csv_hold_the_same(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="gfpmodel[trace] is not installed")
    rows = run_sweep(SWEEP, workers=1, out=tmp_path / "a.parquet")
    assert repr(parquet.read_table(tmp_path / "a.parquet").to_pylist()) == repr(rows)


def test_a_summary_is_over_seeds() -> None:
    found = summary(SWEEP, run_sweep(SWEEP, workers=1))
    assert [varied for varied, _ in found] == [{"duration_ms": 1}, {"duration_ms": 2}]
    assert found[0][1]["failed_share.miss"].mean == 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["rat=1"], "unknown parameter 'rat' of experiment co_tenant"),
        (["cpus=two"], "parameter cpus is 'two'; expected a whole number"),
        (["cpus"], "expected key=value"),
        (["cpus=1", "cpus=2"], "set twice"),
        (["tenant_rate=-5"], "a rate of -5.0 a second; expected more than 0"),
        (["duration_ms=0"], "duration is 0"),
        (["duration_ms=100000", "tenant_rate=1e7,2e7,3e7,4e7,5e7", "cpus=64"], "would run for about"),
        (["proposal=fats_try"], "unknown proposal"),
    ],
)
def test_bad_settings_are_one_line_before_anything_runs(settings: list[str], says: str) -> None:
    with pytest.raises(InputError) as error:
        run_sweep(Sweep("co_tenant", parse_settings("co_tenant", settings), seeds=100), workers=1)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
