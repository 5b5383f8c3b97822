"""The reader of traces: what real kernels printed, what the engine writes, and what other tools print."""

import gzip
import io
import lzma
import re
from collections import Counter
from pathlib import Path

import pytest
from check_traces import check
from hypothesis import given, settings
from hypothesis import strategies as some

from gfpmodel.errors import InputError
from gfpmodel.gfp import encode, layout
from gfpmodel.io.ftrace import Columns, TraceReader, open_trace, write_trace
from gfpmodel.io.ftrace import reader as ftrace_reader
from gfpmodel.io.ftrace.masks import choose, parse, translate
from gfpmodel.io.ftrace.state import ALLOC, DRAIN, EVENTS, EXTFRAG, FREE, ZONE_LOCKED
from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm import events as ev
from gfpmodel.proposals import proposal

TRACES = sorted((Path(__file__).parents[1] / "data/traces").glob("*.xz"))
LINE = b"            init-1       [000] .....    50.945928: mm_page_alloc: page=(____ptrval____) pfn=0x1644 order=1 "
TAIL = b"migratetype=0 gfp_flags=GFP_KERNEL\n"


def read(data: bytes) -> tuple[TraceReader, list[dict[str, int]]]:
    """Read bytes; returns the reader, and the rows as dictionaries."""
    reader = TraceReader(io.BytesIO(data))
    rows = [
        dict(zip(Columns._fields, row, strict=True)) for chunk in reader for row in zip(*map(list, chunk), strict=True)
    ]
    return reader, [{name: int(value) for name, value in row.items()} for row in rows]


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.name.split(".")[0])
def test_every_line_of_a_real_trace_is_explained_and_counted_as_grep_counts(path: Path) -> None:
    text = lzma.decompress(path.read_bytes()).decode()
    wanted = Counter(re.findall(r" [\d.]+: (\w+): ", text))
    with open_trace(str(path)) as reader:
        rows = sum(len(chunk.event) for chunk in reader)
    assert reader.events == dict(sorted(wanted.items()))
    assert rows == sum(wanted[name] for name in EVENTS)
    assert (reader.unreadable, reader.problems) == (0, [])
    assert reader.lines == text.count("\n")
    assert (reader.tracer, reader.cpus) == ("nop", 2)
    assert reader.flag_columns == (7 if path.name.startswith("rt") else 5)


def test_the_tool_that_checks_whole_traces(tmp_path: Path) -> None:
    assert [check(str(path)) for path in TRACES] == [[]] * len(TRACES)
    torn = tmp_path / "torn"
    torn.write_bytes(LINE + TAIL + LINE[:90] + b"\n")
    assert len(check(str(torn))) == 1


def test_the_fields_of_a_line() -> None:
    reader, [row] = read(LINE + TAIL)
    assert reader.text(row.pop("comm")) == "init"
    assert reader.text(row.pop("gfp")) == "GFP_KERNEL"
    assert row == {
        "event": ALLOC,
        "time": 50_945_928_000,
        "cpu": 0,
        "pid": 1,
        "pfn": 0x1644,
        "order": 1,
        "migratetype": 0,
        "extra": -1,
        "line": 1,
    }


