"""`tieline forecast`: train, backtest, show, with tables, pictures and pages."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from historian_folder import NOON

from gateway.node.cli import main
from historian.forecast_job.plan import S_NS

STEP_NS = 900 * S_NS


@pytest.fixture
def run(plant, capsys, monkeypatch):
    """`tieline forecast VERB` at that site, at its time: status, what it printed, what it complained of."""
    monkeypatch.setattr("time.time_ns", plant.clock)
    site = plant.state.parent / "site.yaml"

    def forecast(verb, *words):
        status = main(["forecast", verb, str(site), "--state", str(plant.state), *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return forecast


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_train_keeps_the_best_model_and_tells_how_all_did(run, plant):
    status, out, err = run("train")
    assert (status, err) == (0, "")
    assert "load, steps of 15min: trained" in out
    assert re.search(r"seasonal-naive \*\s+\d", out)
    assert {path.name for path in plant.forecasts.glob("*.model")} == {
        "load.15min.model",
        "load.5min.model",
        "load.spike.model",
    }


def test_train_without_enough_history_says_how_much_is_missing(run, bare):
    bare.clock.now -= 9 * 96 * STEP_NS
    status, out, _ = run("train")
    assert status == 1
    assert (
        "load, steps of 15min: not primed: 768 more steps of 15 min (8.0 days) of history of a.power_kw"
        in out
    )


def test_backtest_compares_by_lead_and_draws(run, tmp_path):
    png, page = tmp_path / "a.png", tmp_path / "a.html"
    status, out, err = run("backtest", "--models", "seasonal-naive", "--png", str(png), "--html", str(page))
    assert (status, err) == (0, "")
    assert "load, steps of 15min: seasonal-naive is the best" in out
    assert re.search(r"^  15 min +\d", out, re.M)
    assert re.search(r"^  24 h 00 min +\d", out, re.M)
    assert is_png(png)
    text = page.read_text()
    assert "data:image/png;base64," in text
    assert "http" not in text.lower(), "it needs nothing else"


def test_more_days_than_there_are_cannot_be_tested_on(run):
    status, _, err = run("backtest", "--days", "30")
    assert status == 2
    assert "30 days to test on are more than history has: at most" in err


def test_show_prints_a_forecast_and_what_came(run, trained, tmp_path):
    trained.look()
    assert json.loads(run("show", "--format", "json")[1])["scores"] == {}, "its first step is not over"
    later = NOON + 4 * STEP_NS
    trained.record(NOON, later)
    trained.clock.now = later + 20 * S_NS
    status, out, err = run(
        "show", "--format", "csv", "--png", str(tmp_path / "a.png"), "--html", str(tmp_path / "b")
    )
    assert (status, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 96
    assert rows[0]["time"] == "2026-11-21T13:00:00+01:00"
    assert abs(float(rows[0]["p50"]) - float(rows[0]["came"])) < 3
    assert rows[4]["came"] == ""
    assert is_png(tmp_path / "a.png")
    status, out, _ = run("show", "--format", "json")
    told = json.loads(out)
    assert (told["model"], told["inputs"], told["issued"]) == (
        "seasonal-naive",
        "complete",
        "2026-11-21T13:00:00+01:00",
    )
    assert told["scores"]["mape"] < 3
    assert told["values"][95]["came"] is None
    status, out, _ = run("show", "--utc", "--steps", "5min")
    assert "2026-11-21T12:00:00+00:00" in out
    assert "so far" in out


def test_wrong_questions_are_answered_with_what_there_is(run, trained):
    status, _, err = run("show", "--at", "2020-01-01")
    assert status == 1
    assert "no forecast 'load' in steps of 15min was issued by then; there are: none yet" in err
    status, _, err = run("show", "--name", "loads")
    assert status == 2
    assert err == "tieline forecast show: the site has no forecast 'loads'; there are load\n"
    assert run("show", "--at", "yesterday")[0] == 2


def test_a_site_without_forecasts_says_so(run, plant, capsys):
    site = plant.state.parent / "other.yaml"
    text = (plant.state.parent / "site.yaml").read_text()
    site.write_text(text[: text.index("forecasts:")])
    assert main(["forecast", "train", str(site), "--state", str(plant.state)]) == 2
    assert "the site has no forecasts: add them under 'forecasts'" in capsys.readouterr().err
