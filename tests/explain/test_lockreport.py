"""What a report of locks or sleep says of its caller: counts, levels, wait types, places; and whose lines are its."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from gfpmodel.explain import explain, render
from gfpmodel.explain.find import OUTSIDE
from gfpmodel.explain.locks import ASKS, answered
from gfpmodel.explain.slab import slab_case
from gfpmodel.explain.waits import CONTEXTS_BY, LOCKS_BY
from gfpmodel.explain.ways import Outcome, Way, outcomes
from gfpmodel.locking import Setup, context, make_kernel, make_request, verdict
from gfpmodel.show.reports import explanation

CHAIN = ("__might_resched", "__kmalloc", "example")


def one_of(text: str) -> dict[str, Any]:
    (one,) = explain(text)
    return one


def sleeping(release: str, state: str, *held: str, chain: tuple[str, ...] = CHAIN) -> str:
    """Return a report on sleeping of our own making; ``state`` are the lines about the context."""
    count = f"{len(held)} lock{'s' * (len(held) > 1)} held by worker/71:" if held else "no locks held by worker/71."
    return "\n".join(
        [
            "BUG: sleeping function called from invalid context at include/linux/sched/mm.h:306",
            state,
            count,
            *(f" #{n}: ffff88800000000{n} {lock}, at: example+0x10/0x80" for n, lock in enumerate(held)),
            f"CPU: 1 PID: 71 Comm: worker Not tainted {release} #1",
            "Call Trace:",
            *(f" {name}+0x10/0x80" if name[0] != "<" else f" {name}" for name in chain),
            "",
        ]
    )


def state(count: int, depth: int = 0, irqs_off: int = 0) -> str:
    return (
        f"in_atomic(): {count > 0:d}, irqs_disabled(): {irqs_off}, non_block: 0, pid: 71, name: worker\n"
        f"preempt_count: {count:x}, expected: 0\nRCU nest depth: {depth}, expected: 0"
    )


@pytest.mark.parametrize(
    ("release", "count", "irqs_off", "words"),
    [
        ("6.6.10", 0x1, 0, "a task with preemption off"),
        ("6.6.10", 0x0, 1, "a task with interrupts off"),
        ("6.6.10", 0x200, 0, "a task with softirqs off"),
        ("6.6.10", 0x100, 0, "a soft interrupt"),
        ("6.6.10", 0x101, 1, "a soft interrupt with interrupts off and preemption off"),
        ("6.6.10", 0x10000, 1, "a hard interrupt"),
        ("6.6.10", 0x10100, 1, "a hard interrupt"),
        ("6.6.10", 0x110000, 1, "an NMI"),
        ("7.3.4", 0x1000000, 1, "a hard interrupt"),
        ("7.3.4", 0x10000, 1, "a task with interrupts off"),
    ],
)
def test_the_count_says_the_level(release: str, count: int, irqs_off: int, words: str) -> None:
    assert one_of(sleeping(release, state(count, irqs_off=irqs_off)))["context"] == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0x2, "a task with preemption off"),
        (0x201, "a task with softirqs off"),
        (0x101, "a soft interrupt"),
        (0x10002, "a hard interrupt with preemption off"),
        (0x100, "a soft interrupt"),  # without PREEMPT_COUNT the scheduler's own is not counted
    ],
)
def test_the_scheduler_counts_itself(count: int, words: str) -> None:
    text = sleeping("5.15.20", "").replace(
        "BUG: sleeping function called from invalid context at include/linux/sched/mm.h:306",
        f"BUG: scheduling while atomic: worker/71/0x{count:08x}",
    )
    assert one_of(text)["context"] == words


OLD = "in_atomic(): 1, irqs_disabled(): {}, pid: 71, name: worker"


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (CHAIN, "a task with preemption off"),
        ((*CHAIN, "__do_softirq", "irq_exit", "smp_apic_timer_interrupt"), "a soft interrupt"),
        ((*CHAIN, "handle_irq_event", "do_IRQ", "__do_softirq"), "a hard interrupt"),
        (("<IRQ>", *CHAIN, "</IRQ>", "cpuidle_enter"), "a soft interrupt or a hard interrupt"),
        (("<NMI>", *CHAIN, "</NMI>"), "an NMI"),
    ],
)
def test_before_the_count_was_printed_the_chain_says_the_level(chain: tuple[str, ...], words: str) -> None:
    one = one_of(sleeping("4.19.90", OLD.format(0), chain=chain))
    assert one["context"] == words
    assert one["missing"] == []


def test_preempt_rt_runs_a_softirq_in_a_task() -> None:
    one = one_of(sleeping("5.10.0-rt17", OLD.format(0), chain=(*CHAIN, "__do_softirq", "run_ksoftirqd")))
    assert one["context"] == "a task with preemption off"


def test_an_rcu_section_forbids_sleeping_too() -> None:
    one = one_of(sleeping("6.6.10", state(0, depth=1), "(rcu_read_lock){....}-{1:2}"))
    assert (one["context"], one["forbidden_by"]) == ("a task with an RCU section open", "rcu_read_lock")


@pytest.mark.parametrize(
    ("held", "by"),
    [
        (("(&a->ctl){+.+.}-{4:4}", "(&a->lock){+.+.}-{3:3}"), "&a->lock"),
        (("(&a->lock){+.+.}-{3:3}", "(&a->ctl){+.+.}-{4:4}"), "&a->lock"),
        (("(&mm->mmap_lock){++++}-{3:3}", "(ptlock_ptr(page)#2){+.+.}-{2:2}"), "ptlock_ptr(page)#2"),
        (("(&a->mutex){+.+.}-{3:3}",), None),
        (("((wq_completion)events){+.+.}-{0:0}",), None),
    ],
)
def test_the_held_lock_that_forbids_sleeping(held: tuple[str, ...], by: str | None) -> None:
    assert one_of(sleeping("6.6.10", state(1), *held))["forbidden_by"] == by


def wanting(release: str, lock: str, base: int, held: str, *chain: str) -> dict[str, Any]:
    return one_of(
        "\n".join(
            [
                "[ BUG: Invalid wait context ]",
                f"{release} #1 Not tainted",
                "worker/71 is trying to lock:",
                f"ffff888000000002 {lock}, at: example+0x80/0x700",
                f"context-{{{base}:{base}}}",
                "1 lock held by worker/71:",
                f" #0: ffff888000000001 {held}, at: example+0x10/0x80",
                "Call Trace:",
                *(f" {name}+0x10/0x80" for name in chain or ("example",)),
            ]
        )
    )


@pytest.mark.parametrize(
    ("lock", "base", "held", "chain", "kind"),
    [
        ("(&a->ctl){+.+.}-{3:3}", 4, "(&a->lock){+.+.}-{2:2}", (), LOCKS_BY[False][3]),
        ("(&a->ctl){+.+.}-{3:3}", 5, "(&a->lock){+.+.}-{2:2}", (), LOCKS_BY[True][3]),
        ("(&a->ctl){+.+.}-{4:4}", 5, "(&a->lock){+.+.}-{2:2}", (), LOCKS_BY[True][4]),
        ("(&zone->lock){+.+.}-{3:3}", 2, "(&a->lock){+.+.}-{2:2}", (), LOCKS_BY[True][3]),
        ("(&a->ctl){+.+.}-{3:3}", 2, "(&zone->lock){+.+.}-{2:2}", (), LOCKS_BY[False][3]),
        ("(&a->ctl){+.+.}-{3:3}", 2, "(rcu_read_lock){....}-{1:3}", (), LOCKS_BY[True][3]),
        ("(&a->ctl){+.+.}-{3:3}", 2, "(&a->lock){+.+.}-{2:2}", ("__mutex_lock", "example"), LOCKS_BY[False][3]),
        ("(&a->ctl){+.+.}-{3:3}", 2, "(&a->lock){+.+.}-{2:2}", ("_raw_spin_lock", "example"), LOCKS_BY[True][3]),
        ("(&a->mutex){+.+.}-{3:3}", 2, "(&a->lock){+.+.}-{2:2}", (), LOCKS_BY[False][3]),
        ("(&a->ctl){+.+.}-{3:3}", 2, "(&a->lock){+.+.}-{2:2}", (), ""),
    ],
)
def test_what_a_number_means_depends_on_the_option(
    lock: str, base: int, held: str, chain: tuple[str, ...], kind: str
) -> None:
    one = wanting("6.1.80", lock, base, held, *chain)
    assert (f"({kind})" in one["why"][0]) if kind else "(" not in one["why"][0].partition(" was wanted")[0][1:]
    assert any("PROVE_RAW_LOCK_NESTING" in said for said in one["unknown"]) == (not kind)


def test_the_table_of_wait_types() -> None:
    """One enumeration: without the option 2 is either spinlock, and a mutex and a task move down by one."""
    assert LOCKS_BY[True][3].startswith("spinlock_t")
    assert LOCKS_BY[True][4] == LOCKS_BY[False][3]
    assert LOCKS_BY[False][2] == f"{LOCKS_BY[True][2]} or {LOCKS_BY[True][3]}"
    assert {n: words for n, words in CONTEXTS_BY[True].items() if words == "a task"} == {5: "a task"}
    assert CONTEXTS_BY[False] == {2: "an interrupt", 4: "a task"}


def test_since_v6_18_the_option_is_no_choice() -> None:
    one = wanting("6.18.3", "(&a->ctl){+.+.}-{3:3}", 2, "(&a->lock){+.+.}-{2:2}")
    assert one["context"] == "a hard interrupt"
    assert LOCKS_BY[True][3] in one["why"][0]


def test_what_a_place_in_the_source_stands_for() -> None:
    """A symbolised report names what was inlined; lockdep's own place comes last."""
    text = sleeping("6.6.10", state(1), "(&a->lock){+.+.}-{2:2}").replace(
        "example+0x10/0x80",
        "spin_lock include/linux/spinlock.h:351 [inline]\n"
        " #0: ffff888000000000 (&a->lock){+.+.}-{2:2}, at: inner kernel/a.c:7 [inline]\n"
        " #0: ffff888000000000 (&a->lock){+.+.}-{2:2}, at: outer+0x10/0x80 kernel/a.c:9",
        1,
    )
    one = one_of(text)
    assert one["held"] == ["&a->lock"]
    assert one["missing"] == []
    assert "forbidden by &a->lock ({2:2}), held since inner" in one["why"]


