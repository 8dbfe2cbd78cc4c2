"""The DNP3 master as a part of its own: what its C++ library does can end no other driver."""

from __future__ import annotations

import asyncio

from gateway.config.dnp3_protocol import OWNER
from gateway.config.part import PartContext
from gateway.drivers.dnp3.driver import Dnp3Driver
from gateway.drivers.dnp3.environment import FOLDER
from gateway.drivers.remote import OperateServer
from gateway.drivers.trace_socket import TraceServer
from gateway.tags.image import Region


async def run(context: PartContext) -> None:
    """Until ``context.stop``."""
    with Region.attach(context.region_name) as region:
        writer = region.claim(OWNER)
        environment = context.paths.state / FOLDER
        driver = Dnp3Driver(context.site.dnp3_devices, region, writer, environment)
        server = OperateServer(context.paths.driver_socket(OWNER), driver, driver.tags())
        traces = TraceServer(context.paths.trace_socket(OWNER), (driver,))
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(driver.run(stop), name="dnp3")
            try:
                await server.start()
                await traces.start()
                context.ready.set()
                await context.stop.wait()
            finally:
                await traces.stop()
                await server.stop()
                stop.set()
        writer.release()
