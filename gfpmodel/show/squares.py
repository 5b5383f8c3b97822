"""Who may ask from where, as a grid to click: places down, ways to ask across, and below it what becomes of a request.

Nothing in it is typed in but the words: every mark is a verdict of ``gfpmodel.locking``.  It needs no script: each
square is a radio button, and the style sheet shows the text that belongs to the one that is pressed.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from html import escape

import ipywidgets as W

from gfpmodel.locking.matrix import Cell, Matrix
from gfpmodel.locking.spoken import LISTS, PLACES, UNSAFE, spoken
from gfpmodel.locking.verdict import Verdict
from gfpmodel.show.matrices import status, unique
from gfpmodel.show.pictures import Picture, style, table
from gfpmodel.show.places import SIGNS
from gfpmodel.show.repeat import python
from gfpmodel.show.stacks import SHORT, printed
from gfpmodel.show.widgets import choice, every_frame, pane

KERNELS = {
    "mainline": "v5.8, no check of lock nesting",
    "PROVE_RAW_LOCK_NESTING": "v5.8 with PROVE_RAW_LOCK_NESTING",
    "PREEMPT_RT 2020": "PREEMPT_RT of 2020 (5.10-rt17)",
    "PREEMPT_RT today": "PREEMPT_RT of v6.18",
}
ORDERS = ("one page", "two pages")
#: The statuses of a verdict, the worst first.
WORST = ("deadlock", "reported", "unsafe", "moot", "NULL", "page")
#: How a request ends.
ENDS = {"page": "gets a page", "NULL": "gets NULL", "freed": "frees the page"}
BEFORE = "nothing can be said of it: the context's own locks were reported before the request"


def told(found: Verdict) -> str:
    """Say what becomes of a request, in a sentence without its subject."""
    if found.before:
        return BEFORE
    locks = f"takes {', '.join(found.locks)}" if found.locks else "takes no lock"
    if found.trylocks == found.locks != []:
        locks = f"only tries {', '.join(found.locks)}"
    end = "never returns, for this CPU waits for itself" if found.deadlock else ENDS.get(found.result, found.result)
    said = [f"{SHORT[r.kind]}{f' on {r.lock.name}' if r.lock else ''}" for r in found.reports]
    silence = "nothing is printed" + f", although {UNSAFE}" * found.unsafe
    return f"{locks}; {end}; {f'the kernel prints {chr(8220)}' + '”, “'.join(said) + '”' if said else silence}"


def square(cells: Iterable[Cell], place: str, splat: bool) -> tuple[str, str, str]:
    """Return a square of the grid: its signs, what they say in words, and the text below the grid, as HTML."""
    found = [(LISTS[c.pcp], c.verdict) for c in cells]
    signs = "".join(f"<span>{SIGNS[s][0]} {SIGNS[s][1]}</span>" for s in unique(status(v) for _, v in found))
    alike = len({told(v) for _, v in found}) == 1
    said = [(", ".join(s for s, _ in found), found[0][1])] if alike else found
    words = ". ".join(f"{capital(state)}: {told(v)}" for state, v in said)
    body = "".join(f"<p><b>{capital(state)}</b>: {escape(told(v))}.</p>{report(v) * splat}" for state, v in said)
    return signs, words, f"<p>{escape(capital(place))}.</p>{body}" if place else body


def report(found: Verdict) -> str:
    """Return the first thing that a kernel prints as HTML, or nothing."""
    return printed(found.reports[:1]).html if found.reports and not found.before else ""


def worst(cells: Iterable[Cell]) -> str:
    """Return the status that stands first in WORST."""
    return min((status(c.verdict) for c in cells), key=WORST.index)


def rows_of(cells: Matrix, together: bool) -> dict[tuple[str, ...], dict[str, list[Cell]]]:
    """Return the cells of a matrix by contexts and proposal; ``together`` gives contexts with equal answers one row."""
    by: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells.cells:
        by.setdefault(cell.context, {}).setdefault(cell.proposal, []).append(cell)
    same: dict[object, list[str]] = {}
    for name, row in by.items():
        key = tuple(status(c.verdict) + told(c.verdict) for squares in row.values() for c in squares)
        same.setdefault(key if together else name, []).append(name)
    return {tuple(names): by[names[0]] for names in same.values()}


def grid(cells: Matrix, title: str, *, together: bool = False, start: tuple[str, str] = ("", "")) -> Picture:
    """Draw the verdicts on one kernel and one order, a row for each context and a column for each proposal.

    Arguments: the verdicts; the finding, as the title; whether contexts with equal answers share a row, which then
    shows no report in full; the context and the proposal of the square that is pressed at first.
    """
    rows = rows_of(cells, together)
    ways = unique(c.proposal for c in cells.cells)
    kernels = unique(f"{c.config} {c.order}" for c in cells.cells)
    name = "g" + sha256("|".join([title, *kernels, *ways, *map(str, rows)]).encode()).hexdigest()[:8]
    texts: dict[str, str] = {}  # by what stands below the grid, the number of the text
    rules: list[str] = []
    body: list[str] = []
    lines: list[list[str]] = []
    for names, row in rows.items():
        place = PLACES[names[0]]
        said = "" if together else f"{place}, "
        line = ["; ".join(PLACES[context] for context in names)]
        body.append(f"<tr>{place_html(names, len(ways) * together)}")
        for way in ways:
            signs, words, below = square(row[way], "" if together else place, not together)
            text = texts.setdefault(f"<p><b>{escape(spoken(way))}</b></p>{below}", str(len(texts)))
            at = f"{name}-{len(rules)}"
            pressed = " checked" * (start == (names[0], way))
            line.append("/".join(unique(status(c.verdict) for c in row[way])))
            label = escape(f"{said}{spoken(way)}: {line[-1]}")
            rules.append(f"#{name}:has(#{at}:checked) .t{text}")
            body.append(
                f'<td class="{worst(row[way])}" data-label="{escape(spoken(way))}"><label title="{escape(words)}">'
                f'<input type="radio" name="{name}" id="{at}" aria-label="{label}"{pressed}>'
                f"{signs}</label></td>"
            )
        body.append("</tr>")
        lines.append(line)
    heads = "".join(f'<th scope="col">{escape(spoken(way)).replace("_", "_<wbr>")}</th>' for way in ways)
    below = "".join(f'<div class="t t{number}">{html}</div>' for html, number in texts.items())
    key = "Two answers in a square: the first with pages on this CPU's list, the second with none. " * (
        len({c.pcp for c in cells.cells}) > 1
    )
    html = (
        f'<div class="gfp-grid" id="{name}"><style>{", ".join(rules)} {{ display: block; }}</style>'
        f'<p class="gfp-finding">{escape(title)}</p>'
        f"<table><thead><tr>{'' if together else '<td></td>'}{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>"
        f'<p class="gfp-key">{key}Press a square to read what happens there.</p>{below}</div>'
    )
    return Picture(html, f"{title}\n{table(['', *map(spoken, ways)], lines).text}", "grid.css")


def place_html(names: Iterable[str], columns: int = 0) -> str:
    """Return the head of a row: contexts in words, each with its short name, over so many columns or in one."""
    words = "; ".join(f"{escape(PLACES[name])} <small>{escape(name)}</small>" for name in names)
    if columns:
        return f'<th scope="rowgroup" colspan="{columns}">{capital(words)}</th></tr><tr>'
    return f'<th scope="row">{capital(words)}</th>'


def capital(words: str) -> str:
    """Return words with a capital in front, but for a name such as ``zone->lock``."""
    return words if words.startswith("zone") else words[:1].upper() + words[1:]


def frame_of(cells: Matrix) -> Picture:
    """Draw the frame of the whole matrix for the one kernel, order and state of the lists of its cells."""
    one = cells.cells[0]
    title = f"{KERNELS[one.config]}: {ORDERS[one.order]}, {LISTS[one.pcp]}"
    return grid(cells, title, together=True)


def matrix_browser(cells: Matrix) -> W.VBox:
    """Return menus over kernels, orders and states of the lists, with the grid of each choice, drawn ahead."""
    configs, pcps = unique(c.config for c in cells.cells), unique(c.pcp for c in cells.cells)
    orders = sorted({c.order for c in cells.cells})
    menus = {
        "kernel": [KERNELS[config] for config in configs],
        "asks for": [ORDERS[order] for order in orders],
        "lists": [LISTS[pcp] for pcp in pcps],
    }
    controls = [choice(title, words) for title, words in menus.items()]

    def frame(config: str, order: int, pcp: str) -> W.HTML:
        call = f'frame_of(matrix(orders=({order},), pcps=("{pcp}",), configs=("{config}",)))'
        line = python(call, matrix="gfpmodel.locking.matrix", frame_of="gfpmodel.show.squares")
        return pane(frame_of(cells.select(config=config, order=order, pcp=pcp)), line)

    return W.VBox(
        [W.HTML(style() + style("grid.css")), *controls, every_frame(controls, [configs, orders, pcps], frame)]
    )
