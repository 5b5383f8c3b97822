"""The locks of a request are those of the path that the engine took, and the matrix follows the engine."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from gfpmodel.locking import Setup, make_kernel, make_request, verdict
from gfpmodel.locking.matrix import CONFIGS, matrix
from gfpmodel.locking.steps import Walk
from gfpmodel.mm import Event, Machine, PageAllocator, Zone
from gfpmodel.mm import events as ev
from gfpmodel.proposals import PROPOSALS, proposal

PATCHED = "v5.8-rc3+FAST_TRY"
KERNEL = make_kernel(PATCHED, {"PROVE_RAW_LOCK_NESTING": True})
RT = make_kernel(PATCHED, {"PREEMPT_RT": True})
ZONE, KSWAPD, KCOMPACTD = "&zone->lock", "&pgdat->kswapd_wait", "&pgdat->kcompactd_wait"


def locks(gfp: str, order: int = 0, kernel: object = KERNEL, **setup: object) -> list[str]:
    chosen = Setup(**setup)  # type: ignore[arg-type]
    return verdict(make_request(kernel, gfp, order=order), "task", chosen, kernel).locks  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gfp", "order", "setup", "found"),
    [
        ("__GFP_FAST_TRY", 0, {"pcp": "dry"}, []),
        ("__GFP_FAST_TRY", 0, {"pcp": "warm"}, []),
        ("__GFP_FAST_TRY", 1, {"pcp": "warm"}, [ZONE]),
        ("__GFP_FAST_TRY", 0, {"pcp": "boost"}, []),
        ("__GFP_FAST_TRY", 0, {"pcp": "boostwm"}, [KSWAPD]),
        ("__GFP_FAST_TRY", 0, {"pcp": "warm", "page_owner": True}, ["depot_lock"]),
        ("__GFP_FAST_TRY", 0, {"pcp": "dry", "page_owner": True}, []),
        ("__GFP_FAST_TRY", 0, {"pcp": "warm", "page_owner": True, "slab_due": True}, [ZONE, "depot_lock"]),
        ("__GFP_FAST_TRY|__GFP_ACCOUNT", 0, {"pcp": "full", "memcg": "fail"}, []),
        ("none", 0, {"pcp": "warm"}, []),
        ("none", 0, {"pcp": "dry"}, [ZONE]),
        ("GFP_KERNEL", 0, {"pcp": "warm"}, ["fs_reclaim"]),
        ("GFP_NOFS", 0, {"pcp": "warm"}, []),
        ("GFP_KERNEL|__GFP_NOLOCKDEP", 0, {"pcp": "warm"}, []),
    ],
)
def test_which_locks_a_request_takes(gfp: str, order: int, setup: dict[str, object], found: list[str]) -> None:
    assert locks(gfp, order, **setup) == found


def test_on_rt_the_lists_are_behind_a_lock_whatever_the_flag() -> None:
    for gfp in ("__GFP_FAST_TRY", "none", "GFP_NOWAIT"):
        for pcp in ("warm", "dry"):
            assert locks(gfp, kernel=RT, pcp=pcp)[0] == "pa_lock"
    assert locks("__GFP_FAST_TRY|__GFP_ACCOUNT", kernel=RT, pcp="warm", memcg="ok") == ["pa_lock", "memcg_stock.lock"]


def test_a_later_kernel_asks_the_mask_before_it_wakes_kswapd_for_a_boost() -> None:
    for name, found in (("v6.1", True), ("v6.6", False)):
        kernel = make_kernel(name)
        assert (KSWAPD in locks("none", kernel=kernel, pcp="boostwm")) == found
        assert KSWAPD in locks("GFP_NOWAIT", kernel=kernel, pcp="boostwm")


def test_a_free_takes_the_zone_lock_only_at_high() -> None:
    for pcp, found in (("dry", []), ("warm", []), ("full", [ZONE])):
        request = replace(make_request(KERNEL, "none"), free=True)
        seen = verdict(request, "task", Setup(pcp), KERNEL)
        assert (seen.result, seen.locks) == ("freed", found)


def small() -> PageAllocator:
    machine = Machine((Zone(1, 4096, 12288),), watermark_boost_factor=0, mobility_disabled=False)
    return PageAllocator(machine, events=1 << 16)


def walk(a: PageAllocator, mask: int, order: int = 0) -> list[str]:
    a.events()
    page = a.alloc_pages(mask, order)
    steps = Walk(a, KERNEL, mask).request(a.events(), page, order)
    return [f"{step.lock} {step.where}" for step in steps if step.what == "acquire"]


def test_the_slow_path_wakes_kswapd_reserves_a_block_and_reports_the_failure() -> None:
    a = small()
    low, least = a.sizes.zones[1].wmark[1], a.sizes.zones[1].wmark[0]
    while a.nr_free(1) > low:
        a.alloc_pages(0x2800)
    found = walk(a, 0x2A20, 1)  # GFP_ATOMIC|__GFP_NOWARN
    assert found[0] == f"{KSWAPD} __wake_up_common_lock"
    assert found[-1] == f"{ZONE} reserve_highatomic_pageblock"
    assert f"{ZONE} get_page_from_freelist" in found
    while a.alloc_pages(0x2800) is not None:
        pass
    assert a.nr_free(1) <= least + a.counters(1)["nr_reserved_highatomic"] + 1
    assert walk(a, 0x2800)[0] == f"{KSWAPD} __wake_up_common_lock"  # GFP_NOWAIT|__GFP_NOWARN
    assert f"{ZONE} show_free_areas" not in walk(a, 0x2800)
    assert walk(a, 0x800)[-1] == f"{ZONE} show_free_areas"  # and without __GFP_NOWARN
    plain = walk(a, 0)
    assert plain[-1] == f"{ZONE} show_free_areas"  # gfp 0 wakes nobody, and still takes the lock
    assert not [step for step in plain if KSWAPD in step]


def test_kcompactd_is_woken_where_kswapd_has_nothing_to_do() -> None:
    a = small()
    for order, mask, lock in ((0, 0x2800, ""), (4, 0x2800, KCOMPACTD), (4, 0xCC0, "")):
        event = Event(0, 0, ev.WAKE_KSWAPD, 1, (order, 1))  # another CPU freed pages since the request failed
        assert [step.lock for step in Walk(a, KERNEL, mask).wakeup_kswapd(event) if step.what == "acquire"] == (
            [lock] if lock else []
        )
    while a.alloc_pages(0x2800, 9) is not None:
        pass
    event = Event(0, 0, ev.WAKE_KSWAPD, 1, (9, 1))
    assert KSWAPD in [step.lock for step in Walk(a, KERNEL, 0x2800).wakeup_kswapd(event)]


def test_removing_the_gate_on_rmqueue_bulk_changes_the_matrix() -> None:
    row = proposal("fast_try")
    open_gate = replace(row, refill="yes")
    gated, ungated = (matrix([rule], (0,), ("raw", "irqoff", "zone_lock")) for rule in (row, open_gate))
    assert gated.rows() != ungated.rows()
    for one, other in zip(gated.cells, ungated.cells, strict=True):
        if one.pcp == "dry" and one.config == "PROVE_RAW_LOCK_NESTING" and one.context == "raw":
            assert one.verdict.clean
            assert one.verdict.result == "NULL"
            assert [r.kind for r in other.verdict.reports] == ["invalid_wait_context"]
            assert other.verdict.result == "page"
    assert not [cell for cell in gated.cells if cell.verdict.deadlock]
    assert [cell for cell in ungated.cells if cell.verdict.deadlock]


NO_GATE = """
import gfpmodel.mm.pcp as pcp
from gfpmodel.locking.matrix import matrix
if {gate_removed}:
    pcp.st.REFILL_NO, pcp.may_lock = None, lambda *_: True
