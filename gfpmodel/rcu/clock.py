"""Time: grace periods, timers and each cpu's worker, in the order in which they come due.

Each cpu has one worker for the monitor and for the batches' work, which is why they never overlap (both are on
system_wq), and one for the fill work (system_highpri_wq).  Ties go to grace periods, then to the lowest cpu.
"""

from __future__ import annotations

from typing import Any

from gfpmodel.mm.jit import compiled, entry, inlined
from gfpmodel.mm.state import Traced
from gfpmodel.rcu import state as st
from gfpmodel.rcu.cache import fill_page_cache_func
from gfpmodel.rcu.chain import MUST_WAIT, kfree_rcu_monitor, kvfree_call_rcu
from gfpmodel.rcu.gp import hurry, wake, want_grace_period
from gfpmodel.rcu.state import NULL, Rcu, Words, batch_of, krc_of, log_event, row_of
from gfpmodel.rcu.work import free_object, kfree_rcu_work, kvfree_rcu_drain_ready, start_work

TIMER, WORKER, FILL, GRACE_PERIOD = range(4)


# grace periods


@inlined
def is_flood(krc: Words) -> Any:
    """Return whether a cpu has more callbacks than RCU accepts without hurrying."""
    for cpu in range(krc[st.N_CPUS]):
        if krc[krc_of(cpu) + st.CALLBACKS] > krc[st.QHIMARK]:
            return True
    return False


@compiled
def start_grace_period(rcu: Rcu) -> None:
    """Begin a grace period, a short one if a cpu has too many callbacks."""
    krc, _, _, log = rcu
    krc[st.GP_SEQ] += 1
    krc[st.GRACE_PERIODS] += 1
    krc[st.GP_END] = krc[st.NOW] + (krc[st.GP_EXPEDITED_NS] if is_flood(krc) else krc[st.GP_NS])
    if log[st.ENABLED]:
        log_event(krc, log, 0, st.EV_GPSTART, krc[st.GP_SEQ], 0, 0, 0, 0, 0, 0, 0)


@compiled
def end_grace_period(rcu: Rcu) -> None:
    """End the grace period, and run the callbacks that waited for it."""
    krc, _, _, log = rcu
    krc[st.GP_SEQ] = (krc[st.GP_SEQ] | 3) + 1
    krc[st.GP_END] = st.NEVER
    if log[st.ENABLED]:
        log_event(krc, log, 0, st.EV_GPEND, krc[st.GP_SEQ], 0, 0, 0, 0, 0, 0, 0)
    for cpu in range(krc[st.N_CPUS]):
        k = krc_of(cpu)
        for batch in range(krc[st.N_BATCHES]):
            b = batch_of(cpu, batch)
            if krc[b + st.B_CALLBACK] <= krc[st.GP_SEQ]:
                rcu_work_rcufn(rcu, cpu, batch)
        if krc[k + st.OTHERS] and krc[k + st.OTHERS_SNAP] <= krc[st.GP_SEQ]:
            krc[k + st.CALLBACKS] -= krc[k + st.OTHERS]
            krc[k + st.OTHERS] = 0
        invoke_callbacks(rcu, cpu)


@entry
@compiled
def rcu_work_rcufn(rcu: Rcu, cpu: int, batch: int) -> None:
    """Queue a batch's work on its cpu's worker: its grace period is over.

    Models: kernel/workqueue.c:rcu_work_rcufn (v5.8).
    """
    krc, _, _, log = rcu
    b = batch_of(cpu, batch)
    krc[b + st.B_CALLBACK] = st.NEVER
    krc[b + st.W_READY] = krc[st.NOW]
    krc[krc_of(cpu) + st.CALLBACKS] -= 1
    wake(krc, krc[st.NOW])
    if log[st.ENABLED]:
        log_event(krc, log, cpu, st.EV_RCUCB, cpu, batch, 0, 0, 0, 0, 0, 0)


