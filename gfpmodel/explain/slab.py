"""The calls of slab in a report: found in the call chain, put to the table of slab's locks, with their ways out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from gfpmodel.errors import InputError
from gfpmodel.explain.situation import place, unnamed
from gfpmodel.locking.kernels import SLAB_LOCKS, Kernel
from gfpmodel.locking.slab_rows import FREES, GIVES, Call, Pages, Take, default_state, missing, row_of, states
from gfpmodel.locking.verdict import Setup, Verdict, make_call, verdict

Case = tuple[dict[str, str], Verdict]
#: Locks that these calls take themselves: one that is held is no part of the caller's context.
OWN_LOCKS = frozenset({*SLAB_LOCKS, "krc.lock"})
#: Functions, and the calls that they are part of; the first that fits counts.
FUNCTIONS: tuple[tuple[re.Pattern[str], tuple[Call, ...]], ...] = (
    (re.compile(r"_*kmalloc_nolock"), ("kmalloc_nolock",)),
    (re.compile(r"_*kfree_nolock"), ("kfree_nolock",)),
    (re.compile(r"_*k?v?free_(?:call_)?rcu_nolock"), ("kfree_rcu_nolock",)),
    (
        re.compile(r"_*k?v?free_call_rcu|__kfree_rcu_sheaf|krc_this_cpu"),
        ("kfree_rcu", "kfree_rcu_sheaf", "kfree_rcu_mightsleep"),
    ),
    (
        re.compile(r"k?v?free(?:_sensitive)?(?:\.|$)|kmem_cache_free|_*slab_free|put_cpu_partial|free_to_pcs"),
        ("kfree",),
    ),
    (re.compile(r"_*(?:k[mzv]*alloc|kmem_cache_alloc|slab_alloc|get_partial|alloc_from_pcs)"), ("kmalloc",)),
)
MASKS = ("GFP_NOWAIT|__GFP_NOWARN", "GFP_KERNEL")  #: those of a kmalloc(): one may sleep
#: What can be done in the place of a call: the words, the call, its mask, and whether a task does it.
WAYS: dict[str, tuple[tuple[str, Call, str | None, bool], ...]] = {
    "allocation": (
        ("kmalloc(GFP_ATOMIC)", "kmalloc", "GFP_ATOMIC|__GFP_NOWARN", False),
        ("kmalloc(GFP_NOWAIT)", "kmalloc", "GFP_NOWAIT|__GFP_NOWARN", False),
        ("kmalloc_nolock()", "kmalloc_nolock", None, False),
        ("allocate before, in a task", "kmalloc", "GFP_KERNEL", True),
    ),
    "free": (
        ("kfree_nolock()", "kfree_nolock", None, False),
        ("kfree_rcu()", "kfree_rcu", None, False),
        ("free later, in a task", "kfree", None, True),
    ),
    "rcu": (
        ("kfree_rcu() with a head", "kfree_rcu", None, False),
        ("kfree_rcu_nolock()", "kfree_rcu_nolock", None, False),
        ("free later, in a task", "kfree", None, True),
    ),
}


def called(functions: Iterable[str]) -> list[Call]:
    """Return the calls of slab that a call chain, innermost first, shows; the innermost comes first."""
    found = (next((calls for pattern, calls in FUNCTIONS if pattern.match(name)), ()) for name in functions)
    return list(dict.fromkeys(call for calls in found for call in calls))


def slab_cases(calls: Iterable[Call], kernel: Kernel, contexts: Iterable[str]) -> Iterator[Case]:
    """Yield every state that is known of some calls, in the contexts that a report may mean."""
    for where in dict.fromkeys(contexts):
        for call in calls:
            if missing(call, kernel):
                continue
            for state in states(call, kernel):
                for pcp in ("dry", "warm") if asks_for_pages(call, state, kernel) else ("dry",):
                    for mask in MASKS if call == "kmalloc" else (None,):
                        one = slab_case(kernel, call, mask, Setup(pcp, slab=state), unnamed(where, kernel))
                        if one:
                            words = {"request": call, "slab": state, "pcp": pcp, "context": where}
                            yield words | ({"gfp": mask} if mask else {}) | {"result": one.result}, one


@lru_cache(maxsize=1024)
def slab_case(kernel: Kernel, call: Call, mask: str | None, setup: Setup, where: str) -> Verdict | None:
    """Return the verdict on one case, None where it cannot be or is not known."""
    try:
        return verdict(make_call(kernel, call, mask), place(where), setup, kernel)
    except InputError:
        return None


def asks_for_pages(call: Call, state: str, kernel: Kernel) -> bool:
    """Return whether a call asks for pages, so that the state of this CPU's lists matters."""
    actions = row_of(call, state, kernel).actions
    inside = [inner for action in actions if isinstance(action, Take) for inner in action.inside]
    return any(isinstance(action, Pages) for action in (*actions, *inside))


def differing(call: Call, kernel: Kernel, kind: str, asked: Iterable[Case]) -> str:
    """Return which reports of a kind the model prints of a call, by the states in which it does so."""
    printed: dict[str, dict[str, None]] = {}
    for words, one in asked:
        if words["request"] == call:
            said = ", ".join(str(report) for report in one.printed if report.kind == kind) or "none"
            printed.setdefault(said, {})[words["slab"]] = None
    parts = [f"{said} ({', '.join(where)})" for said, where in printed.items()]
    return f"of {call}() on {kernel.name} the model prints, of that kind, {'; '.join(parts) or 'none'}"


def outcome(answer: Verdict) -> str:
    """Return a verdict in a few words."""
    return f"{answer.result}; {', '.join(map(str, answer.reports)) or 'nothing is reported'}"


@lru_cache(maxsize=256)
def slab_ways(kernel: Kernel, request: str, slab: str, pcp: str, where: str) -> tuple[dict[str, str], ...]:
    """Return the ways out of a case of slab, each as a verdict."""
    return tuple(asked_slab_ways(kernel, request, slab, pcp, where))


def asked_slab_ways(kernel: Kernel, request: str, slab: str, pcp: str, where: str) -> Iterator[dict[str, str]]:
    """Yield the ways out of a case: in that state where the call has it, else as it usually is."""
    kind = "allocation" if request in GIVES else "free" if request in FREES else "rcu"
    for words, call, mask, in_task in WAYS[kind]:
        if reason := missing(call, kernel):
            yield {"way": words, "verdict": reason}
            continue
        state = slab if slab in states(call, kernel) else default_state(call, kernel, shrunk=True)
        try:
            asked = make_call(kernel, call, mask)
            answer = verdict(asked, place("task" if in_task else where), Setup(pcp, slab=state), kernel)
        except InputError as error:
            yield {"way": words, "verdict": f"not modelled: {error}"}
            continue
        yield {"way": words, "verdict": f"{outcome(answer)} ({state})"}
