"""The reports of our own making give the answers that were written down before."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from gfpmodel.explain import explain

REPORTS = Path("tests/data/reports")
ROWS = list(csv.DictReader((REPORTS / "expected.csv").open(encoding="utf-8")))


def test_every_report_has_an_answer() -> None:
    assert {row["file"] for row in ROWS} == {file.name for file in REPORTS.glob("*.txt")}
    assert len(ROWS) >= 25


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_answer(row: dict[str, str]) -> None:
    (one,) = explain((REPORTS / row["file"]).read_text(encoding="utf-8"))
    assert (one["kind"], one["release"]) == (row["kind"], row["release"])
    if row["names"]:
        failing = one["failing"] if isinstance(one["failing"], str) else "+".join(one["failing"])
        assert (one["asked"]["printed"], one["asked"]["agrees"]) == (row["names"], row["agrees"] == "yes")
        assert row["agrees"] == "no" or one["asked"]["names"] == row["names"]
        assert (failing, " ".join(str(zone["short"]) for zone in one["zones"]) or "0") == (row["failing"], row["short"])
    else:
        got = (one["asked"]["lock"] or "", one["forbidden_by"] or "", one["context"] or "")
        assert got == (row["lock"], row["forbidden_by"], row["context"])


def test_an_unknown_kernel_is_said() -> None:
    (one,) = explain((REPORTS / "20-9.9-unknown-kernel.txt").read_text(encoding="utf-8"))
    assert any("no flag table for 9.9" in remark for remark in one["remarks"])
    assert any("the rule of each is tried" in remark for remark in one["remarks"])
