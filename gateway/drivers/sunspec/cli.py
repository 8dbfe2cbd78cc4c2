"""`tieline discover sunspec`: what a SunSpec device has, written as a device of a site file. Nothing is commanded."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from gateway.config.modbus import BAUDS, MAX_SERIAL_UNIT, SERIAL, Parity, SerialPort, Transport
from gateway.drivers.discover import FAILED, USAGE, add_output, deliver

if TYPE_CHECKING:
    from gateway.drivers.modbus.line import Line
    from gateway.drivers.sunspec.scan import Scan

_TRANSPORTS = (Transport.TCP, Transport.RTU_OVER_TCP, Transport.RTU)


def add_discover(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``sunspec``."""
    parser = subparsers.add_parser("sunspec", help="a SunSpec device by Modbus: inverter, battery, meter")
    parser.add_argument("host", nargs="?", metavar="HOST", help="its host name or address")
    parser.add_argument("--port", type=int, default=502, help="its TCP port (default: 502)")
    parser.add_argument(
        "--unit", type=int, default=1, help="its unit id (default: 1; SolarEdge 1, Fronius 1, SMA 126)"
    )
    parser.add_argument(
        "--transport",
        choices=[one.value for one in _TRANSPORTS],
        default="tcp",
        help="how frames travel (default: tcp)",
    )
    parser.add_argument("--serial", metavar="PORT", help="serial port, for --transport rtu: /dev/ttyUSB0")
    parser.add_argument(
        "--baud", type=int, choices=BAUDS, default=9_600, metavar="BAUD", help="bits a second (default: 9600)"
    )
    parser.add_argument(
        "--parity", choices=[one.value for one in Parity], default="even", help="(default: even)"
    )
    parser.add_argument(
        "--timeout-ms", type=int, default=2_000, help="how long an answer may take (default: 2000)"
    )
    parser.add_argument(
        "--max-registers", type=int, default=125, help="most registers in one read (default: 125)"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        dest="keep_all",
        help="keep points that the device does not implement now",
    )
    parser.add_argument(
        "--site", default="", metavar="NAME", help="make it a whole site of that name, to be run as it is"
    )
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from gateway.drivers.sunspec.device_map import Place, device_map
    from gateway.drivers.sunspec.scan import SunSpecError

    transport = Transport(arguments.transport)
    wrong = _wrong(arguments, transport)
    if wrong:
        print(f"tieline discover sunspec: {wrong}", file=sys.stderr)
        return USAGE
    try:
        found = asyncio.run(_scan(arguments, transport))
    except SunSpecError as error:
        print(f"{arguments.serial or arguments.host}, unit {arguments.unit}: {error}", file=sys.stderr)
        return FAILED
    place = Place(
        arguments.name,
        arguments.area,
        _connection(arguments, transport),
        arguments.site,
        arguments.max_registers,
    )
    return deliver(device_map(found, place, keep_all=arguments.keep_all), arguments)


def _wrong(arguments: argparse.Namespace, transport: Transport) -> str:
    """What the options lack, and how to mend it."""
    if transport in SERIAL and not arguments.serial:
        return "no serial port: add --serial /dev/ttyUSB0"
    if transport not in SERIAL and not arguments.host:
        return "no host: add its name or address, or --transport rtu --serial /dev/ttyUSB0"
    if transport not in SERIAL and arguments.serial:
        return "--serial is for --transport rtu"
    if (
        not (1 if transport is not Transport.TCP else 0)
        <= arguments.unit
        <= (MAX_SERIAL_UNIT if transport is not Transport.TCP else 255)
    ):
        return f"unit {arguments.unit}: write --unit 1 to {MAX_SERIAL_UNIT}"
    if not 1 <= arguments.port <= 65_535:
        return f"port {arguments.port}: write --port 1 to 65535"
    if not 1 <= arguments.max_registers <= 125:
        return f"{arguments.max_registers} registers a read: write --max-registers 1 to 125"
    if not 10 <= arguments.timeout_ms <= 60_000:
        return f"{arguments.timeout_ms} ms: write --timeout-ms 10 to 60000"
    return ""


def _connection(arguments: argparse.Namespace, transport: Transport) -> dict[str, object]:
    """The keys of ``connection``."""
    keys: dict[str, object] = {} if transport is Transport.TCP else {"transport": transport.value}
    if transport in SERIAL:
        keys |= {"serial": arguments.serial, "baud": arguments.baud, "parity": arguments.parity}
    else:
        keys |= {"host": arguments.host, "port": arguments.port}
    keys |= {"unit_id": arguments.unit, "timeout_ms": arguments.timeout_ms}
    if arguments.max_registers != 125:
        keys["max_registers"] = arguments.max_registers
    return keys


async def _scan(arguments: argparse.Namespace, transport: Transport) -> Scan:
    from gateway.drivers.modbus.line import Station
    from gateway.drivers.sunspec.scan import scan

    line = _line(arguments, transport)
    try:
        return await scan(
            line, Station(arguments.unit, arguments.timeout_ms / 1000, 0.0), arguments.max_registers
        )
    finally:
        line.close()


def _line(arguments: argparse.Namespace, transport: Transport) -> Line:
    from gateway.drivers.modbus.client import connect
    from gateway.drivers.modbus.line import Line
    from gateway.drivers.modbus.serial_port import open_serial
    from gateway.drivers.modbus.untagged import UntaggedConnection, connect_untagged

    if transport is Transport.TCP:
        return Line(lambda timeout_s: connect(arguments.host, arguments.port, timeout_s))
    if transport is Transport.RTU_OVER_TCP:
        return Line(lambda timeout_s: connect_untagged(arguments.host, arguments.port, timeout_s, 0.0))
    port = SerialPort(arguments.serial, arguments.baud, Parity(arguments.parity), 1, 8)

    async def open_port(_: float) -> UntaggedConnection:
        return open_serial(port, transport, 0.0)

    return Line(open_port, bears_silence=True)
