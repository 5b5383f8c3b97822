"""The geometry of a machine, by the kernel's own arithmetic: zones, watermarks, reserves, pcp sizes.

Nothing that can be computed is taken on trust; what a booted kernel fixes at a moment this model does not see (the
pcp sizes, when memory is released later) can be given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import isqrt
from typing import Any

from gfpmodel.errors import GeometryError
from gfpmodel.mm.gates import shown, within
from gfpmodel.mm.state import MAX_NR_ZONES, MAX_ORDER, ZONE_NAMES, ZONE_NORMAL

Range = tuple[int, int]
Pcp = tuple[int | None, int | None]  #: batch and high; None: as the kernel computes it
PcpSizes = tuple[int | None, int | None, int | None]  #: batch, high_min and high_max

PAGE_SHIFT = 12
MAX_CPUS = 8192
MAX_PFN = 1 << 31  # 8 TiB
MAX_SPAN = 1 << 30  # 4 TiB, that is 16 GiB of rows
MAX_PCP = 1 << 30
LOWMEM_RESERVE_RATIO = (256, 256, 32, 0)
MIN_PERCPU_PAGELIST_FRACTION = 8
MIGRATE_TYPES = 5  # UNMOVABLE, MOVABLE, RECLAIMABLE, HIGHATOMIC, ISOLATE; CONFIG_CMA makes it 6
MAX_ORDER_NR_PAGES = 1 << (MAX_ORDER - 1)


@dataclass(frozen=True)
class Zone:
    """A zone: its index (0 DMA, 1 DMA32, 2 Normal, 3 Movable), first pfn, and how many pfns it spans.

    Raises GeometryError.
    """

    index: int
    start: int
    spanned: int

    def __post_init__(self) -> None:
        take_numbers(self, "index", "start", "spanned")

    @property
    def end(self) -> int:
        """Return the first pfn behind the zone."""
        return self.start + self.spanned

    @property
    def name(self) -> str:
        """Return the kernel's name of the zone."""
        return ZONE_NAMES[self.index]


@dataclass(frozen=True)
class Machine:
    """A machine to build: zones and cpus, what the allocator never gets, and the knobs.

    ``reserved`` and ``holes`` are [start, end) ranges of pfns that are never given to the allocator (a hole is not
    even present), ``cma`` ranges that become CMA pageblocks; giving one turns CONFIG_CMA on.  ``pcp`` fixes batch and
    high (either may be None), for all zones or by zone index.  ``mobility_disabled`` None lets the size decide.
    ``min_free_kbytes`` and ``percpu_pagelist_fraction`` act like a write to the sysctl after boot.
    Of kernels from v6.18 on alone: TRANSPARENT_HUGEPAGE (``thp``), vm.defrag_mode, whether it is a kdump kernel, a
    cpu's share of the data cache (bytes), vm.percpu_pagelist_high_fraction, and, in the place of ``pcp``,
    ``pcp_sizes``: batch, high_min and high_max (each may be None); ``config_cma`` is CONFIG_CMA without an area.
    ``smp`` False is a kernel for a single cpu, as CONFIG_SMP=n makes it.
    Raises GeometryError.
    """

    zones: tuple[Zone, ...]
    cpus: int = 1
    reserved: tuple[Range, ...] = ()
    holes: tuple[Range, ...] = ()
    cma: tuple[Range, ...] = ()
    pageblock_order: int = 9
    min_free_kbytes: int | None = None
    watermark_boost_factor: int = 15000
    watermark_scale_factor: int = 10
    percpu_pagelist_fraction: int = 0
    pcp: Pcp | Mapping[int, Pcp] | None = None
    mobility_disabled: bool | None = None
    slowpath: str = "short"
    thp: bool = False
    defrag_mode: bool = False
    kdump: bool = False
    cache_slice: int = 0
    percpu_pagelist_high_fraction: int = 0
    pcp_sizes: PcpSizes | None = None
    config_cma: bool = False
    smp: bool = True

    def __post_init__(self) -> None:
        take_numbers(self, *(name for name in KNOBS if name != "min_free_kbytes" or self.min_free_kbytes is not None))
        for name in ("reserved", "holes", "cma"):
            object.__setattr__(self, name, tuple(pair(area, name) for area in getattr(self, name)))
        object.__setattr__(self, "pcp", taken_pcp(self.pcp))
        object.__setattr__(self, "pcp_sizes", taken_sizes(self.pcp_sizes))
        for name in ("thp", "defrag_mode", "kdump", "config_cma", "smp"):
            object.__setattr__(self, name, bool(within(getattr(self, name), name, 0, 1, GeometryError)))
        if not isinstance(self.zones, tuple) or not all(isinstance(zone, Zone) for zone in self.zones):
            raise GeometryError(f"zones is {shown(self.zones)}; expected a tuple of Zone")
        check_zones(self.zones)
        check_knobs(self)
        for number in range(len(self.cma)):
            check_cma(number, self)

    @property
    def start(self) -> int:
        """Return the first pfn of the lowest zone."""
        return self.zones[0].start

    @property
    def has_cma(self) -> bool:
        """Return whether CONFIG_CMA is on."""
        return bool(self.cma) or self.config_cma

    @property
    def end(self) -> int:
        """Return the first pfn behind the highest zone."""
        return self.zones[-1].end

    def usable(self, zone: Zone) -> list[Range]:
        """Return the ranges of a zone that boot gives to the allocator, ascending (CMA areas come later)."""
        return without((zone.start, zone.end), [*self.reserved, *self.holes, *self.cma])

    def present(self, zone: Zone) -> int:
        """Return how many pages of a zone exist."""
        return size(without((zone.start, zone.end), self.holes))

    def cma_pages(self, zone: Zone) -> int:
        """Return how many pages of a zone are in CMA areas."""
        return size([area for area in self.cma if zone.start <= area[0] < zone.end])


