"""Each zone's arithmetic, with numbers worked out by hand from the rule of the kernel that is named; all in pages.

A zone here has a min mark of 1000 pages (4000 kB) unless said otherwise.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from gfpmodel.explain import explain, render
from gfpmodel.gfp import encode, layout

TASK = ("Call Trace:", " <TASK>", " dump_stack_lvl+0x50/0x70", " warn_alloc+0xf0/0x180", " example+0x1/0x2", " </TASK>")
IRQ = (
    "Call Trace:",
    " <IRQ>",
    " dump_stack_lvl+0x50/0x70",
    " warn_alloc+0xf0/0x180",
    " </IRQ>",
    " <TASK>",
    " ask+0x1/0x2",
)
NODES = ", nodemask=(null),cpuset=/,mems_allowed=0"
OF_ONE_TYPE = "{n}*4kB ({types}) 0*8kB 0*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = {kb}kB"


def zone(free: int, mark: int = 1000, name: str = "Node 0 Normal", **more: Any) -> list[str]:
    """Return the lines of a zone whose free pages are single ones.

    Of more: ``reserve`` (None: no such line), ``types`` of its pages, ``blocks`` (the whole list), ``kb`` of a page;
    the rest are fields, in pages, left out below 0.
    """
    reserve, types = more.pop("reserve", "0 0 0 0 0"), more.pop("types", "UME")
    blocks, kb = more.pop("blocks", OF_ONE_TYPE.format(n=free, types=types, kb=4 * free)), more.pop("kb", 4)
    numbers: dict[str, Any] = {
        "free": free,
        "min": mark,
        "low": mark * 5 // 4,
        "high": mark * 3 // 2,
        "reserved_highatomic": 0,
        "free_cma": 0,
    } | more
    shown = " ".join(
        f"{key}:{value * kb}kB"
        for key, value in {**numbers, "managed": numbers.get("managed", 225_000)}.items()
        if value >= 0
    )
    return [f"{name} {shown}", *([] if reserve is None else [f"lowmem_reserve[]: {reserve}"]), f"{name}: {blocks}"]


def report(kernel: str, names: str, *zones: list[str], **more: Any) -> dict[str, Any]:
    """Return the explanation of a report of these zones; of more: ``order``, ``nodes``, ``trace``, ``task``."""
    version = re.match(r"\d+\.\d+", kernel)
    assert version
    mask, task = f"{encode(names, layout(f'v{version[0]}')):#x}", more.get("task", "worker")
    asked = f"order:{more.get('order', 0)}, mode:{mask}({names}){more.get('nodes', NODES)}"
    lines = [f"{task}: page allocation failure: {asked}", f"CPU: 1 PID: 71 Comm: {task} Not tainted {kernel} #1"]
    lines += [*more.get("trace", TASK), "Mem-Info:", *(line for lines in zones for line in lines)]
    (one,) = explain("\n".join(lines))
    assert render(one)
    return one


def failed(one: dict[str, Any]) -> list[tuple[str, int]]:
    """Return each zone's failed test, and how many pages it is short of."""
    return [(it["test"], it["short"]) for it in one["zones"]]


# the largest block is what the list shows

LARGE = "10000*64kB (UM) 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB 0*8192kB 0*16384kB 0*32768kB 0*65536kB"
LARGE_LIST = f"{LARGE} 0*131072kB {{}}*262144kB (M) 0*524288kB = 640000kB"


def test_an_order_that_only_large_pages_have_is_no_order_beyond() -> None:
    """Order 11 of 64 KiB pages is 128 MiB: 10000 - 2047 = 7953 pages are above 1000, and no block is that large."""
    one = report("6.6.10", "GFP_KERNEL|__GFP_COMP", zone(10_000, blocks=LARGE_LIST.format(0), kb=64), order=11)
    assert failed(one) == [("block", 0)]
    assert not any("beyond" in line for line in one["why"])
    one = report("6.6.10", "GFP_KERNEL|__GFP_COMP", zone(10_000, blocks=LARGE_LIST.format(1), kb=64), order=11)
    assert failed(one) == [("none", 0)]


def test_an_order_beyond_the_list_is_said_with_the_order_of_the_list() -> None:
    one = report("6.6.10", "GFP_KERNEL|__GFP_COMP", zone(10_000, blocks=LARGE_LIST.format(1), kb=64), order=14)
    assert one["failing"] == "order"
    assert one["why"] == ["order 14 is beyond the largest block that this kernel lists, order 13"]
    one = report("6.6.10", "GFP_KERNEL|__GFP_COMP", zone(10_000), order=11)
    assert one["why"] == ["order 11 is beyond the largest block that this kernel lists, order 10"]