FIELDS = b"page=0xffffea0000059100 pfn=0x1644 order=0 migratetype=2 gfp_flags=GFP_NOWAIT|__GFP_NOWARN\n"
FORMS = {
    "4 flag columns": b"          <idle>-0       [003] d.s1   12.000001: mm_page_alloc: " + FIELDS,
    "decimal pfn": b"          <idle>-0       [003] d.s1   12.000001: mm_page_alloc: "
    + FIELDS.replace(b"0x1644", b"5700"),
    "no pointer": b"          <idle>-0       [003] d.s1   12.000001: mm_page_alloc: page=(____ptrval____) "
    + FIELDS.split(b" ", 1)[1],
    "tgid": b"          <idle>-0       (-------) [003] d.s1   12.000001: mm_page_alloc: " + FIELDS,
    "7 flag columns": b"          <idle>-0       [003] d..s1..    12.000001: mm_page_alloc: " + FIELDS,
    "no flags": b"          <idle>-0     [003]    12.000001: mm_page_alloc:        " + FIELDS,
    "trace-cmd": b"          <idle>-0     [003] d.s..    12.000001: mm_page_alloc:        " + FIELDS,
    "trace-cmd, system": b"          <idle>-0     [003] d.s..    12.000001: kmem:mm_page_alloc: " + FIELDS,
    "perf script": b"          <idle>     0 [003]    12.000001000: kmem:mm_page_alloc: " + FIELDS,
    "perf script, tid": b"          <idle>     0/0 [003]    12.000001000: kmem:mm_page_alloc: " + FIELDS,
    "perf script, period": b"          <idle>     0 [003]    12.000001:          1    kmem:mm_page_alloc: " + FIELDS,
    "carriage return": b"          <idle>-0       [003] d.s1   12.000001: mm_page_alloc: "
    + FIELDS.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_event_in_the_forms_that_tools_print(form: str) -> None:
    reader, [row] = read(FORMS[form])
    assert reader.unreadable == 0
    assert (reader.text(row["comm"]), row["pid"], row["cpu"], row["time"]) == ("<idle>", 0, 3, 12_000_001_000)
    assert (row["pfn"], row["order"], row["migratetype"]) == (0x1644, 0, 2)
    assert reader.text(row["gfp"]) == "GFP_NOWAIT|__GFP_NOWARN"


@pytest.mark.parametrize("name", ["a b", "a-1 [002]", "kworker/u4:3", "x(y)", "[000]", "ksoftirqd/1", "-", "a: b:"])
def test_names_of_tasks_may_hold_anything(name: str) -> None:
    line = f"{name:>16}-77      [001] ..... 1.000000: mm_page_free: page=0 pfn=0x5 order=0\n".encode()
    reader, [row] = read(line)
    assert (reader.text(row["comm"]), row["pid"], row["cpu"]) == (name, 77, 1)


def test_other_events_are_counted_by_name_and_other_lines_by_kind() -> None:
    reader, rows = read(
        b"# tracer: nop\n"
        b"CPU:1 [LOST 17 EVENTS]\n"
        b"CPU:0 [LOST EVENTS]\n"
        b"##### CPU 1 buffer started ####\n"
        b"     kworker/1:1-35      [001] .....   108.090898: kfree_rcu_monitor: (kfree_rcu_monitor+0x0/0xf0)\n"
        b"            init-1       [000] .....   109.000000: sys_read(fd: 3, buf: 7f)\n"
        b"            init-1       [000] .....   109.000001: <stack trace>\n"
        b" => __alloc_pages\n"
        b"\tffffffff8126b3d4 __alloc_pages+0x1f4 ([kernel.kallsyms])\n"
        b"\n"
        b"            init-1       [000] .....   109.000002: do_idle <-cpu_startup_entry\n"
    )
    assert rows == []
    assert reader.events == {"kfree_rcu_monitor": 1, "sys_read": 1}
    assert reader.other_lines == {"lost events": 2, "stack": 3, "blank": 1, "function": 1}
    assert (reader.lost, reader.unreadable) == (17, 0)
    assert reader.lines == 11


def test_a_failed_allocation_has_pfn_0() -> None:
    for page in (b"page=0000000000000000 pfn=0x0", b"page=(null) pfn=0", b"page=(nil) pfn=0x0"):
        _, [row] = read(LINE.replace(b"page=(____ptrval____) pfn=0x1644", page) + TAIL)
        assert row["pfn"] == 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (LINE, "mm_page_alloc without migratetype="),
        (LINE + b"migratetype=0\n", "mm_page_alloc without gfp_flags="),
        (LINE + b"migratetype=0 gfp_flags=\n", "mm_page_alloc without gfp_flags="),
        (LINE.replace(b"0x1644", b"0xzz") + TAIL, "mm_page_alloc with a pfn= that is no number"),
        (LINE.replace(b"0x1644", b"9" * 23) + TAIL, "mm_page_alloc with a pfn= that is no number"),
        (LINE.replace(b"order=1", b"order=1x") + TAIL, "mm_page_alloc with a order= that is no number"),
        (LINE + b"migr" + LINE + TAIL, "mm_page_alloc with a word that is no key=value"),  # spliced
        (b"            init-1       [000] .....    50.94", "no time behind [CPU]"),
        (b"            init-1       [0", "no [CPU]"),
        (b"  [000] 1.0: x: \n", "no task and pid before [CPU]"),
        (b"            init-1       [000] .....    50.94: mm_page_al", "no event behind the time"),
        (b"            init-1       [99999] .....    50.94: x: y\n", "a cpu number above 65535"),
        (b"\x00\xff\xfe\x01binary\n", "no [CPU]"),
        (b"y" * 200_000 + b"\n", "a line of more than 65536 bytes"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: bytes, says: str) -> None:
    good = LINE + TAIL
    reader, rows = read(good + line + (b"" if line.endswith(b"\n") else b"\n") + good)
    assert len(rows) == 2
    assert reader.unreadable == 1
    [problem] = reader.problems
    assert (problem.line, problem.count) == (2, 1)
    assert problem.reason.startswith(says)
    assert len(problem.excerpt) <= 60


def test_a_line_with_torn_columns_counts_by_the_event_it_names() -> None:
    reader, rows = read(LINE[20:] + TAIL + (LINE + TAIL).replace(b"[000]", b"[0") + LINE + TAIL + LINE + b"\n")
    assert len(rows) == reader.read == 1
    assert reader.unreadable == 3
    assert reader.events == {"mm_page_alloc": 4}


def test_a_stream_without_a_line_of_a_trace_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ftrace_reader, "FOREIGN", 1 << 16)

    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            assert self.given < ftrace_reader.FOREIGN + 3 * ftrace_reader.CHUNK, "it reads on"
            return (b"~" * 99 + b"\n") * (size // 100)

    reader = TraceReader(Endless())  # type: ignore[arg-type]
    assert not list(reader)
    assert any(problem.reason.startswith("no trace: ") for problem in reader.problems)
    before = b"~\n" * (1 << 16)  # as long, but then comes a trace
    assert len(read(before[: 1 << 15] + (LINE + TAIL) * 100 + before)[1]) == 100


def test_many_bad_lines_are_one_summary() -> None:
    reader, _ = read(b"junk\n" * 1000 + LINE + TAIL)
    assert [(p.line, p.count) for p in reader.problems] == [(1, 1000)]
    assert reader.unreadable == 1000


def test_a_last_line_without_newline_is_read_and_named() -> None:
    reader, rows = read(LINE + TAIL + (LINE + TAIL)[:-1])
    assert len(rows) == 2
    assert [(p.line, p.reason) for p in reader.problems] == [(2, "the last line has no newline: it may be cut short")]


def test_a_clock_that_goes_backwards_is_named() -> None:
    reader, rows = read(LINE + TAIL + (LINE + TAIL).replace(b"50.9", b"49.9") + LINE + TAIL)
    assert len(rows) == 3
    assert [(p.line, p.count) for p in reader.problems] == [(2, 1)]
    assert "backwards" in reader.problems[0].reason


def test_another_tracer_and_a_second_header_are_named() -> None:
    reader, _ = read(
        b"# tracer: function\n            init-1       [000] .....   109.000002: do_idle <-x\n# tracer: nop\n"
    )
    assert [p.reason.split(";")[0] for p in reader.problems] == [
        "a trace of the function tracer",
        "a second header: two traces in one file",
    ]


# compressed, torn


def test_gz_and_xz_are_told_by_their_first_bytes(tmp_path: Path) -> None:
    data = (LINE + TAIL) * 3
    for number, packed in enumerate((data, gzip.compress(data), lzma.compress(data), lzma.compress(data) * 2)):
        path = tmp_path / str(number)
        path.write_bytes(packed)
        with open_trace(str(path)) as reader:
            assert sum(len(chunk.event) for chunk in reader) == (6 if number == 3 else 3)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_torn_compressed_file_gives_what_could_be_read(pack: object, tmp_path: Path) -> None:
    import random

    chosen = random.Random(1)
    lines = [(LINE + TAIL).replace(b"1644", f"{chosen.randrange(1, 1 << 20):x}".encode()) for _ in range(4000)]
    packed = pack(b"".join(lines))  # type: ignore[operator]
    path = tmp_path / "torn"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    with open_trace(str(path)) as reader:
        rows = sum(len(chunk.event) for chunk in reader)
    assert 0 < rows < 4000
    assert any("breaks off" in problem.reason for problem in reader.problems)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    packed = tmp_path / "x.zst"
    packed.write_bytes(b"\x28\xb5\x2f\xfd12345678")
    for path in (tmp_path / "none", tmp_path, packed):
        with pytest.raises(InputError), open_trace(str(path)):
            pass


# the engine's own traces

CODE = {
    ev.MM_PAGE_ALLOC: ALLOC,
    ev.MM_PAGE_FREE: FREE,
    ev.MM_PAGE_ALLOC_ZONE_LOCKED: ZONE_LOCKED,
    ev.MM_PAGE_PCPU_DRAIN: DRAIN,
    ev.EXTFRAG: EXTFRAG,
}
STEPS = some.lists(
    some.tuples(
        some.integers(0, 1),
        some.sampled_from(
            ["GFP_KERNEL", "GFP_HIGHUSER_MOVABLE", "__GFP_FAST_TRY", "__GFP_RECLAIMABLE", "none", "free"]
        ),
        some.integers(0, 4),
    ),
    max_size=30,
)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_what_the_engine_writes_reads_back_exactly(steps: list[tuple[int, str, int]]) -> None:
    a = PageAllocator(Machine((Zone(2, 32768, 8192),), cpus=2, pcp=(3, 6)), proposal("fast_try"), events=1 << 14)
    held: list[tuple[int, int]] = []
    for cpu, gfp, order in steps:
        if gfp != "free":
            pfn = a.alloc_pages(gfp, order, cpu)
            held += [(pfn, order)] if pfn is not None else []
        elif held:
            a.free_pages(*held.pop(0), cpu)
    events = a.events()
    text = io.StringIO()
    write_trace(text, events, a.layout, cpus=2)
    reader, rows = read(text.getvalue().encode())
    assert (reader.unreadable, reader.cpus) == (0, 2)
    wanted = [event for event in events if event.kind in CODE]
    assert [(row["event"], row["cpu"]) for row in rows] == [(CODE[event.kind], event.cpu) for event in wanted]
    for row, event in zip(rows, wanted, strict=True):
        fields = event.fields
        assert row["pfn"] == max(fields["pfn"], 0)
        assert row["order"] == fields["alloc_order" if event.kind == ev.EXTFRAG else "order"]
        assert row["migratetype"] == fields.get("migratetype", fields.get("alloc_migratetype", -1))
        assert row["time"] // 1_000_000 == event.op
        if event.kind == ev.MM_PAGE_ALLOC:
            assert encode(reader.text(row["gfp"]), a.layout) == fields["gfp_flags"]
    assert sum(reader.events.values()) == len(events)


# masks


def test_whose_names_a_trace_has_is_deduced() -> None:
    chosen = choose(["GFP_KERNEL|__GFP_ZERO", "none"], "v6.1")
    assert chosen.layout.kernel == "v6.1"
    assert "v6.6" in chosen.fits
    assert choose(["GFP_KERNEL"]).layout.kernel == "v5.8-rc3"
    assert choose(["__GFP_FAST_TRY"]).layout.kernel == "v5.8-rc3+FAST_TRY"
    assert choose(["GFP_KERNEL|GFP_NOWARN"]).layout.kernel == "v3.10"  # the oldest of those that print such names
    assert choose([]).unknown == ()


def test_texts_that_no_layout_has_are_kept() -> None:
    assert choose(["GFP_KERNEL", "GFP_KERN", "\xff"]).unknown == ("GFP_KERN", "\xff")
    assert parse("1 << 99", layout("v6.1")) is None


def test_a_mask_is_translated_flag_by_flag() -> None:
    theirs, ours = layout("v6.1"), layout("v5.8-rc3")
    mask = encode("GFP_ATOMIC|__GFP_ZEROTAGS|__GFP_ACCOUNT", theirs)
    assert translate(mask, theirs, ours) == (encode("GFP_ATOMIC|__GFP_ACCOUNT", ours), ("__GFP_ZEROTAGS",))
