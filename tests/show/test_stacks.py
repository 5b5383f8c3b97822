"""Stacks of held locks: the wait types shown are the kernel's, and the builder has a frame for every position."""

import ipywidgets as W
import pytest

from gfpmodel.locking import LockClass, context, make_kernel
from gfpmodel.show.stacks import (
    Ask,
    levels,
    nested,
    outcome,
    printed,
    shape,
    stack_of,
    took,
    wait_types,
    wanted,
    way,
    way_of_work,
)
from gfpmodel.show.widgets import nesting

RFC = "v5.8-rc3+FAST_TRY"
PLAIN = make_kernel(RFC)
PROVING = make_kernel(RFC, {"PROVE_RAW_LOCK_NESTING": True})
RT = make_kernel(RFC, {"PREEMPT_RT": True})
TODAY = make_kernel("v6.18", {"PREEMPT_RT": True})
MASK_0, FAST = Ask("none"), Ask("__GFP_FAST_TRY", pcp="warm")
PLACES = {"a task": "", "a hardirq": "hardirq"}
LOCKS = {"nothing more": "", "krc.lock": "raw:krc.lock", "a mutex": "mutex"}


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def walk(widget: W.Widget) -> list[W.Widget]:
    return [widget, *(w for child in getattr(widget, "children", ()) for w in walk(child))]


@pytest.fixture
def builder() -> W.VBox:
    kernels = {"proving": (PROVING, False), "RT": (RT, False), "RT, contended": (RT, True)}
    return nesting(kernels, {"mask 0": MASK_0, "FAST_TRY": FAST}, PLACES, LOCKS, start=(1, 0, 0, 1))


def shown(builder: W.VBox) -> str:
    """Follow the stacks to the frame on show, with the drop-downs where they are."""
    at = builder.children[5]
    for control in builder.children[1:5]:
        at = at.children[control.index]
    return plain(at.value)


def test_wait_types_are_those_of_the_enum() -> None:
    locks = (LockClass("r", "raw_spinlock_t"), LockClass("s", "spinlock_t"), LockClass("m", "mutex"))
    lines = [line.split() for line in wait_types(locks).text.splitlines()[1:]]
    assert lines == [
        ["r", "raw_spinlock_t", "{2:2}", "{2:2}"],
        ["s", "spinlock_t", "{2:2}", "{3:3}"],
        ["m", "mutex", "{3:3}", "{4:4}"],
    ]


@pytest.mark.parametrize(("kernel", "task", "mutex", "hardirq"), [(PLAIN, "4", "3", "2"), (PROVING, "5", "4", "2")])
def test_each_level_says_what_it_leaves(kernel, task, mutex, hardirq) -> None:
    lines = stack_of(context("mutex>irqoff"), kernel).text.splitlines()[1:]
    ends = [f"{task} (LD_WAIT_MAX)", f"{mutex} (LD_WAIT_SLEEP)", "as before"]
    assert [" ".join(line.split()[-2:]) for line in lines] == ends
    lines = stack_of(context("mutex>hardirq>raw:krc.lock"), kernel).text.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["task", "task", "hardirq", "hardirq"]
    ends[2:] = [f"{hardirq} (LD_WAIT_SPIN)", "2 (LD_WAIT_SPIN)"]
    assert [" ".join(line.split()[-2:]) for line in lines] == ends


def test_a_softirq_is_a_task_with_a_lock_on_rt() -> None:
    text = stack_of(context("softirq"), RT).text
    assert "a softirq comes in (RT: in a task)" in text
    assert "● softirq_ctrl.lock" in text
    assert "RT:" not in stack_of(context("softirq"), PROVING).text


def test_the_lock_that_is_reported_is_marked() -> None:
    found = MASK_0("raw:krc.lock", PROVING)
    assert took(found).text.splitlines()[1].split()[:3] == ["→", "takes", "&zone->lock"]
    assert plain(took(found).text).endswith("✕ Invalid wait context")
    assert "✕" not in took(MASK_0("raw:krc.lock", PLAIN)).text
    assert '<span style="white-space:nowrap">&amp;zone-&gt;lock</span>' in way(found).html
    assert "takes no lock" in took(FAST("raw:krc.lock", PROVING)).text
    assert "→ tries" in took(Ask(row="trylock")("raw", PROVING)).text


