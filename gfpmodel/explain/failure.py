"""Explain an allocation failure, a stall or an OOM block: what was asked, why it failed, what else would have been."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from gfpmodel.explain import slub, vmalloc
from gfpmodel.explain.candidates import span
from gfpmodel.explain.contradictions import COSTLY_ORDER
from gfpmodel.explain.otherwise import LAST_TRY, calls_oom_killer, last_try, otherwise, tried_last, waits
from gfpmodel.explain.pages import Failure, Rules, by_node, decisive, failing, read_failure, sums_of
from gfpmodel.explain.request import Asks, without_limits
from gfpmodel.explain.summary import UNASKED, beyond_words, summary, untold, without_sums
from gfpmodel.explain.zones import Sum, shortage
from gfpmodel.gfp.meanings import Meaning, meaning
from gfpmodel.gfp.names import decode
from gfpmodel.gfp.reading import Reading
from gfpmodel.io.meminfo import ORDER_OF_ZONES

__all__ = ["facts", "read_failure"]

CONSTRAINTS = {"CPUSET": "the task's cpuset", "MEMORY_POLICY": "the task's memory policy"}
FREED = "by these numbers it would have got a page: perhaps memory was freed between the failure and this report"
FREED_STALL = "by these numbers it would get a page now: perhaps memory was freed just before this report"
#: Before the task's name may be left what the first line alone has: a date that is not repeated, a console's login.
_WHO = re.compile(
    r"^(?:\[[^\]]*\] +|\S+ login: )*(.{1,64}?)(?:: page allocation (?:failure|stall)| invoked oom-killer|: vmalloc)"
)


def why(it: Failure) -> list[str]:
    """Return why it failed, in words: one line a zone, and what they come to."""
    if it.unasked:
        return [f"{UNASKED[it.unasked]}: mask and order are no request's"]
    if it.constraint == "MEMCG":
        return ["the limit of a memory cgroup was reached: the zones' marks are not what failed"]
    if it.lacked_room:
        return [vmalloc.why(it.found.lines[0])]
    if it.beyond is not None:
        return [beyond_words(it)]
    lines = list(of_vmalloc(it))
    lines += [f"{s.zone}: {line}" for s in it.sums for line in zone_lines(s, it)]
    lines += [f"{words}: it was not eligible" for words in it.outside]
    if it.constraint in CONSTRAINTS:
        lines.append(f"{CONSTRAINTS[it.constraint]} kept it from a part of the memory ({it.nodes})")
    return [*lines, *of_one_node(it), *what_they_come_to(it)]


def what_they_come_to(it: Failure) -> Iterator[str]:
    """Yield what the zones' tests come to."""
    tests = {s.test for s in decisive(it)}
    if it.found.kind == "stall":
        yield "a stall is no failure: the request was still reclaiming, and what is lacking is that of this moment"
    if "none" in tests and tried_last(it):
        yield f"by these numbers the min mark is passed, but not that of {LAST_TRY}: {tried_last(it)}"
        yield from (f"{s.zone} at the high mark: {in_words(s, it)}" for s in last_try(it))
    elif "none" in tests:
        yield FREED_STALL if it.found.kind == "stall" else FREED
    elif tests == {"block"} and any(s.doubts for s in it.sums):
        yield "fragmentation: the pages are free, but in smaller or other blocks"
    elif tests == {"block"}:
        yield "fragmentation, not the mark: the pages are free, but in smaller or other blocks"
    elif "unknown" in tests:
        yield f"why {verb(it)} cannot be said for certain, {untold(it, [s for s in it.sums if s.test == 'unknown'])}"
    elif not it.sums:
        yield without_sums(it)
    if it.found.kind == "allocation failure" and it.order is not None and persists(it):
        yield (
            "a request of this order that may reclaim and call the OOM killer is as a rule tried again until it gets "
            "a page; it fails, among others, for a task that is being killed (OOM victim) or reclaims (PF_MEMALLOC)"
        )
        yield from of_those_that_fail(it)


def of_those_that_fail(it: Failure) -> Iterator[str]:
    """Yield what the zones come to for the tasks whose requests are not tried again; a mask with __GFP_HIGH apart.

    Models: mm/page_alloc.c:__zone_watermark_ok with ALLOC_OOM, and with ALLOC_NO_WATERMARKS (v4.14 to v7.3); before, a
    victim looked at no mark.
    """
    passes = any(s.test == "none" for s in decisive(it))
    if passes or not it.sums or any(asks.high or not asks.opened for asks in it.asked):
        return
    needs = {
        "an OOM victim (which needs half of the mark)": as_victim,
        "PF_MEMALLOC (which looks at no mark)": without_limits,
    }
    fits = [words for words, change in needs.items() if would_pass(it, change)]
    if len(fits) == len(needs):
        yield (
            f"these numbers do not fit {' nor '.join(fits)}: either would have got a page, so that memory was freed "
            "before this was printed, or the cause is another"
        )
    elif fits:
        yield f"these numbers do not fit {fits[0]}: it would have got a page"


