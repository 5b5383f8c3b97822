"""Read the Mem-Info block of a report: zones with their marks, reserves and free blocks, in pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations

_NAME = r"(?:Node (?P<node>\d{1,5}) )?(?P<zone>DMA32|DMA|Normal|HighMem|Movable|Device)"
_ZONE = re.compile(rf"{_NAME} free:(?P<rest>.*)")
_FIELD = re.compile(r"\b([a-z_]+):(\d{1,15})[kK]B")
_RESERVE = re.compile(r"lowmem_reserve\[\]:((?: \d{1,12})+)")
_RESERVE_SO_FAR = re.compile(r"lowmem_reserve\[\]:(?: \d{1,12})*$")
_MORE_RESERVE = re.compile(r"\d{1,12}(?: \d{1,12})*$")
_ALL_FREE = re.compile(r"^\s*free:(\d{1,15}) free_pcp:")
_BLOCKS = re.compile(rf"{_NAME}: (?P<rest>\d+\*.*)")
_BLOCK = re.compile(r"(\d{1,12})\*(\d{1,9})kB(?: \(([A-Z]+)\))?")
#: How a line goes on that was broken, behind what it may: a zone's name, its numbers or its blocks; and a whole word.
_GOES_ON = re.compile(r"=(?: |$)|\S*[B)](?: |$)")
_BEFORE = re.compile(rf"{_NAME}(?: free:|: \d|:?$)")
_WORD = re.compile(rf"(?:[a-z_]+(?:\([a-z]+\))?:\d+[kK]B|\d+\*\d+kB|\([A-Z]+\)|=|= \d+kB|{_NAME}:?)$")
SIZES = (4, 16, 64)  #: kB of a page
WHOLE_PAGES = ("free", "boost", "min", "low", "high", "reserved_highatomic", "free_highatomic", "free_cma", "managed")
NEEDED = ("free", "min", "low", "high", "free_cma")  #: every kernel prints these
ORDER_OF_ZONES = ("DMA", "DMA32", "Normal", "HighMem", "Movable", "Device")


@dataclass
class Zone:
    """A zone of a Mem-Info block: fields in kB, reserves in pages by zone index, blocks by order with their types.

    ``reserve`` and ``blocks`` are None where the block was cut off before them; a type of None was not printed.
    """

    node: int
    name: str
    fields: dict[str, int] = field(default_factory=dict)
    reserve: tuple[int, ...] | None = None
    blocks: list[tuple[int, str | None]] | None = None
    total: int | None = None  #: kB, as the blocks' own line sums them
    numbered: bool = True  #: whether its node was printed: kernels without NUMA do not
    mixed: bool = False  #: whether it was printed twice with other numbers, which may be of another report

    def __str__(self) -> str:
        return f"node {self.node} {self.name}" if self.numbered else self.name

    @property
    def listed(self) -> int | None:
        """Return what the list of blocks comes to, in blocks of order 0, None if it is not whole."""
        if self.blocks is None or self.total is None:
            return None
        return sum(n << order for order, (n, _) in enumerate(self.blocks))


@dataclass
class MemInfo:
    """What was read: zones in the order printed, the size of a page in kB, and what is missing."""

    zones: list[Zone] = field(default_factory=list)
    page_kb: int | None = None
    free_pages: int | None = None  #: of all zones, as the block's own sum prints it
    missing: list[str] = field(default_factory=list)

    @property
    def page_sizes(self) -> tuple[int, ...]:
        """Return the sizes in kB that a page may have: what a zone prints in kB is whole pages."""
        if self.page_kb:
            return (self.page_kb,)
        printed = [zone.fields[name] for zone in self.zones for name in WHOLE_PAGES if name in zone.fields]
        sizes = tuple(size for size in SIZES if all(value % size == 0 for value in printed)) or SIZES[:1]
        free = sum(zone.fields.get("free", 0) for zone in self.zones)
        if self.free_pages:  # taken at nearly the same time as the zones', of which some may not be printed
            sizes = tuple(size for size in sizes if free <= 2 * size * self.free_pages) or sizes
        return sizes

    def zone(self, node: int, name: str) -> Zone | None:
        """Return a zone by node and name."""
        return next((z for z in self.zones if (z.node, z.name) == (node, name)), None)


def zone_of(line: str) -> tuple[int, str] | None:
    """Return the node and zone whose numbers a line has, None for any other line."""
    found = _ZONE.search(line) if " free:" in line else None
    return (int(found["node"] or 0), found["zone"]) if found else None


def read_mem_info(lines: Iterable[str]) -> MemInfo:
    """Read what lines hold of a Mem-Info block; lines of anything else are passed over."""
    info, twice = MemInfo(), []
    last: Zone | None = None
    for line in rejoined(lines):
        if found := _ZONE.search(line):
            last = Zone(int(found["node"] or 0), found["zone"], numbered=found["node"] is not None)
            last.fields = {name: int(value) for name, value in _FIELD.findall(f"free:{found['rest']}")}
            if (before := info.zone(last.node, last.name)) is None:
                info.zones.append(last)
            else:
                before.mixed = before.mixed or before.fields != last.fields
                twice.append(f"{last}: printed twice; lines of two reports may be mixed")
        elif found := _ALL_FREE.search(line):
            info.free_pages = info.free_pages or int(found[1])
        elif found := _RESERVE.search(line):
            if last and last.reserve is None:
                last.reserve = tuple(map(int, found[1].split()))
            else:
                info.missing.append("the zone of a lowmem_reserve[]")
        elif found := _BLOCKS.search(line):
            zone = info.zone(int(found["node"] or 0), found["zone"])
            if zone is None:
                zone = Zone(int(found["node"] or 0), found["zone"], numbered=found["node"] is not None)
                info.missing.append(f"{zone}: the line of its marks")
            else:
                read_blocks(info, zone, found["rest"])
    info.missing += [words for zone in info.zones for words in lacks(zone)] + twice
    return info


def rejoined(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines, each that a mailer or a terminal broke in a zone's numbers, reserves or blocks as it was."""
    whole = ""
    for line in lines:
        if _MORE_RESERVE.match(line) and _RESERVE_SO_FAR.search(whole) and grows(f"{whole} {line}"):
            whole += f" {line}"
        elif _GOES_ON.match(line) and _BEFORE.search(whole):
            whole += f"{' ' * bool(_WORD.search(whole))}{line}"
        else:
            yield whole
            whole = line
    yield whole


