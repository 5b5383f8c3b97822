"""A machine's lists as a small text picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gfpmodel.mm.mmzone import Sizes
from gfpmodel.mm.snapshot import ZoneState
from gfpmodel.mm.state import (
    MAX_ORDER,
    MIGRATE_HIGHATOMIC,
    MIGRATE_NAMES,
    MIGRATE_PCPTYPES,
    NR_LOWORDER_PCP_LISTS,
    PMD_ORDER,
)


def picture(title: str, sizes: Sizes, states: Sequence[ZoneState], cma: bool) -> str:
    """Return the pcp lists and free areas of zones, highest zone first, below a title; ``cma``: with the CMA lists."""
    types = len(MIGRATE_NAMES) if cma else MIGRATE_HIGHATOMIC + 1
    return "\n".join([title, *(line for state in reversed(states) for line in zone_lines(sizes, state, types))])


def zone_lines(all_sizes: Sizes, state: ZoneState, types: int) -> Iterator[str]:
    """Yield the lines that show a zone: its counters, each cpu's lists, and how many free blocks of which size."""
    sizes = all_sizes.zones[state.index]
    marks = "/".join(map(str, sizes.wmark))
    boost = f" +{state.boost}" if state.boost else ""
    yield (
        f"zone {sizes.zone.name} [{sizes.zone.start}, {sizes.zone.end}): free {state.free} of {sizes.managed}, "
        f"min/low/high {marks}{boost}"
    )
    for cpu, (count, lists) in enumerate(zip(state.pcp_count, state.pcp_lists, strict=True)):
        high = state.pcp[cpu].high if state.pcp else sizes.high
        for order in range(0, len(lists), MIGRATE_PCPTYPES):
            of_order = lists[order : order + MIGRATE_PCPTYPES]
            text = " ".join(f"{MIGRATE_NAMES[t][0]} {shorten(pfns)}" for t, pfns in enumerate(of_order))
            if order == 0:
                yield f"  cpu {cpu} pcp {count}/{high} (batch {sizes.batch}): {text}"
            elif any(of_order):
                size = PMD_ORDER if order == NR_LOWORDER_PCP_LISTS else order // MIGRATE_PCPTYPES
                yield f"      order {size}: {text}"
    yield "  order " + " ".join(f"{order:>5}" for order in range(MAX_ORDER))
    for t in range(types):
        counts = [len(lists[t]) for lists in state.free_lists]
        if any(counts) or t < MIGRATE_PCPTYPES:
            yield f"  {MIGRATE_NAMES[t][:5]:<5} " + " ".join(f"{n or '.':>5}" for n in counts)


def shorten(pfns: Sequence[int], shown: int = 3) -> str:
    """Return a list of pfns as text, with only its first ones."""
    more = f" +{len(pfns) - shown}" if len(pfns) > shown else ""
    return "[" + " ".join(map(str, pfns[:shown])) + more + "]"
