"""Commitments of the site's agents, by the tags of the market, as dispatch takes them into its next plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from gateway.config.load import load_site
from gateway.config.site import Site
from historian.dispatch_job.committed import committed
from historian.dispatch_job.dispatcher import Dispatcher
from historian.dispatch_job.foresight import NoForecasts
from historian.dispatch_job.kept import Kept
from historian.dispatch_job.solver import Job, solve_job

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
LIMITS = "limits: {order_kwh: 4, kwh_a_day: 60, spend_a_day: 5, price_low: 0.05, price_high: 0.9}"
TEXT = f"""
site: {{name: town}}
areas: {{grid: All}}
devices:
  d:
    area: grid
    protocol: modbus
    connection: {{host: 192.0.2.1, port: 502}}
    groups: {{fast: {{period_ms: 100}}}}
    points:
      pcc_kw: {{table: input, address: 0, type: int16, unit: kW}}
      load_kw: {{table: input, address: 1, type: int16, unit: kW}}
      bat_kw: {{table: input, address: 2, type: int16, unit: kW}}
      soc_pct: {{table: input, address: 3, type: int16, unit: "%"}}
      goes: {{table: discrete, address: 0}}
dispatch:
  area: grid
  currency: EUR
  tariffs: {{day: {{price_per_kwh: 0.3}}}}
  assets:
    pcc: {{kind: tie, power: d.pcc_kw, import_max_kw: 100, export_max_kw: 50, import_tariff: day}}
    bat: {{kind: battery, power: d.bat_kw, state_of_charge: d.soc_pct, capacity_kwh: 40, charge_max_kw: 20,
           discharge_max_kw: 20, wear_cost_per_kwh: 0.01, end_value_per_kwh: 0.05}}
    house: {{kind: load, power: d.load_kw}}
market:
  area: grid
  price_high_per_kwh: 1
  order_max_kwh: 50
  short_share: 2
  long_share: 0.25
  price: {{base_rate_per_kwh: 0.2, load: d.load_kw, rated_kw: 100}}
  feeders: {{f1: {{export_max_kw: 60, import_max_kw: 60}}}}
  tariffs: {{home: {{base_rate_per_kwh: 0.2}}}}
  feeds: {{retail: {{kind: tariff, tariff: home}}}}
  participants:
    hub:
      kind: prosumer
      key: a.pem
      devices:
        out: {{kind: source, feeder: f1, export_max_kw: 5}}
        cell: {{kind: storage, feeder: f1, export_max_kw: 5, import_max_kw: 5, storage_kwh: 10}}
  agents:
    one: {{kind: plan, member: hub, quotes: retail, asset: pcc, followed: d.goes, source: out, {LIMITS}}}
    two: {{kind: plan, member: hub, quotes: retail, asset: bat, followed: d.goes, storage: cell, {LIMITS}}}
"""
TAGS = {
    "d.pcc_kw": 10.0,
    "d.load_kw": 10.0,
    "d.bat_kw": 0.0,
    "d.soc_pct": 50.0,
    "market.interval": NOON.timestamp(),
    "market.price": 0.2,
    "market.next_price": 0.4,
    "market.agent.one.committed_kw": None,
    "market.agent.one.next_committed_kw": -8.0,
    "market.agent.two.committed_kw": 3.0,
    "market.agent.two.next_committed_kw": None,
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    path = tmp_path / "site.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return load_site(path)


def test_commitments_are_of_their_intervals_and_cost_what_imbalance_does(site: Site) -> None:
    names = {place: tag.name for place, tag in enumerate(site.tags)}
    traded = committed(site)
    assert {names[tag] for tag in traded.inputs} == {name for name in TAGS if name.startswith("market.")}
    made = traded.made(lambda tag: TAGS[names[tag]], NOON + timedelta(minutes=7))
    tie, battery = made
    # What it takes is import, positive in the plan: above it is short, below it long.
    assert (tie.asset, tie.start, tie.end, tie.power_kw) == ("pcc", NOON + QUARTER, NOON + 2 * QUARTER, 8.0)
    assert (tie.above_cost, tie.below_cost) == pytest.approx((0.4, 0.3))
    assert (battery.asset, battery.start, battery.end, battery.power_kw) == ("bat", NOON, NOON + QUARTER, 3.0)
    assert (battery.above_cost, battery.below_cost) == pytest.approx((0.15, 0.2))
    assert traded.made(lambda tag: None, NOON) == (), "a market that is away binds nothing"
    assert site.market is not None
    other = replace(site, market=replace(site.market, currency="CHF"))
    assert committed(other).inputs == (), "prices of another money say nothing here"
    assert committed(replace(site, market=None)).inputs == ()


def test_a_plan_made_before_the_market_has_looked_knows_of_which_interval_its_tags_are(site: Site) -> None:
    names = {place: tag.name for place, tag in enumerate(site.tags)}
    traded = committed(site)
    (tie,) = traded.made(lambda tag: TAGS[names[tag]], NOON + QUARTER + timedelta(milliseconds=600))
    assert (tie.asset, tie.start, tie.end) == ("pcc", NOON + QUARTER, NOON + 2 * QUARTER)
    assert traded.made(lambda tag: TAGS[names[tag]], NOON + 2 * QUARTER) == (), "all that it tells of is over"


def job_of(site: Site, tags: Mapping[str, float | None]) -> Job:
    """What the solver is asked by a part that has just begun."""
    assert site.dispatch is not None
    names = {place: tag.name for place, tag in enumerate(site.tags)}

    def read(tag: int) -> float | None:
        return tags.get(names[tag])

    dispatcher = Dispatcher(
        site.dispatch,
        {tag: names[tag] for tag in site.dispatch.inputs},
        UTC,
        Kept(),
        lambda tags, start, step, count: {tag: np.full(count, np.nan) for tag in tags},
        NoForecasts(),
        lambda job: pytest.fail("nothing is begun here"),
        committed=committed(site),
    )
    dispatcher.is_informed(read, NOON)
    job = dispatcher.job(read, NOON)
    assert isinstance(job, Job), job
    return job


def test_the_next_plan_keeps_what_was_traded(site: Site) -> None:
    plan = solve_job(job_of(site, TAGS)).plan
    assert plan.powers_kw["bat"][0] == pytest.approx(3.0)
    assert plan.powers_kw["pcc"][1] == pytest.approx(8.0)
    free = solve_job(job_of(site, TAGS | dict.fromkeys(("market.price", "market.next_price")))).plan
    assert free.powers_kw["bat"][0] != pytest.approx(3.0), "without a price nobody knows what it is worth"
    without = job_of(site, TAGS | {"d.soc_pct": None}).site
    assert [each.asset for each in without.commitments] == ["pcc"], "a battery that is left out binds nothing"
