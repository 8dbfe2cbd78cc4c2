"""Sync-check and dead-bus logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Blocks = Callable[[str], Any]
MS = 10**6


@pytest.fixture
def sync(block: Blocks) -> Any:
    sync = block("SYNC_CHECK")
    sync.set(bus_v=400.0, line_v=400.0, bus_hz=60.02, line_hz=60.0, phase_deg=2.0)
    return sync


@pytest.mark.parametrize("period_s", [0.001, 0.02, 0.15])
def test_permit_comes_after_the_dwell_and_goes_at_once(sync: Any, period_s: float) -> None:
    sync.at(0)
    assert sync["is_in_step"]
    permitted_s = sync.when("is_permitted", period_s, 2.0)
    assert -1e-9 <= permitted_s - 0.5 < period_s
    sync.at(3.0, phase_deg=11.0)
    assert not sync["is_permitted"]


@pytest.mark.parametrize(
    ("change", "is_in_step"),
    [
        ({"line_v": 411.9}, True),
        ({"line_v": 412.1}, False),
        ({"line_v": 387.9}, False),
        ({"bus_hz": 60.099}, True),
        ({"bus_hz": 60.101}, False),
        ({"bus_hz": 59.899}, False),
        ({"phase_deg": 9.0}, True),
        ({"phase_deg": -9.9, "bus_hz": 60.0}, True),
        ({"phase_deg": 369.0}, True),
        ({"phase_deg": -357.0}, True),
        ({"phase_deg": 10.1, "bus_hz": 60.0}, False),
        ({"phase_deg": 180.0}, False),
        ({"phase_deg": 9.0, "bus_hz": 60.09}, False),  # 9 + 360 * 0.09 * 0.06 = 10.9 degrees at contact
        ({"phase_deg": -9.0, "bus_hz": 60.09}, True),  # moving towards step
        ({"is_good": False}, False),
        ({"bus_v": 310.0, "line_v": 310.0}, False),  # neither live nor dead
    ],
)
def test_limits_of_voltage_slip_and_phase(sync: Any, change: dict[str, Any], is_in_step: bool) -> None:
    sync.at(0, **change)
    assert sync["is_in_step"] == is_in_step


def test_a_slipping_phase_is_never_in_step_for_the_dwell(sync: Any) -> None:
    # 0.09 Hz is 32.4 degrees a second: 20 degrees are passed in 0.6 s, of which the contact angle takes 1.9 degrees.
    sync.set(bus_hz=60.09, dwell=600 * MS)
    seen = sync.follow(lambda t: {"phase_deg": 360 * 0.09 * t - 180}, 30.0, 0.005, "is_permitted")
    assert not any(seen)
    sync.set(dwell=500 * MS)
    seen = sync.follow(lambda t: {"phase_deg": 360 * 0.09 * t - 180}, 60.0, 0.005, "is_permitted")
    assert any(seen)


def test_slip_and_angles_are_shown(sync: Any) -> None:
    sync.at(0, bus_hz=59.5, line_hz=60.0, phase_deg=-170.0)
    assert sync["slip_hz"] == pytest.approx(-0.5, abs=1e-5)
    assert sync["difference_deg"] == pytest.approx(-170.0)
    assert sync["contact_deg"] == pytest.approx(360 - 170 - 10.8, abs=1e-3)


@pytest.mark.parametrize(
    ("bus_v", "line_v", "allowed"),
    [(5.0, 400.0, "allow_dead_bus"), (400.0, 80.0, "allow_dead_line"), (0.0, 0.0, "allow_both_dead")],
)
def test_a_dead_side_is_energised_only_where_allowed(
    sync: Any, bus_v: float, line_v: float, allowed: str
) -> None:
    everything = {"allow_dead_bus": True, "allow_dead_line": True, "allow_both_dead": True}
    sync.at(0, bus_v=bus_v, line_v=line_v, **(everything | {allowed: False}))
    sync.at(1)
    assert not sync["is_permitted"]
    sync.at(2, **(dict.fromkeys(everything, False) | {allowed: True}))
    sync.at(3)
    assert sync["is_permitted"]
    sync.at(4, is_good=False)
    assert not sync["is_permitted"]


def test_dead_and_live_begin_at_their_thresholds(sync: Any) -> None:
    sync.at(0, bus_v=80.0, line_v=320.0, allow_dead_bus=True)
    sync.at(1)
    assert sync["is_bus_dead"]
    assert sync["is_permitted"]


def test_a_half_dead_side_is_not_dead(sync: Any) -> None:
    sync.set(allow_dead_bus=True, allow_dead_line=True, allow_both_dead=True)
    sync.at(0, bus_v=81.0)
    sync.at(1)
    assert not sync["is_bus_dead"]
    assert not sync["is_permitted"]
