"""What /proc's numbers say about a machine: its page size, zones, min_free_kbytes, and whether the model can be it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from gfpmodel.errors import GeometryError, InputError
from gfpmodel.io.procfs.zone import Proc, ZoneInfo
from gfpmodel.mm import Machine, Zone
from gfpmodel.mm.mmzone import (
    PAGE_SHIFT,
    Sizes,
    ZoneSizes,
    boot_min_free_kbytes,
    boot_sizes,
    calculate_totalreserve_pages,
    setup_per_zone_wmarks,
)
from gfpmodel.mm.state import MAX_ORDER, ZONE_NAMES

PAGE_SHIFTS = (12, 14, 16, 13, 18)  #: 4, 16 and 64 KiB; 8 and 256 KiB on rare machines
MAX_THRESHOLD = 125
ZONES = ("DMA", "DMA32", "Normal", "HighMem", "Movable", "Device")  #: the kernel's order; it has those of its config
ALWAYS = ("Normal", "Movable")
PAGEBLOCK_ORDERS = (9, 10)  #: those that the model's machines have
#: Pageblocks of a huge page, by page size; with 64 KiB pages on arm64, powerpc with its hash table, and with radix.
HUGE_ORDERS = {12: (9,), 14: (11,), 16: (13, 8, 5)}
THP_BLOCKS = 11  #: for each zone: two pageblocks, and one for each pair of the three types on the lists
A_TWENTIETH = "a twentieth of the memory above the high marks"  #: which were lower then, so that it is not exact
FOUR_GIB = 1 << 32


@dataclass(frozen=True)
class PageSize:
    """A machine's page size, and what says so."""

    shift: int
    source: str
    known: bool = True

    @property
    def kib(self) -> int:
        """Return it in KiB."""
        return 1 << self.shift - 10


def page_size(proc: Proc, asked: int | None = None) -> PageSize:
    """Return the page size as it was asked for (bytes), or as the files tell it, or 4 KiB.

    MemTotal is all managed pages.  Without it: a cpu's threshold for the counters of a zone grows with its memory.
    """
    if asked is not None:
        return PageSize(asked.bit_length() - 1, "as asked for")
    if proc.report:
        known = proc.page_kb is not None
        source = "as the smallest free block says" if known else "which is taken, as the report does not say it"
        return PageSize((proc.page_kb or 1 << PAGE_SHIFT - 10).bit_length() + 9, source, known)
    total = sum(z.fields["managed"] for z in proc.populated())
    for shift in PAGE_SHIFTS if proc.mem_total else ():
        if abs((total << shift - 10) - (proc.mem_total or 0)) <= total << shift - 10 >> 6:
            return PageSize(shift, "as MemTotal of meminfo says")
    fit = [shift for shift in PAGE_SHIFTS if all(may_have_pages(z, shift) for z in proc.populated())]
    if len(fit) == 1:
        return PageSize(fit[0], "as the vm stats thresholds say")
    return PageSize(PAGE_SHIFT, "which is taken, as the files do not say it", known=False)


def may_have_pages(zone: ZoneInfo, shift: int) -> bool:
    """Return whether a zone's vm stats threshold, and its place, are those of a kernel with pages of a size.

    The threshold is that of boot, when a little less was managed; a balloon takes pages away later.
    """
    if zone.name in ("DMA", "DMA32") and zone.fields["start_pfn"] + zone.fields["spanned"] > FOUR_GIB >> shift:
        return False
    low, high = (threshold(pages, len(zone.pcp), shift) for pages in (at_boot(zone), zone.fields["present"]))
    return low <= zone.threshold <= high


def at_boot(zone: ZoneInfo) -> int:
    """Return about how many pages a zone managed at boot: what was given back since is at most a twentieth."""
    return zone.fields["managed"] - zone.fields["managed"] // 20


def threshold(pages: int, cpus: int, shift: int) -> int:
    """Return how far a cpu's counters of a zone may be off.

    Models: mm/vmstat.c:calculate_normal_threshold (v5.8).
    """
    return min(MAX_THRESHOLD, 2 * cpus.bit_length() * (1 + (pages >> 27 - shift).bit_length()))


