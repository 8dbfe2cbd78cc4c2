"""Forecasts of a site: what is declared, and the tags of each."""

from __future__ import annotations

import pickle

import pytest

from gateway.config.forecasts import (
    DEFAULT_QUANTILES,
    Alert,
    ForecastKind,
    ForecastModel,
    Season,
    Surroundings,
)

SITE = """\
site: {name: plant}
areas: {loads: Demand}
devices:
  meter:
    area: loads
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100}}
    points:
      power_kw: {table: input, address: 0, type: float64, unit: kW, decimals: 1}
      soon_c: {table: input, address: 4, type: float64, unit: °C}
      later_c: {table: input, address: 8, type: float64, unit: °C}
calculated:
  total.power_kw: {expression: 2 * meter.power_kw, area: loads, unit: kW}
forecasts:
"""


@pytest.fixture
def forecast(load):
    def make(text):
        site = load(SITE + f"  load: {{target: meter.power_kw, kind: load, area: loads{text}}}\n")
        return site, site.forecasts[0]

    return make


def test_what_is_not_said_is_usual(forecast):
    _, found = forecast("")
    assert (found.kind, found.season, found.quantiles) == (ForecastKind.LOAD, Season.WEEK, DEFAULT_QUANTILES)
    assert (found.horizon_h, found.short_min, found.train_at, found.deadline_min) == (48, 60, (2, 30), 15)
    assert found.models == (
        ForecastModel.GRADIENT_BOOSTING,
        ForecastModel.LINEAR,
        ForecastModel.SEASONAL_NAIVE,
    )
    assert found.alert is None


def test_its_tags_are_the_part_s_and_in_the_target_s_unit(forecast):
    site, found = forecast(", alert_above: 50, quantiles: [0.025, 0.5, 0.975]")
    tags = {tag.name: tag for tag in site.tags if tag.name.startswith("forecast.load.")}
    assert {tag.owner for tag in tags.values()} == {"forecast"}
    assert {"p50_1h", "p02_5_48h", "p97_5_5min", "p50_peak_24h", "state", "needed", "spike_alert"} <= {
        name.removeprefix("forecast.load.") for name in tags
    }
    assert (tags["forecast.load.p50_1h"].unit, tags["forecast.load.p50_1h"].decimals) == ("kW", 1)
    for each in found.quantile_tags:
        assert site.tags[each.tag].name.startswith("forecast.load.p")
    for ending, at in found.tags:
        assert site.tags[at].name == f"forecast.load.{ending}"
    assert found.alert == Alert(50, 0.5)
    assert any(tag.name == "_system.parts.forecast.running" for tag in site.tags)


def test_a_short_horizon_has_no_tags_beyond_it(forecast):
    site, _ = forecast(", horizon_h: 6, short_min: 0")
    names = {tag.name for tag in site.tags}
    assert "forecast.load.p50_6h" in names
    assert names.isdisjoint({"forecast.load.p50_24h", "forecast.load.p50_5min", "forecast.load.p50_peak_24h"})


def test_what_is_told_ahead_is_in_the_order_of_its_leads(forecast):
    _, found = forecast(", known: {air: {24: meter.later_c, 1: meter.soon_c}}, past: [total.power_kw]")
    (known,) = found.known
    assert [(lead, tag) for lead, tag, _ in known.leads] == [(1, "meter.soon_c"), (24, "meter.later_c")]
    assert found.past == ("total.power_kw",)


def test_a_site_with_forecasts_goes_to_its_parts(forecast):
    site, _ = forecast("")
    assert pickle.loads(pickle.dumps(site)).forecasts == site.forecasts  # noqa: S301 - our own


def test_a_site_that_says_where_it_is_knows_the_sun_and_the_holidays_ahead(load):
    own = SITE.replace("{name: plant}", "{name: plant, latitude: 48.1, longitude: 11.6, holidays: DE-BY}")
    forecasts = "".join(
        f"  {name}: {{target: meter.power_kw, area: loads, {rest}}}\n"
        for name, rest in (
            *(("pv", "kind: pv"), ("load", "kind: load"), ("wind", "kind: wind")),
            ("net", "kind: net_load, clear_sky: true"),
            ("shop", "kind: load, holidays: false"),
        )
    )
    found = {one.name: one.surroundings for one in load(own + forecasts).forecasts}
    assert found == {
        "pv": Surroundings((48.1, 11.6), None),
        "load": Surroundings(None, "DE-BY"),
        "wind": Surroundings(),
        "net": Surroundings((48.1, 11.6), "DE-BY"),
        "shop": Surroundings(),
    }
    assert {one.surroundings for one in load(SITE + forecasts.replace("clear_sky: true", "")).forecasts} == {
        Surroundings()
    }


def test_classes_of_consumers_have_members_by_name_and_by_pattern(forecast):
    site, found = forecast(", patterns: {all: ['*.power_kw', total.power_kw], one: [meter.power_kw]}")
    assert [(each.name, each.members) for each in found.classes] == [
        ("all", ("meter.power_kw", "total.power_kw")),
        ("one", ("meter.power_kw",)),
    ]
    assert [site.tags[at].name for each in found.classes for _, at in each.tags] == [
        "forecast.load.all_pattern",
        "forecast.load.all_unusual_pct",
        "forecast.load.all_most_unusual",
        "forecast.load.one_pattern",
        "forecast.load.one_unusual_pct",
    ]
