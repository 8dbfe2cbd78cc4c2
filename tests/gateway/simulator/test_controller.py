"""The genset's controller, met by asyncua's client through a link that fails."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncua import Client, ua

from gateway.simulator.controller import ControllerServer
from gateway.simulator.devices.controller import GENSET, NAMESPACE
from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.plant.genset import TANK_L, State
from gateway.simulator.plant.microgrid import Microgrid

LOOPBACK = "127.0.0.1"
pytestmark = pytest.mark.timeout(240)  # the library loads the standard's nodes: seconds of computing


class Operator:
    """Somebody else's client."""

    def __init__(self, client: Client, space: int) -> None:
        self.client = client
        self._space = space

    def node(self, name: str) -> Any:
        return self.client.get_node(f"ns={self._space};s={name}")

    async def read(self, name: str) -> Any:
        return await self.node(name).read_value()

    async def status(self, name: str) -> int:
        return int((await self.node(name).read_data_value(raise_on_bad_status=False)).StatusCode.value)

    async def write(self, name: str, value: float) -> None:
        await self.node(name).write_value(ua.DataValue(ua.Variant(value, ua.VariantType.Double)))

    async def call(self, name: str) -> None:
        await self.node("Genset").call_method(ua.NodeId(name, self._space))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], Awaitable[bool]], what: str, patience_s: float = 20.0) -> None:
    end = time.monotonic() + patience_s
    while not await condition():
        assert time.monotonic() < end, f"not within {patience_s:g} s: {what}"
        await asyncio.sleep(0.05)


async def connected(port: int, patience_s: float = 120.0) -> Operator:
    end = time.monotonic() + patience_s
    while True:
        client = Client(f"opc.tcp://{LOOPBACK}:{port}/", timeout=10)
        try:
            await client.connect()
            await client.load_data_type_definitions()
            return Operator(client, await client.get_namespace_index(NAMESPACE))
        except (OSError, ua.UaError, TimeoutError):
            assert time.monotonic() < end, "the controller does not come up"
            await asyncio.sleep(0.2)


@asynccontextmanager
async def controller_of(grid: Microgrid) -> AsyncIterator[tuple[ControllerServer, Operator]]:
    controller = ControllerServer("genset1", LOOPBACK, 0, free_port(), GENSET, grid.genset)
    await controller.start()
    operator: Operator | None = None
    try:
        operator = await connected(controller.port)
        yield controller, operator
    finally:
        if operator is not None:
            with contextlib.suppress(OSError, ua.UaError, TimeoutError):
                await operator.client.disconnect()
        await controller.stop()


async def test_the_controller_tells_the_genset_takes_commands_and_suffers(grid: Microgrid) -> None:
    """One server for all of it: it takes seconds to come up."""
    before = asyncio.all_tasks()
    genset = grid.genset
    async with controller_of(grid) as (controller, operator):
        with pytest.raises(OSError, match="in use"):
            await ControllerServer("x", LOOPBACK, controller.port, free_port(), GENSET, genset).start()

        # What it tells.
        assert await operator.read("Energy") == pytest.approx(genset.energy_kwh)
        assert await operator.read("PowerSetpoint") == genset.setpoint_kw
        engine = await operator.read("Engine")
        assert (engine.Speed, engine.Running) == (0.0, False)
        assert engine.Fuel == pytest.approx(100 * genset.fuel_l / TANK_L)

        # What it is told: a method starts it, a value within its nameplate is taken.
        await operator.call("Start")
        assert genset.run_command
        for _ in range(2000):
            grid.step()
        assert genset.state is State.ON_LINE

        async def is_on_line() -> bool:
            told = await operator.read("Engine")
            return await operator.read("State") == 4 and told.Running and told.Speed > 1400.0

        await until(is_on_line, "on line")
        assert await operator.read("RunCommand") is True
        await operator.write("PowerSetpoint", 88.0)
        assert genset.setpoint_kw == 88.0
        assert await operator.read("PowerSetpoint") == 88.0
        with pytest.raises(ua.UaStatusCodeError):
            await operator.write("PowerSetpoint", 880.0)
        assert (genset.setpoint_kw, await operator.read("PowerSetpoint")) == (88.0, 88.0)
        with pytest.raises(ua.UaStatusCodeError):
            await operator.write("Power", 1.0)
        await operator.call("Stop")
        assert not genset.run_command
        genset.setpoint_kw = 50.0  # at its own panel

        async def is_told() -> bool:
            return bool(await operator.read("PowerSetpoint") == 50.0)

        await until(is_told, "the panel's setpoint")

        # Trouble of its own: Bad values, and commands refused.
        await controller.suffer(Fault(FaultKind.EXCEPTION))

        async def is_bad() -> bool:
            return (
                await operator.status("Power")
                == await operator.status("Engine")
                == ua.StatusCodes.BadDeviceFailure
            )

        await until(is_bad, "Bad")
        with pytest.raises(ua.UaStatusCodeError):
            await operator.write("PowerSetpoint", 60.0)
        with pytest.raises(ua.UaStatusCodeError):
            await operator.call("Start")
        assert (genset.setpoint_kw, genset.run_command) == (50.0, False)
        await controller.suffer(Fault(FaultKind.STUCK))
        energy_kwh = genset.energy_kwh
        genset.energy_kwh += 100.0
        await asyncio.sleep(0.5)
        assert await operator.read("Energy") == pytest.approx(energy_kwh)
        await controller.suffer(Fault(FaultKind.WRONG))

        async def lies() -> bool:
            return not 5_000 < await operator.read("Energy") < 6_000

        await until(lies, "a lie")
        await controller.suffer(None)

        async def is_well() -> bool:
            return bool(abs(await operator.read("Energy") - genset.energy_kwh) < 0.1)

        await until(is_well, "the truth")

        # Trouble of the link.
        for fault in (Fault(FaultKind.SILENT), Fault(FaultKind.RESET), Fault(FaultKind.SLOW, 4000)):
            await controller.suffer(fault)
            with pytest.raises((OSError, ua.UaError, TimeoutError)):
                await asyncio.wait_for(operator.read("Power"), 2.0)
            await controller.suffer(None)
            with contextlib.suppress(OSError, ua.UaError, TimeoutError):
                await operator.client.disconnect()
            operator.client = (await connected(controller.port)).client
            await operator.read("Power")
        await controller.suffer(Fault(FaultKind.STOPPED))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, controller.port)
        with contextlib.suppress(OSError, ua.UaError, TimeoutError):
            await operator.client.disconnect()
        await controller.suffer(None)
        operator.client = (await connected(controller.port)).client
    assert not {task for task in asyncio.all_tasks() - before if "opcua" in task.get_name()}
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(LOOPBACK, controller.port)
