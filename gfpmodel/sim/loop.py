"""The loop: the CPU with the smallest clock goes next, the engine serves its request, and what the engine did is timed.

What every request goes through is inlined, because a call that hands over all arrays costs more than what it does;
what is rare stands in functions of its own.
"""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import state as mm
from gfpmodel.mm.jit import compiled, entry, inlined
from gfpmodel.mm.state import NULL, get_flags, get_pageblock_migratetype, set_flags, zget, zput
from gfpmodel.rcu import state as rcu
from gfpmodel.rcu.cache import pcp_pages
from gfpmodel.sim import costs as cost
from gfpmodel.sim import state as st
from gfpmodel.sim.cpu import ask, charge, clear_ring, free_block, idle_until, lock_was_busy, pop, push, run_for, settle
from gfpmodel.sim.kfree import kfree_rcu, make_and_free, run_chain
from gfpmodel.sim.rng import below, draw
from gfpmodel.sim.state import World

WMARK_LOW, WMARK_HIGH = mm.WMARK + 1, mm.WMARK + 2

# live blocks


@inlined
def keep(w: World, flow: int, page: int, t: int) -> Any:
    """Write down a block that is live from ``t`` on, and draw when it is freed; returns its slot."""
    slot = w.words[st.FREE_SLOT]
    w.words[st.FREE_SLOT] = w.slots[slot, st.NEXT_SLOT]
    w.words[st.LIVE_PAGES] += 1 << w.flows[flow, st.ORDER]
    w.slots[slot, st.PAGE], w.slots[slot, st.FLOW], w.slots[slot, st.SLOT_STATE] = page, flow, st.HELD
    w.flows[flow, st.IN_USE] += 1
    w.flows[flow, st.LIVE] += 1
    w.flows[flow, st.PEAK] = max(w.flows[flow, st.PEAK], w.flows[flow, st.LIVE])
    if w.flows[flow, st.RECLAIMABLE]:  # at the tail of the reclaimer's list, slot 0
        set_flags(w.mm, page, get_flags(w.mm, page) | mm.PG_LRU)
        last = w.slots[0, st.PREV_SLOT]
        w.slots[last, st.NEXT_SLOT], w.slots[slot, st.PREV_SLOT] = slot, last
        w.slots[slot, st.NEXT_SLOT], w.slots[0, st.PREV_SLOT] = 0, slot
    hold = w.flows[flow, st.HOLD]
    if hold:
        cpu = w.flows[flow, st.FREE_CPU]
        push(w, cpu, t + draw(w.rng, w.flows[flow, st.HOLD_BY], hold), slot)
        settle(w, cpu)
    return slot


@inlined
def recycle(w: World, slot: int) -> None:
    """Let a slot be used again."""
    w.flows[w.slots[slot, st.FLOW], st.IN_USE] -= 1
    w.slots[slot, st.SLOT_STATE] = st.UNUSED
    w.slots[slot, st.NEXT_SLOT] = w.words[st.FREE_SLOT]
    w.words[st.FREE_SLOT] = slot


@inlined
def give_back(w: World, cpu: int, slot: int) -> None:
    """Free a live block on a cpu, through the engine; the slot stays."""
    flow, order = w.slots[slot, st.FLOW], w.flows[w.slots[slot, st.FLOW], st.ORDER]
    clear_ring(w)
    free_block(w.mm, cpu, w.slots[slot, st.PAGE], order)
    w.words[st.LIVE_PAGES] -= 1 << order
    w.flows[flow, st.LIVE] -= 1
    if w.flows[flow, st.RECLAIMABLE]:
        after, before = w.slots[slot, st.NEXT_SLOT], w.slots[slot, st.PREV_SLOT]
        w.slots[after, st.PREV_SLOT], w.slots[before, st.NEXT_SLOT] = before, after


# what a flow does


