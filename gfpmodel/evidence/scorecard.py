"""The scorecard: every proposal against what a meeting asks, made from results and from nothing else.

A cell is a figure with its interval over the seeds and its source.  What no result says is a gap, never a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

from gfpmodel.errors import InputError
from gfpmodel.evidence.measured import read_rows
from gfpmodel.gfp import encode, layout
from gfpmodel.locking.matrix import Matrix, matrix
from gfpmodel.mm import Rule
from gfpmodel.proposals import PROPOSALS
from gfpmodel.rcu.versions import PAGE_SIZE, version
from gfpmodel.sim.grids import GRIDS, SEEDS, grid_file, load_grid
from gfpmodel.sim.statistics import Interval, interval, share
from gfpmodel.sim.sweeps import Row, Sweep, run_sweep

GAP = "gap:"
TENANT_RATE = 200_000.0  #: the experiment's default, pages a second and cpu
NESTING, RT = "PROVE_RAW_LOCK_NESTING", "PREEMPT_RT 2020"
DEFERRED = "v5.11"  #: the kernel whose cache the row deferred_refill stands for
BOOTED = "v5.11.4"  #: its booted kernel
LISTS = ("warm", "dry")  #: states of the cpu's lists
LOW, MIN = "low", "min"  #: memory at these watermarks, pages on the lists
WAKES = encode("__GFP_KSWAPD_RECLAIM", layout("v5.8-rc3"))
HIGH = encode("__GFP_HIGH", layout("v5.8-rc3"))
FEW = 1000  #: a recorded workload with fewer requests says nothing about a share of them
Results = Mapping[str, Any]
Label = Literal["modelled", "computed", "measured", "reported", "read in source", ""]


@dataclass(frozen=True)
class Score:
    """A cell: mean and interval (None: a gap), the unit, what of, and where it comes from.

    ``of`` is out of how many, for a count or for a share that is 0; ``exact`` says that there is no spread: a count;
    ``text`` is what the cell shows where a mean does not say it; ``parts`` what a count is of, and the rest of it.
    """

    value: Interval | None
    source: str
    unit: str = ""
    label: Label = ""
    of: int | None = None
    exact: bool = False
    text: str = ""
    parts: tuple[int, ...] = ()

    @property
    def compared(self) -> Interval | None:
        """Return what is compared with other cells.

        A count is compared as a share of what was asked.  A share of which N requests saw none counts as up to 3 / N,
        as if each request stood for itself: runs that all agree do not say more.
        """
        if self.value is None or self.of is None:
            return self.value
        if self.exact:
            return Interval(*(number / self.of for number in self.value))
        return self.value._replace(high=300 / self.of)

    @property
    def mean(self) -> str:
        """Return the figure as text; a gap says why."""
        if self.value is None:
            return f"{GAP} {self.source}"
        of = f" of {self.of:,}" if self.of is not None else ""
        return self.text or short(self.value.mean) + of + (" %" if self.unit == "%" and not of else "")

    @property
    def spread(self) -> str:
        """Return the interval as text, empty for a gap, a count, or a figure that is the same in every run."""
        if self.value is None or self.exact or self.text or self.value.low == self.value.high:
            return ""
        return f"[{short(self.value.low)}, {short(self.value.high)}]"

    def __str__(self) -> str:
        return f"{self.mean} {self.spread}".rstrip()


def short(value: float) -> str:
    """Return a number with three digits, a large one whole."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"


def gap(why: str) -> Score:
    """Return a cell without a figure, and why."""
    return Score(None, why)


def same(value: float) -> Interval:
    """Return a figure without a spread."""
    return Interval(value, value, value)


@dataclass(frozen=True)
class Column:
    """A question: its name, its title, which results answer it, whether more or less is better ("" : no order)."""

    name: str
    title: str
    needs: tuple[str, ...]
    better: Literal["more", "less", ""]
    read: Callable[[Results, Rule, float], Score]


@dataclass(frozen=True)
class Scorecard:
    """The table: a row of cells for each proposal, by the names of COLUMNS."""

    rows: Mapping[str, Mapping[str, Score]]

    def worse(self, name: str, column: Column) -> bool:
        """Return whether a cell is behind the best of its column.

        A smaller count is; a share or a cost is if its interval does not touch that of the best.
        """
        own = self.rows[name][column.name].compared
        known = [cell for row in self.rows.values() if (cell := row[column.name].compared)]
        if own is None or not column.better:
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

    def groups(self, columns: Sequence[Column]) -> list[tuple[str, ...]]:
        """Return the proposals, those that agree in every cell of some columns together, in order of the first."""
        found: dict[tuple[str, ...], list[str]] = {}
        for name, row in self.rows.items():
            found.setdefault(tuple(str(row[column.name]) for column in columns), []).append(name)
        return [tuple(names) for names in found.values()]


