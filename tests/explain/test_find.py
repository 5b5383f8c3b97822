"""Reports are found whatever is around and between their lines, and what a cut took is said."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gfpmodel.explain import explain, explain_lines, render
from gfpmodel.io.text import split

TEXTS = {f.name: f.read_text(encoding="utf-8") for f in sorted(Path("tests/data/reports").glob("*.txt"))}
NAMES = st.sampled_from(sorted(TEXTS))
BARE = {name: [split(line)[1] for line in text.splitlines()] for name, text in TEXTS.items()}


def answer(one: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key != "line"}


@pytest.mark.parametrize(
    "prefix",
    ["", "> ", "> > ", "[   12.345678] ", "<4>[   12.345678] ", "Mar  3 10:00:00 box kernel: ", "    "],
)
@pytest.mark.parametrize("name", TEXTS)
def test_what_is_before_a_line_changes_nothing(name: str, prefix: str) -> None:
    (plain,) = explain("\n".join(BARE[name]))
    (one,) = explain("\r\n".join(prefix + line for line in BARE[name]))
    assert one == plain


@settings(deadline=None, max_examples=60)
@given(NAMES, st.data())
def test_a_cut_is_said(name: str, data: st.DataObject) -> None:
    text = "\n".join(BARE[name])
    (whole,) = explain(text)
    end = data.draw(st.integers(0, len(text)))
    for one in explain(text[:end]):
        render(one)
        answers = [(zone["zone"], zone["test"], zone["short"]) for zone in one.get("zones", ())]
        full = [(zone["zone"], zone["test"], zone["short"]) for zone in whole.get("zones", ())]
        if answers != full:
            assert one["missing"] or one["remarks"], text[:end][-200:]


@settings(deadline=None, max_examples=40)
@given(NAMES, NAMES, st.randoms(use_true_random=False))
def test_two_callers_interleaved(one: str, other: str, random: Any) -> None:
    mine = [f"[    1.000000][   T11] {line}" for line in BARE[one]]
    theirs = [f"[    1.000000][   C2] {line}" for line in BARE[other]]
    merged = []
    while mine or theirs:
        merged.append((mine if mine and (not theirs or random.random() < 0.5) else theirs).pop(0))
    found = sorted(map(str, map(answer, explain("\n".join(merged)))))
    alone = [answer(explain("\n".join(BARE[name]))[0]) for name in (one, other)]
    assert found == sorted(map(str, alone))


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=400), NAMES, st.integers(0, 4000))
def test_noise_never_crashes_and_never_reaches_the_terminal(noise: str, name: str, where: int) -> None:
    text = TEXTS[name]
    for one in explain(text[:where] + noise + text[where:]):
        assert all(c.isprintable() or c == "\n" for c in render(one))


def test_a_long_log_takes_no_more_memory() -> None:
    def log(n: int) -> Any:
        for i in range(n):
            yield f"[{i:5d}.000000] usb 1-1: new device number {i}\n"
        yield from TEXTS["01-4.9-atomic.txt"].splitlines(keepends=True)

    def peak(n: int) -> int:
        tracemalloc.start()
        assert len(list(explain_lines(log(n)))) == 1
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)  # what is read once
    assert peak(20_000) < peak(2_000) + 100_000
