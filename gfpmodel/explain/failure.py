"""Explain an allocation failure or an OOM block: the request, and each eligible zone's arithmetic by its kernel's rule.

Models: mm/page_alloc.c:__zone_watermark_ok, :zone_watermark_fast and :gfp_to_alloc_flags (v4.4 to v7.3), as the slow
path asks them with the min mark; leaves out realtime tasks, PF_MEMALLOC, OOM victims, dirty limits and node reclaim.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.explain.find import Found
from gfpmodel.gfp.meanings import BY_HIGH_SINCE, BY_HIGH_STABLE, meaning
from gfpmodel.gfp.names import decode
from gfpmodel.gfp.reading import Reading, read
from gfpmodel.io.meminfo import ORDER_OF_ZONES, MemInfo, Zone, read_mem_info, zone_index

RULES_SINCE = (4, 4)  #: before, the mark was halved from order to order, and there was no HIGHATOMIC reserve
UNUSABLE_AT_ONCE_SINCE = (5, 9)  #: the quick test for order 0 leaves out the HIGHATOMIC reserve, too
UNBOOSTED_SINCE, UNBOOSTED_NOT = (5, 11), (5, 8)  #: order 0 with reserves is tested again without the boost
HIGHEST_ORDER = 10
LETTERS = "UME"  #: the types whose blocks any request may be given
_ORDER = re.compile(r"\border[:=](\d{1,3})\b")
_MASK = re.compile(r"\b(?:mode:|gfp_mask=)0x[0-9a-f]+")
_WHO = re.compile(r"^(.{1,64}?)(?:: page allocation (?:failure|stall)| invoked oom-killer)")
_NODES = re.compile(r"nodemask=(\(null\)|[\d,-]+)")
_MEMS = re.compile(r"mems_allowed=([\d,-]+)")
_MEMCG = re.compile(r"CONSTRAINT_MEMCG|Memory cgroup out of memory|memory: usage \d+kB, limit \d+kB")


@dataclass(frozen=True)
class Asks:
    """What a request may use: its order and highest zone, and what of the reserves its flags open.

    ``high`` halves the mark, ``harder`` takes a quarter of what is left, ``reserves`` keeps the HIGHATOMIC reserve
    from being subtracted, ``atomic_blocks`` opens its blocks, ``cma`` those of CMA.
    """

    order: int
    highest: str
    version: tuple[int, ...]
    high: bool = False
    harder: bool = False
    reserves: bool = False
    atomic_blocks: bool = False
    cma: bool = False
    unlimited: bool = False


def asks_of(found: Reading, order: int, zones: set[str]) -> Asks:
    """Return what a mask of a kernel may use; ``zones`` are the names that the machine has."""
    mask, bits, version = found.mask, found.layout.bits, found.release.version

    def has(name: str) -> bool:
        return bool(mask & bits.get(f"__GFP_{name}", 0))

    none = has("NOMEMALLOC")
    cma = has("MOVABLE") and not has("RECLAIMABLE")
    unlimited = has("MEMALLOC") and not none
    if version >= BY_HIGH_SINCE or version == BY_HIGH_STABLE:
        free_of_wait = not has("DIRECT_RECLAIM") and not none
        atomic = free_of_wait and has("HIGH")
        reserves = free_of_wait or has("HIGH")
        flags = {"harder": atomic, "reserves": reserves, "atomic_blocks": atomic and order > 0}
    else:
        harder = has("ATOMIC") and not none and not has("DIRECT_RECLAIM")
        flags = {"harder": harder, "reserves": harder, "atomic_blocks": harder}
    highest = highest_zone(has("DMA"), has("DMA32"), has("HIGHMEM"), has("MOVABLE"), zones)
    return Asks(order, highest, version, high=has("HIGH"), cma=cma, unlimited=unlimited, **flags)


def highest_zone(dma: bool, dma32: bool, highmem: bool, movable: bool, zones: set[str]) -> str:
    """Return the highest zone that a mask allows on a machine with these zones.

    Models: include/linux/gfp.h:gfp_zone (v5.8); a zone that the machine does not print has no pages, so that a
    request for it is one for the next lower.
    """
    if highmem and movable:
        return "Movable"
    if highmem and "HighMem" in zones:
        return "HighMem"
    if dma32 and "DMA32" in zones:
        return "DMA32"
    return "DMA" if dma and "DMA" in zones else "Normal"


@dataclass(frozen=True)
class Sum:
    """A zone's test: what is free, what of it does not count, what has to remain; all in pages.

    ``test`` is what failed: ``mark``, ``lowmem_reserve``, ``HIGHATOMIC``, ``CMA``, ``block`` (fragmentation), ``none``
    (the numbers pass) or ``unknown`` (a number is missing); ``short`` by how many pages.  ``block`` says whether a
    block of the order was there for this request (None: not printed).
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
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {**vars(self), "remarks": list(self.remarks)}


