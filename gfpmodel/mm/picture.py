"""A machine's lists as a small text picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gfpmodel.mm.state import MAX_ORDER, MIGRATE_HIGHATOMIC, MIGRATE_NAMES, MIGRATE_PCPTYPES

if TYPE_CHECKING:
    from gfpmodel.mm.allocator import PageAllocator


def picture(allocator: PageAllocator) -> str:
    """Return the pcp lists and free areas of all zones, highest zone first."""
    proposal = f", {allocator.proposal.name}" if allocator.proposal else ""
    title = f"PageAllocator of {allocator.layout.kernel}{proposal}: {allocator.machine.cpus} cpu(s)"
    return "\n".join(
        [title, *(line for zone in reversed(allocator.sizes.zones) for line in zone_lines(allocator, zone))]
    )


def zone_lines(allocator: PageAllocator, index: int) -> Iterator[str]:
    """Yield the lines that show a zone: its counters, each cpu's lists, and how many free blocks of which size."""
    sizes, counters = allocator.sizes.zones[index], allocator.counters(index)
    marks = "/".join(map(str, sizes.wmark))
    boost = f" +{counters['boost']}" if counters["boost"] else ""
    yield (
        f"zone {sizes.zone.name} [{sizes.zone.start}, {sizes.zone.end}): free {counters['free']} of {sizes.managed}, "
        f"min/low/high {marks}{boost}"
    )
    for cpu in range(allocator.machine.cpus):
        lists = " ".join(
            f"{MIGRATE_NAMES[t][0]} {shorten(allocator.pcp_list(cpu, index, t).tolist())}"
            for t in range(MIGRATE_PCPTYPES)
        )
        yield f"  cpu {cpu} pcp {allocator.pcp_count(cpu, index)}/{sizes.high} (batch {sizes.batch}): {lists}"
    yield "  order " + " ".join(f"{order:>5}" for order in range(MAX_ORDER))
    for t in range(len(MIGRATE_NAMES) if allocator.machine.cma else MIGRATE_HIGHATOMIC + 1):
        counts = [len(allocator.free_list(index, order, t)) for order in range(MAX_ORDER)]
        if any(counts) or t < MIGRATE_PCPTYPES:
            yield f"  {MIGRATE_NAMES[t][:5]:<5} " + " ".join(f"{n or '.':>5}" for n in counts)


def shorten(pfns: list[int], shown: int = 3) -> str:
    """Return a list of pfns as text, with only its first ones."""
    more = f" +{len(pfns) - shown}" if len(pfns) > shown else ""
    return "[" + " ".join(map(str, pfns[:shown])) + more + "]"
