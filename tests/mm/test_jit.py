"""How the engine runs: which way is chosen, what makes a library unfit, and that all ways give the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gfpmodel.errors import InputError
from gfpmodel.mm import build, checks, jit, library, page_alloc
from gfpmodel.mm.state import Mm, get, list_add

ONE = """
from gfpmodel.mm import Machine, PageAllocator, Zone, jit
print(PageAllocator(Machine((Zone(2, 32768, 16384),))).alloc_pages(), jit.way())
"""


def run(**environment: str) -> tuple[str, str]:
    """Ask for one page in a new process: what it prints, and what it says on stderr."""
    inherited = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    done = subprocess.run(
        [sys.executable, "-c", ONE], env=inherited | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip(), done.stderr.strip()


def test_the_first_page_comes_without_a_compiler(tmp_path: Path) -> None:
    assert run(GFPMODEL_CACHE=str(tmp_path)) == ("48128 interpreted", "")
    assert run(GFPMODEL_CACHE=str(tmp_path), GFPMODEL_ENGINE="interpreted") == ("48128 interpreted", "")


def test_a_word_that_is_no_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GFPMODEL_ENGINE", "compiled")
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    with pytest.raises(InputError, match="GFPMODEL_ENGINE 'compiled'"):
        jit.forced_way.__wrapped__()


def manifest(folder: Path, **changed: Any) -> Path:
    """Write the manifest of a library that holds nothing, and its file."""
    said = {"source": "s", "machine": "m", "file": "mm.o", "sha256": "0", "functions": {}} | changed
    (folder / "mm.o").write_bytes(b"no machine code")
    (folder / "mm.json").write_text(json.dumps(said))
    return folder / "mm.json"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, "other source"),
        ({"source": "here"}, "it is for m"),
        ({"source": "here", "machine": os.uname().machine}, "damaged"),
        ({"file": "missing.o"}, "cannot be loaded"),
    ],
)
def test_a_library_that_does_not_fit_is_not_used(tmp_path: Path, changed: dict[str, str], why: str) -> None:
    with pytest.raises(library.Unfit, match=why):
        library.load(manifest(tmp_path, **changed), "here")


def test_torn_manifests_are_not_used(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"file": 3}'):
        (tmp_path / "mm.json").write_text(text)
        with pytest.raises(library.Unfit):
            library.load(tmp_path / "mm.json", "here")


def test_an_unfit_library_is_said_in_one_line_and_the_next_way_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / jit.code_hash("mm")
    folder.mkdir()
    manifest(folder)
    out, said = run(GFPMODEL_CACHE=str(tmp_path))
    assert out == "48128 interpreted"
    assert len(said.splitlines()) == 1
    assert "mm.json is not used: it was made from other source" in said


@pytest.mark.parametrize("room", jit.ROOMS)
def test_every_entry_says_what_it_takes(room: str) -> None:
    entries = build.entries_of(room)
    assert entries
    for one in entries.values():
        assert 1 <= len(library.variants(library.kinds_of(one.function))) <= 2


def test_an_entry_takes_what_its_annotation_says() -> None:
    machine, *_ = library.kinds_of(page_alloc.run_ops.function)  # type: ignore[attr-defined]
    pages, trace = machine.items[0], machine.items[-1]
    assert trace.optional
    out: list[Any] = []
    library.words_of(pages, np.zeros(6, np.uint32), out)
    assert out[1:] == [6]
    for wrong in (np.zeros(6, np.int64), np.zeros((2, 3), np.uint32), np.zeros(12, np.uint32)[::2]):
        with pytest.raises(TypeError):
            library.words_of(pages, wrong, [])
    with pytest.raises(TypeError, match="3 items; expected 5"):
        library.words_of(machine, (np.zeros(6, np.uint32),) * 3, [])


def test_an_entry_that_records_nothing_or_always_something_is_compiled_once() -> None:
    for silent in (checks.check_zone, page_alloc.free_boot_range):
        (kinds,) = library.variants(library.kinds_of(silent.function))  # type: ignore[union-attr]
        assert kinds[0].items[-1] is None
    for room in ("rcu", "sim"):
        for one in build.entries_of(room).values():
            assert len(library.variants(library.kinds_of(one.function))) == 1


def test_an_engine_function_called_by_mistake_is_plain_python() -> None:
    rows = memoryview(np.arange(12, dtype=np.uint32))  # type: ignore[arg-type]
    machine = Mm(rows, rows, rows, rows, None)  # type: ignore[arg-type]
    list_add(machine, 1, 0)
    assert get(machine, 0, 0) == 1


def test_the_hash_is_over_all_that_an_engine_function_may_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in jit.ROOMS:
        (tmp_path / folder).mkdir()
    engine, other = tmp_path / "mm" / "pcp.py", tmp_path / "mm" / "allocator.py"
    engine.write_text("from gfpmodel.mm.jit import compiled\n")
    other.write_text("")
    monkeypatch.setattr(jit, "PACKAGE", tmp_path)

    def hashes() -> tuple[str, str, str]:
        return jit.source_hash("sim"), jit.code_hash.__wrapped__("mm"), jit.code_hash.__wrapped__("sim")

    before = hashes()
    other.write_text("# changed\n")
    changed = hashes()
    assert changed[0] != before[0]
    assert changed[1:] == before[1:]
    engine.write_text("from gfpmodel.mm.jit import inlined\n")
    assert not set(hashes()) & set(changed)


def test_a_view_shares_the_array() -> None:
    array = np.zeros(3, np.uint32)
    jit.view((array, None, 5))[0][1] = 7
    assert array[1] == 7


def test_a_library_is_built_when_the_work_is_worth_it_and_not_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    built: list[str] = []
    monkeypatch.setattr(build, "build", lambda room, folder: built.append(room))
    monkeypatch.setattr(jit, "forced_way", lambda: None)
    monkeypatch.setattr(jit, "way", lambda room: "interpreted")
    monkeypatch.setattr(jit, "_expected", dict.fromkeys(jit.ROOMS, 0))
    monkeypatch.setattr(jit, "_said", set())
    jit.expect("mm", jit.PAYS["mm"] - 1)
    assert built == []
    assert capsys.readouterr().err == ""
    jit.expect("mm", 1)
    jit.expect("mm", 1)
    assert built == ["mm"]
    (line,) = capsys.readouterr().err.splitlines()
    assert "compiling the engine (mm) with Numba" in line
    assert f"{jit.PAYS['mm']:,} operations are to be run" in line
    jit.library.cache_clear()


def test_a_library_stays_where_entries_point_into_it() -> None:
    code = """
import gc
from gfpmodel.mm import Machine, PageAllocator, Zone, jit
a = PageAllocator(Machine((Zone(2, 32768, 16384),)))
a.alloc_pages()
jit.library.cache_clear()
gc.collect()
print(a.alloc_pages())
"""
    inherited = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    done = subprocess.run([sys.executable, "-c", code], env=inherited, capture_output=True, text=True, check=True)
    assert done.stdout == "48129\n"


def test_a_damaged_library_is_built_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built: list[str] = []
    monkeypatch.setattr(build, "build_alone", lambda room, folder: built.append(room))
    build.build("mm", tmp_path)
    manifest(tmp_path, source=jit.code_hash("mm"), machine=os.uname().machine)
    build.build("mm", tmp_path)
    assert built == ["mm", "mm"]


def test_a_machine_that_is_not_named_gets_what_all_have() -> None:
    assert library.processor("riscv64") == "generic"
    assert library.processor("x86_64") != "generic"
