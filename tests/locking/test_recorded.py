"""Every recorded cell: result, lockdep's report with its lock, and might_sleep are those of the booted kernel."""

import csv
import io
import re
from pathlib import Path

import pytest

from gfpmodel.locking import MISMATCHES, Kernel, Setup, make_kernel, make_request, verdict
from gfpmodel.locking.cells import answer, cell, compare, read_cells, recorded

DATA = Path(__file__).parents[2] / "book/data"
NESTING, RT = {"PROVE_RAW_LOCK_NESTING": True}, {"PREEMPT_RT": True}
PATCHED = "v5.8-rc3+FAST_TRY"
FILES = {
    "verdicts-5.8ft-lockdep.csv": (make_kernel(PATCHED, NESTING), 208),
    "verdicts-5.8ft-memcgfail.csv": (make_kernel(PATCHED, NESTING), 8),
    "verdicts-5.10rt17ft.csv": (make_kernel(PATCHED, RT), 148),
}
LATER = {
    "verdicts-6.18N.csv": (make_kernel("v6.18"), 245),
    "verdicts-6.18R.csv": (make_kernel("v6.18", RT), 190),
}
ASKED = ("request", "order", "context", "pcp", "setup")


def text_of(file: str) -> str:
    return (DATA / file).read_text()


def table(file: str) -> list[tuple[int, dict[str, str]]]:
    return list(read_cells(io.StringIO(text_of(file)), file))


CELLS = [
    pytest.param(row, kernel, id=f"{line}-{'-'.join(row[name] for name in ASKED)}")
    for file, (kernel, _) in FILES.items()
    for line, row in table(file)
]


@pytest.mark.parametrize(("row", "kernel"), CELLS)
def test_the_model_says_what_the_kernel_said(row: dict[str, str], kernel: Kernel) -> None:
    assert cell(row, kernel).row() == recorded(row)


@pytest.mark.parametrize(("row", "kernel"), CELLS)
def test_the_reports_name_what_the_kernel_named(row: dict[str, str], kernel: Kernel) -> None:
    report = cell(row, kernel).lockdep
    if report is None or report.lock is None:
        assert row["lock_tried_type"] == ""
        return
    held = "; ".join(f"{h.lock.name} {h.lock.types(True)}" for h in report.held)
    assert held.replace("_outer", "") == row["locks_held"].replace("_outer", "").replace("none", "")
    at = row["lock_tried"].split("@")[1].replace("fs_reclaim_acquire", "__alloc_pages_nodemask")  # inlined or not
    assert report.where == at
    if report.kind == "invalid_wait_context":
        assert f"{report.context_base}:{report.context_base}" == row["context_base"]
        assert f"{report.lock.text(True)} usage {report.usage}" == row["lock_tried_type"]
    else:
        old, new = report.conflict
        assert f"{report.lock.types(True)} usage {report.usage} {{{old}}} -> {{{new}}}" == row["lock_tried_type"]


@pytest.mark.parametrize("file", FILES)
def test_all_rows_are_there_and_none_is_excused(file: str) -> None:
    kernel, rows = FILES[file]
    assert len(table(file)) == rows
    assert not [place for place in MISMATCHES if place[0] == file]
    text = text_of(file)
    answers = answer(io.StringIO(text), file, kernel)
    assert [{name: row[name] for name in ASKED} for row in answers] == [
        {name: row[name] for name in ASKED} for row in csv.DictReader(io.StringIO(text))
    ]


@pytest.mark.parametrize("file", LATER)
def test_what_landed_later_but_for_the_listed_cells(file: str) -> None:
    kernel, agreeing = LATER[file]
    found = compare(io.StringIO(text_of(file)), file, kernel)
    listed = {line for name, line in MISMATCHES if name == file}
    assert {line for line, _, _ in found.different} == listed
    assert found.agree == agreeing
    assert found.not_asked == ()


def test_a_comparison_says_what_differs() -> None:
    file = "verdicts-5.8ft-lockdep.csv"
    plain = make_kernel(PATCHED)  # without PROVE_RAW_LOCK_NESTING no lock is reported for its wait type
    found = compare(io.StringIO(text_of(file)), file, plain)
    reported = [row for _, row in table(file) if row["lockdep_report"] == "invalid_wait_context"]
    assert [row for _, row, _ in found.different] == reported
    assert (found.agree, found.not_asked) == (208 - len(reported), ())


