"""The kernel's boot arithmetic, by cases computed by hand."""

import pytest

from gfpmodel.errors import GeometryError
from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm.mmzone import boot_sizes, without, zone_batchsize
from gfpmodel.mm.state import MIGRATE_CMA, MIGRATE_MOVABLE, MIGRATE_UNMOVABLE

PC = (Zone(0, 1, 4095), Zone(1, 4096, 1044480), Zone(2, 1048576, 1048576))  # 8 GiB


@pytest.mark.parametrize(
    ("managed", "batch", "high"),
    [(100, 1, 0), (8191, 1, 0), (8192, 1, 6), (16384, 3, 18), (65536, 15, 90), (176127, 31, 186), (176128, 63, 378)],
)
def test_pcp_sizes_follow_from_the_zone(managed: int, batch: int, high: int) -> None:
    sizes = boot_sizes(Machine((Zone(2, 32768, managed),))).zones[2]
    assert (sizes.batch, sizes.high) == (batch, high)


def test_a_huge_zone_has_the_largest_batch() -> None:
    assert zone_batchsize(1 << 28) == 63


def test_pagelist_fraction_replaces_both() -> None:
    sizes = boot_sizes(Machine((Zone(2, 32768, 16384),), percpu_pagelist_fraction=8)).zones[2]
    assert (sizes.high, sizes.batch) == (2048, 96)  # 16384 / 8; a quarter of it, at most 8 * PAGE_SHIFT
    sizes = boot_sizes(Machine((Zone(2, 32768, 16384),), percpu_pagelist_fraction=1000)).zones[2]
    assert (sizes.high, sizes.batch) == (16, 4)


def test_given_pcp_sizes_win_for_one_zone() -> None:
    sizes = boot_sizes(Machine(PC, pcp={1: (15, 90)})).zones
    assert (sizes[1].batch, sizes[1].high) == (15, 90)
    assert (sizes[2].batch, sizes[2].high) == (63, 378)
    assert boot_sizes(Machine(PC, pcp=(None, 500))).zones[2].batch == 63


def test_watermarks_of_a_small_machine() -> None:
    sizes = boot_sizes(Machine((Zone(2, 32768, 16384),)))
    # 64 MiB: sqrt(16 * 65536) = 1024 KiB = 256 pages; low and high a quarter and a half more
    assert sizes.min_free_kbytes == 1024
    assert sizes.zones[2].wmark == (256, 320, 384)
    assert sizes.totalreserve == 384


def test_the_scale_factor_widens_the_gap() -> None:
    sizes = boot_sizes(Machine((Zone(2, 32768, 16384),), watermark_scale_factor=1000))
    assert sizes.zones[2].wmark == (256, 256 + 1638, 256 + 2 * 1638)


def test_min_free_kbytes_is_clamped_at_boot_but_not_as_a_sysctl() -> None:
    assert boot_sizes(Machine((Zone(2, 32768, 100),))).min_free_kbytes == 128
    sizes = boot_sizes(Machine((Zone(2, 32768, 16384),), min_free_kbytes=64))
    assert (sizes.min_free_kbytes, sizes.zones[2].wmark) == (64, (16, 32, 48))


