"""`tieline discover opcua`: what a server has, written as a device of a site file. Nothing is written or called."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config.opcua_device import NODE, node_address
from gateway.config.paths import run_paths
from gateway.config.site_keys.devices.opcua import SECURITY, URL
from gateway.drivers.discover import FAILED, USAGE, add_output, deliver

if TYPE_CHECKING:
    from gateway.config.opcua_device import OpcUaDevice

LIMIT = 10_000


def add_discover(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``opcua``."""
    parser = subparsers.add_parser("opcua", help="an OPC UA server: its variables, structures and methods")
    parser.add_argument("url", metavar="URL", help="where it is: opc.tcp://192.0.2.20:4840/")
    parser.add_argument(
        "--security",
        choices=(*SECURITY, "None"),
        default=SECURITY[0],
        metavar="POLICY:MODE",
        help=f"how messages are protected: {', '.join(SECURITY)} or None (default: {SECURITY[0]})",
    )
    parser.add_argument("--trust-all", action="store_true", help="take any sound certificate of the server")
    parser.add_argument("--user", help="who signs in; anonymous unless given")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="file with the user's password")
    parser.add_argument("--password-variable", metavar="NAME", help="environment variable with it, instead")
    parser.add_argument(
        "--node", metavar="NODE", default="i=85", help="where to begin (default: i=85, Objects)"
    )
    parser.add_argument(
        "--limit", type=int, default=LIMIT, help=f"most variables and methods (default: {LIMIT})"
    )
    parser.add_argument(
        "--timeout-ms", type=int, default=4_000, help="how long an answer may take (default: 4000)"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="state folder of the site it is for: its certificate and whom it trusts are used",
    )
    parser.add_argument(
        "--site", default="", metavar="NAME", help="make it a whole site of that name, to be run as it is"
    )
    add_output(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    wrong = _wrong(arguments)
    if wrong:
        print(f"tieline discover opcua: {wrong}", file=sys.stderr)
        return USAGE
    from gateway.drivers.opcua.connection import ConnectError, LostError, ServiceFault
    from gateway.drivers.opcua.wire import WireError

    try:
        text = asyncio.run(_discover(arguments))
    except TimeoutError:
        print(f"{arguments.url}: no answer in time", file=sys.stderr)
        return FAILED
    except (ConnectError, LostError, ServiceFault, WireError) as error:
        print(f"{arguments.url}: {error}", file=sys.stderr)
        return FAILED
    return deliver(text, arguments)


def _wrong(arguments: argparse.Namespace) -> str:
    """What the options lack, and how to mend it."""
    has_password = arguments.password_file is not None or arguments.password_variable is not None
    if re.fullmatch(URL.pattern, arguments.url) is None:
        return f"{arguments.url!r} is no URL of a server: write it as opc.tcp://192.0.2.20:4840/"
    if (arguments.user is not None) != has_password:
        return "a user needs a password, and a password a user: --user with --password-file or --password-variable"
    if re.fullmatch(NODE, arguments.node) is None:
        return f"{arguments.node!r} is no node: write it as ns=2;s=Genset or i=85"
    return ""


async def _discover(arguments: argparse.Namespace) -> str:
    from gateway.drivers.opcua.browse import browse
    from gateway.drivers.opcua.connection import ConnectError, Connection, Counts
    from gateway.drivers.opcua.device_map import Place, device_map
    from gateway.drivers.opcua.driver import NO_SECURITY, PKI, Certificates, hush_library

    hush_library()
    config = _config(arguments)
    certificates = Certificates(run_paths("discover", arguments.state).pki / PKI, "discover")
    identity = None
    if config.security != NO_SECURITY:
        identity = await certificates.identity()
    elif config.user is not None:
        await certificates.nobody()
    connection = await Connection.connect(config, identity, certificates.trust(arguments.trust_all), Counts())
    try:
        start = connection.node(node_address(arguments.node))
        if start is None:
            raise ConnectError(f"the server has no namespace of {arguments.node}")
        found = await browse(connection, start, arguments.limit)
        said = {"url": config.url, "security": config.security}
        if config.user is not None:
            said["user"] = config.user
        if arguments.password_file is not None:
            said["password_file"] = str(arguments.password_file)
        if arguments.password_variable is not None:
            said["password_variable"] = arguments.password_variable
        if arguments.trust_all:
            said["trust"] = "all"
        place = Place(arguments.name, arguments.area, said, arguments.site)
        return device_map(found, connection.namespaces, place)
    finally:
        await connection.close()


def _config(arguments: argparse.Namespace) -> OpcUaDevice:
    from gateway.config.modbus import ModbusSystemTags
    from gateway.config.opcua_device import OpcUaDevice, OpcUaSystemTags

    return OpcUaDevice(
        name=arguments.name,
        url=arguments.url,
        security=arguments.security,
        trusts_all=arguments.trust_all,
        user=arguments.user,
        password_file=arguments.password_file,
        password_variable=arguments.password_variable,
        timeout_ms=arguments.timeout_ms,
        retry_max_ms=arguments.timeout_ms,
        verify_s=0,
        groups=(),
        points=(),
        system=ModbusSystemTags(*range(9)),
        own=OpcUaSystemTags(*range(5)),
    )
