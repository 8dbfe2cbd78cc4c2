"""Keys of ``servers: modbus``, its doors, units and clients."""

from __future__ import annotations

from gateway.config.document import INT_HIGH
from gateway.config.kinds import (
    Boolean,
    Choice,
    Integer,
    Key,
    Later,
    ListOf,
    Named,
    Number,
    Section,
    Text,
    choice,
)
from gateway.config.modbus import Order, RegisterType, Table
from gateway.config.modbus_server import BadAs
from gateway.config.site_keys.devices.modbus import MAX_READ_REGISTERS
from gateway.config.site_keys.values import DESCRIPTION, HOST, PORT, WORD, WORD_GRAMMAR

MODBUS_SERVED_POINT = Section(
    "a served register",
    (
        Key("table", choice(Table), "Where it is served: coil, discrete, input or holding."),
        Key("address", Integer(0, 465_536), "Address of its first register or coil (see addressing)."),
        Key("type", choice(RegisterType), "How its bits tell the value; coil and discrete are bool.", None),
        Key("registers", Integer(1, MAX_READ_REGISTERS), "How many registers a string is given.", None),
        Key("bit", Integer(0, 15), "Which bit of the register a bool is, 0 the least significant.", None),
        Key("word_order", choice(Order), "Order of the registers in a value; the unit's unless given.", None),
        Key("byte_order", choice(Order), "Order of the bytes in a register; the unit's unless given.", None),
        Key("scale", Number(not_zero=True), "Value = raw * scale + offset; what is told is raw.", 1.0),
        Key("offset", Number(), "The value at raw 0.", 0.0),
        Key("bad", choice(BadAs), "How Bad quality is told; as the unit's unless given.", None),
        Key(
            "not_implemented",
            Integer(0, INT_HIGH),
            "Raw pattern that tells of Bad quality; unless given NaN, or the one that SunSpec has for the type.",
            None,
        ),
        Key("write", Boolean(), "Whether a write becomes a command to the tag.", False),
    ),
)

MODBUS_SERVED_POINTS = Named(
    "a tag",
    r"[a-z_][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+",
    "write the name of a tag, such as battery1.power_kw",
    MODBUS_SERVED_POINT,
    255,
)

MODBUS_UNIT = Section(
    "a served unit",
    (
        Key("description", DESCRIPTION, "One line; clients read it in the device identification.", ""),
        Key(
            "addressing",
            Choice(("protocol", "modicon")),
            "Addresses from 0 (protocol), or by Modicon's numbers such as 40001.",
            "protocol",
        ),
        Key("word_order", choice(Order), "Order of the registers in all its values.", Order.BIG),
        Key("byte_order", choice(Order), "Order of the bytes in all its registers.", Order.BIG),
        Key(
            "bad",
            choice(BadAs),
            "How Bad quality is told: a pattern in the value's place, or an exception to the request.",
            BadAs.PATTERN,
        ),
        Key("points", Later(MODBUS_SERVED_POINTS), "Which tags are in which registers."),
    ),
)

MODBUS_UNITS = Named(
    "a unit",
    r"[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]",
    "write the unit id, 0 to 255",
    MODBUS_UNIT,
)

MODBUS_CLIENT = Section(
    "a Modbus client",
    (
        Key(
            "hosts",
            ListOf(
                Text("an address or a network", r"[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?", 64),
                "a list of addresses and networks: [192.0.2.7]",
            ),
            "Addresses and networks that it may connect from.",
        ),
        Key(
            "user",
            Text("the name of a user", r"[a-z][a-z0-9_.-]*", 64),
            "The user its writes are commanded as; without one it writes nothing.",
            None,
        ),
        Key(
            "units",
            ListOf(Integer(0, 255), "a list of unit ids: [1, 2]"),
            "Units that it sees; all unless given.",
            None,
        ),
        Key(
            "role",
            Text("a role of Modbus/TCP Security", longest=127),
            "At a door with TLS, the role that its certificate says; unless given, one that says none.",
            None,
        ),
    ),
)

MODBUS_TLS = Section(
    "TLS of a Modbus door",
    (
        Key("certificate", Text("the path of a file"), "Our certificate, PEM, relative to this file."),
        Key("key", Text("the path of a file"), "Its private key, PEM."),
        Key("authorities", Text("the path of a file"), "Certificates that clients' must be signed by, PEM."),
    ),
)

MODBUS_CLIENTS = Named("a client", WORD, WORD_GRAMMAR, MODBUS_CLIENT)
MODBUS_DOOR = Section(
    "a Modbus door",
    (
        Key("host", HOST, "Address it listens on.", "127.0.0.1"),
        Key(
            "port",
            PORT,
            "TCP port it listens on; unless given 502, or 802 with tls. Below 1024 the system has to allow it.",
            None,
        ),
        Key(
            "clients",
            Later(MODBUS_CLIENTS),
            "Who may connect; the first that an address (and, with TLS, a role) belongs to.",
        ),
        Key("units", Later(MODBUS_UNITS), "Register maps by unit id."),
        Key(
            "operate_timeout_ms",
            Integer(100, 600_000, "ms"),
            "Time for a write, until the device has reported it back.",
            4_000,
        ),
        Key("connections", Integer(1, 1_000), "Connections at once; more are refused.", 32),
        Key(
            "tls",
            MODBUS_TLS,
            "Modbus/TCP Security: TLS with certificates on both sides.",
            None,
        ),
    ),
)

MODBUS_DOORS = Named("a door", WORD, WORD_GRAMMAR, MODBUS_DOOR)
MODBUS_SERVER = Section("the Modbus server", (Key("doors", Later(MODBUS_DOORS), "Its doors by name."),))
