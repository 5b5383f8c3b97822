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
import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np

from gfpmodel.errors import unknown

Function = TypeVar("Function", bound=Callable[..., Any])
Way = Literal["ahead", "here", "interpreted"]

PACKAGE = Path(__file__).parents[1]
SOURCE = PACKAGE / "engine" / "source.json"
#: The folders with compiled functions; those of one call only its own and those before it.
ROOMS = ("mm", "rcu", "sim", "io", "evidence")

# What an index or a number is cast to.  Compiled code casts to a machine word: an unsigned index spares it a test for
# negative ones.  Interpreted code has plain ints throughout.
u64: Any = int
i64: Any = int
COMPILED_CASTS = {"u64": np.uint64, "i64": np.int64}


def trailing_zeros(number: int) -> Any:
    """Return the lowest bit that is set in a number above 0: one instruction, where it is compiled."""
    return (number & -number).bit_length() - 1


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


def instances(
    wrap: Callable[[Any], Any], names: dict[str, Any], forms: Mapping[str, Any] | None = None
) -> Callable[[Any], Any]:
    """Return what makes copies of engine functions that call each other's copies.

    Arguments: what becomes of each copy (Numba's dispatcher, or itself); what else their globals get; the functions
    that take the place of those of the same name: the forms that a kernel's rules have.
    """
    made: dict[Any, Any] = {}
    forms = forms or {}

    def instance(function: Any) -> Any:
        function = plain(function)
        function = plain(forms.get(function.__name__, function))
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


#: The forms of each kernel whose rules are not all those of the functions as they stand, by its name.
FORMS: dict[str, dict[str, Any]] = {}


@cache
def interpreted(kernel: str) -> Callable[[Any], Any]:
    """Return what makes the copies of engine functions that a kernel runs, interpreted."""
    return instances(lambda copy: copy, {}, FORMS.get(kernel))


class Entry:
    """An engine function as Python calls it, with the rules of one kernel: "" for those that stand in the files.

    Each argument is an array, an int, or a tuple of them, as its annotation says.
    """

    def __init__(self, function: Callable[..., Any], kernel: str = "") -> None:
        self.function = function
        functools.update_wrapper(self, function)
        self.kernel = kernel
        self.name = f"{function.__module__}.{function.__name__}{'@' if kernel else ''}{kernel}"
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
    """Return an argument as interpreted code takes it: a NumPy scalar overflows in silence, a memoryview's item not."""
    if isinstance(argument, np.ndarray):
        return memoryview(cast(Any, argument))
    if isinstance(argument, tuple):
        items = map(view, argument)
        return type(argument)._make(items) if hasattr(argument, "_make") else tuple(items)
    return argument


@cache
def of_kernel(function: Any, kernel: str) -> Any:
    """Return an entry as one that runs a kernel's rules."""
    return Entry(plain(function), kernel) if kernel in FORMS else function


# which way


def source_hash(room: str = "mm") -> str:
    """Return a hash of a folder's source and of all that it may call: 16 hex digits that change when a rule may have.

    Argument: one of ROOMS; ``mm`` is the engine alone.
    """
    return hash_of(room, lambda text: True)


USES_ENGINE = b"gfpmodel.mm.jit " + b"import"  # in two parts: this file itself only chooses


@cache
def code_hash(room: str) -> str:
    """Return the same of the files alone that hold engine functions, or say how a library is made and called.

    A package that came without its source, as into a web page, has it in a file.
    """
    if os.access(SOURCE, os.F_OK):
        return str(json.loads(SOURCE.read_text(encoding="utf-8"))[folder_of(room)])
    return hash_of(room, lambda text: USES_ENGINE in text or b"llvmlite" in text)


def hash_of(room: str, counts: Callable[[bytes], bool]) -> str:
    """Return a hash of those files of a room and of the rooms before it whose text counts."""
    digest = hashlib.sha256()
    for folder in ROOMS[: ROOMS.index(folder_of(room)) + 1]:
        for file in sorted((PACKAGE / folder).rglob("*.py")):
            text = file.read_bytes()
            if counts(text):
                digest.update(str(file.relative_to(PACKAGE)).encode() + b"\0" + text)
    return digest.hexdigest()[:16]


def cache_dir(room: str) -> Path:
    """Return where this machine keeps a room's library."""
    return cache_home() / code_hash(room)


def cache_home() -> Path:
    """Return where this machine keeps libraries: in GFPMODEL_CACHE, or in the user's cache.

    A user without a home folder has none: below /dev/null nothing can be read or written, and that is said.
    """
    if base := os.environ.get("GFPMODEL_CACHE"):
        return Path(base)
    if home := os.environ.get("XDG_CACHE_HOME"):
        return Path(home, "gfpmodel")
    try:
        return Path.home() / ".cache" / "gfpmodel"
    except RuntimeError:
        return Path(os.devnull, "gfpmodel")


