"""What a reader calls the rows of `PROPOSALS`: one name for one thing, in every picture of the book."""

from __future__ import annotations

SPOKEN = {
    "fast_try": "the flag",
    "no_locks": "the flag, second version",
    "lockless": "the flag, third version",
    "nowait": "GFP_NOWAIT",
    "atomic": "GFP_ATOMIC",
    "gfp0": "mask 0",
    "raw_zone_lock": "raw zone lock",
    "raw_zone_lock_rt": "raw zone lock, on RT too",
    "trylock": "trylock of v6.15",
    "deferred_refill": "cache and worker of v5.11",
}


def spoken(name: str) -> str:
    """Return what a row is called; a row of the reader's own by its own name."""
    return SPOKEN.get(name, name)
