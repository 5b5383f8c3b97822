"""Execute notebooks and store their outputs so that a second run gives the same bytes.

    python tools/nbrecord.py [--check] [NOTEBOOK...]     default: book/*.ipynb

``--check`` writes nothing; it exits 1 when a recorded output differs from a fresh run, and names the cell.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode
from nbformat.reader import NotJSONError

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 1800  # a first cell may wait minutes for the compiler
#: Where an SVG in JSON draws: that hangs on the last digits of a processor's floating point, so no check looks at it.
GEOMETRY = re.compile(r'(?<=\s)(?:d|x|y|width|height|points|transform|viewBox)=\\"(?:[^"\\]|\\n)*\\"')
STATE = "application/vnd.jupyter.widget-state+json"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """A fresh run of ``notebook`` in a new kernel whose working directory is ``folder``."""
    fresh: NotebookNode = nbformat.from_dict(notebook)  # type: ignore[no-untyped-call]
    fresh.metadata.pop("widgets", None)
    client = NotebookClient(
        fresh,
        timeout=TIMEOUT_S,
        kernel_name=KERNEL["name"],
        record_timing=False,
        store_widget_state=True,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],  # every kernel warns about its unencrypted local port
    )
    client.execute()
    return fresh


def number_widgets(notebook: NotebookNode) -> NotebookNode:
    """Widget ids are random: replace them by 000, 001... in the order in which the widgets were made."""
    models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    text = write(notebook)
    for number, model in enumerate(models):
        text = text.replace(model, f"{number:03d}")
    return parse(text)


def normalise(notebook: NotebookNode) -> str:
    """The notebook as text without anything that depends on when, where or by which Python it was run."""
    widgets = {key: value for key, value in notebook.metadata.items() if key == "widgets"}
    metadata = {**widgets, "kernelspec": KERNEL, "language_info": LANGUAGE}
    notebook.metadata = NotebookNode(metadata)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    # written twice: the writer sorts by key, and some keys are the ids
    return write(number_widgets(notebook)) + "\n"


def write(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook, version=4)  # type: ignore[no-untyped-call,no-any-return]


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call,no-any-return]


def parse(text: str) -> NotebookNode:
    return nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call,no-any-return]


def shown(cell: NotebookNode) -> tuple[Any, Any]:
    return cell.get("execution_count"), cell.get("outputs")


def differences(old: NotebookNode, new: NotebookNode) -> list[str]:
    """Which cells differ; else what differs outside the cells."""
    pairs = enumerate(zip(old.cells, new.cells, strict=True), start=1)
    cells = [f"cell {n} ({was.get('id')})" for n, (was, now) in pairs if shown(was) != shown(now)]
    return cells or ["widget state or metadata"]


def record(path: Path, *, check: bool) -> list[str]:
    """Run one notebook; store the result, or with ``check`` say what differs from it."""
    before = path.read_text(encoding="utf-8")
    after = normalise(execute(read(path), path.parent))
    if after == before or (check and GEOMETRY.sub("", after) == GEOMETRY.sub("", before)):
        return []
    if check:
        return [f"{where} differs from a fresh run" for where in differences(parse(before), parse(after))]
    path.write_text(after, encoding="utf-8")
    print(f"{path}: recorded")
    return []


def problems(path: Path, *, check: bool) -> list[str]:
    try:
        return record(path, check=check)
    except CellExecutionError as error:
        return [f"a cell fails: {error.ename}: {error.evalue}"]
    except (OSError, ValueError, RuntimeError, NotJSONError, CellTimeoutError) as error:
        return [str(error).strip().splitlines()[0]]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Execute notebooks and store their outputs.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when an output differs")
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK", help="default: book/*.ipynb")
    options = parser.parse_args(arguments)
    status = 0
    for path in options.notebooks or sorted(ROOT.glob("book/*.ipynb")):
        for problem in problems(path, check=options.check):
            print(f"{path}: {problem}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
