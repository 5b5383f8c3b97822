"""The scorecard: every proposal against what a meeting asks, made from results and from nothing else.

A cell is a figure with its interval over the seeds and its source.  What no result says is a gap, never a number.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gfpmodel.errors import InputError
from gfpmodel.locking.matrix import Matrix, matrix
from gfpmodel.mm import Rule
from gfpmodel.proposals import PROPOSALS
from gfpmodel.rcu.versions import PAGE_SIZE, version
from gfpmodel.sim.grids import GRIDS, SEEDS, grid_file, load_grid
from gfpmodel.sim.statistics import Interval, interval
from gfpmodel.sim.sweeps import Row, Sweep, run_sweep

GAP = "-"
TENANT_RATE = 200_000.0  #: the experiment's default, pages a second and cpu
NESTING, RT = "PROVE_RAW_LOCK_NESTING", "PREEMPT_RT 2020"
DEFERRED = "v5.11"  #: the kernel whose cache the row deferred_refill stands for
Results = Mapping[str, Any]
Label = Literal["modelled", "computed", "reported", "read in source", ""]


@dataclass(frozen=True)
class Score:
    """A cell: mean and interval (None: a gap), what of (``of``: out of so many), the unit, and where it comes from.

    ``exact`` says that there is no spread: a verdict or a count.
    """

    value: Interval | None
    source: str
    unit: str = ""
    label: Label = ""
    of: int | None = None
    exact: bool = False

    @property
    def compared(self) -> Interval | None:
        """Return what is compared with other cells: the figure, or its share of what was asked."""
        if self.value is None or self.of is None:
            return self.value
        return Interval(*(number / self.of for number in self.value))

    @property
    def mean(self) -> str:
        """Return the figure as text."""
        if self.value is None:
            return GAP
        return short(self.value.mean) + (f" of {self.of}" if self.of is not None else "")

    @property
    def spread(self) -> str:
        """Return the interval as text, empty for a gap or an exact figure."""
        return "" if self.value is None or self.exact else f"[{short(self.value.low)}, {short(self.value.high)}]"

    def __str__(self) -> str:
        return f"{self.mean} {self.spread}".rstrip()


def short(value: float) -> str:
    """Return a number with three digits, a large one whole."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"


def gap(why: str) -> Score:
    """Return a cell without a figure, and why."""
    return Score(None, why)


@dataclass(frozen=True)
class Column:
    """A question: its name, its title, which result answers it, whether more or less is better, and the reading."""

    name: str
    title: str
    needs: str
    better: Literal["more", "less"]
    read: Callable[[Any, Rule, float], Score]


@dataclass(frozen=True)
class Scorecard:
    """The table: a row of cells for each proposal, by the names of COLUMNS."""

    rows: Mapping[str, Mapping[str, Score]]

    def worse(self, name: str, column: Column) -> bool:
        """Return whether a cell is behind the best of its column: the two intervals do not even touch."""
        own = self.rows[name][column.name].compared
        known = [cell for row in self.rows.values() if (cell := row[column.name].compared)]
        if own is None:
            return False
        if column.better == "more":
            return own.high < max(known, key=lambda cell: cell.mean).low
        return own.low > min(known, key=lambda cell: cell.mean).high

    def behind(self, name: str) -> list[str]:
        """Return the titles of the columns in which a proposal is behind the best."""
        return [column.title for column in COLUMNS if self.worse(name, column)]

    def gaps(self, name: str) -> list[str]:
        """Return the titles of the columns that say nothing about a proposal."""
        return [column.title for column in COLUMNS if self.rows[name][column.name].value is None]


# what the columns read


def pick(rows: Sequence[Row], figure: Callable[[Row], float], **wanted: Any) -> Interval | None:
    """Return a figure of the rows with these parameters over their seeds, None if there is no such row."""
    values = [figure(row) for row in rows if all(row[key] == value for key, value in wanted.items())]
    return interval(values) if values else None


def clipped(found: Interval, top: float) -> Interval:
    """Return an interval of a figure that lies between 0 and ``top``."""
    return Interval(found.mean, max(found.low, 0.0), min(found.high, top))


def failures(found: Interval | None, source: str) -> Score:
    """Return a share of failures in per cent."""
    if found is None:
        return gap(f"{source}: no such point")
    return Score(clipped(Interval(*(100 * value for value in found)), 100.0), source, "%", "modelled")


def own_cache(row: Rule) -> Score | None:
    """Return the gap of a row whose caller asks a cache of its own, which these experiments do not have."""
    return gap("its caller takes from a cache that these experiments do not have") if row.runs == "work" else None


