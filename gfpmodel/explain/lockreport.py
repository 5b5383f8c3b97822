"""Read a report of locks or of sleeping: the locks in it, the counts that say where it was printed, the call chain."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gfpmodel.explain.find import Found
from gfpmodel.explain.waits import Lock
from gfpmodel.locking.classes import LD_WAIT_CONFIG, LD_WAIT_FREE, LD_WAIT_INV
from gfpmodel.locking.reports import EXPECTED_SINCE

_FUNCTION = r"(?:\[<[0-9a-f]+>\] )?\(?(?P<function>[A-Za-z_][\w.]*)"
_LOCK = re.compile(
    r"(?:(?P<address>[0-9a-fx]{8,20}) )?\((?P<name>.{1,80}?)\)\{(?P<usage>[-+.?]{4,6})\}"
    rf"(?:-\{{(?P<outer>\d):(?P<inner>\d)\}})?, at: {_FUNCTION}"
)
#: Functions that a source puts between a lock and who takes it; only the name of such a line is never the taker's.
_INLINED = re.compile(r"_*(?:raw_|rt_)*(?:spin|read|write|rcu|local|mutex|class|seqcount|lockdep)_\w*|_*lock_acquire")
_HELD = re.compile(r"^#(\d+): ")
_BROKEN = ("}, at:", "invalid context at")  #: what is never a line's end
_COUNTED = re.compile(r"^(\d{1,3}) locks? held by |^locks held by .*: (\d{1,3}),")
_NONE_HELD = re.compile(r"^no locks held by |^locks held by .*: 0,")
_WANTS = re.compile(r" is trying to (?:acquire )?lock:$| is trying to acquire:$| takes:$|changed the state of lock:$")
_BASE = re.compile(r"^context-\{(\d):(\d)\}")
_AT = re.compile(r"invalid context at (\S+):\d+$")
_STATE = re.compile(r"^in_atomic\(\): (\d), irqs_disabled\(\): (\d)(?:, non_block: (\d))?")
_PREEMPT = re.compile(r"^preempt_count: ([0-9a-f]+), expected: ([0-9a-f]+)")
_DEPTH = re.compile(r"^RCU nest depth: (\d+), expected: (\d+)")
_LEVEL = re.compile(r"\[HC(\d)\[(\d+)\]:SC(\d)\[(\d+)\]:HE(\d):SE(\d)\]")
_USAGE = re.compile(r"^inconsistent \{([^}]+)\} -> \{([^}]+)\} usage")
_SCHEDULED = re.compile(r"BUG: scheduling while atomic: .*/0x([0-9a-f]{8})")
_CHAIN = re.compile(r"^(?:Call [Tt]race|Backtrace): ?|^(?:\[<[0-9a-f]+>\] )?\(?unwind_backtrace\b")
#: A function of a call chain as any architecture prints it, or as symbolised reports name one that was inlined.
CALL = re.compile(r"(?<!\? )(?<![\w.])([A-Za-z_][\w.]{1,60})(?:\+0x[0-9a-f]+/0x[0-9a-f]+| [\w./-]+:\d+ \[inline\])")
_MARK = re.compile(r"^(?:# ?)?(</?(?:TASK|IRQ|NMI)>)")  #: where x86's chain begins, changes to another stack and back
#: What begins a line of the kernel's: where it does not, what is before it was not understood.
_NOT_FIRST = re.compile(
    r".(?:Call [Tt]race:|in_atomic\(\): |preempt_count: |RCU nest depth: |context-\{\d|\d+ locks? held by )"
)
_RT = re.compile(r"\bPREEMPT[_ ]\{?RT\b|kernel/locking/(?:spinlock_rt|rwbase_rt)\.c")
#: Functions of the page allocator.
PAGES = re.compile(
    r"_*(?:alloc_page|alloc_frozen|get_page_from|rmqueue|get_free_pages"
    r"|free_unref|free_pcppages|free_frozen|free_pages|free_one_page|drain_pages)"
)
#: What may be missing of them; a report on sleeping has none either where lockdep is off.
HELD_LOST = ("the locks held", "how many locks are held", "the locks held, if lockdep was on")
#: The reports that name a lock which somebody wants.
WANTING = (
    "invalid_wait_context",
    "inconsistent_lock_state",
    "circular_locking",
    "recursive_locking",
    "irq_lock_inversion",
    "irq_lock_order",
)
#: What leads to a report and is no part of what was done: the report itself, and the scheduler.
_REPORTING = re.compile(
    r"_*(?:dump_stack|show_stack|dump_backtrace|unwind_backtrace|schedule|io_schedule|preempt_schedule|might_\w+"
    r"|rt_mutex_schedule|schedule_rtlock|cond_resched)"
)
#: What a task that goes to sleep waits for, by functions of its call chain.
WAITS_FOR = (
    (re.compile(r"_*rt_(?:spin|read|write)_lock|rtlock_|rwbase_|_*rt_mutex"), "a lock that sleeps on PREEMPT_RT"),
    (re.compile(r"_*(?:ww_)?mutex_lock"), "a mutex"),
    (re.compile(r"rwsem_|_*down(?:_\w+)?(?:\.|$)|percpu_down"), "a semaphore"),
    (re.compile(r"_*wait_for_(?:common|completion)"), "a completion"),
    (re.compile(r"synchronize_s?rcu|_*wait_rcu_gp|rcu_barrier"), "the end of an RCU grace period"),
    (re.compile(r"_*flush_work|_*cancel_(?:delayed_)?work|_*flush_workqueue"), "a work item"),
    (
        re.compile(r"congestion_wait|reclaim_throttle|shrink_|(?:do_)?try_to_free_|_*perform_reclaim"),
        "reclaim of memory",
    ),
    (re.compile(r"[mu]s(?:leep|leep_range)\w*"), "some time to pass"),
)
RT_PLACES = re.compile(r"kernel/locking/(?:spinlock_rt|rwbase_rt|rtmutex)\.c")  #: where PREEMPT_RT's locks may sleep


@dataclass
class LockReport:
    """A report of locks or sleeping as read.

    ``count`` is preempt_count and ``depth`` that of RCU sections, each with what would have been allowed; ``off_at``
    the function that was the first to switch preemption off; ``irqs`` what lockdep's line of the context says:
    hard and soft interrupts, then whether these two are on; ``marks`` those of interrupts in the call chain.
    """

    found: Found
    wanted: Lock | None = None
    held: list[Lock] = field(default_factory=list)
    base: int | None = None
    place: str = ""
    atomic: bool | None = None
    irqs_off: bool | None = None
    non_block: bool = False
    irqs: tuple[int, int, int, int] | None = None
    usages: tuple[str, str] | None = None
    count: tuple[int, int] | None = None
    depth: tuple[int, int] | None = None
    off_at: str = ""
    calls: list[str] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)
    none_held: bool = False
    rt: bool = False
    counted: int = 0
    missing: list[str] = field(default_factory=list)

    @property
    def scheduled(self) -> bool:
        """Return whether the scheduler printed it, which has preemption off itself."""
        return self.found.kind == "scheduling_while_atomic"

    @property
    def interrupts(self) -> list[str]:
        """Return the interrupts whose stacks the call chain names."""
        return [name for name in ("NMI", "IRQ") if f"<{name}>" in self.marks]

    @property
    def interrupts_end(self) -> int:
        """Return of how many of them the chain shows the end, too."""
        return sum(f"</{name}>" in self.marks for name in self.interrupts)

    @property
    def cut_chain(self) -> bool:
        """Return whether the call chain has lost its end: one that names the stack of its task closes it, too."""
        return "<TASK>" in self.marks and "</TASK>" not in self.marks

    @property
    def reclaims(self) -> bool:
        """Return whether the reclaim that an allocation may start is one of the locks: lockdep's map of that name."""
        return any("(fs_reclaim" in line for line in self.found.lines)

    @property
    def hides_locks(self) -> bool:
        """Return whether locks may be held that are not in what is left of the report."""
        return any(name in HELD_LOST or name.startswith("all but ") for name in self.missing)

    @property
    def locks(self) -> list[Lock]:
        """Return all locks of the report."""
        return [*self.held, *([self.wanted] if self.wanted else [])]


