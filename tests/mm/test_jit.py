"""How the engine runs: which way is chosen, what makes a library unfit, and that all ways give the same."""

import json
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gfpmodel.errors import InputError
from gfpmodel.mm import build, checks, free, jit, library
from gfpmodel.mm.run import run_ops
from gfpmodel.mm.state import Mm, get, list_add

ONE = """
from gfpmodel.mm import Machine, PageAllocator, Zone, jit
print(PageAllocator(Machine((Zone(2, 32768, 16384),))).alloc_pages(), jit.way())
"""


def run(*command: str, **environment: str) -> tuple[str, str]:
    """Ask for one page in a new process, or run a command: what it prints, and what it says on stderr."""
    inherited = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    done = subprocess.run(
        [sys.executable, *(command or ("-c", ONE))],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), done.stderr.strip()


def test_the_first_page_comes_without_a_compiler(tmp_path: Path) -> None:
    assert run(GFPMODEL_CACHE=str(tmp_path)) == ("48128 interpreted", "")
    assert run(GFPMODEL_CACHE=str(tmp_path), GFPMODEL_ENGINE="interpreted") == ("48128 interpreted", "")


def test_the_way_that_is_forced_and_is_not_there_is_said(tmp_path: Path) -> None:
    out, said = run(GFPMODEL_CACHE=str(tmp_path), GFPMODEL_ENGINE="ahead")
    assert out == "48128 interpreted"
    assert said == "gfpmodel: GFPMODEL_ENGINE=ahead, but no library came with this package: the engine runs interpreted"


def test_who_asks_which_way_it_is_waits_for_no_compiler(tmp_path: Path) -> None:
    out, said = run("-m", "gfpmodel", "--version", GFPMODEL_CACHE=str(tmp_path), GFPMODEL_ENGINE="here")
    assert "mm interpreted" in out
    assert said == ""


def test_a_word_that_is_no_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GFPMODEL_ENGINE", "compiled")
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    with pytest.raises(InputError, match="GFPMODEL_ENGINE 'compiled'"):
        jit.forced_way.__wrapped__()


MACHINE = os.uname().machine
GOOD = {"file": "mm.o", "source": "here", "machine": MACHINE, "cpu": "generic", "functions": {}}


def manifest(folder: Path, code: bytes = b"no machine code", **changed: Any) -> Path:
    """Write a library's file, and a manifest that is right but for what is changed."""
    said = GOOD | changed
    said = {"sha256": library.digest(code, said)} | said
    (folder / said["file"]).write_bytes(code)
    (folder / "mm.json").write_text(json.dumps(said))
    return folder / "mm.json"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"source": "there"}, "other source"),
        ({"machine": "m"}, "it is for m"),
        ({"sha256": "0"}, "damaged"),
        ({"file": "mm.so"}, "cannot be loaded"),
        ({"functions": []}, "cannot be loaded"),
        ({"functions": {"a": [["gfp_0_0"]]}}, "cannot be loaded"),
    ],
)
def test_a_library_that_does_not_fit_is_not_used(tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    with pytest.raises(library.Unfit, match=why):
        library.load(manifest(tmp_path, **changed), "here")


def test_a_processor_without_what_the_code_may_use_does_not_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "CPUINFO", tmp_path / "cpuinfo")
    assert not library.lacking("x86-64-v2")  # no file: another system
    have = sorted(library.FLAGS["x86-64-v2"])
    for flags, lacks in ((have, set()), (have[1:], {have[0]})):
        library.CPUINFO.write_text(f"processor\t: 0\nflags\t\t: fpu {' '.join(flags)}\n")
        assert library.lacking("x86-64-v2") == lacks
    with pytest.raises(library.Unfit, match=f"this processor has no {have[0]}"):
        library.load(manifest(tmp_path, cpu="x86-64-v2"), "here")
    assert not library.lacking("generic")


@pytest.fixture(scope="module")
def code() -> bytes:
    """An object file with one function that gives 0."""
    llvm = pytest.importorskip("llvmlite.binding")
    ir = "define i32 @gfp_0_0(ptr %out) {\n  ret i32 0\n}\n"
    return build.emit(ir, llvm.get_process_triple(), "generic")


def test_a_library_has_every_function_that_its_manifest_names(tmp_path: Path, code: bytes) -> None:
    functions = {"a": [["gfp_0_0", "q"]]}
    assert library.load(manifest(tmp_path, code, functions=functions), "here").address("gfp_0_0")
    for symbol, letters in (("gfp_0_1", "q"), ("gfp_0_0", "?!")):
        with pytest.raises(library.Unfit):
            library.load(manifest(tmp_path, code, functions={"a": [[symbol, letters]]}), "here")


