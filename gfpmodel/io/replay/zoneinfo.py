"""The zones of a machine's /proc files, as a replay takes them."""

from __future__ import annotations

from pathlib import Path

from gfpmodel.errors import InputError
from gfpmodel.io.procfs import machine_of, read_proc
from gfpmodel.io.replay.pack import MAX_PAGES
from gfpmodel.io.replay.start import KnownZone
from gfpmodel.mm.state import ZONE_NAMES


def known_zones(path: str) -> list[KnownZone]:
    """Read the zones of the first node with memory from a file with /proc/zoneinfo in it; raises InputError."""
    proc = read_proc([path])
    _, sizes = machine_of(proc)
    node = proc.nodes()[0]
    found = []
    for index, size in sizes.zones.items():
        info = proc.zones[node, ZONE_NAMES[index]]
        if size.zone.end > MAX_PAGES or info.fields["free"] > size.managed:
            raise InputError(f"zone {info.name}: expected free <= managed, and an end below 256 GiB", path, info.line)
        found.append(KnownZone(size, info.fields["free"]))
    return found


def zoneinfo_beside(trace: str) -> str | None:
    """Return the file beside a trace that `record` names: the trace's, perhaps without .gz or .xz, and .zoneinfo."""
    bases = (trace, trace.removesuffix(".gz").removesuffix(".xz"))
    return next((f"{base}.zoneinfo" for base in bases if Path(f"{base}.zoneinfo").is_file()), None)
