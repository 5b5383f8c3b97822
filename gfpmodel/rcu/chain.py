"""The block chain: queueing, hand-over, what happens after the grace period, the cache and its refill.

Every version runs through these functions; where kernels differ they read a word that the version's row has set.
"""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import state as mm
from gfpmodel.mm.events import trace_op
from gfpmodel.mm.jit import compiled, entry, inlined
from gfpmodel.mm.page_alloc import alloc_pages, free_pages, is_block_in_use
from gfpmodel.mm.state import Traced, get, page_to_pfn, per_cpu_pages
from gfpmodel.rcu import state as st
from gfpmodel.rcu.state import NULL, Rcu, Words, batch_of, krc_of, log_event, row_of

CACHED, ALLOCATED, FORCED, FAILED, NO_SOURCE = 1, 2, 3, 4, 0  # where a block came from, as the logs number it
QUEUED_NOW, MUST_WAIT, DUPLICATE = 0, 1, 2  # what kvfree_call_rcu did
FIRST_ONLY, REPEAT, LEFT = 0, 1, 2  # the hand-over rules of a version
HEAD_MASK = 4  # beside 1 << channel
LINE = 8  # pointers in a cache line


@inlined
def rcu_seq_snap(seq: int) -> Any:
    """Return the sequence number at which a full grace period from now will have ended.

    Models: kernel/rcu/rcu.h:rcu_seq_snap (v5.8); the low two bits say that a grace period runs.
    """
    return (seq + 7) & ~3


@inlined
def wake(krc: Words, at: int) -> None:
    """Say that something will happen at a time; a recorded log says itself when things happen."""
    if at < krc[st.NEXT_EVENT] and not krc[st.RECORDED]:
        krc[st.NEXT_EVENT] = at


@inlined
def want_grace_period(krc: Words) -> Any:
    """Ask for a full grace period from now; returns the sequence number at its end."""
    snap = rcu_seq_snap(krc[st.GP_SEQ])
    krc[st.GP_NEEDED] = max(krc[st.GP_NEEDED], snap)
    wake(krc, krc[st.NOW])
    return snap


@inlined
def hurry(krc: Words, k: int) -> None:
    """End the grace period soon if a cpu has too many callbacks.

    Models: kernel/rcu/tree.c:__call_rcu_core (v5.8) above qhimark, as a shorter grace period.
    """
    soon = krc[st.NOW] + krc[st.GP_EXPEDITED_NS]
    if krc[k + st.CALLBACKS] > krc[st.QHIMARK] and soon < krc[st.GP_END] < st.NEVER:
        krc[st.GP_END] = soon
        wake(krc, soon)


# blocks and their pages


@entry
@compiled
def alloc_page(m: Traced, cpu: int, gfp: int) -> Any:
    """Return the pfn of a page from the allocator, or -1."""
    trace_op(m.trace, 0, cpu)
    page = alloc_pages(m, cpu, gfp, 0)
    return page_to_pfn(m, page) if page != 0 else -1


@compiled
def free_page(m: Traced, cpu: int, pfn: int) -> Any:
    """Give a page back to the allocator; returns whether it was in use: if not, it is left alone."""
    page = pfn - page_to_pfn(m, 0)
    if not is_block_in_use(m, page, 0):
        return False
    trace_op(m.trace, 0, cpu)
    free_pages(m, cpu, page, 0)
    return True


@compiled
def pcp_pages(m: Traced, cpu: int, unmovable: int) -> Any:
    """Return how many pages a cpu's lists hold in all zones; if ``unmovable``, on the UNMOVABLE ones only."""
    found = 0
    for zone in range(mm.MAX_NR_ZONES):
        pcp = per_cpu_pages(cpu, zone)
        if unmovable:
            page = get(m, pcp, mm.NEXT)
            while page != pcp:
                found += 1
                page = get(m, page, mm.NEXT)
        else:
            found += get(m, pcp + mm.COUNTS_ROW, mm.COUNT)
    return found


@inlined
def forced_failure(krc: Words) -> Any:
    """Draw whether the fault injection fails this allocation: the generator of the recorded runs."""
    x = krc[st.RNG]
    x ^= x << 13 & 0xFFFFFFFF
    x ^= x >> 17
    x ^= x << 5 & 0xFFFFFFFF
    krc[st.RNG] = x
    return x % 1000000 < krc[st.FAIL_PPM]


