"""What is said around the arithmetic: which kernels it may be, contradictions, other requests, whole sentences.

Each number was worked out by hand from the rule that is named; zones are those of `test_failure`, in pages of 4 kB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gfpmodel.explain import explain, render, texts
from gfpmodel.explain.candidates import versions
from tests.explain.test_failure import NODES, TASK, failed, report, zone

NEW = {"boost": 0, "reserved_highatomic": 512, "free_highatomic": 64, "active_anon": 0}


def unnamed(head: str, *zones: list[str], trace: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the explanation of a report that names no kernel."""
    (one,) = explain("\n".join([head, *trace, "Mem-Info:", *(line for lines in zones for line in lines)]))
    assert render(one)
    return one


def fields(free: int, mark: int = 1000, **more: int) -> list[str]:
    """Return a zone's lines with the fields in the order in which kernels print them."""
    numbers: dict[str, Any] = {"reserved_highatomic": -1, "active_anon": 0, **more}
    return zone(free, mark, **numbers)


# a kernel that is not named


@pytest.mark.parametrize(
    ("mask", "more", "nodes", "span"),
    [
        ("0x2080020(GFP_ATOMIC)", {}, "", "v4.6 to v4.9"),  # no nodemask= until v4.13
        ("0xcc0(GFP_KERNEL)", {}, NODES, "v5.1 to v5.4"),
        ("0xcc0(GFP_KERNEL)", {"reserved_highatomic": 0}, NODES, "v5.5 to v5.15"),
        ("0xcc0(GFP_KERNEL)", {"reserved_highatomic": 0, "boost": 0}, NODES, "v5.16 to v6.11"),
        ("0xcc0(GFP_KERNEL)", NEW, NODES, "v6.12 to v7.3"),
    ],
)
def test_the_range_is_that_of_the_names_and_of_what_is_printed(
    mask: str, more: dict[str, int], nodes: str, span: str
) -> None:
    one = unnamed(f"worker: page allocation failure: order:0, mode:{mask}{nodes}", fields(100, **more))
    assert one["asked"]["kernels"] == span
    assert any(f"it prints what {span} print" in line for line in one["remarks"])
    assert one["asked"]["grade"] is None
    assert one["failing"] == "mark"  # 100 pages are too few by every rule


def test_rules_that_differ_give_both_answers() -> None:
    """GFP_NOWAIT, 3000 free, 512 reserved, min 2725: 2488 are 238 short up to v6.2; from v6.3 on all 3000 count."""
    zones = fields(3000, 2725, boost=0, reserved_highatomic=512)
    one = unnamed(f"worker: page allocation failure: order:0, mode:0x800(GFP_NOWAIT){NODES}", zones)
    assert one["asked"]["kernels"] == "v5.16 to v6.7"  # later ones call 0x800 otherwise
    assert (one["failing"], failed(one)) == ("unknown", [("unknown", 0)])
    early, late = one["zones"][0]["either"]
    assert (early["test"], early["short"]) == ("HIGHATOMIC", 238)
    assert (late["test"], late["short"]) == ("none", 0)
    assert "v6.3 to v6.7" in late["kernels"]
    assert "v5.16 to v6.0" in early["kernels"]
    assert "early v6.1.y" in early["kernels"]
    said = " ".join(one["why"])
    assert "238 pages of 4 kB short" in said
    assert "which of these 2 answers is right cannot be told" in said
    assert "different rules" in one["summary"]["why"]


def test_a_number_without_names_is_of_a_kernel_before_4_6() -> None:
    """v4.4's GFP_ATOMIC; 0x20 is __GFP_HIGH there and GFP_ATOMIC before, whose rule is not modelled."""
    one = unnamed("worker: page allocation failure: order:0, mode:0x2080020", fields(100))
    assert one["asked"]["kernels"] == "v4.4 to v4.5"
    one = unnamed("worker: page allocation failure: order:0, mode:0x20", fields(100))
    assert (one["asked"]["kernels"], one["failing"]) == ("v3.10 to v4.5", "unknown")
    assert "whether the rule of kernels before v4.4 applies" in one["zones"][0]["doubts"]


