"""Figures of experiments: every point and interval is in the text, and nothing is told by colour alone."""

import re
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfpmodel.show.charts import WIDTH, Scale, bars
from gfpmodel.show.figures import px
from gfpmodel.sim import Interval


def test_bars_say_their_number_their_interval_and_the_marks() -> None:
    picture = bars("8 cpus", {"wait": Interval(20, 18, 22), "hold <": Interval(2, nan, nan)}, Scale(1, 100, "us", True),
                   {"reported": 50})  # fmt: skip
    assert picture.text == "8 cpus\n  wait: 20 [18, 22] us\n  hold <: 2 us"
    assert "Dashed line at 50: reported." in picture.html
    assert "Scale: logarithmic, 1 to 100 us." in picture.html
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
