"""The allocator moment by moment: no page is lost or drawn twice, and locks are shown as the events have them."""

import re
from dataclasses import replace
from html import unescape
from itertools import groupby, pairwise

import pytest

from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm import events as ev
from gfpmodel.mm.exercises import exercise, small_machine
from gfpmodel.mm.script import list_of, run_script
from gfpmodel.proposals import proposal
from gfpmodel.show.allocator import Scene, draw, plan_of
from gfpmodel.show.stepper import Moment, frames, lists, story
from tests.show.test_pictures import Balanced

FAST_TRY = proposal("fast_try")
LATER = Machine((Zone(2, 4096, 1024),), mobility_disabled=False, pcp_sizes=(4, 8, 8))
RUNS = [
    *(("v5.8", exercise(seed, 12, FAST_TRY).ops) for seed in range(4)),
    ("v5.8", "+0m +0m +0 +2 -4 -1 -2 -3 d0"),
    ("v5.8", "+0 +9 +8 +7 +5 +3 +2 +0!"),
    *(("v6.18", exercise(seed, 12).ops) for seed in range(3)),
    ("v6.18", "+0 +0 +0 +2 +1 -4 -5 -1 -2 -3 +0m d0"),
]


def machine(kernel: str) -> PageAllocator:
    return small_machine(FAST_TRY) if kernel == "v5.8" else PageAllocator(LATER, events=1 << 12, kernel=kernel)


def told(kernel: str, ops: str) -> list[Moment]:
    return story(machine(kernel), ops, zone=2)


@pytest.mark.parametrize(("kernel", "ops"), RUNS)
def test_no_page_is_lost_or_seen_twice_at_any_moment(kernel: str, ops: str) -> None:
    for moment in told(kernel, ops):
        state = moment.scene.state
        lists = [(pfn, list_of(n)[1]) for own in state.pcp_lists for n, pfns in enumerate(own) for pfn in pfns]
        free = [(pfn, n) for n, areas in enumerate(state.free_lists) for pfns in areas for pfn in pfns]
        seen = [page for pfn, n in (*lists, *free, *moment.scene.used) for page in range(pfn, pfn + (1 << n))]
        assert sorted(seen) == list(range(4096, 4096 + 1024)), moment.said
        assert sum(state.pcp_count) == sum(1 << n for _, n in lists)
        assert state.free == sum(1 << n for _, n in free)


@pytest.mark.parametrize(("kernel", "ops"), RUNS)
def test_each_operation_ends_as_the_model_does(kernel: str, ops: str) -> None:
    allocator = machine(kernel)
    ends = [list(run)[-1] for step, run in groupby(told(kernel, ops), key=lambda one: id(one.step))]
    assert ends[0].scene.state == allocator.zone_state(2)
    for end, _ in zip(ends[1:], run_script(allocator, ops), strict=True):
        assert end.scene.state == allocator.zone_state(2)


@pytest.mark.parametrize(("kernel", "ops"), RUNS)
def test_locks_and_interrupts_change_as_the_events_say(kernel: str, ops: str) -> None:
    on = {ev.LOCK: "locked", ev.IRQ_SAVE: "irqs_off", ev.PCP_TRYLOCK: "pcp_locked", ev.PCP_LOCK: "pcp_locked"}
    for name, kinds in (
        ("locked", (ev.LOCK, ev.UNLOCK)),
        ("irqs_off", (ev.IRQ_SAVE, ev.IRQ_RESTORE)),
        ("pcp_locked", (ev.PCP_TRYLOCK, ev.PCP_LOCK, ev.PCP_UNLOCK)),
    ):
        for step, run in groupby(told(kernel, ops), key=lambda one: one.step):
            shown = [on for on, _ in groupby(getattr(one.scene, name) for one in run)]
            said = [on.get(event.kind) == name for event in step.events if event.kind in kinds] if step else []
            assert shown in ([False, *said], said or [False]), (name, step)


