"""Questions whose answers the model works out, for the exercises of the book: the same seed asks the same thing.

A question is shown by its name, answered with one word a line, and checked: ``it.check("yes no no")`` says right, or
how many are, and gives a hint for the first that is not.  ``it.solve()`` prints the answers.  In the built book it is a
form, which checks by the sums of the answers (book/assets/questions.js), and asks for one of another seed where the
model runs in the page (`live.question` of `gfpmodel.show`).
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from html import escape
from typing import TypeVar, cast

from gfpmodel.errors import InputError, unknown
from gfpmodel.explain import explain
from gfpmodel.gfp import Layout, layout, meaning, shift_report, variants, with_shift
from gfpmodel.locking import Cpu, Kernel, Setup, Verdict, make_kernel, make_request, verdict
from gfpmodel.locking.classes import wait_text
from gfpmodel.locking.matrix import CONFIGS
from gfpmodel.locking.spoken import LISTS, PLACES, spoken
from gfpmodel.mm import PageAllocator, Rule
from gfpmodel.mm.exercises import Exercise, exercise, numbers, small_machine
from gfpmodel.mm.kernels import FIRST
from gfpmodel.mm.kernels import ROWS as KERNELS
from gfpmodel.mm.script import Step, run_script
from gfpmodel.mm.state import ZONE_NORMAL
from gfpmodel.proposals import PATCHED, PROPOSALS
from gfpmodel.rcu.kfree_rcu import KfreeRcu

FREE = re.compile(r" free:(\d+)kB")
YES_NO = ("yes", "no")
ZONES = ("DMA", "DMA32", "NORMAL", "MOVABLE")
TYPES = ("UNMOVABLE", "MOVABLE", "RECLAIMABLE")
#: The stacks that are asked about, outermost first: at most one level, under at most one lock.
STACKS = (
    *("spin", "raw", "rcu", "rcu_sched", "mutex", "raw_try", "spin>raw", "raw>spin", "irqoff", "preemptoff"),
    *("softirq", "softirq>raw", "hardirq", "hardirq>raw", "mutex>hardirq", "raw:krc.lock", "spin:a>spin:b"),
)


@dataclass(frozen=True)
class Item:
    """One line of a question: what is asked, the right word, a hint that does not give it away, the words to choose.

    Without ``choices`` the answer is any word, as for a number.
    """

    ask: str
    truth: str
    hint: str
    choices: tuple[str, ...] = YES_NO


@dataclass(frozen=True)
class Question:
    """A question of several lines; show it, ``check()`` an answer, ``solve()`` it."""

    title: str
    items: tuple[Item, ...]
    again: str = field(default="", compare=False)  #: what asks for it, in JSON: a name of `SEEDED`, a seed, the rest

    def __repr__(self) -> str:
        return self._lines(", ".join(item.choices) or "?" for item in self.items)

    def _repr_html_(self) -> str:
        rows = "".join(f"<label>{escape(item.ask)} {self._control(item)}</label>" for item in self.items)
        ask = f' data-ask="{escape(self.again)}"' if self.again else ""
        return f'<form class="gfp-question"{ask}><p class="gfp-title">{escape(self.title)}</p>{rows}</form>'

    def _control(self, item: Item) -> str:
        """Return what one line is answered with; it holds the hint, and a sum that tells the right word from others."""
        salt = f"{self.title}|{item.ask}|"
        said = (
            f'data-salt="{escape(salt)}" data-sum="{sum_of(salt + item.truth.lower())}" data-hint="{escape(item.hint)}"'
        )
        if not item.choices:
            return f"<input {said}>"
        options = "".join(f"<option>{escape(word)}</option>" for word in ("", *item.choices))
        return f"<select {said}>{options}</select>"

    def _lines(self, words: Iterator[str]) -> str:
        width = max(len(item.ask) for item in self.items)
        rows = (f"  {item.ask:<{width}}  {word}" for item, word in zip(self.items, words, strict=True))
        return "\n".join([f"{self.title}:", *rows])

    def check(self, answer: str) -> str:
        """Return ``right``, or what is wrong with an answer of one word a line: a hint for the first wrong line."""
        words = answer.split()
        if len(words) != len(self.items):
            return f"{len(words)} words; expected {len(self.items)}, one for each line"
        pairs = list(zip(self.items, words, strict=True))
        for item, word in pairs:
            if item.choices and word.lower() not in map(str.lower, item.choices):
                return f"{item.ask}: {word!r} is not one of {', '.join(item.choices)}"
        wrong = [item for item, word in pairs if word.lower() != item.truth.lower()]
        if not wrong:
            return "right"
        return f"{len(pairs) - len(wrong)} of {len(pairs)} right; look again at {wrong[0].ask}: {wrong[0].hint}"

    def solve(self) -> None:
        """Print the answers."""
        print(self._lines(item.truth for item in self.items))


def sum_of(text: str) -> int:
    """Return a sum of 32 bits over a text (FNV-1a), which the page's script works out, too."""
    found = 0x811C9DC5
    for byte in text.encode():
        found = (found ^ byte) * 0x01000193 & 0xFFFFFFFF
    return found


