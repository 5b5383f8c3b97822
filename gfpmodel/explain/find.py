"""Find the reports in a log, a line at a time: memory is bounded whatever the log's length."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import BinaryIO

from gfpmodel.errors import InputError
from gfpmodel.explain import slub
from gfpmodel.explain.prefix import PACKING, unpacked, without_prefix
from gfpmodel.gfp.releases import reported_release
from gfpmodel.io.streams import BROKEN, ENDLESS, open_bytes
from gfpmodel.io.text import LONGEST_LINE, split

#: What begins a report, by its kind: the words that a line needs, and what it has to look like.
TITLES = {
    "allocation failure": ("page allocation failure", r"page allocation failure[:.] order:"),
    "stall": ("page allocation stall", r"page allocation stalls? for "),
    "vmalloc failure": ("vmalloc: allocation failure", r"vmalloc: allocation failure[,:] "),
    "vmalloc error": ("vmalloc error: size", r"vmalloc error: size \d+"),
    "oom": ("invoked oom-killer", r" invoked oom-killer: "),
    slub.KIND: ("Unable to allocate memory on", r"SL[AU]B: Unable to allocate memory on (?:CPU|node) "),
    "invalid_wait_context": ("Invalid wait context", r"\[ BUG: Invalid wait context \]"),
    "sleeping_function": (
        "sleeping function called from invalid context",
        r"BUG: sleeping function called from .* at",
    ),
    "scheduling_while_atomic": ("scheduling while atomic", r"BUG: scheduling while atomic: "),
    "inconsistent_lock_state": ("inconsistent lock state", r"(?:WARNING|INFO): inconsistent lock state"),
}
#: Reports of locks and of RCU that are named, and not explained.
OUTSIDE = {
    "circular_locking": ("possible circular locking", r"(?:WARNING|INFO): possible circular locking"),
    "recursive_locking": ("possible recursive locking", r"(?:WARNING|INFO): possible recursive locking"),
    "irq_lock_inversion": ("irq lock inversion", r"(?:WARNING|INFO): possible irq lock inversion"),
    "irq_lock_order": ("-unsafe lock order", r"(?:WARNING|INFO): \w+-safe -> \w+-unsafe lock order"),
    "rcu_usage": ("suspicious RCU usage", r"(?:WARNING|INFO): suspicious RCU usage"),
    "unlock_balance": ("bad unlock balance", r"(?:WARNING|BUG): bad unlock balance"),
    "lock_held_at_exit": ("lock held when returning", r"(?:WARNING|BUG): lock held when returning to user space"),
    "freed_lock": ("held lock freed", r"(?:WARNING|BUG): held lock freed"),
    "work_leaks": ("workqueue leaked", r"BUG: workqueue leaked (?:lock|atomic)"),
}
#: What is said below the title of a report on RCU where somebody may sleep in a section: as that on sleeping says it.
ILLEGAL_SLEEP = re.compile(r"Illegal context switch in RCU\S* read-side critical section")
#: What else a kernel reports with a call chain: its lines are not those of the report before it.
OTHER = {
    "other": (
        "BUG: ",
        r"BUG: (?:K[A-Z]+SAN|soft lockup|unable to handle|kernel NULL|Bad page|Bad rss|using [_a-z]+\()",
    ),
    "cut here": ("[ cut here ]", r"\[ cut here \]"),
    "oops": ("general protection fault", r"general protection fault"),
    "abort": ("Unable to handle kernel", r"Unable to handle kernel"),
    "hung": ("blocked for more than", r"INFO: task .* blocked for more than"),
    "stalled": ("detected stalls on CPUs", r"INFO: rcu_\w+ (?:self-)?detected stalls?"),
    "self-stalled": ("self-detected stall", r"INFO: rcu_\w+ self-detected stall"),
}
LOOKED_FOR = tuple(words for words, _ in TITLES.values())
_ALL = {kind: (words, re.compile(title)) for kind, (words, title) in {**TITLES, **OUTSIDE, **OTHER}.items()}
_BOOT, _CUT_HEAD = "Linux version ", "Mem-Info:"
_BROKEN = [words.split() for words, _ in {**TITLES, **OUTSIDE}.values()]  #: a mailer may have broken these titles
#: Without any of them neither a line nor one with the line below it begins anything: of a title the longest word.
WORDS = tuple({*(max(words, key=len) for words in _BROKEN), *(words for words, _ in OTHER.values()), _BOOT, _CUT_HEAD})
#: Behind which a title may be broken.
_BEFORE_BREAK = {
    word.rstrip(":") for words in _BROKEN for word in (*words, "BUG", "WARNING", "INFO", "SLUB", "SLAB", "[")
}
#: What a line of a report may have; of so many lines without any of it one after the other none is a report's.
_SAYS = re.compile(r"0x|[kK]B|ock|[{}<>]|page|ontext|race|ainted|depth|count|abled|Node|mask|\d  +\d|stamp|^$")
QUIET = 64
_ASKED_BY_HAND = re.compile(r"sysrq ?: ", re.IGNORECASE)  #: what SysRq prints is no part of a report before it
APART = 600.0  #: seconds between a title and a Mem-Info block that are not of one report
_STAMP = re.compile(r"\[ *(\d+\.\d{6})\]")  #: seconds since the boot
BLOCK = 1 << 18  #: bytes that are read at once
FIRST_LINES = 8  #: of a report, in which is what it is about
LONGEST = 600  #: lines that a report may have: Mem-Info of many nodes, a call trace and what interleaves
AT_ONCE = 16  #: reports of different callers that may be open at the same time


@dataclass
class Found:
    """A report as found: its kind, the number of its first line, and its lines without what a log puts before them.

    ``boot`` is the release of the boot line before it; ``lost`` what could not be kept.  Reports with one ``session``
    are of one boot: a boot's line came before them, or their time stamps go on; 0 where neither says so.
    """

    kind: str
    line: int
    caller: str = ""
    lines: list[str] = field(default_factory=list)
    boot: str | None = None
    lost: list[str] = field(default_factory=list)
    session: int = 0
    stamp: float | None = None  #: of the title, in seconds since the boot
    quiet: int = 0  #: lines since the last that may be the report's

    @cached_property
    def in_rcu(self) -> bool:
        """Return whether a report on RCU is one on sleeping in a section; a mailer may have broken the line."""
        return "RCU" in self.lines[0] and bool(ILLEGAL_SLEEP.search(" ".join(self.lines[:FIRST_LINES])))

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


def stamp_of(raw: str) -> float | None:
    """Return a line's time stamp in seconds since the boot, None if it has none."""
    found = _STAMP.search(raw)
    return float(found[1]) if found else None


