"""The kernel functions that the model has, read from the ``Models:`` sentences of its docstrings and comments."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chapters import ROOT, Chapter

PACKAGE = ROOT / "gfpmodel"
FILE = r"[\w./-]+\.[chS]"
#: A file with or without a function, or another function of the same file (", name", " and name").
NAMED = re.compile(rf"(?P<file>{FILE})(?::(?:enum )?(?P<first>\w+))?|(?:,| and) :?(?P<next>\w*_\w*)\b")
TAIL = re.compile(r"[;.:] |, (?=its|as|for|without|which|this|from|inlined)| by its | leaves out|$")
VERSION = re.compile(r"\((?:[^()]|\([^()]*\))*\bv\d[^()]*\)|\([0-9a-f]{12}[^()]*\)")


@dataclass(frozen=True)
class Models:
    """One ``Models:`` sentence: where it stands, on what, and what it says."""

    path: str
    name: str
    text: str


@dataclass(frozen=True, order=True)
class Row:
    """A kernel function, the model's function for it, and the version with what is left out."""

    kernel: str
    file: str
    model: str
    path: str
    note: str


def sentence(text: str) -> list[str]:
    """Return what follows each ``Models:`` up to the end of its paragraph, on one line."""
    return [" ".join(found.split()) for found in re.findall(r"Models:(.*?)(?=\n\s*\n|Models:|\Z)", text, re.DOTALL)]


def in_docstrings(path: str, tree: ast.AST, outer: str = "") -> Iterator[Models]:
    """Yield the sentences of a tree's docstrings."""
    if isinstance(tree, ast.Module | ast.ClassDef | ast.FunctionDef):
        for text in sentence(ast.get_docstring(tree) or ""):
            yield Models(path, outer, text)
    for node in ast.iter_child_nodes(tree):
        name = getattr(node, "name", "") if isinstance(node, ast.ClassDef | ast.FunctionDef) else ""
        yield from in_docstrings(path, node, ".".join(filter(None, (outer, name))))


def in_comments(path: str, source: Path) -> Iterator[Models]:
    """Yield the sentences of a file's comments, each for the name that is assigned next."""
    said: list[str] = []
    with source.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                said += sentence(token.string)
            elif token.type == tokenize.NAME and said:
                yield from (Models(path, token.string, text) for text in said)
                said = []


def all_models() -> list[Models]:
    """Return every ``Models:`` sentence of the package."""
    found: list[Models] = []
    for source in sorted(PACKAGE.rglob("*.py")):
        path = source.relative_to(ROOT).as_posix()
        found += in_docstrings(path, ast.parse(source.read_text(encoding="utf-8")))
        found += in_comments(path, source)
    return found


def outside(text: str) -> str:
    """Return a text of the same length without what stands in parentheses."""
    return re.sub(r"\([^()]*\)", lambda found: "(" + "x" * (len(found[0]) - 2) + ")", text)


def limits(tail: str) -> str:
    """Return what the end of a sentence adds, and of the sentences after it those that say what is left out."""
    first, *others = re.split(r"\.(?:\s+|$)", tail)
    kept = [first.lstrip(";,: "), *(it[0].lower() + it[1:] for it in others if it.startswith("Leaves out"))]
    return "; ".join(filter(None, kept))


def rows_of(models: Models) -> Iterator[Row]:
    """Yield a row for each kernel function that a sentence names, or one for the sentence if it names none."""
    end = TAIL.search(outside(models.text))
    head, tail = models.text[: end.start()], limits(models.text[end.start() :])  # type: ignore[union-attr]
    file, prefix, found = "", "", False
    for match in NAMED.finditer(outside(head)):
        kernel = match["first"] or match["next"] or ""
        if match["file"]:
            file, prefix = match["file"], head[: match.start()].strip() if not found else ""
        elif not file:
            continue
        version = VERSION.search(head, match.end())
        note = " ".join(filter(None, (prefix, version[0].strip("()") if version else "")))
        yield Row(kernel, file, models.name, models.path, "; ".join(filter(None, (note, tail))))
        found = True
    if not found:
        yield Row("", "", models.name, models.path, models.text.rstrip("."))


def rows() -> list[Row]:
    """Return the whole index, by kernel function."""
    found = {row for models in all_models() for row in rows_of(models)}
    return sorted(found, key=lambda row: (not row.kernel, row.kernel.lstrip("_"), row))


def users(row: Row, book: Iterable[Chapter]) -> list[Chapter]:
    """Return the chapters that name the kernel function or import the model's."""
    own = (row.path.removesuffix(".py").replace("/", "."), row.model)
    return [it for it in book if own in it.imports or (row.kernel and it.names(row.kernel))]
