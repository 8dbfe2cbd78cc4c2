"""Keys of ``calculated``."""

from __future__ import annotations

from gateway.config.kinds import (
    ANY_LINE,
    Boolean,
    Choice,
    Integer,
    Key,
    Later,
    Named,
    Number,
    Pair,
    Section,
    States,
    Text,
    UnitSymbol,
)
from gateway.config.site_keys.alert import ALERT_KEY
from gateway.config.site_keys.values import (
    AREA_PATH,
    DESCRIPTION,
    LONGEST_TAG_NAME,
    OWN_TAG_GRAMMAR,
    OWN_TAG_NAME,
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
        ALERT_KEY,
    ),
)

CALCULATED = Named("a calculated tag", OWN_TAG_NAME, OWN_TAG_GRAMMAR, CALCULATED_TAG, LONGEST_TAG_NAME)
