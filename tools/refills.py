"""Tabulate refills, the kernel's own and the model's: ``python tools/refills.py FOLDER > book/data/refills-6.1.csv``.

FOLDER has traces (NAME.trace.txt.xz), each with a NAME.snapshots.txt.xz in which /proc/zoneinfo comes first.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from gfpmodel.io.replay import refill_table


def main(argv: list[str]) -> int:
    """Write the table to standard output, a line for each trace as soon as it is known."""
    if len(argv) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    writer = None
    for trace in sorted(Path(argv[0]).glob("*.trace.txt.xz")):
        snapshots = trace.with_name(trace.name.replace(".trace.", ".snapshots."))
        [row] = refill_table({str(trace): str(snapshots) if snapshots.exists() else None})
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
