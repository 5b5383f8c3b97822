"""What a mask asks for, checked against figures worked out by hand from the sources of each version."""

from fractions import Fraction

import pytest

from gfpmodel.gfp import encode, kernels, layout, meaning, variants


def asks(text: str, kernel: str = "v5.8-rc3", **config: bool):
    it = layout(kernel, config)
    return meaning(encode(text, it), it)


@pytest.mark.parametrize(
    ("text", "kernel", "left"),
    [
        ("GFP_KERNEL", "v5.8-rc3", Fraction(1)),
        ("__GFP_HIGH", "v5.8-rc3", Fraction(1, 2)),
        ("__GFP_ATOMIC", "v5.8-rc3", Fraction(3, 4)),
        ("GFP_ATOMIC", "v5.8-rc3", Fraction(3, 8)),
        ("GFP_ATOMIC|__GFP_NOMEMALLOC", "v5.8-rc3", Fraction(1, 2)),
        ("GFP_ATOMIC|__GFP_DIRECT_RECLAIM", "v5.8-rc3", Fraction(1, 2)),  # the slow path drops ATOMIC
        ("__GFP_MEMALLOC", "v5.8-rc3", Fraction(0)),
        ("__GFP_MEMALLOC|__GFP_NOMEMALLOC", "v5.8-rc3", Fraction(1)),
        ("__GFP_ATOMIC", "v6.1", Fraction(1)),  # 6.1.192 has the later rule: HIGH first
        ("GFP_ATOMIC", "v6.1", Fraction(3, 8)),
        ("GFP_ATOMIC", "v6.6", Fraction(3, 8)),
        ("GFP_NOWAIT", "v6.6", Fraction(1)),
        ("__GFP_HIGH|__GFP_DIRECT_RECLAIM", "v6.12", Fraction(1, 2)),
        ("__GFP_HIGH|__GFP_NOMEMALLOC", "v6.12", Fraction(1, 2)),
        ("__GFP_FAST_TRY|__GFP_HIGH", "v5.8-rc3+FAST_TRY", None),
    ],
)
def test_reserves(text: str, kernel: str, left: Fraction | None) -> None:
    assert asks(text, kernel).watermark == left


def test_sleep_and_kswapd() -> None:
    assert asks("GFP_KERNEL").may_sleep
    assert not asks("GFP_ATOMIC").may_sleep
    assert asks("GFP_NOWAIT").wakes_kswapd
    assert not asks("0x0").wakes_kswapd
    assert not asks("GFP_NOWAIT|__GFP_FAST_TRY", "v5.8-rc3+FAST_TRY").wakes_kswapd


@pytest.mark.parametrize(
    ("low_bits", "zone"),
    [
        (0, "NORMAL"),
        (1, "DMA"),
        (2, "NORMAL"),
        (4, "DMA32"),
        (8, "NORMAL"),
        (9, "DMA"),
        (0xA, "MOVABLE"),
        (0xC, "DMA32"),
        (3, None),
        (0xF, None),
    ],
)
def test_zone(low_bits: int, zone: str | None) -> None:
    for kernel in kernels():
        for it in variants(kernel):
            assert meaning(low_bits, it).zone == zone


def test_migratetype() -> None:
    assert asks("0").migratetype == "UNMOVABLE"
    assert asks("__GFP_MOVABLE").migratetype == "MOVABLE"
    assert asks("__GFP_RECLAIMABLE").migratetype == "RECLAIMABLE"
    assert asks("__GFP_MOVABLE|__GFP_RECLAIMABLE").migratetype is None


def test_0x800000_means_four_things() -> None:
    assert meaning(0x800000, layout("v5.8-rc3")).dropped == 0x800000
    assert meaning(0x800000, layout("v5.8-rc3", {"LOCKDEP": True})).dropped == 0
    assert meaning(0x800000, layout("v5.8-rc3+FAST_TRY")).watermark is None
    assert meaning(0x800000, layout("v6.1")).undefined == 0
    assert meaning(0x1000000, layout("v6.1")).undefined == 0x1000000


@pytest.mark.parametrize(
    ("text", "kernel", "flags"),
    [
        ("__GFP_MOVABLE|__GFP_RECLAIMABLE", "v5.8-rc3", {"__GFP_MOVABLE", "__GFP_RECLAIMABLE"}),
        ("GFP_ATOMIC|__GFP_DIRECT_RECLAIM", "v5.8-rc3", {"__GFP_ATOMIC", "__GFP_DIRECT_RECLAIM"}),
        ("__GFP_NOFAIL", "v5.8-rc3", {"__GFP_NOFAIL"}),
        ("__GFP_DMA|__GFP_DMA32", "v5.8-rc3", {"__GFP_DMA", "__GFP_DMA32"}),
        ("__GFP_FAST_TRY|__GFP_DIRECT_RECLAIM", "v5.8-rc3+FAST_TRY", {"__GFP_FAST_TRY", "__GFP_DIRECT_RECLAIM"}),
        ("__GFP_FAST_TRY|__GFP_NOFAIL", "v5.8-rc3+FAST_TRY", {"__GFP_FAST_TRY", "__GFP_NOFAIL"}),
        ("__GFP_FAST_TRY|GFP_NOWAIT", "v5.8-rc3+FAST_TRY", {"__GFP_FAST_TRY", "__GFP_KSWAPD_RECLAIM"}),
    ],
)
def test_contradictions(text: str, kernel: str, flags: set[str]) -> None:
    found = asks(text, kernel).contradictions
    assert [set(c.flags) for c in found] == [flags]
    assert found[0].why


def test_the_composites_do_not_contradict_themselves() -> None:
    for kernel in kernels():
        for it in variants(kernel):
            for name in it.composites:
                if name.startswith("GFP_") and not name.endswith("MASK"):
                    assert meaning(it.composites[name], it).contradictions == (), (kernel, name)


def test_answers_are_words_for_every_case() -> None:
    bad = asks("__GFP_DMA|__GFP_HIGHMEM|__GFP_MOVABLE|__GFP_RECLAIMABLE|0xff000000")
    assert set(bad.answers) >= {"may sleep", "zone", "migratetype", "reserves", "dropped"}
    assert "GFP_ZONE_BAD" in bad.answers["zone"]


@pytest.mark.parametrize(
    ("kernel", "high_alone", "atomic_alone"),
    [
        ("5.17", "1/2", "3/4"),
        ("6.0", "1/2", "3/4"),
        ("6.1.192", "3/8", "1"),
        ("6.2", "1/2", "3/4"),
        ("v6.3", "3/8", None),
    ],
)
def test_which_flag_opens_the_extra_quarter_goes_by_the_release(
    kernel: str, high_alone: str, atomic_alone: str | None
) -> None:
    it = layout(kernel)
    assert str(meaning(it.bits["__GFP_HIGH"], it).watermark) == high_alone
    if atomic_alone:
        assert str(meaning(it.bits["__GFP_ATOMIC"], it).watermark) == atomic_alone


def test_retry_flags_do_nothing_without_direct_reclaim() -> None:
    assert asks("GFP_NOWAIT|__GFP_NORETRY").idle == ("__GFP_NORETRY",)
    assert asks("GFP_KERNEL|__GFP_NORETRY").idle == ()
    assert "without direct reclaim" in asks("__GFP_RETRY_MAYFAIL").answers["no effect"]


def test_fast_try_may_sleep_but_never_reclaims() -> None:
    answer = asks("__GFP_FAST_TRY|GFP_KERNEL", "v5.8-rc3+FAST_TRY").answers["may sleep"]
    assert answer == "yes: might_sleep() fires, though it never reclaims"
