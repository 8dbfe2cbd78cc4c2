"""Old days go by age, by budget and by a disk that runs full; today never, and none for a clock that leapt."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import namedtuple

import numpy as np
import pytest
from historian_folder import NOON, SECOND, TAGS, Clock, never

from gateway.config.site import HistorianSettings
from gateway.tags.image import Region
from historian import part
from historian.keeping import retention
from historian.keeping.retention import LOOK_EVERY_NS, Held, Retention, drops
from historian.query.history import History
from historian.store.layout import day_files, day_of

DAY = 86_400 * SECOND
TODAY = day_of(NOON)
GB = 10**9
Usage = namedtuple("Usage", "total used free")


def held(*sizes: int, free: int = 100 * GB) -> Held:
    """The last size is today's."""
    return Held({TODAY - len(sizes) + 1 + n: size for n, size in enumerate(sizes)}, GB, free)


@pytest.mark.parametrize(
    ("there", "limits", "dropped"),
    [
        (held(1, 1, 1, 1), HistorianSettings(), 0),
        (held(1, 1, 1, 1), HistorianSettings(keep_days=2), 1),
        (held(GB, GB, GB, GB), HistorianSettings(max_disk=5 * GB), 0),
        (held(GB, GB, GB, GB), HistorianSettings(max_disk=5 * GB - 1), 1),
        (held(GB, GB, GB, GB), HistorianSettings(max_disk=1), 3),
        (held(GB, GB, GB, GB, free=GB), HistorianSettings(min_free=GB), 0),
        (held(GB, GB, GB, GB, free=GB), HistorianSettings(min_free=3 * GB), 2),
        (held(GB, GB, GB, GB, free=0), HistorianSettings(min_free=50 * GB), 3),
        (held(GB, GB, GB, GB), HistorianSettings(keep_days=2, max_disk=3 * GB), 2),
        (held(), HistorianSettings(keep_days=2, max_disk=1), 0),
    ],
)
def test_the_oldest_days_go_and_no_more_than_needed(there, limits, dropped):
    oldest = sorted(there.days)[:dropped]
    assert [drop.day for drop in drops(there, TODAY, limits)] == oldest


def test_today_and_what_claims_to_be_of_the_future_stay():
    there = Held({TODAY: GB, TODAY + 400: GB}, 0, 0)
    assert drops(there, TODAY, HistorianSettings(keep_days=1, max_disk=1, min_free=9 * GB)) == []


def test_each_drop_says_why():
    limits = HistorianSettings(keep_days=2, max_disk=3 * GB)
    assert [drop.why for drop in drops(held(GB, GB, GB, GB), TODAY, limits)] == [
        "older than 2 days",
        "history takes 4 GB, of 3 GB allowed",
    ]


@pytest.fixture
def disk(monkeypatch):
    """A disk whose free space is what the test says."""
    usage = {"free": 100 * GB}
    monkeypatch.setattr(
        retention.shutil, "disk_usage", lambda _: Usage(100 * GB, 100 * GB - usage["free"], usage["free"])
    )
    return usage


def filled(folder, days: int):
    for day in reversed(range(days)):
        folder.write("a.count", NOON - day * DAY + np.arange(100) * SECOND, np.arange(100))
        folder.pack()
    return folder


def kept(folder):
    return [TODAY - day for day in day_files(folder.directory)]


def look_again(folder, clock):
    clock.now += LOOK_EVERY_NS
    assert folder.recorder.pack(never)


@pytest.fixture
def steady(monkeypatch):
    clock = Clock(0)
    monkeypatch.setattr(Retention.__init__, "__defaults__", (clock,))
    return clock


def test_a_budget_drops_the_oldest_days(make_folder, steady):
    folder = filled(make_folder(), 4)
    size = max(path.stat().st_size for path in day_files(folder.directory).values())
    folder.recorder.close()
    folder.settings = HistorianSettings(max_disk=retention.measure(folder.directory).size - size)
    folder.reopen()
    folder.pack()
    assert kept(folder)[-1] == 0
    assert len(kept(folder)) < 4
    assert retention.measure(folder.directory).size <= folder.settings.max_disk


