"""Templates and devices to tags and Modbus devices: parameters filled in, copies made, names given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config.document import HOLE, Hole, ListNode, MappingNode, Node, ScalarNode
from gateway.config.expression import Parameter, Scope
from gateway.config.fault import FaultLog, Place, quote, suggestion
from gateway.config.kinds import Reading, Settings, describe
from gateway.config.modbus import PollGroup
from gateway.config.protocol import DeviceProtocol, Placed, TagShape
from gateway.config.protocols import PROTOCOLS
from gateway.config.shared_lines import SharedLines
from gateway.config.site import NO_TAG, Tag
from gateway.config.site_keys.devices.section import (
    ARGUMENTS,
    BODY,
    DEVICE,
    DEVICE_BODY,
    MAX_REPEAT,
    MAX_TAGS,
    PARAMETERS,
    PROTOCOL_KEYS,
    REPEAT,
    TEMPLATE,
)
from gateway.config.site_keys.values import AREA_PATH, DESCRIPTION
from gateway.config.system import TAGS_PER_DEVICE, device_tags

COPY_NUMBER = "n"  # what a repeated device calls its number
MIN_STALE_MS = 1_000  # a default below this would flicker on an ordinary network
STALE_PERIODS = 3  # two lost answers in a row are no alarm yet
# What Tieline tells of itself is in `_system.parts`, `_system.scan` and `_system.follow`.
RESERVED_DEVICES = frozenset({"parts", "scan", "follow", "control", "forward", "events"})
_ARTICLES = {"integer": "an integer", "number": "a number", "string": "a string", "boolean": "true or false"}

_NAME_IN_EXPRESSION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPRESSION = re.compile(r"\$\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class _Parameter:
    type: str
    default: Parameter | None
    is_sound: bool


@dataclass(frozen=True, slots=True)
class _Template:
    name: str
    node: Node
    parameters: Mapping[str, _Parameter]


@dataclass(frozen=True, slots=True)
class _Copy:
    """One device to be: its name, the node of its body, and what ``${...}`` may use there."""

    name: str
    area: str
    place: Place
    settings: Settings
    scope: Scope


@dataclass(frozen=True, slots=True)
class _Read:
    """A body that was read, as far as it could be."""

    protocol: DeviceProtocol[Any, Any]
    connection: Settings | None
    groups: tuple[PollGroup, ...] | None
    shapes: list[TagShape]


class Expansion:
    """Collects the devices of a site: first all `add_template`, then all `add_device`, then `build`."""

    def __init__(self, areas: Mapping[str, Place], faults: FaultLog) -> None:
        self._areas = areas
        self._faults = faults
        self._templates: dict[str, _Template] = {}
        self._device_places: dict[str, Place] = {}
        self._shapes: dict[tuple[Any, ...], TagShape | None] = {}
        self._names_used: dict[int, tuple[str, ...]] = {}
        self._checked_overlaps: set[tuple[int, ...]] = set()
        self._shared = SharedLines(faults)
        self._tag_count = 0
        self._pending: list[tuple[_Copy, _Read]] = []

    def add_template(self, name: ScalarNode, node: Node) -> None:
        """Check a template as far as can be without its parameters' values, and keep it for devices."""
        with self._faults.within(f"template {name.text}"):
            parameters = self._parameters(node)
            self._templates[name.text] = _Template(name.text, node, parameters)
            scope: dict[str, Parameter | Hole] = {}
            for parameter, spec in parameters.items():
                scope[parameter] = HOLE if spec.default is None else spec.default
            settings = TEMPLATE.read(node, name.text, Reading(self._faults, scope))
            if isinstance(settings, Settings):
                self._read_body(settings, scope)

    def _parameters(self, node: Node) -> dict[str, _Parameter]:
        if not isinstance(node, MappingNode):
            return {}
        declared = next((value for key, value in node.entries if key.text == "parameters"), None)
        if declared is None:
            return {}
        parameters: dict[str, _Parameter] = {}
        reading = Reading(self._faults)
        for key, item in PARAMETERS.entries(declared, "parameters", reading):
            settings = PARAMETERS.value.read(item, key.text, reading)
            if not isinstance(settings, Settings):
                parameters[key.text] = _Parameter("", None, False)
                continue
            type, default = settings["type"], settings["default"]
            is_sound = settings.is_sound("type", "default") or (
                type is not None and "default" not in settings
            )
            if is_sound and default is not None:
                default = self._fitting(key.text, default, type, settings.at("default"), "default of ")
                is_sound = default is not None
            parameters[key.text] = _Parameter(type or "", default, is_sound)
        return parameters

    def _fitting(
        self, name: str, value: Parameter, type: str, place: Place, what: str = ""
    ) -> Parameter | None:
        """The value as the parameter's type, or None after a fault."""
        is_bool = isinstance(value, bool)
        match type:
            case "integer" if isinstance(value, int) and not is_bool:
                return value
            case "number" if isinstance(value, int | float) and not is_bool:
                return value
            case "string" if isinstance(value, str):
                return value
            case "boolean" if is_bool:
                return value
        article = _ARTICLES[type]
        mend = "write it in quotes" if type == "string" else f"write {article}"
        self._faults.add(place, f"{what}parameter {quote(name)} is {describe(value)}, not {article}", mend)
        return None

    def add_device(self, name: ScalarNode, node: Node) -> None:
        """A device, or as many copies of it as `repeat` says."""
        with self._faults.within(f"device {name.text}"):
            settings = DEVICE.read(node, name.text, Reading(self._faults, {}))
            if not isinstance(settings, Settings):
                return
            if name.text in RESERVED_DEVICES:
                self._faults.add(
                    name.place, f"the device name {quote(name.text)}, which Tieline uses", "rename it"
                )
            numbers = self._numbers(settings)
        for place, number in enumerate(numbers or ()):
            left = len(numbers or ()) - place
            scope: dict[str, Parameter | Hole] = {} if number is None else {COPY_NUMBER: number}
            device = name.text if number is None else f"{name.text}{number}"
            with self._faults.within(f"device {device}"):
                if not self._claim(device, name.place):
                    continue
                copy = self._copy(device, name, node, settings, scope)
                if copy is not None and not self._add_copy(copy, left):
                    return

    def _numbers(self, settings: Settings) -> list[int] | list[None] | None:
        """The copies' numbers; [None] where the device is not repeated, None after a fault."""
        if "repeat" not in settings:
            return [None]
        text: str | None = settings["repeat"]
        if text is None:
            return None
        match = re.fullmatch(REPEAT, text)
        assert match is not None, text
        first, last = int(match[1]), int(match[2])
        if first > last:
            self._faults.add(
                settings.at("repeat"), f"'repeat' goes from {first} to {last}", "write the lower number first"
            )
            return None
        if last - first >= MAX_REPEAT:
            self._faults.add(
                settings.at("repeat"),
                f"'repeat' makes {last - first + 1} devices",
                f"make at most {MAX_REPEAT}",
            )
            return None
        return list(range(first, last + 1))

    def _claim(self, device: str, place: Place) -> bool:
        first = self._device_places.get(device)
        if first is None:
            self._device_places[device] = place
            return True
        where = f"line {first.line}" if first.file == place.file else str(first)
        self._faults.add(
            place, f"the device {quote(device)} a second time (first in {where})", "rename one of the two"
        )
        return False

    def _copy(
        self, device: str, name: ScalarNode, node: Node, settings: Settings, scope: Scope
    ) -> _Copy | None:
        reading = Reading(self._faults, scope)
        area = self._area(settings, reading)
        if settings["description"] is not None:
            DESCRIPTION.read(settings["description"], "description", reading)
        if "template" in settings:
            template = self._template(settings)
            given = self._arguments(settings, reading)
            for key in BODY:
                if key.name in settings:
                    self._faults.add(
                        settings.key_at(key.name),
                        f"{quote(key.name)} in a device with a template",
                        "remove it, or remove 'template'; the template says this",
                    )
            if template is None:
                return None
            filled = self._fill(template, given, settings, name)
            body = TEMPLATE.read(template.node, template.name, Reading(self._faults, filled))
            scope = filled
        else:
            if "with" in settings:
                self._faults.add(
                    settings.key_at("with"),
                    "'with' in a device without 'template'",
                    "remove it, or name a template",
                )
            if not any(key.name in settings for key in BODY):
                self._faults.add(
                    name.place,
                    f"the device {quote(name.text)} without a template",
                    "add 'template: ...', or describe it here: protocol, connection, groups, points",
                )
                return None
            body = DEVICE_BODY.read(node, name.text, reading)
        if not isinstance(body, Settings):
            return None
        # A faulty area is no reason to leave the rest of the device unread.
        return _Copy(device, area or "", name.place, body, scope)

    def _area(self, settings: Settings, reading: Reading) -> str | None:
        node = settings["area"]
        area = AREA_PATH.read(node, "area", reading) if node is not None else HOLE
        if isinstance(area, Hole):
            return None
        if area not in self._areas:
            if not self._faults.unsure:
                self._faults.add(
                    settings.at("area"),
                    f"the unknown area {quote(area)}",
                    suggestion(area, self._areas, "add it under 'areas'"),
                )
            return None
        return area

    def _template(self, settings: Settings) -> _Template | None:
        name: str | None = settings["template"]
        if name is None or name in self._templates:
            return self._templates[name] if name is not None else None
        if not self._faults.unsure:
            self._faults.add(
                settings.at("template"),
                f"the unknown template {quote(name)}",
                suggestion(name, self._templates, "add it under 'templates', or include its file"),
            )
        return None

    def _arguments(
        self, settings: Settings, reading: Reading
    ) -> dict[str, tuple[Parameter | Hole, Place, Place]]:
        node = settings["with"]
        if node is None:
            return {}
        return {
            key.text: (ARGUMENTS.value.read(item, key.text, reading), key.place, item.place)
            for key, item in ARGUMENTS.entries(node, "with", reading)
        }

    def _fill(
        self,
        template: _Template,
        given: dict[str, tuple[Parameter | Hole, Place, Place]],
        settings: Settings,
        name: ScalarNode,
    ) -> dict[str, Parameter | Hole]:
        filled: dict[str, Parameter | Hole] = {}
        for parameter, (value, key_place, place) in given.items():
            spec = template.parameters.get(parameter)
            if spec is None and self._faults.unsure:
                continue
            if spec is None:
                self._faults.add(
                    key_place,
                    f"the unknown parameter {quote(parameter)} of template {quote(template.name)}",
                    suggestion(parameter, template.parameters, "remove it"),
                )
            elif isinstance(value, Hole) or not spec.type:
                filled[parameter] = HOLE
            else:
                fitting = self._fitting(parameter, value, spec.type, place)
                filled[parameter] = HOLE if fitting is None else fitting
        for parameter, spec in template.parameters.items():
            if parameter in filled:
                continue
            if spec.default is None and spec.is_sound:
                place = settings.key_at("with") if "with" in settings else name.place
                self._faults.add(
                    place,
                    f"no value for parameter {quote(parameter)} of template {quote(template.name)}",
                    f"add 'with: {{{parameter}: ...}}', {_ARTICLES[spec.type]}",
                )
            filled[parameter] = HOLE if spec.default is None else spec.default
        return filled

    def _groups(self, settings: Settings) -> tuple[PollGroup, ...] | None:
        read: dict[str, Settings | Hole] | None = settings["groups"]
        if read is None:
            return None
        if not read:
            self._faults.add(settings.at("groups"), "no poll group", "add one: 'fast: {period_ms: 1000}'")
            return None
        groups: list[PollGroup] = []
        for name, group in read.items():
            if isinstance(group, Hole):
                return None
            period, stale = group["period_ms"], group["stale_after_ms"]
            if not group.is_sound("period_ms", "stale_after_ms"):
                return None
            if stale is None:
                stale = max(STALE_PERIODS * period, MIN_STALE_MS)
            elif stale < period:
                self._faults.add(
                    group.at("stale_after_ms"),
                    f"'stale_after_ms' is {stale}, shorter than the period of {period} ms",
                    f"write at least {period}; {STALE_PERIODS * period} forgives two lost answers",
                )
            groups.append(PollGroup(name, period, stale))
        return tuple(groups)

    def _read_body(self, settings: Settings, scope: Scope) -> _Read:
        """Connection, groups and points, as the device's protocol has them."""
        reading = Reading(self._faults, scope)
        name = settings["protocol"]
        protocol, keys = PROTOCOLS[name or "modbus"], PROTOCOL_KEYS[name or "modbus"]
        for other in PROTOCOL_KEYS.values():
            for key in sorted(other.own - keys.own):
                if key in settings:
                    self._faults.add(
                        settings.key_at(key),
                        f"{quote(key)} of a device that speaks {name}",
                        f"remove '{key}'",
                    )
        groups = self._groups(settings)
        node = settings["connection"]
        connection = keys.connection.read(node, "connection", reading) if node is not None else None
        if not isinstance(connection, Settings):
            connection = None
        body = protocol.body(settings, connection, groups, self._faults)
        read = _Read(protocol, connection, groups, [])
        points: Node | None = settings["points"]
        if points is None or ("addressing" in settings and settings["addressing"] is None):
            return read
        for point, item in keys.points.entries(points, "points", reading):
            # Copies of a device mostly have the same points: read each once for every set of values it uses.
            values = tuple((scope.get(used), type(scope.get(used))) for used in self._used_by(item))
            known = (id(item), body, values)
            if known not in self._shapes:
                self._shapes[known] = protocol.point(point, item, body, reading)
            shape = self._shapes[known]
            if shape is not None:
                read.shapes.append(shape)
        if isinstance(points, MappingNode) and not points.entries:
            self._faults.add(points.place, "a device without points", "add its points")
        key_of_all = tuple(id(shape) for shape in read.shapes)
        if key_of_all not in self._checked_overlaps:
            self._checked_overlaps.add(key_of_all)
            protocol.check(read.shapes, self._faults)
        return read

    def _used_by(self, node: Node) -> tuple[str, ...]:
        """Names that a node's expressions use."""
        if not node.has_expression:
            return ()
        known = self._names_used.get(id(node))
        if known is None:
            names: set[str] = set()
            stack = [node]
            while stack:
                item = stack.pop()
                if isinstance(item, ScalarNode):
                    for expression in _EXPRESSION.findall(item.text):
                        names.update(_NAME_IN_EXPRESSION.findall(expression))
                elif isinstance(item, ListNode):
                    stack.extend(item.items)
                else:
                    stack.extend(value for _, value in item.entries)
            known = self._names_used[id(node)] = tuple(sorted(names))
        return known

    def _add_copy(self, copy: _Copy, left: int) -> bool:
        """Keep a device; False where, with the ``left`` copies that begin with it, the site grows too large."""
        read = self._read_body(copy.settings, copy.scope)
        of_each = TAGS_PER_DEVICE + len(read.protocol.system) + len(read.shapes)
        self._tag_count += of_each
        if self._tag_count + (left - 1) * of_each > MAX_TAGS:
            self._faults.add(copy.place, f"more than {MAX_TAGS:,} tags in this site", "split the site")
            return False
        if read.groups is None or read.connection is None:
            return True
        self._shared.add(copy.name, read.protocol.name, read.connection)
        self._pending.append((copy, read))
        return True

    def build(self, empty: int = 0) -> tuple[list[Tag], dict[str, list[Any]]]:
        """Tags in image order and the devices by protocol; where there are faults, of those that could be read.

        ``empty`` places come first, then points, device by device as written, then the devices' own counters in the
        same order.
        """
        tags: list[Tag] = [NO_TAG] * empty
        first_system = empty + sum(len(read.shapes) for _, read in self._pending)
        system: list[Tag] = []
        devices: dict[str, list[Any]] = {name: [] for name in PROTOCOLS}
        for copy, read in self._pending:
            assert read.connection is not None
            assert read.groups is not None
            points: list[Placed[Any]] = []
            for shape in read.shapes:
                name = f"{copy.name}.{shape.name}"
                points.append(Placed(name, len(tags), shape))
                tags.append(_tag(name, copy, read.protocol.owner, shape))
            own, indexes = device_tags(
                copy.name, first_system + len(system), read.protocol.owner, read.protocol.system
            )
            system += own
            devices[read.protocol.name].append(
                read.protocol.device(copy.name, copy.settings, read.connection, read.groups, points, indexes)
            )
        return tags + system, devices


def _tag(name: str, copy: _Copy, owner: str, shape: TagShape) -> Tag:
    return Tag(
        name=name,
        type=shape.value_type,
        owner=owner,
        area=copy.area,
        device=copy.name,
        description=shape.description,
        unit=shape.unit,
        low=shape.low,
        high=shape.high,
        deadband=shape.deadband,
        decimals=shape.decimals,
        stale_after_ms=shape.stale_after_ms,
        string_bytes=shape.string_bytes,
        history=shape.history,
        sloped=shape.sloped,
        deviation=shape.deviation,
        write=shape.write,
        states=shape.states,
    )
