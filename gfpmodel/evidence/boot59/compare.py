"""What a replay of a log holds: the chain, what it did that the log has still to say, and comparing the two."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gfpmodel.evidence.boot59.early import EarlyFrees, Span
from gfpmodel.evidence.boot59.log import Line, Log, kernel_of
from gfpmodel.evidence.golden import DifferenceFound
from gfpmodel.evidence.recorded import RecordedChain
from gfpmodel.rcu import state as st
from gfpmodel.rcu.snapshot import rows_in

OWNED = {"B", "Q", "T", "M", "H", "R", "RCUCB", "W", "K", "C", "F", "L", "E", "FILL"}
#: Fields that the format has and the model says; a5 and a6 of B are the page lists of the recorded machine.
COMPARED = {
    "B": (0, 1, 2, 3, 4, 7),
    "T": (0,),
    "ONE": (0, 1),
    "R": (0, 1, 2),
    "D": (0, 1),
    "C": (0, 1, 3, 4),
    "F": (0, 1, 3),
    "E": (0, 1),
}


def freeing(cpu: int) -> int:
    """Return the key of what a cpu frees, which goes on between the lines of what is queued there."""
    return -1 - cpu


def text(line: Line) -> str:
    """Return an event as the log writes it, without its time."""
    return " ".join(map(str, (line.name, *line.a)))


@dataclass
class Comparison:
    """A log and the chain that it is compared with."""

    log: Log
    rcu: RecordedChain = field(init=False)
    done: int = 0
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        cpus = 1 + max((max(line.cpu, line.a[0] if line.name in OWNED else 0) for line in self.log.lines), default=0)
        self.rcu = RecordedChain(kernel_of(self.log), cpus, self.log.summary.get("min_cached"))
        self.capacity = self.log.summary.get("capacity", self.rcu.capacity)
        self.every_object = any(line.name == "Q" for line in self.log.lines)
        self.said: dict[int, deque[Line]] = defaultdict(deque)  # by owner: what the model did and the log has to say
        self.decided: dict[int, deque[Line]] = defaultdict(deque)  # blocks given back before their line
        self.cache_known: set[int] = set()
        self.filled_ahead: set[int] = set()
        self.missed: set[int] = set()  # cpus that found their cache empty since their last refill
        self.next_object = 1
        self.grace_period = self.log.lines[0].gp_seq if self.log.lines else 0  # as of the last GPstart or GPend
        self.at_last_line: dict[int, int] = {}  # by cpu: the grace period when it logged its last line
        self.seen_by_work: dict[int, int] = {}  # by cpu: gp_seq in the last line of a work
        self.early = EarlyFrees()

    @property
    def words(self) -> NDArray[np.int64]:
        """Return the chain's words."""
        return self.rcu.words

    def call(self, function: Callable[..., object], *args: int, mm: bool = False, unlogged: int = -1) -> None:
        """Call a function of the chain, and remember what it did for the lines to come.

        ``unlogged`` is a kind of event of which the log has no lines: a flood of them would be forgotten again.
        """
        before = (self.rcu.mm,) if mm else ()
        function(*before, self.rcu.arrays, *args)
        rows = rows_in(self.rcu.arrays.log)
        if unlogged >= 0:
            rows = rows[rows[:, 2] != unlogged]
        for _, cpu, kind, gp_seq, *a in rows.tolist():
            name = st.EVENT_NAMES[kind]
            self.said[a[0] if name in OWNED else freeing(cpu)].append(Line(0, cpu, name, gp_seq, tuple(a)))
        self.forget()

    def forget(self) -> None:
        """Forget what the chain did, if the log does not say it."""
        self.rcu.arrays.log[st.EVENTS] = 0

    def expect(self, line: Line, owner: int) -> None:
        """Compare a line with what the model did next for this owner."""
        if not self.said[owner]:
            raise DifferenceFound(line.number, line.name, text(line), "nothing")
        got = self.said[owner].popleft()
        if got.name != line.name:
            raise DifferenceFound(line.number, line.name, text(line), text(got))
        for index in COMPARED.get(line.name, range(8)):
            if got.a[index] != line.a[index]:
                raise DifferenceFound(line.number, f"{line.name} a{index}", line.a[index], got.a[index])

    def quiet(self, line: Line, owner: int) -> None:
        """Refuse a line that comes while the model has still something else to say."""
        if self.said[owner]:
            raise DifferenceFound(line.number, line.name, text(line), text(self.said[owner][0]))

    def cpu_words(self, cpu: int) -> int:
        """Return where a cpu's words begin."""
        return st.MACHINE_WORDS + cpu * st.CPU_WORDS

    def batch_words(self, owner: int, batch: int) -> int:
        """Return where a batch's words begin."""
        return self.cpu_words(owner) + st.BATCH_BASE + batch * st.BATCH_WORDS

    def cached(self, cpu: int) -> int:
        """Return how many blocks a cpu has cached."""
        return int(self.words[self.cpu_words(cpu) + st.NR_CACHED])

    def know_cache(self, cpu: int, blocks: int) -> None:
        """Give a cpu the cache that it must have had when the log began; which pages, the log says later."""
        if cpu not in self.cache_known:
            self.cache_known.add(cpu)
            for _ in range(max(blocks, 0)):
                self.rcu.preload(cpu, -1)

    def ahead(self, at: int, names: tuple[str, ...], cpu: int) -> Line | None:
        """Return the next line of some kinds on a cpu."""
        lines = self.log.lines
        found = (n for n in range(at + 1, len(lines)) if lines[n].cpu == cpu and lines[n].name in names)
        return next((lines[n] for n in found), None)

    def since(self, line: Line) -> Span:
        """Return what gp_seq was since the line before: at least what has been logged, at most what this line read.

        A line takes its place in the log first and reads gp_seq then; GPstart and GPend are logged after the change.
        """
        return Span(self.grace_period, line.gp_seq)

    def see_free(self, freed: Line | None, earliest: int) -> None:
        """Set gp_seq to what the free hook read: after the work's line before this, and before its own is logged."""
        if freed is not None:
            self.words[st.GP_SEQ] = earliest if freed.a[1] else freed.gp_seq
