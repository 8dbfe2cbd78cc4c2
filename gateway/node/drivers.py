"""The drivers' part: all in-process drivers and the command router, over one writer of the owner ``drivers``."""

from __future__ import annotations

import asyncio

from gateway.commands.audit import AuditFile, AuditTrail
from gateway.commands.router import Router
from gateway.commands.server import CommandServer
from gateway.config.accounts import Accounts
from gateway.config.part import PartContext
from gateway.config.system import DRIVERS_OWNER
from gateway.drivers.modbus.driver import ModbusDriver
from gateway.tags.image import Region


async def run(context: PartContext) -> None:
    """Until ``context.stop``. The router ends before the drivers: a command under way may still be read back."""
    with Region.attach(context.region_name) as region:
        writer = region.claim(DRIVERS_OWNER)
        modbus = ModbusDriver(context.site.modbus, region, writer)
        trail = AuditTrail(AuditFile(context.paths.audit))
        router = Router(context.site, dict.fromkeys(modbus.tags(), modbus), trail)
        server = CommandServer(context.paths.command_socket, router, Accounts(context.paths.accounts))
        drivers_stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(modbus.run(drivers_stop), name="modbus")
            try:
                await router.open()
                await server.start()
                context.ready.set()
                await context.stop.wait()
                await router.close()
            finally:
                await server.stop()
                drivers_stop.set()
        writer.release()
