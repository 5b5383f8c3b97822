"""Explain a report of locks or of sleeping: what was wanted, what forbids it, and whether the model says the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.explain.find import Found
from gfpmodel.explain.lockreport import OWNERS, LockReport, read_locks
from gfpmodel.explain.situation import Situation, kernel_of, place, unnamed
from gfpmodel.explain.slab import OWN_LOCKS, Case, called, differing, outcome, slab_cases, slab_ways
from gfpmodel.explain.waits import LOCKS_BY, Lock, class_of
from gfpmodel.locking.cells import read_request
from gfpmodel.locking.classes import LockClass
from gfpmodel.locking.kernels import Kernel
from gfpmodel.locking.reports import PRINTED, Report
from gfpmodel.locking.slab_rows import missing
from gfpmodel.locking.verdict import Setup, Verdict, make_request, verdict

#: The cases of the page allocator: requests and lists' states of every kind that takes another lock.
CASES = (
    *((name, pcp, False) for name in ("Z0", "K0", "Z1", "K1") for pcp in ("dry", "warm")),
    *((name, "dry", False) for name in ("N0", "A0")),
    *(("N0", "boostwm", False), ("FREE", "full", False), ("FREE", "warm", False)),
    *((name, pcp, True) for name in ("Z0", "N0") for pcp in ("warm", "dry")),
)  #: the name of the request, the state of the lists, and whether page_owner is on


#: What the reports ask that are named only: their answer is in the code that took the locks, not in a request.
ASKS = {
    "circular_locking": "the order in which two tasks take their locks",
    "recursive_locking": "a task that takes a lock of a class which it holds",
    "irq_lock_inversion": "the order in which a task and an interrupt take their locks",
    "irq_lock_order": "the order in which a task and an interrupt take their locks",
    "rcu_usage": "what is read without RCU's protection",
    "unlock_balance": "the release of a lock that nobody holds",
    "lock_held_at_exit": "a return to user space with a lock held",
    "freed_lock": "memory that is freed with a lock held in it",
    "work_leaks": "a work item that ends with a lock held or preemption off",
}


@dataclass
class Comparison:
    """A report against the model: what is said of it, whether they agree (None: it cannot be asked), and the cases."""

    said: str
    agrees: bool | None = None
    cases: list[dict[str, str]] = field(default_factory=list)


def owner(it: LockReport) -> str:
    """Return whose request the call chain was: the innermost known, with the function; empty if none is."""
    places = it.wanted.places if it.wanted else []
    for call in (*places, *it.calls):
        for name, pattern in OWNERS.items():
            if pattern.match(call):
                return f"{name} ({call})"
    return ""


@lru_cache(maxsize=1 << 12)
def case(kernel: Kernel, name: str, setup: Setup, where: str) -> Verdict | None:
    """Return the verdict on one case, None where it cannot be or is not modelled."""
    try:
        number = re.search(r"\d", name)
        return verdict(read_request(name, int(number[0]) if number else 0, kernel), place(where), setup, kernel)
    except InputError:
        return None


def same(it: LockReport, found: Verdict) -> Report | None:
    """Return the verdict's report that was printed: of that kind, on that lock or, where none is named, in that file.

    A report on sleeping says with what off: that has to be the same, too.
    """
    state = f"in_atomic(): {it.atomic or 0:d}, irqs_disabled(): {it.irqs_off or 0:d}"
    for report in found.printed:
        if report.kind != it.found.kind:
            continue
        if report.kind == "scheduling_while_atomic":
            return report
        if report.kind == "sleeping_function":
            text = report.text()
            if it.place in text and (it.atomic is None or state in text):
                return report
        elif it.wanted and report.lock and is_lock(it.wanted, report.lock, found.kernel):
            return report
    return None


def is_lock(printed: Lock, lock: LockClass, kernel: Kernel) -> bool:
    """Return whether a lock that was printed is one of the model's: by its name and, where it has them, its types."""
    if class_of(PRINTED.get(lock.name, lock.name)) != class_of(printed.name):
        return False
    return printed.outer is None or lock.types(kernel.nesting) == printed.types


