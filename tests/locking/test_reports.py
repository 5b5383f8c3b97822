"""Reports have the shape of the kernel that is named, and name a kernel that there was."""

import pytest

from gfpmodel.errors import InputError
from gfpmodel.gfp.layouts import kernels
from gfpmodel.locking import Setup, context, make_kernel, make_request, verdict
from gfpmodel.locking.reports import Report

RT, NESTING = {"PREEMPT_RT": True}, {"PROVE_RAW_LOCK_NESTING": True}
NEWEST = [name for name in kernels() if make_kernel(name).version >= (7, 3)]


def slept(name: str, where: str = "spin:some_lock", **config: bool) -> Report:
    kernel = make_kernel(name, config)
    found = verdict(make_request(kernel, "GFP_KERNEL"), where, Setup("warm"), kernel).first("sleeping_function")
    assert found
    return found


def lines(name: str, where: str = "spin:some_lock", **config: bool) -> list[str]:
    return slept(name, where, **config).text().splitlines()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("v4.4", "mm/page_alloc.c"),
        ("v5.8-rc3", "mm/page_alloc.c"),
        ("v5.15", "mm/page_alloc.c"),
        *((name, "include/linux/sched/mm.h") for name in ("v6.1", "v6.6", "v6.12", "v6.18", "v7.3")),
    ],
)
def test_might_alloc_has_a_file_of_its_own_since_v6_0(name: str, file: str) -> None:
    assert lines(name)[0] == f"BUG: sleeping function called from invalid context at {file}"


def test_on_rt_a_sleeping_lock_says_where_it_is() -> None:
    for name, file in (("v5.8-rc3", "rtmutex"), ("v5.15", "spinlock_rt"), ("v6.18", "spinlock_rt")):
        kernel = make_kernel(name, RT)
        found = verdict(make_request(kernel, "GFP_NOWAIT"), "raw", Setup("dry"), kernel).first("sleeping_function")
        assert found
        assert found.text().splitlines()[0].endswith(f" at kernel/locking/{file}.c")


def test_the_lines_of_a_report_of_sleep_by_version() -> None:
    assert lines("v4.19")[1] == "in_atomic(): 1, irqs_disabled(): 0, pid: 1, name: caller"
    assert lines("v5.15")[1:3] == [
        "in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 1, name: caller",
        "1 lock held by caller/1:",
    ]
    assert lines("v6.1", "rcu>spin:some_lock")[1:5] == [
        "in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 1, name: caller",
        "preempt_count: 1, expected: 0",
        "RCU nest depth: 1, expected: 0",
        "2 locks held by caller/1:",
    ]


def test_a_sleeping_lock_may_be_taken_in_an_rcu_section_and_expects_it() -> None:
    kernel = make_kernel("v6.18", RT)
    found = verdict(make_request(kernel, "GFP_NOWAIT"), "rcu>raw", Setup("dry"), kernel).first("sleeping_function")
    assert found
    # the section of the caller, and the one that the lock of this cpu's lists opens
    assert "RCU nest depth: 2, expected: 2" in found.text().splitlines()


@pytest.mark.parametrize("name", NEWEST)
def test_the_line_above_the_locks_held_since_v7_3(name: str) -> None:
    assert lines(name)[4:6] == [
        "locks held by caller/1: 1, last CPU#0:",
        " #0: (some_lock){+.+.}-{3:3}, at: the caller",
    ]
    assert lines(name, "preemptoff")[4] == "locks held by caller/1: 0, last CPU#0"
    assert not any(
        "lock held by" in line or "locks held by caller/1:" in line for line in lines(name, "preemptoff")[:4]
    )
    assert "no locks held by caller/1." in lines("v6.18", "preemptoff")


def test_there_is_a_kernel_with_the_new_shape() -> None:
    assert NEWEST


