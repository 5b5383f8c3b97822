"""What a replay has to know of a kernel's per-cpu lists: those of v5.8 here, those of later kernels in `later`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.jit import compiled, entry, inlined, u64
from gfpmodel.mm.page_alloc import gfp_to_alloc_flags
from gfpmodel.mm.state import Mm, Silent

MOST_LISTS = st.NR_PCP_LISTS  #: of a zone, on any kernel


@inlined
def lists_of_zone() -> Any:
    """Return how many lists a cpu has in a zone."""
    return st.MIGRATE_PCPTYPES


@inlined
def order_of_list(number: int) -> Any:
    """Return the order of the blocks on a list."""
    return 0


@inlined
def has_lists(m: Mm, order: int) -> Any:
    """Return whether blocks of an order have lists."""
    return order == 0


@inlined
def slow_path_flags(m: Mm, gfp: int, order: int, migratetype: int) -> Any:
    """Return the flags of the slow path."""
    return gfp_to_alloc_flags(m, gfp, migratetype)


@inlined
def keep_words(m: Mm, pcp: int, kept: NDArray[np.int64], at: int) -> None:
    """Note the words of a cpu's lists that a request may change which finds a page, or none, on them."""
    kept[u64(at)] = st.get(m, pcp + st.COUNTS_ROW, st.COUNT)


@inlined
def restore_words(m: Mm, pcp: int, kept: NDArray[np.int64], at: int) -> None:
    """Put those words back."""
    st.put(m, pcp + st.COUNTS_ROW, st.COUNT, kept[u64(at)])


@inlined
def hold_sizes(m: Mm, pcp: int) -> None:
    """Let the next refill be of one batch: each is."""


@inlined
def refilled_list(trace: Any, event: int) -> Any:
    """Return the number of the list that the event of a refill is about."""
    return ev.first_field(trace, event)


@entry
@compiled
def list_lengths(m: Silent, cpus: int, lengths: NDArray[np.int32]) -> None:
    """Count the pages on every list: by cpu, zone and list."""
    lists = lists_of_zone()
    for where in range(cpus * st.MAX_NR_ZONES):
        pcp = st.per_cpu_pages(where // st.MAX_NR_ZONES, where % st.MAX_NR_ZONES)
        for number in range(lists):
            pages, page = 0, st.get(m, pcp + number, st.NEXT)
            while page != pcp + number:
                pages += 1 << order_of_list(number)
                page = st.get(m, page, st.NEXT)
            lengths[u64(where * lists + number)] = pages
