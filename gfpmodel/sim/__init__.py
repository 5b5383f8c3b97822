"""Many CPUs and time: workloads run on the page-exact engine, and the experiments nobody ran."""

from gfpmodel.sim.experiments import EXPERIMENTS, Experiment, experiment
from gfpmodel.sim.run import Result, Run, one_zone, simulate
from gfpmodel.sim.statistics import Interval, interval
from gfpmodel.sim.sweeps import Sweep, run_sweep, summary
from gfpmodel.sim.workloads import WORKLOADS, Draw, Flow, Workload, every, workload

__all__ = [
    "EXPERIMENTS",
    "WORKLOADS",
    "Draw",
    "Experiment",
    "Flow",
    "Interval",
    "Result",
    "Run",
    "Sweep",
    "Workload",
    "every",
    "experiment",
    "interval",
    "one_zone",
    "run_sweep",
    "simulate",
    "summary",
    "workload",
]
