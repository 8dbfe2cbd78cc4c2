"""A disk that does not take it: nothing acknowledged is lost, what was offered is kept, and it says so loudly."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from historian_folder import NOON, SECOND, never, tag

from historian.errors import DirectoryInUse
from historian.store import recorder as recorder_module
from historian.store.frame import SamplesFrame
from historian.store.journal import read_segment
from historian.store.layout import day_of, day_path, segments
from historian.store.recorder import read_status
from historian.store.rows import Rows


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


READ_ONLY = """
import ctypes, sys
from pathlib import Path
from gateway.config.site import HistorianSettings
from historian.query.history import History
from historian.store.recorder import Recorder
libc = ctypes.CDLL(None, use_errno=True)
NEW_USER, NEW_MOUNTS, READ_ONLY, REMOUNT, BIND, PRIVATE = 1 << 28, 1 << 17, 1, 1 << 5, 1 << 12, (1 << 18) | (1 << 14)
folder = Path(sys.argv[1])
name = str(folder).encode()
if libc.unshare(NEW_MOUNTS) and libc.unshare(NEW_USER | NEW_MOUNTS):
    sys.exit(77)
libc.mount(b"none", b"/", None, PRIVATE, None)
if libc.mount(name, name, None, BIND, None) or libc.mount(name, name, None, BIND | REMOUNT | READ_ONLY, None):
    sys.exit(77)
history = History(folder)
print(history.raw("a.count", 0, 2**62).values.tolist())
history.close()
try:
    Recorder(folder, HistorianSettings(), lambda: 0).open()
except OSError as error:
    print(error)
"""


def test_a_read_only_disk_at_the_start_is_told_and_history_can_be_asked(folder):
    folder.write("a.count", [NOON, NOON + 1], [1, 2])
    folder.pack()
    folder.recorder.close()
    command = [sys.executable, "-c", READ_ONLY, str(folder.directory)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if ended.returncode == 77:
        pytest.skip("this machine lets us mount nothing")
    answer, told = ended.stdout.splitlines()
    assert answer == "[1, 2]", ended.stderr
    assert told.startswith(f"[Errno {errno.EROFS}] Read-only file system: '{folder.directory}")


READING = """
import sys, time
from pathlib import Path
from historian.store.database import open_to_read
for name in sys.argv[1:]:
    database = open_to_read(Path(name))
    database.execute("BEGIN")
    rows = database.execute("SELECT * FROM sqlite_schema")
    rows.fetchone()
    globals().setdefault("kept", []).append((database, rows))
print("reading", flush=True)
time.sleep(600)
"""


def test_a_reader_killed_in_the_middle_of_reading_leaves_nothing_locked(folder):
    folder.write("a.count", [NOON, NOON + 1], [1, 2])
    folder.pack()
    paths = [day_path(folder.directory, day_of(NOON)), folder.directory / "catalogue.sqlite"]
    reader = subprocess.Popen([sys.executable, "-c", READING, *map(str, paths)], stdout=subprocess.PIPE)
    assert reader.stdout is not None
    assert reader.stdout.readline() == b"reading\n"
    reader.kill()
    reader.wait(20)
    reader.stdout.close()
    folder.write("a.count", [NOON + 2], [3])
    folder.pack()
    assert len(folder.raw("a.count")) == 3
    folder.recorder.close()
    for path in paths:
        with contextlib.closing(sqlite3.connect(path)) as database:
            (busy, _, _) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert busy == 0
            database.execute("BEGIN EXCLUSIVE")


def test_a_missing_day_is_no_fault_and_the_others_are_told(folder):
    days = [NOON - n * 86_400 * SECOND for n in (2, 1, 0)]
    folder.write("a.count", days, [1, 2, 3])
    folder.pack()
    folder.recorder.close()
    day_path(folder.directory, day_of(days[1])).unlink()
    assert [value for _, value, _ in folder.raw("a.count")] == [1, 3]
    folder.reopen()
    folder.write("a.count", [days[1]], [22])
    folder.pack()
    assert [value for _, value, _ in folder.raw("a.count")] == [1, 22, 3]


def test_values_that_are_no_numbers_are_kept_as_given_with_their_quality(folder):
    payload = np.array(
        [0x7FF8_0000_DEAD_BEEF, 0xFFF0_0000_0000_0000, 0x7FF0_0000_0000_0000, 1 << 63], np.uint64
    )
    statuses = [0, 0x8005_0000, 0x4094_0000, 0]
    folder.write("b.power_kw", NOON + np.arange(4), payload.view(np.float64), statuses)
    for _ in range(2):
        history = folder.history()
        series = history.raw("b.power_kw", 0, 2**62)
        history.close()
        assert series.values.view(np.uint64).tolist() == payload.tolist()
        assert series.statuses.tolist() == statuses
        folder.pack()


def test_a_second_historian_is_refused_with_the_holder_named(folder):
    with pytest.raises(DirectoryInUse, match=rf"in use by another historian: process {os.getpid()}"):
        recorder_module.Recorder(folder.directory, folder.settings, folder.clock).open()
    folder.write("a.count", [NOON], [1])
    assert len(folder.raw("a.count")) == 1


def test_many_new_tags_at_once_are_kept_in_one_day_file(folder):
    tags = [tag(f"t{n % 100}.v{n}") for n in range(5_000)]
    entries = folder.recorder.catalogue.register(tags, NOON)
    ids = np.array([entry.id for entry in entries], np.uint32)
    assert len(set(ids.tolist())) == 5_000
    count = len(ids)
    rows = Rows(
        ids,
        np.zeros(count, np.uint32),
        np.full(count, NOON, np.int64),
        np.arange(count).astype(np.float64).view(np.uint64),
        np.empty(0, np.uint32),
        (),
    )
    folder.recorder.offer(SamplesFrame(1, NOON, {"drivers": (0, count)}, rows))
    assert folder.recorder.flush()
    folder.pack()
    history = folder.history()
    found = [history.last(f"t{n % 100}.v{n}").values.tolist() for n in (0, 999, 4_999)]
    assert found == [[0], [999], [4_999]]
    history.close()
