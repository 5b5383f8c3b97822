"""Make what a page needs to run the model in the reader's browser: ``python tools/live/build.py FOLDER``.

Python as WebAssembly (Pyodide), the part of its library that is needed, the package with a stand-in for NumPy, and the
compiled engine, each packed once: NAME.gz for a server, NAME.gz.js for a page that is opened as a file, which may load
scripts and nothing else.  What was made before of the same source is taken again.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from importlib.metadata import distribution
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

import unidiff
from playwright._impl._driver import compute_driver_executable  # its node is the one that the pages' tests use

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tools" / "live"
sys.path.insert(0, str(ROOT / "tools"))

import fetch_js  # noqa: E402
from vendor_js import OFFLINE  # noqa: E402

from gfpmodel.mm import jit  # noqa: E402
from gfpmodel.mm.build import build, compile_room, emit, manifest  # noqa: E402

TOOLS = fetch_js.LIVE_VENDOR
PACKAGE, KEPT = ROOT / "gfpmodel", ROOT / "_build" / "live"
MACHINE, TRIPLE = "wasm32", "wasm32-unknown-emscripten"
ENGINE = ("mm", "rcu")
PYTHON = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm")
ARCHIVES = ("python_stdlib.zip", "gfp.zip")
WORKER = HERE / "worker.js"
DATA = (".json", ".css", ".csv", ".txt", ".xz", ".gz")
#: What is not drawn with: a compiler, and the simulator, whose experiments stay as they were drawn ahead.
LEFT_OUT = ("gfpmodel.mm.build", "gfpmodel.sim", "numpy", "numba", "llvmlite")


def node(*words: object) -> None:
    """Run a script with Node; what it says on stderr is ours, and a fault ends the build."""
    executable = compute_driver_executable()[0]
    subprocess.run([str(executable), "--no-warnings", *map(str, words)], check=True)


def loaded() -> list[Path]:
    """Return the files of the package, and of the libraries that it stands on, that drawing can come to import."""
    finder = ModuleFinder([str(ROOT), str(Path(unidiff.__file__).parents[1])], excludes=LEFT_OUT)
    finder.import_hook("gfpmodel.show.live")
    files = (getattr(module, "__file__", None) for module in finder.modules.values())
    return [Path(file) for file in files if file]


def sources() -> Iterator[tuple[str, bytes]]:
    """Yield what goes into the page, by its name there."""
    rooms = set()
    for file in loaded():
        part = "gfpmodel" if PACKAGE in file.parents else "unidiff"
        rooms |= {file.parent} if part == "gfpmodel" else set()
        yield "/".join(file.parts[len(file.parts) - file.parts[::-1].index(part) - 1 :]), file.read_bytes()
    for room in sorted(rooms):
        for file in sorted(room.iterdir()):
            if file.suffix in DATA:
                yield file.relative_to(ROOT).as_posix(), file.read_bytes()
    for file in sorted((HERE / "standin").rglob("*.py")):
        yield file.relative_to(HERE / "standin").as_posix(), file.read_bytes()
    yield "gfpmodel/engine/source.json", json.dumps({room: jit.code_hash(room) for room in ENGINE}).encode()


def engine(folder: Path) -> None:
    """Put the compiled engine into a folder: of the same code of Numba's as this machine's own, where that is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for room in ENGINE:
        code, functions = whole(room)
        symbols = [symbol for made in functions.values() for symbol, _ in made]
        with tempfile.NamedTemporaryFile(suffix=".o") as file:
            Path(file.name).write_bytes(emit(code, TRIPLE, "generic"))
            node(HERE / "link.mjs", TOOLS, file.name, folder / f"{room}.so", *symbols)
        linked = (folder / f"{room}.so").read_bytes()
        said = manifest(f"{room}.so", linked, jit.code_hash(room), MACHINE, "generic", functions)
        (folder / f"{room}.json").write_bytes(said)


def whole(room: str) -> tuple[str | bytes, dict[str, list[list[str]]]]:
    """Return a room's code as LLVM has it, and its functions."""
    kept = jit.cache_dir(room)
    try:
        build(room, kept)
        return (kept / f"{room}.bc").read_bytes(), json.loads((kept / f"{room}.json").read_text())["functions"]
    except OSError:  # a cache that cannot be written, or one of before
        return compile_room(room)


