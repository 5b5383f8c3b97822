"""Where a replay starts: the machine, as far as a trace and /proc/zoneinfo tell, and what is in use on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.io.replay.nearest import Distance
from gfpmodel.io.replay.pack import BLOCK_ORDER, MAX_PAGES, NO_TYPE
from gfpmodel.io.replay.recording import Recording
from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm import state as st
from gfpmodel.mm.kernels import rules_of
from gfpmodel.mm.mmzone import Sizes, ZoneSizes, lowest_high
from gfpmodel.mm.snapshot import PcpState, Snapshot, ZoneState

ROUND_UP = 1 << 15  #: pages (128 MiB): memory comes in such pieces
DMA_END, DMA32_END = 1 << 12, 1 << 20  #: where the zones of x86-64 end


@dataclass(frozen=True)
class KnownZone:
    """A zone as /proc/zoneinfo shows it, and how many of its pages are free."""

    sizes: ZoneSizes
    free: int


@dataclass(frozen=True)
class Overrides:
    """What is changed on the machine: batch and high of every list, and into how many cpus its cpus are folded."""

    batch: int | None = None
    high: int | None = None
    cpus: int | None = None


def zones_of(highest_pfn: int) -> tuple[Zone, ...]:
    """Return the zones of an x86-64 machine whose memory was seen up to a pfn, without holes."""
    end = -(-(highest_pfn + 1) // ROUND_UP) * ROUND_UP
    borders = [(st.ZONE_DMA, 1, DMA_END), (st.ZONE_DMA32, DMA_END, DMA32_END), (st.ZONE_NORMAL, DMA32_END, MAX_PAGES)]
    return tuple(Zone(index, start, min(end, stop) - start) for index, start, stop in borders if start < end)


def build(recording: Recording, known: list[KnownZone], overrides: Overrides, distance: Distance) -> PageAllocator:
    """Return the model's machine, a kernel's, in the state in which the trace begins, as far as it can be known.

    In use are the pages that the trace frees without having allocated them, and as many more as /proc/zoneinfo says;
    the per-cpu lists are empty.  Without it all other memory is free.  Raises GeometryError.
    """
    cpus = overrides.cpus or recording.cpus
    zones = tuple(k.sizes.zone for k in known) or zones_of(recording.highest_pfn)
    later = rules_of(distance.row).later
    pcp = None if later else first_pcp(zones, known, overrides)
    allocator = PageAllocator(Machine(zones, cpus=cpus, pcp=pcp), kernel=distance.row)
    sizes = with_known(allocator.sizes, known)
    if later:
        set_lists(sizes, known, overrides, distance.fixed)
    in_use = in_use_at_start(recording, zones)
    states = tuple(zone_state(allocator, recording, one, in_use) for one in sizes.zones.values())
    allocator.restore(Snapshot(states, tuple(in_use)), sizes)
    return allocator


def first_pcp(zones: tuple[Zone, ...], known: list[KnownZone], overrides: Overrides) -> Any:
    """Return batch and high of v5.8's lists by zone, as known or asked for; None if boot computes them all."""
    pcp: Any = {k.sizes.zone.index: usable_pcp(k.sizes) for k in known} or None
    if overrides.batch is not None or overrides.high is not None:
        pcp = {zone.index: merged(pcp and pcp.get(zone.index), overrides) for zone in zones}
    return pcp


def set_lists(sizes: Sizes, known: list[KnownZone], overrides: Overrides, fixed: bool) -> None:
    """Set batch and high of a later kernel's lists as known or asked for, else they stay as boot computes them.

    Argument: whether the trace's kernel has one high, which does not tune itself; so has one that is asked for.
    """
    for k in known:
        own, printed = sizes.zones[k.sizes.zone.index], k.sizes
        own.batch, own.high = max(printed.batch, 1), printed.high
        own.high_min, own.high_max = (own.high, own.high) if fixed else (printed.high_min, printed.high_max)
    for own in sizes.zones.values():
        if overrides.batch is not None:
            own.batch = overrides.batch
        if fixed and not known:
            own.high_max = own.high_min
        if overrides.high is not None:
            own.high_min = own.high_max = overrides.high
        own.high = min(max(own.high, own.high_min), own.high_max)


def usable_pcp(sizes: ZoneSizes) -> tuple[int, int]:
    """Return batch and high such that the model takes them: with lists switched off a kernel prints a high of 0."""
    batch = max(sizes.batch, 1)
    return batch, max(sizes.high, lowest_high(batch))


def merged(given: tuple[int, int] | None, overrides: Overrides) -> tuple[int | None, int | None]:
    """Return batch and high of a zone with what was asked for in place of what is known.

    A known high that the batch asked for does not fit under (zone DMA's) grows to it.
    """
    batch, high = given or (None, None)
    if overrides.batch is not None:
        batch, high = overrides.batch, None if high is None else max(high, overrides.batch)
    return batch, (high if overrides.high is None else overrides.high)


