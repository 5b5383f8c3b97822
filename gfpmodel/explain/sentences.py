"""Say a report of locks or of sleeping in whole sentences, one for each part of its explanation, and one to close."""

from __future__ import annotations

from collections.abc import Iterable

from gfpmodel.explain.lockreport import LockReport, waits_for
from gfpmodel.explain.owners import NO_REQUEST, chain_words, keeper, owner
from gfpmodel.explain.situation import Situation, is_requests
from gfpmodel.explain.slab import OWN_LOCKS
from gfpmodel.explain.text import listed
from gfpmodel.explain.waits import LOCKS_BY, class_of, is_map
from gfpmodel.explain.ways import KFREE_AFTER, KFREE_LATER, NOT_THREADED, OPTION, WHILE_EMPTY, Answer, Asked

#: What was asked for, as in ``WAYS``, where the call is not named.
ASKED = {"pages": "A request for pages", "page free": "A free of pages"}
INSIDE = {"pages": "which asked for pages", "page free": "which freed pages"}
NOFS = "GFP_NOFS or memalloc_nofs_save()"
NO_WAIT = "a mask that does not wait (GFP_ATOMIC or GFP_NOWAIT)"
RECLAIM = "fs_reclaim is lockdep's name for the reclaim that an allocation may start"
#: What the way out of a lock's two uses is, by the words of its usage.
USAGES = (
    ("RECLAIM_FS", f"no allocation under the lock may wait for file systems: {NOFS} says so"),
    ("HARDIRQ", "take the lock with interrupts off in every task, as spin_lock_irqsave() does"),
    ("SOFTIRQ", "take the lock with softirqs off in every task, as spin_lock_bh() does"),
)


ALONE = " (if no lock is held that is not printed)"


def who(request: Asked) -> str:
    """Return who asked, in words: the call of slab or of the page allocator, with what it did inside."""
    if request.call and request.kinds:
        inside = [INSIDE[kind] for kind in request.kinds[1:] if kind in INSIDE]
        return f"A call of {request.call}()" + "".join(f", {words}," for words in inside)
    return ASKED.get(request.kinds[0], "The caller") if request.kinds else "The caller"


def where(at: Situation) -> str:
    """Return the context in words."""
    words = at.words()
    return "a context that the report does not tell" if words == "unknown" else words


def asked(at: Situation, request: Asked) -> str:
    """Return what was asked, in one sentence."""
    it, begin = at.it, who(request)
    chain = "" if request.kinds else f"; {chain_words(it)}"
    end = f", in {where(at)}{chain}."
    if it.wanted:
        taken = "took" if it.found.kind == "inconsistent_lock_state" else "wanted"
        return f"{begin} {taken} the lock {it.wanted.name} in {it.wanted.where}{end}"
    if it.scheduled:
        wanted, function = waits_for(it)
        for_what = f" to wait for {wanted}" if wanted else ""
        return f"{begin} went to sleep{f' in {function}()' if function else ''}{for_what}{end}"
    if it.found.kind == "sleeping_function":
        return f"{begin} came to a point{f' in {it.place}' * bool(it.place)} where it may sleep{end}"
    return f"What {begin[0].lower() + begin[1:]} wanted is not told by what could be read of the report{end}"


def why(at: Situation, by: str) -> str:
    """Return why it was reported, in one sentence; ``by`` is what forbids."""
    it = at.it
    if it.usages:
        return "The lock is used in two ways of which one may interrupt the other on this CPU and then wait for ever."
    locks = [lock.name for lock in at.all_forbidding()]
    held = f"while {listed(locks, 'or')} is held" if locks else ""
    itself = f"in {where(at)}" if by.startswith(("the context itself", "what is switched off")) else ""
    there = ", nor ".join(filter(None, (itself, held)))
    if not there:
        shown = it.held or it.none_held or it.base is not None
        return f"Nothing that {'the report shows' if shown else 'could be read of the report'} forbids it."
    if it.wanted and it.wanted.outer:
        kind = "" if at.nesting is None else LOCKS_BY[at.nesting].get(it.wanted.outer, "")
        if kind:
            return f"{it.wanted.name} is a {kind}, and nobody may wait for one {there}."
        return f"Nobody may wait for a lock of the type of {it.wanted.name} {there}."
    doubt = ", if that is no lock that sleeps" if locks and "if it is no lock that sleeps" in by else ""
    on_rt = "On PREEMPT_RT a spinlock may sleep, and nobody" if itself and "spinlock_rt" in it.place else "Nobody"
    return f"{on_rt} may sleep {there}{doubt}."


