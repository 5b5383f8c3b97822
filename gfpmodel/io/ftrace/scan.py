"""The compiled scanner: lines of a trace, as bytes, into the columns of a table.

What stands before an event is told by the patterns of ``forms.FORMS``, which are data here, like the text.  Six events
are taken apart; the others are counted by name.  A line that no form explains gets a reason: what was expected where it
stops to make sense.  Nothing is allocated here, so memory does not grow with the trace.
"""

from __future__ import annotations

from typing import Any

from gfpmodel.io.ftrace import chars as ch
from gfpmodel.io.ftrace import forms
from gfpmodel.io.ftrace import state as st
from gfpmodel.io.ftrace.chars import (
    Bytes,
    Words,
    at,
    back_over_digits,
    back_over_spaces,
    decimal,
    has,
    is_word,
    skip_past,
    skip_spaces,
)
from gfpmodel.io.ftrace.fields import field_of, find_key, find_value, needed_fields, scan_fields
from gfpmodel.io.ftrace.lines import find_cpu, find_form, skip_prefix
from gfpmodel.io.ftrace.state import Scan, intern
from gfpmodel.mm.jit import compiled, entry, i64, inlined, u64


@inlined
def find_name(buf: Bytes, i: int, end: int) -> Any:
    """Return where an event's name begins and ends and where its fields begin; -1 if there is no name.

    perf prints a period before and the system in front of it, ``trace-cmd report --ts-diff`` a difference; system
    calls and perf trace have no colon behind the name.
    """
    i = skip_spaces(buf, i, end)
    _, stop = decimal(buf, i, end)
    if stop > i and stop < end and at(buf, stop) == ch.SPACE:
        i = skip_spaces(buf, stop, end)
    elif has(buf, i, end, b"(+"):
        i = skip_spaces(buf, skip_past(buf, i, end, ch.PAREN_CLOSE), end)
    begin = i
    while i < end and is_word(at(buf, i)):
        i += 1
    system = i > begin and i + 1 < end and at(buf, i) == ch.COLON and is_word(at(buf, i + 1))
    if system:
        i += 1
        begin = i
        while i < end and is_word(at(buf, i)):
            i += 1
    if i == begin:
        return -1, begin, i
    if i < end and at(buf, i) == ch.COLON and (system or i + 1 == end or at(buf, i + 1) == ch.SPACE):
        return begin, i, i + 1
    if i < end and at(buf, i) == ch.PAREN_OPEN:
        return begin, i, i + 1
    if i < end and has(buf, i, end, b" -> "):
        return begin, i, i
    return -1, begin, i


@inlined
def is_function(buf: Bytes, i: int, end: int) -> Any:
    """Return whether a line is one of the function tracer: ``callee <-caller``."""
    while i + 2 < end:
        if at(buf, i) == ch.SPACE and at(buf, i + 1) == ch.LESS and at(buf, i + 2) == ch.DASH:
            return True
        i += 1
    return False


@inlined
def note_time(state: Words, time: int) -> None:
    """Count the times that are before the one on the line before."""
    if time < state[st.LAST_TIME]:
        state[st.BACKWARDS] += 1
        if state[st.BACKWARDS] == 1:
            state[st.BACKWARDS_LINE] = state[st.LINES]
    state[st.LAST_TIME] = time


