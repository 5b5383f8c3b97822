"""The forms of a trace's lines, as a table: each a pattern of what stands before the event, read left to right.

The compiled scanner follows the patterns; a form that is new is a row here.  In a pattern

===== ==============================================================================================
blank one blank or more; ``_`` none or more
~     the task's name: any text, as short as what follows allows
p     a pid, or PID/TID (the second counts)
c     a cpu
g     perhaps a thread group in brackets, as ``(  438)`` or ``(-------)``
f     flags (irqs-off, need-resched, ...), glued to what is before
t     a time: seconds, or ticks if it has no point, or with ``us`` and a mark, or ``ms``
T     a time, perhaps behind a word of flags
m     a time in milliseconds without a unit
d     perhaps a duration, as ``( 0.005 ms):``
q     perhaps a task as COMM-PID, up to ``|``
k     anything up to ``/*`` and a blank
n     digits; l the number of events that were lost
w     a word: no blank, no closing bracket
i     a program's name: a word without brackets and colons
x     a hexadecimal number and a blank
s     the rest of the line, a symbol and where it is: ends with ``)``, has no colon and blank
M     a look at what follows, which stays: the name of an event of the page allocator
'...' these bytes; every other byte is itself
===== ==============================================================================================
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.io.text import PREFIXES

#: What a line of a form is.
EVENT, LOST, UNCOUNTED, STACK, FUNCTION, HEADING, NO_FIELDS = range(7)
STOP = 0
ROW_WORDS = 2  #: of the packed table: where the pattern begins, and its kind
MAX_FORMS = 48


class Form(NamedTuple):
    """A form of lines: its pattern, what it is, who prints it, and what a line of it does not say."""

    pattern: str
    kind: int
    printed_by: str
    lacks: str = ""


NO_CPU = "no cpu on the line, so all are read as cpu 0"
GRAPH_LACKS = "the function_graph tracer prints no time and, without options/funcgraph-proc, no task"

#: Tried in this order, the form of the line before first.  What is no event comes first: it is told by few bytes.
FORMS = (
    Form("_'=> '", STACK, "ftrace"),
    Form("_'<stack trace'", STACK, "trace-cmd report"),
    Form(" xs", STACK, "perf script -g"),
    Form("'CPU:'n_['LOST 'l' EVENTS]'", LOST, "trace_pipe"),
    Form("'CPU:'n_['LOST EVENTS]'", UNCOUNTED, "trace_pipe"),
    Form("'CPU:'n_[l' EVENTS DROPPED]'", LOST, "trace-cmd report"),
    Form("'CPU:'n_['EVENTS DROPPED]'", UNCOUNTED, "trace-cmd report"),
    Form("'LOST 'l' events!'", LOST, "perf trace"),
    Form("'CPU:'n_['SUBBUFFER START'", HEADING, "trace-cmd report"),
    Form("'CPU 'n' is empty'", HEADING, "trace-cmd report"),
    Form("'cpus='n", HEADING, "trace-cmd report"),
    Form("'version = '", HEADING, "trace-cmd report"),
    Form("_'```'", HEADING, "Markdown, around what was pasted"),
    Form("_'---'", HEADING, "ftrace_dump_on_oops, function_graph"),
    Form("_'Dumping ftrace buffer'", HEADING, "ftrace_dump_on_oops"),
    Form("_w w w 'type: 'n", NO_FIELDS, "options/raw, options/hex"),
    Form("~-p_g_[c]T:", EVENT, "ftrace, trace-cmd report"),
    Form("~ p_[c]_t:", EVENT, "perf script"),
    Form("~-p_cf t:", EVENT, "options/latency-format, trace-cmd report -l, ftrace_dump_on_oops"),
    Form("~ p c w w w [w] t (w):", EVENT, "options/latency-format with options/verbose"),
    Form("~ p_t:", EVENT, "perf script", f"{NO_CPU}: print with `perf script -F +cpu` what `perf record -a` recorded"),
    Form("_m [c] d~/p ", EVENT, "perf trace --show-cpu"),
    Form("_m d~/p ", EVENT, "perf trace", NO_CPU),
    Form("_m dM", EVENT, "perf trace of one task", f"{NO_CPU}, and no task"),
    Form("_c)qk", EVENT, "function_graph", GRAPH_LACKS),
    Form("_t |_c)qk", EVENT, "function_graph, options/funcgraph-abstime"),
    Form("_c) ", FUNCTION, "function_graph"),
    Form("_t |_c) ", FUNCTION, "function_graph, options/funcgraph-abstime"),
    Form("_M", EVENT, "options/context-info 0", f"{NO_CPU}, no task and no time: echo 1 > options/context-info"),
)


def codes(pattern: str) -> list[int]:
    """Return a pattern as numbers: a token is its own letter, a byte that stands for itself 256 more."""
    tokens, found = " _~pcgftTmdqknlwixsM", []
    for number, part in enumerate(pattern.split("'")):
        found += [ord(c) if number % 2 == 0 and c in tokens else 256 + ord(c) for c in part]
    return [*found, STOP]


@cache
def packed() -> NDArray[np.int64]:
    """Return the table for the scanner: how many forms and prefixes, a row for each, then the patterns."""
    rows = [*((form.pattern, form.kind) for form in FORMS), *((pattern, HEADING) for pattern in PREFIXES)]
    head = [len(FORMS), len(PREFIXES)]
    at, table, patterns = len(head) + ROW_WORDS * len(rows), list[int](), list[int]()
    for pattern, kind in rows:
        table += [at + len(patterns), kind]
        patterns += codes(pattern)
    return np.array([*head, *table, *patterns], np.int64)
