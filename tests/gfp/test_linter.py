"""The linter: the RFC's own mail, a corpus written independently of it, and mails that were torn or mangled."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gfpmodel.errors import InputError
from gfpmodel.gfp import lint
from gfpmodel.gfp.facts import SEVERITIES
from gfpmodel.gfp.linter import Report
from gfpmodel.gfp.rules import RULES

ROOT = Path(__file__).parents[2]
MAIL = ROOT / "book/data/fast-try-v1.txt"
CORPUS = ROOT / "tests/data/patches"
EXPECTED = json.loads((CORPUS / "expected.json").read_text())
GOOD = sorted(name for name, case in EXPECTED.items() if "findings" in case)
BAD = sorted(name for name, case in EXPECTED.items() if "findings" not in case)


def summary(report: Report) -> list[list[str | None]]:
    """Return the distinct (rule, flag, severity) of a report, as the corpus lists them."""
    return [list(row) for row in sorted({(f.rule, f.flag or "", f.severity) for f in report.findings})]


@pytest.fixture(scope="module")
def rfc() -> Report:
    return lint(MAIL.read_bytes(), MAIL.name)


class TestTheMail:
    def test_base_is_found_by_its_blob(self, rfc: Report) -> None:
        assert rfc.base == "v5.8-rc3"
        assert "include/linux/gfp.h" in rfc.base_why

    def test_findings(self, rfc: Report) -> None:
        assert summary(rfc) == [
            ["bit-renumbered", "__GFP_NOLOCKDEP", "note"],
            ["comment-only", "__GFP_FAST_TRY", "note"],
            ["mask-drops-flag", "__GFP_FAST_TRY", "warning"],
            ["no-kernel-doc", "__GFP_FAST_TRY", "warning"],
            ["no-user", "__GFP_FAST_TRY", "note"],
        ]
        assert not rfc.ok

    def test_the_shift_is_right_in_both_configs(self, rfc: Report) -> None:
        assert [(dict(w.config), w.old_shift, w.shift) for w in rfc.words] == [
            ({"LOCKDEP": False}, 23, 24),
            ({"LOCKDEP": True}, 24, 25),
        ]

    def test_nolockdep_moves_only_with_lockdep(self, rfc: Report) -> None:
        [moved] = [f for f in rfc.findings if f.rule == "bit-renumbered"]
        assert moved.config == "LOCKDEP=y"
        assert (moved.file, moved.line) == ("include/linux/gfp.h", 44)
        assert "0x800000" in moved.message
        assert "0x1000000" in moved.message

    def test_seven_hunks_of_four_files_are_comments(self, rfc: Report) -> None:
        hunks = [(f.file, f.line) for f in rfc.findings if f.rule == "comment-only"]
        assert len(hunks) == 7
        assert {file for file, _ in hunks} == {"mm/slab.c", "mm/slab.h", "mm/slob.c", "mm/slub.c"}

    def test_json_is_plain(self, rfc: Report) -> None:
        facts = json.loads(json.dumps(rfc.to_json()))
        assert set(facts["findings"][0]) == {"rule", "severity", "file", "line", "flag", "config", "message"}
        assert facts["new_flags"] == ["__GFP_FAST_TRY"]
        assert [layout["bits_left"] for layout in facts["layouts"]] == [5, 4]


def lint_of(name: str) -> Report:
    """Return the report on a patch of the corpus, against the kernel that is expected there."""
    return lint((CORPUS / name).read_bytes(), name, EXPECTED[name]["kernel"])


def edited(*changes: tuple[str, str]) -> bytes:
    """Return the mail with lines replaced; each must be there."""
    text = MAIL.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text.encode()


SHIFT = "+#define __GFP_BITS_SHIFT (24 + IS_ENABLED(CONFIG_LOCKDEP))"


@pytest.mark.parametrize(
    ("changes", "rule", "flag", "config"),
    [
        ([(SHIFT, SHIFT.replace("24", "23"))], "shift-too-small", "__GFP_FAST_TRY", "LOCKDEP=n"),
        ([(SHIFT, SHIFT.replace("24", "23"))], "shift-too-small", "__GFP_NOLOCKDEP", "LOCKDEP=y"),
        ([(SHIFT, SHIFT.replace("(24 + IS_ENABLED(CONFIG_LOCKDEP))", "25"))], "shift-hole", None, "LOCKDEP=n"),
        ([(SHIFT, SHIFT.replace("24", "29"))], "shift-too-large", None, "LOCKDEP=y"),
        ([("0x1000000u", "0x800000u")], "bit-collision", "__GFP_FAST_TRY", "LOCKDEP=y"),
        (
            [("+#define ___GFP_FAST_TRY		0x800000u", "+#define ___GFP_FAST_TRY		0x400000u")],
            "bit-collision",
            "__GFP_FAST_TRY",
            None,
        ),
        (
            [('+	{(unsigned long)__GFP_FAST_TRY,		"__GFP_FAST_TRY"},	\\\n', "+\n")],
            "no-trace-name",
            "__GFP_FAST_TRY",
            None,
        ),
        (
            [('{ "__GFP_FAST_TRY",		"FT" }', '{ "__GFP_FAST_TRI",		"FT" }')],
            "no-perf-name",
            "__GFP_FAST_TRY",
            None,
        ),
        ([('"FT"', '"NWR"')], "perf-code-clash", "__GFP_FAST_TRY", None),
    ],
)
def test_each_thing_forgotten_is_found(changes, rule: str, flag: str | None, config: str | None) -> None:
    findings = lint(edited(*changes), "edited").findings
    assert (rule, flag, config) in [(f.rule, f.flag, f.config) for f in findings]


@pytest.mark.parametrize("name", GOOD)
def test_corpus(name: str) -> None:
    case = EXPECTED[name]
    report = lint((CORPUS / name).read_bytes(), name, case["kernel"])
    assert report.base.split()[0] == case["base"]
    assert summary(report) == sorted([rule, flag or "", severity] for rule, flag, severity in case["findings"])
    assert all(f.message and SEVERITIES[f.rule] == f.severity for f in report.findings)


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_its_place(name: str) -> None:
    case = EXPECTED[name]
    with pytest.raises(InputError) as error:
        lint((CORPUS / name).read_bytes(), name, case["kernel"])
    assert error.value.file == name
    assert "\n" not in str(error.value)
    if case["error_line"] is not None:
        first, last = case.get("error_range", [case["error_line"]] * 2)
        assert first <= (error.value.line or 0) <= last


def test_the_corpus_tries_every_rule() -> None:
    tried = {rule for name in GOOD for rule, _, _ in EXPECTED[name]["findings"]}
    assert tried == set(SEVERITIES)
    assert len(RULES) == len(SEVERITIES)


def test_a_wrong_kernel_is_named_with_the_right_one() -> None:
    with pytest.raises(InputError, match=r"mail:\d+: .*is not in v6.1's gfp header; it fits .*v5.8-rc3.*use --kernel"):
        lint(MAIL.read_bytes(), "mail", "v6.1")


@pytest.mark.parametrize("name", GOOD[::5])
@pytest.mark.parametrize("kernel", ["v4.19", "v6.1", "v6.18"])
def test_the_advice_of_a_refusal_is_never_refused(name: str, kernel: str) -> None:
    data = (CORPUS / name).read_bytes()
    error = lint_or_refuse(data, name, kernel)
    if isinstance(error, InputError) and "it fits " in error.message:
        spoken = error.message.rsplit("it fits ", 1)[1].removesuffix(": use --kernel")
        for first in (span.split(" to ")[0] for span in spoken.split(", ")):
            assert isinstance(lint_or_refuse(data, name, first), Report), first


def test_a_patch_of_no_known_tree_says_so() -> None:
    body = "-#define ___GFP_ACCOUNT 0x4000000u\n+#define ___GFP_ACCOUNT 0x8000000u"
    with pytest.raises(InputError, match="no known kernel's header has all the old lines"):
        lint(small("include/linux/gfp.h", body))


def test_a_release_can_be_named_as_the_base() -> None:
    report = lint(small("mm/x.c", " a\n+b"), "x", "6.8.0-31-generic")
    assert report.base == "v6.8"
    assert "6.8.0-31-generic, grade B" in report.base_why


def test_what_a_removal_changes_is_named() -> None:
    [left] = [f for f in lint_of("removed-v6.2-atomic-mask-left.patch").findings if f.rule == "flag-removed"]
    assert "GFP_ATOMIC 0xa20 -> 0x820" in left.message
    assert "GFP_RECLAIM_MASK 0xbeee0 -> 0xbece0" in left.message
    assert "tools/perf/builtin-kmem.c (still there: a dead row)" in left.message
    assert "mmflags.h (taken out)" in left.message
    report = lint_of("removed-v7.2-row-and-copy-left.patch")
    [gone] = [f for f in report.findings if f.rule == "flag-removed"]
    assert "mmflags.h (still there)" in gone.message
    assert "tools/include/linux/gfp_types.h (not touched)" in gone.message
    assert [(w.old_shift, w.shift) for w in report.words][:2] == [(25, 24), (25, 24)]
    assert "no new flag; shift 25 -> 24" in report.to_text()
    assert report.to_json()["gone_flags"] == ["__GFP_NO_OBJ_EXT"]


def test_a_renamed_flag_leaves_its_bit_to_another() -> None:
    body = "-#define ___GFP_REPEAT 0x400u\n+#define ___GFP_RETRY_MAYFAIL 0x400u"
    [gone] = [f for f in lint(small("include/linux/gfp.h", body), "x", "4.12").findings if f.rule == "flag-removed"]
    assert "its bit is __GFP_RETRY_MAYFAIL's now" in gone.message


@pytest.mark.parametrize(
    ("code", "flag"),
    [
        ("if (gfp && __GFP_IO)", "__GFP_IO"),
        ("if (__GFP_IO && gfp)", "__GFP_IO"),
        ("return gfp_flags && GFP_KERNEL;", "GFP_KERNEL"),
        ("return __GFP_FS && gfp;", "__GFP_FS"),
        ("x = a && (__GFP_IO | __GFP_FS);", "__GFP_IO"),
        ("if ((gfp && ~__GFP_IO) == 0)", "__GFP_IO"),
        ("while (order || __GFP_HIGH)", "__GFP_HIGH"),
        ("mask = __GFP_IO && __GFP_FS;", "__GFP_IO"),
        ("f(gfp && __GFP_IO, GFP_KERNEL);", "__GFP_IO"),
        ("x = a && (__GFP_IO && b);", "__GFP_IO"),
        ("gfp = (__force gfp_t)(x && ___GFP_IO);", "___GFP_IO"),
    ],
)
def test_a_flag_beside_a_logical_operator(code: str, flag: str) -> None:
    found = [f for f in lint(small("mm/x.c", f" a;\n+{code}\n b;")).findings if f.rule == "logical-and"]
    assert found[0].flag == flag
    assert len({f.flag for f in found}) == len(found)
    assert (found[0].file, found[0].line) == ("mm/x.c", 2)
    removed = lint(small("mm/x.c", f" a;\n-{code}\n b;")).findings
    assert [f.rule for f in removed] == ["no-gfp-change"]  # a line that goes is no fault


@pytest.mark.parametrize(
    "code",
    [
        "if ((gfp & __GFP_IO) && (gfp & __GFP_FS))",
        "if (gfp & __GFP_IO && gfp & __GFP_FS)",
        "if (gfp == GFP_KERNEL && order)",
        "if (order && gfp == GFP_KERNEL)",
        "p = ok && kmalloc(8, GFP_KERNEL);",
        "f(a && b, GFP_KERNEL);",
        "gfp = a && b ? GFP_KERNEL : GFP_ATOMIC;",
        "gfp = a || b ? GFP_KERNEL : GFP_ATOMIC;",
        "if (gfpflags_allow_blocking(gfp) && !(gfp & __GFP_NOFAIL))",
        "gfp = GFP_KERNEL; ok = a && b;",
        'pr_info("a && __GFP_IO");',
        "x; /* gfp && __GFP_IO */",
        "#if defined(A) && GFP_X",
    ],
)
def test_logical_operators_between_tests_are_silent(code: str) -> None:
    assert [f.rule for f in lint(small("mm/x.c", f" a;\n+{code}\n b;")).findings] == ["no-gfp-change"]


def test_a_part_that_is_missing_shows_against_the_diffstat() -> None:
    text = MAIL.read_text()
    cut = text[: text.index("diff --git a/mm/slub.c")] + text[text.index("diff --git a/tools/perf") :]
    [remark] = lint(cut.encode(), "cut").remarks
    assert "8 files" in remark
    assert "7 files" in remark


lines_of_mail = MAIL.read_text().splitlines(keepends=True)


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """Draw the mail with lines dropped, doubled, swapped or overwritten, or the whole cut short."""
    lines = list(lines_of_mail)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(150, len(lines) - 2))
        how = draw(st.sampled_from(["drop", "double", "swap", "text", "digit"]))
        if how == "drop":
            del lines[at]
        elif how == "double":
            lines.insert(at, lines[at])
        elif how == "swap":
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        elif how == "text":
            lines[at] = lines[at][:1] + draw(st.text(max_size=40)) + "\n"
        else:
            lines[at] = lines[at].replace("0", draw(st.sampled_from("189fxz")), 1)
    data = "".join(lines).encode("utf-8", "surrogatepass")
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


def lint_or_refuse(data: bytes, name: str, kernel: str | None = None) -> Report | InputError:
    """Return the report, or the error that refuses the input; anything else is a crash."""
    try:
        return lint(data, name, kernel)
    except InputError as error:
        return error


@settings(max_examples=150, deadline=None)
@given(mangled())
def test_lint_never_crashes_on_a_mangled_mail(data: bytes) -> None:
    result = lint_or_refuse(data, "mangled")
    if isinstance(result, Report):
        assert result.to_text()
    else:
        assert result.file == "mangled"
        assert "\n" not in str(result)


@given(st.binary(max_size=400))
def test_lint_refuses_noise(data: bytes) -> None:
    with pytest.raises(InputError):
        lint(data, "noise")


@settings(deadline=None)
@given(st.sampled_from(GOOD), st.integers(0, 3000))
def test_a_truncated_patch_is_refused_or_read_to_the_cut(name: str, cut: int) -> None:
    result = lint_or_refuse((CORPUS / name).read_bytes()[:cut], name, EXPECTED[name]["kernel"])
    assert isinstance(result, Report) or result.file == name


def small(path: str, body: str) -> bytes:
    """Return a one-hunk diff of one file."""
    lines = body.split("\n")
    old, new = (sum(line[:1] != sign for line in lines) for sign in "+-")
    return f"--- {path}\n+++ {path}\n@@ -1,{old} +1,{new} @@\n{body}\n".encode()


def test_a_tree_in_front_of_the_path_does_not_hide_the_header() -> None:
    body = " #define ___GFP_ACCOUNT 0x400000u\n+#define ___GFP_NEW 0x800000u"
    assert lint(small("linux-5.8.orig/include/linux/gfp.h", body)).new_flags == ("__GFP_NEW",)


def test_rows_and_masks_that_lose_an_old_flag() -> None:
    cases = [
        ("tools/perf/builtin-kmem.c", '-\t{ "__GFP_WRITE",\t"WR" },\n+', "no-perf-name"),
        ("include/trace/events/mmflags.h", '-\t{(unsigned long)__GFP_WRITE,\t"__GFP_WRITE"},\t\\\n+', "no-trace-name"),
        (
            "mm/internal.h",
            "-#define GFP_CONSTRAINT_MASK (__GFP_HARDWALL|__GFP_WRITE)\n+#define GFP_CONSTRAINT_MASK (__GFP_HARDWALL)",
            "mask-drops-flag",
        ),
    ]
    for path, body, rule in cases:
        [finding] = lint(small(path, body)).findings
        assert (finding.rule, finding.flag, finding.file) == (rule, "__GFP_WRITE", path)


def test_a_row_over_two_lines_is_a_row() -> None:
    body = ' x\n+\t{ "__GFP_WRITE",\n+\t  "NF" },'
    assert [f.rule for f in lint(small("tools/perf/builtin-kmem.c", body)).findings] == ["perf-code-clash"]


def test_a_form_feed_ends_no_line() -> None:
    assert [f.rule for f in lint(small("mm/x.c", " int a;\n \x0c\n+int b;\n int c;")).findings] == ["no-gfp-change"]


def test_a_quoted_diff_is_not_the_patch() -> None:
    quoted = b"".join(b"> " + line for line in MAIL.read_bytes().splitlines(keepends=True))
    with pytest.raises(InputError, match="only quoted"):
        lint(quoted, "reply")


def test_a_value_that_cannot_be_read_is_named_and_not_the_base() -> None:
    # the old lines are v6.6's: that v5.8-rc3, the default, has them not, is no reason
    mail = (
        "--- a/include/linux/gfp_types.h\n+++ b/include/linux/gfp_types.h\n@@ -50,2 +50,3 @@\n"
        " #define ___GFP_SKIP_KASAN\t0x2000000u\n+#define ___GFP_FAST_TRY\tsizeof(int)\n"
        " #define ___GFP_NOLOCKDEP\t0x4000000u\n"
    )
    with pytest.raises(InputError, match=r"mail:5: sizeof is not defined for ___GFP_FAST_TRY"):
        lint(mail.encode(), "mail")
