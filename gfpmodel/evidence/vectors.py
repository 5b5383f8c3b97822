"""Recorded vectors of the kernel's own allocator code, whatever its version: read, and replayed.

A file is gzip'd JSON lines: a header, then operations and snapshots in order.  Everything that the model can compute
is compared with the file: the header's sizes, each operation's result, events and count of irq-off sections, each
snapshot's lists, and the totals.  What is of one format alone is in `golden` (v5.8) and `golden618` (v6.18 and later).
"""

from __future__ import annotations

import gzip
import json
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gfpmodel.errors import InputError, MisuseError
from gfpmodel.io.config import Config
from gfpmodel.mm import PageAllocator, pack_ops
from gfpmodel.mm.events import KINDS, PREP_MOVE, Ring
from gfpmodel.mm.ops import check_mask
from gfpmodel.mm.state import MAX_NR_ZONES, MAX_ORDER

CHUNK = 128  # operations between two looks at the events
RING = 1 << 18
NO_ZONE = -1  # of an event outside any
LONGEST_LINE = 1 << 22  #: bytes: hundreds of times the longest that was recorded


@dataclass(frozen=True)
class Difference:
    """Where a recording and the model part: line (from 1), field, what the file says and what the model says."""

    line: int
    field: str
    expected: Any
    got: Any


class DifferenceFound(Exception):
    """Carries the first difference out of a replay."""

    def __init__(self, line: int, what: str, expected: Any, got: Any) -> None:
        super().__init__(what)
        self.difference = Difference(line, what, expected, got)


@dataclass
class Line:
    """A line of a file: its number from 1, and the object on it."""

    number: int
    data: dict[str, Any]


def lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a file; raises InputError with file and line for one that is torn or no JSON object."""
    number = 0
    try:
        with gzip.open(path, "rb") as file:
            for number, row in enumerate(iter(partial(file.readline, LONGEST_LINE), b""), 1):
                if not row.endswith(b"\n"):
                    cut_off = "the line is cut off" if len(row) < LONGEST_LINE else f"more than {LONGEST_LINE} bytes"
                    raise InputError(cut_off, str(path), number)
                data = json.loads(text := row.decode("ascii"))
                if not isinstance(data, dict):
                    raise InputError(f"expected a JSON object, found {text[:40]!r}", str(path), number)
                yield Line(number, data)
    except InputError:
        raise
    except RecursionError:
        raise InputError("no JSON that can be a recording: nested too deeply", str(path), number) from None
    except json.JSONDecodeError as error:
        raise InputError(f"no JSON: {error.msg} at column {error.colno}", str(path), number) from None
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise InputError(f"torn or damaged after this line: {error}", str(path), number) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", str(path)) from None


def is_golden(path: Path) -> bool:
    """Return whether a file is gzip'd JSON lines, as far as its beginning can be read."""
    try:
        with path.open("rb") as file:
            begin = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(file.read(1 << 16), 64)
    except (zlib.error, OSError):
        return False
    return begin.lstrip().startswith(b"{")


#: An operation as pack_ops takes it: kind, cpu, order, argument.
Word = tuple[int, int, int, int]


