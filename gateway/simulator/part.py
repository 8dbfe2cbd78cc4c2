"""The simulator as a part: the plant in real time times speed, devices as the site speaks to them, control socket."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.config.part import PartContext
from gateway.config.plant_time import NS, keep_plant_time, speed_of
from gateway.config.site import SimulatedPlant, Site
from gateway.simulator.can_bus import CanBus, CanNode
from gateway.simulator.control import Control
from gateway.simulator.counters import KEEP_S, Counters
from gateway.simulator.devices.imperial60 import imperial60_devices
from gateway.simulator.devices.roster import (
    CAN_BUS,
    CAN_OFFSET,
    CONTROLLER_OFFSET,
    RTU_OFFSET,
    can_devices,
    controller_devices,
    devices,
    rtu_devices,
)
from gateway.simulator.door import Device, Door
from gateway.simulator.pace import Pace
from gateway.simulator.plant.imperial60 import Imperial60
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.plant.nominal import FINE_SPEED, Nominal, step_for
from gateway.simulator.server import DeviceServer

TICK_S = 0.01  # between two looks at the clock: a device answers with values at most this old
CLOCK_S = 0.05  # the same where the plant follows the clock itself, a hundredth of a tick
ASTRAY_H = 0.4  # summer time is half an hour at least
TOLD_EVERY_S = 60.0  # at most one line of the log so often about time that was left out
BOOT_S = 4.0  # the genset's controller loads thousands of nodes; first the site's own parts start
SETTLE_S = 5.0  # simulated before the doors open, so that nobody sees lags starting from zero

log = logging.getLogger(__name__)


async def run(context: PartContext) -> None:
    """Until ``context.stop``. Raises OSError where a port is taken."""
    settings = context.site.simulator
    assert settings is not None, "the root starts the simulator only where the site has one"
    if settings.plant is SimulatedPlant.IMPERIAL60:
        clock = keep_plant_time(context.paths.state, settings.speed).clock()
        plant = Imperial60(settings.seed, clock() / NS)
        doors = [
            DeviceServer(name, settings.host, settings.base_port + offset, map, source)
            for name, offset, map, source in imperial60_devices(plant)
        ]
        control = Control(context.paths.simulator_socket, {door.name: door for door in doors}, None)
        await _open(context, doors, control, follow_clock(plant, clock, context.stop))
        return
    nominal = Nominal(settings.nominal_hz, settings.nominal_v, settings.remote, step_for(settings.speed))
    hour = hour_of(context.site, context.paths.state)
    start_hour = settings.start_hour if hour is None else hour()
    grid = Microgrid(
        settings.seed, settings.ev_chargers, settings.feeders, start_hour, nominal, settings.ev_stay_h
    )
    # The phase turns so many times as fast for a logic that is no faster: none could bring the island into step.
    grid.tie.keeps_step = settings.speed > FINE_SPEED
    for _ in range(round(SETTLE_S / nominal.step_s)):
        grid.step()
    counters = Counters(context.paths.state, grid, settings.speed)
    counters.recall()
    served, grid_doors = serve(grid, context.site)
    control = Control(context.paths.simulator_socket, served, grid.utility)
    await _open(context, grid_doors, control, live(grid, settings.speed, context.stop, hour, counters))


async def _open(
    context: PartContext, doors: Sequence[Door], control: Control, living: Coroutine[Any, Any, None]
) -> None:
    """All doors, and what is behind them alive, until it ends."""
    try:
        for door in doors:
            await door.start()
        await control.start()
        context.ready.set()
        await living
    finally:
        living.close()
        await control.stop()
        for door in doors:
            await door.stop()


async def follow_clock(plant: Imperial60, clock: Callable[[], int], stop: asyncio.Event) -> None:
    """Go on with the clock (UTC ns) until ``stop``."""
    while not stop.is_set():
        plant.step(clock() / NS)
        await asyncio.sleep(CLOCK_S)


def hour_of(site: Site, state: Path) -> Callable[[], float] | None:
    """The hour of the day by plant time, for a plant that is fast; None for one that is not. Raises OSError."""
    speed = speed_of(site)
    if speed == 1.0:
        return None
    plant_time, zone = keep_plant_time(state, speed), ZoneInfo(site.time_zone)
    return lambda: plant_time.hour(time.time_ns(), zone)


def serve(grid: Microgrid, site: Site) -> tuple[dict[str, Device], list[Door]]:
    """The devices of the plant by name, as the site speaks to them; and what has to be started for them."""
    settings = site.simulator
    assert settings is not None
    host, base_port = settings.host, settings.base_port
    by_can = {device.name for device in site.can_devices}
    by_dnp3 = {device.name for device in site.dnp3_devices}
    by_opcua = {device.name for device in site.opcua_devices}
    others = by_can | by_dnp3 | by_opcua
    served: dict[str, Device] = {}
    doors: list[Door] = []
    for name, offset, map, source in devices(grid):
        if name not in others:
            server = DeviceServer(name, host, base_port + offset, map, source)
            served[name] = server
            doors.append(server)
    nodes = [CanNode(name, frames, source) for name, frames, source in can_devices(grid) if name in by_can]
    if nodes:
        bus = CanBus(CAN_BUS, host, base_port + CAN_OFFSET, nodes)
        served |= {node.name: node for node in nodes}
        served[CAN_BUS] = bus
        doors.append(bus)
    for name, offset, points, source in rtu_devices(grid):
        if name in by_dnp3:
            # opendnp3 is loaded where it is needed only: it takes a quarter of a second
            from gateway.simulator.rtu import RtuServer

            rtu = RtuServer(name, host, base_port + offset, base_port + RTU_OFFSET, points, source)
            served[name] = rtu
            doors.append(rtu)
    for name, offset, variables, source in controller_devices(grid):
        if name in by_opcua:
            from gateway.simulator.controller import ControllerServer  # likewise, with asyncua

            controller = ControllerServer(
                name, host, base_port + offset, base_port + CONTROLLER_OFFSET, variables, source, BOOT_S
            )
            served[name] = controller
            doors.append(controller)
    return served, doors


def is_astray(hour: float, told: float) -> bool:
    """Whether two hours of the day are further apart than steps and ticks make them."""
    return abs((hour - told + 12.0) % 24.0 - 12.0) > ASTRAY_H


async def live(
    grid: Microgrid,
    speed: float,
    stop: asyncio.Event,
    hour: Callable[[], float] | None = None,
    counters: Counters | None = None,
) -> None:
    """Step the plant in time until ``stop``. Where its hour of the day is told by ``hour``, it keeps to that also
    after time was left out, and when summer time begins or ends: sun and loads go on at the right hour, as if nothing
    had happened meanwhile. ``counters`` are kept for the next start.
    """
    clock = asyncio.get_running_loop()
    if hour is not None:
        grid.set_hour(hour())
    pace = Pace(clock.time(), speed, grid.nominal.step_s)
    next_s = kept_s = clock.time()
    if counters is not None:
        counters.keep()
    told_s, told_dropped_s, set_dropped_s = -math.inf, 0.0, 0.0
    while not stop.is_set():
        for _ in range(pace.due(clock.time())):
            grid.step()
        if hour is not None and (pace.dropped_s > set_dropped_s or is_astray(grid.hour, hour())):
            set_dropped_s = pace.dropped_s
            grid.set_hour(hour())
        next_s += TICK_S
        now_s = clock.time()
        if pace.dropped_s > told_dropped_s and now_s > told_s + TOLD_EVERY_S:
            left_out_s = pace.dropped_s - told_dropped_s
            told = "the simulator fell behind; %.1f s were left out (%.0f s of the plant)"
            log.warning(told, left_out_s, left_out_s * speed)
            told_s, told_dropped_s = now_s, pace.dropped_s
        if counters is not None and now_s > kept_s + KEEP_S:
            kept_s = now_s
            counters.keep()
        if next_s < now_s:
            next_s = now_s  # late: the steps are made up for, the ticks are not
        await asyncio.sleep(next_s - now_s)
    if counters is not None:
        counters.keep(is_last=True)