def zone_test(zone: Zone, info: MemInfo, asks: Asks, page_kb: int) -> Sum:
    """Test one zone as the slow path of this kernel does."""

    def pages(name: str) -> int:
        return zone.fields.get(name, 0) // page_kb

    if "free" not in zone.fields or "min" not in zone.fields:
        return Sum(str(zone), "unknown", remarks=("free or min was cut off",))
    remarks = []
    index = zone_index(info, zone.node, asks.highest)
    reserve = zone.reserve[index] if zone.reserve and index is not None and index < len(zone.reserve) else None
    if reserve is None and zone.name != asks.highest and (zone.reserve is None or any(zone.reserve)):
        why = f"at most {max(zone.reserve)}" if zone.reserve else "not printed"
        remarks.append(f"which lowmem_reserve holds for {asks.highest} cannot be told ({why}): taken as 0")
    boost, cma = pages("boost"), 0 if asks.cma else pages("free_cma")
    exact = "free_highatomic" in zone.fields
    highatomic = 0 if asks.reserves else pages("free_highatomic" if exact else "reserved_highatomic")
    if not asks.reserves and not exact and "reserved_highatomic" not in zone.fields:
        remarks.append("the HIGHATOMIC reserve was not printed: taken as 0")
    block, count = block_there(zone, asks)
    free, mark = pages("free"), pages("min")
    it = Sum(str(zone), "", 0, free, highatomic, cma, mark, boost, mark, reserve or 0, block, count, tuple(remarks))
    return judged(it, asks)


def judged(it: Sum, asks: Asks) -> Sum:
    """Return the sum with the mark that must remain for this request, and the test that it fails."""
    keep = lowered(it.mark, asks)
    quick = 0 if asks.version < UNUSABLE_AT_ONCE_SINCE else it.highatomic
    if asks.unlimited:
        return replace(it, keep=0, test=block_test(it, asks))
    if asks.order == 0 and it.free - it.cma - quick > it.mark + it.reserve:
        return replace(it, keep=keep, test="none")
    rest = it.free - ((1 << asks.order) - 1)
    useful = rest - it.highatomic - it.cma
    if asks.order == 0 and it.boost and (asks.high or asks.harder) and useful <= keep + it.reserve:
        if asks.version >= UNBOOSTED_SINCE:
            keep = lowered(it.mark - it.boost, asks)
        elif asks.version > UNBOOSTED_NOT:
            it = replace(it, remarks=(*it.remarks, "whether this release tests again without the boost was not read"))
    it = replace(it, keep=keep)
    short = keep + it.reserve - useful + 1
    if short <= 0:
        return replace(it, test=block_test(it, asks))
    for name, given in (("lowmem_reserve", it.reserve), ("HIGHATOMIC", it.highatomic), ("CMA", it.cma)):
        if given >= short:
            return replace(it, test=name, short=short)
    return replace(it, test="mark", short=short)


def lowered(mark: int, asks: Asks) -> int:
    """Return what of a mark must remain: half with __GFP_HIGH, three quarters of that for who cannot wait."""
    mark -= mark // 2 if asks.high else 0
    return mark - mark // 4 if asks.harder else mark


def block_test(it: Sum, asks: Asks) -> str:
    """Return the test of blocks: order 0 needs none."""
    if asks.order == 0 or it.block:
        return "none"
    return "unknown" if it.block is None else "block"


def block_there(zone: Zone, asks: Asks) -> tuple[bool | None, int | None]:
    """Return whether a block of the order, or a larger one, was there for the request, and how many of all types.

    Beside a number stand the types that have such a block, not how many each has.
    """
    if asks.order > HIGHEST_ORDER:
        return False, 0
    if zone.blocks is None:
        return None, None
    enough = [(n, letters) for n, letters in zone.blocks[asks.order :] if n]
    mine = LETTERS + "C" * asks.cma + "H" * asks.atomic_blocks
    count = sum(n for n, _ in enough)
    if any(letters and set(letters) & set(mine) for _, letters in enough):
        return True, count
    if any(letters is None for _, letters in enough) or (zone.total is None and len(zone.blocks) < HIGHEST_ORDER):
        return None, count
    return False, count


