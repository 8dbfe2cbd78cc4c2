"""Keys of a market's windows, tariffs and prices."""

from __future__ import annotations

from gateway.config.dispatch import Weekday
from gateway.config.kinds import Integer, Key, Later, ListOf, Named, Number, Pair, Section, Text, choice
from gateway.config.site_keys.market.values import PRICE, SHARE
from gateway.config.site_keys.values import TAG, WORD, WORD_GRAMMAR

MARKET_HOURS = Named(
    "hours of the day",
    WORD,
    WORD_GRAMMAR,
    Section(
        "hours of the day",
        (
            Key("from_h", Number(low=0, high=24), "From this hour of the day on, in the site's time zone."),
            Key("to_h", Number(low=0, high=24), "Until this one; where it is not later, of the next day."),
            Key("multiplier", SHARE, "Of the price in these hours."),
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
        Key("base_rate_per_kwh", PRICE, "What the factors are of."),
        Key(
            "base_rate_feed",
            Text("the name of a feed", WORD, 64),
            "A feed whose import price is the base rate instead, as long as it has one.",
            None,
        ),
        Key("load", TAG, "The power that the community draws, in kW: by it the demand factor rises."),
        Key("rated_kw", Number(above=0, high=1_000_000), "The power that its connection is rated for."),
        Key("frequency", TAG, "The frequency, in Hz; 200 mHz off is full stress.", None),
        Key("nominal_hz", Number(above=0, high=1_000), "What it should be.", 50.0),
        Key("voltage", TAG, "A voltage, in V; 10 % off is full stress.", None),
        Key("nominal_v", Number(above=0, high=1_000_000), "What it should be.", 400.0),
        Key("line_loading", TAG, "How loaded the worst line is, in %; 100 is full stress.", None),
        Key("demand", Pair(), "The demand factor at no load and at full load, 0 to 10.", (0.5, 1.5)),
        Key("stress", Pair(), "The stress factor at none and at full stress, 0 to 10.", (0.0, 1.0)),
        Key("hours", Later(MARKET_HOURS), "Multipliers by hour and day; the first that holds, else 1.", None),
    ),
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
            Key("multiplier", SHARE, "Of the base rate then."),
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
            Key("base_rate_per_kwh", PRICE, "A kWh taken."),
            Key("export_credit_per_kwh", PRICE, "A kWh given.", 0.0),
            Key("demand_charge_per_kw", PRICE, "A kW of the greatest interval of a bill.", 0.0),
            Key("standing_charge", PRICE, "A bill.", 0.0),
            Key("incentive_per_kwh", PRICE, "A kWh that is rewarded.", 0.0),
            Key(
                "windows",
                Later(MARKET_WINDOWS),
                "Multipliers of the base rate by season, day and hour; the first that holds, else 1.",
                None,
            ),
        ),
    ),
)
