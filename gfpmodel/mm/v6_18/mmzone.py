"""The sizes that v6.18 computes: Movable's own marks, and per-cpu lists between high_min and high_max."""

from __future__ import annotations

from gfpmodel.errors import GeometryError
from gfpmodel.mm.gates import within
from gfpmodel.mm.mmzone import (
    MAX_PCP,
    MIGRATE_TYPES,
    PAGE_SHIFT,
    Machine,
    Sizes,
    ZoneSizes,
    boot_min_free_kbytes,
    calculate_totalreserve_pages,
    nr_free_buffer_pages,
    setup_per_zone_lowmem_reserve,
    size,
    wmarks,
    zone_batchsize,
)
from gfpmodel.mm.state import PCPF_FREE_HIGH_BATCH, ZONE_MOVABLE


def zone_highsize(machine: Machine, zone: ZoneSizes, cpus: int, fraction: int, *, high_max: bool) -> int:
    """Return what one cpu's lists in a zone may hold, at least (high_min) or at most (high_max).

    ``fraction`` is percpu_pagelist_high_fraction, 0 if it is not set.
    Models: mm/page_alloc.c:zone_highsize (v6.18), without nodes.
    """
    total = zone.managed // 8 if high_max else zone.wmark[1]
    if fraction:
        total = zone.managed // fraction
    return max(total // cpus, 4 * zone.batch)


def setup_per_zone_wmarks(machine: Machine, sizes: Sizes) -> None:
    """Set the watermarks of all zones, and what their per-cpu lists may hold.

    Models: mm/page_alloc.c:__setup_per_zone_wmarks and zone_set_pageset_high_and_batch (v6.18).
    """
    lowmem = nr_free_buffer_pages(sizes)
    pages_min = sizes.min_free_kbytes >> (PAGE_SHIFT - 10)
    for index, zone in sizes.zones.items():
        share = pages_min * zone.managed // lowmem if lowmem else 0
        low = min(max(zone.managed // 1024, 32), 128) if index == ZONE_MOVABLE else share
        zone.wmark = wmarks(low, share, zone.managed, machine.watermark_scale_factor)
        fraction = machine.percpu_pagelist_high_fraction
        zone.high_min = zone_highsize(machine, zone, machine.cpus, fraction, high_max=False)
        zone.high_max = zone_highsize(machine, zone, machine.cpus, fraction, high_max=True)


def boot_sizes(machine: Machine) -> Sizes:
    """Compute a machine's sizes as boot does, then what is written after it.

    Raises GeometryError for lists of sizes that cannot be.
    Models: mm/page_alloc.c:init_per_zone_wmark_min and setup_per_cpu_pageset (v6.18).
    """
    zones = {z.index: ZoneSizes(z, size(machine.usable(z)) + machine.cma_pages(z)) for z in machine.zones}
    total = sum(z.managed for z in zones.values())
    small = total < (MIGRATE_TYPES + machine.has_cma) << machine.pageblock_order
    sizes = Sizes(zones, 0, small if machine.mobility_disabled is None else machine.mobility_disabled)
    for zone in zones.values():
        zone.batch = max(zone_batchsize(zone.managed), 1)
    sizes.min_free_kbytes = boot_min_free_kbytes(nr_free_buffer_pages(sizes) << (PAGE_SHIFT - 10))
    if machine.min_free_kbytes is not None:
        sizes.min_free_kbytes = machine.min_free_kbytes
    setup_per_zone_wmarks(machine, sizes)
    setup_per_zone_lowmem_reserve(sizes)
    sizes.totalreserve = calculate_totalreserve_pages(sizes)
    for zone in zones.values():
        zone.pcp_flags = PCPF_FREE_HIGH_BATCH if machine.cache_slice >> PAGE_SHIFT > 3 * zone.batch else 0
        set_lists(machine, zone)
    return sizes


def set_lists(machine: Machine, zone: ZoneSizes) -> None:
    """Put sizes of the per-cpu lists that were given in the place of those computed; raises GeometryError."""
    if machine.pcp_sizes is None:
        return
    where = f"of zone {zone.zone.name}"
    for name, given in zip(("batch", "high_min", "high_max"), machine.pcp_sizes, strict=True):
        if given is not None:
            setattr(zone, name, within(given, f"pcp {name} {where}", name == "batch", MAX_PCP, GeometryError))
