"""Buddy lists, pcp lists and the request path: small cases derived by hand from the spec."""

import numpy as np
import pytest

from gfpmodel.mm import Machine, PageAllocator, Zone, pack_ops
from gfpmodel.mm import state as st
from gfpmodel.mm.events import RECORDED_KINDS
from gfpmodel.proposals import proposal

U, M, R, H = range(4)
GFP_KERNEL, MOVABLE, RECLAIMABLE = 0xCC0, 0xCC8, 0xCD0
GFP_ATOMIC = 0xA20


def machine(pages: int = 16384, start: int = 32768, **knobs: object) -> PageAllocator:
    """Boot one Normal zone; the recorded kinds of events are on."""
    knobs.setdefault("mobility_disabled", False)
    row = proposal("fast_try")
    return PageAllocator(Machine((Zone(2, start, pages),), **knobs), row, events=1 << 14, kinds=RECORDED_KINDS)  # type: ignore[arg-type]


def golden(allocator: PageAllocator) -> list[list[str | int]]:
    """Return the events since the last look."""
    return [event.golden() for event in allocator.events()]


def lists(allocator: PageAllocator, migratetype: int, zone: int = 2) -> dict[int, list[int]]:
    """Return the non-empty free lists of a type by order."""
    found = {order: allocator.free_list(zone, order, migratetype).tolist() for order in range(11)}
    return {order: pfns for order, pfns in found.items() if pfns}


def test_a_refill_takes_a_batch_and_splits_a_stolen_block() -> None:
    a = machine()  # batch 3
    assert a.alloc_pages(GFP_KERNEL) == 48128
    assert golden(a) == [["L", 2], ["X", 2, 48128, 0, 10, U, M, 1], ["U", 2], ["B", 2, U, 3, 3]]
    assert a.pcp_list(0, 2, U).tolist() == [48129, 48130]
    assert lists(a, U) == {0: [48131], **{order: [48128 + (1 << order)] for order in range(2, 10)}}
    assert a.nr_free(2) == 16384 - 3
    assert a.migratetype(48128) == a.migratetype(48640) == U  # an order-10 block is two pageblocks


def test_pages_come_in_the_order_they_left_the_buddy_lists_and_go_back_to_the_head() -> None:
    a = machine()
    first, second = a.alloc_pages(), a.alloc_pages()
    assert (first, second) == (48128, 48129)
    a.free_pages(48128)
    assert a.pcp_list(0, 2, U).tolist() == [48128, 48130]
    assert a.alloc_pages() == 48128


def test_high_is_reached_and_a_batch_leaves_from_the_tail() -> None:
    a = machine(pcp=(2, 4))
    pages = [a.alloc_pages() for _ in range(4)]
    a.events()
    for pfn in pages[:3]:
        assert pfn is not None
        a.free_pages(pfn)
    assert golden(a) == []
    a.free_pages(48131)
    assert golden(a) == [["F", 2, 2], ["L", 2], ["U", 2]]
    assert a.pcp_list(0, 2, U).tolist() == [48131, 48130]
    assert a.free_list(2, 1, U).tolist() == [48128]  # the two that left merged


def filled(counts: dict[int, int], batch: int) -> tuple[PageAllocator, dict[int, list[int]]]:
    """Return a machine whose next bulk free frees ``batch`` pages, and the pages by type in the order of freeing."""
    masks = {U: GFP_KERNEL, M: MOVABLE, R: RECLAIMABLE}
    a = machine(pcp=(1, 1000))
    pages: dict[int, list[int]] = {t: [] for t in masks}
    for t, count in counts.items():
        for _ in range(count):
            pfn = a.alloc_pages(masks[t])
            assert pfn is not None
            pages[t].append(pfn)
    b = machine(pcp=(batch, sum(counts.values())))
    b.restore(a.snapshot(), b.sizes)
    for t in counts:
        for pfn in pages[t]:
            b.free_pages(pfn)  # the last one reaches high
    b.check()
    return b, {t: b.pcp_list(0, 2, t).tolist()[::-1] for t in masks} | {t + 10: pages[t] for t in masks}


