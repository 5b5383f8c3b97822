"""What tests of recorded vectors share: a copy with a mistake in it, and a run of `verify` without compiled code."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def mutated(tmp_path: Path, change: Any, source: Path) -> Path:
    """Write a copy of a vector after ``change`` worked on the list of its lines (objects)."""
    with gzip.open(source, "rt") as file:
        lines = [json.loads(line) for line in file]
    change(lines)
    path = tmp_path / "mutated.jsonl.gz"
    with gzip.open(path, "wt") as target:
        target.writelines(json.dumps(line) + "\n" for line in lines)
    return path


def agree_interpreted(files: Iterable[Path]) -> None:
    """Assert that vectors agree on the command line where nothing is compiled."""
    chosen = [str(file) for file in files]
    run = subprocess.run(
        [sys.executable, "-m", "gfpmodel", "verify", *chosen],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(chosen)} of {len(chosen)} files agree" in run.stdout


def torn(tmp_path: Path, source: Path, keep: float) -> Path:
    """Write the beginning of a vector's bytes, so much of the whole."""
    data = source.read_bytes()
    path = tmp_path / "torn.jsonl.gz"
    path.write_bytes(data[: int(len(data) * keep)])
    return path


# changes that make a file of either format one that cannot be used


def unknown_operation(lines: Any) -> None:
    """Ask for what no allocator does."""
    lines[5]["op"] = "realloc"


def unknown_field(lines: Any) -> None:
    """Say what no line says."""
    lines[5]["result"] = 1


def cut_at_the_end(lines: Any) -> None:
    """Leave the last lines out."""
    del lines[-20:]
