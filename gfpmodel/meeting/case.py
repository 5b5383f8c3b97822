"""A case that a meeting looks at: its text in an address, its answer as a picture, a mail block and a notebook.

Pure functions: nothing here knows of a server.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from html import escape
from textwrap import wrap
from typing import Any
from urllib.parse import parse_qsl, urlencode

from gfpmodel import __version__
from gfpmodel.errors import InputError, NotModelledError, unknown
from gfpmodel.gfp.layouts import MILESTONES, kernel_name, parse_config
from gfpmodel.locking import Kernel, Verdict, make_kernel
from gfpmodel.locking.command import Question, ask, locks_of
from gfpmodel.locking.machine import PCP, Lists, ready
from gfpmodel.locking.spoken import PLACES, UNSAFE
from gfpmodel.locking.step import Taken
from gfpmodel.locking.verdict import lists_of, on_engine, tries
from gfpmodel.mm import Rule
from gfpmodel.mm.rules import ORDINARY
from gfpmodel.mm.script import Step, run_script
from gfpmodel.mm.state import MAX_ORDER
from gfpmodel.proposals import PATCHED, PROPOSALS, proposal
from gfpmodel.show.charts import Scale
from gfpmodel.show.matrices import status
from gfpmodel.show.measured import measured
from gfpmodel.show.path import pages
from gfpmodel.show.pictures import Picture, table, to_repeat
from gfpmodel.show.plots import Dot, dots, number
from gfpmodel.show.stacks import outcome, printed, result, shows, stacked, way, way_of_work
from gfpmodel.sim import Interval
from gfpmodel.sim.run import unit

LONGEST = 200  #: of a value in an address
VERSUS = "versus"  #: in an address: the case that stands beside
COLUMNS = 72  #: of a mail
PATH_SINCE = (5, 8)  #: the allocator's path is that of v5.8; what later kernels changed is known
RT_PATHS = ((5, 4),)  #: earlier, of RT trees that were read
#: The kernels that the page offers.
KERNELS = tuple(name for name in MILESTONES if make_kernel(name).version >= min(PATH_SINCE, *RT_PATHS))


@dataclass(frozen=True)
class Load:
    """An experiment of gfpmodel.sim, small enough for a page: its settings, seeds, and figures with their words."""

    title: str
    name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    seeds: int = 5


_ASKER = {
    "failed_share.asker": "requests that failed",
    "before_null.asker": "requests before the first NULL, or all",
    "refills.asker": "refills",
}
LOADS = {
    "none": Load("no load"),
    "freed_elsewhere": Load(
        "100,000 requests a second, freed on another CPU",
        "cross_cpu",
        {"frees_on": "next", "duration_ms": 20},
        _ASKER,
    ),
    "freed_here": Load(
        "100,000 requests a second, freed on the same CPU",
        "cross_cpu",
        {"frees_on": "same", "duration_ms": 20},
        _ASKER,
    ),
    "refilled": Load(
        "freed on another CPU, and ordinary requests that refill",
        "cross_cpu",
        {"frees_on": "next", "refill_rate": 20_000.0, "duration_ms": 20},
        _ASKER,
    ),
    "raid": Load(
        "bursts of 32, while other callers use the lists",
        "co_tenant",
        {"duration_ms": 10},
        {
            "failed_share.raid": "requests that failed",
            "mean_op_ns.alone": "an operation of the other callers, alone",
            "mean_op_ns.raided": "an operation of theirs, beside these requests",
            "refills_per_1000.alone": "refills of the other callers in 1,000 operations, alone",
            "refills_per_1000.raided": "the same, beside these requests",
        },
    ),
    "miss": Load(
        "the price of a request: lists full, and lists that stay empty",
        "miss_cost",
        {"duration_ms": 10},
        {
            "failed_share.miss": "requests that failed, lists empty",
            "hit_ns": "a request, lists full",
            "miss_ns": "a request, lists empty",
        },
    ),
}


@dataclass(frozen=True)
class Case:
    """What a meeting asks; by default the RFC's own trouble, a raw lock held and an empty list.

    ``gfp`` is a mask that is asked instead of the proposal, if not empty; ``config`` options as ``NAME,NAME=n``;
    ``pcp`` the state of this CPU's lists; ``contended`` whether another CPU holds every lock that is waited for.
    """

    proposal: str = "nowait"
    gfp: str = ""
    order: int = 0
    context: str = "raw"
    pcp: str = "dry"
    contended: bool = False
    kernel: str = PATCHED
    config: str = "PROVE_RAW_LOCK_NESTING"
    load: str = "none"

    @property
    def question(self) -> Question:
        """Return the case as the command ``verdict`` asks it."""
        row = None if self.gfp else self.proposal
        return Question(self.gfp or None, row, self.order, self.context, self.pcp, self.contended)

    @property
    def options(self) -> dict[str, bool]:
        """Return the options by name; raises InputError."""
        return parse_config(tuple(filter(None, (word.strip() for word in self.config.split(",")))))

    @property
    def title(self) -> str:
        """Return the case in one line."""
        asked = self.gfp or f"proposal {self.proposal}"
        size = f"{1 << self.order} pages" if self.order else "one page"
        where = self.context or "task"
        words = PLACES.get(where, where)
        place = f"in {where}" if words == where else words if words.startswith("in ") else f"while {words}"
        return f"{asked}, {size}, {place}"

    @property
    def setting(self) -> tuple[str, str]:
        """Return the kernel with its options, and the machine."""
        options = ", ".join(f"{name}={'y' if on else 'n'}" for name, on in self.options.items())
        held = "another CPU holds every lock that is waited for" if self.contended else "no lock is contended"
        return f"{self.kernel}, {options or 'default options'}", f"lists of this CPU: {self.pcp}; {held}"


BESIDE = Case(proposal="trylock")  #: what stands beside the case on which the page opens


def query(case: Case) -> str:
    """Return a case as the query of an address, every field written out."""
    return urlencode({f.name: _word(getattr(case, f.name)) for f in fields(case)})


def _word(value: str | int | bool) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def parse(text: str) -> Case:
    """Return the case of a query; what is missing has its default.

    Raises InputError for a parameter that is not known, stands twice, is too long, or has no such value.
    """
    names = [f.name for f in fields(Case)]
    given: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in names:
            raise unknown("parameter", name[:LONGEST], names)
        if name in given:
            raise InputError(f"{name} stands twice in the address; expected once")
        if len(value) > LONGEST or not value.isprintable():
            raise InputError(f"{name} is not printable or longer than {LONGEST}; expected a name or a number")
        given[name] = value.strip()
    return checked(Case(**{name: read(name, value) for name, value in given.items()}))


def parse_pair(text: str) -> tuple[Case, Case | None]:
    """Return the case of a query, and that of its ``versus``, which is a query itself; raises InputError."""
    pairs = parse_qsl(text, keep_blank_values=True)
    others = [value for name, value in pairs if name == VERSUS]
    if len(others) > 1:
        raise InputError(f"{VERSUS} stands twice in the address; expected once")
    mine = parse(urlencode([pair for pair in pairs if pair[0] != VERSUS]))
    return mine, parse(others[0]) if others and others[0] else None


def read(name: str, value: str) -> Any:
    """Return a value of an address by the type of its field; raises InputError."""
    if name == "order":
        if value not in map(str, range(MAX_ORDER)):
            raise InputError(f"order is {value!r}; expected 0 to {MAX_ORDER - 1}")
        return int(value)
    if name == "contended":
        if value not in ("0", "1"):
            raise InputError(f"contended is {value!r}; expected 0 or 1")
        return value == "1"
    return value


def checked(case: Case) -> Case:
    """Return the case if its names are known; raises InputError.  The context is looked at with the kernel."""
    proposal(case.proposal)
    kernel_name(case.kernel)
    for kind, name, known in (("pcp state", case.pcp, PCP), ("load", case.load, LOADS)):
        if name not in known:
            raise unknown(kind, name, known)
    return case


# the answer


@dataclass(frozen=True)
class Answer:
    """A case, its verdict, what the load gave (or why it is not known), and its way to the page."""

    case: Case
    found: Verdict
    way: Picture
    figures: Mapping[str, Interval]
    gap: str = ""


@lru_cache(maxsize=256)
def answer(case: Case) -> Answer:
    """Answer a case; raises InputError."""
    found = ask(case.question, modelled(make_kernel(case.kernel, case.options), case))
    way = way_of(found, case.pcp)
    try:
        return Answer(case, found, way, under_load(case))
    except NotModelledError as error:
        return Answer(case, found, way, {}, str(error))


def modelled(kernel: Kernel, case: Case) -> Kernel:
    """Return the kernel if the model has its path, and the case's proposal fits it; raises InputError."""
    if kernel.version >= PATH_SINCE:
        return kernel
    if not (kernel.rt and kernel.version in RT_PATHS):
        raise InputError(
            f"{case.kernel}: the model has no such path to a page; expected v5.8 or later, or v5.4 with PREEMPT_RT"
        )
    if not case.gfp and not is_mask(PROPOSALS[case.proposal]):
        raise InputError(
            f"{case.kernel} is older than {case.proposal}; expected v5.8-rc3 or later, or a mask that there is already"
        )
    return kernel


