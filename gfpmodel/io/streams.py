"""Bytes of a file, compressed or not (told by content), or from standard input."""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from gfpmodel.errors import InputError
from gfpmodel.files import STDIN, standard_input, unreadable

GZIP, XZ, ZSTD, BZIP2 = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"BZh"
XZ_MEMORY = 1 << 28  #: a hostile header may ask for gigabytes
PIECE = 1 << 20
ENDLESS = 1 << 26  #: bytes of one line, after which no reader of lines goes on

#: What a compressed stream that is torn or no such stream raises.
BROKEN = (EOFError, OSError, lzma.LZMAError, zlib.error)


class XzStream(io.RawIOBase):
    """The bytes in an .xz file, with a bound on what decompressing may take."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._decoder = self._fresh()

    @staticmethod
    def _fresh() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)

    def readable(self) -> bool:
        """Return True: it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer; returns how many bytes came, 0 at the end.  Raises EOFError for a torn file."""
        while True:
            data = b""
            if self._decoder.needs_input:
                data = self._source.read(PIECE)
            if self._decoder.eof:
                data = self._decoder.unused_data or self._source.read(PIECE)
                if not data.strip(b"\0"):
                    return 0
                self._decoder = self._fresh()
            elif self._decoder.needs_input and not data:
                raise EOFError("the .xz data ends before its end marker")
            out = self._decoder.decompress(data, len(buffer))
            if out:
                buffer[: len(out)] = out
                return len(out)


@contextmanager
def open_bytes(name: str, piece: int = PIECE) -> Iterator[BinaryIO]:
    """Open a file, or standard input for ``-``; .gz and .xz are told by their first bytes.  Raises InputError.

    ``piece`` bounds how much is decompressed at a time, and so how much before the damage a damaged file loses.
    """
    if name == "-":
        yield decompressed(cast(io.BufferedReader, standard_input()), STDIN, piece)
        return
    try:
        source = Path(name).open("rb")  # noqa: SIM115 (closed below; an error of the reader is none of open's)
    except (OSError, ValueError) as error:
        raise unreadable(error, name) from None
    with source:
        yield decompressed(source, name, piece)


def decompressed(source: io.BufferedReader, name: str, piece: int = PIECE) -> BinaryIO:
    """Return the stream of what is in a stream; raises InputError for a compression that is not read here."""
    try:
        head = source.peek(6)[:6] if hasattr(source, "peek") else b""
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", name) from None
    if head.startswith(GZIP):
        return cast(BinaryIO, gzip.GzipFile(fileobj=source, mode="rb"))
    if head.startswith(XZ):
        return cast(BinaryIO, io.BufferedReader(XzStream(source), piece))
    for magic, what in ((ZSTD, "zstd"), (BZIP2, "bzip2")):
        if head.startswith(magic):
            raise InputError(f"compressed with {what}; expected plain text, .gz or .xz", name)
    return source
