"""The words of the simulator's arrays: CPUs, flows of requests, locks, live blocks and histograms.

All arrays of a run travel as one named tuple, ``World``, which compiled code takes apart for nothing.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm.jit import entry, inlined
from gfpmodel.mm.state import Traced
from gfpmodel.rcu.state import Rcu

NEVER = 1 << 62  #: a time that does not come

Words = NDArray[np.int64]
Table = Annotated[NDArray[np.int64], 2]  #: of two dimensions


class World(NamedTuple):
    """All arrays of a run: the machine's, the chain's, then the simulator's (int64, but for the generator's state)."""

    mm: Traced  #: its ring tells what a request did
    rcu: Rcu
    rng: NDArray[np.uint64]  #: uint64, the generator's state
    costs: Words  #: by the constants of `costs`, ps
    words: Words  #: of the run
    cpus: Table  #: [cpu, word]
    flows: Table  #: [flow, word]; those of a cpu stand together
    locks: Table  #: [zone, word]
    slots: Table  #: [slot, word]: a live block each; slot 0 is the head of the reclaimer's list
    heap: Table  #: [at, (time, slot)]: for each cpu a binary heap of the blocks that it will free
    hist: Table  #: [row, bin]
    series: Table  #: [sample, (time, free pages, live pages, failed requests, pages listed, blocks in flight)]
    slabs: Table  #: [slab, word]: what holds objects; slab 0 is none


# The words of a run.
(
    END,
    EVENTS,
    MAX_EVENTS,
    LOCK_KIND,
    TASK_PERIOD,
    FREE_SLOT,
    KSWAPD,
    LIVE_PAGES,
    FAILURES,
    SAMPLE_EVERY,
    NEXT_SAMPLE,
    SAMPLES,
    MIN_FREE,
    ILLEGAL,
    WAKES,
    LATENCY_SUM,
    LATENCY_MAX,
    NOW,
    FREE_SLAB,
    SLAB_SIZE,
    RUN_WORDS,
) = range(21)

# How the zone lock behaves: a spinlock with interrupts off, a raw lock on PREEMPT_RT, a sleeping lock on PREEMPT_RT.
SPIN, RAW, SLEEPING = 0, 1, 2
LOCKS = {"spin": SPIN, "raw": RAW, "sleeping": SLEEPING}

# The words of a cpu.  MASKED is the flow that runs with interrupts off, plus 1; WORK_FLOW counts the chain's work.
CLOCK, DUE, CHOICE, WAKE, FIRST_FLOW, END_FLOW, HEAP_START, HEAP_LEN, MASKED, BUSY, WORK_FLOW, CPU_WORDS = range(12)

# The words of a flow: what it is, then its state, then its counters.  BEFORE_NULL: blocks got before the first NULL.
KIND, CPU, FREE_CPU, MASK, MIGRATETYPE, ORDER, ARRIVAL, PERIOD, BURST, HOLD_BY, HOLD, LIMIT = range(12)
IRQS_OFF, RECLAIMABLE, PRELOAD, HOLES, TIMES, IN_SLAB, HAS_PAGE, DELAYED = range(12, 20)
NEXT_AT, LEFT, LIVE, IN_USE, SLAB = range(20, 25)  # IN_USE: slots, those of reclaimed blocks included, or slabs
OPS, FAILED, FAILED_LOCK, FREED, RECLAIMED, HELD_BACK, REFILLS, DRAINS, SECTIONS, NS, PEAK = range(25, 36)
BELOW_LOW, BELOW_MIN, STRAY, BEFORE_NULL, FLOW_WORDS = range(36, 41)

# Kinds of flows.  KFREE_WORK, which no workload names, is what the chain's workers do on a cpu.
ALLOC, IRQ_OFF_WINDOW, RECLAIMER, KFREE_RCU, KFREE_WORK = range(5)
KINDS = {"alloc": ALLOC, "irq_off": IRQ_OFF_WINDOW, "kswapd": RECLAIMER, "kfree_rcu": KFREE_RCU}

# The words of a zone's lock.
FREE_AT, ACQUIRED, CONTENTIONS, PAGES_MOVED, HOLD_SUM, HOLD_MAX, WAIT_SUM, WAIT_MAX, LOCK_WORDS = range(9)

# The words of a slot.
PAGE, FLOW, NEXT_SLOT, PREV_SLOT, SLOT_STATE, SLOT_WORDS = range(6)
UNUSED, HELD, GONE = 0, 1, 2  #: GONE: reclaimed, while its time to be freed still stands in a heap

# The words of a slab: objects TAKEN from it so far, and of those the ones that were freed (GONE_OBJECTS).
SLAB_PAGE, SLAB_FLOW, NEXT_SLAB, TAKEN, GONE_OBJECTS, SLAB_WORDS = range(6)

# Histograms: exact below 64, then 32 bins for each power of two, so that a quantile is 3 % off at most.
SUB_BITS = 5
BINS = 40 << SUB_BITS
HOLD_HIST, WAIT_HIST, LATENCY_HIST, FLOW_HIST = range(4)


@entry
@inlined
def note(hist: Table, row: int, value: int) -> None:
    """Count a value (0 or more) in a histogram."""
    exponent = 0
    while value >= 2 << SUB_BITS:
        value >>= 1
        exponent += 1
    hist[row, (exponent << SUB_BITS) + value] += 1


def bin_middle(at: int) -> float:
    """Return the middle of a histogram's bin."""
    if at < 2 << SUB_BITS:
        return at
    exponent = (at >> SUB_BITS) - 1
    return (at - (exponent << SUB_BITS) + 0.5) * (1 << exponent) - 0.5
