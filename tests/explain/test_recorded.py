"""The recorded reports of booted kernels, read back as printed: the model says the same, in the cell they came from."""

from __future__ import annotations

import io
import lzma
import re
from pathlib import Path

import pytest

from gfpmodel.explain import explain
from gfpmodel.explain.locks import CASES
from gfpmodel.explain.situation import LEVELS
from gfpmodel.locking import MISMATCHES, Kernel, make_kernel
from gfpmodel.locking.cells import cell, read_cells
from gfpmodel.locking.contexts import ITEMS, STACKS
from gfpmodel.locking.reports import PRINTED, Report

TEXT = lzma.decompress(Path("tests/data/reports-boot58-raw.txt.xz").read_bytes()).decode()
CELLS = [part.partition("\n")[::2] for part in re.split(r"^(?:\(5.10-rt17\) )?##### ", TEXT, flags=re.MULTILINE)[1:]]
#: What a report does not tell: the flag of the RFC, which mask met page_owner, and that a lock was got by trying.
UNTOLD = {"F0u": "Z0", "F1": "Z1", "raw_try": "raw"}


def told(head: str) -> tuple[str, str, str, str]:
    """Return a cell's request, lists, page_owner and context, as far as a report can tell them."""
    words = dict(word.split("=", 1) for word in head.split() if "=" in word)
    request, where = (UNTOLD.get(words[name], words[name]) for name in ("req", "ctx"))
    owner = "on" if "page_owner=on" in head else "off"
    return "Z0" if owner == "on" else request, words["pcp"], owner, ">".join(STACKS[where]) or "task"


def bare(where: str) -> str:
    """Return a context without the names of its locks, and without the driver's own count."""
    words = [word.partition(":")[0] for word in re.split("(?<!-)>", where)]
    return ">".join(word for word in words if word != "preemptoff" or words == ["preemptoff"])


def reports_of(body: str) -> list[str]:
    """Return the kinds of the reports of a cell, in the words of their titles."""
    return re.findall(r"Invalid wait context|inconsistent lock state|sleeping function", body)


@pytest.mark.parametrize(("head", "body"), CELLS, ids=[head for head, _ in CELLS])
def test_read_back(head: str, body: str) -> None:
    found = explain(body)
    assert [one["kind"].replace("_", " ") for one in found] == [kind.lower() for kind in reports_of(body)]
    for one in found:
        assert one["model"].startswith("equal"), one["model"]
        request, pcp, owner, where = told(head)
        asked = [bare(case["context"]) for case in one["cases"] if fits(case, request, pcp, owner)]
        if "the locks held, if lockdep was on" in one["missing"]:  # lockdep is turned off
            where, asked = levels(where), [levels(text) for text in asked]
        assert where in {untold for text in asked for untold in (text, text.replace("raw_irqsave", "raw"))}


def fits(case: dict[str, str], request: str, pcp: str, owner: str) -> bool:
    """Return whether a case is of a cell's request, lists and page_owner."""
    return (case["request"], case["pcp"], case["page_owner"]) == (request, pcp, owner)


def levels(where: str) -> str:
    """Return a context without its locks and without what is switched off."""
    return ">".join(word for word in where.split(">") if ITEMS[word].level) if where != "task" else ""


def test_every_recorded_report_is_there() -> None:
    assert len(CELLS) == 19
    assert sum(len(explain(body)) for _, body in CELLS) == len(reports_of(TEXT)) == 26


def test_in_one_log_they_are_what_they_are_alone() -> None:
    """A log of several boots: no report takes anything from the one before it.

    The time stamps are left out: where those of the next boot happen to go on, it is taken for the same.
    """
    bodies = [re.sub(r"^\[ *\d+\.\d+\] ", "", body, flags=re.MULTILINE) for _, body in CELLS]
    alone = [{**one, "line": 0} for body in bodies for one in explain(body)]
    assert [{**one, "line": 0} for one in explain("##### \n".join(bodies))] == alone


def test_the_cases_tell_locks_apart() -> None:
    """A lock that no case takes there is not called equal."""
    _, body = CELLS[1]
    assert "&zone->lock" in body
    (one,) = explain(body.replace("&zone->lock", "&other->lock"))
    assert one["cases"] == []
    assert len(CASES) == len(set(CASES))


DATA = Path("book/data")
PATCHED = "v5.8-rc3+FAST_TRY"
TABLES = {
    "verdicts-5.8ft-lockdep.csv": make_kernel(PATCHED, {"PROVE_RAW_LOCK_NESTING": True}),
    "verdicts-5.10rt17ft.csv": make_kernel(PATCHED, {"PREEMPT_RT": True}),
    "verdicts-6.18N.csv": make_kernel("v6.18"),
    "verdicts-6.18R.csv": make_kernel("v6.18", {"PREEMPT_RT": True}),
}
REPORTED = [
    pytest.param(row, kernel, id=f"{file}:{line}")
    for file, kernel in TABLES.items()
    for line, row in read_cells(io.StringIO((DATA / file).read_text()), file)
    if (row["lockdep_report"] != "no" or row["might_sleep_report"] != "no") and (file, line) not in MISMATCHES
]


#: By which function a handler of a level was begun: before v5.16 a report on sleeping has nothing else of its level.
BEGINS = {"task": (), "softirq": ("__do_softirq",), "hardirq": ("hrtimer_interrupt",), "nmi": ("exc_nmi",)}


def console(report: Report, request: str) -> str:
    """Return what a console shows of a report that `tests/locking` compares with the recorded cell, and its banner.

    Its chain has the function that any request (for a page, or to free one) passes through.
    """
    kernel = report.kernel
    model = "PREEMPT_RT" if kernel.rt else "PREEMPT(full)"
    banner = f"CPU: 0 UID: 0 PID: 1 Comm: caller Not tainted {kernel.release} #1 {model}"
    through = "free_frozen_pages" if request.startswith("FREE") else "get_page_from_freelist"
    chain = [f" {name}+0x10/0x80" for name in (report.where, through, *BEGINS[report.level])]
    return "\n".join([report.text(), banner, "Call Trace:", *chain, ""])


@pytest.mark.parametrize(("row", "kernel"), REPORTED)
def test_a_table_of_cells_is_read_back(row: dict[str, str], kernel: Kernel) -> None:
    """A cell's report gives the cell's lock and its level, and the model prints the same."""
    found = cell(row, kernel)
    for report in found.reports:
        (one,) = explain(console(report, row["request"]))
        assert one["kind"] == report.kind
        assert report.lock is None or one["lock"] == PRINTED.get(report.lock.name, report.lock.name)
        assert one["verdict_agrees"], one["model"]
        assert LEVELS[report.level] in one["context"]
