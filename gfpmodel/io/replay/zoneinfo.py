"""The zones of a machine's /proc files, as a replay takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gfpmodel.errors import InputError
from gfpmodel.io.procfs import machine_of, misfits, page_size, read_proc
from gfpmodel.io.procfs.zone import ZoneInfo
from gfpmodel.io.replay.pack import MAX_PAGES
from gfpmodel.io.replay.recording import Recording
from gfpmodel.io.replay.start import KnownZone
from gfpmodel.mm.mmzone import Machine, ZoneSizes
from gfpmodel.mm.state import ZONE_NAMES
from gfpmodel.mm.v6_18.mmzone import zone_highsize


def known_zones(path: str) -> list[KnownZone]:
    """Read the zones of the first node with memory from a file with /proc/zoneinfo in it; raises InputError."""
    proc = read_proc([path])
    machine, sizes = machine_of(proc)
    node = proc.nodes()[0]
    found = []
    for index, size in sizes.zones.items():
        info = proc.zones[node, ZONE_NAMES[index]]
        if size.zone.end > MAX_PAGES or info.fields["free"] > size.managed:
            raise InputError(f"zone {info.name}: expected free <= managed, and an end below 256 GiB", path, info.line)
        set_high_range(machine, size, info)
        found.append(KnownZone(size, info.fields["free"]))
    return found


def set_high_range(machine: Machine, size: ZoneSizes, info: ZoneInfo) -> None:
    """Set between what the lists of a zone tune their high: as the file says, or as a kernel since v6.7 computes it."""
    pcp = next(iter(info.pcp.values()))
    least, most = (zone_highsize(machine, size, len(info.pcp), 0, high_max=top) for top in (False, True))
    size.high_min, size.high_max = pcp.get("high_min", least), pcp.get("high_max", most)


def misfits_of(path: str, recording: Recording) -> tuple[str, ...]:
    """Return, in words, how the machine of a /proc/zoneinfo differs from the one that its trace is replayed on.

    Zones that the model does not have come with how much of the trace lies in them.  Raises InputError.
    """
    proc = read_proc([path])
    node = proc.nodes()[0]
    found = misfits(proc, node, page_size(proc))
    if proc.report:
        found.append("the machine is that of a report, which names no pfns: its zones are laid out as x86 does")
    named = np.flatnonzero(recording.where)
    for zone in proc.populated():
        start, end = zone.fields["start_pfn"], zone.fields["start_pfn"] + zone.fields["spanned"]
        inside = int(np.count_nonzero((named >= start) & (named < end)))
        if zone.name not in ZONE_NAMES or zone.node != node:
            found.append(
                f"{inside} of the {len(named)} pages that the trace names lie in zone {zone.name} of node {zone.node}: "
                "the model serves their requests from the other zones"
            )
    return tuple(found)


def zoneinfo_beside(trace: str) -> str | None:
    """Return the file beside a trace that `record` names: the trace's, perhaps without .gz or .xz, and .zoneinfo."""
    bases = (trace, trace.removesuffix(".gz").removesuffix(".xz"))
    return next((f"{base}.zoneinfo" for base in bases if Path(f"{base}.zoneinfo").is_file()), None)
