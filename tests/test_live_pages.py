"""The model in the reader's browser: the built pages, from a server and as files, answer as this Python does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

from gfpmodel.exercises import Question, mask_question
from gfpmodel.show import live
from tests.conftest import Visit
from tests.test_pages import AXE, SHUT_OUT, UNFOLD, keep_picture

Visits = Callable[..., Visit]
pytestmark = [pytest.mark.pages, pytest.mark.xdist_group("live")]

BOX = ".gfp-live-only:has(.gfp-ask)"
WAKE, ANOTHER = "Run the model here", "Another question"
FAILURE = """kworker/0:1: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL|__GFP_COMP), nodemask=(null)
CPU: 0 PID: 17 Comm: kworker/0:1 Not tainted 5.10.0-8-amd64 #1"""
#: What is put into the controls of a page's box, by the argument that each gives: a text, a number, a place in a menu.
OWN: dict[str, list[dict[str, str | int]]] = {
    "book/two_phases.html": [{"ops": "+0 +0 -1 d0 +3", "at": 3}, {"ops": "+0m! +2r <b>", "at": 0}],
    "book/nesting.html": [
        {"where": "mutex>hardirq>raw:mine", "kernel": 1, "request": 1},
        {"where": "raw:krc.lock", "kernel": 0, "request": 0},
    ],
    "book/bits.html": [{"text": "GFP_NOWAIT|__GFP_NOWARN", "under": 1}, {"text": "0x2800", "under": 0}],
    "book/index.html": [{"text": FAILURE}, {"text": "<img src=x onerror=alert(1)>"}],
}


def wake(page: Page) -> None:
    assert not page.locator(BOX).first.is_visible(), "nothing is shown that would be dead"
    page.get_by_role("button", name=WAKE).click()
    page.wait_for_selector("html.gfp-awake", state="attached")
    answered(page)
    assert page.locator(BOX).first.is_visible()


def answered(page: Page) -> None:
    """Wait until no box waits for an answer."""
    page.locator(f"{BOX}[aria-busy=true]").first.wait_for(state="detached")


def choose(page: Page, name: str, wanted: str | int) -> None:
    """Put a value into the control of an argument."""
    control = page.locator(f".gfp-arg-{name}").first
    if isinstance(wanted, str):
        control.locator("input, textarea").fill(wanted)
    elif control.locator("select").count():
        control.locator("select").select_option(index=wanted)
    else:
        control.locator(".noUi-target").evaluate("(e, at) => e.noUiSlider.set(at)", wanted)
    answered(page)


def expected(said: str, chosen: dict[str, str | int]) -> dict[str, str]:
    """Return what this Python answers to what a page's box says that it asks, with these values."""
    asks = json.loads(said)
    given = {name: values[chosen[name]] if values else chosen[name] for name, values in asks["values"].items()}
    return live.answer(asks["picture"], {**asks["fixed"], **given})


@pytest.fixture(scope="module", params=[(name, way) for name in OWN for way in ("file", "http")], ids="-".join)
def awake(request: pytest.FixtureRequest, visits: Visits) -> Visit:
    """Return a page whose model was woken once for all the tests that look at it."""
    name, way = request.param
    visit = visits(way)
    visit.name = name
    wake(visit.open(name))
    return visit


def test_values_of_ones_own_give_the_picture_of_this_python_and_a_fault_keeps_the_last(awake: Visit) -> None:
    page, shown = awake.page, ""
    for chosen in OWN[awake.name]:
        for name, wanted in chosen.items():
            choose(page, name, wanted)
        found = expected(page.locator(".gfp-ask").first.get_attribute("data-ask") or "", chosen)
        shown = found.get("html", shown)
        assert page.locator(".gfp-ask").first.evaluate("e => e.gfpAnswer") == shown
        assert page.locator(".gfp-fault").first.inner_text().strip() == found.get("fault", "")
        assert page.locator(".gfp-shown").first.is_visible()
    assert not page.locator(".gfp-fault :is(b, img)").count()
    assert "own=" in page.url
    assert not awake.faults