def test_a_place_that_a_mailer_put_on_the_next_line() -> None:
    text = sleeping("6.6.10", state(1), "(&a->lock){+.+.}-{2:2}")
    assert {**one_of(text.replace("at: example", "at:\nexample", 1)), "line": 1} == one_of(text)


def test_chains_of_other_times_are_not_the_reports() -> None:
    text = sleeping(
        "6.6.10", state(1) + "\nhardirqs last  enabled at (1): [<ffffffff81000000>] kvfree_call_rcu+0x1/0x2"
    )
    assert one_of(text)["asked"]["owner"] == "slab (__kmalloc)"
    assert one_of(text + "Call Trace:\n kvfree_call_rcu+0x1/0x2\n")["asked"]["owner"] == "slab (__kmalloc)"


def test_another_report_ends_the_one_before() -> None:
    text = sleeping("6.6.10", state(1), chain=("example",))
    other = "BUG: KASAN: slab-use-after-free in example+0x1/0x2\nCall Trace:\n __kmalloc+0x1/0x2\n"
    assert one_of(text + other) == one_of(text)
    assert explain(other) == []


NAMED = {
    "circular_locking": "WARNING: possible circular locking dependency detected",
    "recursive_locking": "WARNING: possible recursive locking detected",
    "irq_lock_inversion": "WARNING: possible irq lock inversion dependency detected",
    "irq_lock_order": "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
    "rcu_usage": "WARNING: suspicious RCU usage",
    "unlock_balance": "WARNING: bad unlock balance detected!",
    "lock_held_at_exit": "WARNING: lock held when returning to user space!",
    "freed_lock": "WARNING: held lock freed!",
    "work_leaks": "BUG: workqueue leaked atomic, lock or RCU: kworker/1:2[98]",
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_what_is_no_question_of_this_book_is_named(kind: str) -> None:
    one = one_of(f"{NAMED[kind]}\n6.6.10 #1 Not tainted\nCall Trace:\n __kmalloc+0x10/0x80\n")
    assert (one["kind"], one["cases"], one["otherwise"], one["verdict_agrees"]) == (kind, [], [], None)
    assert one["model"].startswith(f"not asked: the report is about {ASKS[kind]}")


@pytest.mark.parametrize("kind", OUTSIDE)
def test_of_what_is_not_explained_nothing_else_is_claimed(kind: str) -> None:
    said = " ".join(one_of(f"{NAMED[kind]}\n6.6.10 #1 Not tainted\n")["summary"].values())
    assert "not explained here" in said
    assert "changes this." not in said.replace("Whether another way to ask for memory changes this", "")
    assert "no request for memory answers" not in said


@pytest.mark.parametrize(
    ("kind", "breaks"), [("circular_locking", "GFP_NOFS or memalloc_nofs_save()"), ("irq_lock_inversion", "GFP_NOWAIT")]
)
def test_where_reclaim_is_in_the_circle_the_allocation_breaks_it(kind: str, breaks: str) -> None:
    lines = ("6.6.10 #1 Not tainted", "-> #1 (fs_reclaim){+.+.}-{0:0}:", "       __kmalloc+0x10/0x80")
    said = one_of("\n".join([NAMED[kind], *lines]))["summary"]
    assert breaks in said["otherwise"]
    assert said["so"].startswith("So: what breaks the circle at the allocation is ")


def test_a_sleep_in_an_rcu_section_is_a_report_on_sleeping() -> None:
    """Before it looks at the counts, might_sleep() asks RCU, whose report has another title."""
    text = (
        "WARNING: suspicious RCU usage\n6.1.55 #1 Not tainted\n"
        "kernel/sched/core.c:9000 Illegal context switch in RCU read-side critical section!\n"
        "1 lock held by worker/71:\n #0: ffff888000000001 (rcu_read_lock){....}-{1:2}, at: example+0x10/0x80\n"
        "CPU: 1 PID: 71 Comm: worker Not tainted 6.1.55 #1\n"
        "Call Trace:\n __might_resched+0x10/0x80\n kmem_cache_alloc+0x10/0x80\n example+0x10/0x80\n"
    )
    one = one_of(text)
    assert (one["kind"], one["forbidden_by"], one["missing"]) == ("sleeping_function", "rcu_read_lock", [])
    assert one["context"] == "a task with an RCU section open"
    assert one["verdict_agrees"]
    assert "kmalloc(GFP_ATOMIC)" in one["summary"]["so"]
    broken = one_of(text.replace("read-side ", "read-side\n"))
    assert (broken["kind"], broken["context"]) == (one["kind"], one["context"])


@pytest.mark.parametrize("release", ["4.19.90", "6.6.10"])
def test_reclaim_in_an_interrupt_is_no_lock_to_take_otherwise(release: str) -> None:
    one = one_of(
        f"WARNING: inconsistent lock state\n{release} #1 Not tainted\n"
        "inconsistent {SOFTIRQ-ON-W} -> {IN-SOFTIRQ-W} usage.\nworker/71 [HC0[0]:SC1[1]:HE1:SE0] takes:\n"
        "ffffffff82a4e120 (fs_reclaim){+.?.}, at: __kmalloc+0x30/0x90\nno locks held by worker/71.\n"
        "Call Trace:\n __kmalloc+0x10/0x80\n example_rx+0x10/0x80\n __do_softirq+0x10/0x80\n"
    )
    assert "spin_lock_bh" not in one["summary"]["so"]
    assert "GFP_ATOMIC" in one["summary"]["so"]


def test_a_lock_that_the_request_took_is_not_its_callers() -> None:
    """Since v6.0 the lists' lock is held where zone->lock is wanted: it was got on the way."""
    one = wanting("6.12.9", "(&zone->lock){-.-.}-{3:3}", 5, "(&a->lock){....}-{2:2}", "__rmqueue_pcplist")
    assert one["verdict_agrees"]
    again = one_of(
        "[ BUG: Invalid wait context ]\n6.12.9 #1 Not tainted\nworker/71 is trying to lock:\n"
        "ffff888000000002 (&zone->lock){-.-.}-{3:3}, at: __rmqueue_pcplist+0x80/0x700\ncontext-{5:5}\n"
        "2 locks held by worker/71:\n #0: ffff888000000001 (&a->lock){....}-{2:2}, at: example+0x10/0x80\n"
        " #1: ffff888000000003 (&pcp->lock){+.+.}-{3:3}, at: get_page_from_freelist+0x10/0x80\n"
        "Call Trace:\n __rmqueue_pcplist+0x10/0x80\n"
    )
    assert again["verdict_agrees"]
    assert again["held"] == ["&a->lock", "&pcp->lock"]
    assert {case["context"] for case in again["cases"]} == {"raw_irqsave:&a->lock"}


@pytest.mark.parametrize("types", ["{2:2}", "{3:3}"])
def test_a_caller_that_holds_a_zones_lock(types: str) -> None:
    """Of one zone: the request may be served by another, or wait for itself."""
    held = f"(&zone->lock){{-.-.}}-{types}"
    one = one_of(sleeping("6.6.10", state(1, irqs_off=1), held, chain=("__might_resched", "__alloc_pages", "example")))
    assert one["forbidden_by"] == "&zone->lock"
    assert one["verdict_agrees"]
    assert {case["context"] for case in one["cases"]} == {"zone_lock"}


@pytest.mark.parametrize(
    ("held", "by", "doubtful"),
    [
        (("(&a->mutex){+.+.}", "(&(&a->lock)->rlock){+.+.}"), "&(&a->lock)->rlock", False),
        (("(&(&a->lock)->rlock){+.+.}", "(&a->ctl){+.+.}"), "&(&a->lock)->rlock", False),
        (("(&a->ctl){+.+.}",), "&a->ctl", True),
        (("(&a->mutex){+.+.}",), None, False),
        (("((&a->timer)){+.-.}, at: call_timer_fn+0x1/0x2",), None, False),
    ],
)
def test_before_v5_7_a_name_is_all_there_is(held: tuple[str, ...], by: str | None, doubtful: bool) -> None:
    """A report prints no types: a spinlock_t has a name of its own, and what may be one is said to be in doubt."""
    one = one_of(sleeping("5.4.100", OLD.format(0), *held))
    assert one["forbidden_by"] == by
    assert any("if it is no lock that sleeps" in said for said in one["why"]) == doubtful


def test_names_of_locks_that_no_request_takes_change_no_verdict() -> None:
    """Two of one class may be held, and a log of many names asks the model as often as one of few."""
    held = ("(&a->lock){+.+.}-{3:3}", "(&a->lock/1){+.+.}-{3:3}", "(&b->lock){+.+.}-{2:2}")
    one = one_of(sleeping("6.6.10", state(3), *held))
    asked = slab_case.cache_info().misses
    other = one_of(sleeping("6.6.10", state(3), *(lock.replace("->lock", "->other") for lock in held)))
    assert one["verdict_agrees"]
    assert other["verdict_agrees"]
    assert [case["context"] for case in other["cases"]] == [
        case["context"].replace("->lock", "->other") for case in one["cases"]
    ]
    assert slab_case.cache_info().misses == asked


def test_since_v7_3_the_count_has_how_often_interrupts_were_switched_off() -> None:
    text = "BUG: scheduling while atomic: worker/71/0x00010002\n1 lock held by worker/71:\n" + (
        " #0: ffff888000000001 (&a->lock){....}-{2:2}, at: example+0x10/0x80\nCPU: 1 PID: 71 Comm: worker Not tainted "
        "%s #1\nCall Trace:\n __schedule+0x1/0x2\n __mutex_lock.isra.0+0x1/0x2\n example+0x10/0x80\n"
    )
    new, old = one_of(text % "7.3.4"), one_of(text % "6.18.4")
    assert new["context"] == "a task with interrupts off and preemption off"
    assert any("0x10000 of preempt_count: interrupts were switched off once" in line for line in new["why"])
    assert old["context"] == "a hard interrupt with preemption off"
    assert not any("switched off once" in line for line in old["why"])


@pytest.mark.parametrize("name", ["&h->lock<b>", "a\x1b]0;b\x07c<d>->lock", "x>y", "a:b>c"])
def test_a_name_that_no_c_source_has_is_compared_all_the_same(name: str) -> None:
    """The held lock's type is what counts; its name is shown without what a terminal would obey."""
    one = wanting("6.12.9", "(&zone->lock){-.-.}-{3:3}", 5, f"({name}){{....}}-{{2:2}}", "__rmqueue_pcplist")
    assert one["verdict_agrees"]
    assert one["forbidden_by"] == name


def test_a_subclass_is_shown_as_printed() -> None:
    one = wanting("6.12.9", "(&rq->lock#8/1){-.-.}-{3:3}", 5, "(&a->lock#2/1){....}-{2:2}")
    assert (one["lock"], one["held"], one["forbidden_by"]) == ("&rq->lock#8/1", ["&a->lock#2/1"], "&a->lock#2/1")


BOTH = "each of these locks forbids it, so that none of them may be held: "


@pytest.mark.parametrize(
    ("lock", "base", "held", "names"),
    [
        ("{3:3}", 5, ("(&o->raw){....}-{2:2}", "(&i->raw){....}-{2:2}"), ["&o->raw", "&i->raw"]),
        ("{4:4}", 5, ("(&o->lock){+.+.}-{3:3}", "(rcu_read_lock){....}-{1:3}"), ["&o->lock", "rcu_read_lock"]),
        ("{4:4}", 5, ("(&o->raw){....}-{2:2}", "(&m){+.+.}-{4:4}", "(&i->lock){....}-{3:3}"), ["&o->raw", "&i->lock"]),
        ("{3:3}", 5, ("(&o->lock){+.+.}-{3:3}", "(&i->raw){....}-{2:2}"), ["&i->raw"]),
        ("{3:3}", 2, ("((&timer)){+.-.}-{0:0}", "(&i->raw){....}-{2:2}"), ["&i->raw"]),
    ],
)
def test_every_lock_that_forbids_to_wait_is_named(
    lock: str, base: int, held: tuple[str, ...], names: list[str]
) -> None:
    text = "\n".join(
        [
            "[ BUG: Invalid wait context ]",
            "6.12.9 #1 Not tainted",
            "worker/71 is trying to lock:",
            f"ffff888000000009 (&w->ctl){{+.+.}}-{lock}, at: example+0x80/0x700",
            f"context-{{{base}:{base}}}",
            f"{len(held)} locks held by worker/71:",
            *(f" #{n}: ffff88800000000{n} {one}, at: example+0x10/0x80" for n, one in enumerate(held)),
            "Call Trace:\n example+0x10/0x80",
        ]
    )
    one = one_of(text)
    assert one["forbidden_by_all"] == names
    assert any(BOTH in line and all(name in line for name in names) for line in one["why"]) == (len(names) > 1)


@pytest.mark.parametrize(
    ("held", "counts", "names"),
    [
        (("(&o->raw){+.+.}-{2:2}", "(&i->raw){....}-{2:2}"), state(2), ["&o->raw", "&i->raw"]),
        (("(&o->lock){+.+.}-{3:3}", "(rcu_read_lock){....}-{1:3}"), state(1, depth=1), ["&o->lock", "rcu_read_lock"]),
        (("(&m){+.+.}-{4:4}", "(rcu_read_lock){....}-{1:2}"), state(0, depth=1), ["rcu_read_lock"]),
        (("(&m){+.+.}-{4:4}", "(&o->lock){+.+.}-{3:3}"), state(1), ["&o->lock"]),
    ],
)
def test_every_lock_that_forbids_to_sleep_is_named(held: tuple[str, ...], counts: str, names: list[str]) -> None:
    one = one_of(sleeping("6.6.10", counts, *held))
    assert one["forbidden_by_all"] == names
    assert any(BOTH in line and all(name in line for name in names) for line in one["why"]) == (len(names) > 1)


ALLOCATES, FREES = ("__might_resched", "__alloc_pages", "example"), ("free_pcppages_bulk", "free_unref_page", "example")
UNTOLD = sleeping("6.6.10", state(1), "(&a->raw){....}-{2:2}", chain=ALLOCATES)
BOTH_WAYS = (
    "GFP_ATOMIC, GFP_NOWAIT, mask 0, while this CPU's list is empty: "
    "without PROVE_RAW_LOCK_NESTING: page; nothing is reported; "
    "with it: page; invalid wait context on &zone->lock in __rmqueue_pcplist"
)


def test_an_option_that_is_not_told_is_answered_both_ways() -> None:
    one = one_of(UNTOLD)
    assert one["otherwise"][0] == BOTH_WAYS
    assert one["otherwise"][-1] == "allocate before, in a task: page; nothing is reported"
    assert any("PROVE_RAW_LOCK_NESTING" in said for said in one["unknown"])


def at_seconds(text: str, start: float) -> str:
    """Return a text with dmesg's time stamps."""
    return "".join(f"[{start + n / 1e3:12.6f}] {line}\n" for n, line in enumerate(text.splitlines()))


TELLS = "\n".join(
    [
        "[ BUG: Invalid wait context ]",
        "6.6.10 #1 Not tainted",
        "worker/71 is trying to lock:",
        "ffff888000000002 (&a->ctl){+.+.}-{3:3}, at: example+0x80/0x700",
        "context-{5:5}",
        "1 lock held by worker/71:",
        " #0: ffff888000000001 (&a->lock){....}-{2:2}, at: example+0x10/0x80",
        "Call Trace:\n example+0x10/0x80\n",
    ]
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (at_seconds(UNTOLD, 5) + at_seconds(TELLS, 6), True),
        (at_seconds(TELLS, 5) + at_seconds(UNTOLD, 6), True),
        (at_seconds(TELLS, 6) + at_seconds(UNTOLD, 5), False),  # another boot
        (at_seconds(UNTOLD, 6) + at_seconds(TELLS, 5), False),
        (TELLS + UNTOLD, False),  # nothing says that they are of one boot
        ("Linux version 6.6.10 (a@b)\n" + TELLS + UNTOLD, True),
        ("Linux version 6.6.10 (a@b)\n" + TELLS + "Linux version 6.6.10 (a@b)\n" + UNTOLD, False),
        (at_seconds(TELLS.replace("6.6.10", "6.6.11"), 5) + at_seconds(UNTOLD, 6), False),
        (at_seconds(TELLS.replace("{5:5}", "{4:4}"), 5) + at_seconds(UNTOLD, 6), None),
    ],
)
def test_another_report_of_the_same_boot_may_tell_the_option(text: str, told: bool | None) -> None:
    (one,) = [one for one in explain(text) if one["kind"] == "sleeping_function"]
    page = ", while this CPU's list is empty: page; invalid wait context on &zone->lock"
    atomic = ": page; nothing is reported" if told is None else page
    assert one["otherwise"][0].startswith(f"GFP_ATOMIC, GFP_NOWAIT, mask 0{atomic}") == (told is not False)
    assert any("another report of this boot" in said for said in one["remarks"]) == (told is not False)
    assert (one["otherwise"][0] == BOTH_WAYS) == (told is False)


