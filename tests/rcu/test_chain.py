"""The chain step by step: vectors derived by hand from the specification, not from the code."""

import numpy as np
import pytest

from gfpmodel.errors import InputError, MisuseError
from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm.kernels import FIRST, ROWS
from gfpmodel.proposals import proposal
from gfpmodel.rcu import KfreeRcu, Timing
from gfpmodel.sim.today import marked

SMALL = 128  # bytes: 16 words: 14 records a block in v5.9, 13 in v5.8, 11 in v6.6
MS = 1_000_000


def names(rcu: KfreeRcu, *kinds: str) -> list[tuple[int, ...]]:
    return [event.a for event in rcu.events(clear=False) if event.name in kinds]


# queueing


def test_the_first_object_takes_a_cached_block_and_the_newest_block_is_first() -> None:
    rcu = KfreeRcu("v5.9", events=64, page_size=SMALL)
    rcu.queue(15)
    krc = rcu.krc()
    first, second = krc.channels[0][1], krc.channels[0][0]
    assert first.records == tuple(range(1, 15))
    assert second.records == (15,)
    assert krc.cache == ()  # two were there after boot
    assert krc.count == 15
    assert [a[2] for a in names(rcu, "B")] == [1, 1]  # both from the cache


def test_the_third_block_comes_from_the_allocator_and_then_none_can_be_had() -> None:
    rcu = KfreeRcu("v5.9", events=256, page_size=SMALL)
    rcu.queue(29)
    assert rcu.counters.pages_alloc == 1
    rcu.fail = 1.0
    rcu.queue(13)  # fills the third block
    rcu.queue(3)  # no block: each tries, each goes to the head list, last in first
    assert rcu.krc().head == (45, 44, 43)
    assert rcu.counters.head_objects == rcu.counters.forced_failed == 3
    assert rcu.krc().count == 45


def test_vmalloc_pointers_have_a_channel_of_their_own() -> None:
    rcu = KfreeRcu("v5.9", page_size=SMALL)
    rcu.queue(4, kind="mixed")
    slab, vmalloc = rcu.krc().channels
    assert slab[0].records == (1, 3)
    assert vmalloc[0].records == (2, 4)


def test_version_5_8_asks_while_5_11_never_does() -> None:
    asks, never = KfreeRcu("v5.8", page_size=SMALL), KfreeRcu("v5.11", page_size=SMALL)
    for rcu in (asks, never):
        rcu.queue(3)
    assert (asks.counters.pages_alloc, asks.counters.head_objects) == (1, 0)
    assert (never.counters.pages_alloc, never.counters.head_objects) == (0, 3)  # its cache is empty after boot


def test_preempt_rt_does_not_ask_but_a_proposal_does() -> None:
    rt = KfreeRcu("v5.9", preempt_rt=True, min_cached=0)
    rt.queue(1)
    assert rt.counters.head_objects == 1
    rescued = KfreeRcu("v5.9", preempt_rt=True, min_cached=0, proposal=proposal("gfp0"))
    rescued.queue(1)
    assert rescued.counters.pages_alloc == 1


# the fill worker


def test_a_miss_falls_back_at_once_and_the_worker_fills_five() -> None:
    rcu = KfreeRcu("v5.11", events=64, timing=Timing(fill_delay_ns=1000), page_size=SMALL)
    rcu.queue(1)
    rcu.advance(1000)
    assert rcu.krc().head == (1,)
    assert len(rcu.krc().cache) == 5
    assert rcu.counters.fills == 1
    rcu.queue(1)
    assert rcu.krc().channels[0][0].records == (2,)


def test_the_worker_of_5_11_tries_five_times_and_that_of_5_15_stops() -> None:
    tries = {}
    for name in ("v5.11", "v5.15"):
        rcu = KfreeRcu(name, fail=1.0, timing=Timing(fill_delay_ns=1000), page_size=SMALL)
        rcu.queue(1)
        rcu.advance(1000)
        tries[name] = rcu.counters.forced_failed
    assert tries == {"v5.11": 5, "v5.15": 1}


def test_the_shrinker_takes_the_cache_and_the_worker_backs_off() -> None:
    rcu = KfreeRcu("v5.15", timing=Timing(fill_delay_ns=1000, backoff_ns=50 * MS), page_size=SMALL)
    rcu.queue(1)
    rcu.advance(1000)
    assert rcu.shrink_count() == 1 + 5
    assert rcu.shrink_scan(100) == 1 + 5
    assert rcu.krc().cache == ()
    rcu.queue(1)  # a miss: the fill waits for the back-off, and brings one block only
    rcu.advance(49 * MS)
    assert rcu.krc().cache == ()
    rcu.advance(2 * MS)
    assert len(rcu.krc().cache) == 1


