"""Sweeps: a grid of parameters times seeds, mapped over any executor; the numbers do not depend on which.

Every point that completes is appended to a file beside the output, so that a sweep that was killed goes on from there.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import islice, product
from math import prod
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from os import _exit, cpu_count
from pathlib import Path
from threading import Thread
from typing import Any, TextIO
from zlib import crc32

from tqdm import tqdm

from gfpmodel.errors import InputError, unknown
from gfpmodel.files import unreadable, whole
from gfpmodel.mm import Rule, jit
from gfpmodel.mm.kernels import FIRST, room_on, rules_of
from gfpmodel.sim.experiments import EXPERIMENTS, experiment
from gfpmodel.sim.start import Start
from gfpmodel.sim.statistics import Interval, figure

Row = dict[str, Any]
Grid = Mapping[str, Sequence[Any]]

MAX_POINTS = 1_000_000
MAX_HOURS = 24.0
#: Cautious figures of one core.
EVENTS_A_SECOND = {"interpreted": 20_000, "here": 2_000_000, "ahead": 2_000_000}
SECONDS_A_RUN = 0.01
MAX_VALUE = 1 << 53  #: of a parameter
PROBES = 100  #: points of a grid that are looked at to tell how long all would run


@dataclass(frozen=True)
class Sweep:
    """An experiment, the values of the parameters that vary or differ from their defaults, how many seeds, whose lists.

    ``start``: the machine that every run starts from, if it is not the experiment's own.
    Raises InputError for unknown parameters, values that do not fit, and more points than anyone would wait for.
    """

    name: str
    grid: Mapping[str, tuple[Any, ...]]
    seeds: int = 1
    kernel: str = FIRST
    start: Start | None = None

    def __post_init__(self) -> None:
        rules_of(self.kernel)
        if self.start and self.kernel != FIRST:
            raise InputError(
                f"a machine to start from is one of {FIRST}'s lists; expected it without --kernel {self.kernel}"
            )
        given = experiment(self.name).given
        if self.start and given is None:
            able = ", ".join(name for name, found in EXPERIMENTS.items() if found.given is not None)
            raise InputError(f"experiment {self.name} makes its own machine; {able} start from one")
        for key in self.grid:
            if self.start and key in (given or ()):
                raise InputError(f"parameter {key} is what the machine gives; expected it without --set")
        if not 1 <= self.seeds <= MAX_POINTS:
            raise InputError(f"{self.seeds} seeds; expected 1 to {MAX_POINTS}")
        known = {field.name: field.type for field in fields(experiment(self.name).parameters)}
        for key, values in self.grid.items():
            if key not in known:
                raise unknown("parameter", key, known, f" of experiment {self.name}")
            if not values:
                raise InputError(f"parameter {key} has no value")
        if len(self) > MAX_POINTS:
            raise InputError(f"{len(self)} points; expected at most {MAX_POINTS}")

    def __len__(self) -> int:
        return prod(len(values) for values in self.grid.values()) * self.seeds

    def parameters(self) -> Iterator[Any]:
        """Yield the parameters of every point of the grid, seeds aside; raises InputError for values that clash."""
        kind = experiment(self.name).parameters
        for values in product(*self.grid.values()):
            yield kind(**dict(zip(self.grid, values, strict=True)))

    def points(self) -> Iterator[tuple[Row, int]]:
        """Yield parameters by name and the seed, for every point."""
        for parameters in self.parameters():
            for seed in range(self.seeds):
                yield vars(parameters), seed

    @cached_property
    def typical(self) -> tuple[float, float]:
        """Return about how many runs and events a point has; every kind of point looked at is checked on the way."""
        kinds = max(len(self) // self.seeds, 1)
        probes = list(islice(self.parameters(), 0, None, max(kinds // PROBES, 1)))
        runs = [run for p in probes for run in experiment(self.name).runs(p, self.kernel).values()]
        return len(runs) / len(probes), sum(run.expected_events() for run in runs) / len(probes)

    def seconds(self) -> float:
        """Return about how long all points take one core, as the engine runs now."""
        runs, events = self.typical
        way = jit.way(room_on("sim", self.kernel))
        return (events / EVENTS_A_SECOND[way] + runs * SECONDS_A_RUN) * len(self)


def parse_settings(
    name: str, settings: Sequence[str], file_row: Callable[[str], Rule | None] = lambda _: None
) -> dict[str, tuple[Any, ...]]:
    """Parse ``key=value`` or ``key=value,value,...`` by the types of an experiment's parameters.

    ``file_row`` returns the row of a proposal's file, None for a name.  Raises InputError that says what was expected.
    """
    defaults = asdict(experiment(name).parameters())
    takes_row = {field.name for field in fields(experiment(name).parameters) if "Rule" in str(field.type)}
    grid: dict[str, tuple[Any, ...]] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"bad setting {setting!r}; expected key=value or key=value,value")
        if key not in defaults:
            raise unknown("parameter", key, defaults, f" of experiment {name}")
        if key in grid:
            raise InputError(f"parameter {key} is set twice; expected its values in one list, {key}=value,value")
        words = text.split(",")
        found = [file_row(word) if key in takes_row else None for word in words]
        values = zip(found, words, strict=True)
        grid[key] = tuple(row or parse_value(key, word, type(defaults[key])) for row, word in values)
    return grid


def parse_value(key: str, word: str, kind: type) -> Any:
    """Parse one value; raises InputError."""
    if kind is bool:
        if word.lower() in ("y", "yes", "true", "1", "n", "no", "false", "0"):
            return word.lower() in ("y", "yes", "true", "1")
        raise InputError(f"parameter {key} is {word!r}; expected y or n")
    what = {int: "a whole number", float: "a number"}.get(kind, "a word")
    try:
        value = kind(word)
    except ValueError:
        raise InputError(f"parameter {key} is {word!r}; expected {what}") from None
    if kind in (int, float) and not abs(value) < MAX_VALUE:  # nor inf, nor nan
        raise InputError(f"parameter {key} is {word!r}; expected {what} below {MAX_VALUE}")
    return value


def run_point(name: str, parameters: Row, seed: int, kernel: str = FIRST, start: Start | None = None) -> Row:
    """Run one point; returns parameters, seed and record in one row.  This is what an executor's workers call.

    A row of the first kernel does not name it: it is the one that all files are of.  With a start the parameters that
    it decides are left out of the row.
    """
    found = experiment(name)
    left_out = found.given if start and found.given else ()
    said = {key: value.name if isinstance(value, Rule) else value for key, value in parameters.items()}
    said = {key: value for key, value in said.items() if key not in left_out}
    where = {} if kernel == FIRST else {"kernel": kernel}
    return {**said, **where, "seed": seed, **found(found.parameters(**parameters), seed, kernel, start)}


def run_sweep(
    sweep: Sweep, executor: Executor | None = None, workers: int | None = None, out: str | Path | None = None
) -> list[Row]:
    """Run every point that is not saved yet; returns the rows in the order of the grid.

    Arguments: an executor (Dask: ``Client(...).get_executor()``), else processes, as many as ``workers`` says or the
    machine has CPUs (1: no process is started); the file to write, .csv or .parquet.
    Raises InputError for a grid that would run too long, and if a worker dies: what was completed stays saved.
    """
    cores = workers or cpu_count() or 1
    if cores < 1:
        raise InputError(f"{cores} workers; expected at least 1")
    refuse_absurd(sweep, cores)
    check_out(out)
    done = Done(sweep, Path(f"{out}.points") if out else None)
    left = [key for key in done.order if key not in done.rows]
    if executor is None:  # before any worker begins, so that what pays for all is built for all, and said once
        jit.expect(room_on("sim", sweep.kernel), int(sweep.typical[1] * len(left)))
    with done, progress(len(done.order), len(done.order) - len(left)) as bar:
        try:
            for key, row in completed(sweep, left, executor, cores):
                done.add(key, row)
                bar.update()
        except (BrokenExecutor, CancelledError) as error:
            raise dead(error, done) from None
        except Exception as error:
            if type(error).__name__ not in ("KilledWorker", "CommClosedError"):  # Dask's, if it is installed
                raise
            raise dead(error, done) from None
    rows = [done.rows[key] for key in done.order]
    if out:
        write_table(rows, Path(out))
        done.remove()
    return rows


def refuse_absurd(sweep: Sweep, cores: int) -> None:
    """Raise InputError for a sweep that would run for days."""
    hours = sweep.seconds() / cores / 3600
    if hours > MAX_HOURS:
        long = f"{hours / 24:.1f} days" if hours < 24 * 365 else f"{hours / 24 / 365:.0f} years"
        raise InputError(
            f"{len(sweep)} points would run for about {long} on {cores} cores; "
            f"expected at most {MAX_HOURS:.0f} hours: take fewer values or seeds, or a shorter duration"
        )


def progress(total: int, initial: int) -> Any:
    """Return a progress bar, which shows on a terminal only."""
    return tqdm(total=total, initial=initial, unit="point", disable=None, leave=False)


def completed(sweep: Sweep, keys: Sequence[str], executor: Executor | None, cores: int) -> Iterator[tuple[str, Row]]:
    """Yield keys and rows as they complete."""
    name, also = sweep.name, (sweep.kernel, sweep.start)
    if executor is None and min(cores, len(keys)) <= 1:
        for key in keys:
            yield key, run_point(name, *parse_key(key), *also)
        return
    with pool(executor, min(cores, len(keys))) as workers:
        futures: dict[Future[Row], str] = {workers.submit(run_point, name, *parse_key(key), *also): key for key in keys}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            for future in futures:
                future.cancel()


def pool(executor: Executor | None, cores: int) -> AbstractContextManager[Executor]:
    """Return the given executor, which stays open, or a pool of fresh processes."""
    if executor:
        return nullcontext(executor)
    return ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=end_with_parent)


def end_with_parent() -> None:
    """Let this worker end when the process that started it is gone, however that ended."""
    parent = parent_process()
    if parent is not None:
        Thread(target=lambda: (wait([parent.sentinel]), _exit(1)), name="end-with-parent", daemon=True).start()


def dead(error: BaseException, done: Done) -> InputError:
    """Return the error for a worker that died."""
    kept = f"{len(done.rows)} of {len(done.order)} points"
    where = f"{kept} are kept in {done.file}: run the same again to go on" if done.file else f"{kept} were done"
    return InputError(f"a worker died ({type(error).__name__}); {where}")


# what is saved


def make_key(parameters: Row, seed: int) -> str:
    """Return a point as text; a row in full, so that another row of its name is another point."""
    return json.dumps([parameters, seed], sort_keys=True, default=asdict)


def parse_key(key: str) -> tuple[Row, int]:
    """Return the parameters and the seed of a point."""
    parameters, seed = json.loads(key)
    rows = {
        name: Rule(**row | {"scan": tuple(row["scan"])}) for name, row in parameters.items() if isinstance(row, dict)
    }
    return parameters | rows, seed


def checksum(key: str, row: Row) -> int:
    """Return a sum over a point and its row, which a damaged line does not have."""
    return crc32(json.dumps([key, row]).encode())


def unwritable(error: OSError, file: Path) -> InputError:
    """Return the error for a file that cannot be written."""
    return InputError(f"cannot be written: {error.strerror or error}", str(file))


class Done:
    """The points that are done, in memory and in a file that grows with each.

    Lines of another experiment or of another version of the source are passed over, and so is a last line that was
    cut off, and any whose sum does not fit.  Raises InputError for a file that cannot be read or written.
    """

    def __init__(self, sweep: Sweep, file: Path | None) -> None:
        self.order = [make_key(*point) for point in sweep.points()]
        self.file = file
        self.stamp = [
            sweep.name,
            sweep.kernel,
            jit.source_hash("sim"),
            *([sweep.start.checksum()] if sweep.start else []),
        ]
        self.rows: dict[str, Row] = {}
        self._open: TextIO | None = None
        if file and file.exists():
            self._read(file, set(self.order))

    def _read(self, file: Path, wanted: set[str]) -> None:
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise unreadable(error, str(file)) from None
        for line in lines:
            try:
                stamp, key, row, summed = json.loads(line)
                if stamp == self.stamp and key in wanted and summed == checksum(key, row):
                    self.rows[key] = row
            except (ValueError, TypeError, RecursionError):
                continue

    def __enter__(self) -> Done:
        if self.file:
            try:
                self._open = self.file.open("a", encoding="utf-8")
                self._write("\n" if self.file.stat().st_size else "")  # after a line that was cut off
            except OSError as error:
                raise unwritable(error, self.file) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._open:
            with suppress(OSError):  # a full disk was named when it was written to
                self._open.close()

    def add(self, key: str, row: Row) -> None:
        """Keep a row."""
        row = json.loads(json.dumps(row))  # as it will be read back
        self.rows[key] = row
        if self._open:
            self._write(json.dumps([self.stamp, key, row, checksum(key, row)]) + "\n")

    def _write(self, text: str) -> None:
        assert self._open is not None
        assert self.file is not None
        try:
            self._open.write(text)
            self._open.flush()
        except OSError as error:
            raise unwritable(error, self.file) from None

    def remove(self) -> None:
        """Remove the file: the table has everything."""
        if self.file:
            self.file.unlink(missing_ok=True)


def check_out(out: str | Path | None) -> None:
    """Raise InputError for a file that could not be written in the end."""
    if out is None:
        return
    path = Path(out)
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"output {path.name}; expected a name that ends in .csv or .parquet")
    if not path.parent.is_dir():
        raise InputError("cannot be written: no such folder", str(path))
    if path.is_dir():
        raise InputError("cannot be written: a folder of this name is there", str(path))
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise InputError("Parquet needs pyarrow: pip install 'gfpmodel[trace]', or write .csv") from None


def write_table(rows: Sequence[Row], file: Path) -> None:
    """Write rows as CSV or Parquet, by the file's name, whole or not at all; raises InputError."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with whole(file) as part:
        if file.suffix == ".parquet":
            import pyarrow
            import pyarrow.parquet

            columns = {name: [row.get(name) for row in rows] for name in names}
            pyarrow.parquet.write_table(pyarrow.table(columns), part)
        else:
            with part.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, names, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


# what it says


def summary(sweep: Sweep, rows: Sequence[Row]) -> list[tuple[Row, dict[str, Interval]]]:
    """Return, for every point of the grid, the parameters that vary, and every figure over the seeds."""
    varied = [key for key, values in sweep.grid.items() if len(values) > 1]
    given = {field.name for field in fields(experiment(sweep.name).parameters)} | {"seed", "kernel"}
    out = []
    for at in range(0, len(rows), sweep.seeds):
        group = rows[at : at + sweep.seeds]
        figures = [name for name in group[0] if name not in given]
        out.append(
            ({key: group[0][key] for key in varied}, {name: figure(name, [r[name] for r in group]) for name in figures})
        )
    return out
