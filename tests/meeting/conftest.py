"""A server of the meeting's page, started once."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import PATIENCE


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file that the server's messages go to."""
    return tmp_path_factory.mktemp("meeting") / "log"


@pytest.fixture(scope="session")
def address(log: Path) -> Iterator[str]:
    """Return the address that the server prints, with the token."""
    folder = log.parent
    root = ["--allow-root"] if os.getuid() == 0 else []
    command = [sys.executable, "-m", "gfpmodel.meeting", "--no-browser", "--ip=127.0.0.1", "--port=0", *root]
    with log.open("w") as out:
        server = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, env=environment(folder))
    try:
        yield printed(log, server)
    finally:
        server.terminate()
        assert server.wait(timeout=PATIENCE) == 0, log.read_text()


def environment(folder: Path) -> dict[str, str]:
    """Return an environment without a user's own settings of Jupyter."""
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_RUNTIME_DIR": str(folder), "PYTHONPATH": root}


def printed(log: Path, server: subprocess.Popen[bytes]) -> str:
    """Wait for the address in the log, and until somebody listens there: it is printed before."""
    for _ in range(10 * PATIENCE):
        found = re.search(r"http://127\.0\.0\.1:(\d+)/meeting\?token=\w+", log.read_text())
        with suppress(OSError):
            if found:
                socket.create_connection(("127.0.0.1", int(found[1]))).close()
                return found[0]
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"no address after {PATIENCE} s: {log.read_text()}")
