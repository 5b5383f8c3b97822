"""The chain of kfree_rcu on the simulator's CPUs: objects come from slabs, and grace periods and works from its clock.

A call of kfree_rcu() and each step of a work take time on their CPU, with the zone locks that their pages cost.  A
work begins when it is due, at worst while a request of its CPU is still being timed, but never while interrupts are
off; between two of its blocks, what else is due on the CPU gets one turn.
"""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ring
from gfpmodel.mm.jit import compiled, inlined
from gfpmodel.mm.state import NULL
from gfpmodel.rcu import state as rcu
from gfpmodel.rcu.chain import kvfree_call_rcu
from gfpmodel.rcu.clock import FILL, GRACE_PERIOD, WORKER, next_event, put_off, run_event
from gfpmodel.rcu.state import krc_of
from gfpmodel.sim import costs as cost
from gfpmodel.sim import state as st
from gfpmodel.sim.cpu import (
    ask,
    charge,
    clear_ring,
    free_block,
    idle_until,
    lock_was_busy,
    push,
    run_for,
    settle,
    show_held_locks,
)
from gfpmodel.sim.rng import draw
from gfpmodel.sim.state import World

# objects


@compiled
def new_slab(w: World, cpu: int, flow: int, t: int) -> Any:
    """Get a flow a fresh slab; returns its number, 0 if there is no memory or it has too many, and the time after."""
    slab = w.words[st.FREE_SLAB]
    if slab == 0 or w.flows[flow, st.IN_USE] >= w.flows[flow, st.LIMIT]:
        return 0, t
    page = NULL
    if w.flows[flow, st.HAS_PAGE]:
        page = ask(w, cpu, flow, t)
        t = charge(w, cpu, flow, t, cost.ALLOC_PAGE)
        if page == NULL:
            return 0, t
        w.words[st.LIVE_PAGES] += 1
    w.words[st.FREE_SLAB] = w.slabs[slab, st.NEXT_SLAB]
    w.slabs[slab, st.SLAB_PAGE], w.slabs[slab, st.SLAB_FLOW] = page, flow
    w.slabs[slab, st.TAKEN], w.slabs[slab, st.GONE_OBJECTS] = 0, 0
    w.flows[flow, st.SLAB] = slab
    w.flows[flow, st.IN_USE] += 1
    return slab, t


