"""The verdict on a request in a context: run the engine, take the locks it took, apply the kernel's checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from gfpmodel.errors import InputError, NotModelledError
from gfpmodel.gfp import Layout, encode
from gfpmodel.gfp import layout as layout_of
from gfpmodel.gfp.names import parse_mask
from gfpmodel.locking.contexts import Context, context
from gfpmodel.locking.graph import LockGraph
from gfpmodel.locking.kernels import HPAGE_PMD_ORDER, NOLOCK_SLAB_SINCE, Kernel
from gfpmodel.locking.lockdep import Cpu
from gfpmodel.locking.machine import HIGHEST_FILLED, Lists, ready
from gfpmodel.locking.paths import free_page
from gfpmodel.locking.reports import Report
from gfpmodel.locking.slab import GFP_RECLAIM, lock_cache, pre_alloc, slab_call
from gfpmodel.locking.slab_rows import Call, Pages, calls, check_call, default_state
from gfpmodel.locking.step import NOTHING, Step, Taken
from gfpmodel.locking.steps import ENGINE, GFP_ACCOUNT, Walk, pcp_lock
from gfpmodel.mm import Rule
from gfpmodel.mm.kernels import FIRST
from gfpmodel.mm.rules import ORDINARY, OWN_FUNCTION
from gfpmodel.proposals import proposal

FAST_TRY, NOLOCKDEP = "__GFP_FAST_TRY", "__GFP_NOLOCKDEP"
KMALLOC = "GFP_NOWAIT|__GFP_NOWARN"  #: the mask of a kmalloc() that names none, as in the recordings
#: What new_slab() leaves of a caller's mask (GFP_RECLAIM_MASK and GFP_CONSTRAINT_MASK), and what it adds.
SLAB_KEEPS = ENGINE.composites["GFP_RECLAIM_MASK"] | ENGINE.composites["GFP_CONSTRAINT_MASK"]
SLAB_KEEPS, SLAB_ADDS = SLAB_KEEPS & ~encode("__GFP_NOFAIL", ENGINE), encode("__GFP_NOWARN|__GFP_NORETRY", ENGINE)
IRQ_OFF_SECTIONS = ("get_page_from_freelist", "free_unref_page")
Result = Literal["page", "NULL", "freed", "object", "queued"]


@dataclass(frozen=True)
class Setup:
    """What a cell's machine is like.

    ``pcp`` is the state of this CPU's lists; ``page_owner`` whether it is on (and the stack a new one), ``slab_due``
    whether stackdepot needs pages for it; ``memcg`` what becomes of the charge of an accounted page; ``prove`` the
    sysctl kernel.prove_locking; ``contended`` whether another CPU holds each lock that is waited for.  ``slab`` is
    where a call's object is or comes from (`slab_rows.STATES`); without it, as ``pcp`` has it: shrunk if dry.
    """

    pcp: str = "dry"
    page_owner: bool = False
    slab_due: bool = False
    memcg: Literal["none", "ok", "fail"] = "none"
    prove: bool = True
    contended: bool = False
    slab: str = ""


@dataclass(frozen=True)
class Request:
    """A request in the engine's bits, its order, and the row that may serve it; or a free of one page; or a ``call``.

    A free by the row `trylock` is free_pages_nolock().  ``nolockdep`` is __GFP_NOLOCKDEP, which is another bit in
    every kernel.
    """

    mask: int
    order: int = 0
    rule: Rule | None = None
    free: bool = False
    nolockdep: bool = False
    call: Call | None = None

    @property
    def served_by(self) -> Rule:
        """Return the row that serves it: the proposal's if the mask asks for it, or if the proposal has no flag."""
        if self.rule is None or (self.rule.flag and not self.rule.asking(self.mask) & self.rule.flag):
            return ORDINARY
        return self.rule

    def on_engine(self, kernel: Kernel) -> tuple[Rule | None, int]:
        """Return the row that the engine knows of on a kernel, and the mask that asks for it."""
        rule = self.rule and self.rule.on(kernel.rt)
        return rule, self.mask | (rule.flag if rule and self.served_by is self.rule else 0)


