"""What the model in the built page costs, and whether it is exact: bytes, time, memory, golden files.

Prints the bytes of each part as a server sends them; for a page that wakes the model the CPU-seconds of all of
Chromium's processes until the first picture of one's own is drawn, and the memory of the tab; the median from a control
to its picture, for each explorer; and how many golden files the page's Python and its engine (WebAssembly) agree with.
Exits 1 if the parts are too large or a file disagrees.  Needs the built book (``make book``) and /usr/bin/chromium;
says so and leaves out if one is missing.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_live import CHROMIUM, FLAGS
from bench_pages import READY
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from live.build import inside  # noqa: E402

SITE, OUT = ROOT / "_build" / "html", ROOT / "_build" / "bench-awake.json"
PARTS = SITE / "_static" / "live"
MOST_BYTES = 6_500_000
FAILURE = """kworker/0:1: page allocation failure: order:{}, mode:0x40cc0(GFP_KERNEL|__GFP_COMP), nodemask=(null)
CPU: 0 PID: 17 Comm: kworker/0:1 Not tainted 5.10.0-8-amd64 #1"""
#: The explorers: the page, the control that is moved, its values, and what is put in before.
EXPLORERS: dict[str, tuple[str, str, Sequence[str | int], dict[str, str]]] = {
    "stepper, step": ("two_phases", "at", range(1, 9), {"ops": "+0 +0 -1 d0 +3 +0 +2r -2"}),
    "stepper, own string": ("two_phases", "ops", [f"+{order} +0 -1 d0" for order in range(8)], {}),
    "lock nesting, own stack": ("nesting", "where", [f"mutex>hardirq>raw:m{n}" for n in range(8)], {}),
    "mask reader, own mask": ("bits", "text", [hex(1 << n) for n in range(8)], {}),
    "chain, objects": ("why_rcu", "objects", range(20, 36, 2), {}),
    "own report": ("index", "text", [FAILURE.format(n) for n in range(1, 9)], {}),
}
#: Puts a value into a control, and gives the milliseconds until its picture is drawn.
MOVE = """([name, value]) => new Promise((done) => {
    const box = document.querySelector('.gfp-live-only:has(.gfp-ask)');
    const control = document.querySelector(`.gfp-arg-${name}`);
    const begin = performance.now();
    const seen = new MutationObserver(() => {
        if (box.getAttribute('aria-busy') === 'true') return;
        seen.disconnect();
        requestAnimationFrame(() => done(performance.now() - begin));
    });
    seen.observe(box, {attributeFilter: ['aria-busy']});
    const slider = control.querySelector('.noUi-target'), text = control.querySelector('input, textarea');
    if (slider) slider.noUiSlider.set(value);
    else { text.value = value; text.dispatchEvent(new Event('input', {bubbles: true})); }
})"""
IDLE = ".gfp-live-only:has(.gfp-ask)[aria-busy=true]"


def cpu(session: CDPSession) -> float:
    """Return the CPU-seconds of all processes of a browser."""
    return float(sum(one["cpuTime"] for one in session.send("SystemInfo.getProcessInfo")["processInfo"]))


def tabs_memory(session: CDPSession) -> int:
    """Return the memory of the largest tab, in bytes: its own, and its part of what it shares."""
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return max(memory(one["id"]) for one in processes if one["type"] == "renderer")


def memory(pid: int) -> int:
    """Return the proportional memory of a process in bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def opened(browser: Browser, name: str) -> Page:
    """Return a page whose model is asleep, and can be woken."""
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.goto((SITE / "book" / f"{name}.html").as_uri())
    page.wait_for_function(READY)
    page.wait_for_selector(".gfp-wake")
    return page


def wake(page: Page) -> None:
    """Wake the model of a page."""
    page.click(".gfp-wake")
    page.wait_for_selector("html.gfp-awake", state="attached")
    page.locator(IDLE).wait_for(state="detached")


def first_picture(browser: Browser) -> dict[str, float]:
    """Return what it costs to wake the model and draw the first picture of one's own, an allocator's step."""
    session = browser.new_browser_cdp_session()
    page = opened(browser, "two_phases")
    page.wait_for_timeout(2000)  # what the page does by itself is over
    asleep, spent, begin = tabs_memory(session), cpu(session), time.perf_counter()
    wake(page)
    page.evaluate(MOVE, ["ops", "+0 -1"])
    wall, spent = time.perf_counter() - begin, cpu(session) - spent
    awake = tabs_memory(session)
    page.close()
    return {
        "cpu_s": round(spent, 2),
        "wall_s": round(wall, 2),
        "asleep_mb": round(asleep / 1e6),
        "awake_mb": round(awake / 1e6),
    }


def explorers(browser: Browser) -> dict[str, dict[str, float]]:
    """Return the milliseconds from a control to its picture, for each explorer."""
    results = {}
    for name, (where, control, values, before) in EXPLORERS.items():
        page = opened(browser, where)
        wake(page)
        for pair in before.items():
            page.evaluate(MOVE, list(pair))
        times = [page.evaluate(MOVE, [control, value]) for value in values]
        page.close()
        results[name] = {"median_ms": round(statistics.median(times), 1), "max_ms": round(max(times), 1)}
    return results


def golden() -> dict[str, Any]:
    """Return how many recorded files and operations agree in the page's Python, with the engine as WebAssembly."""
    files = [file.relative_to(ROOT).as_posix() for file in sorted((ROOT / "tests/data/golden").glob("*.jsonl.gz"))]
    found = inside(PARTS, {"pictures": [], "files": files})
    differ = [name for name, (_, difference) in zip(files, found["files"], strict=True) if difference != "None"]
    operations = sum(operations for operations, _ in found["files"])
    return {"way": found["way"], "files": len(files), "operations": operations, "differ": differ}


def main() -> int:
    """Print the tables; return 1 if the parts are too large or a recording disagrees."""
    if not CHROMIUM.exists() or not PARTS.is_dir():
        print(f"the model in the page: left out, there is no {'book (make book)' if CHROMIUM.exists() else CHROMIUM}")
        return 0
    sizes = {part.name: part.stat().st_size for part in sorted(PARTS.glob("*.gz"))}
    exact = golden()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        first, moved = first_picture(browser), explorers(browser)
        browser.close()
    for name, size in (*sizes.items(), ("all parts", sum(sizes.values()))):
        print(f"{name:<28}{size:>12,} bytes")
    print(f"{'first picture':<28}{first['cpu_s']:>8.2f} CPU-s{first['wall_s']:>8.2f} s")
    print(f"{'memory of the tab':<28}{first['asleep_mb']:>8.0f} MB asleep{first['awake_mb']:>8.0f} MB awake")
    print(f"{'explorer, model awake':<28}{'median ms':>10}{'max ms':>10}")
    for name, row in moved.items():
        print(f"{name:<28}{row['median_ms']:>10.1f}{row['max_ms']:>10.1f}")
    agree = exact["files"] - len(exact["differ"])
    print(f"{agree} of {exact['files']} golden files agree in the page's Python, {exact['operations']:,} operations")
    said = {"awake": {"bytes": sizes, "first": first, "explorers": moved, "golden": exact}}
    OUT.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    for name in exact["differ"]:
        print(f"differs: {name}")
    too_large = sum(sizes.values()) > MOST_BYTES
    if too_large:
        print(f"the parts are larger than {MOST_BYTES:,} bytes")
    return bool(exact["differ"] or too_large)


if __name__ == "__main__":
    sys.exit(main())
