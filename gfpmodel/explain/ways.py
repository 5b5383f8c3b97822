"""What else could have been done in a report's place: each way a verdict on its kernel, in its context."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

from gfpmodel.errors import InputError
from gfpmodel.explain.lockreport import LockReport
from gfpmodel.explain.owners import chain
from gfpmodel.explain.situation import Situation, place, unnamed
from gfpmodel.explain.slab import OWN_LOCKS
from gfpmodel.locking.cells import read_request
from gfpmodel.locking.contexts import Context
from gfpmodel.locking.kernels import Kernel
from gfpmodel.locking.slab_rows import FREES, GIVES, Call, means, missing, states
from gfpmodel.locking.verdict import Request, Setup, Verdict, make_call, make_request, verdict

OPTION = "PROVE_RAW_LOCK_NESTING"
EVERY_STATE = "in every state of slab"
WHILE_EMPTY = "while this CPU's list is empty"
NOT_THREADED = "IRQF_NO_THREAD, IRQF_PERCPU or IRQF_ONESHOT"  #: the flags of a handler that is never threaded
NOLOCK_SINCE = (6, 15)  #: alloc_pages_nolock() and free_pages_nolock()
_ASKS_PAGES = re.compile(r"_*(?:alloc_page|alloc_frozen|get_page_from|rmqueue|get_free_pages)")
_FREES_PAGES = re.compile(r"_*(?:free_unref|free_pcppages|free_frozen|free_pages|free_one_page|drain_pages)")


@dataclass(frozen=True)
class Way:
    """A way out: its name, the call of slab or else the row (``free`` of a page), the mask, and whether in a task."""

    words: str
    call: str = ""
    gfp: str | None = None
    row: str | None = None
    free: bool = False
    in_task: bool = False
    since: tuple[int, ...] = (0, 0)

    @property
    def noun(self) -> str:
        """Return what it is called in a sentence."""
        if not self.in_task:
            return self.words
        if self == KFREE_AFTER:
            return "a kfree() made in a task after a grace period"
        return "an allocation made before in a task" if "before" in self.words else "a free made later in a task"

    def request(self, kernel: Kernel) -> Request:
        """Return the request that it makes; raises InputError where the model lacks it."""
        if self.call:
            return make_call(kernel, cast(Call, self.call), self.gfp)
        if self.free:
            return read_request("FREENL" if self.row else "FREE", 0, kernel)
        return make_request(kernel, self.gfp, self.row)


ATOMIC, NOWAIT = "GFP_ATOMIC|__GFP_NOWARN", "GFP_NOWAIT|__GFP_NOWARN"
KMALLOC_NOLOCK = Way("kmalloc_nolock()", "kmalloc_nolock")
KFREE_LATER = Way("free later, in a task", "kfree", in_task=True)
KFREE_AFTER = Way("kfree() after a grace period, in a task", "kfree", in_task=True)
WAYS = {
    "pages": (
        Way("GFP_ATOMIC", gfp=ATOMIC),
        Way("GFP_NOWAIT", gfp=NOWAIT),
        Way("mask 0", gfp="none"),
        Way("alloc_pages_nolock()", row="trylock", since=NOLOCK_SINCE),
        KMALLOC_NOLOCK,
        Way("allocate before, in a task", gfp="GFP_KERNEL", in_task=True),
    ),
    "page free": (
        Way("free_pages_nolock()", row="trylock", free=True, since=NOLOCK_SINCE),
        Way("free later, in a task", free=True, in_task=True),
    ),
    "allocation": (
        Way("kmalloc(GFP_ATOMIC)", "kmalloc", ATOMIC),
        Way("kmalloc(GFP_NOWAIT)", "kmalloc", NOWAIT),
        KMALLOC_NOLOCK,
        Way("allocate before, in a task", "kmalloc", "GFP_KERNEL", in_task=True),
    ),
    "free": (Way("kfree_nolock()", "kfree_nolock"), Way("kfree_rcu()", "kfree_rcu"), KFREE_LATER),
    "rcu": (
        Way("kfree_rcu() with a head", "kfree_rcu"),
        Way("kfree_rcu_nolock()", "kfree_rcu_nolock"),
        KFREE_AFTER,
    ),
}  #: by what was asked for


@dataclass(frozen=True)
class Outcome:
    """What a way comes to: in words, whether all is well, in which slab states.

    ``clean`` is None where the way cannot be had or asked, and where nothing is reported as it gets no memory.
    """

    words: str
    clean: bool | None
    states: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Return whether it gets no memory."""
        return self.words.startswith("NULL;")


