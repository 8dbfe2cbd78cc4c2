"""A clock that is put ahead or back, and samples that claim to be of the future."""

from __future__ import annotations

import argparse
import json
import os

import numpy as np
import pytest
from historian_folder import NOON, SECOND, TAGS, Clock, never

from gateway.tags.image import Region
from historian import cli
from historian.events.store import EventStore, events_path
from historian.ingest import Ingest
from historian.keeping import quarantine
from historian.keeping.clock import LEAST_JUMP_NS, ClockWatch, Jump, since_boot, unknown_in
from historian.keeping.quarantine import read_quarantined
from historian.store.database import check, connect_to_read
from historian.store.frame import GapFrame, QuarantineFrame
from historian.store.layout import day_files, day_of, quarantine_path
from historian.store.rows import NO_ROWS

HOUR, DAY = 3600 * SECOND, 86_400 * SECOND


def test_a_clock_that_runs_with_the_time_since_boot_makes_no_jump():
    wall, steady = Clock(NOON), Clock(0)
    watch = ClockWatch(wall, steady)
    for step in (0, SECOND, HOUR, DAY):
        wall.now += step + LEAST_JUMP_NS - 1
        steady.now += step
        assert watch.look() is None


@pytest.mark.parametrize("size", [HOUR, -HOUR, LEAST_JUMP_NS, -LEAST_JUMP_NS, 400 * DAY])
def test_a_jump_is_told_once_with_its_size(size):
    wall, steady = Clock(NOON), Clock(0)
    watch = ClockWatch(wall, steady)
    assert watch.look() is None
    wall.now += 10 * SECOND + size
    steady.now += 10 * SECOND
    jump = watch.look()
    assert jump == Jump(NOON + 10 * SECOND, NOON + 10 * SECOND + size)
    assert jump is not None
    assert jump.size == size
    assert watch.look() is None


def test_a_machine_too_busy_to_read_both_clocks_at_once_tells_nothing():
    class Busy:
        now = 0

        def __call__(self) -> int:
            self.now += SECOND
            return self.now

    watch = ClockWatch(Clock(NOON), Busy())
    assert watch.look() is None
    assert watch.look() is None


def test_the_clocks_of_this_machine_can_be_compared():
    watch = ClockWatch()
    assert watch.look() is None
    assert since_boot() > 0


@pytest.fixture
def live(folder):
    """A region, the ingest that follows it, and how to write and jump."""

    class Live:
        def __init__(self, region: Region) -> None:
            self.region, self.folder, self.steady = region, folder, Clock(0)
            self.writer = region.claim("drivers")
            self.ingest = Ingest(region, folder.entries, folder.recorder, folder.clock)
            self.ingest._watch = ClockWatch(folder.clock, self.steady)
            self.ingest.start(folder.recorder.acknowledged)
            self.ingest.take()

        def write(self, name: str, at: int, value: float) -> None:
            index = self.region.indexes_of([name])
            self.writer.write(index, np.array([value]).view(np.uint64), 0, at, at)

        def pass_time(self, by: int, jump: int = 0) -> None:
            folder.clock.now += by + jump
            self.steady.now += by
            self.ingest.take()
            assert folder.recorder.flush()

    with Region.create(f"test_clock_{os.getpid()}", [tag.spec() for tag in TAGS]) as region:
        yield Live(region)


def gaps(folder):
    history = folder.history()
    found = history.gaps()
    history.close()
    return [gap for gap in found if gap.kind == "clock"]


@pytest.mark.parametrize("size", [HOUR, -HOUR])
def test_a_jump_is_a_gap_of_history_and_all_samples_stay(live, size):
    folder = live.folder
    live.write("a.power_kw", NOON, 1.0)
    live.pass_time(60 * SECOND)
    live.pass_time(60 * SECOND, size)
    live.write("a.power_kw", folder.clock(), 2.0)
    live.pass_time(SECOND)
    folder.pack()
    there = NOON + 120 * SECOND
    assert gaps(folder) == [GapFrame("clock", there, there + size, 0)]
    assert sorted(folder.raw("a.power_kw")) == folder.raw("a.power_kw")
    assert len(folder.raw("a.power_kw")) == 2
    assert folder.recorder.clock_jumps == 1


