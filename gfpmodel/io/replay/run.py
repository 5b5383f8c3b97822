"""Run a recording through the model, and ask every proposal at every request what it would have got.

Asking must not change anything.  The engine itself answers: the proposal's row is put in the place of the second rule
and the request is run with the zone lock out of reach and no slow path; all that this can change is that a page leaves
the head of one of the cpu's lists, and it is put back.  Where a row would go on under the zone lock, whether it finds
something there is the engine's own test of watermark and free lists.  So no rule stands here a second time, and
nothing is copied.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.gfp import layout
from gfpmodel.io.ftrace.masks import parse, translate
from gfpmodel.io.replay import later
from gfpmodel.io.replay.lists import (
    MOST_LISTS,
    has_lists,
    hold_sizes,
    keep_words,
    list_lengths,
    lists_of_zone,
    refilled_list,
    restore_words,
    slow_path_flags,
)
from gfpmodel.io.replay.nearest import Distance, chosen
from gfpmodel.io.replay.pack import RUN_BITS
from gfpmodel.io.replay.recording import Operations, Recording
from gfpmodel.io.replay.start import KnownZone, Overrides, build
from gfpmodel.mm import PageAllocator, Rule, Zone, jit
from gfpmodel.mm import events as ev
from gfpmodel.mm import state as st
from gfpmodel.mm.events import Ring
from gfpmodel.mm.jit import compiled, entry, i64, inlined, u64
from gfpmodel.mm.kernels import add_forms, on_each, room_on
from gfpmodel.mm.ops import MAX_OP_ORDER, ZONE_OF_MASK
from gfpmodel.mm.page_alloc import GFP_MOVABLE_SHIFT, GFP_ZONEMASK
from gfpmodel.mm.run import NO_RESULT, OP_ALLOC, OP_ARG_SHIFT, OP_CPU_SHIFT, OP_ORDER_SHIFT, run_ops
from gfpmodel.mm.state import Mm, Traced
from gfpmodel.mm.watermark import has_suitable_block, zone_watermark_fast
from gfpmodel.proposals import proposal

#: The rows that are asked unless others are named.
ASKED = ("fast_try", "no_locks", "lockless", "trylock")

#: What a row answers: a page from the cpu's lists, a page from under the zone lock, nothing; and what a skipped
#: operation has.
FROM_LIST, UNDER_LOCK, NOTHING, NOT_ASKED = 0, 1, 2, 255

BAD_MASK = "mask that the model refuses, or with names that the layout does not have"

# The column of refills: how many, and bits.
REFILLS, IN_DMA, COLD, REFUSED = 0x1F, 0x20, 0x40, 0x80

LARGEST_BATCH = 63  #: of v5.8's lists, whatever the memory (zone_batchsize(), 4 KiB pages)

SECOND_RULE = st.RULES + st.RULE_WORDS
ASK_BIT = 1 << 34  # above a gfp_t and what a row may set above it
# What is kept of a cpu's lists: the pages at their heads, their flags, and a few words of each zone.
FLAGS = st.MAX_NR_ZONES * MOST_LISTS
WORDS, ZONE_KEPT = 2 * FLAGS, 4
KEPT = WORDS + st.MAX_NR_ZONES * ZONE_KEPT
SAMPLES = 200
MAX_SAMPLED = 1 << 20  #: lengths kept; a machine of hundreds of cpus gets fewer samples


@inlined
def keep(m: Mm, cpu: int, kept: NDArray[np.int64]) -> None:
    """Note the page at the head of each of a cpu's lists, its flags, and all else that asking may change."""
    lists = lists_of_zone()
    for zone in range(st.MAX_NR_ZONES):
        pcp, words = st.per_cpu_pages(cpu, zone), WORDS + zone * ZONE_KEPT
        for number in range(lists):
            page = st.get(m, pcp + number, st.NEXT)
            kept[u64(zone * lists + number)] = page
            kept[u64(FLAGS + zone * lists + number)] = st.get_flags(m, page)
        kept[u64(words)] = st.zget(m, zone, st.ZONE_FLAGS)
        keep_words(m, pcp, kept, words + 1)


