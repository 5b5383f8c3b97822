"""Two layouts compared."""

import pytest

from gfpmodel.errors import InputError
from gfpmodel.gfp import diff, kernels, layout, reread, variants
from gfpmodel.gfp.diffs import pair


def test_the_rfc_moves_one_flag_and_adds_one() -> None:
    change = diff(*pair("v5.8-rc3", "v5.8-rc3+FAST_TRY", {"LOCKDEP": True}))
    assert change.moved == (("__GFP_NOLOCKDEP", 0x800000, 0x1000000),)
    assert change.added == (("__GFP_FAST_TRY", 0x800000),)
    assert change.removed == ()
    assert change.reused == ((0x800000, "__GFP_NOLOCKDEP", "__GFP_FAST_TRY"),)
    assert not change.same


def test_without_lockdep_nothing_moves() -> None:
    change = diff(*pair("v5.8-rc3", "v5.8-rc3+FAST_TRY", {}))
    assert (change.moved, change.reused) == ((), ())
    assert change.added == (("__GFP_FAST_TRY", 0x800000),)


def test_v54_to_v58_is_the_same() -> None:
    change = diff(layout("v5.4"), layout("v5.8-rc3"))
    assert change.same
    assert change.to_text().endswith("the same")


def test_v419_to_v54_moved_fifteen_flags() -> None:
    # USERS.md section 6 counts them: the great renumbering, at the same shift
    change = diff(layout("v4.19"), layout("v5.4"))
    assert len(change.moved) == 15
    assert change.added == change.removed == ()


def test_an_old_number_on_a_new_kernel() -> None:
    reading = reread(0x800000, *pair("v5.8-rc3", "v5.8-rc3+FAST_TRY", {"LOCKDEP": True}))
    assert reading.then.flags == ("__GFP_NOLOCKDEP",)
    assert reading.now.flags == ("__GFP_FAST_TRY",)
    assert reading.correct == 0x1000000


def test_a_flag_that_is_gone_has_no_correct_number() -> None:
    assert reread(0x800000, layout("v4.4"), layout("v6.1")).correct is None
    assert reread(0x40000000, layout("v4.4"), layout("v6.1")).correct is None


@pytest.mark.parametrize("kernel", kernels())
def test_a_layout_does_not_differ_from_itself(kernel: str) -> None:
    for it in variants(kernel):
        assert diff(it, it).same


def test_each_kernel_takes_the_options_it_knows() -> None:
    old, new = pair("v5.8-rc3", "v6.1", {"KASAN_HW_TAGS": True, "LOCKDEP": True})
    assert dict(old.config) == {"LOCKDEP": True}
    assert new.config["KASAN_HW_TAGS"]
    with pytest.raises(InputError, match=r"unknown config 'MEMCG' of v5.8-rc3 and v6.1; expected one of"):
        pair("v5.8-rc3", "v6.1", {"MEMCG": True})
