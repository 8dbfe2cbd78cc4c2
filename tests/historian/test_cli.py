"""`tieline history` on the terminal, in a pipe, and into files other programs open."""

from __future__ import annotations

import argparse
import csv
import io
import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as parquet
import pytest
from historian_folder import NOON, SECOND, Clock

from gateway.tags.aggregate import Aggregate
from historian import cli, export
from historian.times import iso, parse_duration, parse_time

NOON_ISO = "2026-11-21T12:00:00"


@pytest.fixture
def state(folder):
    """A state folder whose history holds ten seconds of power, a name, and one Bad sample."""
    folder.write("a.power_kw", NOON + np.arange(10) * SECOND, np.arange(10) / 4)
    folder.pack()
    folder.write("a.power_kw", [NOON + 10 * SECOND], [2.25], 0x8005_0000)
    folder.write("a.name", [NOON], ["Störung; idle"])
    folder.recorder.close()
    folder.directory.rename(folder.directory.with_name("history"))
    return folder.directory.parent


def ask(*arguments: object) -> int:
    parser = argparse.ArgumentParser(prog="tieline")
    cli.add_commands(parser.add_subparsers())
    args = parser.parse_args(["history", *map(str, arguments)])
    status: int = args.run(args)
    return status


def during(state, tag="a.power_kw", *more):
    return ask(tag, "--state", state, "--from", NOON_ISO, "--to", f"{NOON_ISO[:-2]}30", *more)


def test_a_table_names_tag_unit_values_and_qualities(state, capsys):
    assert during(state) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a.power_kw (kW)"
    assert lines[1].split() == ["time", "value", "quality"]
    assert lines[2].split() == ["2026-11-21T12:00:00Z", "0.0", "Good"]
    assert lines[-1].split() == ["2026-11-21T12:00:10Z", "2.2", "Bad_CommunicationError"]
    assert len(lines) == 13


def test_csv_holds_numbers_in_full(state, capsys):
    assert during(state, "a.power_kw", "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(row["value"]) for row in rows] == [*(n / 4 for n in range(10)), 2.25]
    assert rows[-1] == {
        "time": "2026-11-21T12:00:10Z",
        "value": "2.25",
        "quality": "Bad_CommunicationError",
        "status": str(0x8005_0000),
    }


def test_json_is_one_object(state, capsys):
    assert during(state, "a.name", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "tag": "a.name",
        "type": "string",
        "unit": None,
        "samples": [
            {"time": "2026-11-21T12:00:00Z", "value": "Störung; idle", "quality": "Good", "status": 0}
        ],
    }


def test_averages_say_how_much_was_good(state, capsys):
    options = ("--aggregate", "time-average", "--interval", "10s", "--format", "json", "--limit", "2")
    assert during(state, "a.power_kw", *options) == 0
    samples = json.loads(capsys.readouterr().out)["samples"]
    assert samples[0] == {
        "time": "2026-11-21T12:00:00Z",
        "average": 1.125,
        "percent_good": 100.0,
        "quality": "Good",
        "status": 0,
    }
    assert samples[1] == {
        "time": "2026-11-21T12:00:10Z",
        "average": None,
        "percent_good": 0.0,
        "quality": "Bad_NoData",
        "status": 0x809B_0000,
    }


def test_parquet_opens_with_times_and_unit(state, tmp_path):
    file = tmp_path / "out.parquet"
    assert during(state, "a.power_kw", "--format", "parquet", "--output", file) == 0
    table = parquet.read_table(file)
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]"
    assert table.column("value").to_pylist() == [*(n / 4 for n in range(10)), 2.25]
    assert table.column("time").cast("int64").to_pylist() == [NOON + n * SECOND for n in range(11)]
    assert table.schema.metadata[b"unit"] == b"kW"


