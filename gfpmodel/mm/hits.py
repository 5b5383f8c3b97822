"""What most requests and frees are, hits: a page from this cpu's list, or to it, without a look at anything else."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.events import append, count_irq_off, header_of, next_event, set_next_event
from gfpmodel.mm.free import __free_pages
from gfpmodel.mm.jit import inlined
from gfpmodel.mm.page_alloc import alloc_pages_nodemask, gfp_migratetype, prepare_alloc_pages, scanned_lists
from gfpmodel.mm.pcp import put_first, take_first
from gfpmodel.mm.state import (
    NULL,
    Mm,
    get,
    get_flags,
    get_pageblock_migratetype,
    list_empty,
    page_to_pfn,
    per_cpu_pages,
    zget,
    zput,
)
from gfpmodel.mm.watermark import has_plenty, has_plenty_for_any

HASH, HASH_SHIFT = 0x9E377B, 23  #: spread masks, which differ in few bits, over the table, and a product fits a word
OF_ORDER, OF_CPU = 16, 17  #: and lay orders and cpus apart


@inlined
def hit_order(order: int) -> Any:
    """Return the order of a hit: this one, if its blocks have lists, else one that differs from it."""
    return 0


@inlined
def hit_zone(m: Mm, gfp: int, order: int) -> Any:
    """Say how nearly all requests with this mask and order are served: by the first zone, if it has plenty.

    Returns that zone, -1 if the request has to go the long way, and the first list it looks at.  Pages that come and
    go on a cpu's lists do not change the answer.
    """
    rule, gfp, migratetype, highest, alloc_flags = prepare_alloc_pages(m, gfp)
    zone = zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    first, last = scanned_lists(m, rule, migratetype)
    if zone >= 0:
        mark = zget(m, zone, st.WMARK + (alloc_flags & st.ALLOC_WMARK_MASK)) + zget(m, zone, st.BOOST)
        if zget(m, zone, st.ZONE_FLAGS) or first > last or not has_plenty(m, zone, mark, highest, alloc_flags):
            zone = -1
    return zone, first


@inlined
def begin_run(m: Mm) -> Any:
    """Begin a run of hits, in which what hit_zone() calls a hit stays one; returns its number, of 15 bits."""
    run = zget(m, st.MACHINE, st.HIT_RUNS) + 1 & 0x7FFF
    zput(m, st.MACHINE, st.HIT_RUNS, run)
    if run == 0:
        for word in range(2 * st.JUDGED):
            zput(m, st.JUDGES, word, 0)
    return run


@inlined
def may_end_hits(m: Mm, asked: bool, page: int) -> Any:
    """Return whether an operation, a request (``asked``) that got this block or NULL, may have made hits no hits.

    Only a request leaves less free, and only in the zone that it took from.  What one that got NULL did on its way,
    which is seldom, is not asked.
    """
    if not asked:
        return False
    zone = (get_flags(m, page) & st.ZONE_MASK) >> st.ZONE_SHIFT
    return page == NULL or zget(m, zone, st.ZONE_FLAGS) != 0 or not has_plenty_for_any(m, zone)


@inlined
def judged(m: Mm, op: int, cpu: int, gfp: int, order: int, run: int) -> Any:
    """Return how a request is served: from which list (NULL: it goes the long way), and which flags its block gets.

    A table has what hit_zone() said in this run of hits: the operation that asks, and in a word the run and the answer.
    """
    entry = (gfp * HASH >> HASH_SHIFT) + order * OF_ORDER + cpu * OF_CPU & st.JUDGED - 1
    answer = zget(m, st.JUDGES, 2 * entry + 1)
    if zget(m, st.JUDGES, 2 * entry) != op or answer >> 48 != run:
        zone, first = hit_zone(m, gfp, order)
        head = per_cpu_pages(cpu, zone) + first if zone >= 0 else NULL
        flags = st.IN_USE | order | zone << st.ZONE_SHIFT | lru_flag(m, gfp) if zone >= 0 else 0
        answer = run << 48 | flags << 32 | head
        zput(m, st.JUDGES, 2 * entry, op)
        zput(m, st.JUDGES, 2 * entry + 1, answer)
    return answer & st.ANY_ROW, answer >> 32 & 0xFFFF


@inlined
def is_hit(m: Mm, head: int) -> Any:
    """Return whether this cpu's list has a page for a request that hit_zone() has judged."""
    return not list_empty(m, head)


@inlined
def alloc_hit(m: Mm, head: int, flags: int) -> Any:
    """Take a block for a request that is a hit, and give it flags."""
    return take_first(m, head, flags)


@inlined
def hits_irq_off() -> Any:
    """Return how many sections with interrupts off a hit has."""
    return 1


