"""Pack the compiled gfp tables into the compact file the package ships.

Usage: python tools/pack_layouts.py FULL.json... > gfpmodel/gfp/layouts.json

A FULL.json is what one small C program per kernel and config printed from that kernel's real headers
(see gfpmodel/gfp/ORIGIN.md).  A value that is the same in every config of a kernel is stored once;
one that is not becomes a list with an entry for each config, null where it is compiled out.
Kernels are put in the order of their releases.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

NOT_MASKS = ("GFP_MOVABLE_SHIFT", "GFP_ZONE_BAD")
ALIASES = {"mm-dev": "mm-dev (7.3-rc cycle)"}
#: Tables of no release, in words.
STATES = {
    "v5.8-rc3+FAST_TRY": "v5.8-rc3 with the RFC's patch",
    "v7.0-rc6": "a release candidate; v7.0 has the same five files",
    "mm-dev (7.3-rc cycle)": "a state of development that was never released",
}
#: How near a table is to its release, where that release's own header was not read (words: gfp/releases.py).
GRADES = {
    **dict.fromkeys(["v3.10", "v4.5", "v4.12", "v4.14-lts", "v5.18", "v6.8", "mm-dev (7.3-rc cycle)"], "B"),
    **dict.fromkeys(["v3.16", "v3.19", "v4.1", "v4.7", "v4.8", "v4.13", "v4.14", "v5.17"], "C"),
}
#: The record of every release tag stands in ORIGIN.md; here it has a short name.
SHORT = {
    "third-party record made by checking out every release tag (CarstenGrohmann/OOMAnalyser@b35dd5f)": "per-tag record",
}


def shortened(text: str) -> str:
    """Return an evidence text with the short name of the record, without pointers that no reader has."""
    for long, short in SHORT.items():
        text = text.replace(long, short)
    return re.sub(r" *\(bugs/LOG\.md[^)]*\)", "", text)


def release_order(kernel: str) -> tuple[int, int, bool]:
    """Return what sorts kernels by release, what is no release before the release itself."""
    found = re.search(r"(\d+)\.(\d+)", kernel)
    if not found:
        raise ValueError(f"no version in {kernel!r}")
    return int(found[1]), int(found[2]), "-rc" not in kernel


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


def blobs(kernel: dict[str, Any]) -> dict[str, str]:
    """Return the blob ids of a kernel's files by path; a remark behind a path is left out."""
    return {key.partition(" (")[0]: blob for key, blob in kernel["blobs"].items() if "/" in key}


def pack_kernel(name: str, kernel: dict[str, Any]) -> dict[str, Any]:
    """Return one kernel's tables in packed form."""
    configs = kernel["configs"]
    return {
        "source": shortened(kernel["source"]),
        **({"state": STATES[name]} if name in STATES else {}),
        "grade": GRADES.get(name, "A"),
        "notes": [shortened(note) for note in [*kernel.get("notes", []), *filter(None, [kernel.get("perf_note")])]],
        "blobs": blobs(kernel),
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
    releases = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in packed["releases"].items())
    head = f' "aliases": {aliases},\n "releases": {{\n{releases}\n }},\n "zone_lookup": {zones},\n'
    kernels = ",\n".join(lines)
    return f'{{\n{head} "kernels": {{\n{kernels}\n }}\n}}\n'


def pack_release(it: dict[str, Any]) -> dict[str, str]:
    """Return a release that has another's table: whose, how near (grade), why, and what to know besides."""
    texts = {key: shortened(it[key]) for key in ("evidence", "note")}
    return {"table": it["same_as"], "grade": it["grade"], **texts}


def pack(full: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the packed tables of all files together; the first has the zones."""
    kernels = {name: kernel for one in full for name, kernel in one["kernels"].items()}
    releases = {name: it for one in full for name, it in one.get("aliases", {}).items()}
    return {
        "aliases": ALIASES,
        "releases": {
            name: pack_release(releases[name]) for name in sorted(releases, key=lambda n: (*release_order(n), n))
        },
        "zone_lookup": {name: c["lookup"] for name, c in full[0]["zone_lookup"]["configs"].items()},
        "kernels": {name: pack_kernel(name, kernels[name]) for name in sorted(kernels, key=release_order)},
    }


def main(argv: list[str]) -> int:
    """Print the files' kernels, packed."""
    if not argv:
        print(__doc__, file=sys.stderr)
        return 2
    packed = pack([json.loads(Path(file).read_text()) for file in argv])
    print(dump(packed), end="")
    print(f"{len(packed['kernels'])} kernels", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
