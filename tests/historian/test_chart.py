"""A chart shows what all samples would have shown; test_model.py asks it of random plants."""

from __future__ import annotations

import numpy as np
import pytest
from historian_folder import NOON, SECOND

from gateway.tags.quality import Quality
from historian.store.frame import GapFrame
from historian.store.layout import DAY_NS

BAD = int(Quality.BAD_COMMUNICATION_ERROR)
HOUR = 3600 * SECOND


@pytest.fixture
def hours(folder):
    """Six hours by the second of a sine with one spike up and one down, packed and merged."""
    values = np.round(100 * np.sin(np.arange(6 * 3600) / 500), 1)
    values[5000], values[12_345] = 999.0, -999.0
    folder.write("a.power_kw", NOON + SECOND * np.arange(len(values)), values)
    folder.pack()
    folder.clock.now = NOON + DAY_NS
    folder.pack()
    return folder


def line_of(folder, start, end, points, name="a.power_kw"):
    history = folder.history()
    try:
        return history.chart([name], start, end, points)[name]
    finally:
        history.close()


@pytest.mark.parametrize("points", [4, 40, 400, 4000])
def test_no_spike_is_lost_however_few_the_points(hours, points):
    line = line_of(hours, NOON, NOON + 6 * HOUR, points)
    assert len(line) <= points
    assert (line.values.max(), line.values.min()) == (999.0, -999.0)


def test_few_samples_are_shown_as_they_are(hours):
    line = line_of(hours, NOON, NOON + 20 * SECOND, 4000)
    assert line.times.tolist() == (NOON + SECOND * np.arange(20)).tolist()


def test_the_line_begins_with_what_held_at_the_start(hours):
    line = line_of(hours, NOON + SECOND // 2, NOON + 3 * SECOND, 400)
    assert line.times[0] == NOON


def test_a_wide_window_is_drawn_from_the_sums_of_blocks(hours, monkeypatch):
    read = []
    history = hours.history()
    gather = history._reader.gather

    def watched(*args, **more):
        found = gather(*args, **more)
        read.append(sum(one.count for one in found.values()))
        return found

    monkeypatch.setattr(history._reader, "gather", watched)
    line = history.chart(["a.power_kw"], NOON - DAY_NS, NOON + DAY_NS, 16)["a.power_kw"]
    history.close()
    assert read == [0]
    assert (line.values.max(), line.values.min()) == (999.0, -999.0)


def test_a_bad_stretch_and_a_gap_break_the_line(folder):
    times = NOON + SECOND * np.arange(100)
    statuses = [BAD if 30 <= i < 40 else 0 for i in range(100)]
    folder.write("a.power_kw", times, np.arange(100.0), statuses)
    folder.recorder.offer(GapFrame("stopped", NOON + 70 * SECOND + 1, NOON + 71 * SECOND - 1, None))
    assert folder.recorder.flush()
    line = line_of(folder, NOON, NOON + 100 * SECOND, 40)
    breaks = line.times[np.isnan(line.values)].tolist()
    assert breaks == [NOON + 30 * SECOND, NOON + 70 * SECOND + 1]
    assert line.statuses[np.isnan(line.values)].tolist() == [BAD, 0x809B_0000]


def test_a_chart_of_a_string_or_of_no_width_is_refused(folder):
    with pytest.raises(ValueError, match=r"a\.name is a string"):
        line_of(folder, NOON, NOON + SECOND, 400, "a.name")
    with pytest.raises(ValueError, match="3 points"):
        line_of(folder, NOON, NOON + SECOND, 3)
    with pytest.raises(ValueError, match="before the start"):
        line_of(folder, NOON, NOON, 400)