@inlined
def restore(m: Mm, cpu: int, page: int, kept: NDArray[np.int64]) -> None:
    """Undo an asking, which may have taken a page from a cpu's list (none: -1)."""
    lists = lists_of_zone()
    for zone in range(st.MAX_NR_ZONES):
        pcp, words = st.per_cpu_pages(cpu, zone), WORDS + zone * ZONE_KEPT
        for number in range(lists):
            if kept[u64(zone * lists + number)] == page:
                st.list_add(m, page, pcp + number)
                st.set_flags(m, page, kept[u64(FLAGS + zone * lists + number)])
        st.zput(m, zone, st.ZONE_FLAGS, kept[u64(words)])
        restore_words(m, pcp, kept, words + 1)


@inlined
def passes(m: Mm, gfp: int, order: int, highest: int, alloc_flags: int) -> Any:
    """Return whether a zone is above the watermark of these flags and has a block for the request."""
    zone = st.zget(m, st.MACHINE, st.FIRST_ZONE + highest)
    while zone >= 0:
        mark = st.zget(m, zone, st.WMARK + (alloc_flags & st.ALLOC_WMARK_MASK)) + st.zget(m, zone, st.BOOST)
        enough = zone_watermark_fast(m, zone, order, mark, highest, alloc_flags)
        if (enough or alloc_flags & st.ALLOC_NO_WATERMARKS) and has_suitable_block(m, zone, order, alloc_flags):
            return True
        zone = st.zget(m, zone, st.NEXT_ZONE)
    return False


@inlined
def from_lists_only(m: Mm, rules: NDArray[np.int64], rule: int) -> None:
    """Let masks with ASK_BIT follow a row, without its refill and its slow path."""
    for word in range(st.RULE_WORDS):
        st.zput(m, st.MACHINE, SECOND_RULE + word, rules[u64(rule * st.RULE_WORDS + word)])
    st.zput(m, st.MACHINE, SECOND_RULE + st.REFILL, st.REFILL_NO)
    st.zput(m, st.MACHINE, SECOND_RULE + st.SLOW_PATH, 0)
    st.zput(m, st.MACHINE, st.RULE_BIT, ASK_BIT)


@compiled
def ask(
    m: Mm,
    cpu: int,
    gfp: int,
    order: int,
    rules: NDArray[np.int64],
    rule: int,
    kept: NDArray[np.int64],
    scratch: NDArray[np.int64],
    result: NDArray[np.uint32],
    irq_off: NDArray[np.uint16],
) -> Any:
    """Return what a row would have given a request: FROM_LIST, UNDER_LOCK or NOTHING; the state stays as it is.

    ``rules`` has the rows' words one after the other; ``gfp`` is the mask under that row.
    """
    base = rule * st.RULE_WORDS
    if order > rules[u64(base + st.TOP_ORDER)]:
        return i64(NOTHING)
    if has_lists(m, order):
        from_lists_only(m, rules, rule)
        last = st.zget(m, st.MACHINE, st.LAST_RESULT)
        st.zput(m, st.MACHINE, st.LAST_RESULT, 0)
        scratch[u64(0)] = OP_ALLOC | order << OP_ORDER_SHIFT | cpu << OP_CPU_SHIFT | (gfp | ASK_BIT) << OP_ARG_SHIFT
        run_ops(Mm(m.pages, m.flags, m.zones, m.blocks, None), scratch, result, irq_off, 0, 1)
        st.zput(m, st.MACHINE, st.LAST_RESULT, last)
        st.zput(m, st.MACHINE, st.RULE_BIT, 0)
        pfn = i64(result[u64(0)])
        restore(m, cpu, -1 if pfn == NO_RESULT else pfn - st.zget(m, st.MACHINE, st.PFN_OFFSET), kept)
        if pfn != NO_RESULT:
            return i64(FROM_LIST)
        if rules[u64(base + st.REFILL)] == st.REFILL_NO:
            return i64(NOTHING)
    gfp &= st.zget(m, st.MACHINE, st.ALLOWED)
    highest = st.zget(m, st.MACHINE, st.HIGHEST_ZONE + (gfp & GFP_ZONEMASK))
    highest = min(highest, rules[u64(base + st.MAX_ZONE)])
    if passes(m, gfp, order, highest, rules[u64(base + st.MARK)]):
        return i64(UNDER_LOCK)
    if rules[u64(base + st.SLOW_PATH)]:
        migratetype = gfp >> GFP_MOVABLE_SHIFT & st.zget(m, st.MACHINE, st.TYPE_OF_REQUEST)
        if passes(m, gfp, order, highest, slow_path_flags(m, gfp, order, migratetype)):
            return i64(UNDER_LOCK)
    return i64(NOTHING)


