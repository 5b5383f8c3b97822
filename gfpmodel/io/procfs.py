"""/proc/zoneinfo, buddyinfo and pagetypeinfo of kernels 4.x to 6.x: a machine's geometry and free counts.

Fields come and go between kernels, so every numeric field is kept by its name and only those needed are required.
A file may hold several of the three, one after another, also under ``===== name =====`` lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gfpmodel.errors import GeometryError, InputError
from gfpmodel.io.text import read_lines
from gfpmodel.mm import Machine, PageAllocator, Snapshot, Zone, ZoneState
from gfpmodel.mm.mmzone import Sizes, boot_sizes, is_pcp
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

N = r"\d{1,18}"
ZONE = re.compile(r"Node (\d{1,4}), zone +(\w+)")
FREE = re.compile(rf"Node (\d{{1,4}}), zone +(\w+)((?: +{N})+)")
BY_TYPE = re.compile(rf"Node +(\d{{1,4}}), zone +(\w+), type +(\w+)((?: +>?{N})+)")
BLOCK_ORDER = re.compile(r"Page block order: +(\d\d?)")
BLOCK_TYPES = re.compile(r"Number of blocks type((?: +\w+)+)")
PAGES = re.compile(rf"  pages free +({N})")
PROTECTION = re.compile(rf"        protection: \(({N}(?:, {N})*)\)")
CPU = re.compile(r"    cpu: (\d{1,5})")
FIELD = re.compile(rf"\s+(\w+):? +(-?{N})")
OTHER = re.compile(
    r"\s*|  per-node stats|  pagesets|  vm stats threshold: \d+|Pages per block: +\d+|Free pages count per .*|"
    r"Number of (?:mixed )?blocks .*|  node_inactive_ratio: .*|Page owner .*"
)
SECTION = re.compile(r"=+ (\S+) =+")
NEEDED = ("min", "low", "high", "spanned", "present", "managed")
MOST_PAGES = 1 << 26  #: 256 GiB: what a model started from a file may span, as each page takes 16 bytes
KNOWN_TYPES = {"unmovable": 0, "movable": 1, "reclaimable": 2, "highatomic": 3, "cma": 4}


@dataclass
class ZoneInfo:
    """A zone as /proc has it; ``free_by_type`` and ``blocks`` are None where pagetypeinfo was not read."""

    node: int
    name: str
    file: str = ""
    line: int = 0
    fields: dict[str, int] = field(default_factory=dict)
    protection: tuple[int, ...] = ()
    pcp: dict[int, dict[str, int]] = field(default_factory=dict)
    free: tuple[int, ...] | None = None
    free_by_type: dict[str, tuple[int, ...]] | None = None
    blocks: dict[str, int] | None = None

    @property
    def populated(self) -> bool:
        """Return whether the zone has pages."""
        return self.fields.get("managed", 0) > 0

    def free_counts(self) -> dict[int, tuple[int, ...]] | None:
        """Return free blocks by type and order: from pagetypeinfo, else all as MOVABLE from buddyinfo."""
        if self.free_by_type is not None:
            known = {KNOWN_TYPES[k.lower()]: v for k, v in self.free_by_type.items() if k.lower() in KNOWN_TYPES}
            return {t: (*v, *(0,) * MAX_ORDER)[:MAX_ORDER] for t, v in known.items()}
        return None if self.free is None else {MIGRATE_MOVABLE: (*self.free, *(0,) * MAX_ORDER)[:MAX_ORDER]}


@dataclass
class Proc:
    """What was read: zones by node and name, and the pageblock order if pagetypeinfo says it."""

    zones: dict[tuple[int, str], ZoneInfo] = field(default_factory=dict)
    pageblock_order: int | None = None
    capped: bool = False  #: pagetypeinfo gave up counting a list (">100000")

    def zone(self, node: str, name: str) -> ZoneInfo:
        """Return a zone, a new one if it is not there yet."""
        return self.zones.setdefault((int(node), name), ZoneInfo(int(node), name))

    def nodes(self) -> list[int]:
        """Return the nodes that have memory."""
        return sorted({zone.node for zone in self.zones.values() if zone.populated})


@dataclass
class Reader:
    """A file being read into a Proc."""

    proc: Proc
    file: str
    zone: ZoneInfo | None = None
    cpu: dict[str, int] | None = None
    types: tuple[str, ...] = ()
    node_stats: bool = False
    read: int = 0

    def error(self, message: str, line: int) -> InputError:
        """Return the error for a line."""
        return InputError(message, self.file, line)

    def line(self, text: str, number: int) -> None:
        """Take one line; raises InputError for one that none of the three files has."""
        if self.by_type(text, number) or self.free(text, number) or self.in_zone(text, number):
            self.read += 1
        elif not OTHER.fullmatch(text):
            raise self.error(
                f"expected a line of /proc/zoneinfo, buddyinfo or pagetypeinfo, found {text[:60]!r}", number
            )
        else:
            self.node_stats = text == "  per-node stats" or (self.node_stats and not text.startswith("  pagesets"))

    def by_type(self, text: str, number: int) -> bool:
        """Take a line of pagetypeinfo."""
        if match := BLOCK_ORDER.fullmatch(text.rstrip()):
            self.proc.pageblock_order = int(match[1])
        elif match := BLOCK_TYPES.fullmatch(text.rstrip()):
            self.types = tuple(match[1].split())
        elif match := BY_TYPE.fullmatch(text.rstrip()):
            zone = self.proc.zone(match[1], match[2])
            zone.free_by_type = zone.free_by_type or {}
            if match[3] in zone.free_by_type:
                raise self.error(f"type {match[3]} of zone {zone.name} for the second time", number)
            self.proc.capped |= ">" in match[4]
            zone.free_by_type[match[3]] = self.orders(match[4].replace(">", ""), number)
        else:
            return False
        return True

    def orders(self, text: str, number: int) -> tuple[int, ...]:
        """Return free counts by order."""
        counts = tuple(map(int, text.split()))
        if not 10 <= len(counts) <= 14:
            raise self.error(f"{len(counts)} orders; expected about {MAX_ORDER}", number)
        if any(counts[MAX_ORDER:]):
            raise self.error(f"free blocks above order {MAX_ORDER - 1}, which v5.8 does not have", number)
        return counts

    def free(self, text: str, number: int) -> bool:
        """Take a line of buddyinfo, or of the last table of pagetypeinfo."""
        match = FREE.fullmatch(text.rstrip())
        if match is None:
            return False
        zone = self.proc.zone(match[1], match[2])
        if self.types:
            counts = tuple(map(int, match[3].split()))
            if len(counts) != len(self.types):
                raise self.error(f"{len(counts)} counts; expected one for each of {len(self.types)} types", number)
            zone.blocks = dict(zip(self.types, counts, strict=True))
        elif zone.free is not None:
            raise self.error(f"zone {zone.name} of node {zone.node} for the second time", number)
        else:
            zone.free = self.orders(match[3], number)
        return True

    def in_zone(self, text: str, number: int) -> bool:
        """Take a line of zoneinfo."""
        if match := ZONE.fullmatch(text.rstrip()):
            self.zone, self.cpu, self.node_stats = self.proc.zone(match[1], match[2]), None, False
            if self.zone.line:
                raise self.error(f"zone {match[2]} of node {match[1]} for the second time", number)
            self.zone.file, self.zone.line = self.file, number
            return True
        zone = self.zone
        if zone is None:
            return False
        if match := PAGES.fullmatch(text):
            zone.fields["free"], self.node_stats = int(match[1]), False
        elif match := PROTECTION.fullmatch(text):
            zone.protection = tuple(map(int, match[1].split(",")))
        elif match := CPU.fullmatch(text):
            if int(match[1]) in zone.pcp:
                raise self.error(f"cpu {match[1]} for the second time in zone {zone.name}", number)
            self.cpu = zone.pcp.setdefault(int(match[1]), {})
        elif match := FIELD.fullmatch(text.rstrip()):
            self.put(match[1], int(match[2]), zone)
        else:
            return False
        return True

    def put(self, name: str, value: int, zone: ZoneInfo) -> None:
        """Keep a field where it belongs: of the node, of a cpu, or of the zone."""
        if self.node_stats:
            return
        if self.cpu is not None and name in ("count", "high", "batch", "high_min", "high_max"):
            self.cpu[name] = value
        else:
            zone.fields.setdefault(name, value)


def read_proc(files: Iterable[str]) -> Proc:
    """Read any of the three files, told apart by content, into one machine; raises InputError.

    Of a file with several snapshots under ``===== name =====`` lines the first of each kind is read.
    """
    proc = Proc()
    for name in files:
        reader, seen, skipping = Reader(proc, name), set[str](), False
        for number, text in enumerate(read_lines(Path(name)), 1):
            if match := SECTION.fullmatch(text.strip()):
                kind = match[1].rsplit("/", 1)[-1]
                skipping = kind not in ("zoneinfo", "buddyinfo", "pagetypeinfo") or kind in seen
                seen.add(kind)
                reader.zone, reader.types = None, ()
            elif not skipping:
                reader.line(text, number)
        if not reader.read:
            raise InputError("expected /proc/zoneinfo, buddyinfo or pagetypeinfo", name, 1)
    for zone in proc.zones.values():
        check_zone(zone)
    if not any(zone.line and zone.populated for zone in proc.zones.values()):
        raise InputError("no zone with pages: expected /proc/zoneinfo among the files")
    return proc


def check_zone(zone: ZoneInfo) -> None:
    """Raise InputError for a populated zone that lacks what the geometry needs."""
    if not zone.line:
        if zone.free is not None and any(zone.free):
            raise InputError(f"zone {zone.name} of node {zone.node} is not in the zoneinfo that was given")
        return
    missing = [name for name in NEEDED if name not in zone.fields]
    if zone.populated:
        missing += [name for name in ("start_pfn", "free") if name not in zone.fields]
        missing += ["protection"] * (not zone.protection) + ["pagesets"] * (not zone.pcp)
        missing += [f"{n} of cpu {c}" for c, p in zone.pcp.items() for n in ("count", "high", "batch") if n not in p]
    if missing:
        raise InputError(f"zone {zone.name} lacks {', '.join(missing)}: cut off?", zone.file, zone.line)
    marks = [0, zone.fields.get("boost", 0), *(zone.fields[name] for name in ("min", "low", "high"))]
    if marks != sorted(marks) or not zone.fields["managed"] <= zone.fields["present"] <= zone.fields["spanned"]:
        raise InputError(
            f"zone {zone.name}: expected 0 <= boost <= min <= low <= high and managed <= present <= spanned",
            zone.file,
            zone.line,
        )


def machine_of(proc: Proc, node: int | None = None) -> tuple[Machine, Sizes]:
    """Return one node (default: the first with memory) as the model's machine, with the file's own sizes.

    Managed pages decide 5.8's own arithmetic (boot_sizes of the machine); the second value has the kernel's watermarks,
    reserves and pcp sizes as printed.  Raises InputError.
    """
    node = proc.nodes()[0] if node is None else node
    found = [z for z in proc.zones.values() if z.node == node and z.populated and z.name in ZONE_NAMES]
    if not found:
        raise InputError(f"node {node} has no zone among {', '.join(ZONE_NAMES)}")
    found.sort(key=lambda z: ZONE_NAMES.index(z.name))
    zones = tuple(Zone(ZONE_NAMES.index(z.name), z.fields["start_pfn"], z.fields["spanned"]) for z in found)
    # which pages are missing is not known: as many as the kernel does not manage are taken off each zone's end
    reserved = tuple((zone.start + z.fields["managed"], zone.end) for zone, z in zip(zones, found, strict=True))
    try:
        machine = Machine(
            zones,
            cpus=1 + max(cpu for z in found for cpu in z.pcp),
            reserved=reserved,
            pageblock_order=proc.pageblock_order if proc.pageblock_order in (9, 10) else 9,
        )
        sizes = boot_sizes(machine)
    except GeometryError as error:
        raise InputError(error.message, found[0].file, found[0].line) from None
    for z in found:
        own, pcp = sizes.zones[ZONE_NAMES.index(z.name)], next(iter(z.pcp.values()))
        own.managed = z.fields["managed"]
        own.wmark = tuple(z.fields[name] - z.fields.get("boost", 0) for name in ("min", "low", "high"))  # type: ignore[assignment]
        own.lowmem_reserve = (*z.protection, *(0,) * MAX_NR_ZONES)[:MAX_NR_ZONES]
        own.batch, own.high = pcp["batch"], pcp["high"]
    return machine, sizes


def unknown(proc: Proc, node: int) -> list[str]:
    """Return, in words, what the files do not say about a node, and what the model takes instead."""
    zones = [z for z in proc.zones.values() if z.node == node and z.populated]
    notes = [
        "which pfns are free or used: free blocks are laid into each zone largest first",
        "the lists of each cpu by migratetype and pfn, only their counts: the model starts with them empty",
        "which pages a zone does not manage: taken off its end",
        "which pageblocks have which type: those without free blocks are MOVABLE",
    ]
    if any("boost" not in z.fields for z in zones):
        notes.append("a watermark boost, which 5.0 and later have within the watermarks that they print")
    if any(any(z.free_by_type.get("CMA", ())) for z in zones if z.free_by_type):
        notes.append("which pages are CMA areas: movable requests do not use the free CMA blocks here")
    if proc.capped:
        notes.append("counts that pagetypeinfo stopped at >100000: the number itself is taken")
    if any(z.free_by_type is None for z in zones):
        notes.append("free blocks by migratetype (no pagetypeinfo): all taken as MOVABLE")
    if any(z.free_by_type is None and z.free is None for z in zones):
        notes.append("free blocks by order (no buddyinfo): the model starts as after boot")
    if proc.pageblock_order not in (9, 10):
        notes.append("pageblock_order: 9 is taken")
    others = sorted({z.name for z in zones if z.name not in ZONE_NAMES})
    if others:
        notes.append(f"zones that the model does not have: {', '.join(others)}")
    if len(proc.nodes()) > 1:
        notes.append(f"nodes other than {node}: the model has one")
    if any(len({(p["batch"], p["high"]) for p in z.pcp.values()}) > 1 for z in zones):
        notes.append("high or batch differ between cpus: the model takes those of the first")
    return notes


def start(proc: Proc, proposal: Rule | None = None, node: int | None = None, events: int = 0) -> PageAllocator:
    """Return an allocator in the state that the files give, as far as they give it (see unknown); raises InputError."""
    node = proc.nodes()[0] if node is None else node
    machine, sizes = machine_of(proc, node)
    if (span := machine.zones[-1].end - machine.zones[0].start) > MOST_PAGES:
        raise InputError(f"the zones span {span} pages; a model of at most {MOST_PAGES} is started")
    for own in sizes.zones.values():
        if not is_pcp(own.batch, own.high):
            raise InputError(f"zone {own.zone.name}: high {own.high}, batch {own.batch}: no pcp of v5.8")
    allocator = PageAllocator(machine, proposal, events)
    infos = {index: proc.zones[node, ZONE_NAMES[index]] for index in sizes.zones}
    if all(z.free_counts() is not None for z in infos.values()):
        states = tuple(zone_state(index, z, machine) for index, z in infos.items())
        allocator.restore(Snapshot(states, ()), sizes)
    return allocator


def buddy_holes(start: int, end: int) -> list[tuple[int, int]]:
    """Return a range as aligned blocks (first pfn, order), the largest that fit, ascending."""
    holes = []
    while start < end:
        order = min(
            MAX_ORDER - 1, (start & -start).bit_length() - 1 if start else MAX_ORDER, (end - start).bit_length() - 1
        )
        holes.append((start, order))
        start += 1 << order
    return holes


def lay_out(info: ZoneInfo, zone: Zone, block_order: int) -> tuple[list[list[list[int]]], list[int]]:
    """Lay a zone's free blocks into it, largest first, each into the smallest hole that it fits and at its end.

    A block that would become the free buddy of one of its size takes another hole, as the two would have merged.
    Returns lists [order][type] and pageblock types (of the last block laid there).  Raises InputError.
    """
    first = zone.start >> block_order
    blocks = [MIGRATE_MOVABLE] * ((zone.end - 1 >> block_order) + 1 - first)
    lists: list[list[list[int]]] = [[[] for _ in MIGRATE_NAMES] for _ in range(MAX_ORDER)]
    holes: list[list[int]] = [[] for _ in range(MAX_ORDER)]
    for start, size in buddy_holes(zone.start, zone.end):
        holes[size].append(start)
    for order in reversed(range(MAX_ORDER)):
        taken: set[int] = set()
        for t, by_order in (info.free_counts() or {}).items():
            if by_order[order] > zone.spanned:
                raise too_full(info, zone)
            for _ in range(by_order[order]):
                if (pfn := take_hole(holes, order, taken)) is None:
                    raise too_full(info, zone)
                lists[order][t].append(pfn)
                for block in range(pfn >> block_order, (pfn + (1 << order) - 1 >> block_order) + 1):
                    blocks[block - first] = t
    return lists, blocks


def too_full(info: ZoneInfo, zone: Zone) -> InputError:
    """Return the error for free blocks that a zone has no room for."""
    message = f"the free blocks of zone {info.name} cannot be laid into its {zone.spanned} pages"
    return InputError(message, info.file, info.line)


def take_hole(holes: list[list[int]], order: int, taken: set[int]) -> int | None:
    """Take a block out of the smallest hole that is large enough, and give back what is left; None if there is none."""
    for size in range(order, MAX_ORDER):
        for at in reversed(range(len(holes[size]))):
            pfn = holes[size][at] + (1 << size) - (1 << order)
            if order < MAX_ORDER - 1 and pfn ^ (1 << order) in taken:
                continue
            start = holes[size].pop(at)
            taken.add(pfn)
            for left in range(order, size):
                holes[left].append(start + (1 << size) - (2 << left))
            return pfn
    return None


def zone_state(index: int, info: ZoneInfo, machine: Machine) -> ZoneState:
    """Return a zone with the free blocks that /proc counts, and empty pcp lists; raises InputError."""
    zone = next(z for z in machine.zones if z.index == index)
    lists, blocks = lay_out(info, zone, machine.pageblock_order)
    free = sum(len(pfns) << order for order, of_order in enumerate(lists) for pfns in of_order)
    none = tuple(((),) * MIGRATE_PCPTYPES for _ in range(machine.cpus))
    return ZoneState(
        index=index,
        free=free,
        free_cma=sum(len(of_order[MIGRATE_CMA]) << order for order, of_order in enumerate(lists)),
        boost=info.fields.get("boost", 0),
        nr_reserved_highatomic=0,
        flags=0,
        free_lists=tuple(tuple(map(tuple, of_order)) for of_order in lists),
        pcp_count=(0,) * machine.cpus,
        pcp_lists=none,
        cached=none,
        blocks=tuple(blocks),
    )


def machine_facts(proc: Proc) -> dict[str, Any]:
    """Return what `machine` prints: each node's zones, beside them 5.8's own arithmetic; raises InputError."""
    nodes = []
    for node in proc.nodes():
        machine, sizes = machine_of(proc, node)
        own = boot_sizes(machine)
        zones = []
        for index, z in sizes.zones.items():
            info, computed = proc.zones[node, ZONE_NAMES[index]], own.zones[index]
            counts = info.free_counts()
            zones.append(
                {
                    "zone": info.name,
                    "start_pfn": z.zone.start,
                    "spanned": z.zone.spanned,
                    "present": info.fields["present"],
                    "managed": z.managed,
                    "free": info.fields["free"],
                    "wmark": list(z.wmark),
                    "wmark_v5.8": list(computed.wmark),
                    "boost": info.fields.get("boost", 0),
                    "lowmem_reserve": list(z.lowmem_reserve),
                    "lowmem_reserve_v5.8": list(computed.lowmem_reserve),
                    "batch_v5.8": computed.batch,
                    "high_v5.8": computed.high,
                    "pageblocks": info.blocks,
                    "pcp": [{"cpu": cpu, **pcp} for cpu, pcp in sorted(info.pcp.items())],
                    "free_blocks": {MIGRATE_NAMES[t]: list(c) for t, c in (counts or {}).items()}
                    if info.free_by_type is not None
                    else {"any type": list(counts[MIGRATE_MOVABLE])}
                    if counts
                    else None,
                }
            )
        nodes.append(
            {
                "node": node,
                "cpus": machine.cpus,
                "pageblock_order": proc.pageblock_order,
                "min_free_kbytes_v5.8": own.min_free_kbytes,
                "zones": zones,
                "unknown": unknown(proc, node),
            }
        )
    return {"nodes": nodes}


def describe(facts: dict[str, Any]) -> str:
    """Return the facts of `machine` in lines."""
    lines = []
    for node in facts["nodes"]:
        lines.append(
            f"node {node['node']}: {node['cpus']} cpus, pageblock_order {node['pageblock_order'] or 'unknown'}"
        )
        for z in node["zones"]:
            end = z["start_pfn"] + z["spanned"]
            lines += [
                f"  zone {z['zone']}: pfns {z['start_pfn']} to {end - 1}, "
                f"{z['managed']} of {z['present']} pages managed, {z['free']} free",
                f"    watermarks     {z['wmark']}  v5.8 computes {z['wmark_v5.8']}; boost {z['boost']}",
                f"    lowmem_reserve {z['lowmem_reserve']}  v5.8 computes {z['lowmem_reserve_v5.8']}",
            ]
            lines += [
                f"    cpu {p['cpu']}: count {p['count']}, high {p['high']}, batch {p['batch']}"
                f"  v5.8 computes high {z['high_v5.8']}, batch {z['batch_v5.8']}"
                for p in z["pcp"]
            ]
            lines += [f"    free {name}: {counts}" for name, counts in (z["free_blocks"] or {}).items()]
        lines += [f"  not known: {note}" for note in node["unknown"]]
    return "\n".join(lines)
