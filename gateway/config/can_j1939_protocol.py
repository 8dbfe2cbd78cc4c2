"""J1939 devices of a site file: points are signals of parameter groups, commands become groups that we send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.config.can import CanDevice, CanMessage, CanSignal, CanSystemTags, CanTransmit
from gateway.config.can_database import Database, SignalInfo, signal_of
from gateway.config.can_j1939 import (
    ACTIVE_FAULTS,
    GLOBAL,
    MAX_BYTES,
    OWN_PGNS,
    Identity,
    J1939Link,
    J1939SystemTags,
    ParameterGroup,
    is_addressed,
    name_of,
    pgn_of,
)
from gateway.config.can_protocol import (
    CanBody,
    CanProtocol,
    CanShape,
    bus_of,
    named_message,
    named_signal,
    paged,
    placed_point,
)
from gateway.config.fault import FaultLog, quote
from gateway.config.kinds import Settings
from gateway.config.modbus import ModbusSystemTags, PollGroup
from gateway.config.protocol import Placed
from gateway.config.site_keys.devices.j1939 import J1939_POINT
from gateway.config.system import SystemRow
from gateway.tags.tag import ValueType

PRIORITY = 6  # of what says none (J1939-21 5.2.1)
NOT_AVAILABLE = 0xFF  # every byte of a group of which nothing is said (J1939-71)
_TOP_VALID = 0xFA  # topmost byte of the highest raw value that is one


@dataclass(frozen=True, slots=True)
class J1939Body(CanBody):
    """``source``: the device's address."""

    source: int | None = None
    has_address: bool | None = None  # whether we may send; None: not known for sure


