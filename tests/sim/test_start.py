"""An experiment starts from the machine of a report: its marks, what is free on it, and its page cache."""

from __future__ import annotations

import json
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gfpmodel.errors import InputError
from gfpmodel.io.procfs import laid_out, page_cache, read_proc
from gfpmodel.sim import Result, Sweep, experiment, run_sweep
from gfpmodel.sim.start import Start

REPORTS = Path(__file__).parents[1] / "data" / "reports"
#: 64 MiB; min, low, high are 1000, 1250 and 1500 pages; 1100 are free, 4000 are page cache.
REPORT = """\
worker: page allocation failure: order:0, mode:0x820(GFP_ATOMIC), nodemask=(null),cpuset=/,mems_allowed=0
CPU: 1 PID: 71 Comm: worker Not tainted 6.6.10 #1
Mem-Info:
Node 0 Normal free:4400kB boost:0kB min:4000kB low:5000kB high:6000kB reserved_highatomic:0KB active_anon:40000kB \
active_file:4000kB inactive_file:12000kB present:65536kB managed:65536kB local_pcp:0kB free_cma:0kB
lowmem_reserve[]: 0 0 0 0 0
Node 0 Normal: 300*4kB (UM) 400*8kB (UM) 0*16kB \
0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 4400kB
"""
SHORT = ("--seeds", "1", "--workers", "1", "--set", "duration_ms=2")


@pytest.fixture
def report(tmp_path: Path) -> str:
    path = tmp_path / "report.txt"
    path.write_text(REPORT, encoding="utf-8")
    return str(path)


def start_of(*files: str) -> Start:
    proc = read_proc(files)
    return Start(partial(laid_out, proc, 0), page_cache(proc))


def run_once(name: str, start: Start | None, **parameters: Any) -> Result:
    found = experiment(name)
    return found.results(found.parameters(duration_ms=2, **parameters), 0, start=start)["run"]


def test_a_run_begins_with_what_the_report_says_is_free(report: str) -> None:
    """Nobody asks for anything before the first sample but a burst of 8 at most."""
    result = run_once("kswapd", start_of(report), rate=1.0)
    assert result.marks == (1000, 1250, 1500)
    assert result.series[0, 1:3].tolist() == [1100, 4000]


def test_kswapd_takes_the_page_cache_until_the_zone_is_balanced(report: str) -> None:
    """Below low it is woken and frees until 1500 are free."""
    found = run_once("kswapd", start_of(report), gfp="GFP_NOWAIT", rate=100_000.0, hold_ms=1)
    record = found.record
    assert 400 <= record["reclaimed.page cache"] <= 4000
    assert record["free_pages"] >= 1250
    assert record["live.page cache"] == 4000 - record["reclaimed.page cache"]
    asleep = run_once("kswapd", start_of(report), gfp="none", rate=100_000.0, hold_ms=1).record
    assert asleep["reclaimed.page cache"] == 0


def test_what_is_not_page_cache_stays(report: str, tmp_path: Path) -> None:
    less = tmp_path / "less.txt"
    less.write_text(REPORT.replace("active_file:4000kB inactive_file:12000kB", "active_file:40kB inactive_file:0kB"))
    found = run_once("kswapd", start_of(str(less)), gfp="GFP_NOWAIT", rate=100_000.0).record
    assert found["reclaimed.page cache"] == 10
    more = tmp_path / "more.txt"
    more.write_text(REPORT.replace("active_file:4000kB inactive_file:12000kB ", ""))
    assert start_of(str(more)).cache is None  # not counted: all 16384 - 1100 pages are taken for it
    assert run_once("kswapd", start_of(str(more)), rate=1.0).series[0, 2] == 15_284


def test_an_own_machine_is_what_it_was(report: str) -> None:
    """The same seed: a start changes the figures, and without one they are those of the experiment's own machine."""
    own = run_once("kswapd", None, pages=1 << 13, rate=10_000.0)
    assert own.series[0, 2] > 0
    assert run_once("kswapd", start_of(report), rate=10_000.0).record != own.record


def test_a_start_goes_to_other_processes(report: str) -> None:
    start = pickle.loads(pickle.dumps(start_of(report)))
    assert start.checksum() == start_of(report).checksum()


def test_the_command_says_what_is_not_told(run, report: str) -> None:
    status, out, err = run("experiment", "reserves", "--machine", report, *SHORT)
    assert (status, err) == (0, "")
    first, *rest = out.splitlines()
    assert first.startswith(f"started from node 0 of {report}; not told: ")
    assert "how many CPUs there are: the experiment's" in first
    assert any(line.strip().startswith("failed_share.atomic") for line in rest)
    facts = json.loads(run("experiment", "reserves", "--machine", report, *SHORT, "--json")[1])
    assert facts["start"] == first
    assert "start" not in json.loads(run("experiment", "miss_cost", *SHORT, "--json")[1])


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("miss_cost",), "experiment miss_cost makes its own machine; trylock, cross_cpu, reserves"),
        (("reserves", "--set", "pages=9000"), "parameter pages is what the machine gives"),
        ((), "experiment needs the NAME of one"),
    ],
)
def test_what_cannot_start_from_a_machine_is_one_line(run, args: tuple[str, ...], says: str, report: str) -> None:
    status, out, err = run("experiment", *args, "--machine", report)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_machine_that_the_model_cannot_be(run) -> None:
    status, _, err = run("experiment", "reserves", "--machine", str(next(REPORTS.glob("08-*"))), *SHORT)
    assert status == 2
    assert "pages are 64 KiB" in err


def test_a_machine_without_free_blocks(tmp_path: Path) -> None:
    """What a cut report does not list cannot be started from."""
    cut = tmp_path / "cut.txt"
    cut.write_text("".join(REPORT.splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match="no free blocks are counted"):
        run_once("reserves", start_of(str(cut)))


def test_a_table_goes_on_with_its_own_machine_only(report: str, tmp_path: Path) -> None:
    """Points that were done from another machine are not taken."""
    out = tmp_path / "t.csv"
    points = Path(f"{out}.points")
    grid = {"duration_ms": (1,)}
    rows = run_sweep(Sweep("reserves", grid, 1, start=start_of(report)), None, 1, out)
    assert "pages" not in rows[0]
    assert not points.exists()
    other = tmp_path / "other.txt"
    other.write_text(REPORT.replace("300*4kB", "302*4kB").replace("4400kB", "4408kB"))
    assert start_of(str(other)).checksum() != start_of(report).checksum()
