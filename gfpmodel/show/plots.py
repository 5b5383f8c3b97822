"""What experiments gave, as figures of the page itself: points with their intervals, and a value over time.

They take the page's colours and letters, in light and in dark; style.css has the rest.  Series differ by the shape of
their mark or the dash of their line, not by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isnan, log10

import numpy as np
from numpy.typing import NDArray

from gfpmodel.show import figures
from gfpmodel.show.charts import Scale
from gfpmodel.show.pictures import Picture, table
from gfpmodel.sim import Interval
from gfpmodel.sim.workloads import MS

MANY = 4  #: lines of a scale, whose numbers would not all have room on a phone
SERIES = 3  #: how many can be told apart: classes s0, s1, ... of style.css
DASHES = ("", "7 4", "2 3")  #: of their lines
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 600, 264, 72, 56, 30, 44  # px of a course

Course = NDArray[np.int64]  # rows of a time in ns and a value


@dataclass(frozen=True)
class Dot:
    """A value with its interval, in the unit of the scale, and what is said of it; low is high if it has no spread."""

    at: float
    low: float
    high: float
    said: str


Rows = Mapping[str, Mapping[str, Dot]]


def short(value: float) -> str:
    """Return a number as prose has it: three digits, or whole with commas."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def number(value: Interval, unit: str = "") -> Dot:
    """Return a figure over runs as a point, with its interval in words; of one run there is none."""
    said = f"{short(value.mean)} {unit}".rstrip()
    if isnan(value.low) or value.low == value.high:
        return Dot(value.mean, value.mean, value.mean, said)
    return Dot(*value, f"{said} ({short(value.low)} to {short(value.high)})")


def percent(value: Interval, of: float, each: str = "requests") -> Dot:
    """Return a share (0 to 1) as a point in per cent; where all runs saw none, or all, how many were asked.

    Arguments: the share over runs; of how many, over all runs; what they are.
    """
    if value.mean in (0, 1):
        return Dot(100 * value.mean, 100 * value.mean, 100 * value.mean,
                   f"{'0' if not value.mean else 'all'} of {of:,.0f} {each}")  # fmt: skip
    return number(Interval(*(100 * end for end in value)), "%")


def counted(part: int, whole: int) -> Dot:
    """Return a share that was counted once, in per cent: one run says nothing about the spread over runs."""
    at = 100 * part / whole
    return Dot(at, at, at, f"{part:,} of {whole:,}" + (f", {short(at)} %" if part else ""))


def ticks(scale: Scale) -> list[float]:
    """Return where a scale has its lines: powers of ten, or both ends and the middle."""
    if scale.log:
        return [10.0**at for at in range(ceil(log10(scale.low)), floor(log10(scale.top)) + 1)]
    return [scale.low, (scale.low + scale.top) / 2, scale.top]


def across(scale: Scale, value: float) -> str:
    """Return how far across a value lies, as a coordinate."""
    return f"{figures.px(100 * scale.at(value))}%"


def mark(series: int, dot: Dot, scale: Scale) -> str:
    """Draw a point and its interval; what lies below a logarithmic scale has no place on it."""
    if scale.log and dot.at < scale.low:
        return ""
    low, high = scale.at(dot.low), scale.at(dot.high)
    width = f"{figures.px(100 * (high - low))}%"
    span = f'<rect class="span" x="{across(scale, dot.low)}" y="9" width="{width}" height="4"/>'
    ends = "".join(
        f'<rect class="span" x="{across(scale, end)}" y="5" width="2" height="12" transform="translate(-1)"/>'
        for end in (dot.low, dot.high)
    )
    body = '<rect x="{}" y="5" width="12" height="12" rx="{}" transform="translate(-6)"/>'
    return (span + ends) * (low < high) + body.format(across(scale, dot.at), 0 if series % 2 else 6)


def track(series: int, dot: Dot, scale: Scale, marks: Mapping[str, float], alt: str) -> str:
    """Draw the line of one point; what goes through all lines is a little longer, to meet that of the next."""
    grid = "".join(
        f'<rect class="grid" x="{across(scale, at)}" y="-5" width="1" height="32"/>' for at in ticks(scale)
    ) + "".join(f'<rect class="goal" x="{across(scale, at)}" y="-5" width="3" height="32"/>' for at in marks.values())
    return (
        f'<svg role="img" aria-label="{escape(alt)}" class="s{series}" height="22">'
        f"{grid}{mark(series, dot, scale)}</svg>"
    )


def axis(scale: Scale) -> str:
    """Write the numbers of a scale below it; of many lines every second has one, so that none runs into the next."""
    at = ticks(scale)
    anchors = ["start", *["middle"] * (len(at) - 2), "end"]
    named = slice((len(at) - 1) % 2, None, 2) if len(at) > MANY else slice(None)
    words = "".join(
        f'<text x="{across(scale, value)}" y="15" text-anchor="{anchor}">{value:,g}</text>'
        for value, anchor in zip(at[named], anchors[named], strict=True)
    )
    return f'<svg aria-hidden="true" height="22">{words}</svg>'


def key_of(names: Sequence[str], scale: Scale, marks: Mapping[str, float]) -> str:
    """Say what the marks, the lines and the scale mean."""
    shapes = (
        f'<svg aria-hidden="true" class="s{at}" width="14" height="14">'
        f'<rect x="1" y="1" width="12" height="12" rx="{0 if at % 2 else 6}"/></svg> {escape(name)}'
        for at, name in enumerate(names)
        if len(names) > 1
    )
    goals = (f'<b aria-hidden="true"></b> {escape(name)}: {short(at)} {scale.unit}' for name, at in marks.items())
    says = f"{scale.unit}, each line ten times the one before" if scale.log else scale.unit
    return " &nbsp; ".join([*shapes, *goals, f"scale: {escape(says)}"])


