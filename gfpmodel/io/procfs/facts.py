"""What `machine` prints of /proc files: the machine, 5.8's own arithmetic beside it, and what is not known."""

from __future__ import annotations

from typing import Any

from gfpmodel.io.procfs.geometry import (
    PageSize,
    cma_pages,
    lowmem_reserve,
    min_free,
    misfits,
    model_zones,
    page_size,
    protection,
    v58_wmarks,
    zone_lists,
)
from gfpmodel.io.procfs.read import UNNAMED
from gfpmodel.io.procfs.zone import KNOWN_TYPES, Proc, ZoneInfo
from gfpmodel.mm import Zone
from gfpmodel.mm.mmzone import Sizes, ZoneSizes, setup_per_zone_lowmem_reserve, zone_batchsize
from gfpmodel.mm.state import ZONE_NAMES

ALWAYS_UNKNOWN = (
    "which pfns are free or used: free blocks are laid into each zone largest first",
    "the lists of each cpu by migratetype and pfn, only their counts: the model starts with them empty",
    "which pages a zone does not manage: taken off its end",
    "which pageblocks have which type: those without free blocks are MOVABLE",
)


def unknown(proc: Proc, node: int, size: PageSize) -> list[str]:
    """Return, in words, what the files do not say about a node, and what is taken instead."""
    zones = proc.populated(node)
    lists = zone_lists(proc, zones[0])
    types = {t for z in zones for t, free in (z.free_by_type or {}).items() if any(free)}
    others = sorted(t for t in types if t.lower() not in KNOWN_TYPES)
    reserves = [{lowmem_reserve(protection(proc, z, names)) for names in lists} for z in zones]
    notes = {
        "where the zones lie and what they span (a report names no pfns): laid out as x86 does": proc.report,
        "how many CPUs there are: as many as the report needs": proc.report,
        "batch and high of the lists (a report does not print them): as v5.8 computes them": proc.report
        and all(len(z.pcp) == 1 for z in zones),
        "how many free blocks each type has (a report prints letters): one for each letter, the others movable": any(
            proc.report and z.free_by_type is not None for z in zones
        ),
        "a watermark boost, which 5.0 and later have within the watermarks that they print": any(
            "boost" not in z.fields for z in zones
        ),
        "which pages are CMA areas: movable requests do not use the free CMA blocks here": "CMA" in types
        or any(map(cma_pages, zones)),
        "counts that pagetypeinfo stopped at >100000: the number itself is taken": proc.capped,
        "free blocks by migratetype (no pagetypeinfo): all taken as MOVABLE": any(
            z.free_by_type is None for z in zones
        ),
        "free blocks by order (no buddyinfo): the model starts as after boot": any(
            z.free_by_type is None and z.free is None for z in zones
        ),
        f"what the model would do with free blocks of type {', '.join(others)}: they are left out": bool(others),
        "pageblock_order: 9 is taken": proc.pageblock_order is None,
        "the page size: 4 KiB is taken (--page-size gives another)": not size.known,
        "how many pages are managed: before 3.9 there are only those present, which are taken": proc.managed_is_present,
        f"which zones this kernel has: taken as {', '.join(lists[0])}": any(len(one) > 1 for one in reserves),
        f"nodes other than {node}: the model has one": len(proc.nodes()) > 1,
        "high or batch differ between cpus: the model takes those of the first": any(
            len({(p["batch"], p["high"]) for p in z.pcp.values()}) > 1 for z in zones
        ),
    }
    return [*ALWAYS_UNKNOWN, *(note for note, true in notes.items() if true)]


def machine_facts(proc: Proc, asked: int | None = None) -> dict[str, Any]:
    """Return what `machine` prints: each node's zones, beside them 5.8's own arithmetic.

    Arguments: what was read; the page size in bytes, if it was asked for.  Raises InputError.
    """
    size = page_size(proc, asked)
    return {"nodes": [node_facts(proc, node, size) for node in proc.nodes()]}


def node_facts(proc: Proc, node: int, size: PageSize) -> dict[str, Any]:
    """Return the facts of a node."""
    free = min_free(proc, size)
    zones = proc.populated(node)
    return {
        "node": node,
        "cpus": 1 + max(cpu for z in zones for cpu in z.pcp),
        "page_size": size.kib << 10,
        "page_size_from": size.source,
        "orders": proc.orders,
        "pageblock_order": proc.pageblock_order,
        "kernel_zones": list(zone_lists(proc, zones[0])[0]),
        "min_marks_kbytes": free.marks,
        "min_free_kbytes": free.kbytes,
        "min_free_kbytes_from": free.source,
        "min_free_kbytes_v5.8": free.boot,
        "unnamed": proc.unnamed,
        "zones": [zone_facts(proc, z, size) for z in zones],
        "cannot_run": misfits(proc, node, size),
        "unknown": unknown(proc, node, size),
    }


