"""The kfree_rcu() of each kernel as a row: what differs between versions is data, the chain reads it.

Facts and sources: the book's chapter *Why RCU wants a page*.  A version that a row names carries the stable trees'
fixes of that row; `fix` turns the best known one on or off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal

from gfpmodel.errors import InputError, unknown
from gfpmodel.mm import gates

PAGE_SIZE, POINTER_SIZE = 4096, 8
CHANNELS = ("slab", "vmalloc")
MOST_CACHED = 1000  #: blocks of a cpu
MAX_PAGE = 1 << 20  #: bytes
BY_PROPOSAL = "the machine's proposal"  #: as a request: no kernel's
PREALLOCATED = 2  #: blocks in each cpu's cache after boot in v5.9 and v5.10


@dataclass(frozen=True)
class Version:
    """How kfree_rcu() of one kernel works.

    ``header_words`` pointers of a block's page are no records.  ``cache_limit`` blocks are kept for reuse, by the cpu
    that frees (``cache_of`` "freeing") or by the one whose objects they held ("owner"); ``preloaded`` are there after
    boot.  ``request`` is the mask of the block asked for under the lock (None: none is; BY_PROPOSAL), which PREEMPT_RT
    never does.
    ``worker`` is the mask of the work that fills the cache, up to its first failure if ``worker_stops``; ``sleeping``
    that of the one-argument form after it dropped the lock.  ``lock`` is the kind of ``krcp->lock``.
    ``hand_over``: "first" forgets the timer when anything was handed over, "repeat" runs again if anything was left,
    "left" as long as anything is left.  ``fixed``: a batch is used only if it is empty (5da7cb193db3, "rcu/kvfree:
    Avoid freeing new kfree_rcu() memory after old grace period", v6.3 and stable).
    ``drain_hz`` and ``drain_full_jiffies`` are the delay before a hand-over, in fractions of a second and, once a
    whole block waits, in jiffies.  ``snapshots``: blocks carry their grace period and go as soon as it ended.
    ``fill_on_take``: a block taken from the cache asks for its refill, not only a miss; no kernel does this.
    """

    name: str
    title: str
    header_words: int
    channels: int = 2
    lock: Literal["spin", "raw"] = "raw"
    cache_limit: int = 5
    preloaded: int = 0
    cache_of: Literal["freeing", "owner"] = "owner"
    request: str | None = None
    worker: str | None = None
    worker_stops: bool = False
    backoff: bool = False
    one_argument: bool = True
    sleeping: str | None = None
    hand_over: Literal["first", "repeat", "left"] = "repeat"
    one_batch: bool = False
    fixed: bool = False
    drain_hz: float = 1 / 50
    drain_full_jiffies: int = 0
    snapshots: bool = False
    fill_on_take: bool = False
    batches: int = 2

    def __post_init__(self) -> None:
        gates.settle(
            self,
            InputError,
            header_words=(0, PAGE_SIZE // POINTER_SIZE - 1),
            channels=(1, len(CHANNELS)),
            cache_limit=(0, MOST_CACHED),
            preloaded=(0, MOST_CACHED),
            drain_full_jiffies=(0, 10_000),
            batches=(0, 2),
        )
        gates.settle_words(self, InputError)
        if not isinstance(self.drain_hz, Real) or not 0 <= self.drain_hz <= 3600:
            raise InputError(f"drain_hz is {gates.shown(self.drain_hz)}; expected 0 to 3600 s")

    def capacity(self, page_size: int = PAGE_SIZE, pointer_size: int = POINTER_SIZE) -> int:
        """Return how many pointers fit in a block: a page of ``page_size`` bytes less the header.

        Models: kernel/rcu/tree.c:KFREE_BULK_MAX_ENTR and KVFREE_BULK_MAX_ENTR.
        """
        pointer_size = gates.within(pointer_size, "pointer_size", 4, 8, InputError)
        page_size = gates.within(page_size, "page_size", 16 * pointer_size, MAX_PAGE, InputError)
        if pointer_size not in (4, 8):
            raise InputError(f"pointers of {pointer_size} bytes; expected 4 or 8")
        capacity = page_size // pointer_size - self.header_words
        if capacity < 1:
            raise InputError(f"a page of {page_size} bytes has no room beside {self.header_words} words of header")
        return capacity


NOWAIT = "GFP_NOWAIT|__GFP_NOWARN"
CLEAN = "GFP_KERNEL|__GFP_NORETRY|__GFP_NOMEMALLOC|__GFP_NOWARN"

_V5_8 = Version(
    "v5.8",
    "one channel, a spinlock_t, one cached block",
    header_words=3,
    channels=1,
    lock="spin",
    cache_limit=1,
    request=NOWAIT,
    one_argument=False,
    hand_over="first",
)
_V5_9 = Version(
    "v5.9",
    "what the RFC talks about: raw lock, vmalloc channel, one-argument form",
    header_words=2,
    cache_limit=PREALLOCATED,
    preloaded=PREALLOCATED,
    cache_of="freeing",
    request=NOWAIT,
)
_V5_11 = replace(
    _V5_9,
    name="v5.11",
    title="a work in a clean context fills the cache (56292e8609e3)",
    cache_limit=5,
    preloaded=0,
    cache_of="owner",
    request=None,
    worker="GFP_KERNEL|__GFP_NOWARN",
)
_V5_12 = replace(_V5_11, name="v5.12", title="as v5.11, the worker does not try as hard", worker=CLEAN)
_V5_15 = replace(
    _V5_12,
    name="v5.15",
    title="one-argument form allocates with the lock dropped; the shrinker takes the cache (v5.13, v5.14)",
    worker_stops=True,
    backoff=True,
    sleeping=CLEAN,
    hand_over="left",
    fixed=True,
)
_V6_1 = replace(
    _V5_15,
    name="v6.1",
    title="waits 5 s, or one jiffy once a block is full",
    drain_hz=5.0,
    drain_full_jiffies=1,
)
_V6_6 = replace(
    _V6_1,
    name="v6.6",
    title="each block remembers its grace period",
    header_words=5,
    snapshots=True,
)
_V6_12 = replace(_V6_6, name="v6.12", title="as v6.6, one batch a run", one_batch=True)
_CALL_RCU = Version(
    "call_rcu",
    "no batches: every object a callback of its own (Tiny RCU, and kfree_rcu() before the batches)",
    header_words=0,
    cache_limit=0,
    batches=0,
)

VERSIONS = {v.name: v for v in (_V5_8, _V5_9, _V5_11, _V5_12, _V5_15, _V6_1, _V6_6, _V6_12, _CALL_RCU)}
#: Other names: v5.8-rc3, the RFC's base, and v5.10 for these purposes, and the exact releases that were booted.
ALIASES = {"v5.8-rc3": "v5.8", "v5.8-rc7": "v5.8", "v5.10": "v5.9", "v5.13": "v5.15", "v6.18": "v6.12"}


def version(name: str) -> Version:
    """Return a row by its name, an alias, or a stable release of it (v5.9.1); raises InputError."""
    base = ".".join(name.split(".")[:2]) if name.startswith("v") else name
    for candidate in (name, base):
        found = ALIASES.get(candidate, candidate)
        if found in VERSIONS:
            return VERSIONS[found]
    raise unknown("kfree_rcu version", name, [*VERSIONS, *ALIASES])
