"""What devices that share a connection, a bus or a line must say alike of it, and what each has to itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.config.dnp3_device import Dnp3Transport
from gateway.config.fault import FaultLog, quote
from gateway.config.kinds import Settings, describe
from gateway.config.modbus import PORTS, SERIAL
from gateway.config.site_keys.devices.can import CAN_BUS_KEYS
from gateway.config.site_keys.devices.j1939 import J1939_BUS_KEYS


class SharedLines:
    """Every connection of a site, by where it is."""

    def __init__(self, faults: FaultLog) -> None:
        self._faults = faults
        self._connections: dict[str, tuple[dict[str, Any], str]] = {}
        self._buses: dict[tuple[Any, ...], tuple[dict[str, Any], str]] = {}
        self._nodes: dict[tuple[str, str, int, int], str] = {}
        self._lines: dict[tuple[Any, ...], tuple[dict[str, Any], str]] = {}
        self._line_addresses: dict[tuple[str, int], str] = {}

    def add(self, device: str, protocol: str, connection: Settings) -> None:
        """A device, with faults where what it says is not what the others on its line do."""
        match protocol:
            case "modbus":
                self._check_shared(device, connection)
            case "can":
                self._check_bus(device, connection, "", CAN_BUS_KEYS)
            case "j1939":
                self._check_bus(device, connection, "", CAN_BUS_KEYS)
                self._check_bus(device, connection, "j1939", J1939_BUS_KEYS)
            case "canopen":
                self._check_bus(device, connection, "", CAN_BUS_KEYS)
                self._check_node(device, connection)
            case "dnp3":
                self._check_line(device, connection)

    def _check_shared(self, device: str, connection: Settings) -> None:
        """Devices at one address share a connection, or none of them does; those on one line say the same of it."""
        transport = connection["transport"]
        if transport is None:
            return
        where: tuple[str, ...] = ("serial",) if transport in SERIAL else ("host", "port")
        keys: tuple[str, ...]
        if transport in SERIAL:
            line = "line"
            keys = ("transport", "baud", "parity", "stop_bits", "data_bits", "turnaround_ms")
        else:
            line = "address"
            keys = ("transport", "single_connection", "turnaround_ms")
        if not connection.is_sound(*where, *keys):
            return
        place = ":".join(str(connection[key] or PORTS[transport]) for key in where)
        said = {key: connection[key] for key in keys}
        first_said, first = self._connections.setdefault(place, (said, device))
        for key, value in said.items():
            if value != first_said[key]:
                self._faults.add(
                    connection.at(key),
                    f"{quote(key)} is {describe(value)} here but {describe(first_said[key])} for "
                    f"{quote(first)}, which is at the same {place}",
                    f"say the same for all devices of one {line}",
                )
                return

    def _check_bus(self, device: str, connection: Settings, network: str, keys: tuple[str, ...]) -> None:
        """Devices on one bus say the same of it, and of the network that they have on it."""
        if not connection.is_sound("interface", "channel", "port", *keys):
            return
        at = (connection["interface"], connection["channel"], connection["port"], connection["file"])
        bus = (*at, network)
        self._check_alike(device, connection, self._buses, bus, keys, "bus")

    def _check_node(self, device: str, connection: Settings) -> None:
        """Nodes of one bus have numbers of their own."""
        if not connection.is_sound("interface", "channel", "port", "node_id"):
            return
        node = connection["node_id"]
        place = (connection["interface"], connection["channel"], connection["port"], node)
        other = self._nodes.setdefault(place, device)
        if other != device:
            self._faults.add(
                connection.at("node_id"),
                f"'node_id' is {node}, as of {quote(other)}, which is on the same bus",
                "give each node of a bus a number of its own",
            )

    def _check_line(self, device: str, connection: Settings) -> None:
        """Outstations on one serial line say the same of it, and each has an address of its own."""
        keys = ("baud", "parity", "stop_bits", "master_address", "retry_max_ms")
        if connection["transport"] != Dnp3Transport.SERIAL or not connection.is_sound(
            "serial", "address", *keys
        ):
            return
        port, address = connection["serial"], connection["address"]
        self._check_alike(device, connection, self._lines, (port,), keys, "line")
        other = self._line_addresses.setdefault((port, address), device)
        if other != device:
            self._faults.add(
                connection.at("address"),
                f"'address' is {address}, as of {quote(other)}, which is on the same line {port}",
                "give each outstation of a line an address of its own",
            )

    def _check_alike(
        self,
        device: str,
        connection: Settings,
        known: dict[tuple[Any, ...], tuple[dict[str, Any], str]],
        place: tuple[Any, ...],
        keys: Sequence[str],
        title: str,
    ) -> None:
        """What is said of one bus or line is the same for all that are on it."""
        said = {key: connection[key] for key in keys}
        first_said, first = known.setdefault(place, (said, device))
        for key, value in said.items():
            if value != first_said[key]:
                self._faults.add(
                    connection.at(key),
                    f"{quote(key)} is {describe(value)} here but {describe(first_said[key])} for {quote(first)}, "
                    f"which is on the same {title}",
                    f"say the same for all devices of one {title}",
                )
