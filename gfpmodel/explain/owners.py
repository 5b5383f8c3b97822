"""Whose request the call chain of a report shows: the caller's, or that of what keeps call chains beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gfpmodel.explain.lockreport import CALL, PAGES, LockReport
from gfpmodel.explain.situation import is_interrupts

#: What a function in a call chain belongs to; the innermost that is known says whose request it was.
OWNERS = {
    "kfree_rcu": re.compile(r"k?v?free_call_rcu|kfree_rcu|krc_this_cpu|__kfree_rcu_sheaf"),
    "memcg": re.compile(r".*memcg|obj_cgroup|consume_stock|try_charge|mem_cgroup"),
    "vmalloc": re.compile(r"_*k?v[mz]?alloc|kvrealloc|vrealloc|k?vfree|_*vmap_"),
    "a mempool": re.compile(r"mempool_(?:k?[mz]?alloc|free|init|create|resize)"),
    "the percpu allocator": re.compile(r"pcpu_(?:mem_)?alloc|_*alloc_percpu|free_percpu"),
    "a DMA pool": re.compile(r"dma_pool_"),
    "the DMA API": re.compile(r"dma_(?:alloc|free)_|dma_direct_(?:alloc|free)"),
    "slab": re.compile(
        r"_{0,3}(?:k[mzc]*alloc|krealloc|kmem_cache|slab_|kfree|put_cpu_partial|get_partial|barn_|__slab|___slab)"
    ),
    "page allocator": PAGES,
}
#: Owners whose requests the model does not have.
UNMODELLED = ("vmalloc", "a mempool", "the percpu allocator", "a DMA pool", "the DMA API")
_STORES = re.compile(r"_*stack_depot_save|depot_|.*page_owner|add_stack_record")
#: Who has a call chain stored, and the way to be without it; the first of whom a function is in the chain.
KEEPERS = (
    ("page_owner", re.compile(r".*page_owner|add_stack_record"), "without page_owner=on"),
    ("KASAN", re.compile(r"_*kasan_"), "with a kernel that is built without KASAN"),
    ("slab's tracking", re.compile(r"set_track"), "without slub_debug=U (slab_debug=U)"),
    (
        "stackdepot",
        re.compile(r"_*stack_depot_|depot_"),
        "without what keeps call chains (page_owner, KASAN, slub_debug)",
    ),
)
_LINK = re.compile(r"^-> #\d+ \((.+)\)\{[-+.?]{4,6}\}")  #: a lock of a circle, before the chain in which it was taken
NO_REQUEST = "the call chain shows no request for memory that is known here"


@dataclass(frozen=True)
class Keeper:
    """Who keeps call chains and asked for a page to put one in: the function, and the way to be without it.

    ``within``: whether that was on the way of another request, the caller's own.
    """

    name: str
    function: str
    without: str
    within: bool


def chain(it: LockReport) -> list[str]:
    """Return the functions that led to a report, the innermost first: where the lock was wanted, then the chain.

    What comes after the beginning of an interrupt is the chain of whom it interrupted.
    """
    found = [*(it.wanted.places if it.wanted else ()), *it.calls]
    return found[: next((at for at, call in enumerate(found) if is_interrupts(call)), len(found))]


def owner_of(call: str) -> str:
    """Return what a function belongs to, empty if it is not known."""
    return next((name for name, pattern in OWNERS.items() if pattern.match(call)), "")


def keeper(it: LockReport) -> Keeper | None:
    """Return who had a call chain stored and asked for what the report is about, None if nobody had."""
    calls = chain(it)
    if not any(map(_STORES.match, calls)):
        return None
    name, pattern, without = next(one for one in KEEPERS if any(map(one[1].match, calls)))
    at = max(number for number, call in enumerate(calls) if pattern.match(call))
    return Keeper(name, calls[at], without, within=any(map(owner_of, calls[at + 1 :])))


def owner(it: LockReport) -> str:
    """Return whose request the call chain was: who keeps call chains, else the innermost known; empty if none is."""
    if kept := keeper(it):
        return f"{kept.name} ({kept.function})"
    return next((f"{name} ({call})" for call in chain(it) if (name := owner_of(call))), "")


def taken_for_memory(it: LockReport) -> Iterator[tuple[str, str]]:
    """Yield the locks of a circle that lockdep saw taken in a request for memory: the name, and whose request it was.

    Each link of the circle is printed with the call chain in which its lock was taken, the innermost function first.
    """
    links: list[tuple[str, list[str]]] = []
    within = False
    for line in it.found.lines:
        link, calls = _LINK.match(line), CALL.findall(line)
        if link:
            links.append((link[1], []))
        elif within:
            links[-1][1].extend(calls)
        within = bool(link) or (within and bool(calls))
    for name, calls in links[:-1]:  # the last is the lock that is wanted now
        if asking := [(at, whose) for at, call in enumerate(calls) if (whose := owner_of(call))]:
            first, last = asking[0], asking[-1][0]
            yield name, f"{first[1]} ({calls[first[0]]}){', made by '.join(['', *calls[last + 1 : last + 2]])}"


def chain_words(it: LockReport) -> str:
    """Return whose request the call chain shows, or that it shows none, as far as it was read."""
    if whose := owner(it):
        return f"the request is that of {whose}"
    if not it.calls:
        return "no call chain could be read"
    return f"what is left of {NO_REQUEST}" if it.cut_chain else NO_REQUEST