@lru_cache(maxsize=64)
def is_mask(rule: Rule) -> bool:
    """Return whether a row changes nothing: it asks with a mask that exists, under the locks as they are."""
    return replace(ORDINARY, name=rule.name, title=rule.title, request=rule.request) == rule


#: Since when mainline has the code of a row that is no mask.
MERGED = {"deferred_refill": (5, 11), "trylock": (6, 15)}


def added(case: Case, kernel: Kernel) -> bool:
    """Return whether the kernel does not have the code that serves the case's proposal, so that the model adds it."""
    if case.gfp or is_mask(PROPOSALS[case.proposal]):
        return False
    if case.proposal in MERGED:
        return kernel.version < MERGED[case.proposal]
    return not (case.proposal == "fast_try" and kernel.name == PATCHED)


def way_of(found: Verdict, pcp: str) -> Picture:
    """Draw the way of a request on its kernel, as the verdict has it, and what became of pages."""
    if found.request.served_by.runs == "work":
        taken = way(found) if found.steps else _said(cache_only(found))
        return taken + _titled("the work item, in a task", way_of_work(found)) if found.work else taken
    if not found.steps:
        return _said(refusal(found))
    if found.deadlock:
        return way(found)
    return way(found) + _titled(f"pages, on the lists of {found.kernel.engine}", pages(walked(found, pcp)))