# what the columns read


def chosen(rows: Sequence[Row], **wanted: Any) -> list[Row]:
    """Return the rows with these parameters, one a seed."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def failures(rows: Sequence[Row], who: str, source: str) -> Score:
    """Return the share of a flow's requests that failed, in per cent, or that none of so many did."""
    if not rows:
        return gap(f"{source}: no such point")
    found = share([row[f"failed_share.{who}"] for row in rows])
    of = round(sum(row[f"ops.{who}"] for row in rows)) if not found.mean else None
    return Score(Interval(*(100 * value for value in found)), source, "%", "modelled", of)


def own_cache(row: Rule) -> Score | None:
    """Return the gap of a row whose caller asks a cache of its own, which the experiments on lists do not have."""
    return gap("asks its own cache, not the lists") if row.runs == "work" else None


def on_mainline(score: Score, row: Rule) -> Score:
    """Return the score of a run on mainline, with what is known of a row that declines the lock on PREEMPT_RT."""
    if row.lock_rt != "decline" or score.value is None:
        return score
    return replace(score, text=f"{score.mean} on mainline; on RT it fails like the flag")


def read_lone(results: Results, row: Rule, _: float) -> Score:
    """Read how often a cpu fails that has its lists to itself."""
    rows = chosen(results["cross_cpu"], proposal=row.name, frees_on="same")
    return own_cache(row) or on_mainline(failures(rows, "asker", "cross_cpu, frees on the same cpu, nobody else"), row)


def read_tenant(results: Results, row: Rule, rate: float) -> Score:
    """Read how often a raid fails beside a tenant of the lists."""
    rows = chosen(results["co_tenant"], proposal=row.name, tenant_rate=rate)
    return own_cache(row) or on_mainline(failures(rows, "raid", f"co_tenant, {rate:g} pages/s of a tenant"), row)


def for_ever(row: Row) -> bool:
    """Return whether no request of a run was served after the first that was not."""
    return bool(row["late_failed_share.asker"] == 1)


def read_cross(results: Results, row: Rule, _: float) -> Score:
    """Read how often a cpu fails whose pages another one frees, or after how many pages it fails for ever.

    Where it fails for ever the share is the length of the run and no property of the row.
    """
    if row.runs == "work":
        return gap("not asked, as it waits for its worker")
    rows = chosen(results["cross_cpu"], proposal=row.name, frees_on="next")
    score = on_mainline(failures(rows, "asker", "cross_cpu, frees on the next cpu, nobody refills"), row)
    if row.refill == "trylock" and score.value:
        score = replace(score, text=f"{score} where hardly anybody else takes the lock")
    if not rows or not all(map(for_ever, rows)):
        return score
    pages = interval([found["before_null.asker"] for found in rows])
    return replace(score, text=f"after {short(pages.mean)} pages, for ever")


def delays(rows: Sequence[Row]) -> list[int]:
    """Return the delays of a grid, shortest first."""
    return sorted({row["latency_us"] for row in rows})


def read_recorded(results: Results, row: Rule, _: float) -> Score:
    """Read what recorded workloads say: how often a list was found empty, or how often a cache was."""
    if row.runs == "work":
        lost = [100 * int(r["fallbacks"]) / int(r["n"]) for r in results["kfree"]]
        source = f"{len(lost)} floods of kfree_rcu() on a booted {BOOTED}: objects that found no block"
        text = f"cache empty for {ends(lost)} of the objects"
        return Score(Interval(median(lost), min(lost), max(lost)), source, "%", "measured", text=text)
    said = [r for r in results["refills"] if int(r["requests"]) >= FEW]
    asked = sum(int(r["requests"]) for r in said)
    if row.refill == "no":
        dry = [float(r["kernel_share"]) for r in said]
        source = (
            f"requests that found their list empty on a booted v6.1: {asked:,}, in the {len(said)} of "
            f"{len(results['refills'])} workloads that have {FEW:,} or more"
        )
        text = f"list empty for {ends(dry)} in the main zone (DMA32)"
        if row.watermark != "none":  # who passes no mark does not go on to zone DMA
            with_dma = max(100 * (int(r["kernel"]) + int(r["kernel_dma"])) / int(r["requests"]) for r in said)
            text += f"; up to {with_dma:.2g} % with zone DMA"
        return Score(Interval(median(dry), min(dry), max(dry)), source, "%", "measured", text=text)
    if row.refill == "trylock":
        return gap("a trace does not say who held the lock")
    nulls, source = sum(int(r["nulls"]) for r in said), f"NULLs where v5.8's rules replay {len(said)} workloads of v6.1"
    text = f"fails in {nulls:,} of {asked:,}"
    return on_mainline(Score(same(float(nulls)), source, "requests", "modelled", asked, exact=True, text=text), row)


