"""The scorecard as a table that a phone shows as one card a proposal, and a slider over the tenant's rate.

A cell that is behind the best of its column is bold and has a triangle, a gap has its reason; where a cell comes
from is its title, and stands again in words below the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as W

from gfpmodel.evidence.scorecard import COLUMNS, GAP, SHOWN, Column, Score, Scorecard, scorecard
from gfpmodel.locking.spoken import spoken
from gfpmodel.show.figures import folded
from gfpmodel.show.pictures import Picture, style, table
from gfpmodel.show.repeat import experiment_line
from gfpmodel.show.shares import bar, key_html
from gfpmodel.show.widgets import FULL, LABEL, linked, pane
from gfpmodel.sim.grids import GRIDS

BEHIND = "▾"
PARTS = ("silent, a page each time", "silent, NULL at least once", "reported, hangs or unsafe")
KEY = (
    f"{BEHIND} marks what is worse than the best in this table's column: fewer contexts, or a share or cost whose 95 % "
    "interval does not reach the best one's. 0 of N has no interval, as all runs agree; the marks allow it 3 of N. "
    "A cell without a figure says why it has none."
)
#: A cost that many cells have: in words, and in a cell.
ASLEEP, BRIEF = "free memory falls to the min watermark, if nobody else wakes kswapd", "does not wake kswapd*"


def brief(text: str) -> str:
    """Return a cell's text: a reason alone where there is no figure, a star for what is said once below the table."""
    return text.removeprefix(f"{GAP} ").replace(ASLEEP, BRIEF)


def cell_html(score: Score, column: Column, behind: bool) -> str:
    """Return a cell: figure, interval, the mark, and its source as title."""
    mark = f'&nbsp;<span role="img" aria-label="behind the best">{BEHIND}</span>' if behind else ""
    kind = ' class="w"' if behind else ""
    label = f"{score.label}: " if score.label else ""
    said = escape(f"{column.title}: {score}. {label}{score.source}", quote=True)
    spread = f"<small>{score.spread}</small>" if score.spread else ""
    head = escape(column.title, quote=True)
    shown = f"{escape(brief(score.mean))}{mark}{spread}{parts_html(score)}"
    return f'<td{kind} data-label="{head}" title="{said}"><span>{shown}</span></td>'


def parts_html(score: Score) -> str:
    """Draw a count of contexts as a bar: those that always give a page, the other silent ones, and the rest."""
    if not score.parts:
        return ""
    counts = dict(zip(PARTS, score.parts, strict=True))
    said = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f'<span class="bar" role="img" aria-label="{escape(said)}">{bar(counts, None)}</span>'


def row_html(card: Scorecard, names: Sequence[str], columns: Sequence[Column], what: Mapping[str, str]) -> str:
    """Return the row of proposals that agree, and what they are."""
    row = card.rows[names[0]]
    cells = "".join(cell_html(row[c.name], c, card.worse(names[0], c)) for c in columns)
    named = "<br>".join(f"{escape(spoken(name))} {said_html(name, what)}" for name in names)
    if len(names) > 1 and not set(names) & set(what):
        named = f"{escape(' / '.join(map(spoken, names)))}<small>the same for these {len(names)}</small>"
    return f'<tr><th scope="row">{named}</th>{cells}</tr>'


def said_html(name: str, what: Mapping[str, str]) -> str:
    """Return what a row is, if that is told, in small letters."""
    return f"<small>{escape(what[name])}</small>" if name in what else ""


def unmarked(columns: Sequence[Column]) -> str:
    """Say which columns have no order, so that none of their cells is behind."""
    titles = " and ".join(f"“{escape(column.title)}”" for column in columns if not column.better)
    return f" No mark stands under {titles}, whose cells are of different kinds." * bool(titles)


def starred(body: str) -> str:
    """Say what the star of a cell stands for, if there is one."""
    return f" * {ASLEEP[0].upper()}{ASLEEP[1:]}." * (BRIEF in body)


