"""The feeder RTU, met by opendnp3's master through a link that fails."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import opendnp3
import pytest

from gateway.simulator.devices.rtu import PCC
from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.rtu import ADDRESS, MASTER_ADDRESS, RtuServer

LOOPBACK = "127.0.0.1"
ONLINE, COMM_LOST, REFERENCE_ERROR = 0x01, 0x04, 0x40
CLOSED, POWER, HERTZ, PHASE = ("Group1", 0), ("Group30", 0), ("Group30", 3), ("Group30", 6)
COMMAND, IMPORT = ("Group10", 0), ("Group20", 0)
STATIC = {"Group2": "Group1", "Group11": "Group10", "Group22": "Group20", "Group32": "Group30"}


class Heard(opendnp3.ISOEHandler):  # type: ignore[misc]  # the binding has no types
    """The newest value and flags of every point, and which came as events."""

    def __init__(self) -> None:
        super().__init__()
        self.points: dict[tuple[str, int], tuple[float, int]] = {}
        self.events: list[tuple[str, int]] = []

    def BeginFragment(self, info: Any) -> None:  # noqa: N802 - opendnp3's names
        pass

    def EndFragment(self, info: Any) -> None:  # noqa: N802
        pass

    def Process(self, info: Any, values: Any) -> None:  # noqa: N802
        group = info.gv.name.partition("Var")[0]
        for one in values:
            place = STATIC.get(group, group), one.index
            self.points[place] = float(one.value.value), one.value.flags.value & 0x7F
            if group in STATIC:
                self.events.append(place)


class Master:
    def __init__(self, port: int) -> None:
        self.heard = Heard()
        self._application = opendnp3.IMasterApplication()
        self._manager = opendnp3.DNP3Manager(1)
        milliseconds = opendnp3.TimeDuration.Milliseconds
        channel = self._manager.AddTCPClient(
            "us", opendnp3.levels.NOTHING, opendnp3.ChannelRetry(milliseconds(100), milliseconds(300)),
            [opendnp3.IPEndpoint(LOOPBACK, port)], "0.0.0.0", None,  # noqa: S104
        )  # fmt: skip
        config = opendnp3.MasterStackConfig()
        config.link.LocalAddr, config.link.RemoteAddr = MASTER_ADDRESS, ADDRESS
        config.master.responseTimeout = milliseconds(1000)
        config.master.taskRetryPeriod = config.master.maxTaskRetryPeriod = milliseconds(300)
        self._master = channel.AddMaster("us", self.heard, self._application, config)
        self._master.Enable()

    def value(self, place: tuple[str, int]) -> float | None:
        found = self.heard.points.get(place)
        return None if found is None else found[0]

    def flags(self, place: tuple[str, int]) -> int | None:
        found = self.heard.points.get(place)
        return None if found is None else found[1]

    async def operate(self, command: Any, index: int = 0, select: bool = True) -> str:
        """The status that the outstation gave, or what became of it without one."""
        ended, said = threading.Event(), []

        def result(found: Any) -> None:
            rows = found.to_list()
            said.append(
                rows[0].status.name if rows and rows[0].state.name == "SUCCESS" else found.summary.name
            )
            if rows and rows[0].state.name == "SELECT_FAIL":
                said[0] = rows[0].status.name
            ended.set()

        send = self._master.SelectAndOperate if select else self._master.DirectOperate
        send(command, index, result)
        assert await asyncio.to_thread(ended.wait, 15)
        return said[0]

    async def close(self) -> None:
        await asyncio.to_thread(self._manager.Shutdown)


def breaker(close: bool) -> Any:
    code = opendnp3.TripCloseCode.CLOSE if close else opendnp3.TripCloseCode.TRIP
    return opendnp3.ControlRelayOutputBlock(opendnp3.OperationType.PULSE_ON, code, False, 1, 100, 100)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], bool], what: str, patience_s: float = 15.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"not within {patience_s:g} s: {what}"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def rtu_of(grid: Microgrid) -> AsyncIterator[tuple[RtuServer, Master]]:
    rtu = RtuServer("pcc", LOOPBACK, 0, free_port(), PCC, grid)
    await rtu.start()
    master = Master(rtu.port)
    try:
        await until(lambda: master.value(IMPORT) is not None, "the integrity poll")
        yield rtu, master
    finally:
        await master.close()
        await rtu.stop()


async def test_everything_is_read_true_and_changes_come_unasked(grid: Microgrid) -> None:
    async with rtu_of(grid) as (_, master):
        assert master.value(POWER) == pytest.approx(1000 * grid.tie.power_kw, abs=51)
        assert master.value(HERTZ) == pytest.approx(10_000 * grid.frequency_hz, abs=6)
        assert master.value(IMPORT) == pytest.approx(1000 * grid.tie.import_kwh, abs=101)
        assert (master.value(CLOSED), master.value(COMMAND)) == (1.0, 1.0)
        assert {master.flags(place) for place in (POWER, HERTZ, CLOSED, COMMAND, IMPORT)} == {ONLINE}
        await until(lambda: POWER not in master.heard.events[-1:], "quiet", 1.0)
        master.heard.events.clear()
        grid.tie.power_kw += 25.0
        await until(
            lambda: master.value(POWER) == pytest.approx(1000 * grid.tie.power_kw, abs=51), "an event"
        )
        assert POWER in master.heard.events


async def test_less_than_the_deadband_is_no_event(grid: Microgrid) -> None:
    async with rtu_of(grid) as (_, master):
        before = master.value(POWER)
        grid.tie.power_kw += 0.03
        grid.tie.breaker_closed = not grid.tie.breaker_closed
        await until(lambda: master.value(CLOSED) == grid.tie.breaker_closed, "the breaker's event")
        assert master.value(POWER) == before


async def test_the_breaker_opens_by_select_and_operate_and_the_status_is_there_with_the_answer(
    grid: Microgrid,
) -> None:
    async with rtu_of(grid) as (_, master):
        assert await master.operate(breaker(False)) == "SUCCESS"
        assert not grid.tie.close_command
        await until(lambda: master.value(COMMAND) == 0.0, "the output's status")
        for _ in range(20):
            grid.step()
        await until(lambda: master.value(CLOSED) == 0.0, "the contact")
        while abs(grid.tie.angle_deg) < 30.0:
            grid.step()
        assert await master.operate(breaker(True)) == "BLOCKED"  # the synch-check
        assert await master.operate(breaker(True), 0, select=False) == "BLOCKED"
        assert not grid.tie.close_command


async def test_what_is_no_command_of_the_breaker_is_not_supported(grid: Microgrid) -> None:
    async with rtu_of(grid) as (_, master):
        twice = opendnp3.ControlRelayOutputBlock(
            opendnp3.OperationType.PULSE_ON, opendnp3.TripCloseCode.TRIP, False, 2, 100, 100
        )
        pulse_off = opendnp3.ControlRelayOutputBlock(opendnp3.OperationType.PULSE_OFF)
        for wish, index in (
            (twice, 0), (pulse_off, 0), (breaker(False), 1), (opendnp3.AnalogOutputFloat32(42.5), 0),
        ):  # fmt: skip
            assert await master.operate(wish, index) == "NOT_SUPPORTED"
        assert grid.tie.close_command
        latch = opendnp3.ControlRelayOutputBlock(opendnp3.OperationType.LATCH_OFF)
        assert await master.operate(latch) == "SUCCESS"
        assert not grid.tie.close_command


async def test_a_value_that_there_is_not_says_so(grid: Microgrid) -> None:
    async with rtu_of(grid) as (_, master):
        assert master.flags(PHASE) == ONLINE
        grid.utility.lose(True)
        for _ in range(200):
            grid.step()
        await until(lambda: master.flags(PHASE) == ONLINE | REFERENCE_ERROR, "no phase")
        assert master.value(("Group30", 5)) == 0.0


async def test_a_device_in_trouble_tells_so_and_refuses_with_the_code_asked_for(grid: Microgrid) -> None:
    async with rtu_of(grid) as (rtu, master):
        await rtu.suffer(Fault(FaultKind.EXCEPTION, code=9))
        await until(lambda: master.flags(POWER) == master.flags(CLOSED) == COMM_LOST, "not on-line")
        assert await master.operate(breaker(False)) == "NOT_AUTHORIZED"
        await rtu.suffer(Fault(FaultKind.EXCEPTION, code=99))
        assert await master.operate(breaker(False)) == "HARDWARE_ERROR"
        assert grid.tie.close_command
        await rtu.suffer(None)
        await until(lambda: master.flags(POWER) == master.flags(CLOSED) == ONLINE, "well")


async def test_a_stuck_device_tells_no_change_and_still_takes_commands(grid: Microgrid) -> None:
    async with rtu_of(grid) as (rtu, master):
        await rtu.suffer(Fault(FaultKind.STUCK))
        before = master.value(POWER)
        grid.tie.power_kw += 40.0
        assert await master.operate(breaker(False)) == "SUCCESS"
        assert not grid.tie.close_command
        assert master.value(POWER) == before
        await rtu.suffer(None)
        await until(lambda: master.value(POWER) == pytest.approx(1000 * grid.tie.power_kw, abs=51), "well")


async def test_a_lying_device_tells_anything(grid: Microgrid) -> None:
    async with rtu_of(grid) as (rtu, master):
        await rtu.suffer(Fault(FaultKind.WRONG))
        await until(lambda: abs(master.value(HERTZ) or 0.0) > 1_000_000, "a lie")
        assert master.flags(HERTZ) == ONLINE
        await rtu.suffer(None)
        await until(lambda: master.value(HERTZ) == pytest.approx(10_000 * grid.frequency_hz, abs=6), "well")


@pytest.mark.parametrize(
    "fault",
    [Fault(FaultKind.SILENT), Fault(FaultKind.RESET), Fault(FaultKind.SLOW, 3000)],
    ids=lambda f: f.kind,
)
async def test_a_link_that_fails_leaves_commands_unanswered_and_comes_back(
    grid: Microgrid, fault: Fault
) -> None:
    async with rtu_of(grid) as (rtu, master):
        await rtu.suffer(fault)
        assert await master.operate(breaker(False)) != "SUCCESS"
        grid.tie.power_kw += 40.0
        await rtu.suffer(None)
        await until(
            lambda: master.value(POWER) == pytest.approx(1000 * grid.tie.power_kw, abs=51), "well", 30
        )


async def test_a_stopped_device_refuses_connections_and_is_found_again(grid: Microgrid) -> None:
    async with rtu_of(grid) as (rtu, master):
        await rtu.suffer(Fault(FaultKind.STOPPED))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, rtu.port)
        grid.tie.power_kw += 40.0
        await rtu.suffer(None)
        await until(
            lambda: master.value(POWER) == pytest.approx(1000 * grid.tie.power_kw, abs=51), "well", 30
        )


async def test_a_taken_port_is_an_error(grid: Microgrid) -> None:
    with socket.socket() as door:
        door.bind((LOOPBACK, 0))
        door.listen()
        rtu = RtuServer("pcc", LOOPBACK, door.getsockname()[1], free_port(), PCC, grid)
        with pytest.raises(OSError, match="in use"):
            await rtu.start()
        await rtu.stop()


async def test_nothing_is_left_of_it(grid: Microgrid) -> None:
    before = asyncio.all_tasks()
    async with rtu_of(grid) as (rtu, _):
        with contextlib.suppress(ConnectionError):
            _, writer = await asyncio.open_connection(LOOPBACK, rtu.port)
            writer.write(b"garbage" * 1000)
            await writer.drain()
            writer.close()
    assert asyncio.all_tasks() == before
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(LOOPBACK, rtu.port)
