"""What v6.18 added: calls that only try their locks, locks that are held already, and slab."""

from itertools import product

import pytest

from gfpmodel.errors import NotModelledError
from gfpmodel.locking import (
    STACKS,
    Cpu,
    Kernel,
    LockClass,
    Setup,
    Verdict,
    context,
    make_call,
    make_kernel,
    make_request,
    verdict,
)
from gfpmodel.locking.cells import cell
from gfpmodel.locking.slab_rows import Call

KERNEL, RT = make_kernel("v6.18"), make_kernel("v6.18", {"PREEMPT_RT": True})
KERNELS = pytest.mark.parametrize("kernel", [KERNEL, RT], ids=["PREEMPT", "PREEMPT_RT"])
THREADED = ("irqwork", "hrt_soft_decl")  # PREEMPT_RT runs these handlers in a task
TAKEN = ["zone_lock", "zone_lock>zone_lock_dma", "pcp_lock", "pcp_lock>zone_lock>zone_lock_dma", "zone_locks_elsewhere"]


def nolock(
    kernel: Kernel = KERNEL, where: str = "task", pcp: str = "warm", order: int = 0, free: bool = False
) -> Verdict:
    return verdict(make_request(kernel, row="trylock", order=order, free=free), where, Setup(pcp), kernel)


@KERNELS
@pytest.mark.parametrize("free", [False, True], ids=["alloc", "free"])
def test_nolock_is_never_reported_and_never_waits(kernel: Kernel, free: bool) -> None:
    for where, pcp in product([*STACKS, *TAKEN, "pcp_lock>nmi", "pcp_lock>hardirq"], ["warm", "dry", "full"]):
        found = nolock(kernel, where, pcp, free=free)
        assert (found.reports, found.deadlock) == ((), False), (where, pcp)
        assert not [step for step in found.steps if step.what == "acquire"]
        assert found.result == "freed" if free else found.result in ("page", "NULL")


@pytest.mark.parametrize(
    ("where", "pcp", "result", "last"),
    [
        ("zone_lock", "warm", "page", "&pcp->lock"),
        ("zone_lock", "dry", "page", "&zone->lock"),  # from the zone below
        ("zone_lock>zone_lock_dma", "dry", "NULL", "&zone->lock"),
        ("pcp_lock", "warm", "page", "&zone->lock"),  # straight from the free lists
        ("pcp_lock>zone_lock>zone_lock_dma", "warm", "NULL", "&zone->lock"),
        ("zone_locks_elsewhere", "dry", "NULL", "&zone->lock"),
    ],
)
def test_a_lock_that_is_held_already(where: str, pcp: str, result: str, last: str) -> None:
    found = nolock(KERNEL, where, pcp)
    assert (found.result, found.locks[-1]) == (result, last)


@KERNELS
def test_the_context_holds_its_locks_to_the_end(kernel: Kernel) -> None:
    # a trylock that fails must not give the holder's lock back: the next waiter would find it free
    for pcp, free in product(["warm", "dry"], [False, True]):
        found = nolock(kernel, "pcp_lock>zone_lock>zone_lock_dma", pcp, free=free)
        taken = [step.what for step in found.steps if step.lock == "&zone->lock"]
        assert "release" not in taken


@pytest.mark.parametrize("order", [1, 2, 3])
def test_orders_1_to_3_have_lists_since_v5_14(order: int) -> None:
    for name, pcp, listed in (("v5.10", "dry", False), ("v5.15", "dry", True), ("v6.18", "dry", True)):
        kernel = make_kernel(name)
        found = verdict(make_request(kernel, "none", order=order), "task", Setup(pcp), kernel)
        refill = [step for step in found.steps if step.lock == "&zone->lock" and step.where == "__rmqueue_pcplist"]
        assert bool(refill) == listed
    warm = verdict(make_request(KERNEL, "none", order=order), "raw", Setup("warm"), KERNEL)
    assert warm.clean == (order == 1)  # the recorded guests had no pages of higher orders on their lists


def test_a_row_that_refuses_order_1_refuses_it_where_it_has_a_list() -> None:
    for pcp in ("warm", "dry"):
        found = verdict(make_request(KERNEL, row="lockless", order=1), "task", Setup(pcp), KERNEL)
        assert (found.result, found.locks) == ("NULL", [])


def test_order_4_has_no_list() -> None:
    found = verdict(make_request(KERNEL, "none", order=4), "task", Setup("warm"), KERNEL)
    assert found.locks == ["&zone->lock"]
    assert nolock(order=4).result == "NULL"


