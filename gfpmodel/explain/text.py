"""Write an explanation as plain text: nothing of a report can become a terminal's command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TITLES = (
    ("why", "why"),
    ("otherwise", "otherwise"),
    ("missing", "missing"),
    ("remarks", "note"),
    ("unknown", "not known"),
)


def plain(text: str) -> str:
    """Return a text without control characters: each becomes an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def lines_of(one: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of one explanation."""
    yield f"line {one['line']}: {one['kind']}, kernel {one['release'] or 'not named'}"
    asked = one["asked"]
    for name, value in asked.items():
        if name == "may":
            yield from (f"  asked      {question}: {answer}" for question, answer in value.items())
        elif value is not None:
            yield f"  asked      {name} {value}"
    if one.get("model"):
        yield f"  model      {one['model']}"
    for key, title in TITLES:
        yield from (f"  {title:<10} {line}" for line in one[key])


def render(one: dict[str, Any]) -> str:
    """Return one explanation as text."""
    return "\n".join(plain(line) for line in lines_of(one))