@inlined
def request(w: World, cpu: int, flow: int, t: int) -> Any:
    """Ask for a block as a flow does; returns when that is done."""
    if w.flows[flow, st.IN_USE] >= w.flows[flow, st.LIMIT]:
        w.flows[flow, st.HELD_BACK] += 1
        return run_for(w, cpu, t, max(w.costs[cost.PCP] // cost.PS, 1))
    page = ask(w, cpu, flow, t)
    failed_lock = page == NULL and lock_was_busy(w)
    t = charge(w, cpu, flow, t, cost.ALLOC_PAGE)
    w.flows[flow, st.OPS] += 1
    if page == NULL:
        w.flows[flow, st.FAILED] += 1
        w.flows[flow, st.FAILED_LOCK] += failed_lock
        w.words[st.FAILURES] += 1
    else:
        w.flows[flow, st.BEFORE_NULL] += w.flows[flow, st.FAILED] == 0
        look_at(w, flow, page)
        keep(w, flow, page, t)
    return t


@inlined
def look_at(w: World, flow: int, page: int) -> None:
    """Count what a block cost others: taken below a watermark, or from another type's pageblock."""
    zone = (get_flags(w.mm, page) & mm.ZONE_MASK) >> mm.ZONE_SHIFT
    free = zget(w.mm, zone, mm.NR_FREE)
    w.flows[flow, st.BELOW_LOW] += free < zget(w.mm, zone, WMARK_LOW)
    w.flows[flow, st.BELOW_MIN] += free < zget(w.mm, zone, mm.WMARK)
    w.flows[flow, st.STRAY] += get_pageblock_migratetype(w.mm, page) != w.flows[flow, st.MIGRATETYPE]
    w.words[st.MIN_FREE] = min(w.words[st.MIN_FREE], free)


@inlined
def free_due(w: World, cpu: int, t: int) -> Any:
    """Free the block whose time has come on a cpu; returns when that is done."""
    slot = pop(w, cpu)
    if slot < 0:
        return kfree_rcu(w, cpu, -slot, t)
    if w.slots[slot, st.SLOT_STATE] == st.HELD:
        flow = w.slots[slot, st.FLOW]
        give_back(w, cpu, slot)
        w.flows[flow, st.FREED] += 1
        t = charge(w, cpu, flow, t, cost.FREE_PAGE)
    recycle(w, slot)
    return t


@inlined
def run_flow(w: World, cpu: int, flow: int, t: int) -> Any:
    """Let a flow do one thing, and say when it wants to do the next; returns when the first is done."""
    kind = w.flows[flow, st.KIND]
    if kind == st.RECLAIMER:
        return reclaim(w, cpu, flow, t)
    if w.flows[flow, st.IRQS_OFF]:
        w.cpus[cpu, st.MASKED] = flow + 1
    if kind == st.ALLOC:
        t = request(w, cpu, flow, t)
    elif kind == st.IRQ_OFF_WINDOW:
        t += draw(w.rng, w.flows[flow, st.HOLD_BY], w.flows[flow, st.HOLD])
        w.flows[flow, st.OPS] += 1
    elif kind == st.KFREE_RCU:
        t = make_and_free(w, cpu, flow, t)
    if w.flows[flow, st.OPS] == w.flows[flow, st.TIMES]:
        w.cpus[cpu, st.MASKED] = 0
        w.flows[flow, st.NEXT_AT] = st.NEVER
        return run_for(w, cpu, t, 0)
    w.flows[flow, st.LEFT] -= 1
    if w.flows[flow, st.LEFT] > 0:
        w.flows[flow, st.NEXT_AT] = t
        return t
    w.cpus[cpu, st.MASKED] = 0
    t = run_for(w, cpu, t, 0)
    w.flows[flow, st.LEFT] = w.flows[flow, st.BURST]
    w.flows[flow, st.NEXT_AT] = t + draw(w.rng, w.flows[flow, st.ARRIVAL], w.flows[flow, st.PERIOD])
    return t


# kswapd, modelled: it frees the oldest pages that may be reclaimed


@compiled
def is_balanced(w: World) -> Any:
    """Return whether a zone has its high watermark free, its boost included.

    Models: mm/vmscan.c:pgdat_balanced (v5.8), for order 0 and all zones.
    """
    for zone in range(mm.MAX_NR_ZONES):
        if zget(w.mm, zone, mm.MANAGED):
            mark = zget(w.mm, zone, WMARK_HIGH) + zget(w.mm, zone, mm.BOOST)
            if zget(w.mm, zone, mm.NR_FREE) >= mark:
                return True
    return False


@inlined
def say_reclaiming(w: World, active: int) -> None:
    """Let the zones know whether kswapd reclaims: v5.8's do not ask."""


@compiled
def reclaim(w: World, cpu: int, flow: int, t: int) -> Any:
    """Let kswapd free one page, or go to sleep once the node is balanced; returns when that is done.

    Models: mm/vmscan.c:balance_pgdat (v5.8) by its effect: the oldest reclaimable page is freed at a fixed cost.
    Leaves out the scan, writeback, and everything else that takes reclaim its time.
    """
    slot = w.slots[0, st.NEXT_SLOT]
    if slot == 0 or is_balanced(w):
        w.flows[flow, st.NEXT_AT] = st.NEVER
        for zone in range(mm.MAX_NR_ZONES):
            zput(w.mm, zone, mm.BOOST, 0)
        say_reclaiming(w, 0)
        return t
    say_reclaiming(w, 1)
    owner = w.slots[slot, st.FLOW]
    t = run_for(w, cpu, t, w.costs[cost.RECLAIM_PAGE] // cost.PS)
    give_back(w, cpu, slot)
    w.flows[owner, st.RECLAIMED] += 1
    t = charge(w, cpu, flow, t, cost.FREE_PAGE)
    if w.flows[owner, st.HOLD]:
        w.slots[slot, st.SLOT_STATE] = st.GONE  # its time to be freed will still come
    else:
        recycle(w, slot)
    w.flows[flow, st.NEXT_AT] = t
    return t


# the run


@entry
@compiled
def preload(w: World) -> None:
    """Allocate what is live when the run begins, the flows' shares mixed at random, then punch holes into it."""
    left = 0
    for flow in range(len(w.flows)):
        left += w.flows[flow, st.PRELOAD]
    while left > 0:
        pick, flow = below(w.rng, left), 0
        while pick >= w.flows[flow, st.PRELOAD] - w.flows[flow, st.LEFT]:
            pick -= w.flows[flow, st.PRELOAD] - w.flows[flow, st.LEFT]
            flow += 1
        w.flows[flow, st.LEFT] += 1
        left -= 1
        page = ask(w, w.flows[flow, st.CPU], flow, 0)
        w.flows[flow, st.OPS] += 1
        if page == NULL:
            w.flows[flow, st.FAILED] += 1
            continue
        slot = keep(w, flow, page, 0)
        if w.flows[flow, st.HOLD] == 0 and below(w.rng, 1000) < w.flows[flow, st.HOLES]:
            w.slots[slot, st.SLOT_STATE] = st.GONE
    for slot in range(1, len(w.slots)):
        if w.slots[slot, st.SLOT_STATE] == st.GONE:
            w.flows[w.slots[slot, st.FLOW], st.FREED] += 1
            give_back(w, w.flows[w.slots[slot, st.FLOW], st.CPU], slot)
            recycle(w, slot)


@compiled
def sample(w: World, now: int) -> None:
    """Write a row of the time series for every sampling time up to ``now``."""
    while w.words[st.NEXT_SAMPLE] <= now and w.words[st.SAMPLES] < len(w.series):
        at, free = w.words[st.SAMPLES], 0
        for zone in range(mm.MAX_NR_ZONES):
            free += zget(w.mm, zone, mm.NR_FREE)
        w.series[at, 0], w.series[at, 1] = w.words[st.NEXT_SAMPLE], free
        w.series[at, 2], w.series[at, 3] = w.words[st.LIVE_PAGES], w.words[st.FAILURES]
        w.series[at, 4] = pcp_pages(w.mm, 0, 0)
        w.series[at, 5] = w.rcu.krc[rcu.BLOCKS_LIVE]
        w.words[st.SAMPLES] = at + 1
        w.words[st.NEXT_SAMPLE] += w.words[st.SAMPLE_EVERY]


@entry
@compiled
def run(w: World) -> Any:
    """Run until the end, or until so many events have happened; returns True if the chain needs more room first."""
    for cpu in range(len(w.cpus)):
        settle(w, cpu)
    while w.words[st.EVENTS] < w.words[st.MAX_EVENTS]:
        if w.rcu.krc[rcu.FREE_ROWS] <= w.rcu.krc[rcu.SPARE_ROWS]:
            return True
        cpu = 0
        for other in range(1, len(w.cpus)):
            if w.cpus[other, st.DUE] < w.cpus[cpu, st.DUE]:
                cpu = other
        now = w.cpus[cpu, st.DUE]
        if w.rcu.krc[rcu.NEXT_EVENT] < min(now, w.words[st.END]):
            if w.rcu.krc[rcu.NEXT_EVENT] >= w.words[st.NEXT_SAMPLE]:
                sample(w, w.rcu.krc[rcu.NEXT_EVENT])
            run_chain(w, min(now, w.words[st.END]))
            continue
        if now >= w.words[st.END]:
            w.words[st.NOW] = w.words[st.END]
            break
        w.words[st.NOW] = now
        if now >= w.words[st.NEXT_SAMPLE]:
            sample(w, now)
        step(w, cpu, now)
        w.words[st.EVENTS] += 1
    sample(w, w.words[st.NOW])
    return False


@inlined
def step(w: World, cpu: int, now: int) -> None:
    """Let a cpu do what it is due to do at ``now``."""
    t = idle_until(w, cpu, now) if w.cpus[cpu, st.WAKE] <= now and not w.cpus[cpu, st.MASKED] else now
    choice = w.cpus[cpu, st.CHOICE]
    after = free_due(w, cpu, t) if choice < 0 else run_flow(w, cpu, choice, t)
    w.cpus[cpu, st.CLOCK] = after
    w.cpus[cpu, st.BUSY] += after - t
    settle(w, cpu)
