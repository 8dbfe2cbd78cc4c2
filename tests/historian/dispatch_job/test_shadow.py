"""Costs as measured and of the naive shadow: the same function, the same prices, and nothing gained by cheating."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import historian.dispatch_job.shadow as shadow_module
from gateway.config.dispatch import DispatchSettings, PlannedGenset, PlannedTie, PlannedVehicle
from historian.dispatch import GridTie
from historian.dispatch.axis import Axis
from historian.dispatch_job.binding import Memory, bind
from historian.dispatch_job.foresight import Foreseen
from historian.dispatch_job.kept import Kept, keep, recall
from historian.dispatch_job.measured import Measured
from historian.dispatch_job.shadow import Shadow
from historian.dispatch_job.windows import Window

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(minutes=15)


@pytest.fixture
def settings(site: Any) -> DispatchSettings:
    found: DispatchSettings = site.dispatch
    return found


def measured(
    at: datetime,
    powers: Mapping[str, float],
    soc_pct: float = 10.0,
    *,
    end_pct: float | None = None,
    car: datetime | None = None,
    is_island: bool = False,
) -> Measured:
    """``soc`` of the battery, all through the step where ``end_pct`` does not say otherwise; ``car``: since when."""
    told = {"load": 20.0, "sun": 0.0, **powers}
    told.setdefault("tie", told["load"] - told.get("battery", 0.0) - told.get("car", 0.0))
    here = {} if car is None else {"car": car}
    end = soc_pct if end_pct is None else end_pct
    return Measured(at, STEP, told, {"battery": soc_pct}, {"battery": end}, here, is_island)


def asset_changed(settings: DispatchSettings, name: str, **changes: float) -> DispatchSettings:
    assets = tuple(
        replace(asset, **changes) if asset.name == name else asset  # type: ignore[arg-type]  # a test's own names
        for asset in settings.assets
    )
    return replace(settings, assets=assets)


def test_who_does_as_the_rule_does_saves_nothing(settings: DispatchSettings) -> None:
    shadow = Shadow()
    soc = 60.0
    for k in range(8):
        given = 20.0 if soc > 10.1 else 0.0
        day = shadow.account(
            settings,
            measured(MIDNIGHT + k * STEP, {"battery": given}, soc, end_pct=soc - given * 0.25 / 0.95),
            UTC,
        )
        soc -= given * 0.25 / 0.95
    assert day.steps == 8
    assert day.cost == pytest.approx(day.naive_cost)
    assert day.cost == pytest.approx(8 * 20 * 0.25 * (0.02 + 0.15 / 0.95))  # wear, and what it held


def test_who_buys_by_night_and_gives_in_the_evening_saves(settings: DispatchSettings) -> None:
    shadow = Shadow()
    evening = MIDNIGHT.replace(hour=17)
    shadow.account(settings, measured(evening - STEP, {}, 60.0), UTC)
    before = shadow.today.saving if shadow.today else 0.0
    assert before < 0  # it paid for what the rule took from its battery
    for k in range(12):
        shadow.account(
            settings,
            measured(evening + k * STEP, {"battery": 20.0}, 60.0 - 4 * k, end_pct=56.0 - 4 * k),
            UTC,
        )
    assert shadow.today is not None
    # The rule gave 47.5 kWh of the 50 above its least, 5 of them before the evening; the plan 60, for 48 of charge.
    rule = 47.5 * 0.02 + (5 * 0.2 + 60 * 0.4) - 5 * 0.2 - 42.5 * 0.4 + 50 * 0.15
    assert shadow.today.saving == pytest.approx(rule - (5 * 0.2 + 60 * 0.02 + 48 * 0.15))


def stay(
    settings: DispatchSettings, came: datetime, kwh: float, steps: range, shadow: Shadow | None = None
) -> Shadow:
    """A car takes ``kwh`` in some steps of a stay of 24."""
    shadow = shadow or Shadow()
    for k in range(24):
        power = kwh * 4 / len(steps) if k in steps else 0.0
        shadow.account(settings, measured(came + k * STEP, {"car": -power}, car=came), UTC)
    return shadow


EVENING = MIDNIGHT.replace(hour=17)


def test_a_vehicle_takes_by_rule_what_the_real_one_took_but_at_once(settings: DispatchSettings) -> None:
    # 8 kWh, though the site file takes it for one of 50 kWh; after the evening's 0.4 they cost 0.2.
    day = stay(settings, EVENING, 8.0, range(16, 20)).today
    assert day is not None
    assert day.saving == pytest.approx(8 * (0.4 - 0.2))
    assert (day.peak_kw, day.naive_peak_kw) == (28.0, 31.0)


def test_a_small_vehicle_makes_no_peak_that_it_could_not_make(settings: DispatchSettings) -> None:
    charged = asset_changed(settings, "tie", demand_charge_per_kw=3.0)
    # 1 kWh is 4 kW for a step: by the capacity of the site file, the rule would have drawn 11 kW for two hours.
    day = stay(charged, EVENING, 1.0, range(16, 17)).today
    assert day is not None
    assert day.naive_peak_kw == pytest.approx(24.0)
    assert day.saving == pytest.approx(1 * (0.4 - 0.2))


def test_who_charges_at_once_saves_nothing_whatever_the_vehicle(settings: DispatchSettings) -> None:
    for kwh, steps in ((5.5, range(2)), (11.0, range(4)), (1.0, range(1))):
        day = stay(settings, EVENING, kwh, steps).today
        assert day is not None
        assert day.saving == pytest.approx(0.0, abs=1e-9)


def test_a_vehicle_that_leaves_empty_is_no_saving_and_no_loss(settings: DispatchSettings) -> None:
    day = stay(settings, EVENING, 0.0, range(1)).today
    assert day is not None
    assert day.saving == pytest.approx(0.0, abs=1e-9)


def test_what_is_charged_after_midnight_is_booked_then_at_the_price_of_when_it_came(
    settings: DispatchSettings,
) -> None:
    came = MIDNIGHT.replace(hour=20)
    shadow = stay(settings, came, 2.0, range(18, 20))
    assert shadow.yesterday is not None
    assert shadow.today is not None
    assert shadow.yesterday.saving == pytest.approx(0.0, abs=1e-9)
    assert shadow.today.naive_cost == pytest.approx(8 * 20 * 0.25 * 0.2 + 2.0 * 0.4)
    assert shadow.today.saving == pytest.approx(2.0 * (0.4 - 0.2))


def test_a_vehicle_that_follows_another_at_once_is_charged_from_when_it_came(
    settings: DispatchSettings,
) -> None:
    shadow = stay(settings, MIDNIGHT.replace(hour=11), 2.0, range(1))
    shadow = stay(settings, EVENING, 2.0, range(18, 20), shadow)
    assert shadow.today is not None
    assert shadow.today.saving == pytest.approx(2.0 * (0.4 - 0.2))


def test_of_a_long_stay_energy_is_moved_within_the_last_steps_only_and_never_twice(
    settings: DispatchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_module, "MOST_STEPS", 8)
    shadow = stay(settings, EVENING, 2.0, range(16, 18))
    assert len(shadow.steps) == 8
    assert shadow.today is not None
    assert shadow.today.saving == pytest.approx(2.0 * (0.4 - 0.2))
    monkeypatch.setattr(shadow_module, "MOST_STEPS", 4)
    late = stay(settings, EVENING, 2.0, range(23, 24)).today
    assert late is not None
    assert late.saving == pytest.approx(0.0, abs=1e-9)  # the evening is over for longer than that


def test_what_a_vehicle_gave_is_to_be_charged_again(settings: DispatchSettings) -> None:
    gives = asset_changed(settings, "car", discharge_max_kw=10.0, wear_cost_per_kwh=0.05)
    shadow = Shadow()
    for k, power in enumerate((10.0, 10.0, *[0.0] * 14, -10.0, -10.0, -10.0)):
        shadow.account(gives, measured(EVENING + k * STEP, {"car": power}, car=EVENING), UTC)
    assert shadow.today is not None
    # 5 kWh given in the evening take 5 / 0.95^2 to be charged again; only what is above that the rule charged too.
    above = 7.5 - 5 / 0.95**2
    assert shadow.today.saving == pytest.approx(5 * (0.4 - 0.05) - 7.5 * 0.2 + above * 0.4)


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
    last = shadow.account(settings, measured(MIDNIGHT - STEP, {}), UTC)
    first = shadow.account(settings, measured(MIDNIGHT, {"load": 30.0}), UTC)
    assert (shadow.yesterday, shadow.today) == (last, first)
    assert last.cost == pytest.approx(20 * 0.25 * 0.2)
    assert (last.peak_kw, first.peak_kw) == (20.0, 30.0)


def test_what_is_kept_comes_back_as_it_was(settings: DispatchSettings, tmp_path: Path) -> None:
    kept = Kept(sequence=7)
    kept.memory.plugged["car"] = MIDNIGHT
    kept.memory.running["genset"] = True, MIDNIGHT
    told = measured(MIDNIGHT, {"car": -3.0}, 50.0, end_pct=49.0, car=MIDNIGHT)
    window = Window(MIDNIGHT, MIDNIGHT + 4 * STEP, 8.0, 1.0)
    kept.shadow.account(settings, replace(told, windows={"pump": window}), UTC)
    assert kept.shadow.steps  # the car is still there
    path = tmp_path / "dispatch.json"
    keep(path, kept)
    back = recall(path)
    assert (back.sequence, back.memory, back.shadow) == (7, kept.memory, kept.shadow)


def test_an_island_costs_both_alike_and_both_batteries_carry_it(settings: DispatchSettings) -> None:
    shadow = Shadow()
    shadow.account(settings, measured(MIDNIGHT, {}, 60.0), UTC)
    assert shadow.today is not None
    saving, cost = shadow.today.saving, shadow.today.cost
    given_kwh = 5.0 / 0.95
    shadow.account(
        settings,
        measured(MIDNIGHT + STEP, {"battery": 20.0}, 60.0, end_pct=60.0 - given_kwh, is_island=True),
        UTC,
    )
    assert shadow.today.saving == pytest.approx(saving)
    assert shadow.today.cost - cost == pytest.approx(5 * 0.02 + given_kwh * 0.15)
    assert shadow.rule.energy_kwh["battery"] == pytest.approx(60.0 - 2 * given_kwh)


def test_what_a_battery_gave_in_an_island_both_buy_back(settings: DispatchSettings) -> None:
    shadow = Shadow()
    shadow.account(settings, measured(MIDNIGHT, {}, 10.0), UTC)  # at its least: the rule can give nothing
    lost = measured(MIDNIGHT + STEP, {"battery": 20.0}, 10.0, end_pct=10.0 - 5 / 0.95, is_island=True)
    shadow.account(settings, lost, UTC)
    assert shadow.rule.energy_kwh["battery"] == pytest.approx(10.0 - 5 / 0.95)
    at, soc = MIDNIGHT + 2 * STEP, 10.0 - 5 / 0.95
    for _ in range(4):  # where the day's peak of 20 kW has room for 8; the plant waits
        shadow.account(settings, measured(at, {"load": 12.0}, soc), UTC)
        at += STEP
    assert shadow.today is not None
    assert shadow.today.naive_peak_kw == 20.0
    bought = 5 / 0.95**2
    assert shadow.rule.energy_kwh["battery"] == pytest.approx(10.0)
    assert shadow.today.saving == pytest.approx(bought * 0.2 - 5 / 0.95 * 0.15)
    for _ in range(4):  # and now buys too
        power = bought
        shadow.account(
            settings, measured(at, {"battery": -power}, soc, end_pct=soc + power * 0.25 * 0.95), UTC
        )
        soc += power * 0.25 * 0.95
        at += STEP
    assert soc == pytest.approx(10.0)
    assert shadow.today.saving == pytest.approx(0.0, abs=1e-9)


def test_energy_left_at_midnight_is_worth_what_the_site_says_and_comes_back_when_it_is_used(
    settings: DispatchSettings,
) -> None:
    shadow = Shadow()
    bought = measured(MIDNIGHT - STEP, {"battery": -40.0}, 10.0, end_pct=10.0 + 40 * 0.25 * 0.95)
    first = shadow.account(settings, bought, UTC)
    assert first.saving == pytest.approx(-10 * 0.2 + 9.5 * 0.15)
    given = measured(MIDNIGHT, {"battery": 20.0}, 19.5, end_pct=19.5 - 5 / 0.95)
    second = shadow.account(settings, given, UTC)
    assert second.saving == pytest.approx(5 * 0.2 - 5 * 0.02 - 5 / 0.95 * 0.15)


def test_losses_that_no_meter_tells_cost_both(settings: DispatchSettings) -> None:
    day = Shadow().account(settings, measured(MIDNIGHT, {"tie": 23.0}), UTC)
    assert day.naive_cost == pytest.approx(23 * 0.25 * 0.2)
    assert day.saving == pytest.approx(0.0, abs=1e-9)


def test_a_genset_that_the_plan_starts_costs_its_start(settings: DispatchSettings) -> None:
    engine = PlannedGenset("engine", None, 90, 91, 10.0, 50.0, 0.5, 1.0, 4.0, 0.0, 0.0)
    with_engine = replace(settings, assets=(*settings.assets, engine))
    shadow = Shadow()
    for k, power in enumerate((0.0, 20.0, 20.0)):
        told = measured(MIDNIGHT + k * STEP, {"engine": power, "tie": 20.0 - power})
        shadow.account(with_engine, told, UTC)
    assert shadow.today is not None
    assert shadow.today.cost == pytest.approx(5 * 0.2 + 4.0 + 2 * 0.25 * (20 * 0.5 + 1.0))
    assert shadow.today.naive_cost == pytest.approx(15 * 0.2)


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
