"""The grid of places and ways: every square says its verdict, in a sign, in words and in the text that it opens."""

from __future__ import annotations

import re
from html import unescape

import ipywidgets as W
import pytest

from gfpmodel.locking.contexts import STACKS
from gfpmodel.locking.matrix import CONFIGS, Matrix, matrix
from gfpmodel.locking.spoken import PLACES, spoken
from gfpmodel.show.matrices import status
from gfpmodel.show.places import SIGNS
from gfpmodel.show.squares import BEFORE, KERNELS, WORST, frame_of, grid, matrix_browser, told

FEW = ("task", "raw", "hrt", "hrt_spin", "zone_lock")
NESTING, RT = "PROVE_RAW_LOCK_NESTING", "PREEMPT_RT 2020"
SQUARE = re.compile(r'<td class="(\w+)" data-label="([^"]+)"><label title="([^"]+)">.*?id="([^"]+)".*?</td>', re.DOTALL)


@pytest.fixture(scope="module", params=(NESTING, RT))
def cells(request: pytest.FixtureRequest) -> Matrix:
    return matrix(("fast_try", "gfp0", "trylock"), (0,), FEW, configs=(request.param,))


def text_below(html: str, square: str) -> str:
    """Return what the style sheet shows when a square is pressed."""
    [number] = re.findall(rf":has\(#{square}:checked\) \.t(\d+)\b", html)
    [text] = re.findall(rf'<div class="t t{number}">(.*?)</div>', html, re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", "", text))


def test_every_name_of_the_model_has_words_and_no_two_have_the_same() -> None:
    for words, names in ((PLACES, STACKS), (KERNELS, CONFIGS)):
        assert set(words) == set(names)
        assert len(set(words.values())) == len(words)
    assert set(WORST) == set(SIGNS)


def test_a_square_has_the_verdicts_of_both_lists(cells: Matrix) -> None:
    html = grid(cells, "title").html
    squares = iter(SQUARE.findall(html))
    for context in FEW:
        for way in ("fast_try", "gfp0", "trylock"):
            pair = cells.select(context=context, proposal=way).cells
            worst, label, words, at = next(squares)
            assert label == spoken(way)
            assert worst in {status(c.verdict) for c in pair}
            assert all(told(c.verdict) in unescape(words) for c in pair)
            assert all(told(c.verdict) in text_below(html, at) for c in pair)
    assert not list(squares)


def test_the_text_has_every_verdict(cells: Matrix) -> None:
    _, head, *lines = grid(cells, "title").text.splitlines()
    assert re.split(r" {2,}", head.strip()) == [spoken(way) for way in ("fast_try", "gfp0", "trylock")]
    assert [line.split("  ")[0] for line in lines] == [PLACES[name] for name in FEW]


def test_what_is_printed_stands_below_its_square() -> None:
    found = grid(matrix(("gfp0",), (0,), ("raw",), configs=(NESTING,)), "title", start=("raw", "gfp0")).html
    [(worst, _, words, at)] = SQUARE.findall(found)
    assert worst == "reported"
    assert "List empty: takes &zone->lock; gets a page; the kernel prints “Invalid wait context on &zone->lock”" in (
        unescape(words)
    )
    assert "[ BUG: Invalid wait context ]" in text_below(found, at)
    assert found.count(" checked>") == 1


def test_the_words_of_a_verdict() -> None:
    def said(way: str, where: str, pcp: str, config: str = NESTING) -> str:
        [cell] = matrix((way,), (0,), (where,), (pcp,), (config,)).cells
        return told(cell.verdict)

    assert said("fast_try", "raw", "dry") == "takes no lock; gets NULL; nothing is printed"
    assert said("trylock", "raw", "dry") == "only tries &zone->lock; gets a page; nothing is printed"
    assert "never returns, for this CPU waits for itself" in said("gfp0", "zone_lock", "dry")
    assert "although an NMI may have interrupted" in said("fast_try", "nmi", "warm")
    assert said("fast_try", "hrt_spin", "warm", "PREEMPT_RT today") == BEFORE


def test_contexts_share_a_row_only_if_every_answer_is_the_same() -> None:
    cells = matrix(("fast_try", "gfp0"), (0,), pcps=("dry",), configs=(RT,))
    html = frame_of(cells).html
    heads = re.findall(r'<th scope="rowgroup".*?</th>', html)
    listed = [re.findall(r"<small>(\w+)</small>", head) for head in heads]
    assert sorted(name for names in listed for name in names) == sorted(STACKS)
    for names in listed:
        said = {tuple(told(c.verdict) for c in cells.select(context=name).cells) for name in names}
        assert len(said) == 1
    assert len(heads) < len(STACKS)


def test_the_browser_has_a_frame_for_every_choice() -> None:
    browser = matrix_browser(matrix(("fast_try", "gfp0"), (0, 1), FEW, configs=(NESTING, RT)))
    assert [w.description for w in browser.children if isinstance(w, W.Dropdown)] == ["kernel", "asks for", "lists"]
    stack = browser.children[-1]
    frames = [frame.value for kernel in stack.children for order in kernel.children for frame in order.children]
    titles = [re.findall('gfp-finding">([^<]+)<', frame)[0] for frame in frames]
    assert len(set(titles)) == len(titles) == 8
    assert titles[1] == "v5.8 with PROVE_RAW_LOCK_NESTING: one page, list empty"


def test_words_from_outside_cannot_break_the_page(cells: Matrix) -> None:
    assert "<script>" not in grid(cells, "<script>").html
