"""Read traces of real kernels, as text, into columns: a chunk at a time, in constant memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.io.ftrace import forms
from gfpmodel.io.ftrace import state as st
from gfpmodel.io.ftrace.scan import scan
from gfpmodel.io.streams import BROKEN, ENDLESS, open_bytes
from gfpmodel.mm import jit

CHUNK, SMALL_CHUNK = 1 << 22, 1 << 14  #: bytes; the small one where the scanner runs interpreted
PIECE = 1 << 16
BYTES_A_LINE = 100  #: about
FOREIGN = 1 << 22  #: bytes of lines that no trace has, after which nothing more is read
KNOWN_SHARE = 50  #: of so many lines a trace has at least one of a known form; noise, by chance, one of 180
ROWS = 1 << 16
MAX_PROBLEMS = 20  #: kinds of problems that are kept with their line
EXCERPT = 60

#: What newer kernels print above the flags, and the first kernel with a layout that does; the newest decides.
HEADER_MARKS = (("BH-disabled", "v6.1"), ("migrate-disable", "v5.15"))

#: Where a header names the kernel: the latency format's, `perf script --header`, what `record` writes.
RELEASE = re.compile(r"# (?:\w+ latency trace v\S+ on|os release :|kernel:) (\S+)")
#: How many events are in the buffer and how many were written: `trace`, and the latency format.
WRITTEN = re.compile(r"(?:entries-in-buffer/entries-written: |latency: .*, #)(\d{1,18})/(\d{1,18})")
#: What makes perf script print lost events; `record` writes that it was asked.
SHOWS_LOSSES = "--show-lost-events"
#: A count of per_cpu/cpu*/stats, as `record` writes it.
STATS = re.compile(r"# per_cpu/cpu\d+/stats:(overrun|commit overrun|dropped events): (\d{1,18})")
#: Events of the page allocator begin so; two had other names before v3.3.
OTHER_PAGE_EVENTS = ("mm_page_", "mm_pagevec_")
OLD_NAMES = {
    "mm_page_free_direct": " (before v3.3; it is not quite mm_page_free: pages freed in batches are not in it)",
    "mm_pagevec_free": " (before v3.3)",
}
TRACERS = ("nop", "function_graph")  #: whose traces have the events asked for, in their own lines or as comments


class Columns(NamedTuple):
    """Events of a chunk, one element each, int64.

    ``event`` is a number in ``scan.EVENTS``; ``time`` nanoseconds (ticks, if the trace's clock counts those);
    ``comm`` and ``gfp`` are numbers of texts (``TraceReader.text``); ``pfn`` 0 stands for a failed allocation;
    ``extra`` is percpu_refill or fallback_order, -1 if the line has none; ``line`` counts from 1.
    """

    event: NDArray[np.int64]
    time: NDArray[np.int64]
    cpu: NDArray[np.int64]
    pid: NDArray[np.int64]
    comm: NDArray[np.int64]
    pfn: NDArray[np.int64]
    order: NDArray[np.int64]
    migratetype: NDArray[np.int64]
    gfp: NDArray[np.int64]
    extra: NDArray[np.int64]
    line: NDArray[np.int64]


@dataclass
class Problem:
    """Something in a trace that could not be read, or is odd: what was expected, the first line of it, how many."""

    reason: str
    line: int
    count: int = 1
    excerpt: str = ""

    def __str__(self) -> str:
        times = f" ({self.count} lines)" if self.count > 1 else ""
        found = f": {self.excerpt!r}" if self.excerpt else ""
        return f"{self.reason}{times}{found}"


class TraceReader:
    """A trace as a stream of chunks of columns: iterate over it once, then ask what else it had.

    Arguments: a binary stream; the name for messages.  ``tracer`` is what the header names, ``cpus`` its count of
    CPUs, ``release`` the kernel it names, ``since`` the kernel before which it cannot be, to judge by its header,
    ``flag_columns`` how many flags a line has (0: none), ``lost`` the events that were lost, as far as the trace says.
    """

    def __init__(self, stream: BinaryIO, name: str = "<stream>") -> None:
        self.name = name
        self.tracer = ""
        self.cpus = 0
        self.headers = 0
        self.since: str | None = None
        self.release: str | None = None
        self.shows_losses = False
        self.overwritten = 0
        self.stats: Counter[str] = Counter()
        self.starts: dict[int, int] = {}  # of each cpu, in nanoseconds: asked only of a buffer that was overwritten
        self.noted: dict[str, Problem] = {}
        self._stream = stream
        self._state = np.zeros(st.STATE_WORDS, np.int64)
        self._state[st.TEXTS] = 1  # 0 is: no room for the text
        self._entries = np.zeros(st.MAX_TEXTS * st.ENTRY, np.int64)
        self._store = np.zeros(st.STORE, np.uint8)
        self._reasons = np.zeros(st.REASONS, np.int64)
        self._arrays = st.Scan(
            buf=np.zeros(0, np.uint8),
            forms=forms.packed(),
            table=np.zeros((st.WIDTH, ROWS), np.int64),
            state=self._state,
            slots=np.zeros(st.SLOTS, np.int64),
            entries=self._entries,
            store=self._store,
            reasons=self._reasons,
            problems=np.zeros(st.NOTED * 4, np.int64),
            comments=np.zeros(st.NOTED * 4, np.int64),
        )
        self._first: dict[int, Problem] = {}
        self._broken = ""
        self._skipped = 0  # bytes of a line without end
        self._overwritten_line = 0
        self._begin()

    def _begin(self) -> None:
        """Give the known events the first numbers of texts, and the next one to a mask of 0."""
        for name, kind in [*((name, st.NAME) for name in st.EVENTS), ("0", st.MASK)]:
            text = np.frombuffer(name.encode(), np.uint8)
            st.intern(self._arrays._replace(buf=text), 0, len(text), kind)
        self._entries.reshape(-1, st.ENTRY)[:, 4] = 0

    def __iter__(self) -> Iterator[Columns]:
        pending, last, total = bytearray(), False, 0
        while not last:
            data = self._read()
            last = not data
            total += len(data)
            pending += data
            if total > FOREIGN and self._nothing_known():
                self._broken = self._broken or f"no trace: {FOREIGN >> 20} MiB without a line of a known form"
                pending.clear()
            if len(pending) > st.LONGEST and b"\n" not in pending:
                self._drop_line(pending)
            if last and self._broken:
                self._note(self._broken, int(self._state[st.LINES]) + 1)
            if last and pending:
                line = int(self._state[st.LINES]) + pending.count(b"\n") + 1
                self._note("the last line has no newline: it may be cut short", line)
            at, size = 0, len(pending)
            text = np.frombuffer(pending, np.uint8)
            while at < size:
                before = at
                at = self._scan(text, last, at)
                if self._state[st.ROWS]:
                    columns = Columns(*self._arrays.table[:, : int(self._state[st.ROWS])].copy())
                    self._note_starts(columns)
                    yield columns
                if at == before:
                    break
            del text
            del pending[:at]

    def _note_starts(self, columns: Columns) -> None:
        """Note the first time of each cpu, if what came before it was overwritten."""
        if self.overwritten:
            cpus, first = np.unique(columns.cpu, return_index=True)
            for cpu, at in zip(cpus.tolist(), first.tolist(), strict=True):
                self.starts.setdefault(cpu, int(columns.time[at]))

    def _drop_line(self, pending: bytearray) -> None:
        """Drop the beginning of a line without end; the scanner drops the rest."""
        if not self._state[st.OVERLONG]:
            self._reasons[st.TOO_LONG] += 1
            self._keep(st.TOO_LONG, int(self._state[st.LINES]) + 1, bytes(pending[:EXCERPT]))
            self._skipped = 0
        self._state[st.OVERLONG] = 1
        self._skipped += len(pending)
        if self._skipped > ENDLESS:
            self._broken = f"a line of more than {ENDLESS >> 20} MiB: no trace goes on behind it"
        pending.clear()

    def _nothing_known(self) -> bool:
        """Return whether hardly a line was of a form that traces have."""
        known = self.lines - self.unreadable - int(self._state[st.BLANK])
        return self.lines > KNOWN_SHARE * max(known, 0)

    def _read(self) -> bytes:
        """Return the next bytes, none at the end; what came before a stream breaks off is not lost."""
        read: Any = getattr(self._stream, "read1", self._stream.read)
        chunk = bytearray()
        size = SMALL_CHUNK if jit.way("io") == "interpreted" else CHUNK
        while len(chunk) < size and not self._broken:
            try:
                piece = read(PIECE)
            except BROKEN as error:
                self._broken = f"the data breaks off here ({error})"
                break
            if not piece:
                break
            chunk += piece
        return bytes(chunk)

    def _scan(self, text: NDArray[np.uint8], last: bool, start: int) -> int:
        """Scan until the table is full or the text ends, and keep what was noted; returns where it stopped."""
        jit.expect("io", (len(text) - start) // BYTES_A_LINE)
        arrays = self._arrays._replace(buf=text)
        stopped = int(scan(arrays, len(text), int(last), start))
        for reason, line, begin, end in rows_of(arrays.problems, int(self._state[st.PROBLEMS])):
            self._keep(reason, line, text[begin : min(end, begin + EXCERPT)].tobytes())
        for _, line, begin, end in rows_of(arrays.comments, int(self._state[st.COMMENTS])):
            self._comment(text[begin : min(end, begin + 200)].tobytes(), line)
        return stopped

    def _keep(self, reason: int, line: int, excerpt: bytes) -> None:
        if reason not in self._first:
            self._first[reason] = Problem(explain(reason), line, 0, excerpt.decode("utf-8", "replace").strip())

    def _note(self, reason: str, line: int) -> None:
        if reason in self.noted:
            self.noted[reason].count += 1
        elif len(self.noted) < MAX_PROBLEMS:
            self.noted[reason] = Problem(reason, line)

    def _comment(self, text: bytes, line: int) -> None:
        """Read a header line: the tracer, the kernel, how many CPUs there were, what was overwritten or dropped."""
        words = text.decode("utf-8", "replace")
        if found := re.match(r"# tracer: (\S+)", words):
            self._note_tracer(found[1], line)
        if found := re.search(r"#P:(\d{1,5})", words):
            self.cpus = max(self.cpus, int(found[1]))
        if SHOWS_LOSSES in words:
            self.shows_losses = True
        if found := RELEASE.match(words):
            self.release = self.release or found[1]
        if found := WRITTEN.search(words):
            self._note_written(int(found[1]), int(found[2]), line)
        if found := STATS.match(words):
            self.stats[found[1]] += int(found[2])
            if int(found[2]):
                self._note(
                    f"the ring buffer lost events ({found[1]} in per_cpu/cpu*/stats); record with a larger one", line
                )
        for mark, kernel in HEADER_MARKS:
            if mark in words and self.since != HEADER_MARKS[0][1]:
                self.since = kernel

    def _note_tracer(self, tracer: str, line: int) -> None:
        """Note whose trace it is, and what is odd about that."""
        self.headers += 1
        if self.headers > 1:
            self._note("a second header: two traces in one file", line)
        elif tracer not in TRACERS:
            self._note(f"a trace of the {tracer} tracer; expected the header `# tracer: nop`", line)
        self.tracer = self.tracer or tracer

    def _note_written(self, here: int, written: int, line: int) -> None:
        """Note that the buffer was overwritten: its beginning is not in the trace, and each cpu's is another."""
        if written > here:
            self.overwritten += written - here
            self._overwritten_line = line

    # afterwards

    @property
    def lines(self) -> int:
        """Return how many lines there were."""
        return int(self._state[st.LINES])

    @property
    def lost(self) -> int:
        """Return how many events were lost, as far as the trace says: by its lines, its header, and the statistics.

        What was overwritten may be told in all three, so the largest counts; what was dropped, in the last alone.
        """
        overwritten = max(int(self._state[st.LOST]), self.overwritten, self.stats["overrun"])
        return overwritten + self.stats["commit overrun"] + self.stats["dropped events"]

    @property
    def flag_columns(self) -> int:
        """Return how many columns of flags (irqs-off, need-resched, ...) the lines have, 0 if none."""
        return int(self._state[st.COLUMNS_SEEN])

    @property
    def unreadable(self) -> int:
        """Return how many lines are neither events nor anything else that a trace has."""
        return int(self._reasons.sum())

    @property
    def read(self) -> int:
        """Return how many events could be read."""
        named = int(self._state[st.NAMED] + self._reasons[st.MISSING :].sum())
        return sum(self.events.values()) - named

    @property
    def events(self) -> dict[str, int]:
        """Return how many lines there are of each event, by name, the torn ones included: what grep counts."""
        found = {self.text(i): count for i, kind, count in self._kinds() if kind == st.NAME and count}
        return dict(sorted(found.items()))

    def _kinds(self) -> Iterator[tuple[int, int, int]]:
        table = self._entries.reshape(-1, st.ENTRY)[: int(self._state[st.TEXTS])]
        for number, (_, _, kind, _, count) in enumerate(table.tolist()):
            yield number, kind, count

    def text(self, number: int) -> str:
        """Return the text (a task's name, an event's name, a mask) that has a number."""
        begin, length = self._entries[number * st.ENTRY : number * st.ENTRY + 2].tolist()
        text = self._store[begin : begin + length].tobytes().decode("utf-8", "replace")
        return text if number else "(too many different texts)"

    def masks(self) -> dict[int, tuple[str, int]]:
        """Return the masks as printed, by number: each with the line on which it stood first."""
        lines = self._entries.reshape(-1, st.ENTRY)[:, 3]
        return {i: (self.text(i), int(lines[i])) for i, kind, count in self._kinds() if kind == st.MASK and count}

    def tasks(self) -> dict[int, str]:
        """Return the names of the tasks, by number."""
        return {i: self.text(i) for i, kind, _ in self._kinds() if kind == st.TASK}

    @property
    def problems(self) -> list[Problem]:
        """Return what could not be read or is odd, a line of summary for each kind, in the order of the lines."""
        found = [*self.noted.values(), *self._losses(), *self._lacking(), *self._dropped()]
        for reason, problem in self._first.items():
            if count := int(self._reasons[reason]):
                found.append(Problem(problem.reason, problem.line, count, problem.excerpt))
        if self._state[st.BACKWARDS]:
            line, count = (int(self._state[word]) for word in (st.BACKWARDS_LINE, st.BACKWARDS))
            found.append(Problem("the clock goes backwards; expected rising times", line, count))
        if self._state[st.TEXTS_FULL]:
            found.append(Problem("too many different names", self.lines, int(self._state[st.TEXTS_FULL])))
        return sorted(found, key=lambda problem: problem.line)

    def _losses(self) -> Iterator[Problem]:
        """Yield what the trace says of lost events beyond their number."""
        if self.overwritten:
            ends = sorted(self.starts.items(), key=lambda item: item[1])
            begins = ", ".join(f"cpu {cpu} at {time / 1e9:.6f}" for cpu, time in ends[:4])
            why = (
                f"{self.overwritten} events were overwritten before the trace was read: what is here begins on {begins}"
            )
            yield Problem(why if ends else why.partition(":")[0], self._overwritten_line)
        perf = [row for row, form in enumerate(forms.FORMS) if form.printed_by == "perf script"]
        lines = [int(self._state[st.FORM_LINES + row]) for row in perf if self._state[st.FORM_COUNTS + row]]
        if lines and not self.shows_losses and not self._state[st.LOST_LINES]:
            yield Problem(
                f"perf script prints lost events only with {SHOWS_LOSSES}: 0 lost may not be true", min(lines)
            )
        if self._state[st.UNCOUNTED_LINES]:
            count, line = (int(self._state[word]) for word in (st.UNCOUNTED_LINES, st.UNCOUNTED_FIRST))
            yield Problem("events were lost, and the trace does not say how many", line, count)

    def _lacking(self) -> Iterator[Problem]:
        """Yield what the lines of a form do not say."""
        for row, form in enumerate(forms.FORMS):
            if form.lacks and (count := int(self._state[st.FORM_COUNTS + row])):
                yield Problem(f"{form.printed_by}: {form.lacks}", int(self._state[st.FORM_LINES + row]), count)

    def _dropped(self) -> Iterator[Problem]:
        """Yield the events of the page allocator that are counted and not read: other kernels have others."""
        for number, kind, count in self._kinds():
            name = self.text(number)
            if kind == st.NAME and count and name not in st.EVENTS and name.startswith(OTHER_PAGE_EVENTS):
                line = int(self._entries[number * st.ENTRY + 3])
                yield Problem(f"{name}: an event that is not replayed{OLD_NAMES.get(name, '')}", line, count)

    @property
    def other_lines(self) -> dict[str, int]:
        """Return how many lines are no events, by what they are."""
        words = {
            "lost events": st.LOST_LINES,
            "stack": st.STACKS,
            "blank": st.BLANK,
            "function": st.FUNCTIONS,
            "record of perf": st.RECORDS,
            "heading": st.HEADINGS,
            "rest of a broken line": st.WRAPPED,
        }
        return {name: int(self._state[word]) for name, word in words.items() if self._state[word]}


def rows_of(notes: NDArray[np.int64], count: int) -> list[list[int]]:
    """Return the rows that were noted."""
    found: list[list[int]] = notes.reshape(-1, 4)[: min(count, st.NOTED)].tolist()
    return found


EMPTY_MASK = " (v6.1 prints nothing behind it when options/hash-ptr is 0: echo 1 > options/hash-ptr)"


def explain(reason: int) -> str:
    """Say what was expected on a line."""
    if reason >= st.NO_FIELD:
        return f"{st.EVENTS[reason - st.NO_FIELD]} with a word that is no key=value"
    if reason >= st.BAD_NUMBER:
        event, field = divmod(reason - st.BAD_NUMBER, 8)
        return f"{st.EVENTS[event]} with a {st.FIELDS[field]}= that is no number"
    if reason >= st.MISSING:
        event, field = divmod(reason - st.MISSING, 8)
        return f"{st.EVENTS[event]} without {st.FIELDS[field]}={EMPTY_MASK if field == st.F_GFP else ''}"
    return {
        st.NO_CPU: "no [CPU]; expected COMM-PID [CPU] FLAGS TIME: EVENT: fields",
        st.NO_TASK: "no task and pid before [CPU]; expected COMM-PID",
        st.NO_TIME: "no time behind [CPU]; expected SECONDS.MICROSECONDS and a colon",
        st.NO_NAME: "no event behind the time; expected its name and a colon",
        st.TOO_LONG: f"a line of more than {st.LONGEST} bytes",
        st.BAD_CPU: "a cpu number above 65535",
        st.RAW: "options/raw and options/hex print no fields of events; echo 0 > options/raw, and record again",
    }[reason]


@contextmanager
def open_trace(name: str) -> Iterator[TraceReader]:
    """Open a trace, plain, .gz or .xz, ``-`` for standard input; raises InputError if it cannot be opened."""
    with open_bytes(name) as stream:
        yield TraceReader(stream, "<stdin>" if name == "-" else name)
