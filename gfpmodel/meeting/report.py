"""What a kernel printed, pasted into the page: its explanation as HTML in which nothing of the text is markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.explain import LOOKED_FOR, explain, render
from gfpmodel.explain.text import plain

LONGEST = 1 << 20  #: characters of a paste
MOST = 20  #: reports that are shown
PARTS = ("What was asked", "Why it failed or was reported", "What would have happened otherwise")


def explained(text: str) -> dict[str, str]:
    """Return what the page shows of a pasted text: the outcome in a line, HTML, and plain text.

    Raises InputError for a text in which no report is found, or that is too long for a page.
    """
    if len(text) > LONGEST:
        command = "python -m gfpmodel explain FILE"
        raise InputError(f"{len(text)} characters; expected at most {LONGEST}: `{command}` reads logs of any length")
    found = explain(text.replace("\r\n", "\n"))
    if not found:
        raise InputError(f"no report found; looked for: {', '.join(LOOKED_FOR)}")
    shown = found[:MOST]
    rest = f"; the first {MOST} are shown" if len(found) > MOST else ""
    return {
        "outcome": f"{len(found)} report{'s' * (len(found) > 1)} found{rest}",
        "html": "".join(map(report_html, shown)),
        "text": "\n\n".join(map(render, shown)),
    }


def report_html(one: dict[str, Any]) -> str:
    """Return one explanation: its three parts, and what is missing or not known."""
    title = f"Line {one['line']}: {one['kind'].replace('_', ' ')}, kernel {one['release'] or 'not named'}"
    model = [one["model"]] if one.get("model") else []
    parts = zip(PARTS, (list(asked(one["asked"])), one["why"] + model, one["otherwise"]), strict=True)
    lacks = [*(f"missing: {words}" for words in one["missing"]), *one["remarks"]]
    lacks += [f"not known: {words}" for words in one["unknown"]]
    body = "".join(part(name, lines) for name, lines in (*parts, ("What it does not say", lacks)))
    return f"<section><h2>{safe(title)}</h2>{body}</section>"


def asked(facts: dict[str, Any]) -> Iterator[str]:
    """Yield what was asked, a line for each fact that is known."""
    for name, value in facts.items():
        if name == "may":
            yield from (f"{question}: {answer}" for question, answer in value.items())
        elif value is not None:
            yield f"{name}: {value}"


def part(name: str, lines: Sequence[str]) -> str:
    """Return one part: a heading and its lines."""
    said = "".join(f"<li>{safe(line)}</li>" for line in lines) or "<li>nothing is known of this</li>"
    return f"<h3>{safe(name)}</h3><ul>{said}</ul>"


def safe(text: str) -> str:
    """Return a text for HTML, with control characters and what turns the direction of writing as escapes."""
    return escape(plain(text))
