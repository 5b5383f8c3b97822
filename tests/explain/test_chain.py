"""What the call chain of a report of locks says of the request, and what its loss takes: no request is made up."""

from __future__ import annotations

import pytest

from tests.explain.test_lockreport import one_of, sleeping, state

RT_LOCK = "include/linux/sched/mm.h:306", "kernel/locking/spinlock_rt.c:46"


def on_rt(chain: tuple[str, ...]) -> str:
    return sleeping("6.1.55-rt16", state(1), chain=chain).replace(*RT_LOCK)


def test_a_chain_without_a_request_is_no_request() -> None:
    """A lock that sleeps on PREEMPT_RT is wanted everywhere, and the page allocator's cases are like any other's."""
    one = one_of(on_rt(("__might_resched", "rt_spin_lock", "example_wake", "example_ioctl")))
    assert (one["cases"], one["otherwise"], one["verdict_agrees"]) == ([], [], None)
    assert one["summary"]["asked"].startswith("The caller came to a point in kernel/locking/spinlock_rt.c")
    assert one["summary"]["asked"].endswith("; the call chain shows no request for memory that is known here.")
    assert one["summary"]["otherwise"].startswith("The call chain shows no request for memory")
    assert not any("mask" in said for said in one["unknown"])
    asked = one_of(on_rt(("__might_resched", "rt_spin_lock", "rmqueue_pcplist", "get_page_from_freelist", "example")))
    assert asked["verdict_agrees"]


@pytest.mark.parametrize("kernel", ["6.6.10", "6.12.1-rt1"])
def test_a_chain_that_is_lost_is_no_request_either(kernel: str) -> None:
    text = sleeping(kernel, state(1), "(&a->lock){+.+.}-{2:2}").partition("Call Trace:")[0]
    one = one_of(text)
    assert "the call chain" in one["missing"]
    assert (one["cases"], one["otherwise"], one["verdict_agrees"]) == ([], [], None)
    assert one["summary"]["otherwise"] == "No call chain could be read, so that what was asked for cannot be said."


def test_a_chain_that_is_cut_inside_is_told_by_its_marks() -> None:
    """What is cut off may be the kmalloc() whose page it was."""
    chain = ("<TASK>", "__might_resched", "__alloc_pages", "new_slab", "__kmalloc", "example", "</TASK>")
    text = sleeping("6.6.10", state(1), "(&a->lock){+.+.}-{2:2}", chain=chain)
    assert one_of(text)["missing"] == []
    for name in chain[1:-2]:
        assert "the end of the call chain" in one_of(text.rpartition(f" {name}+")[0])["missing"]
    said = one_of(text.partition(" __alloc_pages")[0])["summary"]["otherwise"]
    assert said.startswith("What is left of the call chain shows no request for memory")


KEEPS = {
    "page_owner (__set_page_owner)": ("__stack_depot_save", "save_stack", "__set_page_owner", "post_alloc_hook"),
    "KASAN (kasan_record_aux_stack)": (
        "__stack_depot_save",
        "kasan_save_stack",
        "kasan_record_aux_stack",
        "task_work_add",
    ),
    "slab's tracking (set_track_prepare)": ("stack_depot_save", "set_track_prepare", "___slab_alloc"),
    "stackdepot (__stack_depot_save)": ("__stack_depot_save", "example_keep"),
}


@pytest.mark.parametrize("owner", KEEPS)
@pytest.mark.parametrize("inside", [(), ("rmqueue_bulk", "get_page_from_freelist", "__alloc_pages")])
def test_who_keeps_call_chains_asked_and_not_the_caller(owner: str, inside: tuple[str, ...]) -> None:
    """Its own mask counts, whatever it wanted: the depot's lock, or zone->lock for a page to store the chain in."""
    held = "(&a->raw){....}-{2:2}"
    one = one_of(sleeping("6.6.10", state(1), held, chain=(*inside, *KEEPS[owner], "__kmalloc", "example")))
    assert one["asked"]["owner"] == owner
    assert one["otherwise"] == []
    assert "no mask of the caller's changes this" in one["summary"]["otherwise"]
    assert one["summary"]["so"].endswith("; the caller's own request in this context may be reported as well.")
    assert one_of(sleeping("6.6.10", state(1), held))["asked"]["owner"] == "slab (__kmalloc)"


@pytest.mark.parametrize(
    "chain", [("vfree", "kvfree", "example"), ("__vmalloc_node_range", "kvmalloc_node", "example")]
)
def test_vmalloc_is_no_slab(chain: tuple[str, ...]) -> None:
    one = one_of(sleeping("6.6.10", state(1), "(&a->lock){+.+.}-{2:2}", chain=("__might_resched", *chain)))
    assert one["asked"]["owner"] == f"vmalloc ({chain[0]})"
    assert "kfree" not in str(one["summary"])
    assert "kmalloc" not in str(one["summary"])
    assert one["model"] == "the model cannot be asked: it has no request of vmalloc"


def test_what_was_interrupted_has_asked_for_nothing() -> None:
    chain = ("__might_resched", "example", "__do_softirq", "kfree", "ask")
    assert one_of(sleeping("6.6.10", state(0x100), chain=chain))["asked"]["owner"] is None


@pytest.mark.parametrize(
    ("function", "owner"),
    [
        ("mempool_alloc", "a mempool"),
        ("pcpu_alloc", "the percpu allocator"),
        ("__alloc_percpu_gfp", "the percpu allocator"),
        ("dma_pool_alloc", "a DMA pool"),
        ("dma_alloc_attrs", "the DMA API"),
    ],
)
def test_a_request_that_the_model_does_not_have_is_a_request(function: str, owner: str) -> None:
    one = one_of(sleeping("6.6.10", state(1), "(&a->lock){+.+.}-{2:2}", chain=("__might_resched", function, "example")))
    assert one["asked"]["owner"] == f"{owner} ({function})"
    assert one["model"] == f"the model cannot be asked: it has no request of {owner}"
    assert "no other way" not in one["summary"]["otherwise"]


def test_krealloc_is_slabs() -> None:
    one = one_of(sleeping("6.6.10", state(1), "(&a->lock){+.+.}-{2:2}", chain=("__might_resched", "krealloc", "a")))
    assert one["asked"]["owner"] == "slab (krealloc)"
    assert one["otherwise"][0].startswith("kmalloc(GFP_ATOMIC)")


def test_what_is_not_known_may_be_a_request() -> None:
    one = one_of(sleeping("6.6.10", state(1), "(&a->lock){+.+.}-{2:2}", chain=("__might_resched", "example_get")))
    assert one["summary"]["otherwise"].startswith("The call chain shows no request for memory that is known here; if ")
