"""Samples of other historians come in whole or not at all, also while this one runs; exports go the other way."""

from __future__ import annotations

import argparse
import csv
import io
import os
import subprocess
import sys
import threading
import time

import duckdb
import numpy as np
import pandas
import pytest
from historian_folder import NOON, SECOND, TAGS

from gateway.config.site import HistorianSettings
from gateway.tags.image import Region
from historian import cli, part
from historian.keeping.importing import inbox as inboxes
from historian.keeping.importing.inbox import Inbox, Parcel, inbox_of, waiting
from historian.keeping.zone import note_zone
from historian.query.history import History
from historian.store.frame import SamplesFrame
from historian.times import parse_time

DAY = 86_400 * SECOND


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser(prog="tieline")
    cli.add_commands(parser.add_subparsers())
    args = parser.parse_args(["history", *map(str, arguments)])
    status: int = args.run(args)
    return status


def raw(state, tag):
    history = History(state / "history")
    try:
        series = history.raw(tag, 0, 2**62)
    except KeyError:
        return None
    finally:
        history.close()
    return list(
        zip(series.source_times.tolist(), series.values.tolist(), series.statuses.tolist(), strict=True)
    )


@pytest.fixture
def state(folder, tmp_path):
    """A state folder of a site in Berlin whose historian is not running."""
    folder.write("a.power_kw", [NOON], [1.5])
    folder.write("a.count", [NOON], [7])
    folder.pack()
    note_zone(folder.directory, "Europe/Berlin")
    folder.recorder.close()
    folder.directory.rename(tmp_path / "history")
    return tmp_path


def write(path, text):
    path.write_text(text)
    return path


def at(text):
    return parse_time(text, NOON)


def test_a_long_csv_becomes_samples_with_qualities_and_new_tags(state, tmp_path, capsys):
    file = write(
        tmp_path / "old.csv",
        "time,tag,value,quality\n"
        "2026-11-20T10:00:00Z,a.power_kw,2.5,Good\n"
        "2026-11-20T11:00:00+01:00,a.power_kw,3.5,Good\n"
        "2026-11-20 12:00:00.123456789,a.power_kw,4.5,Bad_SensorFailure\n"
        "2026-11-20T10:00:00Z,a.count,9007199254740993,\n"
        "2026-11-20T10:00:00Z,old.breaker,true,0x40000000\n"
        '2026-11-20T10:00:00Z,old.name,"Störung; ""x""",Good\n'
        "2026-11-20T10:00:00Z,old.level,,Bad\n",
    )
    assert command("import", file, "--state", state) == 0
    out = capsys.readouterr().out
    assert "7 samples, 2026-11-20T10:00:00.000000000Z" not in out
    assert "new tag old.breaker (bool)" in out
    assert raw(state, "a.power_kw") == [
        (at("2026-11-20T10:00Z"), 3.5, 0),
        (at("2026-11-20T11:00Z") + 123_456_789, 4.5, 0x808C_0000),
        (NOON, 1.5, 0),
    ]
    assert raw(state, "a.count")[0][1] == 9007199254740993
    assert raw(state, "old.breaker") == [(at("2026-11-20T10:00Z"), True, 0x4000_0000)]
    assert raw(state, "old.name") == [(at("2026-11-20T10:00Z"), 'Störung; "x"', 0)]
    ((_, level, status),) = raw(state, "old.level")
    assert level == ""
    assert status == 0x8000_0000


def test_importing_again_changes_nothing(state, tmp_path):
    file = write(tmp_path / "old.csv", "time,tag,value\n2026-11-20T10:00:00Z,a.power_kw,2.5\n")
    for _ in range(2):
        assert command("import", file, "--state", state) == 0
        assert raw(state, "a.power_kw") == [(at("2026-11-20T10:00Z"), 2.5, 0), (NOON, 1.5, 0)]
    assert command("verify", "--state", state) == 0


