"""Write a run's events as the text that ftrace prints, for the reader here and for the usual trace tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO

from gfpmodel.gfp import Layout, decode
from gfpmodel.mm.events import (
    EXTFRAG,
    LOCK,
    MM_PAGE_ALLOC,
    MM_PAGE_ALLOC_ZONE_LOCKED,
    MM_PAGE_FREE,
    MM_PAGE_PCPU_DRAIN,
    NO_PAGE,
    UNLOCK,
    Event,
)

VMEMMAP = 0xFFFFEA0000000000  # where x86-64 without KASLR keeps its struct pages
STRUCT_PAGE = 64
ZONE_LOCK = 0xFFFF88803FFF9000  # made up: one address a zone, so that a tool can tell the locks apart
TASK = "gfpmodel-1"
HEADER = """\
# tracer: nop
#
# entries-in-buffer/entries-written: {count}/{written}   #P:{cpus}
#
#                                _-----=> irqs-off
#                               / _----=> need-resched
#                              | / _---=> hardirq/softirq
#                              || / _--=> preempt-depth
#                              ||| /     delay
#           TASK-PID     CPU#  ||||   TIMESTAMP  FUNCTION
#              | |         |   ||||      |         |
"""


def trace_text(
    events: Iterable[Event], layout: Layout, *, cpus: int = 1, pageblock_order: int = 9, lost: int = 0
) -> Iterator[str]:
    """Yield the lines of a trace.

    Arguments: events in order; the layout whose names the masks get; how many events the ring lost before them.
    Operation n happens at n milliseconds, its events a microsecond apart: time is no part of this model.
    """
    found = list(events)
    yield from HEADER.format(count=len(found), written=len(found) + lost, cpus=cpus).splitlines(keepends=True)
    op, step = -1, 0
    for event in found:
        step = step + 1 if event.op == op else 0
        op = event.op
        stamp = f"{op // 1000}.{op % 1000:03d}{min(step, 999):03d}"
        flags = "d..1" if event.kind in (MM_PAGE_ALLOC_ZONE_LOCKED, MM_PAGE_PCPU_DRAIN, EXTFRAG) else "...."
        yield f"{TASK:>16}     [{event.cpu:03d}] {flags} {stamp:>12}: {describe(event, layout, pageblock_order)}\n"


def describe(event: Event, layout: Layout, pageblock_order: int) -> str:
    """Return an event as its tracepoint prints it; one that has no tracepoint becomes a marker.

    Models: include/trace/events/kmem.h (v5.8; with pfn in hex, as later kernels print it) and
    include/trace/events/lock.h.
    """
    values = event.fields
    if event.kind == MM_PAGE_ALLOC:
        gfp = decode(values["gfp_flags"] & 0xFFFFFFFF, layout).text
        return (
            f"mm_page_alloc: {page(event)} order={values['order']} migratetype={values['migratetype']} gfp_flags={gfp}"
        )
    if event.kind == MM_PAGE_FREE:
        return f"mm_page_free: {page(event)} order={values['order']}"
    if event.kind in (MM_PAGE_ALLOC_ZONE_LOCKED, MM_PAGE_PCPU_DRAIN):
        text = f"{event.name}: {page(event)} order={values['order']} migratetype={values['migratetype']}"
        refill = f" percpu_refill={int(values['order'] == 0)}"
        return text + (refill if event.kind == MM_PAGE_ALLOC_ZONE_LOCKED else "")
    if event.kind == EXTFRAG:
        return (
            f"mm_page_alloc_extfrag: {page(event)} alloc_order={values['alloc_order']} "
            f"fallback_order={values['fallback_order']} pageblock_order={pageblock_order} "
            f"alloc_migratetype={values['alloc_migratetype']} fallback_migratetype={values['fallback_migratetype']} "
            f"fragmenting={int(values['fallback_order'] < pageblock_order)} "
            f"change_ownership={values['change_ownership']}"
        )
    if event.kind in (LOCK, UNLOCK):
        what = "lock_acquire" if event.kind == LOCK else "lock_release"
        return f"{what}: 0x{ZONE_LOCK + event.zone * 0x600:x} &zone->lock"
    fields = " ".join(f"{name}={value}" for name, value in [("zone", event.zone), *values.items()])
    return f"tracing_mark_write: gfpmodel {event.name}: {fields}"


def page(event: Event) -> str:
    """Return the page and pfn of an event; a NULL page has pfn 0."""
    pfn = event.fields["pfn"]
    if pfn == NO_PAGE:
        return "page=0000000000000000 pfn=0x0"
    return f"page={VMEMMAP + STRUCT_PAGE * pfn:016x} pfn=0x{pfn:x}"


def write_trace(file: TextIO, events: Iterable[Event], layout: Layout, **options: int) -> None:
    """Write a trace to an open text file; arguments as for trace_text."""
    file.writelines(trace_text(events, layout, **options))
