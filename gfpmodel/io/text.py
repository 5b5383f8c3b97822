"""Small text files read whole; torn ones, and what is no text, refused with one line."""

from __future__ import annotations

from pathlib import Path

from gfpmodel.errors import InputError
from gfpmodel.io.streams import BROKEN, open_bytes

MOST = 1 << 26  #: bytes of text: a hundred times the largest recording, so that a bomb is refused
PIECE = 1 << 13


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


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, without their ends; raises InputError if it is torn, cut off or no text."""
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
    data = b"".join(parts)
    lines = data.split(b"\n")
    if lines.pop():
        raise InputError("the line is cut off: expected a newline at its end", str(path), len(lines) + 1)
    try:
        return data.decode("ascii").split("\n")[:-1]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"expected text, found the byte {data[error.start]:#04x}", str(path), line) from None
