"""The loop: the CPU with the smallest clock goes next, the engine serves its request, and what the engine did is timed.

Nothing about the allocator is repeated here.  The engine's ring, with few kinds of events switched on, says which
locks a request took and how many pages it moved under them; a hit of a per-cpu list writes no event at all.

What every request goes through is inlined, because a call that hands over all arrays costs more than what it does;
what is rare stands in functions of its own.
"""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ring
from gfpmodel.mm.jit import compiled, inlined
from gfpmodel.mm.page_alloc import alloc_pages_nodemask, free_pages
from gfpmodel.mm.state import (
    BOOST,
    CONTENDED,
    FLAGS,
    MANAGED,
    MAX_NR_ZONES,
    NR_FREE,
    NULL,
    PG_LRU,
    WMARK,
    ZONE_MASK,
    ZONE_SHIFT,
    Blocks,
    Pages,
    Trace,
    Zones,
    get,
    get_pageblock_migratetype,
    put,
    zget,
    zput,
)
from gfpmodel.sim import costs as cost
from gfpmodel.sim import state as st
from gfpmodel.sim.rng import below, draw
from gfpmodel.sim.state import World

#: What the loop needs to see of a request.
KINDS_SEEN = (ring.UNLOCK, ring.REFILL_DONE, ring.BULK_FREE, ring.MOVE_BLOCK, ring.WAKE_KSWAPD, ring.TRYLOCK)
WMARK_LOW, WMARK_HIGH = WMARK + 1, WMARK + 2


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


@compiled
def work_done(w: World, flow: int, at: int, block: int) -> Any:
    """Return the ps and the pages of the section under the zone lock that ends with the ring's event ``at``.

    A bulk free is recorded before its lock is taken, a refill after its lock is released; a section with neither
    takes or gives back one block, at the cost ``block``.
    """
    first = at
    while first > 0 and w.trace[ring.HEADER + ring.WIDTH * (first - 1) + ring.KIND_FIELD] != ring.UNLOCK:
        first -= 1
    ps, pages, bulk = 0, 0, False
    for i in range(first, at + 2):
        row = ring.HEADER + ring.WIDTH * i
        kind = w.trace[row + ring.KIND_FIELD] if i < w.trace[ring.EVENTS] else ring.UNLOCK
        if kind == ring.BULK_FREE and i < at:
            bulk = True
            pages = w.trace[row + ring.FIRST_FIELD]
            ps += pages * w.costs[cost.FREE_PAGE]
            w.flows[flow, st.DRAINS] += 1
        elif kind == ring.REFILL_DONE and i > at:
            bulk = True
            pages = w.trace[row + ring.FIRST_FIELD + 2]
            ps += pages * w.costs[cost.ALLOC_PAGE]
            w.flows[flow, st.REFILLS] += 1
        elif kind == ring.MOVE_BLOCK and i < at:
            ps += w.costs[cost.MOVE_BLOCK]
    if not bulk:
        return ps + w.costs[block], 1
    return ps, pages


@inlined
def charge(w: World, cpu: int, flow: int, t: int, block: int) -> Any:
    """Return when the request that the engine just served at ``t`` is done, with all its locks and waits."""
    ns = w.costs[cost.PCP] * max(w.trace[ring.IRQ_OFF], 1) // cost.PS
    spinning = w.words[st.LOCK_KIND] == st.SPIN
    end = t + ns if spinning else run_for(w, cpu, t, ns)
    if w.trace[ring.EVENTS]:
        end = charge_sections(w, cpu, flow, end, block)
    end = run_for(w, cpu, end, 0)  # interrupts are on again, if they were off
    w.flows[flow, st.NS] += end - t
    st.note(w.hist, st.FLOW_HIST + flow, end - t)
    return end


@compiled
def charge_sections(w: World, cpu: int, flow: int, t: int, block: int) -> Any:
    """Return when a request is done that took the zone lock, or woke kswapd."""
    for at in range(w.trace[ring.EVENTS]):
        row = ring.HEADER + ring.WIDTH * at
        kind = w.trace[row + ring.KIND_FIELD]
        if kind == ring.UNLOCK:
            zone = w.trace[row + ring.ZONE_FIELD]
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
    w.trace[ring.EVENTS] = 0
    w.trace[ring.IRQ_OFF] = 0


@compiled
def lock_was_busy(w: World) -> Any:
    """Return whether the request failed to get a lock that it only tried for."""
    for at in range(w.trace[ring.EVENTS]):
        row = ring.HEADER + ring.WIDTH * at
        if w.trace[row + ring.KIND_FIELD] == ring.TRYLOCK and w.trace[row + ring.FIRST_FIELD] == 0:
            return True
    return False


# live blocks


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
        put(w.pages, page, FLAGS, get(w.pages, page, FLAGS) | PG_LRU)
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
    free_block(w.pages, w.zones, w.blocks, w.trace, cpu, w.slots[slot, st.PAGE], order)
    w.words[st.LIVE_PAGES] -= 1 << order
    w.flows[flow, st.LIVE] -= 1
    if w.flows[flow, st.RECLAIMABLE]:
        after, before = w.slots[slot, st.NEXT_SLOT], w.slots[slot, st.PREV_SLOT]
        w.slots[after, st.PREV_SLOT], w.slots[before, st.NEXT_SLOT] = before, after