@pytest.mark.parametrize(
    ("counts", "batch", "left"),
    [
        # one each in turn, MOVABLE first: M R U M R
        ({U: 4, M: 2, R: 3}, 5, {U: 3, M: 0, R: 1}),
        # an empty list passes its share on: R R, U, R (then it is empty, one is carried over), U
        ({U: 6, R: 3}, 5, {U: 4, M: 0, R: 0}),
        # the only list gives all
        ({U: 6}, 5, {U: 1, M: 0, R: 0}),
        # M, R, U in turn; then M is empty: R R; M is empty: U, M is empty: R R ...
        ({M: 1, R: 5, U: 5}, 7, {U: 3, M: 0, R: 1}),
    ],
)
def test_bulk_free_goes_round_the_lists(counts: dict[int, int], batch: int, left: dict[int, int]) -> None:
    _, found = filled(counts, batch)
    assert {t: len(found[t]) for t in (U, M, R)} == left
    for t in (U, M, R):  # from the tails: those freed first are gone
        assert found[t] == found[t + 10][len(found[t + 10]) - left[t] :]


def test_a_page_is_freed_to_the_list_of_its_pageblock_now() -> None:
    a = machine()
    pfn = a.alloc_pages(MOVABLE)
    assert pfn is not None
    a.free_pages(pfn)
    assert a.pcp_list(0, 2, M).tolist()[0] == pfn


def test_an_undrained_refill_goes_back_to_the_type_it_came_from() -> None:
    a = machine()
    a.alloc_pages(MOVABLE)
    a.drain(0)
    assert a.pcp_count(0, 2) == 0
    # 48128 is in use: 48129 cannot merge upward beyond order 0, 48130 stays an order-1 block with 48131
    assert lists(a, M)[0] == [48129]
    assert 48130 in lists(a, M)[1]


def test_a_block_whose_higher_buddy_is_free_goes_to_the_tail() -> None:
    a = machine(2048, mobility_disabled=False)
    pfns = [a.alloc_pages(MOVABLE) for _ in range(8)]  # 33792..33799, batch 1 and high 0
    assert pfns == list(range(33792, 33800))
    a.free_pages(33796)
    a.free_pages(33797)  # an order-1 block; its order-2 buddy 33792 is in use
    a.free_pages(33792)  # lone; one level up 33794 is in use: head
    assert a.free_list(2, 0, M).tolist() == [33792]
    a.free_pages(33798)  # its buddy 33799 is in use, but 33796 of order 1 is free: tail
    assert a.free_list(2, 0, M).tolist() == [33792, 33798]


def test_everything_merges_back() -> None:
    a = machine(4000, start=33000)
    boot = a.snapshot().free_blocks()
    taken = []
    for order in (0, 3, 0, 5, 9, 1):
        pfn = a.alloc_pages(GFP_KERNEL, order)
        assert pfn is not None
        taken.append((pfn, order))
    for pfn, order in taken:
        a.free_pages(pfn, order)
    a.drain()
    assert a.snapshot().free_blocks() == boot


def test_movable_requests_steal_only_one_small_block() -> None:
    """can_steal is false for a MOVABLE request below order 4: no pageblock moves, the smallest block is taken."""
    a = machine(2048, min_free_kbytes=0)
    while a.alloc_pages(GFP_KERNEL, 0) is not None:
        pass
    a = machine(2048, min_free_kbytes=0)
    first = a.alloc_pages(GFP_KERNEL, 10)
    second = a.alloc_pages(GFP_KERNEL, 9)
    small = a.alloc_pages(GFP_KERNEL, 8)
    assert None not in (first, second, small)
    assert small is not None
    for order in (7, 6, 5, 4, 3):
        assert a.alloc_pages(GFP_KERNEL, order) is not None
    a.events()
    pfn = a.alloc_pages(MOVABLE, 0)
    assert pfn is not None
    letters = [event[0] for event in golden(a)]
    assert "X" in letters
    assert "M" not in letters
    a.check()


def test_atomic_high_order_requests_reserve_a_pageblock() -> None:
    a = machine(4096, min_free_kbytes=8000)
    first = a.alloc_pages(GFP_ATOMIC, 1)
    while first is not None and "H" not in (letters := [event[0] for event in golden(a)]):
        first = a.alloc_pages(GFP_ATOMIC, 1)
    assert first is not None
    assert letters.count("H") == 1
    assert a.counters(2)["nr_reserved_highatomic"] == 512
    assert a.migratetype(first) == H
    a.check()