Make = TypeVar("Make", bound=Callable[..., Question])
#: What can be asked for by a name, a seed and words.
SEEDED: dict[str, Callable[..., Question]] = {}


def seeded(make: Make) -> Make:
    """Let the questions of a function say how to ask for others of its kind."""
    takes = inspect.signature(make)

    @wraps(make)
    def asked(*words: object, **names: object) -> Question:
        given = takes.bind(*words, **names).arguments
        seed, *rest = given.items()
        said = {name: value.name if isinstance(value, Rule) else value for name, value in rest}
        return replace(make(*words, **names), again=json.dumps({"name": make.__name__, "seed": seed[1], "given": said}))

    SEEDED[make.__name__] = asked
    return cast(Make, asked)


T = TypeVar("T")


def pick(draw: Iterator[int], from_: Sequence[T], count: int) -> list[T]:
    """Return ``count`` different members of a sequence, in the order drawn; raises InputError if there are too few."""
    left = list(from_)
    if not 1 <= count <= len(left):
        raise InputError(f"{count} lines; expected 1 to {len(left)}")
    return [left.pop(next(draw) % len(left)) for _ in range(count)]


def yes(truth: object) -> str:
    """Return yes or no."""
    return "yes" if truth else "no"


# gfp


@seeded
def mask_question(seed: int, kernel: str = "v5.8-rc3") -> Question:
    """Ask what a random mask of a kernel wants: may it sleep, whom does it wake, which zone, which lists.

    Arguments: the seed; the kernel's name.  Raises InputError for an unknown kernel.
    """
    draw, it = numbers(seed), layout(kernel)
    names = ("HIGH", "DIRECT_RECLAIM", "KSWAPD_RECLAIM", "IO", "FS", "MOVABLE", "RECLAIMABLE", "DMA32", "ZERO")
    chosen = pick(draw, names, 4)
    if "MOVABLE" in chosen and "RECLAIMABLE" in chosen:
        chosen.remove("RECLAIMABLE")
    mask = sum(it.bits[f"__GFP_{name}"] for name in chosen)
    found = meaning(mask, it)
    of = {name: f"{it.bits[f'__GFP_{name}']:#x}" for name in names}
    return Question(
        f"mask {mask:#x} on {it}",
        (
            Item("may sleep", yes(found.may_sleep), f"only __GFP_DIRECT_RECLAIM, {of['DIRECT_RECLAIM']}, lets it"),
            Item("wakes kswapd", yes(found.wakes_kswapd), f"that is __GFP_KSWAPD_RECLAIM, {of['KSWAPD_RECLAIM']}"),
            Item("zone", str(found.zone), "the low four bits choose it; MOVABLE alone does not", ZONES),
            Item(
                "lists", str(found.migratetype), f"MOVABLE is {of['MOVABLE']}, RECLAIMABLE {of['RECLAIMABLE']}", TYPES
            ),
        ),
    )