@pytest.mark.parametrize(
    "function", ["free_pcppages_bulk", "free_unref_page_commit", "__free_pages_ok", "free_one_page"]
)
def test_the_other_ways_of_a_page_free_are_frees(function: str) -> None:
    one = wanting("6.18.3", "(&zone->lock){-.-.}-{3:3}", 5, "(&a->raw){....}-{2:2}", function, "example")
    assert [words.partition(":")[0] for words in one["otherwise"]] == ["free_pages_nolock()", "free later, in a task"]
    assert not any("mask" in said for said in one["unknown"])


def test_a_free_that_an_allocation_makes_is_the_allocations() -> None:
    chain = ("free_pcppages_bulk", "drain_pages", "__alloc_pages_slowpath", "__alloc_pages", "example")
    one = wanting("6.6.10", "(&zone->lock){-.-.}-{3:3}", 5, "(&a->raw){....}-{2:2}", *chain)
    assert one["otherwise"][0].startswith("GFP_ATOMIC, GFP_NOWAIT, mask 0, while")


@pytest.mark.parametrize("kind", ["sleeping", "scheduling"])
def test_a_report_that_no_case_prints_has_its_other_ways_too(kind: str) -> None:
    """The place is none of the model's, or the path is one that it leaves out; the ways out are asked all the same."""
    chain = ("__schedule", "io_schedule_timeout", "shrink_node", "__alloc_pages_slowpath.constprop.0", "__alloc_pages")
    counts = state(1) if kind == "sleeping" else ""
    text = sleeping("6.6.10", counts, "(&a->raw){....}-{2:2}", chain=chain).replace("sched/mm.h", "other.h")
    if kind == "scheduling":
        text = "BUG: scheduling while atomic: worker/71/0x00000002\n" + text.partition("\n")[2]
    one = one_of(text)
    assert one["cases"] == []
    assert one["otherwise"][0] == BOTH_WAYS


