"""Bars of shares: every count is in the text and in the label, and what is there can be seen however small."""

import re

import pytest

from gfpmodel.show.shares import THINNEST, per_cent, shares

ROWS = {"a <trace>": {"page": 997, "NULL": 3}, "idle": {"page": 1_000_000, "NULL": 1}, "none": {"page": 7, "NULL": 0}}


def test_the_text_and_the_labels_have_every_count() -> None:
    picture = shares("Nearly all are served", ROWS)
    assert picture.text.splitlines() == [
        "Nearly all are served",
        "  a <trace>: 997 page, 3 NULL",
        "  idle: 1,000,000 page, 1 NULL",
        "  none: 7 page, 0 NULL",
    ]
    assert 'aria-label="a &lt;trace&gt;: 997 page, 3 NULL"' in picture.html
    assert "3 of 1,000 NULL, 0.3 %" in picture.html
    assert "0 of 7 NULL<" in picture.html


def test_what_is_there_can_be_seen_and_what_is_not_is_not_drawn() -> None:
    parts = re.findall(r'class="(\w+)" style="flex: ([\d.]+)"', shares("t", ROWS).html)
    assert parts == [("first", "99.7"), ("last", str(THINNEST)), ("first", "100"), ("last", str(THINNEST)),
                     ("first", "100")]  # fmt: skip


def test_three_parts_and_a_mark_of_what_was_expected() -> None:
    rows = {"x": {"list": 5, "lock": 4, "NULL": 1}}
    picture = shares("t", rows, {"x": 0.75}, "the formula")
    assert re.findall(r'class="(first|middle|last)" style', picture.html) == ["first", "middle", "last"]
    assert 'style="left: 75%"' in picture.html
    assert picture.text.endswith("x: 5 list, 4 lock, 1 NULL; the formula: 75 %")


def test_all_and_nothing_are_said_of_nothing_less() -> None:
    said = [per_cent(part, 100_000) for part in (0, 1, 2_500, 99_400, 99_999, 100_000)]
    assert said == ["0 %", "0.001 %", "2.5 %", "99.4 %", "100.0 %", "100 %"]


WRONG: list[dict[str, dict[str, int]]] = [{}, {"a": {"one": 1}}, {"a": {"x": 0, "y": 0}}, ROWS | {"b": {"page": 1}}]


@pytest.mark.parametrize("rows", WRONG)
def test_rows_that_cannot_be_drawn_are_refused(rows: dict[str, dict[str, int]]) -> None:
    with pytest.raises(ValueError, match="expected"):
        shares("t", rows)
