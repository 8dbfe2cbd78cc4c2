"""Costs as measured and of the naive shadow: the same function, the same prices, and nothing gained by cheating."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.config.dispatch import DispatchSettings, PlannedTie, PlannedVehicle
from historian.dispatch import GridTie
from historian.dispatch.axis import Axis
from historian.dispatch_job.binding import Memory, bind
from historian.dispatch_job.foresight import Foreseen
from historian.dispatch_job.kept import Kept, keep, recall
from historian.dispatch_job.shadow import Measured, Shadow

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(minutes=15)


@pytest.fixture
def settings(site: Any) -> DispatchSettings:
    found: DispatchSettings = site.dispatch
    return found


def measured(
    at: datetime,
    powers: Mapping[str, float],
    soc: Mapping[str, float],
    *,
    car: bool = False,
    since: datetime = MIDNIGHT,
) -> Measured:
    here = {"car": since} if car else {}
    return Measured(at, STEP, {"load": 20.0, "sun": 0.0, **powers}, soc, here)


def test_who_does_as_the_rule_does_saves_nothing(settings: DispatchSettings) -> None:
    shadow = Shadow()
    soc = 60.0
    for k in range(8):
        given = 20.0 if soc > 10.1 else 0.0
        day = shadow.account(
            settings,
            measured(MIDNIGHT + k * STEP, {"battery": given, "tie": 20.0 - given}, {"battery": soc}),
            UTC,
        )
        soc -= given * 0.25 / 0.95
    assert day.steps == 8
    assert day.cost == pytest.approx(day.naive_cost)
    assert day.cost == pytest.approx(8 * 20 * 0.25 * (0.02 + 0.15 / 0.95))  # wear, and what it held


def test_who_buys_by_night_and_gives_in_the_evening_saves(settings: DispatchSettings) -> None:
    shadow = Shadow()
    evening = MIDNIGHT.replace(hour=17)
    shadow.account(settings, measured(evening - STEP, {"tie": 20.0}, {"battery": 60.0}), UTC)
    before = shadow.today.saving if shadow.today else 0.0
    assert before < 0  # it paid for what the rule took from its battery
    for k in range(12):
        shadow.account(
            settings,
            measured(evening + k * STEP, {"battery": 20.0, "tie": 0.0}, {"battery": 60.0 - 5.3 * k}),
            UTC,
        )
    assert shadow.today is not None
    assert shadow.today.saving > 0


def test_vehicles_that_leave_empty_are_no_saving(settings: DispatchSettings) -> None:
    shadow = Shadow()
    soc = {"battery": 10.0, "car": 30.0}
    shadow.account(settings, measured(MIDNIGHT, {"tie": 20.0}, soc, car=True), UTC)
    day = shadow.account(settings, measured(MIDNIGHT + STEP, {"tie": 20.0}, {"battery": 10.0}), UTC)
    # The shadow's took 11 kW for 0.2: as much is missing, and charged at the evening's 0.4.
    assert day.saving == pytest.approx(11 * 0.25 * 0.2 - 11 * 0.25 * 0.4)


EVENING = MIDNIGHT.replace(hour=16)


def charged(settings: DispatchSettings, kwh_a_pct: float, steps: range, to_pct: float) -> float:
    """The saving of a day on whose evening a car stays for 24 steps, and takes 8 kW in some of them."""
    shadow = Shadow()
    pct = 40.0
    for k in range(24):
        power = 8.0 if k in steps else 0.0
        soc = {"battery": 10.0, "car": pct}
        at = EVENING + k * STEP
        shadow.account(settings, measured(at, {"tie": 20.0 + power, "car": -power}, soc, car=True), UTC)
        pct += power * 0.25 / kwh_a_pct
    assert pct == pytest.approx(to_pct)
    gone = EVENING + 24 * STEP
    return shadow.account(settings, measured(gone, {"tie": 20.0}, {"battery": 10.0}), UTC).saving


def test_a_vehicle_costs_what_it_took_not_what_the_site_file_takes_it_for(settings: DispatchSettings) -> None:
    # 0.2 kWh a percent, where the file says 50 kWh: 8 kWh for the 40 %, not 21. Both charge at once: at 11 kW, the
    # shadow would have been done sooner; all of it before the evening.
    early = charged(settings, 0.2, range(4), 80.0)
    # 21.05 kWh were charged by the shadow: 11 of them at 0.2 before the evening begins, the rest at 0.4.
    paid = 11.0 * 0.2 + 10.05 * 0.4
    assert early == pytest.approx(paid / 21.05 * 8.0 - 8.0 * 0.2, abs=0.01)


def test_what_a_vehicle_takes_beyond_its_need_is_worth_the_lowest_price(settings: DispatchSettings) -> None:
    enough = charged(settings, 0.2, range(4), 80.0)
    more = charged(settings, 0.2, range(6), 100.0)
    assert more == pytest.approx(
        enough - 4.0 * 0.4 + 4.0 * 0.2, abs=0.02
    )  # the last two steps were the evening's


def test_a_vehicle_that_follows_another_at_once_is_charged_by_the_rule_too(
    settings: DispatchSettings,
) -> None:
    shadow = Shadow()
    for k in range(12):  # the first takes all it needs
        soc = {"battery": 10.0, "car": min(76.0 + 5.2 * k, 80.0)}
        shadow.account(settings, measured(MIDNIGHT + k * STEP, {"tie": 20.0}, soc, car=True), UTC)
    day = shadow.today
    assert day is not None
    before = day.naive_cost
    second = MIDNIGHT + 12 * STEP
    shadow.account(
        settings, measured(second, {"tie": 20.0}, {"battery": 10.0, "car": 20.0}, car=True, since=second), UTC
    )
    # A step of 20 kW for the load and 11 kW for the car; and what the first was charged for and did not take.
    first_kwh = 50 * 0.04 / 0.95
    assert day.naive_cost - before == pytest.approx((20 + 11) * 0.25 * 0.2, abs=first_kwh * 0.2)
    assert shadow.stays["car"].since == second
    assert shadow.energy_kwh["car"] == pytest.approx(50 * 0.2 + 11 * 0.25 * 0.95)


def test_a_charge_that_falls_between_two_looks_is_another_vehicles(settings: DispatchSettings) -> None:
    car = next(asset for asset in settings.assets if isinstance(asset, PlannedVehicle))
    values: dict[int, float | None] = {car.connected: 1.0, car.state_of_charge: 78.0}
    memory = Memory()
    memory.look(settings, values.get, MIDNIGHT)
    second = timedelta(seconds=1)
    for pct, since in ((77.0, 0), (78.0, 0), (31.0, 3), (33.0, 3)):
        values[car.state_of_charge] = pct
        memory.look(settings, values.get, MIDNIGHT + {77.0: 1, 78.0: 2, 31.0: 3, 33.0: 4}[pct] * second)
        assert memory.plugged["car"] == MIDNIGHT + since * second
    values[car.state_of_charge] = None  # nobody hears it for four hours, in which it may have given back
    memory.look(settings, values.get, MIDNIGHT + timedelta(hours=2))
    values[car.state_of_charge] = 20.0
    memory.look(settings, values.get, MIDNIGHT + timedelta(hours=4))
    assert memory.plugged["car"] == MIDNIGHT + 3 * second


def test_a_day_ends_at_midnight_and_its_costs_stay(settings: DispatchSettings) -> None:
    shadow = Shadow()
    last = shadow.account(settings, measured(MIDNIGHT - STEP, {"tie": 20.0}, {"battery": 10.0}), UTC)
    first = shadow.account(settings, measured(MIDNIGHT, {"tie": 30.0}, {"battery": 10.0}), UTC)
    assert (shadow.yesterday, shadow.today) == (last, first)
    assert last.cost == pytest.approx(20 * 0.25 * 0.2)
    assert (last.peak_kw, first.peak_kw) == (20.0, 30.0)


def test_what_is_kept_comes_back_as_it_was(settings: DispatchSettings, tmp_path: Path) -> None:
    kept = Kept(sequence=7)
    kept.memory.plugged["car"] = MIDNIGHT
    kept.memory.running["genset"] = True, MIDNIGHT
    kept.shadow.account(
        settings, measured(MIDNIGHT, {"tie": 20.0}, {"battery": 50.0, "car": 30.0}, car=True), UTC
    )
    path = tmp_path / "dispatch.json"
    keep(path, kept)
    back = recall(path)
    assert (back.sequence, back.memory, back.shadow) == (7, kept.memory, kept.shadow)


def test_an_island_costs_neither_and_the_shadow_carries_it_too(settings: DispatchSettings) -> None:
    shadow = Shadow()
    shadow.account(settings, measured(MIDNIGHT, {"battery": 0.0, "tie": 20.0}, {"battery": 60.0}), UTC)
    before = shadow.energy_kwh["battery"]
    day = shadow.today
    assert day is not None
    costs = day.cost, day.naive_cost
    alone = measured(MIDNIGHT + STEP, {"battery": 20.0, "tie": 0.0}, {"battery": 60.0})
    shadow.account(settings, replace(alone, is_island=True), UTC)
    assert (day.cost, day.naive_cost) == costs
    assert shadow.energy_kwh["battery"] == pytest.approx(before - 20 * 0.25 / 0.95)


def test_import_is_planned_below_its_limit_by_the_margin(settings: DispatchSettings) -> None:
    assets = tuple(
        replace(asset, import_margin_kw=4.0) if isinstance(asset, PlannedTie) else asset
        for asset in settings.assets
    )
    values: dict[int, float | None] = dict.fromkeys(settings.inputs, 10.0)
    tie = next(asset for asset in settings.assets if isinstance(asset, PlannedTie))
    assert tie.import_limit is not None
    values[tie.import_limit] = 30.0
    axis = Axis(MIDNIGHT, STEP, 4)
    flat = {name: Foreseen(np.full(4, 5.0), "", None) for name in ("load", "sun")}
    bound = bind(replace(settings, assets=assets), values.get, Memory(), flat, axis, UTC)
    planned = bound.site.by_name["tie"]
    assert isinstance(planned, GridTie)
    assert np.asarray(planned.import_max_kw).tolist() == [26.0] * 4
    assert bound.without == ("battery: its state of charge is not known",)
