"""One whole sentence for each part of an explanation: what was asked, why it failed, what else would have been."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gfpmodel.explain import slub, vmalloc
from gfpmodel.explain.contradictions import COSTLY_ORDER
from gfpmodel.explain.otherwise import LAST_TRY, tried_last
from gfpmodel.explain.pages import INELIGIBLE, Failure, decisive, failing
from gfpmodel.explain.text import listed
from gfpmodel.explain.zones import Sum, largest_order, shortage
from gfpmodel.gfp.meanings import meaning
from gfpmodel.gfp.names import decode
from gfpmodel.io.meminfo import ORDER_OF_ZONES

TESTS = {
    "mark": "too few pages were free",
    "lowmem_reserve": "too few pages were free besides those kept for requests that can use no higher zone",
    "HIGHATOMIC": "too few pages were free outside the HIGHATOMIC reserve, which this request may not use",
    "CMA": "too few pages were free outside CMA, whose pages this request may not use",
    "block": "no block of this order was free for this type",
    "none": "the numbers pass",
    "unknown": "a number or a rule that decides is not told",
}
#: Who asked for the OOM killer where no request for pages did.
UNASKED = {
    "by hand": "the OOM killer was asked for by hand (SysRq f)",
    "page fault": "the page fault handler asked for the OOM killer, as a fault had failed for want of memory (mask 0)",
}
#: For whom a mask is that would have passed: for others it is no remedy.
MEANT_FOR = {
    "with __GFP_MEMALLOC": "__GFP_MEMALLOC is for callers that soon free more memory than they take",
    "with __GFP_MOVABLE": "__GFP_MOVABLE is for pages that the kernel may move",
}
#: What goes before what the zones lack, by the kind of the report.
BEFORE = {
    "stall": "the request had not failed, it was still reclaiming; when this was printed, ",
    "oom": "reclaim had not helped, and when this was printed, ",
}


def summary(it: Failure, who: str, other: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return a sentence for each part; arguments: the report, its task's name, what other requests come to."""
    return {"asked": asked(it, who), "why": sentence(why(it)), "otherwise": otherwise(it, other)}


def sentence(words: str) -> str:
    """Return words as a sentence."""
    return f"{words[:1].upper()}{words[1:]}."


def asked(it: Failure, who: str) -> str:
    """Return what was asked, and by whom."""
    task = f"The task {who}" if who else "A task"
    if it.unasked:
        return f"No request for pages is told: {UNASKED[it.unasked]}."
    if it.found.kind == "mem-info":
        return "No request is told: these are the zones alone, as SysRq m prints them, or what a cut left of a report."
    if it.reading is None:
        return "What was asked cannot be said, as no mask of a request is printed."
    names = decode(it.reading.mask, it.reading.layout).text if it.reading.mask else "mask 0"
    what = vmalloc.asked(it.found.lines[0]) if it.found.kind in vmalloc.KINDS else pages_asked(it)
    what = slub.asked(it.found.lines) if it.found.kind == slub.KIND else what
    may_sleep = meaning(it.reading.mask, it.reading.layout).may_sleep
    waits = "which may sleep and reclaim" if may_sleep else "which may not sleep"
    return f"{task} asked for {what} with {names}, {waits}."


def pages_asked(it: Failure) -> str:
    """Return how many pages were asked for, with their size where it is told."""
    if it.order is None:
        return "pages (the order is not printed)"
    size = f"{it.info.page_kb << it.order} kB" if it.info.page_kb and it.order <= COSTLY_ORDER * 8 else ""
    if it.order == 0:
        return f"one page{f' of {size}' * bool(size)}"
    pages = f" of {1 << it.order} pages" * (it.order <= COSTLY_ORDER * 8)
    return f"a block{pages} (order {it.order}{f', {size}' * bool(size)})"


def why(it: Failure) -> str:
    """Return why it failed, without a capital and a full stop."""
    whole = {
        "by hand": "no request failed, as the OOM killer was asked for by hand",
        "page fault": "which request of the page fault failed is not printed",
        "memcg": "a memory cgroup reached its limit, so that the free pages of the machine did not matter",
    }
    test = failing(it)
    if isinstance(test, str) and test in whole:
        return whole[test]
    if test == "order":
        return beyond_words(it)
    if it.found.kind in vmalloc.KINDS:
        words = vmalloc.why(it.found.lines[0])
        return f"{words}; when this was printed, {zones_words(it)}" if it.sums else words
    return BEFORE.get(it.found.kind, "") + zones_words(it) if it.sums else without_sums(it)


def zones_words(it: Failure) -> str:
    """Return what the zones that decide lacked."""
    deciding = decisive(it)
    tests = list(dict.fromkeys(s.test for s in deciding))
    if "none" in tests and (last := tried_last(it)):
        return f"too little was free for {LAST_TRY}: {last}"
    if "none" in tests:
        passing = next(s.zone for s in deciding if s.test == "none")
        return f"{passing} had a page to give by these numbers, so that perhaps memory was freed since it was asked"
    if "unknown" in tests:
        which = ", ".join(s.zone for s in deciding if s.test == "unknown")
        lack = untold(it, [s for s in deciding if s.test == "unknown"])
        return f"whether {which} had a page to give cannot be said, {lack}"
    if tests == ["block"]:
        return f"enough pages were free, but no block of order {it.order} for this type (fragmentation)"
    return failed_words(deciding, it.order or 0)


