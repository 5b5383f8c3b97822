"""Time the reader of traces and the replay: ``python bench/bench_ftrace.py [--json FILE] [--mib N] [--pipe-mib N]``.

The text is a recorded trace of the tests, over and over; the file is in the page cache, and what
counts is the CPU time of one thread, for others may use the machine.
The pipe shows that memory does not grow: the peak of a process that reads so much and of one that reads a tenth.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gfpmodel.io.ftrace import open_trace
from gfpmodel.io.replay import WhatIf, read_recording, replay

TRACE = Path(__file__).parents[1] / "tests/data/traces/rt-smp2-512M-anon-cut.trace.txt.xz"
PEAK = """
import resource
from gfpmodel.io.ftrace import open_trace
with open_trace("-") as reader:
    rows = sum(len(chunk.event) for chunk in reader)
print(reader.lines, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def read(name: str) -> tuple[int, float]:
    """Return the lines of a trace and the seconds of one CPU that reading them took."""
    begin = time.process_time()
    with open_trace(name) as reader:
        for _ in reader:
            pass
    return reader.lines, time.process_time() - begin


def pipe(text: bytes, mib: int) -> dict[str, Any]:
    """Send so much text through a pipe to a fresh process; returns lines, seconds and the process's peak memory."""
    begin = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", PEAK], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin
    assert child.stdout
    for _ in range((mib << 20) // len(text)):
        child.stdin.write(text)
    child.stdin.close()
    lines, peak = map(int, child.stdout.read().split())
    child.wait()
    return {"mib": mib, "lines": lines, "seconds": round(time.perf_counter() - begin, 2), "peak_mib": peak >> 10}


def main() -> None:
    """Print the table, and write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--mib", type=int, default=100)
    parser.add_argument("--pipe-mib", type=int, default=1024)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    body = b"".join(lzma.decompress(TRACE.read_bytes()).splitlines(keepends=True)[14:])
    text = body * max((1 << 22) // len(body), 1)
    with tempfile.NamedTemporaryFile(suffix=".trace") as file:
        for _ in range((options.mib << 20) // len(text)):
            file.write(text)
        file.flush()
        read(str(TRACE))  # compile or load
        runs = [read(file.name) for _ in range(options.repeat)]
        lines, seconds = runs[0][0], min(one for _, one in runs)
        replay(read_recording(str(TRACE)))
        begin = time.process_time()
        recording = read_recording(file.name)
        outcome = replay(recording, WhatIf())
        whole = time.process_time() - begin
    facts: dict[str, Any] = {
        "lines": lines,
        "million_lines_a_second": round(lines / seconds / 1e6, 2),
        "replay_operations": outcome.operations,
        "replay_million_lines_a_second": round(lines / whole / 1e6, 2),
        "pipes": [pipe(text, options.pipe_mib // 10), pipe(text, options.pipe_mib)],
    }
    print(f"reading {lines} lines: {facts['million_lines_a_second']} million lines a second of one CPU (asked for: 1)")
    print(f"reading and replaying, four rows asked: {facts['replay_million_lines_a_second']} million lines a second")
    for one in facts["pipes"]:
        print(f"pipe of {one['mib']} MiB: {one['lines']} lines, {one['seconds']} s, peak {one['peak_mib']} MiB")
    if options.json:
        options.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
