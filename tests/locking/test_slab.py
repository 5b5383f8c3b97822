"""Slab's table of locks: its rows, what they mean in a context, and the recorded cells of v6.18."""

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from gfpmodel.cli import cli
from gfpmodel.errors import InputError, NotModelledError
from gfpmodel.locking import STACKS, Kernel, Setup, Verdict, make_call, make_kernel, verdict
from gfpmodel.locking.cells import CALLS, cell, recorded
from gfpmodel.locking.slab_rows import (
    OF_ALLOCATION,
    OF_FREE,
    OF_RCU,
    ROWS,
    STATES,
    Call,
    Take,
    calls,
    default_state,
    means,
    read_call,
    row_of,
    rows_of,
    states,
)

DATA = Path(__file__).parents[2] / "book/data"
NESTING, RT = {"PROVE_RAW_LOCK_NESTING": True}, {"PREEMPT_RT": True}
NAMES = ("v5.8-rc3", "5.9.1", "v5.10", "v5.12", "v5.15", "v6.1", "v6.12", "v6.17", "v6.18", "v7.0", "v7.2", "v7.3")
KERNELS = [make_kernel(name, config) for name in NAMES for config in (NESTING, RT)]
ASKED = [(kernel, call, state) for kernel in KERNELS for call in calls(kernel) for state in states(call, kernel)]


def asked(name: str, call: Call, state: str, where: str = "raw", gfp: str | None = None, **config: bool) -> Verdict:
    kernel = make_kernel(name, config or NESTING)
    return verdict(make_call(kernel, call, gfp), where, Setup(slab=state), kernel)


def said(found: Verdict) -> str:
    return ", ".join(map(str, found.reports)) or "none"


# the table


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: f"{kernel.name}{'-rt' * kernel.rt}")
def test_no_two_rows_answer_one_question(kernel: Kernel) -> None:
    for call in calls(kernel):
        assert not [state for state, count in Counter(states(call, kernel)).items() if count > 1], call
        assert default_state(call, kernel, shrunk=True) in states(call, kernel)
        assert all(means(call, state) for state in states(call, kernel))


def test_every_row_is_somebodys_and_has_a_source() -> None:
    used = {id(row) for kernel in KERNELS for call in calls(kernel) for row in rows_of(call, kernel)}
    assert [row for row in ROWS if id(row) not in used] == []
    assert all(row.source and row.since < row.before for row in ROWS)
    assert {call for row in ROWS for call in row.calls} == set(get_args(Call))


@pytest.mark.parametrize(
    ("kernel", "call", "state"), ASKED, ids=lambda it: it if isinstance(it, str) else f"{it.name}{'-rt' * it.rt}"
)
def test_every_question_has_an_answer_and_gives_back_what_it_takes(kernel: Kernel, call: Call, state: str) -> None:
    for where in ("task", "raw", "hrt"):
        sheaves = kernel.version >= (7, 0)
        if kernel.rt and sheaves and where == "hrt" and call == "kfree" and state in ("sheaf", "barn"):
            continue  # refused: see test_what_no_row_says_is_refused_with_what_is_known
        found = verdict(make_call(kernel, call), where, Setup(slab=state), kernel)
        held: list[str] = []
        for step in found.steps:
            if step.what in ("acquire", "try"):
                held.append(step.lock)
                assert kernel.lock(step.lock)
            elif step.what == "release":
                held.remove(step.lock)
        assert held == []
        assert found.slab == state
        if where == "task" and not (call.startswith("kfree_rcu") and state in ("page", "fallback")):
            assert said(found) == "none"


