"""Many CPUs and time: workloads run on the page-exact engine, and the experiments nobody ran."""

from gfpmodel.sim.chain import Chain
from gfpmodel.sim.experiments import EXPERIMENTS, experiment
from gfpmodel.sim.plans import Experiment
from gfpmodel.sim.run import Result, Run, one_zone, simulate
from gfpmodel.sim.statistics import Interval, interval
from gfpmodel.sim.sweeps import Sweep, run_sweep, summary
from gfpmodel.sim.workloads import WORKLOADS, Draw, Flow, Workload, every, workload

__all__ = [
    "EXPERIMENTS",
    "WORKLOADS",
    "Chain",
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
