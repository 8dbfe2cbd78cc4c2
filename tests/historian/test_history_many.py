"""Many tags in one question, and what spares decoding: the same answers as one by one and sample by sample."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from historian_folder import NOON, SECOND

from gateway.tags.quality import Quality
from historian.query.decoding import Crew
from historian.store.layout import day_files

HOUR = 3600 * SECOND
NUMBERS = ["a.power_kw", "a.count", "a.energy_wh", "a.on", "b.power_kw"]


def blocks_of(folder):
    (path,) = day_files(folder.directory).values()
    with sqlite3.connect(path) as database:
        (count,) = database.execute("SELECT count(*) FROM blocks").fetchone()
    database.close()
    return count


def test_a_block_that_another_corrects_is_not_taken_by_its_sums(folder):
    folder.write("a.power_kw", NOON + SECOND * np.arange(100), np.full(100, 1.0))
    folder.pack()
    folder.write("a.power_kw", NOON + SECOND * np.arange(50, 60), np.full(10, 5.0))
    folder.pack()
    assert blocks_of(folder) == 2
    folder.clock.now = NOON + 100 * SECOND
    history = folder.history()
    averages = history.time_average("a.power_kw", NOON, NOON + HOUR, HOUR)
    line = history.chart(["a.power_kw"], NOON, NOON + HOUR, 4)["a.power_kw"]
    history.close()
    assert averages.values[0] == pytest.approx((90 * 1.0 + 10 * 5.0) / 100)
    assert averages.percent_good[0] == pytest.approx(100 * 100 / 3600)
    assert (line.values.min(), line.values.max()) == (1.0, 5.0)


def test_a_corrected_greatest_value_is_not_drawn_from_the_sums(folder):
    folder.write("a.power_kw", NOON + SECOND * np.arange(100), [*[1.0] * 50, 999.0, *[1.0] * 49])
    folder.pack()
    folder.write("a.power_kw", [NOON + 50 * SECOND], [2.0])
    history = folder.history()
    line = history.chart(["a.power_kw"], NOON, NOON + HOUR, 4)["a.power_kw"]
    history.close()
    assert line.values.max() == 2.0


def test_many_tags_are_answered_as_each_alone_in_the_order_asked(folder):
    times = NOON + SECOND * np.arange(3000)
    for name in NUMBERS:
        folder.write(name, times, np.arange(3000) % 2, [0, int(Quality.BAD)] * 1500 if name == "a.on" else 0)
    folder.pack()
    folder.write("b.power_kw", times[:5] + 1, np.arange(5))
    folder.clock.now = NOON + HOUR
    history = folder.history()
    asked = NUMBERS[::-1]
    raw = history.raw_many(asked, NOON, NOON + HOUR)
    averages = history.time_average_many(asked, NOON, NOON + HOUR, 60 * SECOND)
    last = history.last_many(asked)
    assert list(raw) == list(averages) == list(last) == asked
    for tag in asked:
        alone = history.raw(tag, NOON, NOON + HOUR)
        for many, one in ((raw[tag], alone), (last[tag], history.last(tag))):
            assert np.array_equal(many.source_times, one.source_times)
            assert np.array_equal(many.values, one.values)
            assert np.array_equal(many.statuses, one.statuses)
        one_average = history.time_average(tag, NOON, NOON + HOUR, 60 * SECOND)
        np.testing.assert_allclose(averages[tag].values, one_average.values)
        assert np.array_equal(averages[tag].statuses, one_average.statuses)
    history.close()


def test_one_tag_that_was_never_stored_is_named(folder):
    history = folder.history()
    with pytest.raises(KeyError, match="nobody"):
        history.raw_many(["a.power_kw", "nobody.knows"], NOON, NOON + HOUR)
    assert history.raw_many([], NOON, NOON + HOUR) == {}
    assert history.last_many([]) == {}
    history.close()


def test_the_newest_in_the_journal_counts_whatever_order_it_came_in(folder):
    for values in ([1.0, 2.0, 3.0], [7.0, 8.0, 9.0]):
        folder.write("a.power_kw", [NOON + 2 * SECOND, NOON, NOON + SECOND], values)
    folder.write("a.name", [NOON + SECOND, NOON], ["newer", "older"])
    history = folder.history()
    last = history.last_many(["a.power_kw", "a.name", "a.count"])
    history.close()
    assert (last["a.power_kw"].source_times.tolist(), last["a.power_kw"].values.tolist()) == (
        [NOON + 2 * SECOND],
        [7.0],
    )
    assert last["a.name"].values.tolist() == ["newer"]
    assert len(last["a.count"]) == 0


def test_shared_work_comes_back_in_order():
    crew = Crew()
    crew._workers = 3
    try:
        items = list(range(100))
        assert crew.share(lambda some: [2 * item for item in some], items, 10**9) == [2 * i for i in items]
        crew.close()
        assert crew.share(lambda some: list(some), items, 10**9) == items
    finally:
        crew.close()