@seeded
def shift_question(seed: int, count: int = 4) -> Question:
    """Ask whether the RFC's header with a random shift still builds, and whether the allocator sees a flag.

    Arguments: the seed; how many headers.  Raises InputError for a number of lines that cannot be.
    """
    headers = [(it, shift) for it in variants(PATCHED) for shift in (23, 24, 25, 29, 30)]
    flags = ("__GFP_FAST_TRY", "__GFP_NOLOCKDEP")
    cases = [(it, shift, flag) for it, shift in headers for flag in flags if flag in it.bits]
    return Question(
        "does the allocator see the flag if its header says this __GFP_BITS_SHIFT",
        tuple(shift_item(*case) for case in pick(numbers(seed), cases, count)),
    )


def shift_item(it: Layout, shift: int, flag: str) -> Item:
    """Return the line for one header, its shift set by hand, and one flag."""
    found = shift_report(flag, with_shift(it, shift))
    truth = "no build" if not found.builds else yes(found.reaches_allocator)
    return Item(
        f"{flag}, shift {shift}, LOCKDEP={'ny'[it.config['LOCKDEP']]}",
        truth.replace(" ", "-"),
        f"the flag is {found.value:#x}, the mask of all flags {(1 << shift) - 1:#x}; three tags must fit below bit 32",
        (*YES_NO, "no-build"),
    )


@seeded
def bit_question(seed: int, kernel: tuple[str, ...] = ("v5.4", "v5.15", "v6.1", "v6.18")) -> Question:
    """Ask who owns one bit on several kernels (none: nobody), each in a random configuration.

    Arguments: the seed; the kernels' names.  Raises InputError for an unknown kernel.
    """
    draw = numbers(seed)
    tables = [pick(draw, tuple(variants(name)), 1)[0] for name in kernel]
    owners = [{value: name for name, value in it.bits.items()} for it in tables]
    bits = [1 << n for n in range(32) if len({of.get(1 << n) for of in owners}) > 1]
    bit = pick(draw, bits, 1)[0]
    choices = tuple(sorted({of.get(other, "none") for of in owners for other in (bit >> 1, bit, bit << 1)}))
    return Question(
        f"the owner of {bit:#x}",
        tuple(
            Item(
                str(it),
                of.get(bit, "none"),
                f"its shift is {it.shift}, and {bit >> 1:#x} is {of.get(bit >> 1, 'none')}",
                choices,
            )
            for it, of in zip(tables, owners, strict=True)
        ),
    )


# mm


@seeded
def lock_question(seed: int, length: int = 8, proposal: Rule | None = None) -> Question:
    """Ask at which operations of a random run on the small machine zone->lock is taken.

    Arguments: the seed; the number of operations; a proposal, which half of the requests then use.
    """
    return run_question(exercise(seed, length, proposal), "is zone->lock taken", lambda step: yes(step.locks), YES_NO)


@seeded
def page_question(seed: int, length: int = 8, proposal: Rule = PROPOSALS["fast_try"]) -> Question:
    """Ask which allocations of a random run return a page, half of them with a proposal's request; else as above."""
    run = exercise(seed, length, proposal)
    return run_question(run, "what is returned", lambda step: "NULL" if step.pfn is None else "page", ("page", "NULL"))


def run_question(run: Exercise, ask: str, truth: Callable[[Step], str], choices: tuple[str, ...]) -> Question:
    """Return the question about each operation of a run, or about each allocation if a page is what is asked for."""
    small = small_machine(run.proposal)
    high = small.sizes.zones[ZONE_NORMAL].high
    items, held = [], stock(small)
    for number, step in enumerate(run_script(small, run.ops), 1):
        if step.op.kind == "alloc" or choices == YES_NO:
            hint = f"before it the lists held {held}; high is {high}"
            items.append(Item(f"{number}: {step.op.text}", truth(step), hint, choices))
        held = stock(small)
    return Question(f"{ask}, in {run.ops}", tuple(items))