def ends(values: Sequence[float]) -> str:
    """Return the least and the largest share, in per cent, as text."""
    return f"{min(values):.1g} to {max(values):.2g} %"


def read_cost(results: Results, row: Rule, rate: float) -> Score:
    """Read what a raid adds to an operation of the tenant, seed by seed: costs are drawn with the seed."""
    rows = chosen(results["co_tenant"], proposal=row.name, tenant_rate=rate)
    source = f"co_tenant, {rate:g} pages/s"
    if not rows:
        return gap(f"{source}: no such point")
    found = interval([r["mean_op_ns.raided"] - r["mean_op_ns.alone"] for r in rows])
    pairs = {what: [short(interval([r[f"{what}.{name}"] for r in rows]).mean) for name in ("alone", "raided")]
             for what in ("mean_op_ns", "refills_per_1000")}  # fmt: skip
    said = "; ".join(f"{what} {alone} alone, {raided} raided" for what, (alone, raided) in pairs.items())
    return Score(found, f"{source}, raided less alone; {said}", "ns per operation of others", "modelled")


def read_foreign(results: Results, row: Rule, _: float) -> Score:
    """Read how many pages that cannot move lie in movable pageblocks in the end."""
    rows = chosen(results["scan_policy"], policy=row.name)
    if not rows:
        return gap("scan_policy: no such point")
    found = interval([r["foreign_pages"] for r in rows])
    return Score(found._replace(low=max(found.low, 0.0)), "scan_policy, pages at the end", "pages", "modelled")


def read_latency(results: Results, row: Rule, _: float) -> Score:
    """Read how late a task wakes at worst on PREEMPT_RT, for a row that makes the zone lock raw there."""
    if row.lock_rt != "raw":
        return gap("makes no lock raw on RT")
    rows = chosen(results["hold_time"], lock="raw")
    if not rows:
        return gap("hold_time, lock raw: no such point")
    found = interval([r["latency_max_ns"] / 1000 for r in rows])
    source = "hold_time, zone lock raw, {cpus} CPUs, batch {batch}, {duration_ms} ms".format(**rows[0])
    return Score(found._replace(low=max(found.low, 0.0)), source, "us", "modelled")


def read_pays(results: Results, row: Rule, rate: float) -> Score:
    """Read who else pays, and what."""
    pages, late, kept = (read(results, row, rate) for read in (read_foreign, read_latency, read_memory))
    if pages.value is None or kept.value is None:
        return gap(pages.source if pages.value is None else kept.source)
    said = []
    if pages.value.mean:
        live = interval([r["live.raid"] for r in chosen(results["scan_policy"], policy=row.name)]).mean
        said.append(f"{short(pages.value.mean)} of the {short(live)} pages it holds lie in movable blocks")
    if late.value:
        cpus = results["hold_time"][0]["cpus"]
        said.append(f"tasks wake about {late.value.mean:.0f} us late on RT, {cpus} CPUs")
    said += [f"{kept.value.mean / 1024:.0f} KiB kept on each CPU"] * bool(kept.value.mean)
    reserves = row.watermark == "none" or bool(row.mask & HIGH)
    said += ["the reserve of atomic requests"] * reserves
    said += ["free memory falls to the min watermark, if nobody else wakes kswapd"] * lets_kswapd_sleep(row)
    sources = "; ".join(score.source for score in (pages, late, kept))
    text = "; ".join(said) or "none of these costs"
    return Score(same(float(len(said))), sources, "", "modelled", exact=True, text=text)


def lets_kswapd_sleep(row: Rule) -> bool:
    """Return whether a request of a row refills lists and has no bit that wakes kswapd."""
    return row.refill != "no" and row.runs != "work" and not row.mask & WAKES


def clean_contexts(cells: Matrix, row: Rule, config: str, lists: Sequence[str]) -> Score:
    """Count the contexts where no request is reported, hangs or is unsafe, of those not reported by themselves."""
    by: dict[str, list[Any]] = {}
    for cell in cells.select(proposal=row.name, config=config).cells:
        if cell.pcp in lists:
            by.setdefault(cell.context, []).append(cell.verdict)
    asked = [found for found in by.values() if not any(verdict.before for verdict in found)]
    if not asked:
        return gap(f"verdicts on {config}: none")
    clean = [found for found in asked if all(verdict.clean for verdict in found)]
    pages = sum(all(v.result == "page" for v in found) for found in clean)
    source = f"gfpmodel.locking, {config}, order 0, lists {' and '.join(lists)}; {pages} give a page each time"
    parts = pages, len(clean) - pages, len(asked) - len(clean)
    return Score(same(float(len(clean))), source, "contexts", "computed", len(asked), exact=True, parts=parts)


