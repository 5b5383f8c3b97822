"""Reports of slab and of kfree_rcu(): put to the table of slab's locks, equal or with what differs."""

from __future__ import annotations

import json
import lzma
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gfpmodel.cli import cli
from gfpmodel.explain import explain
from gfpmodel.explain.slab import called
from gfpmodel.explain.waits import class_of

BOOT59 = lzma.decompress(Path("tests/data/reports-boot59.txt.xz").read_bytes()).decode()
CELLS = [part.partition("\n")[::2] for part in re.split(r"^##### ", BOOT59, flags=re.MULTILINE)[1:]]


def wait_report(release: str, lock: str, held: str, *chain: str, base: int = 5) -> str:
    """Return an "Invalid wait context" of our own making: lock with its types, the lock held, innermost call first."""
    release, _, rt = release.partition(" ")
    count = f"1 lock held by worker/71:\n #0: ffff888000000001 {held}, at: example+0x10/0x80" if held else ""
    return "\n".join(
        [
            "=============================",
            "[ BUG: Invalid wait context ]",
            f"{release} #1 Not tainted",
            "-----------------------------",
            "worker/71 is trying to lock:",
            f"ffff888000000002 {lock}, at: {chain[0]}+0x80/0x700",
            "other info that might help us debug this:",
            f"context-{{{base}:{base}}}",
            count or "no locks held by worker/71.",
            "stack backtrace:",
            f"CPU: 1 PID: 71 Comm: worker Not tainted {release} #1 {rt}",
            "Call Trace:",
            *(f" {name}+0x10/0x80" for name in chain),
            "",
        ]
    )


def one_of(text: str) -> dict[str, Any]:
    (one,) = explain(text)
    return one


RAW = "(ft_raw){....}-{2:2}"


@pytest.mark.parametrize(("head", "body"), CELLS, ids=[head for head, _ in CELLS])
def test_boot59_is_read_back(head: str, body: str) -> None:
    words = dict(word.split("=") for word in head.split() if "=" in word)
    found = explain(body)
    assert found
    for one in found:
        assert one["verdict_agrees"], one["model"]
        calls = {case["request"] for case in one["cases"] if "slab" in case}
        one_argument = words["form"].endswith("1")
        assert ("kfree_rcu_mightsleep" if one_argument else "kfree_rcu") in calls
        if one["kind"] != "invalid_wait_context":
            assert one_argument
            assert calls == {"kfree_rcu_mightsleep"}
        first = next(case["context"] for case in one["cases"] if "slab" in case)
        held = {"none": "task", "raw": "raw", "spin": "spin", "rawirq": "raw_irqsave", "irq": "task"}[words["lock"]]
        assert first.startswith(held) or (first == "preemptoff" and "lockdep is turned off" in body)


@pytest.mark.parametrize(
    ("report", "request_", "states"),
    [
        (
            wait_report("6.3.1", "(&c->lock){-.-.}-{3:3}", RAW, "___slab_alloc", "__kmalloc"),
            "kmalloc",
            {"refill", "cpu_partial", "used_up", "empty"},
        ),
        (
            wait_report("6.3.1", "(&n->list_lock){....}-{3:3}", RAW, "___slab_alloc", "__kmalloc"),
            "kmalloc",
            {"partial"},
        ),
        (
            wait_report("6.12.1", "(&c->lock){....}-{3:3}", "", "put_cpu_partial", "kfree", base=2),
            "kfree",
            {"full", "drain"},
        ),
        (
            wait_report(
                "6.15.2 PREEMPT_RT",
                "((&c->lock)){+.+.}-{3:3}",
                RAW,
                "___slab_alloc",
                "__kmalloc_noprof",
            ),
            "kmalloc",
            {"cpu", "refill", "cpu_partial", "used_up", "empty"},
        ),
        (
            wait_report(
                "6.18.26 PREEMPT_RT",
                "(&s->lock_key#31){+.+.}-{3:3}",
                RAW,
                "kfree_nolock",
                "x",
            ),
            "kfree_nolock",
            {"cpu"},
        ),
        (
            wait_report("5.8.0-rc7", "(&krcp->lock){....}-{3:3}", RAW, "kfree_call_rcu"),
            "kfree_rcu",
            {"block", "page"},
        ),
    ],
)
def test_a_public_shape_is_equal_in_the_right_states(report: str, request_: str, states: set[str]) -> None:
    one = one_of(report)
    assert one["verdict_agrees"]
    assert {(case["request"], case["slab"]) for case in one["cases"]} == {(request_, state) for state in states}
    assert one["otherwise"][-1].startswith("the states of slab: ") or "task" in one["otherwise"][-1]


def test_what_differs_is_said_by_state() -> None:
    # v5.10 has no such lock: a patched kernel, or one that lies about its release
    one = one_of(wait_report("5.10.9", "(&c->lock){-.-.}-{3:3}", RAW, "___slab_alloc", "__kmalloc"))
    assert one["verdict_agrees"] is False
    assert one["cases"] == []
    assert one["model"] == (
        "differs: on 5.10.9 the model prints "
        "of kmalloc(GFP_NOWAIT|__GFP_NOWARN) "
        "invalid wait context on &n->list_lock in ___slab_alloc in the states partial, used_up; "
        "invalid wait context on &zone->lock in __rmqueue_pcplist in the states empty, in others none; "
        "of kmalloc(GFP_KERNEL) "
        "invalid wait context on &n->list_lock in ___slab_alloc in the states partial, used_up; "
        "invalid wait context on &zone->lock in __rmqueue_pcplist in the states empty, in others none"
    )