def otherwise(at: Situation, request: Asked) -> str:
    """Return what the other ways come to, in a sentence for each outcome."""
    name = at.kernel.name if at.kernel else "an unknown kernel"
    if not request.kinds:
        return without_ways(at.it)
    if not request.answers:
        return f"The model cannot say it: this request on {name}, or the context that forbids it, is not known."
    own = request.own
    handled = [answer for answer in own if answer.by_handler]
    bad = [answer for answer in own if answer.clean is False and answer not in handled]
    groups = {
        "nothing would be reported with {}": [one for one in own if one.clean],
        f"with {{}} there would be a report only if the handler is {NOT_THREADED}{nesting_on(handled)}": handled,
        f"whether {{}} would be reported depends {depends(bad)}": [one for one in bad if one.at_times],
        "with {} there would be a report, too": [one for one in bad if not one.at_times],
        "{} would get no memory": [one for one in own if one.clean is None and one.known],
    }
    said = [when_empty(those) + words.format(nouns(at, those)) for words, those in groups.items() if those]
    inside = [one for one in request.inside if one.way.gfp and not one.way.in_task]
    if inside and not any(one.at_times for one in inside):
        said.append(f"{when_empty(inside)}another mask for its pages changes nothing")
    unknown = request.known_kind != request.kinds[0]
    pages = f" for the pages inside it, as {request.call}() is not modelled there" * unknown
    more = "".join(f" {words[0].upper()}{words[1:]}." for words in said[1:])
    return f"On {name}, in that context{ALONE * at.it.hides_locks}{pages}, {said[0]}.{more}"


def when_empty(those: Iterable[Answer]) -> str:
    """Return the condition under which ways are reported, where a filled list changes it."""
    return f"{WHILE_EMPTY}, " * any(one.when_empty for one in those)


def without_ways(it: LockReport) -> str:
    """Return what other ways come to, in one sentence, where the caller asked for nothing that has others here."""
    if kept := keeper(it):
        own = ", which asked with a mask of its own to store a call chain"
        return f"The request is that of {kept.name}{own}: no mask of the caller's changes this."
    words = chain_words(it)
    end = ", so that what was asked for cannot be said"
    if owner(it):
        end = ", and what another one would have met is not modelled"
    elif words == NO_REQUEST:
        end = "; if there is none, no other way to ask for memory changes this"
    return f"{words[0].upper()}{words[1:]}{end}."


def depends(bad: Iterable[Answer]) -> str:
    """Return what decides whether ways that are not always well are reported."""
    by_option = any(len(one.differing) > 1 for one in bad if one.at_times)
    return f"on {OPTION}, which this report does not tell" if by_option else "on what its lists and caches hold"


def nesting_on(handled: Iterable[Answer]) -> str:
    """Return that an option has to be on for a report as well, where that is not told."""
    return f" and {OPTION} is on" * any(when.nesting is not None for one in handled for when in one.by)


def of_usages(it: LockReport) -> str:
    """Return what to do with a lock that is used in two ways; nothing is known for what is followed but is no lock."""
    if it.wanted and is_map(it.wanted):
        return f"So: use {NO_WAIT} there; {RECLAIM}." if it.wanted.name == "fs_reclaim" else ""
    words = " ".join(it.usages or ())
    return next((f"So: {advice}." for word, advice in USAGES if word in words), "")


def closing(at: Situation, request: Asked) -> str:
    """Return what to do with it, in one sentence; empty where nothing of the report says it."""
    it = at.it
    if it.usages and not request.answers:
        return of_usages(it)
    if kept := keeper(it):
        own = "; the caller's own request in this context may be reported as well" * kept.within
        return f"So: {kept.without} nothing would be asked for there{own}."
    callers, _ = by_whom(at)
    locks, alone = listed(callers), len(callers) == 1
    if not any(one.clean for one in request.own):
        return elsewhere(at, locks, alone)
    return fitting(at, request, locks, alone)


