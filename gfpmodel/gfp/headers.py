"""Read the lines of a gfp header that a hunk shows: flags, enumerators and the shift, each with the #ifs around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from unidiff.patch import Line

from gfpmodel.gfp import cexpr

#: The #if branches around a line, outermost first: each the text of a test and whether it must hold.
Guards = tuple[tuple[str, bool], ...]
UNSEEN = "?"  #: the test of an #if that was opened above the hunk

_STATEMENTS = {
    "shift": re.compile(r"^\s*#\s*define\s+(?P<name>__GFP_BITS_SHIFT)\s+(?P<value>\S.*)$"),
    "define": re.compile(r"^\s*#\s*define\s+(?P<name>___GFP_\w+)\s+(?P<value>\S.*)$"),
    "enum": re.compile(r"^\s*(?P<name>___GFP_\w+_BIT)\s*(?:=(?P<value>[^,]+))?,?\s*$"),
}
_DIRECTIVE = re.compile(r"^\s*#\s*(?P<word>ifdef|ifndef|if|elif|else|endif)\b\s*(?P<rest>.*)$")
_ONE_OPTION = re.compile(r"^(?:defined|IS_ENABLED)\s*\(?\s*(\w+)\s*\)?$")
_STRING_OR_COMMENT = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|/\*.*?(?:\*/|\Z)|//[^\n]*", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """A line that defines a flag (``define``), a bit number (``enum``) or the shift, and the #if branches it is in."""

    kind: str
    name: str
    value: str
    guards: Guards = ()
    line: Line | None = field(default=None, compare=False)

    @property
    def flag(self) -> str:
        """Return the flag it defines, as ``__GFP_X``."""
        return self.name.removesuffix("_BIT")[1:] if self.kind == "enum" else self.name[1:]

    @property
    def options(self) -> list[str]:
        """Return the CONFIG_ options that it depends on."""
        texts = [test for test, _ in self.guards] + [self.value]
        return re.findall(r"\bCONFIG_(\w+)", " ".join(texts))

    def is_same(self, other: Statement) -> bool:
        """Return whether both define the same thing in the same way; where they stand does not matter."""
        alike = (self.kind, self.name) == (other.kind, other.name)
        return alike and (self.kind == "enum" or cexpr.same(self.value, other.value))

    def true_in(self, config: Mapping[str, bool]) -> bool:
        """Return whether a configuration compiles the line in; raises ValueError for a test on anything else."""
        return all(_holds(test, config) == branch for test, branch in self.guards if test != UNSEEN)


def _holds(test: str, config: Mapping[str, bool]) -> bool:
    def value(name: str) -> int:
        if name.startswith("CONFIG_"):
            return int(config.get(name.removeprefix("CONFIG_"), False))
        if name == "__KERNEL__":
            return 1
        raise ValueError(f"cannot tell {name}")

    return cexpr.condition(test, value)


def code_lines(lines: Iterable[Line], *, strings: bool = True) -> list[tuple[Line, str]]:
    """Return lines with their text without comments (and, if asked, strings); the first may begin inside a comment."""
    lines = list(lines)
    text = "".join(line.value.rstrip("\n") + "\n" for line in lines)
    opened, closed = text.find("/*"), text.find("*/")
    starred = all(re.match(r"\s*(\*|$)", line.value) for line in lines)
    if (closed >= 0 and not 0 <= opened < closed) or (opened < 0 and starred):
        text = "/*" + text

    def blank(match: re.Match[str]) -> str:
        if match[0][0] in "\"'":
            return match[0] if strings else '""'
        return "\n" * match[0].count("\n")

    return list(zip(lines, _STRING_OR_COMMENT.sub(blank, text).split("\n"), strict=False))


def joined(rows: list[tuple[Line, str]]) -> Iterator[tuple[Line, str]]:
    """Yield logical lines: continuation lines joined, each standing for its first changed line."""
    text, first = "", None
    for line, code in rows:
        first = line if first is None or (first.is_context and not line.is_context) else first
        text += code.rstrip().removesuffix("\\")
        if not code.rstrip().endswith("\\"):
            yield first, text
            text, first = "", None
    if first is not None:
        yield first, text


def statements(lines: Iterable[Line], outer: Guards = ((UNSEEN, True),)) -> list[Statement]:
    """Return the statements of one side of a hunk, in order; ``outer`` is what encloses its first line."""
    found: list[Statement] = []
    stack: list[Guards] = [outer]
    for line, code in joined(code_lines(lines)):
        if match := _DIRECTIVE.match(code):
            _directive(match["word"], match["rest"].strip(), stack)
            continue
        for kind, pattern in _STATEMENTS.items():
            if match := pattern.match(code):
                guards = tuple(guard for level in stack for guard in level)
                found.append(Statement(kind, match["name"], (match["value"] or "").strip(), guards, line))
                break
    return found


def _directive(word: str, rest: str, stack: list[Guards]) -> None:
    """Open, turn or close a condition."""
    if word in ("if", "ifdef", "ifndef"):
        stack.append((_guard(rest, word != "ifndef"),))
        return
    *before, (test, branch) = stack.pop() if stack and stack[-1] else ((UNSEEN, True),)
    if word == "else":
        stack.append((*before, (test, not branch)))
    elif word == "elif":
        stack.append((*before, (test, not branch), _guard(rest, True)))


def _guard(test: str, branch: bool) -> tuple[str, bool]:
    """Return a test in one spelling: ``defined(X)`` and ``IS_ENABLED(X)`` are X, a leading ``!`` turns the branch."""
    test = test.strip()
    while test.startswith("!"):
        test, branch = test[1:].strip(), not branch
    match = _ONE_OPTION.match(test)
    return (match[1] if match else test), branch
