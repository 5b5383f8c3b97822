"""Figures of the page itself: the text and the label have every value, and what is drawn stands where it should."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gfpmodel.show.charts import Scale
from gfpmodel.show.plots import DASHES, SERIES, Dot, counted, dots, number, over_time, percent, step_of, ticks
from gfpmodel.sim import Interval

EVEN, LOG = Scale(0, 100, "%"), Scale(0.01, 100, "%", log=True)
ROWS = {"one <a>": {"kernel": counted(1, 4), "model": percent(Interval(0.5, 0.25, 0.75), 8)}}
RISES = np.array([[0, 0], [1_000_000, 4], [2_000_000, 8]])


def labels(html: str) -> list[str]:
    return re.findall(r'role="img" aria-label="([^"]*)"', html)


def test_a_value_is_said_with_its_interval_if_it_has_one() -> None:
    assert number(Interval(2045.4, 1908, 2181), "pages").said == "2,045 pages (1,908 to 2,181)"
    assert number(Interval(315, 315, 315)).said == "315"
    assert number(Interval(1.5, float("nan"), float("nan"))) == Dot(1.5, 1.5, 1.5, "1.5")
    assert percent(Interval(0.0146, 0.0132, 0.0162), 100).said == "1.46 % (1.32 to 1.62)"


def test_nothing_and_all_are_said_of_how_many() -> None:
    assert percent(Interval(0, 0, 0), 49_361).said == "0 of 49,361 requests"
    assert percent(Interval(1, 1, 1), 12, "pages").said == "all of 12 pages"
    assert (counted(0, 1011).said, counted(557, 10_000).said) == ("0 of 1,011", "557 of 10,000, 5.57 %")


def test_points_and_intervals_stand_where_the_scale_says() -> None:
    picture = dots("Half fail", ROWS, EVEN, {"the list said": 10})
    assert picture.text.splitlines() == [
        "Half fail",
        "  one <a>, kernel: 1 of 4, 25 %",
        "  one <a>, model: 50 % (25 to 75)",
    ]
    assert labels(picture.html) == ["one &lt;a&gt;, kernel: 1 of 4, 25 %", "one &lt;a&gt;, model: 50 % (25 to 75)"]
    first, second = re.findall(r'<svg role="img".*?</svg>', picture.html)
    assert re.findall(r'class="span" x="([\d.]+)%" y="9" width="([\d.]+)%"', second) == [("25", "50")]
    assert 'class="span"' not in first
    assert re.findall(r'x="([\d.]+)%" y="5" width="12"', first + second) == ["25", "50"]
    assert 'class="goal" x="10%"' in first
    assert "the list said: 10 %" in picture.html


def test_one_series_is_not_named() -> None:
    assert dots("t", {"row": {"failed": counted(1, 2)}}, EVEN).text == "t\n  row: 1 of 2, 50 %"


def test_what_lies_below_a_logarithmic_scale_is_said_and_not_drawn() -> None:
    html = dots("t", {"row": {"failed": counted(0, 9)}}, LOG).html
    assert "0 of 9" in html
    assert 'y="5"' not in html
    assert ticks(LOG) == [0.01, 0.1, 1, 10, 100]
    assert ticks(EVEN) == [0, 50, 100]


def test_a_course_tells_ends_lowest_and_time_below() -> None:
    rows = np.array([[0, 10], [1_000_000, 4], [2_000_000, 6], [3_000_000, 8]])
    picture = over_time("It falls", "pages", {"run": rows}, {"low": 7})
    assert [line.split() for line in picture.text.splitlines()] == [
        ["It", "falls"],
        ["pages", "at", "first", "lowest", "at", "the", "end", "below", "low"],
        ["run", "10", "4", "8", "50%"],
    ]
    assert labels(picture.html) == ["It falls. pages over time: run from 10 to 8, lowest 4; mark low at 7"]


def test_a_course_is_drawn_from_the_left_below_to_the_right_above() -> None:
    html = over_time("It rises", "failed", {"run": RISES, "none": RISES * [1, 0]}).html
    drawn = [re.findall(r"[\d.]+", found) for found in re.findall(r'<path class="s\d"[^>]* d="M([^"]*)"', html)]
    rising = [(float(x), float(y)) for x, y in zip(drawn[0][::2], drawn[0][1::2], strict=True)]
    assert [x for x, _ in rising] == sorted(x for x, _ in rising)
    assert [y for _, y in rising] == sorted((y for _, y in rising), reverse=True)
    assert len(set(drawn[1][1::2])) == 1


@pytest.mark.parametrize(("top", "step"), [(1.0, 0.5), (4772, 2000), (50, 20), (2000, 500), (1892, 500)])
def test_steps_are_round(top: float, step: float) -> None:
    assert step_of(top) == pytest.approx(step)


def test_series_differ_without_colour_and_more_are_refused() -> None:
    assert len(set(DASHES)) == SERIES
    with pytest.raises(ValueError, match="4 series"):
        dots("t", {"row": {str(at): counted(1, 2) for at in range(4)}}, EVEN)
    with pytest.raises(ValueError, match="4 runs"):
        over_time("t", "x", {str(at): RISES for at in range(4)})