def _said(text: str) -> Picture:
    return Picture(f"<p>{escape(text)}</p>", text)


def _titled(text: str, picture: Picture) -> Picture:
    return Picture(f'<p class="gfp-key">{escape(text)}</p>', text) + picture


def cache_only(found: Verdict) -> str:
    """Return how a request to a cache ends whose lock the caller has, or that has no block of the order."""
    if found.request.order > found.request.served_by.highest_order:
        return "no step: the cache has single pages only; returns NULL"
    return f"no step: the caller holds the lock of the cache; returns {found.result}"


def refusal(found: Verdict) -> str:
    """Return why a request took no step."""
    rule = found.request.served_by.on(found.kernel.rt)
    if found.request.order > rule.highest_order:
        return f"no step: order {found.request.order} is refused; returns {found.result}"
    if tries(rule, found.kernel) and found.kernel.rt:
        return f"no step: a sleeping lock must not even be tried here; returns {found.result}"
    return f"no step: no zone is far enough above its watermark; returns {found.result}"


def walked(found: Verdict, pcp: str) -> Step:
    """Run the request of a verdict on the engine once more and return its events as a step."""
    request, rule = found.request, found.request.served_by.on(found.kernel.rt)
    taken = Taken(found.context.zones, found.context.holds_pcp_lock)
    if not rule.flag:
        rule = Rule("request", "a mask", request=f"{request.mask:#x}", kernel=rule.kernel)
    return stepped(rule, pcp, taken, on_engine(request, found.kernel, taken), lists_of(found.kernel))


@lru_cache(maxsize=256)
def stepped(rule: Rule, pcp: str, taken: Taken, asked: tuple[int, bool], lists: Lists) -> Step:
    """Return the events of one request as a step; many cases differ only in what the engine does not see.

    ``asked`` is what `on_engine` says: the order, and whether the lists that count are empty.
    """
    order, emptied = asked
    allocator, _ = ready(rule, pcp, taken, emptied, lists)
    return next(iter(run_script(allocator, f"+{order}!")))