def zone_lists(proc: Proc, zone: ZoneInfo) -> list[tuple[str, ...]]:
    """Return the lists of zones that this kernel may have, most likely first: one, if the files say it.

    A zone's ``protection`` has an entry for each.  From 4.12 on the file names them all, before only those with pages.
    Raises InputError for a count that fits none.
    """
    printed = tuple(z.name for z in proc.zones.values() if z.line and z.node == zone.node)
    count = len(zone.protection)
    if len(printed) == count and set(ALWAYS) <= set(printed):
        return [printed]
    seen = {z.name for z in proc.zones.values() if z.line} | set(ALWAYS)
    found = [names for names in subsets(count) if seen <= set(names) and not impossible(proc, names)]
    if not found:
        message = f"zone {zone.name}: protection has {count} entries; expected one for each zone of the kernel"
        raise InputError(message, zone.file, zone.line)
    return found


def subsets(count: int) -> Iterator[tuple[str, ...]]:
    """Yield the lists of so many zones that a kernel can be configured with."""
    for names in combinations(ZONES, count):
        if set(ALWAYS) <= set(names) and not ("HighMem" in names and {"DMA32", "Device"} & set(names)):
            yield names


def impossible(proc: Proc, names: tuple[str, ...]) -> bool:
    """Return whether zone Normal begins where zone DMA32, which is on the list and has no pages, would be."""
    start = [z.fields["start_pfn"] for z in proc.populated() if z.name == "Normal"]
    unseen = "DMA32" in names and not any(z.name == "DMA32" for z in proc.zones.values())
    return unseen and bool(start) and min(start) < FOUR_GIB >> PAGE_SHIFT


def protection(proc: Proc, zone: ZoneInfo, names: tuple[str, ...] | None = None) -> dict[str, int]:
    """Return what a zone keeps from requests, by the highest zone that these may use; raises InputError."""
    return dict(zip(names or zone_lists(proc, zone)[0], zone.protection, strict=True))


def lowmem_reserve(by_name: dict[str, int]) -> tuple[int, ...]:
    """Return a protection by the model's zones; what asks for a zone that the kernel lacks asks it for Normal."""
    return tuple(by_name.get(name, by_name["Normal"]) for name in ZONE_NAMES)


@dataclass(frozen=True)
class MinFree:
    """What all min marks sum to (kB), the min_free_kbytes behind it, whose value that is, and what v5.8 chooses."""

    marks: int
    kbytes: int
    source: str
    boot: int