def test_a_kernel_that_the_table_lacks_is_no_difference() -> None:
    one = one_of(wait_report("4.19.90", "(&n->list_lock){....}", "", "get_partial_node"))
    assert one["verdict_agrees"] is None
    assert one["model"] == "the model cannot be asked: kmalloc() is not modelled on 4.19.90: known from v5.8 on"
    assert one["otherwise"] == []


def test_ways_out_of_a_free_are_frees() -> None:
    one = one_of(wait_report("6.18.2", "(&n->list_lock){....}-{3:3}", RAW, "__slab_free", "kfree", "x"))
    assert one["otherwise"] == [
        "kfree_nolock(): freed; nothing is reported (in every state of slab)",
        "kfree_rcu(): queued; nothing is reported (in every state of slab)",
        "free later, in a task: freed; nothing is reported (in every state of slab)",
    ]


@pytest.mark.parametrize(
    ("functions", "calls"),
    [
        (["___slab_alloc", "__kmalloc"], ["kmalloc"]),
        (["put_cpu_partial", "kmem_cache_free"], ["kfree"]),
        (["kfree_nolock"], ["kfree_nolock"]),
        (["kmalloc_nolock_noprof"], ["kmalloc_nolock"]),
        (["rmqueue_bulk", "kvfree_call_rcu"], ["kfree_rcu", "kfree_rcu_sheaf", "kfree_rcu_mightsleep"]),
        (["kfree.part.0"], ["kfree"]),
        (["kfree_skb", "kallsyms_lookup", "do_exit"], []),
    ],
)
def test_calls_in_a_chain(functions: list[str], calls: list[str]) -> None:
    assert called(functions) == calls


def test_numbers_of_classes_are_nobodys() -> None:
    assert class_of("&s->lock_key#8") == class_of("&s->lock_key#131") == "&s->lock_key"
    assert class_of("&ctx->lock#2") == "&ctx->lock#2"


def test_before_v5_7_a_spinlock_was_named_by_what_is_in_it() -> None:
    assert class_of("&(&zone->lock)->rlock") == "&zone->lock"
    assert class_of("&zone->lock") == "&zone->lock"


def test_json_has_the_lock_and_the_comparison() -> None:
    text = wait_report("6.3.1", "(&c->lock){-.-.}-{3:3}", RAW, "___slab_alloc", "__kmalloc")
    result = CliRunner().invoke(cli, ["explain", "-", "--json"], input=text, standalone_mode=False)
    (one,) = json.loads(result.stdout)["reports"]
    assert (one["lock"], one["verdict_agrees"], one["context_base"], one["held"]) == ("&c->lock", True, 5, ["ft_raw"])


def test_the_page_of_the_command_names_the_keys_of_a_lock_report() -> None:
    page = Path("book/command_line.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith("A report of locks or of sleeping has")]
    one = one_of(wait_report("6.3.1", "(&c->lock){-.-.}-{3:3}", RAW, "___slab_alloc", "__kmalloc"))
    named = re.findall(r"`(\w+)(?:\[\])?`(?: \(([^)]*)\))?(?=[,.])", line.partition(". Where")[0] + ".")
    assert len(named) > 8
    for key, inner in named:
        assert key in one
        assert set(re.findall(r"`(\w+)`", inner)) <= set(one[key] if inner else [])
    assert "`verdict_agrees`" in line


def test_a_way_out_is_answered_in_every_state_the_worst_first() -> None:
    """A report that tells no state of slab gives no comfort by the best one."""
    report = wait_report("6.6.3", "(&c->lock){-.-.}-{3:3}", RAW, "___slab_alloc", "__kmalloc")
    atomic = one_of(report)["otherwise"][0]
    assert atomic == (
        "kmalloc(GFP_ATOMIC), kmalloc(GFP_NOWAIT): "
        "object; invalid wait context on &c->lock in ___slab_alloc (refill, cpu_partial, used_up), "
        "or object; invalid wait context on &n->list_lock in ___slab_alloc (partial), "
        "or object; invalid wait context on &zone->lock in __rmqueue_pcplist (empty), "
        "or object; nothing is reported (cpu)"
    )


def test_what_a_call_does_on_its_other_paths_is_said_when_it_differs() -> None:
    one = one_of(wait_report("6.18.26", "(&barn->lock){+.+.}-{3:3}", RAW, "barn_get_empty_sheaf", "kvfree_call_rcu"))
    assert one["verdict_agrees"] is False
    assert one["model"].startswith(
        "differs: on 6.18.26 the model prints no such report of kfree_rcu(), kfree_rcu_sheaf()"
    )
    assert one["otherwise"]


def test_what_the_report_refutes_is_no_way_out() -> None:
    """The model passes the very call that was reported: what it says of that is not offered."""
    one = one_of(wait_report("6.18.26", "(&barn->lock){+.+.}-{3:3}", RAW, "barn_get_empty_sheaf", "kvfree_call_rcu"))
    assert not any(said.startswith("kfree_rcu() with a head") for said in one["otherwise"])
    assert one["summary"]["so"].startswith(
        "So: no other request is certain to pass in this context. Use instead a kfree() made in a task after"
    )
    one = one_of(wait_report("5.10.9", "(&c->lock){-.-.}-{3:3}", RAW, "___slab_alloc", "__kmalloc"))
    assert [said.partition(":")[0] for said in one["otherwise"]] == ["kmalloc_nolock()", "allocate before, in a task"]
