"""The public object: a booted machine whose allocator can be called, looked at and checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError, MisuseError
from gfpmodel.gfp import encode
from gfpmodel.mm import gates, jit
from gfpmodel.mm import state as st
from gfpmodel.mm.events import FIRST_OP
from gfpmodel.mm.gates import locked
from gfpmodel.mm.later import LaterOperations
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
    Results,
    check_mask,
    op_word,
    slots_of,
)
from gfpmodel.mm.page_alloc import GFP_MOVABLE_SHIFT
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
from gfpmodel.mm.v6_18.run import ARGUMENT_MASK, ARGUMENT_ORDER_SHIFT


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

    def contend(self, zone: int, held: bool) -> None:
        """Say whether another cpu holds a zone's lock now: a trylock fails then."""
        self._words(self._zone(zone))[st.CONTENDED] = bool(held)

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
        self._check_later(ops)
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

    def _check_later(self, ops: NDArray[np.int64]) -> None:
        """Check the zones and masks of operations that only later kernels have."""
        words = ops[np.isin(ops & 0xFF, LATER_KINDS)].tolist() if self.rules.later else []
        for word in dict.fromkeys(words):
            kind, argument = word & 0xFF, word >> OP_ARG_SHIFT
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
