"""Memory asked for until the first NULL on a booted v6.18.26, run again on v6.18's engine from what was recorded.

A recording says free pages, marks and list lengths of a guest; /proc/zoneinfo the sizes of its lists.  When the
watermark boost came it does not say, nor how the free pages lay, of which that is a consequence: the boost was read a
moment after the run.  So the model runs each row twice, with that boost from the start and with none, and no third
way is chosen by what was recorded.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.evidence.later import BOOT618
from gfpmodel.evidence.measured import Line, Row, Start, numbers, read_rows
from gfpmodel.gfp import encode, layout
from gfpmodel.io.procfs import read_proc
from gfpmodel.mm import Machine, PageAllocator, Zone, pack_ops
from gfpmodel.mm.ops import NO_RESULT, OP_ALLOC, OP_NOLOCK
from gfpmodel.mm.snapshot import PcpState, Snapshot
from gfpmodel.mm.state import MIGRATE_PCPTYPES, ZONE_DMA, ZONE_DMA32

KERNEL = "v6.18"
ZONES = {ZONE_DMA: "DMA", ZONE_DMA32: "DMA32"}
MASKS = {"gfp0": "none", "NOWAIT": "GFP_NOWAIT|__GFP_NOWARN", "ATOMIC": "GFP_ATOMIC|__GFP_NOWARN"}
NOLOCK = "NL"
MANY = 64  #: pages; the count of free pages is late by fewer in these guests
BLOCK = 1 << 10  #: pages of a pageblock there, and what one claim of a block adds to the boost
COLUMNS = ("got", "order", *(f"{zone}_{what}" for zone in ZONES.values() for what in
           ("free_before", "min", "boost", "reserve")))  # fmt: skip


class Sizes(NamedTuple):
    """A cpu's lists in a zone as /proc/zoneinfo shows them, and the zone's marks without a boost (pages)."""

    batch: int
    high: int
    high_min: int
    high_max: int
    lag: int  #: pages by which the count of free pages may be late: the threshold of each cpu's part
    wmark: tuple[int, int, int]

    def late(self) -> Sizes:
        """Return the marks lower by the lag, as they are for a count that is too high by it."""
        low, mid, high = (max(mark - self.lag, 0) for mark in self.wmark)
        return self._replace(wmark=(low, mid, high))


class Ends(NamedTuple):
    """What a run came to: blocks until the first NULL, and the cpu's lists of each zone as `lists_of` shows them."""

    got: int
    lists: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Exhaustion:
    """A recorded run and the model's: with the boost that was read afterwards, and with none; the latter lag behind.

    ``lagging``: as ``boosted``, the kernel's count of free pages being as late as its per-cpu parts allow.
    """

    row: Line
    recorded: Ends
    boosted: Ends
    lagging: Ends
    plain: Ends

    @property
    def title(self) -> str:
        """Return which run it is."""
        row = self.row
        return f"{row['kernel']} {row['mem']} {row['req']} order {row['order']}, {row['prep']} {row['n']}"

    @property
    def predicted(self) -> bool:
        """Return whether the number of blocks is the recorded one."""
        return self.recorded.got == self.boosted.got

    @property
    def came(self) -> int:
        """Return how many pages more were free or listed after the run than before it, less those that it got."""
        row, (there, were) = self.row, ([f"{zone}_{when}" for zone in ZONES.values()] for when in ("after", "before"))
        taken = self.recorded.got << int(row["order"])
        return sum(map(self.pages, there)) + taken - sum(map(self.pages, were))

    def pages(self, when: str) -> int:
        """Return the pages of a zone that were free or on the lists, as in DMA_before."""
        zone, _, word = when.partition("_")
        return int(self.row[f"{zone}_free_{word}"]) + int(self.row[f"{zone}_pcp_{word}"].split(":")[0])

    @property
    def why_lists(self) -> str:
        """Return why a list ends otherwise than recorded, empty if none does, or if `why` says so already."""
        if self.recorded.lists in (self.boosted.lists, self.plain.lists):
            return ""
        if self.came > MANY:
            return f"somebody freed pages meanwhile: {self.came} more were there afterwards than the run accounts for"
        return "the last refill took what was left, and the kernel's count of free pages is late by a few"

    @property
    def why(self) -> str:
        """Return why the number could not be predicted, empty if it was."""
        got = self.recorded.got
        if self.predicted:
            return ""
        if self.boosted.got < got <= self.lagging.got:
            return "the kernel's count of free pages is late by up to its threshold for each CPU"
        if got == self.plain.got:
            return "equal to the run without a boost, so the recorded boost came too late to count"
        if self.boosted.got < got <= self.plain.got:
            return "the boost came during the run; when is not recorded, nor how the free pages lay"
        return "not explained by boost or count: pages came or went meanwhile"


