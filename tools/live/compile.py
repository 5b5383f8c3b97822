"""Runs inside Pyodide: make the archives of the page from the folder /bundle, compiled by the Python that reads them.

/out/gfp.zip is the bundle, /out/python_stdlib.zip what of the standard library it can come to import.
"""

import ast
import importlib
import importlib.util
import marshal
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

BUNDLE, OUT, LIBRARY = Path("/bundle"), Path("/out"), "/lib/python314.zip"
#: What Python needs before it can import, of which no import tells.
FIRST = ("encodings", "encodings.aliases", "encodings.utf_8", "encodings.ascii", "encodings.latin_1", "encodings.cp437")


def imported(source: bytes) -> set[str]:
    """Return the modules of the standard library that a file imports anywhere, also inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.split(".")[0] in sys.stdlib_module_names}


def pyc(source: bytes, name: str) -> bytes:
    """Return a file's compiled form, which Python does not compare with a source: there is none in the page."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=2)
    return importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code)


def pack(archive: Path, files: dict[str, bytes]) -> None:
    """Write files into an archive that is not packed: the whole is packed better than each file."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as made:
        for name, data in sorted(files.items()):
            made.writestr(zipfile.ZipInfo(name), data)


def library(sources: dict[str, bytes]) -> dict[str, bytes]:
    """Return the part of the standard library that is needed, compiled: what is loaded once all of it is imported."""
    for name in (*FIRST, *sorted(set().union(*map(imported, sources.values())))):
        with suppress(ImportError):  # a name inside a module, or a module of another system
            importlib.import_module(name)
    whole = zipfile.ZipFile(LIBRARY)
    loaded = {str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())}
    names = {name.removeprefix(f"{LIBRARY}/") for name in loaded if name.startswith(LIBRARY)}
    names |= {name for name in whole.namelist() if name.startswith(("pyodide/", "_pyodide/")) and name.endswith(".py")}
    return {f"{name}c": pyc(whole.read(name), f"{LIBRARY}/{name}") for name in names}


sys.path.insert(0, str(BUNDLE))
files = {path.relative_to(BUNDLE).as_posix(): path.read_bytes() for path in BUNDLE.rglob("*") if path.is_file()}
sources = {name: data for name, data in files.items() if name.endswith(".py")}
importlib.import_module("gfpmodel.show.live")
packed = {f"{name}c": pyc(data, f"/gfp/{name}") for name, data in sources.items()}
pack(OUT / "gfp.zip", packed | {name: data for name, data in files.items() if name not in sources})
kept = library(sources)
pack(OUT / "python_stdlib.zip", kept)
print(f"{len(sources)} modules of the package, {len(kept)} of the standard library")
