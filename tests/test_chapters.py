"""How the chapters' tests run (book/conftest.py): a cell that takes too long fails, and those after it do not hide."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent


def chapter(folder: Path, *cells: str) -> str:
    """Write a notebook as the book's stand, with their conftest; run it by hand, and return what pytest said."""
    (folder / "tests").mkdir()
    (folder / "book").mkdir()
    for name in ("tests/jitter.py", "tests/nbval_sanitize.cfg"):
        shutil.copy(ROOT / name, folder / name)
    conftest = (ROOT / "book/conftest.py").read_text(encoding="utf-8")
    (folder / "book/conftest.py").write_text(conftest.replace("CELL_SECONDS = 1800", "CELL_SECONDS = 2"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]
    nbformat.write(notebook, folder / "book/a.ipynb")  # type: ignore[no-untyped-call]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", "--nbval", "book/a.ipynb"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_what_comes_after_a_cell_that_times_out_fails_too(tmp_path: Path) -> None:
    said = chapter(tmp_path, "import threading; threading.Event().wait()", "1 + 1")
    assert "2 failed" in said
    assert "Timeout of 2 seconds exceeded" in said
    assert "not examined: a cell before it timed out" in said


def test_a_chapter_draws_with_jitter(tmp_path: Path) -> None:
    said = chapter(tmp_path, "from gfpmodel.show.figures import px; assert len({px(1e6) for _ in range(99)}) > 1")
    assert "1 passed" in said