def sizes_of(path: Path) -> dict[int, Sizes]:
    """Read the sizes of the first cpu's lists and the marks of both zones from a /proc/zoneinfo; raises InputError."""
    proc = read_proc([str(path)])
    found = {}
    for index, name in ZONES.items():
        zone = proc.zones[0, name]
        lists = zone.pcp[0]
        batch, high, least, most = (lists[word] for word in ("batch", "high", "high_min", "high_max"))
        found[index] = Sizes(batch, high, least, most, zone.threshold * len(zone.pcp), zone.wmark())
    return found


def guest(row: Line, sizes: Mapping[int, Sizes], boosts: Mapping[int, int]) -> PageAllocator:
    """Return a machine with the free pages, marks and lists of a recorded run, its free pages in one piece.

    Pages of higher orders on the lists are counted, and not there.  A list may hold what zoneinfo says, and at least
    what it holds.
    """
    lists = {index: numbers(row[f"{name}_pcp_before"]) for index, name in ZONES.items()}
    at, spans = BLOCK, []
    for index, name in ZONES.items():
        pages = int(row[f"{name}_free_before"]) + sum(lists[index])
        spans.append(Zone(index, at, pages))
        at = -(-(at + pages) // BLOCK) * BLOCK
    a = PageAllocator(Machine(tuple(spans), watermark_boost_factor=0, min_free_kbytes=0, pageblock_order=10),
                      kernel=KERNEL)  # fmt: skip
    own = {
        index: replace(a.sizes.zones[index], wmark=size.wmark,
                       lowmem_reserve=(0, *(int(row[f"{ZONES[index]}_reserve"]),) * 3),
                       batch=size.batch, high_min=size.high_min, high_max=size.high_max)
        for index, size in sizes.items()
    }  # fmt: skip
    a.restore(with_lists(a.snapshot(), sizes, lists, boosts), replace(a.sizes, zones=own))
    return a


def with_lists(
    state: Snapshot, sizes: Mapping[int, Sizes], lists: Mapping[int, tuple[int, ...]], boosts: Mapping[int, int]
) -> Snapshot:
    """Return the state with so many single pages of each type on the cpu's lists, and the words of the lists."""
    zones = []
    for zone in state.zones:
        size, wanted = sizes[zone.index], lists[zone.index]
        free, taken = taken_off(zone.free_lists, sum(wanted))
        words = PcpState(len(taken), max(size.high, len(taken)), size.batch, 0, 0, 0, size.high_min, size.high_max)
        ends = np.cumsum(wanted).tolist()
        rows = [tuple(taken[end - count : end]) for count, end in zip(wanted, ends, strict=True)]
        rows += [()] * (len(zone.pcp_lists[0]) - MIGRATE_PCPTYPES)
        zones.append(
            replace(zone, free=zone.free - len(taken), boost=boosts[zone.index], free_lists=free,
                    pcp_count=(len(taken),), pcp_lists=(tuple(rows),), pcp=(words,),
                    cached=(tuple((0,) * len(one) for one in rows),))
        )  # fmt: skip
    return replace(state, zones=tuple(zones))


FreeLists = tuple[tuple[tuple[int, ...], ...], ...]


def taken_off(free: FreeLists, count: int) -> tuple[FreeLists, list[int]]:
    """Return free lists without ``count`` pages, the smallest blocks first, and the pages."""
    lists = [[list(one) for one in of_order] for of_order in free]
    taken: list[int] = []
    while len(taken) < count:
        order, t = next((o, t) for o, of in enumerate(lists) for t, one in enumerate(of) if one)
        pfn = lists[order][t].pop()
        while order:  # the lower half is taken, the upper one goes down the orders
            order -= 1
            lists[order][t].append(pfn + (1 << order))
        taken.append(pfn)
    return tuple(tuple(tuple(one) for one in of_order) for of_order in lists), taken


def asked(row: Line, count: int) -> NDArray[np.int64]:
    """Return so many requests of a run."""
    order = int(row["order"])
    if row["req"] == NOLOCK:
        return pack_ops(np.full(count, OP_NOLOCK), 0, order, 0)
    return pack_ops(np.full(count, OP_ALLOC), 0, order, encode(MASKS[row["req"]], layout(KERNEL)))


def run(row: Line, sizes: Mapping[int, Sizes], boosts: Mapping[int, int]) -> Ends:
    """Ask until the first NULL; returns what there was until then, and what the lists hold."""
    start = Start(a := guest(row, sizes, boosts))
    most = sum(zone.managed for zone in a.sizes.zones.values()) >> int(row["order"])
    requests = asked(row, most + 1)
    got = int(np.argmax(a.run(requests).pfns == NO_RESULT))
    start.again().run(requests[: got + 1])  # those behind the first NULL may get something: once more, without them
    return Ends(got, tuple(lists_of(a, index, int(row["order"])) for index in ZONES))


def lists_of(a: PageAllocator, zone: int, order: int) -> tuple[int, ...]:
    """Return the lengths of the three lists of single pages, or for larger blocks all their pages."""
    if order:
        return (a.pcp_count(0, zone),)
    return tuple(len(a.pcp_list(0, zone, t)) for t in range(MIGRATE_PCPTYPES))


def recorded_ends(row: Line) -> Ends:
    """Return what was recorded of a run."""
    texts = [row[f"{name}_pcp_after"] for name in ZONES.values()]
    return Ends(int(row["got"]), tuple((int(t.split(":")[0]),) if int(row["order"]) else numbers(t) for t in texts))


def exhaustion(row: Line, sizes: Mapping[int, Sizes]) -> Exhaustion:
    """Run a recorded exhaustion on the model."""
    boosts = {index: int(row[f"{name}_boost"]) for index, name in ZONES.items()}
    late = {index: size.late() for index, size in sizes.items()}
    none = dict.fromkeys(ZONES, 0)
    return Exhaustion(row, recorded_ends(row), run(row, sizes, boosts), run(row, late, boosts), run(row, sizes, none))


def exhaustions(path: Path, zoneinfo: Mapping[str, Path], guests: Container[str] = ("256M", "1G")) -> list[Exhaustion]:
    """Run all recorded exhaustions of the named guests.

    Arguments: the table; the /proc/zoneinfo of each kernel and guest, such as N-256M; which guests.  Raises InputError.
    """
    sizes = {name: sizes_of(file) for name, file in zoneinfo.items()}
    rows = [row for row in read_rows(path, *COLUMNS) if row["mem"] in guests]
    return [exhaustion(row, sizes[f"{row['kernel']}-{row['mem']}"]) for row in rows]


def summary(found: Sequence[Exhaustion]) -> Row:
    """Return how many of some runs the model predicts, as a row of the table of failures."""
    missed = [one for one in found if not one.predicted]
    apart = [one.boosted.got / one.recorded.got - 1 for one in found]
    return Row(
        "blocks until the first NULL",
        BOOT618,
        "asked with interrupts off, nothing given back",
        f"{min(one.recorded.got for one in found):,} to {max(one.recorded.got for one in found):,}",
        f"the same in {len(found) - len(missed)} runs; at worst off by {100 * max(apart, key=abs):+.2f} %",
        len(found),
        len(missed),
        "; ".join(dict.fromkeys(one.why for one in missed)),
    )