@entry
@compiled
def replay_ops(
    m: Traced,
    ops: NDArray[np.int64],
    results: NDArray[np.uint32],
    irq_off: NDArray[np.uint16],
    start: int,
    stop: int,
    rules: NDArray[np.int64],
    row_masks: NDArray[np.int64],
    kept: NDArray[np.int64],
    scratch: NDArray[np.int64],
    result: NDArray[np.uint32],
    warm: NDArray[np.uint8],
    refills: NDArray[np.uint8],
    answers: NDArray[np.uint8],
    serve: int,
    fixed: int,
) -> None:
    """Run operations, each allocation after asking every row; an operation that is misuse is left out.

    The row ``serve``, unless it is -1, serves what it can from the lists; the rest goes the ordinary way.

    ``refills`` gets how many lists each operation refilled, whether the last one was in zone DMA, and whether it was
    the first refill of that list, which began empty because nobody knows what was on it; ``warm`` remembers that.
    ``answers`` gets what each row would have given, row by row.  ``row_masks`` has each row's mask and the bits of the
    request that are kept with it.  ``fixed``: the lists do not tune themselves on the trace's kernel.
    """
    rows = len(rules) // st.RULE_WORDS
    for number in range(start, stop):
        op = ops[u64(number)]
        order, cpu = op >> OP_ORDER_SHIFT & 0x3F, op >> OP_CPU_SHIFT & 0xFFFF
        if op & 3 == OP_ALLOC and order <= st.MAX_ORDER:
            if fixed:
                for zone in range(st.MAX_NR_ZONES):
                    hold_sizes(m, st.per_cpu_pages(cpu, zone))
            keep(m, cpu, kept)
            for rule in range(rows):
                gfp = (op >> OP_ARG_SHIFT & row_masks[u64(2 * rule + 1)]) | row_masks[u64(2 * rule)]
                answer = ask(m, cpu, gfp, order, rules, rule, kept, scratch, result, irq_off)
                answers[u64(rule * len(ops) + number)] = answer
                if rule == serve and answer == FROM_LIST:
                    ops[u64(number)] = op & ((1 << OP_ARG_SHIFT) - 1) | (gfp | ASK_BIT) << OP_ARG_SHIFT
        before = m.trace[ev.EVENTS]
        if serve >= 0:
            from_lists_only(m, rules, serve)
        ran = run_ops(m, ops, results, irq_off, number, number + 1)
        st.zput(m, st.MACHINE, st.RULE_BIT, 0)
        found = min(m.trace[ev.EVENTS] - before, REFILLS) if ran > number else REFUSED
        if 0 < found <= REFILLS:
            last = m.trace[ev.EVENTS] - 1
            zone = ev.zone_of(m.trace, last)
            which = (cpu * st.MAX_NR_ZONES + zone) * lists_of_zone() + refilled_list(m.trace, last)
            found |= (IN_DMA if zone == st.ZONE_DMA else 0) | (0 if warm[u64(which)] else COLD)
            warm[u64(which)] = 1
        refills[u64(number)] = found


add_forms(later)
on_each(replay_ops)
on_each(list_lengths)


@dataclass(frozen=True)
class WhatIf:
    """How a recording is replayed: the rows asked, what /proc/zoneinfo says, and what is changed.

    ``serve`` is a row that serves every request which it can serve from the lists, as if all callers tried it first;
    ``lists`` the kernel whose allocator runs, None for the nearest to the trace's ``kernel``, which the trace says.
    """

    rows: tuple[str | Rule, ...] = ASKED
    known: tuple[KnownZone, ...] = ()
    overrides: Overrides = field(default_factory=Overrides)
    serve: str | Rule | None = None
    lists: str | None = None
    kernel: str | None = None


