"""The rooms of the package: who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gfpmodel

PACKAGE = Path(gfpmodel.__file__).parent
#: A room imports only rooms that stand before it; those of one line know nothing of each other.
FLOORS = (
    ("errors",),
    ("files",),
    ("gfp",),
    ("mm",),
    ("proposals",),
    ("locking",),
    ("rcu",),
    ("io", "sim"),
    ("evidence", "explain"),
    ("exercises",),
    ("show",),
    ("cli",),
    ("meeting",),
    ("__main__",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imported(module: str) -> Iterator[str]:
    """Yield the package's modules that a file imports anywhere, also below TYPE_CHECKING and inside functions."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("gfpmodel."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gfpmodel"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    here = room_of(module)
    if not here:
        return  # the package itself, whose names come from nowhere
    for other in imported(module):
        there = room_of(other)
        if there and there != here:
            assert FLOOR[there] < FLOOR[here], f"{module} imports {other}"


def test_no_two_files_need_each_other() -> None:
    # an __init__ only gathers names; and `jit` asks for the builder only when it is to build
    graph = {
        module: {other for other in imported(module) if MODULES[other].name not in ("__init__.py", "build.py")}
        for module, file in MODULES.items()
        if file.name != "__init__.py"
    }
    assert list(TopologicalSorter(graph).static_order())
