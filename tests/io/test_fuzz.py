"""Fuzz what reads foreign files: ftrace text and its replay, /proc files, and the dumps of a booted kernel.

Whatever comes: no crash, no hang, bounded memory, every line accounted for, and InputError for what cannot be used.  A
few seconds by default; ``GFPMODEL_FUZZ_SECONDS=600 pytest tests/io/test_fuzz.py -k long -s`` goes on for so long, a
third of it for each reader.
"""

import io
import lzma
import os
import re
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from gfpmodel.errors import InputError
from gfpmodel.evidence.verify import verify_file
from gfpmodel.io.ftrace import TraceReader
from gfpmodel.io.procfs import describe, machine_facts, read_proc, start
from gfpmodel.io.replay import Report, WhatIf, replay
from gfpmodel.io.replay.recording import Packer, finish
from gfpmodel.io.replay.zoneinfo import known_zones
from gfpmodel.io.text import read_lines

DATA = Path(__file__).parents[1] / "data"
BOOK = Path(__file__).parents[2] / "book/data/traces"
SECONDS = float(os.environ.get("GFPMODEL_FUZZ_SECONDS", "0"))
HANG = 60  #: seconds that no input of a few kilobytes may take
MOST_MIB = 3000  #: more memory that any input may take; the largest machine that is started takes half of it
FUZZ = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
SHORT = settings(FUZZ, max_examples=60, derandomize=True)

TRACE_LINES = [
    line
    for path in sorted([*(DATA / "traces").glob("*.trace.txt.xz"), *(DATA / "traces/tools").glob("*.txt.xz")])
    for line in lzma.decompress(path.read_bytes()).splitlines(keepends=True)
]
PROC = {
    name: [DATA / folder / f"{name}{rest}" for folder, rest in files]
    for name, files in {
        "zoneinfo": [("boot58", "-A2-1G-cma64M.txt"), ("boot58", "-6.18-1G.txt")],
        "buddyinfo": [("boot58", "-A2-1G-cma64M.txt")],
        "pagetypeinfo": [("boot58", "-A2-1G-cma64M.txt")],
    }.items()
}
GUESTS = [lzma.decompress(path.read_bytes()) for path in sorted((DATA / "proc").glob("*.xz"))]
PROC["zoneinfo"].append(BOOK / "rt-smp2-512M-anon-start.trace.txt.zoneinfo")
DUMP = "\n".join(read_lines(DATA / "boot58" / "trace-A-seqB.txt.xz")[:1200]) + "\n"
MIX = "#### " + "\n".join([*read_lines(DATA / "boot58" / "mix-exact-Aiib.txt.xz"), ""]).split("#### ")[1]

WORDS = b"""
[ ] : - = ( ) # \x00 \xff\xff\xff\xff 0x -1 0xffffffffffffffff [4095] mm_page_alloc: pfn= pfn=0x3fffff
order=63 order=10 migratetype=3 gfp_flags=~0 gfp_flags=1<<99
"""
LOST = b"CPU:3 [LOST 99999999999999999999 EVENTS]\n"
ODD = [*WORDS.split(), b" ", b"\n", b"\r\n", b"9" * 400, b": ", b"# tracer: nop\n", LOST]


