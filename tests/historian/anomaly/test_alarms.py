"""Hold-off, clearing, and the time in which an alarm is not raised again."""

from __future__ import annotations

import numpy as np
import pytest

from historian.anomaly import Alarms, AlarmSettings

NS = 10**9
LOW, HIGH, NONE = 0.1, 0.9, float("nan")


def stands(settings: AlarmSettings, scores: list[float]) -> list[int]:
    alarms = Alarms(1, settings)
    return [int(alarms.push(at * NS, np.array([score]))[0]) for at, score in enumerate(scores)]


def test_a_score_above_the_threshold_raises_and_one_at_it_does_not() -> None:
    assert stands(AlarmSettings(), [LOW, 0.5, 0.51, LOW]) == [0, 0, 1, 0]


def test_a_single_odd_value_does_not_outlast_the_hold_off() -> None:
    settings = AlarmSettings(hold_off_s=2, clear_s=2)
    assert stands(settings, [HIGH, LOW, HIGH, HIGH, HIGH, LOW, HIGH, LOW, LOW, LOW]) == [
        *(0, 0, 0, 0, 1, 1, 1, 1, 1, 0)
    ]


def test_within_the_refractory_time_it_is_not_raised_again() -> None:
    assert stands(AlarmSettings(refractory_s=3), [HIGH, LOW, HIGH, HIGH, HIGH, LOW]) == [1, 0, 0, 0, 1, 0]


def test_a_missing_score_neither_raises_nor_clears() -> None:
    assert stands(AlarmSettings(hold_off_s=1), [HIGH, NONE, HIGH, NONE, NONE, LOW]) == [0, 0, 1, 1, 1, 0]
    assert stands(AlarmSettings(), [NONE, LOW]) == [0, 0]


def test_each_score_has_its_own_alarm() -> None:
    alarms = Alarms(3, AlarmSettings(hold_off_s=1))
    alarms.push(0, np.array([HIGH, LOW, HIGH]))
    assert alarms.push(NS, np.array([HIGH, HIGH, LOW])).tolist() == [True, False, False]


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="a threshold of 1"):
        AlarmSettings(1.0)
    with pytest.raises(ValueError, match="0 or more"):
        AlarmSettings(hold_off_s=-1)
