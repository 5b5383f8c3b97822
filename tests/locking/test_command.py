"""The command `verdict`: what it prints, its exit status, and one line for what cannot be used."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gfpmodel.cli import cli, main
from gfpmodel.proposals import PROPOSALS

DATA = Path(__file__).parents[2] / "book/data"
PATCHED = ["--kernel", "v5.8-rc3+FAST_TRY"]
NESTING = [*PATCHED, "--config", "PROVE_RAW_LOCK_NESTING"]
RT = [*PATCHED, "--config", "CONFIG_PREEMPT_RT=y"]
RAW = ["--gfp", "__GFP_FAST_TRY", "--context", "raw", "--pcp", "dry"]


def run(*args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["verdict", *args], input=stdin, standalone_mode=False)


def test_order_1_under_a_raw_lock() -> None:
    result = run(*RAW, "--order", "1", *NESTING, "--json")
    facts = json.loads(result.stdout)
    assert result.return_value == 1
    assert facts["result"] == "page"
    assert facts["locks"] == ["&zone->lock"]
    (report,) = facts["reports"]
    assert (report["kind"], report["lock"], report["type"]) == (
        "invalid_wait_context",
        "&zone->lock",
        "spinlock_t {3:3}",
    )
    assert (report["held"], report["context_base"]) == (["ft_raw {2:2}"], "5:5")


def test_order_0_is_clean_and_gets_nothing() -> None:
    result = run(*RAW, *NESTING, "--json")
    assert result.return_value == 0
    assert json.loads(result.stdout) == {
        "result": "NULL",
        "reports": [],
        "locks": [],
        "trylocks": [],
        "path": "v5.8-rc3",
        "deadlock": False,
        "unsafe": False,
        "before": [],
    }


def test_on_rt_order_0_reports_pa_lock() -> None:
    result = run(*RAW, *RT, "--contended")
    assert result.return_value == 1
    lines = result.stdout.splitlines()
    assert lines[:2] == ["result   NULL", "locks    pa_lock"]
    assert "((l).lock){+.+.}-{3:3}, at: get_page_from_freelist" in lines
    assert "BUG: scheduling while atomic: caller/1/0x00000002" in lines


def test_page_owner_and_a_proposal() -> None:
    result = run("--proposal", "fast_try", "--pcp", "warm", "--context", "raw", *NESTING, "--config", "PAGE_OWNER")
    assert "reports  invalid_wait_context on depot_lock in stack_depot_save" in result.stdout
    assert run("--proposal", "trylock", "--context", "nmi", "--kernel", "v6.18").return_value == 0


def test_a_cpu_that_waits_for_itself() -> None:
    result = run("--gfp", "GFP_NOWAIT", "--context", "zone_lock")
    assert result.return_value == 1
    assert result.stdout.startswith("result   none: the CPU waits for itself\n")


def test_cells_in_a_file(tmp_path: Path) -> None:
    source, out = DATA / "verdicts-5.10rt17ft.csv", tmp_path / "out.csv"
    result = run("--cells", str(source), "--out", str(out), *RT)
    assert result.return_value == 0
    assert result.stdout == ""
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 148
    assert list(rows[0]) == [
        *("request", "order", "context", "pcp", "setup"),
        *("result", "lockdep_report", "lock", "might_sleep"),
    ]
    assert rows[0]["lock"] == "pa_lock"


def test_cells_on_stdin() -> None:
    text = "request,order,context,pcp,setup\nF1,1,raw,warm,-\nFREE,0,raw,full,-\n"
    assert run("--cells", "-", *NESTING, stdin=text).stdout.splitlines()[1:] == [
        "F1,1,raw,warm,-,page,invalid_wait_context,&zone->lock,no",
        "FREE,0,raw,full,-,freed,invalid_wait_context,&zone->lock,no",
    ]
    assert json.loads(run("--cells", "-", "--json", *NESTING, stdin=text).stdout)["cells"][0]["result"] == "page"


def test_spaces_around_a_value_change_nothing() -> None:
    text = "request,order,context,pcp,setup\nK0,0,rcu,warm,-\n K0, 0 ,rcu , warm, -\n"
    one, other = run("--cells", "-", *NESTING, stdin=text).stdout.splitlines()[1:]
    assert one.split(",")[5:] == other.split(",")[5:] == ["page", "no", "", "yes"]


def test_a_report_on_the_contexts_own_lock_is_an_error() -> None:
    result = run("--gfp", "none", "--context", "raw>spin", *NESTING)
    assert result.return_value == 1
    assert "before   invalid_wait_context on ft_spin in the caller" in result.stdout


def test_the_matrix() -> None:
    lines = run("--all").stdout.splitlines()
    assert lines[0] == "proposal,order,context,pcp,config,result,reports,locks,deadlock,unsafe"
    assert len(lines) == 1 + len(PROPOSALS) * 2 * 27 * 2 * 4


def test_requests_that_the_model_lacks_are_left_blank_and_counted() -> None:
    text = "request,order,context,pcp,setup\nKMNL,0,raw,warm,-\nZ0,0,task,warm,-\nKMN,0,raw,dry,-\n"
    old = run("--cells", "-", *NESTING, stdin=text)
    assert old.stdout.splitlines()[1:] == [
        "KMNL,0,raw,warm,-,,,,",
        "Z0,0,task,warm,-,page,no,,no",
        "KMN,0,raw,dry,-,object,invalid_wait_context,&n->list_lock,no",
    ]
    assert old.stderr == "1 cell left blank, not modelled on v5.8-rc3+FAST_TRY: KMNL (1)\n"
    now = run("--cells", "-", "--kernel", "v6.18", stdin=text)
    assert now.stdout.splitlines()[1:] == [
        "KMNL,0,raw,warm,-,object,no,,no",
        "Z0,0,task,warm,-,page,no,,no",
        "KMN,0,raw,dry,-,object,invalid_wait_context,&n->list_lock,no",
    ]
    assert now.stderr == ""


HEADER = "request,order,context,pcp,setup\n"


@pytest.mark.parametrize(
    ("args", "stdin", "message"),
    [
        ([], "", "verdict needs one of --gfp, --proposal, --request, --cells and --all"),
        (["--gfp", "0", "--all"], "", "verdict needs one of"),
        (["--gfp", "0", "--context", "nmi>mutex"], "", "impossible context: a mutex cannot be taken in nmi"),
        (["--gfp", "0", "--context", "rav"], "", "unknown context 'rav'; did you mean raw"),
        (["--gfp", "0", "--context", "raw>seqlock"], "", "unknown lock or context item 'seqlock'"),
        (["--gfp", "0", "--config", "PREEMPT_RTX"], "", "unknown config 'PREEMPT_RTX'; did you mean PREEMPT_RT"),
        (["--gfp", "0", "--config", "PREEMPT_RT=m"], "", "bad config 'PREEMPT_RT=m'"),
        (["--gfp", "0", "--order", "-1"], "", "order -1; expected 0 or more"),
        (["--gfp", "0", "--pcp", "wet"], "", "unknown pcp state 'wet'"),
        (["--gfp", "__GFP_FAST_TRY"], "", "v5.8-rc3+FAST_TRY"),
        (["--proposal", "fast"], "", "unknown proposal 'fast'; did you mean fast_try"),
        (["--cells", "/nowhere.csv"], "", "/nowhere.csv: cannot be read"),
        (["--cells", "-"], "a,b\n1,2\n", "<stdin>:1: a table of cells needs the columns"),
        (["--cells", "-"], HEADER + "Z0,0,task\n", "<stdin>:2: the row is too short"),
        (["--cells", "-"], HEADER + "Z0,1,task,dry,-\n", "<stdin>:2: request 'Z0' of order 1; the two do not agree"),
        (["--cells", "-"], HEADER + "Q0,0,task,dry,-\n", "<stdin>:2: unknown request 'Q0'"),
        (["--cells", "-"], HEADER + "Z0,x,task,dry,-\n", "<stdin>:2: order 'x' is no number"),
        (["--cells", "-"], HEADER + "Z0,0,nmi,dry,slow\n", "<stdin>:2: unknown setup 'slow'"),
        (["--cells", "-"], HEADER + "Z0,0,task,dry,-,x,y\n", "<stdin>:2: the row is too long"),
        (["--cells", "-"], HEADER + 'Z0,0,task,dry,"-\n', "<stdin>:2: no CSV: "),
        (["--cells", "-"], HEADER + "Z0,0,task,dry," + "x" * 140000, "<stdin>:2: no CSV: "),
        (["--cells", "-"], HEADER + "FREE,9,task,dry,-\n", "<stdin>:2: request FREE of order 9"),
        (["--cells", "-"], HEADER + "F0f,0,task,dry,-\n", "<stdin>:2: request 'F0f': f, a charge that fails, needs a"),
        (["--cells", "-", "--order", "1"], HEADER, "--order, --slab, --context, --pcp and --contended do not go with"),
        (["--cells", "-"], HEADER + "FREENL,1,task,dry,-\n", "<stdin>:2: request FREENL of order 1"),
        (["--cells", "-"], HEADER + "Z0,0,pcplock,dry,-\n", "<stdin>:2: impossible context: v5.8-rc3 has no pcp->lock"),
        (["--request", "kmaloc"], "", "unknown request 'kmaloc'; did you mean kmalloc"),
        (["--request", "kfree", "--gfp", "GFP_KERNEL"], "", "kfree() takes no mask here"),
        (["--request", "kfree", "--proposal", "atomic"], "", "verdict needs one of --gfp, --proposal, --request"),
        (["--request", "kmalloc", "--order", "1"], "", "--order does not go with --request"),
        (["--request", "kmalloc", "--slab", "cup"], "", "unknown slab state 'cup'; did you mean cpu"),
        (["--request", "kmalloc", "--slab", "barn"], "", "kmalloc() in the state 'barn' is not known on v5.8-rc3"),
        (["--request", "kmalloc", "--kernel", "v4.19"], "", "kmalloc() is not modelled on v4.19: known from v5.8"),
        (["--gfp", "0", "--slab", "cpu"], "", "--slab says where the object of a --request is"),
        (["--cells", "-", "--slab", "cpu"], HEADER, "--order, --slab, --context, --pcp and --contended do not go"),
        (["--all", "--kernel", "v6.18"], "", "--kernel and --config do not go with --all"),
        (["--gfp", "0", "--context", "raw>softirq", "--config", "PREEMPT_RT"], "", "in a task of its own"),
        (["--cells", "-", "--out", "/nowhere/x"], HEADER, "/nowhere/x: cannot be written"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(
    args: list[str], stdin: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
    with pytest.raises(SystemExit) as stopped:
        main(["verdict", *args])
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
