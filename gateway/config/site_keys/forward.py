"""Keys of ``historian: forward``: the stores that history is forwarded to."""

from __future__ import annotations

from gateway.config.forward import ForwardKind, ForwardTarget, Label, SeriesNames
from gateway.config.kinds import Integer, Key, ListOf, Named, Section, Text, When, choice
from gateway.config.site_keys.values import WORD, WORD_GRAMMAR
from gateway.config.sizes import Size

FORWARD_NAME_PATTERN = r"(?:[A-Za-z0-9_./-]|\{(?:site|tag|area|device|point|type)\})+"
FORWARD_NAME = Text(
    "letters, digits, '_', '.', '/', '-' and {site}, {tag}, {area}, {device}, {point}, {type}",
    FORWARD_NAME_PATTERN,
    128,
)

_WITH_DATABASES = frozenset({"influxdb1", "influxdb2", "influxdb3"})
_NAMES = SeriesNames()
_TARGET = ForwardTarget("", ForwardKind.INFLUXDB2, "")
FORWARD_TARGET = Section(
    "a target of forwarding",
    (
        Key("kind", choice(ForwardKind), "What it is; by that, how it is written to."),
        Key(
            "url",
            Text(
                "http:// or https://, a host, and a port where it is not the usual one",
                r"https?://[A-Za-z0-9_.\[\]:-]+(?:/[A-Za-z0-9_./-]*)?",
                500,
            ),
            "Where it listens, as in https://influx.example:8086.",
        ),
        Key(
            "database",
            Text("a name", longest=128),
            "Database (1.x, 3.x) or bucket (2.x).",
            when=When("kind", _WITH_DATABASES),
        ),
        Key(
            "organisation",
            Text("a name", longest=128),
            "Organisation that the bucket is of.",
            when=When("kind", frozenset({"influxdb2"})),
        ),
        Key("username", Text("a name", longest=128), "User, with a password; without one, a token.", None),
        Key("secret_file", Text("the path of a file"), "File that holds the token or password.", None),
        Key(
            "secret_variable",
            Text("a name", r"[A-Za-z_][A-Za-z0-9_]*", 128),
            "Environment variable that holds it.",
            None,
        ),
        Key(
            "authorities",
            Text("the path of a file"),
            "Whom its certificate must be signed by, PEM; those of the machine unless given.",
            None,
        ),
        Key("certificate", Text("the path of a file"), "Our certificate where it asks for one, PEM.", None),
        Key("key", Text("the path of a file"), "Its private key, PEM.", None),
        Key(
            "tags",
            ListOf(
                Text("a tag's name, with * for any characters", r"[a-z0-9_.*?]+", 256), 'a list: ["pcc.*"]'
            ),
            "Patterns of the tags that are forwarded.",
            ("*",),
        ),
        Key("measurement", FORWARD_NAME, "The measurement of a tag.", _NAMES.measurement),
        Key(
            "labels",
            ListOf(choice(Label), "a list of: site, tag, area, device, unit"),
            "Its series' tags, as InfluxDB calls them.",
            _NAMES.labels,
        ),
        Key("field", FORWARD_NAME, "The field of its value.", _NAMES.field),
        Key("status_field", FORWARD_NAME, "The field of its StatusCode.", _NAMES.status_field),
        Key(
            "batch_samples",
            Integer(1, 100_000),
            "Samples of one request at most.",
            _TARGET.batch_samples,
        ),
        Key(
            "interval_ms",
            Integer(100, 600_000, "ms"),
            "How often what is new is sent.",
            _TARGET.interval_ms,
        ),
        Key(
            "timeout_ms",
            Integer(100, 600_000, "ms"),
            "How long an answer may take.",
            _TARGET.timeout_ms,
        ),
        Key(
            "samples_per_s",
            Integer(0, 10_000_000),
            "Samples sent in a second at most, also when it catches up; 0: no limit.",
            _TARGET.samples_per_s,
        ),
        Key(
            "max_kept",
            Size(),
            "How much of the journal is kept for it while it is away, 1GB unless given; beyond it, day files serve.",
            None,
        ),
    ),
)

FORWARD = Named("a target of forwarding", WORD, WORD_GRAMMAR, FORWARD_TARGET, 32)
