"""The shift's users: what breaks when it is forgotten, against the table of values compiled from the kernel."""

import pytest

from gfpmodel.errors import InputError
from gfpmodel.gfp import kernels, layout, shift_report, variants, with_shift
from gfpmodel.gfp.shift_users import RadixTreeRoot, alloc_pages_mask, new_slab_mask, tag_bit, tags_above, xa_flags_alloc

FAST_TRY = layout("v5.8-rc3+FAST_TRY")
LOCKDEP = layout("v5.8-rc3+FAST_TRY", {"LOCKDEP": True})


@pytest.mark.parametrize(
    ("shift", "boot", "slab_bug", "idr_marker"),
    [
        (23, 0x7FF33F, 0xFF800006, 0x00800004),
        (24, 0xFFF33F, 0xFF000006, 0x01000004),
        (25, 0x1FFF33F, 0xFE000006, 0x02000004),
    ],
)
def test_masks_at_each_shift(shift: int, boot: int, slab_bug: int, idr_marker: int) -> None:
    it = with_shift(FAST_TRY, shift)
    assert it.composites["GFP_BOOT_MASK"] == boot
    assert it.composites["GFP_SLAB_BUG_MASK"] == slab_bug
    assert xa_flags_alloc(it) == idr_marker


def test_with_shift_computes_what_the_compiler_computed() -> None:
    for kernel in kernels():
        for it in variants(kernel):
            assert with_shift(it, it.shift).composites == it.composites


def test_the_flag_works_with_the_patch_as_sent() -> None:
    for it in (FAST_TRY, LOCKDEP):
        report = shift_report("__GFP_FAST_TRY", it)
        assert report.reaches_allocator
        assert report.presets_tag is None
        assert report.slab_warning is None
        assert report.builds


def test_a_forgotten_shift_drops_the_flag_silently_and_sets_a_tag() -> None:
    report = shift_report("__GFP_FAST_TRY", with_shift(FAST_TRY, 23))
    assert not report.reaches_allocator
    assert report.presets_tag == 0
    assert "Unexpected gfp: 0x800000" in (report.slab_warning or "")
    assert report.builds  # nothing at build time notices


def test_with_lockdep_a_forgotten_shift_hits_nolockdep_instead() -> None:
    forgotten = with_shift(LOCKDEP, 24)
    assert shift_report("__GFP_FAST_TRY", forgotten).reaches_allocator
    assert not shift_report("__GFP_NOLOCKDEP", forgotten).reaches_allocator


def test_too_large_a_shift_does_not_build() -> None:
    assert not shift_report("__GFP_FAST_TRY", with_shift(FAST_TRY, 30)).builds
    with pytest.raises(InputError, match="BUILD_BUG_ON"):
        tag_bit(2, with_shift(FAST_TRY, 30))
    assert list(tags_above(with_shift(FAST_TRY, 30))) == [30, 31]


def test_radix_tree_root_keeps_tags_and_gfp_apart() -> None:
    root = RadixTreeRoot.init(0xCC0, FAST_TRY).root_tag_set(1)
    assert root.root_tag_get(1)
    assert not root.root_tag_get(0)
    assert root.root_gfp_mask() == 0xCC0
    assert root.root_tag_clear_all().xa_flags == 0xCC0


def test_a_tag_set_by_mistake_is_there_on_an_empty_tree() -> None:
    root = RadixTreeRoot.init(0x800000 | 0xCC0, with_shift(FAST_TRY, 23))
    assert root.root_tag_get(0)
    assert root.root_gfp_mask() == 0xCC0


def test_boot_mask_keeps_the_flag() -> None:
    assert alloc_pages_mask(0x800CC0, FAST_TRY, booted=False) == 0x800000


def test_slab_drops_the_flag_even_with_the_right_shift() -> None:
    request = new_slab_mask(0x800CC0, FAST_TRY)
    assert request.mask == 0xCC0
    assert request.warning is None


def test_bad_values() -> None:
    with pytest.raises(InputError, match="expected 0 to 32"):
        with_shift(FAST_TRY, 33)
    with pytest.raises(InputError, match="expected 0 to 2"):
        tag_bit(3, FAST_TRY)
    with pytest.raises(InputError, match="has no __GFP_FAST_TRY"):
        shift_report("__GFP_FAST_TRY", layout("v6.1"))


def test_v44_does_not_check_the_shift() -> None:
    assert shift_report("__GFP_NOWARN", with_shift(layout("v4.4"), 30)).builds is None
