"""The ring of events: what a request did, in the order in which the kernel does it.

The engine records an event where the kernel has the tracepoint, takes the lock or wakes kswapd.  The first nine kinds
are those of the recorded vectors; the others carry the kernel's further tracepoints and what `locking` asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError
from gfpmodel.mm.gates import within
from gfpmodel.mm.jit import inlined, u64
from gfpmodel.mm.state import Mm, Trace

(
    LOCK,
    UNLOCK,
    REFILL_DONE,
    BULK_FREE,
    EXTFRAG,
    WATERMARK_BOOST,
    MOVE_BLOCK,
    HIGHATOMIC,
    WAKE_KSWAPD,
    MM_PAGE_ALLOC,
    MM_PAGE_FREE,
    MM_PAGE_ALLOC_ZONE_LOCKED,
    MM_PAGE_PCPU_DRAIN,
    IRQ_SAVE,
    IRQ_RESTORE,
    TRYLOCK,
    DECLINE,
    PCP_TRYLOCK,
    PCP_LOCK,
    PCP_UNLOCK,
    PCP_REFILL,
    PCP_BULK_FREE,
    PREP_MOVE,
    MOVE_FREEPAGES,
    RESERVE_HIGHATOMIC,
    UNRESERVE_HIGHATOMIC,
) = range(26)


class Kind(NamedTuple):
    """A kind of event: its short and its long name, and what its fields are called (the zone comes first in all)."""

    letter: str
    name: str
    fields: tuple[str, ...]


KINDS = (
    Kind("L", "zone_lock", ()),
    Kind("U", "zone_unlock", ()),
    Kind("B", "rmqueue_bulk", ("migratetype", "batch", "got")),
    Kind("F", "free_pcppages_bulk", ("count",)),
    Kind(
        "X",
        "mm_page_alloc_extfrag",
        ("pfn", "alloc_order", "fallback_order", "alloc_migratetype", "fallback_migratetype", "change_ownership"),
    ),
    Kind("W", "boost_watermark", ("boost",)),
    Kind("M", "move_freepages_block", ("pfn", "migratetype", "moved", "movable")),
    Kind("H", "reserve_highatomic_pageblock", ("pfn", "reserved")),
    Kind("K", "wakeup_kswapd", ("order", "highest_zoneidx")),
    Kind("A", "mm_page_alloc", ("pfn", "order", "migratetype", "gfp_flags")),
    Kind("R", "mm_page_free", ("pfn", "order")),
    Kind("Z", "mm_page_alloc_zone_locked", ("pfn", "order", "migratetype")),
    Kind("D", "mm_page_pcpu_drain", ("pfn", "order", "migratetype")),
    Kind("I", "local_irq_save", ()),
    Kind("J", "local_irq_restore", ()),
    Kind("T", "zone_trylock", ("taken",)),
    Kind("N", "zone_lock_declined", ()),
    # from here on: what later kernels do, or do with other fields
    Kind("C", "pcp_trylock", ("cpu", "taken")),
    Kind("D", "pcp_lock", ("cpu",)),
    Kind("E", "pcp_unlock", ("cpu",)),
    Kind("B", "rmqueue_bulk", ("order", "migratetype", "count", "got")),
    Kind("F", "free_pcppages_bulk", ("count", "pindex")),
    Kind("N", "prep_move_freepages_block", ("pfn", "free", "whole", "movable")),
    Kind("M", "__move_freepages_block", ("pfn", "old_mt", "new_mt", "moved")),
    Kind("H", "reserve_highatomic_pageblock", ("pfn", "order", "reserved")),
    Kind("V", "unreserve_highatomic_pageblock", ("force", "moved")),
)
RECORDED_KINDS = tuple(range(LOCK, MM_PAGE_ALLOC))  #: the kinds that a golden file has
#: Those of a file of v6.18 or later.
RECORDED_LATER = (
    *(LOCK, UNLOCK, EXTFRAG, WATERMARK_BOOST, WAKE_KSWAPD, TRYLOCK),
    *range(PCP_TRYLOCK, UNRESERVE_HIGHATOMIC + 1),
)
ALL_KINDS = tuple(range(len(KINDS)))
NO_PAGE = -1  #: the pfn of an mm_page_alloc that returned NULL, and the zone of an event outside any

# The words of the ring: a header, then a row of three words for each event, because it is the memory that costs.
EVENTS, OP, IRQ_OFF, ENABLED, CAPACITY, FIRST_OP = range(6)
HEADER = 8
WIDTH = 3
# The first word of a row, from its lowest bits: zone + 1, kind, the fifth and the sixth field, cpu, operation.
KIND_SHIFT, E_SHIFT, F_SHIFT, CPU_SHIFT, OP_SHIFT = 3, 8, 11, 12, 25
MOST_OPS = 1 << 38  #: then their numbers begin at 0 again
# The second word: the first field, of 32 bits with a sign, and the second; the third: the third, of 31 bits without
# one, and the fourth.
LOW, SIGN, B_SHIFT = (1 << 32) - 1, 1 << 31, 32
C_MASK, D_SHIFT = (1 << 31) - 1, 31
MAX_EVENTS = 1 << 24  #: 384 MiB of ring


@inlined
def word_of_op(trace: Trace, op: int, cpu: int) -> Any:
    """Return what the first word of an event says of an operation of this run, on which cpu."""
    return (trace[FIRST_OP] + op & MOST_OPS - 1) << OP_SHIFT | cpu << CPU_SHIFT if trace is not None else 0


@inlined
def word_after(trace: Trace, word: int) -> Any:
    """Return what word_of_op() says, without a cpu, of the operation that follows.

    It is the number that is masked, as the sum of words would overflow, of which LLVM may suppose that it does not.
    """
    return ((word >> OP_SHIFT) + 1 & MOST_OPS - 1) << OP_SHIFT if trace is not None else 0


@inlined
def trace_op(trace: Trace, op: int, cpu: int) -> None:
    """Say which operation of this run, on which cpu, the next events belong to; interrupts were not yet off in it."""
    if trace is not None:
        trace[OP] = word_of_op(trace, op, cpu)
        trace[IRQ_OFF] = 0


@inlined
def row_of(number: int, last: int) -> Any:
    """Return where an event's row begins, by its number since the ring was cleared and that of the last row."""
    return HEADER + WIDTH * (number & last)


