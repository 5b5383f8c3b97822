"""Golden vectors: scripts recorded from the kernel's own allocator code, read and replayed.

A file is gzip'd JSON lines: a header, then operations and snapshots in order.  Everything that the model can compute
is compared with the file: the header's sizes, each operation's result, events and count of irq-off sections, each
snapshot's lists, and the totals.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gfpmodel.errors import InputError, MisuseError
from gfpmodel.io.config import Config
from gfpmodel.mm import PageAllocator, pack_ops
from gfpmodel.mm.events import KINDS, RECORDED_KINDS, Ring
from gfpmodel.mm.ops import MAX_OP_ORDER, check_mask
from gfpmodel.mm.page_alloc import NO_RESULT, OP_ALLOC, OP_DRAIN, OP_FREE
from gfpmodel.mm.state import MAX_NR_ZONES, MAX_ORDER, MIGRATE_PCPTYPES, MIGRATE_TYPES_WRITTEN
from gfpmodel.proposals import proposal

FORMAT = 1
#: The kernel sources that this model follows, by their blob ids.
SOURCES = {
    "base": {
        "page_alloc.c": "48eb0f1410d47c1622cf080331150b53c72ea2fa",
        "gfp.h": "67a0774e080b9828c83c6dbea6e5591aa2273524",
    },
    "patched": {
        "page_alloc.c": "3733169384d20a18f0d68014992dc2d84c0cadc9",
        "gfp.h": "2df8d16461020107accc3857dd8e733568607a8e",
    },
}
FAST_TRY = proposal("fast_try").flag
CHUNK = 128  # operations between two looks at the events
RING = 1 << 18
OPERATIONS = {
    "alloc": ({"op", "cpu", "order", "gfp", "r", "q"}, OP_ALLOC, "gfp"),
    "free": ({"op", "cpu", "pfn", "order", "q"}, OP_FREE, "pfn"),
    "drain": ({"op", "cpu", "q"}, OP_DRAIN, None),
}
NAMES = {
    "snap_every",
    "kernel",
    "fast_try_bit",
    "config",
    "cpus",
    "ops",
    "event_counts",
    "null_results",
    "fast_try_allocs",
    "zones",
}


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


@dataclass
class Replay:
    """A file being replayed on a booted machine."""

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
        columns = [operation(line, self) for line in pending]
        ops = pack_ops(*(np.array(column, np.int64) for column in zip(*columns, strict=True)))
        results = self.allocator.prepare(ops)
        self.ring.clear()
        stopped = self.allocator.resume(results, 0, len(ops), lru_movable=self.config.lru_movable)
        assert not self.ring.lost
        found = events_by_op(self.ring, len(ops))
        pfns = iter(results.pfns.tolist())
        for at, line in enumerate(pending[:stopped]):
            got: dict[str, Any] = {"q": int(results.irq_off[at]), "ev": found[at]}
            if line.data["op"] == "alloc":
                pfn = next(pfns)
                got["r"] = None if pfn == NO_RESULT else pfn
            self._compare(line, got)
        if stopped < len(pending):
            line = pending[stopped]
            error = self.allocator.explain(results, stopped)
            raise DifferenceFound(line.number, "pfn", line.data["pfn"], error.message)
        self.done += len(pending)

    def _compare(self, line: Line, got: Mapping[str, Any]) -> None:
        for name in ("r", "ev", "q"):
            expected = line.data.get(name, [] if name == "ev" else None)
            if name in got and got[name] != expected:
                raise DifferenceFound(line.number, name, expected, got[name])
        self.totals["null_results"] += "r" in got and got["r"] is None
        fast_try = line.data.get("gfp", 0) & FAST_TRY  # counted on the base kernel too, where it means nothing
        self.totals["fast_try_allocs"] += "r" in got and bool(fast_try)
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
            got = golden_zone(self.allocator, expected["z"], full=bool(data["full"]))
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
        all_freed = self.allocator.snapshot().free_blocks() == self.boot
        got = {
            "ops": self.done,
            "event_counts": dict(self.events),
            "null_results": self.totals["null_results"],
            "fast_try_allocs": self.totals["fast_try_allocs"],
            "ends_all_freed": all_freed,
        }
        compare_fields(1, "", {name: self.header[name] for name in got}, got)


def operation(line: Line, replay: Replay) -> tuple[int, int, int, int]:
    """Return an operation's columns for pack_ops; raises InputError with file and line."""
    data = line.data
    known = OPERATIONS.get(data.get("op", ""))
    if known is None:
        raise InputError(f"unknown operation {str(data)[:60]}", str(replay.path), line.number)
    names, kind, argument = known
    require(data, names, {"ev"}, line, replay.path)
    value = data[argument] if argument else 0
    order = data.get("order", 0)
    for name, number, top in (
        ("cpu", data["cpu"], replay.allocator.machine.cpus - 1),
        ("order", order, MAX_OP_ORDER if kind == OP_ALLOC else MAX_ORDER - 1),
        (argument or "cpu", value, NO_RESULT),
    ):
        if type(number) is not int or not 0 <= number <= top:
            raise InputError(f"{name} is {number!r}; expected 0 to {top}", str(replay.path), line.number)
    if kind == OP_ALLOC:
        try:
            check_mask(value)
        except InputError as error:
            raise InputError(error.message, str(replay.path), line.number) from None
    return kind, data["cpu"], order, value


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


