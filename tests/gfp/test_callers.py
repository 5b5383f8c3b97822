"""Passing a flag on against testing for it, in the ways kernel code is written."""

import re

import pytest

from gfpmodel.gfp.callers import passes

FLAG = re.compile(r"\b__GFP_NEW\b")

PASSED = [
    "p = alloc_page(__GFP_NEW);",
    "p = alloc_page(GFP_NOWAIT | __GFP_NEW);",
    "p = alloc_page(GFP_NOWAIT |\n\t\t__GFP_NEW);",
    "p = alloc_page(__GFP_NEW) == NULL;",
    "if (alloc_page(GFP_NOWAIT | __GFP_NEW) == NULL)",
    "if (__get_free_page(__GFP_NEW) != 0)",
    "p = alloc_page(gfp_mask & ~__GFP_RECLAIM | __GFP_NEW);",
    "p = alloc_page((gfp_mask & GFP_RECLAIM_MASK) | __GFP_NEW);",
    "p = kmalloc(len & mask, __GFP_NEW);",
    "p = kmalloc(&foo, __GFP_NEW);",
    "gfp_mask |= __GFP_NEW;",
    "const gfp_t g = __GFP_NEW;",
    "static struct x y = { .gfp = __GFP_NEW, };",
    "p = alloc_page(can ? GFP_KERNEL : __GFP_NEW);",
    "p = alloc_page(x == 1 ? __GFP_NEW : 0);",
    "if (likely(!(gfp & __GFP_NEW)) && alloc_page(GFP_KERNEL | __GFP_NEW))",
    "return __GFP_NEW | gfp;",
    "x = a & b;\n\tp = alloc_page(__GFP_NEW);",
]
TESTED = [
    "if (gfp_mask & __GFP_NEW)",
    "if (!(gfp_flags & __GFP_NEW))",
    "if (__GFP_NEW & gfp_mask)",
    "if ((__GFP_NEW |\n\t\t__GFP_ZERO) & gfp_mask)",
    "if (__GFP_NEW\n\t\t& gfp_mask)",
    "if ((gfp & (A | __GFP_NEW)) ==\n\t\t(A | __GFP_NEW))",
    "if (gfp_mask & ((__GFP_IO) | __GFP_NEW))",
    "mask = ac->gfp & (current->x ? 0 : __GFP_NEW);",
    "return gfp_mask & (__force gfp_t)__GFP_NEW;",
    "gfp_mask &= ~__GFP_NEW;",
    "gfp_mask &= ~(__GFP_ZERO |\n\t\t__GFP_NEW);",
    "gfp_mask &= __GFP_NEW;",
    "WARN_ON_ONCE((gfp_mask & __GFP_NEW) &&\n\t\torder > 0);",
    "BUILD_BUG_ON(__GFP_NEW != 0x800000);",
    "switch (x) {\n\tcase __GFP_NEW:",
    "alloc_flags = gfp_mask & __GFP_NEW ? 1 : 0;",
]


@pytest.mark.parametrize("code", PASSED)
def test_passed(code: str) -> None:
    assert passes(FLAG, [(True, line) for line in code.split("\n")])


@pytest.mark.parametrize("code", TESTED)
def test_only_tested(code: str) -> None:
    assert not passes(FLAG, [(True, line) for line in code.split("\n")])


def test_what_was_there_before_does_not_count() -> None:
    assert not passes(FLAG, [(False, "p = alloc_page(__GFP_NEW);"), (True, "q = p;")])


@pytest.mark.parametrize("code", ["((((__GFP_NEW", "__GFP_NEW))))", "", "__GFP_NEW", "(" * 3000 + "__GFP_NEW"])
def test_torn_code_is_judged_too(code: str) -> None:
    assert passes(FLAG, [(True, code)]) in (True, False)
