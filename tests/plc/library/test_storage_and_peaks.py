"""Peak limit, state-of-charge limits and the charge point."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

Blocks = Callable[[str], Any]
SECOND = 10**9
HOUR = 3600 * SECOND


# ── PEAK_LIMIT ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_without_an_interval_the_limit_holds_at_every_moment(block: Blocks) -> None:
    peak = block("PEAK_LIMIT")
    peak.set(limit_kw=250.0, ceiling_kw=400.0, max_support_kw=100.0, interval_time=0)
    peak.at(0, import_kw=240.0)
    assert peak["request_kw"] == 0.0
    peak.at(1, import_kw=300.0)
    assert (peak["request_kw"], peak["is_short"]) == (50.0, False)
    peak.at(2, import_kw=250.0, support_kw=50.0)  # the support has come: the request stays
    assert peak["request_kw"] == 50.0
    peak.at(3, import_kw=380.0, support_kw=0.0)
    assert (peak["request_kw"], peak["is_short"]) == (100.0, True)
    peak.at(4, import_kw=0.0, is_good=False)
    assert peak["request_kw"] == 100.0
    peak.at(5, import_kw=200.0, support_kw=30.0, is_good=True)
    assert peak["request_kw"] == 0.0


@pytest.mark.parametrize("period_s", [0.1, 1.0, 6.0])
def test_the_mean_of_each_interval_stays_at_the_limit(block: Blocks, period_s: float) -> None:
    peak = block("PEAK_LIMIT")
    peak.at(0, limit_kw=250.0, ceiling_kw=400.0, max_support_kw=200.0, import_kw=200.0)
    drawn, means, period_us = 0.0, [], round(period_s * 1e6)
    import_kw, length_us = 200.0, 900_000_000
    for time_us in range(period_us, 2 * length_us + 1, period_us):
        drawn += import_kw * period_s
        if time_us % length_us < period_us:
            over = import_kw * (time_us % length_us) / 1e6
            means.append((drawn - over) / 900)
            drawn = over
        load_kw = 200.0 if (time_us % length_us) < length_us / 2 else 350.0
        peak.at(time_us / 1e6, import_kw=import_kw, support_kw=load_kw - import_kw)
        import_kw = load_kw - peak["request_kw"]
    # 7.5 min at 200 leave 300 for the rest. In the last minute the 3000 kWs still to be drawn fall as exp(-t / 60 s),
    # so 3000 / e of them stay undrawn. The block sees each import one scan late.
    assert means == [pytest.approx(250 - 3000 / math.e / 900, abs=0.02 + 0.15 * period_s)] * 2


def test_what_may_be_drawn_follows_the_mean_so_far(block: Blocks) -> None:
    peak = block("PEAK_LIMIT")
    peak.at(0, limit_kw=100.0, ceiling_kw=180.0, max_support_kw=100.0, import_kw=70.0)
    peak.at(450.0)
    assert peak["mean_kw"] == pytest.approx(70.0)
    assert peak["allowed_kw"] == pytest.approx(130.0)
    peak.at(840.0)
    assert peak["allowed_kw"] == 180.0  # 100 + 30 * 840 / 60 = 520, above what the connection bears
    peak.at(841.0, new_interval=True)
    assert peak["allowed_kw"] == 100.0
    assert peak["mean_kw"] == 70.0


def test_an_interval_ends_by_its_own_clock_and_a_scan_over_its_end_is_shared(block: Blocks) -> None:
    peak = block("PEAK_LIMIT")
    peak.at(0, limit_kw=100.0, ceiling_kw=1000.0, import_kw=70.0)
    peak.at(890.0, import_kw=160.0)
    peak.at(910.0)
    assert peak["mean_kw"] == pytest.approx(160.0)
    assert peak["allowed_kw"] == pytest.approx(100 + (100 - 160) * 10 / 890, rel=1e-5)


# ── SOC_LIMIT ────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("soc_pct", "charge_kw", "discharge_kw"),
    [
        (50.0, 80.0, 100.0),
        (90.0, 80.0, 100.0),
        (92.5, 40.0, 100.0),
        (95.0, 0.0, 100.0),
        (99.0, 0.0, 100.0),
        (15.0, 80.0, 100.0),
        (11.0, 80.0, 20.0),
        (10.0, 80.0, 0.0),
        (3.0, 80.0, 0.0),
    ],
)
def test_limits_taper_to_zero_at_both_ends(
    block: Blocks, soc_pct: float, charge_kw: float, discharge_kw: float
) -> None:
    limits = block("SOC_LIMIT")
    limits.at(0, soc_pct=soc_pct, rated_charge_kw=80.0, rated_discharge_kw=100.0, wanted_kw=-500.0)
    assert limits["charge_limit_kw"] == pytest.approx(charge_kw)
    assert limits["discharge_limit_kw"] == pytest.approx(discharge_kw)
    assert limits["power_kw"] == pytest.approx(-charge_kw)
    assert limits["is_limited"]
    limits.at(1, wanted_kw=500.0)
    assert limits["power_kw"] == pytest.approx(discharge_kw)


def test_a_bad_state_of_charge_is_borne_for_a_while_and_then_stops_both(block: Blocks) -> None:
    limits = block("SOC_LIMIT")
    limits.at(0, soc_pct=50.0, rated_charge_kw=80.0, rated_discharge_kw=100.0, wanted_kw=60.0)
    assert (limits["power_kw"], limits["is_limited"]) == (60.0, False)
    limits.at(1.0, is_good=False, soc_pct=0.0)
    limits.at(30.9)
    assert limits["power_kw"] == 60.0
    limits.at(31.0)
    assert (limits["power_kw"], limits["charge_limit_kw"], limits["is_limited"]) == (0.0, 0.0, True)
    limits.at(32.0, is_good=True, soc_pct=50.0)
    assert limits["power_kw"] == 60.0


def test_without_taper_the_limits_are_steps(block: Blocks) -> None:
    limits = block("SOC_LIMIT")
    limits.at(0, soc_pct=10.1, taper_pct=0.0, rated_discharge_kw=100.0)
    assert limits["discharge_limit_kw"] == 100.0
    limits.at(1, soc_pct=10.0)
    assert limits["discharge_limit_kw"] == 0.0


# ── EV_CHARGE_POINT ──────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def charger(block: Blocks) -> Any:
    charger = block("EV_CHARGE_POINT")
    # 60 kWh from 58 to 80 % by 22 kW without losses: 13.2 kWh in 36 minutes.
    charger.set(is_connected=True, soc_pct=58.0, efficiency_pct=100.0, time_left=10 * HOUR)
    return charger


@pytest.mark.parametrize(
    ("share_kw", "setpoint_kw"),
    [(0.0, 0.0), (-7.0, -7.0), (15.0, 15.0), (-50.0, -22.0), (50.0, 22.0), (1.0, 0.0)],
)
def test_with_time_to_spare_it_follows_its_share_within_the_connector(
    charger: Any, share_kw: float, setpoint_kw: float
) -> None:
    charger.at(0, share_kw=share_kw)
    assert charger["need_kwh"] == pytest.approx(13.2)
    assert charger["power_setpoint_kw"] == setpoint_kw


@pytest.mark.parametrize(
    ("minutes_left", "setpoint_kw", "is_urgent"),
    [
        (88.0, 22.0, False),  # gives while twice the 36 minutes and the reserve of 15 are left
        (86.0, 0.0, False),
        (52.0, 0.0, False),
        (50.0, -22.0, True),
        (0.0, -22.0, True),
    ],
)
def test_it_is_ready_at_departure_whatever_dispatch_wants(
    charger: Any, minutes_left: float, setpoint_kw: float, is_urgent: bool
) -> None:
    charger.at(0, share_kw=22.0, time_left=round(minutes_left * 60 * SECOND))
    assert (charger["power_setpoint_kw"], charger["is_urgent"]) == (setpoint_kw, is_urgent)


def test_a_vehicle_asked_to_give_until_the_last_still_leaves_full(charger: Any) -> None:
    soc_pct, step_s, start_s = 70.0, 20, 4 * 3600
    charger.set(share_kw=22.0, keep_pct=20.0, target_pct=85.0)
    least = soc_pct
    for time_s in range(0, start_s, step_s):
        charger.at(time_s, soc_pct=soc_pct, time_left=(start_s - time_s) * SECOND)
        soc_pct -= charger["power_setpoint_kw"] * step_s / 3600 / 60 * 100
        least = min(least, soc_pct)
    assert least < 40.0  # it did give
    assert soc_pct >= 84.9


def test_losses_are_part_of_the_need(charger: Any) -> None:
    charger.at(0, efficiency_pct=88.0)
    assert charger["need_kwh"] == pytest.approx(15.0)
    charger.at(1, efficiency_pct=0.0)
    assert charger["need_kwh"] == pytest.approx(13.2)


def test_vehicles_of_the_emergency_services_charge_first_and_never_give(charger: Any) -> None:
    charger.at(0, is_reserved=True, share_kw=22.0)
    assert charger["power_setpoint_kw"] == -22.0
    charger.at(1, soc_pct=80.0)
    assert (charger["power_setpoint_kw"], charger["can_give_kw"]) == (0.0, 0.0)


def test_an_island_without_power_charges_nothing(charger: Any) -> None:
    charger.at(0, may_charge=False, time_left=0, share_kw=-22.0)
    assert (charger["power_setpoint_kw"], charger["is_urgent"]) == (0.0, True)
    charger.at(1, time_left=10 * HOUR, share_kw=10.0)
    assert charger["power_setpoint_kw"] == 10.0


@pytest.mark.parametrize(
    ("soc_pct", "can_give_kw", "can_take_kw"),
    [(30.0, 0.0, 22.0), (31.5, 11.0, 22.0), (98.5, 22.0, 11.0), (100.0, 22.0, 0.0)],
)
def test_powers_taper_at_the_ends(
    charger: Any, soc_pct: float, can_give_kw: float, can_take_kw: float
) -> None:
    charger.at(0, soc_pct=soc_pct)
    assert charger["can_give_kw"] == pytest.approx(can_give_kw)
    assert charger["can_take_kw"] == pytest.approx(can_take_kw)


def test_a_bad_state_of_charge_gives_nothing_and_charges_by_the_share(charger: Any) -> None:
    charger.at(0, is_good=False, soc_pct=0.0, share_kw=22.0)
    assert (charger["power_setpoint_kw"], charger["is_urgent"]) == (0.0, False)
    charger.at(1, share_kw=-11.0)
    assert charger["power_setpoint_kw"] == -11.0


def test_a_free_connector_gives_and_takes_nothing(charger: Any) -> None:
    charger.at(0, is_connected=False, share_kw=-22.0, time_left=0)
    assert (charger["power_setpoint_kw"], charger["need_kwh"], charger["can_take_kw"]) == (0.0, 0.0, 0.0)
