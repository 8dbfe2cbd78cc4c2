"""Keys of ``forecasts``."""

from __future__ import annotations

from gateway.config.forecasts import DEFAULT_MODELS, DEFAULT_QUANTILES, ForecastKind, ForecastModel, Season
from gateway.config.kinds import Boolean, Integer, Key, Later, ListOf, Named, Number, Section, Text, choice
from gateway.config.site_keys.values import AREA_PATH, DESCRIPTION, TAG_NAME, WORD, WORD_GRAMMAR

KNOWN_LEADS = Named(
    "a lead in hours",
    r"[1-9][0-9]?",
    "write whole hours, 1 to 96",
    Text("the name of a tag", TAG_NAME, 255),
)

KNOWN_INPUTS = Named("an input", WORD, WORD_GRAMMAR, KNOWN_LEADS)
CONSUMER_CLASSES = Named(
    "a class of consumers",
    WORD,
    WORD_GRAMMAR,
    ListOf(
        Text("the name of a tag, * for any letters", r"[a-z_*?\[][a-z0-9_.*?\[\]-]*", 255),
        "a list of tags: [house1.power_kw]",
    ),
    40,
)
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
        Key(
            "patterns",
            Later(CONSUMER_CLASSES),
            "Classes of consumers whose daily patterns are learned: a name for each, and tags or patterns of their "
            "names.",
            None,
        ),
        Key("description", DESCRIPTION, "One line for people.", ""),
    ),
)

FORECASTS = Named("a forecast", WORD, WORD_GRAMMAR, FORECAST, 40)
