"""Time the kfree_rcu chain, 10 million objects by version: ``python bench/bench_rcu.py [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from gfpmodel.rcu import VERSIONS, KfreeRcu

OBJECTS = 10_000_000
EVERY_NS = 1000


def seconds(name: str, objects: int) -> tuple[float, KfreeRcu]:
    """Return how long a flood takes, from the first object queued to the last one freed (s), and the chain."""
    rcu = KfreeRcu(name)
    begin = time.perf_counter()
    rcu.queue(objects, every_ns=EVERY_NS)
    rcu.settle()
    return time.perf_counter() - begin, rcu


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    target = parser.parse_args().json
    warm, _ = seconds("v5.9", 1000)
    print(f"kfree_rcu: {OBJECTS:,} objects, one every {EVERY_NS} ns (warm-up {warm:.1f} s)")
    facts = []
    for name in VERSIONS:
        took, rcu = seconds(name, OBJECTS)
        facts.append({"version": name, "seconds": took, "blocks_peak": rcu.counters.blocks_peak})
        print(f"  {name:9s} {took:5.2f} s  {OBJECTS / took / 1e6:5.1f} M objects/s  {rcu.counters.blocks_peak} blocks")
    if target:
        target.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