@inlined
def last_row(trace: Any) -> Any:
    """Return the number of the last row."""
    return trace[CAPACITY] - 1


@inlined
def append(
    trace: Trace, at: int, header: Any, kind: int, zone: int,
    a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0, f: int = 0,
) -> Any:  # fmt: skip
    """Write an event as number ``at`` of the ring, if its kind is enabled; returns the number of the next one.

    ``header`` is what header_of() returned.  A full ring loses its oldest event, as ftrace's does.
    """
    op, enabled, last = header
    if trace is not None and enabled >> kind & 1:
        row = row_of(at, last)
        trace[u64(row)] = op | f << F_SHIFT | e << E_SHIFT | kind << KIND_SHIFT | zone + 1
        trace[u64(row + 1)] = b << B_SHIFT | a & LOW
        trace[u64(row + 2)] = d << D_SHIFT | c
        at += 1
    return at


@inlined
def kind_of(trace: Any, number: int) -> Any:
    """Return the kind of an event."""
    return trace[u64(row_of(number, last_row(trace)))] >> KIND_SHIFT & (1 << E_SHIFT - KIND_SHIFT) - 1


@inlined
def zone_of(trace: Any, number: int) -> Any:
    """Return the zone of an event."""
    return (trace[u64(row_of(number, last_row(trace)))] & (1 << KIND_SHIFT) - 1) - 1


@inlined
def first_field(trace: Any, number: int) -> Any:
    """Return the first further field of an event."""
    return (trace[u64(row_of(number, last_row(trace)) + 1)] & LOW ^ SIGN) - SIGN


@inlined
def second_field(trace: Any, number: int) -> Any:
    """Return the second further field of an event."""
    return trace[u64(row_of(number, last_row(trace)) + 1)] >> B_SHIFT


@inlined
def third_field(trace: Any, number: int) -> Any:
    """Return the third further field of an event."""
    return trace[u64(row_of(number, last_row(trace)) + 2)] & C_MASK


@inlined
def fourth_field(trace: Any, number: int) -> Any:
    """Return the fourth further field of an event."""
    return trace[u64(row_of(number, last_row(trace)) + 2)] >> D_SHIFT


@inlined
def trace_event(
    m: Mm, kind: int, zone: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0, f: int = 0
) -> None:
    """Record an event, if events are recorded: a machine without a ring has no code for it."""
    set_next_event(m.trace, append(m.trace, next_event(m.trace), header_of(m.trace), kind, zone, a, b, c, d, e, f))


@inlined
def header_of(trace: Trace) -> Any:
    """Return what an event needs of the header: the word of its operation, a bit for each kind recorded, the last row.

    Who records many events reads it once: compiled code reads it again after each event that it writes.
    """
    return (trace[OP], trace[ENABLED], last_row(trace)) if trace is not None else (0, 0, 0)


@inlined
def next_event(trace: Trace) -> Any:
    """Return the number that the next event has: how many there were since the ring was cleared."""
    return trace[EVENTS] if trace is not None else 0


@inlined
def set_next_event(trace: Trace, at: int) -> None:
    """Note the number that the next event has."""
    if trace is not None:
        trace[EVENTS] = at


@inlined
def spin_lock(m: Mm, zone: int) -> None:
    """Record that zone->lock is taken."""
    trace_event(m, LOCK, zone)