def untold(it: Failure, sums: Sequence[Sum]) -> str:
    """Return why tests cannot be told, in words."""
    if any(zone.mixed for zone in it.info.zones):
        return "as lines of another report are mixed with these"
    if any(s.either for s in sums):
        return "as the kernels that it may be of have different rules"
    if all(doubt.startswith(INELIGIBLE) for s in sums for doubt in s.doubts):
        return "as whether the request was allowed to use it is not told"
    return "as a number is not told"


def failed_words(deciding: Sequence[Sum], order: int) -> str:
    """Return what zones lacked of which all failed: each by its test, or the first one and the nearest."""
    if any(s.test == "block" for s in deciding):
        return "; ".join(by_test(sorted(deciding, key=preferred, reverse=True), order))
    nearest = min(deciding, key=lambda s: s.short)
    first = max(deciding, key=preferred)
    here = f"in {first.zone} {TESTS[first.test]}"
    if len(deciding) == 1:
        return f"{here}: it was {shortage(first)} short"
    near = "it was the nearest" if first is nearest else f"{nearest.zone} was the nearest"
    return f"{here}, no other zone could help, and {near}, {shortage(nearest)} short"


def by_test(sums: Sequence[Sum], order: int) -> Iterator[str]:
    """Yield what zones lack that fail by different tests, those with enough pages and no block in one."""
    pages_enough = [s for s in sums if s.test == "block"]
    for s in sums:
        if s.test == "lowmem_reserve":
            yield f"{s.zone} keeps its pages from this request (lowmem_reserve)"
        elif s.test != "block":
            yield f"in {s.zone} {TESTS[s.test]}: it was {shortage(s)} short"
        elif s is pages_enough[0]:
            names = listed([one.zone for one in pages_enough])
            passes = "had" if any(one.doubts for one in pages_enough) else "passed the mark, but had"
            yield f"{names} {passes} no block of order {order} for this type (fragmentation)"


def preferred(s: Sum) -> int:
    """Return how early a request looks at a zone: the highest is looked at first."""
    return ORDER_OF_ZONES.index(s.zone.rpartition(" ")[2])


def without_sums(it: Failure) -> str:
    """Return why nothing can be said of the zones."""
    if it.found.kind == slub.KIND:
        of = "pages" if it.order is None else f"a block of order {it.order}" if it.order else "a page"
        return f"slab had no free object and got no new slab: {of} was refused, and no zone is printed that tells why"
    if it.reading is None or it.order is None:
        nothing = it.found.kind == "mem-info"
        which = "nothing is told to have failed" if nothing else "which request failed is not printed"
        return f"{which}, so that no zone can be tested"
    if not it.info.zones:
        return "no zone is printed (Mem-Info), so that why it failed cannot be said"
    if not it.rules:
        zones = ", ".join(map(str, it.info.zones))
        return f"the rule of kernels before v4.4 is not modelled, so that which test failed in {zones} is not said"
    if it.empty_zone:
        return f"zone {it.empty_zone}, the highest that the request allows, has no pages here, nor has any below it"
    return "no eligible zone is printed, so that why it failed cannot be said"


def beyond_words(it: Failure) -> str:
    """Return that an order is beyond the largest block, and by what that is known."""
    if largest_order(it.info) is not None:
        return f"order {it.order} is beyond the largest block that this kernel lists, order {it.beyond}"
    usual = f"order {it.beyond}, the largest block of a kernel built as usual"
    return f"order {it.order} is beyond {usual}; this kernel's own is not known, as no blocks are listed"


def otherwise(it: Failure, other: Sequence[tuple[str, str]]) -> str:
    """Return what the other requests come to."""
    other = [(words.partition(", ")[0], result) for words, result in other if words != LAST_TRY]
    if not other:
        return "What another request would have met cannot be computed from this report."
    if "none" in {s.test for s in decisive(it)}:
        mark = "At the min mark" if tried_last(it) else "By these numbers"
        same = [words for words, result in other if not result.startswith("passes in ")]
        without = f"; it would not at once {listed(same, 'or')}" if same else ""
        return f"{mark} it passes as it is, and needs none of the others{without}."
    helps = [words for words, result in other if result.startswith("passes in ")]
    untold = [words for words, result in other if result.startswith("cannot be told")]
    if helps:
        meant = f" {listed([MEANT_FOR[words] for words in helps])}." if MEANT_FOR.keys() >= set(helps) else ""
        return f"It would have got its page {listed(helps, 'or')}.{meant}"
    if untold:
        return f"Whether it would have got its page {listed(untold, 'or')} cannot be told."
    return "None of the other requests tried here would have got its page at once."
