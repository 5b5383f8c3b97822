"""The block chain: queueing, and hand-over by the monitor; `cache` has the blocks, `work` what follows.

Every version runs through these functions; where kernels differ they read a word that the version's row has set.
"""

from __future__ import annotations

from typing import Any

from gfpmodel.mm.jit import compiled, entry, inlined
from gfpmodel.mm.state import Traced
from gfpmodel.rcu import state as st
from gfpmodel.rcu.cache import (
    ALLOCATED,
    CACHED,
    FORCED,
    NO_SOURCE,
    get_cached_bnode,
    new_block,
    pcp_pages,
    run_page_cache_worker,
)
from gfpmodel.rcu.gp import hurry, rcu_seq_snap, wake, want_grace_period
from gfpmodel.rcu.state import NULL, Rcu, Words, batch_of, krc_of, log_event, row_of

QUEUED_NOW, MUST_WAIT, DUPLICATE = 0, 1, 2  # what kvfree_call_rcu did
FIRST_ONLY, REPEAT, LEFT = 0, 1, 2  # the hand-over rules of a version
HEAD_MASK = 4  # beside 1 << channel


# queueing


@compiled
def want_block(m: Traced, rcu: Rcu, cpu: int, channel: int, one_argument: bool) -> Any:
    """Get an empty block and make it a channel's newest; returns NULL if there is none to be had.

    Models: the first half of kernel/rcu/tree.c:kvfree_call_rcu_add_ptr_to_bulk (v5.9).
    """
    krc, bulk, _, log = rcu
    k = krc_of(cpu)
    before, unmovable = -1, -1
    block = get_cached_bnode(rcu, cpu)
    source = CACHED
    if block != NULL:
        if krc[st.FILL_ON_TAKE]:
            run_page_cache_worker(rcu, cpu)
    else:
        gfp = krc[st.SLEEPING_GFP] if one_argument and krc[st.SLEEPING_GFP] >= 0 else krc[st.CALLER_GFP]
        source = NO_SOURCE
        if gfp >= 0:
            if log[st.ENABLED] and not krc[st.RECORDED]:
                before, unmovable = pcp_pages(m, cpu, 0), pcp_pages(m, cpu, 1)
            block = new_block(m, rcu, cpu, gfp)
            source = ALLOCATED if block > NULL else -block
            if source == FORCED:
                before = unmovable = -1
    pfn = 0
    if block > NULL:
        at = row_of(krc, block)
        pfn = bulk[at + st.PFN]
        bulk[at + st.NR_RECORDS] = 0
        bulk[at + st.NEXT] = krc[k + st.BHEAD + channel]
        krc[k + st.BHEAD + channel] = block
        krc[k + st.NR_BLOCKS + channel] += 1
        krc[k + st.BLOCKS_HERE] += 1
        krc[st.BLOCKS_LIVE] += 1
        krc[st.BLOCKS_PEAK] = max(krc[st.BLOCKS_PEAK], krc[st.BLOCKS_LIVE])
    if log[st.ENABLED]:
        cached, blocks = krc[k + st.NR_CACHED], krc[k + st.NR_BLOCKS + channel]
        log_event(krc, log, cpu, st.EV_B, cpu, channel, source, pfn, cached, before, unmovable, blocks)
    return max(block, NULL)


@inlined
def add_ptr_to_bulk(m: Traced, rcu: Rcu, cpu: int, obj: int, channel: int, one_argument: bool) -> Any:
    """Append an object to a channel's newest block, with a new block if that one is full.

    Models: kernel/rcu/tree.c:kvfree_call_rcu_add_ptr_to_bulk (v5.9), add_ptr_to_bulk_krc_lock (v5.13).
    """
    krc, bulk, _, _ = rcu
    k = krc_of(cpu)
    block = krc[k + st.BHEAD + channel]
    if block == NULL or bulk[row_of(krc, block) + st.NR_RECORDS] == krc[st.CAPACITY]:
        block = want_block(m, rcu, cpu, channel, one_argument)
        if block == NULL:
            return False
    at = row_of(krc, block)
    bulk[at + st.RECORDS + bulk[at + st.NR_RECORDS]] = obj
    bulk[at + st.NR_RECORDS] += 1
    bulk[at + st.GP_SNAP] = rcu_seq_snap(krc[st.GP_SEQ])
    krc[k + st.NR_OBJECTS + channel] += 1
    return True


@inlined
def arm(krc: Words, k: int) -> None:
    """Start the drain timer, unless it runs or its work waits already.

    Models: kernel/workqueue.c:queue_delayed_work (v5.8), without the rounding to jiffies.
    """
    if krc[k + st.MONITOR_AT] == st.NEVER and krc[k + st.MONITOR_READY] == st.NEVER:
        full = krc[st.DRAIN_FULL_NS] and krc[k + st.COUNT] >= krc[st.CAPACITY]
        krc[k + st.MONITOR_AT] = krc[st.NOW] + (krc[st.DRAIN_FULL_NS] if full else krc[st.DRAIN_NS])
        wake(krc, krc[k + st.MONITOR_AT])


