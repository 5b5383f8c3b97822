"""Build the library of compiled entries with Numba: ``python -m gfpmodel.mm.build [ROOM ...]``.

Numba makes LLVM's code of each entry, a gate with the call of `library` is put before it, and LLVM makes one object
file of a room.  It holds no Python: nothing of Numba is needed to run it.
"""

from __future__ import annotations

import fcntl
import importlib
import itertools
import json
import os
import pkgutil
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from gfpmodel.mm import jit
from gfpmodel.mm.library import Array, Items, Kind, Unfit, digest, kinds_of, lacking, load, processor, variants

#: What a library may need of the C library; every version of it has them.
NEEDED = frozenset(("memset", "memcpy", "memmove"))


def numba_type(kind: Kind) -> Any:
    """Return an argument's type as Numba names it."""
    types: Any = importlib.import_module("numba.core.types")
    if isinstance(kind, Items):
        items = [numba_type(one) for one in kind.items]
        return types.BaseTuple.from_types(items, None if kind.cls is tuple else kind.cls)
    if isinstance(kind, Array):
        return types.Array(importlib.import_module("numba").from_dtype(kind.dtype), kind.ndim, "C")
    return types.none if kind is None else types.int64


def native_words(kind: Kind, number: Iterator[int]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield for each value of an argument its words in our call, and those in a call of Numba's function.

    An array is an address and a shape in ours, and seven values or more in Numba's: two owners (nobody), its size, the
    size of an item, the address, the shape, the strides (bytes).
    """
    if isinstance(kind, Items):
        for one in kind.items:
            yield from native_words(one, number)
    elif isinstance(kind, Array):
        name, size = f"%a{next(number)}", kind.dtype.itemsize
        shape = [f"i64 {name}.n{at}" for at in range(kind.ndim)]
        strides = [f"i64 {size}" if at == kind.ndim - 1 else f"i64 {name}.row" for at in range(kind.ndim)]
        theirs = ["ptr null", "ptr null", shape[0], f"i64 {size}", f"ptr {name}", *shape, *strides]
        yield [f"ptr {name}", *shape], theirs
    elif kind is None:
        yield [], ["ptr null"]
    else:
        name = f"i64 %a{next(number)}"
        yield [name], [name]


def gate(symbol: str, target: str, kinds: list[Kind]) -> str:
    """Return the code of a function with our call that calls Numba's function."""
    number = itertools.count()
    pairs = [pair for kind in kinds for pair in native_words(kind, number)]
    ours = ", ".join(["ptr %out", *(word for pair in pairs for word in pair[0])])
    theirs = ", ".join(["ptr %out", "ptr %error", *(word for pair in pairs for word in pair[1])])
    rows = [f"  {word.split()[1]}.row = mul i64 {pair[0][2].split()[1]}, {pair[1][3].split()[1]}"
            for pair in pairs if len(pair[0]) == 3 for word in pair[0][:1]]  # fmt: skip
    return "\n".join(
        [f"define i32 @{symbol}({ours}) {{", "  %error = alloca ptr", *rows,
         f'  %status = call i32 @"{target}"({theirs})', "  ret i32 %status", "}", ""]
    )  # fmt: skip


def gives(of: Any) -> str:
    """Return what a function returns, in the letters of `struct`."""
    types: Any = importlib.import_module("numba.core.types")
    if isinstance(of, types.BaseTuple):
        return "".join(map(gives, of.types))
    if isinstance(of, types.Boolean):
        return "?"
    if isinstance(of, types.Integer):
        letter = {8: "b", 16: "h", 32: "i", 64: "q"}[of.bitwidth]
        return letter if of.signed else letter.upper()
    if isinstance(of, types.Omitted | types.NoneType):
        return ""
    raise TypeError(f"an entry cannot return {of}")


def dispatcher(copy: Any) -> Any:
    """Return Numba's dispatcher of a copy of an engine function, which Python never calls.

    It makes no version of its own for an argument that is a constant: there would be one for every word of a zone.
    """
    numba: Any = importlib.import_module("numba")

    # _nrt=False: the functions own no array, so nothing need be counted; counting costs an order of magnitude
    made: Any = numba.njit(
        nogil=True, error_model="numpy", _nrt=False, forceinline=copy.forceinline,
        no_cpython_wrapper=True, no_cfunc_wrapper=True,
    )(copy)  # fmt: skip
    template, unliteral_type = made.get_call_template, numba.types.unliteral

    def unliteral(args: Any, kws: Any) -> Any:
        return template(tuple(map(unliteral_type, args)), {k: unliteral_type(v) for k, v in kws.items()})

    made.get_call_template = unliteral
    return made


def compile_entries(entries: dict[str, Any], instance: Callable[[Any], Any]) -> tuple[str, dict[str, Any]]:
    """Compile entries; returns the module of all of them as LLVM's text, and the manifest of its functions."""
    import llvmlite.binding as llvm

    whole, functions = llvm.parse_assembly(""), {}
    for number, (name, one) in enumerate(entries.items()):
        made = []
        for at, kinds in enumerate(variants(kinds_of(one.function))):
            signature = tuple(map(numba_type, kinds))
            compiled = instance(one.function)
            compiled.compile(signature)
            found = compiled.overloads[signature]
            symbol = f"gfp_{number}_{at}"
            text = found.library.get_llvm_str() + gate(symbol, found.fndesc.llvm_func_name, kinds)
            module = llvm.parse_assembly(text)
            for variable in module.global_variables:
                if not variable.is_declaration:
                    variable.linkage = "internal"
            for function in module.functions:
                if not function.is_declaration:
                    function.linkage = "external" if function.name == symbol else "internal"
            whole.link_in(module)
            made.append([symbol, gives(found.signature.return_type)])
        functions[name] = made
    return str(whole), functions


def prepare_llvm() -> None:
    """Make LLVM ready, once in a process, because it ends one in which an option is set twice.

    The option makes no tables of jumps, in all that is compiled in this process: what an operation is nobody can
    foresee, and a processor that guessed wrong finds out later from a table.
    """
    with PREPARING:
        set_options()


PREPARING = Lock()


@cache
def set_options() -> None:
    """Do what prepare_llvm() does, once."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.set_option("gfpmodel", "-min-jump-table-entries=1000")


def emit(ir: str | bytes, triple: str, cpu: str) -> bytes:
    """Return the machine code of a module as an object file for a target, given by its triple, and a processor.

    The module is LLVM's text, or its bitcode.
    """
    import llvmlite.binding as llvm

    prepare_llvm()
    target = llvm.Target.from_triple(triple)
    machine = target.create_target_machine(cpu=cpu, opt=3, reloc="pic")
    module = llvm.parse_assembly(ir) if isinstance(ir, str) else llvm.parse_bitcode(ir)
    module.triple, module.data_layout = triple, str(machine.target_data)
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    passes = llvm.create_pass_builder(machine, tuning)
    passes.getModulePassManager().run(module, passes)
    undefined = [one.name for one in module.functions if one.is_declaration and not one.name.startswith("llvm.")]
    if set(undefined) - NEEDED:
        raise ValueError(f"the library would need {undefined}")
    return bytes(machine.emit_object(module))


def entries_of(room: str) -> dict[str, jit.Entry]:
    """Import every module of a room, and return its entries."""
    folder = f"gfpmodel.{jit.folder_of(room)}"
    package = importlib.import_module(folder)
    for found in pkgutil.walk_packages(package.__path__, f"{folder}."):
        if not found.name.endswith(("__main__", ".build")):
            importlib.import_module(found.name)
    return {name: one for name, one in jit.ENTRIES.items() if jit.room_of(name) == room}


def build(room: str, folder: Path) -> None:
    """Build a room's library for this machine into a folder, unless a good one is there; nobody ever sees half of it.

    Who comes while another process builds it waits for that one.  Raises OSError if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{room}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            load(folder / f"{room}.json", jit.code_hash(room))
        except Unfit:
            build_alone(room, folder)


def build_alone(room: str, folder: Path) -> None:
    """Build a room's library into a folder in which nobody else does."""
    import llvmlite.binding as llvm

    machine = platform.machine()
    cpu = processor(machine)
    if lacking(cpu):
        cpu = "generic"
    ir, functions = compile_room(room)
    code = emit(ir, llvm.get_process_triple(), cpu)
    put(folder / f"{room}.bc", llvm.parse_assembly(ir).as_bitcode())  # of this, tools/live makes WebAssembly
    put(folder / f"{room}.o", code)
    put(folder / f"{room}.json", manifest(f"{room}.o", code, jit.code_hash(room), machine, cpu, functions))


def compile_room(room: str) -> tuple[str, dict[str, Any]]:
    """Compile a room's entries; returns what `compile_entries` does."""
    bits: Any = importlib.import_module("numba.cpython.unsafe.numbers")
    names = {**jit.COMPILED_CASTS, "trailing_zeros": bits.trailing_zeros}
    forms = jit.FORMS.get(room.partition("@")[2])
    return compile_entries(entries_of(room), jit.instances(dispatcher, names, forms))


def manifest(file: str, code: bytes, source: str, machine: str, cpu: str, functions: dict[str, Any]) -> bytes:
    """Return what stands beside a library, in JSON."""
    said = {"file": file, "source": source, "machine": machine, "cpu": cpu, "functions": functions}
    return json.dumps({"sha256": digest(code, said), **said}, indent=1).encode()


def put(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it, and nothing is left of one that could not be written."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.replace(file.name, path)
        except OSError:
            Path(file.name).unlink()
            raise


def main(rooms: list[str]) -> None:
    """Build the libraries of rooms, of all without a name."""
    for room in rooms or jit.ROOMS:
        build(room, jit.cache_dir(room))


if __name__ == "__main__":
    main(sys.argv[1:])
