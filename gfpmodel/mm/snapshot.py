"""A machine's state at one moment, to be compared, written out or restored."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import MisuseError
from gfpmodel.mm import gates
from gfpmodel.mm.mmzone import MAX_PCP, Machine, Sizes, Zone, is_pcp
from gfpmodel.mm.state import MAX_NR_ZONES, MAX_ORDER, MIGRATE_PCPTYPES, MIGRATE_TYPES_WRITTEN
from gfpmodel.mm.v6_18.pcp import PCP_BATCH_SCALE_MAX, pindex_to_order

MAX_COUNT = 1 << 40  #: of what a counter of pages may say


class PcpState(NamedTuple):
    """The words of a cpu's lists in a zone (pages), ``held`` if another holds their lock all the time."""

    pages: int
    high: int
    batch: int
    free_count: int
    alloc_factor: int
    flags: int
    high_min: int
    high_max: int
    held: int = 0


@dataclass(frozen=True)
class ZoneState:
    """A zone at one moment: counters, free lists [order][type], pcp lists [cpu][type], pageblock types.

    Lists hold first pfns, head to tail; ``cached`` has the cached migratetype of each page on a pcp list.  From v6.18
    on the pcp lists go by order and type, nothing is cached, and there are the free pages on HIGHATOMIC lists, the
    words of each cpu's lists, and the (pfn, order) that free_pages_nolock() left.
    """

    index: int
    free: int
    free_cma: int
    boost: int
    nr_reserved_highatomic: int
    flags: int
    free_lists: tuple[tuple[tuple[int, ...], ...], ...]
    pcp_count: tuple[int, ...]
    pcp_lists: tuple[tuple[tuple[int, ...], ...], ...]
    cached: tuple[tuple[tuple[int, ...], ...], ...]
    blocks: tuple[int, ...]
    free_highatomic: int = 0
    pcp: tuple[PcpState, ...] = ()
    deferred: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """All that can be seen of an allocator at one moment; two snapshots compare equal if nothing changed."""

    zones: tuple[ZoneState, ...]
    in_use: tuple[tuple[int, int], ...]  #: (pfn, order) of every allocated block

    def free_blocks(self) -> frozenset[tuple[int, int]]:
        """Return the (pfn, order) of every block on a free list."""
        return frozenset(
            (pfn, order)
            for zone in self.zones
            for order, lists in enumerate(zone.free_lists)
            for one in lists
            for pfn in one
        )


def check_snapshot(snapshot: Snapshot, machine: Machine, lists: int = MIGRATE_PCPTYPES) -> None:
    """Raise MisuseError unless a snapshot can be the state of a machine: every block in its zone, and in one place.

    ``lists``: how many per-cpu lists the kernel has.
    """
    if not isinstance(snapshot, Snapshot):
        raise MisuseError(f"{gates.shown(snapshot)} is no Snapshot")
    try:
        check_state(snapshot, machine, lists)
    except MisuseError:
        raise
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise MisuseError(f"the snapshot has something that is no list of numbers: {error}") from None


def check_state(snapshot: Snapshot, machine: Machine, lists: int) -> None:
    """Raise MisuseError, or what Python does for a wrong type, unless a snapshot can be the state of a machine."""
    zones = {zone.index: zone for zone in machine.zones}
    if sorted(state.index for state in snapshot.zones) != list(zones):
        raise MisuseError(f"the snapshot is of other zones; expected {', '.join(map(str, zones))}, each once")
    blocks = [check_zone_state(state, zones[state.index], machine, lists) for state in snapshot.zones]
    in_use = gates.column(list(chain.from_iterable(snapshot.in_use)), "in_use", 0, MAX_COUNT)
    if len(in_use) != 2 * len(snapshot.in_use):
        raise MisuseError("in_use: expected a pfn and an order for each block")
    blocks.append(check_blocks(in_use[::2], in_use[1::2], machine.zones, "in_use"))
    starts, ends = (np.concatenate(one) for one in zip(*blocks, strict=True))
    by_start = np.argsort(starts)
    twice = np.flatnonzero(ends[by_start][:-1] > starts[by_start][1:])
    if len(twice):
        raise MisuseError(f"pfn {starts[by_start][twice[0] + 1]} is in two blocks of the snapshot")


Blocks = tuple[NDArray[np.int64], NDArray[np.int64]]


