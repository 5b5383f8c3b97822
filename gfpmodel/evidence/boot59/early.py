"""Objects freed before their grace period: how many a log without a line for each object can have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gfpmodel.evidence.boot59.log import Line
from gfpmodel.rcu.gp import rcu_seq_snap


class Span(NamedTuple):
    """What gp_seq was, at least and at most, while something happened."""

    first: int
    last: int


@dataclass
class EarlyFrees:
    """How many objects were freed before their snapshot, at ``least`` and at ``most``: a flood has no line for each.

    A block's objects were queued between its line B and that of its channel's next block, or the drain (only the first
    may have its snapshot from before B), and freed between K and C or F; those without a block were queued while the
    cache was empty, and freed at a work's end.
    """

    least: int = 0
    most: int = 0
    blocks: dict[int, Span] = field(default_factory=dict)  #: when a block's objects were queued
    misses: dict[int, Span] = field(default_factory=dict)  #: by cpu: when the objects on its head list were queued
    handed: dict[tuple[int, int], Span] = field(default_factory=dict)  #: the same by batch (owner, number)
    in_work: dict[tuple[int, int], Span] = field(default_factory=dict)  #: the same of a batch's running work
    firsts: dict[int, int] = field(default_factory=dict)  #: gp_seq before a block's line B
    in_bulk: dict[int, tuple[int, Span, Span, int]] = field(default_factory=dict)  #: by page, for end_block()

    def note_misses(self, cpus: list[int], since: Span) -> None:
        """Note cpus whose cache was empty: objects queued there meanwhile may have found no block."""
        for cpu in cpus:
            self.misses[cpu] = Span(self.misses.get(cpu, since).first, since.last)

    def block_is_new(self, block: int, before: int, gp_seq: int) -> None:
        """Note that a block got its first object later than one gp_seq, and the next ones later than another."""
        self.blocks[block] = Span(gp_seq, gp_seq)
        self.firsts[block] = before

    def block_is_full(self, block: int, gp_seq: int) -> None:
        """Note that a block got its last object, so far, at a gp_seq or before."""
        if block in self.blocks:
            self.blocks[block] = self.blocks[block]._replace(last=gp_seq)

    def hand_over_heads(self, owner: int, batch: int) -> None:
        """Note that a cpu's head list went to a batch."""
        if owner in self.misses:
            self.handed[owner, batch] = self.misses.pop(owner)

    def start_work(self, owner: int, batch: int) -> None:
        """Note that a work took what its batch had."""
        if (owner, batch) in self.handed:
            self.in_work[owner, batch] = self.handed.pop((owner, batch))

    def start_block(self, pfn: int, block: int, line: Line) -> None:
        """Note that the freeing of a block's objects begins."""
        if block in self.blocks:
            queued = self.blocks.pop(block)
            first = Span(self.firsts.pop(block), queued.last)
            self.in_bulk[pfn] = (line.a[4], first, queued, line.gp_seq)

    def end_block(self, pfn: int, gp_seq: int) -> None:
        """Count a block's objects, freed by now."""
        if pfn in self.in_bulk:
            number, first, queued, begun = self.in_bulk.pop(pfn)
            self.count(1, first, Span(begun, gp_seq))
            self.count(number - 1, queued, Span(begun, gp_seq))

    def free_heads(self, owner: int, batch: int, number: int, freed: Span) -> None:
        """Count the objects of a work's head list."""
        if (owner, batch) in self.in_work:
            self.count(number, self.in_work.pop((owner, batch)), freed)

    def count(self, number: int, queued: Span, freed: Span) -> None:
        """Count objects that were freed too early, or may have been."""
        self.least += number * (rcu_seq_snap(queued.first) > freed.last)
        self.most += number * (rcu_seq_snap(queued.last) > freed.first)