@dataclass
class ZoneSizes:
    """What boot computes for a zone (pages): watermarks without boost, lowmem reserve by highest zone, pcp sizes."""

    zone: Zone
    managed: int
    batch: int = 0
    high: int = 0  #: of v5.8
    high_min: int = 0  #: of later kernels
    high_max: int = 0
    pcp_flags: int = 0
    wmark: tuple[int, int, int] = (0, 0, 0)
    lowmem_reserve: tuple[int, ...] = (0,) * MAX_NR_ZONES


@dataclass
class Sizes:
    """What boot computes for a machine."""

    zones: dict[int, ZoneSizes]
    min_free_kbytes: int
    mobility_disabled: bool
    totalreserve: int = field(default=0)


#: The fields of Machine that are one number each.
KNOBS = (
    "cpus",
    "pageblock_order",
    "min_free_kbytes",
    "watermark_boost_factor",
    "watermark_scale_factor",
    "percpu_pagelist_fraction",
    "cache_slice",
    "percpu_pagelist_high_fraction",
)
MAX_NUMBER = 1 << 63


def number(value: Any, what: str) -> int:
    """Return a whole number as Python's own; raises GeometryError for anything else."""
    return within(value, what, -MAX_NUMBER, MAX_NUMBER - 1, GeometryError)


def take_numbers(self: object, *names: str) -> None:
    """Make fields of a frozen object Python's own integers; raises GeometryError."""
    for name in names:
        object.__setattr__(self, name, number(getattr(self, name), name))


def pair(value: Any, what: str) -> Range:
    """Return two numbers; raises GeometryError for anything else."""
    try:
        first, second = value
    except (TypeError, ValueError):
        raise GeometryError(f"{what} has {shown(value)}; expected two numbers") from None
    return number(first, what), number(second, what)