def test_a_wide_csv_has_a_column_a_tag_and_a_map_says_what_they_are_called(state, tmp_path):
    file = write(
        tmp_path / "wide.csv",
        "Zeitstempel;Leistung;Zaehler;Notiz\n1795168800;1.000,5;;x\n1795168860.25;2,5;12;y\n",
    )
    map = write(
        tmp_path / "map.yaml",
        "layout: wide\ntime: Zeitstempel\ntime_unit: s\ndelimiter: ';'\ndecimal: ','\nonly_named: true\n"
        "tags: {Leistung: a.power_kw, Zaehler: old.counter}\ntypes: {old.counter: uint64}\n",
    )
    assert command("import", file, "--map", map, "--state", state) == 0
    first = 1_795_168_800 * SECOND
    assert raw(state, "a.power_kw")[:2] == [(first, 1000.5, 0), (first + 60 * SECOND + SECOND // 4, 2.5, 0)]
    assert raw(state, "old.counter") == [(first + 60 * SECOND + SECOND // 4, 12, 0)]


def test_bad_lines_are_told_with_line_and_reason_and_nothing_is_imported(state, tmp_path, capsys):
    lines = [
        "2026-11-20T10:00:00Z,a.power_kw,2.5,Good",
        "yesterday,a.power_kw,2.5,Good",
        "2026-02-30T10:00:00Z,a.power_kw,2.5,Good",
        "2026-10-25T02:30:00,a.power_kw,2.5,Good",
        "2126-01-01T00:00:00Z,a.power_kw,2.5,Good",
        "1969-01-01T00:00:00Z,a.power_kw,2.5,Good",
        "2026-11-20T10:00:00Z,a.power_kw,two,Good",
        "2026-11-20T10:00:00Z,a.count,2.5,Good",
        "2026-11-20T10:00:00Z,PI:FIC101,2.5,Good",
        "2026-11-20T10:00:00Z,a.power_kw,2.5,Splendid",
        "2026-11-20T10:00:00Z,a.power_kw,,Good",
        "2026-11-20T10:00:00Z,a.power_kw",
    ]
    file = write(tmp_path / "old.csv", "\n".join(["time,tag,value,quality", *lines, ""]))
    assert command("import", file, "--state", state) == 1
    told = dict(line.split(": ", 1) for line in capsys.readouterr().err.splitlines()[1:])
    wanted = {
        3: "'yesterday' is not a time",
        4: "is a time that does not exist",
        5: "comes twice when the clocks of Europe/Berlin change",
        6: "lies in the future",
        7: "lies before 1970",
        8: "'two' is not a number",
        9: "'2.5' is not a whole number",
        10: "'PI:FIC101' is no tag's name",
        11: "the quality 'Splendid' is not known",
        12: "has no value, although it is not Bad",
        13: "has 2 fields instead of 4",
    }
    assert {
        line: reason in told.get(f"  line {line}", "") for line, reason in wanted.items()
    } == dict.fromkeys(wanted, True)
    assert len(told) == len(wanted)
    assert raw(state, "a.power_kw") == [(NOON, 1.5, 0)]
    assert not list(inbox_of(state / "history").iterdir())


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"when,tag,value\n", "no column 'time' among when, tag, value"),
        ("a.csv", b"time,time\n", "a column's name is there twice"),
        ("a.csv", b"time\n", "no column with values"),
        ("a.csv", b"time,tag,value\n2026-11-20T10:00:00Z,a.name,\xff\n", "is not UTF-8"),
        ("a.csv", b'time,tag,value\n2026-11-20T10:00:00Z,a.name,"x\n', "line 2"),
        ("a.parquet", b"garbage" * 10, "is no Parquet file"),
    ],
)
def test_a_file_that_is_none_is_told(state, tmp_path, capsys, name, data, told):
    (tmp_path / name).write_bytes(data)
    assert command("import", tmp_path / name, "--state", state) == 1
    assert told in capsys.readouterr().err


def test_a_map_that_is_wrong_is_told_by_line_and_column(state, tmp_path, capsys):
    map = write(tmp_path / "map.yaml", "layout: broad\ntags: {X: Pi.tag}\ntime_zone: Europe/Berlln\nfoo: 1\n")
    assert command("import", tmp_path / "none.csv", "--map", map, "--state", state) == 1
    errors = capsys.readouterr().err
    for place in ("1:9", "2:11", "3:12", "4:1"):
        assert f"map.yaml:{place}" in errors


def test_a_dry_run_tells_and_does_nothing(state, tmp_path, capsys):
    file = write(tmp_path / "old.csv", "time,tag,value\n2026-11-20T10:00:00Z,new.level,2.5\n")
    assert command("import", file, "--dry-run", "--state", state) == 0
    assert (
        "1 samples, 2026-11-20T10:00:00Z to 2026-11-20T10:00:00Z; nothing was imported"
        in capsys.readouterr().out
    )
    assert raw(state, "new.level") is None


def test_parquet_of_pandas_long_and_wide(state, tmp_path):
    times = pandas.date_range("2026-11-20T10:00", periods=3, freq="h", tz="UTC")
    wide = pandas.DataFrame({"time": times, "a.power_kw": [1.0, np.nan, 3.0], "old.on": [True, False, True]})
    wide.to_parquet(tmp_path / "wide.parquet")
    naive = pandas.DataFrame(
        {
            "time": times.tz_localize(None),
            "tag": ["old.level", "old.name", "old.level"],
            "value": ["1", "x", "3"],
        }
    )
    naive.to_parquet(tmp_path / "long.parquet")
    assert command("import", tmp_path / "wide.parquet", tmp_path / "long.parquet", "--state", state) == 0
    assert [value for _, value, _ in raw(state, "old.on")] == [True, False, True]
    found = [value for _, value, _ in raw(state, "a.power_kw")]
    assert found[0] == 1.0
    assert raw(state, "old.level")[0] == (at("2026-11-20T09:00Z"), 1.0, 0), "of the site's zone"
    assert raw(state, "old.name") == [(at("2026-11-20T10:00Z"), "x", 0)]


def test_a_running_historian_takes_it_in_and_keeps_recording(tmp_path, capsys):
    with Region.create(f"test_import_{os.getpid()}", [tag.spec() for tag in TAGS]) as region:
        stop, ready = threading.Event(), threading.Event()
        settings = HistorianSettings(flush_ms=20, block_s=1)
        arguments = (region.name, tmp_path / "history", TAGS, settings, stop, ready.set)
        recording = threading.Thread(target=part.record, args=arguments)
        recording.start()
        try:
            assert ready.wait(20)
            writer = region.claim("drivers")
            lines = [f"2026-11-20T10:{n // 60:02}:{n % 60:02}Z,b.power_kw,{n / 8}" for n in range(3000)]
            file = write(tmp_path / "old.csv", "\n".join(["time,tag,value", *lines, ""]))
            writer.write(region.indexes_of(["b.power_kw"]), np.array([5.0]).view(np.uint64), 0, NOON, NOON)
            assert command("import", file, "--state", tmp_path) == 0
            found = [value for _, value, _ in raw(tmp_path, "b.power_kw")]
            give_up = time.monotonic() + 20
            while len(found) < 3001 and time.monotonic() < give_up:
                time.sleep(0.02)
                found = [value for _, value, _ in raw(tmp_path, "b.power_kw")]
            assert found == [*(n / 8 for n in range(3000)), 5.0]
            bad = write(tmp_path / "bad.csv", "time,tag,value\n2026-11-20T10:00:00Z,a.on,maybe\n")
            assert command("import", bad, "--state", tmp_path) == 1
        finally:
            stop.set()
            recording.join(20)
    assert waiting(inbox_of(tmp_path / "history")) == []


def parcel_of(folder, name, times, values):
    rows = []
    folder.recorder.offer = rows.append
    folder.write(name, times, values, flush=False)
    del folder.recorder.offer
    with Parcel(folder.directory, NOON) as parcel:
        found = rows[0].rows
        found.tags[:] = 1
        parcel.add(found)
        return parcel.hand_in({1: (name, folder.entries[name].type)})


@pytest.fixture
def door(folder):
    def insert(rows):
        folder.recorder.offer(SamplesFrame(1, NOON, {"drivers": (0, 0)}, rows))

    return Inbox(folder.directory, folder.recorder, insert)


def test_a_parcel_stays_until_all_of_it_is_durable_and_is_taken_again_after_a_crash(folder, door):
    path = parcel_of(folder, "a.count", NOON + np.arange(10), np.arange(10))
    assert door.step()
    assert not door.step()
    assert path.exists(), "nothing is durable yet"
    folder.recorder.close()
    folder.reopen()
    assert folder.raw("a.count") == []

    def insert(rows):
        folder.recorder.offer(SamplesFrame(1, NOON, {"drivers": (0, 0)}, rows))

    again = Inbox(folder.directory, folder.recorder, insert)
    for _ in range(3):
        again.step()
        assert folder.recorder.flush()
    again.step()
    assert not path.exists()
    assert again.is_idle
    assert [value for _, value, _ in folder.raw("a.count")] == list(range(10))


def test_a_long_import_leaves_room_for_live_samples(folder, door, monkeypatch):
    monkeypatch.setattr(inboxes, "MAX_WAITING_BYTES", 1000)
    monkeypatch.setattr(inboxes, "FRAME_ROWS", 1)
    for n in range(4):
        parcel = parcel_of(folder, "a.count", [NOON + 10 * n + k for k in range(10)], range(10))
        parcel.rename(parcel.with_name(f"{n:020}-1"))
    steps = 0
    while not door.is_idle and steps < 100:
        door.step()
        assert folder.recorder.pending_bytes < 1000 + 10 * 24
        assert folder.recorder.flush()
        steps += 1
    assert len(folder.raw("a.count")) == 40


def test_a_damaged_parcel_is_set_aside_with_its_reason(folder, door, caplog):
    path = parcel_of(folder, "a.count", [NOON], [1])
    (file,) = path.glob("*.journal")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert not door.step()
    assert "is damaged" in (inboxes.reason_of(path) or "")
    assert "an import is refused" in caplog.text
    assert door.is_idle
    assert folder.recorder.pending == 0


def test_a_parcel_whose_tag_is_of_another_type_by_now_is_refused(folder, door):
    with Parcel(folder.directory, NOON) as parcel:
        path = parcel.hand_in({1: ("a.count", folder.entries["a.power_kw"].type)})
    door.step()
    assert inboxes.reason_of(path) == "a.count is of type int64 by now, not double"


@pytest.fixture
def exported(folder, tmp_path):
    """Two local days of Berlin, every type."""
    start = at("2026-11-19T23:00Z")
    times = start + np.arange(48) * 3600 * SECOND
    folder.write("a.power_kw", times, np.arange(48) / 4)
    folder.write("a.count", times[:2], [2**53 + 1, -3])
    folder.write("a.on", times[:2], [True, False])
    folder.write("a.name", times[:2], ["Störung, heiß", ""])
    folder.pack()
    folder.write("a.power_kw", [times[-1] + 1], [0.0], 0x8005_0000)
    note_zone(folder.directory, "Europe/Berlin")
    folder.recorder.close()
    folder.directory.rename(tmp_path / "history")
    return tmp_path


SPAN = ("--from", "2026-11-20", "--to", "2026-11-22")


def test_a_csv_export_opens_in_pandas_duckdb_and_csv_readers(exported, tmp_path):
    file = tmp_path / "all.csv"
    assert command("export", "--state", exported, *SPAN, "--output", file) == 0
    assert not file.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert len(rows) == 55
    frame = pandas.read_csv(file, parse_dates=["time"])
    assert str(frame.time.dt.tz) == "UTC"
    assert frame.groupby("tag").size().to_dict() == {"a.count": 2, "a.name": 2, "a.on": 2, "a.power_kw": 49}
    kinds = duckdb.sql(f"SELECT DISTINCT typeof(time) FROM '{file}'").fetchall()  # noqa: S608 - our own file
    assert kinds == [("TIMESTAMP WITH TIME ZONE",)]
    question = f"SELECT avg(value::DOUBLE) FROM read_csv('{file}', all_varchar=true) WHERE tag = 'a.power_kw' AND status = '0'"  # noqa: S608, E501
    ((found,),) = duckdb.sql(question).fetchall()
    assert found == np.mean(np.arange(48) / 4)


def test_a_parquet_export_by_day_opens_as_partitions(exported, tmp_path):
    target = tmp_path / "lake"
    options = ("--format", "parquet", "--partition", "day", "--output", target)
    assert command("export", "--state", exported, "--from", "2026-11-18", "--to", "2026-11-22", *options) == 0
    assert sorted(path.name for path in target.iterdir()) == ["date=2026-11-20", "date=2026-11-21"]
    question = f"SELECT CAST(date AS VARCHAR), count(*), min(value) FROM read_parquet('{target}/*/*.parquet', hive_partitioning=true) WHERE tag = 'a.power_kw' GROUP BY date ORDER BY date"  # noqa: S608, E501
    assert duckdb.sql(question).fetchall() == [("2026-11-20", 24, 0.0), ("2026-11-21", 25, 0.0)]
    frame = pandas.read_parquet(target, filters=[("tag", "==", "a.count")])
    assert frame.text.tolist()[0] == str(2**53 + 1)
    assert frame.value.tolist()[1] == -3


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_what_was_exported_is_imported_to_the_same_samples(exported, tmp_path, format):
    file = tmp_path / f"all.{format}"
    assert command("export", "--state", exported, *SPAN, "--format", format, "--output", file) == 0
    map = write(tmp_path / "map.yaml", "types: {a.count: int64, a.on: bool, a.name: string}\n")
    assert command("import", file, "--map", map, "--state", tmp_path / "other") == 0
    for tag in ("a.power_kw", "a.count", "a.on"):
        assert raw(tmp_path / "other", tag) == raw(exported, tag)
    assert [value for _, value, _ in raw(tmp_path / "other", "a.name")] == ["Störung, heiß", ""]


def test_patterns_choose_tags_and_none_is_told(exported, capsys):
    assert command("export", "a.c*", "a.on", "--state", exported, *SPAN) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["tag"] for row in rows} == {"a.count", "a.on"}
    assert command("export", "z.*", "--state", exported) == 1
    assert "no tag with history matches z.*" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--format", "parquet"), "give --output"),
        (("--partition", "day", "--output", "x"), "--partition is for --format parquet"),
        (("--from", "now", "--to", "-1h"), "does not lie after"),
    ],
)
def test_a_wrong_export_is_told_with_status_2(exported, capsys, options, told):
    assert command("export", "--state", exported, *options) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["export", *SPAN], ["stats"]])
def test_a_pipe_that_closes_early_is_no_error(exported, verb):
    script = (
        "import argparse, sys; from historian import cli; p = argparse.ArgumentParser();"
        " cli.add_commands(p.add_subparsers()); a = p.parse_args(sys.argv[1:]); sys.exit(a.run(a))"
    )
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", script, "history", *verb, "--state", str(exported)]
    with os.fdopen(writing, "wb") as pipe:
        ended = subprocess.run(
            command, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert (ended.returncode, ended.stderr) == (0, "")
