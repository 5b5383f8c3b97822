"""CONFIG_CMA: who gets the pages of an area, and who gets them through a pcp list."""

from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm.state import MIGRATE_CMA, MIGRATE_MOVABLE
from gfpmodel.proposals import proposal

ZONE = Zone(1, 4096, 16384)
LARGE = ((8192, 20480),)  # three quarters of the zone
SMALL = ((18432, 20480),)
MOVABLE, UNMOVABLE, FAST_TRY = 0xCC8, 0xCC0, 0x800000


def machine(cma: tuple[tuple[int, int], ...]) -> PageAllocator:
    return PageAllocator(Machine((ZONE,), cma=cma, pcp=(4, 40), pageblock_order=10), proposal("fast_try"))


def inside(pfn: int | None, cma: tuple[tuple[int, int], ...]) -> bool:
    assert pfn is not None
    return any(start <= pfn < end for start, end in cma)


def test_areas_are_free_blocks_of_their_own_type() -> None:
    a = machine(SMALL)
    assert sorted(a.free_list(1, 10, MIGRATE_CMA).tolist()) == [18432, 19456]
    assert a.counters(1)["free_cma"] == 2048
    assert a.sizes.zones[1].managed == 16384
    a.check()


def test_movable_requests_use_cma_while_it_is_more_than_half_of_what_is_free() -> None:
    assert inside(machine(LARGE).alloc_pages(MOVABLE), LARGE)
    assert inside(machine(LARGE).alloc_pages(MOVABLE, 3), LARGE)
    assert not inside(machine(SMALL).alloc_pages(MOVABLE), SMALL)


def test_an_ordinary_unmovable_request_never_gets_a_cma_page() -> None:
    a = machine(LARGE)
    taken = []
    while (pfn := a.alloc_pages(UNMOVABLE)) is not None:
        taken.append(pfn)
    assert taken
    assert not any(inside(pfn, LARGE) for pfn in taken)
    assert a.counters(1)["free_cma"] == 12288  # free, and of no use to this request
    a.check()


def test_a_movable_request_finds_the_rest_in_cma_before_it_steals() -> None:
    a = machine(SMALL)
    taken = []
    while (pfn := a.alloc_pages(MOVABLE)) is not None:
        taken.append(pfn)
    assert sum(inside(pfn, SMALL) for pfn in taken) > 1500
    a.check()


def test_fast_try_hands_a_cma_page_to_an_unmovable_user() -> None:
    a = machine(LARGE)
    a.alloc_pages(MOVABLE)  # the refill leaves three CMA pages on the movable list
    assert inside(a.alloc_pages(FAST_TRY), LARGE)


def test_a_freed_cma_page_waits_on_the_movable_list_and_returns_to_the_cma_list() -> None:
    a = machine(LARGE)
    pfn = a.alloc_pages(MOVABLE)
    assert pfn is not None
    free_cma = a.counters(1)["free_cma"]
    a.free_pages(pfn)
    assert pfn in a.pcp_list(0, 1, MIGRATE_MOVABLE).tolist()
    assert a.counters(1)["free_cma"] == free_cma == 12288 - 4
    a.drain()
    assert a.counters(1)["free_cma"] == 12288
    a.check()


def test_cma_pageblocks_are_never_stolen() -> None:
    a = machine(LARGE)
    types = a.block_types(1).tolist()
    while a.alloc_pages("GFP_ATOMIC|__GFP_RECLAIMABLE", 1) is not None:
        pass
    assert [t for t in a.block_types(1).tolist() if t == MIGRATE_CMA] == [t for t in types if t == MIGRATE_CMA]
    a.check()
