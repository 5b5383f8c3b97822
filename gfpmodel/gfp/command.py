"""The command `decode`: what there is to say of a mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gfpmodel.gfp.meanings import meaning
from gfpmodel.gfp.names import decode
from gfpmodel.gfp.reading import Reading
from gfpmodel.gfp.releases import spans


def mask_facts(found: Reading) -> dict[str, Any]:
    """Return what there is to say of a mask as plain data."""
    decoded = decode(found.mask, found.layout)
    return {
        "kernel": found.layout.kernel,
        "config": dict(found.layout.config),
        "mask": found.mask,
        "hex": f"{found.mask:#x}",
        "text": decoded.text,
        "compact": decoded.compact,
        "flags": list(decoded.flags),
        "leftover": decoded.leftover,
        "ambiguous": list(decoded.ambiguous),
        "meaning": meaning(found.mask, found.layout).to_json(),
        "release": found.release.to_json(),
        "names": found.asked.names,
        "fits": list(found.fits),
        "agrees": found.agrees,
        "remarks": list(found.remarks),
    }


def mask_lines(found: Reading, ambiguous: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return what there is to say of a mask as labels and values."""
    decoded, asks = decode(found.mask, found.layout), meaning(found.mask, found.layout)
    return [
        ("mask", f"{decoded.mask:#x} under {found.layout}"),
        *([("table", found.table_line)] if found.table_line else []),
        *([("names fit", spans(list(found.fits)))] if found.fits else []),
        ("flags", "|".join(decoded.flags) or "none of this layout"),
        ("perf kmem", decoded.compact or "nothing: perf knows none of the names"),
        *asks.answers.items(),
        *(("contradiction", f"{'|'.join(c.flags)}: {c.why}") for c in asks.contradictions),
        *(("ambiguous", f"{name} also names {mask:#x} in {found.layout.kernel}") for name, mask in ambiguous.items()),
        *(("note", remark) for remark in found.remarks),
    ]