def test_parts_that_no_release_prints_together_are_a_contradiction() -> None:
    one = unnamed("worker: page allocation failure: order:0, mode:0x2080020(GFP_ATOMIC)", fields(100, **NEW))
    assert any(line.startswith("no kernel is named: contradiction") for line in one["remarks"])


def test_every_version_since_3_10_is_known_once() -> None:
    assert (3, 10) in versions()
    assert (7, 3) in versions()
    assert list(versions()) == sorted(versions())


def test_a_rule_that_is_not_modelled_is_said() -> None:
    one = report("4.4.9", "GFP_KERNEL", zone(900, reserved_highatomic=-1))
    assert failed(one) == [("mark", 101)]
    lines = [
        "worker: page allocation failure: order:0, mode:0x20",
        "CPU: 1 PID: 1 Comm: w Not tainted 3.10.0-1160.el7 #1",
    ]
    (one,) = explain("\n".join([*lines, "Mem-Info:", *zone(900)]))
    said = " ".join(one["why"])
    assert "the rule of kernels before v4.4 is not modelled" in said
    assert "node 0 Normal" in said
    assert "no eligible zone" not in said


# order 0's quick test


def test_the_quick_test_is_named_where_it_alone_passes() -> None:
    """v5.8: 1100 > 1000 passes at once, though 1100 - 300 = 800 does not."""
    one = report("5.8.0", "GFP_NOWAIT", zone(1100, reserved_highatomic=300))
    assert failed(one) == [("none", 0)]
    assert "more than min 1000 + lowmem_reserve 0 = 1000: passes the quick test of order 0" in one["why"][0]
    assert "must stay above" not in one["why"][0]
    one = report("5.8.0", "GFP_NOWAIT", zone(1400, reserved_highatomic=300))  # 1100 pass the whole test, too
    assert "quick test" not in one["why"][0]


def test_a_reserve_that_is_not_printed_is_care_in_otherwise_too() -> None:
    """v4.19, order 1: order 0 passes at once above 1000; with a reserve of up to 4298 the whole test is not told."""
    one = report("4.19.80", "GFP_KERNEL", zone(1500, reserved_highatomic=-1, name="Normal"), order=1)
    assert "with order 0: passes in Normal by the quick test of order 0 alone" in " ".join(one["otherwise"])
    one = report("4.6.2", "GFP_KERNEL", zone(1500, reserved_highatomic=-1, name="Normal"), order=1)
    assert "with order 0: cannot be told of Normal" in one["otherwise"]  # no quick test before v4.7
    assert "node 0" not in render(one)


# zones, sizes, sentences


def test_one_zone_is_named_once_for_this_machine() -> None:
    zones = zone(600, 100, "Normal", reserve="0 0 800 800"), zone(900, 1000, "HighMem", reserve="0 0 0 0")
    one = report("5.10.50", "GFP_HIGHUSER", *zones)
    assert one["asked"]["zone"] == "HighMem"
    assert one["asked"]["may"]["zone"] == "HighMem, or below it Normal"
    assert "NORMAL" not in render(one)
    one = report("6.6.10", "GFP_KERNEL|__GFP_DMA32", zone(900))  # whether a zone DMA32 is built is not told
    assert one["asked"]["may"]["zone"] == "Normal or DMA32"


# contradictions


@pytest.mark.parametrize(
    ("names", "more", "words"),
    [
        ("GFP_ATOMIC|__GFP_NOWARN", {}, "__GFP_NOWARN"),
        ("GFP_KERNEL|__GFP_NOFAIL", {}, "__GFP_NOFAIL"),
        ("GFP_ATOMIC", {"boost": 1001}, "boost:4004kB is above min:4000kB"),
        ("GFP_ATOMIC", {"low": 900}, "min:4000kB is above low:3600kB"),
    ],
)
def test_what_no_kernel_prints_together_is_said(names: str, more: dict[str, Any], words: str) -> None:
    one = report("6.6.10", names, zone(300, **more))
    assert any("contradiction" in line and words in line for line in one["remarks"])
    assert not any("contradiction" in line for line in report("6.6.10", "GFP_ATOMIC", zone(300))["remarks"])


