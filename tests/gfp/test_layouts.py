"""The shipped tables: complete, unchanged, and equal to figures worked out by hand from the kernel's headers."""

import hashlib
import json

import pytest

from gfpmodel.errors import InputError
from gfpmodel.gfp import config_names, kernels, layout, variants
from gfpmodel.gfp.layouts import MILESTONES, aliases, parse_config

ALL = [v for kernel in kernels() for v in variants(kernel)]


def test_36_kernels_in_118_configurations() -> None:
    assert len(kernels()) == 36
    assert len(ALL) == 118
    assert kernels()[0] == "v3.10"
    assert kernels()[-1] == "v7.3"  # the newest; mm-dev was its development
    assert set(MILESTONES) <= set(kernels())


def test_what_is_no_release_says_so() -> None:
    states = {v.kernel: v.state for v in ALL if v.state}
    assert set(states) == {"v5.8-rc3+FAST_TRY", "v7.0-rc6", "mm-dev (7.3-rc cycle)"}
    assert "never released" in states["mm-dev (7.3-rc cycle)"]


@pytest.mark.parametrize(
    ("kernel", "config", "flag"),
    [
        ("v7.2", {}, "__GFP_NO_OBJ_EXT"),
        ("v7.2", {"LOCKDEP": True}, "__GFP_NOLOCKDEP"),
        ("v7.3", {}, None),  # outside the mask: v7.3 gave the bit back
        ("v7.3", {"LOCKDEP": True}, "__GFP_NOLOCKDEP"),
        ("v7.3", {"KASAN_HW_TAGS": True}, "__GFP_SKIP_ZERO"),
    ],
)
def test_0x1000000_of_the_last_releases(kernel: str, config: dict[str, bool], flag: str | None) -> None:
    assert layout(kernel, config).flag_at(24) == flag


def test_the_tables_are_those_the_headers_printed() -> None:
    # the digest was taken from the unpacked reference when it was packed; a changed digit in the file changes it
    canonical = [
        [
            v.kernel,
            dict(v.config),
            v.shift,
            list(v.bits.items()),
            sorted(v.composites.items()),
            v.trace_table,
            v.perf_table,
        ]
        for v in ALL
    ]
    digest = hashlib.sha256(json.dumps(canonical).encode()).hexdigest()
    assert digest == "d6c1a72f82dc5d9287062255b95b175a8a1d7783ccda153be0c3e0df3584b15c"


@pytest.mark.parametrize(
    ("kernel", "config", "shift", "mask", "left"),
    [
        ("v4.4", {}, 26, 0x03FFFFFF, 3),
        ("v5.8-rc3", {}, 23, 0x007FFFFF, 6),
        ("v5.8-rc3", {"LOCKDEP": True}, 24, 0x00FFFFFF, 5),
        ("v5.8-rc3+FAST_TRY", {}, 24, 0x00FFFFFF, 5),
        ("v5.8-rc3+FAST_TRY", {"LOCKDEP": True}, 25, 0x01FFFFFF, 4),
        ("v5.15", {"LOCKDEP": True}, 26, 0x03FFFFFF, 3),
        ("v6.1", {"LOCKDEP": True}, 28, 0x0FFFFFFF, 1),
        ("v6.12", {}, 24, 0x00FFFFFF, 5),
        ("mm-dev", {"LOCKDEP": True, "KASAN_HW_TAGS": True}, 28, 0x0FFFFFFF, 1),
    ],
)
def test_shift_and_room(kernel: str, config: dict[str, bool], shift: int, mask: int, left: int) -> None:
    it = layout(kernel, config)
    assert (it.shift, it.bits_mask, it.bits_left) == (shift, mask, left)


@pytest.mark.parametrize("it", ALL, ids=str)
def test_every_layout_is_sound(it) -> None:
    values = list(it.bits.values())
    assert all(value.bit_count() == 1 for value in values)
    assert len(set(values)) == len(values)
    assert it.highest_bit < it.shift <= 29
    assert sorted(it.holes) == [bit for bit in range(it.shift) if it.flag_at(bit) is None]
    assert not set(it.bits) & set(it.compiled_out)
    both = it.bits.get("__GFP_DIRECT_RECLAIM", 0) | it.bits.get("__GFP_KSWAPD_RECLAIM", 0)
    assert it.composites.get("__GFP_RECLAIM", 0) == both  # before v4.4 __GFP_WAIT stood for both


def test_holes() -> None:
    assert layout("v6.1").holes == (24, 25, 26)  # counted always, there only with KASAN_HW_TAGS
    assert layout("v6.1", {"KASAN_HW_TAGS": True}).holes == ()
    assert layout("v6.12").holes == (9,)  # where __GFP_ATOMIC was


def test_aliases_name_the_same_layout() -> None:
    assert layout("mm-dev").kernel == "mm-dev (7.3-rc cycle)"
    assert layout("v5.11") == layout("v5.10")
    assert set(aliases().values()) <= set(kernels())


def test_a_composite_may_depend_on_the_config() -> None:
    with_tags = layout("v6.12", {"KASAN_HW_TAGS": True})
    assert with_tags.composites["GFP_HIGHUSER_MOVABLE"] & with_tags.bits["__GFP_SKIP_KASAN"]
    assert layout("mm-dev", {"PREEMPT_RT": True}).composites["GFP_ATOMIC_RT"] == 0x20
    assert layout("mm-dev").composites["GFP_ATOMIC_RT"] == 0x820


def test_config_spellings() -> None:
    assert parse_config(["LOCKDEP", "CONFIG_PREEMPT_RT=y", "MEMCG=n"]) == {
        "LOCKDEP": True,
        "PREEMPT_RT": True,
        "MEMCG": False,
    }
    assert parse_config(["LOCKDEP=y", "LOCKDEP=n"]) == {"LOCKDEP": False}
    assert config_names("v4.4") == ()


@pytest.mark.parametrize("option", ["LOCKDEP=maybe", "=y", "LOCKDEP=", ""])
def test_bad_config_spelling(option: str) -> None:
    with pytest.raises(InputError, match="expected NAME"):
        parse_config([option])


def test_unknown_names_offer_near_ones() -> None:
    with pytest.raises(InputError, match=r"unknown kernel 'mmdev'; did you mean .*mm-dev"):
        layout("mmdev")
    with pytest.raises(InputError, match=r"unknown config 'LOCKDEPP' of v5.10.*did you mean LOCKDEP"):
        layout("v5.10", {"LOCKDEPP": True})
    with pytest.raises(InputError, match="it knows none"):
        layout("v4.4", {"LOCKDEP": False})