@inlined
def invoke_callbacks(rcu: Rcu, cpu: int) -> None:
    """Free the objects that are callbacks of their own and have waited long enough, first in first out."""
    krc, _, objs, _ = rcu
    k = krc_of(cpu)
    obj = krc[k + st.FIRST_CALLBACK]
    while obj != NULL and objs[obj * st.OBJECT + st.INFO] >> st.SNAP_SHIFT <= krc[st.GP_SEQ]:
        krc[k + st.CALLBACKS] -= 1
        krc[st.KFREE_ONE] += 1
        krc[st.CACHE_MISSES] += 1
        after = objs[obj * st.OBJECT + st.LINK]
        free_object(rcu, cpu, obj)
        obj = after
    krc[k + st.FIRST_CALLBACK] = obj
    if obj == NULL:
        krc[k + st.LAST_CALLBACK] = NULL


@entry
@compiled
def call_rcu(rcu: Rcu, cpu: int, number: int) -> None:
    """Queue callbacks of others, which do nothing but count."""
    krc = rcu.krc
    k = krc_of(cpu)
    krc[k + st.OTHERS] += number
    krc[k + st.CALLBACKS] += number
    krc[k + st.OTHERS_SNAP] = want_grace_period(krc)
    hurry(krc, k)


# what comes next


@compiled
def worker_due(krc: Words, cpu: int) -> Any:
    """Return when a cpu's worker does its next step."""
    k = krc_of(cpu)
    if krc[k + st.BUSY]:
        return krc[k + st.STEP_AT]
    at = krc[k + st.MONITOR_READY]
    for batch in range(krc[st.N_BATCHES]):
        at = min(at, krc[batch_of(cpu, batch) + st.W_READY])
    return at


@entry
@compiled
def next_event(krc: Words) -> Any:
    """Return when the next thing happens, what it is, and on which cpu."""
    what, where = GRACE_PERIOD, 0
    at = krc[st.GP_END]
    if at == st.NEVER and krc[st.GP_NEEDED] > krc[st.GP_SEQ]:
        at = krc[st.NOW]
    for cpu in range(krc[st.N_CPUS]):
        k = krc_of(cpu)
        if krc[k + st.MONITOR_AT] < at:
            at, what, where = krc[k + st.MONITOR_AT], TIMER, cpu
        due = worker_due(krc, cpu)
        if due < at:
            at, what, where = due, WORKER, cpu
        if krc[k + st.FILL_AT] < at:
            at, what, where = krc[k + st.FILL_AT], FILL, cpu
    return at, what, where


@compiled
def step_cost(rcu: Rcu, cpu: int, batch: int) -> Any:
    """Return how long the next step of a work takes (ns)."""
    krc, bulk, _, _ = rcu
    b = batch_of(cpu, batch)
    block = krc[b + st.W_BHEAD] if krc[b + st.W_BHEAD] != NULL else krc[b + st.W_BHEAD + 1]
    if block != NULL:
        return bulk[row_of(krc, block) + st.NR_RECORDS] * krc[st.FREE_NS]
    return krc[st.FREE_NS] if krc[b + st.W_HEAD] != NULL else 0


@compiled
def begin_work(rcu: Rcu, cpu: int, batch: int) -> None:
    """Let a cpu's worker begin with a batch."""
    krc = rcu.krc
    k = krc_of(cpu)
    start_work(rcu, cpu, batch)
    krc[k + st.BUSY] = batch + 1
    krc[k + st.STEP_AT] = krc[st.NOW] + step_cost(rcu, cpu, batch)


@compiled
def run_worker(m: Traced, rcu: Rcu, cpu: int) -> None:
    """Do the next step of what a cpu's worker is at, or begin with what has waited longest."""
    krc = rcu.krc
    k = krc_of(cpu)
    if krc[k + st.BUSY]:
        batch = krc[k + st.BUSY] - 1
        if kfree_rcu_work(m, rcu, cpu, batch):
            krc[k + st.STEP_AT] = krc[st.NOW] + step_cost(rcu, cpu, batch)
            return
        krc[k + st.BUSY] = 0
        if batch == st.READY_BATCH:
            kfree_rcu_monitor(rcu, cpu)
        return
    first = -1
    at = krc[k + st.MONITOR_READY]
    for batch in range(krc[st.N_BATCHES]):
        if krc[batch_of(cpu, batch) + st.W_READY] < at:
            at, first = krc[batch_of(cpu, batch) + st.W_READY], batch
    if first >= 0:
        begin_work(rcu, cpu, first)
        return
    krc[k + st.MONITOR_READY] = st.NEVER
    if krc[st.SNAPSHOTS] and krc[k + st.MONITOR_TODO] and kvfree_rcu_drain_ready(rcu, cpu):
        begin_work(rcu, cpu, st.READY_BATCH)
    else:
        kfree_rcu_monitor(rcu, cpu)