@dataclass
class Outcome:
    """What a replay gave.

    ``answers`` counts requests by (mask's number, order, type) and row: [from list, under lock, nothing];
    ``requests`` has for each of them requests, refills of the model, NULLs of the model, and refills, single pages and
    higher-order refills of the real kernel; ``payers`` the same refills by task; ``lengths``
    are those of the lists at ``times``.
    """

    allocator: PageAllocator
    rows: tuple[Rule, ...]
    distance: Distance
    operations: int = 0
    requests: dict[tuple[int, int, int], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    answers: dict[tuple[int, int, int], NDArray[np.int64]] = field(default_factory=dict)
    payers: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    skipped: Counter[str] = field(default_factory=Counter)
    missing_flags: Counter[str] = field(default_factory=Counter)
    times: list[int] = field(default_factory=list)
    lengths: list[NDArray[np.int32]] = field(default_factory=list)
    free_at_start: dict[int, int] = field(default_factory=dict)

    def samples(self) -> NDArray[np.int32]:
        """Return the list lengths at `times`: samples by cpus by zones by lists."""
        shape = (-1, self.allocator.machine.cpus, st.MAX_NR_ZONES, self.allocator.rules.pcp_lists)
        return np.array(self.lengths, np.int32).reshape(shape)


def replay(recording: Recording, what_if: WhatIf | None = None) -> Outcome:
    """Feed a recording's allocations and frees through the model, cpu by cpu in the order of the trace.

    Raises GeometryError for a machine that cannot exist, InputError for an unknown row or kernel.
    """
    asked = what_if or WhatIf()
    distance = chosen(asked.kernel or recording.kernel, asked.lists)
    serve = proposal(asked.serve) if asked.serve else None
    rows = tuple(dict.fromkeys([*map(proposal, asked.rows), *([serve] if serve else [])]))
    allocator = build(recording, list(asked.known), asked.overrides, distance)
    outcome = Outcome(allocator, rows, distance)
    outcome.free_at_start = {index: allocator.nr_free(index) for index in allocator.sizes.zones}
    Runner(recording, outcome, serve, asked.known).run(recording.operations)
    return outcome


class Runner:
    """Runs the chunks of a recording and adds up what they gave."""

    def __init__(
        self, recording: Recording, outcome: Outcome, serve: Rule | None, known: tuple[KnownZone, ...]
    ) -> None:
        self.recording, self.outcome = recording, outcome
        self.allocator = outcome.allocator
        self.zones = KernelZones.of((size.zone for size in self.allocator.sizes.zones.values()), known)
        self.masks, self.usable = self._model_masks()
        kernel = self.allocator.rules.name
        self.run_ops, self.list_lengths = (jit.of_kernel(one, kernel) for one in (replay_ops, list_lengths))
        numbers = [(*row.numbers(), *[0] * st.RULE_WORDS)[: st.RULE_WORDS] for row in outcome.rows]
        self.rules = np.array(numbers, np.int64).reshape(-1)
        request = GFP_ZONEMASK | 3 << GFP_MOVABLE_SHIFT
        ask_for = [(self._row_mask(row), request) for row in outcome.rows]
        self.row_masks = np.array(ask_for, np.int64).reshape(-1)
        self.ring = Ring(1, (ev.REFILL_DONE, ev.PCP_REFILL))
        self.scratch = (np.zeros(KEPT, np.int64), np.zeros(1, np.int64), np.zeros(1, np.uint32))
        self.serve = outcome.rows.index(serve) if serve else -1
        self.lists = self.allocator.machine.cpus * st.MAX_NR_ZONES * self.allocator.rules.pcp_lists
        self.warm = np.zeros(self.lists, np.uint8)
        self.results = np.zeros(recording.allocations, np.uint32)
        samples = max(min(SAMPLES, MAX_SAMPLED // self.lists), 2)
        self.sample_every = max(len(recording.operations) // samples, 1)
        jit.expect(room_on("io", kernel), len(recording.operations) * (1 + len(outcome.rows)))
        self.allocator._begin_run(None)

    def _row_mask(self, row: Rule) -> int:
        """Return what a row asks for, in the bits of the model's kernel; what marks the row is left out."""
        return translate(row.mask & 0xFFFFFFFF & ~row.flag, layout(row.kernel), self.allocator.layout)[0]

    def _model_masks(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the masks by number in the model's own bits, and whether the model takes them."""
        size = max(self.recording.masks, default=0) + 1
        found, usable = np.zeros(size, np.int64), np.zeros(size, bool)
        theirs, ours = self.recording.choice.layout, self.allocator.layout
        for number, (text, _) in self.recording.masks.items():
            mask = parse(text, theirs)
            if mask is None:
                continue
            found[number], lost = translate(mask, theirs, ours)
            bits = int(found[number])
            usable[number] = bits & GFP_ZONEMASK in ZONE_OF_MASK and bits >> GFP_MOVABLE_SHIFT & 3 != 3
            self.outcome.missing_flags.update(lost)
        return found, usable

    def run(self, operations: Operations) -> None:
        """Run all chunks; samples are taken by the number of operations, wherever a chunk ends."""
        done, every = 0, self.sample_every
        for chunk in operations:
            begin = 0
            while begin < chunk.shape[1]:
                some = chunk[:, begin : begin + every - done % every]
                self._run_some(some)
                begin += some.shape[1]
                done += some.shape[1]
                if done % every == 0 or done == len(operations):
                    self._sample(int(some[1, -1]))
        self.outcome.operations = done

    def _sample(self, time: int) -> None:
        """Take a sample of the lists."""
        lengths = np.zeros(self.lists, np.int32)
        self.list_lengths(self.allocator.arrays, self.allocator.machine.cpus, lengths)
        self.outcome.times.append(time)
        self.outcome.lengths.append(lengths)

    def _run_some(self, chunk: NDArray[np.int64]) -> None:
        """Run a few operations, and count."""
        words = chunk[0].copy()
        allocations = words & 3 == OP_ALLOC
        numbers = chunk[2]
        bad = allocations & ~self.usable[numbers]
        words[allocations] |= self.masks[numbers[allocations]] << OP_ARG_SHIFT
        words[bad] |= MAX_OP_ORDER << OP_ORDER_SHIFT
        if self.allocator.machine.cpus < self.recording.cpus:
            cpus = (words >> OP_CPU_SHIFT & 0xFFFF) % self.allocator.machine.cpus
            words = words & ~(0xFFFF << OP_CPU_SHIFT) | cpus << OP_CPU_SHIFT
        size = len(words)
        refills = np.zeros(size, np.uint8)
        answers = np.full(len(self.outcome.rows) * size, NOT_ASKED, np.uint8)
        first = int(self.allocator._words(st.MACHINE)[st.LAST_RESULT])
        self._run_compiled(words, refills, answers)
        nulls = self.results[first : first + int(allocations.sum())] == NO_RESULT
        self.count(chunk, bad, refills, answers.reshape(-1, size), nulls)
        self.allocator.ops_run += size

    def _run_compiled(self, words: NDArray[np.int64], refills: NDArray[np.uint8], answers: NDArray[np.uint8]) -> None:
        """Run the compiled loop over a few operations."""
        machine = self.allocator.arrays._replace(trace=self.ring.array)
        operations = (words, self.results, np.zeros(len(words) + 1, np.uint16))
        rows = (self.rules, self.row_masks, *self.scratch, self.warm, refills, answers)
        self.run_ops(machine, *operations, 0, len(words), *rows, self.serve, self.outcome.distance.fixed)

    def count(
        self,
        chunk: NDArray[np.int64],
        bad: NDArray[np.bool_],
        refills: NDArray[np.uint8],
        answers: NDArray[np.uint8],
        nulls: NDArray[np.bool_],
    ) -> None:
        """Add up a chunk's answers by request class, and who paid for refills."""
        words, tasks, runs = chunk[0], chunk[3], chunk[4]
        allocations = words & 3 == OP_ALLOC
        refused = refills & REFUSED > 0
        self.outcome.skipped["free that the model refuses"] += int(np.count_nonzero(refused & ~allocations))
        self.outcome.skipped["mask that the model refuses, or with names that the layout does not have"] += int(
            bad.sum()
        )
        asked = np.flatnonzero(allocations & ~bad & (words >> OP_ORDER_SHIFT & 0x3F <= st.MAX_ORDER))
        is_null = np.zeros(len(words), bool)
        is_null[np.flatnonzero(allocations)] = nulls
        orders = words[asked] >> OP_ORDER_SHIFT & 0x3F
        types = self.masks[chunk[2][asked]] >> GFP_MOVABLE_SHIFT & 3
        key = chunk[2][asked] << 16 | orders << 8 | types
        singles = orders == 0
        columns = {
            "requests": np.ones(len(asked), bool),
            "model_refills": singles & (refills[asked] & REFILLS > 0),
            "model_dma_refills": singles & (refills[asked] & IN_DMA > 0),
            "model_cold_refills": singles & (refills[asked] & COLD > 0),
            "model_higher_refills": ~singles & (refills[asked] & REFILLS > 0),
            "model_nulls": is_null[asked],
            **self.zones.columns(runs[asked], orders),
        }
        for value in np.unique(key).tolist():
            of_class = key == value
            which = (value >> 16, value >> 8 & 0xFF, value & 0xFF)
            for name, column in columns.items():
                self.outcome.requests[which][name] += int(np.count_nonzero(column & of_class))
            counts = [np.bincount(row[asked][of_class], minlength=256)[:3] for row in answers]
            empty = np.zeros((len(answers), 3), np.int64)
            self.outcome.answers[which] = self.outcome.answers.get(which, empty) + np.array(counts).reshape(-1, 3)
        for name in ("model_refills", "kernel_refills"):
            payers, times = np.unique(tasks[asked][columns[name]], return_counts=True)
            for payer, n in zip(payers.tolist(), times.tolist(), strict=True):
                self.outcome.payers[payer][name] += n


@dataclass(frozen=True)
class KernelZones:
    """The zones of the recorded machine: borders by pfn, which is DMA, and the batch of the kernel's own lists.

    Without /proc/zoneinfo they are x86-64's: zone DMA refills a page at a time, no other zone more than 63.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    dma: NDArray[np.bool_]
    batches: NDArray[np.int64]

    @classmethod
    def of(cls, zones: Iterable[Zone], known: Iterable[KnownZone]) -> KernelZones:
        """Return them, from the model's zones and what is known of the real ones."""
        batches = {k.sizes.zone.index: k.sizes.batch for k in known}
        rows = [
            (z.start, z.end, z.index, batches.get(z.index, 1 if z.index == st.ZONE_DMA else LARGEST_BATCH))
            for z in zones
        ]
        starts, ends, indices, sizes = np.array(sorted(rows), np.int64).T
        return cls(starts, ends, indices == st.ZONE_DMA, sizes)

    def columns(self, runs: NDArray[np.int64], orders: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
        """Return which allocations ended a run of pages taken under the zone lock, and what the run was.

        Of order 0 it is a refill if it is longer than 1, and in a zone whose batch is 1; elsewhere a run of 1 is a page
        taken past the lists.  From v6.7 on a refill grows beyond the batch.  6.1 has lists of higher orders, too.
        """
        lengths, pfns = runs & (1 << RUN_BITS) - 1, runs >> RUN_BITS
        zone = np.maximum(np.searchsorted(self.starts, pfns, "right") - 1, 0)
        inside = (pfns >= self.starts[zone]) & (pfns < self.ends[zone])
        batch = np.where(inside, self.batches[zone], LARGEST_BATCH)
        single = (orders == 0) & (lengths > 0)
        refills = single & ((lengths > 1) | (batch == 1))
        return {
            "kernel_refills": refills,
            "kernel_dma_refills": refills & inside & self.dma[zone],
            "kernel_long_refills": refills & (lengths > batch),
            "kernel_single_pages": single & ~refills,
            "kernel_higher_refills": (orders > 0) & (lengths > 1),
        }
