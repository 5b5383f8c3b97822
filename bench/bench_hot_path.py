"""Price the RFC's test of the mask on a hit: ``python bench/bench_hot_path.py [--record FILE.csv]``.

Morton's question of 2020: what does one more test in the allocator's hot path cost a request that has nothing to do
with it?  Two answers, both of user space: hot_path.c, the way of a hit and a free in C, compiled twice (instructions by
valgrind's callgrind, which are the same in every run; nanoseconds, the best of several runs that alternate, printed and
never recorded), and the instructions of the package's own engine with the line that chooses between two rules and
without it.  Needs gcc and valgrind; the rows that need what is missing are left out, and said to be.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "gfpmodel"
FEW, MANY, TIMED, ROUNDS = 1_000, 11_000, 20_000_000, 9
CHOICE = "rule = st.RULES + (st.RULE_WORDS if gfp & zget(m, st.MACHINE, st.RULE_BIT) else 0)"
ENGINE = """
import sys
import numpy as np
from gfpmodel.mm import Machine, PageAllocator, Zone, jit, pack_ops
from gfpmodel.mm import state as st
from gfpmodel.mm.run import OP_ALLOC, OP_FREE_HANDLE, run_ops
assert jit.way() == "here"
n, times = 1000, int(sys.argv[1]) // 1000
kinds, arguments = np.tile([OP_ALLOC, OP_FREE_HANDLE], n), np.full(2 * n, 0xCC0)
arguments[1::2] = np.arange(n)
ops = pack_ops(kinds, 0, 0, arguments)
a = PageAllocator(Machine((Zone(2, 32768, 1 << 14),)))
zones, room = a.arrays.zones, (np.zeros(n, np.uint32), np.zeros(2 * n, np.uint16))
for _ in range(times):
    zones[st.MACHINE * st.ZONE_WORDS + st.LAST_RESULT] = 0
    assert run_ops(a.arrays, ops, *room, 0, 2 * n) == 2 * n
"""
Row = dict[str, str | float]
RUN = partial(subprocess.run, check=True, capture_output=True, text=True)


def build(folder: Path) -> dict[str, Path]:
    """Compile the C model without and with the test; returns the programs."""
    programs = {"without": folder / "without", "with": folder / "with"}
    for name, program in programs.items():
        flags = ["-DFAST_TRY"] if name == "with" else []
        subprocess.run(["gcc", "-O2", "-Wall", "-Werror", *flags, HERE / "hot_path.c", "-o", program], check=True)
    return programs


def instructions(command: list[str], run: Any = RUN) -> int:
    """Return how many instructions a run of a program executes."""
    said = run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command]).stderr
    return int(re.findall(r"Collected : (\d+)", said)[0])


def nanoseconds(program: Path) -> float:
    """Return how long a pair takes in one run."""
    begin = time.perf_counter()
    subprocess.run([program, str(TIMED)], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begin) / TIMED * 1e9


def c_rows(programs: dict[str, Path]) -> Iterator[Row]:
    """Yield the instructions and the nanoseconds of an allocation and a free in the C model."""
    compiler = subprocess.run(["gcc", "-dumpfullversion"], check=True, capture_output=True, text=True).stdout.strip()
    if shutil.which("valgrind"):
        each = {
            name: (instructions([str(program), str(MANY)]) - instructions([str(program), str(FEW)])) / (MANY - FEW)
            for name, program in programs.items()
        }
        yield {"what": "C model", "unit": "instructions", **each, "how": f"gcc {compiler} -O2, callgrind"}
    else:
        print("left out: instructions (there is no valgrind)")
    best = dict.fromkeys(programs, float("inf"))
    for _ in range(ROUNDS):
        for name, program in programs.items():
            best[name] = min(best[name], nanoseconds(program))
    yield {"what": "C model", "unit": "ns", **best, "how": f"gcc {compiler} -O2, best of {ROUNDS}"}


def engine_row(folder: Path) -> Row:
    """Return the instructions of a pair in the engine, and in a copy whose requests all take the first rule."""
    trees = {"without": folder / "copy", "with": folder / "as_is"}
    for tree in trees.values():
        shutil.copytree(PACKAGE, tree / "gfpmodel", ignore=shutil.ignore_patterns("__pycache__"))
    source = trees["without"] / "gfpmodel" / "mm" / "page_alloc.py"
    text = source.read_text()
    if text.count(CHOICE) != 1:
        raise SystemExit(f"{source.name} has no longer the line that this takes out: {CHOICE}")
    source.write_text(text.replace(CHOICE, "rule = st.RULES"))
    each = {}
    for name, tree in trees.items():
        engine = {"GFPMODEL_CACHE": str(tree / "cache"), "GFPMODEL_ENGINE": "here"}
        environment = {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin", **engine}
        run = partial(subprocess.run, check=True, cwd=tree, env=environment, capture_output=True, text=True)
        run([sys.executable, "-m", "gfpmodel.mm.build", "mm"])
        counts = {n: instructions([sys.executable, "-c", ENGINE, str(n)], run) for n in (FEW, MANY)}
        each[name] = (counts[MANY] - counts[FEW]) / (MANY - FEW)
    return {
        "what": "engine",
        "unit": "instructions",
        **each,
        "how": "compiled, callgrind",
    }


def main() -> None:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, help="write the table there too")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("gcc"):
            rows += c_rows(build(Path(folder)))
        else:
            print("left out: the C model (there is no gcc)")
        if shutil.which("valgrind"):
            rows.append(engine_row(Path(folder)))
    print("an allocation and a free  unit          without   with   more")
    for row in rows:
        without, tested = float(row["without"]), float(row["with"])
        more = f"{tested / without - 1:6.1%}"
        print(f"{row['what']:<25} {row['unit']:<13} {without:7.2f} {tested:6.2f} {more}  {row['how']}")
    if options.record:
        with options.record.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["what", "unit", "without", "with", "how"], lineterminator="\n")
            writer.writeheader()
            counted = [row for row in rows if row["unit"] == "instructions"]
            writer.writerows(
                {**row, "without": f"{row['without']:.4g}", "with": f"{row['with']:.4g}"} for row in counted
            )


if __name__ == "__main__":
    main()
