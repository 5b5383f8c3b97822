"""Write an explanation as plain text: nothing of a report can become a terminal's command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from gfpmodel.explain.otherwise import FAILS
from gfpmodel.gfp.releases import GRADES

MOST_ALIKE = 3  #: lines that differ in numbers alone and are shown in a row
REMEMBERED = 256  #: explanations that a later one may be equal to
_NAMES = {True: "yes", False: "no"}
REST = (("missing", "missing"), ("remarks", "note"), ("unknown", "not known"))


def plain(text: str) -> str:
    """Return a text without control characters: each becomes an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def parts(one: dict[str, Any]) -> Iterator[tuple[str, str, list[str], str]]:
    """Yield the three parts of an explanation: its key, the sentence that answers it, its lines, a closing sentence."""
    said = one.get("summary", {})
    yield "asked", said.get("asked", ""), list(asked(one["asked"])), ""
    why = said.get("why", "")
    lines = [line for line in one["why"] if f"{line[:1].upper()}{line[1:]}." != why]  # not said again
    yield "why", why, [*folded(lines), *([f"model: {one['model']}"] if one.get("model") else [])], ""
    yield "otherwise", said.get("otherwise", ""), [*changing(one["otherwise"])], said.get("so", "")


def listed(names: Iterable[str], last: str = "and") -> str:
    """Return names as a list in words, each once."""
    found = list(dict.fromkeys(names))
    return f" {last} ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))


def folded(lines: Sequence[str]) -> Iterator[str]:
    """Yield lines, of many in a row that differ in numbers alone the first ones, and how many more there are."""
    for _, group in groupby(lines, lambda line: re.sub(r"\d+", "0", line)):
        same = list(group)
        shown = same if len(same) <= MOST_ALIKE + 1 else same[:MOST_ALIKE]
        yield from shown
        if len(shown) < len(same):
            first, last = (line.partition(":")[0] for line in (same[MOST_ALIKE], same[-1]))
            yield f"{len(same) - MOST_ALIKE} more like these, {first} to {last}; --json has each"


def changing(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines of other requests that change something, and in one which of them change nothing."""
    idle = [line.partition(f": {FAILS}")[0].partition(", ")[0] for line in lines if f": {FAILS}" in line]
    yield from (line for line in lines if f": {FAILS}" not in line)
    if idle:
        yield f"{', '.join(idle)}: {FAILS}"


def asked(facts: dict[str, Any]) -> Iterator[str]:
    """Yield what was asked, a line for each fact that is known; of a mask that is printed as it is read, one line."""
    if facts.get("agrees") and facts.get("printed") == facts.get("names"):
        facts = {key: value for key, value in facts.items() if key not in ("printed", "names", "agrees")}
        facts["mask"] = f"{facts['mask']}, as its names say"
    for name, value in facts.items():
        if name == "may":
            yield from (f"{question}: {answer}" for question, answer in value.items())
        elif isinstance(value, bool):
            yield f"{name}: {_NAMES[value]}"
        elif name == "grade" and value:
            yield f"{name} of the table: {value} ({GRADES[value]})"
        elif value is not None and name != "zone":  # which is in the answers of "may", with those below it
            yield f"{name}: {value}"


def lines_of(one: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of one explanation."""
    yield f"line {one['line']}: {one['kind'].replace('_', ' ')}, kernel {one['release'] or 'not named'}"
    for key, sentence, lines, closing in parts(one):
        yield from (f"  {key:<10} {line}" for line in (sentence, *lines, closing) if line)
    for key, title in REST:
        yield from (f"  {title:<10} {line}" for line in one[key])


def render(one: dict[str, Any]) -> str:
    """Return one explanation as text."""
    return "\n".join(plain(line) for line in lines_of(one))


def texts(explained: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield explanations as text; those in a row that are equal to an earlier one are one line, with their count."""
    first: dict[str, int] = {}
    lines: list[int] = []  #: of the reports in a row that are equal to the one of the line ``same``
    same = 0
    for one in explained:
        text = render(one)
        body = text.partition(":")[2]
        if lines and first.get(body) != same:
            yield as_before(lines, same)
            lines = []
        if body in first:
            same = first[body]
            lines.append(one["line"])
            continue
        if len(first) == REMEMBERED:
            del first[next(iter(first))]
        first[body] = one["line"]
        yield text
    if lines:
        yield as_before(lines, same)


def as_before(lines: Sequence[int], same: int) -> str:
    """Return that reports are equal to an earlier one, in words."""
    if len(lines) == 1:
        return f"line {lines[0]}: as line {same}"
    return f"lines {lines[0]} to {lines[-1]}: {len(lines)} reports, each as line {same}"
