"""Count the gfp masks of ftrace recordings: how often each was asked for, by kernel and workload.

Usage: python tools/mask_histogram.py TRACE.txt.xz ... > book/data/gfp-masks-6.1.csv

A recording is called KERNEL-MACHINE-WORKLOAD.trace.txt.xz; its mm_page_alloc lines are counted by mask text and order.
"""

from __future__ import annotations

import csv
import lzma
import re
import sys
from collections import Counter
from pathlib import Path

EVENT = re.compile(r": mm_page_alloc: .* order=(?P<order>\d+) .*gfp_flags=(?P<gfp>\S+)")


def count(path: Path) -> Counter[tuple[str, int]]:
    """Return how often each (mask text, order) occurs in one recording."""
    found: Counter[tuple[str, int]] = Counter()
    with lzma.open(path, "rt") as lines:
        for line in lines:
            if event := EVENT.search(line):
                found[event["gfp"], int(event["order"])] += 1
    return found


def main(paths: list[str]) -> int:
    """Write the table of all recordings to standard output."""
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    table: Counter[tuple[str, str, str, int]] = Counter()
    for path in map(Path, paths):
        name = path.name.removesuffix(".trace.txt.xz")
        kernel, workload = name.split("-")[0], name.split("-")[-1]
        for (gfp, order), n in count(path).items():
            table[kernel, workload, gfp, order] += n
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["kernel", "workload", "gfp_flags", "order", "count"])
    writer.writerows([*row, n] for row, n in sorted(table.items(), key=lambda item: (item[0][:2], -item[1], item[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
