"""What a verdict is called in a grid of them, in one word."""

from __future__ import annotations

from collections.abc import Iterable

from gfpmodel.locking.verdict import Verdict


def status(verdict: Verdict) -> str:
    """Return the word of `places.SIGNS` for a verdict.

    Lockdep stops at its first report.  Where the context's own locks were reported, before the request, the silence
    after it proves nothing: such a cell is "moot".
    """
    if verdict.deadlock:
        return "deadlock"
    if verdict.reports:
        return "reported"
    if verdict.unsafe:
        return "unsafe"
    return "moot" if verdict.before else verdict.result


def unique(names: Iterable[str]) -> list[str]:
    """Return names in order, each once."""
    return list(dict.fromkeys(names))
