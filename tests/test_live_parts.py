"""The parts of the page under Node: the package with its stand-in for NumPy and the engine as WebAssembly are exact."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from live.build import inside

from gfpmodel.exercises import SEEDED
from gfpmodel.gfp import kernels, layout
from gfpmodel.locking import make_kernel
from gfpmodel.proposals import PROPOSALS
from gfpmodel.show import live
from gfpmodel.show.stacks import Ask
from tests.conftest import need

ROOT = Path(__file__).resolve().parents[1]
PARTS = ROOT / "_build" / "html" / "_static" / "live"
MOST_BYTES = 6_500_000
pytestmark = [pytest.mark.pages, pytest.mark.xdist_group("parts")]


def asked() -> list[tuple[str, dict[str, Any]]]:
    """Return pictures of each kind: masks of every kernel, stacks of every proposal, steps and chains."""
    texts = ("0x2800", "GFP_ATOMIC|__GFP_NOWARN", "nobody")
    trees = [live.of_layout(layout(name)) for name in list(kernels())[::4]]
    masks = [("mask", {"text": text, "under": tree}) for text, tree in product(texts, trees)]
    rt = live.of_kernel(make_kernel("v5.8-rc3+FAST_TRY", {"PREEMPT_RT": True}))
    proving = live.of_kernel(make_kernel("v5.8", {"PROVE_RAW_LOCK_NESTING": True}))
    requests = [live.of_ask(row, Ask(row=row)) for row in PROPOSALS]
    places = ("raw:krc.lock", "mutex>hardirq", "a>b")
    stacks = [
        ("stack", {"where": where, "kernel": kernel, "request": request})
        for kernel, request, where in product((rt, proving), requests, places)
    ]
    later = live.of_kernel(make_kernel("v6.18"))
    stacks.append(("stack", {"where": "zone_lock", "kernel": later, "request": live.of_ask("mask 0", Ask("none"))}))
    steps = [("steps", {"ops": "+0 +0m -1 +2r -2 +0! d0 +3", "at": at, "row": "fast_try"}) for at in range(9)]
    chains = [
        ("chain", {"objects": 9, "at": at, "row": row}) for at, row in product(range(0, 30, 6), ("gfp0", "fast_try"))
    ]
    questions: list[tuple[str, dict[str, Any]]] = [
        ("question", {"name": name, "seed": seed, "given": {}})
        for name in SEEDED
        for seed in (1, 2)
        if name != "report_question"
    ]
    return [*masks, *stacks, *steps, *chains, *questions, ("report", {"text": "kernel: BUG: Invalid wait context"})]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    need(PARTS.is_dir(), "the book is not built (make book)")
    files = sorted((ROOT / "tests/data/golden").glob("*.jsonl.gz"), key=lambda file: file.stat().st_size)
    names = [file.relative_to(ROOT).as_posix() for file in files[::4]]
    return inside(PARTS, {"pictures": asked(), "files": names})


def test_the_engine_runs_compiled(found: dict[str, Any]) -> None:
    assert found["way"] == {"mm": "ahead", "rcu": "ahead"}


def test_every_picture_is_the_one_of_this_python(found: dict[str, Any]) -> None:
    for (name, arguments), answer in zip(asked(), found["pictures"], strict=True):
        assert answer == live.answer(name, arguments), (name, arguments)
    assert sum("fault" in answer for answer in found["pictures"]) < len(found["pictures"]) // 2


def test_recorded_truth_agrees_in_the_page(found: dict[str, Any]) -> None:
    assert len(found["files"]) > 10
    assert all(operations for operations, _ in found["files"])
    assert {difference for _, difference in found["files"]} == {"None"}


def test_what_a_reader_fetches_is_small() -> None:
    need(PARTS.is_dir(), "the book is not built (make book)")
    assert sum(part.stat().st_size for part in PARTS.glob("*.gz")) < MOST_BYTES
