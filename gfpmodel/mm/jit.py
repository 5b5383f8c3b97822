"""How compiled functions are compiled: Numba, cached under a hash of their own source and of what it may call.

With ``NUMBA_DISABLE_JIT=1`` the same functions run interpreted, for a debugger or a reader.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar, cast

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])

_numba: Any = numba  # its stubs know neither its config nor all options
TREE = Path(__file__).parents[2]
INTERPRETED = bool(_numba.config.DISABLE_JIT)

# An unsigned index spares the compiled code a test for negative ones; interpreted code has plain ints throughout.
u64: Any = int if INTERPRETED else np.uint64
i64: Any = int if INTERPRETED else np.int64


#: The folders with compiled functions; those of one call only its own and those before it.
ROOMS = ("mm", "rcu", "sim")


def source_hash(room: str = "mm") -> str:
    """Return a hash of a folder's source and of all that it may call: 16 hex digits that change when a rule may have.

    Argument: one of ROOMS; ``mm`` is the engine alone.
    """
    digest = hashlib.sha256()
    for folder in ROOMS[: ROOMS.index(room) + 1]:
        here = Path(__file__).parent
        for file in sorted((here if folder == "mm" else here.parent / folder).glob("*.py")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def cache_dir(room: str = "mm") -> Path:
    """Return the folder for compiled code: ``NUMBA_CACHE_DIR``, else .cache of a source tree, else the user's cache.

    Numba looks at the age of one file only and would not see that a function called from another file changed, so
    the folder is named after the hash of all of them.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        base = Path(os.environ["NUMBA_CACHE_DIR"])
    elif (TREE / "pyproject.toml").exists() and os.access(TREE, os.W_OK):
        base = TREE / ".cache" / "numba"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gfpmodel"
    return base / source_hash(room)


def can_write(folder: Path) -> bool:
    """Return whether files can be made in a folder, which is made first."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@cache
def _known_cache_dir(room: str) -> Path | None:
    """Return the folder for compiled code, None if it cannot be written (then it is compiled anew in each process)."""
    folder = cache_dir(room)
    if INTERPRETED or can_write(folder):
        return folder
    _say_once(folder.parent)
    return None


@cache
def _say_once(base: Path) -> None:
    if sys.stderr:
        print(
            f"gfpmodel: {base} cannot be written, so code is compiled anew each time; NUMBA_CACHE_DIR names a folder",
            file=sys.stderr,
        )


def room_of(module: str) -> str:
    """Return the folder in ROOMS that a module is in, or the last one: it may call all of them."""
    parts = module.split(".")
    return parts[1] if parts[0] == "gfpmodel" and parts[1:2] and parts[1] in ROOMS else ROOMS[-1]


def compiled(function: Function) -> Function:
    """Compile a function of the engine on its first call, or load it from the cache."""
    return _jit(function, forceinline=False)


def inlined(function: Function) -> Function:
    """Compile a small function of the hot path into its callers."""
    return _jit(function, forceinline=True)


def _jit(function: Function, *, forceinline: bool) -> Function:
    before, folder = _numba.config.CACHE_DIR, _known_cache_dir(room_of(function.__module__))
    _numba.config.CACHE_DIR = str(folder)  # read when the decorator runs; other users of Numba keep theirs
    try:
        # _nrt=False: the functions own no array, so nothing need be counted; counting costs an order of magnitude
        decorator = _numba.njit(
            cache=folder is not None, nogil=True, error_model="numpy", _nrt=False, forceinline=forceinline
        )
        return cast(Function, decorator(function))
    finally:
        _numba.config.CACHE_DIR = before


def view(array: np.ndarray[Any, Any] | None) -> Any:
    """Return what the engine's functions take for an array: itself, or in interpreted mode a view that yields ints.

    A NumPy scalar overflows silently or with a warning; a memoryview's items are Python's own integers.
    """
    return memoryview(cast(Any, array)) if INTERPRETED and array is not None else array