def test_without_a_list_the_usual_largest_block_is_taken_and_that_is_said() -> None:
    one = report("6.6.10", "GFP_KERNEL|__GFP_COMP", zone(10_000)[:-1], order=11)
    assert one["failing"] == "order"
    assert "no blocks are listed" in one["why"][0]


def test_a_list_that_was_cut_tells_no_largest_block() -> None:
    for order in (10, 11, 12):
        one = report("6.6.10", "GFP_KERNEL|__GFP_COMP", zone(10_000, blocks=LARGE, kb=64), order=order)
        assert failed(one) == [("unknown", 0)]
        assert any("end of the line of free blocks" in line for line in one["missing"])


# one node only


def test_this_node_leaves_another_nodes_pages_alone() -> None:
    """Node 0 lacks 101 pages; node 1 has plenty, but which node was asked for is not printed: only node 0 fails."""
    zones = zone(900), zone(100_000, name="Node 1 Normal")
    one = report("6.6.10", "GFP_KERNEL|__GFP_THISNODE", *zones, nodes=", nodemask=(null),cpuset=/,mems_allowed=0-1")
    assert failed(one) == [("mark", 101), ("none", 0)]
    assert one["failing"] == "mark"
    assert any("which one it asked for is not printed: node 0 or node 1" in line for line in one["why"])
    assert any("it was node 0, if nothing was freed since" in line for line in one["why"])
    assert "with any node: passes in node 1 Normal" in one["otherwise"]
    without = report("6.6.10", "GFP_KERNEL", *zones, nodes=", nodemask=(null),cpuset=/,mems_allowed=0-1")
    assert without["failing"] == ["mark", "none"]


def test_this_node_is_told_where_one_node_is_allowed() -> None:
    zones = zone(900), zone(100_000, name="Node 1 Normal")
    one = report("6.6.10", "GFP_USER|__GFP_THISNODE", *zones, nodes=", nodemask=0,cpuset=/,mems_allowed=0-1")
    assert (failed(one), one["failing"]) == ([("mark", 101)], "mark")
    assert any("here node 0, the only one" in line for line in one["why"])


# nodemask= and mems_allowed=

TWO = zone(900), zone(100_000, name="Node 1 Normal")
#: Kernel, mask, call chain, and whether mems_allowed=0 leaves node 1 out.
BOUND = [
    ("5.10.50", "GFP_ATOMIC", TASK, False),
    ("5.10.50", "GFP_ATOMIC|__GFP_NOMEMALLOC", TASK, False),
    ("5.10.50", "GFP_NOWAIT|__GFP_HIGH|__GFP_HARDWALL", TASK, True),  # the cpuset is dropped for __GFP_ATOMIC
    ("5.10.50", "GFP_NOWAIT|__GFP_HARDWALL", TASK, True),
    ("5.10.50", "GFP_NOWAIT", IRQ, False),
    ("5.10.50", "GFP_USER", TASK, True),
    ("6.1.115", "GFP_NOWAIT|__GFP_HIGH|__GFP_HARDWALL", TASK, True),
    ("6.1.116", "GFP_NOWAIT|__GFP_HIGH", TASK, False),
    ("6.6.10", "GFP_ATOMIC", TASK, False),
    ("6.6.10", "GFP_ATOMIC|__GFP_NOMEMALLOC", TASK, False),
    ("6.6.10", "GFP_NOWAIT|__GFP_HARDWALL", TASK, True),
    ("6.6.10", "GFP_NOWAIT", IRQ, False),
    ("6.6.10", "GFP_KERNEL|__GFP_HIGH|__GFP_HARDWALL", TASK, True),
    ("7.3.4", "GFP_KERNEL|__GFP_MEMALLOC", TASK, False),  # no mark is looked at, and no cpuset
]


@pytest.mark.parametrize(("kernel", "names", "trace", "bound"), BOUND)
def test_a_cpuset_binds_who_may_wait(kernel: str, names: str, trace: tuple[str, ...], bound: bool) -> None:
    one = report(kernel, names, *TWO, trace=trace)
    assert [it["zone"] for it in one["zones"]] == ["node 0 Normal"] + ["node 1 Normal"] * (not bound)
    assert len(one["outside"]) == bound
    assert all("mems_allowed=0 leaves its node out" in line for line in one["outside"])


