"""The command line: ``python -m gfpmodel COMMAND``.

Every command prints facts as text, or as one JSON object with ``--json``.  Exit status: 0 fine, 1 the answer is no (an
error or a warning was found), 2 the input cannot be used, with one line that says why.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gfpmodel import JSON_SCHEMA, __version__
from gfpmodel.errors import InputError
from gfpmodel.files import read_bytes, whole
from gfpmodel.gfp import layouts as gfp_layouts
from gfpmodel.gfp.layouts import DEFAULT_KERNEL, Layout
from gfpmodel.gfp.releases import GRADES

if TYPE_CHECKING:
    from gfpmodel.mm import Rule

FINE, NO, UNUSABLE = 0, 1, 2
PAGE_SIZES = ("4096", "8192", "16384", "65536", "262144")
MOST_TEXT, MOST_OPS = 1 << 26, 1 << 28  #: bytes of a patch or a table, and of an op script
INTERRUPTED = 130  # as a shell says it


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status."""
    try:
        status = cli.main(args=argv, prog_name="gfpmodel", standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except InputError as error:
        status = fail(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = UNUSABLE
    except click.ClickException as error:
        status = fail(error.format_message())
    except click.exceptions.Abort:  # Ctrl-C
        fail("interrupted")
        status = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader left (as in "| head"): nothing more to say, not even at exit
        status = NO
    except OSError as error:  # a full disk, mostly: of stdout, or of the folder for compiled code
        fail(f"{error.filename or 'output'}: {error.strerror or error}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left of the output is not tried again at exit
        status = UNUSABLE
    except MemoryError:
        status = fail("not enough memory")
    sys.exit(status if isinstance(status, int) else FINE)


def fail(message: str) -> int:
    """Print the one line that says what cannot be used, and return the exit status for it."""
    line = " ".join(message.split())
    with suppress(OSError):  # where stderr is full, the status alone says it
        if sys.stderr:
            click.echo(printable(f"gfpmodel: {line}"), err=True)
    return UNUSABLE


def printable(text: str) -> str:
    """Return a text that can be written: a byte of a file's name that is no text becomes an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def emit(facts: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Print facts as text or as one JSON object; raises InputError if the shell closed standard output (``>&-``)."""
    if sys.stdout is None:
        raise InputError("standard output is closed; nothing could be said")
    click.echo(json.dumps(facts, indent=1) if as_json else printable(text))


def rows(pairs: list[tuple[str, str]]) -> str:
    """Return label and value pairs as aligned, indented lines."""
    width = max(len(label) for label, _ in pairs)
    return "\n".join(f"  {label:<{width}}  {value}" for label, value in pairs)


KERNEL_HELP = "A name that `kernels` lists, or a release as `uname -r` prints it."
config_option = click.option("--config", multiple=True, metavar="NAME[=y|n]", help="A CONFIG_ option; may be repeated.")


def layout_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add ``--kernel`` and ``--config`` to a command."""
    return click.option("--kernel", default=DEFAULT_KERNEL, show_default=True, help=KERNEL_HELP)(config_option(command))


def chosen_rows(_context: click.Context, _option: click.Parameter, value: Any) -> Any:
    """Return the row, or the rows, that names or files on the command line stand for; raises InputError."""
    from gfpmodel.io.rows import resolve

    if isinstance(value, tuple):
        return tuple(map(resolve, value))
    return None if value is None else resolve(value)


ROW: dict[str, Any] = {"callback": chosen_rows, "metavar": "NAME|FILE.yaml"}
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def chosen_layout(kernel: str, config: tuple[str, ...]) -> Layout:
    """Return the layout that ``--kernel`` and ``--config`` name."""
    return gfp_layouts.layout(kernel, gfp_layouts.parse_config(config))


def print_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the versions of the package and of its JSON, and how each room's engine runs here."""
    if asked:
        from gfpmodel.mm import jit

        ways = ", ".join(f"{room} {jit.way(room)}" for room in jit.ROOMS)
        click.echo(f"gfpmodel {__version__} (JSON schema {JSON_SCHEMA}); engine: {ways}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version, help="Print it.")
def cli() -> None:
    """Run the argument about __GFP_FAST_TRY.

    gfp bits of named kernels and a linter of patches to them; the page allocator of v5.8 against recorded truth; what
    a kernel prints about locks; traces and /proc files of real machines; and simulated machines.
    """


@cli.command()
@json_option
def kernels(as_json: bool) -> int:
    """List the kernels whose layouts are known, their configs and shifts."""
    found, lines = [], []
    served = gfp_layouts.served()
    for name in gfp_layouts.kernels():
        variants = list(gfp_layouts.variants(name))
        shifts = [v.shift for v in variants]
        configs = [dict(v.config) for v in variants]
        it, grade = variants[0], gfp_layouts.release(name).grade
        about = {"source": it.source, "state": it.state, "grade": grade, "also": served[name]}
        found.append({"name": name, **about, "configs": configs, "shifts": shifts})
        span = "..".join(map(str, sorted({min(shifts), max(shifts)})))
        words = [
            ", ".join(configs[0]) or "no option changes it",
            it.state,
            f"also {' '.join(served[name])}" * bool(served[name]),
        ]
        lines.append((name, f"shift {span:<7} grade {grade}  {'; '.join(filter(None, words))}"))
    legend = "\n".join(f"grade {grade}: {words}" for grade, words in GRADES.items())
    facts = {"kernels": found, "aliases": gfp_layouts.aliases(), "grades": GRADES}
    emit(facts, f"{rows(lines)}\n{legend}", as_json=as_json)
    return FINE


@cli.command()
@click.argument("mask")
@config_option
@click.option("--kernel", default=None, help=f"{KERNEL_HELP} Default: whose names MASK has, else {DEFAULT_KERNEL}.")
@json_option
def decode(mask: str, kernel: str | None, config: tuple[str, ...], as_json: bool) -> int:
    """Say what a MASK is called, and what it asks for, under one kernel's layout.

    MASK is a number, or the line in which a kernel printed one: `mode:0x..(NAMES)`, `gfp_mask=..`, `gfp_flags=..`.
    Names are checked against the number, and choose the kernel where none is given.
    """
    from gfpmodel.gfp.command import mask_facts, mask_lines
    from gfpmodel.gfp.reading import ambiguous_names, read

    found = read(mask, kernel, gfp_layouts.parse_config(config))
    facts, lines = mask_facts(found), mask_lines(found, ambiguous_names(found))
    emit(facts, f"{facts['text']}\n{rows(lines)}", as_json=as_json)
    return NO if found.agrees is False else FINE


@cli.command()
@click.argument("names")
@layout_options
@json_option
def encode(names: str, kernel: str, config: tuple[str, ...], as_json: bool) -> int:
    """Print the mask of NAMES such as 'GFP_NOWAIT|__GFP_NOWARN' under one kernel's layout."""
    from gfpmodel.gfp.names import decode as decode_mask
    from gfpmodel.gfp.names import encode as encode_names

    layout = chosen_layout(kernel, config)
    mask = encode_names(names, layout)
    facts = {
        "kernel": layout.kernel,
        "config": dict(layout.config),
        "mask": mask,
        "hex": f"{mask:#x}",
        "text": decode_mask(mask, layout).text,
        "release": gfp_layouts.release(kernel).to_json(),
    }
    emit(facts, f"{mask:#x}", as_json=as_json)
    return FINE


@cli.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--config", multiple=True, metavar="NAME[=y|n]", help="A CONFIG_ option; each kernel takes those it knows."
)
@json_option
def diff(old: str, new: str, config: tuple[str, ...], as_json: bool) -> int:
    """Say what differs between two kernels' layouts, and which numbers changed their meaning."""
    from gfpmodel.gfp.diffs import diff as diff_layouts
    from gfpmodel.gfp.diffs import pair

    change = diff_layouts(*pair(old, new, gfp_layouts.parse_config(config)))
    asked = [gfp_layouts.release(name) for name in (old, new)]
    tables = [f"  table      {it.table} for {it.name}; {it.nearness}\n" for it in asked if not it.exact]
    facts = {**change.to_json(), "releases": [it.to_json() for it in asked]}
    emit(facts, "".join(tables) + change.to_text(), as_json=as_json)
    return FINE


@cli.command()
@click.argument("file")
@click.option(
    "--kernel", default=None, help="The kernel it applies to; default: the one its index lines name, else v5.8-rc3."
)
@json_option
def lint(file: str, kernel: str | None, as_json: bool) -> int:
    """Report on a patch to the gfp bits what a reviewer would; FILE is a diff, mail or mbox, `-` for stdin."""
    from gfpmodel.gfp.linter import lint as lint_patch

    report = lint_patch(read_bytes(file, MOST_TEXT), "<stdin>" if file == "-" else file, kernel)
    emit(report.to_json(), report.to_text(), as_json=as_json)
    return FINE if report.ok else NO


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@json_option
def verify(files: tuple[str, ...], as_json: bool) -> int:
    """Replay recorded truth on the model: each FILE's first difference, and a summary.

    FILEs are told apart by content, .gz and .xz too: golden vectors of the kernel's own allocator, traces and mixes of
    a booted v5.8 with the RFC, and event logs of booted kernels' kfree_rcu().
    """
    from gfpmodel.evidence.verify import verify_file

    verdicts = []
    for file in files:
        verdicts.append(verify_file(file))
        if not as_json and not verdicts[-1].unusable:
            click.echo(printable(str(verdicts[-1])))
        if verdicts[-1].unusable:
            fail(str(verdicts[-1].unusable))
    agree = sum(verdict.ok for verdict in verdicts)
    ops = sum(verdict.ops for verdict in verdicts)
    summary = f"{agree} of {len(files)} files agree, {ops} operations without a difference"
    emit({"files": [verdict.to_json() for verdict in verdicts]}, summary, as_json=as_json)
    if any(verdict.unusable for verdict in verdicts):
        return UNUSABLE
    return FINE if agree == len(files) else NO


@cli.command()
@click.argument("file")
@click.option("--kernel", default="v5.8-rc3", show_default=True, help="Whose allocator runs it.")
@json_option
def ops(file: str, kernel: str, as_json: bool) -> int:
    """Run an op script: operations, NULL results, speed, and the hash over all page frame numbers."""
    from gfpmodel.io.ops import read_script, replay

    facts = replay(read_script(read_bytes(file, MOST_OPS), file, kernel)).to_json()
    emit(facts, rows([(name, str(value)) for name, value in facts.items()]), as_json=as_json)
    return FINE


@cli.command()
@click.option("--gfp", help="The request's mask: names or a number.")
@click.option("--proposal", **ROW, help="A proposal instead of a mask; with --all, the one whose cells are asked.")
@click.option(
    "--request", metavar="CALL", help="A call of slab instead, such as kmalloc (with --gfp), kfree, kfree_rcu."
)
@click.option(
    "--slab", metavar="STATE", help="Where its object is or comes from: cpu, partial, empty, remote, sheaf ..."
)
@click.option("--order", type=int, default=0, show_default=True)
@click.option("--context", default="task", show_default=True, help="A name, or a stack such as mutex>hardirq>raw.")
@click.option("--pcp", default="dry", show_default=True, help="warm, dry, monly, ronly, full, boost[wm], low or min.")
@click.option("--contended", is_flag=True, help="Another CPU holds every lock that is waited for.")
@click.option("--all", "everything", is_flag=True, help="The whole matrix, as CSV (or --json).")
@click.option("--cells", metavar="IN.csv", help="Answer a table of cells; `-` is stdin.")
@click.option("--out", metavar="OUT.csv", help="Where the answers go; default: stdout.")
@layout_options
@json_option
def verdict(kernel: str, config: tuple[str, ...], as_json: bool, **asked: Any) -> int:
    """Say what a request comes to in a context: its result, the locks it takes, and what the kernel would print."""
    from gfpmodel.locking.command import Question, run

    text, facts, clean = run(
        Question(**asked), kernel, gfp_layouts.parse_config(config), partial(read_bytes, most=MOST_TEXT)
    )
    if asked["out"]:
        write_output(asked["out"], text)
    else:
        emit(facts, text, as_json=as_json)
    if blank := facts.get("blank"):
        names = ", ".join(f"{name} ({n})" for name, n in blank.items())
        count = sum(blank.values())
        click.echo(f"{count} cell{'s' * (count != 1)} left blank, not modelled on {kernel}: {names}", err=True)
    return FINE if clean else NO


@cli.command()
@click.argument("proposal", **ROW)
@click.option("--against", default="fast_try", show_default=True, **ROW, help="The row that it is compared with.")
@json_option
def row(proposal: Rule, against: Rule, as_json: bool) -> int:
    """Print the row of a PROPOSAL, as the text of a file, and what sets it apart from another."""
    from gfpmodel.io.rows import differences, worded, write_row

    found = differences(against, proposal)
    lines = [f"  {d.field}: {d.a} -> {d.b}: {d.means}" for d in found] or ["  nothing"]
    text = "\n".join([write_row(proposal), f"what sets it apart from {against.name}:", *lines])
    facts = {"row": worded(proposal), "against": against.name, "differences": [vars(d) for d in found]}
    emit(facts, text, as_json=as_json)
    return FINE


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--page-size", type=click.Choice(PAGE_SIZES), help="Bytes in a page; default: as the files tell it.")
@json_option
def machine(files: tuple[str, ...], page_size: str | None, as_json: bool) -> int:
    """Print a machine from its /proc/zoneinfo (+ buddyinfo, pagetypeinfo) or from a report, and what they do not say.

    FILEs are told apart by content; one file may hold all three, quoted or with prompts and time stamps.  /proc/meminfo
    beside them tells the page size.  What keeps the model from being that machine is said, too.
    """
    from gfpmodel.io.procfs import describe, machine_facts, read_proc

    facts = machine_facts(read_proc(files), int(page_size) if page_size else None)
    emit(facts, describe(facts), as_json=as_json)
    return FINE


@cli.command()
@click.argument("file")
@click.option("--kernel", default=None, help=f"{KERNEL_HELP} For reports that name none.")
@json_option
def explain(file: str, kernel: str | None, as_json: bool) -> int:
    """Explain what a kernel printed: FILE is a log, console or mail with reports in it, `-` for stdin.

    Allocation failures, stalls and OOM blocks: the request, each zone's arithmetic by that kernel's rule, and which
    test failed.  Reports of locks and of sleeping: the lock, what forbids it, and whether the model says the same.
    """
    from gfpmodel.explain import LOOKED_FOR, explain_lines, log_lines, texts

    explained = explain_lines(log_lines(file), kernel)
    if as_json:
        found = list(explained)
        emit({"reports": found, "looked_for": list(LOOKED_FOR)}, "", as_json=True)
        return FINE if found else NO
    number = 0
    for number, text in enumerate(texts(explained), 1):
        emit({}, "\n" * (number > 1) + text, as_json=False)
    if not number:
        emit({}, f"no report found; looked for: {', '.join(LOOKED_FOR)}", as_json=False)
    return FINE if number else NO


@cli.command()
@click.argument("trace")
@click.option("--proposal", "rows_asked", **ROW, multiple=True, help="Ask only this row; may be repeated.")
@click.option(
    "--zoneinfo", metavar="FILE", help="The machine's /proc/zoneinfo (zones, marks, batch, high), or a report."
)
@click.option("--kernel", default=None, help="Whose masks and lists they are; default: deduced, and printed.")
@click.option("--config", multiple=True, metavar="NAME[=y|n]", help="A CONFIG_ option of that kernel.")
@click.option("--serve", **ROW, help="What if: every caller tries this row first.")
@click.option("--lists", metavar="KERNEL", help="What if: another of the model's allocators than the nearest.")
@click.option("--batch", type=click.IntRange(1, 1 << 20), help="What if: batch of every list.")
@click.option("--high", type=click.IntRange(0, 1 << 24), help="What if: high of every list.")
@click.option("--cpus", type=click.IntRange(1, 4096), help="What if: the trace's cpus folded into so many.")
@json_option
def replay(trace: str, as_json: bool, **asked: Any) -> int:
    """Replay a TRACE (ftrace, perf script or trace-cmd text, .gz, .xz; `-` is stdin) through the allocator.

    Says what each proposal would have given at every request, how often the kernel refilled a list and how often the
    model had to, and who paid.
    """
    from gfpmodel.io.replay.command import run_replay

    report = run_replay(trace, asked)
    for problem in report.recording.problems:
        click.echo(f"gfpmodel: {report.recording.name}:{problem.line}: {problem}", err=True)
    emit(report.to_json(), report.to_text(), as_json=as_json)
    return FINE


@cli.command()
@click.option("--tool", type=click.Choice(["tracefs", "trace-cmd", "perf"]), default="tracefs", show_default=True)
@click.option("--seconds", type=click.IntRange(1, 86400), default=10, show_default=True)
@click.option("--buffer", type=click.IntRange(64, 1 << 22), default=65536, show_default=True, help="KiB for each CPU.")
@click.option(
    "--out", default="page-alloc.trace", show_default=True, metavar="FILE", help="The text that `replay` reads."
)
@json_option
def record(tool: str, seconds: int, buffer: int, out: str, as_json: bool) -> int:
    """Print the commands that record a trace for `replay` on a machine of one's own; nothing is run here."""
    from gfpmodel.io.record import commands

    lines = commands(tool, seconds, buffer, out)
    emit({"tool": tool, "commands": lines}, "\n".join(lines), as_json=as_json)
    return FINE


@cli.command()
@click.argument("name", required=False)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE[,VALUE...]", help="A parameter; may be repeated.")
@click.option("--kernel", default="v5.8-rc3", show_default=True, help="Whose lists: v5.8-rc3, v6.18, v7.1 or v7.3.")
@click.option("--seeds", type=int, default=5, show_default=True, help="How many seeds, from 0.")
@click.option("--workers", type=int, help="How many processes; default: one for each CPU.")
@click.option("--dask", metavar="ADDRESS", help="The scheduler of a Dask cluster to run on instead.")
@click.option("--out", metavar="FILE", help="Where the table goes, .csv or .parquet; a killed run goes on from it.")
@click.option(
    "--machine",
    "files",
    multiple=True,
    metavar="FILE",
    help="Start from it: a report, or /proc files; may be repeated.",
)
@json_option
def experiment(as_json: bool, files: tuple[str, ...], **asked: Any) -> int:
    """Run the experiment NAME over seeds and a grid of parameters; without NAME, list them.

    Where a parameter is a proposal, a FILE.yaml with its row does, too.  With --machine the runs start from the machine
    of a report or of /proc/zoneinfo with buddyinfo or pagetypeinfo: its zones, marks and free blocks, and its page
    cache, which kswapd takes.
    """
    from gfpmodel.io.rows import file_row
    from gfpmodel.sim.command import Question, run
    from gfpmodel.sim.start import Start

    if files:
        from gfpmodel.io.procfs import laid_out, page_cache, page_size, read_proc, unknown

        proc = read_proc(files)
        node, cache = proc.nodes()[0], page_cache(proc)
        lacks = [words for words in unknown(proc, node, page_size(proc)) if not words.startswith("how many CPUs")]
        lacks += ["how many CPUs there are: the experiment's"]
        lacks += ["what of the memory in use is page cache: all of it is taken for that"] * (cache is None)
        asked["start"] = Start(partial(laid_out, proc, node), cache)
        asked["started"] = f"started from node {node} of {', '.join(files)}; not told: {'; '.join(lacks)}"
    text, facts = run(Question(**asked, file_row=file_row))
    emit(facts, text, as_json=as_json)
    return FINE


def write_output(file: str, text: str) -> None:
    """Write a file, whole or not at all; raises InputError."""
    with whole(file) as path:
        path.write_text(text, encoding="utf-8")
