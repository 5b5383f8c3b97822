"""The ring of events, and the trace text written from it."""

import io
import re

import pytest

from gfpmodel.io.ftrace import write_trace
from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm.events import BULK_FREE, KINDS, MM_PAGE_ALLOC, RECORDED_KINDS, Ring
from gfpmodel.proposals import proposal

MACHINE = Machine((Zone(2, 32768, 16384),), cpus=2)


def booted(**options: object) -> PageAllocator:
    return PageAllocator(MACHINE, proposal("fast_try"), **options)  # type: ignore[arg-type]


def test_events_are_off_unless_asked_for() -> None:
    a = booted()
    a.alloc_pages()
    assert a.ring is None
    assert a.events() == []


def test_a_request_as_its_events() -> None:
    a = booted(events=64)
    a.alloc_pages(cpu=1)
    found = a.events()
    assert [event.name for event in found] == [
        "local_irq_save",
        "zone_lock",
        "mm_page_alloc_extfrag",
        *["mm_page_alloc_zone_locked"] * 3,
        "zone_unlock",
        "rmqueue_bulk",
        "local_irq_restore",
        "mm_page_alloc",
    ]
    assert {event.cpu for event in found} == {1}
    assert found[-1].fields == {"pfn": 48128, "order": 0, "migratetype": 0, "gfp_flags": 0xCC0}
    assert str(found[7]) == "[1] rmqueue_bulk: zone=2 migratetype=0 batch=3 got=3"


def test_events_carry_the_number_of_their_operation() -> None:
    a = booted(events=64, kinds=(MM_PAGE_ALLOC,))
    for _ in range(3):
        a.alloc_pages()
    a.drain(1)
    a.alloc_pages()
    assert [event.op for event in a.events()] == [0, 1, 2, 4]


def test_kinds_can_be_chosen() -> None:
    a = booted(events=64, kinds=(BULK_FREE,))
    a.alloc_pages()
    a.drain(0)
    assert [event.golden() for event in a.events()] == [["F", 2, 2]]
    assert "".join(KINDS[kind].letter for kind in RECORDED_KINDS) == "LUBFXWMHK"


def test_a_full_ring_keeps_the_last_events() -> None:
    a = booted(events=8, kinds=(MM_PAGE_ALLOC,))
    pfns = [a.alloc_pages() for _ in range(20)]
    assert a.ring is not None
    assert a.ring.lost == 12
    assert len(a.ring) == 8
    assert [event.fields["pfn"] for event in a.events(clear=False)] == pfns[-8:]
    a.events()
    assert a.ring.lost == 0


def test_the_capacity_is_a_power_of_two() -> None:
    assert [Ring(n).capacity for n in (1, 2, 3, 8, 9)] == [2, 2, 4, 8, 16]


def test_events_do_not_change_what_happens() -> None:
    a, b = booted(), booted(events=16)
    for order in (0, 0, 3, 10, 0):
        assert a.alloc_pages(order=order) == b.alloc_pages(order=order)
    assert a.snapshot() == b.snapshot()


LINE = re.compile(r"^ *gfpmodel-1 +\[\d{3}\] [d.][.]{2}[.1] +\d+\.\d{6}: (\w+): (.+)$")


@pytest.fixture
def trace() -> list[tuple[str, str]]:
    """A short run as (event, fields) read back from its trace text."""
    a = booted(events=256)
    pfn = a.alloc_pages()
    assert pfn is not None
    a.alloc_pages("__GFP_FAST_TRY", cpu=1)
    a.alloc_pages("GFP_NOWAIT|__GFP_NOWARN|__GFP_MOVABLE", 2)
    a.free_pages(pfn, cpu=1)
    a.drain()
    out = io.StringIO()
    write_trace(out, a.events(), a.layout, cpus=2)
    text = out.getvalue()
    assert text.startswith("# tracer: nop\n")
    found = [LINE.match(line) for line in text.splitlines() if not line.startswith("#")]
    return [(match[1], match[2]) for match in found if match]


def test_trace_lines_have_the_kernels_form(trace: list[tuple[str, str]]) -> None:
    assert [text for name, text in trace if name == "mm_page_alloc"] == [
        "page=ffffea00002f0000 pfn=0xbc00 order=0 migratetype=0 gfp_flags=GFP_KERNEL",
        "page=0000000000000000 pfn=0x0 order=0 migratetype=0 gfp_flags=__GFP_FAST_TRY",
        "page=ffffea00002e0000 pfn=0xb800 order=2 migratetype=1 gfp_flags=GFP_NOWAIT|__GFP_NOWARN|__GFP_MOVABLE",
    ]
    assert ("mm_page_free", "page=ffffea00002f0000 pfn=0xbc00 order=0") in trace
    assert any(name == "mm_page_pcpu_drain" and "migratetype=0" in text for name, text in trace)
    assert (
        "mm_page_alloc_extfrag",
        "page=ffffea00002f0000 pfn=0xbc00 alloc_order=0 fallback_order=10 pageblock_order=9 alloc_migratetype=0 "
        "fallback_migratetype=1 fragmenting=0 change_ownership=1",
    ) in trace


def test_locks_are_acquired_and_released_in_turn(trace: list[tuple[str, str]]) -> None:
    locks = [name for name, _ in trace if name.startswith("lock_")]
    assert locks == ["lock_acquire", "lock_release"] * (len(locks) // 2)


def test_the_picture() -> None:
    a = PageAllocator(Machine((Zone(2, 32768, 16384),)))
    a.alloc_pages()
    assert repr(a).splitlines()[:3] == [
        "PageAllocator of v5.8-rc3: 1 cpu(s)",
        "zone Normal [32768, 49152): free 16381 of 16384, min/low/high 256/320/384",
        "  cpu 0 pcp 2/18 (batch 3): U [48129 48130] M [] R []",
    ]
