"""What several test files share."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from gfpmodel.cli import main

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = Path("/usr/bin/chromium")
# without these Chromium talks to its maker's hosts at every start
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: Seconds after which something hangs.  No test looks at a clock otherwise: speed is measured in bench/.
PATIENCE = 240
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def bulk_but(every: int, values: Iterable[Any]) -> list[Any]:
    """Mark values of a parametrized test as bulk, but one in so many: those also run interpreted, and are traced."""
    rows = [value if isinstance(value, tuple) else (value,) for value in values]
    return [pytest.param(*row, marks=pytest.mark.bulk if n % every else ()) for n, row in enumerate(rows)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spare bulk the tracer of coverage, which takes as long again: smaller tests go through the same lines."""
    for item in items:
        if item.get_closest_marker("bulk"):
            item.add_marker("no_cover")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """Return a function that runs a command line in this process: status, stdout, stderr."""

    def call(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(list(args))
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


@pytest.fixture(scope="session")
def results() -> dict[str, Any]:
    """Return the shipped results that the scorecard reads."""
    from gfpmodel.evidence.scorecard import load_results

    return load_results(Path(__file__).parents[1] / "book/data")


@pytest.fixture(scope="session")
def card(results: dict[str, Any]):
    """Return the scorecard of the shipped results."""
    from gfpmodel.evidence.scorecard import scorecard

    return scorecard(results)


def need(condition: bool, what: str) -> None:
    """Leave a test of pages out, and say why; where CI is set, fail."""
    if not condition:
        leave_out = pytest.fail if os.environ.get("CI") else pytest.skip
        leave_out(f"page tests left out: {what}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return the one Chromium of a run: playwright does not start twice in a process."""
    need(CHROMIUM.exists(), f"there is no {CHROMIUM}")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE * 1000)
        be_patient(chromium)
        yield chromium
        chromium.close()


def be_patient(browser: Browser) -> None:
    """Let everything that a page is asked wait as long as a busy machine needs."""
    made = browser.new_context

    def new_context(**options: Any) -> BrowserContext:
        context = made(**options)
        context.set_default_timeout(PATIENCE * 1000)
        return context

    browser.new_context = new_context  # type: ignore[method-assign]
    expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="session")
def site() -> Path:
    """Return the folder of the built book."""
    folder = ROOT / "_build" / "html"
    need(folder.is_dir(), "the book is not built (make book)")
    return folder


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def origins(site: Path) -> Iterator[dict[str, str]]:
    """Return the two ways to open the book, as the beginnings of its addresses."""
    handler = functools.partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"http": f"http://127.0.0.1:{server.server_port}/", "file": site.as_uri() + "/"}
        server.shutdown()


WIDGETS_READY = """() => {
    const wanted = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');
    return document.querySelectorAll('.widget-subarea > .jupyter-widgets').length >= wanted.length; }"""
MATH_READY = "() => window.MathJax?.startup?.promise"


class Visit:
    """A tab, in which one page is opened after another, with notes of what goes wrong on each."""

    def __init__(self, browser: Browser, origin: str, **options: Any) -> None:
        self.origin = origin
        self.name = ""
        self.faults: list[str] = []
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.note_address(request.url))
        self.page.on("websocket", lambda socket: self.note_address(socket.url))
        self.page.on("requestfailed", lambda request: self.note_failure(request.url, request.failure))
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        self.page.on("console", lambda message: self.note_console(message.type, message.text))

    def note_address(self, url: str) -> None:
        if not url.startswith((self.origin, "data:", "blob:")):
            self.faults.append(f"leaves the site: {url}")

    def note_failure(self, url: str, why: str | None) -> None:
        if why != "net::ERR_ABORTED":  # what still loads when the test leaves a page is given up: no fault of the page
            self.faults.append(f"not loaded: {url} ({why})")

    def note_console(self, kind: str, text: str) -> None:
        if kind == "error":
            self.faults.append(f"console: {text}")

    def begin(self) -> None:
        """Leave what the tests before did, and forget what they saw."""
        self.page.goto("about:blank")
        self.page.emulate_media(media="null", color_scheme="light")
        self.page.set_viewport_size({"width": 1280, "height": 720})
        self.page.mouse.move(0, 0)
        self.faults.clear()

    def open(self, page: str, until: Any = "load") -> Page:
        self.page.goto(self.origin + page, wait_until=until)
        self.page.wait_for_function(WIDGETS_READY)
        self.page.evaluate(MATH_READY)
        return self.page

    def look(self, scheme: str, width: int, height: int = 900) -> Page:
        """Make the page light or dark and so wide."""
        self.page.emulate_media(color_scheme=scheme, media="null")  # type: ignore[arg-type]
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
        return self.page


@pytest.fixture(scope="session")
def visits(browser: Browser, origins: dict[str, str]) -> Iterator[Callable[..., Visit]]:
    """Return a function that gives the one tab for a way to open the book, empty.

    The pages share their scripts, which take most of the time of opening one where a browser does not know them.
    """
    made: dict[Any, Visit] = {}

    def visit(way: str, **options: Any) -> Visit:
        key = (way, *options.items())
        if key not in made:
            made[key] = Visit(browser, origins[way], **options)
        made[key].begin()
        return made[key]

    yield visit
    for one in made.values():
        one.context.close()
