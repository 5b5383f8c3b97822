"""What is read of a machine, from /proc or from a report: zones with their fields by name."""

from __future__ import annotations

from dataclasses import dataclass, field

from gfpmodel.mm.state import MAX_ORDER, MIGRATE_MOVABLE

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
    threshold: int = 0
    free: tuple[int, ...] | None = None
    free_by_type: dict[str, tuple[int, ...]] | None = None
    blocks: dict[str, int] | None = None

    @property
    def populated(self) -> bool:
        """Return whether the zone has pages."""
        return self.fields.get("managed", 0) > 0

    def wmark(self) -> tuple[int, int, int]:
        """Return the watermarks without the boost, which the file's have within them."""
        low, mid, high = (self.fields[name] - self.fields.get("boost", 0) for name in ("min", "low", "high"))
        return low, mid, high

    def free_counts(self) -> dict[int, tuple[int, ...]] | None:
        """Return free blocks by type and order: from pagetypeinfo, else all as MOVABLE from buddyinfo."""
        if self.free_by_type is not None:
            known = {KNOWN_TYPES[k.lower()]: v for k, v in self.free_by_type.items() if k.lower() in KNOWN_TYPES}
            return {t: padded(v) for t, v in known.items()}
        return None if self.free is None else {MIGRATE_MOVABLE: padded(self.free)}


def padded(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Return counts by order for as many orders as v5.8 has, at least."""
    return (*counts, *(0,) * (MAX_ORDER - len(counts)))


@dataclass
class Proc:
    """What was read: zones by node and name, and what holds for the whole machine, as far as the files say it."""

    zones: dict[tuple[int, str], ZoneInfo] = field(default_factory=dict)
    pageblock_order: int | None = None
    orders: int | None = None  #: how many orders there are: MAX_ORDER, as v5.8 counts
    mem_total: int | None = None  #: MemTotal of /proc/meminfo, kB
    unnamed: int | None = None  #: the line without a name of 4.17 to 4.19
    capped: bool = False  #: pagetypeinfo gave up counting a list (">100000")
    page_kb: int | None = None  #: the size of a page, if the files say it
    report: bool = False  #: it is a report's Mem-Info, which says neither pfns nor lists
    managed_is_present: bool = False  #: before 3.9 there is no number of managed pages

    def zone(self, node: str, name: str) -> ZoneInfo:
        """Return a zone, a new one if it is not there yet."""
        return self.zones.setdefault((int(node), name), ZoneInfo(int(node), name))

    def nodes(self) -> list[int]:
        """Return the nodes that have memory."""
        return sorted({zone.node for zone in self.zones.values() if zone.populated})

    def populated(self, node: int | None = None) -> list[ZoneInfo]:
        """Return the zones with pages, of one node or of all."""
        return [z for z in self.zones.values() if z.populated and node in (None, z.node)]
