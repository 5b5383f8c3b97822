"""What the drawings look like in a browser: letters of 13 px, nothing cut off, motion that ends where the page is."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from gfpmodel.locking import make_kernel
from gfpmodel.mm.exercises import small_machine
from gfpmodel.mm.script import run_script
from gfpmodel.proposals import proposal
from gfpmodel.show import chain, stepper
from gfpmodel.show.drawn import PANEL, Box, moved, origin, placed, travel
from gfpmodel.show.path import path
from gfpmodel.show.pictures import style
from gfpmodel.show.stacks import Ask, nested

PROVING = make_kernel("v5.8-rc3+FAST_TRY", {"PROVE_RAW_LOCK_NESTING": True})
#: Words of a drawing that stick out of it, or of which the letters are too small.
SMALL = """[...document.querySelectorAll('.gfp-drawn text, .gfp-stack *, .gfp-now, .gfp-time *, .gfp-kinds')]
    .filter(e => parseFloat(getComputedStyle(e).fontSize) < 13).map(e => e.outerHTML)"""
CUT = """[...document.querySelectorAll('.gfp-drawn svg')].flatMap(svg => {
    const room = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('text, .p')].filter(e => {
        const box = e.getBoundingClientRect();
        return box.left < room.left - 1 || box.right > room.right + 1 || box.bottom > room.bottom + 1;
    }).map(e => e.outerHTML);
})"""
MOVING = "document.getAnimations().length"


def test_what_has_no_room_shares_the_place_of_a_count() -> None:
    boxes = placed([(n, 0, 0) for n in range(9)], "a", (10, 20), 200, 40)
    assert [box.hidden for box in boxes] == [False] * 3 + [True] * 6
    assert {(box.x, box.y) for box in boxes[3:]} == {(10 + 3 * 44, 20)}
    assert not any(box.hidden for box in placed([(n, 0, 0) for n in range(4)], "a", (10, 20), 200, 40))


def test_a_block_comes_from_where_it_was_or_what_it_was_part_of() -> None:
    whole, page = Box(8, 3, 1, "b", 50, 60, 40), Box(10, 0, 1, "a", 5, 6, 40)
    assert origin(page, {(8, 3): whole}) is whole
    assert origin(whole, {(10, 0): page}) is page
    assert origin(page, {}) is None
    assert travel(page, whole, 4) == "--x:45;--y:54;--s:1;--d:4"
    assert travel(whole, page, 0) == "--x:-45;--y:-54;--s:-1"
    assert "gone" in moved([whole], [page])["a"]
    assert moved([page], [page])["a"].count("style") == 0


@functools.cache
def drawings() -> dict[str, str]:
    """Return drawings by name, each a moment in which much is to be seen."""
    steps = stepper.frames(small_machine(proposal("fast_try")), "+0m +0m +0 +2 -4 -1 -2 -3 d0", 2)
    blocks = chain.frames(chain.drawn_machine(proposal("fast_try")), 10)
    stack = nested(Ask("none")("mutex>hardirq>raw:krc.lock", PROVING), "mask 0")
    way = path(next(run_script(small_machine(), "+0")))
    return {"refill": steps[3].html, "steal": steps[12].html, "refused": blocks[10].html, "stack": stack.html} | {
        "way": way.html
    }


@pytest.fixture(scope="module", params=[(1280, "no-preference"), (400, "no-preference"), (400, "reduce")], ids=str)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[tuple[Page, int, str]]:
    """Return an empty page as wide as a desk's or a phone's, and what its reader says of motion."""
    width, motion = request.param
    opened = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion=motion)
    yield opened, width, motion
    opened.close()


@pytest.mark.pages
@pytest.mark.parametrize("name", drawings())
def test_a_drawing_fits_and_can_be_read(page: tuple[Page, int, str], name: str) -> None:
    opened, width, motion = page
    room = 660 if width == 1280 else 346
    opened.set_content(f'{style()}<div style="width:{room}px;font-family:sans-serif">{drawings()[name]}</div>')
    if motion == "reduce":
        assert opened.evaluate(MOVING) == 0
    opened.evaluate("document.getAnimations().forEach(one => one.finish())")
    assert opened.evaluate(SMALL) == []
    assert opened.evaluate(CUT) == []
    assert opened.evaluate(f"document.documentElement.scrollWidth <= {max(width, room + 16)}")
    widths = "[...document.querySelectorAll('.gfp-drawn svg')].map(e => e.getBoundingClientRect().width)"
    sizes = opened.evaluate(widths)
    assert all(size == (2 * PANEL + 12 if width == 1280 else PANEL) for size in sizes)


@pytest.mark.pages
def test_pages_fly_from_the_zone_to_the_list(browser: Browser) -> None:
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.set_content(f'{style()}<div style="width:660px">{drawings()["refill"]}</div>')
    opened.evaluate("document.getAnimations().forEach(one => { one.pause(); one.currentTime = 0; })")
    place = "document.querySelector('[data-page=\"4096/0\"]').getBoundingClientRect().x"
    begins = opened.evaluate(place)
    opened.evaluate("document.getAnimations().forEach(one => one.finish())")
    assert begins > PANEL > opened.evaluate(place)
    opened.close()
