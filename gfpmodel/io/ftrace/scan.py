"""The compiled scanner: lines of a trace, as bytes, into the columns of a table.

It knows the lines that ftrace (trace and trace_pipe), ``trace-cmd report`` and ``perf script`` print::

    COMM-PID  (TGID) [CPU] FLAGS  TIME: EVENT: key=value ...
    COMM  PID [CPU] TIME: SYSTEM:EVENT: key=value ...

Six events are taken apart; the others are counted by name.  A line that is none of these gets a reason: what was
expected where it stops to make sense.  Nothing is allocated here, so memory does not grow with the trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm.jit import compiled, entry, i64, inlined, u64

Bytes = NDArray[np.uint8]
Words = NDArray[np.int64]

EVENTS = (
    "mm_page_alloc",
    "mm_page_free",
    "mm_page_free_batched",
    "mm_page_alloc_zone_locked",
    "mm_page_pcpu_drain",
    "mm_page_alloc_extfrag",
)
ALLOC, FREE, FREE_BATCHED, ZONE_LOCKED, DRAIN, EXTFRAG = range(6)

# The columns of a row.
EVENT, TIME, CPU, PID, COMM, PFN, ORDER, MIGRATETYPE, GFP, EXTRA, LINE = range(11)
WIDTH = 11

# Fields of an event by number: bits of `needed_fields`.
FIELDS = ("pfn", "order", "migratetype", "gfp_flags", "fallback_order", "percpu_refill")
F_PFN, F_ORDER, F_TYPE, F_GFP, F_FALLBACK, F_REFILL, F_NONE = range(7)

# Words of the scanner's state.
LINES, ROWS, TEXTS, STORED, LAST_TIME, BACKWARDS, BACKWARDS_LINE, PROBLEMS, COMMENTS = range(9)
LOST_LINES, LOST, STACKS, BLANK, FUNCTIONS, COLUMNS_SEEN, TEXTS_FULL, OVERLONG, NAMED = range(9, 18)
STATE_WORDS = 24

# Reasons why a line cannot be read; then missing and bad fields, by event and field, and words that are none, by event.
NO_CPU, NO_TASK, NO_TIME, NO_NAME, TOO_LONG, BAD_CPU = range(6)
MISSING, BAD_NUMBER, NO_FIELD = 16, 64, 112
REASONS = 120

MAX_TEXTS = 1 << 16
SLOTS = 1 << 18
STORE = 1 << 22
MAX_TEXT = 1 << 10
NOTED = 64  # problems and comments noted a call; the others are counted
LONGEST = 1 << 16  # bytes of a line
HUGE = 1 << 58  # numbers stop growing here
NAME, TASK, MASK = 1, 2, 3  # kinds of texts
ENTRY = 5  # start, length, kind, first line, count

SPACE, TAB, COLON, DASH, OPEN, CLOSE, EQUALS, DOT, HASH, SLASH = 32, 9, 58, 45, 91, 93, 61, 46, 35, 47
PAREN_OPEN, PAREN_CLOSE, ZERO, NINE, LOWER_X, LESS, RETURN = 40, 41, 48, 57, 120, 60, 13


@inlined
def at(buf: Bytes, i: int) -> Any:
    """Return a byte as an integer."""
    return i64(buf[u64(i)])


@inlined
def is_digit(c: int) -> Any:
    """Return whether a byte is a decimal digit."""
    return ZERO <= c <= NINE


@inlined
def is_word(c: int) -> Any:
    """Return whether a byte may be part of an event's name."""
    return 97 <= c <= 122 or c == 95 or ZERO <= c <= NINE or 65 <= c <= 90


@inlined
def hex_value(c: int) -> Any:
    """Return the value of a hexadecimal digit, or -1."""
    if ZERO <= c <= NINE:
        return c - ZERO
    if 97 <= c <= 102:
        return c - 87
    if 65 <= c <= 70:
        return c - 55
    return -1


@inlined
def skip_spaces(buf: Bytes, i: int, end: int) -> Any:
    """Return where the next byte that is no space stands."""
    while i < end and (at(buf, i) == SPACE or at(buf, i) == TAB):
        i += 1
    return i


@inlined
def decimal(buf: Bytes, i: int, end: int) -> Any:
    """Return the decimal number at a place and where it ends; the place itself if there is none."""
    value = 0
    while i < end and is_digit(at(buf, i)):
        value = value * 10 + at(buf, i) - ZERO
        value = min(value, HUGE)
        i += 1
    return value, i


