"""Would the flag have worked on the lists of later kernels?  The same days, page for page, on each kernel's engine.

A day is a list of steps that does not depend on who asks how; a way to ask, on a kernel, makes operations of it.
There is no time here: what is counted are requests that fail, locks that are taken, and pages that lie about.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import unknown
from gfpmodel.gfp import encode, layout
from gfpmodel.mm import Machine, PageAllocator, Rule, Zone, pack_ops
from gfpmodel.mm import events as ev
from gfpmodel.mm.exercises import numbers
from gfpmodel.mm.kernels import FIRST
from gfpmodel.mm.ops import NO_RESULT, OP_ALLOC, OP_FREE, OP_FREE_HANDLE, OP_NOLOCK
from gfpmodel.mm.rules import OWN_FUNCTION
from gfpmodel.mm.state import MIGRATE_UNMOVABLE, ZONE_NORMAL
from gfpmodel.proposals import proposal
from gfpmodel.sim.statistics import Interval, interval, share

WAYS = ("fast_try", "lockless", "gfp0", "trylock", "gfp_atomic_rt", "deferred_refill")
NOBODY = "nobody"  #: the same day without the requests
PAGES, CPUS = 1 << 17, 2  #: of the machine; sizes of lists are those that the kernel computes at boot
PIECE = 200  #: operations between two looks at the lists
CACHED, DELAY = 5, 20  #: of the deferred refill: pages in its cache (rcu_min_cached_objs), steps until its work runs
MINE, OTHERS = True, False
LOCK_KINDS = (ev.UNLOCK, ev.REFILL_DONE, ev.PCP_REFILL)  #: who gives a lock back has taken it, or tried with luck

REQUESTS = 1000  #: of a day, or a few more
ASK, GIVE, ALLOC, FREE, BUSY, IDLE = range(6)


class Step(NamedTuple):
    """One step of a day: ``what`` is a mask by name, or the number of the request whose page goes back."""

    verb: int
    cpu: int = 0
    what: int | str = 0


# days


@dataclass
class Day:
    """A day being written: the numbers it draws from, its steps so far, and what the others hold."""

    draw: Iterator[int]
    steps: list[Step] = field(default_factory=list)
    live: list[int] = field(default_factory=list)  #: requests of the others whose pages are in use
    made: int = 0  #: requests of the others

    def add(self, verb: int, cpu: int = 0, what: int | str = 0) -> None:
        """Add a step."""
        self.steps.append(Step(verb, cpu, what))

    def below(self, limit: int) -> int:
        """Return the next number, below a limit."""
        return next(self.draw) % limit

    def others(self, count: int, keep: int = 300) -> None:
        """Add what everybody else does: requests of both types and frees, about ``keep`` pages being in use."""
        for _ in range(count):
            cpu = self.below(CPUS)
            if self.below(2 * keep) < len(self.live):
                self.add(FREE, cpu, self.live.pop(self.below(len(self.live))))
                continue
            self.add(ALLOC, cpu, "GFP_KERNEL" if self.below(5) < 2 else "GFP_KERNEL|__GFP_MOVABLE")
            self.live.append(self.made)
            self.made += 1


def loop(it: Day) -> None:
    """Ask again and again, and give nothing back: the loop of the RFC's author."""
    it.steps += [Step(ASK)] * REQUESTS


def flood(it: Day) -> None:
    """Ask for some hundred pages at once and give them back after a grace period, again and again."""
    asked = 0
    while asked < REQUESTS:
        size = 100 + it.below(400)
        it.steps += [Step(ASK)] * size
        it.others(100)
        it.steps += [Step(GIVE, 0, number) for number in range(asked, asked + size)]
        asked += size


def ask_and_give(it: Day, cpu: int, noise: int) -> None:
    """Ask on cpu 0, each page being given back on a cpu 30 requests later, with ``noise`` steps between on average."""
    for number in range(REQUESTS):
        it.add(ASK)
        it.others(it.below(2 * noise + 1))
        if number >= 30:
            it.add(GIVE, cpu, number - 30)


def elsewhere(it: Day) -> None:
    """Ask on one cpu, give back on the other."""
    ask_and_give(it, cpu=1, noise=1)


def mix(it: Day) -> None:
    """Ask among others who ask and free."""
    ask_and_give(it, cpu=0, noise=2)


def contended(it: Day) -> None:
    """Ask on one cpu, give back on the other, while a third party has the zone lock for half of the steps, in rows."""
    begin = len(it.steps)
    elsewhere(it)
    calm, it.steps = it.steps[begin:], it.steps[:begin]
    busy, left = False, 0
    for step in calm:
        if left == 0:
            busy, left = not busy, 1 + it.below(80)
            it.add(BUSY if busy else IDLE)
        it.steps.append(step)
        left -= 1


