"""The `demand_response` section of a site file, and the tags by which a programme tells of its event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Final

from gateway.config.alert import VALUE, Alert
from gateway.config.calculated_section import check_area
from gateway.config.demand_response import (
    LEVELS,
    DemandParticipant,
    DemandProgramme,
    DemandResponseSettings,
    DemandTags,
)
from gateway.config.document import ScalarNode
from gateway.config.fault import FaultLog, Place, quote, suggestion
from gateway.config.kinds import Named, Reading, Settings
from gateway.config.known_tag import known_tag
from gateway.config.site import Tag
from gateway.config.site_keys.demand_response import DEMAND_PARTICIPANTS, DEMAND_PROGRAMMES
from gateway.config.system import DEMAND_RESPONSE_OWNER
from gateway.tags.tag import ValueType

FOLDER: Final = "demand_response"
STALE_AFTER_MS: Final = 5_000  # told every second; five missed, and the part is taken for hung
SO_FAR: Final = ("reduction_kw", "short")  # of each interval that is over: no logic waits for them
SO_FAR_STALE_AFTER_MS: Final = 60_000
TEXT_BYTES: Final = 200

# name, type, unit, decimals, description
_TAGS: Final[tuple[tuple[str, ValueType, str | None, int | None, str], ...]] = (
    ("level", ValueType.UINT64, None, None, "Level of the event that runs"),
    ("remaining_s", ValueType.DOUBLE, "s", 0, "How long it still runs"),
    ("starts_in_s", ValueType.DOUBLE, "s", 0, "How long until the next event; Bad where none is known"),
    ("target_kw", ValueType.DOUBLE, "kW", 1, "What its participants have promised at this level together"),
    (
        "import_max_kw",
        ValueType.DOUBLE,
        "kW",
        1,
        "Most import while it runs; Bad where there is no such limit",
    ),
    ("event", ValueType.STRING, None, None, "Its name, or that of the next"),
    (
        "reduction_kw",
        ValueType.DOUBLE,
        "kW",
        1,
        "By how much its participants are below their baselines so far; Bad where it is not known",
    ),
    (
        "short",
        ValueType.STRING,
        None,
        None,
        "Who has gone down by less than promised so far, and by how much",
    ),
)
assert [row[0] for row in _TAGS] == [field.name for field in fields(DemandTags)]
_ALERTS: Final = {
    "level": Alert(
        f"asks for less: level {VALUE}",
        "`tieline demand-response event list` tells until when, and who takes part.",
        values=(1, 2, 3),
        words="event",
        in_status=False,
    ),
    "event": Alert(
        "",
        "Nothing is asked of anybody meanwhile. Is the disk full? See logs/demand_response.log.",
        bad="is not known: events cannot be read",
        after_s=15,
    ),
    "short": Alert(
        f"is not met so far: {VALUE}",
        "Who cannot is to leave it: `tieline demand-response event opt-out`. `tieline demand-response verify` has the"
        " figures.",
        text_but="",
    ),
}
_NOT_KEPT: Final = frozenset({"remaining_s", "starts_in_s"})  # they follow the clock


def read_demand_response(
    s: Settings | None,
    tags: list[Tag],
    areas: Mapping[str, Place],
    holidays: str | None,
    faults: FaultLog,
    *,
    is_unsure: bool,
) -> DemandResponseSettings | None:
    """The section, whose tags are added to ``tags``; of no use where faults were added."""
    if s is None:
        return None
    before = len(faults)
    with faults.within("demand_response"):
        check_area(s, areas, faults)
        if s["interval_min"] and 60 % s["interval_min"]:
            mend = "write a divisor of 60: 5, 10, 15, 30, 60"
            faults.add(s.at("interval_min"), f"'interval_min' is {s['interval_min']}", mend)
        index = {tag.name: tag for tag in tags if tag.name}
        participants: dict[str, DemandParticipant] = {}
        for key, each in _entries(s, "participants", DEMAND_PARTICIPANTS, faults):
            _check_power(each, index, faults, is_unsure)
            kw = each["committed_kw"] or 0.0
            committed = (
                kw,
                _else(each["high_kw"], kw),
                _else(each["special_kw"], _else(each["high_kw"], kw)),
            )
            participants[key.text] = DemandParticipant(key.text, each["power"] or "", committed)
        programmes = []
        for key, each in _entries(s, "programmes", DEMAND_PROGRAMMES, faults):
            for name in each["participants"] or ():
                if name not in participants and not is_unsure:
                    mend = suggestion(name, participants, "add it under 'participants'")
                    faults.add(each.at("participants"), f"the unknown participant {quote(name)}", mend)
            first = len(tags)
            tags += _programme_tags(key.text, s)
            programmes.append(
                DemandProgramme(
                    key.text,
                    tuple(dict.fromkeys(each["participants"] or ())),
                    each["import_max_kw"],
                    each["notice_min"],
                    each["longest_h"],
                    each["most_a_month"],
                    DemandTags(*range(first, first + len(_TAGS))),
                )
            )
        if not programmes and len(faults) == before and not is_unsure:
            faults.add(s.at("programmes"), "no programme", "name one, with its participants")
    if len(faults) > before:
        return None
    return DemandResponseSettings(
        s["rule"], s["interval_min"], holidays, tuple(participants.values()), tuple(programmes)
    )


def _else(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _check_power(s: Settings, index: Mapping[str, Tag], faults: FaultLog, is_unsure: bool) -> None:
    name: str | None = s["power"]
    if name is None or is_unsure:
        return
    tag = known_tag(name, index, s.at("power"), faults, is_unsure=is_unsure)
    if tag is None:
        return
    if tag.unit != "kW":
        has = f"is in '{tag.unit}'" if tag.unit else "has no unit"
        faults.add(s.at("power"), f"{quote(name)} {has}", "name a tag in kW, or make one under 'calculated'")
    elif not tag.history:
        faults.add(s.at("power"), f"{quote(name)} has no history", "let it be kept: baselines are made of it")


def _entries(
    s: Settings, section: str, kind: Named, faults: FaultLog
) -> Iterator[tuple[ScalarNode, Settings]]:
    node = s[section]
    if node is None:
        return
    reading = Reading(faults)
    for key, item in kind.entries(node, section, reading):
        with faults.within(f"{section} of demand_response"):
            read = kind.value.read(item, key.text, reading)
            if isinstance(read, Settings):
                yield key, read


def _programme_tags(name: str, s: Settings) -> Sequence[Tag]:
    return [
        Tag(
            name=f"{FOLDER}.{name}.{what}",
            type=type,
            owner=DEMAND_RESPONSE_OWNER,
            area=s["area"] or "",
            device=FOLDER,
            description=f"{description}: {name}",
            unit=unit,
            decimals=decimals,
            stale_after_ms=SO_FAR_STALE_AFTER_MS if what in SO_FAR else STALE_AFTER_MS,
            history=what not in _NOT_KEPT,
            string_bytes=TEXT_BYTES if type is ValueType.STRING else 0,
            states=LEVELS if what == "level" else {},
            alert=_ALERTS[what].of(name) if what in _ALERTS else None,
        )
        for what, type, unit, decimals, description in _TAGS
    ]