def dots(title: str, rows: Rows, scale: Scale, marks: Mapping[str, float] | None = None) -> Picture:
    """Show figures as points with their 95 % intervals, a line for each row and series.

    Arguments: the title, which says what is to be seen; the points by row and series; their scale; values to compare
    with, by name.  Raises ValueError for more series than can be told apart.
    """
    marks = marks or {}
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    if len(names) > SERIES:
        raise ValueError(f"{len(names)} series; expected at most {SERIES}")
    html, lines = [], [title]
    for label, row in rows.items():
        html.append(f"<dt>{escape(label)}</dt><dd>")
        for name, dot in row.items():
            alt = ", ".join(filter(None, (label, name if len(names) > 1 else ""))) + f": {dot.said}"
            html.append(f"{track(names.index(name), dot, scale, marks, alt)}<span>{escape(dot.said)}</span>")
            lines.append(f"  {alt}")
        html.append("</dd>")
    html.append(f'<dd class="axis">{axis(scale)}</dd>')
    head = f'<p class="gfp-finding">{escape(title)}</p><p class="gfp-dots-key">{key_of(names, scale, marks)}</p>'
    return Picture(f'{head}<dl class="gfp-dots">{"".join(html)}</dl>', "\n".join(lines))


def step_of(top: float, parts: int = 4) -> float:
    """Return a round step (1, 2 or 5 times a power of ten) that divides a range into a few parts."""
    power = 10.0 ** floor(log10(top / parts))
    return next(power * by for by in (1, 2, 5, 10) if power * by * parts >= top * (1 - 1e-9))


def word(x: float, y: float, text: str, anchor: str = "start") -> str:
    """Write a word into a course."""
    return f'<text x="{figures.px(x)}" y="{figures.px(y)}" text-anchor="{anchor}">{escape(text)}</text>'


def course_svg(lines: Mapping[str, Course], marks: Mapping[str, int], what: str, alt: str) -> str:
    """Draw a value over milliseconds, a line a run, and level lines with their names."""
    end = max(rows[-1, 0] for rows in lines.values()) / MS
    top = max(1.0, 1.05 * max(*(rows[:, 1].max() for rows in lines.values()), *marks.values(), 0))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(ms: float) -> str:
        return figures.px(LEFT + wide * ms / end)

    def y(value: float) -> float:
        return float(TOP + high * (1 - value / top))

    body = []
    for value in np.arange(0, top, step_of(top)):
        body.append(f'<path class="grid" d="M{LEFT} {figures.px(y(value))}h{wide}"/>')
        body.append(word(LEFT - 8, y(value) + 5, f"{value:,g}", "end"))
    for ms in np.arange(0, end * 1.001, step_of(end)):
        body.append(word(LEFT + wide * ms / end, HEIGHT - BOTTOM + 18, f"{ms:g}", "middle"))
    for name, value in marks.items():
        body.append(f'<path class="goal" d="M{LEFT} {figures.px(y(value))}h{wide}"/>')
        body.append(word(WIDTH - RIGHT + 6, y(value) + 5, name))
    for at, rows in enumerate(lines.values()):
        points = " ".join(f"{x(ms / MS)} {figures.px(y(value))}" for ms, value in rows)
        body.append(f'<path class="s{at}" stroke-dasharray="{DASHES[at]}" d="M{points}"/>')
    body += [word(0, 18, what), word(WIDTH - RIGHT, HEIGHT - 4, "milliseconds", "end")]
    head = f'<svg role="img" aria-label="{escape(alt)}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}">'
    return f"{head}{''.join(body)}</svg>"


def over_time(title: str, what: str, lines: Mapping[str, Course], marks: Mapping[str, int] | None = None) -> Picture:
    """Show a value over time, and how much of the time it was below each of some marks.

    Arguments: the title, which says what is to be seen; what the value is; by the name of the run, rows of a time (ns)
    and the value then; marks by name, in the unit of the value.  Raises ValueError for more runs than there are lines.
    """
    if len(lines) > SERIES:
        raise ValueError(f"{len(lines)} runs; expected at most {SERIES}")
    marks = marks or {}
    below = {name: [f"{(rows[:, 1] < value).mean():.0%}" for value in marks.values()] for name, rows in lines.items()}
    ends = {name: (rows[0, 1], rows[:, 1].min(), rows[-1, 1]) for name, rows in lines.items()}
    facts = table(
        [what, "at first", "lowest", "at the end", *(f"below {mark}" for mark in marks)],
        [(name, *map(int, ends[name]), *below[name]) for name in lines],
    )
    said = "; ".join(f"{name} from {first} to {last}, lowest {low}" for name, (first, low, last) in ends.items())
    at = "".join(f"; mark {name} at {value}" for name, value in marks.items())
    key = "".join(
        f'<span><svg aria-hidden="true" class="s{n}" width="36" height="10">'
        f'<path stroke-dasharray="{DASHES[n]}" d="M0 5h36"/></svg> {escape(name)}</span> '
        for n, name in enumerate(lines)
    )
    drawn = course_svg(lines, marks, what, f"{title}. {what} over time: {said}{at}")
    html = f'<p class="gfp-finding">{escape(title)}</p><p class="gfp-dots-key gfp-course">{key}</p>'
    html += f'<figure class="gfp-course">{drawn}</figure>{figures.folded("The same as a table", facts.html)}'
    return Picture(html, f"{title}\n{facts.text}")
