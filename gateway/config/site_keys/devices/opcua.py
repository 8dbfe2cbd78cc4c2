"""Keys of an OPC UA device: its connection and points."""

from __future__ import annotations

from gateway.config.kinds import Anything, Choice, Integer, Key, ListOf, Named, Number, Section, Text, choice
from gateway.config.opcua_device import FIELD, FIELD_GRAMMAR, NODE, NODE_GRAMMAR, ReadBy
from gateway.config.site import Trust
from gateway.config.site_keys.devices.points import COMMON_POINT_KEYS
from gateway.config.site_keys.values import DAY_MS, FILE, WORD, WORD_GRAMMAR

SECURITY = tuple(
    f"{policy}:{mode}"
    for policy in ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
    for mode in ("SignAndEncrypt", "Sign")
)

URL = Text("a URL: opc.tcp://192.0.2.20:4840/", r"opc\.tcp://[A-Za-z0-9_\[][^\s@]*", 253)
NODE_ID = Text(NODE_GRAMMAR, NODE, 500)
OPCUA_CONNECTION = Section(
    "an OPC UA connection",
    (
        Key("url", URL, "Where the server is."),
        Key(
            "security",
            Choice((*SECURITY, "None")),
            "Policy and mode, as Policy:Mode; None: neither signed nor encrypted.",
            SECURITY[0],
        ),
        Key(
            "trust",
            choice(Trust),
            "Which server certificates are accepted: those in the state folder's pki/servers/trusted, or all.",
            Trust.LIST,
        ),
        Key("user", Text("the name of a user of the server"), "Who signs in; anonymous unless given.", None),
        Key("password_file", FILE, "File with the user's password, relative to this file.", None),
        Key(
            "password_variable",
            Text("the name of an environment variable", r"[A-Za-z_][A-Za-z0-9_]*", 128),
            "Environment variable with the user's password, instead of a file.",
            None,
        ),
        Key("read", choice(ReadBy), "How values come, where a point says nothing else.", ReadBy.SUBSCRIPTION),
        Key("timeout_ms", Integer(100, 600_000, "ms"), "How long an answer may take.", 4_000),
        Key(
            "retry_max_ms", Integer(100, 3_600_000, "ms"), "Longest wait between attempts to connect.", 30_000
        ),
        Key(
            "verify_s",
            Integer(0, 86_400, "s"),
            "How often subscribed values are read as well, to find a subscription that no longer tells; 0: never.",
            60,
        ),
    ),
)

OPCUA_METHOD = Section(
    "a method",
    (
        Key("object", NODE_ID, "The object it is called on."),
        Key("method", NODE_ID, "The method."),
        Key(
            "arguments",
            ListOf(Anything(), "a list of values: [value, 10]"),
            "What it is called with; the word value stands for the value commanded.",
            (),
        ),
    ),
)

OPCUA_POINT = Section(
    "a point of an OPC UA device",
    (
        Key("node", NODE_ID, "The node that is read; without one, what was commanded counts.", None),
        Key(
            "field",
            Text(FIELD_GRAMMAR, FIELD, 500),
            "The part of the value that counts, in structures and arrays; arrays begin at 0.",
            None,
        ),
        Key(
            "type",
            Choice(("bool", "int64", "uint64", "float64", "string")),
            "Kind of the tag's value; an enumeration is int64, a time float64 (seconds since 1970) or string.",
            "float64",
        ),
        Key("length", Integer(1, 4_000), "Bytes of a string at most.", 200),
        Key("scale", Number(not_zero=True), "Engineering value = raw * scale + offset; for float64.", 1.0),
        Key("offset", Number(), "Added after scaling.", 0.0),
        Key("read", choice(ReadBy), "How its value comes; as the connection says unless given.", None),
        Key(
            "sampling_ms",
            Integer(0, DAY_MS, "ms"),
            "How often the server looks at it; 0: as fast as it can. The group's period unless given.",
            None,
        ),
        Key("queue", Integer(1, 100_000), "Changes that the server keeps between two tellings.", 10),
        Key(
            "absolute_deadband",
            Number(above=0),
            "Smaller changes, in the node's own unit, are not told by the server.",
            None,
        ),
        Key(
            "percent_deadband",
            Number(above=0, high=100),
            "Likewise in percent of the node's EURange.",
            None,
        ),
        Key("method", OPCUA_METHOD, "Method that a command calls, instead of writing the node.", None),
        Key(
            "method_false",
            OPCUA_METHOD,
            "Method that false calls, of a bool; then 'method' is for true.",
            None,
        ),
        *COMMON_POINT_KEYS,
    ),
)

OPCUA_POINTS = Named("a point", WORD, WORD_GRAMMAR, OPCUA_POINT)
