"""Pictures of a stack of held locks: what each level leaves to the next, which locks a request took, what was printed.

Nothing is told by colour alone: a lock that is held has a dot, one that is taken an arrow, a report a cross.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from html import escape

from gfpmodel.locking import (
    Context,
    Cpu,
    Kernel,
    LockClass,
    LockGraph,
    Report,
    Setup,
    Verdict,
    context,
    make_request,
    verdict,
)
from gfpmodel.locking.classes import wait_text
from gfpmodel.locking.step import Step
from gfpmodel.show.pictures import Picture, table

HELD, TAKES, SAID, NOTHING = "●", "→", "✕\N{NO-BREAK SPACE}", "-"
ARROW = re.compile(r"[\w&;]+-&gt;\w+")
#: Reports by their kind, in the words of their first line.
SHORT = {
    "invalid_wait_context": "Invalid wait context",
    "inconsistent_lock_state": "inconsistent lock state",
    "recursive_locking": "recursive locking",
    "circular_locking": "circular dependency",
    "sleeping_function": "sleeping function",
    "scheduling_while_atomic": "scheduling while atomic",
}
#: What a step does, by its kind.
DOES = {
    "acquire": "takes {lock}",
    "try": "tries {lock} and gets it",
    "busy": "tries {lock}, finds it taken, and does not wait",
    "decline": "declines to take {lock}",
    "release": "gives {lock} back",
    "irq_save": "interrupts off on this CPU",
    "irq_restore": "interrupts on",
    "might_sleep": "says that it may sleep",
}
ASKED = ("acquire", "try", "busy", "might_sleep")  #: steps at which a check may speak
WAY = ("held", "function", "does")
STUCK = "; this CPU holds it, and waits for itself"
WORDS = {
    "softirq": "a softirq comes in",
    "hardirq": "a hardirq comes in",
    "hardirq_threadable": "a hardirq comes in, declared threadable",
    "nmi": "an NMI comes in",
    "irqoff": "interrupts off",
    "preemptoff": "preemption off",
    "bhoff": "softirqs off",
}


@dataclass(frozen=True)
class Ask:
    """A request as a reader makes it: a mask by its names, an order, the state of this CPU's lists, or a proposal."""

    gfp: str | None = None
    order: int = 0
    pcp: str = "dry"
    row: str | None = None

    def __call__(
        self, where: Context | str, kernel: Kernel, contended: bool = False, known: LockGraph | None = None
    ) -> Verdict:
        """Return what becomes of it.

        Arguments: the context or its text; the kernel; whether another CPU holds every lock that is waited for; the
        order of locks seen before.  Raises InputError.
        """
        request = make_request(kernel, self.gfp, self.row, self.order)
        return verdict(request, where, Setup(self.pcp, contended=contended), kernel, known)


def levels(where: Context, kernel: Kernel) -> Iterator[tuple[str, str, str, str]]:
    """Yield the levels of a stack from the task: at which interrupt level, what, its type, and what it leaves."""
    yield "task", NOTHING, "", wait_text(Cpu(kernel).wait_context, kernel.nesting)
    known = 0
    for at, entry in enumerate(where.entries, 1):
        cpu = Cpu(kernel)
        cpu.enter(replace(where, entries=where.entries[:at]))
        if entry.word in WORDS:
            leaves = wait_text(cpu.wait_context, kernel.nesting) if entry.item.level else "as before"
            threaded = " (RT: in a task)" * (kernel.rt and entry.item.level not in ("", cpu.level))
            yield cpu.level, f"{WORDS[entry.word]}{threaded}", "", leaves
        for held in cpu.held[known:]:
            leaves = wait_text(held.lock.inner, kernel.nesting) if held.lock.inner else "as before"
            yield cpu.level, f"{HELD} {held.lock.name}", held.lock.text(kernel.nesting), leaves
        known = len(cpu.held)


def stack_of(where: Context, kernel: Kernel) -> Picture:
    """Draw a context as a stack, outermost first, with the wait type that each level leaves to what comes under it."""
    return whole(table(["level", "what", "type {needs:leaves}", "leaves"], levels(where, kernel)))


def took(found: Verdict) -> Picture:
    """Draw the locks that a request took, or tried, in order, and which of them were reported."""
    taken = dict.fromkeys(
        (step.what, step.lock, step.where) for step in found.steps if step.what in ("acquire", "try", "busy")
    )
    rows = [
        (
            f"{TAKES} {'takes' if what == 'acquire' else 'tries'}",
            lock,
            found.kernel.lock(lock).text(found.kernel.nesting),
            ", ".join(f"{SAID}{SHORT[r.kind]}" for r in found.reports if names(r, what, lock, where)) or NOTHING,
        )
        for what, lock, where in taken
    ]
    return whole(table(["request", "lock", "type", "reported"], rows or [["takes no lock", "", "", ""]]))


