"""Each zone's arithmetic: what is free, what of it does not count, what has to remain, and whether a block was there.

Models: mm/page_alloc.c:__zone_watermark_ok and :zone_watermark_fast (v4.4 to v7.3), as the slow path asks them with
the min mark; leaves out dirty limits and node reclaim.  A number that the report does not tell is taken at both of its
ends: only what both allow is concluded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from gfpmodel.explain.request import Asks
from gfpmodel.io.meminfo import MemInfo, Zone, reserve_range

HIGHEST_ORDER = 10  #: of a kernel built as usual; what is listed tells each kernel's own
LETTERS = "UME"  #: the types whose blocks any request may be given
WITHOUT_BOUND = 1 << 62  #: pages
HIGHATOMIC, CMA = "the HIGHATOMIC reserve", "what of the free pages is CMA's"
PASSES, FAILS = ("none",), ("mark", "lowmem_reserve", "HIGHATOMIC", "CMA", "block")


@dataclass(frozen=True)
class Sum:
    """A zone's test: what is free, what of it does not count, what has to remain; all in pages.

    ``test`` is what failed: ``mark``, ``lowmem_reserve``, ``HIGHATOMIC``, ``CMA``, ``block`` (fragmentation), ``none``
    (the numbers pass) or ``unknown`` (a number is missing); ``short`` by how many pages.  ``block`` says whether a
    block of the order was there for this request (None: not printed).  ``reserve`` and ``highatomic`` are the least
    that they may be; ``doubts`` are the numbers that cannot be told.  ``quick``: it passes by the quick test of order 0
    alone.  ``page_kb``: the size of a page that the numbers are in; ``short_range``: the least and the most that it may
    be short of (None: no bound), for each size of a page that is possible.  ``either``: where kernels differ, each
    answer with those that give it.
    """

    zone: str
    test: str
    short: int = 0
    free: int = 0
    highatomic: int = 0
    cma: int = 0
    mark: int = 0
    boost: int = 0
    keep: int = 0
    reserve: int = 0
    block: bool | None = None
    blocks: int | None = None
    doubts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    quick: bool = False
    page_kb: int = 4
    short_range: tuple[tuple[int, int, int | None], ...] = ()
    either: tuple[tuple[str, Sum], ...] = ()

    @property
    def useful(self) -> int:
        """Return the free pages of which this request may use some, beside those of its own block."""
        return self.free - self.highatomic - self.cma

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        lists = {"doubts": list(self.doubts), "remarks": list(self.remarks), "either": []}
        ranges = [dict(zip(("page_kb", "least", "most"), one, strict=True)) for one in self.short_range]
        either = [{"kernels": words, "test": one.test, "short": one.short} for words, one in self.either]
        return {**vars(self), **lists, "short_range": ranges, "either": either}


@dataclass(frozen=True)
class Doubt:
    """A number of a zone that the report does not tell: its name, and the least and the most it may be, in pages."""

    name: str
    least: int
    most: int


def largest_order(info: MemInfo) -> int | None:
    """Return the largest order that the lists of blocks show, None if no whole list is printed."""
    return max((len(zone.blocks) - 1 for zone in info.zones if zone.blocks and zone.total is not None), default=None)


def zone_test(zone: Zone, info: MemInfo, asked: Sequence[Asks]) -> Sum:
    """Test one zone as the slow path of this kernel does.

    Arguments: the zone and its block; what the request may use, one for each thing that it may have been.
    """
    if "free" not in zone.fields or "min" not in zone.fields:
        return Sum(str(zone), "unknown", doubts=("free or min was cut off",))
    if zone.mixed:
        return Sum(str(zone), "unknown", doubts=("it is printed twice with other numbers, one of another report",))
    sizes = info.page_sizes
    found = [one for size, asks in product(sizes, asked) for one in ends_of(zone, info, asks, size)]
    doubts = [f"{d.name} cannot be told ({bounds(d)})" for d in doubted(zone, info, asked[0], sizes[0])]
    doubts += ["the size of a page cannot be told"] * (len(sizes) > 1)
    return together(found, tuple(doubts))


def bounds(doubt: Doubt) -> str:
    """Return in words what is known of a number that is not told."""
    if doubt.most == WITHOUT_BOUND:
        return "not printed, or cut"
    return f"{doubt.least} to {doubt.most} pages"


def doubted(zone: Zone, info: MemInfo, asks: Asks, page_kb: int) -> Iterator[Doubt]:
    """Yield the numbers of a zone that matter to the request and are not told: they were cut, or no kernel tells them.

    The reserve that counts is what is free of it, where the kernel prints that: behind the whole reserve.
    """
    least, most = reserve_range(info, zone, asks.highest)
    if least != most:
        yield Doubt("lowmem_reserve", least, WITHOUT_BOUND if most is None else most)
    fields = zone.fields
    if (
        not asks.reserves
        and "free_highatomic" not in fields
        and not fields.keys() >= {"reserved_highatomic", "managed"}
    ):
        reserved = fields.get("reserved_highatomic")
        most = most_highatomic(zone, info, page_kb) if reserved is None else reserved // page_kb
        yield Doubt(HIGHATOMIC, 0, most)
    if not asks.cma and "free_cma" not in fields:
        yield Doubt(CMA, 0, fields["free"] // page_kb)


def most_highatomic(zone: Zone, info: MemInfo, page_kb: int) -> int:
    """Return what a zone's HIGHATOMIC reserve may be at most: a hundredth of it, and two pageblocks.

    Models: mm/page_alloc.c:reserve_highatomic_pageblock (v4.4 to v6.6); a pageblock is at most the largest block.
    """
    if "managed" not in zone.fields:
        return WITHOUT_BOUND
    largest = largest_order(info)
    return zone.fields["managed"] // page_kb // 100 + (2 << (HIGHEST_ORDER if largest is None else largest))


def ends_of(zone: Zone, info: MemInfo, asks: Asks, page_kb: int) -> Iterator[Sum]:
    """Yield the test of a zone with all that is not told at its least, and at its most if that is another."""

    def pages(name: str) -> int:
        return zone.fields.get(name, 0) // page_kb

    doubts = {doubt.name: doubt for doubt in doubted(zone, info, asks, page_kb)}
    exact = "free_highatomic" in zone.fields
    highatomic = (
        0 if asks.reserves or HIGHATOMIC in doubts else pages("free_highatomic" if exact else "reserved_highatomic")
    )
    block, count = block_there(zone, asks)
    it = Sum(
        str(zone), "", 0, pages("free"), highatomic, 0 if asks.cma else pages("free_cma"), pages("min"), pages("boost"),
        pages("min"), reserve_range(info, zone, asks.highest)[0], block, count, page_kb=page_kb,
    )  # fmt: skip
    yield with_hidden_boost(zone, page_kb, judged(it, asks), asks)
    if doubts:

        def most(name: str, least: int) -> int:
            return doubts[name].most if name in doubts else least

        reserve, highatomic = most("lowmem_reserve", it.reserve), most(HIGHATOMIC, it.highatomic)
        yield judged(replace(it, reserve=reserve, highatomic=highatomic, cma=most(CMA, it.cma)), asks)


def together(found: Sequence[Sum], doubts: tuple[str, ...]) -> Sum:
    """Return what all tests of a zone allow to say: the first one, if the others pass or fail as it does."""
    first = replace(found[0], doubts=doubts, quick=any(one.quick for one in found))
    ends = {one.test for one in found}
    if ends <= set(FAILS):
        return replace(first, short_range=tuple(ranges(found)))
    return first if ends <= set(PASSES) else replace(first, test="unknown", short=0)


def ranges(found: Sequence[Sum]) -> Iterator[tuple[int, int, int | None]]:
    """Yield the size of a page, and the least and the most that a zone is short of (None: without a bound)."""
    for size in sorted({one.page_kb for one in found}):
        shorts = [one.short for one in found if one.page_kb == size]
        yield size, min(shorts), None if max(shorts) > WITHOUT_BOUND // 2 else max(shorts)


def with_hidden_boost(zone: Zone, page_kb: int, it: Sum, asks: Asks) -> Sum:
    """Add a remark where a boost that is in min, but not printed (before v5.16), would let the request pass.

    The gap from min to low is a quarter of min without the boost, or more in a large zone: where it is a quarter of
    all of min, there is no boost.
    """
    gap = (zone.fields.get("low", 0) - zone.fields["min"]) // page_kb
    if it.short <= 0 or not asks.unboosted or "boost" in zone.fields or 0 <= it.mark - 4 * gap <= 3:
        return it
    useful = it.free - it.highatomic - it.cma - it.reserve
    needed = next((n for n in range(it.mark + 1) if lowered(it.mark - n, asks) < useful), None)
    if needed is None:
        return it
    words = f"a boost that is in min is not printed: of {needed} pages or more, this request would not see it and pass"
    return replace(it, remarks=(words,))


def judged(it: Sum, asks: Asks) -> Sum:
    """Return the sum with the mark that must remain for this request, and the test that it fails."""
    quick = it.highatomic if asks.usable else 0
    if asks.unlimited:
        return replace(it, keep=0, reserve=0, test=block_test(it))
    keep = lowered(it.mark, asks)
    useful = it.useful - ((1 << asks.order) - 1)
    if asks.order == 0 and asks.quick and it.free - it.cma - quick > it.mark + it.reserve:
        return replace(it, keep=keep, test=block_test(it), quick=useful <= keep + it.reserve)
    if asks.order == 0 and it.boost and asks.unboosted and useful <= keep + it.reserve:
        keep = lowered(it.mark - it.boost, asks)
    it = replace(it, keep=keep)
    short = keep + it.reserve - useful + 1
    if short <= 0:
        return replace(it, test=block_test(it))
    for name, given in (("lowmem_reserve", it.reserve), ("HIGHATOMIC", it.highatomic), ("CMA", it.cma)):
        if given >= short:
            return replace(it, test=name, short=short)
    return replace(it, test="mark", short=short)


def lowered(mark: int, asks: Asks) -> int:
    """Return what of a mark must remain: half with __GFP_HIGH, three quarters of that for who cannot wait."""
    mark = max(mark, 0)  # a boost above min, which no kernel has
    mark -= mark // 2 if asks.high else 0
    return mark - mark // 4 if asks.harder else mark


def block_test(it: Sum) -> str:
    """Return the test of blocks."""
    if it.block is None:
        return "unknown"
    return "none" if it.block else "block"


def block_there(zone: Zone, asks: Asks) -> tuple[bool | None, int | None]:
    """Return whether a block of the order, or a larger one, was there for the request, and how many of all types.

    Beside a number stand the types that have such a block, not how many each has.  For order 0 a list that is not
    printed is no doubt: whatever is free may be it.
    """
    mine = LETTERS + "C" * asks.cma + "H" * asks.atomic_blocks
    there = zone.blocks or []
    enough = [(n, letters) for n, letters in there[asks.order :] if n]
    count = sum(n for n, _ in enough) if there else None
    if any(letters and set(letters) & set(mine) for _, letters in enough):
        return True, count
    if zone.total is not None and all(letters for _, letters in enough):
        return False, count
    return zone.fields["free"] > 0 if asks.order == 0 else None, count


def shortage(s: Sum) -> str:
    """Return in words how much a zone is short of, with the size of a page; a range where it is not told."""
    said = []
    for size, least, most in s.short_range or ((s.page_kb, s.short, s.short),):
        if most is None:
            said.append(f"at least {least} pages of {size} kB")
        else:
            said.append(
                f"{least} page{'s' * (most != 1)} of {size} kB"
                if least == most
                else f"{least} to {most} pages of {size} kB"
            )
    return " or ".join(said)
