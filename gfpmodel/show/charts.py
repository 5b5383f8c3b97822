"""Figures of experiments: means over seeds as bars, each with its interval as a whisker, and the same facts as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from math import isnan, log10

from gfpmodel.show.figures import BLUE, px
from gfpmodel.show.pictures import Picture
from gfpmodel.sim import Interval

WIDTH, HEIGHT = 240, 18  # of one bar, px


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


def bar(scale: Scale, value: Interval, marks: Mapping[str, float], alt: str) -> str:
    """Draw one bar, with its interval in the colour of the text around it; marks are dashed."""
    end = WIDTH * scale.at(value.mean)
    body = f'<rect x="0" y="4" width="{px(end)}" height="10" fill="{BLUE}" stroke="none"/>'
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
    said = f"Scale: {'logarithmic, ' if scale.log else ''}{scale.low:g} to {scale.top:g} {scale.unit}".rstrip() + "."
    said += "".join(f" Dashed line at {value:g}: {name}." for name, value in marks.items())
    key = f'<p class="gfp-key">{escape(said)}</p>'
    head = f'<p class="gfp-finding">{escape(title)}</p>'
    return Picture(f'{head}<dl class="gfp-facts">{"".join(html)}</dl>{key}', "\n".join(lines))