@pytest.mark.parametrize(
    "begin",
    [
        "handle_percpu_devid_irq",
        "generic_handle_domain_irq",
        "do_irq",
        "__do_irq",
        "common_interrupt",
        "gic_handle_irq",
        "__do_softirq",
        "net_rx_action",
        "sysvec_apic_timer_interrupt",
        "nmi_handle",
        "run_timer_softirq",
    ],
)
def test_an_interrupt_is_known_by_any_function_by_which_one_begins(begin: str) -> None:
    """A chain without marks, as those of arm64, RISC-V and powerpc are."""
    trace = ("Call trace:", " warn_alloc+0xf0/0x180", f" {begin}+0x1/0x2", " ask+0x1/0x2")
    one = report("6.6.10", "GFP_NOWAIT|__GFP_HARDWALL", *TWO, trace=trace)
    assert (failed(one)[1], one["outside"]) == (("none", 0), [])
    assert report("6.6.10", "GFP_NOWAIT|__GFP_HARDWALL", *TWO, trace=trace[:2] + trace[3:])["outside"]


def test_a_node_that_is_left_out_is_named_with_the_reason() -> None:
    one = report("6.6.10", "GFP_USER", *TWO, nodes=", nodemask=0,cpuset=/,mems_allowed=0-1")
    assert one["outside"] == ["node 1 Normal: nodemask=0 leaves its node out"]
    assert "node 1 Normal: nodemask=0 leaves its node out: it was not eligible" in one["why"]
    assert "no __GFP_HARDWALL" not in report("6.6.10", "GFP_USER", *TWO)["outside"][0]


def test_without_hardwall_a_cpuset_above_may_have_had_the_node() -> None:
    """Node 1 passes, so that the answer hangs on it; where it is 101 short as well, it matters nothing."""
    one = report("6.6.10", "GFP_KERNEL", *TWO)
    assert (failed(one), one["outside"]) == ([("mark", 101), ("unknown", 0)], [])
    assert "no __GFP_HARDWALL" in one["zones"][1]["doubts"][0]
    assert one["summary"]["why"].endswith("whether the request was allowed to use it is not told.")
    one = report("6.6.10", "GFP_KERNEL", zone(900), zone(900, name="Node 1 Normal"))
    assert (failed(one), one["failing"]) == ([("mark", 101)], "mark")
    assert "no __GFP_HARDWALL" in one["outside"][0]


def test_a_mask_of_nodes_binds_an_atomic_request_too() -> None:
    """Since v4.19 the slow path would have printed (null) had it dropped the mask."""
    one = report("4.14.200", "GFP_ATOMIC", *TWO, nodes=", nodemask=0")
    assert [it["zone"] for it in one["zones"]] == ["node 0 Normal"]


def test_an_oom_names_its_nodes_at_its_end() -> None:
    """The two nodes' marks are missed by 101 and passed, but node 1 is not in the task's cpuset."""
    lines = [
        "worker invoked oom-killer: gfp_mask=0x100cc0(GFP_USER), order=0, oom_score_adj=0",
        "CPU: 1 PID: 71 Comm: worker Not tainted 6.6.10 #1",
        "Mem-Info:",
        *(line for lines in TWO for line in lines),
        "oom-kill:constraint=CONSTRAINT_CPUSET,nodemask=(null),cpuset=box,mems_allowed=0,global_oom,task=worker,pid=71,uid=0",
    ]
    (one,) = explain("\n".join(lines))
    assert (failed(one), one["failing"]) == ([("mark", 101)], "mark")
    assert any(line.startswith("the task's cpuset kept it") and "mems_allowed=0" in line for line in one["why"])
    (one,) = explain("\n".join(lines[:-1]))
    assert any("mems_allowed" in line for line in one["missing"])


# the rules of the reserves, kernel by kernel

