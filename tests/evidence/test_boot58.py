"""boot58's traces and mixes, and /proc files: replayed exactly, and refused with one line when damaged."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gfpmodel.cli import cli
from gfpmodel.errors import InputError
from gfpmodel.evidence.boot58 import verify_trace
from gfpmodel.evidence.dump import Lines, differences, read_dump, start
from gfpmodel.evidence.verify import verify_file
from gfpmodel.io.procfs import machine_facts, machine_of, read_proc
from gfpmodel.io.procfs import start as start_proc
from gfpmodel.io.text import read_lines
from gfpmodel.proposals import proposal

DATA = Path(__file__).parents[1] / "data" / "boot58"
TRACE, MIX = DATA / "trace-A-seqB.txt.xz", DATA / "mix-exact-Aiib.txt.xz"
PROC = [str(DATA / f"{name}-A2-1G-cma64M.txt") for name in ("zoneinfo", "buddyinfo", "pagetypeinfo")]
RECORDED = {path.name: read_lines(path) for path in (TRACE, MIX, *map(Path, PROC), DATA / "zoneinfo-6.18-1G.txt")}


def first_run() -> str:
    """The first run of the mix."""
    text = "\n".join(RECORDED[MIX.name]) + "\n"
    return "#### " + text.split("#### ")[1]


def test_a_booted_kernels_pages_op_for_op() -> None:
    verdict = verify_file(str(TRACE))
    assert str(verdict) == f"ok        {TRACE}: 5219 operations"


def test_a_mix_digit_for_digit(tmp_path: Path) -> None:
    path = tmp_path / "mix.txt"
    path.write_text(first_run())
    verdict = verify_file(str(path))
    assert verdict.ok
    assert verdict.ops == 5000
    assert not verdict.notes


def test_the_start_state_is_that_of_the_dump() -> None:
    lines = Lines(TRACE.name, RECORDED[TRACE.name])
    dump = read_dump(lines)
    allocator = start(dump, lines, proposal("fast_try"))
    allocator.check()
    assert all(expected == got for _, _, expected, got in differences(dump, allocator))


def test_a_changed_pfn_is_the_first_difference(tmp_path: Path) -> None:
    lines = list(RECORDED[TRACE.name])
    at = next(i for i, line in enumerate(lines) if line.startswith(("A 100", "A 101")))
    words = lines[at].split()
    words[6] = str(int(words[6]) + 1)
    lines[at] = " ".join(words)
    path = tmp_path / "trace"
    path.write_text("\n".join(lines) + "\n")
    _, difference, _ = verify_trace(path)
    assert difference is not None
    assert (difference.line, difference.field) == (at + 1, "pfn")
    assert difference.expected == difference.got + 1


def test_a_changed_digit_is_the_first_difference(tmp_path: Path) -> None:
    path = tmp_path / "mix.txt"
    path.write_text(first_run().replace("BITS 0222", "BITS 0226"))
    verdict = verify_file(str(path))
    assert verdict.difference is not None
    assert (verdict.difference.field, verdict.difference.expected, verdict.difference.got) == ("digit[3]", "6", "2")
    assert verdict.ops == 3


def test_lists_of_another_cpu_are_named(tmp_path: Path) -> None:
    lines = []
    for line in RECORDED[TRACE.name]:
        lines.append(line)
        if line.startswith("PCPLIST") and "mt=2" in line:
            zone = line.split()[1]
            high, batch = (0, 1) if zone == "DMA" else (90, 15)
            lines.append(f"PCP {zone} cpu=1 count={high // 2} high={high} batch={batch}")
            lines += [f"PCPLIST {zone} cpu=1 mt={t} : (other cpu, not walked)" for t in range(3)]
    path = tmp_path / "trace"
    path.write_text("\n".join(lines) + "\n")
    verdict = verify_file(str(path))
    assert verdict.ok
    assert verdict.notes == ("cpu 1 has 45 pages in zone DMA32 that the dump does not list; the model starts without",)


@pytest.mark.parametrize("keep", [2000, 10000, 20000])
def test_a_torn_file_is_unusable(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "torn.xz"
    path.write_bytes(TRACE.read_bytes()[:keep])
    verdict = verify_file(str(path))
    assert verdict.unusable
    assert str(path) in str(verdict)
    assert "\n" not in str(verdict)


def test_machine_prints_geometry_and_what_is_not_known() -> None:
    result = CliRunner().invoke(cli, ["machine", *PROC], standalone_mode=False)
    assert result.return_value == 0
    assert "watermarks     [947, 1183, 1419]" in result.stdout
    assert "cpu 1: count 298, high 378, batch 63  v5.8 computes high 378, batch 63" in result.stdout
    assert "not known" in result.stdout


def test_the_geometry_of_a_newer_kernel() -> None:
    facts = machine_facts(read_proc([str(DATA / "zoneinfo-6.18-1G.txt")]))
    dma32 = facts["nodes"][0]["zones"][1]
    assert dma32["pcp"][0] == {"cpu": 0, "count": 924, "high": 1321, "batch": 63, "high_min": 615, "high_max": 15407}
    assert (dma32["wmark"], dma32["wmark_v5.8"]) == ([984, 1230, 1476], [986, 1233, 1480])
    assert facts["nodes"][0]["pageblock_order"] is None


def test_the_model_starts_from_proc() -> None:
    proc = read_proc(PROC)
    allocator = start_proc(proc, proposal("fast_try"))
    allocator.check()
    assert allocator.nr_free(0) == 3977
    assert allocator.counters(1)["free_cma"] == 16384
    assert machine_of(proc)[1].zones[1].lowmem_reserve == (0, 0, 0, 0)
    assert allocator.alloc_pages("__GFP_FAST_TRY") is None
    assert allocator.alloc_pages("GFP_KERNEL") is not None


def test_two_nodes_and_an_older_kernel(tmp_path: Path) -> None:
    """4.x has node_inactive_ratio or start_pfn among its last lines, no boost, and other nodes follow."""
    lines = [line for line in RECORDED["zoneinfo-A2-1G-cma64M.txt"] if "node_unreclaimable" not in line]
    second = [line.replace("Node 0", "Node 1") for line in lines[lines.index("Node 0, zone    DMA32") :]]
    second = ["  start_pfn:         1048576" if "start_pfn" in line else line for line in second]
    second = [line.replace("zone    DMA32", "zone   Normal") for line in second if "zone   Normal" not in line]
    path = tmp_path / "zoneinfo"
    path.write_text("\n".join(lines + second) + "\n")
    facts = machine_facts(read_proc([str(path)]))
    assert [[zone["zone"] for zone in node["zones"]] for node in facts["nodes"]] == [["DMA", "DMA32"], ["Normal"]]
    assert any("nodes other than" in note for note in facts["nodes"][1]["unknown"])


def test_what_is_no_proc_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("Linux version 5.8\n")
    with pytest.raises(InputError, match=r"file:1: expected a line of /proc/zoneinfo"):
        read_proc([str(path)])
    path.write_text("\n".join(RECORDED["zoneinfo-A2-1G-cma64M.txt"][:60]) + "\n")
    with pytest.raises(InputError, match=r"file:1: zone DMA lacks .*cut off"):
        read_proc([str(path)])


def test_a_boost_above_the_watermarks_that_contain_it(tmp_path: Path) -> None:
    text = "\n".join(RECORDED["zoneinfo-6.18-1G.txt"]) + "\n"
    path = tmp_path / "zoneinfo"
    path.write_text(re.sub(r"boost( +)0", r"boost\g<1>9999", text, count=1))
    with pytest.raises(InputError, match="expected 0 <= boost <= min"):
        read_proc([str(path)])


@pytest.mark.parametrize("size", ["high=4294967296", "high=1073741825"])
def test_lists_larger_than_any(size: str, tmp_path: Path) -> None:
    dump = tmp_path / "mix"
    dump.write_text(re.sub(r"high=\d+ batch=1$", f"{size} batch=1", first_run(), count=1, flags=re.MULTILINE))
    assert "no pcp of v5.8" in str(verify_file(str(dump)).unusable)
    zoneinfo = tmp_path / "zoneinfo"
    text = "\n".join(RECORDED["zoneinfo-A2-1G-cma64M.txt"]) + "\n"
    zoneinfo.write_text(re.sub(r"high:  378", size.replace("=", ":  "), text))
    with pytest.raises(InputError, match=r"no pcp of v5\.8"):
        start_proc(read_proc([str(zoneinfo)]))


def test_a_machine_too_large_to_start(tmp_path: Path) -> None:
    text = "\n".join(RECORDED["zoneinfo-A2-1G-cma64M.txt"]) + "\n"
    path = tmp_path / "zoneinfo"
    path.write_text(text.replace("spanned  258016", "spanned  500000000"))
    proc = read_proc([str(path)])
    assert machine_facts(proc)["nodes"]
    with pytest.raises(InputError, match="the zones span 50000"):
        start_proc(proc)
