"""`tieline history verify` and `stats`: what is damaged is found and named, and what is sound is not."""

from __future__ import annotations

import argparse
import json
import sqlite3

import numpy as np
import pytest
from historian_folder import NOON, SECOND

from gateway.config.site import HistorianSettings
from historian import cli
from historian.keeping import backup, stats, verify
from historian.keeping.verify import Tally
from historian.store.layout import day_of, segments

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
    """Every type, qualities, values that are no numbers, merged and not, over two days, and a journal."""
    times = NOON + np.arange(500) * SECOND
    for day in (1, 0):
        at = times - day * DAY
        values = np.random.default_rng(day).normal(size=500)
        values[::50] = [np.nan, np.inf, -np.inf, -0.0, 1e308, 5e-324, 1e308, 0, 1, 2]
        statuses = np.where(np.arange(500) % 7, 0, 0x8005_0000)
        folder.write("a.power_kw", at, values, statuses)
        folder.write("a.count", at, np.arange(500) - 250)
        folder.write("a.energy_wh", at, np.arange(500) + 2**60)
        folder.write("a.on", at, np.arange(500) % 3 == 0)
        folder.write("a.name", at, [f"name {n % 5}" for n in range(500)])
        folder.pack()
    folder.write("b.power_kw", times, np.arange(500) / 8)
    return folder


@pytest.fixture
def state(filled, tmp_path):
    filled.recorder.close()
    filled.directory.rename(tmp_path / "history")
    return tmp_path


def change(path, statement, *parameters):
    with sqlite3.connect(path) as database:
        assert database.execute(statement, parameters).rowcount == 1
    database.close()


def found_in(directory):
    tally = Tally()
    return list(verify.verify(directory, tally, quietly)), tally


def test_sound_history_has_no_fault_while_it_is_written(filled):
    faults, tally = found_in(filled.directory)
    assert faults == []
    assert (tally.days, tally.samples, tally.segments) == (2, 5_000, 1)


def test_a_flipped_bit_is_told_by_file_tag_and_time(state, capsys):
    path = state / "history" / "2026-11-20.sqlite"
    with sqlite3.connect(path) as database:
        id, data = database.execute(
            "SELECT blocks.id, value_data FROM blocks JOIN tags ON tags.id = tag WHERE path = 'a.count'"
        ).fetchone()
        flipped = bytearray(data)
        flipped[-1] ^= 4
        database.execute("UPDATE blocks SET value_data = ? WHERE id = ?", (bytes(flipped), id))
    database.close()
    assert history_command("verify", "--state", state) == 1
    lines = capsys.readouterr().out.splitlines()
    where = "2026-11-20.sqlite: a.count, 2026-11-20T12:00:00Z to 2026-11-20T12:08:19Z"
    assert lines[0].startswith(f"{where}: block {id}: ")
    assert lines[-1].endswith("1 faults")
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "UPDATE blocks SET maximum = maximum + 1 WHERE id = 2",
            "its summary is not that of its samples: maximum",
        ),
        ("UPDATE blocks SET good_ns = 0 WHERE id = 2", "its summary is not that of its samples: good_ns"),
        ("UPDATE blocks SET times = 99 WHERE id = 2", "its times are missing"),
        ("UPDATE blocks SET count = 499 WHERE id = 2", "500 times and 500 values for 499 samples"),
        ("DELETE FROM tags WHERE path = 'a.count'", "its tag is not in the file"),
        ("UPDATE tags SET path = 'a.other' WHERE path = 'a.count'", "is another in the catalogue"),
    ],
)
def test_what_does_not_agree_is_told(state, statement, told):
    change(state / "history" / "2026-11-20.sqlite", statement)
    faults, _ = found_in(state / "history")
    assert [told in fault.what for fault in faults] == [True]


def test_damage_in_replaced_samples_and_in_other_databases_is_told(filled):
    filled.write("a.count", [NOON], [1])
    filled.pack()
    filled.recorder.close()
    with sqlite3.connect(filled.directory / "2026-11-21.sqlite") as database:
        ((id, data),) = database.execute("SELECT id, value_data FROM replaced").fetchall()
        flipped = bytearray(data)
        flipped[-1] ^= 1
        database.execute("UPDATE replaced SET value_data = ?", (bytes(flipped),))
    database.close()
    (filled.directory / "events.sqlite").write_bytes(b"garbage" * 1000)
    faults, _ = found_in(filled.directory)
    assert [(fault.file, fault.tag) for fault in faults] == [
        ("2026-11-21.sqlite", "a.count"),
        ("events.sqlite", ""),
    ]
    assert faults[0].what.startswith(f"replaced block {id}: ")