def taken_pcp(value: Any) -> Pcp | dict[int, Pcp] | None:
    """Return batch and high, or those of each zone, as Python's own integers; raises GeometryError."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {number(zone, "pcp"): taken_pcp(one) for zone, one in value.items()}  # type: ignore[misc]
    try:
        batch, high = value
    except (TypeError, ValueError):
        raise GeometryError(f"pcp is {shown(value)}; expected batch and high") from None
    return tuple(None if one is None else number(one, "pcp") for one in (batch, high))  # type: ignore[return-value]


def taken_sizes(value: Any) -> PcpSizes | None:
    """Return batch, high_min and high_max as Python's own integers; raises GeometryError."""
    if value is None:
        return None
    try:
        batch, high_min, high_max = value
    except (TypeError, ValueError):
        raise GeometryError(f"pcp_sizes is {shown(value)}; expected batch, high_min and high_max") from None
    sizes = (batch, high_min, high_max)
    return tuple(None if one is None else number(one, "pcp_sizes") for one in sizes)  # type: ignore[return-value]


def lowest_high(batch: int) -> int:
    """Return the least pcp high that goes with a batch."""
    return batch if batch > 1 else 0


def is_pcp(batch: int, high: int) -> bool:
    """Return whether v5.8 can have per-cpu lists of these sizes."""
    return 1 <= batch <= MAX_PCP and lowest_high(batch) <= high <= MAX_PCP


def without(whole: Range, holes: list[Range] | tuple[Range, ...]) -> list[Range]:
    """Return what is left of a range, ascending."""
    left, at = [], whole[0]
    for start, end in sorted(holes):
        if start > at:
            left.append((at, min(start, whole[1])))
        at = max(at, end)
        if at >= whole[1]:
            break
    if at < whole[1]:
        left.append((at, whole[1]))
    return left


def size(ranges: list[Range]) -> int:
    """Return the number of pages in ranges."""
    return sum(end - start for start, end in ranges)


def check_zones(zones: tuple[Zone, ...]) -> None:
    """Raise GeometryError unless the zones are ascending and apart, and of a size that can be modelled."""
    if not zones:
        raise GeometryError("a machine needs a zone")
    for zone in zones:
        if not 0 <= zone.index < MAX_NR_ZONES:
            raise GeometryError(f"zone index {zone.index}; expected 0 (DMA) to {MAX_NR_ZONES - 1} (Movable)")
        if zone.spanned < 1:
            raise GeometryError(f"zone {zone.name} spans {zone.spanned} pages; expected at least 1")
        if zone.start < 0 or zone.end > MAX_PFN:
            raise GeometryError(f"zone {zone.name} is [{zone.start}, {zone.end}); pfns are 0 to {MAX_PFN - 1}")
    for low, high in pairwise(zones):
        if low.index >= high.index:
            raise GeometryError(f"zone {high.name} follows zone {low.name}; expected them once each, DMA first")
        if low.end > high.start:
            raise GeometryError(
                f"zones {low.name} [{low.start}, {low.end}) and {high.name} [{high.start}, {high.end}) overlap"
            )
    if zones[-1].end - zones[0].start > MAX_SPAN:
        raise GeometryError(
            f"the zones span {zones[-1].end - zones[0].start} pages; at most {MAX_SPAN} can be modelled"
        )