@inlined
def record_section(m: Mm, at: int, header: Any, zone: int, cpu: int) -> Any:
    """Record what a hit does around its look at the lists: interrupts go off and on."""
    at = append(m.trace, at, header, ev.IRQ_SAVE, zone)
    return append(m.trace, at, header, ev.IRQ_RESTORE, zone)


@inlined
def hit_kinds() -> Any:
    """Return the kinds of a hit's events, a bit for each."""
    return 1 << ev.IRQ_SAVE | 1 << ev.IRQ_RESTORE | 1 << ev.MM_PAGE_ALLOC | 1 << ev.MM_PAGE_FREE


@inlined
def hit_room(header: Any) -> Any:
    """Return up to which row of the ring a hit's three events can be written without a look at kinds and the end."""
    _, enabled, last = header
    return last - 3 if enabled & hit_kinds() == hit_kinds() else -1


@inlined
def write_hit(
    m: Mm, at: int, header: Any, cpu: int, zone: int, pfn: int, order: int, freed: bool, migratetype: int, gfp: int
) -> Any:
    """Write the events of a hit from number ``at`` on; returns the number of the next event."""
    if freed:
        at = append(m.trace, at, header, ev.MM_PAGE_FREE, zone, pfn, order)
    at = record_section(m, at, header, zone, cpu)
    if not freed:
        at = append(m.trace, at, header, ev.MM_PAGE_ALLOC, ev.NO_PAGE, pfn, order, migratetype, gfp)
    return at


@inlined
def record_hit(
    m: Mm, at: int, header: Any, room: int, cpu: int, zone: int, pfn: int, order: int,
    freed: bool, migratetype: int = 0, gfp: int = 0,
) -> Any:  # fmt: skip
    """Record a hit, a free or a request for this type; returns the number of the next event.

    Its three events are nearly always all wanted, and lie before the ring's end: what each asks is asked once then.
    ``room`` is what hit_room() says of the header.
    """
    op, _, last = header
    if at & last <= room:
        write_hit(m, at & last, (op, -1, -1), cpu, zone, pfn, order, freed, migratetype, gfp)
        return at + 3
    return write_hit(m, at, header, cpu, zone, pfn, order, freed, migratetype, gfp)


@inlined
def recorded(m: Mm, gfp: int) -> Any:
    """Return what the event of a request says of its mask: the migratetype, and the bits that are allowed now."""
    gfp &= zget(m, st.MACHINE, st.ALLOWED)
    return gfp_migratetype(m, gfp), gfp


@inlined
def alloc_pages(m: Mm, cpu: int, gfp: int, order: int) -> Any:
    """Allocate 2**order pages; returns the first, or NULL."""
    zone, first = hit_zone(m, gfp, order)
    head = per_cpu_pages(cpu, zone) + first
    if hit_order(order) != order or zone < 0 or not is_hit(m, head):
        return alloc_pages_nodemask(m, cpu, gfp, order)
    page = alloc_hit(m, head, st.IN_USE | order | zone << st.ZONE_SHIFT)
    count_irq_off(m.trace, hits_irq_off())
    header, pfn = header_of(m.trace), page_to_pfn(m, page)
    migratetype, mask = recorded(m, gfp)
    at = next_event(m.trace)
    at = record_hit(m, at, header, hit_room(header), cpu, zone, pfn, order, False, migratetype, mask)
    set_next_event(m.trace, at)
    return page


@inlined
def free_hit(m: Mm, cpu: int, page: int, order: int) -> Any:
    """Free a page as most are: to this cpu's list, which stays below ``high``.

    Returns its zone, or -1 if it has to go the long way.
    """
    flags = get_flags(m, page)
    zone = (flags & st.ZONE_MASK) >> st.ZONE_SHIFT
    pcp = per_cpu_pages(cpu, zone)
    count = get(m, pcp + st.COUNTS_ROW, st.COUNT) + 1
    if flags & (st.STATE_MASK | st.ORDER_MASK) != st.IN_USE or count >= get(m, pcp + st.COUNTS_ROW, st.HIGH):
        return -1
    put_first(m, zone, pcp, page, get_pageblock_migratetype(m, page), count)
    return zone


@inlined
def free_pages(m: Mm, cpu: int, page: int, order: int) -> None:
    """Free 2**order pages that are in use."""
    zone = free_hit(m, cpu, page, order) if hit_order(order) == order else -1
    if zone < 0:
        __free_pages(m, cpu, page, order)
    else:
        count_irq_off(m.trace, hits_irq_off())
        header, pfn = header_of(m.trace), page_to_pfn(m, page)
        at = record_hit(m, next_event(m.trace), header, hit_room(header), cpu, zone, pfn, order, True)
        set_next_event(m.trace, at)


@inlined
def lru_flag(m: Mm, gfp: int) -> Any:
    """Return what has stealing count a movable page, as one that is in the page cache, if the run asks for it."""
    return st.PG_LRU if gfp & zget(m, st.MACHINE, st.LRU_MASK) else 0