def parts(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return what the page fetches, by name, not yet packed."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle, out = Path(scratch, "bundle"), Path(scratch, "out")
        out.mkdir()
        for name, data in files.items():
            (bundle / name).parent.mkdir(parents=True, exist_ok=True)
            (bundle / name).write_bytes(data)
        engine(bundle / "gfpmodel" / "engine")
        node(HERE / "inside.mjs", TOOLS, HERE / "compile.py", f"bundle={bundle}", f"out={out}")
        made = {name: (out / name).read_bytes() for name in ARCHIVES}
    return {name: (TOOLS / name).read_bytes() for name in PYTHON} | made


def pack(folder: Path, files: dict[str, bytes]) -> None:
    """Write each part in its two forms, and the script that starts them."""
    sizes = {}
    for name, data in files.items():
        small = gzip.compress(data, 9, mtime=0)
        sizes[name] = len(small)
        (folder / f"{name}.gz").write_bytes(small)
        text = f"gfpLive.part({json.dumps(name)}, {json.dumps(base64.b64encode(small).decode())});\n"
        (folder / f"{name}.gz.js").write_text(text)
    said = map(json.dumps, (sizes, folder.name, WORKER.read_text()))
    (folder / "start.js").write_text(f"gfpLive.begin({', '.join(said)});\n")


def licences(folder: Path) -> None:
    """Write what the parts are made of, and under which licences, and put these beside it."""
    diff = distribution("unidiff")
    made = (
        "gfp.zip  gfpmodel  GPL-2.0-only  compiled; the source is this project's",
        f"gfp.zip  unidiff@{diff.version}  MIT  compiled",
        "python_stdlib.zip  the part that is needed of that archive, compiled; CPython's library is under PSF-2.0",
    )
    texts = {
        "MPL-2.0.txt": fetch_js.TEST_VENDOR / "axe-core.LICENSE.txt",
        "GPL-2.0.txt": ROOT / "LICENSE",
        "unidiff.LICENSE.txt": Path(str(diff.locate_file(next(f for f in diff.files or () if f.name == "LICENSE")))),
        "python.LICENSE.txt": Path(sysconfig.get_path("stdlib"), "LICENSE.txt"),
    }
    (folder / "SOURCES.txt").write_text(fetch_js.sources(fetch_js.LIVE_PACKAGES[:1]) + "\n".join(made) + "\n")
    for name, text in texts.items():
        shutil.copy(text, folder / name)


def inside(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what the page's Python answers, of the parts in a folder; what can be asked is in check.py."""
    with tempfile.TemporaryDirectory() as scratch:
        given, out = Path(scratch, "in"), Path(scratch, "out")
        given.mkdir()
        out.mkdir()
        (given / "gfp.zip").write_bytes(gzip.decompress((folder / "gfp.zip.gz").read_bytes()))
        (given / "asked.json").write_text(json.dumps(asked))
        node(HERE / "inside.mjs", TOOLS, HERE / "check.py", f"in={given}", f"out={out}", f"repo={ROOT}")
        found: dict[str, Any] = json.loads((out / "found.json").read_text())
    return found


def make(folder: Path) -> int:
    """Put all of it into a folder; returns how many bytes a reader of a server fetches.  Raises FetchError."""
    for vendor, packages in ((TOOLS, fetch_js.LIVE_PACKAGES), (fetch_js.TEST_VENDOR, fetch_js.TEST_PACKAGES)):
        if os.environ.get(OFFLINE) and not fetch_js.complete(vendor, packages):
            raise fetch_js.FetchError(f"{OFFLINE} is set")
        fetch_js.fetch(vendor, packages)
    files = dict(sources())
    own = [file.read_bytes() for file in sorted(HERE.glob("*.*"))]
    key = hashlib.sha256(repr((sorted(files.items()), own)).encode()).hexdigest()[:16]
    kept = KEPT / key
    if not (kept / "start.js").exists():
        shutil.rmtree(KEPT, ignore_errors=True)
        kept.mkdir(parents=True)
        licences(kept)
        pack(kept, parts(files))
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    return sum(file.stat().st_size for file in folder.glob("*.gz"))


if __name__ == "__main__":
    try:
        print(f"{make(Path(sys.argv[1])):,} bytes to fetch, once")
    except fetch_js.FetchError as error:
        sys.exit(str(error))
