"""`tieline trace`: the last frames of a device, as lines of text or as a capture for Wireshark."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from gateway.config.paths import TRACE_ENDING
from gateway.config.place import add_place, place_of
from gateway.drivers.pcap import CanWrapping, Pcap, SerialWrapping, TcpWrapping, Wrapping
from gateway.drivers.trace import FRAMES, Frame, Way
from gateway.drivers.trace_socket import NoTraceError, Trace, open_trace

SHOWN_OCTETS = 16  # of a frame, unless all are asked for
_ARROWS = {Way.SENT: ">", Way.RECEIVED: "<", Way.NOTE: "-"}
_FAULT, _USAGE = 1, 2


class Describer(Protocol):
    """Makes frames of one protocol readable."""

    def restart(self) -> None:
        """A new connection."""

    def describe(self, way: Way, octets: bytes) -> str:
        """One line."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """How frames of one protocol are shown, and wrapped for a capture; ``where`` is the ring's."""

    describer: Callable[[], Describer]
    wrapping: Callable[[str], Wrapping]


def _modbus_tcp() -> Describer:
    from gateway.drivers.modbus.describe import TcpDescriber

    return TcpDescriber()


def _modbus_line(*, is_rtu: bool) -> Describer:
    from gateway.drivers.modbus.describe import LineDescriber

    return LineDescriber(is_rtu=is_rtu)


def _can() -> Describer:
    from gateway.drivers.can.describe import CanDescriber

    return CanDescriber()


def _dnp3() -> Describer:
    from gateway.drivers.dnp3.describe import Dnp3Describer

    return Dnp3Describer()


def _opcua() -> Describer:
    from gateway.drivers.opcua.describe import OpcUaDescriber

    return OpcUaDescriber()


# By a ring's ``protocol``. Each is imported when it is asked for.
READINGS: Mapping[str, Reading] = {
    "modbus-tcp": Reading(_modbus_tcp, lambda where: TcpWrapping(where, 502)),
    "modbus-rtu": Reading(lambda: _modbus_line(is_rtu=True), lambda where: SerialWrapping()),
    "modbus-ascii": Reading(lambda: _modbus_line(is_rtu=False), lambda where: SerialWrapping()),
    "can": Reading(_can, lambda where: CanWrapping()),
    "dnp3": Reading(_dnp3, lambda where: TcpWrapping(where, 20_000)),
    "opcua": Reading(_opcua, lambda where: TcpWrapping(where, 4840)),
}


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``trace``."""
    trace = subparsers.add_parser(
        "trace", help=f"show the last {FRAMES} frames to and from a device of a running site"
    )
    trace.add_argument("device", metavar="DEVICE", help="a device of the site, such as battery1")
    add_place(trace)
    trace.add_argument("--follow", action="store_true", help="go on as frames come, until Ctrl-C")
    trace.add_argument("--raw", action="store_true", help=f"show all octets, not the first {SHOWN_OCTETS}")
    trace.add_argument(
        "--pcap",
        metavar="FILE",
        help="write a new capture file for Wireshark instead; - is standard output: | wireshark -k -i -",
    )
    trace.set_defaults(run=_trace)


def _trace(arguments: argparse.Namespace) -> int:
    paths = place_of(arguments)
    if isinstance(paths, int):
        return paths
    sockets = sorted(paths.runtime.glob(f"*{TRACE_ENDING}"))
    try:
        trace = open_trace(sockets, arguments.device, follow=arguments.follow)
    except NoTraceError as error:
        print(error, file=sys.stderr)
        return _FAULT
    try:
        status = _write(trace, arguments.pcap) if arguments.pcap else _print(trace, raw=arguments.raw)
        if status == 0 and trace.is_cut:
            print("that is all: the drivers' process has ended", file=sys.stderr)
            return _FAULT
        return status
    finally:
        trace.close()


def _print(trace: Trace, *, raw: bool) -> int:
    others = f", shared by {', '.join(trace.devices)}" if len(trace.devices) > 1 else ""
    print(f"{trace.protocol} at {trace.where}{others}")
    describer = READINGS[trace.protocol].describer()
    for item in trace:
        if isinstance(item, int):
            describer.restart()
            print(f"  ... {item} frames were lost: they came faster than they could be shown")
        else:
            print(line_of(item, describer, raw=raw), flush=True)
    return 0


def line_of(frame: Frame, describer: Describer, *, raw: bool = False) -> str:
    """A frame as it is printed: local time, which way, what it says, its octets."""
    _, at_ns, way, octets = frame
    seconds, ns = divmod(at_ns, 1_000_000_000)
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    start = f"{at}.{ns // 1000:06} {_ARROWS[Way(way)]} "
    if way == Way.NOTE:
        describer.restart()
        return start + octets.decode()
    shown = octets if raw else octets[:SHOWN_OCTETS]
    more = f" ... ({len(octets)})" if len(shown) < len(octets) else ""
    return f"{start}{describer.describe(Way(way), octets)}  |  {shown.hex(' ')}{more}"


def _write(trace: Trace, name: str) -> int:
    try:
        file = _opened(name)
    except FileExistsError:
        print(f"{name} is there already; nothing was written", file=sys.stderr)
        return _USAGE
    except OSError as error:
        print(f"{name}: {error.strerror}", file=sys.stderr)
        return _FAULT
    count = 0
    with file:
        capture = Pcap(file, READINGS[trace.protocol].wrapping(trace.where))
        try:
            for item in trace:
                if not isinstance(item, int):
                    _, at_ns, way, octets = item
                    count += way != Way.NOTE
                    capture.write(at_ns, Way(way), octets)
        except KeyboardInterrupt:
            trace.is_cut = False  # the end of one that follows; the file is whole
    print(f"{count} frames written to {name}", file=sys.stderr)
    return 0


def _opened(name: str) -> BinaryIO:
    """A new file for its user only: frames say what a plant does. Raises OSError."""
    if name == "-":
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    return os.fdopen(os.open(Path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
