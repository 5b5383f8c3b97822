"""Files in and out on a bad day: what is read is bounded, what is written is there whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gfpmodel.errors import InputError

STDIN = "<stdin>"


def standard_input() -> BinaryIO:
    """Return standard input; raises InputError if the shell closed it (``<&-``)."""
    if sys.stdin is None:
        raise InputError("standard input is closed; expected a file, or text to read", STDIN)
    return sys.stdin.buffer


def read_bytes(name: str, most: int) -> bytes:
    """Return the bytes of a file, or of standard input for ``-``; raises InputError, also for more than ``most``."""
    called = STDIN if name == "-" else name
    try:
        if name == "-":
            data = standard_input().read(most + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(most + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise unreadable(error, called) from None
    if len(data) > most:
        raise InputError(f"more than {most >> 20} MiB; nothing of this kind is as long", called)
    return data


def unreadable(error: Exception, name: str) -> InputError:
    """Return the error for a file that cannot be read, or whose name cannot be one."""
    return InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", name)


@contextmanager
def whole(name: str | Path) -> Iterator[Path]:
    """Yield where to write: a file beside the one meant, which takes its place when all went well.

    A device or a pipe is written itself.  Raises InputError if it cannot be written; the old file is still there then.
    """
    try:
        path = Path(name).resolve()
        if path.exists() and not path.is_file():
            yield path
            return
        part = path.with_name(path.name + ".part")
        try:
            yield part
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except (OSError, UnicodeError) as error:
        raise InputError(f"cannot be written: {getattr(error, 'strerror', None) or error}", str(name)) from None
