"""Sphinx extension: the reference pages, made from the package, the command line and the chapters.

Each directive writes MyST, which is then read as if it stood in the page:

``{kernel-functions}``   kernel function, model function, chapters
``{public-names} ROOM``  what autodoc says of the public names of a room
``{command} NAME``       a command's help, arguments and options, from its parser
``{contexts}``           the named contexts in words, with their stacks
``{key} PART``           a part of the key to the pictures, drawn
``{apart} WHOLE``        a line of signs taken apart: on each line of the content a part, two blanks, its meaning
``{exercise-list}``      every exercise with its stars and its kind

Public is what a room's ``__all__`` names, and what a chapter imports from it.
"""

from __future__ import annotations

import importlib
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import chapters
import click
import kernel_index
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from gfpmodel.cli import cli
from gfpmodel.locking.contexts import STACKS
from gfpmodel.locking.spoken import PLACES
from gfpmodel.show.legend import LEGEND, apart
from gfpmodel.show.pictures import Picture

#: What has a meaning in reStructuredText and none in a docstring of ours.
SPECIAL = re.compile(r"([\\*|_])")
LITERAL = re.compile(r"(``.*?``|`[^`]+`)", re.DOTALL)
LIST_OF_CITATIONS = '<div role="list" class="citation-list">'
LABEL = re.compile(r"\b(Arguments|Models|Raises):")


class Written(SphinxDirective, ABC):
    """A directive whose content is made."""

    @abstractmethod
    def text(self) -> Iterable[str]:
        """Return the lines, in MyST."""

    def run(self) -> list[nodes.Node]:
        """Read the lines."""
        box = nodes.container(classes=["gfp-reference"])
        self.state.nested_parse(StringList(list(self.text()), self.name), self.content_offset, box)
        return [box]


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return a table's lines."""
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head), *body]


def code(text: str) -> str:
    """Return a text set as code, or nothing."""
    return f"`{text}`" if text else ""


def link(chapter: chapters.Chapter) -> str:
    """Return a link to a chapter by its file's name."""
    return f"[{chapter.doc}]({chapter.doc}.ipynb)"


def as_markdown(note: str) -> str:
    """Return a docstring's words with the names set as code."""
    return re.sub(r"(?<![`\w])(\w*_\w+(?:\(\))?)(?![`\w])", r"`\1`", note)


class KernelFunctions(Written):
    """``{kernel-functions}``."""

    def text(self) -> Iterable[str]:
        """Return the table."""
        book = chapters.chapters()
        head = ("kernel function", "model function", "version, and what is left out", "chapters")
        return table(head, (self.row(row, book) for row in kernel_index.rows()))

    def row(self, row: kernel_index.Row, book: Iterable[chapters.Chapter]) -> tuple[str, ...]:
        """Return one row's cells."""
        kernel = " ".join(filter(None, (code(row.kernel), row.file)))
        model = " ".join(filter(None, (code(row.model), row.path.removeprefix("gfpmodel/"))))
        found = ", ".join(link(it) for it in kernel_index.users(row, book))
        return kernel, model, as_markdown(row.note), found


class ExerciseList(Written):
    """``{exercise-list}``."""

    def text(self) -> Iterable[str]:
        """Return the table."""
        rows = (
            (f"{{ref}}`{it.doc} {number} <{found.label}>` {chapters.STAR * found.stars}", found.kind, found.text)
            for it in chapters.chapters()
            for number, found in enumerate(it.exercises, 1)
        )
        return table(("exercise", "kind", "asks"), (tuple(" ".join(cell.split()) for cell in row) for row in rows))


def public_names(room: str) -> list[tuple[str, str]]:
    """Return the public names of a room, or of the module of that name, as pairs of module and name."""
    package = f"gfpmodel.{room}"
    exported = [(package, name) for name in getattr(importlib.import_module(package), "__all__", ())]
    imported = {pair for it in chapters.chapters() for pair in it.imports if f"{pair[0]}.".startswith(f"{package}.")}
    return [*exported, *sorted(imported - set(exported))]


def documented(module: str, name: str) -> list[str]:
    """Return the directive of autodoc for one name."""
    home = importlib.import_module(module)
    it = getattr(home, name) if hasattr(home, name) else importlib.import_module(f"{module}.{name}")
    if inspect.ismodule(it):
        return [f".. automodule:: {it.__name__}", "   :members:", ""]
    if inspect.isclass(it):
        parts = all(base.__module__.startswith(("gfpmodel.", "abc")) for base in it.__mro__[1:-1])
        inherited = ["   :inherited-members:"] if parts and it.__mro__[1:-1] else []  # a class in several files
        return [f".. autoclass:: {module}.{name}", "   :members:", *inherited, ""]
    if callable(it):
        return [f".. autofunction:: {module}.{name}", ""]
    return [f".. autodata:: {module}.{name}", "   :no-value:", ""]