@pytest.mark.parametrize(
    ("ask", "where", "kernel", "contended", "end"),
    [
        (MASK_0, "raw", PLAIN, False, "page; nothing is printed"),
        (MASK_0, "raw", PROVING, False, "page; ✕ Invalid wait context"),
        (FAST, "raw", RT, False, "page; ✕ Invalid wait context, ✕ sleeping function"),
        (FAST, "raw", RT, True, "page; ✕ Invalid wait context, ✕ sleeping function, ✕ scheduling while atomic"),
        (Ask("__GFP_FAST_TRY"), "raw", PROVING, False, "NULL; nothing is printed"),
        (MASK_0, "zone_lock", PLAIN, False, "never returns: the CPU waits for itself; ✕ recursive locking"),
    ],
)
def test_outcome(ask: Ask, where: str, kernel, contended: bool, end: str) -> None:
    assert plain(outcome(ask(where, kernel, contended))) == end


def test_what_was_seen_before_makes_a_cycle() -> None:
    seen = MASK_0("raw:krc.lock", PLAIN).graph
    assert plain(outcome(FAST("zone_lock>raw:krc.lock", PLAIN, known=seen))) == "page; ✕ circular dependency"
    assert plain(outcome(FAST("zone_lock>raw:krc.lock", PLAIN))) == "page; nothing is printed"


def test_the_report_is_the_models_and_is_escaped() -> None:
    reports = MASK_0("raw:<i", PROVING).reports
    picture = printed(reports)
    assert picture.text == reports[0].text().strip()
    assert "<i" not in picture.html
    assert "(&amp;zone-&gt;lock)" in picture.html
    assert printed(()).text == "(nothing is printed)"


def test_a_picture_has_all_four_parts() -> None:
    text = nested(MASK_0("raw:krc.lock", PROVING), "a title").text
    for part in ("a title", "outcome", "● krc.lock", "→ takes", "[ BUG: Invalid wait context ]"):
        assert part in text


def test_the_builder_has_a_frame_a_position(builder: W.VBox) -> None:
    assert [control.index for control in builder.children[1:5]] == [1, 0, 0, 1]
    assert all(control.description for control in builder.children[1:5])
    assert "✕ sleeping function" in shown(builder)
    builder.children[1].index = 2
    assert "scheduling while atomic" in shown(builder)
    builder.children[1].index, builder.children[2].index = 0, 1
    assert "nothing is printed" in shown(builder)
    sizes = [len(w.children) for w in walk(builder) if isinstance(w, W.Stack)]
    assert sorted(sizes) == [2] * (3 + 6) + [3] * (1 + 12)


def test_what_cannot_be_says_why(builder: W.VBox) -> None:
    builder.children[3].index, builder.children[4].index = 1, 2
    assert shown(builder).startswith('<p role="alert">hardirq&gt;mutex: impossible context: a mutex cannot')


def test_a_stack_of_ones_own_follows_kernel_and_request(builder: W.VBox) -> None:
    live = builder.children[-1]
    assert "gfp-live-only" in live._dom_classes
    box, _, wrong, answer = live.children
    box.value = "mutex>hardirq>raw:mine"
    assert "● mine" in answer.value
    assert "✕ sleeping function" in plain(answer.value)
    builder.children[1].index = 0
    assert "sleeping function" not in answer.value
    builder.children[2].index = 1
    assert "takes no lock" in answer.value
    box.value = "<b>"
    assert 'role="alert"' in wrong.value
    assert "<b>" not in wrong.value
    assert "takes no lock" in answer.value, "the last picture stays"
    box.value = " "
    assert answer.value == wrong.value == ""


