"""A wish to change a device, and what became of it.

A command is denied unless allowed, and done only when the device has reported the value back. Expected
trouble is a value, never an exception: match an `Outcome` exhaustively.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.tags.sample import Value


class Step(StrEnum):
    """What a command does with its point."""

    OPERATE = "operate"
    SELECT = "select"  # reserve it for an operate with exactly this value
    CANCEL = "cancel"  # give a reservation up


@dataclass(frozen=True, slots=True)
class Command:
    """Set ``tag`` to ``value`` for ``user``, not after ``deadline_ns`` (UTC ns).

    ``id`` is unique per wish (uuid4 hex): a command sent twice with one id acts once and gets one outcome.
    ``origin`` names the door it came through: ``opcua``, ``hmi``, ``cli``. ``valid_until_ns`` (UTC ns; 0: the tag's
    own time) is for setpoints of the logic: the value holds no longer. ``select`` is the id of the select that an
    operate follows; empty: whichever this user made through this door.
    """

    id: str
    tag: str
    value: Value
    user: str
    origin: str
    deadline_ns: int
    reason: str = ""
    valid_until_ns: int = 0
    step: Step = Step.OPERATE
    select: str = ""


class Refusal(StrEnum):
    """Why a command never reached the device."""

    MALFORMED = "malformed"
    UNKNOWN_TAG = "unknown_tag"
    NOT_WRITABLE = "not_writable"
    NOT_AUTHORISED = "not_authorised"
    WRONG_TYPE = "wrong_type"
    OUT_OF_LIMITS = "out_of_limits"
    EXPIRED = "expired"
    BUSY = "busy"
    HELD = "held"  # by the logic
    NOT_IN_CONTROL = "not_in_control"  # somebody else, or nobody, has control of the area
    INTERLOCKED = "interlocked"
    NOT_SELECTED = "not_selected"  # or with another value, or too late
    SELECTED = "selected"  # by somebody else
    TOO_SOON = "too_soon"  # after the command before
    NOT_CONFIRMED = "not_confirmed"  # by a second person
    NOT_CONNECTED = "not_connected"
    AUDIT_UNAVAILABLE = "audit_unavailable"


@dataclass(frozen=True, slots=True)
class Done:
    """The device was written and has reported ``value`` back at ``at_ns`` (UTC ns)."""

    value: Value
    at_ns: int


@dataclass(frozen=True, slots=True)
class Selected:
    """The point is reserved for an operate with ``value`` until ``until_ns`` (UTC ns); now, where it was given up.

    Nothing was sent to the device.
    """

    value: Value
    until_ns: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was sent to the device; or the logic judged a setpoint, and goes on with the one before."""

    code: Refusal
    why: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """It was sent, but no confirmation came before the deadline: the device may or may not have acted."""

    why: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The device answered with an error, or reported back something else than was asked."""

    why: str


Outcome = Done | Selected | Refused | TimedOut | Failed


class Commander(Protocol):
    """Whoever takes commands; servers are given one and know no more of the router than this."""

    async def send(self, command: Command) -> Outcome: ...
