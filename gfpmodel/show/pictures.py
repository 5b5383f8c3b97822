"""Pure functions from gfp facts to pictures: HTML that reflows on a phone, with the same facts as plain text.

Nothing is told by colour alone: a set bit has a dot, a new one a plus, a moved one an arrow, a fault a cross.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from importlib.resources import files

from gfpmodel.gfp.layouts import GFP_T_BITS, Layout
from gfpmodel.gfp.linter import Report
from gfpmodel.gfp.meanings import meaning
from gfpmodel.gfp.names import decode
from gfpmodel.gfp.patches import Patch
from gfpmodel.gfp.shift_users import shift_report, tags_above

NARROW = 28
#: Where the name of a flag may be broken: behind an underscore, and within the longest words.
BREAK = re.compile(r"(?<=_)|(?<=RECLAIM)(?=ABLE)|(?<=NOMEM)(?=ALLOC)|(?<=NOLOCK)(?=DEP)|(?<=HIGH)(?=MEM)")


@dataclass(frozen=True, repr=False)
class Picture:
    """A picture as HTML (without its style sheets) and the same facts as text; ``sheet`` is one of its own."""

    html: str
    text: str
    sheet: str = ""

    def _repr_html_(self) -> str:
        return style() + (style(self.sheet) if self.sheet else "") + self.html

    def __repr__(self) -> str:
        return self.text

    def __add__(self, below: Picture) -> Picture:
        return Picture(self.html + below.html, f"{self.text}\n{below.text}", self.sheet or below.sheet)


@lru_cache
def style(sheet: str = "style.css") -> str:
    """Return a style sheet, by default that of all pictures, as an HTML element."""
    return f"<style>{files(__package__).joinpath(sheet).read_text()}</style>"


@dataclass(frozen=True)
class Cell:
    """One bit of the word: its number, a label, the classes of style.css, and the mark that goes with them."""

    bit: int
    label: str
    classes: str
    mark: str = ""


def cells(layout: Layout, mask: int = 0, before: Layout | None = None) -> list[Cell]:
    """Return the 32 bits of a layout, highest first, marking a mask's bits and what changed since ``before``."""
    tags = tags_above(layout)
    row = []
    for bit in reversed(range(GFP_T_BITS)):
        flag = layout.flag_at(bit)
        label, kind, mark = (flag or "").removeprefix("__GFP_"), "f", ""
        if flag is None and bit < layout.shift:
            label, kind = "hole", "h"
        elif bit in tags:
            kind = "t" if flag is None else "t x"
            label, mark = (label or tags[bit].split(" ")[0]), ("" if flag is None else "✕ = " + tags[bit].split(" ")[0])
        elif flag is None:
            kind = "n"
        if flag and before is not None and before.bits.get(flag) != layout.bits[flag]:
            kind, mark = f"{kind} c", "+ new" if flag not in before.bits else "→ moved"
        if mask >> bit & 1:
            kind, mark = f"{kind} s", f"● {mark}".strip()
        row.append(Cell(bit, label, kind, mark))
    return row


def word(layout: Layout, mask: int = 0, before: Layout | None = None) -> Picture:
    """Draw the 32-bit gfp word of a layout.

    Arguments: the layout; a mask whose bits are shown set; an older layout against which changes are marked.
    """
    row = cells(layout, mask, before)
    title = f"{layout}: __GFP_BITS_SHIFT {layout.shift}"
    body = "".join(
        f'<i class="{c.classes}"><u>{f"{c.bit} {c.mark}".strip()}</u>{BREAK.sub("<wbr>", escape(c.label))}</i>'
        for c in row
    )
    holes = f", holes at {', '.join(map(str, layout.holes))}" if layout.holes else ""
    label = f"32-bit gfp word of {title}; {len(layout.bits)} flags{holes}; three tags above"
    html = (
        f'<p class="gfp-title">{escape(title)}</p>'
        f'<div class="gfp-word" role="group" aria-label="{escape(label)}">{body}</div>'
    )
    shown = [f"{c.bit:2} {''.join(m for m in c.mark if m in '●+→✕'):<2}{c.label:<19}" for c in row]
    lines = [" ".join(shown[at : at + 4]).rstrip() for at in range(0, GFP_T_BITS, 4)]
    return Picture(html, "\n".join([title, *lines]))


