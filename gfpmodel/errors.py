"""Errors that a user's input can cause; the command line prints them as one line and exits with 2."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 1000  #: characters of a message; what was typed may be of any length
LONGEST_NAME = 60
MOST_NAMES = 8  #: that are offered where none is near


def cut(text: str, longest: int = LONGEST) -> str:
    """Return a text, or its beginning and its end if it is longer than one wants to read."""
    return text if len(text) <= longest else f"{text[: longest * 2 // 3]}...{text[-longest // 3 :]}"


class InputError(ValueError):
    """Input that cannot be used.

    Arguments: what was wrong and what was expected; the file and the line (from 1) it stands in, if any.
    """

    def __init__(self, message: str, file: str | None = None, line: int | None = None) -> None:
        self.message, self.file, self.line = cut(message), file, line
        place = ":".join(cut(str(part)) for part in (file, line) if part is not None)
        super().__init__(f"{place}: {self.message}" if place else self.message)


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> InputError:
    """Return the error for a name that is not known, with the nearest known ones."""
    names, name = list(known), cut(name, LONGEST_NAME)
    lower = {n.lower(): n for n in names}
    begin = [n for low, n in lower.items() if name and low.startswith(name.lower())]
    close = [lower[low] for low in get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    near = list(dict.fromkeys([*begin, *close]))[:3]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    offer = f"; did you mean {' or '.join(near)}?" if near else f"; expected {', '.join(names[:MOST_NAMES])}{more}"
    return InputError(f"unknown {kind} {name!r}{where}{offer}")


class NotModelledError(InputError):
    """A question that has an answer, but not in this model; a table of cells leaves it blank."""


class MisuseError(InputError):
    """A call that the kernel would answer with a crash or a corrupted list; nothing was changed."""


class GeometryError(InputError):
    """A machine that cannot exist, or is too large to be modelled."""
