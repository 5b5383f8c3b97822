"""What several test files share."""

from pathlib import Path
from typing import Any

import pytest

from gfpmodel.cli import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """Return a function that runs a command line in this process: status, stdout, stderr."""

    def call(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(list(args))
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


@pytest.fixture(scope="session")
def results() -> dict[str, Any]:
    """Return the shipped results that the scorecard reads."""
    from gfpmodel.sim.scorecard import load_results

    return load_results(Path(__file__).parents[1] / "book/data")


@pytest.fixture(scope="session")
def card(results: dict[str, Any]):
    """Return the scorecard of the shipped results."""
    from gfpmodel.sim.scorecard import scorecard

    return scorecard(results)
