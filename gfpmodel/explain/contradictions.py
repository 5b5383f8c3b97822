"""What a report says that no kernel prints together: a line that was changed, mixed with another one, or a vendor's.

Models: mm/page_alloc.c:warn_alloc and :__alloc_pages_may_oom, mm/oom_kill.c:out_of_memory (v4.4 to v7.3).
"""

from __future__ import annotations

from collections.abc import Iterator

from gfpmodel.explain.zones import largest_order
from gfpmodel.gfp.reading import Reading
from gfpmodel.io.meminfo import MemInfo, Zone

COSTLY_ORDER = 3  #: PAGE_ALLOC_COSTLY_ORDER: a request above it gives up without the OOM killer
#: Numbers of a zone of which the first is never above the second.
NOT_ABOVE = (("boost", "min"), ("min", "low"), ("low", "high"), ("managed", "present"), ("free_cma", "free"))


def contradictions(kind: str, order: int | None, reading: Reading, info: MemInfo, constraint: str) -> list[str]:
    """Return what of a report cannot be printed together, in words; empty if nothing is wrong."""
    found = [*of_mask(kind, order, reading, constraint), *of_order(kind, order, info)]
    for zone in info.zones:
        found += of_zone(zone, info.page_kb)
    return [f"contradiction: {words}" for words in found]


def of_order(kind: str, order: int | None, info: MemInfo) -> Iterator[str]:
    """Yield that an order is beyond the largest block, as listed: the request is refused before a line is printed."""
    largest = largest_order(info)
    if kind in ("allocation failure", "stall") and order is not None and largest is not None and order > largest:
        yield f"order {order} is above {largest}, the largest block: such a request is refused without such a line"


def of_mask(kind: str, order: int | None, reading: Reading, constraint: str) -> Iterator[str]:
    """Yield why a request with this mask cannot have printed a report of this kind."""
    bits, mask = reading.layout.bits, reading.mask

    def flag(name: str) -> bool:
        return bool(mask & bits.get(f"__GFP_{name}", 0))

    waits = flag("DIRECT_RECLAIM") or flag("WAIT")
    if kind != "oom":
        if flag("NOWARN"):
            yield "the mask has __GFP_NOWARN, with which no such line is printed"
        if kind == "stall" and not waits:
            yield "the mask has no __GFP_DIRECT_RECLAIM: a request that does not reclaim cannot stall"
        if kind == "allocation failure" and flag("NOFAIL") and waits:
            yield "the mask has __GFP_NOFAIL and may reclaim: such a request does not fail"
        return
    if not mask or constraint == "MEMCG" or order is None or order < 0:
        return  # a page fault's, a cgroup's or SysRq's: no request of the page allocator
    if not waits:
        yield "the mask has no __GFP_DIRECT_RECLAIM: such a request never calls the OOM killer"
    if flag("NORETRY"):
        yield "the mask has __GFP_NORETRY: such a request never calls the OOM killer"
    if order > COSTLY_ORDER and not flag("NOFAIL"):
        yield f"order {order} is above PAGE_ALLOC_COSTLY_ORDER ({COSTLY_ORDER}): the OOM killer is not called for it"


def of_zone(zone: Zone, page_kb: int | None) -> Iterator[str]:
    """Yield which numbers of a zone cannot be true together."""
    for name, other in NOT_ABOVE:
        if name in zone.fields and other in zone.fields and zone.fields[name] > zone.fields[other]:
            yield f"{zone}: {name}:{zone.fields[name]}kB is above {other}:{zone.fields[other]}kB"
    listed = zone.listed
    if listed is not None and page_kb and zone.total != listed * page_kb:
        yield f"{zone}: its list of blocks says = {zone.total}kB, but its parts come to {listed * page_kb} kB"
