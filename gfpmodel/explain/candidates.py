"""Which kernels may have printed a report that names none, or none that is known: by its names and by its fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from gfpmodel.gfp.layouts import Layout, kernels, tables, variants
from gfpmodel.gfp.names import decode
from gfpmodel.gfp.reading import WITH_NAMES, Reading, value
from gfpmodel.gfp.releases import release, version_text
from gfpmodel.io.meminfo import MemInfo

Version = tuple[int, int]


@dataclass(frozen=True)
class Candidate:
    """A kernel that may have printed a report: its version and the flags that it has."""

    version: Version
    table: Layout


@dataclass(frozen=True)
class Mark:
    """What a report prints, or does not, and the versions that print it so: from ``since`` on, before ``before``.

    ``outside``: all the others do.
    """

    words: str
    since: Version = (0, 0)
    before: Version = (1000, 0)
    outside: bool = False

    def fits(self, version: Version) -> bool:
        """Return whether a version prints a report so."""
        return (self.since <= version < self.before) != self.outside

    def __str__(self) -> str:
        ends = (f"since v{version_text(self.since)}",) * (self.since > (0, 0))
        ends += (f"before v{version_text(self.before)}",) * (self.before < (1000, 0))
        return f"{self.words} ({'not ' * self.outside}{', '.join(ends)})"


#: Fields of a zone's line, and the first version that prints each.
FIELDS: dict[str, Version] = {"reserved_highatomic": (5, 5), "boost": (5, 16), "free_highatomic": (6, 12)}
_WHOLE = {"free", "min", "low", "high", "active_anon"}  #: these stand on either side of those
_FAILURE = re.compile(r"page allocation failure: order:\d+, mode:0x[0-9a-f]+(\([^)]*\))?(.*)")
_OOM = re.compile(r"invoked oom-killer: gfp_mask=0x[0-9a-f]+\([^)]*\),(.*\border=.*)")


@cache
def versions() -> dict[Version, tuple[str, ...]]:
    """Return the versions whose flags are known, in order, each with its tables."""
    named = (name for name in (*kernels(), *tables()["releases"]) if re.fullmatch(r"v\d+\.\d+(-rc\d+)?", name))
    numbers = {release(name.partition("-")[0]).version for name in named}
    return {v: (release(version_text(v)).table, *("v4.14-lts",) * (v == (4, 14))) for v in sorted(numbers)}


def marks_of(head: str, lines: Sequence[str], info: MemInfo) -> Iterator[Mark]:
    """Yield what a report's form says of its kernel: fields of its zones, and the form of its first lines.

    The releases that added them: RELEASES.md, section 3, of the project's notes; what was not read excludes nothing.
    """
    for name, since in FIELDS.items():
        if any(name in zone.fields for zone in info.zones):
            yield Mark(f"with {name}:", since)
        elif any(zone.fields.keys() >= _WHOLE for zone in info.zones):
            yield Mark(f"without {name}:", before=since)
    yield from marks_of_a_failure(head, lines)
    if oom := _OOM.search(head):
        named = "nodemask=" in oom[1]
        yield (
            Mark("with nodemask=", (4, 9), (5, 0))
            if named
            else Mark("without nodemask=", (4, 10), (5, 0), outside=True)
        )
    if any("oom-kill:constraint=" in line for line in lines):
        yield Mark("with oom-kill:constraint=", (5, 0))
    if any(re.match(r"CPU: \d+ UID: \d+ PID: ", line) for line in lines):
        yield Mark("with UID: beside the CPU", (6, 11))


def marks_of_a_failure(head: str, lines: Sequence[str]) -> Iterator[Mark]:
    """Yield what the first lines of a failure say of its kernel."""
    failure = _FAILURE.search(head)
    if failure is None:
        return
    if ",cpuset=" in failure[2]:
        yield Mark("with cpuset= on the first line", (4, 18))  # vendors' 4.18 has it; of 4.20 to 5.3 none was read
    elif "nodemask=" in failure[2]:
        yield Mark("with nodemask=", (4, 10))
        if any(re.match(r"\S.* cpuset=\S+ mems_allowed=", line) for line in lines[1:3]):
            yield Mark("with cpuset= on a line of its own", before=(5, 4))
    elif failure[1] and not failure[2].strip():
        yield Mark("without nodemask=", before=(4, 13))


@lru_cache(maxsize=256)
def by_names(mask: int, names: str | None, fits: tuple[str, ...]) -> list[Candidate]:
    """Return the kernels that print a mask in these words; where none does, those that have the names, else all.

    Before v4.6 no names were printed.
    """
    every = [Candidate(v, it) for v, found in versions().items() for name in found for it in variants(name)]
    named = [one for one in every if one.version >= WITH_NAMES]
    if names:
        groups: Iterable[list[Candidate]] = (
            [one for one in named if one.table.kernel in fits and prints(one.table, mask, names)],
            [one for one in named if value(names, one.table) is not None],
        )
    else:
        defined = [one for one in every if not mask & ~one.table.defined]
        groups = ([one for one in defined if one.version < WITH_NAMES], defined)
    return first_of_each(next(filter(None, groups), every))


def prints(table: Layout, mask: int, names: str) -> bool:
    """Return whether a kernel prints a mask in these words."""
    return names in (decode(mask, table).text, decode(mask, table).printk)


def first_of_each(found: Iterable[Candidate]) -> list[Candidate]:
    """Return one candidate of each table of a version: its first configuration."""
    return list({(one.version, one.table.kernel): one for one in reversed(list(found))}.values())[::-1]


def candidates(reading: Reading, marks: Sequence[Mark]) -> tuple[list[Candidate], list[str]]:
    """Return the kernels that may have printed a report, and what is to be said of them."""
    named = by_names(reading.mask, reading.asked.names, reading.fits)
    left = [one for one in named if all(mark.fits(one.version) for mark in marks)]
    words = "the names" if reading.asked.names else "the mask without names"
    said = [f"{words} ({span([one.version for one in named])})", *map(str, marks)]
    if not left and not reading.asked.names:  # the line may have been cut before them
        defined = [Candidate(v, t) for v, names in versions().items() for n in names for t in variants(n)]
        fit = [c for c in defined if not reading.mask & ~c.table.defined and all(m.fits(c.version) for m in marks)]
        left = first_of_each(fit)
        said[0] = "the mask, whose names may have been cut off"
    if not left:
        conflict = f"no release prints all of it: {'; '.join(said)}"
        return named, [f"contradiction: {conflict}; the names alone are gone by: {span([o.version for o in named])}"]
    which = span([one.version for one in left])
    return left, [f"it prints what {which} print: {'; '.join(said)}; the rule of each is tried"]


def span(found: Iterable[Version]) -> str:
    """Return versions in words, neighbours drawn together: v5.16 to v6.11."""
    return ", ".join(runs([(version, f"v{version_text(version)}") for version in sorted(set(found))]))


def rules_span(found: Iterable[tuple[int, ...]], latest: int) -> str:
    """Return releases (major, minor, point) in words; a version of which only one end is there is early or late."""
    points: dict[Version, set[int]] = {}
    for major, minor, point in found:
        points.setdefault((major, minor), set()).add(point)
    whole, parts = [], []
    for version, ends in sorted(points.items()):
        if len(ends) > 1:
            whole.append((version, f"v{version_text(version)}"))
        else:
            (end,) = ends
            name = {latest: "late v{}.y", 0: "early v{}.y"}.get(end, f"v{{}}.{end}")
            parts.append(name.format(version_text(version)))
    return ", ".join([*runs(whole), *parts])


def runs(found: Sequence[tuple[Version, str]]) -> Iterator[str]:
    """Yield neighbours among the known versions as one: first to last."""
    order = list(versions())
    start = 0
    for at in range(1, len(found) + 1):
        if at < len(found) and order.index(found[at][0]) == order.index(found[at - 1][0]) + 1:
            continue
        yield found[start][1] if at - start == 1 else f"{found[start][1]} to {found[at - 1][1]}"
        start = at
