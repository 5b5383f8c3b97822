"""Operations as words: what a bulk run takes and returns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError, MisuseError
from gfpmodel.mm import gates
from gfpmodel.mm import state as st
from gfpmodel.mm.page_alloc import GFP_MOVABLE_SHIFT, GFP_ZONEMASK
from gfpmodel.mm.rules import NO_RECLAIM, OWN_FUNCTION
from gfpmodel.mm.run import (
    NO_RESULT,
    OP_ALLOC,
    OP_ARG_SHIFT,
    OP_CPU_SHIFT,
    OP_DRAIN,
    OP_FREE,
    OP_FREE_HANDLE,
    OP_ORDER_SHIFT,
)
from gfpmodel.mm.v6_18 import run as v6_18

__all__ = [
    "NO_RESULT",
    "OP_ALLOC",
    "OP_DRAIN",
    "OP_FREE",
    "OP_FREE_HANDLE",
    "Results",
    "check_mask",
    "op_word",
    "pack_ops",
]

# Highest zone index for the low four bits of a mask: __GFP_DMA 1, HIGHMEM 2, DMA32 4, MOVABLE 8.
# Models: include/linux/gfp.h:GFP_ZONE_TABLE (v5.8, x86-64); a mix that is not here is GFP_ZONE_BAD.
ZONE_OF_MASK = {
    0: st.ZONE_NORMAL,
    1: st.ZONE_DMA,
    2: st.ZONE_NORMAL,
    4: st.ZONE_DMA32,
    8: st.ZONE_NORMAL,
    9: st.ZONE_DMA,
    10: st.ZONE_MOVABLE,
    12: st.ZONE_DMA32,
}
MAX_OP_ORDER, MAX_OP_CPU = 63, 0xFFFF

# Operations of later kernels: the kind of a drain, and which one in the room for the order; their own order, or
# another small number, is above 32 bits of argument.
(
    OP_NOLOCK,
    OP_FREE_NOLOCK,
    OP_FREE_NOLOCK_HANDLE,
    OP_BULK,
    OP_DECAY,
    OP_UNRESERVE,
    OP_ZONE_FLAG,
    OP_SET_BOOST,
    OP_BUSY,
    OP_AMOUNT,
) = LATER_KINDS = tuple(OP_DRAIN | which << OP_ORDER_SHIFT for which in range(v6_18.RUN_NOLOCK, v6_18.RUN_AMOUNT + 1))
KINDS = (OP_ALLOC, OP_FREE, OP_FREE_HANDLE, OP_DRAIN, *LATER_KINDS)
MAX_AMOUNT = 1 << 24  #: pages in one call
MAX_ARGUMENT = (1 << 63 - OP_ARG_SHIFT) - 1


class Results(NamedTuple):
    """What a bulk run returns: the pfn of each allocation in turn (NO_RESULT for NULL), irq-off sections by operation.

    ``irq_off`` is counted only while events are on.
    """

    pfns: NDArray[np.uint32]
    irq_off: NDArray[np.uint16]


def op_word(kind: Any, cpu: Any, order: Any, argument: Any) -> Any:
    """Return one operation as a word; plain integers or columns of them."""
    return kind | order << OP_ORDER_SHIFT | cpu << OP_CPU_SHIFT | argument << OP_ARG_SHIFT


def pack_ops(
    kind: NDArray[Any] | int, cpu: NDArray[Any] | int, order: NDArray[Any] | int, argument: NDArray[Any] | int
) -> NDArray[np.int64]:
    """Pack columns of operations into the words that a bulk run takes.

    Arguments: kinds (OP_ALLOC, OP_FREE, OP_FREE_HANDLE, OP_DRAIN); cpus; orders, up to 63; and masks for OP_ALLOC,
    pfns for OP_FREE (NO_RESULT, an allocation that returned NULL, frees nothing), for OP_FREE_HANDLE the number of
    the allocation (from 0, in this run) whose result is freed.  Each is one number or a column, of one length.

    Kernels from v6.18 on take more kinds: OP_NOLOCK, OP_FREE_NOLOCK and OP_FREE_NOLOCK_HANDLE as the three above;
    OP_BULK with a mask, after an OP_AMOUNT with the number of pages, has as many results; OP_DECAY (a zone; its result
    is its answer); OP_UNRESERVE (a mask; order 1: by force; the same); OP_ZONE_FLAG (zone + 4 * bit; order: the
    value); OP_SET_BOOST (pages; order: the zone); OP_BUSY before an operation (busy_argument).
    Raises InputError for what is no whole number, or more than a word has room for.
    """
    tops = {"kind": max(KINDS), "cpu": MAX_OP_CPU, "order": MAX_OP_ORDER, "argument": MAX_ARGUMENT}
    given = (kind, cpu, order, argument)
    columns = [
        gates.column(one, what, 0, top, InputError) for (what, top), one in zip(tops.items(), given, strict=True)
    ]
    if len({len(one) for one in columns if one.ndim}) > 1:
        raise InputError(f"columns of {', '.join(str(one.size) for one in columns)} operations; expected one length")
    kinds, cpus, orders, arguments = columns
    later = kinds > OP_DRAIN
    if not np.isin(kinds, KINDS).all():
        raise InputError("kind: expected those that have a name, as OP_ALLOC")
    if (later & (orders > 0) & (arguments > v6_18.ARGUMENT_MASK)).any():
        raise InputError("argument: expected at most 32 bits")
    arguments = np.where(later, arguments | orders << v6_18.ARGUMENT_ORDER_SHIFT, arguments)
    words: NDArray[np.int64] = np.atleast_1d(op_word(kinds, cpus, np.where(later, 0, orders), arguments))
    return words


def busy_argument(zones: Any, lists: Any, attempts: Any) -> int:
    """Return the argument of an OP_BUSY: zones, zones of the cpu's lists, and numbers of attempts (see Mm.busy)."""
    found = 0
    for begin, numbers in ((st.BUSY_ZONES, zones), (st.BUSY_LISTS, lists), (st.BUSY_ATTEMPTS, attempts)):
        found |= sum(1 << begin + number for number in set(numbers))
    return found