def test_a_list_whose_sum_is_not_that_of_its_parts_is_said() -> None:
    torn = zone(300)
    torn[-1] = torn[-1].replace("= 1200kB", "= 9000kB")
    one = report("6.6.10", "GFP_ATOMIC", torn)
    assert any("says = 9000kB, but its parts come to 1200 kB" in line for line in one["remarks"])


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("w: page allocation stalls for 10001ms, order:0, mode:0x1080020(GFP_ATOMIC), nodemask=(null)", "cannot stall"),
        (
            "w invoked oom-killer: gfp_mask=0x1080020(GFP_ATOMIC), nodemask=(null),  order=0, oom_score_adj=0",
            "never calls",
        ),
        ("w invoked oom-killer: gfp_mask=0x14000c0(GFP_KERNEL), nodemask=(null),  order=4, oom_score_adj=0", "COSTLY"),
    ],
)
def test_a_report_that_such_a_request_cannot_cause_is_said(head: str, words: str) -> None:
    (one,) = explain("\n".join([head, "CPU: 1 PID: 1 Comm: w Not tainted 4.13.11 #1", "Mem-Info:", *zone(900)]))
    assert any("contradiction" in line and words in line for line in one["remarks"])


def test_what_was_freed_is_a_guess_and_said_once() -> None:
    one = report("6.6.10", "GFP_KERNEL", zone(5000))
    assert "perhaps memory was freed" in one["why"][-1] or "perhaps memory was freed" in one["why"][-2]
    assert "what was freed meanwhile" not in one["unknown"]
    assert "memory was freed between" not in " ".join(one["why"]).replace("perhaps memory was freed between", "")


def test_a_stall_is_no_failure() -> None:
    head = "w: page allocation stalls for 10001ms, order:0, mode:0x14000c0(GFP_KERNEL), nodemask=(null)"
    (one,) = explain("\n".join([head, "CPU: 1 PID: 1 Comm: w Not tainted 4.13.11 #1", "Mem-Info:", *zone(900)]))
    assert "it failed" not in " ".join(one["why"])
    assert one["summary"]["why"].startswith("The request had not failed")


# what else would have been


def test_an_atomic_failure_is_compared_with_other_requests() -> None:
    """Min 1000, 300 free: GFP_ATOMIC may go down to 375.  DMA32 has 2000 free, of which 1900 are not for Normal's."""
    low = zone(2000, 500, "Node 0 DMA32", reserve="0 0 1900 1900 1900")
    one = report("6.6.10", "GFP_ATOMIC", low, zone(300))
    assert failed(one) == [("lowmem_reserve", 89), ("mark", 76)]  # 500 - 250 - 62 = 188; 188 + 1900 - 2000 + 1
    said = one["otherwise"]
    assert any(line.startswith("with GFP_KERNEL, which may wait: does not pass at once") for line in said)
    assert "node 0 DMA32 is nearest, 401 pages of 4 kB short" in " ".join(said)  # 500 + 1900 - 2000 + 1
    assert "with __GFP_DMA32: passes in node 0 DMA32" in said
    assert any(line.startswith("with __GFP_MEMALLOC") and "passes in" in line for line in said)


def test_another_node_and_a_higher_zone_are_tried() -> None:
    one = report("6.6.10", "GFP_USER", zone(900), zone(5000, name="Node 1 Normal"))
    assert "from node 1 Normal: passes in node 1 Normal" in one["otherwise"]
    zones = zone(900, name="Normal", reserve="0 0 9 9"), zone(5000, 128, "HighMem", reserve="0 0 0 0")
    assert "from HighMem: passes in HighMem" in report("5.10.50", "GFP_KERNEL", *zones)["otherwise"]


def test_a_costly_order_gives_up_without_the_oom_killer() -> None:
    said = report("6.6.10", "GFP_KERNEL", zone(5000), order=4)["otherwise"]
    assert any("above PAGE_ALLOC_COSTLY_ORDER (3)" in line and "without the OOM killer" in line for line in said)
    assert not any("COSTLY" in line for line in report("6.6.10", "GFP_KERNEL", zone(5000), order=3)["otherwise"])


