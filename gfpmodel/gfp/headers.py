"""Read the lines of a gfp header that a hunk shows: flags, enumerators and the shift, each with the #ifs around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from unidiff.patch import Line

from gfpmodel.gfp import cexpr

_STATEMENTS = {
    "shift": re.compile(r"^\s*#\s*define\s+(?P<name>__GFP_BITS_SHIFT)\s+(?P<value>\S.*)$"),
    "define": re.compile(r"^\s*#\s*define\s+(?P<name>___GFP_\w+)\s+(?P<value>\S.*)$"),
    "enum": re.compile(r"^\s*(?P<name>___GFP_\w+_BIT)\s*(?:=(?P<value>[^,]+))?,?\s*$"),
}
_DIRECTIVE = re.compile(r"^\s*#\s*(?P<word>ifdef|ifndef|if|elif|else|endif)\b\s*(?P<rest>.*)$")
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|//[^\n]*", re.DOTALL)


@dataclass
class Condition:
    """The test of an ``#if``; None while all we know is that it was opened above the hunk."""

    test: str | None

    def true_in(self, config: Mapping[str, bool]) -> bool | None:
        """Return whether a configuration meets it; None for a test that no CONFIG_ option decides.

        Raises ValueError for a test that is neither.
        """
        if self.test is None or "CONFIG_" not in self.test:
            return None
        return cexpr.condition(self.test, lambda name: int(config.get(name.removeprefix("CONFIG_"), False)))


@dataclass(frozen=True)
class Statement:
    """A line that defines a flag (``define``), a bit number (``enum``) or the shift, and the #if branches it is in."""

    kind: str
    name: str
    value: str
    line: Line
    guards: list[tuple[Condition, bool]] = field(compare=False)

    @property
    def flag(self) -> str:
        """Return the flag it defines, as ``__GFP_X``."""
        return self.name.removesuffix("_BIT")[1:] if self.kind == "enum" else self.name[1:]

    @property
    def options(self) -> list[str]:
        """Return the CONFIG_ options that it depends on."""
        texts = [condition.test or "" for condition, _ in self.guards] + [self.value]
        return re.findall(r"\bCONFIG_(\w+)", " ".join(texts))

    def true_in(self, config: Mapping[str, bool]) -> bool:
        """Return whether a configuration compiles the line in."""
        return all(condition.true_in(config) in (None, branch) for condition, branch in self.guards)


def code_lines(lines: Iterable[Line]) -> list[tuple[Line, str]]:
    """Return lines with their text without comments; the first line may begin inside one."""
    lines = list(lines)
    text = "".join(line.value.rstrip("\n") + "\n" for line in lines)
    opened, closed = text.find("/*"), text.find("*/")
    starred = all(re.match(r"\s*(\*|$)", line.value) for line in lines)
    if (closed >= 0 and not 0 <= opened < closed) or (opened < 0 and starred):
        text = "/*" + text
    code = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text)
    return list(zip(lines, code.split("\n"), strict=False))


def statements(lines: Iterable[Line]) -> list[Statement]:
    """Return the statements of one side of a hunk, in order."""
    found: list[Statement] = []
    stack: list[tuple[Condition, bool]] = []
    for line, code in _joined(code_lines(lines)):
        if match := _DIRECTIVE.match(code):
            _directive(match["word"], match["rest"].strip(), stack, found)
            continue
        for kind, pattern in _STATEMENTS.items():
            if match := pattern.match(code):
                found.append(Statement(kind, match["name"], (match["value"] or "").strip(), line, list(stack)))
                break
    return found


def _joined(rows: list[tuple[Line, str]]) -> Iterator[tuple[Line, str]]:
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


def _directive(word: str, rest: str, stack: list[tuple[Condition, bool]], found: list[Statement]) -> None:
    """Open, turn or close a condition; one that was opened above the hunk was around everything before."""
    if word in ("if", "ifdef", "ifndef"):
        stack.append((Condition(rest), word != "ifndef"))
        return
    if not stack:
        stack.append((Condition(None), True))
        for statement in found:
            statement.guards.append(stack[0])
    condition, branch = stack.pop()
    if word == "else":
        stack.append((condition, not branch))
    elif word == "elif":
        stack.append((Condition(rest), True))
