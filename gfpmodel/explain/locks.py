"""Explain a report of locks or of sleeping: what was wanted, what forbids it, and whether the model says the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.explain.find import Found
from gfpmodel.explain.lockreport import RT_PLACES, LockReport, read_locks, waits_for
from gfpmodel.explain.owners import UNMODELLED, chain, chain_words, keeper, owner, taken_for_memory
from gfpmodel.explain.sentences import summary
from gfpmodel.explain.situation import IRQ_DISABLE_OFFSET, Situation, place, situation, unnamed
from gfpmodel.explain.slab import OWN_LOCKS, Case, called, differing, slab_cases
from gfpmodel.explain.waits import LOCKS_BY, Lock, class_of, known_kinds
from gfpmodel.explain.ways import OPTION, Asked, Way, in_lines, page_kinds, slab_kind, ways_out
from gfpmodel.locking.cells import read_request
from gfpmodel.locking.classes import LockClass
from gfpmodel.locking.kernels import Kernel
from gfpmodel.locking.reports import PRINTED, Report
from gfpmodel.locking.slab_rows import Call, missing
from gfpmodel.locking.verdict import Setup, Verdict, verdict

#: The cases of the page allocator: requests and lists' states of every kind that takes another lock.
CASES = (
    *((name, pcp, False) for name in ("Z0", "K0", "Z1", "K1") for pcp in ("dry", "warm")),
    *((name, "dry", False) for name in ("N0", "A0")),
    *(("N0", "boostwm", False), ("FREE", "full", False), ("FREE", "warm", False)),
    *((name, pcp, True) for name in ("Z0", "N0") for pcp in ("warm", "dry")),
)  #: the name of the request, the state of the lists, and whether page_owner is on


#: What the reports ask that are named only.
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
    here: bool = False  #: they print it in the very function
    tried: frozenset[tuple[tuple[str, str], ...]] = frozenset()  #: all cases that were asked


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


def page_cases(it: LockReport, at: Situation, kernel: Kernel) -> Sequence[Case]:
    """Return the cases of the page allocator in the contexts that a report may mean."""
    kinds = tuple(page_kinds(it) or ["pages", "page free"])
    return page_cases_in(tuple(dict.fromkeys(at.contexts())), kinds, kernel, it.scheduled)


@lru_cache(maxsize=1 << 8)
def page_cases_in(contexts: Sequence[str], kinds: Sequence[str], kernel: Kernel, contended: bool) -> Sequence[Case]:
    """Return the cases of the page allocator in contexts; a lock that is not contended puts nobody to sleep."""
    chosen = [case for case in CASES if ("page free" if case[0] == "FREE" else "pages") in kinds]
    found = []
    for where in contexts:
        for name, pcp, owner_on in chosen:
            setup = Setup(pcp, page_owner=owner_on, contended=contended)
            if one := case(kernel, name, setup, unnamed(where, kernel)):
                words = {"request": name, "pcp": pcp, "context": where, "page_owner": "on" if owner_on else "off"}
                found.append(({**words, "result": one.result}, one))
    return found


def narrowed(it: LockReport, asked: Iterable[Case]) -> tuple[list[dict[str, str]], bool]:
    """Return the cases that print a report, and whether only those that do so in the very function are kept."""
    found = [(words, report.where) for words, one in asked if (report := same(it, one))]
    here = [words for words, function in found if it.wanted and function in it.wanted.places]
    return here or [words for words, _ in found], bool(here)


def not_asked(it: LockReport, at: Situation, calls: Sequence[Call]) -> str:
    """Return why the model is not asked about a report, empty if it is; ``calls`` are those of slab in the chain."""
    if asks := ASKS.get(it.found.kind):
        return f"not asked: the report is about {asks}, which is not explained here"
    if at.kernel is None:
        return "the model cannot be asked: the kernel is not known (--kernel names it)"
    if it.non_block and it.found.kind == "sleeping_function" and not at.in_rcu and not at.preempt_off:
        return "not compared: non_block_start() is no context of the model; the other ways are asked in a plain task"
    if not owner(it):
        return f"the model cannot be asked: {chain_words(it)}"
    if whose := next((name for name in UNMODELLED if owner(it).startswith(name)), ""):
        return f"the model cannot be asked: it has no request of {whose}"
    refused = missing(calls[0], at.kernel) if calls and of_slab(it) else ""
    return f"the model cannot be asked: {refused}" if refused else ""


def of_slab(it: LockReport) -> bool:
    """Return whether the innermost request that a call chain shows is one of slab or of kfree_rcu()."""
    return owner(it).startswith(("slab", "kfree_rcu"))


def compared(it: LockReport, at: Situation) -> Comparison:
    """Return the model's cases that print this report, and what to say of it in words.

    Where the call chain shows a call of slab or of kfree_rcu(), it is asked in every state that is known; where some
    cases take the lock in the very function that is printed, only these are kept.
    """
    calls, kernel = called(chain(it)), at.kernel
    reason = not_asked(it, at, calls)
    if reason or kernel is None:
        return Comparison(reason)
    asked = list(slab_cases(calls, kernel, list(at.contexts(OWN_LOCKS))))
    groups = [asked] if of_slab(it) and asked else [asked, page_cases(it, at, kernel)]
    found = [narrowed(it, group) for group in groups]
    if cases := [words for group, _ in found for words in group]:
        here = any(here for _, here in found)
        tried = frozenset(tuple(words.items()) for group in groups for words, _ in group)
        return Comparison(equal(len(cases), len(tried), here), True, cases, here, tried)
    return unequal(it, kernel, asked)


def unequal(it: LockReport, kernel: Kernel, asked: Iterable[Case]) -> Comparison:
    """Return what to say of a report that no case prints; ``asked`` are the cases of slab."""
    if of_slab(it) and asked:
        return Comparison(f"differs: {differing(kernel, it.found.kind, asked)}", agrees=False)
    reason = "another lock, or a path that it leaves out"
    if it.wanted and class_of(it.wanted.name) not in known_kinds(kernel):
        reason = f"it knows no lock that is called {it.wanted.name}"
    return Comparison(f"no case of the model for {kernel.name} prints this: {reason}", agrees=False)


def merged(models: Sequence[Comparison]) -> Comparison:
    """Return what a report's comparisons come to, one for each value of an option that it does not tell."""
    agreeing = [model for model in models if model.agrees]
    if len(agreeing) < 2:
        return (agreeing or models)[0]
    cases = {tuple(case.items()): case for model in agreeing for case in model.cases}
    tried = frozenset().union(*(model.tried for model in models))
    return Comparison(equal(len(cases), len(tried), agreeing[0].here), True, list(cases.values()), agreeing[0].here)


