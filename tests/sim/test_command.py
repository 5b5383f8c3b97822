"""`experiment` on the command line: the list, a run, the table, a cluster, and one line for what cannot be run."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from gfpmodel.sim import EXPERIMENTS, sweeps

SMALL = ("experiment", "miss_cost", "--set", "duration_ms=1")


def test_without_a_name_all_are_listed(run) -> None:
    status, out, err = run("experiment")
    assert (status, err) == (0, "")
    for name, found in EXPERIMENTS.items():
        assert f"{name:<12} {found.title}" in out
    facts = json.loads(run("experiment", "--json")[1])["experiments"]
    assert {each["name"] for each in facts} == set(EXPERIMENTS)
    assert next(each for each in facts if each["name"] == "pool")["parameters"]["blocks"] == 5


def test_a_run_says_means_intervals_and_units(run) -> None:
    status, out, _ = run(*SMALL, "--seeds", "3", "--workers", "1", "--set", "zones=1,2")
    assert status == 0
    assert "miss_cost: 6 points, 3 seeds" in out
    assert "zones=1\n" in out
    assert "zones=2\n" in out
    line = next(line for line in out.splitlines() if line.strip().startswith("miss_ns"))
    assert "[" in line
    assert line.endswith("  ns")
    facts = json.loads(run(*SMALL, "--seeds", "3", "--workers", "1", "--json")[1])
    found = facts["points"][0]["figures"]["failed_share.miss"]
    assert (found["mean"], found["unit"]) == (1, "0 to 1")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("pol",), "unknown experiment 'pol'; did you mean pool"),
        (("pool", "--set", "rat=1"), "unknown parameter 'rat' of experiment pool; did you mean rate"),
        (("pool", "--set", "rate=-1"), "a rate of -1.0 a second; expected more than 0"),
        (("pool", "--set", "blocks=many"), "parameter blocks is 'many'; expected a whole number"),
        (("pool", "--set", "blocks"), "bad setting 'blocks'"),
        (("pool", "--set", "policy=mempool"), "unknown policy 'mempool'"),
        (("pool", "--seeds", "0"), "0 seeds"),
        (("pool", "--workers", "0"), "--workers 0; expected at least 1"),
        (("pool", "--workers", "2", "--dask", "tcp://127.0.0.1:1"), "exclude each other"),
        (("pool", "--out", "table.xlsx"), "expected a name that ends in .csv or .parquet"),
        (("pool", "--out", "no/such/folder/table.csv"), "no such folder"),
        (("block_demand", "--set", "duration_ms=100000", "--set", "rate=1e7,2e7", "--set", "cpus=64", "--seeds",
          "5000"), "would run for about"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_one_line_and_nothing_is_written(
    run, args: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run("experiment", *args)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nobody_at_that_address(run) -> None:
    pytest.importorskip("distributed", reason="gfpmodel[cluster] is not installed")
    status, _, err = run(*SMALL, "--dask", "nonsense://127.0.0.1:1")
    assert status == 2
    assert "no Dask scheduler at nonsense://127.0.0.1:1" in err


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_table_is_written_and_goes_on_where_it_stopped(
    run, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="gfpmodel[trace] is not installed")
    out = tmp_path / f"table.{suffix}"
    args = (*SMALL, "--seeds", "3", "--workers", "1", "--out", str(out))
    honest, done = sweeps.run_point, []

    def third_time_unlucky(name: str, parameters: Any, seed: int, *where: Any) -> Any:
        done.append(seed)
        if len(done) == 3:
            raise KeyboardInterrupt
        return honest(name, parameters, seed, *where)

    monkeypatch.setattr(sweeps, "run_point", third_time_unlucky)
    status, _, err = run(*args)
    assert (status, err.strip()) == (130, "gfpmodel: interrupted")
    assert not out.exists()
    assert Path(f"{out}.points").exists()
    assert run(*args)[0] == 0
    assert done == [0, 1, 2, 2]  # what was completed is not run again
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert [int(row["seed"]) for row in read(out)] == [0, 1, 2]


def read(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    if file.suffix == ".csv":
        with file.open(newline="") as stream:
            return list(csv.DictReader(stream))
    import pyarrow.parquet

    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(file).to_pylist()
    return rows


def test_a_dask_cluster_gives_the_same_table(run, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="gfpmodel[cluster] is not installed")
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    assert run(*SMALL, "--seeds", "4", "--workers", "1", "--out", str(here))[0] == 0
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        status, _, err = run(*SMALL, "--seeds", "4", "--dask", cluster.scheduler_address, "--out", str(there))
    assert status == 0, err
    assert there.read_bytes() == here.read_bytes()