def by_whom(at: Situation) -> tuple[list[str], list[str]]:
    """Return the locks that forbid what was wanted: those that the caller took, and those that slab took itself."""
    found = [lock for lock in at.all_forbidding() if not is_requests(lock)]
    own = [lock.name for lock in found if class_of(lock.name) in OWN_LOCKS]
    return [lock.name for lock in found if class_of(lock.name) not in OWN_LOCKS], own


def nouns(at: Situation, ways: Iterable[Answer]) -> str:
    """Return ways in words; one of a task that does later what only slab's own lock forbade needs no other task."""
    callers, own = by_whom(at)
    alone = own and not callers and at.level == "task"
    later = f"a free without the request under {listed(own)}"
    here = {KFREE_LATER: later, KFREE_AFTER: "a kfree() after a grace period"}
    return listed([here.get(one.way, one.way.noun) if alone else one.way.noun for one in ways], "or")


def fitting(at: Situation, request: Asked, locks: str, alone: bool) -> str:
    """Return which ways out fit, in one sentence; ``locks`` are the caller's that forbid what it did, in words."""
    here = [one for one in request.own if one.clean and not one.way.in_task]
    later = [one for one in request.own if one.clean and one.way.in_task]
    fails = "; without sleeping any request may fail" if {"pages", "allocation"} & set(request.kinds[:1]) else ""
    if handled := [one for one in request.own if one.by_handler]:
        what = f"{nouns(at, handled)} unless the handler is {NOT_THREADED}"
        return f"So: {what}; if it is, nothing but {nouns(at, [*here, *later])}{fails}."
    if here:
        return f"So: what fits this context{ALONE * at.it.hides_locks} is {nouns(at, [*here, *later])}{fails}."
    free_of = f", where {locks} {'is' if alone else 'are'} not held" if locks else ""
    if locks and (without := by_kind(request)):
        kinds = ("is a spinlock_t", "it is") if alone else ("are each a spinlock_t", "one is")
        raw = f"if {kinds[1]} a raw_spinlock_t, nothing but {nouns(at, later)}{free_of}"
        return f"So: {nouns(at, without)} if {locks} {kinds[0]}; {raw}."
    return f"So: no other request is certain to pass in this context. Use instead {nouns(at, later)}{free_of}."


def by_kind(request: Asked) -> list[Answer]:
    """Return the ways that pass where PROVE_RAW_LOCK_NESTING is off, so that the lock held may be a spinlock_t."""
    ways = [one for one in request.own if len(one.differing) > 1 and not one.way.in_task]
    return [one for one in ways if all(said.clean for when, by in one.by.items() if not when.nesting for said in by)]


def elsewhere(at: Situation, locks: str, alone: bool) -> str:
    """Return where what was reported has to be done instead; ``locks`` are those that forbid it, in words."""
    what = f"{at.it.wanted.name} has to be taken" if at.it.wanted else "what may sleep has to be done"
    if "task" not in at.levels:
        return f"So: {what} in a task, for example in a work item, and not in {where(at)}."
    return f"So: {what} before {locks} {'is' if alone else 'are'} taken, or after." if locks else ""


def summary(at: Situation, by: str, request: Asked, about: str) -> dict[str, str]:
    """Return the sentences: ``asked``, ``why``, ``otherwise``, and ``so``, what to do with it.

    Arguments: the report in its situation, what forbids in words, what was asked for with the ways out, what a report
    is about that is named only.
    """
    if about:
        return outside(at.it, about)
    return {
        "asked": asked(at, request),
        "why": why(at, by),
        "otherwise": otherwise(at, request),
        "so": closing(at, request),
    }


def outside(it: LockReport, about: str) -> dict[str, str]:
    """Return the sentences on a report that is named only; of what reclaim is part of, what keeps an allocation out."""
    said = {
        "asked": f"This report is about {about}.",
        "why": "It is named with its lock and the locks held, and not explained here.",
        "otherwise": "Whether another way to ask for memory changes this is not explained here.",
        "so": "",
    }
    if it.reclaims:
        mask = NO_WAIT if "irq" in it.found.kind else NOFS  # between a task and an interrupt nobody may sleep anyhow
        said["why"] += f" One lock is none: {RECLAIM}."
        said["otherwise"] = f"With {mask} the allocation made under the other lock would be no part of the circle."
        said["so"] = f"So: what breaks the circle at the allocation is {mask}."
    return said