def events_by_op(ring: Ring, ops: int) -> list[list[list[str | int]]]:
    """Return the events of each operation as the file writes them."""
    found: list[list[list[str | int]]] = [[] for _ in range(ops)]
    for op, _, kind, zone, *values in ring.rows().tolist():
        found[op - ring.first_op].append([KINDS[kind].letter, zone, *values[: len(KINDS[kind].fields)]])
    return found


def golden_zone(allocator: PageAllocator, index: int, *, full: bool) -> dict[str, Any]:
    """Return a zone as a snapshot line writes it."""
    lists = [
        [allocator.free_list(index, order, t).tolist() for t in range(MIGRATE_TYPES_WRITTEN)]
        for order in range(MAX_ORDER)
    ]
    words: list[int] = []
    for order, of_order in enumerate(lists):
        for t, pfns in enumerate(of_order):
            words += [order, t, len(pfns), *pfns]
    blocks = allocator.block_types(index)
    counters = allocator.counters(index)
    zone: dict[str, Any] = {
        "z": index,
        "free": counters["free"],
        "boost": counters["boost"],
        "rha": counters["nr_reserved_highatomic"],
        "zf": counters["flags"],
        "nr": [[len(pfns) for pfns in of_order] for of_order in lists],
        "flcrc": f"{zlib.crc32(np.array(words, '<u4').tobytes()):08x}",
        "pbcrc": f"{zlib.crc32(blocks.tobytes()):08x}",
        "pcp": [
            {
                "c": allocator.pcp_count(cpu, index),
                "l": [allocator.pcp_list(cpu, index, t).tolist() for t in range(MIGRATE_PCPTYPES)],
            }
            for cpu in range(allocator.machine.cpus)
        ],
    }
    if full:
        zone |= {"fl": lists, "pb": blocks.tolist()}
    return zone


def golden_header(allocator: PageAllocator, config: Config) -> dict[str, Any]:
    """Return the header's fields that follow from the configuration, by the kernel's arithmetic."""
    machine, sizes = allocator.machine, allocator.sizes
    user = machine.min_free_kbytes
    return {
        "source": SOURCES[config.kernel],
        "fast_try_bit": allocator.proposal.flag if allocator.proposal else 0,
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
        "shared_pageblock": any(
            low.end - 1 >> machine.pageblock_order == high.start >> machine.pageblock_order
            for low, high in pairwise(machine.zones)
        ),
        "zones": [
            {
                "z": index,
                "name": z.zone.name,
                "start_pfn": z.zone.start,
                "spanned": z.zone.spanned,
                "present": machine.present(z.zone),
                "managed": z.managed,
                "wmark": list(z.wmark),
                "lowmem_reserve": list(z.lowmem_reserve)[:MAX_NR_ZONES],
                "pcp_batch": z.batch,
                "pcp_high": z.high,
            }
            for index, z in sizes.zones.items()
        ],
    }


def begin(path: Path, line: Line) -> Replay:
    """Boot the machine of a header line and compare its sizes; raises InputError or DifferenceFound."""
    header = line.data
    if header.get("t") != "header" or header.get("format") != FORMAT:
        raise InputError(f"expected a header of format {FORMAT}", str(path), line.number)
    missing = NAMES - set(header)
    if missing:
        raise InputError(f"the header lacks {sorted(missing)}", str(path), line.number)
    config = Config()
    try:
        config.read(f"param kernel {header['kernel']}")
        for text in header["config"]:
            config.read(text)
        allocator = config.boot(events=RING, kinds=RECORDED_KINDS)
    except (InputError, MisuseError) as error:
        raise InputError(error.message, str(path), line.number) from None
    got = golden_header(allocator, config)
    compare_fields(line.number, "", {name: header.get(name) for name in got}, got)
    return Replay(path, header, config, allocator, boot=allocator.snapshot().free_blocks())


def verify(path: Path) -> tuple[int, Difference | None]:
    """Replay a file; returns how many operations agreed and the first difference.  Raises InputError."""
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
                replay.pending.append(line)
                if len(replay.pending) >= CHUNK:
                    replay.flush()
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
