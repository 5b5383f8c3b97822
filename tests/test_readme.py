"""The README's code runs and prints what it says, and its picture is what the package draws."""

import doctest
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_code_of_the_first_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert result.attempted >= 6
    assert result.failed == 0


def test_picture_is_current() -> None:
    from readme_picture import ALT, PICTURE

    from gfpmodel.show.figures import GEOMETRY, room_figure, svg

    # without its coordinates: they hang on a processor's last digits
    assert GEOMETRY.sub("", PICTURE.read_text()) == GEOMETRY.sub("", svg(room_figure(), ALT, "white") + os.linesep)


def test_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("book", "test", "lab", "meeting", "bench"):
        assert f"\n{target}:" in makefile
        assert f"make {target}" in (ROOT / "README.md").read_text()
