"""The machine on which a cell is asked, with this CPU's lists as the cell wants them."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace
from functools import lru_cache
from threading import get_ident

from gfpmodel.errors import unknown
from gfpmodel.mm import Machine, PageAllocator, Rule, Snapshot, Zone
from gfpmodel.mm.state import ZONE_BOOSTED_WATERMARK

#: The guest of the recorded cells: 256 MiB, batch 15 and high 90 in DMA32, pageblocks of order 10.
GUEST = Machine((Zone(0, 1, 4095), Zone(1, 4096, 61440)), pageblock_order=10)
BIG_ZONE = 1
UNMOVABLE, MOVABLE, RECLAIMABLE = 0xCC0, 0xCC8, 0xCD0
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


WARM = fill(UNMOVABLE, MOVABLE, RECLAIMABLE)
#: The states of this CPU's lists: how to prepare one, the zone flags and the watermark boost (pages) set by hand.
PCP: dict[str, tuple[Callable[[PageAllocator], None], int, int]] = {
    "dry": (fill(), 0, 0),
    "warm": (WARM, 0, 0),
    "monly": (fill(MOVABLE), 0, 0),
    "ronly": (fill(RECLAIMABLE), 0, 0),
    "full": (fill_to_high, 0, 0),
    "boost": (WARM, ZONE_BOOSTED_WATERMARK, 0),
    "boostwm": (WARM, ZONE_BOOSTED_WATERMARK, BOOST),
}


@lru_cache(maxsize=len(PCP))
def prepared(pcp: str) -> tuple[Snapshot, int]:
    """Return the machine's state with the lists as named, and the pfn of a page in use that may be freed.

    Raises InputError for an unknown name.
    """
    if pcp not in PCP:
        raise unknown("pcp state", pcp, PCP)
    prepare, flags, boost = PCP[pcp]
    a = PageAllocator(GUEST)
    settle(a)
    page = a.alloc_pages(UNMOVABLE) or 0
    a.drain()
    prepare(a)
    snapshot = a.snapshot()
    return replace(snapshot, zones=tuple(replace(z, flags=flags, boost=boost) for z in snapshot.zones)), page


def allocator(rule: Rule | None) -> PageAllocator:
    """Return this thread's allocator that serves a row's requests; its state is whatever the last user left."""
    return _allocator(rule, get_ident())


@lru_cache(maxsize=64)
def _allocator(rule: Rule | None, _thread: int) -> PageAllocator:
    return PageAllocator(GUEST, rule, events=EVENTS)


def ready(rule: Rule | None, pcp: str, zones: Container[int]) -> tuple[PageAllocator, int]:
    """Return an allocator in a prepared state, and a page that may be freed.

    Arguments: the row of the proposal; the state of the lists; the zones whose lock is taken already.
    """
    snapshot, page = prepared(pcp)
    a = allocator(rule)
    a.restore(snapshot)
    for zone in a.sizes.zones:
        a.contend(zone, held=zone in zones)
    a.events()
    return a, page
