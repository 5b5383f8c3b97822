"""A machine's state at one moment, to be compared, written out or restored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ZoneState:
    """A zone at one moment: counters, free lists [order][type], pcp lists [cpu][type], pageblock types.

    Lists hold first pfns, head to tail; ``cached`` has the cached migratetype of each page on a pcp list.
    """

    index: int
    free: int
    free_cma: int
    boost: int
    nr_reserved_highatomic: int
    flags: int
    free_lists: tuple[tuple[tuple[int, ...], ...], ...]
    pcp_count: tuple[int, ...]
    pcp_lists: tuple[tuple[tuple[int, ...], ...], ...]
    cached: tuple[tuple[tuple[int, ...], ...], ...]
    blocks: tuple[int, ...]


@dataclass(frozen=True)
class Snapshot:
    """All that can be seen of an allocator at one moment; two snapshots compare equal if nothing changed."""

    zones: tuple[ZoneState, ...]
    in_use: tuple[tuple[int, int], ...]  #: (pfn, order) of every allocated block

    def free_blocks(self) -> frozenset[tuple[int, int]]:
        """Return the (pfn, order) of every block on a free list."""
        return frozenset(
            (pfn, order)
            for zone in self.zones
            for order, lists in enumerate(zone.free_lists)
            for one in lists
            for pfn in one
        )
