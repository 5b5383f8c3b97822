"""The stepper: every kind of event is told, locks are shown where they are held, each operation has its frame."""

from itertools import groupby

import pytest

from gfpmodel.mm import Event, Machine, PageAllocator, Zone
from gfpmodel.mm import events as ev
from gfpmodel.mm.events import KINDS
from gfpmodel.mm.exercises import exercise, small_machine
from gfpmodel.mm.script import Step, run_script
from gfpmodel.proposals import proposal
from gfpmodel.show.live import MAX_STEPS
from gfpmodel.show.path import TOLD, pages, path, rows, tell
from gfpmodel.show.stepper import frames, lists
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


def test_a_refill_is_done_before_the_lock_is_given_back() -> None:
    told = [function for _, function, _ in rows(next(iter(run_script(small_machine(), "+0m"))))]
    assert told.index("spin_lock(&zone->lock)") < told.index("rmqueue_bulk") < told.index("spin_unlock(&zone->lock)")
    drawn = path(next(iter(run_script(small_machine(), "+2")))).html
    assert "zone-&gt;lock held" in drawn


def test_the_key_names_the_bars_that_are_drawn() -> None:
    allocator = small_machine()
    _, hit = run_script(allocator, "+0m +0m")
    assert "interrupts off" in path(hit).html
    assert "lock held" not in path(hit).html
