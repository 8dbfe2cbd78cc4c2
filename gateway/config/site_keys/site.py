"""Keys of ``site``, ``areas``, ``users`` and ``journal``: what the whole site has."""

from __future__ import annotations

from gateway.config.kinds import Integer, Key, ListOf, Named, Number, Section, Text, choice
from gateway.config.site import Role, TimeResolution
from gateway.config.site_keys.values import AREA_PATH, DESCRIPTION, NAME, WORD, WORD_GRAMMAR
from gateway.config.zones import UTC, Zone

SITE = Section(
    "the site",
    (
        Key("name", NAME, "Names the running site: its shared memory and its state folder."),
        Key("description", DESCRIPTION, "One line for people.", ""),
        Key(
            "time_resolution",
            choice(TimeResolution),
            "What source times are brought to as they are written, never to a later time; image, history and servers "
            "then tell the same.",
            TimeResolution.MICROSECOND,
        ),
        Key(
            "time_zone",
            Zone(),
            "Where people there read the clock; days of history and times without an offset are of it.",
            UTC,
        ),
        Key("latitude", Number(low=-90, high=90), "Where the site is, in degrees; north is positive.", None),
        Key("longitude", Number(low=-180, high=180), "Likewise; east is positive.", None),
        Key(
            "holidays",
            Text("a country or a part of it, as in DE or DE-BY", r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?", 64),
            "Whose public holidays count: its ISO 3166 code.",
            None,
        ),
    ),
)

USER = Section(
    "a user",
    (
        Key("role", choice(Role), "What the user may do."),
        Key(
            "areas",
            ListOf(AREA_PATH, "a list of areas: [storage, loads/feeders]"),
            "Areas whose points the user may command, with all below them; all unless given.",
            None,
        ),
    ),
)

JOURNAL = Section(
    "the journal",
    (
        Key(
            "records",
            Integer(1 << 10, 1 << 27),
            "Changes kept in shared memory for each part that writes, 32 bytes each; rounded up to a power of two.",
            1 << 20,
        ),
    ),
)

AREAS = Named(
    "an area", rf"{WORD}(?:/{WORD}){{0,7}}", f"{WORD_GRAMMAR}, and '/' between levels", DESCRIPTION, 128
)
USERS = Named("a user", r"[a-z][a-z0-9_.-]*", "write lower-case letters, digits, '_', '.' and '-'", USER)
