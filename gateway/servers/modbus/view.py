"""What the image holds now, as registers and coils. One snapshot of the image a request."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence

import numpy as np

from gateway.config.modbus import RegisterType
from gateway.config.modbus_server import ServedPoint
from gateway.config.registers import FLOATS, EncodeError, encode, laid_out
from gateway.config.site import Tag
from gateway.servers.freshness import Freshness
from gateway.servers.modbus.exceptions import ExceptionCode, RefusedError, code_of_quality
from gateway.servers.modbus.register_map import Span
from gateway.tags.image import Region
from gateway.tags.quality import is_bad
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType


class View:
    """The region as clients see it. `look` regularly, so that what is no longer refreshed is told as Bad."""

    def __init__(self, region: Region, tags: Sequence[Tag]) -> None:
        self._region = region
        self._types = [tag.type for tag in tags]
        self._freshness = Freshness(region, tags)

    def look(self, steady_ns: int) -> None:
        """See, at this steady time, which tags have been refreshed."""
        self._freshness.look(steady_ns)

    def now(self, span: Span) -> list[tuple[Value, int]]:
        """Value and status of each point."""
        samples = self._region.read(span.tags)
        types = [self._types[tag] for tag in span.tags.tolist()]
        rows = [row for row, type in enumerate(types) if type is ValueType.STRING]
        texts: dict[int, str] = {}
        if rows:
            found, strings = self._region.texts(span.tags[rows])
            samples[rows] = found
            texts = dict(zip(rows, strings, strict=True))
        self._freshness.mark(samples, time.time_ns())
        bits = np.ascontiguousarray(samples["value"])
        by_type: dict[ValueType, list[int] | list[float]] = {
            ValueType.BOOL: bits.tolist(),
            ValueType.UINT64: bits.tolist(),
            ValueType.INT64: bits.view(np.int64).tolist(),
            ValueType.DOUBLE: bits.view(np.float64).tolist(),
        }
        present: list[tuple[Value, int]] = []
        for row, (type, status) in enumerate(zip(types, samples["status"].tolist(), strict=True)):
            value: Value = texts[row] if row in texts else by_type[type][row]
            present.append((bool(value) if type is ValueType.BOOL else value, status))
        return present

    def bits(self, span: Span) -> list[bool]:
        """Coils or discrete inputs. Raises RefusedError where one is Bad and has no pattern."""
        return [
            told_bit(point, value, status)
            for point, (value, status) in zip(span.points, self.now(span), strict=True)
        ]

    def registers(self, span: Span) -> list[int]:
        """Raises RefusedError where one is Bad and has no pattern."""
        octets = bytearray(2 * span.count)
        for point, (value, status) in zip(span.points, self.now(span), strict=True):
            start = 2 * (point.address - span.address)
            if point.bit is not None:
                octets[start + 1 - point.bit // 8] |= told_bit(point, value, status) << point.bit % 8
                continue
            wire = told_registers(point, value, status)
            first, last = max(start, 0), min(start + len(wire), len(octets))
            octets[first:last] = wire[first - start : last - start]  # of a text maybe a part
        return list(struct.unpack(f">{span.count}H", octets))


def told_bit(point: ServedPoint, value: Value, status: int) -> bool:
    """A coil, a discrete input or a bit of a register. Raises RefusedError."""
    if not is_bad(status):
        return bool(value)
    if not point.not_implemented:
        raise RefusedError(code_of_quality(status))
    return bool(point.not_implemented[0])


def told_registers(point: ServedPoint, value: Value, status: int) -> bytes:
    """The registers of a point. A value that they cannot hold is told like a Bad one. Raises RefusedError."""
    code = ExceptionCode.DEVICE_FAILURE
    if is_bad(status):
        code = code_of_quality(status)
    else:
        try:
            return encode(point, _fitted(point, value))
        except EncodeError:
            pass
    if not point.not_implemented:
        raise RefusedError(code)
    return laid_out(point, point.not_implemented[0])


def _fitted(point: ServedPoint, value: Value) -> Value:
    """Rounded to a whole number, or cut to the room there is for a text."""
    if isinstance(value, str):
        text = value.partition("\0")[0].encode("utf-8", "replace")[: 2 * point.registers]
        return text.decode("utf-8", "ignore").rstrip(" ")
    if point.type is RegisterType.BOOL or point.type in FLOATS or not isinstance(value, float):
        return value
    if point.scale != 1 or point.offset != 0 or not np.isfinite(value):
        return value  # scaling rounds by itself
    return round(value)
