"""The same run on the lists of a later kernel: its engine, sizes as its boot takes them, and a proposal's row there."""

from __future__ import annotations

from dataclasses import replace

from gfpmodel.mm.kernels import rules_of
from gfpmodel.proposals import proposal
from gfpmodel.sim.run import Run
from gfpmodel.sim.today import marked


def on_kernel(run: Run, kernel: str) -> Run:
    """Return a run on the lists of a kernel.

    Batch and high that a run fixes stay fixed there, those that it leaves to boot tune themselves.  Raises InputError
    for a kernel that the model does not have.
    """
    if not rules_of(kernel).later:
        return run
    batch, high = run.machine.pcp or (None, None)
    return replace(
        run,
        machine=replace(run.machine, pcp=None, pcp_sizes=(batch, high, high)),
        proposal=None if run.proposal is None else marked(proposal(run.proposal), kernel),
        kernel=kernel,
    )