def test_lower_zones_keep_pages_from_requests_that_could_go_higher() -> None:
    zones = boot_sizes(Machine(PC)).zones
    assert zones[0].lowmem_reserve == (0, 1044480 // 256, (1044480 + 1048576) // 256, (1044480 + 1048576) // 256)
    assert zones[1].lowmem_reserve == (0, 0, 1048576 // 256, 1048576 // 256)
    assert zones[2].lowmem_reserve == (0, 0, 0, 0)


def test_mobility_grouping_needs_five_pageblocks_in_all() -> None:
    assert boot_sizes(Machine((Zone(2, 32768, 2559),))).mobility_disabled
    assert not boot_sizes(Machine((Zone(2, 32768, 2560),))).mobility_disabled
    assert boot_sizes(Machine((Zone(2, 32768, 5119),), pageblock_order=10)).mobility_disabled
    assert boot_sizes(Machine((Zone(2, 32768, 2560),), mobility_disabled=True)).mobility_disabled
    with_cma = Machine((Zone(2, 32768, 3071),), cma=((33792, 34816),))
    assert boot_sizes(with_cma).mobility_disabled  # six types


def test_boot_frees_the_largest_aligned_blocks() -> None:
    machine = PageAllocator(Machine((Zone(2, 777, 300),)))
    found = sorted(machine.snapshot().free_blocks())
    expected = [(777, 0), (778, 1), (780, 2), (784, 4), (800, 5), (832, 6), (896, 7), (1024, 5), (1056, 4), (1072, 2)]
    assert found == [*expected, (1076, 0)]
    machine.check()


def test_the_highest_block_of_an_aligned_zone_is_first() -> None:
    machine = PageAllocator(Machine((Zone(2, 32768, 4096),)))
    assert machine.free_list(2, 10, MIGRATE_MOVABLE).tolist() == [35840, 34816, 33792, 32768]


def test_a_pageblock_whose_first_page_is_in_no_zone_stays_unmovable() -> None:
    machine = PageAllocator(Machine((Zone(2, 700, 2000),)))
    assert machine.block_types(2).tolist() == [MIGRATE_UNMOVABLE] + [MIGRATE_MOVABLE] * 4


def test_reserved_pages_and_holes_never_come_out() -> None:
    machine = PageAllocator(Machine((Zone(2, 32768, 2048),), reserved=((33000, 33100),), holes=((34000, 34200),)))
    assert machine.sizes.zones[2].managed == 2048 - 300
    assert machine.machine.present(machine.machine.zones[0]) == 2048 - 200
    taken = set()
    while (pfn := machine.alloc_pages("__GFP_MEMALLOC|GFP_KERNEL")) is not None:
        taken.add(pfn)
    assert taken == set(range(32768, 34816)) - set(range(33000, 33100)) - set(range(34000, 34200))
    machine.check()


def test_cma_areas_come_after_pcp_sizes_and_watermarks() -> None:
    # as seen on a booted 1 GiB guest with cma=640M: batch 15, not 63
    zone = Zone(1, 4096, 258048)
    held = ((4096, 4096 + 11815),)
    plain = Machine((zone,), reserved=held)
    cma = Machine((zone,), reserved=held, cma=((98304, 262144),), pageblock_order=10)
    assert boot_sizes(plain).zones[1].batch == 63
    sizes = boot_sizes(cma).zones[1]
    assert (sizes.batch, sizes.high, sizes.managed) == (15, 90, 246233)
    assert sizes.wmark < boot_sizes(plain).zones[1].wmark
    machine = PageAllocator(cma)
    assert machine.counters(1)["free_cma"] == 163840
    assert set(machine.block_types(1)[90:].tolist()) == {MIGRATE_MOVABLE, MIGRATE_CMA}
    machine.check()


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        (lambda: Machine(()), "needs a zone"),
        (lambda: Machine((Zone(0, 1, 5000), Zone(1, 4096, 4096))), r"DMA \[1, 5001\) and DMA32 \[4096, 8192\) overlap"),
        (lambda: Machine((Zone(1, 1, 10), Zone(0, 11, 10))), "DMA follows zone DMA32"),
        (lambda: Machine((Zone(2, 1, 10), Zone(2, 11, 10))), "once each"),
        (lambda: Machine((Zone(4, 1, 10),)), "zone index 4"),
        (lambda: Machine((Zone(2, 1, 0),)), "spans 0 pages"),
        (lambda: Machine((Zone(2, -1, 10),)), "pfns are"),
        (lambda: Machine((Zone(2, 0, 1 << 40),)), "pfns are"),
        (lambda: Machine((Zone(2, 0, 1 << 31),)), "can be modelled"),
        (lambda: Machine((Zone(2, 0, 10),), cpus=0), "cpus is 0"),
        (lambda: Machine((Zone(2, 0, 10),), cpus=1 << 20), "cpus is 1048576"),
        (lambda: Machine((Zone(2, 0, 10),), pageblock_order=11), "pageblock_order is 11"),
        (lambda: Machine((Zone(2, 0, 10),), pcp=(7, 3)), "pcp high of zone Normal is 3; expected 7"),
        (lambda: Machine((Zone(2, 0, 10),), pcp=(0, 3)), "pcp batch"),
        (lambda: Machine((Zone(2, 0, 10),), percpu_pagelist_fraction=7), "percpu_pagelist_fraction is 7"),
        (lambda: Machine((Zone(2, 0, 10),), reserved=((5, 3),)), r"range \[5, 3\)"),
        (lambda: Machine((Zone(2, 0, 10),), slowpath="long"), "slowpath 'long'"),
        (lambda: Machine((Zone(2, 0, 4096),), cma=((512, 1024),)), "multiples of 1024"),
        (lambda: Machine((Zone(2, 0, 4096),), cma=((4096, 5120),)), "not within one zone"),
        (lambda: Machine((Zone(2, 0, 4096),), cma=((1024, 2048),), reserved=((2000, 2100),)), "overlaps"),
    ],
)
def test_a_machine_that_cannot_exist_is_refused(machine: object, says: str) -> None:
    with pytest.raises(GeometryError, match=says):
        machine()  # type: ignore[operator]


def test_without_leaves_what_is_not_covered() -> None:
    assert without((10, 20), [(0, 12), (15, 16), (14, 15), (19, 30)]) == [(12, 14), (16, 19)]
    assert without((10, 20), []) == [(10, 20)]
    assert without((10, 20), [(5, 25)]) == []
