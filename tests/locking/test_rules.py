"""The checks one by one: wait types, usage, sleeping, self-deadlock; worked out by hand from the kernel's rules."""

import pytest

from gfpmodel.errors import InputError
from gfpmodel.locking import Cpu, LockClass, LockGraph, Setup, context, make_kernel, make_request, verdict
from gfpmodel.locking.classes import Kind, wait_number
from gfpmodel.locking.verdict import learned, new_cpu

PATCHED = "v5.8-rc3+FAST_TRY"
NESTING = {"PROVE_RAW_LOCK_NESTING": True}
KERNEL = make_kernel(PATCHED, NESTING)
RT = make_kernel(PATCHED, {"PREEMPT_RT": True})
TODAY = make_kernel("v6.18", NESTING)
LOCKS: dict[str, Kind] = {"raw": "raw_spinlock_t", "spin": "spinlock_t", "mutex": "mutex", "rcu": "rcu"}


def test_wait_types_have_the_kernels_numbers() -> None:
    assert [wait_number(wait, True) for wait in range(6)] == [0, 1, 2, 3, 4, 5]
    assert [wait_number(wait, False) for wait in range(6)] == [0, 1, 2, 2, 3, 4]
    assert LockClass("x", "rcu").types(True) == "{1:3}"
    assert LockClass("x", "rcu_sched").types(True) == "{1:2}"
    assert LockClass("x", "spinlock_t").text(False) == "spinlock_t {2:2}"


@pytest.mark.parametrize(
    ("held", "reported"),
    [
        ("task", ""),
        ("raw", "spin mutex"),
        ("spin", "mutex"),
        ("rcu", "mutex"),
        ("rcu_sched", "spin mutex"),
        ("mutex", ""),
        ("hardirq", ""),
        ("mutex>hardirq", "spin mutex"),
        ("mutex>hardirq_threadable", "mutex"),
        ("mutex>softirq", "mutex"),
        ("softirq", ""),
    ],
)
def test_the_table_of_nesting(held: str, reported: str) -> None:
    for word, kind in LOCKS.items():
        cpu = Cpu(KERNEL)
        cpu.enter(context(held))
        cpu.acquire(LockClass("next", kind), "here")
        kinds = [report.kind for report in cpu.reports if report.kind != "sleeping_function"]
        assert kinds == (["invalid_wait_context"] if word in reported.split() else []), word


def test_without_nesting_a_spinlock_under_a_raw_one_is_fine() -> None:
    for kernel, reports in ((make_kernel(PATCHED), 0), (KERNEL, 1)):
        cpu = Cpu(kernel)
        cpu.enter(context("raw"))
        cpu.acquire(LockClass("next", "spinlock_t"), "here")
        assert len(cpu.reports) == reports


def test_the_first_lock_is_checked_from_v5_15_on() -> None:
    for name, reports in (("v5.8-rc3", 0), ("v5.11", 0), ("v5.15", 1), ("v6.18", 1)):
        cpu = Cpu(make_kernel(name, NESTING))
        cpu.enter(context("hardirq"))
        cpu.acquire(LockClass("next", "spinlock_t"), "here")
        assert len(cpu.reports) == reports, name


def test_a_trylock_is_exempt_but_restricts_others() -> None:
    cpu = Cpu(KERNEL)
    cpu.enter(context("raw"))
    assert cpu.acquire(LockClass("tried", "spinlock_t"), "here", trylock=True)
    assert not cpu.reports
    held = Cpu(KERNEL)
    held.enter(context("raw_try"))
    held.acquire(LockClass("next", "spinlock_t"), "here")
    assert held.reports[0].context_base == 5


def test_one_report_and_lockdep_is_off() -> None:
    cpu = Cpu(KERNEL)
    cpu.enter(context("raw"))
    for name in ("one", "two"):
        cpu.acquire(LockClass(name, "spinlock_t"), "here")
    assert [report.lock.name for report in cpu.reports if report.lock] == ["one"]
    assert not cpu.debug_locks


def test_usage_is_learned_by_watching_a_task() -> None:
    for kernel, zone, pcp in ((KERNEL, "....", None), (RT, "+.+.", "+.+.")):
        usage, graph = learned(kernel)
        cpu = Cpu(kernel, usage)
        assert cpu.usage_text("fs_reclaim") == "+.+."
        assert cpu.usage_text("&zone->lock") == zone
        assert ("pa_lock" in usage) == (pcp is not None)
        assert not graph.cycle()
    assert learned(RT)[1].path("pa_lock", "&zone->lock") == ["pa_lock", "&zone->lock"]