def as_victim(asks: Asks) -> Asks:
    """Return the request of an OOM victim, for which half of the mark is enough, and which no cpuset binds."""
    return replace(asks, high=True, reserves=True, cpuset=False)


def would_pass(it: Failure, change: Callable[[Asks], Asks]) -> bool:
    """Return whether a request passes that may use more; arguments: its report, what makes it of the reported one."""
    rules: Rules = {}
    for asks, releases in it.rules.items():
        rules.setdefault(change(asks), []).extend(releases)
    return any(s.test == "none" for s in sums_of(it, rules)[0])


def persists(it: Failure) -> bool:
    """Return whether the kernel retries a request until it gets a page: it is small, and its flags let it go on.

    Models: mm/page_alloc.c:__alloc_pages_slowpath and :__alloc_pages_may_oom (v4.4 to v7.3).
    """
    if it.asks is None or it.reading is None or it.order is None or it.order > COSTLY_ORDER or it.context.memalloc:
        return False
    mask, bits = it.reading.mask, it.reading.layout.bits
    stops = bits["__GFP_NOFAIL"] | bits.get("__GFP_MEMALLOC", 0)
    return waits(it) and bool(mask & bits["__GFP_FS"]) and not mask & stops and calls_oom_killer(it)


def of_vmalloc(it: Failure) -> Iterator[str]:
    """Yield what a report on an area of virtual memory says of itself."""
    if it.found.kind in vmalloc.KINDS:
        yield vmalloc.why(it.found.lines[0])
        if it.sums:
            yield "the tests below are those of one of its page requests, with the mask as printed"


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


def zone_lines(s: Sum, it: Failure) -> Iterator[str]:
    """Yield one zone's arithmetic in words: once, or for each rule where the kernels differ."""
    if s.either and s.test == "unknown":
        for kernels, one in s.either:
            yield f"by the rule of {kernels}: {in_words(one, it)}"
        yield f"which of these {len(s.either)} answers is right cannot be told"
        return
    yield in_words(s, it)


def in_words(s: Sum, it: Failure) -> str:
    """Return one zone's arithmetic in words."""
    if s.test == "unknown" and not s.mark and not s.free:
        return "; ".join(["cannot be tested", *s.doubts, *s.remarks])
    order, free_of_marks = it.order or 0, it.asks is not None and it.asks.unlimited
    types = f"no block of order {order} or more for this type ({s.blocks or 0} of other types)"
    free = f"{s.free} pages of {s.page_kb} kB free"
    if free_of_marks and s.test != "unknown":
        end = types if s.test == "block" else "there is one"
        return "; ".join([f"{free}; no mark is looked at", end, *s.doubts, *s.remarks])
    if s.quick:
        return "; ".join([quick_words(s, free), *([types] if s.test == "block" else []), *s.doubts, *s.remarks])
    off = [f"{(1 << order) - 1} of the block"] * (order > 0)
    off += [f"{n} {name}" for n, name in ((s.highatomic, "HIGHATOMIC"), (s.cma, "CMA")) if n]
    useful = s.useful - ((1 << order) - 1)
    boost = f" (of min {s.mark}, boost {s.boost} in it)" if s.boost else f" (of min {s.mark})" * (s.keep != s.mark)
    has = free + (f" - {' - '.join(off)} = {useful}" if off else "")
    more = " or more" * any("lowmem_reserve" in doubt for doubt in s.doubts)
    needs = f"must stay above {s.keep}{boost} + lowmem_reserve {s.reserve} = {s.keep + s.reserve}{more}"
    ends = {
        "none": "passes",
        "block": types if s.doubts else f"passes the mark, but {types}",
        "unknown": f"whether it passes cannot be told: {over(useful - s.keep - s.reserve)}"
        if s.doubts
        else "passes the mark; whether a block was there for this type is not printed",
    }
    end = ends.get(s.test, f"{shortage(s)} short: {verb(it)} by {s.test}")
    return "; ".join([f"{has}; {needs}", end, *s.doubts, *s.remarks])


def verb(it: Failure) -> str:
    """Return that a request did not pass: a stalled one has not failed."""
    return "it is held up" if it.found.kind == "stall" else "it failed"


def over(pages: int) -> str:
    """Return how many pages are above what has to remain."""
    return f"{pages} pages are above that" if pages >= 0 else f"{-pages} pages are lacking by the numbers that are told"


def quick_words(s: Sum, free: str) -> str:
    """Return the quick test of order 0 in words: above the whole mark a page is given at once.

    Models: mm/page_alloc.c:zone_watermark_fast (v4.7 to v5.8), which subtracts CMA and no HIGHATOMIC reserve.
    """
    cma = f" - {s.cma} CMA = {s.free - s.cma}" if s.cma else ""
    reserve = f"HIGHATOMIC reserve ({s.highatomic} pages)" if s.highatomic else "HIGHATOMIC reserve"
    needs = f"min {s.mark} + lowmem_reserve {s.reserve} = {s.mark + s.reserve}"
    return f"{free}{cma}; more than {needs}: passes the quick test of order 0, which does not subtract the {reserve}"


