"""The locks that a request took, step by step: read off the events that the engine recorded on its way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from gfpmodel.gfp import encode, layout
from gfpmodel.locking.contexts import HELD_ZONE
from gfpmodel.locking.kernels import Kernel
from gfpmodel.locking.paths import free_page, later_steps
from gfpmodel.locking.slab import stack_list_entry
from gfpmodel.locking.step import NOTHING, Step, Taken, What, locked
from gfpmodel.mm import Event, PageAllocator
from gfpmodel.mm import events as ev
from gfpmodel.mm.page_alloc import GFP_DIRECT_RECLAIM, GFP_KSWAPD_RECLAIM, GFP_ZONEMASK
from gfpmodel.mm.state import ALLOC_WMARK_HIGH, MIGRATE_HIGHATOMIC

ENGINE = layout("v5.8-rc3", {"LOCKDEP": False})
GFP_FS, GFP_NOWARN, GFP_ACCOUNT = (encode(name, ENGINE) for name in ("__GFP_FS", "__GFP_NOWARN", "__GFP_ACCOUNT"))
GFP_DEPOT = encode("GFP_ATOMIC|GFP_KERNEL", ENGINE)  # what stack_depot_save() keeps of its caller's mask
STACK_ALLOC_ORDER = 2


@dataclass
class Walk:
    """Turns the events of one operation into steps, under one kernel.

    Arguments: the allocator, as the operation left it; the kernel; the request's mask in the engine's bits (its
    NOLOCKDEP bit apart); whether the zone lock is only tried; whether page_owner is on and meets a new stack, and
    whether stackdepot's slab is used up; what becomes of a memcg charge ("none", "ok", "fail").  ``declines`` says
    that the request does without the zone lock, ``listed`` whether this kernel's pcp lists serve the order, ``taken``
    what somebody holds already.
    """

    allocator: PageAllocator
    kernel: Kernel
    mask: int
    nolockdep: bool = False
    page_owner: bool = False
    slab_due: bool = False
    charge: Literal["none", "ok", "fail"] = "none"
    trylock: bool = False
    declines: bool = False
    warns: bool = True
    listed: bool = True
    taken: Taken = NOTHING
    opened: list[list[Step]] = field(default_factory=list)  #: what closes each section that is open

    def request(self, events: list[Event], page: int | None, order: int) -> Iterator[Step]:
        """Yield the steps of an allocation; the caller has run it, ``page`` is its result."""
        yield from self.prepare()
        reserve = reserve_section(events)
        yield from self.sections(events[:reserve], "get_page_from_freelist")
        if page is not None:
            yield from self.prep_new_page()
        yield from self.sections(events[reserve:], "reserve_highatomic_pageblock")
        if page is None and self.warns and not self.mask & GFP_NOWARN:
            yield from self.warn_alloc(events)
        if page is not None:
            yield from self.memcg_charge(page, order)

    def prepare(self) -> Iterator[Step]:
        """Yield what comes before the search for a page.

        Models: mm/page_alloc.c:prepare_alloc_pages and fs_reclaim_acquire (v5.8).
        """
        if not self.mask & GFP_DIRECT_RECLAIM:
            return
        if self.mask & GFP_FS and not self.nolockdep:
            yield Step("acquire", "fs_reclaim", self.kernel.entry)
            yield Step("release", "fs_reclaim")
        yield Step("might_sleep", where=self.kernel.entry)

    def sections(self, events: list[Event], function: str) -> Iterator[Step]:
        """Yield the steps of the engine's events: irq-off sections, the zone lock, kswapd."""
        own = self.later_sections if self.allocator.rules.later else self.first_sections
        yield from own(events, function)

    def first_sections(self, events: list[Event], function: str) -> Iterator[Step]:
        """Yield the steps of the events of v5.8's engine, in the words of a kernel up to v6.17."""
        refill = {event.op for event in events if event.kind == ev.REFILL_DONE}
        where = "__rmqueue_pcplist" if refill and function == "get_page_from_freelist" else function
        where = "free_pcppages_bulk" if function == "free_unref_page" else where
        for event in events:
            if event.kind == ev.IRQ_SAVE:
                yield from self.open(function, event.zone)
            elif event.kind == ev.IRQ_RESTORE:
                yield from self.opened.pop()
            elif event.kind == ev.TRYLOCK:
                if not event.values[0]:
                    yield Step("busy", "&zone->lock", where, event.zone)
            elif event.kind == ev.DECLINE:
                yield Step("decline", "&zone->lock", where, event.zone)
            elif event.kind == ev.LOCK:
                yield from self.zone_lock(where, event.zone)
            elif event.kind == ev.UNLOCK:
                yield Step("release", "&zone->lock")
                yield from self.opened.pop()
            elif event.kind == ev.WAKE_KSWAPD:
                yield from self.wakeup_kswapd(event)

    def later_sections(self, events: list[Event], function: str) -> Iterator[Step]:
        """Yield the steps of the events of a later kernel's engine, and what waking kswapd takes."""
        for event, step in later_steps(self.kernel, events, function):
            if event.kind == ev.WAKE_KSWAPD:
                yield from self.wakeup_kswapd(event)
            elif step:
                yield step

    def zone_lock(self, where: str, zone: int) -> Iterator[Step]:
        """Yield taking a zone's lock, with interrupts off by itself where the section around it leaves them on.

        Models: spin_lock(&zone->lock) of v5.8 and spin_lock_irqsave() or spin_trylock_irqsave() of v6.2 and later; in
        v6.0 interrupts are off by then.
        """
        off = self.kernel.pcp == "trylock" and (not self.kernel.rt or self.kernel.zone_lock == "raw_spinlock_t")
        self.opened.append([Step("irq_restore")] if off else [])
        if off:
            yield Step("irq_save")
        yield Step("try" if self.trylock else "acquire", "&zone->lock", where, zone)

    def open(self, function: str, zone: int) -> Iterator[Step]:
        """Yield what protects this CPU's lists, and remember what ends it.

        Models: local_irq_save() of v5.8; pa_lock of the RT trees; pagesets.lock of v5.14; pcp->lock of v6.2 (v6.0
        tries it with interrupts off).
        """
        plain = function == "reserve_highatomic_pageblock"
        begin, end = [Step("irq_save", where=function)], [Step("irq_restore")]
        if self.kernel.rt:
            begin, end = [], []
        name = pcp_lock(self.kernel)
        if name and self.taken.pcp and zone == HELD_ZONE:
            begin, end = [Step("busy", name, function)], []
        elif name and not self.listed:
            begin, end = [], []
        elif name and not plain:
            what: What = "try" if self.kernel.pcp == "trylock" or self.trylock else "acquire"
            lock = [Step(what, name, function, zone)]
            # a local lock goes with interrupts off, a trylock of pcp->lock leaves them on
            begin = lock if self.kernel.pcp == "trylock" else [*begin, *lock]
            end = [Step("release", name), *(end if self.kernel.pcp != "trylock" else [])]
        self.opened.append(end)
        yield from begin

    def wakeup_kswapd(self, event: Event) -> Iterator[Step]:
        """Yield the lock of kswapd's or kcompactd's wait queue, if the node needs either.

        The wakeup for a boosted watermark has order 0 whatever the request; only later kernels ask its mask.
        Models: mm/vmscan.c:wakeup_kswapd (v5.8), the sleeper present; leaves out cpusets and kswapd_failures.
        """
        order, highest = event.values
        if self.kernel.gates_boost_wakeup and not self.mask & GFP_KSWAPD_RECLAIM:
            return
        lock = "&pgdat->kswapd_wait"
        if self.pgdat_balanced(order, highest):
            if self.mask & GFP_DIRECT_RECLAIM or not order:
                return
            lock = "&pgdat->kcompactd_wait"
        yield from locked(self.kernel, lock, "__wake_up_common_lock")

    def pgdat_balanced(self, order: int, highest: int) -> bool:
        """Return whether a zone is above its high watermark and none has a boost.

        Models: mm/vmscan.c:pgdat_balanced and pgdat_watermark_boosted (v5.8).
        """
        zones = [index for index in self.allocator.sizes.zones if index <= highest]
        if any(self.allocator.counters(index)["boost"] for index in zones):
            return False
        return any(self.allocator.watermark_ok(index, order, ALLOC_WMARK_HIGH, highest) for index in zones)

    def prep_new_page(self) -> Iterator[Step]:
        """Yield what a debugging option does with a page found.

        Models: mm/page_alloc.c:post_alloc_hook and mm/page_owner.c:__set_page_owner (v5.8).
        """
        if self.page_owner:
            yield from self.save_stack(self.mask)
            yield from self.list_stack()

    def save_stack(self, mask: int) -> Iterator[Step]:
        """Yield what remembering a new stack takes: now and then pages, always the depot's lock.

        Models: lib/stackdepot.c:stack_depot_save (v5.8).
        """
        if self.slab_due:
            inner = mask & ~GFP_ZONEMASK & GFP_DEPOT | GFP_NOWARN
            self.allocator.events()
            page = self.allocator.alloc_pages(inner, STACK_ALLOC_ORDER)
            yield from Walk(self.allocator, self.kernel, inner).request(
                self.allocator.events(), page, STACK_ALLOC_ORDER
            )
        late = self.kernel.lists_stacks
        # tried only in an NMI or without spinning, in fact; as it is a raw lock there, that makes no difference else
        yield from locked(self.kernel, "depot_lock", "stack_depot_save", what="try" if late else "acquire")

    def list_stack(self) -> Iterator[Step]:
        """Yield what it takes to list a new stack: a small object, and the lock of the list.

        Models: mm/page_owner.c:add_stack_record_to_list (v6.8; since v6.15 only for a mask that may wait).
        """
        waits = self.mask & (GFP_DIRECT_RECLAIM | GFP_KSWAPD_RECLAIM) or not self.kernel.spins_by_mask
        if self.kernel.lists_stacks and waits and not self.trylock:
            yield from stack_list_entry(self.kernel)
            yield from locked(self.kernel, "stack_list_lock", "__set_page_owner")

    def warn_alloc(self, events: list[Event]) -> Iterator[Step]:
        """Yield the zone locks that the failure report takes to count free blocks.

        A request that declines them has them declined here, too, and its report lacks the counts.
        Models: mm/page_alloc.c:warn_alloc and show_free_areas (v5.8), the rate limit not reached.
        """
        if not events:
            return  # an order that no zone can serve returns at once
        for index in self.allocator.sizes.zones:
            if self.declines:
                yield Step("decline", "&zone->lock", "show_free_areas", index)
                continue
            yield from locked(self.kernel, "&zone->lock", "show_free_areas", index)

    def memcg_charge(self, page: int, order: int) -> Iterator[Step]:
        """Yield the charge of an accounted page, and the free that follows if it fails.

        Models: mm/page_alloc.c:__alloc_pages_nodemask (v5.8), mm/memcontrol.c:consume_stock (5.10-rt with a lock).
        """
        if self.charge == "none" or not self.mask & GFP_ACCOUNT:
            return
        if self.kernel.memcg_stock:
            how: What = "try" if self.trylock else self.kernel.memcg_stock
            yield Step(how, "memcg_stock.lock", "consume_stock")
            yield Step("release", "memcg_stock.lock")
        if self.charge == "fail":
            self.allocator.events()
            free_page(self.allocator, page, order, nolock=self.trylock)
            yield from self.free(self.allocator.events())

    def free(self, events: list[Event]) -> Iterator[Step]:
        """Yield the steps of freeing a page.

        Models: mm/page_alloc.c:free_unref_page and __free_pages_ok, mm/page_owner.c:__reset_page_owner (v5.8);
        free_pages_nolock() and free_one_page() of v6.18.
        """
        if self.page_owner:
            yield from self.save_stack(GFP_KSWAPD_RECLAIM | GFP_NOWARN)
        if (self.trylock or self.taken.pcp) and not self.allocator.rules.later:
            yield from self.free_one()
        else:
            yield from self.sections(events, "free_unref_page")

    def free_one(self) -> Iterator[Step]:
        """Yield the steps of a free that may not wait, or that finds the lock of the lists held.

        A list may grow beyond high then, as nothing is given back under the zone lock; a page whose zone lock is taken,
        too, waits on a lockless list of the zone.
        """
        yield from self.open("free_unref_page", HELD_ZONE)
        if self.taken.pcp and self.trylock and HELD_ZONE in self.taken.zones:
            yield Step("busy", "&zone->lock", "free_one_page", HELD_ZONE)
        elif self.taken.pcp:
            yield from self.zone_lock("free_one_page", HELD_ZONE)
            yield Step("release", "&zone->lock")
            yield from self.opened.pop()
        yield from self.opened.pop()


def pcp_lock(kernel: Kernel) -> str:
    """Return the lock around this CPU's lists, empty where switching interrupts off is all there is."""
    return {"irq": "pa_lock" if kernel.rt else "", "local_lock": "pagesets.lock", "trylock": "&pcp->lock"}[kernel.pcp]


def reserve_section(events: list[Event]) -> int:
    """Return where the section begins in which a block was reserved for atomic requests, if the walk has one.

    The engine records it after the page was found: the last section, and it moves a block to HIGHATOMIC.
    """
    starts = [at for at, event in enumerate(events) if event.kind == ev.IRQ_SAVE]
    return starts[-1] if len(starts) > 1 and any(map(reserves, events[starts[-1] :])) else len(events)


def reserves(event: Event) -> bool:
    """Return whether an event makes a block HIGHATOMIC."""
    return event.kind == ev.HIGHATOMIC or (event.kind == ev.MOVE_BLOCK and event.values[1] == MIGRATE_HIGHATOMIC)