def test_parquet_without_pyarrow_says_what_to_install(state, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert during(state, "a.power_kw", "--format", "parquet", "--output", tmp_path / "x") == 2
    assert "pip install 'tieline[analytics]'" in capsys.readouterr().err


def test_a_limit_gives_the_first_rows(state, capsys):
    assert during(state, "a.power_kw", "--limit", "3", "--format", "csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_an_unknown_tag_names_near_ones(state, capsys):
    assert during(state, "a.powr_kw") == 1
    assert (
        capsys.readouterr().err
        == "tieline history: a.powr_kw has no history; did you mean a.power_kw or b.power_kw?\n"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--from", "yesterday"), "'yesterday' is not a time"),
        (("--from", "now", "--to", "-1h"), "does not lie after"),
        (("--interval", "1m"), "--interval needs --aggregate"),
        (("--aggregate", "Minimun"), "no aggregate is called 'Minimun': did you mean Minimum"),
        (("--aggregate", "Minimum,time-average"), "no aggregate is called 'time-average'"),
        (("--treat-uncertain-as-bad",), "--treat-uncertain-as-bad needs --aggregate of OPC UA"),
        (
            ("--aggregate", "time-average", "--percent-data-good", "50"),
            "--percent-data-good needs --aggregate",
        ),
        (("--aggregate", "Count", "--percent-data-good", "50", "--percent-data-bad", "40"), "at least 100"),
        (("--aggregate", "time-average", "--interval", "1y"), "'1y' is not a duration"),
        (("--limit", "0"), "--limit must be at least 1"),
    ],
)
def test_a_wrong_question_is_told_with_status_2(state, capsys, options, told):
    assert ask("a.power_kw", "--state", state, *options) == 2
    assert told in capsys.readouterr().err


def test_an_average_of_a_string_is_told_with_status_2(state, capsys):
    assert during(state, "a.name", "--aggregate", "time-average") == 2
    assert "is a string" in capsys.readouterr().err


def test_without_a_site_it_asks_for_one(capsys):
    assert ask("a.power_kw") == 2
    assert "--site SITE or --state DIR" in capsys.readouterr().err


def test_a_folder_without_history_is_told(tmp_path, capsys):
    assert ask("a.power_kw", "--state", tmp_path) == 1
    assert "no historian has run" in capsys.readouterr().err


def test_a_damaged_file_is_named_and_the_rest_printed(state, capsys):
    path = state / "history" / "2026-11-21.sqlite"
    path.write_bytes(b"garbage" * 1000)
    assert during(state, "a.power_kw", "--format", "csv") == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert f"damaged, and left out: {path}" in captured.err


def test_a_pipe_that_closes_early_is_no_error(state):
    script = (
        "import argparse, sys; from historian import cli; p = argparse.ArgumentParser();"
        " cli.add_commands(p.add_subparsers()); a = p.parse_args(sys.argv[1:]); sys.exit(a.run(a))"
    )
    command = [sys.executable, "-c", script, "history", "a.power_kw", "--state", str(state)]
    command += ["--from", NOON_ISO, "--to", "2026-11-22", "--aggregate", "time-average", "--interval", "1s"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "a.power_kw (kW)\n"
    first.stdout.close()
    _, errors = first.communicate(timeout=30)
    assert (first.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("now", NOON),
        ("-1h", NOON - 3600 * SECOND),
        ("-1.5m", NOON - 90 * SECOND),
        ("2026-11-21T12:00:00", NOON),
        ("2026-11-21T13:00:00+01:00", NOON),
        ("2026-11-21T12:00:00Z", NOON),
        ("2026-11-21", NOON - 12 * 3600 * SECOND),
        ("2026-11-21T12:00:00.000001", NOON + 1000),
    ],
)
def test_times_are_read_as_people_write_them(text, ns):
    assert parse_time(text, Clock()()) == ns


def test_durations_are_read_as_people_write_them():
    assert [parse_duration(text) for text in ("250ms", "90s", "1m", "1.5h", "2d", "1w")] == [
        n * 10**6 for n in (250, 90_000, 60_000, 5_400_000, 172_800_000, 604_800_000)
    ]


def test_times_are_printed_as_finely_as_they_are():
    assert iso(np.array([NOON, NOON + SECOND])) == ["2026-11-21T12:00:00Z", "2026-11-21T12:00:01Z"]
    assert iso(np.array([NOON, NOON + 1])) == [
        "2026-11-21T12:00:00.000000000Z",
        "2026-11-21T12:00:00.000000001Z",
    ]
    assert iso(np.empty(0, np.int64)) == []


def test_every_calculated_quality_has_its_name():
    assert export.quality_name(0x40A4_0000) == "Uncertain_DataSubNormal"


def test_an_interval_longer_than_the_question_is_one_row_however_long(state, capsys):
    options = ("--aggregate", "time-average", "--interval", "999999999w", "--format", "json")
    assert during(state, "a.power_kw", *options) == 0
    assert len(json.loads(capsys.readouterr().out)["samples"]) == 1


def test_aggregates_of_opc_ua_side_by_side(state, capsys):
    names = "Minimum,MaximumActualTime,PercentGood,WorstQuality"
    assert during(state, "a.power_kw", "--aggregate", names, "--interval", "8s", "--format", "json") == 0
    samples = json.loads(capsys.readouterr().out)["samples"]
    assert [sample["time"] for sample in samples] == [f"2026-11-21T12:00:{s:02}Z" for s in (0, 8, 16, 24)]
    assert samples[0] == {
        "time": "2026-11-21T12:00:00Z",
        "Minimum": 0.0,
        "Minimum quality": "Good",
        "MaximumActualTime": 1.75,
        "MaximumActualTime at": "2026-11-21T12:00:07Z",
        "MaximumActualTime quality": "Good",
        "PercentGood": 100.0,
        "PercentGood quality": "Good, Calculated",
        "WorstQuality": "Good",
        "WorstQuality quality": "Good, Calculated",
        "quality": "Good",
        "status": 0,
    }
    doubtful = "Uncertain_DataSubNormal, Calculated"  # for the Bad sample
    assert (samples[1]["Minimum"], samples[1]["Minimum quality"]) == (2.0, doubtful)
    assert samples[1]["WorstQuality"] == "Bad_CommunicationError"
    assert samples[1]["quality"] == doubtful
    assert samples[2]["Minimum"] is None


def test_a_table_of_one_aggregate_leaves_empty_what_has_no_value(state, capsys):
    options = ("--aggregate", "average", "--interval", "20s", "--no-treat-uncertain-as-bad")
    assert during(state, "a.power_kw", *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["time", "Average", "quality"]
    assert lines[2].split() == ["2026-11-21T12:00:00Z", "1.12", "Uncertain_DataSubNormal,", "Calculated"]
    assert lines[3].split() == ["2026-11-21T12:00:20Z", "Bad_NoData"]


def test_aggregates_into_parquet_and_csv(state, tmp_path, capsys):
    file = tmp_path / "count.parquet"
    options = ("--aggregate", "Count,End", "--interval", "0s")
    assert during(state, "a.name", *options, "--format", "parquet", "--output", file) == 0
    table = parquet.read_table(file).to_pydict()
    assert (table["Count"], table["End"], table["End at"]) == (
        [1],
        ["Störung; idle"],
        ["2026-11-21T12:00:00Z"],
    )
    assert during(state, "a.name", *options, "--format", "csv") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["Count"], row["End"]) == ("1", "Störung; idle")
    assert during(state, "a.name", "--aggregate", "Minimum") == 2
    assert "strings have no Minimum" in capsys.readouterr().err


def test_every_aggregate_can_be_asked_for_by_its_name(state, capsys):
    for aggregate in Aggregate:
        assert during(state, "a.power_kw", "--aggregate", aggregate.title.upper(), "--interval", "10s") == 0
        assert aggregate.title in capsys.readouterr().out