def test_a_lock_that_breaks_both_rules_is_reported_for_its_wait_type() -> None:
    request = make_request(RT, "__GFP_FAST_TRY")
    assert kinds(verdict(request, "hrt", Setup("warm"), RT).reports) == ["inconsistent_lock_state", "sleeping_function"]
    assert kinds(verdict(request, "hrt_raw", Setup("warm"), RT).reports) == [
        "invalid_wait_context",
        "sleeping_function",
    ]


def kinds(reports: object) -> list[str]:
    return [report.kind for report in reports]  # type: ignore[attr-defined]


def test_prove_locking_0_switches_the_usage_check_off_and_no_other() -> None:
    request = make_request(RT, "__GFP_FAST_TRY")
    for where, kind in (("hrt", []), ("hrt_raw", ["invalid_wait_context"])):
        found = verdict(request, where, Setup("warm", prove=False), RT)
        assert kinds(found.reports) == [*kind, "sleeping_function"]


def test_run_time_spinlocks_of_the_rt_tree_have_no_wait_type() -> None:
    assert RT.lock("&zone->lock").types(True) == "{0:0}"
    assert RT.lock("pa_lock").types(True) == "{3:3}"
    assert make_kernel("v6.18", {"PREEMPT_RT": True}).lock("&zone->lock").types(True) == "{3:3}"


def test_scheduling_while_atomic_needs_contention_and_preemption_off() -> None:
    request = make_request(RT, "GFP_NOWAIT|__GFP_NOWARN")
    for where, contended, said in (
        ("raw", False, False),
        ("raw", True, True),
        ("irqoff", True, False),
        ("task", True, False),
        ("spin", True, False),
    ):
        found = verdict(request, where, Setup("warm", contended=contended), RT)
        assert ("scheduling_while_atomic" in kinds(found.reports)) == said, where
    quiet = make_kernel(PATCHED, {"PREEMPT_RT": True, "DEBUG_ATOMIC_SLEEP": False})
    found = verdict(request, "raw_irqsave", Setup("warm", contended=True), quiet)
    assert kinds(found.reports) == ["invalid_wait_context", "scheduling_while_atomic"]
    assert found.reports[1].text().startswith("BUG: scheduling while atomic: caller/1/0x00000002\n")  # as on a real -rt


@pytest.mark.parametrize(
    ("name", "config", "context_of", "result"),
    [
        (PATCHED, NESTING, "task", "NULL"),
        (PATCHED, NESTING, "raw", "NULL"),
        (PATCHED, NESTING, "hrt", "page"),
        (PATCHED, NESTING, "softirq", "page"),
        (PATCHED, NESTING, "bhoff", "page"),
        ("v6.18", NESTING, "bhoff", "NULL"),
    ],
)
def test_nothing_is_charged_in_an_interrupt(name: str, config: dict[str, bool], context_of: str, result: str) -> None:
    kernel = make_kernel(name, config)
    accounted = make_request(kernel, "GFP_NOWAIT|__GFP_ACCOUNT")
    found = verdict(accounted, context_of, Setup("warm", memcg="fail"), kernel)
    assert (found.result, found.locks.count("memcg_stock.lock")) == (result, name == "v6.18" and result == "NULL")


def test_the_stock_of_charges_has_no_lock_then_one_then_a_trylock() -> None:
    for name, how in (("v5.8-rc3", []), ("v5.15", []), ("v6.1", ["acquire"]), ("v6.18", ["try"])):
        kernel = make_kernel(name, NESTING)
        found = verdict(make_request(kernel, "GFP_NOWAIT|__GFP_ACCOUNT"), "task", Setup("warm", memcg="ok"), kernel)
        assert [step.what for step in found.steps if step.lock == "memcg_stock.lock" and step.what != "release"] == how


def test_sections_and_readers_nest() -> None:
    nowait = make_request(KERNEL, "GFP_NOWAIT")
    for text in ("rcu>rcu", "rcu>hardirq>rcu", "rwlock_r:a>hardirq>rwlock_r:a"):
        found = verdict(nowait, text, Setup("warm"), KERNEL)
        assert not found.deadlock, text
    assert verdict(nowait, "rcu>rcu", Setup("warm"), KERNEL).clean
    assert verdict(nowait, "bhoff>bhoff", Setup("warm"), RT).clean