def test_the_last_try_of_an_oom_is_at_the_high_mark() -> None:
    """High is 1500: 1200 pages pass min, and are 301 short of that."""
    head = "w invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"
    (one,) = explain("\n".join([head, "CPU: 1 PID: 1 Comm: w Not tainted 6.6.10 #1", "Mem-Info:", *zone(1200)]))
    (last,) = (line for line in one["otherwise"] if line.startswith("the last try"))
    assert "node 0 Normal is nearest, 301 pages of 4 kB short" in last


# vmalloc

VMALLOC = [
    (
        "4.6.2",
        "vmalloc: allocation failure, allocated 4096 of 8192 bytes, mode:0x24000c0(GFP_KERNEL)",
        "vmalloc failure",
    ),
    ("5.4.9", f"vmalloc: allocation failure: 8192 bytes, mode:0xcc0(GFP_KERNEL){NODES}", "vmalloc failure"),
    (
        "6.6.10",
        f"vmalloc error: size 8192, page order 0, failed to allocate pages, mode:0xcc0(GFP_KERNEL){NODES}",
        "vmalloc error",
    ),
]


@pytest.mark.parametrize(("kernel", "line", "kind"), VMALLOC)
def test_a_report_of_vmalloc_is_its_own(kernel: str, line: str, kind: str) -> None:
    """Its zones are not those of the report before it."""
    before = ["w: page allocation failure: order:0, mode:0x14000c0(GFP_KERNEL), nodemask=(null)"]
    lines = [*before, f"w: {line}", f"CPU: 1 PID: 1 Comm: w Not tainted {kernel} #1", "Mem-Info:", *zone(900)]
    first, one = explain("\n".join(lines))
    assert (first["kind"], first["zones"]) == ("allocation failure", [])
    assert (one["kind"], one["asked"]["task"], one["asked"]["order"]) == (kind, "w", 0)
    assert (one["asked"]["names"], one["failing"]) == ("GFP_KERNEL", "mark")
    assert "8192 bytes of virtual memory" in one["summary"]["asked"]


def test_an_area_that_was_refused_is_no_page_that_was() -> None:
    line = f"w: vmalloc error: size 8192, vm_struct allocation failed, mode:0xcc0(GFP_KERNEL){NODES}"
    (one,) = explain("\n".join([line, "CPU: 1 PID: 1 Comm: w Not tainted 6.6.10 #1", "Mem-Info:", *zone(900)]))
    assert (one["zones"], one["failing"], one["otherwise"]) == ([], "virtual memory", [])
    assert "before its pages were asked for" in one["why"][0]


# whole sentences


def test_each_part_has_a_sentence() -> None:
    one = report("6.6.10", "GFP_ATOMIC", zone(300), order=1)
    words = one["summary"].pop("otherwise")
    assert words == "None of the other requests tried here would have got its page at once."
    assert one["summary"] == {
        "asked": "The task worker asked for a block of 2 pages (order 1, 8 kB) with GFP_ATOMIC, which may not sleep.",
        "why": "In node 0 Normal too few pages were free: it was 77 pages of 4 kB short.",  # 375 + 1 - 299
    }


def test_a_report_without_anything_still_has_three_sentences() -> None:
    for text in (
        "x: page allocation failure: order:0, mode:",
        "Mem-Info:\nNode 0 Normal free:4kB",
        "x invoked oom-killer: ",
    ):
        (one,) = explain(text)
        assert set(one["summary"]) == {"asked", "why", "otherwise"}
        assert all(words[0].isupper() and words.endswith(".") for words in one["summary"].values())


def test_who_passes_needs_no_other_request() -> None:
    """GFP_ATOMIC on 6.6 passes with 500 of min 1000, where GFP_KERNEL does not."""
    said = report("6.6.10", "GFP_ATOMIC", zone(500))["summary"]["otherwise"]
    assert said.startswith(
        "By these numbers it passes as it is, and needs none of the others; it would not at once with "
    )
    assert "GFP_KERNEL" in said


