"""Locks of the request path: which context is told off by which check, computed from the path really taken.

The path is the engine's: from v6.18 on that of this kernel's own allocator, before it v5.8's, where a later kernel
changes the kinds of the locks, what is only tried, which orders have lists, and the checks.  ``MISMATCHES`` lists the
recorded cells that the model does not reproduce, each with its reason.
"""

from gfpmodel.locking.classes import LockClass
from gfpmodel.locking.contexts import STACKS, Context, context, stack
from gfpmodel.locking.graph import LockGraph
from gfpmodel.locking.kernels import Kernel, make_kernel
from gfpmodel.locking.lockdep import Cpu
from gfpmodel.locking.reports import Report
from gfpmodel.locking.verdict import Request, Setup, Verdict, make_call, make_request, verdict

#: Recorded cells (file, line) that the model does not reproduce, with the reason; a validation page prints it.
#: None of boot58's cells is among them.
MISMATCHES: dict[tuple[str, int], str] = {
    ("verdicts-6.18R.csv", 111): "the list was not really empty: it held one page, as its length in the recording says",
}

__all__ = [
    "MISMATCHES",
    "STACKS",
    "Context",
    "Cpu",
    "Kernel",
    "LockClass",
    "LockGraph",
    "Report",
    "Request",
    "Setup",
    "Verdict",
    "context",
    "make_call",
    "make_kernel",
    "make_request",
    "stack",
    "verdict",
]
