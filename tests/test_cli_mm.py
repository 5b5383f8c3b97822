"""The commands `verify` and `ops`: what they print, and their exit status."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gfpmodel.cli import cli, main

GOLDEN = Path(__file__).parent / "data" / "golden"
SMALL = str(GOLDEN / "d20_patched_ft_lists_c4.jsonl.gz")
SCRIPT = "param cpus 1\nzone 2 32768 16384\nboot\na 0 0 3264\na 0 1 3264\nf 0 0\nd 0\na 0 11 3264\n"


def run(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, args, input=stdin, standalone_mode=False)


def edited(tmp_path: Path) -> Path:
    """A vector whose first result is wrong."""
    with gzip.open(SMALL, "rt") as source:
        lines = source.readlines()
    at = next(i for i, line in enumerate(lines) if '"r":' in line and "null" not in line)
    data = json.loads(lines[at])
    data["r"] += 1
    lines[at] = json.dumps(data) + "\n"
    path = tmp_path / "edited.jsonl.gz"
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def test_verify_says_what_agrees() -> None:
    result = run("verify", SMALL, SMALL)
    assert result.return_value == 0
    assert result.stdout.splitlines() == [
        f"ok        {SMALL}: 1375 operations",
        f"ok        {SMALL}: 1375 operations",
        "2 of 2 files agree, 2750 operations without a difference",
    ]


def test_verify_as_json() -> None:
    result = run("verify", "--json", SMALL)
    assert json.loads(result.stdout) == {"files": [{"file": SMALL, "ok": True, "ops": 1375, "first_difference": None}]}


def test_verify_shows_the_first_difference(tmp_path: Path) -> None:
    path = edited(tmp_path)
    result = run("verify", str(path), SMALL)
    assert result.return_value == 1
    assert result.stdout.startswith(f"DIFFERS   {path}:")
    assert "1 of 2 files agree" in result.stdout
    facts = json.loads(run("verify", "--json", str(path)).stdout)["files"][0]
    assert not facts["ok"]
    difference = facts["first_difference"]
    assert difference["field"] == "r"
    assert difference["expected"] == difference["got"] + 1
    assert difference["line"] > 2


def test_verify_of_what_is_no_recording(tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl.gz"
    torn.write_bytes(Path(SMALL).read_bytes()[:2000])
    result = run("verify", SMALL, str(torn), str(tmp_path / "none"))
    assert result.return_value == 2
    complaints = result.stderr.splitlines()
    assert complaints[0].startswith(f"gfpmodel: {torn}:")
    assert complaints[1] == f"gfpmodel: {tmp_path / 'none'}: no such file"
    assert "1 of 3 files agree" in result.stdout


def test_ops_prints_the_five_facts(tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text(SCRIPT)
    facts = json.loads(run("ops", "--json", str(path)).stdout)
    assert set(facts) == {"ops", "nulls", "seconds", "mops", "hash"}
    assert (facts["ops"], facts["nulls"]) == (5, 1)
    assert len(facts["hash"]) == 16
    text = run("ops", "-", stdin=SCRIPT)
    assert text.return_value == 0
    assert facts["hash"] in text.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("boot\na 0 0 0\n", "a machine needs a zone"),
        ("zone 2 1 5\nboot\nx\n", "<stdin>:3: bad operation"),
        ("", "boot"),
    ],
)
def test_ops_of_what_is_no_script(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "script"
    path.write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["ops", "script"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert says.replace("<stdin>", "script") in error
    assert error.count("\n") == 1
