"""One generator of integers, compiled: the same numbers interpreted and compiled, on every machine and every version.

Libraries change how they draw from a distribution, and a logarithm's last bit differs between machines; so the draws
here are integer arithmetic throughout.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gfpmodel.mm.jit import compiled, entry, i64, inlined, u64

GOLDEN, MIX1, MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
WORD = 0xFFFFFFFFFFFFFFFF
CONSTANT, EXPONENTIAL, UNIFORM = 0, 1, 2
DISTRIBUTIONS = {"constant": CONSTANT, "exponential": EXPONENTIAL, "uniform": UNIFORM}
MAX_MEAN = 1 << 37  #: of what is drawn, so that nothing overflows: 137 s in ns
LOG_BITS = 20
LN2 = 45426  # ln 2 in 16 bits behind the point


def seeded(seed: int) -> NDArray[np.uint64]:
    """Return the state of a generator."""
    return np.array([seed % (1 << 64)], np.uint64)


@inlined
def next64(rng: NDArray[np.uint64]) -> Any:
    """Return the next 64 bits (SplitMix64)."""
    z = (rng[0] + u64(GOLDEN)) & u64(WORD)
    rng[0] = z
    z = (z ^ (z >> u64(30))) * u64(MIX1) & u64(WORD)
    z = (z ^ (z >> u64(27))) * u64(MIX2) & u64(WORD)
    return z ^ (z >> u64(31))


@entry
@inlined
def below(rng: NDArray[np.uint64], limit: int) -> Any:
    """Return an integer from 0 to ``limit`` - 1, in steps of limit / 2**24 at least; ``limit`` is below 2**39."""
    return i64(next64(rng) >> u64(40)) * limit >> 24


@compiled
def exponential(rng: NDArray[np.uint64], mean: int) -> Any:
    """Return an exponential variate: -log2 of 31 random bits, a bit of the logarithm with each squaring."""
    x = i64(next64(rng) >> u64(33)) | 1
    whole = 1
    while x < 1 << 30:
        x <<= 1
        whole += 1
    fraction = 0
    for _ in range(LOG_BITS):
        x = x * x >> 30
        fraction <<= 1
        if x >= 1 << 31:
            x >>= 1
            fraction |= 1
    log2 = (whole << LOG_BITS) - fraction
    return mean * (log2 * LN2 >> 16) >> LOG_BITS


@entry
@inlined
def draw(rng: NDArray[np.uint64], distribution: int, mean: int) -> Any:
    """Return a variate of a mean: the mean itself, exponential, or uniform from 0 to twice the mean."""
    if distribution == EXPONENTIAL:
        return exponential(rng, mean)
    if distribution == UNIFORM:
        return below(rng, 2 * mean + 1)
    return mean


@entry
@compiled
def fill_draws(rng: NDArray[np.uint64], distribution: int, mean: int, out: NDArray[np.int64]) -> None:
    """Fill an array with variates."""
    for i in range(len(out)):
        out[i] = draw(rng, distribution, mean)
