"""The record of a run, in a state folder whose disk is full."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config.paths import RunPaths
from gateway.node.state import RunRecord, StateLock, is_running, read_record

RECORD = RunRecord("plant", "plant.1", 7, 1, ("drivers",), ())


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Any]:
    file = Path(__file__).parents[2] / "historian" / "small_disk.py"
    spec = importlib.util.spec_from_file_location("small_disk", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.small_disk(tmp_path / "disk") as made:
        if not made.is_own:
            pytest.skip("this machine lets us mount nothing")
        yield made


def test_a_site_can_say_that_it_runs_on_a_full_disk_time_and_again(disk: Any) -> None:
    paths = RunPaths(disk.path, disk.path / "run")
    lock = StateLock(paths)
    lock.take()
    lock.record(RECORD)
    lock.release()
    disk.fill()
    for reloads in range(3):
        lock = StateLock(paths)
        lock.take()
        lock.record(RunRecord("plant", "plant.1", 7, 1, ("drivers",), (), reloads=reloads))
        record = read_record(paths)
        assert record is not None
        assert record.reloads == reloads
        assert is_running(paths)
        lock.release()
        assert not is_running(paths)
        assert read_record(paths) is None
