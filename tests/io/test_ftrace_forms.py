"""The forms of a trace's lines: what real tools printed on three kernels, what people paste, and what is said of it."""

import io
import json
import lzma
import re
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from gfpmodel.cli import cli
from gfpmodel.io.ftrace import Columns, TraceReader, open_trace
from gfpmodel.io.ftrace.forms import FORMS, MAX_FORMS, packed
from gfpmodel.io.ftrace.masks import choose, is_number, runs
from gfpmodel.io.ftrace.state import ALLOC
from gfpmodel.io.replay import read_recording

TOOLS = Path(__file__).parents[1] / "data/traces/tools"
TRACES = sorted(path for path in TOOLS.glob("*.xz") if "zoneinfo" not in path.name)
#: The lines that no reader can use, by file: all others are read or known.
UNREADABLE = {"amd64-6.1.0-50-ftrace-raw": 18, "amd64-6.1.0-50-ftrace-no-hash-ptr": 46}
FIELDS = "page=00000000aa00aa00 pfn=0x5000 order=0 migratetype=0 gfp_flags=GFP_KERNEL"
EVENT = "mm_page_alloc: " + FIELDS
LINE = f"          worker-70      [001] ....   100.000001: {EVENT}"


def text_of(name: str) -> str:
    return lzma.decompress((TOOLS / f"{name}.txt.xz").read_bytes()).decode()


def read(text: str) -> tuple[TraceReader, list[dict[str, int]]]:
    """Read a trace; returns the reader and the rows as dictionaries."""
    reader = TraceReader(io.BytesIO(text.encode()), "t")
    rows = [
        dict(zip(Columns._fields, map(int, row), strict=True)) for chunk in reader for row in zip(*chunk, strict=True)
    ]
    return reader, rows


def reasons(reader: TraceReader) -> list[str]:
    """Return what the reader says, without what it says of all text of perf that shows no loss."""
    return [problem.reason for problem in reader.problems if "--show-lost-events" not in problem.reason]


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.name.partition(".txt")[0])
def test_no_line_of_what_tools_printed_is_unexplained_and_events_are_counted_as_grep_counts(path: Path) -> None:
    name = path.name.partition(".txt")[0]
    wanted = Counter(re.findall(r"^(?:.*: +(?:1 +)?)?(?:kmem:)?(mm_page_\w+): ", text_of(name), re.MULTILINE))
    with open_trace(str(path)) as reader:
        rows = sum(len(chunk.event) for chunk in reader)
    assert {name: count for name, count in reader.events.items() if name.startswith("mm_page")} == dict(wanted)
    assert reader.unreadable == UNREADABLE.get(name, 0)
    assert rows == sum(wanted.values()) - (46 if "no-hash-ptr" in name else 0)


def test_every_form_has_room_in_the_scanners_state() -> None:
    assert len(FORMS) <= MAX_FORMS
    assert packed()[0] == len(FORMS)


PASTED = {
    "latency format": f"  worker-70        1d..1.  100000001us+: {EVENT}",
    "latency format, no mark": f"  worker-70        1d..1.  100000001us : {EVENT}",
    "trace-cmd report -l": f"  worker-70       1.....   100.000001: {EVENT}",
    "trace-cmd report --ts-diff": f"          worker-70    [001]   100.000001: (+935)   {EVENT}",
    "verbose latency": f"          worker      70   1 0 00000000 00000005 [05f5e101] 100000.001ms (+0.197ms): {EVENT}",
    "perf -g": f"worker    70 [001]   100.000001: kmem:{EVENT}",
    "perf trace --show-cpu": " 100000.001 [001] worker/70 kmem:mm_page_alloc(pfn: 20480, gfp_flags: 3264)",
    "old perf trace --show-cpu": f" 100000.001 [001] ( ): worker/70 kmem:mm_page_alloc:{FIELDS})",
    "function_graph, abstime": f"  100.000001 |   1)   worker-70     |               |  /* {EVENT} */",
    "quoted": f"> {LINE}",
    "quoted twice": f"> > {LINE}",
    "quoted twice, no blank": f">> {LINE}",
    "dmesg": f"[   12.345678] {LINE}",
    "dmesg with its caller": f"[   12.345678][   T70] {LINE}",
    "dmesg -T": f"[Sat Nov 28 18:27:03 2026] {LINE}",
    "dmesg -r": f"<4>[   12.345678] {LINE}",
    "dump on an oops": f"[   12.345678]   worker-70        1d..1 100000001us : {EVENT}",
    "journal": f"Nov 28 18:27:03 host kernel: {LINE}",
    "journal, ISO": f"2026-11-28T18:27:03+0000 host kernel: [   12.345678] {LINE}",
    "journal, precise": f"Nov 28 18:27:03.123456 host kernel: {LINE}",
    "journal, full": f"Sat 2026-11-28 18:27:03 CET host kernel: {LINE}",
    "journal, monotonic": f"[   12.345678] host kernel: {LINE}",
    "indented, with its heading": f"{LINE}\n    # tracer: nop\n    #\n    ",
    "between fences": f"{LINE}\n```\n\t# tracer: nop",
    "a byte order mark": f"\ufeff{LINE}",
    "broken by mail": LINE.replace(" order", "\norder"),
    "quoted and broken in three": "> " + LINE.replace(" pfn", "\n> pfn").replace(" migr", "\n> migr"),
    "fields": LINE.replace("order=0", "order=0x0 (0)").replace("pfn=0x5000", "pfn=0x5000 (20480)"),
}


