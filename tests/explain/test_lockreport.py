"""What a report of locks or sleep says of its caller: counts, levels, wait types, places; and whose lines are its."""

from __future__ import annotations

from typing import Any

import pytest

from gfpmodel.explain import explain
from gfpmodel.explain.find import OUTSIDE
from gfpmodel.explain.locks import ASKS
from gfpmodel.explain.slab import slab_case
from gfpmodel.explain.waits import CONTEXTS_BY, LOCKS_BY

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
