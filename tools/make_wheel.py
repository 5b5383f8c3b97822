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
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from gfpmodel.mm import jit, kernels
from gfpmodel.mm.build import compile_room, emit, manifest, put
from gfpmodel.mm.library import processor

ROOT = Path(__file__).resolve().parents[1]
BUILD, DIST = ROOT / "_build" / "wheel", ROOT / "dist"
ZIG = BUILD / "zig"
GLIBC = "2.17"  # manylinux2014's
MACHINES = ("x86_64", "aarch64")
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def rooms() -> list[str]:
    """Return whose libraries a wheel carries: every room's, those of some with each later kernel's rules, too."""
    of_kernels = [f"{room}@{name}" for name in later() for room in ("mm", "rcu", "sim", "io")]
    return [*sorted(jit.ROOMS, key=lambda room: room != "sim"), *of_kernels]  # longest first


def later() -> list[str]:
    """Return the kernels whose rules are not all those of the functions as they stand."""
    return [name for name, row in kernels.ROWS.items() if row.later]


def fetch_zig() -> None:
    """Install the linker below _build, if it is not there."""
    if not (ZIG / "ziglang").exists():
        wanted = ("--no-deps", "--require-hashes", "-r", ROOT / "tools" / "zig.txt")
        subprocess.run((*PIP, "install", "--target", ZIG, *wanted), check=True)


def link(code: Path, machine: str) -> Path:
    """Make a shared object of an object file; fails if it needs what that glibc has not."""
    shared = code.with_suffix(".so")
    asked = ("-target", f"{machine}-linux-gnu.{GLIBC}", "-shared", "-s", "-Wl,-z,defs", "-o", shared, code)
    command = (sys.executable, "-m", "ziglang", "cc", *asked)
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(ZIG)})
    code.unlink()
    return shared


def libraries(room: str) -> None:
    """Build a room's library, and its manifest, for every machine."""
    ir, functions = compile_room(room)
    for machine in MACHINES:
        folder, cpu = BUILD / machine, processor(machine)
        put(folder / f"{room}.o", emit(ir, f"{machine}-unknown-linux-gnu", cpu))
        shared = link(folder / f"{room}.o", machine)
        code = shared.read_bytes()
        put(folder / f"{room}.json", manifest(shared.name, code, jit.code_hash(room), machine, cpu, functions))
        print(f"{machine} {room}: {len(code):,} bytes", flush=True)


def wheel(machine: str | None, source: Path = ROOT, folder: Path = DIST) -> None:
    """Make a wheel: pure, or with the libraries of a machine (tools/wheel_hook.py puts them in)."""
    asked = {"GFPMODEL_WHEEL": machine} if machine else {}
    command = (*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    subprocess.run(command, env=os.environ | asked, check=True)


def main() -> None:
    """Make the three wheels."""
    os.environ |= {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}  # not this machine's own
    fetch_zig()
    for machine in MACHINES:
        shutil.rmtree(BUILD / machine, ignore_errors=True)
        (BUILD / machine).mkdir(parents=True)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(libraries, rooms()))
    for one in (None, *MACHINES):
        wheel(one)
    for file in sorted(DIST.glob("*.whl")):
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
