"""The power goes at any write or sync of a short run: what was acknowledged is there, once, and nothing else.

The run is recorded call by call. Each cut is replayed three ways: all that was written is on the disk, nothing that
was not synced is, and some of it is, torn.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gateway.config.site import HistorianSettings
from historian.query import History
from historian.query.modified import modified
from historian.store.recorder import Recorder

HERE = Path(__file__).parent / "powercut"
CUTS = int(os.environ.get("TIELINE_POWER_CUTS", "60"))  # 0: every one of them
RECOVERY_S = 2.0
EVER = (-(2**62), 2**62)


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"powercut_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


run, disks = _load("run"), _load("disk")


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Everything the run does to the disk, in order."""
    below = tmp_path_factory.mktemp("recorded")
    library, recording = below.parent / "record.so", below.parent / "recording"
    subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", "-o", library, HERE / "record.c", "-lpthread"], check=True
    )
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "RECORD_BELOW": str(below),
        "RECORD_TO": str(recording),
    }
    subprocess.run([sys.executable, HERE / "run.py", below], check=True, env=environment, timeout=60)
    return disks.steps_of(recording, below)


def model(batches: int) -> tuple[dict[str, dict[int, tuple[Any, int]]], list[tuple[str, int, Any, int]], int]:
    """What is true after so many batches, what was replaced by then, and how many rows they had."""
    present: dict[str, dict[int, tuple[Any, int]]] = {name: {} for name in run.NAMES}
    replaced = []
    rows = 0
    for number in range(batches):
        for name, samples in run.batch(number).items():
            rows += len(samples)
            for at, value, status in samples:
                if present[name].get(at, (value, status)) != (value, status):
                    replaced.append((name, at, *present[name][at]))
                present[name][at] = (value, status)
    return present, sorted(replaced), rows


MODELS = [model(batches) for batches in range(run.BATCHES + 1)]


def contents(directory: Path) -> tuple[Any, Any]:
    history = History(directory, clock=lambda: run.MIDNIGHT + 10**15)
    present: dict[str, dict[int, tuple[Any, int]]] = {name: {} for name in run.NAMES}
    replaced = []
    for entry in history.entries():
        series = history.raw(entry.path, *EVER)
        assert series.damaged == ()
        found = zip(
            series.source_times.tolist(), series.values.tolist(), series.statuses.tolist(), strict=True
        )
        present[entry.path] = {at: (value, status) for at, value, status in found}
        assert len(present[entry.path]) == len(series)
        before = modified(history, entry.path, *EVER).series
        replaced += [
            (entry.path, *sample)
            for sample in zip(
                before.source_times.tolist(), before.values.tolist(), before.statuses.tolist(), strict=True
            )
        ]
    assert history.gaps() == []
    history.close()
    return present, sorted(replaced)


def check_recovery(found: dict[str, bytes | None], acknowledged: int, offered: int, to: Path) -> None:
    """The folder comes back in time, with a whole number of batches that is right, and says where to go on."""
    disks.lay_out(found, to)
    directory = to / "history"
    now = run.MIDNIGHT + 100 * run.SECOND
    recorder = Recorder(directory, HistorianSettings(), lambda: now)
    begin = time.process_time()
    at = recorder.open()
    assert time.process_time() - begin < RECOVERY_S
    try:
        rows = at.positions.get("drivers", 0)
        batches = next(count for count, expected in enumerate(MODELS) if expected[2] == rows)
        assert acknowledged <= batches <= offered
        for moved in range(2):
            if moved:
                recorder.rotate()
                assert recorder.pack(lambda: False)
            present, replaced = contents(directory)
            assert present == MODELS[batches][0]
            assert replaced == MODELS[batches][1]
    finally:
        recorder.close()
    shutil.rmtree(to)


def test_the_run_writes_what_the_model_says(steps, tmp_path):
    disk = disks.Disk()
    for step in steps:
        disk.do(step)
    assert len(steps) > 200
    check_recovery(disk.all_kept(), run.BATCHES, run.BATCHES, tmp_path / "disk")


@pytest.mark.parametrize("way", ["all_kept", "all_dropped", "torn"])
def test_power_cut_anywhere_loses_nothing_acknowledged_and_invents_nothing(steps, tmp_path, way):
    chance = random.Random(way)
    chosen = set(range(len(steps)))
    if CUTS:
        chosen = set(chance.sample(sorted(chosen), min(CUTS // 3, len(chosen))))
    disk = disks.Disk()
    acknowledged = offered = 0
    tried: set[int] = set()
    for place, step in enumerate(steps):
        if step.path == "marks":
            acknowledged += step.data == b"acknowledged\n"
            offered += step.data == b"offered\n"
        disk.do(step)
        if place not in chosen:
            continue
        found = disk.torn(chance) if way == "torn" else getattr(disk, way)()
        found.pop("marks", None)
        key = hash((acknowledged, tuple(sorted(found.items(), key=lambda item: item[0]))))
        if key in tried:
            continue
        tried.add(key)
        try:
            check_recovery(found, acknowledged, offered, tmp_path / str(place))
        except AssertionError as error:
            raise AssertionError(
                f"cut after step {place} of {len(steps)}, {step.kind} {step.path}: {error}"
            ) from error