def read_lock(text: str) -> Lock | None:
    """Return the lock of a line."""
    found = _LOCK.search(text) if "){" in text else None
    if not found:
        return None
    types = [int(found[n]) if found[n] else None for n in ("outer", "inner")]
    return Lock(found["name"], found["usage"], types[0], types[1], [found["function"]])


def same_lock(lock: Lock | None, again: Lock) -> bool:
    """Return whether a line shows a lock again, at the next place in the source; the place is added to the lock's."""
    if lock is None or (lock.name, lock.usage, lock.types) != (again.name, again.usage, again.types):
        return False
    if _INLINED.fullmatch(lock.where):
        lock.places.clear()
    lock.places += again.places
    return True


@dataclass
class Reader:
    """The state between the lines of a report: what the line before announced."""

    it: LockReport
    wants: bool = False
    number: str = ""
    off: bool = False
    broken: str = ""
    chain: int = 0

    def line(self, line: str) -> None:
        """Read the next line; one that a mailer broke before a place is read with the next."""
        line, self.broken = f"{self.broken} {line}".lstrip(), ""
        if line.endswith(_BROKEN):
            self.broken = line
            return
        if _CHAIN.match(line):
            self.chain += 1
        if self.chain:
            if self.chain == 1:
                self.it.calls += CALL.findall(line)
                self.it.marks.update(_MARK.findall(line))
            return
        lock = read_lock(line)
        if lock:
            self.lock(line, lock)
        elif self.off:
            self.it.off_at, self.off = next(iter(CALL.findall(line)), ""), False
        else:
            self.wants = bool(_WANTS.search(line)) or (self.wants and "holding" not in line)
            self.off = line.startswith("Preemption disabled at:")
            read_state(self.it, line)

    def lock(self, line: str, lock: Lock) -> None:
        """Take a lock of a line: the one wanted, or one that is held; a symbolised report has a line for each place."""
        held = _HELD.match(line)
        if held:
            if held[1] != self.number or not same_lock(self.it.held[-1], lock):
                self.it.held.append(lock)
            self.number = held[1]
        elif self.wants and self.it.wanted is None:
            self.it.wanted = lock
        else:
            same_lock(self.it.wanted, lock)