def oom(mask: str, order: int, *zones: list[str], kernel: str = "5.15.20") -> dict[str, Any]:
    head = f"worker invoked oom-killer: gfp_mask={mask}, order={order}, oom_score_adj=0"
    banner = f"CPU: 1 PID: 71 Comm: worker Not tainted {kernel} #1"
    return unnamed(head, *zones, trace=(banner,))


def test_the_last_try_before_the_oom_killer_decides() -> None:
    """1200 free are above the min mark of 1000 and 301 short of the high one of 1500."""
    one = oom("0xcc0(GFP_KERNEL)", 0, zone(1200))
    assert "too little was free for the last try before the OOM killer, at the high mark" in one["summary"]["why"]
    assert "301 pages of 4 kB short" in one["summary"]["why"]
    assert one["summary"]["otherwise"].startswith("At the min mark it passes as it is")
    assert "perhaps memory was freed" in oom("0xcc0(GFP_KERNEL)", 0, zone(1600))["summary"]["why"]


def test_a_mask_of_0_is_no_request_that_calls_the_oom_killer() -> None:
    one = oom("0x0()", 0, zone(9000))
    assert (one["failing"], one["zones"]) == ("page fault", [])
    assert "page fault handler asked for the OOM killer" in one["summary"]["asked"]
    assert one["asked"]["order"] == 0


def test_a_zone_without_pages_is_not_printed() -> None:
    """A crash kernel has its memory above ZONE_DMA."""
    zones = (zone(9000, name="Node 0 DMA32", reserve="0 0 1000 1000 1000"), zone(9000))
    one = report("5.15.20", "GFP_KERNEL|GFP_DMA", *zones)
    assert one["failing"] == "zone"
    assert one["summary"]["why"].startswith("Zone DMA, the highest that the request allows, has no pages here")
    assert one["summary"]["otherwise"] == "It would have got its page from node 0 DMA32 or from node 0 Normal."
    cut = report("5.15.20", "GFP_KERNEL|GFP_DMA", zones[0][1:], zones[1])
    assert (cut["failing"], bool(cut["missing"])) == ([], True)


SLUB = (
    "SLUB: Unable to allocate memory on CPU 3 (of node 0) on node -1, gfp=0x820(GFP_ATOMIC)",
    "  cache: example_cache, object size: 232, buffer size: 256, default order: 1, min order: 0",
    "  node 0: slabs: 236, objs: 13216, free: 0",
)


def test_what_slab_says_alone_is_a_report() -> None:
    (one,) = explain("\n".join(SLUB))
    assert (one["kind"], one["asked"]["mask"], one["asked"]["cache"]) == ("slab failure", "0x820", "example_cache")
    assert (one["asked"]["order"], one["asked"]["names"]) == (0, "GFP_ATOMIC")
    assert one["summary"]["asked"].startswith("A task asked for an object of 232 bytes of the cache example_cache with")
    assert "the order" in explain(SLUB[0])[0]["missing"]
    assert render(one)
    old = SLUB[0].replace("CPU 3 (of node 0) on ", "").replace("0x820", "0xa20")
    assert explain(old)[0]["asked"]["names"] == "GFP_ATOMIC"


def test_what_slab_says_of_a_failure_is_part_of_it() -> None:
    head = "worker: page allocation failure: order:0, mode:0x820(GFP_ATOMIC), nodemask=(null),cpuset=/,mems_allowed=0"
    (one,) = explain("\n".join([head, *SLUB]))
    assert (one["kind"], one["asked"]["order"]) == ("allocation failure", 0)


# faults of earlier versions


