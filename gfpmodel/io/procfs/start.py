"""The model's allocator in the state that /proc files count: free blocks laid into each zone."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from gfpmodel.errors import InputError
from gfpmodel.io.procfs.geometry import machine_of, misfits, page_size
from gfpmodel.io.procfs.zone import Proc, ZoneInfo
from gfpmodel.mm import Machine, PageAllocator, Snapshot, Zone, ZoneState
from gfpmodel.mm.mmzone import Sizes, is_pcp
from gfpmodel.mm.rules import Rule
from gfpmodel.mm.state import MAX_ORDER, MIGRATE_CMA, MIGRATE_MOVABLE, MIGRATE_NAMES, MIGRATE_PCPTYPES, ZONE_NAMES

MOST_PAGES = 1 << 26  #: 256 GiB: what a model started from a file may span, as each page takes 16 bytes


def start(proc: Proc, proposal: Rule | None = None, node: int | None = None, events: int = 0) -> PageAllocator:
    """Return an allocator in the state that the files give, as far as they give it (see unknown).

    Raises InputError, also for a machine that the model cannot be: for misfits.
    """
    machine, sizes, snapshot = laid_out(proc, node)
    allocator = PageAllocator(machine, proposal, events)
    if snapshot is not None:
        allocator.restore(snapshot, sizes)
    return allocator


def laid_out(proc: Proc, node: int | None = None, cpus: int | None = None) -> tuple[Machine, Sizes, Snapshot | None]:
    """Return a node as the model's machine, the kernel's own sizes, and its free blocks; None if those are not counted.

    Arguments: what was read; the node (default: the first with memory); how many CPUs, if not as many as the files
    have.  Raises InputError, also for a machine that the model cannot be: for misfits.
    """
    node = proc.nodes()[0] if node is None else node
    if reasons := misfits(proc, node, page_size(proc)):
        raise InputError(f"node {node} cannot be run: {'; '.join(reasons)}")
    machine, sizes = machine_of(proc, node)
    machine = replace(machine, cpus=machine.cpus if cpus is None else cpus)
    if (span := machine.zones[-1].end - machine.zones[0].start) > MOST_PAGES:
        raise InputError(f"the zones span {span} pages; a model of at most {MOST_PAGES} is started")
    for own in sizes.zones.values():
        if not is_pcp(own.batch, own.high):
            raise InputError(f"zone {own.zone.name}: high {own.high}, batch {own.batch}: no pcp of v5.8")
    infos = {index: proc.zones[node, ZONE_NAMES[index]] for index in sizes.zones}
    if any(z.free_counts() is None for z in infos.values()):
        return machine, sizes, None
    return machine, sizes, Snapshot(tuple(zone_state(index, z, machine) for index, z in infos.items()), ())


def page_cache(proc: Proc, node: int | None = None) -> int | None:
    """Return how many pages of a node are page cache, as its zones count them (active and inactive file pages).

    None where they are not counted.
    """
    node = proc.nodes()[0] if node is None else node
    found = []
    for zone in proc.populated(node):
        for kind in ("active_file", "inactive_file"):
            names = (f"nr_zone_{kind}", f"nr_{kind}", kind)  # of a zone since v4.8, before, and in a report
            found.append(next((zone.fields[name] for name in names if name in zone.fields), None))
    return None if None in found else sum(n for n in found if n is not None)


def buddy_holes(start: int, end: int) -> list[tuple[int, int]]:
    """Return a range as aligned blocks (first pfn, order), the largest that fit, ascending."""
    holes = []
    while start < end:
        order = min(
            MAX_ORDER - 1, (start & -start).bit_length() - 1 if start else MAX_ORDER, (end - start).bit_length() - 1
        )
        holes.append((start, order))
        start += 1 << order
    return holes


class Holes:
    """What is left of a zone while blocks of one order after another are laid into it."""

    def __init__(self, zone: Zone) -> None:
        self.serial = count()
        self.left: list[list[tuple[int, int]]] = [[] for _ in range(MAX_ORDER)]
        for start, size in buddy_holes(zone.start, zone.end):
            self.left[size].append((next(self.serial), start))
        self.passed: list[list[tuple[int, int]]] = [[] for _ in range(MAX_ORDER)]
        self.begin()

    def begin(self) -> None:
        """Begin with another order: a hole that no block of the last one could take is one again, in its place."""
        for size, passed in enumerate(self.passed):
            self.left[size] = sorted(self.left[size] + passed)
        self.passed = [[] for _ in range(MAX_ORDER)]
        self.taken: set[int] = set()

    def take(self, order: int) -> int | None:
        """Take a block out of the last of the smallest holes that are large enough; None if there is none."""
        for size in range(order, MAX_ORDER):
            while self.left[size]:
                serial, start = self.left[size].pop()
                pfn = start + (1 << size) - (1 << order)
                if order < MAX_ORDER - 1 and pfn ^ (1 << order) in self.taken:
                    self.passed[size].append((serial, start))
                    continue
                self.taken.add(pfn)
                for left in range(order, size):
                    self.left[left].append((next(self.serial), start + (1 << size) - (2 << left)))
                return pfn
        return None


def lay_out(info: ZoneInfo, zone: Zone, block_order: int) -> tuple[list[list[list[int]]], list[int]]:
    """Lay a zone's free blocks into it, largest first, each into the smallest hole that it fits and at its end.

    A block that would become the free buddy of one of its size takes another hole, as the two would have merged.
    Returns lists [order][type] and pageblock types (of the last block laid there).  Raises InputError.
    """
    first = zone.start >> block_order
    blocks = [MIGRATE_MOVABLE] * ((zone.end - 1 >> block_order) + 1 - first)
    lists: list[list[list[int]]] = [[[] for _ in MIGRATE_NAMES] for _ in range(MAX_ORDER)]
    holes = Holes(zone)
    for order in reversed(range(MAX_ORDER)):
        holes.begin()
        for t, by_order in (info.free_counts() or {}).items():
            if by_order[order] > zone.spanned:
                raise too_full(info, zone)
            for _ in range(by_order[order]):
                if (pfn := holes.take(order)) is None:
                    raise too_full(info, zone)
                lists[order][t].append(pfn)
                for block in range(pfn >> block_order, (pfn + (1 << order) - 1 >> block_order) + 1):
                    blocks[block - first] = t
    return lists, blocks


def too_full(info: ZoneInfo, zone: Zone) -> InputError:
    """Return the error for free blocks that a zone has no room for."""
    message = f"the free blocks of zone {info.name} cannot be laid into its {zone.spanned} pages"
    return InputError(message, info.file, info.line)


def zone_state(index: int, info: ZoneInfo, machine: Machine) -> ZoneState:
    """Return a zone with the free blocks that /proc counts, and empty pcp lists; raises InputError."""
    zone = next(z for z in machine.zones if z.index == index)
    lists, blocks = lay_out(info, zone, machine.pageblock_order)
    free = sum(len(pfns) << order for order, of_order in enumerate(lists) for pfns in of_order)
    none = tuple(((),) * MIGRATE_PCPTYPES for _ in range(machine.cpus))
    return ZoneState(
        index=index,
        free=free,
        free_cma=sum(len(of_order[MIGRATE_CMA]) << order for order, of_order in enumerate(lists)),
        boost=info.fields.get("boost", 0),
        nr_reserved_highatomic=info.fields.get("reserved_highatomic", 0),
        flags=0,
        free_lists=tuple(tuple(map(tuple, of_order)) for of_order in lists),
        pcp_count=(0,) * machine.cpus,
        pcp_lists=none,
        cached=none,
        blocks=tuple(blocks),
    )
