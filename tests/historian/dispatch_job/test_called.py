"""Events of demand response in plans: the tie takes no more while one lasts, and the plan prepares for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.config.load import load_site
from gateway.config.plant_time import PlantTime
from historian.demand_response_job.store import Call, Calls
from historian.dispatch.axis import Axis
from historian.dispatch.planning import solve
from historian.dispatch_job.called import called
from historian.dispatch_job.dispatcher import Dispatcher
from historian.dispatch_job.foresight import NoForecasts
from historian.dispatch_job.kept import Kept

S = 10**9
NOON = datetime(2026, 6, 25, 12, tzinfo=UTC)
NOON_NS = round(NOON.timestamp()) * S
SITE = """\
site: {name: plant}
areas: {grid: All}
devices:
  d:
    area: grid
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100}}
    points:
      load_kw: {table: input, address: 0, type: float64, unit: kW}
      battery_kw: {table: input, address: 4, type: float64, unit: kW}
      soc_pct: {table: input, address: 8, type: float64, unit: "%"}
      tie_kw: {table: input, address: 12, type: float64, unit: kW}
dispatch:
  area: grid
  horizon_h: 6
  tariffs: {buy: {price_per_kwh: 0.2}, sell: {price_per_kwh: 0.05}}
  assets:
    tie: {kind: tie, power: d.tie_kw, import_max_kw: 100, export_max_kw: 100, import_tariff: buy, export_tariff: sell}
    battery: {kind: battery, power: d.battery_kw, state_of_charge: d.soc_pct, capacity_kwh: 100, charge_max_kw: 50,
              discharge_max_kw: 50, soc_min_pct: 10, wear_cost_per_kwh: 0.02, end_value_per_kwh: 0.1}
    load: {kind: load, power: d.load_kw}
demand_response:
  area: grid
  participants: {load: {power: d.load_kw, committed_kw: 10}}
  programmes: {peak: {participants: [load], import_max_kw: 5}}
"""


class Plans:
    """The part's dispatcher over values that stand, and the calls that it reads."""

    def __init__(self, folder: Path) -> None:
        (folder / "site.yaml").write_text(SITE)
        self.site = load_site(folder / "site.yaml")
        self.path = folder / "demand_response.sqlite"

    def call(self, name: str, start_h: float, hours: float) -> None:
        settings = self.site.demand_response
        assert settings is not None
        at = NOON_NS + round(start_h * 3_600) * S
        with Calls.to_write(self.path) as calls:
            calls.add(
                Call(name, "peak", at, at + round(hours * 3_600) * S, 1, NOON_NS, "ada"),
                settings.programmes[0],
            )

    def solved(self) -> Any:
        site = self.site
        assert site.dispatch is not None
        values = {"d.load_kw": 20.0, "d.battery_kw": 0.0, "d.soc_pct": 10.0, "d.tie_kw": 20.0}
        names = {tag: site.tags[tag].name for tag in site.dispatch.inputs}

        def means(tags: Any, start: datetime, step: timedelta, count: int) -> Any:
            return {tag: np.full(count, values[tag]) for tag in tags}

        def begin(_: Any) -> Any:
            raise AssertionError("nobody asked for a solver")

        events = called(site.dispatch, site.demand_response, self.path, PlantTime())
        dispatcher = Dispatcher(site.dispatch, names, UTC, Kept(), means, NoForecasts(), begin, events=events)
        dispatcher.kept.memory.look(site.dispatch, lambda tag: values[names[tag]], NOON)
        job = dispatcher.job(lambda tag: values[names[tag]], NOON)
        assert not isinstance(job, str), job
        return solve(job.site, job.start, job.step, job.horizon)


@pytest.fixture
def plans(tmp_path: Path) -> Plans:
    return Plans(tmp_path)


def test_a_plan_charges_before_an_event_and_keeps_its_limit_while_it_lasts(plans: Plans) -> None:
    assert plans.solved().powers_kw["tie"] == pytest.approx(20.0)
    plans.call("heat", 2, 2)
    plan = plans.solved()
    tie = plan.powers_kw["tie"]
    assert tie[8:16].max() <= 5 + 1e-6  # of 24 steps of 15 min
    assert tie[:8].max() > 20  # an empty battery has to be charged first
    assert plan.opted_out == ()


def test_an_event_that_cannot_be_kept_takes_no_plan_away(plans: Plans) -> None:
    plans.call("now", 0, 4)  # 60 kWh are not there
    plan = plans.solved()
    assert plan.is_usable
    assert plan.opted_out == ("event now",)


def test_what_is_over_cancelled_or_beyond_the_horizon_is_not_planned_for(plans: Plans) -> None:
    assert plans.site.dispatch is not None
    events = called(plans.site.dispatch, plans.site.demand_response, plans.path, PlantTime())
    axis = Axis(NOON, timedelta(minutes=15), 24)
    assert events(axis) == ()
    for name, start_h in (("early", 0.5), ("late", 5.9), ("beyond", 7.0)):
        plans.call(name, start_h, 1.0)
    with Calls.to_write(plans.path) as calls:
        calls.cancel("early", "ada", NOON_NS)
    assert [each.name for each in events(axis)] == ["event late"]
    plans.path.write_bytes(b"no database at all" * 100)
    assert events(axis) == ()


def test_a_fast_plant_plans_for_the_time_that_its_clock_will_show(plans: Plans) -> None:
    assert plans.site.dispatch is not None
    plans.call("heat", 1 / 60, 2 / 60)
    fast = PlantTime(NOON_NS, 60.0)
    events = called(plans.site.dispatch, plans.site.demand_response, plans.path, fast)
    (event,) = events(Axis(NOON, timedelta(minutes=15), 24))
    assert (event.start, event.end) == (NOON + timedelta(hours=1), NOON + timedelta(hours=3))
