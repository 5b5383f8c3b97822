"""The library of compiled entries: what a call looks like, and loading one without Numba.

A library is a file of machine code for each room and a manifest beside it, which says from which source it was made
and what each function gives.  A shared object, of a wheel, is loaded by ctypes; an object file, built on this machine,
where there may be no linker, by llvmlite.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import platform
import struct
import types as python_types
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np

CPUS = {"x86_64": "x86-64-v2"}  #: what the code may use of a processor, by machine; of others what all of them have
#: What a processor must have for that, as /proc/cpuinfo calls it.
FLAGS = {"x86-64-v2": frozenset(("cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3"))}
CPUINFO = Path("/proc/cpuinfo")


# what a call looks like


class Array(NamedTuple):
    """An argument that is an array: its element type, its dimensions, and whether None may stand for it."""

    dtype: np.dtype[Any]
    ndim: int = 1
    optional: bool = False


class Items(NamedTuple):
    """An argument that is a tuple: its class (tuple, or a NamedTuple) and its items."""

    cls: Any
    items: tuple[Any, ...]


INT = "int"
Kind = Any  #: Array, Items or INT


def kind_of(hint: Any) -> Kind:
    """Return what an annotation says of an argument; raises TypeError for one that says too little."""
    origin, inside = get_origin(hint), get_args(hint)
    if hint in (int, bool):
        return INT
    if origin is Annotated:
        kind = kind_of(inside[0])
        return resolved(kind, inside[1]) if isinstance(kind, Items) else kind._replace(ndim=inside[1])
    if origin in (Union, python_types.UnionType) and python_types.NoneType in inside:
        return kind_of(next(one for one in inside if one is not python_types.NoneType))._replace(optional=True)
    if origin is np.ndarray:
        return Array(np.dtype(get_args(inside[1])[0]))
    if origin is tuple:
        return Items(tuple, tuple(map(kind_of, inside)))
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        hints = get_type_hints(hint, include_extras=True)
        return Items(hint, tuple(kind_of(hints[name]) for name in hint._fields))
    raise TypeError(f"{hint}: an entry's argument is an int, an array of one type, or a tuple of them")


def kinds_of(function: Callable[..., Any]) -> list[Kind]:
    """Return what the arguments of an engine function are."""
    hints = get_type_hints(function, include_extras=True)
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return [kind_of(hints[name]) for name in names]


def variants(kinds: list[Kind]) -> list[list[Kind]]:
    """Return the arguments once with every optional array, and once without, if there is one."""
    some = [resolved(kind, True) for kind in kinds]
    none = [resolved(kind, False) for kind in kinds]
    return [some] if some == none else [some, none]


def resolved(kind: Kind, given: bool) -> Kind:
    """Return an argument with its optional arrays given, or None in their place."""
    if isinstance(kind, Items):
        return kind._replace(items=tuple(resolved(one, given) for one in kind.items))
    if isinstance(kind, Array) and kind.optional:
        return kind._replace(optional=False) if given else None
    return kind


Words = tuple[int, ...]


def plan_of(kind: Kind) -> Callable[[Any], Words]:
    """Return what makes the words of a call of an argument: an int, or the address and the shape of an array.

    None in the place of an optional array has no words.  Raises TypeError for what the compiled code would misread.
    """
    if isinstance(kind, Items):
        return items_plan(kind)
    if isinstance(kind, Array):
        return array_plan(kind)
    return (lambda value: ()) if kind is None else (lambda value: (int(value),))


def items_plan(kind: Items) -> Callable[[Any], Words]:
    """Return what makes the words of a tuple."""
    plans = [plan_of(one) for one in kind.items]

    def words(value: Any) -> Words:
        if len(value) != len(plans):
            raise TypeError(f"{len(value)} items; expected {len(plans)}")
        out: Words = ()
        for plan, item in zip(plans, value):  # noqa: B905 (as long as each other, and called very often)
            out += plan(item)
        return out

    return words


def array_plan(kind: Array) -> Callable[[Any], Words]:
    """Return what makes the words of an array; it remembers the last one, as a machine comes with the same each time.

    It keeps no array alive, and what it remembers is changed as a whole, because threads may call.
    """
    last: tuple[Callable[[], Any], tuple[int, ...], Words] = (lambda: None, (), ())

    def words(value: Any) -> Words:
        nonlocal last
        known, shape, found = last
        if value is None and kind.optional:
            return ()
        if known() is value and value.shape == shape:
            return found
        if value.dtype != kind.dtype or value.ndim != kind.ndim or not value.flags.c_contiguous:
            raise TypeError(f"an array of {value.dtype}, {value.ndim} dimensions; expected {kind}")
        shape = value.shape
        found = (value.__array_interface__["data"][0], *shape)
        last = (weakref.ref(value), shape, found)
        return found

    return words


class Native:
    """An entry in a library: a call for each way its optional arrays may be given, by how many words that makes.

    It keeps the library, because its calls are addresses in it.
    """

    def __init__(self, library: Library, kinds: list[Kind], made: list[tuple[Callable[..., int], str]]) -> None:
        self._library = library
        self._plans = [plan_of(kind) for kind in kinds]
        self._calls = {
            len([*words_in(variant)]): (call, struct.Struct("@" + gives))
            for variant, (call, gives) in zip(variants(kinds), made, strict=True)
        }

    def __call__(self, *arguments: Any) -> Any:
        words: Words = ()
        for plan, argument in zip(self._plans, arguments, strict=True):
            words += plan(argument)
        call, gives = self._calls[len(words)]
        out = ctypes.create_string_buffer(gives.size or 1)
        call(out, *words)
        found = gives.unpack_from(out)
        return found[0] if len(found) == 1 else found or None


# loading


class Unfit(Exception):
    """A library that cannot be used, and why."""


@dataclass(frozen=True)
class Library:
    """A library that was loaded: what each entry gives, the address of every symbol, and what keeps the code alive."""

    functions: dict[str, list[list[str]]]
    address: Callable[[str], int]
    owner: Any

    def native(self, name: str, function: Callable[..., Any]) -> Native | None:
        """Return a compiled entry, or None if the library does not have it."""
        made = self.functions.get(name)
        if made is None:
            return None
        kinds = kinds_of(function)
        calls: list[tuple[Callable[..., int], str]] = []
        for (symbol, letters), variant in zip(made, variants(kinds), strict=True):
            prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, *map(c_type, words_in(variant)))
            calls.append((prototype(self.address(symbol)), letters))
        return Native(self, kinds, calls)


def words_in(kinds: Iterable[Kind]) -> Iterator[str]:
    """Yield the words of a call: address or number."""
    for kind in kinds:
        if isinstance(kind, Items):
            yield from words_in(kind.items)
        elif isinstance(kind, Array):
            yield from ("address", *["number"] * kind.ndim)
        elif kind is not None:
            yield "number"


def processor(machine: str) -> str:
    """Return what LLVM may use of a machine's processors."""
    return CPUS.get(machine, "generic")


