"""The zones in a /proc/zoneinfo file, as far as a replay needs them."""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path

from gfpmodel.errors import InputError
from gfpmodel.io.replay.pack import MAX_PAGES
from gfpmodel.io.replay.start import KnownZone
from gfpmodel.mm.state import ZONE_NAMES

ZONE = re.compile(r"^Node (\d+), zone +(\S+)$", re.MULTILINE)


def known_zones(path: str) -> list[KnownZone]:
    """Read the zones of node 0 that have memory; raises InputError with the file and what was expected."""
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path) from None
    heads = list(ZONE.finditer(text))
    found = []
    for head, after in zip_longest(heads, heads[1:]):
        body = text[head.end() : after.start() if after else None]
        if head[1] == "0" and head[2] in ZONE_NAMES and number(body, "managed", 0):
            found.append(zone_of(ZONE_NAMES.index(head[2]), body, path))
    if not found:
        raise InputError("no zone with memory; expected what /proc/zoneinfo prints", path)
    return sorted(found, key=lambda zone: zone.index)


def zone_of(index: int, body: str, path: str) -> KnownZone:
    """Return one zone; raises InputError for a field that is missing."""
    values = {name: number(body, name) for name in ("free", "min", "low", "high", "spanned", "managed", "start_pfn")}
    absent = [name for name, value in values.items() if value is None]
    if absent:
        raise InputError(f"zone {ZONE_NAMES[index]} without {absent[0]}", path)
    v = {name: value or 0 for name, value in values.items()}
    if v["start_pfn"] + v["spanned"] > MAX_PAGES or not v["free"] <= v["managed"] <= v["spanned"]:
        expected = "expected free <= managed <= spanned, and an end below 256 GiB"
        raise InputError(f"zone {ZONE_NAMES[index]}, {v['spanned']} pages from {v['start_pfn']}: {expected}", path)
    reserve = re.search(r"protection: \(([\d, ]+)\)", body)
    batch, high = number(body, "batch:", 1) or 1, number(body, "high:", 0) or 0
    return KnownZone(
        index=index,
        start=v["start_pfn"],
        spanned=v["spanned"],
        managed=v["managed"],
        free=v["free"],
        batch=batch,
        high=high,
        wmark=(v["min"], v["low"], v["high"]),
        reserve=tuple(map(int, reserve[1].split(","))) if reserve else (),
    )


def number(body: str, name: str, missing: int | None = None) -> int | None:
    """Return the number behind a name, at its first place."""
    found = re.search(rf"(?:^|\s){re.escape(name)}:?\s+(\d+)\s*$", body, re.MULTILINE)
    return int(found[1]) if found else missing
