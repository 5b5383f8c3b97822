"""The words of the chain's arrays.

``krc``   int64: 64 words of the machine, then 96 for each cpu: its ``kfree_rcu_cpu`` with its batches.
``bulk``  int64: a row for each block (``kvfree_rcu_bulk_data``): header, then its records.  Row 0 is NULL.
``objs``  int64: two words for each object: the next on its list, and flags with the grace period it has to wait for.
``log``   int64: the ring of events, in the columns of the recorded logs; switched off by its ENABLED word.

The allocator's arrays travel as one tuple, ``m``; these four as ``rcu``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm.jit import inlined

Words = NDArray[np.int64]


class Rcu(NamedTuple):
    """The chain of a machine."""

    krc: Words
    bulk: Words
    objs: Words
    log: Words


NULL = 0
NEVER = 1 << 62

# The machine: how this version works ...
(
    CAPACITY, N_CHANNELS, N_BATCHES, CACHE_LIMIT, OWNER_CACHE, CALLER_GFP, FILL_GFP, FILL_STOPS, SLEEPING_GFP,
    HAND_OVER, ONE_BATCH, FIXED, DRAIN_NS, DRAIN_FULL_NS, SNAPSHOTS, RUNNING,
) = range(16)  # fmt: skip
# ... the clock and the outside ...
(
    NOW, NEXT_EVENT, GP_SEQ, GP_END, GP_NEEDED, GP_NS, GP_EXPEDITED_NS, QHIMARK, FREE_NS, FILL_DELAY_NS, BACKOFF_NS,
    FAIL_PPM, RNG, RECORDED, RECORDED_PFN, N_CPUS,
) = range(16, 32)  # fmt: skip
# ... and what is counted.
(
    QUEUED, FREED, EARLY, LEAKED, DUPLICATES, HEAD_OBJECTS, STALLS, STALL_NS, CACHE_HITS, PAGES_ALLOC, ALLOC_FAILED,
    FORCED_FAILED, PAGES_FREED, TO_CACHE, KFREE_BULK, KFREE_ONE, VFREE, CACHE_MISSES, GRACE_PERIODS, FREE_ROW,
    BLOCKS_LIVE, BLOCKS_PEAK, PENDING_PEAK, HAND_OVERS, TO_PENDING, FILLS, FREE_ROWS, SPARE_ROWS,
) = range(32, 60)  # fmt: skip
FREED_LIST, FILL_ON_TAKE = 60, 61  # the list of freed objects is for who reuses them: the simulator
FOREIGN = 62  # a page that was not the chain's any more when it was to be given back: its pfn + 1
MACHINE_WORDS = 64

# A cpu's kfree_rcu_cpu; what comes in pairs has slab first, then vmalloc.
HEAD, HEADS, BHEAD, NR_BLOCKS, NR_OBJECTS, COUNT = 0, 1, 2, 4, 6, 8
CACHE, NR_CACHED, MONITOR_TODO, MONITOR_AT, MONITOR_READY = 9, 10, 11, 12, 13
WORK_IN_PROGRESS, FILL_AT, FILL_ROUND, BACKOFF, BLOCKS_HERE, CALLBACKS = 14, 15, 16, 17, 18, 19
BUSY, STEP_AT, HEAD_SNAP, FIRST_CALLBACK, LAST_CALLBACK = 20, 21, 22, 23, 24
OTHERS, OTHERS_SNAP = 25, 26
BATCH_BASE = 32
CPU_WORDS = 96

# A batch (kfree_rcu_cpu_work), and what its work took from it; the third is what a monitor found ready to go.
B_HEAD, B_HEADS, B_BHEAD, B_BLOCKS, B_OBJECTS, B_PENDING, B_CALLBACK = 0, 1, 2, 4, 6, 8, 9
W_READY, W_HEAD, W_BHEAD, W_HEADS, W_RUNNING = 10, 11, 12, 14, 15
W_BLOCK, W_CHANNEL, W_RECORD = 16, 17, 18
BATCH_WORDS = 20
READY_BATCH = 2

# A block.
NEXT, NR_RECORDS, PFN, GP_SNAP, RECORDS = range(5)

# An object: link, and flags | snapshot << SNAP_SHIFT.
LINK, INFO, OBJECT = 0, 1, 2
IDLE, PENDING_OBJECT, DONE = 0, 1, 2
STATE_MASK, VMALLOC, FREED_EARLY, BAD_OFFSET, ONE_ARGUMENT, NO_BLOCK = 3, 4, 8, 16, 32, 64
CALL_FLAGS = VMALLOC | BAD_OFFSET | ONE_ARGUMENT | NO_BLOCK  #: what a call may be made with
SNAP_SHIFT = 8

# The ring of events.
EVENTS, ENABLED, ROWS, LOG_HEADER, LOG_WIDTH = 0, 1, 2, 4, 12
(
    EV_B, EV_Q, EV_T, EV_ONE, EV_M, EV_H, EV_R, EV_GPSTART, EV_GPEND, EV_RCUCB, EV_W, EV_K, EV_D, EV_C, EV_F, EV_L,
    EV_E, EV_FILL,
) = range(18)  # fmt: skip
EVENT_NAMES = (
    "B", "Q", "T", "ONE", "M", "H", "R", "GPstart", "GPend", "RCUCB", "W", "K", "D", "C", "F", "L", "E", "FILL",
)  # fmt: skip


@inlined
def krc_of(cpu: int) -> Any:
    """Return where a cpu's words begin."""
    return MACHINE_WORDS + cpu * CPU_WORDS


@inlined
def batch_of(cpu: int, batch: int) -> Any:
    """Return where the words of a cpu's batch begin."""
    return MACHINE_WORDS + cpu * CPU_WORDS + BATCH_BASE + batch * BATCH_WORDS


@inlined
def row_of(krc: Words, block: int) -> Any:
    """Return where a block's row begins in ``bulk``."""
    return block * (RECORDS + krc[CAPACITY])


@inlined
def log_event(
    krc: Words, log: Words, cpu: int, kind: int, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int, a6: int, a7: int
) -> None:
    """Append an event to the ring; a full ring loses its oldest one."""
    at = LOG_HEADER + LOG_WIDTH * (log[EVENTS] & (log[ROWS] - 1))
    log[at] = krc[NOW]
    log[at + 1] = cpu
    log[at + 2] = kind
    log[at + 3] = krc[GP_SEQ]
    log[at + 4] = a0
    log[at + 5] = a1
    log[at + 6] = a2
    log[at + 7] = a3
    log[at + 8] = a4
    log[at + 9] = a5
    log[at + 10] = a6
    log[at + 11] = a7
    log[EVENTS] += 1
