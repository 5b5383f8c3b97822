"""Recordings of the RFC's kernel, booted: page-exact traces and mixes, replayed on the model from their state dumps.

A trace is a state dump, every operation with its pfn, and a state dump.  A mix is, for each run, a header, a state
dump, counts, one digit for each iteration, and a state dump.  What ends exactness is said in a note: lists of other
cpus that were not walked, kswapd woken (it does not run in the model), free pages near a watermark while the kernel's
counter lags behind its lists, pages that other tasks took or freed around a mix.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gfpmodel.errors import InputError
from gfpmodel.evidence.dump import DRIFT, Dump, Lines, differences, read_dump, start
from gfpmodel.evidence.golden import Difference
from gfpmodel.io.text import beginning, read_lines
from gfpmodel.mm import PageAllocator, pack_ops
from gfpmodel.mm.events import WAKE_KSWAPD
from gfpmodel.mm.ops import MAX_OP_ORDER, check_mask
from gfpmodel.mm.run import NO_RESULT, OP_ALLOC, OP_FREE
from gfpmodel.mm.state import MAX_ORDER, MIGRATE_PCPTYPES, ZONE_NAMES
from gfpmodel.proposals import proposal

FAST_TRY = proposal("fast_try")
GFP_KERNEL = 0xCC0
TYPE_FLAGS = (0, 0x8, 0x10)  #: what asks for each type: nothing, __GFP_MOVABLE, __GFP_RECLAIMABLE
MOST_RUNS_ITERATIONS = 1 << 20

Found = tuple[int, Difference | None, tuple[str, ...]]  #: operations that agree, first difference, notes


def is_trace(path: Path) -> bool:
    """Return whether a file begins with a state dump."""
    return bool(re.match(r"\s*(ZONE|LOWMEM_RESERVE|FREE) \w+ ", beginning(path)))


def is_mix(path: Path) -> bool:
    """Return whether a file begins with the header of a mix."""
    return bool(re.match(r"\s*#### .*\bseed=", beginning(path)))


class Operation(NamedTuple):
    """An operation of a trace: its line and number, and what was asked and given (pfn -1: NULL)."""

    line: int
    number: int
    kind: int
    cpu: int
    order: int
    gfp: int
    pfn: int


OPERATION = re.compile(
    r"(?:A (?P<alloc>\d{1,9}) \w+ mt=\d|F (?P<free>\d{1,9}))(?: cpu=(?P<cpu>\d{1,4}))? o=(?P<order>\d\d?)"
    r"(?: gfp=0x(?P<gfp>[0-9a-f]{1,8}))? (?P<pfn>-1|\d{1,10})(?: \w+=-?\w+)*"
)
BEGIN, END, ALL = (re.compile(word + r"\b.*") for word in ("SEQBEGIN", "SEQEND", "SEQFREEALL"))


def read_operations(lines: Lines, cpus: int) -> list[Operation]:
    """Read operations up to the next other line; raises InputError."""
    found: list[Operation] = []
    while lines.peek() in ("A", "F"):
        number = lines.number
        match = lines.take(OPERATION, "an operation: A N K|FT mt= o= gfp= PFN slot=, or F N o= PFN slot=")
        text = match.groupdict()
        kind = OP_FREE if text["alloc"] is None else OP_ALLOC
        if (kind == OP_ALLOC) != (text["gfp"] is not None) or (kind == OP_FREE and text["pfn"] == "-1"):
            raise lines.error("an allocation has a gfp, a free a pfn", number)
        one = Operation(
            number,
            int(text["alloc"] or text["free"]),
            kind,
            int(text["cpu"] or 0),
            int(text["order"]),
            int(text["gfp"] or "0", 16),
            int(text["pfn"]),
        )
        check_operation(one, found[-1].number if found else -1, cpus, lines)
        found.append(one)
    return found


def check_operation(one: Operation, before: int, cpus: int, lines: Lines) -> None:
    """Raise InputError for an operation out of its turn, or with a field out of its range."""
    top = MAX_OP_ORDER if one.kind == OP_ALLOC else MAX_ORDER - 1
    if one.number <= before:
        raise lines.error(f"operation {one.number} after operation {before}", one.line)
    if one.order > top or one.cpu >= cpus or one.pfn >= NO_RESULT:
        raise lines.error(f"order to {top}, cpu to {cpus - 1}, pfn to {NO_RESULT - 1} expected", one.line)
    try:
        check_mask(one.gfp)
    except InputError as error:
        raise lines.error(error.message, one.line) from None


def verify_trace(path: Path) -> Found:
    """Replay a page-exact trace; returns operations that agree, the first difference, notes.  Raises InputError."""
    lines = Lines(str(path), read_lines(path))
    before = read_dump(lines)
    lines.take(BEGIN, "SEQBEGIN")
    ops = read_operations(lines, before.cpus)
    lines.take(END, "an operation or SEQEND")
    lines.take(ALL, "SEQFREEALL")
    ops += read_operations(lines, before.cpus)
    after = read_dump(lines)
    if lines.peek():
        raise lines.error("expected nothing after the second state dump")
    for one, other in pairwise(ops):
        if other.number <= one.number:
            raise lines.error(f"operation {other.number} after operation {one.number}", other.line)
    allocator = start(before, lines, FAST_TRY, 1 << 12, (WAKE_KSWAPD,))
    done, difference = replay(allocator, ops)
    if difference is None:
        difference = first_difference(after, allocator)
    notes = before.unwalked()
    if difference is not None:
        refuse_gaps(ops, difference.line, lines)
        notes += why(allocator, before, ops)
    return done, difference, tuple(notes)


def replay(allocator: PageAllocator, ops: list[Operation]) -> tuple[int, Difference | None]:
    """Run the operations of a trace; returns how many agree, and the first difference."""
    if not ops:
        return 0, None
    columns = [(one.kind, one.cpu, one.order, one.gfp if one.kind == OP_ALLOC else one.pfn) for one in ops]
    words = pack_ops(*(np.array(column, np.int64) for column in zip(*columns, strict=True)))
    results = allocator.prepare(words)
    stopped = allocator.resume(results, 0, len(words))
    pfns = iter(results.pfns.tolist())
    for at, one in enumerate(ops[:stopped]):
        if one.kind == OP_ALLOC:
            pfn = next(pfns)
            got = -1 if pfn == NO_RESULT else pfn
            if got != one.pfn:
                return at, Difference(one.line, "pfn", one.pfn, got)
    if stopped < len(ops):
        error = allocator.explain(results, stopped)
        return stopped, Difference(ops[stopped].line, "pfn", ops[stopped].pfn, error.message)
    return len(ops), None


def first_difference(dump: Dump, allocator: PageAllocator) -> Difference | None:
    """Return where an allocator first differs from a dump."""
    for line, name, expected, got in differences(dump, allocator):
        if expected != got:
            return Difference(line, name, expected, got)
    return None


def refuse_gaps(ops: list[Operation], line: int, lines: Lines) -> None:
    """Raise InputError if operations are missing before the line at which model and trace part."""
    at = 0
    for one in ops:
        if one.line <= line and one.number != at:
            raise lines.error(f"operation {one.number}; expected operation {at}", one.line)
        at = one.number + 1


def why(allocator: PageAllocator, before: Dump, ops: list[Operation]) -> list[str]:
    """Return what could have ended exactness: kswapd, or a counter that lags near a watermark."""
    notes = []
    woken = [event.op for event in allocator.events()]
    if woken:
        line = ops[min(woken[0], len(ops) - 1)].line
        notes.append(f"kswapd was woken {len(woken)} times, first at line {line}; it does not run in the model")
    for index, zone in before.zones.items():
        free, marks = allocator.nr_free(index), allocator.sizes.zones[index].wmark
        reserve = max(zone.reserve)
        apart = min(abs(free - mark - keep) for mark in marks for keep in (0, reserve))
        if apart <= DRIFT * before.cpus:
            notes.append(
                f"zone {zone.name} is {apart} pages from a watermark, where the kernel's per-cpu counter deltas count"
            )
    return notes


# mixes

HEADER = re.compile(r"#### (\w+=\w+(?: \w+=\w+)*)")
COUNTS = re.compile(r"MIX(?:PRE|POST)((?: \w+=\d{1,9}:\d{1,9}/\d{1,9}/\d{1,9}:free\d{1,15})+)")
TOTALS = re.compile(r"MIX (\w+=[\d/]+(?: \w+=[\d/]+)*)")
BITS = re.compile(r"BITS ([0-7]+)")
ASKED = {"seed": 1 << 32, "M": MOST_RUNS_ITERATIONS, "p": 1001, "q": 1001, "D": 1 << 20, "bg_mt": 3, "ft_mt": 3}


@dataclass
class Mix:
    """A mix being run: its parameters, the machine, the generator's state and what was counted."""

    asked: dict[str, int]
    allocator: PageAllocator
    state: int
    counted: dict[str, int] = field(default_factory=dict)
    blocks: list[int] = field(default_factory=lambda: [0] * 5)
    run: int = 0

    def rnd(self) -> int:
        """Draw the next number (xorshift32)."""
        x = self.state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self.state = x
        return x

    def held(self) -> int:
        """Return how many pages cpu 0's lists hold."""
        return sum(self.allocator.pcp_count(0, index) for index in self.allocator.sizes.zones)

    def count(self, name: str, more: int = 1) -> None:
        """Add to a count."""
        self.counted[name] = self.counted.get(name, 0) + more

    def alloc(self, gfp: int) -> int | None:
        """Allocate a page; a list that grew was refilled."""
        before = self.held()
        pfn = self.allocator.alloc_pages(gfp)
        self.count("refills", self.held() > before)
        return pfn

    def free(self, pfn: int | None) -> None:
        """Free a page, if there is one; a list that shrank was drained."""
        if pfn is not None:
            before = self.held()
            self.allocator.free_pages(pfn)
            self.count("drains", self.held() < before)

    def warm(self, pages: int) -> None:
        """Allocate so many pages of each type, then free them."""
        got = [self.allocator.alloc_pages(GFP_KERNEL | flag) for flag in TYPE_FLAGS for _ in range(pages)]
        for pfn in got:
            if pfn is not None:
                self.allocator.free_pages(pfn)

    def fast_try(self) -> int | None:
        """Make the request under test, and count what came of it."""
        before = self.held()
        pfn = self.alloc(FAST_TRY.flag | TYPE_FLAGS[self.asked["ft_mt"]])
        self.count("ft_attempts")
        if pfn is None:
            self.run += 1
            self.count("ft_fail")
            self.count("failruns", self.run == 1)
            self.count("fail_with_pcp_nonempty", before > 0)
            self.counted["maxfailrun"] = max(self.counted.get("maxfailrun", 0), self.run)
        else:
            self.run = 0
            self.blocks[self.allocator.migratetype(pfn)] += 1
        return pfn

    def digits(self) -> str:
        """Run all iterations; returns the digit of each: 1 background page, 2 tried, 4 got a page."""
        asked, slots = self.asked, self.asked["D"] + 1
        background: list[int | None] = [None] * slots
        fast: list[int | None] = [None] * slots
        out = []
        for i in range(asked["M"]):
            s, made = i % slots, 0
            self.free(background[s])
            self.free(fast[s])
            background[s] = fast[s] = None
            if self.rnd() % 1000 < asked["p"]:
                background[s] = self.alloc(GFP_KERNEL | TYPE_FLAGS[asked["bg_mt"]])
                self.count("bg")
                self.count("bg_fail", background[s] is None)
                made |= 1
            if self.rnd() % 1000 < asked["q"]:
                fast[s] = self.fast_try()
                made |= 2 if fast[s] is None else 6
            out.append(str(made))
        return "".join(out)


