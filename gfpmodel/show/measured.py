"""What experiments gave: means with their intervals over seeds, and runs sampled over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.mm import state as mm
from gfpmodel.mm.mmzone import boot_sizes
from gfpmodel.sim import Interval, Result, Sweep, experiment, run_sweep, simulate
from gfpmodel.sim.statistics import figure
from gfpmodel.sim.sweeps import parse_settings

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
