"""Each detector finds what it is for, and gives the same numbers from a frame and one observation after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from historian.anomaly import (
    Clock,
    Detector,
    EnergyBalance,
    FlatLine,
    Forest,
    Gaussian,
    MeterAgainstFeeder,
    Missing,
    NotFitted,
    Observation,
    Pca,
    Range,
    Rate,
    Shape,
    TooLittle,
)

NS = 10**9
START = 1_780_000_000 * NS
COLUMNS = ["in.power_kw", "a.power_kw", "b.power_kw"]
EACH: dict[str, Callable[[], Detector]] = {
    "gaussian": lambda: Gaussian(40, 4.0, blocks=4, least=5, refractory_s=6.0),
    "range": lambda: Range(),
    "rate": lambda: Rate(),
    "flat-line": lambda: FlatLine(tolerance=0.01),
    "shape": lambda: Shape(4),
    "missing": lambda: Missing(),
    "clock": lambda: Clock(),
    "pca": lambda: Pca(0.8),
    "pca-training": lambda: Pca(0.8, limits="training"),
    "forest": lambda: Forest(3, sample=64),
    "balance": lambda: EnergyBalance(COLUMNS[:1], COLUMNS[1:]),
    "meter": lambda: MeterAgainstFeeder(COLUMNS[:1], COLUMNS[1:]),
}


def frame_of(seconds: Any, values: Any, columns: list[str] | None = None) -> pd.DataFrame:
    index = pd.to_datetime(START + np.asarray(seconds) * NS, utc=True)
    return pd.DataFrame(np.asarray(values, float), index, columns or COLUMNS)


def sound(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """Two loads that move by themselves, and what feeds them with 1 % of losses."""
    random = np.random.default_rng(seed)
    loads = 50 + np.cumsum(random.normal(0, 1, (rows, 2)), axis=0) * 0.3 + random.normal(0, 1, (rows, 2))
    fed = 0.5 + 1.01 * loads.sum(axis=1) + random.normal(0, 0.05, rows)
    return frame_of(np.arange(rows), np.column_stack((fed, loads)))


def streamed(detector: Detector, times: Any, table: Any) -> Any:
    rows = [detector.update(Observation(time, row)) for time, row in zip(times.tolist(), table, strict=True)]
    return np.array(rows).reshape(len(table), len(detector.outputs_))


def updated(detector: Detector, frame: pd.DataFrame) -> Any:
    return streamed(detector, frame.index.as_unit("ns").asi8, frame.to_numpy())


@pytest.mark.parametrize("name", EACH)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(1, 90),  # seconds since the row before: some are gaps
            st.lists(
                st.sampled_from([np.nan, np.inf, -1e300, -1e30, 0.0, 49.0, 50.0, 50.3, 51.0, 101.0, 1e6]),
                min_size=3,
                max_size=3,
            ),
        ),
        max_size=60,
    ),
    restart=st.integers(0, 60),
)
def test_a_frame_and_one_observation_after_the_other_give_the_same_bits(
    name: str, rows: list[tuple[int, list[float]]], restart: int
) -> None:
    detector = LEARNED[name]
    times = START + np.cumsum([step for step, _ in rows], dtype=np.int64) * NS
    table = np.array([values for _, values in rows]).reshape(-1, 3)
    detector.start_over()
    whole = detector.scores(times, table)
    assert whole.tobytes() == streamed(detector, times, table).tobytes()
    assert ((whole >= 0) & (whole <= 1) | np.isnan(whole)).all()
    # A restart forgets the same on both ways.
    times, table = times[restart:], table[restart:]
    detector.start_over()
    assert detector.scores(times, table).tobytes() == streamed(detector, times, table).tobytes()


LEARNED = {name: make().fit(sound()) for name, make in EACH.items()}


@pytest.mark.parametrize("name", EACH)
def test_scoring_a_frame_leaves_the_stream_alone(name: str) -> None:
    detector, frame = EACH[name]().fit(sound()), sound(80, 1)
    alone = updated(detector, frame)
    detector.start_over()
    first = updated(detector, frame.iloc[:40])
    assert detector.score(frame).to_numpy().tobytes() == alone.tobytes()
    second = updated(detector, frame.iloc[40:])
    assert np.concatenate((first, second)).tobytes() == alone.tobytes()


@pytest.mark.parametrize("name", EACH)
def test_times_that_do_not_increase_are_refused_and_change_nothing(name: str) -> None:
    detector, frame = EACH[name]().fit(sound()), sound(3, 1)
    updated(detector, frame)
    late = Observation(int(frame.index.as_unit("ns").asi8[-1]), frame.to_numpy()[0])
    with pytest.raises(ValueError, match="not after the last one"):
        detector.update(late)
    with pytest.raises(ValueError, match="3 values are expected"):
        detector.update(Observation(late.time_ns + NS, np.zeros(2)))
    with pytest.raises(ValueError, match="row 1 is not after the row before"):
        detector.score(frame.iloc[::-1])
    with pytest.raises(NotFitted, match="call fit"):
        EACH[name]().score(frame)


def test_a_spike_is_beyond_the_gaussian_limit_and_does_not_teach() -> None:
    random = np.random.default_rng(1)
    values = 100 + random.normal(0, 1, (400, 1))
    values[200:260] += 20  # a fault that stays
    frame = frame_of(np.arange(400), values, ["x"])
    found = Gaussian(100, 5.0, blocks=10, least=30, refractory_s=1000).fit(frame).score(frame)["x"]
    assert found[:30].isna().all()
    assert (found[30:200] < 0.5).all()
    assert (found[200:260] > 0.9).all()
    assert (found[260:] < 0.5).all()


def test_a_short_window_scores_with_half_of_its_values() -> None:
    values = 100 + np.random.default_rng(1).normal(0, 1, (60, 1))
    values[5] = values[40] = np.nan
    found = (
        Gaussian(20).fit(frame_of(np.arange(60), values, ["x"])).score(frame_of(np.arange(60), values, ["x"]))
    )
    assert found["x"].iloc[:10].isna().all()
    assert found["x"].iloc[20:40].notna().all()
    assert found["x"].isna().iloc[40]


def test_a_new_level_becomes_normal_after_the_refractory_time() -> None:
    random = np.random.default_rng(1)
    values = 100 + random.normal(0, 1, (600, 1))
    values[200:] += 20
    frame = frame_of(np.arange(600), values, ["x"])
    found = Gaussian(100, 5.0, blocks=10, least=30, refractory_s=50).fit(frame).score(frame)["x"]
    assert (found[200:250] > 0.5).all()
    assert (found[400:] < 0.5).all()


def test_scores_stand_for_multiples_of_the_limit() -> None:
    frame = frame_of(range(5), [[0.0], [1.0], [3.0], [6.0], [6.0]], ["x"])
    scored = Rate(1.0).fit(frame).score(frame)["x"].tolist()
    assert np.isnan(scored[0])
    assert scored[1:] == [0.5, 0.8, 0.9, 0.0]
    scored = Range(-6.0, 6.0).fit(frame).score(frame)["x"].tolist()
    assert scored == [0.0, 1 / 37, 0.2, 0.5, 0.5]


def test_learned_limits_are_beyond_all_of_training() -> None:
    frame = sound()
    for name in ("range", "rate", "flat-line", "missing", "balance", "meter"):
        assert not (EACH[name]().fit(frame).score(frame) > 0.5).any().any(), name


def test_a_value_that_stands_still_is_found_and_a_gap_ends_its_stillness() -> None:
    detector = FlatLine(10.0).fit(frame_of([0], [[1.0]], ["x"]))
    seconds = [*range(20), 100, 101]
    found = detector.score(frame_of(seconds, [[5.0]] * 22, ["x"]))["x"]
    assert found.iloc[10] == 0.5
    assert found.iloc[19] > 0.5
    assert found.iloc[20] == 0.0


def test_where_a_tag_rests_at_night_it_may_rest_longer_than_elsewhere() -> None:
    day = np.concatenate((np.zeros(600), np.arange(1.0, 401.0), np.full(40, 7.5), np.arange(1.0, 161.0)))
    detector = FlatLine().fit(frame_of(np.arange(1_200), day[:, None], ["pv.power_kw"]))
    assert detector.rests_.tolist() == [0.0]
    assert detector.rest_limits_.tolist() == [2 * 599]
    assert detector.limits_.tolist() == [2 * 39]
    stuck = np.concatenate((np.zeros(900), [3.0], np.full(100, 4.0)))
    scores = detector.score(frame_of(np.arange(1_001), stuck[:, None], ["pv.power_kw"])).to_numpy()[:, 0]
    assert scores[:901].max() < 0.5
    assert scores[901 + 78] == 0.5
    assert scores[-1] > 0.5


def test_what_only_ever_rested_is_not_odd_when_it_rests_elsewhere() -> None:
    idle = np.concatenate((np.zeros(595), np.arange(5.0)))
    detector = FlatLine().fit(frame_of(np.arange(600), idle[:, None], ["ev.power_kw"]))
    charging = detector.score(frame_of(np.arange(600), np.full((600, 1), 7.4), ["ev.power_kw"]))
    assert charging.to_numpy().max() < 0.5


def beats(count: int, odd: int | None = None) -> Any:
    """A swing and a dent of 20 rows each, on a level that drifts; one beat without its dent."""
    shape = np.sin(np.arange(20) / 20 * 2 * np.pi) - 0.8 * (np.abs(np.arange(20) - 14) < 2)
    values = np.tile(shape, count) + np.linspace(0, 5, 20 * count)
    if odd is not None:
        values[20 * odd + 12 : 20 * odd + 16] += 0.8
    return values[:, None] + np.random.default_rng(0).normal(0, 0.02, (20 * count, 1))


def test_a_beat_unlike_all_others_is_found_by_its_shape_alone() -> None:
    detector = Shape(20).fit(frame_of(np.arange(1_000), beats(50), ["x"]))
    for seconds in (np.arange(600), 7_200 + np.arange(600)):
        scores = detector.score(frame_of(seconds, beats(30, odd=20), ["x"])).to_numpy()[:, 0]
        assert np.isnan(scores[:19]).all()
        assert not np.isnan(scores[19:]).any()
        assert (np.delete(scores[19:], range(393, 417)) < 0.5).all()
        assert scores[412:416].max() > 0.9
    ranged = Range().fit(frame_of(np.arange(1_000), beats(50), ["x"]))
    assert ranged.score(frame_of(np.arange(600), beats(30, odd=20), ["x"])).to_numpy().max() < 0.5


def test_no_shape_reaches_over_a_gap_or_a_missing_value() -> None:
    seconds = np.arange(200) + 3_600 * (np.arange(200) >= 100)
    values = beats(10)
    values[150] = np.nan
    detector = Shape(20).fit(frame_of(seconds, values, ["x"]))
    assert detector.limits_[0] < 0.2, "two halves of beats that a gap lies between are no beat"
    scores = detector.score(frame_of(seconds, values, ["x"])).to_numpy()[:, 0]
    assert np.flatnonzero(np.isnan(scores)).tolist() == [*range(19), *range(100, 119), *range(150, 170)]


def test_a_gap_is_missing_while_it_lasts_and_where_it_ends() -> None:
    detector = Missing(10.0).fit(frame_of([0], [[1.0]], ["x"]))
    rows = [(0, 1.0), (5, np.nan), (10, np.nan), (30, np.nan), (40, 1.0), (41, 1.0), (100, 1.0)]
    found = detector.score(frame_of([at for at, _ in rows], [[value] for _, value in rows], ["x"]))[
        "x"
    ].tolist()
    assert found[1] == 0.2
    assert found[2] == 0.5
    assert found[3] == 0.9
    assert found[4] == 16 / 17
    assert found[5] < 0.02
    assert found[6] > 0.9


def test_late_times_future_times_and_replays_are_told_by_the_clock() -> None:
    read = 1_780_000_000 + np.arange(6.0)
    source = read - np.array([0.5, 5.0, 0.5, 0.5, -4.0, 20.0])
    source[3] = source[0]
    frame = frame_of(np.arange(6), source[:, None], ["x"])
    found = Clock(5.0, ahead_s=2.0).fit(frame).score(frame)["x"]
    assert found.iloc[0] < 0.02
    assert found.iloc[1] == 1.0  # it lies before the first
    assert found.iloc[2] < 0.02
    assert found.iloc[3] == 1.0
    assert found.iloc[4] == pytest.approx(0.8)
    assert found.iloc[5] == 1.0


def test_pca_tells_far_from_apart() -> None:
    random = np.random.default_rng(2)
    one = random.normal(0, 1, 2_000)
    values = np.column_stack((one, 2 * one, -one)) + random.normal(0, 0.1, (2_000, 3))
    detector = Pca(0.9, alpha=0.01).fit(frame_of(np.arange(2_000), values))
    again = random.normal(0, 1, 5_000)
    sound_rows = np.column_stack((again, 2 * again, -again)) + random.normal(0, 0.1, (5_000, 3))
    shares = (detector.score(frame_of(np.arange(5_000), sound_rows)) > 0.5).mean()
    assert shares["t2"] == pytest.approx(0.01, abs=0.006)
    assert shares["q"] == pytest.approx(0.01, abs=0.006)
    odd = detector.score(frame_of([0, 1], [[9, 18, -9], [1, -2, -1]]))
    assert odd["t2"].iloc[0] > 0.5 > odd["q"].iloc[0]
    assert odd["q"].iloc[1] > 0.5 > odd["t2"].iloc[1]
    assert next(iter(detector.contributions(np.array([1.0, -2.0, -1.0])))) == "a.power_kw"


def test_columns_that_never_moved_are_left_out_of_pca() -> None:
    frame = sound().assign(still=7.0)
    detector = Pca(0.8).fit(frame)
    assert detector.ignored_ == ("still",)
    assert (detector.score(frame.assign(still=9.0)) == detector.score(frame)).all().all()


def test_a_forest_sets_apart_what_is_unlike_the_rest() -> None:
    detector = Forest(50).fit(sound())
    found = detector.score(frame_of([0, 1, 2], [[101.5, 50, 50], [500, 10, 300], [101, np.nan, 50]]))[
        "forest"
    ]
    assert found.iloc[0] < 0.5 < found.iloc[1]
    assert np.isnan(found.iloc[2])


def test_a_meter_that_shows_too_little_breaks_the_balance_and_is_suspected() -> None:
    detector = EnergyBalance(COLUMNS[:1], COLUMNS[1:], window_s=5.0).fit(sound())
    frame = sound(200, 3)
    assert (detector.score(frame)["residual"] < 0.5).mean() > 0.99
    frame["b.power_kw"] *= 0.7
    assert (detector.score(frame)["residual"].iloc[10:] > 0.5).all()
    best = detector.suspects(frame)[0]
    assert best.name == "b.power_kw"
    assert best.shows == pytest.approx(0.7, abs=0.02)


def test_a_tap_before_the_meters_is_found_by_the_feeder() -> None:
    detector = MeterAgainstFeeder(COLUMNS[:1], COLUMNS[1:], window_s=60.0).fit(sound(600))
    frame = sound(600, 3)
    frame.loc[frame.index[300:], "in.power_kw"] += 10.0
    found = detector.score(frame)["residual"]
    assert (found.iloc[:300] < 0.5).all()
    assert (found.iloc[400:] > 0.5).all()


def test_too_little_to_learn_from_is_refused() -> None:
    for name in ("pca", "forest", "balance", "meter"):
        with pytest.raises(TooLittle, match="10 rows without a missing value"):
            EACH[name]().fit(sound(10))
    with pytest.raises(TooLittle, match="10 rows; 12 are needed for a length of 4"):
        EACH["shape"]().fit(sound(10))
    with pytest.raises(KeyError, match=r"in\.power_kw"):
        EnergyBalance(COLUMNS[:1], COLUMNS[1:]).fit(sound()[COLUMNS[1:]])


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Gaussian(10, blocks=20), "a window of 10 rows in 20 blocks"),
        (lambda: Gaussian(100, least=101), "least 101 does not lie between 2 and the window"),
        (lambda: Rate(0.0), "a limit of 0.0 is not more than 0"),
        (lambda: Rate(margin=0.5), "a margin of 0.5"),
        (lambda: Range(5.0, 5.0), "low 5.0 is not below high 5.0"),
        (lambda: Pca(1.0), "variance must lie between 0 and 1"),
        (lambda: FlatLine(tolerance=-1.0), "a tolerance of -1.0 is below 0"),
        (lambda: EnergyBalance(["a"], ["a"]), "nothing is both"),
        (lambda: Shape(1), "a length of 1 rows does not lie between 2 and 1,000"),
        (lambda: Forest(0), "trees 1 or more"),
    ],
)
def test_parameters_out_of_range_are_refused(make: Callable[[], Detector], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make()
