"""Time: grace periods, timers and each cpu's worker, in the order in which they come due.

Each cpu has one worker for the monitor and for the batches' work, which is why they never overlap (both are on
system_wq), and one for the fill work (system_highpri_wq).  Ties go to grace periods, then to the lowest cpu.
"""

from __future__ import annotations

from typing import Any

from gfpmodel.mm.jit import compiled, entry, inlined
from gfpmodel.rcu.chain import (
    MUST_WAIT,
    fill_page_cache_func,
    free_object,
    hurry,
    kfree_rcu_monitor,
    kfree_rcu_work,
    kvfree_call_rcu,
    kvfree_rcu_drain_ready,
    start_work,
    wake,
    want_grace_period,
)
from gfpmodel.rcu.state import (
    B_CALLBACK,
    BUSY,
    CACHE_MISSES,
    CALLBACKS,
    ENABLED,
    EV_GPEND,
    EV_GPSTART,
    EV_ONE,
    EV_RCUCB,
    FILL_AT,
    FIRST_CALLBACK,
    FREE_NS,
    FREE_ROWS,
    GP_END,
    GP_EXPEDITED_NS,
    GP_NEEDED,
    GP_NS,
    GP_SEQ,
    GRACE_PERIODS,
    INFO,
    KFREE_ONE,
    LAST_CALLBACK,
    LINK,
    MONITOR_AT,
    MONITOR_READY,
    MONITOR_TODO,
    N_BATCHES,
    N_CPUS,
    NEVER,
    NEXT_EVENT,
    NOW,
    NR_RECORDS,
    NULL,
    OBJECT,
    OTHERS,
    OTHERS_SNAP,
    QHIMARK,
    READY_BATCH,
    SNAP_SHIFT,
    SNAPSHOTS,
    SPARE_ROWS,
    STALL_NS,
    STALLS,
    STEP_AT,
    W_BHEAD,
    W_HEAD,
    W_READY,
    Mm,
    Rcu,
    Words,
    batch_of,
    krc_of,
    log_event,
    row_of,
)

TIMER, WORKER, FILL, GRACE_PERIOD = range(4)


# grace periods


@inlined
def is_flood(krc: Words) -> Any:
    """Return whether a cpu has more callbacks than RCU accepts without hurrying."""
    for cpu in range(krc[N_CPUS]):
        if krc[krc_of(cpu) + CALLBACKS] > krc[QHIMARK]:
            return True
    return False


@compiled
def start_grace_period(rcu: Rcu) -> None:
    """Begin a grace period, a short one if a cpu has too many callbacks."""
    krc, _, _, log = rcu
    krc[GP_SEQ] += 1
    krc[GRACE_PERIODS] += 1
    krc[GP_END] = krc[NOW] + (krc[GP_EXPEDITED_NS] if is_flood(krc) else krc[GP_NS])
    if log[ENABLED]:
        log_event(krc, log, 0, EV_GPSTART, krc[GP_SEQ], 0, 0, 0, 0, 0, 0, 0)


@compiled
def end_grace_period(rcu: Rcu) -> None:
    """End the grace period, and run the callbacks that waited for it."""
    krc, _, _, log = rcu
    krc[GP_SEQ] = (krc[GP_SEQ] | 3) + 1
    krc[GP_END] = NEVER
    if log[ENABLED]:
        log_event(krc, log, 0, EV_GPEND, krc[GP_SEQ], 0, 0, 0, 0, 0, 0, 0)
    for cpu in range(krc[N_CPUS]):
        k = krc_of(cpu)
        for batch in range(krc[N_BATCHES]):
            b = batch_of(cpu, batch)
            if krc[b + B_CALLBACK] <= krc[GP_SEQ]:
                rcu_work_rcufn(rcu, cpu, batch)
        if krc[k + OTHERS] and krc[k + OTHERS_SNAP] <= krc[GP_SEQ]:
            krc[k + CALLBACKS] -= krc[k + OTHERS]
            krc[k + OTHERS] = 0
        invoke_callbacks(rcu, cpu)


@entry
@compiled
def rcu_work_rcufn(rcu: Rcu, cpu: int, batch: int) -> None:
    """Queue a batch's work on its cpu's worker: its grace period is over.

    Models: kernel/workqueue.c:rcu_work_rcufn (v5.8).
    """
    krc, _, _, log = rcu
    b = batch_of(cpu, batch)
    krc[b + B_CALLBACK] = NEVER
    krc[b + W_READY] = krc[NOW]
    krc[krc_of(cpu) + CALLBACKS] -= 1
    wake(krc, krc[NOW])
    if log[ENABLED]:
        log_event(krc, log, cpu, EV_RCUCB, cpu, batch, 0, 0, 0, 0, 0, 0)