WHOLE = re.compile(r"[^\s].*[^.]\.")


@pytest.mark.parametrize(
    "text", [TELLS, UNTOLD, *(file.read_text() for file in Path("tests/data/reports").glob("2[1-7]*"))]
)
def test_each_part_begins_with_a_whole_sentence(text: str) -> None:
    one = one_of(text)
    lines = render(one).splitlines()
    for part in ("asked", "why", "otherwise"):
        assert WHOLE.fullmatch(one["summary"][part])
        first = next(line for line in lines if line.startswith(f"  {part} "))
        assert first.split(maxsplit=1)[1] == one["summary"][part]
        assert one["summary"][part] in unescape(explanation(one).html)
    assert not one["summary"]["so"] or lines[-1 - len(one["unknown"] + one["missing"])].endswith(one["summary"]["so"])


def test_the_sentences_name_what_was_asked_what_forbids_and_what_to_do() -> None:
    text = UNTOLD.replace(CHAIN[0], "__might_resched")
    said = one_of(text)["summary"]
    assert said == {
        "asked": "A request for pages came to a point in include/linux/sched/mm.h where it may sleep, "
        "in a task with preemption off.",
        "why": "Nobody may sleep while &a->raw is held.",
        "otherwise": "On 6.6.10, in that context, nothing would be reported with an allocation made before in a task. "
        "While this CPU's list is empty, whether GFP_ATOMIC, GFP_NOWAIT or mask 0 would be reported depends on "
        "PROVE_RAW_LOCK_NESTING, which this report does not tell.",
        "so": "So: GFP_ATOMIC, GFP_NOWAIT or mask 0 if &a->raw is a spinlock_t; "
        "if it is a raw_spinlock_t, nothing but an allocation made before in a task, where &a->raw is not held.",
    }