def equal(number: int, tried: int, here: bool) -> str:
    """Return that a number of the cases tried are equal, in words, and whether the function is as well."""
    where_too = ", in that function, too" if here else ""
    return f"equal: in {number} of {tried} cases the model prints such a report, of the same lock or file{where_too}"


def requested(it: LockReport, at: Situation, model: Comparison) -> list[str]:
    """Return what the report's caller asked for, as in ``WAYS``; nothing where it is no matter of memory or not its.

    An allocation that the model does not know asks for pages when slab has none: of these it can be asked.
    """
    if it.found.kind in ASKS or keeper(it):
        return []
    calls = called(chain(it))
    kinds = [slab_kind(calls[0])] if calls else []
    if kinds == ["allocation"] and at.kernel and missing(calls[0], at.kernel):
        return [*kinds, "pages"]
    if not kinds or owner(it).startswith("page allocator") or any("slab" not in case for case in model.cases):
        kinds += page_kinds(it)[-1:] or ["pages"] * any("slab" not in case for case in model.cases)
    return kinds


def was_reported(it: LockReport, way: Way, calls: Sequence[Call]) -> bool:
    """Return whether a way out is the very request that a report is about.

    A report that no mask keeps away is one on a lock that was waited for.
    """
    if way.in_task or (way.gfp and by_mask(it)):
        return False
    return way.call in calls if way.call else way.row is None


def by_mask(it: LockReport) -> bool:
    """Return whether a report came of a mask that may sleep, and of no lock."""
    return it.found.kind in ("sleeping_function", "scheduling_while_atomic") and not RT_PLACES.match(it.place)


def why_reported(it: LockReport, at: Situation, by: str) -> Iterator[str]:
    """Yield what a report says, in words; ``by`` is what forbids."""
    wanted, words = it.wanted, at.words()
    if it.found.kind in ASKS:
        yield from named_only(it)
    elif wanted:
        kind = "" if at.nesting is None else LOCKS_BY[at.nesting].get(wanted.outer or 0, "")
        need = f" of wait type {wanted.outer}{f' ({kind})' if kind else ''}" if wanted.outer else ""
        yield f"{wanted.name}{need} was wanted in {wanted.where}, in {words}"
    if it.place:
        yield f"{it.place} may sleep; the caller may not: {words}"
    if it.scheduled and it.count:
        yield f"the task went to sleep with preempt_count {it.count[0]:#x}: {words}"
    if times := at.irqs_off_times:
        how_often = {1: "once", 2: "twice"}.get(times, f"{times} times")
        yield f"{times * IRQ_DISABLE_OFFSET:#x} of preempt_count: interrupts were switched off {how_often}"
    if by:
        yield f"forbidden by {by}"
    if len(every := at.all_forbidding()) > 1:
        named = ", ".join(f"{lock.name}{at.kind_words(lock)}" for lock in every)
        yield f"each of these locks forbids it, so that none of them may be held: {named}"
    if it.off_at:
        yield f"preemption was first switched off in {it.off_at}"
    if it.usages:
        old, new = it.usages
        used, held = ("second", "first") if new.startswith("IN-") else ("first", "second")
        how = "be started by an allocation in" if "RECLAIM_FS" in new else "interrupt"
        yield f"the lock was used as {old} before, and as {new} now: the {used} may {how} the {held}"
    yield chain_words(it)


