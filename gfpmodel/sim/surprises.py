"""What an mm developer would guess wrong about later kernels: a small run for each, to be compared between kernels."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from gfpmodel.mm import Machine, PageAllocator, Zone, pack_ops
from gfpmodel.mm import events as ev
from gfpmodel.mm.kernels import FIRST
from gfpmodel.mm.ops import NO_RESULT, OP_ALLOC, OP_NOLOCK
from gfpmodel.mm.state import MIGRATE_NAMES, ZONE_DMA32

START = 4096  #: first pfn of the zone
GFP_KERNEL, GFP_ATOMIC, MEMALLOC, MOVABLE, RECLAIMABLE = 0xCC0, 0xA20, 0x20000, 0x8, 0x10
REFILLS = (ev.REFILL_DONE, ev.PCP_REFILL)
SETTLE = 6  #: frees after which the next refill is one batch again
PAGES = 258048  #: of the fact sheet's zone, whose figures are the kernels' own functions'


def booted(kernel: str, pages: int = PAGES, **machine: Any) -> PageAllocator:
    """Return a machine of one zone and one cpu, with events."""
    return PageAllocator(Machine((Zone(ZONE_DMA32, START, pages),), **machine), events=1 << 16, kernel=kernel)


def sizes(kernel: str, batch: int, high: int) -> dict[str, Any]:
    """Return what fixes the sizes of the lists of a kernel's machine."""
    return {"pcp": (batch, high)} if kernel == FIRST else {"pcp_sizes": (batch, high, high)}


def high_of(allocator: PageAllocator) -> int:
    """Return how many pages the cpu's lists may hold now."""
    if allocator.rules.later:
        return allocator.pcp_state(0, ZONE_DMA32).high
    return allocator.sizes.zones[ZONE_DMA32].high


def count(allocator: PageAllocator, *kinds: int) -> int:
    """Return how many events of some kinds there were since the last look."""
    return sum(event.kind in kinds for event in allocator.events())


class Refill(NamedTuple):
    """A refill: at which request it came, how many pages it brought, and what the lists may hold after it."""

    request: int
    pages: int
    high: int


def refills(kernel: str, number: int = 7) -> list[Refill]:
    """Return the first refills of a cpu that asks and frees nothing."""
    allocator, request = booted(kernel), 0
    found: list[Refill] = []
    while len(found) < number:
        request += 1
        allocator.alloc_pages(GFP_KERNEL)
        got = [event.fields["got"] for event in allocator.events() if event.kind in REFILLS]
        found += [Refill(request, pages, high_of(allocator)) for pages in got]
    return found


def first_page(kernel: str) -> int:
    """Return where the first page that a fresh machine hands out lies, in pages from the zone's start."""
    pfn = booted(kernel).alloc_pages(GFP_KERNEL | MOVABLE)
    assert pfn is not None, "a fresh machine has memory"
    return pfn - START


def bulk_free(kernel: str) -> list[str]:
    """Return the types of the pages that a bulk free takes, in its order: five of each listed, a movable one freed."""
    allocator = booted(kernel, **sizes(kernel, 8, 16))
    kinds = (0, MOVABLE, RECLAIMABLE)
    pages = [[allocator.alloc_pages(GFP_KERNEL | kind) or 0 for _ in range(6)] for kind in kinds]
    allocator.drain()
    allocator.events()
    for at in range(5):
        for kind in (0, 2, 1):
            allocator.free_pages(pages[kind][at])
    allocator.free_pages(pages[1][5])
    return [
        MIGRATE_NAMES[event.fields["migratetype"]]
        for event in allocator.events()
        if event.kind == ev.MM_PAGE_PCPU_DRAIN
    ]


class Mixing(NamedTuple):
    """What one request did in a zone whose free memory is small movable blocks.

    How often the watermark was boosted before the first page of another type came, and after it; how many pages came.
    """

    boosts: int
    later: int
    taken: int


def mixing(kernel: str) -> Mixing:
    """Return what one unmovable request does where only small blocks between movable pages in use are free."""
    allocator = booted(kernel, 1 << 14, min_free_kbytes=256, **sizes(kernel, 8, 48))
    blocks = (1 << 14) >> 9
    ops = pack_ops(np.full(1 << 14, OP_ALLOC), 0, 0, GFP_KERNEL | MOVABLE | MEMALLOC)
    allocator.run(ops, lru_movable=True)
    for block in range(blocks):
        for page in range(1 << 4 + block % 4):
            allocator.free_pages(START + (block << 9) + page)
    allocator.drain()
    allocator.events()
    allocator.alloc_pages(GFP_KERNEL)
    kinds = [event.kind for event in allocator.events() if event.kind in (ev.WATERMARK_BOOST, ev.EXTFRAG)]
    first = kinds.index(ev.EXTFRAG) if ev.EXTFRAG in kinds else len(kinds)
    seen = Counter(kinds[first:])
    return Mixing(first, seen[ev.WATERMARK_BOOST], seen[ev.EXTFRAG])


