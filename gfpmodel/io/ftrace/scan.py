"""The compiled scanner: lines of a trace, as bytes, into the columns of a table.

What stands before an event is told by the patterns of ``forms.FORMS``, which are data here, like the text.  Six events
are taken apart; the others are counted by name.  A line that no form explains gets a reason: what was expected where it
stops to make sense.  Nothing is allocated here, so memory does not grow with the trace.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.io.ftrace.forms import EVENT as EVENT_LINE
from gfpmodel.io.ftrace.forms import FUNCTION, MAX_FORMS, NO_FIELDS, ROW_WORDS, STACK, STOP, UNCOUNTED
from gfpmodel.io.ftrace.forms import LOST as LOST_LINE
from gfpmodel.mm.jit import compiled, entry, i64, inlined, u64

Bytes = NDArray[np.uint8]
Words = NDArray[np.int64]


class Scan(NamedTuple):
    """What a scan reads and writes."""

    buf: Bytes  #: the text
    forms: Words  #: the forms of lines, packed
    table: Annotated[Words, 2]  #: [column, row]
    state: Words
    slots: Words  #: of the hash table of texts: their numbers
    entries: Words  #: ENTRY words of each text
    store: Bytes  #: the texts' bytes
    reasons: Words  #: how often each reason was met
    problems: Words  #: where the first lines stand that cannot be read, and comments
    comments: Words


EVENTS = (
    "mm_page_alloc",
    "mm_page_free",
    "mm_page_free_batched",
    "mm_page_alloc_zone_locked",
    "mm_page_pcpu_drain",
    "mm_page_alloc_extfrag",
)
ALLOC, FREE, FREE_BATCHED, ZONE_LOCKED, DRAIN, EXTFRAG = range(6)
ZERO_MASK = len(EVENTS) + 1  #: the number of the text "0": what perf trace does not print is 0

# The columns of a row.
EVENT, TIME, CPU, PID, COMM, PFN, ORDER, MIGRATETYPE, GFP, EXTRA, LINE = range(11)
WIDTH = 11

# Fields of an event by number: bits of `needed_fields`.
FIELDS = ("pfn", "order", "migratetype", "gfp_flags", "fallback_order", "percpu_refill")
F_PFN, F_ORDER, F_TYPE, F_GFP, F_FALLBACK, F_REFILL, F_NONE = range(7)

# Words of the scanner's state.
LINES, ROWS, TEXTS, STORED, LAST_TIME, BACKWARDS, BACKWARDS_LINE, PROBLEMS, COMMENTS = range(9)
LOST_LINES, LOST, STACKS, BLANK, FUNCTIONS, COLUMNS_SEEN, TEXTS_FULL, OVERLONG, NAMED = range(9, 18)
UNCOUNTED_LINES, UNCOUNTED_FIRST, RECORDS, HEADINGS, WRAPPED = range(18, 23)
# The form of the event before; what is being matched, and what its columns say.
FORM, TRYING, NEXT, HERE_CPU, HERE_PID, HERE_TIME, HERE_TASK, HERE_TASK_END, HERE_LOST = range(23, 32)
# An event whose line ended before its fields did: mail breaks lines.
OPEN, OPEN_ROW, OPEN_REASON, FOUND = range(32, 36)
FORM_COUNTS = 40  # how many events had each form, then the first line of each
FORM_LINES = FORM_COUNTS + MAX_FORMS
STATE_WORDS = FORM_LINES + MAX_FORMS

# Reasons why a line cannot be read; then missing and bad fields, by event and field, and words that are none, by event.
NO_CPU, NO_TASK, NO_TIME, NO_NAME, TOO_LONG, BAD_CPU, RAW = range(7)
MISSING, BAD_NUMBER, NO_FIELD = 16, 64, 112
REASONS = 120

MAX_TEXTS = 1 << 16
SLOTS = 1 << 18
STORE = 1 << 22
MAX_TEXT = 1 << 10
NOTED = 64  # problems and comments noted a call; the others are counted
LONGEST = 1 << 16  # bytes of a line
WIDEST = 64  # bytes before the separator behind a task's name
NATIVE = 16  # places that ftrace, trace-cmd and perf give the task's name
HUGE = 1 << 58  # numbers stop growing here
DIGITS = 20  # of the longest number that a kernel prints: 2^64 - 1, the pfn of no page on 4.x
NAME, TASK, MASK = 1, 2, 3  # kinds of texts
ENTRY = 5  # start, length, kind, first line, count

SPACE, TAB, COLON, DASH, OPEN_BRACKET, CLOSE, EQUALS, DOT, HASH, SLASH = 32, 9, 58, 45, 91, 93, 61, 46, 35, 47
PAREN_OPEN, PAREN_CLOSE, ZERO, NINE, LOWER_X, LESS, RETURN, COMMA, STAR, BAR = 40, 41, 48, 57, 120, 60, 13, 44, 42, 124
UPPER_T, UNDERSCORE, TILDE, LITERAL = 84, 95, 126, 256
LETTER_C, LETTER_D, LETTER_F, LETTER_G, LETTER_K, LETTER_L, LETTER_M, LETTER_N = 99, 100, 102, 103, 107, 108, 109, 110
LETTER_P, LETTER_Q, LETTER_S, LETTER_T, LETTER_U, LETTER_W, LETTER_X, UPPER_M = 112, 113, 115, 116, 117, 119, 120, 77


@inlined
def at(buf: Bytes | Words, i: int) -> Any:
    """Return a byte, or a word of the table of forms, as an integer."""
    return i64(buf[u64(i)])


@inlined
def is_digit(c: int) -> Any:
    """Return whether a byte is a decimal digit."""
    return ZERO <= c <= NINE


@inlined
def is_blank(c: int) -> Any:
    """Return whether a byte is a space or a tab."""
    return c <= SPACE and (c == SPACE or c == TAB)  # noqa: PLR1714, SIM109 (compiled: no tuple)


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
    while i < end and is_blank(at(buf, i)):
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
def intern(s: Scan, start: int, end: int, kind: int) -> Any:
    """Return the number of a text, which is stored when it is new; 0 when there is no room for it."""
    end = min(end, start + MAX_TEXT)
    code = kind
    for i in range(start, end):
        code = (code * 31 + at(s.buf, i)) & 0xFFFFFFFF
    slot = (code ^ code >> 13) & (SLOTS - 1)
    length = end - start
    while True:
        entry = i64(s.slots[u64(slot)])
        if entry == 0:
            break
        where = entry * ENTRY
        if s.entries[u64(where + 1)] == length and s.entries[u64(where + 2)] == kind:
            begin = s.entries[u64(where)]
            i = 0
            while i < length and at(s.store, begin + i) == at(s.buf, start + i):
                i += 1
            if i == length:
                s.entries[u64(where + 4)] += 1
                return entry
        slot = (slot + 1) & (SLOTS - 1)
    entry = s.state[TEXTS]
    if entry >= MAX_TEXTS or s.state[STORED] + length > STORE:
        s.state[TEXTS_FULL] += 1
        return 0
    where = entry * ENTRY
    s.entries[u64(where)] = s.state[STORED]
    s.entries[u64(where + 1)] = length
    s.entries[u64(where + 2)] = kind
    s.entries[u64(where + 3)] = s.state[LINES]
    s.entries[u64(where + 4)] = 1
    for i in range(length):
        s.store[u64(s.state[STORED] + i)] = s.buf[u64(start + i)]
    s.state[STORED] += length
    s.state[TEXTS] += 1
    s.slots[u64(slot)] = entry
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
        if at(buf, i) == OPEN_BRACKET:
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
def skip_word(buf: Bytes, i: int, end: int) -> Any:
    """Return where a word ends: at a blank or a closing bracket."""
    while i < end and not (is_blank(at(buf, i)) or at(buf, i) == CLOSE or at(buf, i) == PAREN_CLOSE):
        i += 1
    return i


@inlined
def skip_dark(buf: Bytes, i: int, end: int) -> Any:
    """Return where the next blank stands."""
    while i < end and not is_blank(at(buf, i)):
        i += 1
    return i


@inlined
def skip_past(buf: Bytes, i: int, end: int, last: int) -> Any:
    """Return the place behind the next such byte, the end if there is none."""
    while i < end and at(buf, i) != last:
        i += 1
    return min(i + 1, end)


@inlined
def clock(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Read a time in nanoseconds (or ticks, if it has no point and no unit); returns where it ends, -1 if none.

    With the unit us the latency format puts a mark between unit and colon, perhaps a blank.
    """
    value, stop = decimal(buf, i, end)
    if stop == i:
        return -1
    point = stop < end and at(buf, stop) == DOT
    if point:
        value = min(value, 1 << 32) * 1_000_000_000
        scale = 100_000_000
        stop += 1
        while stop < end and is_digit(at(buf, stop)):
            value += (at(buf, stop) - ZERO) * scale
            scale //= 10
            stop += 1
    if stop + 1 < end and at(buf, stop + 1) == LETTER_S and (at(buf, stop) == LETTER_U or at(buf, stop) == LETTER_M):
        unit = 1000 if at(buf, stop) == LETTER_U else 1_000_000
        value = value // (1_000_000_000 // unit) if point else min(value, HUGE // 1_000_000) * unit
        stop += 2
        if stop + 1 < end and at(buf, stop) != COLON and at(buf, stop + 1) == COLON:
            stop += 1
    state[HERE_TIME] = value
    return stop


