"""Guards over the notebooks and data files of the book: what nbval cannot see.

nbval passes a notebook without outputs, and does not compare pictures and widgets: these tests look there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
NOTEBOOKS = sorted(p for p in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
IGNORED = "nbval-ignore-output"
MAX_CELL_LINES = 15
MAX_FUNCTION_LINES = 5

Cell = Any
Notebook = Any


def read(path: Path) -> Notebook:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.name)
def notebook(request: pytest.FixtureRequest) -> Notebook:
    return read(request.param)


def code_cells(notebook: Notebook) -> list[Cell]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell: Cell) -> list[str]:
    return list(cell.metadata.get("tags", []))


def data_of(cell: Cell) -> list[Any]:
    return [output.data for output in cell.outputs if "data" in output]


def widget_state(notebook: Notebook) -> dict[str, Any]:
    state: dict[str, Any] = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    return state


def pages_of_toc() -> set[str]:
    """The files that _toc.yml names, without their endings."""
    return set(re.findall(r"^\s*(?:- file|root): (\S+)", (ROOT / "_toc.yml").read_text(), re.MULTILINE))


def test_every_page_is_in_the_table_of_contents() -> None:
    pages = [p for p in [*NOTEBOOKS, *BOOK.glob("*.md")] if p.name != "README.md"]
    assert {p.relative_to(ROOT).with_suffix("").as_posix() for p in pages} == pages_of_toc()


def test_it_was_run_once_from_top_to_bottom(notebook: Notebook) -> None:
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_it_holds_its_outputs(notebook: Notebook) -> None:
    assert any(cell.outputs for cell in code_cells(notebook))


def test_no_cell_failed_or_warned(notebook: Notebook) -> None:
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]


def test_nothing_in_it_depends_on_the_run(notebook: Notebook) -> None:
    assert not [cell.id for cell in notebook.cells if "execution" in cell.metadata]
    assert set(notebook.metadata) <= {"kernelspec", "language_info", "widgets"}
    assert "version" not in notebook.metadata.language_info


def test_every_widget_has_its_state(notebook: Notebook) -> None:
    views = [data[VIEW]["model_id"] for cell in code_cells(notebook) for data in data_of(cell) if VIEW in data]
    assert set(views) <= set(widget_state(notebook))


def functions(cell: Cell) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    yield from (node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, kinds))


def test_its_cells_are_thin(notebook: Notebook) -> None:
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= MAX_CELL_LINES, cell.source
        for node in functions(cell):
            assert not isinstance(node, ast.ClassDef), f"class {node.name}"
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name


def test_no_star_import(notebook: Notebook) -> None:
    assert not [cell.id for cell in code_cells(notebook) if re.search(r"import \*", cell.source)]


def is_picture(cell: Cell) -> bool:
    """Everything that it shows is a widget or a bitmap, which nbval does not compare."""
    kinds = [set(data) & {VIEW, "image/png", "image/jpeg"} for data in data_of(cell)]
    return bool(kinds) and all(kinds) and len(kinds) == len(cell.outputs)


def test_only_pictures_are_not_compared(notebook: Notebook) -> None:
    cells = code_cells(notebook)
    for before, cell in zip([None, *cells], cells, strict=False):
        uses_comment = re.search(r"^\s*#\s*(NBVAL|PYTEST_VALIDATE)_", cell.source, re.MULTILINE)
        assert not uses_comment, "use a tag of the cell, not a comment"
        assert "nbval-skip" not in tags(cell)
        if IGNORED in tags(cell):
            assert is_picture(cell), f"{cell.id}: tagged {IGNORED}, but shows text"
            assert before is not None, f"{cell.id}: no cell before it prints the same facts"
            assert before.outputs, f"{cell.id}: the cell before it prints nothing"
            assert IGNORED not in tags(before), f"{cell.id}: the cell before it is not compared either"


class Pictures(HTMLParser):
    """Collects the opening tags of pictures that say nothing to those who do not see them."""

    def __init__(self) -> None:
        super().__init__()
        self.unnamed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        named = given.get("alt") if tag == "img" else given.get("role") == "img" and given.get("aria-label")
        hidden = given.get("aria-hidden") == "true"
        if tag in {"img", "svg"} and not (named or hidden):
            self.unnamed.append(self.get_starttag_text() or tag)


def html_of(notebook: Notebook) -> Iterator[str]:
    for data in (data for cell in code_cells(notebook) for data in data_of(cell)):
        yield from (data[kind] for kind in ("text/html", "image/svg+xml") if kind in data)
    for model in widget_state(notebook).values():
        yield from (value for value in model["state"].values() if isinstance(value, str) and "<" in value)


def test_drawings_have_a_text(notebook: Notebook) -> None:
    parser = Pictures()
    for html in html_of(notebook):
        parser.feed(html)
    assert not parser.unnamed


def test_bitmaps_have_a_text(notebook: Notebook) -> None:
    cells = [cell for cell in code_cells(notebook) if any("image/png" in data for data in data_of(cell))]
    for cell in cells:
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
        assert alt, f"{cell.id}: needs mystnb.image.alt in its metadata"


CODE = {".py", ".pyc", ".typed", ".css", ".md"}
DATA = sorted(
    path
    for folder in ("book/data", "gfpmodel")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix not in CODE
)


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.name)
def test_every_data_file_names_its_origin(path: Path) -> None:
    assert f"`{path.name}`" in (path.parent / "ORIGIN.md").read_text(encoding="utf-8")
