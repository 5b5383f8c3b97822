"""Tell code that passes a gfp flag on from code that only tests or clears it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from unidiff.patch import Line

_WORDS = re.compile(r"[A-Za-z_]\w*")
_FLAG = re.compile(r"_*GFP_\w+")
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


def logical_operands(rows: list[tuple[Line, str]]) -> Iterator[tuple[Line, str, str]]:
    """Yield (line, flag, operator) for each flag that is all there is on one side of ``&&`` or ``||``.

    Arguments: a hunk's code after the patch, no comments and strings.  ``a & FLAG && b`` is a test and stays silent; of
    two flags on one side the first counts; the flag or the operator must stand on an added line.
    """
    text = _CAST.sub(lambda cast: " " * len(cast[0]), "\n".join(code for _, code in rows))
    lines = [(line.is_added, code) for line, code in rows]
    for operator in re.finditer(r"&&|\|\|", text):
        sides = (_side(text, operator.start() - 1, -1), _side(text, operator.end(), 1))
        for start, end in sides:
            words = _WORDS.findall(text[start:end])
            if not words or not all(map(_FLAG.fullmatch, words)) or not re.fullmatch(r"[\w\s()|~]+", text[start:end]):
                continue
            at = start + text[start:end].index(words[0])
            if _is_added(lines, at) or _is_added(lines, operator.start()):
                yield _line_at(rows, at), words[0], operator[0]


def _side(text: str, at: int, step: int) -> tuple[int, int]:
    """Return the span of one operand of ``&&`` or ``||``, going one way from the operator."""
    end = at
    for place, depth in _scan(text, at, step):
        if depth < 0 or (depth == 0 and text[place] in ",;{}?:") or text[place : place + 2] in ("&&", "||"):
            break
        if depth == 0 and step < 0 and text[place - 1 : place + 1] in ("&&", "||"):
            break
        if depth == 0 and text[place] == "=" and not {text[place - 1], text[place + 1 : place + 2]} & set("=!<>"):
            break
        end = place
    low, high = sorted((at, end))
    before = re.match(r"\s*(?:return|if|while)\b", text[low : high + 1])
    return (low + before.end() if before else low), high + 1


def _line_at(rows: list[tuple[Line, str]], at: int) -> Line:
    """Return the line at a position of the joined text."""
    for line, code in rows:
        if at <= len(code):
            return line
        at -= len(code) + 1
    return rows[-1][0]


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