def read_lone(rows: Sequence[Row], row: Rule, _: float) -> Score:
    """Read how often a cpu fails that has its lists to itself."""
    found = pick(rows, lambda r: r["failed_share.asker"], proposal=row.name, frees_on="same")
    return own_cache(row) or failures(found, "cross_cpu, frees on the same cpu, nobody else")


def read_cross(rows: Sequence[Row], row: Rule, _: float) -> Score:
    """Read how often a cpu fails whose pages another one frees."""
    found = pick(rows, lambda r: r["failed_share.asker"], proposal=row.name, frees_on="next")
    return own_cache(row) or failures(found, "cross_cpu, frees on the next cpu")


def read_tenant(rows: Sequence[Row], row: Rule, rate: float) -> Score:
    """Read how often a raid fails beside a tenant of the lists."""
    found = pick(rows, lambda r: r["failed_share.raid"], proposal=row.name, tenant_rate=rate)
    return own_cache(row) or failures(found, f"co_tenant, {rate:g} pages/s of a tenant")


def read_cost(rows: Sequence[Row], row: Rule, rate: float) -> Score:
    """Read what a raid adds to an operation of the tenant, seed by seed: costs are drawn with the seed."""
    wanted = {"proposal": row.name, "tenant_rate": rate}
    source = f"co_tenant, {rate:g} pages/s"
    found = pick(rows, lambda r: r["mean_op_ns.raided"] - r["mean_op_ns.alone"], **wanted)
    if found is None:
        return gap(f"{source}: no such point")
    pairs = {what: [mean_of(rows, f"{what}.{name}", wanted) for name in ("alone", "raided")]
             for what in ("mean_op_ns", "refills_per_1000")}  # fmt: skip
    said = "; ".join(f"{what} {alone} alone, {raided} raided" for what, (alone, raided) in pairs.items())
    return Score(found, f"{source}, raided less alone; {said}", "ns per operation of others", "modelled")


def mean_of(rows: Sequence[Row], figure: str, wanted: Mapping[str, Any]) -> str:
    """Return the mean of a figure over the seeds as text."""
    found = pick(rows, lambda r: r[figure], **wanted)
    return GAP if found is None else short(found.mean)


def read_foreign(rows: Sequence[Row], row: Rule, _: float) -> Score:
    """Read how many pages that cannot move lie in movable pageblocks in the end."""
    found = pick(rows, lambda r: r["foreign_pages"], policy=row.name)
    if found is None:
        return gap("scan_policy: no such point")
    return Score(clipped(found, float("inf")), "scan_policy, pages at the end", "foreign pages", "modelled")


def read_latency(rows: Sequence[Row], row: Rule, _: float) -> Score:
    """Read how late a task wakes at worst on PREEMPT_RT with the zone lock that the row makes."""
    lock = "raw" if row.lock_rt == "raw" else "sleeping"  # a lock that is only tried stays what it was
    found = pick(rows, lambda r: r["latency_max_ns"] / 1000, lock=lock)
    if found is None:
        return gap(f"hold_time, lock {lock}: no such point")
    return Score(clipped(found, float("inf")), f"hold_time, zone lock {lock}", "us", "modelled")


def clean_contexts(cells: Matrix, row: Rule, config: str) -> Score:
    """Count the contexts where no request is reported, hangs or is unsafe, of those not reported by themselves."""
    chosen = cells.select(proposal=row.name, config=config).cells
    by: dict[str, list[Any]] = {}
    for cell in chosen:
        by.setdefault(cell.context, []).append(cell.verdict)
    asked = [found for found in by.values() if not any(verdict.before for verdict in found)]
    if not asked:
        return gap(f"verdicts on {config}: none")
    clean = [found for found in asked if all(verdict.clean for verdict in found)]
    pages = sum(all(v.result == "page" for v in found) for found in clean)
    source = f"gfpmodel.locking, order 0, lists warm and dry; {pages} of them give a page both times"
    return Score(Interval(*(float(len(clean)),) * 3), source, "contexts", "computed", len(asked), exact=True)


def read_memory(held: Mapping[str, int], row: Rule, _: float) -> Score:
    """Read how many bytes a cpu keeps for this row alone."""
    if row.name not in held:
        return gap("no such row")
    source = f"cache_limit of {DEFERRED} times the page size" if held[row.name] else "nothing beside the lists"
    return Score(Interval(*(float(held[row.name]),) * 3), source, "bytes per cpu", "read in source", exact=True)


