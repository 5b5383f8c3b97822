"""A report's Mem-Info as a machine: what it says as /proc has it, and what it does not say laid out as on x86-64."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gfpmodel.errors import InputError
from gfpmodel.io import meminfo
from gfpmodel.io.procfs.zone import Proc, ZoneInfo
from gfpmodel.mm.mmzone import PAGE_SHIFT, zone_batchsize

Lines = Sequence[tuple[str, str]]  #: of each its printk caller, and what it says
DMA_END, DMA32_END = 16 << 10, 4 << 20  #: KiB
#: The free blocks' letters, as pagetypeinfo names their types.
LETTERS = {"U": "Unmovable", "M": "Movable", "E": "Reclaimable", "H": "HighAtomic", "C": "CMA", "I": "Isolate"}
_CPU = re.compile(r"\bCPU: (\d{1,4}) ")
_PER_CPU = re.compile(r"(?:Node (\d{1,5}) )?(\w+) per-cpu:")
_LIST = re.compile(r"CPU +(\d{1,4}): hi: *(\d{1,9}), btch: *(\d{1,9}) usd: *(\d{1,9})")


def in_report(lines: Lines) -> bool:
    """Return whether there is a zone of a report's Mem-Info among the lines of a file."""
    return any(map(meminfo.zone_of, (text for _, text in lines)))


def take_report(proc: Proc, file: str, lines: Lines) -> None:
    """Take the first report's Mem-Info of a file into a machine; raises InputError.

    Lines of other printk callers are left out.  What it lacks of a zone is found by ``check_zone``.
    """
    first = next(number for number, (_, text) in enumerate(lines) if meminfo.zone_of(text))
    if any(zone.line for zone in proc.zones.values()):
        raise InputError("a report's Mem-Info beside another machine; expected one of them", file, first + 1)
    bare = [text for caller, text in lines if caller == lines[first][0]]
    block = list(first_block(bare))
    info = meminfo.read_mem_info(block)
    proc.page_kb, proc.report = info.page_kb, True
    kib, end = info.page_kb or 1 << PAGE_SHIFT - 10, 1
    whole = [len(zone.blocks) for zone in info.zones if zone.blocks and zone.total is not None]
    proc.orders = whole[0] if whole else None
    highmem = any(zone.name == "HighMem" for zone in info.zones)
    cpu = next((int(found[1]) for found in map(_CPU.search, bare) if found), 0)
    lists = printed_lists(block)
    for zone in info.zones:
        own = proc.zone(str(zone.node), zone.name)
        own.file, own.line = file, first + 1
        own.fields = {name: kb // kib for name, kb in zone.fields.items()}
        own.fields |= {"nr_free_cma": own.fields.get("free_cma", 0)}
        own.protection = zone.reserve or ()
        end = place(own, end, highmem, kib)
        own.pcp = lists.get((zone.node, zone.name)) or {cpu: computed(own, kib)}
        if zone.blocks is not None and zone.total is not None:
            share_out(own, zone.blocks)


def first_block(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines as far as another Mem-Info begins, or a zone comes for the second time."""
    seen: set[tuple[int, str]] = set()
    for line in lines:
        key = meminfo.zone_of(line)
        if key in seen or (seen and "Mem-Info:" in line):
            return
        if key:
            seen.add(key)
        yield line


def place(zone: ZoneInfo, after: int, highmem: bool, kib: int) -> int:
    """Give a zone a place as x86-64 has it, or x86-32 if there is HighMem; returns where it ends.

    Its end is rounded up to a block of the highest order, as free blocks may be the last that it has.
    """
    lowest = {"DMA": kib, "DMA32": DMA_END, "Normal": DMA_END if highmem else DMA32_END}.get(zone.name, 0)
    start = max(after, lowest // kib)
    end = -(-(start + zone.fields.get("present", 0)) >> 10 << 10)
    zone.fields |= {"start_pfn": start, "spanned": end - start}
    return end


def computed(zone: ZoneInfo, kib: int) -> dict[str, int]:
    """Return the list of the CPU that printed the report: its count, and what v5.8 computes."""
    pages = zone.fields.get("managed", zone.fields.get("present", 0))
    batch = zone_batchsize(pages, (kib << 10).bit_length() - 1)
    return {"count": zone.fields.get("local_pcp", 0), "high": 6 * batch, "batch": max(batch, 1)}


def printed_lists(lines: Sequence[str]) -> dict[tuple[int, str], dict[int, dict[str, int]]]:
    """Return the lists of each CPU by node and zone, as kernels before 4.2 print them."""
    found: dict[tuple[int, str], dict[int, dict[str, int]]] = {}
    here: dict[int, dict[str, int]] = {}
    for line in lines:
        if head := _PER_CPU.search(line):
            here = found.setdefault((int(head[1] or 0), head[2]), {})
        elif one := _LIST.search(line):
            here[int(one[1])] = {"count": int(one[4]), "high": int(one[2]), "batch": int(one[3])}
    return found


def share_out(zone: ZoneInfo, blocks: list[tuple[int, str | None]]) -> None:
    """Give a zone its free blocks by type: one to each type whose letter is printed, the others to the movable ones.

    Where no letters are printed the types stay unknown; without movable ones the others are the first type's.
    """
    if any(letters is None for n, letters in blocks if n):
        zone.free = tuple(n for n, _ in blocks)
        return
    shares = {name: [0] * len(blocks) for name in LETTERS.values()}
    for order, (n, letters) in enumerate(blocks):
        types = [LETTERS[letter] for letter in letters or "" if letter in LETTERS]
        for name in types[:n]:
            shares[name][order] += 1
        if n > len(types):
            shares["Movable" if "Movable" in types or not types else types[0]][order] += n - len(types)
    zone.free_by_type = {name: tuple(counts) for name, counts in shares.items() if any(counts)}