def engine_mask(mask: int, layout: Layout, rule: Rule | None) -> int:
    """Return a mask of any kernel in the bits of v5.8, which are the engine's; flags it does not know are left out.

    Arguments: the mask; the layout it is written in; the row whose flag stands for __GFP_FAST_TRY.
    """
    names = [name for name, bit in layout.bits.items() if mask & bit]
    ours = sum(ENGINE.bits[name] for name in names if name in ENGINE.bits and name != NOLOCKDEP)
    return ours | (rule.flag if rule and FAST_TRY in names else 0)


@dataclass(frozen=True)
class Verdict:
    """What a request came to: its result, what the kernel would print, and the steps it took.

    ``work`` are the steps of the work item that fills the cache of a row which has one; it runs in a task.
    ``deadlock`` says that the CPU waits for itself, so that there is no result in fact.  ``before`` are the reports
    on the context's own locks, made before the request; ``graph`` is what lockdep knows of lock order afterwards.
    ``slab`` is the state in which a call of slab was asked.
    """

    kernel: Kernel
    context: Context
    request: Request
    result: Result
    reports: tuple[Report, ...]
    steps: tuple[Step, ...]
    work: tuple[Step, ...] = ()
    before: tuple[Report, ...] = ()
    deadlock: bool = False
    graph: LockGraph = field(default_factory=LockGraph, compare=False, repr=False)
    slab: str = ""

    @property
    def locks(self) -> list[str]:
        """Return the names of the locks taken, or tried, in their order, each once; a work item's come last."""
        steps = (*self.steps, *self.work)
        return list(dict.fromkeys(step.lock for step in steps if step.what in ("acquire", "try", "busy")))

    @property
    def trylocks(self) -> list[str]:
        """Return the names of those locks that were only tried, each time."""
        waited = {step.lock for step in (*self.steps, *self.work) if step.what == "acquire"}
        return [lock for lock in self.locks if lock not in waited]

    @property
    def printed(self) -> tuple[Report, ...]:
        """Return all that was printed, reports on the context's own locks first."""
        return (*self.before, *self.reports)

    def first(self, *kinds: str) -> Report | None:
        """Return the first report of these kinds."""
        return next((report for report in self.printed if report.kind in kinds), None)

    @property
    def lockdep(self) -> Report | None:
        """Return lockdep's report: it makes at most one."""
        return self.first("invalid_wait_context", "inconsistent_lock_state", "recursive_locking", "circular_locking")

    @property
    def might_sleep(self) -> bool:
        """Return whether "sleeping function called from invalid context" was printed."""
        return self.first("sleeping_function") is not None

    @property
    def unsafe(self) -> bool:
        """Return whether an NMI does what it may not, although no check says so.

        It touches lists that only switched-off interrupts protect (a section of order > 0 has the zone lock besides),
        or it waits for a lock, and lockdep is off or does not look.
        """
        if self.context.level != "nmi":
            return False
        bare = any(step.what == "irq_save" and step.where in IRQ_OFF_SECTIONS for step in self.steps)
        waits = any(step.what == "acquire" for step in self.steps) and not self.lockdep
        return waits or (self.request.order == 0 and bare and not pcp_lock(self.kernel))

    @property
    def clean(self) -> bool:
        """Return whether nothing was printed, nothing hangs, and no list can have been in the middle of a change."""
        return not self.reports and not self.deadlock and not self.unsafe

    def row(self) -> dict[str, str]:
        """Return the verdict in the four columns of a table of cells."""
        lockdep = self.lockdep
        return {
            "result": self.result,
            "lockdep_report": lockdep.kind if lockdep else "no",
            "lock": lockdep.lock.name if lockdep and lockdep.lock else "",
            "might_sleep": "yes" if self.might_sleep else "no",
        }

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain objects; ``path`` is the kernel whose allocator the engine ran."""
        return {
            "result": self.result,
            "reports": [report.to_json() for report in self.reports],
            "locks": self.locks,
            "trylocks": self.trylocks,
            "path": self.kernel.engine,
            "deadlock": self.deadlock,
            "unsafe": self.unsafe,
            "before": [report.to_json() for report in self.before],
        }


def on_engine(request: Request, kernel: Kernel, taken: Taken) -> tuple[int, bool]:
    """Return the order that makes the engine take a kernel's way to a page, and whether its lists are empty.

    A later kernel's engine has that way itself.  On v5.8's, orders that have lists of their own go the way of order 0;
    one whose lists are locked away goes that of order 1, straight to the free lists.  An order that the row refuses
    stays as it is.
    Models: mm/page_alloc.c:rmqueue (v5.14 and v6.2).
    """
    order, rule = request.order, request.served_by
    if kernel.engine != FIRST:
        return order, False
    allowed = order <= rule.highest_order or (rule.pmd_order and order == HPAGE_PMD_ORDER)
    if not (kernel.lists(order) and allowed):
        return order, False
    if taken.pcp:
        return min(max(order, 1), max(rule.highest_order, 1)), False
    return 0, order > HIGHEST_FILLED


def lists_of(kernel: Kernel) -> Lists:
    """Return whose lists the machine has on a kernel."""
    return Lists(kernel.engine, kernel.engine != FIRST and kernel.on("TRANSPARENT_HUGEPAGE"))


@lru_cache(maxsize=4096)
def path(request: Request, setup: Setup, kernel: Kernel, taken: Taken = NOTHING) -> tuple[Result, tuple[Step, ...]]:
    """Run a request on the engine and return its result and the steps that its events mean on a kernel."""
    if request.call:
        return slab_path(request, setup, kernel, taken)
    order, emptied = on_engine(request, kernel, taken)
    served, mask = request.on_engine(kernel)
    rule = request.served_by.on(kernel.rt)
    if rule.pmd_order and order == HPAGE_PMD_ORDER and kernel.lists(order) and served is not None:
        served = replace(served, highest_order=order)
    a, page = ready(served, setup.pcp, taken, emptied, lists_of(kernel))
    walk = Walk(
        a,
        kernel,
        request.mask & ~OWN_FUNCTION,
        nolockdep=request.nolockdep,
        page_owner=setup.page_owner,
        slab_due=setup.slab_due,
        charge=setup.memcg,
        trylock=tries(rule, kernel),
        declines=rule.refill == "decline",
        warns=rule.slow_path,
        listed=kernel.lists(request.order) or kernel.pcp == "irq",
        taken=taken,
    )
    if request.free:
        free_page(a, page, 0, nolock=walk.trylock)
        return "freed", tuple(walk.free(a.events()))
    got = a.alloc_pages(mask, order)
    steps = tuple(walk.request(a.events(), got, order))
    uncharged = setup.memcg == "fail" and request.mask & GFP_ACCOUNT
    return ("NULL" if got is None or uncharged else "page"), steps


def slab_state(request: Request, setup: Setup, kernel: Kernel) -> str:
    """Return in which state a call of slab is asked, empty for a request for pages."""
    if not request.call:
        return ""
    return setup.slab or default_state(request.call, kernel, setup.pcp == "dry")


def slab_path(
    request: Request, setup: Setup, kernel: Kernel, taken: Taken, cpu: Cpu | None = None
) -> tuple[Result, tuple[Step, ...]]:
    """Return what a call of slab comes to and its steps; where it asks for pages, the engine answers.

    Models: mm/slub.c:slab_pre_alloc_hook, allocate_slab and __free_slab (v5.8); leaves out the second try with the
    cache's smallest order, and what slab_out_of_memory() prints.
    """
    if request.call is None:
        raise AssertionError("no call of slab")

    def pages(it: Pages) -> tuple[bool, tuple[Step, ...]]:
        if it.mask or it.row:
            asked = make_request(kernel, it.mask or None, it.row)
        else:
            asked = Request(request.mask & SLAB_KEEPS | SLAB_ADDS, nolockdep=request.nolockdep, free=it.free)
        result, steps = path(asked, replace(setup, slab=""), kernel, taken)
        return result != "NULL", steps

    state = slab_state(request, setup, kernel)
    result, steps = slab_call(request.call, state, kernel, pages, cpu)
    return result, (*pre_alloc(request.mask, request.nolockdep), *steps)


def tries(rule: Rule, kernel: Kernel) -> bool:
    """Return whether a row only tries its locks on a kernel."""
    return (rule.lock_rt if kernel.rt else rule.lock) == "try"


def charges(kernel: Kernel, where: Context) -> bool:
    """Return whether an accounted page is charged to the task at all: not in an interrupt.

    Models: mm/memcontrol.c:memcg_kmem_bypass (v5.8), to which softirqs off are an interrupt, too.
    """
    return where.level == "task" and (kernel.charges_bh_off or not where.bh_off)


def with_rule(kernel: Kernel, rule: Rule) -> Kernel:
    """Return the kernel with the zone lock that a row makes of it."""
    raw = (rule.lock_rt if kernel.rt else rule.lock) == "raw"
    return replace(kernel, zone_lock="raw_spinlock_t" if raw else "spinlock_t")


def execute(cpu: Cpu, steps: Iterable[Step]) -> None:
    """Let a CPU take the steps; it stops where it waits for itself."""
    saved: list[bool] = []
    for step in steps:
        match step.what:
            case "acquire" | "try":
                cpu.acquire(cpu.kernel.lock(step.lock), step.where, step.what == "try", instance=step.zone)
            case "busy":
                cpu.slowtrylock(cpu.kernel.lock(step.lock))
            case "release":
                cpu.release(step.lock)
            case "irq_save":
                saved.append(cpu.irqs_on)
                cpu.irqs_on = False
            case "irq_restore":
                cpu.irqs_on = saved.pop()
            case "might_sleep":
                cpu.might_sleep(step.where)
            case "sleep":
                cpu.sleep(step.where)
        if cpu.deadlock:
            return


@lru_cache(maxsize=64)
def learned(kernel: Kernel) -> tuple[dict[str, set[str]], LockGraph]:
    """Return what lockdep knows after boot: the usage and the order of the locks that ordinary requests took.

    Nothing of it is typed in: a task made requests of every kind, and was watched.
    """
    cpu = Cpu(kernel)
    kmalloc = encode("GFP_KERNEL|__GFP_ACCOUNT", ENGINE)
    warm, dry = Setup("warm", page_owner=True, memcg="ok"), Setup("dry", page_owner=True, memcg="ok")
    for request, setup in (
        (Request(kmalloc), dry),
        (Request(kmalloc), warm),
        (Request(kmalloc, 1), warm),
        (Request(kmalloc), Setup("boostwm")),
        (Request(0, free=True), Setup("full")),
        *((make_call(kernel, call), setup) for call in calls(kernel) for setup in (warm, dry)),
    ):
        execute(cpu, path(request, setup, kernel)[1])
    execute(cpu, lock_cache(kernel))
    if kernel.rt:
        cpu.slowtrylock(kernel.lock("&zone->lock"))
    if cpu.reports:
        raise AssertionError(f"a task's ordinary requests are reported on {kernel.name}: {cpu.reports[0]}")
    return cpu.usage, cpu.graph


def new_cpu(kernel: Kernel, contended: bool = False, known: LockGraph | None = None) -> Cpu:
    """Return a CPU of a booted kernel: lockdep knows what ordinary requests do.

    Arguments: the kernel; whether another CPU holds every lock that this one waits for; what else lockdep knows.
    """
    usage, graph = learned(replace(kernel, prove=True))
    return Cpu(kernel, {name: set(bits) for name, bits in usage.items()}, graph.merged(known), contended)


def verdict(
    request: Request, where: Context | str, setup: Setup, kernel: Kernel, known: LockGraph | None = None
) -> Verdict:
    """Say what becomes of a request in a context; nothing in the answer is looked up.

    The caller of a row that runs in a work item takes the lock of its cache; the item takes its locks in a task.
    Arguments: the request; the context or its name; what the machine is like; the kernel; the order of locks that
    was observed before, beside what boot shows.  Raises InputError.
    """
    if request.order < 0:
        raise InputError(f"order {request.order}; expected 0 or more")
    where = context(where) if isinstance(where, str) else where
    rule = request.served_by
    kernel = replace(with_rule(kernel, rule), prove=setup.prove)
    if where.holds_pcp_lock and kernel.pcp != "trylock":
        raise InputError(f"impossible context: {kernel.name} has no pcp->lock")
    cpu = new_cpu(kernel, setup.contended, known)
    cpu.enter(where)
    before = len(cpu.reports)
    work: tuple[Step, ...] = ()
    if rule.runs == "work":
        result, steps, work = from_cache(request, where, setup, kernel)
        item = new_cpu(kernel, setup.contended, known)
        execute(item, work)
        cpu.reports += item.reports
    else:
        setup = setup if charges(kernel, where) else replace(setup, memcg="none")
        taken = Taken(where.zones, where.holds_pcp_lock)
        asks = slab_path(request, setup, kernel, taken, cpu) if request.call else path(request, setup, kernel, taken)
        result, steps = asks
    if tries(rule, kernel) and kernel.rt and cpu.level in ("hardirq", "nmi"):
        # a sleeping lock must not even be tried there: its unlock may wait; a free only puts the page on a llist
        result, steps = "freed" if request.free else "NULL", ()
    execute(cpu, steps)
    return Verdict(
        kernel,
        where,
        request,
        "NULL" if cpu.deadlock else result,
        tuple(cpu.reports[before:]),
        steps,
        work,
        tuple(cpu.reports[:before]),
        cpu.deadlock,
        cpu.graph,
        slab_state(request, setup, kernel),
    )


def from_cache(
    request: Request, where: Context, setup: Setup, kernel: Kernel
) -> tuple[Result, tuple[Step, ...], tuple[Step, ...]]:
    """Return what the caller gets from a cache that a work item fills, the caller's steps, and the item's.

    The cache is as the lists: empty if they are, until the item has run.  It never holds a larger block, and nobody
    asks it for one.  A caller that holds its lock already is inside kvfree_call_rcu().
    Models: kernel/rcu/tree.c:get_cached_bnode and fill_page_cache_func (v5.11).
    """
    if request.order > request.served_by.highest_order:
        return "NULL", (), ()
    result, work = path(request, setup, kernel)
    held = any(entry.name == "krc.lock" for entry in where.entries)
    return "NULL" if setup.pcp == "dry" else result, () if held else tuple(lock_cache(kernel)), work


def make_request(
    kernel: Kernel, gfp: str | None = None, row: str | Rule | None = None, order: int = 0, free: bool = False
) -> Request:
    """Return a request by mask (names or a number) or by proposal; raises InputError.

    A kernel that has __GFP_FAST_TRY serves it by that row, whichever way it is asked for.
    """
    layout = kernel.layout
    rule = None if row is None else proposal(row)
    if rule is None and FAST_TRY in layout.bits:
        rule = proposal("fast_try")
    own = 0
    if gfp is not None:
        mask = parse_mask(gfp) if gfp.strip()[:1].isdigit() else encode(gfp, layout)
    elif row is not None and rule is not None:
        layout = layout_of(rule.kernel)  # where the kernel has no such flag, the row stands for a port of it
        mask, own = encode(rule.on(kernel.rt).request, layout), rule.flag & OWN_FUNCTION
    else:
        raise InputError("a request needs a gfp mask or a proposal")
    nolockdep = bool(mask & layout.bits.get(NOLOCKDEP, 0))
    return Request(engine_mask(mask, layout, rule) | own, order, rule, free, nolockdep)


def make_call(kernel: Kernel, call: Call, gfp: str | None = None) -> Request:
    """Return a call of slab or of kfree_rcu(); raises InputError, and NotModelledError where the model lacks it.

    Arguments: the kernel; the call; the mask of a kmalloc(), as names or a number, GFP_NOWAIT|__GFP_NOWARN if None.
    """
    check_call(call, kernel)
    if call != "kmalloc":
        if gfp is not None:
            raise InputError(f"{call}() takes no mask here; only kmalloc does")
        return Request(0, call=call)
    asked = make_request(kernel, KMALLOC if gfp is None else gfp)
    if kernel.version >= NOLOCK_SLAB_SINCE and not asked.mask & GFP_RECLAIM:
        raise NotModelledError(
            f"kmalloc() of {kernel.name} is not modelled with a mask without reclaim: it may try where others wait"
        )
    return Request(asked.mask, nolockdep=asked.nolockdep, call=call)
