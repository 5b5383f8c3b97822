"""Shipped grids: a stale or damaged one is refused in one line, and a sample of each is run again."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import make_grids
import pytest

from gfpmodel.errors import InputError
from gfpmodel.mm import jit
from gfpmodel.sim import Sweep
from gfpmodel.sim.grids import GRIDS, grid_file, load_grid, make_grid, model_hash, recompute, stale

DATA = Path(__file__).parents[2] / "book/data"
SMALL = Sweep("cross_cpu", {"proposal": ("fast_try", "gfp0"), "duration_ms": (2,), "warm": (50,)}, seeds=2)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return make_grid("cross_cpu", tmp_path, workers=1, sweep=SMALL)


@pytest.mark.parametrize("name", GRIDS)
def test_a_shipped_grid_is_of_the_present_source_and_has_every_point(name: str) -> None:
    assert stale(name, DATA) is None
    assert len(load_grid(grid_file(name, DATA)).rows) == len(GRIDS[name])


@pytest.mark.skipif(
    jit.way("sim") == "interpreted",
    reason="points of the shipped grids take minutes interpreted; the compiled run has it",
)
@pytest.mark.parametrize("name", GRIDS)
def test_a_sample_of_a_shipped_grid_comes_out_again(name: str) -> None:
    assert recompute(grid_file(name, DATA), 4, seed=6) == []


def test_a_grid_comes_back_as_it_was_written(small: Path) -> None:
    grid = load_grid(small)
    assert (grid.name, grid.experiment) == ("cross_cpu", "cross_cpu")
    found = [({key: row[key] for key in ("proposal", "duration_ms", "warm")}, row["seed"]) for row in grid.rows]
    wanted = [({key: p[key] for key in ("proposal", "duration_ms", "warm")}, seed) for p, seed in SMALL.points()]
    assert found == wanted
    assert recompute(small, 2) == []
    assert not list(small.parent.glob("*.part"))


def test_a_wrong_figure_is_found(small: Path) -> None:
    lines = small.read_text().splitlines()
    at = lines[1].split(",").index("ops.asker")
    for number in range(2, len(lines)):
        words = lines[number].split(",")
        words[at] = str(float(words[at]) + 1)
        lines[number] = ",".join(words)
    small.write_text("\n".join(lines) + "\n")
    differences = recompute(small, 4)
    assert len(differences) == 4
    assert all(re.fullmatch(r"point \d: ops\.asker is \d+, stored [\d.]+", text) for text in differences)


def cut(text: str) -> str:
    return text.rstrip("\n").rpartition(",")[0] + "\n"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text.replace(model_hash(), "0" * 16), "was made by source 0000000000000000 of version"),
        (lambda text: text.partition("\n")[2], "is no grid"),
        (lambda text: "# {}\n" + text.partition("\n")[2], "is no grid"),
        (lambda text: text.replace('"cross_cpu"', '"cross_gpu"'), "is no grid"),
        (lambda _: "", "is no grid"),
        (cut, "the row is too short"),
        (lambda text: text.replace("gfp0,", "gfp0,,"), "the row is too long"),
        (lambda text: text.replace(",seed", ",seeds"), "has no column seed"),
        (lambda text: "\n".join(text.split("\n")[:2]) + "\n", "has no row"),
        (lambda text: re.sub(r",\d+\n$", ",x\n", text), "expected a number"),
    ],
)
def test_a_stale_or_damaged_grid_is_one_line(small: Path, damage: Callable[[str], str], says: str) -> None:
    before = small.read_text()
    small.write_text(damage(before))
    assert small.read_text() != before
    with pytest.raises(InputError) as error:
        load_grid(small)
    assert says in str(error.value)
    assert str(small) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_stale_grid_says_how_to_remake_it(small: Path) -> None:
    small.write_text(small.read_text().replace(model_hash(), "f" * 16))
    with pytest.raises(InputError, match="make grids"):
        load_grid(small)


def test_unknown_and_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown grid 'co_tennant'; did you mean co_tenant"):
        grid_file("co_tennant", tmp_path)
    with pytest.raises(InputError, match=r"cannot be read.*make grids"):
        load_grid(tmp_path / "grid-co_tenant.csv")
    with pytest.raises(InputError, match="no such folder"):
        make_grid("cross_cpu", tmp_path / "none", workers=1, sweep=SMALL)


def test_the_tool_makes_what_is_stale_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(GRIDS, "cross_cpu", SMALL)
    arguments = ["cross_cpu", "--folder", str(tmp_path), "--workers", "1"]
    assert make_grids.main(arguments) == 0
    assert "4 points" in capsys.readouterr().out
    assert make_grids.main(arguments) == 0
    assert "left alone" in capsys.readouterr().out
    monkeypatch.setitem(GRIDS, "cross_cpu", Sweep("cross_cpu", SMALL.grid, seeds=1))
    assert stale("cross_cpu", tmp_path) == "has other points than the grid of that name"
    assert make_grids.main(arguments) == 0
    assert "2 points" in capsys.readouterr().out
    assert make_grids.main(["cross", "--folder", str(tmp_path)]) == 2
    assert "unknown grid" in capsys.readouterr().err
