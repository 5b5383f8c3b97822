"""The wheels of tools/make_wheel.py: what is added to a pure wheel, and what a library may need."""

import csv
import struct
import zipfile
from pathlib import Path

import make_wheel
import pytest

from gfpmodel.mm import jit

PLATFORM = make_wheel.PLATFORM.format(machine="aarch64")
HEAD = "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def pure(tmp_path: Path) -> Path:
    """A pure wheel of one module."""
    wheel = tmp_path / "gfpmodel-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for name, text in (("gfpmodel/a.py", "1"), ("gfpmodel-1.dist-info/WHEEL", HEAD)):
            file.writestr(name, text)
        file.writestr("gfpmodel-1.dist-info/RECORD", "gfpmodel/a.py,sha256=wrong,7\n")
    return wheel


def test_a_wheel_with_libraries_says_so(pure: Path, tmp_path: Path) -> None:
    files = {"gfpmodel/engine/mm.so": b"code"}
    made = make_wheel.with_files(pure, files, PLATFORM, tmp_path)
    assert made.name == "gfpmodel-1-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"
    with zipfile.ZipFile(made) as file:
        head = file.read("gfpmodel-1.dist-info/WHEEL").decode().splitlines()
        rows = list(csv.reader(file.read("gfpmodel-1.dist-info/RECORD").decode().splitlines()))
        assert {name for name, _, _ in rows} == set(file.namelist())
        for name, digest, size in rows[:-1]:
            data = file.read(name)
            assert (digest, int(size)) == (make_wheel.sum_of(data), len(data))
    assert rows[-1] == ["gfpmodel-1.dist-info/RECORD", "", ""]
    assert head[2:] == [
        "Root-Is-Purelib: false", "Tag: py3-none-manylinux_2_17_aarch64", "Tag: py3-none-manylinux2014_aarch64"
    ]  # fmt: skip
    again = made.read_bytes()
    assert make_wheel.with_files(pure, files, PLATFORM, tmp_path).read_bytes() == again


def shared(symbols: list[tuple[str, int]], tags: list[int], versions: bool) -> bytes:
    """Return an ELF file that has nothing but what `needs` reads: symbols with their sections, and dynamic tags."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name, _ in symbols)
    places = [names.index(b"\0" + name.encode() + b"\0") + 1 for name, _ in symbols]
    rows = [struct.pack("<IBBHQQ", 0, 0, 0, 0, 0, 0)]
    rows += [struct.pack("<IBBHQQ", at, 0, 0, where, 0, 0) for at, (_, where) in zip(places, symbols, strict=True)]
    parts = [
        (make_wheel.DYNSYM, b"".join(rows), 1),
        (3, names, 0),
        (make_wheel.DYNAMIC, b"".join(struct.pack("<qQ", tag, 0) for tag in tags), 1),
    ]
    parts += [(make_wheel.VERNEED, b"", 1)] * versions
    heads, body = b"", b"\0" * 64
    for kind, data, linked in parts:
        heads += struct.pack("<4xI16xQQI20x", kind, len(body), len(data), linked)
        body += data
    return (
        body[:40] + struct.pack("<Q", len(body)) + body[48:58] + struct.pack("<HH", 64, len(parts)) + body[62:] + heads
    )


def test_what_a_shared_object_needs_is_seen() -> None:
    assert make_wheel.needs(shared([("gfp_0_0", 5)], [0], False)) == set()
    assert make_wheel.needs(shared([("gfp_0_0", 5), ("memcpy", 0)], [0], False)) == {"memcpy"}
    assert make_wheel.needs(shared([], [1, 0], True)) == {"another library", "a version of a symbol"}


def test_the_loader_looks_where_the_wheel_has_its_libraries() -> None:
    assert (jit.PACKAGE / "engine").relative_to(make_wheel.ROOT) == Path("gfpmodel/engine")


def test_the_linker_is_pinned() -> None:
    lines = (make_wheel.ROOT / "tools" / "linker.txt").read_text().splitlines()
    assert [line for line in lines if line.startswith("ziglang==")]
    assert len([line for line in lines if "--hash=sha256:" in line]) == 2
