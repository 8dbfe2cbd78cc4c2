"""Keys of ``anomalies``."""

from __future__ import annotations

from gateway.config.anomaly import OF_TAGS, DetectorKind
from gateway.config.kinds import Integer, Key, ListOf, Named, Number, Pair, Section, Text, When, choice
from gateway.config.site_keys.values import AREA_PATH, DESCRIPTION, WORD, WORD_GRAMMAR

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
            "What scores 0.5: standard deviations, unit/s, s, the tag's unit, or a share; learned unless given.",
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
            "length",
            Integer(2, 1_000),
            "How many rows a shape takes: a beat, a start, a cycle.",
            60,
            when=When("detector", frozenset({DetectorKind.SHAPE})),
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
