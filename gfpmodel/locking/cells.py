"""Tables of cells: requests by the names that the recorded kernels were asked with, read, answered and written."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from gfpmodel.errors import InputError, NotModelledError, unknown
from gfpmodel.gfp import encode
from gfpmodel.locking.kernels import Kernel
from gfpmodel.locking.slab_rows import Call
from gfpmodel.locking.steps import ENGINE
from gfpmodel.locking.verdict import Request, Setup, Verdict, make_call, make_request, verdict

#: Contexts of the recordings of v6.18 as stacks.
STACK_OF = {
    "zlock": "zone_lock",
    "zlockall": "zone_lock>zone_lock_dma",
    "pcplock": "pcp_lock",
    "pcpzlock": "pcp_lock>zone_lock>zone_lock_dma",
    "zremote": "zone_lock_elsewhere",
    "zremoteall": "zone_locks_elsewhere",
    "nmi_over_raw": "raw>nmi",
    "nmi_over_zlock": "zone_lock>zone_lock_dma>nmi",  # every zone's, unlike zlock
    "nmi_over_pcplock": "pcp_lock>nmi",
    "hrt_over_pcplock": "pcp_lock>hardirq",
}
READ = ("request", "order", "context", "pcp", "setup")
ANSWER = ("result", "lockdep_report", "lock", "might_sleep")
WRITTEN = (*READ, *ANSWER)

#: The letters of a recorded request, in the words of the kernel in question.
MASKS = {
    "F": "__GFP_FAST_TRY",
    "Z": "none",
    "N": "GFP_NOWAIT|__GFP_NOWARN",
    "A": "GFP_ATOMIC|__GFP_NOWARN",
    "H": "__GFP_HIGH|__GFP_NOWARN",
    "K": "GFP_KERNEL",
}
#: What a further letter adds to the mask; f says that the memcg charge fails.
MODIFIERS = {
    "u": "",
    "m": "|__GFP_MOVABLE",
    "r": "|__GFP_RECLAIMABLE",
    "a": "|__GFP_ACCOUNT",
    "d": "|GFP_KERNEL",
    "f": "",
}
NAME = re.compile(r"([A-Z]+)(\d+)([a-z]*)")
#: Requests of order 0 that have neither mask nor letters: the object is one of 64 bytes.
CALLS: dict[str, Call] = {
    "KMN": "kmalloc",
    "KMNL": "kmalloc_nolock",
    "KFNL": "kfree_nolock",
    "KFRCU": "kfree_rcu",
    "KFRCUS": "kfree_rcu_sheaf",
    "KFRCUNL": "kfree_rcu_nolock",
}
FREES = {"FREE": "gfp0", "FREENL": "trylock"}  #: frees, and the rows whose locks they take
NOLOCK = "NL"  #: alloc_pages_nolock(), which is the row `trylock`


def read_request(name: str, order: int, kernel: Kernel) -> Request:
    """Return a request by the name that the recorded cells give it, such as F0u, N0af, FREE or KMNL.

    Arguments: the name; the order, which the name's digit must agree with; the kernel.  Raises InputError, and
    NotModelledError for a request that the model does not have on this kernel.
    """
    if name in FREES or name in CALLS:
        if order:
            raise InputError(f"request {name} of order {order}; it is always of order 0")
        if name in CALLS:
            return make_call(kernel, CALLS[name])
        return make_request(kernel, row=FREES[name], free=True)
    found = NAME.fullmatch(name)
    if not found or found[1] not in (*MASKS, NOLOCK) or set(found[3]) - set(MODIFIERS):
        letters, words = ", ".join([*MASKS, NOLOCK]), ", ".join([*FREES, *CALLS])
        raise InputError(f"unknown request {name!r}; expected one of {letters} with an order, as in F0u, or {words}")
    if int(found[2]) != order:
        raise InputError(f"request {name!r} of order {order}; the two do not agree")
    if "f" in found[3] and "a" not in found[3]:
        raise InputError(f"request {name!r}: f, a charge that fails, needs a, an accounted page")
    more = "".join(MODIFIERS[letter] for letter in found[3])
    if found[1] == NOLOCK:
        nolock = make_request(kernel, row="trylock", order=order)
        return replace(nolock, mask=nolock.mask | encode(f"none{more}", ENGINE))
    return make_request(kernel, MASKS[found[1]] + more, order=order)


def read_setup(text: str, pcp: str, request: str) -> Setup:
    """Return what a cell's machine is like; raises InputError for a setup that is not known.

    Arguments: the setup column (``-``, ``memcg``, ``page_owner=on``, ``nolockdep``); the state of the lists; the
    name of the request, whose letter f makes the charge fail.
    """
    setup = Setup(pcp)
    match text.partition(":")[0]:
        case "" | "-":
            return setup
        case "memcg":
            return replace(setup, memcg="fail" if "f" in request else "ok")
        case "page_owner=on":
            return replace(setup, page_owner=True)
        case "nolockdep":
            return replace(setup, prove=False)
    raise unknown("setup", text, ("-", "memcg", "page_owner=on", "nolockdep"))


def cell(row: Mapping[str, str], kernel: Kernel) -> Verdict:
    """Return the verdict on one row of a table of cells; raises InputError."""
    row = {column: row[column].strip() for column in READ}
    if not re.fullmatch(r"[0-9]{1,9}", row["order"]):
        raise InputError(f"order {row['order']!r} is no number")
    request = read_request(row["request"], int(row["order"]), kernel)
    where = STACK_OF.get(row["context"], row["context"])
    return verdict(request, where, read_setup(row["setup"], row["pcp"], row["request"]), kernel)


def read_cells(lines: Iterable[str], name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the columns of every cell; raises InputError if a column is missing."""
    reader = csv.DictReader(lines, strict=True)
    try:
        missing = [column for column in READ if column not in (reader.fieldnames or [])]
        if missing:
            raise InputError(f"a table of cells needs the columns {', '.join(READ)}; {missing[0]} is missing", name, 1)
        for row in reader:
            if None in row or None in row.values():
                raise InputError(f"the row is too {'long' if None in row else 'short'}", name, reader.line_num)
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"no CSV: {error}", name, reader.line_num + 1) from None


