"""The recorded floods: blocks of pointers asked for under a lock, freed a while after they filled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from gfpmodel.evidence.measured import BOOT58, Line, Lists, Row, Start, read_rows, set_lists, spread
from gfpmodel.evidence.mixes import FAST_TRY, GFP_KERNEL
from gfpmodel.mm import PageAllocator
from gfpmodel.sim.statistics import interval

JIFFY_NS = 4_000_000
CAPACITY = 509  #: pointers in a block
MASKS = {"FAST_TRY": FAST_TRY.flag, "NOWAIT": 0x2800, "0": 0}


class Flooded(NamedTuple):
    """What a flood counted: blocks, requests that failed, blocks before the first failure (or -1), most at once."""

    blocks: int
    block_fail: int
    first_fail: int
    peak: int


@dataclass
class Flood:
    """A flood of objects under way: its times in ns, what lives, and when it dies."""

    allocator: PageAllocator
    objects: int
    every_ns: float
    delay_ns: float
    gfp: int
    others: Iterable[int]  #: the objects at which somebody else takes a page and gives it back
    due: list[tuple[int, int]] = field(default_factory=list)  #: (object at which a block is freed, pfn), ascending

    def free_until(self, at: int) -> None:
        """Free the blocks whose time has come when an object is queued."""
        while self.due and self.due[0][0] <= at:
            self.allocator.free_pages(self.due.pop(0)[1])

    def object_at(self, ns: float) -> int:
        """Return the first object that is queued after the tick that follows a time."""
        tick = -(-ns // JIFFY_NS) * JIFFY_NS
        return int(tick // self.every_ns) + 1

    def run(self) -> Flooded:
        """Queue all objects; a request that fails is made again at the next object, until something changes."""
        at = blocks = failed = peak = 0
        first, others = -1, iter([*self.others, self.objects])
        other = next(others)
        while at < self.objects:
            if other <= at:
                give_and_take(self.allocator)  # for all of them: who comes next gets that page, and puts it back
            while other <= at:
                other = next(others)
            self.free_until(at)
            pfn = self.allocator.alloc_pages(self.gfp)
            if pfn is None:
                first = blocks if first < 0 else first
                nothing_until = max(at + 1, min(other, self.due[0][0] if self.due else self.objects, self.objects))
                failed += nothing_until - at
                at = nothing_until
                continue
            blocks += 1
            at += CAPACITY
            self.due.append((self.object_at(at * self.every_ns + self.delay_ns), pfn))
            peak = max(peak, len(self.due))
        return Flooded(blocks, failed, first, peak)


def give_and_take(allocator: PageAllocator) -> None:
    """Take an ordinary page and free it at once: the list is refilled if it was empty."""
    pfn = allocator.alloc_pages(GFP_KERNEL)
    if pfn is not None:
        allocator.free_pages(pfn)


def flooded(row: Line, start: Start, lists: Lists, seed: int) -> Flooded:
    """Run a recorded flood at its recorded pace, from some lists; who else runs is drawn from the seed."""
    allocator = start.again()
    set_lists(allocator, lists)
    objects, ppm, rng = int(row["objs"]), int(row["bg_ppm"]), Random(seed)
    others = sorted(rng.sample(range(objects), objects * ppm // 1_000_000))
    delay = int(row["delay_ms"]) * 1_000_000
    return Flood(allocator, objects, int(row["ns"]) / objects, delay, MASKS[row["gfp"]], others).run()


#: What a group of floods is called, which it holds, and whether it fails depends on the lists alone.
FLOOD_GROUPS: tuple[tuple[str, Callable[[Line], bool], bool], ...] = (
    ("FAST_TRY, nobody else, freed after 20 or 100 ms", lambda r: fast(r, "0") and r["delay_ms"] != "400", True),
    ("FAST_TRY, nobody else, freed after 400 ms", lambda r: fast(r, "0") and r["delay_ms"] == "400", True),
    ("FAST_TRY, others take and free pages", lambda r: fast(r, r["bg_ppm"]) and r["bg_ppm"] != "0", False),
    ("GFP_NOWAIT or mask 0", lambda r: r["gfp"] != "FAST_TRY", False),
)


def fast(row: Line, ppm: str) -> bool:
    """Return whether a flood asks with the flag, beside so many other requests."""
    return row["gfp"] == "FAST_TRY" and row["bg_ppm"] == ppm


def floods(path: Path, start: Start, lists: Sequence[Lists], seeds: Iterable[int]) -> list[Row]:
    """Return whether floods find no block, and after how many; the lists at the start are drawn by each seed."""
    rows = read_rows(path, "objs", "delay_ms", "bg_ppm", "block_fail", "first_fail_after", "blocks", "ns")
    draws = [(Random(seed).choice(lists), seed) for seed in seeds]
    out = []
    for name, belongs, lists_matter in FLOOD_GROUPS:
        each = [row for row in rows if belongs(row)]
        if not each:
            continue
        few = draws if lists_matter else draws[:1]
        runs = [[flooded(row, start, *draw) for draw in few] for row in each]
        out.append(some_fail(name, each, runs))
        first = [run.first_fail for several in runs for run in several if run.block_fail]
        if first:
            out.append(first_failure(each, first))
    return [*out, *fell_back([row for row in rows if int(row["block_fail"])], start)]


def some_fail(name: str, rows: list[Line], runs: list[list[Flooded]]) -> Row:
    """Compare how many floods of a group fail at all."""
    said = [int(row["block_fail"]) > 0 for row in rows]
    failing = [[run.block_fail > 0 for run in each] for each in runs]
    totals = [sum(one) for one in zip(*failing, strict=True)]
    return Row(
        "floods in which a block was not to be had",
        BOOT58,
        name,
        f"{sum(said)} of {len(said)}",
        f"{spread(totals)} of {len(rows)}" + (f", {np.mean(totals):.2g} on average" if len(set(totals)) > 1 else ""),
        len(rows),
        sum(one not in got for one, got in zip(said, failing, strict=True)),
        "the lists at the start are not recorded, so they are drawn from the exhaustion runs" if any(said) else "",
    )


def first_failure(rows: list[Line], got: list[int]) -> Row:
    """Compare how many blocks live when the first request fails."""
    said = [int(row["first_fail_after"]) for row in rows if int(row["block_fail"])]
    return Row(
        "blocks that live when the first request fails",
        BOOT58,
        f"{len(said)} floods that fail",
        spread(said),
        f"{interval(got)}, {spread(got)}",
        len(said),
        sum(not min(got) <= blocks <= max(got) for blocks in said),
        "all that the lists hold; how much that was is not recorded, so it is drawn from the exhaustion runs",
    )


def fell_back(rows: list[Line], start: Start) -> list[Row]:
    """Compare what falls back in floods that fail, from as many pages as the recording got before it failed.

    A flood that was over before a block came back is left out: its number follows from that start alone.
    """
    out = []
    for row in rows:
        if int(row["ns"]) < int(row["delay_ms"]) * 1_000_000:
            continue
        run = flooded(row, start, (int(row["first_fail_after"]), 0, 0), 0)
        conditions = f"{row['objs']} objects, {row['first_fail_after']} pages on the lists"
        wrong = int(row["block_fail"]) != run.block_fail
        why = "only the mean pace is recorded; under emulation the pace is uneven" if wrong else ""
        what = "objects that fell back in a flood"
        out.append(Row(what, BOOT58, conditions, row["block_fail"], str(run.block_fail), 1, int(wrong), why))
    return out
