"""Keys of a CAN device: its bus, its points and the messages sent to it."""

from __future__ import annotations

from gateway.config.can import INTERFACES, MULTICAST, Checksum
from gateway.config.can_j1939 import HIGHEST_PGN, MAX_BYTES
from gateway.config.document import INT_HIGH
from gateway.config.kinds import (
    Boolean,
    Choice,
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
from gateway.config.site_keys.devices.points import COMMON_POINT_KEYS
from gateway.config.site_keys.values import DAY_MS, FILE, PORT, WORD, WORD_GRAMMAR

CAN_SYMBOL = Text("a name from the database", r"[^\s.](?:[^\r\n]*[^\s])?", 128)
_BY_MULTICAST = When("interface", frozenset({MULTICAST}))
CAN_CONNECTION = Section(
    "a CAN connection",
    (
        Key(
            "interface", Choice(INTERFACES), "How the bus is reached, as python-can names it; replay: a log."
        ),
        Key("channel", Text("the name of a channel"), 'Which bus there: can0, PCAN_USBBUS1, "0".', ""),
        Key("port", PORT, "UDP port of a bus over multicast.", 43_113, _BY_MULTICAST),
        Key(
            "ttl",
            Integer(0, 255),
            "How many networks far frames over multicast go; 0: not beyond this machine.",
            0,
            _BY_MULTICAST,
        ),
        Key("bitrate", Integer(1_000, 1_000_000, "bit/s"), "Bit rate of the arbitration phase.", 500_000),
        Key("fd", Boolean(), "Whether the bus carries CAN FD.", False),
        Key("data_bitrate", Integer(1_000, 15_000_000, "bit/s"), "Bit rate of CAN FD data.", 2_000_000),
        Key("database", FILE, "DBC, KCD, ARXML or SYM, relative to this file."),
        Key("file", FILE, "Log that is replayed (asc, blf, trc, log, csv), relative to this file.", None),
        Key("speed", Number(above=0, high=1_000), "How many times faster a log is replayed.", 1.0),
        Key("loop", Boolean(), "Whether a log begins again at its end.", False),
        Key(
            "retry_max_ms", Integer(100, 3_600_000, "ms"), "Longest wait between attempts to open it.", 30_000
        ),
    ),
)

CAN_BUS_KEYS = ("ttl", "bitrate", "fd", "data_bitrate", "speed", "loop", "retry_max_ms")
CAN_POINT = Section(
    "a point of a CAN device",
    (
        Key("message", CAN_SYMBOL, "Name of the message in the database."),
        Key("signal", CAN_SYMBOL, "Name of the signal in the message."),
        Key(
            "feedback",
            Text("the name of a point", WORD, 64),
            "Point of this device that tells what it made of a command; else what was sent counts.",
            None,
        ),
        Key(
            "not_implemented",
            ListOf(Integer(0, INT_HIGH), "a list of raw values: [0xFFFF]"),
            "Raw values, as unsigned bit patterns of the signal, by which the device says that it has none.",
            (),
        ),
        *COMMON_POINT_KEYS,
    ),
)

CAN_POINTS = Named("a point", WORD, WORD_GRAMMAR, CAN_POINT)
CAN_TRANSMIT = Section(
    "a transmitted message",
    (
        Key(
            "cycle_ms",
            Integer(0, 3_600_000, "ms"),
            "How often it is sent once commanded; 0: on a command only. The database's unless given.",
            None,
        ),
        Key(
            "hold_ms",
            Integer(0, DAY_MS, "ms"),
            "No longer sent so long after the last command; 0: sent until Tieline stops.",
            0,
        ),
        Key("counter", CAN_SYMBOL, "Signal that counts up with each sending.", None),
        Key("checksum", CAN_SYMBOL, "Signal of 8 bits over the other bytes.", None),
        Key("algorithm", choice(Checksum), "How the checksum is made.", Checksum.CRC8_J1850),
        Key(
            "pgn",
            Integer(0, HIGHEST_PGN),
            "J1939: number of its parameter group, where no database has it.",
            None,
        ),
        Key("length", Integer(1, MAX_BYTES), "J1939: how many bytes it has, with 'pgn'.", 8),
        Key("priority", Integer(0, 7), "J1939: priority, 0 the highest; the database's, or 6.", None),
        Key(
            "destination",
            Integer(0, 255),
            "J1939: address that it goes to, 255 all; unless given the device's, where its group goes to one.",
            None,
        ),
    ),
)

CAN_TRANSMITS = Named(
    "a message", r"[A-Za-z_][A-Za-z0-9_ -]*", "write the name of a message", CAN_TRANSMIT, 128
)
