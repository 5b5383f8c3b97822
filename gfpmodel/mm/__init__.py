"""The page allocator of Linux v5.8, page for page: geometry, buddy lists, per-cpu lists, request path, events."""

from gfpmodel.mm.allocator import PageAllocator
from gfpmodel.mm.events import Event, Ring
from gfpmodel.mm.mmzone import Machine, Zone
from gfpmodel.mm.ops import Results, pack_ops
from gfpmodel.mm.rules import Rule
from gfpmodel.mm.snapshot import Snapshot, ZoneState

__all__ = ["Event", "Machine", "PageAllocator", "Results", "Ring", "Rule", "Snapshot", "Zone", "ZoneState", "pack_ops"]
