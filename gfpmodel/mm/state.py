"""The words of the engine's arrays, and the small functions that read and write them.

Four arrays hold a machine; the functions of the engine take them as one argument, ``m``:

``pages``  uint32, two words a row.  A row is a ``struct page``: next and prev.  List heads are rows too: first those of
           every zone's free areas, then those of the per-cpu lists, then the pages, so that row 0 is never a page and
           serves as NULL.
``flags``  uint16, one a row: what a page is.  They lie apart from the links, so that merging, which asks this of pages
           that it seldom touches, finds 32 of them in a line of the cache.
``zones``  int64, 64 words for each of the four zones, then those of the machine.
``blocks`` uint8, the migratetype of each pageblock.
``trace``  int64, the ring of events, or None: then the compiled code has no trace of it.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm.jit import i64, inlined, u64

Pages = NDArray[np.uint32]
Flags = NDArray[np.uint16]
Zones = NDArray[np.int64]
Blocks = NDArray[np.uint8]
Trace = NDArray[np.int64] | None


class Mm(NamedTuple):
    """A machine: all that the engine reads and writes."""

    pages: Pages
    flags: Flags
    zones: Zones
    blocks: Blocks
    trace: Trace


class Traced(Mm):
    """A machine whose events are always recorded: what only such a one calls is compiled once."""

    trace: NDArray[np.int64]


Silent = Annotated[Mm, False]  #: the machine of an entry that records no event, whether there is a ring or not


MAX_ORDER = 11
PAGE_ALLOC_COSTLY_ORDER = 3
NULL = 0

MIGRATE_UNMOVABLE, MIGRATE_MOVABLE, MIGRATE_RECLAIMABLE, MIGRATE_HIGHATOMIC = 0, 1, 2, 3
MIGRATE_PCPTYPES = 3
MIGRATE_CMA = 4  #: with CONFIG_CMA; without it 4 is MIGRATE_ISOLATE, whose list is always empty here
MIGRATE_TYPES_WRITTEN = 5  #: free lists of an order
MIGRATE_NAMES = ("UNMOVABLE", "MOVABLE", "RECLAIMABLE", "HIGHATOMIC", "CMA")

ZONE_DMA, ZONE_DMA32, ZONE_NORMAL, ZONE_MOVABLE = 0, 1, 2, 3
MAX_NR_ZONES = 4
ZONE_NAMES = ("DMA", "DMA32", "Normal", "Movable")

# A row of `pages`.
ROW = 2
NEXT, PREV = 0, 1
ANY_ROW = 0xFFFFFFFF  #: the bits of a row's number; what is below the first is beyond the last with them

# The flags of a page: order, state, zone, and the migratetype that the kernel caches in page->index.  A free block's
# say its order, state and zone and nothing else, so that one comparison tells whether a buddy can be merged with.
ORDER_MASK = 0xF
FREE_BUDDY, ON_PCP, IN_USE = 0x10, 0x20, 0x30
STATE_MASK = 0x30
ZONE_SHIFT = 6
ZONE_MASK = 0xC0
TYPE_SHIFT = 8
TYPE_MASK = 0x700
PG_LRU = 0x800
DEFERRED = ON_PCP | 7 << TYPE_SHIFT  #: free_pages_nolock() could not free it yet

# A zone's free area of one order: a row for each list head.  Instead of nr_free, which the kernel asks only whether it
# is 0, a zone has a bit for each order (ORDERS).
AREA_ROWS = 8
DEFERRED_ROW = 6  #: of order 0: the head of zone->trylock_free_pages
AREAS_END = MAX_NR_ZONES * MAX_ORDER * AREA_ROWS

# A struct per_cpu_pages: three list heads, then count, high and batch: together a cache line.
PCP_ROWS = 8
COUNTS_ROW = 3
COUNT, HIGH, BATCH = 0, 1, 2

# The same from v5.13 on: a list for each type and low order, two more for huge pages, and the words behind them.
NR_PCP_LISTS = 14
NR_LOWORDER_PCP_LISTS = 12
PCP_COUNTS = ROW * NR_PCP_LISTS
PCP_WORDS = 9
PCP_COUNT, PCP_HIGH, PCP_BATCH, PCP_FREE_COUNT, PCP_ALLOC_FACTOR, PCP_FLAGS, PCP_HIGH_MIN, PCP_HIGH_MAX, PCP_HELD = (
    range(PCP_COUNTS, PCP_COUNTS + PCP_WORDS)
)
LIST_ROWS = 32  #: 14 and 5 rows are used; a power of two makes a shift of finding them, and they begin a cache line
PCPF_PREV_FREE_HIGH_ORDER, PCPF_FREE_HIGH_BATCH = 1, 2
PMD_ORDER = 9

# The words of a zone.
ZONE_WORDS = 64
NR_FREE, NR_FREE_CMA, BOOST, WMARK, RESERVE = 0, 1, 2, 3, 6  # three watermarks, four lowmem reserves
NEXT_ZONE, ZONE_START, ZONE_END, MANAGED, NR_HIGHATOMIC, ZONE_FLAGS, CONTENDED = range(10, 17)
UNSEEN = 17  #: pages that are neither free nor known to be in use: never given to the allocator, or before a dump
ORDERS = 18  #: five words: for each migratetype a bit for every order that has a block on its free list
NR_FREE_HIGHATOMIC = 23
ZONE_BOOSTED_WATERMARK, ZONE_RECLAIM_ACTIVE, ZONE_BELOW_HIGH = 1, 2, 4

# The words of the machine, read and written as those of a fifth zone.
MACHINE = MAX_NR_ZONES
PAGEBLOCK_ORDER, TYPE_OF_REQUEST, BOOST_FACTOR, ALLOWED, CMA_ON, VERBATIM, LRU_MASK = 0, 1, 2, 3, 4, 5, 6
PFN_OFFSET, FIRST_PAGE, PAGES_END, FIRST_ZONE, LAST_RESULT, RULE_BIT = 7, 8, 9, 10, 14, 15
HIGHEST_ZONE = 16  # sixteen words: the highest zone index for the low four bits of a mask
RULES = 32  # two request rules of eight words each
RULE_WORDS = 8
THP, DEFRAG_MODE, BUSY, TRYLOCKS, AMOUNT, HIT_RUNS = range(48, 54)

#: What was last said of requests: so many pairs of words from a sixth zone on, a request and how it is served.
JUDGES, JUDGED = MACHINE + 1, 256

# What is busy during one operation, besides what is held all the time: a bit for each zone whose lock is, one for each
# zone whose lists (of this cpu) are, and one for each attempt, by its number from 0, that fails.
BUSY_ZONES, BUSY_LISTS, BUSY_ATTEMPTS = 0, 4, 8
MAX_ATTEMPTS = 32

# The words of a request rule (a row of gfpmodel.proposals as numbers).
SCAN_FIRST, SCAN_LAST, REFILL, MARK, SLOW_PATH, MAX_ZONE, TOP_ORDER, OWN_LOOP = range(8)
SCAN_OWN = -1
REFILL_NO, REFILL_YES, REFILL_TRYLOCK, REFILL_DECLINE = 0, 1, 2, 3

# How a request may be served (mm/internal.h).
ALLOC_WMARK_MIN, ALLOC_WMARK_LOW, ALLOC_WMARK_HIGH = 0, 1, 2
ALLOC_WMARK_MASK = 3
ALLOC_NO_WATERMARKS = 0x4
ALLOC_OOM = 0x8
ALLOC_HARDER = 0x10
ALLOC_HIGH = 0x20
ALLOC_CPUSET = 0x40
ALLOC_CMA = 0x80
ALLOC_NOFRAGMENT = 0x100
ALLOC_KSWAPD = 0x800
# From v6.3 on the bits of HARDER and HIGH have other names, and two are new.
ALLOC_NON_BLOCK = 0x10
ALLOC_MIN_RESERVE = 0x20
ALLOC_HIGHATOMIC = 0x200
ALLOC_TRYLOCK = 0x400
ALLOC_RESERVES = ALLOC_OOM | ALLOC_NON_BLOCK | ALLOC_MIN_RESERVE | ALLOC_HIGHATOMIC


@inlined
def get(m: Mm, row: int, word: int) -> Any:
    """Read a word of a row: ``page->next`` is ``get(m, page, NEXT)``."""
    return i64(m.pages[u64(ROW * row + word)])


@inlined
def put(m: Mm, row: int, word: int, value: int) -> None:
    """Write a word of a row."""
    m.pages[u64(ROW * row + word)] = value


@inlined
def get_flags(m: Mm, page: int) -> Any:
    """Read ``page->flags``."""
    return i64(m.flags[u64(page)])


@inlined
def set_flags(m: Mm, page: int, flags: int) -> None:
    """Write ``page->flags``."""
    m.flags[u64(page)] = flags


@inlined
def zget(m: Mm, zone: int, word: int) -> Any:
    """Read a word of a zone, or of the machine."""
    return m.zones[u64(ZONE_WORDS * zone + word)]


@inlined
def zput(m: Mm, zone: int, word: int, value: int) -> None:
    """Write a word of a zone, or of the machine."""
    m.zones[u64(ZONE_WORDS * zone + word)] = value


@inlined
def zadd(m: Mm, zone: int, word: int, value: int) -> None:
    """Add to a word of a zone."""
    m.zones[u64(ZONE_WORDS * zone + word)] += value


@inlined
def free_area(zone: int, order: int) -> Any:
    """Return the first row of a zone's free area: the head of the UNMOVABLE list; the other types follow."""
    return (zone * MAX_ORDER + order) * AREA_ROWS