def clamped(zone: ZoneInfo) -> bool:
    """Return whether a zone's min mark comes from its own size: HighMem's, and Movable's in later kernels.

    Models: mm/page_alloc.c:__setup_per_zone_wmarks (v5.8), for HighMem.
    """
    own = min(max(zone.fields["managed"] // 1024, 32), 128)
    return zone.name in ("HighMem", "Device") or (zone.name == "Movable" and zone.wmark()[0] == own)


def cma_pages(zone: ZoneInfo) -> int:
    """Return the pages of CMA areas, which are released after boot computes; older files have only the free ones."""
    return max(zone.fields.get("cma", 0), zone.fields.get("nr_free_cma", 0))


def min_free(proc: Proc, size: PageSize) -> MinFree:
    """Return min_free_kbytes, which the min marks of all zones sum to, and whose value it is."""
    low = [z for z in proc.populated() if not clamped(z)]
    pages = sum(z.wmark()[0] for z in low)
    # a damaged file may have more pages in CMA areas than there are
    memory = sum(max(0, z.fields["managed"] - cma_pages(z)) for z in low if z.name != "Movable")
    boot = boot_min_free_kbytes(memory * size.kib)
    if abs(pages * size.kib - boot) <= boot // 50 + len(low) * size.kib:
        return MinFree(pages * size.kib, boot, "as v5.8's boot computes it", boot)
    zones = len([z for z in low if z.name != "Movable"])
    for least, most, source in recommended(proc, size, zones, memory):
        if least <= pages <= most:
            wanted = pages if source == A_TWENTIETH else most
            return MinFree(pages * size.kib, wanted * size.kib, f"as transparent huge pages set it, {source}", boot)
    source = "set by hand or by a rule that is not known here"
    return MinFree(pages * size.kib, pages * size.kib, source, boot)


def recommended(proc: Proc, size: PageSize, zones: int, memory: int) -> Iterator[tuple[int, int, str]]:
    """Yield what the marks sum to if transparent huge pages set them (at least, at most, in pages), and why so much.

    A mark is rounded down in each zone.  A file may show fewer zones than the machine has: a node has up to three.

    Models: mm/khugepaged.c:set_recommended_min_free_kbytes (v5.8).
    """
    orders = (proc.pageblock_order,) if proc.pageblock_order is not None else HUGE_ORDERS.get(size.shift, ())
    for order in orders:
        each = f"{THP_BLOCKS} pageblocks of order {order} for each zone of"
        wanted = THP_BLOCKS * zones << order
        if wanted <= memory // 20:
            yield wanted - zones, wanted, f"{each} {zones}"
        else:
            yield memory // 20 - memory // 500, memory // 20, A_TWENTIETH
        for others in {1, 2, 3} - {zones}:
            wanted = THP_BLOCKS * others << order
            yield wanted - wanted // 100, wanted, f"{each} {others}"


def v58_wmarks(proc: Proc, size: PageSize) -> dict[tuple[int, str], tuple[int, int, int]]:
    """Return the watermarks that v5.8 computes from this min_free_kbytes, for every zone but HighMem."""
    found = {
        (z.node, z.name): ZoneSizes(Zone(0, z.fields["start_pfn"], z.fields["spanned"]), z.fields["managed"])
        for z in proc.populated()
        if not clamped(z)
    }
    setup_per_zone_wmarks(found.values(), min_free(proc, size).kbytes, 10, size.shift)
    return {at: sizes.wmark for at, sizes in found.items()}


def misfits(proc: Proc, node: int, size: PageSize) -> list[str]:
    """Return, in words, why the model cannot be this node, a line for each reason."""
    zones = [z.name for z in proc.populated(node)]
    found = [
        f"zone {name} has pages: the model's zones are {', '.join(ZONE_NAMES)}"
        for name in zones
        if name not in ZONE_NAMES
    ]
    if size.shift != PAGE_SHIFT:
        found.append(f"pages are {size.kib} KiB ({size.source}): the model's are 4 KiB")
    if proc.orders not in (None, MAX_ORDER):
        found.append(
            f"MAX_ORDER of this machine is {proc.orders}, as another architecture, page size or configuration has it: "
            f"the model's is {MAX_ORDER}"
        )
    if proc.pageblock_order not in (None, *PAGEBLOCK_ORDERS):
        found.append(f"pageblock_order is {proc.pageblock_order}: the model's are 9 and 10")
    return found


def model_zones(proc: Proc, node: int) -> list[ZoneInfo]:
    """Return a node's zones with pages that the model has, ascending."""
    found = [z for z in proc.populated(node) if z.name in ZONE_NAMES]
    return sorted(found, key=lambda z: ZONE_NAMES.index(z.name))


def machine_of(proc: Proc, node: int | None = None) -> tuple[Machine, Sizes]:
    """Return one node (default: the first with memory) as the model's machine, with the file's own sizes.

    Managed pages decide 5.8's own arithmetic (boot_sizes of the machine); the second value has the kernel's watermarks,
    reserves and pcp sizes as printed.  What does not fit into the model is left out: see misfits.  Raises InputError.
    """
    node = proc.nodes()[0] if node is None else node
    found = model_zones(proc, node)
    if not found:
        raise InputError(f"node {node} has no zone among {', '.join(ZONE_NAMES)}")
    zones = tuple(Zone(ZONE_NAMES.index(z.name), z.fields["start_pfn"], z.fields["spanned"]) for z in found)
    # which pages are missing is not known: as many as the kernel does not manage are taken off each zone's end
    reserved = tuple((zone.start + z.fields["managed"], zone.end) for zone, z in zip(zones, found, strict=True))
    try:
        machine = Machine(
            zones,
            cpus=1 + max(cpu for z in found for cpu in z.pcp),
            reserved=reserved,
            pageblock_order=proc.pageblock_order if proc.pageblock_order in PAGEBLOCK_ORDERS else 9,
        )
        sizes = boot_sizes(machine)
    except GeometryError as error:
        raise InputError(error.message, found[0].file, found[0].line) from None
    for z in found:
        own, pcp = sizes.zones[ZONE_NAMES.index(z.name)], next(iter(z.pcp.values()))
        own.managed, own.wmark = z.fields["managed"], z.wmark()
        own.lowmem_reserve = lowmem_reserve(protection(proc, z))
        own.batch, own.high = pcp["batch"], pcp["high"]
    return machine, replace(sizes, totalreserve=calculate_totalreserve_pages(sizes))
