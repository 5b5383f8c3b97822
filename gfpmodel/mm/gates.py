"""The gates of the public calls: what comes in is whole and in its range, or a named error says that it is not.

Compiled code indexes without a test.  So each public method passes its arguments through here once, before any of it
runs, and takes what comes back: Python's own integers, and int64 columns that nobody else holds.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable
from functools import cache, wraps
from threading import RLock
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from gfpmodel.errors import InputError, MisuseError
from gfpmodel.mm.state import MAX_ORDER

P = ParamSpec("P")
R = TypeVar("R")


class Locked(Protocol):
    """What has a lock: all objects that work on one machine have the same one."""

    lock: RLock


L = TypeVar("L", bound=Locked)
Method = Callable[Concatenate[L, P], R]


def locked(method: Method[L, P, R]) -> Method[L, P, R]:
    """Let one thread at a time into the methods of a machine; compiled code releases the interpreter's own lock."""

    @wraps(method)
    def wait_and_call(self: L, *args: P.args, **options: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **options)

    return cast(Method[L, P, R], wait_and_call)


def shown(value: object) -> str:
    """Return a value as a message quotes it: a number of thousands of digits by its size only."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    try:
        text = str(value) if isinstance(value, int | np.number) else repr(value)
    except ValueError:  # a number in it has more digits than Python prints
        return f"a {type(value).__name__}"
    return text if len(text) <= 40 else text[:40] + "..."


def whole(value: Any, what: str, error: type[InputError] = MisuseError) -> int:
    """Return a whole number as Python's own, whatever its width; raises ``error`` for anything else."""
    try:
        return operator.index(value)
    except TypeError:
        raise error(f"{what} is {shown(value)}; expected a whole number") from None


def within(value: Any, what: str, low: int, top: int, error: type[InputError] = MisuseError) -> int:
    """Return a whole number from ``low`` to ``top``; raises ``error`` for anything else."""
    number = whole(value, what, error)
    if not low <= number <= top:
        raise error(f"{what} is {shown(number)}; expected {low} to {top}")
    return number


def settle(self: object, error: type[InputError], **ranges: tuple[int, int]) -> None:
    """Make fields of a frozen object Python's own integers, within their ranges; raises ``error``."""
    for name, (low, top) in ranges.items():
        object.__setattr__(self, name, within(getattr(self, name), name, low, top, error))


def settle_words(self: object, error: type[InputError]) -> None:
    """Raise ``error`` for a field of an object that is none of the words of its Literal type."""
    owner: Any = type(self)
    for name, words in _literals(owner).items():
        if getattr(self, name) not in words:
            raise error(f"{name} is {shown(getattr(self, name))}; expected {', '.join(words)}")


@cache
def _literals(owner: type) -> dict[str, tuple[str, ...]]:
    hints = get_type_hints(owner)
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


def cpu(value: Any, cpus: int) -> int:
    """Return the number of a cpu that the machine has."""
    number = whole(value, "cpu")
    if not 0 <= number < cpus:
        raise MisuseError(f"unknown cpu {shown(number)}; this machine has 0 to {cpus - 1}")
    return number


def zone(value: Any, zones: Collection[int]) -> int:
    """Return the index of a zone that the machine has."""
    number = whole(value, "zone")
    if number not in zones:
        raise MisuseError(f"unknown zone {shown(number)}; this machine has {', '.join(map(str, zones))}")
    return number


def order(value: Any) -> int:
    """Return an order that the machine has."""
    return within(value, "order", 0, MAX_ORDER - 1)


def column(values: Any, what: str, low: int, top: int, error: type[InputError] = MisuseError) -> NDArray[np.int64]:
    """Return a copy of a number, or of a column of them, as int64 from ``low`` to ``top``; raises ``error``."""
    try:
        given = np.asarray(values)
    except (TypeError, ValueError):
        raise error(f"{what}: {shown(values)}; expected a column of whole numbers") from None
    if given.ndim > 1 or (given.size and given.dtype.kind not in "biu"):
        raise error(f"{what}: expected one column of whole numbers of 64 bits, not {given.dtype} in {given.ndim}-D")
    if given.size:
        for extreme in (int(given.min()), int(given.max())):
            within(extreme, what, low, top, error)
    return np.array(given, np.int64)


def lists(values: Iterable[Iterable[Any]], what: str, low: int, top: int) -> tuple[NDArray[np.int64], list[int]]:
    """Return many short lists as one column, and their lengths; raises MisuseError."""
    try:
        parts = [list(one) for one in values]
    except TypeError:
        raise MisuseError(f"{what}: expected lists of whole numbers") from None
    return column([number for one in parts for number in one], what, low, top), [len(one) for one in parts]
