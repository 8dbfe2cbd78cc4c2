"""A Modbus device as typed values: what the driver needs to know of it and its points.

Addresses are the protocol's own, 0-based (Modbus Application Protocol 1.1b3, 4.4), whatever the site file wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.config.tls import TlsFiles


class Table(StrEnum):
    """The four tables of Modbus Application Protocol 1.1b3, 4.3."""

    COIL = "coil"
    DISCRETE = "discrete"
    INPUT = "input"
    HOLDING = "holding"


class RegisterType(StrEnum):
    """How the bits of one or more registers make a value."""

    BOOL = "bool"  # a coil or discrete input, or one bit of a register (`bit` set)
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BCD16 = "bcd16"  # 4 decimal digits
    BCD32 = "bcd32"  # 8 decimal digits
    STRING = "string"


class Order(StrEnum):
    """Order of words in a value, or of bytes in a word; big is the protocol's own."""

    BIG = "big"
    LITTLE = "little"


class Transport(StrEnum):
    """How frames travel."""

    TCP = "tcp"
    TLS = "tls"  # Modbus/TCP Security v21
    RTU_OVER_TCP = "rtu-over-tcp"  # RTU frames through a serial server that knows nothing of Modbus
    RTU = "rtu"
    ASCII = "ascii"


class Parity(StrEnum):
    """Of each character on a serial line."""

    NONE = "none"
    EVEN = "even"
    ODD = "odd"


TAGGED = frozenset({Transport.TCP, Transport.TLS})  # frames with Modbus TCP's head
BROADCAST_UNIT = 0  # Modbus over Serial Line 1.02, 2.1
SERIAL = frozenset({Transport.RTU, Transport.ASCII})  # by a serial port of this machine
PORTS = {Transport.TCP: 502, Transport.RTU_OVER_TCP: 502, Transport.TLS: 802}  # unless given
BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
MAX_SERIAL_UNIT = 247  # Modbus over Serial Line 1.02, 2.2: 0 is the broadcast, 248 to 255 are reserved


@dataclass(frozen=True, slots=True)
class SerialPort:
    """A port and its characters."""

    path: str
    baud: int
    parity: Parity
    stop_bits: int
    data_bits: int

    @property
    def character_s(self) -> float:
        """Time of one character on the line, start and parity bit included."""
        return (1 + self.data_bits + (self.parity is not Parity.NONE) + self.stop_bits) / self.baud


class WriteFunction(StrEnum):
    """By which functions a point is written."""

    AUTO = "auto"  # as it fits: 5, 6 or (several registers, or where the device knows no 6) 16; 22 for a bit
    SINGLE = "single"  # 5 or 6, by itself, never together with its neighbours
    MULTIPLE = "multiple"  # 15 or 16, even for one
    REWRITE = "rewrite"  # of a bit: its register is read, changed and written back
    MASK_OR_REWRITE = "mask-or-rewrite"  # 22, and where the device knows none, as `REWRITE`


@dataclass(frozen=True, slots=True)
class Verify:
    """How a write is known to have been taken: ``point`` of the same device says one of ``equals``.

    Where that is empty, it becomes the value that was written.
    """

    point: str
    equals: tuple[bool | int | float, ...]


@dataclass(frozen=True, slots=True)
class ModbusPoint:
    """One point of a device. ``tag`` is the index in `Site.tags` (the image index), ``name`` its name.

    Engineering value = raw * scale + offset; with scale 1 and offset 0 an integer stays an integer. Where
    ``scale_factor`` is the address of a register (same table and byte order): raw * scale * 10^register + offset.
    ``registers`` is how many registers (or coils) it covers. ``bit`` is 0..15 for a bit of a register, else None.
    ``not_implemented``: raw values (unsigned bit patterns of the whole point) by which the device says it has no
    value. ``low``/``high``: the instrument's range in engineering units, or None. ``group`` indexes
    `ModbusDevice.groups`. ``writable``: commands may reach it.
    """

    name: str
    tag: int
    table: Table
    address: int
    registers: int
    type: RegisterType
    word_order: Order
    byte_order: Order
    bit: int | None
    scale: float
    offset: float
    not_implemented: tuple[int, ...]
    low: float | None
    high: float | None
    group: int
    writable: bool
    scale_factor: int | None = None
    function: WriteFunction = WriteFunction.AUTO
    verify: Verify | None = None  # its own registers say what was written, where None


@dataclass(frozen=True, slots=True)
class PollGroup:
    """Points polled together: every ``period_ms``; Bad when not refreshed for ``stale_after_ms``."""

    name: str
    period_ms: int
    stale_after_ms: int


@dataclass(frozen=True, slots=True)
class ModbusSystemTags:
    """Image indexes of a device's own counters (``_system.<device>.*``)."""

    connected: int  # BOOL
    requests: int  # UINT64, and so are the errors
    errors_timeout: int
    errors_exception: int
    errors_connection: int
    errors_protocol: int
    latency_p50_ms: int  # DOUBLE, over the last 1,000 requests
    latency_p99_ms: int
    last_error: int  # STRING, 200 bytes


@dataclass(frozen=True, slots=True)
class ModbusDevice:
    """A device behind one way and unit id, its limits, and its points.

    ``serial`` is set for the transports of SERIAL, ``host`` and ``port`` for the others; ``tls`` for TLS, by which
    the device's certificate has to bear one of ``names``.
    """

    name: str
    host: str
    port: int
    unit_id: int
    timeout_ms: int
    pause_ms: int  # least time between the end of an answer and the next request
    max_registers: int  # a read, 1..125
    max_coils: int  # a read, 1..2000
    max_gap: int  # registers (or coils) nobody asked for that a read may span
    retry_max_ms: int  # cap of the connect back-off
    single_connection: bool  # devices at one host:port share one connection, one request at a time
    groups: tuple[PollGroup, ...]
    points: tuple[ModbusPoint, ...]
    system: ModbusSystemTags
    transport: Transport = Transport.TCP
    serial: SerialPort | None = None
    turnaround_ms: int = 0  # silence on the line before a request, beyond what RTU asks for
    tls: TlsFiles | None = None
    names: tuple[str, ...] = ()
    is_broadcast: bool = False  # all units of the line are written to, and none answers
