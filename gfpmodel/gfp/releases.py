"""Find the flag table of a kernel release: what ``uname -r`` prints, what people write, and how near the table is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from gfpmodel.errors import InputError, unknown
from gfpmodel.gfp.tables import kernels, tables

#: How near a table is to a release, in words.
GRADES = {
    "A": "its own header was read",
    "B": "read in a vendor's tree of it, or in the commit that made the change",
    "C": "its own header was not read: enclosed by headers that were, or unchanged in a record of every release tag",
}
LONGEST = 120  #: characters; a release has 64 at most
WITHOUT_NOTRACK = 33  #: 4.14.y: kmemcheck and its flag went early in 2018; which point release that was, is not known

_RELEASE = re.compile(
    r"(?:linux[- ]?(?:version )?)?v?(?P<major>\d{1,3})\.(?P<minor>\d{1,3})"
    r"(?:\.(?P<point>\d{1,5}))?(?P<rest>[-+.~_].*)?",
    re.IGNORECASE | re.ASCII,
)
_REPORTED = re.compile(
    r"(?:Not tainted|Tainted: [^\n]{0,60}?) (?P<release>\d+\.\d+\S*) #|Linux version (?P<boot>\d\S*)"
    r"|^(?P<banner>\d+\.\d+\S*) (?:#\d\S* )?(?:Not tainted|Tainted: )",
    re.MULTILINE,
)
_RC = re.compile(r"-rc\d")
_ENTERPRISE = re.compile(r"\.el(?P<number>[789])(?![0-9])")
#: What makes a release a vendor's: its tables are mainline's here.
_VENDOR = re.compile(
    r"generic|aws|azure|gcp|lowlatency|\.fc\d|\.el\d|\.amzn|-amd64|-arm64|android|-default|MANJARO|arch\d"
)


@dataclass(frozen=True)
class Release:
    """A kernel that someone named: ``version`` is its own, ``table`` the kernel whose flags it has.

    ``grade`` (A, B or C) says how near that is, ``evidence`` why, and ``note`` what to know besides.
    """

    name: str
    version: tuple[int, int]
    table: str
    grade: str
    evidence: str
    note: str = ""

    @property
    def exact(self) -> bool:
        """Return whether it was asked for by the name of its table."""
        return self.name == self.table

    @property
    def nearness(self) -> str:
        """Return in words how near the table is."""
        why = f"; {self.evidence}" if self.evidence else ""
        return f"grade {self.grade}: {GRADES[self.grade]}{why}"

    def to_json(self) -> dict[str, object]:
        """Return plain data for ``--json``."""
        return {**vars(self), "version": list(self.version)}


def table_version(kernel: str) -> tuple[int, int]:
    """Return the version of a kernel that has a table of its own."""
    major, minor = re.search(r"(\d+)\.(\d+)", kernel).groups()  # type: ignore[union-attr]
    return int(major), int(minor)


def version_text(version: tuple[int, int]) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))


@lru_cache(maxsize=512)
def release(name: str) -> Release:
    """Return the release that a name stands for, with its table.

    Arguments: a name of ``kernels()`` or an alias, or a release as ``uname -r`` prints it or people write it.
    Raises InputError, with the numerically nearest tables, for a release that has none.
    """
    text = name.strip()
    for known in (text, tables()["aliases"].get(text, ""), f"v{text}"):
        if known in tables()["kernels"]:
            return Release(known, table_version(known), known, tables()["kernels"][known]["grade"], "")
    found = _RELEASE.fullmatch(text) if len(text) <= LONGEST and text.isprintable() else None
    if not found:
        raise unknown("kernel", name[:LONGEST], [*kernels(), *tables()["aliases"]])
    version = int(found["major"]), int(found["minor"])
    table, grade, evidence, note = _table_of(name, version, int(found["point"] or 0), found["rest"] or "")
    named = re.search(r"v?\d", text, re.IGNORECASE)
    return Release(text[named.start() if named else 0 :], version, table, grade, evidence, note)


def _table_of(name: str, version: tuple[int, int], point: int, rest: str) -> tuple[str, str, str, str]:
    """Return table, grade, evidence and note of a version."""
    plain = f"v{version_text(version)}"
    vendor = "the table is mainline's: a vendor's own changes are not in it" if _VENDOR.search(rest) else ""
    enterprise = _ENTERPRISE.search(rest)
    if enterprise and (known := tables()["releases"].get(f"{plain}-el{enterprise['number']}")):
        return known["table"], known["grade"], known["evidence"], known["note"]
    if enterprise:
        vendor = f"RHEL {enterprise['number']}: its header was not read, and later builds may carry newer bits"
    if version == (4, 14):
        note = "4.14.y lost __GFP_NOTRACK (0x200000) early in 2018, in a point release that was not read"
        table = "v4.14-lts" if point >= WITHOUT_NOTRACK else plain
        return table, tables()["kernels"][table]["grade"], "", "; ".join(filter(None, [note if point else "", vendor]))
    if plain in tables()["kernels"]:
        grade = tables()["kernels"][plain]["grade"]
        return plain, "C" if enterprise else grade, _point_evidence(plain, version, point, rest), vendor
    if known := tables()["releases"].get(plain):
        notes = [known["note"], vendor]
        return known["table"], "C" if enterprise else known["grade"], known["evidence"], "; ".join(filter(None, notes))
    raise no_table(name, version)


def _point_evidence(plain: str, version: tuple[int, int], point: int, rest: str) -> str:
    """Say what of a series was read, where a point release or a candidate is asked for."""
    asked = f"{version_text(version)}.{point}" if point else version_text(version)
    if _RC.search(rest):
        return f"read for {version_text(version)}, of which this is a candidate"
    return f"read for the {version_text(version)} series, not for {asked}" if point else ""


def no_table(name: str, version: tuple[int, int]) -> InputError:
    """Return the error for a release without a table, with the numerically nearest below and above."""
    known = {table_version(k) for k in kernels()} | {table_version(k) for k in tables()["releases"]}
    near = [max((v for v in known if v < version), default=None), min((v for v in known if v > version), default=None)]
    shown = " and ".join(f"v{version_text(v)}" for v in near if v)
    word = "are" if all(near) else "is"
    return InputError(f"unknown kernel {name!r}: no flag table for {version_text(version)}; the nearest {word} {shown}")


def reported_release(text: str) -> str | None:
    """Return the release that a kernel's report, lockdep's banner or a boot line names, or None."""
    found = _REPORTED.search(text)
    return (found["release"] or found["boot"] or found["banner"]) if found else None


def spans(names: list[str]) -> str:
    """Return names of kernels, runs of neighbouring tables drawn together: ``v5.4 to v5.10, v7.3``."""
    order = [name for name in kernels() if name in names]
    runs: list[list[str]] = []
    for name in order:
        if runs and kernels().index(name) == kernels().index(runs[-1][-1]) + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
