"""Hits: what most operations are is done in a short way, which has to do what the long way does."""

from typing import Any

import numpy as np
import pytest

from gfpmodel.mm import Machine, PageAllocator, Zone, pack_ops
from gfpmodel.mm import state as st
from gfpmodel.mm.events import MOST_OPS
from gfpmodel.mm.kernels import ROWS
from gfpmodel.mm.ops import OP_ALLOC, OP_DRAIN, OP_FREE_HANDLE
from gfpmodel.proposals import proposal
from tests.conftest import bulk_but

#: Two zones that are soon at their marks: what is a hit and what is none changes often.
SMALL = Machine((Zone(1, 4096, 4096), Zone(2, 8192, 8192)), cpus=2, min_free_kbytes=6000, mobility_disabled=False)
MASKS = (0xCC0, 0xCC8, 0xCD0, 0x2800, 0xA20, 0xCC4, 0)
FAST_TRY = (0x800000, 0x800808)  #: one of them may wake kswapd
ORDERS = (0, 0, 0, 0, 1, 2, 3, 5)


def mixed(seed: int, masks: tuple[int, ...], count: int = 4000) -> Any:
    """Return operations that fill the machine up to its marks and then ask and free by turns."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, int, int]] = []
    live: list[tuple[int, int]] = []  # order and handle
    handles = 0
    for number in range(count):
        cpu, draw = int(rng.integers(2)), rng.random()
        if not live or draw < (0.95 if number < count // 2 else 0.5):
            order = int(rng.choice(ORDERS))
            rows.append((OP_ALLOC, cpu, order, int(rng.choice(masks))))
            live.append((order, handles))
            handles += 1
        elif draw > 0.99:
            rows.append((OP_DRAIN, cpu, 0, 0))
        else:
            order, handle = live.pop(int(rng.integers(len(live))))
            rows.append((OP_FREE_HANDLE, cpu, order, handle))
    return pack_ops(*(np.array(column) for column in zip(*rows, strict=True)))


def held(allocator: PageAllocator) -> list[Any]:
    """Return all that a machine holds, but what it remembers of hits."""
    pages, flags, zones, blocks, _ = allocator.arrays
    zones = zones[: st.ZONE_WORDS * st.JUDGES].copy()
    zones[st.ZONE_WORDS * st.MACHINE + st.HIT_RUNS] = 0
    return [column.tolist() for column in (pages, flags, zones, blocks)]


@pytest.mark.parametrize(("seed", "lru_movable"), bulk_but(2, [(0, False), (1, True)]))
@pytest.mark.parametrize("kernel", ROWS)
def test_many_operations_do_what_they_do_one_by_one(kernel: str, seed: int, lru_movable: bool) -> None:
    """The last operation of a run goes the long way; so each does that is a run of its own."""
    row = None if ROWS[kernel].later else proposal("fast_try")
    ops = mixed(seed, MASKS + FAST_TRY if row else MASKS)
    together, apart = (PageAllocator(SMALL, row, events=1 << 17, kernel=kernel) for _ in range(2))
    together.ops_run = apart.ops_run = MOST_OPS - seed * 1000  # the numbers of operations begin again on the way
    found, one_by_one = together.run(ops, lru_movable=lru_movable), apart.prepare(ops)
    for number in range(len(ops)):
        assert apart.resume(one_by_one, number, number + 1, lru_movable=lru_movable) == number + 1
    assert found.pfns.tolist() == one_by_one.pfns.tolist()
    assert found.irq_off.tolist() == one_by_one.irq_off.tolist()
    assert together.events() == apart.events()
    assert held(together) == held(apart)
    assert 0 < (found.pfns == st.ANY_ROW).sum() < len(found.pfns)
