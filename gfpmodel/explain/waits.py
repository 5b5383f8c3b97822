"""What the numbers in a report of lockdep mean: wait types, by the kernel's version and PROVE_RAW_LOCK_NESTING.

Before v5.7 a lock's line has no types.  Since then the numbers are those of one enumeration, in which the option moves
two: without it a spinlock_t counts as a raw_spinlock_t, and a mutex has the number that a spinlock_t has with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from gfpmodel.locking.classes import (
    LD_WAIT_CONFIG,
    LD_WAIT_FREE,
    LD_WAIT_INV,
    LD_WAIT_MAX,
    LD_WAIT_SLEEP,
    LD_WAIT_SPIN,
    WAIT_TYPES,
    Kind,
    wait_number,
)
from gfpmodel.locking.kernels import NESTING_SINCE, Kernel, lock_kinds
from gfpmodel.locking.reports import PRINTED

#: What locks of a wait type are, and what a context of that type is; LD_WAIT_MAX is a task's own, no lock's.
LOCKS = {
    LD_WAIT_FREE: "an RCU section",
    LD_WAIT_SPIN: "raw_spinlock_t",
    LD_WAIT_CONFIG: "spinlock_t, rwlock_t or local_lock_t",
    LD_WAIT_SLEEP: "mutex, rwsem or the like",
}
CONTEXTS = {
    LD_WAIT_SPIN: "a hard interrupt",
    LD_WAIT_CONFIG: "a soft interrupt, or one that may be threaded",
    LD_WAIT_MAX: "a task",
}


def by_number(words: dict[int, str], nesting: bool) -> dict[int, str]:
    """Return words by the number that a kernel prints: types that have one number there share it."""
    found: dict[int, list[str]] = {}
    for wait, word in words.items():
        found.setdefault(wait_number(wait, nesting), []).append(word)
    return {number: " or ".join(dict.fromkeys(said)) for number, said in found.items()}


#: Locks and contexts by number, with the option and without.
LOCKS_BY = {nesting: by_number(LOCKS, nesting) for nesting in (True, False)}
CONTEXTS_BY = {True: by_number(CONTEXTS, True), False: {wait_number(LD_WAIT_SPIN, False): "an interrupt"}}
CONTEXTS_BY[False][wait_number(LD_WAIT_MAX, False)] = CONTEXTS[LD_WAIT_MAX]

#: Names that only sleeping locks have, of which the last word counts: a mutex has a raw wait_lock.
SLEEPING = re.compile(
    r"(?:mutex|rwsem|[_>.]sem|mmap_lock|s_umount|jbd2_handle)(?:_dir)?(?:_key)?(?:#\d+)?(?:/\d)?$|^sb_(?:writers|pagefaults|internal)\b"
)
#: Maps that are no locks: what runs in a work item or a timer holds them, whatever it may do.
_MAPS = re.compile(r"\((?:wq|work)_completion\)|rcu_callback|fs_reclaim$|mmu_notifier_invalidate")
_MAP_HOLDERS = ("process_one_work", "call_timer_fn", "__flush_work", "rcu_do_batch")
_TAKES_SLEEPING = re.compile(r"_*(?:ww_)?mutex_(?:lock|trylock)|down_(?:read|write|killable)|percpu_down|__?down\b")
_TAKES_SPIN = re.compile(r"_*(?:raw_)?(?:spin|read|write)_lock|rt_(?:spin|read|write)_lock|do_raw_")


_SPINLOCK = re.compile(r"^&\((?P<lock>.+)\)->rlock(?=#\d+$|$)")  #: how spin_lock_init() named its locks before v5.7
SPINS_OR_SLEEPS: tuple[Kind, Kind] = ("spinlock_t", "mutex")
_NUMBER = re.compile(r"(?<=^&s->lock_key)#\d+$")
_SUBCLASS = re.compile(r"(?<=.)/\d$")  #: of a lock that nests in another of its class


def class_of(name: str) -> str:
    """Return a lock's name without what tells no class.

    That is the number of a cache's class, as lockdep counts by first use, and no two boots alike; the subclass of a
    lock that nests in another; and what v5.6 and earlier put around the name of a spinlock_t.
    """
    return _NUMBER.sub("", _SPINLOCK.sub(r"\g<lock>", _SUBCLASS.sub("", name)))


@dataclass
class Lock:
    """A lock as lockdep prints it; ``outer`` and ``inner`` are None before v5.7.

    ``places`` are the functions that took it, the innermost first: several where the compiler put one into another,
    and the report was printed with the places in the source.
    """

    name: str
    usage: str
    outer: int | None
    inner: int | None
    places: list[str]

    @property
    def where(self) -> str:
        """Return the function that took the lock."""
        return self.places[0]

    @property
    def types(self) -> str:
        """Return the types as printed."""
        return f"{{{self.outer}:{self.inner}}}"


@lru_cache(maxsize=64)
def known_kinds(kernel: Kernel | None) -> dict[str, Kind]:
    """Return the kinds of the locks that the model knows on a kernel, by the names that are printed."""
    kinds = {} if kernel is None else {PRINTED.get(name, name): kind for name, (kind, _) in lock_kinds(kernel).items()}
    return {**kinds, "rcu_read_lock": "rcu", "rcu_read_lock_bh": "rcu"}


def nesting_of(lock: Lock, kind: Kind | None) -> bool | None:
    """Return what a lock's number says of PROVE_RAW_LOCK_NESTING, None if nothing."""
    if lock.inner is None or lock.inner < LD_WAIT_SPIN or (lock.outer == 0):
        return None
    if lock.inner == LD_WAIT_SLEEP:
        return True
    wait = WAIT_TYPES[kind][0] if kind else LD_WAIT_SLEEP if SLEEPING.search(lock.name) else 0
    if wait not in (LD_WAIT_CONFIG, LD_WAIT_SLEEP) or (wait == LD_WAIT_SLEEP and lock.inner == LD_WAIT_SPIN):
        return None  # nothing that sleeps has the number of a raw lock, whatever its name says
    return lock.inner == wait_number(wait, nesting=True)