@dataclass
class Replay(ABC):
    """A file being replayed on a booted machine; a format says what its operations and snapshots are."""

    path: Path
    header: dict[str, Any]
    config: Config
    allocator: PageAllocator
    pending: list[Line] = field(default_factory=list)
    done: int = 0
    totals: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    boot: frozenset[tuple[int, int]] = frozenset()
    snapshots: set[int] = field(default_factory=set)
    last: Line | None = None

    @property
    def ring(self) -> Ring:
        """Return the ring of events."""
        assert self.allocator.ring is not None
        return self.allocator.ring

    def flush(self) -> None:
        """Run the operations that were read and compare what they did."""
        pending, self.pending = self.pending, []
        if not pending:
            return
        words = [self.words(line) for line in pending]
        columns = zip(*(word for of_line in words for word in of_line), strict=True)
        ops = pack_ops(*(np.array(column, np.int64) for column in columns))
        results = self.allocator.prepare(ops)
        self.ring.clear()
        stopped = self.allocator.resume(results, 0, len(ops), lru_movable=self.config.lru_movable)
        assert not self.ring.lost
        found = self.events_by_op(len(ops))
        pfns = iter(results.pfns.tolist())
        at = -1
        for line, of_line in zip(pending, words, strict=True):
            at += len(of_line)
            if at >= stopped:
                error = self.allocator.explain(results, stopped)
                if not self.may_split(line):
                    raise DifferenceFound(line.number, "pfn", line.data["pfn"], error.message)
                self.pending = pending[pending.index(line) :]
                self.done += len(pending) - len(self.pending)
                self.flush()
                return
            got: dict[str, Any] = {"q": int(results.irq_off[at]), "ev": found[at]}
            self._compare(line, got | self.result(line, pfns))
        self.done += len(pending)

    @abstractmethod
    def words(self, line: Line) -> list[Word]:
        """Return the words of an operation, its own the last; raises InputError with file and line."""

    @abstractmethod
    def result(self, line: Line, pfns: Iterator[int]) -> dict[str, Any]:
        """Return the result of an operation, if it has one, from those that come next."""

    def may_split(self, line: Line) -> bool:
        """Make single pages of the block of which an operation frees a part, if the format has that."""
        return False

    @abstractmethod
    def zone(self, index: int, *, full: bool) -> dict[str, Any]:
        """Return a zone as a snapshot line writes it."""

    @abstractmethod
    def more_totals(self) -> dict[str, Any]:
        """Return the totals that only this format's header gives."""

    def run(self, line: Line) -> None:
        """Run an operation, now or with those that follow."""
        self.pending.append(line)
        if len(self.pending) >= CHUNK:
            self.flush()

    def events_by_op(self, ops: int) -> list[list[list[str | int]]]:
        """Return the events of each operation as the file writes them."""
        found: list[list[list[str | int]]] = [[] for _ in range(ops)]
        for op, _, kind, zone, *values in self.ring.rows().tolist():
            where = [] if zone == NO_ZONE else [zone]
            fields = values[: len(KINDS[kind].fields)]
            if kind == PREP_MOVE:  # the file has the second and the third the other way round
                fields[1:3] = fields[2], fields[1]
            event = [KINDS[kind].letter, *where, *fields]
            found[op - self.ring.first_op].append(event)
        return found

    def _compare(self, line: Line, got: Mapping[str, Any]) -> None:
        for name in ("r", "ev", "q"):
            expected = line.data.get(name, [] if name == "ev" else None)
            if name in got and got[name] != expected:
                raise DifferenceFound(line.number, name, expected, got[name])
        self.totals["null_results"] += "r" in got and got["r"] is None
        self.events.update(event[0] for event in got["ev"])

    def snapshot(self, line: Line) -> None:
        """Compare a snapshot with the machine as it is now."""
        data = line.data
        require(data, {"t", "after", "full", "zones"}, set(), line, self.path)
        if data["full"] not in (0, 1):
            raise InputError(f"full is {data['full']!r}; expected 0 or 1", str(self.path), line.number)
        if data["after"] != self.done:
            raise DifferenceFound(line.number, "after", data["after"], self.done)
        indices = list(self.allocator.sizes.zones)
        if [zone.get("z") for zone in data["zones"]] != indices:
            raise DifferenceFound(line.number, "zones", [zone.get("z") for zone in data["zones"]], indices)
        for expected in data["zones"]:
            got = self.zone(expected["z"], full=bool(data["full"]))
            compare_fields(line.number, f"zones[{expected['z']}].", expected, got)
        self.snapshots.add(self.done)
        self.last = line

    def finish(self, number: int) -> None:
        """Compare the totals that the header gives; raises InputError if the file ends too soon."""
        if self.done < self.header["ops"] or self.last is None or not self.last.data["full"]:
            message = f"the file ends after {self.done} of {self.header['ops']} operations or without a full snapshot"
            raise InputError(message, str(self.path), number)
        missing = set(range(0, self.done + 1, self.header["snap_every"])) - self.snapshots
        if missing:
            raise DifferenceFound(number, "snap_every", f"a snapshot after {min(missing)} operations", None)
        got = {
            "ops": self.done,
            "event_counts": dict(self.events),
            "null_results": self.totals["null_results"],
            **self.more_totals(),
        }
        compare_fields(1, "", {name: self.header[name] for name in got}, got)


def fields_of(line: Line, path: Path, names: set[str], optional: set[str], tops: Mapping[str, int]) -> dict[str, int]:
    """Return an operation's numbers by name, each up to its top; raises InputError with file and line."""
    require(line.data, names, optional, line, path)
    numbers = {name: line.data.get(name, 0) for name in tops}
    for name, value in numbers.items():
        if type(value) is not int or not 0 <= value <= tops[name]:
            raise InputError(f"{name} is {value!r}; expected 0 to {tops[name]}", str(path), line.number)
    if "gfp" in numbers:
        try:
            check_mask(numbers["gfp"])
        except InputError as error:
            raise InputError(error.message, str(path), line.number) from None
    return numbers


