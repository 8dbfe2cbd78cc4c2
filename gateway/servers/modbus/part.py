"""The Modbus server as a part: a process that serves the region's tags at its doors until it is told to stop."""

from __future__ import annotations

import asyncio
import time

from gateway.config.modbus_server import ModbusServer
from gateway.config.part import PartContext
from gateway.servers.freshness import LOOK_S
from gateway.servers.modbus.server import Door
from gateway.servers.modbus.view import View
from gateway.tags.command import Commander
from gateway.tags.image import Region


async def run(context: PartContext, config: ModbusServer, commander: Commander) -> None:
    """Serve until ``context.stop``. Raises OSError where a port is taken."""
    with Region.attach(context.region_name) as region:
        view = View(region, context.site.tags)
        view.look(time.monotonic_ns())
        doors = [Door(door, context.site, view, commander) for door in config.doors]
        try:
            for door in doors:
                await door.open()
            context.ready.set()
            while not context.stop.is_set():
                try:
                    async with asyncio.timeout(LOOK_S):
                        await context.stop.wait()
                except TimeoutError:
                    view.look(time.monotonic_ns())
        finally:
            for door in doors:
                await door.close()
