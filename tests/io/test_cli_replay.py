"""The commands `replay` and `record`: what they print, and their exit status."""

import gzip
import json
import lzma
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gfpmodel.cli import cli, main

DATA = Path(__file__).parents[1] / "data/traces"
BOOK = Path(__file__).parents[2] / "book/data/traces"
IDLE = DATA / "amd64-smp2-512M-idle.trace.txt.xz"
TEXT = lzma.decompress(IDLE.read_bytes()).decode()


def run(*args: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(cli, args, input=stdin, standalone_mode=False)


def grep(text: str, word: str) -> int:
    return sum(word in line for line in text.splitlines())


def test_counts_agree_with_grep() -> None:
    result = run("replay", str(IDLE), "--json")
    facts = json.loads(result.stdout)
    assert result.return_value == 0
    assert result.stderr == ""
    for name, count in facts["events"].items():
        assert count == grep(TEXT, f" {name}: ")
    assert facts["alloc"] + facts["failed"] == grep(TEXT, " mm_page_alloc: ")
    assert facts["free"] == grep(TEXT, " mm_page_free: ")
    assert facts["lines"] == TEXT.count("\n")
    assert set(facts["proposals"]) == {"fast_try", "no_locks", "lockless", "trylock"}
    assert facts["kernel"].startswith("v6.1 ")


def test_text_names_machine_and_proposals() -> None:
    result = run("replay", str(IDLE), "--proposal", "fast_try")
    assert result.return_value == 0
    assert "batch and high from v6.18's arithmetic on the memory seen in the trace" in result.stdout
    assert "fast_try" in result.stdout
    assert "trylock" not in result.stdout
    known = run("replay", str(IDLE), "--zoneinfo", str(BOOK / "rt-smp2-512M-anon-start.trace.txt.zoneinfo"))
    assert "batch and high from /proc/zoneinfo" in known.stdout
    assert "batch 31, high 408" in known.stdout


def test_what_ifs() -> None:
    facts = json.loads(run("replay", str(IDLE), "--json", "--batch", "2", "--high", "12", "--cpus", "1").stdout)
    assert facts["cpus"] == 1
    assert {(zone["batch"], zone["high"]) for zone in facts["zones"]} == {(2, 12)}
    assert "all trying no_locks first" in run("replay", str(IDLE), "--serve", "no_locks").stdout


@pytest.mark.parametrize("form", ["plain", "gz", "stdin"])
def test_a_trace_from_anywhere(form: str, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(gzip.compress(TEXT.encode()) if form == "gz" else TEXT.encode())
    result = run("replay", "-" if form == "stdin" else str(path), "--json", stdin=TEXT)
    assert json.loads(result.stdout)["alloc"] == grep(TEXT, " mm_page_alloc: ")


def test_a_torn_trace_is_reported_and_read(tmp_path: Path) -> None:
    path = tmp_path / "torn"
    path.write_bytes(TEXT[: len(TEXT) // 2].encode() + b"\x00\xff\n" * 500 + TEXT[: len(TEXT) // 3].encode())
    result = run("replay", str(path), "--json")
    assert result.return_value == 0
    assert json.loads(result.stdout)["alloc"] > 50
    complaints = result.stderr.splitlines()
    assert 1 < len(complaints) < 10
    assert all(one.startswith(f"gfpmodel: {path}:") for one in complaints)


NOTHING = {
    "empty": b"",
    "junk": bytes(range(256)) * 40,
    "header only": b"# tracer: nop\n#\n",
    "irqsoff": b"# tracer: irqsoff\n#\n# latency: 259 us\n  ps-6143    2d...    0us!: trace_hardirqs_off <-run\n",
    "prose": b"Dear maintainers,\nplease find attached\n",
}


@pytest.mark.parametrize("what", NOTHING)
def test_exit_2_only_if_nothing_could_be_read(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file"
    path.write_bytes(NOTHING[what])
    with pytest.raises(SystemExit) as stop:
        main(["replay", str(path)])
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert str(path) in shown.err


def test_a_trace_without_page_events_says_so() -> None:
    facts = json.loads(
        run("replay", "-", "--json", stdin="     init-1       [000] ..... 1.000000: sched_wakeup: x\n").stdout
    )
    assert facts["events"] == {"sched_wakeup": 1}
    assert (facts["alloc"], facts["free"], facts["failed"]) == (0, 0, 0)


@pytest.mark.parametrize(
    "options",
    [
        ("--proposal", "fast"),
        ("--zoneinfo", "/none"),
        ("--kernel", "v9"),
        ("--config", "LOCKDEP"),
        ("--lists", "v6.1"),
        ("--batch", "9", "--high", "3", "--lists", "v5.8-rc3"),
    ],
)
def test_options_that_cannot_be(options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["replay", str(IDLE), *options])
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.fixture(params=["tracefs", "trace-cmd", "perf"])
def commands(request: pytest.FixtureRequest) -> list[str]:
    return list(json.loads(run("record", "--tool", request.param, "--out", "a b", "--json").stdout)["commands"])


def test_record_prints_commands_that_a_shell_can_read(commands: list[str]) -> None:
    assert any("mm_page_alloc_zone_locked" in line for line in commands)
    assert commands[-1] == "python -m gfpmodel replay 'a b' --zoneinfo 'a b.zoneinfo'"
    for line in commands:
        assert shlex.split(line, comments=True)
    assert commands[0] == "cat /proc/zoneinfo > 'a b.zoneinfo'"
    assert any("# kernel: $(uname -r)" in line for line in commands)


def test_record_is_for_any_shell_and_writes_by_whole_paths_only(commands: list[str]) -> None:
    """In a shell without pushd the files of tracefs came to lie in the folder of the user."""
    for line in commands:
        assert not any(word in line for word in ("pushd", "popd", "cd "))
        targets = re.findall(r">>? *('[^']*'|\S+)", re.sub(r"'s\|[^']*'", "", line))
        assert all(target.startswith(("/sys/kernel/tracing/", "'a b")) for target in targets)
    for shell in filter(shutil.which, ("sh", "bash", "dash")):
        assert subprocess.run([shell, "-n"], input="\n".join(commands), text=True, check=False).returncode == 0


def test_record_asks_perf_for_its_losses_and_keeps_those_of_tracefs() -> None:
    perf = "\n".join(json.loads(run("record", "--tool", "perf", "--json").stdout)["commands"])
    assert "perf script --show-lost-events" in perf
    tracefs = json.loads(run("record", "--json").stdout)["commands"]
    assert any("stats" in line and line.partition("#  ")[0].count(">>") == 1 for line in tracefs)
