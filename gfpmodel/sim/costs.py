"""What things cost in time: a small table, each figure an interval with its source.

Nobody has one number for these, so a run draws each within its interval, from its seed; what comes out of many seeds
carries the spread.  No figure is fitted to anything that the model is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError, unknown
from gfpmodel.sim.rng import below, seeded

PS = 1000  #: the compiled table is in picoseconds, so that a draw of a cost per page is not a whole ns


class Cost(NamedTuple):
    """A figure: its interval, its unit, and where it comes from."""

    name: str
    low: int
    high: int
    unit: str
    source: str


ASSUMED = "assumption: no published figure"
HOLD_SOURCE = "Huang Ying, 2023-09-26: hold times of HOLD_TIMES divided by the batch"

COSTS = (
    Cost("pcp", 20, 50, "ns an irq-off section", "order of magnitude: a list pop with interrupts off takes tens of ns"),
    Cost("lock", 10, 40, "ns an acquisition", ASSUMED),
    Cost("free_page", 30, 50, "ns a page freed under the zone lock", HOLD_SOURCE),
    Cost("alloc_page", 20, 55, "ns a page or block taken under the zone lock", HOLD_SOURCE),
    Cost("move_block", 500, 5000, "ns a pageblock walked when it is stolen or reserved", ASSUMED),
    Cost("transfer", 50, 200, "ns until a contended lock's cache line arrives", ASSUMED),
    Cost("block", 1000, 5000, "ns to block on a sleeping lock and be woken", ASSUMED),
    Cost("task", 2000, 5000, "ns the periodic task runs", ASSUMED),
    Cost("wake_kswapd", 500, 2000, "ns to wake a thread", ASSUMED),
    Cost("kswapd_latency", 20_000, 100_000, "ns from kswapd's wake-up to its first page", ASSUMED),
    Cost("reclaim_page", 500, 2000, "ns of kswapd's work a page", ASSUMED),
    Cost("kmalloc", 10, 40, "ns an object taken from its slab", ASSUMED),
    Cost("kfree", 20, 80, "ns an object freed after its grace period", ASSUMED),
)
(PCP, LOCK, FREE_PAGE, ALLOC_PAGE, MOVE_BLOCK, TRANSFER, BLOCK, TASK, WAKE_KSWAPD, KSWAPD_LATENCY, RECLAIM_PAGE,
 KMALLOC, KFREE) = range(len(COSTS))  # fmt: skip


class HoldTime(NamedTuple):
    """How long zone->lock was held for one batch, on a real machine: microseconds, mean and 99th percentile."""

    cpu: str
    batch: int
    free_mean_us: float
    free_p99_us: float
    alloc_mean_us: float
    alloc_p99_us: float


#: will-it-scale page_fault1, high = 2 * batch, by ftrace (Huang Ying, 20230926060911.266511-5-ying.huang@intel.com)
HOLD_TIMES = (
    HoldTime("Sapphire Rapids", 63, 2.33, 3.57, 2.67, 6.83),
    HoldTime("Ice Lake", 63, 2.21, 3.68, 2.02, 4.35),
    HoldTime("Cascade Lake", 63, 3.29, 5.03, 3.53, 4.75),
    HoldTime("Comet Lake", 63, 2.18, 3.55, 2.03, 3.05),
    HoldTime("Coffee Lake", 63, 3.13, 4.40, 2.48, 3.43),
    HoldTime("Sapphire Rapids", 255, 8.29, 13.32, 7.52, 25.24),
    HoldTime("Sapphire Rapids", 1023, 30.25, 44.19, 25.36, 94.88),
    HoldTime("Sapphire Rapids", 2047, 59.39, 84.50, 45.22, 140.81),
    HoldTime("Ice Lake", 2047, 56.5, 84.1, 39.3, 91.7),
    HoldTime("Cascade Lake", 2047, 86.6, 120.3, 71.1, 106.1),
)


def draw_costs(seed: int, fixed: Mapping[str, int] | None = None) -> NDArray[np.int64]:
    """Return the costs of a run in ps, each drawn evenly within its interval from the seed.

    ``fixed`` sets some by name (ns).  Raises InputError for an unknown name or a negative cost.
    """
    names = [cost.name for cost in COSTS]
    given = dict(fixed or {})
    for name, value in given.items():
        if name not in names:
            raise unknown("cost", name, names)
        if value < 0:
            raise InputError(f"cost {name} is {value} ns; expected 0 or more")
    rng: Any = seeded(seed ^ 0x636F737473)  # its own stream: a change of the workload leaves the costs alone
    drawn = [cost.low * PS + below(rng, (cost.high - cost.low) * PS + 1) for cost in COSTS]
    return np.array(
        [given[name] * PS if name in given else int(ps) for name, ps in zip(names, drawn, strict=True)], np.int64
    )
