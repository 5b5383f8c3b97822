"""What booted kernels and the list measured, each figure beside the model's of the same.

A row says how many recorded figures were compared and how many differ; nothing but what was recorded is read from a
file, and nothing of the model is fitted to it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError, unknown
from gfpmodel.evidence.mixes import FAST_TRY, GFP_KERNEL, TYPE_FLAGS, Counted, Mix, run_mix
from gfpmodel.mm import PageAllocator, pack_ops
from gfpmodel.mm.ops import NO_RESULT, OP_ALLOC, OP_DRAIN, OP_FREE_HANDLE
from gfpmodel.mm.state import MIGRATE_PCPTYPES, ZONE_DMA32
from gfpmodel.sim.statistics import interval

HEADERS = ("what", "agrees", "recorded", "the model", "why not, or what is assumed", "source")
TYPES = ("unmovable", "movable", "reclaimable")
BOOT58 = "v5.8-rc7 with the RFC, booted"
Lists = tuple[int, ...]  #: pages on a cpu's unmovable, movable and reclaimable list
Line = dict[str, str]


class Row(NamedTuple):
    """A figure: what and where it was measured, the model's, how many values were compared and how many differ.

    ``circular``: the model's figure rests on the recorded one.
    """

    what: str
    source: str
    conditions: str
    recorded: str
    model: str
    compared: int
    differ: int
    why: str = ""
    circular: bool = False

    @property
    def agrees(self) -> str:
        """Return yes, no, how many of how many, or circular."""
        if self.circular:
            return "circular"
        if 0 < self.differ < self.compared:
            return f"{self.compared - self.differ} of {self.compared}"
        return "no" if self.differ else "yes"

    def cells(self) -> tuple[str, ...]:
        """Return the row under HEADERS."""
        what = f"{self.what}; {self.conditions}"
        return (what, self.agrees, self.recorded, self.model, self.why, self.source)


@dataclass
class Start:
    """A machine in a recorded state, to which it comes back before each run."""

    allocator: PageAllocator
    recorded: list[NDArray[Any]] = field(init=False)  #: its arrays: to copy them costs a tenth of restore()

    def __post_init__(self) -> None:
        self.recorded = [one.copy() for one in self._arrays()]

    def _arrays(self) -> Iterator[NDArray[Any]]:
        return (one for one in self.allocator.arrays if one is not None)

    def again(self) -> PageAllocator:
        """Return the machine as it was recorded."""
        for own, recorded in zip(self._arrays(), self.recorded, strict=True):
            own[:] = recorded
        return self.allocator


def read_rows(path: Path, *columns: str) -> list[Line]:
    """Return the rows of a table; raises InputError if one of the columns is missing or is no number."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows, 2):
        for column in columns:
            if not (row.get(column) or "").lstrip("-").isdecimal():
                raise InputError(f"{column} is {row.get(column)!r}; expected a number", str(path), number)
    return rows


def spread(values: Iterable[float], unit: str = "") -> str:
    """Return the least and the largest of some values, in words."""
    ordered = sorted(values)
    if not ordered:
        return "none"
    low, high = ordered[0], ordered[-1]
    return (f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}") + unit


def numbers(text: str) -> Lists:
    """Return the numbers of a text like 351:68/261/22, those behind the colon."""
    return tuple(map(int, text.rsplit(":", 1)[-1].split("/")))


def start_of(row: Line, starts: Mapping[str, Start]) -> Start:
    """Return the machine of a row's guest; raises InputError."""
    guest = row.get("guest") or ""
    if guest not in starts:
        raise unknown("guest", guest, starts)
    return starts[guest]


# lists of a cpu


def set_lists(allocator: PageAllocator, wanted: Sequence[int], cpu: int = 0) -> None:
    """Let a cpu's lists hold so many unmovable, movable and reclaimable pages."""
    asked = np.repeat([GFP_KERNEL | flag for flag in TYPE_FLAGS], wanted)
    pages = len(asked)
    kinds = np.repeat([OP_ALLOC, OP_DRAIN, OP_FREE_HANDLE], (pages, 1, pages))
    allocator.run(pack_ops(kinds, cpu, 0, np.concatenate((asked, [0], np.arange(pages)))))


def lists_of(allocator: PageAllocator, cpu: int = 0, zone: int = ZONE_DMA32) -> Lists:
    """Return how many pages each list of a cpu holds."""
    return tuple(len(allocator.pcp_list(cpu, zone, t)) for t in range(MIGRATE_PCPTYPES))


def fill_one_list(allocator: PageAllocator, prep: str) -> None:
    """Drain cpu 0's lists, then let one list have what a refill brings: monly, ronly, or dry for none."""
    allocator.drain(0)
    if prep != "dry":
        pfn = allocator.alloc_pages(GFP_KERNEL | TYPE_FLAGS[("monly", "ronly").index(prep) + 1])
        allocator.free_pages(pfn or 0)


