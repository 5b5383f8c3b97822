"""Operations as words: what a bulk run takes and returns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError
from gfpmodel.mm import gates
from gfpmodel.mm import state as st
from gfpmodel.mm.page_alloc import (
    GFP_MOVABLE_SHIFT,
    GFP_ZONEMASK,
    NO_RESULT,
    OP_ALLOC,
    OP_ARG_SHIFT,
    OP_CPU_SHIFT,
    OP_DRAIN,
    OP_FREE,
    OP_FREE_HANDLE,
    OP_ORDER_SHIFT,
)
from gfpmodel.mm.rules import NO_RECLAIM, OWN_FUNCTION

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
    Raises InputError for what is no whole number, or more than a word has room for.
    """
    tops = {"kind": OP_DRAIN, "cpu": MAX_OP_CPU, "order": MAX_OP_ORDER, "argument": MAX_ARGUMENT}
    given = (kind, cpu, order, argument)
    columns = [
        gates.column(one, what, 0, top, InputError) for (what, top), one in zip(tops.items(), given, strict=True)
    ]
    if len({len(one) for one in columns if one.ndim}) > 1:
        raise InputError(f"columns of {', '.join(str(one.size) for one in columns)} operations; expected one length")
    return np.atleast_1d(op_word(*columns))


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
