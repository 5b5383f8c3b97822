"""Fuzz the trace reader and the replay: whatever comes, no crash, no hang, bounded memory, every line accounted for.

A few seconds by default; ``GFPMODEL_FUZZ_SECONDS=600 pytest tests/io/test_fuzz_ftrace.py`` goes on for so long.
"""

import contextlib
import io
import lzma
import os
import random
import resource
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from gfpmodel.errors import InputError
from gfpmodel.io.ftrace import TraceReader
from gfpmodel.io.replay import Report, WhatIf, replay
from gfpmodel.io.replay.recording import Packer, finish
from gfpmodel.io.replay.zoneinfo import known_zones

DATA = Path(__file__).parents[1] / "data/traces"
LINES = b"".join(lzma.decompress(path.read_bytes()) for path in sorted(DATA.glob("*.xz"))).splitlines(keepends=True)
SECONDS = float(os.environ.get("GFPMODEL_FUZZ_SECONDS", "0"))
WORDS = b"""
[ ] : - = ( ) # \x00 \xff\xff\xff\xff 0x -1 0xffffffffffffffff [4095] mm_page_alloc: pfn= pfn=0x3fffff
order=63 order=10 migratetype=3 gfp_flags=~0 gfp_flags=1<<99
"""
LOST = b"CPU:3 [LOST 99999999999999999999 EVENTS]\n"
ODD = [*WORDS.split(), b" ", b"\n", b"\r\n", b"9" * 400, b": ", b"# tracer: nop\n", LOST]


def mutated(chosen: random.Random) -> bytes:
    """Return some recorded lines with pieces cut out, doubled, swapped or put in."""
    lines = chosen.choices(LINES, k=chosen.randrange(1, 30))
    data = bytearray(b"".join(lines))
    for _ in range(chosen.randrange(12)):
        at = chosen.randrange(len(data) + 1)
        match chosen.randrange(4):
            case 0:
                del data[at : at + chosen.randrange(60)]
            case 1:
                data[at:at] = chosen.choice(ODD)
            case 2:
                data[at:at] = data[at : at + chosen.randrange(300)]
            case _:
                data[at : at + 1] = bytes([chosen.randrange(256)])
    return bytes(data)


def swallow(data: bytes) -> None:
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
    try:
        recording = finish(reader, packer, None)
    except InputError:
        return
    what_if = WhatIf(rows=("fast_try", "trylock"))
    outcome = replay(recording, what_if)
    outcome.allocator.check()
    found = Report(recording, outcome, what_if)
    found.to_json()
    found.to_text()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.integers(0, 1 << 32))
def test_mutated_recordings(seed: int) -> None:
    swallow(mutated(random.Random(seed)))


@settings(max_examples=60, deadline=None)
@given(some.binary(max_size=2000))
def test_any_bytes(data: bytes) -> None:
    swallow(data)


@settings(max_examples=60, deadline=None)
@given(some.lists(some.sampled_from(ODD), max_size=60))
def test_pieces_of_lines(pieces: list[bytes]) -> None:
    swallow(b"".join(pieces))


@settings(max_examples=60, deadline=None)
@given(data=some.data())
def test_any_zoneinfo(data: some.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = (DATA / "rt-smp2-512M-anon.zoneinfo").read_bytes()
    at, length = data.draw(some.integers(0, len(text))), data.draw(some.integers(0, 200))
    path = tmp_path_factory.getbasetemp() / "zoneinfo"
    path.write_bytes(text[:at] + data.draw(some.binary(max_size=20)) + text[at + length :])
    with contextlib.suppress(InputError):
        assert known_zones(str(path))


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


@pytest.mark.skipif(not SECONDS, reason="the long run: set GFPMODEL_FUZZ_SECONDS to the seconds it may take")
def test_for_a_long_time() -> None:
    end, runs = time.monotonic() + SECONDS, 0
    chosen = random.Random(int(os.environ.get("GFPMODEL_FUZZ_SEED", "1")))
    swallow(mutated(chosen))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while time.monotonic() < end:
        data = mutated(chosen) if chosen.randrange(4) else chosen.randbytes(chosen.randrange(4000))
        begin = time.monotonic()
        try:
            swallow(data)
        except Exception:
            Path("fuzz-failure.bin").write_bytes(data)
            raise
        assert time.monotonic() - begin < 60
        runs += 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    print(f"{runs} inputs, {grown} MiB more memory at most")
    assert grown < 1500
