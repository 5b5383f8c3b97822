"""The exhaustions of the booted v6.18: what its engine predicts, block for block, and what each other row lacks."""

from dataclasses import replace
from pathlib import Path

import pytest

from gfpmodel.errors import InputError
from gfpmodel.evidence.exhausted import COLUMNS, ZONES, Ends, Exhaustion, exhaustion, guest, run, sizes_of, summary
from gfpmodel.evidence.measured import Line, numbers, read_rows

DATA = Path(__file__).parents[2] / "book/data"
ROWS = {
    f"{row['kernel']} {row['mem']} {row['req']} {row['order']} {row['prep']} {row['n']}": row
    for row in read_rows(DATA / "boot618-exhaust.csv", *COLUMNS)
}
SIZES = {name: sizes_of(DATA / f"boot618-zoneinfo-{name}.txt.xz") for name in ("N-256M", "N-1G", "R-256M")}
PREDICTED = ("N 256M gfp0 0 dry 8", "N 256M ATOMIC 0 dry 8")
BOOSTED_MEANWHILE = "R 256M NL 0 nat 0"
LATE = "N 256M NL 3 dry 8"


def exhausted(name: str) -> Exhaustion:
    row = ROWS[name]
    return exhaustion(row, SIZES[f"{row['kernel']}-{row['mem']}"])


@pytest.mark.parametrize("name", PREDICTED)
def test_a_run_is_predicted_to_the_block(name: str) -> None:
    found = exhausted(name)
    assert found.recorded.got == found.boosted.got
    assert (found.predicted, found.why) == (True, "")


def test_a_boost_that_comes_during_the_run_is_the_reason_by_whole_refills() -> None:
    found = exhausted(BOOSTED_MEANWHILE)
    assert found.boosted.got < found.recorded.got < found.plain.got
    assert (found.recorded.got - found.boosted.got) % (15 << 5) == 0  # a refill at its largest
    assert found.why.startswith("the boost came during the run")
    assert found.recorded.lists == found.boosted.lists  # what a list keeps does not depend on it


def test_a_late_count_is_the_reason_for_blocks_of_order_3() -> None:
    found = exhausted(LATE)
    assert found.boosted.got < found.recorded.got <= found.lagging.got
    assert found.why.startswith("the kernel's count of free pages is late")


@pytest.mark.parametrize("name", [PREDICTED[0], BOOSTED_MEANWHILE])
def test_a_run_starts_from_what_was_recorded(name: str) -> None:
    row = ROWS[name]
    sizes = SIZES[f"{row['kernel']}-{row['mem']}"]
    a = guest(row, sizes, {0: 0, 1: int(row["DMA32_boost"])})
    a.check()
    for index, zone in ZONES.items():
        assert a.nr_free(index) == int(row[f"{zone}_free_before"])
        lists = tuple(len(a.pcp_list(0, index, t)) for t in range(3))
        assert lists == numbers(row[f"{zone}_pcp_before"])
        words = a.pcp_state(0, index)
        assert (words.batch, words.high_max) == (sizes[index].batch, sizes[index].high_max)
        assert words.high >= words.pages
    assert a.counters(1)["boost"] == int(row["DMA32_boost"])


def test_lists_that_do_not_grow_predict_nothing() -> None:
    row = ROWS["N 256M gfp0 0 dry 8"]
    sizes = {index: size._replace(high=0, high_min=60, high_max=60) for index, size in SIZES["N-256M"].items()}
    assert run(row, sizes, {0: 0, 1: 1024}).got != int(row["got"])


def test_the_summary_counts_what_was_not_predicted() -> None:
    row: Line = ROWS[LATE]
    ends = [Ends(got, ((0,), (0,))) for got in (100, 100, 101, 102)]
    good = Exhaustion(row, *ends)
    bad = replace(good, recorded=Ends(103, ((0,), (0,))))
    found = summary([good, bad])
    assert (found.compared, found.differ) == (2, 1)
    assert found.why == bad.why == "not explained by boost or count: pages came or went meanwhile"


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("kernel,got\nN,1\n")
    with pytest.raises(InputError, match="order is None; expected a number"):
        read_rows(path, *COLUMNS)