def room_of(name: str) -> str:
    """Return the room of an entry by its name; one of another module, a test's, has none.

    The entries of a kernel with forms of its own have a library of their own.
    """
    function, _, kernel = name.partition("@")
    parts = function.split(".")
    room = parts[1] if parts[0] == "gfpmodel" and parts[1] in ROOMS else ""
    return f"{room}@{kernel}" if room and kernel else room


def folder_of(room: str) -> str:
    """Return the folder of a room."""
    return room.partition("@")[0]


@cache
def forced_way() -> Way | None:
    """Return the way that the environment forces, if it does; raises InputError for a word that is none."""
    word = os.environ.get("GFPMODEL_ENGINE", "")
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "interpreted"
    if word and word not in get_args(Way):
        raise unknown("GFPMODEL_ENGINE", word, get_args(Way))
    return cast(Way, word) or None


@cache
def library(room: str) -> tuple[Any, Way]:
    """Return a room's library and the way it is; None and interpreted if there is none that fits."""
    from gfpmodel.mm.library import Unfit, load

    forced = forced_way()
    places = (("ahead", PACKAGE / "engine" / f"{room}.json"), ("here", cache_dir(room) / f"{room}.json"))
    for kind, manifest in places:
        if forced in (None, kind) and os.access(manifest, os.F_OK):  # unlike exists(), it never raises
            try:
                return load(manifest, code_hash(room)), cast(Way, kind)
            except Unfit as error:
                say(f"{manifest} is not used: {error}")
    if forced == "ahead":
        say("GFPMODEL_ENGINE=ahead, but no library came with this package: the engine runs interpreted")
    return None, "interpreted"


def way(room: str = "mm") -> Way:
    """Return how a room's entries run now."""
    return library(room)[1]


def runner(one: Entry) -> Callable[..., Any]:
    """Return what runs an entry, the way that is chosen."""
    room = room_of(one.name)
    if room and forced_way() == "here" and way(room) == "interpreted":
        build_now(room, "GFPMODEL_ENGINE=here asks for it")
    found = library(room)[0] if room else None
    native = found.native(one.name, one.function) if found else None
    if native is not None:
        return cast(Callable[..., Any], native)
    function = interpreted(one.kernel)(one.function)
    return lambda *arguments: function(*map(view, arguments))


#: Operations (calls, events, lines) from which on a room's library pays: interpreted, they take as long to run.
PAYS = {"mm": 800_000, "rcu": 2_000_000, "sim": 2_000_000, "io": 500_000, "evidence": 2_000_000}
_expected = dict.fromkeys(ROOMS, 0)


def expect(room: str, operations: int) -> None:
    """Say that so many operations are to be run by a room's entries: from many on, its library is built first."""
    before = _expected.get(room, 0)
    _expected[room] = before + operations
    if before < PAYS[folder_of(room)] <= _expected[room] and forced_way() is None and way(room) == "interpreted":
        build_now(room, f"{_expected[room]:,} operations are to be run")


def build_now(room: str, why: str) -> bool:
    """Build a room's library in this process, and say so; returns whether there is one then."""
    try:
        import numba  # noqa: F401

        from gfpmodel.mm.build import build
        from gfpmodel.mm.library import load
    except ImportError:
        say(
            f"{why}: with Numba installed (pip install numba) the engine would be compiled; it runs interpreted, slowly"
        )
        return False
    try:
        cache_dir(room).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return not_kept(error)
    say(f"compiling the engine ({room}) with Numba, once on this machine, because {why}: about a minute or two")
    try:
        build(room, cache_dir(room))
        load(cache_dir(room) / f"{room}.json", code_hash(room))
    except OSError as error:
        return not_kept(error)
    except Exception as error:  # a compiler of another version may raise anything
        first = (str(error) or type(error).__name__).splitlines()[0]
        say(f"it cannot be compiled here ({first}); the engine runs interpreted")
        return False
    library.cache_clear()
    for name, one in ENTRIES.items():
        if room_of(name) == room:
            one.forget()
    return True


def not_kept(error: OSError) -> bool:
    """Say that a library cannot be kept; returns that there is none."""
    say(
        f"a compiled engine cannot be kept in {cache_home()}: {error.strerror}; it runs interpreted, "
        "and GFPMODEL_CACHE can name a folder"
    )
    return False


def say(line: str) -> None:
    """Print one line for the user, on stderr, once."""
    if sys.stderr and line not in _said:
        _said.add(line)
        print(f"gfpmodel: {line}", file=sys.stderr)


_said: set[str] = set()
