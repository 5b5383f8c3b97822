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


# The frame of a chapter: question, answer box, the thing to move or look at, the story, exercises, where to go next.

EXERCISE = re.compile(r"```\{exercise-start\}.*?```\{solution-end\}\n```", re.DOTALL)
ROLE = re.compile(r"\{[\w:]+\}`(?:[^`<]*<)?[^`]*`")
ANSWER = re.compile(r":::\{admonition\} The short answer\n:class: gfp-answer\n(.*?)\n:::", re.DOTALL)
FOLD, END_OF_FOLD = '<details class="gfp-predict"><summary>Check your prediction</summary>', "</details>"
MAX_TERMS, LONGEST_SENTENCE, FEWEST_CLAIMS = 12, 30, 3
#: Words of ours, and of kernel jargon, that a chapter may use only with a link to the glossary where they first stand.
PRIVATE = {
    "tenant": "tenant", "raid": "raid", "warm": "warm", "dry": "dry", "foreign": "foreign page", "clean": "clean",
    "cold": "cold", "told off": None, "stray": None, "raided": None, "dear": None, "is no argument": None,
}  # fmt: skip


def pages_in_order() -> list[Path]:
    """The notebooks in the order of _toc.yml, without the front page and the appendices that stand under Reference."""
    chapters = (ROOT / "_toc.yml").read_text().partition("caption: Reference")[0]
    names = re.findall(r"^\s*- file: (\S+)", chapters, re.MULTILINE)
    return [path for path in (ROOT / f"{name}.ipynb" for name in names) if path.exists()]


CHAPTERS = pages_in_order()


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def prose_of(path: Path) -> str:
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph, as words, roles as the text that they show."""
    plain = re.sub(r"\{[\w:]+\}`([^`<]*?)\s*(?:<[^`]*>)?`", r"\1", re.sub(r"\{cite\}`[^`]*`", "", paragraph))
    return [one for one in re.split(r"(?<=[.?!])[)\"'*]*\s+", plain.strip()) if re.search(r"\w", one)]


def words(text: str) -> int:
    return sum(bool(re.search(r"\w", word)) for word in text.split())


def draws(cell: Cell) -> bool:
    """Whether a cell shows a figure or a widget."""
    return any(VIEW in data or "<svg" in data.get("text/html", "") or "image/png" in data for data in data_of(cell))


def test_a_chapter_opens_with_its_question_and_a_short_answer(chapter: Path) -> None:
    first = read(chapter).cells[0].source
    answer = ANSWER.search(first)
    assert answer, f"{chapter.name}: expected the box of the short answer in the first cell"
    assert "?" in first[: answer.start()], f"{chapter.name}: expected the question before the short answer"
    said = sentences(answer[1])
    assert len(said) == 2, said
    assert max(map(words, said)) <= LONGEST_SENTENCE, [(words(one), one) for one in said]


def test_a_chapter_shows_something_before_its_first_section(chapter: Path) -> None:
    for cell in read(chapter).cells:
        assert not (cell.cell_type == "markdown" and re.search(r"^## ", cell.source, re.MULTILINE))
        assert "lesson" not in tags(cell), f"{chapter.name}: code is shown above the first figure"
        if cell.cell_type == "code" and any("text/html" in data or VIEW in data for data in data_of(cell)):
            return


def test_no_output_is_folded_but_a_predicted_one_and_no_figure_at_all(chapter: Path) -> None:
    inside = False
    for cell in read(chapter).cells:
        assert not {"hide-input", "hide-output", "hide-cell", "remove-input"} & set(tags(cell)), cell.source
        if cell.cell_type == "markdown":
            opens, closes = cell.source.rfind(FOLD), cell.source.rfind(END_OF_FOLD)
            assert ("**Predict.**" in cell.source) == (opens >= 0), f"a prediction without its fold: {cell.source}"
            inside = opens > closes if max(opens, closes) >= 0 else inside
        else:
            assert not (inside and draws(cell)), f"a figure in a fold: {cell.source}"
    assert not inside


def test_a_chapter_says_how_it_knows_and_what_would_change_our_mind(chapter: Path) -> None:
    prose = prose_of(chapter)
    assert len(re.findall(r"\{claim\}`", prose)) >= FEWEST_CLAIMS
    assert not re.search(r"\*\((?:Modelled|Measured|Read in source|Reported)", prose), "a label that is no badge"
    assert "What would change our mind" in prose


def test_a_chapter_uses_no_word_of_ours_without_its_entry(chapter: Path) -> None:
    prose = re.sub(
        r"`[^`]*`|\(#[\w-]+\)", "", re.sub(r"\{term\}`(?:([^`<]*) <)?([^`>]*)>?`", r"\1\2\0", prose_of(chapter))
    )
    for word, entry in PRIVATE.items():
        found = re.search(rf"\b{word}(s|ed)?\b(?P<linked>\0?)", prose, re.IGNORECASE)
        assert not found or (entry and found["linked"]), f"{chapter.name}: {found[0]!r} without a link to the glossary"


def test_a_chapter_has_exercises_with_solutions_and_one_that_is_checked(chapter: Path) -> None:
    text = prose_of(chapter)
    asked = re.findall(r"```\{exercise-start\}\n:label: (\S+)", text)
    solved = re.findall(r"```\{solution-start\} (\S+)\n:class: dropdown", text)
    assert len(asked) >= 3, f"{chapter.name}: {len(asked)} exercises; expected three or more"
    assert asked == solved, "each exercise is followed by its solution, hidden in a dropdown"
    assert len(EXERCISE.findall(text)) == len(asked), "an exercise or a solution has no end"
    stars = [re.search(r"^★+", exercise, re.MULTILINE) for exercise in EXERCISE.findall(text)]
    assert all(stars), "each exercise begins with its stars"
    calls = [cell.source for cell in code_cells(read(chapter)) if ".check(" in cell.source]
    assert calls, f"{chapter.name}: no cell checks an answer: see gfpmodel/exercises.py"


def label_of(path: Path) -> str:
    found = re.match(r"\((\S+)\)=", read(path).cells[0].source)
    assert found, f"{path.name}: expected a label in the first line"
    return found[1]


def test_a_chapter_leads_to_the_next(chapter: Path) -> None:
    if chapter == CHAPTERS[-1]:
        return  # it may lead to the reference, or nowhere
    after = CHAPTERS[CHAPTERS.index(chapter) + 1]
    last = prose_of(chapter).strip().splitlines()[-1]
    wanted = rf"\*\*Next\*\*: \{{ref\}}`(?:[^`]*<)?{label_of(after)}>?`"
    assert re.match(wanted, last), f"{chapter.name}: expected **Next**: {{ref}} to {label_of(after)}, found {last}"


def test_a_chapter_explains_a_word_once(chapter: Path) -> None:
    terms = re.findall(r"\{term\}`(?:[^`]*<)?([^`>]*)>?`", prose_of(chapter))
    assert len(terms) == len(set(terms)) <= MAX_TERMS, (
        f"{chapter.name}: {len(terms)} terms; expected {MAX_TERMS} at most"
    )


CODE = {".py", ".pyc", ".typed", ".css", ".html", ".js", ".md"}
DATA = sorted(
    path
    for folder in ("book/data", "gfpmodel")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix not in CODE
)


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.name)
def test_every_data_file_names_its_origin(path: Path) -> None:
    assert f"`{path.name}`" in (path.parent / "ORIGIN.md").read_text(encoding="utf-8")
