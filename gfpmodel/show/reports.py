"""What a kernel printed, explained in three parts, as a picture in which nothing of the text is markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from gfpmodel.explain import render
from gfpmodel.explain.text import plain
from gfpmodel.show.pictures import Picture

PARTS = ("What was asked", "Why it failed or was reported", "What would have happened otherwise")
REST = "What it does not say"
IN_A_PAGE, IN_A_CHAPTER = ("h2", "h3"), ('p class="gfp-title"', 'p class="gfp-part"')
_NAMES = {True: "yes", False: "no"}


def explanation(one: dict[str, Any], headings: tuple[str, str] = IN_A_CHAPTER) -> Picture:
    """Return the picture of one explanation: its three parts, and what is missing or not known.

    Arguments: the explanation, as ``explain`` gives it; the elements of its title and of its parts' headings.
    """
    title = f"Line {one['line']}: {one['kind'].replace('_', ' ')}, kernel {one['release'] or 'not named'}"
    model = [one["model"]] if one.get("model") else []
    parts = zip(PARTS, (list(asked(one["asked"])), one["why"] + model, one["otherwise"]), strict=True)
    lacks = [*(f"missing: {words}" for words in one["missing"]), *one["remarks"]]
    lacks += [f"not known: {words}" for words in one["unknown"]]
    body = "".join(part(name, lines, headings[1]) for name, lines in (*parts, (REST, lacks)))
    return Picture(f'<section class="gfp-report">{element(headings[0], title)}{body}</section>', render(one))


def asked(facts: dict[str, Any]) -> Iterator[str]:
    """Yield what was asked, a line for each fact that is known."""
    for name, value in facts.items():
        if name == "may":
            yield from (f"{question}: {answer}" for question, answer in value.items())
        elif isinstance(value, bool):
            yield f"{name}: {_NAMES[value]}"
        elif value is not None:
            yield f"{name}: {value}"


def part(name: str, lines: Sequence[str], heading: str) -> str:
    """Return one part: a heading and its lines."""
    said = "".join(element("li", line) for line in lines) or element("li", "nothing is known of this")
    return f"{element(heading, name)}<ul>{said}</ul>"


def element(tag: str, text: str) -> str:
    """Return an element around a text, whose control characters become escapes."""
    return f"<{tag}>{escape(plain(text))}</{tag.split(maxsplit=1)[0]}>"
