"""The model in the reader's browser: the built pages, from a server and as files, answer as this Python does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route

from gfpmodel.exercises import mask_question
from gfpmodel.gfp import layout
from gfpmodel.show import live
from tests.conftest import Visit

Visits = Callable[..., Visit]
pytestmark = [pytest.mark.pages, pytest.mark.xdist_group("live")]

BOX = ".gfp-live-only:has(.gfp-ask)"
REPORT = """kworker/0:1: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL|__GFP_COMP), nodemask=(null)
CPU: 0 PID: 17 Comm: kworker/0:1 Not tainted 5.10.0-8-amd64 #1"""
OWN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "book/two_phases.html": ("steps", "+0 +0 -1 d0 +3", {"at": 3, "row": None}),
    "book/bits.html": ("mask", "GFP_NOWAIT|__GFP_NOWARN", {"under": live.of_layout(layout("v5.8-rc3+FAST_TRY"))}),
    "book/index.html": ("report", REPORT, {}),
}
FIELD = {"steps": "ops", "mask": "text", "report": "text", "stack": "where"}


def wake(page: Page) -> None:
    page.get_by_role("button", name="Run the model here").click()
    page.wait_for_selector("html.gfp-awake", state="attached")


def type_own(page: Page, field: str, text: str) -> None:
    box = page.locator(f".gfp-arg-{field} :is(input, textarea)").first
    box.fill(text)
    box.press("Tab")


def shows(page: Page, html: str) -> None:
    page.wait_for_function(
        "wanted => [...document.querySelectorAll('.gfp-ask')].some(e => e.gfpAnswer === wanted)", arg=html
    )


@pytest.mark.parametrize("way", ["file", "http"])
@pytest.mark.parametrize("name", OWN)
def test_a_value_of_ones_own_gives_the_picture_of_this_python(visits: Visits, name: str, way: str) -> None:
    picture, text, fixed = OWN[name]
    visit = visits(way)
    page = visit.open(name)
    assert not page.locator(BOX).first.is_visible(), "nothing is shown that would be dead"
    wake(page)
    assert page.locator(BOX).first.is_visible()
    if "at" in fixed:
        page.evaluate("at => document.querySelector('.gfp-arg-at .noUi-target').noUiSlider.set(at)", fixed["at"])
    type_own(page, FIELD[picture], text)
    shows(page, live.PICTURES[picture](**{FIELD[picture]: text}, **fixed).html)
    assert not visit.faults


def test_a_stack_of_ones_own_follows_the_menus_and_a_fault_keeps_the_picture(visits: Visits) -> None:
    visit = visits("file")
    page = visit.open("book/nesting.html")
    wake(page)
    type_own(page, "where", "mutex>hardirq>raw:mine")
    page.wait_for_function("document.querySelector('.gfp-shown').textContent.includes('mine')")
    before = page.locator(".gfp-shown").inner_text()
    type_own(page, "where", "<img src=x onerror=alert(1)>")
    page.wait_for_function("document.querySelector('.gfp-fault').textContent.includes('<img')")
    assert page.locator(".gfp-shown").inner_text() == before
    assert not page.locator(".gfp-fault img").count()
    type_own(page, "where", "raw:krc.lock")
    page.locator(".gfp-arg-kernel select").select_option(index=0)
    page.wait_for_function("document.querySelector('.gfp-shown').textContent.includes('nothing is printed')")
    assert "own=" in page.url
    assert not visit.faults


def test_a_link_to_a_case_asks_first_and_then_opens_it(visits: Visits) -> None:
    visit = visits("file")
    page = visit.open('book/two_phases.html#own=[0,{"ops":"+0+-1","at":2}]')
    assert "This link holds a case" in page.locator(".gfp-live-bar").inner_text()
    wake(page)
    shows(page, live.steps("+0 -1", 2).html)
    assert not visit.faults


def broken(route: Route) -> None:
    route.fulfill(status=404)


def slow(route: Route) -> None:
    """Never answer."""


@pytest.mark.parametrize(
    ("handler", "says"),
    [(broken, "gfp.zip.gz: the server says 404"), (slow, "Given up; nothing was changed.")],
)
def test_what_fails_is_said_and_the_frames_stay(visits: Visits, handler: Callable[[Route], None], says: str) -> None:
    visit = visits("http")
    page = visit.open("book/two_phases.html")
    page.route("**/gfp.zip.gz", handler)
    page.get_by_role("button", name="Run the model here").click()
    if handler is slow:
        page.get_by_role("button", name="Give up").click()
    page.get_by_text(says).wait_for()
    assert page.get_by_role("button", name="Run the model here").is_visible()
    assert not page.locator(BOX).first.is_visible()
    page.unroute_all(behavior="ignoreErrors")
    wake(page)
    assert page.locator(BOX).first.is_visible()


def test_a_question_is_answered_in_the_page(visits: Visits) -> None:
    question = mask_question(seed=3)
    visit = visits("file")
    page = visit.open("book/bits.html")
    page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    form = page.locator("form.gfp-question").first
    fields = form.locator("[data-sum]").all()
    for field, item in zip(fields, question.items, strict=True):
        field.select_option(item.truth)
    form.get_by_role("button", name="Check").click()
    assert form.get_by_role("status").inner_text() == "right"
    fields[0].select_option(next(word for word in question.items[0].choices if word != question.items[0].truth))
    form.get_by_role("button", name="Check").click()
    assert question.items[0].hint in form.get_by_role("status").inner_text()
    form.get_by_role("button", name="Show the answers").click()
    assert [field.input_value() for field in fields] == [item.truth for item in question.items]
    assert not visit.faults
