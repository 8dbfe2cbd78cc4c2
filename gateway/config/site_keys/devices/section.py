"""Keys of ``templates`` and ``devices``: the body of a device by its protocol, parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config.kinds import Anything, ByProtocol, Choice, Key, Later, Named, Section, Text, choice
from gateway.config.modbus import Order
from gateway.config.site_keys.devices.can import CAN_CONNECTION, CAN_POINTS, CAN_TRANSMITS
from gateway.config.site_keys.devices.canopen import CANOPEN_CONNECTION, CANOPEN_PDOS, CANOPEN_POINTS
from gateway.config.site_keys.devices.dnp3 import DNP3_CONNECTION, DNP3_DEVICE_POINTS
from gateway.config.site_keys.devices.j1939 import J1939_CONNECTION, J1939_POINTS
from gateway.config.site_keys.devices.modbus import CONNECTION, GROUPS, POINTS
from gateway.config.site_keys.devices.opcua import OPCUA_CONNECTION, OPCUA_POINTS
from gateway.config.site_keys.values import AREA_PATH, DESCRIPTION, WORD, WORD_GRAMMAR

MAX_TAGS = 1_000_000  # what the image holds (docs/formats/image.md)
MAX_REPEAT = 100_000  # copies of one device; each brings ten tags or more
REPEAT = r"([0-9]{1,6})\.\.([0-9]{1,6})"


@dataclass(frozen=True, slots=True)
class ProtocolKeys:
    """What devices of one protocol have of their own; ``own`` names those keys of BODY that are only theirs."""

    connection: Section
    points: Named
    own: frozenset[str] = frozenset()


PROTOCOL_KEYS: Mapping[str, ProtocolKeys] = {
    "modbus": ProtocolKeys(CONNECTION, POINTS, frozenset({"addressing", "word_order", "byte_order"})),
    "dnp3": ProtocolKeys(DNP3_CONNECTION, DNP3_DEVICE_POINTS),
    "can": ProtocolKeys(CAN_CONNECTION, CAN_POINTS, frozenset({"transmit"})),
    "j1939": ProtocolKeys(J1939_CONNECTION, J1939_POINTS, frozenset({"transmit"})),
    "canopen": ProtocolKeys(CANOPEN_CONNECTION, CANOPEN_POINTS, frozenset({"pdos"})),
    "opcua": ProtocolKeys(OPCUA_CONNECTION, OPCUA_POINTS),
}
BODY = (
    Key("protocol", Choice(tuple(PROTOCOL_KEYS)), "How the device is spoken to."),
    Key(
        "connection",
        ByProtocol({name: keys.connection for name, keys in PROTOCOL_KEYS.items()}),
        "Where the device is, and what it can bear.",
    ),
    Key("groups", GROUPS, "Poll groups by name."),
    Key(
        "points",
        ByProtocol({name: keys.points for name, keys in PROTOCOL_KEYS.items()}),
        "Points by name; a tag is named device.point, its unit last.",
    ),
    Key(
        "addressing",
        Choice(("protocol", "modicon")),
        "Addresses from 0, or Modicon's 40001 style.",
        "protocol",
    ),
    Key("word_order", choice(Order), "Order of the registers in a value, for all points.", Order.BIG),
    Key("byte_order", choice(Order), "Order of the bytes in a register, for all points.", Order.BIG),
    Key("transmit", CAN_TRANSMITS, "Messages on a CAN bus that commands send, by name.", None),
    Key("pdos", CANOPEN_PDOS, "PDOs of a CANopen device, by name: tpdo1, rpdo1.", None),
)

PARAMETER_TYPES = ("integer", "number", "string", "boolean")
PARAMETER = Section(
    "a parameter",
    (
        Key("type", Choice(PARAMETER_TYPES), "Kind of its value."),
        Key("default", Anything(), "Value where a device gives none; without it every device must.", None),
        Key("description", DESCRIPTION, "One line for people.", ""),
    ),
)

PARAMETERS = Named("a parameter", WORD, WORD_GRAMMAR, PARAMETER)
TEMPLATE = Section(
    "a template",
    (
        Key("description", DESCRIPTION, "One line for people.", ""),
        Key(
            "parameters", Later(PARAMETERS, expressions=False), "What devices fill in, used as ${name}.", None
        ),
        *BODY,
    ),
)

ARGUMENTS = Named("a parameter", WORD, WORD_GRAMMAR, Anything())
DEVICE_OWN = (
    Key("area", Later(AREA_PATH), "The area it stands in."),
    Key("description", Later(DESCRIPTION), "One line for people.", None),
    Key(
        "repeat",
        Text("first..last, such as 1..12", REPEAT),
        "Makes as many devices, numbered, with ${n}.",
        None,
    ),
    Key("template", Text("the name of a template", WORD, 64), "Where all below comes from.", None),
    Key("with", Later(ARGUMENTS), "The template's parameters.", None),
)

# With a template the body's keys are not given, without one they must be: see gateway.config.expand.
DEVICE = Section("a device", (*DEVICE_OWN, *(Key(key.name, Later(key.kind), key.doc, None) for key in BODY)))
DEVICE_BODY = Section("a device", (*(Key(k.name, Later(k.kind), k.doc, None) for k in DEVICE_OWN), *BODY))
TEMPLATES = Named("a template", WORD, WORD_GRAMMAR, TEMPLATE)
DEVICES = Named("a device", WORD, WORD_GRAMMAR, DEVICE)