BOOSTED = {"boost": 500}
RULES: list[tuple[str, str, int, dict[str, Any], str, int]] = [
    # min 1000 = 500 + 500 of boost; high: 500 remain, without the boost 250; harder besides: 375 and 188
    ("5.8.0", "GFP_ATOMIC", 300, BOOSTED, "mark", 76),  # no second test: 376 - 300
    ("5.9.1", "GFP_ATOMIC", 300, BOOSTED, "none", 0),  # 188 < 300
    ("5.4.79", "GFP_ATOMIC", 300, BOOSTED, "mark", 76),
    ("5.4.80", "GFP_ATOMIC", 300, BOOSTED, "none", 0),
    ("5.19.3", "GFP_ATOMIC", 180, BOOSTED, "mark", 9),  # 189 - 180
    ("5.19.3", "GFP_NOWAIT|__GFP_HIGH", 400, BOOSTED, "mark", 101),  # high alone: 501 - 400
    ("5.19.3", "GFP_KERNEL|__GFP_HIGH", 400, BOOSTED, "mark", 101),
    ("6.2.1", "GFP_KERNEL|__GFP_HIGH", 400, BOOSTED, "mark", 101),
    ("6.1.116", "GFP_KERNEL|__GFP_HIGH", 400, BOOSTED, "mark", 101),  # stable took the reserves, not this test
    ("6.3.1", "GFP_KERNEL|__GFP_HIGH", 400, BOOSTED, "none", 0),  # 250 < 400
    ("6.6.10", "GFP_KERNEL|__GFP_HIGH", 240, BOOSTED, "mark", 11),  # 251 - 240
    ("6.6.10", "GFP_NOWAIT", 900, BOOSTED, "mark", 101),  # no __GFP_HIGH: the whole of min, with the boost
    ("5.19.3", "GFP_ATOMIC|__GFP_NOMEMALLOC", 240, BOOSTED, "mark", 11),  # not harder, yet tested again: 251 - 240
    ("6.6.10", "GFP_ATOMIC|__GFP_NOMEMALLOC", 240, BOOSTED, "mark", 11),
    # __GFP_ATOMIC alone is harder: 750 remain; from v6.3 nothing is left of it
    ("5.10.50", "__GFP_ATOMIC|__GFP_KSWAPD_RECLAIM", 740, {}, "mark", 11),
    ("5.10.50", "__GFP_HIGH|__GFP_KSWAPD_RECLAIM", 490, {}, "mark", 11),
    ("6.6.10", "__GFP_HIGH|__GFP_KSWAPD_RECLAIM", 370, {}, "mark", 6),  # 1000 - 500 - 125 = 375
    ("6.6.10", "GFP_KERNEL|__GFP_HIGH", 490, {}, "mark", 11),
    ("5.10.50", "__GFP_ATOMIC|__GFP_NOMEMALLOC", 990, {}, "mark", 11),
    # who has the HIGHATOMIC reserve subtracted: 1100 - 300 = 800
    ("5.8.0", "GFP_NOWAIT", 1100, {"reserved_highatomic": 300}, "none", 0),  # passes at once: 1100 > 1000
    ("5.10.50", "GFP_NOWAIT", 1100, {"reserved_highatomic": 300}, "HIGHATOMIC", 201),
    ("6.1.115", "GFP_NOWAIT", 1100, {"reserved_highatomic": 300}, "HIGHATOMIC", 201),
    ("6.1.116", "GFP_NOWAIT", 1100, {"reserved_highatomic": 300}, "none", 0),
    ("5.15.170", "GFP_NOWAIT", 1100, {"reserved_highatomic": 300}, "HIGHATOMIC", 201),
    ("5.15.171", "GFP_NOWAIT", 1100, {"reserved_highatomic": 300}, "none", 0),
    ("6.6.10", "GFP_NOWAIT", 1100, {"reserved_highatomic": 300}, "none", 0),
    ("6.6.10", "GFP_KERNEL", 1100, {"reserved_highatomic": 300}, "HIGHATOMIC", 201),
    ("6.6.10", "GFP_NOWAIT|__GFP_NOMEMALLOC", 1100, {"reserved_highatomic": 300}, "HIGHATOMIC", 201),
    ("6.6.10", "GFP_KERNEL|__GFP_HIGH", 600, {"reserved_highatomic": 300}, "none", 0),  # __GFP_HIGH is enough: 500
    ("5.10.50", "GFP_KERNEL|__GFP_HIGH", 600, {"reserved_highatomic": 300}, "HIGHATOMIC", 201),  # 300 of 500
    ("7.3.4", "GFP_KERNEL", 1100, {"reserved_highatomic": 300, "free_highatomic": 90}, "none", 0),  # 1010: what is free
    # before v4.7 nothing passes at once; what the reserve holds was not printed (at most 2250 + 2048)
    ("4.6.2", "GFP_KERNEL", 1100, {"reserved_highatomic": -1}, "unknown", 0),
    ("4.9.123", "GFP_KERNEL", 1100, {"reserved_highatomic": -1}, "none", 0),
    ("4.6.2", "GFP_ATOMIC", 1100, {"reserved_highatomic": -1}, "none", 0),
    ("4.6.2", "GFP_KERNEL", 900, {"reserved_highatomic": -1}, "mark", 101),  # whatever it holds
    ("4.6.2", "GFP_KERNEL", 5299, {"reserved_highatomic": -1}, "none", 0),  # 5299 - 4298 = 1001
    ("4.6.2", "GFP_KERNEL", 5298, {"reserved_highatomic": -1}, "unknown", 0),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule[0]}-{rule[1]}")
def test_the_rule_of_each_kernel(rule: tuple[str, str, int, dict[str, Any], str, int]) -> None:
    kernel, names, free, fields, test, short = rule
    assert failed(report(kernel, names, zone(free, **fields))) == [(test, short)]


