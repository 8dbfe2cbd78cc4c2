"""The `logic` section of a site file to settings and tags: what can be judged without reading the programs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from glob import glob, has_magic
from pathlib import Path

from gateway.config.alert_section import read_alert
from gateway.config.document import Hole, Node, ScalarNode
from gateway.config.fault import FaultLog, Place, quote, suggestion
from gateway.config.kinds import Named, Reading, Settings, describe
from gateway.config.known_tag import known_tag
from gateway.config.logic import (
    LogicInput,
    LogicOutput,
    LogicSetpoint,
    LogicSettings,
    LogicTag,
    Number,
    Places,
    Reason,
)
from gateway.config.modbus import RegisterType
from gateway.config.point import RAW_RANGE
from gateway.config.site import Tag, WriteLimits
from gateway.config.site_keys.logic import (
    LOGIC_INPUTS,
    LOGIC_OUTPUTS,
    LOGIC_PROGRAMS,
    LOGIC_RELEASES,
    LOGIC_SETPOINTS,
    LOGIC_TAGS,
    LOGIC_TASKS,
)
from gateway.config.system import DRIVERS_OWNER, SCAN_OWNER, SCAN_STALE_AFTER_MS, follow_tags, scan_tags
from gateway.config.units import contradiction
from gateway.tags.tag import ValueType

MAX_PROGRAMS = 500  # files of one program, as of a site
# A setpoint is written when somebody gives one and then holds for its own time: its age says nothing. 31 years.
NEVER_STALE_MS = 10**12
HOLD = "hold"

_TYPES = {"bool": ValueType.BOOL, "int64": ValueType.INT64, "float64": ValueType.DOUBLE}


def read_logic(
    settings: Settings, tags: Sequence[Tag], areas: Mapping[str, Place], faults: FaultLog
) -> tuple[list[Tag], LogicSettings]:
    """The tags that the logic adds after ``tags``, and the settings; of no use where faults were added."""
    return _Section(settings, tags, areas, faults).read()


def tell_what_releases(logic: LogicSettings, tags: list[Tag]) -> None:
    """In a point's description: a client whose command is refused sees there what lets go of the point."""
    for output in logic.outputs:
        if output.released_by:
            tag = tags[output.tag]
            how = f"held by the logic until {output.release_words} is written"
            words = f"{tag.description} ({how})" if tag.description else how[0].upper() + how[1:]
            tags[output.tag] = replace(tag, description=words)


