"""How long the package takes to start, and to its first answers, each in a new process.

Prints two tables and writes ``_build/bench.json``.  The times of the start contain the interpreter's own (first row).
The answers are in CPU seconds, with a fresh cache, and with one that holds the engine's libraries.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

ROUNDS, ANSWERS = 7, 3
OUT = Path(__file__).resolve().parent.parent / "_build" / "bench.json"
COMMANDS = {
    "python, empty": ["-c", "pass"],
    "import gfpmodel": ["-c", "import gfpmodel"],
    "import gfpmodel.gfp": ["-c", "import gfpmodel.gfp"],
    "gfpmodel --version": ["-m", "gfpmodel", "--version"],
    "gfpmodel decode 0xcc0": ["-m", "gfpmodel", "decode", "0xcc0"],
}

VERDICT = "verdict --proposal fast_try --order 1 --context raw --config PROVE_RAW_LOCK_NESTING"
FIRST = {
    "verdict": ["-m", "gfpmodel", *VERDICT.split()],
    "alloc_pages": [
        "-c",
        "from gfpmodel.mm import *; print(PageAllocator(Machine((Zone(2, 32768, 16384),))).alloc_pages())",
    ],
    "experiment kswapd --seeds 1": ["-m", "gfpmodel", "experiment", "kswapd", "--seeds", "1"],
}


def seconds(arguments: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def measure(arguments: list[str]) -> dict[str, float]:
    seconds(arguments)  # the first run fills the file caches
    times = [seconds(arguments) for _ in range(ROUNDS)]
    return {"median_ms": round(1e3 * statistics.median(times), 1), "min_ms": round(1e3 * min(times), 1)}


def cpu_seconds(arguments: list[str], cache: str | None) -> float:
    """Return the CPU seconds of a process, with the user's cache or another; 0 and 1 are both an answer."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "GFPMODEL_ENG"))}
    if cache:
        environment["GFPMODEL_CACHE"] = cache
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode > 1:
        raise SystemExit(f"{' '.join(arguments)}: exit status {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def first_answers(arguments: list[str]) -> dict[str, float]:
    """Time an answer with a cache that is fresh each time, and with the filled one."""
    fresh = []
    for _ in range(ANSWERS):
        with tempfile.TemporaryDirectory() as cache:
            fresh.append(cpu_seconds(arguments, cache))
    filled = [cpu_seconds(arguments, None) for _ in range(ANSWERS)]
    return {"fresh": round(min(fresh), 2), "filled": round(min(filled), 2)}


def main() -> None:
    facts: dict[str, Any] = {"where": record.where()}
    facts["start"] = results = {name: measure(arguments) for name, arguments in COMMANDS.items()}
    print(f"{'start-up':<28}{'median ms':>10}{'min ms':>10}")
    for name, row in results.items():
        print(f"{name:<28}{row['median_ms']:>10.1f}{row['min_ms']:>10.1f}")
    facts["answers"] = answers = {name: first_answers(arguments) for name, arguments in FIRST.items()}
    print(f"\n{'CPU seconds to an answer':<28}{'fresh':>10}{'filled':>10}   cache")
    for name, row in answers.items():
        print(f"{name:<28}{row['fresh']:>10.2f}{row['filled']:>10.2f}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(f"written to {OUT.relative_to(OUT.parent.parent)}")


if __name__ == "__main__":
    main()
