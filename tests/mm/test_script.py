"""Operation strings: every word does what it says, and a bad one is refused before anything is run."""

import pytest

from gfpmodel.errors import InputError, MisuseError
from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm.exercises import small_machine
from gfpmodel.mm.script import FREE_LISTS, REFILLED, Step, parse_ops, run_script
from gfpmodel.proposals import PROPOSALS, proposal

FAST_TRY = proposal("fast_try")


def run(text: str, **options: int) -> list[Step]:
    return list(run_script(small_machine(FAST_TRY, **options), text))


def test_words_are_parsed() -> None:
    ops = parse_ops("+0 +3r!@1 +10m\n-2@3 d7")
    assert [(op.kind, op.cpu, op.order, op.migratetype, op.flagged, op.handle) for op in ops] == [
        ("alloc", 0, 0, 0, False, 0),
        ("alloc", 1, 3, 2, True, 0),
        ("alloc", 0, 10, 1, False, 0),
        ("free", 3, 0, 0, False, 2),
        ("drain", 7, 0, 0, False, 0),
    ]
    assert parse_ops("  ") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("+0 0", r"bad operation '0'; expected \+ORDER\[m\|r\]\[!\]\[@CPU\], -NUMBER\[@CPU\] or dCPU"),
        ("+0u", "bad operation '\\+0u'"),
        ("+0!m", "bad operation"),
        ("+0@", "bad operation"),
        ("d", "bad operation"),
        ("+٣", "bad operation"),
        ("+" + "9" * 5000, "bad operation"),
        ("+11", "bad operation '\\+11'; expected an order from 0 to 10"),
        ("+0 -2 +0", "bad operation '-2'; the allocations before it are numbered 1 to 1"),
        ("+0 -0", "bad operation '-0'"),
    ],
)
def test_bad_words_are_named_in_one_line(text: str, says: str) -> None:
    allocator = small_machine()
    before = allocator.snapshot()
    with pytest.raises(InputError, match=says) as error:
        run_script(allocator, text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 120
    assert allocator.snapshot() == before


def test_the_mark_needs_a_proposal_and_steps_need_events() -> None:
    with pytest.raises(InputError, match=r"bad operation '\+0m!'; this allocator has no proposal"):
        run_script(small_machine(), "+0 +0m!")
    silent = PageAllocator(Machine((Zone(2, 4096, 1024),)))
    with pytest.raises(InputError, match="records no events"):
        run_script(silent, "+0")


def test_unknown_cpu_and_double_free_are_misuse() -> None:
    with pytest.raises(MisuseError, match="unknown cpu 1"):
        run("+0@1")
    with pytest.raises(MisuseError, match="double free"):
        run("+0 -1 -1")


def test_a_step_says_where_its_page_came_from() -> None:
    steps = run("+0m +0m +0! +1 +0r! -1 -4 d0")
    assert [step.source for step in steps] == [
        REFILLED,
        "the MOVABLE list",
        "the MOVABLE list",
        FREE_LISTS,
        None,
        "the MOVABLE list",
        FREE_LISTS,
        None,
    ]
    assert [step.block for step in steps[:4]] == ["MOVABLE", "MOVABLE", "MOVABLE", "UNMOVABLE"]
    assert [step.locks for step in steps] == [1, 0, 0, 1, 0, 0, 1, 1]
    assert [step.irq_off for step in steps] == [1, 1, 1, 1, 2, 1, 1, 1]
    assert [step.stray for step in steps] == [False, False, True, False, False, False, False, False]
    assert [step.stolen for step in steps] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert steps[2].call == "alloc_pages(__GFP_FAST_TRY, 0) on CPU 0"


def test_a_page_is_asked_and_freed_on_the_cpu_that_is_named() -> None:
    allocator = small_machine(cpus=2)
    list(run_script(allocator, "+0@1 -1"))
    assert [allocator.pcp_count(cpu, 2) for cpu in (0, 1)] == [1, 3]


def test_the_free_of_a_null_is_skipped() -> None:
    miss, freed = run("+0! -1")
    assert (miss.pfn, miss.source, miss.block) == (None, None, None)
    assert (freed.call, freed.events) == ("nothing to free", ())


def test_a_page_of_a_cma_block_comes_from_and_returns_to_the_movable_list() -> None:
    machine = Machine((Zone(2, 4096, 4096),), cma=((5120, 8192),), pcp=(4, 8))
    steps = list(run_script(PageAllocator(machine, FAST_TRY, events=256), "+0m +0! -2"))
    assert [(step.source, step.block) for step in steps[1:]] == [("the MOVABLE list", "CMA")] * 2


@pytest.mark.parametrize("name", PROPOSALS)
def test_every_proposal_can_be_asked(name: str) -> None:
    row = proposal(name)
    warm, asked = run_script(small_machine(row), "+0 +0!")
    assert asked.source == "the UNMOVABLE list"
    assert (row.request in asked.call, warm.call) == (True, "alloc_pages(GFP_KERNEL, 0) on CPU 0")