class J1939Protocol(CanProtocol):
    """``protocol: j1939``."""

    name = "j1939"
    section = J1939_POINT
    needs_database = False
    fill = NOT_AVAILABLE
    system: tuple[SystemRow, ...] = (
        *CanProtocol.system,
        ("own_address", ValueType.UINT64, "", 0, "Our address on its bus; 254: none"),
        ("transfers", ValueType.UINT64, "", 0, "Messages of many packets that came from it"),
        ("transfers_broken", ValueType.UINT64, "", 0, "Messages of many packets on its bus that came in part"),
        ("faults", ValueType.UINT64, "", 0, "Active faults that it tells (DM1)"),
        ("fault_text", ValueType.STRING, "", None, "Its active faults: number (SPN), mode (FMI), occurrences"),
        ("lamp_malfunction", ValueType.UINT64, "", None, "Malfunction lamp: 0 off, 1 lit, 2, 3 flashes, 4 unknown"),
        ("lamp_stop", ValueType.UINT64, "", None, "Red stop lamp, likewise"),
        ("lamp_warning", ValueType.UINT64, "", None, "Amber warning lamp, likewise"),
        ("lamp_protect", ValueType.UINT64, "", None, "Protect lamp, likewise"),
    )  # fmt: skip

    def body(
        self,
        settings: Settings,
        connection: Settings | None,
        groups: tuple[PollGroup, ...] | None,
        faults: FaultLog,
    ) -> J1939Body:
        plain = super().body(settings, connection, groups, faults)
        source: int | None = None
        has_address: bool | None = None
        if connection is not None:
            source = connection["source_address"]
            if connection.is_sound("address"):
                has_address = "address" in connection
        transmits = plain.transmits
        if transmits and has_address is False:
            faults.add(
                settings.key_at("transmit"), "'transmit' without an address", "add 'address: ...' to it"
            )
        if transmits is not None:
            transmits = tuple(_addressed(one, source) for one in transmits)
            for one in transmits:
                group = one.message.group
                if group is not None and group.destination is None:
                    faults.add(
                        settings.at("transmit"),
                        f"the group {group.pgn} of {quote(one.message.name)}, which goes to one address",
                        "add its 'destination', or the device's 'source_address'",
                    )
        return J1939Body(
            plain.database, plain.groups, transmits, plain.is_replay, plain.is_fd, source, has_address
        )

    def _outgoing(
        self, name: str, s: Settings, database: Database | None, faults: FaultLog
    ) -> CanMessage | None:
        if not s.is_sound("length") or any(
            key in s and s[key] is None for key in ("pgn", "priority", "destination")
        ):
            return None
        pgn: int | None = s["pgn"]
        if pgn is None:
            if database is None:
                faults.add(
                    s.place, f"the message {quote(name)} without 'pgn'", "add 'pgn: ...', or a database"
                )
                return None
            if "length" in s:
                faults.add(s.key_at("length"), "'length' without 'pgn'", "remove it; the database says it")
                return None
            message = named_message(name, s, None, database, faults, NOT_AVAILABLE)
            if message is None or not _is_extended(message, s, None, faults):
                return None
            pgn, priority, initial = pgn_of(message.id), message.id >> 26, message.initial
        else:
            if is_addressed(pgn) and pgn & 0xFF:
                faults.add(
                    s.at("pgn"), f"the group {pgn}, whose last byte is an address", f"write {pgn & ~0xFF}"
                )
                return None
            priority, initial = PRIORITY, bytes((NOT_AVAILABLE,)) * s["length"]
        if _is_own(pgn, s, "pgn", faults):
            return None
        if len(initial) > MAX_BYTES:
            faults.add(s.place, f"{len(initial)} bytes of {quote(name)}", f"send at most {MAX_BYTES}")
            return None
        if s["priority"] is not None:
            priority = s["priority"]
        destination: int | None = s["destination"]
        if destination is None and not is_addressed(pgn):
            destination = GLOBAL
        return CanMessage(name, 0, True, False, initial, ParameterGroup(pgn, None, priority, destination))

    def _located(self, s: Settings, body: CanBody, faults: FaultLog) -> tuple[CanMessage, SignalInfo] | None:
        assert isinstance(body, J1939Body)
        if any(key in s and s[key] is None for key in ("message", "signal", "pgn", "start", "length")):
            return None
        if s["request"] and body.has_address is False:
            faults.add(
                s.key_at("request"), "'request' without an address", "add 'address: ...' to the connection"
            )
            return None
        sent = None
        if s["message"] is not None:
            if "pgn" in s:
                faults.add(s.key_at("pgn"), "'pgn' beside 'message'", "remove one of the two")
                return None
            if body.transmits is None:
                return None
            sent = next((one.message for one in body.transmits if one.message.name == s["message"]), None)
        if s["signal"] is not None:
            return self._of_database(s, sent, body, faults)
        return self._of_table(s, sent, body, faults)

    def _of_database(
        self, s: Settings, sent: CanMessage | None, body: J1939Body, faults: FaultLog
    ) -> tuple[CanMessage, SignalInfo] | None:
        for key in ("start", "length", "pgn"):
            if key in s:
                faults.add(s.key_at(key), f"{quote(key)} beside 'signal'", "remove one of the two")
                return None
        if s["message"] is None:
            faults.add(s.place, "a 'signal' without 'message'", "add 'message: ...'")
            return None
        if body.database is None:
            faults.add(
                s.at("signal"),
                "a 'signal' without a database",
                "add 'database: ...', or 'start' and 'length'",
            )
            return None
        message = named_message(s["message"], s, "message", body.database, faults, NOT_AVAILABLE)
        if message is None or not _is_extended(message, s, "message", faults):
            return None
        pgn = pgn_of(message.id)
        if _is_own(pgn, s, "message", faults):
            return None
        info = named_signal(message.name, s, "signal", body.database, faults)
        if info is None:
            return None
        received = CanMessage(
            message.name, 0, True, False, message.initial, ParameterGroup(pgn, body.source, 0, None)
        )
        return sent or received, info

    def _of_table(
        self, s: Settings, sent: CanMessage | None, body: J1939Body, faults: FaultLog
    ) -> tuple[CanMessage, SignalInfo] | None:
        if s["message"] is not None and sent is None:
            faults.add(
                s.at("message"),
                f"the message {quote(s['message'])} without 'signal', which is not under 'transmit'",
                "add 'signal: ...' of the database, or write 'pgn: ...'",
            )
            return None
        for key in ("start", "length", *(() if sent is not None else ("pgn",))):
            if key not in s:
                faults.add(s.place, f"a J1939 point without {quote(key)}", f"add '{key}: ...'")
                return None
        if not s.is_sound("scale", "offset"):
            return None
        start, length = s["start"], s["length"]
        room = 8 * (MAX_BYTES if sent is None else len(sent.initial))
        if start + length > room:
            faults.add(s.at("length"), f"a signal up to bit {start + length}", f"its message has {room} bits")
            return None
        signal = signal_of(start=start, length=length, scale=s["scale"], offset=s["offset"])
        label = f"{s['pgn']}.{start}" if sent is None else f"{sent.name}.{start}"
        info = SignalInfo(label, signal, (), None, None, None, {})
        if sent is not None:
            return sent, info
        pgn: int = s["pgn"]
        if is_addressed(pgn) and pgn & 0xFF:
            faults.add(s.at("pgn"), f"the group {pgn}, whose last byte is an address", f"write {pgn & ~0xFF}")
            return None
        if _is_own(pgn, s, "pgn", faults):
            return None
        group = ParameterGroup(pgn, body.source, 0, None)
        return CanMessage(f"PGN {pgn}", 0, True, False, b"", group), info

    def _more(self, s: Settings, message: CanMessage) -> dict[str, Any]:
        assert message.group is not None
        return {
            "has_indicators": s["indicators"] is not False,
            "request": message.group.pgn if s["request"] else None,
        }

    def _highest(self, s: Settings, signal: CanSignal) -> int:
        """Below what says that there is no value."""
        whole = (1 << signal.length) - 1
        if signal.is_signed or s["indicators"] is False or signal.length < 2:
            return super()._highest(s, signal)
        if signal.length < 8:
            return whole - 2
        return _TOP_VALID << signal.length - 8 | whole >> 8

    def device(
        self,
        name: str,
        settings: Settings,
        connection: Settings,
        groups: tuple[PollGroup, ...],
        points: Sequence[Placed[CanShape]],
        system: ModbusSystemTags,
    ) -> CanDevice:
        body = self.body(settings, connection, groups, FaultLog())
        tags = {placed.shape.name: placed.tag for placed in points}
        first = system.last_error + 1
        plain = len(CanProtocol.system)
        periods: dict[int, int] = {}
        for placed in points:
            pgn = placed.shape.request
            if pgn is not None:
                period_ms = groups[placed.shape.group].period_ms
                periods[pgn] = min(period_ms, periods.get(pgn, period_ms))
        identity: Identity | None = None
        if connection["address"] is not None:
            identity = Identity(connection["address"], _name(connection), connection["arbitrary"])
        return CanDevice(
            name=name,
            bus=bus_of(connection),
            database_digest="" if body.database is None else body.database.digest,
            groups=groups,
            points=tuple(placed_point(one, tags) for one in points),
            transmits=paged(body.transmits or (), points),
            system=system,
            bus_system=CanSystemTags(*range(first, first + plain)),
            j1939=J1939Link(
                body.source,
                identity,
                tuple(sorted(periods.items())),
                J1939SystemTags(*range(first + plain, first + len(self.system))),
            ),
        )


