"""The command `experiment`: run one, or a grid of them, and say what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.mm import Rule
from gfpmodel.mm.kernels import FIRST
from gfpmodel.sim.experiments import EXPERIMENTS
from gfpmodel.sim.run import unit
from gfpmodel.sim.start import Start
from gfpmodel.sim.sweeps import Sweep, parse_settings, run_sweep, summary


@dataclass(frozen=True)
class Question:
    """What the command line asks."""

    name: str | None = None
    settings: tuple[str, ...] = ()
    kernel: str = FIRST
    seeds: int = 5
    workers: int | None = None
    dask: str | None = None
    out: str | None = None
    start: Start | None = None
    started: str = ""  #: what is said of the start
    file_row: Callable[[str], Rule | None] = lambda _: None


def listing() -> tuple[str, dict[str, Any]]:
    """Return all experiments with their parameters and defaults, as text and as facts."""
    lines, facts = [], []
    for experiment in EXPERIMENTS.values():
        defaults = asdict(experiment.parameters())
        lines.append(f"{experiment.name:<12} {experiment.title}")
        lines.append(f"{'':<12} {' '.join(f'{key}={value}' for key, value in defaults.items())}")
        facts.append({"name": experiment.name, "title": experiment.title, "parameters": defaults})
    return "\n".join(lines), {"experiments": facts}


def run(question: Question) -> tuple[str, dict[str, Any]]:
    """Answer a question, as text and as facts; raises InputError."""
    if question.name is None:
        if question.settings or question.out or question.dask is not None or question.start:
            raise InputError("experiment needs the NAME of one; without it, all are listed")
        return listing()
    if question.workers is not None and question.workers < 1:
        raise InputError(f"--workers {question.workers}; expected at least 1")
    if question.workers is not None and question.dask is not None:
        raise InputError("--workers and --dask exclude each other")
    name = question.name
    settings = parse_settings(name, question.settings, question.file_row)
    sweep = Sweep(name, settings, question.seeds, question.kernel, question.start)
    sweep.seconds()  # looks at the parameters, before a cluster is asked for
    with dask_executor(question.dask) if question.dask is not None else nullcontext() as executor:
        rows = run_sweep(sweep, executor, question.workers, question.out)
    said = {"experiment": name, "kernel": sweep.kernel, "seeds": question.seeds, "points": facts(sweep, rows)}
    if question.start:
        return f"{question.started}\n{describe(sweep, rows)}", {**said, "start": question.started}
    return describe(sweep, rows), said


def facts(sweep: Sweep, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the summary as plain objects; what is not known (nan) becomes null."""
    return [
        {
            "parameters": varied,
            "figures": {
                name: {**{key: known(value) for key, value in found._asdict().items()}, "unit": unit(name)}
                for name, found in figures.items()
            },
        }
        for varied, figures in summary(sweep, rows)
    ]


def known(value: float) -> float | None:
    """Return a number with six digits, or None for nan, which JSON does not have."""
    return float(f"{value:.6g}") if value == value else None  # noqa: PLR0124


def describe(sweep: Sweep, rows: Sequence[dict[str, Any]]) -> str:
    """Return the summary as text: a block for each point of the grid, mean and 95 % interval of each figure."""
    where = "" if sweep.kernel == FIRST else f" on {sweep.kernel}'s lists"
    lines = [f"{sweep.name}{where}: {len(rows)} points, {sweep.seeds} seeds; mean [95 % confidence interval]"]
    for varied, figures in summary(sweep, rows):
        if varied:
            lines.append(" ".join(f"{key}={value}" for key, value in varied.items()))
        width = max(map(len, figures))
        for name, found in figures.items():
            text = str(found) if sweep.seeds > 1 else f"{found.mean:.4g}"
            lines.append(f"  {name:<{width}}  {text}  {unit(name)}")
    return "\n".join(lines)


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Connect to a Dask cluster for as long as its executor is used.

    Raises InputError if there is no Dask, or nobody at that address.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError("--dask needs Dask: pip install 'gfpmodel[cluster]'") from None
    if not address:
        raise InputError("--dask is empty; expected the address of a scheduler, as tcp://host:8786")
    try:
        client: Any = Client(address, timeout="5s")  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler at {address}: {error}") from None
    with client, client.get_executor() as executor:
        yield executor
