"""The scorecard: every cell from a result; without the result a gap, never a number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gfpmodel.errors import InputError
from gfpmodel.evidence.scorecard import COLUMNS, GAP, RT, SHOWN, Score, Scorecard, ends, for_ever, scorecard, with_row
from gfpmodel.locking import Setup, make_kernel, make_request, verdict
from gfpmodel.locking.contexts import STACKS
from gfpmodel.proposals import PATCHED, PROPOSALS
from gfpmodel.sim import Sweep, run_sweep
from gfpmodel.sim.statistics import Interval, interval, share

NEEDS = sorted({name for column in COLUMNS for name in column.needs})


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
            if missing in column.needs:
                assert (cell.value, str(cell)) == (None, f"{GAP} no result of {missing}")
                assert not without.worse(name, column)
            else:
                assert cell == card.rows[name][column.name]


def test_no_result_at_all_is_a_table_of_gaps() -> None:
    cells = [cell for row in scorecard({}).rows.values() for cell in row.values()]
    assert all(str(cell).startswith(f"{GAP} no result of ") for cell in cells)


@pytest.mark.parametrize("gone", PROPOSALS)
def test_a_proposal_that_an_experiment_was_not_asked_is_a_gap(results: dict[str, Any], gone: str) -> None:
    rows = [row for row in results["co_tenant"] if row["proposal"] != gone]
    card = scorecard({**results, "co_tenant": rows})
    assert card.rows[gone]["cost"].value is None
    assert card.rows[gone]["tenant"].value is None


def test_every_cell_has_a_source_and_an_interval_only_where_runs_differ(card: Scorecard) -> None:
    for row in card.rows.values():
        for cell in row.values():
            assert cell.source
            assert "0 [" not in str(cell)
            assert "[" not in str(cell) or (cell.value and cell.value.low < cell.value.mean < cell.value.high)
            assert cell.unit != "%" or (cell.value and 0 <= cell.value.low <= cell.value.high <= 100)


def test_a_meeting_reads_six_columns_and_proposals_that_agree_once(card: Scorecard) -> None:
    assert len(SHOWN) == 6
    groups = card.groups(SHOWN)
    assert sorted(sum(groups, ())) == sorted(PROPOSALS)
    assert len({tuple(str(card.rows[group[0]][c.name]) for c in SHOWN) for group in groups}) == len(groups)
    assert ("fast_try", "no_locks") in card.groups([c for c in SHOWN if c.name != "recorded"])
    assert {("nowait",), ("atomic",), ("gfp0",)} <= set(groups), "they part at the watermarks"


def test_the_cells_are_the_intervals_of_the_rows(results: dict[str, Any], card: Scorecard) -> None:
    rows = [r for r in results["co_tenant"] if r["proposal"] == "no_locks" and r["tenant_rate"] == 200_000.0]
    assert card.rows["no_locks"]["cost"].value == interval(
        [r["mean_op_ns.raided"] - r["mean_op_ns.alone"] for r in rows]
    )
    far = [r for r in results["cross_cpu"] if r["proposal"] == "trylock" and r["frees_on"] == "next"]
    found = card.rows["trylock"]["cross"].value
    assert found is not None
    assert found == pytest.approx([100 * end for end in share([r["failed_share.asker"] for r in far])])


def test_the_rate_of_the_tenant_moves_its_columns_only(results: dict[str, Any], card: Scorecard) -> None:
    other = scorecard(results, 10_000.0)
    moved = {c.name for c in COLUMNS for name in PROPOSALS if other.rows[name][c.name] != card.rows[name][c.name]}
    assert moved == {"tenant", "cost"}
    nowhere = scorecard(results, 123.0)
    assert {nowhere.rows[name]["cost"].value for name in PROPOSALS} == {None}


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
    cost, clean, fails = (next(c for c in COLUMNS if c.name == name) for name in ("cost", "rt", "lone"))
    cells = {
        "a": {"cost": Score(Interval(2, 1, 3), ""), "rt": Score(Interval(26, 26, 26), "", of=26, exact=True)},
        "b": {"cost": Score(Interval(4, 2.9, 5), ""), "rt": Score(Interval(27, 27, 27), "", of=27, exact=True)},
        "c": {"cost": Score(Interval(6, 3.1, 9), ""), "rt": Score(Interval(26, 26, 26), "", of=27, exact=True)},
        "d": {"cost": Score(None, "why"), "rt": Score(None, "why")},
    }
    card = Scorecard(cells)
    assert [name for name in cells if card.worse(name, cost)] == ["c"]
    assert [name for name in cells if card.worse(name, clean)] == ["c"]
    zero, few, more = (Score(Interval(*ends), "", "%") for ends in ((0, 0, 0), (0.2, 0.01, 1), (2, 1, 4)))
    shares = Scorecard({"a": {"lone": replace(zero, of=1000)}, "b": {"lone": few}, "c": {"lone": more}})
    assert [name for name in shares.rows if shares.worse(name, fails)] == ["c"], "0 of 1,000 may be 3 of 1,000"
    assert str(shares.rows["a"]["lone"]) == "0 of 1,000"


@pytest.mark.parametrize("duration_ms", [10, 50])
def test_what_fails_for_ever_is_told_by_its_pages_at_any_length(duration_ms: int) -> None:
    grid = {"proposal": ("fast_try", "gfp0"), "frees_on": ("next",), "duration_ms": (duration_ms,)}
    rows = run_sweep(Sweep("cross_cpu", grid, seeds=2), workers=1)
    assert [for_ever(row) for row in rows] == [True, True, False, False]
    card = scorecard({"cross_cpu": rows})
    assert str(card.rows["fast_try"]["cross"]) == "after 315 pages, for ever"
    assert str(card.rows["gfp0"]["cross"]) == f"0 of {round(sum(row['ops.asker'] for row in rows[2:])):,}"


def test_the_recorded_loads_are_those_of_the_file(results: dict[str, Any], card: Scorecard) -> None:
    shares = [100 * int(r["kernel"]) / int(r["requests"]) for r in results["refills"] if int(r["requests"]) >= 1000]
    said = str(card.rows["fast_try"]["recorded"])
    assert said == f"list empty for {ends(shares)} in the main zone (DMA32); up to 12 % with zone DMA"
    assert str(card.rows["no_locks"]["recorded"]) == said, "the second version keeps to the low watermark, too"
    assert str(card.rows["lockless"]["recorded"]) == said.partition(";")[0], "the third passes DMA32's watermark"
    assert str(card.rows["gfp0"]["recorded"]).startswith("fails in 0 of ")
    lost = [100 * int(r["fallbacks"]) / int(r["n"]) for r in results["kfree"]]
    assert (card.rows["deferred_refill"]["recorded"].value or ())[1:] == (min(lost), max(lost))


def test_only_a_lock_that_is_raw_on_rt_makes_tasks_late(card: Scorecard) -> None:
    late = {name for name, row in card.rows.items() if row["latency"].value is not None}
    assert late == {name for name, row in PROPOSALS.items() if row.lock_rt == "raw"}
    for name, row in card.rows.items():
        assert ("late on RT, 4 CPUs" in str(row["pays"])) == (name in late)


def test_who_refills_and_wakes_nobody_lets_memory_fall(card: Scorecard) -> None:
    quiet = {name for name, row in card.rows.items() if "nobody else wakes kswapd" in str(row["pays"])}
    assert quiet == {"gfp0", "raw_zone_lock", "raw_zone_lock_rt", "trylock"}
    assert [name for name, row in card.rows.items() if "the reserve" in str(row["pays"])] == ["lockless", "atomic"]


def test_what_declines_the_lock_on_rt_says_that_its_figures_are_mainlines(card: Scorecard) -> None:
    words = "on RT it fails like the flag"
    said = {name for name, row in card.rows.items() for cell in row.values() if words in str(cell)}
    assert said == {name for name, row in PROPOSALS.items() if row.lock_rt == "decline"}


@given(some.lists(some.floats(0, 1), min_size=2, max_size=8))
def test_a_share_of_failures_stays_a_share(shares: list[float]) -> None:
    rows = [
        {"proposal": "gfp0", "frees_on": "same", "seed": at, "failed_share.asker": value, "ops.asker": 9}
        for at, value in enumerate(shares)
    ]
    value = scorecard({"cross_cpu": rows}).rows["gfp0"]["lone"].value
    assert value is not None
    assert 0 <= value.low <= value.mean + 1e-9
    assert value.mean - 1e-9 <= value.high <= 100


def test_a_row_of_ones_own_is_scored_as_the_same_row_of_the_book(results: dict[str, Any], card: Scorecard) -> None:
    mine = replace(PROPOSALS["fast_try"], name="mine")
    more = with_row(results, mine)
    found = scorecard(more, rows=(mine, PROPOSALS["fast_try"]))
    assert list(found.rows) == ["mine", "fast_try"]
    different = {name for name, cell in found.rows["mine"].items() if str(cell) != str(card.rows["fast_try"][name])}
    assert not different
    assert found.rows["fast_try"] == card.rows["fast_try"]


def test_a_row_of_the_book_is_scored_as_it_is(results: dict[str, Any]) -> None:
    assert with_row(results, PROPOSALS["gfp0"]) == results
    with pytest.raises(InputError, match="gfp0 is a row of the book, and differs"):
        with_row(results, replace(PROPOSALS["fast_try"], name="gfp0"))
