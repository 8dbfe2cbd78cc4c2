"""Buses and logs behind one face: python-can is known here only.

A log is a bus that is read at the pace of its own times and takes nothing. Errors that a bus may raise are
`BUS_ERRORS`: besides python-can's own, those that its interfaces let through from their vendors' libraries, and its
log readers from a torn file.
"""

from __future__ import annotations

import struct
import threading
import time
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Protocol

import can

from gateway.config.can import MULTICAST, REPLAY, CanBus, CanMessage
from gateway.drivers.can.decode import EXTENDED, Frame

BUS_ERRORS = (
    can.CanError, OSError, ValueError, TypeError, LookupError, AttributeError, NameError, ImportError, EOFError,
    ArithmeticError, struct.error, zlib.error,
)  # fmt: skip
# Interfaces that hand a frame back once it is on the bus: only there is "sent" known to be more than "queued".
ECHOING = frozenset({"socketcan", "virtual", "udp_multicast", "kvaser", "vector", "ixxat", "pcan"})
# Error frames there are Linux' (linux/can/error.h); elsewhere they are only counted.
LINUX_ERRORS = frozenset({"socketcan", "socketcand", "virtual", "udp_multicast"})
_TEXT_CHANNELS = frozenset({"socketcan", "virtual", "udp_multicast", "pcan", "slcan", "serial"})
_SOCKETCAN = struct.Struct(">IBBxx")
_ERR_CONTROLLER, _ERR_BUS_OFF, _ERR_RESTARTED = 0x004, 0x040, 0x100
_CONTROLLER_PASSIVE, _CONTROLLER_ACTIVE = 0x30, 0x40  # of data byte 1, with _ERR_CONTROLLER
# What an error frame tells, a bit of its identifier each (linux/can/error.h).
_ERRORS = {
    0x001: "a frame could not be sent in time", 0x002: "arbitration was lost", 0x004: "trouble in the controller",
    0x008: "a frame broke the protocol", 0x010: "trouble in the transceiver", 0x020: "nobody acknowledges",
    _ERR_BUS_OFF: "bus-off", 0x080: "an error on the bus", _ERR_RESTARTED: "the controller was restarted",
}  # fmt: skip
# A clock that differs more from ours than this is the adapter's own, counted from its start.
MAX_CLOCK_DIFFERENCE_S = 10.0
SERIAL_WAIT_S = 0.1  # for an octet; by itself python-can's slcan looks for one a thousand times a second
MAX_REPLAY_WAIT_S = 3_600.0  # a longer gap in a log is a clock that was set
# Start, identifier, control, CRC, acknowledge, end and pause of a frame without data and stuff bits (ISO 11898-1).
_STANDARD_BITS, _EXTENDED_BITS = 47, 67
# CAN FD: bits at the rate of arbitration (20 more with the long identifier), and those at the data's beside the data.
_FD_BITS, _FD_EXTENDED_BITS, _FD_DATA_BITS, _FD_LONG_CRC_BITS = 29, 49, 27, 4
_FD_LONG = 16  # bytes; beyond, the CRC has 21 bits instead of 17


class BusState(IntEnum):
    """What our controller may do (ISO 11898-1, fault confinement)."""

    ACTIVE = 0
    PASSIVE = 1
    OFF = 2


class Source(Protocol):
    """A bus or a log. All three are called from threads; `recv` from one only."""

    def recv(self, timeout: float | None = None) -> can.Message | None: ...
    def send(self, msg: can.Message, timeout: float | None = None) -> None: ...
    def shutdown(self) -> None: ...


def open_source(bus: CanBus) -> Source:
    """Open it; this may take a while. Raises one of BUS_ERRORS."""
    if bus.interface == REPLAY:
        return Replay(bus)
    channel: str | int | None = bus.channel or None
    if bus.channel.isdecimal() and bus.interface not in _TEXT_CHANNELS:
        channel = int(bus.channel)
    options: dict[str, object] = {"bitrate": bus.bitrate}
    if bus.interface == "slcan":
        options["timeout"] = SERIAL_WAIT_S
        if "://" in bus.channel:
            options["sleep_after_open"] = 0.0  # what is on the network does not restart on being opened
    elif bus.interface == MULTICAST:  # it always hears itself, and refuses to be asked to
        options |= {"port": bus.port, "hop_limit": bus.hops, "fd": bus.fd}
    elif bus.interface in ECHOING:
        options["receive_own_messages"] = True
    if bus.fd:
        options |= {"fd": True, "data_bitrate": bus.data_bitrate}
    # no file of the user's beside ours may change what is opened
    return can.Bus(channel, bus.interface, ignore_config=True, **options)  # type: ignore[arg-type] # by interface


def state_of(source: Source) -> BusState:
    """What the interface says of its controller; active where it says nothing."""
    state = getattr(source, "state", can.BusState.ACTIVE)
    return {can.BusState.PASSIVE: BusState.PASSIVE, can.BusState.ERROR: BusState.OFF}.get(
        state, BusState.ACTIVE
    )


