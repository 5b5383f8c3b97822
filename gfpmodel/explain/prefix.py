"""Take from the lines of a report what a log that is not known put before them: it has the shape of the title's own.

What `gfpmodel.io.text` knows is gone before; here stands what a viewer, a board or a test's harness adds besides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

#: What /dev/kmsg and the extended netconsole put before a line, and who brings it: level, number, time, flags, caller.
_KMSG = re.compile(r".{0,80}?\b\d{1,2},\d+,\d+,[-c+](?:,caller=(?P<caller>[TC]\d+))?[^;\s]*;")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&amp;", "&"))
_TEXT_OF = ("log", "MESSAGE", "message", "msg", "textPayload", "line")  #: where a log of JSON has a line's text
#: A line of an object of JSON that is printed over several, as dmesg and journalctl do, with a line's text.
_OVER_LINES = re.compile(rf'\s*"(?:{"|".join(_TEXT_OF)})" ?: ("(?:[^"\\]|\\.)*"),?\s*$')
_FIELD = re.compile(r"\s*MESSAGE=")  #: of a journal that is exported, or shown with all its fields
#: The other lines of these.
PACKING = re.compile(
    rf'[ \t]*(?:[][{{}}]+,?|"(?!(?:{"|".join(_TEXT_OF)})")\w+" ?: .*|_?_[A-Z_]+=.*|(?:PRIORITY|SYSLOG_\w+)=.*'
    r"|\w{3} \d{4}-\d\d-\d\d .*\[s=.*\])[ \t\r]*$"
)
_LEVEL = re.compile(r"\b(?:emerg|alert|crit|err|error|warn|warning|notice|info|debug|[VDIWEF])\b")
_PIECE = re.compile(rf"(?P<level>{_LEVEL.pattern})|(?P<number>\d+)|(?P<blank> +)|(?P<colon>[:-])")
_ENDS = re.compile(r"(?<=[^\w ]) *|(?<=\w) +")  #: where a prefix may end: behind a mark or a blank
SHOWN_BY = 2  #: lines below the title that have to have the shape, too


def unpacked(raw: str) -> str:
    """Return a line without a terminal's colours, HTML's marks, an object of JSON around it, and what kmsg puts before.

    A caller stays, as other logs write it.
    """
    raw = raw.replace("\xa0", " ").removesuffix("<br>")
    if "\x1b" in raw:
        raw = _COLOUR.sub("", raw)
    if "&" in raw and not ("<" in raw or ">" in raw):  # HTML would have made something else of these, too
        for entity, mark in _ENTITIES:
            raw = raw.replace(entity, mark)
    raw = from_json(raw.removeprefix("- ")) if raw.startswith(('{"', '- {"')) else raw
    if '"' in raw and (found := _OVER_LINES.match(raw)):
        raw = from_json(f'{{"msg": {found[1]}}}')
    raw = raw[found.end() :] if "MESSAGE=" in raw and (found := _FIELD.match(raw)) else raw
    kmsg = _KMSG.match(raw) if ";" in raw else None
    return (f"[{kmsg['caller']}] " if kmsg and kmsg["caller"] else "") + raw[kmsg.end() if kmsg else 0 :]


def from_json(raw: str) -> str:
    """Return the text in a line that is an object of JSON, as a container's log has it; the line if it is none."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return raw
    texts = (found.get(name) for name in _TEXT_OF)
    return next((text.rstrip("\n").replace("\n", " ") for text in texts if isinstance(text, str)), raw)


def shape(prefix: str) -> re.Pattern[str]:
    """Return what has the shape of a prefix: with other numbers and another level, and padded otherwise.

    A colon may be a dash, as in the numbers that grep puts before a line and those around it.
    """
    tokens = {"level": r"\w+", "number": r"\d+", "blank": " *", "colon": "[:-]"}
    at, parts = 0, []
    for found in _PIECE.finditer(prefix):
        parts += [re.escape(prefix[at : found.start()]), tokens[str(found.lastgroup)]]
        at = found.end()
    return re.compile("".join([*parts, re.escape(prefix[at:]), " ?"]))


def without_prefix(lines: Sequence[str], title: re.Match[str] | None) -> list[str]:
    """Return the lines of a report without the prefix of its first, whose title is found at a place.

    In some reports the task's name is before the title: so the longest part is the prefix that others have as well.
    """
    first, below = lines[0], [line for line in lines[1:] if line][:SHOWN_BY]
    end = title.start() if title else 0
    ends = [found.start() for found in _ENDS.finditer(first, 0, end)] + [end]
    for at in sorted({one for one in ends if 0 < one <= end}, reverse=True):
        pattern = shape(first[:at].rstrip(" "))
        if below and all(map(pattern.match, below)):
            return [line[found.end() :].strip() if (found := pattern.match(line)) else line for line in lines]
    return list(lines)
