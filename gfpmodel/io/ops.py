"""Op scripts: plain text, one operation a line, replayed in one go and summed up in one hash."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError
from gfpmodel.io.config import Config
from gfpmodel.mm import PageAllocator, pack_ops
from gfpmodel.mm.jit import compiled, entry
from gfpmodel.mm.ops import MAX_OP_ORDER
from gfpmodel.mm.page_alloc import NO_RESULT, OP_ALLOC, OP_DRAIN, OP_FREE_HANDLE

FNV_OFFSET = np.uint64(1469598103934665603)
FNV_PRIME = np.uint64(1099511628211)
KINDS = {b"a": OP_ALLOC, b"f": OP_FREE_HANDLE, b"d": OP_DRAIN}


@dataclass(frozen=True)
class Script:
    """A script: the machine it asks for, and its operations packed for a bulk run."""

    config: Config
    ops: NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """What a replay gave: operations, allocations that returned NULL, seconds, and the hash of all pfns."""

    ops: int
    nulls: int
    seconds: float
    hash: int

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as the command line prints it."""
        mops = self.ops / self.seconds / 1e6 if self.seconds else 0.0
        return {
            "ops": self.ops,
            "nulls": self.nulls,
            "seconds": round(self.seconds, 6),
            "mops": round(mops, 2),
            "hash": f"{self.hash:016x}",
        }


def read_script(data: bytes, name: str) -> Script:
    """Parse a script; raises InputError with file and line."""
    config, rows = Config(), data.splitlines()
    at = 0
    try:
        while at < len(rows) and rows[at].strip() != b"boot":
            if rows[at].strip():
                config.read(rows[at].decode("ascii", "replace"))
            at += 1
    except InputError as error:
        raise InputError(error.message, name, at + 1) from None
    if at == len(rows):
        raise InputError("no line `boot`: not an op script", name, len(rows))
    return Script(config, parse_ops(rows[at + 1 :], name, at + 2))


def parse_ops(rows: list[bytes], name: str, first_line: int) -> NDArray[np.int64]:
    """Pack the operation lines; raises InputError with file and line."""
    orders: list[int] = []
    columns: list[tuple[int, int, int, int]] = []
    for line, row in enumerate(rows, first_line):
        try:
            match row.split():
                case [b"a", cpu, order, gfp]:
                    top = min(int(order), MAX_OP_ORDER)
                    columns.append((OP_ALLOC, int(cpu), top, int(gfp)))
                    orders.append(top)
                case [b"f", cpu, handle]:
                    columns.append((OP_FREE_HANDLE, int(cpu), orders[int(handle)], int(handle)))
                case [b"d", cpu]:
                    columns.append((OP_DRAIN, int(cpu), 0, 0))
                case []:
                    pass
                case _:
                    raise ValueError
            if columns and min(columns[-1]) < 0:
                raise ValueError
        except ValueError:
            raise InputError(
                f"bad operation {row[:40]!r}; expected a CPU ORDER GFP, f CPU HANDLE or d CPU", name, line
            ) from None
        except IndexError:
            raise InputError(f"handle {int(row.split()[2])} is freed before it is allocated", name, line) from None
    table = np.array(columns, np.int64).reshape(-1, 4)
    return pack_ops(*table.T)


@entry
@compiled
def fnv1a(pfns: NDArray[np.uint32]) -> Any:
    """Return the FNV-1a hash over page frame numbers, each taken as one word."""
    value = FNV_OFFSET
    for pfn in pfns:
        value = (value ^ np.uint64(pfn)) * FNV_PRIME
    return value


def replay(script: Script, allocator: PageAllocator | None = None) -> Outcome:
    """Run a script on a freshly booted machine; only the operations are timed, after the code is compiled."""
    machine = allocator or script.config.boot()
    warm_up(machine)
    results = machine.prepare(script.ops)
    begin = time.perf_counter()
    stopped = machine.resume(script.ops, results, 0, len(script.ops), lru_movable=script.config.lru_movable)
    seconds = time.perf_counter() - begin
    if stopped < len(script.ops):
        raise machine.explain(script.ops, results, stopped)
    nulls = int(np.count_nonzero(results.pfns == NO_RESULT))
    return Outcome(len(script.ops), nulls, seconds, hash_of(results.pfns))


def warm_up(allocator: PageAllocator) -> None:
    """Load or compile the engine by running no operation."""
    nothing = np.zeros(0, np.int64)
    allocator.resume(nothing, allocator.prepare(nothing), 0, 0)


def hash_of(pfns: NDArray[np.uint32]) -> int:
    """Return the hash over the results of all allocations, in order."""
    with np.errstate(over="ignore"):
        return int(fnv1a(pfns))
