"""The locks of v6.18 as the model has them: one is taken or tried, and a try fails where something says it is busy."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.events import local_irq_restore, local_irq_save, spin_lock, spin_unlock, trace_event
from gfpmodel.mm.jit import compiled, inlined
from gfpmodel.mm.state import Mm, get, put, zget, zput


@inlined
def pget(m: Mm, pcp: int, word: int) -> Any:
    """Read a word of a cpu's lists in a zone."""
    return get(m, pcp, word)


@inlined
def pput(m: Mm, pcp: int, word: int, value: int) -> None:
    """Write a word of a cpu's lists in a zone."""
    put(m, pcp, word, value)


@inlined
def per_cpu_pages(cpu: int, zone: int) -> Any:
    """Return the first row of a cpu's lists in a zone."""
    return st.AREAS_END + (cpu * st.MAX_NR_ZONES + zone) * st.LIST_ROWS


@inlined
def pcp_of(head: int) -> Any:
    """Return the first row of the lists that a list's head is one of."""
    return head & ~(st.LIST_ROWS - 1)


@compiled
def attempt(m: Mm, what: int) -> Any:
    """Return whether this attempt of an operation in which something is busy gets its lock."""
    busy, number = zget(m, st.MACHINE, st.BUSY), zget(m, st.MACHINE, st.TRYLOCKS)
    zput(m, st.MACHINE, st.TRYLOCKS, number + 1)
    fails = number < st.MAX_ATTEMPTS and busy >> (st.BUSY_ATTEMPTS + number) & 1
    return not (fails or busy >> what & 1)


@inlined
def spin_trylock(m: Mm, held: int, what: int) -> Any:
    """Return whether a lock that is held or not can be taken now; ``what`` is its bit in the word BUSY."""
    if zget(m, st.MACHINE, st.BUSY) != 0 and not attempt(m, what):
        return False
    return held == 0


@inlined
def pcp_spin_trylock(m: Mm, zone: int, cpu: int, pcp: int) -> Any:
    """Try the lock of a cpu's lists; interrupts stay on."""
    taken = spin_trylock(m, pget(m, pcp, st.PCP_HELD), st.BUSY_LISTS + zone)
    trace_event(m, ev.PCP_TRYLOCK, zone, cpu, 1 if taken else 0)
    return taken


@inlined
def pcp_spin_lock(m: Mm, zone: int, cpu: int) -> None:
    """Wait for the lock of a cpu's lists, as who drains them does."""
    trace_event(m, ev.PCP_LOCK, zone, cpu)


@inlined
def pcp_spin_unlock(m: Mm, zone: int, cpu: int) -> None:
    """Release the lock of a cpu's lists."""
    trace_event(m, ev.PCP_UNLOCK, zone, cpu)


@inlined
def spin_lock_irqsave(m: Mm, zone: int) -> None:
    """Take zone->lock."""
    local_irq_save(m, zone)
    spin_lock(m, zone)


@inlined
def spin_unlock_irqrestore(m: Mm, zone: int) -> None:
    """Release zone->lock."""
    spin_unlock(m, zone)
    local_irq_restore(m, zone)


@inlined
def spin_trylock_irqsave(m: Mm, zone: int) -> Any:
    """Try zone->lock."""
    local_irq_save(m, zone)
    taken = spin_trylock(m, zget(m, zone, st.CONTENDED), st.BUSY_ZONES + zone)
    trace_event(m, ev.TRYLOCK, zone, 1 if taken else 0)
    if not taken:
        local_irq_restore(m, zone)
    return taken


@inlined
def lock_zone(m: Mm, zone: int, alloc_flags: int) -> Any:
    """Take zone->lock, or try it with ALLOC_TRYLOCK; returns whether it is held.

    Models: the beginning of mm/page_alloc.c:rmqueue_buddy and rmqueue_bulk (v6.18).
    """
    if alloc_flags & st.ALLOC_TRYLOCK:
        return spin_trylock_irqsave(m, zone)
    spin_lock_irqsave(m, zone)
    return True
