"""The time line of the thread: every mail of the table, in its order, with whether it came; its text is no markup."""

from __future__ import annotations

import csv
from html import unescape
from pathlib import Path

from gfpmodel.show.thread import CAME, time_line

ROWS = list(csv.DictReader((Path(__file__).parents[2] / "book/data/thread.csv").open(encoding="utf-8")))


def test_every_mail_stands_in_its_order_with_what_became_of_it() -> None:
    picture = time_line(ROWS)
    items = picture.html.split("<li ")[1:]
    assert len(items) == len(ROWS)
    for item, row in zip(items, ROWS, strict=True):
        said = unescape(item)
        assert all(row[name] in said for name in ("who", "says", "how"))
        assert f'datetime="{row["date"]}"' in item
        assert item.startswith(f'class="{row["came"]}"')
        assert CAME[row["came"]][1] in item
    assert [row["date"] for row in ROWS] == sorted(row["date"] for row in ROWS)


def test_no_word_of_a_mail_is_markup() -> None:
    assert "<b>x" not in time_line([{**ROWS[0], "says": "<b>x</b>"}]).html
