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