@dataclass(frozen=True)
class Condition:
    """What a report does not tell and may decide: PROVE_RAW_LOCK_NESTING, and whether the handler could be threaded."""

    nesting: bool | None = None
    threadable: bool | None = None

    def words(self) -> str:
        """Return it in words, empty if nothing has to be known."""
        option = "" if self.nesting is None else "with it" if self.nesting else f"without {OPTION}"
        could = (
            "" if self.threadable is None else f"in a handler that could {'' if self.threadable else 'not '}be threaded"
        )
        return " ".join(filter(None, (option, could)))


@dataclass(frozen=True)
class Answer:
    """A way out with its outcomes, the worst first, by what decides: the option, off first, and the handler.

    ``when_empty``: it is asked with this CPU's list empty, and with a filled one nothing would be reported.
    """

    way: Way
    by: Mapping[Condition, tuple[Outcome, ...]]
    when_empty: bool = False

    @property
    def clean(self) -> bool | None:
        """Return whether all is well whatever is not known; None if it cannot be had or asked."""
        said = [one.clean for one in self.everything]
        return False if False in said else None if None in said else True

    @property
    def known(self) -> bool:
        """Return whether the model says anything of it."""
        return any(one.clean is not None or one.empty for one in self.everything)

    @property
    def everything(self) -> list[Outcome]:
        """Return all outcomes."""
        return [one for outcomes in self.by.values() for one in outcomes]

    @property
    def at_times(self) -> bool:
        """Return whether it is well in some of the cases."""
        return any(one.clean for one in self.everything)

    @property
    def by_handler(self) -> bool:
        """Return whether it is reported only where the handler could not be threaded."""
        refused = [one.clean for when, said in self.by.items() if when.threadable is False for one in said]
        others = [one.clean for when, said in self.by.items() if when.threadable is not False for one in said]
        return False in refused and all(others)

    @property
    def differing(self) -> dict[str, list[Condition]]:
        """Return what it comes to in words, more than one where a condition decides."""
        said: dict[str, list[Condition]] = {}
        for when, one in self.by.items():
            said.setdefault(", or ".join(map(in_state, one)), []).append(when)
        return said

    def text(self) -> str:
        """Return what it comes to in words."""
        said = self.differing
        if len(said) == 1:
            return next(iter(said))
        return "; ".join(f"{' and '.join(when.words() for when in by)}: {words}" for words, by in said.items())


def in_lines(answers: Iterable[Answer]) -> list[str]:
    """Return ways out in words, a line for those that come to the same, and one for the states of slab they name."""
    found: dict[tuple[bool, bool, str], list[str]] = {}
    named: dict[str, None] = {}
    for answer in answers:
        found.setdefault((answer.way.in_task, answer.when_empty, answer.text()), []).append(answer.way.words)
        states = (state for one in answer.everything for state in one.states if state != EVERY_STATE)
        named |= {f"{state}: {means(cast(Call, answer.way.call), state)}": None for state in states}
    legend = [f"the states of slab: {'; '.join(named)}"] if named else []
    empty = f", {WHILE_EMPTY}"
    return [f"{', '.join(ways)}{empty * when}: {words}" for (_, when, words), ways in found.items()] + legend


def in_state(one: Outcome) -> str:
    """Return an outcome with the states of slab in which it is that."""
    return f"{one.words} ({', '.join(one.states)})" if one.states else one.words


@dataclass(frozen=True)
class Asked:
    """What was asked for: the call of slab, empty for none, what for as in ``WAYS``, and the ways out."""

    call: str
    kinds: Sequence[str]
    answers: Sequence[Answer]

    @property
    def own(self) -> list[Answer]:
        """Return the ways out of what the caller asked for, not those of what was asked for inside.

        Where the model does not know the caller's request, those of what was asked for inside are all there is.
        """
        return self.of(self.known_kind)

    @property
    def inside(self) -> list[Answer]:
        """Return the ways out of what was asked for inside the caller's request."""
        return [one for kind in self.kinds[1:] if kind != self.known_kind for one in self.of(kind)]

    @property
    def known_kind(self) -> str:
        """Return the outermost of what was asked for of which the model says anything, empty if there is none."""
        return next((kind for kind in self.kinds if any(one.known for one in self.of(kind))), "")

    def of(self, kind: str) -> list[Answer]:
        """Return the ways out of what was asked for, as in ``WAYS``."""
        return [one for one in self.answers if one.way in WAYS.get(kind, ())]


def slab_kind(call: Call) -> str:
    """Return what a call of slab asks for, as in ``WAYS``."""
    return "allocation" if call in GIVES else "free" if call in FREES else "rcu"


def page_kinds(it: LockReport) -> list[str]:
    """Return what the functions of the page allocator in a call chain do, as in ``WAYS``; the caller's own is last."""
    found: list[str] = []
    for call in chain(it):
        if kind := "pages" if _ASKS_PAGES.match(call) else "page free" if _FREES_PAGES.match(call) else "":
            found.append(kind)
    return list(dict.fromkeys(reversed(found)))[::-1]