@dataclass
class Failure:
    """An explained failure, stall or OOM."""

    found: Found
    reading: Reading | None
    order: int | None
    info: MemInfo
    asks: Asks | None
    sums: list[Sum]
    outside: list[str]
    memcg: bool
    remarks: list[str]


def first_line(lines: list[str]) -> str:
    """Return the line that names the request, with the next one if a mailer broke it before order or mask."""
    whole = _ORDER.search(lines[0]) and _MASK.search(lines[0])
    return lines[0] if whole else " ".join(lines[:2])


def read_failure(found: Found) -> Failure:
    """Read a report of the page allocator's and do each eligible zone's arithmetic."""
    head, info = first_line(found.lines), read_mem_info(found.lines)
    remarks: list[str] = [*found.lost]
    reading = read_the_mask(head, found.release, remarks)
    order = _ORDER.search(head)
    number = int(order[1]) if order else None
    failure = Failure(found, reading, number, info, None, [], [], any(map(_MEMCG.search, found.lines)), remarks)
    if reading is None or number is None:
        return failure
    names = {zone.name for zone in info.zones}
    failure.asks = asks_of(reading, number, names)
    if reading.release.version < RULES_SINCE:
        remarks.append("the rule of kernels before v4.4 is not modelled: no arithmetic is done")
        return failure
    page_kb = info.page_kb or 4
    if info.page_kb is None and info.zones:
        remarks.append("the size of a page was not printed (it is that of the first block): taken as 4 kB")
    nodes, top = allowed_nodes(head, found.lines), ORDER_OF_ZONES.index(failure.asks.highest)
    for zone in info.zones:
        if ORDER_OF_ZONES.index(zone.name) > top or (nodes is not None and zone.node not in nodes):
            failure.outside.append(str(zone))
        else:
            failure.sums.append(zone_test(zone, info, failure.asks, page_kb))
    return failure


@lru_cache(maxsize=256)
def read_once(head: str, release: str | None) -> Reading:
    """Return the mask of a line; logs repeat theirs, and each asks every kernel's table.  Raises InputError."""
    return read(head, release)


def read_the_mask(head: str, release: str | None, remarks: list[str]) -> Reading | None:
    """Return the mask of a report under the kernel that it names; say which table was taken where that is not plain."""
    try:
        found = read_once(head, release)
    except InputError as error:
        if release is None:
            remarks.append(f"no mask can be read: {error}")
            return None
        remarks.append(f"the report's kernel: {error}")
        try:
            found = read_once(head, None)
        except InputError as again:
            remarks.append(f"no mask can be read: {again}")
            return None
    named = release is not None and found.release.name == release
    if not named and found.asked.names:
        remarks.append(
            f"the kernel is not known: its names fit {found.fits[0] if found.fits else 'none'}; that table is taken"
        )
    elif not named:
        remarks.append(f"the kernel is not known and no names are printed: {found.layout.kernel}'s table is a guess")
    return found


def numbers(text: str) -> set[int]:
    """Return the numbers of a list such as 0-1,4."""
    found: set[int] = set()
    for part in text.strip(",").split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            found |= set(range(int(first), min(int(last) if last.isdigit() else int(first), 1 << 12) + 1))
    return found


def allowed_nodes(head: str, lines: list[str]) -> set[int] | None:
    """Return the nodes that the mask of nodes and the cpuset allow, None where the report does not say."""
    found = _NODES.search(head)
    mems = next(filter(None, map(_MEMS.search, lines[:3])), None)
    sets = [numbers(m[1]) for m in (found, mems) if m and m[1][0].isdigit()]
    return set.intersection(*sets) if sets else None


def otherwise(it: Failure) -> Iterator[str]:
    """Yield what the same machine would have done with another request, each computed."""
    if it.asks is None or not it.info.zones or not it.sums:
        return
    asks, kb = it.asks, it.info.page_kb or 4
    changes: list[tuple[str, Asks]] = []
    if asks.order:
        changes.append(("order 0", replace(asks, order=0, atomic_blocks=False)))
        changes += [(f"order {n}", replace(asks, order=n)) for n in (asks.order - 1,) if n > 0]
    if not (asks.high and asks.harder):
        deep = replace(asks, high=True, harder=True, reserves=True, atomic_blocks=asks.order > 0)
        changes.append(("GFP_ATOMIC's reserves", deep))
    if not asks.cma and any(zone.fields.get("free_cma") for zone in it.info.zones):
        changes.append(("__GFP_MOVABLE, which may use CMA", replace(asks, cma=True)))
    names = {s.zone for s in it.sums}
    for words, other in changes:
        sums = [zone_test(z, it.info, other, kb) for z in it.info.zones if str(z) in names]
        passing = [s.zone for s in sums if s.test == "none"]
        yield f"with {words}: {'passes in ' + ', '.join(passing) if passing else 'fails as well'}"


