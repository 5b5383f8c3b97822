"""The allocators of v6.18 and later by hand: what an expert would look for first, and what v5.8 does not have."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from gfpmodel.errors import GeometryError, InputError, MisuseError
from gfpmodel.io.ops import read_script, replay
from gfpmodel.mm import Machine, PageAllocator, Zone, pack_ops
from gfpmodel.mm import events as ev
from gfpmodel.mm.kernels import ROWS, forms, rules_of
from gfpmodel.mm.ops import OP_AMOUNT, OP_BULK, OP_BUSY, OP_DECAY, OP_FREE_NOLOCK_HANDLE, OP_NOLOCK, busy_argument
from gfpmodel.mm.run import NO_RESULT, OP_ALLOC, OP_DRAIN, OP_FREE_HANDLE
from gfpmodel.mm.v6_18 import buddy

LATER = [name for name, row in ROWS.items() if row.later]
DMA32 = Machine((Zone(1, 4096, 28672),), pageblock_order=10)
NOWAIT, ATOMIC, KERNEL = 0x2800, 0x820, 0xCC0


def booted(kernel: str = "v6.18", machine: Machine = DMA32) -> PageAllocator:
    return PageAllocator(machine, events=1 << 12, kernel=kernel)


def count(allocator: PageAllocator, kind: int) -> int:
    return sum(event.kind == kind for event in allocator.events(clear=False))


def test_a_kernel_without_a_row_is_never_the_nearest() -> None:
    for name in ("v6.1", "v6.17", "v7.2", "v6.18.26", "", None, 6):
        with pytest.raises(InputError, match=r"has no allocator here; expected v5\.8-rc3, v6\.18, v7\.1, v7\.3"):
            PageAllocator(DMA32, kernel=name)  # type: ignore[arg-type]
    assert rules_of("v7.3").name == "v7.3"


def test_a_later_kernel_has_only_what_differs() -> None:
    """Each form of a later row has another code than that of the row before: a rule stands once."""
    rows = list(ROWS.values())
    for before, after in pairwise(rows):
        added = after.modules[len(before.modules) :]
        new, old = forms(added), forms(before.modules)
        same = [name for name in new if name in old and new[name].__code__.co_code == old[name].__code__.co_code
                and new[name].__code__.co_consts == old[name].__code__.co_consts]  # fmt: skip
        assert added
        assert not same


@pytest.mark.parametrize("kernel", LATER)
def test_the_lowest_page_of_the_machine_comes_first(kernel: str) -> None:
    """Boot frees to the tails: v5.8 hands out the highest pageblock first."""
    assert booted(kernel).alloc_pages(0xCC8) == 4096
    assert PageAllocator(DMA32).alloc_pages(0xCC8) != 4096


def test_refills_double_and_raise_high() -> None:
    a = booted()
    asked: list[int] = []
    highs: list[int] = []
    while len(asked) < 7:
        a.alloc_pages(KERNEL)
        asked += [event.values[2] for event in a.events() if event.kind == ev.PCP_REFILL]
        highs.append(a.pcp_state(0, 1).high)
    batch = a.pcp_state(0, 1).batch
    assert asked == [batch << n for n in range(6)] + [batch << 5]
    assert highs == sorted(highs)
    assert highs[-1] > highs[0] >= a.pcp_state(0, 1).high_min


def test_a_list_that_found_nothing_asks_the_zone_once_more() -> None:
    a = booted()
    a.busy(attempts=[0])
    assert a.alloc_pages(KERNEL) is not None
    assert [event.name for event in a.events() if event.kind in {ev.PCP_TRYLOCK, ev.LOCK}] == [
        "pcp_trylock",
        "zone_lock",
    ]


def test_what_is_busy_is_so_for_one_operation() -> None:
    a = booted()
    a.busy(zones=[1], lists=[1])
    assert a.alloc_pages_nolock() is None
    assert a.alloc_pages_nolock() is not None
    a.contend(1, True)
    a.contend_lists(0, 1, True)
    assert a.alloc_pages_nolock() is None
    assert a.alloc_pages(KERNEL) is not None  # it waits for the zone lock
    a.contend_lists(0, 1, False)
    assert a.alloc_pages_nolock() is not None
    assert a.alloc_pages_nolock(order=2) is None  # that list is empty, and its refill only tries
    a.contend(1, False)
    assert a.alloc_pages_nolock(order=2) is not None


def test_pages_that_could_not_be_freed_wait_for_an_ordinary_free() -> None:
    a = booted()
    big, small, other = a.alloc_pages(KERNEL, 4), a.alloc_pages(KERNEL, 5), a.alloc_pages(KERNEL, 6)
    assert big is not None
    assert small is not None
    assert other is not None
    free = a.nr_free(1)
    for pfn, order in ((big, 4), (small, 5)):
        a.busy(zones=[1])
        a.free_pages_nolock(pfn, order)
    assert a.deferred(1) == [(small, 5), (big, 4)]
    assert a.nr_free(1) == free
    with pytest.raises(MisuseError, match="double free"):
        a.free_pages(small, 5)
    a.check()
    a.restore(a.snapshot())
    assert a.deferred(1) == [(small, 5), (big, 4)]
    a.free_pages(other, 6)
    assert a.deferred(1) == []
    assert a.nr_free(1) == DMA32.zones[0].spanned
    a.check()


def test_a_bulk_request_leaves_free_count() -> None:
    a = booted()
    pfns = a.alloc_pages_bulk(KERNEL, 40)
    assert len(pfns) == len(set(pfns)) == 40
    for pfn in pfns:
        a.free_pages(pfn)
    assert a.pcp_state(0, 1).free_count == 40
    assert len(a.alloc_pages_bulk(KERNEL, 5)) == 5
    assert a.pcp_state(0, 1).free_count == 40
    a.alloc_pages(KERNEL)
    assert a.pcp_state(0, 1).free_count == 20


@pytest.mark.parametrize("kernel", LATER)
def test_a_highatomic_pageblock_stays_apart_from_others(kernel: str) -> None:
    """Of two free pageblocks of one order-10 block, at pageblock_order 9, only alike ones merge."""
    machine = Machine((Zone(2, 1024, 60 * 1024),), pageblock_order=9, min_free_kbytes=6000)
    a = booted(kernel, machine)
    while a.alloc_pages(0xCC8, 10) is not None:
        pass
    blocks = [a.alloc_pages(KERNEL, 5) for _ in range(6)]  # now below the low mark
    atomic, start = a.alloc_pages(ATOMIC, 4), blocks[0]
    assert atomic is not None
    assert start is not None
    assert start % 1024 == 0
    assert a.counters(2)["nr_reserved_highatomic"] == 512
    a.free_pages(atomic, 4)
    for pfn in blocks:
        assert pfn is not None
        a.free_pages(pfn, 5)
    assert (a.migratetype(start), a.migratetype(start + 512)) == (3, 0)
    assert a.page_state(start)[1] == a.page_state(start + 512)[1] == 9
    a.check()


def test_64_atomic_requests_of_order_1() -> None:
    """The zone lock per request that v7.3 costs: the figures are the fact sheet's, of the kernels' own functions."""
    machine = Machine((Zone(1, 4096, 258048),), pageblock_order=10)
    figures = {}
    for kernel in ("v7.1", "v7.3"):
        a = PageAllocator(machine, events=1 << 14, kernel=kernel)
        for _ in range(64):
            assert a.alloc_pages(ATOMIC, 1) is not None
        figures[kernel] = count(a, ev.LOCK), a.pcp_state(0, 1).high_min, a.pcp_state(0, 1).high
    assert figures == {"v7.1": (3, 1273, 1462), "v7.3": (64, 1273, 5305)}


def test_a_range_goes_to_the_lists_page_by_page_before_and_in_blocks_now() -> None:
    machine = Machine((Zone(1, 4096, 258048),), pageblock_order=10)
    locks = {}
    for kernel in ("v7.1", "v7.3"):
        a = PageAllocator(machine, events=1 << 14, kernel=kernel)
        pfn = a.alloc_pages(KERNEL, 9)
        assert pfn is not None
        a.events()
        a.free_contig_range(pfn, 512)
        locks[kernel] = count(a, ev.PCP_TRYLOCK), count(a, ev.LOCK)
        a.check()
    assert locks == {"v7.1": (512, 0), "v7.3": (0, 1)}


def test_kept_pages_of_a_range_stay_and_count_as_single_ones() -> None:
    a = booted("v7.3")
    pfn = a.alloc_pages(KERNEL, 3)
    assert pfn is not None
    a.free_contig_range(pfn, 8, keep=[pfn + 2])
    assert a.snapshot().in_use == ((pfn + 2, 0),)
    with pytest.raises(MisuseError, match=r"double free|never given"):
        a.free_pages_bulk([pfn + 2, pfn + 3])
    assert a.snapshot().in_use == ((pfn + 2, 0),)
    with pytest.raises(MisuseError, match="freed twice"):
        a.free_pages_bulk([pfn + 2, pfn + 2])
    a.free_pages_bulk([pfn + 2])
    a.check()
    with pytest.raises(MisuseError, match=r"v6\.18 has no free_pages_bulk\(\); v7\.3 has"):
        booted().free_pages_bulk([4096])


def test_v5_8_says_what_it_does_not_have() -> None:
    a = PageAllocator(DMA32, events=64)
    calls = (
        a.alloc_pages_nolock, lambda: a.free_pages_nolock(4096), lambda: a.alloc_pages_bulk(KERNEL, 4),
        lambda: a.decay_pcp_high(0, 1), a.unreserve_highatomic_pageblock, lambda: a.set_zone_flag(1, 2, 1),
        lambda: a.set_boost(1, 9), lambda: a.set_min_free_kbytes(9), lambda: a.contend_lists(0, 1, True), a.busy,
        lambda: a.pcp_state(0, 1), lambda: a.deferred(1), lambda: a.split_page(4096),
        lambda: a.free_contig_range(4096, 4),
    )  # fmt: skip
    for one in calls:
        with pytest.raises(MisuseError, match=r"v5\.8-rc3 has no .*v6\.18, v7\.1, v7\.3 have"):
            one()
    with pytest.raises(MisuseError, match="a kind that this kernel does not have"):
        a.run(pack_ops(OP_NOLOCK, 0, 0, 0))


def test_words_do_what_the_calls_do() -> None:
    a, b = booted(), booted()
    columns = np.array(
        [
            (OP_ALLOC, 0, 0, KERNEL),
            (OP_BUSY, 0, 0, busy_argument([1], [1], [])),
            (OP_NOLOCK, 0, 0, 0),
            (OP_NOLOCK, 0, 1, 0),
            (OP_AMOUNT, 0, 0, 3),
            (OP_BULK, 0, 0, KERNEL),
            (OP_FREE_NOLOCK_HANDLE, 0, 1, 2),
            (OP_FREE_HANDLE, 0, 0, 5),
            (OP_DECAY, 0, 0, 1),
            (OP_DRAIN, 0, 0, 0),
        ],
        np.int64,
    )
    results = a.run(pack_ops(*columns.T)).pfns.tolist()
    page = b.alloc_pages(KERNEL)
    b.busy([1], [1])
    none, block, pages = b.alloc_pages_nolock(), b.alloc_pages_nolock(order=1), b.alloc_pages_bulk(KERNEL, 3)
    assert block is not None
    b.free_pages_nolock(block, 1)
    b.free_pages(pages[2])
    more = b.decay_pcp_high(0, 1)
    b.drain(0)
    assert results == [page, NO_RESULT, block, *pages, int(more)]
    assert none is None
    assert a.snapshot() == b.snapshot()


@pytest.mark.parametrize(
    ("kind", "order", "argument", "says"),
    [
        (OP_BULK, 0, KERNEL, "expected an OP_AMOUNT before it"),
        (OP_DECAY, 0, 0, "unknown zone 0"),
        (OP_DECAY, 0, 9, "its argument is 9"),
        (OP_FREE_NOLOCK_HANDLE, 0, 3, "frees the result of allocation 3"),
        (OP_AMOUNT, 0, 1 << 30, "its argument is"),
    ],
)
def test_words_that_cannot_be_are_refused(kind: int, order: int, argument: int, says: str) -> None:
    a = booted()
    before = a.snapshot()
    with pytest.raises(MisuseError, match=says):
        a.run(pack_ops(kind, 0, order, argument))
    assert a.snapshot() == before


def test_calls_that_cannot_be_are_refused() -> None:
    a = booted("v7.3")
    before = a.snapshot()
    for one, error in (
        (lambda: a.alloc_pages_nolock(KERNEL), InputError),
        (lambda: a.alloc_pages_nolock(0, 11), MisuseError),
        (lambda: a.alloc_pages_bulk(KERNEL, 0), MisuseError),
        (lambda: a.alloc_pages_bulk(0x18, 4), InputError),
        (lambda: a.free_pages_nolock(5000, 0), MisuseError),
        (lambda: a.free_contig_range(4096, 1 << 30), MisuseError),
        (lambda: a.free_contig_range(4096, 4), MisuseError),
        (lambda: a.split_page(4096), MisuseError),
        (lambda: a.set_zone_flag(1, 3, 1), MisuseError),
        (lambda: a.set_boost(0, 1), MisuseError),
        (lambda: a.busy([0]), MisuseError),
        (lambda: a.busy(attempts=[32]), MisuseError),
        (lambda: a.set_min_free_kbytes(-1), MisuseError),
    ):
        with pytest.raises(error):
            one()
    assert a.snapshot() == before


def test_min_free_kbytes_is_written_like_the_sysctl() -> None:
    a, b = booted(), booted(machine=Machine(DMA32.zones, pageblock_order=10, min_free_kbytes=8192))
    a.set_boost(1, 512)
    a.set_min_free_kbytes(8192)
    assert a.sizes.zones[1].wmark == b.sizes.zones[1].wmark
    assert a.snapshot() == b.snapshot()


def test_sizes_that_cannot_be_are_refused() -> None:
    for sizes in ((0, 1, 1), (1, -1, 5), (1, 1, 1 << 40)):
        with pytest.raises(GeometryError, match="pcp "):
            booted(machine=Machine(DMA32.zones, pcp_sizes=sizes))
    wrong: Any
    for wrong in (4, (1, 2), (1, 2, "x")):
        with pytest.raises(GeometryError, match="pcp_sizes"):
            Machine(DMA32.zones, pcp_sizes=wrong)
    with pytest.raises(GeometryError, match=r"pcp is .*; v6\.18 has no such thing; expected .*pcp_sizes"):
        booted(machine=Machine(DMA32.zones, pcp=(4, 8)))
    with pytest.raises(GeometryError, match=r"thp is True; v5\.8-rc3 has no such thing"):
        PageAllocator(Machine(DMA32.zones, thp=True))
    with pytest.raises(GeometryError, match="kdump is 7; expected 0 to 1"):
        Machine(DMA32.zones, kdump=7)  # type: ignore[arg-type]


def test_an_op_script_runs_on_each_kernel() -> None:
    text = b"param cpus 1\nzone 0 1 4095\nzone 1 4096 258048\nboot\n" + b"a 0 0 3264\nf 0 0\na 0 1 3264\nd 0\n"
    hashes = {name: replay(read_script(text, "x", name)).hash for name in ROWS}
    assert hashes["v6.18"] == hashes["v7.1"] == hashes["v7.3"] != hashes["v5.8-rc3"]
    with pytest.raises(InputError, match=r"expected v5\.8-rc3, v6\.18, v7\.1, v7\.3"):
        read_script(text, "x", "v6.1")


def test_a_cached_type_is_not_kept() -> None:
    """A refilled page goes back by its pageblock's type now; v5.8 remembered the list's."""
    a = booted()
    a.alloc_pages(KERNEL)
    state = a.zone_state(1)
    assert len(state.pcp_lists[0]) == 14
    assert {kind for lists in state.cached for one in lists for kind in one} == {0}
    assert buddy.account_freepages.__module__ == "gfpmodel.mm.v6_18.buddy"


def test_a_word_that_stands_twice_is_asked_where_it_stands() -> None:
    """What stands before an OP_BULK decides, and each nolock request has a result of its own."""
    machine = PageAllocator(Machine((Zone(2, 4096, 2048),)), kernel="v6.18")
    kinds = [OP_AMOUNT, OP_BULK, OP_NOLOCK, OP_AMOUNT, OP_BULK, OP_NOLOCK]
    ops = pack_ops(np.array(kinds), 0, 0, np.array([2, KERNEL, 0, 3, KERNEL, 0]))
    assert len(machine.run(ops).pfns) == 2 + 1 + 3 + 1
    with pytest.raises(MisuseError, match="operation 2 is an OP_BULK"):
        machine.run(ops[[0, 1, 4]])