@pytest.mark.parametrize(
    ("function", "waits"),
    [
        ("__mutex_lock.isra.0", "a mutex"),
        ("rwsem_down_read_slowpath", "a semaphore"),
        ("wait_for_completion", "a completion"),
        ("rt_spin_lock_slowlock", "a lock that sleeps on PREEMPT_RT"),
        ("synchronize_rcu", "the end of an RCU grace period"),
        ("example_wait", None),
    ],
)
def test_what_a_task_went_to_sleep_for_is_asked(function: str, waits: str | None) -> None:
    chain = ("dump_stack", "__schedule_bug", "__schedule", "schedule", "schedule_preempt_disabled", function, "example")
    text = sleeping("6.6.10", "", "(&a->raw){....}-{2:2}", chain=chain).partition("\n")[2]
    one = one_of(f"BUG: scheduling while atomic: worker/71/0x00000002\n{text}")
    assert (one["asked"]["sleeps in"], one["asked"]["waits for"]) == (function, waits)
    assert one["otherwise"] == []
    assert one["summary"]["otherwise"].startswith("The call chain shows no request for memory")
    assert one["summary"]["so"] == "So: what may sleep has to be done before &a->raw is taken, or after."
    assert not any("mask" in said for said in one["unknown"])


def test_where_blocking_is_forbidden_the_model_is_not_asked() -> None:
    text = sleeping("6.6.10", state(0).replace("non_block: 0", "non_block: 1"))
    one = one_of(text)
    assert (one["verdict_agrees"], one["model"]) == (
        None,
        "not compared: non_block_start() is no context of the model; the other ways are asked in a plain task",
    )
    assert one["otherwise"][0].startswith("kmalloc(GFP_ATOMIC), kmalloc(GFP_NOWAIT): object; nothing is reported")


