"""The locks of slab: what a row of the table means as steps of a CPU, in the context that asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from gfpmodel.errors import NotModelledError
from gfpmodel.gfp import encode, layout
from gfpmodel.locking.kernels import KMALLOC_16, Kernel
from gfpmodel.locking.lockdep import Cpu
from gfpmodel.locking.slab_rows import (
    BLOCKS,
    CPU_SLAB,
    FREES,
    GIVES,
    SHEAVES,
    Action,
    Call,
    Pages,
    Row,
    Sleeps,
    Take,
    row_of,
)
from gfpmodel.locking.step import Step, locked
from gfpmodel.mm.page_alloc import GFP_DIRECT_RECLAIM, GFP_KSWAPD_RECLAIM

GFP_RECLAIM = GFP_DIRECT_RECLAIM | GFP_KSWAPD_RECLAIM
GFP_FS = encode("__GFP_FS", layout("v5.8-rc3", {"LOCKDEP": False}))

Outcome = Literal["object", "NULL", "freed", "queued"]
#: Answers a request for a page, or its free, with whether there is one, and its steps.
AsksForPages = Callable[[Pages], tuple[bool, Iterable[Step]]]


def outcome(call: Call, state: str) -> Outcome:
    """Return what becomes of the object of a call that is served; who waits for a grace period frees it at once."""
    return "object" if call in GIVES else "freed" if call in FREES or state == "fallback" else "queued"


def slab_call(
    call: Call, state: str, kernel: Kernel, pages: AsksForPages, cpu: Cpu | None = None
) -> tuple[Outcome, tuple[Step, ...]]:
    """Return what becomes of a call, and its steps.

    Arguments: the call; where its object is or comes from, one of `slab_rows.STATES`; the kernel; what answers requests
    for pages; the CPU on which it is made, a task's if None.  Raises NotModelledError for what no row says.
    """
    row = row_of(call, state, kernel)
    if cpu and refuses(row, cpu):
        return "NULL", ()
    served = Served(kernel, pages)
    steps = tuple(served.steps(actions(row, call, kernel, cpu)))
    return ("NULL" if served.failed and call in GIVES else outcome(call, state)), steps


def refuses(row: Row, cpu: Cpu) -> bool:
    """Return whether a call gives up at once, as kmalloc_nolock() does on PREEMPT_RT where it cannot try.

    v6.18 cannot try the lock of a CPU's slab at all, and asks preemptible(); from v7.0 on only NMIs and hard
    interrupts are refused.
    Models: mm/slub.c:kmalloc_nolock_noprof (v6.18 and v7.0); leaves out NMIs of a UP kernel, refused since v7.1.
    """
    if not row.refused or not cpu.kernel.rt:
        return False
    return cpu.atomic if row.refused == "atomic" else cpu.level in ("hardirq", "nmi")


def actions(row: Row, call: Call, kernel: Kernel, cpu: Cpu | None) -> tuple[Action, ...]:
    """Return the actions of a row where the caller is: PREEMPT_RT cannot try a local lock in a hard interrupt."""
    first = row.actions[0] if row.actions else None
    if not (kernel.rt and cpu and cpu.level in ("hardirq", "nmi")):
        return row.actions
    if not (isinstance(first, Take) and first.lock == SHEAVES):
        return row.actions
    if row.untried is None:
        raise NotModelledError(f"{call}() of {kernel.name} is not known where the lock of the sheaves cannot be tried")
    return row.untried


@dataclass
class Served:
    """Turns actions into steps on a kernel; ``failed`` says that a page was wanted and there was none."""

    kernel: Kernel
    pages: AsksForPages
    failed: bool = False

    def steps(self, some: Iterable[Action]) -> Iterator[Step]:
        """Yield the steps of actions; after a page that could not be had nothing follows."""
        for action in some:
            if isinstance(action, Take):
                yield from self.take(action)
            elif isinstance(action, Sleeps):
                yield Step("sleep" if action.now else "might_sleep", where=action.where)
            else:
                got, steps = self.pages(action)
                yield from steps
                self.failed = self.failed or not got
                if not got:
                    return

    def take(self, it: Take) -> Iterator[Step]:
        """Yield a lock taken, what happens while it is held, and its release."""
        lock = self.kernel.cpu_slab_lock() if it.lock == CPU_SLAB else it.lock
        around = [Step(it.how, lock, it.where), Step("release", lock)]
        if not it.plain:
            around = list(locked(self.kernel, lock, it.where, what=it.how))
        half = len(around) // 2
        yield from around[:half]
        yield from self.steps(it.inside)
        yield from around[half:]


def pre_alloc(mask: int, nolockdep: bool) -> Iterator[Step]:
    """Yield what comes before an allocation of slab: a mask that may sleep says so; arguments as of a request's.

    Models: mm/slab.h:slab_pre_alloc_hook (v5.8) and might_alloc() (v5.11).
    """
    if not mask & GFP_DIRECT_RECLAIM:
        return
    if mask & GFP_FS and not nolockdep:
        yield Step("acquire", "fs_reclaim", "kmalloc")
        yield Step("release", "fs_reclaim")
    yield Step("might_sleep", where="kmalloc")


def stack_list_entry(kernel: Kernel) -> Iterator[Step]:
    """Yield the steps of the kmalloc() with which page_owner lists a stack.

    Without PREEMPT_RT a slab with free objects needs no lock.
    Models: mm/page_owner.c:add_stack_record_to_list (v6.8 to v6.18), this CPU's slab having free objects.
    """
    if kernel.has_cpu_slabs and kernel.rt:
        yield from locked(kernel, kernel.cpu_slab_lock(KMALLOC_16), "___slab_alloc")


def lock_cache(kernel: Kernel) -> Iterator[Step]:
    """Yield taking the lock of this CPU's blocks, under which a page comes from the cache.

    Models: kernel/rcu/tree.c:krc_this_cpu_lock (v5.11).
    """
    yield from locked(kernel, BLOCKS, "kvfree_call_rcu")