@inlined
def take_row(krc: Words, bulk: Words, pfn: int) -> Any:
    """Take a free row of ``bulk`` for a block on a page."""
    block = krc[st.FREE_ROW]
    at = row_of(krc, block)
    krc[st.FREE_ROW] = bulk[at + st.NEXT]
    krc[st.FREE_ROWS] -= 1
    bulk[at + st.PFN] = pfn
    return block


@inlined
def give_row(krc: Words, bulk: Words, block: int) -> None:
    """Make a block's row free."""
    bulk[row_of(krc, block) + st.NEXT] = krc[st.FREE_ROW]
    krc[st.FREE_ROW] = block
    krc[st.FREE_ROWS] += 1


@inlined
def pop_cached(krc: Words, bulk: Words, k: int) -> Any:
    """Unlink the first block of a cpu's cache; returns NULL if there is none."""
    block = krc[k + st.CACHE]
    if block != NULL:
        krc[k + st.CACHE] = bulk[row_of(krc, block) + st.NEXT]
        krc[k + st.NR_CACHED] -= 1
    return block


@compiled
def new_block(m: Traced, rcu: Rcu, cpu: int, gfp: int) -> Any:
    """Return a block on a fresh page, or minus the reason why there is none."""
    krc, bulk, _, _ = rcu
    if krc[st.RECORDED]:
        pfn = krc[st.RECORDED_PFN]
    elif krc[st.FAIL_PPM] and forced_failure(krc):
        pfn = -FORCED
    else:
        pfn = alloc_page(m, cpu, gfp)
        if pfn < 0:
            pfn = -FAILED
    if pfn < 0:
        krc[st.FORCED_FAILED if pfn == -FORCED else st.ALLOC_FAILED] += 1
        return pfn
    krc[st.PAGES_ALLOC] += 1
    return take_row(krc, bulk, pfn)


@compiled
def free_block(m: Traced, rcu: Rcu, cpu: int, block: int) -> None:
    """Give a block's page back."""
    krc, bulk, _, _ = rcu
    pfn = bulk[row_of(krc, block) + st.PFN]
    if not krc[st.RECORDED] and not free_page(m, cpu, pfn):
        krc[st.FOREIGN] = pfn + 1
    krc[st.PAGES_FREED] += 1
    give_row(krc, bulk, block)


@inlined
def get_cached_bnode(rcu: Rcu, cpu: int) -> Any:
    """Take a block from a cpu's cache, last in first out; returns NULL if there is none.

    Models: kernel/rcu/tree.c:get_cached_bnode (v5.9); in v5.8 the cache is one pointer, swapped with xchg().
    """
    krc, bulk, _, _ = rcu
    block = pop_cached(krc, bulk, krc_of(cpu))
    if block != NULL:
        at = row_of(krc, block)
        krc[st.CACHE_HITS] += 1
        if bulk[at + st.PFN] < 0:  # in a replay, cached before the log began: the log says which page it was
            bulk[at + st.PFN] = krc[st.RECORDED_PFN]
    return block


@inlined
def put_cached_bnode(rcu: Rcu, cpu: int, block: int) -> Any:
    """Put a block into a cpu's cache; returns whether there was room.

    Models: kernel/rcu/tree.c:put_cached_bnode (v5.9).
    """
    krc, bulk, _, _ = rcu
    k = krc_of(cpu)
    if krc[k + st.NR_CACHED] >= krc[st.CACHE_LIMIT]:
        return False
    bulk[row_of(krc, block) + st.NEXT] = krc[k + st.CACHE]
    krc[k + st.CACHE] = block
    krc[k + st.NR_CACHED] += 1
    return True


@compiled
def put_block(m: Traced, rcu: Rcu, cpu: int, owner: int, block: int, channel: int) -> None:
    """Keep a block whose objects are freed for the next user, or give its page back.

    Models: the end of kernel/rcu/tree.c:kfree_rcu_work (v5.8, v5.9) and kvfree_rcu_bulk (v6.6).
    """
    krc, bulk, _, log = rcu
    pfn = bulk[row_of(krc, block) + st.PFN]
    cache = owner if krc[st.OWNER_CACHE] else cpu
    krc[krc_of(owner) + st.BLOCKS_HERE] -= 1
    krc[st.BLOCKS_LIVE] -= 1
    if put_cached_bnode(rcu, cache, block):
        krc[st.TO_CACHE] += 1
        if log[st.ENABLED]:
            log_event(krc, log, cpu, st.EV_C, owner, cache, channel, pfn, krc[krc_of(cache) + st.NR_CACHED], 0, 0, 0)
    else:
        free_block(m, rcu, cpu, block)
        if log[st.ENABLED]:
            log_event(krc, log, cpu, st.EV_F, owner, cpu, channel, pfn, 0, 0, 0, 0)


