"""State dumps of a booted kernel: free lists, pcp lists and pageblock types in list order, read and restored.

A dump is a block of lines for each zone: ``ZONE``, ``LOWMEM_RESERVE``, ``FREE`` for each list that is not empty,
``PCP`` and ``PCPLIST`` by cpu, ``BLOCKS``.
The head of a list is the page taken next.  A dump says which lists it could not
walk (those of other cpus); ``free=`` is the kernel's global counter, which lags behind the lists by what each
cpu keeps for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gfpmodel.errors import GeometryError, InputError
from gfpmodel.io.text import read_lines
from gfpmodel.mm import Machine, PageAllocator, Snapshot, Zone, ZoneState
from gfpmodel.mm.mmzone import MIGRATE_TYPES, boot_sizes, is_pcp
from gfpmodel.mm.rules import Rule
from gfpmodel.mm.state import (
    MAX_NR_ZONES,
    MAX_ORDER,
    MIGRATE_CMA,
    MIGRATE_MOVABLE,
    MIGRATE_NAMES,
    MIGRATE_PCPTYPES,
    ZONE_NAMES,
)

NUMBER = r"\d{1,15}"
FORMS = {
    "ZONE": rf"ZONE (\w+)((?: \w+=(?:0x[0-9a-f]{{1,15}}|{NUMBER}))+)",
    "LOWMEM_RESERVE": rf"LOWMEM_RESERVE (\w+)((?: {NUMBER})+)",
    "FREE": rf"FREE (\w+) order=(\d\d?) mt=(\d) nr_free_all=({NUMBER}) :((?: {NUMBER})*)",
    "PCP": rf"PCP (\w+) cpu=(\d{{1,4}}) count=({NUMBER}) high=({NUMBER}) batch=({NUMBER})",
    "PCPLIST": rf"PCPLIST (\w+) cpu=(\d{{1,4}}) mt=([012]) :((?: {NUMBER})*| \(other cpu, not walked\))",
    "BLOCKS": rf"BLOCKS (\w+) pageblock_order=(\d\d?) :((?: {NUMBER}=\d)+)",
}
MATCH = {word: re.compile(form) for word, form in FORMS.items()}
NUMBERS = ("start_pfn", "spanned", "managed", "free", "min", "low", "high", "boost", "nr_reserved_highatomic", "flags")
DRIFT = 125  #: pages by which a cpu's share of NR_FREE_PAGES may stay out of the global counter (the largest threshold)
MOST_PAGES = 1 << 25  #: 128 GiB from the lowest to the highest pfn

Pfns = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """A list of a dump: its line, and its pfns from the head; None if it was not walked."""

    line: int
    pfns: Pfns | None


@dataclass(frozen=True)
class Pcp:
    """A cpu's counts in a zone."""

    line: int
    count: int
    high: int
    batch: int


@dataclass
class ZoneDump:
    """A zone as a dump has it; lists that are not in it are empty."""

    index: int
    line: int
    numbers: dict[str, int]
    reserve: Pfns = ()
    free: dict[tuple[int, int], Row] = field(default_factory=dict)  #: by order and type
    nr_free: dict[int, tuple[int, int]] = field(default_factory=dict)  #: by order: line, blocks of all types
    pcp: dict[int, Pcp] = field(default_factory=dict)
    lists: dict[tuple[int, int], Row] = field(default_factory=dict)  #: by cpu and type
    pageblock_order: int = 0
    blocks: dict[int, int] = field(default_factory=dict)  #: type by first pfn
    blocks_line: int = 0

    @property
    def name(self) -> str:
        """Return the zone's name."""
        return ZONE_NAMES[self.index]

    @property
    def zone(self) -> Zone:
        """Return the zone's extent."""
        return Zone(self.index, self.numbers["start_pfn"], self.numbers["spanned"])

    def pages_free(self) -> int:
        """Return how many pages the free lists hold."""
        return sum(len(row.pfns or ()) << order for (order, _), row in self.free.items())


@dataclass
class Dump:
    """A machine's state at one moment."""

    zones: dict[int, ZoneDump]
    line: int

    @property
    def cpus(self) -> int:
        """Return how many cpus it has."""
        return 1 + max(cpu for zone in self.zones.values() for cpu in zone.pcp)

    def pages(self) -> int:
        """Return how many pages are free or on a cpu's lists."""
        return sum(z.pages_free() + sum(pcp.count for pcp in z.pcp.values()) for z in self.zones.values())

    def unwalked(self) -> list[str]:
        """Return, in words, the lists that hold pages but are not in the dump."""
        return [
            f"cpu {cpu} has {pcp.count} pages in zone {zone.name} that the dump does not list; the model starts without"
            for zone in self.zones.values()
            for cpu, pcp in zone.pcp.items()
            if pcp.count and zone.lists[cpu, 0].pfns is None
        ]


