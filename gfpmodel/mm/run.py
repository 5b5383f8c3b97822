"""Operations one after the other: hits in a tight loop, then whatever is not one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm import state as st
from gfpmodel.mm.events import (
    CPU_SHIFT,
    header_of,
    next_event,
    sections_irq_off,
    set_next_event,
    trace_op,
    word_after,
    word_of_op,
    write_irq_off,
)
from gfpmodel.mm.free import __free_pages, is_a_row, is_block_in_use
from gfpmodel.mm.hits import (
    alloc_hit,
    begin_run,
    free_hit,
    hit_order,
    hit_room,
    hits_irq_off,
    is_hit,
    judged,
    lru_flag,
    may_end_hits,
    record_hit,
    recorded,
)
from gfpmodel.mm.jit import compiled, entry, i64, inlined, u64
from gfpmodel.mm.page_alloc import alloc_pages_nodemask
from gfpmodel.mm.pcp import drain_pages
from gfpmodel.mm.state import NULL, Mm, get_flags, set_flags, zget, zput

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
    run: int,
) -> Any:
    """Run operations as long as each is a page, or a block, from this cpu's list or to it, as most are.

    Returns the number of the first that is not, or of the last one, that operation, and how many allocations were
    done.  ``run`` is the number of the run of hits (see begin_run).  There is no call in this loop, so that what it
    needs stays in the processor's registers, the number of the next event too.
    """
    offset = zget(m, st.MACHINE, st.PFN_OFFSET)
    at, (_, enabled, last), room = next_event(m.trace), header_of(m.trace), hit_room(header_of(m.trace))
    word = word_of_op(m.trace, number, 0)
    asked, cpu, migratetype, gfp, head, flags = -1, 0, 0, 0, NULL, 0
    op = ops[u64(number)]
    while number < stop - 1:
        following = ops[u64(number + 1)]  # read early: a processor that guessed its kind wrong finds out sooner
        order = hit_order(op >> OP_ORDER_SHIFT)
        kind = (op & (1 << OP_CPU_SHIFT) - 1) - (order << OP_ORDER_SHIFT)  # with what else the order has, none here
        if kind == OP_ALLOC:
            if op != asked:  # many ask for the same
                cpu, gfp = op >> OP_CPU_SHIFT & 0xFFFF, op >> OP_ARG_SHIFT
                head, flags = judged(m, op, cpu, gfp, order, run)
                if head == NULL:
                    break
                asked, (migratetype, gfp) = op, recorded(m, gfp)
            if not is_hit(m, head):
                break
            page = alloc_hit(m, head, flags)
            results[u64(done)] = page + offset
            done += 1
            header = word | cpu << CPU_SHIFT, enabled, last
            zone = (flags & st.ZONE_MASK) >> st.ZONE_SHIFT
            at = record_hit(m, at, header, room, cpu, zone, page + offset, order, False, migratetype, gfp)
        elif kind == OP_FREE_HANDLE:
            by, argument = op >> OP_CPU_SHIFT & 0xFFFF, op >> OP_ARG_SHIFT
            page = i64(results[u64(argument)]) - offset & st.ANY_ROW
            zone = free_hit(m, by, page, order) if is_a_row(m, page) else -1
            if zone < 0:
                break
            header = word | by << CPU_SHIFT, enabled, last
            at = record_hit(m, at, header, room, by, zone, page + offset, order, True)
        else:
            break
        write_irq_off(m.trace, irq_off, number, hits_irq_off())
        op, word = following, word_after(m.trace, word)
        number += 1
    set_next_event(m.trace, at)
    return number, op, done


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
    number, done, run = start, zget(m, st.MACHINE, st.LAST_RESULT), begin_run(m)
    offset = zget(m, st.MACHINE, st.PFN_OFFSET)
    while number < stop:
        number, op, done = run_hits(m, ops, results, irq_off, number, stop, done, run)
        kind, page = op & 3, NULL
        order = op >> OP_ORDER_SHIFT & 0x3F
        cpu = op >> OP_CPU_SHIFT & 0xFFFF
        argument = op >> OP_ARG_SHIFT
        trace_op(m.trace, number, cpu)
        if kind == OP_ALLOC:
            page = alloc_pages_nodemask(m, cpu, argument, order)
            if page != NULL:
                set_flags(m, page, get_flags(m, page) | lru_flag(m, argument))
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
        if may_end_hits(m, kind == OP_ALLOC, page):
            run = begin_run(m)
        write_irq_off(m.trace, irq_off, number, sections_irq_off(m.trace))
        number += 1
    zput(m, st.MACHINE, st.LAST_RESULT, done)
    return number
