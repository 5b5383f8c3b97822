"""What many seeds say together: means with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gfpmodel.sim.state import bin_middle

# The 97.5 % quantile of Student's t for 1, 2, ... degrees of freedom; beyond them 1.96 + 2.4 / n is within 0.001.
T_QUANTILES = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


class Interval(NamedTuple):
    """A mean over seeds and its 95 % confidence interval; of one value the interval is unknown (nan)."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


def interval(values: Sequence[float] | NDArray[Any]) -> Interval:
    """Return the mean of a figure over seeds with its 95 % confidence interval (Student's t)."""
    n = len(values)
    mean = float(np.mean(values)) if n else float("nan")
    if n < 2:
        return Interval(mean, float("nan"), float("nan"))
    t = T_QUANTILES[n - 2] if n - 2 < len(T_QUANTILES) else 1.96 + 2.4 / (n - 1)
    half = t * float(np.std(values, ddof=1)) / sqrt(n)
    return Interval(mean, mean - half, mean + half)


def quantile(histogram: NDArray[np.int64], q: float, top: int | None = None) -> float:
    """Return a quantile of a histogram of `note`, 3 % off at most; never more than ``top``, if that is known."""
    total = int(histogram.sum())
    if not total:
        return float("nan")
    at = int(np.searchsorted(np.cumsum(histogram), q * total))
    middle = bin_middle(at)
    return middle if top is None else min(middle, top)
