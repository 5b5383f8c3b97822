"""Find the reports in a log, a line at a time: memory is bounded whatever the log's length."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import BinaryIO

from gfpmodel.errors import InputError
from gfpmodel.gfp.releases import reported_release
from gfpmodel.io.streams import BROKEN, ENDLESS, open_bytes
from gfpmodel.io.text import LONGEST_LINE, split

#: What begins a report, by its kind.
TITLES = {
    "allocation failure": re.compile(r"page allocation failure: order:|page allocation failure\. order:"),
    "stall": re.compile(r"page allocation stall(?:s)? for "),
    "oom": re.compile(r" invoked oom-killer: "),
    "invalid_wait_context": re.compile(r"\[ BUG: Invalid wait context \]"),
    "sleeping_function": re.compile(r"BUG: sleeping function called from invalid context at "),
    "scheduling_while_atomic": re.compile(r"BUG: scheduling while atomic: "),
    "inconsistent_lock_state": re.compile(r"(?:WARNING|INFO): inconsistent lock state"),
}
LOOKED_FOR = (
    "page allocation failure",
    "page allocation stall",
    "invoked oom-killer",
    "Invalid wait context",
    "sleeping function called from invalid context",
    "scheduling while atomic",
    "inconsistent lock state",
)
_BOOT, _CUT_HEAD = "Linux version ", "Mem-Info:"
WORDS = (*LOOKED_FOR, _BOOT, _CUT_HEAD)  #: without any of them a line begins nothing
BLOCK = 1 << 18  #: bytes that are read at once
LONGEST = 600  #: lines that a report may have: Mem-Info of many nodes, a call trace and what interleaves
AT_ONCE = 16  #: reports of different callers that may be open at the same time


@dataclass
class Found:
    """A report as found: its kind, the number of its first line, and its lines without what a log puts before them.

    ``boot`` is the release of the boot line before it; ``lost`` what could not be kept.
    """

    kind: str
    line: int
    caller: str = ""
    lines: list[str] = field(default_factory=list)
    boot: str | None = None
    lost: list[str] = field(default_factory=list)

    @cached_property
    def release(self) -> str | None:
        """Return the release that the report itself names, else that of the boot before it; asked once it is whole."""
        return next(filter(None, map(reported_release, self.lines)), None) or self.boot


def log_lines(name: str) -> Iterator[str]:
    """Yield a log, ``-`` for standard input, packed or not, as texts of many lines; raises InputError if unreadable.

    Of a line longer than any of a kernel's the end may be left out; bytes that are no text become a mark.
    """
    lines = 0
    with open_bytes(name) as file:
        try:
            while data := file.read(BLOCK):
                if not data.endswith(b"\n"):
                    data += rest_of_line(file, name)
                text = data.decode("utf-8", "replace")
                if not lines and 3 * text.count("\ufffd") > len(data):  # noise has as many bytes of either kind
                    raise InputError("no log: more than a third of its beginning is no text", name)
                lines += data.count(b"\n")
                yield text
        except BROKEN as error:
            raise InputError(f"torn or damaged after this line: {error}", name, lines) from None


def rest_of_line(file: BinaryIO, name: str) -> bytes:
    """Return the rest of a line, of one that is too long the beginning of it; the whole line is read."""
    kept = rest = file.readline(LONGEST_LINE)
    size = len(rest)
    while rest and not rest.endswith(b"\n"):
        rest = file.readline(BLOCK)
        size += len(rest)
        if size > ENDLESS:
            raise InputError(f"a line of more than {ENDLESS >> 20} MiB: no log goes on behind it", name)
    return kept if kept.endswith(b"\n") or not rest else kept + b"\n"


def kind_of(line: str) -> str:
    """Return the kind of the report that a line begins, empty for any other line."""
    if not any(words in line for words in LOOKED_FOR):
        return ""
    return next((kind for kind, title in TITLES.items() if title.search(line)), "")


def reports(texts: Iterable[str], kernel: str | None = None) -> Iterator[Found]:
    """Yield the reports in texts of one line or many, in the order in which they end; ``kernel`` if one names none.

    A line with a printk caller belongs to that caller's report only; a line without one to the newest.  A Mem-Info
    block whose head was cut off is a report of its own kind, ``mem-info``.
    """
    log = Log(boot=kernel)
    before = 0
    for text in texts:
        quiet = not any(words in text for words in WORDS)  # nearly all of a log
        if log.open or not quiet:
            for number, raw in enumerate(text.removesuffix("\n").split("\n"), before + 1):
                yield from log.line(number, raw)
                if quiet and not log.open:
                    break
        before += text.count("\n") or 1
    yield from log.open


@dataclass
class Log:
    """The reports that are open, by their callers, and the release of the last boot."""

    open: list[Found] = field(default_factory=list)
    boot: str | None = None

    def line(self, number: int, raw: str) -> list[Found]:
        """Take the next line; returns the reports that end with it."""
        begins = kind_of(raw)
        if not self.open and not begins:
            if _BOOT in raw:
                self.boot = reported_release(raw) or self.boot
            if _CUT_HEAD not in raw:
                return []
            begins = "mem-info"
        caller, line = split(raw)
        return self.begin(Found(begins, number, caller, [line], self.boot)) if begins else self.add(caller, line)

    def begin(self, new: Found) -> list[Found]:
        """Open a report; returns those that end with it."""
        ended = [one for one in self.open if one.caller == new.caller]
        if len(self.open) - len(ended) >= AT_ONCE:
            ended.append(next(one for one in self.open if one.caller != new.caller))
        self.open = [one for one in self.open if one not in ended] + [new]
        return ended

    def add(self, caller: str, line: str) -> list[Found]:
        """Give a line to its report, if it has one; returns the report if that is full."""
        mine = next((one for one in reversed(self.open) if one.caller == caller), None)
        if mine is None and not caller:
            mine = self.open[-1]  # a line that lost its caller
        if mine is None:
            return []
        mine.lines.append(line)
        if len(mine.lines) < LONGEST:
            return []
        self.open.remove(mine)
        return [mine]
