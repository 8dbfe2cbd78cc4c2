"""Features of demo history: a week of the simulator's plant, with gaps, restarts and a change of the clocks."""

from __future__ import annotations

import random

import numpy as np
import pytest

from gateway.simulator.plant.feeder import Feeder
from gateway.simulator.plant.solar import Solar
from gateway.simulator.plant.wind import Wind, curve_kw
from historian.forecast import Civil, FeatureSet, FeatureStream, Missing, NetLoad, batch

S_NS = 10**9
STEP_NS = 900 * S_NS
WEEK = 7 * 96
# Each week has its change of the clocks in the middle: 2026-03-29 and 2026-10-25, 01:00 UTC.
WEEKS = {"spring": 1_774_476_000, "autumn": 1_792_620_000}
SIGNALS = ("load_kw", "solar_kw", "wind_kw", "irradiance_w_m2", "panel_c", "wind_speed_m_s")


@pytest.fixture(scope="module", params=WEEKS)
def week(request):
    """Averages of 15 minutes of the demo's sun, wind and feeders, whose weather moves on once a minute."""
    start = WEEKS[request.param] * S_NS // STEP_NS * STEP_NS
    sun, wind = Solar(1, 0.0), Wind(1)
    feeders = [Feeder(1, number, 0.0) for number in range(1, 5)]
    table = np.empty((WEEK, 15, len(SIGNALS)))
    for step in range(WEEK):
        for minute in range(15):
            hour = (start + step * STEP_NS) // S_NS / 3600 + minute / 60
            sun.weather(hour)
            wind.weather()
            for feeder in feeders:
                feeder.weather(hour)
            load = sum(feeder.base_kw for feeder in feeders)
            blown = (curve_kw(wind.speed_m_s), wind.speed_m_s)
            table[step, minute] = (
                *(load, sun.available_kw, blown[0]),
                *(sun.irradiance_w_m2, sun.temperature_c, blown[1]),
            )
    return start + np.arange(WEEK) * STEP_NS, table.mean(axis=1)


@pytest.fixture
def holed(week):
    """The site stood still for 5 h, and for 14 h across the change of the clocks; single devices were silent."""
    times, values = week[0], week[1].copy()
    chance = np.random.default_rng(7)
    values[chance.random(values.shape) < 0.03] = np.nan
    keep = np.ones(len(times), bool)
    keep[100:120] = False
    keep[310:366] = False
    return times[keep], values[keep]


SETS = {
    "wide": FeatureSet.wide(
        SIGNALS,
        net_load=NetLoad("load_kw", ("solar_kw", "wind_kw")),
        step_s=900,
        missing=Missing(hold=2),
        civil=Civil("Europe/Berlin"),
    ),
    "daily": FeatureSet(
        signals=SIGNALS,
        step_s=900,
        lags=(1, 4, 96),
        windows=(4, 96),
        calendar=("hour", "weekday", "hour_sin", "year_cos"),
        civil=Civil("Europe/Berlin"),
        missing=Missing(longest_gap=96),
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_stream_equals_batch_bit_for_bit_through_gaps_restarts_and_a_change_of_the_clocks(holed, name):
    features = SETS[name]
    times, values = holed
    rows, vectors = batch(features, times, values)
    expected = dict(zip(rows.tolist(), vectors, strict=True))
    assert len(expected) > 200
    restarts = set(random.Random(3).sample(range(len(times)), 12))
    stream = FeatureStream(features)
    found = {}
    for row, (time, observed) in enumerate(zip(times.tolist(), values, strict=True)):
        if row in restarts:
            stream = primed_from_history(features, times, values, row)
        stream.push(time, observed)
        if not stream.needed:
            found[row] = stream.vector()
    assert found.keys() == expected.keys()
    for row, vector in found.items():
        assert vector.tobytes() == expected[row].tobytes(), row


def primed_from_history(features, times, values, row):
    """A stream as the part makes it after a restart: out of the history that it looks back at."""
    stream = FeatureStream(features)
    first = max(0, row - features.steps_to_prime)
    for time, observed in zip(times[first:row].tolist(), values[first:row], strict=True):
        stream.push(time, observed)
    return stream


def test_the_clocks_change_within_the_week(week):
    offsets = {Civil("Europe/Berlin").local(int(time)).utcoffset() for time in week[0]}
    assert len(offsets) == 2
