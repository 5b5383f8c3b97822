"""The layout a patch makes: conditions that are opened, changed or removed, series, and diffs without context."""

import pytest

from gfpmodel.errors import InputError
from gfpmodel.gfp import kernels, variants
from gfpmodel.gfp.changes import Change, Word, apply, base_header
from gfpmodel.gfp.layouts import kernel_name
from gfpmodel.gfp.patches import read_patch

ACCOUNT = " #define ___GFP_ACCOUNT 0x400000u"
NOLOCKDEP = " #define ___GFP_NOLOCKDEP 0x800000u"
ZERO = " #define ___GFP_NOLOCKDEP 0"


def diff(body: str, path: str = "include/linux/gfp.h") -> str:
    """Return a one-hunk diff of a body of lines that begin with ' ', '+' or '-'."""
    lines = body.strip("\n").split("\n")
    old, new = (sum(line[:1] != sign for line in lines) for sign in "+-")
    return f"--- a/{path}\n+++ b/{path}\n@@ -40,{old} +40,{new} @@\n" + "\n".join(lines) + "\n"


def change(*bodies: str, kernel: str = "v5.8-rc3", path: str = "include/linux/gfp.h") -> Change:
    data = "".join(diff(body, path) for body in bodies).encode()
    return apply(read_patch(data, "test.patch"), kernel_name(kernel))


def by_config(it: Change) -> dict[str, Word]:
    return {word.config_text: word for word in it.words}


@pytest.mark.parametrize("kernel", kernels())
def test_the_rebuilt_header_gives_the_compiled_layout(kernel: str) -> None:
    it = apply(read_patch(diff("-x\n+y", "mm/x.c").encode(), "none.patch"), kernel)
    assert not it.touched
    assert [(dict(w.bits), w.shift) for w in it.words] == [(dict(v.bits), v.shift) for v in variants(kernel)]
    assert base_header(kernel)


def test_taking_the_if_away_shows_the_flag_everywhere() -> None:
    body = [ACCOUNT, "-#ifdef CONFIG_LOCKDEP", NOLOCKDEP, "-#else", ZERO.replace(" ", "-", 1), "-#endif"]
    words = by_config(change("\n".join(body)))
    assert words["LOCKDEP=n"].bits["__GFP_NOLOCKDEP"] == 0x800000
    assert words["LOCKDEP=n"].shift == 23  # forgotten


def test_a_renamed_option_is_followed() -> None:
    body = ["-#ifdef CONFIG_LOCKDEP", "+#ifdef CONFIG_PROVE_LOCKING", NOLOCKDEP, " #else", ZERO, " #endif"]
    words = by_config(change("\n".join(body)))
    assert "__GFP_NOLOCKDEP" in words["LOCKDEP=n PROVE_LOCKING=y"].bits
    assert "__GFP_NOLOCKDEP" not in words["LOCKDEP=y PROVE_LOCKING=n"].bits


def test_elif_and_else() -> None:
    body = [
        ACCOUNT,
        *("+#if defined(CONFIG_FOO)", "+#define ___GFP_NEW 0x800000u"),
        *("+#elif IS_ENABLED(CONFIG_BAR)", "+#define ___GFP_NEW 0x2000000u"),
        *("+#else", "+#define ___GFP_NEW 0", "+#endif"),
    ]
    words = [word for word in change("\n".join(body)).words if not word.config["LOCKDEP"]]
    values = {(w.config["FOO"], w.config["BAR"]): w.bits.get("__GFP_NEW") for w in words}
    assert values[True, False] == values[True, True] == 0x800000
    assert values[False, True] == 0x2000000
    assert values[False, False] is None


def test_an_if_opened_above_the_hunk_still_holds() -> None:
    body = " #define ___GFP_SKIP_KASAN 0x2000000u\n+#define ___GFP_NEW 0x8000000u\n #else\n #define ___GFP_SKIP_ZERO 0"
    it = change(body, kernel="v6.6", path="include/linux/gfp_types.h")
    assert {w.config["KASAN_HW_TAGS"]: "__GFP_NEW" in w.bits for w in it.words} == {False: False, True: True}


def test_without_context_the_removed_line_says_where_we_are() -> None:
    words = by_config(change("-#define ___GFP_NOLOCKDEP 0x800000u\n+#define ___GFP_NOLOCKDEP 0x1000000u"))
    assert "__GFP_NOLOCKDEP" not in words["LOCKDEP=n"].bits
    assert words["LOCKDEP=y"].bits["__GFP_NOLOCKDEP"] == 0x1000000