print(matrix(["fast_try"], (0,), ("task", "raw", "hrt_raw")).csv())
"""


def test_removing_the_gate_from_the_engine_itself_changes_the_matrix() -> None:
    def table(gate_removed: bool) -> str:
        code = [sys.executable, "-c", NO_GATE.format(gate_removed=gate_removed)]
        environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}  # interpreted: the engine's function can be replaced
        return subprocess.run(code, env=environment, capture_output=True, text=True, check=True).stdout

    gated, ungated = table(False), table(True)
    line = "fast_try,0,raw,dry,PROVE_RAW_LOCK_NESTING,"
    assert f"{line}NULL,,,no,no\n" in gated
    assert f"{line}page,invalid_wait_context:&zone->lock,&zone->lock,no,no\n" in ungated
    assert gated == matrix(["fast_try"], (0,), ("task", "raw", "hrt_raw")).csv() + "\n"


def test_the_whole_matrix() -> None:
    table = matrix()
    assert len(table.cells) == len(PROPOSALS) * 2 * 27 * 2 * len(CONFIGS)
    assert len(table.csv().splitlines()) == len(table.cells) + 1
    counts = table.counts()
    assert counts["trylock"]["reported"] == 0
    cache = [cell for cell in table.select(proposal="deferred_refill").cells if not cell.verdict.clean]
    assert {(cell.order, cell.context) for cell in cache} == {(0, "nmi")}  # for the lock of its cache
    assert {cell.config for cell in cache if cell.verdict.reports} == {"PREEMPT_RT 2020", "PREEMPT_RT today"}
    cached = {(c.order, c.pcp): c.verdict.result for c in table.select(proposal="deferred_refill").cells}
    assert cached == {(0, "warm"): "page", (0, "dry"): "NULL", (1, "warm"): "NULL", (1, "dry"): "NULL"}  # single pages
    assert table.select(proposal="trylock", config="PREEMPT_RT today").counts()["trylock"]["unsafe"] == 0
    assert counts["fast_try"] == counts["no_locks"]  # the lists scanned differ, the locks do not
    for name, order, config, reported in (
        ("fast_try", 0, "mainline", 0),
        ("fast_try", 0, "PROVE_RAW_LOCK_NESTING", 0),
        ("lockless", 1, "PREEMPT_RT 2020", 0),
    ):
        cells = table.select(proposal=name, order=order, config=config).cells
        assert len([cell for cell in cells if cell.verdict.reports]) == reported, name
    assert table.select(proposal="fast_try", order=0, config="PREEMPT_RT 2020", context="raw").counts() == {
        "fast_try": {"page": 0, "NULL": 0, "reported": 2, "unsafe": 0}
    }


def test_trylock_gives_null_where_a_sleeping_lock_cannot_be_tried() -> None:
    table = matrix(["trylock"], (0,), ("hrt", "nmi", "raw_irqsave", "softirq"), configs=("PREEMPT_RT today",))
    assert {(cell.context, cell.verdict.result) for cell in table.cells} == {
        ("hrt", "NULL"),
        ("nmi", "NULL"),
        ("raw_irqsave", "page"),
        ("softirq", "page"),
    }