def test_a_huge_page_has_a_list_with_thp_since_v5_14() -> None:
    for name, thp, order, result, listed in (
        ("v6.18", False, 9, "NULL", False),
        ("v6.18", True, 9, "page", True),
        ("v6.18", True, 8, "NULL", False),
        ("v6.18", True, 4, "NULL", False),
        ("v5.15", True, 9, "page", True),
        ("v5.10", True, 9, "NULL", False),
    ):
        kernel = make_kernel(name, {"TRANSPARENT_HUGEPAGE": thp})
        assert nolock(kernel, order=order).result == result, (name, thp, order)
        assert kernel.lists(order) == listed
    huge = make_kernel("v6.18", {"TRANSPARENT_HUGEPAGE": True})
    assert nolock(huge, "zone_lock>zone_lock_dma", order=9).result == "NULL"  # no huge page waits on the list
    assert nolock(huge, "pcp_lock", order=9).result == "page"
    ordinary = verdict(make_request(huge, "none", order=9), "task", Setup("warm"), huge)
    assert ordinary.locks == ["&pcp->lock", "&zone->lock"]


@pytest.mark.parametrize("pcp", ["warm", "full", "dry"])
def test_kfree_rcu_of_a_cache_with_sheaves_takes_the_barns_lock(pcp: str) -> None:
    sheaf = make_call(KERNEL, "kfree_rcu_sheaf")
    for where in ("task", "raw", "hrt", "hrt_raw", "spin"):
        found = verdict(sheaf, where, Setup(pcp), KERNEL)
        assert "&barn->lock" in found.locks
        assert not found.reports, where
    (report,) = verdict(sheaf, "nmi", Setup(pcp), KERNEL).reports
    assert str(report) == "inconsistent_lock_state on &barn->lock in barn_get_empty_sheaf"
    assert verdict(make_call(RT, "kfree_rcu_sheaf"), "task", Setup(pcp), RT).locks == ["krc.lock"]


def test_an_nmi_over_zlock_interrupts_a_holder_of_every_zones_lock() -> None:
    for order in (0, 1):
        row = {"request": f"NL{order}", "order": str(order), "context": "nmi_over_zlock", "setup": "-"}
        assert cell({**row, "pcp": "dry"}, KERNEL).row()["result"] == "NULL"
        assert cell({**row, "pcp": "warm"}, KERNEL).row()["result"] == "page"
        assert cell({**row, "pcp": "dry", "context": "zlock"}, KERNEL).row()["result"] == "page"  # one zone's only


def test_on_rt_a_threaded_handler_is_a_task() -> None:
    assert nolock(RT, "irqwork").result == "page"
    assert nolock(RT, "irqwork_hard").result == "NULL"


@pytest.mark.parametrize("where", [*STACKS])
def test_on_rt_kmalloc_nolock_gives_up_wherever_a_task_may_not_sleep(where: str) -> None:
    found = verdict(make_call(RT, "kmalloc_nolock"), where, Setup("warm"), RT)
    ordinary = verdict(make_call(RT, "kmalloc"), where, Setup("warm"), RT)
    assert not found.reports
    assert (found.result == "NULL") == bool(ordinary.printed)


def test_kfree_nolock_takes_a_sleeping_lock_on_rt_alone() -> None:
    for where in ("raw", "hrt", "nmi"):
        assert verdict(make_call(KERNEL, "kfree_nolock"), where, Setup("warm"), KERNEL).clean
        lockdep = verdict(make_call(RT, "kfree_nolock"), where, Setup("warm"), RT).lockdep
        assert str(lockdep).endswith("on &s->lock_key#8 in kfree_nolock")


def test_page_owner_lists_a_stack_only_for_a_mask_that_may_wait() -> None:
    owner = Setup("warm", page_owner=True)
    for mask, listed in (("GFP_NOWAIT", True), ("none", False), ("__GFP_HIGH", False)):
        assert ("stack_list_lock" in verdict(make_request(KERNEL, mask), "task", owner, KERNEL).locks) == listed


def test_a_call_that_a_kernel_has_not_is_refused() -> None:
    for name in ("v5.8-rc3", "v6.12"):
        with pytest.raises(NotModelledError, match=r"kmalloc_nolock\(\) came with v6.18"):
            make_call(make_kernel(name), "kmalloc_nolock")
    for name in ("v6.18", "v7.2"):
        with pytest.raises(NotModelledError, match=r"kfree_rcu_nolock\(\) came with v7.3: v[67].* has none"):
            make_call(make_kernel(name), "kfree_rcu_nolock")


SHEAVES = ("v7.0", "v7.3")


