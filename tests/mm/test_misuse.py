"""What a caller does wrong is named, and changes nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from gfpmodel.errors import InputError, MisuseError
from gfpmodel.mm import Machine, PageAllocator, Zone, pack_ops
from gfpmodel.mm.run import OP_ALLOC, OP_FREE, OP_FREE_HANDLE


@pytest.fixture
def machine() -> PageAllocator:
    """Two zones with a gap between them and a reserved range; some pages in use, some on lists."""
    zones = (Zone(1, 4096, 8192), Zone(2, 16384, 9000))
    a = PageAllocator(Machine(zones, cpus=2, reserved=((5000, 5100),), pcp=(4, 40)), events=64)
    assert [a.alloc_pages(order=3), a.alloc_pages(), a.alloc_pages()] == [23552, 23560, 23561]
    a.free_pages(23560)
    a.events()
    return a


@pytest.mark.parametrize(
    ("misuse", "says"),
    [
        (lambda a: a.free_pages(23560), "free of pfn 23560, order 0: it is free already, on a pcp list"),
        (lambda a: a.free_pages(22528, 10), "a free block of order 10 .double free"),
        (lambda a: a.free_pages(23552), "the block was allocated with order 3"),
        (lambda a: a.free_pages(23561, 1), "the block was allocated with order 0"),
        (lambda a: a.free_pages(23555), "in the middle of an allocated block, pfn 23552 of order 3"),
        (lambda a: a.free_pages(23000), "in the middle of a free block, pfn 22528 of order 10"),
        (lambda a: a.free_pages(5050), "never given to the allocator"),
        (lambda a: a.free_pages(13000), "in no zone"),
        (lambda a: a.free_pages(0), "in no zone"),
        (lambda a: a.free_pages(-1), "in no zone"),
        (lambda a: a.free_pages(1 << 60), "in no zone"),
        (lambda a: a.free_pages(23552, 11), "no such order; expected 0 to 10"),
        (lambda a: a.free_pages(23552, -1), "no such order"),
        (lambda a: a.free_pages(23561, cpu=2), "unknown cpu 2; this machine has 0 to 1"),
        (lambda a: a.alloc_pages(cpu=2), "unknown cpu 2"),
        (lambda a: a.alloc_pages(cpu=-1), "unknown cpu -1"),
        (lambda a: a.alloc_pages(order=-1), "order -1"),
        (lambda a: a.drain(7), "unknown cpu 7"),
    ],
)
def test_misuse_is_named_and_changes_nothing(
    machine: PageAllocator, misuse: Callable[[PageAllocator], object], says: str
) -> None:
    before = machine.snapshot()
    with pytest.raises(MisuseError, match=says):
        misuse(machine)
    assert machine.snapshot() == before
    assert machine.events() == []
    machine.check()


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (0x18, "both __GFP_MOVABLE and __GFP_RECLAIMABLE"),
        (0x3, "two zones"),
        (-1, "no gfp_t"),
        (1 << 40, "no gfp_t"),
        ("__GFP_FAST_TRY", "unknown flag"),
        ("GFP_KERNLE", "did you mean GFP_KERNEL"),
    ],
)
def test_masks_that_mean_nothing_are_refused(machine: PageAllocator, mask: int | str, says: str) -> None:
    before = machine.snapshot()
    with pytest.raises(InputError, match=says):
        machine.alloc_pages(mask)
    assert machine.snapshot() == before


def test_a_bulk_run_stops_before_the_misuse(machine: PageAllocator) -> None:
    kinds = np.array([OP_ALLOC, OP_FREE_HANDLE, OP_FREE_HANDLE, OP_ALLOC])
    with pytest.raises(MisuseError, match=r"operation 2: .*double free"):
        machine.run(pack_ops(kinds, 0, 0, np.array([0xCC0, 0, 0, 0xCC0])))
    machine.check()
    assert not machine.snapshot().in_use[2:]


def test_a_handle_of_a_later_allocation_is_refused_before_anything_runs(machine: PageAllocator) -> None:
    before = machine.snapshot()
    with pytest.raises(MisuseError, match="operation 0 frees the result of allocation 0, which comes later"):
        machine.run(pack_ops(np.array([OP_FREE_HANDLE, OP_ALLOC]), 0, 0, np.array([0, 0xCC0])))
    assert machine.snapshot() == before


def test_an_empty_run_is_fine(machine: PageAllocator) -> None:
    assert machine.run(np.zeros(0, np.int64)).pfns.size == 0


def test_a_page_of_a_dump_that_is_not_known_to_be_in_use_cannot_be_freed(machine: PageAllocator) -> None:
    state = machine.snapshot()
    other = PageAllocator(machine.machine)
    other.restore(type(state)(state.zones, in_use=()))
    other.check()
    with pytest.raises(MisuseError, match="never given"):
        other.run(pack_ops(np.array([OP_FREE]), 0, 0, 23561))
    other.restore(state)
    other.free_pages(23561)
    other.check()


def test_check_notices_a_damaged_state(machine: PageAllocator) -> None:
    for word in (0, 12, 1):  # NR_FREE_PAGES of a zone, a start, the CMA counter
        zones = machine._zones
        zones[2 * 64 + word] += 1
        with pytest.raises(AssertionError, match="zone Normal"):
            machine.check()
        zones[2 * 64 + word] -= 1
    machine.check()
    head = int(machine._flags[23561 - machine._offset])
    machine._flags[23561 - machine._offset] = 0
    with pytest.raises(AssertionError, match="do not add up"):
        machine.check()
    machine._flags[23561 - machine._offset] = head
    machine.check()
