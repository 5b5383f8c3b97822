"""Sphinx extension: the built book carries the model, for readers who wake it in their browser (tools/live)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
BUILD = Path(__file__).parent / "live" / "build.py"


def finish(app: Sphinx, error: Exception | None) -> None:
    """Put the model's parts beside the pages; where they cannot be made the pages keep what was drawn ahead."""
    if error or app.builder.format != "html":
        return
    try:
        subprocess.run([sys.executable, str(BUILD), str(Path(app.outdir, "_static", "live"))], check=True)
    except subprocess.CalledProcessError:
        logger.warning("the model cannot run in these pages: tools/live/build.py failed")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", finish)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
