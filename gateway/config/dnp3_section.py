"""The `dnp3` section of the servers to an outstation's settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.config.dnp3 import (
    ControlModel,
    Outstation,
    OutstationMaster,
    OutstationPoint,
    PointKind,
)
from gateway.config.document import Node, ScalarNode
from gateway.config.fault import FaultLog, quote, suggestion
from gateway.config.kinds import Named, Reading, Settings
from gateway.config.known_tag import known_tag
from gateway.config.site import Tag
from gateway.config.site_keys.servers.dnp3 import DNP3_MASTERS, DNP3_POINTS
from gateway.config.tls import TlsFiles, read_tls
from gateway.tags.tag import ValueType

_WHOLE = frozenset({ValueType.INT64, ValueType.UINT64})
_TYPES = {
    PointKind.BINARY: (frozenset({ValueType.BOOL}), "a bool"),
    PointKind.BINARY_OUTPUT: (frozenset({ValueType.BOOL}), "a bool"),
    PointKind.DOUBLE_BIT: (_WHOLE, "a whole number: 0 between, 1 off, 2 on, 3 faulty"),
    PointKind.COUNTER: (_WHOLE | {ValueType.DOUBLE}, "a number"),
    PointKind.ANALOG: (_WHOLE | {ValueType.DOUBLE}, "a number"),
    PointKind.ANALOG_OUTPUT: (_WHOLE | {ValueType.DOUBLE}, "a number"),
    PointKind.OCTET_STRING: (frozenset({ValueType.STRING}), "a string"),
}
_NUMBERS = frozenset({PointKind.COUNTER, PointKind.ANALOG, PointKind.ANALOG_OUTPUT})
# Variations that each type has (IEEE 1815 Annex A): static, event.
_VARIATIONS = {
    PointKind.BINARY: ((1, 2), (1, 2, 3)),
    PointKind.DOUBLE_BIT: ((1, 2), (1, 2, 3)),
    PointKind.BINARY_OUTPUT: ((1, 2), (1, 2)),
    PointKind.COUNTER: ((1, 2, 5, 6), (1, 2, 5, 6)),
    PointKind.ANALOG: ((1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6, 7, 8)),
    PointKind.ANALOG_OUTPUT: ((1, 2, 3, 4), (1, 2, 3, 4, 5, 6, 7, 8)),
    PointKind.OCTET_STRING: ((), ()),
}


def read_outstation(
    settings: Settings, tags: Sequence[Tag], users: frozenset[str] | None, faults: FaultLog
) -> Outstation:
    """The settings; of no use where faults were added. ``users`` None: they could not be read."""
    return _Section(settings, tags, users, faults).read()


class _Section:
    def __init__(
        self, settings: Settings, tags: Sequence[Tag], users: frozenset[str] | None, faults: FaultLog
    ) -> None:
        self._settings = settings
        self._tags = tags
        self._users = users
        self._faults = faults
        self._reading = Reading(faults)
        self._is_unsure = faults.unsure or len(faults) > 0
        self._index = {tag.name: place for place, tag in enumerate(tags)}

    def read(self) -> Outstation:
        s = self._settings
        return Outstation(
            host=s["host"],
            port=s["port"],
            address=s["address"],
            masters=tuple(self._masters()),
            points=tuple(self._points()),
            tls=self._tls(),
            events=s["events"],
            confirm_timeout_ms=s["confirm_timeout_ms"],
            select_timeout_ms=s["select_timeout_ms"],
            operate_timeout_ms=s["operate_timeout_ms"],
            unsolicited_hold_ms=s["unsolicited_hold_ms"],
            unsolicited_retries=s["unsolicited_retries"],
            unsolicited_pause_ms=s["unsolicited_pause_ms"],
            keep_alive_ms=s["keep_alive_ms"],
            needs_time=bool(s["needs_time"]),
        )

    def _entries(self, section: str, kind: Named) -> Iterator[tuple[ScalarNode, Settings]]:
        node: Node | None = self._settings[section]
        if node is None:
            return
        for key, item in kind.entries(node, section, self._reading):
            with self._faults.within(f"{section} of the DNP3 outstation"):
                found = kind.value.read(item, key.text, self._reading)
                if isinstance(found, Settings):
                    yield key, found

    def _masters(self) -> Iterator[OutstationMaster]:
        known: dict[int, str] = {}
        for key, s in self._entries("masters", DNP3_MASTERS):
            address: int | None = s["address"]
            if address is None or not s.is_sound("hosts"):
                continue
            if address in known:
                self._faults.add(
                    s.at("address"),
                    f"'address' is {address}, as of {quote(known[address])}",
                    "give each master an address of its own",
                )
            elif address == self._settings["address"]:
                self._faults.add(
                    s.at("address"), f"'address' is {address}, the outstation's own", "give it another"
                )
            known[address] = key.text
            if not s["hosts"]:
                self._faults.add(
                    s.at("hosts"), "'hosts' is empty", "name the addresses that it may connect from"
                )
            user: str | None = s["user"]
            if user is not None and self._users is not None and user not in self._users:
                self._faults.add(
                    s.at("user"),
                    f"the unknown user {quote(user)}",
                    suggestion(user, self._users, "add it under 'users'"),
                )
            yield OutstationMaster(address, tuple(s["hosts"]), user, bool(s["unsolicited"]))

    def _points(self) -> Iterator[OutstationPoint]:
        known: dict[tuple[PointKind, int], str] = {}
        for key, s in self._entries("points", DNP3_POINTS):
            kind: PointKind | None = s["type"]
            place = self._find(key)
            if kind is None or s["index"] is None or place is None:
                continue
            self._check_type(key, kind, self._tags[place])
            self._check_keys(s, kind)
            number = (kind, s["index"])
            if number in known:
                self._faults.add(
                    s.at("index"),
                    f"'index' is {s['index']}, as of {quote(known[number])}",
                    f"give each {kind} an index of its own",
                )
            known[number] = key.text
            control = s["control"]
            if control is None and kind is PointKind.BINARY_OUTPUT:
                control = ControlModel.LATCH
            yield OutstationPoint(
                kind=kind,
                index=s["index"],
                tag=place,
                name=key.text,
                event_class=s["class"] or 0,
                static_variation=s["static"] or 0,
                event_variation=s["event"] or 0,
                deadband=s["deadband"] or 0.0,
                scale=1.0 if s["scale"] is None else s["scale"],
                frozen_class=s["frozen_class"],
                control=control,
                select=_is_selected(self._tags[place]),
            )

    def _find(self, key: ScalarNode) -> int | None:
        return known_tag(key.text, self._index, key.place, self._faults, is_unsure=self._is_unsure)

    def _check_type(self, key: ScalarNode, kind: PointKind, tag: Tag) -> None:
        types, wanted = _TYPES[kind]
        if tag.type not in types:
            self._faults.add(
                key.place,
                f"{quote(key.text)} as {kind}, but it is {tag.type.name}",
                f"a point of this type is {wanted}",
            )
        if kind in (PointKind.BINARY_OUTPUT, PointKind.ANALOG_OUTPUT) and tag.write is None:
            self._faults.add(
                key.place,
                f"{quote(key.text)} as {kind}, but it may not be written",
                "give the point 'write: {...}', or take a type that is no output",
            )

    def _check_keys(self, s: Settings, kind: PointKind) -> None:
        allowed = {
            "deadband": _NUMBERS,
            "scale": _NUMBERS,
            "frozen_class": frozenset({PointKind.COUNTER}),
            "control": frozenset({PointKind.BINARY_OUTPUT}),
        }
        for name, kinds in allowed.items():
            if s[name] is not None and kind not in kinds:
                self._faults.add(s.key_at(name), f"{quote(name)} of type {kind}", f"remove {quote(name)}")
        for name, variations in zip(("static", "event"), _VARIATIONS[kind], strict=True):
            if s[name] is not None and s[name] not in variations:
                right = ", ".join(map(str, variations))
                self._faults.add(
                    s.at(name),
                    f"{quote(name)} is {s[name]}, which {kind} has not",
                    f"write one of {right}" if variations else f"remove {quote(name)}",
                )

    def _tls(self) -> TlsFiles | None:
        s: Settings | None = self._settings["tls"]
        return None if s is None else read_tls(s, self._faults)


def _is_selected(tag: Tag) -> bool:
    return tag.write is not None and tag.write.handling.select_ms > 0
