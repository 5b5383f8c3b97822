"""What a kernel printed, pasted into the page: its explanation as HTML in which nothing of the text is markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.explain import Found, render
from gfpmodel.explain.answer import OF_PAGES
from gfpmodel.explain.lockreport import read_locks
from gfpmodel.explain.situation import kernel_of
from gfpmodel.locking import Kernel, make_kernel
from gfpmodel.locking.cells import MASKS, NAME
from gfpmodel.locking.slab_rows import Pages, Take, row_of
from gfpmodel.meeting.case import Case, modelled, parse, query
from gfpmodel.show.reports import IN_A_PAGE, MOST, explanation, first_explained


def explained(text: str) -> dict[str, Any]:
    """Return what the page shows of a pasted text: the outcome in a line, HTML, plain text, and cases of this page.

    Raises InputError for a text in which no report is found, or that is too long for a page.
    """
    shown, count = first_explained(text)
    rest = f"; the first {MOST} are shown" if count > MOST else ""
    return {
        "outcome": f"{count} report{'s' * (count > 1)} found{rest}",
        "html": "".join(explanation(one, IN_A_PAGE).html for _, one in shown),
        "text": "\n\n".join(render(one) for _, one in shown),
        "cases": [link for report, one in shown for link in links(report, one)],
    }


def links(found: Found, one: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the case of this page that a report of locks is: its words, and its query as the page's address.

    The first of the model's cases that the page can put; none for what it cannot.
    """
    kernel = None if found.kind in OF_PAGES else kernel_of(read_locks(found))
    if kernel is None:
        return
    for words in one["cases"]:
        case = case_of(words, kernel)
        if case is not None:
            same = "the page request of" if "slab" in words else "the case of"
            yield {"words": f"{same} line {one['line']}: {case.title}, {case.kernel}", "query": query(case)}
            return


def case_of(words: dict[str, str], kernel: Kernel) -> Case | None:
    """Return a case of the model as a case of the page, None for a free or what the page does not know."""
    name = NAME.fullmatch(words["request"])
    mask = mask_of_page(words, kernel) if "slab" in words else MASKS[name[1]] if name else ""
    if not mask:
        return None
    nesting = "PROVE_RAW_LOCK_NESTING" + "=n" * (not kernel.nesting)
    options = ["PREEMPT_RT"] * kernel.rt + [nesting] * (kernel.version >= (5, 7))
    options += ["PAGE_OWNER"] * (words.get("page_owner") == "on")
    order = int(re.sub(r"\D", "", words["request"]) or 0)
    case = Case("nowait", mask, order, words["context"], words["pcp"], kernel=kernel.name, config=",".join(options))
    try:
        case = parse(query(case))
        modelled(make_kernel(case.kernel, case.options), case)
    except InputError:
        return None
    return case


def mask_of_page(words: dict[str, str], kernel: Kernel) -> str:
    """Return with which mask a call of slab's asks for a page, empty if it asks for none."""
    actions = row_of(words["request"], words["slab"], kernel).actions
    inside = [inner for action in actions if isinstance(action, Take) for inner in action.inside]
    asked = [action for action in (*actions, *inside) if isinstance(action, Pages) and not action.free]
    return next((action.mask or words.get("gfp", "") for action in asked if not action.row), words.get("gfp", ""))
