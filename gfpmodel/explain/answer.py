"""Explain every report of a text, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gfpmodel.explain import failure, locks
from gfpmodel.explain.find import Found, reports

OF_PAGES = ("allocation failure", "stall", "vmalloc failure", "vmalloc error", "oom", "slab failure", "mem-info")


MOST_WAITING = 64  #: reports that wait for another of their boot to tell an option of the kernel


#: A report, and its explanation: ``asked``, ``why``, ``otherwise``, ``missing`` and what led to them.
Explained = tuple[Found, dict[str, Any]]


@dataclass
class Told:
    """Reports of one boot: those that wait, and what another of them told of PROVE_RAW_LOCK_NESTING."""

    boot: tuple[int, str | None] = (0, None)
    nesting: bool | None = None
    waiting: list[Found] = field(default_factory=list)

    def take(self, found: Found) -> Iterator[Explained]:
        """Take the next report; yields those that need not wait any longer."""
        if found.kind not in OF_PAGES:
            if self.boot != (boot := (found.session, found.release)):
                yield from self.all()
                self.boot, self.nesting = boot, None
            told = locks.tells(found) if found.session else None
            self.nesting = told if self.nesting is None else self.nesting
        self.waiting.append(found)
        undecided = any(one.kind not in OF_PAGES for one in self.waiting) and self.nesting is None
        if not (self.boot[0] and undecided) or len(self.waiting) > MOST_WAITING:
            yield from self.all()

    def all(self) -> Iterator[Explained]:
        """Yield all that wait."""
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            if one.kind in OF_PAGES:
                yield one, failure.facts(failure.read_failure(one))
            else:
                yield one, locks.facts(one, self.nesting)


def explain_reports(found: Iterable[Found]) -> Iterator[Explained]:
    """Yield reports, each with its explanation, few in memory at a time."""
    told = Told()
    for one in found:
        yield from told.take(one)
    yield from told.all()


def explain_lines(lines: Iterable[str], kernel: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the explanations of the reports in lines, few in memory at a time; ``kernel`` as in `reports`."""
    yield from (one for _, one in explain_reports(reports(lines, kernel)))


def explain(text: str, kernel: str | None = None) -> list[dict[str, Any]]:
    """Return the explanations of all reports in a text, in its order."""
    return sorted(explain_lines([text], kernel), key=lambda one: int(one["line"]))