def kind_of(line: str) -> str:
    """Return the kind of the report that a line begins, empty for any other line."""
    return next((kind for kind, (words, title) in _ALL.items() if words in line and title.search(line)), "")


def lines_with_words(text: str) -> list[int]:
    """Return where the lines begin that have words of a title, of a boot or of a block's head, and those before them.

    A mailer may have broken the title, and left its beginning there.
    """
    found = set()
    for words in WORDS:
        at = text.find(words)
        while at >= 0:
            begin = text.rfind("\n", 0, at) + 1
            found |= {begin, text.rfind("\n", 0, begin - 1) + 1 if begin else 0}
            at = text.find(words, at + 1)
    return sorted(found)


def line_at(text: str, at: int) -> tuple[str, int]:
    """Return the line that begins at a place, and where it ends; one with a broken title with the line below it."""
    stop = end_of_line(text, at)
    raw = unpacked(text[at:stop])
    if stop == len(text) or kind_of(raw):
        return raw, stop
    end = end_of_line(text, stop + 1)
    below = split(unpacked(text[stop + 1 : end]))[1]
    whole_titles = (f"{raw.rstrip()}{blank}{below}" for blank in (" ", ""))
    title = None if kind_of(below) else next(filter(kind_of, whole_titles), None)
    return (title, end) if title else (raw, stop)


def end_of_line(text: str, at: int) -> int:
    """Return where the line ends that begins at a place."""
    stop = text.find("\n", at)
    return len(text) if stop < 0 else stop


def unbroken(texts: Iterable[str]) -> Iterator[str]:
    """Yield texts of whole lines, none of which ends where a title may be broken."""
    kept = ""
    for text in texts:
        both = kept + text + "\n" * (not text.endswith("\n"))
        last = both.rfind("\n", 0, -1) + 1
        word = both[last:].rsplit(None, 1)[-1:]
        below = bool(kept) and last == len(kept)  # a title is broken once
        cut = len(both) if below or not word or word[0].rstrip(":") not in _BEFORE_BREAK else last
        kept = both[cut:]
        if cut:
            yield both[:cut]
    if kept:
        yield kept


