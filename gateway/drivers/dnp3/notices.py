"""What a DNP3 library tells of an outstation, as values; and its face: masters that are asked for things.

A library calls back from threads of its own: ``notify`` is called there and must only hand over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from gateway.config.dnp3_device import Dnp3Device, Dnp3Point
from gateway.drivers.trace import Ring


class Reading(NamedTuple):
    """One object that came, of the ``point`` with that index: ``time_ms`` None where it has no time.

    ``is_synchronized`` is about that time.
    """

    group: int
    point: int
    value: bool | int | float | bytes
    flags: int | None
    time_ms: int | None
    is_synchronized: bool
    is_event: bool


@dataclass(frozen=True, slots=True)
class Readings:
    """The objects of one fragment, in order."""

    rows: tuple[Reading, ...]


class TaskKind(Enum):
    OURS = "ours"
    ENABLE_UNSOLICITED = "enable unsolicited"  # of the start-up: the library does it whether wanted or not
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """Something that was asked of the outstation is over; ``failure`` None: it went well."""

    kind: TaskKind
    failure: str | None
    is_timeout: bool


@dataclass(frozen=True, slots=True)
class ChannelChanged:
    """The connection is there, or not, and why. ``is_blind``: the library is gone, nobody watches the outstation."""

    is_open: bool
    why: str = ""
    is_blind: bool = False


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """What became of a command; ``status`` is the outstation's, None where it gave none."""

    number: int
    status: int | None
    status_name: str
    was_sent: bool


Notice = Readings | TaskEnded | ChannelChanged | CommandEnded
Notify = Callable[[Notice], None]


class Master(Protocol):
    """A master to one outstation, which it starts up by itself: restart cleared, all read, unsolicited on."""

    def close(self) -> None:
        """Blocks until it has ended."""

    def disable_unsolicited(self) -> None:
        """Have it tell nothing unasked. TaskEnded(OURS) follows."""

    def read_classes(self, *, everything: bool) -> None:
        """Ask for the events of all classes, or for all there is. TaskEnded(OURS) follows."""

    def read_point(self, group: int, index: int) -> None:
        """Ask for one point's present value. TaskEnded(OURS) follows."""

    def operate(self, number: int, point: Dnp3Point, raw: bool | float) -> None:
        """Give a command, once. CommandEnded(number) and TaskEnded(OURS) follow."""


class Engine(Protocol):
    """A library with all its masters."""

    def master(self, device: Dnp3Device, notify: Notify, tunnel_port: int | None = None) -> Master:
        """Over the serial line, or TCP, or to the port of a tunnel, which then tells of its connection itself."""

    def note(self, device: str, text: str) -> None:
        """What became of the connection behind a device's tunnel, for its trace."""

    def traces(self) -> Mapping[str, Ring]:
        """The frames since somebody looked, by device; none where the library does not tell them."""

    def rest(self) -> None:
        """Called now and then: what is done only while somebody looks at a trace ends."""

    def close(self) -> None:
        """End all; blocks until the library's threads have ended, so call it in a thread."""
