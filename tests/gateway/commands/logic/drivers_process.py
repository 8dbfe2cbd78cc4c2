"""The drivers' part as a process of its own, to be killed: SITE STATE REGION. Prints a line when it is ready."""

import asyncio
import sys
from pathlib import Path

import uvloop

from gateway.config.load import load_site
from gateway.config.part import PartContext
from gateway.config.paths import run_paths
from gateway.node.drivers import run


async def main() -> None:
    site = load_site(Path(sys.argv[1]))
    context = PartContext(
        site, run_paths(site.name, Path(sys.argv[2])), sys.argv[3], asyncio.Event(), asyncio.Event()
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run(context))
        await context.ready.wait()
        print("ready", flush=True)


uvloop.run(main())
