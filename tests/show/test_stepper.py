"""The stepper: every kind of event is told, locks are shown where they are held, each operation has its frame."""

import re
from dataclasses import replace
from html import unescape
from itertools import groupby, pairwise

import pytest

from gfpmodel.mm import Event, Machine, PageAllocator, Zone
from gfpmodel.mm import events as ev
from gfpmodel.mm.events import KINDS
from gfpmodel.mm.exercises import exercise, small_machine
from gfpmodel.mm.script import Step, list_of, run_script
from gfpmodel.proposals import proposal
from gfpmodel.show.allocator import Scene, draw, plan_of
from gfpmodel.show.live import MAX_STEPS
from gfpmodel.show.stepper import TOLD, Moment, frames, lists, pages, path, rows, story, tell
from gfpmodel.show.widgets import stepper
from tests.show.test_pictures import Balanced

FAST_TRY = proposal("fast_try")


def run(text: str, name: str = "fast_try") -> list[Step]:
    return list(run_script(small_machine(proposal(name)), text))


@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("value", [-1, 0, 1])
def test_every_kind_of_event_is_told(kind: int, value: int) -> None:
    values = tuple(max(value, 0) if "migratetype" in name else value for name in KINDS[kind].fields)
    function, words = tell(Event(0, 0, kind, 2, values))
    assert function
    assert words
    assert "{" not in words


@pytest.mark.parametrize("text", ["+0", "+0 +0!", "+1"])
def test_what_happens_to_pages_is_told_without_locks(text: str) -> None:
    *_, last = run(text)
    told = pages(last).text
    assert "returns pfn" in told
    assert not [word for word in ("->lock", "irq", "interrupts") if word in told]
    assert ("4 of 4 pages" in told) == (text == "+0")
    assert ("free lists" in told) == (text == "+1"), "of a refill only the sum is told"


def test_no_kind_is_missing() -> None:
    assert set(TOLD) == set(ev.ALL_KINDS)


def test_a_refill_holds_the_lock_and_a_hit_does_not() -> None:
    refill, hit = run("+0 +0!")
    held = {function: holding for holding, function, _ in rows(refill)}
    assert held["__rmqueue"] == "irqs off + zone->lock"
    assert held["spin_lock(&zone->lock)"] == "irqs off"
    assert held["__rmqueue_pcplist"] == "irqs off"
    assert held["__alloc_pages_nodemask"] == "nothing"
    assert [row[:2] for row in rows(hit)] == [
        ("nothing", "local_irq_save"),
        ("irqs off", "__rmqueue_pcplist"),
        ("nothing", "local_irq_restore"),
        ("nothing", "__alloc_pages_nodemask"),
    ]
    assert rows(hit)[1][2] == "takes the head of the UNMOVABLE list"


def test_a_miss_looks_twice_and_finds_nothing() -> None:
    [miss] = run("+0!")
    assert [what for _, function, what in rows(miss) if function == "__rmqueue_pcplist"] == [
        "finds no page on the lists it may see"
    ] * 2


def test_below_the_watermark_no_list_is_looked_at() -> None:
    *_, miss = run("+0 +9 +8 +7 +5 +3 +2 +0!")
    assert [function for _, function, _ in rows(miss)] == ["zone_watermark_ok", "__alloc_pages_nodemask"]


def test_a_free_goes_to_the_list_first_and_over_high_to_the_buddy() -> None:
    *_, quiet, full = run("+0 +0m -1 -2")
    assert [row[1] for row in rows(quiet)][1:3] == ["local_irq_save", "free_unref_page_commit"]
    assert [row[1] for row in rows(full)][2:4] == ["free_unref_page_commit", "free_pcppages_bulk"]


def test_an_order_1_free_has_no_list_and_a_drain_neither() -> None:
    *_, freed, drained = run("+1 -1 d0")
    assert not {"__rmqueue_pcplist", "free_unref_page_commit"} & {row[1] for row in rows(freed) + rows(drained)}


def test_a_trylock_is_told_once() -> None:
    for step in run("+0! +1!", "trylock"):
        functions = [row[1] for row in rows(step)]
        assert functions.count("spin_trylock(&zone->lock)") == 1
        assert "spin_lock(&zone->lock)" not in functions
        assert next(row[0] for row in rows(step) if row[1] == "__rmqueue") == "irqs off + zone->lock"


def test_a_trylock_that_fails_holds_nothing() -> None:
    allocator = small_machine(proposal("trylock"))
    allocator.contend(2, held=True)
    [miss] = run_script(allocator, "+0!")
    assert miss.pfn is None
    assert "fails" in path(miss).text
    assert not [row for row in rows(miss) if "zone->lock" in row[0]]


@pytest.mark.parametrize("seed", range(12))
def test_a_frame_for_each_operation_and_html_that_closes(seed: int) -> None:
    text = exercise(seed, 10, FAST_TRY).ops
    drawn = frames(small_machine(FAST_TRY), text, zone=2)
    shown = [frame.text.split()[0] for frame in drawn]
    assert [word for word, _ in groupby(shown)] == [word for word, _ in groupby(["before", *text.split()])]
    for frame in drawn:
        Balanced(frame.html)


def test_new_pages_have_a_sign_and_long_lists_are_cut() -> None:
    allocator = PageAllocator(Machine((Zone(2, 4096, 1024),), pcp=(20, 90)), events=256)
    before = allocator.zone_state(2)
    list(run_script(allocator, "+0"))
    picture = lists(allocator.zone_state(2), before)
    Balanced(picture.html)
    assert "+4097 +4098" in picture.text
    assert "… 11 more" in picture.text
    assert ">+13<" in picture.html, "19 pages are on the list, and 6 of them drawn"
    assert "+" not in lists(allocator.zone_state(2)).text


def test_the_player_has_a_frame_a_step_and_its_box_draws_another_string() -> None:
    _, controls, stack, live = stepper("+0 +0!", FAST_TRY).children
    play, slider = controls.children
    assert (len(stack.children), slider.max, play.max) == (10, 9, 9)
    assert "gfp-live-only" in live._dom_classes
    box, step, _, wrong, shown = live.children
    step.value = 2
    assert not shown.value, "nothing is asked while the text is empty"
    box.value = "+0m +0! -1 d0"
    assert "+0! " in shown.value
    step.value = step.max
    assert "d0" in shown.value, "the last step stands for those after it"
    assert not wrong.value


@pytest.mark.parametrize("text", ["<b>", "+0 -2", "+0@9", "+0 " * (MAX_STEPS + 1)])
def test_the_box_says_what_is_wrong_and_keeps_the_last_picture(text: str) -> None:
    box, _, _, wrong, shown = stepper("+0 +0!", FAST_TRY).children[-1].children
    box.value = "+0"
    before = shown.value
    box.value = text
    assert 'role="alert"' in wrong.value
    assert "<b>" not in wrong.value
    assert shown.value == before != ""
    box.value = "+0"
    assert not wrong.value


# moment by moment

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
