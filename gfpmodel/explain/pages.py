"""Read a report of the page allocator's: the request, and each eligible zone's test by the rule of its kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from gfpmodel.errors import InputError
from gfpmodel.explain import slub, vmalloc
from gfpmodel.explain.candidates import Candidate, candidates, marks_of, rules_span, span
from gfpmodel.explain.contradictions import contradictions
from gfpmodel.explain.find import TITLES, Found
from gfpmodel.explain.nodes import Nodes, left_out, nodes_of
from gfpmodel.explain.request import LATEST, Asks, Context, asks_of, context_of, releases_of, without_limits
from gfpmodel.explain.zones import FAILS, HIGHEST_ORDER, Sum, largest_order, zone_test
from gfpmodel.gfp.layouts import Layout
from gfpmodel.gfp.reading import Reading, read
from gfpmodel.io.meminfo import MemInfo, Zone, read_mem_info, zone_sets

RULES_SINCE = (4, 4)  #: before, the mark was halved from order to order, and there was no HIGHATOMIC reserve
BY_HAND = -1  #: the order of an OOM that SysRq asked for
INELIGIBLE = "it may not have been eligible"
_ORDER = re.compile(r"\border[:=](-1|\d{1,3}),")
_MASK = re.compile(r"\b(?:mode:|gfp_mask=|gfp=)0x[0-9a-f]+(?!.*\([^)]*$)")
_IN_MASK = re.compile(r"[0-9a-fx]*\(|[A-Z_|]*[|)]")  #: a line that goes on with a mask or in its names
_CONSTRAINT = re.compile(r"constraint=CONSTRAINT_(NONE|CPUSET|MEMORY_POLICY|MEMCG)")
_MEMCG = re.compile(r"Memory cgroup out of memory|memory: usage \d+kB, limit \d+kB")
#: Makes of a request another one: its mask, under the flags of a kernel.
Change = Callable[[int, Layout], int]
#: What a request may use, each with the releases (major, minor, point) by whose rule it may.
Rules = dict[Asks, list[tuple[int, ...]]]


@dataclass
class Failure:
    """A failure, stall or OOM: ``kernels`` are those that may have printed it, ``rules`` what the request may use."""

    found: Found
    reading: Reading | None
    order: int | None
    info: MemInfo
    nodes: Nodes
    context: Context
    constraint: str = ""
    kernels: list[Candidate] = field(default_factory=list)
    named: bool = True  #: whether the report names a kernel that is known
    rules: Rules = field(default_factory=dict)
    sums: list[Sum] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def asked(self) -> list[Asks]:
        """Return what the request may use, one for each that it may have been."""
        return list(self.rules)

    @property
    def lacked_room(self) -> bool:
        """Return whether no page was refused: an area of virtual memory failed before any was asked for."""
        return self.found.kind in vmalloc.KINDS and vmalloc.lacked_room(self.found.lines[0])

    @property
    def unasked(self) -> str:
        """Return who asked for the OOM killer where no request for pages did, empty where one did.

        Models: drivers/tty/sysrq.c:moom_callback, mm/oom_kill.c:pagefault_out_of_memory (v4.4 to v7.3).
        """
        if self.found.kind != "oom" or self.constraint == "MEMCG":
            return ""
        if self.order == BY_HAND:
            return "by hand"
        return "page fault" if self.order == 0 and self.reading and not self.reading.mask else ""

    @property
    def empty_zone(self) -> str:
        """Return the zone that a request names where neither it nor one below has pages: those that have are printed.

        Empty where one may have been lost, or a node is left out.
        """
        lost = self.sums or not self.outside or self.info.missing or self.lacked_room
        above = all(": above " in words for words in self.outside)
        return " or ".join({asks.highest: None for asks in self.asked}) if above and not lost else ""

    @property
    def unmodelled(self) -> list[Candidate]:
        """Return the kernels that it may be whose rule is not modelled."""
        return [one for one in self.kernels if one.version < RULES_SINCE]

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


def first_line(kind: str, lines: list[str]) -> str:
    """Return the line that names the request, with the next one if it was broken before order or mask, or in them.

    The task's name before the title may be any word, one like an order, too.
    """
    title = re.search(TITLES[kind][1], lines[0]) if kind in TITLES else None
    lines = [lines[0][title.start() if title else 0 :], *lines[1:2]]
    goes_on = len(lines) > 1 and _IN_MASK.match(lines[1])
    whole = _ORDER.search(lines[0]) and _MASK.search(lines[0]) and not goes_on
    return lines[0] if whole else ("" if goes_on else " ").join(lines[:2])


def constraint_of(lines: list[str]) -> str:
    """Return what an OOM was constrained by, as printed, else MEMCG where a cgroup's limit is; empty for nothing."""
    printed = next(filter(None, map(_CONSTRAINT.search, lines)), None)
    if printed:
        return printed[1] if printed[1] != "NONE" else ""
    return "MEMCG" if any(map(_MEMCG.search, lines)) else ""


