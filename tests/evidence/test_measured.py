"""What was measured on booted kernels, against the model: samples of the recordings, and that a wrong one shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from gfpmodel.errors import InputError
from gfpmodel.evidence import later, published
from gfpmodel.evidence.dump import restored
from gfpmodel.evidence.floods import floods
from gfpmodel.evidence.measured import (
    Row,
    Start,
    count_rows,
    cross_cpu,
    exhaustion,
    lists_of,
    mixes,
    recorded_lists,
    set_lists,
    spread,
)
from gfpmodel.evidence.mixes import FAST_TRY, Mix, run_mix
from gfpmodel.evidence.published import PACE_NS, read_published, rezki_loop
from gfpmodel.mm import Machine, PageAllocator, Zone

DATA = Path(__file__).resolve().parents[2] / "book" / "data"
GUESTS = {"1G": "Ai-1G-smp2-boot", "1G+cma64M": "A2-1G-cma64M", "1G+cma640M": "A2b-1G-cma640M"}


@pytest.fixture(scope="module")
def starts() -> dict[str, Start]:
    return {
        guest: Start(restored(DATA / f"boot58-freelists-{name}.txt.xz", FAST_TRY)) for guest, name in GUESTS.items()
    }


def some_rows(name: str, tmp_path: Path, *keep: int) -> Path:
    """The header and some lines (from 1) of a table."""
    lines = (DATA / name).read_text().splitlines()
    path = tmp_path / name
    path.write_text("\n".join([lines[0], *(lines[at] for at in keep)]) + "\n")
    return path


def changed(name: str, tmp_path: Path, line: int, old: str, new: str) -> Path:
    path = some_rows(name, tmp_path, line)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_exhaustion_is_the_kernels(starts: dict[str, Start], tmp_path: Path) -> None:
    rows = exhaustion(some_rows("boot58-exhaust.csv", tmp_path, 1, 12, 13, 30, 85, 87), starts)
    assert sum(row.compared for row in rows) == 6
    assert {row.agrees for row in rows} == {"yes"}


def test_a_page_more_is_noticed(starts: dict[str, Start], tmp_path: Path) -> None:
    [row] = exhaustion(changed("boot58-exhaust.csv", tmp_path, 1, ",351,351:", ",350,351:"), starts)
    assert row.agrees == "no"


def test_short_mix_by_hand() -> None:
    allocator = PageAllocator(Machine((Zone(1, 4096, 1 << 14),), pcp=(63, 378)), FAST_TRY)
    allocator.drain()
    dry = run_mix(allocator, Mix(seed=1, iterations=50, p=0, q=1000, bg_slots=1, ft_slots=1))
    assert (dry.ft_attempts, dry.ft_fail, dry.failruns, dry.maxfailrun, dry.before_fail) == (50, 50, 1, 50, 0)
    # the background page comes first and brings 63, so that no request fails; two pages are kept until the end
    wet = run_mix(allocator, Mix(seed=1, iterations=50, p=1000, q=1000, bg_slots=1, ft_slots=1))
    assert (wet.ft_fail, wet.before_fail, sum(wet.from_block_mt)) == (0, -1, 50)
    assert allocator.pcp_count(0, 1) == 61


@settings(max_examples=30, deadline=None)
@given(p=some.integers(0, 1000), q=some.integers(0, 1000), slots=some.integers(1, 9), seed=some.integers(1, 1 << 31))
def test_a_mix_counts_every_request_once(p: int, q: int, slots: int, seed: int) -> None:
    allocator = PageAllocator(Machine((Zone(1, 4096, 1 << 13),), pcp=(7, 42)), FAST_TRY)
    found = run_mix(allocator, Mix(seed, 60, p, q, slots, slots))
    assert sum(found.from_block_mt) + found.ft_fail == found.ft_attempts <= 60
    assert found.maxfailrun <= found.ft_fail
    assert found.second_half[1] <= found.second_half[0]
    allocator.check()


def test_recorded_mix_in_every_count(starts: dict[str, Start], tmp_path: Path) -> None:
    [row] = mixes(some_rows("boot58-mix.csv", tmp_path, 163), starts, ())
    assert (row.compared, row.differ) == (1, 0)


def test_a_mix_with_another_seed_is_noticed(starts: dict[str, Start], tmp_path: Path) -> None:
    [row] = mixes(changed("boot58-mix.csv", tmp_path, 163, ",1120,", ",1121,"), starts, ())
    assert row.agrees == "no"


def test_the_second_half_forgets_the_lists(starts: dict[str, Start], tmp_path: Path) -> None:
    lists = recorded_lists(DATA / "boot58-exhaust.csv")
    rows = cross_cpu(some_rows("boot58-cross.csv", tmp_path, 1, 11), starts["1G"], lists, range(1, 3))
    halves = [row for row in rows if "second half" in row.what]
    assert [row.agrees for row in halves] == ["yes", "yes"]


def test_floods_fail_where_the_lists_end(starts: dict[str, Start], tmp_path: Path) -> None:
    path = some_rows("boot58-flood.csv", tmp_path, 7, 71)  # the first is over before a block comes back
    rows = floods(path, starts["1G"], [(341, 0, 0)], (1, 2))
    found = {row.what: row for row in rows if row.compared}
    assert found["blocks that live when the first request fails"].model.endswith(" 341")
    assert found["objects that fell back in a flood"].model == "458586"


@settings(max_examples=20, deadline=None)
@given(wanted=some.tuples(*[some.integers(0, 20)] * 3))
def test_lists_are_set_as_asked(wanted: tuple[int, int, int]) -> None:
    allocator = PageAllocator(Machine((Zone(1, 4096, 1 << 14),), pcp=(31, 186)), FAST_TRY)
    set_lists(allocator, wanted)
    assert lists_of(allocator) == wanted


def test_bursts_longer_than_high_fail() -> None:
    assert later.burst_share(256, 512) == 1
    assert later.burst_share(512, 512) == pytest.approx(later.HIGH_61 / 512, abs=later.BATCH_61 / 512)


def test_every_run_in_which_nobody_else_asks_is_compared() -> None:
    rows = {int(row.conditions.split()[2]): row for row in later.bursts(DATA / "rtexp-bursts.csv")}
    assert {hold: row.compared for hold, row in rows.items()} == {
        8: 4,
        32: 4,
        64: 4,
        128: 12,
        256: 4,
        512: 4,
        1000: 4,
        40000: 3,
    }
    assert (rows[8].why, rows[128].differ, rows[128].why[:12]) == ("", 1, "an interrupt")
    assert [rows[hold].why[:8] for hold in (512, 40000)] == ["each CPU", "one burs"]


def test_nolock_stops_at_its_line(tmp_path: Path) -> None:
    rows = [at for at, line in enumerate((DATA / "boot618-lowwm.csv").read_text().splitlines()) if line[:1] == "R"]
    row = later.nolock_line(some_rows("boot618-lowwm.csv", tmp_path, *rows))
    assert (row.compared, row.differ) == (30, 0)


def test_contention_by_the_rule() -> None:
    assert later.contended() == (True, True)


def test_the_loop_never_fails_with_large_lists() -> None:
    default, eighth = rezki_loop(2, 0, 4000), rezki_loop(2, 8, 4000)
    assert eighth.fallback == 0 <= default.fallback
    assert 0 < default.peak <= 4000 // 510 + 1
    assert PACE_NS[0] < PACE_NS[1]


def test_the_loop_finds_the_same_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    together = [rezki_loop(seed, 0, 60_000) for seed in (1, 2)]
    assert any(run.fallback for run in together)
    monkeypatch.setattr(published, "undisturbed", lambda rcu, every_ns: 0)
    assert [rezki_loop(seed, 0, 60_000) for seed in (1, 2)] == together


def test_counting_leaves_out_what_is_circular() -> None:
    row = Row("w", "s", "c", "1", "2", compared=4, differ=1)
    assert (row.agrees, row._replace(differ=4).agrees, row._replace(differ=0).agrees) == ("3 of 4", "no", "yes")
    assert row.cells() == ("w; c", "3 of 4", "1", "2", "", "s")
    assert count_rows([row, row._replace(circular=True)]) == (4, 1, 4)
    assert (spread([2, 1]), spread([3]), spread([])) == ("1 to 2", "3", "none")


@pytest.mark.parametrize("mix", [Mix(1, -1, 0, 0, 1, 1), Mix(1, 1, 1001, 0, 1, 1), Mix(1, 1, 0, 0, 1, 0)])
def test_bad_mix(mix: Mix) -> None:
    with pytest.raises(InputError, match="expected 0 iterations or more"):
        mix.plan()


def test_bad_tables(starts: dict[str, Start], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown guest '2G'"):
        exhaustion(changed("boot58-exhaust.csv", tmp_path, 1, "1G,", "2G,"), starts)
    with pytest.raises(InputError, match="hold is 'x'"):
        later.bursts(changed("rtexp-bursts.csv", tmp_path, 1, ",40000,", ",x,"))
    with pytest.raises(InputError, match="expected numbers in low and high"):
        read_published(changed("published.csv", tmp_path, 1, "0.01", "much"))
