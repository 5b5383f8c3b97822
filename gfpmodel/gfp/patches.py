"""Read a patch as people keep it: a diff, a mail, an mbox, or a list archive's page saved as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from functools import cached_property

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, Line, PatchedFile, PatchSet

from gfpmodel.errors import InputError, unknown

_DIFF = re.compile(r"^diff --git a/(?P<path>\S+) b/")
_INDEX = re.compile(r"^index (?P<old>[0-9a-f]{4,40})\.\.(?P<new>[0-9a-f]{4,40})")
_DIFFSTAT = re.compile(
    r"^ (?P<files>\d+) files? changed(?:, (?P<added>\d+) insertions?\(\+\))?(?:, (?P<removed>\d+) deletions?\(-\))?$"
)
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|nbsp|#\d+);")
_ENCODED = re.compile(rb"^Content-Transfer-Encoding:\s*(?:quoted-printable|base64)", re.IGNORECASE | re.MULTILINE)


#: The folders of a kernel tree's top level that a patch to the gfp bits may touch.
KERNEL_FOLDERS = {
    *("arch", "block", "Documentation", "drivers", "fs", "include", "init", "io_uring", "ipc", "kernel", "lib", "mm"),
    *("net", "rust", "samples", "scripts", "security", "sound", "tools", "virt"),
}


@dataclass(frozen=True)
class Patch:
    """A parsed patch: its name for messages, its files, and the pre-image blob ids its index lines give."""

    name: str
    files: tuple[PatchedFile, ...]
    blobs: dict[str, str]
    diffstat: tuple[int, int, int] | None

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """Return files, insertions and deletions, as a diffstat counts them."""
        return len(self.files), sum(f.added for f in self.files), sum(f.removed for f in self.files)

    def hunks(self) -> Iterator[tuple[str, Hunk]]:
        """Yield every hunk with the path of its file in the kernel tree, in order."""
        for file in self.files:
            for hunk in file:
                yield kernel_path(file.path), hunk

    def hunks_of(self, path: str) -> list[Hunk]:
        """Return the hunks of one file, in order; raises InputError for a file that the patch does not touch."""
        found = [hunk for at, hunk in self.hunks() if at == path]
        if not found:
            raise unknown("file", path, [kernel_path(file.path) for file in self.files], f" in {self.name}")
        return found

    def error(self, message: str, line: Line | None = None) -> InputError:
        """Return an error that points at a line of the patch."""
        return InputError(message, self.name, line.diff_line_no if line else None)


def kernel_path(path: str) -> str:
    """Return a path without the folder in front of the kernel tree, as ``diff -urN linux.orig linux`` has it."""
    parts = path.split("/")
    below = next((at for at, part in enumerate(parts[:-1]) if part in KERNEL_FOLDERS), 0)
    return "/".join(parts[below:])


def read_patch(data: bytes, name: str) -> Patch:
    """Parse a patch.

    Arguments: the file's bytes (UTF-8 text, or a mail in quoted-printable or base64); its name, for messages.
    Raises InputError, with the line, for what is no text, holds no diff, or holds a diff that is torn or mangled.
    """
    text = _decode(data, name)
    lines = re.findall(r"[^\n]*\n|[^\n]+\Z", text)  # a form feed ends no line of a diff, as it would for splitlines()
    if not text.strip():
        raise InputError("empty; expected a patch (diff --git ..., or --- and +++ lines with @@ hunks)", name)
    if re.match(r"\s*<(?:!doctype|html)", lines[0], re.IGNORECASE):
        raise InputError("an HTML page; expected the text of the mail (save it as text, or take the raw mail)", name, 1)
    files = _parse(lines, name)
    _check_mangling(files, lines, name)
    return Patch(name, files, dict(_blobs(lines)), _diffstat(lines))


def _decode(data: bytes, name: str) -> str:
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        raise InputError("binary data; expected the text of a patch", name, line)
    if _ENCODED.search(data):
        data = b"\n".join(_mail_texts(data))
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        if any(byte < 9 for byte in data):
            raise InputError("binary data; expected the text of a patch", name, line) from None
        return data.decode("latin-1").replace("\r\n", "\n")  # an old mail; the diff itself is ASCII


def _mail_texts(data: bytes) -> Iterator[bytes]:
    """Yield the decoded text of every mail of a mail file or mbox."""
    for mail in re.split(rb"^From \S.*\n", data, flags=re.MULTILINE):
        for part in message_from_bytes(mail, policy=policy.default).walk():
            if part.get_content_type() in ("text/plain", "text/x-patch", "text/x-diff"):
                payload = part.get_payload(decode=True)
                if isinstance(payload, bytes):
                    yield payload


def _parse(lines: list[str], name: str) -> tuple[PatchedFile, ...]:
    """Let unidiff parse, and say at which line it stopped."""
    at = 0

    def counted() -> Iterator[str]:
        nonlocal at
        for at, line in enumerate(lines, 1):  # noqa: B007 - the error below wants to know how far it got
            yield line

    try:
        files = tuple(PatchSet(counted()))
    except UnidiffParseError as error:
        raise InputError(_what_unidiff_wanted(str(error)), name, at) from None
    except ValueError:  # a number that has more digits than Python reads
        raise InputError("no unified diff: a number in the @@ line has thousands of digits", name, at) from None
    if not any(len(file) for file in files):
        quoted = next((at for at, line in enumerate(lines, 1) if re.match(r">\s?(?:diff --git|\+\+\+ )", line)), None)
        what = "the diff is only quoted (sed 's/^> \\?//' takes one level off)" if quoted else "no diff in it"
        raise InputError(f"{what}; expected --- and +++ lines with @@ hunks", name, quoted)
    return files


def _what_unidiff_wanted(error: str) -> str:
    if "shorter" in error:
        return "the diff ends inside a hunk; expected as many lines as its @@ line says"
    if "longer" in error:
        return "the hunk is longer than its @@ line says"
    if "diff line expected" in error:
        return "expected a line of the hunk, starting with ' ', '+' or '-' (was the mail wrapped, or its blanks lost?)"
    return f"no unified diff: {error.strip().splitlines()[0]}"


def _check_mangling(files: tuple[PatchedFile, ...], lines: list[str], name: str) -> None:
    """Refuse what parses but cannot be what was sent."""
    for file in files:
        for hunk in file:
            for line in hunk:
                if _ENTITY.search(line.value):
                    entity = _ENTITY.search(line.value)[0]  # type: ignore[index]
                    raise InputError(
                        f"HTML entity {entity} in a diff line; expected plain text", name, line.diff_line_no
                    )
            last = max(line.diff_line_no or 0 for line in hunk)
            after = lines[last] if last < len(lines) else ""
            if re.match(r"[+-](?!-)", after) or re.match(r"\+\+(?!\+)", after):
                raise InputError("the hunk is longer than its @@ line says", name, last + 1)


def _blobs(lines: list[str]) -> Iterator[tuple[str, str]]:
    path = None
    for line in lines:
        if match := _DIFF.match(line):
            path = match["path"]
        elif path and (match := _INDEX.match(line)):
            yield path, match["old"]
            path = None


def _diffstat(lines: list[str]) -> tuple[int, int, int] | None:
    """Return the one diffstat summary of a mail; a series has several and none is taken."""
    found = [match for line in lines if (match := _DIFFSTAT.match(line))]
    if len(found) != 1:
        return None
    return int(found[0]["files"]), int(found[0]["added"] or 0), int(found[0]["removed"] or 0)