@compiled
def run_event(m: Traced, rcu: Rcu, at: int, what: int, cpu: int) -> None:
    """Let one thing happen at its time: what next_event() returned."""
    krc = rcu.krc
    krc[st.NOW] = max(krc[st.NOW], at)
    k = krc_of(cpu)
    if what == GRACE_PERIOD:
        if krc[st.GP_END] == st.NEVER:
            start_grace_period(rcu)
        else:
            end_grace_period(rcu)
    elif what == TIMER:
        krc[k + st.MONITOR_AT] = st.NEVER
        krc[k + st.MONITOR_READY] = krc[st.NOW]
    elif what == WORKER:
        run_worker(m, rcu, cpu)
    else:
        fill_page_cache_func(m, rcu, cpu)


@entry
@compiled
def run_events(m: Traced, rcu: Rcu, until: int) -> None:
    """Let everything happen that is due up to a time (ns), in order."""
    krc = rcu.krc
    while True:
        at, what, cpu = next_event(krc)
        if at > until:
            krc[st.NEXT_EVENT] = at
            return
        run_event(m, rcu, at, what, cpu)


@entry
@compiled
def synchronize_rcu(m: Traced, rcu: Rcu, cpu: int, obj: int) -> None:
    """Wait for a grace period, then free the object: what the one-argument form does without a block.

    Models: the end of kernel/rcu/tree.c:kvfree_call_rcu (v5.9).
    """
    krc, _, _, log = rcu
    begin = krc[st.NOW]
    if log[st.ENABLED]:
        log_event(krc, log, cpu, st.EV_ONE, obj - 1, 0, 0, 0, 0, 0, 0, 0)
    snap = want_grace_period(krc)
    while krc[st.GP_SEQ] < snap:
        run_events(m, rcu, next_event(krc)[0])
    krc[st.STALLS] += 1
    krc[st.STALL_NS] += krc[st.NOW] - begin
    free_waited(rcu, cpu, obj)


@entry
@compiled
def free_waited(rcu: Rcu, cpu: int, obj: int) -> None:
    """Free an object whose caller has waited."""
    krc, _, _, log = rcu
    if log[st.ENABLED]:
        log_event(krc, log, cpu, st.EV_ONE, obj - 1, 1, 0, 0, 0, 0, 0, 0)
    krc[st.KFREE_ONE] += 1
    krc[st.CACHE_MISSES] += 1
    free_object(rcu, cpu, obj)


@entry
@compiled
def run_calls(m: Traced, rcu: Rcu, at: Words, cpus: Words, objects: Words, flags: Words, start: int) -> Any:
    """Make calls of kvfree_call_rcu() at their times (ns, ascending); returns the first that was not made.

    A caller that has to wait holds up the calls after it.  Stops early when ``bulk`` has to grow.
    """
    krc = rcu.krc
    for call in range(start, len(at)):
        if krc[st.FREE_ROWS] <= krc[st.SPARE_ROWS]:
            return call
        now = max(krc[st.NOW], at[call])
        if krc[st.NEXT_EVENT] <= now:
            run_events(m, rcu, now)
        krc[st.NOW] = now
        if kvfree_call_rcu(m, rcu, cpus[call], objects[call], flags[call]) == MUST_WAIT:
            synchronize_rcu(m, rcu, cpus[call], objects[call])
    return len(at)


@compiled
def put_off(krc: Words, cpu: int, what: int, until: int) -> None:
    """Let what a cpu's workers would do next wait for the cpu, until a time (ns)."""
    k = krc_of(cpu)
    if what == FILL:
        krc[k + st.FILL_AT] = until
    elif krc[k + st.BUSY]:
        krc[k + st.STEP_AT] = until
    else:
        krc[k + st.MONITOR_READY] = max(krc[k + st.MONITOR_READY], until)
        for batch in range(krc[st.N_BATCHES]):
            b = batch_of(cpu, batch)
            krc[b + st.W_READY] = max(krc[b + st.W_READY], until)
