"""Replay: which free is of which allocation, what each proposal would have got, and that asking changes nothing."""

import io
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from gfpmodel.errors import InputError
from gfpmodel.io.ftrace import TraceReader, reader, write_trace
from gfpmodel.io.replay import (
    Recording,
    Report,
    WhatIf,
    read_recording,
    refill_table,
    replay,
    replay_file,
    why_apart,
    zoneinfo_beside,
)
from gfpmodel.io.replay.nearest import distance, nearest
from gfpmodel.io.replay.recording import Packer, finish
from gfpmodel.io.replay.start import Overrides, free_blocks
from gfpmodel.io.replay.zoneinfo import known_zones
from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm import events as ev
from gfpmodel.proposals import PROPOSALS

DATA = Path(__file__).parents[1] / "data/traces"
BOOK = Path(__file__).parents[2] / "book/data/traces"
PROC = DATA.parent / "proc"
ANON = str(DATA / "rt-smp2-512M-anon-cut.trace.txt.xz")
ZONEINFO = str(BOOK / "rt-smp2-512M-anon-start.trace.txt.zoneinfo")
STAMP = itertools.count(1)


def alloc(pfn: int, order: int = 0, gfp: str = "GFP_KERNEL", migratetype: int = 0, cpu: int = 0) -> str:
    fields = f"page=0 pfn={pfn:#x} order={order} migratetype={migratetype} gfp_flags={gfp}"
    return line("mm_page_alloc", fields, cpu)


def free(pfn: int, order: int = 0, cpu: int = 0) -> str:
    return line("mm_page_free", f"page=0 pfn={pfn:#x} order={order}", cpu)


def taken(pfn: int, order: int = 0, migratetype: int = 0, cpu: int = 0) -> str:
    fields = f"page=0 pfn={pfn:#x} order={order} migratetype={migratetype} percpu_refill={int(order == 0)}"
    return line("mm_page_alloc_zone_locked", fields, cpu)


def line(name: str, fields: str, cpu: int = 0, comm: str = "wl", pid: int = 7) -> str:
    return f"{comm:>16}-{pid:<7} [{cpu:03d}] ..... {next(STAMP) / 1000:.6f}: {name}: {fields}\n"


def recorded(*lines: str) -> Recording:
    packer, reader = Packer(), TraceReader(io.BytesIO("".join(lines).encode()), "t")
    for columns in reader:
        packer.add(columns)
    return finish(reader, packer, None)


def report(*lines: str, rows: tuple[str, ...] = (), overrides: Overrides | None = None) -> Report:
    recording = recorded(*lines)
    what_if = WhatIf(rows, (), overrides or Overrides())
    outcome = replay(recording, what_if)
    outcome.allocator.check()
    return Report(recording, outcome, what_if)


def test_allocations_and_their_frees() -> None:
    found = report(alloc(0x5000), alloc(0x5001), free(0x5000), alloc(0x6000, 3), free(0x6000, 3))
    assert found.recording.counts_by_name == {"alloc": 3, "free": 2, "failed": 0}
    assert (found.skipped, found.assumed) == ({}, {})
    assert found.outcome.operations == 5
    in_use = found.outcome.allocator.snapshot().in_use
    assert [order for _, order in in_use] == [0]


REASONS = {
    "allocation that failed on the real machine": [alloc(0)],
    "allocation of an order that the model does not have": [alloc(0x8000, 11), free(0x8000, 11)],
    "allocation of a type that the model does not have": [alloc(0x8000, migratetype=4), free(0x8000)],
    "pfn above 256 GiB": [alloc(1 << 27), free(1 << 27)],
    "cpu number above 4095": [alloc(0x8000, cpu=5000)],
    "free of a part of a block that was freed with its first part": [
        alloc(0x8000, 2),
        *map(free, range(0x8000, 0x8004)),
    ],
    "free in a larger order than was allocated": [alloc(0x8000), free(0x8000, 1)],
    "free of a page that was free already: its allocation is not in the trace": [alloc(0x8000), *[free(0x8000)] * 2],
    "free of a block allocated before the trace that cannot have been one": [free(0x8001, 1)],
    "mask that the model refuses, or with names that the layout does not have": [
        alloc(0x8000, gfp="GFP_DMA|__GFP_HIGHMEM"),
        alloc(0x8001, gfp="GFP_KERN"),
    ],
    "torn line": [alloc(0x8000).replace("order=0", "order=")],
}
HOW_OFTEN = {
    "pfn above 256 GiB": 2,
    "free of a part of a block that was freed with its first part": 3,
    "mask that the model refuses, or with names that the layout does not have": 2,
}


