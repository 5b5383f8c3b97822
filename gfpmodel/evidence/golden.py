"""Golden vectors of v5.8-rc3, format 1, and the verdict on a file of any format."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.evidence import golden618
from gfpmodel.evidence.vectors import (
    Difference,
    DifferenceFound,
    Line,
    Replay,
    Word,
    boot,
    compare_fields,
    fields_of,
    is_golden,
    lists_of,
    sizes_of,
    verify_as,
    zones_of,
)
from gfpmodel.io.config import Config
from gfpmodel.mm import PageAllocator
from gfpmodel.mm.events import RECORDED_KINDS
from gfpmodel.mm.ops import MAX_OP_ORDER
from gfpmodel.mm.run import NO_RESULT, OP_ALLOC, OP_DRAIN, OP_FREE
from gfpmodel.mm.state import MAX_ORDER, MIGRATE_PCPTYPES, MIGRATE_TYPES_WRITTEN
from gfpmodel.proposals import proposal

__all__ = ["Difference", "DifferenceFound", "is_golden", "verify"]

FORMAT = 1
#: The kernel sources that this model follows, by their blob ids.
SOURCES = {
    "base": {
        "page_alloc.c": "48eb0f1410d47c1622cf080331150b53c72ea2fa",
        "gfp.h": "67a0774e080b9828c83c6dbea6e5591aa2273524",
    },
    "patched": {
        "page_alloc.c": "3733169384d20a18f0d68014992dc2d84c0cadc9",
        "gfp.h": "2df8d16461020107accc3857dd8e733568607a8e",
    },
}
FAST_TRY = proposal("fast_try").flag
OPERATIONS = {
    "alloc": ({"op", "cpu", "order", "gfp", "r", "q"}, OP_ALLOC, "gfp"),
    "free": ({"op", "cpu", "pfn", "order", "q"}, OP_FREE, "pfn"),
    "drain": ({"op", "cpu", "q"}, OP_DRAIN, None),
}
NAMES = {
    "snap_every",
    "kernel",
    "fast_try_bit",
    "config",
    "cpus",
    "ops",
    "event_counts",
    "null_results",
    "fast_try_allocs",
    "zones",
}


class Golden(Replay):
    """A file of format 1 being replayed."""

    def words(self, line: Line) -> list[Word]:
        """Return the word of an operation; raises InputError with file and line."""
        known = OPERATIONS.get(line.data.get("op", ""))
        if known is None:
            raise InputError(f"unknown operation {str(line.data)[:60]}", str(self.path), line.number)
        names, kind, argument = known
        tops = {
            "cpu": self.allocator.machine.cpus - 1,
            "order": MAX_OP_ORDER if kind == OP_ALLOC else MAX_ORDER - 1,
            **({argument: NO_RESULT} if argument else {}),
        }
        numbers = fields_of(line, self.path, names, {"ev"}, tops)
        return [(kind, numbers["cpu"], numbers["order"], numbers[argument] if argument else 0)]

    def result(self, line: Line, pfns: Iterator[int]) -> dict[str, Any]:
        """Return the result of an allocation, and count it."""
        if line.data["op"] != "alloc":
            return {}
        pfn = next(pfns)
        # counted on the base kernel too, where the bit means nothing
        self.totals["fast_try_allocs"] += bool(line.data["gfp"] & FAST_TRY)
        return {"r": None if pfn == NO_RESULT else pfn}

    def zone(self, index: int, *, full: bool) -> dict[str, Any]:
        """Return a zone as a snapshot line writes it."""
        counters, lists = self.allocator.counters(index), lists_of(self.allocator, index, MIGRATE_TYPES_WRITTEN)
        zone: dict[str, Any] = {
            "z": index,
            "free": counters["free"],
            "boost": counters["boost"],
            "rha": counters["nr_reserved_highatomic"],
            "zf": counters["flags"],
            **lists,
            "pcp": [
                {
                    "c": self.allocator.pcp_count(cpu, index),
                    "l": [self.allocator.pcp_list(cpu, index, t).tolist() for t in range(MIGRATE_PCPTYPES)],
                }
                for cpu in range(self.allocator.machine.cpus)
            ],
        }
        return zone if full else {name: value for name, value in zone.items() if name not in ("fl", "pb")}

    def more_totals(self) -> dict[str, Any]:
        """Return the totals that only this format's header gives."""
        return {
            "fast_try_allocs": self.totals["fast_try_allocs"],
            "ends_all_freed": self.allocator.snapshot().free_blocks() == self.boot,
        }


def golden_header(allocator: PageAllocator, config: Config) -> dict[str, Any]:
    """Return the header's fields that follow from the configuration, by the kernel's arithmetic."""
    machine, sizes = allocator.machine, allocator.sizes
    return {
        "source": SOURCES[config.kernel],
        "fast_try_bit": allocator.proposal.flag if allocator.proposal else 0,
        **sizes_of(allocator, config),
        "shared_pageblock": any(
            low.end - 1 >> machine.pageblock_order == high.start >> machine.pageblock_order
            for low, high in pairwise(machine.zones)
        ),
        "zones": [
            {**zone, "name": own.zone.name, "pcp_high": own.high}
            for zone, own in zip(zones_of(allocator), sizes.zones.values(), strict=True)
        ],
    }


def begin(path: Path, line: Line) -> Replay:
    """Boot the machine of a header line and compare its sizes; raises InputError or DifferenceFound."""
    header = line.data
    formats = (FORMAT, *golden618.FORMATS)
    if header.get("t") != "header" or header.get("format") not in formats:
        raise InputError(f"expected a header of format {', '.join(map(str, formats))}", str(path), line.number)
    if header["format"] in golden618.FORMATS:
        return golden618.begin(path, line)
    missing = NAMES - set(header)
    if missing:
        raise InputError(f"the header lacks {sorted(missing)}", str(path), line.number)
    config = Config()
    try:
        config.read(f"param kernel {header['kernel']}")
    except InputError as error:
        raise InputError(error.message, str(path), line.number) from None
    allocator = boot(path, line, config, RECORDED_KINDS)
    got = golden_header(allocator, config)
    compare_fields(line.number, "", {name: header.get(name) for name in got}, got)
    return Golden(path, header, config, allocator, boot=allocator.snapshot().free_blocks())


def verify(path: Path) -> tuple[int, Difference | None]:
    """Replay a file of any format; returns how many operations agreed and the first difference.  Raises InputError."""
    return verify_as(path, begin)
