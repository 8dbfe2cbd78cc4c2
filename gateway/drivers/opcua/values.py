"""From a node's value to a tag's, and back.

Errors: `Unfit`, for a value that the tag cannot hold or the node does not take.
"""

from __future__ import annotations

import math
import struct
import uuid
from datetime import UTC, datetime, timedelta

from gateway.config.opcua_device import OpcUaPoint
from gateway.drivers.opcua.wire import (
    BOOLEAN,
    BYTE,
    DATE_TIME,
    DOUBLE,
    FLOAT,
    INT16,
    INT32,
    INT64,
    LOCALIZED_TEXT,
    SBYTE,
    STRING,
    UINT16,
    UINT32,
    UINT64,
    Moment,
    Raw,
    node_text,
)
from gateway.tags.quality import SEVERITY_BAD, Quality
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType

INFORMATION_BITS = 0x0000_FFFF  # of a StatusCode: about the value's way here, no part of its quality
OVERFLOW = 0x0000_0480  # the server dropped values before this one (OPC 10000-4, 7.39)
WHOLE_TYPES = {
    SBYTE: (-(1 << 7), (1 << 7) - 1),
    BYTE: (0, (1 << 8) - 1),
    INT16: (-(1 << 15), (1 << 15) - 1),
    UINT16: (0, (1 << 16) - 1),
    INT32: (-(1 << 31), (1 << 31) - 1),
    UINT32: (0, (1 << 32) - 1),
    INT64: (-(1 << 63), (1 << 63) - 1),
    UINT64: (0, (1 << 64) - 1),
}
NUMBER_TYPES = frozenset({*WHOLE_TYPES, FLOAT, DOUBLE})
TYPE_NAMES = {
    BOOLEAN: "Boolean", SBYTE: "SByte", BYTE: "Byte", INT16: "Int16", UINT16: "UInt16", INT32: "Int32",
    UINT32: "UInt32", INT64: "Int64", UINT64: "UInt64", FLOAT: "Float", DOUBLE: "Double", STRING: "String",
    DATE_TIME: "DateTime", LOCALIZED_TEXT: "LocalizedText",
}  # fmt: skip
STEP_SLACK = 1e-6  # of a step: what dividing by a scale may be off from a whole number
_TAG_LIMITS = {ValueType.INT64: WHOLE_TYPES[INT64], ValueType.UINT64: WHOLE_TYPES[UINT64]}
_FLOAT = struct.Struct("<f")


class Unfit(Exception):  # noqa: N818 - the site file's trouble, or the server's, and expected
    """A value that does not fit; the text is for the integrator."""


def tag_value(point: OpcUaPoint, value: object) -> Value:
    """A node's value as the tag's, in its unit. Raises Unfit."""
    match point.type:
        case ValueType.STRING:
            return _text(value)
        case ValueType.BOOL:
            if isinstance(value, bool):
                return value
            if isinstance(value, int):
                return value != 0
        case ValueType.INT64 | ValueType.UINT64:
            low, high = _TAG_LIMITS[point.type]
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, int):
                if low <= value <= high:
                    return int(value)
                raise Unfit(f"{value} is beyond what an {point.type.name.lower()} holds")
        case ValueType.DOUBLE:
            if isinstance(value, Moment):
                value = None if value.ns is None else value.ns / 1e9
            if isinstance(value, int | float):
                return float(value) * point.scale + point.offset
    raise Unfit(f"it is {_described(value)}, not {_wanted(point.type, value)}")


def status_of(point: OpcUaPoint, value: Value, status: int) -> int:
    """The quality of a value with the server's status: that, and what is wrong with the number itself."""
    status &= ~INFORMATION_BITS
    if status or not isinstance(value, float):
        return status if status or isinstance(value, bool | str) else _ranged(point, value)
    return Quality.BAD_SENSOR_FAILURE if not math.isfinite(value) else _ranged(point, value)


def _ranged(point: OpcUaPoint, value: float) -> int:
    low = -math.inf if point.low is None else point.low
    high = math.inf if point.high is None else point.high
    return Quality.GOOD if low <= value <= high else Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED


def is_bad(status: int) -> bool:
    return bool(status & SEVERITY_BAD)


def node_value(point: OpcUaPoint, value: Value, type: int) -> object:
    """A tag's value as what a node of a built-in type takes. Raises Unfit."""
    raw: Value = value
    if point.type is ValueType.DOUBLE and isinstance(value, int | float) and not isinstance(value, bool):
        raw = (value - point.offset) / point.scale
    return typed(raw, type)


def typed(raw: Value, type: int) -> object:
    """A value as one of a built-in type. Raises Unfit."""
    name = TYPE_NAMES.get(type, f"of the built-in type {type}")
    if type == BOOLEAN:
        if isinstance(raw, bool):
            return raw
        if raw in (0, 1):
            return bool(raw)
    elif type in WHOLE_TYPES:
        if isinstance(raw, int | float):
            low, high = WHOLE_TYPES[type]
            if not math.isfinite(raw) or abs(raw - round(raw)) > max(STEP_SLACK, abs(raw) * 1e-12):
                raise Unfit(f"{raw:g} is no whole number, and the node is {name}")
            if not low <= round(raw) <= high:
                raise Unfit(f"{raw:g} is beyond what the node holds, {name}: {low}..{high}")
            return round(raw)
    elif type in (FLOAT, DOUBLE):
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            if type == FLOAT:
                try:
                    _FLOAT.pack(raw)
                except OverflowError:
                    raise Unfit(f"{raw:g} is beyond what the node holds, {name}") from None
            return float(raw)
    elif type in (STRING, LOCALIZED_TEXT):
        if isinstance(raw, str):
            return raw
    elif type == DATE_TIME and isinstance(raw, int | float) and not isinstance(raw, bool):
        try:
            return datetime(1970, 1, 1) + timedelta(seconds=float(raw))
        except (OverflowError, ValueError):
            raise Unfit(f"{raw:g} s since 1970 is no time") from None
    raise Unfit(f"the node is {name}, which {_described(raw)} is not")


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case bytes():
            return value.hex()
        case Moment():
            return "" if value.ns is None else iso(value.ns)
        case (int() as space, (int() | str() | bytes() | uuid.UUID()) as identifier):
            return node_text((space, identifier))
        case list() | Raw():
            raise Unfit(f"it is {_described(value)}, of which 'field' names a part")
    return str(value)


def iso(ns: int) -> str:
    """A time as text, in UTC, with milliseconds."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)
    except OverflowError:
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _wanted(type: ValueType, value: object) -> str:
    if type is ValueType.BOOL:
        return "a truth value"
    return "a whole one" if isinstance(value, float) else "a number"


def _described(value: object) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return "a truth value"
        case int() | float():
            return f"the number {value:g}"
        case str():
            return "a text"
        case list():
            return f"an array of {len(value)}"
        case Moment():
            return "a time"
        case Raw():
            return "a structure"
    return "something else"