def grows(line: str) -> bool:
    """Return whether the reserves of a line never fall, so that it was not broken in the middle of a number."""
    entries = line.rpartition(":")[2].split()
    return sorted(entries, key=int) == entries and not any(one != "0" and one.startswith("0") for one in entries)


def read_blocks(info: MemInfo, zone: Zone, rest: str) -> None:
    """Read the line of a zone's free blocks: each order's are twice as large as the last one's."""
    blocks = [(int(n), int(kb), letters or None) for n, kb, letters in _BLOCK.findall(rest)]
    if zone.blocks is not None or any(kb != blocks[0][1] << i for i, (_, kb, _) in enumerate(blocks)):
        return
    total = re.search(r"= (\d{1,15})kB", rest)
    zone.total = int(total[1]) if total else None
    zone.blocks = [(n, letters) for n, _, letters in blocks]
    info.page_kb = info.page_kb or (blocks[0][1] if blocks else None)


def lacks(zone: Zone) -> Iterator[str]:
    """Yield what a cut took from a zone."""
    yield from (f"{zone}: {name}" for name in NEEDED if name not in zone.fields)
    if zone.reserve is None:
        yield f"{zone}: lowmem_reserve[]"
    if zone.blocks is None:
        yield f"{zone}: the line of free blocks"
    elif zone.total is None:
        yield f"{zone}: the end of the line of free blocks"


def reserve_range(info: MemInfo, zone: Zone, highest: str) -> tuple[int, int | None]:
    """Return the least and the most that a zone keeps from requests for ``highest``, in pages; no most if none is told.

    Only populated zones are printed, but the entries count those that the kernel was built with: where the sets of
    zones that fit do not agree on an entry, each of theirs is possible.  A line shorter than another one was cut.
    """
    if zone.name == highest:
        return 0, 0
    if zone.reserve is None or len(zone.reserve) < max(len(z.reserve or ()) for z in info.zones):
        return 0, None
    built = zone_sets(info, {highest})
    entries = {zone.reserve[names.index(highest)] for names in built} or set(zone.reserve)
    return min(entries), max(entries)


def zone_sets(info: MemInfo, besides: Iterable[str] = ()) -> tuple[tuple[str, ...], ...]:
    """Return the sets of zones that the kernel may have been built with; ``besides`` what is printed it has these."""
    printed = frozenset({z.name for z in info.zones} | {"Movable", *besides})
    return sets_of(printed, tuple((z.node, z.name, z.reserve or ()) for z in info.zones))


@lru_cache(maxsize=256)
def sets_of(
    printed: frozenset[str], zones: tuple[tuple[int, str, tuple[int, ...]], ...]
) -> tuple[tuple[str, ...], ...]:
    """Return the sets as large as the longest reserves, with what is printed, from which the reserves may come."""
    found = combinations(ORDER_OF_ZONES, max((len(reserve) for _, _, reserve in zones), default=0))
    return tuple(names for names in found if printed <= set(names) and plausible(names, zones))


def plausible(names: tuple[str, ...], zones: Iterable[tuple[int, str, tuple[int, ...]]]) -> bool:
    """Return whether the reserves can be those of these zones; no kernel has both DMA32 and HighMem.

    None is kept from a zone's own requests or lower ones.  Going up, an entry grows with a zone that has pages, and
    with no other; zones above the highest that is printed may have some (an OOM leaves out those it did not want).
    """
    if "DMA32" in names and "HighMem" in names:
        return False
    for node, name, reserve in zones:
        own = names.index(name)
        there = {names.index(other) for of, other, _ in zones if of == node}
        if any(reserve[: own + 1]):
            return False
        steps = range(own + 1, min(max(there) + 1, len(reserve)))
        if any(reserve) and any((reserve[at] > reserve[at - 1]) != (at in there) for at in steps):
            return False
    return True