def test_fragmentation_is_not_hidden_by_a_zone_that_keeps_its_pages() -> None:
    """Order 4, singles alone: DMA32 has 77985 of 15900 pages, Normal 1985 of 1000; DMA keeps 15800 of its 3808."""
    zones = (
        zone(3808, 25, "Node 0 DMA", reserve="0 2900 15800 15800 15800"),
        zone(78_000, 3000, "Node 0 DMA32", reserve="0 0 12900 12900 12900"),
        zone(2000),
    )
    why = report("6.6.30", "GFP_KERNEL", *zones, order=4)["summary"]["why"]
    assert "node 0 Normal and node 0 DMA32 passed the mark, but had no block of order 4" in why.replace("Node", "node")
    assert "fragmentation" in why
    assert "node 0 DMA keeps its pages from this request" in why
    assert "nearest" not in why
    blocks = "0*4kB 0*8kB 500*16kB (C) 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 8000kB"
    why = report("6.6.30", "GFP_KERNEL", zone(3000, 500, "Node 0 DMA32", blocks=blocks), zone(900), order=2)
    assert "in node 0 Normal too few pages were free" in why["summary"]["why"].replace("In", "in")
    assert "node 0 DMA32 passed the mark, but had no block of order 2" in why["summary"]["why"]


AGAIN = "is as a rule tried again until it gets a page; it fails, among others,"


def test_who_is_named_as_the_cause_is_tested_by_the_numbers() -> None:
    """Of 1000 pages a victim needs 500, PF_MEMALLOC none: 900 fit neither, 400 a victim; without a block both fail."""
    said = " ".join(report("6.6.30", "GFP_KERNEL", zone(900))["why"])
    assert AGAIN in said
    assert "do not fit an OOM victim (which needs half of the mark) nor PF_MEMALLOC" in said
    assert "memory was freed before this was printed, or the cause is another" in said
    said = " ".join(report("6.6.30", "GFP_KERNEL", zone(400))["why"])
    assert "do not fit PF_MEMALLOC (which looks at no mark): it would have got a page" in said
    said = " ".join(report("6.6.30", "GFP_KERNEL", zone(2000), order=3)["why"])
    assert AGAIN in said
    assert "do not fit" not in said


@pytest.mark.parametrize("flag", ["__GFP_DMA", "__GFP_DMA32", "__GFP_THISNODE", "__GFP_RETRY_MAYFAIL"])
def test_who_never_calls_the_oom_killer_is_not_said_to(flag: str) -> None:
    name = "Node 0 " + flag.removeprefix("__GFP_") if "DMA" in flag else "Node 0 Normal"
    for mask, order in (("GFP_KERNEL", 0), ("GFP_NOWAIT", 0), ("GFP_KERNEL", 4)):
        text = render(report("6.6.30", f"{mask}|{flag}", zone(400, name=name), order=order))
        assert "tried again" not in text
        assert "called the OOM killer" not in text
        assert "would have been called first" not in text


def test_who_compacts_memory_looks_at_no_mark() -> None:
    chain = (*TASK[:4], " migrate_pages+0x1/0x2", " __alloc_pages_direct_compact+0x1/0x2", " </TASK>")
    one = report("6.6.30", "GFP_KERNEL", zone(400), trace=chain)
    assert failed(one) == [("none", 0)]
    assert "tried again" not in render(one)


def test_of_a_stall_nothing_is_said_to_have_failed() -> None:
    """What of the pages is CMA's was cut off."""
    zones = zone(6010, 6000, reserved_highatomic=-1, free_cma=-1)
    text = (
        "worker: page allocation stalls for 130564ms, order:0, mode:0x14040c0(GFP_KERNEL|__GFP_COMP), nodemask=(null)"
    )
    (one,) = explain("\n".join([text, "CPU: 1 PID: 70 Comm: worker Not tainted 4.10.0 #1", "Mem-Info:", *zones]))
    assert one["failing"] == "unknown"
    assert "why it is held up cannot be said for certain, as a number is not told" in one["why"]
    assert "it failed" not in render(one)


def test_the_last_try_is_shown_with_its_sum() -> None:
    """Of 10000 pages 2000 are CMA's, which the last try may not use: 8000 - 9000 + 1 at the high mark."""
    head = "worker invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0"
    zones = zone(10_000, 6000, free_cma=2000)
    (one,) = explain("\n".join([head, "CPU: 1 PID: 70 Comm: worker Not tainted 6.6.30 #1", "Mem-Info:", *zones]))
    said = "\n".join(one["why"])
    assert "node 0 Normal at the high mark: 10000 pages of 4 kB free - 2000 CMA = 8000; must stay above 9000" in said


