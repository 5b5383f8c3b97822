"""The picture of the scorecard says what the scorecard says: in figures, in marks that are no colour, and in words."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from gfpmodel.proposals import PROPOSALS
from gfpmodel.show.scorecard import BEHIND, score_picture, tenant_scrubber
from gfpmodel.sim.grids import TENANT_RATES
from gfpmodel.sim.scorecard import COLUMNS, GAP, Scorecard

DATA = Path(__file__).parents[2] / "book/data"
CELL = re.compile(r'<td( class="w")? data-label="([^"]+)" title="([^"]+)"><span>(.*?)</span></td>')


def test_every_cell_has_its_figure_its_mark_and_its_source(card: Scorecard) -> None:
    found = CELL.findall(score_picture(card).html)
    wanted = [(card, name, column) for name in PROPOSALS for column in COLUMNS]
    assert len(found) == len(wanted)
    for (hatched, head, title, shown), (_, name, column) in zip(found, wanted, strict=True):
        cell, behind = card.rows[name][column.name], card.worse(name, column)
        assert unescape(head) == column.title
        assert cell.source in unescape(title)
        assert shown.startswith(cell.mean)
        assert cell.spread in shown
        assert bool(hatched) == (BEHIND in shown) == behind


def test_the_text_has_every_figure(card: Scorecard) -> None:
    header, *lines = score_picture(card).text.splitlines()
    assert re.split(r" {2,}", header) == ["proposal", *(column.title for column in COLUMNS)]
    for line, (name, row) in zip(lines, card.rows.items(), strict=True):
        words = [f"{row[c.name]}{f' {BEHIND}' if card.worse(name, c) else ''}" for c in COLUMNS]
        assert re.split(r" {2,}", line) == [name, *words]


def test_the_sources_are_there_in_words(card: Scorecard) -> None:
    listed = unescape(score_picture(card).html.partition("<details>")[2])
    for row in card.rows.values():
        assert all(cell.source in listed for cell in row.values())


def test_it_is_described_with_its_gaps(card: Scorecard) -> None:
    gaps = sum(str(cell) == GAP for row in card.rows.values() for cell in row.values())
    behind = sum(len(card.behind(name)) for name in PROPOSALS)
    assert (
        f'aria-label="Scorecard of {len(PROPOSALS)} proposals in {len(COLUMNS)} columns; ' in score_picture(card).html
    )
    assert f"{behind} cells behind, {gaps} gaps" in score_picture(card).html
    assert sum(len(card.gaps(name)) for name in PROPOSALS) == gaps


def test_some_columns_only(card: Scorecard) -> None:
    assert len(CELL.findall(score_picture(card, ("rt", "cost")).html)) == 2 * len(PROPOSALS)
    with pytest.raises(ValueError, match="no column price"):
        score_picture(card, ("price",))


def test_the_slider_has_a_frame_for_each_rate(results: dict[str, Any]) -> None:
    _, slider, stack = tenant_scrubber(results, TENANT_RATES, ("tenant", "cost"), start=2).children
    assert len(slider.options) == len(stack.children) == len(TENANT_RATES)
    assert slider.index == stack.selected_index == 2
    assert len({frame.value for frame in stack.children}) == len(TENANT_RATES)
