"""Figures of experiments: every point and interval is in the text, and nothing is told by colour alone."""

import re
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfpmodel.show.charts import STYLES, WIDTH, Chart, Scale, bars, curves
from gfpmodel.show.figures import px
from gfpmodel.sim import Interval

CHART = Chart("Latency", "batch, pages", "us", "It rises.", log_x=True, log_y=True)
LINES = {
    "1 cpu": [(63.0, Interval(2, 1, 3)), (511.0, Interval(20, -5, 45))],
    "8 cpus": [(63.0, Interval(20, 18, 22)), (511.0, Interval(170, nan, nan))],
}


def test_a_figure_of_curves_says_what_it_shows() -> None:
    picture = curves(CHART, LINES, {"reported: 220": 220})
    label = re.search('<svg role="img" aria-label="([^"]+)"', picture.html)
    assert label
    assert all(text in label[1] for text in ("Latency", "batch, pages", "It rises."))
    assert "reported: 220" in picture.html
    assert picture.text.splitlines() == [
        "batch, pages  1 cpu        8 cpus",
        "63            2 [1, 3]     20 [18, 22]",
        "511           20 [-5, 45]  170",
    ]


def test_the_same_curves_give_the_same_bytes() -> None:
    assert curves(CHART, LINES).html == curves(CHART, LINES).html


def test_a_point_that_one_curve_lacks_stays_empty() -> None:
    text = curves(CHART, {"a": [(1, Interval(1, 1, 1))], "b": [(2, Interval(2, 2, 2))]}).text
    assert text.splitlines()[1:] == ["1             1 [1, 1]", "2                       2 [2, 2]"]


def test_curves_differ_in_marker_and_dash_and_no_more_are_drawn() -> None:
    assert len({marker for _, marker, _ in STYLES}) == len({str(dash) for _, _, dash in STYLES}) == len(STYLES)
    with pytest.raises(ValueError, match="6 curves"):
        curves(CHART, {str(at): [(1, Interval(1, 1, 1))] for at in range(6)})


def test_bars_say_their_number_their_interval_and_the_marks() -> None:
    picture = bars("8 cpus", {"wait": Interval(20, 18, 22), "hold <": Interval(2, nan, nan)}, Scale(1, 100, "us", True),
                   {"reported": 50})  # fmt: skip
    assert picture.text == "8 cpus\n  wait: 20 [18, 22] us\n  hold <: 2 us"
    assert "dashed at 50: reported" in picture.html
    assert "logarithmic, 1 to 100 us" in picture.html
    assert "hold &lt;" in picture.html
    assert picture.html.count("<svg role=") == picture.html.count("stroke-dasharray") == 2
    whiskers = re.findall(r"stroke-width", picture.html)
    assert len(whiskers) == 1, "of a single seed the interval is unknown"


@pytest.mark.parametrize("log", [True, False])
@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_a_scale_keeps_the_order_and_stays_on_the_bar(log: bool, one: float, two: float) -> None:
    scale = Scale(0.5, 1000, "us", log)
    low, high = sorted((one, two))
    assert 0 <= scale.at(low) <= scale.at(high) <= 1
    assert (scale.at(0.5), scale.at(1000)) == (0, 1)


def test_a_longer_bar_is_a_larger_figure() -> None:
    html = bars("t", {"a": Interval(10, nan, nan), "b": Interval(50, nan, nan)}, Scale(0, 100, "us")).html
    assert re.findall(r'<rect x="0" y="4" width="([\d.]+)"', html) == [px(WIDTH / 10), px(WIDTH / 2)]
