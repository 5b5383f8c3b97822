"""GFP_ATOMIC_RT: what it does to its own users on PREEMPT_RT, elsewhere, and to everybody else's masks."""

import pytest

from gfpmodel.locking import Kernel, Setup, Verdict, make_kernel, make_request, verdict
from gfpmodel.locking.matrix import matrix
from gfpmodel.mm.rules import ORDINARY

ROW = "gfp_atomic_rt"
RT, NESTING = make_kernel("v7.1", {"PREEMPT_RT": True}), make_kernel("v7.1", {"PROVE_RAW_LOCK_NESTING": True})
ZONE = "&zone->lock"


def ask(kernel: Kernel, gfp: str | None = None, row: str | None = ROW, where: str = "raw", pcp: str = "dry") -> Verdict:
    return verdict(make_request(kernel, gfp, row), where, Setup(pcp), kernel)


def test_on_rt_it_is_the_function_that_exists() -> None:
    """Cell by cell what alloc_pages_nolock() gives, its mask and its low watermark apart."""
    mine, function = (
        [cell.row() | {"proposal": ""} for cell in matrix([row], (0, 1), configs=["PREEMPT_RT today"]).cells]
        for row in (ROW, "trylock")
    )
    assert mine == function
    assert ask(RT).request.mask == 0x20
    assert ask(RT, pcp="min").result == "page"  # __GFP_HIGH may use reserves
    assert ask(RT, row="trylock", pcp="min").result == "NULL"


def test_elsewhere_it_is_gfp_atomic_and_so_are_its_reports() -> None:
    mine, atomic = ask(NESTING), ask(NESTING, "GFP_ATOMIC", None)
    assert mine.request.served_by is ORDINARY
    assert (mine.row(), mine.locks) == (atomic.row(), atomic.locks)
    assert mine.row()["lock"] == ZONE


def test_a_matrix_shows_where_it_changes_anything() -> None:
    table = matrix(["atomic", ROW], (0,), contexts=["task", "raw"])
    assert table.select(proposal=ROW).changed().cells == ()
    changed = table.changed().cells
    assert {(cell.config, cell.context) for cell in changed} == {
        (f"PREEMPT_RT {when}", "raw") for when in ("2020", "today")
    }
    assert len(changed) == 8  # two rows, two states of the lists


@pytest.mark.parametrize("kernel", [RT, NESTING], ids=["RT", "nesting"])
@pytest.mark.parametrize("gfp", ["none", "__GFP_NOWARN", "__GFP_HIGH|__GFP_ZERO"])
def test_every_mask_without_a_reclaim_bit_becomes_a_try(kernel: Kernel, gfp: str) -> None:
    before, after = ask(kernel, gfp, None), ask(kernel, gfp)
    assert before.row()["lock"] == ZONE
    assert (after.result, after.locks, after.reports) == ("page", before.locks, ())
    assert {step.what for step in after.steps if step.lock == ZONE} == {"try", "release"}


@pytest.mark.parametrize("gfp", ["GFP_KERNEL", "GFP_NOWAIT", "GFP_ATOMIC", "__GFP_DIRECT_RECLAIM"])
def test_a_mask_with_one_is_as_it_was(gfp: str) -> None:
    assert ask(RT, gfp).row() == ask(RT, gfp, None).row()


def test_the_failure_report_still_waits_for_the_zone_lock() -> None:
    assert str(ask(RT, "none", pcp="min").lockdep) == f"invalid_wait_context on {ZONE} in show_free_areas"
    assert ask(RT, "__GFP_NOWARN", pcp="min").clean
