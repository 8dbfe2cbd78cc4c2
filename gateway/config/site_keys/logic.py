"""Keys of ``logic``: programs, tasks, and how variables meet the tags."""

from __future__ import annotations

from gateway.config.kinds import (
    Anything,
    Boolean,
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
    choice,
)
from gateway.config.logic import Start
from gateway.config.modbus import RegisterType
from gateway.config.site import Role
from gateway.config.site_keys.alert import ALERT_KEY
from gateway.config.site_keys.values import (
    AREA_PATH,
    DESCRIPTION,
    LONGEST_TAG_NAME,
    OWN_TAG_GRAMMAR,
    OWN_TAG_NAME,
    TAG_GRAMMAR,
    TAG_NAME,
    VALUE,
)

VARIABLE = Text(
    "the path of a variable, such as main.pump.speed or levels[3]",
    r"[A-Za-z_%][A-Za-z0-9_%.]*(?:\[[-0-9, ]+\](?:\.[A-Za-z_][A-Za-z0-9_.]*)?)*",
    250,
)

VALUE_OR_HOLD = Anything("a number, true or false, or hold")
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
        ALERT_KEY,
    ),
)

LOGIC_RELEASES = Named("a setpoint", OWN_TAG_NAME, OWN_TAG_GRAMMAR, VALUE, LONGEST_TAG_NAME)
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
        Key(
            "released_by",
            Later(LOGIC_RELEASES),
            "Setpoints, and what people write to them so that the program lets go; a refused command names them.",
            None,
        ),
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
