"""The steps of a request on a later kernel, read off the events of that kernel's own engine.

Which lock is tried, which is waited for, in which order, and where interrupts are off: the engine's events say it.
"""

from __future__ import annotations

from collections.abc import Iterator

from gfpmodel.locking.contexts import PCP_LOCK, ZONE_LOCK
from gfpmodel.locking.kernels import Kernel
from gfpmodel.locking.step import Step, What
from gfpmodel.mm import Event, PageAllocator
from gfpmodel.mm import events as ev

#: In which function the lists' lock is tried, and the zone's lock taken under it, by the function that was called.
INSIDE = {
    "get_page_from_freelist": ("get_page_from_freelist", "__rmqueue_pcplist"),
    "free_unref_page": ("__free_frozen_pages", "free_pcppages_bulk"),
}


def later_steps(kernel: Kernel, events: list[Event], function: str) -> Iterator[tuple[Event, Step | None]]:
    """Yield each event of a later kernel's engine with the step that it is, None if it is no lock's.

    Arguments: the kernel; the events of one operation; the function that was called, a key of INSIDE.  Interrupts stay
    on where PREEMPT_RT has a sleeping lock.
    Models: mm/page_alloc.c:rmqueue, rmqueue_bulk, __free_frozen_pages and free_one_page (v6.18).
    """
    masks = not kernel.rt or kernel.zone_lock == "raw_spinlock_t"
    where = ""
    for at, event in enumerate(events):
        step = None
        match event.kind:
            case ev.IRQ_SAVE if masks:
                step = Step("irq_save")
            case ev.IRQ_RESTORE if masks:
                step = Step("irq_restore")
            case ev.PCP_TRYLOCK:
                taken = event.values[1]
                where = INSIDE[function][1] if taken else ""
                step = Step("try" if taken else "busy", PCP_LOCK, INSIDE[function][0], event.zone)
            case ev.PCP_UNLOCK:
                where = ""
                step = Step("release", PCP_LOCK)
            case ev.LOCK:
                step = Step("acquire", ZONE_LOCK, where or outside(function, events[at:]), event.zone)
            case ev.TRYLOCK:
                what: What = "try" if event.values[0] else "busy"
                step = Step(what, ZONE_LOCK, where or outside(function, events[at:]), event.zone)
            case ev.UNLOCK:
                step = Step("release", ZONE_LOCK)
            case ev.DECLINE:
                step = Step("decline", ZONE_LOCK, function, event.zone)
        yield event, step


def outside(function: str, events: list[Event]) -> str:
    """Return the function that takes the zone's lock without that of the lists; its events begin at the lock.

    A block taken leaves the tracepoint mm_page_alloc_zone_locked, so a section without it reserves a block.
    """
    if function == "free_unref_page":
        return "free_one_page"
    for event in events:
        if event.kind == ev.MM_PAGE_ALLOC_ZONE_LOCKED:
            return function
        if event.kind == ev.UNLOCK:
            return "reserve_highatomic_pageblock"
    return function


def free_page(a: PageAllocator, page: int, order: int, *, nolock: bool) -> None:
    """Free a block, with free_pages_nolock() where the engine has it and nobody may wait."""
    if nolock and a.rules.later:
        a.free_pages_nolock(page, order)
    else:
        a.free_pages(page, order)
