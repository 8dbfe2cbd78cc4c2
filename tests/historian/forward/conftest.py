"""Real stores on loopback, started once and ended always; history folders; time that is passed in."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load(name: str) -> ModuleType:
    """A module of this folder, which is no package, under a name that tests may import."""
    spec = importlib.util.spec_from_file_location(f"forward_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


stores = _load("stores")
lanes = _load("lanes")


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """InfluxDB 1.x."""
    with stores.running(stores.Influxd(tmp_path_factory.mktemp("influxd"))) as store:
        yield store


@pytest.fixture(scope="session")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """VictoriaMetrics."""
    with stores.running(stores.Victoria(tmp_path_factory.mktemp("victoria"))) as store:
        yield store


@pytest.fixture
def database(influxd: Any, request: pytest.FixtureRequest) -> str:
    """A database of the test's own, in a store that runs."""
    influxd.ensure()
    name = f"db{abs(hash(request.node.nodeid))}"
    influxd.ask(f'CREATE DATABASE "{name}"', method="POST")
    return name


@pytest.fixture
def clock() -> Any:
    """Two hours before this hour: VictoriaMetrics takes nothing that lies far ahead of its own clock."""
    from historian_folder import Clock

    return Clock(time.time_ns() // (3600 * 10**9) * 3600 * 10**9 - 2 * 3600 * 10**9)


@pytest.fixture
def make_lane(folder: Any, clock: Any) -> Iterator[Callable[..., Any]]:
    """Senders of the folder's history, each to a target of its own."""
    made: list[Any] = []

    def make(**settings: Any) -> Any:
        lane = lanes.Lane(folder, clock, **settings)
        made.append(lane)
        return lane

    yield make
    for lane in made:
        lane.sender.close()