# the fill worker (v5.11)


@inlined
def run_page_cache_worker(rcu: Rcu, cpu: int) -> None:
    """Ask for a refill of the cache in a clean context, one at a time: a timer of 0 ns, whose handler queues a work.

    Models: kernel/rcu/tree.c:run_page_cache_worker (v5.11; with the back-off of v5.14).
    """
    krc = rcu.krc
    k = krc_of(cpu)
    if krc[st.FILL_GFP] < 0 or not krc[st.RUNNING] or krc[k + st.WORK_IN_PROGRESS]:
        return
    krc[k + st.WORK_IN_PROGRESS] = 1
    krc[k + st.FILL_ROUND] = 0
    krc[k + st.FILL_AT] = krc[st.NOW] + (krc[st.BACKOFF_NS] if krc[k + st.BACKOFF] else krc[st.FILL_DELAY_NS])
    krc[st.FILLS] += 1
    wake(krc, krc[k + st.FILL_AT])


@entry
@compiled
def fill_page_cache_func(m: Traced, rcu: Rcu, cpu: int) -> None:
    """Do one round of the fill worker: a page, pushed; the last round ends it.

    Models: kernel/rcu/tree.c:fill_page_cache_func (v5.11, v5.15).
    """
    krc, bulk, _, log = rcu
    k = krc_of(cpu)
    rounds = 1 if krc[k + st.BACKOFF] else krc[st.CACHE_LIMIT]
    block = new_block(m, rcu, cpu, krc[st.FILL_GFP])
    pushed = block > NULL and put_cached_bnode(rcu, cpu, block)
    if log[st.ENABLED]:
        pfn = bulk[row_of(krc, block) + st.PFN] if block > NULL else 0
        log_event(
            krc,
            log,
            cpu,
            st.EV_FILL,
            cpu,
            pfn,
            1 if pushed else 0,
            krc[k + st.NR_CACHED],
            krc[k + st.FILL_ROUND],
            0,
            0,
            0,
        )
    if block > NULL and not pushed:
        free_block(m, rcu, cpu, block)
    krc[k + st.FILL_ROUND] += 1
    full = block > NULL and not pushed
    if full or krc[k + st.FILL_ROUND] >= rounds or (block < NULL and krc[st.FILL_STOPS]):
        krc[k + st.WORK_IN_PROGRESS] = 0
        krc[k + st.BACKOFF] = 0
        krc[k + st.FILL_AT] = st.NEVER
    else:
        wake(krc, krc[k + st.FILL_AT])


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


# after the grace period


@compiled
def start_work(rcu: Rcu, cpu: int, batch: int) -> None:
    """Take everything from a batch, which can be filled again from here on.

    Models: the first lines of kernel/rcu/tree.c:kfree_rcu_work (v5.8 to v6.6).
    """
    krc, _, _, log = rcu
    b = batch_of(cpu, batch)
    if log[st.ENABLED]:
        slab, objects = krc[b + st.B_BLOCKS], krc[b + st.B_OBJECTS]
        other, others = krc[b + st.B_BLOCKS + 1], krc[b + st.B_OBJECTS + 1]
        log_event(krc, log, cpu, st.EV_W, cpu, batch, slab, objects, other, others, krc[b + st.B_HEADS], 0)
    for channel in range(2):
        krc[b + st.W_BHEAD + channel] = krc[b + st.B_BHEAD + channel]
        krc[b + st.B_BHEAD + channel] = NULL
        krc[b + st.B_BLOCKS + channel] = krc[b + st.B_OBJECTS + channel] = 0
    krc[b + st.W_HEAD], krc[b + st.W_HEADS] = krc[b + st.B_HEAD], krc[b + st.B_HEADS]
    krc[b + st.B_HEAD], krc[b + st.B_HEADS] = NULL, 0
    krc[b + st.B_PENDING] = 0
    krc[b + st.B_CALLBACK] = krc[b + st.W_READY] = st.NEVER
    krc[b + st.W_RUNNING] = 1
    krc[b + st.W_BLOCK] = NULL


