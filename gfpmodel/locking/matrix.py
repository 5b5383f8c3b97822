"""The verdict matrix: every proposal in every context, on four kernels, as a table that is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gfpmodel.locking.cells import write_table
from gfpmodel.locking.contexts import STACKS
from gfpmodel.locking.kernels import Kernel, make_kernel
from gfpmodel.locking.verdict import Setup, Verdict, make_request, verdict
from gfpmodel.mm import Rule
from gfpmodel.proposals import PATCHED, PROPOSALS, proposal

#: The four kernels of the matrix: name, kernel, options.
CONFIGS: dict[str, tuple[str, dict[str, bool]]] = {
    "mainline": (PATCHED, {}),
    "PROVE_RAW_LOCK_NESTING": (PATCHED, {"PROVE_RAW_LOCK_NESTING": True}),
    "PREEMPT_RT 2020": (PATCHED, {"PREEMPT_RT": True}),
    "PREEMPT_RT today": ("v6.18", {"PREEMPT_RT": True}),
}
COLUMNS = ("proposal", "order", "context", "pcp", "config", "result", "reports", "locks", "deadlock", "unsafe")


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix: what was asked, and the verdict."""

    proposal: str
    order: int
    context: str
    pcp: str
    config: str
    verdict: Verdict

    def row(self) -> dict[str, str]:
        """Return the cell as a row of the table."""
        found = self.verdict
        reports = [f"{r.kind}:{r.lock.name}" if r.lock else r.kind for r in found.reports]
        return dict(
            zip(
                COLUMNS,
                (
                    self.proposal,
                    str(self.order),
                    self.context,
                    self.pcp,
                    self.config,
                    found.result,
                    "; ".join(reports),
                    "; ".join(found.locks),
                    "yes" if found.deadlock else "no",
                    "yes" if found.unsafe else "no",
                ),
                strict=True,
            )
        )


@dataclass(frozen=True)
class Matrix:
    """The verdicts on a set of cells, in order."""

    cells: tuple[Cell, ...]

    def rows(self) -> list[dict[str, str]]:
        """Return the table, one row a cell."""
        return [cell.row() for cell in self.cells]

    def csv(self) -> str:
        """Return the table as CSV."""
        return write_table(self.rows(), COLUMNS)

    def select(self, **wanted: str | int) -> Matrix:
        """Return the cells whose columns have these values."""
        chosen = (cell for cell in self.cells if all(getattr(cell, name) == v for name, v in wanted.items()))
        return Matrix(tuple(chosen))

    def changed(self) -> Matrix:
        """Return the cells of those contexts of a kernel in which what happens is not the same for every proposal."""
        seen: dict[tuple[str, str, int, str], set[tuple[str, ...]]] = {}
        for cell in self.cells:
            happens = tuple(value for name, value in cell.row().items() if name not in ("proposal", "locks"))
            seen.setdefault((cell.config, cell.context, cell.order, cell.pcp), set()).add(happens)
        differ = {place[:2] for place, found in seen.items() if len(found) > 1}
        return Matrix(tuple(cell for cell in self.cells if (cell.config, cell.context) in differ))

    def counts(self) -> dict[str, dict[str, int]]:
        """Return by proposal how many cells give a page, give NULL, are reported, or are unsafe without a word."""
        table = {cell.proposal: {"page": 0, "NULL": 0, "reported": 0, "unsafe": 0} for cell in self.cells}
        for cell in self.cells:
            found = cell.verdict
            bad = "reported" if found.reports or found.deadlock else "unsafe"
            table[cell.proposal][found.result if found.clean else bad] += 1
        return table


def matrix(
    proposals: Iterable[str | Rule] = tuple(PROPOSALS),
    orders: Sequence[int] = (0, 1),
    contexts: Sequence[str] = tuple(STACKS),
    pcps: Sequence[str] = ("warm", "dry"),
    configs: Iterable[str] = tuple(CONFIGS),
) -> Matrix:
    """Compute the matrix of the named proposals (or rows), orders, contexts, pcp states and configs.

    Raises InputError for a name that is not known.
    """
    kernels: dict[str, Kernel] = {name: make_kernel(*CONFIGS[name]) for name in configs}
    rules = [proposal(row) for row in proposals]
    return Matrix(
        tuple(
            Cell(
                rule.name,
                order,
                where,
                pcp,
                name,
                verdict(make_request(kernel, row=rule, order=order), where, Setup(pcp), kernel),
            )
            for rule in rules
            for order in orders
            for where in contexts
            for pcp in pcps
            for name, kernel in kernels.items()
        )
    )
