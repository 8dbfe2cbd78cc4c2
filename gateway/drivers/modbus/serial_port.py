"""A serial port as bytes in and out of the event loop: the system's own terminal interface, nothing else."""

from __future__ import annotations

import asyncio
import fcntl
import os
import termios

from gateway.config.modbus import Parity, SerialPort, Transport
from gateway.drivers.modbus.client import LinkLostError
from gateway.drivers.modbus.untagged import (
    ASCII_FRAMES,
    RTU_FRAMES,
    AsciiFraming,
    RtuFraming,
    UntaggedConnection,
)
from gateway.drivers.trace import Ring

SILENT_CHARACTERS = 3.5  # Modbus over Serial Line 1.02, 2.5.1.1
FAST_BAUD, FAST_SILENCE_S = (
    19_200,
    0.00175,
)  # above it the silence is fixed there, for the sake of slow processors
READ_BYTES = 4_096  # what a terminal holds
_SIZES = {7: termios.CS7, 8: termios.CS8}
_PARITIES = {Parity.NONE: 0, Parity.EVEN: termios.PARENB, Parity.ODD: termios.PARENB | termios.PARODD}


def silence_s(port: SerialPort) -> float:
    """The silence that ends an RTU frame."""
    return FAST_SILENCE_S if port.baud > FAST_BAUD else SILENT_CHARACTERS * port.character_s


def open_serial(
    port: SerialPort, transport: Transport, turnaround_s: float, ring: Ring | None = None
) -> UntaggedConnection:
    """Open and set the port, for nobody else. Raises LinkLostError."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise LinkLostError(f"no serial port {port.path}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # root passes by TIOCEXCL, not by this
        fcntl.ioctl(descriptor, termios.TIOCEXCL)
        _set(descriptor, port)
    except BlockingIOError:
        os.close(descriptor)
        raise LinkLostError(f"the serial port {port.path} is used by another program") from None
    except (OSError, termios.error) as error:
        os.close(descriptor)
        raise LinkLostError(f"the serial port {port.path} cannot be set: {error.args[-1]}") from None
    is_rtu = transport is Transport.RTU
    framing = RtuFraming() if is_rtu else AsciiFraming()
    kept = ring or Ring(RTU_FRAMES if is_rtu else ASCII_FRAMES, port.path)
    connection = UntaggedConnection(loop, framing, silence_s(port) + turnaround_s, port.character_s, kept)
    connection.attach(_Port(loop, descriptor, connection))
    return connection


def _set(descriptor: int, port: SerialPort) -> None:
    """Bytes as they are. One of wrong parity reads as 0, which the frame's check finds; breaks are skipped."""
    *_, characters = termios.tcgetattr(descriptor)
    # At least one byte a read: then none means that the line was hung up.
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    control = termios.CLOCAL | termios.CREAD | _SIZES[port.data_bits] | _PARITIES[port.parity]
    if port.stop_bits == 2:
        control |= termios.CSTOPB
    incoming = termios.IGNBRK | (0 if port.parity is Parity.NONE else termios.INPCK)
    baud = getattr(termios, f"B{port.baud}")
    termios.tcsetattr(descriptor, termios.TCSANOW, [incoming, 0, control, 0, baud, baud, characters])
    termios.tcflush(descriptor, termios.TCIOFLUSH)


class _Port:
    """The open port. uvloop has no transport for terminals, but watches any descriptor."""

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, owner: UntaggedConnection) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._owner = owner
        self._is_open = True
        loop.add_reader(descriptor, self._read)

    def write(self, data: bytes) -> None:
        # A frame is far shorter than what a terminal takes at once, and the one before it is long out.
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            self._lose(OSError(error.strerror))
            return
        if written < len(data):
            self._lose(OSError(f"the port took {written} of {len(data)} bytes"))

    def abort(self) -> None:
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:  # the adapter was pulled out
            self._lose(OSError(error.strerror))
            return
        if data:
            self._owner.data_received(data)
        else:
            self._lose(OSError("the port was hung up"))

    def _lose(self, error: OSError) -> None:
        self.abort()
        self._owner.connection_lost(error)