@inlined
def number(buf: Bytes, i: int, end: int) -> Any:
    """Return the number (decimal, or hexadecimal with 0x, maybe negative) at a place and where it ends."""
    negative = i < end and at(buf, i) == DASH
    if negative:
        i += 1
    if i + 2 < end and at(buf, i) == ZERO and at(buf, i + 1) == LOWER_X and hex_value(at(buf, i + 2)) >= 0:
        value = 0
        i += 2
        digit = hex_value(at(buf, i))
        while digit >= 0:
            value = min(value * 16 + digit, HUGE)
            i += 1
            digit = hex_value(at(buf, i)) if i < end else -1
    else:
        value, i = decimal(buf, i, end)
    return (-value if negative else value), i


@entry
@compiled
def intern(
    buf: Bytes, start: int, end: int, kind: int, state: Words, slots: Words, entries: Words, store: Bytes
) -> Any:
    """Return the number of a text, which is stored when it is new; 0 when there is no room for it."""
    end = min(end, start + MAX_TEXT)
    code = kind
    for i in range(start, end):
        code = (code * 31 + at(buf, i)) & 0xFFFFFFFF
    slot = (code ^ code >> 13) & (SLOTS - 1)
    length = end - start
    while True:
        entry = i64(slots[u64(slot)])
        if entry == 0:
            break
        where = entry * ENTRY
        if entries[u64(where + 1)] == length and entries[u64(where + 2)] == kind:
            begin = entries[u64(where)]
            i = 0
            while i < length and at(store, begin + i) == at(buf, start + i):
                i += 1
            if i == length:
                entries[u64(where + 4)] += 1
                return entry
        slot = (slot + 1) & (SLOTS - 1)
    entry = state[TEXTS]
    if entry >= MAX_TEXTS or state[STORED] + length > STORE:
        state[TEXTS_FULL] += 1
        return 0
    where = entry * ENTRY
    entries[u64(where)] = state[STORED]
    entries[u64(where + 1)] = length
    entries[u64(where + 2)] = kind
    entries[u64(where + 3)] = state[LINES]
    entries[u64(where + 4)] = 1
    for i in range(length):
        store[u64(state[STORED] + i)] = buf[u64(start + i)]
    state[STORED] += length
    state[TEXTS] += 1
    slots[u64(slot)] = entry
    return entry


@inlined
def has(buf: Bytes, i: int, end: int, word: bytes) -> Any:
    """Return whether a word stands at a place."""
    if i + len(word) > end:
        return False
    for k in range(len(word)):  # noqa: SIM110 (compiled)
        if at(buf, i + k) != i64(word[k]):
            return False
    return True


@inlined
def find_cpu(buf: Bytes, i: int, end: int) -> Any:
    """Return where ``[digits]`` begins, the cpu in it and where it ends; -1 if there is none."""
    while i < end:
        if at(buf, i) == OPEN:
            cpu, stop = decimal(buf, i + 1, end)
            if i + 1 < stop < end and at(buf, stop) == CLOSE:
                return i, cpu, stop + 1
        i += 1
    return -1, 0, end


@inlined
def back_over_spaces(buf: Bytes, start: int, i: int) -> Any:
    """Return where the spaces before a place begin."""
    while i > start and at(buf, i - 1) == SPACE:
        i -= 1
    return i


@inlined
def back_over_digits(buf: Bytes, start: int, i: int) -> Any:
    """Return where the digits before a place begin."""
    while i > start and is_digit(at(buf, i - 1)):
        i -= 1
    return i


@inlined
def find_task(buf: Bytes, start: int, end: int) -> Any:
    """Return the pid and the first and last place of the task's name, from what stands before ``[cpu]``; -1 if none.

    ``COMM-PID``, ``COMM-PID (TGID)``, ``COMM  PID`` or ``COMM  PID/TID``.
    """
    stop = back_over_spaces(buf, start, end)
    if stop > start and at(buf, stop - 1) == PAREN_CLOSE:
        while stop > start and at(buf, stop - 1) != PAREN_OPEN:
            stop -= 1
        stop = back_over_spaces(buf, start, stop - 1)
    i = back_over_digits(buf, start, stop)
    if i >= stop or i <= start:
        return -1, start, start
    pid, _ = decimal(buf, i, stop)
    if at(buf, i - 1) == SLASH:
        i = back_over_digits(buf, start, i - 1)
    if i <= start or (at(buf, i - 1) != DASH and at(buf, i - 1) != SPACE):
        return -1, start, start
    i = back_over_spaces(buf, start, i - 1)
    return pid, skip_spaces(buf, start, i), i