def state_told(error: can.Message, known: BusState) -> BusState:
    """The controller's state after a Linux error frame."""
    if error.arbitration_id & _ERR_BUS_OFF:
        return BusState.OFF
    if error.arbitration_id & _ERR_RESTARTED:
        return BusState.ACTIVE
    if error.arbitration_id & _ERR_CONTROLLER and len(error.data) > 1:
        if error.data[1] & _CONTROLLER_PASSIVE:
            return BusState.PASSIVE
        if error.data[1] & _CONTROLLER_ACTIVE:
            return BusState.ACTIVE
    return known


def error_text(error: can.Message) -> str:
    """What a Linux error frame tells, in words."""
    told = [text for bit, text in _ERRORS.items() if error.arbitration_id & bit]
    return f"error frame: {', '.join(told) or 'of an unknown kind'}"


def frame_of(message: can.Message, now_s: float) -> Frame:
    """A received message; its time is the adapter's where that is a clock like ours, else ``now_s``."""
    stamp = message.timestamp
    if not abs(stamp - now_s) < MAX_CLOCK_DIFFERENCE_S:
        stamp = now_s
    key = message.arbitration_id | EXTENDED if message.is_extended_id else message.arbitration_id
    return Frame(key, bytes(message.data), int(stamp * 1e9))


def octets_of(message: can.Message) -> bytes:
    """A frame as SocketCAN has it, for a trace: identifier with its flags u32 BE | length | FD flags | 0 0 | data."""
    identifier = message.arbitration_id
    identifier |= message.is_extended_id << 31 | message.is_remote_frame << 30 | message.is_error_frame << 29
    flags = message.is_fd << 2 | message.error_state_indicator << 1 | message.bitrate_switch
    return _SOCKETCAN.pack(identifier, len(message.data), flags) + message.data


def message_of(layout: CanMessage, payload: bytes) -> can.Message:
    """A message to be sent."""
    return can.Message(
        arbitration_id=layout.id,
        is_extended_id=layout.is_extended,
        is_fd=layout.is_fd,
        bitrate_switch=layout.is_fd,
        data=payload,
    )


def duration_s(message: can.Message, bus: CanBus) -> float:
    """How long a frame holds the bus, without stuff bits (which add a fifth at most)."""
    size = len(message.data)
    if not message.is_fd:
        bits = _EXTENDED_BITS if message.is_extended_id else _STANDARD_BITS
        return (bits + (0 if message.is_remote_frame else 8 * size)) / bus.bitrate
    arbitration = _FD_EXTENDED_BITS if message.is_extended_id else _FD_BITS
    data = _FD_DATA_BITS + 8 * size + (_FD_LONG_CRC_BITS if size > _FD_LONG else 0)
    return arbitration / bus.bitrate + data / (bus.data_bitrate if message.bitrate_switch else bus.bitrate)


class Replay:
    """A log as a bus: its messages at the intervals at which they were recorded, with the times of now."""

    def __init__(self, bus: CanBus) -> None:
        """Raises one of BUS_ERRORS where the log cannot be opened."""
        assert bus.file is not None
        self._bus = bus
        self._closed = threading.Event()
        self._messages: Iterator[can.Message] | None = iter(can.LogReader(bus.file))
        self._next: can.Message | None = None
        self._offset_s: float | None = None  # monotonic time of a moment of the log
        self._last_s = 0.0

    def recv(self, timeout: float | None = None) -> can.Message | None:
        """The next message once its time has come; None before, and for ever after the last."""
        wait_s = 0.1 if timeout is None else timeout
        message = self._next or self._take()
        if message is None:
            self._closed.wait(wait_s)
            return None
        self._next = message
        ahead_s = self._due_s(message) - time.monotonic()
        if ahead_s > wait_s:
            self._closed.wait(wait_s)
            return None
        if ahead_s > 0.0:
            self._closed.wait(ahead_s)
        self._next = None
        self._last_s = message.timestamp
        message.timestamp = time.time()
        return message

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        raise can.CanOperationError("a log takes no messages")

    def shutdown(self) -> None:
        self._closed.set()

    def _take(self) -> can.Message | None:
        """The next message of our channel."""
        while self._messages is not None:
            message = next(self._messages, None)
            if message is None:
                self._messages = None
                if self._bus.loop and self._offset_s is not None:  # an empty log would be read for ever
                    assert self._bus.file is not None
                    self._messages, self._offset_s = iter(can.LogReader(self._bus.file)), None
                    continue
                return None
            if not self._bus.channel or str(message.channel) == self._bus.channel:
                return message
        return None

    def _due_s(self, message: can.Message) -> float:
        """When a message comes; a gap that no recording has begins anew."""
        at_s = message.timestamp / self._bus.speed
        if (
            self._offset_s is None
            or not -MAX_REPLAY_WAIT_S < message.timestamp - self._last_s < MAX_REPLAY_WAIT_S
        ):
            self._offset_s = time.monotonic() - at_s
            self._last_s = message.timestamp
        return self._offset_s + at_s
