"""Keys of ``servers: dnp3``, the outstation."""

from __future__ import annotations

from gateway.config.dnp3 import ControlModel, PointKind
from gateway.config.kinds import Boolean, Integer, Key, Later, ListOf, Named, Number, Section, Text, choice
from gateway.config.site_keys.values import HOST, PORT, WORD, WORD_GRAMMAR

DNP3_POINT = Section(
    "a DNP3 point",
    (
        Key("type", choice(PointKind), "Point type; each is numbered from 0 by itself."),
        Key("index", Integer(0, 65_535), "The point's index."),
        Key("class", Integer(0, 3), "Class of its events; 0: no events.", 0),
        Key("static", Integer(1, 10), "Static variation; unless given one that loses nothing.", None),
        Key("event", Integer(1, 8), "Event variation; unless given one with time.", None),
        Key("deadband", Number(low=0), "A change has to be larger, in the tag's unit, to be an event.", None),
        Key("scale", Number(not_zero=True), "On the wire is value * scale.", None),
        Key(
            "frozen_class",
            Integer(0, 3),
            "Gives a counter its frozen one, and the class of its events.",
            None,
        ),
        Key(
            "control",
            choice(ControlModel),
            "Which control codes a binary output takes; latch unless given.",
            None,
        ),
    ),
)

DNP3_MASTER = Section(
    "a DNP3 master",
    (
        Key("address", Integer(0, 65_519), "Its link address."),
        Key("hosts", ListOf(HOST, "a list of addresses: [192.0.2.7]"), "Addresses that it may connect from."),
        Key(
            "user",
            Text("the name of a user", r"[a-z][a-z0-9_-]*", 64),
            "The user its commands are given as; without one it commands nothing.",
            None,
        ),
        Key("unsolicited", Boolean(), "Whether it may be told without asking.", True),
    ),
)

DNP3_TLS = Section(
    "TLS",
    (
        Key("certificate", Text("the path of a file"), "Our certificate, PEM, relative to this file."),
        Key("key", Text("the path of a file"), "Its private key, PEM."),
        Key("authorities", Text("the path of a file"), "Certificates that masters' must be signed by, PEM."),
    ),
)

DNP3_MASTERS = Named("a master", WORD, WORD_GRAMMAR, DNP3_MASTER)
DNP3_POINTS = Named(
    "a tag",
    r"[a-z_][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+",
    "write the name of a tag, such as battery1.power_kw",
    DNP3_POINT,
    255,
)

DNP3 = Section(
    "the DNP3 outstation",
    (
        Key("host", HOST, "Address it listens on.", "127.0.0.1"),
        Key("port", PORT, "TCP port it listens on.", 20_000),
        Key("address", Integer(0, 65_519), "Our link address."),
        Key("masters", Later(DNP3_MASTERS), "Who is answered."),
        Key("points", Later(DNP3_POINTS), "Which tags are which points."),
        Key("tls", DNP3_TLS, "TLS with certificates on both sides.", None),
        Key(
            "events",
            Integer(1, 1_000_000),
            "Events kept for each master until it confirms them; the oldest go.",
            10_000,
        ),
        Key("confirm_timeout_ms", Integer(100, 600_000, "ms"), "Time for a master's confirm.", 5_000),
        Key(
            "select_timeout_ms",
            Integer(100, 600_000, "ms"),
            "An operate must follow its select so soon.",
            10_000,
        ),
        Key(
            "operate_timeout_ms",
            Integer(100, 600_000, "ms"),
            "Time for a command, until the device has reported it back.",
            4_000,
        ),
        Key(
            "unsolicited_hold_ms",
            Integer(0, 60_000, "ms"),
            "Events are held so long, so that neighbours come along.",
            100,
        ),
        Key("unsolicited_retries", Integer(0, 1_000), "How often an unconfirmed one is sent again.", 3),
        Key("unsolicited_pause_ms", Integer(100, 3_600_000, "ms"), "Pause after the retries.", 10_000),
        Key(
            "keep_alive_ms",
            Integer(1_000, 3_600_000, "ms"),
            "A silent master is asked for its link status after so long.",
            60_000,
        ),
        Key(
            "needs_time",
            Boolean(),
            "Ask the masters for the time; it is compared with ours, which it never sets.",
            False,
        ),
    ),
)
