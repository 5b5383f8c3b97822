"""The fill worker of a log: its rounds, those that failed without a line, and those that were logged late."""

from __future__ import annotations

from collections import deque

from gfpmodel.evidence.boot59.compare import Comparison, text
from gfpmodel.evidence.boot59.log import Line
from gfpmodel.evidence.golden import DifferenceFound
from gfpmodel.rcu import state as st
from gfpmodel.rcu.cache import FORCED, fill_page_cache_func

AHEAD = 64  # lines in which a refill may stand after its effect: it is logged outside the lock


class Filling(Comparison):
    """The lines of the fill worker."""

    def on_fill(self, _: int, line: Line) -> None:
        """FILL: a round of the fill worker."""
        if line.number not in self.filled_ahead:
            self.fill(line)

    def fill(self, line: Line) -> None:
        """Run a round of the fill worker, which a miss must have asked for; rounds that failed may have no line."""
        owner, pfn, _, _, number = line.a[:5]
        if self.filling(owner) and self.round(owner) > number:
            self.fail_rounds(owner, int(self.words[st.CACHE_LIMIT]))
        if not self.filling(owner):
            self.begin_fill(line, owner)
        self.fail_rounds(owner, number)
        self.missed.discard(owner)
        self.words[st.RECORDED_PFN] = pfn or -FORCED
        waiting = self.said.pop(owner, deque())
        self.call(fill_page_cache_func, owner, mm=True)
        self.expect(line, owner)
        self.said[owner] = waiting

    def filling(self, owner: int) -> bool:
        """Return whether a cpu's fill worker is asked for or runs."""
        return bool(self.words[self.cpu_words(owner) + st.WORK_IN_PROGRESS])

    def round(self, owner: int) -> int:
        """Return the number of the fill worker's next round, from 0."""
        return int(self.words[self.cpu_words(owner) + st.FILL_ROUND])

    def begin_fill(self, line: Line, owner: int) -> None:
        """Ask for a refill that a miss asked for while the model took the last one to go on."""
        if self.every_object and owner not in self.missed:
            raise DifferenceFound(line.number, "FILL", text(line), "no refill was asked for")
        self.words[self.cpu_words(owner) + st.WORK_IN_PROGRESS] = 1
        self.words[self.cpu_words(owner) + st.FILL_ROUND] = 0

    def fail_rounds(self, owner: int, until: int) -> None:
        """Let rounds fail of which the log has no line."""
        self.words[st.RECORDED_PFN] = -FORCED
        while self.filling(owner) and self.round(owner) < until:
            fill_page_cache_func(self.rcu.mm, self.rcu.arrays, owner)
        self.forget()

    def fill_ahead(self, at: int, owner: int, cached: int) -> None:
        """Run rounds that were logged late: the log shows their blocks in the cache before their line."""
        for line in self.log.lines[at + 1 : at + 1 + AHEAD]:
            if self.cached(owner) >= cached:
                return
            if line.name == "FILL" and line.a[0] == owner and line.number not in self.filled_ahead:
                self.filled_ahead.add(line.number)
                self.fill(line)