@compiled
def start_block(rcu: Rcu, cpu: int, owner: int, batch: int) -> Any:
    """Take the next block of a running work, slab first, newest first; returns how many records it has, or -1."""
    krc, bulk, _, log = rcu
    b = batch_of(owner, batch)
    channel = 0 if krc[b + st.W_BHEAD] != NULL else 1
    block = krc[b + st.W_BHEAD + channel]
    if block == NULL:
        return -1
    at = row_of(krc, block)
    records = bulk[at + st.NR_RECORDS]
    krc[b + st.W_BHEAD + channel] = bulk[at + st.NEXT]
    krc[b + st.W_BLOCK], krc[b + st.W_CHANNEL], krc[b + st.W_RECORD] = block, channel, 0
    krc[st.CACHE_MISSES] += (records + LINE - 1) // LINE
    if channel:
        krc[st.VFREE] += records
    else:
        krc[st.KFREE_BULK] += 1
    if log[st.ENABLED]:
        log_event(krc, log, cpu, st.EV_K, owner, batch, channel, bulk[at + st.PFN], records, 0, 0, 0)
    return records


@entry
@inlined
def free_object(rcu: Rcu, cpu: int, obj: int) -> None:
    """Free one object, put it on the list of freed ones, and note if its grace period had not ended."""
    krc, _, objs, log = rcu
    info = objs[obj * st.OBJECT + st.INFO]
    early = krc[st.GP_SEQ] < info >> st.SNAP_SHIFT
    objs[obj * st.OBJECT + st.INFO] = (info & ~st.STATE_MASK) | st.DONE | (st.FREED_EARLY if early else 0)
    objs[obj * st.OBJECT + st.LINK] = krc[st.FREED_LIST]
    krc[st.FREED_LIST] = obj
    krc[st.FREED] += 1
    if early:
        krc[st.EARLY] += 1
    if log[st.ENABLED]:
        log_event(krc, log, cpu, st.EV_D, obj - 1, 1 if early else 0, info >> st.SNAP_SHIFT, 0, 0, 0, 0, 0)


@entry
@compiled
def free_record(rcu: Rcu, cpu: int, owner: int, batch: int) -> Any:
    """Free the next record of the block in work; returns whether there was one."""
    krc, bulk, _, _ = rcu
    b = batch_of(owner, batch)
    block = krc[b + st.W_BLOCK]
    if block == NULL:
        return False
    at = row_of(krc, block)
    record = krc[b + st.W_RECORD]
    if record == bulk[at + st.NR_RECORDS]:
        return False
    krc[b + st.W_RECORD] = record + 1
    free_object(rcu, cpu, bulk[at + st.RECORDS + record])
    return True


@entry
@compiled
def finish_block(m: Traced, rcu: Rcu, cpu: int, owner: int, batch: int) -> None:
    """Put the block in work away, after its objects."""
    krc = rcu.krc
    b = batch_of(owner, batch)
    block = krc[b + st.W_BLOCK]
    krc[b + st.W_BLOCK] = NULL
    put_block(m, rcu, cpu, owner, block, krc[b + st.W_CHANNEL])


@compiled
def next_head(rcu: Rcu, cpu: int, owner: int, batch: int) -> Any:
    """Free the next object of the head list, last in first out; returns the object, or NULL at the end.

    Models: the last loop of kernel/rcu/tree.c:kfree_rcu_work (v5.8): an offset of 4096 or more leaks the object.
    """
    krc, _, objs, log = rcu
    b = batch_of(owner, batch)
    obj = krc[b + st.W_HEAD]
    if obj == NULL:
        return NULL
    krc[b + st.W_HEAD] = objs[obj * st.OBJECT + st.LINK]
    krc[b + st.W_HEADS] -= 1
    krc[st.CACHE_MISSES] += 1
    if log[st.ENABLED]:
        log_event(krc, log, cpu, st.EV_L, owner, batch, obj - 1, 0, 0, 0, 0, 0)
    if objs[obj * st.OBJECT + st.INFO] & st.BAD_OFFSET:
        krc[st.LEAKED] += 1
        objs[obj * st.OBJECT + st.INFO] = (objs[obj * st.OBJECT + st.INFO] & ~st.STATE_MASK) | st.DONE
        return obj
    krc[st.KFREE_ONE] += 1
    free_object(rcu, cpu, obj)
    return obj


