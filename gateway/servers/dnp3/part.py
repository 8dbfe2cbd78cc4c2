"""The DNP3 outstation as a part: a process that serves the region's tags to its masters until it is told to stop."""

from __future__ import annotations

import asyncio

from gateway.config.dnp3 import Outstation
from gateway.config.part import PartContext
from gateway.servers.dnp3.database import Database
from gateway.servers.dnp3.feed import PointFeed
from gateway.servers.dnp3.server import OutstationServer
from gateway.tags.command import Commander
from gateway.tags.image import Region


async def run(context: PartContext, config: Outstation, commander: Commander) -> None:
    """Serve until ``context.stop``."""
    with Region.attach(context.region_name) as region:
        database = Database(config.points)
        feed = PointFeed(region, context.site.tags, config.points, database)
        feed.fill()
        server = OutstationServer(config, database, commander)
        await server.open()
        try:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(server.run()), group.create_task(feed.run(server.changed))]
                context.ready.set()
                await context.stop.wait()
                for task in running:
                    task.cancel()
        finally:
            await server.close()