def mutated(draw: some.DrawFn, text: bytes) -> bytes:
    """Return a text with pieces cut out, doubled, put in, or bytes changed."""
    data = bytearray(text)
    for _ in range(draw(some.integers(0, 8))):
        at, length = draw(some.integers(0, len(data))), draw(some.integers(0, 300))
        match draw(some.sampled_from(("cut", "odd", "double", "byte", "digit"))):
            case "cut":
                del data[at : at + length // 4]
            case "odd":
                data[at:at] = draw(some.sampled_from(ODD))
            case "double":
                data[at:at] = data[at : at + length]
            case "byte":
                data[at : at + 1] = draw(some.binary(min_size=1, max_size=1))
            case _:
                data[at : at + length] = data[at : at + length].replace(b"1", b"%d" % draw(some.integers(0, 1 << 40)))
    return bytes(data)


@some.composite
def trace_texts(draw: some.DrawFn) -> bytes:
    """Recorded lines in any order, damaged; now and then junk instead."""
    lines = draw(some.lists(some.sampled_from(TRACE_LINES), max_size=30))
    junk = some.one_of(some.binary(max_size=2000), some.lists(some.sampled_from(ODD), max_size=60).map(b"".join))
    return mutated(draw, b"".join(lines)) if lines else draw(junk)


@some.composite
def proc_texts(draw: some.DrawFn) -> list[bytes]:
    """The three files of a machine, one of them damaged: its bytes, or whole lines moved.  Or a guest's, all in one."""
    if draw(some.booleans()):
        return [damaged(draw, draw(some.sampled_from(GUESTS)))]
    texts = {name: draw(some.sampled_from(paths)).read_bytes() for name, paths in PROC.items()}
    name = draw(some.sampled_from(list(texts)))
    return [damaged(draw, text) if name == one else text for one, text in texts.items()]


@some.composite
def dumps(draw: some.DrawFn) -> bytes:
    """A trace or a mix of a booted kernel, damaged, perhaps compressed and cut."""
    data = damaged(draw, draw(some.sampled_from((DUMP, MIX))).encode())
    data = lzma.compress(data, preset=0) if draw(some.booleans()) else data
    return data[: draw(some.integers(0, len(data)))] if draw(some.booleans()) else data


def damaged(draw: some.DrawFn, text: bytes) -> bytes:
    """Return a text whose bytes are damaged, or one that only says something else."""
    return mutated(draw, moved(draw, text)) if draw(some.booleans()) else renumbered(draw, moved(draw, text))


def renumbered(draw: some.DrawFn, text: bytes) -> bytes:
    """Return a text with other numbers in a few places."""
    pieces = re.split(rb"(\d+)", text)
    for _ in range(draw(some.integers(1, 3))):
        at = 2 * draw(some.integers(0, max(len(pieces) // 2 - 1, 0))) + 1
        if at < len(pieces):
            old = int(pieces[at][:18])
            pieces[at] = b"%d" % draw(some.one_of(some.integers(max(old - 2, 0), old + 600), some.integers(0, 1 << 40)))
    return b"".join(pieces)


def moved(draw: some.DrawFn, text: bytes) -> bytes:
    """Return a text with lines doubled, removed or swapped."""
    lines = text.split(b"\n")
    for _ in range(draw(some.integers(0, 2))):
        at, other = (draw(some.integers(0, len(lines) - 1)) for _ in range(2))
        match draw(some.sampled_from(("double", "remove", "swap"))):
            case "double":
                lines.insert(other, lines[at])
            case "swap":
                lines[at], lines[other] = lines[other], lines[at]
            case _ if len(lines) > 1:
                del lines[at]
    return b"\n".join(lines)


def swallow_trace(data: bytes) -> None:
    """Read and replay bytes, and check what must hold for any."""
    reader, packer = TraceReader(io.BytesIO(data), "fuzz"), Packer()
    rows = 0
    for columns in reader:
        rows += len(columns.event)
        packer.add(columns)
    accounted = sum(reader.events.values()) + reader.unreadable + sum(reader.other_lines.values())
    assert rows <= sum(reader.events.values())
    assert reader.lines >= data.count(b"\n")
    assert accounted >= rows
    assert len(reader.problems) < 130
    with suppress(InputError):
        recording = finish(reader, packer, None)
        what_if = WhatIf(rows=("fast_try", "trylock"))
        outcome = replay(recording, what_if)
        outcome.allocator.check()
        found = Report(recording, outcome, what_if)
        found.to_json()
        found.to_text()


def swallow_proc(texts: list[bytes]) -> None:
    """Read the files of a machine, and start the model from them."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / str(number) for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(text)
        with suppress(InputError):
            assert known_zones(str(paths[0]))
        with suppress(InputError):
            proc = read_proc(map(str, paths))
            describe(machine_facts(proc))
            start(proc).check()


def swallow_dump(data: bytes) -> None:
    """Verify a recording: it is one or not, and agrees or not."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        verdict = verify_file(str(path))
        assert "\n" not in str(verdict.unusable)


READERS: dict[str, tuple[some.SearchStrategy[Any], Callable[[Any], None]]] = {
    "ftrace": (trace_texts(), swallow_trace),
    "procfs": (proc_texts(), swallow_proc),
    "boot58": (dumps(), swallow_dump),
}


@pytest.mark.parametrize("reader", READERS)
def test_for_a_short_time(reader: str) -> None:
    texts, swallow = READERS[reader]
    SHORT(given(texts)(swallow))()


@pytest.mark.skipif(not SECONDS, reason="the long run: set GFPMODEL_FUZZ_SECONDS to the seconds it may take")
@pytest.mark.parametrize("reader", READERS)
def test_for_a_long_time(reader: str) -> None:
    texts, swallow = READERS[reader]
    end, runs, slowest = time.process_time() + SECONDS / len(READERS), 0, 0.0

    def timed(data: Any) -> None:
        nonlocal runs, slowest
        begin = time.process_time()
        if begin < end:
            swallow(data)
            runs, slowest = runs + 1, max(slowest, time.process_time() - begin)
            assert slowest < HANG

    settings(FUZZ, max_examples=20)(given(texts)(timed))()  # what is compiled and cached takes memory, once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while time.process_time() < end:
        settings(FUZZ, max_examples=500)(given(texts)(timed))()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    print(f"{reader}: {runs} inputs, the slowest {slowest:.2g} s, {grown} MiB more memory at most")
    assert grown < MOST_MIB


def test_memory_does_not_grow_with_the_trace() -> None:
    """A line without end, and then many names: what is kept is bounded."""

    class Endless(io.RawIOBase):
        left = 64

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return b"x" * min(size, 1 << 16) if self.left > 0 else b""

    reader = TraceReader(Endless())  # type: ignore[arg-type]
    assert list(reader) == []
    assert reader.unreadable == 1
