"""Explain an allocation failure or an OOM block: the request, and each eligible zone's test by its kernel's rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.explain.find import Found
from gfpmodel.explain.nodes import Nodes, left_out, nodes_of
from gfpmodel.explain.request import Asks, Context, asks_of, atomic_mask, context_of, releases_of, without_limits
from gfpmodel.explain.zones import HIGHEST_ORDER, Sum, largest_order, zone_test
from gfpmodel.gfp.meanings import Meaning, meaning
from gfpmodel.gfp.names import decode
from gfpmodel.gfp.reading import Reading, read
from gfpmodel.io.meminfo import MemInfo, read_mem_info, zone_sets

RULES_SINCE = (4, 4)  #: before, the mark was halved from order to order, and there was no HIGHATOMIC reserve
BY_HAND = -1  #: the order of an OOM that SysRq asked for
_ORDER = re.compile(r"\border[:=](-1\b|\d{1,3}\b)")
_MASK = re.compile(r"\b(?:mode:|gfp_mask=)0x[0-9a-f]+")
_WHO = re.compile(r"^(.{1,64}?)(?:: page allocation (?:failure|stall)| invoked oom-killer)")
_CONSTRAINT = re.compile(r"constraint=CONSTRAINT_(NONE|CPUSET|MEMORY_POLICY|MEMCG)")
_MEMCG = re.compile(r"Memory cgroup out of memory|memory: usage \d+kB, limit \d+kB")
CONSTRAINTS = {"CPUSET": "the task's cpuset", "MEMORY_POLICY": "the task's memory policy"}


@dataclass
class Failure:
    """An explained failure, stall or OOM; ``asked`` is what the request may use, one for each that it may have been."""

    found: Found
    reading: Reading | None
    order: int | None
    info: MemInfo
    nodes: Nodes
    context: Context
    constraint: str = ""
    asked: list[Asks] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def asks(self) -> Asks | None:
        """Return what the request may use, as far as it can be told."""
        return self.asked[0] if self.asked else None

    @property
    def beyond(self) -> int | None:
        """Return the largest order if the request is beyond it, else None; a list that was cut does not tell it."""
        listed = largest_order(self.info)
        if listed is None and any(zone.blocks for zone in self.info.zones):
            return None
        largest = HIGHEST_ORDER if listed is None else listed
        return largest if self.order is not None and self.order > largest else None


def first_line(lines: list[str]) -> str:
    """Return the line that names the request, with the next one if a mailer broke it before order or mask."""
    whole = _ORDER.search(lines[0]) and _MASK.search(lines[0])
    return lines[0] if whole else " ".join(lines[:2])


def constraint_of(lines: list[str]) -> str:
    """Return what an OOM was constrained by, as printed, else MEMCG where a cgroup's limit is; empty for nothing."""
    printed = next(filter(None, map(_CONSTRAINT.search, lines)), None)
    if printed:
        return printed[1] if printed[1] != "NONE" else ""
    return "MEMCG" if any(map(_MEMCG.search, lines)) else ""


def read_failure(found: Found) -> Failure:
    """Read a report of the page allocator's and do each eligible zone's arithmetic."""
    head, info = first_line(found.lines), read_mem_info(found.lines)
    it = Failure(found, None, None, info, nodes_of(head, found.lines), context_of(found.lines))
    it.constraint = constraint_of(found.lines)
    it.remarks += found.lost
    it.reading = read_the_mask(head, found.release, it.remarks)
    order = _ORDER.search(head)
    it.order = int(order[1]) if order else None
    if it.reading is None or it.order is None or it.order == BY_HAND:
        return it
    it.asked = may_have_asked(it, it.reading.mask, it.remarks)
    if it.reading.release.version < RULES_SINCE:
        it.remarks.append("the rule of kernels before v4.4 is not modelled: no arithmetic is done")
    elif it.constraint != "MEMCG" and it.beyond is None:
        if info.page_kb is None and info.zones:
            it.remarks.append("the size of a page was not printed (it is that of the first block): taken as 4 kB")
        it.sums, it.outside = sums_of(it, it.asked)
    return it


