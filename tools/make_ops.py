"""Write an op script: ``python tools/make_ops.py {i|ii|iii|ft} N SEED > FILE``.

The scripts are those of the recorded hashes (tests/mm/test_ops.py), so the draws and their order must not change.
i: pairs served by the pcp list; ii: 100,000 allocations, then frees in random order; iii: mixed orders and types on
two cpus; ft: __GFP_FAST_TRY among GFP_KERNEL on two cpus.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

GFP_KERNEL, MOVABLE, RECLAIMABLE, FAST_TRY = 0xCC0, 0x8, 0x10, 0x800000
FAST_TRY_MASKS = [
    GFP_KERNEL,
    GFP_KERNEL | MOVABLE,
    GFP_KERNEL | RECLAIMABLE,
    FAST_TRY,
    FAST_TRY,
    FAST_TRY | MOVABLE,
    FAST_TRY | RECLAIMABLE,
]


def make_ops(kind: str, n: int, seed: int) -> str:
    """Return a script of about n operations."""
    rng = random.Random(seed)
    cpus = 1 if kind in ("i", "ii") else 2
    makers = {"i": pairs, "ii": rounds, "iii": mixed, "ft": mixed}
    body = makers[kind](kind, n, rng)
    return f"param cpus {cpus}\nzone 0 1 4095\nzone 1 4096 258048\nboot\n" + "".join(body)


def pairs(_kind: str, n: int, _rng: random.Random) -> Iterator[str]:
    """Allocate and free at once."""
    for i in range(n // 2):
        yield f"a 0 0 {GFP_KERNEL}\nf 0 {i}\n"


def rounds(_kind: str, n: int, rng: random.Random) -> Iterator[str]:
    """Allocate many, then free them in random order."""
    first = 0
    while n > 0:
        count = min(100000, n // 2) or 1
        yield f"a 0 0 {GFP_KERNEL}\n" * count
        order = list(range(first, first + count))
        rng.shuffle(order)
        yield from (f"f 0 {handle}\n" for handle in order)
        first += count
        n -= 2 * count


def mixed(kind: str, n: int, rng: random.Random) -> Iterator[str]:
    """Keep 2000 to 6000 blocks in use."""
    live: list[int] = []
    handle = 0
    for _ in range(n):
        draw = rng.random()
        if len(live) < 2000 or (len(live) < 6000 and draw < 0.5):
            if kind == "ft":
                order, gfp = 0, rng.choice(FAST_TRY_MASKS)
            else:
                order = rng.choice([0] * 8 + [1] * 4 + [2] * 2 + [3] + [rng.randrange(10)])
                gfp = GFP_KERNEL | rng.choice([0, MOVABLE, RECLAIMABLE])
            yield f"a {rng.randrange(2)} {order} {gfp}\n"
            live.append(handle)
            handle += 1
        else:
            j = rng.randrange(len(live))
            live[j], live[-1] = live[-1], live[j]
            yield f"f {rng.randrange(2)} {live.pop()}\n"


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.stdout.write(make_ops(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
