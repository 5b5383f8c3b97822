"""What the chapters hold: the code that they run, the names that they import, and their exercises."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
STAR = "★"
KINDS = ("prediction", "change of a cell", "project")  #: by stars
INLINE_CODE = re.compile(r"`([^`\n]+)`")
EXERCISE = re.compile(r"```\{exercise-start\}\n:label: (?P<label>\S+)\n```\n(?P<text>.*?)\n```", re.DOTALL)
#: Where an exercise or its solution begins, with its label, and where it ends.
MARK = re.compile(r"```\{(?:exercise|solution)-(?:start\}(?: |\n:label: )(?P<label>\S+)|end\})")
MAKER = re.compile(r"\b(\w+_question|exercise)\(\d")


@dataclass(frozen=True)
class Exercise:
    """An exercise of a chapter: its label, its stars, its text, and the code in it and in its solution."""

    label: str
    stars: int
    text: str
    code: str

    @property
    def kind(self) -> str:
        """Say what it takes, and how one knows that the answer is right."""
        drawn = f", `{self.maker}(seed)`" if self.maker else ""
        return f"{KINDS[self.stars - 1]}{drawn}, {'checked by a cell' if self.code else 'the solution explains'}"

    @property
    def maker(self) -> str:
        """Return the function that makes it from a seed, if one does."""
        found = MAKER.search(self.code)
        return found[1] if found else ""


@dataclass(frozen=True)
class Chapter:
    """A notebook of the book; ``doc`` is its name in links."""

    doc: str
    cells: tuple[Any, ...]

    def sources(self, kind: str) -> list[str]:
        """Return the text of its cells of one kind, ``code`` or ``markdown``."""
        return [cell.source for cell in self.cells if cell.cell_type == kind]

    @cached_property
    def code(self) -> str:
        """Return its cells of code, what they print, and what its text sets as code."""
        spans = [span for text in self.sources("markdown") for span in INLINE_CODE.findall(text)]
        outputs = [out for cell in self.cells if cell.cell_type == "code" for out in cell.outputs]
        printed = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in outputs]
        return "\n".join([*spans, *self.sources("code"), *printed])

    def names(self, function: str) -> bool:
        """Tell whether a kernel function occurs in it; one that is an English word must be written as a call."""
        end = r"\b" if "_" in function else r"\("
        return re.search(rf"\b{re.escape(function)}{end}", self.code) is not None

    @cached_property
    def imports(self) -> frozenset[tuple[str, str]]:
        """Return what it imports from the package, as pairs of module and name."""
        nodes = [node for source in self.sources("code") for node in ast.walk(ast.parse(source))]
        found = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        names = ((node.module or "", alias.name) for node in found for alias in node.names)
        return frozenset((module, name) for module, name in names if module.split(".")[0] == "gfpmodel")

    @cached_property
    def exercises(self) -> list[Exercise]:
        """Return its exercises in order."""
        code = self.code_by_label()
        texts = ((found["label"], found["text"].strip()) for found in EXERCISE.finditer(self.all_markdown()))
        return [
            Exercise(label, len(text) - len(text.lstrip(STAR)), text.lstrip(STAR).strip(), code.get(label, ""))
            for label, text in texts
        ]

    def all_markdown(self) -> str:
        """Return its cells of text, one below the other."""
        return "\n".join(self.sources("markdown"))

    def code_by_label(self) -> dict[str, str]:
        """Return the code that runs within each exercise or its solution."""
        inside, found = None, dict[str, str]()
        for cell in self.cells:
            if cell.cell_type == "code" and inside:
                found[inside] = f"{found.get(inside, '')}\n{cell.source}"
            elif cell.cell_type == "markdown":
                for mark in MARK.finditer(cell.source):
                    inside = mark["label"]
        return found


@cache
def chapters() -> tuple[Chapter, ...]:
    """Return the notebooks in the order of the table of contents."""
    names = re.findall(r"^\s*(?:- file|root): book/(\S+)", (ROOT / "_toc.yml").read_text(), re.MULTILINE)
    paths = (BOOK / f"{name}.ipynb" for name in names)
    return tuple(Chapter(it.stem, tuple(nbformat.read(it, as_version=4).cells)) for it in paths if it.exists())  # type: ignore[no-untyped-call]