def test_an_rcu_section_forbids_sleep_except_to_the_first_rt_trees() -> None:
    for kernel, kind in ((KERNEL, ["sleeping_function"]), (RT, [])):
        found = verdict(make_request(kernel, "GFP_KERNEL"), "mutex>rcu", Setup("warm"), kernel)
        assert kinds(found.printed) == kind


def test_no_lockdep_no_report() -> None:
    for config in ({"LOCKDEP": False}, {"PROVE_LOCKING": False}):
        kernel = make_kernel(PATCHED, {**config, "DEBUG_ATOMIC_SLEEP": False})
        assert verdict(make_request(kernel, "GFP_KERNEL"), "hrt_raw", Setup(), kernel).clean


def test_an_nmi_may_only_try() -> None:
    for kernel in (TODAY, make_kernel("v5.10"), RT):
        found = verdict(make_request(kernel, "GFP_NOWAIT"), "nmi", Setup(), kernel)
        first = found.reports[0]
        assert (first.kind, first.conflict) == ("inconsistent_lock_state", ("INITIAL USE", "IN-NMI")), kernel.name
    quiet = verdict(make_request(KERNEL, "GFP_NOWAIT"), "raw>nmi", Setup("warm"), KERNEL)
    assert not quiet.reports
    assert quiet.unsafe  # interrupts are off, which does not keep an NMI out of the list
    assert not quiet.clean
    assert verdict(make_request(TODAY, row="trylock"), "nmi", Setup(), TODAY).clean
    assert not verdict(make_request(TODAY, "GFP_NOWAIT"), "nmi", Setup("warm"), TODAY).unsafe


def test_v5_8_looks_at_the_wrong_bit_in_an_nmi_and_earlier_kernels_at_none() -> None:
    for name in ("v5.4", PATCHED):
        kernel = make_kernel(name)
        for order in (0, 1):
            found = verdict(make_request(kernel, "GFP_NOWAIT", order=order), "nmi", Setup(), kernel)
            assert not found.reports
            assert found.unsafe  # it waits for a lock whose holder it may have interrupted
    # the typing error tests 1 << 3, which is "taken for reading with interrupts on"
    for name, bits, reported in (
        (PATCHED, "HARDIRQ-ON-R", 1),
        (PATCHED, "HARDIRQ-ON-W", 0),
        ("v5.4", "HARDIRQ-ON-R", 0),
    ):
        cpu = Cpu(make_kernel(name), {"x": {bits}})
        cpu.enter(context("nmi"))
        cpu.acquire(LockClass("x", "spinlock_t"), "here")
        assert len(cpu.reports) == reported, (name, bits)


def test_a_map_that_overrides_lets_a_spinlock_be_taken_under_a_raw_lock() -> None:
    for order, reported in ((("raw", "map"), 0), (("map", "raw"), 1)):
        cpu = Cpu(TODAY)
        for word in order:
            kind: Kind = "wait_override" if word == "map" else "raw_spinlock_t"
            cpu.acquire(LockClass(word, kind), "here", trylock=word == "map")
        cpu.acquire(LockClass("next", "spinlock_t"), "here")
        assert len(cpu.reports) == reported, order


def test_a_lock_called_as_one_of_the_kernels_is_of_the_kind_that_was_said() -> None:
    for word, types in (("raw", "{2:2}"), ("spin", "{3:3}")):
        cpu = Cpu(KERNEL)
        cpu.enter(context(f"{word}:krc.lock"))
        assert cpu.held[0].lock.types(True) == types


def test_call_rcu_under_zone_lock_waits_for_itself() -> None:
    for row in ("nowait", "raw_zone_lock"):  # a raw lock is no help
        found = verdict(make_request(KERNEL, row=row), "zone_lock", Setup(), KERNEL)
        assert found.deadlock
        assert found.result == "NULL"
        assert kinds(found.reports) == ["recursive_locking"]
        assert "*** DEADLOCK ***" in found.reports[0].text()
        assert found.graph.cycle() == ["&zone->lock", "&zone->lock"]
    for row in ("fast_try", "trylock"):
        assert verdict(make_request(KERNEL, row=row), "zone_lock", Setup(), KERNEL).clean


