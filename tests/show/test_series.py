"""The figure of list lengths: its text has what the lines show."""

import numpy as np

from gfpmodel.show.series import lists_figure, lists_over_time

SAMPLES = [
    {"t_ms": 500 + 10 * at, "unmovable": pages, "movable": 3, "reclaimable": 0} for at, pages in enumerate((31, 0, 7))
]


def test_lines_and_text_say_the_same() -> None:
    axes = lists_figure({"one": SAMPLES, "two": SAMPLES}).axes
    assert [len(panel.lines) for panel in axes] == [3, 3]
    assert np.array_equal(axes[0].lines[0].get_xdata(), [0.0, 0.01, 0.02])
    assert np.array_equal(axes[0].lines[0].get_ydata(), [31, 0, 7])
    empty = [np.asarray(panel.collections[0].get_offsets()).tolist() for panel in axes]
    assert empty == [[[0.01, 0]]] * 2, "where the unmovable list was empty"
    assert {panel.get_ylim() for panel in axes} == {(0, 1.05 * 31)}, "one scale for all"
    picture = lists_over_time({"one": SAMPLES})
    assert picture.text.splitlines()[1].split() == ["one", "unmovable", "0", "7", "31", "1", "3"]
    assert 'aria-label="Pages on one cpu' in picture.html
