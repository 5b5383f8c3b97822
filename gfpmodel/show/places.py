"""What becomes of a request, by the place and the way to ask: a grid of marks, each of which opens what happened.

A mark is a radio button, so that the grid works by keyboard and without scripts; the path of the chosen one is below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from gfpmodel.locking.verdict import Verdict
from gfpmodel.show.matrices import status, unique
from gfpmodel.show.pictures import Picture, table
from gfpmodel.show.stacks import outcome, printed, steps_of

#: A status as a mark and a word; the mark alone tells them apart in grey.
SIGNS = {
    "page": ("●", "page"),
    "NULL": ("○", "NULL"),
    "reported": ("▲", "reported"),
    "deadlock": ("✖", "hangs"),
    "unsafe": ("◆", "unsafe"),
    "moot": ("□", "not asked"),
}
Rows = Mapping[str, Mapping[str, Verdict]]


def summary_picture(rows: Rows, opens: tuple[str, str] | None = None, name: str = "place", title: str = "") -> Picture:
    """Show verdicts as a grid: a line for each place, a column for each way to ask, and the path of the chosen cell.

    Arguments: the verdicts by place and way, every place with the same ways; the place and way on which it opens, the
    first if none is given; the name of the group of buttons, its own in a page; what is to be seen, as the title.
    """
    ways = unique(way for row in rows.values() for way in row)
    first = opens or next((place, way) for place, row in rows.items() for way in row)
    cells = {(place, way): f"{name}-{x}-{y}" for y, place in enumerate(rows) for x, way in enumerate(ways)}
    head = "".join(f'<th scope="col">{escape(way)}</th>' for way in ways)
    body = "".join(
        f'<tr><th scope="row">{escape(place)}</th>'
        + "".join(button(name, cells[place, way], row[way], f"{place}; {way}", first == (place, way)) for way in ways)
        + "</tr>"
        for place, row in rows.items()
    )
    chosen = ",".join(f".gfp-places:has(#{cell}:checked) #{cell}-said" for cell in cells.values())
    said = "".join(panel(cell, rows[place][way], place, way) for (place, way), cell in cells.items())
    facts = table(["", *ways], [(place, *(status(row[way]) for way in ways)) for place, row in rows.items()])
    return Picture(
        f"<style>{chosen} {{ display: block; }}</style>"
        + f'<p class="gfp-finding">{escape(title)}</p>' * bool(title)
        + f'<div class="gfp-places">'
        f"<table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"
        f'<div aria-live="polite">{said}</div></div>',
        f"{title}\n" * bool(title) + facts.text,
    )


def button(name: str, cell: str, found: Verdict, what: str, checked: bool) -> str:
    """Return a cell: a mark that can be chosen."""
    mark, word = SIGNS[status(found)]
    word += f", {found.result}" * (status(found) == "reported")  # a report does not say whether a page came
    label = escape(f"{what}: {word}", quote=True)
    return (
        f'<td><label class="{status(found)}"><input type="radio" name="{name}" id="{cell}" aria-label="{label}"'
        f'{" checked" * checked}><b aria-hidden="true">{mark}</b><span aria-hidden="true">{word}</span></label></td>'
    )


def panel(cell: str, found: Verdict, place: str, way: str) -> str:
    """Return what is said of a cell: its outcome, the path with its locks, and what the kernel prints."""
    steps = "".join(f"<li>{line}</li>" for line in path(found))
    report = printed(found.printed).html if found.printed else ""
    return (
        f'<section id="{cell}-said"><p class="gfp-finding">{escape(place)}; {escape(way)}: {escape(outcome(found))}</p>'
        f"<ol>{steps}</ol>{report}</section>"
    )


def path(found: Verdict) -> Iterator[str]:
    """Yield the steps of a request as HTML: what it does, and in which function."""
    for _, function, does in steps_of(found):
        yield f"{escape(does)} <small>{escape(function)}</small>"