def facts(title: str, pairs: Mapping[str, str]) -> Picture:
    """Draw labelled facts under a title."""
    width = max(map(len, pairs))
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs.items())
    html = f'<p class="gfp-title">{escape(title)}</p><dl class="gfp-facts">{rows}</dl>'
    return Picture(html, "\n".join([title, *(f"  {k:<{width}}  {v}" for k, v in pairs.items())]))


def reading(mask: int, layout: Layout) -> Picture:
    """Draw what a mask is called and asks for under a layout."""
    decoded, asks = decode(mask, layout), meaning(mask, layout)
    pairs = {
        "mask": f"{mask:#x} under {layout}",
        "perf kmem": decoded.compact or "nothing",
        **asks.answers,
        **{f"contradiction: {'|'.join(c.flags)}": c.why for c in asks.contradictions},
    }
    options = "".join(f" --config {name}" for name, on in layout.config.items() if on)
    line = f"python -m gfpmodel decode {mask:#x} --kernel {layout.kernel.split(' ')[0]}{options}"
    return facts(decoded.text, pairs) + to_repeat(line)


def to_repeat(line: str) -> Picture:
    """Draw the line that gives what is above it again, a command or Python; a click selects the whole of it."""
    html = f'<pre class="gfp-repeat" tabindex="0" role="group" aria-label="to repeat">{escape(line)}</pre>'
    return Picture(html, f"to repeat:\n{line}")


def shift_story(flag: str, layout: Layout) -> Picture:
    """Draw the word at a layout's shift, and what one flag goes through there."""
    report = shift_report(flag, layout)
    pairs = {
        f"alloc_pages({flag})": "reaches the allocator" if report.reaches_allocator else "stripped: behaves as mask 0",
        f"INIT_RADIX_TREE(root, {flag})": "starts clean"
        if report.presets_tag is None
        else f"an empty tree starts with tag {report.presets_tag} set",
        f"kmalloc({flag})": report.slab_warning or "no warning (slab still drops the flag: no mask keeps it)",
        "does it build?": {
            True: "yes",
            False: "no: BUILD_BUG_ON in radix_tree_init()",
            None: "yes: this kernel does not check the shift",
        }[report.builds],
    }
    return word(layout, report.value) + facts(f"{flag} with the shift at {layout.shift}", pairs)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> Picture:
    """Draw a table; a truth is shown as yes or no, any other value as ``str`` gives it; a lone cell has all columns."""
    words: dict[object, str] = {True: "yes", False: "no", None: "none"}
    body = [[words[v] if v is None or isinstance(v, bool) else str(v) for v in row] for row in rows]
    whole = [line for line in [list(headers), *body] if len(line) == len(headers)]
    widths = [max(len(line[at]) for line in whole) for at in range(len(headers))]
    lines = [
        line[0]
        if len(line) == 1
        else "  ".join(f"{value:<{width}}" for value, width in zip(line, widths, strict=True)).rstrip()
        for line in [headers, *body]
    ]
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    cells_html = "".join(f"<tr>{_tds(row, len(headers))}</tr>" for row in body)
    html = f'<div class="gfp-table"><table><thead><tr>{head}</tr></thead><tbody>{cells_html}</tbody></table></div>'
    return Picture(html, "\n".join(lines))


def _tds(row: Sequence[str], columns: int) -> str:
    """Return a row's table cells; one alone has all columns."""
    if len(row) == 1 < columns:
        return f"<td colspan={columns}>{escape(row[0])}</td>"
    return "".join(map(_td, row))