def test_a_jump_ahead_is_unknown_time_and_one_back_is_not(live):
    folder = live.folder
    live.write("b.power_kw", NOON, 10.0)
    live.pass_time(HOUR)
    live.pass_time(0, HOUR)
    live.pass_time(HOUR)
    history = folder.history()
    averages = history.time_average("b.power_kw", NOON, NOON + 3 * HOUR, HOUR)
    assert averages.percent_good.tolist() == [100, 0, 100]
    assert averages.values.tolist()[::2] == [10, 10]
    live.pass_time(0, -2 * HOUR)
    live.pass_time(4 * HOUR)
    averages = history.time_average("b.power_kw", NOON, NOON + 5 * HOUR, HOUR)
    assert averages.percent_good.tolist() == [100, 0, 100, 100, 100]
    history.close()


def test_only_a_clock_put_back_is_nothing_unknown():
    ahead, back = GapFrame("clock", 1, 5, 0), GapFrame("clock", 5, 1, 0)
    stopped = GapFrame("stopped", 5, 1, 0)
    assert unknown_in([ahead, back, stopped]) == [ahead, stopped]


def test_a_clock_put_back_while_nobody_recorded_is_told_at_the_start(folder):
    folder.write("a.count", [NOON], [1])
    folder.recorder.close()
    folder.clock.now -= HOUR
    folder.reopen()
    with Region.create(f"test_clock_{os.getpid()}", [tag.spec() for tag in TAGS]) as region:
        Ingest(region, folder.entries, folder.recorder, folder.clock).start(folder.recorder.acknowledged)
    assert folder.recorder.flush()
    folder.clock.now += SECOND
    assert gaps(folder) == [GapFrame("clock", NOON, NOON - HOUR, 0)]


def test_days_are_those_of_the_samples_whatever_the_clock_did(live):
    folder = live.folder
    live.write("a.power_kw", NOON, 1.0)
    live.pass_time(SECOND, 2 * DAY)
    live.write("a.power_kw", folder.clock(), 2.0)
    live.pass_time(SECOND, -DAY)
    live.write("a.power_kw", folder.clock(), 3.0)
    live.pass_time(SECOND)
    folder.pack()
    assert [value for _, value, _ in folder.raw("a.power_kw")] == [1.0, 3.0, 2.0]
    assert list(day_files(folder.directory)) == [day_of(NOON) + n for n in range(3)]


def apart(folder, name, start=0, end=2**62):
    series = read_quarantined(folder.directory, folder.entries[name], start, end)
    return list(zip(series.source_times.tolist(), series.values.tolist(), strict=True))


def test_samples_of_a_year_ahead_are_kept_apart_and_counted(live, caplog):
    folder = live.folder
    far = NOON + 365 * DAY
    live.write("a.power_kw", NOON, 1.0)
    live.write("a.power_kw", far, 2.0)
    live.write("a.power_kw", NOON + DAY, 3.0)
    live.writer.write_texts(live.region.indexes_of(["a.name"]), ["später"], 0, far, far)
    live.pass_time(0)
    for _ in range(2):
        assert [value for _, value, _ in folder.raw("a.power_kw")] == [1.0, 3.0]
        assert folder.raw("a.name") == []
        assert apart(folder, "a.power_kw") == [(far, 2.0)]
        assert apart(folder, "a.name") == [(far, "später")]
        assert apart(folder, "a.power_kw", 0, far) == []
        folder.pack()
    assert folder.recorder.quarantined == 2
    assert quarantine.count(folder.directory) == 2
    assert "quarantined 2 samples that lie over 86400 s in the future" in caplog.text
    assert len(day_files(folder.directory)) == 2
    assert folder.history().last("a.power_kw").values.tolist() == [3.0]