def page_cases(it: LockReport, at: Situation, kernel: Kernel) -> Iterator[Case]:
    """Yield the cases of the page allocator in the contexts that a report may mean."""
    for where in dict.fromkeys(at.contexts()):
        for name, pcp, owner_on in CASES:
            setup = Setup(pcp, page_owner=owner_on, contended=it.scheduled)  # a lock that is free puts nobody to sleep
            if one := case(kernel, name, setup, unnamed(where, kernel)):
                words = {"request": name, "pcp": pcp, "context": where, "page_owner": "on" if owner_on else "off"}
                yield {**words, "result": one.result}, one


def narrowed(it: LockReport, asked: Iterable[Case]) -> tuple[list[dict[str, str]], bool]:
    """Return the cases that print a report, and whether only those that do so in the very function are kept."""
    found = [(words, report.where) for words, one in asked if (report := same(it, one))]
    here = [words for words, function in found if it.wanted and function in it.wanted.places]
    return here or [words for words, _ in found], bool(here)


def compared(it: LockReport, at: Situation) -> Comparison:
    """Return the model's cases that print this report, and what to say of it in words.

    Where the call chain shows a call of slab or of kfree_rcu(), it is asked in every state that is known; where some
    cases take the lock in the very function that is printed, only these are kept.
    """
    kernel = at.kernel
    if asks := ASKS.get(it.found.kind):
        return Comparison(f"not asked: the report is about {asks}, which is no question of a request for memory")
    if kernel is None:
        return Comparison("the model cannot be asked: the kernel is not known (--kernel names it)")
    calls = called([*(it.wanted.places if it.wanted else []), *it.calls])
    ours = owner(it).startswith(("slab", "kfree_rcu"))
    refused = [reason for call in calls[:1] if ours and (reason := missing(call, kernel))]
    if refused:
        return Comparison(f"the model cannot be asked: {refused[0]}")
    asked = list(slab_cases(calls, kernel, list(at.contexts(OWN_LOCKS))))
    groups = [asked] if ours and asked else [asked, list(page_cases(it, at, kernel))]
    found = [narrowed(it, group) for group in groups]
    if cases := [words for group, _ in found for words in group]:
        where_too = ", in that function, too" if any(here for _, here in found) else ""
        return Comparison(f"equal: the model prints the same in {len(cases)} of its cases{where_too}", True, cases)
    if ours and asked:
        return Comparison(f"differs: {differing(calls[0], kernel, it.found.kind, asked)}", agrees=False)
    return Comparison(
        f"no case of the model for {kernel.name} prints this: another lock, or a path that it leaves out", agrees=False
    )