def outcome(answer: Verdict) -> str:
    """Return a verdict in a few words."""
    said = [
        f"{one.kind.replace('_', ' ')}{f' on {one.lock.name}' if one.lock else ''} in {one.where}"
        for one in answer.reports
    ]
    said += ["the CPU waits for a lock that it holds"] * answer.deadlock
    said += ["nothing is reported, but an NMI may not do this"] * (answer.unsafe and not said)
    return f"{answer.result}; {', '.join(said) or 'nothing is reported'}"


@lru_cache(maxsize=1024)
def outcomes(way: Way, kernel: Kernel, where: str, contended: bool, pcp: str = "dry") -> tuple[Outcome, ...]:
    """Return what a way comes to in a context, in every state of slab that is known, the worst first.

    ``pcp`` is how this CPU's lists are where pages are asked for.
    """
    if kernel.version < way.since:
        return (Outcome(f"{kernel.name} has none: it came with v{'.'.join(map(str, way.since))}", None),)
    if way.call and (reason := missing(way.call, kernel)):
        return (Outcome(reason, None),)
    found: dict[tuple[str, bool | None], list[str]] = {}
    for state in states(way.call, kernel) if way.call else ("",):
        setup = Setup("full" if way.free else pcp, slab=state, contended=contended)
        found.setdefault(asked(way, kernel, place("task" if way.in_task else where), setup), []).append(state)
    said = [Outcome(words, clean, tuple(filter(None, which))) for (words, clean), which in found.items()]
    if len(said) == 1 and len(said[0].states) > 1:
        said = [Outcome(said[0].words, said[0].clean, (EVERY_STATE,))]
    return tuple(sorted(said, key=lambda one: {False: 0, None: 1, True: 2}[one.clean]))


def asked(way: Way, kernel: Kernel, context: Context, setup: Setup) -> tuple[str, bool | None]:
    """Return what a way comes to in words, and whether all is well."""
    try:
        answer = verdict(way.request(kernel), context, setup, kernel)
    except InputError as error:
        return f"not modelled: {error}", None
    return outcome(answer), None if answer.clean and answer.result == "NULL" else answer.clean


def where_of(at: Situation, cases: Iterable[dict[str, str]], inside: bool) -> str | None:
    """Return the context in which the ways are asked: that of the case that was equal, else the likeliest.

    What was asked for ``inside`` a call of slab is asked with the locks that this call had taken.
    """
    if at.kernel is None:
        return None
    equal = (case["context"] for case in cases if not (inside and "slab" in case))
    for text in (*equal, *at.contexts(() if inside else OWN_LOCKS)):
        where = unnamed(text, at.kernel)
        try:
            place(where)
        except InputError:
            continue  # a cut of the held locks that no machine can be in
        return where
    return None


def merged(by: dict[Condition, tuple[Outcome, ...]]) -> dict[Condition, tuple[Outcome, ...]]:
    """Return outcomes without the conditions on the handler that decide nothing."""
    found: dict[Condition, tuple[Outcome, ...]] = {}
    for when, said in by.items():
        other = replace(when, threadable=not when.threadable)
        same = when.threadable is not None and by.get(other) == said
        found[replace(when, threadable=None) if same else when] = said
    return found


def ways_out(kinds: Sequence[str], asked_of: Sequence[tuple[Situation, list[dict[str, str]]]]) -> list[Answer]:
    """Return the ways out that this book knows for what was asked, each as a verdict; none if the model knows none.

    Of what was asked for inside a known call only the masks and the nolock functions are put: no caller can make it
    before.  Arguments: what was asked for, as in ``WAYS``; the situations that the report may mean, with their cases.
    """
    found: dict[Way, Answer] = {}
    for inside, kind in enumerate(kinds):
        known = any(answer.known for answer in found.values())
        ways = [way for way in WAYS[kind] if way not in found and not (known and way.in_task)]
        found |= {answer.way: answer for answer in answers(ways, asked_of, bool(inside))}
    return list(found.values()) if any(answer.known for answer in found.values()) else []


def answers(
    ways: Iterable[Way], asked_of: Sequence[tuple[Situation, list[dict[str, str]]]], inside: bool
) -> Iterator[Answer]:
    """Yield what ways come to; arguments: as in `ways_out`, and whether they were asked for inside a call of slab."""
    untold = len({at.nesting for at, _ in asked_of}) > 1
    places = {
        Condition(at.nesting if untold else None, at.threadable): (at.kernel, where, at.it.scheduled)
        for at, cases in asked_of
        if at.kernel and (where := where_of(at, cases, inside))
    }
    for way in ways:
        by = merged({when: outcomes(way, *place) for when, place in places.items()})
        bad = any(one.clean is False for said in by.values() for one in said)
        filled = (one for place in places.values() for one in outcomes(way, *place, pcp="warm"))
        yield Answer(way, by, bool(way.gfp and not way.call and bad and all(one.clean for one in filled)))
