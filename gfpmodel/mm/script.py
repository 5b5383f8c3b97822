"""Operation strings: a run of the allocator in one line, to be typed, mailed or asked in an exercise.

    +0       allocate order 0 with GFP_KERNEL on cpu 0      +0m  movable     +2r  order 2, reclaimable
    +0!      with the proposal's flag                        +0m!@1  movable, with the flag, on cpu 1
    -3       free what the third allocation returned         -3@1    on cpu 1
    d0       drain_pages(0): empty the lists of cpu 0
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gfpmodel.errors import InputError
from gfpmodel.mm.allocator import PageAllocator
from gfpmodel.mm import events as ev
from gfpmodel.mm.events import Event
from gfpmodel.mm.state import MAX_ORDER, MIGRATE_NAMES, MIGRATE_PCPTYPES

GFP_KERNEL = 0xCC0
TYPE_BITS = {"": 0, "u": 0, "m": 0x8, "r": 0x10}  #: __GFP_MOVABLE, __GFP_RECLAIMABLE (v5.8)
_OP = re.compile(
    r"\+(?P<order>\d+)(?P<type>[umr]?)(?P<flag>!?)(?:@(?P<acpu>\d+))?"
    r"|-(?P<handle>\d+)(?:@(?P<fcpu>\d+))?|d(?P<drain>\d+)"
)


@dataclass(frozen=True)
class Op:
    """One operation of a string; ``handle`` counts allocations from 1."""

    text: str
    kind: str
    cpu: int
    order: int = 0
    migratetype: str = ""
    flagged: bool = False
    handle: int = 0


def parse_ops(text: str) -> list[Op]:
    """Parse an operation string; raises InputError that names the word and what was expected."""
    ops: list[Op] = []
    allocations = 0
    for word in text.split():
        match = _OP.fullmatch(word)
        if not match:
            raise InputError(f"bad operation {word!r}; expected +ORDER[m|r][!][@CPU], -NUMBER[@CPU] or dCPU")
        if match["order"]:
            if int(match["order"]) >= MAX_ORDER:
                raise InputError(f"bad operation {word!r}; expected an order from 0 to {MAX_ORDER - 1}")
            allocations += 1
            cpu, order = int(match["acpu"] or 0), int(match["order"])
            ops.append(Op(word, "alloc", cpu, order, match["type"], bool(match["flag"])))
        elif match["handle"]:
            if not 1 <= int(match["handle"]) <= allocations:
                raise InputError(f"bad operation {word!r}; only {allocations} allocations come before it")
            ops.append(Op(word, "free", int(match["fcpu"] or 0), handle=int(match["handle"])))
        else:
            ops.append(Op(word, "drain", int(match["drain"])))
    return ops


@dataclass(frozen=True)
class Step:
    """What one operation did.

    ``call`` is the call in C, ``pfn`` what it returned (or freed), ``events`` what happened on its way; ``origin`` says
    which list an allocation was served from, and ``block`` the type of the pageblock that the page lies in.
    """

    op: Op
    call: str
    pfn: int | None
    events: tuple[Event, ...]
    origin: str | None = None
    block: str | None = None

    @property
    def locks(self) -> int:
        """Return how often zone->lock was taken."""
        return sum(event.kind == ev.LOCK for event in self.events)


def run_script(allocator: PageAllocator, text: str) -> Iterator[Step]:
    """Run an operation string, one step at a time; look at the allocator between the steps.

    Arguments: an allocator that records events; the string.  A free of an allocation that returned NULL is skipped,
    as C code would.  Raises InputError for a bad string, or for the flag without a proposal; MisuseError for an unknown
    cpu or a double free.
    """
    results: list[tuple[int | None, int]] = []
    for op in parse_ops(text):
        allocator.events()
        pfn: int | None = None
        origin = block = None
        if op.kind == "alloc":
            heads = _pcp_heads(allocator, op.cpu)
            gfp = TYPE_BITS[op.migratetype] | (_flag(allocator, op) if op.flagged else GFP_KERNEL)
            pfn = allocator.alloc_pages(gfp, op.order, op.cpu)
            results.append((pfn, op.order))
            call = f"alloc_pages({_mask_text(op, allocator)}, {op.order})"
            if pfn is not None:
                block = MIGRATE_NAMES[allocator.migratetype(pfn)]
                fresh = "the free lists, under zone->lock" if op.order else "the list just refilled"
                origin = heads.get(pfn, fresh) if not op.order else fresh
        elif op.kind == "free":
            pfn, order = results[op.handle - 1]
            call = f"__free_pages({pfn}, {order})" if pfn is not None else "nothing to free"
            if pfn is not None:
                allocator.free_pages(pfn, order, op.cpu)
        else:
            allocator.drain(op.cpu)
            call = f"drain_pages({op.cpu})"
        yield Step(op, f"{call} on cpu {op.cpu}", pfn, tuple(allocator.events()), origin, block)


def _pcp_heads(allocator: PageAllocator, cpu: int) -> dict[int, str]:
    """Return the pages at the heads of a cpu's lists, with the list each is on; an unknown cpu has none."""
    if not 0 <= cpu < allocator.machine.cpus:
        return {}
    lists = [(zone, t) for zone in allocator.sizes.zones for t in range(MIGRATE_PCPTYPES)]
    found = {(zone, t): allocator.pcp_list(cpu, zone, t) for zone, t in lists}
    return {int(pfns[0]): f"the {MIGRATE_NAMES[t]} list" for (_, t), pfns in found.items() if len(pfns)}


def _flag(allocator: PageAllocator, op: Op) -> int:
    if allocator.proposal is None or not allocator.proposal.flag:
        raise InputError(f"bad operation {op.text!r}; this allocator has no proposal with a flag of its own")
    return allocator.proposal.flag


def _mask_text(op: Op, allocator: PageAllocator) -> str:
    base = allocator.proposal.request if op.flagged and allocator.proposal else "GFP_KERNEL"
    return base + {"m": "|__GFP_MOVABLE", "r": "|__GFP_RECLAIMABLE"}.get(op.migratetype, "")

