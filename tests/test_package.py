"""The package as its users get it: a wheel in a clean environment, light to import, pinned as it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
HEAVY = ["numba", "numpy", "matplotlib", "ipywidgets", "IPython"]
PIP = ["-m", "pip", "--quiet", "--disable-pip-version-check"]


def run(*command: str | Path, cwd: Path) -> str:
    # without this project's own settings: a user has none of them
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "NUMBA", "COV"))}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def requirements(group: list[str]) -> list[Requirement]:
    return [Requirement(text) for text in group]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a new environment that holds the wheel and the four packages it needs."""
    folder = tmp_path_factory.mktemp("clean")
    wheel = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    run(sys.executable, *wheel, cwd=folder)
    venv.create(folder / "venv", with_pip=True)
    names = [requirement.name for requirement in requirements(PYPROJECT["project"]["dependencies"])]
    pins = [f"{name}=={LOCK[name]}" for name in names]
    programs = folder / "venv" / "bin"
    run(programs / "python", *PIP, "install", *pins, *map(str, folder.glob("*.whl")), cwd=folder)
    return programs


@pytest.mark.slow
def test_wheel_works_without_the_repository(clean: Path, tmp_path: Path) -> None:
    assert "GFP_KERNEL" in run(clean / "gfpmodel", "decode", "0xcc0", "--kernel", "v5.8-rc3", cwd=tmp_path)
    facts = run(clean / "python", "-m", "gfpmodel", "decode", "0xcc0", "--kernel", "v5.8-rc3", "--json", cwd=tmp_path)
    assert json.loads(facts)["text"] == "GFP_KERNEL"


@pytest.mark.slow
def test_wheel_answers_without_a_compiler(clean: Path, tmp_path: Path) -> None:
    """Numba is not among what the package needs: small work runs interpreted."""
    asked = ("verdict", "--proposal", "fast_try", "--order", "1", "--context", "raw", "--kernel", "v5.8-rc3+FAST_TRY")
    assert "page" in run(clean / "gfpmodel", *asked, cwd=tmp_path)
    code = "import importlib.util as u; print(u.find_spec('numba'))"
    assert run(clean / "python", "-c", code, cwd=tmp_path).strip() == "None"


@pytest.mark.slow
def test_wheel_holds_the_package_only(clean: Path, tmp_path: Path) -> None:
    code = "import importlib.metadata as m; print('\\n'.join(map(str, m.files('gfpmodel'))))"
    files = run(clean / "python", "-c", code, cwd=tmp_path).split()
    assert {"gfpmodel/gfp/layouts.json", "gfpmodel/py.typed"} <= set(files)
    assert [f for f in files if f.endswith("licenses/LICENSE")]
    assert {f.split("/")[0].split("-")[0] for f in files} <= {"gfpmodel", ".."}


@pytest.mark.parametrize("module", ["gfpmodel", "gfpmodel.gfp", "gfpmodel.cli"])
def test_import_is_light(module: str, tmp_path: Path) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert run(sys.executable, "-c", code, cwd=tmp_path).strip() == "[]"


def test_lock_fits_what_the_package_asks_for() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    asked = [*PYPROJECT["project"]["dependencies"], *extras["compile"], *extras["show"], *extras["book"]]
    for requirement in requirements(asked):
        if requirement.name != "gfpmodel":
            assert requirement.specifier.contains(LOCK[requirement.name]), requirement


def test_lock_has_the_versions_of_its_source() -> None:
    pins = requirements(
        [line for line in (ROOT / "requirements.in").read_text().splitlines() if line and not line.startswith("#")]
    )
    for pin in pins:
        assert pin.specifier.contains(LOCK[pin.name]), pin


def test_lock_has_one_version_of_each_package() -> None:
    names = re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert len(names) == len(set(names))
    assert "://" not in (ROOT / "requirements.txt").read_text()


def test_every_pin_has_its_sums_and_is_installed_by_them() -> None:
    blocks = re.split(r"^(?=[a-z0-9])", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(LOCK)
    assert not [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block]
    assert "--require-hashes -r requirements.txt" in (ROOT / "Makefile").read_text()


def test_actions_are_pinned_by_commit() -> None:
    used = [
        line.split("uses:")[1].strip()
        for file in (ROOT / ".github/workflows").glob("*.yml")
        for line in file.read_text().splitlines()
        if "uses:" in line
    ]
    assert used
    assert not [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", action)]