def taken_by(functions: Iterable[str]) -> bool | None:
    """Return what the function that wanted a lock of number 3 says of the option: it spins, or it sleeps."""
    for function in functions:
        if _TAKES_SPIN.match(function):
            return True
        if _TAKES_SLEEPING.match(function):
            return False
    return None


def tells_apart(
    base: int | None, locks: Iterable[Lock], wanted: Lock | None, calls: Iterable[str], kernel: Kernel | None
) -> bool | None:
    """Return whether the kernel told a spinlock_t from a raw_spinlock_t (PROVE_RAW_LOCK_NESTING); None if nothing says.

    Since v6.18 the option is no choice where PREEMPT_RT is supported, so that of the kernel counts where nothing says.
    Arguments: the number of the context, the locks of the report, the one wanted, the functions of its call chain.
    """
    if base in (LD_WAIT_CONFIG, LD_WAIT_MAX):
        return True
    if base == LD_WAIT_SLEEP:
        return False
    known = known_kinds(kernel)
    said = [answer for lock in locks if (answer := nesting_of(lock, known.get(class_of(lock.name)))) is not None]
    if not said and wanted and wanted.outer == LD_WAIT_CONFIG and (by := taken_by(calls)) is not None:
        said = [by]
    if not said and kernel and kernel.version >= NESTING_SINCE:
        return kernel.nesting
    return any(said) if said else None


def is_map(lock: Lock) -> bool:
    """Return whether lockdep follows something here that is no lock: nobody waits for it under this name."""
    if lock.name.startswith("rcu_read_lock"):
        return False
    unchecked = lock.inner == LD_WAIT_INV and lock.outer == LD_WAIT_INV
    return bool(unchecked or lock.outer == LD_WAIT_FREE or _MAPS.match(lock.name) or lock.where in _MAP_HOLDERS)


def kinds_of(lock: Lock, nesting: bool | None, kernel: Kernel | None) -> Iterator[Kind]:
    """Yield the kinds that a lock may be, as far as its name and its number tell; none for one that is not checked.

    Of the kinds that share a number one stands for all: they allow and forbid the same.
    """
    known = known_kinds(kernel).get(class_of(lock.name))
    if lock.name.startswith("rcu_read_lock_sched"):
        yield "rcu_sched"
    elif is_map(lock):
        return
    elif known == "rcu" or (known and (nesting is None or lock.inner is None)):
        yield known
    elif lock.inner is None:
        yield from kinds_by_name(lock.name)
    elif lock.inner == LD_WAIT_SPIN:
        yield "raw_spinlock_t"
    else:
        for option in (True, False) if nesting is None else (nesting,):
            yield from (kind for kind in SPINS_OR_SLEEPS if wait_number(WAIT_TYPES[kind][0], option) == lock.inner)


def kinds_by_name(name: str) -> Iterator[Kind]:
    """Yield the kinds that a lock may be before v5.7, when only a spinlock_t's own name told it."""
    if not SLEEPING.search(name):
        yield "spinlock_t"
    if not _SPINLOCK.match(name):
        yield "mutex"