class PublicNames(Written):
    """``{public-names} ROOM``."""

    required_arguments = 1

    def text(self) -> Iterable[str]:
        """Return what autodoc is asked."""
        lines = [line for pair in public_names(self.arguments[0]) for line in documented(*pair)]
        return ["```{eval-rst}", *lines, "```"]


class Command(Written):
    """``{command} NAME``."""

    required_arguments = 1

    def text(self) -> Iterable[str]:
        """Return what the parser knows."""
        name = self.arguments[0]
        command = cli.commands[name]
        context = click.Context(command, info_name=f"python -m gfpmodel {name}", color=False)
        yield from as_markdown(inspect.cleandoc(command.help or "")).split("\n")
        yield from ("", "```text", command.get_usage(context).removeprefix("Usage: "), "```", "")
        options = [it.get_help_record(context) for it in command.params if isinstance(it, click.Option)]
        yield from table(("option", "meaning"), ((code(it[0]), as_markdown(it[1])) for it in options if it))


class Contexts(Written):
    """``{contexts}``."""

    def text(self) -> Iterable[str]:
        """Return the table: a stack is written out where it is not the name itself."""
        stacks = ((name, ">".join(stack)) for name, stack in STACKS.items())
        rows = (
            (code(name), PLACES[name] + (f": {code(stack)}" if stack not in (name, "") else ""))
            for name, stack in stacks
        )
        return table(("name", "who asks: the stack"), rows)


class Drawn(SphinxDirective, ABC):
    """A directive whose content is a picture of the package."""

    @abstractmethod
    def picture(self) -> Picture:
        """Return the picture."""

    def run(self) -> list[nodes.Node]:
        """Put it into the page as it is."""
        return [nodes.raw("", self.picture()._repr_html_(), format="html")]


class Key(Drawn):
    """``{key} PART``."""

    required_arguments = 1

    def picture(self) -> Picture:
        """Draw the samples of a part."""
        return LEGEND[self.arguments[0]]()


class Apart(Drawn):
    """``{apart} WHOLE``."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def picture(self) -> Picture:
        """Draw the parts with their meanings."""
        parts = [re.split(r" {2,}", line.strip(), maxsplit=1) for line in self.content if line.strip()]
        return apart([(part, means) for part, means in parts], self.arguments[0])


def as_rst(text: str) -> str:
    """Return a docstring's text so that reStructuredText shows it as it was written."""
    parts = LITERAL.split(text)
    for i, part in enumerate(parts):
        parts[i] = LABEL.sub(r"**\1:**", SPECIAL.sub(r"\\\1", part)) if i % 2 == 0 else f"``{part.strip('`')}``"
    return "".join(parts)


def plain_docstring(_app: Sphinx, what: str, _name: str, it: Any, _options: Any, lines: list[str]) -> None:
    """Make a docstring readable to autodoc; a constant does not show the docstring of its type."""
    inherited = what == "data" and "\n".join(lines).strip() == inspect.cleandoc(type(it).__doc__ or "").strip()
    lines[:] = [] if inherited else as_rst("\n".join(lines)).split("\n")


def readable_signature(*event: Any) -> tuple[str | None, str | None]:
    """Write ``...`` for what is no Python in a signature (``<factory>``), so that its types are shown short."""
    signature, returned = event[-2:]
    return signature and re.sub(r"<[^<>]*>", "...", signature), returned


def is_field_of_tuple(_app: Sphinx, _what: str, _name: str, it: Any, _skip: bool, _options: Any) -> bool | None:
    """Leave out the fields of named tuples, which the signature shows."""
    return True if str(getattr(it, "__doc__", "")).startswith("Alias for field number") else None


def add_footer(app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """Say on every page where an error goes, and what the model cannot tell."""
    limits, errata = (app.builder.get_relative_uri(page, f"book/{name}") for name in ("limits", "errata"))
    context["theme_extra_footer"] = (
        f'<p>Before you quote a figure: <a href="{limits}">what this model cannot tell you</a>. '
        f'Something is wrong here? <a href="{errata}">Say so</a>.</p>'
    )


def mend_bibliography(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """Take the role of a list from the box of citations, whose members are no list items to a screen reader."""
    context["body"] = context.get("body", "").replace(LIST_OF_CITATIONS, '<div class="citation-list">')


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives and the hooks."""
    app.add_directive("kernel-functions", KernelFunctions)
    app.add_directive("public-names", PublicNames)
    app.add_directive("command", Command)
    app.add_directive("contexts", Contexts)
    app.add_directive("key", Key)
    app.add_directive("apart", Apart)
    app.add_directive("exercise-list", ExerciseList)
    app.connect("autodoc-process-docstring", plain_docstring)
    app.connect("autodoc-process-signature", readable_signature)
    app.connect("autodoc-skip-member", is_field_of_tuple)
    app.connect("html-page-context", add_footer)
    app.connect("html-page-context", mend_bibliography)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
