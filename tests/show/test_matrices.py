"""The picture of the verdict matrix says what the matrix says, in marks that differ by shape, and in words."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from gfpmodel.locking.contexts import STACKS
from gfpmodel.locking.matrix import CONFIGS, Matrix, matrix
from gfpmodel.proposals import PROPOSALS
from gfpmodel.show.matrices import MANY, MARKS, STATES, group, matrix_figure, matrix_picture, status


@pytest.fixture(scope="module", params=(0, 1))
def cells(request: pytest.FixtureRequest) -> Matrix:
    return matrix(orders=(request.param,))


def test_the_text_has_every_verdict(cells: Matrix) -> None:
    header, *lines = (re.split(r" {2,}", line.strip()) for line in matrix_picture(cells).text.splitlines())
    said = {
        (line[0], context, name, pcp): (words * 2)[at]
        for line in lines
        for context in line[-1].split(", ")
        for name, words in zip(header[1:-1], (word.split("/") for word in line[1:-1]), strict=True)
        for at, pcp in enumerate(STATES)
    }
    assert said == {(c.config, c.context, c.proposal, c.pcp): status(c.verdict) for c in cells.cells}


def test_every_context_has_one_row_on_every_kernel(cells: Matrix) -> None:
    shown = Counter((row.config, context) for row in group(cells) for context in row.contexts)
    assert shown == {(config, context): 1 for config in CONFIGS for context in STACKS}
    for row in group(cells):
        assert len(row.columns) == len(PROPOSALS)
        listed = " ".join(row.label)
        assert listed == (", ".join(row.contexts) if len(row.contexts) <= MANY else listed)
        assert len(row.contexts) <= MANY or str(len(row.contexts)) in listed


def test_the_figure_has_a_mark_for_every_verdict(cells: Matrix) -> None:
    drawn: Counter[tuple[float, ...]] = Counter()
    [axes] = matrix_figure(cells).axes
    for marks in (c for c in axes.collections if isinstance(c, PathCollection)):
        look = (*np.ravel(marks.get_paths()[0].vertices), *np.ravel(marks.get_facecolor()))
        drawn[look] += len(np.asarray(marks.get_offsets()))
    expected = Counter(s for row in group(cells) for pair in row.columns for s in pair)
    in_the_legend = 1
    assert sorted(n + in_the_legend for n in expected.values()) == sorted(drawn.values())


def test_a_status_has_a_shape_or_a_fill_of_its_own_and_a_word() -> None:
    looks = [(marker, face == "white") for marker, face, _, _ in MARKS.values()]
    assert len(set(looks)) == len(MARKS) == len({words for *_, words in MARKS.values()})


def test_the_figure_is_described(cells: Matrix) -> None:
    picture = matrix_picture(cells)
    label = re.search(r'<svg role="img" aria-label="([^"]+)"', picture.html)
    assert label
    for name, count in Counter(status(c.verdict) for c in cells.cells).items():
        assert f"{count} {MARKS[name][3]}" in label[1]
    assert "<details><summary>" in picture.html
    assert all(name in picture.html for name in STACKS)


def test_the_same_matrix_gives_the_same_bytes(cells: Matrix) -> None:
    assert matrix_picture(cells).html == matrix_picture(cells).html


def test_one_order_and_both_states_of_the_lists_are_needed() -> None:
    for bad in (matrix(("gfp0",), contexts=("raw",)), matrix(("gfp0",), (0,), ("raw",), ("warm",))):
        with pytest.raises(ValueError, match="one order"):
            matrix_picture(bad)


def test_a_silent_request_in_a_reported_context_is_not_called_clean() -> None:
    [cell] = matrix(("fast_try",), (0,), ("hrt_spin",), ("warm",), ("PREEMPT_RT today",)).cells
    assert cell.verdict.before
    assert status(cell.verdict) == "moot"
    [nmi] = matrix(("fast_try",), (0,), ("nmi",), ("warm",), ("mainline",)).cells
    assert not nmi.verdict.reports
    assert status(nmi.verdict) == "unsafe"