def pairs(text: str) -> dict[str, str]:
    """Return NAME=VALUE pairs."""
    return dict(pair.split("=") for pair in text.split())


def read_asked(lines: Lines) -> dict[str, int]:
    """Read the header of a run; raises InputError."""
    number = lines.number
    given = pairs(lines.take(HEADER, "the header of a run: #### mem= smp= seed= M= p= q= D= bg_mt= ft_mt=")[1])
    asked = {}
    for name, top in {**ASKED, "warm": 1 << 16}.items():
        text = given.get(name, "0" if name == "warm" else "")
        if not text.isdecimal() or len(text) > 10 or int(text) >= top:
            raise lines.error(f"{name}={text!r}; expected a number below {top}", number)
        asked[name] = int(text)
    return asked


def compare_counts(lines: Lines, word: str, allocator: PageAllocator) -> Difference | None:
    """Compare a line MIXPRE or MIXPOST: cpu 0's pages by type; its free= is the counter that lags."""
    number = lines.number
    match = lines.take(COUNTS, f"{word} ZONE=COUNT:U/M/R:freeN")
    if not match[0].startswith(word + " "):
        raise lines.error(f"expected {word}", number)
    for name, text in pairs(match[1]).items():
        if name not in ZONE_NAMES or ZONE_NAMES.index(name) not in allocator.sizes.zones:
            raise lines.error(f"zone {name!r}, which the state dump has not", number)
        index, expected = ZONE_NAMES.index(name), text.rsplit(":", 1)[0]
        lists = [len(allocator.pcp_list(0, index, t)) for t in range(MIGRATE_PCPTYPES)]
        got = f"{sum(lists)}:{'/'.join(map(str, lists))}"
        if got != expected:
            return Difference(number, f"{word}.{name}", expected, got)
    return None


