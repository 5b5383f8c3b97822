"""What later kernels do that one would guess wrong: the fact sheet's figures, and what must hold for any size."""

import csv
from itertools import pairwise
from pathlib import Path

import pytest

from gfpmodel.errors import GeometryError
from gfpmodel.mm.kernels import FIRST, ROWS
from gfpmodel.mm.state import ZONE_DMA32
from gfpmodel.sim import surprises as s

LATER = [name for name in ROWS if name != FIRST]


@pytest.mark.parametrize("kernel", LATER)
def test_a_refill_doubles_and_raises_high_up_to_32_batches(kernel: str) -> None:
    found = s.refills(kernel)
    assert [one.pages for one in found] == [63, 126, 252, 504, 1008, 2016, 2016]
    assert all(b.high - a.high == b.pages for a, b in pairwise(found))
    assert all(b.request - a.request == a.pages for a, b in pairwise(found))


def test_v5_8_refills_by_the_batch_below_one_high() -> None:
    found = s.refills(FIRST)
    assert {one.pages for one in found} == {63}
    assert {one.high for one in found} == {378}


def test_where_the_first_page_lies() -> None:
    assert [s.first_page(kernel) for kernel in LATER] == [0, 0, 0]
    assert s.first_page(FIRST) == s.PAGES - 1024


def test_a_bulk_free_empties_the_list_just_freed_to() -> None:
    for kernel in LATER:
        freed = s.bulk_free(kernel)
        assert freed == ["MOVABLE"] * 6 + ["RECLAIMABLE"] * (len(freed) - 6)
    assert s.bulk_free(FIRST)[:3] == ["MOVABLE", "RECLAIMABLE", "UNMOVABLE"]


def test_boosts_and_steals_of_one_request() -> None:
    # blocks of four orders are free, none of them enough of its pageblock: looked at from above, a boost each
    assert [s.mixing(kernel) for kernel in LATER] == [s.Mixing(4, 0, 8)] * 3
    assert s.mixing(FIRST).boosts == 1


@pytest.mark.parametrize("kernel", LATER)
def test_a_small_zone_reserves_nothing(kernel: str) -> None:
    assert s.reserved(kernel, 51_199) == 0
    assert s.reserved(kernel, 51_200) == 512
    assert s.reserved(FIRST, 40_000) == 512


#: Measured on the kernels' own functions: the fact sheet from 7.1.5 to 7.3.4, section 4.
SHEET = [
    (1, 64, (3, 1462), (64, 5305)),
    (3, 64, (10, 1903), (64, 5305)),
    (1, 256, (9, 1840), (256, 17401)),
    (1, 3000, (97, 7384), (3000, 32256)),
]


@pytest.mark.parametrize(("order", "number", "before", "now"), SHEET)
def test_atomic_orders(order: int, number: int, before: tuple[int, int], now: tuple[int, int]) -> None:
    for kernel, (locks, high) in (("v6.18", before), ("v7.1", before), ("v7.3", now)):
        assert s.atomic(kernel, order, number) == s.Atomic(number, locks, 1273, high)


def test_the_reserve_is_spent_in_good_times_and_still_counted() -> None:
    for kernel in ("v6.18", "v7.1"):
        found = s.reserve_spent(kernel)
        assert found.free == found.free_before > 0
    found = s.reserve_spent("v7.3")
    assert (found.free, found.counted) == (0, 1024)
    assert found.plenty > 200_000


def test_a_up_kernel_of_v7_1_never_uses_its_lists() -> None:
    assert {kernel: s.on_up(kernel) for kernel in ROWS} == {FIRST: 1, "v6.18": 1, "v7.1": 400, "v7.3": 400}


def test_nothing_makes_a_up_kernel_use_its_lists() -> None:
    allocator = s.booted("v7.1", smp=False)
    allocator.contend_lists(0, ZONE_DMA32, held=False)
    assert len(allocator.alloc_pages_bulk(count=20)) == 1
    assert allocator.alloc_pages_nolock() is not None
    allocator.restore(allocator.snapshot())
    allocator.alloc_pages()
    assert allocator.pcp_count(0, ZONE_DMA32) == 0
    allocator.check()
    with pytest.raises(GeometryError, match="cpus is 2; expected 1 to 1"):
        s.booted("v7.1", smp=False, cpus=2)


BOOK = Path(__file__).parents[2] / "book" / "data"


def test_eight_requests_near_min_are_served_as_on_the_booted_kernel() -> None:
    rows = [r for r in read_rows("boot618-lowwm") if (r["prep"], r["on_lists"]) == ("dry", "0")]
    assert len(rows) > 10
    for row in rows:
        assert s.served_near_min(int(row["free"]), int(row["min"])) == int(row["nl0_of_8"]), row


def read_rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((BOOK / f"{name}.csv").read_text(encoding="utf-8").splitlines()))