@pytest.mark.parametrize(
    ("kernel", "names", "says"),
    [
        ("6.1.80", "GFP_NOWAIT|__GFP_HIGH", "down to 1/2 of the min watermark"),
        ("6.1.116", "GFP_NOWAIT|__GFP_HIGH", "down to 3/8 of the min watermark"),
        ("5.15.171", "GFP_NOWAIT|__GFP_HIGH", "down to 3/8 of the min watermark"),
        ("5.10.50", "__GFP_ATOMIC", "down to 3/4 of the min watermark"),
        ("6.6.10", "GFP_KERNEL", "none: down to the min watermark"),
        ("6.6.10", "GFP_KERNEL|__GFP_MEMALLOC", "all: no watermark is checked"),
    ],
)
def test_what_the_request_may_is_by_the_same_rule(kernel: str, names: str, says: str) -> None:
    assert report(kernel, names, zone(900))["asked"]["may"]["reserves"] == says


def test_a_vendors_number_hides_the_point_release() -> None:
    """6.1.0-27-amd64 is some 6.1.y: before 6.1.116 the reserve is subtracted (800 pages), after it is not (1100)."""
    one = report("6.1.0-27-amd64", "GFP_NOWAIT", zone(1100, reserved_highatomic=300))
    assert one["failing"] == "unknown"
    assert any("which 6.1.y this is cannot be told" in line for line in one["remarks"])
    one = report("6.1.0-27-amd64", "GFP_KERNEL", zone(900))
    assert one["failing"] == "mark"
    assert not any("cannot be told" in line for line in one["remarks"])


def test_a_boost_that_is_not_printed_is_said_where_it_decides() -> None:
    """v5.10 prints no boost.  GFP_ATOMIC: 375 remain of 1000; 300 are too few, but above 3/8 of what a boost leaves."""
    one = report("5.10.50", "GFP_ATOMIC", zone(300, low=1900, high=2800))
    assert failed(one) == [("mark", 76)]
    # 1000 - 202 = 798, less 399, less 99, is 300; 1000 - 203 = 797 less 398, less 99, too; 1000 - 204: 796 - 398 - 99
    assert "of 204 pages or more" in " ".join(one["zones"][0]["remarks"])
    assert report("5.10.50", "GFP_ATOMIC", zone(300))["zones"][0]["remarks"] == []  # the gap is a quarter of all of min


# order 0, and blocks of other types


@pytest.mark.parametrize(
    ("kernel", "names", "types", "test"),
    [
        ("6.6.59", "GFP_ATOMIC", "H", "block"),
        ("6.6.60", "GFP_ATOMIC", "H", "none"),
        ("6.11.6", "GFP_ATOMIC", "H", "block"),
        ("6.11.7", "GFP_ATOMIC", "H", "none"),
        ("6.12.1", "GFP_NOWAIT", "H", "none"),
        ("6.12.1", "GFP_KERNEL", "H", "block"),
        ("5.10.50", "GFP_ATOMIC", "H", "block"),
        ("6.6.10", "GFP_KERNEL", "C", "block"),  # free_cma is not printed, the list says it
        ("6.6.10", "GFP_HIGHUSER_MOVABLE", "C", "none"),
        ("6.6.10", "GFP_HIGHUSER_MOVABLE", "I", "block"),
        ("6.6.10", "GFP_KERNEL", "UMEHCI", "none"),
    ],
)
def test_pages_that_are_free_for_others_only(kernel: str, names: str, types: str, test: str) -> None:
    assert failed(report(kernel, names, zone(1500, 500, types=types))) == [(test, 0)]


def test_no_mark_is_looked_at_but_a_page_is_needed() -> None:
    assert failed(report("6.6.10", "GFP_ATOMIC|__GFP_MEMALLOC", zone(10))) == [("none", 0)]
    assert failed(report("6.6.10", "GFP_ATOMIC|__GFP_MEMALLOC", zone(10, types="C"))) == [("block", 0)]
    assert failed(report("6.6.10", "GFP_ATOMIC|__GFP_MEMALLOC", zone(0, types="U")[:-1])) == [("block", 0)]
    # __GFP_NOMEMALLOC wins: 500 of 1000 remain
    assert failed(report("6.6.10", "GFP_ATOMIC|__GFP_MEMALLOC|__GFP_NOMEMALLOC", zone(10))) == [("mark", 491)]


