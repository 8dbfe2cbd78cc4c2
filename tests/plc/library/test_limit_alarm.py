"""Limit alarms: deadband, delays, Bad values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Blocks = Callable[[str], Any]
SECOND = 10**9
at_periods = pytest.mark.parametrize("period_s", [0.001, 0.05, 0.25])


@at_periods
def test_alarm_comes_after_its_delay_and_goes_after_its_own(block: Blocks, period_s: float) -> None:
    alarm = block("LIMIT_ALARM")
    alarm.at(0, value=59.0, threshold=60.0, deadband=2.0, on_delay=5 * SECOND, off_delay=SECOND)
    assert not alarm["is_pending"]
    alarm.at(1.0, value=60.0)
    assert alarm["is_pending"]
    came_s = alarm.when("is_active", period_s, 20)
    assert -1e-9 <= came_s - 6.0 < period_s + 1e-9
    alarm.set(value=58.5)  # back, but not by the deadband
    assert alarm.when("is_active", period_s, 12, becomes=False) is None
    alarm.at(alarm.time_s, value=58.0)
    back_s = alarm.time_s
    assert alarm.when("is_active", period_s, 20, becomes=False) == pytest.approx(back_s + 1.0, abs=period_s)


def test_an_excursion_shorter_than_the_delay_is_no_alarm(block: Blocks) -> None:
    alarm = block("LIMIT_ALARM")
    alarm.at(0, value=10.0, threshold=10.0, is_low=True, on_delay=SECOND)
    alarm.run(0.9, 0.1)
    alarm.at(1.0, value=10.1)
    alarm.at(1.1, value=9.0)
    alarm.run(2.0, 0.1)
    assert not alarm["is_active"]
    alarm.run(2.1, 0.1)
    assert alarm["is_active"]


def test_without_delays_it_follows_at_once_and_disabling_clears_it(block: Blocks) -> None:
    alarm = block("LIMIT_ALARM")
    alarm.at(0, value=61.0, threshold=60.0)
    assert alarm["is_active"]
    alarm.at(1, value=59.9)
    assert not alarm["is_active"]
    alarm.at(2, value=61.0)
    alarm.at(3, is_enabled=False)
    assert not alarm["is_active"]


def test_bad_value_holds_the_alarm_and_restarts_a_delay(block: Blocks) -> None:
    alarm = block("LIMIT_ALARM")
    alarm.at(0, value=61.0, threshold=60.0, on_delay=SECOND)
    alarm.at(0.9, is_good=False)
    alarm.at(1.5, is_good=True)
    assert not alarm["is_active"]
    alarm.at(2.5)
    assert alarm["is_active"]
    alarm.at(9, value=0.0, is_good=False)
    assert alarm["is_active"]


def test_four_limits_of_one_value(block: Blocks) -> None:
    alarms = block("LIMIT_ALARMS")
    alarms.set(high_high=98.0, high=95.0, low=15.0, low_low=8.0, deadband=1.0)
    names = ("is_low_low", "is_low", "is_high", "is_high_high")
    seen = {}
    for step, value in enumerate((50.0, 96.0, 99.0, 97.5, 94.5, 94.0, 15.0, 7.0, 8.5, 16.0)):
        alarms.at(step, value=value)
        seen[value] = [name for name in names if alarms[name]]
    assert seen == {
        50.0: [],
        96.0: ["is_high"],
        99.0: ["is_high", "is_high_high"],
        97.5: ["is_high", "is_high_high"],
        94.5: ["is_high"],
        94.0: [],
        15.0: ["is_low"],
        7.0: ["is_low_low", "is_low"],
        8.5: ["is_low_low", "is_low"],
        16.0: [],
    }
