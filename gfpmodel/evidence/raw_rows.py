"""The recorded table of limitation (a): a run of a booted kernel in each row, and the same run on the model."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gfpmodel.errors import InputError
from gfpmodel.rcu.limitation import HELD, Outcome, Run, first_report

ATOMIC, SLEEPING, INVALID = "scheduling while atomic", "sleeping function called", "Invalid wait context"
WORDS = {"invalid_wait_context": INVALID, "sleeping_function": SLEEPING, "scheduling_while_atomic": ATOMIC}
COLUMNS = ("version", "form", "lock_held", "n", "pcp", "cache_before", "pcp_U_before", "report_at_object", "report")
LONGEST = 20_000  # objects: a longer run meets its drains, which no row times


class Compared(NamedTuple):
    """A row: where it stands, what the kernel said and at which object, and the same of the model."""

    line: int
    run: Run
    said: tuple[str, int | None]
    model: tuple[str, int | None]

    @property
    def agrees(self) -> bool:
        """Return whether kernel and model say the same, at the same object."""
        return self.said == self.model


def words_of(report: str) -> str:
    """Return which of the reports that are compared a recorded text holds, in one order."""
    return ", ".join(word for word in sorted(WORDS.values()) if word in report) or "nothing"


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table; raises InputError if a column is missing."""
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        missing = set(COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise InputError(f"no column {min(missing)}; expected {', '.join(COLUMNS)}", str(path), 1)
        return list(reader)


def run_of(row: Mapping[str, str], drained_after: int | None = None) -> Run:
    """Return the run of a row; ``drained_after``, which no column says: see Run.  Raises InputError."""
    if row["lock_held"] not in HELD:
        raise InputError(f"unknown lock {row['lock_held']!r}; expected {', '.join(HELD)}")
    try:
        n, unmovable, cached = (int(row[name]) for name in ("n", "pcp_U_before", "cache_before"))
    except ValueError:
        raise InputError(f"expected numbers in n, pcp_U_before and cache_before, found {dict(row)}") from None
    limit = cached if row["version"].startswith("v5.9") else None
    return Run(row["version"], row["form"], row["lock_held"], n, unmovable, limit, drained_after)


def said_by_model(found: Outcome) -> tuple[str, int | None]:
    """Return what a run of the model said, and the object if lockdep or the scheduler did."""
    words = sorted({WORDS[kind] for kind in found.kinds if kind in WORDS})
    return ", ".join(words) or "nothing", found.at_object


def compare(path: Path, drained: Mapping[int, int] | None = None) -> Iterator[Compared]:
    """Yield each row that is not too long, with the model's run of it; ``drained`` by line, see Run.drained_after."""
    for line, row in enumerate(read_rows(path), 2):
        if int(row["n"]) <= LONGEST or row["report_at_object"]:
            run = run_of(row, (drained or {}).get(line))
            at = row["report_at_object"]
            yield Compared(
                line, run, (words_of(row["report"]), int(at) if at else None), said_by_model(first_report(run))
            )
