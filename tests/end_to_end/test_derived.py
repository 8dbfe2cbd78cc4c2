"""What the demo makes of its tags: sums, energies and events, also when their parts are killed."""

import json
import os
import signal

import pytest

from historian.events import Events

PATIENCE_S = 120.0  # a session counts after 30 s; a machine that others load


def test_what_is_calculated_is_made_of_what_was_measured(demo, region):
    def agrees():
        parts = [
            region.sample(name) for name in ("pv1.power_kw", "wind1.power_kw", "generation.renewable_kw")
        ]
        pv, wind, both = parts
        newest = max(pv.source_time, wind.source_time)
        return (
            not any(each.status for each in parts)
            and both.source_time == newest
            and both.value == pytest.approx(pv.value + wind.value)
        )

    demo.until(agrees, PATIENCE_S)


def test_a_total_goes_on_where_it_was_when_its_part_is_killed(demo, region):
    total = "generation.renewable_kwh"
    demo.until(lambda: region.sample(total).value > 0 and region.sample(total).status == 0, PATIENCE_S)
    before = region.sample(total).value
    os.kill(demo.pids(region)["calculated"], signal.SIGKILL)
    demo.until(lambda: region.sample(total).status != 0, PATIENCE_S)
    demo.until(lambda: region.sample(total).status == 0, PATIENCE_S)
    assert region.sample(total).value >= before
    demo.until_well(region)


def test_vehicles_at_chargers_are_sessions(demo, region):
    events = Events(demo.paths.history)
    demo.until(lambda: len(events.frames(0, 2**62, name="charge_session")) > 0, PATIENCE_S)
    said = demo.run(
        "history", "events", "--state", str(demo.state), "--name", "charge_session", "--format", "json"
    )
    assert said.returncode == 0, said.stderr
    sessions = json.loads(said.stdout)
    assert sessions
    for session in sessions:
        assert session["device"].startswith("ev")
        assert session["severity"] == 50
        if session["end"] is None:
            flag = region.sample(f"_system.events.charge_session.{session['device']}")
            assert flag.value is True or flag.status != 0
