"""The type of a row of `gfpmodel.proposals`: how one kind of request is served, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from gfpmodel.errors import InputError
from gfpmodel.gfp import encode, layout
from gfpmodel.mm import gates
from gfpmodel.mm import state as st

#: Set in a mask beside the 32 bits of a gfp_t: "through the proposal's own function", as __alloc_page_lockless() was.
OWN_FUNCTION = 1 << 32
#: The same for a row that serves every mask without a reclaim bit; `Rule.asking` sets it.
NO_RECLAIM = 1 << 33
RECLAIM = encode("__GFP_RECLAIM", layout("v5.8-rc3"))
SAME = "same"

REFILLS = {"no": st.REFILL_NO, "yes": st.REFILL_YES, "trylock": st.REFILL_TRYLOCK, "decline": st.REFILL_DECLINE}
WATERMARKS = {"low": st.ALLOC_WMARK_LOW, "min": st.ALLOC_WMARK_MIN, "none": st.ALLOC_NO_WATERMARKS}


@dataclass(frozen=True)
class Rule:
    """How a request is served.

    ``request`` is the mask as names of ``kernel``, ``request_rt`` the one on PREEMPT_RT, SAME if it is no other;
    ``flag`` the bit (or OWN_FUNCTION) that makes the allocator follow this row, NO_RECLAIM if every mask without a
    reclaim bit does, 0 if the request goes the ordinary path.  ``scan`` is the first and the last pcp list looked at,
    None standing for the requested type.  ``refill`` says whether an empty list may be refilled under the zone lock;
    "decline" refuses a block of order > 0 as well, which needs the same lock.  ``watermark`` is the mark of a zone
    that counts, ``highest_zone`` and ``highest_order`` what is asked at most; ``pmd_order`` allows the order of a huge
    page besides, where TRANSPARENT_HUGEPAGE gives it a list.  ``walk`` is the kernel's own, or a loop of the row's
    function: each zone once, and nothing follows what it finds.  ``lock`` and ``lock_rt`` are the kind of the zone
    lock without and with PREEMPT_RT, where "decline" leaves it as it is and has the request not take it.  ``runs``
    says whose context the request runs in: the caller's, or a work item's, which fills a cache from which the caller
    takes.
    Raises InputError for what the engine has no list, zone or order for.
    """

    name: str
    title: str
    request: str
    request_rt: str = SAME
    flag: int = 0
    kernel: str = "v5.8-rc3"
    scan: tuple[int | None, int | None] = (None, None)
    refill: Literal["no", "yes", "trylock", "decline"] = "yes"
    watermark: Literal["low", "min", "none"] = "low"
    slow_path: bool = True
    highest_zone: int = st.ZONE_MOVABLE
    highest_order: int = st.MAX_ORDER - 1
    pmd_order: bool = False
    walk: Literal["kernel", "own loop"] = "kernel"
    lock: Literal["spin", "raw", "try"] = "spin"
    lock_rt: Literal["sleeping", "raw", "try", "decline"] = "sleeping"
    runs: Literal["caller", "work"] = "caller"

    def __post_init__(self) -> None:
        gates.settle(
            self,
            InputError,
            flag=(0, (NO_RECLAIM << 1) - 1),
            highest_zone=(0, st.ZONE_MOVABLE),
            highest_order=(0, st.MAX_ORDER - 1),
        )
        if not isinstance(self.scan, tuple) or len(self.scan) != 2:
            raise InputError(f"scan is {gates.shown(self.scan)}; expected the first and the last list")
        first, last = (
            None if end is None else gates.within(end, "scan", 0, st.MIGRATE_PCPTYPES - 1, InputError)
            for end in self.scan
        )
        if first is not None and last is not None and first > last:
            raise InputError(f"scan is {(first, last)}: no list would be looked at")
        object.__setattr__(self, "scan", (first, last))
        gates.settle_words(self, InputError)
        if self.slow_path not in (True, False):
            raise InputError(f"slow_path is {gates.shown(self.slow_path)}; expected True or False")

    @property
    def mask(self) -> int:
        """Return the mask of a request that follows this row."""
        mask = encode(self.request, layout(self.kernel))
        return self.asking(mask) if self.flag == NO_RECLAIM else mask | self.flag

    def asking(self, mask: int) -> int:
        """Return a mask as the engine gets it: with the mark of a row that serves it for its lack of reclaim bits."""
        return mask | NO_RECLAIM if self.flag == NO_RECLAIM and not mask & RECLAIM else mask

    def on(self, preempt_rt: bool) -> Rule:
        """Return the row as a kernel serves it: its mask there, and whether it declines the zone lock on PREEMPT_RT."""
        if not preempt_rt:
            return self
        row = self if self.request_rt == SAME else replace(self, request=self.request_rt)
        if self.lock_rt == "decline":
            return replace(row, flag=self.flag or OWN_FUNCTION, refill="decline")
        return row

    def numbers(self) -> tuple[int, ...]:
        """Return the row as the engine reads it."""
        first, last = (st.SCAN_OWN if end is None else end for end in self.scan)
        return (
            first,
            last,
            REFILLS[self.refill],
            WATERMARKS[self.watermark],
            int(self.slow_path),
            self.highest_zone,
            self.highest_order,
            int(self.walk == "own loop"),
        )


ORDINARY = Rule("ordinary", "what every request without a proposal gets", "GFP_KERNEL")
