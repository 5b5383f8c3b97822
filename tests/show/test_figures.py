"""Drawings say the same wherever they are drawn: what is compared does not hang on the last digits of a coordinate."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nbval.plugin import get_sanitize_patterns

from gfpmodel.show import charts, figures, plots, series
from gfpmodel.show.pictures import Picture
from gfpmodel.sim import Interval

RULES = get_sanitize_patterns((Path(__file__).parents[1] / "nbval_sanitize.cfg").read_text(encoding="utf-8"))
RISES = np.array([[t * 10**6, t * t] for t in range(30)])
VALUES = [Interval(x / 7, x / 9, x / 6) for x in range(1, 6)]
SAMPLES = [{"t_ms": 7.0 * t, "unmovable": t % 5, "movable": t % 7, "reclaimable": t % 3} for t in range(50)]


DRAWINGS: dict[str, Callable[[], Picture]] = {
    "room": figures.room,
    "bars": lambda: charts.bars(
        "a title", dict(zip("abcde", VALUES, strict=True)), charts.Scale(0.1, 1, "us", log=True)
    ),
    "course": lambda: plots.over_time("a title", "pages", {"a": RISES}, {"low": 99}),
    "dots": lambda: plots.dots("a title", {"row": {"a": plots.number(VALUES[0])}}, charts.Scale(0, 1, "us")),
    "lists": lambda: series.lists_over_time({"a trace": SAMPLES}),
}
drawings = pytest.mark.parametrize("name", DRAWINGS)


def compared(html: str) -> str:
    """Return what nbval compares of an output of the chapters."""
    for regex, replace in RULES:
        html = re.sub(regex, replace, html)
    return html


@drawings
def test_a_drawing_is_the_same_text_where_coordinates_differ_by_a_millionth(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, exact, off = DRAWINGS[name]().html, figures.px, random.Random(1)
    assert re.search(r' (?:d|x)="[^"]', first)
    for module in (figures, charts):
        monkeypatch.setattr(module, "px", lambda value: exact(value * (1 + off.uniform(-1e-6, 1e-6))))
    for _ in range(3):
        assert compared(DRAWINGS[name]().html) == compared(first)


@drawings
def test_a_drawing_has_no_finer_coordinate_than_an_eye_sees(name: str) -> None:
    html = DRAWINGS[name]().html
    attributes = figures.GEOMETRY.findall(html)
    assert attributes
    assert not [text for text in attributes if re.search(r"\.\d\d", text)]
    assert DRAWINGS[name]().html == html


def test_what_is_compared_still_tells_two_drawings_apart() -> None:
    other = charts.bars("a title", {"a": VALUES[0], "b": VALUES[0]}, charts.Scale(0.1, 1, "us"))
    assert compared(other.html) != compared(DRAWINGS["bars"]().html)
    figure = series.lists_figure({"a": SAMPLES, "b": SAMPLES})
    assert compared(figures.svg(figure, "x")) != compared(figures.svg(series.lists_figure({"a": SAMPLES}), "x"))


def test_two_figures_of_a_page_share_no_id() -> None:
    ids = [set(re.findall(r' id="([^"]+)"', figures.svg(figures.room_figure(), alt))) for alt in ("one", "two")]
    assert ids[0]
    assert not ids[0] & ids[1]
    body = figures.svg(figures.room_figure(), "one")
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', body)) == ids[0]


@pytest.mark.parametrize(
    ("value", "text"), [(16.598678, "16.6"), (-0.04, "0"), (3, "3"), (1234.56, "1234.6"), (-2.25, "-2.2")]
)
def test_a_coordinate_has_a_tenth_of_a_pixel(value: float, text: str) -> None:
    assert figures.px(value) == text