def test_a_tasks_name_may_look_like_an_order() -> None:
    for kind, order in (("order:0,", 1), ("order=2,", 0)):
        (one,) = explain(f"{kind}: page allocation failure: order:{order}, mode:0xcc0(GFP_KERNEL){NODES}")
        assert (one["asked"]["order"], one["asked"]["task"]) == (order, kind)


def test_zones_alone_are_of_no_request() -> None:
    (one,) = explain("\n".join(["sysrq: Show Memory", "Mem-Info:", *zone(2000)]))
    text = render(one)
    assert "bad mask" not in text
    assert "failed" not in text.replace("nothing is told to have failed", "").replace(
        "Nothing is told to have failed", ""
    )


def test_what_sysrq_prints_is_no_part_of_a_report() -> None:
    head = f"[  100.000000] worker: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL){NODES}"
    later = [f"[10900.000001] {line}" for line in ("Mem-Info:", *zone(2000))]
    for between in (["[  101.000000] sysrq: Show Memory"], ["[  101.000000] SysRq : Show Memory"], []):
        first, second = explain("\n".join([head, *between, *later]))
        assert (first["zones"], second["kind"]) == ([], "mem-info")
    soon = [line.replace("10900", "  102") for line in later]
    (one,) = explain("\n".join([head, *soon]))
    assert one["zones"]


def test_slab_before_slub_says_it_too() -> None:
    lines = ["SLAB: Unable to allocate memory on node 0 (gfp=0x20)", "  cache: size-4096, object size: 4096, order: 2"]
    (one,) = explain("\n".join(lines))
    assert (one["asked"]["cache"], one["asked"]["order"]) == ("size-4096", 2)


def test_of_a_storm_the_equal_reports_are_one_line() -> None:
    one, other = report("6.6.30", "GFP_ATOMIC", zone(90)), report("6.6.30", "GFP_ATOMIC", zone(91))
    storm = [{**it, "line": line} for line, it in enumerate([one, one, one, other, one, other], 1)]
    said = list(texts(storm))
    assert said[0] == render(storm[0])
    assert said[1] == "lines 2 to 3: 2 reports, each as line 1"
    assert said[2] == render(storm[3])
    assert said[3:] == ["line 5: as line 1", "line 6: as line 4"]


def test_zones_that_differ_in_numbers_alone_are_folded() -> None:
    zones = [zone(90 + node, name=f"Node {node} Normal") for node in range(32)]
    one = report("6.6.30", "GFP_KERNEL", *zones, nodes=", nodemask=(null),cpuset=/,mems_allowed=0-31")
    text = render(one)
    assert "29 more like these, node 3 Normal to node 31 Normal; --json has each" in text
    assert text.count("must stay above") == 3
    assert len(one["why"]) > 32
    assert "node 7 Normal and 24 more" in text


def test_nothing_is_said_twice_or_in_vain() -> None:
    one = report("6.6.30", "GFP_ATOMIC", zone(90))
    text = render(one)
    assert "mask: 0x820, as its names say" in text
    assert "printed:" not in text
    assert "with no reserve: fails as well" in text
    (alone,) = explain(f"worker: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL){NODES}")
    assert render(alone).lower().count("no zone is printed (mem-info), so that why it failed cannot be said") == 1


def test_an_order_beyond_the_largest_block_prints_no_such_line() -> None:
    one = report("6.6.30", "GFP_KERNEL|__GFP_RETRY_MAYFAIL", zone(2000), order=18)
    assert one["failing"] == "order"
    assert any("contradiction: order 18 is above 10" in line for line in one["remarks"])
    assert not any("contradiction" in line for line in report("6.6.30", "GFP_KERNEL", zone(2000), order=10)["remarks"])


def test_an_explanation_belongs_to_its_caller() -> None:
    text = next((Path(__file__).parents[1] / "data" / "reports").glob("21*.txt")).read_text(encoding="utf-8")
    (one,) = explain(text)
    said = render(one)
    one["asked"].clear()
    one["otherwise"].clear()
    (again,) = explain(text)
    assert render(again) == said