def zone_facts(proc: Proc, zone: ZoneInfo, size: PageSize) -> dict[str, Any]:
    """Return the facts of a zone; those of v5.8 are None where its arithmetic as modelled does not apply."""
    fields, kept = zone.fields, protection(proc, zone)
    computed = v58_wmarks(proc, size).get((zone.node, zone.name))
    batch = zone_batchsize(fields["managed"], size.shift)
    return {
        "zone": zone.name,
        "pfns_from": "taken" if proc.report else "the files",
        "start_pfn": fields["start_pfn"],
        "spanned": fields["spanned"],
        "present": fields["present"],
        "managed": fields["managed"],
        "free": fields["free"],
        "wmark": list(zone.wmark()),
        "wmark_v5.8": computed and list(computed),
        "boost": fields.get("boost", 0),
        "reserved_highatomic": fields.get("reserved_highatomic"),
        "free_highatomic": fields.get("free_highatomic"),
        "protection": kept,
        "lowmem_reserve": by_zone(kept, lowmem_reserve(kept)),
        "lowmem_reserve_v5.8": v58_reserve(proc, zone, kept),
        "batch_v5.8": max(batch, 1),
        "high_v5.8": 6 * batch,
        "pageblocks": zone.blocks,
        "pcp": [{"cpu": cpu, **pcp} for cpu, pcp in sorted(zone.pcp.items())],
        "free_blocks": shown_blocks(zone),
    }


def by_zone(kept: dict[str, int], reserve: tuple[int, ...]) -> list[int | None]:
    """Return a reserve by the model's zones, None for those that the kernel does not have."""
    return [value if name in kept else None for name, value in zip(ZONE_NAMES, reserve, strict=True)]


def v58_reserve(proc: Proc, zone: ZoneInfo, kept: dict[str, int]) -> list[int | None] | None:
    """Return the reserve that v5.8 computes for a zone, None beside zones that the model does not have."""
    others = proc.populated(zone.node)
    if any(z.name not in ZONE_NAMES for z in others):
        return None
    sizes = {
        ZONE_NAMES.index(z.name): ZoneSizes(
            Zone(ZONE_NAMES.index(z.name), z.fields["start_pfn"], z.fields["spanned"]), z.fields["managed"]
        )
        for z in model_zones(proc, zone.node)
    }
    setup_per_zone_lowmem_reserve(Sizes(sizes, 0, mobility_disabled=False))
    return by_zone(kept, sizes[ZONE_NAMES.index(zone.name)].lowmem_reserve)


def shown_blocks(zone: ZoneInfo) -> dict[str, list[int]] | None:
    """Return a zone's free blocks by type, as the files name it, and order."""
    if zone.free_by_type is not None:
        return {name: list(counts) for name, counts in zone.free_by_type.items()}
    return {"any type": list(zone.free)} if zone.free is not None else None


def describe(facts: dict[str, Any]) -> str:
    """Return the facts of `machine` in lines."""
    return "\n".join(line for node in facts["nodes"] for line in node_lines(node))


def node_lines(node: dict[str, Any]) -> list[str]:
    """Return the lines of a node."""
    as_booted = node["min_free_kbytes"] == node["min_free_kbytes_v5.8"]
    lines = [
        f"node {node['node']}: {node['cpus']} cpus, pageblock_order {node['pageblock_order'] or 'unknown'}, "
        f"MAX_ORDER {node['orders'] or 'unknown'}, zones {' '.join(node['kernel_zones'])}",
        f"  pages of {node['page_size'] >> 10} KiB, {node['page_size_from']}",
        f"  the min marks sum to {node['min_marks_kbytes']} kB: min_free_kbytes {node['min_free_kbytes']}, "
        + node["min_free_kbytes_from"]
        + (f"; boot computes {node['min_free_kbytes_v5.8']}" if not as_booted else ""),
    ]
    if node["unnamed"] is not None:
        lines.append(f"  {UNNAMED} {node['unnamed']}: the line without a name, as 4.17 to 4.19 print it")
    for zone in node["zones"]:
        lines += zone_lines(zone)
    lines += [f"  cannot be run: {reason}" for reason in node["cannot_run"]]
    return [*lines, *(f"  not known: {note}" for note in node["unknown"])]


def zone_lines(z: dict[str, Any]) -> list[str]:
    """Return the lines of a zone."""
    taken = " (taken)" if z["pfns_from"] == "taken" else ""
    lines = [
        f"  zone {z['zone']}: pfns {z['start_pfn']} to {z['start_pfn'] + z['spanned'] - 1}{taken}, "
        f"{z['managed']} of {z['present']} pages managed, {z['free']} free",
        f"    watermarks     {z['wmark']}{beside(z['wmark_v5.8'])}; boost {z['boost']}",
        f"    lowmem_reserve {dashed(z['lowmem_reserve'])}{beside(z['lowmem_reserve_v5.8'])}",
    ]
    if z["reserved_highatomic"] is not None:
        free = "" if z["free_highatomic"] is None else f", {z['free_highatomic']} free"
        lines.append(f"    high-atomic    {z['reserved_highatomic']} reserved{free}")
    lines += [
        f"    cpu {p['cpu']}: count {p['count']}, high {p['high']}, batch {p['batch']}"
        f"  v5.8 computes high {z['high_v5.8']}, batch {z['batch_v5.8']}"
        for p in z["pcp"]
    ]
    return [*lines, *(f"    free {name}: {counts}" for name, counts in (z["free_blocks"] or {}).items())]


def beside(computed: list[int | None] | None) -> str:
    """Return what v5.8 computes, if it can be compared."""
    return "" if computed is None else f"  v5.8 computes {dashed(computed)}"


def dashed(values: list[int | None]) -> str:
    """Return a list with a dash for a zone that the kernel does not have."""
    return f"[{', '.join('-' if value is None else str(value) for value in values)}]"
