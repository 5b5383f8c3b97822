"""The meeting's page in Chromium: a case is chosen by keyboard, stands in the address, and goes into a mail."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.test_pages import AXE, keep_picture

ROOT = Path(__file__).resolve().parents[2]
CASE = "proposal=fast_try&order=1&context=raw&config=PROVE_RAW_LOCK_NESTING&load=freed_elsewhere"
#: What axe-core finds, of any weight, with everything unfolded.
VIOLATIONS = """async () => {
    document.querySelectorAll('details, .own').forEach((e) => { e.open = true; e.hidden = false; });
    const { violations } = await axe.run({ resultTypes: ['violations'] });
    return violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 120)}`)); }"""

pytestmark = [pytest.mark.pages, pytest.mark.xdist_group("meeting")]


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """Return the one tab of all these tests: in a new one the browser compiles the page's scripts and axe again."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    yield context.new_page()
    context.close()


@pytest.fixture
def visit(tab: Page, address: str):
    """Return a function that opens the page; afterwards nothing may have failed or left the server."""
    faults: list[str] = []
    origin = address.split("/meeting", maxsplit=1)[0] + "/"
    allowed = [""]

    def note_console(kind: str, text: str) -> None:
        if kind == "error" and not (allowed[0] and allowed[0] in text):
            faults.append(text)

    heard: dict[Any, Callable[[Any], None]] = {
        "request": lambda it: None if it.url.startswith((origin, "data:")) else faults.append(it.url),
        "pageerror": lambda error: faults.append(str(error)),
        "console": lambda it: note_console(it.type, it.text),
    }
    for event, hear in heard.items():
        tab.on(event, hear)

    def opened(case: str = "", allow: str = "", scheme: Any = "light", width: int = 1280) -> Page:
        allowed[0] = allow
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": 900})
        tab.goto(f"{address}&{case}" if case else address)
        return tab

    yield opened
    tab.unroute_all(behavior="ignoreErrors")
    tab.goto("about:blank")
    for event, hear in heard.items():
        tab.remove_listener(event, hear)
    assert not faults


def answered(page: Page, text: str) -> None:
    """Wait until the page says so and is no longer working; a locator, because the page allows no eval."""
    page.locator("main:has(#shown:not(.stale)) > #status", has_text=text).wait_for()


def test_a_case_by_keyboard(visit) -> None:
    page = visit()
    answered(page, "proposal nowait, one page, while a raw spinlock is held: page; ✕ Invalid wait context")
    assert "token" not in page.url
    page.locator("#request").focus()
    page.keyboard.type("gfp0")
    answered(page, "proposal gfp0")
    page.keyboard.press("Tab")
    page.keyboard.type("1")
    page.keyboard.press("Tab")
    page.keyboard.type("hrt_raw")
    page.locator("#config").focus()
    page.keyboard.press("ArrowUp")
    answered(page, "proposal gfp0, 2 pages, in a hard interrupt that holds a raw spinlock: page; nothing is printed")
    page.keyboard.press("ArrowDown")
    answered(page, "2 pages, in a hard interrupt that holds a raw spinlock: page; ✕ Invalid wait context")
    assert "BUG: Invalid wait context" in page.locator("#shown").inner_text()
    before, there = page.locator("#shown").inner_html(), page.url
    page.reload()
    answered(page, "proposal gfp0, 2 pages")
    assert page.locator("#shown").inner_html() == before
    page.locator("#copy").focus()
    page.keyboard.press("Enter")
    page.get_by_text("The text is copied.").wait_for()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied == page.locator("#block").inner_text()
    assert "python -m gfpmodel verdict --proposal=gfp0" in copied
    page.go_back()
    answered(page, "proposal gfp0, 2 pages, in a hard interrupt that holds a raw spinlock: page; nothing is printed")
    page.go_forward()
    answered(page, "✕ Invalid wait context")
    assert page.url == there


def test_a_stack_of_ones_own(visit) -> None:
    page = visit()
    answered(page, "one page")
    page.locator("#context").select_option("own")
    page.get_by_text("Type your stack").wait_for()
    page.locator("#context").press("Tab")
    page.keyboard.type("mutex>hardirq>raw:krc.lock")
    page.keyboard.press("Enter")
    answered(page, "in mutex>hardirq>raw:krc.lock")
    page.reload()
    answered(page, "in mutex>hardirq>raw:krc.lock")
    assert page.locator("#context-own").input_value() == "mutex>hardirq>raw:krc.lock"


@pytest.mark.parametrize(
    ("case", "said"), [("proposal=fast_tri", "did you mean fast_try"), ("context=%3Cb", "unknown context '<b'")]
)
def test_a_bad_address_is_told_and_left(visit, case: str, said: str) -> None:
    page = visit(case, allow="400")
    answered(page, said)
    assert not page.locator("#take").is_visible()
    page.locator("#context").select_option("task")
    page.locator("#order").select_option("1")
    answered(page, "2 pages, in a task")


def test_two_cases_side_by_side(visit) -> None:
    page = visit()
    choice = page.locator("#choice")
    answered(page, "proposal nowait, one page, while a raw spinlock is held: page; ✕ Invalid wait context")
    assert choice.inner_text().startswith("B: it gets its page")
    assert page.locator("#beside").inner_text().startswith("B: proposal trylock, one page, while a raw")
    page.locator("#swap").click()
    answered(page, "proposal trylock, one page, while a raw spinlock is held: page")
    assert choice.inner_text().startswith("A: it gets its page")
    page.locator("#keep").click()
    page.locator("#beside", has_text="B: proposal trylock").wait_for()
    page.locator("#request").select_option("proposal:fast_try")
    answered(page, "proposal fast_try, one page, while a raw spinlock is held: NULL")
    assert choice.inner_text().startswith("B: it gets its page, and nothing is printed. A gets NULL")
    page.reload()
    page.locator("#beside", has_text="B: proposal trylock").wait_for()
    page.locator("#drop").click()
    page.locator("#beside[hidden]").wait_for(state="attached")
    assert page.url.endswith("versus=")


def test_the_notebook_downloads(visit) -> None:
    page = visit(CASE)
    answered(page, "Invalid wait context")
    with page.expect_download() as download:
        page.locator("#notebook").click()
    assert '"nbformat": 4' in Path(download.value.path()).read_text()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 400), ("dark", 400)])
def test_it_looks_right(visit, scheme: str, width: int) -> None:
    page = visit(f"{CASE}&versus=proposal%3Dtrylock", scheme=scheme, width=width)
    answered(page, "Invalid wait context")
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    keep_picture(page, f"meeting-{scheme}-{width}", wrong=wide > width)
    assert wide <= width
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.evaluate(VIOLATIONS) == []


REPORT = next((ROOT / "tests" / "data" / "reports").glob("11*.txt")).read_text(encoding="utf-8")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 400), ("dark", 400)])
def test_what_the_kernel_printed(visit, scheme: str, width: int) -> None:
    page = visit(scheme=scheme, width=width, allow="400")
    answered(page, "one page")
    there = page.url
    page.locator("#paste summary").focus()
    page.keyboard.press("Enter")
    page.locator("#printed").fill(REPORT.replace("worker: page", "<img src=x onerror=alert(1)>: page"))
    page.locator("#report button").press("Enter")
    page.get_by_text("1 report found").wait_for()
    page.locator("#explained summary").click()
    assert "task: <img src=x onerror=alert(1)>" in page.locator("#explained").inner_text()
    assert page.locator("#explained img").count() == 0
    assert page.url == there, "the text is no part of the address"
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    keep_picture(page, f"report-{scheme}-{width}", wrong=wide > width)
    assert wide <= width
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.evaluate(VIOLATIONS) == []
    page.locator("#printed").fill("hello")
    page.locator("#report button").press("Enter")
    page.get_by_text("no report found").wait_for()
    assert page.locator("#explained").inner_text() == ""


LOCKS = next((ROOT / "tests" / "data" / "reports").glob("21*.txt")).read_text(encoding="utf-8")


def test_a_report_leads_to_its_case(visit) -> None:
    page = visit()
    answered(page, "one page")
    page.locator("#paste summary").click()
    page.locator("#printed").fill(LOCKS)
    page.locator("#report button").click()
    page.locator("#cases a").click()
    answered(page, "GFP_NOWAIT|__GFP_NOWARN, one page, in raw_irqsave:ft_raw: page; ✕ Invalid wait context")
    assert "kernel=5.9.1" in page.url
    assert page.locator("#kernel").input_value() == "5.9.1"
    page.locator("#pcp").select_option("warm")  # the report's kernel stays, whatever else is chosen
    answered(page, "nothing is printed")
    assert "kernel=5.9.1" in page.url


def test_a_late_answer_does_not_replace_a_newer_one(visit) -> None:
    page = visit()
    answered(page, "one page")
    held: list[Route] = []
    of_order_1 = re.compile(r"/case\.json\?.*order=1&")

    def hold(route: Route) -> None:
        held.append(route)

    page.route(of_order_1, hold)
    page.locator("#order").select_option("1")
    page.locator("#order").select_option("2")
    answered(page, "4 pages")
    there = page.url
    with page.expect_response(of_order_1) as late:
        held[0].continue_()
    late.value.finished()
    page.wait_for_timeout(100)  # ms: it would be on the page by now
    assert "order=2" in there
    assert page.url == there
    answered(page, "4 pages")


def test_a_browser_that_does_not_copy(visit) -> None:
    page = visit()
    answered(page, "one page")
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    page.locator("#copy").click()
    page.get_by_text("the text is selected").wait_for()
    assert page.evaluate("() => String(getSelection())").strip() == page.locator("#block").inner_text().strip()
    page.locator("#copy-address").click()
    page.get_by_text("it is in the address bar").wait_for()
