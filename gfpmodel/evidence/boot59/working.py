"""What follows a grace period in a log: callbacks, works, the blocks and the objects that they free, in order."""

from __future__ import annotations

from gfpmodel.evidence.boot59.compare import freeing, text
from gfpmodel.evidence.boot59.early import Span
from gfpmodel.evidence.boot59.filling import Filling
from gfpmodel.evidence.boot59.log import Line
from gfpmodel.evidence.golden import DifferenceFound
from gfpmodel.evidence.recorded import free_records
from gfpmodel.rcu import state as st
from gfpmodel.rcu.cache import CACHED
from gfpmodel.rcu.clock import free_waited, rcu_work_rcufn
from gfpmodel.rcu.work import end_work, finish_block, free_object, next_head, start_block, start_work


def rcu_seq_end(seq: int) -> int:
    """Return the sequence number once the grace period that runs, if one does, has ended.

    Models: kernel/rcu/rcu.h:rcu_seq_end (v5.8).
    """
    return (seq + 3) & ~3


class Working(Filling):
    """The lines of callbacks, works and what they free."""

    def on_callback(self, _: int, line: Line) -> None:
        """RCUCB: a batch's grace period is over; it cannot be over before it is.

        The callback goes by its rcu_node, to which rcu_gp_cleanup() writes the end of a grace period before it writes
        rcu_state.gp_seq, which the lines have: the last of a batch's grace periods may still seem to run.
        """
        owner, batch = line.a[:2]
        wanted = int(self.words[self.batch_words(owner, batch) + st.B_CALLBACK])
        if wanted > rcu_seq_end(line.gp_seq):
            asked = "nothing was asked for" if wanted == st.NEVER else f"it waits for {wanted}"
            raise DifferenceFound(line.number, "RCUCB", text(line), asked)
        self.call(rcu_work_rcufn, owner, batch)
        self.expect(line, owner)

    def on_work(self, _: int, line: Line) -> None:
        """W: a batch's work starts, after its callback."""
        owner, batch = line.a[:2]
        if self.words[self.batch_words(owner, batch) + st.W_READY] == st.NEVER:
            raise DifferenceFound(line.number, "W", text(line), "no callback has run")
        self.call(start_work, owner, batch)
        self.early.start_work(owner, batch)
        self.expect(line, owner)

    def on_bulk(self, _: int, line: Line) -> None:
        """K: a block is freed in bulk."""
        owner, batch = line.a[:2]
        self.call(start_block, line.cpu, owner, batch)
        self.expect(line, owner)
        if not self.every_object:
            self.early.start_block(line.a[3], int(self.words[self.batch_words(owner, batch) + st.W_BLOCK]), line)
            self.free_rest(line.cpu, owner, batch)

    def free_rest(self, cpu: int, owner: int, batch: int) -> None:
        """Free the records of a block of which the log does not say each."""
        free_records(self.rcu.arrays, cpu, owner, batch)
        self.forget()

    def on_freed(self, _: int, line: Line) -> None:
        """D: an object reached the slab allocator or vfree()."""
        if not self.said[freeing(line.cpu)]:
            self.see_free(line, self.seen_by_work.get(line.cpu, line.gp_seq))
            self.free_recorded(line)
        self.expect(line, freeing(line.cpu))

    def free_recorded(self, line: Line) -> None:
        """Free an object of the block in work: kfree_bulk() sorts a block's objects by slab page, vfree() does not."""
        owner, batch = self.in_work(line.cpu)
        words = self.batch_words(owner, batch)
        left = self.records_left(owner, batch)
        obj = line.a[0] + 1
        in_order = self.words[words + st.W_CHANNEL] == 1
        if not left or obj not in left or (in_order and left[0] != obj):
            raise DifferenceFound(line.number, "D", line.a[0], left[0] - 1 if left else "no object is left in a block")
        self.rcu.take_record(words, obj)
        self.call(free_object, line.cpu, obj)

    def records_left(self, owner: int, batch: int) -> list[int]:
        """Return the objects of the block in work that are not freed yet."""
        words = self.batch_words(owner, batch)
        return self.rcu.records(int(self.words[words + st.W_BLOCK]))[int(self.words[words + st.W_RECORD]) :]

    def in_work(self, cpu: int) -> tuple[int, int]:
        """Return whose batch has a block in work, the cpu's own first."""
        found = self.blocks_in_work()
        return min(found, key=lambda place: place[0] != cpu) if found else (cpu, 0)

    def on_block_done(self, at: int, line: Line) -> None:
        """C, F: a block goes to a cache or back to the allocator."""
        owner, cache = line.a[:2]
        if self.decided[owner]:
            decided = self.decided[owner].popleft()
            cached = (*decided.a[:4], line.a[4], *decided.a[5:])  # counted later, when it may have changed
            self.said[owner].appendleft(decided._replace(a=cached))
        else:
            before = line.a[4] - 1 if line.name == "C" else int(self.words[st.CACHE_LIMIT])
            self.know_cache(cache, before)
            self.fill_ahead(at, cache, before)
            batch = next((batch for at_owner, batch in self.blocks_in_work() if at_owner == owner), None)
            if batch is None:
                raise DifferenceFound(line.number, line.name, text(line), "no block is in work")
            if left := self.records_left(owner, batch):
                raise DifferenceFound(line.number, line.name, text(line), f"object {left[0] - 1} is not freed yet")
            self.call(finish_block, line.cpu, owner, batch, mm=True)
        self.expect(line, owner)
        self.early.end_block(line.a[3], line.gp_seq)

    def blocks_in_work(self) -> list[tuple[int, int]]:
        """Return the owners and batches that have a block in work."""
        every = ((owner, batch) for owner in range(self.rcu.cpus) for batch in range(st.READY_BATCH))
        return [(o, b) for o, b in every if self.words[self.batch_words(o, b) + st.W_BLOCK] != st.NULL]

    def decide_ahead(self, at: int, cpu: int, source: int) -> None:
        """Put away a block whose line comes later: F is logged outside the lock, and in v5.8 so is C.

        Called before a block is taken from a cache: a full one could not be found full afterwards, and an empty one
        has nothing to take.
        """
        full = 0 < self.words[st.CACHE_LIMIT] <= self.cached(cpu)
        if not full and not (source == CACHED and self.cached(cpu) == 0):
            return
        for owner, batch in self.blocks_in_work():
            pfn = self.rcu.page_of(int(self.words[self.batch_words(owner, batch) + st.W_BLOCK]))
            ends = (line for line in self.log.lines[at:] if line.name in ("C", "F") and line.a[3] == pfn)
            end = next(ends, None)
            if end and end.name == ("F" if full else "C") and not self.records_left(owner, batch):
                self.call(finish_block, end.cpu, owner, batch, mm=True)
                self.decided[owner].append(self.said[owner].pop())

    def on_head(self, at: int, line: Line) -> None:
        """L: an object of the head list is freed."""
        owner, batch = line.a[:2]
        self.see_free(self.ahead(at, ("D",), line.cpu), line.gp_seq)
        self.call(next_head, line.cpu, owner, batch)
        self.expect(line, owner)

    def on_one(self, at: int, line: Line) -> None:
        """ONE: a caller waits for a grace period, or has waited."""
        if line.a[1] == 0:
            return
        self.see_free(self.ahead(at, ("D",), line.cpu), line.gp_seq)
        self.call(free_waited, line.cpu, line.a[0] + 1)
        self.expect(line, freeing(line.cpu))

    def on_end(self, _: int, line: Line) -> None:
        """E: a batch's work is done."""
        owner, batch = line.a[:2]
        words = self.batch_words(owner, batch)
        if not self.every_object:
            freed = Span(self.seen_by_work.get(line.cpu, line.gp_seq), line.gp_seq)
            self.early.free_heads(owner, batch, int(self.words[words + st.W_HEADS]), freed)
            while next_head(self.rcu.arrays, line.cpu, owner, batch) != st.NULL:
                pass
            self.forget()
        rest = self.words[words + st.W_BHEAD], self.words[words + st.W_BHEAD + 1], self.words[words + st.W_HEAD]
        if not self.words[words + st.W_RUNNING]:
            raise DifferenceFound(line.number, "E", text(line), "this batch's work has not begun")
        if any(rest):
            raise DifferenceFound(line.number, "E", text(line), "blocks or objects are left")
        self.call(end_work, line.cpu, owner, batch)
        self.expect(line, owner)
