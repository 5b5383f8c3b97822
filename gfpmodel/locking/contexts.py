"""Contexts: who calls the allocator, as a stack of what is held or switched off, from the task up to an NMI."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gfpmodel.errors import InputError, unknown
from gfpmodel.locking.classes import Kind

#: Interrupt levels: a later one may interrupt an earlier one, never the other way round.
LEVELS = ("task", "softirq", "hardirq", "nmi")
#: A hardirq handler that PREEMPT_RT would run in a thread or softirq; lockdep is told so.
THREADABLE = "hardirq_threadable"
ZONE_LOCK = "&zone->lock"
PCP_LOCK = "&pcp->lock"
LOW_ZONE, HELD_ZONE = 0, 1  #: DMA, to which a request falls back, and DMA32, which serves every request that it can


@dataclass(frozen=True)
class Item:
    """One level of a stack: an interrupt, a lock that is held, or something that is switched off.

    ``lock`` is the kind of a lock; ``irqs_off`` and ``preempt_off`` say what the item switches off, ``bh_off``
    counts softirqs off; ``trylock`` that the lock was got by trying, ``read`` that it is held for reading.  ``zones``
    are those whose zone->lock is taken, by the item itself or, if it has no ``lock``, by another CPU.
    """

    lock: Kind | None = None
    irqs_off: bool = False
    preempt_off: bool = False
    bh_off: bool = False
    trylock: bool = False
    read: bool = False
    level: str = ""
    zones: tuple[int, ...] = ()


ITEMS = {
    "spin": Item("spinlock_t"),
    "raw": Item("raw_spinlock_t"),
    "raw_irqsave": Item("raw_spinlock_t", irqs_off=True),
    "raw_try": Item("raw_spinlock_t", trylock=True),
    "mutex": Item("mutex"),
    "rwlock_r": Item("rwlock_t", read=True),
    "rcu": Item("rcu"),
    "rcu_sched": Item("rcu_sched"),
    "zone_lock": Item("spinlock_t", irqs_off=True, zones=(HELD_ZONE,)),
    "zone_lock_dma": Item("spinlock_t", irqs_off=True, trylock=True, zones=(LOW_ZONE,)),
    "zone_lock_elsewhere": Item(zones=(HELD_ZONE,)),
    "zone_locks_elsewhere": Item(zones=(LOW_ZONE, HELD_ZONE)),
    "pcp_lock": Item("spinlock_t"),
    "irqoff": Item(irqs_off=True),
    "preemptoff": Item(preempt_off=True),
    "bhoff": Item(bh_off=True),
    "softirq": Item(level="softirq"),
    "hardirq": Item(level="hardirq"),
    THREADABLE: Item(level="hardirq"),
    "nmi": Item(level="nmi"),
}
#: What a lock of a kind is called at each level, as the driver of the recorded runs called its own.
FIXED_NAMES = {"rcu": "rcu_read_lock", "rcu_sched": "rcu_read_lock_sched", "pcp_lock": PCP_LOCK}
FIXED_NAMES |= dict.fromkeys(("zone_lock", "zone_lock_dma"), ZONE_LOCK)
SUFFIXES = {"task": "", "softirq": "_bh", "hardirq": "_irq", "nmi": "_nmi"}

#: The contexts in which the recorded kernels were asked, and two more, each as a stack from the task outward.
STACKS = {
    "task": (),
    "spin": ("spin",),
    "raw": ("raw",),
    "raw_irqsave": ("raw_irqsave",),
    "irqoff": ("irqoff",),
    "preemptoff": ("preemptoff",),
    "bhoff": ("bhoff",),
    "softirq": ("softirq",),
    "softirq_raw": ("softirq", "raw"),
    "hrt": ("hardirq",),
    "hrt_raw": ("hardirq", "raw"),
    "hrt_spin": ("hardirq", "spin"),
    "hrt_over_mutex": ("mutex", "hardirq"),
    "hrt_over_raw": ("raw", "hardirq"),
    "hrt_over_spin": ("spin", "hardirq"),
    "hrt_soft_decl": (THREADABLE,),
    "irqwork": (THREADABLE,),
    "irqwork_hard": ("hardirq",),
    "ipi": ("hardirq",),
    "rcu": ("rcu",),
    "rcu_sched": ("rcu_sched",),
    "mutex": ("mutex",),
    "rwlock_r": ("rwlock_r",),
    "raw_try": ("raw_try",),
    "spin_raw": ("spin", "raw"),
    "nmi": ("nmi",),
    "zone_lock": ("zone_lock",),
}
PREEMPTIBLE = ("task", "mutex")  #: the recorded contexts in which the driver left preemption on


@dataclass(frozen=True)
class Entry:
    """An item of a context with the name of its lock and the level at which it stands."""

    item: Item
    word: str
    level: str
    name: str = ""

    @property
    def instance(self) -> int | str:
        """Return what tells the lock from others of its class."""
        return self.item.zones[0] if self.name == ZONE_LOCK and self.item.zones else self.name


@dataclass(frozen=True)
class Context:
    """A context: its name, its entries from the task outward, and how often preemption is switched off besides.

    ``driver`` says that the driver of the recorded runs had preemption off, too (migration, on PREEMPT_RT).
    """

    name: str
    entries: tuple[Entry, ...]
    driver: bool = False
    preempt_depth: int = 0

    @property
    def level(self) -> str:
        """Return the level at which the request is made."""
        levels = [entry.item.level for entry in self.entries if entry.item.level]
        return levels[-1] if levels else "task"

    @property
    def bh_off(self) -> bool:
        """Return whether softirqs are switched off."""
        return any(entry.item.bh_off for entry in self.entries)

    @property
    def zones(self) -> tuple[int, ...]:
        """Return the zones whose lock is taken already, here or by another CPU."""
        return tuple(zone for entry in self.entries for zone in entry.item.zones)

    @property
    def holds_pcp_lock(self) -> bool:
        """Return whether the lock of this CPU's lists in the big zone is held already."""
        return any(entry.name == PCP_LOCK for entry in self.entries)

    def __str__(self) -> str:
        return self.name


