"""Keys of ``totals``."""

from __future__ import annotations

from gateway.config.kinds import Integer, Key, ListOf, Named, Number, Section, Text, UnitSymbol, choice
from gateway.config.site_keys.values import (
    AREA_PATH,
    DESCRIPTION,
    LONGEST_TAG_NAME,
    OWN_TAG_GRAMMAR,
    OWN_TAG_NAME,
    TAG_NAME,
)
from gateway.config.totals import Method, Period, Sign, TotalKind

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