def exhaust(allocator: PageAllocator, start_mt: int) -> list[int]:
    """Ask for FAST_TRY pages of a type until the first NULL; returns them."""
    most = sum(allocator.pcp_count(0, zone) for zone in allocator.sizes.zones)  # it gets what the lists hold
    pfns = allocator.run(pack_ops(np.full(most + 1, OP_ALLOC), 0, 0, FAST_TRY.flag | TYPE_FLAGS[start_mt])).pfns
    got: list[int] = pfns[: np.argmax(pfns == NO_RESULT)].tolist()
    return got


Exhausted = tuple[int, Lists, Lists | None]  #: pages, lists afterwards, pages by type of their block


def exhausted(row: Line, start: Start) -> tuple[Exhausted, Exhausted]:
    """Return what a recorded exhaustion and the model's have: pages, lists afterwards, where the pages lay.

    Where the pages lay is compared if the model filled the list itself; else it starts from the recorded lengths.
    """
    allocator = start.again()
    own = row["prep"] not in ("nat", "warm")
    if own:
        fill_one_list(allocator, row["prep"])
    else:
        set_lists(allocator, numbers(row["before"]))
    pfns = exhaust(allocator, int(row["start_mt"]))
    lay = np.bincount([allocator.migratetype(pfn) for pfn in pfns], minlength=5).tolist()
    said = (int(row["pages"]), numbers(row["after"]), numbers(row["from_block_mt"]) if own else None)
    return said, (len(pfns), lists_of(allocator), tuple(lay) if own else None)


def exhaustion(path: Path, starts: Mapping[str, Start]) -> list[Row]:
    """Return how many pages FAST_TRY got before its first NULL, by starting type; ``starts`` by guest."""
    rows = read_rows(path, "start_mt", "pages")
    found = [(row, *exhausted(row, start_of(row, starts))) for row in rows]

    def group(at: tuple[Line, Exhausted, Exhausted]) -> tuple[str, str]:
        row = at[0]
        return row["start_mt"], "as recorded before" if row["prep"] in ("nat", "warm") else row["prep"]

    out = []
    for (mt, prep), several in groupby(sorted(found, key=group), group):
        each = list(several)
        out.append(
            Row(
                f"pages before the first NULL, {TYPES[int(mt)]}",
                BOOT58,
                {"dry": "lists drained", "monly": "only a movable refill", "ronly": "only a reclaimable refill"}.get(
                    prep, f"lists {prep}"
                ),
                spread(said[0] for _, said, _ in each),
                spread(got[0] for *_, got in each),
                len(each),
                sum(said != got for _, said, got in each),
                "the lengths of the lists are the recording's" if "recorded" in prep else "",
            )
        )
    return out


def recorded_lists(path: Path) -> list[Lists]:
    """Return the lists that a running guest of the recordings had, as found or warmed."""
    return [
        numbers(row["before"]) for row in read_rows(path) if row["prep"] in ("nat", "warm") and row["guest"] == "1G"
    ]


# mixes


def mixed(row: Line, start: Start, seed: int | None = None) -> Counted:
    """Run a recorded mix from drained lists, from its own seed or another."""
    allocator = start.again()
    allocator.drain(0)
    slots = int(row["D"]) + 1
    p, q, bg, ft = (int(row[name]) for name in ("p", "q", "bg_mt", "ft_mt"))
    return run_mix(allocator, Mix(seed or int(row["seed"]), int(row["M"]), p, q, slots, slots, bg, ft))


def said_of_mix(row: Line) -> tuple[Any, ...]:
    """Return what a recorded mix counted, in the order of Counted."""
    names = ("ft_attempts", "ft_fail", "bg", "maxfailrun", "failruns")
    return (*(int(row[name]) for name in names), numbers(row["from_block_mt"]))


def mixes(path: Path, starts: Mapping[str, Start], seeds: Iterable[int]) -> list[Row]:
    """Return failures of mixes by the rate of ordinary requests: each run from its own seed, then from others."""
    rows = read_rows(path, "seed", "M", "p", "q", "D", "bg_mt", "ft_mt", "ft_attempts", "ft_fail")
    rows.sort(key=lambda row: (row.get("guest") or "", int(row["p"])))
    out, others = [], list(seeds)
    for (guest, p), several in groupby(rows, lambda row: (row.get("guest") or "", int(row["p"]))):
        each = list(several)
        start = start_of(each[0], starts)
        own = [mixed(row, start) for row in each]
        rates = [float(np.mean([mixed(row, start, seed).rate for row in each])) for seed in others]
        said = np.mean([int(row["ft_fail"]) / int(row["ft_attempts"]) for row in each])
        differ = sum(said_of_mix(row) != got[:6] for row, got in zip(each, own, strict=True))
        conditions = f"{guest}, p={p}/1000, {len(each)} runs over q and D"
        recorded, model = f"{said:.4g}", f"{np.mean([c.rate for c in own]):.4g}; other seeds {interval(rates)}"
        out.append(Row("mean share of NULL in a mix", BOOT58, conditions, recorded, model, len(each), differ))
    return out


