"""A mask as people bring it: numbers, and lines in which kernels printed number and names."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfpmodel.errors import InputError
from gfpmodel.gfp import decode, encode, kernels, layout, variants
from gfpmodel.gfp.names import parse_mask
from gfpmodel.gfp.reading import read, read_mask, shortest

REPORT = """\
[  100.000000] worker: page allocation failure: order:4, mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO), nodemask=(null)
[  100.000001] CPU: 1 PID: 70 Comm: worker Not tainted 6.8.0-1-generic #1
"""


@pytest.mark.parametrize(
    ("text", "number", "names"),
    [
        ("0xcc0", 0xCC0, None),
        (" 0XCC0 ", 0xCC0, None),
        ("3264", 0xCC0, None),
        ("1", 1, None),
        ("mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO)", 0x40DC0, "GFP_KERNEL|__GFP_COMP|__GFP_ZERO"),
        ("0x40dc0(GFP_KERNEL | __GFP_COMP)", 0x40DC0, "GFP_KERNEL|__GFP_COMP"),
        ("a invoked oom-killer: gfp_mask=0x14200ca(GFP_HIGHUSER_MOVABLE), order=0", 0x14200CA, "GFP_HIGHUSER_MOVABLE"),
        ("swapper: page allocation failure. order:0, mode:0x20", 0x20, None),
        (
            "mm_page_alloc: page=1 pfn=1 order=0 migratetype=0 gfp_flags=GFP_KERNEL|0x800000",
            None,
            "GFP_KERNEL|0x800000",
        ),
        ("mm_page_alloc: pfn=0x1 order=0 gfp_flags=0x1000dc0", 0x1000DC0, None),
        ("gfp_flags=GFP_KERNEL|GFP_ZERO", None, "GFP_KERNEL|GFP_ZERO"),
        ("mode:0x0(), nodemask=(null)", 0, ""),
        ("Unexpected gfp: 0x1000000 (0x1000000). Fixing up", 0x1000000, "0x1000000"),
        (REPORT, 0x40DC0, "GFP_KERNEL|__GFP_COMP|__GFP_ZERO"),
    ],
)
def test_number_and_names(text: str, number: int | None, names: str | None) -> None:
    found = read_mask(text)
    assert (found.number, found.names) == (number, names)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2080020", "looks like hexadecimal without its 0x; write 0x2080020, or 0x1fbd14 if it is decimal"),
        ("14000c0", "write 0x14000c0"),
        ("cc0", "write 0xcc0"),
        ("800", "write 0x800, or 0x320 if it is decimal"),
        ("2080", "write 0x2080, or 0x820 if it is decimal"),  # two flags either way
        ("gfp_flags=2080020", "write 0x2080020"),
        ("GFP_KERNEL", "expected a number"),
        ("hello world", "expected a number"),
        ("", "expected a number"),
        ("-1", "expected a number"),
        ("1_0", "expected a number"),
        ("\u0661\u0662", "expected a number"),
        ("9" * 5000, "expected a number"),
        ("0x" + "f" * 5000, "expected a number"),
        ("0x1ffffffff", "32 bits"),
        ("mode:0x1ffffffff(GFP_KERNEL)", "32 bits"),
    ],
)
def test_what_is_asked_about_or_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=r"(?s).*") as error:
        read_mask(text)
    assert words in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("number", [0xCC0, 0x2800, 0x800000, 0xA20, 0x24000C0, 0x14000C0])
def test_a_mask_that_is_shorter_in_decimal_is_read_in_silence(number: int) -> None:
    assert parse_mask(str(number)) == number


def test_encode_asks_about_the_same_numbers() -> None:
    with pytest.raises(InputError, match="without its 0x"):
        encode("2080020", layout("v4.4"))
    assert encode("0x2080020", layout("v4.4")) == 0x2080020


def test_names_choose_the_table() -> None:
    assert read("mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO)").layout.kernel == "v5.8-rc3"
    old = read("mode:0x14280ca(GFP_HIGHUSER_MOVABLE|__GFP_ZERO)")
    assert old.layout.kernel == "v4.10"
    assert old.fits == ("v4.10", "v4.12", "v4.13", "v4.14", "v4.14-lts", "v4.15")
    assert old.agrees
    assert read("mode:0x1100cca(GFP_HIGHUSER_MOVABLE)").fits == ("v5.15", "v5.17")
    names = read("gfp_flags=GFP_KERNEL|__GFP_OTHER_NODE")
    assert (names.layout.kernel, names.mask) == ("v4.6", 0x2C000C0)


def test_the_release_of_a_report_chooses_the_table() -> None:
    found = read(REPORT)
    assert (found.layout.kernel, found.release.name) == ("v6.8", "6.8.0-1-generic")
    assert found.agrees
    assert "grade B" in found.table_line


def test_options_follow_the_names() -> None:
    found = read("gfp_flags=GFP_KERNEL|__GFP_NO_OBJ_EXT", "v6.18")
    assert found.layout.config["SLAB_OBJ_EXT"]
    found = read("0x1000cc0(GFP_KERNEL|__GFP_NO_OBJ_EXT)", "6.18.1")
    assert found.agrees
    assert found.layout.config == {"LOCKDEP": False, "KASAN_HW_TAGS": False, "SLAB_OBJ_EXT": True}


@pytest.mark.parametrize(
    ("text", "kernel", "words"),
    [
        ("mode:0x1100cca(GFP_HIGHUSER_MOVABLE)", "6.8.0-31-generic", "the names are 0x100cca"),
        ("mode:0x1100cca(GFP_HIGHUSER_MOVABLE)", "6.8.0-31-generic", "number and names fit v5.15 to v5.17"),
        ("mode:0xcc0(GFP_ATOMIC)", None, "no known kernel prints them together"),
        ("mode:0x2084020(GFP_ATOMIC|__GFP_OTHER_NODE)", "v6.6", "v6.6 has no __GFP_OTHER_NODE"),
    ],
)
def test_contradictions_are_said(text: str, kernel: str | None, words: str) -> None:
    found = read(text, kernel)
    assert found.agrees is False
    assert any(words in remark for remark in found.remarks)


def test_a_mask_that_is_not_of_this_kernel() -> None:
    [beyond, best] = read("0x14000c0").remarks
    assert "beyond bit 23, the last of v5.8-rc3" in beyond
    assert "GFP_KERNEL in v4.10 to v4.15" in best
    assert "--kernel" in best
    [option] = read("0x800000", "v5.10", {}).remarks[:1]
    assert option == "0x800000 is __GFP_NOLOCKDEP with LOCKDEP=y"
    assert not read("0xcc0").remarks


def test_vendors_flags() -> None:
    assert any("CMA" in r for r in read("0x40000c0", "4.14.186-perf+").remarks)
    assert any("RHEL 7" in r for r in read("0x1000d0", "3.10.0-1160.el7.x86_64").remarks)
    assert not any("CMA" in r for r in read("0x14000c0", "4.14.186-perf+").remarks)


def test_a_raw_number_in_a_trace_is_a_sign() -> None:
    assert any("enum" in r for r in read("order=0 migratetype=1 gfp_flags=0x140cca").remarks)
    assert not any("enum" in r for r in read("mode:0x140cca").remarks)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "a invoked oom-killer: gfp_mask=0x280da, order=0, oom_adj=0",
            "GFP_HIGHUSER_MOVABLE|GFP_ZERO in v3.10 to v4.1",
        ),
        ("swapper: page allocation failure. order:0, mode:0x20", "GFP_ATOMIC in v3.10 to v4.1"),
        ("SLUB: Unable to allocate memory on node -1 (gfp=0x20)", "GFP_ATOMIC in v3.10 to v4.1"),
        ("a: page allocation failure: order:0, mode:0x2080020", "GFP_ATOMIC in v4.4 to v4.8"),
    ],
)
def test_a_report_without_names_is_of_an_old_kernel(text: str, words: str) -> None:
    [remark] = [remark for remark in read(text).remarks if "it reads as" in remark]
    assert words in remark


@pytest.mark.parametrize("text", ["0x20", "mode:0xcc0", "mode:0xcc0(GFP_KER", "mode:0xcc0(GFP_KERNEL)"])
def test_a_number_of_today_is_not_taken_for_an_old_report(text: str) -> None:
    assert not [remark for remark in read(text).remarks if "without names" in remark]


def test_an_empty_kernel_is_no_kernel() -> None:
    with pytest.raises(InputError, match="unknown kernel ''"):
        read("0xcc0", "")


def test_other_masks_in_the_text_are_counted() -> None:
    two = "gfp_mask=0xcc0(GFP_KERNEL) gfp_mask=0xcc0(GFP_KERNEL) gfp_mask=0xdc0(GFP_KERNEL|__GFP_ZERO)"
    assert any("1 more" in r for r in read(two).remarks)


def test_before_v4_4_one_flag_waits() -> None:
    from gfpmodel.gfp import meaning

    it = layout("3.10.0-1160.el7.x86_64")
    asks = meaning(0x2040D0, it)
    assert (asks.may_sleep, asks.wakes_kswapd, asks.migratetype) == (True, True, "UNMOVABLE")
    assert not meaning(0x20, it).may_sleep  # GFP_ATOMIC
    assert str(meaning(0x20, it).watermark) == "3/8"
    assert meaning(it.bits["__GFP_RECLAIMABLE"], it).migratetype == "RECLAIMABLE"
    assert not meaning(it.bits["__GFP_NO_KSWAPD"], it).wakes_kswapd


@given(st.integers(0, 0xFFFFFFFF), st.sampled_from([v for k in kernels() for v in variants(k)]))
def test_what_a_kernel_prints_is_read_back(mask: int, it) -> None:
    printed = decode(mask, it)
    found = read(f"mode:{mask:#x}({printed.printk})", it.kernel, it.config)
    assert found.mask == mask
    assert found.layout == it
    assert found.agrees is not False or printed.ambiguous


@given(st.text(max_size=80))
def test_reading_never_crashes(text: str) -> None:
    with suppress(InputError):
        assert 0 <= read(text).mask <= 0xFFFFFFFF


def test_the_shortest_reading_has_no_bit_left_over() -> None:
    assert shortest(0x24000C0) == ("GFP_KERNEL", ["v4.4", "v4.5", "v4.6", "v4.7", "v4.8"])
    assert shortest(0xFFFFFFFF) is None