def way(found: Verdict) -> Picture:
    """Draw the way of a request: its steps in order, and what the CPU holds before each; reports stand at their step.

    A request that waits for itself ends there.
    """
    return whole(table(WAY, steps_of(found)))


def steps_of(found: Verdict) -> list[tuple[str, str, str]]:
    """Return the steps of a request: what the CPU holds before each, the kernel function, and what it does."""
    rows = list(_way(found.steps, found))
    if not found.deadlock:
        rows.append((NOTHING, found.kernel.entry, f"returns {'a page' if found.result == 'page' else found.result}"))
    return rows


def way_of_work(found: Verdict) -> Picture:
    """Draw the steps of the work item that fills a row's cache; it runs later, in a task."""
    return whole(table(WAY, _way(found.work, replace(found, context=context("task"), reports=()))))


def _way(steps: Iterable[Step], found: Verdict) -> Iterator[tuple[str, str, str]]:
    """Yield what the request holds, the kernel function, and what it does, step by step."""
    mine = [("&zone->lock", zone) for entry in found.context.entries if entry.item.lock for zone in entry.item.zones]
    held: list[Step] = []
    reports = list(found.reports)
    for step in steps:
        opened = next((one for one in reversed(held) if _opens(one, step)), None)
        said = [report for report in reports if step.what in ASKED and names(report, step.what, step.lock, step.where)]
        reports = [report for report in reports if report not in said]
        does = "; ".join([DOES[step.what].format(lock=step.lock), *(f"{SAID}{SHORT[report.kind]}" for report in said)])
        stuck = found.deadlock and step.what == "acquire" and (step.lock, step.zone) in mine
        yield _holds(held), step.where or (opened.where if opened else ""), does + STUCK * stuck
        if stuck:
            return
        if opened:
            held.remove(opened)
        elif step.what in ("acquire", "try", "irq_save"):
            held.append(step)


def _opens(one: Step, step: Step) -> bool:
    """Return whether a step ends what another began."""
    if step.what == "irq_restore":
        return one.what == "irq_save"
    return step.what == "release" and one.lock == step.lock


def _holds(held: Iterable[Step]) -> str:
    return " + ".join(step.lock or "irqs off" for step in held) or NOTHING


def whole(picture: Picture) -> Picture:
    """Return a picture in which a name such as &zone->lock is not broken at its arrow."""
    return Picture(ARROW.sub(r'<span style="white-space:nowrap">\g<0></span>', picture.html), picture.text)


def names(report: Report, what: str, lock: str, where: str) -> bool:
    """Return whether a report is about a lock taken, or tried, in a function.

    On PREEMPT_RT a lock that is tried has a raw one inside, which is what the report names then.
    """
    if report.where == "rt_mutex_slowtrylock":
        return what in ("try", "busy")
    return report.where == where and (report.lock is None or report.lock.name == lock)


def printed(reports: Iterable[Report]) -> Picture:
    """Draw what the kernel prints, in its shape."""
    text = "\n".join(report.text().strip("\n") for report in reports) or "(nothing is printed)"
    html = f'<pre class="gfp-hunk" tabindex="0" aria-label="what the kernel prints">{escape(text)}</pre>'
    return Picture(html, text)


def result(found: Verdict) -> str:
    """Return what a request gives back, in a few words."""
    return "never returns: the CPU waits for itself" if found.deadlock else found.result


def outcome(found: Verdict) -> str:
    """Return the end of a request in a few words."""
    said = [f"{SAID}{SHORT[report.kind]}" for report in found.printed]
    return f"{result(found)}; {', '.join(said) or 'nothing is printed'}"


def nested(found: Verdict, title: str) -> Picture:
    """Draw a verdict: the stack, the locks of the request, the outcome, and what the kernel prints."""
    end = outcome(found)
    html = f'<p class="gfp-title">{escape(title)}</p><p class="gfp-key">outcome: {escape(end)}</p>'
    parts = (stack_of(found.context, found.kernel), took(found), printed(found.printed))
    return sum(parts, Picture(html, f"{title}\noutcome: {end}"))


def wait_types(locks: Iterable[LockClass]) -> Picture:
    """Draw the wait types of locks, without and with PROVE_RAW_LOCK_NESTING."""
    rows = [(lock.name, lock.kind, lock.types(nesting=False), lock.types(nesting=True)) for lock in locks]
    return table(["lock", "kind", "without the option", "with it"], rows)