@pytest.mark.parametrize("reason", REASONS)
def test_what_is_not_replayed_is_counted_by_reason(reason: str) -> None:
    found = report(alloc(0x5000), *REASONS[reason], alloc(0x5001))
    assert found.skipped == {reason: HOW_OFTEN.get(reason, 1)}


def test_what_the_trace_does_not_say_is_assumed_and_counted() -> None:
    found = report(free(0x8000), free(0x9000, 4), alloc(0x8000), alloc(0x8000))
    assert list(found.assumed.values()) == [2, 1]
    assert found.skipped == {}
    assert found.outcome.free_at_start[1] == (1 << 15) - 4096 + (1 << 15) - 17


def test_a_large_block_over_small_ones_frees_them_first() -> None:
    found = report(*map(alloc, range(0x8000, 0x8008)), alloc(0x8000, 3), free(0x8000, 3))
    assert list(found.assumed.values()) == [8]
    assert found.outcome.allocator.snapshot().in_use == ()


# what the kernel did, and who paid


def test_a_run_of_pages_taken_under_the_lock_is_a_refill() -> None:
    found = report(
        *(taken(0x5000 + i) for i in range(31)),
        alloc(0x5000),
        taken(0x6000),
        alloc(0x6000),  # a single page outside zone DMA: past the lists
        taken(0x900),
        alloc(0x900),  # zone DMA, batch 1
        *(taken(0x7000 + 2 * i, 1) for i in range(15)),
        alloc(0x7000, 1),
        alloc(0x5001),
    )
    totals = found.totals
    assert (totals["kernel_refills"], totals["kernel_dma_refills"]) == (2, 1)
    assert (totals["kernel_single_pages"], totals["kernel_higher_refills"]) == (1, 1)
    assert found.payers()[0]["comm"] == "wl"
    assert found.payers()[0]["kernel_refills"] == 2


def test_a_run_counts_for_its_own_cpu_type_and_task_only() -> None:
    for other in (alloc(0x5000, cpu=1), alloc(0x5000, migratetype=1), alloc(0x5000, 1)):
        found = report(taken(0x5000), taken(0x5001), other)
        assert found.totals["kernel_refills"] == 0


def test_the_model_refills_once_a_batch() -> None:
    found = report(*map(alloc, range(0x5000, 0x5000 + 64)), overrides=Overrides(batch=16, high=96))
    assert found.totals["model_refills"] == 4
    assert found.totals["model_cold_refills"] == 1
    assert found.source.endswith("with batch 16 and high 96 as asked")


def test_folding_cpus() -> None:
    lines = [alloc(0x5000 + cpu, cpu=cpu) for cpu in range(4)]
    assert report(*lines).totals["model_refills"] == 4
    folded = report(*lines, overrides=Overrides(cpus=1))
    assert folded.totals["model_refills"] == 1
    assert folded.to_json()["cpus"] == 1


# proposals


def test_what_the_rows_would_have_given() -> None:
    first = report(alloc(0x5000), alloc(0x5001), rows=("fast_try", "no_locks", "lockless", "trylock"))
    assert {name: list(a.values()) for name, a in first.proposals().items()} == {
        "fast_try": [1, 0, 1],
        "no_locks": [1, 0, 1],
        "lockless": [1, 0, 1],
        "trylock": [1, 1, 0],
    }


def test_fast_try_scans_upward_and_no_locks_all_lists() -> None:
    movable = "GFP_HIGHUSER_MOVABLE"
    rows = ("fast_try", "no_locks")
    up = report(alloc(0x5000, gfp=movable, migratetype=1), alloc(0x5001), rows=rows)
    assert [row["proposals"]["fast_try"]["from_list"] for row in up.classes() if row["migratetype"] == "UNMOVABLE"] == [
        1
    ]
    down = report(alloc(0x5001), alloc(0x5000, gfp=movable, migratetype=1), rows=rows)
    [row] = [row for row in down.classes() if row["migratetype"] == "MOVABLE"]
    assert (row["proposals"]["fast_try"]["null"], row["proposals"]["no_locks"]["null"]) == (1, 0)


