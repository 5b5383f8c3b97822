"""What experiments gave: means with their intervals over seeds, drawn or as a table, and runs sampled over time.

Series differ by the shape of their mark and the dash of their line, not by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Any

from matplotlib.figure import Figure

from gfpmodel.errors import InputError
from gfpmodel.mm import state as mm
from gfpmodel.mm.mmzone import boot_sizes
from gfpmodel.show.figures import BLUE, GREY, ORANGE, with_table
from gfpmodel.show.pictures import Picture, table
from gfpmodel.sim import Interval, Result, Sweep, experiment, run_sweep, simulate
from gfpmodel.sim.statistics import figure
from gfpmodel.sim.sweeps import parse_settings

#: Marker, colour of its face and of its edge, dash of a line: one set for each series.
SERIES = (("o", BLUE, BLUE, "-"), ("s", "white", "black", "--"), ("^", ORANGE, ORANGE, ":"), ("D", "white", GREY, "-."))
WIDTH, LINE, HEAD, FOOT, LETTER = 4.6, 0.24, 0.34, 0.5, 0.064  # inches
SAMPLES = 200
LIVE_SECONDS = 0.1

Rows = Mapping[str, Mapping[str, Interval]]


def measured(name: str, grid: Mapping[str, Sequence[Any]], seeds: int, figures: Mapping[str, str]) -> Rows:
    """Run an experiment over a grid in this process and return some of its figures over the seeds.

    Arguments: the experiment; values by parameter; how many seeds; the figures and what they are to be called.
    Returns them by the values of the parameters that vary.  Raises InputError.
    """
    sweep = Sweep(name, {key: tuple(values) for key, values in grid.items()}, seeds)
    rows = run_sweep(sweep, workers=1)
    varied = [key for key, values in sweep.grid.items() if len(values) > 1]
    found: dict[str, Mapping[str, Interval]] = {}
    for at in range(0, len(rows), seeds):
        group = rows[at : at + seeds]
        label = ", ".join(worded(group[0][key]) for key in varied)
        found[label] = {
            words: figure(key, [row[key] for row in group]) for key, words in figures.items() if key in group[0]
        }
    return found


def worded(value: Any) -> str:
    """Return a parameter's value as a reader sees it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,g}" if isinstance(value, float) else str(value)


def short(value: float) -> str:
    """Return a number with three digits, or whole if it is large."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def shown(value: Interval) -> str:
    """Return a mean and its interval; a figure that no seed moves, or that has one seed only, has no interval."""
    if value.low == value.high or isnan(value.low):
        return short(value.mean)
    return f"{short(value.mean)} [{short(value.low)}, {short(value.high)}]"


def names_of(rows: Rows) -> list[str]:
    """Return the series of some rows, in order."""
    return list(dict.fromkeys(name for row in rows.values() for name in row))


def interval_table(head: str, rows: Rows) -> Picture:
    """Show rows of means with their 95 % intervals; a figure that a row does not have is a dash."""
    names = names_of(rows)
    body = [(label, *(shown(row[name]) if name in row else "-" for name in names)) for label, row in rows.items()]
    return table([head, *names], body)


def whisker_figure(axis: str, rows: Rows) -> Figure:
    """Draw rows from the top, each with a mark for every series and a line from end to end of its interval."""
    names = names_of(rows)
    height = HEAD + FOOT + LINE * len(rows) * max(len(names), 1.5)
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    left = min(0.15 + LETTER * max(map(len, rows), default=0), WIDTH / 2) / WIDTH
    axes = figure.add_axes((left, FOOT / height, 0.96 - left, 1 - (HEAD + FOOT) / height))
    step = 0.8 / max(len(names), 1)
    for at, (name, (marker, face, edge, _)) in enumerate(zip(names, SERIES, strict=False)):
        have = [(y + (at - (len(names) - 1) / 2) * step, row[name]) for y, row in enumerate(rows.values())
                if name in row]  # fmt: skip
        ys, values = [y for y, _ in have], [value for _, value in have]
        axes.hlines(ys, [v.low for v in values], [v.high for v in values], color=edge, linewidth=1.6)
        axes.scatter([v.mean for v in values], ys, 30, marker=marker, facecolor=face, edgecolor=edge, zorder=3,
                     label=name)  # fmt: skip
    axes.set_yticks(range(len(rows)), list(rows), fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel(f"{axis}; line: 95 % interval over seeds", fontsize=8, loc="right")
    axes.grid(axis="x", color="0.5", alpha=0.35)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if len(names) > 1:
        figure.legend(loc="upper right", ncols=len(names), fontsize=8, frameon=False, borderaxespad=0.1,
                      handletextpad=0.2, columnspacing=1)  # fmt: skip
    return figure


def whiskers(axis: str, rows: Rows) -> Picture:
    """Show means with their 95 % intervals, a row for each setting and a mark for each of at most four series.

    Arguments: what the axis measures; the rows by name, each with its intervals by series.  Raises ValueError for
    more series than there are marks.
    """
    if len(names_of(rows)) > len(SERIES):
        raise ValueError(f"{len(names_of(rows))} series; expected at most {len(SERIES)}")
    said = "; ".join(
        f"{label}: " + ", ".join(f"{name} {shown(value)}" for name, value in row.items()) for label, row in rows.items()
    )
    return with_table(whisker_figure(axis, rows), f"{axis}, by row. {said}", interval_table("", rows))


# over time


def sampled(name: str, parameters: Any, seed: int) -> Result:
    """Run an experiment's one run with samples over time; raises ValueError for an experiment of several runs."""
    (run,) = experiment(name).plan(parameters).values()
    return simulate(replace(run, samples=SAMPLES), seed)


def watermarks(name: str, parameters: Any) -> dict[str, int]:
    """Return the watermarks (pages) of the Normal zone of an experiment's first run."""
    machine = next(iter(experiment(name).plan(parameters).values())).machine
    marks = boot_sizes(machine).zones[mm.ZONE_NORMAL].wmark
    return dict(zip(("min", "low", "high"), map(int, marks), strict=True))


# what a reader asks for


def own_parameters(name: str, text: str) -> Any:
    """Parse ``key=value key=value`` to an experiment's parameters; raises InputError, also if it would run long."""
    grid = parse_settings(name, text.split())
    sweep = Sweep(name, grid)
    if len(sweep) > 1:
        raise InputError("more than one value for a parameter; expected one")
    if sweep.seconds() > LIVE_SECONDS:
        raise InputError(f"this would run for about {sweep.seconds():.1f} s; expected at most {LIVE_SECONDS} s")
    return next(sweep.parameters())
