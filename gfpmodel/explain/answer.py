"""Explain every report of a text, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gfpmodel.explain import failure, locks
from gfpmodel.explain.find import Found, reports

OF_PAGES = ("allocation failure", "stall", "oom", "mem-info")


def explain_report(found: Found) -> dict[str, Any]:
    """Return the explanation of one report: ``asked``, ``why``, ``otherwise``, ``missing`` and what led to them."""
    if found.kind in OF_PAGES:
        return failure.facts(failure.read_failure(found))
    return locks.facts(found)


def explain_lines(lines: Iterable[str], kernel: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the explanations of the reports in lines, few in memory at a time; ``kernel`` as in `reports`."""
    yield from map(explain_report, reports(lines, kernel))


def explain(text: str, kernel: str | None = None) -> list[dict[str, Any]]:
    """Return the explanations of all reports in a text, in its order."""
    return sorted(explain_lines([text], kernel), key=lambda one: int(one["line"]))
