"""Time the engine beside the kernel's own C code: ``python bench/bench_engine.py [--json FILE]``.

The kernel column is what mm/page_alloc.c of v5.8-rc3 with the RFC reached when compiled for user space on the machine
the scripts were recorded on.  Speeds of two machines do not compare; so a calibration loop, a walk along a random
cycle of links as long as script ii's working set, is timed in the same run and printed with them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np
import record
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from make_ops import make_ops

from gfpmodel.io.ops import Script, read_script, replay
from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm.kernels import FIRST

#: script: the hash of all page frame numbers, and the kernel's C code in Mops/s (median of several runs)
KERNEL = {
    "i": ("56e11df9ca761903", 95.0),
    "ii": ("76956731d3941697", 10.0),
    "iii": ("45266bdd2bb305f6", 29.0),
    "ft": ("b0786980ebece188", 57.0),
}
#: a later kernel, script: the same hash; how fast it is to be is said by v5.8's row of the same run
LATER = {("v6.18", "i"): "bc85ba17586df103", ("v6.18", "iii"): "45a3580b74f14a4b"}
OPERATIONS, SEED = 1_000_000, 7
SIZES = tuple(1 << bits for bits in (14, 18, 22, 25, 28))  # pages: 64 MiB to 1 TiB


def walk(links: NDArray[np.uint32], steps: int) -> int:
    """Follow links; returns where they lead."""
    at = np.uint64(0)
    for _ in range(steps):
        at = np.uint64(links[at])
    return int(at)


def calibration(length: int = 100_000, steps: int = 2_000_000) -> float:
    """Return how many dependent loads a second this machine does now, in millions."""
    order = np.random.default_rng(SEED).permutation(length)
    links = np.empty(length, np.uint32)
    links[order] = np.roll(order, -1)
    compiled: Any = numba.njit(walk)
    compiled(links, 1)
    best = min(timed(lambda: compiled(links, steps)) for _ in range(5))
    return steps / best / 1e6


def timed(run: Any) -> float:
    """Return the seconds a call takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def speeds(script: Script, wanted: str, repeat: int) -> tuple[float, float]:
    """Return Mops/s with events off and on, each the best of several runs, whose hash must be this one."""
    found = []
    for events in (0, 4096):
        runs = [replay(script, script.config.boot(events=events)) for _ in range(repeat)]
        if any(f"{run.hash:016x}" != wanted for run in runs):
            raise SystemExit(f"script {script.name}: hash {runs[0].hash:016x}, expected {wanted}")
        found.append(runs[0].ops / min(run.seconds for run in runs) / 1e6)
    return found[0], found[1]


def race(name: str, script: Script, repeat: int) -> dict[str, Any]:
    """Time one script beside the kernel's C code."""
    wanted, kernel = KERNEL[name]
    speed, with_events = speeds(script, wanted, repeat)
    return {
        "script": name,
        "mops": round(speed, 1),
        "mops_events_on": round(with_events, 1),
        "kernel_mops": kernel,
        "ratio": round(speed / kernel, 2),
        "ratio_events_on": round(with_events / kernel, 2),
    }


def race_later(kernel: str, name: str, repeat: int) -> dict[str, Any]:
    """Time one script on a later kernel's rules beside v5.8's, in turn, because a machine's speed wanders."""
    text = make_ops(name, OPERATIONS, SEED).encode()
    scripts = {row: read_script(text, name, row) for row in (FIRST, kernel)}
    best: dict[str, tuple[float, ...]] = {FIRST: (0.0, 0.0), kernel: (0.0, 0.0)}
    for _ in range(repeat):
        for row, wanted in ((FIRST, KERNEL[name][0]), (kernel, LATER[kernel, name])):
            best[row] = tuple(map(max, best[row], speeds(scripts[row], wanted, 1)))
    (off, on), (first_off, first_on) = best[kernel], best[FIRST]
    return {
        "kernel": kernel,
        "script": name,
        "mops": round(off, 1),
        "mops_events_on": round(on, 1),
        "first_mops": round(first_off, 1),
        "times_slower": round(first_off / off, 2),
        "times_slower_events_on": round(first_on / on, 2),
    }


BUILD = """
import resource, time
from gfpmodel.mm import Machine, PageAllocator, Zone
PageAllocator(Machine((Zone(2, 1 << 20, 1 << 14),)))
before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
machine = PageAllocator(Machine((Zone(2, 1 << 20, {pages}),)))
seconds = time.perf_counter() - begin
assert machine.alloc_pages() is not None and machine.alloc_pages(order=10) is not None
print(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, machine.nbytes)
"""


def build(pages: int) -> dict[str, Any]:
    """Build a machine of one zone in a fresh process; returns seconds, resident and allotted bytes."""
    command = [sys.executable, "-c", BUILD.format(pages=pages)]
    out = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, resident, allotted = map(float, out.stdout.split())
    return {
        "pages": pages,
        "gib": pages / (1 << 18),
        "seconds": round(seconds, 4),
        "resident_mib": round(resident / 2**20, 1),
        "bytes_a_page": round(allotted / pages, 2),
    }


def first_result() -> float:
    """Return the seconds from starting a process to its first page, with a warm compile cache."""
    code = "from gfpmodel.mm import *; print(PageAllocator(Machine((Zone(2, 32768, 16384),))).alloc_pages())"
    run = [sys.executable, "-c", code]
    return min(timed(lambda: subprocess.run(run, check=True, capture_output=True)) for _ in range(3))


def main() -> None:
    """Print the tables, and write them as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    PageAllocator(Machine((Zone(2, 32768, 16384),))).alloc_pages()
    facts: dict[str, Any] = {"where": record.where(), "scripts": [], "sizes": []}
    facts["calibration_mloads"] = round(calibration(), 1)
    print(
        f"calibration: {facts['calibration_mloads']} million dependent loads/s; load average {facts['where']['load']}\n"
    )
    print("script  Mops/s  with events  kernel C  ratio  with events")
    for name in KERNEL:
        script = read_script(make_ops(name, OPERATIONS, SEED).encode(), name)
        row = race(name, script, options.repeat)
        facts["scripts"].append(row)
        print(
            f"{name:<6} {row['mops']:>7} {row['mops_events_on']:>12} {row['kernel_mops']:>9} "
            f"{row['ratio']:>6} {row['ratio_events_on']:>12}"
        )
    print(f"\nkernel  script  Mops/s  with events  {FIRST}  times slower  with events")
    facts["later"] = []
    for later, name in LATER:
        row = race_later(later, name, options.repeat)
        facts["later"].append(row)
        print(
            f"{later:<7} {name:<6} {row['mops']:>7} {row['mops_events_on']:>12} {row['first_mops']:>9} "
            f"{row['times_slower']:>13} {row['times_slower_events_on']:>12}"
        )
    facts["first_result_seconds"] = round(first_result(), 2)
    print(f"\nfirst page in a fresh process: {facts['first_result_seconds']} s\n")
    print("     GiB  seconds  resident MiB  bytes a page")
    for pages in SIZES:
        row = build(pages)
        facts["sizes"].append(row)
        print(f"{row['gib']:>8g} {row['seconds']:>8} {row['resident_mib']:>13} {row['bytes_a_page']:>13}")
    if options.json:
        options.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