class _Section:
    """One reading of the section. Where devices have faults, a tag that is not found is none."""

    def __init__(
        self, settings: Settings, tags: Sequence[Tag], areas: Mapping[str, Place], faults: FaultLog
    ) -> None:
        self._settings = settings
        self._tags = tags
        self._areas = areas
        self._faults = faults
        self._reading = Reading(faults)
        self._is_unsure = faults.unsure or len(faults) > 0
        self._index = {tag.name: place for place, tag in enumerate(tags)}
        self._added: list[Tag] = []
        self._names: dict[str, Place] = {}  # of tags that this section adds
        self._setpoint_tags: dict[str, Tag] = {}

    def read(self) -> tuple[list[Tag], LogicSettings]:
        s = self._settings
        programs = tuple(self._programs())
        tasks = tuple(self._tasks())
        published = tuple(self._published())
        setpoints = tuple(self._setpoints())
        # After those that add tags: an output onto one is not unknown but wrong, and an input from one is right.
        outputs = tuple(self._outputs())
        inputs = tuple(self._inputs())
        own, scan = scan_tags(tasks, len(self._tags) + len(self._added))
        return [*self._added, *own, *follow_tags()], LogicSettings(
            programs=programs,
            tasks=tasks,
            watchdog_ms=s["watchdog_ms"],
            priority=s["priority"],
            retain_ms=s["retain_ms"],
            start=s["start"],
            inputs=inputs,
            tags=published,
            outputs=outputs,
            setpoints=setpoints,
            scan=scan,
            places={key: s.at(key) for key in ("programs", "tasks") if key in s} | {"": s.place},
        )

    # ── programs and tasks ─────────────────────────────────────────────────────────────────────────────────────
    def _programs(self) -> Iterator[Path]:
        node = self._settings["programs"]
        if node is None:
            return
        written = LOGIC_PROGRAMS.read_places(node, "programs", self._reading)
        if not written and not getattr(node, "items", (node,)):
            self._faults.add(node.place, "no program", "name one: 'programs: [logic/*.st]'")
        found: dict[str, Path] = {}
        for name, place in written:
            path = os.path.normpath(place.file.parent / name)
            if "\0" in path:
                self._faults.add(place, f"the program {quote(name)} is no path", "mend the path")
                continue
            # Path.glob takes no absolute pattern, and stops at a folder that it may not read.
            found_here = sorted(map(Path, glob(path, recursive=True)))  # noqa: PTH207
            files = [one for one in found_here if one.is_file()]
            if not files:
                self._no_program(place, name, path)
            for one in files:
                found.setdefault(os.path.realpath(one), one)
        if len(found) > MAX_PROGRAMS:
            self._faults.add(node.place, f"{len(found):,} programs", f"name at most {MAX_PROGRAMS}")
            return
        yield from sorted(found.values())

    def _no_program(self, place: Place, name: str, path: str) -> None:
        if has_magic(name):
            self._faults.add(
                place, f"no file is {quote(name)}", "mend the pattern; it is relative to this file"
            )
        else:
            why = "is not a file" if Path(path).exists() else "does not exist"
            self._faults.add(
                place, f"the program {quote(name)} {why}", "mend the path; it is relative to this file"
            )

    def _tasks(self) -> Iterator[str]:
        node = self._settings["tasks"]
        if node is None:
            return
        known: set[str] = set()
        for name, place in LOGIC_TASKS.read_places(node, "tasks", self._reading):
            if name.lower() in known:
                self._faults.add(place, f"the task {quote(name)} a second time", "name it once")
                continue
            known.add(name.lower())
            yield name

    # ── the map ────────────────────────────────────────────────────────────────────────────────────────────────
    def _entries(self, section: str, kind: Named) -> Iterator[tuple[ScalarNode, Settings]]:
        node: Node | None = self._settings[section]
        if node is None:
            return
        for key, item in kind.entries(node, section, self._reading):
            with self._faults.within(f"{section} of the logic"):
                settings = kind.value.read(item, key.text, self._reading)
            if isinstance(settings, Settings):
                with self._faults.within(f"{section} of the logic"):
                    yield key, settings

    def _inputs(self) -> Iterator[LogicInput]:
        for key, s in self._entries("inputs", LOGIC_INPUTS):
            found = self._find(key)
            if found is None:
                continue
            index, tag = found
            self._check_is_number(key, tag)
            self._check_unit_given(s, tag)
            yield LogicInput(key.text, index, s["variable"], s["quality"], s["good"], _places(key, s))

    def _published(self) -> Iterator[LogicTag]:
        for key, s in self._entries("tags", LOGIC_TAGS):
            written: str | None = s["type"]
            if not self._claim(key) or written is None:
                continue
            type = _value_type(RegisterType(written))
            self._check_area(s)
            self._check_number_keys(s, type, ("unit", "range", "deadband", "sloped"))
            self._check_decimals(s, type)
            self._check_states(s, RegisterType(written))
            self._check_unit_of_name(key, s, type)
            safe = _zero(type) if s["safe"] is None else s["safe"]
            if s["safe"] is not None and not self._fits(s, "safe", type):
                continue
            low, high = _span(RegisterType(written))
            if not low <= safe <= high:
                self._faults.add(
                    s.at("safe"),
                    f"'safe' is {_shown(safe)}, which {written} cannot hold",
                    f"write {low:g} to {high:g}",
                )
            range_low, range_high = s["range"] or (None, None)
            index = self._add(
                Tag(
                    name=key.text,
                    type=type,
                    owner=SCAN_OWNER,
                    area=s["area"] or "",
                    device=key.text.partition(".")[0],
                    description=s["description"] or "",
                    unit=s["unit"],
                    low=range_low,
                    high=range_high,
                    deadband=s["deadband"] or 0.0,
                    decimals=s["decimals"],
                    stale_after_ms=SCAN_STALE_AFTER_MS,
                    history=bool(s["history"]),
                    sloped=bool(s["sloped"]),
                    states=s["states"] or {},
                    alert=read_alert(s["alert"], type, self._faults),
                )
            )
            yield LogicTag(key.text, index, s["variable"], written, safe, _places(key, s))

    def _outputs(self) -> Iterator[LogicOutput]:
        for key, s in self._entries("outputs", LOGIC_OUTPUTS):
            found = self._find(key)
            if found is None:
                continue
            index, tag = found
            if index >= len(self._tags):
                self._faults.add(
                    key.place,
                    f"the output {quote(key.text)}, which is no point of a device",
                    "an output is a writable point of a device; what the logic publishes goes to 'tags'",
                )
                continue
            if tag.write is None:
                self._faults.add(
                    key.place,
                    f"the output {quote(key.text)}, which may not be written",
                    "give the point 'write: {...}', or wire another",
                )
                continue
            self._check_is_number(key, tag)
            self._check_unit_given(s, tag)
            safe = self._safe(s, "safe", tag.type, tag.write.low, tag.write.high, "the point's write limits")
            self._check_is_new(key, f"{key.text}.demand")
            demand = self._add(
                replace(
                    tag,
                    name=f"{key.text}.demand",
                    owner=SCAN_OWNER,
                    description=f"What the logic demands of {tag.name}",
                    stale_after_ms=SCAN_STALE_AFTER_MS,
                    history=True,
                    write=None,
                )
            )
            yield LogicOutput(
                key.text,
                index,
                demand,
                s["variable"],
                s["active"],
                safe,
                s["refresh_ms"],
                _places(key, s),
                self._releases(s),
            )

    def _releases(self, s: Settings) -> dict[str, Number]:
        """What people write to which setpoint so that the program lets go."""
        found: dict[str, Number] = {}
        node: Node | None = s["released_by"]
        if node is None:
            return found
        if s["active"] is None:
            self._faults.add(
                s.key_at("released_by"),
                "'released_by' without 'active': the logic always holds the point",
                "add 'active: ...', the variable that tells whether it is held, or remove 'released_by'",
            )
        for key, item in LOGIC_RELEASES.entries(node, "released_by", self._reading):
            value = LOGIC_RELEASES.value.read(item, key.text, self._reading)
            setpoint = self._setpoint_tags.get(key.text)
            if isinstance(value, Hole):
                continue
            if setpoint is None:
                if not self._is_unsure:
                    self._faults.add(
                        key.place,
                        f"{quote(key.text)}, which is no setpoint of the logic",
                        suggestion(key.text, self._setpoint_tags, "name one of 'setpoints'"),
                    )
            elif isinstance(value, str) or isinstance(value, bool) is not (setpoint.type is ValueType.BOOL):
                right = "true or false" if setpoint.type is ValueType.BOOL else "a number"
                self._faults.add(item.place, f"{quote(key.text)} is {describe(value)}", f"write {right}")
            else:
                found[key.text] = value
        return found

    def _setpoints(self) -> Iterator[LogicSetpoint]:
        for key, s in self._entries("setpoints", LOGIC_SETPOINTS):
            written: str | None = s["type"]
            if not self._claim(key) or written is None:
                continue
            type = _TYPES[written]
            self._check_area(s)
            self._check_number_keys(s, type, ("unit", "low", "high", "max_rate_per_s"))
            self._check_decimals(s, type)
            self._check_states(s, RegisterType(written))
            self._check_unit_of_name(key, s, type)
            low, high = self._limits(s, type)
            initial = self._safe(s, "initial", type, low, high, "the limits")
            fallback = self._safe(s, "fallback", type, low, high, "the limits")
            base = len(self._tags) + len(self._added)
            setpoint = Tag(
                name=key.text,
                type=type,
                owner=DRIVERS_OWNER,
                area=s["area"] or "",
                device=key.text.partition(".")[0],
                description=s["description"] or "",
                unit=s["unit"],
                low=low,
                high=high,
                decimals=s["decimals"],
                stale_after_ms=NEVER_STALE_MS,
                write=WriteLimits(s["role"], low, high, 0.0, s["timeout_ms"] or 0),
                states=s["states"] or {},
            )
            self._add(setpoint)
            self._setpoint_tags[key.text] = setpoint
            for companion in _companions(setpoint):
                self._check_is_new(key, companion.name)
                self._add(companion)
            yield LogicSetpoint(
                name=key.text,
                tag=base,
                valid_until=base + 1,
                sequence=base + 2,
                accepted=base + 3,
                answered=base + 4,
                reason=base + 5,
                variable=s["variable"],
                valid=s["valid"],
                low=low,
                high=high,
                max_rate_per_s=s["max_rate_per_s"],
                valid_for_s=s["valid_for_s"] or 0,
                initial=0 if initial is None else initial,
                fallback=fallback,
                places=_places(key, s),
            )

    # ── tags ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _find(self, key: ScalarNode) -> tuple[int, Tag] | None:
        index = known_tag(key.text, self._index, key.place, self._faults, is_unsure=self._is_unsure)
        if index is None:
            return None
        return index, self._tags[index] if index < len(self._tags) else self._added[index - len(self._tags)]

    def _claim(self, key: ScalarNode) -> bool:
        """Whether the name of a tag is free; it is taken then."""
        if key.text in self._index:
            first = self._names.get(key.text)
            where = "the site has it already" if first is None else f"first in line {first.line}"
            self._faults.add(
                key.place, f"the tag {quote(key.text)} a second time ({where})", "rename one of the two"
            )
            return False
        self._names[key.text] = key.place
        return True

    def _check_is_new(self, key: ScalarNode, name: str) -> None:
        if name in self._index:
            self._faults.add(
                key.place, f"the tag {quote(name)} is there already, and Tieline makes it", "rename yours"
            )

    def _add(self, tag: Tag) -> int:
        index = len(self._tags) + len(self._added)
        self._index.setdefault(tag.name, index)
        self._added.append(tag)
        return index

    # ── checks ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _check_is_number(self, key: ScalarNode, tag: Tag) -> None:
        if tag.type is ValueType.STRING:
            self._faults.add(
                key.place, f"{quote(key.text)} is a string", "wire numbers and bools; strings cannot be wired"
            )

    def _check_unit_given(self, s: Settings, tag: Tag) -> None:
        if s["unit"] is not None and s["unit"] != tag.unit:
            has = f"is in '{tag.unit}'" if tag.unit else "has no unit"
            self._faults.add(
                s.at("unit"),
                f"the unit '{s['unit']}' for a tag that {has}",
                f"write '{tag.unit}', or convert in the program" if tag.unit else "remove 'unit'",
            )

    def _check_area(self, s: Settings) -> None:
        area = s["area"]
        if area is not None and area not in self._areas and not self._faults.unsure:
            self._faults.add(
                s.at("area"),
                f"the unknown area {quote(area)}",
                suggestion(area, self._areas, "add it under 'areas'"),
            )

    def _check_number_keys(self, s: Settings, type: ValueType, keys: Sequence[str]) -> None:
        if type is ValueType.BOOL:
            for name in (*keys, "decimals"):
                if name in s:
                    self._faults.add(
                        s.key_at(name), f"{quote(name)} of a bool, which is no number", f"remove '{name}'"
                    )

    def _check_decimals(self, s: Settings, type: ValueType) -> None:
        if type in (ValueType.INT64, ValueType.UINT64) and s["decimals"]:
            self._faults.add(
                s.at("decimals"), f"{s['decimals']} decimals of a whole number", "write 0, or another type"
            )

    def _check_states(self, s: Settings, type: RegisterType) -> None:
        states = s["states"]
        if not states:
            return
        if _value_type(type) is ValueType.DOUBLE:
            self._faults.add(
                s.key_at("states"), "'states' of a number with decimals", "remove it, or write another type"
            )
            return
        low, high = _span(type)
        for value in states:
            if not low <= value <= high:
                self._faults.add(
                    s.at("states"), f"the state {value}, which {type} cannot hold", f"write {low}..{high}"
                )
        labels = list(states.values())
        for label in sorted({label for label in labels if labels.count(label) > 1}):
            self._faults.add(
                s.at("states"), f"two states named {quote(label)}", "give each state a name of its own"
            )

    def _check_unit_of_name(self, key: ScalarNode, s: Settings, type: ValueType) -> None:
        if type is ValueType.BOOL or ("unit" in s and s["unit"] is None):
            return
        wrong = contradiction(key.text.rpartition(".")[2], s["unit"])
        if wrong is not None:
            is_given, found, mend = wrong
            self._faults.add(s.at("unit") if is_given else key.place, found, mend)

    def _limits(self, s: Settings, type: ValueType) -> tuple[float | None, float | None]:
        if type is ValueType.BOOL:
            return None, None
        for name in ("low", "high"):
            if name not in s:
                self._faults.add(s.place, f"a setpoint without {quote(name)}", f"add '{name}: ...'")
        low, high = s["low"], s["high"]
        if low is not None and high is not None and low >= high:
            self._faults.add(
                s.at("low"), f"'low' {low:g} is not below 'high' {high:g}", "write the lower one as 'low'"
            )
            return None, None
        return low, high

    def _fits(self, s: Settings, name: str, type: ValueType) -> bool:
        """Whether a value is of the kind of its tag."""
        value = s[name]
        if type is ValueType.BOOL:
            is_right, right = isinstance(value, bool), "true or false"
        elif type is ValueType.DOUBLE:
            is_right, right = isinstance(value, int | float) and not isinstance(value, bool), "a number"
        else:
            is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            is_right, right = is_whole and not isinstance(value, bool), "a whole number"
        if not is_right:
            self._faults.add(s.at(name), f"{quote(name)} is {describe(value)}", f"write {right}")
        return is_right

    def _safe(
        self, s: Settings, name: str, type: ValueType, low: float | None, high: float | None, whose: str
    ) -> Number | None:
        """A value within limits; None for ``hold``, where that may be said, and after a fault."""
        value = s[name]
        may_hold = name != "initial"
        if value is None or (value == HOLD and may_hold):
            return None
        if isinstance(value, str):
            right = "a number, true or false"
            self._faults.add(
                s.at(name),
                f"{quote(name)} is {describe(value)}",
                f"write {right}{', or hold' if may_hold else ''}",
            )
            return None
        if type is ValueType.STRING or not self._fits(s, name, type):
            return None
        number: Number = int(value) if type in (ValueType.INT64, ValueType.UINT64) else value
        if low is not None and high is not None and not low <= number <= high:
            self._faults.add(
                s.at(name),
                f"{quote(name)} is {_shown(number)}, outside {whose} {low:g} to {high:g}",
                f"write {low:g} to {high:g}{', or hold' if may_hold else ''}",
            )
            return None
        return number