@dataclass
class Lines:
    """The lines of a file, and how far they were read."""

    file: str
    lines: list[str]
    at: int = 0

    @property
    def number(self) -> int:
        """Return the number of the next line, from 1."""
        return self.at + 1

    def skip_blank(self) -> bool:
        """Go to the next line with something on it; returns whether there is one."""
        while self.at < len(self.lines) and not self.lines[self.at].strip():
            self.at += 1
        return self.at < len(self.lines)

    def peek(self) -> str:
        """Return the first word of the next line, or an empty string at the end."""
        return self.lines[self.at].split(" ", 1)[0] if self.skip_blank() else ""

    def take(self, form: re.Pattern[str], expected: str) -> re.Match[str]:
        """Return the next line's match and go on; raises InputError."""
        if not self.skip_blank():
            raise InputError(f"the file ends; expected {expected}", self.file, len(self.lines))
        text = self.lines[self.at]
        match = form.fullmatch(text.rstrip())
        if match is None:
            raise self.error(f"expected {expected}, found {text[:60]!r}")
        self.at += 1
        return match

    def error(self, message: str, line: int | None = None) -> InputError:
        """Return the error for a line, by default the next one."""
        return InputError(message, self.file, line or self.number)


def numbers(text: str) -> Pfns:
    """Return the numbers of a list."""
    return tuple(map(int, text.split()))


def read_dump(lines: Lines) -> Dump:
    """Read a state dump from the next line on; raises InputError with file and line."""
    dump = Dump({}, lines.number)
    while (word := lines.peek()) in FORMS:
        number = lines.number
        match = lines.take(MATCH[word], f"a line {word} of a state dump")
        read_line(dump, word, match, number, lines)
    # a zone without pages may be listed, or not
    dump.zones = {index: zone for index, zone in dump.zones.items() if zone.numbers["spanned"]}
    if not dump.zones:
        raise lines.error("expected a state dump, which begins with ZONE")
    for zone in dump.zones.values():
        check_complete(zone, lines)
    check_machine(dump, lines)
    return dump


def read_line(dump: Dump, word: str, match: re.Match[str], number: int, lines: Lines) -> None:
    """Put one line of a dump where it belongs."""
    name, *rest = match.groups()
    if name not in ZONE_NAMES:
        raise lines.error(f"zone {name!r}; expected {', '.join(ZONE_NAMES)}", number)
    index = ZONE_NAMES.index(name)
    if word == "ZONE":
        if index in dump.zones:
            raise lines.error(f"zone {name} for the second time in one state dump", number)
        values = {
            key: int(value, 16 if value.startswith("0x") else 10)
            for key, value in (pair.split("=") for pair in rest[0].split())
        }
        missing = [key for key in NUMBERS if key not in values]
        if missing:
            raise lines.error(f"zone {name} lacks {', '.join(missing)}", number)
        dump.zones[index] = ZoneDump(index, number, values)
        return
    if index not in dump.zones:
        raise lines.error(f"{word} of zone {name} before its line ZONE", number)
    zone = dump.zones[index]
    if not PUT[word](zone, number, rest):
        raise lines.error(f"this {word} stands a second time, or its order or type is none of v5.8", number)


def put_reserve(zone: ZoneDump, number: int, rest: list[str]) -> bool:
    """Take LOWMEM_RESERVE."""
    fresh, zone.reserve = not zone.reserve, numbers(rest[0])
    return fresh and len(zone.reserve) == MAX_NR_ZONES


def put_free(zone: ZoneDump, number: int, rest: list[str]) -> bool:
    """Take FREE."""
    order, kind, count = map(int, rest[:3])
    fresh = (order, kind) not in zone.free and zone.nr_free.get(order, (0, count))[1] == count
    zone.free[order, kind] = Row(number, numbers(rest[3]))
    zone.nr_free[order] = (number, count)
    return fresh and order < MAX_ORDER and kind < len(MIGRATE_NAMES)


def put_pcp(zone: ZoneDump, number: int, rest: list[str]) -> bool:
    """Take PCP."""
    cpu, *counts = map(int, rest)
    fresh = cpu not in zone.pcp
    zone.pcp[cpu] = Pcp(number, *counts)
    return fresh


def put_list(zone: ZoneDump, number: int, rest: list[str]) -> bool:
    """Take PCPLIST."""
    key = int(rest[0]), int(rest[1])
    fresh = key not in zone.lists
    zone.lists[key] = Row(number, None if "(" in rest[2] else numbers(rest[2]))
    return fresh


