"""Pack the compiled gfp tables into the compact file the package ships.

Usage: python tools/pack_layouts.py FULL.json [gfpmodel/gfp/layouts.json]

FULL.json is what one small C program per kernel and config printed from that kernel's real headers
(see gfpmodel/gfp/ORIGIN.md).  A value that is the same in every config of a kernel is stored once;
one that is not becomes a list with an entry for each config, null where it is compiled out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NOT_MASKS = ("GFP_MOVABLE_SHIFT", "GFP_ZONE_BAD")
ALIASES = {"mm-dev": "mm-dev (7.3-rc cycle)", "v5.9": "v5.10", "v5.11": "v5.10", "v5.12": "v5.10"}


def column(values: list[Any]) -> Any:
    """Return the one value all configs share, else the list of them."""
    return values[0] if all(v == values[0] for v in values) else values


def columns(rows: list[dict[str, int]]) -> dict[str, Any]:
    """Turn one dict per config into one column per name, in the order of the fullest config."""
    names = [n for row in sorted(rows, key=len, reverse=True) for n in row]
    return {name: column([row.get(name) for row in rows]) for name in dict.fromkeys(names)}


def trace_columns(tables: list[list[list[Any]]]) -> list[list[Any]]:
    """Merge the trace tables of a kernel's configs; a row is a (name, occurrence) pair, as v4.4 repeats a name."""
    numbered = []
    for table in tables:
        seen: dict[str, int] = {}
        rows = {}
        for name, mask in table:
            rows[f"{name}#{seen.setdefault(name, 0)}"] = mask
            seen[name] += 1
        numbered.append(rows)
    return [[key.partition("#")[0], value] for key, value in columns(numbered).items()]


def pack_kernel(kernel: dict[str, Any]) -> dict[str, Any]:
    """Return one kernel's tables in packed form."""
    configs = kernel["configs"]
    return {
        "source": kernel["source"],
        "blobs": kernel["blobs"],
        "shift_formula": kernel["shift_formula"],
        "configs": [{k.removeprefix("CONFIG_"): v for k, v in c["config"].items()} for c in configs],
        "shift": column([c["bits_shift"] for c in configs]),
        "bits": columns([{b["name"][1:]: b["value"] for b in c["bits"] if b["value"]} for c in configs]),
        "composites": columns(
            [{n: v["value"] for n, v in c["composites"].items() if n not in NOT_MASKS} for c in configs]
        ),
        "exprs": kernel["composite_exprs"],
        "trace": trace_columns([[[t["name"], t["mask"]] for t in c["trace_table"]] for c in configs]),
        "perf": [[p["name"], p["compact"]] for p in kernel["perf_compact"]],
    }


def dump(packed: dict[str, Any]) -> str:
    """Write one kernel table a line, so that a diff of the file shows which table changed."""
    lines = []
    for kernel, tables in packed["kernels"].items():
        rows = ",\n".join(f"   {json.dumps(k)}: {json.dumps(v)}" for k, v in tables.items())
        lines.append(f"  {json.dumps(kernel)}: {{\n{rows}\n  }}")
    zones = json.dumps(packed["zone_lookup"])
    aliases = json.dumps(packed["aliases"])
    kernels = ",\n".join(lines)
    return f'{{\n "aliases": {aliases},\n "zone_lookup": {zones},\n "kernels": {{\n{kernels}\n }}\n}}\n'


def main(argv: list[str]) -> int:
    """Pack argv[0] into argv[1]."""
    if not 1 <= len(argv) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    full = json.loads(Path(argv[0]).read_text())
    target = Path(argv[1] if len(argv) > 1 else "gfpmodel/gfp/layouts.json")
    lookup = full["zone_lookup"]
    packed = {
        "aliases": ALIASES,
        "zone_lookup": {name: c["lookup"] for name, c in lookup["configs"].items()},
        "kernels": {name: pack_kernel(k) for name, k in full["kernels"].items()},
    }
    target.write_text(dump(packed))
    print(f"{target}: {len(packed['kernels'])} kernels, {target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
