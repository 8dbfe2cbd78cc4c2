"""The `anomalies` section of a site file, and the tags of scores and alarms that each detector adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from gateway.config.alert import VALUE, Alert
from gateway.config.anomaly import OF_TAGS, OUTPUTS, Anomaly, DetectorKind, Output
from gateway.config.calculated_section import check_area
from gateway.config.document import Node, ScalarNode
from gateway.config.fault import FaultLog, Place, quote
from gateway.config.kinds import Reading, Settings
from gateway.config.known_tag import known_tag
from gateway.config.site import Tag
from gateway.config.site_keys.anomalies import ANOMALIES
from gateway.config.system import ANOMALY_OWNER, AREA
from gateway.tags.tag import ValueType

FOLDER = "anomaly"
STALE_AFTER_MS = 150_000  # what stays is told again every minute
TEXT_BYTES = 200
LONGEST_NAME = 255  # of the image
MOST_IN_GROUP = 500  # a matrix of them is learned
MOST_SHAPES = 10  # each row is compared with an hour of rows, and each row of that hour is when it is learned
ALARM_STATES = {0: "as ever", 1: "odd"}
_TROUBLE_ALERT = Alert(
    VALUE,
    "It is tried again by itself. Is the disk full, and are its tags measured and kept? See logs/anomaly.log.",
    text_but="",
    after_s=15,
)
_LEAST_MEMBERS = {DetectorKind.PCA: 2, DetectorKind.FOREST: 1}
# What stands for which parameter of the detector.
_PARAMETERS = ("limit", "window", "length", "window_s", "margin", "tolerance", "variance", "alpha", "trees")
_LIMIT_IS_LEARNED = frozenset(
    {DetectorKind.RATE, DetectorKind.FLAT_LINE, DetectorKind.MISSING, DetectorKind.CLOCK}
)


def read_anomalies(
    entries: Mapping[str, tuple[ScalarNode, Node]],
    tags: list[Tag],
    areas: Mapping[str, Place],
    faults: FaultLog,
    *,
    is_unsure: bool,
) -> tuple[Anomaly, ...]:
    """The detectors, whose tags are added to ``tags``; of no use where faults were added."""
    section = _Section(tags, areas, faults, is_unsure)
    for name, node in entries.values():
        with faults.within("anomalies"):
            s = ANOMALIES.value.read(node, name.text, Reading(faults))
            if isinstance(s, Settings):
                section.add(name, s)
    return tuple(section.anomalies)


class _Section:
    def __init__(
        self, tags: list[Tag], areas: Mapping[str, Place], faults: FaultLog, is_unsure: bool
    ) -> None:
        self._tags = tags
        self._areas = areas
        self._faults = faults
        self._is_unsure = is_unsure
        # Scores of scores would never end: what the detectors add is not among these.
        self._index = {tag.name: at for at, tag in enumerate(tags) if tag.name}
        self.anomalies: list[Anomaly] = []

    def add(self, name: ScalarNode, s: Settings) -> None:
        before = len(self._faults)
        check_area(s, self._areas, self._faults)
        kind: DetectorKind | None = s["detector"]
        if kind is None:
            return
        parameters: list[tuple[str, float | tuple[str, ...]]] = [
            (key, s[key]) for key in _PARAMETERS if key in s and s[key] is not None
        ]
        if kind in (DetectorKind.BALANCE, DetectorKind.METER):
            ways = ("sources", "loads") if kind is DetectorKind.BALANCE else ("feeder", "meters")
            sides = [tuple(dict.fromkeys(self._matching(s, way))) for way in ways]
            parameters += [
                (way, tuple(self._tags[at].name for at in side))
                for way, side in zip(ways, sides, strict=True)
            ]
            both = set(sides[0]) & set(sides[1])
            if both:
                self._faults.add(
                    s.at(ways[1]),
                    f"{quote(self._tags[min(both)].name)} on both sides",
                    f"take it out of '{ways[0]}' or '{ways[1]}'",
                )
            inputs = (*sides[0], *sides[1])
        else:
            inputs = tuple(dict.fromkeys(self._matching(s, "tags")))
            least = _LEAST_MEMBERS.get(kind, 1)
            if inputs and len(inputs) < least:
                self._faults.add(s.at("tags"), f"{kind} of one tag", f"name {least} or more")
        if kind not in OF_TAGS and len(inputs) > MOST_IN_GROUP:
            self._faults.add(
                s.place, f"a group of {len(inputs):,} tags", f"at most {MOST_IN_GROUP}: make several"
            )
        if kind is DetectorKind.SHAPE and len(inputs) > MOST_SHAPES:
            self._faults.add(
                s.place, f"shapes of {len(inputs):,} tags", f"at most {MOST_SHAPES}: each takes its time"
            )
        if kind is DetectorKind.RANGE and s["range"] is not None:
            parameters += zip(("low", "high"), s["range"], strict=True)
        if len(self._faults) > before or not inputs:
            return
        self._declare(name, s, kind, inputs, parameters)

    def _matching(self, s: Settings, key: str) -> Iterator[int]:
        """Numbers by their names or patterns of names; under a pattern, what is no number is passed over."""
        for pattern in s[key] or ():
            if any(letter in pattern for letter in "*?["):
                found = [
                    at
                    for name, at in self._index.items()
                    if fnmatchcase(name, pattern)
                    and self._tags[at].area != AREA.path
                    and self._tags[at].owner != ANOMALY_OWNER
                    and self._tags[at].type is not ValueType.STRING
                ]
                if not found and not self._is_unsure:
                    self._faults.add(s.at(key), f"no tag is {quote(pattern)}", "see `tieline tags`")
                yield from found
                continue
            place = known_tag(pattern, self._index, s.at(key), self._faults, is_unsure=self._is_unsure)
            if place is None:
                continue
            if self._tags[place].type is ValueType.STRING:
                self._faults.add(s.at(key), f"{quote(pattern)} is a string", "name numbers")
            else:
                yield place

    def _declare(
        self,
        name: ScalarNode,
        s: Settings,
        kind: DetectorKind,
        inputs: tuple[int, ...],
        parameters: list[tuple[str, float | tuple[str, ...]]],
    ) -> None:
        prefix = f"{FOLDER}.{name.text}"
        names = tuple(self._tags[at].name for at in inputs)
        of = names if kind in OF_TAGS else OUTPUTS[kind]
        too_long = next((each for each in of if len(f"{prefix}.{each}.score") > LONGEST_NAME), None)
        if too_long is not None:
            self._faults.add(
                name.place, f"a tag {quote(f'{prefix}.{too_long}.score')} of over 255 letters", "shorten"
            )
            return
        first = len(self._tags)
        outputs = tuple(Output(first + 2 * place, first + 2 * place + 1) for place in range(len(of)))
        described = s["description"] or f"{kind} of {prefix.removeprefix(FOLDER + '.')}"
        for each in of:
            what = f"{described} ({each})"
            self._tags.append(
                self._tag(s, f"{prefix}.{each}.score", ValueType.DOUBLE, f"How odd, 0.5 at the limit: {what}")
            )
            self._tags.append(self._tag(s, f"{prefix}.{each}.alarm", ValueType.BOOL, what))
        state = len(self._tags)
        self._tags.append(self._tag(s, f"{prefix}.state", ValueType.STRING, "Whether it scores, or why not"))
        wrong = self._tag(s, f"{prefix}.trouble", ValueType.STRING, "What is wrong with it; empty: nothing")
        self._tags.append(replace(wrong, alert=_TROUBLE_ALERT.of(name.text)))
        given = {key for key, _ in parameters}
        learns = (
            kind not in OF_TAGS
            or kind is DetectorKind.SHAPE
            or (kind in _LIMIT_IS_LEARNED and "limit" not in given)
            or (kind is DetectorKind.RANGE and "low" not in given)
        )
        self.anomalies.append(
            Anomaly(
                name=name.text,
                detector=kind,
                inputs=inputs,
                names=names,
                parameters=tuple(parameters),
                period_s=s["period_s"],
                learns=learns,
                learn_min=s["learn_min"],
                threshold=s["threshold"],
                hold_off_s=s["hold_off_s"],
                clear_s=s["clear_s"],
                refractory_s=s["refractory_s"],
                outputs=outputs,
                state=state,
                trouble=state + 1,
            )
        )

    @staticmethod
    def _tag(s: Settings, name: str, type: ValueType, description: str) -> Tag:
        is_score = type is ValueType.DOUBLE
        return Tag(
            name=name,
            type=type,
            owner=ANOMALY_OWNER,
            area=s["area"] or "",
            device=FOLDER,
            description=description,
            low=0.0 if is_score else None,
            high=1.0 if is_score else None,
            decimals=2 if is_score else None,
            stale_after_ms=STALE_AFTER_MS,
            string_bytes=TEXT_BYTES if type is ValueType.STRING else 0,
            states=ALARM_STATES if type is ValueType.BOOL else {},
            alert=_alarm(name) if type is ValueType.BOOL else None,
        )


def _alarm(name: str) -> Alert:
    what = name.removeprefix(f"{FOLDER}.").removesuffix(".alarm")
    return Alert(f"ODD: {what}", values=(True,), in_status=False)
