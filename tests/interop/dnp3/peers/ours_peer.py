"""Our outstation in a process of its own, as the others are: wishes in, what it was told out, a line of JSON each.

ours_peer.py outstation PORT
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from gateway.config.dnp3 import ControlModel, Outstation, OutstationMaster, OutstationPoint, PointKind
from gateway.servers.dnp3.database import Database
from gateway.servers.dnp3.objects import KINDS, Flag, Kind, Measurement
from gateway.servers.dnp3.server import OutstationServer
from gateway.tags.command import Command, Done, Outcome

CLASSES = {"binary": 1, "double_bit": 1, "analog": 2, "counter": 3, "octet_string": 3}
TIME_LOOK_S = 0.05


def say(about: str, **more: Any) -> None:
    sys.stdout.write(json.dumps({"about": about, **more}) + "\n")
    sys.stdout.flush()


class Site:
    """Commands as they come; how they came is told by the master's wire alone, so it is looked up in the last."""

    def __init__(self) -> None:
        self.server: OutstationServer | None = None

    async def send(self, command: Command) -> Outcome:
        assert self.server is not None
        operating = self.server.associations[1]._operating
        assert operating is not None
        how = {4: "SELECT_BEFORE_OPERATE", 5: "DIRECT_OPERATE"}[operating.request.function]
        value = "LATCH_ON" if command.value is True else command.value
        say("operated", row=[command.tag, 0, value, how])
        return Done(command.value, 0)


async def outstation(port: int) -> None:
    points = tuple(
        OutstationPoint(
            kind,
            0,
            number,
            kind.value,
            CLASSES.get(kind.value, 0),
            frozen_class=3 if kind is PointKind.COUNTER else None,
            control=ControlModel.LATCH if kind is PointKind.BINARY_OUTPUT else None,
        )
        for number, kind in enumerate(PointKind)
    )
    master = OutstationMaster(1, ("127.0.0.1",), "utility")
    config = Outstation("127.0.0.1", port, 10, (master,), points, unsolicited_hold_ms=20, needs_time=True)
    database = Database(points)
    site = Site()
    site.server = server = OutstationServer(config, database, site)
    await server.open()
    running = asyncio.create_task(server.run())
    say("classes", refused=None)
    say("ready")

    async def watch() -> None:
        while server.associations[1].clock_offset_ms is None:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(TIME_LOOK_S)
        say("time", ms=server.associations[1].clock_offset_ms)

    watching = asyncio.create_task(watch())
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        kind, index, value, at = json.loads(line)["row"]
        if kind == "frozen_counter":
            database.freeze([database.points(Kind.COUNTER)[index]], at)
        else:
            raw = value.encode() if isinstance(value, str) else value
            database.update(KINDS[PointKind(kind)], index, Measurement(raw, int(Flag.ONLINE), at))
        server.changed.set()
        say("updated", refused=None)
    watching.cancel()
    running.cancel()
    await server.close()


if __name__ == "__main__":
    asyncio.run(outstation(int(sys.argv[2])))