def test_kswapds_own_request_looks_at_no_mark() -> None:
    one = report("6.6.10", "GFP_NOIO", zone(10), task="kswapd0")
    assert (failed(one), one["failing"]) == ([("none", 0)], "none")
    assert any("kswapd, so that it has PF_MEMALLOC: no mark is looked at" in line for line in one["remarks"])
    one = report("6.6.10", "GFP_ATOMIC", zone(10), task="kswapd0", trace=IRQ)  # an interrupt's, while kswapd ran
    assert (failed(one), one["remarks"]) == ([("mark", 366)], [])  # 376 - 10
    arm = (
        "Call trace:",
        " warn_alloc+0xf0/0x180",
        " net_rx_action+0x1/0x2",
        " __do_softirq+0x1/0x2",
        " kswapd+0x1/0x2",
    )
    assert failed(report("5.10.50", "GFP_ATOMIC", zone(10), task="kswapd0", trace=arm)) == [("mark", 366)]
    one = report("6.6.10", "GFP_ATOMIC", zone(10), task="kswapd0", trace=())
    assert failed(one) == [("unknown", 0)]
    assert any("whether an interrupt asked instead cannot be told" in line for line in one["remarks"])
    one = report("6.6.10", "GFP_NOIO|__GFP_NOMEMALLOC", zone(10), task="kswapd0")
    assert failed(one) == [("mark", 991)]


def test_who_reclaims_looks_at_no_mark() -> None:
    """What is behind a question mark is no frame."""
    chain = (*TASK[:4], " swap_writepage+0x1/0x2", " try_to_free_pages+0x1/0x2", " </TASK>")
    assert failed(report("6.6.10", "GFP_NOIO", zone(10), trace=chain)) == [("none", 0)]
    unsure = tuple(line.replace(" try", " ? try") for line in chain)
    assert failed(report("6.6.10", "GFP_NOIO", zone(10), trace=unsure)) == [("mark", 991)]


# a reserve that cannot be told

LOWER: dict[str, Any] = {"name": "Node 0 DMA32", "mark": 500}
UPPER = zone(900)


def test_a_reserve_that_is_missing_gives_no_firm_conclusion() -> None:
    """DMA32 has 1000 - 500 = 500 pages for a lowmem_reserve that is not printed."""
    one = report("6.6.10", "GFP_KERNEL", zone(1000, reserve=None, **LOWER), UPPER)
    assert (failed(one), one["failing"]) == ([("unknown", 0), ("mark", 101)], ["mark", "unknown"])
    said = next(line for line in one["why"] if line.startswith("node 0 DMA32"))
    assert "lowmem_reserve cannot be told" in said
    assert "500 pages are above that" in said
    assert "taken as 0" not in render(one)


def test_a_missing_reserve_does_not_matter_where_none_helps() -> None:
    """400 pages are below the mark of 500 with no reserve at all."""
    one = report("6.6.10", "GFP_KERNEL", zone(400, reserve=None, **LOWER), UPPER)
    assert (failed(one), one["failing"]) == ([("mark", 101), ("mark", 101)], "mark")
    assert "at least 101 pages of 4 kB short" in one["why"][0]


def test_a_zone_keeps_nothing_from_its_own_requests() -> None:
    one = report("6.6.10", "GFP_KERNEL", zone(1100, reserve=None))
    assert failed(one) == [("none", 0)]


def test_a_line_of_reserves_that_was_cut_is_not_told() -> None:
    one = report("6.6.10", "GFP_KERNEL", zone(1000, reserve="0 0 4", **LOWER), UPPER)
    assert failed(one)[0] == ("unknown", 0)


def lower(name: str, free: int, reserve: str, normal: str) -> tuple[str, int]:
    """Return the test of a zone with a mark of 500 below a Normal zone, for a request that prefers that."""
    zones = zone(free, 500, name, reserve=reserve), zone(900, name="Normal", reserve=normal)
    return failed(report("5.10.50", "GFP_KERNEL", *zones))[0]


def test_the_entries_tell_which_is_whose() -> None:
    """Four entries beside DMA and Normal: DMA32 without pages (nothing is kept from it), or no DMA32 at all."""
    assert lower("DMA", 801, "0 300 900 900", "0 0 9 9") == ("none", 0)  # Normal's is 300; HighMem has pages as well
    assert lower("DMA", 800, "0 300 900 900", "0 0 9 9") == ("lowmem_reserve", 1)
    assert lower("DMA", 1401, "0 0 900 900", "0 0 0 0") == ("none", 0)  # Normal's is the third
    assert lower("DMA", 1400, "0 0 900 900", "0 0 0 0") == ("lowmem_reserve", 1)
    assert lower("DMA32", 1401, "0 0 900 900", "0 0 0 0") == ("none", 0)  # behind a DMA without pages


def test_entries_that_fit_no_zones_are_all_possible() -> None:
    """Something is kept from a zone's own requests, which no kernel does: 5 to 900."""
    assert lower("DMA", 1401, "5 300 900 900", "0 0 0 0") == ("none", 0)
    assert lower("DMA", 1400, "5 300 900 900", "0 0 0 0") == ("unknown", 0)
    assert lower("DMA", 506, "5 300 900 900", "0 0 0 0") == ("unknown", 0)
    assert lower("DMA", 505, "5 300 900 900", "0 0 0 0") == ("lowmem_reserve", 1)