@inlined
def timestamp(buf: Bytes, i: int, end: int) -> Any:
    """Return the time before a colon in nanoseconds (or ticks, if it has no point) and where it ends; -1 if none."""
    value, stop = decimal(buf, i, end)
    if stop == i:
        return 0, -1
    if stop < end and at(buf, stop) == DOT:
        value = min(value, 1 << 32) * 1_000_000_000
        scale = 100_000_000
        stop += 1
        while stop < end and is_digit(at(buf, stop)):
            value += (at(buf, stop) - ZERO) * scale
            scale //= 10
            stop += 1
    return value, (stop + 1 if stop < end and at(buf, stop) == COLON else -1)


@inlined
def field_of(buf: Bytes, i: int, end: int) -> Any:
    """Return which field a key is, and how many bytes the key and its ``=`` have."""
    found = F_NONE, 0
    if has(buf, i, end, b"pfn="):
        found = F_PFN, 4
    elif has(buf, i, end, b"order="):
        found = F_ORDER, 6
    elif has(buf, i, end, b"migratetype="):
        found = F_TYPE, 12
    elif has(buf, i, end, b"gfp_flags="):
        found = F_GFP, 10
    elif has(buf, i, end, b"percpu_refill="):
        found = F_REFILL, 14
    elif has(buf, i, end, b"alloc_order="):
        found = F_ORDER, 12
    elif has(buf, i, end, b"alloc_migratetype="):
        found = F_TYPE, 18
    elif has(buf, i, end, b"fallback_order="):
        found = F_FALLBACK, 15
    return found


@inlined
def is_assignment(buf: Bytes, i: int, end: int) -> Any:
    """Return whether the word at a place is ``key=value``: in a line that was spliced out of two it is not."""
    while i < end and at(buf, i) != SPACE:
        if at(buf, i) == EQUALS:
            return True
        i += 1
    return False


@inlined
def column_of(field: int) -> Any:
    """Return the column that a field with a number goes to."""
    if field == F_PFN:
        return PFN
    if field == F_ORDER:
        return ORDER
    return MIGRATETYPE if field == F_TYPE else EXTRA


@inlined
def lowest_bit(bits: int) -> Any:
    """Return the number of the lowest bit that is set."""
    number = 0
    while not bits >> number & 1:
        number += 1
    return number


@inlined
def needed_fields(event: int) -> Any:
    """Return the bits of the fields that an event must have (a tuple cannot be indexed by a variable everywhere)."""
    if event == ALLOC:
        return 0b1111
    if event == FREE:
        return 0b11
    if event == FREE_BATCHED:
        return 0b1
    if event == EXTFRAG:
        return 0b10111
    return 0b111


@compiled
def scan_fields(
    buf: Bytes,
    i: int,
    end: int,
    event: int,
    table: Words,
    rows: int,
    state: Words,
    slots: Words,
    entries: Words,
    store: Bytes,
) -> Any:
    """Read the ``key=value`` fields of an event into its row; returns the reason why not, or -1."""
    row = state[ROWS]
    table[u64(ORDER * rows + row)] = 0
    table[u64(MIGRATETYPE * rows + row)] = -1
    table[u64(GFP * rows + row)] = 0
    table[u64(EXTRA * rows + row)] = -1
    found = 0
    while True:
        i = skip_spaces(buf, i, end)
        if i >= end:
            break
        field, length = field_of(buf, i, end)
        i += length
        stop = i
        if field == F_GFP:
            while stop < end and at(buf, stop) != SPACE:
                stop += 1
            if stop > i:
                table[u64(GFP * rows + row)] = intern(buf, i, stop, MASK, state, slots, entries, store)
                found |= 1 << F_GFP
        elif field != F_NONE:
            value, stop = number(buf, i, end)
            if stop == i or (stop < end and at(buf, stop) != SPACE):
                return BAD_NUMBER + event * 8 + field
            found |= 1 << field
            table[u64(column_of(field) * rows + row)] = value
        elif not is_assignment(buf, i, end):
            return NO_FIELD + event
        i = stop
        while i < end and at(buf, i) != SPACE:
            i += 1
    absent = needed_fields(event) & ~found
    return MISSING + event * 8 + lowest_bit(absent) if absent else -1


