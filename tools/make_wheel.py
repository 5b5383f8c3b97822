"""Make the wheels: ``python tools/make_wheel.py`` leaves three in ``dist/``.

One is pure Python.  The others, for Linux on x86-64 and on aarch64, are the same with the engine's libraries in
``gfpmodel/engine``, so that they need no Numba: it compiles each room here, once; LLVM makes of its code an object
file for either machine, and a linker a shared object.  The linker (LLVM's, in the package ``ziglang``, whose version
and sums are in ``linker.txt``) is fetched into ``_build``; no user needs it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from gfpmodel.mm import build, jit
from gfpmodel.mm.library import processor

ROOT = Path(__file__).resolve().parent.parent
DIST, WORK = ROOT / "dist", ROOT / "_build" / "wheel"
LINKER = ROOT / "_build" / "linker"
MACHINES = ("x86_64", "aarch64")
#: The oldest GNU C library of the manylinux2014 images; the libraries need none, which `needs` looks at.
PLATFORM = "manylinux_2_17_{machine}.manylinux2014_{machine}"
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
DYNSYM, VERNEED, DYNAMIC = 11, 0x6FFFFFFE, 6  #: kinds of an ELF file's sections
DT_NEEDED = 1


def compiled(room: str) -> tuple[str, dict[str, list[list[str]]]]:
    """Return a room's code as LLVM's text and its functions, from the last time if its source is the same."""
    kept = WORK / "ir" / f"{room}-{jit.code_hash(room)}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        build.put(kept, json.dumps(build.compile_room(room)).encode())
    ir, functions = json.loads(kept.read_text())
    return ir, functions


def make_room(room: str) -> None:
    """Write a room's library and its manifest for each machine below the folder of work."""
    ir, functions = compiled(room)
    for machine in MACHINES:
        folder = WORK / machine
        folder.mkdir(parents=True, exist_ok=True)
        cpu = processor(machine)
        object_file, shared = folder / f"{room}.o", folder / f"{room}.so"
        object_file.write_bytes(build.emit(ir, f"{machine}-unknown-linux-gnu", cpu))
        link(object_file, shared)
        code = shared.read_bytes()
        if foreign := needs(code) - build.NEEDED:
            raise SystemExit(f"{shared} would need {', '.join(sorted(foreign))}")
        manifest = build.manifest(shared.name, code, jit.code_hash(room), machine, cpu, functions)
        (folder / f"{room}.json").write_bytes(manifest)


def link(object_file: Path, shared: Path) -> None:
    """Make a shared object of an object file."""
    command = (sys.executable, "-m", "ziglang", "ld.lld", "-shared", "-s", "-o", shared, object_file)
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(LINKER)})


def sections(code: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield kind, place, size and linked section of each section of a 64-bit little-endian ELF file."""
    (start,) = struct.unpack_from("<Q", code, 40)
    size, count = struct.unpack_from("<HH", code, 58)
    for at in range(start, start + size * count, size):
        kind, place, length, linked = struct.unpack_from("<4xI16xQQI", code, at)
        yield kind, place, length, linked


def needs(code: bytes) -> set[str]:
    """Return what a shared object needs of others: undefined symbols, versions of symbols, libraries."""
    every, found = list(sections(code)), set()
    for kind, place, length, linked in every:
        if kind == VERNEED:
            found.add("a version of a symbol")
        if kind == DYNAMIC:
            tags = [tag for tag, _ in struct.iter_unpack("<qQ", code[place : place + length])]
            found |= {"another library"} if DT_NEEDED in tags else set()
        if kind == DYNSYM:
            for name, _, _, section, _, _ in struct.iter_unpack("<IBBHQQ", code[place : place + length]):
                if name and not section:
                    begin = every[linked][1] + name
                    found.add(code[begin : code.index(b"\0", begin)].decode())
    return found


def pure_wheel(folder: Path) -> Path:
    """Build the wheel without libraries."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("gfpmodel-*.whl"):
        old.unlink()
    command = (*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("gfpmodel-*-py3-none-any.whl")
    return wheel


def with_files(pure: Path, files: dict[str, bytes], platform: str, folder: Path) -> Path:
    """Write a wheel that has more files than a pure one, and the tags of a platform; same input, same bytes."""
    with zipfile.ZipFile(pure) as old:
        held = {name: old.read(name) for name in old.namelist()}
    record = next(name for name in held if name.endswith(".dist-info/RECORD"))
    head = record.replace("RECORD", "WHEEL")
    kept = [line for line in held[head].decode().splitlines() if not line.startswith(("Root-Is-Purelib", "Tag"))]
    tags = [f"Tag: py3-none-{one}" for one in platform.split(".")]
    held |= files | {head: "\n".join([*kept, "Root-Is-Purelib: false", *tags, ""]).encode()}
    rows = [f"{name},{sum_of(data)},{len(data)}" for name, data in held.items() if name != record]
    held[record] = "\n".join([*rows, f"{record},,", ""]).encode()
    made = folder / pure.name.replace("-any.whl", f"-{platform}.whl")
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in held.items():
            entry = zipfile.ZipInfo(name, (2020, 2, 2, 0, 0, 0))
            entry.external_attr, entry.compress_type = 0o100644 << 16, zipfile.ZIP_DEFLATED
            new.writestr(entry, data)
    return made


def sum_of(data: bytes) -> str:
    """Return a file's sum as a wheel records it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def fetch_linker() -> None:
    """Install the linker below `_build`, if it is not there."""
    if not (LINKER / "ziglang").exists():
        wanted = ("--no-deps", "--require-hashes", "-r", ROOT / "tools" / "linker.txt")
        subprocess.run((*PIP, "install", "--target", LINKER, *wanted), check=True)


def main() -> None:
    """Make the wheels and print their sizes."""
    # what Numba makes must not depend on the processor it runs on
    os.environ |= {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    fetch_linker()
    for machine in MACHINES:
        shutil.rmtree(WORK / machine, ignore_errors=True)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(make_room, sorted(jit.ROOMS, key=lambda room: room != "sim")))  # the longest first
    made = [pure_wheel(DIST)]
    for machine in MACHINES:
        files = {f"gfpmodel/engine/{file.name}": file.read_bytes()
                 for file in sorted((WORK / machine).iterdir()) if file.suffix != ".o"}  # fmt: skip
        made.append(with_files(made[0], files, PLATFORM.format(machine=machine), DIST))
        sizes = ", ".join(f"{Path(name).stem} {len(data):,}" for name, data in files.items() if name.endswith(".so"))
        print(f"{machine}: bytes of code: {sizes}")
    for wheel in made:
        print(f"{wheel.stat().st_size:>9,} {wheel.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