def test_no_memory_is_no_way_out() -> None:
    """A nolock function that gets nothing is reported by nobody, and helps nobody."""
    answer = Outcome("NULL; nothing is reported", clean=None)
    assert answer.empty
    way = Way("alloc_pages_nolock()", row="trylock")
    (one,) = outcomes(way, make_kernel("v6.18", {"PREEMPT_RT": True}), "hardirq", contended=False)
    assert (one.empty, one.clean) == (True, None)


def test_where_locks_may_be_held_that_are_not_printed_no_comfort_is_given() -> None:
    """The context of a cut report is less than that of the whole: what passes in it may not in the other."""
    whole = sleeping("6.18.10", state(2), "(&a->ctl){+.+.}-{3:3}", "(&b->raw){....}-{2:2}", chain=ALLOCATES)
    cut = "".join(line for line in whole.splitlines(keepends=True) if " #1: " not in line)
    assert "there would be a report" in one_of(whole)["summary"]["otherwise"]
    said = one_of(cut)["summary"]
    for part in ("otherwise", "so"):
        assert "(if no lock is held that is not printed)" in said[part]
    nothing = one_of(TELLS.partition("context-")[0].replace("example", "rmqueue_bulk"))
    assert nothing["otherwise"] == []
    assert nothing["summary"]["otherwise"].startswith("The model cannot say it")


