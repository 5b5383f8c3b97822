"""Could a wrong model have passed?  Rules of the later kernels with a deliberate mistake each, and what notices them.

A mutant is a kernel's table of forms in which one function has another line: the same vectors are then replayed by it.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.evidence.golden import verify
from gfpmodel.evidence.vectors import Difference
from gfpmodel.mm import kernels
from gfpmodel.mm.jit import FORMS, interpreted, of_kernel, plain

COLUMNS = ("mistake", "kernel", "function", "file", "line")  #: of the file that says by which vector each dies


@dataclass(frozen=True)
class Mutant:
    """A mistake: what it says, in which kernel's function, and which text of it is replaced by which."""

    says: str
    kernel: str
    function: str
    text: str
    wrong: str


MUTANTS = (
    Mutant(
        "a refill does not raise high", "v6.18", "nr_pcp_alloc", "high = min(high + wanted, high_max)", "high = high"
    ),
    Mutant("refills never double", "v6.18", "nr_pcp_alloc", "factor + 1)", "0)"),
    Mutant("doubling has no end", "v6.18", "nr_pcp_alloc", "factor < PCP_BATCH_SCALE_MAX", "factor < 30"),
    Mutant("a refill of order > 0 asks for a batch of blocks", "v6.18", "nr_pcp_alloc", "wanted >> order", "wanted"),
    Mutant(
        "an allocation does not halve free_count",
        "v6.18",
        "halve_free_count",
        "PCP_FREE_COUNT) >> 1",
        "PCP_FREE_COUNT)",
    ),
    Mutant(
        "a free does not halve alloc_factor", "v6.18", "put_first", "PCP_ALLOC_FACTOR) >> 1", "PCP_ALLOC_FACTOR)"
    ),
    Mutant(
        "a free adds 1 to free_count for any order", "v6.18", "put_first", "free_count + (1 << order)", "free_count + 1"
    ),
    Mutant(
        "frees in a row never empty the lists",
        "v6.18",
        "free_frozen_page_commit",
        "free_count >= batch",
        "free_count >= 10**9 + batch",
    ),
    Mutant(
        "a bulk free goes round robin",
        "v6.18",
        "free_pcppages_bulk",
        "while page != head and count > 0:",
        "for page in (page,):",
    ),
    Mutant("a bulk free begins with the first list", "v6.18", "free_pcppages_bulk", "pindex -= 1", "pindex = -1"),
    Mutant(
        "a bulk free takes the heads",
        "v6.18",
        "free_pcppages_bulk",
        "page = get(m, head, st.PREV)",
        "page = get(m, head, st.NEXT)",
    ),
    Mutant("kswapd's work changes nothing", "v6.18", "nr_pcp_high", "flags & st.ZONE_RECLAIM_ACTIVE", "0"),
    Mutant("lists do not shrink below the high mark", "v6.18", "nr_pcp_high", "flags & st.ZONE_BELOW_HIGH", "0"),
    Mutant("BELOW_HIGH is never cleared", "v6.18", "trim_pcplists", "high_wmark_ok(m, zone)", "False"),
    Mutant(
        "the high mark is not looked at first",
        "v6.18",
        "is_above_high",
        "if zone_watermark_fast(m, zone, order, mark, highest, alloc_flags):",
        "if False:",
    ),
    Mutant("boot puts blocks at a list's head", "v6.18", "__free_pages_core", "order, True", "order"),
    Mutant("holes belong to the first zone", "v6.18", "page_zonenum", "if end > 0:", "if False:"),
    Mutant("moved blocks go to the head", "v6.18", "move_to_free_list", "list_add_tail(", "st.list_add("),
    Mutant("a partial pageblock is claimed", "v6.18", "try_to_claim_block", "if not whole:", "if False:"),
    Mutant(
        "a pageblock is claimed of which less than half suits",
        "v6.18",
        "try_to_claim_block",
        "free + alike < 1 <<",
        "free + alike < 0 <<",
    ),
    Mutant(
        "a request boosts at most once",
        "v6.18",
        "__rmqueue_claim",
        "        current_order -= 1",
        "            else:\n                return NULL\n        current_order -= 1",
    ),
    Mutant(
        "a steal takes the largest block",
        "v6.18",
        "__rmqueue_steal",
        "range(order, st.MAX_ORDER)",
        "range(st.MAX_ORDER - 1, order - 1, -1)",
    ),
    Mutant(
        "after a steal the batch claims again",
        "v6.18",
        "rmqueue_fallback",
        "return page, 1 << order, RMQUEUE_STEAL",
        "return page, 1 << order, RMQUEUE_NORMAL",
    ),
    Mutant(
        "reserved pages count, used or not",
        "v6.18",
        "__zone_watermark_unusable_free",
        "st.NR_FREE_HIGHATOMIC",
        "st.NR_HIGHATOMIC",
    ),
    Mutant("ALLOC_NON_BLOCK goes no deeper", "v6.18", "zone_watermark_ok", "mark -= mark // 4", "mark -= 0"),
    Mutant(
        "small zones keep HIGHATOMIC blocks as well", "v6.18", "reserve_highatomic_pageblock", "percent < block or ", ""
    ),
    Mutant(
        "no last resort for requests that cannot wait",
        "v6.18",
        "rmqueue_buddy",
        "(st.ALLOC_OOM | st.ALLOC_NON_BLOCK)",
        "st.ALLOC_OOM",
    ),
    Mutant(
        "only atomic masks count as NON_BLOCK",
        "v6.18",
        "gfp_to_alloc_flags",
        "if not gfp & GFP_NOMEMALLOC:",
        "if gfp & GFP_HIGH and not gfp & GFP_NOMEMALLOC:",
    ),
    Mutant("a busy list lock is waited for", "v6.18", "pcp_spin_trylock", "taken = spin_trylock(", "taken = 1 or ("),
    Mutant(
        "a list that gave nothing ends the request",
        "v6.18",
        "rmqueue",
        "if page == NULL and refill !=",
        "if not pcp_allowed_order(m, order) and refill !=",
    ),
    Mutant(
        "deferred pages are freed oldest first",
        "v7.3",
        "free_deferred",
        "page = get(m, head, st.NEXT)",
        "page = get(m, head, st.PREV)",
    ),
    Mutant("free_pages_nolock() trims the lists", "v6.18", "free_frozen_page_commit", "if trylock:", "if False:"),
    Mutant("high decays by a quarter", "v6.18", "decay_pcp_high", "high >> 3", "high >> 2"),
    Mutant("frees go out in one piece", "v7.1", "free_excess", "piece = min(count, batch)", "piece = count"),
    Mutant(
        "a high-order atomic request refills", "v7.1", "pcp_may_refill", "not (order > 0 and", "not (order > 99 and"
    ),
    Mutant(
        "a page from a list makes its pageblock HIGHATOMIC",
        "v7.1",
        "reserve_after_scan",
        '"""\n',
        '"""\n    if alloc_flags & st.ALLOC_HIGHATOMIC:\n        reserve_highatomic_pageblock(m, zone, page, order)\n',
    ),
    Mutant("the first pass leaves HIGHATOMIC alone", "v7.3", "alloc_flags_first_pass", "order > 0 and atomic", "False"),
    Mutant("the first pass makes pageblocks HIGHATOMIC", "v7.3", "reserve_after_buddy", " and slow_path", ""),
    Mutant("ranges are freed page by page", "v7.3", "__free_contig_range", "order < st.MAX_ORDER - 1 and", "False and"),
    Mutant(
        "types are never mixed without reclaim", "v7.3", "flags_without_reclaim", "if mixes and gfp", "if 0 and gfp"
    ),
)  # fmt: skip