@pytest.mark.parametrize("form", PASTED)
def test_what_people_paste(form: str) -> None:
    reader, [row] = read(f"{PASTED[form]}\n")
    assert (reader.unreadable, reasons(reader)) == (0, [])
    assert (row["event"], row["time"], row["cpu"], row["pid"]) == (ALLOC, 100_000_001_000, 1, 70)
    assert (reader.text(row["comm"]), row["pfn"], row["order"], row["migratetype"]) == ("worker", 0x5000, 0, 0)
    assert reader.text(row["gfp"]) in ("GFP_KERNEL", "3264")
    assert row["line"] == 1


LACKING = {
    "no cpu": (f"worker    70   100.000001:             kmem:{EVENT}", "perf script -F +cpu"),
    "perf trace": ("     0.000 worker/70 kmem:mm_page_alloc(pfn: 20480, gfp_flags: 3264)", "no cpu"),
    "perf trace of one task": (f"     0.000 (         ): kmem:mm_page_alloc:{FIELDS})", "no task"),
    "function_graph": (f" 1)               |  /* {EVENT} */", "no time"),
    "no context": (EVENT, "options/context-info"),
}


@pytest.mark.parametrize("form", LACKING)
def test_what_a_form_does_not_say_is_said(form: str) -> None:
    line, says = LACKING[form]
    reader, [row] = read(line + "\n")
    assert (row["pfn"], row["order"], row["migratetype"], reader.unreadable) == (0x5000, 0, 0, 0)
    [reason] = reasons(reader)
    assert says in reason


def test_function_graph_lines_that_are_no_events_are_known() -> None:
    reader, rows = read(
        f"# tracer: function_graph\n ------------------------------------------\n 0)  x-b-22756  =>   x-c-4083 \n"
        f" 1)               |  __alloc_pages() {{\n 1)               |  /* {EVENT} */\n 1)   1.500 us    |  }}\n"
        f" 1)               |  /* a marker */\n  5.000001 |   0) @ 184015.2 us |  }}\n"
    )
    assert (len(rows), reader.unreadable) == (1, 0)
    assert reader.other_lines == {"function": 5, "heading": 1}


def test_a_null_page_of_4_x() -> None:
    text = LINE.replace("page=00000000aa00aa00 pfn=0x5000", "page=          (null) pfn=0")
    _, [row] = read(text + "\n")
    assert (row["pfn"], row["order"]) == (0, 0)


@pytest.mark.parametrize("comm", ["my [1] a-2 b", "a-1 [002]", "x 5 [3]", "b 7 1.5: c"])
def test_names_that_look_like_columns_in_perfs_text(comm: str) -> None:
    reader, [row] = read(f"{comm:>16}     767 [001]   277.551258: kmem:mm_page_free: page=0x1 pfn=0x1 order=0\n")
    assert (reader.text(row["comm"]), row["pid"], row["cpu"]) == (comm, 767, 1)


def test_a_line_that_was_broken_for_good_is_reported() -> None:
    torn = LINE.partition(" migr")[0]
    reader, rows = read(f"{torn}\n{LINE}\n{torn}\nnothing of the kind\n")
    assert len(rows) == 1
    assert sorted((p.line, p.count) for p in reader.problems) == [(1, 2), (4, 1)]
    assert reader.events == {"mm_page_alloc": 3}


# what was lost


def test_what_perf_lost() -> None:
    line = "            bash  1530 [000]  1116.738133: PERF_RECORD_LOST lost 482\n"
    reader, rows = read(line + LINE + "\n")
    assert (reader.lost, len(rows), reader.unreadable) == (482, 1, 0)
    text = text_of("amd64-6.1.0-50-perf-script-show-lost-events")
    assert read(text)[0].lost == sum(map(int, re.findall(r"PERF_RECORD_LOST lost (\d+)", text))) == 3711
    assert read("LOST 12 events!\n")[0].lost == 12


def test_perf_text_that_shows_no_loss_may_have_been_printed_without_them() -> None:
    line = f"            bash  1530 [000]  1116.738133: kmem:{EVENT}\n"
    [problem] = read(line)[0].problems
    assert "only with --show-lost-events" in problem.reason
    assert read("# perf script --show-lost-events\n" + line)[0].problems == []
    assert read(line + line.replace(f"kmem:{EVENT}", "PERF_RECORD_LOST lost 1"))[0].problems == []
    assert read(LINE + "\n")[0].problems == []


