"""A CPU's time: what it does next, what the engine did for it, and how long locks, waits and interrupts made that take.

Nothing about the allocator is repeated here.  The engine's ring, with few kinds of events switched on, says which
locks a request took and how many pages it moved under them; a hit of a per-cpu list writes no event at all.
"""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ring
from gfpmodel.mm import state as mm
from gfpmodel.mm.hits import alloc_pages, free_pages
from gfpmodel.mm.jit import compiled, inlined
from gfpmodel.mm.state import Mm, zput
from gfpmodel.sim import costs as cost
from gfpmodel.sim import state as st
from gfpmodel.sim.state import World

#: What the loop needs to see of a request.
KINDS_SEEN = (ring.UNLOCK, ring.REFILL_DONE, ring.BULK_FREE, ring.MOVE_BLOCK, ring.WAKE_KSWAPD, ring.TRYLOCK,
              ring.PCP_REFILL, ring.PCP_BULK_FREE, ring.PCP_TRYLOCK)  # fmt: skip


# time on a cpu


@inlined
def run_for(w: World, cpu: int, t: int, ns: int) -> Any:
    """Run for ``ns`` from ``t`` with interrupts on; returns when that is done.

    The periodic task, which has the highest priority, goes first whenever it is due: its latency is how long it was
    due while interrupts were off.  In a section with interrupts off it has to wait, and time merely passes.
    """
    if w.cpus[cpu, st.MASKED] or w.cpus[cpu, st.WAKE] > t + ns:
        return t + ns
    return preempted(w, cpu, t, t + ns)


@compiled
def preempted(w: World, cpu: int, t: int, end: int) -> Any:
    """Let the periodic task run as often as it is due before ``end``, which it defers; returns the end."""
    while w.cpus[cpu, st.WAKE] <= end:
        note_wake(w, cpu, max(t - w.cpus[cpu, st.WAKE], 0))
        end += w.costs[cost.TASK] // cost.PS
    return end


@inlined
def note_wake(w: World, cpu: int, latency: int) -> None:
    """Count a wake-up of the periodic task, and set the next."""
    st.note(w.hist, st.LATENCY_HIST, latency)
    w.words[st.WAKES] += 1
    w.words[st.LATENCY_SUM] += latency
    w.words[st.LATENCY_MAX] = max(w.words[st.LATENCY_MAX], latency)
    w.cpus[cpu, st.WAKE] += w.words[st.TASK_PERIOD]


