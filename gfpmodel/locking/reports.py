"""What the kernel would print: the shape that a reviewer knows, filled in with what the model found.

Addresses, offsets and call traces are the machine's and are left out; titles and field names are those of the kernel
that is named, and so is the release in the banner (`Kernel.release`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gfpmodel.locking.classes import LockClass
from gfpmodel.locking.kernels import Kernel

TASK, CPU = "caller/1", 0
TITLES = {
    "invalid_wait_context": "[ BUG: Invalid wait context ]",
    "inconsistent_lock_state": "WARNING: inconsistent lock state",
    "recursive_locking": "WARNING: possible recursive locking detected",
    "circular_locking": "WARNING: possible circular locking dependency detected",
}
INFO = {  # what v4.4 has in their place
    "inconsistent_lock_state": "[ INFO: inconsistent lock state ]",
    "recursive_locking": "[ INFO: possible recursive locking detected ]",
    "circular_locking": "[ INFO: possible circular locking dependency detected ]",
}
PRINTED = {"pa_lock": "(l).lock", "softirq_ctrl.lock": "(softirq_ctrl.lock).lock"}

# Since when a line has its shape.
WARNING_SINCE = (4, 11)  # lockdep's titles, but for that of the wait context, which is younger
NON_BLOCK_SINCE = (5, 4)  # non_block_start()
WAIT_TYPES_SINCE = (5, 7)  # a lock's line ends in its wait types
SPINLOCK_RT_SINCE = (5, 15)  # sleeping spinlocks got a file of their own
EXPECTED_SINCE = (5, 16)  # __might_resched() prints what it compares
MIGHT_ALLOC_SINCE = (6, 0)  # the page allocator asks by might_alloc(), commit 446ec83805dd
SLAB_MIGHT_ALLOC_SINCE = (5, 11)  # slab did so before, commit 95d6c701f4ca
KFREE_RCU_MOVED_SINCE = (6, 14)  # to mm/slab_common.c, commit bbe658d65802
LAST_CPU_SINCE = (7, 3)  # the line above the locks held


@dataclass(frozen=True)
class Held:
    """A lock that is held: its class, the interrupt bits at the time, how it was taken, where, and which one it is."""

    lock: LockClass
    irq_context: int
    trylock: bool
    read: bool
    where: str
    instance: int | str | None
    companion: bool = False  #: the RCU section that PREEMPT_RT opens with every sleeping spinlock
    tracked: bool = True  #: lockdep has seen it: nothing of what an NMI takes
    usage: str = "...."

    def __str__(self) -> str:
        return self.lock.name


@dataclass(frozen=True)
class Report:
    """What the kernel would print: its kind, the lock and the function that took it, and the situation.

    ``lock`` is None where no lock is named; ``conflict`` the two usages that exclude each other, ``chain`` the locks
    that were taken one under the other before.  ``rcu`` is how deep RCU sections nest, and how deep they might.
    """

    kind: str
    lock: LockClass | None
    where: str
    held: tuple[Held, ...]
    kernel: Kernel
    usage: str = "...."
    context_base: int | None = None
    conflict: tuple[str, str] = ("", "")
    chain: tuple[str, ...] = ()
    level: str = "task"
    preempt_count: int = 0
    preempt_off_at: str = ""
    rcu: tuple[int, int] = (0, 0)
    irqs_on: bool = True
    softirqs_on: bool = True
    tainted: bool = False
    lockdep_on: bool = True  #: no report of lockdep's came before: each switches it off

    @property
    def taints(self) -> bool:
        """Return whether the report sets the taint W."""
        return self.kind in ("sleeping_function", "scheduling_while_atomic")

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain objects."""
        nesting, base = self.kernel.nesting, self.context_base
        return {
            "kind": self.kind,
            "lock": self.lock.name if self.lock else None,
            "type": self.lock.text(nesting) if self.lock else None,
            "held": [f"{held.lock.name} {held.lock.types(nesting)}" for held in self.held],
            "context_base": None if base is None else f"{base}:{base}",
            "where": self.where,
            "usage": self.usage if self.lock else None,
            "text": self.text(),
        }

    def text(self) -> str:
        """Return the report as the kernel would print it, without addresses and call trace."""
        bodies = {
            "invalid_wait_context": self._invalid_wait_context,
            "inconsistent_lock_state": self._inconsistent_lock_state,
            "recursive_locking": self._deadlock,
            "circular_locking": self._deadlock,
            "sleeping_function": self._sleeping_function,
            "scheduling_while_atomic": self._scheduling_while_atomic,
        }
        return "\n".join(bodies[self.kind]())

    def __str__(self) -> str:
        lock = f" on {self.lock.name}" if self.lock else ""
        return f"{self.kind}{lock} in {self.where}"

    # the parts

    def _header(self) -> Iterator[str]:
        title = TITLES[self.kind] if self.kernel.version >= WARNING_SINCE else INFO[self.kind]
        taint = "Tainted: G        W" if self.tainted else "Not tainted"
        yield from ("", "=" * len(title), title, f"{self.kernel.release} #1 {taint}", "-" * len(title))

    def _line(self, lock: LockClass, usage: str, where: str) -> str:
        """Return a lock as lockdep prints it, its address apart."""
        types = f"-{lock.types(self.kernel.nesting)}" if self.kernel.version >= WAIT_TYPES_SINCE else ""
        return f"({PRINTED.get(lock.name, lock.name)}){{{usage}}}{types}, at: {where}"

    def _mine(self) -> str:
        return self._line(self.lock, self.usage, self.where) if self.lock else ""

    def _held(self) -> Iterator[str]:
        """Yield the locks held, as far as lockdep still knows them.

        v7.3 has another first line.  Its source means "on CPU" for a task that runs and "last CPU" for one that
        sleeps, but prints them the wrong way round; the caller runs, so it gets what that kernel prints.
        Models: kernel/locking/lockdep.c:debug_show_held_locks (v5.8) and lockdep_print_held_locks (v5.8 and v7.3).
        """
        if not self.kernel.on("LOCKDEP"):
            return
        if not self.lockdep_on:
            yield "INFO: lockdep is turned off."
            return
        count = len(self.held)
        if self.kernel.version >= LAST_CPU_SINCE:
            yield f"locks held by {TASK}: {count}, last CPU#{CPU}{':' if count else ''}"
        else:
            yield f"{count or 'no'} lock{'s' if count != 1 else ''} held by {TASK}{':' if count else '.'}"
        for number, held in enumerate(self.held):
            yield f" #{number}: {self._line(held.lock, held.usage, held.where)}"

    def _invalid_wait_context(self) -> Iterator[str]:
        yield from self._header()
        yield from (f"{TASK} is trying to lock:", self._mine())
        yield "other info that might help us debug this:"
        yield f"context-{{{self.context_base}:{self.context_base}}}"
        yield from self._held()
        yield "stack backtrace:"

    def _inconsistent_lock_state(self) -> Iterator[str]:
        old, new = self.conflict
        hard, soft = (self.level in levels for levels in (("hardirq", "nmi"), ("softirq",)))
        yield from self._header()
        yield f"inconsistent {{{old}}} -> {{{new}}} usage."
        yield (
            f"{TASK} [HC{hard:d}[{hard:d}]:SC{soft:d}[{soft:d}]:"
            f"HE{self.irqs_on:d}:SE{self.softirqs_on and not soft:d}] takes:"
        )
        yield self._mine()
        yield from (f"{{{old}}} state was registered at:", "", "other info that might help us debug this:")
        yield from self._scenario("<Interrupt>")
        yield from self._held()
        yield from ("", "stack backtrace:")

    def _scenario(self, between: str = "") -> Iterator[str]:
        """Yield the picture of how one CPU gets stuck."""
        name = PRINTED.get(self.lock.name, self.lock.name) if self.lock else ""
        yield from (" Possible unsafe locking scenario:", "", "       CPU0", "       ----", f"  lock({name});")
        if between:
            yield from (f"  {between}", f"    lock({name});")
        else:
            yield f"  lock({name});"
        yield from ("", " *** DEADLOCK ***", "")

    def _deadlock(self) -> Iterator[str]:
        yield from self._header()
        yield from (f"{TASK} is trying to acquire lock:", self._mine(), "", "but task is already holding lock:")
        names = [self.lock.name if self.lock else "", *self.chain]
        yield from (self._line(h.lock, h.usage, h.where) for h in self.held if h.lock.name in names)
        if self.chain:
            yield from ("", "the existing dependency chain (in reverse order) is:", f"  {' -> '.join(self.chain)}")
        else:
            yield from ("", "other info that might help us debug this:", *self._scenario())
        yield from self._held()
        yield from ("", "stack backtrace:")

    def _sleeping_function(self) -> Iterator[str]:
        """Yield the report on a place that may sleep where it may not.

        Models: kernel/sched/core.c:___might_sleep (v5.8) and __might_resched (v5.16), with PREEMPT_RCU, which every
        preemptible kernel has; the line of the file is left out.
        """
        yield f"BUG: sleeping function called from invalid context at {self._file()}"
        non_block = " non_block: 0," if self.kernel.version >= NON_BLOCK_SINCE else ""
        atomic, irqs_off = self.preempt_count != 0, not self.irqs_on
        yield f"in_atomic(): {atomic:d}, irqs_disabled(): {irqs_off:d},{non_block} pid: 1, name: caller"
        if self.kernel.version >= EXPECTED_SINCE:
            depth, expected = self.rcu
            yield f"preempt_count: {self.preempt_count:x}, expected: 0"
            yield f"RCU nest depth: {depth}, expected: {expected}"
        yield from self._held()
        yield from self._preemption()

    def _file(self) -> str:
        """Return the file that says "might sleep": the allocator's, that of mutexes or of PREEMPT_RT's sleeping locks.

        Without PREEMPT_RT only the mutex of a caller sleeps.
        """
        if self.where == self.kernel.entry:
            return "include/linux/sched/mm.h" if self.kernel.version >= MIGHT_ALLOC_SINCE else "mm/page_alloc.c"
        if self.where == "kvfree_call_rcu":
            return "mm/slab_common.c" if self.kernel.version >= KFREE_RCU_MOVED_SINCE else "kernel/rcu/tree.c"
        if self.where == "kmalloc":
            return "include/linux/sched/mm.h" if self.kernel.version >= SLAB_MIGHT_ALLOC_SINCE else "mm/slab.h"
        if not self.kernel.rt:
            return "kernel/locking/mutex.c"
        new = self.kernel.version >= SPINLOCK_RT_SINCE
        return f"kernel/locking/{'spinlock_rt' if new else 'rtmutex'}.c"

    def _scheduling_while_atomic(self) -> Iterator[str]:
        yield f"BUG: scheduling while atomic: {TASK}/0x{self.preempt_count + 1:08x}"
        yield from self._held()
        yield from self._preemption()

    def _preemption(self) -> Iterator[str]:
        if self.preempt_count:
            yield from ("Preemption disabled at:", self.preempt_off_at)
