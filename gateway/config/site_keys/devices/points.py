"""Keys that the points of every protocol share, with those of write limits and deviations."""

from __future__ import annotations

from gateway.config.deviation import Deviation
from gateway.config.kinds import (
    Anything,
    Boolean,
    Integer,
    Key,
    Number,
    Pair,
    Section,
    States,
    Text,
    UnitSymbol,
    choice,
)
from gateway.config.site import Role
from gateway.config.site_keys.values import DESCRIPTION, WORD

_DEVIATION = Deviation()
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

COMMON_POINT_KEYS = (
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
    Key("write", WRITE, "How it may be written; without this it may not.", None),
    Key(
        "sloped",
        Boolean(),
        "Whether history takes it to run straight from one sample to the next, rather than hold until it.",
        False,
    ),
    Key("deviation", DEVIATION, "By how much history may differ from what was measured.", None),
    Key("description", DESCRIPTION, "One line for people.", ""),
)
