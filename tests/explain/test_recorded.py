"""The recorded reports of booted kernels, read back: the model prints the same, in the cell they came from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gfpmodel.explain import explain
from gfpmodel.explain.locks import CASES

TEXT = Path("tests/data/reports-boot58.txt").read_text(encoding="utf-8")
CELLS = [part.partition("\n") for part in re.split(r"^== ", TEXT, flags=re.MULTILINE)[1:]]
KERNELS = {"5.8": "5.8.0-rc7", "5.10-rt17": "5.10.0-rt17"}
LOCK = re.compile(r"#\d+: \((ft_\w+)\)")


@pytest.mark.parametrize(("head", "body"), [(head, body) for head, _, body in CELLS], ids=[c[0] for c in CELLS])
def test_read_back(head: str, body: str) -> None:
    kernel, request, order, _, pcp, _ = head.split()
    found = explain(body, KERNELS[kernel])
    assert found
    for one in found:
        assert one["held"][:1] == LOCK.findall(body)[:1] or "ft_" not in "".join(one["held"])
        assert one["model"].startswith("equal"), one["model"]
        orders = {int(digits[0]) for case in one["cases"] if (digits := re.findall(r"\d", case["request"]))}
        assert request == "FREE" or int(order) in orders
        if request == "FREE" or pcp == "boostwm":
            assert (request, pcp) in {(case["request"], case["pcp"]) for case in one["cases"]} or pcp == "warm"


def test_the_cases_tell_locks_apart() -> None:
    """A lock that no case takes there is not called equal."""
    head, _, body = CELLS[1]
    assert "&zone->lock" in body
    (one,) = explain(body.replace("&zone->lock", "&other->lock"), KERNELS[head.split()[0]])
    assert one["cases"] == []
    assert len(CASES) == len(set(CASES))