@inlined
def find_name(buf: Bytes, i: int, end: int) -> Any:
    """Return where an event's name begins and ends and where its fields begin; -1 if there is no name.

    perf prints a period before and the system in front of it; system calls have no colon behind their names.
    """
    i = skip_spaces(buf, i, end)
    _, stop = decimal(buf, i, end)
    if stop > i and stop < end and at(buf, stop) == SPACE:
        i = skip_spaces(buf, stop, end)
    begin = i
    while i < end and is_word(at(buf, i)):
        i += 1
    if i > begin and i + 1 < end and at(buf, i) == COLON and is_word(at(buf, i + 1)):
        i += 1
        begin = i
        while i < end and is_word(at(buf, i)):
            i += 1
    if i == begin:
        return -1, begin, i
    if i < end and at(buf, i) == COLON and (i + 1 == end or at(buf, i + 1) == SPACE):
        return begin, i, i + 1
    if i < end and (at(buf, i) == PAREN_OPEN or has(buf, i, end, b" -> ")):
        return begin, i, i
    return -1, begin, i


@inlined
def is_function(buf: Bytes, i: int, end: int) -> Any:
    """Return whether a line is one of the function tracer: ``callee <-caller``."""
    while i + 2 < end:
        if at(buf, i) == SPACE and at(buf, i + 1) == LESS and at(buf, i + 2) == DASH:
            return True
        i += 1
    return False


@inlined
def find_columns(buf: Bytes, start: int, end: int) -> Any:
    """Return a line's cpu, pid, the place of the task's name, and where the cpu's column ends.

    The cpu is the reason, as a negative number, if they are not there.  ftrace itself gives the name 16 places, so a
    name with ``[1]`` in it does not matter there.
    """
    native = start + 17 < end and at(buf, start + 16) == DASH and is_digit(at(buf, start + 17))
    begin, cpu, i = find_cpu(buf, start + 17 if native else start, end)
    if begin < 0 and native:
        begin, cpu, i = find_cpu(buf, start, end)
    if begin < 0:
        return -1 - NO_CPU, 0, start, start, i
    pid, task, task_end = find_task(buf, start, begin)
    if pid < 0:
        return -1 - NO_TASK, 0, start, start, i
    return (cpu if cpu <= 0xFFFF else -1 - BAD_CPU), pid, task, task_end, i