def check_knobs(machine: Machine) -> None:
    """Raise GeometryError for a knob out of its range."""
    ranges = {
        "cpus": (machine.cpus, 1, MAX_CPUS if machine.smp else 1),
        "pageblock_order": (machine.pageblock_order, 9, MAX_ORDER - 1),
        "min_free_kbytes": (machine.min_free_kbytes or 0, 0, 1 << 40),
        "watermark_boost_factor": (machine.watermark_boost_factor, 0, 1 << 31),
        "watermark_scale_factor": (machine.watermark_scale_factor, 1, 1000),
    }
    ranges["cache_slice"] = (machine.cache_slice, 0, 1 << 40)
    if machine.percpu_pagelist_high_fraction:
        fraction = machine.percpu_pagelist_high_fraction
        ranges["percpu_pagelist_high_fraction"] = (fraction, MIN_PERCPU_PAGELIST_FRACTION, 1 << 31)
    if machine.percpu_pagelist_fraction:
        fraction = machine.percpu_pagelist_fraction
        ranges["percpu_pagelist_fraction"] = (fraction, MIN_PERCPU_PAGELIST_FRACTION, 1 << 31)
    for zone in machine.zones:
        batch, high = pageset_sizes(machine, ZoneSizes(zone, size(machine.usable(zone))))
        ranges[f"pcp batch of zone {zone.name}"] = (batch, 1, MAX_PCP)
        # a bulk free of more than the lists hold would spin; high 0 frees every page at once, with batch 1
        ranges[f"pcp high of zone {zone.name}"] = (high, lowest_high(batch), MAX_PCP)
    for name, (value, low, top) in ranges.items():
        if not low <= value <= top:
            raise GeometryError(f"{name} is {value}; expected {low} to {top}")
    for start, end in [*machine.reserved, *machine.holes]:
        if not 0 <= start <= end:
            raise GeometryError(f"range [{start}, {end}) of reserved pages or holes; expected start <= end")
    if machine.slowpath not in ("short", "verbatim"):
        raise GeometryError(f"slowpath {machine.slowpath!r}; expected short or verbatim")


def check_cma(number: int, machine: Machine) -> None:
    """Raise GeometryError unless a CMA area is aligned as CMA needs it and lies free within one zone.

    Models: mm/cma.c:cma_declare_contiguous_nid (v5.8), its alignment and zone rules.
    """
    start, end = machine.cma[number]
    if start >= end or start % MAX_ORDER_NR_PAGES or end % MAX_ORDER_NR_PAGES:
        raise GeometryError(f"CMA area [{start}, {end}); expected multiples of {MAX_ORDER_NR_PAGES} pages")
    if not any(zone.start <= start and end <= zone.end for zone in machine.zones):
        raise GeometryError(f"CMA area [{start}, {end}) is not within one zone")
    others = machine.cma[:number] + machine.cma[number + 1 :]
    for low, high in [*machine.reserved, *machine.holes, *others]:
        if low < end and start < high:
            raise GeometryError(f"CMA area [{start}, {end}) overlaps [{low}, {high})")


