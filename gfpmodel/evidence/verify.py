"""Verify recorded truth: files told apart by what is in them, each with its first difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.evidence import boot58, boot59, golden

#: What can be verified: a test of a file's content, and what replays it.
READERS: tuple[tuple[Callable[[Path], bool], Callable[[Path], tuple[Any, ...]]], ...] = (
    (golden.is_golden, golden.verify),
    (boot58.is_trace, boot58.verify_trace),
    (boot58.is_mix, boot58.verify_mix),
    (boot59.is_boot59, boot59.verify),
)


@dataclass(frozen=True)
class Verdict:
    """What became of one file: how many operations agreed, the first difference, or why it cannot be used."""

    file: str
    ops: int = 0
    difference: golden.Difference | None = None
    notes: tuple[str, ...] = ()  #: what the recording itself leaves open, or what may have ended exactness
    unusable: InputError | None = None

    @property
    def ok(self) -> bool:
        """Return whether everything in the file agrees with the model."""
        return self.difference is None and self.unusable is None

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as the command line prints it."""
        facts: dict[str, Any] = {"file": self.file, "ok": self.ok, "ops": self.ops, "first_difference": None}
        if self.difference:
            facts["first_difference"] = dict(vars(self.difference))
        if self.unusable:
            facts["unusable"] = str(self.unusable)
        if self.notes:
            facts["notes"] = list(self.notes)
        return facts

    def __str__(self) -> str:
        if self.unusable:
            return f"unusable  {self.unusable}"
        notes = "".join(f"\n          {note}" for note in self.notes)
        if self.difference:
            where = f"{self.file}:{self.difference.line}: {self.difference.field}"
            return f"DIFFERS   {where}: expected {self.difference.expected!r}, got {self.difference.got!r}{notes}"
        return f"ok        {self.file}: {self.ops} operations{notes}"


def verify_file(name: str) -> Verdict:
    """Verify one file."""
    path = Path(name)
    try:
        if name != "-" and not exists(path):
            raise InputError("no such file", name)
        if path.is_dir():
            raise InputError("a folder; expected a recording, or several: FOLDER/*", name)
        if name == "-" or not path.is_file():
            raise InputError("no file: a recording is read more than once; write it to one first", name)
        for recognise, replay in READERS:
            if recognise(path):
                return Verdict(name, *replay(path))
        raise InputError(
            "no recording that is known: expected golden vectors, a trace or mixes of a booted v5.8 (boot58), "
            "or an event log of kfree_rcu() (boot59)",
            name,
        )
    except InputError as error:
        return Verdict(name, unusable=error)


def exists(path: Path) -> bool:
    """Return whether something is there; a name that cannot be a file's is none."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
