"""The machine on which a cell is asked, with this CPU's lists as the cell wants them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from threading import get_ident
from typing import NamedTuple

from gfpmodel.errors import unknown
from gfpmodel.locking.step import NOTHING, Taken
from gfpmodel.mm import Machine, PageAllocator, Rule, Snapshot, Zone
from gfpmodel.mm.kernels import FIRST
from gfpmodel.mm.state import (
    ALLOC_WMARK_LOW,
    ALLOC_WMARK_MIN,
    MAX_ORDER,
    MIGRATE_PCPTYPES,
    PAGE_ALLOC_COSTLY_ORDER,
    ZONE_BOOSTED_WATERMARK,
    ZONE_NORMAL,
)

#: The guest of the recorded cells: 256 MiB, batch 15 and high 90 in DMA32, pageblocks of order 10.
GUEST = Machine((Zone(0, 1, 4095), Zone(1, 4096, 61440)), pageblock_order=10)
BIG_ZONE = 1
UNMOVABLE, MOVABLE, RECLAIMABLE = 0xCC0, 0xCC8, 0xCD0
FOR_DMA, MEMALLOC = 0x1, 0x20000
HIGHEST_FILLED = 1  #: of the lists, only those of orders 0 and 1 hold pages, as on the guest of v6.18
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
        for order in range(HIGHEST_FILLED + 1 if a.rules.later else 1):
            for mask in masks:
                a.free_pages(a.alloc_pages(mask, order) or 0, order)

    return prepare


def fill_to_high(a: PageAllocator) -> None:
    """Put high - 1 pages on the UNMOVABLE list: the next free reaches high, which is high_min where it tunes itself."""
    sizes = a.sizes.zones[BIG_ZONE]
    high = sizes.high_min if a.rules.later else sizes.high
    pfns = [a.alloc_pages(UNMOVABLE) or 0 for _ in range(high + sizes.batch)]
    pair = a.alloc_pages(UNMOVABLE, 1) or 0
    a.drain()
    if a.rules.later:
        while a.decay_pcp_high(0, BIG_ZONE):
            pass  # the requests raised high: down to high_min again
        a.free_pages(pair, 1)
    for pfn in pfns[: high - 1 - a.pcp_count(0, BIG_ZONE)]:
        a.free_pages(pfn)


def use_up(a: PageAllocator, mark: int) -> None:
    """Take blocks until no zone is above a watermark, the lower zone first; the lists keep their pages.

    Nothing is freed and no counter is set: the machine is one that uses its memory.
    """
    for zone, mask in ((0, UNMOVABLE | MEMALLOC | FOR_DMA), (BIG_ZONE, UNMOVABLE | MEMALLOC)):
        while a.watermark_ok(zone, 0, mark, ZONE_NORMAL):
            served = [order for order in range(1, MAX_ORDER) if a.watermark_ok(zone, order, mark, ZONE_NORMAL)]
            a.alloc_pages(mask, max(served, default=1))
        for order in range(HIGHEST_FILLED + 1, PAGE_ALLOC_COSTLY_ORDER + 1) if a.rules.later else ():
            while len(a.pcp_list(0, zone, MIGRATE_PCPTYPES * order)):
                a.alloc_pages(mask, order)  # what the refill for such a request left


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


class Lists(NamedTuple):
    """Whose lists the machine has: the kernel of the engine's row, and whether huge pages have some, too."""

    kernel: str = FIRST
    thp: bool = False

    @property
    def machine(self) -> Machine:
        """Return the guest as this kernel boots it."""
        return replace(GUEST, thp=True) if self.thp else GUEST


@lru_cache(maxsize=256)
def prepared(pcp: str, emptied: bool = False, lists: Lists = Lists()) -> tuple[Snapshot, int]:  # noqa: B008
    """Return the machine's state with the lists as named, and the pfn of a page in use that may be freed.

    ``emptied`` leaves the lists without a page, and all else as named.  Raises InputError for an unknown name.
    """
    if pcp not in PCP:
        raise unknown("pcp state", pcp, PCP)
    state = PCP[pcp]
    machine = lists.machine if state.mark is None else replace(lists.machine, watermark_boost_factor=0)
    a = PageAllocator(machine, kernel=lists.kernel)
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


def allocator(rule: Rule | None, lists: Lists = Lists()) -> PageAllocator:  # noqa: B008
    """Return this thread's allocator that serves a row's requests; its state is whatever the last user left."""
    return _allocator(rule, lists, get_ident())


@lru_cache(maxsize=64)
def _allocator(rule: Rule | None, lists: Lists, _thread: int) -> PageAllocator:
    return PageAllocator(lists.machine, rule, events=EVENTS, kernel=lists.kernel)


def ready(
    rule: Rule | None,
    pcp: str,
    taken: Taken = NOTHING,
    emptied: bool = False,
    lists: Lists = Lists(),  # noqa: B008
) -> tuple[PageAllocator, int]:
    """Return an allocator in a prepared state, and a page that may be freed.

    Arguments: the row of the proposal; the state of the lists; the locks that are taken already; whether the lists
    that count have no page all the same; whose lists they are.
    """
    snapshot, page = prepared(pcp, emptied, lists)
    a = allocator(rule, lists)
    a.restore(snapshot)
    for zone in a.sizes.zones:
        a.contend(zone, held=zone in taken.zones)
        if a.rules.later:
            a.contend_lists(0, zone, held=taken.pcp and zone == BIG_ZONE)
    a.events()
    return a, page