def test_the_shrinker_of_5_9_starts_a_grace_period_and_frees_nothing() -> None:
    rcu = KfreeRcu("v5.9", page_size=SMALL)
    rcu.queue(20)
    assert rcu.shrink_count() == 20
    assert rcu.shrink_scan(5) == 20
    assert rcu.counters.freed == 0
    assert rcu.krc().batches[0].pending
    assert rcu.shrink_scan(5) == 0


# hand-over and grace period


def test_the_drain_runs_after_a_fiftieth_of_a_second_in_ticks() -> None:
    for hz, expected in ((100, 20), (250, 20), (1000, 20), (60, 1000 / 60)):
        rcu = KfreeRcu("v5.9", timing=Timing(hz=hz), events=64, page_size=SMALL)
        rcu.queue(1)
        rcu.settle()
        (handed,) = [event.t_ns for event in rcu.events() if event.name == "H"]
        assert handed == pytest.approx(expected * MS, rel=1e-6)


@pytest.mark.parametrize(("count", "expected_ms"), [(13, 5000), (14, 4)])  # 14 fill a block; a tick is 4 ms
def test_version_6_1_waits_five_seconds_or_for_a_full_block(count: int, expected_ms: int) -> None:
    rcu = KfreeRcu("v6.1", events=128, page_size=SMALL)
    rcu.queue(count)
    rcu.settle()
    assert next(event.t_ns for event in rcu.events() if event.name == "H") == expected_ms * MS


def test_two_batches_then_objects_wait_on_the_krc() -> None:
    rcu = KfreeRcu("v5.9", timing=Timing(gp_ns=1000 * MS), page_size=SMALL)
    for _ in range(3):
        rcu.queue(2)
        rcu.monitor()
    krc = rcu.krc()
    assert [batch.channels[0][0].records for batch in krc.batches] == [(1, 2), (3, 4)]
    assert krc.channels[0][0].records == (5, 6)
    assert krc.monitor_todo  # it tries again every HZ/50


def test_the_repeat_of_5_9_is_sticky() -> None:
    rcu = KfreeRcu("v5.9", timing=Timing(gp_ns=1000 * MS), events=64, page_size=SMALL)
    rcu.queue(1)
    rcu.monitor()
    rcu.queue(1)
    rcu.monitor()  # batch 0 is taken: something is left after it, although batch 1 takes it
    assert rcu.krc().channels == ((), ())
    assert rcu.krc().monitor_todo
    assert [a[1] for a in names(rcu, "R")] == [0, 1]


def test_objects_are_freed_after_a_grace_period_that_began_after_the_hand_over() -> None:
    rcu = KfreeRcu("v5.9", timing=Timing(gp_ns=10 * MS), events=64, page_size=SMALL)
    rcu.call_rcu(1)  # someone else's: a grace period is on its way
    rcu.advance(5 * MS)
    rcu.queue(1)
    rcu.monitor()
    rcu.advance(6 * MS)  # the running one ends: it began before
    assert rcu.counters.freed == 0
    rcu.advance(10 * MS)
    assert rcu.counters.freed == 1


def test_what_is_freed_and_in_which_order() -> None:
    rcu = KfreeRcu("v5.9", events=256, fail=0.0, page_size=SMALL)
    rcu.queue(15)  # two blocks
    rcu.fail = 1.0
    rcu.queue(13 + 2)  # fills the second, then two on the head list: 29, 30
    rcu.queue(1, kind="vmalloc")  # no block: on the head list as well
    rcu.settle()
    freed = [a[0] + 1 for a in names(rcu, "D")]
    assert freed == [*range(15, 29), *range(1, 15), 31, 30, 29]  # newest block first, then the list, last in first out
    c = rcu.counters
    assert (c.kfree_bulk, c.kfree_one, c.vfree) == (2, 3, 0)
    assert c.cache_misses == 2 * 2 + 3  # 14 pointers are two lines of eight; one for each linked object


def test_a_block_goes_to_the_cache_up_to_its_limit() -> None:
    rcu = KfreeRcu("v5.9", events=256, page_size=SMALL)
    rcu.queue(14 * 4)
    rcu.settle()
    assert (rcu.counters.to_cache, rcu.counters.pages_freed, rcu.counters.pages_alloc) == (2, 2, 2)
    assert len(rcu.krc().cache) == 2