def with_known(sizes: Sizes, known: list[KnownZone]) -> Sizes:
    """Return what boot computed, with a real machine's watermarks and reserves in place of the model's."""
    zones = dict(sizes.zones)
    for k in known:
        own = zones[k.sizes.zone.index]
        taken = k.sizes.zone.spanned - k.free
        zones[k.sizes.zone.index] = KnownSizes(**vars(replace(k.sizes, batch=own.batch, high=own.high)), taken=taken)
    return replace(sizes, zones=zones)


@dataclass
class KnownSizes(ZoneSizes):
    """Sizes of a zone of which it is known how many pages are not free at the start."""

    taken: int = 0


def in_use_at_start(recording: Recording, zones: tuple[Zone, ...]) -> list[tuple[int, int]]:
    """Return the blocks (pfn, order) in the zones that the trace frees without having allocated them."""
    pfns, orders = recording.before >> 8, recording.before & 0x3F
    inside = np.zeros(len(pfns), bool)
    for zone in zones:
        inside |= (pfns >= zone.start) & (pfns + (1 << orders) <= zone.end)
    return list(zip(pfns[inside].tolist(), orders[inside].tolist(), strict=True))


def zone_state(
    allocator: PageAllocator, recording: Recording, sizes: ZoneSizes, in_use: list[tuple[int, int]]
) -> ZoneState:
    """Return a zone at the start: its free memory in the largest blocks, its pageblocks of the types first seen."""
    zone = sizes.zone
    taken = np.zeros(zone.spanned, bool)
    for pfn, order in in_use:
        if zone.start <= pfn < zone.end:
            taken[pfn - zone.start : pfn - zone.start + (1 << order)] = True
    if isinstance(sizes, KnownSizes):
        take_more(taken, recording, zone, sizes.taken)
    first = zone.start >> BLOCK_ORDER
    blocks = np.full(len(allocator.block_types(zone.index)), st.MIGRATE_MOVABLE, np.uint8)
    seen = recording.blocks[first : first + len(blocks)]
    blocks[: len(seen)] = np.where(seen == NO_TYPE, st.MIGRATE_MOVABLE, seen)
    lists: list[list[list[int]]] = [[[] for _ in st.MIGRATE_NAMES] for _ in range(st.MAX_ORDER)]
    later = allocator.rules.later
    for pfn, order in free_blocks(taken, zone.start):
        types = blocks[(pfn >> BLOCK_ORDER) - first :][: max(1 << order >> BLOCK_ORDER, 1)]
        if later:
            types[:] = types[0]  # there a free block is of one type
        lists[order][int(types[0])].append(pfn)
    cpus = allocator.machine.cpus
    none = ((),) * allocator.rules.pcp_lists
    return ZoneState(
        index=zone.index,
        free=int(np.count_nonzero(~taken)),
        free_cma=0,
        boost=0,
        nr_reserved_highatomic=0,
        flags=0,
        free_lists=tuple(tuple(tuple(one if later else reversed(one)) for one in of_order) for of_order in lists),
        pcp_count=(0,) * cpus,
        pcp_lists=(none,) * cpus,
        cached=(none,) * cpus,
        blocks=tuple(blocks.tolist()),
        pcp=tuple(words_at_start(sizes) for _ in range(cpus if allocator.rules.later else 0)),
    )


def words_at_start(sizes: ZoneSizes) -> PcpState:
    """Return the words of a later kernel's empty lists, with the high that /proc/zoneinfo shows."""
    return PcpState(0, sizes.high, sizes.batch, 0, 0, sizes.pcp_flags, sizes.high_min, sizes.high_max)


def take_more(taken: NDArray[np.bool_], recording: Recording, zone: Zone, wanted: int) -> None:
    """Mark further pages as in use for good, from the zone's start, until there are so many: which ones is not known.

    Pages that the trace names stay out of it as long as there are others.
    """
    named = np.zeros(len(taken), bool)
    where = recording.where[zone.start : zone.end] != 0
    named[: len(where)] = where
    for candidates in (~taken & ~named, ~taken & named):
        missing = wanted - int(np.count_nonzero(taken))
        if missing > 0:
            taken[np.flatnonzero(candidates)[:missing]] = True


def free_blocks(taken: NDArray[np.bool_], start: int) -> Iterator[tuple[int, int]]:
    """Yield the largest aligned blocks (pfn, order) that make up the pages not taken, ascending.

    Models: mm/memblock.c:__free_pages_memory (v5.8).
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([True], taken, [True]))))
    for begin, end in (edges.reshape(-1, 2) + start).tolist():
        at = begin
        while at < end:
            order = min(
                st.MAX_ORDER - 1, (at & -at).bit_length() - 1 if at else st.MAX_ORDER, (end - at).bit_length() - 1
            )
            yield at, order
            at += 1 << order
