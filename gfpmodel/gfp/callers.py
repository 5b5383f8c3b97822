"""Tell code that passes a gfp flag on from code that only tests or clears it."""

from __future__ import annotations

import re
from collections.abc import Iterator

_KEYWORD_BEFORE = re.compile(r"\b(?:if|while|switch|return|for)\s*\Z")
_NAME_BEFORE = re.compile(r"[\w\])]\s*\Z")
_CAST = re.compile(r"\(\s*__force\s+\w+\s*\)|\(\s*gfp_t\s*\)")
_CASE = re.compile(r"\bcase\s*\Z")
_TESTED = re.compile(r"(?<!&)&(?!&)|[=!]=|~")


def passes(word: re.Pattern[str], lines: list[tuple[bool, str]]) -> bool:
    """Return whether an added line passes on what ``word`` matches: hands it to a function or puts it into a mask.

    Arguments: the flag (or names that stand for it); a hunk's code as (is added, text) lines, no comments and strings.
    ``gfp & FLAG``, ``mask == FLAG`` and ``gfp &= ~FLAG`` are tests or clear it; ``f(FLAG)``, ``GFP_NOWAIT | FLAG``,
    ``gfp |= FLAG`` and an initialiser pass it on.
    """
    text = _CAST.sub(lambda cast: " " * len(cast[0]), "\n".join(code for _, code in lines))
    return any(_is_passed(text, *match.span()) for match in word.finditer(text) if _is_added(lines, match.start()))


def _is_added(lines: list[tuple[bool, str]], at: int) -> bool:
    """Return whether a position of the joined text lies on an added line."""
    for added, code in lines:
        if at <= len(code):
            return added
        at -= len(code) + 1
    return False


def _is_passed(text: str, start: int, end: int) -> bool:
    """Judge one occurrence, from the innermost parentheses outward."""
    while True:
        left, right = _operand(text, start, end)
        before, after = text[left:start], text[end:right]
        if (
            _CASE.search(before)
            or _TESTED.search(before)
            or _TESTED.search(after)
            or text[:left].rstrip().endswith("&=")
        ):
            return False
        opened, closed = _parentheses(text, start, end)
        if opened < 0 or (_NAME_BEFORE.search(text[:opened]) and not _KEYWORD_BEFORE.search(text[:opened])):
            return True  # an initialiser, an assignment, or the argument of a call
        if _KEYWORD_BEFORE.search(text[:opened]) and not text[:opened].rstrip().endswith("return"):
            return False  # if (FLAG)
        start, end = opened, closed + 1


def _scan(text: str, at: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield positions and depths going one way from a place; depth -1 is outside the innermost parentheses."""
    opening, closing = ("(", ")") if step > 0 else (")", "(")
    depth = 0
    while 0 <= at < len(text):
        depth += (text[at] == opening) - (text[at] == closing)
        yield at, depth
        if depth < 0:
            return
        at += step


def _parentheses(text: str, start: int, end: int) -> tuple[int, int]:
    """Return where the innermost parentheses around a span open and close, or -1 where there are none."""
    opened = next((at for at, depth in _scan(text, start - 1, -1) if depth < 0), -1)
    closed = next((at for at, depth in _scan(text, end, 1) if depth < 0), -1)
    return (opened, closed) if opened >= 0 and closed >= 0 else (-1, -1)


def _operand(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the span of the operand of ``|`` that a span belongs to, within its parentheses and statement.

    ``&``, ``~`` and comparisons inside it act on the span; what lies beyond a ``|``, a comma or an assignment does not,
    but a comparison of the whole or-expression does.
    """
    ends = (at + 1 for at, depth in _scan(text, start - 1, -1) if depth < 0 or (depth == 0 and text[at] in ",;{}|?:="))
    left = next(ends, 0)
    right = next((at for at, depth in _scan(text, end, 1) if depth < 0 or (depth == 0 and text[at] in ",;{}|?:")), None)
    right = len(text) if right is None else right
    if left >= 2 and text[left - 2 : left] in ("==", "!="):
        left -= 2
    stop = re.search(r"&&|\|\|", text[end:right])
    if stop:
        right = end + stop.start()
    start_of = [match.end() for match in re.finditer(r"&&", text[left:start])]
    return (left + start_of[-1] if start_of else left), right
