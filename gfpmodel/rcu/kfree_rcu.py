"""The public object: kfree_rcu() of one kernel on a machine with a clock."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError, MisuseError
from gfpmodel.gfp import encode
from gfpmodel.mm import Machine, PageAllocator, Rule, Zone, gates, jit
from gfpmodel.mm.events import MAX_EVENTS, Ring
from gfpmodel.mm.gates import locked
from gfpmodel.mm.kernels import on_each, room_on
from gfpmodel.mm.mmzone import MAX_PFN
from gfpmodel.mm.state import IN_USE, Traced
from gfpmodel.rcu import state as st
from gfpmodel.rcu.cache import alloc_page, drain_page_cache, preload_block
from gfpmodel.rcu.chain import DUPLICATE, FIRST_ONLY, LEFT, MUST_WAIT, REPEAT, kfree_rcu_monitor, kvfree_call_rcu
from gfpmodel.rcu.clock import call_rcu, run_calls, run_events, synchronize_rcu
from gfpmodel.rcu.snapshot import COUNTER_WORDS, Counters, Krc, RcuEvent, check_cpu, events_in, krc_at
from gfpmodel.rcu.state import Rcu
from gfpmodel.rcu.timing import NS_PER_S, Timing
from gfpmodel.rcu.versions import BY_PROPOSAL, CHANNELS, MOST_CACHED, Version, version

MAX_OBJECTS = 1 << 31
MAX_NOW = 1 << 60  #: ns: 36 years
MAX_COUNT = 1 << 40  #: of callbacks and objects
HAND_OVER_RULES = {"first": FIRST_ONLY, "repeat": REPEAT, "left": LEFT}
for _one in (alloc_page, kvfree_call_rcu, synchronize_rcu, run_calls, run_events, drain_page_cache):
    on_each(_one)
SMALL_MACHINE = Machine((Zone(2, 4096, 1 << 16),))  # 256 MiB, one cpu


class KfreeRcu:
    """kfree_rcu() and kvfree_rcu() of a kernel, each block a page of the allocator's.

    Arguments: the version's name (see VERSIONS); the machine after boot, else a small one of one cpu; ``proposal``, a
    row by which blocks are asked for in place of the version's own mask (and on PREEMPT_RT too, which asks for
    none); ``preempt_rt``; ``fixed`` to turn the fix 5da7cb193db3 on or off, else as the version has it;
    ``min_cached``, rcutree.rcu_min_cached_objs; times; ``fail`` the probability that a request for a block is
    made to fail, drawn from ``seed``; ``events``, how many the ring holds; ``object_size`` of an object (bytes).
    Raises InputError.

    Models: kernel/rcu/tree.c, from kfree_call_rcu() to kfree_rcu_work(), with CONFIG_DEBUG_OBJECTS_RCU_HEAD, a
    running scheduler and no hotplug; a call is made to wait as a whole, not its cpu.
    """

    def __init__(
        self,
        name: str | Version = "v5.9",
        allocator: PageAllocator | None = None,
        *,
        proposal: Rule | None = None,
        preempt_rt: bool = False,
        fixed: bool | None = None,
        min_cached: int | None = None,
        timing: Timing | None = None,
        fail: float = 0.0,
        seed: int = 1,
        events: int = 0,
        page_size: int = 4096,
        pointer_size: int = 8,
        object_size: int = 64,
    ) -> None:
        self.version = version(name) if not isinstance(name, Version) else name
        self.timing = timing or Timing()
        if allocator is None:
            allocator = PageAllocator(SMALL_MACHINE, proposal)
        elif proposal is not None and allocator.proposal not in (proposal, None):
            raise InputError(f"the machine serves {allocator.proposal.name}, not {proposal.name}")
        if min_cached is not None:
            min_cached = gates.within(min_cached, "min_cached", 0, MOST_CACHED, InputError)
        events = gates.within(events, "events", 0, MAX_EVENTS, InputError)
        self.allocator = allocator
        self.lock = allocator.lock
        ring = Ring(1, ()).array if allocator.ring is None else allocator.ring.array
        self.mm = Traced(*allocator.arrays[:-1], ring)  #: as compiled functions take it: they have no variant without
        self.proposal = proposal
        self.object_size = gates.within(object_size, "object_size", 1, MAX_COUNT, InputError)
        self.capacity = self.version.capacity(page_size, pointer_size)
        self.cpus = allocator.machine.cpus
        self.reports: list[str] = []  #: what the kernel would have said of wrong calls
        self._krc = np.zeros(st.MACHINE_WORDS + self.cpus * st.CPU_WORDS, np.int64)
        self._objs = np.zeros(st.OBJECT * 1024, np.int64)
        self._preloaded = 0  # blocks put into caches at boot
        self._objects = 0  # objects that are known, from 1
        self._bulk = np.zeros(0, np.int64)
        self._log = np.zeros(st.LOG_HEADER + st.LOG_WIDTH * power_of_two(events), np.int64)
        self._log[st.ENABLED], self._log[st.ROWS] = events > 0, power_of_two(events)
        self._set_version(preempt_rt, fixed, min_cached)
        self._set_times(gates.whole(seed, "seed", InputError))
        self.fail = fail
        self._grow_bulk(256 + self.cpus * 16)
        for _ in range(self.version.preloaded if min_cached is None else min_cached * (self.version.preloaded > 0)):
            self._preload()

    def _set_version(self, preempt_rt: bool, fixed: bool | None, min_cached: int | None) -> None:
        """Fill in the words that say how this version works."""
        v, k = self.version, self._krc
        request, worker = self._mask(v.request), self._mask(v.worker)
        if preempt_rt:
            request = -1
        if self.proposal is not None:
            request, worker = self.proposal.mask, -1
            if self.proposal.runs == "work":
                request, worker = -1, self.proposal.mask
        k[st.CAPACITY], k[st.N_CHANNELS], k[st.N_BATCHES] = self.capacity, v.channels, v.batches
        k[st.CACHE_LIMIT] = v.cache_limit if min_cached is None else min_cached
        k[st.OWNER_CACHE] = v.cache_of == "owner"
        k[st.CALLER_GFP], k[st.FILL_GFP], k[st.SLEEPING_GFP] = request, worker, self._mask(v.sleeping)
        k[st.FILL_STOPS], k[st.HAND_OVER] = v.worker_stops, HAND_OVER_RULES[v.hand_over]
        k[st.ONE_BATCH], k[st.SNAPSHOTS] = v.one_batch, v.snapshots
        k[st.FIXED] = v.fixed if fixed is None else fixed
        k[st.FILL_ON_TAKE] = v.fill_on_take
        k[st.RUNNING], k[st.N_CPUS] = 1, self.cpus
        k[st.SPARE_ROWS] = self.cpus * (int(k[st.CACHE_LIMIT]) + 1)

    def _on(self, function: Any) -> Any:
        """Return an entry with the rules of the kernel whose allocator this is."""
        return jit.of_kernel(function, self.allocator.rules.name)

    def _mask(self, names: str | None) -> int:
        if names == BY_PROPOSAL:
            if self.allocator.proposal is None:
                raise InputError("blocks are asked for the way a proposal does; this machine serves none")
            return self.allocator.proposal.mask
        return -1 if names is None else encode(names, self.allocator.layout)

    def _set_times(self, seed: int) -> None:
        """Fill in the words of the clock."""
        t, k = self.timing, self._krc
        jiffy = NS_PER_S // t.hz
        k[st.DRAIN_NS] = int(self.version.drain_hz * t.hz) * jiffy
        k[st.DRAIN_FULL_NS] = self.version.drain_full_jiffies * jiffy
        k[st.GP_NS], k[st.GP_EXPEDITED_NS], k[st.QHIMARK] = t.gp_ns, t.gp_expedited_ns, t.qhimark
        k[st.FREE_NS], k[st.FILL_DELAY_NS], k[st.BACKOFF_NS] = t.free_ns, t.fill_delay_ns, t.backoff_ns
        k[st.RNG] = seed & 0xFFFFFFFF or 1
        k[st.NEXT_EVENT] = k[st.GP_END] = st.NEVER
        for cpu in range(self.cpus):
            base = st.MACHINE_WORDS + cpu * st.CPU_WORDS
            k[[base + st.MONITOR_AT, base + st.MONITOR_READY, base + st.FILL_AT]] = st.NEVER
            for batch in range(st.READY_BATCH + 1):
                at = base + st.BATCH_BASE + batch * st.BATCH_WORDS
                k[[at + st.B_CALLBACK, at + st.W_READY]] = st.NEVER

    # room

    @property
    def arrays(self) -> Rcu:
        """Return the chain as compiled functions take it."""
        return Rcu(self._krc, self._bulk, self._objs, self._log)

    def _grow_bulk(self, rows: int) -> None:
        """Make room for more blocks."""
        width = st.RECORDS + self.capacity
        before = len(self._bulk) // width
        table = np.zeros((before + rows, width), np.int64)
        table[:before] = self._bulk.reshape(before, width)
        first = max(before, 1)  # row 0 is NULL
        free = np.arange(first, before + rows)
        table[free[:-1], st.NEXT] = free[1:]
        table[free[-1], st.NEXT] = self._krc[st.FREE_ROW]
        self._krc[st.FREE_ROW] = first
        self._krc[st.FREE_ROWS] += len(free)
        self._bulk = table.reshape(-1)

    def _know(self, last: int) -> None:
        """Make room for objects up to a number; raises InputError if there is none."""
        if last > MAX_OBJECTS:
            raise InputError(f"{last} objects are too many; expected up to {MAX_OBJECTS}")
        room = len(self._objs) // st.OBJECT - 1
        if last > room:
            try:
                more = np.zeros(st.OBJECT * (max(last, 2 * room) + 1), np.int64)
            except MemoryError:
                raise InputError(f"no memory for {last} objects") from None
            more[: len(self._objs)] = self._objs
            self._objs = more
        self._objects = max(self._objects, last)

    def _preload(self) -> None:
        """Give each cpu one cached block, as boot does."""
        for cpu in range(self.cpus):
            pfn = self._on(alloc_page)(self.mm, cpu, self._mask("GFP_NOWAIT|__GFP_NOWARN"))
            if pfn >= 0:
                self._preload_block(cpu, pfn)

    @locked
    def preload(self, cpu: int, pfn: int) -> None:
        """Put a page into a cpu's cache as a block; in a recorded chain -1 stands for a number not known yet.

        Raises MisuseError for a page that is not in use, or that the chain holds already.
        """
        cpu, pfn = gates.cpu(cpu, self.cpus), gates.within(pfn, "pfn", -1, MAX_PFN - 1)
        if not self._krc[st.RECORDED] and (self.allocator.page_state(pfn) != (IN_USE, 0) or pfn in self._pages()):
            raise MisuseError(f"pfn {pfn} is no page in use of its own; alloc_pages() gives one")
        self._preload_block(cpu, pfn)

    def _preload_block(self, cpu: int, pfn: int) -> None:
        self.make_room()
        if preload_block(self.arrays, cpu, pfn):
            self._preloaded += 1

    def _pages(self) -> set[int]:
        """Return the pages that the chain holds."""
        pages: list[int] = []
        for cpu in range(self.cpus):
            krc = self.krc(cpu)
            check_cpu(self.arrays, cpu, krc, pages)
            pages += krc.cache
        return set(pages)

    @property
    def fail(self) -> float:
        """Return, or set, the probability that a request for a block is made to fail."""
        return float(self._krc[st.FAIL_PPM]) / 1_000_000

    @fail.setter
    def fail(self, probability: float) -> None:
        if not isinstance(probability, Real) or not 0 <= probability <= 1:
            raise InputError(f"fail is {gates.shown(probability)}; expected a probability, 0 to 1")
        self._krc[st.FAIL_PPM] = round(probability * 1_000_000)

    # calls

    @locked
    def kmalloc(self, count: int = 1) -> range:
        """Return the numbers of new objects, from 1; they take no memory of the model's machine.  Raises InputError."""
        count = gates.within(count, "count", 0, MAX_OBJECTS, InputError)
        first = self._objects + 1
        self._know(self._objects + count)
        return range(first, first + count)

    def kfree_rcu(self, ptr: int | None, cpu: int = 0, *, vmalloc: bool = False, offset: int = 0) -> None:
        """Queue an object that has an rcu_head at an offset (bytes).

        NULL is ignored.  Raises MisuseError for an offset of 4096 or more, which the kernel's macro does not compile.
        """
        offset = gates.whole(offset, "offset")
        if offset >= 4096 or offset < 0:
            raise MisuseError(f"offset {gates.shown(offset)} of the rcu_head; kfree_rcu() compiles only below 4096")
        self.kvfree_call_rcu(ptr, cpu, vmalloc=vmalloc, offset=offset)

    @locked
    def kvfree_call_rcu(
        self, ptr: int | None, cpu: int = 0, *, vmalloc: bool = False, offset: int | None = None, may_sleep: bool = True
    ) -> None:
        """Queue an object; without an ``offset`` in the one-argument form, whose caller has to be able to sleep.

        A wrong call does what it does in the kernel and adds a line to ``reports``: a pointer queued twice is
        leaked by the second call, an offset of 4096 or more is leaked when its turn on the head list comes.
        """
        if ptr is None:
            return
        ptr, cpu = self._check(ptr, cpu, vmalloc, offset is None)
        offset = None if offset is None else gates.within(offset, "offset", 0, MAX_COUNT)
        where = f"kvfree_call_rcu({ptr})"
        flags = st.VMALLOC * bool(vmalloc) | st.BAD_OFFSET * (offset is not None and offset >= 4096)
        if offset is None:
            flags |= st.ONE_ARGUMENT
            if not may_sleep:
                self.reports.append(f"BUG: sleeping function called from invalid context: {where}")
        self.make_room()
        mm, rcu = self.mm, self.arrays
        done = self._on(kvfree_call_rcu)(mm, rcu, cpu, ptr, flags)
        self._report_foreign()
        if done == DUPLICATE:
            self.reports.append(f"WARNING: {where}: queued already (double kfree_rcu); this call leaks it")
        elif done == MUST_WAIT:
            if not may_sleep:
                self.reports.append(f"BUG: scheduling while atomic: synchronize_rcu() in {where}")
            self._on(synchronize_rcu)(mm, rcu, cpu, ptr)
        if flags & st.BAD_OFFSET and self._krc[st.MACHINE_WORDS + cpu * st.CPU_WORDS + st.HEAD] == ptr:
            self.reports.append(f"WARNING: {where}: offset {offset} on the head list; kfree_rcu_work() leaks it")

    def _check(self, ptr: int, cpu: int, vmalloc: bool, one_argument: bool) -> tuple[int, int]:
        """Return an object and a cpu that exist; raises MisuseError, also for a call that this version has not."""
        ptr, cpu = self._object(ptr), gates.cpu(cpu, self.cpus)
        if vmalloc and self.version.channels == 1:
            raise MisuseError(f"{self.version.name} has no kvfree_rcu(): a vmalloc pointer would reach kfree()")
        if one_argument and not self.version.one_argument:
            raise MisuseError(f"{self.version.name} has no one-argument form; give the offset of the rcu_head")
        return ptr, cpu

    def _object(self, ptr: int) -> int:
        number = gates.whole(ptr, "object")
        if not 1 <= number <= self._objects:
            raise MisuseError(f"object {gates.shown(number)} does not exist; kmalloc() gave 1 to {self._objects}")
        return number

    def _report_foreign(self) -> None:
        """Report a page that the chain gave back after somebody else had: it is left alone."""
        if self._krc[st.FOREIGN]:
            pfn, self._krc[st.FOREIGN] = int(self._krc[st.FOREIGN]) - 1, 0
            self.reports.append(f"BUG: Bad page state: the chain gives back pfn {pfn}, which is not in use any more")

    @locked
    def make_room(self) -> None:
        """Make room for more blocks if little is left; ``arrays`` are others then."""
        if self._krc[st.FREE_ROWS] <= self._krc[st.SPARE_ROWS]:
            self._grow_bulk(len(self._bulk) // (st.RECORDS + self.capacity))

    @locked
    def queue(
        self, count: int, cpu: int = 0, *, every_ns: int = 0, kind: str = "slab", one_argument: bool = False
    ) -> range:
        """Queue new objects one after the other, each ``every_ns`` later (ns); returns their numbers.

        ``kind``: slab, vmalloc, or mixed for both in turn.  Time goes on to the last call; see schedule() for more.
        """
        if kind not in (*CHANNELS, "mixed"):
            raise InputError(f"kind {kind!r}; expected slab, vmalloc or mixed")
        cpu = gates.cpu(cpu, self.cpus)
        count = gates.within(count, "count", 0, MAX_OBJECTS, InputError)
        every_ns = gates.within(every_ns, "every_ns", 0, (MAX_NOW - self.now) // max(count, 1), InputError)
        objects = self.kmalloc(count)
        if not count:
            return objects
        self._check(objects[0], cpu, kind != "slab", one_argument)
        base = st.ONE_ARGUMENT * one_argument
        for start in range(0, count, 1 << 20):
            numbers = np.arange(start, min(count, start + (1 << 20)), dtype=np.int64)
            at = self.now + (numbers - start + 1) * every_ns
            vmalloc = numbers % 2 if kind == "mixed" else np.full_like(numbers, kind == "vmalloc")
            self._call(at, np.full_like(numbers, cpu), numbers + objects[0], vmalloc * st.VMALLOC | base)
        return objects

    @locked
    def schedule(
        self, at: NDArray[np.int64], cpus: NDArray[np.int64], objects: NDArray[np.int64], flags: NDArray[np.int64]
    ) -> None:
        """Make many calls: columns of times (ns, ascending), cpus, object numbers, and flags (VMALLOC, ...).

        Raises MisuseError, and makes no call, for a cpu or an object that does not exist.
        """
        given = {"at": (at, MAX_NOW), "cpu": (cpus, self.cpus - 1), "object": (objects, self._objects)}
        columns = [gates.column(one, what, what == "object", top) for what, (one, top) in given.items()]
        columns.append(gates.column(flags, "flags", 0, st.CALL_FLAGS))
        if len({one.shape for one in columns}) > 1 or columns[0].ndim != 1:
            raise MisuseError("schedule() takes four columns of one length")
        if (np.diff(columns[0]) < 0).any():
            raise MisuseError("the times of schedule() are not ascending")
        for flag in (st.VMALLOC, st.ONE_ARGUMENT):
            if len(flagged := np.flatnonzero(columns[3] & flag)):
                self._check(int(columns[2][flagged[0]]), 0, flag == st.VMALLOC, flag == st.ONE_ARGUMENT)
        self._call(*columns)

    def _call(self, *columns: NDArray[np.int64]) -> None:
        """Make many calls that were checked: schedule()'s columns."""
        jit.expect(room_on("rcu", self.allocator.rules.name), len(columns[0]))
        done = 0
        while (done := self._on(run_calls)(self.mm, self.arrays, *columns, done)) < len(columns[0]):
            self.make_room()
        self._report_foreign()

    @locked
    def advance(self, ns: int) -> None:
        """Let time go on."""
        until = self.now + gates.within(ns, "ns", 0, MAX_NOW - self.now, InputError)
        self._on(run_events)(self.mm, self.arrays, until)
        self._krc[st.NOW] = until
        self._report_foreign()

    @locked
    def settle(self, limit_ns: int = 3600 * NS_PER_S) -> None:
        """Let time go on until nothing more would happen, or a limit (ns)."""
        until = self.now + gates.within(limit_ns, "limit_ns", 0, MAX_NOW - self.now, InputError)
        self._on(run_events)(self.mm, self.arrays, until)
        self._report_foreign()

    @locked
    def call_rcu(self, count: int, cpu: int = 0) -> None:
        """Queue callbacks of other users: they count towards qhimark."""
        call_rcu(self.arrays, gates.cpu(cpu, self.cpus), gates.within(count, "count", 0, MAX_COUNT, InputError))

    @locked
    def monitor(self, cpu: int = 0) -> None:
        """Run a cpu's drain now, whatever its timer says."""
        kfree_rcu_monitor(self.arrays, gates.cpu(cpu, self.cpus))

    @locked
    def shrink_count(self) -> int:
        """Return what the shrinker would report: objects, and cached blocks since v5.14, which also sets the back-off.

        Models: kernel/rcu/tree.c:kfree_rcu_shrink_count (v5.8, v5.15).
        """
        total = 0
        for base in self._bases():
            total += int(self._krc[base + st.COUNT])
            if self.version.backoff:
                total += int(self._krc[base + st.NR_CACHED])
                self._krc[base + st.BACKOFF] = 1
        return total

    @locked
    def shrink_scan(self, nr_to_scan: int) -> int:
        """Drain cpu after cpu until enough objects are on their way; returns how many (none is free yet).

        Models: kernel/rcu/tree.c:kfree_rcu_shrink_scan (v5.8, v5.15): 0 or SHRINK_STOP if nothing was found.
        """
        freed, nr_to_scan = 0, gates.whole(nr_to_scan, "nr_to_scan")
        for cpu, base in enumerate(self._bases()):
            count = int(self._krc[base + st.COUNT])
            if self.version.backoff:
                count += self._on(drain_page_cache)(self.mm, self.arrays, cpu)
            self.monitor(cpu)
            freed += count
            nr_to_scan -= count
            if nr_to_scan <= 0:
                break
        self._report_foreign()
        return freed

    # looking

    def _bases(self) -> range:
        return range(st.MACHINE_WORDS, len(self._krc), st.CPU_WORDS)

    @property
    def now(self) -> int:
        """Return the time (ns)."""
        return int(self._krc[st.NOW])

    @property
    def is_fixed(self) -> bool:
        """Return whether a batch is used only if it is empty: without that, objects may be freed early."""
        return bool(self._krc[st.FIXED])

    @property
    def gp_seq(self) -> int:
        """Return rcu_state.gp_seq: the low two bits say that a grace period runs."""
        return int(self._krc[st.GP_SEQ])

    @property
    def counters(self) -> Counters:
        """Return what happened since boot."""
        return Counters(**{name: int(self._krc[word]) for name, word in COUNTER_WORDS.items()})

    @property
    def pending_bytes(self) -> int:
        """Return how much memory the objects that wait keep from its next user (bytes), their blocks apart."""
        return self.counters.pending * self.object_size

    def blocks_of(self, cpu: int) -> int:
        """Return how many pages hold a cpu's objects now (its cache excepted)."""
        return int(self._krc[self._bases()[gates.cpu(cpu, self.cpus)] + st.BLOCKS_HERE])

    def held_pages(self) -> int:
        """Return how many pages the chain holds: those with objects, and those in the caches."""
        return sum(int(self._krc[base + st.BLOCKS_HERE] + self._krc[base + st.NR_CACHED]) for base in self._bases())

    def was_early(self, ptr: int) -> bool:
        """Return whether an object was freed before its grace period ended."""
        return bool(self._objs[self._object(ptr) * st.OBJECT + st.INFO] & st.FREED_EARLY)

    @locked
    def krc(self, cpu: int = 0) -> Krc:
        """Return a cpu's lists as they are now."""
        return krc_at(self.arrays, self._bases()[gates.cpu(cpu, self.cpus)], self.version.batches)

    @locked
    def events(self, clear: bool = True) -> list[RcuEvent]:
        """Return the events in the ring, oldest first, and empty it."""
        found = events_in(self._log)
        if clear:
            self._log[st.EVENTS] = 0
        return found

    def check(self) -> None:
        """Check every invariant; raises AssertionError: what check_nothing_lost() finds, or an object freed early."""
        self.check_nothing_lost()
        early = self.counters.early
        assert early == 0, f"{early} objects were freed before a grace period that began after they were queued"

    @locked
    def check_nothing_lost(self) -> None:
        """Raise AssertionError unless each object and each page is in one place, and the counts are right."""
        seen: list[int] = []
        pages: list[int] = []
        for cpu in range(self.cpus):
            krc = self.krc(cpu)
            seen += check_cpu(self.arrays, cpu, krc, pages)
            pages += krc.cache
        waiting = np.flatnonzero(self._objs[st.INFO :: st.OBJECT] & st.STATE_MASK == st.PENDING_OBJECT).tolist()
        assert sorted(seen) == waiting, "an object is lost, or in two places"
        c = self.counters
        assert c.pending == len(waiting), f"{len(waiting)} objects wait, counted {c.pending}"
        assert len(set(pages)) == len(pages), "a page is in two places"
        assert c.pages_alloc - c.pages_freed == len(pages) - self._preloaded, "a page is lost"


def power_of_two(number: int) -> int:
    """Return the smallest power of two that is at least ``number``, and at least 1."""
    return 1 << max(number - 1, 0).bit_length()
