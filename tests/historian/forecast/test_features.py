"""Features: the stream gives what the batch gives, to the last bit, and nothing of the future is in them."""

from __future__ import annotations

import math
from datetime import datetime
from statistics import mean, median, stdev
from zoneinfo import ZoneInfo

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from historian.forecast import (
    CALENDAR_TERMS,
    Civil,
    FeatureSet,
    FeatureStream,
    Kernel,
    Missing,
    NetLoad,
    NotPrimed,
    batch,
    feature_frame,
    row_of,
)

STEP_NS = 900 * 10**9
BERLIN = ZoneInfo("Europe/Berlin")
SIXTEEN = tuple(f"s{number}" for number in range(16))
# The hours in which Berlin's clocks go forward and back, New York's forward, and none.
STARTS = [
    int(datetime(2026, 3, 28, 20, tzinfo=BERLIN).timestamp()) * 10**9,
    int(datetime(2026, 10, 24, 21, tzinfo=BERLIN).timestamp()) * 10**9,
    int(datetime(2026, 3, 7, 22, tzinfo=ZoneInfo("America/New_York")).timestamp()) * 10**9,
    0,
]


def small(zone: str = "UTC", hold: int = 0, least_present: float = 0.5, longest_gap: int = 4) -> FeatureSet:
    return FeatureSet(
        signals=("load", "sun", "wind"),
        step_s=900,
        lags=(1, 2, 5),
        windows=(3, 7, 2),
        calendar=CALENDAR_TERMS,
        interactions=(("sun", "is_summer"), ("load", "hour_sin")),
        net_load=NetLoad("load", ("sun", "wind"), slope_steps=5),
        missing=Missing(hold, least_present, longest_gap),
        civil=Civil(zone),
    )


def streamed(features: FeatureSet, times: np.ndarray, values: np.ndarray) -> dict[int, bytes]:
    stream = FeatureStream(features)
    found = {}
    for row, (time, line) in enumerate(zip(times.tolist(), values, strict=True)):
        stream.push(time, line)
        if not stream.needed:
            found[row] = stream.vector().tobytes()
    return found


def batched(features: FeatureSet, times: np.ndarray, values: np.ndarray) -> dict[int, bytes]:
    try:
        rows, vectors = batch(features, times, values)
    except NotPrimed:
        return {}
    return {int(row): vector.tobytes() for row, vector in zip(rows, vectors, strict=True)}


