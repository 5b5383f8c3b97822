"""The drawn chain: what the frames say is what the model did, and every drawing says it in words."""

from __future__ import annotations

import re

import pytest

from gfpmodel.proposals import PROPOSALS
from gfpmodel.rcu import KfreeRcu
from gfpmodel.show.chain import CELL, SLOTS, draw, drawn_machine, frames, page, places, rows, story, true_scale
from gfpmodel.show.widgets import chain_stepper
from tests.show.test_pictures import Balanced

FAST_TRY = PROPOSALS["fast_try"]


@pytest.fixture(scope="module")
def told() -> list[str]:
    return [frame.text for frame in frames(drawn_machine(FAST_TRY), 2 * SLOTS + 2)]


def test_the_three_sources_in_order(told: list[str]) -> None:
    wanted = [text for text in told if "a block is wanted" in text]
    assert [text.partition(":")[0] for text in wanted] == [f"kfree_rcu(object {n})" for n in (1, 5, 9, 10)]
    assert "this CPU's cache" in wanted[0]
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


def test_the_drawing_has_what_the_model_has() -> None:
    moments = list(story(drawn_machine(FAST_TRY), 2 * SLOTS + 2))
    rooms = places(moments)
    for moment in moments:
        held = list(rows(moment.krc))
        pages = {block.pfn for _, blocks, _ in held for block in blocks} | set(moment.listed) | set(moment.krc.cache)
        objects = {obj for _, blocks, head in held for one in (*(b.records for b in blocks), head) for obj in one}
        html = draw(moment, rooms)
        assert sorted(map(int, re.findall(r'data-page="(\d+)/0"', html))) == sorted(pages)
        assert sorted(map(int, re.findall(r'data-object="(\d+)"', html))) == sorted(objects)


def test_a_refused_request_says_so_where_the_page_would_have_come_from() -> None:
    drawn = frames(drawn_machine(FAST_TRY), 2 * SLOTS + 2)
    refused = [frame.text.partition(":")[0] for frame in drawn if "the request returns NULL" in frame.html]
    assert refused == ["kfree_rcu(object 9)", "kfree_rcu(object 10)"]
    assert "linked through its own rcu_head" in drawn[9].html
    block = re.search(r'data-page="4097/0" style="([^"]+)"', drawn[5].html)
    assert block, "the page moves"
    assert "--s:-1" in block[1], "from the allocator's side to the chain's"


def test_a_long_run_is_cut_and_closes() -> None:
    drawn = frames(drawn_machine(FAST_TRY, pages=8), 40)
    for frame in drawn:
        Balanced(frame.html)
        assert 'role="img"' in frame.html
    assert any("more blocks" in frame.html for frame in drawn)
