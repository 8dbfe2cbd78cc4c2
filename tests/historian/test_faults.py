"""A disk that does not take it: nothing acknowledged is lost, what was offered is kept, and it says so loudly."""

from __future__ import annotations

import contextlib
import logging
import resource
import shutil
import sqlite3
from collections.abc import Iterator

import numpy as np
import pytest
from historian_folder import NOON, SECOND, never

from historian.store import recorder as recorder_module
from historian.store.frame import SamplesFrame
from historian.store.journal import read_segment
from historian.store.layout import day_of, day_path, segments
from historian.store.recorder import read_status


@contextlib.contextmanager
def files_no_larger_than(limit: int) -> Iterator[None]:
    """The kernel refuses writes past ``limit`` bytes of a file (EFBIG), as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def noise(seed: int, count: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count)


def test_a_full_disk_keeps_what_was_offered_and_goes_on_when_there_is_room(folder, caplog):
    folder.write("a.count", [NOON], [1])
    with files_no_larger_than(0):
        folder.write("a.count", [NOON + 1], [2], flush=False)
        assert not folder.recorder.flush()
        folder.write("a.count", [NOON + 2], [3], flush=False)
        assert not folder.recorder.flush()
        assert folder.recorder.acknowledged.positions == {"drivers": 1}
        assert folder.raw("a.count") == [(NOON, 1, 0)]
    assert "HISTORY IS NOT BEING WRITTEN" in caplog.text
    assert folder.recorder.flush()
    assert "nothing that was taken is lost" in caplog.text
    assert [value for _, value, _ in folder.raw("a.count")] == [1, 2, 3]
    assert read_status(folder.directory).positions == {"drivers": 3}


def test_a_disk_that_stays_full_complains_twice_a_minute_not_every_second(folder, caplog):
    caplog.set_level(logging.ERROR)
    with files_no_larger_than(0):
        folder.write("a.count", [NOON], [1], flush=False)
        for _ in range(61):
            assert not folder.recorder.flush()
            folder.clock.now += SECOND
    assert sum("NOT BEING WRITTEN" in record.message for record in caplog.records) == 3


def test_a_write_torn_by_a_full_disk_is_cut_off_and_comes_again(folder):
    with files_no_larger_than(8_000):
        for n in range(12):
            folder.write(
                "b.power_kw", NOON + np.arange(n * 200, n * 200 + 200) * SECOND, noise(n), flush=False
            )
            assert folder.recorder.flush() or folder.recorder.flush(), "the next segment has room"
    assert len(segments(folder.directory)) == 3
    folder.recorder.close()
    folder.reopen()
    found = [value for _, value, _ in folder.raw("b.power_kw")]
    assert found == [value for n in range(12) for value in noise(n).tolist()]


def test_day_files_that_cannot_grow_leave_the_journal_as_it_is(folder, caplog):
    for n in range(12):
        folder.write("b.power_kw", NOON + np.arange(n * 200, n * 200 + 200) * SECOND, noise(n))
    folder.recorder.rotate()
    before = folder.raw("b.power_kw")
    with files_no_larger_than(4096):
        assert not folder.recorder.pack(never)
        assert len(segments(folder.directory)) == 2
        assert folder.raw("b.power_kw") == before
    assert "HISTORY IS NOT BEING WRITTEN: day files" in caplog.text
    assert folder.recorder.pack(never)
    assert len(segments(folder.directory)) == 1
    assert folder.raw("b.power_kw") == before
    with sqlite3.connect(day_path(folder.directory, day_of(NOON))) as database:
        assert database.execute("SELECT sum(count) FROM blocks").fetchone() == (2400,)
    database.close()


def test_memory_has_a_limit_and_then_the_shared_journal_is_the_buffer(folder, monkeypatch):
    monkeypatch.setattr(recorder_module, "MAX_PENDING_BYTES", 10_000)
    with files_no_larger_than(0):
        offered = 0
        while folder.recorder.has_room:
            folder.write("a.count", [NOON + offered], [offered], flush=False)
            folder.recorder.flush()
            offered += 1
    assert 400 < offered < 430
    assert folder.recorder.flush()
    assert folder.recorder.has_room
    assert [value for _, value, _ in folder.raw("a.count")] == list(range(offered))


def test_a_backlog_is_written_in_frames_of_bounded_size(folder, monkeypatch):
    monkeypatch.setattr(recorder_module, "MAX_FRAME_BYTES", 2_400)
    for n in range(50):
        folder.write("a.count", NOON + np.arange(n * 10, n * 10 + 10), np.arange(10), flush=False)
    assert folder.recorder.flush()
    assert folder.recorder.pending == 0
    assert len(folder.raw("a.count")) == 500
    (path,) = segments(folder.directory).values()
    sizes = [
        len(item.frame.rows) for item in read_segment(path).frames if isinstance(item.frame, SamplesFrame)
    ]
    assert max(sizes) <= 100
    assert sum(sizes) == 500


def test_stopping_in_the_middle_of_packing_leaves_all_for_the_next_time(folder):
    folder.write("a.count", [NOON, NOON + 1], [1, 2])
    folder.recorder.rotate()
    assert folder.recorder.pack(lambda: True)
    assert len(segments(folder.directory)) == 2
    folder.recorder.close()
    folder.reopen()
    assert folder.recorder.pack(never)
    assert len(folder.raw("a.count")) == 2


def test_a_read_only_folder_can_be_asked_when_nobody_writes(folder):
    folder.write("a.count", [NOON, NOON + 1], [1, 2])
    folder.pack()
    folder.recorder.close()
    assert not list(folder.directory.glob("*-wal"))
    assert len(folder.raw("a.count")) == 2


@pytest.mark.parametrize("age_s", [301, -1])
def test_a_segment_is_closed_after_the_block_interval_or_when_the_clock_goes_back(folder, age_s):
    folder.write("a.count", [NOON], [1])
    folder.clock.now += age_s * SECOND
    folder.recorder.flush()
    assert folder.recorder.pack(never)
    assert list(segments(folder.directory)) == [2]
    assert day_path(folder.directory, day_of(NOON)).exists()


def test_a_folder_deleted_under_it_ends_the_historian_which_begins_a_new_one(folder):
    folder.write("a.count", [NOON], [1])
    shutil.rmtree(folder.directory)
    folder.write("a.count", [NOON + 1], [2], flush=False)
    with pytest.raises(FileNotFoundError):
        folder.recorder.rotate()
    with pytest.raises(FileNotFoundError):
        folder.recorder.flush()
    folder.recorder.close()
    folder.reopen()
    folder.write("a.count", [NOON + 2], [3])
    assert [value for _, value, _ in folder.raw("a.count")] == [3]


def test_a_day_file_deleted_under_it_is_begun_anew(folder):
    folder.write("a.count", [NOON], [1])
    folder.pack()
    for path in folder.directory.glob("*-*.sqlite*"):
        path.unlink()
    folder.write("a.count", [NOON + 1], [2])
    folder.pack()
    folder.recorder.close()
    folder.reopen()
    assert [value for _, value, _ in folder.raw("a.count")] == [2]
