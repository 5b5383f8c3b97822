"""How quickly the meeting's page answers: the server started, the page in Chromium, from a change to the new picture.

Prints when the page is there and when its first control works, both from the start of the server, and the median
and the slowest answer of each control.  Needs /usr/bin/chromium; says so and leaves out if it is missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from functools import partial
from pathlib import Path

from bench_live import CHROMIUM, FLAGS, summary
from playwright.sync_api import Page, sync_playwright

OUT = Path(__file__).resolve().parent.parent / "_build" / "bench-meeting.json"
PORT, TOKEN = 8932, "bench"
ADDRESS = f"http://127.0.0.1:{PORT}/meeting?token={TOKEN}"
#: The values that each control is moved to, in turn; the answers of none of them were asked for before.
CONTROLS = {
    "request": ["proposal:no_locks", "proposal:lockless", "proposal:nowait", "gfp:GFP_ATOMIC", "proposal:trylock"],
    "order": ["1", "2", "3", "4"],
    "context": ["hrt", "nmi", "mutex", "softirq", "spin"],
    "kernel": ["v5.10", "v5.15", "v6.1", "v6.12", "v6.18"],
    "config": ["PROVE_RAW_LOCK_NESTING", "PREEMPT_RT", "LOCKDEP=n", "MEMCG"],
    "pcp": ["dry", "full", "boost", "ronly"],
    "load": ["freed_elsewhere", "freed_here", "refilled", "raid", "miss"],
}
#: window.answered resolves with the milliseconds from the change of a control to the first frame with the answer.
LOOK = """() => {
    let begin = 0;
    document.addEventListener('change', () => { begin = performance.now(); }, {once: true, capture: true});
    const opened = performance.now(), shown = document.getElementById('shown');
    let changed = false;
    const watch = new MutationObserver(() => { changed = true; });
    watch.observe(shown, {childList: true});
    window.answered = new Promise((done) => {
        const look = (now) => changed ? (watch.disconnect(), done(performance.now() - begin))
            : now - opened > 5000 ? done(-1) : requestAnimationFrame(look);
        requestAnimationFrame(look);
    });
}"""


def answer(page: Page, control: str, value: str) -> float:
    """Move a control and return the milliseconds until the page shows the answer."""
    page.evaluate(LOOK)
    page.locator(f"#{control}").select_option(value)
    return float(page.evaluate("() => window.answered"))


def open_page(page: Page, begin: float) -> dict[str, float]:
    """Open the page as soon as the server answers; returns the seconds until it is there and until a control works."""
    while time.perf_counter() - begin < 60:
        try:
            urllib.request.urlopen(ADDRESS, timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    page.goto(ADDRESS)
    page.locator("#request").wait_for()
    there = time.perf_counter() - begin
    page.locator("#shown section").first.wait_for(timeout=300_000)
    answer(page, "order", "10")
    return {"page_s": round(there, 1), "control_s": round(time.perf_counter() - begin, 1)}


def measure(page: Page) -> dict[str, dict[str, float]]:
    """Return the answer times of every control; each starts from another case, so that no answer is remembered."""
    results = {}
    for number, (control, values) in enumerate(CONTROLS.items()):
        page.goto(f"{ADDRESS}&context=irqoff&order={number % 2}")
        page.locator("#shown section").first.wait_for()
        results[control] = summary(control, list(map(partial(answer, page, control), values)))
    return results


def main() -> int:
    """Print the tables; return 0."""
    if not CHROMIUM.exists():
        print(f"the meeting's page: left out, there is no {CHROMIUM}")
        return 0
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={PORT}", f"--IdentityProvider.token={TOKEN}"]
    command = [sys.executable, "-m", "gfpmodel.meeting", *options]
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        page = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS).new_page()
        begin = time.perf_counter()
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                start, results = open_page(page, begin), measure(page)
            finally:
                server.terminate()
    print(f"meeting: page there after {start['page_s']} s, first control works after {start['control_s']} s")
    print(f"{'meeting, control':<24}{'median ms':>10}{'max ms':>10}")
    for name, row in results.items():
        print(f"{name:<24}{row['median_ms']:>10.1f}{row['max_ms']:>10.1f}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"start": start, "meeting": results}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
