"""Op scripts: plain text, one operation a line, replayed in one go and summed up in one hash."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError
from gfpmodel.io.config import MOST_DIGITS, Config
from gfpmodel.mm import PageAllocator, Rule, gates, pack_ops
from gfpmodel.mm.jit import compiled, entry
from gfpmodel.mm.kernels import FIRST, rules_of
from gfpmodel.mm.ops import MAX_OP_ORDER, check_mask
from gfpmodel.mm.run import NO_RESULT, OP_ALLOC, OP_DRAIN, OP_FREE_HANDLE

FNV_OFFSET = np.uint64(1469598103934665603)
FNV_PRIME = np.uint64(1099511628211)
KINDS = {b"a": OP_ALLOC, b"f": OP_FREE_HANDLE, b"d": OP_DRAIN}


@dataclass(frozen=True)
class Script:
    """A script: its name, the machine it asks for, its operations packed for a bulk run, and the line of each."""

    config: Config
    ops: NDArray[np.int64]
    name: str
    lines: NDArray[np.int64]


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


def read_script(data: bytes, name: str, kernel: str = FIRST) -> Script:
    """Parse a script for a kernel's allocator; raises InputError, with file and line for what is no script.

    From v6.18 on pageblock_order is 10 unless the script says it, and ``param kernel`` means nothing.
    """
    config, rows = Config(rules=rules_of(kernel).name), data.splitlines()
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
    try:
        cpus = config.machine.cpus
    except InputError as error:
        raise InputError(error.message, name, at + 1) from None
    columns, lines = parse_ops(rows[at + 1 :], name, at + 2, cpus, config.rule)
    return Script(config, pack_ops(*columns.T), name, lines)


def parse_ops(
    rows: list[bytes], name: str, first_line: int, cpus: int, rule: Rule | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the operations as a table (kind, cpu, order, argument), and the line of each.

    Raises InputError with file and line for what is no operation of a machine with so many cpus and this proposal.
    """
    orders: list[int] = []
    table: list[tuple[int, int, int, int]] = []
    lines: list[int] = []
    known: dict[bytes, tuple[int, int, int, int]] = {}  # allocations, of which most say what others have said
    for line, row in enumerate(rows, first_line):
        one = known.get(row)
        if one is None:
            words = row.split()
            if not words:
                continue
            try:
                kind, cpu, _, argument = one = parse_op(words, orders)
                gates.cpu(cpu, cpus)
                if kind == OP_ALLOC:
                    check_mask(argument, rule.flag if rule else 0)
                    known[row] = one
            except InputError as error:
                raise InputError(error.message, name, line) from None
        if one[0] == OP_ALLOC:
            orders.append(one[2])
        table.append(one)
        lines.append(line)
    return np.array(table, np.int64).reshape(-1, 4), np.array(lines, np.int64)


def parse_op(words: list[bytes], orders: list[int]) -> tuple[int, int, int, int]:
    """Return an operation: kind, cpu, order, argument.  ``orders`` are those of the allocations before it."""
    numbers_only = all(word.isdigit() and len(word) <= MOST_DIGITS for word in words[1:])
    match words if numbers_only else []:
        case [b"a", cpu, order, gfp]:
            return OP_ALLOC, int(cpu), min(int(order), MAX_OP_ORDER), int(gfp)
        case [b"f", cpu, handle]:
            if int(handle) >= len(orders):
                raise InputError(f"handle {int(handle)} is freed before it is allocated")
            return OP_FREE_HANDLE, int(cpu), orders[int(handle)], int(handle)
        case [b"d", cpu]:
            return OP_DRAIN, int(cpu), 0, 0
    given = b" ".join(words)[:40]
    raise InputError(f"bad operation {given!r}; expected a CPU ORDER GFP, f CPU HANDLE or d CPU")


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
    stopped = machine.resume(results, 0, len(script.ops), lru_movable=script.config.lru_movable)
    seconds = time.perf_counter() - begin
    if stopped < len(script.ops):
        raise InputError(machine.explain(results, stopped).message, script.name, int(script.lines[stopped]))
    nulls = int(np.count_nonzero(results.pfns == NO_RESULT))
    return Outcome(len(script.ops), nulls, seconds, hash_of(results.pfns))


def warm_up(allocator: PageAllocator) -> None:
    """Load or compile the engine by running no operation."""
    allocator.run(np.zeros(0, np.int64))


def hash_of(pfns: NDArray[np.uint32]) -> int:
    """Return the hash over the results of all allocations, in order."""
    with np.errstate(over="ignore"):
        return int(fnv1a(pfns))