def called(name: str, call: Call, where: str, pcp: str = "warm", **config: bool) -> Verdict:
    kernel = make_kernel(name, config)
    return verdict(make_call(kernel, call), where, Setup(pcp), kernel)


@pytest.mark.parametrize("name", SHEAVES)
@pytest.mark.parametrize("where", [*STACKS])
def test_kmalloc_nolock_is_refused_on_rt_in_hard_interrupts_alone_since_v7_0(name: str, where: str) -> None:
    for pcp in ("warm", "dry"):
        assert called(name, "kmalloc_nolock", where, pcp).result == "object"
        found = called(name, "kmalloc_nolock", where, pcp, PREEMPT_RT=True)
        assert not found.reports
        assert (found.result == "NULL") == (found.context.level in ("hardirq", "nmi") and where not in THREADED)


@pytest.mark.parametrize("name", SHEAVES)
@pytest.mark.parametrize("where", [*STACKS])
def test_kfree_nolock_only_tries_since_v7_0(name: str, where: str) -> None:
    for rt, pcp in product((False, True), ("warm", "dry")):
        found = called(name, "kfree_nolock", where, pcp, PREEMPT_RT=rt)
        assert (found.result, found.reports, found.deadlock) == ("freed", (), False)
        assert not [step for step in found.steps if step.what == "acquire"]
        assert "&n->list_lock" not in found.locks


def test_kmalloc_of_sheaves_waits_for_the_node_when_it_cannot_try() -> None:
    for name in SHEAVES:
        assert called(name, "kmalloc", "raw").clean
        assert str(called(name, "kmalloc", "raw", "dry").lockdep).endswith("&n->list_lock in ___slab_alloc")
        assert called(name, "kmalloc", "raw", PREEMPT_RT=True).clean
        in_irq = called(name, "kmalloc", "hrt", PREEMPT_RT=True)  # no local lock can be tried here
        assert in_irq.locks == ["&n->list_lock"]
        assert in_irq.reports


def test_kfree_rcu_takes_the_barns_lock_under_a_raw_one_and_lockdep_is_told_not_to_mind() -> None:
    for name, call in (("v6.18", "kfree_rcu_sheaf"), ("v7.0", "kfree_rcu"), ("v7.3", "kfree_rcu")):
        for where in ("raw", "hrt", "spin_raw"):
            found = called(name, call, where)  # type: ignore[arg-type]
            assert found.locks == ["kfree_rcu_sheaf_map", "&pcs->lock", "&barn->lock"]
            assert found.clean
        nmi = called(name, call, "nmi")  # type: ignore[arg-type]
        assert str(nmi.lockdep) == "inconsistent_lock_state on &barn->lock in barn_get_empty_sheaf"
        assert called(name, call, "raw", PREEMPT_RT=True).locks == ["krc.lock"]  # type: ignore[arg-type]


def test_without_the_override_the_barns_lock_would_be_reported() -> None:
    cpu = Cpu(KERNEL)
    cpu.enter(context("raw"))
    cpu.acquire(KERNEL.lock("&barn->lock"), "barn_get_empty_sheaf")
    assert [report.kind for report in cpu.reports] == ["invalid_wait_context"]


def test_a_lock_under_the_override_counts_again() -> None:
    cpu = Cpu(KERNEL)
    cpu.enter(context("raw"))
    cpu.acquire(KERNEL.lock("kfree_rcu_sheaf_map"), "__kfree_rcu_sheaf", trylock=True)
    cpu.acquire(LockClass("inner", "raw_spinlock_t"), "here")
    cpu.acquire(KERNEL.lock("&barn->lock"), "here")
    assert [report.kind for report in cpu.reports] == ["invalid_wait_context"]


def test_kfree_rcu_allocates_under_the_callers_lock_again() -> None:
    for name in SHEAVES:
        found = called(name, "kfree_rcu", "raw", "dry")
        assert "&n->list_lock" in found.locks
        assert found.clean
        assert called(name, "kfree_rcu", "raw", "dry", PREEMPT_RT=True).locks == ["krc.lock"]


@pytest.mark.parametrize("where", [*STACKS])
def test_kfree_rcu_nolock_only_tries(where: str) -> None:
    for rt, pcp in product((False, True), ("warm", "dry")):
        found = called("v7.3", "kfree_rcu_nolock", where, pcp, PREEMPT_RT=rt)
        assert (found.result, found.reports) == ("queued", ())
        assert not [step for step in found.steps if step.what == "acquire"]
        assert bool(found.steps) == (not rt or found.context.level not in ("hardirq", "nmi") or where in THREADED)
