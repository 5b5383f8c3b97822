"""Event logs of booted kernels' kfree_rcu(), replayed on the model.

What comes from outside drives the chain: queue calls, failures of the page allocator, grace periods, and when timers,
callbacks and workers run.  What the chain makes of it is compared line by line: every block wanted and where it came
from, every hand-over with its masks, every block and object freed, in order, and the totals of the log's own summary.

A line takes its place in the log and reads gp_seq then; what it says was decided before, after the line before it in
the same context.  Where another cpu's grace period began or ended in between, both readings of gp_seq are the kernel's.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError
from gfpmodel.evidence.boot59.early import EarlyFrees, Span
from gfpmodel.evidence.boot59.log import Line, Log, kernel_of, read_log
from gfpmodel.evidence.golden import Difference, DifferenceFound
from gfpmodel.evidence.recorded import RecordedChain, free_records, queue_many
from gfpmodel.rcu import state as st
from gfpmodel.rcu.cache import ALLOCATED, CACHED, FAILED, FORCED, NO_SOURCE, fill_page_cache_func
from gfpmodel.rcu.chain import HEAD_MASK, kfree_rcu_monitor, kvfree_call_rcu
from gfpmodel.rcu.clock import free_waited, rcu_work_rcufn
from gfpmodel.rcu.gp import rcu_seq_snap
from gfpmodel.rcu.work import end_work, finish_block, free_object, next_head, start_block, start_work

GRACE_PERIOD = 4  # what a grace period adds to gp_seq
NOT_A_BLOCK = {FORCED: -FORCED, FAILED: -FAILED, NO_SOURCE: -FAILED}
AHEAD = 64  # lines in which a refill may stand after its effect: it is logged outside the lock
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


@dataclass
class Replay:
    """A log being replayed."""

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

    # driving

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

    def since(self, line: Line) -> Span:
        """Return what gp_seq was since the line before: at least what has been logged, at most what this line read.

        A line takes its place in the log first and reads gp_seq then; GPstart and GPend are logged after the change.
        """
        return Span(self.grace_period, line.gp_seq)

    @property
    def words(self) -> NDArray[np.int64]:
        """Return the chain's words."""
        return self.rcu.words

    def call(self, function: Callable[..., object], *args: int, mm: bool = False) -> None:
        """Call a function of the chain, and remember what it did for the lines to come."""
        before = (self.rcu.mm,) if mm else ()
        function(*before, self.rcu.arrays, *args)
        for done in self.rcu.events():
            key = done.a[0] if done.name in OWNED else freeing(done.cpu)
            self.said[key].append(Line(0, done.cpu, done.name, done.gp_seq, done.a))

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

    # queueing

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

    def on_one(self, at: int, line: Line) -> None:
        """ONE: a caller waits for a grace period, or has waited."""
        if line.a[1] == 0:
            return
        self.see_free(self.ahead(at, ("D",), line.cpu), line.gp_seq)
        self.call(free_waited, line.cpu, line.a[0] + 1)
        self.expect(line, freeing(line.cpu))

    # queueing in logs that do not say every object

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
        self.call(queue_many, owner, self.next_object, count, flags, int(self.is_mixed), mm=True)
        self.next_object += count
        self.said[owner] = deque(done for done in self.said[owner] if done.name != "Q")

    # the monitor and the worker

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

    def on_grace_period(self, _: int, line: Line) -> None:
        """GPstart, GPend: from outside."""
        self.words[st.GP_SEQ] = line.a[0]

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

    def batch_words(self, owner: int, batch: int) -> int:
        """Return where a batch's words begin."""
        return self.cpu_words(owner) + st.BATCH_BASE + batch * st.BATCH_WORDS

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
        self.rcu.events()

    def on_freed(self, _: int, line: Line) -> None:
        """D: an object reached the slab allocator or vfree()."""
        if not self.said[freeing(line.cpu)]:
            self.see_free(line, self.seen_by_work.get(line.cpu, line.gp_seq))
            self.free_recorded(line)
        self.expect(line, freeing(line.cpu))

    def see_free(self, freed: Line | None, earliest: int) -> None:
        """Set gp_seq to what the free hook read: after the work's line before this, and before its own is logged."""
        if freed is not None:
            self.words[st.GP_SEQ] = earliest if freed.a[1] else freed.gp_seq

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

    def on_end(self, _: int, line: Line) -> None:
        """E: a batch's work is done."""
        owner, batch = line.a[:2]
        words = self.batch_words(owner, batch)
        if not self.every_object:
            freed = Span(self.seen_by_work.get(line.cpu, line.gp_seq), line.gp_seq)
            self.early.free_heads(owner, batch, int(self.words[words + st.W_HEADS]), freed)
            while next_head(self.rcu.arrays, line.cpu, owner, batch) != st.NULL:
                pass
            self.rcu.events()
        rest = self.words[words + st.W_BHEAD], self.words[words + st.W_BHEAD + 1], self.words[words + st.W_HEAD]
        if not self.words[words + st.W_RUNNING]:
            raise DifferenceFound(line.number, "E", text(line), "this batch's work has not begun")
        if any(rest):
            raise DifferenceFound(line.number, "E", text(line), "blocks or objects are left")
        self.call(end_work, line.cpu, owner, batch)
        self.expect(line, owner)

    # the fill worker

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
        self.rcu.events()

    def fill_ahead(self, at: int, owner: int, cached: int) -> None:
        """Run rounds that were logged late: the log shows their blocks in the cache before their line."""
        for line in self.log.lines[at + 1 : at + 1 + AHEAD]:
            if self.cached(owner) >= cached:
                return
            if line.name == "FILL" and line.a[0] == owner and line.number not in self.filled_ahead:
                self.filled_ahead.add(line.number)
                self.fill(line)

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


def rcu_seq_end(seq: int) -> int:
    """Return the sequence number once the grace period that runs, if one does, has ended.

    Models: kernel/rcu/rcu.h:rcu_seq_end (v5.8).
    """
    return (seq + 3) & ~3


def freeing(cpu: int) -> int:
    """Return the key of what a cpu frees, which goes on between the lines of what is queued there."""
    return -1 - cpu


def text(line: Line) -> str:
    """Return an event as the log writes it, without its time."""
    return " ".join(map(str, (line.name, *line.a)))


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
