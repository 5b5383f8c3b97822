"""Pictures of a stack of held locks: what each level leaves to the next, which locks a request took, what was printed.

Nothing is told by colour alone: a lock that is held has a dot, one that is taken an arrow, a report a cross.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
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


@dataclass(frozen=True)
class Plate:
    """One plate of a drawn stack: a level, or a lock that is held, taken or tried.

    ``needs`` and ``leaves`` are wait types as the kernel numbers them, ``allowed`` what is left where it is put (None:
    it changes nothing); ``said`` are the reports on it.
    """

    level: str
    what: str
    type: str = ""
    needs: int | None = None
    leaves: int | None = None
    allowed: int | None = None
    leaves_text: str = "as before"
    wanted: bool = False
    tried: bool = False
    said: tuple[str, ...] = ()

    @property
    def broken(self) -> bool:
        """Return whether it is wider than what is left for it, and is waited for."""
        return self.wanted and not self.tried and (self.needs or 0) > (9 if self.allowed is None else self.allowed)


def levels(where: Context, kernel: Kernel) -> Iterator[Plate]:
    """Yield the levels of a stack from the task: at which interrupt level, what, its type, and what it leaves."""
    bare = Cpu(kernel)
    yield Plate("task", NOTHING, leaves=bare.allowed, leaves_text=wait_text(bare.wait_context, kernel.nesting))
    known = 0
    for at, entry in enumerate(where.entries, 1):
        cpu = Cpu(kernel)
        cpu.enter(replace(where, entries=where.entries[:at]))
        if entry.word in WORDS:
            new = bool(entry.item.level)
            leaves = wait_text(cpu.wait_context, kernel.nesting) if new else "as before"
            threaded = " (RT: in a task)" * (kernel.rt and entry.item.level not in ("", cpu.level))
            number = cpu.number(cpu.wait_context) if new else None
            what = f"{WORDS[entry.word]}{threaded}"
            yield Plate(cpu.level, what, leaves=number, allowed=cpu.allowed, leaves_text=leaves)
        for held in cpu.held[known:]:
            leaves = wait_text(held.lock.inner, kernel.nesting) if held.lock.inner else "as before"
            needs, inner = cpu.number(held.lock.outer), cpu.number(held.lock.inner)
            said = f"{HELD} {held.lock.name}"
            yield Plate(cpu.level, said, held.lock.text(kernel.nesting), needs, inner, leaves_text=leaves)
        known = len(cpu.held)


def stack_of(where: Context, kernel: Kernel) -> Picture:
    """Draw a context as a stack, outermost lowest, with the wait type that each level leaves to what is put on it."""
    plates = list(levels(where, kernel))
    rows = [(plate.level, plate.what, plate.type, plate.leaves_text) for plate in plates]
    text = table(["level", "what", "type {needs:leaves}", "leaves"], rows).text
    return Picture(drawn_stack(plates, text), text)


def wanted(found: Verdict) -> Iterator[Plate]:
    """Yield the locks that a request took, or tried, in order, with what was left for each, and the reports on it."""
    cpu = Cpu(found.kernel)
    cpu.enter(found.context)
    nesting = found.kernel.nesting
    seen = set()
    for step in found.steps:
        if step.what == "release":
            cpu.release(step.lock)
        if step.what not in ("acquire", "try", "busy"):
            continue
        lock, allowed, key = found.kernel.lock(step.lock), cpu.allowed, (step.what, step.lock, step.where)
        if step.what != "busy":
            cpu.acquire(lock, step.where, step.what == "try", instance=step.zone)
        if key not in seen:
            seen.add(key)
            said = tuple(f"{SAID}{SHORT[r.kind]}" for r in found.reports if names(r, *key))
            tried = step.what != "acquire"
            leaves = (cpu.number(lock.outer), cpu.number(lock.inner), allowed)
            what = f"{TAKES} {'tries' if tried else 'takes'} {lock.name}"
            yield Plate(found.context.level, what, lock.text(nesting), *leaves, wanted=True, tried=tried, said=said)


def took(found: Verdict) -> Picture:
    """Draw the locks that a request took, or tried, in order, and which of them were reported."""
    plates = list(wanted(found))
    rows = [(*plate.what.rsplit(" ", 1), plate.type, ", ".join(plate.said) or NOTHING) for plate in plates]
    text = table(["request", "lock", "type", "reported"], rows or [["takes no lock", "", "", ""]]).text
    return Picture(drawn_stack(plates, text) if plates else f"<p>{NO_LOCK}</p>", text)


NO_LOCK = "The request takes no lock."
KEY_OF_WIDTH = (
    "A plate is as wide as the longest wait that it allows on top of it. A lock that needs more than is left does not "
    "fit; one that is only tried is not checked."
)


def drawn_stack(plates: Sequence[Plate], alt: str) -> str:
    """Draw plates, the last one on top."""
    rows = (f"<li{kind_of(one)}><i>{shape(one)}</i><div>{beside(one)}</div></li>" for one in reversed(plates))
    listed = f'<ol style="list-style:none;margin:0;padding:0">{"".join(rows)}</ol>'  # a list may be no picture itself
    return f'<div class="gfp-stack" role="img" aria-label="{escape(alt)}">{listed}</div>'


def kind_of(plate: Plate) -> str:
    """Return the classes of a plate's line."""
    kinds = {
        "wanted": plate.wanted,
        "broken": plate.broken or bool(plate.said),
        "tried": plate.tried,
        "floor": not plate.type and plate.leaves is not None,
        "same": plate.leaves is None,
    }
    return f' class="{" ".join(name for name, on in kinds.items() if on)}"'


