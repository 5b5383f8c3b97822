"""What stands before an event on a line, by the patterns of ``forms.FORMS``: task, cpu, flags and time."""

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
    hex_value,
    is_blank,
    is_digit,
    is_word,
    skip_dark,
    skip_name,
    skip_past,
    skip_spaces,
    skip_word,
)
from gfpmodel.io.ftrace.fields import is_assignment
from gfpmodel.mm.jit import compiled, i64, inlined


@inlined
def find_cpu(buf: Bytes, i: int, end: int) -> Any:
    """Return where ``[digits]`` begins, the cpu in it and where it ends; -1 if there is none."""
    while i < end:
        if at(buf, i) == ch.OPEN_BRACKET:
            cpu, stop = decimal(buf, i + 1, end)
            if i + 1 < stop < end and at(buf, stop) == ch.CLOSE:
                return i, cpu, stop + 1
        i += 1
    return -1, 0, end


@inlined
def clock(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Read a time in nanoseconds (or ticks, if it has no point and no unit); returns where it ends, -1 if none.

    With the unit us the latency format puts a mark between unit and colon, perhaps a blank.
    """
    value, stop = decimal(buf, i, end)
    if stop == i:
        return -1
    point = stop < end and at(buf, stop) == ch.DOT
    if point:
        value = min(value, 1 << 32) * 1_000_000_000
        scale = 100_000_000
        stop += 1
        while stop < end and is_digit(at(buf, stop)):
            value += (at(buf, stop) - ch.ZERO) * scale
            scale //= 10
            stop += 1
    if (
        stop + 1 < end
        and at(buf, stop + 1) == ch.LETTER_S
        and (at(buf, stop) == ch.LETTER_U or at(buf, stop) == ch.LETTER_M)
    ):
        unit = 1000 if at(buf, stop) == ch.LETTER_U else 1_000_000
        value = value // (1_000_000_000 // unit) if point else min(value, ch.HUGE // 1_000_000) * unit
        stop += 2
        if stop + 1 < end and at(buf, stop) != ch.COLON and at(buf, stop + 1) == ch.COLON:
            stop += 1
    state[st.HERE_TIME] = value
    return stop


@inlined
def flags_and_clock(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Read a time and its colon, perhaps behind a word of flags; returns where the colon is, -1 if there is none."""
    i = skip_spaces(buf, skip_dark(buf, i, end), end)
    stop = clock(buf, i, end, state)
    if 0 <= stop < end and at(buf, stop) == ch.COLON:
        return stop
    flags = i
    i = skip_dark(buf, i, end)
    columns = i - flags
    if columns == 0 or at(buf, flags) == ch.OPEN_BRACKET:
        return -1
    stop = clock(buf, skip_spaces(buf, i, end), end, state)
    if not 0 <= stop < end or at(buf, stop) != ch.COLON:
        return -1
    if state[st.COLUMNS_SEEN] == 0:
        state[st.COLUMNS_SEEN] = columns
    return stop


@inlined
def take_pid(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Read PID or PID/TID; returns where it ends, -1 if there is none."""
    begin = i + 1 if i < end and at(buf, i) == ch.DASH else i
    pid, stop = decimal(buf, begin, end)
    if stop == begin:
        return -1
    if stop < end and at(buf, stop) == ch.SLASH:
        tid, last = decimal(buf, stop + 1, end)
        if last > stop + 1:
            pid, stop = tid, last
    state[st.HERE_PID] = -pid if begin > i else pid
    return stop


@inlined
def take_group(buf: Bytes, i: int, end: int) -> Any:
    """Pass a thread group in brackets, if there is one; returns where it ends."""
    stop = i
    if i < end and at(buf, i) == ch.PAREN_OPEN:
        stop += 1
        while stop < end and (is_digit(at(buf, stop)) or at(buf, stop) == ch.DASH or at(buf, stop) == ch.SPACE):
            stop += 1
        stop = stop + 1 if stop < end and at(buf, stop) == ch.PAREN_CLOSE else i
    return stop


@inlined
def take_task(buf: Bytes, i: int, end: int, state: Words) -> Any:
    """Read COMM-PID before a bar, if it is there; returns where it ends."""
    bar = i
    while bar < end and at(buf, bar) != ch.BAR:
        bar += 1
    stop = back_over_spaces(buf, i, bar)
    digits = back_over_digits(buf, i, stop)
    if digits == stop or digits - 1 <= i or at(buf, digits - 1) != ch.DASH:
        return i
    state[st.HERE_PID], _ = decimal(buf, digits, stop)
    state[st.HERE_TASK], state[st.HERE_TASK_END] = skip_spaces(buf, i, digits), digits - 1
    return bar


@inlined
def take_comment(buf: Bytes, i: int, end: int) -> Any:
    """Return the place behind the next ``/*`` and a blank, -1 if there is none."""
    while i + 2 < end and not (at(buf, i) == ch.SLASH and at(buf, i + 1) == ch.STAR):
        i += 1
    return i + 2 if i + 2 < end else -1


@inlined
def take_duration(buf: Bytes, i: int, end: int) -> Any:
    """Pass ``( 0.005 ms):`` and blanks, if it is there; returns where it ends."""
    stop = i
    if i < end and at(buf, i) == ch.PAREN_OPEN:
        stop = skip_past(buf, i, end, ch.PAREN_CLOSE)
        stop = skip_spaces(buf, stop + 1, end) if stop < end and at(buf, stop) == ch.COLON else i
    return stop


@inlined
def take_hex(buf: Bytes, i: int, end: int) -> Any:
    """Return where a hexadecimal number and the blank behind it end, -1 if they are not there."""
    stop = i
    while stop < end and hex_value(at(buf, stop)) >= 0:
        stop += 1
    return stop + 1 if i < stop < end and at(buf, stop) == ch.SPACE else -1


@inlined
def take_symbol(buf: Bytes, i: int, end: int) -> Any:
    """Return the end of a line that ends with a closing bracket and has no colon and blank, else -1."""
    if i >= end or at(buf, end - 1) != ch.PAREN_CLOSE:
        return -1
    while i < end and not (at(buf, i) == ch.COLON and i + 1 < end and at(buf, i + 1) == ch.SPACE):
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
    same = state[st.FORM] == state[st.TRYING] and stop > i and has(buf, stop, end, b": ")
    return i if same and is_assignment(buf, stop + 2, end) else -1


@inlined
def unless_empty(i: int, stop: int) -> Any:
    """Return where something ends, -1 if nothing is there."""
    return stop if stop > i else -1


@inlined
def take_text(buf: Bytes, i: int, end: int, token: int, state: Words) -> Any:
    """Read what a token of a pattern that is no column stands for; returns where it ends, or -1 if it is not there."""
    stop = i
    if token == ch.LETTER_Q:
        stop = take_task(buf, i, end, state)
    elif token == ch.LETTER_K:
        stop = take_comment(buf, i, end)
    elif token == ch.LETTER_N:
        stop = unless_empty(i, decimal(buf, i, end)[1])
    elif token == ch.LETTER_L:
        state[st.HERE_LOST], stop = decimal(buf, i, end)
        stop = unless_empty(i, stop)
    elif token == ch.LETTER_W:
        stop = unless_empty(i, skip_word(buf, i, end))
    elif token == ch.LETTER_I:
        stop = unless_empty(i, skip_name(buf, i, end))
    elif token == ch.LETTER_X:
        stop = take_hex(buf, i, end)
    elif token == ch.LETTER_S:
        stop = take_symbol(buf, i, end)
    elif token == ch.UPPER_M:
        stop = see_event(buf, i, end, state)
    return stop


@inlined
def take(buf: Bytes, i: int, end: int, token: int, state: Words) -> Any:
    """Read what a token of a pattern stands for; returns where it ends, or -1 if it is not there."""
    if token == ch.LETTER_P:
        stop = take_pid(buf, i, end, state)
    elif token == ch.LETTER_C:
        state[st.HERE_CPU], stop = decimal(buf, i, end)
        stop = unless_empty(i, stop)
    elif token == ch.LETTER_G:
        stop = take_group(buf, i, end)
    elif token == ch.UPPER_T:
        stop = flags_and_clock(buf, i, end, state)
    elif token == ch.LETTER_T:
        stop = clock(buf, i, end, state)
    elif token == ch.LETTER_M:
        stop = clock(buf, i, end, state)
        state[st.HERE_TIME] //= 1000
    elif token == ch.LETTER_D:
        stop = take_duration(buf, i, end)
    elif token == ch.LETTER_F:
        stop = unless_empty(i, skip_dark(buf, i, end))
        if state[st.COLUMNS_SEEN] == 0:
            state[st.COLUMNS_SEEN] = stop - i
    else:
        stop = take_text(buf, i, end, token, state)
    return stop


@compiled
def follow(buf: Bytes, i: int, end: int, patterns: Words, k: int, state: Words) -> Any:
    """Follow a pattern from its place k, as far as its end or a task's name; returns where that is, or -1."""
    token = at(patterns, k)
    while token != forms.STOP and token != ch.TILDE:  # noqa: PLR1714 (compiled: no tuple)
        if token >= ch.LITERAL:
            if i >= end or at(buf, i) + ch.LITERAL != token:
                return -1
            i += 1
        elif token == ch.UNDERSCORE:
            i = skip_spaces(buf, i, end)
        elif token == ch.SPACE:
            stop = skip_spaces(buf, i, end)
            if stop == i:
                return -1
            i = stop
        else:
            i = take(buf, i, end, token, state)
            if i < 0:
                return -1
        k += 1
        token = at(patterns, k)
    state[st.NEXT] = k
    return i


@inlined
def may_end_task(buf: Bytes, i: int, j: int, end: int, separator: int) -> Any:
    """Return whether a task's name that begins at i may end at j: a pid follows, behind blanks if they separate it."""
    if at(buf, j) != separator or j + 1 >= end:
        return False
    after = at(buf, j + 1)
    if separator != ch.SPACE:
        return is_digit(after)
    pid = is_digit(after) or after == ch.SPACE or after == ch.DASH  # noqa: PLR1714 (compiled: no tuple)
    return pid and (j == i or at(buf, j - 1) != ch.SPACE)


@compiled
def match(buf: Bytes, start: int, end: int, patterns: Words, row: int, state: Words) -> Any:
    """Match a line to a row of the table; returns where its pattern ends, or -1.

    A name may hold what looks like the columns behind it, so it ends where all the rest of the pattern fits: at the
    place that the tools leave for names, if it fits there.
    """
    state[st.TRYING] = row
    state[st.HERE_CPU], state[st.HERE_PID], state[st.HERE_TIME] = 0, -1, state[st.LAST_TIME]
    state[st.HERE_TASK], state[st.HERE_TASK_END] = start, start
    i, k = start, at(patterns, 2 + forms.ROW_WORDS * row)
    if at(patterns, k) != ch.TILDE:
        i = follow(buf, start, end, patterns, k, state)
        k = state[st.NEXT]
        if i < 0 or at(patterns, k) == forms.STOP:
            return i
    k += 1
    separator = at(patterns, k) & 0xFF
    j, stop = i + st.NATIVE, -1
    if j < end and at(buf, j) == separator:
        stop = follow(buf, j, end, patterns, k, state)
    if stop < 0:
        j, last = i, min(end, i + st.WIDEST)
        while j < last:
            if may_end_task(buf, i, j, end, separator):
                stop = follow(buf, j, end, patterns, k, state)
                if stop >= 0:
                    break
            j += 1
    state[st.HERE_TASK], state[st.HERE_TASK_END] = skip_spaces(buf, i, j), back_over_spaces(buf, i, j)
    return stop


@compiled
def find_form(buf: Bytes, start: int, end: int, patterns: Words, state: Words) -> Any:
    """Find the row of the table that a line matches, that of the event before first; returns where its pattern ends.

    ``state[TRYING]`` is the row; -1 if there is none.
    """
    stop = match(buf, start, end, patterns, state[st.FORM], state)
    row = 0
    while stop < 0 and row < at(patterns, 0):
        if row != state[st.FORM]:
            stop = match(buf, start, end, patterns, row, state)
        row += 1
    return stop


@inlined
def skip_prefix(buf: Bytes, start: int, end: int, patterns: Words, state: Words) -> Any:
    """Return where a line begins behind what mail and logs put before it: quotes, stamps, the kernel's name."""
    first, row = at(patterns, 0), i64(0)
    while start < end and row < at(patterns, 1):
        c = at(buf, start)
        if is_blank(c) or 97 <= c < ch.LETTER_K or ch.LETTER_K < c <= 122 or c == ch.HASH:
            break
        stop = match(buf, start, end, patterns, first + row, state)
        row += 1
        if stop >= 0:
            start = stop + 1 if stop < end and at(buf, stop) == ch.SPACE else stop
            row = i64(0)
    return start