@inlined
def flags_and_clock(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Read a time and its colon, perhaps behind a word of flags; returns where the colon is, -1 if there is none."""
    i = skip_spaces(buf, skip_dark(buf, i, end), end)
    stop = clock(buf, i, end, state)
    if 0 <= stop < end and at(buf, stop) == COLON:
        return stop
    flags = i
    i = skip_dark(buf, i, end)
    columns = i - flags
    if columns == 0 or at(buf, flags) == OPEN_BRACKET:
        return -1
    stop = clock(buf, skip_spaces(buf, i, end), end, state)
    if not 0 <= stop < end or at(buf, stop) != COLON:
        return -1
    if state[COLUMNS_SEEN] == 0:
        state[COLUMNS_SEEN] = columns
    return stop


@inlined
def take_pid(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Read PID or PID/TID; returns where it ends, -1 if there is none."""
    begin = i + 1 if i < end and at(buf, i) == DASH else i
    pid, stop = decimal(buf, begin, end)
    if stop == begin:
        return -1
    if stop < end and at(buf, stop) == SLASH:
        tid, last = decimal(buf, stop + 1, end)
        if last > stop + 1:
            pid, stop = tid, last
    state[HERE_PID] = -pid if begin > i else pid
    return stop


@inlined
def take_group(buf: Bytes, i: int, end: int) -> Any:
    """Pass a thread group in brackets, if there is one; returns where it ends."""
    stop = i
    if i < end and at(buf, i) == PAREN_OPEN:
        stop += 1
        while stop < end and (is_digit(at(buf, stop)) or at(buf, stop) == DASH or at(buf, stop) == SPACE):
            stop += 1
        stop = stop + 1 if stop < end and at(buf, stop) == PAREN_CLOSE else i
    return stop


@inlined
def take_task(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Read COMM-PID before a bar, if it is there; returns where it ends."""
    bar = i
    while bar < end and at(buf, bar) != BAR:
        bar += 1
    stop = back_over_spaces(buf, i, bar)
    digits = back_over_digits(buf, i, stop)
    if digits == stop or digits - 1 <= i or at(buf, digits - 1) != DASH:
        return i
    state[HERE_PID], _ = decimal(buf, digits, stop)
    state[HERE_TASK], state[HERE_TASK_END] = skip_spaces(buf, i, digits), digits - 1
    return bar


@inlined
def take_comment(buf: Bytes, i: int, end: int) -> Any:
    """Return the place behind the next ``/*`` and a blank, -1 if there is none."""
    while i + 2 < end and not (at(buf, i) == SLASH and at(buf, i + 1) == STAR):
        i += 1
    return i + 2 if i + 2 < end else -1


@inlined
def take_duration(buf: Bytes, i: int, end: int) -> Any:
    """Pass ``( 0.005 ms):`` and blanks, if it is there; returns where it ends."""
    stop = i
    if i < end and at(buf, i) == PAREN_OPEN:
        stop = skip_past(buf, i, end, PAREN_CLOSE)
        stop = skip_spaces(buf, stop + 1, end) if stop < end and at(buf, stop) == COLON else i
    return stop


@inlined
def take_hex(buf: Bytes, i: int, end: int) -> Any:
    """Return where a hexadecimal number and the blank behind it end, -1 if they are not there."""
    stop = i
    while stop < end and hex_value(at(buf, stop)) >= 0:
        stop += 1
    return stop + 1 if i < stop < end and at(buf, stop) == SPACE else -1


@inlined
def take_symbol(buf: Bytes, i: int, end: int) -> Any:
    """Return the end of a line that ends with a closing bracket and has no colon and blank, else -1."""
    if i >= end or at(buf, end - 1) != PAREN_CLOSE:
        return -1
    while i < end and not (at(buf, i) == COLON and i + 1 < end and at(buf, i + 1) == SPACE):
        i += 1
    return end if i == end else -1


@inlined
def see_event(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Return a place if the name of a page allocator's event stands there, perhaps behind its system; else -1.

    After a line of this form any name will do whose fields are assignments.
    """
    if has(buf, i, end, b"mm_page") or has(buf, i, end, b"kmem:mm_page"):
        return i
    stop = i
    while stop < end and is_word(at(buf, stop)):
        stop += 1
    same = state[FORM] == state[TRYING] and stop > i and has(buf, stop, end, b": ")
    return i if same and is_assignment(buf, stop + 2, end) else -1


@inlined
def unless_empty(i: int, stop: int) -> Any:
    """Return where something ends, -1 if nothing is there."""
    return stop if stop > i else -1


@inlined
def take_text(buf: Bytes, i: int, end: int, token: int, state: Words) -> Any:
    """Read what a token of a pattern that is no column stands for; returns where it ends, or -1 if it is not there."""
    stop = i
    if token == LETTER_D:
        stop = take_duration(buf, i, end)
    elif token == LETTER_Q:
        stop = take_task(buf, i, end, state)
    elif token == LETTER_K:
        stop = take_comment(buf, i, end)
    elif token == LETTER_N:
        stop = unless_empty(i, decimal(buf, i, end)[1])
    elif token == LETTER_L:
        state[HERE_LOST], stop = decimal(buf, i, end)
        stop = unless_empty(i, stop)
    elif token == LETTER_W:
        stop = unless_empty(i, skip_word(buf, i, end))
    elif token == LETTER_X:
        stop = take_hex(buf, i, end)
    elif token == LETTER_S:
        stop = take_symbol(buf, i, end)
    elif token == UPPER_M:
        stop = see_event(buf, i, end, state)
    return stop


@inlined
def take(buf: Bytes, i: int, end: int, token: int, state: Words) -> Any:
    """Read what a token of a pattern stands for; returns where it ends, or -1 if it is not there."""
    if token == LETTER_P:
        stop = take_pid(buf, i, end, state)
    elif token == LETTER_C:
        state[HERE_CPU], stop = decimal(buf, i, end)
        stop = unless_empty(i, stop)
    elif token == LETTER_G:
        stop = take_group(buf, i, end)
    elif token == UPPER_T:
        stop = flags_and_clock(buf, i, end, state)
    elif token == LETTER_T:
        stop = clock(buf, i, end, state)
    elif token == LETTER_M:
        stop = clock(buf, i, end, state)
        state[HERE_TIME] //= 1000
    elif token == LETTER_F:
        stop = unless_empty(i, skip_dark(buf, i, end))
        if state[COLUMNS_SEEN] == 0:
            state[COLUMNS_SEEN] = stop - i
    else:
        stop = take_text(buf, i, end, token, state)
    return stop


@compiled
def follow(buf: Bytes, i: int, end: int, forms: Words, k: int, state: Words) -> Any:
    """Follow a pattern from its place k, as far as its end or a task's name; returns where that is, or -1."""
    token = at(forms, k)
    while token != STOP and token != TILDE:  # noqa: PLR1714 (compiled: no tuple)
        if token >= LITERAL:
            if i >= end or at(buf, i) + LITERAL != token:
                return -1
            i += 1
        elif token == UNDERSCORE:
            i = skip_spaces(buf, i, end)
        elif token == SPACE:
            stop = skip_spaces(buf, i, end)
            if stop == i:
                return -1
            i = stop
        else:
            i = take(buf, i, end, token, state)
            if i < 0:
                return -1
        k += 1
        token = at(forms, k)
    state[NEXT] = k
    return i


@inlined
def may_end_task(buf: Bytes, i: int, j: int, end: int, separator: int) -> Any:
    """Return whether a task's name that begins at i may end at j: a pid follows, behind blanks if they separate it."""
    if at(buf, j) != separator or j + 1 >= end:
        return False
    after = at(buf, j + 1)
    if separator != SPACE:
        return is_digit(after)
    pid = is_digit(after) or after == SPACE or after == DASH  # noqa: PLR1714 (compiled: no tuple)
    return pid and (j == i or at(buf, j - 1) != SPACE)


@compiled
def match(buf: Bytes, start: int, end: int, forms: Words, row: int, state: Words) -> Any:
    """Match a line to a row of the table; returns where its pattern ends, or -1.

    A name may hold what looks like the columns behind it, so it ends where all the rest of the pattern fits: at the
    place that the tools leave for names, if it fits there.
    """
    state[TRYING] = row
    state[HERE_CPU], state[HERE_PID], state[HERE_TIME] = 0, -1, state[LAST_TIME]
    state[HERE_TASK], state[HERE_TASK_END] = start, start
    i, k = start, at(forms, 2 + ROW_WORDS * row)
    if at(forms, k) != TILDE:
        i = follow(buf, start, end, forms, k, state)
        k = state[NEXT]
        if i < 0 or at(forms, k) == STOP:
            return i
    k += 1
    separator = at(forms, k) & 0xFF
    j, stop = i + NATIVE, -1
    if j < end and at(buf, j) == separator:
        stop = follow(buf, j, end, forms, k, state)
    if stop < 0:
        j, last = i, min(end, i + WIDEST)
        while j < last:
            if may_end_task(buf, i, j, end, separator):
                stop = follow(buf, j, end, forms, k, state)
                if stop >= 0:
                    break
            j += 1
    state[HERE_TASK], state[HERE_TASK_END] = skip_spaces(buf, i, j), back_over_spaces(buf, i, j)
    return stop


@compiled
def find_form(buf: Bytes, start: int, end: int, forms: Words, state: Words) -> Any:
    """Find the row of the table that a line matches, that of the event before first; returns where its pattern ends.

    ``state[TRYING]`` is the row; -1 if there is none.
    """
    stop = match(buf, start, end, forms, state[FORM], state)
    row = 0
    while stop < 0 and row < at(forms, 0):
        if row != state[FORM]:
            stop = match(buf, start, end, forms, row, state)
        row += 1
    return stop


@inlined
def skip_prefix(buf: Bytes, start: int, end: int, forms: Words, state: Words) -> Any:
    """Return where a line begins behind what mail and logs put before it: quotes, stamps, the kernel's name."""
    first, row = at(forms, 0), i64(0)
    while start < end and row < at(forms, 1):
        c = at(buf, start)
        if is_blank(c) or 97 <= c <= 122 or c == HASH:
            break
        stop = match(buf, start, end, forms, first + row, state)
        row += 1
        if stop >= 0:
            start = stop + 1 if stop < end and at(buf, stop) == SPACE else stop
            row = i64(0)
    return start


@inlined
def field_of(buf: Bytes, i: int, end: int) -> Any:
    """Return which field a key is."""
    length = end - i
    found = F_NONE
    if length == 3 and has(buf, i, end, b"pfn"):
        found = F_PFN
    elif (length == 5 and has(buf, i, end, b"order")) or (length == 11 and has(buf, i, end, b"alloc_order")):
        found = F_ORDER
    elif length == 11 and has(buf, i, end, b"migratetype"):
        found = F_TYPE
    elif length == 9 and has(buf, i, end, b"gfp_flags"):
        found = F_GFP
    elif length == 13 and has(buf, i, end, b"percpu_refill"):
        found = F_REFILL
    elif length == 17 and has(buf, i, end, b"alloc_migratetype"):
        found = F_TYPE
    elif length == 14 and has(buf, i, end, b"fallback_order"):
        found = F_FALLBACK
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


@inlined
def is_stop(c: int) -> Any:
    """Return whether a byte ends a value: a blank, or what perf trace puts behind it."""
    return c <= COMMA and (c == SPACE or c == COMMA or c == PAREN_CLOSE or c == TAB)  # noqa: PLR1714, SIM109 (compiled)


@inlined
def back_over_stops(buf: Bytes, start: int, i: int) -> Any:
    """Return where a text ends before the comma or bracket that perf trace puts behind it."""
    while i > start and (at(buf, i - 1) == COMMA or at(buf, i - 1) == PAREN_CLOSE):
        i -= 1
    return i


@inlined
def find_key(buf: Bytes, i: int, end: int) -> Any:
    """Return where the next key begins, past what is no field: ``(null)``, ``(decimal)``, ``*/``, commas."""
    while i < end and at(buf, i) <= COMMA:
        c = at(buf, i)
        if c == PAREN_OPEN:
            i = skip_past(buf, i, end, PAREN_CLOSE)
        elif is_stop(c):
            i += 1
        elif c == STAR and i + 1 < end and at(buf, i + 1) == SLASH:
            i += 2
        else:
            break
    return i


@inlined
def find_value(buf: Bytes, i: int, end: int) -> Any:
    """Return where a key ends and where its value begins, behind ``=`` or ``:`` and a blank; -1 if there is none."""
    while i < end and (at(buf, i) > EQUALS or is_digit(at(buf, i))):
        i += 1
    if i < end and at(buf, i) == EQUALS:
        return i, i + 1
    if i + 1 < end and at(buf, i) == COLON and at(buf, i + 1) == SPACE:
        return i, i + 2
    return i, -1


@compiled
def scan_fields(s: Scan, i: int, end: int, event: int) -> Any:
    """Read fields of an event into its row; returns the reason why they cannot be read or are not all, or -1."""
    row, found = s.state[ROWS], s.state[FOUND]
    while True:
        i = find_key(s.buf, i, end)
        if i >= end:
            break
        key_end, value = find_value(s.buf, i, end)
        if value < 0:
            return NO_FIELD + event
        field = field_of(s.buf, i, key_end)
        i = value
        if field == F_NONE or field == F_GFP:  # noqa: PLR1714, SIM109 (compiled: no tuple)
            while i < end and at(s.buf, i) > SPACE:
                i += 1
            stop = back_over_stops(s.buf, value, i)
            if field == F_GFP and stop > value:
                s.table[u64(GFP), u64(row)] = intern(s, value, stop, MASK)
                found |= 1 << F_GFP
        else:
            result, i = number(s.buf, value, end)
            if i == value or i - value > DIGITS or (i < end and not is_stop(at(s.buf, i))):
                return BAD_NUMBER + event * 8 + field
            found |= 1 << field
            s.table[u64(column_of(field)), u64(row)] = result
    s.state[FOUND] = found
    absent = needed_fields(event) & ~found
    return MISSING + event * 8 + lowest_bit(absent) if absent else -1


@inlined
def find_name(buf: Bytes, i: int, end: int) -> Any:
    """Return where an event's name begins and ends and where its fields begin; -1 if there is no name.

    perf prints a period before and the system in front of it, ``trace-cmd report --ts-diff`` a difference; system
    calls and perf trace have no colon behind the name.
    """
    i = skip_spaces(buf, i, end)
    _, stop = decimal(buf, i, end)
    if stop > i and stop < end and at(buf, stop) == SPACE:
        i = skip_spaces(buf, stop, end)
    elif has(buf, i, end, b"(+"):
        i = skip_spaces(buf, skip_past(buf, i, end, PAREN_CLOSE), end)
    begin = i
    while i < end and is_word(at(buf, i)):
        i += 1
    system = i > begin and i + 1 < end and at(buf, i) == COLON and is_word(at(buf, i + 1))
    if system:
        i += 1
        begin = i
        while i < end and is_word(at(buf, i)):
            i += 1
    if i == begin:
        return -1, begin, i
    if i < end and at(buf, i) == COLON and (system or i + 1 == end or at(buf, i + 1) == SPACE):
        return begin, i, i + 1
    if i < end and at(buf, i) == PAREN_OPEN:
        return begin, i, i + 1
    if i < end and has(buf, i, end, b" -> "):
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
def note_time(state: Words, time: int) -> None:
    """Count the times that are before the one on the line before."""
    if time < state[LAST_TIME]:
        state[BACKWARDS] += 1
        if state[BACKWARDS] == 1:
            state[BACKWARDS_LINE] = state[LINES]
    state[LAST_TIME] = time


@inlined
def no_event(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Return the reason why a line with a time is no event; -1 if it marks a stack or is of the function tracers."""
    i = skip_spaces(buf, i, end)
    if i < end and at(buf, i) == LESS:  # <stack trace>
        state[STACKS] += 1
        return -1
    if is_function(buf, i, end) or (end - i > 1 and has(buf, end - 2, end, b"*/")):
        state[FUNCTIONS] += 1
        return -1
    return NO_NAME


@inlined
def is_record(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Return whether a record of perf that is no event stands here, and count it: lost events, a new task, a map."""
    i = skip_spaces(buf, i, end)
    if not has(buf, i, end, b"PERF_RECORD_"):
        return False
    state[RECORDS] += 1
    if has(buf, i, end, b"PERF_RECORD_LOST"):
        while i < end and not has(buf, i, end, b" lost "):
            i += 1
        lost, _ = decimal(buf, i + 6, end)
        state[LOST] = min(state[LOST] + lost, HUGE)
        state[LOST_LINES] += 1
    return True


@inlined
def fill_row(s: Scan, event: int, comm: int) -> None:
    """Put what stands before an event into its row, and what its fields are when they are not there."""
    row = s.state[ROWS]
    s.table[u64(EVENT), u64(row)] = event
    s.table[u64(TIME), u64(row)] = s.state[HERE_TIME]
    s.table[u64(CPU), u64(row)] = s.state[HERE_CPU]
    s.table[u64(PID), u64(row)] = s.state[HERE_PID]
    s.table[u64(COMM), u64(row)] = comm
    s.table[u64(LINE), u64(row)] = s.state[LINES]
    s.table[u64(PFN), u64(row)] = 0
    s.table[u64(ORDER), u64(row)] = 0
    s.table[u64(MIGRATETYPE), u64(row)] = -1
    s.table[u64(GFP), u64(row)] = 0
    s.table[u64(EXTRA), u64(row)] = -1


@inlined
def default_to_zero(s: Scan, event: int) -> None:
    """Take all fields of an event to be there, as 0: perf trace prints those only that are something else."""
    row = s.state[ROWS]
    s.state[FOUND] = needed_fields(event)
    if event == ALLOC:
        s.table[u64(GFP), u64(row)] = ZERO_MASK
        s.entries[u64(ZERO_MASK * ENTRY + 4)] += 1
    if needed_fields(event) & 1 << F_TYPE:
        s.table[u64(MIGRATETYPE), u64(row)] = 0


@inlined
def keep_row(s: Scan) -> None:
    """Count the row that was filled as read."""
    form = s.state[FORM]
    if s.state[FORM_COUNTS + form] == 0:
        s.state[FORM_LINES + form] = i64(s.table[u64(LINE), u64(s.state[ROWS])])
    s.state[FORM_COUNTS + form] += 1
    s.state[ROWS] += 1


@compiled
def scan_event(s: Scan, i: int, end: int) -> Any:
    """Read an event behind the columns that were matched; returns the reason why it is none, or -1."""
    if s.state[HERE_CPU] > 0xFFFF:
        return BAD_CPU
    if is_record(s.buf, i, end, s.state):
        return -1
    name, name_end, i = find_name(s.buf, i, end)
    if name < 0:
        return no_event(s.buf, name_end, end, s.state)
    s.state[FORM] = s.state[TRYING]
    note_time(s.state, s.state[HERE_TIME])
    event = intern(s, name, name_end, NAME) - 1
    if not 0 <= event < len(EVENTS):
        return -1
    task, task_end, comm = s.state[HERE_TASK], s.state[HERE_TASK_END], i64(0)
    if s.state[HERE_PID] >= 0 or task_end > task:
        comm = intern(s, task, task_end, TASK)
    fill_row(s, event, comm)
    s.state[FOUND] = 0
    if at(s.buf, name_end) == PAREN_OPEN and at(s.buf, end - 1) == PAREN_CLOSE:
        default_to_zero(s, event)
    reason = scan_fields(s, i, end, event)
    if reason < 0:
        keep_row(s)
    elif reason < BAD_NUMBER:
        s.state[OPEN], s.state[OPEN_ROW], s.state[OPEN_REASON] = 1 + event, s.state[ROWS], reason
    return reason


@inlined
def goes_on(buf: Bytes, i: int, end: int) -> Any:
    """Return whether a line begins with fields, as the second half of one that mail has broken in two."""
    i = find_key(buf, i, end)
    key_end, value = find_value(buf, i, end)
    return value >= 0 and at(buf, key_end) == EQUALS and field_of(buf, i, key_end) != F_NONE


@compiled
def scan_rest(s: Scan, i: int, end: int) -> Any:
    """Read more fields of the event on the line before; when all are there, what was said of it is taken back."""
    event = s.state[OPEN] - 1
    reason = scan_fields(s, i, end, event)
    if MISSING <= reason < BAD_NUMBER:
        s.state[OPEN] = 1 + event
        s.state[WRAPPED] += 1
        return -1
    if reason < 0:
        s.reasons[u64(s.state[OPEN_REASON])] -= 1
        last = s.state[PROBLEMS] - 1
        if last >= 0 and (last >= NOTED or s.problems[u64(last * 4)] == s.state[OPEN_REASON]):
            s.state[PROBLEMS] = last
        keep_row(s)
        s.state[WRAPPED] += 1
    return reason


@inlined
def why_not(buf: Bytes, start: int, end: int) -> Any:
    """Return the reason why a line has none of the forms: which of ftrace's columns is the first that is not there."""
    begin, _, _ = find_cpu(buf, start, end)
    if begin < 0:
        return NO_CPU
    stop = back_over_spaces(buf, start, begin)
    digits = back_over_digits(buf, start, stop)
    return NO_TIME if start < digits < stop else NO_TASK


@compiled
def scan_other(kind: int, state: Words) -> Any:
    """Count a line that is no event; returns the reason why it cannot be used, or -1."""
    if kind == LOST_LINE:
        state[LOST] = min(state[LOST] + state[HERE_LOST], HUGE)
        state[LOST_LINES] += 1
    elif kind == UNCOUNTED:
        if state[UNCOUNTED_LINES] == 0:
            state[UNCOUNTED_FIRST] = state[LINES]
        state[UNCOUNTED_LINES] += 1
        state[LOST_LINES] += 1
    elif kind == STACK:
        state[STACKS] += 1
    elif kind == FUNCTION:
        state[FUNCTIONS] += 1
    elif kind == NO_FIELDS:
        return RAW
    else:
        state[HEADINGS] += 1
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
                intern(s, i, stop, NAME)
                s.state[NAMED] += 1
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
def scan_form(s: Scan, start: int, end: int) -> Any:
    """Read a line as what its form says that it is; returns the reason why it cannot be explained, or -1."""
    stop = find_form(s.buf, start, end, s.forms, s.state)
    if stop < 0:
        return why_not(s.buf, start, end)
    kind = at(s.forms, 3 + ROW_WORDS * s.state[TRYING])
    if kind != EVENT_LINE:
        return scan_other(kind, s.state)
    return scan_event(s, stop, end)


@compiled
def scan_line(s: Scan, start: int, end: int) -> Any:
    """Read one line; returns the reason why it cannot be explained, or -1."""
    if s.state[OVERLONG]:  # the rest of a line whose beginning was dropped
        s.state[OVERLONG] = 0
        return -1
    if end - start > LONGEST:
        return TOO_LONG
    start = skip_prefix(s.buf, start, end, s.forms, s.state)
    mark = skip_spaces(s.buf, start, end)
    if mark == end:
        s.state[BLANK] += 1
        return -1
    if at(s.buf, start) != HASH:
        if s.state[OPEN] and goes_on(s.buf, start, end):
            return scan_rest(s, start, end)
        s.state[OPEN] = 0
        reason = scan_form(s, start, end)
        # a heading may be indented, as a task's name may be #
        if not 0 <= reason <= NO_TIME or at(s.buf, mark) != HASH:
            return reason
    note(s.comments, s.state[COMMENTS], 0, s.state[LINES], mark, end)
    s.state[COMMENTS] += 1
    return -1


@inlined
def move_open_row(s: Scan) -> None:
    """Take a row that waits for the rest of its fields along to the next call."""
    if s.state[OPEN]:
        for column in range(WIDTH):
            s.table[u64(column), u64(0)] = i64(s.table[u64(column), u64(s.state[OPEN_ROW])])
        s.state[OPEN_ROW] = 0


@entry
@compiled
def scan(s: Scan, end: int, last: int, start: int) -> Any:
    """Scan whole lines from ``start`` on until the bytes end or the table is full; returns where it stopped.

    ``last`` says that no more bytes follow, so that what has no newline is a line, too.  The state's counts of rows,
    problems and comments begin at 0 in each call, the others go on.
    """
    move_open_row(s)
    s.state[ROWS] = 0
    s.state[PROBLEMS] = 0
    s.state[COMMENTS] = 0
    while start < end and s.state[ROWS] < s.table.shape[1]:
        stop = start
        while stop < end and at(s.buf, stop) != 10:
            stop += 1
        if stop == end and not last:
            break
        s.state[LINES] += 1
        line_end = stop - 1 if stop > start and at(s.buf, stop - 1) == RETURN else stop
        reason = scan_line(s, start, line_end)
        if reason >= 0:
            note(s.problems, s.state[PROBLEMS], reason, s.state[LINES], start, line_end)
            s.state[PROBLEMS] += 1
            s.reasons[u64(reason)] += 1
            if reason < MISSING:
                count_name(s, start, line_end)
        start = stop + 1
    return min(start, end)
