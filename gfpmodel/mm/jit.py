"""How the engine runs: one source, interpreted or compiled, and this module chooses.

The engine is plain Python functions over arrays.  ``compiled`` and ``inlined`` only mark a function; ``entry`` makes of
a marked function what Python calls.  An entry runs in one of three ways:

*ahead*        machine code from a library that came with the package;
*here*         the same library, built on this machine by Numba, kept under a hash of the source;
*interpreted*  the functions as they stand, over memoryviews, whose items are Python's own integers: for a debugger or
               a reader, and for small work while there is no library.

So a function that only the engine calls needs no wrapper, and one that is called by mistake runs as plain Python.
``GFPMODEL_ENGINE`` (ahead, here or interpreted) forces a way; ``NUMBA_DISABLE_JIT=1`` is *interpreted*, too.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])
Way = Literal["ahead", "here", "interpreted"]

PACKAGE = Path(__file__).parents[1]
#: The folders with compiled functions; those of one call only its own and those before it.
ROOMS = ("mm", "rcu", "sim", "io")

# What an index or a number is cast to.  Compiled code casts to a machine word: an unsigned index spares it a test for
# negative ones.  Interpreted code has plain ints throughout.
u64: Any = int
i64: Any = int
COMPILED_CASTS = {"u64": np.uint64, "i64": np.int64}


def compiled(function: Function) -> Function:
    """Mark a function of the engine; compiled code calls it."""
    function.forceinline = False  # type: ignore[attr-defined]
    return function


def inlined(function: Function) -> Function:
    """Mark a small function of the hot path; compiled code has it in its callers."""
    function.forceinline = True  # type: ignore[attr-defined]
    return function


def plain(function: Any) -> Any:
    """Return the function of an entry, and any other as it is."""
    return function.function if isinstance(function, Entry) else function


def instances(wrap: Callable[[Any], Any], names: dict[str, Any]) -> Callable[[Any], Any]:
    """Return what makes copies of engine functions that call each other's copies.

    Arguments: what becomes of each copy (Numba's dispatcher, or itself); what else their globals get.
    """
    made: dict[Any, Any] = {}

    def instance(function: Any) -> Any:
        function = plain(function)
        if function not in made:
            space = dict(function.__globals__)
            copy = FunctionType(function.__code__, space, function.__name__, function.__defaults__)
            copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
            copy.forceinline = function.forceinline  # type: ignore[attr-defined]
            made[function] = wrap(copy)
            space.update({name: value for name, value in names.items() if name in space})
            replace(space, function.__code__.co_names)
        return made[function]

    def replace(space: dict[str, Any], used: tuple[str, ...]) -> None:
        """Put instances in the place of engine functions, also of those that are asked of a module."""
        for name in used:
            value = space.get(name)
            if hasattr(plain(value), "forceinline"):
                space[name] = instance(value)
            elif isinstance(value, ModuleType) and value.__name__.startswith("gfpmodel."):
                space[name] = ModuleType(value.__name__)
                space[name].__dict__.update(vars(value))
                replace(space[name].__dict__, used)

    return instance


interpreted = instances(lambda copy: copy, {})


class Entry:
    """An engine function as Python calls it.

    Each argument is an array, an int, or a tuple of them, as its annotation says.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        functools.update_wrapper(self, function)
        self.name = f"{function.__module__}.{function.__name__}"
        self._run: Callable[..., Any] | None = None
        ENTRIES[self.name] = self

    def __call__(self, *arguments: Any) -> Any:
        if self._run is None:
            self._run = runner(self)
        return self._run(*arguments)

    def forget(self) -> None:
        """Choose the way anew at the next call."""
        self._run = None


ENTRIES: dict[str, Entry] = {}


def entry(function: Function) -> Function:
    """Make a marked function one that Python calls."""
    return cast(Function, Entry(function))


def view(argument: Any) -> Any:
    """Return an argument as interpreted code takes it: a NumPy scalar would overflow silently, a memoryview's cannot."""
    if isinstance(argument, np.ndarray):
        return memoryview(cast(Any, argument))
    if isinstance(argument, tuple):
        items = map(view, argument)
        return type(argument)._make(items) if hasattr(argument, "_make") else tuple(items)
    return argument


# which way


def source_hash(room: str = "mm") -> str:
    """Return a hash of a folder's source and of all that it may call: 16 hex digits that change when a rule may have.

    Argument: one of ROOMS; ``mm`` is the engine alone.
    """
    digest = hashlib.sha256()
    for folder in ROOMS[: ROOMS.index(room) + 1]:
        for file in sorted((PACKAGE / folder).rglob("*.py")):
            digest.update(str(file.relative_to(PACKAGE)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def cache_dir(room: str = "mm") -> Path:
    """Return where this machine keeps a room's library: below GFPMODEL_CACHE, or the user's cache."""
    base = os.environ.get("GFPMODEL_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(base) if base else Path(home) / "gfpmodel") / source_hash(room)


def room_of(name: str) -> str:
    """Return the room of an entry by its name; one of another module, a test's, has none."""
    parts = name.split(".")
    return parts[1] if parts[0] == "gfpmodel" and parts[1] in ROOMS else ""


@cache
def library(room: str) -> tuple[Any, Way]:
    """Return a room's library and the way it is, None and interpreted if there is none that fits."""
    from gfpmodel.mm.library import Unfit, load

    forced = forced_way()
    for kind, manifest in (("ahead", PACKAGE / "engine" / f"{room}.json"), ("here", cache_dir(room) / f"{room}.json")):
        if forced in (None, kind) and manifest.exists():
            try:
                return load(manifest, source_hash(room)), cast(Way, kind)
            except Unfit as error:
                say(f"{manifest} is not used: {error}")
    return None, "interpreted"


def way(room: str = "mm") -> Way:
    """Return how a room's entries run now."""
    return library(room)[1]


def forced_way() -> Way | None:
    """Return the way that the environment forces, if it does; raises InputError for a word that is none."""
    word = os.environ.get("GFPMODEL_ENGINE", "")
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "interpreted"
    if word and word not in get_args(Way):
        from gfpmodel.errors import unknown

        raise unknown("GFPMODEL_ENGINE", word, get_args(Way))
    return cast(Way, word) or None


def runner(one: Entry) -> Callable[..., Any]:
    """Return what runs an entry, the way that is chosen."""
    room = room_of(one.name)
    found = library(room)[0] if room else None
    native = found.native(one.name, one.function) if found else None
    if native is not None:
        return cast(Callable[..., Any], native)
    function = interpreted(one.function)
    return lambda *arguments: function(*map(view, arguments))


def say(line: str) -> None:
    """Print one line for the user, on stderr."""
    print(f"gfpmodel: {line}", file=sys.stderr)
