"""`tieline forecast export`: the model a site trained, as C."""

from __future__ import annotations

import math
import subprocess

import numpy as np
import pandas
import pytest

from gateway.node.cli import main
from historian.forecast_job import library
from historian.forecast_job.plan import Track, plans_of


@pytest.fixture
def run(capsys, monkeypatch):
    """`tieline forecast VERB` at a plant, at its time: status, what it printed, what it complained of."""

    def forecast(plant, site, verb, *words):
        monkeypatch.setattr("time.time_ns", plant.clock)
        status = main(["forecast", verb, str(site), "--state", str(plant.state), *map(str, words)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return forecast


def train(plant, model: str) -> None:
    """The short steps, as a night would, but on a table: no history is read."""
    plan = next(plan for plan in plans_of(plant.site.forecasts[0]) if plan.track is Track.SHORT)
    index = pandas.date_range("2026-11-10", periods=288 * 6, freq="5min", tz="Europe/Berlin")
    noise = np.random.default_rng(1).normal(size=len(index))
    load = 100 + 50 * np.sin(np.arange(len(index)) / 288 * math.tau) + noise
    frame = pandas.DataFrame({plan.target: load}, index)
    fitted = library.fit(library.new_forecaster(plan, model, "Europe/Berlin", len(frame)), plan, frame)
    plant.forecasts.mkdir(exist_ok=True)
    library.write_model(plant.forecasts, plan, fitted, {"recipe": plan.recipe, "model": model})


def test_a_trained_model_becomes_c_that_compiles(run, bare, tmp_path):
    site, source = bare.state.parent / "site.yaml", tmp_path / "load.c"
    status, _, err = run(bare, site, "export", "--steps", "5min", "--output", source)
    assert status == 1
    assert "no model of 'load' in steps of 5min is trained yet: tieline forecast train" in err
    train(bare, "linear")
    status, out, err = run(bare, site, "export", "--name", "load", "--steps", "5min", "--output", source)
    assert (status, err) == (0, "")
    assert f"{source} and {tmp_path / 'load.h'}: load, steps of 5min, by linear" in out
    header = (tmp_path / "load.h").read_text()
    assert "target        a.power_kw" in header
    assert "bool load_quantiles(" in header
    assert "#define LOAD_PLAN" in header
    assert out.split()[-1] in header
    subprocess.run(
        ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", str(source)], check=True
    )


def test_what_cannot_be_exported_is_refused_with_words(run, bare, tmp_path):
    site, source = bare.state.parent / "site.yaml", tmp_path / "load.c"
    train(bare, "seasonal-naive")
    status, _, err = run(bare, site, "export", "--steps", "5min", "--output", source)
    assert status == 1
    assert "a model 'seasonal-naive' cannot be exported, only 'linear' and 'gradient-boosting'" in err
    status, _, err = run(bare, site, "export", "--steps", "5min", "--output", source, "--name", "loads")
    assert (status, err) == (2, "tieline forecast export: the site has no forecast 'loads'; there are load\n")
    assert not source.exists()
