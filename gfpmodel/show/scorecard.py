"""The scorecard as a table that a phone shows as one card a proposal, and a slider over the tenant's rate.

A cell that is behind the best of its column has a triangle and a hatch, a gap a dash; where it comes from is its title,
and stands again in words below the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as W

from gfpmodel.show.figures import folded
from gfpmodel.show.pictures import Picture, style, table
from gfpmodel.show.repeat import experiment_line
from gfpmodel.show.widgets import FULL, LABEL, linked, pane
from gfpmodel.sim.grids import GRIDS
from gfpmodel.sim.scorecard import COLUMNS, Column, Score, Scorecard, scorecard

BEHIND = "▾"
KEY = f"{BEHIND} behind the best of its column: the 95 % intervals do not touch. A dash: no result says."


def cell_html(score: Score, column: Column, behind: bool) -> str:
    """Return a cell: figure, interval, the mark, and its source as title."""
    mark = f'&nbsp;<span role="img" aria-label="behind the best">{BEHIND}</span>' if behind else ""
    kind = ' class="w"' if behind else ""
    label = f"{score.label}: " if score.label else ""
    said = escape(f"{column.title}: {score}. {label}{score.source}", quote=True)
    spread = f"<small>{score.spread}</small>" if score.spread else ""
    head = escape(column.title, quote=True)
    return f'<td{kind} data-label="{head}" title="{said}"><span>{score.mean}{mark}{spread}</span></td>'


def row_html(card: Scorecard, name: str, columns: Sequence[Column]) -> str:
    """Return a proposal's row."""
    cells = "".join(cell_html(card.rows[name][c.name], c, card.worse(name, c)) for c in columns)
    return f'<tr><th scope="row">{escape(name).replace("_", "_<wbr>")}</th>{cells}</tr>'


def sources(card: Scorecard, columns: Sequence[Column]) -> dict[str, dict[str, list[str]]]:
    """Return by column and source the proposals whose cells come from there."""
    found: dict[str, dict[str, list[str]]] = {}
    for column in columns:
        by = found.setdefault(column.title, {})
        for name, row in card.rows.items():
            score = row[column.name]
            label = f"{score.label}, " if score.label else "gap, "
            by.setdefault(label + score.source, []).append(name)
    return found


def sources_html(card: Scorecard, columns: Sequence[Column]) -> str:
    """Return the sources as a list that opens."""
    items = "".join(
        f"<li><b>{escape(title)}</b><ul>"
        + "".join(f"<li>{escape(', '.join(names))}: {escape(source)}</li>" for source, names in by.items())
        + "</ul></li>"
        for title, by in sources(card, columns).items()
    )
    return folded("Where each cell comes from", f"<ul>{items}</ul>")


def score_picture(card: Scorecard, names: Sequence[str] = ()) -> Picture:
    """Show a scorecard, or the columns of these names, as a table, and the same as text.

    Raises ValueError for a column that it does not have.
    """
    known = {column.name: column for column in COLUMNS}
    if set(names) - set(known):
        raise ValueError(f"no column {', '.join(sorted(set(names) - set(known)))}; expected {', '.join(known)}")
    columns = [known[name] for name in names] or list(COLUMNS)
    head = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in columns)
    body = "".join(row_html(card, name, columns) for name in card.rows)
    count = sum(card.worse(name, column) for name in card.rows for column in columns)
    gaps = sum(row[column.name].value is None for row in card.rows.values() for column in columns)
    alt = f"Scorecard of {len(card.rows)} proposals in {len(columns)} columns; {count} cells behind, {gaps} gaps"
    html = (
        f'<div class="gfp-score" role="group" aria-label="{escape(alt)}">'
        f'<table><thead><tr><th scope="col">proposal</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f'<p class="gfp-key">{KEY}</p>'
    )
    rows = [
        (name, *(f"{row[c.name]}{f' {BEHIND}' if card.worse(name, c) else ''}" for c in columns))
        for name, row in card.rows.items()
    ]
    text = table(["proposal", *(column.title for column in columns)], rows).text
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
