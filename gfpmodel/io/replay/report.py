"""What a replay says, as one object for JSON and as text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from gfpmodel.gfp import encode
from gfpmodel.gfp.releases import spans
from gfpmodel.io.replay.nearest import nearest
from gfpmodel.io.replay.recording import Recording
from gfpmodel.io.replay.run import Outcome, WhatIf
from gfpmodel.mm.state import MIGRATE_NAMES, MIGRATE_PCPTYPES, NR_LOWORDER_PCP_LISTS, PMD_ORDER, ZONE_NAMES
from gfpmodel.proposals import proposal

#: What is counted for each request class.
COUNTED = (
    "requests",
    "model_refills",
    "model_dma_refills",
    "model_cold_refills",
    "model_higher_refills",
    "model_nulls",
    "kernel_refills",
    "kernel_dma_refills",
    "kernel_long_refills",
    "kernel_single_pages",
    "kernel_higher_refills",
)
SHOWN = 8  #: rows of a table of the text form


def list_name(number: int) -> tuple[str, int]:
    """Return the type and the order of a list by its number, which v5.8's lists have as well: all are of order 0."""
    if number >= NR_LOWORDER_PCP_LISTS:
        return ("MOVABLE" if number > NR_LOWORDER_PCP_LISTS else "UNMOVABLE or RECLAIMABLE"), PMD_ORDER
    order, migratetype = divmod(number, MIGRATE_PCPTYPES)
    return MIGRATE_NAMES[migratetype], order


def highs(zone: dict[str, Any]) -> str:
    """Return what a zone's lists may hold, and up to what that may grow."""
    return f"{zone['high']}" + (f" (up to {zone['high_max']})" if zone["high_max"] > zone["high"] else "")


