"""The public object: a booted machine whose allocator can be called, looked at and checked."""

from __future__ import annotations

import mmap
from threading import RLock
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import GeometryError, InputError, MisuseError
from gfpmodel.gfp import Layout, encode, layout
from gfpmodel.mm import gates, jit
from gfpmodel.mm import state as st
from gfpmodel.mm.checks import FAULTS
from gfpmodel.mm.events import ALL_KINDS, FIRST_OP, Event, Ring
from gfpmodel.mm.gates import locked
from gfpmodel.mm.kernels import FIRST, Rules, check_machine, rules_of
from gfpmodel.mm.later import LaterOperations
from gfpmodel.mm.mmzone import Machine, Sizes
from gfpmodel.mm.ops import (
    LATER_KINDS,
    MAX_OP_CPU,
    MAX_OP_ORDER,
    OP_BULK,
    OP_DECAY,
    OP_FREE_NOLOCK,
    OP_FREE_NOLOCK_HANDLE,
    OP_SET_BOOST,
    OP_UNRESERVE,
    OP_ZONE_FLAG,
    ZONE_OF_MASK,
    Results,
    check_mask,
    op_word,
    slots_of,
)
from gfpmodel.mm.page_alloc import GFP_MOVABLE_SHIFT
from gfpmodel.mm.picture import picture
from gfpmodel.mm.rules import ORDINARY, Rule
from gfpmodel.mm.run import (
    NO_RESULT,
    OP_ALLOC,
    OP_ARG_SHIFT,
    OP_CPU_SHIFT,
    OP_DRAIN,
    OP_FREE,
    OP_FREE_HANDLE,
    OP_ORDER_SHIFT,
)
from gfpmodel.mm.snapshot import PcpState, Snapshot, ZoneState, check_sizes, check_snapshot
from gfpmodel.mm.state import Mm
from gfpmodel.mm.v6_18.run import ARGUMENT_MASK, ARGUMENT_ORDER_SHIFT

ALIGNMENT = 1 << (st.MAX_ORDER - 1)  # of the rows: that of the largest block
BIG_MACHINE = 1 << 25  # rows: 320 MiB


