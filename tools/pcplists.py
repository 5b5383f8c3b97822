"""Tabulate samples of the per-cpu lists: ``python tools/pcplists.py summary|series FOLDER [NAME...] > FILE``.

FOLDER has NAME.pcplists.csv.xz: rows of zone, cpu and order-0 list lengths by type, sampled on a running kernel; a row
is void where ``busy`` is 1, as the lists' lock was held.  ``summary`` counts over all files in the largest zone;
``series`` has the samples of the named ones, every second one, of the cpu with the most.
"""

from __future__ import annotations

import csv
import lzma
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

TYPES = ("unmovable0", "movable0", "reclaimable0")
END = ".pcplists.csv.xz"


def samples(path: Path) -> list[dict[str, str]]:
    """Return the samples of the largest zone."""
    with lzma.open(path, "rt") as lines:
        rows = list(csv.DictReader(lines))
    largest = max(
        {row["zone"] for row in rows}, key=lambda zone: max(int(r["free"]) for r in rows if r["zone"] == zone)
    )
    return [row for row in rows if row["zone"] == largest]


def summary(path: Path) -> Iterator[list[object]]:
    """Yield one row: how many samples, and in how many which lists were empty."""
    rows = samples(path)
    valid = [[int(row[name]) for name in TYPES] for row in rows if row["busy"] == "0"]
    own, every = sum(not one[0] for one in valid), sum(not any(one) for one in valid)
    yield [path.name.removesuffix(END), len(rows), len(rows) - len(valid), own, every]


def series(path: Path) -> Iterator[list[object]]:
    """Yield the samples of one cpu over time."""
    rows = [row for row in samples(path) if row["busy"] == "0"]
    cpu = Counter(row["cpu"] for row in rows).most_common(1)[0][0]
    for row in [row for row in rows if row["cpu"] == cpu][::2]:
        yield [path.name.removesuffix(END), int(row["t_us"]) // 1000, cpu, *(row[name] for name in TYPES)]


FORMS = {
    "summary": (summary, ["trace", "samples", "busy", "unmovable_empty", "all_empty"]),
    "series": (series, ["trace", "t_ms", "cpu", "unmovable", "movable", "reclaimable"]),
}


def main(argv: list[str]) -> int:
    """Write one of the two tables to standard output."""
    if len(argv) < 2 or argv[0] not in FORMS:
        print(__doc__, file=sys.stderr)
        return 2
    make, header = FORMS[argv[0]]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    for path in sorted(Path(argv[1]).glob(f"*{END}")):
        if not argv[2:] or path.name.removesuffix(END) in argv[2:]:
            writer.writerows(make(path))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
