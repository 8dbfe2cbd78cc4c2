"""A DNP3 outstation that the site asks, as typed values: what the master needs to know of it and its points."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.config.modbus import ModbusSystemTags, PollGroup, SerialPort
from gateway.config.tls import TlsFiles


class DevicePointKind(StrEnum):
    """Point types (IEEE 1815 11.9)."""

    BINARY = "binary"
    DOUBLE_BIT = "double_bit"
    BINARY_OUTPUT = "binary_output"
    COUNTER = "counter"
    FROZEN_COUNTER = "frozen_counter"
    ANALOG = "analog"
    ANALOG_OUTPUT = "analog_output"
    OCTET_STRING = "octet_string"


class RelayCode(StrEnum):
    """What a control relay output block asks for (A.8)."""

    LATCH_ON = "latch_on"
    LATCH_OFF = "latch_off"
    PULSE_ON = "pulse_on"
    PULSE_OFF = "pulse_off"
    CLOSE = "close"  # PULSE_ON with the trip-close code CLOSE
    TRIP = "trip"


class AnalogForm(StrEnum):
    """The variation of an analog output block (A.41)."""

    INT16 = "int16"
    INT32 = "int32"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


class Dnp3Transport(StrEnum):
    """How frames travel to an outstation."""

    TCP = "tcp"
    TLS = "tls"  # IEC 62351-3
    SERIAL = "serial"


class Dnp3Engine(StrEnum):
    """Whose master it is."""

    YADNP3 = "yadnp3"  # opendnp3 3.x
    DNP3_PYTHON = "dnp3-python"  # opendnp3 2.x, in a worker process of a Python of its own


class TimeSync(StrEnum):
    """How the outstation's clock is set when it asks for it."""

    NONE = "none"
    LAN = "lan"
    SERIAL = "serial"  # with the delay measured


@dataclass(frozen=True, slots=True)
class Dnp3Point:
    """A point of an outstation. Engineering value = raw * scale + offset.

    ``tag`` is the image index. ``when_true``/``when_false`` are what a bool sends to a binary output; ``form`` is how
    a number goes to an analog output. ``select``: select before operate.
    """

    name: str
    tag: int
    kind: DevicePointKind
    index: int
    scale: float
    offset: float
    low: float | None
    high: float | None
    writable: bool
    select: bool
    when_true: RelayCode
    when_false: RelayCode
    pulse_ms: int
    form: AnalogForm


@dataclass(frozen=True, slots=True)
class Dnp3Device:
    """An outstation. Times are in ms; ``groups[0]`` says how often events are asked for.

    It is at ``host`` and ``port``, or on the line ``serial``. Where ``tls`` is set its certificate has to bear one of
    ``names``.
    """

    name: str
    engine: Dnp3Engine
    host: str
    port: int
    serial: SerialPort | None
    tls: TlsFiles | None
    names: tuple[str, ...]
    address: int  # of the outstation
    master_address: int  # ours
    timeout_ms: int
    retry_max_ms: int
    integrity_s: int
    time_sync: TimeSync
    keep_alive_ms: int
    unsolicited: bool  # whether it may tell without being asked
    groups: tuple[PollGroup, ...]
    points: tuple[Dnp3Point, ...]
    system: ModbusSystemTags
