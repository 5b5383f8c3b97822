"""Questions of the book: the same seed asks the same, every line has an answer, a wrong one gets a hint."""

import csv
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from gfpmodel import exercises as ex
from gfpmodel.errors import InputError
from gfpmodel.mm.exercises import numbers
from gfpmodel.sim import surprises

DATA = Path(__file__).parent.parent / "book" / "data"
CELLS = list(csv.DictReader((DATA / "verdicts-5.8ft-lockdep.csv").read_text(encoding="utf-8").splitlines()))


def recorded(seed: int) -> ex.Question:
    return ex.recorded_question(seed, CELLS)


MAKERS: list[Callable[[int], ex.Question]] = [
    ex.mask_question,
    ex.shift_question,
    ex.bit_question,
    ex.lock_question,
    ex.page_question,
    ex.stack_question,
    ex.row_question,
    ex.block_question,
    ex.atomic_question,
    ex.refill_question,
    recorded,
]


@pytest.fixture(scope="module", autouse=True)
def _each_refill_once() -> Iterator[None]:
    """Let questions about the same refill share its run: those of v7.1 and v7.3 are interpreted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surprises, "refills", cache(surprises.refills))
        yield


@cache
def asked(make: Callable[[int], ex.Question], seed: int) -> ex.Question:
    """Return a question that several tests look at."""
    return make(seed)


makers = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
TWO = ex.Question("two lines", (ex.Item("the first", "yes", "it has a lock"), ex.Item("the second", "3", "count", ())))


def truth(question: ex.Question) -> str:
    return " ".join(item.truth for item in question.items)


@makers
def test_the_same_seed_asks_the_same(make: Callable[[int], ex.Question]) -> None:
    assert make(5) == make(5) == make(5 + (1 << 64))
    assert len({repr(asked(make, seed)) + truth(asked(make, seed)) for seed in range(12)}) > 3


@makers
def test_the_truth_is_right_and_one_of_the_choices(make: Callable[[int], ex.Question]) -> None:
    for seed in range(20):
        question = asked(make, seed)
        assert question.check(truth(question)) == question.check(truth(question).lower()) == "right"
        assert all(not item.choices or item.truth in item.choices for item in question.items)
        assert all(" " not in item.truth for item in question.items)


@makers
def test_not_every_line_has_the_same_answer(make: Callable[[int], ex.Question]) -> None:
    assert len({item.truth for seed in range(20) for item in asked(make, seed).items}) > 1


def test_a_wrong_answer_gets_a_hint_for_its_first_wrong_line() -> None:
    assert TWO.check("yes 3") == "right"
    assert TWO.check("no 4") == "0 of 2 right; look again at the first: it has a lock"
    assert TWO.check("yes 4") == "1 of 2 right; look again at the second: count"


def test_an_answer_that_cannot_be_read_says_what_was_expected() -> None:
    assert TWO.check("") == "0 words; expected 2, one for each line"
    assert TWO.check("maybe 3") == "the first: 'maybe' is not one of yes, no"


def test_the_question_does_not_give_the_answer_away(capsys: pytest.CaptureFixture[str]) -> None:
    assert repr(TWO).splitlines() == ["two lines:", "  the first   yes, no", "  the second  ?"]
    TWO.solve()
    assert capsys.readouterr().out.splitlines() == ["two lines:", "  the first   yes", "  the second  3"]


def test_what_the_rfc_says_of_its_shift() -> None:
    lines = {item.ask: item.truth for seed in range(40) for item in ex.shift_question(seed).items}
    assert lines["__GFP_FAST_TRY, shift 23, LOCKDEP=n"] == "no"
    assert lines["__GFP_FAST_TRY, shift 24, LOCKDEP=n"] == "yes"
    assert lines["__GFP_NOLOCKDEP, shift 24, LOCKDEP=y"] == "no"
    assert lines["__GFP_FAST_TRY, shift 30, LOCKDEP=n"] == "no-build"


def test_blocks_by_hand() -> None:
    for seed in range(20):
        question = asked(ex.block_question, seed)
        count = int(question.title.split()[3])
        by_hand = [-(-count // room) for room in (509, 510, 1022, 8190)]
        assert [int(item.truth) for item in question.items] == by_hand


def test_a_raw_lock_is_reported_and_a_spinlock_is_not() -> None:
    lines = {item.ask: item for seed in range(20) for item in asked(ex.stack_question, seed).items}
    assert (lines["raw"].truth, lines["spin"].truth) == ("yes", "no")
    assert (
        lines["raw"].hint
        == "the stack leaves 2 (LD_WAIT_SPIN); the request takes or tries spinlock_t {3:3} &zone->lock; preemption off"
    )


def test_bad_names_and_numbers_are_refused() -> None:
    for wrong in (
        lambda: ex.stack_question(1, config="PREEMPT"),
        lambda: ex.mask_question(1, "v9"),
        lambda: ex.shift_question(1, 0),
        lambda: ex.recorded_question(1, CELLS[:3]),
        lambda: ex.pick(numbers(1), "ab", 3),
    ):
        with pytest.raises(InputError):
            wrong()


@makers
def test_a_form_knows_the_right_word_only_by_its_sum(make: Callable[[int], ex.Question]) -> None:
    question = make(3)
    form = question._repr_html_()
    for item in question.items:
        salt = f"{question.title}|{item.ask}|"
        assert f'data-sum="{ex.sum_of(salt + item.truth.lower())}"' in form
        others = [word for word in item.choices if word != item.truth]
        assert all(f'data-sum="{ex.sum_of(salt + word.lower())}"' not in form for word in others)


def test_a_form_holds_no_markup_of_a_question() -> None:
    form = ex.Question("<b>", (ex.Item("<i>", "yes", '"<u>'),))._repr_html_()
    assert "<b>" not in form
    assert "<i>" not in form
    assert "<u>" not in form
