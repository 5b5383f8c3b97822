"""Op scripts: the hash over a million results, and scripts that cannot be used."""

import pytest
from make_ops import make_ops

from gfpmodel.errors import InputError
from gfpmodel.io.ops import read_script, replay
from gfpmodel.mm import jit

HASHES = {
    "i": (500_000, 0, "56e11df9ca761903"),
    "ii": (500_000, 0, "76956731d3941697"),
    "iii": (501_297, 0, "45266bdd2bb305f6"),
    "ft": (501_366, 21, "b0786980ebece188"),
}


@pytest.mark.skipif(
    jit.way() == "interpreted", reason="a million operations take minutes interpreted; the compiled run has them"
)
@pytest.mark.parametrize("kind", HASHES)
def test_the_hash_is_the_kernels(kind: str) -> None:
    allocations, nulls, wanted = HASHES[kind]
    text = make_ops(kind, 1_000_000, 7)
    assert text.count("\na ") == allocations
    script = read_script(text.encode(), kind)
    for events in (0, 1024):
        machine = script.config.boot(events=events)
        outcome = replay(script, machine)
        assert outcome.nulls == nulls
        assert outcome.to_json()["hash"] == wanted
        machine.check()


def test_the_hash_of_no_allocation_is_the_start_value() -> None:
    outcome = replay(read_script(b"zone 2 32768 2048\nboot\nd 0\n", "x"))
    assert outcome.hash == 1469598103934665603
    assert outcome.ops == 1


def test_a_null_result_enters_the_hash_and_is_not_freed() -> None:
    outcome = replay(read_script(b"zone 2 32768 2048\nboot\na 0 11 0\nf 0 0\n", "x"))
    start, prime = 1469598103934665603, 1099511628211
    assert outcome.hash == (start ^ 0xFFFFFFFF) * prime % 2**64
    assert outcome.nulls == 1


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("zone 2 32768 2048\na 0 0 0\n", 2, "unknown configuration line"),
        ("zone 2 32768 2048\n", 1, "boot"),
        ("zone 2 32768\nboot\n", 1, "unknown configuration line"),
        ("param colour 3\nboot\n", 1, "unknown parameter"),
        ("zone 2 32768 2048\nboot\na 0 0\n", 3, "bad operation"),
        ("zone 2 32768 2048\nboot\na 0 0 0\nf 0 1\n", 4, "handle 1 is freed before"),
        ("zone 2 32768 2048\nboot\na 0 zero 0\n", 3, "bad operation"),
        ("zone 2 32768 2048\nboot\na 0 -1 0\n", 3, "bad operation"),
    ],
)
def test_a_bad_script_says_which_line(text: str, line: int, says: str) -> None:
    with pytest.raises(InputError) as error:
        read_script(text.encode(), "script.txt")
    assert error.value.file == "script.txt"
    assert error.value.line == line
    assert says in str(error.value)


def test_a_double_free_stops_the_run() -> None:
    with pytest.raises(InputError, match="x:5: operation 2: free of pfn 33792, order 0: it is free already"):
        replay(read_script(b"zone 2 32768 2048\nboot\na 0 0 3264\nf 0 0\nf 0 0\n", "x"))


def test_an_unknown_cpu_stops_the_run() -> None:
    with pytest.raises(InputError, match="x:3: unknown cpu 3"):
        replay(read_script(b"zone 2 32768 2048\nboot\na 3 0 3264\n", "x"))
