"""The chain as a recorded log drives it: pages, grace periods and the order of things come from outside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm.jit import compiled, entry
from gfpmodel.mm.state import Traced
from gfpmodel.rcu import state as st
from gfpmodel.rcu.cache import forget_cached
from gfpmodel.rcu.chain import kvfree_call_rcu
from gfpmodel.rcu.kfree_rcu import KfreeRcu
from gfpmodel.rcu.state import Rcu
from gfpmodel.rcu.work import free_record

EVENTS_OF_A_CALL = 1 << 10


@entry
@compiled
def queue_many(m: Traced, rcu: Rcu, cpu: int, first: int, count: int, flags: int, mixed: int) -> None:
    """Queue objects of which a log says nothing, each with the same flags; if ``mixed``, every second by vmalloc()."""
    for obj in range(first, first + count):
        kvfree_call_rcu(m, rcu, cpu, obj, flags | st.VMALLOC * (mixed & (obj - 1)))


@entry
@compiled
def free_records(rcu: Rcu, cpu: int, owner: int, batch: int) -> None:
    """Free the records of the block in work of which a log says nothing: one call, because a flood has 100,000."""
    while free_record(rcu, cpu, owner, batch):
        pass


class RecordedChain(KfreeRcu):
    """A chain without a clock or an allocator of its own, its caches empty.

    Arguments: the version, cpus, and the limit of a cpu's cache (blocks).  Before a call that may want a block,
    ``words[RECORDED_PFN]`` says which page it gets, or is negative if there is none.
    """

    def __init__(self, kernel: str, cpus: int, min_cached: int | None) -> None:
        allocator = PageAllocator(Machine((Zone(2, 4096, 1024),), cpus=cpus))
        limit = None if kernel == "v5.8" else min_cached
        super().__init__(kernel, allocator, min_cached=limit, events=EVENTS_OF_A_CALL)
        for cpu in range(cpus):
            self.forget_cache(cpu)
        self.words[st.RECORDED] = 1

    @property
    def words(self) -> NDArray[np.int64]:
        """Return the words of the machine and its cpus."""
        return self._krc

    def know(self, last: int) -> None:
        """Make room for objects up to a number, and for a block."""
        self._know(last)
        self.make_room()

    def forget_cache(self, cpu: int) -> None:
        """Lose a cpu's cached blocks, as if they had never been."""
        forget_cached(self.arrays, cpu)

    def page_of(self, block: int) -> int:
        """Return the page of a block."""
        return int(self._row(block)[st.PFN])

    def records(self, block: int) -> list[int]:
        """Return the objects of a block, first to last."""
        row = self._row(block)
        records: list[int] = row[st.RECORDS : st.RECORDS + row[st.NR_RECORDS]].tolist() if block != st.NULL else []
        return records

    def take_record(self, batch_words: int, obj: int) -> None:
        """Make an object the next record of the block in work, and go past it."""
        done = int(self.words[batch_words + st.W_RECORD])
        row = self._row(int(self.words[batch_words + st.W_BLOCK]))[st.RECORDS :]
        at = done + int(np.flatnonzero(row[done:] == obj)[0])
        row[done + 1 : at + 1] = row[done:at].copy()
        row[done] = obj
        self.words[batch_words + st.W_RECORD] = done + 1

    def _row(self, block: int) -> NDArray[np.int64]:
        return self._bulk[block * (st.RECORDS + self.capacity) :][: st.RECORDS + self.capacity]
