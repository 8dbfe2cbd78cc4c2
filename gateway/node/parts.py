"""The parts of a site: which there are, in what order they start and end, and what each one runs.

Each is imported only in its own process, so that no part pays for another's libraries.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from gateway.config.part import PartContext
from gateway.config.site import Site
from gateway.config.system import part_names
from gateway.node.part_process import Runner
from gateway.node.supervisor import Part

# -P: the folder in which somebody runs `tieline` is no place to import from.
_COMMAND = (sys.executable, "-P", "-m", "gateway.node", "part")

# Start: devices first, then who asks them and who keeps what they say, then who shows it. End: doors first, so that
# nobody sees the rest go; the historian after the drivers, so that it keeps their last changes.
_STAGES = {"simulator": (0, 3), "drivers": (1, 1), "historian": (1, 2), "opcua": (2, 0), "hmi": (2, 0)}


def parts_of(site: Site) -> list[Part]:
    """The parts of ``site`` in the order in which they start."""
    names = part_names(site.opcua, site.hmi, site.simulator)
    parts = [Part(name, (*_COMMAND, name), *_STAGES[name]) for name in names]
    return sorted(parts, key=lambda part: part.stage)


async def _simulator(context: PartContext) -> None:
    from gateway.simulator.part import run

    await run(context)


async def _drivers(context: PartContext) -> None:
    from gateway.node.drivers import run

    await run(context)


async def _historian(context: PartContext) -> None:
    from historian.part import run

    await run(context)


async def _opcua(context: PartContext) -> None:
    from gateway.commands.client import CommandClient
    from gateway.servers.opcua.part import run
    from historian.query import History

    commander = CommandClient(context.paths.command_socket)
    try:
        await run(context, commander, History(context.paths.history))
    finally:
        await commander.close()


async def _hmi(context: PartContext) -> None:
    from hmi.part import run

    await run(context)


RUNNERS: Mapping[str, Runner] = {
    "simulator": _simulator,
    "drivers": _drivers,
    "historian": _historian,
    "opcua": _opcua,
    "hmi": _hmi,
}
assert RUNNERS.keys() == _STAGES.keys()