def test_the_cache_is_last_in_first_out() -> None:
    rcu = KfreeRcu("v5.9", page_size=SMALL)
    top, below = rcu.krc().cache
    rcu.queue(15)
    assert [block.pfn for block in rcu.krc().channels[0]] == [below, top]


def test_the_monitor_waits_for_the_reclaim_work_of_its_cpu() -> None:
    rcu = KfreeRcu("v5.9", timing=Timing(gp_ns=1 * MS, free_ns=10 * MS), events=512, page_size=SMALL)
    rcu.queue(2)
    rcu.advance(21 * MS + 5 * MS)  # its work has begun, and takes 20 ms
    rcu.queue(1)
    rcu.settle()
    inside = False
    for event in rcu.events():
        inside = (inside or event.name == "W") and event.name != "E"
        assert not (inside and event.name == "M")


def test_version_6_6_frees_what_is_ready_before_it_hands_over() -> None:
    rcu = KfreeRcu("v6.6", timing=Timing(gp_ns=1 * MS), events=512, page_size=SMALL)
    rcu.queue(1)
    rcu.call_rcu(1)
    rcu.advance(4 * MS)  # a whole grace period of someone else's
    rcu.advance(5000 * MS)
    assert [event.a[1] for event in rcu.events() if event.name == "W"] == [2]  # no batch was needed
    assert rcu.counters.hand_overs == 0
    assert rcu.counters.freed == 1


def test_many_callbacks_hurry_the_grace_period() -> None:
    ends = {}
    for count in (10_000, 10_001):
        rcu = KfreeRcu("v5.9", timing=Timing(gp_ns=100 * MS, gp_expedited_ns=10 * MS), events=64, page_size=SMALL)
        rcu.call_rcu(count)
        rcu.settle()
        ends[count] = next(event.t_ns for event in rcu.events() if event.name == "GPend")
    assert ends == {10_000: 100 * MS, 10_001: 10 * MS}


def test_without_batches_every_object_is_a_callback() -> None:
    rcu = KfreeRcu("call_rcu")
    rcu.queue(100)
    rcu.settle()
    assert rcu.counters.kfree_one == rcu.counters.cache_misses == 100
    assert rcu.counters.pages_alloc == 0


# the one-argument form


def test_the_one_argument_form_waits_without_a_block() -> None:
    rcu = KfreeRcu("v5.9", fail=1.0, min_cached=0, timing=Timing(gp_ns=7 * MS), page_size=SMALL)
    rcu.queue(3, one_argument=True)
    c = rcu.counters
    assert (c.stalls, c.freed, c.head_objects) == (3, 3, 0)
    assert rcu.krc().count == 0
    assert not rcu.krc().monitor_todo
    assert c.stall_ns == 3 * 7 * MS


def test_since_5_13_it_allocates_with_the_lock_dropped() -> None:
    rcu = KfreeRcu("v5.15", page_size=SMALL)
    rcu.queue(1, one_argument=True)
    assert (rcu.counters.pages_alloc, rcu.counters.stalls) == (1, 0)


# the known bugs


def early_free(**how: object) -> KfreeRcu:
    """A slab object whose grace period has begun, then a vmalloc object attached to the same batch."""
    rcu = KfreeRcu(how.pop("name"), timing=Timing(gp_ns=10 * MS), **how, page_size=SMALL)  # type: ignore[arg-type]
    rcu.queue(2, every_ns=1)  # v5.11 begins with an empty cache
    rcu.settle()
    rcu.queue(1)
    rcu.monitor()
    rcu.advance(5 * MS)
    rcu.queue(1, kind="vmalloc")
    rcu.monitor()
    rcu.settle()
    return rcu


@pytest.mark.parametrize("name", ["v5.9", "v5.11", "v5.12"])
def test_attaching_to_a_pending_batch_frees_too_early(name: str) -> None:
    rcu = early_free(name=name)
    assert rcu.counters.to_pending == 1
    assert rcu.counters.early == 1
    assert rcu.was_early(4)
    with pytest.raises(AssertionError, match="freed before a grace period"):
        rcu.check()


@pytest.mark.parametrize("name", ["v5.9", "v5.11", "v5.12", "v5.15", "v6.1", "v6.6"])
def test_the_fix_uses_only_empty_batches(name: str) -> None:
    rcu = early_free(name=name, fixed=True)
    assert (rcu.counters.early, rcu.counters.to_pending) == (0, 0)
    rcu.check()


