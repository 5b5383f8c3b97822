"""A proposal as a row in a YAML file: read, written, and told apart from another in a reviewer's words.

The fields are those of `gfpmodel.mm.rules.Rule`, in the kernel's words.  Every scalar is read as the text that it is:
``refill: no`` stays a word, and ``0x800000`` a mask.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

import yaml

from gfpmodel.errors import InputError, unknown
from gfpmodel.files import unreadable
from gfpmodel.gfp import encode, layout
from gfpmodel.gfp.layouts import kernel_name
from gfpmodel.mm import Rule
from gfpmodel.mm.rules import NO_RECLAIM, ORDINARY, OWN_FUNCTION, SAME
from gfpmodel.mm.state import MAX_ORDER, MIGRATE_NAMES, MIGRATE_PCPTYPES, ZONE_NAMES
from gfpmodel.proposals import PATCHED, ROWS, proposal

MOST = 4096  #: bytes of a row's file: many times what twenty lines need
DEEPEST = 64  #: times that a text of one level opens a list: each level takes the parser longer than the last
ENDINGS = (".yaml", ".yml")
BIT = 0x800000  #: the engine has one bit to give away; what number a patch takes is the linter's matter

FLAGS = {"none": 0, "bit": BIT, "own function": OWN_FUNCTION, "no reclaim bit": NO_RECLAIM}
TYPES: dict[str, int | None] = {
    "own": None,
    **{f"MIGRATE_{name}": number for number, name in enumerate(MIGRATE_NAMES[:MIGRATE_PCPTYPES])},
}
ZONES = {f"ZONE_{name.upper()}": number for number, name in enumerate(ZONE_NAMES)}
BOOLS = {"true": True, "false": False}
Value = TypeVar("Value")


class Entry(NamedTuple):
    """A field of a file: its value as text or as a list of texts, and the line."""

    value: str | list[str]
    line: int


# words to values


def from_words(words: Mapping[str, Value], text: str) -> Value:
    """Return what a word stands for; raises InputError with the nearest words."""
    if text not in words:
        raise unknown("word", text, words)
    return words[text]


def read_scan(ends: list[str]) -> tuple[int | None, int | None]:
    """Return the first and the last list; raises InputError."""
    if len(ends) != 2:
        raise InputError(f"{len(ends)} lists; expected the first and the last, as in [own, MIGRATE_RECLAIMABLE]")
    for end in ends:
        if end not in TYPES:
            raise unknown("scan type", end, TYPES)
    first, last = (TYPES[end] for end in ends)
    if first is not None and last is not None and first > last:
        raise InputError(f"{ends[0]} comes after {ends[1]}: no list would be looked at")
    return first, last


def read_order(text: str) -> int:
    """Return the highest order; raises InputError."""
    if not text.isascii() or not text.isdigit() or len(text) > 2 or int(text) >= MAX_ORDER:
        raise InputError(f"{text!r} is no order; expected 0 to {MAX_ORDER - 1}")
    return int(text)


def read_name(text: str) -> str:
    """Return a name that is one word; raises InputError."""
    if not re.fullmatch(r"[A-Za-z]\w{0,39}", text, re.ASCII):
        raise InputError(f"bad name {text!r}; expected one word of letters, digits and _")
    return text


def read_line(text: str) -> str:
    """Return a text of one line; raises InputError."""
    if not text.strip() or not text.isprintable():
        raise InputError("expected a line of text")
    return text


def read_kernel(text: str) -> str:
    """Return a kernel's name as it was given; raises InputError."""
    kernel_name(text)
    return text


def literals() -> dict[str, dict[str, str]]:
    """Return the words of each field that has a few, from the types of Rule."""
    hints = get_type_hints(Rule)
    return {f.name: {word: word for word in get_args(hints[f.name])} for f in fields(Rule) if f.name in CHOICES}


LATER_ON_RT = ("try", "decline")  #: what a row that tries the lock may do on PREEMPT_RT
CHOICES = ("refill", "watermark", "walk", "lock", "lock_rt", "runs")
#: The fields that stand for something, with their words.
WORDS: dict[str, Mapping[str, Any]] = {
    "flag": FLAGS,
    "slow_path": BOOLS,
    "pmd_order": BOOLS,
    "highest_zone": ZONES,
    **literals(),
}
READERS: dict[str, Callable[..., Any]] = {
    "name": read_name,
    "title": read_line,
    "request": read_line,
    "request_rt": read_line,
    "kernel": read_kernel,
    "scan": read_scan,
    "highest_order": read_order,
    **{name: partial(from_words, words) for name, words in WORDS.items()},
}


# reading


def read_row(text: str | bytes, name: str = "row") -> Rule:
    """Read a row.

    Arguments: the YAML text, a mapping of fields of Rule to words; what the file is called, for messages.
    Raises InputError, with the line, for what is no such row.
    """
    entries = read_fields(text, name)
    found = {}
    for field, entry in entries.items():
        wants_list = field == "scan"
        try:
            if isinstance(entry.value, list) != wants_list:
                raise InputError("expected two lists, as in [own, own]" if wants_list else "expected one word")
            found[field] = READERS[field](entry.value)
        except InputError as error:
            raise InputError(f"{field}: {error.message}", name, entry.line) from None
    row = Rule(**found)
    check(row, read_mask(row.request, row, "request", name, entries), name, entries)
    if row.request_rt != SAME:
        read_mask(row.request_rt, row, "request_rt", name, entries)
    return row