def may_have_asked(it: Failure, mask: int, remarks: list[str]) -> list[Asks]:
    """Return what a mask may use: one, or several where the report does not tell by which rule; that is a remark."""
    assert it.reading is not None
    assert it.order is not None
    table, version = it.reading.layout, it.reading.release.version
    built = zone_sets(it.info) or ((),)
    names = {zone.name for zone in it.info.zones}.union(set.intersection(*map(set, built)))
    zones = [names]
    for name in ("DMA", "DMA32"):
        if mask & table.bits[f"__GFP_{name}"] and name not in names and any(name in one for one in built):
            remarks.append(f"this kernel may have a zone {name} without pages: then no zone above it was eligible")
            zones.append({*names, name})
    releases = releases_of(it.found.release, version)
    asked = [asks_of(mask, table, it.order, names, release) for names in zones for release in releases]
    asked = list(dict.fromkeys(asked))
    if len(asked) > len(zones):
        series = ".".join(map(str, version))
        remarks.append(f"stable {series} changed the rule on its way, and which {series}.y this is cannot be told")
    if it.context.memalloc and not mask & table.bits.get("__GFP_NOMEMALLOC", 0):
        unlimited = [without_limits(asks) for asks in asked]
        own = f"{it.context.memalloc}, so that it has PF_MEMALLOC"
        if it.context.interrupt is None:
            remarks.append(f"{own}; without a call chain, whether an interrupt asked instead cannot be told")
            return asked + unlimited
        remarks.append(f"{own}: no mark is looked at")
        return list(dict.fromkeys(unlimited))
    return asked


def sums_of(it: Failure, asked: list[Asks]) -> tuple[list[Sum], list[str]]:
    """Return each eligible zone's test, and the zones that are not eligible with the reason."""
    sums, outside = [], []
    for zone in it.info.zones:
        reasons = {left_out(zone, asks, it.nodes, it.context) for asks in asked}
        if "" not in reasons:
            outside.append(f"{zone}: {min(reasons)}")
            continue
        one = zone_test(zone, it.info, asked)
        for reason in sorted(reasons - {""}):
            one = replace(one, doubts=(*one.doubts, f"it may not have been eligible: {reason}"))
        sums.append(replace(one, test="unknown") if len(reasons) > 1 and one.test == "none" else one)
    return sums, outside


def by_node(sums: list[Sum]) -> dict[str, list[Sum]]:
    """Return the tests of each node."""
    nodes: dict[str, list[Sum]] = {}
    for one in sums:
        nodes.setdefault(one.zone.rsplit(maxsplit=1)[0], []).append(one)
    return nodes


def decisive(it: Failure) -> list[Sum]:
    """Return the tests that decide: with __GFP_THISNODE those of the nodes in which no zone passes, if there are any.

    Which node the request named is not printed.
    """
    if it.asks is None or not it.asks.this_node:
        return it.sums
    failed = [sums for sums in by_node(it.sums).values() if all(one.test != "none" for one in sums)]
    return [one for sums in failed for one in sums] or it.sums


@lru_cache(maxsize=256)
def read_once(head: str, release: str | None) -> Reading:
    """Return the mask of a line; logs repeat theirs, and each asks every kernel's table.  Raises InputError."""
    return read(head, release)


def read_the_mask(head: str, release: str | None, remarks: list[str]) -> Reading | None:
    """Return the mask of a report under the kernel that it names; say which table was taken where that is not plain."""
    try:
        found = read_once(head, release)
    except InputError as error:
        if release is None:
            remarks.append(f"no mask can be read: {error}")
            return None
        remarks.append(f"the report's kernel: {error}")
        try:
            found = read_once(head, None)
        except InputError as again:
            remarks.append(f"no mask can be read: {again}")
            return None
    named = release is not None and found.release.name == release
    if not named and found.asked.names:
        remarks.append(
            f"the kernel is not known: its names fit {found.fits[0] if found.fits else 'none'}; that table is taken"
        )
    elif not named:
        remarks.append(f"the kernel is not known and no names are printed: {found.layout.kernel}'s table is a guess")
    return found


