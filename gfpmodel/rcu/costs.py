"""What a reviewer asks of the chain: how many pages it wants, and what it costs when there is none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from gfpmodel.errors import InputError
from gfpmodel.rcu.kfree_rcu import KfreeRcu
from gfpmodel.rcu.timing import NS_PER_S, Timing
from gfpmodel.rcu.versions import VERSIONS, Version, version

NO_FLOOD = 1 << 60  # a qhimark that no run reaches: every grace period takes its full time


class Cost(NamedTuple):
    """What the freeing of some objects took: calls, cache lines read after the grace period, and ns waited."""

    form: str
    fail: float
    fell_back: int
    kfree_bulk: int
    kfree: int
    cache_misses: int
    synchronize_rcu: int
    waited_ns: int


class Flood(NamedTuple):
    """A flood: blocks by the arithmetic, the most at one time in the run, and the longest that an object waited."""

    version: str
    gp_ns: int
    computed: int
    peak: int
    waited_ns: int


def blocks_in_flight(rate: float, seconds: float, capacity: int) -> int:
    """Return how many blocks hold what is queued at a rate (objects per s) in a time (s), a capacity in each.

    Raises InputError for a negative rate or time, or a capacity below 1.
    """
    if rate < 0 or seconds < 0 or capacity < 1:
        raise InputError(f"{rate} objects/s, {seconds} s, {capacity} in a block; expected 0 or more, and 1 or more")
    return math.ceil(rate * seconds / capacity)


def fallback_cost(name: str, fail: float, objects: int, *, one_argument: bool = False, seed: int = 1) -> Cost:
    """Free objects with requests for blocks that fail with a probability, and return what it took.

    Arguments: the version; the probability; how many objects, one each microsecond; their form; the seed of the
    failures.  The cache is empty at the start and keeps nothing in v5.9.  Raises InputError.
    """
    kernel = version(name)
    rcu = KfreeRcu(kernel, fail=fail, seed=seed, min_cached=0 if kernel.preloaded else None)
    rcu.queue(objects, every_ns=1000, one_argument=one_argument)
    rcu.settle()
    rcu.check()
    c = rcu.counters
    form = "one argument" if one_argument else "two arguments"
    return Cost(form, fail, c.fallbacks, c.kfree_bulk, c.kfree_one, c.cache_misses, c.stalls, c.stall_ns)


def flood(name: str, gp_ns: int, *, rate: int = 1_000_000, seconds: float = 2.0) -> Flood:
    """Queue objects at a rate (objects per s) for a time (s), and return how many blocks were wanted at once.

    Arguments: the version; the length of a grace period (ns), which is not expedited.  Raises InputError.
    """
    kernel = version(name)
    rcu = KfreeRcu(kernel, timing=Timing(gp_ns=gp_ns, qhimark=NO_FLOOD))
    every_ns = NS_PER_S // rate
    rcu.queue(round(rate * seconds), every_ns=every_ns)
    c = rcu.counters
    wait = drain_ns(kernel, rcu.timing) + gp_ns
    return Flood(
        name, gp_ns, blocks_in_flight(rate, wait / NS_PER_S, rcu.capacity), c.blocks_peak, c.pending_peak * every_ns
    )


def drain_ns(kernel: Version, timing: Timing) -> int:
    """Return the delay before a hand-over when objects come fast (ns)."""
    jiffy = NS_PER_S // timing.hz
    return jiffy * (kernel.drain_full_jiffies or int(kernel.drain_hz * timing.hz))


HEADERS = (
    "version",
    "records",
    "lists",
    "lock",
    "cache (boot)",
    "asks locked",
    "who fills",
    "drain after",
    "fixed",
)


def ladder() -> Iterator[tuple[object, ...]]:
    """Yield a row of HEADERS for each version that has blocks."""
    for v in VERSIONS.values():
        if v.batches:
            cache = f"{v.cache_limit} ({v.preloaded})"
            delay = f"{v.drain_hz:g} s" if v.drain_hz >= 1 else f"{1000 * v.drain_hz:g} ms"
            drain = delay + f", {v.drain_full_jiffies} jiffy" * bool(v.drain_full_jiffies)
            filler = "work" + ", caller" * bool(v.sleeping) if v.worker else "nobody"
            yield v.name, v.capacity(), v.channels, v.lock, cache, v.request is not None, filler, drain, v.fixed
