"""An outstation of all point types on a free port, and what its masters and its site see."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.config.dnp3 import ControlModel, Outstation, OutstationMaster, OutstationPoint, PointKind
from gateway.servers.dnp3.database import Database
from gateway.servers.dnp3.objects import Flag, Kind, Measurement, Number
from gateway.servers.dnp3.server import OutstationServer
from gateway.tags.command import Command, Done, Outcome

T0 = 1_700_000_000_000  # ms, any moment
POINTS = (
    OutstationPoint(PointKind.BINARY, 0, 0, "breaker", 1),
    OutstationPoint(PointKind.DOUBLE_BIT, 0, 1, "switch", 1),
    OutstationPoint(PointKind.BINARY_OUTPUT, 0, 2, "breaker_command", 1, control=ControlModel.TRIP_CLOSE),
    OutstationPoint(PointKind.BINARY_OUTPUT, 1, 3, "latch", 1, control=ControlModel.LATCH),
    OutstationPoint(PointKind.COUNTER, 0, 4, "energy", 3, frozen_class=3),
    OutstationPoint(PointKind.ANALOG, 0, 5, "power", 2, deadband=1.0),
    OutstationPoint(PointKind.ANALOG, 300, 6, "phase", 2, static_variation=6, event_variation=8),
    OutstationPoint(PointKind.ANALOG_OUTPUT, 0, 7, "setpoint", 2),
    OutstationPoint(PointKind.OCTET_STRING, 0, 8, "name", 3),
)
MASTER = OutstationMaster(1, ("127.0.0.1",), "utility")
FIRST: tuple[tuple[Kind, int, Number], ...] = (
    (Kind.BINARY, 0, True),
    (Kind.DOUBLE_BIT, 0, 2),
    (Kind.BINARY_OUTPUT, 0, False),
    (Kind.BINARY_OUTPUT, 1, False),
    (Kind.COUNTER, 0, 77),
    (Kind.ANALOG, 0, 42.5),
    (Kind.ANALOG, 300, 1e-9),
    (Kind.ANALOG_OUTPUT, 0, 3.25),
    (Kind.OCTET_STRING, 0, b"feeder 1"),
)


class Site:
    """A commander that does what it is told, and remembers."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, object]] = []
        self.outcome: Callable[[Command], Outcome] = lambda command: Done(command.value, 0)

    async def send(self, command: Command) -> Outcome:
        self.commands.append((command.tag, command.value))
        return self.outcome(command)


def outstation(**changes: object) -> Outstation:
    settings: dict[str, object] = {
        "host": "127.0.0.1",
        "port": 0,
        "address": 10,
        "masters": (MASTER,),
        "points": POINTS,
        "unsolicited_hold_ms": 20,
        **changes,
    }
    return Outstation(**settings)  # type: ignore[arg-type]  # of the names above


def fill(database: Database) -> None:
    for kind, index, value in FIRST:
        update(database, kind, index, value, T0)


def update(database: Database, kind: Kind, index: int, value: Number, time_ms: int) -> bool:
    return database.update(kind, index, Measurement(value, int(Flag.ONLINE), time_ms))


@dataclass
class Running:
    """A server that runs."""

    server: OutstationServer
    database: Database
    site: Site = field(default_factory=Site)

    def tell(self, kind: Kind, index: int, value: Number, time_ms: int) -> None:
        update(self.database, kind, index, value, time_ms)
        self.server.changed.set()


def server_of(config: Outstation) -> tuple[OutstationServer, Database, Site]:
    database = Database(config.points)
    fill(database)
    site = Site()
    return OutstationServer(config, database, site), database, site


async def until(condition: Callable[[], bool], what: str, patience_s: float = 10.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"not within {patience_s:g} s: {what}"
        await asyncio.sleep(0.01)
