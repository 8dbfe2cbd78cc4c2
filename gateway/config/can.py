"""A device on a CAN bus as typed values: its messages, where its signals lie in them, and what is sent to it.

Nothing here knows the database that it came from (gateway.config.can_database does), so no driver reads one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.config.can_canopen import CanopenLink, SdoObject
from gateway.config.can_j1939 import J1939Link, ParameterGroup
from gateway.config.modbus import ModbusSystemTags, PollGroup
from gateway.tags.tag import ValueType

REPLAY = "replay"  # a log instead of a bus
MULTICAST = "udp_multicast"
# Every interface of python-can by its own name; a test holds this to the library.
INTERFACES = (
    "canalystii", "cantact", "etas", "gs_usb", "iscan", "ixxat", "kvaser", "neousys", "neovi", "nican", "nixnet",
    "pcan", "robotell", "seeedstudio", "serial", "slcan", "socketcan", "socketcand", "systec", MULTICAST,
    "usb2can", "vector", "virtual", REPLAY,
)  # fmt: skip


class Checksum(StrEnum):
    """How the checksum of a message is made, over all its bytes but the checksum's own."""

    CRC8_J1850 = "crc8_j1850"  # SAE J1850: polynomial 0x1D, start and final xor 0xFF
    SUM8 = "sum8"  # sum of the bytes, modulo 256
    XOR8 = "xor8"


@dataclass(frozen=True, slots=True)
class CanSignal:
    """Where a signal lies, and what it means: value = raw * scale + offset.

    ``start`` counts as a DBC does: bit ``start % 8`` (0 the least significant) of byte ``start // 8``; it is the
    least significant bit of a little-endian signal and the most significant of a big-endian one. A whole ``type``
    has a whole scale and offset.
    """

    start: int
    length: int
    is_big_endian: bool
    is_signed: bool
    is_float: bool
    scale: float
    offset: float
    type: ValueType


@dataclass(frozen=True, slots=True)
class CanSelector:
    """A multiplexer, and its raw values with which a signal is in the message."""

    signal: CanSignal
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CanMessage:
    """A message; ``initial`` is its payload before anything was commanded.

    One of J1939 has a ``group``, an object of a CANopen node an ``object``; nothing of their ``id`` counts.
    """

    name: str
    id: int
    is_extended: bool
    is_fd: bool
    initial: bytes
    group: ParameterGroup | None = None
    object: SdoObject | None = None


@dataclass(frozen=True, slots=True)
class CanPoint:
    """A signal that is a tag. ``tag`` is the image index; ``selectors`` go from the outermost multiplexer inwards.

    ``group`` indexes `CanDevice.groups`. ``feedback`` is the tag that tells what the device made of a command.
    ``has_indicators``: its highest raw values say that there is no value, as SAE J1939-71 has it.
    ``page``: of one that is commanded on a page of its message, that page before anything was commanded.
    ``not_implemented``: raw values (unsigned bit patterns of the signal) by which the device says that it has none.
    """

    name: str
    tag: int
    message: CanMessage
    signal: CanSignal
    selectors: tuple[CanSelector, ...]
    low: float | None
    high: float | None
    group: int
    writable: bool
    feedback: int | None
    not_implemented: tuple[int, ...] = ()
    has_indicators: bool = False
    page: bytes = b""


@dataclass(frozen=True, slots=True)
class CanTransmit:
    """A message that we send. ``cycle_ms`` 0: on a command only; ``hold_ms`` 0: sent until Tieline stops.

    ``is_paged``: signals on pages of it are commanded, so that it is nothing without one of them.
    """

    message: CanMessage
    cycle_ms: int
    hold_ms: int
    counter: CanSignal | None
    checksum: CanSignal | None
    algorithm: Checksum
    is_paged: bool = False


@dataclass(frozen=True, slots=True)
class CanSystemTags:
    """Image indexes of what a device's own tags have beyond those of every protocol."""

    frames: int  # UINT64, of this device; the rest is the bus's
    bus_frames: int
    frames_lost: int
    error_frames: int
    bus_offs: int
    bus_state: int
    bus_load_pct: int  # DOUBLE


@dataclass(frozen=True, slots=True)
class CanBus:
    """What devices share. ``port`` and ``hops`` are udp_multicast's; ``file``, ``speed`` and ``loop`` a replay's."""

    interface: str
    channel: str
    port: int
    hops: int
    bitrate: int
    fd: bool
    data_bitrate: int
    file: str | None
    speed: float
    loop: bool
    retry_max_ms: int


@dataclass(frozen=True, slots=True)
class CanDevice:
    """A device on a bus. ``groups`` say how long its messages may be missing."""

    name: str
    bus: CanBus
    database_digest: str  # SHA-256 of the file that its points came from
    groups: tuple[PollGroup, ...]
    points: tuple[CanPoint, ...]
    transmits: tuple[CanTransmit, ...]
    system: ModbusSystemTags
    bus_system: CanSystemTags
    j1939: J1939Link | None = None
    canopen: CanopenLink | None = None
