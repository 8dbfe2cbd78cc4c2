"""Backups made while history is written, and put back: all that was acknowledged, or nothing at all."""

from __future__ import annotations

import argparse
import shutil
import tarfile
import threading
from dataclasses import replace

import numpy as np
import pytest
from historian_folder import NOON, SECOND, Folder, never

from gateway.config.site import HistorianSettings
from historian import cli
from historian.annotations.store import Annotations
from historian.errors import DirectoryInUse
from historian.events.store import EventStore, events_path
from historian.forecast_job.plan import Track
from historian.forecast_job.store import ForecastStore, Issues, Row
from historian.keeping import backup, restore
from historian.keeping.backup import BackupFailed
from historian.keeping.manifest import NotABackup
from historian.query.history import History
from historian.store.layout import day_files, segments

DAY = 86_400 * SECOND


def quietly(_: int) -> None:
    return


def history_command(*arguments: object) -> int:
    parser = argparse.ArgumentParser(prog="tieline")
    cli.add_commands(parser.add_subparsers())
    args = parser.parse_args(["history", *map(str, arguments)])
    status: int = args.run(args)
    return status


@pytest.fixture
def filled(folder):
    """Three days packed, and samples that are only in the journal."""
    for day in range(3):
        folder.write("a.power_kw", NOON - day * DAY + np.arange(100) * SECOND, np.arange(100) / 4 + day)
        folder.pack()
    folder.write("a.name", [NOON], ["Störung"])
    return folder


def restored(source, to):
    opened = restore.open_backup(source)
    try:
        restore.restore(opened, to, quietly)
    finally:
        opened.close()
    return to


def samples(directory, tag="a.power_kw"):
    history = History(directory)
    try:
        series = history.raw(tag, -(2**62), 2**62)
    finally:
        history.close()
    return list(zip(series.source_times.tolist(), series.values.tolist(), strict=True))


@pytest.mark.parametrize("name", ["backups", "history.tar"])
def test_a_backup_of_a_running_historian_restores_to_the_same_samples(filled, tmp_path, name):
    target = tmp_path / name
    make = backup.back_up_to_tar if name.endswith(".tar") else backup.back_up
    made = make(filled.directory, target, quietly)
    assert made.manifest.positions == filled.recorder.acknowledged.positions
    directory = restored(target, tmp_path / "elsewhere" / "history")
    assert samples(directory) == samples(filled.directory)
    assert samples(directory, "a.name") == [(NOON, "Störung")]


def test_a_restored_folder_is_one_a_historian_goes_on_with(filled, tmp_path):
    backup.back_up(filled.directory, tmp_path / "backups", quietly)
    directory = restored(tmp_path / "backups", tmp_path / "history")
    again = Folder(directory, filled.clock, HistorianSettings())
    assert again.recorder.acknowledged == filled.recorder.acknowledged
    again.write("a.power_kw", [NOON + 200 * SECOND], [7.5])
    again.pack()
    again.recorder.close()
    assert samples(directory) == [*samples(filled.directory), (NOON + 200 * SECOND, 7.5)]


