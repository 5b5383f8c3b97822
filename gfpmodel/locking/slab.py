"""The locks of slab: kmalloc(), kmalloc_nolock(), kfree_nolock() and kfree_rcu() of v6.18 with SLUB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from gfpmodel.errors import NotModelledError
from gfpmodel.locking.kernels import KMALLOC_16, KMALLOC_64, Kernel
from gfpmodel.locking.lockdep import Cpu
from gfpmodel.locking.step import Step, locked

Call = Literal["kmalloc", "kmalloc_nolock", "kfree_nolock", "kfree_rcu", "kfree_rcu_sheaf"]
#: What becomes of the object; the other calls give one.
RESULTS: dict[str, Literal["freed", "queued"]] = {
    "kfree_nolock": "freed",
    "kfree_rcu": "queued",
    "kfree_rcu_sheaf": "queued",
}


def check_call(call: str, kernel: Kernel) -> None:
    """Raise NotModelledError unless the model has a call on a kernel."""
    if not kernel.models_slab:
        raise NotModelledError(f"{call}() is modelled on v6.18 alone, not on {kernel.name}")


def refuses(call: Call, kernel: Kernel, cpu: Cpu) -> bool:
    """Return whether a call gives up at once: PREEMPT_RT has no way to only try the lock of a cpu's slab.

    Models: mm/slub.c:kmalloc_nolock_noprof (v6.18), which asks preemptible().
    """
    return call == "kmalloc_nolock" and kernel.rt and cpu.atomic


def slab_steps(call: Call, kernel: Kernel, shrunk: bool) -> Iterator[Step]:
    """Yield the steps of a call with an object of 64 bytes.

    ``shrunk`` says that this cpu has no slab of its own, and that the node has some that are partly used.
    Models: mm/slub.c and mm/slab_common.c (v6.18); leaves out memcg, debugging, and a node without partly used slabs,
    where alloc_pages() or alloc_pages_nolock() would follow.
    """
    match call:
        case "kmalloc" | "kmalloc_nolock":
            yield from slab_alloc(kernel, KMALLOC_64, shrunk, spins=call == "kmalloc")
        case "kfree_nolock":
            yield from do_slab_free(kernel)
        case _:
            yield from kvfree_call_rcu(kernel, sheaf=call == "kfree_rcu_sheaf")


def slab_alloc(kernel: Kernel, lock: str, shrunk: bool, spins: bool) -> Iterator[Step]:
    """Yield the steps of an allocation: this cpu's slab, else one that is partly used.

    Without PREEMPT_RT a slab with free objects needs no lock.  Its lock is only ever tried there, as nobody else can
    hold it; PREEMPT_RT takes it each time.
    Models: mm/slub.c:__slab_alloc_node, ___slab_alloc and get_partial_node (v6.18 with LOCKDEP).
    """
    if shrunk:
        yield from locked(kernel, "&n->list_lock", "___slab_alloc", what="acquire" if spins else "try")
    if kernel.rt or shrunk:
        yield from locked(kernel, lock, "___slab_alloc", what="acquire" if kernel.rt else "try")


def stack_list_entry(kernel: Kernel) -> Iterator[Step]:
    """Yield the steps of the kmalloc() with which page_owner lists a stack.

    Models: mm/page_owner.c:add_stack_record_to_list (v6.8 to v6.18), this cpu's slab having free objects.
    """
    if kernel.has_cpu_slabs:
        yield from slab_alloc(kernel, KMALLOC_16, shrunk=False, spins=True)


def do_slab_free(kernel: Kernel) -> Iterator[Step]:
    """Yield the steps of kfree_nolock() of an object on this cpu's slab: no lock, but on PREEMPT_RT the slab's.

    Models: mm/slub.c:do_slab_free (v6.18), inlined; an object of another slab is put off without a lock.
    """
    if kernel.rt:
        yield from locked(kernel, KMALLOC_64, "kfree_nolock")


def kvfree_call_rcu(kernel: Kernel, sheaf: bool) -> Iterator[Step]:
    """Yield the steps of kfree_rcu() with a head.

    A cache with sheaves keeps the object for a grace period of its own and only tries its lock; PREEMPT_RT does
    without.  The object is the first since boot: its sheaf comes from the node's barn, whose lock waits, under a map
    that has lockdep take a spinlock_t there for what it is without PREEMPT_RT.
    Models: mm/slab_common.c:kvfree_call_rcu and mm/slub.c:__kfree_rcu_sheaf (v6.18 as maintained, with
    kfree_rcu_sheaf_map); leaves out the raw locks of timers and work items under krc.lock.
    """
    if sheaf and not kernel.rt:
        yield Step("try", "kfree_rcu_sheaf_map", "__kfree_rcu_sheaf")
        yield Step("try", "&pcs->lock", "__kfree_rcu_sheaf")
        yield from locked(kernel, "&barn->lock", "barn_get_empty_sheaf")
        yield Step("release", "&pcs->lock")
        yield Step("release", "kfree_rcu_sheaf_map")
    else:
        yield from lock_cache(kernel)


def lock_cache(kernel: Kernel) -> Iterator[Step]:
    """Yield taking the lock of this cpu's blocks, under which a page comes from the cache.

    Models: kernel/rcu/tree.c:krc_this_cpu_lock (v5.11).
    """
    yield from locked(kernel, "krc.lock", "kvfree_call_rcu")
