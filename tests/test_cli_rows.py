"""A proposal in a file, wherever the command line takes the name of one."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from gfpmodel.io.rows import write_row
from gfpmodel.proposals import proposal

ROOT = Path(__file__).parents[1]
TRACE = str(ROOT / "tests/data/traces/amd64-smp2-512M-idle.trace.txt.xz")
SHORT = ("--set", "duration_ms=2", "--seeds", "1", "--workers", "1")


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """The file of a row that is fast_try's but for its name."""
    file = tmp_path / "mine.yaml"
    file.write_text(write_row(proposal("fast_try")).replace("name: fast_try", "name: mine"))
    return str(file)


def test_verdict(run, mine: str) -> None:
    asked = ("--order", "1", "--context", "raw", "--kernel", "v5.8-rc3+FAST_TRY", "--config", "PROVE_RAW_LOCK_NESTING")
    assert run("verdict", "--proposal", mine, *asked) == run("verdict", "--proposal", "fast_try", *asked)


def test_matrix_of_one_row(run, mine: str) -> None:
    status, out, err = run("verdict", "--all", "--proposal", mine)
    assert (status, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    same = run("verdict", "--all", "--proposal", "fast_try")[1]
    assert {row["proposal"] for row in rows} == {"mine"}
    assert out.replace("mine,", "fast_try,") == same


def test_row(run, mine: str) -> None:
    assert run("row", "no_locks", "--against", mine)[1].splitlines()[-2:] == [
        "  request: __GFP_FAST_TRY -> 0x800000: another mask: what else it asks for, `gfpmodel decode` says",
        "  scan: own to MIGRATE_RECLAIMABLE -> MIGRATE_UNMOVABLE to MIGRATE_RECLAIMABLE: "
        "all lists, whatever is asked for: its pages lie in foreign pageblocks",
    ]
    status, out, err = run("row", mine)
    assert (status, err) == (0, "")
    assert out.startswith(Path(mine).read_text())
    assert out.endswith("what sets it apart from fast_try:\n  nothing\n")
    facts = json.loads(run("row", mine, "--json")[1])
    assert (facts["row"]["scan"], facts["differences"]) == (["own", "MIGRATE_RECLAIMABLE"], [])
    assert run("row", "fast_tyr")[0] == 2


def test_replay(run, mine: str) -> None:
    status, out, _ = run("replay", TRACE, "--json", "--proposal", mine, "--proposal", "fast_try")
    assert status == 0
    asked = json.loads(out)["proposals"]
    assert asked["mine"] == asked["fast_try"]
    assert "all trying mine first" in run("replay", TRACE, "--serve", mine)[1]


@pytest.mark.parametrize(("experiment", "key"), [("cross_cpu", "proposal"), ("scan_policy", "policy")])
def test_experiment(run, mine: str, experiment: str, key: str) -> None:
    status, out, err = run("experiment", experiment, "--set", f"{key}={mine},fast_try", *SHORT, "--json")
    assert (status, err) == (0, "")
    own, named = json.loads(out)["points"]
    assert (own["parameters"], named["parameters"]) == ({key: "mine"}, {key: "fast_try"})
    assert own["figures"] == named["figures"]


def test_experiment_goes_through_workers_and_tables(run, mine: str, tmp_path: Path) -> None:
    table = tmp_path / "out.csv"
    asked = ("--set", f"proposal={mine}", "--set", "duration_ms=2", "--seeds", "2", "--workers", "2")
    assert run("experiment", "cross_cpu", *asked, "--out", str(table))[0] == 0
    assert {row["proposal"] for row in csv.DictReader(table.open())} == {"mine"}


def test_one_line_for_a_bad_file(run, mine: str) -> None:
    Path(mine).write_text("name: mine\nrefil: no\n")
    line = f"gfpmodel: {mine}:2: unknown field 'refil'; did you mean refill?\n"
    commands = (
        ("verdict", "--proposal", mine),
        ("replay", TRACE, "--proposal", mine),
        ("replay", TRACE, "--serve", mine),
        ("experiment", "cross_cpu", "--set", f"proposal={mine}"),
    )
    assert [run(*asked) for asked in commands] == [(2, "", line)] * len(commands)
    status, out, err = run("experiment", "cross_cpu", "--set", f"frees_on={mine}")
    assert (status, out) == (2, "")
    assert "frees_on" in err or "mine.yaml" in err
