"""The rows of the version ladder: capacities worked out by hand, names, and what a row changes."""

import pytest

from gfpmodel.errors import InputError
from gfpmodel.rcu import VERSIONS, KfreeRcu, version

# header words: v5.8 count, next, debug head; v5.9 count, next; v6.6 list (2), grace period (2), count
CAPACITIES = [
    ("v5.8", (509, 1021, 2045, 8189)),
    ("v5.9", (510, 1022, 2046, 8190)),
    ("v5.11", (510, 1022, 2046, 8190)),
    ("v6.1", (510, 1022, 2046, 8190)),
    ("v6.6", (507, 1019, 2043, 8187)),
    ("v6.12", (507, 1019, 2043, 8187)),
]


@pytest.mark.parametrize(("name", "expected"), CAPACITIES)
def test_a_block_is_a_page_less_its_header(name: str, expected: tuple[int, ...]) -> None:
    row = version(name)
    assert (row.capacity(), row.capacity(4096, 4), row.capacity(16384), row.capacity(65536)) == expected


def test_a_page_too_small_is_refused() -> None:
    with pytest.raises(InputError, match="page_size is 64; expected 128"):
        version("v5.9").capacity(64, 8)


@pytest.mark.parametrize(
    ("asked", "row"),
    [("v5.8-rc3", "v5.8"), ("v5.9.1", "v5.9"), ("v5.10", "v5.9"), ("v5.13", "v5.15"), ("v5.15.178", "v5.15")],
)
def test_releases_have_the_row_that_holds_for_them(asked: str, row: str) -> None:
    assert version(asked).name == row


def test_an_unknown_version_gets_near_names() -> None:
    with pytest.raises(InputError, match=r"unknown kfree_rcu version 'v5\.7'"):
        version("v5.7")


@pytest.mark.parametrize("name", VERSIONS)
def test_every_row_boots_and_frees_what_it_is_given(name: str) -> None:
    rcu = KfreeRcu(name)
    rcu.queue(1500, every_ns=1000)
    rcu.check()
    rcu.settle()
    rcu.check()
    assert rcu.counters.freed == 1500
    assert rcu.counters.blocks_in_flight == 0


def test_the_fix_came_between_the_rows() -> None:
    assert [name for name, row in VERSIONS.items() if row.fixed] == ["v5.15", "v6.1", "v6.6", "v6.12"]
