"""The picture of the scorecard says what the scorecard says: in figures, in marks that are no colour, and in words."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from gfpmodel.evidence.scorecard import COLUMNS, SHOWN, Scorecard
from gfpmodel.locking.spoken import SPOKEN, spoken
from gfpmodel.proposals import PROPOSALS
from gfpmodel.show.scorecard import ASLEEP, BEHIND, brief, score_picture, tenant_scrubber
from gfpmodel.sim.grids import TENANT_RATES

DATA = Path(__file__).parents[2] / "book/data"
EVERY = [column.name for column in COLUMNS]
CELL = re.compile(r'<td( class="w")? data-label="([^"]+)" title="([^"]+)"><span>(.*?)</span></td>')


def test_every_cell_has_its_figure_its_mark_and_its_source(card: Scorecard) -> None:
    html = score_picture(card).html
    told = re.sub(r' title="[^"]*"', "", html).lower()
    assert told.count(ASLEEP) == 1, "once, below the table"
    assert brief(ASLEEP) in told
    found = CELL.findall(score_picture(card, EVERY).html)
    wanted = [(group[0], column) for group in card.groups(COLUMNS) for column in COLUMNS]
    for (bold, head, title, shown), (name, column) in zip(found, wanted, strict=True):
        cell, behind = card.rows[name][column.name], card.worse(name, column)
        assert unescape(head) == column.title
        assert cell.source in unescape(title)
        assert unescape(shown).startswith(brief(cell.mean))
        assert cell.spread in shown
        assert bool(bold) == (BEHIND in shown) == behind


def test_the_text_has_every_figure(card: Scorecard) -> None:
    header, *lines = score_picture(card).text.splitlines()
    assert re.split(r" {2,}", header) == ["proposal", *(column.title for column in SHOWN)]
    for line, group in zip(lines, card.groups(SHOWN), strict=True):
        row = card.rows[group[0]]
        words = [f"{row[c.name]}{f' {BEHIND}' if card.worse(group[0], c) else ''}" for c in SHOWN]
        assert re.split(r" {2,}", line) == [" / ".join(map(spoken, group)), *words]


def test_the_sources_are_there_in_words(card: Scorecard) -> None:
    listed = unescape(score_picture(card, EVERY).html.partition("<details>")[2])
    for row in card.rows.values():
        assert all(cell.source in listed for cell in row.values())


def test_it_is_described_with_its_gaps(card: Scorecard) -> None:
    groups = [group[0] for group in card.groups(COLUMNS)]
    gaps = sum(len(card.gaps(name)) for name in groups)
    behind = sum(len(card.behind(name)) for name in groups)
    html = score_picture(card, EVERY).html
    assert f'aria-label="Scorecard of {len(PROPOSALS)} proposals in {len(COLUMNS)} columns; ' in html
    assert f"{behind} cells behind, {gaps} gaps" in html


def test_some_columns_only(card: Scorecard) -> None:
    groups = card.groups([c for c in COLUMNS if c.name in ("rt", "cost")])
    assert len(CELL.findall(score_picture(card, ("rt", "cost")).html)) == 2 * len(groups)
    with pytest.raises(ValueError, match="no column price"):
        score_picture(card, ("price",))


def test_a_count_of_contexts_is_drawn_with_what_came_of_them(card: Scorecard) -> None:
    picture = score_picture(card, ("rt", "cost"), "what is to be seen", {"trylock": "only tries"})
    bars = re.findall(r'class="bar" role="img" aria-label="(\d+) [^"]*, (\d+) [^"]*, (\d+) ', picture.html)
    groups = card.groups([c for c in COLUMNS if c.name in ("rt", "cost")])
    assert [tuple(map(int, one)) for one in bars] == [card.rows[group[0]]["rt"].parts for group in groups]
    assert all(sum(card.rows[name]["rt"].parts) == card.rows[name]["rt"].of for name in PROPOSALS)
    assert "<small>only tries</small>" in picture.html
    assert picture.text.startswith("what is to be seen\n")


def test_the_slider_has_a_frame_for_each_rate(results: dict[str, Any]) -> None:
    _, slider, stack = tenant_scrubber(results, TENANT_RATES, ("tenant", "cost"), start=2).children
    assert len(slider.options) == len(stack.children) == len(TENANT_RATES)
    assert slider.index == stack.selected_index == 2
    assert len({frame.value for frame in stack.children}) == len(TENANT_RATES)


def test_every_row_has_a_name_of_the_readers() -> None:
    assert set(SPOKEN) == {*PROPOSALS, "gfp_atomic_rt"}
    assert len(set(SPOKEN.values())) == len(SPOKEN)