def test_days_that_did_not_change_are_links_to_the_backup_before(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(backup.copying, "SETTLED_NS", 0)
    first = backup.back_up(filled.directory, tmp_path / "backups", quietly)
    filled.write("a.power_kw", [NOON + 200 * SECOND], [7.5])
    filled.pack()
    second = backup.back_up(filled.directory, tmp_path / "backups", quietly)
    today = max(day_files(filled.directory).values())
    same = {
        name
        for name in first.manifest.files
        if (second.path / name).exists() and (first.path / name).samefile(second.path / name)
    }
    assert {path.name for path in day_files(filled.directory).values()} - same == {today.name}
    assert second.linked >= 2
    shutil.rmtree(first.path)
    assert len(samples(restored(second.path, tmp_path / "history"))) == 301


def test_a_late_sample_in_an_old_day_changes_no_backup_and_is_in_the_next(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(backup.copying, "SETTLED_NS", 0)
    first = backup.back_up(filled.directory, tmp_path / "backups", quietly)
    before = samples(filled.directory)
    filled.write("a.power_kw", [NOON - 2 * DAY - SECOND], [-1.0])
    filled.pack()
    second = backup.back_up(filled.directory, tmp_path / "backups", quietly)
    assert samples(restored(first.path, tmp_path / "first")) == before
    assert samples(restored(second.path, tmp_path / "second"))[0] == (NOON - 2 * DAY - SECOND, -1.0)


def test_backups_while_samples_are_written_and_packed_hold_all_that_was_acknowledged(folder, tmp_path):
    stop = threading.Event()

    def write():
        n = 0
        while not stop.is_set() and n < 5_000:
            folder.write("a.count", [NOON + n * SECOND], [n])
            n += 1
            if n % 7 == 0:
                folder.recorder.rotate()
                folder.recorder.pack(never)

    folder.write("a.count", [NOON - SECOND], [-1])
    writing = threading.Thread(target=write)
    writing.start()
    made = []
    try:
        for n in range(6):
            acknowledged = folder.recorder.acknowledged.positions["drivers"]
            made.append(
                (acknowledged, backup.back_up_to_tar(folder.directory, tmp_path / f"{n}.tar", quietly))
            )
    finally:
        stop.set()
        writing.join()
    for n, (acknowledged, one) in enumerate(made):
        found = [value for _, value in samples(restored(one.path, tmp_path / f"h{n}"), "a.count")]
        assert found == list(range(-1, len(found) - 1)), "nothing missing, nothing twice"
        assert len(found) >= acknowledged


def test_what_is_packed_while_a_backup_is_made_is_in_it(filled, tmp_path, monkeypatch):
    copy_segments = backup.copying.copy_segments

    def packing_around(directory, to):
        filled.pack()
        try:
            return copy_segments(directory, to)
        finally:
            filled.write("a.name", [NOON + SECOND], ["later"])
            filled.pack()

    monkeypatch.setattr(backup.copying, "copy_segments", packing_around)
    made = backup.back_up(filled.directory, tmp_path / "backups", quietly)
    assert samples(restored(made.path, tmp_path / "history"), "a.name")[0] == (NOON, "Störung")


def test_only_the_newest_are_kept_where_so_many_are_asked_for(filled, tmp_path):
    made = [backup.back_up(filled.directory, tmp_path / "backups", quietly, keep=2) for _ in range(4)]
    assert backup.generations(tmp_path / "backups") == [made[2].path, made[3].path]
    assert len(samples(restored(tmp_path / "backups", tmp_path / "history"))) == 300


def test_a_backup_that_is_cut_off_leaves_those_before_as_they_are(filled, tmp_path, monkeypatch):
    first = backup.back_up(filled.directory, tmp_path / "backups", quietly)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup.copying, "copy_database", full)
    with pytest.raises(OSError, match="No space"):
        backup.back_up(filled.directory, tmp_path / "backups", quietly)
    with pytest.raises(OSError, match="No space"):
        backup.back_up_to_tar(filled.directory, tmp_path / "b.tar", quietly)
    assert sorted(path.name for path in (tmp_path / "backups").iterdir()) == [first.path.name, "lock"]
    assert not list(tmp_path.glob("b.tar*"))


def test_a_damaged_day_is_copied_as_it_lies_and_costs_no_other(filled, tmp_path, capsys):
    filled.recorder.close()
    filled.directory.rename(tmp_path / "history")
    damaged = tmp_path / "history" / "2026-11-20.sqlite"
    damaged.write_bytes(b"garbage" * 1000)
    assert history_command("backup", tmp_path / "backups", "--state", tmp_path) == 1
    assert "2026-11-20.sqlite is damaged, and copied as it lies" in capsys.readouterr().err
    directory = restored(tmp_path / "backups", tmp_path / "other")
    assert (directory / damaged.name).read_bytes() == damaged.read_bytes()
    assert len(samples(directory)) == 200


def test_a_backup_into_the_history_itself_is_refused(filled):
    with pytest.raises(BackupFailed, match="lies in the history folder"):
        backup.back_up(filled.directory, filled.directory / "backups", quietly)


def test_a_folder_in_use_is_refused_with_its_holder(filled, tmp_path):
    backup.back_up(filled.directory, tmp_path / "backups", quietly)
    with pytest.raises(DirectoryInUse, match=r"in use by another historian: process \d+"):
        restored(tmp_path / "backups", filled.directory)


def test_a_folder_with_history_is_refused_and_stays_as_it_is(filled, tmp_path, capsys):
    backup.back_up(filled.directory, tmp_path / "backups", quietly)
    before = samples(filled.directory)
    filled.recorder.close()
    filled.directory.rename(tmp_path / "history")
    assert history_command("restore", tmp_path / "backups", "--state", tmp_path) == 1
    assert "holds history already" in capsys.readouterr().err
    assert samples(tmp_path / "history") == before
    assert not (tmp_path / "history.draft").exists()


def test_a_backup_with_one_bit_changed_restores_nothing(filled, tmp_path):
    made = backup.back_up(filled.directory, tmp_path / "backups", quietly)
    victim = made.path / min(name for name in made.manifest.files if name.startswith("2026"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    with pytest.raises(NotABackup, match=f"{victim.name} is not what was backed up: its SHA-256 differs"):
        restored(made.path, tmp_path / "state" / "history")
    assert list((tmp_path / "state").iterdir()) == []


def test_a_torn_tar_restores_nothing(filled, tmp_path):
    made = backup.back_up_to_tar(filled.directory, tmp_path / "b.tar", quietly)
    with tarfile.open(made.path) as tar, tarfile.open(tmp_path / "torn.tar", "w") as torn:
        for member in tar.getmembers():
            if not member.name.startswith("journal/"):
                torn.addfile(member, tar.extractfile(member))
    with pytest.raises(NotABackup, match="lacks journal/"):
        restored(tmp_path / "torn.tar", tmp_path / "history")
    assert not (tmp_path / "history").exists()


def test_a_manifest_that_names_a_file_outside_is_refused(filled, tmp_path):
    made = backup.back_up(filled.directory, tmp_path / "backups", quietly)
    text = (made.path / "manifest.json").read_text()
    (made.path / "manifest.json").write_text(text.replace("catalogue.sqlite", "../catalogue.sqlite"))
    with pytest.raises(NotABackup, match="no file of a history folder"):
        restore.open_backup(made.path)


@pytest.mark.parametrize("name", ["backups", "history.tar"])
def test_totals_come_back_beside_history_and_never_over_newer_ones(filled, tmp_path, capsys, name):
    filled.recorder.close()
    filled.directory.rename(tmp_path / "history")
    (tmp_path / "totals.json").write_text("of the backup")
    assert history_command("backup", tmp_path / name, "--state", tmp_path) == 0
    assert history_command("verify", tmp_path / name) == 0
    (tmp_path / "totals.json").write_text("newer")
    shutil.rmtree(tmp_path / "history")
    assert history_command("restore", tmp_path / name, "--state", tmp_path) == 0
    assert (tmp_path / "totals.json").read_text() == "newer"
    assert f"{tmp_path / 'totals.json'} is there already, and stays as it is" in capsys.readouterr().out
    assert history_command("restore", tmp_path / name, "--state", tmp_path / "other") == 0
    assert (tmp_path / "other" / "totals.json").read_text() == "of the backup"
    assert "stays as it is" not in capsys.readouterr().out
    assert not list((tmp_path / "other").rglob("beside"))


@pytest.mark.parametrize("name", ["backups", "history.tar"])
def test_issued_forecasts_and_models_come_back_without_the_key_that_signs(filled, tmp_path, capsys, name):
    """Also while the forecast part writes: what it had committed is in the backup, though its log holds it."""
    row = Row("load", Track.LONG, NOON, NOON, 900, (0.5,), np.ones((2, 1), np.float32), "linear", NOON, False)
    filled.recorder.close()
    filled.directory.rename(tmp_path / "history")
    forecasts = tmp_path / "forecasts"
    store = ForecastStore(forecasts)
    store.keep(row)
    for other in ("load.15min.model", "model-key.pem", "training-load.log"):
        (forecasts / other).write_text(other)
    assert (forecasts / "issued.sqlite-wal").stat().st_size > 0
    assert history_command("backup", tmp_path / name, "--state", tmp_path) == 0
    assert history_command("verify", tmp_path / name) == 0
    store.keep(replace(row, issue=NOON + 900 * SECOND))
    store.close()
    assert history_command("restore", tmp_path / name, "--state", tmp_path / "other") == 0
    there = tmp_path / "other" / "forecasts"
    assert sorted(path.name for path in there.iterdir()) == ["issued.sqlite", "load.15min.model"]
    with Issues(there) as issues:
        assert [each.issue for each in issues.between("load", Track.LONG, 0, 2**62)] == [NOON]
    shutil.rmtree(tmp_path / "history")
    (forecasts / "load.15min.model").unlink()
    capsys.readouterr()
    assert history_command("restore", tmp_path / name, "--state", tmp_path) == 0
    said = capsys.readouterr().out
    assert f"{forecasts / 'issued.sqlite'} is there already, and stays as it is" in said
    assert "load.15min.model is there" not in said
    assert (forecasts / "load.15min.model").read_text() == "load.15min.model"
    with Issues(forecasts) as issues:
        assert len(list(issues.between("load", Track.LONG, 0, 2**62))) == 2


def test_a_log_without_its_database_keeps_the_backup_s_away(filled, tmp_path):
    forecasts = tmp_path / "forecasts"
    ForecastStore(forecasts).close()
    made = backup.back_up(filled.directory, tmp_path / "backups", quietly, beside=[forecasts])
    assert "beside/forecasts/issued.sqlite" in made.manifest.files
    shutil.rmtree(forecasts)
    forecasts.mkdir()
    (forecasts / "issued.sqlite-wal").write_bytes(b"of another")
    opened = restore.open_backup(made.path)
    try:
        left = restore.restore(opened, tmp_path / "history", quietly, beside=[forecasts])
    finally:
        opened.close()
    assert left == [forecasts / "issued.sqlite"]
    assert not (forecasts / "issued.sqlite").exists()


def test_events_and_annotations_are_in_a_backup(filled, tmp_path):
    Annotations(filled.directory).add("a.power_kw", NOON, "a fuse", "somebody")
    EventStore(filled.directory).close()
    backup.back_up(filled.directory, tmp_path / "backups", quietly)
    directory = restored(tmp_path / "backups", tmp_path / "history")
    assert [one.text for one in Annotations(directory).find(0, NOON + 1)] == ["a fuse"]
    assert events_path(directory).exists()


def test_what_says_how_far_somebody_got_is_copied_before_the_samples(filled, tmp_path, monkeypatch):
    totals = filled.directory.parent / "totals.json"
    (filled.directory / "forward").mkdir()
    cursor = filled.directory / "forward" / "lake.json"
    for path in (totals, cursor):
        path.write_text("before")
    copy_segments = backup.copying.copy_segments

    def going_on(directory, to):
        for path in (totals, cursor):
            path.write_text("after samples that are in no backup")
        return copy_segments(directory, to)

    monkeypatch.setattr(backup.copying, "copy_segments", going_on)
    made = backup.back_up(filled.directory, tmp_path / "backups", quietly, beside=[totals])
    assert (made.path / "beside" / "totals.json").read_text() == "before"
    assert (made.path / "forward" / "lake.json").read_text() == "before"


def test_what_is_no_backup_is_told(tmp_path, capsys):
    assert history_command("restore", tmp_path, "--state", tmp_path / "s") == 1
    assert "is no backup: it has no manifest.json" in capsys.readouterr().err
    assert history_command("restore", tmp_path / "nowhere", "--state", tmp_path / "s") == 1
    assert "is not there" in capsys.readouterr().err
    (tmp_path / "x.tar").write_bytes(b"no tar")
    assert history_command("restore", tmp_path / "x.tar", "--state", tmp_path / "s") == 1
    assert "is no tar file" in capsys.readouterr().err


def test_the_commands_go_there_and_back(filled, tmp_path, capsys):
    expected = samples(filled.directory)
    filled.recorder.close()
    (filled.directory / "forward").mkdir()
    (filled.directory / "forward" / "cursor.json").write_text("{}")
    (filled.directory / "2026-11-01.sqlite.damaged").write_text("garbage")
    filled.directory.rename(tmp_path / "history")
    assert history_command("backup", tmp_path / "b.tar", "--state", tmp_path) == 0
    assert history_command("backup", tmp_path / "b.tar", "--state", tmp_path) == 1
    assert "is there already" in capsys.readouterr().err
    assert history_command("restore", tmp_path / "b.tar", "--state", tmp_path / "other") == 0
    assert "all that was acknowledged by 20" in capsys.readouterr().out
    assert samples(tmp_path / "other" / "history") == expected
    assert len(segments(tmp_path / "other" / "history")) == 1
    assert (tmp_path / "other" / "history" / "forward" / "cursor.json").read_text() == "{}"
    assert not list((tmp_path / "other" / "history").glob("*.damaged"))