def _companions(setpoint: Tag) -> tuple[Tag, ...]:
    """The five tags beside a setpoint's own, in the order of `LogicSetpoint`."""
    name = setpoint.name
    number = replace(
        setpoint,
        type=ValueType.UINT64,
        unit=None,
        low=None,
        high=None,
        decimals=0,
        write=None,
        states={},
        history=False,
    )
    judged = replace(number, owner=SCAN_OWNER, stale_after_ms=SCAN_STALE_AFTER_MS)
    return (
        replace(
            number,
            name=f"{name}.valid_until",
            type=ValueType.INT64,
            description=f"Until when {name} holds, in ns since 1970",
        ),
        replace(
            number, name=f"{name}.sequence", description=f"Number of the present {name}, higher each time"
        ),
        replace(
            setpoint,
            name=f"{name}.accepted",
            owner=SCAN_OWNER,
            description=f"The {name} that the logic uses",
            stale_after_ms=SCAN_STALE_AFTER_MS,
            write=None,
        ),
        replace(judged, name=f"{name}.answered", description=f"Number of the {name} that was judged last"),
        replace(
            judged,
            name=f"{name}.reason",
            description=f"What became of the last {name}",
            states={reason.value: reason.text for reason in Reason},
            history=True,
        ),
    )


def _places(key: ScalarNode, settings: Settings) -> Places:
    names = (name for name in ("variable", "quality", "good", "active", "safe", "valid") if name in settings)
    return {"tag": key.place, **{name: settings.at(name) for name in names}}


def _value_type(type: RegisterType) -> ValueType:
    if type is RegisterType.BOOL:
        return ValueType.BOOL
    if type in (RegisterType.FLOAT32, RegisterType.FLOAT64):
        return ValueType.DOUBLE
    low, _ = RAW_RANGE[type]
    return ValueType.INT64 if low < 0 else ValueType.UINT64


def _span(type: RegisterType) -> tuple[float, float]:
    return (0, 1) if type is RegisterType.BOOL else RAW_RANGE[type]


def _zero(type: ValueType) -> Number:
    return False if type is ValueType.BOOL else 0


def _shown(value: Number) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