def test_a_full_disk_sheds_old_days_once_and_then_stops_writing_until_there_is_room(
    make_folder, steady, disk, caplog
):
    folder = filled(make_folder(min_free=2 * GB), 3)
    disk["free"] = 2 * GB - 1
    look_again(folder, steady)
    assert kept(folder) == [1, 0], "one day is enough, and its space may take a while to show"
    assert "dropped 2026-11-19.sqlite: 2 GB of the disk are free, less than 2 GB" in caplog.text
    look_again(folder, steady)
    assert kept(folder) == [1, 0]
    disk["free"] = 0
    look_again(folder, steady)
    assert kept(folder) == [0]
    assert folder.recorder.retention.is_shedding
    folder.write("a.count", [NOON + 200 * SECOND], [7], flush=False)
    assert not folder.recorder.flush()
    assert "there is no day left to drop" in caplog.text
    assert (NOON + 200 * SECOND, 7, 0) not in folder.raw("a.count")
    disk["free"] = 5 * GB
    look_again(folder, steady)
    assert folder.recorder.flush()
    assert not folder.recorder.retention.is_shedding
    assert folder.raw("a.count")[-1] == (NOON + 200 * SECOND, 7, 0)


def test_a_dropped_day_gives_its_space_back_although_a_reader_has_it_open(make_folder, steady, disk):
    folder = filled(make_folder(min_free=2 * GB), 2)
    history = folder.history()
    assert len(history.raw("a.count", 0, 2**62)) == 200
    file = (folder.directory / "2026-11-20.sqlite").open("rb")
    disk["free"] = 0
    look_again(folder, steady)
    assert os.fstat(file.fileno()).st_size == 0
    file.close()
    assert len(history.raw("a.count", 0, 2**62)) == 100
    history.close()


def test_a_copy_by_hard_link_keeps_a_dropped_day(make_folder, steady, disk, tmp_path):
    folder = filled(make_folder(min_free=2 * GB), 2)
    copy = tmp_path / "copy.sqlite"
    os.link(folder.directory / "2026-11-20.sqlite", copy)
    size = copy.stat().st_size
    disk["free"] = 0
    look_again(folder, steady)
    assert kept(folder) == [0]
    assert copy.stat().st_size == size > 0


def test_a_clock_that_leaps_years_ahead_drops_nothing_by_age_for_a_day(make_folder, steady):
    folder = filled(make_folder(keep_days=30), 3)
    folder.recorder.retention.clock_leapt(400 * DAY)
    folder.clock.now += 400 * DAY
    look_again(folder, steady)
    assert len(kept(folder)) == 3
    steady.now += retention.DISTRUST_NS
    look_again(folder, steady)
    assert kept(folder) == []


def test_a_start_long_after_the_last_sample_drops_nothing_by_age_for_a_day(make_folder, steady):
    folder = filled(make_folder(keep_days=30), 3)
    folder.recorder.close()
    folder.clock.now += 400 * DAY
    folder.reopen()
    folder.pack()
    assert len(kept(folder)) == 3


async def wait_until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not within 20 s")


async def test_history_deleted_while_it_is_written_begins_anew_and_says_what_was_lost(
    folder, tmp_path, caplog
):
    filled(folder, 2)
    folder.recorder.close()
    directory = folder.directory
    with Region.create(f"test_deleted_{os.getpid()}", [tag.spec() for tag in TAGS]) as region:
        stop = part.threading.Event()
        settings = HistorianSettings(flush_ms=20)
        ready = part.threading.Event()
        work = asyncio.create_task(
            asyncio.to_thread(part.record, region.name, directory, TAGS, settings, stop, ready.set)
        )
        await wait_until(ready.is_set)
        writer = region.claim("drivers")
        power = region.indexes_of(["b.power_kw"])

        def write(value: float) -> None:
            now = part.time.time_ns()
            writer.write(power, np.array([value]).view(np.uint64), 0, now, now)

        def values() -> list[float]:
            history = History(directory)
            try:
                return history.raw("b.power_kw", 0, 2**62).values.tolist()
            except (KeyError, OSError):
                return []
            finally:
                history.close()

        try:
            write(1.0)
            await wait_until(lambda: values() == [1.0])
            shutil.rmtree(directory)
            write(2.0)
            await wait_until(lambda: values() == [1.0, 2.0])
        finally:
            stop.set()
            await work
    assert "HISTORY WAS DELETED while it was written" in caplog.text
    assert "of 2 days, 2026-11-20 to 2026-11-21" in caplog.text
    history = History(directory)
    gaps = [gap for gap in history.gaps() if gap.kind == "deleted"]
    history.close()
    assert [(gap.from_time, gap.lost) for gap in gaps] == [((TODAY - 1) * DAY, None)]
