"""Explain a report of locks or of sleeping: what was wanted, what forbids it, and whether the model says the same."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.explain.find import Found
from gfpmodel.explain.slab import OWN_LOCKS, Case, called, class_of, differing, outcome, slab_cases, slab_ways
from gfpmodel.locking.cells import read_request
from gfpmodel.locking.contexts import context
from gfpmodel.locking.kernels import Kernel, make_kernel
from gfpmodel.locking.reports import PRINTED, Report
from gfpmodel.locking.slab_rows import missing
from gfpmodel.locking.verdict import Setup, Verdict, make_request, verdict

_LOCK = re.compile(
    r"(?:[0-9a-fx]{8,20} )?\((?P<name>.{1,80}?)\)\{(?P<usage>[-+.?]{4})\}"
    r"(?:-\{(?P<outer>\d):(?P<inner>\d)\})?, at: (?P<where>\S+(?: \S+)?)"
)
_BASE = re.compile(r"^context-\{(\d):(\d)\}")
_HELD = re.compile(r"^#\d+: ")
_COUNTED = re.compile(r"^(\d{1,3}) locks? held by ")
_WANTS = re.compile(r" is trying to (?:acquire )?lock:$| takes:$")
_AT = re.compile(r"invalid context at (\S+?)(?::(\d+))?$")
_STATE = re.compile(r"in_atomic\(\): (\d), irqs_disabled\(\): (\d)")
_LEVEL = re.compile(r"\[HC(\d)\[\d+\]:SC(\d)\[\d+\]:HE(\d):SE(\d)\]")
_USAGE = re.compile(r"inconsistent \{(\S+)\} -> \{(\S+)\} usage")
_COUNT = re.compile(r"BUG: scheduling while atomic: .*/0x([0-9a-f]{8})")
_CALL = re.compile(r"(?:^|[ ?])([A-Za-z_][\w.]{2,60})\+0x[0-9a-f]+/0x[0-9a-f]+")
_RT = re.compile(r"\bPREEMPT[_ ]RT\b|kernel/locking/(?:spinlock_rt|rwbase_rt)\.c")
_NONE_HELD = re.compile(r"^no locks held by |^locks held by .*: 0,")

#: What a function in a call chain belongs to; the innermost that is known says whose request it was.
OWNERS = (
    ("kfree_rcu", re.compile(r"k?v?free_call_rcu|kfree_rcu|krc_this_cpu|__kfree_rcu_sheaf")),
    ("stackdepot", re.compile(r"_?_?stack_depot_|depot_")),
    ("page_owner", re.compile(r".*page_owner|add_stack_record")),
    ("memcg", re.compile(r".*memcg|obj_cgroup|consume_stock|try_charge|mem_cgroup")),
    (
        "slab",
        re.compile(r"_{0,3}(?:k[mzv]*alloc|kmem_cache|slab_|kfree|put_cpu_partial|get_partial|barn_|__slab|___slab)"),
    ),
    (
        "page allocator",
        re.compile(r"_*(?:alloc_page|alloc_frozen|get_page_from|rmqueue|free_unref|free_pcppages|get_free_pages)"),
    ),
)
#: The cases of the page allocator: requests and lists' states of every kind that takes another lock.
CASES = (
    *((name, pcp, False) for name in ("Z0", "K0", "Z1", "K1") for pcp in ("dry", "warm")),
    *((name, "dry", False) for name in ("N0", "A0")),
    *(("N0", "boostwm", False), ("FREE", "full", False), ("FREE", "warm", False)),
    *(("Z0", pcp, True) for pcp in ("warm", "dry")),
)  #: the name of the request, the state of the lists, and whether page_owner is on
TYPES = {1: "rcu", 2: "raw_spinlock_t or a lock like it", 3: "spinlock_t, rwlock_t or local_lock_t", 4: "mutex"}


@dataclass
class Comparison:
    """A report against the model: what is said of it, whether they agree (None: it cannot be asked), and the cases."""

    said: str
    agrees: bool | None = None
    cases: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Lock:
    """A lock as lockdep prints it; types are None before v5.7."""

    name: str
    usage: str
    outer: int | None
    inner: int | None
    where: str


@dataclass
class LockReport:
    """A report of locks or sleeping as read."""

    found: Found
    wanted: Lock | None = None
    held: list[Lock] = field(default_factory=list)
    base: int | None = None
    place: str = ""
    atomic: bool | None = None
    irqs_off: bool | None = None
    level: str = ""
    usages: tuple[str, str] | None = None
    count: int | None = None
    calls: list[str] = field(default_factory=list)
    none_held: bool = False
    rt: bool = False
    counted: int = 0
    missing: list[str] = field(default_factory=list)


def read_lock(text: str) -> Lock | None:
    """Return the lock of a line."""
    found = _LOCK.search(text)
    if not found:
        return None
    types = [int(found[n]) if found[n] else None for n in ("outer", "inner")]
    name = re.sub(r"(?<=.)/\d$", "", found["name"])
    return Lock(name, found["usage"], types[0], types[1], found["where"].split("+0x")[0])


def read_locks(found: Found) -> LockReport:
    """Read a report; what a cut took is named in ``missing``."""
    it = LockReport(found)
    wants = False
    for line in found.lines:
        lock = read_lock(line)
        if wants and lock and it.wanted is None:
            it.wanted = lock
        elif lock and _HELD.match(line):
            it.held.append(lock)
        elif _NONE_HELD.match(line):
            it.none_held = True
        elif counted := _COUNTED.match(line):
            it.counted = int(counted[1])
        wants = bool(_WANTS.search(line)) or (wants and not lock and it.wanted is None)
        read_state(it, line)
        it.rt = it.rt or bool(_RT.search(line))
        if lock is None and not line.startswith("? "):
            it.calls += _CALL.findall(line)
    lockdep = found.kind in ("invalid_wait_context", "inconsistent_lock_state")
    needed = (
        ("the lock that was wanted", lockdep and it.wanted is None),
        ("the context", found.kind == "invalid_wait_context" and it.base is None),
        ("the locks held", not it.held and not it.none_held),
        (f"all but {len(it.held)} of the {it.counted} locks held", 0 < len(it.held) < it.counted),
        ("how many locks are held", bool(it.held) and not it.counted),
        ("the call chain", not it.calls),
        ("in_atomic() and irqs_disabled()", found.kind == "sleeping_function" and it.atomic is None),
        ("the kernel's release", found.release is None),
    )
    it.missing += [name for name, lacks in needed if lacks]
    return it


def read_state(it: LockReport, line: str) -> None:
    """Read what a line says of the context."""
    if base := _BASE.match(line):
        it.base = int(base[1])
    elif at := _AT.search(line):
        it.place = at[1]
    elif state := _STATE.search(line):
        it.atomic, it.irqs_off = state[1] == "1", state[2] == "1"
    elif level := _LEVEL.search(line):
        it.level = "hardirq" if level[1] != "0" else "softirq" if level[2] != "0" else "task"
    elif usage := _USAGE.search(line):
        it.usages = usage[1], usage[2]
    elif count := _COUNT.search(line):
        it.count = int(count[1], 16)


def tells_apart(it: LockReport) -> bool:
    """Return whether the kernel told a spinlock_t from a raw_spinlock_t (PROVE_RAW_LOCK_NESTING)."""
    types = {t for lock in (*it.held, it.wanted) if lock for t in (lock.outer, lock.inner)}
    return it.base in (3, 5) or 3 in types or not types - {None}


def forbidding(it: LockReport) -> tuple[str, Lock | None]:
    """Return what forbids the lock: the held one of the strictest type, or the context, in words.

    The newest of the strictest is named: locks of an interrupted task, which do not count, come before it.
    """
    need = it.wanted.outer if it.wanted else None
    held = [lock for lock in it.held if lock.inner]
    strictest = min((lock.inner or 9 for lock in held), default=9)
    lock = next((one for one in reversed(held) if one.inner == strictest), None)
    if it.base is not None and need is not None and it.base < need and it.base <= strictest:
        too = lock if strictest < need else None
        also = f"; {too.name} ({{{too.outer}:{too.inner}}}) forbids it, too" if too else ""
        return f"the context itself, {context_words(it)}{also}", too
    if lock and need is not None and strictest < need:
        return f"{lock.name} ({{{lock.outer}:{lock.inner}}}), held since {lock.where}", lock
    return "", None


def context_words(it: LockReport) -> str:
    """Return the context in words."""
    if it.found.kind == "invalid_wait_context" and it.base is not None:
        names = {2: "a hard interrupt", 3: "a soft interrupt, or one that may be threaded", 5: "a task"}
        plain = {2: "an interrupt", 4: "a task"}
        return (names if tells_apart(it) else plain).get(it.base, f"context-{{{it.base}:{it.base}}}")
    if it.level:
        return {"hardirq": "a hard interrupt", "softirq": "a soft interrupt", "task": "a task"}[it.level]
    states = ["interrupts off"] * bool(it.irqs_off) + ["preemption off"] * bool(it.atomic)
    return " and ".join(states) or "unknown"


def owner(it: LockReport) -> str:
    """Return whose request the call chain was: the innermost known, with the function; empty if none is."""
    places = [it.wanted.where] if it.wanted else []
    for call in (*places, *it.calls):
        for name, pattern in OWNERS:
            if pattern.match(call):
                return f"{name} ({call})"
    return ""


def item(lock: Lock) -> str:
    """Return a held lock as an item of the model's stack, empty for one that the model opens itself or lockdep passes.

    A raw lock that was never taken with interrupts on is taken to switch them off.
    """
    if lock.name.startswith("rcu_read_lock"):
        return {"rcu_read_lock": "rcu", "rcu_read_lock_sched": "rcu_sched"}.get(lock.name, "")
    word = {2: "raw", 3: "spin", 4: "mutex"}.get(lock.inner or 0, "")
    if lock.inner == 2 and lock.usage[0] == ".":
        word = "raw_irqsave"
    return f"{word}:{lock.name}" if word and lock.name != "softirq_ctrl.lock" else ""


def contexts_of(it: LockReport, own: Container[str] = ()) -> Iterator[str]:
    """Yield the contexts of the model that a report's context and held locks may be.

    A report does not say which locks the interrupted task took and which the interrupt: each cut is tried.  ``own``
    are names of locks that the call takes itself.
    """
    stack = [word for lock in it.held if lock.name not in own and (word := item(lock))]
    hard, soft = it.base == 2 or it.level == "hardirq", it.base == 3 or it.level == "softirq"
    levels = ["hardirq"] if hard else ["softirq", "hardirq_threadable"] if soft else []
    if it.found.kind == "sleeping_function" and not levels:
        off = ["irqoff"] * bool(it.irqs_off and "irqsave" not in "".join(stack)) + ["preemptoff"] * bool(it.atomic)
        yield ">".join([*stack, *off]) or "task"
        levels = ["softirq", "hardirq"]
    for level in levels:
        yield from (">".join([*stack[:cut], level, *stack[cut:]]) for cut in range(len(stack) + 1))
    if not levels:
        yield ">".join(stack) or ("preemptoff" if it.count else "task")


def kernel_of(it: LockReport) -> Kernel | None:
    """Return the kernel that printed a report, with the options that its numbers show; None if it is unknown."""
    release = it.found.release
    if release is None:
        return None
    try:
        plain = make_kernel(release)
        rt = "-rt" in release or it.rt
        config = {"LOCKDEP": True, **({"PREEMPT_RT": True} if rt else {})}
        if plain.version >= (5, 7):
            config["PROVE_RAW_LOCK_NESTING"] = tells_apart(it)
        return make_kernel(release, config)
    except InputError:
        return None


@lru_cache(maxsize=1 << 12)
def case(kernel: Kernel, name: str, pcp: str, owner_on: bool, where: str) -> Verdict | None:
    """Return the verdict on one case, None where it cannot be or is not modelled."""
    try:
        number = re.search(r"\d", name)
        request = read_request(name, int(number[0]) if number else 0, kernel)
        return verdict(request, context(where), Setup(pcp, page_owner=owner_on), kernel)
    except InputError:
        return None


def same(it: LockReport, found: Verdict) -> Report | None:
    """Return the verdict's report that was printed: of that kind, on that lock or, where none is named, that file."""
    for report in found.printed:
        if report.kind != it.found.kind:
            continue
        if it.wanted is None:
            if it.place in report.text():
                return report
        elif report.lock and class_of(PRINTED.get(report.lock.name, report.lock.name)) == class_of(it.wanted.name):
            types = f"{{{it.wanted.outer}:{it.wanted.inner}}}"
            if it.wanted.outer is None or report.lock.types(found.kernel.nesting) == types:
                return report
    return None


