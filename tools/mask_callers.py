"""Count who asked for the masks of a stack histogram (hist trigger with keys=gfp_flags,stacktrace).

Usage: python tools/mask_callers.py alloc-stacks.txt.xz > book/data/mask-callers-6.1.csv

``caller`` is the first function that is no page-allocator wrapper, ``on`` the first of ENTRIES on its stack.
"""

from __future__ import annotations

import csv
import lzma
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

WRAPPERS = ("__get_free_pages", "alloc_pages", "__alloc_pages", "get_zeroed_page", "allocate_slab")
ENTRIES = ("do_exit", "begin_new_exec", "__vm_munmap", "do_mas_munmap", "kthread", "do_syscall_64")


def stacks(path: Path) -> Iterator[tuple[str, int, list[str], int]]:
    """Yield workload, mask, stack (innermost first) and hits of every entry."""
    workload, mask = "", 0
    frames: list[str] = []
    with lzma.open(path, "rt") as lines:
        for line in lines:
            if match := re.match(r"===== (\w+) ", line):
                workload = match[1]
            elif match := re.match(r"\{ gfp_flags:\s*(\d+), stacktrace:", line):
                mask, frames = int(match[1]), []
            elif match := re.match(r"\s+([\w.]+)\+0x", line):
                frames.append(match[1])
            elif match := re.match(r"\} hitcount:\s*(\d+)", line):
                yield workload, mask, frames, int(match[1])


def main(argv: list[str]) -> int:
    """Write the table to standard output."""
    if len(argv) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    table: Counter[tuple[str, str, str, str]] = Counter()
    for workload, mask, frames, hits in stacks(Path(argv[0])):
        caller = next((f for f in frames if f not in WRAPPERS), "?")
        entry = next((f for f in frames if f in ENTRIES), "?")
        table[workload, f"{mask:#x}", caller, entry] += hits
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["workload", "mask", "caller", "on", "hits"])
    writer.writerows([*row, n] for row, n in sorted(table.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
