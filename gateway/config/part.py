"""What the composition root hands to every part it starts in a process of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.config.paths import RunPaths
from gateway.config.site import Site


@dataclass(frozen=True, slots=True)
class Reload:
    """A site that takes the place of the one a part has. Places of tags that stay are the same in both.

    The part calls `Region.refresh`, acts on what is different, and then sets ``done``. One that cannot raises: it is
    started again with the new site, which holds already. The same site may come twice.
    """

    site: Site
    done: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class PartContext:
    """A part is ``async def run(context, ...) -> None``: it works until ``stop`` is set, then ends within 3 s.

    It attaches to the region ``region_name`` itself. It calls ``ready.set()`` once it does its job. The
    root's beat task runs on the same loop: a part that blocks its loop for 10 s is taken for hung and restarted.
    ``reloads`` brings sites to parts that can take them in place (`gateway.node.effects` names them).
    """

    site: Site
    paths: RunPaths
    region_name: str
    stop: asyncio.Event
    ready: asyncio.Event
    reloads: asyncio.Queue[Reload] = field(default_factory=asyncio.Queue)


async def work_in_thread(
    context: PartContext, work: Callable[[threading.Event, Callable[[], object]], None]
) -> None:
    """Run ``work(stop, ready)`` in a thread until the part is stopped or ``work`` ends; raises what it raises.

    For parts that block: they wait on ``stop`` and call ``ready()`` once, from their thread.
    """
    loop = asyncio.get_running_loop()
    stop = threading.Event()
    working = asyncio.create_task(
        asyncio.to_thread(work, stop, lambda: loop.call_soon_threadsafe(context.ready.set))
    )
    stopped = asyncio.create_task(context.stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        stopped.cancel()
        await working
