"""Faults of meters put into a day of the simulated plant: which detector finds which, and what it cries wolf about.

``day.npz`` is that day by benchmarks/energy/anomaly_day.py (seed 7), and five minutes of each hour of another one to
learn from (seed 100), a row every 10 s, in units of 10 W.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from historian.anomaly import (
    Alarms,
    AlarmSettings,
    Detector,
    EnergyBalance,
    FlatLine,
    Gaussian,
    Verdict,
    Window,
    judge,
)

NS = 10**9
ROOT = Path(__file__).parents[3]
GRACE_S = 900.0  # windows that a fault was in take so long to forget it


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


faults = _load(ROOT / "benchmarks" / "energy" / "anomaly_faults.py")
WINDOWS = [Window(*window) for window in faults.windows()]
LABELS = {window.what for window in WINDOWS}


@pytest.fixture(scope="module")
def alarms() -> dict[str, Any]:
    """Times, and of each detector whether an alarm of it stood."""
    stored = np.load(Path(__file__).with_name("day.npz"))
    names = stored["names"].tolist()
    learned_s, seconds = stored["train_seconds"], stored["seconds"]
    learned = stored["train"] / 100
    shown = faults.inject(names, seconds, stored["day"] / 100)
    times = (faults.START + seconds) * NS
    detectors: dict[str, tuple[Detector, tuple[str, ...], AlarmSettings]] = {
        "gaussian": (Gaussian(60, 5.0, least=20), faults.LOADS, AlarmSettings(clear_s=30)),
        "flat-line": (FlatLine(60.0), faults.LOADS, AlarmSettings(clear_s=30)),
        "balance": (
            EnergyBalance(faults.SOURCES, faults.LOADS),
            (*faults.SOURCES, *faults.LOADS),
            AlarmSettings(hold_off_s=10, clear_s=30),
        ),
    }
    found: dict[str, Any] = {"times": times}
    for name, (detector, columns, settings) in detectors.items():
        places = [names.index(column) for column in columns]
        train_times = (faults.START - faults.DAY_S + learned_s) * NS
        detector.learn(columns, train_times.astype(np.int64), learned[:, places])
        scores = detector.scores(times, shown[:, places])
        tracked = Alarms(scores.shape[1], settings)
        found[name] = np.array(
            [tracked.push(int(time), row).any() for time, row in zip(times, scores, strict=True)]
        )
    return found


def verdict(alarms: dict[str, Any], *names: str) -> Verdict:
    stands = np.logical_or.reduce([alarms[name] for name in names])
    return judge(alarms["times"], stands, WINDOWS, grace_s=GRACE_S)


def missed(found: Verdict) -> set[str]:
    return {window.what for window in found.missed}


def test_values_that_stand_still_are_found_by_the_flat_line_and_nothing_else_is(
    alarms: dict[str, Any],
) -> None:
    found = verdict(alarms, "flat-line")
    assert missed(found) == {what for what in LABELS if not what.startswith("stuck")}
    assert found.false_alarms == 0
    assert found.longest_delay_s <= 90


def test_spikes_swapped_phases_and_large_fraud_are_found_by_the_gaussian(alarms: dict[str, Any]) -> None:
    found = verdict(alarms, "gaussian")
    for what in LABELS:
        if what.startswith(("spike", "swapped", "fraud 0.3")):
            assert what not in missed(found), what
    assert found.false_alarms <= 2
    assert found.longest_delay_s <= 60


def test_drift_and_fraud_break_the_balance(alarms: dict[str, Any]) -> None:
    found = verdict(alarms, "balance")
    for what in LABELS:
        if what.startswith(("drift", "swapped", "fraud", "spike 4")):
            assert what not in missed(found), what
    assert found.false_share < 0.01


def test_together_they_miss_nothing_and_hardly_cry_wolf(alarms: dict[str, Any]) -> None:
    found = verdict(alarms, "gaussian", "flat-line", "balance")
    assert found.windows == 14
    assert missed(found) == set()
    assert found.false_alarms_a_day < 6
    assert found.false_share < 0.01
    assert found.median_delay_s <= 30


def test_without_faults_there_is_next_to_no_alarm() -> None:
    stored = np.load(Path(__file__).with_name("day.npz"))
    names = stored["names"].tolist()
    places = [names.index(name) for name in faults.LOADS]
    detector = Gaussian(60, 5.0, least=20)
    detector.learn(faults.LOADS, np.empty(0, np.int64), np.empty((0, 4)))
    scores = detector.scores((faults.START + stored["seconds"]) * NS, stored["day"][:, places] / 100)
    assert (scores > 0.5).mean() < 1e-3
