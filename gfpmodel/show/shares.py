"""Shares as bars: what became of so many requests, samples or comparisons, a bar for each row; the same as text.

Parts differ by lightness and hatching, not by colour alone (style.css).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from gfpmodel.show.pictures import Picture

KINDS = ("first", "middle", "last")  #: classes of a bar's parts; the last is the one that is counted beside it
THINNEST = 0.4  #: per cent of the bar: what is there can be seen

Counts = Mapping[str, int]


def per_cent(part: float, whole: float) -> str:
    """Return a share in words, with two digits; 100 % and 0 % are said of all and nothing alone."""
    share = 100 * part / whole
    return f"{share:.1f} %" if 99 <= share < 100 else f"{share:.2g} %" if share < 99 else "100 %"


def bar(counts: Counts, mark: float | None) -> str:
    """Draw one bar: its parts in order, and a tick at a share that somebody else said (0 to 1)."""
    kinds = dict(zip(counts, KINDS if len(counts) > 2 else KINDS[::2], strict=True))
    whole = sum(counts.values())
    pieces = [
        f'<i class="{kinds[name]}" style="flex: {max(100 * count / whole, THINNEST):.4g}"></i>'
        for name, count in counts.items()
        if count
    ]
    tick = "" if mark is None else f'<b style="left: {100 * mark:.4g}%"></b>'
    return "".join(pieces) + tick


def key_html(names: Sequence[str], said: str = "") -> str:
    """Say what the parts of a bar are, and what its mark is."""
    kinds = KINDS if len(names) > 2 else KINDS[::2]
    key = "".join(f'<i class="{kind}"></i>{escape(name)} ' for kind, name in zip(kinds, names, strict=True))
    return f'<p class="gfp-shares-key">{key}{f"<b></b>{escape(said)}" if said else ""}</p>'


def shares(title: str, rows: Mapping[str, Counts], marks: Mapping[str, float] | None = None, said: str = "") -> Picture:
    """Show what became of the things counted in each row, as the parts of a bar.

    Arguments: the title, which says what is to be seen; by row, two or three counts by part, the same parts in every
    row; by row, a share of the first part that is marked on its bar, and what the mark is.
    Raises ValueError for a row with other parts, with nothing in it, or more parts than can be told apart.
    """
    names = list(next(iter(rows.values()), {}))
    if not 2 <= len(names) <= len(KINDS):
        raise ValueError(f"{len(names)} parts; expected two or three")
    html, lines = [], [title]
    for row, counts in rows.items():
        whole = sum(counts.values())
        if list(counts) != names or not whole:
            raise ValueError(f"{row}: {dict(counts)}; expected counts of {', '.join(names)}, not all zero")
        mark = (marks or {}).get(row)
        text = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        text += f"; {said}: {per_cent(mark, 1)}" if mark is not None else ""
        last = counts[names[-1]]
        number = f"{last:,} of {whole:,} {names[-1]}" + (f", {per_cent(last, whole)}" if last else "")
        drawn = f'<span class="bar" role="img" aria-label="{escape(f"{row}: {text}")}">{bar(counts, mark)}</span>'
        html.append(f"<dt>{escape(row)}</dt><dd>{drawn}<span>{escape(number)}</span></dd>")
        lines.append(f"  {row}: {text}")
    head = f'<p class="gfp-finding">{escape(title)}</p>{key_html(names, said if marks else "")}'
    return Picture(f'{head}<dl class="gfp-shares">{"".join(html)}</dl>', "\n".join(lines))
