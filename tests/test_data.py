"""The book's data agrees with the tables: real kernels' traces decode to the very text they were printed with."""

import csv
from pathlib import Path

import pytest

from gfpmodel.gfp import decode, encode, layout

DATA = Path(__file__).parents[1] / "book/data"
V61 = layout("v6.1")
MASKS = sorted({row["gfp_flags"] for row in csv.DictReader((DATA / "gfp-masks-6.1.csv").open())})


@pytest.mark.parametrize("text", MASKS)
def test_every_mask_of_the_traces_round_trips_under_their_kernel(text: str) -> None:
    assert decode(encode(text, V61), V61).text == text


def test_the_traces_hold_the_rfcs_own_mask_and_mask_0() -> None:
    assert "GFP_NOWAIT|__GFP_NOWARN" in MASKS
    assert "none" in MASKS


def test_callers_of_the_rfcs_mask() -> None:
    rows = [row for row in csv.DictReader((DATA / "mask-callers-6.1.csv").open()) if row["mask"] == "0x2800"]
    assert rows
    assert {row["caller"] for row in rows} == {"__tlb_remove_page_size"}


def test_the_mail_is_the_one_its_origin_names() -> None:
    text = (DATA / "fast-try-v1.txt").read_text()
    assert "[RFC-PROTOTYPE 1/1] mm: Add __GFP_FAST_TRY flag" in text
    assert "20200803163029.1997-1-urezki@gmail.com" in (DATA / "ORIGIN.md").read_text()
