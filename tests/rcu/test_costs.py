"""What the chain costs and wants: worked out by hand from the sizes of blocks and the lengths of waits."""

from __future__ import annotations

import pytest

from gfpmodel.errors import InputError
from gfpmodel.rcu.costs import HEADERS, blocks_in_flight, drain_ns, fallback_cost, flood, ladder
from gfpmodel.rcu.timing import Timing
from gfpmodel.rcu.versions import version


def test_the_reported_flood() -> None:
    assert blocks_in_flight(1_000_000, 0.2, 509) == 393  # 200,000 / 509 = 392.9


@pytest.mark.parametrize(("rate", "blocks"), [(0, 0), (1, 1), (510, 1), (511, 2)])
def test_a_block_begun_is_a_block(rate: int, blocks: int) -> None:
    assert blocks_in_flight(rate, 1, 510) == blocks


@pytest.mark.parametrize("wrong", [(-1, 1, 1), (1, -1, 1), (1, 1, 0)])
def test_nonsense_is_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="expected"):
        blocks_in_flight(*wrong)


def test_a_miss_for_eight_records_with_blocks() -> None:
    cost = fallback_cost("v5.9", 0, 510 + 8)
    assert (cost.fell_back, cost.kfree_bulk, cost.kfree) == (0, 2, 0)
    assert cost.cache_misses == 64 + 1  # 510 records lie in 64 lines of eight, 8 in one


def test_a_miss_for_each_object_without() -> None:
    cost = fallback_cost("v5.9", 1, 300)
    assert (cost.fell_back, cost.kfree_bulk, cost.kfree, cost.cache_misses) == (300, 0, 300, 300)
    assert (cost.synchronize_rcu, cost.waited_ns) == (0, 0)


def test_the_one_argument_form_waits_a_grace_period_for_each_object() -> None:
    cost = fallback_cost("v5.9", 1, 20, one_argument=True)
    assert cost.synchronize_rcu == 20
    assert cost.waited_ns == 20 * Timing().gp_ns


def test_a_flood_waits_for_three_grace_periods_and_no_longer() -> None:
    found = flood("v5.9", 60_000_000, rate=100_000)
    assert found.computed == 16  # 8,000 / 510
    assert found.computed < found.peak
    assert found.waited_ns == pytest.approx(3 * 60_000_000 - 20_000_000, rel=0.02)


@pytest.mark.parametrize(("name", "ms"), [("v5.8", 20), ("v6.1", 4)])
def test_the_drain_of_a_full_block(name: str, ms: int) -> None:
    assert drain_ns(version(name), Timing(hz=250)) == ms * 1_000_000


def test_the_ladder() -> None:
    rows = {row[0]: dict(zip(HEADERS, row, strict=True)) for row in ladder()}
    assert "call_rcu" not in rows
    assert [rows[name]["records"] for name in ("v5.8", "v5.9", "v6.6")] == [509, 510, 507]
    assert [name for name in rows if rows[name]["asks locked"]] == ["v5.8", "v5.9"]
    assert [name for name in rows if not rows[name]["fixed"]] == ["v5.8", "v5.9", "v5.11", "v5.12"]
    assert rows["v5.8"]["lock"] == "spin"
