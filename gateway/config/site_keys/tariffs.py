"""Keys of a tariff, by its periods."""

from __future__ import annotations

from gateway.config.dispatch import Weekday
from gateway.config.kinds import Key, Later, ListOf, Named, Number, Section, choice
from gateway.config.site_keys.values import WORD, WORD_GRAMMAR

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