def test_no_block_is_no_block_whatever_the_reserve() -> None:
    one = report("6.6.10", "GFP_KERNEL", zone(1000, reserve=None, **LOWER), order=3)
    assert failed(one) == [("block", 0)]
    assert "fragmentation: the pages are free, but in smaller or other blocks" in one["why"]
    one = report("6.6.10", "GFP_KERNEL", zone(1010, types="U"), order=3)  # 1003 > 1000
    assert "fragmentation, not the mark: the pages are free, but in smaller or other blocks" in one["why"]


def test_without_a_list_the_size_of_a_page_is_not_known() -> None:
    """5120 kB and a reserve of 100 pages: 1280 > 1024 + 100 in pages of 4 kB, 80 < 64 + 100 in those of 64 kB."""
    cut = zone(1280, 1024, name="Node 0 DMA32", reserve="0 0 100 100", managed=225_024)[:-1]
    one = report("6.6.10", "GFP_KERNEL", cut)
    assert failed(one) == [("unknown", 0)]
    assert "the size of a page cannot be told" in one["zones"][0]["doubts"]
    one = report("6.6.10", "GFP_KERNEL", zone(900)[:-1])  # 3600 kB are no whole pages of 16 or 64 kB
    assert failed(one) == [("mark", 101)]
    assert one["zones"][0]["short_range"] == [{"page_kb": 4, "least": 101, "most": 101}]


def test_a_shortage_in_pages_of_an_unknown_size_is_said_for_each() -> None:
    """4096 kB of 5120: 1280 - 1024 + 1 pages of 4 kB, 320 - 256 + 1 of 16 kB, 80 - 64 + 1 of 64 kB."""
    one = report("6.6.10", "GFP_KERNEL", zone(1024, 1280, managed=225_024, low=1600, high=1920)[:-1])
    said = "257 pages of 4 kB or 65 pages of 16 kB or 17 pages of 64 kB short"
    assert said in one["why"][0]
    assert said in one["summary"]["why"]
    assert "or more" not in " ".join(one["why"])


def test_the_sum_of_all_free_pages_tells_the_size_of_a_page() -> None:
    lines = [" free:64 free_pcp:0 free_cma:0", *zone(1024, 1280, managed=225_024, low=1600, high=1920)[:-1]]
    one = report("6.6.10", "GFP_KERNEL", lines)  # 4096 kB
    assert one["zones"][0]["short_range"] == [{"page_kb": 64, "least": 17, "most": 17}]


# other shapes


def test_a_request_for_dma32_has_no_normal_memory() -> None:
    """The upper zone has plenty."""
    zones = zone(900, name="Node 0 DMA32", reserve="0 0 7000 7000 7000"), zone(90_000)
    one = report("6.6.10", "GFP_KERNEL|__GFP_DMA32", *zones)
    assert (failed(one), one["asked"]["zone"]) == ([("mark", 101)], "DMA32")
    assert one["outside"] == ["node 0 Normal: above DMA32, the highest zone that the request allows"]


def test_a_zone_without_pages_is_no_reason_to_go_above_it() -> None:
    """arm64 with all low memory in DMA: DMA32 is built and empty, as its entry (0) and the next (9000) tell."""
    zones = zone(900, name="Node 0 DMA", reserve="0 0 9000 9000"), zone(90_000, reserve="0 0 0 0")
    one = report("6.6.10", "GFP_KERNEL|__GFP_DMA32", *zones)
    assert (failed(one), one["asked"]["zone"]) == ([("mark", 101)], "DMA32")
    zones = zone(900, name="Node 0 DMA", reserve="0 0 0 0"), zone(90_000, reserve="0 0 0 0")  # nothing tells it
    one = report("6.6.10", "GFP_KERNEL|__GFP_DMA32", *zones)
    assert "this kernel may have a zone DMA32 without pages: then no zone above it was eligible" in one["remarks"]
    assert failed(one) == [("mark", 101), ("unknown", 0)]


def test_highmem_helps_no_kernel_request() -> None:
    """32-bit: Normal is 201 short; DMA has 500 pages above its mark, and 800 are kept from requests for Normal."""
    zones = (
        zone(600, 100, "DMA", reserve="0 800 2000 2000"),
        zone(800, 1000, "Normal", reserve="0 0 9600 9600"),
        zone(90_000, 128, "HighMem", reserve="0 0 0 0"),
    )
    one = report("5.10.50", "GFP_KERNEL", *zones)
    assert failed(one) == [("lowmem_reserve", 301), ("mark", 201)]
    assert one["outside"] == ["HighMem: above Normal, the highest zone that the request allows"]
    one = report("5.10.50", "GFP_HIGHUSER", *zones)  # 2000 and 9600 are kept from requests for HighMem
    assert failed(one) == [("lowmem_reserve", 1501), ("mark", 9801), ("none", 0)]


