"""What a scan reads and writes: columns of its table, words of its state, reasons, and its store of texts."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from gfpmodel.io.ftrace import forms
from gfpmodel.io.ftrace.chars import Bytes, Words, at
from gfpmodel.mm.jit import compiled, entry, i64, u64


class Scan(NamedTuple):
    """What a scan reads and writes."""

    buf: Bytes  #: the text
    forms: Words  #: the forms of lines, packed
    table: Annotated[Words, 2]  #: [column, row]
    state: Words
    slots: Words  #: of the hash table of texts: their numbers
    entries: Words  #: ENTRY words of each text
    store: Bytes  #: the texts' bytes
    reasons: Words  #: how often each reason was met
    problems: Words  #: where the first lines stand that cannot be read, and comments
    comments: Words


EVENTS = (
    "mm_page_alloc",
    "mm_page_free",
    "mm_page_free_batched",
    "mm_page_alloc_zone_locked",
    "mm_page_pcpu_drain",
    "mm_page_alloc_extfrag",
)
ALLOC, FREE, FREE_BATCHED, ZONE_LOCKED, DRAIN, EXTFRAG = range(6)
ZERO_MASK = len(EVENTS) + 1  #: the number of the text "0": what perf trace does not print is 0

# The columns of a row.
EVENT, TIME, CPU, PID, COMM, PFN, ORDER, MIGRATETYPE, GFP, EXTRA, LINE = range(11)
WIDTH = 11

# Fields of an event by number: bits of `needed_fields`.
FIELDS = ("pfn", "order", "migratetype", "gfp_flags", "fallback_order", "percpu_refill")
F_PFN, F_ORDER, F_TYPE, F_GFP, F_FALLBACK, F_REFILL, F_NONE = range(7)

# Words of the scanner's state.
LINES, ROWS, TEXTS, STORED, LAST_TIME, BACKWARDS, BACKWARDS_LINE, PROBLEMS, COMMENTS = range(9)
LOST_LINES, LOST, STACKS, BLANK, FUNCTIONS, COLUMNS_SEEN, TEXTS_FULL, OVERLONG, NAMED = range(9, 18)
UNCOUNTED_LINES, UNCOUNTED_FIRST, RECORDS, HEADINGS, WRAPPED = range(18, 23)
# The form of the event before; what is being matched, and what its columns say.
FORM, TRYING, NEXT, HERE_CPU, HERE_PID, HERE_TIME, HERE_TASK, HERE_TASK_END, HERE_LOST = range(23, 32)
# An event whose line ended before its fields did: mail breaks lines.
OPEN, OPEN_ROW, OPEN_REASON, FOUND = range(32, 36)
FORM_COUNTS = 40  # how many events had each form, then the first line of each
FORM_LINES = FORM_COUNTS + forms.MAX_FORMS
STATE_WORDS = FORM_LINES + forms.MAX_FORMS

# Reasons why a line cannot be read; then missing and bad fields, by event and field, and words that are none, by event.
NO_CPU, NO_TASK, NO_TIME, NO_NAME, TOO_LONG, BAD_CPU, RAW = range(7)
MISSING, BAD_NUMBER, NO_FIELD = 16, 64, 112
REASONS = 120

MAX_TEXTS = 1 << 16
SLOTS = 1 << 18
STORE = 1 << 22
MAX_TEXT = 1 << 10
NOTED = 64  # problems and comments noted a call; the others are counted
LONGEST = 1 << 16  # bytes of a line
WIDEST = 64  # bytes before the separator behind a task's name
NATIVE = 16  # places that ftrace, trace-cmd and perf give the task's name
DIGITS = 20  # of the longest number that a kernel prints: 2^64 - 1, the pfn of no page on 4.x
NAME, TASK, MASK = 1, 2, 3  # kinds of texts
ENTRY = 5  # start, length, kind, first line, count


@entry
@compiled
def intern(s: Scan, start: int, end: int, kind: int) -> Any:
    """Return the number of a text, which is stored when it is new; 0 when there is no room for it."""
    end = min(end, start + MAX_TEXT)
    code = kind
    for i in range(start, end):
        code = (code * 31 + at(s.buf, i)) & 0xFFFFFFFF
    slot = (code ^ code >> 13) & (SLOTS - 1)
    length = end - start
    while True:
        entry = i64(s.slots[u64(slot)])
        if entry == 0:
            break
        where = entry * ENTRY
        if s.entries[u64(where + 1)] == length and s.entries[u64(where + 2)] == kind:
            begin = s.entries[u64(where)]
            i = 0
            while i < length and at(s.store, begin + i) == at(s.buf, start + i):
                i += 1
            if i == length:
                s.entries[u64(where + 4)] += 1
                return entry
        slot = (slot + 1) & (SLOTS - 1)
    entry = s.state[TEXTS]
    if entry >= MAX_TEXTS or s.state[STORED] + length > STORE:
        s.state[TEXTS_FULL] += 1
        return 0
    where = entry * ENTRY
    s.entries[u64(where)] = s.state[STORED]
    s.entries[u64(where + 1)] = length
    s.entries[u64(where + 2)] = kind
    s.entries[u64(where + 3)] = s.state[LINES]
    s.entries[u64(where + 4)] = 1
    for i in range(length):
        s.store[u64(s.state[STORED] + i)] = s.buf[u64(start + i)]
    s.state[STORED] += length
    s.state[TEXTS] += 1
    s.slots[u64(slot)] = entry
    return entry
