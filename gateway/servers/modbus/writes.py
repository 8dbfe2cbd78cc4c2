"""What a write asks for: all of its points checked before any is commanded. Pure.

Modbus Application Protocol 1.1b3, 6.5, 6.6, 6.11, 6.12, 6.16 and 6.17.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.config.modbus_server import ServedPoint
from gateway.config.registers import DecodeError, decode
from gateway.config.site import Role, Tag
from gateway.servers.modbus.exceptions import ExceptionCode, RefusedError
from gateway.servers.modbus.register_map import Span
from gateway.servers.modbus.view import told_registers
from gateway.tags.quality import is_bad
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType

Now = Callable[[Span], Sequence[tuple[Value, int]]]  # value and status of each point
_RANKS = {role: rank for rank, role in enumerate(Role)}
_ON = 0xFFFF


@dataclass(frozen=True, slots=True)
class Wish:
    """``tag`` shall be ``value``."""

    tag: Tag
    value: Value


class WriteCheck:
    """What a client with this role may write; without one, nothing."""

    def __init__(self, tags: Sequence[Tag], role: Role | None, now: Now) -> None:
        self._tags = tags
        self._role = role
        self._now = now

    def coils(self, span: Span, values: Sequence[bool]) -> list[Wish]:
        """Raises RefusedError, as all below."""
        return [self._wish(point, value) for point, value in zip(span.points, values, strict=True)]

    def registers(self, span: Span, octets: bytes) -> list[Wish]:
        """Registers as they came."""
        wishes: list[Wish] = []
        for address, points in span.registers():
            start = 2 * (address - span.address)
            if points[0].bit is not None:
                word = int.from_bytes(octets[start : start + 2], "big")
                wishes += self._changed_bits(span, points, word)
            else:
                wishes.append(self._number(points[0], octets[start : start + 2 * points[0].registers]))
        return wishes

    def mask(self, span: Span, and_mask: int, or_mask: int) -> list[Wish]:
        """One register becomes (itself AND ``and_mask``) OR (``or_mask`` AND NOT ``and_mask``)."""
        touched = ~and_mask & _ON
        if span.points[0].bit is None:
            point = span.points[0]
            value, status = self._now(span)[0]
            self._may(point)
            if is_bad(status) and touched != _ON:
                raise RefusedError(ExceptionCode.DEVICE_FAILURE)  # there is nothing to change
            word = 0 if is_bad(status) else int.from_bytes(told_registers(point, value, status), "big")
            return [self._number(point, (word & and_mask | or_mask & touched).to_bytes(2, "big"))]
        by_bit = {point.bit: point for point in span.points}
        wishes = []
        for bit in range(16):
            if touched >> bit & 1:
                if bit not in by_bit:
                    raise RefusedError(ExceptionCode.ILLEGAL_ADDRESS)
                wishes.append(self._wish(by_bit[bit], bool(or_mask >> bit & 1)))
        return wishes

    def _changed_bits(self, span: Span, points: Sequence[ServedPoint], word: int) -> list[Wish]:
        """Of a whole register of bits those that are to change: the others came along because they had to."""
        known = dict(zip(span.points, self._now(span), strict=True))
        wishes: list[Wish] = []
        rest = word
        for point in points:
            assert point.bit is not None
            wanted = bool(word >> point.bit & 1)
            rest &= ~(1 << point.bit)
            value, status = known[point]
            if is_bad(status) or value is not wanted:
                wishes.append(self._wish(point, wanted))
        if rest:
            raise RefusedError(ExceptionCode.ILLEGAL_VALUE)  # bits that nobody has
        return wishes

    def _number(self, point: ServedPoint, octets: bytes) -> Wish:
        try:
            return self._wish(point, decode(point, octets))
        except DecodeError:
            raise RefusedError(ExceptionCode.ILLEGAL_VALUE) from None

    def _may(self, point: ServedPoint) -> Tag:
        tag = self._tags[point.tag]
        if not point.writable or tag.write is None:
            raise RefusedError(ExceptionCode.ILLEGAL_ADDRESS)
        if self._role is None or _RANKS[self._role] < _RANKS[tag.write.role]:
            raise RefusedError(ExceptionCode.ILLEGAL_FUNCTION)
        return tag

    def _wish(self, point: ServedPoint, value: Value) -> Wish:
        tag = self._may(point)
        typed = _typed(tag.type, value)
        limits = tag.write
        assert limits is not None
        if isinstance(typed, str):
            is_within = len(typed.encode()) <= tag.string_bytes
        else:
            is_within = (limits.low is None or typed >= limits.low) and (
                limits.high is None or typed <= limits.high
            )
            if tag.states and tag.type is not ValueType.DOUBLE:
                is_within = is_within and int(typed) in tag.states
        if not is_within:
            raise RefusedError(ExceptionCode.ILLEGAL_VALUE)
        return Wish(tag, typed)


def _typed(type: ValueType, value: Value) -> Value:
    """The value in its tag's own type. Raises RefusedError where it has none there."""
    if isinstance(value, str):
        return value
    match type:
        case ValueType.BOOL if value in (0, 1):
            return bool(value)
        case ValueType.INT64 | ValueType.UINT64 if float(value).is_integer():
            whole = int(value)
            low, high = (0, (1 << 64) - 1) if type is ValueType.UINT64 else (-(1 << 63), (1 << 63) - 1)
            if low <= whole <= high:
                return whole
        case ValueType.DOUBLE:
            return float(value)
    raise RefusedError(ExceptionCode.ILLEGAL_VALUE)
