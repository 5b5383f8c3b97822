"""What comes in through a public call is whole and in its range, or an error names it and nothing is changed."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gfpmodel.errors import GeometryError, InputError, MisuseError
from gfpmodel.mm import Machine, PageAllocator, Rule, Zone, pack_ops
from gfpmodel.mm.ops import NO_RESULT, OP_ALLOC, OP_DRAIN, OP_FREE, OP_FREE_HANDLE
from gfpmodel.rcu import KfreeRcu, Timing

NORMAL = 2
M: Any = Machine
Z: Any = Zone  # what is given to these is of a wrong type on purpose


@pytest.fixture
def machine() -> PageAllocator:
    return PageAllocator(Machine((Zone(NORMAL, 4096, 8192),), pcp=(4, 8)))


def test_a_pfn_of_any_width_is_that_pfn(machine: PageAllocator) -> None:
    got = machine.run(pack_ops(np.zeros(300, int), 0, 0, 0xCC0)).pfns
    machine.free_pages(got[7])
    assert machine.page_state(int(got[7]))[0] != 0x30
    machine.check()
    cpus = PageAllocator(Machine((Zone(NORMAL, 4096, 8192),), cpus=300))
    two_hundred: Any = np.int16(200)
    cpus.drain(two_hundred)
    cpus.check()


ROW: dict[str, Any] = {"name": "odd", "title": "an odd row", "request": "none"}


@pytest.mark.parametrize("order", [11, 16, 17, 32, 48, 63])
def test_a_free_of_no_order_is_refused(machine: PageAllocator, order: int) -> None:
    pfn = machine.alloc_pages()
    before = machine.snapshot()
    with pytest.raises(MisuseError, match="no such order"):
        machine.run(pack_ops(np.array([OP_FREE]), 0, order, pfn or 0))
    assert machine.snapshot() == before
    machine.check()


@pytest.mark.parametrize("handle", [-1, -(1 << 38)])
def test_a_negative_handle_is_refused_before_anything_runs(machine: PageAllocator, handle: int) -> None:
    before = machine.snapshot()
    words = np.array([OP_ALLOC | 0xCC0 << 24, OP_FREE_HANDLE | handle << 24], np.int64)
    with pytest.raises(MisuseError, match="count from 0"):
        machine.run(words)
    assert machine.snapshot() == before


@pytest.mark.parametrize(
    "columns",
    [
        (OP_ALLOC, 65536, 0, 0xCC0),
        (OP_ALLOC, 0, 64, 0xCC0),
        (OP_ALLOC, 0, 0, (1 << 40) + 0xCC0),
        (OP_DRAIN, 1 << 40, 0, 0),
        (4, 0, 0, 0),
        (OP_ALLOC, 0, 0, 3264.7),
        (OP_ALLOC, -1, 0, 0xCC0),
        (np.zeros(3, int), np.zeros(2, int), 0, 0xCC0),
        (np.zeros((2, 2), int), 0, 0, 0xCC0),
        (OP_ALLOC, 0, 0, 10**30),
    ],
)
def test_what_a_word_has_no_room_for_is_refused(columns: tuple[Any, ...]) -> None:
    with pytest.raises(InputError, match="expected"):
        pack_ops(*columns)


@pytest.mark.parametrize(
    "call",
    [
        lambda a: a.free_list(10**9, 0, 0),
        lambda a: a.free_list(-1, 0, 0),
        lambda a: a.free_list(NORMAL, 0, 7),
        lambda a: a.free_list(NORMAL, 11, 0),
        lambda a: a.pcp_list(0, NORMAL, 3),
        lambda a: a.pcp_list(1, NORMAL, 0),
        lambda a: a.pcp_list(-1, NORMAL, 0),
        lambda a: a.watermark_ok(NORMAL, -(10**9), 0, 2),
        lambda a: a.watermark_ok(NORMAL, 0, 0, 10**12),
        lambda a: a.watermark_ok(4, 0, 0, 2),
        lambda a: a.watermark_ok(NORMAL, 0, 9, 2),
        lambda a: a.contend(4, True),
        lambda a: a.page_state(0),
        lambda a: a.migratetype(0),
        lambda a: a.nr_free(4),
        lambda a: a.counters(0),
        lambda a: a.block_types(1),
        lambda a: a.pcp_count(0.5, NORMAL),
        lambda a: a.alloc_pages(3264.7),
        lambda a: a.alloc_pages(1 << 32),
        lambda a: a.drain(10**5000),
        lambda a: a.run(np.zeros(2)),
        lambda a: a.run(pack_ops(OP_ALLOC, 60000, 0, 0xCC0)),
    ],
)
def test_a_call_does_not_reach_outside(machine: PageAllocator, call: Callable[[PageAllocator], object]) -> None:
    before = machine.snapshot()
    with pytest.raises(InputError):
        call(machine)
    assert machine.snapshot() == before


def test_only_what_was_prepared_is_run_and_once(machine: PageAllocator) -> None:
    words = pack_ops(np.zeros(4, int), 0, 0, 0xCC0)
    results = machine.prepare(words)
    words[:] = -1  # what was prepared is a copy
    assert machine.resume(results, 0, 2) == 2
    for start, stop in ((-(10**7), 1), (0, 2), (2, 1000), (3, 2)):
        with pytest.raises(MisuseError, match="expected"):
            machine.resume(results, start, stop)
    assert machine.resume(results, 2, 4) == 4
    machine.alloc_pages()
    with pytest.raises(MisuseError, match="something else since"):
        machine.resume(results, 4, 4)
    machine.check()


def test_a_snapshot_of_another_machine_is_refused(machine: PageAllocator) -> None:
    machine.free_pages(machine.alloc_pages() or 0)
    own = machine.snapshot()
    zone = own.zones[0]
    taken = PageAllocator(Machine((Zone(NORMAL, 4096, 8192),), cpus=64)).snapshot()
    lists = (((10**9,), *zone.free_lists[0][1:]), *zone.free_lists[1:])
    biggest = zone.free_lists[10]
    doubled = (*zone.free_lists[:10], (biggest[0], biggest[1] * 2, *biggest[2:]))
    twice = zone.free + (len(biggest[1]) << 10)
    odd = [
        taken,
        replace(own, zones=()),
        replace(own, zones=own.zones * 2),
        replace(own, zones=(replace(zone, free_lists=lists),)),
        replace(own, zones=(replace(zone, free_lists=doubled, free=twice),)),
        replace(own, zones=(replace(zone, free=zone.free + 1),)),
        replace(own, zones=(replace(zone, pcp_count=(9,)),)),
        replace(own, zones=(replace(zone, blocks=zone.blocks[1:]),)),
        replace(own, zones=(replace(zone, cached=(((7, 7, 7, 7), (), ()),)),)),
        replace(own, zones=(replace(zone, free_lists=5),)),  # type: ignore[arg-type]
        replace(own, in_use=((4096, 0),)),
        replace(own, in_use=((10**9, 0),)),
        None,
    ]
    for snapshot in odd:
        with pytest.raises(MisuseError):
            machine.restore(snapshot)  # type: ignore[arg-type]
        assert machine.snapshot() == own
    sizes = replace(machine.sizes, zones={NORMAL: replace(machine.sizes.zones[NORMAL], batch=0)})
    with pytest.raises(MisuseError, match="no pcp"):
        machine.restore(own, sizes)
    machine.restore(own)
    machine.check()


@pytest.mark.parametrize(
    "fields",
    [
        {"scan": (0, 100000)},
        {"scan": (5, 10**9)},
        {"scan": (2, 1)},
        {"scan": 5},
        {"highest_zone": -5},
        {"highest_zone": -(10**9)},
        {"highest_order": 11},
        {"flag": 1 << 34},
        {"flag": 0.5},
        {"refill": "perhaps"},
        {"watermark": "high"},
        {"slow_path": 7},
    ],
)
def test_a_row_the_engine_has_no_list_for_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Rule(**ROW, **fields)


@pytest.mark.parametrize(
    "build",
    [
        lambda: M((Z(NORMAL, 4096, 8192),), cma=((4096, 8192),) * 2),
        lambda: M((Z(NORMAL, 4096, 8192),), cma=(t := (4096, 8192), t)),
        lambda: M((Z(NORMAL, 4096, 8192),), cpus=1.5),
        lambda: M((Z(NORMAL, 4096, 8192),), cma=((4096.0, 8192.0),)),
        lambda: M((Z(NORMAL, 4096, 8192),), pcp=(1.5, 8.5)),
        lambda: M((Z(NORMAL, 4096, 8192),), holes=(5,)),
        lambda: M(5),
        lambda: M((Z(NORMAL, 4096, 8192),), cpus=None),
        lambda: Z(NORMAL, 4096.5, 10),
    ],
)
def test_a_machine_that_cannot_be_is_refused(build: Callable[[], object]) -> None:
    with pytest.raises(GeometryError):
        build()


def test_numbers_of_any_width_make_a_machine() -> None:
    odd = M((Z(np.int64(2), np.uint16(4096), np.int16(8192)),), cpus=np.int8(1), pcp=(np.int8(4), None))
    assert odd == Machine((Zone(2, 4096, 8192),), cpus=1, pcp=(4, None))
    assert {type(number) for number in (odd.cpus, odd.start, odd.end)} == {int}


@pytest.mark.parametrize("ring", [{"events": 10**12}, {"events": -1}, {"events": 4, "kinds": (100,)}])
def test_a_ring_that_cannot_be_is_refused(ring: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PageAllocator(Machine((Zone(NORMAL, 4096, 8192),)), **ring)


@pytest.mark.parametrize(
    "call",
    [
        lambda rcu: rcu.preload(10**9, 5),
        lambda rcu: rcu.preload(0, 10**9),
        lambda rcu: rcu.preload(0, -1),
        lambda rcu: rcu.monitor(10**9),
        lambda rcu: rcu.monitor(-1),
        lambda rcu: rcu.call_rcu(5, 10**9),
        lambda rcu: rcu.call_rcu(5, 1),
        lambda rcu: rcu.call_rcu(-5),
        lambda rcu: rcu.kmalloc(-10),
        lambda rcu: rcu.kmalloc(1 << 40),
        lambda rcu: rcu.advance(1 << 62),
        lambda rcu: rcu.settle(1 << 62),
        lambda rcu: rcu.queue(1, every_ns=1 << 61),
        lambda rcu: rcu.schedule([0, 1], [10**9, 0], [1, 2], [0, 0]),
        lambda rcu: rcu.schedule([0, 1], [5, 0], [1, 2], [0, 0]),
        lambda rcu: rcu.schedule([0, 1], [0, 0], [10**12, 2], [0, 0]),
        lambda rcu: rcu.schedule([0, 1], [0, 0], [-5, 2], [0, 0]),
        lambda rcu: rcu.schedule([0, 1], [0, 0], [1, 2], [0]),
        lambda rcu: rcu.schedule([1, 0], [0, 0], [1, 2], [0, 0]),
        lambda rcu: rcu.schedule([0, 1], [0, 0], [1, 2], [0, 1 << 20]),
        lambda rcu: rcu.krc(1),
        lambda rcu: rcu.blocks_of(-1),
        lambda rcu: rcu.was_early(99),
        lambda rcu: rcu.kfree_rcu(1, offset=0.5),
        lambda rcu: rcu.kvfree_call_rcu(1, offset=10**5000),
        lambda rcu: rcu.kvfree_call_rcu(1, offset=-1),
    ],
)
def test_a_chain_does_not_reach_outside(call: Callable[[KfreeRcu], object]) -> None:
    rcu = KfreeRcu("v5.9")
    rcu.kmalloc(5)
    with pytest.raises(InputError):
        call(rcu)
    rcu.check()
    assert rcu.kmalloc(1) == range(6, 7)


@pytest.mark.parametrize("fields", [{"gp_ns": 1 << 62}, {"free_ns": -1}, {"qhimark": 0.5}, {"hz": None}])
def test_a_time_that_no_sum_can_hold_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Timing(**fields)


def test_a_page_taken_from_under_the_chain_is_reported_and_left_alone() -> None:
    rcu = KfreeRcu("v5.9", min_cached=0)
    rcu.queue(10)
    for pfn, order in rcu.allocator.snapshot().in_use:
        rcu.allocator.free_pages(pfn, order)
    rcu.settle()
    assert any("Bad page state" in report for report in rcu.reports)
    rcu.allocator.check()


def test_threads_take_turns() -> None:
    """Each page is handed out once, whoever asks, and a bulk run is not torn apart."""
    machine = PageAllocator(Machine((Zone(NORMAL, 4096, 8192),), cpus=4))
    got: list[list[int]] = [[] for _ in range(4)]

    def work(cpu: int) -> None:
        words = pack_ops(np.zeros(50, int), cpu, 0, 0xCC0)
        for _ in range(5):
            got[cpu] += [machine.alloc_pages(cpu=cpu) or 0 for _ in range(50)]
            got[cpu] += machine.run(words).pfns.tolist()

    threads = [threading.Thread(target=work, args=(cpu,)) for cpu in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pages = [pfn for one in got for pfn in one]
    assert len(pages) == len(set(pages) - {0, NO_RESULT}) == 4 * 5 * 100
    machine.check()