def test_the_order_of_locks_is_learned_from_one_request_and_broken_by_another() -> None:
    plain = make_kernel(PATCHED)
    first = verdict(make_request(plain, "GFP_NOWAIT"), "raw:krc.lock", Setup(), plain)
    assert first.clean
    assert first.graph.path("krc.lock", "&zone->lock")
    second = verdict(make_request(plain, "__GFP_FAST_TRY"), "zone_lock>raw:krc.lock", Setup(), plain, first.graph)
    assert kinds(second.before) == ["circular_locking"]
    assert second.before[0].chain == ("krc.lock", "&zone->lock")
    assert "krc.lock -> &zone->lock" in second.before[0].text()
    assert sorted(second.graph.cycle()[:-1]) == ["&zone->lock", "krc.lock"]


def test_on_rt_the_two_locks_of_the_allocator_turn_round_as_well() -> None:
    found = verdict(make_request(RT, "__GFP_FAST_TRY"), "zone_lock", Setup("warm"), RT)
    assert kinds(found.reports) == ["circular_locking"]


def test_a_graph_without_cycles() -> None:
    graph = LockGraph()
    graph.add(["a"], "b", "f")
    graph.add(["a", "b"], "c", "g")
    assert graph.path("a", "c") == ["a", "c"]
    assert graph.path("c", "a") == graph.cycle() == []
    assert str(graph).splitlines() == ["a -> b (f)", "a -> c (g)", "b -> c (g)"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nmi>mutex", "a mutex cannot be taken in nmi"),
        ("hardirq>mutex", "a mutex cannot be taken in hardirq"),
        ("hardirq>softirq", "softirq cannot interrupt hardirq"),
        ("nmi>nmi", "nmi cannot interrupt nmi"),
        ("irqoff>hardirq", "cannot come while interrupts are off"),
        ("bhoff>softirq", "cannot come while softirqs are off"),
        ("raw>raw", "ft_raw is held already"),
        ("irqoff:x", "irqoff takes no lock"),
        ("raw>qspinlock", "unknown lock or context item 'qspinlock'"),
        ("hrtt", "unknown context 'hrtt'; did you mean hrt"),
        ("", "unknown context ''"),
    ],
)
def test_contexts_that_cannot_be(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        context(text)


def test_more_that_cannot_be() -> None:
    with pytest.raises(InputError, match="off -1 times"):
        context("task", preempt_depth=-1)
    with pytest.raises(InputError, match="did you mean &zone->lock"):
        KERNEL.lock("&zone->loc")
    with pytest.raises(InputError, match="unknown config 'PREEMPT'; did you mean PREEMPT_RT"):
        make_kernel(PATCHED, {"PREEMPT": True})
    with pytest.raises(InputError, match="PROVE_RAW_LOCK_NESTING=y needs PROVE_LOCKING=y"):
        make_kernel(PATCHED, {"PROVE_RAW_LOCK_NESTING": True, "PROVE_LOCKING": False})


def test_preemption_off_by_depth_is_seen_by_the_test_for_sleeping_only() -> None:
    found = verdict(make_request(KERNEL, "GFP_KERNEL"), context("task", preempt_depth=2), Setup(), KERNEL)
    assert kinds(found.reports) == ["sleeping_function"]
    assert "in_atomic(): 1, irqs_disabled(): 0" in found.reports[0].text()


def test_a_cpu_starts_with_what_boot_taught_and_teaches_nobody() -> None:
    one = new_cpu(KERNEL)
    one.enter(context("hardirq"))
    one.acquire(KERNEL.lock("&zone->lock"), "here")
    assert one.usage_text("&zone->lock") == "-..."
    assert new_cpu(KERNEL).usage_text("&zone->lock") == "...."


def test_the_report_has_the_kernels_shape() -> None:
    text = verdict(make_request(KERNEL, "GFP_NOWAIT"), "raw:krc.lock", Setup(), KERNEL).reports[0].text()
    assert text.splitlines() == [
        "",
        "=============================",
        "[ BUG: Invalid wait context ]",
        "5.8.0-rc3+ #1 Not tainted",
        "-----------------------------",
        "caller/1 is trying to lock:",
        "(&zone->lock){....}-{3:3}, at: __rmqueue_pcplist",
        "other info that might help us debug this:",
        "context-{5:5}",
        "1 lock held by caller/1:",
        " #0: (krc.lock){+.+.}-{2:2}, at: the caller",
        "stack backtrace:",
    ]


def test_another_lock_of_the_zones_class_is_not_the_zones() -> None:
    """A lock called as a zone's is of its class, and lockdep reports that; whose it is the name does not say."""
    found = verdict(make_request(KERNEL, "GFP_NOWAIT"), "spin:&zone->lock", Setup("dry"), KERNEL)
    assert [report.kind for report in found.reports] == ["recursive_locking"]
    assert not found.deadlock