def test_what_no_row_says_is_refused_with_what_is_known() -> None:
    kernel = make_kernel("v7.0")
    with pytest.raises(NotModelledError, match=r"kfree\(\) in the state 'full' is not known on v7.0; known: sheaf$"):
        row_of("kfree", "full", kernel)
    with pytest.raises(
        NotModelledError, match=r"kmalloc\(\) is not modelled on v5.10 with PREEMPT_RT: known from v5.15"
    ):
        make_call(make_kernel("v5.10", RT), "kmalloc")
    with pytest.raises(NotModelledError, match=r"kfree\(\) of v7.0 is not known where the lock of the sheaves cannot"):
        asked("v7.0", "kfree", "sheaf", "hrt", PREEMPT_RT=True)
    with pytest.raises(NotModelledError, match="a mask without reclaim"):
        make_call(kernel, "kmalloc", "__GFP_HIGH")
    with pytest.raises(InputError, match="unknown slab state 'cpus'; did you mean cpu"):
        row_of("kmalloc", "cpus", kernel)
    with pytest.raises(InputError, match=r"kfree\(\) takes no mask"):
        make_call(kernel, "kfree", "GFP_KERNEL")
    assert read_call(" kfree_rcu() ") == "kfree_rcu"


# recorded on v6.18


@pytest.mark.parametrize(("file", "config", "count"), [("verdicts-6.18N.csv", {}, 43), ("verdicts-6.18R.csv", RT, 38)])
def test_the_recorded_calls_of_slab_are_answered_exactly(file: str, config: dict[str, bool], count: int) -> None:
    kernel = make_kernel("v6.18", config)
    rows = [row for row in csv.DictReader(io.StringIO((DATA / file).read_text())) if row["request"] in CALLS]
    assert len(rows) == count
    for row in rows:
        found = cell(row, kernel)
        assert found.row() == recorded(row), row
        at = found.lockdep.where if found.lockdep else ""
        assert at == row["lock_tried"].partition("@")[2]


# shapes of public reports: what was taken, where, and in which context


@pytest.mark.parametrize(
    ("name", "call", "state", "where", "report"),
    [
        ("v6.3", "kmalloc", "refill", "raw", "invalid_wait_context on &c->lock in ___slab_alloc"),
        ("v6.3", "kmalloc", "used_up", "raw", "invalid_wait_context on &c->lock in ___slab_alloc"),
        ("v6.3", "kmalloc", "partial", "raw", "invalid_wait_context on &n->list_lock in ___slab_alloc"),
        ("v6.3", "kmalloc", "cpu", "raw", "none"),
        ("v5.10", "kmalloc", "refill", "raw", "none"),
        ("v6.18", "kmalloc", "refill", "raw", "none"),
        ("v6.12", "kfree", "full", "ipi", "invalid_wait_context on &c->lock in put_cpu_partial"),
        ("v6.12", "kfree", "remote", "ipi", "none"),
        ("v6.12", "kfree", "empty", "ipi", "invalid_wait_context on &n->list_lock in __slab_free"),
        ("v7.3", "kfree", "barn", "raw", "invalid_wait_context on &barn->lock in barn_replace_full_sheaf"),
        ("v5.11", "kfree_rcu", "page", "raw", "none"),
        ("5.9.1", "kfree_rcu", "page", "task", "invalid_wait_context on &zone->lock in __rmqueue_pcplist"),
        ("v5.8", "kfree_rcu", "block", "raw", "invalid_wait_context on &krcp->lock in kfree_call_rcu"),
    ],
)
def test_what_is_reported(name: str, call: Call, state: str, where: str, report: str) -> None:
    assert said(asked(name, call, state, where)) == report


def test_preempt_rt_takes_its_slabs_lock_each_time() -> None:
    found = asked("v6.15", "kmalloc", "cpu", gfp="GFP_ATOMIC", PREEMPT_RT=True)
    assert found.printed[0].text().splitlines()[6] == "((&c->lock)){+.+.}-{3:3}, at: ___slab_alloc"
    assert "at kernel/locking/spinlock_rt.c" in found.printed[1].text()
    assert asked("v6.15", "kmalloc", "cpu", PREEMPT_RT=False).clean


def test_a_mask_that_may_sleep_says_so_in_slab() -> None:
    for name, file in (("v5.10", "mm/slab.h"), ("v5.15", "include/linux/sched/mm.h")):
        (report,) = asked(name, "kmalloc", "cpu", "spin", "GFP_KERNEL").reports
        assert f"invalid context at {file}" in report.text()
    assert asked("v5.10", "kmalloc", "cpu", "spin", "GFP_ATOMIC").clean


