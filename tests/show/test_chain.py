"""The drawn chain: what the frames say is what the model did, and every drawing says it in words."""

from __future__ import annotations

import re

import pytest

from gfpmodel.proposals import PROPOSALS
from gfpmodel.rcu import KfreeRcu
from gfpmodel.show.chain import CELL, SLOTS, drawn_machine, frames, page, true_scale
from gfpmodel.show.widgets import chain_stepper

FAST_TRY = PROPOSALS["fast_try"]


@pytest.fixture(scope="module")
def told() -> list[str]:
    return [frame.text for frame in frames(drawn_machine(FAST_TRY), 2 * SLOTS + 2)]


def test_the_three_sources_in_order(told: list[str]) -> None:
    wanted = [text for text in told if "a block is wanted" in text]
    assert [text.partition(":")[0] for text in wanted] == [f"kfree_rcu(object {n})" for n in (1, 5, 9, 10)]
    assert "this cpu's cache" in wanted[0]
    assert "from the allocator" in wanted[1]
    assert "NULL" in wanted[2]


def test_the_last_frame_has_nothing_left(told: list[str]) -> None:
    assert "queued    nothing" in told[-1]
    assert "batch" not in told[-1]
    assert "in work" not in told[-1]
    assert sum("kfree_bulk()" in text for text in told) == 2
    assert sum("kfree() of object" in text for text in told) == 2


def test_with_more_pages_nobody_falls_back() -> None:
    drawn = frames(drawn_machine(FAST_TRY, pages=2), 2 * SLOTS + 2)
    assert not [frame for frame in drawn if "head list" in frame.text]


@pytest.mark.parametrize(("name", "header"), [("v5.8", 3), ("v5.9", 2), ("v6.6", 5)])
def test_a_page_has_512_cells(name: str, header: int) -> None:
    rcu = KfreeRcu(name)
    rcu.queue(1300, every_ns=1000)
    full = rcu.krc().channels[0][-1]
    svg = page(full, rcu.version)
    records, head = (cells(path) for path in re.findall(r'd="([^"]+z)"', svg))
    assert (records, head) == (rcu.capacity, header)
    assert f"{rcu.capacity} of {rcu.capacity} records, {header} words of header" in svg


def cells(path: str) -> int:
    return sum(int(width) // CELL for width in re.findall(r"h(\d+)v", path))


def test_true_scale_in_words() -> None:
    rcu = KfreeRcu("v5.9")
    rcu.queue(1300)
    assert re.sub(r"page \d+", "page", true_scale(rcu).text).splitlines() == [
        "v5.9: 510 records in a block",
        "  slab     page: 280 of 510 -> page: 510 of 510 -> page: 510 of 510",
        "  head list 0 objects",
    ]


def test_the_player_has_a_frame_for_each_step() -> None:
    box = chain_stepper(FAST_TRY, 3)
    controls, stack = box.children[1], box.children[2]
    assert controls.children[1].max == len(stack.children) - 1 == len(frames(drawn_machine(FAST_TRY), 3)) - 1
