"""Reports are found whatever is around and between their lines, and what a cut took is said."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from textwrap import wrap
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gfpmodel.explain import explain, explain_lines, log_lines, render
from gfpmodel.explain.find import BLOCK, kind_of
from gfpmodel.io.text import split

TEXTS = {f.name: f.read_text(encoding="utf-8") for f in sorted(Path("tests/data/reports").glob("*.txt"))}
NAMES = st.sampled_from(sorted(TEXTS))
#: Of these the compiler's inlined functions have lines of their own, and nobody can tell that one of them is gone.
SYMBOLISED = {name for name, text in TEXTS.items() if "[inline]" in text}
PLAIN = st.sampled_from(sorted(TEXTS.keys() - SYMBOLISED))
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


def said(one: dict[str, Any]) -> set[str]:
    """Return what an explanation says of its report having lost something."""
    return {*one["missing"], *one["remarks"], *(r for zone in one.get("zones", ()) for r in zone["remarks"])}


CHAINS = ("owner", "waits for", "sleeps in")  #: what is asked as the call chain shows it


def conclusion(one: dict[str, Any]) -> dict[str, Any]:
    """Return what an explanation concludes: the answer without the words about what was lost.

    A call chain has no numbers, so nobody can tell that some of its lines are gone: whose request it was is left out,
    where a task went to sleep, and slab's cases, which are those of a call in it.
    """
    one = {**one, "asked": {key: value for key, value in one["asked"].items() if key not in CHAINS}}
    kept = ("kind", "asked", "failing", "forbidden_by", "context", "held", "cases", "outside")
    one["cases"] = [case for case in one.get("cases") or () if "slab" not in case]
    zones = [(zone["zone"], zone["test"], zone["short"], zone["block"]) for zone in one.get("zones", ())]
    return {**{key: one.get(key) for key in kept}, "zones": zones}


def check_less(whole: dict[str, Any], found: list[dict[str, Any]]) -> None:
    """Check that each explanation of what is left of a report concludes the same, or says what it lost.

    Where no request is left in the call chain, the model is not asked.
    """
    for one in found:
        render(one)
        asked: dict[str, Any] = {} if one["asked"].get("owner") else {"cases": []}
        told, known = conclusion({**one, **asked}), conclusion({**whole, **asked})
        assert told == known or said(one) - said(whole), (told, known)


@settings(deadline=None, max_examples=100)
@given(NAMES, st.data())
def test_a_cut_is_said(name: str, data: st.DataObject) -> None:
    text = "\n".join(BARE[name])
    (whole,) = explain(text)
    check_less(whole, explain(text[: data.draw(st.integers(0, len(text)))]))


@settings(deadline=None, max_examples=100)
@given(NAMES, st.data())
def test_a_beginning_that_was_cut_off_is_said(name: str, data: st.DataObject) -> None:
    (whole,) = explain("\n".join(BARE[name]))
    check_less(whole, explain("\n".join(BARE[name][data.draw(st.integers(0, len(BARE[name]))) :])))


@settings(deadline=None, max_examples=150)
@given(PLAIN, st.data())
def test_lines_that_are_lost_are_said(name: str, data: st.DataObject) -> None:
    lines = BARE[name]
    (whole,) = explain("\n".join(lines))
    lost = data.draw(
        st.sets(st.integers(0, len(lines) - 1), min_size=1, max_size=2)
    )  # with all three of its lines a zone is gone
    check_less(whole, explain("\n".join(line for at, line in enumerate(lines) if at not in lost)))


#: What logs that no table knows put before a line: the title's own tells it of the others.
UNKNOWN: dict[str, Callable[[int, str], str]] = {
    "/dev/kmsg": lambda at, line: f"{4 + at % 3},{1072 + at},{209927860 + at},-;{line}",
    "netconsole": lambda at, line: f"4,{1072 + at},{209927860 + at},-,caller=T30;{line}",
    "a journal of kmsg": lambda at, line: f"Mar 31 19:37:52 host.example 4,{1072 + at},{2099 + at},-;{line}",
    "logread": lambda at, line: (
        f"Sun Jun  6 16:14:57 2021 kern.{('err', 'warn')[at % 2]} kernel: [  164.{at:06d}] {line}"
    ),
    "colours": lambda at, line: f"\x1b[32m[  164.{at:06d}] \x1b[0m\x1b[1m{line}\x1b[0m",
    "kselftest": lambda at, line: f"# {line}",
    "grep -n": lambda at, line: f"{at + 12}{':-'[at > 0]}[  164.{at:06d}] {line}",
    "grep of files": lambda at, line: f"dmesg.log{':-'[at > 0]}{line}",
    "kernel:": lambda at, line: f"kernel: {line}",
    "minicom": lambda at, line: f"[2026-06-06 16:14:{at % 60:02d}] [  164.{at:06d}] {line}",
    "LAVA": lambda at, line: f"16:14:57.{at:03d}  <4>[  164.{at:06d}] {line}",
    "who is quoted": lambda at, line: f"JD> [  164.{at:06d}] {line}",
    "a bar": lambda at, line: f"| {line}",
    "Android": lambda at, line: f"[  164.{at:06d}] c{at % 8}    300 {line}",
    "MTK": lambda at, line: f"[  164.{at:06d}]  ({at % 8})[300:kworker/3:1]{line}",
    "logcat": lambda at, line: f"06-06 16:14:57.{at:03d}     0     0 {'EW'[at % 2]} kernel  : {line}",
    "docker": lambda at, line: json.dumps({"log": f"[  164.{at:06d}] {line}\n", "stream": "stdout"}),
    "dmesg -J": lambda at, line: (
        f'      {{\n         "pri": 4,\n         "time":   100.{at:06d},\n         "msg": {json.dumps(line)}\n      }},'
    ),
    "journalctl -o json-pretty": lambda at, line: (
        f'{{\n\t"__CURSOR" : "s={at}",\n\t"PRIORITY" : "4",\n\t"MESSAGE" : {json.dumps(line)}\n}}'
    ),
    "journalctl -o export": lambda at, line: f"__REALTIME_TIMESTAMP={at}\nPRIORITY=4\nMESSAGE={line}",
    "journalctl -o verbose": lambda at, line: (
        f"Sun 2026-11-29 10:00:00.{at:06d} UTC [s=1;i={at}]\n    PRIORITY=4\n    _TRANSPORT=kernel\n    MESSAGE={line}"
    ),
    "a cloud's": lambda at, line: json.dumps({"insertId": "x", "textPayload": f"[  164.{at:06d}] {line}"}),
    "loki": lambda at, line: json.dumps({"line": f"[  164.{at:06d}] {line}", "timestamp": "2026"}),
    "LAVA's YAML": lambda at, line: "- " + json.dumps({"lvl": "target", "msg": f"[  164.{at:06d}] {line}"}),
    "no-break spaces": lambda at, line: f"[  164.{at:06d}] {line}".replace(" ", "\xa0"),
    "HTML with breaks": lambda at, line: f"[  164.{at:06d}] {line}<br>",
    "HTML": lambda at, line: line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
    "dmesg -H": lambda at, line: f"[Jun 6 16:14] {line}" if at == 0 else f"[  +0.000010] {line}",
    "a login": lambda at, line: f"host login: {line}" if at == 0 else line,
}


@pytest.mark.parametrize("form", UNKNOWN)
def test_what_a_log_puts_before_the_title_it_puts_before_the_lines(form: str) -> None:
    for name in ("03-4.19-kernel-arm64.txt", "26-4.19-sleeping-slab.txt", "25-6.6-slab.txt", "23-5.15-scheduling.txt"):
        begin = next(at for at, line in enumerate(BARE[name]) if kind_of(line))
        lines = BARE[name][begin:]
        (plain,) = explain("\n".join(lines))
        (one,) = explain("\n".join(UNKNOWN[form](at, line) for at, line in enumerate(lines)))
        assert answer(one) == answer(plain), name


def test_lines_that_are_not_understood_are_said() -> None:
    """Each has another word before it: no shape."""
    lines = [f"{chr(97 + at) * 3}: {line}" for at, line in enumerate(BARE["26-4.19-sleeping-slab.txt"])]
    (one,) = explain("\n".join(lines))
    assert any("not understood" in said for said in one["missing"])
    assert (one["cases"], one["otherwise"]) == ([], [])
    assert "cut" not in " ".join(one["summary"].values())


FORMS: tuple[Callable[[int, str], str], ...] = (
    lambda at, line: f"> {line}",
    lambda at, line: f">> > {line}",
    lambda at, line: f"[{100 + at / 1e6:12.6f}] {line}",
    lambda at, line: f"<4>[{100 + at / 1e6:12.6f}] {line}",
    lambda at, line: f"[{at:5d}.000000][   T71] {line}",
    lambda at, line: f"Nov 28 18:27:03 host kernel: [{at:5d}.000000] {line}",
    lambda at, line: f"2026-11-28T18:27:03.1234567Z [{at:5d}.000000] {line}",
    lambda at, line: f"2026-11-28T18:27:03,123456+00:00 {line}",
    lambda at, line: f"{line}\r",
    lambda at, line: f"\t{line}  ",
)


@settings(deadline=None, max_examples=150)
@given(NAMES, st.lists(st.sampled_from(FORMS), max_size=3), st.randoms(use_true_random=False))
def test_what_is_around_lines_in_any_mixture_changes_nothing(name: str, forms: list[Any], random: Any) -> None:
    """A mail quotes what a log has stamped; some lines were quoted again."""
    (plain,) = explain("\n".join(BARE[name]))
    lines = list(BARE[name])
    for form in forms[:1]:
        lines = [form(at, line) for at, line in enumerate(lines)]
    for _ in forms[1:]:
        lines = [f"> {line}" if random.random() < 0.7 else line for line in lines]
    assert explain("\n".join(lines)) == [plain]


def hard(line: str, width: int) -> list[str]:
    """Break a line as a terminal does, in the middle of a word."""
    return [line[at : at + width] for at in range(0, len(line), width)]


@settings(deadline=None, max_examples=200)
@given(NAMES, st.integers(60, 240), st.booleans(), st.sampled_from(["", "> "]))
def test_lines_that_a_mailer_broke(name: str, width: int, words: bool, quote: str) -> None:
    """A line that was broken at any column is read as it was, or what the break took is said.

    In the middle of a word only numbers are told to be broken: half of a function's name is a name.
    """
    (whole,) = explain("\n".join(BARE[name]))
    words = words or not whole.get("zones")
    parts = (wrap(line, width, break_long_words=False) if words else hard(line, width) for line in BARE[name])
    broken = [part for line in parts for part in line or [""]]
    found = explain("\n".join(quote + line for line in broken))
    assert [one["kind"] for one in found] == [whole["kind"]]
    check_less(whole, found)


@settings(deadline=None, max_examples=200)
@given(NAMES, st.sampled_from([64, 72, 76, 80, 100]), st.sampled_from(FORMS), st.sampled_from(["", "> "]))
def test_a_title_that_a_mailer_broke_behind_its_prefix(name: str, width: int, form: Any, quote: str) -> None:
    """Only the first part of a line has what the log put before it, and the report's number is that of its title."""
    (whole,) = explain("\n".join(BARE[name]))
    parts = (
        wrap(form(at, line), width, break_long_words=False, break_on_hyphens=False)
        for at, line in enumerate(BARE[name])
    )
    broken = [quote + part for line in parts for part in line or [""]]
    (one,) = explain("\n".join(["a first line", *broken]))
    assert one["kind"] == whole["kind"]
    assert (one["line"] == 2) == (whole["line"] == 1)
    check_less(whole, [one])
    assert list(explain_lines(line + "\n" for line in ["a first line", *broken])) == [one]