def page_cases(it: LockReport, kernel: Kernel) -> Iterator[Case]:
    """Yield the cases of the page allocator in the contexts that a report may mean."""
    for where in dict.fromkeys(contexts_of(it)):
        for name, pcp, owner_on in CASES:
            if one := case(kernel, name, pcp, owner_on, where):
                words = {"request": name, "pcp": pcp, "context": where, "page_owner": "on" if owner_on else "off"}
                yield {**words, "result": one.result}, one


def narrowed(it: LockReport, asked: Iterable[Case]) -> tuple[list[dict[str, str]], bool]:
    """Return the cases that print a report, and whether only those that do so in the very function are kept."""
    found = [(words, report.where) for words, one in asked if (report := same(it, one))]
    here = [words for words, function in found if it.wanted and function == it.wanted.where]
    return here or [words for words, _ in found], bool(here)


def compared(it: LockReport, kernel: Kernel | None) -> Comparison:
    """Return the model's cases that print this report, and what to say of it in words.

    Where the call chain shows a call of slab or of kfree_rcu(), it is asked in every state that is known; where some
    cases take the lock in the very function that is printed, only these are kept.
    """
    if kernel is None:
        return Comparison("the model cannot be asked: the kernel is not known (--kernel names it)")
    calls = called([*([it.wanted.where] if it.wanted else []), *it.calls])
    ours = owner(it).startswith(("slab", "kfree_rcu"))
    refused = [reason for call in calls[:1] if ours and (reason := missing(call, kernel))]
    if refused:
        return Comparison(f"the model cannot be asked: {refused[0]}")
    asked = list(slab_cases(calls, kernel, list(contexts_of(it, OWN_LOCKS))))
    groups = [asked] if ours and asked else [asked, list(page_cases(it, kernel))]
    found = [narrowed(it, group) for group in groups]
    if cases := [words for group, _ in found for words in group]:
        where_too = ", in that function, too" if any(here for _, here in found) else ""
        return Comparison(f"equal: the model prints the same in {len(cases)} of its cases{where_too}", True, cases)
    if ours and asked:
        return Comparison(f"differs: {differing(calls[0], kernel, it.found.kind, asked)}", agrees=False)
    return Comparison(
        f"no case of the model for {kernel.name} prints this: another lock, or a path that it leaves out", agrees=False
    )


