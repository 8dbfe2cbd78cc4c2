"""Keys of ``control``: areas under control and interlocks."""

from __future__ import annotations

from gateway.config.control import Seat
from gateway.config.kinds import ANY_LINE, Anything, Integer, Key, Later, ListOf, Named, Section, Text, choice
from gateway.config.site import Role
from gateway.config.site_keys.values import DESCRIPTION, WORD, WORD_GRAMMAR

CONTROL_AREA = Section(
    "an area under control",
    (
        Key("role", choice(Role), "The least role that may take control.", Role.OPERATOR),
        Key(
            "hold_s", Integer(0, 31 * 86_400, "s"), "Control ends so long after it was taken; 0: never.", 900
        ),
        Key("default", choice(Seat), "Who may command while nobody has control; nobody unless given.", None),
    ),
)

CONTROL_AREAS = Named("an area", rf"{WORD}(?:/{WORD}){{0,7}}", "write an area of the site", CONTROL_AREA, 128)
INTERLOCK = Section(
    "an interlock",
    (
        Key(
            "points",
            ListOf(
                Text("the name of a writable tag, * for any letters", r"[a-z_*][a-z0-9_.*]*", 255),
                "a list of writable tags: [pcc.close_command, feeder*.close_command]",
            ),
            "Points whose commands it stops.",
        ),
        Key(
            "value",
            Anything("a number, true or false"),
            "Only commands of this value; all unless given.",
            None,
        ),
        Key(
            "allow",
            Later(Text("an expression over tags", ANY_LINE, 1_000)),
            "What must be true for a command.",
        ),
        Key("message", DESCRIPTION, "What the operator is told where it is not."),
    ),
)

INTERLOCKS = Named("an interlock", WORD, WORD_GRAMMAR, INTERLOCK)
CONTROL = Section(
    "the control section",
    (
        Key("areas", Later(CONTROL_AREAS), "Areas that one at a time has control of.", None),
        Key(
            "priority",
            ListOf(choice(Seat), "a list such as [local, remote, schedule]"),
            "Each may take control from its own kind and from those after it; who is not here takes none.",
            tuple(Seat),
        ),
        Key("interlocks", Later(INTERLOCKS), "What stops commands.", None),
    ),
)