def read_code(rows: Sequence[Row], row: Rule, _: float) -> Score:
    """Read how many files a patch touched, if anyone said."""
    for found in rows:
        if found["proposal"] == row.name and found["files"]:
            value = float(found["files"])
            return Score(Interval(value, value, value), found["source"], "files", "reported", exact=True)
    return gap("nobody said")


COLUMNS = (
    Column("nesting", "clean on v5.8 (nesting)", "verdicts", "more", lambda m, row, _: clean_contexts(m, row, NESTING)),
    Column("rt", "clean on RT (2020)", "verdicts", "more", lambda m, row, _: clean_contexts(m, row, RT)),
    Column("lone", "fails alone (%)", "cross_cpu", "less", read_lone),
    Column("tenant", "fails beside a tenant (%)", "co_tenant", "less", read_tenant),
    Column("cross", "fails if freed elsewhere (%)", "cross_cpu", "less", read_cross),
    Column("cost", "costs others (ns/op)", "co_tenant", "less", read_cost),
    Column("foreign", "foreign pages", "scan_policy", "less", read_foreign),
    Column("latency", "latest wake-up on RT (us)", "hold_time", "less", read_latency),
    Column("memory", "bytes per cpu", "memory", "less", read_memory),
    Column("code", "files touched", "code", "less", read_code),
)


def scorecard(
    results: Results, tenant_rate: float = TENANT_RATE, rows: Iterable[Rule] = tuple(PROPOSALS.values())
) -> Scorecard:
    """Make the scorecard from results: rows of the grids by experiment, ``verdicts``, ``memory``, ``code``.

    Arguments: the results, of which any may be missing (a gap); at which rate the tenant asks, pages a second and cpu;
    the rows to show, those of the book if no others are given.
    """
    return Scorecard(
        {
            row.name: {
                column.name: column.read(results[column.needs], row, tenant_rate)
                if column.needs in results
                else gap(f"no result of {column.needs}")
                for column in COLUMNS
            }
            for row in rows
        }
    )


def load_results(folder: str | Path) -> dict[str, Any]:
    """Return all results: the shipped grids of a folder, what was reported, and what is computed here and now.

    Raises InputError for a grid that is missing, damaged or stale.
    """
    return {
        **{name: load_grid(grid_file(name, Path(folder))).rows for name in GRIDS},
        "verdicts": matrix(orders=(0,), configs=(NESTING, RT)),
        "memory": private_memory(),
        "code": read_reported(Path(folder) / "code-touched.csv"),
    }


def with_row(results: Results, row: Rule, seeds: int = SEEDS, tenant_rate: float = TENANT_RATE) -> dict[str, Any]:
    """Return results with those of one more row, which are run and computed now.

    Arguments: the results; the row; how many seeds; at which rate the tenant asks, pages a second and cpu.
    Raises InputError for a row that has the name of another one of the book.
    """
    if PROPOSALS.get(row.name, row) != row:
        raise InputError(f"{row.name} is a row of the book, and differs from this; expected another name")
    if row.name in PROPOSALS:
        return dict(results)
    grids: dict[str, dict[str, tuple[Any, ...]]] = {
        "co_tenant": {"proposal": (row,), "tenant_rate": (tenant_rate,)},
        "cross_cpu": {"proposal": (row,), "frees_on": ("same", "next")},
        "scan_policy": {"policy": (row,)},
    }
    more: dict[str, Any] = {
        name: (*results[name], *run_sweep(Sweep(name, grid, seeds), workers=1)) for name, grid in grids.items()
    }
    cells = matrix([row], orders=(0,), configs=(NESTING, RT)).cells
    more["verdicts"] = Matrix(results["verdicts"].cells + cells)
    more["memory"] = {**results["memory"], **private_memory([row])}
    return {**results, **more}


def private_memory(rows: Iterable[Rule] = tuple(PROPOSALS.values())) -> dict[str, int]:
    """Return the bytes a cpu keeps for each row beside the allocator's own lists."""
    cache = version(DEFERRED).cache_limit * PAGE_SIZE
    return {row.name: cache if row.runs == "work" else 0 for row in rows}


def read_reported(file: Path) -> list[Row]:
    """Return what was reported about the size of the patches; raises InputError."""
    try:
        rows: list[Row] = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", str(file)) from None
    for line, row in enumerate(rows, 2):
        if row.get("proposal") not in PROPOSALS or not str(row.get("files") or "0").isdigit() or not row.get("source"):
            raise InputError("expected a proposal, its files (or nothing) and a source", str(file), line)
    return rows