@inlined
def schedule_monitor(krc: Words, cpu: int) -> Any:
    """Arm the drain timer if it is not armed, or bring it forward; returns whether it was armed now.

    Models: kernel/rcu/tree.c:schedule_delayed_monitor_work (v6.1), and what v5.8 does in its place.
    """
    k = krc_of(cpu)
    if not krc[k + st.MONITOR_TODO]:
        krc[k + st.MONITOR_TODO] = 1
        arm(krc, k)
        return True
    soon = krc[st.NOW] + krc[st.DRAIN_FULL_NS]
    if krc[st.DRAIN_FULL_NS] and krc[k + st.COUNT] >= krc[st.CAPACITY] and soon < krc[k + st.MONITOR_AT] < st.NEVER:
        krc[k + st.MONITOR_AT] = soon
        wake(krc, soon)
    return False


@entry
@compiled
def kvfree_call_rcu(m: Traced, rcu: Rcu, cpu: int, obj: int, flags: int) -> Any:
    """Queue one object: returns QUEUED_NOW, DUPLICATE, or MUST_WAIT if the caller has to wait for a grace period.

    ``flags``: VMALLOC, ONE_ARGUMENT, BAD_OFFSET; NO_BLOCK for a recorded object that is known to have found none.
    Models: kernel/rcu/tree.c:kfree_call_rcu (v5.8), kvfree_call_rcu (v5.9 to v6.6).
    """
    krc, _, objs, log = rcu
    k = krc_of(cpu)
    word = obj * st.OBJECT
    if objs[word + st.INFO] & st.STATE_MASK != st.IDLE:
        krc[st.DUPLICATES] += 1
        return DUPLICATE
    snap = rcu_seq_snap(krc[st.GP_SEQ])
    objs[word + st.INFO] = st.PENDING_OBJECT | flags | snap << st.SNAP_SHIFT
    krc[st.QUEUED] += 1
    krc[st.PENDING_PEAK] = max(krc[st.PENDING_PEAK], krc[st.QUEUED] - krc[st.FREED] - krc[st.LEAKED])
    if krc[st.N_BATCHES] == 0:
        if flags & st.ONE_ARGUMENT:
            return MUST_WAIT
        queue_callback(rcu, cpu, obj)
        return QUEUED_NOW
    one_argument = flags & st.ONE_ARGUMENT != 0
    channel = 1 if flags & st.VMALLOC and krc[st.N_CHANNELS] > 1 else 0
    kind = channel
    if flags & st.NO_BLOCK or not add_ptr_to_bulk(m, rcu, cpu, obj, channel, one_argument):
        run_page_cache_worker(rcu, cpu)
        if one_argument:
            return MUST_WAIT
        objs[word + st.LINK] = krc[k + st.HEAD]
        krc[k + st.HEAD] = obj
        krc[k + st.HEADS] += 1
        krc[k + st.HEAD_SNAP] = snap
        krc[st.HEAD_OBJECTS] += 1
        kind = 2
    krc[k + st.COUNT] += 1
    if log[st.ENABLED]:
        log_event(krc, log, cpu, st.EV_Q, cpu, obj - 1, kind, krc[k + st.COUNT], snap, 1 if one_argument else 0, 0, 0)
    if krc[st.RUNNING] and schedule_monitor(krc, cpu) and log[st.ENABLED]:
        log_event(krc, log, cpu, st.EV_T, cpu, 1, 0, 0, 0, 0, 0, 0)
    return QUEUED_NOW


@inlined
def queue_callback(rcu: Rcu, cpu: int, obj: int) -> None:
    """Queue an object as a callback of its own, first in first out."""
    krc, _, objs, _ = rcu
    k = krc_of(cpu)
    objs[obj * st.OBJECT + st.LINK] = NULL
    if krc[k + st.LAST_CALLBACK] != NULL:
        objs[krc[k + st.LAST_CALLBACK] * st.OBJECT + st.LINK] = obj
    else:
        krc[k + st.FIRST_CALLBACK] = obj
    krc[k + st.LAST_CALLBACK] = obj
    krc[k + st.CALLBACKS] += 1
    krc[st.HEAD_OBJECTS] += 1
    want_grace_period(krc)
    hurry(krc, k)


# the monitor


@inlined
def anything_left(krc: Words, k: int) -> Any:
    """Return whether a cpu has objects that were not handed over."""
    return krc[k + st.BHEAD] != NULL or krc[k + st.BHEAD + 1] != NULL or krc[k + st.HEAD] != NULL


@inlined
def is_batch_busy(krc: Words, b: int) -> Any:
    """Return whether a batch still holds anything.

    Models: kernel/rcu/tree.c:need_wait_for_krwp_work (5da7cb193db3, v6.3 and stable).
    """
    return krc[b + st.B_BHEAD] != NULL or krc[b + st.B_BHEAD + 1] != NULL or krc[b + st.B_HEAD] != NULL


