"""What a kernel printed, explained in three parts, as a picture in which nothing of the text is markup."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.explain import LOOKED_FOR, render, reports
from gfpmodel.explain.answer import Explained, explain_reports
from gfpmodel.explain.text import parts, plain
from gfpmodel.show.pictures import Picture

PARTS = ("What was asked", "Why it failed or was reported", "What would have happened otherwise")
REST = "What it does not say"
LONGEST, MOST = 1 << 20, 20  #: characters of a paste, and reports that are shown
IN_A_PAGE, IN_A_CHAPTER = ("h2", "h3"), ('p class="gfp-title"', 'p class="gfp-part"')


def first_explained(text: str) -> tuple[list[Explained], int]:
    """Return the first `MOST` reports of a pasted text, explained, and how many it has.

    Raises InputError for a text in which no report is found, or that is too long for a page.
    """
    if len(text) > LONGEST:
        command = "python -m gfpmodel explain FILE"
        raise InputError(f"{len(text)} characters; expected at most {LONGEST}: `{command}` reads logs of any length")
    found = sorted(reports([text]), key=lambda one: one.line)
    if not found:
        raise InputError(f"no report found; looked for: {', '.join(LOOKED_FOR)}")
    return list(explain_reports(found[:MOST])), len(found)


def explanation(one: dict[str, Any], headings: tuple[str, str] = IN_A_CHAPTER) -> Picture:
    """Return the picture of one explanation: its three parts, and what is missing or not known.

    Arguments: the explanation, as ``explain`` gives it; the elements of its title and of its parts' headings.
    """
    title = f"Line {one['line']}: {one['kind'].replace('_', ' ')}, kernel {one['release'] or 'not named'}"
    lacks = [*(f"missing: {words}" for words in one["missing"]), *one["remarks"]]
    lacks += [f"not known: {words}" for words in one["unknown"]]
    body = "".join(
        part(name, lines, headings[1], sentence, closing)
        for name, (_, sentence, lines, closing) in zip(PARTS, parts(one), strict=True)
    )
    body += part(REST, lacks, headings[1])
    return Picture(f'<section class="gfp-report">{element(headings[0], title)}{body}</section>', render(one))


def part(name: str, lines: Sequence[str], heading: str, sentence: str = "", closing: str = "") -> str:
    """Return one part: a heading, the sentence that answers it, its lines, and a sentence to close with."""
    said = "".join(element("li", line) for line in lines)
    said = f"<ul>{said}</ul>" if said else "" if sentence else f"<ul>{element('li', 'nothing is known of this')}</ul>"
    begin, end = (element("p", words) if words else "" for words in (sentence, closing))
    return f"{element(heading, name)}{begin}{said}{end}"


def element(tag: str, text: str) -> str:
    """Return an element around a text, whose control characters become escapes."""
    return f"<{tag}>{escape(plain(text))}</{tag.split(maxsplit=1)[0]}>"