def test_a_buffer_that_was_overwritten() -> None:
    reader, rows = read(text_of("amd64-6.1.0-50-ftrace-lost-overwrite"))
    assert reader.lost == 1068 - 546
    [reason] = reasons(reader)
    starts = {row["cpu"]: row["time"] for row in reversed(rows)}
    assert all(f"cpu {cpu} at {time / 1e9:.6f}" in reason for cpu, time in starts.items())
    assert read("# entries-in-buffer/entries-written: 711/711   #P:2\n")[0].problems == []
    assert read("# latency: 0 us, #20/30, CPU#0 | (M:desktop VP:0, KP:0, SP:0 HP:0 #P:2)\n")[0].lost == 10


def test_statistics_and_losses_without_a_number() -> None:
    stats = ("0/stats:overrun: 0", "0/stats:dropped events: 5", "1/stats:dropped events: 7")
    reader, _ = read("".join(f"# per_cpu/cpu{line}\n" for line in stats))
    assert (reader.lost, len(reader.problems)) == (12, 1)
    reader, _ = read(
        "CPU:0 [LOST EVENTS]\nCPU:1 [EVENTS DROPPED]\nCPU:1 [163 EVENTS DROPPED]\nCPU:0 [SUBBUFFER START]\n"
    )
    assert (reader.lost, reader.other_lines) == (163, {"lost events": 3, "heading": 1})
    assert reasons(reader) == ["events were lost, and the trace does not say how many"]


def test_events_that_are_dropped_are_named() -> None:
    reader, rows = read(LINE.replace("mm_page_alloc", "mm_page_free_direct") + "\n" + LINE + "\n")
    assert len(rows) == 1
    [reason] = reasons(reader)
    assert reason.startswith("mm_page_free_direct: an event that is not replayed (before v3.3")


# whose masks


def test_raw_masks_are_said_and_read_with_a_kernel_that_has_the_bits() -> None:
    chosen = choose(["0x1000dc0", "0x140cca"])
    assert (chosen.layout.kernel, chosen.numbers, chosen.unknown) == ("v6.12", True, ())
    [(_, remark)] = chosen.remarks()
    assert "numbers" in remark
    assert "--kernel" in remark
    assert [is_number(text) for text in ("0xcc0", "3264", "GFP_KERNEL", "none")] == [True, True, False, False]


def test_a_mask_beyond_the_kernel_that_was_named() -> None:
    result = CliRunner().invoke(
        cli, ["replay", "-", "--kernel", "v5.8-rc3"], input=LINE.replace("GFP_KERNEL", "0x1000dc0") + "\n"
    )
    assert "a mask that v5.8-rc3" in result.stderr
    assert "0x1000dc0" in result.stderr


def test_names_that_are_other_masks_in_other_kernels_are_named() -> None:
    recording = read_recording(str(TOOLS / "amd64-6.12.117-record-tracefs-cut.txt.xz"))
    assert "v6.12" in recording.choice.fits
    assert "0x2800 in v6.8 to v6.12" in " ".join(map(str, recording.problems))
    assert "GFP_HIGHUSER" not in " ".join(recording.choice.differing)
    named = choose(["GFP_NOWAIT"], None, "v6.12")
    assert (named.layout.kernel, named.differing, named.told) == ("v6.12", {}, "v6.12")
    strange = choose(["GFP_KERNEL"], None, "no kernel at all")
    assert (strange.told, strange.untold) == (None, "no kernel at all")
    assert "no kernel at all, of which no flags are known" in " ".join(remark for _, remark in strange.remarks())
    assert list(runs({"a": 1, "b": 1, "c": 2})) == [("a to b", 1), ("c", 2)]


HEADERS = (
    "# kernel: 6.12.117+deb13-amd64\n",
    "# nop latency trace v1.1.5 on 6.12.117+deb13-amd64\n",
    "# os release : 6.12.117+deb13-amd64\n",
)


@pytest.mark.parametrize("header", HEADERS)
def test_the_kernel_that_a_header_names(header: str) -> None:
    assert read(header)[0].release == "6.12.117+deb13-amd64"


# the machine's own zones


def test_refills_are_counted_by_the_zones_of_the_machine(tmp_path: Path) -> None:
    zoneinfo = tmp_path / "zoneinfo"
    zoneinfo.write_text(text_of("s390x-6.1-zoneinfo"))
    trace = str(TOOLS / "s390x-6.1-record-tracefs-cut.txt.xz")
    result = CliRunner().invoke(cli, ["replay", trace, "--zoneinfo", str(zoneinfo), "--json"], standalone_mode=False)
    replayed = json.loads(result.stdout)["replayed"]
    assert replayed["kernel_dma_refills"] == replayed["kernel_refills"] > 5
    assert replayed["model_dma_refills"] == replayed["model_refills"]
    assert replayed["kernel_long_refills"] == 0


def test_refills_that_grow_are_said() -> None:
    taken = [
        f"mm_page_alloc_zone_locked: page=0 pfn={0x5000 + i:#x} order=0 migratetype=0 percpu_refill=1"
        for i in range(70)
    ]
    text = "".join(f"              wl-7       [000] ..... 1.{i:06}: {line}\n" for i, line in enumerate([*taken, EVENT]))
    result = CliRunner().invoke(cli, ["replay", "-"], input=text, standalone_mode=False)
    assert "1 of the real kernel's refills took more than a batch: since v6.7 they grow" in result.stdout