def test_an_attach_before_the_grace_period_began_is_harmless() -> None:
    rcu = KfreeRcu("v5.9", timing=Timing(gp_ns=10 * MS), page_size=SMALL)
    rcu.call_rcu(1)
    rcu.advance(1 * MS)  # someone else's grace period runs: the batch waits for the next
    rcu.queue(1)
    rcu.monitor()
    rcu.queue(1, kind="vmalloc")
    rcu.monitor()
    rcu.settle()
    assert (rcu.counters.to_pending, rcu.counters.early) == (1, 0)


def test_what_5_8_leaves_behind_goes_with_the_next_call() -> None:
    rcu = KfreeRcu("v5.8", timing=Timing(gp_ns=100 * MS), page_size=SMALL)
    for _ in range(2):  # both batches have their block channel taken
        rcu.queue(1)
        rcu.monitor()
    rcu.queue(1)
    rcu.fail = 1.0
    rcu.queue(13)  # the block is full, one object goes to the head list
    rcu.monitor()  # the head list finds a place, the block does not: and the timer is forgotten
    krc = rcu.krc()
    assert krc.channels[0][0].records == tuple(range(3, 16))
    assert not krc.monitor_todo
    rcu.settle()
    assert rcu.counters.pending == 13  # they wait, however long
    rcu.queue(1)
    rcu.settle()
    assert rcu.counters.pending == 0


# wrong calls


def test_null_is_ignored() -> None:
    rcu = KfreeRcu("v5.9")
    rcu.kfree_rcu(None)
    assert rcu.counters.queued == 0


def test_a_pointer_queued_twice_is_warned_of_and_freed_once() -> None:
    rcu = KfreeRcu("v5.9")
    (ptr,) = rcu.kmalloc()
    rcu.kfree_rcu(ptr)
    rcu.kfree_rcu(ptr)
    assert rcu.reports == ["WARNING: kvfree_call_rcu(1): queued already (double kfree_rcu); this call leaks it"]
    rcu.settle()
    assert (rcu.counters.freed, rcu.counters.duplicates) == (1, 1)
    rcu.check()


def test_an_offset_that_is_none_does_not_compile_and_leaks_below() -> None:
    rcu = KfreeRcu("v5.11", page_size=SMALL)
    ptr, other = rcu.kmalloc(2)
    with pytest.raises(MisuseError, match="compiles only below 4096"):
        rcu.kfree_rcu(ptr, offset=4096)
    rcu.kvfree_call_rcu(ptr, offset=4096)  # no block: the head list, where the offset matters
    rcu.kfree_rcu(other)
    rcu.settle()
    assert (rcu.counters.leaked, rcu.counters.freed) == (1, 1)
    assert "leaks it" in rcu.reports[0]
    rcu.check()


def test_a_one_argument_call_that_may_not_sleep_is_reported() -> None:
    rcu = KfreeRcu("v5.9", fail=1.0, min_cached=0)
    (ptr,) = rcu.kmalloc()
    rcu.kvfree_call_rcu(ptr, may_sleep=False)
    assert [report.split(":")[1].strip() for report in rcu.reports] == [
        "sleeping function called from invalid context",
        "scheduling while atomic",
    ]
    assert rcu.counters.freed == 1


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda rcu: rcu.kfree_rcu(7), "object 7 does not exist"),
        (lambda rcu: rcu.queue(1, cpu=3), "unknown cpu 3"),
        (lambda rcu: rcu.queue(1, kind="page"), "expected slab, vmalloc or mixed"),
        (lambda rcu: rcu.queue(-1), "expected 0 to"),
        (lambda rcu: rcu.advance(-1), "expected 0 to"),
        (lambda rcu: KfreeRcu("v5.9", fail=2), "expected a probability"),
        (lambda rcu: KfreeRcu("v5.9", min_cached=-1), "expected 0 to 1000"),
        (lambda rcu: Timing(hz=0), "expected 50 to 10000"),
        (lambda rcu: Timing(gp_ns=-5), "expected 0 to"),
        (lambda rcu: KfreeRcu("v5.8").queue(1, kind="vmalloc"), "no kvfree_rcu"),
        (lambda rcu: KfreeRcu("v5.8").queue(1, one_argument=True), "no one-argument form"),
    ],
)
def test_bad_input_gets_one_line_and_changes_nothing(call, expected: str) -> None:
    rcu = KfreeRcu("v5.9")
    with pytest.raises(InputError, match=expected):
        call(rcu)
    assert rcu.counters.queued == 0


