"""Keys of a J1939 device: its bus and address, and its points."""

from __future__ import annotations

from gateway.config.can_j1939 import HIGHEST_ADDRESS, HIGHEST_PGN, MAX_BYTES
from gateway.config.kinds import Boolean, Integer, Key, Named, Number, Section
from gateway.config.site_keys.devices.can import CAN_CONNECTION, CAN_POINT, CAN_SYMBOL
from gateway.config.site_keys.values import FILE, WORD, WORD_GRAMMAR

J1939_CONNECTION = Section(
    "a J1939 connection",
    (
        *(key for key in CAN_CONNECTION.keys if key.name not in ("database", "bitrate")),
        Key("bitrate", Integer(1_000, 1_000_000, "bit/s"), "Bit rate.", 250_000),
        Key("database", FILE, "DBC, KCD, ARXML or SYM, relative to this file; points may do without.", None),
        Key(
            "source_address",
            Integer(0, HIGHEST_ADDRESS),
            "Address of the device; without it, whoever sends a group is meant.",
            None,
        ),
        Key(
            "address",
            Integer(0, HIGHEST_ADDRESS),
            "Our own address, which is claimed; without it Tieline only listens.",
            None,
        ),
        Key("identity", Integer(0, 0x1F_FFFF), "Our NAME: identity number; each node has another.", 1),
        Key("manufacturer", Integer(0, 0x7FF), "Our NAME: manufacturer code.", 0),
        Key("function", Integer(0, 255), "Our NAME: function; 129 is a tool that is not on board.", 129),
        Key("instance", Integer(0, 31), "Our NAME: function instance.", 0),
        Key("industry", Integer(0, 7), "Our NAME: industry group; 5 is stationary, such as gensets.", 0),
        Key("arbitrary", Boolean(), "Whether we take another address where ours is lost.", True),
    ),
)

J1939_BUS_KEYS = (
    "address", "identity", "manufacturer", "function", "instance", "industry", "arbitrary",
)  # fmt: skip
J1939_POINT = Section(
    "a point of a J1939 device",
    (
        Key("message", CAN_SYMBOL, "Name of the message in the database, or under 'transmit'.", None),
        Key("signal", CAN_SYMBOL, "Name of the signal in the database's message.", None),
        Key("pgn", Integer(0, HIGHEST_PGN), "Parameter group, where no database has it.", None),
        Key(
            "start",
            Integer(0, 8 * MAX_BYTES - 1),
            "First bit of the signal, from 0; byte 1 begins at 0.",
            None,
        ),
        Key("length", Integer(1, 64), "How many bits it has.", None),
        Key("scale", Number(not_zero=True), "Value = raw * scale + offset; for 'start' and 'length'.", 1.0),
        Key("offset", Number(), "Added after scaling.", 0.0),
        Key(
            "indicators",
            Boolean(),
            "Whether its highest raw values mean that there is none, as SAE J1939-71 has it.",
            True,
        ),
        Key("request", Boolean(), "Whether its group is asked for in the group's period.", False),
        *(key for key in CAN_POINT.keys if key.name not in ("message", "signal")),
    ),
)

J1939_POINTS = Named("a point", WORD, WORD_GRAMMAR, J1939_POINT)
