"""Limitation (a) of the RFC: at which object queueing is told off, and for which lock.

The chain runs on the page allocator; each request for a block is put before the checks of `gfpmodel.locking` in the
context of the caller with krcp->lock held, the page lists as the request found them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from gfpmodel.errors import InputError, unknown
from gfpmodel.locking import Report, Setup, Verdict, make_kernel, make_request, stack, verdict
from gfpmodel.locking.machine import GUEST
from gfpmodel.mm import PageAllocator, Rule
from gfpmodel.rcu.cache import ALLOCATED
from gfpmodel.rcu.kfree_rcu import KfreeRcu
from gfpmodel.rcu.versions import Version, version

#: The caller's lock, as the recorded runs name it: a stack for `locking.context`.
HELD = {
    "none": (),
    "raw": ("raw:kf_raw",),
    "rawirq": ("raw_irqsave:kf_raw",),
    "spin": ("spin:kf_spin",),
    "irq": ("irqoff",),
}
#: krcp->lock, by its kind: interrupts are off first, and v5.8's lock is initialised at run time.
KRC_LOCK = {"raw": ("raw_irqsave:krc.lock",), "spin": ("irqoff", "spin:&krcp->lock")}
SLEEPING, ATOMIC = "sleeping_function", "scheduling_while_atomic"


@dataclass(frozen=True)
class Run:
    """Objects queued one after the other by a caller that holds a lock.

    ``form``: k, v or c (slab, vmalloc or an own cache) with 2 or 1 arguments.  ``unmovable`` pages are on this cpu's
    UNMOVABLE list and ``cached`` blocks in its cache at the start.  ``drained_after``: the drain timer's work runs
    after that many objects, and their grace period does not end meanwhile.  With ``every_ns`` time goes on instead.
    """

    version: str
    form: str = "k2"
    held: str = "none"
    count: int = 1200
    unmovable: int = 0
    cached: int | None = None
    drained_after: int | None = None
    every_ns: int = 0
    proposal: Rule | None = None

    def __post_init__(self) -> None:
        if self.held not in HELD:
            raise unknown("lock of the caller", self.held, HELD)
        if self.form[:1] not in "kvc" or self.form[1:] not in ("1", "2"):
            raise InputError(f"form {self.form!r}; expected k, v or c and 1 or 2 arguments: k2")


@dataclass(frozen=True)
class Outcome:
    """What became of a run: the number of the object (from 1) at which lockdep spoke up, or None, and the reports."""

    at_object: int | None
    reports: tuple[Report, ...]
    kinds: tuple[str, ...]
    pages_alloc: int
    head_objects: int

    @property
    def lockdep(self) -> Report | None:
        """Return lockdep's report, if there is one."""
        return next((r for r in self.reports if r.kind == "invalid_wait_context"), None)


def first_report(run: Run) -> Outcome:
    """Queue the objects of a run until a check of the kernel's speaks up; raises InputError."""
    kernel = version(run.version)
    kinds = [SLEEPING] if run.form[1] == "1" and run.held != "none" else []
    at_lock = block_verdict(kernel, run.held, warm=True, proposal=run.proposal).before
    if at_lock:
        return Outcome(1, at_lock, (*kinds, at_lock[0].kind), 0, 0)
    rcu = prepared(run, kernel)
    objects = rcu.kmalloc(run.count)
    for number, obj in enumerate(objects, 1):
        rcu.kvfree_call_rcu(
            obj, vmalloc=run.form[0] == "v", offset=0 if run.form[1] == "2" else None, may_sleep=run.held == "none"
        )
        if any("scheduling while atomic" in report for report in rcu.reports):
            return outcome(rcu, number, (), (*kinds, ATOMIC))
        for want in (event for event in rcu.events() if event.name == "B" and event.a[2] == ALLOCATED):
            found = block_verdict(kernel, run.held, warm=want.a[6] > 0, proposal=run.proposal).reports
            if found:
                return outcome(rcu, number, found, (*kinds, *(report.kind for report in found)))
        if number == run.drained_after:
            rcu.monitor()
        if run.every_ns:
            rcu.advance(run.every_ns)
    return outcome(rcu, None, (), tuple(kinds))


def outcome(rcu: KfreeRcu, number: int | None, reports: tuple[Report, ...], kinds: tuple[str, ...]) -> Outcome:
    """Return what became of a run so far."""
    counters = rcu.counters
    return Outcome(number, reports, kinds, counters.pages_alloc, counters.head_objects)


def prepared(run: Run, kernel: Version) -> KfreeRcu:
    """Return the chain of a run on the recorded guest, with as many pages on the list as the run says."""
    allocator = PageAllocator(GUEST, run.proposal)
    rcu = KfreeRcu(kernel, allocator, proposal=run.proposal, min_cached=run.cached, events=1 << 12)
    allocator.drain()
    pages = [allocator.alloc_pages("GFP_KERNEL") or 0 for _ in range(run.unmovable)]
    allocator.drain()
    for pfn in pages:
        allocator.free_pages(pfn)
    return rcu


@lru_cache(maxsize=256)
def block_verdict(kernel: Version, held: str, *, warm: bool, proposal: Rule | None = None) -> Verdict:
    """Return the verdict on the request for a block, under the caller's lock and krcp->lock.

    Arguments: the version; a name of HELD; whether the UNMOVABLE list has a page; the row that serves the request.
    """
    name = "v5.8-rc3" if kernel.name == "v5.8" else kernel.name  # the layouts know that release by its candidate
    checks = make_kernel(name, {"PROVE_RAW_LOCK_NESTING": True})
    where = stack((*HELD[held], *KRC_LOCK[kernel.lock]))
    pcp: Literal["warm", "dry"] = "warm" if warm else "dry"
    mask = kernel.request or kernel.worker or "GFP_KERNEL"
    request = make_request(checks, None if proposal else mask, proposal)
    return verdict(request, where, Setup(pcp), checks)
