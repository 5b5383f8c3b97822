"""Lock classes and wait types: what a lock needs of the context in which it is taken, and what it leaves to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Wait types, strictest last but INV, which is "not checked".
#: Models: include/linux/lockdep_types.h:enum lockdep_wait_type (v5.8) with PROVE_RAW_LOCK_NESTING.
LD_WAIT_INV, LD_WAIT_FREE, LD_WAIT_SPIN, LD_WAIT_CONFIG, LD_WAIT_SLEEP, LD_WAIT_MAX = range(6)
WAIT_NAMES = ("LD_WAIT_INV", "LD_WAIT_FREE", "LD_WAIT_SPIN", "LD_WAIT_CONFIG", "LD_WAIT_SLEEP", "LD_WAIT_MAX")

Kind = Literal[
    "raw_spinlock_t", "spinlock_t", "rwlock_t", "local_lock_t", "mutex", "rcu", "rcu_sched", "map", "wait_override"
]

#: The inner and the outer wait type of a kind of lock; outer INV means "the same as inner".
WAIT_TYPES: dict[Kind, tuple[int, int]] = {
    "raw_spinlock_t": (LD_WAIT_SPIN, LD_WAIT_INV),
    "spinlock_t": (LD_WAIT_CONFIG, LD_WAIT_INV),
    "rwlock_t": (LD_WAIT_CONFIG, LD_WAIT_INV),
    "local_lock_t": (LD_WAIT_CONFIG, LD_WAIT_INV),
    "mutex": (LD_WAIT_SLEEP, LD_WAIT_INV),
    "rcu": (LD_WAIT_CONFIG, LD_WAIT_FREE),
    "rcu_sched": (LD_WAIT_SPIN, LD_WAIT_FREE),
    "map": (LD_WAIT_INV, LD_WAIT_INV),
    "wait_override": (LD_WAIT_CONFIG, LD_WAIT_INV),  # DEFINE_WAIT_OVERRIDE_MAP() of kfree_rcu()
}
SLEEP_ON_RT = ("spinlock_t", "rwlock_t", "local_lock_t")


def wait_number(wait: int, nesting: bool) -> int:
    """Return a wait type as the kernel compares and prints it.

    Arguments: the wait type; whether PROVE_RAW_LOCK_NESTING tells a spinlock_t from a raw_spinlock_t.
    Models: include/linux/lockdep_types.h:enum lockdep_wait_type (v5.8).
    """
    return wait if nesting or wait < LD_WAIT_CONFIG else wait - 1


def wait_text(wait: int, nesting: bool) -> str:
    """Return a wait type for a reader: its number with its name; arguments as of `wait_number`."""
    return f"{wait_number(wait, nesting)} ({WAIT_NAMES[wait]})"


@dataclass(frozen=True)
class LockClass:
    """A class of locks as lockdep sees it.

    ``name`` is what the kernel prints; ``run_time`` says that its locks are initialised by a call
    (spin_lock_init()), not where they are defined; ``unchecked`` that this kernel gives such a lock no wait type.
    """

    name: str
    kind: Kind
    run_time: bool = False
    unchecked: bool = False

    @property
    def inner(self) -> int:
        """Return the wait type that holding the lock leaves to what is taken under it."""
        return LD_WAIT_INV if self.unchecked else WAIT_TYPES[self.kind][0]

    @property
    def outer(self) -> int:
        """Return the wait type that taking the lock needs."""
        return (LD_WAIT_INV if self.unchecked else WAIT_TYPES[self.kind][1]) or self.inner

    def sleeps(self, preempt_rt: bool) -> bool:
        """Return whether a task that finds the lock taken goes to sleep."""
        return self.kind == "mutex" or (preempt_rt and self.kind in SLEEP_ON_RT)

    def spins(self, preempt_rt: bool) -> bool:
        """Return whether holding the lock keeps preemption off."""
        return self.kind in ("raw_spinlock_t", "rcu_sched") or (
            not preempt_rt and self.kind in ("spinlock_t", "rwlock_t")
        )

    def types(self, nesting: bool) -> str:
        """Return ``{outer:inner}`` as lockdep prints it."""
        return f"{{{wait_number(self.outer, nesting)}:{wait_number(self.inner, nesting)}}}"

    def text(self, nesting: bool) -> str:
        """Return the kind and the wait types, such as ``spinlock_t {3:3}``."""
        shown = "" if self.kind in ("rcu", "rcu_sched", "map", "wait_override") else f"{self.kind} "
        return f"{shown}{self.types(nesting)}"
