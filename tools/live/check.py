"""Runs inside Pyodide: what the page's own package answers, and whether it agrees with recorded truth.

/in/asked.json holds ``pictures``, a list of names and arguments, and ``files``, recordings below /repo;
/out/found.json gets the answers in order, and for each file its operations and the first difference.
"""

import json
import sys
import zipfile
from pathlib import Path

IN, OUT = Path("/in"), Path("/out")

zipfile.ZipFile(IN / "gfp.zip").extractall("/gfp")
sys.path.insert(0, "/gfp")

import gfpmodel  # noqa: E402
import gfpmodel.io  # noqa: E402
from gfpmodel.mm import jit  # noqa: E402
from gfpmodel.show import live  # noqa: E402

# the page has no recordings, and nothing that reads them
gfpmodel.__path__.append("/repo/gfpmodel")
gfpmodel.io.__path__.append("/repo/gfpmodel/io")

from gfpmodel.evidence.golden import verify  # noqa: E402


def verified(file: str) -> tuple[int, object]:
    """Return how many operations of a recording agree, and the first difference or None."""
    operations, difference, *_ = verify(Path("/repo", file))
    return operations, difference


asked = json.loads((IN / "asked.json").read_text())
found = {
    "way": {room: jit.way(room) for room in ("mm", "rcu")},
    "pictures": [live.answer(name, arguments) for name, arguments in asked["pictures"]],
    "files": [[operations, repr(difference)] for operations, difference in map(verified, asked["files"])],
}
(OUT / "found.json").write_text(json.dumps(found))
