"""The recorded truth of v6.18, v7.1 and v7.3: nothing may differ, and a wrong rule is noticed."""

import csv
from pathlib import Path
from typing import Any

import pytest

from gfpmodel.errors import InputError
from gfpmodel.evidence.golden import verify
from gfpmodel.evidence.mutants import MUTANTS, Mutant, killed_by, kills
from gfpmodel.evidence.verify import verify_file
from tests.conftest import bulk_but
from tests.vectors import agree_interpreted, cut_at_the_end, mutated, torn, unknown_field, unknown_operation

DATA = Path(__file__).parents[1] / "data"
FOLDERS = {"v6.18": DATA / "golden618", "v7.1": DATA / "golden715", "v7.3": DATA / "golden734"}
FILES = {kernel: sorted(folder.glob("*.jsonl.gz")) for kernel, folder in FOLDERS.items()}
ALL = [file for files in FILES.values() for file in files]
with (DATA.parents[1] / "book/data/mutants.csv").open(newline="") as table:
    NAMED = {row["mistake"]: row for row in csv.DictReader(table)}
SMALL = FOLDERS["v6.18"] / "u00_bulk_c1.jsonl.gz"
RANGES = FOLDERS["v7.3"] / "r03_range_c2.jsonl.gz"


@pytest.mark.parametrize("file", bulk_but(6, ALL), ids=lambda file: f"{file.parent.name}-{file.name.partition('.')[0]}")
def test_nothing_differs(file: Path) -> None:
    ops, difference = verify(file)
    assert difference is None
    assert ops > 0


@pytest.mark.parametrize("kernel", FILES)
def test_there_are_files_of_each_kernel(kernel: str) -> None:
    assert len(FILES[kernel]) >= 5


def test_both_formats_pass_in_one_call_interpreted() -> None:
    agree_interpreted([SMALL, RANGES, DATA / "golden" / "d20_patched_ft_lists_c4.jsonl.gz"])


@pytest.mark.parametrize(
    "mutant", bulk_but(20, MUTANTS), ids=lambda mutant: f"{mutant.kernel}-{mutant.says.replace(' ', '-')}"
)
def test_a_wrong_rule_is_noticed_by_the_vector_that_the_book_names(mutant: Mutant) -> None:
    (made,) = kills([mutant], FOLDERS)
    assert made["file"]
    assert made == NAMED[mutant.says]


def test_the_book_names_every_mistake_once_and_in_order() -> None:
    assert list(NAMED) == [mutant.says for mutant in MUTANTS]
    assert len(MUTANTS) >= 20


def test_no_mistake_stays_behind() -> None:
    with pytest.raises(InputError, match="has no 'nothing like this'"):
        killed_by(Mutant("nothing", "v6.18", "nr_pcp_alloc", "nothing like this", ""), [])
    assert verify(SMALL)[1] is None


def first(lines: list[dict[str, Any]], op: str) -> dict[str, Any]:
    return next(line for line in lines if line.get("op") == op)


def last_snap(lines: list[dict[str, Any]]) -> dict[str, Any]:
    zone: dict[str, Any] = [line for line in lines if line.get("t") == "snap"][-1]["zones"][0]
    return zone


def change_result(lines: Any) -> None:
    first(lines, "alloc")["r"] += 1


def change_bulk(lines: Any) -> None:
    first(lines, "bulk")["r"].pop()


def change_q(lines: Any) -> None:
    first(lines, "bulk")["q"] += 1


def change_event(lines: Any) -> None:
    first(lines, "bulk")["ev"][0][-1] ^= 1


def change_high(lines: Any) -> None:
    last_snap(lines)["pcp"][0]["h"] += 1


def change_list_crc(lines: Any) -> None:
    last_snap(lines)["pcp"][0]["lcrc"] = "0" * 8


def change_deferred(lines: Any) -> None:
    last_snap(lines)["tl"].append([4096, 0])


def change_high_max(lines: Any) -> None:
    lines[0]["zones"][0]["pcp_high_max"] += 1


def change_totals(lines: Any) -> None:
    lines[0]["event_counts"]["C"] += 1


def change_kernel(lines: Any) -> None:
    lines[0]["kernel"] = "7.1.5"


@pytest.mark.parametrize(
    "change",
    [
        change_result,
        change_bulk,
        change_q,
        change_event,
        change_high,
        change_list_crc,
        change_deferred,
        change_high_max,
        change_totals,
        change_kernel,
    ],
)
def test_an_edited_file_is_noticed(change: Any, tmp_path: Path) -> None:
    _, difference = verify(mutated(tmp_path, change, SMALL))
    assert difference is not None
    assert difference.expected != difference.got


def other_format(lines: Any) -> None:
    lines[0]["format"] = "1+6.19"


def mixed_formats(lines: Any) -> None:
    lines[0]["format"] = 1


def no_row(lines: Any) -> None:
    lines[0]["kernel"] = "6.12.19"


def no_operation(lines: Any) -> None:
    lines[5] = {"t": "note"}


def a_bulk_of_too_many(lines: Any) -> None:
    first(lines, "bulk")["n"] = 1 << 30


def busy_nothing(lines: Any) -> None:
    first(lines, "bulk")["tf"] = [-1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_format, "expected a header of format 1, 1+6.18, 1+7.3"),
        (mixed_formats, "the header lacks"),
        (no_row, "kernel 'v6.12' has no allocator here; expected v5.8-rc3, v6.18, v7.1, v7.3"),
        (unknown_operation, "unknown operation"),
        (no_operation, "unknown operation"),
        (unknown_field, "has unknown fields"),
        (a_bulk_of_too_many, "n is "),
        (busy_nothing, "tf: expected a list of numbers from 0 to 31"),
        (cut_at_the_end, "the file ends after"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(change: Any, says: str, tmp_path: Path) -> None:
    path = mutated(tmp_path, change, SMALL)
    with pytest.raises(InputError) as error:
        verify(path)
    assert says in error.value.message
    assert error.value.file == str(path)
    assert error.value.line is not None


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_torn_file_says_where(keep: float, tmp_path: Path) -> None:
    path = torn(tmp_path, SMALL, keep)
    assert (verdict := verify_file(str(path))).unusable is not None
    assert verdict.unusable.line is not None


def free_what_is_free(lines: Any) -> None:
    at = next(i for i, line in enumerate(lines) if line.get("op") == "range")
    lines.insert(at + 1, dict(lines[at]))


def test_a_range_that_is_freed_twice_is_noticed(tmp_path: Path) -> None:
    _, difference = verify(mutated(tmp_path, free_what_is_free, RANGES))
    assert difference is not None
    assert "double free" in difference.got or "never given" in difference.got
