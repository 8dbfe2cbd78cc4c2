"""Second step: is this a value the tag takes? Type, finiteness, limits, named states."""

from __future__ import annotations

import math

from gateway.config.site import Tag, WriteLimits
from gateway.tags.command import Refusal, Refused
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType

_INTEGER_RANGE = {ValueType.INT64: (-(1 << 63), (1 << 63) - 1), ValueType.UINT64: (0, (1 << 64) - 1)}
_TYPE_NAME = {
    ValueType.BOOL: "true or false",
    ValueType.INT64: "a whole number",
    ValueType.UINT64: "a whole number from 0",
    ValueType.DOUBLE: "a number",
    ValueType.STRING: "a text",
}


def limit(value: Value, tag: Tag, limits: WriteLimits) -> Value | Refused:
    """The value in the tag's own type, or why it is refused.

    A whole number is a number, nothing else is converted: 1 is not true, 2.0 is not a whole number.
    """
    match tag.type:
        case ValueType.BOOL:
            fits = isinstance(value, bool)
        case ValueType.INT64 | ValueType.UINT64:
            fits = isinstance(value, int) and not isinstance(value, bool)
        case ValueType.DOUBLE:
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        case ValueType.STRING:
            fits = isinstance(value, str)
    if not fits:
        return Refused(Refusal.WRONG_TYPE, f"{tag.name} takes {_TYPE_NAME[tag.type]}, not {value!r}")
    if isinstance(value, str):
        return _text(value, tag)
    if isinstance(value, int) and tag.type in _INTEGER_RANGE:
        low, high = _INTEGER_RANGE[tag.type]
        if not low <= value <= high:
            return Refused(Refusal.OUT_OF_LIMITS, f"{tag.name} takes {low} to {high}, not {value}")
    if tag.type is ValueType.DOUBLE:
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            return Refused(Refusal.OUT_OF_LIMITS, f"{tag.name} takes a finite number, not {value}")
    if (limits.low is not None and value < limits.low) or (limits.high is not None and value > limits.high):
        unit = f" {tag.unit}" if tag.unit else ""
        low_text = "-∞" if limits.low is None else f"{limits.low:g}"
        high_text = "∞" if limits.high is None else f"{limits.high:g}"
        return Refused(
            Refusal.OUT_OF_LIMITS,
            f"{tag.name} may be set from {low_text} to {high_text}{unit}, not to {value:g}",
        )
    if tag.states and tag.type is not ValueType.DOUBLE and int(value) not in tag.states:
        names = ", ".join(f"{number} ({name})" for number, name in sorted(tag.states.items()))
        return Refused(Refusal.OUT_OF_LIMITS, f"{tag.name} knows the states {names}, not {value}")
    return value


def _text(value: str, tag: Tag) -> str | Refused:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return Refused(Refusal.WRONG_TYPE, f"{tag.name} takes a text of Unicode characters")
    if "\0" in value:
        return Refused(Refusal.WRONG_TYPE, f"{tag.name} takes a text without NUL characters")
    if size > tag.string_bytes:
        return Refused(
            Refusal.OUT_OF_LIMITS, f"{tag.name} takes {tag.string_bytes} bytes of UTF-8, not {size}"
        )
    return value