def require(data: Mapping[str, Any], names: set[str], optional: set[str], line: Line, path: Path) -> None:
    """Raise InputError unless an object has exactly these fields."""
    missing, extra = names - set(data), set(data) - names - optional
    if missing or extra:
        what = f"lacks {sorted(missing)}" if missing else f"has unknown fields {sorted(extra)}"
        raise InputError(f"the object {what}", str(path), line.number)


def compare_fields(number: int, prefix: str, expected: Mapping[str, Any], got: Mapping[str, Any]) -> None:
    """Raise DifferenceFound for the first field in which two objects differ."""
    for name in list(expected) + [name for name in got if name not in expected]:
        if name not in got or name not in expected or expected[name] != got[name]:
            raise DifferenceFound(number, prefix + name, expected.get(name), got.get(name))


def lists_of(allocator: PageAllocator, index: int, types: int) -> dict[str, Any]:
    """Return a zone's free lists and pageblocks as a snapshot line writes them."""
    lists = [[allocator.free_list(index, order, t).tolist() for t in range(types)] for order in range(MAX_ORDER)]
    words: list[int] = []
    for order, of_order in enumerate(lists):
        for t, pfns in enumerate(of_order):
            words += [order, t, len(pfns), *pfns]
    blocks = allocator.block_types(index)
    return {
        "nr": [[len(pfns) for pfns in of_order] for of_order in lists],
        "flcrc": crc(words),
        "pbcrc": f"{zlib.crc32(blocks.tobytes()):08x}",
        "fl": lists,
        "pb": blocks.tolist(),
    }


def crc(words: list[int]) -> str:
    """Return the CRC-32 over numbers of 32 bits, little-endian."""
    return f"{zlib.crc32(np.array(words, '<u4').tobytes()):08x}"


def sizes_of(allocator: PageAllocator, config: Config) -> dict[str, Any]:
    """Return the header's fields that all formats have and that follow from the configuration."""
    machine, sizes = allocator.machine, allocator.sizes
    user = machine.min_free_kbytes
    return {
        "cpus": machine.cpus,
        "min_free_kbytes": sizes.min_free_kbytes,
        "user_min_free_kbytes": -1 if user is None else user,
        "watermark_boost_factor": machine.watermark_boost_factor,
        "watermark_scale_factor": machine.watermark_scale_factor,
        "mobility_disabled": int(sizes.mobility_disabled),
        "gfp_allowed_mask": allocator.layout.bits_mask,
        "totalreserve": sizes.totalreserve,
        "slowpath": machine.slowpath,
        "lru_movable": int(config.lru_movable),
        "reserved": [list(area) for area in machine.reserved],
    }


def zones_of(allocator: PageAllocator) -> list[dict[str, Any]]:
    """Return what the header of every format says of each zone."""
    return [
        {
            "z": index,
            "start_pfn": z.zone.start,
            "spanned": z.zone.spanned,
            "present": allocator.machine.present(z.zone),
            "managed": z.managed,
            "wmark": list(z.wmark),
            "lowmem_reserve": list(z.lowmem_reserve)[:MAX_NR_ZONES],
            "pcp_batch": z.batch,
        }
        for index, z in allocator.sizes.zones.items()
    ]


def boot(path: Path, line: Line, config: Config, kinds: tuple[int, ...]) -> PageAllocator:
    """Return the machine of a header line, booted; raises InputError."""
    try:
        for text in line.data["config"]:
            config.read(text)
        return config.boot(events=RING, kinds=kinds)
    except (InputError, MisuseError) as error:
        raise InputError(error.message, str(path), line.number) from None


Begin = Callable[[Path, Line], Replay]


def verify_as(path: Path, begin: Begin) -> tuple[int, Difference | None]:
    """Replay a file; returns how many operations agreed and the first difference.  Raises InputError.

    Argument: what boots the machine of a header line.
    """
    replay: Replay | None = None
    number = 0
    try:
        for line in lines(path):
            number = line.number
            if replay is None:
                replay = begin(path, line)
            elif line.data.get("t") == "snap":
                replay.flush()
                replay.snapshot(line)
            else:
                replay.run(line)
        if replay is None:
            raise InputError("the file is empty", str(path))
        replay.flush()
        replay.finish(number)
    except DifferenceFound as found:
        return replay.done if replay else 0, found.difference
    except InputError:
        raise
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise InputError(f"not what the format has here: {error!r}", str(path), number) from None
    return replay.done, None
