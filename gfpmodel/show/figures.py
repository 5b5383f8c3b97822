"""Figures drawn with matplotlib, as inline SVG with the same facts as text: for chapters, slides and the README."""

from __future__ import annotations

import re
from hashlib import sha256
from html import escape
from io import StringIO

import matplotlib as mpl
from matplotlib.figure import Figure

from gfpmodel.gfp.layouts import MAX_BITS_SHIFT, MILESTONES, variants
from gfpmodel.show.pictures import Picture, table

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "0.35"  # told apart by the colour-blind, and by their lightness in print


#: What a figure is drawn in, as the page has it: black ink and grey on white paper where a page says nothing.
THEME = {
    "#000000": "currentColor",
    "#595959": "currentColor",
    "#ffffff": "var(--pst-color-background, var(--jp-layout-color0, white))",
}
#: Attributes of an SVG that place what is drawn; the same as in tests/nbval_sanitize.cfg.
GEOMETRY = re.compile(r'(?<=\s)(?:d|x|y|width|height|points|transform|viewBox)="[^"]*"')
NUMBER = re.compile(r"-?\d+\.\d+")
ID = re.compile(r' id="([\w.-]+)"')


def px(value: float) -> str:
    """Return a coordinate as every SVG of this package writes it: a tenth of a pixel, which is what an eye sees.

    The last digits of a coordinate differ between processors, because matplotlib's transforms are products of
    matrices.  Rounding makes that rare and not impossible: whatever the rule, some number stands at its edge.  So
    coordinates are rounded here, for the size of a page and for readable differences, and no comparison of outputs
    looks at them: tests/nbval_sanitize.cfg takes them out.  What is compared is what is drawn (elements, labels,
    styles) and the figures themselves, which stand as text beside every drawing.
    """
    return f"{round(value, 1) + 0:.6g}"  # + 0: no "-0"


def svg(figure: Figure, alt: str, paper: str = "none") -> str:
    """Return a figure as one SVG element that says ``alt`` to a screen reader; the same figure gives the same bytes."""
    out = StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(out, format="svg", facecolor=paper, metadata={"Date": None, "Creator": None})
    body = GEOMETRY.sub(lambda attribute: NUMBER.sub(lambda n: px(float(n[0])), attribute[0]), out.getvalue())
    body = re.sub("|".join(THEME), lambda colour: THEME[colour[0]], body)
    head = f'<svg role="img" aria-label="{escape(alt)}" fill="currentColor" style="max-width: 100%; height: auto"'
    return own_ids(body[body.index("<svg") :], alt).replace("<svg", head, 1).strip()


def own_ids(body: str, alt: str) -> str:
    """Number the ids that are used, for one page has many figures, and drop the others.

    Matplotlib's own are hashes of coordinates, to the last digit.
    """
    used = set(re.findall(r"#([\w-]+)", body))
    prefix = "f" + sha256(alt.encode()).hexdigest()[:8]
    names = {name: f"{prefix}-{at}" for at, name in enumerate(n for n in ID.findall(body) if n in used)}
    body = ID.sub(lambda m: f' id="{names[m[1]]}"' if m[1] in names else "", body)
    return re.sub(r"#([\w-]+)", lambda m: f"#{names.get(m[1], m[1])}", body)


def folded(said: str, html: str) -> str:
    """Return what a figure shows once more in words, folded up under a title."""
    return f"<details><summary>{escape(said)}</summary>{html}</details>"


def upright(figure: Figure, alt: str) -> str:
    """Return a narrow figure as HTML: a phone shows it whole, and a wide column does not blow it up."""
    drawn = svg(figure, alt).replace('style="', 'style="width: 100%; ', 1)
    return f'<figure style="max-width: 28rem">{drawn}</figure>'


def with_table(drawn: str, facts: Picture) -> Picture:
    """Show a figure, and below it, folded up, the table of the same facts, which is also its text."""
    return Picture(drawn + folded("The same as a table", facts.html), facts.text)


CHECKED = MILESTONES[MILESTONES.index("v4.19") :]  #: the limit of 29 is not that of v4.4


def room_figure() -> Figure:
    """Draw ``__GFP_BITS_SHIFT`` of each milestone, as a range over its configurations, against the limit of 29."""
    figure = Figure(figsize=(3.5, 4.1), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    names = ["the RFC" if "FAST_TRY" in kernel else kernel.split(" ")[0] for kernel in CHECKED]
    left_in = {kernel: MAX_BITS_SHIFT - max(v.shift for v in variants(kernel)) for kernel in CHECKED}
    rfc, today = next(kernel for kernel in MILESTONES if "FAST_TRY" in kernel), MILESTONES[MILESTONES.index("v6.1") :]
    for at, kernel in enumerate(CHECKED):
        shifts = [v.shift for v in variants(kernel)]
        marker, colour = ("s", ORANGE) if kernel == rfc else ("o", BLUE)
        axes.plot([min(shifts), max(shifts)], [at, at], color=GREY, linewidth=2, zorder=1)
        axes.scatter([min(shifts)], [at], marker="|", s=90, color=GREY, zorder=2)
        axes.scatter([max(shifts)], [at], marker=marker, s=60, color=colour, zorder=2)
        axes.annotate(
            f"{left_in[kernel]} left", (MAX_BITS_SHIFT, at), (6, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.axvline(MAX_BITS_SHIFT, color="black", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(22.5, 30.8)
    axes.set_xticks(range(23, MAX_BITS_SHIFT + 1, 2))
    axes.tick_params(axis="x", labelsize=9)
    limit = f"above {MAX_BITS_SHIFT} the radix tree's tags do not fit"
    axes.set_xlabel(f"__GFP_BITS_SHIFT;\n{limit}", fontsize=9)
    since = sorted({left_in[kernel] for kernel in today})
    title = f"Bits left at worst: {left_in[rfc]} with the RFC\n(the square), {' or '.join(map(str, since))} since v6.1"
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def room() -> Picture:
    """Show how many more flags fit, kernel by kernel, before a radix tree's tags leave the 32-bit word."""
    rows = []
    for kernel in CHECKED:
        shifts = [v.shift for v in variants(kernel)]
        rows.append((kernel, min(shifts), max(shifts), MAX_BITS_SHIFT - max(shifts)))
    facts = table(["kernel", "lowest shift", "highest shift", "bits left at worst"], rows)
    ranges = "; ".join(f"{kernel} {low} to {high}" for kernel, low, high, _ in rows)
    alt = f"Range of __GFP_BITS_SHIFT over the configurations of each kernel, limit {MAX_BITS_SHIFT}: {ranges}"
    return with_table(upright(room_figure(), alt), facts)
