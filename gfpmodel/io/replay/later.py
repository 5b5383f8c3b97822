"""What a replay has to know of the per-cpu lists of v6.18 and later, where it has another form than v5.8's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.jit import inlined, u64
from gfpmodel.mm.state import Mm
from gfpmodel.mm.v6_18.locks import pget, pput
from gfpmodel.mm.v6_18.page_alloc import gfp_to_alloc_flags
from gfpmodel.mm.v6_18.pcp import order_to_pindex, pcp_allowed_order, pindex_to_order


@inlined
def lists_of_zone() -> Any:
    """Return how many lists a cpu has in a zone."""
    return st.NR_PCP_LISTS


@inlined
def order_of_list(number: int) -> Any:
    """Return the order of the blocks on a list."""
    return pindex_to_order(number)


@inlined
def has_lists(m: Mm, order: int) -> Any:
    """Return whether blocks of an order have lists."""
    return pcp_allowed_order(m, order)


@inlined
def slow_path_flags(m: Mm, gfp: int, order: int, migratetype: int) -> Any:
    """Return the flags of the slow path."""
    return gfp_to_alloc_flags(m, gfp, order, migratetype)


@inlined
def keep_words(m: Mm, pcp: int, kept: NDArray[np.int64], at: int) -> None:
    """Note the words of a cpu's lists that a request may change which finds a page, or none, on them."""
    kept[u64(at)] = pget(m, pcp, st.PCP_COUNT)
    kept[u64(at + 1)] = pget(m, pcp, st.PCP_FREE_COUNT)


@inlined
def restore_words(m: Mm, pcp: int, kept: NDArray[np.int64], at: int) -> None:
    """Put those words back."""
    pput(m, pcp, st.PCP_COUNT, kept[u64(at)])
    pput(m, pcp, st.PCP_FREE_COUNT, kept[u64(at + 1)])


@inlined
def hold_sizes(m: Mm, pcp: int) -> None:
    """Let the next refill be of one batch, as those of kernels are whose lists do not tune themselves."""
    pput(m, pcp, st.PCP_ALLOC_FACTOR, 0)


@inlined
def refilled_list(trace: Any, event: int) -> Any:
    """Return the number of the list that the event of a refill is about."""
    return order_to_pindex(ev.second_field(trace, event), ev.first_field(trace, event))