def read_mask(request: str, row: Rule, field: str, name: str, entries: Mapping[str, Entry]) -> int:
    """Return the mask of a request in the bits of the row's kernel; raises InputError."""
    try:
        return encode(request, layout(row.kernel))
    except InputError as error:
        raise InputError(f"{field}: {error.message}", name, entries[field].line) from None


def read_fields(text: str | bytes, name: str) -> dict[str, Entry]:
    """Return the fields of a row as texts; raises InputError."""
    known = [field.name for field in fields(Rule)]
    found: dict[str, Entry] = {}
    for key, value in read_mapping(text, name).value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):  # not quoted: with aliases in it, its text has no end
            raise InputError("a field's name is a list or a mapping; expected `field: word` lines", name, line)
        if key.value not in known:
            raise InputError(unknown("field", key.value, known).message, name, line)
        if key.value in found:
            raise InputError(f"{key.value} is said twice; line {found[key.value].line} has it, too", name, line)
        found[key.value] = Entry(plain(value, key.value, name), line)
    for field in fields(Rule):
        if field.default is MISSING and field.name not in found:
            raise InputError(f"the row has no {field.name}; expected one, as in `{field.name}: ...`", name, 1)
    return found


def read_mapping(text: str | bytes, name: str) -> yaml.MappingNode:
    """Return the one mapping of a YAML text; raises InputError."""
    if len(text) > MOST:
        raise InputError(f"more than {MOST} bytes; expected the twenty lines of a row", name)
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        if max(text.count(opened) for opened in "[{&*?") > DEEPEST:
            raise RecursionError
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except UnicodeDecodeError:
        raise InputError("no text; expected YAML in UTF-8", name) from None
    except RecursionError:
        raise InputError("no row: nested too deeply; expected `field: word` lines", name) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or "a character that YAML does not allow"
        raise InputError(f"no YAML: {why}", name, mark.line + 1 if mark else None) from None
    if node is None:
        raise InputError("empty; expected a row, `field: word` lines", name)
    if not isinstance(node, yaml.MappingNode):
        raise InputError("no row; expected `field: word` lines", name, node.start_mark.line + 1)
    return node


def plain(node: yaml.Node, field: str, name: str) -> str | list[str]:
    """Return a word, or a list of words; raises InputError for what is nested."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        return [str(item.value) for item in node.value]
    raise InputError(f"{field}: expected a word, or a list of words", name, node.start_mark.line + 1)


def check(row: Rule, mask: int, name: str, entries: Mapping[str, Entry]) -> None:
    """Raise InputError for a row that the engine would not follow as it is written."""

    def refuse(field: str, message: str) -> InputError:
        return InputError(f"{field}: {message}", name, entries[field].line if field in entries else None)

    if row.flag == BIT and (row.kernel != PATCHED or not mask & BIT):
        raise refuse(
            "flag", f"a bit needs `kernel: {PATCHED}` and __GFP_FAST_TRY in the request: it stands for any new bit"
        )
    if not row.flag:
        ways = ["scan", "refill", "watermark", "slow_path", "highest_zone", "pmd_order", "walk"]
        if row.runs != "work":  # what a work item asks is not what its caller gets
            ways.append("highest_order")
        for field in ways:
            if getattr(row, field) != getattr(ORDINARY, field):
                raise refuse(field, "without a flag a request takes the ordinary path; expected `flag: bit` or such")
    tries = row.refill == "trylock"
    if tries != (row.lock == "try") or (row.lock_rt == "try") > tries or (tries and row.lock_rt not in LATER_ON_RT):
        raise refuse("refill", "trylock goes with `lock: try` and `lock_rt: try` or `decline`, and they with it")


def resolve(name: str) -> Rule:
    """Return a proposal by the name of its row, or from a file that ends in .yaml; raises InputError."""
    return file_row(name) or proposal(name)


def file_row(name: str) -> Rule | None:
    """Return the row in a file that ends in .yaml, None for another name; raises InputError."""
    if not name.endswith(ENDINGS):
        return None
    try:
        with Path(name).open("rb") as file:
            data = file.read(MOST + 1)
    except (OSError, ValueError) as error:
        raise unreadable(error, name) from None
    row = read_row(data, name)
    known = ROWS.get(row.name)
    if known is not None and known != row:
        raise InputError(f"name: {row.name} is a row of the book, and differs from this; take another name", name)
    return row


# writing


def worded(row: Rule) -> dict[str, str | list[str]]:
    """Return a row's fields in the words of a file.  Raises InputError for a flag that has no word."""
    found: dict[str, str | list[str]] = {}
    for field in fields(Rule):
        value = getattr(row, field.name)
        if field.name == "scan":
            found["scan"] = [next(word for word, number in TYPES.items() if number == end) for end in value]
        elif field.name in WORDS:
            words = [word for word, number in WORDS[field.name].items() if number == value]
            if not words:
                raise InputError(f"{field.name} {value!r} has no word; expected one of {', '.join(WORDS[field.name])}")
            found[field.name] = words[0]
        else:
            found[field.name] = str(value)
    return found


