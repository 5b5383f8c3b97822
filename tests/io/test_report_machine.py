"""A report's Mem-Info is a machine: `machine` prints what it says, and the model starts from it."""

from __future__ import annotations

import json
import math
import re
from itertools import zip_longest
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gfpmodel.cli import cli
from gfpmodel.errors import InputError
from gfpmodel.explain import explain
from gfpmodel.io.meminfo import read_mem_info
from gfpmodel.io.procfs import machine_facts, misfits, page_size, read_proc, start
from gfpmodel.io.text import split
from gfpmodel.mm.state import ZONE_NAMES

REPORTS = Path(__file__).parents[1] / "data" / "reports"
WITH_ZONES = sorted(
    path for path in REPORTS.glob("*.txt") if read_mem_info(path.read_text(encoding="utf-8").splitlines()).zones
)
FRAGMENTED = REPORTS / "02-4.14-order3.txt"
IN_CMA = REPORTS / "05-5.4-cma-blocks.txt"


@pytest.mark.parametrize("path", WITH_ZONES, ids=lambda path: path.stem)
def test_the_machine_has_the_numbers_of_the_report(path: Path) -> None:
    info = read_mem_info(path.read_text(encoding="utf-8").splitlines())
    kb = info.page_kb or 0
    zones = {(n["node"], z["zone"]): z for n in machine_facts(read_proc([str(path)]))["nodes"] for z in n["zones"]}
    assert set(zones) == {(zone.node, zone.name) for zone in info.zones}
    for zone in info.zones:
        got = zones[zone.node, zone.name]
        assert (got["free"], got["managed"]) == (zone.fields["free"] // kb, zone.fields["managed"] // kb)
        marks = [zone.fields[name] // kb - zone.fields.get("boost", 0) // kb for name in ("min", "low", "high")]
        assert got["wmark"] == marks
        assert tuple(got["protection"].values()) == zone.reserve
        sums = [sum(counts) for counts in zip(*got["free_blocks"].values(), strict=True)] if got["free_blocks"] else []
        assert sums == [n for n, _ in zone.blocks or ()] or not any(n for n, _ in zone.blocks or ())
        assert got["pfns_from"] == "taken"


STARTED = ("02", "05", "07", "08", "09", "16")  #: one zone and two nodes, CMA, HighMem, 64 KiB pages, large blocks


@pytest.mark.parametrize("path", [p for p in WITH_ZONES if p.name[:2] in STARTED], ids=lambda path: path.stem)
def test_the_model_starts_from_it(path: Path) -> None:
    proc = read_proc([str(path)])
    for node in proc.nodes():
        if misfits(proc, node, page_size(proc)):
            with pytest.raises(InputError, match="cannot be run"):
                start(proc, node=node)
            continue
        allocator = start(proc, node=node)
        allocator.check()
        for zone in proc.populated(node):
            blocks = zone.free_counts() or {}
            free = sum(n << order for counts in blocks.values() for order, n in enumerate(counts))
            assert allocator.nr_free(ZONE_NAMES.index(zone.name)) == free


def test_the_model_fails_as_the_report_did() -> None:
    """Free memory in blocks of order 0 only: order 0 is served, order 3 is not, as explain says."""
    allocator = start(read_proc([str(FRAGMENTED)]))
    (one,) = explain(FRAGMENTED.read_text(encoding="utf-8"))
    assert (one["failing"], one["asked"]["order"]) == ("block", 3)
    assert allocator.alloc_pages("GFP_NOWAIT", 3) is None
    assert allocator.alloc_pages("GFP_NOWAIT", 0) is not None


def test_what_it_does_not_tell_is_said() -> None:
    (node,) = machine_facts(read_proc([str(FRAGMENTED)]))["nodes"]
    said = "; ".join(node["unknown"])
    assert all(words in said for words in ("where the zones lie", "how many CPUs", "batch and high", "each type"))
    done = CliRunner().invoke(cli, ["machine", str(FRAGMENTED)])
    assert done.exit_code == 0
    assert "(taken)" in done.output


def test_of_two_reports_the_first_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(FRAGMENTED.read_text() + (REPORTS / "11-6.1-boost.txt").read_text())
    assert machine_facts(read_proc([str(path)])) == machine_facts(read_proc([str(FRAGMENTED)]))


def test_lines_of_another_caller_are_no_part_of_it(tmp_path: Path) -> None:
    mine = [f"[    1.000000][   T11] {split(line)[1]}" for line in FRAGMENTED.read_text().splitlines()]
    other = (REPORTS / "11-6.1-boost.txt").read_text().splitlines()
    theirs = [f"[    1.000000][    C2] {split(line)[1]}" for line in other]
    path, alone = tmp_path / "log", tmp_path / "alone"
    both = [line for pair in zip_longest(mine, theirs) for line in pair if line is not None]
    path.write_text("\n".join(both))
    alone.write_text("\n".join(theirs))  # whose zone comes first
    assert machine_facts(read_proc([str(path)])) == machine_facts(read_proc([str(alone)]))


def test_the_lists_that_old_kernels_print(tmp_path: Path) -> None:
    lists = "Node 0 Normal per-cpu:\nCPU    0: hi:  186, btch:  31 usd:  11\nCPU    1: hi:  186, btch:  31 usd:   7\n"
    text = (REPORTS / "11-6.1-boost.txt").read_text()
    path = tmp_path / "log"
    path.write_text(text.replace("Mem-Info:\n", f"Mem-Info:\n{lists}"))
    (node,) = machine_facts(read_proc([str(path)]))["nodes"]
    assert [(p["count"], p["high"], p["batch"]) for p in node["zones"][0]["pcp"]] == [(11, 186, 31), (7, 186, 31)]
    assert not any("batch and high" in note for note in node["unknown"])


@pytest.mark.parametrize("lost", ["min:4000kB ", "lowmem_reserve[]: 0 0 0 0 0", "present:999996kB "])
def test_a_cut_is_one_line(lost: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    text = (REPORTS / "11-6.1-boost.txt").read_text()
    assert lost in text
    path.write_text(text.replace(lost, ""))
    with pytest.raises(InputError, match=r"zone Normal lacks .*: cut off"):
        read_proc([str(path)])


def test_a_replay_takes_it(tmp_path: Path) -> None:
    """The zones of a report, whose places are not known: that is said."""
    trace = Path(__file__).parents[1] / "data" / "traces" / "tools"
    file = next(iter(sorted(trace.glob("*.txt*"))))
    done = CliRunner().invoke(cli, ["replay", str(file), "--zoneinfo", str(FRAGMENTED), "--json"])
    assert done.exit_code == 0, done.output
    assert "a report, which names no pfns" in json.dumps(json.loads(done.stdout))


def test_more_pages_in_cma_areas_than_there_are_end_in_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(re.sub(r"free_cma:\d+kB", "free_cma:999999999999999kB", IN_CMA.read_text(encoding="utf-8")))
    done = CliRunner().invoke(cli, ["machine", str(path), "--json"])
    assert done.exception is None or isinstance(done.exception, InputError), done.exception


TEXTS = [path.read_text(encoding="utf-8") for path in WITH_ZONES]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.sampled_from(TEXTS), data=st.data())
def test_a_damaged_report_is_a_machine_or_one_line(text: str, data: st.DataObject, tmp_path: Path) -> None:
    lines = text.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        numbers = list(re.finditer(r"\d+", lines[at]))
        if data.draw(st.booleans()) and numbers:
            found = data.draw(st.sampled_from(numbers))
            other = data.draw(st.sampled_from(["0", "1", "3", "65536", "9" * 15]))
            lines[at] = lines[at][: found.start()] + other + lines[at][found.end() :]
        else:
            lines[at] = data.draw(st.sampled_from(["", lines[-1], lines[at][: len(lines[at]) // 2]]))
    path = tmp_path / "log"
    path.write_text("\n".join(lines))
    done = CliRunner().invoke(cli, ["machine", str(path), "--json"])
    if isinstance(done.exception, InputError):  # which the program prints, and exits with 2
        assert "\n" not in str(done.exception)
        return
    assert done.exit_code == 0
    assert all(math.log2(node["page_size"]).is_integer() for node in json.loads(done.stdout)["nodes"])