def test_higher_orders_take_the_lock_or_get_nothing() -> None:
    found = report(alloc(0x5000, 1), alloc(0x6000, 4), rows=("fast_try", "lockless", "trylock", "nowait"))
    assert {name: list(a.values()) for name, a in found.proposals().items()} == {
        "fast_try": [0, 2, 0],
        "lockless": [0, 0, 2],
        "trylock": [0, 1, 1],
        "nowait": [0, 2, 0],
    }


def test_what_if_every_caller_tried_fast_try_first() -> None:
    lines = [alloc(0x5000, gfp="GFP_HIGHUSER_MOVABLE", migratetype=1), *map(alloc, range(0x5001, 0x5004))]
    recording, overrides = recorded(*lines), Overrides(batch=4, high=24)
    ordinary = replay(recording, WhatIf((), (), overrides))
    served = replay(recording, WhatIf((), (), overrides, "fast_try"))
    served.allocator.check()
    refills = [sum(c["model_refills"] for c in one.requests.values()) for one in (ordinary, served)]
    assert refills == [2, 1]  # unmovable requests eat up the movable list
    assert [len(one.allocator.pcp_list(0, 1, 1)) for one in (ordinary, served)] == [3, 0]


EVENTS = some.lists(
    some.tuples(
        some.sampled_from(["alloc", "free", "unknown"]),
        some.integers(0, 60),
        some.sampled_from(
            [(0, "GFP_KERNEL"), (1, "GFP_HIGHUSER_MOVABLE"), (2, "__GFP_RECLAIMABLE"), (0, "GFP_ATOMIC")]
        ),
        some.sampled_from([0, 0, 0, 1, 3]),
        some.integers(0, 1),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(EVENTS, some.sampled_from(["v5.8-rc3", "v6.1", "v6.12", "v7.3"]))
def test_asking_changes_nothing_and_every_event_is_accounted_for(
    events: list[tuple[str, int, tuple[int, str], int, int]], kernel: str
) -> None:
    lines = []
    for kind, at, (migratetype, gfp), order, cpu in events:
        pfn = (0x9000 if kind == "unknown" else 0x5000) + 8 * at
        lines.append(alloc(pfn, order, gfp, migratetype, cpu) if kind == "alloc" else free(pfn, order, cpu))
    recording = recorded(*lines)
    sizes = Overrides(batch=3, high=6)
    quiet = replay(recording, WhatIf(rows=(), overrides=sizes, kernel=kernel))
    asked = replay(recording, WhatIf(rows=tuple(PROPOSALS), overrides=sizes, kernel=kernel))
    assert quiet.allocator.snapshot() == asked.allocator.snapshot()
    assert quiet.requests == asked.requests
    asked.allocator.check()
    found = Report(recording, asked, WhatIf())
    counts = recording.counts_by_name
    skipped = sum(found.skipped.values())
    inserted = found.assumed.get(
        "allocation of a page that is in use: its free is not in the trace, and put before it", 0
    )
    assert counts["alloc"] + counts["free"] + inserted - skipped == asked.operations
    for answers in found.proposals().values():
        assert sum(answers.values()) == counts["alloc"]


@pytest.mark.parametrize("kernel", ["v5.8-rc3", "v6.18", "v7.1", "v7.3"])
def test_a_replay_of_the_engines_own_trace_needs_the_same_refills(kernel: str) -> None:
    zone = Zone(1, 4096, (1 << 16) - 4096)
    sizes: dict[str, Any] = {"pcp": (4, 12)} if kernel == "v5.8-rc3" else {"pcp_sizes": (4, 12, 12)}
    a = PageAllocator(Machine((zone,), cpus=2, **sizes), events=1 << 14, kernel=kernel)
    pages = [(a.alloc_pages(cpu=i % 2), i % 2) for i in range(40)]
    for pfn, cpu in pages[::2]:
        a.free_pages(pfn or 0, cpu=1 - cpu)
    for i in range(30):
        a.alloc_pages(cpu=i % 2)
    text, events = io.StringIO(), a.events()
    write_trace(text, events, a.layout, cpus=2)
    recording, asked = recorded(text.getvalue()), WhatIf((), (), Overrides(batch=4, high=12), lists=kernel)
    found = Report(recording, replay(recording, asked), asked)
    refills = sum(event.kind in (ev.REFILL_DONE, ev.PCP_REFILL) for event in events)
    assert found.totals["model_refills"] == refills > 8
    if kernel == "v5.8-rc3":  # later kernels' engines do not record the single pages of a refill
        assert found.totals["kernel_refills"] == refills


# the start


def test_a_torn_pfn_does_not_make_a_large_machine() -> None:
    lines = [*map(alloc, range(0x5000, 0x5000 + 200)), alloc(0x2000000)]
    assert recorded(*lines).highest_pfn == 0x5000 + 199
    assert recorded(*lines[-3:]).highest_pfn == 0x2000000
    assert report(*lines, free(0x2000001)).skipped == {"free that the model refuses": 1}


@settings(max_examples=50)
@given(some.lists(some.booleans(), min_size=1, max_size=300), some.integers(0, 5000))
def test_free_memory_is_cut_into_aligned_blocks(taken_pages: list[bool], start: int) -> None:
    covered = set()
    for pfn, order in free_blocks(np.array(taken_pages), start):
        assert pfn % (1 << order) == 0
        covered |= set(range(pfn, pfn + (1 << order)))
    assert covered == {start + i for i, used in enumerate(taken_pages) if not used}


def test_zoneinfo_gives_sizes_and_free_memory() -> None:
    zones = known_zones(ZONEINFO)
    assert [(z.sizes.zone.index, z.sizes.zone.start, z.sizes.batch) for z in zones] == [(0, 1, 1), (1, 4096, 31)]
    recording = read_recording(ANON)
    outcome = replay(recording, WhatIf(rows=("fast_try",), known=tuple(zones)))
    for zone in zones:
        index, known = zone.sizes.zone.index, zone.sizes
        sizes = outcome.allocator.sizes.zones[index]
        assert (sizes.batch, sizes.high, sizes.wmark) == (known.batch, known.high, known.wmark)
        assert (sizes.managed, sizes.lowmem_reserve) == (known.managed, known.lowmem_reserve)
        assert outcome.free_at_start[index] == zone.free
    outcome.allocator.check()


def test_a_batch_above_the_known_high_of_a_small_zone() -> None:
    known = tuple(known_zones(ZONEINFO))
    zones = replay(recorded(alloc(0x5000)), WhatIf((), known, Overrides(batch=63))).allocator.sizes.zones
    assert [(zone.batch, zone.high) for zone in zones.values()] == [(63, 63), (63, 408)]


@pytest.mark.parametrize(
    "text", ["", "junk", "Node 0, zone DMA\n managed 5\n", "Node 0, zone      DMA\n        managed 5\n"]
)
def test_what_is_no_zoneinfo(text: str, tmp_path: Path) -> None:
    path = tmp_path / "zoneinfo"
    path.write_text(text)
    with pytest.raises(InputError):
        known_zones(str(path))


@pytest.mark.parametrize(
    ("zoneinfo", "pfns", "said"),
    [
        ("armmp-6.1", [0x7E38C], "1 of the 1 pages that the trace names lie in zone HighMem of node 0"),
        ("armmp-6.1", [0x7E38C, 0x50000, 0x50001], "1 of the 3 pages"),
        ("i386-pae-6.1", [0x1000], "0 of the 1 pages"),
        ("ppc64el-6.1", [0x1000], "pages are 64 KiB"),
    ],
)
def test_what_of_a_trace_lies_outside_the_models_machine_is_said(
    zoneinfo: str, pfns: list[int], said: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    trace.write_text("".join(alloc(pfn) for pfn in pfns))
    found = replay_file(str(trace), str(PROC / f"{zoneinfo}-proc.txt.xz"), WhatIf(rows=()))
    assert any(said in reason for reason in found.differs)
    assert f"not this machine: {found.differs[0]}" in found.to_text()
    assert found.to_json()["machine_differs"] == list(found.differs)


def test_a_machine_that_the_model_can_be_differs_in_nothing() -> None:
    assert replay_file(ANON, ZONEINFO, WhatIf(rows=())).differs == ()


def test_a_replay_says_whose_allocator_it_ran_on_and_how_near_that_is() -> None:
    recording = recorded(alloc(0x5000))
    said, facts = {}, {}
    for kernel in ("v5.8-rc3", "v6.1", "v6.12", "v7.2"):
        asked = WhatIf(rows=(), kernel=kernel)
        found = Report(recording, replay(recording, asked), asked)
        said[kernel], facts[kernel] = found.to_text().splitlines(), found.to_json()
    assert [facts[kernel]["engine"] for kernel in facts] == ["v5.8-rc3", "v6.18", "v6.18", "v7.1"]
    assert "allocator: v5.8-rc3's" in said["v5.8-rc3"]
    assert "allocator: v6.18's, of the model's the nearest to v6.1" in said["v6.1"]
    assert "  so here, as in v6.1, what lists may hold is fixed, and a refill is one batch" in said["v6.1"]
    assert "  changes between them besides those of the lists: 2" in said["v6.12"]
    assert "allocator: v7.1's, of the model's the nearest to v7.2" in said["v7.2"]
    assert "  in v7.2 vfree() and free_contig_range() free neighbouring pages as whole blocks, where a trace shows " \
        "single pages: here those go to the lists one by one" in said["v7.2"]  # fmt: skip
    assert [fact["since"] for fact in facts["v7.2"]["engine_differs"]] == ["v7.2"]
    assert facts["v6.12"]["engine_differs"][0] == {
        "only": "v6.18", "what": "watermarks without the free HIGHATOMIC pages", "since": "v6.13", "lists": False,
    }  # fmt: skip


def test_the_lists_of_another_kernel() -> None:
    recording = recorded(alloc(0x5000))
    asked = WhatIf(rows=(), kernel="v6.1", lists="v5.8-rc3")
    found = Report(recording, replay(recording, asked), asked)
    assert "allocator: v5.8-rc3's, as asked for; the nearest to v6.1 is v6.18's" in found.to_text()
    assert found.to_json()["nearest"] == "v6.18"
    with pytest.raises(InputError, match=r"kernel 'v6\.1' has no allocator here; expected v5\.8-rc3, v6\.18, "):
        replay(recording, WhatIf(lists="v6.1"))


def test_kernels_that_a_trace_fits_as_well_are_named_if_their_lists_differ() -> None:
    assert "it may be a trace of " in report(alloc(0x5000)).to_text()
    recording = recorded(alloc(0x5000))
    asked = WhatIf(rows=(), kernel="v6.1")
    assert "it may be" not in Report(recording, replay(recording, asked), asked).to_text()


NEAREST = {
    "v3.10": "v5.8-rc3", "v5.8-rc3+FAST_TRY": "v5.8-rc3", "v5.10": "v5.8-rc3", "v5.15": "v5.8-rc3",
    "v5.19": "v5.8-rc3", "v6.0": "v6.18", "6.1.0-50-amd64": "v6.18", "v6.6": "v6.18", "v6.12": "v6.18",
    "v6.19": "v6.18", "v7.0": "v6.18", "v7.1": "v7.1", "v7.2": "v7.1", "v7.3": "v7.3",
}  # fmt: skip


def test_which_row_is_the_nearest_to_a_kernel() -> None:
    assert {kernel: nearest(kernel).row for kernel in NEAREST} == NEAREST
    assert [kernel for kernel in NEAREST if nearest(kernel).fixed] == ["v6.0", "6.1.0-50-amd64", "v6.6"]


def test_frees_of_ranges_are_said_of_every_kernel_that_has_them_whatever_the_row() -> None:
    def since(kernel: str, row: str) -> list[object]:
        return [fact["since"] for fact in distance(kernel, row).facts(kernel) if "vfree()" in str(fact["what"])]

    assert [since(kernel, "v7.3") for kernel in ("v7.1", "v7.2", "v7.3")] == [[], ["v7.2"], ["v7.2"]]
    assert since("v7.1", "v7.1") == since("v6.1", "v5.8-rc3") == []


# the lists of later kernels


@pytest.mark.parametrize(("kernel", "refills"), [("v5.8-rc3", 40), ("v6.1", 40), ("v6.12", 6)])
def test_refills_double_where_the_kernels_do(kernel: str, refills: int) -> None:
    recording = recorded(*map(alloc, range(0x5000, 0x5000 + 640)))
    outcome = replay(recording, WhatIf((), (), Overrides(batch=16, high=960), kernel=kernel))
    assert Report(recording, outcome, WhatIf()).totals["model_refills"] == refills  # 16, 32, 64, 128, 256, 512


def test_higher_orders_have_lists_from_v6_0_on() -> None:
    recording = recorded(*(alloc(0x5000 + 2 * at, 1) for at in range(20)), alloc(0x6000, 4))
    for kernel, answers in (("v5.8-rc3", [0, 21, 0]), ("v6.1", [17, 1, 3])):
        asked = WhatIf(("fast_try",), (), Overrides(batch=16, high=96), kernel=kernel)
        outcome = replay(recording, asked)
        outcome.allocator.check()
        found = Report(recording, outcome, asked)
        assert (found.totals["model_refills"], found.totals["model_higher_refills"]) == (0, 3 * (kernel == "v6.1"))
        assert list(found.proposals()["fast_try"].values()) == answers
    [row] = found.lists()
    assert (row["migratetype"], row["order"], row["most"]) == ("UNMOVABLE", 1, 14)
    assert "DMA32 UNMOVABLE order 1" in found.series()


def test_the_sizes_of_lists_that_tune_themselves_are_read_or_computed(tmp_path: Path) -> None:
    zones = {}
    for name, text in (("printed", "              high_min: 700\n              high_max: 9000\n"), ("silent", "")):
        path = tmp_path / name
        batch = re.compile(r"^( +batch: .*\n)", re.MULTILINE)
        path.write_text(batch.sub(rf"\g<1>{text}", Path(ZONEINFO).read_text(encoding="utf-8")))
        known = tuple(known_zones(str(path)))
        asked = WhatIf((), known, kernel="v6.12")
        recording = recorded(alloc(0x5000))
        found = Report(recording, replay(recording, asked), asked).zones()[1]
        zones[name] = (found["high"], found["high_max"])
    managed, cpus = 113177, 2
    assert zones == {"printed": (700, 9000), "silent": (408, managed // 8 // cpus)}


def test_the_table_of_refills() -> None:
    [row] = refill_table({ANON: ZONEINFO})
    assert row["trace"] == "rt-smp2-512M-anon-cut"
    assert row["requests"] > 300
    assert row["difference"] == row["model"] - row["kernel"]
    assert row["kernel"] > 0


@pytest.mark.parametrize(
    ("trace", "difference", "why"),
    [("anon", 0, ""), ("anon", 4, "cold"), ("anon", 5, "unknown"), ("rtexp_b", -1, "by hand"), ("anon", -1, "unknown")],
)
def test_why_a_trace_has_other_refills_in_the_model(trace: str, difference: int, why: str) -> None:
    assert why_apart({"trace": trace, "difference": difference, "cold": "4"}) == why


def test_a_trace_with_its_zoneinfo_beside_it(tmp_path: Path) -> None:
    trace = tmp_path / "own.trace.xz"
    trace.write_bytes(Path(ANON).read_bytes())
    assert zoneinfo_beside(str(trace)) is None
    beside = tmp_path / "own.trace.zoneinfo"
    beside.write_bytes(Path(ZONEINFO).read_bytes())
    assert zoneinfo_beside(str(trace)) == str(beside)
    found = replay_file(str(trace), str(beside), WhatIf(rows=("fast_try",)))
    assert found.source == "/proc/zoneinfo"
    assert found.totals["kernel_refills"] > 0


def test_samples_follow_the_lists() -> None:
    found = report(*map(alloc, range(0x5000, 0x5010)), overrides=Overrides(batch=8, high=48))
    assert found.series()["DMA32 UNMOVABLE"] == [7, 6, 5, 4, 3, 2, 1, 0] * 2
    assert found.lists() == [
        {
            "cpu": 0,
            "zone": "DMA32",
            "migratetype": "UNMOVABLE",
            "order": 0,
            "mean": 3.5,
            "least": 0,
            "most": 7,
            "empty": 0.125,
        }
    ]


def test_samples_do_not_depend_on_how_the_trace_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [alloc(0x5000 + at) for at in range(1000)]
    whole = report(*lines)
    monkeypatch.setattr(reader, "ROWS", 7)
    cut = report(*lines)
    assert len(cut.outcome.times) == len(whole.outcome.times) == 200
    assert (cut.series(), cut.lists()) == (whole.series(), whole.lists())


def test_a_machine_of_many_cpus() -> None:
    found = report(*(alloc(0x5000 + cpu, cpu=cpu) for cpu in range(0, 4096, 64)))
    assert found.totals["model_refills"] == 64
    assert found.to_json()["cpus"] == 4033
