"""How compiled functions are compiled: Numba, cached under a hash of their own source and of what it may call.

With ``NUMBA_DISABLE_JIT=1`` the same functions run interpreted, for a debugger or a reader.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
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


@cache
def source_hash(room: str = "mm") -> str:
    """Return a hash of a folder's source and of all that it may call: 16 hex digits that change when a rule may have.

    Argument: one of ROOMS; ``mm`` is the engine alone.
    """
    digest = hashlib.sha256()
    for folder in ROOMS[: ROOMS.index(room) + 1]:
        for file in sorted((Path(__file__).parents[1] / folder).glob("*.py")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def cache_dir(room: str = "mm") -> Path:
    """Return the folder for compiled code: ``NUMBA_CACHE_DIR``, else _build of a source tree, else the user's cache.

    Numba looks at the age of one file only and would not see that a function called from another file changed, so
    the folder is named after the hash of all of them.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        base = Path(os.environ["NUMBA_CACHE_DIR"])
    elif (TREE / "pyproject.toml").exists() and os.access(TREE, os.W_OK):
        base = TREE / "_build" / "numba"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gfpmodel"
    return base / source_hash(room)


def compiled(function: Function) -> Function:
    """Compile a function of the engine on its first call, or load it from the cache."""
    return _jit(function, forceinline=False)


def inlined(function: Function) -> Function:
    """Compile a small function of the hot path into its callers."""
    return _jit(function, forceinline=True)


def _jit(function: Function, *, forceinline: bool) -> Function:
    before = _numba.config.CACHE_DIR
    room = function.__module__.split(".")[1]
    _numba.config.CACHE_DIR = str(cache_dir(room))  # read when the decorator runs; other users of Numba keep theirs
    try:
        # _nrt=False: the functions own no array, so nothing need be counted; counting costs an order of magnitude
        decorator = _numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=forceinline)
        return cast(Function, decorator(function))
    finally:
        _numba.config.CACHE_DIR = before


def view(array: np.ndarray[Any, Any] | None) -> Any:
    """Return what the engine's functions take for an array: itself, or in interpreted mode a view that yields ints.

    A NumPy scalar overflows silently or with a warning; a memoryview's items are Python's own integers.
    """
    return memoryview(cast(Any, array)) if INTERPRETED and array is not None else array
