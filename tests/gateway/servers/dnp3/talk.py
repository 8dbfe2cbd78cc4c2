"""A master that writes octets, and what it is answered, on a clock of the test."""

from __future__ import annotations

import struct

from dnp3_outstations import MASTER, T0, fill, outstation

from gateway.config.dnp3 import Outstation, OutstationMaster
from gateway.servers.dnp3.application import Function, Indication
from gateway.servers.dnp3.association import Association, Operate, Send
from gateway.servers.dnp3.control import ControlPoints, Status
from gateway.servers.dnp3.database import Database

READ_EVENTS = bytes.fromhex("3c0206 3c0306 3c0406")
INTEGRITY = READ_EVENTS + bytes.fromhex("3c0106")


class Talk:
    """A master that writes octets. It confirms nothing by itself."""

    def __init__(self, config: Outstation | None = None, master: OutstationMaster = MASTER) -> None:
        self.config = config or outstation()
        self.database = Database(self.config.points)
        fill(self.database)
        self.now = 0.0
        self.association = Association(
            self.config,
            master,
            self.database,
            ControlPoints(self.config.points),
            wall_ms=lambda: T0 + round(self.now * 1000),
        )
        self.operates: list[Operate] = []

    def _sent(self, effects: list[Send | Operate]) -> list[bytes]:
        self.operates += [one for one in effects if isinstance(one, Operate)]
        return [one.fragment for one in effects if isinstance(one, Send)]

    def up(self) -> list[bytes]:
        return self._sent(self.association.link_up(self.now))

    def ask(self, function: int, objects: bytes = b"", sequence: int = 0) -> list[bytes]:
        return self._sent(self.association.receive(bytes((0xC0 | sequence, function)) + objects, self.now))

    def one(self, function: int, objects: bytes = b"", sequence: int = 0) -> bytes:
        (answer,) = self.ask(function, objects, sequence)
        assert answer[0] & 0x0F == sequence
        return answer

    def confirm(self, sequence: int, unsolicited: bool = False) -> list[bytes]:
        octets = bytes((0xC0 | (0x10 if unsolicited else 0) | sequence, Function.CONFIRM))
        return self._sent(self.association.receive(octets, self.now))

    def later(self, seconds: float) -> list[bytes]:
        self.now += seconds
        return self._sent(self.association.tick(self.now))

    def complete(self, *statuses: Status) -> list[bytes]:
        return self._sent(self.association.complete(self.operates[-1].token, statuses, self.now))


def quiet(**changes: object) -> Talk:
    """One without unsolicited responses, linked."""
    return quiet_for("utility", **changes)


def quiet_for(user: str | None, **changes: object) -> Talk:
    """Its commands are given as ``user``; None: it may command nothing."""
    talk = Talk(outstation(**changes), OutstationMaster(1, ("127.0.0.1",), user, unsolicited=False))
    assert talk.up() == []
    return talk


def indications(fragment: bytes) -> Indication:
    return Indication(struct.unpack_from("<H", fragment, 2)[0])
