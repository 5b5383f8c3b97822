"""The rows of the proposals: each does what the discussion says, through data alone."""

import inspect
from collections.abc import Iterable
from dataclasses import replace

import pytest

import gfpmodel.mm
from gfpmodel.errors import InputError
from gfpmodel.gfp import decode, layout
from gfpmodel.mm import Machine, PageAllocator, Rule, Zone
from gfpmodel.mm.rules import NO_RECLAIM, OWN_FUNCTION
from gfpmodel.mm.state import ZONE_BOOSTED_WATERMARK
from gfpmodel.proposals import PROPOSALS, ROWS, proposal

NAMES = [
    *("fast_try", "no_locks", "lockless", "nowait", "atomic", "gfp0"),
    *("raw_zone_lock", "raw_zone_lock_rt", "trylock", "deferred_refill"),
]
LATER = ["gfp_atomic_rt"]
U, M, R = range(3)
ORDINARY = {U: 0xCC0, M: 0xCC8, R: 0xCD0}


def machine(row: Rule, **knobs: object) -> PageAllocator:
    zones = (Zone(0, 1, 4095), Zone(1, 4096, 28672), Zone(2, 32768, 16384))
    return PageAllocator(Machine(zones, **knobs), row, events=1 << 12)  # type: ignore[arg-type]


def names(events: Iterable[object]) -> set[str]:
    return {event.name for event in events}  # type: ignore[attr-defined]


def test_the_rows_have_the_names_of_the_command_line() -> None:
    assert list(PROPOSALS) == NAMES
    assert list(ROWS) == NAMES + LATER
    with pytest.raises(InputError, match="did you mean fast_try"):
        proposal("fast-try")


def test_the_engine_asks_for_no_proposal_by_name() -> None:
    mm = gfpmodel.mm
    for module in (mm.buddy, mm.pcp, mm.page_alloc, mm.watermark, mm.free, mm.hits, mm.run, mm.allocator):
        source = inspect.getsource(module)
        assert not [name for name in ROWS if f'"{name}"' in source]


@pytest.mark.parametrize("name", ROWS)
def test_masks_are_those_of_the_rows_kernel(name: str) -> None:
    row = proposal(name)
    flag = row.flag & 0xFFFFFFFF
    assert row.mask & flag == flag
    assert decode(row.mask & 0xFFFFFFFF, layout(row.kernel)).leftover == 0


@pytest.mark.parametrize(
    ("name", "seen"),
    [("fast_try", {U: {U, M, R}, M: {M, R}, R: {R}}), ("no_locks", {t: {U, M, R} for t in (U, M, R)})],
)
def test_which_lists_a_flag_sees(name: str, seen: dict[int, set[int]]) -> None:
    row = proposal(name)
    for start, lists in seen.items():
        for filled, mask in ORDINARY.items():
            a = machine(row)
            a.alloc_pages(mask)
            head = a.pcp_list(0, 2, filled).tolist()[0]
            a.events()
            got = a.alloc_pages(row.mask | start << 3)
            assert got == (head if filled in lists else None)
            assert not names(a.events()) & {"zone_lock", "rmqueue_bulk", "wakeup_kswapd"}


def test_lockless_ignores_the_watermark_that_stops_fast_try() -> None:
    for name, gets in (("fast_try", False), ("no_locks", False), ("lockless", True)):
        a = machine(proposal(name), watermark_boost_factor=0, min_free_kbytes=1 << 20)
        b = machine(proposal(name), watermark_boost_factor=0)
        b.alloc_pages()
        a.restore(b.snapshot(), a.sizes)  # pages on the list, and all zones below their watermarks
        assert (a.alloc_pages(proposal(name).mask) is not None) == gets


def test_lockless_is_for_order_0_and_zones_up_to_normal() -> None:
    a = machine(proposal("lockless"))
    a.alloc_pages()
    assert a.alloc_pages(OWN_FUNCTION, 1) is None
    assert a.alloc_pages(OWN_FUNCTION) is not None
    assert a.alloc_pages(0, 1) is not None  # the ordinary path is as it was


def test_lockless_looks_at_each_zone_once_and_wakes_nobody() -> None:
    row = proposal("lockless")
    a = machine(row)
    assert a.alloc_pages(row.mask) is None
    assert [e.zone for e in a.events() if e.name == "local_irq_save"] == [2, 1, 0]  # a kernel's walk goes round twice
    a.alloc_pages()
    state = a.snapshot()
    a.restore(replace(state, zones=tuple(replace(zone, flags=ZONE_BOOSTED_WATERMARK) for zone in state.zones)))
    a.events()
    assert a.alloc_pages(row.mask) is not None
    assert "wakeup_kswapd" not in names(a.events())
    a.alloc_pages(0)  # the ordinary path has the tail, for the flag that is still set
    assert "wakeup_kswapd" in names(a.events())


