"""What a verdict is called in a grid of them, in one word."""

from __future__ import annotations

from collections.abc import Iterable

from gfpmodel.locking.verdict import Verdict


def status(verdict: Verdict) -> str:
    """Return the word of `places.SIGNS` for a verdict.

    Where the context's own locks were reported, before the request, neither a report nor silence after it says
    anything of the request: such a cell is "moot".
    """
    if verdict.deadlock:
        return "deadlock"
    if verdict.before:
        return "moot"
    if verdict.reports:
        return "reported"
    return "unsafe" if verdict.unsafe else verdict.result


def unique(names: Iterable[str]) -> list[str]:
    """Return names in order, each once."""
    return list(dict.fromkeys(names))
