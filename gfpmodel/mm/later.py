"""The calls that only later kernels have, as a part of PageAllocator: nolock, bulk, decay, reserves, busy locks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError, MisuseError
from gfpmodel.gfp import encode
from gfpmodel.mm import gates
from gfpmodel.mm import state as st
from gfpmodel.mm.events import FIRST_OP
from gfpmodel.mm.gates import locked
from gfpmodel.mm.looking import Looking
from gfpmodel.mm.ops import (
    MAX_AMOUNT,
    NO_RESULT,
    OP_AMOUNT,
    OP_BULK,
    OP_DECAY,
    OP_FREE_NOLOCK,
    OP_NOLOCK,
    OP_SET_BOOST,
    OP_UNRESERVE,
    OP_ZONE_FLAG,
    Results,
    busy_argument,
    check_mask,
    pack_ops,
)
from gfpmodel.mm.v6_18.mmzone import setup_per_zone_wmarks

ACCOUNT = 0x400000  #: __GFP_ACCOUNT, all that the caller of alloc_pages_nolock() may ask for
ZONE_FLAGS = 3  #: bits of zone->flags: BOOSTED_WATERMARK, RECLAIM_ACTIVE, BELOW_HIGH


def listed(values: Any) -> Any:
    """Return a column, or what can be walked through, as what gates.column() takes."""
    return list(values) if isinstance(values, set | frozenset | range | tuple) else values


class LaterOperations(Looking, ABC):
    """What a PageAllocator of v6.18 or later can do besides; one of v5.8 raises MisuseError for each of it."""

    @abstractmethod
    def run(self, ops: NDArray[np.int64]) -> Results:
        """Run packed operations."""

    def _word(self, kind: int, argument: int, cpu: int = 0, order: int = 0) -> list[int]:
        """Run one operation, and return its results."""
        return [int(pfn) for pfn in self.run(pack_ops(kind, cpu, order, argument)).pfns]

    def _mask(self, gfp: int | str) -> int:
        mask = encode(gfp, self.layout) if isinstance(gfp, str) else gates.whole(gfp, "mask", InputError)
        check_mask(mask)
        return mask

    # requests and frees

    @locked
    def alloc_pages_nolock(self, gfp: int | str = 0, order: int = 0, cpu: int = 0) -> int | None:
        """Allocate 2**order pages without waiting for a lock; returns the first pfn, or None.

        Raises InputError for a mask of more than __GFP_ACCOUNT, MisuseError for an unknown cpu or an older kernel.
        Models: mm/page_alloc.c:alloc_pages_nolock (v6.18).
        """
        self._has("alloc_pages_nolock()")
        mask = self._mask(gfp)
        if mask & ~ACCOUNT:
            raise InputError(f"mask {mask:#x}; alloc_pages_nolock() takes 0 or __GFP_ACCOUNT ({ACCOUNT:#x})")
        order = gates.within(order, "order", 0, st.MAX_ORDER - 1)
        (pfn,) = self._word(OP_NOLOCK, mask, gates.cpu(cpu, self.machine.cpus), order)
        return None if pfn == NO_RESULT else pfn

    @locked
    def free_pages_nolock(self, pfn: int, order: int = 0, cpu: int = 0) -> None:
        """Free 2**order pages without waiting for a lock; raises MisuseError as free_pages() does.

        Models: mm/page_alloc.c:free_pages_nolock (v6.18).
        """
        self._has("free_pages_nolock()")
        pfn, order, cpu = gates.whole(pfn, "pfn"), gates.whole(order, "order"), gates.cpu(cpu, self.machine.cpus)
        if not 0 <= pfn < NO_RESULT or not 0 <= order < st.MAX_ORDER:
            raise self._misuse(pfn, order)
        self._word(OP_FREE_NOLOCK, pfn, cpu, order)

    @locked
    def alloc_pages_bulk(self, gfp: int | str = "GFP_KERNEL", count: int = 1, cpu: int = 0) -> list[int]:
        """Allocate up to ``count`` single pages at once; returns their pfns.

        Raises InputError for a mask as alloc_pages() does, MisuseError for an unknown cpu, a count or an older kernel.
        Models: mm/page_alloc.c:alloc_pages_bulk_noprof (v6.18), for an empty array.
        """
        self._has("alloc_pages_bulk()")
        mask, cpu = self._mask(gfp), gates.cpu(cpu, self.machine.cpus)
        count = gates.within(count, "count", 1, MAX_AMOUNT)
        results = self.run(pack_ops(np.array([OP_AMOUNT, OP_BULK]), cpu, 0, np.array([count, mask])))
        return [int(pfn) for pfn in results.pfns if pfn != NO_RESULT]

    @locked
    def free_contig_range(self, pfn: int, count: int, cpu: int = 0, keep: Collection[int] = ()) -> None:
        """Free pages that follow each other, but not those of ``keep``, which somebody else still holds.

        Up to v7.1 they are freed one by one, from v7.2 on in blocks.  Raises MisuseError for pages that are not
        allocated, an unknown cpu or an older kernel.
        Models: mm/page_alloc.c:free_contig_range (v6.18) and __free_contig_range (v7.3).
        """
        self._has("free_contig_range()")
        pfn, count = gates.within(pfn, "pfn", 0, NO_RESULT - 1), gates.within(count, "count", 1, MAX_AMOUNT)
        kept = set(gates.column(listed(keep), "keep", 0, NO_RESULT - 1).reshape(-1).tolist())
        pages = range(pfn, pfn + count)
        self._free_rows([one for one in pages if one not in kept], cpu, [one for one in pages if one in kept])

    @locked
    def free_pages_bulk(self, pfns: Iterable[int], cpu: int = 0) -> None:
        """Free single pages in this order; those that follow each other are a range.

        Raises MisuseError for pages that are not allocated or named twice, an unknown cpu or an older kernel.
        Models: mm/page_alloc.c:free_pages_bulk (v7.3).
        """
        self._has("free_pages_bulk()", bulk_free=True)
        self._free_rows(gates.column(listed(pfns), "pfns", 0, NO_RESULT - 1).reshape(-1).tolist(), cpu)

    @locked
    def split_page(self, pfn: int) -> None:
        """Make single pages of the allocated block that a pfn lies in; raises MisuseError if it lies in none.

        Models: mm/page_alloc.c:split_page (v6.18).
        """
        self._has("split_page()")
        pfn = gates.within(pfn, "pfn", 0, NO_RESULT - 1)
        if not self._engine.split_block(self.arrays, pfn - self._offset):
            raise self._misuse(pfn, 0)
        self._prepared = None

    def _free_rows(self, pfns: list[int], cpu: int, kept: Sequence[int] = ()) -> None:
        """Free single pages, and make single pages of those that are kept."""
        cpu = gates.cpu(cpu, self.machine.cpus)
        if len(set(pfns)) < len(pfns):
            raise MisuseError("a pfn is freed twice in one call")
        pages = [*pfns, *kept]
        rows = np.array(pages, np.int64) - self._offset
        self._prepared = None
        if self._ring is not None:
            self._ring.array[FIRST_OP] = self.ops_run
        stopped = int(self._engine.free_pages_bulk(self.arrays, cpu, rows, len(pfns)))
        if stopped < len(pages):
            raise self._misuse(pages[stopped], 0)
        self.ops_run += 1

    # what others do

    @locked
    def decay_pcp_high(self, cpu: int, zone: int) -> bool:
        """Let a cpu's lists in a zone shrink, as the vmstat worker does each second; returns whether there is more.

        Raises MisuseError for an unknown cpu or zone, or an older kernel.
        Models: mm/page_alloc.c:decay_pcp_high (v6.18).
        """
        self._has("decay_pcp_high()")
        return bool(self._word(OP_DECAY, self._zone(zone), gates.cpu(cpu, self.machine.cpus))[0])

    @locked
    def unreserve_highatomic_pageblock(self, gfp: int | str = "GFP_KERNEL", *, force: bool = True) -> bool:
        """Give a HIGHATOMIC pageblock to the type of a request, as its direct reclaim would; returns whether it did.

        Raises InputError for a mask as alloc_pages() does, MisuseError for an older kernel.
        Models: mm/page_alloc.c:unreserve_highatomic_pageblock (v6.18).
        """
        self._has("unreserve_highatomic_pageblock() of its own")
        return bool(self._word(OP_UNRESERVE, self._mask(gfp), order=int(gates.within(force, "force", 0, 1)))[0])

    @locked
    def set_zone_flag(self, zone: int, bit: int, value: int) -> None:
        """Set or clear a bit of zone->flags: 0 BOOSTED_WATERMARK, 1 RECLAIM_ACTIVE, 2 BELOW_HIGH.

        Raises MisuseError for an unknown zone or bit, or an older kernel.
        """
        self._has("zone flags that others set")
        zone, bit = self._zone(zone), gates.within(bit, "bit", 0, ZONE_FLAGS - 1)
        self._word(OP_ZONE_FLAG, zone | bit << 2, order=gates.within(value, "value", 0, 1))

    @locked
    def set_boost(self, zone: int, pages: int) -> None:
        """Set a zone's watermark boost (pages), as kswapd does; raises MisuseError."""
        self._has("boost that others set")
        self._word(OP_SET_BOOST, gates.within(pages, "pages", 0, NO_RESULT), order=self._zone(zone))

    @locked
    def set_min_free_kbytes(self, kbytes: int) -> None:
        """Write vm.min_free_kbytes: watermarks and the sizes of the lists are computed anew, the boost is gone.

        Raises MisuseError for no such number or an older kernel.
        Models: mm/page_alloc.c:min_free_kbytes_sysctl_handler (v6.18).
        """
        self._has("written min_free_kbytes; give it to Machine")
        self.sizes.min_free_kbytes = gates.within(kbytes, "kbytes", 0, 1 << 40)
        setup_per_zone_wmarks(self.machine, self.sizes)
        for index, sizes in self.sizes.zones.items():
            words = self._words(index)
            words[st.WMARK : st.WMARK + 3], words[st.BOOST] = sizes.wmark, 0
            for cpu in range(self.machine.cpus):
                now = self.pcp_state(cpu, index)
                self._set_pcp(cpu, index, now._replace(high_min=sizes.high_min, high_max=sizes.high_max))
        self.ops_run += 1

    # busy locks

    @locked
    def contend_lists(self, cpu: int, zone: int, held: bool) -> None:
        """Say whether another holds the lock of a cpu's lists in a zone now: a trylock fails then."""
        self._has("lock of its lists")
        cpu, zone = gates.cpu(cpu, self.machine.cpus), self._zone(zone)
        self._set_pcp(cpu, zone, self.pcp_state(cpu, zone)._replace(held=int(bool(held) or not self.uses_lists)))

    @locked
    def busy(self, zones: Iterable[int] = (), lists: Iterable[int] = (), attempts: Iterable[int] = ()) -> None:
        """Say what is busy during the next operation, and only then.

        Arguments: zones whose lock is; zones in which the lock of that cpu's lists is; numbers, from 0, of the
        attempts in it to take a lock without waiting that fail.  Who waits for a lock gets it all the same.
        Raises MisuseError.
        """
        self._has("lock that is tried")
        zones, lists = (
            [self._zone(zone) for zone in gates.column(one, what, 0, st.MAX_NR_ZONES - 1).reshape(-1).tolist()]
            for one, what in ((listed(zones), "zones"), (listed(lists), "lists"))
        )
        numbers = gates.column(listed(attempts), "attempts", 0, st.MAX_ATTEMPTS - 1).reshape(-1).tolist()
        words = self._words(st.MACHINE)
        words[st.BUSY], words[st.TRYLOCKS] = busy_argument(zones, lists, numbers), 0