def test_a_value_from_the_future_that_is_written_down_after_a_lap_is_quarantined_too(folder):
    """Its change is lost; the image still has it."""
    tags = [tag.spec() for tag in TAGS]
    with Region.create(f"test_lap_{os.getpid()}", tags, journal_records=1024) as region:
        ingest = Ingest(region, folder.entries, folder.recorder, folder.clock)
        ingest.start(folder.recorder.acknowledged)
        writer = region.claim("drivers")
        ahead, index = region.indexes_of(["b.power_kw"]), region.indexes_of(["a.power_kw"])
        bits = np.array([7.0]).view(np.uint64)
        writer.write(ahead, bits, 0, NOON + 400 * DAY, NOON)
        for n in range(2000):
            writer.write(index, bits, 0, NOON + n, NOON)
        ingest.take()
    assert folder.recorder.flush()
    assert folder.raw("b.power_kw") == []
    assert folder.raw("a.power_kw")[-1][:2] == (NOON + 1999, 7.0)
    assert apart(folder, "b.power_kw") == [(NOON + 400 * DAY, 7.0)]
    assert folder.recorder.quarantined == 1


def test_a_database_that_is_half_made_is_there_under_no_name(folder, monkeypatch):
    """As after a power cut between the file and its tables."""

    def cut(*_):
        raise OSError(5, "Input/output error")

    frame = QuarantineFrame(NOON, NO_ROWS)
    for make, path in (
        (lambda: EventStore(folder.directory).close(), events_path(folder.directory)),
        (lambda: quarantine.put_apart(folder.directory, [frame]), quarantine_path(folder.directory)),
    ):
        with monkeypatch.context() as broken:
            broken.setattr("historian.store.database.prepare", cut)
            with pytest.raises(OSError, match="Input/output"):
                make()
        assert not path.exists()
        make()
        with connect_to_read(path) as database:
            check(path, database)


def test_what_is_quarantined_survives_a_restart_once_and_is_not_read_twice(live):
    folder = live.folder
    live.write("a.power_kw", NOON + 365 * DAY, 2.0)
    live.pass_time(0)
    folder.recorder.close()
    folder.reopen()
    assert folder.recorder.pack(never)
    assert apart(folder, "a.power_kw") == [(NOON + 365 * DAY, 2.0)]
    assert folder.recorder.acknowledged.positions == live.region.reader("now").positions


def test_a_quarantine_that_is_full_takes_no_more_and_history_goes_on(live, monkeypatch, caplog):
    monkeypatch.setattr(quarantine, "MAX_BYTES", 0)
    folder = live.folder
    for n in range(2):
        live.write("a.power_kw", NOON + 365 * DAY + n, 2.0)
        live.write("a.power_kw", NOON + n, float(n))
        live.pass_time(0)
        folder.pack()
    assert quarantine.count(folder.directory) == 1
    assert len(folder.raw("a.power_kw")) == 2
    assert "is full: 1 samples are not kept" in caplog.text


def test_the_command_shows_what_is_quarantined(live, capsys):
    folder = live.folder
    far = NOON + 365 * DAY
    live.write("a.power_kw", far, 2.0)
    live.pass_time(0)
    folder.recorder.close()
    folder.directory.rename(folder.directory.with_name("history"))
    parser = argparse.ArgumentParser(prog="tieline")
    cli.add_commands(parser.add_subparsers())
    question = ["history", "a.power_kw", "--quarantined", "--state", str(folder.directory.parent)]
    args = parser.parse_args([*question, "--from", "2026-01-01", "--to", "2100-01-01", "--format", "json"])
    assert args.run(args) == 0
    (sample,) = json.loads(capsys.readouterr().out)["samples"]
    assert (sample["time"], sample["value"]) == ("2027-11-21T12:00:00Z", 2.0)