def check_zone_state(state: ZoneState, zone: Zone, machine: Machine, lists: int) -> Blocks:
    """Raise MisuseError unless this can be a zone's state; returns where its free blocks begin and end."""
    where = f"zone {zone.name}"
    shapes = (
        ("free lists", state.free_lists, MAX_ORDER, MIGRATE_TYPES_WRITTEN),
        ("pcp lists", state.pcp_lists, machine.cpus, lists),
        ("cached types", state.cached, machine.cpus, lists),
    )
    for what, table, rows, columns in shapes:
        if len(table) != rows or any(len(row) != columns for row in table):
            raise MisuseError(f"{where}: the {what} are not those of {rows} x {columns} lists")
    for name in ("free", "free_cma", "boost", "nr_reserved_highatomic", "free_highatomic"):
        gates.within(getattr(state, name), f"{where}: {name}", 0, MAX_COUNT)
    later = lists > MIGRATE_PCPTYPES
    gates.within(state.flags, f"{where}: flags", 0, 7 if later else 1)
    pfns, lengths = gates.lists(chain.from_iterable(state.free_lists), where, zone.start, zone.end - 1)
    orders = np.repeat(np.repeat(np.arange(MAX_ORDER), MIGRATE_TYPES_WRITTEN), lengths)
    free = check_blocks(pfns, orders, (zone,), where)
    if int((1 << orders).sum()) != state.free:
        raise MisuseError(f"{where}: {state.free} pages are free, {int((1 << orders).sum())} on the lists")
    listed, lengths = gates.lists(chain.from_iterable(state.pcp_lists), where, zone.start, zone.end - 1)
    _, cached = gates.lists(chain.from_iterable(state.cached), f"{where}: a cached type", 0, MIGRATE_TYPES_WRITTEN - 1)
    list_orders = np.array([pindex_to_order(pindex) if later else 0 for pindex in range(lists)])
    counts = (np.reshape(lengths, (machine.cpus, lists)) << list_orders).sum(axis=1).tolist()
    if cached != lengths or list(state.pcp_count) != counts:
        raise MisuseError(f"{where}: the pcp lists, their counts and the cached types differ in length")
    order = machine.pageblock_order
    blocks = (zone.end - 1 >> order) - (zone.start >> order) + 1
    if len(gates.column(state.blocks, f"{where}: a pageblock's type", 0, MIGRATE_TYPES_WRITTEN - 1)) != blocks:
        raise MisuseError(f"{where}: {len(state.blocks)} pageblocks; expected {blocks}")
    on_lists = check_blocks(listed, np.repeat(np.tile(list_orders, machine.cpus), lengths), (zone,), where)
    waiting = gates.column(list(chain.from_iterable(state.deferred)), f"{where}: deferred", 0, MAX_COUNT)
    if len(waiting) != 2 * len(state.deferred) or len(state.pcp) != (machine.cpus if later else 0):
        raise MisuseError(f"{where}: the words of the lists or the deferred blocks are not those of this kernel")
    for one in state.pcp:
        check_pcp_state(one, f"{where}: the lists")
    deferred = check_blocks(waiting[::2], waiting[1::2], (zone,), where)
    return np.concatenate((free[0], on_lists[0], deferred[0])), np.concatenate((free[1], on_lists[1], deferred[1]))


def check_pcp_state(state: PcpState, where: str) -> None:
    """Raise MisuseError unless these can be the words of a cpu's lists."""
    tops = PcpState(MAX_PCP, MAX_PCP, MAX_PCP, 2 * MAX_PCP, PCP_BATCH_SCALE_MAX, 3, MAX_PCP, MAX_PCP, 1)
    if not isinstance(state, tuple) or len(state) != len(tops):
        raise MisuseError(f"{where}: {gates.shown(state)}; expected a PcpState")
    for name, value, top in zip(PcpState._fields, state, tops, strict=True):
        gates.within(value, f"{where}: {name}", int(name == "batch"), top)


def check_blocks(pfns: NDArray[np.int64], orders: NDArray[Any], zones: tuple[Zone, ...], where: str) -> Blocks:
    """Raise MisuseError unless each block is aligned and within a zone; returns where they begin and end."""
    if len(orders) and orders.max() >= MAX_ORDER:
        raise MisuseError(f"{where}: order {orders.max()}; expected 0 to {MAX_ORDER - 1}")
    ends = pfns + (1 << orders)
    fits = np.zeros(len(pfns), bool)
    for zone in zones:
        fits |= (pfns >= zone.start) & (ends <= zone.end)
    bad = np.flatnonzero(~fits | (pfns & (1 << orders) - 1 != 0))
    if len(bad):
        raise MisuseError(f"{where}: no block of order {orders[bad[0]]} can begin at pfn {pfns[bad[0]]}")
    return pfns, ends


def check_sizes(sizes: Sizes, machine: Machine) -> None:
    """Raise MisuseError unless sizes are those of a machine's zones."""
    expected = {zone.index: zone for zone in machine.zones}
    if not isinstance(sizes, Sizes) or {index: own.zone for index, own in sizes.zones.items()} != expected:
        raise MisuseError("the sizes are those of other zones")
    for own in sizes.zones.values():
        where = f"zone {own.zone.name}"
        gates.within(own.managed, f"{where}: managed", 0, MAX_COUNT)
        batch, high = (gates.within(n, f"{where}: pcp", 0, MAX_PCP) for n in (own.batch, own.high))
        if not own.high_max and not is_pcp(batch, high):  # lists that tune themselves have no high of their own
            raise MisuseError(f"{where}: high {high}, batch {batch}: no pcp of v5.8")
        for what, numbers, count in (("wmark", own.wmark, 3), ("lowmem_reserve", own.lowmem_reserve, MAX_NR_ZONES)):
            if gates.column(numbers, f"{where}: {what}", 0, 1 << 52).shape != (count,):
                raise MisuseError(f"{where}: {what} is {gates.shown(numbers)}; expected {count} numbers")
