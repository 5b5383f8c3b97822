"""The wheels of tools/make_wheel.py: where the libraries go, and with which linker they are made."""

import re
import subprocess
import zipfile
from pathlib import Path

import make_wheel
import pytest
from wheel_hook import TAG

from gfpmodel.mm import jit


@pytest.mark.slow
def test_a_wheel_for_a_machine_has_its_libraries_where_the_loader_looks(tmp_path: Path) -> None:
    source = tmp_path / "source"
    listed = subprocess.run(["git", "ls-files", "gfpmodel", "tools", "*.toml", "*.md", "LICENSE"], cwd=make_wheel.ROOT,
                            capture_output=True, text=True, check=True).stdout.split()  # fmt: skip
    for name in listed:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((make_wheel.ROOT / name).read_bytes())
    folder = source / "_build" / "wheel" / "aarch64"
    folder.mkdir(parents=True)
    given = ("mm.so", "mm.json", "mm@v6.18.so", "mm@v6.18.json")
    for name in given:
        (folder / name).write_text("x")
    make_wheel.wheel("aarch64", source, tmp_path)
    (made,) = tmp_path.glob("*.whl")
    assert made.name.endswith("-" + TAG.format("aarch64") + ".whl")
    with zipfile.ZipFile(made) as file:
        where = (jit.PACKAGE / "engine").relative_to(jit.PACKAGE.parent)
        assert {f"{where}/{name}" for name in given} <= set(file.namelist())
        (head,) = (name for name in file.namelist() if name.endswith(".dist-info/WHEEL"))
        assert b"Root-Is-Purelib: false" in file.read(head)


def test_a_wheel_has_a_library_for_every_entry() -> None:
    rooms = {jit.room_of(name) for name in jit.ENTRIES} - {""}
    shipped = {room for room in rooms if not room.endswith(" with a mistake")}  # other tests may have made mutants
    assert shipped <= set(make_wheel.rooms())
    of_kernels = {f"{room}@{kernel}" for room in ("mm", "sim", "io") for kernel in ("v6.18", "v7.1", "v7.3")}
    assert of_kernels <= set(make_wheel.rooms())


def test_the_linker_is_pinned() -> None:
    lines = (make_wheel.ROOT / "tools" / "zig.txt").read_text().splitlines()
    assert [line for line in lines if re.match(r"ziglang==[\d.]+ ", line)]
    assert len([line for line in lines if "--hash=sha256:" in line]) == 2
