"""Events of a site: a flag for each, of each device where it is of devices."""

from __future__ import annotations

import pickle

import pytest

from gateway.config.events import Summary

SITE = """\
site: {name: plant}
areas: {ev: Chargers}
devices:
  ev:
    area: ev
    repeat: 1..3
    protocol: modbus
    connection: {host: 192.0.2.1, port: "${n + 1000}"}
    groups: {fast: {period_ms: 100}}
    points:
      power_kw: {table: input, address: 0, type: float64, unit: kW}
      connected: {table: discrete, address: 0}
events:
"""


@pytest.fixture
def events(load):
    def make(text):
        site = load(SITE + text)
        return site, {event.flag_name: event for event in site.events}

    return make


def test_an_event_of_devices_is_one_of_each(events):
    site, found = events(
        "  session: {for: 'ev[12]', while: device.connected, min_s: 1.5, hold_off_s: 2, severity: 70,\n"
        "            summaries: {device.power_kw: [average, delta], ev3.power_kw: [end]}, description: Parked}\n"
    )
    assert list(found) == ["_system.events.session.ev1", "_system.events.session.ev2"]
    event = found["_system.events.session.ev2"]
    assert (event.name, event.device, event.severity) == ("session", "ev2", 70)
    assert (event.min_ns, event.hold_off_ns) == (1_500_000_000, 2_000_000_000)
    assert [(each.tag, each.summary) for each in event.summaries] == [
        ("ev2.power_kw", Summary.AVERAGE),
        ("ev2.power_kw", Summary.DELTA),
        ("ev3.power_kw", Summary.END),
    ]
    flag = site.tags[event.flag.tag]
    assert (flag.name, flag.owner, flag.history) == (event.flag_name, "calculated", True)
    assert [site.tags[at].name for at in event.flag.formula.tags] == ["ev2.connected"]


def test_start_and_end_are_one_flag_that_holds_itself(events):
    site, found = events("  peak: {start: ev1.power_kw > 10, end: ev1.power_kw + ev2.power_kw < 5}\n")
    names = [site.tags[at].name for at in found["_system.events.peak"].flag.formula.tags]
    assert names == ["ev1.power_kw", "ev2.power_kw", "_system.events.peak"]


def test_a_condition_that_asks_for_an_age_is_looked_at_every_second(events):
    _, found = events("  silent: {while: age(ev1.power_kw) > 60}\n")
    assert found["_system.events.silent"].flag.period_ms == 1000


def test_a_site_with_events_goes_to_other_processes(events):
    site, _ = events("  peak: {start: ev1.power_kw > 10, end: ev1.power_kw < 5}\n")
    assert pickle.loads(pickle.dumps(site)) == site  # noqa: S301 - made here