def beside(plate: Plate) -> str:
    """Return what is said beside a plate."""
    name = "the task" if plate.what == NOTHING else plate.what
    if not plate.wanted:
        facts = [plate.level if plate.what != NOTHING else "", plate.type, f"leaves {plate.leaves_text}"]
        about = "; ".join(filter(None, facts))
    elif plate.tried:
        about = f"{plate.type}; a trylock is not checked"
    elif not plate.needs:
        about = f"{plate.type}; no wait type in this kernel, so it is not checked"
    else:
        about = f"{plate.type}; needs {plate.needs}, {plate.allowed} is left"
    said = f"<strong>{escape(', '.join(plate.said))}</strong>" if plate.said else ""
    return f"<b>{escape(name)}</b><span>{escape(about)}</span>{said}"


def shape(plate: Plate) -> str:
    """Return a plate as wide at the bottom as what it needs, and at the top as what it leaves.

    What changes nothing, or has no wait type, is as wide as what it stands on.
    """
    allowed = plate.allowed or WIDEST
    bottom = plate.needs or (allowed if plate.type or plate.leaves is None else WIDEST)
    top = plate.leaves or bottom
    left, right = 50 - bottom * WIDE, 50 + bottom * WIDE
    body = f'<path class="body" d="M{50 - top * WIDE:g} 0H{50 + top * WIDE:g}L{right:g} 40H{left:g}z"/>'
    if plate.broken:
        over = [(left, 50 - allowed * WIDE), (50 + allowed * WIDE, right)]
        lines = (f"M{a:g} {y}L{b:g} {y - 12}" for a, b in over for y in range(12, 41, 7))
        body += f'<path class="hatch" d="{"".join(lines)}"/>'
    return f'<svg aria-hidden="true" viewBox="0 0 100 40" preserveAspectRatio="none">{body}</svg>'


WIDEST, WIDE = 5, 9.5  #: the number of LD_WAIT_MAX; half of the width of a wait type, in hundredths


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
    silent = "nothing is printed, though a list may be corrupted" if found.unsafe else "nothing is printed"
    return f"{result(found)}; {', '.join(said) or silent}"


def shows(found: Verdict) -> str:
    """Return what a stack shows, in a sentence."""
    plates = list(wanted(found))
    broken = next((plate for plate in plates if plate.broken), None)
    if broken and not found.lockdep:
        return f"{broken.what.rsplit(' ', 1)[1]} does not fit, and this kernel does not check it here"
    if broken and broken.said:
        return f"{broken.what.rsplit(' ', 1)[1]} does not fit on what is held: the kernel prints a report"
    if found.printed:
        return f"The kernel prints a report: {', '.join(SHORT[report.kind] for report in found.printed)}"
    if not plates:
        return "Nothing is printed: the request takes no lock"
    tries = all(plate.tried for plate in plates)
    return f"Nothing is printed: {'every lock is only tried' if tries else 'every lock fits'}"


def stacked(found: Verdict) -> Picture:
    """Draw a context as a stack with the request's locks on top, in the order in which it takes or tries them."""
    text = f"{stack_of(found.context, found.kernel).text}\n{took(found).text}"
    drawn = drawn_stack([*levels(found.context, found.kernel), *wanted(found)], text)
    return Picture(f'{drawn}<p class="gfp-key">{KEY_OF_WIDTH}</p>', text)


def nested(found: Verdict, title: str) -> Picture:
    """Draw a verdict: the stack with the request's locks on top, the outcome, and what the kernel prints."""
    end, stack, said = outcome(found), stacked(found), printed(found.printed)
    html = (
        f'<p class="gfp-finding">{escape(shows(found))}</p><p class="gfp-call">{escape(title)}</p>'
        f'<p class="gfp-now" role="status">Outcome: {escape(end)}.</p>'
        f'<div class="gfp-grown{" broken" * bool(found.printed)}">{stack.html}{said.html}</div>'
    )
    return Picture(html, "\n".join([title, f"outcome: {end}", stack.text, said.text]))


def wait_types(locks: Iterable[LockClass]) -> Picture:
    """Draw the wait types of locks, without and with PROVE_RAW_LOCK_NESTING."""
    rows = [(lock.name, lock.kind, lock.types(nesting=False), lock.types(nesting=True)) for lock in locks]
    return table(["lock", "kind", "without the option", "with it"], rows)
