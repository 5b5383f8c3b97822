"""A proposal as a row of YAML: there and back, told apart, and one line for what cannot be used."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from gfpmodel.errors import InputError
from gfpmodel.io.rows import MEANS, MOST, SCANS, TYPES, WORDS, differences, read_row, resolve, worded, write_row
from gfpmodel.mm import Rule
from gfpmodel.mm.rules import OWN_FUNCTION
from gfpmodel.proposals import ROWS, proposal

SMALL = "name: mine\ntitle: a row\nrequest: GFP_NOWAIT\n"


@pytest.mark.parametrize("name", ROWS)
def test_every_row_of_the_book_goes_there_and_back(name: str) -> None:
    text = write_row(proposal(name))
    assert read_row(text) == proposal(name)
    assert len(text.splitlines()) == len(fields(Rule)) <= 20


def test_a_row_in_words() -> None:
    lines = write_row(proposal("fast_try")).splitlines()
    assert lines[0] == "name: fast_try"
    assert {"scan: [own, MIGRATE_RECLAIMABLE]", "refill: no", "flag: bit", "slow_path: false"} <= set(lines)


def test_only_what_has_no_default_must_be_said() -> None:
    assert read_row(SMALL) == Rule("mine", "a row", "GFP_NOWAIT")
    assert read_row("\ufeff".encode() + SMALL.encode()) == read_row(SMALL)


words = {name: some.sampled_from(list(values.values())) for name, values in WORDS.items()}
rows = some.builds(
    Rule,
    name=some.from_regex(r"[a-z]\w{0,10}", fullmatch=True).filter(str.isascii),
    title=some.text(min_size=1, max_size=60).filter(lambda t: t.isprintable() and t.strip()),
    request=some.sampled_from(["none", "0x800000", "GFP_NOWAIT|__GFP_NOWARN"]),
    request_rt=some.sampled_from(["same", "none", "__GFP_HIGH"]),
    scan=some.sampled_from([(None, None), (None, 2), (0, 2), (1, 1), (0, None)]),
    highest_order=some.integers(0, 10),
    **words,
)


def read(text: str | bytes) -> tuple[Rule | None, str]:
    """The row, or what was said instead."""
    try:
        return read_row(text, "r.yaml"), ""
    except InputError as error:
        return None, str(error)


@settings(deadline=None)  # the first example loads the tables of all kernels
@given(rows)
def test_any_row_that_is_read_is_the_one_that_was_written(row: Rule) -> None:
    found, said = read(write_row(row))
    assert found in (row, None)
    assert bool(said) == (found is None)  # of rows that nobody can follow


LINES = [*SMALL.splitlines(), "scan: [own, own]", "flag: bit", "scan: [[", "a: &a [*a]", "? x", "- y", "%YAML"]


@given(some.text(max_size=300) | some.binary(max_size=300) | some.lists(some.sampled_from(LINES)).map("\n".join))
def test_no_text_does_more_than_say_what_is_wrong(text: str | bytes) -> None:
    found, said = read(text)
    assert isinstance(found, Rule) != said.startswith("r.yaml:")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "r.yaml: empty"),
        ("# nothing\n", "r.yaml: empty"),
        ("- a\n- b\n", "r.yaml:1: no row; expected `field: word` lines"),
        ("name: [x\n", "r.yaml:2: no YAML"),
        ("name: \x00", "r.yaml: no YAML: a character"),
        (b"name: \xff\xfe", "r.yaml: no text"),
        ("[" * 4000, "r.yaml"),
        (SMALL + "#" * MOST, f"r.yaml: more than {MOST} bytes"),
        (SMALL + "refil: no\n", "r.yaml:4: unknown field 'refil'; did you mean refill"),
        (SMALL + "name: twice\n", "r.yaml:4: name is said twice; line 1 has it"),
        ("title: a\nrequest: none\n", "r.yaml:1: the row has no name"),
        ("name: a\ntitle: a\n", "r.yaml:1: the row has no request"),
        (SMALL + "scan: [own, MIGRATE_RECLAMABLE]\n", "r.yaml:4: scan: unknown scan type 'MIGRATE_RECLAMABLE'; did"),
        (SMALL + "scan: own\n", "r.yaml:4: scan: expected two lists"),
        (SMALL + "scan: [own]\n", "r.yaml:4: scan: 1 lists; expected the first and the last"),
        (SMALL + "scan: [MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE]\n", "r.yaml:4: scan: MIGRATE_RECLAIMABLE comes after"),
        (SMALL + "scan: [[own], own]\n", "r.yaml:4: scan: expected a word, or a list of words"),
        (SMALL + "refill: [no]\n", "r.yaml:4: refill: expected one word"),
        (SMALL + "refill: maybe\n", "r.yaml:4: refill: unknown word 'maybe'"),
        (SMALL + "slow_path: yes\n", "r.yaml:4: slow_path: unknown word 'yes'"),
        (SMALL + "highest_order: 11\n", "r.yaml:4: highest_order: '11' is no order; expected 0 to 10"),
        (SMALL + "highest_order: ²\n", "r.yaml:4: highest_order: '²' is no order"),
        (SMALL + "kernel: v2.7\n", "r.yaml:4: kernel: unknown kernel 'v2.7'"),
        (SMALL.replace("GFP_NOWAIT", "GFP_NOWIAT"), "r.yaml:3: request: unknown flag 'GFP_NOWIAT'"),
        (SMALL + "request_rt: GFP_HIHG\n", "r.yaml:4: request_rt: unknown flag 'GFP_HIHG'"),
        (SMALL + "request_rt: [same]\n", "r.yaml:4: request_rt: expected one word"),
        (SMALL + "flag: no reclaim\n", "r.yaml:4: flag: unknown word 'no reclaim'; did you mean no reclaim bit"),
        (SMALL.replace("mine", "my row"), "r.yaml:1: name: bad name"),
        (SMALL + "flag: bit\n", "r.yaml:4: flag: a bit needs `kernel: v5.8-rc3+FAST_TRY`"),
        (SMALL + "refill: no\n", "r.yaml:4: refill: without a flag a request takes the ordinary path"),
        (SMALL + "flag: own function\nrefill: trylock\n", "r.yaml:5: refill: trylock goes with `lock: try`"),
    ],
)  # fmt: skip
def test_one_line_with_file_and_line(text: str | bytes, said: str) -> None:
    found, line = read(text)
    assert found is None
    assert line.startswith(said)
    assert "\n" not in line


def test_a_name_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(SMALL)
    assert resolve(str(file)) == read_row(SMALL)
    assert resolve("gfp0") == proposal("gfp0")
    file.write_text(write_row(proposal("gfp0")))
    assert resolve(str(file)) == proposal("gfp0")  # the same row under its own name
    file.write_text(SMALL.replace("mine", "gfp0"))
    with pytest.raises(InputError, match="gfp0 is a row of the book"):
        resolve(str(file))
    with pytest.raises(InputError, match="did you mean fast_try"):
        resolve("fast_tyr")
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        resolve(str(tmp_path / "none.yaml"))
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        resolve(str(tmp_path / "folder.yaml"))


def test_differences_are_the_fields_that_differ() -> None:
    found = differences(proposal("fast_try"), proposal("no_locks"))
    assert [d.field for d in found] == ["request", "scan"]
    assert found[1].b == "UNMOVABLE to RECLAIMABLE"
    assert found[1].means == SCANS["all"]
    assert differences(proposal("fast_try"), proposal("fast_try")) == []
    form = replace(proposal("fast_try"), flag=OWN_FUNCTION)
    (only,) = differences(proposal("fast_try"), form)
    assert (only.field, only.a, only.b) == ("flag", "bit", "own function")


@pytest.mark.parametrize("a", ROWS)
@pytest.mark.parametrize("b", ROWS)
def test_each_difference_says_what_it_means_both_ways(a: str, b: str) -> None:
    there, back = (differences(proposal(x), proposal(y)) for x, y in ((a, b), (b, a)))
    assert [d.field for d in there] == [d.field for d in back]
    assert {d.field for d in there} == {f for f in worded(proposal(a)) if f not in ("name", "title")
                                        and worded(proposal(a))[f] != worded(proposal(b))[f]}  # fmt: skip
    assert all(d.means and d.a != d.b for d in there)


def test_every_word_has_a_meaning() -> None:
    assert all(set(MEANS[field]) == set(WORDS[field]) for field in MEANS)
    assert set(WORDS) - set(MEANS) == {"highest_zone"}
    assert len(TYPES) == 4


def test_a_flag_that_has_no_word() -> None:
    with pytest.raises(InputError, match="flag 1 has no word"):
        write_row(Rule("x", "x", "none", flag=1))