def verify_mix(path: Path) -> Found:
    """Replay the runs of a mix; returns iterations that agree, the first difference, notes.  Raises InputError."""
    lines = Lines(str(path), read_lines(path))
    done, notes = 0, list[str]()
    while lines.skip_blank():
        more, difference, found = verify_run(lines)
        done += more
        notes += found
        if difference is not None:
            return done, difference, tuple(notes)
    return done, None, tuple(notes)


def verify_run(lines: Lines) -> Found:
    """Replay one run of a mix."""
    begin = lines.number
    asked = read_asked(lines)
    before = read_dump(lines)
    mix = Mix(asked, start(before, lines, FAST_TRY, 1 << 12, (WAKE_KSWAPD,)), asked["seed"])
    notes = before.unwalked()
    rest = find_totals(lines)
    asked["warm"] = int(rest.get("warm", "0")) if rest.get("warm", "0").isdecimal() else 0
    if asked["warm"] >= 1 << 16:
        raise lines.error(f"warm={asked['warm']}; expected less than 65536", begin)
    mix.allocator.drain(0)
    mix.warm(asked["warm"])
    steps: list[Callable[[], Difference | None]] = [
        lambda: compare_counts(lines, "MIXPRE", mix.allocator),
        lambda: compare_digits(lines, mix),
    ]
    difference = None
    for step in steps:
        difference = difference or step()
    if difference is not None:
        return agreeing(difference), difference, (*notes, *why_mix(mix, before))
    after = read_dump(lines)
    moved = after.pages() - before.pages()
    if moved:
        notes.append(
            f"lines {begin} to {lines.at}: other tasks took or freed pages around the run: {moved:+} in its last dump"
        )
    return asked["M"], None, tuple(notes)