def named_only(it: LockReport) -> Iterator[str]:
    """Yield what a report says that is not explained: its locks, and which other lock was taken for memory before."""
    if it.wanted:
        yield f"{it.wanted.name} was wanted in {it.wanted.where}"
    yield from (f"{lock.name} is held since {lock.where}" for lock in it.held)
    for name, whose in taken_for_memory(it):
        yield f"lockdep saw {name} taken before in a request of {whose}"


def types_of(lock: Lock, at: Situation) -> str:
    """Return a lock's types with the kind that they are of, as far as its name and they tell."""
    by_number = "" if at.nesting is None else LOCKS_BY[at.nesting].get(lock.outer or 0, "")
    return f"{known_kinds(at.kernel).get(class_of(lock.name), by_number)} {lock.types}".lstrip()


def told_by_others(it: LockReport, at: Situation) -> Iterator[str]:
    """Yield what another report told of the kernel's options, where this one does not."""
    if at.nesting is not None and situation(it).nesting is None:
        yield f"{OPTION} is {'on' if at.nesting else 'off'}: another report of this boot tells it"


def unknowns(it: LockReport, at: Situation, kinds: Iterable[str]) -> Iterator[str]:
    """Yield what a report does not tell."""
    if it.found.kind in ASKS:
        return
    if {"pages", "allocation"} & set(kinds):
        yield "which mask was asked for: a report of locks does not print it"
    doubtful = [lock for lock in it.locks if lock.inner is not None and at.nesting is None and lock.inner in (2, 3)]
    if doubtful:
        kinds_by = {
            f"{lock.name} {lock.types}": [LOCKS_BY[on][lock.inner or 0] for on in (True, False)] for lock in doubtful
        }
        said = "; ".join(f"{name} is with it {on}, without it {off}" for name, (on, off) in kinds_by.items())
        yield f"whether {OPTION} is on: {said}"


@lru_cache(maxsize=64)
def read(kind: str, lines: Sequence[str], boot: str | None) -> LockReport:
    """Return a report as read, wherever in the log it is: one that is printed again and again is read once."""
    return read_locks(Found(kind, 0, lines=list(lines), boot=boot))


def tells(found: Found) -> bool | None:
    """Return what a report tells of PROVE_RAW_LOCK_NESTING, None if nothing."""
    return situation(read(found.kind, tuple(found.lines), found.boot)).nesting


def facts(found: Found, told: bool | None = None) -> dict[str, Any]:
    """Return the explanation as plain data; ``told`` is PROVE_RAW_LOCK_NESTING as other reports of the boot tell it."""
    one = deepcopy(answered(found.kind, tuple(found.lines), found.boot, told))  # the caller may change its own
    return {**one, "line": found.line, "remarks": [*found.lost, *one["remarks"]]}


@lru_cache(maxsize=64)
def answered(kind: str, lines: Sequence[str], boot: str | None, told: bool | None) -> dict[str, Any]:
    """Return the explanation of a report wherever in the log it is."""
    it = read(kind, lines, boot)
    found, at = it.found, situation(it, told)
    by, lock = at.forbidding()
    options = [(one, compared(it, one)) for one in at.options()]
    model = merged([said for _, said in options])
    kinds, calls = requested(it, at, model), called(chain(it))
    known = bool(by or model.cases or it.irqs)  # what is left of a cut report may show no context at all
    answers = ways_out(kinds if known else [], [(one, said.cases) for one, said in options])
    if model.agrees is False:  # what it says of the very request is refuted
        answers = [one for one in answers if not (one.at_times and was_reported(it, one.way, calls))]
    wanted = it.wanted
    return {
        "kind": found.kind,
        "line": found.line,
        "release": found.release,
        "lock": wanted.name if wanted else None,
        "asked": {
            "lock": wanted.name if wanted else None,
            "types": types_of(wanted, at) if wanted and wanted.outer is not None else None,
            "where": wanted.where if wanted else it.place or None,
            "owner": owner(it) or None,
            **(dict(zip(("waits for", "sleeps in"), waits_for(it), strict=True)) if it.scheduled else {}),
        },
        "summary": summary(at, by, Asked(next(iter(calls), ""), kinds, answers), ASKS.get(found.kind, "")),
        "context": None if found.kind in ASKS else at.words(),
        "context_base": it.base,
        "held": [one.name for one in it.held],
        "forbidden_by": lock.name if lock else None,
        "forbidden_by_all": [one.name for one in at.all_forbidding()],
        "why": list(why_reported(it, at, by)),
        "cases": model.cases,
        "model": model.said,
        "verdict_agrees": model.agrees,
        "otherwise": in_lines(answers),
        "missing": it.missing,
        "remarks": list(told_by_others(it, at)),
        "unknown": list(unknowns(it, at, kinds)),
    }