def settings(case: Case) -> dict[str, Any]:
    """Return the parameters of the load's experiment; raises NotModelledError for a request that it cannot make."""
    if case.gfp:
        raise NotModelledError("an experiment asks for a proposal, not for a mask: choose nowait, atomic or gfp0")
    if PROPOSALS[case.proposal].runs == "work":
        raise NotModelledError("its caller takes from a cache that these experiments do not have")
    return {"proposal": case.proposal, **LOADS[case.load].settings}


def under_load(case: Case) -> Mapping[str, Interval]:
    """Run the load's experiment, seeds from 0; returns its figures by their words, none without a load."""
    load = LOADS[case.load]
    if not load.name:
        return {}
    grid = {name: (value,) for name, value in settings(case).items()}
    (found,) = measured(load.name, grid, load.seeds, load.figures).values()
    return found


def load_key(got: Answer) -> str:
    """Return what stands beside the figures of a load, or where they would stand."""
    load = LOADS[got.case.load]
    return f"{load.title} ({load_label(load)})" if got.figures else load.title


def load_label(load: Load) -> str:
    """Return the label of a load's figures."""
    of = f"experiment {load.name} on v5.8's lists, order 0, seeds 0 to {load.seeds - 1}"
    return f"modelled: {of}; mean (95 % confidence interval)"


SHARE = "0 to 1"  #: the unit of a share, which is told in per cent


def load_rows(case: Case, figures: Mapping[str, Interval]) -> list[tuple[str, str]]:
    """Return what the load gave: words, and the mean with its interval and unit."""
    names = {words: figure for figure, words in LOADS[case.load].figures.items()}
    return [(words, dot_of(found, unit(names[words])).said) for words, found in figures.items()]


def dot_of(found: Interval, of: str) -> Dot:
    """Return a figure as a point with its words, a share in per cent."""
    if of == SHARE:
        return number(Interval(*(100 * end for end in found)), "%")
    return number(found, "" if of == "count" else of)


# what repeats it


def commands(case: Case) -> list[list[str]]:
    """Return the command lines, as words, that give the same answers."""
    words = [f"--gfp={case.gfp}" if case.gfp else f"--proposal={case.proposal}", f"--order={case.order}"]
    words += [f"--context={case.context}", f"--pcp={case.pcp}", f"--kernel={case.kernel}"]
    words += [f"--config={name}" if on else f"--config={name}=n" for name, on in case.options.items()]
    lines = [["python", "-m", "gfpmodel", "verdict", *words, *["--contended"] * case.contended]]
    load = LOADS[case.load]
    if load.name:
        try:
            sets = [f"--set={name}={value}" for name, value in settings(case).items()]
        except NotModelledError:
            return lines
        lines.append(["python", "-m", "gfpmodel", "experiment", load.name, *sets, f"--seeds={load.seeds}"])
    return lines


