"""The fields behind an event: keys and values into a row of the table."""

from __future__ import annotations

from typing import Any

from gfpmodel.io.ftrace import chars as ch
from gfpmodel.io.ftrace import state as st
from gfpmodel.io.ftrace.chars import Bytes, at, has, is_digit, number, skip_past
from gfpmodel.io.ftrace.state import Scan, intern
from gfpmodel.mm.jit import compiled, inlined, u64


@inlined
def field_of(buf: Bytes, i: int, end: int) -> Any:
    """Return which field a key is."""
    length = end - i
    found = st.F_NONE
    if length == 3 and has(buf, i, end, b"pfn"):
        found = st.F_PFN
    elif (length == 5 and has(buf, i, end, b"order")) or (length == 11 and has(buf, i, end, b"alloc_order")):
        found = st.F_ORDER
    elif length == 11 and has(buf, i, end, b"migratetype"):
        found = st.F_TYPE
    elif length == 9 and has(buf, i, end, b"gfp_flags"):
        found = st.F_GFP
    elif length == 13 and has(buf, i, end, b"percpu_refill"):
        found = st.F_REFILL
    elif length == 17 and has(buf, i, end, b"alloc_migratetype"):
        found = st.F_TYPE
    elif length == 14 and has(buf, i, end, b"fallback_order"):
        found = st.F_FALLBACK
    return found


@inlined
def is_assignment(buf: Bytes, i: int, end: int) -> Any:
    """Return whether the word at a place is ``key=value``: in a line that was spliced out of two it is not."""
    while i < end and at(buf, i) != ch.SPACE:
        if at(buf, i) == ch.EQUALS:
            return True
        i += 1
    return False


@inlined
def column_of(field: int) -> Any:
    """Return the column that a field with a number goes to."""
    if field == st.F_PFN:
        return st.PFN
    if field == st.F_ORDER:
        return st.ORDER
    return st.MIGRATETYPE if field == st.F_TYPE else st.EXTRA


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
    if event == st.ALLOC:
        return 0b1111
    if event == st.FREE:
        return 0b11
    if event == st.FREE_BATCHED:
        return 0b1
    if event == st.EXTFRAG:
        return 0b10111
    return 0b111


@inlined
def is_stop(c: int) -> Any:
    """Return whether a byte ends a value: a blank, or what perf trace puts behind it."""
    return c <= ch.COMMA and (c == ch.SPACE or c == ch.COMMA or c == ch.PAREN_CLOSE or c == ch.TAB)  # noqa: PLR1714 (compiled)


@inlined
def back_over_stops(buf: Bytes, start: int, i: int) -> Any:
    """Return where a text ends before the comma or bracket that perf trace puts behind it."""
    while i > start and (at(buf, i - 1) == ch.COMMA or at(buf, i - 1) == ch.PAREN_CLOSE):
        i -= 1
    return i


@inlined
def find_key(buf: Bytes, i: int, end: int) -> Any:
    """Return where the next key begins, past what is no field: ``(null)``, ``(decimal)``, ``*/``, commas."""
    while i < end and at(buf, i) <= ch.COMMA:
        c = at(buf, i)
        if c == ch.PAREN_OPEN:
            i = skip_past(buf, i, end, ch.PAREN_CLOSE)
        elif is_stop(c):
            i += 1
        elif c == ch.STAR and i + 1 < end and at(buf, i + 1) == ch.SLASH:
            i += 2
        else:
            break
    return i


@inlined
def find_value(buf: Bytes, i: int, end: int) -> Any:
    """Return where a key ends and where its value begins, behind ``=`` or ``:`` and a blank; -1 if there is none."""
    while i < end and (at(buf, i) > ch.EQUALS or is_digit(at(buf, i))):
        i += 1
    if i < end and at(buf, i) == ch.EQUALS:
        return i, i + 1
    if i + 1 < end and at(buf, i) == ch.COLON and at(buf, i + 1) == ch.SPACE:
        return i, i + 2
    return i, -1


@compiled
def scan_fields(s: Scan, i: int, end: int, event: int) -> Any:
    """Read fields of an event into its row; returns the reason why they cannot be read or are not all, or -1."""
    row, found = s.state[st.ROWS], s.state[st.FOUND]
    while True:
        i = find_key(s.buf, i, end)
        if i >= end:
            break
        key_end, value = find_value(s.buf, i, end)
        if value < 0:
            return st.NO_FIELD + event
        field = field_of(s.buf, i, key_end)
        i = value
        if field == st.F_NONE or field == st.F_GFP:  # noqa: PLR1714 (compiled: no tuple)
            while i < end and at(s.buf, i) > ch.SPACE:
                i += 1
            stop = back_over_stops(s.buf, value, i)
            if field == st.F_GFP and stop > value:
                s.table[u64(st.GFP), u64(row)] = intern(s, value, stop, st.MASK)
                found |= 1 << st.F_GFP
        else:
            result, i = number(s.buf, value, end)
            if i == value or i - value > st.DIGITS or (i < end and not is_stop(at(s.buf, i))):
                return st.BAD_NUMBER + event * 8 + field
            found |= 1 << field
            s.table[u64(column_of(field)), u64(row)] = result
    s.state[st.FOUND] = found
    absent = needed_fields(event) & ~found
    return st.MISSING + event * 8 + lowest_bit(absent) if absent else -1