@settings(deadline=None, max_examples=60)
@given(NAMES, NAMES, st.randoms(use_true_random=False), st.data())
def test_two_callers_interleaved_one_of_them_cut(one: str, other: str, random: Any, data: st.DataObject) -> None:
    """What one caller lost takes nothing from the other's answer."""
    end = data.draw(st.integers(1, len(BARE[other])))
    mine = [f"[    1.000000][   T11] {line}" for line in BARE[one]]
    theirs = [f"[    1.000000][   C2] {line}" for line in BARE[other][:end]]
    merged = []
    while mine or theirs:
        merged.append((mine if mine and (not theirs or random.random() < 0.5) else theirs).pop(0))
    found = [answer(it) for it in explain("\n".join(merged))]
    assert answer(explain("\n".join(BARE[one]))[0]) in found


@settings(deadline=None, max_examples=40)
@given(NAMES, NAMES, st.randoms(use_true_random=False))
def test_two_callers_interleaved(one: str, other: str, random: Any) -> None:
    """They are read as one after the other: of one boot, the one may tell an option of the kernel to the other."""
    mine = mine_whole = [f"[    1.000000][   T11] {line}" for line in BARE[one]]
    theirs = theirs_whole = [f"[    1.000000][   C2] {line}" for line in BARE[other]]
    mine, theirs = mine[:], theirs[:]
    merged = []
    while mine or theirs:
        merged.append((mine if mine and (not theirs or random.random() < 0.5) else theirs).pop(0))
    found = sorted(map(str, map(answer, explain("\n".join(merged)))))
    assert found == sorted(map(str, map(answer, explain("\n".join([*mine_whole, *theirs_whole])))))


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