def context(text: str, preempt_depth: int = 0) -> Context:
    """Return a context by name, or by its stack from the task outward: ``mutex>hardirq>raw:krc.lock``.

    The ``->`` of a lock's name (``raw:&p->pi_lock``) ends nothing.
    Arguments: the text; how often preemption is switched off besides.  Raises InputError for what cannot be.
    """
    text = text.strip()
    if text in STACKS:
        return stack(STACKS[text], text, driver=text not in PREEMPTIBLE, preempt_depth=preempt_depth)
    words = [word.strip() for word in re.split("(?<!-)>", text)]
    if len(words) == 1 and words[0].partition(":")[0] not in ITEMS:
        raise unknown("context", text, [*STACKS, *ITEMS])
    return stack(words, text, preempt_depth=preempt_depth)


def stack(words: Sequence[str], name: str = "", driver: bool = False, preempt_depth: int = 0) -> Context:
    """Return the context of a stack of items, outermost first; raises InputError for one that cannot be."""
    if preempt_depth < 0:
        raise InputError(f"preemption is off {preempt_depth} times; expected 0 or more")
    entries: list[Entry] = []
    level = "task"
    for word in words:
        kind, _, lock_name = word.partition(":")
        if kind not in ITEMS:
            raise unknown("lock or context item", kind, ITEMS)
        item = ITEMS[kind]
        check_item(kind, item, level, entries, lock_name)
        level = item.level or level
        entries.append(Entry(item, kind, level, lock_name or default_name(kind, item, level)))
    return Context(name or ">".join(words) or "task", tuple(entries), driver, preempt_depth)


def default_name(word: str, item: Item, level: str) -> str:
    """Return the name of the lock that an item holds, empty if it holds none."""
    if item.lock is None:
        return ""
    return FIXED_NAMES.get(word, f"ft_{word}{SUFFIXES[level]}")


def check_item(word: str, item: Item, level: str, below: list[Entry], lock_name: str) -> None:
    """Raise InputError if an item cannot stand on a stack: who interrupts whom, who may sleep where."""
    if lock_name and (item.lock is None or word in FIXED_NAMES):
        raise InputError(f"impossible context: {word} takes no lock that could be called {lock_name!r}")
    if item.level:
        check_interrupt(word, item, level, below)
    elif item.lock == "mutex" and level != "task":
        raise InputError(f"impossible context: a mutex cannot be taken in {level}, which may not sleep")
    names = [(entry.name, entry.item.zones) for entry in below if entry.name and not entry.item.read]
    name = lock_name or default_name(word, item, level)
    if item.lock not in (None, "rcu", "rcu_sched") and (name, item.zones) in names and not item.read:
        raise InputError(f"impossible context: {name} is held already and cannot be taken again")


def check_interrupt(word: str, item: Item, level: str, below: list[Entry]) -> None:
    """Raise InputError if an interrupt cannot come in here."""
    if LEVELS.index(item.level) <= LEVELS.index(level):
        raise InputError(f"impossible context: {word} cannot interrupt {level}")
    if item.level != "nmi" and any(entry.item.irqs_off for entry in below):
        raise InputError(f"impossible context: {word} cannot come while interrupts are off")
    if item.level == "softirq" and any(entry.item.bh_off for entry in below):
        raise InputError(f"impossible context: {word} cannot come while softirqs are off")