def _name(connection: Settings) -> int:
    return name_of(
        identity=connection["identity"],
        manufacturer=connection["manufacturer"],
        function=connection["function"],
        instance=connection["instance"],
        industry=connection["industry"],
        is_arbitrary=connection["arbitrary"],
    )


def _addressed(transmit: CanTransmit, source: int | None) -> CanTransmit:
    """With the device's address where the group needs one and none was given."""
    message = transmit.message
    group = message.group
    if group is None or group.destination is not None or source is None:
        return transmit
    return CanTransmit(
        CanMessage(
            message.name,
            0,
            True,
            False,
            message.initial,
            ParameterGroup(group.pgn, None, group.priority, source),
        ),
        transmit.cycle_ms,
        transmit.hold_ms,
        transmit.counter,
        transmit.checksum,
        transmit.algorithm,
    )


def _is_extended(message: CanMessage, s: Settings, key: str | None, faults: FaultLog) -> bool:
    if not message.is_extended:
        place = s.place if key is None else s.at(key)
        faults.add(
            place, f"the message {quote(message.name)} of 11 bits, which is not J1939", "name another message"
        )
    return message.is_extended


def _is_own(pgn: int, s: Settings, key: str, faults: FaultLog) -> bool:
    """Whether a group is one of the network's own."""
    if pgn not in OWN_PGNS and pgn != ACTIVE_FAULTS:
        return False
    what = "whose faults are tags already" if pgn == ACTIVE_FAULTS else "which is the network's own"
    faults.add(s.at(key), f"the group {pgn}, {what}", "name another one")
    return True
