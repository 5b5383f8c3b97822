"""The key to the pictures: every mark has a sample and words, and a line of signs is the sum of its parts."""

from __future__ import annotations

import re

import pytest

from gfpmodel.show.legend import ENDS, LEGEND, apart
from gfpmodel.show.places import SIGNS


@pytest.mark.parametrize("part", LEGEND)
def test_every_sample_has_its_words(part: str) -> None:
    picture = LEGEND[part]()
    title, *means = picture.text.splitlines()
    assert title in picture.html
    assert len(means) == picture.html.count("<dt>") == picture.html.count("<dd>") > 1
    assert all(re.search(r"<(svg|i|b)\b|class=\"sign\"", sample) for sample in picture.html.split("<dt>")[1:])


def test_every_end_of_a_request_has_its_mark() -> None:
    assert set(ENDS) == set(SIGNS)
    said = LEGEND["verdicts"]().html
    assert all(f"{mark} {word}" in said for mark, word in SIGNS.values())


def test_a_line_of_signs_is_shown_with_its_parts() -> None:
    picture = apart([("<1", "the first"), (">2", "the second")], "<1>2")
    assert picture.text.splitlines() == ["<1>2", "  <1           the first", "  >2           the second"]
    assert "<code>&lt;1</code><span>the first</span>" in picture.html
