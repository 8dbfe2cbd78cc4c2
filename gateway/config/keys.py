"""The table of every key a site file may hold: parser, JSON Schema and the test of the docs all go by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.config.anomaly import OF_TAGS, DetectorKind
from gateway.config.can import INTERFACES, MULTICAST, Checksum
from gateway.config.can_canopen import ObjectType
from gateway.config.can_j1939 import HIGHEST_ADDRESS, HIGHEST_PGN, MAX_BYTES
from gateway.config.control import Seat
from gateway.config.demand_response import BaselineRule
from gateway.config.deviation import Deviation
from gateway.config.dispatch import CIVIL_DAY_S, AssetKind, Weekday
from gateway.config.dnp3 import ControlModel, PointKind
from gateway.config.dnp3_device import (
    AnalogForm,
    DevicePointKind,
    Dnp3Engine,
    Dnp3Transport,
    RelayCode,
    TimeSync,
)
from gateway.config.document import INT_HIGH
from gateway.config.events import Summary
from gateway.config.forecasts import DEFAULT_MODELS, DEFAULT_QUANTILES, ForecastKind, ForecastModel, Season
from gateway.config.forward import ForwardKind, ForwardTarget, Label, SeriesNames
from gateway.config.health import HealthKind
from gateway.config.kinds import (
    ANY_LINE,
    Anything,
    Boolean,
    ByProtocol,
    Choice,
    Integer,
    Key,
    Later,
    ListOf,
    Named,
    Number,
    OrAlone,
    Pair,
    Section,
    States,
    Text,
    UnitSymbol,
    When,
    choice,
)
from gateway.config.logic import Start
from gateway.config.market import BillEvery, FeedKind, MemberKind, TradedKind
from gateway.config.market_agents import AgentKind
from gateway.config.modbus import SERIAL, TAGGED, Order, Parity, RegisterType, Table, Transport, WriteFunction
from gateway.config.modbus_server import BadAs
from gateway.config.opcua_device import FIELD, FIELD_GRAMMAR, NODE, NODE_GRAMMAR, ReadBy
from gateway.config.site import (
    HistorianSettings,
    HmiSettings,
    OpcUaSettings,
    Role,
    SimulatedPlant,
    SimulatorSettings,
    TimeResolution,
    Trust,
)
from gateway.config.sizes import Size
from gateway.config.totals import Method, Period, Sign, TotalKind
from gateway.config.zones import UTC, Zone

MAX_TAGS = 1_000_000  # what the image holds (docs/formats/image.md)
MAX_REPEAT = 100_000  # copies of one device; each brings ten tags or more
MAX_READ_REGISTERS, MAX_READ_COILS = 125, 2_000  # Modbus Application Protocol 1.1b3, 6.3 and 6.1
TABLE_SIZE = 65_536  # addresses of one table, 16 bits (4.4)
DAY_MS = 86_400_000

WORD = r"[a-z][a-z0-9_]*"
WORD_GRAMMAR = "write lower-case letters, digits and '_', a letter first"
REPEAT = r"([0-9]{1,6})\.\.([0-9]{1,6})"

_HISTORIAN, _OPCUA, _HMI, _SIMULATOR = (
    HistorianSettings(),
    OpcUaSettings(),
    HmiSettings(),
    SimulatorSettings(),
)

_DEVIATION = Deviation()

DESCRIPTION = Text("a line of text")
NAME = Text("lower-case letters, digits, '_' and '-', a letter first", r"[a-z][a-z0-9_-]*", 64)
HOST = Text("a host name or an address", r"[A-Za-z0-9_](?:[A-Za-z0-9_.:%-]*[A-Za-z0-9_])?|::1?", 253)
PORT = Integer(1, 65_535)

SITE = Section(
    "the site",
    (
        Key("name", NAME, "Names the running site: its shared memory and its state folder."),
        Key("description", DESCRIPTION, "One line for people.", ""),
        Key(
            "time_resolution",
            choice(TimeResolution),
            "What source times are brought to as they are written, never to a later time; image, history and servers "
            "then tell the same.",
            TimeResolution.MICROSECOND,
        ),
        Key(
            "time_zone",
            Zone(),
            "Where people there read the clock; days of history and times without an offset are of it.",
            UTC,
        ),
        Key("latitude", Number(low=-90, high=90), "Where the site is, in degrees; north is positive.", None),
        Key("longitude", Number(low=-180, high=180), "Likewise; east is positive.", None),
        Key(
            "holidays",
            Text("a country or a part of it, as in DE or DE-BY", r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?", 64),
            "Whose public holidays count: its ISO 3166 code.",
            None,
        ),
    ),
)

WRITE = Section(
    "a write limit",
    (
        Key("role", choice(Role), "The least role that may write this point.", Role.OPERATOR),
        Key(
            "low",
            Number(),
            "Least value that may be written, in the point's unit; the range's low unless given.",
            None,
        ),
        Key("high", Number(), "Greatest value that may be written; the range's high unless given.", None),
        Key(
            "tolerance",
            Number(low=0),
            "Greatest difference between the value asked and the value read back that still counts as done; unless "
            "given, one step of the scaled integer, or one millionth of the greater limit for a float.",
            None,
        ),
        Key("timeout_ms", Integer(10, 600_000, "ms"), "Time for the write and for reading it back.", 2_000),
        Key("select", Boolean(), "Whether it is selected before it is operated.", False),
        Key(
            "select_timeout_ms",
            Integer(100, 600_000, "ms"),
            "An operate follows its select so soon; 30000 unless given.",
            None,
        ),
        Key("second_person", Boolean(), "Whether a second person confirms each command.", False),
        Key(
            "confirm_timeout_ms",
            Integer(1_000, 500_000, "ms"),
            "The second person confirms so soon; 120000 unless given.",
            None,
        ),
        Key(
            "interval_ms",
            Integer(0, 3_600_000, "ms"),
            "Least time between two commands that go to the device; 0: none.",
            0,
        ),
        Key(
            "settle_s",
            Integer(0, 86_400, "s"),
            "After a missing answer the device is asked for so long whether it has the value; 0: it is not.",
            300,
        ),
        Key("emergency", Boolean(), "Whether its commands are never locked out (docs/commands.md).", False),
        Key(
            "emergency_value",
            Anything("a number, true or false"),
            "Only commands of this value are emergencies; all unless given.",
            None,
        ),
    ),
)

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

DEVIATION = Section(
    "a deviation",
    (
        Key(
            "exception",
            Anything("a number in the unit, or a part of the range: 0.1%"),
            "A sample counts when it differs by more from the last that did; in the unit, or as 0.1% of the range.",
            0.0,
        ),
        Key(
            "max_quiet_s",
            Integer(1, 86_400, "s"),
            "So long after the last that counted, the next counts in any case.",
            _DEVIATION.quiet_ns // 10**9,
        ),
        Key(
            "compression",
            Anything("a number in the unit, or a part of the range: 0.1%"),
            "Of those that count, one is kept when the line from the last kept one would miss one by more; likewise.",
            0.0,
        ),
        Key(
            "max_s",
            Integer(1, 604_800, "s"),
            "So long after the last kept one, the next is kept in any case.",
            _DEVIATION.longest_ns // 10**9,
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
        Key("unit", UnitSymbol(), "Engineering unit of the value.", None),
        Key("range", Pair(), "The instrument's range in the unit; a value outside is Uncertain.", None),
        Key(
            "group",
            Text("the name of a group", WORD, 64),
            "Poll group; may be left out where there is one.",
            None,
        ),
        Key("deadband", Number(low=0), "Changes smaller than this, in the unit, need not be kept.", 0.0),
        Key("decimals", Integer(0, 9), "Decimals that an operator sees.", None),
        Key("states", States(), "Names of the values of an integer or bool.", None),
        Key("history", Boolean(), "Whether the historian keeps it.", True),
        Key("write", MODBUS_WRITE, "How it may be written; without this it may not.", None),
        Key(
            "sloped",
            Boolean(),
            "Whether history takes it to run straight from one sample to the next, rather than hold until it.",
            False,
        ),
        Key("deviation", DEVIATION, "By how much history may differ from what was measured.", None),
        Key("description", DESCRIPTION, "One line for people.", ""),
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

COMMON_POINT_KEYS = tuple(
    replace(key, kind=WRITE) if key.name == "write" else key
    for key in POINT.keys
    if key.name
    in (
        "unit",
        "range",
        "group",
        "deadband",
        "decimals",
        "states",
        "history",
        "write",
        "sloped",
        "deviation",
        "description",
    )
)
_DNP3_BY_TCP = When("transport", frozenset({Dnp3Transport.TCP, Dnp3Transport.TLS}))
_DNP3_BY_TLS = When("transport", frozenset({Dnp3Transport.TLS}))
_DNP3_BY_SERIAL = When("transport", frozenset({Dnp3Transport.SERIAL}))
DNP3_CONNECTION = Section(
    "a DNP3 connection",
    (
        Key(
            "engine",
            choice(Dnp3Engine),
            "Whose master it is; dnp3-python speaks TCP alone, and needs an environment of its own.",
            Dnp3Engine.YADNP3,
        ),
        Key("transport", choice(Dnp3Transport), "How frames travel.", Dnp3Transport.TCP),
        Key(
            "host", HOST, "Host name or address of the outstation; not for a serial line.", when=_DNP3_BY_TCP
        ),
        Key("port", PORT, "TCP port.", 20_000, _DNP3_BY_TCP),
        Key(
            "certificate",
            Text("the path of a file"),
            "For tls: our certificate, PEM, relative to this file.",
            when=_DNP3_BY_TLS,
        ),
        Key("key", Text("the path of a file"), "For tls: its private key, PEM.", when=_DNP3_BY_TLS),
        Key(
            "authorities",
            Text("the path of a file"),
            "For tls: certificates that the outstation's must be signed by, PEM.",
            when=_DNP3_BY_TLS,
        ),
        Key(
            "names",
            ListOf(HOST, "a list of names: [rtu7.example]"),
            "For tls: the outstation's certificate has to bear one of them; unless given, the host.",
            None,
            _DNP3_BY_TLS,
        ),
        Key(
            "serial",
            Text("the path of a serial port: /dev/ttyUSB0", r"/[^\s]+", 253),
            "Serial port of this machine; outstations may share it.",
            when=_DNP3_BY_SERIAL,
        ),
        Key("baud", Integer(1_200, 921_600), "Bits a second on the serial line.", 9_600, _DNP3_BY_SERIAL),
        Key("parity", choice(Parity), "Parity on the serial line.", Parity.NONE, _DNP3_BY_SERIAL),
        Key("stop_bits", Integer(1, 2), "Stop bits on the serial line.", 1, _DNP3_BY_SERIAL),
        Key("address", Integer(0, 65_519), "Link address of the outstation."),
        Key("master_address", Integer(0, 65_519), "Our link address.", 1),
        Key(
            "timeout_ms",
            Integer(100, 600_000, "ms"),
            "How long an answer may take; longer than the outstation waits for a confirm, which is often 5 s.",
            6_000,
        ),
        Key(
            "retry_max_ms", Integer(100, 3_600_000, "ms"), "Longest wait between attempts to connect.", 30_000
        ),
        Key(
            "integrity_s",
            Integer(0, 86_400, "s"),
            "How often everything is asked for; 0: after restarts only.",
            3_600,
        ),
        Key(
            "time_sync", choice(TimeSync), "How its clock is set when it asks; none: it is not.", TimeSync.LAN
        ),
        Key(
            "keep_alive_ms",
            Integer(1_000, 3_600_000, "ms"),
            "It is asked for its link status after so long a silence.",
            30_000,
        ),
        Key("unsolicited", Boolean(), "Whether it may tell changes without being asked.", True),
    ),
)
DNP3_DEVICE_POINT = Section(
    "a point of a DNP3 device",
    (
        Key("type", choice(DevicePointKind), "Point type; each is numbered from 0 by itself."),
        Key("index", Integer(0, 65_535), "The point's index."),
        Key("scale", Number(not_zero=True), "Engineering value = raw * scale + offset.", 1.0),
        Key("offset", Number(), "Added after scaling.", 0.0),
        Key("length", Integer(1, 255), "Octets of a string at most.", None),
        Key("select", Boolean(), "Select before operate.", True),
        Key("when_true", choice(RelayCode), "What true sends to a binary output.", RelayCode.LATCH_ON),
        Key("when_false", choice(RelayCode), "What false sends to a binary output.", RelayCode.LATCH_OFF),
        Key("pulse_ms", Integer(1, 3_600_000, "ms"), "Length of a pulse.", 100),
        Key("form", choice(AnalogForm), "How a number goes to an analog output.", AnalogForm.FLOAT32),
        *COMMON_POINT_KEYS,
    ),
)
DNP3_DEVICE_POINTS = Named("a point", WORD, WORD_GRAMMAR, DNP3_DEVICE_POINT)

FILE = Text("the path of a file")
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

SECURITY = tuple(
    f"{policy}:{mode}"
    for policy in ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
    for mode in ("SignAndEncrypt", "Sign")
)
URL = Text("a URL: opc.tcp://192.0.2.20:4840/", r"opc\.tcp://[A-Za-z0-9_\[][^\s@]*", 253)
NODE_ID = Text(NODE_GRAMMAR, NODE, 500)
OPCUA_CONNECTION = Section(
    "an OPC UA connection",
    (
        Key("url", URL, "Where the server is."),
        Key(
            "security",
            Choice((*SECURITY, "None")),
            "Policy and mode, as Policy:Mode; None: neither signed nor encrypted.",
            SECURITY[0],
        ),
        Key(
            "trust",
            choice(Trust),
            "Which server certificates are accepted: those in the state folder's pki/servers/trusted, or all.",
            Trust.LIST,
        ),
        Key("user", Text("the name of a user of the server"), "Who signs in; anonymous unless given.", None),
        Key("password_file", FILE, "File with the user's password, relative to this file.", None),
        Key(
            "password_variable",
            Text("the name of an environment variable", r"[A-Za-z_][A-Za-z0-9_]*", 128),
            "Environment variable with the user's password, instead of a file.",
            None,
        ),
        Key("read", choice(ReadBy), "How values come, where a point says nothing else.", ReadBy.SUBSCRIPTION),
        Key("timeout_ms", Integer(100, 600_000, "ms"), "How long an answer may take.", 4_000),
        Key(
            "retry_max_ms", Integer(100, 3_600_000, "ms"), "Longest wait between attempts to connect.", 30_000
        ),
        Key(
            "verify_s",
            Integer(0, 86_400, "s"),
            "How often subscribed values are read as well, to find a subscription that no longer tells; 0: never.",
            60,
        ),
    ),
)
OPCUA_METHOD = Section(
    "a method",
    (
        Key("object", NODE_ID, "The object it is called on."),
        Key("method", NODE_ID, "The method."),
        Key(
            "arguments",
            ListOf(Anything(), "a list of values: [value, 10]"),
            "What it is called with; the word value stands for the value commanded.",
            (),
        ),
    ),
)
OPCUA_POINT = Section(
    "a point of an OPC UA device",
    (
        Key("node", NODE_ID, "The node that is read; without one, what was commanded counts.", None),
        Key(
            "field",
            Text(FIELD_GRAMMAR, FIELD, 500),
            "The part of the value that counts, in structures and arrays; arrays begin at 0.",
            None,
        ),
        Key(
            "type",
            Choice(("bool", "int64", "uint64", "float64", "string")),
            "Kind of the tag's value; an enumeration is int64, a time float64 (seconds since 1970) or string.",
            "float64",
        ),
        Key("length", Integer(1, 4_000), "Bytes of a string at most.", 200),
        Key("scale", Number(not_zero=True), "Engineering value = raw * scale + offset; for float64.", 1.0),
        Key("offset", Number(), "Added after scaling.", 0.0),
        Key("read", choice(ReadBy), "How its value comes; as the connection says unless given.", None),
        Key(
            "sampling_ms",
            Integer(0, DAY_MS, "ms"),
            "How often the server looks at it; 0: as fast as it can. The group's period unless given.",
            None,
        ),
        Key("queue", Integer(1, 100_000), "Changes that the server keeps between two tellings.", 10),
        Key(
            "absolute_deadband",
            Number(above=0),
            "Smaller changes, in the node's own unit, are not told by the server.",
            None,
        ),
        Key(
            "percent_deadband",
            Number(above=0, high=100),
            "Likewise in percent of the node's EURange.",
            None,
        ),
        Key("method", OPCUA_METHOD, "Method that a command calls, instead of writing the node.", None),
        Key(
            "method_false",
            OPCUA_METHOD,
            "Method that false calls, of a bool; then 'method' is for true.",
            None,
        ),
        *COMMON_POINT_KEYS,
    ),
)
OPCUA_POINTS = Named("a point", WORD, WORD_GRAMMAR, OPCUA_POINT)

_BUS_ITSELF = (
    "interface", "channel", "port", "ttl", "bitrate", "fd", "data_bitrate", "file", "speed", "loop", "retry_max_ms",
)  # fmt: skip
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
AREA_PATH = Text("an area of the site", rf"{WORD}(?:/{WORD})*", 128)
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

FORWARD_NAME_PATTERN = r"(?:[A-Za-z0-9_./-]|\{(?:site|tag|area|device|point|type)\})+"
FORWARD_NAME = Text(
    "letters, digits, '_', '.', '/', '-' and {site}, {tag}, {area}, {device}, {point}, {type}",
    FORWARD_NAME_PATTERN,
    128,
)
_WITH_DATABASES = frozenset({"influxdb1", "influxdb2", "influxdb3"})
_NAMES = SeriesNames()
_TARGET = ForwardTarget("", ForwardKind.INFLUXDB2, "")
FORWARD_TARGET = Section(
    "a target of forwarding",
    (
        Key("kind", choice(ForwardKind), "What it is; by that, how it is written to."),
        Key(
            "url",
            Text(
                "http:// or https://, a host, and a port where it is not the usual one",
                r"https?://[A-Za-z0-9_.\[\]:-]+(?:/[A-Za-z0-9_./-]*)?",
                500,
            ),
            "Where it listens, as in https://influx.example:8086.",
        ),
        Key(
            "database",
            Text("a name", longest=128),
            "Database (1.x, 3.x) or bucket (2.x).",
            when=When("kind", _WITH_DATABASES),
        ),
        Key(
            "organisation",
            Text("a name", longest=128),
            "Organisation that the bucket is of.",
            when=When("kind", frozenset({"influxdb2"})),
        ),
        Key("username", Text("a name", longest=128), "User, with a password; without one, a token.", None),
        Key("secret_file", Text("the path of a file"), "File that holds the token or password.", None),
        Key(
            "secret_variable",
            Text("a name", r"[A-Za-z_][A-Za-z0-9_]*", 128),
            "Environment variable that holds it.",
            None,
        ),
        Key(
            "authorities",
            Text("the path of a file"),
            "Whom its certificate must be signed by, PEM; those of the machine unless given.",
            None,
        ),
        Key("certificate", Text("the path of a file"), "Our certificate where it asks for one, PEM.", None),
        Key("key", Text("the path of a file"), "Its private key, PEM.", None),
        Key(
            "tags",
            ListOf(
                Text("a tag's name, with * for any characters", r"[a-z0-9_.*?]+", 256), 'a list: ["pcc.*"]'
            ),
            "Patterns of the tags that are forwarded.",
            ("*",),
        ),
        Key("measurement", FORWARD_NAME, "The measurement of a tag.", _NAMES.measurement),
        Key(
            "labels",
            ListOf(choice(Label), "a list of: site, tag, area, device, unit"),
            "Its series' tags, as InfluxDB calls them.",
            _NAMES.labels,
        ),
        Key("field", FORWARD_NAME, "The field of its value.", _NAMES.field),
        Key("status_field", FORWARD_NAME, "The field of its StatusCode.", _NAMES.status_field),
        Key(
            "batch_samples",
            Integer(1, 100_000),
            "Samples of one request at most.",
            _TARGET.batch_samples,
        ),
        Key(
            "interval_ms",
            Integer(100, 600_000, "ms"),
            "How often what is new is sent.",
            _TARGET.interval_ms,
        ),
        Key(
            "timeout_ms",
            Integer(100, 600_000, "ms"),
            "How long an answer may take.",
            _TARGET.timeout_ms,
        ),
        Key(
            "samples_per_s",
            Integer(0, 10_000_000),
            "Samples sent in a second at most, also when it catches up; 0: no limit.",
            _TARGET.samples_per_s,
        ),
        Key(
            "max_kept",
            Size(),
            "How much of the journal is kept for it while it is away, 1GB unless given; beyond it, day files serve.",
            None,
        ),
    ),
)
FORWARD = Named("a target of forwarding", WORD, WORD_GRAMMAR, FORWARD_TARGET, 32)


HISTORIAN = Section(
    "the historian",
    (
        Key("flush_ms", Integer(10, 60_000, "ms"), "Samples are on disk so soon.", _HISTORIAN.flush_ms),
        Key("block_s", Integer(1, 3_600, "s"), "Length of a compressed block.", _HISTORIAN.block_s),
        Key("keep_days", Integer(0, 36_500, "days"), "Days kept; 0 for ever.", _HISTORIAN.keep_days),
        Key(
            "max_disk",
            Size(),
            "Most that history takes on the disk, as in 50GB; beyond it the oldest days are dropped. 0: no limit.",
            _HISTORIAN.max_disk,
        ),
        Key(
            "min_free",
            Size(),
            "Least that stays free on history's disk, as in 2GB; below it the oldest days are dropped, never today, "
            "and then nothing is written until there is room. 0: no limit.",
            _HISTORIAN.min_free,
        ),
        Key(
            "max_ahead_s",
            Integer(1, 3_153_600_000, "s"),
            "A sample whose time lies further in the future is quarantined: kept apart and counted.",
            _HISTORIAN.max_ahead_s,
        ),
        Key("forward", Later(FORWARD), "Stores that history is forwarded to, by name.", None),
    ),
)

OPCUA = Section(
    "the OPC UA server",
    (
        Key("host", HOST, "Address it listens on.", _OPCUA.host),
        Key("port", PORT, "TCP port it listens on.", _OPCUA.port),
        Key(
            "security",
            ListOf(Choice((*SECURITY, "None")), f"a list of policies with their mode: [{SECURITY[0]}]"),
            "Policies and modes a client may use, as Policy:Mode; None is neither signed nor encrypted.",
            _OPCUA.security,
        ),
        Key(
            "trust",
            choice(Trust),
            "Which client certificates are accepted: those in the state folder's pki/trusted, or all.",
            _OPCUA.trust,
        ),
    ),
)
HMI = Section(
    "the HMI",
    (
        Key("host", HOST, "Address it listens on.", _HMI.host),
        Key("port", PORT, "TCP port it listens on.", _HMI.port),
    ),
)
DNP3_POINT = Section(
    "a DNP3 point",
    (
        Key("type", choice(PointKind), "Point type; each is numbered from 0 by itself."),
        Key("index", Integer(0, 65_535), "The point's index."),
        Key("class", Integer(0, 3), "Class of its events; 0: no events.", 0),
        Key("static", Integer(1, 10), "Static variation; unless given one that loses nothing.", None),
        Key("event", Integer(1, 8), "Event variation; unless given one with time.", None),
        Key("deadband", Number(low=0), "A change has to be larger, in the tag's unit, to be an event.", None),
        Key("scale", Number(not_zero=True), "On the wire is value * scale.", None),
        Key(
            "frozen_class",
            Integer(0, 3),
            "Gives a counter its frozen one, and the class of its events.",
            None,
        ),
        Key(
            "control",
            choice(ControlModel),
            "Which control codes a binary output takes; latch unless given.",
            None,
        ),
    ),
)
DNP3_MASTER = Section(
    "a DNP3 master",
    (
        Key("address", Integer(0, 65_519), "Its link address."),
        Key("hosts", ListOf(HOST, "a list of addresses: [192.0.2.7]"), "Addresses that it may connect from."),
        Key(
            "user",
            Text("the name of a user", r"[a-z][a-z0-9_-]*", 64),
            "The user its commands are given as; without one it commands nothing.",
            None,
        ),
        Key("unsolicited", Boolean(), "Whether it may be told without asking.", True),
    ),
)
DNP3_TLS = Section(
    "TLS",
    (
        Key("certificate", Text("the path of a file"), "Our certificate, PEM, relative to this file."),
        Key("key", Text("the path of a file"), "Its private key, PEM."),
        Key("authorities", Text("the path of a file"), "Certificates that masters' must be signed by, PEM."),
    ),
)
DNP3_MASTERS = Named("a master", WORD, WORD_GRAMMAR, DNP3_MASTER)
DNP3_POINTS = Named(
    "a tag",
    r"[a-z_][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+",
    "write the name of a tag, such as battery1.power_kw",
    DNP3_POINT,
    255,
)
DNP3 = Section(
    "the DNP3 outstation",
    (
        Key("host", HOST, "Address it listens on.", "127.0.0.1"),
        Key("port", PORT, "TCP port it listens on.", 20_000),
        Key("address", Integer(0, 65_519), "Our link address."),
        Key("masters", Later(DNP3_MASTERS), "Who is answered."),
        Key("points", Later(DNP3_POINTS), "Which tags are which points."),
        Key("tls", DNP3_TLS, "TLS with certificates on both sides.", None),
        Key(
            "events",
            Integer(1, 1_000_000),
            "Events kept for each master until it confirms them; the oldest go.",
            10_000,
        ),
        Key("confirm_timeout_ms", Integer(100, 600_000, "ms"), "Time for a master's confirm.", 5_000),
        Key(
            "select_timeout_ms",
            Integer(100, 600_000, "ms"),
            "An operate must follow its select so soon.",
            10_000,
        ),
        Key(
            "operate_timeout_ms",
            Integer(100, 600_000, "ms"),
            "Time for a command, until the device has reported it back.",
            4_000,
        ),
        Key(
            "unsolicited_hold_ms",
            Integer(0, 60_000, "ms"),
            "Events are held so long, so that neighbours come along.",
            100,
        ),
        Key("unsolicited_retries", Integer(0, 1_000), "How often an unconfirmed one is sent again.", 3),
        Key("unsolicited_pause_ms", Integer(100, 3_600_000, "ms"), "Pause after the retries.", 10_000),
        Key(
            "keep_alive_ms",
            Integer(1_000, 3_600_000, "ms"),
            "A silent master is asked for its link status after so long.",
            60_000,
        ),
        Key(
            "needs_time",
            Boolean(),
            "Ask the masters for the time; it is compared with ours, which it never sets.",
            False,
        ),
    ),
)
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
SERVERS = Section(
    "the servers",
    (
        Key("opcua", OPCUA, "OPC UA server; absent, it does not run.", None),
        Key("hmi", HMI, "Operator's pages; absent, they are not served.", None),
        Key("dnp3", DNP3, "DNP3 outstation for utilities' masters; absent, it does not run.", None),
        Key("modbus", MODBUS_SERVER, "Modbus TCP server; absent, it does not run.", None),
    ),
)

USER = Section(
    "a user",
    (
        Key("role", choice(Role), "What the user may do."),
        Key(
            "areas",
            ListOf(AREA_PATH, "a list of areas: [storage, loads/feeders]"),
            "Areas whose points the user may command, with all below them; all unless given.",
            None,
        ),
    ),
)

CONTROL_AREA = Section(
    "an area under control",
    (
        Key("role", choice(Role), "The least role that may take control.", Role.OPERATOR),
        Key(
            "hold_s", Integer(0, 31 * 86_400, "s"), "Control ends so long after it was taken; 0: never.", 900
        ),
        Key("default", choice(Seat), "Who may command while nobody has control; nobody unless given.", None),
    ),
)
CONTROL_AREAS = Named("an area", rf"{WORD}(?:/{WORD}){{0,7}}", "write an area of the site", CONTROL_AREA, 128)
INTERLOCK = Section(
    "an interlock",
    (
        Key(
            "points",
            ListOf(
                Text("the name of a writable tag, * for any letters", r"[a-z_*][a-z0-9_.*]*", 255),
                "a list of writable tags: [pcc.close_command, feeder*.close_command]",
            ),
            "Points whose commands it stops.",
        ),
        Key(
            "value",
            Anything("a number, true or false"),
            "Only commands of this value; all unless given.",
            None,
        ),
        Key(
            "allow",
            Later(Text("an expression over tags", ANY_LINE, 1_000)),
            "What must be true for a command.",
        ),
        Key("message", DESCRIPTION, "What the operator is told where it is not."),
    ),
)
INTERLOCKS = Named("an interlock", WORD, WORD_GRAMMAR, INTERLOCK)
CONTROL = Section(
    "the control section",
    (
        Key("areas", Later(CONTROL_AREAS), "Areas that one at a time has control of.", None),
        Key(
            "priority",
            ListOf(choice(Seat), "a list such as [local, remote, schedule]"),
            "Each may take control from its own kind and from those after it; who is not here takes none.",
            tuple(Seat),
        ),
        Key("interlocks", Later(INTERLOCKS), "What stops commands.", None),
    ),
)

_OF_MICROGRID = When("plant", frozenset({"microgrid"}))
SIMULATOR = Section(
    "the simulator",
    (
        Key("plant", choice(SimulatedPlant), "What is simulated (docs/simulator.md).", _SIMULATOR.plant),
        Key("seed", Integer(0, 2**32 - 1), "Same seed, same day.", _SIMULATOR.seed),
        Key("speed", Number(above=0, high=1_000), "Simulated seconds a second.", _SIMULATOR.speed),
        Key("host", HOST, "Address its devices listen on.", _SIMULATOR.host),
        Key("base_port", Integer(1, 65_000), "Port of its first device.", _SIMULATOR.base_port),
        Key(
            "ev_chargers",
            Integer(0, 200),
            "Chargers it has.",
            _SIMULATOR.ev_chargers,
            when=_OF_MICROGRID,
        ),
        Key(
            "ev_stay_h",
            Number(above=0, high=168),
            "How long each vehicle stays, in hours of the plant; unless given, half an hour to three.",
            _SIMULATOR.ev_stay_h,
            when=_OF_MICROGRID,
        ),
        Key("feeders", Integer(0, 10), "Load feeders it has.", _SIMULATOR.feeders, when=_OF_MICROGRID),
        Key(
            "start_hour",
            Number(low=0, high=24),
            "Hour of the day it starts at.",
            _SIMULATOR.start_hour,
            when=_OF_MICROGRID,
        ),
        Key(
            "nominal_hz",
            Number(low=45, high=65),
            "Frequency it is built for.",
            _SIMULATOR.nominal_hz,
            when=_OF_MICROGRID,
        ),
        Key(
            "nominal_v",
            Number(low=100, high=1_000),
            "Its voltage, line to line.",
            _SIMULATOR.nominal_v,
            when=_OF_MICROGRID,
        ),
        Key(
            "remote",
            Boolean(),
            "Relays and inverter come back only when commanded; false: by themselves.",
            _SIMULATOR.remote,
            when=_OF_MICROGRID,
        ),
    ),
)

JOURNAL = Section(
    "the journal",
    (
        Key(
            "records",
            Integer(1 << 10, 1 << 27),
            "Changes kept in shared memory for each part that writes, 32 bytes each; rounded up to a power of two.",
            1 << 20,
        ),
    ),
)

VARIABLE = Text(
    "the path of a variable, such as main.pump.speed or levels[3]",
    r"[A-Za-z_%][A-Za-z0-9_%.]*(?:\[[-0-9, ]+\](?:\.[A-Za-z_][A-Za-z0-9_.]*)?)*",
    250,
)
VALUE = Anything("a number, true or false")
VALUE_OR_HOLD = Anything("a number, true or false, or hold")
TAG_NAME = r"[a-z_][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+"
TAG_GRAMMAR = "write the name of a tag, such as battery1.power_kw"
OWN_TAG_NAME = rf"{WORD}(?:\.{WORD})+"
OWN_TAG_GRAMMAR = f"{WORD_GRAMMAR}, and '.' between words: island.state"
LONGEST_TAG_NAME = 200  # with a companion's ending it stays below the image's 255 bytes

LOGIC_INPUT = Section(
    "a logic input",
    (
        Key("variable", VARIABLE, "Variable that gets the value at the start of every scan."),
        Key("quality", VARIABLE, "DWORD or UDINT that gets the StatusCode.", None),
        Key("good", VARIABLE, "BOOL that says whether the quality is Good.", None),
        Key("unit", UnitSymbol(), "Unit that the program reckons in; it must be the tag's.", None),
    ),
)
LOGIC_TAG_TYPES = tuple(
    type.value
    for type in RegisterType
    if type not in (RegisterType.STRING, RegisterType.BCD16, RegisterType.BCD32)
)
LOGIC_TAG = Section(
    "a logic tag",
    (
        Key("variable", VARIABLE, "Variable that gives its value at the end of every scan."),
        Key("type", Choice(LOGIC_TAG_TYPES), "What it can hold."),
        Key("area", AREA_PATH, "The area it stands in."),
        Key("unit", UnitSymbol(), "Engineering unit of the value.", None),
        Key("range", Pair(), "The range of its value, in the unit, for displays.", None),
        Key("decimals", Integer(0, 9), "Decimals that an operator sees.", None),
        Key("states", States(), "Names of the values of an integer or bool.", None),
        Key("deadband", Number(low=0), "Changes smaller than this, in the unit, need not be kept.", 0.0),
        Key("history", Boolean(), "Whether the historian keeps it.", True),
        Key(
            "sloped",
            Boolean(),
            "Whether history takes it to run straight from one sample to the next, rather than hold until it.",
            False,
        ),
        Key("safe", VALUE, "Its value, of Bad quality, when no program runs; 0 or false unless given.", None),
        Key("description", DESCRIPTION, "One line for people.", ""),
    ),
)
LOGIC_OUTPUT = Section(
    "a logic output",
    (
        Key("variable", VARIABLE, "Variable that the point of the device follows."),
        Key(
            "active",
            VARIABLE,
            "BOOL that says whether the logic holds the point; without it, it always does.",
            None,
        ),
        Key(
            "safe",
            VALUE_OR_HOLD,
            "What the device gets when the program stops, faults or is gone; hold: it keeps what it has.",
        ),
        Key(
            "refresh_ms",
            Integer(0, 3_600_000, "ms"),
            "How often the value is written again while held; 0: on change only.",
            1_000,
        ),
        Key("unit", UnitSymbol(), "Unit that the program reckons in; it must be the tag's.", None),
    ),
)
LOGIC_SETPOINT = Section(
    "a setpoint",
    (
        Key("variable", VARIABLE, "Variable that gets the value that holds."),
        Key("valid", VARIABLE, "BOOL that says whether an accepted value holds.", None),
        Key("type", Choice(("bool", "int64", "float64")), "Kind of its value.", "float64"),
        Key("area", AREA_PATH, "The area it stands in."),
        Key("unit", UnitSymbol(), "Engineering unit of the value.", None),
        Key("low", Number(), "Least value that is accepted; not for a bool.", None),
        Key("high", Number(), "Greatest value that is accepted; not for a bool.", None),
        Key(
            "max_rate_per_s",
            Number(above=0),
            "Greatest change a second, reckoned from the value accepted before; not for a bool.",
            None,
        ),
        Key("valid_for_s", Integer(1, 31 * 86_400, "s"), "How long a person's command holds.", 900),
        Key("initial", VALUE, "Value until the first is accepted."),
        Key("fallback", VALUE_OR_HOLD, "Value once the accepted one has expired; hold: it stays."),
        Key("role", choice(Role), "The least role that may write it.", Role.OPERATOR),
        Key("timeout_ms", Integer(10, 600_000, "ms"), "Time for the scan's answer.", 2_000),
        Key("decimals", Integer(0, 9), "Decimals that an operator sees.", None),
        Key("states", States(), "Names of the values of an integer or bool.", None),
        Key("description", DESCRIPTION, "One line for people.", ""),
    ),
)
LOGIC_INPUTS = Named("a tag", TAG_NAME, TAG_GRAMMAR, OrAlone(LOGIC_INPUT, "variable"), 255)
LOGIC_TAGS = Named("a tag of the logic", OWN_TAG_NAME, OWN_TAG_GRAMMAR, LOGIC_TAG, LONGEST_TAG_NAME)
LOGIC_OUTPUTS = Named("a point", TAG_NAME, TAG_GRAMMAR, LOGIC_OUTPUT, 255)
LOGIC_SETPOINTS = Named("a setpoint", OWN_TAG_NAME, OWN_TAG_GRAMMAR, LOGIC_SETPOINT, LONGEST_TAG_NAME)
LOGIC_PROGRAMS = ListOf(Text("the path of a file, or a pattern: logic/*.st"), "a list of files: [logic/*.st]")
LOGIC_TASKS = ListOf(
    Text("the name of a task", r"[A-Za-z_][A-Za-z0-9_]*", 63), "a list of tasks: [fast, slow]"
)
LOGIC = Section(
    "the logic",
    (
        Key(
            "programs",
            Later(LOGIC_PROGRAMS),
            "Structured Text, relative to this file, with * ? and ** for many; plc/library is always there.",
        ),
        Key(
            "tasks",
            Later(LOGIC_TASKS),
            "The programs' tasks; counts and times of each are tags, `_system.scan.<task>.*`.",
            None,
        ),
        Key("watchdog_ms", Integer(1, 10_000, "ms"), "A scan longer than this is a fault.", 100),
        Key("priority", Integer(0, 98), "Real-time priority (SCHED_FIFO); 0: none.", 80),
        Key("retain_ms", Integer(10, 3_600_000, "ms"), "How often retained variables are saved.", 1_000),
        Key("start", choice(Start), "Whether retained variables keep their values at the start.", Start.WARM),
        Key("inputs", Later(LOGIC_INPUTS), "Tags that the programs see.", None),
        Key("tags", Later(LOGIC_TAGS), "Tags that the programs publish.", None),
        Key("outputs", Later(LOGIC_OUTPUTS), "Writable points of devices that follow variables.", None),
        Key(
            "setpoints",
            Later(LOGIC_SETPOINTS),
            "Values from people and plans; the scan judges them.",
            None,
        ),
    ),
)

CALCULATED_TAG = Section(
    "a calculated tag",
    (
        Key(
            "expression",
            Later(Text("an expression over tags", ANY_LINE, 4_000)),
            "What it is: see docs/calculated.md.",
        ),
        Key("type", Choice(("float64", "bool")), "Kind of its value.", "float64"),
        Key("area", AREA_PATH, "The area it stands in."),
        Key("unit", UnitSymbol(), "Engineering unit of the value.", None),
        Key(
            "range",
            Pair(),
            "The range of its value, in the unit; a value outside is Uncertain.",
            None,
        ),
        Key("decimals", Integer(0, 9), "Decimals that an operator sees.", None),
        Key("states", States(), "Names of false and true, of a bool.", None),
        Key("deadband", Number(low=0), "Changes smaller than this, in the unit, need not be kept.", 0.0),
        Key("history", Boolean(), "Whether the historian keeps it.", True),
        Key(
            "sloped",
            Boolean(),
            "Whether history takes it to run straight from one sample to the next, rather than hold until it.",
            False,
        ),
        Key(
            "period_ms",
            Integer(100, 3_600_000, "ms"),
            "How often it is reckoned; when one of its tags was written, unless given.",
            None,
        ),
        Key("description", DESCRIPTION, "One line for people.", ""),
    ),
)
CALCULATED = Named("a calculated tag", OWN_TAG_NAME, OWN_TAG_GRAMMAR, CALCULATED_TAG, LONGEST_TAG_NAME)

TOTAL = Section(
    "a total",
    (
        Key("of", Text("the name of a tag", TAG_NAME, 255), "The tag that is summed up."),
        Key(
            "kind", choice(TotalKind), "Integral of a rate, a device's counter, run time or starts of a bool."
        ),
        Key("area", AREA_PATH, "The area it stands in."),
        Key("unit", UnitSymbol(), "Unit of the total: kWh of kW; h of a run time.", None),
        Key("decimals", Integer(0, 9), "Decimals that an operator sees.", None),
        Key(
            "periods",
            ListOf(choice(Period), "a list of periods: [day, month]"),
            "Totals of this period and of the one before, in the site's time zone.",
            (Period.DAY,),
        ),
        Key("sign", choice(Sign), "Which values an integral takes.", Sign.BOTH),
        Key("method", choice(Method), "What an integral takes to be between two samples.", Method.STEPPED),
        Key(
            "hold_s",
            Number(above=0, high=31 * 86_400),
            "How long a sample counts without another; until the tag is stale, unless given.",
            None,
        ),
        Key(
            "modulus",
            Number(above=0),
            "A counter that gets here begins at 0; unless given, it never does.",
            None,
        ),
        Key("max_per_h", Number(above=0), "The most that a counter can count in an hour, in `unit`.", None),
        Key("description", DESCRIPTION, "One line for people.", ""),
    ),
)
TOTALS = Named("a total", OWN_TAG_NAME, OWN_TAG_GRAMMAR, TOTAL, LONGEST_TAG_NAME)

SUMMARIES = Named(
    "a tag",
    TAG_NAME,
    TAG_GRAMMAR,
    ListOf(choice(Summary), "a list of summaries: [average, maximum]"),
    255,
)
EVENT = Section(
    "an event",
    (
        Key(
            "for",
            Text("devices, * for any letters", r"[a-z*][a-z0-9_*?\[\]-]*", 64),
            "Devices that each have the event; conditions and summaries call the device `device`.",
            None,
        ),
        Key(
            "while",
            Later(Text("a condition over tags", ANY_LINE, 4_000)),
            "It goes on as long as this is true; or 'start' and 'end'.",
            None,
        ),
        Key(
            "start",
            Later(Text("a condition over tags", ANY_LINE, 4_000)),
            "It begins when this is true.",
            None,
        ),
        Key("end", Later(Text("a condition over tags", ANY_LINE, 4_000)), "It ends when this is true.", None),
        Key("min_s", Number(low=0, high=31 * 86_400), "A shorter one is none.", 0.0),
        Key(
            "hold_off_s",
            Number(low=0, high=86_400),
            "One that goes on again so soon after its end never ended.",
            0.0,
        ),
        Key("severity", Integer(1, 1_000), "1 to 1,000, as OPC UA has it.", 100),
        Key("summaries", Later(SUMMARIES), "Tags, and what of them is kept with the frame.", None),
        Key("description", DESCRIPTION, "One line for people.", ""),
    ),
)
EVENTS = Named("an event", WORD, WORD_GRAMMAR, EVENT)

KNOWN_LEADS = Named(
    "a lead in hours",
    r"[1-9][0-9]?",
    "write whole hours, 1 to 96",
    Text("the name of a tag", TAG_NAME, 255),
)
KNOWN_INPUTS = Named("an input", WORD, WORD_GRAMMAR, KNOWN_LEADS)
FORECAST = Section(
    "a forecast",
    (
        Key("target", Text("the name of a tag", TAG_NAME, 255), "The tag that is forecast; a number."),
        Key("kind", choice(ForecastKind), "What it is; `pv` and `wind` are never below 0."),
        Key("area", AREA_PATH, "The area its tags stand in."),
        Key(
            "past",
            ListOf(Text("the name of a tag", TAG_NAME, 255), "a list of tags"),
            "More tags to learn from, as far as now.",
            (),
        ),
        Key(
            "known",
            Later(KNOWN_INPUTS),
            "What is told ahead: a name for each, and the tag that tells it so many hours ahead.",
            None,
        ),
        Key(
            "clear_sky",
            Boolean(),
            "Whether the sun of a clear sky is known ahead; of `pv` it is where the site says where it is.",
            None,
        ),
        Key(
            "holidays",
            Boolean(),
            "Whether holidays are known ahead; of `load`, `net_load`, `price` and `ev` they are where the site says "
            "whose.",
            None,
        ),
        Key("season", choice(Season), "After how long the target is about as it was.", Season.WEEK),
        Key(
            "quantiles",
            ListOf(Number(above=0, high=0.999), "a list of shares: [0.05, 0.5, 0.95]"),
            "Which quantiles, rising, with 0.5 among them.",
            DEFAULT_QUANTILES,
        ),
        Key("horizon_h", Integer(1, 96, "h"), "How far ahead in steps of 15 min.", 48),
        Key(
            "short_min",
            Integer(0, 180, "min"),
            "How far ahead in steps of 5 min; 0: not at all.",
            60,
        ),
        Key(
            "models",
            ListOf(choice(ForecastModel), "a list of models: [gradient-boosting, seasonal-naive]"),
            "Which are compared each night; the best is used.",
            tuple(map(ForecastModel, DEFAULT_MODELS)),
        ),
        Key("train_days", Integer(3, 1_100, "days"), "How much history they are trained on.", 90),
        Key(
            "train_at",
            Text("a time of day, as in 02:30", r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", 5),
            "When they are trained, in the site's time zone.",
            "02:30",
        ),
        Key(
            "deadline_min",
            Number(above=0, high=240),
            "Training that takes longer is ended; the old model stays.",
            15.0,
        ),
        Key(
            "max_model_days", Number(above=0, high=366), "With an older model, forecasts are Uncertain.", 7.0
        ),
        Key("keep_days", Integer(0, 36_500, "days"), "How long issued forecasts are kept; 0: for ever.", 400),
        Key("alert_above", Number(), "Warn where the target is likely above this within 5 min.", None),
        Key(
            "alert_probability",
            Number(above=0, high=0.99),
            "How likely it must be for that.",
            0.5,
        ),
        Key("description", DESCRIPTION, "One line for people.", ""),
    ),
)
FORECASTS = Named("a forecast", WORD, WORD_GRAMMAR, FORECAST, 40)

TARIFF_PERIOD = Section(
    "a tariff's period",
    (
        Key("from_h", Number(low=0, high=24), "From this hour of the day on, in the site's time zone."),
        Key("to_h", Number(low=0, high=24), "Until this one; where it is not later, of the next day."),
        Key("price_per_kwh", Number(), "What a kWh costs then."),
        Key(
            "days",
            ListOf(choice(Weekday), "a list of days: [mon, tue]"),
            "Days on which it begins.",
            tuple(Weekday),
        ),
    ),
)
TARIFF_PERIODS = Named("a tariff's period", WORD, WORD_GRAMMAR, TARIFF_PERIOD)
TARIFF = Section(
    "a tariff",
    (
        Key("price_per_kwh", Number(), "What a kWh costs outside of all periods."),
        Key("periods", Later(TARIFF_PERIODS), "Other prices by hour and day; the first that holds.", None),
    ),
)
TARIFFS = Named("a tariff", WORD, WORD_GRAMMAR, TARIFF)
_STORES = frozenset({"battery", "vehicle"})
_SOURCE = Text("the name of a tag", TAG_NAME, 255)
DISPATCH_ASSET = Section(
    "an asset of dispatch",
    (
        Key("kind", choice(AssetKind), "What it is."),
        Key(
            "for",
            Text("devices, * for any letters", r"[a-z*][a-z0-9_*?\[\]-]*", 64),
            "Devices that are each such an asset, named after it; tags call the device `device`.",
            None,
        ),
        Key("group", Text("the name of a group", WORD, 64), "The group that it is in.", None),
        Key(
            "power",
            _SOURCE,
            "Its measured power in kW: sources feed with +, loads and deferrables draw with +.",
        ),
        Key("state_of_charge", _SOURCE, "Its state of charge, %.", when=When("kind", _STORES)),
        Key("connected", _SOURCE, "Whether a vehicle is there.", when=When("kind", frozenset({"vehicle"}))),
        Key("capacity_kwh", Number(above=0), "What it holds.", when=When("kind", _STORES)),
        Key("charge_max_kw", Number(low=0), "Most that it takes.", when=When("kind", _STORES)),
        Key("discharge_max_kw", Number(low=0), "Most that it gives.", when=When("kind", _STORES)),
        Key(
            "charge_efficiency_pct",
            Number(above=0, high=100),
            "What arrives in it.",
            95.0,
            when=When("kind", _STORES),
        ),
        Key(
            "discharge_efficiency_pct",
            Number(above=0, high=100),
            "What arrives from it.",
            95.0,
            when=When("kind", _STORES),
        ),
        Key(
            "soc_min_pct",
            Number(low=0, high=100),
            "It gives nothing below.",
            10.0,
            when=When("kind", _STORES),
        ),
        Key(
            "soc_max_pct",
            Number(low=0, high=100),
            "It is charged no further.",
            100.0,
            when=When("kind", frozenset({"battery"})),
        ),
        Key(
            "wear_cost_per_kwh",
            Number(low=0),
            "What a kWh given costs in wear.",
            0.0,
            when=When("kind", _STORES),
        ),
        Key(
            "end_value_per_kwh",
            Number(low=0),
            "What a kWh in it is worth when the horizon ends.",
            0.0,
            when=When("kind", frozenset({"battery"})),
        ),
        Key(
            "target_pct",
            Number(low=0, high=100),
            "State of charge wanted at departure.",
            80.0,
            when=When("kind", frozenset({"vehicle"})),
        ),
        Key(
            "stay_h",
            Number(above=0, high=168),
            "How long it stays from plugging in.",
            8.0,
            when=When("kind", frozenset({"vehicle"})),
        ),
        Key(
            "stay",
            _SOURCE,
            "A tag that says so, in h; `stay_h` while it is Bad.",
            None,
            when=When("kind", frozenset({"vehicle"})),
        ),
        Key(
            "priority",
            Integer(1, 3),
            "Of its need where not all can be met; 3 is the highest.",
            1,
            when=When("kind", frozenset({"vehicle", "deferrable"})),
        ),
        Key(
            "firm",
            Boolean(),
            "Its need must be met: else there is no plan.",
            False,
            when=When("kind", frozenset({"vehicle", "deferrable"})),
        ),
        Key(
            "power_min_kw",
            Number(low=0),
            "Least that it gives while it runs.",
            when=When("kind", frozenset({"genset"})),
        ),
        Key(
            "power_max_kw",
            Number(above=0),
            "Most that it gives, or takes.",
            when=When("kind", frozenset({"genset", "deferrable"})),
        ),
        Key("fuel_cost_per_kwh", Number(low=0), "Its fuel.", when=When("kind", frozenset({"genset"}))),
        Key(
            "no_load_cost_per_h",
            Number(low=0),
            "Its fuel while it gives nothing.",
            0.0,
            when=When("kind", frozenset({"genset"})),
        ),
        Key("start_cost", Number(low=0), "Of a start.", 0.0, when=When("kind", frozenset({"genset"}))),
        Key(
            "min_up_min",
            Number(low=0, high=1_440),
            "Shortest run, minutes.",
            0.0,
            when=When("kind", frozenset({"genset"})),
        ),
        Key(
            "min_down_min",
            Number(low=0, high=1_440),
            "Shortest pause, minutes.",
            0.0,
            when=When("kind", frozenset({"genset"})),
        ),
        Key("import_max_kw", Number(low=0), "Most import.", when=When("kind", frozenset({"tie"}))),
        Key("export_max_kw", Number(low=0), "Most export.", when=When("kind", frozenset({"tie"}))),
        Key(
            "import_tariff",
            Text("the name of a tariff", WORD, 64),
            "What import costs; this, or `import_price`.",
            None,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "export_tariff",
            Text("the name of a tariff", WORD, 64),
            "What export earns; nothing unless given.",
            None,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "import_price",
            _SOURCE,
            "A tag that tells what a kWh of import costs now, in `currency`/kWh; foreseen by history.",
            None,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "export_price",
            _SOURCE,
            "The same of what export earns.",
            None,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "import_limit",
            _SOURCE,
            "A tag that lowers `import_max_kw`: the peak limit in force.",
            None,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "import_margin_kw",
            Number(low=0),
            "How far below its limit import is planned: room for what comes otherwise than foreseen.",
            0.0,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "closed",
            _SOURCE,
            "Its breaker; while it is open the site is planned as an island for an hour.",
            None,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "demand_charge_per_kw",
            Number(low=0),
            "Of the highest mean import of a step.",
            0.0,
            when=When("kind", frozenset({"tie"})),
        ),
        Key(
            "critical",
            Boolean(),
            "The reserve must carry it.",
            True,
            when=When("kind", frozenset({"load"})),
        ),
        Key(
            "shed_cost_per_kwh",
            Number(low=0),
            "What a kWh not served costs; unless given, it is never shed.",
            None,
            when=When("kind", frozenset({"load"})),
        ),
        Key(
            "curtailable",
            Boolean(),
            "It can be told to feed less.",
            True,
            when=When("kind", frozenset({"renewable"})),
        ),
        Key(
            "forecast",
            Text("the name of a forecast", WORD, 64),
            "Which of `forecasts` tells its power ahead; by history unless given.",
            None,
            when=When("kind", frozenset({"load", "renewable"})),
        ),
        Key(
            "from_h",
            Number(low=0, high=24),
            "From this hour of the day on.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "to_h",
            Number(low=0, high=24),
            "It is done by this one; where it is not later, of the next day.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "energy_kwh",
            Number(above=0),
            "Of each day. These three, or the three tags that follow.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "energy",
            _SOURCE,
            "A tag that tells the energy of its window, kWh.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "opens_in",
            _SOURCE,
            "A tag that tells how long until its window opens, s; 0 or less once it has.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "closes_in",
            _SOURCE,
            "A tag that tells how long until it has to be done, s; 0 or less while it is not wanted.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "margin_s",
            Number(low=0, high=86_400),
            "How long before its end it is planned to be done.",
            0.0,
            when=When("kind", frozenset({"deferrable"})),
        ),
        Key(
            "done",
            _SOURCE,
            "A tag that tells how much of it has been since its window opened, kWh.",
            None,
            when=When("kind", frozenset({"deferrable"})),
        ),
    ),
)
DISPATCH_ASSETS = Named("an asset", WORD, WORD_GRAMMAR, DISPATCH_ASSET)
DISPATCH_GROUP = Section(
    "a group of dispatch",
    (
        Key("draw_max_kw", Number(low=0), "Most that its assets draw together."),
        Key("feed_max_kw", Number(low=0), "Most that they feed together."),
        Key("parent", Text("the name of a group", WORD, 64), "The group that it is in.", None),
    ),
)
DISPATCH_GROUPS = Named("a group", WORD, WORD_GRAMMAR, DISPATCH_GROUP)
DISPATCH_RESERVE = Section(
    "a reserve of dispatch",
    (
        Key(
            "ride_through_h",
            Number(low=0, high=48),
            "Hours that critical loads are carried without the grid.",
        ),
        Key("margin_kw", Number(low=0), "Power above them.", 0.0),
        Key("renewable_share", Number(low=0, high=1), "Share of sun and wind that is counted on.", 0.0),
        Key("firm", Boolean(), "It must be held: else there is no plan.", False),
    ),
)
DISPATCH = Section(
    "dispatch",
    (
        Key("area", AREA_PATH, "The area its tags stand in."),
        Key("assets", Later(DISPATCH_ASSETS), "What is planned, by name."),
        Key("tariffs", Later(TARIFFS), "Prices, by name.", None),
        Key("groups", Later(DISPATCH_GROUPS), "Feeders and connectors with a limit, by name.", None),
        Key("reserve", DISPATCH_RESERVE, "What is held back for an island.", None),
        Key("step_min", Integer(1, 60, "min"), "Length of a step; a divisor of an hour.", 15),
        Key("step_s", Integer(1, 1_800, "s"), "The same in seconds, in place of `step_min`.", None),
        Key("horizon_h", Integer(1, 336, "h"), "How far it looks ahead.", 48),
        Key("horizon_s", Integer(10, 1_209_600, "s"), "The same in seconds, in place of `horizon_h`.", None),
        Key(
            "day_s",
            Integer(60, CIVIL_DAY_S, "s"),
            "Length of a day: costs are summed by it, and history looks back by it. Other than of 24 h, days are"
            " counted from 1970 on, UTC.",
            CIVIL_DAY_S,
        ),
        Key("ends_with_day", Boolean(), "Plans look no further than to the end of the day.", False),
        Key(
            "past_days",
            Integer(1, 60, "days"),
            "What history foresees is the mean of so many days before; unless given, of a day and a week before.",
            None,
        ),
        Key("period_s", Integer(5, 86_400, "s"), "How often it plans anew, by the clock.", 900),
        Key(
            "wait_s",
            Number(low=0, high=60),
            "How long after that it plans: until tags tell of the step that has begun.",
            0.0,
        ),
        Key("deadline_s", Number(above=0, high=600), "How long the solver may take.", 10.0),
        Key("gap_pct", Number(low=0, high=50), "How far from the best a plan may be.", 0.5),
        Key(
            "keep_h",
            Number(above=0, high=48),
            "How long the last plan is followed while there is no newer one.",
            24.0,
        ),
        Key("currency", Text("a currency such as EUR", r"[A-Z]{3}", 3), "Of all prices and costs.", "EUR"),
        Key(
            "shortfall_cost_per_kwh",
            Number(above=0),
            "What a kWh weighs that a need of priority 1 misses; above the dearest kWh.",
            100.0,
        ),
    ),
)

_KEY_FILE = Text("the path of a file", r"[^\u0000-\u001f\u007f]+", 255)
_PRICE = Number(low=0, high=1_000)  # of money a kWh, as historian.ledger's MOST_RATE
_SHARE = Number(low=0, high=10)
_KW = Number(low=0, high=1_000_000)
_WHOLE_DAY_MIN = 1_440
MARKET_HOURS = Named(
    "hours of the day",
    WORD,
    WORD_GRAMMAR,
    Section(
        "hours of the day",
        (
            Key("from_h", Number(low=0, high=24), "From this hour of the day on, in the site's time zone."),
            Key("to_h", Number(low=0, high=24), "Until this one; where it is not later, of the next day."),
            Key("multiplier", _SHARE, "Of the price in these hours."),
            Key(
                "days",
                ListOf(choice(Weekday), "a list of days: [mon, tue]"),
                "Days on which they begin.",
                tuple(Weekday),
            ),
        ),
    ),
)
MARKET_PRICE = Section(
    "the market's price",
    (
        Key("base_rate_per_kwh", _PRICE, "What the factors are of."),
        Key(
            "base_rate_feed",
            Text("the name of a feed", WORD, 64),
            "A feed whose import price is the base rate instead, as long as it has one.",
            None,
        ),
        Key("load", _SOURCE, "The power that the community draws, in kW: by it the demand factor rises."),
        Key("rated_kw", Number(above=0, high=1_000_000), "The power that its connection is rated for."),
        Key("frequency", _SOURCE, "The frequency, in Hz; 200 mHz off is full stress.", None),
        Key("nominal_hz", Number(above=0, high=1_000), "What it should be.", 50.0),
        Key("voltage", _SOURCE, "A voltage, in V; 10 % off is full stress.", None),
        Key("nominal_v", Number(above=0, high=1_000_000), "What it should be.", 400.0),
        Key("line_loading", _SOURCE, "How loaded the worst line is, in %; 100 is full stress.", None),
        Key("demand", Pair(), "The demand factor at no load and at full load, 0 to 10.", (0.5, 1.5)),
        Key("stress", Pair(), "The stress factor at none and at full stress, 0 to 10.", (0.0, 1.0)),
        Key("hours", Later(MARKET_HOURS), "Multipliers by hour and day; the first that holds, else 1.", None),
    ),
)
MARKET_FEEDERS = Named(
    "a feeder",
    WORD,
    WORD_GRAMMAR,
    Section(
        "a feeder of the market",
        (
            Key("export_max_kw", _KW, "Most that what is on it gives together."),
            Key("import_max_kw", _KW, "Most that it takes together."),
        ),
    ),
)
MARKET_RENEWABLE = Section(
    "a renewable source",
    (
        Key("technology", Text("some words", r".+", 40), "What it is, as in solar or wind."),
        Key(
            "meter",
            Text("the name of a meter", WORD, 64),
            "The meter of its owner whose export register counts what it gives, and nothing else.",
        ),
        Key("valid_days", Integer(1, 3_660), "For how long its certificates are valid.", 730),
    ),
)
_OF_STORE = When("kind", frozenset({TradedKind.STORAGE, TradedKind.VEHICLE}))
_OF_VEHICLE = When("kind", frozenset({TradedKind.VEHICLE}))
_OF_SOURCE = When("kind", frozenset({TradedKind.SOURCE}))
MARKET_DEVICES = Named(
    "a device of the market",
    WORD,
    WORD_GRAMMAR,
    Section(
        "a device of the market",
        (
            Key("kind", choice(TradedKind), "What it does with energy."),
            Key("feeder", Text("the name of a feeder", WORD, 64), "The feeder that it is on."),
            Key("export_max_kw", _KW, "Most that it gives.", 0.0),
            Key("import_max_kw", _KW, "Most that it takes.", 0.0),
            Key("storage_kwh", Number(above=0, high=1_000_000), "What it holds.", when=_OF_STORE),
            Key(
                "level",
                _SOURCE,
                "What is in it, in kWh or in % of `storage_kwh`; without it a storage sells nothing.",
                None,
                when=_OF_STORE,
            ),
            Key("connected", _SOURCE, "Whether the vehicle is there: it trades only then.", when=_OF_VEHICLE),
            Key(
                "stay_h",
                Number(above=0, high=336),
                "How long it is taken to stay, from when it came.",
                8.0,
                when=_OF_VEHICLE,
            ),
            Key(
                "keep_kwh", _KW, "What it keeps: it sells no more than is above that.", 0.0, when=_OF_VEHICLE
            ),
            Key(
                "forecast",
                Text("the name of a forecast", WORD, 64),
                "The forecast of what it gives, in kW: it sells no more.",
                None,
                when=_OF_SOURCE,
            ),
            Key("forecast_share", _SHARE, "Its share of that forecast.", 1.0, when=_OF_SOURCE),
            Key("model", DESCRIPTION, "What it is, for people.", "unknown"),
            Key(
                "renewable",
                MARKET_RENEWABLE,
                "It gets a production batch a day, and a certificate for each MWh.",
                None,
                when=_OF_SOURCE,
            ),
        ),
    ),
)
MARKET_METERS = Named(
    "a meter of the market",
    WORD,
    WORD_GRAMMAR,
    Section(
        "a meter of the market",
        (
            Key("import", _SOURCE, "The register of what its owner took; in Wh, kWh or MWh, with history."),
            Key("export", _SOURCE, "The register of what its owner gave."),
            Key("feeder", Text("the name of a feeder", WORD, 64), "The feeder that it is on."),
            Key("export_max_kw", _KW, "Most that goes through it out."),
            Key("import_max_kw", _KW, "Most that goes through it in."),
            Key(
                "main",
                Boolean(),
                "It is its owner's connection, by which is settled; false: a sub-meter.",
                True,
            ),
        ),
    ),
)
MARKET_PARTICIPANTS = Named(
    "a participant",
    WORD,
    WORD_GRAMMAR,
    Section(
        "a participant of the market",
        (
            Key("kind", choice(MemberKind), "What it is."),
            Key("location", DESCRIPTION, "Where it is, for people.", "unknown"),
            Key(
                "public_key",
                Text("64 hexadecimal digits, as `tieline ledger key` prints them", r"[0-9a-f]{64}", 64),
                "Its public key; it signs for itself, `tieline market join` first.",
                None,
            ),
            Key(
                "key",
                _KEY_FILE,
                "Instead: the file with its key, relative to the state folder; made where it is missing. The site "
                "joins in its name.",
                None,
            ),
            Key(
                "credit",
                Number(low=0, high=1_000_000_000),
                "What is paid into its deposit by the operator.",
                0.0,
            ),
            Key(
                "tariff",
                Text("the name of a tariff", WORD, 64),
                "By which it is billed; without, it is not.",
                None,
            ),
            Key("devices", Later(MARKET_DEVICES), "What it trades the energy of, by name.", None),
            Key("meters", Later(MARKET_METERS), "What proves it, by name.", None),
        ),
    ),
    40,
)
MARKET_WINDOWS = Named(
    "a tariff's window",
    WORD,
    WORD_GRAMMAR,
    Section(
        "a window of the market's tariff",
        (
            Key("from_h", Number(low=0, high=24), "From this hour of the day on, to the minute."),
            Key("to_h", Number(low=0, high=24), "Until this one, later than `from_h`."),
            Key("multiplier", _SHARE, "Of the base rate then."),
            Key(
                "days",
                ListOf(choice(Weekday), "a list of days: [mon, tue]"),
                "On these weekdays.",
                tuple(Weekday),
            ),
            Key(
                "months",
                ListOf(Integer(1, 12), "a list of months: [11, 12, 1, 2]"),
                "In these months.",
                tuple(range(1, 13)),
            ),
        ),
    ),
)
MARKET_TARIFFS = Named(
    "a tariff",
    WORD,
    WORD_GRAMMAR,
    Section(
        "a tariff of the market",
        (
            Key("base_rate_per_kwh", _PRICE, "A kWh taken."),
            Key("export_credit_per_kwh", _PRICE, "A kWh given.", 0.0),
            Key("demand_charge_per_kw", _PRICE, "A kW of the greatest interval of a bill.", 0.0),
            Key("standing_charge", _PRICE, "A bill.", 0.0),
            Key("incentive_per_kwh", _PRICE, "A kWh that is rewarded.", 0.0),
            Key(
                "windows",
                Later(MARKET_WINDOWS),
                "Multipliers of the base rate by season, day and hour; the first that holds, else 1.",
                None,
            ),
        ),
    ),
)
MARKET_ANCHOR = Section(
    "the anchoring of a ledger",
    (
        Key(
            "url",
            Text(
                "http:// or https://, a host, and a port where it is not the usual one",
                r"https?://[A-Za-z0-9_.\[\]:-]+(?:/[A-Za-z0-9_./-]*)?",
                500,
            ),
            "A node of the chain, its JSON-RPC, as in http://127.0.0.1:8545.",
        ),
        Key(
            "contract",
            Text("0x and 40 hexadecimal digits", r"0x[0-9a-fA-F]{40}", 42),
            "Its address, as `tieline ledger anchor-create` prints it.",
        ),
        Key(
            "key",
            _KEY_FILE,
            "The file with its operator's key, relative to the state folder; `tieline ledger anchor-key` makes it.",
            "chain.key",
        ),
        Key("confirmations", Integer(0, 64), "Blocks on top of a root that make it sure.", 12),
        Key("most_fee_gwei", Number(above=0, high=1_000_000), "What a unit of gas may cost.", 500.0),
    ),
)
MARKET_REWARD = Section(
    "a reward",
    (
        Key("points", Integer(1, 1_000_000), "For each kWh, kW or event, as the kind counts."),
        Key("most_each", Integer(1, 1_000_000_000), "Most points of an award.", 1_000),
        Key("most_in_period", Integer(1, 1_000_000_000), "Most points of a participant in a period.", 10_000),
        Key("period_days", Integer(1, 3_660), "How long a period is.", 30),
        Key("valid_days", Integer(1, 3_660), "When points expire.", 365),
        Key(
            "most_adjustment",
            Number(low=0, high=1),
            "By what share the day itself may raise a baseline; one that is raised further earns nothing.",
            0.2,
        ),
    ),
)
MARKET_REWARDS = Section(
    "the rewards of a market",
    (
        Key("saving", MARKET_REWARD, "Of kWh taken less than the baseline in an event.", None),
        Key("peak", MARKET_REWARD, "Of kW that the greatest interval is below the baseline's.", None),
        Key("stability", MARKET_REWARD, "Of kWh given beyond the baseline.", None),
        Key("renewable", MARKET_REWARD, "Of kWh in production batches.", None),
        Key("participation", MARKET_REWARD, "Of events in which less was taken than the baseline.", None),
    ),
)
MARKET_DUNNING = Section(
    "the dunning of a market",
    (
        Key("due_days", Integer(0, 366, "days"), "A bill is due so long after it was issued.", 14),
        Key("warn_after_days", Integer(0, 366, "days"), "A warning follows the reminder after so long.", 14),
        Key(
            "collect_after_days",
            Integer(0, 366, "days"),
            "Collection follows the warning after so long.",
            14,
        ),
        Key("reminder_fee", Number(0, 1_000), "What a reminder costs.", 0.0),
        Key("warning_fee", Number(0, 1_000), "What a warning costs.", 0.0),
        Key("least_amount", Number(0, 1_000), "Nothing is done about a bill of which less is open.", 1.0),
    ),
)
_HOST = Text("a host name or an address", r"[A-Za-z0-9._:-]+", 253)
MARKET_LISTEN = Section(
    "the door for other sites",
    (
        Key("host", _HOST, "The address at which other sites find this one.", "0.0.0.0"),  # noqa: S104 - for them
        Key("port", Integer(0, 65_535), "Its TCP port; 0 takes one that is free.", 4857),
        Key(
            "certificate",
            _KEY_FILE,
            "This site's certificate in PEM, relative to the state folder; the other sites have a copy.",
            "peer.crt",
        ),
        Key("key", _KEY_FILE, "The key of this certificate, without a password.", "peer.key"),
    ),
)
MARKET_PEERS = Named(
    "another site",
    WORD,
    WORD_GRAMMAR,
    Section(
        "another site",
        (
            Key("host", _HOST, "Where it listens."),
            Key("port", Integer(1, 65_535), "Its TCP port.", 4857),
            Key(
                "certificate",
                _KEY_FILE,
                "A copy of its certificate in PEM, relative to the state folder: no other is accepted.",
            ),
            Key(
                "trader",
                Text("the name of a participant", WORD, 64),
                "Who of this site gets what the other site offers; without, it can only be offered to.",
                None,
            ),
            Key(
                "imbalance_price_per_kwh",
                _PRICE,
                "What a kWh over the tie beyond what was traded costs or brings; the same at both sites.",
            ),
            Key(
                "tolerance_kwh",
                Number(low=0, high=1_000),
                "By how much the two readings of an interval may differ.",
                0.01,
            ),
        ),
    ),
    40,
)
_FETCHED = frozenset({FeedKind.FILE, FeedKind.HTTP})
MARKET_FEEDS = Named(
    "a feed",
    WORD,
    WORD_GRAMMAR,
    Section(
        "a feed of prices",
        (
            Key("kind", choice(FeedKind), "Where it comes from."),
            Key(
                "tariff",
                Text("the name of a tariff", WORD, 64),
                "A tariff of this section.",
                when=When("kind", frozenset({FeedKind.TARIFF})),
            ),
            Key(
                "file",
                _KEY_FILE,
                "A file in CSV or JSON, relative to the state folder.",
                when=When("kind", frozenset({FeedKind.FILE})),
            ),
            Key(
                "url",
                Text("an address: https://host/path", r"https?://[!-~]+", 500),
                "Where it is fetched; what it redirects to is not followed.",
                when=When("kind", frozenset({FeedKind.HTTP})),
            ),
            Key(
                "unit", Choice(("kWh", "MWh")), "What its prices are of.", "MWh", when=When("kind", _FETCHED)
            ),
            Key(
                "every_s",
                Integer(10, 86_400, "s"),
                "How often it is looked at.",
                900,
                when=When("kind", _FETCHED),
            ),
            Key(
                "max_age_h",
                Number(above=0, high=336),
                "What was fetched longer ago is stale, and not used.",
                26.0,
                when=When("kind", _FETCHED),
            ),
            Key("import_fee_per_kwh", _PRICE, "On top of what is taken.", 0.0, when=When("kind", _FETCHED)),
            Key("export_fee_per_kwh", _PRICE, "Off what is given.", 0.0, when=When("kind", _FETCHED)),
            Key(
                "capacity_per_kw",
                _PRICE,
                "A kW of the greatest interval of a bill.",
                0.0,
                when=When("kind", _FETCHED),
            ),
        ),
    ),
    40,
)
_OF_PROSUMER, _OF_ARBITRAGE, _OF_PLAN = (When("kind", frozenset({kind})) for kind in AgentKind)
_BY_FORESIGHT = When("kind", frozenset({AgentKind.PROSUMER, AgentKind.PLAN}))
_OF_STORAGE = When("kind", frozenset({AgentKind.ARBITRAGE, AgentKind.PLAN}))
_DEVICE = Text("the name of a device", WORD, 64)
_FORECAST = Text("the name of a forecast", WORD, 64)
MARKET_AGENT_LIMITS = Section(
    "the limits of an agent",
    (
        Key("order_kwh", Number(above=0, high=1_000_000), "Most energy of an order."),
        Key("kwh_a_day", _KW, "Most that it buys and sells together of a day's intervals."),
        Key(
            "spend_a_day",
            Number(low=0, high=1_000_000_000),
            "Most that its purchases of a day cost, without fees.",
        ),
        Key("price_low", _PRICE, "It sells no kWh for less."),
        Key("price_high", _PRICE, "It buys no kWh for more."),
    ),
)
MARKET_AGENTS = Named(
    "an agent",
    WORD,
    WORD_GRAMMAR,
    Section(
        "an agent of the market",
        (
            Key(
                "kind",
                choice(AgentKind),
                "By what it bids: forecasts of a prosumer, a storage's arbitrage, or the plan of `dispatch`.",
            ),
            Key(
                "member", Text("the name of a participant", WORD, 64), "Whom it trades for; its `key` signs."
            ),
            Key("limits", MARKET_AGENT_LIMITS, "What it may do."),
            Key("venue", Choice(("auction", "continuous")), "Where it bids.", "auction"),
            Key(
                "lead_min",
                Number(above=0, high=_WHOLE_DAY_MIN),
                "It bids for an interval so long before its gate, once.",
                5.0,
            ),
            Key("enable", _SOURCE, "A bool: it bids only while that is Good and true.", None),
            Key(
                "quotes",
                Text("the name of a feed", WORD, 64),
                "A prosumer and a plan are bid between its export and import price (and need it); arbitrage expects "
                "the middle of the two, and without it the last day's cleared prices.",
                None,
            ),
            Key(
                "asset",
                Text("the name of an asset", WORD, 64),
                "The asset of `dispatch` whose plan it bids: the tie, or a battery.",
                when=_OF_PLAN,
            ),
            Key(
                "followed",
                _SOURCE,
                "A bool: whether the plan is gone by. It bids only while that is Good and true.",
                when=_OF_PLAN,
            ),
            Key("source", _DEVICE, "What it sells from.", None, when=_BY_FORESIGHT),
            Key("consumer", _DEVICE, "What it buys for.", None, when=_BY_FORESIGHT),
            Key("production", _FORECAST, "The forecast of what is given, in kW.", None, when=_OF_PROSUMER),
            Key("consumption", _FORECAST, "The forecast of what is taken, in kW.", None, when=_OF_PROSUMER),
            Key("production_share", _SHARE, "Its share of that forecast.", 1.0, when=_OF_PROSUMER),
            Key("consumption_share", _SHARE, "Its share of that forecast.", 1.0, when=_OF_PROSUMER),
            Key(
                "quantile",
                Number(above=0, high=0.5),
                "How cautious it is: it sells this quantile of production less the opposite one of consumption, and "
                "buys the other way round.",
                0.5,
                when=_OF_PROSUMER,
            ),
            Key(
                "max_age_min",
                Number(above=0, high=10_080),
                "By a forecast or a plan that was made longer ago it does not bid.",
                120.0,
                when=_BY_FORESIGHT,
            ),
            Key(
                "edge",
                Number(low=0, high=0.5),
                "The part of what lies between export and import price that it wants for itself.",
                0.05,
                when=_BY_FORESIGHT,
            ),
            Key(
                "storage",
                _DEVICE,
                "What it buys into and sells out of: for arbitrage, with a `level`, and for the plan of a battery.",
                None,
                when=_OF_STORAGE,
            ),
            Key(
                "efficiency",
                Number(above=0, high=1),
                "What comes out of a kWh that was taken.",
                0.9,
                when=_OF_ARBITRAGE,
            ),
            Key("wear_per_kwh", _PRICE, "What a kWh given costs in wear.", 0.02, when=_OF_ARBITRAGE),
            Key(
                "profit_per_kwh",
                _PRICE,
                "A spread pays where so much is left of it, after losses and wear.",
                0.01,
                when=_OF_ARBITRAGE,
            ),
            Key("level_pct", Pair(), "It keeps the storage between these.", (10.0, 90.0), when=_OF_ARBITRAGE),
            Key(
                "look_ahead_h",
                Number(above=0, high=48),
                "How far ahead it looks for a spread.",
                24.0,
                when=_OF_ARBITRAGE,
            ),
        ),
    ),
    40,
)
MARKET = Section(
    "the market",
    (
        Key("area", AREA_PATH, "The area its tags stand in."),
        Key(
            "ledger",
            _KEY_FILE,
            "The ledger's file, relative to the state folder; begun at the first start.",
            "market.ledger",
        ),
        Key("operator", Text("a name", WORD, 40), "Who runs the ledger, as it calls its author.", "market"),
        Key(
            "key",
            _KEY_FILE,
            "The file with the operator's key, relative to the state folder; made with a new ledger.",
            "market.pem",
        ),
        Key(
            "currency",
            Text("a currency such as EUR", r"[A-Z]{3}", 3),
            "Of all prices; for a ledger's life.",
            "EUR",
        ),
        Key(
            "interval_min",
            Integer(1, _WHOLE_DAY_MIN, "min"),
            "What is traded; divides a day; for a ledger's life.",
            15,
        ),
        Key(
            "gate_lead_min",
            Integer(0, _WHOLE_DAY_MIN, "min"),
            "So long before an interval its trading ends.",
            5,
        ),
        Key("horizon_h", Integer(1, 336, "h"), "How far ahead is traded.", 48),
        Key("price_low_per_kwh", _PRICE, "Least price of an order.", 0.0),
        Key("price_high_per_kwh", _PRICE, "Greatest price of an order."),
        Key("order_max_kwh", Number(above=0, high=1_000_000), "Most energy of an order."),
        Key(
            "proven_share",
            _SHARE,
            "Orders of an interval are at most this share of what its author's meters have shown; 0: not asked.",
            0.0,
        ),
        Key("proven_after", Integer(0, 1_000_000), "That once so many intervals were measured.", 96),
        Key("cover_per_kwh", _PRICE, "What is held of a seller's deposit until settlement.", 0.0),
        Key("community_fee_per_kwh", _PRICE, "A kWh traded.", 0.0),
        Key("grid_fee_per_kwh", _PRICE, "A kWh taken through the meters.", 0.0),
        Key("loss_share", Number(low=0, high=1), "Of what is bought, lost on the way.", 0.0),
        Key(
            "short_share",
            Number(low=1, high=10),
            "Of the price, for what was not given or taken unplanned.",
            1.5,
        ),
        Key("long_share", Number(low=0, high=1), "Of the price, for what was given unplanned.", 0.5),
        Key("pay_as_bid", Boolean(), "In the auction each has its own limit as its price.", False),
        Key(
            "settle_delay_min",
            Integer(0, _WHOLE_DAY_MIN, "min"),
            "An interval is settled so long after its end at the latest, by estimates where readings are missing.",
            15,
        ),
        Key(
            "correct_h",
            Integer(0, 336, "h"),
            "So long after, a measured reading takes an estimate's place, and the interval is settled anew.",
            48,
        ),
        Key(
            "bill",
            choice(BillEvery),
            "How often who has a tariff is billed, in the site's time zone.",
            BillEvery.NEVER,
        ),
        Key("dunning", MARKET_DUNNING, "What is done about bills that are not paid; absent, nothing.", None),
        Key(
            "rewards",
            MARKET_REWARDS,
            "What earns points, by kind: in events of `demand_response`, for participants of the same name in both.",
            None,
        ),
        Key("price", MARKET_PRICE, "How the price is made of tags."),
        Key("feeders", Later(MARKET_FEEDERS), "What carries the energy, by name."),
        Key("tariffs", Later(MARKET_TARIFFS), "What is billed beside the market, by name.", None),
        Key("feeds", Later(MARKET_FEEDS), "Prices from outside the community, by name.", None),
        Key("participants", Later(MARKET_PARTICIPANTS), "Who may trade, by name."),
        Key("agents", Later(MARKET_AGENTS), "Who trades by itself for a participant, by name.", None),
        Key("anchor", MARKET_ANCHOR, "An EVM chain that keeps the roots of the ledger's periods.", None),
        Key("listen", MARKET_LISTEN, "Where other sites reach this one.", None),
        Key(
            "peers",
            Later(MARKET_PEERS),
            "Other sites to trade with, by their names among the participants.",
            None,
        ),
    ),
)

AREAS = Named(
    "an area", rf"{WORD}(?:/{WORD}){{0,7}}", f"{WORD_GRAMMAR}, and '/' between levels", DESCRIPTION, 128
)
TEMPLATES = Named("a template", WORD, WORD_GRAMMAR, TEMPLATE)
DEVICES = Named("a device", WORD, WORD_GRAMMAR, DEVICE)
USERS = Named("a user", r"[a-z][a-z0-9_.-]*", "write lower-case letters, digits, '_', '.' and '-'", USER)

_PATTERNS = ListOf(
    Text("the name of a tag, * for any letters", r"[a-z_*?\[][a-z0-9_.*?\[\]-]*", 255),
    "a list of tags: [pcc.power_kw]",
)
_OF_BALANCE = When("detector", frozenset({DetectorKind.BALANCE}))
_OF_METER = When("detector", frozenset({DetectorKind.METER}))
_WITH_LIMIT = frozenset(DetectorKind) - {DetectorKind.RANGE, DetectorKind.PCA, DetectorKind.FOREST}
ANOMALY = Section(
    "a detector",
    (
        Key("detector", choice(DetectorKind), "What it looks for (docs/anomaly.md)."),
        Key("area", AREA_PATH, "The area its tags stand in."),
        Key(
            "tags",
            _PATTERNS,
            "What it looks at: names, or patterns of them.",
            when=When("detector", OF_TAGS | {DetectorKind.PCA, DetectorKind.FOREST}),
        ),
        Key("sources", _PATTERNS, "Powers that feed the node.", when=_OF_BALANCE),
        Key("loads", _PATTERNS, "Powers that draw from it.", when=_OF_BALANCE),
        Key("feeder", _PATTERNS, "Powers at the feeder's head.", when=_OF_METER),
        Key("meters", _PATTERNS, "Powers of the meters behind it.", when=_OF_METER),
        Key(
            "limit",
            Number(above=0),
            "What scores 0.5: standard deviations, unit/s, s, a power, or a share; learned unless given.",
            None,
            when=When("detector", _WITH_LIMIT),
        ),
        Key(
            "range",
            Pair(),
            "The least and the greatest value; learned unless given.",
            None,
            when=When("detector", frozenset({DetectorKind.RANGE})),
        ),
        Key(
            "window",
            Integer(20, 100_000),
            "How many values its mean is of.",
            600,
            when=When("detector", frozenset({DetectorKind.GAUSSIAN})),
        ),
        Key(
            "tolerance",
            Number(low=0),
            "What is no movement.",
            0.0,
            when=When("detector", frozenset({DetectorKind.FLAT_LINE})),
        ),
        Key(
            "window_s",
            Number(above=0, high=86_400),
            "Over how long powers are smoothed; 60 s of balances, 900 s of meters unless given.",
            None,
            when=When("detector", frozenset({DetectorKind.BALANCE, DetectorKind.METER})),
        ),
        Key(
            "variance",
            Number(above=0, high=0.9999),
            "Share of the variance that its components make.",
            0.95,
            when=When("detector", frozenset({DetectorKind.PCA})),
        ),
        Key(
            "alpha",
            Number(above=0, high=0.4),
            "Share of sound rows beyond its limit.",
            0.001,
            when=When("detector", frozenset({DetectorKind.PCA, DetectorKind.FOREST})),
        ),
        Key(
            "trees",
            Integer(1, 1_000),
            "Trees of the forest.",
            100,
            when=When("detector", frozenset({DetectorKind.FOREST})),
        ),
        Key(
            "margin",
            Number(low=1, high=100),
            "What is learned, times this, is the limit; by detector unless given.",
            None,
            when=When(
                "detector",
                frozenset(DetectorKind) - {DetectorKind.GAUSSIAN, DetectorKind.RANGE, DetectorKind.PCA},
            ),
        ),
        Key("period_s", Number(low=0.1, high=3_600), "How often it looks.", 1.0),
        Key("learn_min", Number(above=0, high=10_080), "Minutes of history it learns from.", 60.0),
        Key("threshold", Number(above=0, high=0.999), "The score that alarms, above 0.", 0.5),
        Key("hold_off_s", Number(low=0, high=86_400), "So long above it before there is an alarm.", 10.0),
        Key("clear_s", Number(low=0, high=86_400), "So long below it before the alarm ends.", 30.0),
        Key("refractory_s", Number(low=0, high=86_400), "So long after its end it is not raised again.", 0.0),
        Key("description", DESCRIPTION, "One line for people.", ""),
    ),
)
ANOMALIES = Named("a detector", WORD, WORD_GRAMMAR, ANOMALY, 40)

_BATTERY_HEALTH = When("kind", frozenset({HealthKind.BATTERY}))
_PV_HEALTH = When("kind", frozenset({HealthKind.PV}))
_WIND_HEALTH = When("kind", frozenset({HealthKind.WIND}))
_GENSET_HEALTH = When("kind", frozenset({HealthKind.GENSET}))
UPKEEP = Section(
    "upkeep",
    (
        Key("every_h", Number(above=0), "After so many hours of running.", None),
        Key("every_starts", Integer(1, 1_000_000), "After so many starts.", None),
        Key("every_days", Number(above=0, high=36_500), "After so many days.", None),
        Key("description", DESCRIPTION, "The work, for people; its name unless given.", ""),
    ),
)
UPKEEPS = Named("upkeep", WORD, WORD_GRAMMAR, UPKEEP, 40)
HEALTH_ASSET = Section(
    "an asset's health",
    (
        Key("kind", choice(HealthKind), "What it is."),
        Key("area", AREA_PATH, "The area its tags stand in."),
        Key("power", _SOURCE, "Its power in kW; what feeds the bus is positive."),
        Key("window_days", Integer(1, 366, "days"), "Over how many days a value is made.", 30),
        Key("state_of_charge", _SOURCE, "State of charge, %.", when=_BATTERY_HEALTH),
        Key("capacity_kwh", Number(above=0), "Nominal capacity.", when=_BATTERY_HEALTH),
        Key(
            "efficiency_pct",
            Number(above=0, high=100),
            "Of one way, from the terminals to the cells.",
            100.0,
            when=_BATTERY_HEALTH,
        ),
        Key(
            "least_swing_pct",
            Number(low=5, high=100),
            "The least change of the state of charge that capacity is measured by.",
            20.0,
            when=_BATTERY_HEALTH,
        ),
        Key("charged", _SOURCE, "Counter of energy taken, kWh.", None, when=_BATTERY_HEALTH),
        Key("discharged", _SOURCE, "Counter of energy given, kWh.", None, when=_BATTERY_HEALTH),
        Key("current", _SOURCE, "Current of the string, A; positive discharges.", None, when=_BATTERY_HEALTH),
        Key("voltage", _SOURCE, "Voltage of the string, V.", None, when=_BATTERY_HEALTH),
        Key("cell_lowest", _SOURCE, "Voltage of the weakest cell, V.", None, when=_BATTERY_HEALTH),
        Key("cell_highest", _SOURCE, "Voltage of the strongest cell, V.", None, when=_BATTERY_HEALTH),
        Key(
            "step_a",
            Number(above=0),
            "The least step of the current that resistance is measured by.",
            50.0,
            when=_BATTERY_HEALTH,
        ),
        Key("rest_a", Number(above=0), "Below this current its cells rest.", 5.0, when=_BATTERY_HEALTH),
        Key("resistance_mohm", Number(above=0), "Its resistance when new.", None, when=_BATTERY_HEALTH),
        Key(
            "health_min_pct",
            Number(above=0, high=99.9),
            "The state of health at which it is to be replaced.",
            80.0,
            when=_BATTERY_HEALTH,
        ),
        Key(
            "resistance_max_pct",
            Number(above=100),
            "Most resistance, of that when new.",
            150.0,
            when=_BATTERY_HEALTH,
        ),
        Key(
            "imbalance_max_mv", Number(above=0), "Most that cells differ at rest.", None, when=_BATTERY_HEALTH
        ),
        Key("irradiance", _SOURCE, "In the plane of the modules, W/m².", when=_PV_HEALTH),
        Key(
            "rated_kw",
            Number(above=0),
            "Nameplate power.",
            when=When("kind", frozenset({HealthKind.PV, HealthKind.WIND})),
        ),
        Key("temperature", _SOURCE, "Of the modules, °C.", None, when=_PV_HEALTH),
        Key(
            "per_k_pct",
            Number(low=-2, high=0),
            "What a kelvin takes of the power.",
            -0.4,
            when=_PV_HEALTH,
        ),
        Key(
            "limit",
            _SOURCE,
            "The power it may make, kW; while it is held down it is not judged.",
            None,
            when=When("kind", frozenset({HealthKind.PV, HealthKind.WIND})),
        ),
        Key(
            "performance_min",
            Number(above=0, high=1.5),
            "Least performance ratio (corrected, where the temperature is known).",
            None,
            when=_PV_HEALTH,
        ),
        Key("wind", _SOURCE, "Wind speed, m/s.", when=_WIND_HEALTH),
        Key(
            "learn_days",
            Integer(1, 366, "days"),
            "From its first days with wind its power curve is learned.",
            30,
            when=_WIND_HEALTH,
        ),
        Key(
            "energy_ratio_min",
            Number(above=0, high=1.5),
            "Least energy of what its own curve gives.",
            None,
            when=_WIND_HEALTH,
        ),
        Key("running", _SOURCE, "Whether the engine runs.", when=_GENSET_HEALTH),
        Key("energy", _SOURCE, "Counter of energy given, kWh.", None, when=_GENSET_HEALTH),
        Key("fuel", _SOURCE, "Level of the tank, l or %.", None, when=_GENSET_HEALTH),
        Key("tank_l", Number(above=0), "What the tank holds.", None, when=_GENSET_HEALTH),
        Key("fuel_max_l_kwh", Number(above=0), "Most fuel for a kWh, l.", None, when=_GENSET_HEALTH),
        Key(
            "hours_before", Number(low=0), "Hours it had run before history began.", 0.0, when=_GENSET_HEALTH
        ),
        Key(
            "starts_before",
            Integer(0, 10_000_000),
            "Its starts before history began.",
            0,
            when=_GENSET_HEALTH,
        ),
        Key("upkeep", Later(UPKEEPS), "Work that comes round, by name.", None),
    ),
)
HEALTH = Named("an asset", WORD, WORD_GRAMMAR, HEALTH_ASSET, 40)

DEMAND_PARTICIPANT = Section(
    "a participant",
    (
        Key("power", _SOURCE, "Its demand in kW; what it draws is positive."),
        Key("committed_kw", Number(low=0), "By how much it has promised to go down, at level moderate."),
        Key("high_kw", Number(low=0), "At level high; the same unless given.", None),
        Key("special_kw", Number(low=0), "At level special; as at high unless given.", None),
    ),
)
DEMAND_PARTICIPANTS = Named("a participant", WORD, WORD_GRAMMAR, DEMAND_PARTICIPANT, 40)
DEMAND_PROGRAMME = Section(
    "a programme",
    (
        Key("participants", ListOf(Text("a name", WORD, 40), "a list of participants"), "Whom it calls."),
        Key("import_max_kw", Number(low=0), "Most import while an event runs; dispatch plans for it.", None),
        Key("notice_min", Number(low=0, high=10_080), "An event is told at least so long before.", 0.0),
        Key("longest_h", Number(above=0, high=24), "An event lasts no longer.", 4.0),
        Key("most_a_month", Integer(1, 1_000), "Most events in a month.", None),
        Key("description", DESCRIPTION, "One line for people.", ""),
    ),
)
DEMAND_PROGRAMMES = Named("a programme", WORD, WORD_GRAMMAR, DEMAND_PROGRAMME, 40)
DEMAND_RESPONSE = Section(
    "demand response",
    (
        Key("area", AREA_PATH, "The area its tags stand in."),
        Key("rule", choice(BaselineRule), "By what baselines are made.", BaselineRule.TEN_OF_TEN),
        Key("interval_min", Integer(1, 60, "min"), "Intervals that are measured; a divisor of an hour.", 15),
        Key("participants", Later(DEMAND_PARTICIPANTS), "Who may be called, by name."),
        Key("programmes", Later(DEMAND_PROGRAMMES), "What may be called for, by name."),
    ),
)

ROOT = Section(
    "a site file",
    (
        Key("site", SITE, "Name of the site; in one of its files.", None),
        Key(
            "include",
            ListOf(Text("the path of a file"), "a list of files"),
            "More files, relative to this one.",
            (),
        ),
        Key("areas", AREAS, "Areas of the site, with a description each.", None),
        Key(
            "templates", Later(TEMPLATES, expressions=True), "Devices that are alike, with parameters.", None
        ),
        Key("devices", Later(DEVICES, expressions=True), "The devices of the site.", None),
        Key("calculated", Later(CALCULATED), "Tags that are calculated from tags.", None),
        Key("totals", Later(TOTALS), "Sums over time, by hour, day and month.", None),
        Key("events", Later(EVENTS), "Periods that are kept with what happened in them.", None),
        Key("anomalies", Later(ANOMALIES), "What is looked for as odd.", None),
        Key("health", Later(HEALTH), "Assets whose health is watched.", None),
        Key("forecasts", Later(FORECASTS), "What is forecast out of history.", None),
        Key(
            "dispatch", DISPATCH, "The plan of least cost for batteries, vehicles, gensets and the tie.", None
        ),
        Key("market", MARKET, "The community's market and its ledger; absent, there is none.", None),
        Key("demand_response", DEMAND_RESPONSE, "Who goes down by how much when called.", None),
        Key("historian", HISTORIAN, "What history keeps.", None),
        Key("servers", SERVERS, "Doors for others.", None),
        Key("users", USERS, "Who may sign in; passwords are set by `tieline passwd`.", None),
        Key("simulator", SIMULATOR, "A simulated microgrid; absent, there is none.", None),
        Key("journal", JOURNAL, "Room for changes in shared memory.", None),
        Key("logic", LOGIC, "Programs, and how they meet the tags; absent, no scan runs.", None),
        Key(
            "control",
            CONTROL,
            "Who has control of an area, and interlocks; absent, none are asked for.",
            None,
        ),
    ),
)
