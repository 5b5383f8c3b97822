"""The per-cpu lists of v6.18: orders 0 to 3 (and a huge page's), a lock that is tried, sizes that tune themselves."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.buddy import __free_one_page
from gfpmodel.mm.events import trace_event
from gfpmodel.mm.jit import compiled, inlined
from gfpmodel.mm.pcp import list_add_run
from gfpmodel.mm.state import (
    NULL,
    Mm,
    get,
    get_pageblock_migratetype,
    list_add,
    list_add_tail,
    list_del,
    list_empty,
    list_pop,
    page_to_pfn,
    set_flags,
    zget,
    zput,
)
from gfpmodel.mm.v6_18.buddy import RMQUEUE_NORMAL, __rmqueue
from gfpmodel.mm.v6_18.locks import (
    lock_zone,
    pcp_of,
    pcp_spin_lock,
    pcp_spin_trylock,
    pcp_spin_unlock,
    per_cpu_pages,
    pget,
    pput,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
)
from gfpmodel.mm.watermark import zone_watermark_ok

PCP_BATCH_SCALE_MAX = 5  #: CONFIG_PCP_BATCH_SCALE_MAX


@inlined
def pcp_allowed_order(m: Mm, order: int) -> Any:
    """Return whether blocks of an order have lists.

    Models: mm/page_alloc.c:pcp_allowed_order (v6.18).
    """
    return order <= st.PAGE_ALLOC_COSTLY_ORDER or (order == st.PMD_ORDER and zget(m, st.MACHINE, st.THP) != 0)


@inlined
def order_to_pindex(migratetype: int, order: int) -> Any:
    """Return the number of the list of a type and an order.

    Models: mm/page_alloc.c:order_to_pindex (v6.18).
    """
    if order > st.PAGE_ALLOC_COSTLY_ORDER:
        return st.NR_LOWORDER_PCP_LISTS + (1 if migratetype == st.MIGRATE_MOVABLE else 0)
    return st.MIGRATE_PCPTYPES * order + migratetype


@inlined
def pindex_to_order(pindex: int) -> Any:
    """Return the order of the blocks on a list.

    Models: mm/page_alloc.c:pindex_to_order (v6.18).
    """
    return st.PMD_ORDER if pindex >= st.NR_LOWORDER_PCP_LISTS else pindex // st.MIGRATE_PCPTYPES


@inlined
def clamp(value: int, low: int, high: int) -> Any:
    """Return a value between two; ``high`` wins.

    Models: include/linux/minmax.h:clamp (v6.18).
    """
    return min(max(value, low), high)


@inlined
def high_wmark_ok(m: Mm, zone: int) -> Any:
    """Return whether a zone is above its high mark for a page that any request may take.

    Models: mm/page_alloc.c:free_frozen_page_commit (v6.18), its condition after a bulk free.
    """
    mark = zget(m, zone, st.WMARK + st.ALLOC_WMARK_HIGH) + zget(m, zone, st.BOOST)
    return zone_watermark_ok(m, zone, 0, mark, st.ZONE_MOVABLE, 0, zget(m, zone, st.NR_FREE))


@compiled
def nr_pcp_alloc(m: Mm, zone: int, pcp: int, order: int) -> Any:
    """Return how many blocks a refill asks for; it raises ``high``, and doubles while nothing is freed.

    Models: mm/page_alloc.c:nr_pcp_alloc (v6.18).
    """
    batch, high_min, high_max = pget(m, pcp, st.PCP_BATCH), pget(m, pcp, st.PCP_HIGH_MIN), pget(m, pcp, st.PCP_HIGH_MAX)
    high = clamp(pget(m, pcp, st.PCP_HIGH), high_min, high_max)
    pput(m, pcp, st.PCP_HIGH, high)
    if high < batch:
        return 1
    factor = pget(m, pcp, st.PCP_ALLOC_FACTOR)
    wanted = batch << factor if order == 0 else batch
    if high_min != high_max and not zget(m, zone, st.ZONE_FLAGS) & st.ZONE_BELOW_HIGH:
        high = min(high + wanted, high_max)
        pput(m, pcp, st.PCP_HIGH, high)
    if order == 0:
        room = max(high - pget(m, pcp, st.PCP_COUNT) - batch, batch)
        if wanted <= room and factor < PCP_BATCH_SCALE_MAX:
            pput(m, pcp, st.PCP_ALLOC_FACTOR, factor + 1)
        wanted = min(wanted, room)
    return max(wanted >> order, 2) if wanted > 1 else wanted


@compiled
def rmqueue_bulk(m: Mm, zone: int, pcp: int, order: int, count: int, migratetype: int, alloc_flags: int) -> Any:
    """Move up to ``count`` blocks from the buddy lists to the tail of a pcp list; returns how many came.

    Models: mm/page_alloc.c:rmqueue_bulk (v6.18).
    """
    got = 0
    if lock_zone(m, zone, alloc_flags):
        head = pcp + order_to_pindex(migratetype, order)
        mode = RMQUEUE_NORMAL
        while got < count:
            most = count - got if order == 0 else 1
            page, taken, mode = __rmqueue(m, zone, order, migratetype, alloc_flags, mode, most)
            if page == NULL:
                break
            if order == 0:
                list_add_run(m, page, taken, head)
                got += taken
            else:
                set_flags(m, page, st.ON_PCP | order | zone << st.ZONE_SHIFT)
                list_add_tail(m, page, head)
                got += 1
        spin_unlock_irqrestore(m, zone)
    trace_event(m, ev.PCP_REFILL, zone, order, migratetype, count, got)
    return got


@inlined
def pcp_may_refill(order: int, alloc_flags: int) -> Any:
    """Return whether a request may refill an empty list: each does, before v7.1.

    Models: mm/page_alloc.c:__rmqueue_pcplist (v6.18).
    """
    return True


@compiled
def refill_pcplist(m: Mm, zone: int, pcp: int, order: int, migratetype: int, alloc_flags: int, refill: int) -> Any:
    """Refill an empty pcp list; returns whether something came.

    A proposal's row may say that it stays empty, or that the zone lock is only tried.
    Models: the inside of mm/page_alloc.c:__rmqueue_pcplist (v6.18).
    """
    if refill in (st.REFILL_NO, st.REFILL_DECLINE):
        return False
    count = nr_pcp_alloc(m, zone, pcp, order)
    if not pcp_may_refill(order, alloc_flags):
        return False
    got = rmqueue_bulk(m, zone, pcp, order, count, migratetype, alloc_flags)
    pput(m, pcp, st.PCP_COUNT, pget(m, pcp, st.PCP_COUNT) + (got << order))
    return got > 0


@inlined
def halve_free_count(m: Mm, pcp: int) -> None:
    """Let a request count against the frees that come in a row.

    Models: mm/page_alloc.c:rmqueue_pcplist (v6.18), its first line under the lock.
    """
    pput(m, pcp, st.PCP_FREE_COUNT, pget(m, pcp, st.PCP_FREE_COUNT) >> 1)


@inlined
def take_first(m: Mm, head: int, flags: int) -> Any:
    """Take the first block of a list that is not empty, and give it flags, which say its order."""
    page = get(m, head, st.NEXT)
    list_pop(m, head, page)
    set_flags(m, page, flags)
    pcp = pcp_of(head)
    pput(m, pcp, st.PCP_COUNT, pget(m, pcp, st.PCP_COUNT) - (1 << (flags & st.ORDER_MASK)))
    return page


@inlined
def __rmqueue_pcplist(m: Mm, zone: int, pcp: int, order: int, migratetype: int, alloc_flags: int, refill: int) -> Any:
    """Take the head of one pcp list, after a refill if it is empty.

    Models: mm/page_alloc.c:__rmqueue_pcplist (v6.18).
    """
    pindex = order_to_pindex(migratetype, order)
    if list_empty(m, pcp + pindex) and not refill_pcplist(m, zone, pcp, order, migratetype, alloc_flags, refill):
        return NULL
    return take_first(m, pcp + pindex, st.IN_USE | order | zone << st.ZONE_SHIFT)


@inlined
def rmqueue_pcplist(
    m: Mm, zone: int, cpu: int, order: int, first: int, last: int, alloc_flags: int, refill: int
) -> Any:
    """Take a block from this cpu's lists ``first`` to ``last`` (types) of a zone, if their lock is free.

    Models: mm/page_alloc.c:rmqueue_pcplist (v6.18); an ordinary request has one list.
    """
    pcp = per_cpu_pages(cpu, zone)
    if not pcp_spin_trylock(m, zone, cpu, pcp):
        return NULL
    halve_free_count(m, pcp)
    page = __rmqueue_pcplist(m, zone, pcp, order, first, alloc_flags, refill)
    while page == NULL and first < last:
        first += 1
        page = __rmqueue_pcplist(m, zone, pcp, order, first, alloc_flags, refill)
    pcp_spin_unlock(m, zone, cpu)
    return page


@compiled
def free_pcppages_bulk(m: Mm, zone: int, pcp: int, count: int, pindex: int) -> None:
    """Give about ``count`` pages of a cpu's lists back, from the tails, the list ``pindex`` first, each to its end.

    A block of more than one page may take more than ``count``.
    Models: mm/page_alloc.c:free_pcppages_bulk (v6.18).
    """
    held = pget(m, pcp, st.PCP_COUNT)
    count = min(held, count)
    trace_event(m, ev.PCP_BULK_FREE, zone, count, pindex)
    spin_lock_irqsave(m, zone)
    pindex -= 1
    while count > 0:
        head = pcp
        page = head
        while page == head:
            pindex = pindex + 1 if pindex < st.NR_PCP_LISTS - 1 else 0
            head = pcp + pindex
            page = get(m, head, st.PREV)
        order = pindex_to_order(pindex)
        while page != head and count > 0:
            list_del(m, page)
            count -= 1 << order
            held -= 1 << order
            migratetype = get_pageblock_migratetype(m, page)
            set_flags(m, page, 0)
            __free_one_page(m, zone, page, order, migratetype)
            trace_event(m, ev.MM_PAGE_PCPU_DRAIN, zone, page_to_pfn(m, page), order, migratetype)
            page = get(m, head, st.PREV)
    pput(m, pcp, st.PCP_COUNT, held)
    spin_unlock_irqrestore(m, zone)


@compiled
def nr_pcp_free(m: Mm, pcp: int, batch: int, high: int, free_high: bool) -> Any:
    """Return how many pages leave lists that are too long.

    Models: mm/page_alloc.c:nr_pcp_free (v6.18).
    """
    if free_high:
        return min(pget(m, pcp, st.PCP_COUNT), batch << PCP_BATCH_SCALE_MAX)
    if high < batch:
        return 1
    return clamp(pget(m, pcp, st.PCP_FREE_COUNT), batch, high - batch)


@inlined
def nr_pcp_high(m: Mm, zone: int, pcp: int, batch: int, free_high: bool) -> Any:
    """Return how many pages the lists may hold now, and tune that for later.

    Models: mm/page_alloc.c:nr_pcp_high (v6.18).
    """
    high_min, high_max = pget(m, pcp, st.PCP_HIGH_MIN), pget(m, pcp, st.PCP_HIGH_MAX)
    high = clamp(pget(m, pcp, st.PCP_HIGH), high_min, high_max)
    pput(m, pcp, st.PCP_HIGH, high)
    if high == 0:
        return 0
    if free_high:
        pput(m, pcp, st.PCP_HIGH, max(high - (batch << PCP_BATCH_SCALE_MAX), high_min))
        return 0
    flags = zget(m, zone, st.ZONE_FLAGS)
    count, free_count = pget(m, pcp, st.PCP_COUNT), pget(m, pcp, st.PCP_FREE_COUNT)
    if flags & st.ZONE_RECLAIM_ACTIVE:
        pput(m, pcp, st.PCP_HIGH, max(high - max(free_count, batch), high_min))
        return min(4 * batch, high)
    if high_min == high_max:
        return high
    if flags & st.ZONE_BELOW_HIGH:
        pput(m, pcp, st.PCP_HIGH, max(high - max(free_count, batch), high_min))
        return max(count, high_min)
    if count >= high and high < free_count + batch:
        pput(m, pcp, st.PCP_HIGH, clamp(free_count + batch, high_min, high_max))
    return high


@compiled
def free_excess(m: Mm, zone: int, cpu: int, pcp: int, batch: int, count: int, pindex: int) -> Any:
    """Give pages of lists that are too long back, all under one hold of the lock; returns whether it is still held.

    Models: the bulk free in mm/page_alloc.c:free_frozen_page_commit (v6.18).
    """
    free_pcppages_bulk(m, zone, pcp, count, pindex)
    return True


@compiled
def trim_pcplists(m: Mm, zone: int, cpu: int, pcp: int, batch: int, pindex: int, free_high: bool, high: int) -> Any:
    """Free what is too much on the lists; returns whether their lock is still held.

    Models: the end of mm/page_alloc.c:free_frozen_page_commit (v6.18).
    """
    count = nr_pcp_free(m, pcp, batch, high, free_high)
    held = free_excess(m, zone, cpu, pcp, batch, count, pindex)
    if zget(m, zone, st.ZONE_FLAGS) & st.ZONE_BELOW_HIGH and high_wmark_ok(m, zone):
        zput(m, zone, st.ZONE_FLAGS, zget(m, zone, st.ZONE_FLAGS) & ~st.ZONE_BELOW_HIGH)
    return held


@inlined
def pcp_migratetype(m: Mm, page: int) -> Any:
    """Return the type of the list that a page goes on: its pageblock's, MOVABLE for one without lists.

    Models: mm/page_alloc.c:__free_frozen_pages (v6.18), its choice of a list.
    """
    migratetype = get_pageblock_migratetype(m, page)
    return migratetype if migratetype < st.MIGRATE_PCPTYPES else st.MIGRATE_MOVABLE


@inlined
def put_first(m: Mm, zone: int, pcp: int, page: int, pindex: int, order: int, flags: int) -> None:
    """Put a block at the head of a list, and count it; ``flags`` are the lists'.

    Models: the beginning of mm/page_alloc.c:free_frozen_page_commit (v6.18).
    """
    pput(m, pcp, st.PCP_ALLOC_FACTOR, pget(m, pcp, st.PCP_ALLOC_FACTOR) >> 1)
    set_flags(m, page, st.ON_PCP | order | zone << st.ZONE_SHIFT)
    list_add(m, page, pcp + pindex)
    pput(m, pcp, st.PCP_COUNT, pget(m, pcp, st.PCP_COUNT) + (1 << order))
    marks = st.PCPF_PREV_FREE_HIGH_ORDER if 0 < order <= st.PAGE_ALLOC_COSTLY_ORDER else 0
    pput(m, pcp, st.PCP_FLAGS, flags & ~st.PCPF_PREV_FREE_HIGH_ORDER | marks)
    free_count = pget(m, pcp, st.PCP_FREE_COUNT)
    if free_count < pget(m, pcp, st.PCP_BATCH) << PCP_BATCH_SCALE_MAX:
        pput(m, pcp, st.PCP_FREE_COUNT, free_count + (1 << order))


@inlined
def free_frozen_page_commit(m: Mm, zone: int, cpu: int, pcp: int, page: int, migratetype: int, order: int,
                            trylock: bool) -> Any:  # fmt: skip
    """Put a block at the head of its list, and free some if the lists are too long; returns whether the lock is held.

    Models: mm/page_alloc.c:free_frozen_page_commit (v6.18).
    """
    pindex = order_to_pindex(migratetype, order)
    batch, flags, free_count = (
        pget(m, pcp, st.PCP_BATCH), pget(m, pcp, st.PCP_FLAGS), pget(m, pcp, st.PCP_FREE_COUNT)
    )  # fmt: skip
    put_first(m, zone, pcp, page, pindex, order, flags)
    count = pget(m, pcp, st.PCP_COUNT)
    free_high = False
    if 0 < order <= st.PAGE_ALLOC_COSTLY_ORDER:
        free_high = (
            free_count >= batch + pget(m, pcp, st.PCP_HIGH_MIN) // 2
            and flags & st.PCPF_PREV_FREE_HIGH_ORDER != 0
            and (not flags & st.PCPF_FREE_HIGH_BATCH or count >= batch)
        )
    if trylock:
        return True
    high = nr_pcp_high(m, zone, pcp, batch, free_high)
    if count < high:
        return True
    return trim_pcplists(m, zone, cpu, pcp, batch, pindex, free_high, high)


@compiled
def drain_pages_zone(m: Mm, zone: int, cpu: int) -> None:
    """Give all pages of a cpu's lists in a zone back, in pieces.

    Models: mm/page_alloc.c:drain_pages_zone (v6.18).
    """
    pcp = per_cpu_pages(cpu, zone)
    batch = pget(m, pcp, st.PCP_BATCH)
    while True:
        pcp_spin_lock(m, zone, cpu)
        count = pget(m, pcp, st.PCP_COUNT)
        if count > 0:
            to_drain = min(count, batch << PCP_BATCH_SCALE_MAX)
            free_pcppages_bulk(m, zone, pcp, to_drain, 0)
            count -= to_drain
        pcp_spin_unlock(m, zone, cpu)
        if count <= 0:
            break


@compiled
def drain_pages(m: Mm, cpu: int) -> None:
    """Give all pages of a cpu's lists back, zone by zone.

    Models: mm/page_alloc.c:drain_pages (v6.18).
    """
    for zone in range(st.MAX_NR_ZONES):
        if zget(m, zone, st.ZONE_END) > 0:
            drain_pages_zone(m, zone, cpu)


@compiled
def decay_pcp_high(m: Mm, zone: int, cpu: int) -> Any:
    """Lower what a cpu's lists may hold by an eighth, and free what is too much; returns whether there is more to do.

    Models: mm/page_alloc.c:decay_pcp_high (v6.18).
    """
    pcp = per_cpu_pages(cpu, zone)
    batch, high_min, high = pget(m, pcp, st.PCP_BATCH), pget(m, pcp, st.PCP_HIGH_MIN), pget(m, pcp, st.PCP_HIGH)
    count, todo = pget(m, pcp, st.PCP_COUNT), 0
    if high > high_min:
        high = max(count - (batch << PCP_BATCH_SCALE_MAX), high - (high >> 3), high_min)
        pput(m, pcp, st.PCP_HIGH, high)
        todo = 1 if high > high_min else 0
    to_drain = count - high
    while to_drain > 0:
        piece = min(to_drain, batch)
        pcp_spin_lock(m, zone, cpu)
        free_pcppages_bulk(m, zone, pcp, piece, 0)
        pcp_spin_unlock(m, zone, cpu)
        todo = 1
        to_drain -= piece
    return todo
