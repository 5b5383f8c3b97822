"""What v6.18 added: calls that only try their locks, locks that are held already, and slab."""

from itertools import product

import pytest

from gfpmodel.errors import NotModelledError
from gfpmodel.locking import STACKS, Kernel, Setup, Verdict, make_call, make_kernel, make_request, verdict
from gfpmodel.locking.cells import cell

KERNEL, RT = make_kernel("v6.18"), make_kernel("v6.18", {"PREEMPT_RT": True})
KERNELS = pytest.mark.parametrize("kernel", [KERNEL, RT], ids=["PREEMPT", "PREEMPT_RT"])
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


def test_slab_of_another_kernel_is_not_modelled() -> None:
    for name in ("v5.8-rc3", "v6.12", "v7.0-rc6"):
        with pytest.raises(NotModelledError, match="kmalloc_nolock"):
            make_call(make_kernel(name), "kmalloc_nolock")
