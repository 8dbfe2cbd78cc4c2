"""Where the points of a model lie in its registers, and what they say. Pure: registers and definition in, points out.

address   id  L  points …  group 1: points … groups …  group 2 …
          └ model.address     each as often as a count point says, or as often as L has room for

Nothing past L is ever taken, whatever the counts say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.config.modbus import RegisterType
from gateway.drivers.sunspec.definitions import Form, GroupDefinition, PointDefinition

HEAD_REGISTERS = 2  # a model's number and its length, which the length does not count
_NO_SCALE_FACTOR = 0x8000
MAX_POWER = 10  # SunSpec Device Information Model Specification 1.1, 4.2.8
LEGACY_COMMON = (1, 65)  # model 1 without its pad register, as older devices have it

_F, _R = Form, RegisterType
# SunSpec Device Information Model Specification 1.1, 4.2: how each type says "not implemented"
REGISTER_TYPES = {
    _F.INT16: _R.INT16, _F.INT32: _R.INT32, _F.INT64: _R.INT64,
    _F.UINT16: _R.UINT16, _F.UINT32: _R.UINT32, _F.UINT64: _R.UINT64,
    _F.ACC16: _R.UINT16, _F.ACC32: _R.UINT32, _F.ACC64: _R.UINT64,
    _F.ENUM16: _R.UINT16, _F.ENUM32: _R.UINT32,
    _F.BITFIELD16: _R.UINT16, _F.BITFIELD32: _R.UINT32, _F.BITFIELD64: _R.UINT64,
    _F.FLOAT32: _R.FLOAT32, _F.FLOAT64: _R.FLOAT64, _F.COUNT: _R.UINT16,
    _F.STRING: _R.STRING, _F.IPADDR: _R.UINT32, _F.EUI48: _R.UINT64,
}  # fmt: skip
NOT_IMPLEMENTED = {
    _F.INT16: 0x8000, _F.INT32: 0x8000_0000, _F.INT64: 0x8000_0000_0000_0000,
    _F.UINT16: 0xFFFF, _F.UINT32: 0xFFFF_FFFF, _F.UINT64: 0xFFFF_FFFF_FFFF_FFFF,
    _F.ACC16: 0, _F.ACC32: 0, _F.ACC64: 0,
    _F.ENUM16: 0xFFFF, _F.ENUM32: 0xFFFF_FFFF,
    _F.BITFIELD16: 0xFFFF, _F.BITFIELD32: 0xFFFF_FFFF, _F.BITFIELD64: 0xFFFF_FFFF_FFFF_FFFF,
    _F.FLOAT32: 0x7FC0_0000, _F.FLOAT64: 0x7FF8_0000_0000_0000, _F.COUNT: 0xFFFF,
    _F.STRING: 0, _F.IPADDR: 0, _F.IPV6ADDR: 0, _F.EUI48: 0xFFFF_FFFF_FFFF,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Model:
    """A model as it was read: ``registers`` are all of its bytes, number and length included."""

    number: int
    address: int
    registers: bytes

    @property
    def length(self) -> int:
        """L: registers after the head."""
        return len(self.registers) // 2 - HEAD_REGISTERS


@dataclass(frozen=True, slots=True)
class LaidPoint:
    """A point in its place. ``path`` are the groups it is in, those that repeat with their number, from 1.

    ``scale_factor`` is the address of the register that tells the power of ten, and ``power`` what it said, or a
    constant one where there is no such register. ``is_writable`` is False within a set that says it is read-only.
    """

    definition: PointDefinition
    path: tuple[str, ...]
    address: int
    octets: bytes
    scale_factor: int | None
    power: int | None
    is_writable: bool

    @property
    def is_implemented(self) -> bool:
        """Whether it said a value when it was read."""
        pattern = int.from_bytes(self.octets, "big")
        return pattern != NOT_IMPLEMENTED[self.definition.form] and (
            self.definition.scale_factor is None or self.power is not None
        )

    @property
    def text(self) -> str:
        """Of a string."""
        return self.octets.partition(b"\0")[0].decode(errors="replace").strip()


@dataclass(frozen=True, slots=True)
class Laid:
    """A model's points, but for pads and what only serves others, and what is odd about them."""

    points: tuple[LaidPoint, ...]
    trouble: str = ""


def lay_out(model: Model, definition: GroupDefinition) -> Laid:
    """All points that the model's registers hold."""
    return _Layout(model).laid(definition)