def ways_out(kernel: Kernel | None, cases: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Yield the ways out that this book knows, each as a verdict on the report's kernel in the report's context."""
    if kernel is None or not cases:
        return
    if "slab" in cases[0]:
        yield from slab_ways(cases[0], kernel)
    if where := next((one["context"] for one in cases if "slab" not in one), None):
        yield from page_ways(kernel, where)


def page_ways(kernel: Kernel, where: str) -> Iterator[dict[str, str]]:
    """Yield the ways out of a request for pages."""
    ways = (
        ("GFP_ATOMIC", "gfp", "GFP_ATOMIC|__GFP_NOWARN"),
        ("GFP_NOWAIT", "gfp", "GFP_NOWAIT|__GFP_NOWARN"),
        ("mask 0", "gfp", "none"),
        ("alloc_pages_nolock()", "row", "trylock"),
        ("kmalloc_nolock()", "call", "KMNL"),
        ("allocate before, in a task", "before", "GFP_KERNEL"),
    )
    for words, how, what in ways:
        if words == "alloc_pages_nolock()" and kernel.version < (6, 15):
            yield {"way": words, "verdict": f"{kernel.name} has none: it came with v6.15"}
            continue
        try:
            if how == "call":
                answer = verdict(read_request(what, 0, kernel), context(where), Setup("dry"), kernel)
            else:
                request = make_request(kernel, row=what) if how == "row" else make_request(kernel, what)
                answer = verdict(request, context("task" if how == "before" else where), Setup("dry"), kernel)
        except InputError as error:
            yield {"way": words, "verdict": f"not modelled: {error}"}
            continue
        yield {"way": words, "verdict": outcome(answer)}


def facts(found: Found) -> dict[str, Any]:
    """Return the explanation as plain data."""
    it = read_locks(found)
    by, lock = forbidding(it)
    kernel = kernel_of(it)
    model = compared(it, kernel)
    wanted = it.wanted
    need = f" of wait type {wanted.outer} ({TYPES.get(wanted.outer, '?')})" if wanted and wanted.outer else ""
    why = []
    if wanted:
        why.append(f"{wanted.name}{need} was wanted in {wanted.where}, in {context_words(it)}")
    if it.place:
        why.append(f"{it.place} may sleep; the caller may not: {context_words(it)}")
    if by:
        why.append(f"forbidden by {by}")
    if it.usages:
        why.append(
            f"the lock was used as {it.usages[0]} before, and as {it.usages[1]} now: the second may interrupt the first"
        )
    if it.count is not None:
        why.append(f"the task went to sleep with preempt_count {it.count:#x}")
    whose = owner(it)
    why.append(f"the request is that of {whose}" if whose else "the call chain shows no allocation that is known here")
    return {
        "kind": found.kind,
        "line": found.line,
        "release": found.release,
        "lock": wanted.name if wanted else None,
        "asked": {
            "lock": wanted.name if wanted else None,
            "types": f"{wanted.outer}:{wanted.inner}" if wanted and wanted.outer is not None else None,
            "where": wanted.where if wanted else it.place or None,
            "owner": whose or None,
        },
        "context": context_words(it),
        "context_base": it.base,
        "held": [one.name for one in it.held],
        "forbidden_by": lock.name if lock else None,
        "why": why,
        "cases": model.cases,
        "model": model.said,
        "verdict_agrees": model.agrees,
        "otherwise": [f"{way['way']}: {way['verdict']}" for way in ways_out(kernel, model.cases)],
        "missing": it.missing,
        "remarks": list(found.lost),
        "unknown": ["which mask was asked for: a report of locks does not print it"],
    }