def read_failure(found: Found) -> Failure:
    """Read a report of the page allocator's and do each eligible zone's arithmetic."""
    head, info = first_line(found.kind, found.lines), read_mem_info(found.lines)
    it = Failure(found, None, None, info, nodes_of(found.lines), context_of(found.lines))
    it.constraint = constraint_of(found.lines)
    it.remarks += found.lost
    if found.kind == "mem-info":
        return it
    it.reading = read_the_mask(head, found.release, it.remarks)
    order = _ORDER.search(head)
    it.order = int(order[1]) if order else None
    if found.kind in vmalloc.KINDS:
        it.order = it.order if order else vmalloc.order_of(head)
    elif found.kind == slub.KIND:
        it.order = slub.order_of(found.lines)
    if it.reading is None:
        return it
    which_kernel(it, head)
    it.remarks += contradictions(it.found.kind, it.order, it.reading, it.info, it.constraint)
    if it.order is None or it.unasked:
        return it
    it.rules = may_have_asked(it, remarks=it.remarks)
    if it.unmodelled:
        whose = f"before v4.4 ({span([one.version for one in it.unmodelled])})"
        it.remarks.append(f"the rule of kernels {whose} is not modelled: no arithmetic is done by it")
    if it.rules and it.constraint != "MEMCG" and it.beyond is None and not it.lacked_room:
        it.sums, it.outside = sums_of(it, it.rules)
    return it


def which_kernel(it: Failure, head: str) -> None:
    """Find the kernels that may have printed a report: the one that it names, or all whose names and fields it has."""
    assert it.reading is not None
    reading = it.reading
    it.named = it.found.release is not None and reading.release.name == it.found.release
    it.kernels = [Candidate(reading.release.version, reading.layout)]
    if it.named:
        return
    it.kernels, said = candidates(reading, list(marks_of(head, it.found.lines, it.info)))
    table = next((one.table for one in it.kernels if one.table.kernel == reading.layout.kernel), it.kernels[0].table)
    it.reading = replace(reading, layout=table)
    unknown = "the kernel is not known" if it.found.release else "no kernel is named"
    it.remarks += [f"{unknown}: {words}" for words in said]


def may_have_asked(it: Failure, change: Change | None = None, remarks: list[str] | None = None) -> Rules:
    """Return what a request may use, by each rule that may be its kernel's; what is not told is a remark.

    Arguments: the report; what makes another mask of the printed one; where remarks go.
    """
    assert it.reading is not None
    assert it.order is not None
    remarks = [] if remarks is None else remarks
    rules: Rules = {}
    for names in zones_built(it, change, remarks):
        for one in it.kernels:
            if one.version < RULES_SINCE:
                continue
            mask = change(it.reading.mask, one.table) if change else it.reading.mask
            for release in releases_of(it.found.release if it.named else None, one.version):
                rules.setdefault(asks_of(mask, one.table, it.order, names, release), []).append(release)
    if it.named and len({release for found in rules.values() for release in found}) > 1 and len(rules) > 1:
        series = ".".join(map(str, it.kernels[0].version))
        if any(set(found) != set(other) for found in rules.values() for other in rules.values()):
            remarks.append(f"stable {series} changed the rule on its way, and which {series}.y this is cannot be told")
    return with_memalloc(it, rules, remarks)


