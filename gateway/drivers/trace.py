"""The last frames of each device, as they were on the wire: always kept, shown when somebody asks (`tieline trace`).

A driver gives each of its connections (or lines, or buses) a `Ring` and tells it what goes out and what comes in; it
offers them as `Traced`. Nothing is decoded here: that is left to who asks, in a process of their own. What lets one
in (passwords, keys, tokens) is never told to a ring.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Protocol, runtime_checkable

# Some seconds of a device that is polled, and what came before it fell silent. With the longest frames a ring of
# Modbus is 128 * (264 bytes + 200 of Python's objects) = 60 kB, one of CAN 128 * (24 + 200) = 29 kB.
FRAMES = 128
FRAME_BYTES = 1_024  # kept of what is longer: 128 of them are 156 kB

Frame = tuple[int, int, int, bytes]  # number from 1, UTC ns, `Way`, octets


class Way(IntEnum):
    """Which way a frame went."""

    SENT = 0
    RECEIVED = 1
    NOTE = 2  # none: a sentence about the connection, in UTF-8


class Ring:
    """The last frames of one connection, both ways; ``protocol`` names how they are to be read.

    Any thread may add and look. ``where`` is the other end: host:port, a serial port, a bus. ``on_look`` is called
    with each look, for frames that are told only while somebody looks.
    """

    __slots__ = ("_frames", "_next", "_on_look", "protocol", "where")

    def __init__(
        self, protocol: str, where: str, frames: int = FRAMES, on_look: Callable[[], None] | None = None
    ) -> None:
        self.protocol = protocol
        self.where = where
        self._on_look = on_look
        self._next = itertools.count(1).__next__
        self._frames: deque[Frame] = deque(maxlen=frames)

    def sent(self, octets: bytes) -> None:
        self._add(Way.SENT, octets)

    def received(self, octets: bytes) -> None:
        self._add(Way.RECEIVED, octets)

    def note(self, text: str) -> None:
        """What happened to the connection itself."""
        self._add(Way.NOTE, text.encode())

    def look(self) -> None:
        """Somebody looks, from here on or still."""
        if self._on_look is not None:
            self._on_look()

    def since(self, number: int) -> list[Frame]:
        """The frames after this one that are still there."""
        return [frame for frame in list(self._frames) if frame[0] > number]  # copied in one step of Python

    def _add(self, way: Way, octets: bytes) -> None:
        if len(octets) > FRAME_BYTES:
            octets = octets[:FRAME_BYTES]
        self._frames.append((self._next(), time.time_ns(), way, octets))


@runtime_checkable
class Traced(Protocol):
    """Who has rings."""

    def traces(self) -> Mapping[str, Ring]:
        """They by the name of the device, as of now; devices on one line share one."""
        ...
