"""The simulator as a part: the plant in real time times speed, one Modbus TCP server a device, the control socket."""

from __future__ import annotations

import asyncio
import logging
import math

from gateway.config.part import PartContext
from gateway.config.site import SimulatorSettings
from gateway.simulator.control import Control
from gateway.simulator.devices.roster import devices
from gateway.simulator.pace import Pace
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.plant.nominal import STEP_S, Nominal
from gateway.simulator.server import DeviceServer

TICK_S = 0.01  # between two looks at the clock: a device answers with values at most this old
TOLD_EVERY_S = 60.0  # at most one line of the log so often about time that was left out
SETTLE_S = 5.0  # simulated before the doors open, so that nobody sees lags starting from zero

log = logging.getLogger(__name__)


async def run(context: PartContext) -> None:
    """Until ``context.stop``. Raises OSError where a port is taken."""
    settings = context.site.simulator
    assert settings is not None, "the root starts the simulator only where the site has one"
    nominal = Nominal(settings.nominal_hz, settings.nominal_v, settings.remote)
    grid = Microgrid(settings.seed, settings.ev_chargers, settings.feeders, settings.start_hour, nominal)
    for _ in range(round(SETTLE_S / STEP_S)):
        grid.step()
    servers = serve(grid, settings)
    control = Control(context.paths.simulator_socket, servers, grid.utility)
    try:
        for server in servers.values():
            await server.start()
        await control.start()
        context.ready.set()
        await live(grid, settings.speed, context.stop)
    finally:
        await control.stop()
        for server in servers.values():
            await server.stop()


def serve(grid: Microgrid, settings: SimulatorSettings) -> dict[str, DeviceServer]:
    """A server for each device of the plant, by name, none of them started."""
    return {
        name: DeviceServer(name, settings.host, settings.base_port + offset, map, source)
        for name, offset, map, source in devices(grid)
    }


async def live(grid: Microgrid, speed: float, stop: asyncio.Event) -> None:
    """Step the plant in time until ``stop``."""
    clock = asyncio.get_running_loop()
    pace = Pace(clock.time(), speed)
    next_s = clock.time()
    told_s, told_dropped_s = -math.inf, 0.0
    while not stop.is_set():
        for _ in range(pace.due(clock.time())):
            grid.step()
        next_s += TICK_S
        now_s = clock.time()
        if pace.dropped_s > told_dropped_s and now_s > told_s + TOLD_EVERY_S:
            log.warning("the simulator fell behind; %.1f s were left out", pace.dropped_s - told_dropped_s)
            told_s, told_dropped_s = now_s, pace.dropped_s
        if next_s < now_s:
            next_s = now_s  # late: the steps are made up for, the ticks are not
        await asyncio.sleep(next_s - now_s)
