"""A DNP3 outstation of the site, as typed values: which tags are which points, and who may ask for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from gateway.config.tls import TlsFiles


class PointKind(StrEnum):
    """The point types of IEEE 1815 11.9 that a tag can be. Each is numbered from 0 by itself."""

    BINARY = "binary"
    DOUBLE_BIT = "double_bit"
    BINARY_OUTPUT = "binary_output"
    COUNTER = "counter"
    ANALOG = "analog"
    ANALOG_OUTPUT = "analog_output"
    OCTET_STRING = "octet_string"


class ControlModel(StrEnum):
    """Which control codes of a CROB a binary output takes, and what they write to its BOOL tag (IEEE 1815 A.8)."""

    LATCH = "latch"  # LATCH_ON, LATCH_OFF
    TRIP_CLOSE = "trip_close"  # PULSE_ON with CLOSE or TRIP; LATCH_ON and LATCH_OFF as well
    PULSE = "pulse"  # PULSE_ON writes true; the device resets itself


@dataclass(frozen=True, slots=True)
class OutstationPoint:
    """A tag as a point.

    ``tag`` is its image index. ``event_class`` is 1 to 3, or 0 for a point without events. On the wire is
    ``value * scale``; ``deadband`` is in the tag's unit, and a change has to be larger. ``frozen_class`` is that of a
    counter's frozen counter, None where it has none. ``name`` is the tag's. ``select``: the tag is selected before it
    is operated, whoever asks; a master's select selects it.
    """

    kind: PointKind
    index: int
    tag: int
    name: str
    event_class: int = 0
    static_variation: int = 0
    event_variation: int = 0
    deadband: float = 0.0
    scale: float = 1.0
    frozen_class: int | None = None
    control: ControlModel | None = None
    select: bool = False


@dataclass(frozen=True, slots=True)
class OutstationMaster:
    """A master that is answered. ``hosts`` it may come from; ``user`` of the site its commands are given as."""

    address: int
    hosts: tuple[str, ...]
    user: str | None
    unsolicited: bool = True


@dataclass(frozen=True, slots=True)
class Outstation:
    """The `dnp3` door of the site. Times are in ms."""

    host: str
    port: int
    address: int
    masters: tuple[OutstationMaster, ...]
    points: tuple[OutstationPoint, ...]
    tls: TlsFiles | None = None
    events: int = 10_000  # a master; the oldest go when there are more, and the master is told
    confirm_timeout_ms: int = 5_000
    select_timeout_ms: int = 10_000
    operate_timeout_ms: int = 4_000
    unsolicited_hold_ms: int = 100
    unsolicited_retries: int = 3
    unsolicited_pause_ms: int = 10_000  # after the retries
    keep_alive_ms: int = 60_000
    needs_time: bool = False
    files: tuple[Path, ...] = field(default=(), compare=False)