@pytest.mark.parametrize(
    "row", list(csv.DictReader(text_of("rtexp-splats.csv").splitlines())), ids=lambda row: "-".join(row.values())
)
def test_a_contended_kernel_splats_only_where_the_model_allows_it(row: dict[str, str]) -> None:
    config = {"PREEMPT_RT": row["preempt_rt"] == "1", "LOCKDEP": False, "DEBUG_ATOMIC_SLEEP": False}
    kernel = make_kernel("v6.1", config)
    by_flag = row["request"] == "fast_try"
    request = make_request(kernel, row="fast_try") if by_flag else make_request(kernel, row["request"])
    reports = [
        report.kind
        for pcp in ("warm", "dry")
        for report in verdict(request, row["context"], Setup(pcp, contended=True), kernel).reports
    ]
    atomic = row["context"] != "task" and config["PREEMPT_RT"]
    assert ("scheduling_while_atomic" in reports) == (atomic and not by_flag)
    assert "scheduling_while_atomic" in reports or row["bug_lines"] == "0"


PRINTED = re.split(r"(?m)^== ", (DATA.parents[1] / "tests/data/reports-boot58.txt").read_text())[1:]


@pytest.mark.parametrize("printed", PRINTED, ids=lambda text: text.partition("\n")[0])
def test_reports_have_the_lines_that_the_kernel_printed(printed: str) -> None:
    # one timer came while it was being armed: an accident of that guest, which no request can ask for
    asked, *lines = printed.replace("hrtimer_start_range_ns", "irq_enter_rcu").splitlines()
    release, request, order, where, pcp, setup = asked.split()
    row = {"request": request, "order": order, "context": where, "pcp": pcp, "setup": setup}
    found = cell(row, make_kernel(PATCHED, RT if release == "5.10-rt17" else NESTING))
    said = [line for report in found.printed for line in report.text().splitlines() if line]
    # the booted tree was the RFC on -rc7, whose mm/ is -rc3's; the banner names the tree that was asked for
    assert [line.replace("5.8.0-rc3+", "5.8.0-rc7").rstrip() for line in said] == lines


LATER_REPORTS = [
    pytest.param(row, kernel, id=f"{file}:{line}")
    for file, (kernel, _) in LATER.items()
    for line, row in table(file)
    if row["lockdep_report"] != "no" and (file, line) not in MISMATCHES and not row["lock_tried"].startswith("ft_spin")
]
#: The driver's names for its locks, and a tasklet's lock, in which the driver had its softirq on PREEMPT_RT.
THEIRS = {"_outer": "", "rcu_read_lock {1:3}; tasklet_sync_callback.cb_lock": "softirq_ctrl.lock"}


@pytest.mark.parametrize(("row", "kernel"), LATER_REPORTS)
def test_later_reports_name_what_that_kernel_named(row: dict[str, str], kernel: Kernel) -> None:
    found = cell(row, kernel)
    report = found.lockdep
    assert report is not None
    assert report.where == row["lock_tried"].split("@")[1]
    held = "; ".join(f"{h.lock.name} {h.lock.types(True)}" for h in report.held) or "none"
    said = row["locks_held"]
    for theirs, ours in THEIRS.items():
        said = said.replace(theirs, ours)
    assert held == said
    assert row["context_base"] in ("", f"{report.context_base}:{report.context_base}")


@pytest.mark.parametrize("file", LATER)
def test_later_reports_of_sleep_name_the_file_and_the_count_of_that_kernel(file: str) -> None:
    kernel, asked = LATER[file][0], 0
    for line, row in table(file):
        slept = cell(row, kernel).first("sleeping_function")
        if slept is None or (file, line) in MISMATCHES:
            continue
        asked += 1
        lines = slept.text().splitlines()
        assert lines[0].endswith(f" at {row['might_sleep_report'].split(':')[0]}")
        assert [text.partition(":")[0] for text in lines[1:4]] == ["in_atomic()", "preempt_count", "RCU nest depth"]
    assert asked > 5
