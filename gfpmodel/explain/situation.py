"""Where a report of locks or of sleeping was printed: the level, what was switched off, and what of it forbids."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from gfpmodel.errors import InputError
from gfpmodel.explain.lockreport import PAGES, LockReport
from gfpmodel.explain.waits import CONTEXTS_BY, Lock, class_of, kinds_of, known_kinds, tells_apart
from gfpmodel.locking.classes import LockClass
from gfpmodel.locking.contexts import THREADABLE, ZONE_LOCK, Context, stack
from gfpmodel.locking.kernels import Kernel, make_kernel
from gfpmodel.locking.lockdep import SOFTIRQ_OFFSET
from gfpmodel.locking.reports import WAIT_TYPES_SINCE

ITEMS_OF = {
    "raw_spinlock_t": "raw",
    "spinlock_t": "spin",
    "rwlock_t": "spin",
    "local_lock_t": "spin",
    "mutex": "mutex",
    "rcu": "rcu",
    "rcu_sched": "rcu_sched",
}
SPINNING_RT = ("raw", "raw_irqsave", "rcu_sched")
SPINNING = (*SPINNING_RT, "spin", "zone_lock")
LEVELS = {"task": "a task", "softirq": "a soft interrupt", "hardirq": "a hard interrupt", "nmi": "an NMI"}
LEVELS[THREADABLE] = LEVELS["hardirq"]
#: What calls the handler of a device; lockdep lets one that could be threaded wait for a spinlock_t.
_HANDLES = re.compile("_*handle_irq_event_percpu$")
PREEMPT_MASK, SOFTIRQ_MASK, COUNT_BITS = 0xFF, 0xFF00, 0xF  #: of preempt_count; a count of interrupts has four bits
IRQ_DISABLE_OFFSET, IRQ_DISABLE_BITS = 0x10000, 0xFF  #: of preempt_count since v7.3: interrupts switched off
#: Functions by which an interrupt begins, for kernels whose reports do not print the count; the innermost counts.
_BEGINS = (
    ("nmi", re.compile(r"(?:asm_)?(?:exc_)?nmi$|do_nmi$|nmi_handle$|default_do_nmi$|end_repeat_nmi$")),
    (
        "softirq",
        re.compile(
            r"_*do_softirq\w*$|_*handle_softirqs$|tasklet_action\w*$|run_timer_softirq$|call_timer_fn$|net_rx_action$"
            r"|run_ksoftirqd$|irq_exit(?:_rcu)?$"
        ),
    ),
    (
        "hardirq",
        re.compile(
            r"(?:asm_)?(?:common_interrupt|sysvec_\w+)$|_*do_(?:IRQ|irq)$|_*handle_irq_event\w*$|hrtimer_interrupt$|irq_work_run"
            r"|irq_enter(?:_rcu)?$|gic_handle_irq$|(?:asm_|smp_)?apic_timer_interrupt$|el1h?_(?:64_)?irq\w*$|generic_handle_\w*irq$"
            r"|(?:__sysvec|smp|generic_smp)_call_function_single\w*$|__irq_svc$"
            r"|_*handle_domain_irq$|handle_percpu_devid_irq$|handle_(?:fasteoi|edge|level|simple)_irq$|riscv_intc_irq$"
        ),
    ),
)


_ENDS_ITEM = re.compile("(?<!-)>")  #: what would end an item of a stack; no C name of a lock has it


def unnamed(where: str, kernel: Kernel) -> str:
    """Return a context with numbers for the names of locks that no request takes: to the model it is the same.

    So many reports ask for few verdicts, and two locks of one class may be held, as a nested one is.
    """
    known = known_kinds(kernel)
    words = [word.partition(":") for word in re.split("(?<!-)>", where)]
    names = (name if not name or name in known else number for number, (_, _, name) in enumerate(words))
    return ">".join(f"{kind}{colon}{name}" for (kind, colon, _), name in zip(words, names, strict=True))


def is_requests(lock: Lock) -> bool:
    """Return whether a request for pages took a lock itself, on its way to the one that is reported."""
    return any(PAGES.match(where) for where in lock.places)


def place(where: str) -> Context:
    """Return a context of a report: a stack as it is, not what the driver of the recorded runs was in besides."""
    return stack([] if where == "task" else re.split("(?<!-)>", where), where)


def is_interrupts(function: str) -> bool:
    """Return whether a function is one by which an interrupt begins."""
    return any(pattern.match(function) for _, pattern in _BEGINS)


def kernel_of(it: LockReport, told: bool | None = None) -> Kernel | None:
    """Return the kernel that printed a report, with the options that its text shows; None if it is unknown.

    Argument: whether PROVE_RAW_LOCK_NESTING is on, for a report that does not tell.
    """
    release = it.found.release
    if release is None:
        return None
    rt = "-rt" in release or it.rt
    config = {"LOCKDEP": True, **({"PREEMPT_RT": True} if rt else {})}
    try:
        plain = make_kernel(release, config)
        if plain.version < WAIT_TYPES_SINCE:
            return plain
        nesting = tells_apart(it.base, it.locks, it.wanted, it.calls, plain)
        nesting = told if nesting is None else nesting
        if nesting is None:
            return plain
        return make_kernel(release, {**config, "PROVE_RAW_LOCK_NESTING": nesting})
    except InputError:
        return None


def levels_in_chain(it: LockReport, rt: bool) -> tuple[str, ...]:
    """Return the levels that a call chain may mean, that of a task if it shows no other.

    The function that was the first to switch preemption off may be an interrupt's, too.  PREEMPT_RT (``rt``) runs
    softirqs in a task.
    """
    for call in (*it.calls, it.off_at):
        for level, pattern in _BEGINS:
            if pattern.match(call) and not (rt and level == "softirq"):
                return (level,)
    if it.interrupts:
        return ("nmi",) if "NMI" in it.interrupts else ("softirq", "hardirq")
    return ("task",) if it.calls else ("task", "softirq", "hardirq")


def situation(it: LockReport, told: bool | None = None) -> Situation:
    """Return a report with its kernel; ``told`` is PROVE_RAW_LOCK_NESTING as other reports tell it."""
    return Situation(it, kernel_of(it, told), told)


@dataclass
class Situation:
    """A report with its kernel: what the numbers in it mean; ``told`` as in `situation`.

    ``threadable`` is whether the interrupt's handler could be threaded, None where that does not matter.
    """

    it: LockReport
    kernel: Kernel | None
    told: bool | None = None
    threadable: bool | None = None

    def options(self) -> list[Situation]:
        """Return the situations that a report may mean, by PROVE_RAW_LOCK_NESTING and by what a handler could be."""
        if self.kernel is None or self.kernel.version < WAIT_TYPES_SINCE:
            return [self]
        told = [self] if self.nesting is not None else [situation(self.it, option) for option in (False, True)]
        return [one for at in told for one in at.by_handler()]

    def by_handler(self) -> list[Situation]:
        """Return the situations that differ in whether the handler could be threaded, as PREEMPT_RT would do."""
        handles = self.level == "hardirq" and self.it.base is None and any(map(_HANDLES.match, self.it.calls))
        if not handles or not self.nesting or self.kernel is None or self.kernel.rt:
            return [self]
        return [replace(self, threadable=option) for option in (False, True)]

    @cached_property
    def nesting(self) -> bool | None:
        """Return whether PROVE_RAW_LOCK_NESTING is on, None if the report does not tell."""
        it = self.it
        own = tells_apart(it.base, it.locks, it.wanted, it.calls, self.kernel)
        return self.told if own is None else own

    @property
    def bits(self) -> int:
        """Return preempt_count, 0 if it is not known."""
        return self.it.count[0] if self.it.count else 0

    def has(self, offset: int) -> bool:
        """Return whether an offset of preempt_count has been added."""
        return bool(self.bits // offset & COUNT_BITS)

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """Return the levels at which the report may have been printed, the likeliest first."""
        it = self.it
        if self.threadable:
            return (THREADABLE,)
        if it.base is not None:
            options = (True, False) if self.nesting is None else (self.nesting,)
            hard = ["hardirq"] if it.base == 2 else []
            soft = ["softirq", THREADABLE] if any(it.base == (3 if option else 2) for option in options) else []
            return (*hard, *soft) or ("task",)
        if it.usages and "IN-NMI" in it.usages:
            return ("nmi",)
        if it.irqs:
            return ("hardirq",) if it.irqs[0] else ("softirq",) if it.irqs[1] else ("task",)
        if it.count:
            return (self.counted_level(),)
        return levels_in_chain(it, bool(self.kernel and self.kernel.rt)) if it.atomic else ("task",)

    def counted_level(self) -> str:
        """Return the level that preempt_count shows."""
        hard, nmi = (self.kernel.hardirq_offset, self.kernel.nmi_offset) if self.kernel else (0x10000, 0x100000)
        if self.has(nmi):
            return "nmi"
        return "hardirq" if self.has(hard) else "softirq" if self.bits & SOFTIRQ_OFFSET else "task"

    @property
    def level(self) -> str:
        """Return the likeliest level."""
        return self.levels[0]

    @property
    def irqs_off_times(self) -> int:
        """Return how often interrupts were switched off by who counts it in preempt_count, as v7.3 does.

        Models: include/linux/preempt.h (v7.3): the bits between those of softirqs and of hard interrupts.
        """
        counts = self.kernel is not None and self.kernel.hardirq_offset > IRQ_DISABLE_OFFSET
        return self.bits // IRQ_DISABLE_OFFSET & IRQ_DISABLE_BITS if counts else 0

    @property
    def irqs_off(self) -> bool:
        """Return whether interrupts are off."""
        return bool(self.it.irqs_off or (self.it.irqs and not self.it.irqs[2]) or self.irqs_off_times)

    @property
    def own_count(self) -> int:
        """Return how often preemption is off beside interrupts, softirqs and the scheduler itself, 0 if unknown."""
        own = self.bits & PREEMPT_MASK
        return own - 1 if own and self.it.scheduled else own

    @property
    def bh_off(self) -> bool:
        """Return whether a task has switched softirqs off."""
        if self.it.irqs and self.level == "task":
            return not self.it.irqs[3]
        return bool(self.bits & SOFTIRQ_MASK & ~SOFTIRQ_OFFSET)

    @property
    def preempt_off(self) -> bool | None:
        """Return whether preemption is off beside what an interrupt and softirqs off do; None if it is not printed."""
        if self.it.count:
            return self.own_count > 0
        if self.it.atomic is None:
            return None
        return self.it.atomic and self.level == "task"

    @property
    def in_rcu(self) -> bool:
        """Return whether RCU sections are deeper than they may be where one sleeps."""
        return bool(self.it.depth and self.it.depth[0] > self.it.depth[1])

    def off(self) -> Iterator[str]:
        """Yield what is switched off, in words."""
        if self.irqs_off and self.level in ("task", "softirq"):
            yield "interrupts off"
        if self.bh_off:
            yield "softirqs off"
        if self.preempt_off:
            yield "preemption off"
        if self.in_rcu:
            yield "an RCU section open"
        if self.it.non_block:
            yield "blocking forbidden (non_block_start())"

    def words(self) -> str:
        """Return the context in words."""
        it = self.it
        if it.base is not None and it.found.kind == "invalid_wait_context":
            if self.nesting is None:
                return "an interrupt, a hard one if PROVE_RAW_LOCK_NESTING is on"
            return CONTEXTS_BY[self.nesting].get(it.base, f"context-{{{it.base}:{it.base}}}")
        if it.found.kind == "invalid_wait_context" or {it.irqs, it.atomic, it.count, it.depth} == {None}:
            return "unknown"
        where = " or ".join(LEVELS[level] for level in self.levels)
        return f"{where} with {self.off_words()}" if self.off_words() else where

    def spins(self, lock: Lock) -> bool | None:
        """Return whether who holds a lock may not sleep; None if it cannot be told of which kind the lock is."""
        rt = bool(self.kernel and self.kernel.rt)
        kinds = set(kinds_of(lock, self.nesting, self.kernel)) - {"rcu", "map", "wait_override"}
        said = {LockClass(lock.name, kind).spins(rt) or (kind == "local_lock_t" and not rt) for kind in kinds}
        return None if len(said) > 1 else said == {True}

    def forbids_sleep(self) -> Lock | None:
        """Return the held lock under which nothing may sleep: the newest that is known to be such, or may be."""
        if not (self.preempt_off or (self.it.count is None and self.it.atomic)):
            rcu = [lock for lock in self.it.held if lock.name.startswith("rcu_read_lock")]
            by_rcu = self.in_rcu or (self.it.depth is None and not self.it.scheduled and not self.off_words())
            return self.opener(rcu[-1]) if rcu and by_rcu else None
        for answer in (True, None):
            if found := [lock for lock in self.it.held if self.spins(lock) is answer]:
                return found[-1]
        return None

    def off_words(self) -> str:
        """Return what is switched off, in words."""
        return " and ".join(self.off())

    def forbidding(self) -> tuple[str, Lock | None]:
        """Return what forbids the lock, or sleeping, in words, and the held lock that does so, too."""
        if self.it.found.kind == "invalid_wait_context":
            return self.forbids_wait()
        if self.it.found.kind not in ("sleeping_function", "scheduling_while_atomic"):
            return "", None
        lock = self.forbids_sleep()
        held = f"{lock.name}{self.kind_words(lock)}, held since {lock.where}" if lock else ""
        if "task" not in self.levels:
            return f"the context itself, {self.words()}" + (f"; {held} forbids it, too" if held else ""), lock
        return held or (f"what is switched off: {off}" if (off := self.off_words()) else ""), lock

    def all_forbidding(self) -> list[Lock]:
        """Return every held lock that forbids what was wanted, the first taken first.

        Of an interrupt's report those of the task below are among them: it does not say where the interrupt began.
        """
        kind, need = self.it.found.kind, self.it.wanted.outer if self.it.wanted else None
        if kind == "invalid_wait_context":
            return [lock for lock in self.it.held if lock.inner and need is not None and lock.inner < need]
        if kind not in ("sleeping_function", "scheduling_while_atomic"):
            return []
        found = [self.opener(lock) for lock in self.it.held if self.keeps_awake(lock)]
        found = [lock for at, lock in enumerate(found) if lock not in found[:at]]
        return [lock for lock in found if self.spins(lock) is not None] or found

    def opener(self, lock: Lock) -> Lock:
        """Return the lock that opened an RCU section when it was got, as those of PREEMPT_RT do, else the section.

        Models: kernel/locking/spinlock_rt.c:rt_spin_lock (v6.12): the section begins after lockdep is told of the lock.
        """
        at = self.it.held.index(lock)
        opened = lock.name == "rcu_read_lock" and lock.where.startswith("rt_") and at > 0
        return self.it.held[at - 1] if opened else lock

    def keeps_awake(self, lock: Lock) -> bool:
        """Return whether nobody may sleep who holds a lock, or where it cannot be told.

        An RCU section is in one of the two counts: which one, and whether the scheduler looks at it, is the kernel's
        choice.  A sleeping spinlock of PREEMPT_RT may be waited for in one.
        """
        counted = self.preempt_off or (self.it.count is None and self.it.atomic) or "task" not in self.levels
        if not lock.name.startswith("rcu_read_lock"):
            return bool(counted) and self.spins(lock) is not False
        if self.it.scheduled or self.it.wanted:
            return False
        return bool(counted) or self.in_rcu or self.it.depth is None

    def kind_words(self, lock: Lock) -> str:
        """Return a lock's types, and what it is taken for where they do not tell."""
        types = f" ({lock.types})" if lock.inner is not None else ""
        if any(self.opener(one) is lock is not one for one in self.it.held):
            return f"{types}, which opened an RCU section as PREEMPT_RT's spinning locks do"
        return types if self.spins(lock) is not None else f"{types}, if it is no lock that sleeps"

    def forbids_wait(self) -> tuple[str, Lock | None]:
        """Return what forbids to wait for a lock: the held one of the strictest type, or the context.

        The newest of the strictest is named: locks of an interrupted task, which do not count, come before it.
        """
        base, need = self.it.base, self.it.wanted.outer if self.it.wanted else None
        strictest = min((lock.inner for lock in self.it.held if lock.inner), default=9)
        lock = next((one for one in reversed(self.it.held) if one.inner == strictest), None)
        if base is not None and need is not None and base < need and base <= strictest:
            too = lock if strictest < need else None
            also = f"; {too.name} ({too.types}) forbids it, too" if too else ""
            return f"the context itself, {self.words()}{also}", too
        if lock and need is not None and strictest < need:
            return f"{lock.name} ({lock.types}), held since {lock.where}", lock
        return "", None

    # the same in the model's words

    def contexts(self, own: Container[str] = ()) -> Iterator[str]:
        """Yield the contexts of the model that a report's context and held locks may be.

        A report does not say which locks the interrupted task took and which the interrupt: each cut is tried.  Where a
        lock may be of two kinds, both are.  What the request itself took is no part of it: locks that the page
        allocator's functions took, and those of the names ``own``.
        """
        for pick in (0, -1):
            held = [lock for lock in self.it.held if not (class_of(lock.name) in own or is_requests(lock))]
            stack = self.taken([word for lock in held if (word := self.item(lock, pick))])
            for level in self.levels:
                if level == "task":
                    yield ">".join([*stack, *self.off_items(stack)]) or level
                else:
                    yield from (">".join([*stack[:cut], level, *stack[cut:]]) for cut in range(len(stack) + 1))

    def taken(self, words: list[str]) -> list[str]:
        """Return held locks without the mutexes taken where nobody may sleep: who holds one had got it by trying."""
        spinning = SPINNING_RT if self.kernel and self.kernel.rt else SPINNING
        first = next((at for at, word in enumerate(words) if word.partition(":")[0] in spinning), len(words))
        return [word for at, word in enumerate(words) if at < first or not word.startswith("mutex")]

    def item(self, lock: Lock, pick: int) -> str:
        """Return a held lock as an item of a stack, empty for one that the model opens itself or lockdep passes.

        A raw lock that was never taken with interrupts on is taken to switch them off, where the report does not say.
        """
        kinds = list(kinds_of(lock, self.nesting, self.kernel))
        word = ITEMS_OF.get(kinds[pick], "") if kinds else ""
        if word in ("rcu", "rcu_sched"):
            return "" if lock.where.startswith("rt_") else word
        if word == "raw" and (self.irqs_off if self.it.irqs_off is not None else lock.usage[0] == "."):
            word = "raw_irqsave"
        if class_of(lock.name) == ZONE_LOCK and word:
            return "zone_lock"  # of one zone, and the request may take another's
        name = _ENDS_ITEM.sub("_", class_of(lock.name))
        return f"{word}:{name}" if word and name != "softirq_ctrl.lock" else ""

    def off_items(self, stack: list[str]) -> Iterator[str]:
        """Yield what a task has switched off beside what its locks do."""
        words = [word.partition(":")[0] for word in stack]
        spinning = sum(word in SPINNING_RT if self.kernel and self.kernel.rt else word in SPINNING for word in words)
        if self.irqs_off and not {"raw_irqsave", "zone_lock"} & set(words):
            yield "irqoff"
        if self.bh_off:
            yield "bhoff"
        if self.own_count > spinning if self.it.count else self.preempt_off and not spinning:
            yield "preemptoff"
        if self.in_rcu and "rcu" not in words:
            yield "rcu"
