"""The verdict matrix as a picture: contexts down, proposals across, a panel for each kernel, two marks a cell.

Nothing in it is typed in: every mark is a verdict of ``gfpmodel.locking``.  Contexts that agree in all columns of a
panel share a row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gfpmodel.locking.matrix import Matrix
from gfpmodel.locking.verdict import Verdict
from gfpmodel.show.figures import BLUE, ORANGE, fitted, folded
from gfpmodel.show.pictures import Picture, table

#: How a verdict is drawn: marker, colour of its face, colour of its edge, what the legend says.
MARKS = {
    "page": ("o", BLUE, BLUE, "page"),
    "NULL": ("o", "white", "black", "NULL"),
    "reported": ("^", ORANGE, ORANGE, "reported"),
    "deadlock": ("X", "black", "black", "deadlock"),
    "unsafe": ("D", "white", ORANGE, "unsafe, nothing printed"),
    "moot": ("s", "white", "0.55", "context itself reported"),
}
STATES = ("warm", "dry")  # of the cpu's lists: the left and the right mark
WHICH = "left mark: pages on this CPU's lists; right mark: none"

# inches
LEFT, COLUMN, LINE, GAP, SHIFT = 1.74, 0.26, 0.135, 0.07, 0.061
LEGEND, HEAD, EDGE, LETTER = 0.55, 0.68, 0.04, 0.063
TEXT_WIDTH, MANY = 31, 20  # letters in a line of a row's name; more contexts than that are not listed
NAME_WIDTH = 8  # letters above a column; a longer name gets two lines


def status(verdict: Verdict) -> str:
    """Return the word of MARKS for a verdict.

    Lockdep stops at its first report.  Where the context's own locks were reported, before the request, the silence
    after it proves nothing: such a cell is "moot".
    """
    if verdict.deadlock:
        return "deadlock"
    if verdict.reports:
        return "reported"
    if verdict.unsafe:
        return "unsafe"
    return "moot" if verdict.before else verdict.result


@dataclass(frozen=True)
class Row:
    """Contexts of one kernel that agree in all columns, and the statuses there, a tuple of STATES a column."""

    config: str
    contexts: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]

    @property
    def label(self) -> list[str]:
        """Return the names of the contexts, as lines."""
        if len(self.contexts) > MANY:
            return [f"the other {len(self.contexts)} contexts"]
        return wrap(", ".join(self.contexts), TEXT_WIDTH)

    @property
    def height(self) -> float:
        """Return the height of the row in inches."""
        return LINE * len(self.label) + GAP


def unique(names: Iterable[str]) -> list[str]:
    """Return names in order, each once."""
    return list(dict.fromkeys(names))


def group(matrix: Matrix) -> list[Row]:
    """Return the rows of the picture of a matrix of one order, kernel by kernel."""
    found = {(c.config, c.context, c.proposal, c.pcp): status(c.verdict) for c in matrix.cells}
    proposals = unique(c.proposal for c in matrix.cells)
    rows = []
    for config in unique(c.config for c in matrix.cells):
        same: dict[tuple[tuple[str, ...], ...], list[str]] = {}
        for context in unique(c.context for c in matrix.cells if c.config == config):
            columns = tuple(tuple(found[config, context, p, pcp] for pcp in STATES) for p in proposals)
            same.setdefault(columns, []).append(context)
        rows += [Row(config, tuple(contexts), columns) for columns, contexts in same.items()]
    return rows


def draw_marks(axes: Axes, places: dict[str, list[tuple[float, float]]], size: float = 23) -> None:
    """Draw each status at its places."""
    for name, at in places.items():
        marker, face, edge, _ = MARKS[name]
        xs, ys = zip(*at, strict=True)
        axes.scatter(xs, ys, size, marker=marker, facecolor=face, edgecolor=edge, linewidth=0.9, zorder=3)


def draw_legend(axes: Axes, used: list[str], width: float) -> float:
    """Say at the top what the marks mean; returns how far down that goes, in inches."""
    x, y = 0.12, 0.12
    for name in used:
        words = MARKS[name][3]
        if x + LETTER * len(words) > width:
            x, y = 0.12, y + 0.17
        draw_marks(axes, {name: [(x, y)]})
        axes.text(x + 0.1, y, words, va="center", fontsize=7.5)
        x += 0.3 + LETTER * len(words)
    return y


def two_lines(name: str) -> str:
    """Break a long name at its last underscore."""
    return name if len(name) <= NAME_WIDTH else "_\n".join(name.rsplit("_", 1))


def matrix_figure(matrix: Matrix) -> Figure:
    """Draw a matrix of one order, all kernels below each other."""
    rows, proposals = group(matrix), unique(c.proposal for c in matrix.cells)
    configs = unique(row.config for row in rows)
    width = max(LEFT + COLUMN * len(proposals) + EDGE, LETTER * len(WHICH))
    height = LEGEND + HEAD * len(configs) + sum(row.height for row in rows) + EDGE
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    centres = [LEFT + COLUMN * (at + 0.5) for at in range(len(proposals))]
    places: dict[str, list[tuple[float, float]]] = {}
    top = LEGEND
    for config in configs:
        top += HEAD
        axes.text(0.06, top - 0.06, config, fontsize=7.5, fontweight="bold", va="bottom")
        for x, name in zip(centres, proposals, strict=True):
            axes.text(x, top - 0.05, two_lines(name), rotation=90, ha="center", va="bottom", fontsize=7)
        first = top
        for row in (row for row in rows if row.config == config):
            middle = top + row.height / 2
            axes.axhline(top, color="0.5", linewidth=0.6)
            axes.text(0.06, middle, "\n".join(row.label), va="center", fontsize=7, linespacing=1.25)
            for x, pair in zip(centres, row.columns, strict=True):
                for side, status_name in zip((-SHIFT, SHIFT), pair, strict=True):
                    places.setdefault(status_name, []).append((x + side, middle))
            top += row.height
        axes.axhline(top, color="0.5", linewidth=0.6)
        axes.vlines([x + COLUMN / 2 for x in centres[:-1]], first, top, color="0.5", linewidth=0.6)
    draw_marks(axes, places)
    y = draw_legend(axes, [name for name in MARKS if name in places], width)
    axes.text(0.06, y + 0.18, WHICH, va="center", fontsize=7.5)
    return figure


def said_of(row: Row, proposals: list[str]) -> str:
    """Say a row as HTML: the kernel, the contexts, and by verdict the proposals that get it."""
    by: dict[str, list[str]] = {}
    for name, pair in zip(proposals, row.columns, strict=True):
        by.setdefault("/".join(unique(pair)), []).append(escape(name))
    verdicts = "; ".join(f"<b>{words}</b> {', '.join(names)}" for words, names in by.items())
    return f"{escape(row.config)}, {escape(', '.join(row.contexts))}: {verdicts}"


def matrix_picture(matrix: Matrix) -> Picture:
    """Show a matrix of one order: a figure, and the same facts as a table, ``warm/dry`` where the two differ.

    Raises ValueError if the matrix has more than one order, or not both states of the lists.
    """
    orders, states = {c.order for c in matrix.cells}, {c.pcp for c in matrix.cells}
    if len(orders) != 1 or states != set(STATES):
        raise ValueError("the picture is of one order, and of warm and dry lists")
    rows, proposals = group(matrix), unique(c.proposal for c in matrix.cells)
    facts = table(
        ["kernel", *proposals, "contexts"],
        [(r.config, *("/".join(unique(pair)) for pair in r.columns), ", ".join(r.contexts)) for r in rows],
    )
    counts = {name: sum(status(c.verdict) == name for c in matrix.cells) for name in MARKS}
    said = ", ".join(f"{count} {MARKS[name][3]}" for name, count in counts.items() if count)
    alt = f"Verdicts on order {orders.pop()}: {said}; the list below has them all"
    items = "".join(f"<li>{said_of(row, proposals)}</li>" for row in rows)
    html = fitted(matrix_figure(matrix), alt) + folded("The same in words, warm/dry", f"<ul>{items}</ul>")
    return Picture(html, facts.text)
