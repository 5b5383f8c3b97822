"""The machine on which a cell is asked, with this CPU's lists as the cell wants them."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace
from functools import lru_cache
from threading import get_ident
from typing import NamedTuple

from gfpmodel.errors import unknown
from gfpmodel.mm import Machine, PageAllocator, Rule, Snapshot, Zone
from gfpmodel.mm.state import ALLOC_WMARK_LOW, ALLOC_WMARK_MIN, MAX_ORDER, ZONE_BOOSTED_WATERMARK, ZONE_NORMAL

#: The guest of the recorded cells: 256 MiB, batch 15 and high 90 in DMA32, pageblocks of order 10.
GUEST = Machine((Zone(0, 1, 4095), Zone(1, 4096, 61440)), pageblock_order=10)
BIG_ZONE = 1
UNMOVABLE, MOVABLE, RECLAIMABLE = 0xCC0, 0xCC8, 0xCD0
FOR_DMA, MEMALLOC = 0x1, 0x20000
SETTLED = 256  #: pages of each type taken once, so that each type has blocks of its own
BOOST = 1024  #: pages, as set by hand in the recorded cells
EVENTS = 1 << 12


def settle(a: PageAllocator) -> None:
    """Give every migratetype blocks of its own, as on a machine that has run for a while."""
    for mask in (UNMOVABLE, MOVABLE, RECLAIMABLE):
        for pfn in [a.alloc_pages(mask) for _ in range(SETTLED)]:
            a.free_pages(pfn or 0)
    a.drain()


def fill(*masks: int) -> Callable[[PageAllocator], None]:
    """Return the preparation that puts one batch on the lists of these requests' types."""

    def prepare(a: PageAllocator) -> None:
        for mask in masks:
            a.free_pages(a.alloc_pages(mask) or 0)

    return prepare


def fill_to_high(a: PageAllocator) -> None:
    """Put high - 1 pages on the UNMOVABLE list: the next free reaches high."""
    sizes = a.sizes.zones[BIG_ZONE]
    pfns = [a.alloc_pages(UNMOVABLE) or 0 for _ in range(sizes.high + sizes.batch)]
    a.drain()
    for pfn in pfns[: sizes.high - 1]:
        a.free_pages(pfn)


def use_up(a: PageAllocator, mark: int) -> None:
    """Take blocks until no zone is above a watermark, the lower zone first; the lists keep their pages.

    Nothing is freed and no counter is set: the machine is one that uses its memory.
    """
    for zone, mask in ((0, UNMOVABLE | MEMALLOC | FOR_DMA), (BIG_ZONE, UNMOVABLE | MEMALLOC)):
        while a.watermark_ok(zone, 0, mark, ZONE_NORMAL):
            served = [order for order in range(1, MAX_ORDER) if a.watermark_ok(zone, order, mark, ZONE_NORMAL)]
            a.alloc_pages(mask, max(served, default=1))


class ListState(NamedTuple):
    """A state of this CPU's lists: how they are filled, and what is set by hand in every zone.

    That are the zone flags and the watermark boost (pages).  ``mark`` is the watermark at which free memory is, None
    where there is plenty.
    """

    fill: Callable[[PageAllocator], None]
    flags: int = 0
    boost: int = 0
    mark: int | None = None


WARM = fill(UNMOVABLE, MOVABLE, RECLAIMABLE)
PCP: dict[str, ListState] = {
    "dry": ListState(fill()),
    "warm": ListState(WARM),
    "monly": ListState(fill(MOVABLE)),
    "ronly": ListState(fill(RECLAIMABLE)),
    "full": ListState(fill_to_high),
    "boost": ListState(WARM, ZONE_BOOSTED_WATERMARK),
    "boostwm": ListState(WARM, ZONE_BOOSTED_WATERMARK, BOOST),
    "low": ListState(WARM, mark=ALLOC_WMARK_LOW),
    "min": ListState(WARM, mark=ALLOC_WMARK_MIN),
}


@lru_cache(maxsize=2 * len(PCP))
def prepared(pcp: str, emptied: bool = False) -> tuple[Snapshot, int]:
    """Return the machine's state with the lists as named, and the pfn of a page in use that may be freed.

    ``emptied`` leaves the lists without a page, and all else as named.  Raises InputError for an unknown name.
    """
    if pcp not in PCP:
        raise unknown("pcp state", pcp, PCP)
    state = PCP[pcp]
    a = PageAllocator(GUEST if state.mark is None else replace(GUEST, watermark_boost_factor=0))
    settle(a)
    page = a.alloc_pages(UNMOVABLE) or 0
    a.drain()
    state.fill(a)
    if emptied:
        a.drain()
    if state.mark is not None:
        use_up(a, state.mark)
    snapshot = a.snapshot()
    zones = tuple(replace(zone, flags=state.flags, boost=state.boost) for zone in snapshot.zones)
    return replace(snapshot, zones=zones), page


def allocator(rule: Rule | None) -> PageAllocator:
    """Return this thread's allocator that serves a row's requests; its state is whatever the last user left."""
    return _allocator(rule, get_ident())


@lru_cache(maxsize=64)
def _allocator(rule: Rule | None, _thread: int) -> PageAllocator:
    return PageAllocator(GUEST, rule, events=EVENTS)


def ready(rule: Rule | None, pcp: str, zones: Container[int], emptied: bool = False) -> tuple[PageAllocator, int]:
    """Return an allocator in a prepared state, and a page that may be freed.

    Arguments: the row of the proposal; the state of the lists; the zones whose lock is taken already; whether the
    lists that count have no page all the same.
    """
    snapshot, page = prepared(pcp, emptied)
    a = allocator(rule)
    a.restore(snapshot)
    for zone in a.sizes.zones:
        a.contend(zone, held=zone in zones)
    a.events()
    return a, page
