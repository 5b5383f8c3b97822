"""Shipped grids: an experiment's sweep as a CSV that names the source it was made with, so that none can go stale.

The first line is a comment: JSON with the experiment, the number of seeds, the version and a hash of the source.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import gfpmodel
from gfpmodel import proposals
from gfpmodel.errors import InputError, unknown
from gfpmodel.mm.jit import source_hash
from gfpmodel.proposals import PROPOSALS
from gfpmodel.sim.experiments import EXPERIMENTS, experiment
from gfpmodel.sim.sweeps import Row, Sweep, parse_value, run_point, run_sweep

SEEDS = 10
TENANT_RATES = (10_000.0, 50_000.0, 200_000.0, 800_000.0)  #: pages a second and cpu

#: The grids of the book by their names; each is one experiment's sweep.
GRIDS: dict[str, Sweep] = {
    "co_tenant": Sweep("co_tenant", {"proposal": tuple(PROPOSALS), "tenant_rate": TENANT_RATES}, SEEDS),
    "cross_cpu": Sweep("cross_cpu", {"proposal": tuple(PROPOSALS), "frees_on": ("same", "next")}, SEEDS),
    "scan_policy": Sweep("scan_policy", {"policy": tuple(PROPOSALS)}, SEEDS),
    "pool": Sweep("pool", {"policy": ("deferred",), "latency_us": (50, 500, 5000)}, SEEDS),
    "hold_time": Sweep("hold_time", {"lock": ("raw", "sleeping")}, SEEDS),
}
PREFIX, DIGITS = "# ", 6
HOW = "remake it with `make grids`"


@dataclass(frozen=True)
class Grid:
    """A grid that was read: its name, the experiment, and a row of parameters, seed and figures for each point."""

    name: str
    experiment: str
    rows: tuple[Row, ...]


@cache
def model_hash() -> str:
    """Return a hash of all source that a point depends on: engine, chain, simulator, and the proposals' rows."""
    rows = Path(str(proposals.__file__)).read_bytes()
    return sha256(source_hash("sim").encode() + b"\0" + rows).hexdigest()[:16]


def grid_file(name: str, folder: Path) -> Path:
    """Return where a grid stands in a folder; raises InputError for a name that is not known."""
    if name not in GRIDS:
        raise unknown("grid", name, GRIDS)
    return folder / f"grid-{name}.csv"


def rounded(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a row as the text that is stored: numbers that are not whole with six digits."""
    return {key: f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value) for key, value in row.items()}


def grid_text(sweep: Sweep, rows: Sequence[Row]) -> str:
    """Return a sweep's rows as the text of a grid."""
    stamp = {"experiment": sweep.name, "seeds": sweep.seeds, "version": gfpmodel.__version__, "source": model_hash()}
    out = io.StringIO()
    out.write(PREFIX + json.dumps(stamp) + "\n")
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rounded(row) for row in rows)
    return out.getvalue()


def make_grid(name: str, folder: Path, workers: int | None = None, sweep: Sweep | None = None) -> Path:
    """Run a grid's sweep and write it, whole or not at all; returns the file.

    Arguments: the grid's name; the folder; how many processes, None for one a CPU; another sweep than the book's.
    Raises InputError.
    """
    file = grid_file(name, folder)
    if not folder.is_dir():
        raise InputError("cannot be written: no such folder", str(file))
    found = sweep or GRIDS[name]
    text = grid_text(found, run_sweep(found, workers=workers))
    part = file.with_name(file.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", str(file)) from None
    return file


def load_grid(path: str | Path) -> Grid:
    """Read a grid; raises InputError for one that is damaged, or was made by other source than the present one."""
    file = Path(path)
    try:
        first, _, rest = file.read_text(encoding="utf-8").partition("\n")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}; {HOW}", str(file)) from None
    except UnicodeDecodeError:
        raise InputError(f"is no text; {HOW}", str(file)) from None
    stamp = read_stamp(first, file)
    if stamp["source"] != model_hash():
        made = f"was made by source {stamp['source']} of version {stamp.get('version')}"
        raise InputError(f"{made}, this is {model_hash()}: {HOW}", str(file), 1)
    kinds = {key: type(value) for key, value in asdict(experiment(stamp["experiment"]).parameters()).items()}
    return Grid(file.stem.removeprefix("grid-"), stamp["experiment"], tuple(read_rows(rest, kinds, file)))


def read_stamp(line: str, file: Path) -> dict[str, Any]:
    """Return the first line of a grid as facts; raises InputError."""
    try:
        stamp = json.loads(line.removeprefix(PREFIX)) if line.startswith(PREFIX) else None
    except ValueError:
        stamp = None
    if not isinstance(stamp, dict) or stamp.get("experiment") not in EXPERIMENTS or "source" not in stamp:
        raise InputError(f"is no grid; expected {PREFIX}JSON with experiment and source; {HOW}", str(file), 1)
    return stamp


def read_rows(text: str, kinds: Mapping[str, type], file: Path) -> list[Row]:
    """Return the rows of a grid with the parameters' types; raises InputError with the line."""
    reader = csv.DictReader(io.StringIO(text))
    missing = [key for key in (*kinds, "seed") if key not in (reader.fieldnames or [])]
    if missing:
        raise InputError(f"has no column {missing[0]}; {HOW}", str(file), 2)
    rows = []
    for row in reader:
        line = reader.line_num + 1
        if None in row or None in row.values():
            raise InputError(f"the row is too {'long' if None in row else 'short'}; {HOW}", str(file), line)
        try:
            rows.append({key: parse_value(key, word, kinds.get(key) or number(key)) for key, word in row.items()})
        except InputError as error:
            raise InputError(error.message, str(file), line) from None
    if not rows:
        raise InputError(f"has no row; {HOW}", str(file), 2)
    return rows


def number(key: str) -> type:
    """Return the type of a column that is no parameter."""
    return int if key == "seed" else float


def recompute(path: str | Path, n: int, seed: int = 0) -> list[str]:
    """Run a sample of a grid's points again; returns a line for each figure that differs, none if all agree.

    Arguments: the file; how many points; what the sample is drawn with.  Raises InputError.
    """
    grid = load_grid(path)
    names = asdict(experiment(grid.experiment).parameters())
    differences = []
    for at in sorted(Random(seed).sample(range(len(grid.rows)), min(n, len(grid.rows)))):
        row = grid.rows[at]
        again = run_point(grid.experiment, {key: row[key] for key in names}, row["seed"])
        stored, now = rounded({key: row.get(key, "nothing") for key in again}), rounded(again)
        differences += [
            f"point {at}: {key} is {now[key]}, stored {stored[key]}" for key in now if not same(stored, now, key)
        ]
    return differences


def same(stored: Mapping[str, str], now: Mapping[str, str], key: str) -> bool:
    """Return whether a figure has the same six digits; a count is a float once it was stored."""
    try:
        return f"{float(stored[key]):.{DIGITS}g}" == f"{float(now[key]):.{DIGITS}g}"
    except ValueError:
        return stored[key] == now[key]


def stale(name: str, folder: Path) -> str | None:
    """Return why a grid of the book has to be made again, None if it need not."""
    try:
        grid = load_grid(grid_file(name, folder))
    except InputError as error:
        return error.message
    wanted = [(parameters, seed) for parameters, seed in GRIDS[name].points()]
    names = list(wanted[0][0])
    found = [({key: row[key] for key in names}, row["seed"]) for row in grid.rows]
    return None if found == wanted else "has other points than the grid of that name"