def stock(small: PageAllocator) -> str:
    """Return how many pages of each type the lists of cpu 0 hold."""
    counts = (len(small.pcp_list(0, ZONE_NORMAL, kind)) for kind in range(len(TYPES)))
    return ", ".join(f"{count} {name}" for count, name in zip(counts, TYPES, strict=True))


# locking


@seeded
def stack_question(seed: int, row: str = "gfp0", config: str = "PROVE_RAW_LOCK_NESTING", pcp: str = "dry") -> Question:
    """Ask under which of five random stacks a request is reported.

    Arguments: the seed; the proposal that asks; a kernel of the verdict matrix; the state of the lists.  Raises
    InputError for a name that is not known.
    """
    kernel = matrix_kernel(config)
    items = []
    for text in pick(numbers(seed), STACKS, 5):
        found = answer(row, text, pcp, kernel)
        items.append(Item(text, yes(found.printed or found.deadlock), why(found)))
    return Question(f"is {spoken(row)} reported on {config}, {LISTS.get(pcp, pcp)}", tuple(items))


@seeded
def row_question(
    seed: int, rows: Sequence[str] = ("fast_try", "gfp0", "nowait", "raw_zone_lock", "trylock")
) -> Question:
    """Ask what becomes of each proposal in one random cell of the verdict matrix: page, NULL or report.

    Arguments: the seed; the proposals.  Raises InputError for a name that is not known.
    """
    draw = numbers(seed)
    config, text = pick(draw, tuple(CONFIGS), 1)[0], pick(draw, ("raw", "softirq", "hardirq", "spin", "rcu"), 1)[0]
    pcp, kernel = ("dry", "warm")[next(draw) % 2], matrix_kernel(config)
    items = []
    for row in rows:
        found = answer(row, text, pcp, kernel)
        truth = "report" if found.printed or found.deadlock else found.result
        items.append(Item(spoken(row), truth, why(found), ("page", "NULL", "report")))
    return Question(f"{PLACES.get(text, text)}; {LISTS[pcp]}; {config}", tuple(items))


def matrix_kernel(config: str) -> Kernel:
    """Return a kernel of the verdict matrix; raises InputError with the nearest known names."""
    if config not in CONFIGS:
        raise unknown("config", config, CONFIGS)
    return make_kernel(*CONFIGS[config])


def answer(row: str, where: str, pcp: str, kernel: Kernel) -> Verdict:
    """Return the verdict on a proposal's request for one page in a context; raises InputError."""
    return verdict(make_request(kernel, row=row), where, Setup(pcp), kernel)


def why(found: Verdict) -> str:
    """Return what decides a verdict, without the verdict: what the stack leaves and what the request takes."""
    cpu = Cpu(found.kernel)
    cpu.enter(found.context)
    left = wait_text(min([cpu.wait_context, *(h.lock.inner for h in cpu.held if h.lock.inner)]), found.kernel.nesting)
    locks = ", ".join(found.kernel.lock(name).text(found.kernel.nesting) + " " + name for name in found.locks)
    off = ["preemption"] * (cpu.preempt_count > 0) + ["interrupts"] * (not cpu.irqs_on)
    switched = f"{' and '.join(off)} off" if off else "nothing is off"
    return f"the stack leaves {left}; the request takes or tries {locks or 'no lock'}; {switched}"


