"""Operation strings: a run of the allocator in one line, to be typed, mailed or asked in an exercise.

+0       allocate order 0 with GFP_KERNEL on CPU 0      +0m  movable     +2r  order 2, reclaimable
+0!      the way the proposal asks                       +0m!@1  the same, movable, on CPU 1
-3       free what the third allocation returned         -3@1    on CPU 1
d0       drain_pages(0): empty the lists of CPU 0
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gfpmodel.errors import InputError
from gfpmodel.mm import events as ev
from gfpmodel.mm.allocator import PageAllocator
from gfpmodel.mm.events import Event
from gfpmodel.mm.rules import OWN_FUNCTION
from gfpmodel.mm.state import (
    MAX_ORDER,
    MIGRATE_MOVABLE,
    MIGRATE_NAMES,
    MIGRATE_PCPTYPES,
    MIGRATE_RECLAIMABLE,
    MIGRATE_UNMOVABLE,
    NR_LOWORDER_PCP_LISTS,
    PMD_ORDER,
)

GFP_KERNEL = 0xCC0
GFP_MOVABLE_SHIFT = 3  #: __GFP_MOVABLE and __GFP_RECLAIMABLE: the migratetype, shifted (v5.8)
TYPES = {"": MIGRATE_UNMOVABLE, "m": MIGRATE_MOVABLE, "r": MIGRATE_RECLAIMABLE}
TYPE_FLAGS = {"": "", "m": "|__GFP_MOVABLE", "r": "|__GFP_RECLAIMABLE"}
EXPECTED = "expected +ORDER[m|r][!][@CPU], -NUMBER[@CPU] or dCPU"
REFILLED = "the list just refilled"
FREE_LISTS = "the free lists"
LONGEST = 40  #: of a bad word that is quoted

_NUMBER = "[0-9]{1,4}"
_OP = re.compile(
    rf"\+(?P<order>{_NUMBER})(?P<type>[mr]?)(?P<flag>!?)(?:@(?P<acpu>{_NUMBER}))?"
    rf"|-(?P<handle>{_NUMBER})(?:@(?P<fcpu>{_NUMBER}))?|d(?P<drain>{_NUMBER})"
)


@dataclass(frozen=True)
class Op:
    """One operation of a string; ``handle`` counts allocations from 1, ``flagged`` asks the way the proposal does."""

    text: str
    kind: str
    cpu: int
    order: int = 0
    migratetype: int = MIGRATE_UNMOVABLE
    flagged: bool = False
    handle: int = 0


def parse_ops(text: str) -> list[Op]:
    """Parse an operation string; raises InputError that names the word and what was expected."""
    ops: list[Op] = []
    allocations = 0
    for word in text.split():
        match = _OP.fullmatch(word)
        if not match:
            raise InputError(f"bad operation {_cut(word)!r}; {EXPECTED}")
        ops.append(_op(match, allocations))
        allocations += ops[-1].kind == "alloc"
    return ops


def _cut(word: str) -> str:
    return word if len(word) <= LONGEST else word[:LONGEST] + "..."


def _op(match: re.Match[str], allocations: int) -> Op:
    """Return the operation of a word that comes after so many allocations."""
    word = match[0]
    if match["order"]:
        if int(match["order"]) >= MAX_ORDER:
            raise InputError(f"bad operation {word!r}; expected an order from 0 to {MAX_ORDER - 1}")
        cpu, order = int(match["acpu"] or 0), int(match["order"])
        return Op(word, "alloc", cpu, order, TYPES[match["type"]], bool(match["flag"]))
    if match["handle"]:
        if not 1 <= int(match["handle"]) <= allocations:
            raise InputError(f"bad operation {word!r}; the allocations before it are numbered 1 to {allocations}")
        return Op(word, "free", int(match["fcpu"] or 0), handle=int(match["handle"]))
    return Op(word, "drain", int(match["drain"]))


@dataclass(frozen=True)
class Step:
    """What one operation did.

    ``call`` is the call in C, ``pfn`` what it returned or freed, ``events`` what happened on its way; ``source`` says
    which list an allocation was served from, or which one a free puts its page on, and ``block`` is the type of the
    pageblock that the page lies in.
    """

    op: Op
    call: str
    pfn: int | None
    events: tuple[Event, ...]
    source: str | None = None
    block: str | None = None

    def count(self, kind: int) -> int:
        """Return how many events of a kind there were."""
        return sum(event.kind == kind for event in self.events)

    @property
    def locks(self) -> int:
        """Return how often zone->lock was taken."""
        return self.count(ev.LOCK)

    @property
    def irq_off(self) -> int:
        """Return how often interrupts were turned off."""
        return self.count(ev.IRQ_SAVE)

    @property
    def stray(self) -> bool:
        """Return whether the page lies in a pageblock of another type than was asked for."""
        return self.op.kind == "alloc" and self.block not in (None, MIGRATE_NAMES[self.op.migratetype])

    @property
    def stolen(self) -> int:
        """Return how often a block was taken from the lists of another type."""
        return self.count(ev.EXTFRAG)


def run_script(allocator: PageAllocator, text: str) -> Iterator[Step]:
    """Run an operation string, one step at a time; look at the allocator between the steps.

    Arguments: an allocator that records events; the string.  A free of an allocation that returned NULL is skipped,
    as kfree(NULL) would be.  Raises InputError for a bad string, an allocator without events, or a ``!`` without a
    proposal, before anything is run; MisuseError for an unknown cpu or a double free.
    """
    ops = parse_ops(text)
    if allocator.ring is None:
        raise InputError("this allocator records no events; expected one made with events=N")
    if allocator.proposal is None:
        for op in ops:
            if op.flagged:
                raise InputError(f"bad operation {op.text!r}; this allocator has no proposal that could be asked for")
    return _steps(allocator, ops)


def _steps(allocator: PageAllocator, ops: list[Op]) -> Iterator[Step]:
    results: list[tuple[int | None, int]] = []
    for op in ops:
        allocator.events()
        if op.kind == "alloc":
            step = _alloc(allocator, op)
            results.append((step.pfn, op.order))
        elif op.kind == "free":
            step = _free(allocator, op, *results[op.handle - 1])
        else:
            allocator.drain(op.cpu)
            step = Step(op, f"drain_pages({op.cpu})", None, tuple(allocator.events()))
        yield step


def _alloc(allocator: PageAllocator, op: Op) -> Step:
    heads = _pcp_heads(allocator, op.cpu)
    gfp = op.migratetype << GFP_MOVABLE_SHIFT | GFP_KERNEL
    base, function = "GFP_KERNEL", "alloc_pages"
    if op.flagged and allocator.proposal:
        gfp = op.migratetype << GFP_MOVABLE_SHIFT | allocator.proposal.mask
        base = allocator.proposal.request
        function = f"{allocator.proposal.name} function" if allocator.proposal.flag == OWN_FUNCTION else function
    pfn = allocator.alloc_pages(gfp, op.order, op.cpu)
    mask = base + {v: TYPE_FLAGS[k] for k, v in TYPES.items()}[op.migratetype]
    call = f"{function}({mask}, {op.order}) on CPU {op.cpu}"
    events = tuple(allocator.events())
    if pfn is None:
        return Step(op, call, None, events)
    refilled = allocator.rules.later and any(event.kind == ev.PCP_REFILL for event in events)
    ordinary = REFILLED if refilled or not (op.order or allocator.rules.later) else FREE_LISTS
    source = heads.get(pfn, ordinary)
    return Step(op, call, pfn, events, source, MIGRATE_NAMES[allocator.migratetype(pfn)])


def _free(allocator: PageAllocator, op: Op, pfn: int | None, order: int) -> Step:
    if pfn is None:
        return Step(op, "nothing to free", None, ())
    block = allocator.migratetype(pfn)
    allocator.free_pages(pfn, order, op.cpu)
    events = tuple(allocator.events())
    if allocator.rules.later:  # the lists are those of which the lock was got
        listed = any(event.kind == ev.PCP_TRYLOCK and event.fields["taken"] for event in events)
    else:
        listed = not order
    onto = _list_name(block if block < MIGRATE_PCPTYPES else MIGRATE_MOVABLE, order)
    call = f"__free_pages({pfn}, {order}) on CPU {op.cpu}"
    return Step(op, call, pfn, events, onto if listed else FREE_LISTS, MIGRATE_NAMES[block])


def _pcp_heads(allocator: PageAllocator, cpu: int) -> dict[int, str]:
    """Return the pages at the heads of a cpu's lists, with the list each is on; an unknown cpu has none."""
    if not 0 <= cpu < allocator.machine.cpus:
        return {}
    lists = [(zone, number) for zone in allocator.sizes.zones for number in range(allocator.rules.pcp_lists)]
    found = {(zone, number): allocator.pcp_list(cpu, zone, number) for zone, number in lists}
    return {int(pfns[0]): _list_name(*list_of(number)) for (_, number), pfns in found.items() if len(pfns)}


def list_of(number: int) -> tuple[int, int]:
    """Return the type and the order of a CPU's list by its number; of huge pages only whether they can move is told."""
    if number >= NR_LOWORDER_PCP_LISTS:
        return number - NR_LOWORDER_PCP_LISTS, PMD_ORDER
    return number % MIGRATE_PCPTYPES, number // MIGRATE_PCPTYPES


def _list_name(migratetype: int, order: int = 0) -> str:
    return f"the {f'order {order} ' * bool(order)}{MIGRATE_NAMES[migratetype]} list"
