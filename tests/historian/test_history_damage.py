"""What cannot be read is named in the answer, so that nobody takes a shorter answer for all there was."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from historian_folder import NOON, SECOND

from historian.query.history import History
from historian.store.layout import DAY_NS, day_files, day_of

MINUTE = 60 * SECOND
LOW, HIGH = 0, 2**62


def damage(folder, name, first_time):
    """Another byte in the values of a block."""
    (path,) = day_files(folder.directory).values()
    with sqlite3.connect(path) as database:
        asked = (folder.entries[name].id, first_time)
        block, column = database.execute(
            "SELECT id, value_data FROM blocks WHERE tag = ? AND first_time = ?", asked
        ).fetchone()
        spoilt = column[:-1] + bytes([column[-1] ^ 1])
        database.execute("UPDATE blocks SET value_data = ? WHERE id = ?", (spoilt, block))
    database.close()


@pytest.fixture
def spoilt(folder):
    """Three blocks a minute apart of two tags; the middle one of the first cannot be read."""
    for minute in range(3):
        times = NOON + minute * MINUTE + SECOND * np.arange(60)
        for name in ("a.power_kw", "b.power_kw"):
            folder.write(name, times, np.arange(60) / 10)
        folder.pack()
    damage(folder, "a.power_kw", NOON + MINUTE)
    folder.clock.now = NOON + 3 * MINUTE
    return folder


@pytest.fixture
def told():
    return []


@pytest.fixture
def history(spoilt, told):
    history = History(spoilt.directory, on_damage=told.append, clock=spoilt.clock)
    yield history
    history.close()


LOST = (NOON + MINUTE, NOON + MINUTE + 59 * SECOND + 1)


def test_the_answer_names_the_span_of_a_block_that_cannot_be_read(history, told):
    series = history.raw("a.power_kw", LOW, HIGH)
    assert len(series) == 120
    assert series.damaged == (LOST,)
    assert [(damage.first_time, damage.last_time) for damage in told] == [(LOST[0], LOST[1] - 1)]


def test_of_many_tags_only_the_damaged_one_is_said_to_be(history):
    answers = history.raw_many(["a.power_kw", "b.power_kw"], LOW, HIGH)
    assert answers["a.power_kw"].damaged == (LOST,)
    assert answers["b.power_kw"].damaged == ()
    assert len(answers["b.power_kw"]) == 180


def test_only_what_was_asked_for_is_said_to_be_damaged(history):
    assert history.raw("a.power_kw", NOON, NOON + MINUTE).damaged == ()
    middle = NOON + MINUTE + 10 * SECOND
    assert history.raw("a.power_kw", middle, middle + SECOND).damaged == ((middle, middle + SECOND),)


@pytest.mark.parametrize("newest_first", [False, True])
def test_damage_is_told_once_by_pages_that_follow_each_other(history, newest_first):
    low, high = NOON, NOON + 3 * MINUTE
    found, damaged = [], []
    while True:
        page = history.raw("a.power_kw", low, high, limit=25, newest_first=newest_first)
        found += page.source_times.tolist()
        damaged += page.damaged
        if len(page) < 25:
            break
        low, high = (low, found[-1]) if newest_first else (found[-1] + 1, high)
    assert len(found) == len(set(found)) == 120
    assert damaged == [LOST]


def test_an_average_over_damage_is_of_what_is_known(history):
    averages = history.time_average("a.power_kw", NOON, NOON + 3 * MINUTE, MINUTE)
    assert np.isnan(averages.values).tolist() == [False, True, False]
    assert averages.percent_good.tolist() == [100.0, 0.0, 100.0]


def test_a_line_is_broken_where_it_cannot_be_read(history):
    line = history.chart(["a.power_kw"], NOON, NOON + 3 * MINUTE, 4000)["a.power_kw"]
    assert line.times[np.isnan(line.values)].tolist() == [LOST[0]]


def test_a_file_that_cannot_be_read_at_all_is_damage_of_its_day(folder, told):
    folder.write("a.power_kw", [NOON, NOON + DAY_NS], [1.0, 2.0])
    folder.pack()
    folder.recorder.close()
    first, _ = day_files(folder.directory).values()
    for path in (first, first.with_name(first.name + "-wal"), first.with_name(first.name + "-shm")):
        path.unlink(missing_ok=True)
    first.write_bytes(b"no database at all" * 1000)
    history = History(folder.directory, on_damage=told.append, clock=folder.clock)
    series = history.raw("a.power_kw", NOON - SECOND, NOON + 2 * DAY_NS)
    assert series.source_times.tolist() == [NOON + DAY_NS]
    assert series.damaged == ((NOON - SECOND, (day_of(NOON) + 1) * DAY_NS),)
    page = history.raw("a.power_kw", NOON - SECOND, NOON + 2 * DAY_NS, limit=5)
    assert page.damaged == series.damaged
    assert {damage.block for damage in told} == {0}
    history.close()