DAYS: dict[str, Callable[[Day], None]] = {
    "loop": loop,
    "flood": flood,
    "elsewhere": elsewhere,
    "mix": mix,
    "low": mix,
    "contended": contended,
}
"""The days by name; ``low`` is the mix with memory filled to a line between the min and the low watermark."""


def day(name: str, seed: int) -> list[Step]:
    """Return the steps of a day, after a while of ordinary use; raises InputError for an unknown name."""
    if name not in DAYS:
        raise unknown("day", name, DAYS)
    it = Day(numbers(seed))
    it.others(800)
    DAYS[name](it)
    return it.steps


# ways to ask


def row_on(name: str, kernel: str) -> Rule:
    """Return a proposal's row for the lists of a kernel; raises InputError for an unknown proposal."""
    return marked(proposal(name).on(preempt_rt=name == "gfp_atomic_rt"), kernel)


def marked(row: Rule, kernel: str) -> Rule:
    """Return a row for a kernel: the bit of 2020 has another owner on later ones, so a mark of its own."""
    if kernel == FIRST:
        return row
    if row.flag and row.flag < OWN_FUNCTION:
        row = replace(row, request="none", flag=OWN_FUNCTION)
    return replace(row, kernel=kernel)


@dataclass
class Asker:
    """One way to ask on a kernel: the operations of a step, each with its owner."""

    way: str
    kernel: str
    row: Rule | None = None
    kind: int = OP_ALLOC
    mask: int = 0
    allocations: int = 0  #: so many allocations so far, of everybody
    asked: list[int] = field(default_factory=list)  #: the allocation of each request, -1 where there was none
    taken: list[int] = field(default_factory=list)  #: those of the others
    cache: list[int] = field(default_factory=list)
    due: int = -1  #: the step at which the work runs

    def __post_init__(self) -> None:
        if self.way == NOBODY:
            return
        self.row = row_on(self.way, self.kernel)
        self.mask = self.row.mask
        if self.way == "trylock" and self.kernel != FIRST:  # the function that landed
            self.row, self.kind, self.mask = None, OP_NOLOCK, 0

    def allocate(self, kind: int, cpu: int, mask: int, mine: bool, into: list[int]) -> tuple[int, int, int, bool]:
        """Return an allocation as an operation, and note its number."""
        into.append(self.allocations)
        self.allocations += 1
        return kind, cpu, mask, mine

    def ask(self, at: int, cpu: int) -> Iterator[tuple[int, int, int, bool]]:
        """Yield the operations of one request."""
        if self.way == "deferred_refill":
            self.asked.append(self.cache.pop() if self.cache else -1)
            if not self.cache and self.due < 0:
                self.due = at + DELAY
        elif self.way != NOBODY:
            yield self.allocate(self.kind, cpu, self.mask, MINE, self.asked)
        else:
            self.asked.append(-1)

    def step(self, at: int, step: Step) -> Iterator[tuple[int, int, int, bool]]:
        """Yield kind, cpu, argument and owner of each operation; a free has the number of its allocation."""
        if 0 <= self.due <= at:
            self.due = -1
            for _ in range(CACHED - len(self.cache)):
                yield self.allocate(OP_ALLOC, 0, self.mask, MINE, self.cache)
        if step.verb == ASK:
            yield from self.ask(at, step.cpu)
        elif step.verb == ALLOC:
            yield self.allocate(OP_ALLOC, step.cpu, encode(str(step.what), layout(self.kernel)), OTHERS, self.taken)
        elif step.verb in (GIVE, FREE):
            number = (self.asked if step.verb == GIVE else self.taken)[int(step.what)]
            if number >= 0:
                yield OP_FREE_HANDLE, step.cpu, number, step.verb == GIVE


# a run


class Outcome(NamedTuple):
    """What a day came to.

    The share of requests that failed; how often the zone lock was taken by them, and by the others, for 1000 requests;
    pages on all lists, and in the cache, at a mean look, and at most; the most pages of one refill; the share of the
    pages served that lay in another type's pageblock.
    """

    failed: float
    own_locks: float
    other_locks: float
    held: float
    most_held: int
    longest: int
    foreign: float


