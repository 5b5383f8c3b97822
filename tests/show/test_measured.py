"""Experiments over their seeds, and what a reader may ask of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gfpmodel.errors import InputError
from gfpmodel.show.measured import measured, own_parameters, sampled, watermarks, worded
from gfpmodel.sim import experiment, interval
from gfpmodel.sim.experiments import CrossCpu, Kswapd

SMALL = Kswapd(pages=1 << 14, duration_ms=5)


@pytest.mark.parametrize(("value", "says"), [(True, "yes"), (0.0, "0"), (0.8, "0.8"), (1e5, "100,000"), ("up", "up")])
def test_parameters_are_worded(value: object, says: str) -> None:
    assert worded(value) == says


def test_measured_is_the_experiment_over_its_seeds() -> None:
    grid = {"duration_ms": (2,), "frees_on": ("same", "next")}
    found = measured("cross_cpu", grid, 2, {"failed_share.asker": "failed", "no such figure": "x"})
    assert {row: list(values) for row, values in found.items()} == {"same": ["failed"], "next": ["failed"]}
    run = experiment("cross_cpu")
    each = [run(CrossCpu(duration_ms=2), seed)["failed_share.asker"] for seed in range(2)]
    assert found["next"]["failed"] == interval(each)


def test_sampling_changes_nothing_but_adds_the_series() -> None:
    with_series, plain = sampled("kswapd", SMALL, 1), experiment("kswapd").results(SMALL, 1)["run"]
    assert with_series.record == pytest.approx(plain.record, rel=0, abs=0, nan_ok=True)
    assert with_series.series[0, 0] == 0
    marks = watermarks("kswapd", SMALL)
    assert 0 < marks["min"] < marks["low"] < marks["high"]
    assert with_series.series[0, 1] <= round(SMALL.free_share * marks["low"])


def test_settings_of_ones_own() -> None:
    assert own_parameters("kswapd", "rate=5000 others=y duration_ms=2") == replace(
        Kswapd(), rate=5000.0, others=True, duration_ms=2
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rate", "expected key=value"),
        ("rats=1", "unknown parameter"),
        ("rate=1,2", "expected one"),
        ("duration_ms=100000 rate=1000000", "would run for about"),
        ("rate=-1", "rate"),
    ],
)
def test_bad_settings_get_one_line(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        own_parameters("kswapd", text)
    assert "\n" not in str(error.value)
