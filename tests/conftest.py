"""What several test files share."""

import functools
import os
import threading
from collections.abc import Iterable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

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
PATIENCE = 600
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