@dataclass
class Run:
    """A day being run: the allocator and what was counted."""

    allocator: PageAllocator
    pfns: list[int] = field(default_factory=list)  #: of each allocation so far
    types: list[int] = field(default_factory=list)  #: of their pageblocks, when the piece had run
    locks: list[int] = field(default_factory=lambda: [0, 0])  #: of the others, of the requests
    held: list[int] = field(default_factory=list)
    longest: int = 0

    def piece(self, ops: list[tuple[int, int, int, bool]]) -> None:
        """Run some operations and look."""
        if ops:
            self.run(ops)
        self.held.append(sum(self.allocator.pcp_count(cpu, ZONE_NORMAL) for cpu in range(CPUS)))

    def run(self, ops: list[tuple[int, int, int, bool]]) -> None:
        """Run some operations, and count the locks."""
        first = len(self.pfns)
        rows = [row[:3] for row in ops]
        for at, (kind, cpu, number) in enumerate(rows):
            if kind == OP_FREE_HANDLE:
                earlier = number < first
                rows[at] = (OP_FREE, cpu, self.pfns[number]) if earlier else (kind, cpu, number - first)
        kinds, cpus, arguments = np.array(rows, np.int64).T
        begin = self.allocator.ops_run
        got = self.allocator.run(pack_ops(kinds, cpus, 0, arguments)).pfns.tolist()
        self.pfns += got
        self.types += [-1 if pfn == NO_RESULT else self.allocator.migratetype(pfn) for pfn in got]
        for event in self.allocator.events():
            if event.kind in (ev.REFILL_DONE, ev.PCP_REFILL):
                self.longest = max(self.longest, event.fields["got"])
            else:
                self.locks[ops[event.op - begin][3]] += 1


def fill(allocator: PageAllocator, way: float) -> None:
    """Take memory until free pages are so far on the way from the min to the low watermark (0 to 1)."""
    low = allocator.sizes.zones[ZONE_NORMAL].wmark
    target = low[0] + int(way * (low[1] - low[0]))
    for order in range(9, -1, -1):
        while allocator.nr_free(ZONE_NORMAL) - (1 << order) >= target:
            if allocator.alloc_pages("GFP_KERNEL|__GFP_MEMALLOC", order, cpu=1) is None:
                break


def run_day(name: str, way: str, kernel: str, seed: int) -> Outcome:
    """Run a day with one way to ask on a kernel's lists; raises InputError for a name that is not known."""
    asker = Asker(way, kernel)
    machine = Machine(
        (Zone(ZONE_NORMAL, 4096, PAGES),), cpus=CPUS, watermark_boost_factor=0 if name == "low" else 15000
    )
    run = Run(PageAllocator(machine, asker.row, events=1 << 14, kinds=LOCK_KINDS, kernel=kernel))
    asking = False
    ops: list[tuple[int, int, int, bool]] = []
    for at, step in enumerate(day(name, seed)):
        if step.verb == ASK and not asking:
            asking = True
            run.piece(ops)
            if name == "low":
                fill(run.allocator, next(numbers(seed)) % 100 / 100)
            run.allocator.events()
            run.locks, run.held, run.longest, ops = [0, 0], [], 0, []
        if ops and (len(ops) >= PIECE or step.verb in (BUSY, IDLE)):
            run.piece(ops)
            run.held[-1] += len(asker.cache)
            ops = []
        if step.verb in (BUSY, IDLE):
            run.allocator.contend(ZONE_NORMAL, held=step.verb == BUSY)
        ops += asker.step(at, step)
    run.piece(ops)
    return outcome(asker, run)


def outcome(asker: Asker, run: Run) -> Outcome:
    """Return what a day came to."""
    asked = np.array([NO_RESULT if number < 0 else run.pfns[number] for number in asker.asked])
    types: NDArray[np.int64] = np.array([-1 if number < 0 else run.types[number] for number in asker.asked])
    served = asked != NO_RESULT
    foreign = (types[served] != MIGRATE_UNMOVABLE).mean() if served.any() else 0.0
    per = 1000 / len(asked)
    return Outcome(
        failed=float(1 - served.mean()),
        own_locks=run.locks[MINE] * per,
        other_locks=run.locks[OTHERS] * per,
        held=float(np.mean(run.held)),
        most_held=max(run.held),
        longest=run.longest,
        foreign=float(foreign),
    )


SHOWN = (FIRST, "v6.18", "v7.3")  #: kernels of the shipped file
SEEDS = 5
COLUMNS = ("day", "way", "kernel", "seed", *Outcome._fields)
SHARES = ("failed", "foreign")
Key = tuple[str, str, str]


def points() -> Iterator[tuple[str, str, str, int]]:
    """Yield day, way to ask, kernel and seed of each run of the shipped file."""
    yield from product(DAYS, (NOBODY, *WAYS), SHOWN, range(SEEDS))


def line(point: tuple[str, str, str, int]) -> str:
    """Run one and return its line of the file."""
    return ",".join([*map(str, point), *(f"{figure:.6g}" for figure in run_day(*point))])


def read_days(path: Path) -> dict[Key, dict[str, Interval]]:
    """Return the figures of a file of such lines by day, way and kernel, over seeds, each with its 95 % interval."""
    found: dict[Key, list[dict[str, str]]] = {}
    for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        found.setdefault((row["day"], row["way"], row["kernel"]), []).append(row)
    return {
        key: {
            figure: (share if figure in SHARES else interval)([float(row[figure]) for row in rows])
            for figure in Outcome._fields
        }
        for key, rows in found.items()
    }
