"""The replayed need for refills against the kernel's own, trace by trace."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gfpmodel.io.replay.recording import read_recording
from gfpmodel.io.replay.report import Report
from gfpmodel.io.replay.run import WhatIf, replay


def refill_table(files: Iterable[str], what_if: WhatIf | None = None) -> list[dict[str, Any]]:
    """Replay traces and compare, for order 0: a row each with requests, refills of both, and their difference.

    ``share`` is refills by request in percent; ``single_pages`` are pages that the kernel took past its lists.
    """
    rows = []
    for file in files:
        asked = what_if or WhatIf(rows=())
        recording = read_recording(file)
        outcome = replay(recording, asked)
        order_0 = [counts for (_, order, _), counts in outcome.requests.items() if order == 0]
        requests = sum(counts["requests"] for counts in order_0)
        kernel, model = (sum(counts[name] for counts in order_0) for name in ("kernel_refills", "model_refills"))
        zone = max(outcome.allocator.sizes.zones.values(), key=lambda z: z.managed)
        rows.append(
            {
                "trace": recording.name.rpartition("/")[2].partition(".")[0],
                "requests": requests,
                "batch": zone.batch,
                "high": zone.high,
                "kernel_refills": kernel,
                "model_refills": model,
                "difference": model - kernel,
                "kernel_share": round(100 * kernel / requests, 4) if requests else 0.0,
                "model_share": round(100 * model / requests, 4) if requests else 0.0,
                "single_pages": sum(counts["kernel_single_pages"] for counts in order_0),
                "skipped": sum(Report(recording, outcome, asked).skipped.values()),
                "model_nulls": sum(counts["model_nulls"] for counts in order_0),
            }
        )
    return rows
