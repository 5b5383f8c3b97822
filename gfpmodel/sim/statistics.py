"""What many seeds say together: means with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, sqrt
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
        mean = f"{self.mean:.4g}"
        return mean if isnan(self.low) else f"{mean} [{self.low:.4g}, {self.high:.4g}]"


def t_quantile(n: int) -> float:
    """Return the 97.5 % quantile of Student's t for n values, at least two."""
    return T_QUANTILES[n - 2] if n - 2 < len(T_QUANTILES) else 1.96 + 2.4 / (n - 1)


def interval(values: Sequence[float] | NDArray[Any]) -> Interval:
    """Return the mean of a figure over seeds with its 95 % confidence interval (Student's t)."""
    n = len(values)
    mean = float(np.mean(values)) if n else float("nan")
    if n < 2:
        return Interval(mean, float("nan"), float("nan"))
    half = t_quantile(n) * float(np.std(values, ddof=1)) / sqrt(n)
    return Interval(mean, mean - half, mean + half)


def share(values: Sequence[float] | NDArray[Any]) -> Interval:
    """Return the mean of a share over seeds with its 95 % confidence interval, which stays between 0 and 1.

    The requests of one run fail together, so the runs count and not the requests: Wilson's interval, with as many
    independent requests as would vary as much as the runs do, and with Student's quantile for the number of runs.
    A share that all runs agree on has no width: say how many requests it is of.
    """
    n, plain = len(values), interval(values)
    mean, variance = plain.mean, float(np.var(values, ddof=1)) / n if n > 1 else 0.0
    if not variance or isnan(plain.low):
        return Interval(mean, mean, mean) if n > 1 else plain
    weight = t_quantile(n) ** 2 * variance / (mean * (1 - mean))  # t squared, for each of those requests
    middle, half = mean + weight / 2, sqrt(weight * (mean * (1 - mean) + weight / 4))
    return Interval(mean, max(0.0, (middle - half) / (1 + weight)), min(1.0, (middle + half) / (1 + weight)))


def figure(name: str, values: Sequence[float] | NDArray[Any]) -> Interval:
    """Return a figure over seeds with the interval that its kind has: a share is told by its name."""
    return share(values) if "share" in name.partition(".")[0].split("_") else interval(values)


def quantile(histogram: NDArray[np.int64], q: float, top: int | None = None) -> float:
    """Return a quantile of a histogram of `note`, 3 % off at most; never more than ``top``, if that is known."""
    total = int(histogram.sum())
    if not total:
        return float("nan")
    at = int(np.searchsorted(np.cumsum(histogram), q * total))
    middle = bin_middle(at)
    return middle if top is None else min(middle, top)