@inlined
def attach(krc: Words, k: int, b: int) -> Any:
    """Move what has a free place in a batch; returns the mask of what was moved."""
    mask = 0
    for channel in range(2):
        if krc[k + st.BHEAD + channel] != NULL and krc[b + st.B_BHEAD + channel] == NULL:
            krc[b + st.B_BHEAD + channel] = krc[k + st.BHEAD + channel]
            krc[b + st.B_BLOCKS + channel] = krc[k + st.NR_BLOCKS + channel]
            krc[b + st.B_OBJECTS + channel] = krc[k + st.NR_OBJECTS + channel]
            krc[k + st.BHEAD + channel] = NULL
            krc[k + st.NR_BLOCKS + channel] = 0
            krc[k + st.NR_OBJECTS + channel] = 0
            mask |= 1 << channel
    if krc[k + st.HEAD] != NULL and krc[b + st.B_HEAD] == NULL:
        krc[b + st.B_HEAD] = krc[k + st.HEAD]
        krc[b + st.B_HEADS] = krc[k + st.HEADS]
        krc[k + st.HEAD] = NULL
        krc[k + st.HEADS] = 0
        mask |= HEAD_MASK
    return mask


@inlined
def queue_rcu_work(krc: Words, k: int, b: int) -> Any:
    """Ask for a grace period and then the batch's work; returns False, and asks for nothing, if it is pending.

    Models: kernel/workqueue.c:queue_rcu_work (v5.8).
    """
    krc[st.HAND_OVERS] += 1
    if krc[b + st.B_PENDING]:
        krc[st.TO_PENDING] += 1
        return False
    krc[b + st.B_PENDING] = 1
    krc[b + st.B_CALLBACK] = want_grace_period(krc)
    krc[k + st.CALLBACKS] += 1
    return True


@compiled
def queue_kfree_rcu_work(rcu: Rcu, cpu: int) -> Any:
    """Hand what is queued to the batches; returns whether the monitor has to run again.

    Models: kernel/rcu/tree.c:queue_kfree_rcu_work (v5.8, v5.9), kfree_rcu_monitor (v5.15, v6.12).
    """
    krc, _, _, log = rcu
    k = krc_of(cpu)
    queued = left = False
    for batch in range(krc[st.N_BATCHES]):
        b = batch_of(cpu, batch)
        if krc[st.FIXED] and is_batch_busy(krc, b):
            continue
        mask = attach(krc, k, b)
        if mask:
            krc[k + st.COUNT] = 0
            fresh = queue_rcu_work(krc, k, b)
            queued = True
            if log[st.ENABLED]:
                rest = (
                    (krc[k + st.BHEAD] != NULL) << 2
                    | (krc[k + st.BHEAD + 1] != NULL) << 3
                    | (krc[k + st.HEAD] != NULL) << 4
                )
                blocks = krc[b + st.B_BLOCKS] | krc[b + st.B_BLOCKS + 1] << 16
                result = (1 if fresh else 2) | rest
                objects, others, heads = krc[b + st.B_OBJECTS], krc[b + st.B_OBJECTS + 1], krc[b + st.B_HEADS]
                log_event(krc, log, cpu, st.EV_H, cpu, batch, mask, result, blocks, objects, others, heads)
        if anything_left(krc, k):
            left = True
        if mask and krc[st.ONE_BATCH]:
            break
    if krc[st.FIXED] or krc[st.HAND_OVER] == LEFT:
        return anything_left(krc, k)
    return left if krc[st.HAND_OVER] == REPEAT else not queued


@entry
@compiled
def kfree_rcu_monitor(rcu: Rcu, cpu: int) -> Any:
    """Run the drain timer's work; returns whether there was anything to do.

    Models: kernel/rcu/tree.c:kfree_rcu_monitor and kfree_rcu_drain_unlock (v5.8 to v5.12).
    """
    krc, _, _, log = rcu
    k = krc_of(cpu)
    if not krc[k + st.MONITOR_TODO]:
        return False
    if log[st.ENABLED]:
        count, slab, other = krc[k + st.COUNT], krc[k + st.NR_BLOCKS], krc[k + st.NR_BLOCKS + 1]
        objects, others = krc[k + st.NR_OBJECTS], krc[k + st.NR_OBJECTS + 1]
        log_event(
            krc, log, cpu, st.EV_M, cpu, count, slab, other, objects, others, krc[k + st.HEADS], krc[k + st.NR_CACHED]
        )
    krc[k + st.MONITOR_TODO] = 0
    again = queue_kfree_rcu_work(rcu, cpu)
    if again:
        krc[k + st.MONITOR_TODO] = 1
        arm(krc, k)
    if log[st.ENABLED]:
        objects, others = krc[k + st.NR_OBJECTS], krc[k + st.NR_OBJECTS + 1]
        log_event(
            krc, log, cpu, st.EV_R, cpu, 1 if again else 0, krc[k + st.COUNT], objects, others, krc[k + st.HEADS], 0, 0
        )
    return True
