"""The parts of a site: which there are, in what order they start and end, and what each one runs.

Each is imported only in its own process, so that no part pays for another's libraries.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace

from gateway.config.logic import LogicSettings
from gateway.config.part import PartContext
from gateway.config.site import Site
from gateway.config.system import part_names
from gateway.node.part_process import Runner
from gateway.node.supervisor import Part

# -P: the folder in which somebody runs `tieline` is no place to import from.
_COMMAND = (sys.executable, "-P", "-m", "gateway.node", "part")

# The scan writes its tags every second, and waits for nobody: one that missed five is hung. Its outputs are not
# current since two seconds by then, and their devices on the way to safe values.
SCAN_SILENCE_S = 5.0
SCAN = "scan"  # no Runner: it becomes an executable that is not Python's (gateway.node.scan)

# Start: devices first, then who asks them and who keeps what they say, then who acts on it or shows it. End: doors,
# so that nobody sees the rest go, and the scan; then the drivers, which bring its outputs to safe values, through
# the DNP3 master too; the historian after all drivers, so that it keeps their last changes.
_STAGES = {
    "simulator": (0, 3),
    "drivers": (1, 1),
    "dnp3_master": (1, 2),
    "calculated": (1, 2),
    "historian": (1, 3),
    "events": (1, 2),
    "forward": (2, 0),
    "forecast": (2, 0),
    "dispatch": (2, 0),
    "anomaly": (2, 0),
    "health": (2, 0),
    "demand_response": (2, 0),
    "market": (2, 0),
    SCAN: (2, 0),
    "opcua": (2, 0),
    "dnp3": (2, 0),
    "modbus": (2, 0),
    "hmi": (2, 0),
}


def parts_of(site: Site) -> list[Part]:
    """The parts of ``site`` in the order in which they start."""
    names = part_names(
        site.opcua,
        site.hmi,
        site.simulator,
        site.logic,
        site.dnp3,
        site.dnp3_devices,
        site.modbus_server,
        site.calculated is not None or len(site.totals) > 0,
        site.forward,
        site.events,
        site.forecasts,
        site.dispatch is not None,
        site.anomalies,
        site.market is not None,
        site.health,
        site.demand_response is not None,
    )
    parts = [Part(name, (*_COMMAND, name), *_STAGES[name], is_forked=True) for name in names]
    if site.logic is not None:
        beat = _beat_of_scan(site, site.logic)
        parts = [
            replace(part, beat=beat, silence_s=SCAN_SILENCE_S) if part.name == SCAN else part
            for part in parts
        ]
    return sorted(parts, key=lambda part: part.stage)


def _beat_of_scan(site: Site, logic: LogicSettings) -> tuple[str, ...]:
    """Its mode, and one of its outputs: these come from the loop itself, which waits for nobody, the mode from a
    thread beside it, which a busy machine may hold up for long.
    """
    outputs = [one.tag for one in logic.tags] + [one.demand for one in logic.outputs]
    outputs += [one.accepted for one in logic.setpoints]
    return (f"_system.{SCAN}.mode", *(site.tags[tag].name for tag in outputs[:1]))


async def _simulator(context: PartContext) -> None:
    from gateway.simulator.part import run

    await run(context)


async def _drivers(context: PartContext) -> None:
    from gateway.node.drivers import run

    await run(context)


async def _calculated(context: PartContext) -> None:
    from gateway.calculated.part import run
    from gateway.node.recall import recall_from

    await run(context, recall_from(context.paths.history))


async def _historian(context: PartContext) -> None:
    from historian.part import run

    await run(context)


async def _forward(context: PartContext) -> None:
    from historian.forward.part import run

    await run(context)


async def _forecast(context: PartContext) -> None:
    from historian.forecast_job.part import run

    await run(context)


async def _events(context: PartContext) -> None:
    from historian.events.part import run

    await run(context)


async def _anomaly(context: PartContext) -> None:
    from historian.anomaly.part import run

    await run(context)


async def _market(context: PartContext) -> None:
    from historian.market_job.part import run

    await run(context)


async def _health(context: PartContext) -> None:
    from historian.health_job.part import run

    await run(context)


async def _demand_response(context: PartContext) -> None:
    from historian.demand_response_job.part import run

    await run(context)


async def _dispatch(context: PartContext) -> None:
    from historian.dispatch_job.part import run

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


async def _dnp3_master(context: PartContext) -> None:
    from gateway.drivers.dnp3.part import run

    await run(context)


async def _dnp3(context: PartContext) -> None:
    from gateway.commands.client import CommandClient
    from gateway.servers.dnp3.part import run

    config = context.site.dnp3
    assert config is not None, "the site has no DNP3 outstation"
    commander = CommandClient(context.paths.command_socket)
    try:
        await run(context, config, commander)
    finally:
        await commander.close()


async def _modbus(context: PartContext) -> None:
    from gateway.commands.client import CommandClient
    from gateway.servers.modbus.part import run

    config = context.site.modbus_server
    assert config is not None, "the site has no Modbus server"
    commander = CommandClient(context.paths.command_socket)
    try:
        await run(context, config, commander)
    finally:
        await commander.close()


async def _hmi(context: PartContext) -> None:
    from hmi.part import run

    await run(context)


RUNNERS: Mapping[str, Runner] = {
    "simulator": _simulator,
    "drivers": _drivers,
    "calculated": _calculated,
    "historian": _historian,
    "events": _events,
    "forward": _forward,
    "forecast": _forecast,
    "dispatch": _dispatch,
    "anomaly": _anomaly,
    "health": _health,
    "demand_response": _demand_response,
    "market": _market,
    "opcua": _opcua,
    "dnp3": _dnp3,
    "dnp3_master": _dnp3_master,
    "modbus": _modbus,
    "hmi": _hmi,
}
assert {*RUNNERS, SCAN} == _STAGES.keys()
