"""/proc/zoneinfo, buddyinfo and pagetypeinfo: a machine's geometry and free counts, and the model started from them."""

from gfpmodel.io.procfs.facts import describe, machine_facts, unknown
from gfpmodel.io.procfs.geometry import machine_of, misfits, page_size
from gfpmodel.io.procfs.read import read_proc
from gfpmodel.io.procfs.start import laid_out, page_cache, start
from gfpmodel.io.procfs.zone import Proc, ZoneInfo

__all__ = [
    "Proc",
    "ZoneInfo",
    "describe",
    "laid_out",
    "machine_facts",
    "machine_of",
    "misfits",
    "page_cache",
    "page_size",
    "read_proc",
    "start",
    "unknown",
]
