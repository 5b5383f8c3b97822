"""The command `verdict`: one cell, the whole matrix, or a table of cells."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.gfp.layouts import DEFAULT_KERNEL
from gfpmodel.locking.cells import WRITTEN, answer, write_table
from gfpmodel.locking.kernels import Kernel, make_kernel
from gfpmodel.locking.matrix import matrix
from gfpmodel.locking.slab_rows import means, read_call, row_of
from gfpmodel.locking.spoken import UNSAFE
from gfpmodel.locking.verdict import Setup, Verdict, make_call, make_request, verdict
from gfpmodel.mm import Rule
from gfpmodel.proposals import PROPOSALS

Answer = tuple[str, dict[str, Any], bool]  #: text, facts, and whether the exit status is that of "fine"


@dataclass(frozen=True)
class Question:
    """What the command line asks: one cell, ``everything``, or the ``cells`` of a file."""

    gfp: str | None = None
    proposal: str | Rule | None = None
    order: int = 0
    context: str = "task"
    pcp: str = "dry"
    contended: bool = False
    everything: bool = False
    cells: str | None = None
    out: str | None = None
    request: str | None = None
    slab: str | None = None


def run(question: Question, kernel: str, config: Mapping[str, bool], read: Callable[[str], bytes]) -> Answer:
    """Answer a question about a kernel and its options; ``read`` returns a file's bytes.  Raises InputError."""
    row = None if question.everything else question.proposal  # with --all it says which rows
    mask = None if question.request else question.gfp
    asked = [mask, row, question.request, question.cells, question.everything or None]
    if len([one for one in asked if one is not None]) != 1:
        raise InputError("verdict needs one of --gfp, --proposal, --request, --cells and --all")
    if question.everything or question.cells is not None:
        refuse_others(question, kernel, config)
    if question.everything:
        found = matrix(PROPOSALS if question.proposal is None else [question.proposal])
        return found.csv().rstrip("\n") + "\n" * bool(question.out), {"cells": found.rows()}, True
    built = make_kernel(kernel, config)
    if question.cells is not None:
        return run_cells(question.cells, built, read, ending="\n" * bool(question.out))
    return run_one(question, built)


def refuse_others(question: Question, kernel: str, config: Mapping[str, bool]) -> None:
    """Raise InputError for options that say something which a table, or the matrix, says itself."""
    kept = ("proposal", "everything", "cells", "out")
    plain = Question(**{name: getattr(question, name) for name in kept})
    if question != plain:
        raise InputError("--order, --slab, --context, --pcp and --contended do not go with --cells or --all")
    if question.everything and (config or kernel != DEFAULT_KERNEL):
        raise InputError("--kernel and --config do not go with --all, which has four kernels of its own")


def run_cells(file: str, kernel: Kernel, read: Callable[[str], bytes], ending: str) -> Answer:
    """Answer a table of cells."""
    name = "<stdin>" if file == "-" else file
    try:
        text = read(file).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("a table of cells is text in UTF-8", name) from None
    rows = answer(io.StringIO(text, newline=""), name, kernel)
    blank = Counter(row["request"] for row in rows if not row["result"])
    return write_table(rows, WRITTEN).rstrip("\n") + ending, {"cells": rows, "blank": dict(blank)}, True


def run_one(question: Question, kernel: Kernel) -> Answer:
    """Answer one cell."""
    found = ask(question, kernel)
    facts = found.to_json() | slab_facts(found)
    return describe(found), facts, found.clean and not found.before


def slab_facts(found: Verdict) -> dict[str, Any]:
    """Return what is said of a call of slab beside the verdict, nothing of a request for pages."""
    call, kernel = found.request.call, found.kernel
    if call is None:
        return {}
    takes = [
        {"lock": step.lock, "type": kernel.lock(step.lock).text(kernel.nesting), "how": step.what, "where": step.where}
        for step in found.steps
        if step.what in ("acquire", "try")
    ]
    row = row_of(call, found.slab, kernel)
    return {"request": call, "slab": found.slab, "takes": takes, "source": row.source}


def ask(question: Question, kernel: Kernel) -> Verdict:
    """Return the verdict on one cell: PAGE_OWNER=y means that it is on, MEMCG=y that accounted pages are charged."""
    setup = Setup(
        question.pcp,
        page_owner=kernel.on("PAGE_OWNER"),
        memcg="ok" if kernel.on("MEMCG") else "none",
        contended=question.contended,
        slab=question.slab or "",
    )
    if question.request is None:
        if question.slab is not None:
            raise InputError("--slab says where the object of a --request is; without one it means nothing")
        request = make_request(kernel, question.gfp, question.proposal, question.order)
    elif question.order:
        raise InputError("--order does not go with --request, which is for one small object")
    else:
        request = make_call(kernel, read_call(question.request), question.gfp)
    return verdict(request, question.context, setup, kernel)


def locks_of(found: Verdict) -> str:
    """Return the locks of a verdict, those that are only tried marked."""
    return ", ".join(f"{lock} (tried)" if lock in found.trylocks else lock for lock in found.locks) or "none"


def describe(found: Verdict) -> str:
    """Return a verdict in words: result, locks, and the reports in full."""
    lines = [f"result   {'none: the CPU waits for itself' if found.deadlock else found.result}"]
    lines.append(f"locks    {locks_of(found)}")
    if not found.kernel.has_engine:
        older = found.kernel.version < make_kernel(found.kernel.engine).version
        which = "the oldest allocator of the model" if older else "the last allocator of the model that is no newer"
        lines.append(f"path     that of {found.kernel.engine}: {which}")
    lines.append(f"reports  {', '.join(map(str, found.reports)) or 'none'}")
    if found.request.call:
        said = slab_facts(found)
        lines += [f"takes    {take['how']} {take['lock']} {take['type']} in {take['where']}" for take in said["takes"]]
        lines += [f"slab     {found.slab}: {means(found.request.call, found.slab)}", f"source   {said['source']}"]
    if found.unsafe:
        lines.append(f"unsafe   {UNSAFE}; no check says so")
    lines += [
        f"before   {report} (the context's own lock; the silence after it proves nothing)" for report in found.before
    ]
    return "\n".join([*lines, *(report.text() for report in found.printed)])
