"""The grid of places and ways: every verdict is a mark that can be chosen, and the chosen one's path is the model's."""

from __future__ import annotations

import re
from html import unescape

from gfpmodel.locking import Verdict, make_kernel
from gfpmodel.show.places import SIGNS, summary_picture
from gfpmodel.show.stacks import Ask, steps_of

PLACES = {"under a raw lock": "raw", "zone->lock held": "zone_lock"}


def rows() -> dict[str, dict[str, Verdict]]:
    proving = make_kernel("v5.8-rc3", {"PROVE_RAW_LOCK_NESTING": True})
    ways = {"the flag": "fast_try", "mask 0": "gfp0"}
    return {
        place: {way: Ask(row=row, pcp="dry")(where, proving) for way, row in ways.items()}
        for place, where in PLACES.items()
    }


def test_it_says_each_verdict_in_its_text_and_on_its_button() -> None:
    shown = summary_picture(rows())
    body = [re.split(r" {2,}", line) for line in shown.text.splitlines()[1:]]
    assert body == [["under a raw lock", "NULL", "reported"], ["zone->lock held", "NULL", "deadlock"]]
    labels = [unescape(label) for label in re.findall(r'aria-label="([^"]*; [^"]*)"', shown.html)]
    assert "under a raw lock; mask 0: reported, page" in labels
    assert f"zone->lock held; mask 0: {SIGNS['deadlock'][1]}" in labels


def test_every_button_opens_the_path_of_its_verdict() -> None:
    found = rows()
    html = summary_picture(found).html
    cells = re.findall(r'<input type="radio" name="place" id="([^"]+)"', html)
    assert len(cells) == len(set(cells)) == 4
    sections = dict(re.findall(r'<section id="([^"]+)-said">(.*?)</section>', html, re.DOTALL))
    assert list(sections) == cells
    for cell, verdict in zip(cells, (one for row in found.values() for one in row.values()), strict=True):
        assert f":has(#{cell}:checked) #{cell}-said" in html
        said = unescape(re.sub(r"<[^>]*>", "", sections[cell]))
        assert all(does in said for _, _, does in steps_of(verdict))
        assert all(report.text().strip() in said for report in verdict.printed)


def test_it_opens_on_the_cell_that_is_asked_for() -> None:
    html = summary_picture(rows(), ("zone->lock held", "the flag")).html
    assert re.findall(r'id="([^"]+)"[^>]* checked', html) == ["place-0-1"]


def test_its_title_says_what_is_to_be_seen() -> None:
    shown = summary_picture(rows(), title="mask 0 is reported & hangs")
    assert shown.text.startswith("mask 0 is reported & hangs\n")
    assert '<p class="gfp-finding">mask 0 is reported &amp; hangs</p>' in shown.html