def otherwise(it: Failure) -> Iterator[str]:
    """Yield what the same machine would have done with another request, each computed."""
    if it.asks is None or it.reading is None or not it.sums:
        return
    asks, table, mask = it.asks, it.reading.layout, it.reading.mask
    changes: list[tuple[str, int, int]] = []  # words, order, mask
    if asks.order:
        changes.append(("order 0", 0, mask))
        changes += [(f"order {n}", n, mask) for n in (asks.order - 1,) if n > 0]
    if not (asks.high and asks.harder) and not asks.unlimited:
        changes.append(("GFP_ATOMIC's reserves", asks.order, atomic_mask(mask, table)))
    if not asks.cma and any(zone.fields.get("free_cma") for zone in it.info.zones):
        movable = mask & ~table.bits["__GFP_RECLAIMABLE"] | table.bits["__GFP_MOVABLE"]
        changes.append(("__GFP_MOVABLE, which may use CMA", asks.order, movable))
    if asks.this_node:
        changes.append(("any node", asks.order, mask & ~table.bits["__GFP_THISNODE"]))
    for words, order, other in changes:
        sums, _ = sums_of(it, may_have_asked(replace(it, order=order), other, []))
        passing, unknown = ([s.zone for s in sums if s.test == test] for test in ("none", "unknown"))
        fails = f"cannot be told of {', '.join(unknown)}" if unknown else "fails as well"
        yield f"with {words}: {'passes in ' + ', '.join(passing) if passing else fails}"


def why(it: Failure) -> list[str]:
    """Return why it failed, in words: one line a zone, and what they come to."""
    if it.order == BY_HAND:
        return ["the OOM killer was asked for by hand (SysRq f): no request failed"]
    if it.constraint == "MEMCG":
        return ["the limit of a memory cgroup was reached: the zones' marks are not what failed"]
    if it.beyond is not None:
        return [beyond_words(it)]
    lines = [f"{s.zone}: {in_words(s, it)}" for s in it.sums]
    lines += [f"{words}: it was not eligible" for words in it.outside]
    if it.constraint in CONSTRAINTS:
        lines.append(f"{CONSTRAINTS[it.constraint]} kept it from a part of the memory ({it.nodes})")
    lines += of_one_node(it)
    tests = {s.test for s in decisive(it)}
    if "none" in tests:
        lines.append("by these numbers it would have got a page: memory was freed between the failure and this report")
    elif tests == {"block"} and any(s.doubts for s in it.sums):
        lines.append("fragmentation: the pages are free, but in smaller or other blocks")
    elif tests == {"block"}:
        lines.append("fragmentation, not the mark: the pages are free, but in smaller or other blocks")
    elif "unknown" in tests:
        lines.append("why it failed cannot be said for certain: a number that decides is not told")
    elif not it.sums:
        lines.append("no eligible zone is printed: why it failed cannot be said")
    return lines


def beyond_words(it: Failure) -> str:
    """Return that an order is beyond the largest block, and by what that is known."""
    if largest_order(it.info) is not None:
        return f"order {it.order} is beyond the largest block that this kernel lists, order {it.beyond}"
    usual = f"order {it.beyond}, the largest block of a kernel built as usual"
    return f"order {it.order} is beyond {usual}; this kernel's own is not known, as no blocks are listed"


def of_one_node(it: Failure) -> Iterator[str]:
    """Yield what __GFP_THISNODE comes to: which node it was is not printed."""
    nodes = by_node(it.sums)
    if it.asks is None or not it.asks.this_node or not nodes:
        return
    only = "__GFP_THISNODE: only the zones of one node are eligible"
    if len(nodes) == 1:
        yield f"{only}, here {next(iter(nodes))}, the only one that is printed and allowed"
        return
    yield f"{only}; which one it asked for is not printed: {' or '.join(nodes)}"
    failed = by_node(decisive(it))
    if len(failed) < len(nodes):
        yield f"every other would have given a page, so that it was {' or '.join(failed)}, if nothing was freed since"


