"""Keys of ``demand_response``."""

from __future__ import annotations

from gateway.config.demand_response import BaselineRule
from gateway.config.kinds import Integer, Key, Later, ListOf, Named, Number, Section, Text, choice
from gateway.config.site_keys.values import AREA_PATH, DESCRIPTION, TAG, WORD, WORD_GRAMMAR

DEMAND_PARTICIPANT = Section(
    "a participant",
    (
        Key("power", TAG, "Its demand in kW; what it draws is positive."),
        Key("committed_kw", Number(low=0), "By how much it has promised to go down, at level moderate."),
        Key("high_kw", Number(low=0), "At level high; the same unless given.", None),
        Key("special_kw", Number(low=0), "At level special; as at high unless given.", None),
    ),
)

DEMAND_PARTICIPANTS = Named("a participant", WORD, WORD_GRAMMAR, DEMAND_PARTICIPANT, 40)
DEMAND_PROGRAMME = Section(
    "a programme",
    (
        Key("participants", ListOf(Text("a name", WORD, 40), "a list of participants"), "Whom it calls."),
        Key("import_max_kw", Number(low=0), "Most import while an event runs; dispatch plans for it.", None),
        Key("notice_min", Number(low=0, high=10_080), "An event is told at least so long before.", 0.0),
        Key("longest_h", Number(above=0, high=24), "An event lasts no longer.", 4.0),
        Key("most_a_month", Integer(1, 1_000), "Most events in a month.", None),
        Key("description", DESCRIPTION, "One line for people.", ""),
    ),
)

DEMAND_PROGRAMMES = Named("a programme", WORD, WORD_GRAMMAR, DEMAND_PROGRAMME, 40)
DEMAND_RESPONSE = Section(
    "demand response",
    (
        Key("area", AREA_PATH, "The area its tags stand in."),
        Key("rule", choice(BaselineRule), "By what baselines are made.", BaselineRule.TEN_OF_TEN),
        Key("interval_min", Integer(1, 60, "min"), "Intervals that are measured; a divisor of an hour.", 15),
        Key("participants", Later(DEMAND_PARTICIPANTS), "Who may be called, by name."),
        Key("programmes", Later(DEMAND_PROGRAMMES), "What may be called for, by name."),
    ),
)