@dataclass(frozen=True)
class Report:
    """A recording and what its replay gave; ``differs`` says in words how the model's machine is not the real one."""

    recording: Recording
    outcome: Outcome
    what_if: WhatIf
    differs: tuple[str, ...] = ()

    @property
    def skipped(self) -> dict[str, int]:
        """Return how many allocations and frees of the trace are not replayed, by reason."""
        counts = self.recording.counts_by_name
        asked = counts["alloc"] + counts["failed"] + counts["free"]
        events = self.recording.events
        torn = events.get("mm_page_alloc", 0) + events.get("mm_page_free", 0) - asked
        found = {"torn line": torn, "allocation that failed on the real machine": counts["failed"]}
        return {k: v for k, v in {**found, **self.recording.skipped, **self.outcome.skipped}.items() if v}

    @property
    def assumed(self) -> dict[str, int]:
        """Return how often the trace does not say all, by what is assumed then."""
        nulls = self.totals["model_nulls"]
        more = {"allocation that the model, which reclaims nothing, cannot serve: its free is left out": nulls}
        return {k: v for k, v in {**self.recording.assumed, **more}.items() if v}

    @property
    def totals(self) -> Counter[str]:
        """Return requests and refills over all request classes."""
        found = Counter(dict.fromkeys(COUNTED, 0))
        for counts in self.outcome.requests.values():
            found.update(counts)
        return found

    def classes(self) -> list[dict[str, Any]]:
        """Return a row for each request class, the most frequent first."""
        found = []
        for (number, order, migratetype), counts in self.outcome.requests.items():
            text, _ = self.recording.masks[number]
            answers = self.outcome.answers[(number, order, migratetype)]
            found.append(
                {
                    "gfp_flags": text,
                    "mask": f"{encode(text, self.recording.choice.layout):#x}",
                    "order": order,
                    "migratetype": MIGRATE_NAMES[migratetype],
                    **counts,
                    "proposals": self._answers(answers),
                }
            )
        return sorted(found, key=lambda row: (-row["requests"], row["gfp_flags"], row["order"]))

    def _answers(self, answers: Any) -> dict[str, dict[str, int]]:
        names = ("from_list", "under_lock", "null")
        return {
            row.name: dict(zip(names, map(int, one), strict=True))
            for row, one in zip(self.outcome.rows, answers, strict=True)
        }

    def proposals(self) -> dict[str, dict[str, int]]:
        """Return what each row would have given over all requests: from a list, under the zone lock, or NULL."""
        none = np.zeros((len(self.outcome.rows), 3), np.int64)
        return self._answers(sum(self.outcome.answers.values(), none))

    def payers(self) -> list[dict[str, Any]]:
        """Return which tasks had to refill a list, on the real machine and in the model, the busiest first."""
        by_name: dict[str, Counter[str]] = {}
        for number, counts in self.outcome.payers.items():
            by_name.setdefault(self.recording.tasks.get(number, "?"), Counter()).update(counts)
        rows = [
            {"comm": name, "model_refills": c["model_refills"], "kernel_refills": c["kernel_refills"]}
            for name, c in by_name.items()
        ]
        return sorted(rows, key=lambda row: (-row["kernel_refills"], -row["model_refills"], row["comm"]))

    def zones(self) -> list[dict[str, Any]]:
        """Return the machine's zones as they were used."""
        free = self.outcome.free_at_start
        return [
            {
                "zone": ZONE_NAMES[index],
                "start_pfn": z.zone.start,
                "spanned": z.zone.spanned,
                "managed": z.managed,
                "free_at_start": free[index],
                "batch": z.batch,
                "high": z.high,
                "high_max": max(z.high, z.high_max),
                "watermarks": list(z.wmark),
            }
            for index, z in self.outcome.allocator.sizes.zones.items()
        ]

    @property
    def source(self) -> str:
        """Say where batch and high come from."""
        over = self.what_if.overrides
        given = [f"{name} {value}" for name, value in (("batch", over.batch), ("high", over.high)) if value is not None]
        base = "/proc/zoneinfo" if self.what_if.known else f"{self.engine}'s arithmetic on the memory seen in the trace"
        return f"{base}, with {' and '.join(given)} as asked" if given else base

    def lists(self) -> list[dict[str, Any]]:
        """Return how many pages each list had over the samples: mean, least, most, and the share in which it was empty.

        Lists that were always empty are left out.
        """
        samples, found = self.outcome.samples(), []
        for cpu, zone, number in zip(*np.nonzero(samples.any(axis=0)), strict=True):
            one = samples[:, cpu, zone, number]
            migratetype, order = list_name(int(number))
            where = {"cpu": int(cpu), "zone": ZONE_NAMES[zone], "migratetype": migratetype, "order": order}
            size = {"mean": round(float(one.mean()), 4), "least": int(one.min()), "most": int(one.max())}
            found.append({**where, **size, "empty": round(float((one == 0).mean()), 4)})
        return found

    def series(self) -> dict[str, Any]:
        """Return the pages over time, in nanoseconds of the trace: of each zone and list, summed over the cpus."""
        sums = self.outcome.samples().sum(axis=1)
        lists: dict[str, Any] = {}
        for zone, number in zip(*np.nonzero(sums.any(axis=0)), strict=True):
            migratetype, order = list_name(int(number))
            name = f"{ZONE_NAMES[zone]} {migratetype}" + (f" order {order}" if order else "")
            lists[name] = sums[:, zone, number].tolist()
        return {"time": self.outcome.times, **lists}

    def to_json(self) -> dict[str, Any]:
        """Return all of it, as ``replay --json`` prints it.

        ``alloc`` counts the events that got a page, ``failed`` those that did not: together they are all
        mm_page_alloc lines that can be read.
        """
        recording = self.recording
        return {
            "file": recording.name,
            "lines": recording.lines,
            "kernel": str(recording.choice.layout),
            "engine": self.engine,
            "nearest": self.nearest,
            "engine_differs": self.outcome.distance.facts(self.kernel),
            "fits": list(recording.choice.fits),
            "events": recording.events,
            **recording.counts_by_name,
            "skipped": self.skipped,
            "assumed": self.assumed,
            "unreadable": recording.unreadable,
            "lost": recording.lost,
            "other_lines": recording.other_lines,
            "problems": [vars(problem) for problem in recording.problems],
            "cpus": self.outcome.allocator.machine.cpus,
            "zones": self.zones(),
            "sizes_from": self.source,
            "machine_differs": list(self.differs),
            "served_by": self.served_by,
            "replayed": {"operations": self.outcome.operations, **self.totals},
            "proposals": self.proposals(),
            "classes": self.classes(),
            "payers": self.payers(),
            "lists": self.lists(),
            "series": self.series(),
        }

    @property
    def kernel(self) -> str:
        """Return the kernel that the trace is taken to be of."""
        return self.what_if.kernel or self.recording.kernel

    @property
    def engine(self) -> str:
        """Return the kernel whose allocator the trace ran on."""
        return self.outcome.allocator.rules.name

    @property
    def nearest(self) -> str:
        """Return the kernel whose allocator is, of the model's, the nearest to that of the trace."""
        return nearest(self.kernel).row

    @property
    def whose(self) -> str:
        """Say whose allocator the trace ran on, and how near that is."""
        if self.engine != self.nearest:
            return f"{self.engine}'s, as asked for; the nearest to {self.kernel} is {self.nearest}'s"
        same = self.engine == self.kernel
        return f"{self.engine}'s" + ("" if same else f", of the model's the nearest to {self.kernel}")

    @property
    def served_by(self) -> str | None:
        """Return the name of the row that every caller tries first, None if there is none."""
        return proposal(self.what_if.serve).name if self.what_if.serve else None

    def to_text(self) -> str:
        """Return the facts as text: what was read, what was replayed, what each row would have given."""
        r, totals = self.recording, self.totals
        counts = r.counts_by_name
        lines = [
            f"{r.name}: {r.lines} lines, {sum(r.events.values())} events, {r.unreadable} unreadable, {r.lost} lost",
            f"  {counts['alloc']} alloc, {counts['free']} free, {counts['failed']} failed; names of {r.choice}",
            *(f"  {name:<32} {count:>9}" for name, count in r.events.items()),
            *(f"  skipped {count:>8}  {reason}" for reason, count in self.skipped.items()),
            *(f"  assumed {count:>8}  {reason}" for reason, count in self.assumed.items()),
            f"allocator: {self.whose}",
            *(f"  {line}" for line in self.outcome.distance.lines(self.kernel)),
            *self._others(),
            f"machine: {self.outcome.allocator.machine.cpus} cpu(s); batch and high from {self.source}",
            *(
                f"  {z['zone']:<8} pages {z['managed']}, free at the start {z['free_at_start']}, "
                f"batch {z['batch']}, high {highs(z)}, min/low/high {'/'.join(map(str, z['watermarks']))}"
                for z in self.zones()
            ),
            *(f"  not this machine: {reason}" for reason in self.differs),
            f"replayed: {self.outcome.operations} operations, {totals['requests']} requests"
            + (f", all trying {self.served_by} first" if self.served_by else ""),
            f"  refills of the real kernel {totals['kernel_refills']} ({totals['kernel_dma_refills']} in zone DMA), "
            f"of the model {totals['model_refills']} ({totals['model_dma_refills']} in zone DMA, "
            f"{totals['model_cold_refills']} of lists that had to begin empty)",
            f"  refills of higher orders {totals['kernel_higher_refills']}, of the model "
            f"{totals['model_higher_refills']}; single pages past the lists {totals['kernel_single_pages']}",
            *self._growth(),
            "each request, had it been      from a list  under the lock       NULL",
            *(
                f"  {name:<26} {a['from_list']:>13} {a['under_lock']:>15} {a['null']:>10}"
                for name, a in self.proposals().items()
            ),
        ]
        return "\n".join([*lines, *self._class_lines(), *self._payer_lines(), *self._list_lines()])

    def _growth(self) -> list[str]:
        """Say that the kernel's refills are not of one batch, if the trace shows it."""
        long = self.totals["kernel_long_refills"]
        grows = self.outcome.allocator.rules.later and not self.outcome.distance.fixed
        ours = "and the model's do" if grows else "which the model's do not; --kernel can name a later one"
        return [f"  {long} of the real kernel's refills took more than a batch: since v6.7 they grow, {ours}"] * (
            long > 0
        )

    def _others(self) -> list[str]:
        """Say which kernels that the trace fits as well would have been replayed in another way."""
        if self.what_if.lists or self.what_if.kernel or self.recording.choice.told:
            return []
        ways = {name: nearest(name) for name in self.recording.choice.fits}
        own = ways[self.kernel]
        others = [name for name, way in ways.items() if (way.row, way.fixed) != (own.row, own.fixed)]
        return [f"  it may be a trace of {spans(others)}, whose lists differ: --kernel names it"] if others else []

    def _class_lines(self) -> list[str]:
        rows = self.classes()
        lines = ["request classes                                 requests  refills: kernel   model"]
        for row in rows[:SHOWN]:
            what = f"{row['gfp_flags'][:40]} o{row['order']} {row['migratetype'][:1]}"
            lines.append(f"  {what:<45} {row['requests']:>9} {row['kernel_refills']:>16} {row['model_refills']:>7}")
            nulls = ", ".join(f"{name} {a['null']}" for name, a in row["proposals"].items())
            lines.append(f"    NULL for {nulls}")
        return [*lines, *([f"  and {len(rows) - SHOWN} more (--json has all)"] if len(rows) > SHOWN else [])]

    def _payer_lines(self) -> list[str]:
        rows = [row for row in self.payers() if row["kernel_refills"] or row["model_refills"]][:SHOWN]
        lines = [f"  {row['comm']:<20} {row['kernel_refills']:>9} {row['model_refills']:>7}" for row in rows]
        return ["who refilled           kernel   model", *lines] if rows else []

    def _list_lines(self) -> list[str]:
        rows = sorted(self.lists(), key=lambda row: -row["mean"])[:SHOWN]
        lines = [
            f"  cpu {row['cpu']:<3} {row['zone']:<7} {row['migratetype']:<12} {row['order'] or '':<2}"
            f"{row['mean']:>8.1f} {row['most']:>6} {row['empty']:>6.1%}"
            for row in rows
        ]
        return ["pages on the model's lists     order    mean   most  empty", *lines] if rows else []