def agreeing(difference: Difference) -> int:
    """Return how many iterations agree before a difference."""
    match = re.fullmatch(r"digit\[(\d+)\]", difference.field)
    return int(match[1]) if match else 0


def find_totals(lines: Lines) -> dict[str, str]:
    """Return the line MIX of a run that is still to be read; raises InputError if there is none."""
    for at in range(lines.at, min(lines.at + 4, len(lines.lines))):
        match = TOTALS.fullmatch(lines.lines[at].rstrip())
        if match:
            return pairs(match[1])
    raise lines.error("expected MIXPRE, MIXPOST, MIX and BITS after the state dump")


def compare_digits(lines: Lines, mix: Mix) -> Difference | None:
    """Run a mix; compare its digits, then its counts."""
    at_post = lines.at  # MIXPOST and MIX stand before the digits, but the digits say more
    lines.take(COUNTS, "MIXPOST ZONE=COUNT:U/M/R:freeN")
    totals_line = lines.number
    totals = pairs(lines.take(TOTALS, "MIX NAME=COUNT ...")[1])
    number = lines.number
    expected = lines.take(BITS, "BITS and one digit for each iteration")[1]
    if len(expected) != mix.asked["M"]:
        raise lines.error(f"{len(expected)} digits; expected {mix.asked['M']}", number)
    got = mix.digits()
    if got != expected:
        at = next(i for i, (one, other) in enumerate(zip(expected, got, strict=True)) if one != other)
        return Difference(number, f"digit[{at}]", expected[at], got[at])
    counted = {name: str(value) for name, value in mix.counted.items()}
    counted["from_block_mt"] = "/".join(map(str, mix.blocks))
    for name, text in totals.items():
        known = {name: str(value) for name, value in mix.asked.items()} | {"ns": text}
        found = known.get(name, counted.get(name, "0"))
        if found != text:
            return Difference(totals_line, name, text, found)
    after = lines.at
    lines.at = at_post
    difference = compare_counts(lines, "MIXPOST", mix.allocator)
    lines.at = after
    return difference


def why_mix(mix: Mix, before: Dump) -> list[str]:
    """Return what could have ended a mix's exactness."""
    woken = len(mix.allocator.events())
    notes = [f"kswapd was woken {woken} times; it does not run in the model"] if woken else []
    for index, zone in before.zones.items():
        free = mix.allocator.nr_free(index)
        if min(abs(free - mark) for mark in mix.allocator.sizes.zones[index].wmark) <= DRIFT * before.cpus:
            notes.append(f"zone {zone.name} is near a watermark, where the kernel's per-cpu counter deltas count")
    return notes
