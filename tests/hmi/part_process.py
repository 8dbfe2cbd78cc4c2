"""The HMI part in a process of its own, so that a test can kill it: SITE.pickle REGION STATE RUNTIME."""

import asyncio
import pickle
import signal
import sys
from pathlib import Path

from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.config.site import Site
from hmi.part import run


async def main(site: Site, region_name: str, state: str, runtime: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    paths = RunPaths(Path(state), Path(runtime))
    await run(PartContext(site, paths, region_name, stop, asyncio.Event()))


if __name__ == "__main__":
    loaded = pickle.loads(Path(sys.argv[1]).read_bytes())  # noqa: S301 - written by the test beside us
    asyncio.run(main(loaded, *sys.argv[2:]))