def may(it: Failure, reading: Reading) -> Meaning:
    """Return what the mask asks for; how deep it may go by the rule of the release, which its table does not know."""
    found = meaning(reading.mask, reading.layout)
    if it.asks is None or found.watermark is None:
        return found
    return replace(found, watermark=remains(it.asks))


def remains(asks: Asks) -> Fraction:
    """Return the part of the min mark that must remain for a request."""
    if asks.unlimited:
        return Fraction(0)
    return Fraction(1, 1 + asks.high) * Fraction(3 if asks.harder else 4, 4)


def answers(it: Failure, reading: Reading) -> dict[str, str]:
    """Return what the mask asks for, question by question, on this machine."""
    found = may(it, reading).answers
    left = {remains(asks): asks for asks in it.asked}
    if len(left) > 1 and it.sums:
        shown = (replace(may(it, reading), watermark=part).reserves for part in left)
        found["reserves"] = f"{' or '.join(shown)}, by the rule of the kernel"
    if it.asks is not None:
        found["zone"] = zone_words(it)
    return found


def zone_words(it: Failure) -> str:
    """Return which zone the mask names on the machine that printed the report, and which it may fall back to."""
    highest = list(dict.fromkeys(asks.highest for asks in it.asked))
    if not it.info.zones:
        return f"{highest[0]}, as far as told: no zone of this machine is printed"
    top = max(map(ORDER_OF_ZONES.index, highest))
    names = {zone.name for zone in it.info.zones if ORDER_OF_ZONES.index(zone.name) < top}
    lower = [name for name in reversed(ORDER_OF_ZONES[:top]) if name in names and name not in highest]
    below = f", or below it {' or '.join(lower)}" if lower else ""
    return " or ".join(highest) + below


def who(it: Failure) -> str:
    """Return the name of the task that asked, empty if it is not printed."""
    found = _WHO.search(it.found.lines[0])
    return found[1] if found else ""


def facts(it: Failure) -> dict[str, Any]:
    """Return the explanation as plain data: what was asked, why it failed, what would have happened otherwise."""
    asked: dict[str, Any] = {"order": it.order}
    if who(it):
        asked["task"] = who(it)
    if it.found.kind == slub.KIND:
        cache = slub.cache_of(it.found.lines)
        asked["cache"] = cache[1] if cache else None
    if it.reading:
        words = decode(it.reading.mask, it.reading.layout).text
        asked |= {
            "mask": f"{it.reading.mask:#x}",
            "printed": it.reading.asked.names,
            "names": words,
            "agrees": it.reading.agrees,
            "kernel": it.reading.layout.kernel,
            "grade": it.reading.release.grade if it.named else None,
            "may": {} if it.unasked else answers(it, it.reading),
            "zone": " or ".join(dict.fromkeys(asks.highest for asks in it.asked)) or None,
        }
        if not it.named:
            asked["kernel"] = asked["kernels"] = span([one.version for one in it.kernels])
    missing = list(it.info.missing)
    if not it.info.zones and it.constraint != "MEMCG":  # a cgroup's OOM prints none
        missing.append("Mem-Info: no zone is printed")
        missing += ["whether a memory cgroup's limit was reached"] * (it.found.kind == "oom")
    lacks = (("the kernel's release", it.found.release), ("the order", it.order), ("the mask", it.reading))
    missing += [name for name, value in lacks if value is None]
    frames = it.context.interrupt is None and any("+0x" in line for line in it.found.lines)
    missing += ["the line with which the call chain begins"] * frames
    if len({zone.node for zone in it.info.zones}) > 1 and not it.nodes.mems_allowed:
        missing.append("the nodes that the request was allowed (mems_allowed=)")
    task = "a realtime one or an OOM victim" if it.context.memalloc else "a realtime one, PF_MEMALLOC or an OOM victim"
    because, other = why(it), otherwise(it)
    return {
        "kind": it.found.kind,
        "line": it.found.line,
        "release": it.found.release,
        "asked": asked,
        "zones": [s.to_json() for s in it.sums],
        "outside": it.outside,
        "failing": failing(it),
        "why": because,
        "otherwise": [f"{words}: {result}" for words, result in other] + list(costly(it)),
        "summary": summary(it, who(it), other),
        "missing": missing,
        "remarks": [*it.remarks, *(it.reading.remarks if it.reading else ())],
        "unknown": []
        if it.found.kind == "mem-info"
        else [
            f"whether the task was {task}",
            *["what was freed meanwhile"] * (not {FREED, FREED_STALL} & set(because)),
        ],
    }


def costly(it: Failure) -> Iterator[str]:
    """Yield what a costly order comes to: such a request gives up, and nobody is killed for it."""
    if it.reading is None or it.order is None or it.order <= COSTLY_ORDER or not waits(it):
        return
    if it.found.kind in ("oom", *vmalloc.KINDS):  # vmalloc goes on with single pages
        return
    first = f"; for order {COSTLY_ORDER} or less that would have been called first" * calls_oom_killer(it)
    yield (
        f"order {it.order} is above PAGE_ALLOC_COSTLY_ORDER ({COSTLY_ORDER}): such a request gives up after reclaim "
        f"and compaction, without the OOM killer{first}"
    )