def reserved(kernel: str, pages: int) -> int:
    """Return how many pages GFP_ATOMIC requests of order 4 make a zone reserve, once free memory is below its low."""
    allocator = booted(kernel, pages)
    squeeze(allocator)
    for _ in range(4):
        allocator.alloc_pages(GFP_ATOMIC, 4)
    return allocator.counters(ZONE_DMA32)["nr_reserved_highatomic"]


def squeeze(allocator: PageAllocator, free: int | None = None) -> list[tuple[int, int]]:
    """Take blocks until so many pages are free, midway from the min to the low watermark by default; returns them.

    The lists are empty afterwards.
    """
    marks, taken = allocator.sizes.zones[ZONE_DMA32].wmark, []
    target = (marks[0] + marks[1]) // 2 if free is None else free
    for order in range(10, 3, -1):
        while allocator.nr_free(ZONE_DMA32) - (1 << order) >= target:
            pfn = allocator.alloc_pages(GFP_KERNEL | MEMALLOC | MOVABLE, order)
            if pfn is None:
                break
            taken.append((pfn, order))
    few = allocator.nr_free(ZONE_DMA32) - target
    singles = [allocator.alloc_pages(GFP_KERNEL | MEMALLOC | MOVABLE) or 0 for _ in range(few + SETTLE)]
    for pfn in singles[few:]:
        allocator.free_pages(pfn)
    allocator.drain()
    return taken + [(pfn, 0) for pfn in singles[:few]]


class Atomic(NamedTuple):
    """Atomic requests on fresh lists: pages served, zone-lock acquisitions, what the lists may hold before, after."""

    served: int
    locks: int
    high_min: int
    high: int


def atomic(kernel: str, order: int, number: int, gfp: int | str = GFP_ATOMIC) -> Atomic:
    """Return what requests of an order do to the zone lock and the lists of a fresh machine."""
    allocator = booted(kernel, pageblock_order=10)
    before = high_of(allocator) if kernel == FIRST else allocator.pcp_state(0, ZONE_DMA32).high_min
    served = sum(allocator.alloc_pages(gfp, order) is not None for _ in range(number))
    return Atomic(served, count(allocator, ev.LOCK), before, high_of(allocator))


class Reserve(NamedTuple):
    """The HIGHATOMIC reserve before and after: pages that are free in it, and pages that count as reserved."""

    free_before: int
    free: int
    counted: int
    plenty: int  #: pages free in the zone, all the time at least


def reserve_spent(kernel: str, number: int = 700) -> Reserve:
    """Return what atomic requests of order 2 leave of a reserve while memory is free in plenty."""
    allocator = booted(kernel, pageblock_order=10)
    taken = squeeze(allocator)
    allocator.alloc_pages(GFP_ATOMIC, 4)
    for pfn, order in taken:
        allocator.free_pages(pfn, order)
    allocator.drain()
    before = highatomic(allocator)
    for _ in range(number):
        allocator.alloc_pages(GFP_ATOMIC, 2)
    counted = allocator.counters(ZONE_DMA32)["nr_reserved_highatomic"]
    return Reserve(before, highatomic(allocator), counted, allocator.nr_free(ZONE_DMA32))


def highatomic(allocator: PageAllocator) -> int:
    """Return how many pages are free on the HIGHATOMIC lists."""
    kind = MIGRATE_NAMES.index("HIGHATOMIC")
    return sum(len(allocator.free_list(ZONE_DMA32, order, kind)) << order for order in range(11))


def on_up(kernel: str, number: int = 200) -> int:
    """Return how often requests and frees take the zone lock on a kernel for a single cpu (CONFIG_SMP=n)."""
    allocator = booted(kernel, smp=False)
    for _ in range(number):
        allocator.free_pages(allocator.alloc_pages(GFP_KERNEL) or 0)
    return count(allocator, ev.LOCK)


# beside a booted v6.18


def left_on_lists(pages: int, free: int, least: int, order: int) -> int:
    """Return how many pages the cpu's lists hold when alloc_pages_nolock() gets its first NULL, on v6.18.

    Arguments: the pages of the zone, and those free at first; its min watermark; the order that is asked for until
    nothing comes.  Nothing was listed before.
    """
    allocator = booted("v6.18", pages, cpus=2, min_free_kbytes=4 * least)
    squeeze(allocator, free)
    while (allocator.run(pack_ops(np.full(256, OP_NOLOCK), 0, order, 0)).pfns != NO_RESULT).all():
        pass
    return allocator.pcp_count(0, ZONE_DMA32)


def served_near_min(free: int, least: int, pages: int = PAGES) -> int:
    """Return how many of eight alloc_pages_nolock() get a page on v6.18, this cpu's lists being empty before.

    Arguments: free pages of the zone, its min watermark, its size.
    """
    allocator = booted("v6.18", pages, min_free_kbytes=4 * least, watermark_boost_factor=0)
    squeeze(allocator, free)
    return sum(allocator.alloc_pages_nolock() is not None for _ in range(8))