@compiled
def idle_until(w: World, cpu: int, t: int) -> Any:
    """Pass the time to ``t`` with nothing to do but the periodic task; returns when the cpu is free for more."""
    free = t
    while w.cpus[cpu, st.WAKE] <= t:
        due = w.cpus[cpu, st.WAKE]
        note_wake(w, cpu, 0)
        free = max(free, due + w.costs[cost.TASK] // cost.PS)
    return free


@compiled
def zone_section(w: World, cpu: int, zone: int, t: int, ns: int) -> Any:
    """Take a zone's lock at ``t``, behind those who wait already, and hold it for ``ns``; returns the time after it.

    A spinning or raw holder has interrupts off from the moment it waits; the holder of a sleeping lock can be
    preempted, and all who wait for the lock wait for that too.
    """
    sleeping = w.words[st.LOCK_KIND] == st.SLEEPING
    wait = max(w.locks[zone, st.FREE_AT] - t, 0)
    if wait:
        w.locks[zone, st.CONTENTIONS] += 1
        wait += w.costs[cost.BLOCK if sleeping else cost.TRANSFER] // cost.PS
    if sleeping:
        if w.cpus[cpu, st.MASKED]:
            w.words[st.ILLEGAL] += 1
        got = run_for(w, cpu, t, wait)
        end = run_for(w, cpu, got, ns)
    else:
        got = t + wait
        end = got + ns
    w.locks[zone, st.FREE_AT] = end
    note_section(w, zone, got - t, end - got)
    return run_for(w, cpu, end, 0) if w.words[st.LOCK_KIND] == st.RAW else end


@inlined
def note_section(w: World, zone: int, waited: int, held: int) -> None:
    """Count one section under a zone's lock."""
    w.locks[zone, st.ACQUIRED] += 1
    w.locks[zone, st.WAIT_SUM] += waited
    w.locks[zone, st.HOLD_SUM] += held
    w.locks[zone, st.WAIT_MAX] = max(w.locks[zone, st.WAIT_MAX], waited)
    w.locks[zone, st.HOLD_MAX] = max(w.locks[zone, st.HOLD_MAX], held)
    st.note(w.hist, st.WAIT_HIST, waited)
    st.note(w.hist, st.HOLD_HIST, held)


# what the engine did


@inlined
def pages_refilled(trace: Any, event: int) -> Any:
    """Return how many pages a refill brought, -1 for any other event."""
    return ring.third_field(trace, event) if ring.kind_of(trace, event) == ring.REFILL_DONE else -1


@inlined
def pages_drained(trace: Any, event: int) -> Any:
    """Return how many pages a bulk free gives back, -1 for any other event."""
    return ring.first_field(trace, event) if ring.kind_of(trace, event) == ring.BULK_FREE else -1


@compiled
def work_done(w: World, flow: int, at: int, block: int) -> Any:
    """Return the ps and the pages of the section under the zone lock that ends with the ring's event ``at``.

    A bulk free is recorded before its lock is taken, a refill after its lock is released; a section with neither
    takes or gives back one block, at the cost ``block``.
    """
    first = at
    while first > 0 and ring.kind_of(w.mm.trace, first - 1) != ring.UNLOCK:
        first -= 1
    ps, pages, bulk = 0, 0, False
    for i in range(first, min(at + 2, w.mm.trace[ring.EVENTS])):
        drained, refilled = pages_drained(w.mm.trace, i), pages_refilled(w.mm.trace, i)
        if drained >= 0 and i < at:
            bulk = True
            pages = drained
            ps += pages * w.costs[cost.FREE_PAGE]
            w.flows[flow, st.DRAINS] += 1
        elif refilled >= 0 and i > at:
            bulk = True
            pages = refilled
            ps += pages * w.costs[cost.ALLOC_PAGE]
            w.flows[flow, st.REFILLS] += 1
        elif ring.kind_of(w.mm.trace, i) == ring.MOVE_BLOCK and i < at:
            ps += w.costs[cost.MOVE_BLOCK]
    if not bulk:
        return ps + w.costs[block], 1
    return ps, pages


@inlined
def on_lists(w: World, cpu: int, t: int) -> Any:
    """Return when the work on the lists of a request at ``t`` is done, which runs with interrupts off."""
    ns = w.costs[cost.PCP] * max(w.mm.trace[ring.IRQ_OFF], 1) // cost.PS
    return t + ns if w.words[st.LOCK_KIND] == st.SPIN else run_for(w, cpu, t, ns)


@inlined
def charge(w: World, cpu: int, flow: int, t: int, block: int) -> Any:
    """Return when the request that the engine just served at ``t`` is done, with all its locks and waits."""
    end = on_lists(w, cpu, t)
    if w.mm.trace[ring.EVENTS]:
        end = charge_sections(w, cpu, flow, end, block)
    end = run_for(w, cpu, end, 0)  # interrupts are on again, if they were off
    w.flows[flow, st.NS] += end - t
    st.note(w.hist, st.FLOW_HIST + flow, end - t)
    return end


@compiled
def charge_sections(w: World, cpu: int, flow: int, t: int, block: int) -> Any:
    """Return when a request is done that took the zone lock, or woke kswapd."""
    for at in range(w.mm.trace[ring.EVENTS]):
        kind = ring.kind_of(w.mm.trace, at)
        if kind == ring.UNLOCK:
            zone = ring.zone_of(w.mm.trace, at)
            ps, pages = work_done(w, flow, at, block)
            t = zone_section(w, cpu, zone, t, (ps + w.costs[cost.LOCK]) // cost.PS)
            w.locks[zone, st.PAGES_MOVED] += pages
            w.flows[flow, st.SECTIONS] += 1
        elif kind == ring.WAKE_KSWAPD:
            t = wake_kswapd(w, t)
    return t


@inlined
def clear_ring(w: World) -> None:
    """Forget what the request before did."""
    w.mm.trace[ring.EVENTS] = 0
    w.mm.trace[ring.IRQ_OFF] = 0


@compiled
def lock_was_busy(w: World) -> Any:
    """Return whether the request failed to get a lock that it only tried for."""
    for at in range(w.mm.trace[ring.EVENTS]):
        if ring.kind_of(w.mm.trace, at) == ring.TRYLOCK and ring.first_field(w.mm.trace, at) == 0:
            return True
    return False


@compiled
def wake_kswapd(w: World, t: int) -> Any:
    """Wake the reclaimer if it sleeps; returns the time after that."""
    flow = w.words[st.KSWAPD]
    if flow < 0 or w.flows[flow, st.NEXT_AT] != st.NEVER:
        return t
    t += w.costs[cost.WAKE_KSWAPD] // cost.PS
    w.flows[flow, st.NEXT_AT] = t + w.costs[cost.KSWAPD_LATENCY] // cost.PS
    w.flows[flow, st.OPS] += 1
    settle(w, w.flows[flow, st.CPU])
    return t


# what a cpu does next


@inlined
def push(w: World, cpu: int, time: int, slot: int) -> None:
    """Put a block into the heap of the cpu that will free it, at its time."""
    base = w.cpus[cpu, st.HEAP_START]
    at = w.cpus[cpu, st.HEAP_LEN]
    w.cpus[cpu, st.HEAP_LEN] = at + 1
    while at > 0:
        above = (at - 1) >> 1
        if w.heap[base + above, 0] <= time:
            break
        w.heap[base + at, 0], w.heap[base + at, 1] = w.heap[base + above, 0], w.heap[base + above, 1]
        at = above
    w.heap[base + at, 0], w.heap[base + at, 1] = time, slot


@inlined
def pop(w: World, cpu: int) -> Any:
    """Take the block whose time comes first out of a cpu's heap; returns its slot."""
    base = w.cpus[cpu, st.HEAP_START]
    size = w.cpus[cpu, st.HEAP_LEN] - 1
    w.cpus[cpu, st.HEAP_LEN] = size
    slot = w.heap[base, 1]
    time, last = w.heap[base + size, 0], w.heap[base + size, 1]
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and w.heap[base + child + 1, 0] < w.heap[base + child, 0]:
            child += 1
        if w.heap[base + child, 0] >= time:
            break
        w.heap[base + at, 0], w.heap[base + at, 1] = w.heap[base + child, 0], w.heap[base + child, 1]
        at = child
    w.heap[base + at, 0], w.heap[base + at, 1] = time, last
    return slot


@inlined
def settle(w: World, cpu: int) -> None:
    """Work out what a cpu does next and when: the flow, or the block to be freed (-1), that is due first."""
    if w.cpus[cpu, st.MASKED]:
        choice = w.cpus[cpu, st.MASKED] - 1  # nothing else gets in
        time = w.flows[choice, st.NEXT_AT]
    else:
        choice, time = -1, st.NEVER
        if w.cpus[cpu, st.HEAP_LEN]:
            time = w.heap[w.cpus[cpu, st.HEAP_START], 0]
        for flow in range(w.cpus[cpu, st.FIRST_FLOW], w.cpus[cpu, st.END_FLOW]):
            if w.flows[flow, st.NEXT_AT] < time:
                choice, time = flow, w.flows[flow, st.NEXT_AT]
    w.cpus[cpu, st.CHOICE] = choice
    w.cpus[cpu, st.DUE] = max(time, w.cpus[cpu, st.CLOCK])


# calls of the engine


@inlined
def show_held_locks(w: World, t: int) -> None:
    """Tell the engine which zone locks are held at a time: whoever only tries for one of them fails."""
    for zone in range(mm.MAX_NR_ZONES):
        zput(w.mm, zone, mm.CONTENDED, 1 if w.locks[zone, st.FREE_AT] > t else 0)


@inlined
def ask(w: World, cpu: int, flow: int, t: int) -> Any:
    """Call the engine for a flow's request; whoever tries for a lock that another cpu holds at ``t`` fails."""
    clear_ring(w)
    show_held_locks(w, t)
    return alloc_block(w.mm, cpu, w.flows[flow, st.MASK], w.flows[flow, st.ORDER])


@compiled
def alloc_block(m: Mm, cpu: int, gfp: int, order: int) -> Any:
    """Call the engine, whose path is compiled into this one place."""
    return alloc_pages(m, cpu, gfp, order)


@compiled
def free_block(m: Mm, cpu: int, page: int, order: int) -> None:
    """Call the engine, whose path is compiled into this one place."""
    free_pages(m, cpu, page, order)
