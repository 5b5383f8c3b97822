"""The locks of slab: kmalloc(), kmalloc_nolock(), kfree_nolock(), kfree_rcu() and kfree_rcu_nolock() with SLUB.

v6.18 has a slab for each cpu, and sheaves for two caches; from v7.0 on nearly every cache has sheaves and nothing else
for each cpu.  v6.18 was booted, the later ones are read in source, of an SMP kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from gfpmodel.errors import NotModelledError
from gfpmodel.locking.kernels import KMALLOC_16, KMALLOC_64, Kernel
from gfpmodel.locking.lockdep import Cpu
from gfpmodel.locking.step import Step, locked

Call = Literal["kmalloc", "kmalloc_nolock", "kfree_nolock", "kfree_rcu", "kfree_rcu_sheaf", "kfree_rcu_nolock"]
Outcome = Literal["object", "NULL", "freed", "queued"]
#: What becomes of the object; the other calls give one.
RESULTS: dict[str, Outcome] = {
    "kfree_nolock": "freed",
    "kfree_rcu": "queued",
    "kfree_rcu_sheaf": "queued",
    "kfree_rcu_nolock": "queued",
}
SINCE = {"kfree_rcu_nolock": (7, 3)}  #: calls that came after the others


def missing(call: str, kernel: Kernel) -> str:
    """Return why the model does not have a call on a kernel, empty if it has it."""
    if not kernel.models_slab:
        return f"{call}() is modelled from v6.18 on, not on {kernel.name}"
    if kernel.version < SINCE.get(call, (0, 0)):
        return f"{call}() came with v{'.'.join(map(str, SINCE[call]))}: {kernel.name} has none"
    return ""


def check_call(call: str, kernel: Kernel) -> None:
    """Raise NotModelledError unless the model has a call on a kernel."""
    if reason := missing(call, kernel):
        raise NotModelledError(reason)


def calls(kernel: Kernel) -> list[Call]:
    """Return the calls that the model has on a kernel."""
    return [call for call in get_args(Call) if not missing(call, kernel)]


def slab_call(call: Call, kernel: Kernel, shrunk: bool, cpu: Cpu | None = None) -> tuple[Outcome, tuple[Step, ...]]:
    """Return what becomes of a call, and its steps.

    Arguments: the call; the kernel; whether the cache was shrunk (see `slab_steps`); the CPU on which it is made, a
    task's if None.
    """
    if cpu and refuses(call, kernel, cpu):
        return "NULL", ()
    tries = not (kernel.rt and cpu and cpu.level in ("hardirq", "nmi"))
    return RESULTS.get(call, "object"), tuple(slab_steps(call, kernel, shrunk, tries))


def refuses(call: Call, kernel: Kernel, cpu: Cpu) -> bool:
    """Return whether a call gives up at once, as kmalloc_nolock() does on PREEMPT_RT where it cannot try.

    v6.18 cannot try the lock of a cpu's slab at all, and asks preemptible(); from v7.0 on only NMIs and hard
    interrupts are refused.
    Models: mm/slub.c:kmalloc_nolock_noprof (v6.18 and v7.0); leaves out NMIs of a UP kernel, refused since v7.1.
    """
    if call != "kmalloc_nolock" or not kernel.rt:
        return False
    return cpu.atomic if kernel.has_cpu_slabs else cpu.level in ("hardirq", "nmi")


def slab_steps(call: Call, kernel: Kernel, shrunk: bool, tries: bool = True) -> Iterator[Step]:
    """Yield the steps of a call with an object of 64 bytes.

    ``shrunk`` says that this cpu has no slab of its own or no full sheaf, that the barn has no sheaf, and that the
    node has slabs that are partly used; ``tries`` whether a local lock can be tried where the caller is.
    Models: mm/slub.c and mm/slab_common.c (v6.18, v7.0 and v7.3); leaves out memcg, debugging, other nodes, and a node
    without partly used slabs, where alloc_pages() or alloc_pages_nolock() would follow.
    """
    match call:
        case "kmalloc" | "kmalloc_nolock" if kernel.has_cpu_slabs:
            yield from slab_alloc(kernel, KMALLOC_64, shrunk, spins=call == "kmalloc")
        case "kmalloc" | "kmalloc_nolock":
            yield from alloc_from_pcs(kernel, shrunk, spins=call == "kmalloc", tries=tries)
        case "kfree_nolock" if kernel.has_cpu_slabs:
            yield from do_slab_free(kernel)
        case "kfree_nolock":
            yield from pcs_trylock("kfree_nolock", tries)
        case "kfree_rcu_nolock":
            yield from kfree_rcu_sheaf(kernel, shrunk, spins=False, tries=tries)
        case _:
            yield from kvfree_call_rcu(kernel, shrunk, sheaf=call == "kfree_rcu_sheaf")


# v6.18: a slab for each cpu


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


# v7.0 and later: sheaves


def pcs_trylock(where: str, tries: bool) -> Iterator[Step]:
    """Yield trying the lock of this cpu's sheaves, and leaving it.

    A free that cannot try puts the object on a lockless list, which irq_work empties.
    Models: mm/slub.c:free_to_pcs and kfree_nolock (v7.0), the sheaf having room.
    """
    if tries:
        yield Step("try", "&pcs->lock", where)
        yield Step("release", "&pcs->lock")


def alloc_from_pcs(kernel: Kernel, shrunk: bool, spins: bool, tries: bool) -> Iterator[Step]:
    """Yield the steps of an allocation: this cpu's sheaf, else slabs that are partly used.

    Models: mm/slub.c:alloc_from_pcs, __pcs_replace_empty_main and ___slab_alloc (v7.0); in which function the node's
    lock is taken was not recorded.
    """
    yield from pcs_trylock("alloc_from_pcs", tries)
    if shrunk or not tries:
        yield from locked(kernel, "&n->list_lock", "___slab_alloc", what="acquire" if spins else "try")


# kfree_rcu()


def kvfree_call_rcu(kernel: Kernel, shrunk: bool, sheaf: bool) -> Iterator[Step]:
    """Yield the steps of kfree_rcu() with a head: a cache with sheaves has a sheaf for it; PREEMPT_RT does without.

    In v6.18 few caches have sheaves, and ``sheaf`` asks for such a one; from v7.0 on all have.
    Models: mm/slab_common.c:kvfree_call_rcu (v6.18 and v7.3); leaves out the raw locks of timers and work items under
    krc.lock.
    """
    if (sheaf or not kernel.has_cpu_slabs) and not kernel.rt:
        yield from kfree_rcu_sheaf(kernel, shrunk, spins=True, tries=True)
    else:
        yield from lock_cache(kernel)


def lock_cache(kernel: Kernel) -> Iterator[Step]:
    """Yield taking the lock of this cpu's blocks, under which a page comes from the cache.

    Models: kernel/rcu/tree.c:krc_this_cpu_lock (v5.11).
    """
    yield from locked(kernel, "krc.lock", "kvfree_call_rcu")


def kfree_rcu_sheaf(kernel: Kernel, shrunk: bool, spins: bool, tries: bool) -> Iterator[Step]:
    """Yield how an object gets into this cpu's sheaf for RCU, which has to be found first.

    It comes from the barn, or is allocated.  The barn's spinlock_t may be taken under a raw lock, as nobody does so on
    PREEMPT_RT: a map that overrides the wait type tells lockdep.  With ``spins`` off everything is tried (v7.3), on
    PREEMPT_RT, too; what cannot be done waits on a lockless list for irq_work.
    Models: mm/slub.c:__kfree_rcu_sheaf and barn_get_empty_sheaf (v6.18.26, v7.0 and v7.3); leaves out call_rcu() of a
    full sheaf, and in v6.18 a barn without an empty sheaf.
    """
    if not tries:
        return
    if not kernel.rt:
        yield Step("try", "kfree_rcu_sheaf_map", "__kfree_rcu_sheaf")
    yield Step("try", "&pcs->lock", "__kfree_rcu_sheaf")
    if not shrunk or kernel.has_cpu_slabs:
        yield from locked(kernel, "&barn->lock", "barn_get_empty_sheaf", what="acquire" if spins else "try")
    else:
        yield Step("release", "&pcs->lock")
        yield from alloc_from_pcs(kernel, shrunk, spins, tries)
        yield Step("try", "&pcs->lock", "__kfree_rcu_sheaf")
    yield Step("release", "&pcs->lock")
    if not kernel.rt:
        yield Step("release", "kfree_rcu_sheaf_map")
