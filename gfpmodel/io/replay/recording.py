"""A trace as operations of the model, kept in a temporary file: memory does not grow with the trace's length."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError
from gfpmodel.gfp import layout
from gfpmodel.io.ftrace import masks
from gfpmodel.io.ftrace.reader import EXCERPT, Columns, Problem, TraceReader, open_trace
from gfpmodel.io.replay import pack as pk

IN_MEMORY = 1 << 26  #: bytes of operations; more go to a temporary file
WIDTH = 5
SPARE = 4096  #: room for frees that are not in the trace: a large block may lie where many small ones were


class Operations:
    """Operations as five columns of int64 (word, time, mask's number, task's number, run), in chunks."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (lives as long as this)
        self._sizes: list[int] = []

    def append(self, columns: NDArray[np.int64]) -> None:
        """Add a chunk."""
        self._file.write(np.ascontiguousarray(columns).tobytes())
        self._sizes.append(columns.shape[1])

    def __len__(self) -> int:
        return sum(self._sizes)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        self._file.seek(0)
        for size in self._sizes:
            yield np.frombuffer(self._file.read(8 * WIDTH * size), np.int64).reshape(WIDTH, size)


@dataclass
class Recording:
    """What a trace says, ready to be replayed.

    ``counts`` are the words of ``pack``'s state; ``where`` tells which pfns were named, ``blocks`` the first type seen
    in each pageblock (255: none), ``before`` the blocks (pfn << 8 | order) in use at the start.
    """

    name: str
    events: dict[str, int]
    lines: int
    problems: list[Problem]
    unreadable: int
    lost: int
    cpus: int
    choice: masks.Choice
    masks: dict[int, tuple[str, int]]
    tasks: dict[int, str]
    other_lines: dict[str, int]
    operations: Operations
    allocations: int
    counts: NDArray[np.int64]
    where: NDArray[np.uint32]
    blocks: NDArray[np.uint8]
    before: NDArray[np.int64]
    highest_pfn: int
    seconds: tuple[int, int] = (0, 0)

    @property
    def kernel(self) -> str:
        """Return the kernel of the trace: the release that it names, else the one whose names its masks have."""
        return self.choice.told or self.choice.layout.kernel

    @property
    def counts_by_name(self) -> dict[str, int]:
        """Return the allocations that got a page, the frees, and the allocations that failed."""
        words = {"alloc": pk.C_ALLOC, "free": pk.C_FREE, "failed": pk.C_FAILED}
        return {name: int(self.counts[word]) for name, word in words.items()}

    def _named(self, names: dict[str, int]) -> dict[str, int]:
        return {reason: int(self.counts[word]) for reason, word in names.items() if self.counts[word]}

    @property
    def skipped(self) -> dict[str, int]:
        """Return how many events are not replayed, by reason."""
        return self._named(pk.SKIPPED)

    @property
    def assumed(self) -> dict[str, int]:
        """Return how often the trace does not say all, by what is assumed then."""
        return self._named(pk.ASSUMED)