def reports(texts: Iterable[str], kernel: str | None = None) -> Iterator[Found]:
    """Yield the reports in texts of one line or many, in the order in which they end; ``kernel`` if one names none.

    A line with a printk caller belongs to that caller's report only; a line without one to the newest.  A Mem-Info
    block whose head was cut off is a report of its own kind, ``mem-info``.
    """
    log = Log(boot=kernel)
    before = 0
    for text in unbroken(texts):
        for found in log.text(text, before):
            if found.kind not in OTHER:
                yield whole(found)
        before += text.count("\n")
    yield from (whole(found) for found in log.open if found.kind not in OTHER)


def whole(found: Found) -> Found:
    """Return a report, all of whose lines are there, as what they show it to be, without what a log put before."""
    title = _ALL[found.kind][1] if found.kind in _ALL else re.compile(_CUT_HEAD)
    found.lines = without_prefix(found.lines, title.search(found.lines[0]))
    if found.kind == "rcu_usage" and found.in_rcu:
        found.kind = "sleeping_function"
    return found


@dataclass
class Log:
    """The reports that are open, by their callers, and the release of the last boot."""

    open: list[Found] = field(default_factory=list)
    boot: str | None = None
    session: int = 1
    booted: bool = False  #: a boot's line was seen
    stamp: float | None = None  #: the newest title's, of a boot

    def session_of(self, raw: str) -> int:
        """Return which boot a report is of that a line begins: another where the time goes back, 0 if nothing says."""
        stamp = stamp_of(raw)
        if stamp is not None and self.stamp is not None and stamp < self.stamp:
            self.session, self.booted = self.session + 1, False
        self.stamp = stamp if stamp is not None else self.stamp
        return self.session if stamp is not None or self.booted else 0

    def text(self, text: str, before: int) -> Iterator[Found]:
        """Take a text of whole lines, with ``before`` lines before it; yields the reports that end in it.

        Where no report is open, nearly always, only the lines are looked at that may begin one.
        """
        at, number, end = 0, before, len(text) - 1
        marked = lines_with_words(text)
        here = 0
        while at <= end:
            while here < len(marked) and marked[here] < at:
                here += 1
            if not self.open:
                if here == len(marked):
                    return
                number += text.count("\n", at, marked[here])
                at = marked[here]
            number += 1
            if here < len(marked) and marked[here] == at:
                raw, stop = line_at(text, at)
                yield from self.marked(number, raw)
                number += text.count("\n", at, stop)
            else:
                stop = end_of_line(text, at)
                if not PACKING.match(text, at, stop):
                    yield from self.add(*split(unpacked(text[at:stop])))
            at = stop + 1

    def marked(self, number: int, raw: str) -> list[Found]:
        """Take a line with the words of a title; returns those that end with it: with a boot, all that are open."""
        begins = kind_of(raw)
        if not begins and _BOOT in raw and (release := reported_release(raw)):
            ended, self.open, self.boot = self.open, [], release
            self.session, self.booted, self.stamp = self.session + 1, True, None
            return ended
        caller, line = split(raw)
        ended = []
        if not begins and _CUT_HEAD in raw and (stamp := stamp_of(raw)) is not None:
            ended = [one for one in self.open if one.stamp is not None and stamp - one.stamp > APART]
            self.open = [one for one in self.open if one not in ended]
        if not begins and not self.open:
            if _CUT_HEAD not in raw:
                return ended
            begins = "mem-info"
        of_pages = any(one.kind == "allocation failure" and one.caller == caller for one in self.open)
        if not begins or (begins == slub.KIND and of_pages):  # slab says it below the failure of its page, too
            return ended + self.add(caller, line)
        session, stamp = self.session_of(raw), stamp_of(raw)
        return ended + self.begin(Found(begins, number, caller, [line], self.boot, session=session, stamp=stamp))

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
        if _ASKED_BY_HAND.match(line):
            self.open.remove(mine)
            return [mine]
        mine.lines.append(line)
        mine.quiet = 0 if _SAYS.search(line) else mine.quiet + 1
        if len(mine.lines) < LONGEST and mine.quiet < QUIET:
            return []
        self.open.remove(mine)
        return [mine]
