"""The `modbus` section of the servers to doors, their clients, and the register maps of their units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from gateway.config.document import Node, ScalarNode
from gateway.config.fault import FaultLog, quote, suggestion
from gateway.config.kinds import Named, Reading, Settings
from gateway.config.known_tag import known_tag
from gateway.config.modbus import PORTS, Order, RegisterType, Table, Transport
from gateway.config.modbus_server import (
    BadAs,
    ModbusClient,
    ModbusDoor,
    ModbusServer,
    ServedPoint,
    ServedUnit,
)
from gateway.config.register_check import Body, RegisterCheck
from gateway.config.site import Tag
from gateway.config.site_keys.devices.modbus import MAX_READ_REGISTERS
from gateway.config.site_keys.servers.modbus import (
    MODBUS_CLIENTS,
    MODBUS_DOORS,
    MODBUS_SERVED_POINT,
    MODBUS_SERVED_POINTS,
    MODBUS_UNITS,
)
from gateway.config.tls import read_tls
from gateway.tags.tag import ValueType

MAX_WRITE_REGISTERS = 123  # Modbus Application Protocol 1.1b3, 6.12

_T = RegisterType
_BIT_TABLES = frozenset({Table.COIL, Table.DISCRETE})
_READ_ONLY = frozenset({Table.DISCRETE, Table.INPUT})
_NUMBERS = frozenset({ValueType.INT64, ValueType.UINT64, ValueType.DOUBLE})
# What stands for a Bad value unless the point says otherwise: the patterns that SunSpec has, and no digits for BCD.
NOT_IMPLEMENTED = {
    _T.INT16: 0x8000,
    _T.UINT16: 0xFFFF,
    _T.INT32: 0x8000_0000,
    _T.UINT32: 0xFFFF_FFFF,
    _T.INT64: 0x8000_0000_0000_0000,
    _T.UINT64: 0xFFFF_FFFF_FFFF_FFFF,
    _T.FLOAT32: 0x7FC0_0000,  # NaN
    _T.FLOAT64: 0x7FF8_0000_0000_0000,
    _T.BCD16: 0xFFFF,
    _T.BCD32: 0xFFFF_FFFF,
    _T.STRING: 0,
}


def read_modbus_server(
    settings: Settings, tags: Sequence[Tag], users: frozenset[str] | None, faults: FaultLog
) -> tuple[ModbusServer, list[tuple[str, Settings]]]:
    """The server, and its doors with a title each for who compares ports; of no use where faults were added.

    ``users`` None: they could not be read.
    """
    section = _Section(tags, users, faults)
    doors = tuple(section.doors(settings))
    return ModbusServer(doors), section.titled


class _Section:
    def __init__(self, tags: Sequence[Tag], users: frozenset[str] | None, faults: FaultLog) -> None:
        self.titled: list[tuple[str, Settings]] = []
        self._tags = tags
        self._users = users
        self._faults = faults
        self._reading = Reading(faults)
        self._is_unsure = faults.unsure or len(faults) > 0
        self._index = {tag.name: place for place, tag in enumerate(tags)}

    def doors(self, settings: Settings) -> Iterator[ModbusDoor]:
        for key, s in self._entries(settings, "doors", MODBUS_DOORS, "the Modbus server"):
            title = f"the Modbus door {key.text}"
            if "port" not in s:  # given here, so that who compares ports sees it
                s.put("port", PORTS[Transport.TLS if "tls" in s else Transport.TCP], s.place, s.place)
            self.titled.append((title, s))
            units = tuple(self._units(s, title))
            clients = tuple(self._clients(s, title, frozenset(unit.unit_id for unit in units)))
            tls: Settings | None = s["tls"]
            yield ModbusDoor(
                name=key.text,
                host=s["host"],
                port=s["port"],
                clients=clients,
                units=units,
                operate_timeout_ms=s["operate_timeout_ms"],
                connections=s["connections"],
                tls=None if tls is None else read_tls(tls, self._faults),
            )

    def _entries(
        self, settings: Settings, section: str, kind: Named, of: str
    ) -> Iterator[tuple[ScalarNode, Settings]]:
        node: Node | None = settings[section]
        if node is None:
            return
        for key, item in kind.entries(node, section, self._reading):
            with self._faults.within(f"{section} of {of}"):
                found = kind.value.read(item, key.text, self._reading)
                if isinstance(found, Settings):
                    yield key, found

    def _clients(self, door: Settings, title: str, units: frozenset[int]) -> Iterator[ModbusClient]:
        for key, s in self._entries(door, "clients", MODBUS_CLIENTS, title):
            if not s.is_sound("hosts"):
                continue
            networks = tuple(self._networks(s))
            if not s["hosts"]:
                self._faults.add(
                    s.at("hosts"), "'hosts' is empty", "name the addresses that it may connect from"
                )
            user: str | None = s["user"]
            if user is not None and self._users is not None and user not in self._users:
                self._faults.add(
                    s.at("user"),
                    f"the unknown user {quote(user)}",
                    suggestion(user, self._users, "add it under 'users'"),
                )
            seen: tuple[int, ...] | None = s["units"]
            for unit in seen or ():
                if unit not in units and not self._is_unsure:
                    self._faults.add(
                        s.at("units"), f"the unit {unit}, which this door has not", "add it under 'units'"
                    )
            if "role" in s and "tls" not in door:
                self._faults.add(
                    s.key_at("role"),
                    "'role' at a door without TLS, where clients show no certificates",
                    "remove it, or add 'tls: ...' to the door",
                )
            yield ModbusClient(key.text, networks, user, None if seen is None else frozenset(seen), s["role"])

    def _networks(self, s: Settings) -> Iterator[IPv4Network | IPv6Network]:
        for text in s["hosts"]:
            try:
                yield ip_network(text)
            except ValueError:
                self._faults.add(
                    s.at("hosts"),
                    f"the host {quote(text)}, which is neither an address nor a network",
                    "write such as 192.0.2.7 or 192.0.2.0/24 (no bits beyond the network's)",
                )

    def _units(self, door: Settings, title: str) -> Iterator[ServedUnit]:
        for key, s in self._entries(door, "units", MODBUS_UNITS, title):
            body = Body(
                None,
                s["word_order"] or Order.BIG,
                s["byte_order"] or Order.BIG,
                MAX_READ_REGISTERS,
                s["addressing"] == "modicon",
            )
            found: list[tuple[ScalarNode, ServedPoint]] = []
            of = f"unit {key.text} of {title}"
            for name, point in self._entries(s, "points", MODBUS_SERVED_POINTS, of):
                place = self._find(name)
                if place is not None:
                    check = _Check(name, point, body, s["bad"] or BadAs.PATTERN, self._faults)
                    served = check.served(place, self._tags[place])
                    if served is not None:
                        found.append((name, served))
            with self._faults.within(f"points of {of}"):
                self._report_overlaps(found)
            ordered = sorted(
                (point for _, point in found), key=lambda p: (p.table.value, p.address, p.bit or 0)
            )
            yield ServedUnit(int(key.text), s["description"] or "", tuple(ordered))

    def _find(self, key: ScalarNode) -> int | None:
        return known_tag(key.text, self._index, key.place, self._faults, is_unsure=self._is_unsure)

    def _report_overlaps(self, found: list[tuple[ScalarNode, ServedPoint]]) -> None:
        """In the order of the file: who comes second is at fault."""
        taken: dict[tuple[Table, int], list[tuple[ScalarNode, int | None]]] = {}
        for name, point in found:
            for address in range(point.address, point.address + point.registers):
                others = taken.setdefault((point.table, address), [])
                clash = next(
                    (other for other, bit in others if bit is None or point.bit in (None, bit)), None
                )
                others.append((name, point.bit))
                if clash is not None:
                    self._faults.add(
                        name.place,
                        f"{quote(name.text)} at {point.table} {address}, where {quote(clash.text)} is",
                        "give each point an address of its own",
                    )
                    break


class _Check(RegisterCheck):
    """The checks of one served point."""

    def __init__(
        self, name: ScalarNode, settings: Settings, body: Body, bad: BadAs, faults: FaultLog
    ) -> None:
        super().__init__(name, settings, MODBUS_SERVED_POINT, body, faults)
        self._bad = bad

    def served(self, place: int, tag: Tag) -> ServedPoint | None:
        """The point, or None where a fault was reported."""
        s = self._settings
        table: Table | None = s["table"]
        type = self.register_type(table)
        if table is None or type is None:
            return None
        registers = self.register_count(type)
        address = self.first_address(table, registers)
        self.check_orders(table, type, registers)
        self._check_fit(type, tag)
        if registers is None:
            return None
        self._check_write(table, registers, tag)
        bad, patterns = self._told(type, registers)
        if not self._is_sound or address is None:
            return None
        return ServedPoint(
            name=tag.name,
            tag=place,
            table=table,
            address=address,
            registers=registers,
            type=type,
            word_order=s["word_order"] or self._body.word_order,
            byte_order=s["byte_order"] or self._body.byte_order,
            bit=s["bit"],
            scale=s["scale"],
            offset=s["offset"],
            not_implemented=patterns,
            bad=bad,
            writable=bool(s["write"]),
        )

    def _check_fit(self, type: RegisterType, tag: Tag) -> None:
        if type is _T.BOOL:
            fits, wanted = tag.type is ValueType.BOOL, "serve it as a number, in registers"
        elif type is _T.STRING:
            fits, wanted = tag.type is ValueType.STRING, "serve it as a number"
        else:
            fits, wanted = tag.type in _NUMBERS or tag.type is ValueType.BOOL, "write 'type: string'"
        if not fits:
            self._is_sound = False
            self._faults.add(
                self._name.place, f"{quote(tag.name)} as {type}, but it is {tag.type.name}", wanted
            )
        elif tag.type not in _NUMBERS:
            for key in ("scale", "offset"):
                self._refuse(key, f"a {tag.type.name.lower()}, which is no number")

    def _check_write(self, table: Table, registers: int, tag: Tag) -> None:
        if not self._settings["write"]:
            return
        if table in _READ_ONLY:
            self._add(
                "write",
                f"'write' of a point in table '{table}', which is read-only",
                f"remove it, or write 'table: {'coil' if table is Table.DISCRETE else 'holding'}'",
            )
        elif tag.write is None:
            self._add(
                "write",
                f"'write' of {quote(tag.name)}, which may not be written",
                "give the device's point 'write: {...}', or remove this one",
            )
        elif registers > MAX_WRITE_REGISTERS:
            self._add(
                "registers",
                f"{registers} registers that may be written, more than a request holds",
                f"write at most {MAX_WRITE_REGISTERS}",
            )

    def _told(self, type: RegisterType, registers: int) -> tuple[BadAs, tuple[int, ...]]:
        """How Bad quality is told, and the pattern."""
        s = self._settings
        given: int | None = s["not_implemented"]
        bad: BadAs = s["bad"] or self._bad
        if given is None:
            if type is _T.BOOL and s["bad"] is BadAs.PATTERN:
                self._add(
                    "bad",
                    "'bad: pattern' of a bool, which has no room for one",
                    "add 'not_implemented: 0' or 1, or write 'bad: exception'",
                )
            if bad is BadAs.EXCEPTION or type is _T.BOOL:
                return BadAs.EXCEPTION, ()
            return BadAs.PATTERN, (NOT_IMPLEMENTED[type],)
        if s["bad"] is BadAs.EXCEPTION:
            self._refuse("not_implemented", "a point with 'bad: exception'")
        elif type is _T.STRING:
            self._refuse("not_implemented", "a string, which is told as empty")
        bits = 1 if type is _T.BOOL else 16 * registers
        if given >= 1 << bits:
            self._add(
                "not_implemented",
                f"the raw value 0x{given:X}, which {type} cannot hold",
                f"write at most 0x{(1 << bits) - 1:X}",
            )
        return BadAs.PATTERN, (given,)
