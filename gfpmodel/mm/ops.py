"""Operations as words: what a bulk run takes and returns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError
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
from gfpmodel.mm.rules import OWN_FUNCTION

__all__ = ["NO_RESULT", "OP_ALLOC", "OP_DRAIN", "OP_FREE", "OP_FREE_HANDLE", "Results", "check_masks", "pack_ops"]

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
MAX_OP_ORDER = 63


class Results(NamedTuple):
    """What a bulk run returns: the pfn of each allocation in turn (NO_RESULT for NULL), irq-off sections by operation.

    ``irq_off`` is counted only while events are on.
    """

    pfns: NDArray[np.uint32]
    irq_off: NDArray[np.uint16]


def pack_ops(
    kind: NDArray[Any], cpu: NDArray[Any] | int, order: NDArray[Any] | int, argument: NDArray[Any] | int
) -> NDArray[np.int64]:
    """Pack columns of operations into the words that a bulk run takes.

    Arguments: kinds (OP_ALLOC, OP_FREE, OP_FREE_HANDLE, OP_DRAIN); cpus; orders, up to 63; and masks for OP_ALLOC,
    pfns for OP_FREE, for OP_FREE_HANDLE the number of the allocation (from 0, in this run) whose result is freed.
    """
    words: NDArray[np.int64] = np.asarray(kind, np.int64)
    return (
        words
        | np.asarray(order, np.int64) << OP_ORDER_SHIFT
        | np.asarray(cpu, np.int64) << OP_CPU_SHIFT
        | np.asarray(argument, np.int64) << OP_ARG_SHIFT
    )


def check_masks(masks: NDArray[np.int64]) -> None:
    """Raise InputError for masks that are no gfp_t, or ask for two zones or two migratetypes."""
    bad_zone = ~np.isin(masks & GFP_ZONEMASK, list(ZONE_OF_MASK))
    bad_type = masks >> GFP_MOVABLE_SHIFT & 3 == 3
    for bad, why in (
        ((masks < 0) | (masks >= OWN_FUNCTION << 1), "is no gfp_t (32 bits)"),
        (bad_zone, "asks for two zones that exclude each other"),
        (bad_type, "asks for both __GFP_MOVABLE and __GFP_RECLAIMABLE"),
    ):
        if bad.any():
            raise InputError(f"mask {int(masks[np.argmax(bad)]):#x} {why}")