class PageAllocator(LaterOperations):
    """A machine after boot.

    Arguments: its description; the row of a proposal whose flag (or own function) is served by that row; how many
    events the ring holds (0: none are recorded) and which kinds; whose rules hold: v5.8-rc3's, or those of v6.18, v7.1
    or v7.3.  Masks may be numbers or names; names are those of the proposal's kernel, or of ``kernel`` without one.
    Threads may share it: one call runs at a time.
    Raises GeometryError, and InputError for what is no machine, row, ring or kernel.

    Models: mm/page_alloc.c (v5.8-rc3, v6.18, v7.1, v7.3) on one node; leaves out reclaim, compaction, OOM, kswapd's
    work, memcg.
    """

    def __init__(
        self,
        machine: Machine,
        proposal: Rule | None = None,
        events: int = 0,
        kinds: tuple[int, ...] = ALL_KINDS,
        kernel: str = FIRST,
    ) -> None:
        if not isinstance(machine, Machine) or not isinstance(proposal, Rule | None):
            raise InputError("expected a Machine, and a Rule or None")
        self.machine = machine
        self.proposal = proposal
        self.lock = RLock()  #: of this machine; whoever works on it in several calls may hold it
        self.rules: Rules = rules_of(kernel)
        check_machine(self.rules, machine)
        self.layout: Layout = layout(proposal.kernel if proposal else self.rules.name)
        self.sizes: Sizes = self.rules.boot_sizes(machine)
        first_page = round_up(st.AREAS_END + machine.cpus * st.MAX_NR_ZONES * self.rules.pcp_rows, ALIGNMENT)
        base = machine.start & ~(ALIGNMENT - 1)
        self._offset = base - first_page  # pfn of row 0; the rows of pages keep the alignment of their pfns
        self._first, self._end = first_page, round_up(machine.end, ALIGNMENT) - self._offset
        self._pages = zeroed(self._end, st.ROW, np.uint32)
        self._flags = zeroed(self._end, 1, np.uint16)
        self._zones = np.zeros(st.ZONE_WORDS * (st.MAX_NR_ZONES + 1), np.int64)
        self._blocks = np.zeros((self._end >> machine.pageblock_order) + 1, np.uint8)
        self._ring = Ring(events, kinds) if events else None
        ring = None if self._ring is None else self._ring.array
        self.arrays = Mm(self._pages, self._flags, self._zones, self._blocks, ring)  #: as the engine takes it
        self._engine = SimpleNamespace(**self.rules.entries)
        self._single = (np.zeros(1, np.int64), Results(np.zeros(1, np.uint32), np.zeros(1, np.uint16)))
        self._prepared: tuple[NDArray[np.int64], Results] | None = None
        self._position = 0  # the next operation of the run that was prepared
        self.ops_run = 0  #: operations since boot; events are numbered by it
        self._boot()

    # boot

    def _boot(self) -> None:
        """Build lists and counters, then release the memory in the kernel's order."""
        self._empty_lists()
        self._set_machine()
        for zone in self.machine.zones:
            self._set_zone(zone.index)
            order = self.machine.pageblock_order
            first = round_up(zone.start - self._offset, 1 << order) >> order
            self._blocks[first : (zone.end - 1 - self._offset >> order) + 1] = st.MIGRATE_MOVABLE
        for zone in self.machine.zones:
            for start, end in self.machine.usable(zone):
                self._engine.free_boot_range(self.arrays, zone.index, start - self._offset, end - self._offset)
        for start, end in self.machine.cma:
            order = self.machine.pageblock_order
            self._blocks[start - self._offset >> order : end - self._offset >> order] = st.MIGRATE_CMA
            zone_index = next(z.index for z in self.machine.zones if z.start <= start < z.end)
            self._engine.init_cma_reserved_pageblocks(self.arrays, zone_index, start - self._offset, end - self._offset)

    def _empty_lists(self) -> None:
        """Make every list empty and every count 0."""
        table = self._pages[: st.ROW * self._first].reshape(-1, st.ROW)
        table[:, st.NEXT] = table[:, st.PREV] = np.arange(self._first)
        cpus, rows = self.machine.cpus, self.rules.pcp_rows
        pcps = table[st.AREAS_END : st.AREAS_END + cpus * st.MAX_NR_ZONES * rows]
        words = pcps.reshape(cpus, st.MAX_NR_ZONES, rows * st.ROW)
        words[:, :, self.rules.pcp_lists * st.ROW :] = 0
        self._counts = words[:, :, st.COUNTS_ROW * st.ROW :]
        for zone in range(st.MAX_NR_ZONES):
            self._words(zone)[st.ORDERS : st.ORDERS + st.MIGRATE_TYPES_WRITTEN] = 0

    def _set_machine(self) -> None:
        """Fill in the words of the machine, the zonelist and the two request rules."""
        words = self._words(st.MACHINE)
        words[st.PAGEBLOCK_ORDER] = self.machine.pageblock_order
        words[st.TYPE_OF_REQUEST] = 0 if self.sizes.mobility_disabled else st.MIGRATE_PCPTYPES
        boosts = self.rules.boosts_kdump or not self.machine.kdump
        words[st.BOOST_FACTOR] = self.machine.watermark_boost_factor if boosts else 0
        words[st.THP], words[st.DEFRAG_MODE] = self.machine.thp, self.machine.defrag_mode
        words[st.ALLOWED] = self.layout.bits_mask
        words[st.CMA_ON] = self.machine.has_cma
        words[st.VERBATIM] = self.machine.slowpath == "verbatim"
        words[st.PFN_OFFSET], words[st.FIRST_PAGE], words[st.PAGES_END] = self._offset, self._first, self._end
        lower = -1
        for index in range(st.MAX_NR_ZONES):
            if index in self.sizes.zones:
                self._words(index)[st.NEXT_ZONE] = lower
                lower = index
            words[st.FIRST_ZONE + index] = lower
        for bits in range(16):
            words[st.HIGHEST_ZONE + bits] = ZONE_OF_MASK.get(bits, st.ZONE_DMA)
        for at, rule in enumerate((ORDINARY, self.proposal or ORDINARY)):
            numbers = rule.numbers()
            begin = st.RULES + at * st.RULE_WORDS
            words[begin : begin + len(numbers)] = numbers
        words[st.RULE_BIT] = self.proposal.flag if self.proposal else 0

    def _set_zone(self, index: int) -> None:
        """Fill in the words of a zone and the sizes of its pcp lists."""
        sizes, words = self.sizes.zones[index], self._words(index)
        words[st.ZONE_START] = sizes.zone.start - self._offset
        words[st.ZONE_END] = sizes.zone.end - self._offset
        words[st.UNSEEN] = sizes.zone.spanned - sizes.managed
        words[st.WMARK : st.WMARK + 3] = sizes.wmark
        words[st.RESERVE : st.RESERVE + st.MAX_NR_ZONES] = sizes.lowmem_reserve
        if self.rules.later:
            lists = PcpState(0, 0, sizes.batch, 0, 0, sizes.pcp_flags, sizes.high_min, sizes.high_max)
            for cpu in range(self.machine.cpus):
                self._set_pcp(cpu, index, lists)
        else:
            self._counts[:, index, st.HIGH] = sizes.high
            self._counts[:, index, st.BATCH] = sizes.batch

    def _words(self, zone: int) -> NDArray[np.int64]:
        return self._zones[zone * st.ZONE_WORDS : (zone + 1) * st.ZONE_WORDS]

    # one operation at a time

    @locked
    def alloc_pages(self, gfp: int | str = "GFP_KERNEL", order: int = 0, cpu: int = 0) -> int | None:
        """Allocate 2**order pages on a cpu; returns the first pfn, or None where the kernel returns NULL.

        Raises InputError for a mask that asks for two zones or two migratetypes, MisuseError for an unknown cpu.
        """
        mask = encode(gfp, self.layout) if isinstance(gfp, str) else gates.whole(gfp, "mask", InputError)
        order, cpu = gates.whole(order, "order"), gates.cpu(cpu, self.machine.cpus)
        if order < 0:
            raise MisuseError(f"order {gates.shown(order)}; expected 0 to {st.MAX_ORDER - 1}")
        check_mask(mask, self._flag)
        pfn = self._run_one(op_word(OP_ALLOC, cpu, min(order, MAX_OP_ORDER), mask))
        return None if pfn == NO_RESULT else pfn

    @locked
    def free_pages(self, pfn: int, order: int = 0, cpu: int = 0) -> None:
        """Free 2**order pages on a cpu; raises MisuseError for anything but a whole allocated block."""
        pfn, order, cpu = gates.whole(pfn, "pfn"), gates.whole(order, "order"), gates.cpu(cpu, self.machine.cpus)
        if not 0 <= pfn < NO_RESULT or not 0 <= order < st.MAX_ORDER:
            raise self._misuse(pfn, order)
        self._run_one(op_word(OP_FREE, cpu, order, pfn))

    @locked
    def drain(self, cpu: int | None = None) -> None:
        """Give the pages of a cpu's lists back to the buddy lists; without a cpu, of all cpus in turn."""
        for one in range(self.machine.cpus) if cpu is None else (gates.cpu(cpu, self.machine.cpus),):
            self._run_one(op_word(OP_DRAIN, one, 0, 0))

    def _run_one(self, word: int) -> int:
        """Run one operation that was checked; returns its pfn if it is an allocation.  Raises MisuseError."""
        ops, results = self._single
        ops[0] = word
        self._begin_run(None)
        if not self._run(ops, results, 0, 1, lru_movable=False):
            raise self._explain(ops, results, 0)
        return int(results.pfns[0])

    @property
    def _flag(self) -> int:
        return self.proposal.flag if self.proposal else 0

    # many operations

    @locked
    def run(self, ops: NDArray[np.int64], lru_movable: bool = False) -> Results:
        """Run packed operations (pack_ops) in compiled code; returns their results.

        ``lru_movable``: the caller puts every __GFP_MOVABLE block on an LRU list, so that stealing counts it.
        Raises MisuseError at an operation that is misuse, before it is run; those before it have been run.
        """
        results = self.prepare(ops)
        count = len(results.irq_off)
        stopped = self.resume(results, 0, count, lru_movable=lru_movable)
        if stopped < count:
            raise self.explain(results, stopped)
        return results

    @locked
    def prepare(self, ops: NDArray[np.int64]) -> Results:
        """Check the cpus, masks and handles of packed operations, keep a copy, and return room for their results."""
        ops = np.atleast_1d(gates.column(ops, "an operation's word", -(1 << 63), (1 << 63) - 1))
        kinds = ops & 3
        allocations, slots = kinds == OP_ALLOC, slots_of(ops, self.rules.later)
        if len(ops):
            gates.cpu(int((ops >> OP_CPU_SHIFT & MAX_OP_CPU).max()), self.machine.cpus)
        arguments = ops >> OP_ARG_SHIFT
        for mask in np.unique(arguments[allocations]).tolist():
            check_mask(mask, self._flag)
        self._check_later(ops, arguments)
        handles = kinds == OP_FREE_HANDLE
        handles |= ops & 0xFF == OP_FREE_NOLOCK_HANDLE
        given = np.where(kinds == OP_FREE_HANDLE, arguments, arguments & ARGUMENT_MASK)
        unknown = handles & ((arguments < 0) | (given >= np.cumsum(slots)))
        if unknown.any():
            at = int(np.argmax(unknown))
            why = "which comes later" if arguments[at] >= 0 else "but they count from 0"
            raise MisuseError(f"operation {at} frees the result of allocation {given[at]}, {why}")
        results = Results(np.zeros(int(slots.sum()), np.uint32), np.zeros(len(ops), np.uint16))
        self._begin_run((ops, results))
        return results

    def _check_later(self, ops: NDArray[np.int64], arguments: NDArray[np.int64]) -> None:
        """Check the zones and masks of operations that only later kernels have."""
        for at in np.flatnonzero(np.isin(ops & 0xFF, LATER_KINDS)).tolist() if self.rules.later else ():
            kind, argument = int(ops[at]) & 0xFF, int(arguments[at])
            if kind in (OP_BULK, OP_UNRESERVE):
                check_mask(argument & ARGUMENT_MASK)
            if kind in (OP_DECAY, OP_ZONE_FLAG):
                self._zone(argument & 3)
            if kind == OP_SET_BOOST:
                self._zone(argument >> ARGUMENT_ORDER_SHIFT)

    def _begin_run(self, prepared: tuple[NDArray[np.int64], Results] | None) -> None:
        """Let results begin at 0 again, and events be numbered from here."""
        self._prepared, self._position = prepared, 0
        self._words(st.MACHINE)[st.LAST_RESULT] = 0
        if self._ring is not None:
            self._ring.array[FIRST_OP] = self.ops_run

    @locked
    def resume(self, results: Results, start: int, stop: int, lru_movable: bool = False) -> int:
        """Run the prepared operations ``start`` to ``stop``; returns the number of the first misuse, or ``stop``.

        Argument: what prepare() returned.  Raises MisuseError if the machine has done anything else since, or for
        operations that have been run.
        """
        ops = self._operations(results)
        start = gates.within(start, "start", self._position, len(ops))
        stop = gates.within(stop, "stop", start, len(ops))
        self._position = self._run(ops, results, start, stop, lru_movable)
        return self._position

    def _operations(self, results: Results) -> NDArray[np.int64]:
        if self._prepared is None or self._prepared[1] is not results:
            raise MisuseError("no results of the last prepare(); the machine has run something else since")
        return self._prepared[0]

    def _run(self, ops: NDArray[np.int64], results: Results, start: int, stop: int, lru_movable: bool) -> int:
        """Run operations that were checked."""
        jit.expect("mm", stop - start)
        self._words(st.MACHINE)[st.LRU_MASK] = bool(lru_movable) << GFP_MOVABLE_SHIFT
        columns = (ops, results.pfns, results.irq_off)
        stopped = int(self._engine.run_ops(self.arrays, *columns, start, stop))
        self.ops_run += stopped - start
        return stopped

    @locked
    def explain(self, results: Results, number: int) -> MisuseError:
        """Return the error for the operation at which a run stopped."""
        ops = self._operations(results)
        return self._explain(ops, results, gates.within(number, "operation", 0, len(ops) - 1))

    def _explain(self, ops: NDArray[np.int64], results: Results, number: int) -> MisuseError:
        word = int(ops[number])
        argument, order, kind = word >> OP_ARG_SHIFT, word >> OP_ORDER_SHIFT & MAX_OP_ORDER, word & 3
        if word & 0xFF in (OP_FREE_NOLOCK, OP_FREE_NOLOCK_HANDLE):
            argument, order = argument & ARGUMENT_MASK, argument >> ARGUMENT_ORDER_SHIFT
            kind = OP_FREE_HANDLE if word & 0xFF == OP_FREE_NOLOCK_HANDLE else OP_FREE
        pfn = int(results.pfns[argument]) if kind == OP_FREE_HANDLE else argument
        error = self._misuse(pfn, order)
        return error if len(ops) == 1 else MisuseError(f"operation {number}: {error.message}")

    # misuse

    def _misuse(self, pfn: int, order: int) -> MisuseError:
        """Return the error for freeing what is no allocated block of this order."""
        return MisuseError(f"free of pfn {gates.shown(pfn)}, order {gates.shown(order)}: {self._why_not(pfn, order)}")

    def _why_not(self, pfn: int, order: int) -> str:
        if not 0 <= order < st.MAX_ORDER:
            return f"there is no such order; expected 0 to {st.MAX_ORDER - 1}"
        if not self._in_a_zone(pfn):
            return "the pfn is in no zone"
        state, found = self._state(pfn)
        reasons = {
            st.IN_USE: f"the block was allocated with order {found}",
            st.ON_PCP: "it is free already, on a pcp list (double free)",
            st.FREE_BUDDY: f"it is free already, a free block of order {found} (double free)",
        }
        return reasons.get(state) or self._where(pfn)

    def _where(self, pfn: int) -> str:
        """Say what a page is at which no block begins."""
        for order in range(1, st.MAX_ORDER):
            head = pfn & ~((1 << order) - 1)
            state, found = self._state(head) if head - self._offset >= self._first else (0, 0)
            if state and head + (1 << found) > pfn:
                what = "an allocated block" if state == st.IN_USE else "a free block"
                return f"it is in the middle of {what}, pfn {head} of order {found}"
        return "the page was never given to the allocator"

    def _in_a_zone(self, pfn: int) -> bool:
        return any(zone.start <= pfn < zone.end for zone in self.machine.zones)

    def _pfn(self, pfn: int) -> int:
        """Return a pfn that a zone spans; raises MisuseError for any other."""
        pfn = gates.whole(pfn, "pfn")
        if not self._in_a_zone(pfn):
            raise MisuseError(f"pfn {gates.shown(pfn)} is in no zone")
        return pfn

    @locked
    def page_state(self, pfn: int) -> tuple[int, int]:
        """Return the state (IN_USE, ON_PCP, FREE_BUDDY or 0) and the order that begins at a pfn of a zone."""
        return self._state(self._pfn(pfn))

    def _state(self, pfn: int) -> tuple[int, int]:
        flags = int(self._flags[pfn - self._offset])
        return flags & st.STATE_MASK, flags & st.ORDER_MASK

    # looking

    @locked
    def events(self, clear: bool = True) -> list[Event]:
        """Return the events in the ring, oldest first, and empty it."""
        if self._ring is None:
            return []
        found = list(self._ring)
        if clear:
            self._ring.clear()
        return found

    @property
    def ring(self) -> Ring | None:
        """Return the ring of events, or None if none are recorded."""
        return self._ring

    @property
    def nbytes(self) -> int:
        """Return the size of the arrays, the ring excepted; what boot does not touch takes no memory yet."""
        return sum(array.nbytes for array in self.arrays[:-1])

    def _zone(self, zone: int) -> int:
        return gates.zone(zone, self.sizes.zones)

    def nr_free(self, zone: int) -> int:
        """Return NR_FREE_PAGES of a zone; pages on pcp lists are not in it."""
        return int(self._words(self._zone(zone))[st.NR_FREE])

    @locked
    def counters(self, zone: int) -> dict[str, int]:
        """Return a zone's counters by name."""
        words = self._words(self._zone(zone))
        return {
            "free": int(words[st.NR_FREE]),
            "free_cma": int(words[st.NR_FREE_CMA]),
            "boost": int(words[st.BOOST]),
            "nr_reserved_highatomic": int(words[st.NR_HIGHATOMIC]),
            "flags": int(words[st.ZONE_FLAGS]),
            **({"free_highatomic": int(words[st.NR_FREE_HIGHATOMIC])} if self.rules.later else {}),
        }

    @locked
    def watermark_ok(self, zone: int, order: int, mark: int, highest: int, alloc_flags: int = 0) -> bool:
        """Return whether a zone is above a watermark (ALLOC_WMARK_MIN, LOW or HIGH) for a request from ``highest``."""
        zone, order = self._zone(zone), gates.order(order)
        mark, highest = gates.within(mark, "mark", 0, 2), gates.within(highest, "highest", 0, st.MAX_NR_ZONES - 1)
        alloc_flags = gates.within(alloc_flags, "alloc_flags", 0, (1 << 32) - 1)
        words = self._words(zone)
        pages = int(words[st.WMARK + mark] + words[st.BOOST])
        free = int(words[st.NR_FREE])
        return bool(self._engine.zone_watermark_ok(self.arrays, zone, order, pages, highest, alloc_flags, free))

    def pcp_count(self, cpu: int, zone: int) -> int:
        """Return how many pages a cpu's lists hold in a zone."""
        cpu, zone = gates.cpu(cpu, self.machine.cpus), self._zone(zone)
        return self.pcp_state(cpu, zone).pages if self.rules.later else int(self._counts[cpu, zone, st.COUNT])

    def migratetype(self, pfn: int) -> int:
        """Return the type of the pageblock that a pfn of a zone lies in."""
        return int(self._blocks[self._pfn(pfn) - self._offset >> self.machine.pageblock_order])

    def contend(self, zone: int, held: bool) -> None:
        """Say whether another cpu holds a zone's lock now: a trylock fails then."""
        self._words(self._zone(zone))[st.CONTENDED] = bool(held)

    def _list(self, head: int) -> NDArray[np.int64]:
        """Return the pfns on a list, head to tail."""
        out = np.empty(self._engine.count_list(self.arrays, head), np.int64)
        self._engine.list_pages(self.arrays, head, out)
        return out + self._offset

    @locked
    def free_list(self, zone: int, order: int, migratetype: int) -> NDArray[np.int64]:
        """Return the first pfns of the blocks on a free list, head to tail."""
        zone, order = self._zone(zone), gates.order(order)
        migratetype = gates.within(migratetype, "migratetype", 0, st.MIGRATE_TYPES_WRITTEN - 1)
        return self._list((zone * st.MAX_ORDER + order) * st.AREA_ROWS + migratetype)

    @locked
    def pcp_list(self, cpu: int, zone: int, migratetype: int) -> NDArray[np.int64]:
        """Return the pfns on a pcp list, head to tail.

        From v6.18 on a list's number is its migratetype + 3 * order, 12 and 13 for a huge page's order.
        """
        cpu, zone = gates.cpu(cpu, self.machine.cpus), self._zone(zone)
        migratetype = gates.within(migratetype, "migratetype", 0, self.rules.pcp_lists - 1)
        return self._list(st.AREAS_END + (cpu * st.MAX_NR_ZONES + zone) * self.rules.pcp_rows + migratetype)

    def block_types(self, zone: int) -> NDArray[np.uint8]:
        """Return the types of a zone's pageblocks, the partial ones at its ends included."""
        return self._block_types(self._zone(zone)).copy()

    def _block_types(self, zone: int) -> NDArray[np.uint8]:
        sizes, order = self.sizes.zones[zone], self.machine.pageblock_order
        first, last = (pfn - self._offset >> order for pfn in (sizes.zone.start, sizes.zone.end - 1))
        return self._blocks[first : last + 1]

    @locked
    def zone_state(self, index: int) -> ZoneState:
        """Return one zone as it is now."""
        index = self._zone(index)
        cpus = range(self.machine.cpus)
        pcp = tuple(
            tuple(tuple(self.pcp_list(cpu, index, t).tolist()) for t in range(self.rules.pcp_lists)) for cpu in cpus
        )
        counters: dict[str, Any] = self.counters(index)
        return ZoneState(
            index=index,
            **counters,
            free_lists=tuple(
                tuple(tuple(self.free_list(index, order, t).tolist()) for t in range(len(st.MIGRATE_NAMES)))
                for order in range(st.MAX_ORDER)
            ),
            pcp_count=tuple(self.pcp_count(cpu, index) for cpu in cpus),
            pcp_lists=pcp,
            cached=tuple(tuple(tuple(map(self._cached_type, one)) for one in lists) for lists in pcp),
            blocks=tuple(self.block_types(index).tolist()),
            **self._more_state(index),
        )

    def _cached_type(self, pfn: int) -> int:
        return int(self._flags[pfn - self._offset]) >> st.TYPE_SHIFT & 7

    @locked
    def snapshot(self) -> Snapshot:
        """Return all that can be seen: equal snapshots mean that nothing changed."""
        flags = self._flags[self._first :]
        rows = np.flatnonzero(flags & st.STATE_MASK == st.IN_USE)
        orders = flags[rows] & st.ORDER_MASK
        pfns = rows + self._first + self._offset
        return Snapshot(
            tuple(self.zone_state(index) for index in self.sizes.zones),
            tuple(zip(pfns.tolist(), orders.tolist(), strict=True)),
        )

    @locked
    def check(self) -> None:
        """Check every invariant of the state; raises AssertionError that says which one does not hold, and where."""
        for index, sizes in self.sizes.zones.items():
            fault, page = self._engine.check_zone(self.arrays, index, self.machine.cpus, sizes.managed)
            if fault:
                where = f", pfn {page + self._offset}" if page >= self._first else ""
                raise AssertionError(f"zone {sizes.zone.name}{where}: {FAULTS[fault]}")

    @locked
    def restore(self, snapshot: Snapshot, sizes: Sizes | None = None) -> None:
        """Bring the lists, counters and block types into the state of a snapshot, of this machine or of a real one.

        ``sizes`` replaces what boot computed: a kernel's own watermarks, reserves and pcp sizes.  Blocks that are
        neither free nor in ``snapshot.in_use`` stay out of reach: freeing one is misuse.
        Raises MisuseError, and changes nothing, for a snapshot or sizes of another machine.
        """
        check_snapshot(snapshot, self.machine, self.rules.pcp_lists)
        if sizes is not None:
            check_sizes(sizes, self.machine)
        self._prepared = None
        self.sizes = sizes or self.sizes
        self._empty_lists()
        self._flags[self._first :] = 0
        for zone in snapshot.zones:
            self._set_zone(zone.index)
            self._restore_zone(zone)
        for pfn, order in snapshot.in_use:
            index = next(z.index for z in self.machine.zones if z.start <= pfn < z.end)
            self._flags[pfn - self._offset] = st.IN_USE | order | index << st.ZONE_SHIFT
            self._words(index)[st.UNSEEN] -= 1 << order

    def _restore_zone(self, zone: ZoneState) -> None:
        words = self._words(zone.index)
        words[[st.NR_FREE, st.NR_FREE_CMA, st.BOOST]] = zone.free, zone.free_cma, zone.boost
        words[[st.NR_HIGHATOMIC, st.ZONE_FLAGS]] = zone.nr_reserved_highatomic, zone.flags
        words[st.MANAGED] = self.sizes.zones[zone.index].managed
        self._block_types(zone.index)[:] = zone.blocks
        for order, lists in enumerate(zone.free_lists):
            for t, pfns in enumerate(lists):
                self._engine.fill_free_list(self.arrays, zone.index, order, t, self._rows(pfns))
        for cpu, lists in enumerate(zone.pcp_lists):
            for t, pfns in enumerate(lists):
                cached = np.array(zone.cached[cpu][t], np.int64)
                self._engine.fill_pcp_list(self.arrays, zone.index, cpu, t, self._rows(pfns), cached)
        if self.rules.later:
            self._restore_more(zone)
        words[st.UNSEEN] = self.sizes.zones[zone.index].zone.spanned - zone.free - sum(zone.pcp_count)
        words[st.UNSEEN] -= sum(1 << order for _, order in zone.deferred)

    def _rows(self, pfns: tuple[int, ...]) -> Any:
        return np.array(pfns, np.int64) - self._offset

    @locked
    def __repr__(self) -> str:
        proposal = f", {self.proposal.name}" if self.proposal else ""
        title = f"PageAllocator of {self.layout.kernel}{proposal}: {self.machine.cpus} cpu(s)"
        return picture(
            title, self.sizes, [self.zone_state(index) for index in self.sizes.zones], bool(self.machine.cma)
        )


def zeroed(rows: int, words: int, dtype: type[np.generic]) -> NDArray[Any]:
    """Return an array with so many words for each row, all zero; raises GeometryError if there is no memory for it.

    Those of a big machine are kept out of huge pages: boot writes one row in 1024, so most of the memory need not
    exist until it is used.
    """
    size = rows * words * np.dtype(dtype).itemsize
    try:
        if rows < BIG_MACHINE or not hasattr(mmap, "MADV_NOHUGEPAGE"):
            return np.zeros(rows * words, dtype)
        memory = mmap.mmap(-1, size)
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        return np.frombuffer(memory, dtype)
    except (MemoryError, OSError):
        raise GeometryError(f"no memory for {rows} rows: {size} bytes") from None


def round_up(number: int, step: int) -> int:
    """Return the next multiple of a power of two."""
    return -(-number // step) * step
