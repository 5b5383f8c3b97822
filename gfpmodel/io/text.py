"""Small text files read whole: what is no text is refused, what a mail or a terminal put around it is cut off."""

from __future__ import annotations

import re
from pathlib import Path

from gfpmodel.errors import InputError
from gfpmodel.io.streams import BROKEN, open_bytes

MOST = 1 << 26  #: bytes of text: a hundred times the largest recording, so that a bomb is refused
PIECE = 1 << 13

#: What others put before a line: mail, the kernel's log, its readers.  One blank behind it goes, too.  They are written
#: as `gfpmodel.io.ftrace.forms` writes its patterns, which that scanner follows in compiled code and AROUND here.
#: What follows a kernel's own time stamp is its text, so that a program behind one is `kernel` or has its pid; behind
#: a date alone a program's colon has a blank after it, as no zone's ``DMA free:`` and no ``Call Trace:`` has.
PREFIXES = (
    "'\xef\xbb\xbf'",  # a byte order mark
    ">",
    "<n>",
    "[_n.n] w 'kernel:'",
    "[_n.n] w i[n]:",
    "[_n.n]",
    "[_n.n_<_n.n>]",
    "[_+n.n]",
    "[_'T'n]",
    "[_'C'n]",
    "[w w_n w n]",
    "[w_n:n]",
    "[n-n-n n:n:n.n]",
    "[n:n:n.n]",
    "'kern'_:w_:",
    "w_n_n:n:n 'kernel:'",
    "w_n_n:n:n w i[n]:",
    "w_n_n:n:n w i:",
    "w_n_n:n:n.n w i[n]:",
    "w_n_n:n:n.n w i:",
    "w w_n_n:n:n w i[n]:",
    "w w_n_n:n:n w i:",
    "w w n:n:n w w 'kernel:'",
    "n-n-n n:n:n w i[n]:",
    "n-n-n n:n:n w i: ",
    "n-n-n n:n:n",
    "n-n-nw w i[n]:",
    "n-n-nw w i: ",
    "n-n-n'T'n:n:nw_",
    "n:n:n w 'kernel:'",
)
_TOKENS = {" ": " ++", "_": " *+", "n": r"\d++", "w": r"[^\s\])]++", "i": r"[^\s\[\]:]++"}


def as_regex(pattern: str) -> str:
    """Return a pattern of PREFIXES as a regular expression."""
    parts = pattern.split("'")
    return "".join(
        re.escape(part.encode("latin-1").decode())
        if number % 2
        else "".join(_TOKENS.get(c) or re.escape(c) for c in part)
        for number, part in enumerate(parts)
    )


#: What mail and logs put before a line, as often as it stands there.  As for the scanner, one begins in lower case.
AROUND = re.compile(rf"\A(?:\s*(?![a-jl-z#])(?:{'|'.join(map(as_regex, PREFIXES))}) ?)*")


_CALLER = re.compile(r"\[ *([TC]\d+)\]")
LONGEST_LINE = 4096  #: characters; a printk record has fewer than 1100


def split(line: str) -> tuple[str, str]:
    """Return a line's printk caller (empty if it has none) and the line without what a log or a mail put before it."""
    line = line.rstrip("\r\n")[:LONGEST_LINE].replace("\xa0", " ").replace("\t", " ")
    around = AROUND.match(line)
    head = around[0] if around else ""
    caller = _CALLER.search(head)
    return (caller[1] if caller else ""), line[len(head) :].strip()


def beginning(path: Path, size: int = 4096) -> str:
    """Return the first characters of a file, as far as they can be read."""
    found = b""
    try:
        with open_bytes(str(path), 256) as file:
            while len(found) < size and (more := file.read(min(256, size - len(found)))):
                found += more
    except (*BROKEN, InputError):
        pass  # what was read is enough to tell what it is; reading it in full says what is wrong
    return found.decode("utf-8", "replace")


def read_whole(path: Path) -> bytes:
    """Return the bytes of a text file; raises InputError if it is damaged or longer than any."""
    parts: list[bytes] = []
    with open_bytes(str(path), PIECE) as file:
        try:
            while more := file.read(PIECE):
                parts.append(more)
                if len(parts) > MOST // PIECE:
                    raise InputError(f"more than {MOST} bytes of text", str(path))
        except BROKEN as error:
            line = b"".join(parts).count(b"\n") + 1
            raise InputError(f"torn or damaged after this line: {error}", str(path), line) from None
    return b"".join(parts)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, without their ends; raises InputError if it is torn, cut off or no text."""
    data = read_whole(path)
    if data and not data.endswith(b"\n"):
        raise InputError("the line is cut off: expected a newline at its end", str(path), data.count(b"\n") + 1)
    return decoded(data, "ascii", path).split("\n")[:-1]


def read_pasted(path: Path) -> list[tuple[str, str]]:
    """Return the lines of a text that people pasted, mailed or logged: each one's printk caller, and what it says.

    Cut off are a mail's quotes, a kernel log's time stamps, indentation, trailing blanks and carriage returns; the last
    newline may be missing.  What is cut off may be around the lines of any of the kernel's files, so that none of these
    begins with it.  Raises InputError if it is no text.
    """
    return [split(line) for line in decoded(read_whole(path), "utf-8-sig", path).removesuffix("\n").split("\n")]


def decoded(data: bytes, encoding: str, path: Path) -> str:
    """Return bytes as text; raises InputError for what is none."""
    try:
        text = data.decode(encoding)
        bad = data.find(b"\0")
    except UnicodeDecodeError as error:
        text, bad = "", error.start
    if bad >= 0:
        line = data.count(b"\n", 0, bad) + 1
        raise InputError(f"expected text, found the byte {data[bad]:#04x}", str(path), line)
    return text
