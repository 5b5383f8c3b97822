"""The reference pages without a browser: nothing of the package is missing, and what they say is what runs."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import chapters
import console
import kernel_index
import pytest
import reference

from gfpmodel.cli import cli
from gfpmodel.locking.contexts import ITEMS, STACKS

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
ROOMS = re.findall(r"\{public-names\} (\w+)", (BOOK / "api.md").read_text())
GLOSSARY, NOTATION = ((BOOK / name).read_text() for name in ("glossary.md", "notation.md"))
TERMS = re.findall(r"^(?!:|%)(\S.*)\n  ", GLOSSARY[GLOSSARY.index(":::{glossary}") :], re.MULTILINE)


def test_every_models_sentence_of_the_package_is_in_the_index() -> None:
    said = sum(path.read_text().count("Models:") for path in (ROOT / "gfpmodel").rglob("*.py"))
    sentences = kernel_index.all_models()
    assert len(sentences) == said
    assert all(list(kernel_index.rows_of(it)) for it in sentences)


def test_the_function_of_every_row_exists() -> None:
    for row in kernel_index.rows():
        it = importlib.import_module(row.path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        for name in filter(None, row.model.split(".")):
            it = getattr(it, name)
        assert row.kernel or row.file or row.note, row


def test_rows_are_what_their_sentences_say() -> None:
    text = "the end of mm/a.c:f_one (v5.8; g in v6.1), f_two (v5.9) and mm/b.c:h (v5.8); leaves out x(). Leaves out z."
    rows = list(kernel_index.rows_of(kernel_index.Models("gfpmodel/mm/it.py", "it", text)))
    assert [(row.file, row.kernel) for row in rows] == [("mm/a.c", "f_one"), ("mm/a.c", "f_two"), ("mm/b.c", "h")]
    assert rows[0].note == "the end of v5.8; g in v6.1; leaves out x(); leaves out z"
    assert rows[2].note == "v5.8; leaves out x(); leaves out z"


def test_a_chapter_uses_a_function_whose_word_is_english_only_if_it_calls_it() -> None:
    cell = {"cell_type": "markdown", "source": "fallbacks, `fallbacks`, `expand()`, `rmqueue_bulk`"}
    page = chapters.Chapter("x", (type("Cell", (), cell)(),))
    assert [page.names(it) for it in ("fallbacks", "expand", "rmqueue_bulk", "rmqueue")] == [False, True, True, False]


def test_every_room_of_the_package_has_its_public_names() -> None:
    packages = {path.parent.name for path in (ROOT / "gfpmodel").glob("*/__init__.py")} - {"meeting"}  # a program
    assert set(ROOMS) == packages | {"proposals", "exercises"}
    assert all(reference.public_names(room) for room in ROOMS)


def test_every_public_function_and_class_says_what_it_is() -> None:
    names = [(module, name) for room in ROOMS for module, name in reference.public_names(room)]
    objects = [(name, getattr(importlib.import_module(module), name, None)) for module, name in names]
    assert not [name for name, it in objects if (inspect.isclass(it) or inspect.isfunction(it)) and not it.__doc__]


@pytest.mark.parametrize(
    ("plain", "rst"),
    [
        ("GFP_X|__GFP_Y and *args", r"GFP\_X\|\_\_GFP\_Y and \*args"),
        ("``a_b|c`` and `d_`", "``a_b|c`` and ``d_``"),
        ("Arguments: a mask.", "**Arguments:** a mask."),
    ],
)
def test_a_docstring_is_shown_as_it_was_written(plain: str, rst: str) -> None:
    assert reference.as_rst(plain) == rst


def test_every_command_has_its_section_and_its_example() -> None:
    page = (BOOK / "command_line.md").read_text()
    assert sorted(re.findall(r"^```\{command\} (\w+)$", page, re.MULTILINE)) == sorted(cli.commands)
    assert sorted(it.command.split()[3] for it in console.examples()) == sorted(cli.commands)


@pytest.mark.parametrize("example", console.examples(), ids=lambda it: it.command.split()[3])
def test_an_example_prints_what_the_page_says(example: console.Example) -> None:
    new = console.run_example(example.command)
    assert example.agrees(new), f"python tools/console.py --write\n{new.block()}"


def test_an_example_that_prints_something_else_is_found() -> None:
    example = console.Example("python -m gfpmodel encode GFP_NOWAIT", "0x801\n", "")
    assert not example.agrees(console.run_example(example.command))


@pytest.mark.parametrize("chapter", chapters.chapters(), ids=lambda it: it.doc)
def test_no_exercise_of_a_chapter_is_missing_from_the_list(chapter: chapters.Chapter) -> None:
    labels = re.findall(r"^:label: (ex-\S+)", chapter.all_markdown(), re.MULTILINE)
    assert [it.label for it in chapter.exercises] == labels
    assert all(1 <= it.stars <= len(chapters.KINDS) and it.text for it in chapter.exercises)


def test_an_exercise_from_a_seed_names_its_maker() -> None:
    start = "```{exercise-start}\n:label: ex-x\n```\n★★ Say which.\n"
    code = "question = page_question(7)\nprint(question)"
    kinds = (("markdown", start), ("code", code), ("markdown", "```{exercise-end}\n```"), ("code", "1 + 1"))
    cells = tuple(type("Cell", (), {"cell_type": kind, "source": text})() for kind, text in kinds)
    (found,) = chapters.Chapter("x", cells).exercises
    assert found.text == "Say which."
    assert found.kind == "change of a cell, `page_question(seed)`, checked by a cell"
    assert "1 + 1" not in found.code


def test_every_level_of_a_stack_is_in_the_notation() -> None:
    shown = {level for stack in STACKS.values() for level in stack}
    assert not [level for level in ITEMS if level not in shown and f"`{level}`" not in NOTATION]
    parts = re.findall(r"```\{apart\} (.+)\n((?:.+\n)+?)```", NOTATION)
    assert parts
    for whole, lines in parts:
        said = "".join(line.split("  ")[0] for line in lines.splitlines())
        assert said.replace(" ", "") in whole.replace(" ", ""), whole


def test_the_glossary_is_sorted_and_has_each_term_once() -> None:
    assert sorted(set(TERMS), key=str.lower) == TERMS


def test_the_terms_of_chapters_are_in_the_glossary() -> None:
    roles = {term for it in chapters.chapters() for term in re.findall(r"\{term\}`([^`]+)`", it.all_markdown())}
    names = {found[1] if (found := re.fullmatch(r".*<(.+)>", term)) else term for term in roles}
    assert not names - set(TERMS)
