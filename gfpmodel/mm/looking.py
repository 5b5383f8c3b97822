"""Looking at a machine: events, counters, lists, what a page is; its state as a whole, checked or brought back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import MisuseError
from gfpmodel.mm import gates
from gfpmodel.mm import state as st
from gfpmodel.mm.boot import Booted
from gfpmodel.mm.checks import FAULTS
from gfpmodel.mm.events import Event, Ring
from gfpmodel.mm.gates import locked
from gfpmodel.mm.kernels import ROWS
from gfpmodel.mm.mmzone import Sizes
from gfpmodel.mm.picture import picture
from gfpmodel.mm.snapshot import PcpState, Snapshot, ZoneState, check_sizes, check_snapshot


class Looking(Booted):
    """A machine that can be looked at."""

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

    def _has(self, what: str, *, bulk_free: bool = False) -> None:
        """Raise MisuseError unless this kernel has a call."""
        if not self.rules.later or (bulk_free and not self.rules.bulk_free):
            have = [name for name, row in ROWS.items() if (row.bulk_free if bulk_free else row.later)]
            raise MisuseError(f"{self.rules.name} has no {what}; {', '.join(have)} {'have' if have[1:] else 'has'}")

    @locked
    def pcp_state(self, cpu: int, zone: int) -> PcpState:
        """Return the words of a cpu's lists in a zone; raises MisuseError for an unknown one or an older kernel."""
        self._has("lists that tune themselves")
        out = np.zeros(len(PcpState._fields), np.int64)
        self._engine.read_pcp(self.arrays, gates.cpu(cpu, self.machine.cpus), self._zone(zone), out)
        return PcpState(*out.tolist())

    @locked
    def deferred(self, zone: int) -> list[tuple[int, int]]:
        """Return the (pfn, order) of what free_pages_nolock() left for others to free, the newest first."""
        self._has("deferred pages")
        pfns = self._list(self._zone(zone) * st.MAX_ORDER * st.AREA_ROWS + st.DEFERRED_ROW).tolist()
        return [(pfn, self.page_state(pfn)[1]) for pfn in pfns]

    # lists

    def _list(self, head: int) -> NDArray[np.int64]:
        """Return the pfns on a list, head to tail."""
        if self.arrays.pages[head * st.ROW + st.NEXT] == head:  # most are empty; a look costs less than two calls
            return np.zeros(0, np.int64)
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

    # pages, and why one cannot be freed

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

    # the whole state

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

    def _more_state(self, index: int) -> dict[str, Any]:
        """Return what a zone's state has besides from v6.18 on."""
        if not self.rules.later:
            return {}
        pcp = tuple(self.pcp_state(cpu, index) for cpu in range(self.machine.cpus))
        return {"pcp": pcp, "deferred": tuple(self.deferred(index))}

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

    def _restore_more(self, zone: ZoneState) -> None:
        """Bring what a zone's state has besides into that of a snapshot, its lists being filled."""
        self._words(zone.index)[st.NR_FREE_HIGHATOMIC] = zone.free_highatomic
        for cpu, state in enumerate(zone.pcp):
            self._set_pcp(cpu, zone.index, state)
        blocks = np.array(zone.deferred, np.int64).reshape(-1, 2)
        self._engine.fill_deferred(self.arrays, zone.index, blocks[:, 0] - self._offset, blocks[:, 1].copy())

    def _rows(self, pfns: tuple[int, ...]) -> Any:
        return np.array(pfns, np.int64) - self._offset

    @locked
    def __repr__(self) -> str:
        proposal = f", {self.proposal.name}" if self.proposal else ""
        title = f"PageAllocator of {self.layout.kernel}{proposal}: {self.machine.cpus} cpu(s)"
        return picture(
            title, self.sizes, [self.zone_state(index) for index in self.sizes.zones], bool(self.machine.cma)
        )
