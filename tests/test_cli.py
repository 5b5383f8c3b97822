"""The command line: texts, JSON, exit status, and one clear line for what cannot be used."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MAIL = str(Path(__file__).parents[1] / "book/data/fast-try-v1.txt")


def test_decode(run) -> None:
    status, out, err = run("decode", "0xcc0", "--kernel", "v5.8-rc3")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "GFP_KERNEL"


def test_decode_says_four_different_things_of_one_number(run) -> None:
    texts = [
        run("decode", "0x800000")[1],
        run("decode", "0x800000", "--config", "LOCKDEP")[1],
        run("decode", "0x800000", "--kernel", "v5.8-rc3+FAST_TRY")[1],
        run("decode", "0x800000", "--kernel", "v6.1")[1],
    ]
    assert len(set(texts)) == 4
    assert "gfp_allowed_mask strips it" in texts[0]
    assert "__GFP_NOLOCKDEP" in texts[1]
    assert texts[2].startswith("__GFP_FAST_TRY\n")
    assert texts[3].startswith("__GFP_ZEROTAGS\n")


def test_decode_json_has_the_fixed_keys(run) -> None:
    facts = json.loads(run("decode", "0x2800", "--json")[1])
    assert {"kernel", "config", "mask", "text", "compact", "meaning"} <= set(facts)
    assert facts["config"] == {"LOCKDEP": False}
    assert (facts["mask"], facts["text"], facts["compact"]) == (0x2800, "GFP_NOWAIT|__GFP_NOWARN", "NW|NWR")
    assert facts["meaning"]["may_sleep"] is False


@pytest.mark.parametrize(
    ("args", "status", "first", "words"),
    [
        (["0x14000c0", "--kernel", "4.14.158"], 0, "GFP_KERNEL", "v4.14-lts for 4.14.158; grade B"),
        (["mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO)"], 0, "GFP_KERNEL|__GFP_COMP|__GFP_ZERO", "names fit"),
        (["0x820", "--kernel", "6.8.0-31-generic"], 0, "GFP_ATOMIC", "v6.8 for 6.8.0-31-generic"),
        (["0x2040d0", "--kernel", "3.10.0-1160.el7.x86_64"], 0, "GFP_KERNEL|GFP_COMP|GFP_NOTRACK", "yes (direct"),
        (["0x1000000", "--kernel", "v7.3"], 0, "0x1000000", "none of this layout"),
        (["0x1000000", "--kernel", "v7.2"], 0, "0x1000000", "__GFP_NO_OBJ_EXT"),
        (["0x1000000", "--kernel", "v7.3", "--config", "LOCKDEP"], 0, "__GFP_NOLOCKDEP", "v7.3 LOCKDEP=y"),
        (["mode:0x1100cca(GFP_HIGHUSER_MOVABLE)", "--kernel", "6.8.0-31-generic"], 1, None, "contradiction"),
    ],
)
def test_decode_of_what_people_bring(run, args: list[str], status: int, first: str | None, words: str) -> None:
    found, out, err = run("decode", *args)
    assert (found, err) == (status, "")
    assert words in out
    if first:
        assert out.splitlines()[0] == first


def test_decode_json_says_which_table_and_how_near(run) -> None:
    facts = json.loads(run("decode", "gfp_mask=0x820(GFP_ATOMIC)", "--kernel", "6.8.0-31-generic", "--json")[1])
    assert {"kernel", "config", "mask", "text", "compact", "meaning"} <= set(facts)
    assert (facts["kernel"], facts["release"]["name"], facts["release"]["grade"]) == ("v6.8", "6.8.0-31-generic", "B")
    assert facts["agrees"] is True
    assert "v6.18" in facts["fits"]


def test_diff_of_releases_says_the_tables(run) -> None:
    out = run("diff", "4.14.158", "6.8.0-31-generic")[1]
    assert "v4.14-lts for 4.14.158" in out
    assert "GFP_KERNEL 0x14000c0 -> 0xcc0" in out


def test_config_prefix_is_optional_and_may_be_repeated(run) -> None:
    one = run(
        "decode", "1", "--kernel", "v6.12", "--config", "CONFIG_LOCKDEP=y", "--config", "KASAN_HW_TAGS", "--json"
    )[1]
    assert json.loads(one)["config"] == {"LOCKDEP": True, "KASAN_HW_TAGS": True, "SLAB_OBJ_EXT": False}


def test_encode(run) -> None:
    assert run("encode", "GFP_NOWAIT|__GFP_NOWARN") == (0, "0x2800\n", "")
    assert json.loads(run("encode", "GFP_KERNEL", "--kernel", "v4.4", "--json")[1])["mask"] == 0x24000C0


def test_kernels(run) -> None:
    facts = json.loads(run("kernels", "--json")[1])
    assert len(facts["kernels"]) == 36
    assert sum(len(kernel["configs"]) for kernel in facts["kernels"]) == 118
    assert "v5.8-rc3+FAST_TRY" in run("kernels")[1]


def test_diff(run) -> None:
    status, out, _ = run("diff", "v5.8-rc3", "v5.8-rc3+FAST_TRY", "--config", "LOCKDEP=y")
    assert status == 0
    assert "__GFP_NOLOCKDEP 0x800000 -> 0x1000000" in out
    facts = json.loads(run("diff", "v4.4", "mm-dev", "--json")[1])
    assert facts["new"]["kernel"].startswith("mm-dev")


def test_lint_of_the_mail_warns(run) -> None:
    status, out, err = run("lint", MAIL)
    assert (status, err) == (1, "")
    assert out.splitlines()[-1] == "0 errors, 2 warnings, 9 notes"
    assert len(json.loads(run("lint", MAIL, "--json")[1])["findings"]) == 11


def test_lint_exits_0_when_there_are_only_notes(run) -> None:
    corpus = Path(__file__).parent / "data/patches"
    assert run("lint", str(corpus / "no-gfp-vmscan.patch"))[0] == 0


def test_version(run) -> None:
    status, out, _ = run("--version")
    assert status == 0
    assert "JSON schema" in out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["decode", "0x100000000"], "32 bits"),
        (["decode", "GFP_KERNEL"], "expected a number"),
        (["decode", "2080020"], "write 0x2080020, or 0x1fbd14 if it is decimal"),
        (["decode", "14000c0"], "write 0x14000c0"),
        (["decode", "1", "--kernel", "6.20"], "the nearest are v6.19 and v7.0"),
        (["decode", "1", "--kernel", "v5,8-rc3"], "did you mean v5.8-rc3"),
        (["decode", "1", "--config", "LOCKDEPP"], "did you mean LOCKDEP"),
        (["encode", "GFP_KERNAL"], "did you mean GFP_KERNEL"),
        (["diff", "v5.8-rc3", "v9.9"], "unknown kernel 'v9.9'"),
        (["lint", "/no/such/file"], "/no/such/file: cannot be read: No such file"),
        (["lint", "/"], "cannot be read"),
        (["lint", "/dev/null"], "empty; expected a patch"),
        (["frobnicate"], "No such command"),
        (["decode"], "Missing argument"),
        (["decode", "1", "--frob"], "No such option"),
    ],
)
def test_unusable_input_is_one_line_and_status_2(run, args: list[str], words: str) -> None:
    status, out, err = run(*args)
    assert (status, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_it_runs_as_a_module_and_reads_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gfpmodel", "lint", "-"], input=Path(MAIL).read_bytes(), capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"<stdin>: against v5.8-rc3" in done.stdout


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m gfpmodel kernels --json | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert done.stderr == b""