def read_clean(config: str, *lists: str) -> Callable[[Results, Rule, float], Score]:
    """Return what counts the clean contexts of a row on a kernel, in some states of the lists."""
    return lambda results, row, _: clean_contexts(results["verdicts"], row, config, lists)


def read_low(results: Results, row: Rule, rate: float) -> Score:
    """Count the clean contexts with memory at the low watermark, and read what a task gets with it at the lowest."""
    score = clean_contexts(results["verdicts"], row, NESTING, (LOW,))
    tasks = results["verdicts"].select(proposal=row.name, config=NESTING, context="task").cells
    lowest = [cell.verdict.result for cell in tasks if cell.pcp == MIN]
    return replace(score, text=f"{score.mean}; {lowest[0]} at min") if lowest and score.value else score


def read_memory(results: Results, row: Rule, _: float) -> Score:
    """Read how many bytes a cpu keeps for this row alone."""
    held = results["memory"]
    if row.name not in held:
        return gap("no such row")
    source = f"cache_limit of {DEFERRED} times the page size" if held[row.name] else "nothing kept beside the lists"
    return Score(same(float(held[row.name])), source, "bytes per CPU", "read in source", exact=True)


COLUMNS = (
    Column("nesting", "may be called: mainline", ("verdicts",), "more", read_clean(NESTING, *LISTS)),
    Column("low", "the same, memory low", ("verdicts",), "more", read_low),
    Column("rt", "may be called: RT of 2020", ("verdicts",), "more", read_clean(RT, *LISTS)),
    Column("cross", "fails if another CPU frees", ("cross_cpu",), "less", read_cross),
    Column("recorded", "in recorded workloads", ("refills", "kfree"), "", read_recorded),
    Column("pays", "who else pays", ("scan_policy", "hold_time", "memory"), "", read_pays),
    Column("lone", "fails alone", ("cross_cpu",), "less", read_lone),
    Column("tenant", "fails beside other callers", ("co_tenant",), "less", read_tenant),
    Column("cost", "costs the others (ns per operation)", ("co_tenant",), "less", read_cost),
    Column("foreign", "pages in other types' blocks", ("scan_policy",), "less", read_foreign),
    Column("latency", "latest wake-up on RT (us)", ("hold_time",), "less", read_latency),
    Column("memory", "bytes per CPU", ("memory",), "less", read_memory),
)
#: What a meeting reads: may it be called there, does it get a page, who else pays.
SHOWN = COLUMNS[:6]


def scorecard(
    results: Results, tenant_rate: float = TENANT_RATE, rows: Iterable[Rule] = tuple(PROPOSALS.values())
) -> Scorecard:
    """Make the scorecard from results: rows of the grids by experiment, verdicts, memory, and what was recorded.

    Arguments: the results, of which any may be missing (a gap); at which rate the tenant asks, pages a second and cpu;
    the rows to show, those of the book if no others are given.
    """

    def cell(column: Column, row: Rule) -> Score:
        missing = [name for name in column.needs if name not in results]
        return gap(f"no result of {', '.join(missing)}") if missing else column.read(results, row, tenant_rate)

    return Scorecard({row.name: {column.name: cell(column, row) for column in COLUMNS} for row in rows})


def load_results(folder: str | Path) -> dict[str, Any]:
    """Return all results: the shipped grids and recordings of a folder, and what is computed here and now.

    Raises InputError for a file that is damaged, or a grid that is stale.
    """
    data = Path(folder)
    raw = read_rows(data / "kfree-rcu-raw.csv", "n", "fallbacks")
    floods = [r for r in raw if r["form"].endswith("2")] + read_rows(data / "kfree-rcu-floods.csv", "n", "fallbacks")
    return {
        **{name: load_grid(grid_file(name, data)).rows for name in GRIDS},
        "verdicts": asked(tuple(PROPOSALS)),
        "memory": private_memory(),
        "refills": read_rows(data / "refills-6.1.csv", "requests", "nulls"),
        "kfree": [r for r in floods if r["version"] == BOOTED],
    }


def asked(rows: Iterable[str | Rule]) -> Matrix:
    """Return the verdicts of the contexts' columns."""
    return matrix(rows, orders=(0,), configs=(NESTING, RT), pcps=(*LISTS, LOW, MIN))


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
    more["verdicts"] = Matrix(results["verdicts"].cells + asked([row]).cells)
    more["memory"] = {**results["memory"], **private_memory([row])}
    return {**results, **more}


def private_memory(rows: Iterable[Rule] = tuple(PROPOSALS.values())) -> dict[str, int]:
    """Return the bytes a cpu keeps for each row beside the allocator's own lists."""
    cache = version(DEFERRED).cache_limit * PAGE_SIZE
    return {row.name: cache if row.runs == "work" else 0 for row in rows}
