"""From events to operations, compiled: which free belongs to which allocation, and where a kernel refilled a list."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.io.ftrace.state import ALLOC, DRAIN, FREE, ZONE_LOCKED
from gfpmodel.mm.jit import compiled, entry, i64, inlined, u64
from gfpmodel.mm.ops import MAX_OP_ORDER
from gfpmodel.mm.run import OP_ALLOC, OP_ARG_SHIFT, OP_CPU_SHIFT, OP_FREE, OP_FREE_HANDLE, OP_ORDER_SHIFT
from gfpmodel.mm.state import MAX_ORDER, MIGRATE_PCPTYPES

Words = NDArray[np.int64]

MAX_PAGES = 1 << 26  #: 256 GiB: what pfns may be, so that a torn number does not ask for terabytes
NO_PFN = 1 << 52  #: from here on it is -1, as some tools print a failed allocation
BLOCK_ORDER = 9
NO_TYPE = 255
RUN_BITS = 16  #: of an operation's run: how many pages; above them the last one's pfn
NEVER_SEEN, SEEN_FREE, FIRST_HANDLE = 0, 1, 2  # what is known of a pfn; above: the allocation that holds it

# Words of the state.
OPS, HANDLES, UNKNOWN, REFILLS_LOST = 0, 1, 2, 3
COUNTS = 4  # then the counts
(
    C_ALLOC,
    C_FREE,
    C_FAILED,
    C_ORDER,
    C_TYPE,
    C_PFN,
    C_CPU,
    C_PIECES,
    C_LARGER,
    C_AGAIN,
    C_LOST_FREE,
    C_BEFORE,
    C_BEFORE_OVERLAPS,
) = range(COUNTS, COUNTS + 13)
STATE_WORDS = 24

#: Why an event is not replayed, and what is assumed where the trace does not say.
SKIPPED = {
    "allocation of an order that the model does not have": C_ORDER,
    "allocation of a type that the model does not have": C_TYPE,
    "pfn above 256 GiB": C_PFN,
    "cpu number above 4095": C_CPU,
    "free of a part of a block that was freed with its first part": C_PIECES,
    "free in a larger order than was allocated": C_LARGER,
    "free of a page that was free already: its allocation is not in the trace": C_AGAIN,
    "free of a block allocated before the trace that cannot have been one": C_BEFORE_OVERLAPS,
}
ASSUMED = {
    "free of a page allocated before the trace: it is taken to be in use at the start": C_BEFORE,
    "allocation of a page that is in use: its free is not in the trace, and put before it": C_LOST_FREE,
}
MAX_CPUS = 4096
RUN_WORDS = 5  # of a cpu: length, order, type, pid, last pfn


@inlined
def emit(out: Words, room: int, state: Words, word: int, time: int, gfp: int, comm: int, run: int) -> None:
    """Append one operation to the columns of what is replayed."""
    n = state[OPS]
    out[u64(n)] = word
    out[u64(room + n)] = time
    out[u64(2 * room + n)] = gfp
    out[u64(3 * room + n)] = comm
    out[u64(4 * room + n)] = run
    state[OPS] += 1


@inlined
def set_range(where: NDArray[np.uint32], pfn: int, order: int, value: int) -> None:
    """Note what is known of the pages of a block."""
    for i in range(pfn, min(pfn + (1 << min(order, MAX_ORDER)), len(where))):
        where[u64(i)] = value


@inlined
def all_never_seen(where: NDArray[np.uint32], pfn: int, order: int) -> Any:
    """Return whether no event named a page of a block yet."""
    for i in range(pfn, min(pfn + (1 << min(order, MAX_ORDER)), len(where))):
        if i64(where[u64(i)]) != NEVER_SEEN:
            return False
    return True


@inlined
def take_run(runs: Words, cpu: int, pid: int, order: int, migratetype: int) -> Any:
    """Return the run of mm_page_alloc_zone_locked that an allocation ends: its length and the pfn of its last page.

    Of order 0 it is a refill, if longer than 1 or in a zone whose batch is 1; 6.1 also takes single pages there, when
    its trylock of the lists fails.
    """
    at_cpu = cpu * RUN_WORDS
    length = runs[u64(at_cpu)]
    if length and (
        runs[u64(at_cpu + 1)] != order or runs[u64(at_cpu + 2)] != migratetype or runs[u64(at_cpu + 3)] != pid
    ):
        length = 0
    return min(length, (1 << RUN_BITS) - 1) | runs[u64(at_cpu + 4)] << RUN_BITS if length else 0


@inlined
def add_to_run(runs: Words, cpu: int, pid: int, order: int, migratetype: int, pfn: int) -> Any:
    """Count one more page taken under the zone lock; returns how long the run was that this one ends, if any."""
    at_cpu = cpu * RUN_WORDS
    same = runs[u64(at_cpu + 1)] == order and runs[u64(at_cpu + 2)] == migratetype and runs[u64(at_cpu + 3)] == pid
    ended = 0 if same else runs[u64(at_cpu)]
    runs[u64(at_cpu)] = runs[u64(at_cpu)] + 1 if same else 1
    runs[u64(at_cpu + 1)] = order
    runs[u64(at_cpu + 2)] = migratetype
    runs[u64(at_cpu + 3)] = pid
    runs[u64(at_cpu + 4)] = pfn
    return ended


@inlined
def pack_alloc(
    where: NDArray[np.uint32],
    handles: Words,
    state: Words,
    out: Words,
    room: int,
    cpu: int,
    pfn: int,
    order: int,
    migratetype: int,
    gfp: int,
    comm: int,
    time: int,
    run: int,
) -> None:
    """Append an allocation, and before it the free that was lost, if its page was in use.

    One that the model cannot serve gets an impossible order: it returns NULL, and its free is none.
    """
    for page in range(pfn, min(pfn + (1 << min(order, MAX_ORDER)), len(where))):
        holder = i64(where[u64(page)])
        if holder >= FIRST_HANDLE and state[OPS] < room - 2:
            old = handles[u64(holder - FIRST_HANDLE)]
            if not old & 0x80:
                state[C_LOST_FREE] += 1
                word = OP_FREE_HANDLE | (old & 0x3F) << OP_ORDER_SHIFT | cpu << OP_CPU_SHIFT
                emit(out, room, state, word | (holder - FIRST_HANDLE) << OP_ARG_SHIFT, time, 0, comm, 0)
            set_range(where, old >> 8, old & 0x3F, SEEN_FREE)
    if order >= MAX_ORDER:
        state[C_ORDER] += 1
        order = MAX_OP_ORDER
    elif migratetype >= MIGRATE_PCPTYPES:
        state[C_TYPE] += 1
        order = MAX_OP_ORDER
    handle = state[HANDLES]
    handles[u64(handle)] = pfn << 8 | order
    state[HANDLES] += 1
    set_range(where, pfn, order, handle + FIRST_HANDLE)
    emit(out, room, state, OP_ALLOC | order << OP_ORDER_SHIFT | cpu << OP_CPU_SHIFT, time, gfp, comm, run)


@inlined
def pack_free(
    where: NDArray[np.uint32],
    handles: Words,
    unknown: Words,
    state: Words,
    out: Words,
    room: int,
    cpu: int,
    pfn: int,
    order: int,
    comm: int,
    time: int,
) -> None:
    """Append a free: of an allocation in the trace, or of a block that must have been in use at its start."""
    holder = i64(where[u64(pfn)])
    if holder >= FIRST_HANDLE:
        block = handles[u64(holder - FIRST_HANDLE)]
        if order > block & 0x3F:
            state[C_LARGER] += 1
            return
        set_range(where, pfn, order, SEEN_FREE)
        if block & 0x80:
            state[C_PIECES] += 1
            return
        handles[u64(holder - FIRST_HANDLE)] = block | 0x80
        word = OP_FREE_HANDLE | (block & 0x3F) << OP_ORDER_SHIFT | cpu << OP_CPU_SHIFT
        emit(out, room, state, word | (holder - FIRST_HANDLE) << OP_ARG_SHIFT, time, 0, comm, 0)
    elif holder == SEEN_FREE:
        state[C_AGAIN] += 1
    elif order >= MAX_ORDER or pfn & ((1 << order) - 1) or not all_never_seen(where, pfn, order):
        state[C_BEFORE_OVERLAPS] += 1
    else:
        state[C_BEFORE] += 1
        unknown[u64(state[UNKNOWN])] = pfn << 8 | order
        state[UNKNOWN] += 1
        set_range(where, pfn, order, SEEN_FREE)
        word = OP_FREE | order << OP_ORDER_SHIFT | cpu << OP_CPU_SHIFT | pfn << OP_ARG_SHIFT
        emit(out, room, state, word, time, 0, comm, 0)


@inlined
def at(table: Words, i: int) -> Any:
    """Return an element as an integer."""
    return i64(table[u64(i)])


@inlined
def usable(state: Words, event: int, cpu: int, pfn: int) -> Any:
    """Return whether an event can be replayed; counts it, and why not."""
    asked = event in (ALLOC, FREE)
    if event == ALLOC and (pfn <= 0 or pfn >= NO_PFN):
        state[C_FAILED] += 1
        return False
    if event == ALLOC:
        state[C_ALLOC] += 1
    elif event == FREE:
        state[C_FREE] += 1
    if cpu >= MAX_CPUS:
        state[C_CPU] += asked
        return False
    if not 0 < pfn < MAX_PAGES:
        state[C_PFN] += asked
        return False
    return True


@entry
@compiled
def pack(
    table: Words,
    rows: int,
    where: NDArray[np.uint32],
    blocks: NDArray[np.uint8],
    handles: Words,
    unknown: Words,
    runs: Words,
    state: Words,
    out: Words,
    room: int,
) -> None:
    """Turn a chunk of columns (in the order of ``Columns``, ``rows`` long) into operations.

    ``out`` has five columns of ``room``: the operation (an allocation's mask is left out), time, mask's and task's
    number, and the run of pages taken under the zone lock that an allocation ends.
    """
    state[OPS] = 0
    for row in range(rows):
        event, cpu, pid = at(table, row), at(table, 2 * rows + row), at(table, 3 * rows + row)
        pfn, order, migratetype = at(table, 5 * rows + row), at(table, 6 * rows + row), at(table, 7 * rows + row)
        if event not in (ALLOC, FREE, ZONE_LOCKED, DRAIN) or not usable(state, event, cpu, pfn):
            continue
        order = order if 0 <= order < MAX_OP_ORDER else MAX_OP_ORDER
        block = pfn >> BLOCK_ORDER
        if 0 <= migratetype < MIGRATE_PCPTYPES and blocks[u64(block)] == NO_TYPE:
            blocks[u64(block)] = migratetype
        time, comm = at(table, row + rows), at(table, 4 * rows + row)
        if event == ZONE_LOCKED:
            state[REFILLS_LOST] += add_to_run(runs, cpu, pid, order, migratetype, pfn) > 1
        elif event == ALLOC:
            run = take_run(runs, cpu, pid, order, migratetype)
            gfp = at(table, 8 * rows + row)
            pack_alloc(where, handles, state, out, room, cpu, pfn, order, migratetype, gfp, comm, time, run)
            state[REFILLS_LOST] += runs[u64(cpu * RUN_WORDS)] > 1 and run == 0
            runs[u64(cpu * RUN_WORDS)] = 0
        elif event == FREE:
            pack_free(where, handles, unknown, state, out, room, cpu, pfn, order, comm, time)
