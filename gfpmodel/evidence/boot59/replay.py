"""Event logs of booted kernels' kfree_rcu(), replayed on the model.

What comes from outside drives the chain: queue calls, failures of the page allocator, grace periods, and when timers,
callbacks and workers run.  What the chain makes of it is compared line by line: every block wanted and where it came
from, every hand-over with its masks, every block and object freed, in order, and the totals of the log's own summary.

A line takes its place in the log and reads gp_seq then; what it says was decided before, after the line before it in
the same context.  Where another cpu's grace period began or ended in between, both readings of gp_seq are the kernel's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gfpmodel.errors import InputError
from gfpmodel.evidence.boot59.log import Line, read_log
from gfpmodel.evidence.boot59.queueing import Queueing
from gfpmodel.evidence.golden import Difference, DifferenceFound
from gfpmodel.rcu import state as st

#: What the log's summary calls the model's counters.
TOTALS = {
    "cache_hits": "cache_hits",
    "pages_alloc": "pages_alloc",
    "alloc_failed": "alloc_failed",
    "alloc_forced_fail": "forced_failed",
    "pages_freed": "pages_freed",
    "to_cache": "to_cache",
    "fallbacks": "head_objects",
    "early": "early",
    "freed": "freed",
}


def verify(path: Path) -> tuple[int, Difference | None, tuple[str, ...]]:
    """Replay a log; returns how many events agreed, the first difference, and what deserves to be named."""
    log = read_log(path)
    replay = Replay(log)
    try:
        replay.run()
    except DifferenceFound as found:
        return replay.done, found.difference, tuple(replay.notes)
    return replay.done, None, tuple(replay.notes)


class Replay(Queueing):
    """A log being replayed."""

    def run(self) -> None:
        """Go through the log; raises DifferenceFound."""
        if self.capacity != self.rcu.capacity:
            raise DifferenceFound(2, "capacity", self.capacity, self.rcu.capacity)
        for at, line in enumerate(self.log.lines):
            self.words[st.GP_SEQ] = line.gp_seq
            handler = HANDLERS.get(line.name)
            if handler is None:
                raise InputError(f"unknown event {line.name!r}", str(self.log.path), line.number)
            if not self.every_object:
                self.early.note_misses([cpu for cpu in range(self.rcu.cpus) if not self.cached(cpu)], self.since(line))
            handler(self, at, line)
            self.note_time(line)
            self.done += 1
        self.compare_totals()

    def note_time(self, line: Line) -> None:
        """Remember which grace period a line has seen."""
        if line.name in GRACE_PERIODS:
            self.grace_period = line.a[0]
        if line.name in WORK:
            self.seen_by_work[line.cpu] = line.gp_seq
        self.at_last_line[line.cpu] = self.grace_period

    def on_grace_period(self, _: int, line: Line) -> None:
        """GPstart, GPend: from outside."""
        self.words[st.GP_SEQ] = line.a[0]

    def compare_totals(self) -> None:
        """Compare the log's summary with the model's counters."""
        counters = self.rcu.counters
        unsaid = set()
        if not self.every_object or self.words[st.FILL_GFP] >= 0:  # no line for each failure
            unsaid = {"alloc_forced_fail", "alloc_failed"}
        if self.notes:
            unsaid |= set(TOTALS) - {"freed", "early"}
        if not self.every_object:
            unsaid.add("early")
            self.compare_early()
        for name, ours in TOTALS.items():
            if name in unsaid:
                continue
            if name in self.log.summary and self.log.summary[name] != getattr(counters, ours):
                raise DifferenceFound(2, name, self.log.summary[name], getattr(counters, ours))

    def compare_early(self) -> None:
        """Compare how many objects were freed too early, of which this log has no lines, with what can have been."""
        least, most = self.early.least, self.early.most
        recorded = self.log.summary.get("early", least)
        if not least <= recorded <= most:
            raise DifferenceFound(2, "early", recorded, f"{least} to {most}" if least < most else least)


HANDLERS: dict[str, Callable[[Replay, int, Line], None]] = {
    "S": Replay.on_mark,
    "B": Replay.on_block,
    "Q": Replay.on_queued,
    "T": Replay.on_timer,
    "ONE": Replay.on_one,
    "M": Replay.on_monitor,
    "H": Replay.on_hand_over,
    "R": Replay.on_rearmed,
    "GPstart": Replay.on_grace_period,
    "GPend": Replay.on_grace_period,
    "RCUCB": Replay.on_callback,
    "W": Replay.on_work,
    "K": Replay.on_bulk,
    "D": Replay.on_freed,
    "C": Replay.on_block_done,
    "F": Replay.on_block_done,
    "L": Replay.on_head,
    "E": Replay.on_end,
    "FILL": Replay.on_fill,
}
GRACE_PERIODS = ("GPstart", "GPend")
WORK = {"W", "K", "D", "C", "F", "L", "E"}