def test_a_costly_order_fails_by_fragmentation() -> None:
    """Order 9, movable: 3000 - 511 = 2489 are above 1000; the largest block is of order 8."""
    blocks = (
        "952*4kB (UME) 0*8kB 0*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 8*1024kB (MC) 0*2048kB 0*4096kB = 12000kB"
    )
    one = report("6.18.5", "GFP_TRANSHUGE", zone(3000, blocks=blocks), order=9)
    assert failed(one) == [("block", 0)]
    assert "with order 8: passes in node 0 Normal" in one["otherwise"]


def test_an_atomic_request_of_7_3_may_have_a_reserved_block() -> None:
    """Order 2: 400 - 3 = 397 are above 375."""
    blocks = "384*4kB (U) 0*8kB 4*16kB (H) 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 1600kB"
    lists = zone(400, blocks=blocks, reserved_highatomic=512, free_highatomic=16)
    assert failed(report("7.3.4", "GFP_ATOMIC", lists, order=2)) == [("none", 0)]
    assert failed(report("7.3.4", "GFP_ATOMIC|__GFP_NOMEMALLOC", lists, order=2)) == [("mark", 104)]  # 501 - 397
    # GFP_NOWAIT: 604 short of 1000; with 1600 pages more it has no block of its own
    assert failed(report("7.3.4", "GFP_NOWAIT", lists, order=2)) == [("mark", 604)]


def test_a_cgroups_limit_has_no_arithmetic() -> None:
    lines = [
        "worker invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        "CPU: 1 PID: 71 Comm: worker Not tainted 6.6.10 #1",
        "Mem-Info:",
        *zone(900),
    ]
    memcg = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/box,task=worker"
    (one,) = explain("\n".join([*lines, memcg]))
    assert (one["failing"], one["zones"], one["otherwise"]) == ("memcg", [], [])
    policy = memcg.replace("MEMCG,nodemask=(null)", "MEMORY_POLICY,nodemask=0").replace("oom_memcg=/box,", "")
    (one,) = explain("\n".join([*lines, "memory: usage 1kB, limit 1kB, failcnt 0", policy]))
    assert failed(one) == [("mark", 101)]  # what is printed of the constraint wins
    assert any("the task's memory policy kept it" in line and "nodemask=0" in line for line in one["why"])


def test_an_oom_that_was_asked_for_by_hand() -> None:
    head = "kworker/0:1 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=-1, oom_score_adj=0"
    (one,) = explain(
        "\n".join([head, "CPU: 0 PID: 7 Comm: kworker/0:1 Not tainted 6.6.10 #1", "Mem-Info:", *zone(90_000)])
    )
    assert (one["failing"], one["zones"]) == ("by hand", [])
    assert "asked for by hand" in one["why"][0]


def test_a_zone_that_lost_its_pages_of_cma_cannot_be_told() -> None:
    """GFP_ATOMIC on 6.1, min 1000: 375 must stay.  Of 500 free pages all may be CMA's; 100 are too few anyhow."""
    for free, failing in ((500, "unknown"), (100, "mark")):
        one = report("6.1.80", "GFP_ATOMIC", zone(free, free_cma=-1))
        assert one["failing"] == failing
        assert "node 0 Normal: free_cma" in one["missing"]
    assert "cannot be told (0 to 100 pages)" in " ".join(one["why"])
    assert report("6.1.80", "GFP_HIGHUSER_MOVABLE", zone(1500, free_cma=-1))["failing"] == "none"


def test_a_zone_that_was_cut_before_what_is_free_of_the_reserve() -> None:
    """GFP_KERNEL on 6.12, 1200 free, 400 reserved, of which 0 to 400 are free: 1001 may be there or not."""
    assert report("6.12.9", "GFP_KERNEL", zone(1200, reserved_highatomic=400))["failing"] == "HIGHATOMIC"
    text = zone(1200, reserved_highatomic=400, managed=-1)
    assert report("6.12.9", "GFP_KERNEL", text)["failing"] == "unknown"


def test_of_two_reports_that_are_mixed_no_number_decides() -> None:
    """Without a caller nobody knows whose zone is whose; the same numbers twice are no matter."""
    one = report("6.6.10", "GFP_KERNEL", zone(500), zone(999))
    assert one["failing"] == "unknown"
    assert one["summary"]["why"].endswith("cannot be said, as lines of another report are mixed with these.")
    assert report("6.6.10", "GFP_KERNEL", zone(500), zone(500))["failing"] == "mark"