def shell(words: Sequence[str], columns: int = COLUMNS - 2) -> str:
    """Return a command for a shell, broken after words, so that its lines fit a mail."""
    lines = [""]
    for word in map(shlex.quote, words):
        if len(word) > columns - 6:  # one word: it goes on at the left edge
            bare = shlex.split(word)[0]
            parts = [shlex.quote(bare[at : at + columns // 2]) for at in range(0, len(bare), columns // 2)]
            lines += ["  " + "\\\n".join(parts)]
        elif len(lines[-1]) + len(word) + 3 > columns:
            lines.append(f"    {word}")
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return " \\\n".join(lines)


# the page


def section(title: str, picture: Picture, key: str = "") -> str:
    """Return a part of the page: a heading, what it says, the picture."""
    said = f'<p class="gfp-key">{escape(key)}</p>' if key else ""
    return f"<section><h2>{escape(title)}</h2>{said}{picture.html}</section>"


def fold(title: str, picture: Picture) -> str:
    """Return a part of the page that is folded up."""
    return f"<details><summary>{escape(title)}</summary>{picture.html}</details>"


def locks(found: Verdict) -> Picture:
    """Draw the stack with the request's locks on top, what it shows, and what the kernel prints, if it does."""
    stack, said = stacked(found), printed(found.printed)
    html = f'<p class="gfp-finding">{escape(shows(found))}</p>'
    html += (
        f'<div class="gfp-grown{" broken" * bool(found.printed)}">{stack.html}{said.html * bool(found.printed)}</div>'
    )
    return Picture(html, "\n".join([shows(found), stack.text, said.text]))


def page(got: Answer) -> dict[str, str]:
    """Return what the page shows: the query, the outcome in a line, pictures as HTML and as text, the mail block."""
    case, found = got.case, got.found
    lines = "\n".join(shell(words) for words in commands(case))
    parts = [("Locks, from the bottom up", locks(found), warning(found))]
    if LOADS[case.load].name:
        parts.append(("Failure and cost", under(got), load_key(got)))
    does = "would do with that code" if added(case, found.kernel) else "does"
    folded = [
        (f"Path: what {found.kernel.release} {does}, step by step", got.way),
        ("The command that repeats it", to_repeat(lines)),
    ]
    return {
        "query": query(case),
        "title": case.title,
        "outcome": outcome(found),
        "html": "".join(section(*part) for part in parts) + "".join(fold(*part) for part in folded),
        "text": "\n\n".join(f"{title}\n{it.text}" for title, it in [*((p[0], p[1]) for p in parts), *folded]),
        "block": block(got),
    }


def under(got: Answer) -> Picture:
    """Show what a load gave, its shares as points, or why it is not known."""
    if not got.figures:
        return _said(f"Not known: {got.gap}")
    names = {words: figure for figure, words in LOADS[got.case.load].figures.items()}
    failed = {words: {"": dot_of(found, SHARE)} for words, found in got.figures.items() if unit(names[words]) == SHARE}
    said = [f"{said} failed" for said in (dot[""].said for dot in failed.values())]
    rest = [row for row in load_rows(got.case, got.figures) if row[0] not in failed]
    drawn = dots(" and ".join(["Under this load " + said[0], *said[1:]]), failed, Scale(0, 100, "%"))
    return drawn + table(("what else it gave", "mean (95 % interval)"), rest)


#: How a verdict stands, from best to worst, in the words of a meeting; what cannot be compared is not in it.
STANDS = {
    "page": "gets its page, and nothing is printed",
    "NULL": "gets NULL, and nothing is printed",
    "reported": "is reported",
    "unsafe": "may corrupt a list, and nothing is printed",
    "deadlock": "never returns: the CPU waits for itself",
}


def choice(mine: Answer, other: Answer) -> str:
    """Return which of two cases is better, A or B; a request that is reported may still get its page.

    That is said of one request; of a load its share of failures is said after it.
    """
    return f"{better_of(mine, other)} {loads_of(mine, other)}".strip()


def loads_of(mine: Answer, other: Answer) -> str:
    """Return what the loads of two cases say, or that they do not count."""
    if not (LOADS[mine.case.load].name or LOADS[other.case.load].name):
        return ""
    if mine.case.load != other.case.load or not (mine.figures and other.figures):
        return "This is said of one request. Choose the same load for A and B to compare how often they fail."
    failed = [next(iter(got.figures.values())) for got in (mine, other)]
    a, b = (f"{100 * one.mean:.3g} %" for one in failed)
    apart = failed[0].high < failed[1].low or failed[1].high < failed[0].low
    same = "" if apart or a == b else ", but their intervals overlap"
    return f"Under the load {a} of the requests fail for A and {b} for B{same}."


def better_of(mine: Answer, other: Answer) -> str:
    """Return which of two requests ends better, A or B, in one line."""
    stand = [status(got.found) for got in (mine, other)]
    if not set(stand) <= set(STANDS):
        return "A and B cannot be compared: a context is reported itself, before any request."
    if stand[0] == stand[1]:
        return f"Neither is better here: each {STANDS[stand[0]]}."
    ranks = list(STANDS)
    better, worse = ("A", "B") if ranks.index(stand[0]) < ranks.index(stand[1]) else ("B", "A")
    words = {letter: ended(got.found) for letter, got in zip("AB", (mine, other), strict=True)}
    return f"{better}: it {words[better]}. {worse} {words[worse]}."


def ended(found: Verdict) -> str:
    """Return how a verdict stands; of one that is reported, what it gets as well."""
    got = {"page": ", and gets its page", "NULL": ", and gets NULL"}.get(found.result or "", "")
    return STANDS[status(found)] + got * (status(found) == "reported")


def warning(found: Verdict) -> str:
    """Return what the reports do not say of themselves."""
    if found.unsafe:
        return f"{UNSAFE}; no check says so"
    return "the first is on the context's own lock; the silence after it proves nothing" if found.before else ""


# the exports


def block(got: Answer) -> str:
    """Return the answer as plain text for a mail, 72 columns at most."""
    return "\n".join(line for part in _block(got) for line in part)


def _block(got: Answer) -> Iterator[list[str]]:
    case, found, load = got.case, got.found, LOADS[got.case.load]
    yield labelled("question", f"What becomes of {case.title}?")
    if not case.gfp:
        yield labelled("", PROPOSALS[case.proposal].title)
        if added(case, found.kernel):
            yield labelled("", "This kernel does not have that code; the model adds it.")
    for label, text in zip(("setting", ""), case.setting, strict=True):
        yield labelled(label, text)
    yield labelled("result", result(found))
    yield labelled("locks", locks_of(found))
    yield labelled("reports", "; ".join(map(str, found.printed)) or "nothing is printed")
    if warning(found):
        yield labelled("but", warning(found))
    for report in found.printed:
        yield [part for line in report.text().splitlines() for part in fitted(line)]
        yield [""]
    if load.name:
        yield labelled("load", load_key(got))
        rows = [f"{words}: {value}" for words, value in load_rows(case, got.figures)]
        yield [part for row in rows or [f"not known: {got.gap}"] for part in fitted(row)]
    yield labelled("repeat", f"modelled, not measured, by gfpmodel {__version__}")
    yield [f"  {line}" if line.startswith(("python", " ")) else line for line in repeated(case)]


def labelled(label: str, text: str) -> list[str]:
    """Return a text beside a label, wrapped."""
    return wrap(text, COLUMNS, initial_indent=f"{label:<10}", subsequent_indent=" " * 10)


def fitted(line: str) -> list[str]:
    """Return a line, indented, that goes on in further lines if it is too long."""
    if len(line) <= COLUMNS - 2:
        return [f"  {line}".rstrip()]
    return wrap(line, COLUMNS, initial_indent="  ", subsequent_indent="      ")


def repeated(case: Case) -> list[str]:
    """Return the lines of the commands."""
    return [line for words in commands(case) for line in shell(words).splitlines()]


def notebook(got: Answer) -> str:
    """Return the case as a notebook that asks it again, in the format of Jupyter."""
    import nbformat

    v4: Any = nbformat.v4
    case, load = got.case, LOADS[got.case.load]
    asked = {f.name: getattr(case.question, f.name) for f in fields(Question)}
    told = ", ".join(f"{name}={value!r}" for name, value in asked.items() if value not in (None, False))
    cells: list[tuple[str, str]] = [
        ("markdown", f"# {case.title}\n\n{'; '.join(case.setting)}.  Made with gfpmodel {__version__}."),
        ("code", "from gfpmodel.locking import make_kernel\n"
         "from gfpmodel.locking.command import Question, ask, describe\n\n"
         f"kernel = make_kernel({case.kernel!r}, {case.options!r})\n"
         f"found = ask(Question({told}), kernel)\nprint(describe(found))"),
        ("code", f"from gfpmodel.show.stacks import nested\n\nnested(found, {case.title!r})"),
    ]  # fmt: skip
    if got.figures:
        grid = {name: [value] for name, value in settings(case).items()}
        cells += [
            ("markdown", f"{load.title}: {load_label(load)}."),
            ("code", "from gfpmodel.show.measured import measured\n\n"
             f"figures = {dict(load.figures)!r}\n"
             f"(found,) = measured({load.name!r}, {grid!r}, {load.seeds}, figures).values()\n"
             "for words, value in found.items():\n    print(f'{words}: {value}')"),
        ]  # fmt: skip
    make = {"markdown": v4.new_markdown_cell, "code": v4.new_code_cell}
    book = v4.new_notebook(
        cells=[make[kind](source, id=f"case-{at}") for at, (kind, source) in enumerate(cells)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    return str(v4.writes(book))
