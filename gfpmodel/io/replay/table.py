"""The replayed need for refills against the kernel's own, trace by trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gfpmodel.io.replay.recording import read_recording
from gfpmodel.io.replay.report import Report
from gfpmodel.io.replay.run import WhatIf, replay
from gfpmodel.io.replay.zoneinfo import known_zones, misfits_of


def refill_table(files: Mapping[str, str | None], what_if: WhatIf | None = None) -> list[dict[str, Any]]:
    """Replay traces and compare refills of order 0 with the real kernel's, a row for each trace.

    Arguments: each trace with its machine's /proc/zoneinfo, None if there is none; what else to change.  ``cold`` are
    the model's refills of lists that the replay has to begin with empty, ``dma`` those of zone DMA, a page each;
    ``difference`` is the model's other ones less the kernel's other ones, and the shares are in percent of requests.

    Where the recorded 6.1 kernels differ from the lists they are replayed on, v6.18's held at one size: a cpu that goes
    on freeing drains 1, 2, 4, 8 batches where the model drains about what was freed in a row; under reclaim the lists
    hold a quarter of ``high``; a failed trylock of the lists takes a single page past them.
    """
    return [compared(file, zoneinfo, what_if or WhatIf(rows=())) for file, zoneinfo in files.items()]


def why_apart(row: Mapping[str, Any]) -> str:
    """Say why a trace's refills are not the kernel's: ``cold``, ``by hand`` or ``unknown``, empty if they are.

    ``cold``: the model has more, and no more than it began with empty lists.  ``by hand``: it has fewer, because the
    test module took pages without an event.
    """
    more = int(row["difference"])
    if more > 0:
        return "cold" if more <= int(row["cold"]) else "unknown"
    if more < 0:
        return "by hand" if "rtexp" in str(row["trace"]) else "unknown"
    return ""


def replay_file(trace: str, zoneinfo: str | None = None, what_if: WhatIf | None = None) -> Report:
    """Read a trace and replay it on its machine; raises InputError.

    Arguments: the trace; a file with /proc/zoneinfo, if there is one; which rows to ask, and what else to change.
    """
    asked = what_if or WhatIf()
    known = tuple(known_zones(zoneinfo)) if zoneinfo else asked.known
    asked = replace(asked, known=known)
    recording = read_recording(trace)
    differs = misfits_of(zoneinfo, recording) if zoneinfo else ()
    return Report(recording, replay(recording, asked), asked, differs)


def compared(file: str, zoneinfo: str | None, what_if: WhatIf) -> dict[str, Any]:
    """Return one trace's row."""
    found = replay_file(file, zoneinfo, what_if)
    recording, outcome = found.recording, found.outcome
    sums: Counter[str] = sum((c for (_, order, _), c in outcome.requests.items() if order == 0), Counter())
    zone = max(outcome.allocator.sizes.zones.values(), key=lambda z: z.managed)
    kernel = sums["kernel_refills"] - sums["kernel_dma_refills"]
    model = sums["model_refills"] - sums["model_dma_refills"]
    cold = sums["model_cold_refills"]
    requests = max(sums["requests"], 1)
    return {
        "trace": recording.name.rpartition("/")[2].partition(".")[0],
        "engine": found.engine,
        "requests": sums["requests"],
        "batch": zone.batch,
        "high": zone.high,
        "kernel": kernel,
        "model": model,
        "cold": cold,
        "difference": model - kernel,
        "kernel_share": round(100 * kernel / requests, 4),
        "model_share": round(100 * model / requests, 4),
        "kernel_dma": sums["kernel_dma_refills"],
        "model_dma": sums["model_dma_refills"],
        "single_pages": sums["kernel_single_pages"],
        "nulls": sums["model_nulls"],
        "skipped": sum(found.skipped.values()),
    }