def mutated(mutant: Mutant) -> Any:
    """Return the function with the mistake in it; raises InputError if its text is not there."""
    function = plain(FORMS[mutant.kernel][mutant.function])
    source = textwrap.dedent(inspect.getsource(function))
    if mutant.text not in source:
        raise InputError(f"{mutant.function} has no {mutant.text!r}")
    space = dict(function.__globals__)
    exec(compile(source.replace(mutant.text, mutant.wrong), inspect.getfile(function), "exec"), space)
    made = plain(space[mutant.function])
    assert isinstance(made, FunctionType)
    return made


@contextmanager
def mistaken(mutant: Mutant) -> Iterator[None]:
    """Let a kernel's rules have a mistake, interpreted, as long as this lasts."""
    row, forms = kernels.ROWS[mutant.kernel], FORMS[mutant.kernel]
    name = f"{mutant.kernel} with a mistake"
    FORMS[name] = {**forms, mutant.function: mutated(mutant)}
    entries = {key: of_kernel.__wrapped__(one, name) for key, one in row.entries.items()}
    interpreted.cache_clear()
    kernels.ROWS[mutant.kernel] = replace(row, entries=entries)
    try:
        yield
    finally:
        kernels.ROWS[mutant.kernel] = row
        del FORMS[name]


def killed_by(mutant: Mutant, files: Iterable[Path]) -> tuple[Path, Difference] | None:
    """Return the first of these vectors that a mutant does not agree with, and where; None if it passes them all."""
    with mistaken(mutant):
        for file in files:
            try:
                _, difference = verify(file)
            except (AssertionError, InputError) as error:  # its state cannot even be written down
                difference = Difference(0, type(error).__name__, None, str(error))
            if difference:
                return file, difference
    return None


def kills(mutants: Iterable[Mutant], folders: Mapping[str, Path]) -> Iterator[dict[str, str]]:
    """Yield of each mutant the smallest vector of its kernel that it does not agree with, and at which line.

    Arguments: the mutants; the folder with the vectors of each kernel.  A mutant that lives has no file.
    """
    for mutant in mutants:
        files = sorted(folders[mutant.kernel].glob("*.jsonl.gz"), key=lambda file: (file.stat().st_size, file.name))
        found = killed_by(mutant, files)
        file, line = (f"{found[0].parent.name}/{found[0].name}", str(found[1].line)) if found else ("", "")
        values = (mutant.says, mutant.kernel, mutant.function, file, line)
        yield dict(zip(COLUMNS, values, strict=True))
