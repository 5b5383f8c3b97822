"""What happens after the grace period: blocks and objects are freed."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm.jit import compiled, entry, inlined
from gfpmodel.mm.state import Traced
from gfpmodel.rcu import state as st
from gfpmodel.rcu.cache import put_block
from gfpmodel.rcu.state import NULL, Rcu, batch_of, krc_of, log_event, row_of

LINE = 8  # pointers in a cache line


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
