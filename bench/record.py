"""Write `bench/RECORD.md`, the record of the last measurements, from `_build`: ``python bench/record.py``.

Each part says when, where and of which commit it was measured, because they may come from different runs.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
START, ENGINE = ROOT / "_build" / "bench.json", ROOT / "_build" / "bench-engine.json"
RECORD = ROOT / "bench" / "RECORD.md"
HEAD = """# The last record

`make bench` writes this page; `python bench/bench_start.py && python bench/record.py` renews the first part alone.
"""


def where() -> dict[str, Any]:
    """Return what a measurement hangs on: the machine, how busy it is, the versions, the commit, the day."""
    return {
        "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": git("rev-parse", "--short=12", "HEAD") + (" and changes" if git("status", "--porcelain") else ""),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.release()}",
        "versions": ", ".join([f"Python {platform.python_version()}", *map(installed, ("numpy", "numba", "llvmlite"))]),
    }


def git(*command: str) -> str:
    """Return what git prints; of a copy without a repository nothing."""
    done = subprocess.run(("git", *command), cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def processor() -> str:
    """Return the processor's name, as Linux has it, or the machine's kind."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def installed(name: str) -> str:
    """Return a package's name with its version, if it is installed."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


def place(facts: dict[str, Any]) -> str:
    """Return the sentence that says when and where."""
    return (
        f"Measured on {facts['when']} at {facts['commit']}: {facts['processor']}, {facts['cpus']} CPUs, load average "
        f"{facts['load']} at the beginning, {facts['system']}, {facts['versions']}.\n"
    )


def table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """Return a table in Markdown; all columns but the first are numbers."""
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def start_part(facts: dict[str, Any]) -> list[str]:
    """Return the part on the start."""
    return [
        "## First answers\n",
        place(facts["where"]),
        "CPU seconds (user and system) of a whole process, the best of several. *Fresh* is an empty cache, where the "
        "engine runs interpreted; *filled* is one that `make engine` has filled.\n",
        table(("what", "fresh", "filled"), [(name, *row.values()) for name, row in facts["answers"].items()]),
        table(
            ("start, by the clock", "median ms", "least ms"),
            [(name, row["median_ms"], row["min_ms"]) for name, row in facts["start"].items()],
        ),
    ]


def engine_part(facts: dict[str, Any]) -> list[str]:
    """Return the part on the engine."""
    rows = [
        (row["script"], row["mops"], row["mops_events_on"], row["kernel_mops"], row["ratio"], row["ratio_events_on"])
        for row in facts["scripts"]
    ]
    return [
        "## The engine beside the kernel's own code\n",
        place(facts["where"]),
        f"Millions of operations a second, the best of several runs. The kernel's column was measured on another "
        f"machine; a ratio is against it. This one did {facts['calibration_mloads']} million dependent loads a second "
        f"in the same run, by which records of one machine can be compared. The scripts, of a million operations each, "
        f"are those of `tools/make_ops.py`: i, pairs served by the pcp list; ii, 100,000 allocations, then frees in "
        f"random order; iii, mixed orders and types on two cpus; ft, `__GFP_FAST_TRY` among GFP_KERNEL on two cpus.\n",
        table(("script", "model", "with events", "kernel's C code", "ratio", "ratio, with events"), rows),
    ]


def main() -> None:
    """Write the page from the parts that were measured."""
    parts = [HEAD]
    for file, part in ((START, start_part), (ENGINE, engine_part)):
        if file.exists():
            parts += part(json.loads(file.read_text(encoding="utf-8")))
        else:
            parts.append(f"There is no {file.name}: this part was not measured with the other.\n")
    RECORD.write_text("\n".join(parts), encoding="utf-8")
    print(f"written to {RECORD.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
