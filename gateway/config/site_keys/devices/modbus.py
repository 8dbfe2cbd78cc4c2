"""Keys of a Modbus device: its connection, poll groups and points."""

from __future__ import annotations

from dataclasses import replace

from gateway.config.document import INT_HIGH
from gateway.config.kinds import (
    Anything,
    Boolean,
    Integer,
    Key,
    ListOf,
    Named,
    Number,
    Section,
    Text,
    When,
    choice,
)
from gateway.config.modbus import SERIAL, TAGGED, Order, Parity, RegisterType, Table, Transport, WriteFunction
from gateway.config.site_keys.devices.points import COMMON_POINT_KEYS, WRITE
from gateway.config.site_keys.values import DAY_MS, HOST, PORT, WORD, WORD_GRAMMAR

MAX_READ_REGISTERS, MAX_READ_COILS = 125, 2_000  # Modbus Application Protocol 1.1b3, 6.3 and 6.1
TABLE_SIZE = 65_536  # addresses of one table, 16 bits (4.4)
MODBUS_VERIFY = Section(
    "a rule of proof",
    (
        Key(
            "point",
            Text("the name of a point", WORD, 64),
            "Point of this device that tells whether it was taken.",
        ),
        Key(
            "equals",
            ListOf(Anything("a number, true or false"), "a list of values: [3, 4]"),
            "It was taken once that point has one of these values; unless given, the value that was written.",
            (),
        ),
    ),
)

MODBUS_WRITE = Section(
    "a Modbus write",
    (
        *WRITE.keys,
        Key(
            "function",
            choice(WriteFunction),
            "By which functions: auto 5, 6 or 16, and 22 for a bit; single 5 or 6, by itself; multiple 15 or 16; "
            "rewrite reads a bit's register, changes it and writes it back; mask-or-rewrite where 22 is not known.",
            WriteFunction.AUTO,
        ),
        Key(
            "verify",
            MODBUS_VERIFY,
            "What proves that a write was taken; unless given, its own registers are read back.",
            None,
        ),
    ),
)

POINT = Section(
    "a point",
    (
        Key(
            "table",
            choice(Table),
            "Where it is: coil, discrete (input), input (register) or holding (register).",
        ),
        Key(
            "address", Integer(0, 465_536), "Address of its first register or coil, from 0 (see addressing)."
        ),
        Key("type", choice(RegisterType), "How its bits make a value; coil and discrete are bool.", None),
        Key(
            "registers",
            Integer(1, MAX_READ_REGISTERS),
            "How many registers a string has; only for strings.",
            None,
        ),
        Key(
            "bit",
            Integer(0, 15),
            "Which bit of the register, 0 the least significant; makes it a bool.",
            None,
        ),
        Key(
            "word_order", choice(Order), "Order of the registers in a value; the device's unless given.", None
        ),
        Key(
            "byte_order", choice(Order), "Order of the bytes in a register; the device's unless given.", None
        ),
        Key("scale", Number(not_zero=True), "Engineering value = raw * scale + offset.", 1.0),
        Key("offset", Number(), "Added after scaling.", 0.0),
        Key(
            "scale_factor",
            Integer(0, 465_536),
            "Address, in the same table, of a register with a power of ten (-10 to 10) that the value is "
            "multiplied by too; read together with the value.",
            None,
        ),
        Key(
            "not_implemented",
            ListOf(Integer(0, INT_HIGH), "a list of raw values: [0x8000]"),
            "Raw values, as unsigned bit patterns of the whole point, by which the device says that it has none.",
            (),
        ),
        *(replace(key, kind=MODBUS_WRITE) if key.name == "write" else key for key in COMMON_POINT_KEYS),
    ),
)

GROUP = Section(
    "a poll group",
    (
        Key("period_ms", Integer(10, DAY_MS, "ms"), "How often its points are read."),
        Key(
            "stale_after_ms",
            Integer(10, DAY_MS, "ms"),
            "Bad when not refreshed for so long; three periods, at least 1000, unless given.",
            None,
        ),
    ),
)

