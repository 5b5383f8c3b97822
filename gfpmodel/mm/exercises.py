"""Questions about the allocator to answer by hand, made from a seed: the same seed asks the same thing everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gfpmodel.mm.allocator import PageAllocator
from gfpmodel.mm.mmzone import Machine, Zone
from gfpmodel.mm.rules import Rule
from gfpmodel.mm.script import Step, run_script
from gfpmodel.mm.state import ZONE_NORMAL

MASK64 = (1 << 64) - 1
PAGES, BATCH, HIGH = 1024, 4, 8  #: of the small machine


def small_machine(proposal: Rule | None = None, *, cpus: int = 1, pages: int = PAGES) -> PageAllocator:
    """Return a machine that fits on a screen: one zone, batch 4, high 8; events are recorded."""
    zone = Zone(ZONE_NORMAL, 4096, pages)
    machine = Machine((zone,), cpus=cpus, pcp=(BATCH, HIGH), mobility_disabled=False)
    return PageAllocator(machine, proposal, events=1 << 10)


def give_back(allocator: PageAllocator) -> PageAllocator:
    """Free every allocated block, on cpu 0, empty all lists, and return the allocator."""
    for pfn, order in allocator.snapshot().in_use:
        allocator.free_pages(pfn, order)
    allocator.drain()
    return allocator


def numbers(seed: int) -> Iterator[int]:
    """Yield pseudo-random 64-bit numbers: SplitMix64, whose numbers no library release can change."""
    state = seed & MASK64
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK64
        z = state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK64
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK64
        yield z ^ z >> 31


@dataclass(frozen=True)
class Exercise:
    """A run to predict on ``small_machine``; show it, then ``solve()`` it."""

    ops: str
    proposal: Rule | None = None

    def __repr__(self) -> str:
        page, lock = "a page or NULL?", "is zone->lock taken?"
        lines = [f"  {word:<6} {page if word[0] == '+' else '':<15}  {lock}" for word in self.ops.split()]
        return "\n".join([f"one zone of {PAGES} pages, batch {BATCH}, high {HIGH}, the cpu's lists empty:", *lines])

    def steps(self) -> list[Step]:
        """Return the steps of the run."""
        return list(run_script(small_machine(self.proposal), self.ops))

    def solve(self) -> None:
        """Print the answers."""
        for step in self.steps():
            page = ""
            if step.op.kind == "alloc":
                page = "NULL" if step.pfn is None else f"from {step.source}"
            print(f"  {step.op.text:<6} {page:<27}  zone->lock {'taken' if step.locks else 'not taken'}")


def exercise(seed: int, length: int = 8, proposal: Rule | None = None) -> Exercise:
    """Return a run of ``length`` operations.

    A third are frees once there is something to free; the others allocate, one in six with order 1, of any type,
    and with a proposal half of them the way it asks.
    """
    draw = numbers(seed)
    words: list[str] = []
    live: list[int] = []
    allocations = 0
    for _ in range(length):
        if live and next(draw) % 3 == 0:
            words.append(f"-{live.pop(next(draw) % len(live))}")
            continue
        allocations += 1
        live.append(allocations)
        order = 1 if next(draw) % 6 == 0 else 0
        flag = "!" if proposal and next(draw) % 2 else ""
        words.append(f"+{order}{('', 'm', 'r')[next(draw) % 3]}{flag}")
    return Exercise(" ".join(words), proposal)
