"""Days and times as people of the site know them, through the changes of their clocks."""

from __future__ import annotations

import argparse
import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from historian_folder import NOON, SECOND

from historian import cli
from historian.keeping.zone import note_zone, zone_of
from historian.times import day_edges, iso, parse_time, whole_days

BERLIN, UTC = ZoneInfo("Europe/Berlin"), datetime.UTC
HOUR = 3600 * SECOND


def at(text: str) -> int:
    return parse_time(text, NOON)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-20", "2026-11-19T23:00Z"),
        ("2026-07-20", "2026-07-19T22:00Z"),
        ("2026-11-20T06:30", "2026-11-20T05:30Z"),
        ("2026-11-20T06:30Z", "2026-11-20T06:30Z"),
        ("2026-11-20T06:30-05:00", "2026-11-20T11:30Z"),
        ("2026-10-25T02:30+02:00", "2026-10-25T00:30Z"),
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30Z"),
    ],
)
def test_a_time_without_an_offset_is_of_the_sites_zone(text, same):
    assert parse_time(text, NOON, BERLIN) == at(same)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-10-25T02:30", "2026-10-25T02:30:00 comes twice when the clocks of Europe/Berlin change"),
        ("2026-03-29T02:30", "2026-03-29T02:30:00 is left out when the clocks of Europe/Berlin change"),
    ],
)
def test_a_time_that_clocks_show_twice_or_never_is_refused(text, told):
    with pytest.raises(ValueError, match=told):
        parse_time(text, NOON, BERLIN)


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-03-28", "2026-03-31", [24, 23, 24]),
        ("2026-10-24", "2026-10-27", [24, 25, 24]),
        ("2026-10-24T12:00", "2026-10-26T12:00", [25, 24]),
        ("2026-10-24", "2026-10-25T01:00", [24, 25]),
    ],
)
def test_a_day_has_23_or_25_hours_when_the_clocks_change(start, end, hours):
    edges = day_edges(parse_time(start, NOON, BERLIN), parse_time(end, NOON, BERLIN), 1, BERLIN)
    assert [step // HOUR for step in np.diff(edges).tolist()] == hours


def test_a_week_has_its_hour_more_or_less_too():
    edges = day_edges(
        parse_time("2026-10-19", NOON, BERLIN), parse_time("2026-11-02", NOON, BERLIN), 7, BERLIN
    )
    assert [step // HOUR for step in np.diff(edges).tolist()] == [7 * 24 + 1, 7 * 24]


@pytest.mark.parametrize(
    ("text", "days"), [("1d", 1), ("2w", 14), ("3.0d", 3), ("1.5d", 0), ("24h", 0), ("x", 0)]
)
def test_only_what_is_written_in_days_is_days(text, days):
    assert whole_days(text) == days


def test_times_are_shown_with_the_offset_of_their_moment():
    times = np.array([at("2026-10-25T00:30Z"), at("2026-10-25T01:30Z"), at("2026-07-01T00:00:00.5Z")])
    assert iso(times, BERLIN) == [
        "2026-10-25T02:30:00.000+02:00",
        "2026-10-25T02:30:00.000+01:00",
        "2026-07-01T02:00:00.500+02:00",
    ]
    assert iso(np.array([at("2026-07-01T00:00Z")]), ZoneInfo("America/St_Johns")) == [
        "2026-06-30T21:30:00-02:30"
    ]
    assert iso(np.empty(0, np.int64), BERLIN) == []


@pytest.fixture
def state(folder):
    """A value an hour, 2026-10-24 to 27 UTC, of a site in Berlin."""
    start = at("2026-10-23T00:00Z")
    folder.write("a.power_kw", start + np.arange(100) * HOUR, np.arange(100.0))
    note_zone(folder.directory, "Europe/Berlin")
    folder.recorder.close()
    folder.directory.rename(folder.directory.with_name("history"))
    return folder.directory.parent


def ask(state, capsys, *arguments: object) -> list[str]:
    parser = argparse.ArgumentParser(prog="tieline")
    cli.add_commands(parser.add_subparsers())
    args = parser.parse_args(["history", "a.power_kw", "--state", str(state), *map(str, arguments)])
    assert args.run(args) == 0
    out: str = capsys.readouterr().out
    return out.splitlines()


def test_from_a_date_is_from_local_midnight_and_shown_so(state, capsys):
    lines = ask(state, capsys, "--from", "2026-10-25", "--to", "2026-10-26")
    assert [line.split()[0] for line in lines[2:]][:4] == [
        "2026-10-25T00:00:00+02:00",
        "2026-10-25T01:00:00+02:00",
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
    ]
    assert len(lines) == 2 + 25


def test_utc_is_there_for_the_asking(state, capsys):
    lines = ask(state, capsys, "--from", "2026-10-25", "--to", "2026-10-26", "--utc")
    assert lines[2].split()[0] == "2026-10-25T00:00:00Z"
    assert len(lines) == 2 + 24


def test_files_for_programs_are_in_utc(state, capsys):
    lines = ask(state, capsys, "--from", "2026-10-25", "--to", "2026-10-26", "--format", "csv")
    assert lines[1].startswith("2026-10-24T22:00:00Z,")


def test_averages_by_the_day_are_of_local_days(state, capsys):
    options = (
        "--from",
        "2026-10-24",
        "--to",
        "2026-10-27",
        "--aggregate",
        "time-average",
        "--interval",
        "1d",
    )
    lines = ask(state, capsys, *options, "--limit", 2)
    assert [line.split()[:2] for line in lines[2:]] == [
        ["2026-10-24T00:00:00+02:00", f"{22 + 11.5:.2f}"],
        ["2026-10-25T00:00:00+02:00", f"{46 + 12:.2f}"],
    ]


def test_where_no_zone_is_noted_it_is_utc(folder, tmp_path):
    assert zone_of(folder.directory) is UTC
    assert zone_of(tmp_path) is UTC
    note_zone(folder.directory, "UTC")
    assert zone_of(folder.directory) is UTC
    note_zone(folder.directory, "Nowhere/Here")
    assert zone_of(folder.directory) is UTC
