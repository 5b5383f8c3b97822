"""Read the Mem-Info block of a report: zones with their marks, reserves and free blocks, in pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations

_ZONE = re.compile(r"(?:Node (?P<node>\d{1,5}) )?(?P<zone>DMA32|DMA|Normal|HighMem|Movable|Device) free:(?P<rest>.*)")
_FIELD = re.compile(r"\b([a-z_]+):(\d{1,15})[kK]B")
_RESERVE = re.compile(r"lowmem_reserve\[\]:((?: \d{1,12})+)")
_BLOCKS = re.compile(
    r"(?:Node (?P<node>\d{1,5}) )?(?P<zone>DMA32|DMA|Normal|HighMem|Movable|Device): (?P<rest>\d+\*.*)"
)
_BLOCK = re.compile(r"(\d{1,12})\*(\d{1,9})kB(?: \(([A-Z]+)\))?")
NEEDED = ("free", "min", "low", "high")
Reserve = tuple[int, ...] | None
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

    def __str__(self) -> str:
        return f"node {self.node} {self.name}"


@dataclass
class MemInfo:
    """What was read: zones in the order printed, the size of a page in kB, and what is missing."""

    zones: list[Zone] = field(default_factory=list)
    page_kb: int | None = None
    missing: list[str] = field(default_factory=list)

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
    for line in lines:
        if found := _ZONE.search(line):
            last = Zone(int(found["node"] or 0), found["zone"])
            last.fields = {name: int(value) for name, value in _FIELD.findall(f"free:{found['rest']}")}
            if info.zone(last.node, last.name) is None:
                info.zones.append(last)
            else:
                twice.append(f"{last}: printed twice; lines of two reports may be mixed")
        elif found := _RESERVE.search(line):
            if last and last.reserve is None:
                last.reserve = tuple(map(int, found[1].split()))
            else:
                info.missing.append("the zone of a lowmem_reserve[]")
        elif found := _BLOCKS.search(line):
            zone = info.zone(int(found["node"] or 0), found["zone"])
            if zone is None:
                info.missing.append(f"node {found['node'] or 0} {found['zone']}: the line of its marks")
            else:
                read_blocks(info, zone, found["rest"])
    info.missing += [words for zone in info.zones for words in lacks(zone)] + twice
    return info


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


def zone_index(info: MemInfo, node: int, highest: str) -> int | None:
    """Return which entry of lowmem_reserve[] is that of the highest zone asked for; None where it cannot be told.

    Only populated zones are printed, but the entries count those that the kernel was built with: every set of zones
    of that size which has the printed ones and Movable is tried.
    """
    zones = [z for z in info.zones if z.node == node]
    printed = {z.name for z in info.zones} | {"Movable"} | ({highest} if highest != "HighMem" else set())
    return index_of(frozenset(printed), highest, tuple((z.name, z.reserve) for z in zones))


@lru_cache(maxsize=256)
def index_of(printed: frozenset[str], highest: str, reserves: tuple[tuple[str, Reserve], ...]) -> int | None:
    """Return the entry of the highest zone if all sets of zones agree that are as large as the reserves are long."""
    sizes = {len(reserve) for _, reserve in reserves if reserve}
    if len(sizes) != 1:
        return None
    found = set()
    for names in combinations(ORDER_OF_ZONES, sizes.pop()):
        if printed <= set(names) and highest in names and plausible(names, reserves):
            found.add(names.index(highest))
    return found.pop() if len(found) == 1 else None


def plausible(names: tuple[str, ...], reserves: Iterable[tuple[str, Reserve]]) -> bool:
    """Return whether the reserves can be those of these zones: none is kept from a zone's own requests or lower ones.

    No kernel has both DMA32 and HighMem.
    """
    if "DMA32" in names and "HighMem" in names:
        return False
    return all(not any((reserve or ())[: names.index(name) + 1]) for name, reserve in reserves)
