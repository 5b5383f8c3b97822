"""How quickly a live notebook answers: JupyterLab in Chromium, from a key press to the new picture on the screen.

Opens a scratch notebook with the widgets of *Bits*, moves each control, types into the box for a mask of one's own,
and prints the median and the slowest answer.  Needs /usr/bin/chromium; says so and leaves out if it is missing.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

OUT = Path(__file__).resolve().parent.parent / "_build" / "bench-live.json"
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
PORT, TOKEN = 8931, "bench"
CELL = """
from gfpmodel.gfp import variants, layout
from gfpmodel.show.widgets import layout_browser, mask_reader, shift_slider
import ipywidgets as W
pair = list(variants("v5.8-rc3+FAST_TRY"))
W.VBox([layout_browser("v5.8-rc3"), shift_slider("__GFP_FAST_TRY", pair, range(22, 31)),
        mask_reader({"a": 0xcc0, "b": 0x800000}, [*pair, layout("v6.1")])])
"""
#: Starts to look for a change of the shown pictures; window.answered resolves with the milliseconds from the first
#: key press or change of a list to the first frame in which they differ, or -1 after 5 s.
LOOK = """() => {
    const shown = () => [...document.querySelectorAll('.jp-OutputArea .widget-html-content')]
        .filter((e) => e.checkVisibility()).map((e) => e.innerHTML).join();
    const before = shown(), opened = performance.now();
    let begin = 0;
    for (const what of ['keydown', 'change'])
        document.addEventListener(what, () => { begin ||= performance.now(); }, {once: true, capture: true});
    window.answered = new Promise((done) => {
        const look = (now) => begin && shown() !== before ? done(performance.now() - begin)
            : now - opened > 5000 ? done(-1) : requestAnimationFrame(look);
        requestAnimationFrame(look);
    });
}"""


def notebook() -> dict[str, object]:
    """Return a notebook with the one cell that makes the widgets."""
    cell: dict[str, object] = {
        "cell_type": "code",
        "id": "w",
        "source": CELL,
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def wait_for_server() -> None:
    """Wait until the server answers, 60 s at most."""
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/api?token={TOKEN}", timeout=1)
            return
        except OSError:
            time.sleep(0.25)
    raise TimeoutError("JupyterLab did not answer within 60 s")


def answer(page: Page, act: Callable[[], object]) -> float:
    """Do something and return the milliseconds until the shown pictures have changed."""
    page.evaluate(LOOK)
    act()
    return float(page.evaluate("() => window.answered"))


def measure(page: Page) -> dict[str, dict[str, float]]:
    """Return the answer times of every control."""
    lists, results = page.locator(".jp-OutputArea .jupyter-widgets select"), {}
    for label, control in (("kernel list", lists.first), ("mask list", lists.nth(-2))):
        times = [answer(page, partial(control.select_option, index=i % 2)) for i in range(1, 9)]
        results[label] = summary(label, times)
    page.locator(".jp-OutputArea .noUi-handle").last.focus()
    keys = ["ArrowLeft", "ArrowRight"] * 4
    results["shift slider"] = summary("shift slider", [answer(page, partial(page.keyboard.press, key)) for key in keys])
    page.locator(".gfp-live-only input").focus()
    results["own mask"] = summary("own mask", [answer(page, partial(page.keyboard.press, key)) for key in "12345678"])
    return results


def summary(label: str, times: list[float]) -> dict[str, float]:
    """Return median and maximum; a control that did not answer is an error."""
    if min(times) < 0:
        raise TimeoutError(f"{label}: the picture did not change within 5 s ({times})")
    return {"median_ms": round(statistics.median(times), 1), "max_ms": round(max(times), 1)}


def main() -> int:
    """Print the table; return 0."""
    if not CHROMIUM.exists():
        print(f"live widgets: left out, there is no {CHROMIUM}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "live.ipynb").write_text(json.dumps(notebook()))
        lab = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
        options = [f"--port={PORT}", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}"]
        with subprocess.Popen([*lab, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                wait_for_server()
                results = drive()
            finally:
                server.terminate()
    print(f"{'live widget':<24}{'median ms':>10}{'max ms':>10}")
    for name, row in results.items():
        print(f"{name:<24}{row['median_ms']:>10.1f}{row['max_ms']:>10.1f}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"live": results}, indent=1) + "\n", encoding="utf-8")
    return 0


def drive() -> dict[str, dict[str, float]]:
    """Open the notebook, run it, and measure."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{PORT}/lab/tree/live.ipynb?token={TOKEN}", wait_until="domcontentloaded")
        page.locator(".jp-Notebook .cm-content").first.click(timeout=60_000)
        page.wait_for_timeout(3000)  # the kernel connects
        page.keyboard.press("Shift+Enter")
        page.locator(".jp-OutputArea .noUi-handle").last.wait_for(timeout=60_000)
        page.wait_for_timeout(1000)
        results = measure(page)
        browser.close()
        return results


if __name__ == "__main__":
    sys.exit(main())
