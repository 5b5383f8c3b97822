"""The blocks of pointers: the pages they lie on, the cache of free ones, and its refill."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm import state as mm
from gfpmodel.mm.events import trace_op
from gfpmodel.mm.free import is_block_in_use
from gfpmodel.mm.hits import alloc_pages, free_pages
from gfpmodel.mm.jit import compiled, entry, inlined
from gfpmodel.mm.state import Traced, get, page_to_pfn, per_cpu_pages
from gfpmodel.rcu import state as st
from gfpmodel.rcu.gp import wake
from gfpmodel.rcu.state import NULL, Rcu, Words, krc_of, log_event, row_of

CACHED, ALLOCATED, FORCED, FAILED, NO_SOURCE = 1, 2, 3, 4, 0  # where a block came from, as the logs number it


# blocks and their pages


@entry
@compiled
def alloc_page(m: Traced, cpu: int, gfp: int) -> Any:
    """Return the pfn of a page from the allocator, or -1."""
    trace_op(m.trace, 0, cpu)
    page = alloc_pages(m, cpu, gfp, 0)
    return page_to_pfn(m, page) if page != 0 else -1


@compiled
def free_page(m: Traced, cpu: int, pfn: int) -> Any:
    """Give a page back to the allocator; returns whether it was in use: if not, it is left alone."""
    page = pfn - page_to_pfn(m, 0)
    if not is_block_in_use(m, page, 0):
        return False
    trace_op(m.trace, 0, cpu)
    free_pages(m, cpu, page, 0)
    return True


@inlined
def pcp_count(m: Traced, pcp: int) -> Any:
    """Return how many pages the lists of a cpu and zone hold."""
    return get(m, pcp + mm.COUNTS_ROW, mm.COUNT)


@compiled
def pcp_pages(m: Traced, cpu: int, unmovable: int) -> Any:
    """Return how many pages a cpu's lists hold in all zones; if ``unmovable``, on the UNMOVABLE ones only."""
    found = 0
    for zone in range(mm.MAX_NR_ZONES):
        pcp = per_cpu_pages(cpu, zone)
        if unmovable:
            page = get(m, pcp, mm.NEXT)
            while page != pcp:
                found += 1
                page = get(m, page, mm.NEXT)
        else:
            found += pcp_count(m, pcp)
    return found


@inlined
def forced_failure(krc: Words) -> Any:
    """Draw whether the fault injection fails this allocation: the generator of the recorded runs."""
    x = krc[st.RNG]
    x ^= x << 13 & 0xFFFFFFFF
    x ^= x >> 17
    x ^= x << 5 & 0xFFFFFFFF
    krc[st.RNG] = x
    return x % 1000000 < krc[st.FAIL_PPM]


@inlined
def take_row(krc: Words, bulk: Words, pfn: int) -> Any:
    """Take a free row of ``bulk`` for a block on a page."""
    block = krc[st.FREE_ROW]
    at = row_of(krc, block)
    krc[st.FREE_ROW] = bulk[at + st.NEXT]
    krc[st.FREE_ROWS] -= 1
    bulk[at + st.PFN] = pfn
    return block


@inlined
def give_row(krc: Words, bulk: Words, block: int) -> None:
    """Make a block's row free."""
    bulk[row_of(krc, block) + st.NEXT] = krc[st.FREE_ROW]
    krc[st.FREE_ROW] = block
    krc[st.FREE_ROWS] += 1


@inlined
def pop_cached(krc: Words, bulk: Words, k: int) -> Any:
    """Unlink the first block of a cpu's cache; returns NULL if there is none."""
    block = krc[k + st.CACHE]
    if block != NULL:
        krc[k + st.CACHE] = bulk[row_of(krc, block) + st.NEXT]
        krc[k + st.NR_CACHED] -= 1
    return block


@compiled
def new_block(m: Traced, rcu: Rcu, cpu: int, gfp: int) -> Any:
    """Return a block on a fresh page, or minus the reason why there is none."""
    krc, bulk, _, _ = rcu
    if krc[st.RECORDED]:
        pfn = krc[st.RECORDED_PFN]
    elif krc[st.FAIL_PPM] and forced_failure(krc):
        pfn = -FORCED
    else:
        pfn = alloc_page(m, cpu, gfp)
        if pfn < 0:
            pfn = -FAILED
    if pfn < 0:
        krc[st.FORCED_FAILED if pfn == -FORCED else st.ALLOC_FAILED] += 1
        return pfn
    krc[st.PAGES_ALLOC] += 1
    return take_row(krc, bulk, pfn)


@compiled
def free_block(m: Traced, rcu: Rcu, cpu: int, block: int) -> None:
    """Give a block's page back."""
    krc, bulk, _, _ = rcu
    pfn = bulk[row_of(krc, block) + st.PFN]
    if not krc[st.RECORDED] and not free_page(m, cpu, pfn):
        krc[st.FOREIGN] = pfn + 1
    krc[st.PAGES_FREED] += 1
    give_row(krc, bulk, block)


@inlined
def get_cached_bnode(rcu: Rcu, cpu: int) -> Any:
    """Take a block from a cpu's cache, last in first out; returns NULL if there is none.

    Models: kernel/rcu/tree.c:get_cached_bnode (v5.9); in v5.8 the cache is one pointer, swapped with xchg().
    """
    krc, bulk, _, _ = rcu
    block = pop_cached(krc, bulk, krc_of(cpu))
    if block != NULL:
        at = row_of(krc, block)
        krc[st.CACHE_HITS] += 1
        if bulk[at + st.PFN] < 0:  # in a replay, cached before the log began: the log says which page it was
            bulk[at + st.PFN] = krc[st.RECORDED_PFN]
    return block