@inlined
def invoke_callbacks(rcu: Rcu, cpu: int) -> None:
    """Free the objects that are callbacks of their own and have waited long enough, first in first out."""
    krc, _, objs, _ = rcu
    k = krc_of(cpu)
    obj = krc[k + FIRST_CALLBACK]
    while obj != NULL and objs[obj * OBJECT + INFO] >> SNAP_SHIFT <= krc[GP_SEQ]:
        krc[k + CALLBACKS] -= 1
        krc[KFREE_ONE] += 1
        krc[CACHE_MISSES] += 1
        after = objs[obj * OBJECT + LINK]
        free_object(rcu, cpu, obj)
        obj = after
    krc[k + FIRST_CALLBACK] = obj
    if obj == NULL:
        krc[k + LAST_CALLBACK] = NULL


@entry
@compiled
def call_rcu(rcu: Rcu, cpu: int, number: int) -> None:
    """Queue callbacks of others, which do nothing but count."""
    krc = rcu[0]
    k = krc_of(cpu)
    krc[k + OTHERS] += number
    krc[k + CALLBACKS] += number
    krc[k + OTHERS_SNAP] = want_grace_period(krc)
    hurry(krc, k)


# what comes next


@compiled
def worker_due(krc: Words, cpu: int) -> Any:
    """Return when a cpu's worker does its next step."""
    k = krc_of(cpu)
    if krc[k + BUSY]:
        return krc[k + STEP_AT]
    at = krc[k + MONITOR_READY]
    for batch in range(krc[N_BATCHES]):
        at = min(at, krc[batch_of(cpu, batch) + W_READY])
    return at


@entry
@compiled
def next_event(krc: Words) -> Any:
    """Return when the next thing happens, what it is, and on which cpu."""
    what, where = GRACE_PERIOD, 0
    at = krc[GP_END]
    if at == NEVER and krc[GP_NEEDED] > krc[GP_SEQ]:
        at = krc[NOW]
    for cpu in range(krc[N_CPUS]):
        k = krc_of(cpu)
        if krc[k + MONITOR_AT] < at:
            at, what, where = krc[k + MONITOR_AT], TIMER, cpu
        due = worker_due(krc, cpu)
        if due < at:
            at, what, where = due, WORKER, cpu
        if krc[k + FILL_AT] < at:
            at, what, where = krc[k + FILL_AT], FILL, cpu
    return at, what, where


@compiled
def step_cost(rcu: Rcu, cpu: int, batch: int) -> Any:
    """Return how long the next step of a work takes (ns)."""
    krc, bulk, _, _ = rcu
    b = batch_of(cpu, batch)
    block = krc[b + W_BHEAD] if krc[b + W_BHEAD] != NULL else krc[b + W_BHEAD + 1]
    if block != NULL:
        return bulk[row_of(krc, block) + NR_RECORDS] * krc[FREE_NS]
    return krc[FREE_NS] if krc[b + W_HEAD] != NULL else 0


@compiled
def begin_work(rcu: Rcu, cpu: int, batch: int) -> None:
    """Let a cpu's worker begin with a batch."""
    krc = rcu[0]
    k = krc_of(cpu)
    start_work(rcu, cpu, batch)
    krc[k + BUSY] = batch + 1
    krc[k + STEP_AT] = krc[NOW] + step_cost(rcu, cpu, batch)


@compiled
def run_worker(mm: Mm, rcu: Rcu, cpu: int) -> None:
    """Do the next step of what a cpu's worker is at, or begin with what has waited longest."""
    krc = rcu[0]
    k = krc_of(cpu)
    if krc[k + BUSY]:
        batch = krc[k + BUSY] - 1
        if kfree_rcu_work(mm, rcu, cpu, batch):
            krc[k + STEP_AT] = krc[NOW] + step_cost(rcu, cpu, batch)
            return
        krc[k + BUSY] = 0
        if batch == READY_BATCH:
            kfree_rcu_monitor(rcu, cpu)
        return
    first = -1
    at = krc[k + MONITOR_READY]
    for batch in range(krc[N_BATCHES]):
        if krc[batch_of(cpu, batch) + W_READY] < at:
            at, first = krc[batch_of(cpu, batch) + W_READY], batch
    if first >= 0:
        begin_work(rcu, cpu, first)
        return
    krc[k + MONITOR_READY] = NEVER
    if krc[SNAPSHOTS] and krc[k + MONITOR_TODO] and kvfree_rcu_drain_ready(rcu, cpu):
        begin_work(rcu, cpu, READY_BATCH)
    else:
        kfree_rcu_monitor(rcu, cpu)


