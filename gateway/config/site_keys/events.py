"""Keys of ``events``."""

from __future__ import annotations

from gateway.config.events import Summary
from gateway.config.kinds import ANY_LINE, Integer, Key, Later, ListOf, Named, Number, Section, Text, choice
from gateway.config.site_keys.values import DESCRIPTION, TAG_GRAMMAR, TAG_NAME, WORD, WORD_GRAMMAR

SUMMARIES = Named(
    "a tag",
    TAG_NAME,
    TAG_GRAMMAR,
    ListOf(choice(Summary), "a list of summaries: [average, maximum]"),
    255,
)

EVENT = Section(
    "an event",
    (
        Key(
            "for",
            Text("devices, * for any letters", r"[a-z*][a-z0-9_*?\[\]-]*", 64),
            "Devices that each have the event; conditions and summaries call the device `device`.",
            None,
        ),
        Key(
            "while",
            Later(Text("a condition over tags", ANY_LINE, 4_000)),
            "It goes on as long as this is true; or 'start' and 'end'.",
            None,
        ),
        Key(
            "start",
            Later(Text("a condition over tags", ANY_LINE, 4_000)),
            "It begins when this is true.",
            None,
        ),
        Key("end", Later(Text("a condition over tags", ANY_LINE, 4_000)), "It ends when this is true.", None),
        Key("min_s", Number(low=0, high=31 * 86_400), "A shorter one is none.", 0.0),
        Key(
            "hold_off_s",
            Number(low=0, high=86_400),
            "One that goes on again so soon after its end never ended.",
            0.0,
        ),
        Key("severity", Integer(1, 1_000), "1 to 1,000, as OPC UA has it.", 100),
        Key("summaries", Later(SUMMARIES), "Tags, and what of them is kept with the frame.", None),
        Key("description", DESCRIPTION, "One line for people.", ""),
    ),
)

EVENTS = Named("an event", WORD, WORD_GRAMMAR, EVENT)
