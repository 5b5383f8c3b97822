"""The thread as a time line: who, when, what they wanted, and whether it came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from html import escape

from gfpmodel.show.pictures import Picture, table

CAME = {"yes": ("✓", "came"), "later": ("◷", "came later"), "half": ("◒", "came in part"), "no": ("✗", "did not come")}
HALF = ".gfp-thread .half div::before { background: linear-gradient(0deg, currentColor 50%, transparent 50%); }"


def time_line(rows: Iterable[Mapping[str, str]]) -> Picture:
    """Draw mails as a time line.

    Arguments: the mails in order, each with who, date (ISO), says, came (a key of CAME) and how it came.
    """
    rows = list(rows)
    facts = table(
        ["who", "when", "says", "did it come?"],
        [(r["who"], r["date"], r["says"], f"{CAME[r['came']][1]}: {r['how']}") for r in rows],
    )
    items = "".join(map(mail, rows))
    return Picture(f'<style>{HALF}</style><ol class="gfp-thread">{items}</ol>', facts.text)


def mail(row: Mapping[str, str]) -> str:
    """Return one mail as an item of the list."""
    mark, words = CAME[row["came"]]
    when = date.fromisoformat(row["date"])
    return (
        f'<li class="{row["came"]}"><time datetime="{when}">{when.day} {when:%b %Y}</time>'
        f"<div><b>{escape(row['who'])}</b> {escape(row['says'])}"
        f'<p><span aria-hidden="true">{mark}</span> <i>{words}</i>: {escape(row["how"])}</p></div></li>'
    )
