"""Keys of who trades in a market: participants, their devices and meters, the feeders they are on."""

from __future__ import annotations

from gateway.config.kinds import Boolean, Integer, Key, Later, Named, Number, Section, Text, When, choice
from gateway.config.market import MemberKind, TradedKind
from gateway.config.site_keys.market.values import KW, SHARE, STATE_FILE
from gateway.config.site_keys.values import DESCRIPTION, TAG, WORD, WORD_GRAMMAR

MARKET_FEEDERS = Named(
    "a feeder",
    WORD,
    WORD_GRAMMAR,
    Section(
        "a feeder of the market",
        (
            Key("export_max_kw", KW, "Most that what is on it gives together."),
            Key("import_max_kw", KW, "Most that it takes together."),
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
            Key("export_max_kw", KW, "Most that it gives.", 0.0),
            Key("import_max_kw", KW, "Most that it takes.", 0.0),
            Key("storage_kwh", Number(above=0, high=1_000_000), "What it holds.", when=_OF_STORE),
            Key(
                "level",
                TAG,
                "What is in it, in kWh or in % of `storage_kwh`; without it a storage sells nothing.",
                None,
                when=_OF_STORE,
            ),
            Key("connected", TAG, "Whether the vehicle is there: it trades only then.", when=_OF_VEHICLE),
            Key(
                "stay_h",
                Number(above=0, high=336),
                "How long it is taken to stay, from when it came.",
                8.0,
                when=_OF_VEHICLE,
            ),
            Key("keep_kwh", KW, "What it keeps: it sells no more than is above that.", 0.0, when=_OF_VEHICLE),
            Key(
                "forecast",
                Text("the name of a forecast", WORD, 64),
                "The forecast of what it gives, in kW: it sells no more.",
                None,
                when=_OF_SOURCE,
            ),
            Key("forecast_share", SHARE, "Its share of that forecast.", 1.0, when=_OF_SOURCE),
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
            Key("import", TAG, "The register of what its owner took; in Wh, kWh or MWh, with history."),
            Key("export", TAG, "The register of what its owner gave; without it, nothing ever is.", None),
            Key("feeder", Text("the name of a feeder", WORD, 64), "The feeder that it is on."),
            Key("export_max_kw", KW, "Most that goes through it out."),
            Key("import_max_kw", KW, "Most that goes through it in."),
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
                STATE_FILE,
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