@inlined
def find_time(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Return the time, behind flags or not, and where its colon ends; -1 if there is none."""
    flags = skip_spaces(buf, i, end)
    time, stop = timestamp(buf, flags, end)
    if stop < 0:
        i = flags
        while i < end and at(buf, i) != SPACE:
            i += 1
        time, stop = timestamp(buf, skip_spaces(buf, i, end), end)
        if stop >= 0 and state[COLUMNS_SEEN] == 0:
            state[COLUMNS_SEEN] = i - flags
    return time, stop


@inlined
def note_time(state: Words, time: int) -> None:
    """Count the times that are before the one on the line before."""
    if time < state[LAST_TIME]:
        state[BACKWARDS] += 1
        if state[BACKWARDS] == 1:
            state[BACKWARDS_LINE] = state[LINES]
    state[LAST_TIME] = time


@inlined
def no_event(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Return the reason why a line with a time is no event; -1 if it marks a stack or is of the function tracer."""
    if i < end and at(buf, i) == LESS:  # <stack trace>
        state[STACKS] += 1
        return -1
    if is_function(buf, i, end):
        state[FUNCTIONS] += 1
        return -1
    return NO_NAME


@compiled
def scan_event(
    buf: Bytes,
    start: int,
    end: int,
    table: Words,
    rows: int,
    state: Words,
    slots: Words,
    entries: Words,
    store: Bytes,
) -> Any:
    """Read a line as an event; returns the reason why it is none, or -1."""
    cpu, pid, task, task_end, i = find_columns(buf, start, end)
    if cpu < 0:
        return -1 - cpu
    time, stop = find_time(buf, i, end, state)
    if stop < 0:
        return NO_TIME
    name, name_end, i = find_name(buf, stop, end)
    if name < 0:
        return no_event(buf, i, end, state)
    note_time(state, time)
    event = intern(buf, name, name_end, NAME, state, slots, entries, store) - 1
    if not 0 <= event < len(EVENTS):
        return -1
    reason = scan_fields(buf, i, end, event, table, rows, state, slots, entries, store)
    if reason < 0:
        row = state[ROWS]
        table[u64(EVENT * rows + row)] = event
        table[u64(TIME * rows + row)] = time
        table[u64(CPU * rows + row)] = cpu
        table[u64(PID * rows + row)] = pid
        table[u64(COMM * rows + row)] = intern(buf, task, task_end, TASK, state, slots, entries, store)
        table[u64(LINE * rows + row)] = state[LINES]
        state[ROWS] += 1
    return reason


@compiled
def scan_other(buf: Bytes, start: int, end: int, state: Words) -> Any:
    """Return whether a line is known that is no event: lost events, a stack, what trace-cmd says first."""
    if has(buf, start, end, b"CPU") or has(buf, start, end, b"cpus=") or has(buf, start, end, b"version ="):
        i = start
        while i < end and at(buf, i) != OPEN:
            i += 1
        if i < end:
            while i < end and not is_digit(at(buf, i)):
                i += 1
            lost, _ = decimal(buf, i, end)
            state[LOST] = min(state[LOST] + lost, HUGE)
            state[LOST_LINES] += 1
        return True
    i = skip_spaces(buf, start, end)
    if has(buf, i, end, b"=> ") or has(buf, i, end, b"<stack trace>"):
        state[STACKS] += 1
        return True
    if i == start or i >= end or hex_value(at(buf, i)) < 0:
        return False
    digits = i
    while i < end and hex_value(at(buf, i)) >= 0:
        i += 1
    stack = i - digits >= 8 and i < end and at(buf, i) == SPACE  # perf script: address symbol (where)
    if stack and find_cpu(buf, i, end)[0] < 0:
        state[STACKS] += 1
        return True
    return False


@compiled
def count_name(buf: Bytes, start: int, end: int, state: Words, slots: Words, entries: Words, store: Bytes) -> None:
    """Count a line whose columns cannot be read by the page event that it names, as a search for the name would."""
    for i in range(start + 1, end):
        if at(buf, i) == 109 and not is_word(at(buf, i - 1)) and has(buf, i, end, b"mm_page_"):
            stop = i
            while stop < end and is_word(at(buf, stop)):
                stop += 1
            if has(buf, stop, end, b": "):
                intern(buf, i, stop, NAME, state, slots, entries, store)
                state[NAMED] += 1
                return


@inlined
def note(notes: Words, count: int, reason: int, line: int, start: int, end: int) -> None:
    """Keep where a line stands, for the first few."""
    if count < NOTED:
        notes[u64(count * 4)] = reason
        notes[u64(count * 4 + 1)] = line
        notes[u64(count * 4 + 2)] = start
        notes[u64(count * 4 + 3)] = end


@compiled
def scan_line(
    buf: Bytes,
    start: int,
    end: int,
    table: Words,
    rows: int,
    state: Words,
    slots: Words,
    entries: Words,
    store: Bytes,
    comments: Words,
) -> Any:
    """Read one line; returns the reason why it cannot be explained, or -1."""
    if state[OVERLONG]:  # the rest of a line whose beginning was dropped
        state[OVERLONG] = 0
    elif end - start > LONGEST:
        return TOO_LONG
    elif end == start:
        state[BLANK] += 1
    elif at(buf, start) == HASH:
        note(comments, state[COMMENTS], 0, state[LINES], start, end)
        state[COMMENTS] += 1
    elif not scan_other(buf, start, end, state):
        return scan_event(buf, start, end, table, rows, state, slots, entries, store)
    return -1


@entry
@compiled
def scan(
    buf: Bytes,
    end: int,
    last: int,
    table: Words,
    rows: int,
    state: Words,
    slots: Words,
    entries: Words,
    store: Bytes,
    reasons: Words,
    problems: Words,
    comments: Words,
    start: int,
) -> Any:
    """Scan whole lines from ``start`` on until the bytes end or the table is full; returns where it stopped.

    ``last`` says that no more bytes follow, so that what has no newline is a line, too.  The state's counts of rows,
    problems and comments begin at 0 in each call, the others go on.
    """
    state[ROWS] = 0
    state[PROBLEMS] = 0
    state[COMMENTS] = 0
    while start < end and state[ROWS] < rows:
        stop = start
        while stop < end and at(buf, stop) != 10:
            stop += 1
        if stop == end and not last:
            break
        state[LINES] += 1
        line_end = stop - 1 if stop > start and at(buf, stop - 1) == RETURN else stop
        reason = scan_line(buf, start, line_end, table, rows, state, slots, entries, store, comments)
        if reason >= 0:
            note(problems, state[PROBLEMS], reason, state[LINES], start, line_end)
            state[PROBLEMS] += 1
            reasons[u64(reason)] += 1
            if reason < MISSING:
                count_name(buf, start, line_end, state, slots, entries, store)
        start = stop + 1
    return min(start, end)