# what a cpu does next


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
def ask(w: World, cpu: int, flow: int, t: int) -> Any:
    """Call the engine for a flow's request; whoever tries for a lock that another cpu holds at ``t`` fails."""
    clear_ring(w)
    for zone in range(MAX_NR_ZONES):
        zput(w.zones, zone, CONTENDED, 1 if w.locks[zone, st.FREE_AT] > t else 0)
    return alloc_block(w.pages, w.zones, w.blocks, w.trace, cpu, w.flows[flow, st.MASK], w.flows[flow, st.ORDER])


@compiled
def alloc_block(pages: Pages, zones: Zones, blocks: Blocks, trace: Trace, cpu: int, gfp: int, order: int) -> Any:
    """Call the engine, whose path is compiled into this one place."""
    return alloc_pages_nodemask(pages, zones, blocks, trace, cpu, gfp, order)


@compiled
def free_block(pages: Pages, zones: Zones, blocks: Blocks, trace: Trace, cpu: int, page: int, order: int) -> None:
    """Call the engine, whose path is compiled into this one place."""
    free_pages(pages, zones, blocks, trace, cpu, page, order)


@inlined
def look_at(w: World, flow: int, page: int) -> None:
    """Count what a block cost others: taken below a watermark, or from another type's pageblock."""
    zone = (get(w.pages, page, FLAGS) & ZONE_MASK) >> ZONE_SHIFT
    free = zget(w.zones, zone, NR_FREE)
    w.flows[flow, st.BELOW_LOW] += free < zget(w.zones, zone, WMARK_LOW)
    w.flows[flow, st.BELOW_MIN] += free < zget(w.zones, zone, WMARK)
    w.flows[flow, st.STRAY] += get_pageblock_migratetype(w.zones, w.blocks, page) != w.flows[flow, st.MIGRATETYPE]
    w.words[st.MIN_FREE] = min(w.words[st.MIN_FREE], free)


@inlined
def free_due(w: World, cpu: int, t: int) -> Any:
    """Free the block whose time has come on a cpu; returns when that is done."""
    slot = pop(w, cpu)
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
    # st.KFREE_RCU: the block chain's step belongs here
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


@compiled
def is_balanced(w: World) -> Any:
    """Return whether a zone has its high watermark free, its boost included.

    Models: mm/vmscan.c:pgdat_balanced (v5.8), for order 0 and all zones.
    """
    for zone in range(MAX_NR_ZONES):
        if zget(w.zones, zone, MANAGED):
            mark = zget(w.zones, zone, WMARK_HIGH) + zget(w.zones, zone, BOOST)
            if zget(w.zones, zone, NR_FREE) >= mark:
                return True
    return False


@compiled
def reclaim(w: World, cpu: int, flow: int, t: int) -> Any:
    """Let kswapd free one page, or go to sleep once the node is balanced; returns when that is done.

    Models: mm/vmscan.c:balance_pgdat (v5.8) by its effect: the oldest reclaimable page is freed at a fixed cost.
    Leaves out the scan, writeback, and everything else that takes reclaim its time.
    """
    slot = w.slots[0, st.NEXT_SLOT]
    if slot == 0 or is_balanced(w):
        w.flows[flow, st.NEXT_AT] = st.NEVER
        for zone in range(MAX_NR_ZONES):
            zput(w.zones, zone, BOOST, 0)
        return t
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
        for zone in range(MAX_NR_ZONES):
            free += zget(w.zones, zone, NR_FREE)
        w.series[at, 0], w.series[at, 1] = w.words[st.NEXT_SAMPLE], free
        w.series[at, 2], w.series[at, 3] = w.words[st.LIVE_PAGES], w.words[st.FAILURES]
        w.words[st.SAMPLES] = at + 1
        w.words[st.NEXT_SAMPLE] += w.words[st.SAMPLE_EVERY]


@compiled
def run(w: World) -> None:
    """Run until the end, or until so many events have happened."""
    for cpu in range(len(w.cpus)):
        settle(w, cpu)
    while w.words[st.EVENTS] < w.words[st.MAX_EVENTS]:
        cpu = 0
        for other in range(1, len(w.cpus)):
            if w.cpus[other, st.DUE] < w.cpus[cpu, st.DUE]:
                cpu = other
        now = w.cpus[cpu, st.DUE]
        if now >= w.words[st.END]:
            w.words[st.NOW] = w.words[st.END]
            break
        w.words[st.NOW] = now
        if now >= w.words[st.NEXT_SAMPLE]:
            sample(w, now)
        step(w, cpu, now)
        w.words[st.EVENTS] += 1
    sample(w, w.words[st.NOW])


@inlined
def step(w: World, cpu: int, now: int) -> None:
    """Let a cpu do what it is due to do at ``now``."""
    t = idle_until(w, cpu, now) if w.cpus[cpu, st.WAKE] <= now and not w.cpus[cpu, st.MASKED] else now
    choice = w.cpus[cpu, st.CHOICE]
    after = free_due(w, cpu, t) if choice < 0 else run_flow(w, cpu, choice, t)
    w.cpus[cpu, st.CLOCK] = after
    w.cpus[cpu, st.BUSY] += after - t
    settle(w, cpu)
