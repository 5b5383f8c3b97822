"""What the same machine would have done with another request: each is computed from the numbers printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gfpmodel.explain.contradictions import COSTLY_ORDER
from gfpmodel.explain.nodes import Nodes
from gfpmodel.explain.pages import Change, Failure, Rules, may_have_asked, sums_of
from gfpmodel.explain.request import Asks, atomic_mask
from gfpmodel.explain.zones import Sum, shortage
from gfpmodel.gfp.layouts import Layout

FAILS = "fails as well"
MOST_NAMED = 8  #: zones
LAST_TRY = "the last try before the OOM killer, at the high mark"


@dataclass(frozen=True)
class Other:
    """Another request: in words, its order, what makes its mask of the printed one, and what to add if it fails."""

    words: str
    order: int
    change: Change | None = None
    unless: str = ""


def with_flags(*names: str) -> Change:
    """Return what adds flags to a mask; a name that a kernel lacks is left out."""

    def change(mask: int, table: Layout) -> int:
        for name in names:
            mask |= table.bits.get(f"__GFP_{name}", 0)
        return mask

    return change


def without_flags(*names: str) -> Change:
    """Return what takes flags from a mask."""

    def change(mask: int, table: Layout) -> int:
        for name in names:
            mask &= ~table.bits.get(f"__GFP_{name}", 0)
        return mask

    return change


def as_kernel(mask: int, table: Layout) -> int:
    """Return a mask made one that may wait as GFP_KERNEL does, and opens no reserve."""
    mask = without_flags("HIGH", "ATOMIC", "MEMALLOC")(mask, table)
    return mask | table.composites["GFP_KERNEL"]


def as_movable(mask: int, table: Layout) -> int:
    """Return a mask made one for movable pages."""
    return with_flags("MOVABLE")(without_flags("RECLAIMABLE")(mask, table), table)


def others(it: Failure, asks: Asks) -> Iterator[Other]:
    """Yield the requests to compare with: fewer pages, other reserves, other pages, other nodes and zones."""
    order = asks.order
    if order:
        yield Other("order 0", 0)
        if order > 1:
            yield Other(f"order {order - 1}", order - 1)
    if not waits(it):
        tried_again = order <= COSTLY_ORDER and calls_oom_killer(it)
        till = "until there is enough, and called the OOM killer if that frees nothing"
        unless = f"it would have slept and reclaimed {till if tried_again else 'a few times, then given up'}"
        where = " (in an interrupt nothing may)" * bool(it.context.interrupt)
        yield Other(f"GFP_KERNEL, which may wait{where}", order, as_kernel, unless)
    if not asks.unlimited:
        yield from reserves(asks)
    if not asks.cma and any(zone.fields.get("free_cma") for zone in it.info.zones):
        yield Other("__GFP_MOVABLE, which may use CMA", order, as_movable)
    if asks.this_node:
        yield Other("any node", order, without_flags("THISNODE"))


def reserves(asks: Asks) -> Iterator[Other]:
    """Yield the same request with other reserves."""
    if asks.high or asks.harder:
        yield Other("no reserve", asks.order, without_flags("HIGH", "ATOMIC"))
    if not asks.high:
        yield Other("__GFP_HIGH", asks.order, with_flags("HIGH"))
    if not (asks.high and asks.harder):
        yield Other("GFP_ATOMIC's reserves", asks.order, atomic_mask)
    if asks.opened:
        yield Other("__GFP_MEMALLOC, which no mark stops", asks.order, with_flags("MEMALLOC"))


def waits(it: Failure) -> bool:
    """Return whether a request may reclaim by itself."""
    assert it.reading is not None
    return bool(it.reading.mask & it.reading.layout.bits.get("__GFP_DIRECT_RECLAIM", 0))


def calls_oom_killer(it: Failure) -> bool:
    """Return whether a request like this that may reclaim calls the OOM killer: for no low zone, no one node.

    Models: mm/page_alloc.c:__alloc_pages_may_oom (v4.4 to v7.3).
    """
    assert it.reading is not None
    bits = it.reading.layout.bits
    never = ("NORETRY", "RETRY_MAYFAIL", "THISNODE", "DMA", "DMA32")
    return not it.reading.mask & sum(bits.get(f"__GFP_{name}", 0) for name in never)


def otherwise(it: Failure) -> list[tuple[str, str]]:
    """Return what would have happened with other requests: the words of each, and its result."""
    if it.asks is None or not (it.sums or it.empty_zone):
        return []
    found = []
    for other in others(it, it.asks):
        sums, _ = sums_of(it, may_have_asked(replace(it, order=other.order), other.change))
        found.append((f"with {other.words}", result(sums, other.unless)))
    found += [(words, result(sums)) for words, sums in elsewhere(it)]
    if it.found.kind == "oom":
        found.append((LAST_TRY, result(last_try(it))))
    return found


def result(sums: Sequence[Sum], unless: str = "") -> str:
    """Return in words in which zones a request passes, else how it fails."""
    passing, unknown = ([s for s in sums if s.test == test] for test in ("none", "unknown"))
    if passing:
        more = f" and {len(passing) - MOST_NAMED} more" * (len(passing) > MOST_NAMED)
        return "passes in " + ", ".join(s.zone + quickly(s) for s in passing[:MOST_NAMED]) + more
    if unknown:
        return f"cannot be told of {', '.join(s.zone for s in unknown)}"
    near = [s for s in sums if s.short]
    least = min(near, key=lambda s: s.short, default=None)
    blocks = "no block is large enough" if any(s.test == "block" for s in sums) else ""
    nearest = f"{least.zone} is nearest, {shortage(least)} short" if least else ""
    why = "; ".join(filter(None, (blocks, nearest)))
    fails = f"does not pass at once; {unless}" if unless else FAILS
    return fails + (f" ({why})" if why else "")


def quickly(s: Sum) -> str:
    """Return a note where only the quick test of order 0 lets a request pass."""
    only = " by the quick test of order 0 alone, which does not subtract the HIGHATOMIC reserve"
    return only if s.quick else ""


def elsewhere(it: Failure) -> Iterator[tuple[str, list[Sum]]]:
    """Yield the same request in zones and nodes that it was not allowed, and for a lower zone by that zone's own name.

    A zone keeps lowmem_reserve only from requests that may go higher.
    """
    left = {words.partition(": ")[0] for words in it.outside}
    for zone in it.info.zones:
        if str(zone) in left and zone.name != "Device":
            yield f"from {zone}", only(it, str(zone), zone.name)
    held = {s.zone for s in it.sums if s.test == "lowmem_reserve"}
    for name in dict.fromkeys(zone.name for zone in it.info.zones if str(zone) in held and "DMA" in zone.name):
        sums = [s for zone in it.info.zones if zone.name == name for s in only(it, str(zone), name)]
        yield f"with __GFP_{name}", sums


def only(it: Failure, zone: str, highest: str) -> list[Sum]:
    """Return the test of one zone, for the same request with that zone as its highest and no node left out."""
    rules: Rules = {}
    for asks, releases in it.rules.items():
        rules.setdefault(replace(asks, highest=highest, cpuset=False), []).extend(releases)
    free = replace(it, nodes=Nodes())
    return [s for s in sums_of(free, rules)[0] if s.zone == zone]


def last_try(it: Failure) -> list[Sum]:
    """Return the tests of the last try before the OOM killer: at the high mark, with no reserve and no CMA.

    Models: mm/page_alloc.c:__alloc_pages_may_oom (v4.4 to v7.3).
    """
    rules: Rules = {}
    for asks, releases in it.rules.items():
        closed = Asks(
            asks.order, asks.highest, quick=asks.quick, usable=asks.usable, hardwall=True, this_node=asks.this_node
        )
        rules.setdefault(closed, []).extend(releases)
    raised = [
        replace(z, fields={**z.fields, "min": z.fields["high"]} if "high" in z.fields else without_min(z.fields))
        for z in it.info.zones
    ]
    return sums_of(replace(it, info=replace(it.info, zones=raised)), rules)[0]


def tried_last(it: Failure) -> str:
    """Return how the last try before the OOM killer failed, in words; empty where it passes, or for another report."""
    if it.found.kind != "oom":
        return ""
    said = result(last_try(it))
    return said.partition(" (")[2].rstrip(")") if said.startswith(FAILS) else ""


def without_min(fields: dict[str, int]) -> dict[str, int]:
    """Return a zone's fields without the mark, where the one that is asked for was cut off."""
    return {name: value for name, value in fields.items() if name != "min"}