def test_a_lock_that_is_held_is_not_taken_for_the_one_that_was_wanted() -> None:
    """The line of the lock that was wanted is lost; the next lock is one that the task holds already."""
    lines = (
        NAMED["circular_locking"],
        "6.6.10 #1 Not tainted",
        "worker/71 is trying to acquire lock:",
        "but task is already holding lock:",
        "ffff888000000001 (&a->lock){+.+.}-{3:3}, at: example+0x10/0x80",
    )
    one = one_of("\n".join(lines))
    assert one["lock"] is None
    assert "the lock that was wanted" in one["missing"]


def test_locks_that_are_not_printed_may_be_followed_by_nobody() -> None:
    """Without lockdep no report on sleeping has them; lockdep's own have."""
    text = "".join(line for line in sleeping("6.6.10", state(1)).splitlines(keepends=True) if "held by" not in line)
    assert one_of(text)["missing"] == ["the locks held, if lockdep was on"]
    text = "".join(line for line in TELLS.splitlines(keepends=True) if "held by" not in line and "#0" not in line)
    assert one_of(text)["missing"] == ["the locks held"]


@pytest.mark.parametrize(
    "chain", [("__might_resched", "kmem_cache_alloc", "example"), ("__alloc_pages_nodemask", "__kmalloc", "example")]
)
def test_what_slab_is_not_known_for_is_answered_by_the_pages_inside(chain: tuple[str, ...]) -> None:
    said = one_of(sleeping("5.4.100", state(1), chain=chain))["summary"]
    assert said["otherwise"].startswith("On 5.4.100, in that context for the pages inside it, as kmalloc() is not ")
    assert "nothing would be reported with GFP_ATOMIC, GFP_NOWAIT" in said["otherwise"]
    assert said["so"].startswith("So: what fits this context is GFP_ATOMIC, GFP_NOWAIT")


@pytest.mark.parametrize(("release", "when"), [("6.12.30-rt10", True), ("5.10.200-rt17", False)])
def test_a_filled_list_is_a_condition_only_where_it_changes_the_answer(release: str, when: bool) -> None:
    """PREEMPT_RT of 2020 took a sleeping lock for its lists, too."""
    chain = ("rt_spin_lock", "get_page_from_freelist", "__alloc_pages", "example_irq")
    said = one_of(sleeping(release, state(0x10000, irqs_off=1), chain=chain))["summary"]["otherwise"]
    assert "there would be a report, too." in said
    assert ("While this CPU's list is empty, with GFP_ATOMIC" in said) == when


@pytest.mark.parametrize(("release", "count"), [("6.12.10", 0x10000), ("7.3.2", 0x1000000)])
def test_a_handler_that_could_be_threaded_may_wait_for_a_spinlock(release: str, count: int) -> None:
    """Lockdep takes the handler that request_irq() was told of for a thread's, unless its flags forbid one."""
    chain = ("__might_resched", "__alloc_pages", "example_irq", "__handle_irq_event_percpu", "common_interrupt")
    said = one_of(sleeping(release, state(count, irqs_off=1), chain=chain))["summary"]
    unless = "the handler is IRQF_NO_THREAD, IRQF_PERCPU or IRQF_ONESHOT"
    assert f"with GFP_ATOMIC, GFP_NOWAIT or mask 0 there would be a report only if {unless}" in said["otherwise"]
    assert said["so"].startswith(f"So: GFP_ATOMIC, GFP_NOWAIT or mask 0 unless {unless}; if it is, nothing but ")
    for other in ((*chain[:3], "generic_smp_call_function_single_interrupt"), (*chain[:3], "hrtimer_interrupt")):
        assert "IRQF" not in str(one_of(sleeping(release, state(count, irqs_off=1), chain=other))["summary"])
    held = "(&a->raw){....}-{2:2}", "(&b->lock){....}-{3:3}", "(&c->mutex){....}-{4:4}"
    one = one_of(sleeping(release, state(count | 1, irqs_off=1), *held, chain=chain))
    assert "IRQF" not in one["summary"]["so"]


def test_what_was_asked_for_inside_is_put_with_the_lock_it_was_asked_under() -> None:
    """kfree_rcu() asked for a page under its own raw lock: no mask of that page's request helps, and no other task."""
    one = wanting(
        "5.9.1",
        "(&zone->lock){....}-{3:3}",
        5,
        "(krc.lock){....}-{2:2}",
        *("get_page_from_freelist", "__get_free_pages", "kvfree_call_rcu", "example"),
    )
    masks = [words for words in one["otherwise"] if words.startswith(("GFP_", "mask 0"))]
    assert masks
    assert all("invalid wait context on &zone->lock" in words for words in masks)
    assert not any(words.startswith("allocate before") for words in one["otherwise"])
    assert one["summary"]["otherwise"].endswith(
        " While this CPU's list is empty, another mask for its pages changes nothing."
    )
    assert one["summary"]["so"].endswith("Use instead a kfree() after a grace period.")


