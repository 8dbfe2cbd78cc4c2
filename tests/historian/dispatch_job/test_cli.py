"""``tieline dispatch plan`` and ``simulate`` over a CSV: what is printed, drawn and refused."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.node.cli import main

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
STEPS = 32  # of half an hour: short, as each is a solver's run


@pytest.fixture
def plant(tmp_path: Path, site: Any) -> Path:
    path = tmp_path / "site.yaml"
    text = site.files[0].read_text(encoding="utf-8")
    text = text.replace("step_min: 15", "step_min: 30").replace("horizon_h: 12", "horizon_h: 8")
    path.write_text(text, encoding="utf-8")
    return path


def record(folder: Path, *, limit_kw: float = 60.0, load_kw: float = 20.0) -> Path:
    lines = ["time,load.power,sun.power,car.connected,car.state_of_charge,battery.state_of_charge,d.limit_kw"]
    for k in range(STEPS):
        time, hour = BEGIN + k * timedelta(minutes=30), k / 2
        sun = max(40 * math.sin(math.pi * (hour - 6) / 12), 0.0)
        lines.append(f"{time.isoformat()},{load_kw},{sun:.1f},{1 <= hour < 9},20,60,{limit_kw}")
    path = folder / "record.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_a_plan_from_a_record_is_a_table_of_hours_with_what_it_costs(
    plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("dispatch", "plan", plant, "--csv", record(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["time", "tie", "kW"]
    assert [line[:16] for line in lines[1:3]] == ["2026-06-01 16:00", "2026-06-01 17:00"]
    assert "optimal, gap" in lines[10]
    assert "by the naive rule" in lines[10]
    assert lines[-1] == "load: as now"


def test_a_simulation_keeps_the_limit_and_vehicles_leave_ready(
    plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "days.png"
    words = ("dispatch", "simulate", plant, "--csv", record(tmp_path, limit_kw=26.0))
    assert run(*words, "--format", "json", "--plot", picture) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert max(told["powers_kw"]["tie"]) <= 26.0 + 1e-6
    assert [round(each["share"], 3) for each in told["departures"]] == [1.0]
    assert told["days"][0]["naive_peak_kw"] > 30.0  # the rule charges at once
    assert told["days"][0]["steps"] == STEPS
    assert picture.read_bytes().startswith(b"\x89PNG")
    for k in range(STEPS):
        powers = {name: values[k] for name, values in told["powers_kw"].items() if len(values) == STEPS}
        assert set(powers) >= {"tie", "battery", "sun", "load"}


def test_what_cannot_be_is_told_by_name(
    plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("dispatch", "plan", plant, "--csv", record(tmp_path, limit_kw=1.0, load_kw=90.0)) == 1
    told = capsys.readouterr().err
    assert "no plan (infeasible): cannot hold together: " in told
    assert "tie: imports at most 1 kW" in told


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "record.csv:1: no column 'time'"),
        ("time,lod.power\n", "record.csv:1: unknown column 'lod.power'"),
        ("time,load.power\n2026-06-01T00:00Z,5\n", "1 rows: at least two are needed"),
        ("time,load.power\n2026-06-01T00:00Z,5\n2026-06-01T00:30Z\n", "record.csv:3: 1 values for 2 columns"),
        ("time,load.power\n2026-06-01T00:00Z,5\nnoon,6\n", "record.csv:3: 'noon' is no time"),
        ("time,load.power\n2026-06-01T00:00Z,5\n2026-06-01T00:30Z,x\n", "record.csv:3: 'x' is no number"),
        (
            "time,load.power\n2026-06-01T00:00Z,5\n2026-06-01T00:30Z,5\n2026-06-01T02:00Z,5\n",
            "record.csv:4: 2026-06-01T02:00:00+00:00 is not 0:30:00 after",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_told_with_its_line(
    plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, wanted: str
) -> None:
    path = tmp_path / "record.csv"
    path.write_text(text, encoding="utf-8")
    assert run("dispatch", "plan", plant, "--csv", path) == 2
    assert wanted in capsys.readouterr().err


def test_a_site_without_the_section_and_one_without_history_are_told_so(
    plant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.yaml"
    bare.write_text("site: {name: bare}\n", encoding="utf-8")
    assert run("dispatch", "plan", bare) == 2
    assert "no section 'dispatch'" in capsys.readouterr().err
    assert run("dispatch", "plan", plant, "--state", tmp_path / "none") == 2
    assert "run the site first, or give --csv FILE" in capsys.readouterr().err