@pytest.mark.parametrize(("kernel", "ops"), RUNS)
def test_pages_move_only_under_their_lock(kernel: str, ops: str) -> None:
    moments = told(kernel, ops)
    for before, after in pairwise(moments):
        old, new = before.scene, after.scene
        if old.state.free_lists != new.state.free_lists:
            assert new.locked
        if old.state.pcp_lists != new.state.pcp_lists:
            assert new.irqs_off if kernel == "v5.8" else new.pcp_locked


@pytest.mark.parametrize(("kernel", "ops"), RUNS)
def test_every_page_on_a_drawing_has_a_name_of_its_own(kernel: str, ops: str) -> None:
    for frame in frames(machine(kernel), ops, zone=2):
        here = re.sub(r'<g class="p [umrhc] gone".*?</g>', "", frame.html)
        names = re.findall(r'data-page="([^"]+)"', here)
        assert len(names) == len(set(names))
        assert 'role="img"' in frame.html
        assert re.search(r'aria-label="zone Normal: \d+ pages? free', frame.html)


def test_a_refill_splits_a_block_and_its_pages_come_from_it() -> None:
    drawn = frames(small_machine(), "+0m", zone=2)
    refill = next(frame for frame in drawn if "rmqueue_bulk" in frame.text)
    moving = dict(re.findall(r'<g class="p m v" data-page="([^"]+)" style="([^"]+)"', refill.html))
    assert list(moving) == ["4100/2", "4104/3", "4112/4", "4128/5", "4160/6", "4224/7", "4352/8", "4608/9",
                            "4096/0", "4097/0", "4098/0", "4099/0"]  # fmt: skip
    assert all(("--s:1" in style) == name.endswith("/0") for name, style in moving.items())
    assert "zone->lock: held by CPU 0" in unescape(refill.html)
    assert 'class="lock shut moved"' in drawn[2].html
    assert [frame.html.count("interrupts off") > 1 for frame in drawn] == [False, *[True] * 5, False]


def test_a_merge_takes_its_parts_along() -> None:
    drawn = frames(small_machine(), "+0m d0 -1 d0", zone=2)
    last = next(frame for frame in reversed(drawn) if "__free_one_page" in frame.text)
    gone = re.findall(r'<g class="p m gone" data-page="([^"]+)"', last.html)
    assert "4097/0" in gone
    assert "4608/9" in gone
    assert 'data-page="4096/10"' in last.html


def test_a_stray_page_has_a_corner() -> None:
    small = small_machine()
    drawn = frames(small, "+0 +0m -1", zone=2)
    assert 'class="x"' not in drawn[-1].html
    state = replace(small.zone_state(2), blocks=(1, 1))
    scene = Scene(state, first_block=4096 >> 9)
    assert 'class="x"' in draw(scene, plan_of([scene]))
    assert 'class="x"' not in lists(state).html, "where nobody says where the zone begins, nothing is claimed"


def test_another_cpu_holds_the_lock() -> None:
    allocator = small_machine(proposal("trylock"))
    allocator.contend(2, held=True)
    last = frames(allocator, "+0!", zone=2)[-1]
    assert "held by another CPU" in last.html
    assert "zone->lock held by another CPU" in last.text


def test_long_numbers_and_other_cpus_have_room() -> None:
    zone = Zone(2, 1 << 20, 1 << 14)
    drawn = frames(PageAllocator(Machine((zone,), cpus=2), events=4096), "+0 +0@1 +3", zone=2)
    assert "on other CPUs" in drawn[-1].html
    for frame in drawn:
        Balanced(frame.html)


def test_a_scan_says_at_which_lists_it_looks() -> None:
    *_, refill, last = told("v5.8", "+0m +0!"), told("v5.8", "+0 +0m! +0!")
    looked = [moment.scene.seen for moment in refill if moment.scene.seen]
    assert looked == [(1,), (0, 1)], "the ordinary request looks at its own list, the flag's from its own upward"
    assert [moment.scene.seen for moment in last if moment.scene.seen] == [(0,), (1, 2), (1, 2), (0,)]
    html = frames(machine("v5.8"), "+0m +0!", 2)[-2].html
    assert "UNMOVABLE list: looked at first" in html
    assert "MOVABLE list: looked at second" in html