@pytest.mark.parametrize(
    ("lock", "by", "doubtful"),
    [
        ("(sb_lock){+.+.}-{3:3}", "sb_lock", True),
        ("(rtnl_mutex.wait_lock){....}-{2:2}", "rtnl_mutex.wait_lock", False),
        ("(&a->mutex_list_lock){....}-{2:2}", "&a->mutex_list_lock", False),
        ("(a_mutex){....}-{2:2}", "a_mutex", False),
        ("(sb_writers#5){.+.+}-{3:3}", None, False),
        ("(&a->mutex#2/1){+.+.}-{3:3}", None, False),
        ("(&sb->s_type->i_mutex_key#13){++++}-{3:3}", None, False),
        ("(cpu_hotplug_lock.rw_sem){++++}-{3:3}", None, False),
    ],
)
def test_what_is_printed_of_a_lock_counts_more_than_its_name(lock: str, by: str | None, doubtful: bool) -> None:
    one = one_of(sleeping("6.6.10", state(1), lock))
    assert one["forbidden_by"] == by
    assert ("if that is no lock that sleeps" in one["summary"]["why"]) == doubtful
    assert any("PROVE_RAW_LOCK_NESTING" in said for said in one["unknown"]) == bool(by)


def test_a_circle_is_named_with_the_locks_held_and_the_request_in_it() -> None:
    """Which chain asks for memory is what a reader of this book looks for in it."""
    one = one_of(
        "WARNING: possible circular locking dependency detected\n6.6.10 #1 Not tainted\n"
        "worker/71 is trying to acquire lock:\nffff888000000001 (&a->lock){+.+.}-{3:3}, at: example_evict+0x1/0x2\n\n"
        "but task is already holding lock:\nffff888000000002 (&zone->lock){-.-.}-{2:2}, at: example_dump+0x1/0x2\n\n"
        "-> #1 (&zone->lock){-.-.}-{2:2}:\n       _raw_spin_lock+0x1/0x2\n       rmqueue_bulk+0x1/0x2\n"
        "       __alloc_pages+0x1/0x2\n       example_get+0x1/0x2 drivers/a.c:1\n       example_open+0x1/0x2\n\n"
        "-> #0 (&a->lock){+.+.}-{3:3}:\n       __kmalloc+0x1/0x2\n\nother info that might help us debug this:\n"
        "1 lock held by worker/71:\n #0: ffff888000000002 (&zone->lock){-.-.}-{2:2}, at: example_dump+0x1/0x2\n"
        "Call Trace:\n example_evict+0x1/0x2\n"
    )
    assert one["why"][:3] == [
        "&a->lock was wanted in example_evict",
        "&zone->lock is held since example_dump",
        "lockdep saw &zone->lock taken before in a request of page allocator (rmqueue_bulk), made by example_get",
    ]


def test_a_mutex_held_under_a_spinlock_was_got_by_trying() -> None:
    held = ("(&a->slock){+.+.}-{3:3}", "(&b->mtx){+.+.}-{4:4}")
    one = one_of(sleeping("6.6.10", state(1), *held))
    assert (one["forbidden_by"], one["verdict_agrees"]) == ("&a->slock", True)
    assert {case["context"] for case in one["cases"]} == {"spin:&a->slock"}


def test_only_preempt_rt_sleeps_in_a_spinlocks_file() -> None:
    """Elsewhere it is a mutex that its holder of a spinlock waits for."""
    for rt, file in ((True, "spinlock_rt.c"), (False, "mutex.c")):
        kernel = make_kernel("v6.12", {"PREEMPT_RT": rt, "LOCKDEP": True, "PROVE_RAW_LOCK_NESTING": True})
        answer = verdict(make_request(kernel, "GFP_ATOMIC"), context("raw>mutex"), Setup("dry"), kernel)
        (text,) = [one.text() for one in answer.printed if one.kind == "sleeping_function"]
        assert f"at kernel/locking/{file}" in text


def test_the_lock_that_opened_an_rcu_section_is_named() -> None:
    """A spinlock_t of PREEMPT_RT keeps preemption on and opens an RCU section, in which nobody may sleep."""
    text = sleeping("6.12.30-rt10", state(0, depth=1), "(&x->lock){+.+.}-{3:3}", "(rcu_read_lock){....}-{1:3}")
    one = one_of(
        text.replace("rcu_read_lock){....}-{1:3}, at: example", "rcu_read_lock){....}-{1:3}, at: rt_spin_lock")
    )
    assert (one["forbidden_by"], one["forbidden_by_all"]) == ("&x->lock", ["&x->lock"])
    assert one["summary"]["why"] == "Nobody may sleep while &x->lock is held."
    assert one_of(text)["forbidden_by"] == "rcu_read_lock"


def test_a_report_that_is_printed_again_and_again_is_answered_once() -> None:
    text = sleeping("6.6.10", state(1), "(&once->lock){+.+.}-{2:2}")
    before = answered.cache_info().misses
    ones = explain(text * 20)
    assert answered.cache_info().misses == before + 1
    assert [one["line"] for one in ones] == [1 + n * len(text.splitlines()) for n in range(20)]
    assert all({**one, "line": 1} == ones[0] for one in ones)


def test_what_is_counted_and_numbered_is_said_in_words() -> None:
    one = wanting("6.12.9", "(&zone->lock){-.-.}-{3:3}", 5, "(&a->lock){....}-{2:2}", "__rmqueue_pcplist")
    assert one["asked"]["types"] == "spinlock_t {3:3}"
    (equal, tried) = map(int, re.findall(r"\d+", one["model"]))
    assert (equal, 0 < equal < tried) == (len(one["cases"]), True)
