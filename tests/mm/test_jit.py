"""Where compiled code is kept, and what makes it stale."""

from pathlib import Path

import numpy as np
import pytest

from gfpmodel.mm import jit


def test_the_environment_chooses_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert jit.cache_dir() == tmp_path / jit.source_hash()


def test_a_place_that_can_be_written_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(jit, "TREE", tmp_path)  # no source tree: an installed package
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert jit.cache_dir() == tmp_path / "cache" / "gfpmodel" / jit.source_hash()
    (tmp_path / "pyproject.toml").touch()
    assert jit.cache_dir() == tmp_path / ".cache" / "numba" / jit.source_hash()


def test_the_hash_is_over_all_of_the_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = jit.source_hash()
    assert len(before) == 16
    for file in Path(jit.__file__).parent.glob("*.py"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "jit.py"))
    assert jit.source_hash() == before
    (tmp_path / "pcp.py").write_text("# changed\n")
    assert jit.source_hash() != before


def test_a_view_shares_the_array() -> None:
    array = np.zeros(3, np.uint32)
    jit.view(array)[1] = 7
    assert array[1] == 7
    assert jit.view(None) is None