@inlined
def per_cpu_pages(cpu: int, zone: int) -> Any:
    """Return the first row of a cpu's lists in a zone."""
    return AREAS_END + (cpu * MAX_NR_ZONES + zone) * PCP_ROWS


@inlined
def get_pageblock_migratetype(m: Mm, page: int) -> Any:
    """Return the type of the pageblock that a page lies in."""
    return i64(m.blocks[u64(page >> zget(m, MACHINE, PAGEBLOCK_ORDER))])


@inlined
def page_to_pfn(m: Mm, page: int) -> Any:
    """Return the page frame number of a row."""
    return page + zget(m, MACHINE, PFN_OFFSET)


@inlined
def list_add(m: Mm, page: int, head: int) -> None:
    """Put a page at the head of a list."""
    first = get(m, head, NEXT)
    put(m, first, PREV, page)
    put(m, page, NEXT, first)
    put(m, page, PREV, head)
    put(m, head, NEXT, page)


@inlined
def list_start(m: Mm, page: int, head: int) -> None:
    """Put a page on a list that is empty."""
    put(m, page, NEXT, head)
    put(m, page, PREV, head)
    put(m, head, NEXT, page)
    put(m, head, PREV, page)


@inlined
def list_add_tail(m: Mm, page: int, head: int) -> None:
    """Put a page at the tail of a list."""
    last = get(m, head, PREV)
    put(m, last, NEXT, page)
    put(m, page, NEXT, head)
    put(m, page, PREV, last)
    put(m, head, PREV, page)


@inlined
def list_del(m: Mm, page: int) -> None:
    """Take a page off the list it is on."""
    after, before = get(m, page, NEXT), get(m, page, PREV)
    put(m, after, PREV, before)
    put(m, before, NEXT, after)


@inlined
def list_empty(m: Mm, head: int) -> Any:
    """Return whether nothing is on a list."""
    return get(m, head, NEXT) == head


@inlined
def list_pop(m: Mm, head: int, first: int) -> None:
    """Take the first page off a list; what is before it need not be looked up."""
    after = get(m, first, NEXT)
    put(m, after, PREV, head)
    put(m, head, NEXT, after)