def put_blocks(zone: ZoneDump, number: int, rest: list[str]) -> bool:
    """Take BLOCKS."""
    fresh = not zone.blocks
    pairs = [pair.split("=") for pair in rest[1].split()]
    zone.pageblock_order, zone.blocks_line = int(rest[0]), number
    zone.blocks = {int(pfn): int(kind) for pfn, kind in pairs}
    return fresh and len(zone.blocks) == len(pairs) and max(zone.blocks.values()) < len(MIGRATE_NAMES)


PUT = {
    "LOWMEM_RESERVE": put_reserve,
    "FREE": put_free,
    "PCP": put_pcp,
    "PCPLIST": put_list,
    "BLOCKS": put_blocks,
}


def check_complete(zone: ZoneDump, lines: Lines) -> None:
    """Raise InputError unless a zone has all its lines, and its lists as many pages as its counters say."""
    first, end, order = zone.zone.start, zone.zone.end, zone.pageblock_order
    if not (zone.reserve and zone.blocks and zone.pcp):
        raise lines.error(f"zone {zone.name} lacks LOWMEM_RESERVE, PCP or BLOCKS", zone.line)
    if list(zone.blocks) != list(range(first >> order << order, end, 1 << order)[: len(zone.blocks) + 1]):
        raise lines.error(f"the blocks of zone {zone.name} are not those of [{first}, {end})", zone.blocks_line)
    for of_order, (line, count) in zone.nr_free.items():
        found = sum(len(row.pfns or ()) for (o, _), row in zone.free.items() if o == of_order)
        if found != count:
            raise lines.error(f"order {of_order} has {count} blocks, its lists {found}", line)
    for cpu, pcp in zone.pcp.items():
        rows = [zone.lists.get((cpu, kind)) for kind in range(MIGRATE_PCPTYPES)]
        walked = [row.pfns for row in rows if row is not None and row.pfns is not None]
        if None in rows or len(walked) not in (0, MIGRATE_PCPTYPES):
            raise lines.error(f"cpu {cpu} lacks a PCPLIST in zone {zone.name}", pcp.line)
        if walked and sum(map(len, walked)) != pcp.count:
            raise lines.error(f"cpu {cpu} has {pcp.count} pages, its lists {sum(map(len, walked))}", pcp.line)
    apart = abs(zone.numbers["free"] - zone.pages_free())
    if apart > DRIFT * len(zone.pcp):
        raise lines.error(f"free is {apart} pages off what the lists of zone {zone.name} hold", zone.line)


def check_machine(dump: Dump, lines: Lines) -> None:
    """Raise InputError unless the zones make one machine, and every page stands on one list, within its zone."""
    zones = [zone.zone for _, zone in sorted(dump.zones.items())]
    if zones[-1].end - zones[0].start > MOST_PAGES or zones[0].start > zones[-1].end:
        raise lines.error(f"the zones span more than {MOST_PAGES} pages", dump.line)
    cpus = set(range(dump.cpus))
    if len({zone.pageblock_order for zone in dump.zones.values()}) > 1:
        raise lines.error("the zones have different pageblock orders", dump.line)
    for zone in dump.zones.values():
        if set(zone.pcp) != cpus or {cpu for cpu, _ in zone.lists} != cpus:
            raise lines.error(f"zone {zone.name} has not every cpu from 0 to {max(cpus)}", zone.line)
        if len({(pcp.high, pcp.batch) for pcp in zone.pcp.values()}) > 1:
            raise lines.error(f"the cpus of zone {zone.name} differ in high or batch", zone.line)
        check_pages(zone, lines)


def check_pages(zone: ZoneDump, lines: Lines) -> None:
    """Raise InputError unless each page of a zone is at most once on a list."""
    start, end = zone.zone.start, zone.zone.end
    seen = np.zeros(zone.zone.spanned, bool)
    rows = [(order, row) for (order, _), row in zone.free.items()]
    rows += [(0, row) for row in zone.lists.values()]
    for order, row in rows:
        for pfn in row.pfns or ():
            if not start <= pfn <= end - (1 << order) or pfn % (1 << order):
                raise lines.error(f"pfn {pfn}, order {order}: not aligned, or not within zone {zone.name}", row.line)
            block = seen[pfn - start : pfn - start + (1 << order)]
            if block.any():
                raise lines.error(f"pfn {pfn}, order {order}: on two lists", row.line)
            block[:] = True


def cma_areas(dump: Dump) -> tuple[tuple[int, int], ...]:
    """Return the ranges of CMA pageblocks."""
    areas: list[tuple[int, int]] = []
    for zone in dump.zones.values():
        for pfn, kind in zone.blocks.items():
            end = pfn + (1 << zone.pageblock_order)
            if kind == MIGRATE_CMA and areas and areas[-1][1] == pfn:
                areas[-1] = (areas[-1][0], end)
            elif kind == MIGRATE_CMA:
                areas.append((pfn, end))
    return tuple(areas)