@st.composite
def series(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Times with holes of all lengths, values of all sizes with missing, infinite and negative zero among them."""
    rows = draw(st.integers(1, 90))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    gaps = np.where(random.random(rows) < draw(st.sampled_from([0.0, 0.1])), random.integers(2, 9, rows), 1)
    times = draw(st.sampled_from(STARTS)) + np.cumsum(gaps) * STEP_NS
    values = random.normal(size=(rows, 3)) * 10.0 ** random.integers(-8, 9, (rows, 3))
    values[random.random((rows, 3)) < draw(st.sampled_from([0.0, 0.05, 0.5]))] = np.nan
    values[random.random((rows, 3)) < 0.03] = draw(st.sampled_from([0.0, -0.0, np.inf, -np.inf, 1e16]))
    return times, values


sets = st.builds(
    small,
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.integers(0, 3),
    st.sampled_from([0.01, 0.5, 1.0]),
    st.integers(0, 6),
)


@settings(max_examples=60, deadline=None)
@given(series(), sets)
def test_stream_equals_batch_bit_for_bit(given_series, features) -> None:
    times, values = given_series
    assert streamed(features, times, values) == batched(features, times, values)


@settings(max_examples=30, deadline=None)
@given(series(), sets, st.integers(0, 89))
def test_a_restarted_stream_primed_out_of_history_gives_the_same_bits(
    given_series, features, restart
) -> None:
    times, values = given_series
    begin = min(restart, len(times) - 1)
    whole, after = streamed(features, times, values), streamed(features, times[begin:], values[begin:])
    assert after == {row - begin: whole[row] for row in whole if row - begin in after}
    assert all(whole[begin + row] == bits for row, bits in after.items())


@pytest.mark.parametrize("missing", [Missing(), Missing(hold=2, longest_gap=10)])
def test_the_sets_of_160_and_480_are_equal_in_batch_and_stream_over_a_change_to_summer_time(missing) -> None:
    random = np.random.default_rng(7)
    keep = np.flatnonzero(random.random(200) > 0.05)
    times, values = STARTS[0] + keep * STEP_NS, random.normal(50, 20, (len(keep), 16))
    values[random.random(values.shape) < 0.02] = np.nan
    civil = Civil("Europe/Berlin")
    named = FeatureSet.named_160(SIXTEEN, temperature="s8", missing=missing, civil=civil)
    wide = FeatureSet.wide(SIXTEEN, net_load=NetLoad("s1", ("s2", "s3")), missing=missing, civil=civil)
    for features, count in ((named, 160), (wide, 480)):
        assert len(features.names) == len(set(features.names)) == count
        found = streamed(features, times, values)
        assert len(found) > 100
        assert found == batched(features, times, values)


@settings(max_examples=30, deadline=None)
@given(series(), sets, st.integers(0, 89), st.randoms(use_true_random=False))
def test_shuffling_the_future_changes_nothing(given_series, features, now, random) -> None:
    times, values = given_series
    order = list(range(now + 1, len(times)))
    random.shuffle(order)
    shuffled = np.concatenate([values[: now + 1], values[order]])
    before, after = batched(features, times, values), batched(features, times, shuffled)
    assert {row: before[row] for row in before if row <= now} == {
        row: after[row] for row in after if row <= now
    }


def test_the_numbers_are_those_of_the_formulas() -> None:
    random = np.random.default_rng(3)
    values = random.uniform(1, 9, (12, 3))
    times = STARTS[0] + np.arange(12) * STEP_NS
    features = small("Europe/Berlin")
    rows, vectors = batch(features, times, values)
    assert rows.tolist() == list(range(6, 12))
    found = dict(zip(features.names, vectors[-1], strict=True))
    load, sun, wind = values.T
    net = load - (sun + wind)
    slopes = [(net[j] - net[i]) / (j - i) * 4 for j in range(7, 12) for i in range(7, j)]
    expected = {
        "load": load[11],
        "sun.lag5": sun[6],
        "wind.mean7": mean(wind[5:]),
        "wind.std7": stdev(wind[5:]),
        "load.min3": min(load[9:]),
        "load.max2": max(load[10:]),
        "renewable_penetration": (sun[11] + wind[11]) / load[11],
        "net_load_ramp_per_h": (net[11] - net[10]) * 4,
        "net_load_slope5_per_h": median(slopes),
        "load*hour_sin": load[11] * math.sin(math.tau * 22.75 / 24),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.5]), st.sampled_from([0.01, 0.5, 1.0]))
def test_statistics_are_those_numpy_finds_in_each_window(seed, absent, least_present) -> None:
    random = np.random.default_rng(seed)
    signals = tuple(f"s{number}" for number in range(int(random.choice([1, 16, 19]))))
    values = random.normal(50, 20, (14, len(signals)))
    values[random.random(values.shape) < absent] = np.nan
    features = FeatureSet(
        signals=signals, step_s=1, windows=(2, 5, 11), missing=Missing(least_present=least_present)
    )
    rows, vectors = batch(features, np.arange(14) * 10**9, values)
    for row, vector in zip(rows.tolist(), vectors, strict=True):
        found = iter(vector[len(signals) :].reshape(-1, len(signals)))
        for size in features.windows:
            window = values[row + 1 - size : row + 1]
            present = (~np.isnan(window)).sum(axis=0)
            for statistic, least in ((np.mean, 1), (np.std, 2), (np.min, 1), (np.max, 1)):
                enough = (present >= least_present * size) & (present >= least)
                ddof = {"ddof": 1} if statistic is np.std else {}
                expected = [
                    statistic(column[~np.isnan(column)], **ddof) if whole else math.nan
                    for column, whole in zip(window.T, enough, strict=True)
                ]
                assert next(found) == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)


def test_the_kernel_looks_at_nothing_outside_what_it_was_given() -> None:
    features = FeatureSet(signals=("a", "b"), step_s=1, lags=(3,))
    kernel, grid, whole = Kernel(features), np.ones((5, 2)), np.array([3, 4])
    assert kernel.vectors(grid, whole, (0, 0)).shape == (2, 4)
    for newest in ([2], [5], [-1]):
        with pytest.raises(IndexError, match=f"vector 0 at row {newest[0]}"):
            kernel.vectors(grid, np.array(newest), (0,))
    with pytest.raises(ValueError, match="3 signals"):
        kernel.vectors(np.ones((5, 3)), whole, (0, 0))
    with pytest.raises(TypeError, match="2 dimensions of items of 8 bytes"):
        kernel.vectors(np.ones((5, 2), np.float32), whole, (0, 0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not C-contiguous"):
        kernel.vectors(np.ones((5, 4))[:, ::2], whole, (0, 0))


def test_a_sum_does_not_drift_after_a_huge_value() -> None:
    features = FeatureSet(signals=("a",), step_s=1, windows=(3,))
    stream = FeatureStream(features)
    for second, value in enumerate([1e17, 0.1, 0.1, 0.1]):
        stream.push(second * 10**9, [value])
    assert stream.vector()[features.names.index("a.mean3")] == pytest.approx(0.1, rel=1e-15)


def test_civil_time_skips_an_hour_in_march_and_repeats_one_in_october() -> None:
    features = FeatureSet(signals=("a",), step_s=3600, calendar=("hour",), civil=Civil("Europe/Berlin"))
    for night, hours in ((datetime(2026, 3, 29), [1, 3, 4]), (datetime(2026, 10, 25), [1, 2, 2])):
        first = int(night.replace(hour=1, tzinfo=BERLIN).timestamp()) * 10**9
        times = first + np.arange(-1, 3) * 3600 * 10**9  # one step to prime
        _, vectors = batch(features, times, np.zeros((4, 1)))
        assert vectors[-3:, 1].tolist() == hours


def test_summer_is_in_january_south_of_the_equator() -> None:
    january = 15 * 86_400 * 10**9
    for southern, expected in ((False, [0.0, 1.0]), (True, [1.0, 0.0])):
        civil = Civil("UTC", southern=southern)
        features = FeatureSet(signals=("a",), step_s=900, calendar=("is_summer", "is_winter"), civil=civil)
        _, vectors = batch(features, january + np.arange(2) * STEP_NS, np.ones((2, 1)))
        assert vectors[-1, 1:].tolist() == expected


def test_missing_values_never_become_zero() -> None:
    features = small(least_present=0.5)
    values = np.full((20, 3), 5.0)
    values[10:, 0] = np.nan
    _, vectors = batch(features, np.arange(20) * STEP_NS, values)
    found = dict(zip(features.names, vectors[-1], strict=True))
    lost = [
        "load",
        "load.lag5",
        "load.mean7",
        "load.std7",
        "load.min7",
        "renewable_penetration",
        "net_load_ramp_per_h",
    ]
    assert all(math.isnan(found[name]) for name in lost)
    assert not any(value == 0.0 for name, value in found.items() if name.startswith("load"))
    assert found["sun.mean7"] == 5.0


def test_a_statistic_is_of_the_values_present_if_they_are_enough() -> None:
    values = np.array([[1.0], [2.0], [np.nan], [6.0]])
    for least_present, expected in ((0.75, 3.0), (0.8, math.nan)):
        features = FeatureSet(
            signals=("a",), step_s=1, windows=(4,), missing=Missing(least_present=least_present)
        )
        _, vectors = batch(features, np.arange(4) * 10**9, values)
        assert vectors[0, 1] == pytest.approx(expected, nan_ok=True)


def test_a_value_is_held_for_so_many_steps_and_then_missing() -> None:
    features = FeatureSet(signals=("a",), step_s=1, missing=Missing(hold=2))
    values = np.array([[1.0], [2.0], [3.0], [np.nan], [np.nan], [np.nan]])
    rows, vectors = batch(features, np.arange(6) * 10**9, values)
    assert rows[0] == features.steps_to_prime - 1
    assert vectors[:, 0].tolist()[-4:] == pytest.approx([3.0, 3.0, 3.0, math.nan], nan_ok=True)


def test_a_load_of_zero_has_no_penetration() -> None:
    values = np.full((8, 3), 5.0)
    values[-1, 0] = 0.0
    features = small()
    _, vectors = batch(features, np.arange(8) * STEP_NS, values)
    assert math.isnan(vectors[-1, features.names.index("renewable_penetration")])


def test_a_stream_not_primed_says_how_many_more_are_needed() -> None:
    stream = FeatureStream(FeatureSet.wide(SIXTEEN))
    stream.push(0, np.ones(16))
    with pytest.raises(NotPrimed, match="49 more observations needed") as refusal:
        stream.vector()
    assert refusal.value.needed == 49
    with pytest.raises(NotPrimed, match="48 more"):
        batch(FeatureSet.wide(SIXTEEN), [0, STEP_NS], np.ones((2, 16)))


def test_a_gap_too_long_starts_over() -> None:
    features = small(longest_gap=4)
    stream = FeatureStream(features)
    for step in (0, 1, 2, 3, 8):  # four steps missing: bridged
        stream.push(step * STEP_NS, np.ones(3))
    assert stream.needed == 0
    stream.push(14 * STEP_NS, np.ones(3))  # five
    assert stream.needed == features.steps_to_prime - 1


@pytest.mark.parametrize(
    ("time", "values", "fault"),
    [
        (STEP_NS + 1, np.ones(3), "no multiple of the step"),
        (0, np.ones(3), "not after the last"),
        (STEP_NS, np.ones(2), "3 values are expected"),
    ],
)
def test_a_wrong_observation_is_refused_and_changes_nothing(time, values, fault) -> None:
    stream = FeatureStream(small())
    stream.push(0, np.ones(3))
    needed = stream.needed
    with pytest.raises(ValueError, match=fault):
        stream.push(time, values)
    assert (stream.needed, stream.time_ns) == (needed, 0)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"lags": (1, 1)}, "the same feature twice: a.lag1"),
        ({"lags": (0,)}, "lags look back"),
        ({"windows": (1,)}, "at least 2 steps"),
        ({"calendar": ("fortnight",)}, "no such calendar term: fortnight"),
        ({"interactions": (("b", "hour"),)}, "no such signal: b"),
        ({"net_load": NetLoad("a", ("b",))}, "no such signal: b"),
        ({"lags": (10**6,)}, "at most 100000"),
        ({"step_s": 0}, "at least 1"),
    ],
)
def test_a_set_that_cannot_be_computed_is_refused(change, fault) -> None:
    with pytest.raises(ValueError, match=fault):
        FeatureSet(**{"signals": ("a",), "step_s": 900, **change})


def test_the_digest_changes_with_every_parameter() -> None:
    features = [
        small(),
        small("Europe/Berlin"),
        small(hold=1),
        small(least_present=0.6),
        small(longest_gap=5),
        FeatureSet.named_160(),
        FeatureSet.named_160(step_s=300),
        FeatureSet.wide(SIXTEEN),
        FeatureSet.wide(SIXTEEN, seasonal_lags=True),
    ]
    assert len({one.digest for one in features}) == len(features)
    assert small().digest == small().digest
    assert features[-1].steps_to_prime == 7 * 96 + 1


def test_a_frame_of_features_has_their_names_and_times() -> None:
    index = pandas.date_range("2026-03-29", periods=12, freq="15min", tz="Europe/Berlin")
    frame = pandas.DataFrame(
        np.random.default_rng(1).random((12, 4)), index, ["wind", "other", "load", "sun"]
    )
    features = small("Europe/Berlin")
    found = feature_frame(features, frame)
    assert tuple(found.columns) == features.names
    assert found.index.equals(index[6:])
    assert found["wind.lag1"].iloc[-1] == frame["wind"].iloc[-2]
    with pytest.raises(KeyError, match="sun"):
        feature_frame(features, frame.drop(columns="sun"))
    with pytest.raises(ValueError, match="time zone"):
        feature_frame(features, frame.tz_localize(None))


def test_values_by_name_leave_the_others_missing() -> None:
    assert row_of(small(), {"sun": 2.0}).tolist() == pytest.approx([math.nan, 2.0, math.nan], nan_ok=True)
