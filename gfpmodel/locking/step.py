"""A step: one thing that a request does with locks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gfpmodel.locking.kernels import Kernel

#: "busy" is a trylock that found the lock held, "decline" a lock that the request would need and does not take.
What = Literal["acquire", "try", "busy", "decline", "release", "irq_save", "irq_restore", "might_sleep", "sleep"]


class Step(NamedTuple):
    """One thing that the allocator does with locks: what, which lock, in which function, and which zone's it is."""

    what: What
    lock: str = ""
    where: str = ""
    zone: int | None = None

    def __str__(self) -> str:
        zone = "" if self.zone is None else f" of zone {self.zone}"
        return " ".join(part for part in (self.what, self.lock + zone, self.where and f"in {self.where}") if part)


@dataclass(frozen=True)
class Taken:
    """Locks that somebody holds when the request comes: those of ``zones``, and that of the big zone's lists."""

    zones: tuple[int, ...] = ()
    pcp: bool = False


NOTHING = Taken()


def locked(kernel: Kernel, lock: str, where: str, zone: int | None = None, what: What = "acquire") -> Iterator[Step]:
    """Yield a lock taken and released with interrupts off (on PREEMPT_RT only a raw one needs them off)."""
    off = not kernel.rt or kernel.lock(lock).kind == "raw_spinlock_t"
    if off:
        yield Step("irq_save")
    yield Step(what, lock, where, zone)
    yield Step("release", lock)
    if off:
        yield Step("irq_restore")
