"""`tieline anomaly score` on files, and what it says of those it cannot use."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from gateway.node.cli import main
from historian.anomaly import Window, judge

NS = 10**9
START = datetime(2026, 6, 1, tzinfo=UTC)
SPIKES = (500, 700)


def at(second: int) -> str:
    return (START + timedelta(seconds=second)).isoformat()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """1,000 s of two tags; one jumps for 10 s twice. A cell is empty, as a value of Bad quality is."""
    values = 100 + np.random.default_rng(0).normal(0, 1, (1_000, 2))
    for spike in SPIKES:
        values[spike : spike + 10, 0] += 30
    lines = [f"{at(second)},{one:.3f},{two:.3f}" for second, (one, two) in enumerate(values)]
    lines[50] = f"{at(50)},,100.0"
    path = tmp_path / "day.csv"
    path.write_text("\n".join(["time,a.power_kw,b.power_kw", *lines]) + "\n")
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    rows = [f"{at(spike)},{at(spike + 10)},spike" for spike in SPIKES]
    path.write_text("\n".join(["start,end,what", *rows, f"{at(900)},{at(950)},nothing to see"]) + "\n")
    return path


def test_false_and_missed_alarms_are_told_together(
    table: Path, labels: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scores = tmp_path / "scores.csv"
    args = ["anomaly", "score", str(table), "--labels", str(labels), "--scores", str(scores)]
    detectors = ["--detector", "gaussian window=200 least=50", "--detector", "range"]
    assert main([*args, *detectors, "--format", "json"]) == 0
    gaussian, by_range, together = json.loads(capsys.readouterr().out)
    assert gaussian["missed"] == 1
    assert [what for _, what in gaussian["missed_windows"]] == ["nothing to see"]
    assert gaussian["false_alarms"] == 0
    assert gaussian["delay_longest_s"] == 0
    assert by_range["missed"] == 1
    assert together["windows"] == 3
    assert scores.read_text().splitlines()[0] == (
        "time,gaussian:a.power_kw,gaussian:b.power_kw,range:a.power_kw,range:b.power_kw"
    )
    assert len(scores.read_text().splitlines()) == 751


def test_the_table_is_read_by_people_too(
    table: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["anomaly", "score", str(table), "--labels", str(labels), "--hold-off", "3s"]) == 0
    out = capsys.readouterr().out
    assert "missed %" in out
    assert "gaussian  1 of 3" in out
    assert "3 s" in out
    assert "nothing to see" in out
    assert main(["anomaly", "score", str(table), "--labels", str(labels), "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("detector,windows,missed,missed_pct,false_alarms")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--detector", "gausian"], "no detector is called 'gausian' (did you mean gaussian?)"),
        (["--detector", "rate limt=3"], "rate has no parameter 'limt' (did you mean limit?)"),
        (["--detector", "rate limit=x"], "limit of rate is a number, not 'x'"),
        (["--detector", "rate 3"], "'3' is no parameter; write KEY=VALUE"),
        (["--detector", "balance sources=a.power_kw"], "balance needs loads: give loads=TAG,TAG"),
        (["--columns", "c.power_kw"], "the table has no c.power_kw; it has a.power_kw, b.power_kw"),
        (["--train", "1"], "--train 1.0 does not lie between 0 and 1"),
        (["--train", "0.6"], "in what is learned from; give a smaller --train"),
        (["--threshold", "2"], "a threshold of 2.0"),
        (["--hold-off", "soon"], "'soon' is not a duration"),
        (["--zone", "Mars"], "--zone 'Mars' is no time zone"),
    ],
)
def test_a_wrong_question_is_told_and_how_to_mend_it(
    table: Path, labels: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["anomaly", "score", str(table), "--labels", str(labels), *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: no columns; write a head line such as time,pcc.power_kw"),
        ("time,a\n", "a head line and nothing below it"),
        ("time,a,a\n", "line 1: the column 'a' a second time"),
        ("time,a\n2026-06-01T00:00:00Z\n", "line 2: 1 cells; the head line has 2"),
        ("time,a\n2026-06-01T00:00:00Z,1\n1 June,1\n", "line 3, column 'time': '1 June' is not a time"),
        ("time,a\n-1h,1\n", "line 2, column 'time': '-1h' is not a time of a file"),
        (
            "time,a\n2026-06-01T00:00:00Z,1\n2026-06-01T00:00:00Z,1\n",
            "line 3: 2026-06-01T00:00:00Z is not after",
        ),
        (
            "time,a\n2026-06-01T00:00:00Z,one\n",
            "line 2, column 'a': 'one' is not a number; leave the cell empty",
        ),
    ],
)
def test_a_wrong_table_is_told_with_line_and_column(
    tmp_path: Path, labels: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    assert main(["anomaly", "score", str(path), "--labels", str(labels)]) == 2
    err = capsys.readouterr().err
    assert f"{path}" in err
    assert said in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("begin,end\n", "line 1: no column 'start'"),
        ("start,end\n", "without labels nothing can be missed"),
        (
            "start,end\n2026-06-01T00:10:00Z,2026-06-01T00:10:00Z\n",
            "line 2: the end 2026-06-01T00:10:00Z is not",
        ),
        ("start,end\n2027-06-01T00:10:00Z,2027-06-01T00:11:00Z\n", "lies outside of"),
    ],
)
def test_wrong_labels_are_told(
    tmp_path: Path, table: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    assert main(["anomaly", "score", str(table), "--labels", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["anomaly", "score", "nowhere.csv", "--labels", str(labels)]) == 1
    assert "nowhere.csv" in capsys.readouterr().err


def test_flagging_everything_misses_nothing_and_is_seen_for_what_it_is() -> None:
    times = np.arange(100) * NS
    verdict = judge(times, np.ones(100, np.bool_), [Window(50 * NS, 60 * NS)])
    assert verdict.missed_share == 0
    assert verdict.false_share == 1.0
    verdict = judge(times, np.zeros(100, np.bool_), [Window(50 * NS, 60 * NS)])
    assert verdict.missed_share == 1
    assert verdict.false_share == 0


def test_an_alarm_soon_after_its_window_is_not_false() -> None:
    times = np.arange(100) * NS
    alarms = np.zeros(100, np.bool_)
    alarms[55:65] = alarms[80] = True
    verdict = judge(times, alarms, [Window(50 * NS, 60 * NS)], grace_s=6)
    assert verdict.delays_s == (5.0,)
    assert (verdict.false_alarms, verdict.false_rows, verdict.sound_rows) == (1, 1, 84)
    assert judge(times, alarms, [Window(50 * NS, 60 * NS)]).false_rows == 6
