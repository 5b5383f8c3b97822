"""Write an explanation as plain text: nothing of a report can become a terminal's command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gfpmodel.gfp.releases import GRADES

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
    yield "why", said.get("why", ""), one["why"] + ([f"model: {one['model']}"] if one.get("model") else []), ""
    yield "otherwise", said.get("otherwise", ""), one["otherwise"], said.get("so", "")


def asked(facts: dict[str, Any]) -> Iterator[str]:
    """Yield what was asked, a line for each fact that is known."""
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
