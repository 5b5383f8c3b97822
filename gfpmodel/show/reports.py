"""What a kernel printed, explained in three parts, as a picture in which nothing of the text is markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.explain import LOOKED_FOR, render, reports
from gfpmodel.explain.answer import Explained, explain_reports
from gfpmodel.explain.text import parts, plain
from gfpmodel.show.pictures import Picture

PARTS = ("What was asked", "Why it failed or was reported", "What would have happened otherwise")
NOTHING, MISSING, REST = ("nothing is known of this",), "What is missing from it", "What it does not say"
FACTS = "The facts behind these sentences"
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


def explanation(one: dict[str, Any], headings: tuple[str, str] = IN_A_CHAPTER, name: str = "") -> Picture:
    """Return the picture of one explanation: the answers of its three parts, what is missing, and folded up the facts.

    Arguments: the explanation, as ``explain`` gives it; the elements of its title and of its parts' headings; how the
    report is called, where its line says nothing.
    """
    name = name or f"Line {one['line']}"
    title = f"{name}: {one['kind'].replace('_', ' ')}, kernel {one['release'] or 'not named'}"
    told = list(zip(PARTS, parts(one), strict=True))
    body = "".join(
        part(name, () if sentence else lines or NOTHING, headings[1], sentence, closing)
        for name, (_, sentence, lines, closing) in told
    )
    body += part(MISSING, one["missing"], headings[1]) if one["missing"] else ""
    facts = [(name, lines) for name, (_, sentence, lines, _) in told if sentence and lines]
    rest = [*one["remarks"], *(f"not known: {words}" for words in one["unknown"])]
    facts += [(REST, rest)] if rest else []
    inside = "".join(part(name, lines, headings[1]) for name, lines in facts)
    body += f"<details><summary>{FACTS}</summary>{inside}</details>" if inside else ""
    return Picture(f'<section class="gfp-report">{element(headings[0], title)}{body}</section>', render(one))


def budget(zones: Mapping[str, dict[str, Any]], title: str = "") -> Picture:
    """Draw what requests may use of a zone's free pages, and below it how many must stay free for each of them.

    The frame is a fifth wider than the most that must stay, so that a small gap is seen; a longer bar is torn off.
    Arguments: the zone's sum by request, as ``explain`` gives it; the finding, if there is more than one request.
    Raises ValueError for requests that may use other pages.
    """
    sums = list(zones.values())
    most = max(6 * max(one["keep"] + one["reserve"] for one in sums) // 5, 1)
    (usable,) = {one["free"] - one["cma"] - one["highatomic"] for one in sums}
    free, at = sums[0]["free"], f'<b style="left: {100 * min(usable, most) / most:.4g}%"></b>'
    kept_back = f", the other {free - usable:,} are CMA's" if free > usable else ""
    rows = [(FREE, [("first", usable), ("middle", free - usable)], f"{usable:,} of {free:,} free pages{kept_back}")]
    for name, one in zones.items():
        need = one["keep"] + one["reserve"]
        short = "gets a page" if one["test"] == "none" else f"{one['short']:,} short"
        rows.append(
            (f"must stay free for {name}", [("last", need)], f"{need:,} of the min mark's {one['mark']:,}: {short}")
        )
    title = title or next(f"{name} {finding(usable, one)}" for name, one in zones.items())
    body = "".join(
        f'<dt>{escape(name)}</dt><dd><span class="bar" role="img" aria-label="{escape(f"{name}: {said}")}">'
        f"{cut(pieces, most)}{at}</span><span>{escape(said)}</span></dd>"
        for name, pieces, said in rows
    )
    key = '<i class="first"></i>free for this request <i class="middle"></i>CMA\'s <i class="last"></i>must stay free'
    head = f'<p class="gfp-finding">{escape(title)}</p><p class="gfp-shares-key">{key}<b></b>{KEY_OF_LINE}</p>'
    end = f'<p class="gfp-key">The frame is {most:,} pages wide. A bar with a torn end is longer than the frame.</p>'
    text = "\n".join([title, *(f"  {name}: {said}" for name, _, said in rows)])
    return Picture(f'{head}<dl class="gfp-shares">{body}</dl>{end}', text)


FREE = "free for this request"
TORN = "polygon(0 0, 100% 0, calc(100% - 14px) 33%, 100% 67%, calc(100% - 14px) 100%, 0 100%)"
KEY_OF_LINE = "the end of what is free; a request passes if its bar ends left of it"


def finding(usable: int, one: Mapping[str, Any]) -> str:
    """Say how a request ends that may use so many free pages of a zone."""
    need = one["keep"] + one["reserve"]
    if one["test"] != "none":
        return f"gets no page: {usable:,} pages are free for it, and it needs more than {need:,}"
    return f"gets a page: {usable:,} pages are free for it, more than the {need:,} that must stay"


def cut(pieces: Sequence[tuple[str, int]], most: int) -> str:
    """Draw the pieces of a bar, of which so many pages are shown; a piece that does not fit has a torn end."""
    drawn, room = "", most
    for kind, pages in pieces:
        shown = min(pages, room)
        torn = f"; clip-path: {TORN}" if pages > room else ""
        room -= shown
        drawn += f'<i class="{kind}" style="flex: {shown:g}{torn}"></i>' * (shown > 0)
    return drawn + f'<i style="flex: {room:g}"></i>' * (room > 0)


def part(name: str, lines: Sequence[str], heading: str, *sentences: str) -> str:
    """Return one part: a heading, the sentences that answer it, a paragraph each, and its lines."""
    said = "".join(element("p", sentence) for sentence in sentences if sentence)
    listed = "".join(element("li", line) for line in lines)
    return f"{element(heading, name)}{said}{f'<ul>{listed}</ul>' if listed else ''}"


def element(tag: str, text: str) -> str:
    """Return an element around a text, whose control characters become escapes."""
    return f"<{tag}>{escape(plain(text))}</{tag.split(maxsplit=1)[0]}>"
