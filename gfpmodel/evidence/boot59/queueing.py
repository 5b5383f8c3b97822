"""The calls of a log, each or only the blocks that they wanted, the drain timer, and the monitor's hand-over."""

from __future__ import annotations

from gfpmodel.evidence.boot59.compare import text
from gfpmodel.evidence.boot59.log import Line
from gfpmodel.evidence.boot59.working import Working
from gfpmodel.evidence.golden import DifferenceFound
from gfpmodel.evidence.recorded import queue_many
from gfpmodel.rcu import state as st
from gfpmodel.rcu.cache import ALLOCATED, CACHED, FAILED, FORCED, NO_SOURCE
from gfpmodel.rcu.chain import HEAD_MASK, kfree_rcu_monitor, kvfree_call_rcu
from gfpmodel.rcu.gp import rcu_seq_snap

GRACE_PERIOD = 4  # what a grace period adds to gp_seq
NOT_A_BLOCK = {FORCED: -FORCED, FAILED: -FAILED, NO_SOURCE: -FAILED}


class Queueing(Working):
    """The lines of calls and of the monitor."""

    def on_mark(self, _: int, line: Line) -> None:
        """S: the test begins, ends, or reaches a step."""
        if self.log.kind == "FLOOD" and line.a[0] == 0:
            self.know_cache(line.cpu, line.a[4])

    def on_block(self, at: int, line: Line) -> None:
        """B: a block was wanted; the call that wanted it is logged next."""
        _, channel, source, pfn, cached = line.a[:5]
        owner = line.a[0]
        self.quiet(line, owner)
        self.know_cache(owner, cached + (source == CACHED))
        self.fill_ahead(at, owner, cached + (source == CACHED))
        self.notice_emptied(line, owner, source)
        self.decide_ahead(at, owner, source)
        if source == NO_SOURCE:
            self.missed.add(owner)
        self.words[st.RECORDED_PFN] = pfn if source in (CACHED, ALLOCATED) else NOT_A_BLOCK.get(source, -FAILED)
        if self.every_object:
            call = self.ahead(at, ("Q", "ONE"), line.cpu)
            if call is None:
                raise DifferenceFound(line.number, "B", text(line), "no call follows")
            self.queue_one(call, line.cpu, channel)
        else:
            self.fill_block(at, line, channel)
        self.expect(line, owner)

    def notice_emptied(self, line: Line, owner: int, source: int) -> None:
        """Empty the cache as the test did by hand, which no line says: only the too-early test of mode 1 does it."""
        found = self.cached(owner)
        by_hand = self.log.kind == "GPBUG" and self.log.header.get("mode") == 1
        if by_hand and source != CACHED and not self.notes:
            self.rcu.forget_cache(owner)
            number = f"{found} block" + "s" * (found != 1)
            self.notes.append(f"line {line.number}: the test had emptied the cache by hand ({number}), as mode 1 does")

    def queue_one(self, call: Line, cpu: int, channel: int) -> None:
        """Make the call that a Q or ONE line records."""
        is_one = call.name == "ONE"
        number = call.a[0] if is_one else call.a[1]
        flags = st.VMALLOC * channel | st.ONE_ARGUMENT * (is_one or bool(call.a[5]))
        self.rcu.know(number + 1)
        now, self.words[st.GP_SEQ] = int(self.words[st.GP_SEQ]), call.gp_seq if is_one else self.seq_of_call(call)
        self.call(kvfree_call_rcu, cpu, number + 1, flags, mm=True)
        self.words[st.GP_SEQ] = now

    def seq_of_call(self, call: Line) -> int:
        """Return the gp_seq of which a call took its snapshot.

        With interrupts off, it is taken before the line is logged and after the line before it on the same cpu.
        """
        earliest = self.at_last_line.get(call.cpu, call.gp_seq)
        snap = call.a[4]
        if rcu_seq_snap(earliest) <= snap < rcu_seq_snap(call.gp_seq):
            return snap - GRACE_PERIOD
        return call.gp_seq

    def on_queued(self, _: int, line: Line) -> None:
        """Q: an object was queued; if a block was wanted for it, the model has queued it already."""
        owner, _, kind = line.a[:3]
        if not self.said[owner]:
            self.words[st.RECORDED_PFN] = -FAILED
            self.queue_one(line, line.cpu, 1 if kind == 1 else 0)
        self.expect(line, owner)

    def on_timer(self, _: int, line: Line) -> None:
        """T: the drain timer was armed."""
        owner = line.a[0]
        if not self.said[owner] and not self.every_object:
            self.queue_found(owner, 1)
        self.expect(line, owner)

    # in logs that do not say every object

    @property
    def is_mixed(self) -> bool:
        """Return whether every second object is a vmalloc pointer."""
        return self.log.form == "m"

    def next_channel(self) -> int:
        """Return the channel of the next object; its id is one less than its number."""
        return (self.next_object - 1) % 2 if self.is_mixed else int(self.log.form == "v")

    def fitting(self, owner: int) -> int:
        """Return how many of the next objects find room in the newest blocks, before one wants a new block."""
        channel = self.next_channel()
        if not self.is_mixed:
            return self.room(owner, channel)
        return min(2 * self.room(owner, channel), 2 * self.room(owner, 1 - channel) + 1)

    def room(self, owner: int, channel: int) -> int:
        """Return how many objects a channel's newest block can take."""
        newest = self.newest(owner, channel)
        return self.capacity - len(self.rcu.records(newest)) if newest != st.NULL else 0

    def newest(self, owner: int, channel: int) -> int:
        """Return a channel's newest block, or NULL."""
        return int(self.words[self.cpu_words(owner) + st.BHEAD + channel])

    def coming(self, owner: int, line: Line) -> int:
        """Return how many objects are queued until a drain that is logged later."""
        return line.a[1] - int(self.words[self.cpu_words(owner) + st.COUNT])

    def heads_due(self, at: int, owner: int, channel: int) -> int:
        """Return how many objects of a channel must have found no block before the last block before a drain.

        The drain's line says how many objects are in blocks; the others fell back while the newest block was full.  If
        it is full again at the drain, they may as well have fallen back after it.
        """
        lines = self.log.lines
        for line in (lines[n] for n in range(at + 1, len(lines))):
            if line.name == "B" and line.a[:2] == (owner, channel):
                return 0
            if line.name == "M" and line.a[0] == owner:
                blocks, objects = line.a[2 + channel], line.a[4 + channel]
                coming = self.coming(owner, line)
                if self.is_mixed:
                    coming = (coming + (self.next_channel() == channel)) // 2
                in_blocks = objects - int(self.words[self.cpu_words(owner) + st.NR_OBJECTS + channel])
                return max(coming - in_blocks, 0) if objects < blocks * self.capacity else 0
        return 0

    def fill_block(self, at: int, line: Line, channel: int) -> None:
        """Queue what came before the object that wanted this block, and that object.

        What wants a block meanwhile, and has no line, found none.
        """
        owner = line.a[0]
        due = self.heads_due(at, owner, channel)
        full = self.newest(owner, channel)
        self.queue_unlogged(owner, self.fitting(owner))
        while (is_other := self.is_mixed and self.next_channel() != channel) or due > 0:
            heads = 1 if self.is_mixed else due
            self.queue_unlogged(owner, heads, st.NO_BLOCK)
            due -= 0 if is_other else heads
            self.queue_unlogged(owner, self.fitting(owner))
        self.early.block_is_full(full, line.gp_seq)
        self.queue_unlogged(owner, 1)
        before = self.at_last_line.get(line.cpu, line.gp_seq)
        self.early.block_is_new(self.newest(owner, channel), before, line.gp_seq)

    def queue_found(self, owner: int, number: int) -> None:
        """Queue objects for which no block was made: those that find no room in one fell back."""
        while number > 0:
            fitting = min(self.fitting(owner), number)
            heads = 0 if fitting else 1 if self.is_mixed else number
            self.queue_unlogged(owner, fitting)
            self.queue_unlogged(owner, heads, st.NO_BLOCK)
            number -= fitting + heads

    def queue_unlogged(self, owner: int, count: int, flags: int = 0) -> None:
        """Queue objects of which the log says nothing, each of its form's channel."""
        if count == 0:
            return
        self.rcu.know(self.next_object + count - 1)
        flags |= st.VMALLOC * (self.log.form == "v")
        self.call(queue_many, owner, self.next_object, count, flags, int(self.is_mixed), mm=True, unlogged=st.EV_Q)
        self.next_object += count

    # the monitor

    def on_monitor(self, at: int, line: Line) -> None:
        """M: the drain timer's work ran."""
        owner = line.a[0]
        self.quiet(line, owner)
        self.fill_ahead(at, owner, line.a[7])
        if not self.every_object:
            self.queue_found(owner, self.coming(owner, line))
            for channel in range(2):
                self.early.block_is_full(self.newest(owner, channel), line.gp_seq)
            if not line.a[6]:
                self.early.misses.pop(owner, None)
        self.call(kfree_rcu_monitor, owner)
        self.expect(line, owner)

    def on_hand_over(self, _: int, line: Line) -> None:
        """H: the monitor has handed objects to a batch."""
        self.expect(line, line.a[0])
        if line.a[2] & HEAD_MASK:
            self.early.hand_over_heads(*line.a[:2])

    def on_rearmed(self, _: int, line: Line) -> None:
        """R: the monitor is done."""
        self.expect(line, line.a[0])