def test_a_library_that_was_cut_or_changed_after_it_was_made_is_damaged(tmp_path: Path, code: bytes) -> None:
    made = manifest(tmp_path, code)
    for torn in (code[:-1], code[: len(code) // 2], b"", code[:100] + bytes([code[100] ^ 1]) + code[101:]):
        (tmp_path / "mm.o").write_bytes(torn)
        with pytest.raises(library.Unfit, match="damaged"):
            library.load(made, "here")
    (tmp_path / "mm.o").write_bytes(code)
    made.write_text(made.read_text().replace('"functions": {}', '"functions": {"a": []}'))
    with pytest.raises(library.Unfit, match="damaged"):
        library.load(made, "here")


def test_a_shared_object_that_is_none_is_not_used(tmp_path: Path, code: bytes) -> None:
    for kind in (b"text", code):  # an object file is not linked
        with pytest.raises(library.Unfit, match="cannot be loaded"):
            library.load(manifest(tmp_path, kind, file="mm.so"), "here")


def test_torn_manifests_are_not_used(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"file": 3}'):
        (tmp_path / "mm.json").write_text(text)
        with pytest.raises(library.Unfit):
            library.load(tmp_path / "mm.json", "here")


def test_an_unfit_library_is_said_in_one_line_and_the_next_way_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / jit.code_hash("mm")
    folder.mkdir()
    manifest(folder, source="there")
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
    machine, *_ = library.kinds_of(run_ops.function)  # type: ignore[attr-defined]
    pages, trace = machine.items[0], machine.items[-1]
    assert trace.optional
    words = library.plan_of(pages)
    assert words(np.zeros(6, np.uint32))[1:] == (6,)
    for wrong in (np.zeros(6, np.int64), np.zeros((2, 3), np.uint32), np.zeros(12, np.uint32)[::2]):
        with pytest.raises(TypeError):
            words(wrong)
    with pytest.raises(TypeError, match="3 items; expected 5"):
        library.plan_of(machine)((np.zeros(6, np.uint32),) * 3)


def test_a_plan_that_remembers_an_array_takes_another_for_another() -> None:
    words = library.plan_of(library.Array(np.dtype(np.int64)))
    one, other = np.zeros(4, np.int64), np.zeros(4, np.int64)
    assert words(one) == words(one) == (one.ctypes.data, 4)
    assert words(other) == (other.ctypes.data, 4)
    one.resize(4096, refcheck=False)  # it moves
    assert words(one) == (one.ctypes.data, 4096)
    with pytest.raises(TypeError):
        words(one.astype(np.int32))
    gone = weakref.ref(one)
    del one
    assert gone() is None


def test_an_entry_that_records_nothing_or_always_something_is_compiled_once() -> None:
    for silent in (checks.check_zone, free.free_boot_range):
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
    monkeypatch.setattr(library, "load", lambda manifest, source: None)
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
    manifest(tmp_path, source=jit.code_hash("mm"), sha256="0")
    build.build("mm", tmp_path)
    assert built == ["mm", "mm"]


def test_a_machine_that_is_not_named_gets_what_all_have() -> None:
    assert library.processor("riscv64") == "generic"
    assert library.processor("x86_64") != "generic"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of its own that holds nothing, and nothing said so far."""
    monkeypatch.setenv("GFPMODEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jit, "_said", set())
    return tmp_path / "cache"


def test_a_cache_that_cannot_be_written_is_said_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("numba")
    here.write_text("a file where the folder should be")
    assert [jit.build_now(room, "of a test") for room in ("mm", "rcu", "mm")] == [False] * 3
    (said,) = capsys.readouterr().err.splitlines()
    assert f"cannot be kept in {here}" in said
    assert "GFPMODEL_CACHE can name a folder" in said


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GFPMODEL_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(OSError, match="Not a directory"):
        jit.cache_dir("mm").mkdir(parents=True)
    assert not os.access(jit.cache_dir("mm") / "mm.json", os.F_OK)


@pytest.mark.parametrize("fault", [AttributeError("no such thing\nin this Numba"), None])
def test_what_does_not_compile_runs_interpreted(
    here: Path, fault: Exception | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numba may fail; and what it made may not load."""
    pytest.importorskip("numba")

    def build_badly(room: str, folder: Path) -> None:
        if fault:
            raise fault

    monkeypatch.setattr(build, "build", build_badly)
    assert not jit.build_now("mm", "of a test")
    first, second = capsys.readouterr().err.splitlines()
    assert "compiling" in first
    assert "cannot be compiled here" in second
    assert "runs interpreted" in second


def test_without_numba_it_is_said_and_nothing_is_built(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    assert not jit.build_now("mm", "9 operations are to be run")
    (line,) = capsys.readouterr().err.splitlines()
    assert "with Numba installed" in line
    assert not here.exists()


def test_a_file_that_cannot_be_written_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        build.put(tmp_path / "mm.o", b"code")
    assert list(tmp_path.iterdir()) == []
