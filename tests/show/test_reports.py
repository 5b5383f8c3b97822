"""What a zone has and what must stay, drawn: the words and the bars are those of the sum that ``explain`` gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gfpmodel.explain import explain
from gfpmodel.show.reports import budget

REPORT = (Path(__file__).parents[2] / "book" / "data" / "report-atomic.txt").read_text(encoding="utf-8")


def zone(free_kb: int = 21900, mask: str = "0xa20(GFP_ATOMIC)") -> dict[str, Any]:
    text = REPORT.replace("free:21900kB", f"free:{free_kb}kB").replace("0xa20(GFP_ATOMIC)", mask)
    found: dict[str, Any] = explain(text)[0]["zones"][0]
    return found


@pytest.mark.parametrize(
    ("free_kb", "says", "ends"),
    [
        (21900, "x gets no page: 355 pages are free for it, and it needs more than 375", "21 short"),
        (20480 + 4 * 376, "x gets a page: 376 pages are free for it, more than the 375 that must stay", "gets a page"),
    ],
)
def test_a_request_passes_if_more_is_free_than_must_stay(free_kb: int, says: str, ends: str) -> None:
    picture = budget({"x": zone(free_kb)})
    title, free, stays = picture.text.splitlines()
    assert title == says
    assert "the other 5,120 are CMA's" in free
    assert stays.endswith(f"375 of the min mark's 1,000: {ends}")


def test_bars_are_to_scale_and_torn_off_at_the_frame() -> None:
    html = budget({"x": zone()}).html
    flexes = [list(map(float, re.findall(r"flex: ([\d.]+)", bar))) for bar in html.split("<dd>")[1:]]
    assert flexes == [[355, 450 - 355], [375, 450 - 375]]
    assert [bar.count("clip-path") for bar in html.split("<dd>")[1:]] == [1, 0]
    assert html.count(f"left: {100 * 355 / 450:.4g}%") == 2


def test_requests_are_compared_only_with_the_same_pages() -> None:
    movable = zone(mask="0x100cca(GFP_HIGHUSER_MOVABLE)")
    with pytest.raises(ValueError, match="too many values"):
        budget({"atomic": zone(), "movable": movable})


def test_a_zone_that_keeps_nothing_has_a_frame_all_the_same() -> None:
    html = budget({"x": zone() | {"keep": 0, "reserve": 0}}).html
    assert html.count("clip-path") == 1
    assert "left: 100%" in html