def answer(lines: Iterable[str], name: str, kernel: Kernel) -> list[dict[str, str]]:
    """Return the five columns of a table of cells that are asked, and the four of the answer.

    The answer to a request that the model does not have on this kernel is blank.
    Arguments: the lines of the table; its name, for errors; the kernel.  Raises InputError.
    """
    answers = []
    for line, row in read_cells(lines, name):
        try:
            found = cell(row, kernel).row()
        except NotModelledError:
            found = dict.fromkeys(ANSWER, "")
        except InputError as error:
            raise InputError(error.message, name, line) from None
        answers.append({column: row[column] for column in READ} | found)
    return answers


def write_table(rows: list[dict[str, str]], columns: Iterable[str]) -> str:
    """Return rows as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@dataclass(frozen=True)
class Comparison:
    """The model against a recorded table: how many cells agree, which differ, which ask for what is not modelled.

    ``different`` has line number, row and the model's verdict; ``not_asked`` line number and reason.
    """

    agree: int
    different: tuple[tuple[int, dict[str, str], Verdict], ...]
    not_asked: tuple[tuple[int, str], ...]


def recorded(row: Mapping[str, str]) -> dict[str, str]:
    """Return what a booted kernel said in the words of a verdict's four columns."""
    return {
        "result": row["result"],
        "lockdep_report": row["lockdep_report"],
        "lock": row["lock_tried"].split(" @")[0].replace("(l).lock", "pa_lock"),
        "might_sleep": "no" if row["might_sleep_report"] == "no" else "yes",
    }


def compare(lines: Iterable[str], name: str, kernel: Kernel) -> Comparison:
    """Compare the model with a recorded table.

    Arguments: the lines of the table; its name, for errors; the kernel it was recorded on.  Raises InputError.
    """
    agree, different, not_asked = 0, [], []
    for line, row in read_cells(lines, name):
        try:
            found = cell(row, kernel)
        except NotModelledError as error:
            not_asked.append((line, error.message))
            continue
        if found.row() == recorded(row):
            agree += 1
        else:
            different.append((line, row, found))
    return Comparison(agree, tuple(different), tuple(not_asked))