@inlined
def put_cached_bnode(rcu: Rcu, cpu: int, block: int) -> Any:
    """Put a block into a cpu's cache; returns whether there was room.

    Models: kernel/rcu/tree.c:put_cached_bnode (v5.9).
    """
    krc, bulk, _, _ = rcu
    k = krc_of(cpu)
    if krc[k + st.NR_CACHED] >= krc[st.CACHE_LIMIT]:
        return False
    bulk[row_of(krc, block) + st.NEXT] = krc[k + st.CACHE]
    krc[k + st.CACHE] = block
    krc[k + st.NR_CACHED] += 1
    return True


@compiled
def put_block(m: Traced, rcu: Rcu, cpu: int, owner: int, block: int, channel: int) -> None:
    """Keep a block whose objects are freed for the next user, or give its page back.

    Models: the end of kernel/rcu/tree.c:kfree_rcu_work (v5.8, v5.9) and kvfree_rcu_bulk (v6.6).
    """
    krc, bulk, _, log = rcu
    pfn = bulk[row_of(krc, block) + st.PFN]
    cache = owner if krc[st.OWNER_CACHE] else cpu
    krc[krc_of(owner) + st.BLOCKS_HERE] -= 1
    krc[st.BLOCKS_LIVE] -= 1
    if put_cached_bnode(rcu, cache, block):
        krc[st.TO_CACHE] += 1
        if log[st.ENABLED]:
            log_event(krc, log, cpu, st.EV_C, owner, cache, channel, pfn, krc[krc_of(cache) + st.NR_CACHED], 0, 0, 0)
    else:
        free_block(m, rcu, cpu, block)
        if log[st.ENABLED]:
            log_event(krc, log, cpu, st.EV_F, owner, cpu, channel, pfn, 0, 0, 0, 0)


# the fill worker (v5.11)


@inlined
def run_page_cache_worker(rcu: Rcu, cpu: int) -> None:
    """Ask for a refill of the cache in a clean context, one at a time: a timer of 0 ns, whose handler queues a work.

    Models: kernel/rcu/tree.c:run_page_cache_worker (v5.11; with the back-off of v5.14).
    """
    krc = rcu.krc
    k = krc_of(cpu)
    if krc[st.FILL_GFP] < 0 or not krc[st.RUNNING] or krc[k + st.WORK_IN_PROGRESS]:
        return
    krc[k + st.WORK_IN_PROGRESS] = 1
    krc[k + st.FILL_ROUND] = 0
    krc[k + st.FILL_AT] = krc[st.NOW] + (krc[st.BACKOFF_NS] if krc[k + st.BACKOFF] else krc[st.FILL_DELAY_NS])
    krc[st.FILLS] += 1
    wake(krc, krc[k + st.FILL_AT])


@entry
@compiled
def fill_page_cache_func(m: Traced, rcu: Rcu, cpu: int) -> None:
    """Do one round of the fill worker: a page, pushed; the last round ends it.

    Models: kernel/rcu/tree.c:fill_page_cache_func (v5.11, v5.15).
    """
    krc, bulk, _, log = rcu
    k = krc_of(cpu)
    rounds = 1 if krc[k + st.BACKOFF] else krc[st.CACHE_LIMIT]
    block = new_block(m, rcu, cpu, krc[st.FILL_GFP])
    pushed = block > NULL and put_cached_bnode(rcu, cpu, block)
    if log[st.ENABLED]:
        pfn = bulk[row_of(krc, block) + st.PFN] if block > NULL else 0
        log_event(
            krc,
            log,
            cpu,
            st.EV_FILL,
            cpu,
            pfn,
            1 if pushed else 0,
            krc[k + st.NR_CACHED],
            krc[k + st.FILL_ROUND],
            0,
            0,
            0,
        )
    if block > NULL and not pushed:
        free_block(m, rcu, cpu, block)
    krc[k + st.FILL_ROUND] += 1
    full = block > NULL and not pushed
    if full or krc[k + st.FILL_ROUND] >= rounds or (block < NULL and krc[st.FILL_STOPS]):
        krc[k + st.WORK_IN_PROGRESS] = 0
        krc[k + st.BACKOFF] = 0
        krc[k + st.FILL_AT] = st.NEVER
    else:
        wake(krc, krc[k + st.FILL_AT])


# the cache as a whole


@entry
@compiled
def drain_page_cache(m: Traced, rcu: Rcu, cpu: int) -> Any:
    """Give a cpu's cached blocks back; returns how many.

    Models: kernel/rcu/tree.c:drain_page_cache (v5.14).
    """
    krc, bulk, _, _ = rcu
    k = krc_of(cpu)
    freed = 0
    block = pop_cached(krc, bulk, k)
    while block != NULL:
        free_block(m, rcu, cpu, block)
        freed += 1
        block = pop_cached(krc, bulk, k)
    return freed


@entry
@compiled
def preload_block(rcu: Rcu, cpu: int, pfn: int) -> Any:
    """Put a page into a cpu's cache as a block, as boot does; returns whether there was room.

    Models: the loop of kernel/rcu/tree.c:kfree_rcu_batch_init (v5.9).
    """
    krc, bulk, _, _ = rcu
    block = take_row(krc, bulk, pfn)
    if put_cached_bnode(rcu, cpu, block):
        return True
    give_row(krc, bulk, block)
    return False


@entry
@compiled
def forget_cached(rcu: Rcu, cpu: int) -> None:
    """Lose a cpu's cached blocks, as if they had never been: a replay knows no other way to what a test took."""
    krc, bulk, _, _ = rcu
    block = pop_cached(krc, bulk, krc_of(cpu))
    while block != NULL:
        give_row(krc, bulk, block)
        block = pop_cached(krc, bulk, krc_of(cpu))