def _td(value: str) -> str:
    """Return a table cell: a short value stays on its line, a long mask may break after a ``|``."""
    return f"<td{' class=k' if len(value) <= NARROW else ''}>{escape(value).replace('|', '|<wbr>')}</td>"


#: The class of a line of a diff, by its sign.
SIGNS = {"+": "a", "-": "r", " ": "k"}


def hunk(patch: Patch, path: str, number: int, report: Report) -> Picture:
    """Draw one hunk of a patch (counted from 0 within its file) as diffs are read, with what the linter says about it.

    Raises InputError for a file that the patch does not touch, IndexError for a hunk that it does not have.
    """
    it = patch.hunks_of(path)[number]
    # tabs first: the sign in front would shift a tab stop
    lines = [line.line_type + line.value.rstrip("\n").expandtabs(8) for line in it]
    said = [f"{f.severity}: {f.message} ({f.rule})" for f in report.within(path, it)]
    where = f"@@ -{it.source_start},{it.source_length} +{it.target_start},{it.target_length} @@ {it.section_header}"
    body = "".join(map(_diff_line, lines))
    notes = f'<ul class="gfp-said">{"".join(f"<li>{escape(text)}</li>" for text in said)}</ul>' if said else ""
    html = (
        f'<div class="gfp-diff" id="{anchor(path, number)}" role="group" '
        f'aria-label="{escape(f"{path}, line {it.target_start}")}">'
        f"<p>{escape(path)}</p><code>{escape(where.rstrip())}</code>{body}</div>{notes}"
    )
    return Picture(html, "\n".join([path, where.rstrip(), *lines, *(f"  -> {text}" for text in said)]), "diff.css")


def anchor(path: str, number: int) -> str:
    """Return the id of a drawn hunk, to which the map of its patch leads."""
    return f"hunk-{re.sub(r'[^a-z0-9]+', '-', path.lower())}-{number}"


def hunks_map(patch: Patch, report: Report, does: Mapping[str, Sequence[str]]) -> Picture:
    """Draw the hunks of a patch, file by file: which change code, which add comments only, and what each does.

    Arguments: the patch; what the linter says of it; by file, what each of its hunks does in words, each of which leads
    to the drawn hunk.  A hunk without words shows the function in which it stands, and leads nowhere.
    """
    silent = {(f.path, n) for f in patch.files for n, it in enumerate(f)
              if any(said.rule == "comment-only" for said in report.within(f.path, it))}  # fmt: skip
    number, html, lines = 0, [], []
    for file in patch.files:
        boxes, done = [], does.get(file.path, ())
        for n, it in enumerate(file):
            number += 1
            function = re.search(r"(\w+)\(", it.section_header)
            words = done[n] if n < len(done) else f"{function[1]}()" if function else "comment"
            kind = "c" if (file.path, n) in silent else "k"
            said = f"<b>{number}</b> {escape(words)}"
            linked = f'<a href="#{anchor(file.path, n)}">{said}</a>' if n < len(done) else said
            boxes.append(f'<li class="{kind}">{linked}</li>')
            lines.append(f"{number:2} {file.path:<28} {words}{', a comment' * (kind == 'c')}")
        html.append(f"<dt>{escape(file.path)}</dt><dd><ul>{''.join(boxes)}</ul></dd>")
    title = f"{number - len(silent)} of {number} hunks change code; {len(silent)} add comments only"
    key = '<p class="gfp-key"><i class="k"></i>changes code <i class="c"></i>adds a comment only</p>'
    drawn = f'<p class="gfp-finding">{title}</p><div class="gfp-map">{key}<dl>{"".join(html)}</dl></div>'
    return Picture(drawn, "\n".join([title, *lines]), "diff.css")


def _diff_line(line: str) -> str:
    """Return a line of a diff: its sign, and its code behind an indent that a narrow page may halve."""
    code = line[1:].lstrip(" ")
    indent = len(line) - 1 - len(code)
    return f'<code class="{SIGNS[line[0]]}" style="--in:{indent}"><b>{line[0]}</b>{escape(code)}</code>'