def slots_of(ops: NDArray[np.int64], later: bool) -> NDArray[np.int64]:
    """Return how many results each operation has; raises MisuseError for what a kernel does not have.

    Argument: whether it has the kinds of v6.18.
    """
    kinds = ops & 3
    slots: NDArray[np.int64] = (kinds == OP_ALLOC).astype(np.int64)
    others = np.flatnonzero((kinds == OP_DRAIN) & (ops >> OP_ORDER_SHIFT & MAX_OP_ORDER > 0))
    if not len(others):
        return slots
    # a word has the same answer wherever it stands, but for OP_BULK, which asks what stands before it
    _, first, same = np.unique(ops[others], return_index=True, return_inverse=True)
    bulk = ops[others] & 0xFF == OP_BULK
    asked = bulk.copy()
    asked[first] = True
    for at in others[asked].tolist():
        kind = int(ops[at]) & 0xFF
        if not later or kind not in LATER_KINDS:
            raise MisuseError(f"operation {at} is of a kind that this kernel does not have")
        slots[at] = check_later(ops, at, kind)
    slots[others] = np.where(bulk, slots[others], slots[others[first]][same])
    return slots


def check_later(ops: NDArray[np.int64], at: int, kind: int) -> int:
    """Return how many results an operation of a later kind has; raises MisuseError for a bad argument."""
    argument = int(ops[at]) >> OP_ARG_SHIFT
    low, high = argument & v6_18.ARGUMENT_MASK, argument >> v6_18.ARGUMENT_ORDER_SHIFT
    where = f"operation {at}"
    if argument < 0:
        raise MisuseError(f"{where}: argument {argument}; expected no negative number")
    if kind == OP_BULK:
        before = int(ops[at - 1]) if at else 0
        if before & 0xFF != OP_AMOUNT:
            raise MisuseError(f"{where} is an OP_BULK; expected an OP_AMOUNT before it")
        return before >> OP_ARG_SHIFT
    tops = {
        OP_DECAY: (st.MAX_NR_ZONES - 1, 0),
        OP_UNRESERVE: (v6_18.ARGUMENT_MASK, 1),
        OP_ZONE_FLAG: (4 * 3 - 1, 1),
        OP_SET_BOOST: (v6_18.ARGUMENT_MASK, st.MAX_NR_ZONES - 1),
        OP_AMOUNT: (MAX_AMOUNT, 0),
    }
    top_low, top_high = tops.get(kind, (v6_18.ARGUMENT_MASK, 0xFF))
    gates.within(low, f"{where}: its argument", 0, top_low)
    gates.within(high, f"{where}: its order", 0, top_high)
    return int(kind in (OP_NOLOCK, OP_DECAY, OP_UNRESERVE))


def check_mask(mask: int, flag: int = 0) -> None:
    """Raise InputError for a mask that is no gfp_t, or asks for two zones or two migratetypes.

    ``flag`` is that of the proposal: OWN_FUNCTION or NO_RECLAIM, if it is one of them, may stand beside the 32 bits.
    """
    if not 0 <= mask & ~(flag & (OWN_FUNCTION | NO_RECLAIM)) < OWN_FUNCTION:
        number = hex(mask) if mask.bit_length() <= 64 else f"of {mask.bit_length()} bits"
        raise InputError(f"mask {number} is no gfp_t (32 bits)")
    if mask & GFP_ZONEMASK not in ZONE_OF_MASK:
        raise InputError(f"mask {mask:#x} asks for two zones that exclude each other")
    if mask >> GFP_MOVABLE_SHIFT & 3 == 3:
        raise InputError(f"mask {mask:#x} asks for both __GFP_MOVABLE and __GFP_RECLAIMABLE")
