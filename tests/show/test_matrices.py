"""What a verdict is called, in one word."""

from __future__ import annotations

from gfpmodel.locking.matrix import matrix
from gfpmodel.show.matrices import status


def test_a_silent_request_in_a_reported_context_is_not_called_clean() -> None:
    [cell] = matrix(("fast_try",), (0,), ("hrt_spin",), ("warm",), ("PREEMPT_RT today",)).cells
    assert cell.verdict.before
    assert status(cell.verdict) == "moot"
    [loud] = matrix(("fast_try",), (0,), ("hrt_spin",), ("warm",), ("PREEMPT_RT 2020",)).cells
    assert loud.verdict.before
    assert loud.verdict.reports
    assert status(loud.verdict) == "moot"
    [nmi] = matrix(("fast_try",), (0,), ("nmi",), ("warm",), ("mainline",)).cells
    assert not nmi.verdict.reports
    assert status(nmi.verdict) == "unsafe"
