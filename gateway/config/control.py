"""Who has control of an area, and what stops commands, as typed values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.config.condition import Condition

NOBODY = "nobody"


class Seat(StrEnum):
    """Who may have control. The order is that of the default priority: a person at the site comes first."""

    LOCAL = "local"  # the page, the terminal
    REMOTE = "remote"  # OPC UA, DNP3 and Modbus masters
    SCHEDULE = "schedule"
    LOGIC = "logic"
    MARKET = "market"


HOLDER_STATES = {0: NOBODY} | {place: seat.value for place, seat in enumerate(Seat, 1)}
_SEATS = {"hmi": Seat.LOCAL, "cli": Seat.LOCAL} | {seat.value: seat for seat in Seat}


def seat_of(origin: str) -> Seat:
    """Where a command sits that came through this door; whoever comes from elsewhere is remote."""
    return _SEATS.get(origin, Seat.REMOTE)


@dataclass(frozen=True, slots=True)
class ControlArea:
    """An area that one at a time has control of, with all areas below it that are not such themselves.

    ``take``, ``holder``, ``user`` and ``until`` are image indexes of its tags; ``points`` of the writable tags in it.
    ``hold_s`` 0: control ends when it is released. ``default`` may command while nobody has control.
    """

    path: str
    hold_s: int
    default: Seat | None
    take: int
    holder: int
    user: int
    until: int
    points: frozenset[int] = frozenset()

    @property
    def folder(self) -> str:
        """Of its tags."""
        return control_folder(self.path)


def control_folder(path: str) -> str:
    """Where the tags of an area's control are: ``_system.control.loads.feeders``."""
    return f"_system.control.{path.replace('/', '.')}"


@dataclass(frozen=True, slots=True)
class Interlock:
    """Commands of ``points`` (image indexes) go only while ``allow`` is true; of ``value`` only, unless None."""

    name: str
    points: frozenset[int]
    value: bool | int | float | None
    allow: Condition
    message: str


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """``priority``: each may take control from its own kind and from those after it."""

    areas: tuple[ControlArea, ...]
    priority: tuple[Seat, ...]
    interlocks: tuple[Interlock, ...]

    def may_take(self, taker: Seat, holder: Seat) -> bool:
        """Whether ``taker`` may take control from ``holder``; one that is not in the list stands last."""
        if taker not in self.priority:
            return False
        return holder not in self.priority or self.priority.index(taker) <= self.priority.index(holder)
