"""A CPU that takes locks, and the kernel's debugging aids that watch it: lockdep and the test for sleeping."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.locking.classes import (
    LD_WAIT_CONFIG,
    LD_WAIT_MAX,
    LD_WAIT_SPIN,
    SLEEP_ON_RT,
    LockClass,
    wait_number,
)
from gfpmodel.locking.contexts import FIXED_NAMES, THREADABLE, Context, Entry
from gfpmodel.locking.graph import LockGraph
from gfpmodel.locking.kernels import Kernel, lock_kinds
from gfpmodel.locking.reports import Held, Report

SOFTIRQ_OFFSET, SOFTIRQ_DISABLE_OFFSET = 0x100, 0x200

RCU = ("rcu", "rcu_sched")  # sections nest, and lockdep is told not to check their order and use

# Usage bits of a class, as lockdep names them; R is for locks held for reading.
IN_USE_BITS = {"hardirq": "IN-HARDIRQ", "softirq": "IN-SOFTIRQ"}
ON_BITS = {"hardirq": "HARDIRQ-ON", "softirq": "SOFTIRQ-ON"}


@dataclass
class Cpu:
    """A CPU of one kernel: what is held, what is switched off, what lockdep has learned, and what was printed.

    ``usage`` and ``graph`` are what lockdep knows from before; ``contended`` says that another CPU holds every lock
    that is about to be taken.  ``instance`` of a lock tells two locks of a class apart.
    Models: kernel/locking/lockdep.c:__lock_acquire (v5.8), kernel/sched/core.c:___might_sleep and __schedule_bug.
    """

    kernel: Kernel
    usage: dict[str, set[str]] = field(default_factory=dict)
    graph: LockGraph = field(default_factory=LockGraph)
    contended: bool = False
    held: list[Held] = field(default_factory=list)
    levels: list[str] = field(default_factory=lambda: ["task"])
    threadable: bool = False
    irqs_on: bool = True
    softirqs_on: bool = True
    preempt_count: int = 0
    preempt_off_at: str = ""
    debug_locks: bool = True
    deadlock: bool = False
    reports: list[Report] = field(default_factory=list)

    # context

    @property
    def level(self) -> str:
        """Return the innermost interrupt level."""
        return self.levels[-1]

    @property
    def irq_context(self) -> int:
        """Return 2 for hardirq plus 1 for softirq, as every held lock remembers it."""
        return 2 * ("hardirq" in self.levels) + ("softirq" in self.levels)

    @property
    def wait_context(self) -> int:
        """Return the wait type that the interrupt level alone leaves.

        Models: kernel/locking/lockdep.c:task_wait_context (v5.8).
        """
        if "hardirq" in self.levels:
            return LD_WAIT_CONFIG if self.threadable else LD_WAIT_SPIN
        return LD_WAIT_CONFIG if "softirq" in self.levels else LD_WAIT_MAX

    @property
    def allowed(self) -> int:
        """Return the wait type, as this kernel numbers it, that a lock taken now may need at most.

        Models: kernel/locking/lockdep.c:check_wait_context (v5.8), its curr_inner.
        """
        allowed = self.number(self.wait_context)
        here = takewhile(lambda held: held.irq_context == self.irq_context, reversed(self.held))
        for held in reversed([held for held in here if held.lock.inner]):
            inner = self.number(held.lock.inner)
            allowed = inner if held.lock.kind == "wait_override" else min(allowed, inner)
        return allowed

    def enter(self, where: Context) -> None:
        """Bring the CPU into a context, with the checks that its own locks are subject to."""
        self._preempt_off(where.preempt_depth)
        for entry in where.entries:
            self._enter(entry)
        if where.driver and not self.kernel.rt:  # at last, as the driver took a mutex first
            self.preempt_count, self.preempt_off_at = self.preempt_count + 1, "the caller"

    def _preempt_off(self, count: int, where: str = "the caller") -> None:
        """Count preemption off, and remember who was the first."""
        if not self.preempt_count:
            self.preempt_off_at = where
        self.preempt_count += count

    def _enter(self, entry: Entry) -> None:
        item = entry.item
        if item.level:
            self._interrupt(entry)
        if item.irqs_off and not (self.kernel.rt and item.lock == "spinlock_t"):
            self.irqs_on = False
        if item.bh_off:
            self._bh_disable(SOFTIRQ_DISABLE_OFFSET)
        self._preempt_off(item.preempt_off)
        if item.lock:
            kind, _ = lock_kinds(self.kernel).get(entry.name, (None, False))
            known = kind == item.lock or (kind and entry.word in FIXED_NAMES)
            lock = self.kernel.lock(entry.name) if known else LockClass(entry.name, item.lock)
            self.acquire(lock, "the caller", trylock=item.trylock, read=item.read, instance=entry.instance)

    def _interrupt(self, entry: Entry) -> None:
        """Start a handler; PREEMPT_RT runs softirqs, and what may be threaded, in a task."""
        level = entry.item.level
        if self.kernel.rt and (level == "softirq" or entry.word == THREADABLE):
            if self.held or self.atomic:
                raise InputError(
                    f"impossible context: on PREEMPT_RT a {entry.word} runs in a task of its own; begin with it"
                )
            self._bh_disable(0)
            return
        self.levels.append(level)
        self.threadable = entry.word == THREADABLE
        if level == "softirq":
            self.softirqs_on = False
            self._preempt_off(SOFTIRQ_OFFSET, "__do_softirq")
        elif level == "hardirq":
            self.irqs_on = False
            self._preempt_off(self.kernel.hardirq_offset, "irq_enter_rcu")
        else:
            self.irqs_on = False
            self._preempt_off(self.kernel.nmi_offset + self.kernel.hardirq_offset, "nmi_enter")

    def _bh_disable(self, count: int) -> None:
        """Switch softirqs off: a count, but a per-CPU lock on PREEMPT_RT."""
        if self.kernel.rt:
            ours = any(held.lock.name == "softirq_ctrl.lock" for held in self.held)
            if not ours and not self.atomic:  # only the first entry, and only where it may wait
                self.acquire(self.kernel.lock("softirq_ctrl.lock"), "the caller")
        else:
            self.softirqs_on = False
            self._preempt_off(count)

    # locks

    def acquire(
        self,
        lock: LockClass,
        where: str,
        trylock: bool = False,
        read: bool = False,
        instance: int | str | None = None,
    ) -> bool:
        """Take a lock, or try to; returns whether the CPU has it (or would have it, once it is free)."""
        sleeps = lock.sleeps(self.kernel.rt)
        mine = lock.kind not in RCU and any(
            held.lock.name == lock.name and held.instance == instance and not (read and held.read)
            for held in self.held
            if instance is not None
        )
        if trylock:
            self.slowtrylock(lock)
        if trylock and mine:
            return False
        self._lockdep(lock, where, trylock, read, instance)
        if sleeps and not trylock:
            self.might_sleep(where, rtlock=lock.kind != "mutex")
            self._block(lock, where, mine)
        self.deadlock = self.deadlock or mine
        self._preempt_off(lock.spins(self.kernel.rt), where)
        if sleeps and lock.kind != "mutex":
            self._push(self.kernel.lock("rcu_read_lock"), where, companion=True)
        return True

    def release(self, name: str) -> None:
        """Release the lock of a name that was taken last."""
        for at in reversed(range(len(self.held))):
            if self.held[at].lock.name == name:
                self.preempt_count -= self.held[at].lock.spins(self.kernel.rt)
                del self.held[at : at + 2 if at + 1 < len(self.held) and self.held[at + 1].companion else at + 1]
                return

    def slowtrylock(self, lock: LockClass) -> None:
        """Take and leave the raw lock inside a sleeping one: with debugging on, its trylock has no other way.

        Models: kernel/locking/rtmutex.c:rt_mutex_slowtrylock (v6.18).
        """
        if not (self.kernel.rt and lock.kind in SLEEP_ON_RT):
            return
        inner, irqs_on, self.irqs_on = self.kernel.lock("&lock->wait_lock"), self.irqs_on, False
        self.acquire(inner, "rt_mutex_slowtrylock")
        self.release(inner.name)
        self.irqs_on = irqs_on

    def _push(self, lock: LockClass, where: str, companion: bool = False) -> None:
        usage = self.usage_text(lock.name)
        seen = self.level != "nmi"
        self.held.append(Held(lock, self.irq_context, False, False, where, None, companion, seen, usage))

    def _lockdep(self, lock: LockClass, where: str, trylock: bool, read: bool, instance: int | str | None) -> None:
        """Run lockdep's checks in its order, then remember the lock.

        The first report of any kind switches lockdep off; the lock is taken all the same.
        """
        checks: tuple[Callable[..., Report | None], ...] = ()
        if self.level == "nmi":
            checks = (self._verify_lock_unused,)
        elif self.kernel.on("LOCKDEP"):
            checks = (self._check_wait_context, self._mark_usage, self._check_deadlock, self._check_noncircular)
        for check in checks:
            if not (self.debug_locks and self.kernel.on("PROVE_LOCKING")):
                break
            report = check(lock, where, trylock, read)
            if report:
                self.debug_locks = False
                self.reports.append(report)
        if not trylock and self.level != "nmi":
            self.graph.add((h.lock.name for h in self.held if h.irq_context == self.irq_context), lock.name, where)
        usage = self.usage_text(lock.name)
        seen = self.level != "nmi"
        self.held.append(Held(lock, self.irq_context, trylock, read, where, instance, tracked=seen, usage=usage))

    def _report(self, kind: str, lock: LockClass | None, where: str, **more: Any) -> Report:
        return Report(
            kind,
            lock,
            where,
            tuple(held for held in self.held if held.tracked),
            self.kernel,
            self.usage_text(lock.name) if lock else "....",
            level=self.level,
            preempt_count=self.preempt_count,
            preempt_off_at=self.preempt_off_at,
            irqs_on=self.irqs_on,
            softirqs_on=self.softirqs_on,
            tainted=any(report.taints for report in self.reports),
            lockdep_on=self.debug_locks,
            **more,
        )

    def _check_wait_context(self, lock: LockClass, where: str, trylock: bool, read: bool) -> Report | None:
        """Report a lock that may wait longer than the context allows.

        Models: kernel/locking/lockdep.c:check_wait_context (v5.8; from v5.15 on also for the first lock; v6.18, where
        a map may override what the locks before it allow).
        """
        if not self.kernel.checks_wait_context or not lock.inner or trylock:
            return None
        if self.kernel.first_lock_exempt and not self.held:
            return None
        if self.number(lock.outer) <= self.allowed:
            return None
        return self._report("invalid_wait_context", lock, where, context_base=self.number(self.wait_context))

    def number(self, wait: int) -> int:
        """Return a wait type as this kernel numbers it."""
        return wait_number(wait, self.kernel.nesting)

    def _mark_usage(self, lock: LockClass, where: str, trylock: bool, read: bool) -> Report | None:
        """Mark how a class is used; report one that is used in an interrupt and held with that interrupt on.

        Models: kernel/locking/lockdep.c:mark_usage and print_usage_bug (v5.8).
        """
        if not self.kernel.prove or lock.kind in RCU:
            return None
        bits = self.usage.setdefault(lock.name, set())
        kind = "R" if read else "W"
        for bit in self._usage_bits(trylock):
            excluded = exclusive(bit)
            bits.add(f"{bit}-{kind}")
            for other in (f"{excluded}-W", f"{excluded}-R"):
                if other in bits and not (read and other.endswith("R")):
                    return self._report("inconsistent_lock_state", lock, where, conflict=(other, f"{bit}-{kind}"))
        return None

    def _usage_bits(self, trylock: bool) -> Iterable[str]:
        """Yield the usage that taking a lock here means."""
        if not trylock:
            yield from (IN_USE_BITS[level] for level in self.levels if level in IN_USE_BITS)
        if self.irqs_on:
            yield ON_BITS["hardirq"]
            if self.softirqs_on:
                yield ON_BITS["softirq"]

    def usage_text(self, name: str) -> str:
        """Return the four characters that lockdep prints for a class's usage."""
        bits = self.usage.get(name, set())
        return "".join(
            ".-+?"[(f"{IN_USE_BITS[level]}-{kind}" in bits) + 2 * (f"{ON_BITS[level]}-{kind}" in bits)]
            for level in ("hardirq", "softirq")
            for kind in "WR"
        )

    def _check_deadlock(self, lock: LockClass, where: str, trylock: bool, read: bool) -> Report | None:
        """Report a lock of a class that this task holds already.

        Models: kernel/locking/lockdep.c:check_deadlock (v5.8).
        """
        names = [held.lock.name for held in self.held if not (read and held.read)]
        if not self.kernel.prove or trylock or lock.name not in names or lock.kind in RCU:
            return None
        return self._report("recursive_locking", lock, where)

    def _check_noncircular(self, lock: LockClass, where: str, trylock: bool, read: bool) -> Report | None:
        """Report a lock under which a lock held now was taken before.

        Models: kernel/locking/lockdep.c:check_noncircular (v5.8).
        """
        if not self.kernel.prove or trylock or lock.kind in RCU:
            return None
        here = [held for held in self.held if held.irq_context == self.irq_context and not held.companion]
        ways = [way for held in here if (way := self.graph.path(lock.name, held.lock.name))]
        if ways:
            return self._report("circular_locking", lock, where, chain=tuple(sorted(ways, key=len)[0]))
        return None

    def _verify_lock_unused(self, lock: LockClass, where: str, trylock: bool, read: bool) -> Report | None:
        """Report a lock that waits in an NMI although it was ever used elsewhere: the NMI may have hit its holder.

        Models: kernel/locking/lockdep.c:verify_lock_unused (v5.9); lockdep sees nothing else of an NMI.  v5.8 asks for
        a usage that none of the allocator's locks has, and earlier kernels do not ask.
        """
        conflict = self.kernel.nmi_conflict
        if trylock or lock.name not in self.usage or conflict not in ("any", *self.usage[lock.name]):
            return None
        return self._report("inconsistent_lock_state", lock, where, conflict=("INITIAL USE", "IN-NMI"))

    # sleeping

    @property
    def atomic(self) -> bool:
        """Return whether the CPU may not sleep here, as far as the kernel can tell without lockdep."""
        return self.preempt_count > 0 or not self.irqs_on

    def might_sleep(self, where: str, rtlock: bool = False) -> None:
        """Report a place that may sleep in a context that may not: at most one report a second, so one a request.

        An RCU section counts, too (on PREEMPT_RT from v5.16 on, and never for its sleeping spinlocks, ``rtlock``).
        Models: kernel/sched/core.c:___might_sleep (v5.8) and __might_resched (v6.18) with DEBUG_ATOMIC_SLEEP.
        """
        said = any(report.kind == "sleeping_function" for report in self.reports)
        depth = sum(held.lock.kind == "rcu" for held in self.held)
        illegal = self.atomic or (self.kernel.counts_rcu_depth and depth > 0 and not rtlock)
        if self.kernel.on("DEBUG_ATOMIC_SLEEP") and illegal and not said:
            rcu = (depth, depth if rtlock else 0)
            self.reports.append(self._report("sleeping_function", None, where, rcu=rcu))

    def sleep(self, where: str) -> None:
        """Go to sleep: the scheduler reports a task that has preemption off, and puts the count right.

        Models: kernel/sched/core.c:schedule_debug and __schedule_bug (v5.8).
        """
        if self.preempt_count > 0:
            self.reports.append(self._report("scheduling_while_atomic", None, where))
            self.preempt_count = 0

    def _block(self, lock: LockClass, where: str, mine: bool) -> None:
        """Wait for a lock that another CPU holds, or this one: the scheduler reports a task that has preemption off.

        Models: kernel/sched/core.c:schedule_debug and __schedule_bug (v5.8); the count is put right afterwards.
        """
        if (self.contended or mine) and self.preempt_count > 0:
            self.reports.append(self._report("scheduling_while_atomic", lock, where))
            self.preempt_count = 0


def exclusive(bit: str) -> str:
    """Return the usage that a class with this usage may not have."""
    pairs = {IN_USE_BITS[level]: ON_BITS[level] for level in IN_USE_BITS}
    return {**pairs, **{on: used for used, on in pairs.items()}}[bit]