def test_a_new_slab_is_a_request_for_pages() -> None:
    assert asked("v6.12", "kmalloc", "empty").locks == ["&pcp->lock", "&zone->lock", "&c->lock"]
    nolock = asked("v6.18", "kmalloc_nolock", "empty")
    assert nolock.clean
    assert not [step for step in nolock.steps if step.what == "acquire"]
    kernel = make_kernel("v6.12", NESTING)
    taken = verdict(make_call(kernel, "kmalloc"), "zone_locks_elsewhere", Setup(slab="empty"), kernel)
    assert "&zone->lock" in taken.locks


def test_one_argument_sleeps_where_there_is_no_block() -> None:
    found = asked("v5.11", "kfree_rcu_mightsleep", "fallback")
    assert said(found) == "sleeping_function in kvfree_call_rcu, scheduling_while_atomic in synchronize_rcu"
    assert "kernel/rcu/tree.c" in found.reports[0].text()
    assert "mm/slab_common.c" in asked("v6.18", "kfree_rcu_mightsleep", "block").reports[0].text()


@pytest.mark.parametrize("where", [*STACKS])
def test_nolock_calls_wait_for_nothing_but_on_rt_of_v6_18(where: str) -> None:
    for kernel in KERNELS:
        for call in ("kmalloc_nolock", "kfree_nolock", "kfree_rcu_nolock"):
            if call not in calls(kernel):
                continue
            for state in states(call, kernel):
                found = verdict(make_call(kernel, read_call(call)), where, Setup(slab=state), kernel)
                waits = [step.lock for step in found.steps if step.what == "acquire"]
                assert not waits or (kernel.rt and kernel.name == "v6.18"), (kernel.name, call, state)


def test_the_rows_only_try_where_they_say_so() -> None:
    tried = {
        take.lock
        for row in ROWS
        for take in row.actions
        if isinstance(take, Take) and take.how == "try" and not set(row.calls) - {"kmalloc", "kfree"}
    }
    assert tried == {"c->lock", "&pcs->lock"}


# the command line


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["verdict", *args], standalone_mode=False)
    return int(result.return_value), result.stdout


def test_the_command_says_state_locks_and_source() -> None:
    args = ("--request", "kmalloc", "--kernel", "v6.3", "--config", "PROVE_RAW_LOCK_NESTING", "--context", "raw")
    status, text = run(*args, "--slab", "used_up")
    assert status == 1
    assert [line for line in text.splitlines() if not line.startswith("path")][:8] == [
        "result   object",
        "locks    &c->lock, &n->list_lock",
        "reports  invalid_wait_context on &c->lock in ___slab_alloc",
        "takes    acquire &c->lock local_lock_t {3:3} in ___slab_alloc",
        "takes    acquire &n->list_lock spinlock_t {3:3} in ___slab_alloc",
        "takes    acquire &c->lock local_lock_t {3:3} in ___slab_alloc",
        f"slab     used_up: {means('kmalloc', 'used_up')}",
        "source   mm/slub.c, read in v5.15.100, v6.1.192 and v6.12.117",
    ]
    facts = json.loads(run(*args, "--slab", "partial", "--json")[1])
    assert (facts["request"], facts["slab"], facts["result"]) == ("kmalloc", "partial", "object")
    assert facts["takes"][0] == {
        "lock": "&n->list_lock",
        "type": "spinlock_t {3:3}",
        "how": "acquire",
        "where": "___slab_alloc",
    }
    assert run("--request", "kmalloc", "--gfp", "GFP_KERNEL", "--kernel", "v6.18")[0] == 0


def test_the_page_of_the_command_has_every_call_and_state() -> None:
    page = (DATA.parent / "command_line.md").read_text()
    for state in STATES:
        words = " | ".join(table.get(state, "") for table in (OF_ALLOCATION, OF_FREE, OF_RCU))
        assert f"| `{state}` | {words} |" in page
    assert all(f"`{call}`" in page for call in get_args(Call))
