"""What a request may use, by the rule of the kernel that printed its report.

Models: mm/page_alloc.c:gfp_to_alloc_flags and :__gfp_pfmemalloc_flags (v4.4 to v7.3); leaves out realtime tasks and
OOM victims.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gfpmodel.explain.situation import is_interrupts
from gfpmodel.gfp.layouts import Layout

#: A change of a rule: the mainline release that has it, and the point releases of stable series that took it.
Change = tuple[tuple[int, ...], ...]
BY_HIGH: Change = ((6, 3), (6, 1, 116), (5, 15, 171))  #: __GFP_HIGH opens the extra quarter, not __GFP_ATOMIC
LAST_RESORT: Change = ((6, 12), (6, 11, 7), (6, 6, 60), (6, 1, 116), (5, 15, 171))  #: HIGHATOMIC for who cannot wait
UNBOOSTED: Change = ((5, 9), (5, 4, 80))  #: order 0 is tested again without the boost
UNBOOSTED_BY_HIGH: Change = ((6, 3),)  #: for __GFP_HIGH; before, for __GFP_ATOMIC
QUICK: Change = ((4, 7),)  #: order 0 passes at once above the whole mark
QUICK_USABLE: Change = ((5, 9),)  #: of which the HIGHATOMIC reserve is left out, too
LATEST = 1 << 16  #: a point release that has whatever its series took

_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(.*)")
_TRACE = re.compile(r"call trace:|backtrace:|^stack trace", re.IGNORECASE)
_FRAME = re.compile(r"(\? )?\b([a-z_][\w.]*)\+0x")
_SWITCH = re.compile(r"<(/?)(IRQ|NMI|SOFTIRQ|TASK|EOI)>")
_KSWAPD = re.compile(r"^kswapd\d+: ")
RECLAIM = {
    "try_to_free_pages", "try_to_free_mem_cgroup_pages", "__node_reclaim", "balance_pgdat", "__perform_reclaim",
    "__alloc_pages_direct_compact",
}  # fmt: skip


@dataclass(frozen=True)
class Context:
    """Where a request came from: in an interrupt (None: no call chain is printed), and why it has PF_MEMALLOC."""

    interrupt: bool | None = None
    memalloc: str = ""


def context_of(lines: Iterable[str]) -> Context:
    """Return where a report's request came from, by its call chain and its task's name."""
    first, *rest = lines
    frames: list[tuple[bool, str]] = []
    interrupt: bool | None = None
    inside = False
    for line in rest:
        if _TRACE.search(line):
            inside = True
        elif "Mem-Info" in line:
            break
        if inside and (mark := _SWITCH.search(line)) and interrupt is None:
            interrupt = mark[2] in ("IRQ", "NMI", "SOFTIRQ")
        elif inside and mark and interrupt and (mark[1] or mark[2] == "EOI"):
            break  # what was interrupted has asked for nothing
        frames += [(bool(unsure), name.split(".")[0]) for unsure, name in _FRAME.findall(line)] if inside else []
    names = {name for unsure, name in frames if not unsure}
    if any(map(is_interrupts, names)):
        interrupt = True
    elif names:
        interrupt = bool(interrupt)
    reclaims = "it is reclaiming or compacting memory" if names & RECLAIM and not interrupt else ""
    return Context(interrupt, "its task is kswapd" if _KSWAPD.search(first) and not interrupt else reclaims)


@dataclass(frozen=True)
class Asks:
    """What a request may use: its order and highest zone, and what of the reserves its flags open.

    ``high`` halves the mark, ``harder`` takes a quarter of what is left, ``reserves`` keeps the HIGHATOMIC reserve
    from being subtracted, ``atomic_blocks`` opens its blocks, ``cma`` those of CMA; ``unlimited`` looks at no mark.
    ``quick``: order 0 passes above the whole mark, ``usable`` without the HIGHATOMIC reserve; ``unboosted``: it is
    tested again without the boost.  ``cpuset``: mems_allowed binds, ``hardwall`` with no exception; ``this_node``: one
    node's zones only; ``opened``: without __GFP_NOMEMALLOC, which keeps the reserves closed even for PF_MEMALLOC.
    """

    order: int
    highest: str
    high: bool = False
    harder: bool = False
    reserves: bool = False
    atomic_blocks: bool = False
    cma: bool = False
    unlimited: bool = False
    quick: bool = True
    usable: bool = True
    unboosted: bool = False
    cpuset: bool = True
    hardwall: bool = False
    this_node: bool = False
    opened: bool = True


def has(change: Change, release: tuple[int, ...]) -> bool:
    """Return whether a release (major, minor, point) has a change."""
    mainline, *stable = change
    return release[:2] >= mainline or any(release[:2] == it[:2] and release >= it for it in stable)


def releases_of(text: str | None, version: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the releases that a kernel may be: two where its point release cannot be told, the latest first.

    A vendor's 6.1.0-27-amd64 has the number of a stable series, and hides which point release it was built from.
    """
    found = _RELEASE.match(text or "")
    if found and (int(found[1]), int(found[2])) == version:
        point = int(found[3] or 0)
        if point or not found[4] or found[4].startswith("-rc"):
            return [(*version, point)]
    return [(*version, LATEST), (*version, 0)]