def test_a_page_with_the_model_awake_looks_as_it_should(awake: Visit) -> None:
    page, shut_out = awake.page, []
    choose(page, *next(iter(OWN[awake.name][0].items())))
    if awake.origin.startswith("http"):
        return  # the same page
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for scheme, width in (("light", 1280), ("dark", 400)):
        awake.look(scheme, width)
        page.evaluate(UNFOLD)
        overhang = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found = page.evaluate(SHUT_OUT, scheme)
        keep_picture(page, f"awake-{Path(awake.name).stem}-{scheme}-{width}", wrong=overhang > 0 or bool(found))
        assert overhang <= 0, f"the page is {overhang} px wider than the window"
        shut_out += found
    assert not shut_out, "\n".join(shut_out)


def answer(page: Page, question: Question) -> None:
    """Answer the first question of a page, wrong in the first line, then right, then show the answers."""
    form = page.locator("form.gfp-question").first
    fields = form.locator("[data-sum]").all()
    check, said = form.get_by_role("button", name="Check"), form.get_by_role("status")
    for field, item in zip(fields, question.items, strict=True):
        field.select_option(item.truth)
    fields[0].select_option(next(word for word in question.items[0].choices if word != question.items[0].truth))
    check.press("Enter")
    assert question.items[0].hint in said.inner_text()
    fields[0].select_option(question.items[0].truth)
    check.press("Enter")
    assert said.inner_text() == "right"
    fields[0].select_option("")
    form.get_by_role("button", name="Show the answers").press("Enter")
    assert [field.input_value() for field in fields] == [item.truth for item in question.items]


def test_another_question_is_asked_when_the_model_is_awake(awake: Visit) -> None:
    if awake.name != "book/bits.html":
        return  # one page is enough
    page = awake.page
    page.evaluate(UNFOLD)
    page.get_by_role("button", name=ANOTHER).first.press("Enter")
    page.get_by_text("This is the question of seed 4.").wait_for()
    answer(page, mask_question(seed=4))
    assert not awake.faults


def test_a_link_to_a_case_asks_first_and_then_opens_it(visits: Visits) -> None:
    visit = visits("file")
    page = visit.open('book/two_phases.html#own=[0,{"ops":"%2B0+-1","at":2}]')
    assert "This link holds a case" in page.locator(".gfp-live-bar").inner_text()
    wake(page)
    assert page.locator(".gfp-ask").evaluate("e => e.gfpAnswer") == live.steps("+0 -1", 2).html
    page.evaluate("""() => { location.hash = 'own=[0,{"ops":"%2B0+%2B1","at":1}]'; }""")
    page.wait_for_function("document.querySelector('.gfp-arg-ops input').value === '+0 +1'")
    answered(page)
    assert page.locator(".gfp-ask").evaluate("e => e.gfpAnswer") == live.steps("+0 +1", 1).html
    assert not visit.faults


def broken(route: Route) -> None:
    route.fulfill(status=404)


def slow(route: Route) -> None:
    """Never answer."""


def test_what_fails_is_said_and_the_frames_stay(visits: Visits) -> None:
    visit = visits("http")
    page = visit.open("book/two_phases.html")
    button = page.get_by_role("button", name=WAKE)
    page.route("**/gfp.zip.gz*", broken)
    button.click()
    page.get_by_text("could not be started (gfp.zip.gz: the server says 404); what was drawn ahead works").wait_for()
    page.unroute_all(behavior="ignoreErrors")
    page.route("**/gfp.zip.gz*", slow)
    button.press("Enter")
    page.get_by_role("button", name="Give up").press("Enter")
    page.get_by_text("Given up; nothing was changed.").wait_for()
    assert button.evaluate("e => e === document.activeElement"), "the keyboard stays where it was"
    page.unroute_all(behavior="ignoreErrors")
    wake(page)


def test_a_question_is_answered_in_the_page(visits: Visits) -> None:
    visit = visits("file")
    page = visit.open("book/bits.html")
    page.evaluate(UNFOLD)
    answer(page, mask_question(seed=3))
    assert not page.get_by_role("button", name=ANOTHER).count(), "it would be dead"
    assert not visit.faults


def test_what_stays_drawn_ahead_says_so(visits: Visits) -> None:
    visit = visits("file")
    page = visit.open("book/proposal_gfp0.html")
    assert "computed beforehand" in page.locator(".gfp-ahead").inner_text()
    assert not visit.faults
