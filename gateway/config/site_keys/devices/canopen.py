"""Keys of a CANopen device: its node, PDOs and points."""

from __future__ import annotations

from gateway.config.can_canopen import ObjectType
from gateway.config.kinds import Boolean, Integer, Key, Named, Number, Section, Text, choice
from gateway.config.site_keys.devices.can import CAN_POINT
from gateway.config.site_keys.devices.j1939 import J1939_CONNECTION
from gateway.config.site_keys.values import DAY_MS, FILE, WORD, WORD_GRAMMAR

_BUS_ITSELF = (
    "interface", "channel", "port", "ttl", "bitrate", "fd", "data_bitrate", "file", "speed", "loop", "retry_max_ms",
)  # fmt: skip
CANOPEN_CONNECTION = Section(
    "a CANopen connection",
    (
        *(key for key in J1939_CONNECTION.keys if key.name in _BUS_ITSELF),
        Key("node_id", Integer(1, 127), "Number of the node."),
        Key("eds", FILE, "EDS or DCF of the device, relative to this file.", None),
        Key(
            "heartbeat_ms",
            Integer(0, 65_535, "ms"),
            "How often it is told to say that it is there (0x1017); 0: it is told nothing.",
            1_000,
        ),
        Key(
            "lost_after_ms",
            Integer(0, DAY_MS, "ms"),
            "Its points are Bad after so long without a heartbeat; unless given, after three. 0: it has none.",
            None,
        ),
        Key("timeout_ms", Integer(10, 60_000, "ms"), "How long each answer to an SDO request may take.", 500),
        Key("start", Boolean(), "Whether it is started by NMT; else somebody else does that.", True),
    ),
)

CANOPEN_PDO = Section(
    "a PDO",
    (
        Key(
            "configure",
            Boolean(),
            "Whether it is written before the node is started, from the points that name it; else the EDS has it.",
            False,
        ),
        Key("cob_id", Integer(1, 0x7FF), "Its identifier; the EDS' unless given, else the usual one.", None),
        Key("transmission", Integer(0, 255), "Transmission type; 254 and 255: as events are.", 255),
        Key("event_ms", Integer(0, 65_535, "ms"), "tpdo: sent so often at least; 0: on events only.", 0),
        Key("inhibit_ms", Integer(0, 6_553, "ms"), "tpdo: least time between two.", 0),
        Key("cycle_ms", Integer(0, 3_600_000, "ms"), "rpdo: how often it is sent once commanded.", 0),
        Key(
            "hold_ms",
            Integer(0, DAY_MS, "ms"),
            "rpdo: no longer sent so long after the last command; 0: until Tieline stops.",
            0,
        ),
    ),
)

CANOPEN_PDOS = Named(
    "a PDO",
    r"[tr]pdo[1-9][0-9]{0,2}",
    "write tpdo1 for one that the node sends, rpdo1 for one it takes",
    CANOPEN_PDO,
)

CANOPEN_POINT = Section(
    "a point of a CANopen device",
    (
        Key(
            "object",
            Text("the name of an object from the EDS"),
            "Object by its name; one with members as Name.Member.",
            None,
        ),
        Key("index", Integer(1, 0xFFFF), "Object by its index: 0x6041.", None),
        Key("subindex", Integer(0, 255), "Its subindex, with 'index'.", 0),
        Key("type", choice(ObjectType), "Its type; the EDS' unless given.", None),
        Key("scale", Number(not_zero=True), "Value = raw * scale + offset.", 1.0),
        Key("offset", Number(), "Added after scaling.", 0.0),
        Key(
            "pdo",
            Text("the name of a PDO: tpdo1", r"[tr]pdo[1-9][0-9]{0,2}", 7),
            "PDO that it is in; else it is read and written by SDO.",
            None,
        ),
        *(key for key in CAN_POINT.keys if key.name not in ("message", "signal")),
    ),
)

CANOPEN_POINTS = Named("a point", WORD, WORD_GRAMMAR, CANOPEN_POINT)