@inlined
def spin_unlock(m: Mm, zone: int) -> None:
    """Record that zone->lock is released."""
    trace_event(m, UNLOCK, zone)


@inlined
def local_irq_save(m: Mm, zone: int) -> None:
    """Record that interrupts go off, and count it: the `q` of a recorded vector."""
    count_irq_off(m.trace)
    trace_event(m, IRQ_SAVE, zone)


@inlined
def local_irq_restore(m: Mm, zone: int) -> None:
    """Record that interrupts are as before."""
    trace_event(m, IRQ_RESTORE, zone)


@inlined
def count_irq_off(trace: Trace, sections: int = 1) -> None:
    """Count sections with interrupts off."""
    if trace is not None:
        trace[IRQ_OFF] += sections


@inlined
def sections_irq_off(trace: Trace) -> Any:
    """Return how many sections with interrupts off the operation has had."""
    return trace[IRQ_OFF] if trace is not None else 0


@inlined
def write_irq_off(trace: Trace, irq_off: NDArray[np.uint16], number: int, sections: int) -> None:
    """Write down how many sections with interrupts off an operation had, if events are recorded."""
    if trace is not None:
        irq_off[u64(number)] = sections


class Event(NamedTuple):
    """One event: the number of the operation it belongs to, its cpu, kind, zone, and the kind's further fields."""

    op: int
    cpu: int
    kind: int
    zone: int
    values: tuple[int, ...]

    @property
    def name(self) -> str:
        """Return the name of the kernel's tracepoint or function."""
        return KINDS[self.kind].name

    @property
    def fields(self) -> dict[str, int]:
        """Return the further fields by name."""
        return dict(zip(KINDS[self.kind].fields, self.values, strict=True))

    def golden(self) -> list[str | int]:
        """Return the event as a recorded vector writes it."""
        return [KINDS[self.kind].letter, self.zone, *self.values]

    def __str__(self) -> str:
        where = [f"zone={self.zone}"] if self.zone != NO_PAGE else []
        return " ".join([f"[{self.cpu}] {self.name}:", *where, *(f"{k}={v}" for k, v in self.fields.items())])


class Ring:
    """The preallocated ring of the last events.

    Arguments: how many events it holds (rounded up to a power of two), and which kinds are recorded.
    Raises InputError.
    """

    def __init__(self, capacity: int = 1 << 12, kinds: tuple[int, ...] = ALL_KINDS) -> None:
        capacity = within(capacity, "events", 0, MAX_EVENTS, InputError)
        kinds = tuple(within(kind, "kind of event", 0, len(KINDS) - 1, InputError) for kind in kinds)
        self.capacity = 1 << max(capacity - 1, 1).bit_length()
        self.array = np.zeros(HEADER + WIDTH * self.capacity, np.int64)
        self.array[CAPACITY] = self.capacity
        self.array[ENABLED] = sum(1 << kind for kind in set(kinds))

    def __len__(self) -> int:
        return min(int(self.array[EVENTS]), self.capacity)

    @property
    def lost(self) -> int:
        """Return how many events the ring has overwritten."""
        return max(int(self.array[EVENTS]) - self.capacity, 0)

    @property
    def irq_off(self) -> int:
        """Return how often the last operation turned interrupts off."""
        return int(self.array[IRQ_OFF])

    @property
    def first_op(self) -> int:
        """Return the number of the first operation of this run; numbers go on from run to run."""
        return int(self.array[FIRST_OP])

    def clear(self) -> None:
        """Forget all events."""
        self.array[EVENTS] = 0

    def rows(self) -> np.ndarray[Any, Any]:
        """Return the events as a table of int64, oldest first: op, cpu, kind, zone, and six fields."""
        table = self.array[HEADER:].reshape(self.capacity, WIDTH)
        count = int(self.array[EVENTS])
        head, ab, cd = (table[:count] if count <= self.capacity else np.roll(table, -(count % self.capacity), axis=0)).T
        columns = (
            head >> OP_SHIFT,
            head >> CPU_SHIFT & (1 << OP_SHIFT - CPU_SHIFT) - 1,
            head >> KIND_SHIFT & (1 << E_SHIFT - KIND_SHIFT) - 1,
            (head & (1 << KIND_SHIFT) - 1) - 1,
            (ab & LOW ^ SIGN) - SIGN,
            ab >> B_SHIFT,
            cd & C_MASK,
            cd >> D_SHIFT,
            head >> E_SHIFT & (1 << F_SHIFT - E_SHIFT) - 1,
            head >> F_SHIFT & (1 << CPU_SHIFT - F_SHIFT) - 1,
        )
        return np.stack(columns, axis=1)

    def __iter__(self) -> Iterator[Event]:
        for op, cpu, kind, zone, *values in self.rows().tolist():
            yield Event(op, cpu, kind, zone, tuple(values[: len(KINDS[kind].fields)]))