# pages


def test_what_waits_is_known_in_bytes() -> None:
    rcu = KfreeRcu("v5.9", object_size=192, page_size=SMALL)
    rcu.queue(10)
    assert rcu.pending_bytes == 1920
    rcu.settle()
    assert rcu.pending_bytes == 0


def test_every_block_is_a_page_from_this_cpus_lists() -> None:
    allocator = PageAllocator(Machine((Zone(2, 4096, 1 << 14),), cpus=2))
    rcu = KfreeRcu("v5.9", allocator, min_cached=0)
    before = allocator.pcp_count(1, 2)
    rcu.queue(510 * 3, cpu=1)
    assert before == 0
    batch = allocator.sizes.zones[2].batch
    assert allocator.pcp_count(1, 2) == batch - 3
    assert allocator.pcp_count(0, 2) == 0
    assert rcu.blocks_of(1) == 3
    rcu.settle()
    assert allocator.pcp_count(1, 2) == batch  # back on the lists of the cpu that freed
    allocator.check()


def test_fast_try_gives_no_block_from_an_empty_list() -> None:
    row = proposal("fast_try")
    allocator = PageAllocator(Machine((Zone(2, 4096, 1 << 14),)), row)
    rcu = KfreeRcu("v5.9", allocator, proposal=row, min_cached=0)
    rcu.queue(10)
    assert (rcu.counters.head_objects, rcu.counters.alloc_failed) == (10, 10)
    allocator.free_pages(allocator.alloc_pages("GFP_KERNEL") or 0)  # a tenant refills the list
    rcu.queue(10)
    assert (rcu.counters.head_objects, rcu.counters.pages_alloc) == (10, 1)


def test_deferred_refill_is_what_5_11_does() -> None:
    row = proposal("deferred_refill")
    by_row = KfreeRcu("v5.9", proposal=row, min_cached=5, timing=Timing(fill_delay_ns=1000))
    by_row.queue(510 * 5 + 1)
    assert (by_row.counters.fills, by_row.counters.pages_alloc) == (1, 0)
    by_row.advance(1000)
    assert by_row.counters.pages_alloc == 5


def test_a_schedule_is_what_single_calls_are() -> None:
    one, many = (KfreeRcu("v5.9", page_size=SMALL) for _ in range(2))
    one.queue(60, every_ns=1 * MS)
    numbers = np.arange(1, 61, dtype=np.int64)
    many.kmalloc(60)
    many.schedule(numbers * MS, np.zeros_like(numbers), numbers, np.zeros_like(numbers))
    assert one.counters == many.counters
    assert one.krc() == many.krc()


# on later kernels' lists


@pytest.mark.parametrize("kernel", [name for name in ROWS if name != FIRST])
@pytest.mark.parametrize("name", ["v5.9", "v5.11", "v6.12"])
def test_every_page_of_a_later_kernels_machine_comes_back(kernel: str, name: str) -> None:
    allocator = PageAllocator(Machine((Zone(2, 4096, 1 << 14),), cpus=2), kernel=kernel)
    free = allocator.nr_free(2)
    rcu = KfreeRcu(name, allocator, page_size=SMALL, timing=Timing(gp_ns=MS))
    for cpu in (0, 1):
        rcu.queue(300, cpu, every_ns=1000)
    rcu.advance(20_000 * MS)  # v6.12 waits 5 s before a hand-over
    rcu.check()
    allocator.check()
    assert rcu.counters.freed == 600
    on_lists = sum(allocator.pcp_state(cpu, 2).pages for cpu in (0, 1))
    assert allocator.nr_free(2) + on_lists + rcu.held_pages() == free


def test_blocks_come_from_the_lists_of_the_kernel_that_is_asked() -> None:
    """A kernel of v7.1 for one cpu never has a page on its lists; those of v5.8 and v6.18 have what was freed."""
    served = {}
    for kernel in (FIRST, "v6.18", "v7.1"):
        row = marked(proposal("fast_try"), kernel)
        allocator = PageAllocator(Machine((Zone(2, 4096, 1 << 14),), smp=False), row, kernel=kernel)
        for pfn in [allocator.alloc_pages() for _ in range(8)]:
            assert pfn is not None
            allocator.free_pages(pfn)
        rcu = KfreeRcu("v5.9", allocator, proposal=row, page_size=SMALL, min_cached=0)
        rcu.queue(28)
        served[kernel] = rcu.counters.pages_alloc
    assert served == {FIRST: 2, "v6.18": 2, "v7.1": 0}
