"""From v6.18 on a verdict's path is what that kernel's own engine did."""

import os
import subprocess
import sys

import pytest

from gfpmodel.locking import Kernel, Setup, Verdict, make_kernel, make_request, verdict

ZONE, LISTS = "&zone->lock", "&pcp->lock"


def ask(
    name: str, gfp: str | None = None, order: int = 0, pcp: str = "dry", where: str = "task", **how: str
) -> Verdict:
    kernel = make_kernel(name)
    return verdict(make_request(kernel, gfp, order=order, **how), where, Setup(pcp), kernel)  # type: ignore[arg-type]


def steps(found: Verdict) -> list[str]:
    return [f"{step.what} {step.lock or '-'} {step.where}".strip() for step in found.steps if step.what != "release"]


@pytest.mark.parametrize(
    ("name", "row", "own"),
    [
        ("v4.4", "v5.8-rc3", False),
        ("v5.8-rc3", "v5.8-rc3", True),
        ("v5.8-rc3+FAST_TRY", "v5.8-rc3", True),
        ("v6.1", "v5.8-rc3", False),
        ("v6.17", "v5.8-rc3", False),
        ("v6.18", "v6.18", True),
        ("v7.0", "v6.18", False),
        ("v7.1", "v7.1", True),
        ("v7.2", "v7.1", False),
        ("v7.3", "v7.3", True),
    ],
)
def test_which_allocator_a_kernels_path_is_of(name: str, row: str, own: bool) -> None:
    kernel = make_kernel(name)
    assert (kernel.engine, kernel.has_engine) == (row, own)


@pytest.mark.parametrize("name", ["v6.18", "v7.1", "v7.3"])
def test_nolock_tries_the_lock_of_the_lists_and_that_of_the_zone(name: str) -> None:
    found = ask(name, row="trylock", where="raw")
    assert steps(found) == [f"try {LISTS} get_page_from_freelist", "irq_save -", f"try {ZONE} __rmqueue_pcplist",
                            "irq_restore -"]  # fmt: skip
    assert found.trylocks == found.locks == [LISTS, ZONE]
    assert found.to_json()["path"] == name


def test_an_ordinary_request_waits_for_the_zone_lock_and_only_for_that() -> None:
    found = ask("v6.18", "GFP_NOWAIT")
    assert (found.locks, found.trylocks) == ([LISTS, ZONE], [LISTS])


@pytest.mark.parametrize(("name", "inside"), [("v6.18", True), ("v7.1", True), ("v7.3", False)])
def test_an_atomic_request_of_order_1_fills_no_list_since_v7_3(name: str, inside: bool) -> None:
    found = ask(name, "GFP_ATOMIC", order=1)
    where = "__rmqueue_pcplist" if inside else "get_page_from_freelist"
    assert f"acquire {ZONE} {where}" in steps(found)
    assert ("release", LISTS) in [(step.what, step.lock) for step in found.steps]
    assert ask(name, "GFP_ATOMIC", order=1, pcp="warm").locks == [LISTS]


def test_a_flag_that_takes_no_zone_lock_gets_nothing_from_lists_that_are_locked_away() -> None:
    for row in ("fast_try", "no_locks", "lockless"):
        found = ask("v6.18", row=row, where="pcp_lock", pcp="warm")
        assert (found.result, found.locks) == ("NULL", [LISTS])


def test_a_raw_zone_lock_has_interrupts_off_on_preempt_rt() -> None:
    for name in ("v6.12", "v6.18", "v7.3"):
        kernel: Kernel = make_kernel(name, {"PREEMPT_RT": True})
        raw, sleeping = (
            verdict(make_request(kernel, row=row), "hrt", Setup("dry"), kernel) for row in ("raw_zone_lock_rt", "gfp0")
        )
        assert raw.clean
        assert not sleeping.clean


MISTAKE = """
from gfpmodel.evidence.mutants import MUTANTS, mistaken
from gfpmodel.locking import Setup, make_kernel, make_request, verdict
(one,) = [mutant for mutant in MUTANTS if mutant.says == {says!r}]
def ask():
    kernel = make_kernel("v6.18")
    found = verdict(make_request(kernel, row="trylock"), "pcp_lock", Setup("warm"), kernel)
    print(found.result, *found.locks)
if {mistaken}:
    with mistaken(one):
        ask()
else:
    ask()
"""


def test_a_mistake_in_the_engine_changes_the_verdict() -> None:
    def answer(mistaken: bool) -> str:
        code = MISTAKE.format(says="a busy list lock is waited for", mistaken=mistaken)
        environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert answer(mistaken=False) == f"page {LISTS} {ZONE}\n"
    assert answer(mistaken=True) == f"page {LISTS}\n"
