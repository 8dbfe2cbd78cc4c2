"""The `health` section: which tags an asset is told by, and which it adds."""

from __future__ import annotations

from gateway.config.health import BatteryHealth, GensetHealth
from gateway.node.effects import Act, effects
from gateway.node.parts import parts_of

SITE = """\
site: {name: plant}
areas: {all: Everything}
devices:
  a:
    area: all
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100}}
    points:
      power_kw: {table: input, address: 0, type: float64, unit: kW}
      soc_pct: {table: input, address: 4, type: float64, unit: "%"}
      fuel_l: {table: input, address: 8, type: float64, unit: l}
      running: {table: discrete, address: 0}
health:
  store: {kind: battery, area: all, power: a.power_kw, state_of_charge: a.soc_pct, capacity_kwh: 500}
"""
GENSET = """\
  set: {kind: genset, area: all, power: a.power_kw, running: a.running, fuel: a.fuel_l, tank_l: 400%s}
"""


def test_an_asset_has_tags_of_what_can_be_known_of_it(load):
    site = load(SITE)
    (store,) = site.health
    assert isinstance(store, BatteryHealth)
    names = [site.tags[place].name for _, place in store.tags.outputs]
    assert "health.store.state_of_health_pct" in names
    assert "health.store.knee" in names
    assert not [name for name in names if "resistance" in name or "imbalance" in name]
    assert site.tags[store.tags.urgency].states[3] == "OVERDUE"
    assert {tag.owner for tag in site.tags if tag.name.startswith("health.")} == {"health"}
    assert "health" in [part.name for part in parts_of(site)]


def test_a_genset_with_hours_of_service_counts_down_to_it(load):
    plain, served = load(SITE + GENSET % ""), load(SITE + GENSET % ", upkeep: {oil: {every_h: 250}}")
    for site, has in ((plain, False), (served, True)):
        genset = site.health[1]
        assert isinstance(genset, GensetHealth)
        assert genset.tank_l is None  # the level is in litres
        assert ("hours_to_service" in dict(genset.tags.outputs)) is has
    assert served.health[1].upkeep[0].description == "oil"


def test_an_event_may_go_by_what_is_to_be_maintained(load):
    site = load(SITE + "events:\n  work: {while: health.store.open_items > 0}\n")
    (event,) = site.events
    assert [site.tags[at].name for at in event.flag.formula.tags] == ["health.store.open_items"]


def test_a_change_restarts_the_part_alone(load):
    (effect,) = effects(load(SITE), load(SITE.replace("500", "480")))
    assert (effect.part, effect.act) == ("health", Act.RESTARTS)
    assert "health" not in [part.name for part in parts_of(load(SITE[: SITE.index("health:")]))]
