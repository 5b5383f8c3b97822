"""What an experiment is: a plan of runs, made from typed parameters, and a reading of their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.mm.kernels import FIRST
from gfpmodel.sim.kernel import on_kernel
from gfpmodel.sim.run import Result, Run, simulate
from gfpmodel.sim.start import Start
from gfpmodel.sim.workloads import MS, Draw, Flow, every

Runs = dict[str, Run]
Results = Mapping[str, Result]
Record = dict[str, float]


@dataclass(frozen=True)
class Experiment:
    """An experiment: what is asked, its parameters' type, which runs it takes, and what is read off them.

    ``given``: the parameters that a machine to start from decides; None where the experiment makes its own machine.
    """

    name: str
    title: str
    parameters: type
    plan: Callable[[Any], Runs]
    read: Callable[[Any, Results], Record]
    given: tuple[str, ...] | None = None

    def runs(self, parameters: Any, kernel: str = FIRST) -> Runs:
        """Return the runs by their names, on the lists of a kernel; raises InputError."""
        return {name: on_kernel(run, kernel) for name, run in self.plan(parameters).items()}

    def results(self, parameters: Any, seed: int, kernel: str = FIRST, start: Start | None = None) -> dict[str, Result]:
        """Return the result of every run by its name, each from a machine, if one is given; raises InputError."""
        runs = self.runs(parameters, kernel)
        return {name: simulate(replace(run, start=start), seed) for name, run in runs.items()}

    def __call__(self, parameters: Any, seed: int, kernel: str = FIRST, start: Start | None = None) -> Record:
        """Run it; returns the record; raises InputError."""
        return self.read(parameters, self.results(parameters, seed, kernel, start))


def pick(result: Result, *figures: str) -> Record:
    """Return some figures of a result."""
    return {figure: result.record[figure] for figure in figures}


def share(value: float, name: str) -> float:
    """Return a value that is a share; raises InputError."""
    if not 0 <= value <= 1:
        raise InputError(f"{name} is {value}; expected 0 to 1")
    return value


def ordinary(rate: float) -> tuple[Flow, ...]:
    """Return the flow of ordinary requests on CPU 0, which refill its lists; none for a rate of 0."""
    return (Flow("other", cpus=(0,), period=every(rate), hold=Draw(MS)),) if rate else ()