@pytest.mark.parametrize(
    ("where", "old", "new"), [("hardirq", 0x10000, 0x1000000), ("irqoff>nmi", 0x110000, 0x11000000)]
)
def test_preempt_count_has_another_layout_since_v7_3(where: str, old: int, new: int) -> None:
    for name, count in (("v5.8-rc3", old), ("v6.18", old), *((name, new) for name in NEWEST)):
        assert slept(name, where).preempt_count == count
        if make_kernel(name).version >= (6, 1):
            assert f"preempt_count: {count:x}, expected: 0" in lines(name, where)


@pytest.mark.parametrize(
    ("name", "config", "release"),
    [
        ("v5.8-rc3", {}, "5.8.0-rc3"),
        ("v5.8-rc3+FAST_TRY", {}, "5.8.0-rc3+"),
        ("v5.8-rc3", RT, "5.10.0-rt17"),
        ("v5.8-rc3+FAST_TRY", RT, "5.10.0-rt17"),
        ("v5.11", RT, "5.11-rt"),
        ("5.15.0-84-generic", {}, "5.15.0-84-generic"),
        ("5.10.59-rt52", RT, "5.10.59-rt52"),
        ("v5.4", RT, "5.4.84-rt47"),
        ("v5.15", RT, "5.15-rt"),
        ("v6.18", RT, "6.18.0"),
        ("v7.0-rc6", RT, "7.0.0-rc6"),
        ("mm-dev", {}, "mm-dev"),
    ],
)
def test_a_banner_names_a_kernel_that_there_was(name: str, config: dict[str, bool], release: str) -> None:
    assert make_kernel(name, config).release == release


def test_a_banner_is_in_the_report() -> None:
    kernel = make_kernel("v5.8-rc3+FAST_TRY", RT)
    found = verdict(make_request(kernel, "__GFP_FAST_TRY"), "raw", Setup("warm"), kernel).lockdep
    assert found
    assert "5.10.0-rt17 #1 Not tainted" in found.text().splitlines()


def test_before_wait_types_a_line_has_none_and_a_title_was_an_info() -> None:
    for name, title in (
        ("v4.4", "[ INFO: possible recursive locking detected ]"),
        ("v5.4", "WARNING: possible recursive locking detected"),
    ):
        kernel = make_kernel(name)
        found = verdict(make_request(kernel, "GFP_NOWAIT"), "zone_lock", Setup("dry"), kernel).lockdep
        assert found
        assert found.text().splitlines()[1:3] == ["=" * len(title), title]
        assert "(&zone->lock){....}, at: __rmqueue_pcplist" in found.text().splitlines()


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("v5.10", "__alloc_pages_nodemask"),
        ("v5.15", "__alloc_pages"),
        ("v6.6", "__alloc_pages"),
        ("v6.12", "__alloc_pages_noprof"),
        ("v6.18", "__alloc_frozen_pages_noprof"),
    ],
)
def test_a_request_has_the_name_of_its_kernel(name: str, entry: str) -> None:
    kernel = make_kernel(name)
    found = verdict(make_request(kernel, "GFP_KERNEL"), "hardirq", Setup("warm"), kernel).lockdep
    assert found
    assert found.where == entry


def test_the_arrow_of_a_locks_name_ends_no_level() -> None:
    where = context("mutex:&q->lock>hardirq > raw:&p->pi_lock")
    assert [(entry.word, entry.name) for entry in where.entries] == [
        ("mutex", "&q->lock"),
        ("hardirq", ""),
        ("raw", "&p->pi_lock"),
    ]
    kernel = make_kernel("v5.15", NESTING)
    found = verdict(make_request(kernel, "GFP_NOWAIT"), "raw:&pool->lock", Setup("dry"), kernel).lockdep
    assert found
    assert " #0: (&pool->lock){+.+.}-{2:2}, at: the caller" in found.text().splitlines()


def test_a_kernel_without_wait_types_has_no_option_for_them() -> None:
    for name in ("v4.4", "v5.4"):
        with pytest.raises(InputError, match=f"{name} has no config PROVE_RAW_LOCK_NESTING, which came with v5.7"):
            make_kernel(name, NESTING)
        assert not make_kernel(name, RT).nesting
        assert not make_kernel(name, {"PROVE_RAW_LOCK_NESTING": False}).nesting
