"""Text files as they come: plain, .xz or .gz, told apart by content; torn ones refused with one line."""

from __future__ import annotations

import gzip
import lzma
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from gfpmodel.errors import InputError

MOST = 1 << 26  #: bytes of text: a hundred times the largest recording, so that a bomb is refused
XZ, GZ = b"\xfd7zXZ\x00", b"\x1f\x8b"


def opened(path: Path) -> BinaryIO:
    """Open a file, decompressing; raises OSError."""
    with path.open("rb") as file:
        begin = file.read(len(XZ))
    if begin == XZ:
        return cast(BinaryIO, lzma.open(path))
    return cast(BinaryIO, gzip.open(path)) if begin.startswith(GZ) else path.open("rb")


def beginning(path: Path, size: int = 4096) -> str:
    """Return the first characters of a file, as far as they can be read."""
    found = b""
    try:
        with opened(path) as file:
            while len(found) < size:
                more = file.read(min(256, size - len(found)))
                if not more:
                    break
                found += more
    except (OSError, EOFError, lzma.LZMAError, zlib.error):
        pass  # what was read is enough to tell what it is; reading it in full says what is wrong
    return found.decode("utf-8", "replace")


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, without their ends; raises InputError if it is torn, cut off or no text."""
    parts: list[bytes] = []
    try:
        with opened(path) as file:
            while more := file.read(1 << 16):
                parts.append(more)
                if len(parts) > MOST >> 16:
                    raise InputError(f"more than {MOST} bytes of text", str(path))
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        line = b"".join(parts).count(b"\n") + 1
        raise InputError(f"torn or damaged after this line: {error}", str(path), line) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", str(path)) from None
    data = b"".join(parts)
    lines = data.split(b"\n")
    if lines.pop():
        raise InputError("the line is cut off: expected a newline at its end", str(path), len(lines) + 1)
    try:
        return data.decode("ascii").split("\n")[:-1]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"expected text, found the byte {data[error.start]:#04x}", str(path), line) from None