def test_the_slow_path_wakes_kswapd_and_uses_the_min_watermark() -> None:
    a = machine(4096)
    low, least = a.sizes.zones[2].wmark[1], a.sizes.zones[2].wmark[0]
    woken = None
    while (pfn := a.alloc_pages(GFP_KERNEL)) is not None:
        events = golden(a)
        if woken is None and ["K", 2, 0, 2] in events:
            woken = a.nr_free(2)
        assert pfn
    assert woken == low - 1  # at low the fast path fails; one page later
    assert a.nr_free(2) == least
    assert golden(a) == [["K", 2, 0, 2]]


def test_a_zone_is_skipped_below_its_watermark_and_its_reserve() -> None:
    zones = (Zone(0, 1, 4095), Zone(1, 4096, 28672), Zone(2, 32768, 16384))
    a = PageAllocator(Machine(zones), events=1 << 14)
    seen = []
    while (pfn := a.alloc_pages("GFP_KERNEL", 10)) is not None:
        seen.append(next(z.index for z in zones if z.start <= pfn < z.end))
    assert seen == sorted(seen, reverse=True)
    assert a.alloc_pages("GFP_KERNEL|__GFP_DMA", 8) is not None


def test_a_failing_pass_scans_twice_only_if_normal_is_preferred() -> None:
    a = machine(16384)
    a.alloc_pages(0x800000)
    assert a.ring is not None
    assert a.ring.irq_off == 2
    b = PageAllocator(Machine((Zone(1, 4096, 16384),)), proposal("fast_try"), events=64)
    b.alloc_pages(0x800000)
    assert b.ring is not None
    assert b.ring.irq_off == 1


def test_orders_above_ten_are_null() -> None:
    a = machine()
    assert a.alloc_pages(GFP_KERNEL, 11) is None
    assert a.alloc_pages(GFP_KERNEL, 1000) is None


def test_the_scan_goes_upward_from_the_requested_type() -> None:
    for t, mask in ((U, 0x800000), (M, 0x800008), (R, 0x800010)):
        for filled, ordinary in ((U, GFP_KERNEL), (M, MOVABLE), (R, RECLAIMABLE)):
            a = machine()
            a.alloc_pages(ordinary)
            head = a.pcp_list(0, 2, filled).tolist()[0]
            a.events()
            assert a.alloc_pages(mask) == (head if filled >= t else None)
            assert golden(a) == []


def test_without_the_patch_the_bit_is_ignored() -> None:
    a = PageAllocator(Machine((Zone(2, 32768, 16384),)))
    assert a.alloc_pages(0x800000) == 48128


def test_below_the_low_watermark_a_full_list_does_not_help() -> None:
    a = machine(16384, watermark_boost_factor=0)
    a.alloc_pages(GFP_KERNEL)
    low = a.sizes.zones[2].wmark[1]
    while a.nr_free(2) > low:
        assert a.alloc_pages(MOVABLE) is not None
    assert a.pcp_list(0, 2, U).size
    assert a.alloc_pages(0x800000) is None


@pytest.mark.parametrize("order", [9, 10])
def test_pageblock_order_scales_the_steal(order: int) -> None:
    a = machine(32768, pageblock_order=order)
    pfn = a.alloc_pages(GFP_KERNEL)
    assert pfn is not None
    assert golden(a)[1] == ["X", 2, 64512, 0, 10, U, M, 1]
    assert a.block_types(2).tolist().count(U) == 1 << (10 - order)


def test_what_was_said_of_a_mask_does_not_outlive_its_number_of_a_run() -> None:
    """The number has 15 bits: when it begins again, the answers of 32,768 runs before are forgotten."""
    a = machine()
    words = a._words(st.MACHINE)
    four = pack_ops(np.zeros(4, np.int64), 0, 0, 0x800)
    assert a.alloc_pages("GFP_NOWAIT") is not None  # its refill leaves pages on the list, which four more can hit
    words[st.HIT_RUNS] = 0
    assert a.run(four).pfns.min() > 0  # run 1: there is plenty
    a._words(2)[st.WMARK : st.WMARK + 3] = 1 << 20
    words[st.HIT_RUNS] = 0x7FFF
    a.run(np.zeros(0, np.int64))
    assert words[st.HIT_RUNS] == 0
    assert a.run(four).pfns.tolist() == [st.ANY_ROW] * 4  # run 1 again
