"""Figures of experiments: means over seeds with their intervals, as curves or as bars, and the same facts as text.

Curves are told apart by marker and dash, bars by their label; an interval is a whisker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isnan, log10

from matplotlib.figure import Figure

from gfpmodel.show.figures import BLUE, GREY, ORANGE, px, with_table
from gfpmodel.show.pictures import Picture, table
from gfpmodel.sim import Interval

STYLES = ((BLUE, "o", "-"), (ORANGE, "s", "--"), ("black", "^", ":"), (GREY, "D", "-."), (BLUE, "v", (0, (1, 1, 4, 1))))
WIDTH, HEIGHT = 260, 18  # of one bar, px

Points = Sequence[tuple[float, Interval]]


@dataclass(frozen=True)
class Chart:
    """What a figure is about: its title, its two axes with their units, what is to be seen, and its scales."""

    title: str
    x: str
    y: str
    seen: str
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Scale:
    """The scale of bars: from ``low`` to ``top`` of a ``unit``, by logarithm or even."""

    low: float
    top: float
    unit: str
    log: bool = False

    def at(self, value: float) -> float:
        """Return how far along the bar a value lies, 0 to 1."""
        value = min(max(value, self.low), self.top)
        if self.log:
            return log10(value / self.low) / log10(self.top / self.low)
        return (value - self.low) / (self.top - self.low)


def curves_figure(chart: Chart, curves: Mapping[str, Points], marks: Mapping[str, float]) -> Figure:
    """Draw curves with their intervals, and marks as level lines."""
    figure = Figure(figsize=(6.4, 3.8), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    for (name, points), (colour, marker, dash) in zip(curves.items(), STYLES, strict=False):
        at = [x for x, _ in points]
        mean = [y.mean for _, y in points]
        below = [0 if isnan(y.low) else y.mean - y.low for _, y in points]
        above = [0 if isnan(y.high) else y.high - y.mean for _, y in points]
        if chart.log_y:  # a whisker that reaches 0 has no place on the scale
            below = [min(down, 0.95 * y) for down, y in zip(below, mean, strict=True)]
        axes.errorbar(at, mean, (below, above), color=colour, marker=marker, linestyle=dash, capsize=3, label=name)
    axes.set_xscale("log" if chart.log_x else "linear")
    axes.set_yscale("log" if chart.log_y else "linear")
    if chart.log_x:
        ticks = sorted({x for points in curves.values() for x, _ in points})
        axes.set_xticks(ticks, [f"{x:.10g}" for x in ticks])
        axes.minorticks_off()
    for name, value in marks.items():
        axes.axhline(value, color="black", linewidth=0.8, linestyle=(0, (6, 3)))
        axes.annotate(name, (0.01, value), (0, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                      fontsize=8)  # fmt: skip
    axes.set_xlabel(chart.x)
    axes.set_ylabel(chart.y)
    axes.set_title(chart.title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    return figure


def curves(chart: Chart, lines: Mapping[str, Points], marks: Mapping[str, float] | None = None) -> Picture:
    """Show curves over seeds with their 95 % intervals.

    Arguments: titles, axes and what is to be seen; up to five curves by name, points (x, interval); level lines.
    Raises ValueError for more curves than can be told apart without colour.
    """
    if len(lines) > len(STYLES):
        raise ValueError(f"{len(lines)} curves; {len(STYLES)} can be told apart")
    at = sorted({x for points in lines.values() for x, _ in points})
    found = {name: dict(points) for name, points in lines.items()}
    rows = [(f"{x:.10g}", *(str(found[name].get(x, "")) for name in lines)) for x in at]
    facts = table([chart.x, *lines], rows)
    alt = f"{chart.title}: {chart.y} against {chart.x}. {chart.seen}"
    return with_table(curves_figure(chart, lines, marks or {}), alt, facts)


def bar(scale: Scale, value: Interval, marks: Mapping[str, float], alt: str) -> str:
    """Draw one bar with its interval in the colour of the text around it; marks are dashed."""
    end = WIDTH * scale.at(value.mean)
    body = f'<rect x="0" y="4" width="{px(end)}" height="10" fill="currentColor" fill-opacity=".35"/>'
    if not isnan(value.low):
        low, high = px(WIDTH * scale.at(value.low)), px(WIDTH * scale.at(value.high))
        body += f'<path d="M{low} 9H{high}M{low} 5v8M{high} 5v8" stroke-width="1.5"/>'
    for mark in marks.values():
        body += f'<path d="M{px(WIDTH * scale.at(mark))} 0v{HEIGHT}" stroke-dasharray="3 2"/>'
    return (
        f'<svg role="img" aria-label="{escape(alt)}" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="-2 0 {WIDTH + 4} {HEIGHT}" fill="none" stroke="currentColor" style="max-width: 100%">{body}</svg>'
    )


def bars(title: str, rows: Mapping[str, Interval], scale: Scale, marks: Mapping[str, float] | None = None) -> Picture:
    """Show figures as bars below each other, each with its 95 % interval and its number.

    Arguments: the title; the figures by name, in the unit of the scale; the scale, the same for every frame of a
    widget; marks by name, which every bar shows.
    """
    marks = marks or {}
    html, lines = [], [title]
    for name, value in rows.items():
        alt = f"{name}: {value} {scale.unit}".rstrip()
        number = f'<span class="gfp-number">{value} {escape(scale.unit)}</span>'
        html.append(f"<dt>{escape(name)}</dt><dd>{bar(scale, value, marks, alt)} {number}</dd>")
        lines.append(f"  {alt}")
    said = f"{'logarithmic, ' if scale.log else ''}{scale.low:g} to {scale.top:g} {scale.unit}".rstrip()
    said += "".join(f"; dashed at {value:g}: {name}" for name, value in marks.items())
    key = f'<p class="gfp-key">Bars: {escape(said)}.</p>'
    head = f'<p class="gfp-title">{escape(title)}</p>'
    return Picture(f'{head}<dl class="gfp-facts">{"".join(html)}</dl>{key}', "\n".join(lines))