def read_state(it: LockReport, line: str) -> None:
    """Read what a line says of the context."""
    if base := _BASE.match(line):
        it.base = int(base[1])
    elif at := _AT.search(line):
        it.place = at[1]
    elif level := _LEVEL.search(line):
        hard, nested, soft, off, irqs_on, softirqs_on = map(int, level.groups())
        it.irqs = int(hard or nested > 0), int(soft or off % 2), irqs_on, softirqs_on
    elif usage := _USAGE.match(line):
        it.usages = usage[1], usage[2]
    elif _NONE_HELD.match(line):
        it.none_held = True
    elif counted := _COUNTED.match(line):
        it.counted = int(counted[1] or counted[2])
    else:
        read_counts(it, line)


def read_counts(it: LockReport, line: str) -> None:
    """Read what a line says of the counts that forbid sleeping."""
    if state := _STATE.match(line):
        it.atomic, it.irqs_off, it.non_block = state[1] == "1", state[2] == "1", (state[3] or "0") != "0"
    elif count := _PREEMPT.match(line):
        it.count = int(count[1], 16), int(count[2], 16)
    elif depth := _DEPTH.match(line):
        it.depth = int(depth[1]), int(depth[2])
    elif scheduled := _SCHEDULED.search(line):
        it.count = int(scheduled[1], 16), 1


def read_locks(found: Found) -> LockReport:
    """Read a report; what a cut took is named in ``missing``."""
    it = LockReport(found)
    reader = Reader(it)
    for line in found.lines:
        reader.line(line)
        it.rt = it.rt or bool(_RT.search(line))
    sleeping = found.kind == "sleeping_function" and not found.in_rcu
    it.depth = (1, 0) if found.in_rcu else it.depth
    counts = sleeping and (version_of(found.release) >= EXPECTED_SINCE or it.count or it.depth)
    strange = sum(bool(_NOT_FIRST.search(line)) for line in found.lines[1:])
    needed = (
        (f"what is in {strange} lines or more that are not understood", strange > 0),
        ("the lock that was wanted", found.kind in WANTING and it.wanted is None),
        ("where a lock was taken", reader.broken.endswith(_BROKEN[0])),
        ("the context", found.kind == "invalid_wait_context" and it.base is None),
        ("the context", found.kind == "inconsistent_lock_state" and it.irqs is None),
        ("how the lock was used", found.kind == "inconsistent_lock_state" and it.usages is None),
        (HELD_LOST[0] if found.kind in WANTING else HELD_LOST[2], not it.held and not it.none_held),
        (f"all but {len(it.held)} of the {it.counted} locks held", 0 < len(it.held) < it.counted),
        (HELD_LOST[1], bool(it.held) and not it.counted),
        ("the call chain", not it.calls),
        ("the end of the call chain", it.cut_chain),
        ("the end of the interrupt's call chain", it.count is None and it.interrupts_end < len(it.interrupts)),
        ("preempt_count", bool(counts) and it.count is None),
        ("RCU nest depth", bool(counts) and it.depth is None),
        ("what may sleep", sleeping and not it.place),
        ("in_atomic() and irqs_disabled()", sleeping and it.atomic is None),
        ("the kernel's release", found.release is None),
    )
    it.missing += [name for name, lacks in needed if lacks]
    take_wanted(it)
    return it


def version_of(release: str | None) -> tuple[int, ...]:
    """Return the version of a release as numbers, (0, 0) if it is not known."""
    found = re.match(r"v?(\d+)\.(\d+)", release or "0.0")
    return tuple(map(int, found.groups())) if found else (0, 0)


def waits_for(it: LockReport) -> tuple[str | None, str | None]:
    """Return what a task that went to sleep waits for and the function that made it, None for what is not known."""
    calls = [call for call in it.calls if not _REPORTING.match(call)]
    for call in calls:
        for pattern, words in WAITS_FOR:
            if pattern.match(call):
                return words, call
    return None, next(iter(calls), None)


def take_wanted(it: LockReport) -> None:
    """Take the lock that a sleeping lock of PREEMPT_RT was about to wait for from those held.

    It is shown as the last, as lockdep is told of it before the test for sleeping; with one that is really held an RCU
    section begins, which would come after it.
    Models: kernel/locking/spinlock_rt.c:rt_spin_lock (v6.12).
    """
    last = it.held[-1] if RT_PLACES.match(it.place) and it.held else None
    waits = last is not None and last.outer != LD_WAIT_FREE and last.inner in (LD_WAIT_INV, LD_WAIT_CONFIG)
    if waits:
        it.wanted = it.held.pop()
