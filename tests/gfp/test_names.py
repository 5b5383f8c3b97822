"""Decode and encode: the kernel's own rule, both ways, under every layout."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfpmodel.errors import InputError
from gfpmodel.gfp import decode, encode, kernels, layout, variants

ALL = [v for kernel in kernels() for v in variants(kernel)]
any_layout = st.sampled_from(ALL)
sparse_mask = st.sets(st.integers(0, 31), max_size=6).map(lambda bits: sum(1 << bit for bit in bits))
any_mask = st.one_of(st.integers(0, 0xFFFFFFFF), sparse_mask)


@pytest.mark.parametrize(
    ("mask", "kernel", "config", "text", "compact"),
    [
        (0xCC0, "v5.8-rc3", {}, "GFP_KERNEL", "K"),
        (0x2800, "v5.8-rc3", {}, "GFP_NOWAIT|__GFP_NOWARN", "NW|NWR"),
        (0x2800, "v6.18", {}, "GFP_NOWAIT", "NW"),
        (0x100CCA, "v5.8-rc3", {}, "GFP_HIGHUSER_MOVABLE", "HUM"),
        (0x800000, "v5.8-rc3", {}, "0x800000", ""),
        (0x800000, "v5.8-rc3", {"LOCKDEP": True}, "0x800000", ""),  # NOLOCKDEP has no row: it prints as a number
        (0x800000, "v5.8-rc3+FAST_TRY", {}, "__GFP_FAST_TRY", "FT"),
        (0x1000000, "v5.8-rc3+FAST_TRY", {"LOCKDEP": True}, "0x1000000", ""),
        (0x800000, "v6.1", {}, "__GFP_ZEROTAGS", ""),
        (0x800000, "v4.4", {}, "GFP_OTHER_NODE", "ON"),
        (0x24000C0, "v4.4", {}, "GFP_KERNEL", "K"),
        (0xCC0, "v4.4", {}, "GFP_IO|GFP_REPEAT|GFP_NOFAIL|0x80", "I|R|NF"),
        (0xD0, "v5.8-rc3", {}, "__GFP_IO|__GFP_FS|__GFP_RECLAIMABLE", "I|F|RC"),
        (0, "v5.8-rc3", {}, "none", ""),
        (0, "v4.4", {}, "GFP_NOWAIT", "NW"),
        (0x4000, "v5.8-rc3", {}, "__GFP_RETRY_MAYFAIL", "R"),
        (0xC00, "v5.8-rc3", {}, "GFP_NOIO", "NI"),
    ],
)
def test_decode(mask: int, kernel: str, config: dict[str, bool], text: str, compact: str) -> None:
    decoded = decode(mask, layout(kernel, config))
    assert (decoded.text, decoded.compact) == (text, compact)


def test_printk_prints_nothing_for_zero() -> None:
    assert decode(0, layout("v5.8-rc3")).printk == ""
    assert decode(0xCC0, layout("v5.8-rc3")).printk == "GFP_KERNEL"


@given(any_mask, any_layout)
def test_encode_undoes_decode(mask: int, it) -> None:
    decoded = decode(mask, it)
    if decoded.ambiguous:
        assert it.plain_names  # gfpflags.h, up to v4.5
        assert set(decoded.ambiguous) <= {"GFP_NOWAIT", "GFP_ATOMIC", "GFP_THISNODE"}
    else:
        assert encode(decoded.text, it) == mask


@given(any_mask, any_layout)
def test_decode_loses_no_bit_and_names_none_twice(mask: int, it) -> None:
    decoded = decode(mask, it)
    named = 0
    for name, bits in it.trace_table:
        if name in decoded.text.split("|"):
            named |= bits & mask
    assert named | decoded.leftover == mask or decoded.ambiguous or not mask
    tokens = decoded.text.split("|")
    assert len(tokens) == len(set(tokens)) or it.plain_names


@given(any_mask, any_layout)
def test_compact_drops_what_perf_does_not_know(mask: int, it) -> None:
    decoded = decode(mask, it)
    known = [token for token in decoded.text.split("|") if token in dict(it.perf_table)]
    assert decoded.compact == "|".join(dict(it.perf_table)[token] for token in known)


def test_v44_prints_two_masks_alike() -> None:
    v44 = layout("v4.4")
    assert decode(0x80000, v44).text == decode(0x2080020, v44).text == "GFP_ATOMIC"
    assert decode(0x80000, v44).ambiguous == ("GFP_ATOMIC",)
    assert decode(0x2080020, v44).ambiguous == ()
    assert encode("GFP_ATOMIC", v44) == 0x2080020
    assert decode(0, v44).ambiguous == ("GFP_NOWAIT",)
    assert encode("GFP_NOWAIT", v44) == 0x2000000


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("GFP_NOWAIT|__GFP_NOWARN", 0x2800),
        ("GFP_NOWAIT | __GFP_NOWARN", 0x2800),
        ("___GFP_IO|___GFP_FS", 0xC0),
        ("GFP_KERNEL & ~__GFP_DIRECT_RECLAIM", 0x8C0),
        ("(GFP_KERNEL | __GFP_NOWARN) & ~__GFP_RECLAIM", 0x20C0),
        ("0x800000|GFP_KERNEL", 0x800CC0),
        ("", 0),
        ("  ", 0),
        ("none", 0),
        ("GFP_RECLAIM_MASK", 0xBEEE0),
        ("__GFP_NOLOCKDEP", 0),  # compiled out: the header defines it as 0
    ],
)
def test_encode(text: str, mask: int) -> None:
    assert encode(text, layout("v5.8-rc3")) == mask


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("__GFP_FAST_TRI", "did you mean __GFP_FAST_TRY"),
        ("__GFP_OTHER_NODE", "one of v3.10 to v4.8"),
        ("GFP_KERNEL||__GFP_ZERO", "expected names"),
        ("GFP_KERNEL,__GFP_ZERO", "expected names"),
        ("GFP_KERNEL / 2", "expected names"),
        ("__import__('os')", "expected names"),
        ("0x1ffffffff", "32 bits"),
        ("1 << 40", "32 bits"),
        ("|" * 5000, "expected names"),
        ("(" * 5000, "expected names"),
        ("~" * 5000 + "1", "expected names"),
    ],
)
def test_encode_refuses(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        encode(text, layout("v5.8-rc3+FAST_TRY"))


@pytest.mark.parametrize("mask", [-1, 1 << 32])
def test_a_wider_mask_is_no_gfp_t(mask: int) -> None:
    with pytest.raises(InputError, match="32 bits"):
        decode(mask, layout())


@given(st.text(max_size=60))
def test_encode_never_crashes(text: str) -> None:
    try:
        value = encode(text, layout("v6.12"))
    except InputError:
        return
    assert 0 <= value <= 0xFFFFFFFF
