"""What can be seen of a chain: its counters, a cpu's lists, its events; and whether all of it fits."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gfpmodel.rcu import state as st
from gfpmodel.rcu.state import Rcu, krc_of
from gfpmodel.rcu.versions import CHANNELS


@dataclass(frozen=True)
class Counters:
    """What happened since boot, in objects, blocks (pages), calls and ns."""

    queued: int
    freed: int
    early: int
    leaked: int
    duplicates: int
    head_objects: int
    stalls: int
    stall_ns: int
    cache_hits: int
    pages_alloc: int
    alloc_failed: int
    forced_failed: int
    pages_freed: int
    to_cache: int
    kfree_bulk: int
    kfree_one: int
    vfree: int
    cache_misses: int
    grace_periods: int
    hand_overs: int
    to_pending: int
    fills: int
    blocks_in_flight: int
    blocks_peak: int
    pending_peak: int

    @property
    def pending(self) -> int:
        """Return how many objects wait."""
        return self.queued - self.freed - self.leaked

    @property
    def fallbacks(self) -> int:
        """Return how many objects found no block: those linked through their rcu_head, and those waited for."""
        return self.head_objects + self.stalls


COUNTER_WORDS = {
    "blocks_in_flight": st.BLOCKS_LIVE,
    **{f.name: getattr(st, f.name.upper()) for f in fields(Counters) if f.name != "blocks_in_flight"},
}


@dataclass(frozen=True)
class Block:
    """A block: the page it is on, and its records (objects), first to last."""

    pfn: int
    records: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """What waits in a batch for a grace period, and whether its work is pending."""

    channels: tuple[tuple[Block, ...], ...]
    head: tuple[int, ...]
    pending: bool


@dataclass(frozen=True)
class Krc:
    """A cpu's struct kfree_rcu_cpu: lists newest first, as linked."""

    channels: tuple[tuple[Block, ...], ...]
    head: tuple[int, ...]
    count: int
    cache: tuple[int, ...]
    monitor_todo: bool
    batches: tuple[Batch, ...]
    in_work: tuple[Batch, ...]


@dataclass(frozen=True)
class RcuEvent:
    """One event, with the fields of the recorded logs."""

    t_ns: int
    cpu: int
    name: str
    gp_seq: int
    a: tuple[int, ...]

    def __str__(self) -> str:
        return " ".join(map(str, ("E", self.t_ns, self.cpu, self.name, self.gp_seq, *self.a)))


def channels_at(rcu: Rcu, at: int) -> tuple[tuple[Block, ...], ...]:
    """Return the blocks of each channel, whose first ones stand at a word."""
    return tuple(blocks_from(rcu, int(rcu.krc[at + n])) for n in range(len(CHANNELS)))


def blocks_from(rcu: Rcu, block: int, records: bool = True) -> tuple[Block, ...]:
    """Return a list of blocks from its first one on, with their records or without."""
    width = st.RECORDS + int(rcu.krc[st.CAPACITY])
    found = []
    while block != st.NULL:
        row = rcu.bulk[block * width :][:width]
        used = row[st.RECORDS : st.RECORDS + row[st.NR_RECORDS]].tolist() if records else ()
        found.append(Block(int(row[st.PFN]), tuple(used)))
        block = int(row[st.NEXT])
    return tuple(found)


def objects_from(rcu: Rcu, obj: int) -> tuple[int, ...]:
    """Return the objects that are linked through their rcu_head, from the first one on."""
    found = []
    while obj != st.NULL:
        found.append(obj)
        obj = int(rcu.objs[obj * st.OBJECT + st.LINK])
    return tuple(found)


def krc_at(rcu: Rcu, base: int, batches: int) -> Krc:
    """Return the lists of a cpu whose words begin at ``base``, with so many batches."""
    k = rcu.krc
    every = [base + st.BATCH_BASE + n * st.BATCH_WORDS for n in range(st.READY_BATCH + 1)]
    return Krc(
        channels=channels_at(rcu, base + st.BHEAD),
        head=objects_from(rcu, int(k[base + st.HEAD])),
        count=int(k[base + st.COUNT]),
        cache=tuple(block.pfn for block in blocks_from(rcu, int(k[base + st.CACHE]), records=False)),
        monitor_todo=bool(k[base + st.MONITOR_TODO]),
        batches=tuple(
            Batch(channels_at(rcu, b + st.B_BHEAD), objects_from(rcu, int(k[b + st.B_HEAD])), bool(k[b + st.B_PENDING]))
            for b in every[:batches]
        ),
        in_work=tuple(
            Batch(channels_at(rcu, b + st.W_BHEAD), objects_from(rcu, int(k[b + st.W_HEAD])), False) for b in every
        ),
    )


def rows_in(log: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the events in a ring as they stand there, oldest first: time, cpu, kind, gp_seq, a0 to a7."""
    count, rows = int(log[st.EVENTS]), int(log[st.ROWS])
    table = log[st.LOG_HEADER :].reshape(rows, st.LOG_WIDTH)
    return np.roll(table, -(count % rows), axis=0) if count > rows else table[:count]


def events_in(log: NDArray[np.int64]) -> list[RcuEvent]:
    """Return the events in a ring, oldest first."""
    return [RcuEvent(t, cpu, st.EVENT_NAMES[kind], seq, tuple(a)) for t, cpu, kind, seq, *a in rows_in(log).tolist()]


def check_cpu(rcu: Rcu, cpu: int, krc: Krc, pages: list[int]) -> list[int]:
    """Check a cpu's counts, add its blocks' pages to ``pages`` and return the objects found; raises AssertionError."""
    groups = [krc.channels, *(b.channels for b in (*krc.batches, *krc.in_work))]
    heads = [krc.head, *(b.head for b in (*krc.batches, *krc.in_work))]
    blocks = [block for channels in groups for channel in channels for block in channel]
    queued = sum(len(b.records) for channel in krc.channels for b in channel) + len(krc.head)
    limit, capacity, base = int(rcu.krc[st.CACHE_LIMIT]), int(rcu.krc[st.CAPACITY]), krc_of(cpu)
    counted = int(rcu.krc[base + st.BLOCKS_HERE])
    assert len(krc.cache) <= limit, f"cpu {cpu} caches {len(krc.cache)} blocks, at most {limit}"
    assert all(0 < len(b.records) <= capacity for b in blocks), "a block is empty or too full"
    assert counted == len(blocks), f"cpu {cpu} has {len(blocks)} blocks, counted {counted}"
    assert krc.count <= queued, f"cpu {cpu} counts {krc.count} objects, has {queued}"
    pages += [block.pfn for block in blocks]
    return [
        *(obj for block in blocks for obj in block.records),
        *(obj for head in heads for obj in head),
        *objects_from(rcu, int(rcu.krc[base + st.FIRST_CALLBACK])),
    ]
