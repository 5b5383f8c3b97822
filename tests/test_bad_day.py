"""The command line on a bad day: endless and hostile input, closed and full ends, folders that cannot be written."""

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gfpmodel.errors import InputError
from gfpmodel.files import read_bytes, whole
from gfpmodel.sim.sweeps import Done, Sweep

COMMAND = (sys.executable, "-m", "gfpmodel")
SCRIPT = b"zone 2 4096 8192\nboot\n"
CLEAN_PATCH = str(Path(__file__).parent / "data/patches/clean-v5.8-default-base.patch")
INTERPRETED = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
AS_IT_IS = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}


def gfpmodel(*args: str | bytes, memory: int = 0, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own, with so many bytes of memory."""

    def limit() -> None:
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    streams: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": INTERPRETED,
    } | options
    return subprocess.run([*COMMAND, *args], preexec_fn=limit, check=False, **streams)


def one_line(done: subprocess.CompletedProcess[bytes], says: str) -> None:
    """Check that it ended with status 2 and one line."""
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("gfpmodel: ")
    assert says in line
    assert len(line) < 2000


def bomb(levels: int) -> str:
    """Return a key whose text doubles with each of its aliases, ten times a level."""
    parts = ["&a [x,x]", *(f"&{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]" for n in range(levels))]
    return "? [" + ", ".join(parts) + "]\n: v"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (bomb(5), "a field's name is a list"),
        (bomb(8), "nested too deeply"),
        ("? {a: b}\n: v", "a field's name is a list"),
        ("[" * 4000, "nested too deeply"),
        ("- " * 2000, "row"),
        ("x" * 900 + ": y", "unknown field"),
    ],
)
def test_a_row_that_is_a_bomb_is_one_line(run: Any, text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "row.yaml"
    file.write_text(text)
    status, out, err = run("row", str(file))
    assert (status, out) == (2, "")
    assert says in err
    assert len(err) < 2000


def test_a_line_without_end_takes_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "b.gz"
    with gzip.open(file, "wb", 1) as out:
        out.write(b'{"a":"')
        for _ in range(512):
            out.write(b"a" * (1 << 20))
    one_line(gfpmodel("verify", str(file), memory=3 << 30), "more than 4194304 bytes")
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    assert most < 300 or "PYTEST_XDIST_WORKER" in os.environ, f"{most} MiB"


def test_a_trace_without_end_is_one_line() -> None:
    # interpreted, its 64 MiB take half a minute
    one_line(gfpmodel("replay", "/dev/zero", memory=3 << 30, env=AS_IT_IS), "a line of more than 64 MiB")


def test_json_of_any_depth_is_one_line(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "deep.gz"
    file.write_bytes(gzip.compress(b'{"a":' * 100000 + b"\n"))
    status, _, err = run("verify", str(file))
    assert status == 2
    assert "nested too deeply" in err


@pytest.mark.parametrize("args", [("lint", "/dev/zero"), ("ops", "/dev/zero"), ("verdict", "--cells", "/dev/zero")])
def test_a_file_without_end_is_one_line(args: tuple[str, ...]) -> None:
    one_line(gfpmodel(*args, memory=3 << 30), "/dev/zero: more than")


@pytest.mark.parametrize(
    ("name", "says"), [("/dev/zero", "a line of more than 64 MiB"), ("/dev/urandom", "a third of its beginning")]
)
def test_a_log_without_end_is_one_line(name: str, says: str) -> None:
    one_line(gfpmodel("explain", name, memory=3 << 30), says)


@pytest.mark.parametrize("args", [("lint",), ("ops",), ("replay",), ("machine",), ("verdict", "--cells")])
def test_a_closed_stdin_is_one_line(args: tuple[str, ...]) -> None:
    script = f"{' '.join(COMMAND)} {' '.join(args)} - <&-"
    done = subprocess.run(["bash", "-c", script], env=INTERPRETED, capture_output=True, check=False)
    one_line(done, "standard input is closed")


def test_a_closed_stdout_is_one_line() -> None:
    script = f"{' '.join(COMMAND)} kernels >&-"
    done = subprocess.run(["bash", "-c", script], env=INTERPRETED, capture_output=True, check=False)
    one_line(done, "standard output is closed")


def test_a_full_stderr_leaves_the_status() -> None:
    with Path("/dev/full").open("wb") as full:
        assert gfpmodel("decode", "xx", stderr=full).returncode == 2


@pytest.mark.parametrize("args", [("kernels", "--json"), ("decode", "0xcc0"), ("--help",), ("verdict", "--all")])
def test_a_full_stdout_is_one_line(args: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        one_line(gfpmodel(*args, stdout=full, env=None), "No space left on device")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("row", ""), "unknown proposal"),
        (("decode", "0xcc0", "--kernel", ""), "unknown kernel ''"),
        (("lint", CLEAN_PATCH, "--kernel", ""), "unknown kernel ''"),
        (("replay", os.devnull, "--kernel", ""), "unknown kernel ''"),
        (("row", "fast_try", "--against", ""), "unknown proposal"),
        (("experiment", "pool", "--dask", ""), "--dask is empty"),
        (("experiment", "pool", "--set", f"blocks={'9' * 31}"), "expected a whole number below"),
        (("experiment", "pool", "--set", f"blocks={'9' * 5000}"), "expected a whole number"),
        (("experiment", "cross_cpu", "--set", "refill_rate=1e-308"), "a rate of 1e-308"),
        (("experiment", "cross_cpu", "--set", "rate=inf"), "expected a number below"),
        (("experiment", "cross_cpu", "--set", "rate=nan"), "expected a number below"),
        (("decode", "x" * 100_000), "bad mask"),
        (("verify", "x" * 5000), "no such file"),
        (("verify", "-"), "-: no file: a recording is read more than once"),
        (("verify", "/dev/null"), "/dev/null: no file"),
        (("verify", "/proc/self"), "/proc/self: a folder; expected a recording, or several: FOLDER/*"),
        (("lint", "x" * 5000), "File name too long"),
        (("machine", "x" * 5000), "File name too long"),
        (("row", "x" * 5000 + ".yaml"), "File name too long"),
    ],
)
def test_odd_words_are_one_line(run: Any, args: tuple[str, ...], says: str) -> None:
    status, _, err = run(*args)
    assert status == 2
    assert says in err
    assert err.count("\n") == 1
    assert len(err) < 2500


@pytest.mark.parametrize("args", [(b"verify", b"bad\xff"), (b"lint", b"\xff"), (b"row", b"\xff.yaml")])
def test_a_name_that_is_no_text_is_one_line(args: tuple[bytes, ...]) -> None:
    one_line(gfpmodel(*args), "\\udcff")


@pytest.mark.parametrize(
    ("args", "status"),
    [((b"record", b"--out", b"\xff"), 0), ((b"verdict", b"--gfp", b"none", b"--context", b"raw:\xff"), None)],
)
def test_a_word_that_is_no_text_is_printed(args: tuple[bytes, ...], status: int | None) -> None:
    done = gfpmodel(*args)
    assert b"Traceback" not in done.stderr
    assert status is None or done.returncode == status


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (b"a 0 0 1099511631040\n", "3: mask 0x10000000cc0 is no gfp_t"),
        (b"a 65536 0 3264\n", "3: unknown cpu 65536"),
        (b"\nd 1099511627776\n", "4: unknown cpu"),
        (b"f 65536 0\n", "3: handle 0 is freed before"),
        (b"a 99999999999999999999 0 0\n", "3: bad operation"),
        (b"a 0 0 18446744073709551616\n", "3: bad operation"),
        (b"a 0 0 3\n", "3: mask 0x3 asks for two zones"),
        (b"a 0 0 3264\nf 0 0\n\nf 0 0\n", "6: operation 2: free of pfn"),
        (b"a 0 0 " + b"9" * 5000 + b"\n", "3: bad operation"),
    ],
)
def test_an_op_script_is_told_its_line(run: Any, rows: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "o.ops"
    file.write_bytes(SCRIPT + rows)
    status, out, err = run("ops", str(file))
    assert (status, out) == (2, "")
    assert f"{file}:{says}" in err


@pytest.mark.parametrize("line", ["param cpus " + "9" * 5000, "zone 2 0 " + "9" * 30, "param cpus 0"])
def test_a_config_line_of_an_op_script_is_told(run: Any, line: str, tmp_path: Path) -> None:
    file = tmp_path / "o.ops"
    file.write_text(f"{line}\nzone 2 4096 8192\nboot\n")
    status, out, err = run("ops", str(file))
    assert (status, out) == (2, "")
    assert f"{file}:" in err


def test_numbers_of_thousands_of_digits(run: Any, tmp_path: Path) -> None:
    patch = tmp_path / "p.patch"
    patch.write_text(f"--- a/x\n+++ b/x\n@@ -{'9' * 5000} +1 @@\n+y\n")
    cells = tmp_path / "cells.csv"
    cells.write_text(f"request,order,context,pcp,setup\nZ0,{'9' * 5000},task,dry,-\n")
    for args in (("lint", str(patch)), ("verdict", "--cells", str(cells))):
        status, _, err = run(*args)
        assert status == 2
        assert err.count("\n") == 1
        assert len(err) < 2500


# what is written


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("old")
    with suppress(RuntimeError), whole(file) as part:
        part.write_text("ha")
        raise RuntimeError
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("out.csv", "old")]
    with whole(file) as part:
        part.write_text("new")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("out.csv", "new")]
    with pytest.raises(InputError, match="Is a directory"), whole(tmp_path) as part:
        part.write_text("no")
    with pytest.raises(InputError, match="No space left"), whole("/dev/full") as part:
        part.write_text("no")


def test_reading_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_bytes(str(file), 5) == b"12345"
    with pytest.raises(InputError, match="more than"):
        read_bytes(str(file), 4)
    with pytest.raises(InputError, match="null byte"):
        read_bytes("a\0b", 4)


def sweep() -> Sweep:
    return Sweep("pool", {}, 2)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "5\nnull\n{}\n[1, 2]\n[1, 2, 3, 4]\n" + text,
        lambda text: text.replace('"figure": 1', '"figure": 2', 1),
        lambda text: text[: len(text) // 2],
        lambda text: "[" * 100_000 + "\n" + text,
    ],
)
def test_a_damaged_points_file_gives_no_wrong_number(damage: Callable[[str], str], tmp_path: Path) -> None:
    file = tmp_path / "out.csv.points"
    with Done(sweep(), file) as done:
        for key in done.order:
            done.add(key, {"seed": 1, "figure": 1})
    assert len(Done(sweep(), file).rows) == 2
    file.write_text(damage(file.read_text()))
    assert all(row == {"seed": 1, "figure": 1} for row in Done(sweep(), file).rows.values())
    file.write_bytes(b"\xff\xfe\n" + file.read_bytes())
    assert all(row == {"seed": 1, "figure": 1} for row in Done(sweep(), file).rows.values())


@pytest.mark.parametrize("name", ["out.csv", "out.csv.points"])
def test_a_folder_in_the_way_is_named_before_anything_runs(run: Any, name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    status, out, err = run("experiment", "pool", "--out", str(tmp_path / "out.csv"), "--workers", "1")
    assert (status, out) == (2, "")
    assert str(tmp_path / name) in err
    assert [one.name for one in tmp_path.iterdir()] == [name]


ORPHAN = """
import os, signal, sys
from concurrent.futures import ProcessPoolExecutor
from gfpmodel.sim.sweeps import pool
if __name__ == "__main__":
    workers = pool(None, 2)
    print(*{workers.submit(os.getpid).result() for _ in range(20)}, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_with_who_started_them(tmp_path: Path) -> None:
    """Their standard output is a pipe that only they hold open then: it ends when the last of them does."""
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(script)], env={**INTERPRETED, "PYTHONPATH": root}, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split()


# folders


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """And the answer comes all the same."""
    (tmp_path / "file").touch()
    environment = AS_IT_IS | {"GFPMODEL_CACHE": str(tmp_path / "file" / "below")}
    code = """
from gfpmodel.mm import Machine, PageAllocator, Zone, jit
jit.PAYS["mm"] = 1
print(PageAllocator(Machine((Zone(2, 32768, 16384),))).alloc_pages(), jit.way())
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "48128 interpreted\n"
    (line,) = done.stderr.splitlines()
    assert "GFPMODEL_CACHE can name a folder" in line


def test_json_stays_json(run: Any) -> None:
    status, out, _ = run("record", "--out", "\udcff", "--json")
    assert status == 0
    assert json.loads(out)["commands"]