@inlined
def no_event(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Return the reason why a line with a time is no event; -1 if it marks a stack or is of the function tracers."""
    i = skip_spaces(buf, i, end)
    if i < end and at(buf, i) == ch.LESS:  # <stack trace>
        state[st.STACKS] += 1
        return -1
    if is_function(buf, i, end) or (end - i > 1 and has(buf, end - 2, end, b"*/")):
        state[st.FUNCTIONS] += 1
        return -1
    return st.NO_NAME


@inlined
def is_record(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Return whether a record of perf that is no event stands here, and count it: lost events, a new task, a map."""
    i = skip_spaces(buf, i, end)
    if not has(buf, i, end, b"PERF_RECORD_"):
        return False
    state[st.RECORDS] += 1
    if has(buf, i, end, b"PERF_RECORD_LOST"):
        while i < end and not has(buf, i, end, b" lost "):
            i += 1
        lost, _ = decimal(buf, i + 6, end)
        state[st.LOST] = min(state[st.LOST] + lost, ch.HUGE)
        state[st.LOST_LINES] += 1
    return True


@inlined
def fill_row(s: Scan, event: int, comm: int) -> None:
    """Put what stands before an event into its row, and what its fields are when they are not there."""
    row = s.state[st.ROWS]
    s.table[u64(st.EVENT), u64(row)] = event
    s.table[u64(st.TIME), u64(row)] = s.state[st.HERE_TIME]
    s.table[u64(st.CPU), u64(row)] = s.state[st.HERE_CPU]
    s.table[u64(st.PID), u64(row)] = s.state[st.HERE_PID]
    s.table[u64(st.COMM), u64(row)] = comm
    s.table[u64(st.LINE), u64(row)] = s.state[st.LINES]
    s.table[u64(st.PFN), u64(row)] = 0
    s.table[u64(st.ORDER), u64(row)] = 0
    s.table[u64(st.MIGRATETYPE), u64(row)] = -1
    s.table[u64(st.GFP), u64(row)] = 0
    s.table[u64(st.EXTRA), u64(row)] = -1


@inlined
def default_to_zero(s: Scan, event: int) -> None:
    """Take all fields of an event to be there, as 0: perf trace prints those only that are something else."""
    row = s.state[st.ROWS]
    s.state[st.FOUND] = needed_fields(event)
    if event == st.ALLOC:
        s.table[u64(st.GFP), u64(row)] = st.ZERO_MASK
        s.entries[u64(st.ZERO_MASK * st.ENTRY + 4)] += 1
    if needed_fields(event) & 1 << st.F_TYPE:
        s.table[u64(st.MIGRATETYPE), u64(row)] = 0


@inlined
def keep_row(s: Scan) -> None:
    """Count the row that was filled as read."""
    form = s.state[st.FORM]
    if s.state[st.FORM_COUNTS + form] == 0:
        s.state[st.FORM_LINES + form] = i64(s.table[u64(st.LINE), u64(s.state[st.ROWS])])
    s.state[st.FORM_COUNTS + form] += 1
    s.state[st.ROWS] += 1


@compiled
def scan_event(s: Scan, i: int, end: int) -> Any:
    """Read an event behind the columns that were matched; returns the reason why it is none, or -1."""
    if s.state[st.HERE_CPU] > 0xFFFF:
        return st.BAD_CPU
    if is_record(s.buf, i, end, s.state):
        return -1
    name, name_end, i = find_name(s.buf, i, end)
    if name < 0:
        return no_event(s.buf, name_end, end, s.state)
    s.state[st.FORM] = s.state[st.TRYING]
    note_time(s.state, s.state[st.HERE_TIME])
    event = intern(s, name, name_end, st.NAME) - 1
    if not 0 <= event < len(st.EVENTS):
        return -1
    task, task_end, comm = s.state[st.HERE_TASK], s.state[st.HERE_TASK_END], i64(0)
    if s.state[st.HERE_PID] >= 0 or task_end > task:
        comm = intern(s, task, task_end, st.TASK)
    fill_row(s, event, comm)
    s.state[st.FOUND] = 0
    if at(s.buf, name_end) == ch.PAREN_OPEN and at(s.buf, end - 1) == ch.PAREN_CLOSE:
        default_to_zero(s, event)
    reason = scan_fields(s, i, end, event)
    if reason < 0:
        keep_row(s)
    elif reason < st.BAD_NUMBER:
        s.state[st.OPEN], s.state[st.OPEN_ROW], s.state[st.OPEN_REASON] = 1 + event, s.state[st.ROWS], reason
    return reason


@inlined
def goes_on(buf: Bytes, i: int, end: int) -> Any:
    """Return whether a line begins with fields, as the second half of one that mail has broken in two."""
    i = find_key(buf, i, end)
    key_end, value = find_value(buf, i, end)
    return value >= 0 and at(buf, key_end) == ch.EQUALS and field_of(buf, i, key_end) != st.F_NONE


@compiled
def scan_rest(s: Scan, i: int, end: int) -> Any:
    """Read more fields of the event on the line before; when all are there, what was said of it is taken back."""
    event = s.state[st.OPEN] - 1
    reason = scan_fields(s, i, end, event)
    if st.MISSING <= reason < st.BAD_NUMBER:
        s.state[st.OPEN] = 1 + event
        s.state[st.WRAPPED] += 1
        return -1
    if reason < 0:
        s.reasons[u64(s.state[st.OPEN_REASON])] -= 1
        last = s.state[st.PROBLEMS] - 1
        if last >= 0 and (last >= st.NOTED or s.problems[u64(last * 4)] == s.state[st.OPEN_REASON]):
            s.state[st.PROBLEMS] = last
        keep_row(s)
        s.state[st.WRAPPED] += 1
    return reason


@inlined
def why_not(buf: Bytes, start: int, end: int) -> Any:
    """Return the reason why a line has none of the forms: which of ftrace's columns is the first that is not there."""
    begin, _, _ = find_cpu(buf, start, end)
    if begin < 0:
        return st.NO_CPU
    stop = back_over_spaces(buf, start, begin)
    digits = back_over_digits(buf, start, stop)
    return st.NO_TIME if start < digits < stop else st.NO_TASK


@compiled
def scan_other(kind: int, state: Words) -> Any:
    """Count a line that is no event; returns the reason why it cannot be used, or -1."""
    if kind == forms.LOST:
        state[st.LOST] = min(state[st.LOST] + state[st.HERE_LOST], ch.HUGE)
        state[st.LOST_LINES] += 1
    elif kind == forms.UNCOUNTED:
        if state[st.UNCOUNTED_LINES] == 0:
            state[st.UNCOUNTED_FIRST] = state[st.LINES]
        state[st.UNCOUNTED_LINES] += 1
        state[st.LOST_LINES] += 1
    elif kind == forms.STACK:
        state[st.STACKS] += 1
    elif kind == forms.FUNCTION:
        state[st.FUNCTIONS] += 1
    elif kind == forms.NO_FIELDS:
        return st.RAW
    else:
        state[st.HEADINGS] += 1
    return -1


@compiled
def count_name(s: Scan, start: int, end: int) -> None:
    """Count a line whose columns cannot be read by the page event that it names, as a search for the name would."""
    for i in range(start + 1, end):
        if at(s.buf, i) == 109 and not is_word(at(s.buf, i - 1)) and has(s.buf, i, end, b"mm_page_"):
            stop = i
            while stop < end and is_word(at(s.buf, stop)):
                stop += 1
            if has(s.buf, stop, end, b": "):
                intern(s, i, stop, st.NAME)
                s.state[st.NAMED] += 1
                return


@inlined
def note(notes: Words, count: int, reason: int, line: int, start: int, end: int) -> None:
    """Keep where a line stands, for the first few."""
    if count < st.NOTED:
        notes[u64(count * 4)] = reason
        notes[u64(count * 4 + 1)] = line
        notes[u64(count * 4 + 2)] = start
        notes[u64(count * 4 + 3)] = end


@compiled
def scan_form(s: Scan, start: int, end: int) -> Any:
    """Read a line as what its form says that it is; returns the reason why it cannot be explained, or -1."""
    stop = find_form(s.buf, start, end, s.forms, s.state)
    if stop < 0:
        return why_not(s.buf, start, end)
    kind = at(s.forms, 3 + forms.ROW_WORDS * s.state[st.TRYING])
    if kind != forms.EVENT:
        return scan_other(kind, s.state)
    return scan_event(s, stop, end)


@compiled
def scan_line(s: Scan, start: int, end: int) -> Any:
    """Read one line; returns the reason why it cannot be explained, or -1."""
    if s.state[st.OVERLONG]:  # the rest of a line whose beginning was dropped
        s.state[st.OVERLONG] = 0
        return -1
    if end - start > st.LONGEST:
        return st.TOO_LONG
    start = skip_prefix(s.buf, start, end, s.forms, s.state)
    mark = skip_spaces(s.buf, start, end)
    if mark == end:
        s.state[st.BLANK] += 1
        return -1
    if at(s.buf, start) != ch.HASH:
        if s.state[st.OPEN] and goes_on(s.buf, start, end):
            return scan_rest(s, start, end)
        s.state[st.OPEN] = 0
        reason = scan_form(s, start, end)
        # a heading may be indented, as a task's name may be #
        if not 0 <= reason <= st.NO_TIME or at(s.buf, mark) != ch.HASH:
            return reason
    note(s.comments, s.state[st.COMMENTS], 0, s.state[st.LINES], mark, end)
    s.state[st.COMMENTS] += 1
    return -1


@inlined
def move_open_row(s: Scan) -> None:
    """Take a row that waits for the rest of its fields along to the next call."""
    if s.state[st.OPEN]:
        for column in range(st.WIDTH):
            s.table[u64(column), u64(0)] = i64(s.table[u64(column), u64(s.state[st.OPEN_ROW])])
        s.state[st.OPEN_ROW] = 0


@entry
@compiled
def scan(s: Scan, end: int, last: int, start: int) -> Any:
    """Scan whole lines from ``start`` on until the bytes end or the table is full; returns where it stopped.

    ``last`` says that no more bytes follow, so that what has no newline is a line, too.  The state's counts of rows,
    problems and comments begin at 0 in each call, the others go on.
    """
    move_open_row(s)
    s.state[st.ROWS] = 0
    s.state[st.PROBLEMS] = 0
    s.state[st.COMMENTS] = 0
    while start < end and s.state[st.ROWS] < s.table.shape[1]:
        stop = start
        while stop < end and at(s.buf, stop) != 10:
            stop += 1
        if stop == end and not last:
            break
        s.state[st.LINES] += 1
        line_end = stop - 1 if stop > start and at(s.buf, stop - 1) == ch.RETURN else stop
        reason = scan_line(s, start, line_end)
        if reason >= 0:
            note(s.problems, s.state[st.PROBLEMS], reason, s.state[st.LINES], start, line_end)
            s.state[st.PROBLEMS] += 1
            s.reasons[u64(reason)] += 1
            if reason < st.MISSING:
                count_name(s, start, line_end)
        start = stop + 1
    return min(start, end)
