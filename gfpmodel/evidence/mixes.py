"""The recorded kernels' mixes of requests: the same draws, as operations for one bulk run."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError
from gfpmodel.mm import PageAllocator
from gfpmodel.mm.jit import compiled, entry, inlined
from gfpmodel.mm.ops import NO_RESULT, OP_ALLOC, OP_FREE_HANDLE, op_word
from gfpmodel.proposals import proposal
from gfpmodel.sim.state import Words

FAST_TRY = proposal("fast_try")
GFP_KERNEL = 0xCC0
TYPE_FLAGS = (0, 0x8, 0x10)  #: what asks for each type: nothing, __GFP_MOVABLE, __GFP_RECLAIMABLE
THOUSAND = 1000  #: shares are in parts of it
ITERATIONS, P, Q, BG_SLOTS, FT_SLOTS, BG_ALLOC, BG_FREE, FT_ALLOC, FT_FREE = range(9)  # the words of a plan


class Mix(NamedTuple):
    """A mix of ``iterations``, each with a background page (``p`` in 1000) and a FAST_TRY page (``q`` in 1000).

    A page is freed ``bg_slots`` or ``ft_slots`` iterations after it was asked for, before that iteration asks; a
    background page with 0 slots at once.  ``bg_mt`` and ``ft_mt`` are 0 unmovable, 1 movable, 2 reclaimable; cpu 0
    asks, ``bg_cpu`` and ``ft_cpu`` free.
    """

    seed: int
    iterations: int
    p: int
    q: int
    bg_slots: int
    ft_slots: int
    bg_mt: int = 0
    ft_mt: int = 0
    bg_cpu: int = 0
    ft_cpu: int = 0

    def plan(self) -> NDArray[np.int64]:
        """Return what the compiled loop takes; raises InputError."""
        ok = self.iterations >= 0 and self.bg_slots >= 0 and self.ft_slots > 0
        if not (ok and all(0 <= share <= THOUSAND for share in (self.p, self.q))):
            raise InputError(f"{self}: expected 0 iterations or more, a slot or more, and p and q of 0 to {THOUSAND}")
        gfp = (GFP_KERNEL | TYPE_FLAGS[self.bg_mt], FAST_TRY.flag | TYPE_FLAGS[self.ft_mt])
        asked = [op_word(OP_ALLOC, 0, 0, mask) for mask in gfp]
        freed = [op_word(OP_FREE_HANDLE, cpu, 0, 0) for cpu in (self.bg_cpu, self.ft_cpu)]
        slots = self.bg_slots, self.ft_slots
        words = (self.iterations, self.p, self.q, *slots, asked[0], freed[0], asked[1], freed[1])
        return np.array(words, np.int64)


class Counted(NamedTuple):
    """What a mix counted, in the words of the recordings."""

    ft_attempts: int
    ft_fail: int
    bg: int
    maxfailrun: int
    failruns: int
    from_block_mt: tuple[int, ...]
    before_fail: int
    second_half: tuple[int, int]  #: attempts and failures in the second half of the iterations

    @property
    def rate(self) -> float:
        """Return the share of requests that failed."""
        return self.ft_fail / self.ft_attempts if self.ft_attempts else 0.0


@inlined
def rnd(rng: Any) -> Any:
    """Return the next number of the recordings' generator, xorshift32."""
    x = rng[0]
    x ^= x << 13 & 0xFFFFFFFF
    x ^= x >> 17
    x ^= x << 5 & 0xFFFFFFFF
    rng[0] = x
    return x


@entry
@compiled
def fill_ops(plan: Words, rng: Words, held: Words, ops: Words, asked_at: Words) -> Any:
    """Write the operations of a mix; returns how many, and how many allocations.

    ``held`` has a slot for each page that lives; ``asked_at`` gets each FAST_TRY request's iteration plus 1, by number
    of allocation.
    """
    n, done = 0, 0
    bg_slots, ft_slots = plan[BG_SLOTS], plan[FT_SLOTS]
    for i in range(plan[ITERATIONS]):
        s, t = i % bg_slots if bg_slots else 0, bg_slots + i % ft_slots
        if bg_slots and held[s] >= 0:
            ops[n] = plan[BG_FREE] | held[s] << 24
            held[s] = -1
            n += 1
        if held[t] >= 0:
            ops[n] = plan[FT_FREE] | held[t] << 24
            held[t] = -1
            n += 1
        if rnd(rng) % THOUSAND < plan[P]:
            ops[n] = plan[BG_ALLOC]
            n += 1
            if bg_slots:
                held[s] = done
            else:
                ops[n] = plan[BG_FREE] | done << 24
                n += 1
            done += 1
        if rnd(rng) % THOUSAND < plan[Q]:
            ops[n] = plan[FT_ALLOC]
            n += 1
            held[t] = done
            asked_at[done] = i + 1
            done += 1
    return n, done


def run_mix(allocator: PageAllocator, mix: Mix) -> Counted:
    """Run a mix on a machine, whose lists it finds as they are; returns what it counted.  Raises InputError."""
    plan = mix.plan()
    held = np.full(mix.bg_slots + mix.ft_slots, -1, np.int64)
    ops, asked_at = np.zeros(4 * mix.iterations, np.int64), np.zeros(2 * mix.iterations, np.int64)
    rng = np.array([mix.seed], np.int64)
    n, done = fill_ops(plan, rng, held, ops, asked_at)
    pfns = allocator.run(ops[:n]).pfns
    asked = asked_at[:done] > 0
    null = pfns[asked] == NO_RESULT
    late = asked_at[:done][asked] > mix.iterations // 2
    edges = np.flatnonzero(np.diff(np.concatenate(([0], null.astype(np.int8), [0]))))
    runs = edges[1::2] - edges[::2]
    got = pfns[asked][~null]
    _, one_of_each, pages = np.unique(got >> allocator.machine.pageblock_order, return_index=True, return_counts=True)
    types = [allocator.migratetype(pfn) for pfn in got[one_of_each].tolist()]
    blocks = np.bincount(types, pages, minlength=5).astype(np.int64)
    return Counted(
        len(null),
        int(null.sum()),
        int(done - asked.sum()),
        int(max(runs, default=0)),
        len(runs),
        tuple(blocks.tolist()),
        int(np.argmax(null)) if null.any() else -1,
        (int(late.sum()), int((null & late).sum())),
    )
