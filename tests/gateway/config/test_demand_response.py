"""The `demand_response` section: participants, programmes, and the tags of each."""

from __future__ import annotations

from gateway.node.effects import Act, effects
from gateway.node.parts import parts_of

SITE = """\
site: {name: plant, holidays: AT}
areas: {all: Everything}
devices:
  a:
    area: all
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100}}
    points:
      power_kw: {table: input, address: 0, type: float64, unit: kW}
demand_response:
  area: all
  participants: {mill: {power: a.power_kw, committed_kw: 10, high_kw: 25}}
  programmes: {peak: {participants: [mill]}}
"""


def test_a_programme_has_tags_of_its_event(load):
    site = load(SITE)
    settings = site.demand_response
    assert settings.holidays == "AT"
    assert settings.participants[0].committed_kw == (10, 25, 25)
    level = site.tags[settings.programmes[0].tags.level]
    assert (level.name, level.owner) == ("demand_response.peak.level", "demand_response")
    assert level.states == {0: "normal", 1: "moderate", 2: "high", 3: "special"}
    assert not site.tags[settings.programmes[0].tags.remaining_s].history
    assert "demand_response" in [part.name for part in parts_of(site)]


def test_a_change_restarts_the_part(load):
    before, after = load(SITE), load(SITE.replace("high_kw: 25", "high_kw: 30"))
    assert [(one.part, one.act) for one in effects(before, after)] == [("demand_response", Act.RESTARTS)]
    assert load(SITE[: SITE.index("demand_response")]).demand_response is None