def sources(card: Scorecard, columns: Sequence[Column]) -> dict[str, dict[str, list[str]]]:
    """Return by column and source the proposals whose cells come from there."""
    found: dict[str, dict[str, list[str]]] = {}
    for column in columns:
        by = found.setdefault(column.title, {})
        for name, row in card.rows.items():
            score = row[column.name]
            label = f"{score.label}, " if score.label else "gap: "
            by.setdefault(label + score.source, []).append(name)
    return found


def sources_html(card: Scorecard, columns: Sequence[Column]) -> str:
    """Return the sources as a list that opens."""
    items = "".join(
        f"<li><b>{escape(title)}</b><ul>"
        + "".join(f"<li>{escape(', '.join(map(spoken, names)))}: {escape(source)}</li>" for source, names in by.items())
        + "</ul></li>"
        for title, by in sources(card, columns).items()
    )
    return folded("Where each cell comes from", f"<ul>{items}</ul>")


def score_picture(
    card: Scorecard, names: Sequence[str] = (), title: str = "", what: Mapping[str, str] | None = None
) -> Picture:
    """Show a scorecard as a table, proposals that agree in one row, and the same as text.

    Arguments: the scorecard; the names of the columns, those of SHOWN if none are given; what is to be seen, as the
    title; by proposal, what it is.  Raises ValueError for a column that it does not have.
    """
    known = {column.name: column for column in COLUMNS}
    if set(names) - set(known):
        raise ValueError(f"no column {', '.join(sorted(set(names) - set(known)))}; expected {', '.join(known)}")
    columns = [known[name] for name in names] or list(SHOWN)
    groups = card.groups(columns)
    head = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in columns)
    body = "".join(row_html(card, group, columns, what or {}) for group in groups)
    count = sum(card.worse(group[0], column) for group in groups for column in columns)
    gaps = sum(card.rows[group[0]][column.name].value is None for group in groups for column in columns)
    alt = f"Scorecard of {len(card.rows)} proposals in {len(columns)} columns; {count} cells behind, {gaps} gaps"
    drawn = any(card.rows[group[0]][column.name].parts for group in groups for column in columns)
    html = (
        f'<p class="gfp-finding">{escape(title)}</p>' * bool(title)
        + key_html(PARTS) * drawn
        + f'<div class="gfp-score" role="group" aria-label="{escape(alt)}">'
        f'<table><thead><tr><th scope="col">proposal</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f'<p class="gfp-key">{KEY}{unmarked(columns)}{starred(body)}</p>'
    )
    rows = []
    for group in groups:
        row = card.rows[group[0]]
        cells = (f"{row[c.name]}{f' {BEHIND}' if card.worse(group[0], c) else ''}" for c in columns)
        rows.append((" / ".join(map(spoken, group)), *cells))
    text = f"{title}\n" * bool(title) + table(["proposal", *(column.title for column in columns)], rows).text
    return Picture(html + sources_html(card, columns), text)


def tenant_scrubber(results: Mapping[str, Any], rates: Sequence[float], names: Sequence[str], start: int = 0) -> W.VBox:
    """Return a slider over the tenant's rate, which works without a kernel.

    Arguments: the results; the rates that they have, pages a second and cpu; the columns to show; where it opens.
    """
    slider = W.SelectionSlider(
        options=[f"{rate:,.0f}" for rate in rates], index=start, description="pages/s", layout=FULL, style=LABEL
    )
    grid = GRIDS["co_tenant"]
    rows = ",".join(grid.grid["proposal"])

    def frame(rate: float) -> W.HTML:
        line = experiment_line(grid.name, {"proposal": rows, "tenant_rate": rate}, grid.seeds)
        return pane(score_picture(scorecard(results, rate), names), line)

    frames = [frame(rate) for rate in rates]
    return W.VBox([W.HTML(style()), slider, linked(slider, frames)])