def ways_out(kernel: Kernel | None, cases: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Yield the ways out that this book knows, each as a verdict on the report's kernel in the report's context."""
    if kernel is None or not cases:
        return
    if "slab" in (first := cases[0]):
        yield from slab_ways(kernel, first["request"], first["slab"], first["pcp"], unnamed(first["context"], kernel))
    if where := next((one["context"] for one in cases if "slab" not in one), None):
        yield from page_ways(kernel, unnamed(where, kernel))


@lru_cache(maxsize=256)
def page_ways(kernel: Kernel, where: str) -> tuple[dict[str, str], ...]:
    """Return the ways out of a request for pages."""
    return tuple(asked_page_ways(kernel, where))


def asked_page_ways(kernel: Kernel, where: str) -> Iterator[dict[str, str]]:
    """Yield the ways out of a request for pages."""
    ways = (
        ("GFP_ATOMIC", "gfp", "GFP_ATOMIC|__GFP_NOWARN"),
        ("GFP_NOWAIT", "gfp", "GFP_NOWAIT|__GFP_NOWARN"),
        ("mask 0", "gfp", "none"),
        ("alloc_pages_nolock()", "row", "trylock"),
        ("kmalloc_nolock()", "call", "KMNL"),
        ("allocate before, in a task", "before", "GFP_KERNEL"),
    )
    for words, how, what in ways:
        if words == "alloc_pages_nolock()" and kernel.version < (6, 15):
            yield {"way": words, "verdict": f"{kernel.name} has none: it came with v6.15"}
            continue
        try:
            if how == "call":
                answer = verdict(read_request(what, 0, kernel), place(where), Setup("dry"), kernel)
            else:
                request = make_request(kernel, row=what) if how == "row" else make_request(kernel, what)
                answer = verdict(request, place("task" if how == "before" else where), Setup("dry"), kernel)
        except InputError as error:
            yield {"way": words, "verdict": f"not modelled: {error}"}
            continue
        yield {"way": words, "verdict": outcome(answer)}


def why_reported(it: LockReport, at: Situation, by: str) -> Iterator[str]:
    """Yield what a report says, in words; ``by`` is what forbids."""
    wanted, words = it.wanted, at.words()
    if wanted and it.found.kind in ASKS:
        yield f"{wanted.name} was wanted in {wanted.where}"
    elif wanted:
        kind = "" if at.nesting is None else LOCKS_BY[at.nesting].get(wanted.outer or 0, "")
        need = f" of wait type {wanted.outer}{f' ({kind})' if kind else ''}" if wanted.outer else ""
        yield f"{wanted.name}{need} was wanted in {wanted.where}, in {words}"
    if it.place:
        yield f"{it.place} may sleep; the caller may not: {words}"
    if it.scheduled and it.count:
        yield f"the task went to sleep with preempt_count {it.count[0]:#x}: {words}"
    if by:
        yield f"forbidden by {by}"
    if it.off_at:
        yield f"preemption was first switched off in {it.off_at}"
    if it.usages:
        old, new = it.usages
        used, held = ("second", "first") if new.startswith("IN-") else ("first", "second")
        how = "be started by an allocation in" if "RECLAIM_FS" in new else "interrupt"
        yield f"the lock was used as {old} before, and as {new} now: the {used} may {how} the {held}"
    whose = owner(it)
    yield f"the request is that of {whose}" if whose else "the call chain shows no allocation that is known here"


def unknowns(it: LockReport, at: Situation) -> Iterator[str]:
    """Yield what a report does not tell."""
    if it.found.kind in ASKS:
        return
    yield "which mask was asked for: a report of locks does not print it"
    doubtful = [lock for lock in it.locks if lock.inner is not None and at.nesting is None and lock.inner in (2, 3)]
    if doubtful:
        said = ", ".join(dict.fromkeys(f"{lock.name} {lock.types}" for lock in doubtful))
        yield (
            f"whether PROVE_RAW_LOCK_NESTING is on, which no lock of this report tells; so of what kind {said} is: "
            + "; ".join(f"{how} the option {numbers(option)}" for how, option in (("with", True), ("without", False)))
        )


def numbers(nesting: bool) -> str:
    """Return what the numbers of locks that wait mean, in words."""
    return ", ".join(f"{number} is {LOCKS_BY[nesting][number]}" for number in (2, 3))


def facts(found: Found) -> dict[str, Any]:
    """Return the explanation as plain data."""
    it = read_locks(found)
    at = Situation(it, kernel_of(it))
    by, lock = at.forbidding()
    model = compared(it, at)
    wanted = it.wanted
    return {
        "kind": found.kind,
        "line": found.line,
        "release": found.release,
        "lock": wanted.name if wanted else None,
        "asked": {
            "lock": wanted.name if wanted else None,
            "types": f"{wanted.outer}:{wanted.inner}" if wanted and wanted.outer is not None else None,
            "where": wanted.where if wanted else it.place or None,
            "owner": owner(it) or None,
        },
        "context": None if found.kind in ASKS else at.words(),
        "context_base": it.base,
        "held": [one.name for one in it.held],
        "forbidden_by": lock.name if lock else None,
        "why": list(why_reported(it, at, by)),
        "cases": model.cases,
        "model": model.said,
        "verdict_agrees": model.agrees,
        "otherwise": [f"{way['way']}: {way['verdict']}" for way in ways_out(at.kernel, model.cases)],
        "missing": it.missing,
        "remarks": list(found.lost),
        "unknown": list(unknowns(it, at)),
    }
