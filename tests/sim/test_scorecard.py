"""The scorecard: every cell from a result; without the result a gap, never a number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gfpmodel.errors import InputError
from gfpmodel.gfp.patches import read_patch
from gfpmodel.locking import Setup, make_kernel, make_request, verdict
from gfpmodel.locking.contexts import STACKS
from gfpmodel.proposals import PATCHED, PROPOSALS
from gfpmodel.sim.scorecard import COLUMNS, GAP, RT, Score, Scorecard, read_reported, scorecard, with_row
from gfpmodel.sim.statistics import Interval, interval

DATA = Path(__file__).parents[2] / "book/data"
NEEDS = sorted({column.needs for column in COLUMNS})


def test_a_row_for_every_proposal_and_a_cell_for_every_column(card: Scorecard) -> None:
    assert list(card.rows) == list(PROPOSALS)
    assert all(list(row) == [column.name for column in COLUMNS] for row in card.rows.values())


@pytest.mark.parametrize("missing", NEEDS)
def test_a_missing_result_leaves_gaps_and_changes_nothing_else(
    results: dict[str, Any], card: Scorecard, missing: str
) -> None:
    without = scorecard({name: found for name, found in results.items() if name != missing})
    for column in COLUMNS:
        for name in PROPOSALS:
            cell = without.rows[name][column.name]
            if column.needs == missing:
                assert (cell.value, str(cell), cell.source) == (None, GAP, f"no result of {missing}")
                assert not without.worse(name, column)
            else:
                assert cell == card.rows[name][column.name]


def test_no_result_at_all_is_a_table_of_gaps() -> None:
    assert {str(cell) for row in scorecard({}).rows.values() for cell in row.values()} == {GAP}


@pytest.mark.parametrize("gone", PROPOSALS)
def test_a_proposal_that_an_experiment_was_not_asked_is_a_gap(results: dict[str, Any], gone: str) -> None:
    rows = [row for row in results["co_tenant"] if row["proposal"] != gone]
    card = scorecard({**results, "co_tenant": rows})
    assert str(card.rows[gone]["cost"]) == str(card.rows[gone]["tenant"]) == GAP


def test_every_simulated_cell_has_an_interval_and_every_cell_a_source(card: Scorecard) -> None:
    for row in card.rows.values():
        for cell in row.values():
            assert cell.source
            if cell.label == "modelled":
                assert cell.value is not None
                assert cell.value.low <= cell.value.mean <= cell.value.high
                assert not cell.exact


def test_the_cells_are_the_intervals_of_the_rows(results: dict[str, Any], card: Scorecard) -> None:
    rows = [r for r in results["co_tenant"] if r["proposal"] == "no_locks" and r["tenant_rate"] == 200_000.0]
    assert card.rows["no_locks"]["cost"].value == interval(
        [r["mean_op_ns.raided"] - r["mean_op_ns.alone"] for r in rows]
    )
    far = [r for r in results["cross_cpu"] if r["proposal"] == "trylock" and r["frees_on"] == "next"]
    found = card.rows["trylock"]["cross"].value
    assert found is not None
    assert found.mean == pytest.approx(100 * interval([r["failed_share.asker"] for r in far]).mean)


def test_the_rate_of_the_tenant_moves_its_columns_only(results: dict[str, Any], card: Scorecard) -> None:
    other = scorecard(results, 10_000.0)
    moved = {c.name for c in COLUMNS for name in PROPOSALS if other.rows[name][c.name] != card.rows[name][c.name]}
    assert moved == {"tenant", "cost"}
    nowhere = scorecard(results, 123.0)
    assert {str(nowhere.rows[name]["cost"]) for name in PROPOSALS} == {GAP}


@pytest.mark.parametrize("name", PROPOSALS)
def test_the_contexts_are_counted_by_the_verdicts(card: Scorecard, name: str) -> None:
    kernel = make_kernel(PATCHED, {"PREEMPT_RT": True})
    asked = {
        where: [verdict(make_request(kernel, row=name), where, Setup(pcp), kernel) for pcp in ("warm", "dry")]
        for where in STACKS
    }
    fair = {where: found for where, found in asked.items() if not any(v.before for v in found)}
    clean = sum(all(v.clean for v in found) for found in fair.values())
    assert RT == "PREEMPT_RT 2020"
    assert str(card.rows[name]["rt"]) == f"{clean} of {len(fair)}"


def test_what_is_behind() -> None:
    cost, clean = (next(c for c in COLUMNS if c.name == name) for name in ("cost", "rt"))
    cells = {
        "a": {"cost": Score(Interval(2, 1, 3), ""), "rt": Score(Interval(26, 26, 26), "", of=26, exact=True)},
        "b": {"cost": Score(Interval(4, 2.9, 5), ""), "rt": Score(Interval(27, 27, 27), "", of=27, exact=True)},
        "c": {"cost": Score(Interval(6, 3.1, 9), ""), "rt": Score(Interval(26, 26, 26), "", of=27, exact=True)},
        "d": {"cost": Score(None, "why"), "rt": Score(None, "why")},
    }
    card = Scorecard(cells)
    assert [name for name in cells if card.worse(name, cost)] == ["c"]
    assert [name for name in cells if card.worse(name, clean)] == ["c"]


@given(some.lists(some.floats(0, 1), min_size=2, max_size=8))
def test_a_share_of_failures_stays_a_share(shares: list[float]) -> None:
    rows = [
        {"proposal": "gfp0", "frees_on": "same", "seed": at, "failed_share.asker": value}
        for at, value in enumerate(shares)
    ]
    value = scorecard({"cross_cpu": rows}).rows["gfp0"]["lone"].value
    assert value is not None
    assert 0 <= value.low <= value.mean + 1e-9
    assert value.mean - 1e-9 <= value.high <= 100


def test_the_files_of_the_rfc_are_those_of_its_mail(card: Scorecard) -> None:
    patch = read_patch((DATA / "fast-try-v1.txt").read_bytes(), "fast-try-v1.txt")
    assert str(card.rows["fast_try"]["code"]) == str(patch.counts[0])


@pytest.mark.parametrize("line", ["fats_try,8,a", "fast_try,many,a", "fast_try,8,"])
def test_a_bad_report_is_one_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "code.csv"
    file.write_text(f"proposal,files,source\n{line}\n")
    with pytest.raises(InputError, match=r"code\.csv:2: expected a proposal"):
        read_reported(file)


def test_a_row_of_ones_own_is_scored_as_the_same_row_of_the_book(results: dict[str, Any], card: Scorecard) -> None:
    mine = replace(PROPOSALS["fast_try"], name="mine")
    more = with_row(results, mine)
    found = scorecard(more, rows=(mine, PROPOSALS["fast_try"]))
    assert list(found.rows) == ["mine", "fast_try"]
    different = {name for name, cell in found.rows["mine"].items() if str(cell) != str(card.rows["fast_try"][name])}
    assert different == {"code"}  # which nobody reported
    assert found.rows["fast_try"] == card.rows["fast_try"]


def test_a_row_of_the_book_is_scored_as_it_is(results: dict[str, Any]) -> None:
    assert with_row(results, PROPOSALS["gfp0"]) == results
    with pytest.raises(InputError, match="gfp0 is a row of the book, and differs"):
        with_row(results, replace(PROPOSALS["fast_try"], name="gfp0"))