def c_type(word: str) -> Any:
    """Return the type of a word for ctypes."""
    return ctypes.c_void_p if word == "address" else ctypes.c_int64


def lacking(cpu: str) -> frozenset[str]:
    """Return what this machine's processor does not have of what code for a processor may use.

    A machine that does not say (it has no /proc/cpuinfo, or one without flags) lacks nothing that is known.
    """
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line.split(":")[1].split() for line in lines if line.startswith("flags") and ":" in line), None)
    return frozenset() if flags is None else FLAGS.get(cpu, frozenset()).difference(flags)


def digest(code: bytes, said: dict[str, Any]) -> str:
    """Return the sum over a library's code and all that its manifest says."""
    rest = {name: value for name, value in said.items() if name != "sha256"}
    return hashlib.sha256(code + json.dumps(rest, sort_keys=True).encode()).hexdigest()


def load(manifest: Path, source: str) -> Library:
    """Load a library by its manifest, if it was made from this source for this machine; raises Unfit."""
    try:
        said = json.loads(manifest.read_text(encoding="utf-8"))
        file = manifest.with_name(said["file"])
        code = file.read_bytes()
        check(said, code, source)
        functions = said["functions"]
        symbols = [symbol for made in functions.values() for symbol, _ in made]
        for letters in (letters for made in functions.values() for _, letters in made):
            struct.Struct("@" + letters)
        address, owner = load_object(code, said["cpu"]) if file.suffix == ".o" else load_shared(file)
        for symbol in symbols:
            if not address(symbol):  # a call of address 0 would end the process
                raise Unfit(f"it has no {symbol}")
        return Library(functions, address, owner)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, struct.error) as error:
        raise Unfit(f"it cannot be loaded: {error}") from None


def check(said: dict[str, Any], code: bytes, source: str) -> None:
    """Raise Unfit unless a manifest and its code are whole, of this source, and for this machine."""
    if said["source"] != source:
        raise Unfit("it was made from other source")
    if said["machine"] != platform.machine():
        raise Unfit(f"it is for {said['machine']}")
    if missing := lacking(said["cpu"]):
        raise Unfit(f"it is for {said['cpu']}, and this processor has no {', '.join(sorted(missing))}")
    if said["sha256"] != digest(code, said):
        raise Unfit("it is damaged")


def load_shared(file: Path) -> tuple[Callable[[str], int], Any]:
    """Load a shared object."""
    library = ctypes.CDLL(str(file))

    def address(symbol: str) -> int:
        return int(ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value or 0)

    return address, library


def load_object(code: bytes, cpu: str) -> tuple[Callable[[str], int], Any]:
    """Load an object file: LLVM links it in memory."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple().create_target_machine(cpu=cpu, reloc="pic")
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine.get_function_address, engine
