"""The proposals under review, one row each; a new one is a row and nothing else.

What was proposed, by whom and what became of it: the fact sheet of the discussion, sections 4 and 5; for 2026 that of
Linux today, section 5.
"""

from __future__ import annotations

from gfpmodel.errors import unknown
from gfpmodel.mm.rules import NO_RECLAIM, OWN_FUNCTION, Rule
from gfpmodel.mm.state import MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE, PAGE_ALLOC_COSTLY_ORDER, ZONE_NORMAL

PATCHED = "v5.8-rc3+FAST_TRY"

_ROWS = (
    Rule(
        "fast_try",
        "v1, __GFP_FAST_TRY: the cpu's lists from the requested type upward, no refill",
        request="__GFP_FAST_TRY",
        flag=0x800000,
        kernel=PATCHED,
        scan=(None, MIGRATE_RECLAIMABLE),
        refill="no",
        slow_path=False,
    ),
    Rule(
        "no_locks",
        "v2, __GFP_NO_LOCKS: all three lists of the cpu, no refill",
        request="0x800000",
        flag=0x800000,
        kernel=PATCHED,
        scan=(MIGRATE_UNMOVABLE, MIGRATE_RECLAIMABLE),
        refill="no",
        slow_path=False,
    ),
    Rule(
        "lockless",
        "v3, __rcu_alloc_page_lockless(): a function; all three lists, zones up to Normal, each once, no watermark",
        request="none",
        flag=OWN_FUNCTION,
        scan=(MIGRATE_UNMOVABLE, MIGRATE_RECLAIMABLE),
        refill="no",
        watermark="none",
        slow_path=False,
        highest_zone=ZONE_NORMAL,
        highest_order=0,
        walk="own loop",
    ),
    Rule(
        "nowait",
        "no change: a mask that never sleeps, but takes the zone lock",
        request="GFP_NOWAIT|__GFP_NOWARN",
    ),
    Rule("atomic", "no change: the same with access to reserves", request="GFP_ATOMIC|__GFP_NOWARN"),
    Rule("gfp0", "no change: mask 0 does not even wake kswapd", request="none"),
    Rule(
        "raw_zone_lock",
        "zone->lock becomes a raw lock; on RT a request like this declines to take it, behind zone_lock(zone)",
        request="none",
        lock="raw",
        lock_rt="decline",
    ),
    Rule(
        "raw_zone_lock_rt",
        "zone->lock becomes a raw lock on RT too, which Gleixner argued against",
        request="none",
        lock="raw",
        lock_rt="raw",
    ),
    Rule(
        "trylock",
        "try_alloc_pages() of v6.15, alloc_pages_nolock() since v6.16: refills if a trylock gets the lock",
        request="__GFP_NOWARN|__GFP_ZERO|__GFP_NOMEMALLOC",
        flag=OWN_FUNCTION,
        refill="trylock",
        watermark="min",
        slow_path=False,
        highest_order=PAGE_ALLOC_COSTLY_ORDER,
        pmd_order=True,
        lock="try",
        lock_rt="try",
    ),
    Rule(
        "deferred_refill",
        "what v5.11 did: a work item in a clean context allocates, the caller only takes single pages from its cache",
        request="GFP_KERNEL|__GFP_NOWARN",
        highest_order=0,
        runs="work",
    ),
)

_LATER = (
    Rule(
        "gfp_atomic_rt",
        "GFP_ATOMIC_RT of May 2026: __GFP_HIGH on RT; any mask without a reclaim bit only tries its locks",
        request="GFP_ATOMIC",
        request_rt="__GFP_HIGH",
        flag=NO_RECLAIM,
        kernel="v7.1",
        refill="trylock",
        lock="try",
        lock_rt="try",
    ),
)

PROPOSALS = {row.name: row for row in _ROWS}
"""The rows of the scorecard, for which the book ships results."""

ROWS = PROPOSALS | {row.name: row for row in _LATER}
"""All rows that have a name: those of later patches are asked for a verdict, not compared by simulated load."""


def proposal(name: str | Rule) -> Rule:
    """Return a row by name, or the row itself; raises InputError with the nearest known names."""
    if isinstance(name, Rule):
        return name
    if name not in ROWS:
        raise unknown("proposal", name, ROWS)
    return ROWS[name]
