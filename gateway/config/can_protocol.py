"""CAN devices of a site file: points are signals of a database, commands become messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.config.can import (
    REPLAY,
    CanBus,
    CanDevice,
    CanMessage,
    CanPoint,
    CanSelector,
    CanSignal,
    CanSystemTags,
    CanTransmit,
    Checksum,
)
from gateway.config.can_bits import raw_limits
from gateway.config.can_database import Database, DatabaseError, SignalInfo, load_database
from gateway.config.common_point import CommonCheck, CommonShape
from gateway.config.document import Hole, Node, ScalarNode
from gateway.config.fault import FaultLog, quote, suggestion
from gateway.config.kinds import Reading, Settings
from gateway.config.modbus import ModbusSystemTags, PollGroup
from gateway.config.protocol import DeviceProtocol, Placed
from gateway.config.site_keys.devices.can import CAN_POINT
from gateway.config.system import SystemRow
from gateway.tags.tag import ValueType

BUS_STATES = {0: "active", 1: "passive", 2: "off"}
CLASSIC_BYTES = 8  # of a message that is not CAN FD
LOGS = ("asc", "blf", "trc", "log", "csv")
LIMIT_SLACK = 1e-9  # of a step: limits of a write are compared with raw limits that went through doubles


@dataclass(frozen=True, slots=True)
class CanBody:
    """What all points of a device share. A database is compared by identity."""

    database: Database | None
    groups: tuple[PollGroup, ...] | None
    transmits: tuple[CanTransmit, ...] | None  # None: not known for sure
    is_replay: bool
    is_fd: bool


@dataclass(frozen=True, slots=True)
class CanShape(CommonShape):
    """A CAN point as every copy of its device has it."""

    message: CanMessage
    signal: CanSignal
    selectors: tuple[CanSelector, ...]
    feedback: str | None
    not_implemented: tuple[int, ...]
    has_indicators: bool = False
    request: int | None = None  # the group that is asked for
    page: bytes = b""


class CanProtocol(DeviceProtocol[CanBody, CanShape]):
    """``protocol: can``."""

    name = "can"
    section = CAN_POINT
    needs_database = True
    fill = 0  # each byte of which a database says nothing
    system: tuple[SystemRow, ...] = (
        ("frames", ValueType.UINT64, "", 0, "Messages of this device that were received"),
        ("bus_frames", ValueType.UINT64, "", 0, "Messages on its bus, since it was opened"),
        ("frames_lost", ValueType.UINT64, "", 0, "Messages that came faster than they could be read"),
        ("error_frames", ValueType.UINT64, "", 0, "Error frames on its bus"),
        ("bus_offs", ValueType.UINT64, "", 0, "How often our controller went bus-off"),
        ("bus_state", ValueType.UINT64, "", None, "State of our controller: 0 active, 1 passive, 2 off"),
        ("bus_load_pct", ValueType.DOUBLE, "%", 1, "Load of its bus in the last second, without stuff bits"),
    )

    def body(
        self,
        settings: Settings,
        connection: Settings | None,
        groups: tuple[PollGroup, ...] | None,
        faults: FaultLog,
    ) -> CanBody:
        database: Database | None = None
        is_replay = False
        is_fd = True
        if connection is not None:
            is_replay = connection["interface"] == REPLAY
            is_fd = is_replay or connection["fd"] is not False
            self._check_source(connection, faults)
            if connection["database"] is not None:
                place = connection.at("database")
                try:
                    database = load_database(place.file.parent / connection["database"])
                except DatabaseError as error:
                    faults.add(
                        place,
                        f"the database {quote(connection['database'])} {error}",
                        "mend the file, or its path; it is relative to this file",
                    )
        return CanBody(database, groups, self._transmits(settings, database, faults), is_replay, is_fd)

    def _check_source(self, connection: Settings, faults: FaultLog) -> None:
        if not connection.is_sound("interface"):
            return
        if connection["interface"] != REPLAY:
            for key in ("file", "speed", "loop"):
                if key in connection:
                    faults.add(
                        connection.key_at(key),
                        f"{quote(key)} of an interface that is no replay",
                        f"remove '{key}', or write 'interface: {REPLAY}'",
                    )
            return
        if "file" not in connection:
            faults.add(connection.place, "a replay without a log", "add 'file: ...'")
        elif connection["file"] is not None:
            place, name = connection.at("file"), connection["file"]
            path = place.file.parent / name
            if path.suffix[1:].lower() not in LOGS:
                faults.add(
                    place,
                    f"the log {quote(name)} of a kind that is not known",
                    f"write one of: {', '.join(LOGS)}",
                )
            elif not path.is_file():
                faults.add(
                    place,
                    f"the file {quote(name)} does not exist",
                    "mend the path; it is relative to this file",
                )

    def _transmits(
        self, settings: Settings, database: Database | None, faults: FaultLog
    ) -> tuple[CanTransmit, ...] | None:
        read: dict[str, Settings | Hole] | None = settings["transmit"]
        if read is None:
            return None if "transmit" in settings else ()
        if database is None and self.needs_database:
            return None
        transmits: list[CanTransmit] = []
        is_sure = True
        for name, one in read.items():
            transmit = None if isinstance(one, Hole) else self._transmit(name, one, database, faults)
            is_sure &= transmit is not None
            if transmit is not None:
                transmits.append(transmit)
        return tuple(transmits) if is_sure else None

    def _outgoing(
        self, name: str, s: Settings, database: Database | None, faults: FaultLog
    ) -> CanMessage | None:
        """The message that a section of 'transmit' is about."""
        for key in ("pgn", "length", "priority", "destination"):
            if key in s:
                faults.add(s.key_at(key), f"{quote(key)} of a message that is not J1939", f"remove '{key}'")
                return None
        assert database is not None
        return named_message(name, s, None, database, faults)

    def _transmit(
        self, name: str, s: Settings, database: Database | None, faults: FaultLog
    ) -> CanTransmit | None:
        if not s.is_sound("hold_ms", "counter", "checksum", "algorithm") or (
            "cycle_ms" in s and s["cycle_ms"] is None
        ):
            return None
        message = self._outgoing(name, s, database, faults)
        if message is None:
            return None
        counter = checksum = None
        if database is None:
            for key in ("counter", "checksum"):
                if key in s:
                    faults.add(s.key_at(key), f"{quote(key)} without a database", f"remove '{key}'")
                    return None
        if s["counter"] is not None:
            assert database is not None
            info = named_signal(name, s, "counter", database, faults)
            if info is None:
                return None
            counter = info.signal
            if counter.type not in (ValueType.UINT64, ValueType.BOOL) or counter.scale != 1 or info.selectors:
                faults.add(
                    s.at("counter"),
                    f"the counter {quote(info.name)}, which is no plain unsigned number",
                    "name another signal",
                )
                return None
        if s["checksum"] is not None:
            assert database is not None
            info = named_signal(name, s, "checksum", database, faults)
            if info is None:
                return None
            checksum = info.signal
            if (
                checksum.length != 8
                or info.selectors
                or checksum.start % 8 != (7 if checksum.is_big_endian else 0)
            ):
                faults.add(
                    s.at("checksum"),
                    f"the checksum {quote(info.name)}, which is not one whole byte",
                    "name another signal",
                )
                return None
        elif "algorithm" in s:
            faults.add(
                s.key_at("algorithm"), "'algorithm' without 'checksum'", "remove it, or add 'checksum: ...'"
            )
            return None
        cycle_ms = s["cycle_ms"]
        if cycle_ms is None:
            is_known = database is not None and "pgn" not in s
            cycle_ms = database.cycle_ms(name) or 0 if database is not None and is_known else 0
        algorithm: Checksum = s["algorithm"]
        return CanTransmit(message, cycle_ms, s["hold_ms"], counter, checksum, algorithm)

    def point(self, name: ScalarNode, node: Node, body: CanBody, reading: Reading) -> CanShape | None:
        s = self.section.read(node, name.text, reading)
        if not isinstance(s, Settings):
            return None
        check = CommonCheck(name, s, body.groups, reading.faults)
        check.is_sound = s.is_sound(*(key.name for key in self.section.keys))
        found = self._located(s, body, reading.faults)
        if found is None:
            return None
        message, info = found
        if (
            message.group is None
            and not body.is_fd
            and (message.is_fd or len(message.initial) > CLASSIC_BYTES)
        ):
            check.add(
                "message",
                f"the message {quote(message.name)} of {len(message.initial)} bytes, which needs CAN FD",
                "add 'fd: true' to the connection",
            )
        transmit = None
        if s["write"] is not None:
            transmit = self._commanded(check, message, info, body)
        elif "feedback" in s:
            check.refuse("feedback", "a point without 'write'")
        signal = info.signal
        limit = 1 << signal.length
        for raw in s["not_implemented"] or ():
            if raw >= limit:
                check.add(
                    "not_implemented",
                    f"the raw value 0x{raw:X}, which {signal.length} bit{'s' if limit > 2 else ''} cannot hold",
                    f"write at most 0x{limit - 1:X}",
                )
        is_number = signal.type is not ValueType.BOOL
        common = check.shape(
            signal.type,
            f"the signal {quote(info.name)}",
            is_writable=True,
            states=info.states,
            unit=info.unit,
            span=None if info.low is None or info.high is None else (info.low, info.high),
            step=abs(signal.scale) / 2 if signal.type is ValueType.DOUBLE and not signal.is_float else 0.0,
        )
        if common is None:
            return None
        if transmit is not None and is_number and common.write is not None and not signal.is_float:
            self._check_limits(check, common, signal, self._highest(s, signal))
            if not check.is_sound:
                return None
        return CanShape(
            **{field: getattr(common, field) for field in CommonShape.__dataclass_fields__},
            message=message,
            signal=signal,
            selectors=info.selectors,
            feedback=s["feedback"],
            not_implemented=s["not_implemented"],
            page=self._page(s, message, info, body),
            **self._more(s, message),
        )

    def _located(self, s: Settings, body: CanBody, faults: FaultLog) -> tuple[CanMessage, SignalInfo] | None:
        """The message and the signal that a point is."""
        if not s.is_sound("message", "signal") or body.database is None:
            return None
        message = named_message(s["message"], s, "message", body.database, faults)
        if message is None:
            return None
        info = named_signal(message.name, s, "signal", body.database, faults)
        return None if info is None else (message, info)

    def _page(self, s: Settings, message: CanMessage, info: SignalInfo, body: CanBody) -> bytes:
        """The page that a command sends."""
        if s["write"] is None or not info.selectors:
            return b""
        assert body.database is not None
        return body.database.page(message.name, info.selectors, self.fill)

    def _more(self, s: Settings, message: CanMessage) -> dict[str, Any]:
        """What a shape has beyond that of a plain point."""
        return {}

    def _highest(self, s: Settings, signal: CanSignal) -> int:
        """The highest raw value that may be sent."""
        return raw_limits(signal)[1]

    @staticmethod
    def _commanded(
        check: CommonCheck, message: CanMessage, info: SignalInfo, body: CanBody
    ) -> CanTransmit | None:
        if body.is_replay:
            check.add("write", "'write' in a replay", "remove it; a log takes no commands")
            return None
        if any(len(selector.ids) > 1 for selector in info.selectors):
            check.add("write", f"'write' of {quote(info.name)}, which is on several pages", "remove it")
            return None
        if body.transmits is None:
            return None
        transmit = next((one for one in body.transmits if one.message.name == message.name), None)
        if transmit is None:
            check.add(
                "write",
                f"'write' of a signal of {quote(message.name)}, which is not sent",
                f"add it to the device: 'transmit: {{{message.name}: {{cycle_ms: 100}}}}'",
            )
        elif info.signal in (transmit.counter, transmit.checksum):
            check.add("write", f"'write' of {quote(info.name)}, which Tieline reckons itself", "remove it")
        return transmit

    @staticmethod
    def _check_limits(check: CommonCheck, common: CommonShape, signal: CanSignal, highest: int) -> None:
        assert common.write is not None
        ends = sorted(raw * signal.scale + signal.offset for raw in (raw_limits(signal)[0], highest))
        slack = abs(signal.scale) * LIMIT_SLACK
        for limit in (common.write.low, common.write.high):
            if limit is not None and not ends[0] - slack <= limit <= ends[1] + slack:
                check.add(
                    "write",
                    f"a write limit of {limit:g}, but the signal holds {ends[0]:g}..{ends[1]:g}",
                    "write limits within that",
                )

    def check(self, shapes: Sequence[CanShape], faults: FaultLog) -> None:
        by_name = {shape.name: shape for shape in shapes}
        choosing = {
            (shape.message, selector.signal)
            for shape in shapes
            if shape.write is not None
            for selector in shape.selectors
        }
        for shape in shapes:
            if shape.write is not None and (shape.message, shape.signal) in choosing:
                faults.add(
                    shape.place,
                    f"'write' of the multiplexer {quote(shape.name)}, beside signals that it chooses",
                    "remove it; the page of a command is chosen with it",
                )
            if shape.feedback is None:
                continue
            other = by_name.get(shape.feedback)
            if other is None or other is shape:
                faults.add(
                    shape.place,
                    f"{quote(shape.name)} has the feedback {quote(shape.feedback)}, which is no other point",
                    suggestion(
                        shape.feedback, [name for name in by_name if name != shape.name], "name a point"
                    ),
                )
            elif (other.value_type is ValueType.BOOL) != (shape.value_type is ValueType.BOOL):
                faults.add(
                    shape.place,
                    f"{quote(shape.name)} and its feedback {quote(other.name)} are of different kinds",
                    "name a point of the same kind",
                )

    def device(
        self,
        name: str,
        settings: Settings,
        connection: Settings,
        groups: tuple[PollGroup, ...],
        points: Sequence[Placed[CanShape]],
        system: ModbusSystemTags,
    ) -> CanDevice:
        # `build` also asks for devices of a site with faults; the database may be one of them then
        faults = FaultLog()
        body = self.body(settings, connection, groups, faults)
        tags = {placed.shape.name: placed.tag for placed in points}
        first = system.last_error + 1
        return CanDevice(
            name=name,
            bus=bus_of(connection),
            database_digest="" if body.database is None else body.database.digest,
            groups=groups,
            points=tuple(placed_point(one, tags) for one in points),
            transmits=paged(body.transmits or (), points),
            system=system,
            bus_system=CanSystemTags(*range(first, first + len(self.system))),
        )


def paged(transmits: Sequence[CanTransmit], points: Sequence[Placed[CanShape]]) -> tuple[CanTransmit, ...]:
    """What is sent, with whether signals on pages of it are commanded."""
    with_pages = {one.shape.message for one in points if one.shape.page}
    return tuple(replace(one, is_paged=one.message in with_pages) for one in transmits)


def bus_of(connection: Settings) -> CanBus:
    """The bus of a sound connection."""
    file: str | None = connection["file"]
    if file is not None:
        file = str(connection.at("file").file.parent / Path(file))
    return CanBus(
        interface=connection["interface"],
        channel=connection["channel"],
        port=connection["port"],
        hops=connection["ttl"],
        bitrate=connection["bitrate"],
        fd=connection["fd"],
        data_bitrate=connection["data_bitrate"],
        file=file,
        speed=connection["speed"],
        loop=connection["loop"],
        retry_max_ms=connection["retry_max_ms"],
    )


def named_message(
    name: str, s: Settings, key: str | None, database: Database, faults: FaultLog, fill: int = 0
) -> CanMessage | None:
    """A message of the database; ``fill`` is each byte of which it says nothing."""
    place = s.place if key is None else s.at(key)
    try:
        return database.message(name, fill)
    except KeyError:
        faults.add(
            place,
            f"the message {quote(name)}, which the database has not",
            suggestion(name, database.messages(), "name a message of the database"),
        )
    except DatabaseError as error:
        faults.add(place, f"the message {quote(name)} {error}", "name another message")
    return None


def named_signal(
    message: str, s: Settings, key: str, database: Database, faults: FaultLog
) -> SignalInfo | None:
    """A signal of one of its messages."""
    name = s[key]
    try:
        return database.signal(message, name)
    except KeyError:
        faults.add(
            s.at(key),
            f"the signal {quote(name)}, which message {quote(message)} has not",
            suggestion(name, database.signals(message), "name a signal of that message"),
        )
    except DatabaseError as error:
        faults.add(s.at(key), f"the signal {quote(name)} {error}", "name another signal")
    return None


def placed_point(placed: Placed[CanShape], tags: dict[str, int]) -> CanPoint:
    shape = placed.shape
    return CanPoint(
        name=placed.name,
        tag=placed.tag,
        message=shape.message,
        signal=shape.signal,
        selectors=shape.selectors,
        low=shape.low,
        high=shape.high,
        group=shape.group,
        writable=shape.write is not None,
        feedback=None if shape.feedback is None else tags.get(shape.feedback),
        not_implemented=shape.not_implemented,
        has_indicators=shape.has_indicators,
        page=shape.page,
    )