def why(it: Failure) -> list[str]:
    """Return why it failed, in words: one line a zone, and what they come to."""
    if it.memcg:
        return ["the limit of a memory cgroup was reached: the zones' marks are not what failed"]
    if it.order is not None and it.order > HIGHEST_ORDER:
        return [f"order {it.order} is beyond the largest block, order {HIGHEST_ORDER}"]
    lines = [f"{s.zone}: {in_words(s, it)}" for s in it.sums]
    tests = {s.test for s in it.sums}
    if "none" in tests:
        lines.append("by these numbers it would have got a page: memory was freed between the failure and this report")
    elif tests == {"block"}:
        lines.append("fragmentation, not the mark: the pages are free, but in smaller or other blocks")
    elif not it.sums:
        lines.append("no eligible zone is printed: why it failed cannot be said")
    return lines


def in_words(s: Sum, it: Failure) -> str:
    """Return one zone's arithmetic in words."""
    if s.test == "unknown" and not s.mark and not s.free:
        return "; ".join(["cannot be tested", *s.remarks])
    order = it.order or 0
    off = [f"{(1 << order) - 1} of the block"] * (order > 0)
    off += [f"{n} {name}" for n, name in ((s.highatomic, "HIGHATOMIC"), (s.cma, "CMA")) if n]
    useful = s.free - ((1 << order) - 1) - s.highatomic - s.cma
    boost = f" (of min {s.mark}, boost {s.boost} in it)" if s.boost else f" (of min {s.mark})" * (s.keep != s.mark)
    has = f"{s.free} pages free" + (f" - {' - '.join(off)} = {useful}" if off else "")
    needs = f"must stay above {s.keep}{boost} + lowmem_reserve {s.reserve} = {s.keep + s.reserve}"
    ends = {
        "none": "passes",
        "block": f"passes the mark, but no block of order {order} or more for this type ({s.blocks} of other types)",
        "unknown": "passes the mark; whether a block was there for this type is not printed",
    }
    end = ends.get(s.test, f"{s.short} pages short: it failed by {s.test}")
    return "; ".join([f"{has}; {needs}", end, *s.remarks])


def facts(it: Failure) -> dict[str, Any]:
    """Return the explanation as plain data: what was asked, why it failed, what would have happened otherwise."""
    asked: dict[str, Any] = {"order": it.order}
    if who := _WHO.search(it.found.lines[0]):
        asked["task"] = who[1]
    if it.reading:
        words = decode(it.reading.mask, it.reading.layout).text
        asked |= {
            "mask": f"{it.reading.mask:#x}",
            "printed": it.reading.asked.names,
            "names": words,
            "agrees": it.reading.agrees,
            "kernel": it.reading.layout.kernel,
            "grade": it.reading.release.grade,
            "may": meaning(it.reading.mask, it.reading.layout).answers,
            "zone": it.asks.highest if it.asks else None,
        }
    missing = list(it.info.missing)
    if not it.info.zones and not it.memcg:  # a cgroup's OOM prints none
        missing.append("Mem-Info: no zone is printed")
        missing += ["whether a memory cgroup's limit was reached"] * (it.found.kind == "oom")
    lacks = (("the kernel's release", it.found.release), ("the order", it.order), ("the mask", it.reading))
    missing += [name for name, value in lacks if value is None]
    tests = sorted({s.test for s in it.sums})
    return {
        "kind": it.found.kind,
        "line": it.found.line,
        "release": it.found.release,
        "asked": asked,
        "zones": [s.to_json() for s in it.sums],
        "outside": it.outside,
        "failing": "memcg" if it.memcg else tests[0] if len(tests) == 1 else tests,
        "why": why(it),
        "otherwise": [] if it.memcg else list(otherwise(it)),
        "missing": missing,
        "remarks": [*it.remarks, *(it.reading.remarks if it.reading else ())],
        "unknown": ["whether the task was a realtime one, PF_MEMALLOC or an OOM victim", "what was freed meanwhile"],
    }
