"""The packed tables as they are shipped; they were printed by the kernels' own headers (ORIGIN.md)."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any


@lru_cache(maxsize=1)
def tables() -> dict[str, Any]:
    """Return the packed tables."""
    data: dict[str, Any] = json.loads(files(__package__).joinpath("layouts.json").read_text())
    return data


def kernels() -> tuple[str, ...]:
    """Return the names of the kernels that have a table of their own, oldest first."""
    return tuple(tables()["kernels"])


def aliases() -> dict[str, str]:
    """Return the other names under which a table can be asked for."""
    return {**tables()["aliases"], **{name: it["table"] for name, it in tables()["releases"].items()}}
