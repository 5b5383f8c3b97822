"""What later kernels measured where a rule of this model applies: v6.1's bursts, v6.18's alloc_pages_nolock().

The lists of these kernels are not v5.8's: their sizes, batches and draining differ, so amounts do.  Rules are
compared: when is a page to be had, and when not.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gfpmodel.evidence.measured import Line, Row, read_rows, set_lists, spread
from gfpmodel.evidence.mixes import FAST_TRY, GFP_KERNEL
from gfpmodel.mm import Machine, PageAllocator, Zone, pack_ops
from gfpmodel.mm.ops import NO_RESULT, OP_ALLOC, OP_FREE_HANDLE
from gfpmodel.mm.state import ZONE_DMA, ZONE_DMA32
from gfpmodel.proposals import proposal

NOLOCK = proposal("trylock")
BOOT61, BOOT618 = "v6.1.192, fast try made by hand, booted", "v6.18.26, booted"
BATCH_61, HIGH_61 = 31, 408  #: pages, of the 512 MiB guests of v6.1
BATCH_618 = 63  #: pages, of the 1 GiB guest


# bursts


def burst(allocator: PageAllocator, gfp: int, hold: int, calls: int) -> int:
    """Ask for so many pages in bursts of ``hold``, each burst given back at its end; returns how many there were."""
    got = 0
    for at in range(0, calls, hold):
        n = min(hold, calls - at)
        kinds, what = np.repeat([OP_ALLOC, OP_FREE_HANDLE], n), np.concatenate((np.full(n, gfp), np.arange(n)))
        got += int((allocator.run(pack_ops(kinds, 0, 0, what)).pfns != NO_RESULT).sum())
    return got


def burst_share(hold: int, calls: int) -> float:
    """Return the share of fast tries that get a page in bursts, after as many ordinary requests in such bursts."""
    machine = Machine((Zone(ZONE_DMA32, 4096, 1 << 17),), pcp=(BATCH_61, HIGH_61))
    allocator = PageAllocator(machine, FAST_TRY)
    burst(allocator, GFP_KERNEL, hold, calls)
    return burst(allocator, FAST_TRY.flag, hold, calls) / calls


def bursts(path: Path) -> list[Row]:
    """Return the share of fast tries that got a page by the length of a burst, in runs where nobody else asks."""
    rows = read_rows(path, "hold", "calls", "ok", "cpus", "fail", "bg", "pcp_lock_busy")
    alone = sorted((row for row in rows if row["bg"] == "0"), key=lambda row: int(row["hold"]))
    out = []
    for hold, several in groupby(alone, lambda row: int(row["hold"])):
        each = list(several)
        said = sorted({int(row["ok"]) / int(row["calls"]) for row in each})
        got = burst_share(hold, int(each[0]["calls"]) // int(each[0]["cpus"]))
        wrong = sum(round(int(row["ok"]) / int(row["calls"]), 3) != round(got, 3) for row in each)
        what = "share of tries by hand that got a page"
        conditions = f"bursts of {hold} pages, 2 CPUs, high {HIGH_61}; {len(each)} runs"
        why = why_apart(each) if wrong else ""
        out.append(Row(what, BOOT61, conditions, spread(said), f"{got:.4g}", len(each), wrong, why))
    return out


def why_apart(rows: list[Line]) -> str:
    """Say what the recorded failures have in common, if they do."""
    if all(int(row["calls"]) == int(row["hold"]) * int(row["cpus"]) for row in rows):
        return "one burst, and how many pages the lists held before it is not recorded"
    if all(row["fail"] == row["pcp_lock_busy"] for row in rows):
        return "an interrupt met the lists' lock held by the task below it; v5.8's lists have no lock"
    if all(int(row["fail"]) == int(row["hold"]) * int(row["cpus"]) for row in rows):
        return "each CPU had as many failures as one burst has pages; the lists do not explain it"
    return "lists of v6.1 differ"


def burst_limit(path: Path) -> Row:
    """Return from which length on bursts find the lists empty at all; a list cannot hold more than high."""
    rows = [row for row in read_rows(path, "hold", "pcp_lists_empty", "bg") if row["bg"] == "0"]
    lengths = sorted({int(row["hold"]) for row in rows})
    fails = {hold: any(int(row["pcp_lists_empty"]) for row in rows if int(row["hold"]) == hold) for hold in lengths}
    model = {hold: burst_share(hold, 4000) < 1 for hold in lengths}
    said, got = (", ".join(str(hold) for hold, bad in one.items() if bad) for one in (fails, model))
    wrong = sum(fails[hold] != model[hold] for hold in lengths)
    conditions = f"bursts of {', '.join(map(str, lengths))} pages"
    return Row(
        "lengths of a burst at which tries find the lists empty", BOOT61, conditions, said, got, len(lengths), wrong
    )


# v6.18


class Marks(NamedTuple):
    """A zone of a recorded guest: its free pages, its min watermark with the boost, and what it keeps back."""

    free: int
    min: int
    reserve: int


def guest(zones: dict[int, Marks], listed: int = 0) -> PageAllocator:
    """Return a machine with the free pages and watermarks of a guest, ``listed`` pages on the big zone's list."""
    at, spans = 1 << 12, []
    for index, marks in sorted(zones.items()):
        pages = marks.free + listed * (index == max(zones))
        spans.append(Zone(index, at, pages))
        at = (at + pages + 1024) >> 10 << 10
    allocator = PageAllocator(Machine(tuple(spans), pcp=(BATCH_618, 6 * BATCH_618), min_free_kbytes=0), NOLOCK)
    set_lists(allocator, (listed, 0, 0))
    sizes = allocator.sizes
    for index, marks in zones.items():
        sizes.zones[index].wmark = (marks.min, marks.min * 5 // 4, marks.min * 3 // 2)
        sizes.zones[index].lowmem_reserve = (0, *(marks.reserve,) * 3)
    allocator.restore(allocator.snapshot(), sizes)
    return allocator


def at_line(row: Line) -> int:
    """Return how many of 8 requests get a page in the model, with as much free as a recorded guest had."""
    free, least = int(row["free"]), int(row["min"])
    if free < 1:
        return 0
    allocator = guest({ZONE_DMA32: Marks(free, least, 0)}, BATCH_618 if row["prep"] == "warm" else 0)
    asked = (allocator.alloc_pages(NOLOCK.mask) for _ in range(8))
    return sum(pfn is not None for pfn in asked)


def nolock_line(path: Path) -> Row:
    """Return at which amount of free memory alloc_pages_nolock() gets pages: how many of 8."""
    rows = read_rows(path, "free", "min", "nl0_of_8")
    found = [(int(row["free"]) - int(row["min"]), int(row["nl0_of_8"]), at_line(row)) for row in rows]
    wrong = [(margin, said, got) for margin, said, got in found if said != got]
    apart = "; ".join(f"{margin} pages above min: recorded {said} of 8, model {got}" for margin, said, got in wrong)
    return Row(
        "requests that get a page, of 8 near the min watermark",
        BOOT618,
        f"{len(rows)} cells, {spread(margin for margin, *_ in found)} pages from min",
        f"8 or none in {sum(said in (0, 8) for _, said, _ in found)} cells, 1 to 7 in the others",
        f"the recorded number in {len(rows) - len(wrong)} cells",
        len(rows),
        len(wrong),
        f"{apart}; v6.18 refills otherwise, and its count of free pages lags by 8 at most: not all explained"
        if wrong
        else "",
    )


class Contended(NamedTuple):
    """What the rule says of a request while another cpu holds zone locks."""

    listed: bool  #: a page, the list having one
    lower: bool  #: a page of the lower zone, the list being empty and the big zone's lock held


def contended() -> Contended:
    """Ask the model with the big zone's lock held by another cpu."""
    zones = {ZONE_DMA: Marks(3840, 15, 0), ZONE_DMA32: Marks(1 << 14, 984, 0)}
    allocator = guest(zones, 8)
    big = allocator.sizes.zones[ZONE_DMA32].zone.start
    allocator.contend(ZONE_DMA32, held=True)
    listed = allocator.alloc_pages(NOLOCK.mask)
    allocator.drain()
    lower = allocator.alloc_pages(NOLOCK.mask)
    return Contended(listed is not None, lower is not None and lower < big)


def nolock_contended(path: Path) -> list[Row]:
    """Return what contention does to a list with pages, and where a lower zone is left, in runs with a busy lock.

    What it does elsewhere depends on when the lock is given back, so the model has no number for it.
    """
    rows, rule = read_rows(path, "zones", "attempts", "null", "busy_before"), contended()
    busy = [row for row in rows if int(row["busy_before"])]
    checks = (
        ("a list with pages, a lock busy", [r for r in busy if r["mode"] == "warm"], rule.listed),
        (
            "lists empty, a lock busy, a lower zone",
            [r for r in busy if (r["mode"], r["zones"]) == ("dry", "2")],
            rule.lower,
        ),
    )
    return [
        Row(conditions_of(name, each), BOOT618, f"{len(each)} runs", f"{total(each, 'null')} NULL",
            "none" if holds else "some", len(each), sum((int(row["null"]) == 0) != holds for row in each))
        for name, each, holds in checks
    ]  # fmt: skip


def conditions_of(name: str, rows: list[Line]) -> str:
    """Return what a row of contention compares."""
    return f"NULL in {total(rows, 'attempts')} requests: {name}"


def total(rows: list[Line], column: str) -> int:
    """Return the sum of a column."""
    return sum(int(row[column]) for row in rows)