def test_blocks_of_one_sequence_that_share_time_are_told(state):
    columns = (
        "tag, sequence, first_time, last_time, count, times, first, last, first_status, last_status, usable, minimum,"
        " maximum, sum, integral, good_ns, uncertain_ns, bad_ns, value_data, quality_data"
    )
    change(
        state / "history" / "2026-11-20.sqlite",
        f"INSERT INTO blocks({columns}) SELECT {columns} FROM blocks WHERE id = 2",  # noqa: S608 - a constant
    )
    faults, _ = found_in(state / "history")
    assert ["share time" in fault.what for fault in faults] == [True]


def test_a_day_under_a_wrong_name_is_told(state):
    (state / "history" / "2026-11-20.sqlite").rename(state / "history" / "2026-11-19.sqlite")
    faults, _ = found_in(state / "history")
    assert {fault.what.split(": ")[1] for fault in faults} == {"its times are not of this day"}


def test_files_that_are_none_are_told_and_the_rest_is_read(state):
    (state / "history" / "2026-11-20.sqlite").write_bytes(b"garbage" * 1000)
    (state / "history" / "catalogue.sqlite").write_bytes(b"garbage" * 1000)
    (journal,) = segments(state / "history").values()
    journal.write_bytes(b"garbage" * 10)
    faults, tally = found_in(state / "history")
    assert [fault.file for fault in faults] == [
        f"journal/{journal.name}",
        "catalogue.sqlite",
        "2026-11-20.sqlite",
    ]
    assert tally.samples == 2_500


def test_damage_in_the_middle_of_the_journal_is_told(filled):
    filled.write("b.power_kw", [NOON + 600 * SECOND], [1.0])
    (journal,) = segments(filled.directory).values()
    data = bytearray(journal.read_bytes())
    data[200] ^= 1
    journal.write_bytes(data)
    faults, _ = found_in(filled.directory)
    assert ["are damaged" in fault.what for fault in faults] == [True]


def test_a_backup_is_compared_with_its_manifest_and_read_and_left_as_it_was(filled, tmp_path, capsys):
    made = backup.back_up(filled.directory, tmp_path / "backups", quietly)
    before = sorted(path.name for path in made.path.rglob("*"))
    assert history_command("verify", made.path) == 0
    assert sorted(path.name for path in made.path.rglob("*")) == before
    assert "5,000 samples" in capsys.readouterr().out
    victim = made.path / "2026-11-21.sqlite"
    victim.write_bytes(victim.read_bytes()[:-4096])
    (made.path / "catalogue.sqlite").unlink()
    assert history_command("verify", tmp_path / "backups") == 1
    out = capsys.readouterr().out
    assert "2026-11-21.sqlite has " in out
    assert "lacks catalogue.sqlite" in out


def test_a_tar_is_compared_with_its_manifest(filled, tmp_path, capsys):
    made = backup.back_up_to_tar(filled.directory, tmp_path / "b.tar", quietly)
    assert history_command("verify", made.path) == 0
    assert capsys.readouterr().out == (
        "compared with its manifest: all as it should be; restore it to read what is in it\n"
    )
    data = bytearray(made.path.read_bytes())
    data[data.index(b"SQLite format 3") + 5_000] ^= 1
    made.path.write_bytes(data)
    assert history_command("verify", made.path) == 1
    assert "its SHA-256 differs" in capsys.readouterr().out


def test_stats_count_days_tags_samples_and_bytes(state, capsys):
    assert history_command("stats", "--state", state, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(day["file"], day["samples"], day["tags"]) for day in found["days"]] == [
        ("2026-11-20.sqlite", 2_500, 5),
        ("2026-11-21.sqlite", 2_500, 5),
    ]
    assert found["journal_samples"] == 500
    assert {tag["tag"] for tag in found["tags"]} == {"a.power_kw", "a.count", "a.energy_wh", "a.on", "a.name"}
    assert found["tags"][0]["tag"] == "a.power_kw"
    assert found["total_bytes"] >= sum(day["bytes"] for day in found["days"])
    assert history_command("stats", "--state", state) == 0
    text = capsys.readouterr().out
    assert "2026-11-20T12:00:00Z to 2026-11-21T12:08:19Z" in text
    assert "until the disk is full" in text


def test_the_first_limit_in_sight_is_told(filled):
    day = stats.read_stats(filled.directory, None, day_of(NOON))
    total, growth = day.total_bytes, day.growth
    settings = HistorianSettings(max_disk=round(total + 10 * growth))
    found = stats.read_stats(filled.directory, settings, day_of(NOON))
    assert round(found.days_left or 0) == 10
    assert found.limit == "max_disk is reached and the oldest days are dropped"
    found = stats.read_stats(filled.directory, HistorianSettings(keep_days=1), day_of(NOON))
    assert (found.days_left, found.limit) == (None, "never: keep_days drops the oldest days in 0 days")


def test_stats_name_a_day_that_cannot_be_read(state, capsys):
    (state / "history" / "2026-11-20.sqlite").write_bytes(b"garbage" * 1000)
    assert history_command("stats", "--state", state) == 1
    assert "cannot be read: 2026-11-20.sqlite" in capsys.readouterr().out
