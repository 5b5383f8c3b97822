"""What the simulator has to know of v6.18's lists and later, where it has another form than v5.8's.

Work on the lists runs with interrupts on; a refill and a bulk free are other events; kswapd says that it reclaims.
"""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ring
from gfpmodel.mm import state as mm
from gfpmodel.mm.jit import inlined
from gfpmodel.mm.state import Traced, zget, zput
from gfpmodel.mm.v6_18.locks import pget
from gfpmodel.sim import costs as cost
from gfpmodel.sim.cpu import run_for
from gfpmodel.sim.state import World


@inlined
def pages_refilled(trace: Any, event: int) -> Any:
    """Return how many pages a refill brought, -1 for any other event."""
    if ring.kind_of(trace, event) != ring.PCP_REFILL:
        return -1
    return ring.fourth_field(trace, event) << ring.first_field(trace, event)


@inlined
def pages_drained(trace: Any, event: int) -> Any:
    """Return how many pages a bulk free gives back, -1 for any other event."""
    return ring.first_field(trace, event) if ring.kind_of(trace, event) == ring.PCP_BULK_FREE else -1


@inlined
def on_lists(w: World, cpu: int, t: int) -> Any:
    """Return when the work on the lists of a request at ``t`` is done, the periodic task having gone first if due.

    Each time that the lock of a zone's lists is tried costs what an irq-off section costs on v5.8.
    """
    tried = 0
    for event in range(w.mm.trace[ring.EVENTS]):
        tried += ring.kind_of(w.mm.trace, event) == ring.PCP_TRYLOCK
    return run_for(w, cpu, t, w.costs[cost.PCP] * max(tried, 1) // cost.PS)


@inlined
def say_reclaiming(w: World, active: int) -> None:
    """Let the zones know whether kswapd reclaims: cpus keep less on their lists then.

    Models: mm/vmscan.c:balance_pgdat (v6.18), its ZONE_RECLAIM_ACTIVE.
    """
    for zone in range(mm.MAX_NR_ZONES):
        flags = zget(w.mm, zone, mm.ZONE_FLAGS) & ~mm.ZONE_RECLAIM_ACTIVE
        zput(w.mm, zone, mm.ZONE_FLAGS, flags | (mm.ZONE_RECLAIM_ACTIVE if active else 0))


@inlined
def pcp_count(m: Traced, pcp: int) -> Any:
    """Return how many pages the lists of a cpu and zone hold."""
    return pget(m, pcp, mm.PCP_COUNT)