@entry
@compiled
def end_work(rcu: Rcu, cpu: int, owner: int, batch: int) -> None:
    """Note the end of a batch's work."""
    krc, _, _, log = rcu
    krc[batch_of(owner, batch) + st.W_RUNNING] = 0
    if log[st.ENABLED]:
        log_event(krc, log, cpu, st.EV_E, owner, batch, 0, 0, 0, 0, 0, 0)


@compiled
def kfree_rcu_work(m: Traced, rcu: Rcu, cpu: int, batch: int) -> Any:
    """Do the next step of a running work: a block, or an object of the head list; returns False at its end.

    Models: kernel/rcu/tree.c:kfree_rcu_work (v5.8 to v6.6).
    """
    if start_block(rcu, cpu, cpu, batch) >= 0:
        while free_record(rcu, cpu, cpu, batch):
            pass
        finish_block(m, rcu, cpu, cpu, batch)
        return True
    if next_head(rcu, cpu, cpu, batch) != NULL:
        return True
    end_work(rcu, cpu, cpu, batch)
    return False


@compiled
def kvfree_rcu_drain_ready(rcu: Rcu, cpu: int) -> Any:
    """Take the blocks, and the head list, whose grace period has ended already; returns whether there were any.

    Models: mm/slab_common.c:kvfree_rcu_drain_ready (v6.6: kernel/rcu/tree.c); its frees run as a third batch's work.
    """
    krc, bulk, _, _ = rcu
    k, b = krc_of(cpu), batch_of(cpu, st.READY_BATCH)
    found = False
    for channel in range(2):
        last = NULL  # the newest block that has to stay: those behind it are older
        block = krc[k + st.BHEAD + channel]
        while block != NULL and bulk[row_of(krc, block) + st.GP_SNAP] > krc[st.GP_SEQ]:
            last, block = block, bulk[row_of(krc, block) + st.NEXT]
        if block == NULL:
            continue
        found = True
        if last != NULL:
            bulk[row_of(krc, last) + st.NEXT] = NULL
        else:
            krc[k + st.BHEAD + channel] = NULL
        krc[b + st.B_BHEAD + channel] = block
        while block != NULL:
            records = bulk[row_of(krc, block) + st.NR_RECORDS]
            krc[b + st.B_BLOCKS + channel] += 1
            krc[b + st.B_OBJECTS + channel] += records
            krc[k + st.NR_BLOCKS + channel] -= 1
            krc[k + st.NR_OBJECTS + channel] -= records
            krc[k + st.COUNT] -= records
            block = bulk[row_of(krc, block) + st.NEXT]
    if krc[k + st.HEAD] != NULL and krc[k + st.HEAD_SNAP] <= krc[st.GP_SEQ]:
        found = True
        krc[b + st.B_HEAD], krc[b + st.B_HEADS] = krc[k + st.HEAD], krc[k + st.HEADS]
        krc[k + st.COUNT] -= krc[k + st.HEADS]
        krc[k + st.HEAD], krc[k + st.HEADS] = NULL, 0
    return found


@entry
@compiled
def drain_page_cache(m: Traced, rcu: Rcu, cpu: int) -> Any:
    """Give a cpu's cached blocks back; returns how many.

    Models: kernel/rcu/tree.c:drain_page_cache (v5.14).
    """
    krc, bulk, _, _ = rcu
    k = krc_of(cpu)
    freed = 0
    block = pop_cached(krc, bulk, k)
    while block != NULL:
        free_block(m, rcu, cpu, block)
        freed += 1
        block = pop_cached(krc, bulk, k)
    return freed


@entry
@compiled
def preload_block(rcu: Rcu, cpu: int, pfn: int) -> Any:
    """Put a page into a cpu's cache as a block, as boot does; returns whether there was room.

    Models: the loop of kernel/rcu/tree.c:kfree_rcu_batch_init (v5.9).
    """
    krc, bulk, _, _ = rcu
    block = take_row(krc, bulk, pfn)
    if put_cached_bnode(rcu, cpu, block):
        return True
    give_row(krc, bulk, block)
    return False


@entry
@compiled
def forget_cached(rcu: Rcu, cpu: int) -> None:
    """Lose a cpu's cached blocks, as if they had never been: a replay knows no other way to what a test took."""
    krc, bulk, _, _ = rcu
    block = pop_cached(krc, bulk, krc_of(cpu))
    while block != NULL:
        give_row(krc, bulk, block)
        block = pop_cached(krc, bulk, krc_of(cpu))
