"""`engine: dnp3-python`: the same driver before our outstation, its library in a worker process of CPython 3.10."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dnp3_rtu import T0, Running, running_rtu, until

from gateway.config.dnp3_device import Dnp3Engine
from gateway.drivers.dnp3 import environment, worker
from gateway.drivers.dnp3.environment import FOLDER, NO_PYTHON, VARIABLE, NoEnvironmentError, interpreter
from gateway.drivers.dnp3.worker import WorkerEngine
from gateway.servers.dnp3.objects import Flag, Kind
from gateway.tags.command import Refusal, Refused
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.quality import Quality

BUILD = Path(__file__).parents[4] / "build"
WAY = "host: 127.0.0.1, port: PORT, engine: dnp3-python"
pytestmark = pytest.mark.timeout(600)  # the first run makes an environment


@pytest.fixture(scope="module", autouse=True)
def python() -> str:
    return str(environment.make(BUILD / FOLDER))


@pytest.fixture
async def rtu(tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setenv(VARIABLE, python)
    async with running_rtu(tmp_path, WAY, strings=False) as found:
        await found.is_up()
        yield found


def worker_of(rtu: Running) -> int | None:
    engine = rtu.driver._engines[Dnp3Engine.DNP3_PYTHON]
    assert isinstance(engine, WorkerEngine)
    return engine.pid


async def test_measurements_commands_and_refusals_go_as_with_the_other_engine(rtu: Running) -> None:
    names = ("closed", "position", "energy_kwh", "power_kw", "close", "setpoint_kw")
    assert {name: rtu.sample(name).value for name in names} == {
        "closed": True,
        "position": 2,
        "energy_kwh": 4_000_000_000,
        "power_kw": 42.5,
        "close": False,
        "setpoint_kw": 0.0,
    }
    assert rtu.sample("frozen_kwh").status == Quality.BAD_WAITING_FOR_INITIAL_DATA
    await until(lambda: rtu.rtu.server.associations[1].clock_offset_ms is not None, "the time")
    # Changes, with their times and in their order, polled or unasked.
    reader, tag = rtu.region.reader("now"), rtu.tag("power_kw")
    told = [T0 + 10 * step for step in range(100)]
    for step, at in enumerate(told):
        rtu.rtu.tell(Kind.ANALOG, 0, 1000.0 * (step % 90), at)
    found: list[int] = []

    def collect() -> bool:
        rows = reader.take().records.tolist()
        found.extend(row[3] // 1_000_000 for row in rows if row[0] == tag and row[3] % 1_000_000 == 0)
        return len(found) >= len(told)

    await until(collect, "all changes")
    assert found == told
    rtu.rtu.tell(Kind.ANALOG, 0, 5000.0, T0, Flag.COMM_LOST)
    await until(lambda: rtu.sample("power_kw").status == Quality.BAD_NO_COMMUNICATION, "the lost point")
    # Commands: select before operate, and direct.
    await rtu.driver.operate(rtu.tag("close"), True)
    assert await rtu.driver.read_back(rtu.tag("close")) is True
    await rtu.driver.operate(rtu.tag("setpoint_kw"), 42.5)
    assert await rtu.driver.read_back(rtu.tag("setpoint_kw")) == 42.5
    await rtu.driver.operate(rtu.tag("direct_kw"), -12.5)
    outstation = rtu.driver.outstations[0]
    close = next(one for one in outstation.config.points if one.name == "rtu.close")
    await outstation.operate(dataclasses.replace(close, select=False), False)
    assert rtu.rtu.commands == [("close", True), ("setpoint", 42.5), ("direct", -125), ("close", False)]
    rtu.rtu.refusal = Refused(Refusal.OUT_OF_LIMITS, "too much")
    with pytest.raises(OperateError, match="OUT_OF_RANGE"):
        await rtu.driver.operate(rtu.tag("setpoint_kw"), 9.0)


async def test_unsolicited_responses_come_between_two_polls(
    tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, python)
    async with running_rtu(tmp_path, WAY, period_ms=600_000, strings=False) as rtu:
        await rtu.is_up()
        association = rtu.rtu.server.associations[1]
        await until(lambda: association._enabled == {1, 2, 3}, "unsolicited responses enabled")
        rtu.rtu.tell(Kind.BINARY, 0, False, T0)
        await until(lambda: rtu.sample("closed").value is False, "the change")
        assert rtu.sample("closed").source_time == T0 * 1_000_000


async def test_a_killed_worker_is_started_anew_and_its_devices_are_bad_meanwhile(rtu: Running) -> None:
    first = worker_of(rtu)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: rtu.sample("power_kw").status == Quality.BAD_COMMUNICATION_ERROR, "Bad")
    assert rtu.sample("power_kw").value == 42.5
    assert "worker has ended" in str(rtu.driver.outstations[0].last_error)
    rtu.rtu.tell(Kind.ANALOG, 0, 7000.0, T0 + 1)
    await until(lambda: rtu.sample("power_kw").value == 7.0, "the recovery", 30.0)
    assert worker_of(rtu) not in (None, first)
    await rtu.driver.operate(rtu.tag("setpoint_kw"), 1.5)
    assert rtu.rtu.commands == [("setpoint", 1.5)]


async def test_a_command_under_way_when_the_worker_ends_is_told_as_unknown(
    tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, python)
    async with running_rtu(tmp_path, WAY, period_ms=600_000, strings=False) as rtu:  # no poll is in its way
        await rtu.is_up()
        outstation = rtu.driver.outstations[0]
        pid = worker_of(rtu)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # so that it is not answered
        giving = asyncio.create_task(rtu.driver.operate(rtu.tag("setpoint_kw"), 1.5))
        await until(lambda: bool(outstation._master._commands), "the command under way")
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(TimeoutError):
            await giving
        await until(lambda: worker_of(rtu) not in (None, pid) and outstation.is_open, "the recovery", 30.0)
        await until(lambda: rtu.sample("power_kw").status == Quality.GOOD, "the values", 30.0)
        assert rtu.rtu.commands == [], "it is not sent again"


async def test_a_hung_worker_is_ended_and_started_anew(
    rtu: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "SILENCE_S", 2.0)
    first = worker_of(rtu)
    assert first is not None
    with caplog.at_level(logging.ERROR):
        os.kill(first, signal.SIGSTOP)
        await until(lambda: "says nothing" in caplog.text, "the hung worker", 30.0)
    monkeypatch.setattr(worker, "SILENCE_S", 60.0)
    await until(lambda: worker_of(rtu) not in (None, first), "another worker", 30.0)
    await until(lambda: rtu.sample("power_kw").status == Quality.GOOD, "the recovery", 30.0)


async def test_a_lost_outstation_is_bad_in_time_and_recovers(rtu: Running) -> None:
    await rtu.rtu.down()
    await until(lambda: rtu.sample("power_kw").status == Quality.BAD_COMMUNICATION_ERROR, "Bad")
    with pytest.raises(NotConnectedError):
        await rtu.driver.operate(rtu.tag("setpoint_kw"), 1.0)
    rtu.rtu.tell(Kind.ANALOG, 0, 7000.0, T0 + 1)
    await rtu.rtu.up()
    await until(lambda: rtu.sample("power_kw").value == 7.0, "the recovery", 30.0)


async def test_without_an_environment_the_devices_are_bad_and_say_how_to_make_it_and_start_once_there_is_one(
    tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_rtu(tmp_path, WAY, strings=False) as rtu:
        await until(lambda: rtu.sample("power_kw").status == Quality.BAD_COMMUNICATION_ERROR, "Bad")
        await until(
            lambda: "tieline dnp3-python --state" in str(rtu.region.sample("_system.rtu.last_error").value),
            "how to make it",
        )
        monkeypatch.setenv(VARIABLE, python)
        await until(lambda: rtu.sample("power_kw").status == Quality.GOOD, "the first values", 40.0)


def test_an_interpreter_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/nowhere/python")
    with pytest.raises(NoEnvironmentError, match="TIELINE_DNP3_PYTHON names /nowhere/python"):
        interpreter(tmp_path)


def test_a_machine_without_python_3_10_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in (
        ("PATH", ""),
        ("PYENV_ROOT", str(tmp_path)),
        ("TIELINE_PYTHON310", "/nowhere/python"),
        ("UV_PYTHON_INSTALL_MIRROR", (tmp_path / "none").as_uri()),  # where uv finds nothing to download
        ("UV_PYTHON_INSTALL_DIR", str(tmp_path / "pythons")),
        ("UV_CACHE_DIR", str(tmp_path / "cache")),
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(NoEnvironmentError) as raised:
        environment.make(tmp_path / FOLDER)
    assert str(raised.value) == NO_PYTHON
    assert "\n" not in NO_PYTHON
    assert not (tmp_path / FOLDER).exists()


def test_the_last_resort_is_a_python_that_uv_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uv is asked for one, which it finds where it keeps its own: a program in its place says where."""
    found = subprocess.run(
        [environment.python310(), "-c", "import sys; print(sys.executable)"], capture_output=True, text=True
    ).stdout.strip()
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\n[ "$2" = install ] && exit 0\necho {found}\n')
    uv.chmod(0o755)
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.delenv("TIELINE_PYTHON310", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert environment.python310() == found