def test_a_file_is_read_in_blocks_as_it_is_line_by_line(tmp_path: Path) -> None:
    """Reports lie across the borders of blocks, and the numbers of lines go on."""
    quiet = "".join(f"[{i:5d}.000000] usb 1-1: new device number {i}\n" for i in range(BLOCK // 100))
    texts = [TEXTS[name] for name in sorted(TEXTS)]
    text = "".join(quiet + one for one in texts) + "x" * (2 * BLOCK) + "\n" + texts[0]
    assert len(text) > 8 * BLOCK
    path = tmp_path / "log"
    path.write_text(text, encoding="utf-8")
    found = list(explain_lines(log_lines(str(path))))
    assert found == explain(text)
    assert [one["line"] for one in found] == sorted(one["line"] for one in found)
    lines = text.splitlines()
    assert all(kind_of(lines[one["line"] - 1]) == one["kind"] for one in found)


def test_a_boot_ends_what_is_open_and_names_what_comes_after() -> None:
    """A report that names no kernel is of the boot before it, not of the one after."""
    report = [
        "BUG: sleeping function called from invalid context at mm/slab.h:421",
        "in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 71, name: worker",
        "no locks held by worker/71.",
    ]
    boot = "[    0.000000] Linux version {} (maker@host) #1 SMP"
    lines = [boot.format("5.10.50"), *report, boot.format("6.1.80"), *report, boot.format("5.4.100")]
    assert [one["release"] for one in explain("\n".join(lines))] == ["5.10.50", "6.1.80"]
    assert [one["release"] for one in explain_lines(line + "\n" for line in lines)] == ["5.10.50", "6.1.80"]