@compiled
def run_event(mm: Mm, rcu: Rcu, at: int, what: int, cpu: int) -> None:
    """Let one thing happen at its time: what next_event() returned."""
    krc = rcu[0]
    krc[NOW] = max(krc[NOW], at)
    k = krc_of(cpu)
    if what == GRACE_PERIOD:
        if krc[GP_END] == NEVER:
            start_grace_period(rcu)
        else:
            end_grace_period(rcu)
    elif what == TIMER:
        krc[k + MONITOR_AT] = NEVER
        krc[k + MONITOR_READY] = krc[NOW]
    elif what == WORKER:
        run_worker(mm, rcu, cpu)
    else:
        fill_page_cache_func(mm, rcu, cpu)


@entry
@compiled
def run_events(mm: Mm, rcu: Rcu, until: int) -> None:
    """Let everything happen that is due up to a time (ns), in order."""
    krc = rcu[0]
    while True:
        at, what, cpu = next_event(krc)
        if at > until:
            krc[NEXT_EVENT] = at
            return
        run_event(mm, rcu, at, what, cpu)


@entry
@compiled
def synchronize_rcu(mm: Mm, rcu: Rcu, cpu: int, obj: int) -> None:
    """Wait for a grace period, then free the object: what the one-argument form does without a block.

    Models: the end of kernel/rcu/tree.c:kvfree_call_rcu (v5.9).
    """
    krc, _, _, log = rcu
    begin = krc[NOW]
    if log[ENABLED]:
        log_event(krc, log, cpu, EV_ONE, obj - 1, 0, 0, 0, 0, 0, 0, 0)
    snap = want_grace_period(krc)
    while krc[GP_SEQ] < snap:
        run_events(mm, rcu, next_event(krc)[0])
    krc[STALLS] += 1
    krc[STALL_NS] += krc[NOW] - begin
    free_waited(rcu, cpu, obj)


@entry
@compiled
def free_waited(rcu: Rcu, cpu: int, obj: int) -> None:
    """Free an object whose caller has waited."""
    krc, _, _, log = rcu
    if log[ENABLED]:
        log_event(krc, log, cpu, EV_ONE, obj - 1, 1, 0, 0, 0, 0, 0, 0)
    krc[KFREE_ONE] += 1
    krc[CACHE_MISSES] += 1
    free_object(rcu, cpu, obj)


@entry
@compiled
def run_calls(mm: Mm, rcu: Rcu, at: Words, cpus: Words, objects: Words, flags: Words, start: int) -> Any:
    """Make calls of kvfree_call_rcu() at their times (ns, ascending); returns the first that was not made.

    A caller that has to wait holds up the calls after it.  Stops early when ``bulk`` has to grow.
    """
    krc = rcu[0]
    for call in range(start, len(at)):
        if krc[FREE_ROWS] <= krc[SPARE_ROWS]:
            return call
        now = max(krc[NOW], at[call])
        if krc[NEXT_EVENT] <= now:
            run_events(mm, rcu, now)
        krc[NOW] = now
        if kvfree_call_rcu(mm, rcu, cpus[call], objects[call], flags[call]) == MUST_WAIT:
            synchronize_rcu(mm, rcu, cpus[call], objects[call])
    return len(at)


@compiled
def put_off(krc: Words, cpu: int, what: int, until: int) -> None:
    """Let what a cpu's workers would do next wait for the cpu, until a time (ns)."""
    k = krc_of(cpu)
    if what == FILL:
        krc[k + FILL_AT] = until
    elif krc[k + BUSY]:
        krc[k + STEP_AT] = until
    else:
        krc[k + MONITOR_READY] = max(krc[k + MONITOR_READY], until)
        for batch in range(krc[N_BATCHES]):
            b = batch_of(cpu, batch)
            krc[b + W_READY] = max(krc[b + W_READY], until)
