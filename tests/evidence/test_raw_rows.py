"""The recorded table of limitation (a): the model says the same at the same object, and could say something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from gfpmodel.errors import InputError
from gfpmodel.evidence.raw_rows import COLUMNS, compare, read_rows, run_of, words_of

TABLE = Path(__file__).parents[2] / "book/data/kfree-rcu-raw.csv"
#: Rows in which the drain timer's work ran in the middle, by line: after how many objects.
DRAINED = {42: 1, 46: 2519}


def rows_of(folder: Path, *numbers: int, **edits: str) -> Path:
    """Return a table of some rows of the recorded one (by line), edited."""
    rows = read_rows(TABLE)
    lines = [",".join(COLUMNS)]
    lines += [",".join((rows[number - 2] | edits)[name].replace(",", " ") for name in COLUMNS) for number in numbers]
    path = folder / "table.csv"
    path.write_text("\n".join(lines))
    return path


# 37: no cached block; 41: one; 3: pages on the list; 17: one argument under a lock; 53: v5.11; 64: one argument there
@pytest.mark.parametrize("line", [37, 41, 3, 17, 53, 64])
def test_rows_agree(tmp_path: Path, line: int) -> None:
    (found,) = compare(rows_of(tmp_path, line))
    assert found.agrees, found


def test_a_drain_in_between_explains_an_earlier_report(tmp_path: Path) -> None:
    path = rows_of(tmp_path, 42)
    (without,) = compare(path)
    (told,) = compare(path, {2: DRAINED[42]})
    assert (without.said[1], without.model[1], told.model[1]) == (2, 511, 2)


def test_another_number_is_noticed(tmp_path: Path) -> None:
    (found,) = compare(rows_of(tmp_path, 37, report_at_object="2"))
    assert not found.agrees


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("form,n\nk2,1\n")
    with pytest.raises(InputError, match="no column"):
        list(compare(path))


@pytest.mark.parametrize(("column", "value"), [("lock_held", "mutex"), ("n", "many"), ("form", "x2")])
def test_a_bad_row_is_refused(column: str, value: str) -> None:
    with pytest.raises(InputError, match="expected"):
        run_of(read_rows(TABLE)[0] | {column: value})


def test_reports_in_one_order() -> None:
    both = "BUG: sleeping function called from invalid context at a.c:1; Invalid wait context"
    assert words_of(both) == "Invalid wait context, sleeping function called"
    assert words_of("none") == "nothing"
