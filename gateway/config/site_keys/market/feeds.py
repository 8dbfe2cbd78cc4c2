"""Keys of ``market: feeds``."""

from __future__ import annotations

from gateway.config.kinds import Choice, Integer, Key, Named, Number, Section, Text, When, choice
from gateway.config.market import FeedKind
from gateway.config.site_keys.market.values import PRICE, STATE_FILE
from gateway.config.site_keys.values import WORD, WORD_GRAMMAR

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
                STATE_FILE,
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
            Key("import_fee_per_kwh", PRICE, "On top of what is taken.", 0.0, when=When("kind", _FETCHED)),
            Key("export_fee_per_kwh", PRICE, "Off what is given.", 0.0, when=When("kind", _FETCHED)),
            Key(
                "capacity_per_kw",
                PRICE,
                "A kW of the greatest interval of a bill.",
                0.0,
                when=When("kind", _FETCHED),
            ),
        ),
    ),
    40,
)