def start(dump: Dump, lines: Lines, proposal: Rule, events: int = 0, kinds: tuple[int, ...] = ()) -> PageAllocator:
    """Return an allocator in the state of a dump; raises InputError.

    Arguments: the dump and the lines it stands in; the row that serves the RFC's flag; the ring of events, as
    PageAllocator has them.  Whether grouping by mobility is off follows from the managed pages, with CONFIG_CMA on.
    Leaves out: the lists that the dump did not walk (Dump.unwalked says which), and the cpus' shares of the counters.
    """
    order = next(iter(dump.zones.values())).pageblock_order
    managed = sum(zone.numbers["managed"] for zone in dump.zones.values())
    try:
        machine = Machine(
            tuple(zone.zone for _, zone in sorted(dump.zones.items())),
            cpus=dump.cpus,
            cma=cma_areas(dump),
            pageblock_order=order,
            mobility_disabled=managed < MIGRATE_TYPES + 1 << order,
        )
        allocator = PageAllocator(machine, proposal, events, kinds)
    except GeometryError as error:
        raise lines.error(error.message, dump.line) from None
    sizes = boot_sizes(machine)
    for index, zone in dump.zones.items():
        found, values, pcp = sizes.zones[index], zone.numbers, zone.pcp[0]
        if not is_pcp(pcp.batch, pcp.high):
            raise lines.error(f"high {pcp.high}, batch {pcp.batch}: no pcp of v5.8", pcp.line)
        found.managed, found.lowmem_reserve = values["managed"], zone.reserve
        found.wmark = (values["min"], values["low"], values["high"])
        found.batch, found.high = pcp.batch, pcp.high
    allocator.restore(Snapshot(tuple(map(zone_state, dump.zones.values())), ()), sizes)
    return allocator


def restored(path: Path, proposal: Rule) -> PageAllocator:
    """Return an allocator in the state of the dump that a file begins with; see start.  Raises InputError."""
    lines = Lines(str(path), read_lines(path))
    return start(read_dump(lines), lines, proposal)


def zone_state(zone: ZoneDump) -> ZoneState:
    """Return a zone as a snapshot has it.

    A page on a pcp list carries the type of its block if that has no list of its own, else that of its list.
    """
    free = tuple(
        tuple(zone.free[order, t].pfns or () if (order, t) in zone.free else () for t in range(len(MIGRATE_NAMES)))
        for order in range(MAX_ORDER)
    )
    lists = tuple(tuple(zone.lists[cpu, t].pfns or () for t in range(MIGRATE_PCPTYPES)) for cpu in sorted(zone.pcp))
    order = zone.pageblock_order

    def cached(pfn: int, t: int) -> int:
        block = zone.blocks[pfn >> order << order]
        return block if t == MIGRATE_MOVABLE and block >= MIGRATE_PCPTYPES else t

    return ZoneState(
        index=zone.index,
        free=zone.pages_free(),
        free_cma=sum(len(lists[MIGRATE_CMA]) << order for order, lists in enumerate(free)),
        boost=zone.numbers["boost"],
        nr_reserved_highatomic=zone.numbers["nr_reserved_highatomic"],
        flags=zone.numbers["flags"] & 1,
        free_lists=free,
        pcp_count=tuple(sum(map(len, one)) for one in lists),
        pcp_lists=lists,
        cached=tuple(tuple(tuple(cached(pfn, t) for pfn in one[t]) for t in range(MIGRATE_PCPTYPES)) for one in lists),
        blocks=tuple(zone.blocks.values()),
    )


def differences(dump: Dump, allocator: PageAllocator) -> Iterator[tuple[int, str, object, object]]:
    """Yield where an allocator differs from a dump: line, field, what the dump has, what the allocator has."""
    for index, zone in dump.zones.items():
        if index not in allocator.sizes.zones:
            yield zone.line, "zone", zone.name, None
            continue
        counters = allocator.counters(index)
        for name in ("boost", "nr_reserved_highatomic"):
            yield zone.line, f"{zone.name}.{name}", zone.numbers[name], counters[name]
        for order in range(MAX_ORDER):
            for t, kind in enumerate(MIGRATE_NAMES):
                row = zone.free.get((order, t), Row(zone.line, ()))
                got = allocator.free_list(index, order, t).tolist()
                yield row.line, f"{zone.name}.free[{order}].{kind}", list(row.pfns or ()), got
        for (cpu, t), row in zone.lists.items():
            if row.pfns is not None and cpu < allocator.machine.cpus:
                got = allocator.pcp_list(cpu, index, t).tolist()
                yield row.line, f"{zone.name}.pcp[{cpu}].{MIGRATE_NAMES[t]}", list(row.pfns), got
        yield zone.blocks_line, f"{zone.name}.blocks", list(zone.blocks.values()), allocator.block_types(index).tolist()
