"""How the chapters are tested, by ``make test`` and by hand: ``pytest --nbval book/bits.ipynb``.

A first cell may wait minutes for the engine's compiler, so the limit is far above that.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
CELL_SECONDS = 1800  # for a machine that does other things; nothing is said about speed here


def pytest_configure(config: pytest.Config) -> None:
    """Set what a chapter needs: this Python, what is compared, the cache of ``make``, drawings that jitter."""
    config.option.nbval_current_env = True
    config.option.nbval_sanitize_with = str(ROOT / "tests" / "nbval_sanitize.cfg")
    config.option.nbval_cell_timeout = CELL_SECONDS
    profile = Path(tempfile.mkdtemp(prefix="ipython-"))
    config.add_cleanup(lambda: shutil.rmtree(profile))
    startup = profile / "profile_default" / "startup"
    startup.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "jitter.py", startup)
    os.environ["IPYTHONDIR"] = str(profile)
    os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".cache" / "numba"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Any:
    """Let a cell fail that nbval expects to fail, because one before it timed out: nothing here is expected to fail."""
    report = yield
    if hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", "not examined: a cell before it timed out"
        del report.wasxfail
    return report
