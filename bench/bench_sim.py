"""Time the simulator: events a second, and how well a sweep uses two cores: ``python bench/bench_sim.py``."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from gfpmodel.sim import Draw, Flow, Run, Sweep, Workload, every, one_zone, run_sweep, simulate, workload
from gfpmodel.sim.workloads import MS, SECOND

EVENTS = 10_000_000
POINTS = 1000


def timed(call: Any) -> float:
    """Return the seconds a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main() -> None:
    """Print the figures, and write them as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    raid = Flow("raid", proposal=True, period=every(1e6, 32), burst=32, hold=Draw(5 * MS))
    flows = (*workload("file_mix", load=20.0).flows, *workload("fork_mix", load=20.0).flows, raid)
    mixed = Run(one_zone(4), Workload("mixed", "", flows), "fast_try", duration=100 * SECOND, max_events=EVENTS)
    simulate(Run(one_zone(4), mixed.workload, "fast_try", duration=MS), 0)  # compiles
    seconds = timed(lambda: simulate(mixed, 1))
    sweep = Sweep("co_tenant", {"duration_ms": (100,)}, seeds=POINTS)
    one, two = (timed(lambda n=n: run_sweep(sweep, workers=n)) for n in (1, 2))
    facts = {"seconds": round(seconds, 2), "mevents_a_second": round(EVENTS / seconds / 1e6, 2),
             "sweep_1": round(one, 1), "sweep_2": round(two, 1), "efficiency": round(one / two / 2, 2)}  # fmt: skip
    print(f"{EVENTS / 1e6:.0f} million events, 4 CPUs: {facts['seconds']} s, {facts['mevents_a_second']} million/s")
    print(f"{POINTS} points: {one:.1f} s on one core, {two:.1f} s on two, efficiency {facts['efficiency']}")
    if options.json:
        options.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