def in_words(s: Sum, it: Failure) -> str:
    """Return one zone's arithmetic in words."""
    if s.test == "unknown" and not s.mark and not s.free:
        return "; ".join(["cannot be tested", *s.doubts, *s.remarks])
    order, free_of_marks = it.order or 0, it.asks is not None and it.asks.unlimited
    types = f"no block of order {order} or more for this type ({s.blocks or 0} of other types)"
    if free_of_marks and s.test != "unknown":
        end = types if s.test == "block" else "there is one"
        return "; ".join([f"{s.free} pages free; no mark is looked at", end, *s.doubts, *s.remarks])
    off = [f"{(1 << order) - 1} of the block"] * (order > 0)
    off += [f"{n} {name}" for n, name in ((s.highatomic, "HIGHATOMIC"), (s.cma, "CMA")) if n]
    useful = s.free - ((1 << order) - 1) - s.highatomic - s.cma
    boost = f" (of min {s.mark}, boost {s.boost} in it)" if s.boost else f" (of min {s.mark})" * (s.keep != s.mark)
    has = f"{s.free} pages free" + (f" - {' - '.join(off)} = {useful}" if off else "")
    more = " or more" * bool(s.doubts)
    needs = f"must stay above {s.keep}{boost} + lowmem_reserve {s.reserve} = {s.keep + s.reserve}{more}"
    above = f"whether it passes cannot be told: {useful - s.keep - s.reserve} pages are above that"
    ends = {
        "none": "passes",
        "block": types if s.doubts else f"passes the mark, but {types}",
        "unknown": above if s.doubts else "passes the mark; whether a block was there for this type is not printed",
    }
    end = ends.get(s.test, f"{s.short} pages short{more}: it failed by {s.test}")
    return "; ".join([f"{has}; {needs}", end, *s.doubts, *s.remarks])


def failing(it: Failure) -> str | list[str]:
    """Return the test that failed, or those of all zones that decide."""
    if it.order == BY_HAND:
        return "by hand"
    if it.constraint == "MEMCG":
        return "memcg"
    if it.beyond is not None:
        return "order"
    tests = sorted({s.test for s in decisive(it)})
    return tests[0] if len(tests) == 1 else tests


def may(it: Failure, reading: Reading) -> Meaning:
    """Return what the mask asks for; how deep it may go by the rule of the release, which its table does not know."""
    found = meaning(reading.mask, reading.layout)
    if it.asks is None or found.watermark is None or reading.release.version < RULES_SINCE:
        return found
    left = Fraction(1, 1 + it.asks.high) * Fraction(3 if it.asks.harder else 4, 4)
    return replace(found, watermark=Fraction(0) if it.asks.unlimited else left)


def facts(it: Failure) -> dict[str, Any]:
    """Return the explanation as plain data: what was asked, why it failed, what would have happened otherwise."""
    asked: dict[str, Any] = {"order": it.order}
    if who := _WHO.search(it.found.lines[0]):
        asked["task"] = who[1]
    if it.reading:
        words = decode(it.reading.mask, it.reading.layout).text
        asked |= {
            "mask": f"{it.reading.mask:#x}",
            "printed": it.reading.asked.names,
            "names": words,
            "agrees": it.reading.agrees,
            "kernel": it.reading.layout.kernel,
            "grade": it.reading.release.grade,
            "may": may(it, it.reading).answers,
            "zone": it.asks.highest if it.asks else None,
        }
    missing = list(it.info.missing)
    if not it.info.zones and it.constraint != "MEMCG":  # a cgroup's OOM prints none
        missing.append("Mem-Info: no zone is printed")
        missing += ["whether a memory cgroup's limit was reached"] * (it.found.kind == "oom")
    lacks = (("the kernel's release", it.found.release), ("the order", it.order), ("the mask", it.reading))
    missing += [name for name, value in lacks if value is None]
    if len({zone.node for zone in it.info.zones}) > 1 and not it.nodes.mems_allowed:
        missing.append("the nodes that the request was allowed (mems_allowed=)")
    task = "a realtime one or an OOM victim" if it.context.memalloc else "a realtime one, PF_MEMALLOC or an OOM victim"
    return {
        "kind": it.found.kind,
        "line": it.found.line,
        "release": it.found.release,
        "asked": asked,
        "zones": [s.to_json() for s in it.sums],
        "outside": it.outside,
        "failing": failing(it),
        "why": why(it),
        "otherwise": list(otherwise(it)),
        "missing": missing,
        "remarks": [*it.remarks, *(it.reading.remarks if it.reading else ())],
        "unknown": [f"whether the task was {task}", "what was freed meanwhile"],
    }
