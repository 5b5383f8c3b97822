"""The chain of kfree_rcu as part of a run: which kernel's, its arrays, its figures, and that nothing of it is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError
from gfpmodel.mm import PageAllocator
from gfpmodel.rcu import state as rcu
from gfpmodel.rcu.kfree_rcu import KfreeRcu
from gfpmodel.rcu.timing import Timing
from gfpmodel.rcu.versions import Version
from gfpmodel.sim import costs as cost
from gfpmodel.sim import state as st
from gfpmodel.sim.workloads import Flow

NO_PAGE_OBJECTS = 64  #: objects in a slab without a page, which only counts them
WORK = "kfree_rcu work"  #: the name of what the workers of the chain do, as a flow


@dataclass(frozen=True)
class Chain:
    """Whose kfree_rcu() the flows of that kind call.

    ``version`` as in `gfpmodel.rcu.versions`; ``min_cached`` blocks are kept by a cpu, None for the version's own;
    ``preempt_rt``: no block is asked for in the call, unless by a proposal; ``fixed`` as in KfreeRcu.
    ``timing``: see Timing; its ``free_ns`` is not read, the cost ``kfree`` stands for it.
    """

    version: str | Version = "v5.9"
    timing: Timing = field(default_factory=Timing)
    min_cached: int | None = None
    preempt_rt: bool = False
    fixed: bool | None = None


def make_chain(chain: Chain, flows: Sequence[tuple[Flow, int]], allocator: PageAllocator) -> KfreeRcu | None:
    """Return the chain on a machine just booted, None if no flow uses one; raises InputError.

    Its blocks are asked for by the machine's proposal if the flows say so, else by the version's own mask.
    """
    wants = {flow.proposal for flow, _ in flows if flow.kind == "kfree_rcu"}
    if not wants:
        return None
    if len(wants) > 1:
        raise InputError("all flows of kfree_rcu share one chain; expected proposal in all of them, or in none")
    if wants == {True} and allocator.proposal is None:
        raise InputError("blocks are asked for the way a proposal does; this run has none")
    return KfreeRcu(
        chain.version,
        allocator,
        proposal=allocator.proposal if wants == {True} else None,
        preempt_rt=chain.preempt_rt,
        fixed=chain.fixed,
        min_cached=chain.min_cached,
        timing=chain.timing,
    )


def slab_words(flow: Flow) -> dict[int, int]:
    """Return the words of a flow of kfree_rcu that others do not have."""
    in_slab = flow.slab or NO_PAGE_OBJECTS
    return {
        st.IN_SLAB: in_slab,
        st.HAS_PAGE: flow.slab > 0,
        st.LIMIT: -(-flow.limit // in_slab),
        st.DELAYED: flow.hold is not None or flow.frees_on != "same",
    }


def chain_arrays(
    chain: KfreeRcu | None, table: NDArray[np.int64], costs: NDArray[np.int64]
) -> tuple[rcu.Rcu, NDArray[np.int64]]:
    """Return the chain's arrays, and the slabs: those of no chain hold nothing, and nothing ever happens in them."""
    of_chain = table[table[:, st.KIND] == st.KFREE_RCU]
    slabs = np.zeros((int(of_chain[:, st.LIMIT].sum()) + 1, st.SLAB_WORDS), np.int64)
    slabs[1:-1, st.NEXT_SLAB] = np.arange(2, len(slabs))
    if chain is None:
        krc = np.zeros(rcu.MACHINE_WORDS, np.int64)
        krc[rcu.NEXT_EVENT], krc[rcu.FREE_ROWS] = rcu.NEVER, 1
        one = np.zeros(1, np.int64)
        return rcu.Rcu(krc, one, one, one), slabs
    chain.kmalloc(len(slabs) * int(of_chain[:, st.IN_SLAB].max()))
    chain.arrays.krc[rcu.FREE_NS] = costs[cost.KFREE] // cost.PS
    return chain.arrays, slabs


def grow(chain: KfreeRcu, world: st.World) -> st.World:
    """Return the world with room for more blocks."""
    chain.make_room()
    return world._replace(rcu=chain.arrays)


def check_chain(chain: KfreeRcu, arrays: dict[str, NDArray[Any]]) -> None:
    """Raise AssertionError unless every object is accounted for: made, not yet called for, waiting, or freed."""
    if chain.is_fixed:
        chain.check()
    else:  # without the fix, an object may be freed early: that is counted, not hidden
        chain.check_nothing_lost()
    table = arrays["flows"][arrays["flows"][:, st.KIND] == st.KFREE_RCU]
    made, live = table[:, st.OPS], table[:, st.LIVE]
    assert (made == table[:, st.FREED] + live).all(), f"objects in {made.tolist()}, live {live.tolist()}"
    held = arrays["cpus"][:, [st.HEAP_START, st.HEAP_LEN]]
    called_later = sum(int((arrays["heap"][at : at + size, 1] < 0).sum()) for at, size in held)
    waiting = chain.counters.pending
    assert live.sum() == called_later + waiting, f"{live.sum()} objects live, {called_later} + {waiting} found"
    used = arrays["slabs"][:, st.TAKEN] - arrays["slabs"][:, st.GONE_OBJECTS]
    assert used.sum() == live.sum(), f"{used.sum()} objects in slabs, {live.sum()} live"


def slab_pages(table: NDArray[np.int64]) -> int:
    """Return how many pages the slabs of all flows hold."""
    return int((table[:, st.IN_USE] * table[:, st.HAS_PAGE]).sum())


def chain_figures(chain: KfreeRcu) -> dict[str, float]:
    """Return what the chain did: objects, blocks, and requests for blocks' pages."""
    c = chain.counters
    asked = c.pages_alloc + c.alloc_failed
    return {
        "objects_queued": c.queued,
        "objects_freed": c.freed,
        "objects_waiting": c.pending,
        "objects_waiting_peak": c.pending_peak,
        "objects_freed_early": c.early,
        "fallback_share": c.fallbacks / c.queued if c.queued else float("nan"),
        "blocks_in_flight": c.blocks_in_flight,
        "blocks_peak": c.blocks_peak,
        "block_pages": chain.held_pages(),
        "blocks_from_cache": c.cache_hits,
        "block_requests": asked,
        "block_requests_failed": c.alloc_failed,
        "block_failed_share": c.alloc_failed / asked if asked else float("nan"),
        "cache_fills": c.fills,
        "grace_periods": c.grace_periods,
        "hand_overs": c.hand_overs,
    }