_BY_TCP = When("transport", frozenset({Transport.TCP, Transport.TLS, Transport.RTU_OVER_TCP}))
_BY_TLS = When("transport", frozenset({Transport.TLS}))
_BY_SERIAL = When("transport", SERIAL)
_UNTAGGED = When("transport", frozenset({*SERIAL, Transport.RTU_OVER_TCP}))
CONNECTION = Section(
    "a connection",
    (
        Key(
            "transport", choice(Transport), "How frames travel; rtu and ascii: a serial line.", Transport.TCP
        ),
        Key("host", HOST, "Host name or address of the device; not for a serial line.", when=_BY_TCP),
        Key("port", PORT, "TCP port; unless given 502, or 802 for tls.", None, _BY_TCP),
        Key(
            "certificate",
            Text("the path of a file"),
            "For tls: our certificate, with its role, PEM, relative to this file.",
            when=_BY_TLS,
        ),
        Key("key", Text("the path of a file"), "For tls: its private key, PEM.", when=_BY_TLS),
        Key(
            "authorities",
            Text("the path of a file"),
            "For tls: certificates that the device's must be signed by, PEM.",
            when=_BY_TLS,
        ),
        Key(
            "names",
            ListOf(HOST, "a list of names: [inverter7.example]"),
            "For tls: the device's certificate has to bear one of them; unless given, the host.",
            None,
            _BY_TLS,
        ),
        Key(
            "serial",
            Text("the path of a serial port: /dev/ttyUSB0", r"/[^\s]+", 253),
            "Serial port of this machine; for rtu and ascii.",
            when=_BY_SERIAL,
        ),
        Key("baud", Integer(1_200, 921_600), "Bits a second on the serial line.", 9_600, _BY_SERIAL),
        Key("parity", choice(Parity), "Parity on the serial line.", Parity.EVEN, _BY_SERIAL),
        Key("stop_bits", Integer(1, 2), "Stop bits on the serial line.", 1, _BY_SERIAL),
        Key("data_bits", Integer(7, 8), "Data bits on the serial line; rtu needs 8.", 8, _BY_SERIAL),
        Key(
            "turnaround_ms",
            Integer(0, 60_000, "ms"),
            "Silence before a request beyond the 3.5 characters of RTU, for devices slow to let go of the line.",
            0,
            _UNTAGGED,
        ),
        Key("unit_id", Integer(0, 255), "Unit identifier behind that address; 1 to 247 on serial lines.", 1),
        Key(
            "broadcast",
            Boolean(),
            "With unit_id 0: all units of the line are written to; none answers, so nothing is known to be done.",
            False,
            _UNTAGGED,
        ),
        Key("timeout_ms", Integer(10, 60_000, "ms"), "How long an answer may take.", 1_000),
        Key("pause_ms", Integer(0, 60_000, "ms"), "Least time between an answer and the next request.", 0),
        Key(
            "max_registers", Integer(1, MAX_READ_REGISTERS), "Most registers in one read.", MAX_READ_REGISTERS
        ),
        Key("max_coils", Integer(1, MAX_READ_COILS), "Most coils in one read.", MAX_READ_COILS),
        Key(
            "max_gap", Integer(0, MAX_READ_COILS), "Most unasked registers or coils that a read may span.", 8
        ),
        Key(
            "retry_max_ms", Integer(100, 3_600_000, "ms"), "Longest wait between attempts to connect.", 30_000
        ),
        Key(
            "single_connection",
            Boolean(),
            "Devices at this host and port share one connection, one request at a time; but for tcp and tls they "
            "always do.",
            False,
            When("transport", TAGGED),
        ),
    ),
)

POINTS = Named("a point", WORD, WORD_GRAMMAR, POINT)
GROUPS = Named("a poll group", WORD, WORD_GRAMMAR, GROUP)
