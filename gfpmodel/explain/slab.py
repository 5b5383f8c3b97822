"""The calls of slab in a report: found in the call chain, put to the table of slab's locks, with their ways out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from gfpmodel.errors import InputError
from gfpmodel.explain.situation import place, unnamed
from gfpmodel.locking.kernels import SLAB_LOCKS, Kernel
from gfpmodel.locking.reports import Report
from gfpmodel.locking.slab_rows import Call, Pages, Take, missing, row_of, states
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
        re.compile(r"kfree(?:_sensitive)?(?:\.|$)|kmem_cache_free|_*slab_free|put_cpu_partial|free_to_pcs"),
        ("kfree",),
    ),
    (re.compile(r"_*(?:k[mzc]*alloc|krealloc|kmem_cache_alloc|slab_alloc|get_partial|alloc_from_pcs)"), ("kmalloc",)),
)
MASKS = ("GFP_NOWAIT|__GFP_NOWARN", "GFP_KERNEL")  #: those of a kmalloc(): one may sleep


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


def differing(kernel: Kernel, kind: str, asked: Iterable[Case]) -> str:
    """Return which reports of a kind the model prints of the calls asked, and in which states of slab."""
    printed: dict[str, dict[str, dict[str, None]]] = {}
    for words, one in asked:
        said = " and ".join(in_words(report) for report in one.printed if report.kind == kind)
        printed.setdefault(f"{words['request']}({words.get('gfp', '')})", {}).setdefault(said, {})[words["slab"]] = None
    none = ", ".join(call for call, found in printed.items() if not any(found))
    parts = [f"no such report of {none}"] * bool(none)
    for call, found in printed.items():
        states = {words: f" in the states {', '.join(where)}" * (len(found) > 1) for words, where in found.items()}
        said = "; ".join(words + where for words, where in states.items() if words)
        parts += [f"of {call} {said}{', in others none' * ('' in found)}"] * bool(said)
    return f"on {kernel.name} the model prints {'; '.join(parts)}"


def in_words(report: Report) -> str:
    """Return a report in a few words; of one on sleeping the file, too, which a report names in its first line."""
    file = re.match(r".* (at \S+\.[ch])", report.text())
    return str(report).replace(report.kind, report.kind.replace("_", " ")) + (f" {file[1]}" if file else "")