def zones_built(it: Failure, change: Change | None, remarks: list[str]) -> list[set[str]]:
    """Return the sets of zones that the kernel may have been built with, as far as the mask asks for one of them."""
    assert it.reading is not None
    table = it.kernels[0].table
    mask = change(it.reading.mask, table) if change else it.reading.mask
    built = zone_sets(it.info) or ((),)
    names = {zone.name for zone in it.info.zones}.union(set.intersection(*map(set, built)))
    zones = [names]
    for name in ("DMA", "DMA32"):
        if mask & table.bits[f"__GFP_{name}"] and name not in names and any(name in one for one in built):
            remarks.append(f"this kernel may have a zone {name} without pages: then no zone above it was eligible")
            zones.append({*names, name})
    return zones


def with_memalloc(it: Failure, rules: Rules, remarks: list[str]) -> Rules:
    """Return the rules with those of a task that has PF_MEMALLOC, where the report shows that it has."""
    if not it.context.memalloc or all(asks.unlimited or not asks.opened for asks in rules):
        return rules
    own = f"{it.context.memalloc}, so that it has PF_MEMALLOC"
    unlimited: Rules = {}
    for asks, found in rules.items():
        unlimited.setdefault(without_limits(asks) if asks.opened else asks, []).extend(found)
    if it.context.interrupt is None:
        remarks.append(f"{own}; without a call chain, whether an interrupt asked instead cannot be told")
        return rules | unlimited
    remarks.append(f"{own}: no mark is looked at")
    return unlimited


def sums_of(it: Failure, rules: Rules) -> tuple[list[Sum], list[str]]:
    """Return each eligible zone's test, and the zones that are not eligible with the reason."""
    sums, outside = [], []
    for zone in it.info.zones:
        each = [left_out(zone, asks, it.nodes, it.context) for asks in rules]
        reasons = set().union(*each)
        one = zone_test(zone, it.info, list(rules))
        if "" not in reasons or (one.test in FAILS and all(len(found) > 1 for found in each)):  # it gave none anyhow
            outside.append(f"{zone}: {min(reasons - {''})}")
            continue
        if one.test == "unknown" and len(rules) > 1:
            one = replace(one, either=either(zone, it, rules))
        for reason in sorted(reasons - {""}):
            one = replace(one, doubts=(*one.doubts, f"{INELIGIBLE}: {reason}"))
        if it.unmodelled:
            one = replace(one, doubts=(*one.doubts, "whether the rule of kernels before v4.4 applies"))
        told = not it.unmodelled and (len(reasons) == 1 or one.test != "none")
        sums.append(one if told else replace(one, test="unknown", short=0, short_range=()))
    return sums, outside


def either(zone: Zone, it: Failure, rules: Rules) -> tuple[tuple[str, Sum], ...]:
    """Return the answers of a zone that differ from kernel to kernel, each with its kernels; none if they do not."""
    groups: dict[tuple[str, int], tuple[Sum, set[tuple[int, ...]]]] = {}
    for asks, releases in rules.items():
        one = zone_test(zone, it.info, [asks])
        groups.setdefault((one.test, one.short), (one, set()))[1].update(releases)
    sets = [found for _, found in groups.values()]
    if len(sets) < 2 or sum(map(len, sets)) > len(set().union(*sets)):
        return ()  # it is not the kernel that makes the difference
    return tuple((rules_span(found, LATEST), one) for one, found in groups.values())


def by_node(sums: Sequence[Sum]) -> dict[str, list[Sum]]:
    """Return the tests of each node."""
    nodes: dict[str, list[Sum]] = {}
    for one in sums:
        nodes.setdefault(one.zone.rpartition(" ")[0], []).append(one)
    return nodes


def decisive(it: Failure) -> list[Sum]:
    """Return the tests that decide: with __GFP_THISNODE those of the nodes in which no zone passes, if there are any.

    Which node the request named is not printed.
    """
    if it.asks is None or not it.asks.this_node:
        return it.sums
    failed = [sums for sums in by_node(it.sums).values() if all(one.test != "none" for one in sums)]
    return [one for sums in failed for one in sums] or it.sums


def failing(it: Failure) -> str | list[str]:
    """Return the test that failed, or those of all zones that decide."""
    if it.unasked:
        return it.unasked
    if it.constraint == "MEMCG":
        return "memcg"
    if it.lacked_room:
        return "virtual memory"
    if it.beyond is not None:
        return "order"
    if it.empty_zone:
        return "zone"
    tests = sorted({s.test for s in decisive(it)})
    return tests[0] if len(tests) == 1 else tests


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
    return found
