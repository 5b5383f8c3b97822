"""Operations one after the other: hits in a tight loop, then whatever is not one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm import state as st
from gfpmodel.mm.events import (
    header_of,
    next_event,
    sections_irq_off,
    set_next_event,
    trace_op,
    word_of_op,
    write_irq_off,
)
from gfpmodel.mm.free import __free_pages, is_a_row, is_block_in_use
from gfpmodel.mm.hits import (
    MASK_BITS,
    alloc_hit,
    begin_run,
    free_hit,
    hit_order,
    hits_irq_off,
    is_hit,
    judged_zone,
    put_on_lru,
    record_hit,
)
from gfpmodel.mm.jit import compiled, entry, i64, inlined, u64
from gfpmodel.mm.page_alloc import alloc_pages_nodemask
from gfpmodel.mm.pcp import drain_pages
from gfpmodel.mm.state import NULL, Mm, zget, zput

# An operation is one word: kind, order, cpu, and above them a mask, a page frame number or a handle.
OP_ALLOC, OP_FREE, OP_FREE_HANDLE, OP_DRAIN = 0, 1, 2, 3
OP_ORDER_SHIFT, OP_CPU_SHIFT, OP_ARG_SHIFT = 2, 8, 24
NO_RESULT = 0xFFFFFFFF


@compiled
def run_hits(
    m: Mm,
    ops: NDArray[np.int64],
    results: NDArray[np.uint32],
    irq_off: NDArray[np.uint16],
    number: int,
    stop: int,
    done: int,
) -> Any:
    """Run operations as long as each is a page, or a block, from this cpu's list or to it, as most are.

    Returns the number of the first that is not, and how many allocations were done.  There is no call in this loop,
    so that what it needs stays in the processor's registers, the number of the next event too.
    """
    offset = zget(m, st.MACHINE, st.PFN_OFFSET)
    at, (_, enabled, last) = next_event(m.trace), header_of(m.trace)
    start, run = number, begin_run(m)
    cpu, asked, zone, first = 0, -1, -1, 0
    while number < stop:
        op = ops[u64(number)]
        cpu, argument = op >> OP_CPU_SHIFT & 0xFFFF, op >> OP_ARG_SHIFT
        order = hit_order(op >> OP_ORDER_SHIFT)
        kind = (op & (1 << OP_CPU_SHIFT) - 1) - (order << OP_ORDER_SHIFT)  # with what else the order has, none here
        header = word_of_op(m.trace, number, cpu), enabled, last
        if kind == OP_ALLOC:
            if order << MASK_BITS | argument != asked:  # many ask for the same
                asked = order << MASK_BITS | argument
                zone, first = judged_zone(m, argument, order, run)
            if not is_hit(m, cpu, zone, first):
                break
            page = alloc_hit(m, cpu, zone, first, order)
            put_on_lru(m, page, argument)
            results[u64(done)] = page + offset
            done += 1
            at = record_hit(m, at, header, cpu, zone, page, order, False, argument)
        elif kind == OP_FREE_HANDLE:
            page = i64(results[u64(argument)]) - offset & st.ANY_ROW
            freed_to = free_hit(m, cpu, page, order) if is_a_row(m, page) else -1
            if freed_to < 0:
                break
            at = record_hit(m, at, header, cpu, freed_to, page, order, True)
        else:
            break
        write_irq_off(m.trace, irq_off, number, hits_irq_off())
        number += 1
    if start < number == stop:  # else what comes next says whose it is
        trace_op(m.trace, number - 1, cpu, hits_irq_off())
    set_next_event(m.trace, at)
    return number, done


@inlined
def run_other(m: Mm, which: int, cpu: int, argument: int, results: NDArray[np.uint32], done: int) -> Any:
    """Run an operation that is neither an allocation nor a free; returns how many results there are then.

    v5.8 has one, drain_pages(); what is misuse returns -1.
    """
    drain_pages(m, cpu)
    return done


@inlined
def end_of_op(m: Mm, kind: int, which: int) -> None:
    """Do what ends with an operation: nothing, where no lock is tried."""


@entry
@compiled
def run_ops(
    m: Mm, ops: NDArray[np.int64], results: NDArray[np.uint32], irq_off: NDArray[np.uint16], start: int, stop: int
) -> Any:
    """Run the operations ``start`` to ``stop``; returns the number of the first that is misuse, or ``stop``.

    Arguments: the machine; the operations as words (see pack_ops); where the page frame numbers of the allocations
    go, one after the other (NO_RESULT for NULL), and where each operation's count of irq-off sections goes.
    The operation that is misuse and those after it are not run.
    """
    number, done = start, zget(m, st.MACHINE, st.LAST_RESULT)
    offset = zget(m, st.MACHINE, st.PFN_OFFSET)
    while True:
        number, done = run_hits(m, ops, results, irq_off, number, stop, done)
        if number == stop:
            break
        op = ops[u64(number)]
        kind = op & 3
        order = op >> OP_ORDER_SHIFT & 0x3F
        cpu = op >> OP_CPU_SHIFT & 0xFFFF
        argument = op >> OP_ARG_SHIFT
        trace_op(m.trace, number, cpu)
        if kind == OP_ALLOC:
            page = alloc_pages_nodemask(m, cpu, argument, order)
            if page != NULL:
                put_on_lru(m, page, argument)
            results[u64(done)] = page + offset if page != NULL else NO_RESULT
            done += 1
        elif kind == OP_DRAIN:
            after = run_other(m, order, cpu, argument, results, done)
            if after < 0:
                break
            done = after
        else:
            pfn = i64(results[u64(argument)]) if kind == OP_FREE_HANDLE else argument
            if pfn != NO_RESULT:
                page = pfn - offset
                if not is_block_in_use(m, page, order):
                    break
                __free_pages(m, cpu, page, order)
        end_of_op(m, kind, order)
        write_irq_off(m.trace, irq_off, number, sections_irq_off(m.trace))
        number += 1
    zput(m, st.MACHINE, st.LAST_RESULT, done)
    return number