def test_a_later_patch_of_a_series_builds_on_the_first() -> None:
    first = " #define ___GFP_ACCOUNT 0x400000u\n+#define ___GFP_ONE 0x2000000u"
    second = " #define ___GFP_ACCOUNT 0x400000u\n-#define ___GFP_ONE 0x2000000u\n+#define ___GFP_UNO 0x2000000u"
    assert change(first, second).new_flags == ("__GFP_UNO",)
    assert change(first, first.replace("+", "-")).new_flags == ()


def test_the_enum_is_renumbered_by_what_is_put_into_it() -> None:
    body = " \t___GFP_ZERO_BIT,\n+\t___GFP_NEW_BIT,\n \t___GFP_UNUSED_BIT,\t/* 0x200u unused */"
    it = change(body, kernel="v6.18", path="include/linux/gfp_types.h")
    for word in it.words:
        assert word.bits["__GFP_NEW"] == 1 << 9
        assert word.bits["__GFP_DIRECT_RECLAIM"] == 1 << 11
        assert word.shift == word.old_shift + 1


def test_an_enum_series_may_undo_itself() -> None:
    one = " \t___GFP_NO_OBJ_EXT_BIT,\n+\t___GFP_ONE_BIT,\n \t___GFP_LAST_BIT"
    it = change(one, one.replace("+", "-"), kernel="v7.0-rc6", path="include/linux/gfp_types.h")
    assert it.new_flags == ()


@pytest.mark.parametrize(
    ("body", "kernel", "path", "words"),
    [
        (
            " #define ___GFP_ACCOUNT 0x400000u\n+#define ___GFP_NEW 0x8zz",
            "v5.8-rc3",
            "include/linux/gfp.h",
            "cannot read '0x8zz'",
        ),
        (
            "-#define __GFP_BITS_SHIFT (23 + IS_ENABLED(CONFIG_LOCKDEP))\n+#define __GFP_BITS_SHIFT 9999999",
            "v5.8-rc3",
            "include/linux/gfp.h",
            "is 9999999; expected a bit of a 32-bit word",
        ),
        (
            "-#define __GFP_BITS_SHIFT (23 + IS_ENABLED(CONFIG_LOCKDEP))\n+#define OTHER 1",
            "v5.8-rc3",
            "include/linux/gfp.h",
            "nothing defines __GFP_BITS_SHIFT",
        ),
        (
            " #define ___GFP_ACCOUNT 0x400000u\n+#if BITS_PER_LONG == 64\n+#define ___GFP_NEW 0x800000u\n+#endif",
            "v5.8-rc3",
            "include/linux/gfp.h",
            "in the #if around ___GFP_NEW",
        ),
        (" #define ___GFP_ACCOUNT 0x100000u\n+x", "v5.8-rc3", "include/linux/gfp.h", "it fits v4.5 to v4.19"),
        (
            " #define ___GFP_ACCOUNT 0x400000u\n+x",
            "v5.8-rc3",
            "include/linux/gfp_types.h",
            "has no gfp bits in v5.8-rc3; expected include/linux/gfp.h",
        ),
        ("+\t___GFP_NEW_BIT,", "v6.18", "include/linux/gfp_types.h", "expected a diff with context"),
        (
            " \t___GFP_DMA_BIT,\n \t___GFP_ZERO_BIT,\n+x",
            "v6.18",
            "include/linux/gfp_types.h",
            "___GFP_ZERO_BIT does not stand here",
        ),
        ("-\t___GFP_ZERO_BIT,\n+x", "v6.18", "include/linux/gfp_types.h", "___GFP_ZERO_BIT is not defined"),
    ],
)
def test_what_cannot_be_read_is_refused(body: str, kernel: str, path: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        change(body, kernel=kernel, path=path)
    assert error.value.file == "test.patch"


def test_nine_options_are_too_many() -> None:
    lines = "".join(f"+#ifdef CONFIG_N{n}\n+#define ___GFP_N{n} 0x{n}u\n+#endif\n" for n in range(1, 10))
    with pytest.raises(InputError, match="depend on 10 options; at most 8"):
        change(f" #define ___GFP_ACCOUNT 0x400000u\n{lines}")
