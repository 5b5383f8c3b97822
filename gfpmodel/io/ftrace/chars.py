"""Bytes of a line: what they are, numbers among them, and where the next of a kind stands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm.jit import i64, inlined, u64

Bytes = NDArray[np.uint8]
Words = NDArray[np.int64]

SPACE, TAB, COLON, DASH, OPEN_BRACKET, CLOSE, EQUALS, DOT, HASH, SLASH = 32, 9, 58, 45, 91, 93, 61, 46, 35, 47
PAREN_OPEN, PAREN_CLOSE, ZERO, NINE, LOWER_X, LESS, RETURN, COMMA, STAR, BAR = 40, 41, 48, 57, 120, 60, 13, 44, 42, 124
UPPER_T, UNDERSCORE, TILDE, LITERAL = 84, 95, 126, 256
LETTER_C, LETTER_D, LETTER_F, LETTER_G, LETTER_K, LETTER_L, LETTER_M, LETTER_N = 99, 100, 102, 103, 107, 108, 109, 110
LETTER_I = 105
LETTER_P, LETTER_Q, LETTER_S, LETTER_T, LETTER_U, LETTER_W, LETTER_X, UPPER_M = 112, 113, 115, 116, 117, 119, 120, 77
HUGE = 1 << 58  # numbers stop growing here


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
def skip_name(buf: Bytes, i: int, end: int) -> Any:
    """Return where a program's name ends: at a blank, a bracket or a colon."""
    while i < end:
        c = at(buf, i)
        if is_blank(c) or c == OPEN_BRACKET or c == CLOSE or c == COLON:  # noqa: PLR1714, SIM109 (compiled)
            break
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
