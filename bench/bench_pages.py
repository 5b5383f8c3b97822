"""How soon the built book's pages answer: each page in Chromium, from opening the file to its first control's answer.

Prints for every page the size of its HTML, and the seconds from opening it until its widgets are there and until its
first dropdown or slider has changed what they show; each the best of three.  Exits 1, after the table, if a page needs
more than three seconds.  Needs the built book (``make book``) and /usr/bin/chromium; says so and leaves out if one is
missing.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench_live import CHROMIUM, FLAGS
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SITE, OUT = ROOT / "_build" / "html", ROOT / "_build" / "bench-pages.json"
TRIES = 3
MOST_SECONDS = 3
READY = """() => {
    const wanted = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');
    return document.querySelectorAll('.widget-subarea > .jupyter-widgets').length >= wanted.length; }"""
SHOWN = """() => [...document.querySelectorAll('.widget-html-content, .jupyter-widgets img')]
    .filter((e) => e.checkVisibility()).map((e) => e.src || e.innerHTML).join()"""
CONTROLS = ".jupyter-widgets :is(select, .noUi-handle):not(.gfp-live-only *)"


def move_first(page: Page) -> bool:
    """Move the first dropdown or slider of a page and wait for the new picture; returns whether there is one."""
    controls, before = page.locator(CONTROLS), page.evaluate(SHOWN)
    if not controls.count():
        return False
    if controls.first.evaluate("e => e.tagName") == "SELECT":
        size, chosen = controls.first.evaluate("e => [e.options.length, e.selectedIndex]")
        controls.first.select_option(index=(chosen + 1) % size)
    else:
        now, most = controls.first.evaluate("e => [e.ariaValueNow, e.ariaValueMax]")
        controls.first.press("ArrowLeft" if now == most else "ArrowRight")
    page.wait_for_function(f"before => ({SHOWN})() !== before", arg=before)
    return True


def visit(browser: Browser, name: str) -> tuple[float, float | None]:
    """Open a page; returns the seconds until its widgets are there and until its first control answered, if any."""
    page = browser.new_page()
    begin = time.perf_counter()
    page.goto((SITE / name).as_uri(), wait_until="domcontentloaded")
    page.wait_for_function(READY)
    there = time.perf_counter() - begin
    answered = time.perf_counter() - begin if move_first(page) else None
    page.close()
    return there, answered


def measure(browser: Browser, name: str) -> dict[str, float | None]:
    """Return the size of a page and the best of its times."""
    there, answered = zip(*(visit(browser, name) for _ in range(TRIES)), strict=True)
    controls = [seconds for seconds in answered if seconds is not None]
    return {
        "html_bytes": (SITE / name).stat().st_size,
        "widgets_s": round(min(there), 2),
        "control_s": round(min(controls), 2) if controls else None,
    }


def main() -> int:
    """Print the table; return 1 if a page answers too late."""
    names = sorted(path.relative_to(SITE).as_posix() for path in SITE.glob("book/*.html"))
    if not CHROMIUM.exists() or not names:
        print(f"pages: left out, there is no {'book (make book)' if CHROMIUM.exists() else CHROMIUM}")
        return 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        results = {name: measure(browser, name) for name in names}
        browser.close()
    print(f"{'page':<30}{'HTML kB':>9}{'widgets s':>11}{'control s':>11}")
    for name, row in results.items():
        control = "-" if row["control_s"] is None else f"{row['control_s']:.2f}"
        print(f"{name:<30}{(row['html_bytes'] or 0) / 1000:>9.0f}{row['widgets_s']:>11.2f}{control:>11}")
    OUT.write_text(json.dumps({"pages": results}, indent=1) + "\n", encoding="utf-8")
    late = [name for name, row in results.items() if max(row["control_s"] or 0, row["widgets_s"] or 0) > MOST_SECONDS]
    if late:
        print(f"slower than {MOST_SECONDS} s: {', '.join(late)}")
    return bool(late)


if __name__ == "__main__":
    sys.exit(main())
