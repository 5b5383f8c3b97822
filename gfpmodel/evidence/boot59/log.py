"""Read an event log of a booted kernel's kfree_rcu()."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gfpmodel.errors import InputError
from gfpmodel.io.text import beginning, read_lines
from gfpmodel.rcu.cache import ALLOCATED, FAILED, FORCED, NO_SOURCE
from gfpmodel.rcu.versions import ALIASES, VERSIONS, version

MAGIC = ("FLOOD ", "GPBUG ")
COLUMNS = 13  # E t cpu EV gp_seq a0..a7


class Line(NamedTuple):
    """An event: its line number, the cpu that logged it, its name, gp_seq, and a0 to a7."""

    number: int
    cpu: int
    name: str
    gp_seq: int
    a: tuple[int, ...]


@dataclass
class Log:
    """A recorded log: its header's values, the summary's, and its events."""

    path: Path
    kind: str
    header: dict[str, int]
    summary: dict[str, int]
    form: str  #: c and k slab, v vmalloc, m mixed, 1 one-argument
    lines: list[Line]


def is_boot59(path: Path) -> bool:
    """Return whether a file begins as an event log does, compressed or not."""
    return beginning(path, 64).startswith(MAGIC)


def read_log(path: Path) -> Log:
    """Read an event log; raises InputError with the line that is torn or not what the format has there."""
    name = str(path)
    rows = read_lines(path)
    if len(rows) < 3 or not rows[1].startswith("SUM ") or not rows[2].startswith("EVENTS "):
        raise InputError("expected the lines FLOOD or GPBUG, SUM and EVENTS first", name, min(len(rows), 3) or 1)
    header, summary, events = (values(row) for row in rows[:3])
    if events.get("overrun"):
        raise InputError(f"the log lost {events['overrun']} events", name, 3)
    found = [event(row, number, name) for number, row in enumerate(rows[3:], 4)]
    if len(found) != events.get("n"):
        raise InputError(f"expected {events.get('n')} events, found {len(found)}", name, len(rows))
    form = re.search(r"form=(\w)", rows[0])
    return Log(path, rows[0].split()[0], header, summary, form[1] if form else "", found)


def values(row: str) -> dict[str, int]:
    """Return the numbers of a header line by name."""
    return {key: int(value) for key, value in re.findall(r"(\w+)=(-?\d+)(?!\S)", row)}


def event(row: str, number: int, file: str) -> Line:
    """Return an event of a log."""
    words = row.split()
    if len(words) != COLUMNS or words[0] != "E":
        raise InputError(f"expected E and {COLUMNS - 1} columns, found {row[:60]!r}", file, number)
    try:
        _, cpu, seq, *a = (int(word) for word in (*words[1:3], *words[4:]))
    except ValueError:
        raise InputError(f"expected numbers, found {row[:60]!r}", file, number) from None
    return Line(number, cpu, words[3], seq, tuple(a))


def kernel_of(log: Log) -> str:
    """Return which version's kernel wrote a log: by the file's name, else by what it does."""
    match = re.match(r"v\d+\.\d+", log.path.name)
    if match and (match[0] in VERSIONS or match[0] in ALIASES):
        return version(match[0]).name
    if log.summary.get("capacity") == VERSIONS["v5.8"].capacity():
        return "v5.8"
    sources = {line.a[2] for line in log.lines if line.name == "B"}
    if NO_SOURCE in sources or any(line.name == "FILL" for line in log.lines):
        return "v5.11"
    if sources & {ALLOCATED, FORCED, FAILED} or log.summary.get("min_cached") == VERSIONS["v5.9"].cache_limit:
        return "v5.9"
    return "v5.11"
