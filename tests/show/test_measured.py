"""Figures of experiments: the text has every value, the drawing says what it shows, series differ by shape."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from gfpmodel.errors import InputError
from gfpmodel.show.measured import (
    SERIES,
    interval_table,
    measured,
    own_parameters,
    sampled,
    shown,
    watermarks,
    whisker_figure,
    whiskers,
    worded,
)
from gfpmodel.sim import Interval, experiment, interval
from gfpmodel.sim.experiments import CrossCpu, Kswapd

ROWS = {
    "first": {"a": Interval(1.0, 0.5, 1.5), "b": Interval(20.0, 20.0, 20.0)},
    "second": {"a": Interval(2.0, 1.0, 3.0)},
}
SMALL = Kswapd(pages=1 << 14, duration_ms=5)


def label(html: str) -> str:
    found = re.search(r'role="img" aria-label="([^"]*)"', html)
    assert found
    return found[1]


def test_the_table_has_every_value_and_a_dash_where_there_is_none() -> None:
    assert interval_table("row", ROWS).text.splitlines() == [
        "row     a             b",
        "first   1 [0.5, 1.5]  20",
        "second  2 [1, 3]      -",
    ]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5))
def test_a_value_is_shown_with_its_interval_if_it_has_one(values: list[float]) -> None:
    value = interval(values)
    text = shown(value)
    assert "nan" not in text
    assert ("[" in text) == (len(values) > 1 and value.low < value.high)
    number = float(re.split(r" ", text)[0])
    assert abs(number - value.mean) <= max(0.5, abs(value.mean) * 0.005)


def test_the_drawing_says_what_the_table_says() -> None:
    picture = whiskers("things", ROWS)
    said = label(picture.html)
    for part in ("things", "first: a 1 [0.5, 1.5], b 20", "second: a 2 [1, 3]"):
        assert part in said
    assert picture.text == interval_table("", ROWS).text


def test_a_line_is_drawn_for_every_interval_and_the_first_row_is_on_top() -> None:
    (axes,) = whisker_figure("things", ROWS).axes
    drawn = [tuple(segment[:, 0]) for lines in axes.collections for segment in getattr(lines, "get_segments", list)()]
    assert drawn == [(0.5, 1.5), (1.0, 3.0), (20.0, 20.0)]
    bottom, top = axes.get_ylim()
    assert bottom > top
    assert [text.get_text() for text in axes.get_yticklabels()] == list(ROWS)


@pytest.mark.parametrize(("value", "says"), [(True, "yes"), (0.0, "0"), (0.8, "0.8"), (1e5, "100,000"), ("up", "up")])
def test_parameters_are_worded(value: object, says: str) -> None:
    assert worded(value) == says


def test_a_long_name_has_its_room() -> None:
    figure = whisker_figure("things", {"a name of twenty-nine letters": ROWS["first"]})
    (axes,) = figure.axes
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    assert axes.get_yticklabels()[0].get_window_extent().x0 >= 0


def test_series_differ_without_colour() -> None:
    for at in (0, 3):  # marker, dash
        assert len({series[at] for series in SERIES}) == len(SERIES)


def test_too_many_series_are_refused() -> None:
    five = {"row": {str(at): interval([1.0, 2.0]) for at in range(5)}}
    with pytest.raises(ValueError, match="5 series"):
        whiskers("x", five)


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert whiskers("things", ROWS).html == whiskers("things", ROWS).html


def test_measured_is_the_experiment_over_its_seeds() -> None:
    grid = {"duration_ms": (2,), "frees_on": ("same", "next")}
    found = measured("cross_cpu", grid, 2, {"failed_share.asker": "failed", "no such figure": "x"})
    assert {row: list(values) for row, values in found.items()} == {"same": ["failed"], "next": ["failed"]}
    run = experiment("cross_cpu")
    each = [run(CrossCpu(duration_ms=2), seed)["failed_share.asker"] for seed in range(2)]
    assert found["next"]["failed"] == interval(each)


def test_sampling_changes_nothing_but_adds_the_series() -> None:
    with_series, plain = sampled("kswapd", SMALL, 1), experiment("kswapd").results(SMALL, 1)["run"]
    assert with_series.record == pytest.approx(plain.record, rel=0, abs=0, nan_ok=True)
    assert with_series.series[0, 0] == 0
    marks = watermarks("kswapd", SMALL)
    assert 0 < marks["min"] < marks["low"] < marks["high"]
    assert with_series.series[0, 1] <= round(SMALL.free_share * marks["low"])


def test_settings_of_ones_own() -> None:
    assert own_parameters("kswapd", "rate=5000 others=y duration_ms=2") == replace(
        Kswapd(), rate=5000.0, others=True, duration_ms=2
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rate", "expected key=value"),
        ("rats=1", "unknown parameter"),
        ("rate=1,2", "expected one"),
        ("duration_ms=100000 rate=1000000", "would run for about"),
        ("rate=-1", "rate"),
    ],
)
def test_bad_settings_get_one_line(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        own_parameters("kswapd", text)
    assert "\n" not in str(error.value)
