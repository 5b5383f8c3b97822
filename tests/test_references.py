"""The bibliography: every entry is cited by a chapter and can be found by its id; every id of a chapter is an entry."""

from __future__ import annotations

import re
from pathlib import Path

import chapters
import pytest

BOOK = Path(__file__).resolve().parent.parent / "book"
BIB = (BOOK / "references.bib").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^@\w+\{(\w+), (.*)\}$", BIB, re.MULTILINE))
CHAPTERS = chapters.chapters()
CITE = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
COMMIT = re.compile(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{12}\b")
#: A date and time, or what mail programs put in its place, up to the @ at which the fact sheet cuts.
MESSAGE = re.compile(r"\b20\d{12}\.[\w.-]*\w|\b20\d{6}-[\w-]+\w|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
#: How an entry says where it is to be found.
NUMBER = re.compile(
    r"commit [0-9a-f]{12}\b|message id begins \S{8,}|\w\S*@\w\S*\w|\b20\d{6}-\S+|merged with 20\d{12}\.\S+"
)


def cited(text: str) -> set[str]:
    return {key.strip() for keys in CITE.findall(text) for key in keys.split(",")}


def test_the_file_has_nothing_but_entries_of_one_line_each() -> None:
    assert len(ENTRIES) == BIB.count("\n@") + BIB.startswith("@")


def test_every_entry_is_cited_by_a_chapter() -> None:
    used = {key for it in CHAPTERS for key in cited(it.all_markdown())}
    assert sorted(set(ENTRIES) - used) == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda it: it.doc)
def test_every_citation_has_an_entry(chapter: chapters.Chapter) -> None:
    assert sorted(cited(chapter.all_markdown()) - set(ENTRIES)) == []


@pytest.mark.parametrize("key", sorted(ENTRIES))
def test_an_entry_can_be_found_by_its_number(key: str) -> None:
    assert NUMBER.search(ENTRIES[key].replace("\\_", "_")), ENTRIES[key]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda it: it.doc)
def test_the_ids_of_a_chapter_are_those_of_entries(chapter: chapters.Chapter) -> None:
    text = "\n".join([chapter.all_markdown(), *chapter.sources("code")])
    found = {*COMMIT.findall(text), *MESSAGE.findall(text)}
    assert sorted(it for it in found if it not in BIB.replace("\\_", "_")) == []
