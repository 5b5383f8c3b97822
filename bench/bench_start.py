"""How long the package takes to start: the command line and its imports, each in a new process.

Prints a table and writes ``_build/bench.json``. The times contain the interpreter's own start (first row).
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 7
OUT = Path(__file__).resolve().parent.parent / "_build" / "bench.json"
COMMANDS = {
    "python, empty": ["-c", "pass"],
    "import gfpmodel": ["-c", "import gfpmodel"],
    "import gfpmodel.gfp": ["-c", "import gfpmodel.gfp"],
    "gfpmodel --version": ["-m", "gfpmodel", "--version"],
    "gfpmodel decode 0xcc0": ["-m", "gfpmodel", "decode", "0xcc0"],
}


def seconds(arguments: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def measure(arguments: list[str]) -> dict[str, float]:
    seconds(arguments)  # the first run fills the file caches
    times = [seconds(arguments) for _ in range(ROUNDS)]
    return {"median_ms": round(1e3 * statistics.median(times), 1), "min_ms": round(1e3 * min(times), 1)}


def main() -> None:
    results = {name: measure(arguments) for name, arguments in COMMANDS.items()}
    print(f"{'start-up':<24}{'median ms':>10}{'min ms':>10}")
    for name, row in results.items():
        print(f"{name:<24}{row['median_ms']:>10.1f}{row['min_ms']:>10.1f}")
    OUT.parent.mkdir(exist_ok=True)
    facts = {"python": platform.python_version(), "machine": platform.machine(), "start": results}
    OUT.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(f"written to {OUT.relative_to(OUT.parent.parent)}")


if __name__ == "__main__":
    main()
