"""Remake the result grids that the book ships: ``python tools/make_grids.py [--all] [NAME ...]``.

Those that the present source made are left alone, unless ``--all`` is given.  After it, `make record`: the chapters
that read a grid print its figures.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from gfpmodel.errors import InputError
from gfpmodel.sim.grids import GRIDS, make_grid, stale

DATA = Path(__file__).resolve().parent.parent / "book" / "data"


def main(arguments: list[str] | None = None) -> int:
    """Make what is named, or all; returns the exit status: 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(GRIDS))
    parser.add_argument("--all", action="store_true", help="also those that are not stale")
    parser.add_argument("--workers", type=int, help="processes; one a CPU if not given")
    parser.add_argument("--folder", type=Path, default=DATA)
    options = parser.parse_args(arguments)
    made = 0
    try:
        for name in options.names or GRIDS:
            why = stale(name, options.folder)
            if why is None and not options.all:
                print(f"{name}: made by the present source, left alone")
                continue
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