@compiled
def kmalloc(w: World, cpu: int, flow: int, t: int) -> Any:
    """Take an object; returns its number, 0 if there is none to be had, and the time after.

    Models: mm/slub.c:slab_alloc_node (v5.8) by its effect on pages: objects come off one slab until it is used up.
    Leaves out partial slabs: an object that is freed is not handed out again before its whole slab was freed.
    """
    slab = w.flows[flow, st.SLAB]
    if slab == 0 or w.slabs[slab, st.TAKEN] == w.flows[flow, st.IN_SLAB]:
        slab, t = new_slab(w, cpu, flow, t)
        if slab == 0:
            return 0, t
    obj = slab * w.words[st.SLAB_SIZE] + w.slabs[slab, st.TAKEN]
    w.slabs[slab, st.TAKEN] += 1
    return obj, run_for(w, cpu, t, w.costs[cost.KMALLOC] // cost.PS if w.flows[flow, st.HAS_PAGE] else 0)


@compiled
def free_slab(w: World, cpu: int, slab: int, t: int) -> Any:
    """Give a slab back whose objects are all freed, with its page if it has one; returns the time after."""
    flow, page = w.slabs[slab, st.SLAB_FLOW], w.slabs[slab, st.SLAB_PAGE]
    if w.flows[flow, st.SLAB] == slab:
        w.flows[flow, st.SLAB] = 0
    w.flows[flow, st.IN_USE] -= 1
    w.slabs[slab, st.NEXT_SLAB] = w.words[st.FREE_SLAB]
    w.words[st.FREE_SLAB] = slab
    if page == NULL:
        return t
    clear_ring(w)
    free_block(w.mm, cpu, page, 0)
    w.words[st.LIVE_PAGES] -= 1
    return charge(w, cpu, flow, t, cost.FREE_PAGE)


# calls


@compiled
def make_and_free(w: World, cpu: int, flow: int, t: int) -> Any:
    """Let a flow make an object and kfree_rcu() it at once, or later, on the cpu that does; returns the time after."""
    obj, t = kmalloc(w, cpu, flow, t)
    if obj == 0:
        w.flows[flow, st.HELD_BACK] += 1
        return run_for(w, cpu, t, max(w.costs[cost.PCP] // cost.PS, 1))
    w.flows[flow, st.OPS] += 1
    w.flows[flow, st.LIVE] += 1
    w.flows[flow, st.PEAK] = max(w.flows[flow, st.PEAK], w.flows[flow, st.LIVE])
    if not w.flows[flow, st.DELAYED]:
        return kfree_rcu(w, cpu, obj, t)
    push(w, w.flows[flow, st.FREE_CPU], t + draw(w.rng, w.flows[flow, st.HOLD_BY], w.flows[flow, st.HOLD]), -obj)
    settle(w, w.flows[flow, st.FREE_CPU])
    return t


@compiled
def kfree_rcu(w: World, cpu: int, obj: int, t: int) -> Any:
    """Call kfree_rcu() at ``t``; returns when that is done: a section with interrupts off, and the block's page."""
    flow = w.slabs[obj // w.words[st.SLAB_SIZE], st.SLAB_FLOW]
    clear_ring(w)
    show_held_locks(w, t)
    krc = w.rcu.krc
    krc[rcu.NOW] = max(krc[rcu.NOW], t)
    heads, no_page = krc[rcu.HEAD_OBJECTS], krc[rcu.ALLOC_FAILED]
    kvfree_call_rcu(w.mm, w.rcu, cpu, obj, 0)
    if krc[rcu.HEAD_OBJECTS] > heads:
        w.flows[flow, st.FAILED] += 1
        w.words[st.FAILURES] += 1
    else:
        w.flows[flow, st.BEFORE_NULL] += w.flows[flow, st.FAILED] == 0
    w.flows[flow, st.FAILED_LOCK] += krc[rcu.ALLOC_FAILED] > no_page and lock_was_busy(w)
    w.mm.trace[ring.IRQ_OFF] += 1
    return charge(w, cpu, flow, t, cost.ALLOC_PAGE)


# what the chain does by itself


@inlined
def occupy(w: World, cpu: int, begin: int, end: int) -> None:
    """Let a cpu have been busy from one time to another."""
    w.cpus[cpu, st.CLOCK] = end
    w.cpus[cpu, st.BUSY] += end - begin


@inlined
def when_free(w: World, cpu: int, at: int) -> Any:
    """Return when a cpu can begin what is due at a time."""
    t = max(w.cpus[cpu, st.CLOCK], at)
    return idle_until(w, cpu, t) if w.cpus[cpu, st.WAKE] <= t and not w.cpus[cpu, st.MASKED] else t


@compiled
def take_back(w: World, at: int, each: int) -> None:
    """Take back the objects that the chain has freed, ``each`` ns an object, on the cpu that freed them."""
    obj = w.rcu.krc[rcu.FREED_LIST]
    w.rcu.krc[rcu.FREED_LIST] = 0
    while obj != 0:
        after = w.rcu.objs[obj * rcu.OBJECT + rcu.LINK]
        w.rcu.objs[obj * rcu.OBJECT + rcu.INFO] = rcu.IDLE
        slab = obj // w.words[st.SLAB_SIZE]
        flow = w.slabs[slab, st.SLAB_FLOW]
        cpu = w.flows[flow, st.FREE_CPU]
        w.flows[flow, st.FREED] += 1
        w.flows[flow, st.LIVE] -= 1
        w.slabs[slab, st.GONE_OBJECTS] += 1
        begin = when_free(w, cpu, at)
        t = run_for(w, cpu, begin, each)
        if w.slabs[slab, st.GONE_OBJECTS] == w.flows[flow, st.IN_SLAB]:
            t = free_slab(w, cpu, slab, t)
        occupy(w, cpu, begin, t)
        obj = after


@compiled
def work(w: World, cpu: int, at: int, what: int) -> None:
    """Time what a cpu's worker just did with pages, and the freeing that it begins with."""
    w.flows[w.cpus[cpu, st.WORK_FLOW], st.OPS] += 1
    begin = when_free(w, cpu, at)
    t = begin
    if w.mm.trace[ring.EVENTS] or w.mm.trace[ring.IRQ_OFF]:
        block = cost.ALLOC_PAGE if what == FILL else cost.FREE_PAGE
        t = charge(w, cpu, w.cpus[cpu, st.WORK_FLOW], t, block)
    occupy(w, cpu, begin, t)
    take_back(w, at, 0)
    k = krc_of(cpu)
    if what == WORKER and w.rcu.krc[k + rcu.BUSY]:
        begin = w.cpus[cpu, st.CLOCK]
        t = run_for(w, cpu, begin, w.rcu.krc[k + rcu.STEP_AT] - w.rcu.krc[rcu.NOW])
        occupy(w, cpu, begin, t)
        w.rcu.krc[k + rcu.STEP_AT] = t


@compiled
def run_chain(w: World, until: int) -> None:
    """Let the next thing of the chain happen if that is before ``until``.

    Grace periods and timers cost nothing; callbacks of single objects are paid for with the object.
    """
    at, what, cpu = next_event(w.rcu.krc)
    if at >= until:
        w.rcu.krc[rcu.NEXT_EVENT] = at
        return
    if what in (WORKER, FILL) and w.cpus[cpu, st.MASKED]:
        put_off(w.rcu.krc, cpu, what, w.cpus[cpu, st.CLOCK])
        return
    w.words[st.EVENTS] += 1
    clear_ring(w)
    show_held_locks(w, at)
    run_event(w.mm, w.rcu, at, what, cpu)
    if what in (WORKER, FILL):
        work(w, cpu, at, what)
        settle(w, cpu)
    elif what == GRACE_PERIOD and w.rcu.krc[rcu.FREED_LIST] != 0:
        take_back(w, at, w.costs[cost.KFREE] // cost.PS)
        for other in range(len(w.cpus)):
            settle(w, other)
