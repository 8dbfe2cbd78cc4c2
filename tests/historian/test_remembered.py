"""What an open history remembers is never what was: asked again, it answers as one that was just opened."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from historian_folder import NOON, SECOND, never
from historian_folder import TAGS as TAGS_OF_FOLDER

from gateway.tags.quality import Quality
from historian.query.history import History
from historian.query.memory import Memory
from historian.query.remembered import Remembered
from historian.store.day_file import DayFile
from historian.store.layout import DAY_NS, day_files, day_of

MINUTE = 60 * SECOND
NUMBERS = ("a.power_kw", "a.count", "a.energy_wh", "a.on", "b.power_kw")
TAGS = (*NUMBERS, "a.name")
COUNT = 600
SPAN = (NOON, NOON + COUNT * SECOND)
INSTANTS = NOON + np.sort(np.random.default_rng(5).integers(0, (COUNT - 1) * SECOND, 50))
TAGS_BEFORE = TAGS_OF_FOLDER[::-1]
WRITER = Path(__file__).with_name("writer_process.py")


def fill(folder, start=NOON, count=COUNT, seed=1):
    chance = np.random.default_rng(seed)
    times = start + SECOND * np.arange(count)
    walk = 40 + np.cumsum(chance.normal(0, 0.3, count))
    folder.write("a.power_kw", times, np.round(walk, 1))
    folder.write("b.power_kw", times + SECOND // 3, walk)
    folder.write("a.count", times, np.cumsum(chance.integers(-3, 4, count)))
    folder.write("a.energy_wh", times, np.cumsum(chance.integers(0, 9, count)))
    folder.write("a.on", times, chance.random(count) < 0.5)
    folder.write("a.name", times[::60], [f"state {n % 3}" for n in range(len(times[::60]))])


def everything(history):
    """The answers to every kind of question, as plain values."""
    found = {}
    for tag in TAGS:
        page = history.raw(tag, *SPAN, limit=7, newest_first=True)
        found["page", tag] = (page.source_times.tolist(), page.values.tolist(), page.statuses.tolist())
    questions = {
        "raw": history.raw_many(TAGS, *SPAN),
        "part": history.raw_many(TAGS, NOON + 100 * SECOND, NOON + 200 * SECOND),
        "last": history.last_many(TAGS),
    }
    for name, answers in questions.items():
        for tag, series in answers.items():
            found[name, tag] = (
                series.source_times.tolist(),
                series.values.tolist(),
                series.statuses.tolist(),
                series.damaged,
            )
    for tag, points in history.at_time_many(TAGS, INSTANTS).items():
        found["at", tag] = (points.values.tolist(), points.statuses.tolist())
    for interval in (MINUTE, 7 * SECOND, 5 * MINUTE):
        for tag, means in history.time_average_many(NUMBERS, *SPAN, interval).items():
            found[interval, tag] = (means.values, means.percent_good.tolist(), means.statuses.tolist())
    for tag, line in history.chart(NUMBERS, *SPAN, 40).items():
        found["chart", tag] = (line.times.tolist(), line.values)
    return found


def same(left, right):
    assert left.keys() == right.keys()
    for key, one in left.items():
        for mine, other in zip(one, right[key], strict=True):
            if isinstance(mine, np.ndarray):
                # What is remembered is added up in another order than what is read anew.
                np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-12, err_msg=str(key))
            else:
                assert mine == other, key


@pytest.fixture
def history(folder):
    folder.clock.now = NOON + COUNT * SECOND
    fill(folder)
    folder.pack()
    history = folder.history()
    everything(history)
    yield history
    history.close()


def check(folder, history):
    """Asked twice, the open history says what a new one says."""
    fresh = folder.history()
    try:
        expected = everything(fresh)
    finally:
        fresh.close()
    same(everything(history), expected)
    same(everything(history), expected)


def merge(folder):
    folder.recorder._packer.close()
    for path in day_files(folder.directory).values():
        day = DayFile(path)
        assert day.merge(never, pytest.fail)
        day.close()


def write_again(folder):
    """Late samples, corrected ones, and Bad ones."""
    folder.write("a.power_kw", [NOON + 30 * SECOND + 1, NOON + 5 * SECOND], [7.5, 1234.5])
    folder.write("a.count", [NOON + 30 * SECOND], [99], int(Quality.BAD))
    folder.write("a.on", [NOON + 61 * SECOND], [True])


def test_what_was_not_read_yet_and_what_is_remembered_are_the_same(folder, history):
    check(folder, history)


def test_late_and_corrected_samples_are_in_the_next_answer(folder, history):
    before = everything(history)
    write_again(folder)
    after = everything(history)
    assert 1234.5 in after["raw", "a.power_kw"][1]
    assert before["part", "b.power_kw"] == after["part", "b.power_kw"]
    check(folder, history)
    folder.pack()
    check(folder, history)


def test_blocks_that_were_merged_under_ids_of_others_are_read_anew(folder, history):
    fill(folder, NOON + 200 * SECOND, 100, seed=2)
    folder.pack()
    everything(history)
    merge(folder)
    check(folder, history)
    write_again(folder)
    folder.pack()
    everything(history)
    merge(folder)
    check(folder, history)


def test_a_day_that_was_dropped_is_gone(folder, history):
    folder.recorder._packer.drop(day_of(NOON), for_room=False)
    assert not len(history.raw("a.power_kw", *SPAN))
    assert not len(history.last("a.power_kw"))
    check(folder, history)


def test_a_folder_that_was_restored_is_read_as_it_is_now(folder, history, make_folder, monkeypatch):
    monkeypatch.setattr("historian_folder.TAGS", TAGS_BEFORE)  # under other numbers
    other = make_folder()
    other.write("b.power_kw", [NOON + SECOND], [3.25])
    fill(other, seed=9)
    other.pack()
    other.recorder.close()
    folder.recorder.close()
    shutil.rmtree(folder.directory)
    other.directory.rename(folder.directory)
    try:
        assert len(history.raw("b.power_kw", *SPAN)) == COUNT + 1
        check(folder, history)
    finally:
        shutil.copytree(folder.directory, other.directory)
        other.reopen()
        folder.reopen()


def test_a_day_file_put_in_the_place_of_another_is_read_anew(folder, history, make_folder):
    other = make_folder()
    fill(other, seed=9)
    other.pack()
    other.recorder.close()
    (source,) = day_files(other.directory).values()
    (target,) = day_files(folder.directory).values()
    folder.recorder._packer.close()
    for name in (target.name + "-wal", target.name + "-shm"):
        target.with_name(name).unlink(missing_ok=True)
    shutil.copy(source, target.with_suffix(".new"))
    target.with_suffix(".new").rename(target)
    check(folder, history)
    other.reopen()


def test_what_another_process_writes_is_in_the_next_answer(folder, history):
    folder.recorder.close()
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); import conftest, historian_folder as f\n"
        "from pathlib import Path\n"
        "clock = f.Clock(int(sys.argv[3])); folder = f.Folder(Path(sys.argv[1]), clock, f.HistorianSettings())\n"
        "folder.write('a.power_kw', [f.NOON + 5 * f.SECOND], [1234.5]); folder.pack(); folder.recorder.close()\n"
    )
    asked = [str(folder.directory), str(WRITER.parent), str(folder.clock.now)]
    subprocess.run([sys.executable, "-c", script, *asked], check=True, timeout=60, env=dict(os.environ))
    assert 1234.5 in history.raw("a.power_kw", *SPAN).values.tolist()
    check(folder, history)
    folder.reopen()


def test_gaps_and_other_windows_are_not_answered_by_what_was_added_up_before(folder, history):
    for start, interval in ((NOON + 1, MINUTE), (NOON, 61 * SECOND), (NOON - DAY_NS, DAY_NS)):
        end = NOON + 400 * SECOND
        fresh = folder.history()
        expected = fresh.time_average_many(NUMBERS, start, end, interval)
        fresh.close()
        for tag, found in history.time_average_many(NUMBERS, start, end, interval).items():
            np.testing.assert_allclose(found.values, expected[tag].values, rtol=1e-12)
            assert found.statuses.tolist() == expected[tag].statuses.tolist()
    folder.clock.now = NOON + 300 * SECOND  # behind the samples
    check(folder, history)


def test_the_journal_and_day_files_say_the_same_to_the_bit(folder, history, make_folder):
    other = make_folder()
    fill(other)
    unpacked = other.history()
    left, right = everything(history), everything(unpacked)
    unpacked.close()
    for key in left:
        if key[0] in ("at", "raw", "part", "last"):
            assert left[key] == right[key], key
    same(left, right)


def test_a_damaged_block_is_told_each_time_and_a_mended_one_is_read(folder, history):
    import sqlite3

    told = []
    history = History(folder.directory, on_damage=told.append, clock=folder.clock)
    (path,) = day_files(folder.directory).values()
    database = sqlite3.connect(path, isolation_level=None)
    tag = folder.entries["a.power_kw"].id
    (whole,) = database.execute("SELECT value_data FROM blocks WHERE tag = ?", (tag,)).fetchone()
    history.raw("a.power_kw", *SPAN)
    database.execute("UPDATE blocks SET value_data = ? WHERE tag = ?", (whole[:-1] + b"\x00\x01", tag))
    for _ in range(3):
        assert history.raw("a.power_kw", *SPAN).damaged
        assert np.isnan(history.time_average("a.power_kw", *SPAN, MINUTE).values).all()
    assert len(told) >= 3
    database.execute("UPDATE blocks SET value_data = ? WHERE tag = ?", (whole, tag))
    database.close()
    assert len(history.raw("a.power_kw", *SPAN)) == COUNT
    check(folder, history)
    history.close()


def test_nobody_can_write_into_what_is_remembered(history):
    series = history.raw("a.power_kw", *SPAN)
    for array in (series.values, series.source_times, series.statuses):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_what_is_remembered_stays_within_its_room():
    memory: Memory[int, str] = Memory(10)
    for key in range(4):
        memory.put(key, str(key), 3)
    assert memory.get_many(range(4)) == [None, "1", "2", "3"]
    assert memory.get(1) == "1"
    memory.put(4, "4", 3)
    assert memory.get_many(range(5)) == [None, "1", None, "3", "4"]
    memory.put(1, "one", 4)
    memory.put(5, "much", 11)
    assert memory.get_many([1, 3, 4, 5]) == ["one", "3", "4", None]
    memory.clear()
    assert memory.get(1) is None


def test_rows_of_blocks_stay_within_their_room(monkeypatch):
    monkeypatch.setattr("historian.query.remembered.MAX_KEPT_ROWS", 10)
    remembered = Remembered(pytest.fail)
    for tag in range(9):
        remembered.keep_rows(1, {tag: ()})
    assert len(remembered.rows_of(1)) == 9
    remembered.keep_rows(2, {1: (), 2: ()})
    assert (len(remembered.rows_of(1)), len(remembered.rows_of(2))) == (0, 2)