def asks_of(mask: int, table: Layout, order: int, zones: set[str], release: tuple[int, ...]) -> Asks:
    """Return what a mask of a release may use; ``zones`` are the names that the machine has."""

    def flag(name: str) -> bool:
        return bool(mask & table.bits.get(f"__GFP_{name}", 0))

    waits, opened, high = flag("DIRECT_RECLAIM"), not flag("NOMEMALLOC"), flag("HIGH")
    atomic = flag("ATOMIC") and not waits  # the slow path drops it from who waits
    by_high = has(BY_HIGH, release)
    deep = high and not waits if by_high else atomic
    unlimited = flag("MEMALLOC") and opened
    last_resort = has(LAST_RESORT, release) and not waits and opened
    return Asks(
        order,
        highest_zone(flag("DMA"), flag("DMA32"), flag("HIGHMEM"), flag("MOVABLE"), zones),
        high=high,
        harder=deep and opened,
        reserves=high or (not waits and opened) if by_high else deep and opened,
        atomic_blocks=deep and opened if order else last_resort,
        cma=flag("MOVABLE") and not flag("RECLAIMABLE"),
        unlimited=unlimited,
        quick=has(QUICK, release),
        usable=has(QUICK_USABLE, release),
        unboosted=has(UNBOOSTED, release) and (high if has(UNBOOSTED_BY_HIGH, release) else atomic),
        cpuset=not deep and not unlimited,
        hardwall=flag("HARDWALL"),
        this_node=flag("THISNODE"),
        opened=opened,
    )


def without_limits(asks: Asks) -> Asks:
    """Return the request of a task with PF_MEMALLOC, which no mark and no cpuset stops."""
    return replace(asks, unlimited=True, cpuset=False)


def atomic_mask(mask: int, table: Layout) -> int:
    """Return a mask made one that cannot wait and may use all that GFP_ATOMIC may."""
    bits = table.bits
    deep = bits["__GFP_HIGH"] | bits.get("__GFP_ATOMIC", 0)
    return (mask | deep) & ~(bits.get("__GFP_DIRECT_RECLAIM", 0) | bits.get("__GFP_NOMEMALLOC", 0))


def highest_zone(dma: bool, dma32: bool, highmem: bool, movable: bool, zones: set[str]) -> str:
    """Return the highest zone that a mask allows on a machine with these zones.

    Models: include/linux/gfp.h:gfp_zone (v5.8); of a kernel built without a zone a request for it is one for Normal.
    """
    if highmem and movable:
        return "Movable"
    if highmem and "HighMem" in zones:
        return "HighMem"
    if dma32 and "DMA32" in zones:
        return "DMA32"
    return "DMA" if dma and "DMA" in zones else "Normal"
