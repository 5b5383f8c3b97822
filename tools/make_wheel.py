"""Make the wheels: ``python tools/make_wheel.py`` leaves them in dist/.

One is pure; one each for x86-64 and aarch64 carries the compiled engine and needs neither Numba nor a compiler.  Numba
compiles each room once, LLVM makes an object of it for each machine, and Zig's linker, which knows the symbols of every
glibc, makes a shared object that asks for no more than glibc 2.17 has.  Zig is fetched into _build, for this alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gfpmodel.mm import jit
from gfpmodel.mm.build import compile_room, emit, write

ROOT = Path(__file__).resolve().parents[1]
BUILD, DIST = ROOT / "_build" / "wheel", ROOT / "dist"
GLIBC = "2.17"  # manylinux2014's
MACHINES = ("x86_64", "aarch64")
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def zig() -> Path:
    """Return a Python that has Zig, in an environment of its own."""
    python = BUILD / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    lock = ROOT / "tools" / "zig.txt"
    subprocess.run([python, *PIP, "install", "--no-deps", "--require-hashes", "-r", lock], check=True)
    return python


def link(code: bytes, machine: str, python: Path) -> bytes:
    """Return a shared object made of an object file; fails if it needs what that glibc has not."""
    with tempfile.TemporaryDirectory() as folder:
        here, there = Path(folder, "engine.o"), Path(folder, "engine.so")
        here.write_bytes(code)
        asked = ("-target", f"{machine}-linux-gnu.{GLIBC}", "-shared", "-s", "-Wl,-z,defs", "-o", there, here)
        subprocess.run([python, "-m", "ziglang", "cc", *asked], check=True)
        return there.read_bytes()


def libraries(python: Path) -> None:
    """Build every room's library for every machine, into a folder for each machine."""
    for machine in MACHINES:
        shutil.rmtree(BUILD / machine, ignore_errors=True)
        (BUILD / machine).mkdir(parents=True)
    for room in jit.ROOMS:
        ir, functions = compile_room(room)
        for machine in MACHINES:
            code = link(emit(ir, f"{machine}-unknown-linux-gnu"), machine, python)
            write(BUILD / machine, room, ".so", code, functions, machine)
            print(f"{machine} {room}: {len(code):,} bytes", flush=True)


def wheel(machine: str | None) -> None:
    """Make a wheel: pure, or with the libraries of a machine (tools/wheel_hook.py puts them in)."""
    asked = {"GFPMODEL_WHEEL": machine} if machine else {}
    command = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(DIST), str(ROOT)]
    subprocess.run([sys.executable, *command], env=os.environ | asked, check=True)


def main() -> None:
    """Make the three wheels."""
    libraries(zig())
    for machine in (None, *MACHINES):
        wheel(machine)
    for file in sorted(DIST.glob("*.whl")):
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
