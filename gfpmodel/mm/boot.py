"""Booting a machine: the arrays of a kernel's allocator, empty lists, sizes, and the memory released in its order."""

from __future__ import annotations

import mmap
from threading import RLock
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import GeometryError, InputError
from gfpmodel.gfp import Layout, layout
from gfpmodel.mm import state as st
from gfpmodel.mm.events import ALL_KINDS, Ring
from gfpmodel.mm.kernels import FIRST, Rules, check_machine, rules_of
from gfpmodel.mm.mmzone import Machine, Sizes
from gfpmodel.mm.ops import ZONE_OF_MASK, Results
from gfpmodel.mm.rules import ORDINARY, Rule
from gfpmodel.mm.snapshot import PcpState, check_pcp_state
from gfpmodel.mm.state import Mm

ALIGNMENT = 1 << (st.MAX_ORDER - 1)  # of the rows: that of the largest block
BIG_MACHINE = 1 << 25  # rows: 320 MiB


class Booted:
    """A machine after boot, of which nothing is seen yet; arguments as those of PageAllocator."""

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
        self._zones = np.zeros(st.ZONE_WORDS * st.JUDGES + 2 * st.JUDGED, np.int64)
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
            held = int(not self.uses_lists)
            lists = PcpState(0, 0, sizes.batch, 0, 0, sizes.pcp_flags, sizes.high_min, sizes.high_max, held)
            for cpu in range(self.machine.cpus):
                self._set_pcp(cpu, index, lists)
        else:
            self._counts[:, index, st.HIGH] = sizes.high
            self._counts[:, index, st.BATCH] = sizes.batch

    @property
    def uses_lists(self) -> bool:
        """Return whether anybody gets the lock of the per-cpu lists: not on a UP kernel since v7.1."""
        return self.machine.smp or self.rules.up_lists

    def _words(self, zone: int) -> NDArray[np.int64]:
        return self._zones[zone * st.ZONE_WORDS : (zone + 1) * st.ZONE_WORDS]

    def _set_pcp(self, cpu: int, zone: int, state: PcpState) -> None:
        check_pcp_state(state, "the lists")
        self._engine.write_pcp(self.arrays, cpu, zone, np.array(state, np.int64))


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
