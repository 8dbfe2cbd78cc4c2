"""What every simulated device has, whatever it speaks: a port, a beginning, an end, and faults."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Protocol

from gateway.simulator.faults import Fault

_ABORT_WITH_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST


class Device(Protocol):
    """A device whose faults can be set."""

    @property
    def port(self) -> int: ...
    @property
    def fault(self) -> Fault | None: ...

    async def suffer(self, fault: Fault | None) -> None:
        """From now on behave so; None: be well. Raises FaultError for what such a device can not suffer, OSError."""
        ...


class Door(Protocol):
    """Something that is opened before the plant is shown and closed after."""

    async def start(self) -> None:
        """Raises OSError where the port is taken."""
        ...

    async def stop(self) -> None: ...


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT_WITH_RESET)
    writer.transport.abort()