def recorded_question(seed: int, cells: Sequence[Mapping[str, str]], count: int = 4) -> Question:
    """Ask which of some recorded cells of a booted kernel were reported.

    Arguments: the seed; the rows of a file of verdicts; how many are drawn.  Raises InputError for too few rows.
    """
    items = []
    for row in pick(numbers(seed), cells, count):
        said = row["lockdep_report"] != "no" or row["might_sleep_report"] != "no"
        held = row["locks_held"] or "nothing"
        irqs = "off" if row["irqs_off"] == "1" else "on"
        hint = f"a booted kernel's log: held {held}, preempt_count {row['preempt_count']}, interrupts {irqs}"
        where = PLACES.get(row["context"], row["context"])
        items.append(Item(f"{row['request']}, {where}; {LISTS.get(row['pcp'], row['pcp'])}", yes(said), hint))
    return Question("was it reported on the booted kernel?", tuple(items))


# rcu


@seeded
def block_question(seed: int) -> Question:
    """Ask how many blocks hold a random number of objects that one cpu queues at once, on several kernels."""
    count = 400 + next(numbers(seed)) % 2600
    items = []
    for name, page, pointer in (("v5.8", 4096, 8), ("v5.9", 4096, 8), ("v5.9", 4096, 4), ("v5.9", 65536, 8)):
        chain = KfreeRcu(name, page_size=page, pointer_size=pointer)
        chain.queue(count)
        hint = f"the page has {page // pointer} words, {chain.version.header_words} of them the header"
        ask = f"{name}, pages of {page >> 10} KiB, pointers of {pointer} bytes"
        items.append(Item(ask, str(chain.blocks_of(0)), hint, ()))
    return Question(f"blocks that hold {count} objects", tuple(items))


# today's lists


def atomic_question(seed: int, number: int = 32) -> Question:
    """Ask where each of some requests takes the zone lock, on fresh lists of random kernels and orders.

    Arguments: the seed; how many requests are made in each case.
    """
    from gfpmodel.sim.surprises import atomic  # here, because the page that runs the model has no simulator

    draw = numbers(seed)
    items = []
    for kernel in pick(draw, tuple(KERNELS), 4):
        order, gfp = next(draw) % 5, pick(draw, ("GFP_ATOMIC", "GFP_NOWAIT", "GFP_KERNEL"), 1)[0]
        found = atomic(kernel, order, number, gfp)
        has = "order 0" if kernel == FIRST else "orders 0 to 3"
        items.append(Item(f"{kernel}: {gfp}, order {order}", yes(found.locks >= number), f"it has lists for {has}"))
    return Question(f"does each of {number} requests take zone->lock", tuple(items))


def refill_question(seed: int) -> Question:
    """Ask how many pages a refill brings on random kernels, to a cpu that asks for pages and frees none.

    Argument: the seed.
    """
    from gfpmodel.sim.surprises import refills  # here, for the same reason

    draw = numbers(seed)
    items = []
    for kernel in pick(draw, tuple(KERNELS), 4):
        number = 2 + next(draw) % 6
        found = refills(kernel, number)
        has = "each refill brings one batch" if kernel == FIRST else "each brings twice as much, up to 32 batches"
        items.append(Item(f"{kernel}: refill {number}, a batch is 63 pages", str(found[-1].pages), has, ()))
    return Question("how many pages does the refill bring", tuple(items))


# reports


@seeded
def report_question(seed: int, text: str) -> Question:
    """Ask which of some requests would pass on the machine of a report of one zone, as ``explain`` has it.

    Arguments: the seed, which draws how many kB of the zone are free; the report.  Raises InputError for another text.
    """
    draw, items = numbers(seed), []
    found = FREE.search(text)
    if found is None or len(FREE.findall(text)) != 1:
        raise InputError("expected a report with one zone, whose free memory can be changed")
    for _ in range(4):
        free = int(found[1]) - 400 + next(draw) % 200 * 4
        (one,) = explain(text[: found.start(1)] + str(free) + text[found.end(1) :])
        (zone,) = one["zones"]
        hint = f"{zone['free']} pages free, {zone['cma']} of them in CMA blocks; {zone['keep']} must remain"
        items.append(Item(f"with free:{free}kB", yes(zone["test"] == "none"), hint))
    return Question("would the request get a page", tuple(items))
