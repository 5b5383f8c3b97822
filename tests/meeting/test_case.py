"""The pure half of meeting mode: a case in an address, its answer, the mail block, the notebook."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from urllib.parse import quote, urlencode

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient

from gfpmodel.errors import InputError
from gfpmodel.gfp.layouts import kernels
from gfpmodel.locking import STACKS, Setup, make_kernel, make_request, verdict
from gfpmodel.locking.command import locks_of
from gfpmodel.locking.machine import PCP
from gfpmodel.locking.matrix import CONFIGS
from gfpmodel.meeting.case import (
    COLUMNS,
    KERNELS,
    LOADS,
    Case,
    answer,
    block,
    choice,
    commands,
    notebook,
    page,
    parse,
    parse_pair,
    query,
)
from gfpmodel.meeting.case import shell as shell_line
from gfpmodel.proposals import PROPOSALS
from gfpmodel.show.stacks import SAID
from tests.conftest import PATIENCE

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=60)
CASES = st.builds(
    Case,
    proposal=st.sampled_from(list(PROPOSALS)),
    gfp=TEXT,
    order=st.integers(0, 10),
    context=TEXT,
    pcp=st.sampled_from(list(PCP)),
    contended=st.booleans(),
    kernel=st.sampled_from(kernels()),
    config=TEXT,
    load=st.sampled_from(list(LOADS)),
)
NESTING = "PROVE_RAW_LOCK_NESTING"


@given(CASES)
def test_a_case_goes_through_an_address(case: Case) -> None:
    assert parse(query(case)) == case


@given(st.text(max_size=80))
def test_any_query_is_a_case_or_one_line(text: str) -> None:
    try:
        case = parse(text)
    except InputError as error:
        lines = str(error).splitlines()
    else:
        lines = [query(case)]
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("proposal=fast_tri", "did you mean fast_try"),
        ("order=-1", "expected 0 to 10"),
        ("order=11", "expected 0 to 10"),
        ("order=\N{ARABIC-INDIC DIGIT THREE}", "expected 0 to 10"),
        ("order=1&order=2", "order stands twice"),
        ("contended=yes", "expected 0 or 1"),
        ("pcp=wet", "unknown pcp state"),
        ("load=heavy", "unknown load"),
        ("kernel=v9", "unknown kernel"),
        ("colour=red", "unknown parameter 'colour'"),
        (f"context={'a' * 300}", "longer than 200"),
        ("context=a%00b", "not printable"),
    ],
)
def test_bad_parameters(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("context=hardirq>mutex", "a mutex cannot be taken in hardirq"),
        ("config=NO_SUCH", "unknown config"),
        ("config=LOCKDEP=n,PROVE_LOCKING", "needs LOCKDEP=y"),
        ("gfp=GFP_NOSUCH", "GFP_NOSUCH"),
        ("kernel=v4.4&proposal=fast_try&config=", "no such path to a page; expected v5.8 or later"),
        ("kernel=v4.19&gfp=GFP_KERNEL&config=PREEMPT_RT", "no such path to a page"),
        ("kernel=v5.4&config=", "or v5.4 with PREEMPT_RT"),
        ("kernel=v5.4&config=PREEMPT_RT&proposal=fast_try", "older than fast_try"),
        ("kernel=v5.4&config=PREEMPT_RT&proposal=raw_zone_lock", "older than raw_zone_lock"),
    ],
)
def test_cases_that_cannot_be(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        answer(parse(text))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("proposal", PROPOSALS)
def test_every_proposal_in_every_context(proposal: str, config: str) -> None:
    kernel, options = CONFIGS[config]
    built = make_kernel(kernel, options)
    for context in STACKS:
        for order, pcp in ((0, "warm"), (1, "dry")):
            case = Case(proposal, "", order, context, pcp, False, kernel, ",".join(options))
            found = verdict(make_request(built, row=proposal, order=order), context, Setup(pcp), built)
            check(case, found.result, found.locks, [report.text() for report in found.printed], found.deadlock)


def test_it_opens_on_the_telling_case() -> None:
    got = answer(parse(""))
    assert [report.kind for report in got.found.reports] == ["invalid_wait_context"]
    assert got.found.context.name == "raw"
    assert f"takes &zone->lock; {SAID}Invalid wait context" in got.way.text


def test_the_path_is_that_of_the_kernel() -> None:
    rt = answer(Case("fast_try", pcp="warm", config="PREEMPT_RT")).way.text
    assert "takes pa_lock" in rt
    assert "irqs off" not in rt
    today = answer(Case(pcp="low", kernel="v6.18")).way.text
    assert today.index("takes &pgdat->kswapd_wait") < today.index("tries &pcp->lock")
    older = answer(Case(kernel="v5.4", config="PREEMPT_RT")).way.text
    assert "takes pa_lock" in older


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_on_the_page_has_an_answer(kernel: str) -> None:
    assert answer(Case(kernel=kernel, config="PREEMPT_RT" if kernel == "v5.4" else "")).found.result == "page"


def check(case: Case, result: str, locks: list[str], reports: list[str], deadlock: bool) -> None:
    """Compare page and mail block of a case with the verdict."""
    got = answer(case)
    lines = block(got).splitlines()
    (line,) = (line for line in lines if line.startswith("result"))
    assert line.split(None, 1)[1] == ("never returns: the CPU waits for itself" if deadlock else result)
    text = " ".join(" ".join(lines).split())
    assert f"locks {locks_of(got.found)}" in text
    assert all(lock in text for lock in locks)
    assert all(" ".join(report.split()) in text for report in reports)
    assert max(map(len, lines)) <= COLUMNS
    shown = page(got)
    assert shown["query"] == query(case)
    assert "<summary>Path: what " in shown["html"]
    path, taken = got.way.text, locks if not deadlock else locks[: locks.index("&zone->lock") + 1]
    seen = list(dict.fromkeys(re.findall(r"(?:takes|tries) ([^;, ]+?)(?=;|,|$| and gets)", path, re.MULTILINE)))
    assert seen == taken, path
    assert path.count(SAID) == len(got.found.reports), path
    assert ("waits for itself" in path) == deadlock
    if not deadlock:
        assert ("returns NULL" in path) == (result == "NULL"), path
        assert (re.search("returns (a )?page", path) is not None) == (result == "page"), path


def test_the_load_is_the_command_that_it_names(run) -> None:
    for load in LOADS.values():
        assert load.seeds >= 2 or not load.name, "an interval needs two seeds"
    got = answer(Case(load="freed_elsewhere"))
    status, out, _ = run(*commands(got.case)[1][3:])
    assert status == 0
    for figure, words in LOADS["freed_elsewhere"].figures.items():
        (line,) = (line for line in out.splitlines() if line.split()[:1] == [figure])
        assert str(got.figures[words]) in line


@pytest.mark.parametrize("load", LOADS)
def test_loads_say_what_they_are(load: str) -> None:
    got = answer(Case(load=load))
    assert len(got.figures) == len(LOADS[load].figures), "a figure is lost, or two have the same words"
    said = " ".join(block(got).split())
    assert ("modelled: experiment" in said) == (load != "none")
    assert "seeds 0 to" in said or load == "none"


@pytest.mark.parametrize("case", [Case(gfp="GFP_KERNEL", load="miss"), Case("deferred_refill", load="raid")])
def test_what_a_load_cannot_ask_is_blank(case: Case) -> None:
    got = answer(case)
    assert got.gap
    assert not got.figures
    assert "not known" in block(got)
    assert "modelled: experiment" not in block(got) + page(got)["html"]
    assert len(commands(case)) == 1


@pytest.mark.parametrize(
    "case", [Case(order=1, config=NESTING), Case(gfp="GFP_KERNEL", context="mutex>hardirq>raw:a", config="LOCKDEP=n")]
)
def test_the_command_gives_the_same_answer(case: Case, run) -> None:
    got = answer(case)
    words = commands(case)[0]
    assert shlex.split(shell_line(words).replace("\\\n", "")) == words
    _, out, err = run(*words[3:])
    assert not err
    assert f"result   {got.found.result}" in out
    assert all(report.text() in out for report in got.found.reports)


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200), min_size=1))
def test_a_command_of_any_words_survives_the_mail(words: list[str]) -> None:
    assert shlex.split(shell_line(words).replace("\\\n", "")) == words


def test_a_long_stack_fits_the_mail() -> None:
    context = ">".join(f"raw:lock_{number}" for number in range(16))
    lines = block(answer(Case(context=context))).splitlines()
    assert max(map(len, lines)) <= COLUMNS


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        Case(order=1, config=NESTING, load="freed_elsewhere"),
        replace(Case(), gfp="GFP_KERNEL|__GFP_NOWARN", context="mutex", kernel="v6.18", config="PREEMPT_RT,MEMCG"),
    ],
)
def test_the_notebook_gives_the_same_answer(case: Case, tmp_path) -> None:
    got = answer(case)
    book = nbformat.v4.reads(notebook(got))  # type: ignore[no-untyped-call]
    nbformat.validate(book)
    NotebookClient(book, timeout=PATIENCE, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "".join(o.get("text", "") for cell in book.cells for o in cell.get("outputs", []))
    assert f"result   {got.found.result}" in said
    assert all(report.text() in said for report in got.found.reports)
    assert all(f"{words}: {value}" in said for words, value in got.figures.items())


def test_two_cases_go_through_an_address() -> None:
    mine, other = Case(), Case(proposal="trylock", order=1)
    text = f"{query(mine)}&{urlencode({'versus': query(other)})}"
    assert parse_pair(text) == (mine, other)
    assert parse_pair(query(mine)) == (mine, None)
    assert parse_pair(f"{query(mine)}&versus=") == (mine, None)
    with pytest.raises(InputError, match="versus stands twice"):
        parse_pair(f"versus={quote(query(mine))}&versus={quote(query(other))}")
    with pytest.raises(InputError, match="unknown parameter"):
        parse_pair("versus=nothing%3D1")


def test_a_load_counts_where_both_cases_are_under_it() -> None:
    load = "freed_elsewhere"
    flag, tried = (answer(Case(proposal=name, load=load)) for name in ("fast_try", "trylock"))
    failed = [100 * got.figures["requests that failed"].mean for got in (flag, tried)]
    said = f"Under the load {failed[0]:.3g} % of the requests fail for A and {failed[1]:.3g} % for B."
    assert choice(flag, tried).endswith(said)
    assert choice(tried, answer(Case())).endswith("the same load for A and B to compare how often they fail.")
    assert "load" not in choice(answer(Case()), answer(Case(proposal="trylock")))


@pytest.mark.parametrize(
    ("mine", "other", "said"),
    [
        (
            Case(),
            Case(proposal="trylock"),
            "B: it gets its page, and nothing is printed. A is reported, and gets its page.",
        ),
        (
            Case(proposal="trylock"),
            Case(proposal="fast_try"),
            "A: it gets its page, and nothing is printed. B gets NULL",
        ),
        (Case(), Case(proposal="gfp0"), "Neither is better here: each is reported."),
        (Case(context="zone_lock"), Case(), "B: it is reported, and gets its page. A never returns"),
    ],
)
def test_a_or_b(mine: Case, other: Case, said: str) -> None:
    assert choice(answer(mine), answer(other)).startswith(said)
