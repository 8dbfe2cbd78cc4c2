"""What the composition root hands to every part it starts in a process of its own."""

from __future__ import annotations

import asyncio
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
