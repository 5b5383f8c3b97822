"""Confidence intervals and quantiles of histograms."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from gfpmodel.sim.state import BINS, note
from gfpmodel.sim.statistics import figure, interval, quantile, share


def test_an_interval_by_hand() -> None:
    # mean 3, standard deviation sqrt(2.5), t(4) = 2.776
    found = interval([1, 2, 3, 4, 5])
    assert found.mean == 3
    assert found.high - found.mean == pytest.approx(2.776 * (2.5 / 5) ** 0.5)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_the_interval_of_one_value_is_unknown() -> None:
    found = interval([7.0])
    assert found.mean == 7
    assert isnan(found.low)
    assert isnan(found.high)


def test_many_seeds_come_near_the_normal_quantile() -> None:
    values = np.tile([0.0, 2.0], 500)
    found = interval(values)
    assert found.high - 1 == pytest.approx(1.962 * np.std(values, ddof=1) / 1000**0.5, rel=1e-3)


@given(some.lists(some.floats(0, 1), min_size=2, max_size=12))
def test_the_interval_of_a_share_stays_one_and_holds_the_mean(values: list[float]) -> None:
    found = share(values)
    assert 0 <= found.low <= found.mean + 1e-12
    assert found.mean - 1e-12 <= found.high <= 1


def test_a_share_by_hand() -> None:
    # runs of one request each: Wilson's interval of 4 of 8, with t(7) for z and the variance of a sample
    found = share([0, 1, 0, 1, 0, 1, 0, 1])
    n, t = 7, 2.365
    half = t / (1 + t * t / n) * (0.25 / n + t * t / (4 * n * n)) ** 0.5
    assert found == pytest.approx((0.5, 0.5 - half, 0.5 + half))


def test_a_share_far_from_its_ends_is_as_student_says() -> None:
    values = [0.5, 0.51, 0.49, 0.5]
    assert share(values) == pytest.approx(interval(values), rel=1e-3)


def test_a_share_that_all_runs_agree_on_has_no_width_and_one_run_no_interval() -> None:
    assert share([0.0, 0.0]) == (0, 0, 0)
    assert isnan(share([0.5]).low)


def test_shares_are_told_by_their_names() -> None:
    values = [0.0, 0.001, 0.0, 0.0]
    assert figure("failed_share.raid", values) == share(values)
    assert figure("refills_per_1000.shared", values) == figure("shareholders", values) == interval(values)


@given(some.lists(some.integers(0, 1 << 38), min_size=1, max_size=60), some.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_three_percent_off_at_most(values: list[int], q: float) -> None:
    hist = np.zeros((1, BINS), np.int64)
    for value in values:
        note(hist, 0, value)
    exact = sorted(values)[max(int(np.ceil(q * len(values))) - 1, 0)]
    assert quantile(hist[0], q) == pytest.approx(exact, rel=0.032, abs=0.5)
    assert quantile(hist[0], q, max(values)) <= max(values)


def test_the_quantile_of_nothing_is_unknown() -> None:
    assert isnan(quantile(np.zeros(BINS, np.int64), 0.99))