def write_row(row: Rule) -> str:
    """Return a row as YAML text, every field on a line; `read_row` gives the row back."""
    pairs = [(scalar(field), as_node(value)) for field, value in worded(row).items()]
    text = yaml.serialize(yaml.MappingNode("tag:yaml.org,2002:map", pairs), Dumper=yaml.dumper.BaseDumper, width=MOST)
    return str(text)


def scalar(text: str) -> yaml.ScalarNode:
    """Return a word as a node."""
    return yaml.ScalarNode("tag:yaml.org,2002:str", text)


def as_node(value: str | list[str]) -> yaml.Node:
    """Return a word, or a list of words on one line, as a node."""
    if isinstance(value, str):
        return scalar(value)
    return yaml.SequenceNode("tag:yaml.org,2002:seq", [scalar(word) for word in value], flow_style=True)


# telling two apart

#: What a word means to those who have to live with it.
MEANS: dict[str, dict[str, str]] = {
    "flag": {
        "none": "no new interface: the request takes the ordinary path",
        "bit": "takes a bit of every gfp_t, for whoever passes it; the linter says what is left",
        "own function": "takes no bit, and cannot leak into another caller's mask",
        "no reclaim bit": "takes no bit; every mask without __GFP_RECLAIM is served in this way, whoever passes it",
    },
    "refill": {
        "no": "an empty list stays empty: NULL until somebody else refills it",
        "yes": "an empty list is refilled under zone->lock, which the request waits for",
        "trylock": "an empty list is refilled if zone->lock is free at that moment",
        "decline": "an empty list stays empty, and a larger block is refused: zone->lock is never taken",
    },
    "watermark": {
        "low": "checks the low watermark before the list; with a slow path the request goes on there",
        "min": "goes on down to the min watermark",
        "none": "no watermark stops it: it takes what others have in reserve",
    },
    "walk": {
        "kernel": "the kernel's walk: two rounds where it avoids fragmenting, and kswapd woken for a boosted watermark",
        "own loop": "a loop of its own: each zone once, and it wakes nobody",
    },
    "pmd_order": {
        "true": "a huge page may be asked for, where TRANSPARENT_HUGEPAGE gives its order a list",
        "false": "a huge page is no exception to the highest order",
    },
    "slow_path": {"true": "a failure goes on to the slow path, with all its locks", "false": "a failure is final"},
    "lock": {
        "spin": "zone->lock stays a spinlock_t: not under a raw lock",
        "raw": "zone->lock becomes raw: interrupts stay off as long as anyone holds it",
        "try": "zone->lock is only tried: it fails where another holds it",
    },
    "lock_rt": {
        "sleeping": "on PREEMPT_RT zone->lock may sleep: not in an atomic context",
        "raw": "on PREEMPT_RT tasks of any priority wait while zone->lock is held",
        "try": "on PREEMPT_RT zone->lock is only tried, and not at all in hard interrupts and NMIs",
        "decline": "on PREEMPT_RT the request gets NULL where it would need zone->lock; the lists keep theirs",
    },
    "runs": {
        "caller": "the caller asks, in its own context",
        "work": "a work item asks; the caller takes from a cache that each cpu keeps",
    },
}
FREE = {
    "name": "another name",
    "title": "another title",
    "kernel": "the flags have other numbers",
    "request": "another mask: the command decode says what else it asks for",
    "request_rt": "another mask on PREEMPT_RT, where the same name then asks for something else",
    "highest_zone": "other zones count",
    "highest_order": "the largest block that may be asked for has another size",
}
SCANS = {
    "own": "only pages of the requested type: nothing ends up in a foreign pageblock",
    "some": "also lists of other types: some of its pages lie in foreign pageblocks",
    "all": "all lists, whatever is asked for: its pages lie in foreign pageblocks",
}


@dataclass(frozen=True)
class Difference:
    """A field in which two rows differ: the words of both, and what the second one's mean."""

    field: str
    a: str
    b: str
    means: str


def scan_means(row: Rule) -> str:
    """Say what a row's scan does to those who share the lists."""
    if row.scan == (None, None):
        return SCANS["own"]
    return SCANS["all" if row.scan == (0, MIGRATE_PCPTYPES - 1) else "some"]


def differences(a: Rule, b: Rule) -> list[Difference]:
    """Return where two rows differ, their names and titles aside, and what that means for ``b``, in order."""
    ours, theirs = worded(a), worded(b)
    found = []
    for field, word in theirs.items():
        if word == ours[field] or field in ("name", "title"):
            continue
        was, now = (
            " to ".join(end.removeprefix("MIGRATE_") for end in w) if isinstance(w, list) else w
            for w in (ours[field], word)
        )
        means = scan_means(b) if field == "scan" else MEANS.get(field, {}).get(now) or FREE[field]
        found.append(Difference(field, was, now, means))
    return found
