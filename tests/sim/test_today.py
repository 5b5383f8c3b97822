"""The same days on the lists of several kernels: what holds whoever asks, and the figures against a slow recount."""

from pathlib import Path

import pytest

from gfpmodel.errors import InputError
from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm.kernels import FIRST, ROWS
from gfpmodel.mm.state import ZONE_NORMAL
from gfpmodel.sim import today
from gfpmodel.sim.today import ALLOC, ASK, DAYS, FREE, GIVE, NOBODY, day, row_on, run_day

KERNELS = tuple(ROWS)
DATA = Path(__file__).parents[2] / "book" / "data" / "todays-lists.csv"


@pytest.mark.parametrize("name", DAYS)
def test_a_day_frees_only_what_was_asked_for_and_once(name: str) -> None:
    made, freed = {ASK: 0, ALLOC: 0}, {GIVE: set[int](), FREE: set[int]()}
    for step in day(name, 3):
        if step.verb in made:
            made[step.verb] += 1
        elif step.verb in freed:
            assert 0 <= int(step.what) < made[ASK if step.verb == GIVE else ALLOC]
            assert step.what not in freed[step.verb]
            freed[step.verb].add(int(step.what))
    assert made[ASK] >= today.REQUESTS


def test_seeds_are_other_days_and_the_same_seed_the_same() -> None:
    assert day("mix", 1) == day("mix", 1) != day("mix", 2)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_day_without_requests_has_no_figures_of_them(kernel: str) -> None:
    found = run_day("elsewhere", NOBODY, kernel, 0)
    assert (found.failed, found.own_locks, found.foreign) == (1, 0, 0)
    assert found.other_locks > 0


@pytest.mark.parametrize("kernel", ["v5.8-rc3", "v6.18"])
@pytest.mark.parametrize("way", ["fast_try", "gfp0", "trylock"])
def test_figures_are_those_of_a_recount_one_call_at_a_time(way: str, kernel: str) -> None:
    # the public calls, one after the other, instead of packed operations
    row = row_on(way, kernel)
    nolock = way == "trylock" and kernel != FIRST
    machine = Machine((Zone(ZONE_NORMAL, 4096, today.PAGES),), cpus=today.CPUS)
    allocator = PageAllocator(machine, None if nolock else row, events=64, kernel=kernel)
    mine: list[int | None] = []
    theirs: list[int | None] = []
    locks = 0
    for step in day("flood", 1):
        if step.verb == ASK:
            mine.append(allocator.alloc_pages_nolock() if nolock else allocator.alloc_pages(row.mask))
        elif step.verb == ALLOC:
            theirs.append(allocator.alloc_pages(step.what, cpu=step.cpu))
        else:
            page = (mine if step.verb == GIVE else theirs)[int(step.what)]
            if page is not None:
                allocator.free_pages(page, cpu=step.cpu)
        if step.verb in (ASK, GIVE):
            locks += sum(event.name == "zone_unlock" for event in allocator.events())
        allocator.events()
    found = run_day("flood", way, kernel, 1)
    assert found.failed == pytest.approx(mine.count(None) / len(mine))
    assert found.own_locks == pytest.approx(1000 * locks / len(mine))


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_request_that_only_looks_takes_no_zone_lock_where_nothing_is_given_back(kernel: str) -> None:
    for way in ("fast_try", "lockless"):
        assert run_day("loop", way, kernel, 2).own_locks == 0
    assert run_day("loop", "gfp0", kernel, 2).own_locks > 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_only_who_tries_fails_for_a_busy_lock(kernel: str) -> None:
    failed = {way: run_day("contended", way, kernel, 4).failed for way in ("gfp0", "trylock")}
    assert failed["gfp0"] == 0 < failed["trylock"]


def test_the_bit_of_2020_is_not_read_as_a_bit_of_a_later_kernel() -> None:
    assert row_on("fast_try", FIRST).flag == 0x800000
    assert not row_on("fast_try", "v6.18").mask & 0xFFFFFFFF


def test_what_is_unknown_is_said() -> None:
    with pytest.raises(InputError, match="day"):
        run_day("lop", "gfp0", FIRST, 0)
    with pytest.raises(InputError, match="proposal"):
        run_day("loop", "gfp1", FIRST, 0)
    with pytest.raises(InputError, match="has no allocator"):
        run_day("loop", "gfp0", "v6.17", 0)


LINES = DATA.read_text(encoding="utf-8").splitlines()


def test_the_shipped_file_has_every_run() -> None:
    assert LINES[0] == ",".join(today.COLUMNS)
    assert [tuple(row.split(",")[:4]) for row in LINES[1:]] == [(*p[:3], str(p[3])) for p in today.points()]


@pytest.mark.parametrize("row", LINES[1::29])
def test_a_sample_of_it_comes_out_again(row: str) -> None:
    name, way, kernel, seed = row.split(",")[:4]
    assert today.line((name, way, kernel, int(seed))) == row


def test_intervals_hold_their_means() -> None:
    for figures in today.read_days(DATA).values():
        assert all(figure.low <= figure.mean <= figure.high for figure in figures.values())