_SERVING = frozenset({Form.PAD, Form.SUNSSF})  # they are no values of their own


class _Layout:
    def __init__(self, model: Model) -> None:
        self._model = model
        self._end = len(model.registers) // 2
        self._points: list[LaidPoint] = []

    def laid(self, definition: GroupDefinition) -> Laid:
        model = self._model
        end = self._group(definition, 0, (), ())
        trouble = ""
        if end != self._end and (model.number, model.length) != LEGACY_COMMON:
            trouble = f"it is {model.length} registers long, and by its definition {end - HEAD_REGISTERS}"
        return Laid(tuple(self._points), trouble)

    def _group(
        self,
        group: GroupDefinition,
        offset: int,
        path: tuple[str, ...],
        scopes: tuple[dict[str, int], ...],
    ) -> int:
        """Lay one repetition from ``offset``; the offset after it. ``scopes``: offsets by name, outermost first."""
        places: dict[str, int] = {}
        start = offset
        for point in group.points:
            places[point.name] = offset
            offset += point.registers
        scopes = (*scopes, places)
        is_fixed = self._word(scopes, "ReadOnly") == 1 if "ReadOnly" in places else False
        self._place(group.points, start, path, scopes, is_fixed=is_fixed)
        first_inner = len(self._points)
        for inner in group.groups:
            offset = self._repeat(inner, offset, path, scopes)
        if is_fixed:  # what is within it is as read-only
            for place in range(first_inner, len(self._points)):
                self._points[place] = _read_only(self._points[place])
        return offset

    def _repeat(
        self,
        group: GroupDefinition,
        offset: int,
        path: tuple[str, ...],
        scopes: tuple[dict[str, int], ...],
    ) -> int:
        if group.count == 1:
            return self._group(group, offset, (*path, group.name), scopes)
        count = self._count(group.count, scopes)
        number = 0
        while offset < self._end and (count == 0 or number < count):
            if count == 0 and group.count != 0:
                break  # a count that is told, and is none
            number += 1
            after = self._group(group, offset, (*path, f"{group.name}{number}"), scopes)
            assert after > offset, f"{group.name} has no points"
            offset = after
        return offset

    def _count(self, count: int | str, scopes: tuple[dict[str, int], ...]) -> int:
        if isinstance(count, int):
            return count
        told = self._word(scopes, count)
        return 0 if told in (None, 0xFFFF) else told or 0

    def _place(
        self,
        points: Sequence[PointDefinition],
        offset: int,
        path: tuple[str, ...],
        scopes: tuple[dict[str, int], ...],
        *,
        is_fixed: bool,
    ) -> None:
        for point in points:
            start, offset = offset, offset + point.registers
            if point.form in _SERVING or offset > self._end or (not path and start < HEAD_REGISTERS):
                continue
            power: int | None = None
            factor: int | None = None
            if isinstance(point.scale_factor, int):
                power = point.scale_factor
            elif point.scale_factor is not None:
                found = self._offset_of(scopes, point.scale_factor)
                factor = None if found is None else self._model.address + found
                told = self._word(scopes, point.scale_factor)
                power = None if told in (None, _NO_SCALE_FACTOR) else _signed(told or 0)
                if power is not None and abs(power) > MAX_POWER:
                    power = None
            self._points.append(
                LaidPoint(
                    definition=point,
                    path=path,
                    address=self._model.address + start,
                    octets=self._model.registers[2 * start : 2 * offset],
                    scale_factor=factor,
                    power=power,
                    is_writable=point.is_writable and not is_fixed,
                )
            )

    def _offset_of(self, scopes: tuple[dict[str, int], ...], name: str) -> int | None:
        """Of a point of this group or one around it, the innermost."""
        for places in reversed(scopes):
            if name in places and places[name] < self._end:
                return places[name]
        return None

    def _word(self, scopes: tuple[dict[str, int], ...], name: str) -> int | None:
        offset = self._offset_of(scopes, name)
        if offset is None:
            return None
        return int.from_bytes(self._model.registers[2 * offset : 2 * offset + 2], "big")


def _read_only(point: LaidPoint) -> LaidPoint:
    return LaidPoint(
        point.definition, point.path, point.address, point.octets, point.scale_factor, point.power, False
    )


def _signed(word: int) -> int:
    return word - (word >> 15 << 16)
