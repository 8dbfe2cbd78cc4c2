"""The `events` section of a site file, and the flags by which each event is followed."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from gateway.config.calculated import CalculatedTag
from gateway.config.calculated_section import read_text
from gateway.config.document import Node, ScalarNode
from gateway.config.events import Event, Summary, WantedSummary
from gateway.config.fault import FaultLog, quote, suggestion
from gateway.config.formula.tree import Choice, Formula, Inverse, Told
from gateway.config.kinds import Reading, Settings
from gateway.config.known_tag import known_tag
from gateway.config.site import Tag
from gateway.config.site_keys.events import EVENTS, SUMMARIES
from gateway.config.system import AREA, CALCULATED_OWNER
from gateway.tags.tag import ValueType

DEVICE = "device"  # what conditions and summaries call the device that an event is of
FOLDER = "_system.events"
TIMED_MS = 1_000  # how often a condition that asks for an age is looked at
REFRESH_MS = 60_000  # a flag that stays is told again so often: it is kept for years
STALE_AFTER_MS = 150_000
S_NS = 10**9
FLAG_STATES = {0: "no", 1: "active"}


def read_events(
    entries: Mapping[str, tuple[ScalarNode, Node]], tags: list[Tag], faults: FaultLog, *, is_unsure: bool
) -> tuple[Event, ...]:
    """The events, whose flags are added to ``tags``; of no use where faults were added."""
    section = _Section(tags, faults, is_unsure)
    for name, node in entries.values():
        with faults.within("events"):
            s = EVENTS.value.read(node, name.text, Reading(faults))
            if isinstance(s, Settings):
                section.add(name.text, s)
    return tuple(section.events)


class _Section:
    def __init__(self, tags: list[Tag], faults: FaultLog, is_unsure: bool) -> None:
        self._tags = tags
        self._faults = faults
        self._is_unsure = is_unsure
        self._index = {tag.name: place for place, tag in enumerate(tags) if tag.name}
        self._quantities = dict(enumerate(tags))
        self.events: list[Event] = []

    def add(self, name: str, s: Settings) -> None:
        if ("while" in s) is ("start" in s) or ("start" in s) is not ("end" in s):
            found = (
                "an event with 'while' and 'start' or 'end'" if "while" in s else "an event without 'while'"
            )
            self._faults.add(s.place, found, "write 'while', or 'start' and 'end'")
            return
        for device in self._devices(s):
            self._one(name, device, s)

    def _devices(self, s: Settings) -> Iterator[str]:
        """Each device that the event is of; an empty name where it is of none."""
        pattern = s["for"]
        if "for" not in s:
            yield ""
            return
        if pattern is None:
            return
        known = dict.fromkeys(tag.device for tag in self._tags if tag.area != AREA.path and tag.device)
        found = [device for device in known if fnmatchcase(device, pattern)]
        if not found and not self._is_unsure:
            mend = suggestion(pattern, known, "name devices of the site")
            self._faults.add(s.at("for"), f"no device is {quote(pattern)}", mend)
        yield from found

    def _one(self, name: str, device: str, s: Settings) -> None:
        index = self._index_for(device)
        place = len(self._tags)
        named: dict[int, int] = {}
        formula = self._formula(s, index, named, place)
        wanted = tuple(self._summaries(s, device, index))
        if formula is None:
            return
        flag_name = f"{FOLDER}.{name}.{device}" if device else f"{FOLDER}.{name}"
        self._tags.append(
            Tag(
                name=flag_name,
                type=ValueType.BOOL,
                owner=CALCULATED_OWNER,
                area=AREA.path,
                device="events",
                description=(s["description"] or f"Whether {name} goes on")
                + (f" ({device})" if device else ""),
                stale_after_ms=STALE_AFTER_MS,
                states=FLAG_STATES,
            )
        )
        flag = CalculatedTag(place, formula, TIMED_MS if formula.is_timed else 0, REFRESH_MS)
        self.events.append(
            Event(
                name,
                device,
                flag,
                flag_name,
                s["severity"],
                round((s["min_s"] or 0.0) * S_NS),
                round((s["hold_off_s"] or 0.0) * S_NS),
                s["description"] or "",
                wanted,
            )
        )

    def _index_for(self, device: str) -> Mapping[str, int]:
        if not device:
            return self._index
        prefix = f"{device}."
        own = {
            f"{DEVICE}.{name.removeprefix(prefix)}": place
            for name, place in self._index.items()
            if name.startswith(prefix)
        }
        return ChainMap(own, self._index)

    def _formula(
        self, s: Settings, index: Mapping[str, int], named: dict[int, int], flag: int
    ) -> Formula | None:
        """True while the event goes on: ``while``, or from ``start`` until ``end``."""
        if "while" in s:
            return self._read(s, "while", index, named)
        start, end = self._read(s, "start", index, named), self._read(s, "end", index, named)
        if start is None or end is None:
            return None
        itself = named.setdefault(flag, len(named))
        root = Choice(Told("latched", itself), Inverse(end.root), start.root)
        text = f"from {start.text} until {end.text}"
        return Formula(text, tuple(named), root, True, start.is_timed or end.is_timed)

    def _read(self, s: Settings, key: str, index: Mapping[str, int], named: dict[int, int]) -> Formula | None:
        return read_text(
            s,
            key,
            index,
            self._quantities,
            self._faults,
            thing="condition",
            is_unsure=self._is_unsure,
            named=named,
        )

    def _summaries(self, s: Settings, device: str, index: Mapping[str, int]) -> Iterator[WantedSummary]:
        node = s["summaries"]
        if node is None:
            return
        for key, item in SUMMARIES.entries(node, "summaries", Reading(self._faults)):
            words: Sequence[Summary] = SUMMARIES.value.read(item, key.text, Reading(self._faults)) or ()
            place = known_tag(key.text, index, key.place, self._faults, is_unsure=self._is_unsure)
            if place is None:
                continue
            tag = self._tags[place]
            if tag.type is ValueType.STRING or not tag.history:
                why = "is a string" if tag.type is ValueType.STRING else "has no history"
                self._faults.add(key.place, f"{quote(key.text)} {why}", "name a number that history keeps")
                continue
            for word in words:
                yield WantedSummary(tag.name, word)