def zone_batchsize(managed: int, page_shift: int = PAGE_SHIFT) -> int:
    """Return the pcp batch for a zone of so many pages, before the least value of 1.

    Models: mm/page_alloc.c:zone_batchsize (v5.8).
    """
    batch = max(min(managed // 1024, (1 << 20) >> page_shift) // 4, 1)
    return (1 << (batch + batch // 2).bit_length() - 1) - 1


def pageset_sizes(machine: Machine, sizes: ZoneSizes) -> tuple[int, int]:
    """Return a zone's pcp batch and high: as given, else from percpu_pagelist_fraction, else from its size.

    Models: mm/page_alloc.c:pageset_set_high_and_batch (v5.8).
    """
    given = machine.pcp.get(sizes.zone.index) if isinstance(machine.pcp, Mapping) else machine.pcp
    if machine.percpu_pagelist_fraction:
        high = (sizes.managed + machine.cma_pages(sizes.zone)) // machine.percpu_pagelist_fraction
        batch = min(max(high // 4, 1), PAGE_SHIFT * 8)
    else:
        high = 6 * zone_batchsize(sizes.managed)
        batch = max(high // 6, 1)
    given_batch, given_high = given or (None, None)
    return batch if given_batch is None else given_batch, high if given_high is None else given_high


def nr_free_buffer_pages(sizes: Sizes) -> int:
    """Return the pages of the zones up to Normal, as long as no high watermark is set.

    Models: mm/page_alloc.c:nr_free_buffer_pages (v5.8) at boot.
    """
    return sum(z.managed for index, z in sizes.zones.items() if index <= ZONE_NORMAL)


def boot_min_free_kbytes(lowmem_kbytes: int) -> int:
    """Return the min_free_kbytes that boot chooses for so much memory below HighMem and Movable.

    Models: mm/page_alloc.c:init_per_zone_wmark_min (v5.8), its arithmetic.
    """
    return min(max(isqrt(lowmem_kbytes * 16), 128), 262144)


def wmarks(low: int, share: int, managed: int, factor: int) -> tuple[int, int, int]:
    """Return the three watermarks from the min one, a zone's share of min_free_kbytes (pages) and the scale factor.

    Models: the end of the loop in mm/page_alloc.c:__setup_per_zone_wmarks (v5.8).
    """
    gap = max(share >> 2, managed // 10000 * factor + managed % 10000 * factor // 10000)
    return low, low + gap, low + 2 * gap


def setup_per_zone_wmarks(
    zones: Collection[ZoneSizes], min_free_kbytes: int, factor: int, page_shift: int = PAGE_SHIFT
) -> None:
    """Set the three watermarks of all zones, on every node, from min_free_kbytes and watermark_scale_factor.

    Models: mm/page_alloc.c:__setup_per_zone_wmarks (v5.8); without HighMem, whose marks come from its own size.
    """
    pages_min = min_free_kbytes >> (page_shift - 10)
    total = sum(z.managed for z in zones)
    for z in zones:
        low = pages_min * z.managed // total if total else 0
        z.wmark = wmarks(low, low, z.managed, factor)


def setup_per_zone_lowmem_reserve(sizes: Sizes) -> None:
    """Set what each zone keeps back from requests that could have used a higher one.

    Models: mm/page_alloc.c:setup_per_zone_lowmem_reserve (v5.8-rc3).
    """
    managed = [sizes.zones[i].managed if i in sizes.zones else 0 for i in range(MAX_NR_ZONES)]
    reserve = [[0] * MAX_NR_ZONES for _ in range(MAX_NR_ZONES)]
    for target in range(MAX_NR_ZONES):
        above = managed[target]
        for index in reversed(range(target)):
            if LOWMEM_RESERVE_RATIO[index] and managed[index]:
                reserve[index][target] = above // LOWMEM_RESERVE_RATIO[index]
                above += managed[index]
    for index, z in sizes.zones.items():
        z.lowmem_reserve = tuple(reserve[index])


def calculate_totalreserve_pages(sizes: Sizes) -> int:
    """Return how many pages cannot be used by user space: reserves and high watermarks.

    Models: mm/page_alloc.c:calculate_totalreserve_pages (v5.8).
    """
    return sum(min(max(z.lowmem_reserve[index:]) + z.wmark[2], z.managed) for index, z in sizes.zones.items())


def boot_sizes(machine: Machine) -> Sizes:
    """Compute a machine's sizes in the order in which boot does: pcp, watermarks, reserves, then CMA, then sysctls.

    Models: mm/page_alloc.c:setup_per_cpu_pageset and init_per_zone_wmark_min (v5.8).
    """
    zones = {z.index: ZoneSizes(z, size(machine.usable(z))) for z in machine.zones}
    total = sum(z.managed for z in zones.values())
    types = MIGRATE_TYPES + machine.has_cma
    small = total + sum(map(machine.cma_pages, machine.zones)) < types << machine.pageblock_order
    sizes = Sizes(zones, 0, small if machine.mobility_disabled is None else machine.mobility_disabled)
    for z in zones.values():
        z.batch, z.high = pageset_sizes(machine, z)
    lowmem_kbytes = nr_free_buffer_pages(sizes) << (PAGE_SHIFT - 10)
    sizes.min_free_kbytes = boot_min_free_kbytes(lowmem_kbytes)
    setup_per_zone_wmarks(zones.values(), sizes.min_free_kbytes, machine.watermark_scale_factor)
    setup_per_zone_lowmem_reserve(sizes)
    for z in zones.values():
        z.managed += machine.cma_pages(z.zone)
    if machine.min_free_kbytes is not None:
        sizes.min_free_kbytes = machine.min_free_kbytes
        setup_per_zone_wmarks(zones.values(), sizes.min_free_kbytes, machine.watermark_scale_factor)
    sizes.totalreserve = calculate_totalreserve_pages(sizes)
    return sizes