def test_a_declined_lock_is_not_taken_whatever_the_order() -> None:
    row = proposal("raw_zone_lock").on(preempt_rt=True)
    a = machine(row)
    before = a.snapshot()
    for order in (0, 1, 10):
        assert a.alloc_pages(row.mask, order) is None
        found = names(a.events())
        assert "zone_lock_declined" in found
        assert not found & {"zone_lock", "rmqueue_bulk"}
    assert a.snapshot() == before
    a.alloc_pages()  # somebody else fills the list
    a.events()
    assert a.alloc_pages(row.mask) is not None
    assert "zone_lock_declined" not in names(a.events())
    assert proposal("raw_zone_lock").on(preempt_rt=False) == proposal("raw_zone_lock")


def test_a_mask_without_a_reclaim_bit_only_tries() -> None:
    row = proposal("gfp_atomic_rt")
    there = row.on(preempt_rt=True)
    assert (row.on(preempt_rt=False), row.mask) == (row, 0x820)
    assert (there.request, there.mask) == ("__GFP_HIGH", 0x20 | NO_RECLAIM)
    for mask, marked in ((0, True), (0x2000, True), (0x400, False), (0x800, False), (0xCC0, False)):
        assert (row.asking(mask) != mask) == marked
        assert proposal("trylock").asking(mask) == mask
    a = machine(row)
    for zone in (0, 1, 2):
        a.contend(zone, held=True)
    assert a.alloc_pages(there.mask) is None
    assert "zone_lock" not in names(a.events())
    a.contend(2, held=False)
    assert a.alloc_pages(there.mask) is not None
    a.contend(2, held=True)
    assert a.alloc_pages(row.mask, 1) is not None  # GFP_ATOMIC waits for the lock


def test_trylock_refills_unless_the_lock_is_held() -> None:
    row = proposal("trylock")
    a = machine(row)
    for zone in (0, 1, 2):
        a.contend(zone, held=True)
    for order in (0, 1):
        assert a.alloc_pages(row.mask, order) is None
        found = a.events()
        assert {"zone_trylock"} <= names(found)
        assert not names(found) & {"zone_lock", "wakeup_kswapd", "rmqueue_bulk"}
    a.contend(1, held=False)
    pfn = a.alloc_pages(row.mask)
    assert pfn is not None
    assert 4096 <= pfn < 32768
    assert names(a.events()) >= {"zone_trylock", "zone_lock", "rmqueue_bulk"}
    assert a.alloc_pages(row.mask, 3) is not None
    assert a.alloc_pages(row.mask, 4) is None  # not an order of the pcp lists
    assert a.alloc_pages(0x800, 4) is not None
    a.check()


def test_trylock_stops_at_the_min_watermark_without_waking_kswapd() -> None:
    row = proposal("trylock")
    a = PageAllocator(Machine((Zone(2, 32768, 4096),), mobility_disabled=False), row, events=1 << 14)
    while a.alloc_pages(row.mask) is not None:
        pass
    assert a.nr_free(2) == a.sizes.zones[2].wmark[0]
    assert "wakeup_kswapd" not in names(a.events())


@pytest.mark.parametrize("name", ["nowait", "atomic", "gfp0", "raw_zone_lock", "raw_zone_lock_rt", "deferred_refill"])
def test_rows_without_a_flag_take_the_ordinary_path(name: str) -> None:
    row = proposal(name)
    a, plain = machine(row), PageAllocator(machine(row).machine, events=1 << 12)
    for order in (0, 0, 3, 10):
        assert a.alloc_pages(row.mask, order) == plain.alloc_pages(row.mask, order)
    assert a.events() == plain.events()
    assert "zone_lock" in names(a.events()) or a.snapshot() == plain.snapshot()


def test_a_new_row_needs_no_code() -> None:
    row = Rule("odd", "only the reclaimable list", "none", flag=OWN_FUNCTION, scan=(2, 2), refill="no", slow_path=False)
    a = machine(row)
    assert a.alloc_pages(OWN_FUNCTION) is None
    a.alloc_pages(0xCD0)
    assert a.alloc_pages(OWN_FUNCTION) is not None