@dataclass
class Packer:
    """The state of turning events into operations."""

    operations: Operations = field(default_factory=Operations)
    where: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(1 << 16, np.uint32))
    blocks: NDArray[np.uint8] = field(default_factory=lambda: np.full(1 << 7, pk.NO_TYPE, np.uint8))
    handles: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1 << 12, np.int64))
    before: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1 << 12, np.int64))
    runs: NDArray[np.int64] = field(default_factory=lambda: np.zeros(pk.MAX_CPUS * pk.RUN_WORDS, np.int64))
    state: NDArray[np.int64] = field(default_factory=lambda: np.zeros(pk.STATE_WORDS, np.int64))
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros((64, 2), np.int64))
    cpus: int = 0
    times: tuple[int, int] | None = None

    def add(self, columns: Columns) -> None:
        """Add a chunk of a trace."""
        rows = len(columns.event)
        pfns = columns.pfn[(columns.pfn > 0) & (columns.pfn < pk.MAX_PAGES)]
        self._measure(pfns)
        highest = int(self.sizes[:, 1].max())
        self.cpus = max(self.cpus, int(columns.cpu[columns.cpu < pk.MAX_CPUS].max(initial=-1)) + 1)
        first = self.times[0] if self.times else int(columns.time[0])
        self.times = (first, int(columns.time[-1]))
        self.where = grown(self.where, highest + 1)
        self.blocks = grown(self.blocks, (highest >> pk.BLOCK_ORDER) + 1, pk.NO_TYPE)
        self.handles = grown(self.handles, int(self.state[pk.HANDLES]) + rows)
        self.before = grown(self.before, int(self.state[pk.UNKNOWN]) + rows)
        room = 2 * rows + SPARE
        out = np.zeros(WIDTH * room, np.int64)
        history = (self.handles, self.before, self.runs, self.state, out)
        pk.pack(np.concatenate(columns), rows, self.where, self.blocks, *history, room)
        self.operations.append(out.reshape(WIDTH, -1)[:, : int(self.state[pk.OPS])])

    def _measure(self, pfns: NDArray[np.int64]) -> None:
        """Count pfns by their number of bits, and keep the highest of each."""
        bits = np.frexp(pfns)[1]
        for size in np.unique(bits).tolist():
            of_size = pfns[bits == size]
            self.sizes[size, 0] += len(of_size)
            self.sizes[size, 1] = max(int(self.sizes[size, 1]), int(of_size.max()))

    @property
    def highest_pfn(self) -> int:
        """Return the highest pfn that is no outlier: a torn number must not make a machine of a hundred gigabytes.

        Outliers are a handful, less than a percent, and four times or more above all others.
        """
        seen = np.flatnonzero(self.sizes[:, 0]).tolist()
        for at in reversed(range(len(seen))):
            size, lower = seen[at], seen[at - 1] if at else -1
            few = self.sizes[size, 0] < 10 and 100 * self.sizes[size, 0] < self.sizes[:, 0].sum()
            if not few or lower < 0 or size - lower < 3:
                return int(self.sizes[size, 1])
        return 0


def grown(array: NDArray[Any], length: int, fill: int = 0) -> NDArray[Any]:
    """Return an array of at least this length, with what was in it."""
    if length <= len(array):
        return array
    more: NDArray[Any] = (
        np.full(max(length, 2 * len(array)), fill, array.dtype)
        if fill
        else np.zeros(max(length, 2 * len(array)), array.dtype)
    )
    more[: len(array)] = array
    return more


def read_recording(name: str, kernel: str | None = None, config: dict[str, bool] | None = None) -> Recording:
    """Read a trace as operations.

    Arguments: a file (.gz and .xz, too) or ``-`` for standard input; the kernel whose names the masks have, None to
    deduce it.  Raises InputError if nothing in it can be replayed, with what was expected first.
    """
    names = None if kernel is None else layout(kernel, config)
    packer = Packer()
    with open_trace(name) as reader:
        for columns in reader:
            packer.add(columns)
    return finish(reader, packer, names)


def finish(reader: TraceReader, packer: Packer, names: Any) -> Recording:
    """Return the recording of a trace that was read to its end; raises InputError if it has no event."""
    if not reader.read:
        first = next(iter(reader.problems), None)
        why = f"no event of a trace that can be read in {reader.lines} lines"
        raise InputError(f"{why}; {first}" if first else why, reader.name, first.line if first else None)
    found = reader.masks()
    texts = [text for text, _ in found.values()]
    chosen = masks.choice(names, texts) if names else masks.choose(texts, reader.since, reader.release)
    problems = reader.problems
    lines = dict(found.values())
    for text, remark in chosen.remarks():
        line = lines[text] if text is not None else min(lines.values())
        problems.append(Problem(remark, line, 1, text[:EXCERPT] if text and text in chosen.unknown else ""))
    return Recording(
        name=reader.name,
        events=reader.events,
        lines=reader.lines,
        problems=problems,
        unreadable=reader.unreadable,
        lost=reader.lost,
        cpus=max(packer.cpus, 1),
        choice=chosen,
        masks=found,
        tasks=reader.tasks(),
        other_lines=reader.other_lines,
        operations=packer.operations,
        allocations=int(packer.state[pk.HANDLES]),
        counts=packer.state,
        where=packer.where,
        blocks=packer.blocks,
        before=packer.before[: int(packer.state[pk.UNKNOWN])],
        highest_pfn=packer.highest_pfn,
        seconds=packer.times or (0, 0),
    )
