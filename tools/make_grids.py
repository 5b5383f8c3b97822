"""Remake the result grids that the book ships: ``python tools/make_grids.py [--all] [NAME ...]``.

Those that the present source made are left alone, unless ``--all`` is given.  After it, `make record`: the chapters
that read a grid print its figures.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import cache
from pathlib import Path

from gfpmodel.errors import InputError
from gfpmodel.sim.grids import GRIDS, make_grid, stale
from gfpmodel.sim.sweeps import run_point

DATA = Path(__file__).resolve().parent.parent / "book" / "data"


@cache
def compile_once() -> None:
    """Compile the simulator here, so that the processes find it in the cache instead of each doing the same."""
    run_point("miss_cost", {"duration_ms": 1}, 0)


def main(arguments: list[str] | None = None) -> int:
    """Make what is named, or all; returns the exit status: 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(GRIDS))
    parser.add_argument("--all", action="store_true", help="also those that are not stale")
    parser.add_argument("--workers", type=int, help="processes; one a CPU if not given")
    parser.add_argument("--folder", type=Path, default=DATA)
    options = parser.parse_args(arguments)
    names, made = options.names or list(GRIDS), 0
    try:
        for name in names:
            why = stale(name, options.folder)
            if why is None and not options.all:
                print(f"{name}: made by the present source, left alone")
                continue
            print(f"{name}: {why or 'asked for'}", flush=True)
            compile_once()
            begin = time.perf_counter()
            file = make_grid(name, options.folder, options.workers)
            made += 1
            print(f"{name}: {len(GRIDS[name])} points in {time.perf_counter() - begin:.0f} s -> {file}", flush=True)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    if made:
        print("now `make record`: chapters print figures of these grids")
    return 0


if __name__ == "__main__":
    sys.exit(main())
