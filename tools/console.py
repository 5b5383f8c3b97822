"""The examples of the command line's page: run each, compare what it prints with the page, or write it there.

An example is a block of kind ``console`` with one command of the package; the line after the block says the exit
status and the names in the JSON. ``...`` in an output stands for anything, for what no run prints twice.

    python tools/console.py           say which example prints something else
    python tools/console.py --write   put what they print into the page
"""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from doctest import ELLIPSIS, OutputChecker
from pathlib import Path
from typing import Any

from chapters import ROOT

from gfpmodel.cli import main as command_line

PAGE = ROOT / "book" / "command_line.md"
BLOCK = re.compile(
    r"```console\n\$ (?P<command>python -m gfpmodel[^\n]*)\n(?P<output>.*?)```\n\n(?P<after>[^\n]*)\n", re.DOTALL
)
MANY = 12  #: more names than this in a JSON object are data, not names


@dataclass(frozen=True)
class Example:
    """A command, what it printed, and the line about its status and its JSON."""

    command: str
    output: str
    after: str

    def agrees(self, with_: Example) -> bool:
        """Tell whether another run printed this, which may have ``...`` in it."""
        same = OutputChecker().check_output(self.output, with_.output, ELLIPSIS)
        return same and (self.command, self.after) == (with_.command, with_.after)

    def block(self) -> str:
        """Return its text in the page."""
        return f"```console\n$ {self.command}\n{self.output}```\n\n{self.after}\n"


def examples(page: Path = PAGE) -> list[Example]:
    """Return the examples of a page."""
    return [
        Example(*found.group("command", "output", "after"))
        for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def run(command: str, *more: str) -> tuple[int, str]:
    """Run a command of the package in this process: its status, and what it prints on stdout."""
    with chdir(ROOT), redirect_stdout(io.StringIO()) as out:
        try:
            command_line([*shlex.split(command)[3:], *more])
        except SystemExit as end:
            return int(end.code or 0), out.getvalue()


def names(facts: Any) -> list[str]:
    """Return the names of a JSON object, those of the objects in it in parentheses."""
    found = []
    for name, value in facts.items():
        inner = value[0] if isinstance(value, list) and value else value
        fixed = (
            isinstance(inner, dict) and 0 < len(inner) <= MANY and all(re.fullmatch(r"[a-z]\w*", it) for it in inner)
        )
        within = f" ({', '.join(f'`{it}`' for it in inner)})" if fixed else ""
        found.append(f"`{name}{'[]' if isinstance(value, list) else ''}`{within}")
    return found


def run_example(command: str) -> Example:
    """Run a command twice, the second time for its JSON."""
    status, output = run(command)
    facts = json.loads(run(command, "--json")[1])
    return Example(command, output, f"Exit status {status}. JSON: {', '.join(names(facts))}.")


def main(argv: list[str]) -> int:
    """Compare or write; return how many examples differ."""
    text, wrong = PAGE.read_text(encoding="utf-8"), 0
    for old in examples():
        new = run_example(old.command)
        if not old.agrees(new):
            wrong += 1
            print(f"{old.command}: prints something else", file=sys.stderr)
            text = text.replace(old.block(), new.block())
    if "--write" in argv:
        PAGE.write_text(text, encoding="utf-8")
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