def test_the_way_holds_what_was_taken_and_says_what_comes_back() -> None:
    rows = way(MASK_0("raw:krc.lock", PROVING)).text.splitlines()[1:]
    assert [row.split("  ")[0].strip() for row in rows] == ["-", "irqs off", "irqs off + &zone->lock", "irqs off", "-"]
    assert plain(rows[1]).endswith("takes &zone->lock; ✕ Invalid wait context")
    assert rows[-1].endswith("returns a page")


def test_the_way_of_a_request_that_waits_for_itself_ends_there() -> None:
    rows = way(MASK_0("zone_lock", PLAIN)).text.splitlines()[1:]
    assert "waits for itself" in rows[-1]
    assert len(rows) == 2
    declined = way(Ask(row="raw_zone_lock")("zone_lock", RT)).text
    assert "waits for itself" not in declined
    assert "takes pa_lock" in declined
    assert "declines to take &zone->lock" in declined
    assert declined.endswith("returns NULL")


def test_a_report_on_the_lock_inside_stands_at_the_try() -> None:
    (tried,) = (row for row in way(Ask(row="fast_try", pcp="warm")("nmi", TODAY)).text.splitlines() if "tries" in row)
    assert "✕" in tried


def test_the_work_item_takes_its_locks_in_a_task() -> None:
    found = Ask(row="deferred_refill")("raw", PROVING)
    assert "&zone->lock" not in way(found).text
    assert "takes &zone->lock" in way_of_work(found).text
    assert "✕" not in way_of_work(found).text


# drawn as plates

PLACES_AND_KERNELS = [
    (text, kernel)
    for text in (
        "task",
        "raw:krc.lock",
        "spin>raw",
        "mutex>hardirq>raw:krc.lock",
        "rcu",
        "softirq",
        "irqoff",
        "raw_try",
    )
    for kernel in (PLAIN, PROVING, RT, TODAY)
]


@pytest.mark.parametrize(("text", "kernel"), PLACES_AND_KERNELS)
@pytest.mark.parametrize("ask", [MASK_0, Ask(row="trylock")])
def test_what_does_not_fit_is_what_lockdep_reports(text: str, kernel, ask: Ask) -> None:
    found = ask(text, kernel)
    reported = [one.lock.name for one in found.reports if one.kind == "invalid_wait_context" and one.lock]
    assert [plate.what.split()[-1] for plate in wanted(found) if plate.broken][:1] == reported
    html = took(found).html
    assert ('class="hatch"' in html) == bool(reported)
    assert ("✕" in html) == bool(found.reports)


def test_a_plate_is_as_wide_as_what_it_allows() -> None:
    task, irq, lock = levels(context("hardirq>raw:krc.lock"), PROVING)
    assert [task.leaves, irq.leaves, lock.needs, lock.leaves] == [5, 2, 2, 2]
    assert "M2.5 0H97.5L97.5 40H2.5z" in shape(task)
    assert "M31 0H69L97.5 40H2.5z" in shape(irq), "an interrupt is a floor of its own"
    assert "M31 0H69L69 40H31z" in shape(lock)


def test_the_stack_stands_on_the_task_and_says_in_words_what_it_shows() -> None:
    found = MASK_0("raw:krc.lock", PROVING)
    html = nested(found, "a title").html
    assert html.index("<b>→ takes &amp;zone") < html.index("<b>● krc.lock") < html.index("<b>the task</b>")
    assert "needs 3, 2 is left" in html
    assert 'class="gfp-grown broken"' in html
    assert "does not fit on what is held" in html
    assert html.count('role="img"') == 1
    quiet = nested(MASK_0("raw:krc.lock", PLAIN), "a title").html
    assert 'class="gfp-grown"' in quiet
    assert "every lock fits" in quiet
    assert "only tried" in nested(Ask(row="trylock")("raw", PROVING), "").html
    assert "takes no lock" in nested(FAST("raw", PROVING), "").html


def test_a_lock_that_does_not_fit_where_nobody_looks_is_drawn_so() -> None:
    found = MASK_0("hardirq", PROVING)
    assert not found.lockdep, "v5.8 does not check the first lock that is taken"
    html = nested(found, "").html
    assert 'class="hatch"' in html
    assert "this kernel does not check it here" in html