# cross-CPU frees


def crossed(row: Line, start: Start, lists: Sequence[Lists], lag: int) -> tuple[Counted, int, int]:
    """Run a recorded run of cross-CPU frees from lists of both cpus; cpu 1 frees ``lag`` requests later.

    Returns what was counted and the pages on both cpus' lists in the end.
    """
    allocator = start.again()
    for cpu, pages in enumerate(lists):
        set_lists(allocator, pages, cpu)
    there = row["bg_freed"] == "cpu1"
    p, q, bg = (int(row[name]) for name in ("p", "q", "bg_mt"))
    mix = Mix(int(row["seed"]), int(row["M"]), p, q, lag if there else 0, lag, bg, 0, int(there), 1)
    found = run_mix(allocator, mix)
    return found, allocator.pcp_count(0, ZONE_DMA32), allocator.pcp_count(1, ZONE_DMA32)


class Crossed(NamedTuple):
    """A recorded run, and the model's from several lists of cpu 0 that nobody recorded."""

    row: Line
    runs: list[tuple[Counted, int, int]]

    def said(self, *names: str) -> tuple[int, ...]:
        """Return recorded counts."""
        return tuple(int(self.row[name]) for name in names)


def cross_cpu(path: Path, start: Start, lists: Sequence[Lists], seeds: Iterable[int]) -> list[Row]:
    """Return what cpu 0 gets if cpu 1 frees; the lists at the start are drawn by each seed from ``lists``."""
    rows = read_rows(path, "seed", "M", "p", "q", "ft_attempts", "ft_fail", "second_half_fail", "on_cpu1")
    draws = [(rng.choices(lists, k=2), rng.randrange(1, 257)) for rng in map(Random, seeds)]
    found = [Crossed(row, [crossed(row, start, *draw) for draw in draws]) for row in rows]
    alone = [one for one in found if one.said("p") == (0,)]
    refilled = [one for one in found if one.said("p") != (0,)]
    return [first_null(alone), *map(second_half, (alone, refilled)), other_list(found)]


def first_null(found: list[Crossed]) -> Row:
    """Compare after how many pages the first NULL came."""
    said = [one.said("ft_ok_before_first_fail")[0] for one in found]
    got = [run.before_fail for one in found for run, _, _ in one.runs]
    return Row(
        "pages before the first NULL, another CPU frees",
        BOOT58,
        f"nobody refills, {len(found)} runs",
        spread(said),
        f"{interval(got)}, {spread(got)}",
        len(said),
        sum(not min(got) <= one <= max(got) for one in said),
        "all that the lists hold; how much that was is not recorded, so it is drawn from the exhaustion runs",
    )


def second_half(found: list[Crossed]) -> Row:
    """Compare the NULLs of the second half, where the lists of the start no longer matter."""
    alone = found[0].said("p") == (0,)
    said = [one.said("second_half_attempts", "second_half_fail") for one in found]
    got = [{run.second_half for run, _, _ in one.runs} for one in found]
    shares = [null / asked for one in got for asked, null in one]
    differ = [one.row for one, a, b in zip(found, said, got, strict=True) if a not in b]
    return Row(
        "share of NULL in the second half",
        BOOT58,
        f"another CPU frees, {'nobody refills' if alone else 'others refill'}, {len(found)} runs",
        spread(null / asked for asked, null in said),
        spread(shares),
        len(said),
        len(differ),
        f"the lists at the start are not recorded, and no draw gave the number of the run with seed "
        f"{', '.join(row['seed'] for row in differ)}"
        if differ
        else "",
    )


def other_list(found: list[Crossed]) -> Row:
    """Compare what the cpu that frees holds in the end."""
    said = [one.said("on_cpu1")[0] for one in found]
    got = [there for one in found for *_, there in one.runs]
    outside = sum(not min(got) <= pages <= max(got) for pages in said)
    return Row(
        "pages on the lists of the CPU that frees, in the end",
        BOOT58,
        f"{len(found)} runs",
        spread(said),
        f"{interval(got)}, {spread(got)}",
        len(said),
        outside,
        "what it held at the start is not recorded, so it is drawn from the exhaustion runs",
    )


def count_rows(rows: Iterable[Row]) -> tuple[int, int, int]:
    """Return how many values rows compare, how many of them differ, and how many more are circular."""
    fair, circular = [], 0
    for row in rows:
        circular += row.circular * row.compared
        fair += [] if row.circular else [row]
    return sum(row.compared for row in fair), sum(row.differ for row in fair), circular
